"""`hueshift image scan`: what counts as a scan, and what blocks; ECR's answers are played."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from typer.testing import CliRunner, Result

from hueshift.images import scans
from hueshift.images import signed as images_signed
from hueshift.images.command import app
from hueshift.report import RefusedError

DIGEST = f"sha256:{'ab' * 32}"
REFERENCE = f"111122223333.dkr.ecr.eu-west-1.amazonaws.com/team/shop@{DIGEST}"
CRITICAL = {
    "name": "CVE-2026-0001",
    "severity": "CRITICAL",
    "attributes": [{"key": "package_name", "value": "openssl"}],
}
HIGH = {"name": "CVE-2026-0002", "severity": "HIGH"}


class Ecr:
    """Plays one answer after the other, whatever waits between them, and knows what was asked."""

    def __init__(self, stub: Stubber) -> None:
        self.stub = stub

    def answer(self, status: str, *findings: dict[str, Any], kind: str = "findings", **more: object) -> None:
        """Answer as often as a finished scan is asked for: for its state, then for its findings."""
        counts = {severity: sum(item["severity"] == severity for item in findings) for severity in ("CRITICAL", "HIGH")}
        content = {kind: list(findings), "findingSeverityCounts": counts, **more}
        for _ in range(2 if status in ("COMPLETE", "ACTIVE") else 1):
            self.stub.add_response(
                "describe_image_scan_findings", {"imageScanStatus": {"status": status}, "imageScanFindings": content}
            )

    def refuse(self, code: str) -> None:
        self.stub.add_client_error("describe_image_scan_findings", code)

    def scan(self, *words: str) -> Result:
        done = CliRunner().invoke(app, ["scan", REFERENCE, *words])
        self.stub.assert_no_pending_responses()
        return done


@pytest.fixture
def ecr(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ecr]:
    client = boto3.client("ecr", region_name="eu-west-1", aws_access_key_id="fake", aws_secret_access_key="fake")
    asked: list[tuple[str, str | None]] = []

    def made(service: str, *, region_name: str | None) -> Any:  # noqa: ANN401
        asked.append((service, region_name))
        return client

    monkeypatch.setattr(boto3, "client", made)
    monkeypatch.setattr(scans, "INTERVAL", 0)
    with Stubber(client) as stub:
        yield Ecr(stub)
    assert set(asked) == {("ecr", "eu-west-1")}


@pytest.mark.parametrize("status", ["COMPLETE", "ACTIVE"])
def test_an_image_without_critical_findings_passes(ecr: Ecr, status: str) -> None:
    ecr.answer(status, HIGH)
    done = ecr.scan()
    assert done.exit_code == 0, done.output
    assert "1 high" in done.stdout


def test_a_critical_finding_blocks_and_is_named_with_its_package(ecr: Ecr) -> None:
    ecr.answer("COMPLETE", HIGH, CRITICAL)
    done = ecr.scan()
    assert done.exit_code == 1
    assert "1 critical, 1 high" in done.stdout
    assert "CRITICAL CVE-2026-0001 openssl" in done.stdout
    assert "1 critical finding in" in done.stderr


def test_enhanced_findings_block_too_unless_they_are_suppressed(ecr: Ecr) -> None:
    found = {"severity": "CRITICAL", "packageVulnerabilityDetails": {"vulnerabilityId": "CVE-2026-0003"}}
    ecr.answer("ACTIVE", {**found, "status": "SUPPRESSED"}, kind="enhancedFindings")
    assert ecr.scan().exit_code == 0
    ecr.answer("ACTIVE", {**found, "status": "ACTIVE"}, kind="enhancedFindings")
    assert "CVE-2026-0003" in ecr.scan().stderr


def test_what_is_counted_blocks_even_if_it_is_not_listed(ecr: Ecr) -> None:
    ecr.answer("COMPLETE", HIGH, findingSeverityCounts={"CRITICAL": 2})
    done = ecr.scan()
    assert done.exit_code == 1
    assert "2 critical findings" in done.stderr


@pytest.mark.parametrize(
    "status", ["FAILED", "UNSUPPORTED_IMAGE", "SCAN_ELIGIBILITY_EXPIRED", "FINDINGS_UNAVAILABLE", "IMAGE_ARCHIVED"]
)
def test_a_scan_that_says_nothing_is_no_proof(ecr: Ecr, status: str) -> None:
    ecr.answer(status)
    done = ecr.scan("--json")
    assert (done.exit_code, done.stdout) == (1, "")
    assert f"is {status}" in done.stderr
    assert "aws ecr start-image-scan --repository-name team/shop" in done.stderr


def test_a_scan_that_has_not_begun_or_not_ended_is_waited_for(ecr: Ecr) -> None:
    ecr.refuse("ScanNotFoundException")
    ecr.answer("PENDING")
    ecr.answer("IN_PROGRESS")
    ecr.answer("COMPLETE")
    done = ecr.scan()
    assert done.exit_code == 0
    assert re.findall(r": (.*) …", done.stderr) == ["not begun", "PENDING", "IN_PROGRESS"]


@pytest.mark.parametrize(("status", "said"), [("IN_PROGRESS", "is still IN_PROGRESS"), (None, "has not begun")])
def test_it_does_not_wait_for_ever(ecr: Ecr, monkeypatch: pytest.MonkeyPatch, status: str | None, said: str) -> None:
    monkeypatch.setattr(scans, "PATIENCE", 0)
    ecr.answer(status) if status else ecr.refuse("ScanNotFoundException")
    assert said in ecr.scan().stderr


def test_an_image_that_was_not_pushed_is_said_to_be_missing(ecr: Ecr) -> None:
    ecr.refuse("ImageNotFoundException")
    assert "push it first: pipeline/build.sh team/shop" in ecr.scan().stderr


@pytest.mark.parametrize("reference", ["shop", f"shop@{DIGEST}", "registry.example.com/shop:1.6.0"])
def test_only_an_image_by_digest_is_asked_for(reference: str) -> None:
    done = CliRunner().invoke(app, ["scan", reference])
    assert done.exit_code == 1
    assert "<registry>/<repository>@sha256:<64 hex digits>" in done.stderr


TODAY = date(2026, 12, 1)
ENTRY = {"id": "CVE-2026-0001", "reason": "not in the image", "until": "2026-12-31", "reviewed": "somebody"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "Pulumi.yaml").write_text("name: hueshift\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_people_have_accepted_passes_until_its_day_and_is_said(ecr: Ecr, folder: Path) -> None:
    day = datetime.now(UTC).date()
    for until, code in ((day, 0), (day - timedelta(days=1), 1)):
        (folder / scans.ACCEPTED).write_text(json.dumps([ENTRY | {"until": str(until)}]))
        ecr.answer("COMPLETE", CRITICAL)
        done = ecr.scan()
        assert done.exit_code == code
        assert ("passed: CVE-2026-0001 openssl: not in the image" in done.stderr) is (code == 0)
        assert (f"was accepted until {until}, and counts again" in done.stderr) is (code == 1)


def test_one_accepted_finding_lets_no_other_pass_nor_what_is_only_counted(ecr: Ecr, folder: Path) -> None:
    (folder / scans.ACCEPTED).write_text(json.dumps([ENTRY | {"until": str(datetime.now(UTC).date())}]))
    ecr.answer("COMPLETE", CRITICAL, {**CRITICAL, "name": "CVE-2026-0009"})
    assert "1 critical finding in" in ecr.scan().stderr
    ecr.answer("COMPLETE", CRITICAL, findingSeverityCounts={"CRITICAL": 3})
    assert "2 critical findings in" in ecr.scan().stderr


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is no JSON"),
        ("{}", "a list of id, reason, reviewed, until"),
        (json.dumps([{"id": "CVE-1"}]), "each entry has id, reason, reviewed, until"),
        (json.dumps([ENTRY | {"reason": ""}]), "each entry has"),
        (json.dumps([ENTRY | {"until": "soon"}]), "not 'soon'"),
        (json.dumps([ENTRY | {"until": "2030-01-01"}]), "180 days at most, so 2027-05-30"),
    ],
)
def test_a_list_that_is_wrong_accepts_nothing(tmp_path: Path, content: str, said: str) -> None:
    file = tmp_path / scans.ACCEPTED
    file.write_text(content)
    with pytest.raises(RefusedError, match=re.escape(said)):
        scans.accepted(file, today=TODAY)


def test_the_list_of_this_repository_is_right() -> None:
    scans.accepted(Path(__file__).parents[3] / scans.ACCEPTED, today=datetime.now(UTC).date())


@pytest.mark.parametrize(("fix", "code"), [("NO", 0), ("YES", 1), ("PARTIAL", 1), (None, 1)])
def test_without_a_fix_a_finding_passes_where_that_is_wished(ecr: Ecr, fix: str | None, code: int) -> None:
    found = {"severity": "CRITICAL", "packageVulnerabilityDetails": {"vulnerabilityId": "CVE-2026-0003"}}
    ecr.answer("ACTIVE", found | ({"fixAvailable": fix} if fix else {}), kind="enhancedFindings")
    assert ecr.scan("--fixable-only").exit_code == code
    ecr.answer("ACTIVE", found | ({"fixAvailable": fix} if fix else {}), kind="enhancedFindings")
    assert ecr.scan().exit_code == 1


PROFILE = "arn:aws:signer:eu-west-1:111122223333:/signing-profiles/images"


@pytest.mark.parametrize(
    ("statuses", "words", "said"),
    [
        ([("IN_PROGRESS", PROFILE), ("COMPLETE", PROFILE)], [], f"is signed by {PROFILE}"),
        ([("FAILED", PROFILE)], [], "could not be signed"),
        ([None], [], "has no signature of anybody"),
        ([("COMPLETE", PROFILE)], ["--profile", f"{PROFILE}2"], f"has no signature of {PROFILE}2"),
    ],
)
def test_an_image_counts_as_signed_only_if_the_registry_says_so(
    ecr: Ecr, monkeypatch: pytest.MonkeyPatch, statuses: list[tuple[str, str] | None], words: list[str], said: str
) -> None:
    monkeypatch.setattr(images_signed, "INTERVAL", 0)
    monkeypatch.setattr(images_signed, "PATIENCE", 10 if len(statuses) > 1 else 0)
    for status in statuses:
        listed = [{"status": status[0], "signingProfileArn": status[1]}] if status else []
        ecr.stub.add_response("describe_image_signing_status", {"signingStatuses": listed})
    done = CliRunner().invoke(app, ["signed", REFERENCE, *words])
    assert said in done.output + done.stderr
    assert done.exit_code == (0 if "is signed" in said else 1)
    ecr.stub.assert_no_pending_responses()
