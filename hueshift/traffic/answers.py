"""What a service answers, asked by curl: with the proxies, names and authorities that its own options give."""

import os
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from components.spec import Protocol, Service
from hueshift.report import RefusedError

REQUESTS: Final = 20
"""Sent one after the other to see that each is answered as it should be."""
_EMPTY: Final = bytes(5)
"""A message of gRPC without fields: not compressed, and of no length."""
_UNKNOWN_AUTHORITY: Final = 60
"""How curl ends then, and where a certificate is for other names (curl's man page, exit codes)."""
NAMELESS: Final = "its answers have no x-version: which version gave them was not seen"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One answer."""

    url: str
    status: int
    headers: Mapping[str, str]
    """By name in small letters; of one that came twice the last."""

    def has(self, status: int) -> "Answer":
        """Return it. Raises ``RefusedError`` if its status is another."""
        if self.status != status:
            raise RefusedError(f"{self.url} is answered {self.status}, and should {status}")
        return self

    def is_of(self, version: str, mend: str) -> bool:
        """Return whether it says its version, in ``x-version``. Raises ``RefusedError`` if that is another."""
        said = self.headers.get("x-version")
        if said is not None and said != version:
            raise RefusedError(f"{self.url} answers as version {said}, and should as {version}; {mend}")
        return said is not None


def checked(base: str, service: Service, *options: str) -> Answer:
    """Return the answer to what the load balancer asks each pod, by its path or its method of gRPC.

    Raises ``RefusedError`` if there is none within 30 seconds, or it is not a good one.
    """
    url = f"{base}{service.health_path}"
    if service.protocol is not Protocol.GRPC:
        return ask(url, *options).has(200)
    headers = (word for header in ("content-type: application/grpc", "te: trailers") for word in ("--header", header))
    answer = ask(url, *options, "--http2", "--data-binary", "@-", *headers, body=_EMPTY).has(200)
    if (code := answer.headers.get("grpc-status")) != "0":
        raise RefusedError(f"{url} ends with the gRPC status {code or 'of nothing'}, and should with 0")
    return answer


def ask(url: str, *options: str, body: bytes | None = None) -> Answer:
    """Return the answer to one request. Raises ``RefusedError`` if there is none within 30 seconds."""
    shown = ("--suppress-connect-headers", "--dump-header", "-", "--output", "/dev/null")
    told = curl(url, *options, *shown, body=body).decode()
    status = 0
    headers: dict[str, str] = {}
    for line in told.splitlines():
        if line.startswith("HTTP/"):
            status, headers = int(line.split()[1]), {}  # the last answer counts, not a 100 before it
        elif ":" in line:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
    return Answer(url=" ".join((url, *options)), status=status, headers=headers)


def curl(url: str, *options: str, body: bytes | None = None) -> bytes:
    """Return what curl prints; ``CURL_OPTIONS`` has further arguments of it, such as ``--cacert FILE``.

    ``body`` is what it reads as ``@-``.

    Raises ``RefusedError`` if there is no answer within 30 seconds.
    """
    given = shlex.split(os.environ.get("CURL_OPTIONS", ""))
    command = ["curl", "--silent", "--show-error", "--max-time", "30", *options, *given, url]
    done = subprocess.run(command, capture_output=True, input=body, check=False)
    said = done.stderr.decode(errors="replace").strip()
    if done.returncode == _UNKNOWN_AUTHORITY and "subject name" not in said:
        mends = "CURL_OPTIONS='--cacert FILE', with the authority of its certificate"
        raise RefusedError(f"{url} has a certificate of an authority that curl does not know; set {mends}")
    if done.returncode:
        raise RefusedError(f"{url} gave no answer: {said}")
    return done.stdout
