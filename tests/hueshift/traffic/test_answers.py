"""What a service answers, as curl prints it."""

import subprocess

import pytest

from components.spec import Protocol
from hueshift.report import RefusedError
from hueshift.traffic import answers
from tests.support import samples

HEAD = "HTTP/2 200 \r\ncontent-type: application/grpc\r\nx-version: 1.5.0\r\n\r\n"
CALLED = samples.change(samples.SERVICE, protocol=Protocol.GRPC)


def says(monkeypatch: pytest.MonkeyPatch, text: str) -> list[tuple[str, ...]]:
    asked: list[tuple[str, ...]] = []

    def curl(url: str, *options: str, body: bytes | None = None) -> bytes:
        asked.append((url, *options, repr(body)))
        return text.encode()

    monkeypatch.setattr(answers, "curl", curl)
    return asked


def test_a_method_is_called_with_an_empty_message_and_its_status_comes_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = says(monkeypatch, f"{HEAD}grpc-status: 0\r\n")
    assert answers.checked("https://shop.example.com", CALLED).headers["x-version"] == "1.5.0"
    assert asked[0][0] == "https://shop.example.com/grpc.health.v1.Health/Check"
    assert {"--http2", "content-type: application/grpc", "te: trailers"} <= set(asked[0])
    assert asked[0][-1] == repr(bytes(5))


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (f"{HEAD}grpc-status: 12\r\n", "ends with the gRPC status 12, and should with 0"),
        (HEAD, "ends with the gRPC status of nothing, and should with 0"),
        ("HTTP/2 464 \r\n\r\n", "is answered 464, and should 200"),
    ],
)
def test_a_call_that_ends_badly_is_refused(monkeypatch: pytest.MonkeyPatch, said: str, why: str) -> None:
    says(monkeypatch, said)
    with pytest.raises(RefusedError, match=why):
        answers.checked("https://shop.example.com", CALLED)


def test_a_path_is_asked_by_get(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = says(monkeypatch, "HTTP/1.1 200 OK\r\n\r\n")
    answers.checked("https://shop.example.com", samples.SERVICE)
    assert asked[0][0] == "https://shop.example.com/health/ready"
    assert asked[0][-1] == "None"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("SSL certificate problem: unable to get local issuer certificate", "CURL_OPTIONS='--cacert FILE'"),
        ("SSL: no alternative certificate subject name matches target host name 'x'", "curl: \\(60\\) SSL: no alter"),
    ],
)
def test_a_certificate_for_other_names_is_not_one_of_an_unknown_authority(
    monkeypatch: pytest.MonkeyPatch, said: str, why: str
) -> None:
    def run(*_: object, **__: object) -> "subprocess.CompletedProcess[bytes]":
        return subprocess.CompletedProcess([], 60, b"", f"curl: (60) {said}".encode())

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(RefusedError, match=why):
        answers.ask("https://shop.example.com")
