"""What moto's S3 leaves out: the tags that a bucket is created with, and that a condition can be unmet.

moto takes a statement with a condition that it cannot judge for a refusal. The endpoint of the local cloud, which has
no TLS, stands for one that has: what a policy refuses without TLS it lets pass.
"""

import json
from typing import Any, Final
from xml.etree import ElementTree as ET

from moto.iam.access_control import IAMPolicy, PermissionResult
from moto.s3.models import FakeBucket
from moto.s3.responses import S3Response

_put = S3Response._bucket_response_put  # noqa: SLF001 - no public method sees the request

WITHOUT_TLS: Final = {"Bool": {"aws:SecureTransport": "false"}}


def _tagged(self: S3Response, request: Any, bucket_name: str, querystring: dict[str, Any]) -> Any:  # noqa: ANN401
    answer = _put(self, request, bucket_name, querystring)
    if not querystring and self.body:
        found = ET.fromstring(self.body).iterfind(".//{*}Tags/{*}Tag")
        if tags := {tag.findtext("{*}Key", ""): tag.findtext("{*}Value", "") for tag in found}:
            self.backend.put_bucket_tagging(bucket_name, tags)
    return answer


def _permission(self: FakeBucket, action: str, resource: str) -> PermissionResult:
    if self.policy is None:
        return PermissionResult.NEUTRAL
    document = json.loads(self.policy)
    said = document["Statement"]
    statements = [one for one in (said if isinstance(said, list) else [said]) if one.get("Condition") != WITHOUT_TLS]
    return IAMPolicy(json.dumps({**document, "Statement": statements})).is_action_permitted(action, resource)


def fill() -> None:
    """Put the methods in moto's place."""
    S3Response._bucket_response_put = _tagged  # type: ignore[method-assign]  # noqa: SLF001
    FakeBucket.get_permission = _permission  # type: ignore[method-assign]
