"""The tutorial, from the image to the way back, as it stands there on the cloud that is up."""

import os

import pytest

from sandbox import paths
from tests.e2e import cloud
from tests.e2e.releasing import green
from tests.support.pages import DOCS, code
from tests.support.shell import Shell

pytestmark = [pytest.mark.e2e, pytest.mark.by_hand, pytest.mark.timeout(900)]

OF_THE_CLOUD = ("make sandbox", "git checkout")
"""How blocks begin that start the cloud and end it, which others use beside this test."""


def test_the_commands_of_the_tutorial_bring_a_version_to_the_users_and_back() -> None:
    tutorial = [block for block in code(DOCS / "tutorial.md", "sh") if not block.startswith(OF_THE_CLOUD)]
    assert len(tutorial) > 8
    # Blocks share a shell, as they do at a desk. A young cloud's alarms have no data: the gate may say to wait.
    patient = 'pulumi() { for _ in $(seq 12); do command pulumi "$@" && return; sleep 10; done; return 1; }\n'
    desk = Shell(folder=paths.ROOT, variables={"PATH": f"{paths.ROOT}/.venv/bin:{os.environ['PATH']}"})
    with cloud.stack_file():
        told = desk.script(patient + "\n".join(tutorial)).stdout
        assert green() == 0
    assert "1.5.1" in told
    assert "x-color: green" in told.lower()
