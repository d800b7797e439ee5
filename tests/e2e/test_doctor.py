"""The doctor on the local cloud: nothing is missing to its stack, and what is taken away is named."""

import json

import pytest

from components.service.workload import READINESS_GATE_LABEL
from tests.e2e import cloud

pytestmark = [pytest.mark.e2e, pytest.mark.by_hand]


def wrong() -> dict[str, str]:
    """Return what the doctor finds wrong: by check, the command that mends it."""
    done = cloud.run("hueshift", "doctor", "--stack", "sandbox", "--json", check=False)
    lines = json.loads(done.stdout)["checks"]
    found = {line["check"]: line["remedy"] for line in lines if line["status"] != "ok"}
    assert done.returncode == (1 if found else 0), done.stderr
    return found


def test_nothing_is_missing_to_the_local_clouds_stack() -> None:
    assert wrong() == {}


def test_what_the_doctor_names_mends_what_was_taken_away() -> None:
    (label,) = READINESS_GATE_LABEL
    cloud.kubectl("label", "namespace", cloud.NAMESPACE, f"{label}-")
    try:
        remedy = wrong()["namespaces"]
        cloud.run(*remedy.split())
        assert wrong() == {}
    finally:
        cloud.kubectl("label", "namespace", cloud.NAMESPACE, "--overwrite", f"{label}={READINESS_GATE_LABEL[label]}")
