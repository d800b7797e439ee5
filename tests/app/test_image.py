"""What can be said of the image without building it; the local cloud builds and runs it."""

import json
import re
import subprocess
import sys

from sandbox import paths
from tests.support.app_service import running

DOCKERFILE = (paths.ROOT / "app/Dockerfile").read_text().replace("\\\n", " ")
LINES = [line.strip() for line in DOCKERFILE.splitlines() if line.strip() and not line.startswith("#")]


def position(start: str) -> int:
    return next(number for number, line in enumerate(LINES) if line.startswith(start))


def test_the_base_is_pinned_by_digest_and_can_be_replaced() -> None:
    assert re.fullmatch(r"ARG BUILDER_BASE=python:3\.11\.\d+-slim-bookworm@sha256:[0-9a-f]{64}", LINES[0])
    assert [line.split()[1] for line in LINES if line.startswith("FROM")][-1] == "${RUNTIME_BASE}"


def test_dependencies_are_installed_before_the_code_is_copied() -> None:
    assert position("COPY app/requirements.txt") < position("RUN") < position("COPY app /srv/app")


def test_the_last_stage_runs_nothing_and_runs_as_a_user_without_a_name() -> None:
    last = LINES[max(number for number, line in enumerate(LINES) if line.startswith("FROM")) :]
    assert not [line for line in last if line.startswith(("RUN", "ADD"))]
    assert "USER 10001:10001" in last


def test_the_build_context_holds_nothing_that_is_not_named() -> None:
    rules = [line for line in (paths.ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert rules[0] == "*"
    assert [rule for rule in rules if rule.startswith("!")] == ["!constraints.txt", "!app"]
    assert "app/.env" in rules


def test_the_health_check_tells_a_living_service_from_a_dead_one() -> None:
    command = json.loads(DOCKERFILE.partition("HEALTHCHECK")[2].splitlines()[0].partition("CMD ")[2])
    check = [sys.executable, *command[1:]]
    with running() as program:
        environment = {"PORT": str(program.port)}
        assert subprocess.run(check, env=environment, check=False).returncode == 0
    assert subprocess.run(check, env=environment, stderr=subprocess.DEVNULL, check=False).returncode == 1
