"""What moto's S3 leaves out: the tags that a bucket is created with."""

from typing import Any
from xml.etree import ElementTree as ET

from moto.s3.responses import S3Response

_put = S3Response._bucket_response_put  # noqa: SLF001 - no public method sees the request


def _tagged(self: S3Response, request: Any, bucket_name: str, querystring: dict[str, Any]) -> Any:  # noqa: ANN401
    answer = _put(self, request, bucket_name, querystring)
    if not querystring and self.body:
        found = ET.fromstring(self.body).iterfind(".//{*}Tags/{*}Tag")
        if tags := {tag.findtext("{*}Key", ""): tag.findtext("{*}Value", "") for tag in found}:
            self.backend.put_bucket_tagging(bucket_name, tags)
    return answer


def fill() -> None:
    """Put the method in moto's place."""
    S3Response._bucket_response_put = _tagged  # type: ignore[method-assign]  # noqa: SLF001
