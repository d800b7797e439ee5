"""The reference service as the tests start it: in this process, or as the program that a pod runs."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

from app.config import Config
from sandbox import paths

SECRET = "not-a-secret-but-long-enough-to-sign-with"
PASSWORD = "not-a-password"
ENVIRONMENT = {
    "APP_ENV": "development",
    "DATABASE_URL": f"postgresql://shop:{PASSWORD}@127.0.0.1:1/shop",
    "JWT_SECRET": SECRET,
    "APP_COLOR": "blue",
    "APP_VERSION": "1.5.0",
}
"""A right configuration, of a database that does not answer."""


def config(**changes: str) -> Config:
    return Config.read(ENVIRONMENT | changes)


class Program:
    """The running service."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self._process = process
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    def terminate(self) -> None:
        self._process.send_signal(signal.SIGTERM)

    def ended(self) -> tuple[int, str]:
        """Wait for the end; return the exit code and all that was written."""
        output, _ = self._process.communicate(timeout=20)
        return self._process.returncode, output

    def answers(self) -> bool:
        try:
            urlopen(self.url + "/health", timeout=1).close()
        except URLError:
            return False
        return True


def run(*module: str, environment: Mapping[str, str]) -> subprocess.Popen[str]:
    """Start `python -m …` with this environment and nothing else; its output is one stream."""
    return subprocess.Popen(
        [sys.executable, "-m", *module],
        env={"PATH": os.environ["PATH"], **environment},
        cwd=paths.ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@contextmanager
def running(**changes: str) -> Iterator[Program]:
    """Start the service on a free port of loopback and wait until it answers."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = run("app", environment=ENVIRONMENT | {"PORT": str(port)} | changes)
    program = Program(process, port)
    try:
        deadline = time.monotonic() + 20
        while not program.answers():
            assert process.poll() is None, program.ended()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield program
    finally:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


def lines(output: str) -> list[dict[str, Any]]:
    """Return the log lines; fails if one of them is not JSON."""
    return [json.loads(line) for line in output.splitlines()]
