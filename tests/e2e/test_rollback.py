"""`hueshift rollback` on the local cloud: how soon the traffic is back, and what the next update has left to do."""

import os
import subprocess
import time

import pytest
import yaml

from sandbox import paths
from tests.e2e import cloud

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

PROMISED = 2.0
"""Seconds from the start of the command until the load balancer has been read back."""


def test_users_are_back_within_two_seconds_of_the_command_and_nothing_is_left_to_do() -> None:
    with cloud.stack_file() as file:
        cloud.configure("activeColor", "green")
        cloud.update()
        begun = time.monotonic()
        process = subprocess.Popen(
            ["hueshift", "rollback", "--stack", "sandbox"],
            cwd=paths.ROOT, env=os.environ, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert process.stderr is not None
        said = process.stderr.readline()
        took = time.monotonic() - begun
        rest = process.communicate(timeout=120)[1]
        assert process.returncode == 0, rest
        assert said.startswith("blue has all traffic of shop in sandbox, and users get 1.4.0"), said
        assert took <= PROMISED
        assert cloud.curl(f"https://{cloud.HOST}/")[1]["x-color"] == "blue"
        assert yaml.safe_load(file.read_text())["config"]["hueshift:activeColor"] == "blue"
        cloud.pulumi("preview", "--expect-no-changes")
