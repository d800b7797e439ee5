"""A service that speaks gRPC, in Go: served, flipped and smoke-tested while it is called all the time."""

import subprocess
import time
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
import yaml

from sandbox import paths
from tests.e2e import cloud
from tests.e2e.programs import built

pytestmark = [pytest.mark.e2e, pytest.mark.by_hand, pytest.mark.timeout(480)]

HOST = "called.shop.localhost"
METHOD = "/grpc.health.v1.Health/Check"
RATE = 20
"""Calls a second at most, each over a connection of its own."""


def called(image: str) -> dict[str, Any]:
    """Return its settings."""
    color = {"image": image, "version": "1.0.0"}
    return {
        "host": HOST,
        "port": 8090,
        "protocol": "grpc",
        "activeColor": "blue",
        "canaryWeight": 0,
        "colors": {"blue": color, "green": {**color, "version": "1.1.0"}},
        "replicas": {"min": 1, "max": 2},
        "resources": {"cpu": "20m", "memory": "32Mi"},
        "health": {"interval": 5, "timeout": 2},
        "timing": cloud.stack_config()["hueshift:services"]["shop"]["timing"],
        "metrics": {"enabled": False},
    }


def write(file: Path, service: dict[str, Any]) -> None:
    content = yaml.safe_load(file.read_text())
    content["config"]["hueshift:services"]["called"] = service
    file.write_text(yaml.safe_dump(content, sort_keys=False))


def call() -> tuple[str, str]:
    """Call the method; return its status and the color that answered."""
    done = subprocess.run(
        [
            *("curl", "--silent", "--http2", "--cacert", str(paths.CA_CERTIFICATE), "--max-time", "10"),
            *("--header", "content-type: application/grpc", "--header", "te: trailers", "--data-binary", "@-"),
            *("--dump-header", "-", "--output", "/dev/null", f"https://{HOST}{METHOD}"),
        ],
        input=bytes(5),
        capture_output=True,
        check=False,
    )
    said = dict(line.split(": ", 1) for line in done.stdout.decode().splitlines() if ": " in line)
    return said.get("grpc-status", f"curl {done.returncode}"), said.get("x-color", "")


def test_a_service_that_speaks_grpc_is_flipped_and_no_call_is_lost(tmp_path: Path) -> None:
    with cloud.stack_file() as file:
        service = called(built("grpc", tmp_path))
        write(file, service)
        cloud.update()
        cloud.wait_until("blue answers", lambda: call() == ("0", "blue"))
        # The certificate here is for names one label below shop.localhost.
        smoke = cloud.run("hueshift", "smoke", "called", "--stack", "sandbox", CURL_OPTIONS="--insecure")
        assert "called 1.1.0 is live and ready as green" in smoke.stdout
        answers: list[tuple[float, str, str]] = []
        over = Event()

        def ask() -> None:
            while not over.wait(1 / RATE):
                answers.append((time.time(), *call()))

        asking = Thread(target=ask)
        asking.start()
        try:
            write(file, {**service, "activeColor": "green"})
            cloud.wait_until(
                "the alarms of a new service know enough for a flip",
                lambda: cloud.pulumi("up", "--yes", "--skip-preview", check=False).returncode == 0,
                seconds=300,
            )
            flipped = time.time() + 1
            time.sleep(5)
        finally:
            over.set()
            asking.join()
        assert [answer for answer in answers if answer[1] != "0"] == []
        assert {color for at, _, color in answers if at > flipped} == {"green"}
        verified = cloud.run("hueshift", "verify", "called", "--stack", "sandbox")
        assert "called 1.1.0 serves its users as green" in verified.stdout
