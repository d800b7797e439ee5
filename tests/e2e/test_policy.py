"""The environments' own files in the engine's hands, and the policy pack: a violation ends what would be done.

Not while another test has a stack called production or staging: they would be taken for those.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest

from policy.checks import CHECKS
from sandbox import paths
from tests.e2e import cloud

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


def preview(stack: str, file: Path) -> subprocess.CompletedProcess[str]:
    pack = os.environ["HUESHIFT_POLICY_PACK"]
    words = ("--stack", stack, "--config-file", str(file), "--policy-pack", pack)
    return cloud.run("pulumi", "preview", "--non-interactive", *words, check=False)


def test_production_as_its_file_says_violates_nothing(tmp_path: Path) -> None:
    done = preview("production", cloud.stack_file_for_here("production", tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "✅ hueshift-readiness" in done.stdout
    assert "can't run policy" not in done.stdout
    assert "warning" not in done.stdout


def test_a_violation_ends_the_preview_of_production_with_the_reason_and_the_remedy(tmp_path: Path) -> None:
    done = preview("production", cloud.stack_file_for_here("production", tmp_path, accessLogs=False))
    assert done.returncode != 0
    check = next(check for check in CHECKS if check.name == "careful-load-balancer")
    told = done.stdout.partition("[mandatory]  careful-load-balancer  (aws:lb/loadBalancer:LoadBalancer: edge-alb)")[2]
    assert f"{check.reason} Remedy: {check.remedy}." in told, done.stdout + done.stderr
    assert "accessLogs.enabled is not true" in told
    assert done.stdout.count("[mandatory]") == 1


def test_elsewhere_a_violation_is_told_and_the_preview_goes_on(tmp_path: Path) -> None:
    new = preview("staging", cloud.stack_file_for_here("staging", tmp_path))
    running = preview("sandbox", paths.ROOT / "Pulumi.sandbox.yaml")
    for done, told in ((new, "careful-load-balancer"), (running, "pinned-images")):
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"[advisory]  {told}" in done.stdout
        assert "[mandatory]" not in done.stdout
        assert "can't run policy" not in done.stdout


@pytest.mark.parametrize("stack", ["staging", "production"])
def test_each_environment_previews_cleanly(stack: str, tmp_path: Path) -> None:
    file = str(cloud.stack_file_for_here(stack, tmp_path))
    words = ("--json", "--stack", stack, "--config-file", file, "--non-interactive")
    shown = json.loads(cloud.run("pulumi", "preview", *words).stdout)
    assert shown["changeSummary"].keys() == {"create"}
    assert not [d for d in shown.get("diagnostics", []) if d.get("severity") in ("warning", "error")]
