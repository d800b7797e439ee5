"""What a service answers, asked by curl: with the proxies, names and authorities that its own options give."""

import os
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from hueshift.report import RefusedError

REQUESTS: Final = 20
"""Sent one after the other to see that each is answered as it should be."""
_UNKNOWN_AUTHORITY: Final = 60
"""How curl ends then (curl's man page, exit codes)."""
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


def ask(url: str, *options: str) -> Answer:
    """Return the answer to one request. Raises ``RefusedError`` if there is none within 30 seconds."""
    told = curl(url, *options, "--suppress-connect-headers", "--dump-header", "-", "--output", "/dev/null").decode()
    status = 0
    headers: dict[str, str] = {}
    for line in told.splitlines():
        if line.startswith("HTTP/"):
            status, headers = int(line.split()[1]), {}  # the last answer counts, not a 100 before it
        elif ":" in line:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
    return Answer(url=" ".join((url, *options)), status=status, headers=headers)


def curl(url: str, *options: str) -> bytes:
    """Return what curl prints; ``CURL_OPTIONS`` has further arguments of it, such as ``--cacert FILE``.

    Raises ``RefusedError`` if there is no answer within 30 seconds.
    """
    given = shlex.split(os.environ.get("CURL_OPTIONS", ""))
    command = ["curl", "--silent", "--show-error", "--max-time", "30", *options, *given, url]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode == _UNKNOWN_AUTHORITY:
        mends = "CURL_OPTIONS='--cacert FILE', with the authority of its certificate"
        raise RefusedError(f"{url} has a certificate of an authority that curl does not know; set {mends}")
    if done.returncode:
        raise RefusedError(f"{url} gave no answer: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout
