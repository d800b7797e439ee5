"""The pipeline from a commit to production and back: every step, as the workflows call it, in order and in their words.

Each test is the next part of one story, and begins where the one before it ended.
"""

import json
import subprocess
from pathlib import Path
from typing import NamedTuple

import boto3
import pytest
import requests

from sandbox import paths
from tests.e2e import cloud
from tests.e2e.pipeline.sample import VERSION, Sample, host
from tests.pipeline.test_forge import served

pytestmark = [pytest.mark.e2e, pytest.mark.incremental, pytest.mark.timeout(600)]


class Built(NamedTuple):
    """What `pipeline/build.sh` prints."""

    image: str
    repository: str
    digest: str
    version: str
    schema: str


@pytest.fixture(scope="module")
def built(sample: Sample) -> Built:
    """Return the image of the sample's commit."""
    return build(sample)[0]


def build(sample: Sample) -> tuple[Built, str]:
    done = sample.step("build", "shop")
    return Built(**dict(line.split("=", 1) for line in done.stdout.splitlines())), done.stderr


def refused(done: "subprocess.CompletedProcess[str]") -> str:
    assert done.returncode != 0, done.stdout
    return done.stderr


def set_image(sample: Sample, stack: str, image: str, *words: str) -> "subprocess.CompletedProcess[str]":
    return sample.run("hueshift", "image", "set", "shop", image, *words, "--stack", stack, check=False)


def running(stack: str, color: str) -> set[str]:
    """Return the images of a color's pods."""
    listed = cloud.run(
        *("kubectl", f"--namespace={stack}-shop", "get", "pods", f"--selector=hueshift.dev/color={color}"),
        "--output=jsonpath={.items[*].spec.containers[*].image}",
    )
    return set(listed.stdout.split())


def test_a_commit_is_built_once_and_found_again_by_whoever_asks_for_it(sample: Sample, built: Built) -> None:
    assert built.image.startswith(f"{paths.REGISTRY}/shop@sha256:")
    assert built.image == f"{built.repository}@{built.digest}"
    assert (built.version, built.schema) == ("1.6.1", "0003")
    again, said = build(sample)
    assert again == built
    assert "is in the registry already" in said
    file = sample.folder / "app/service.py"
    before = file.read_text()
    file.write_text(f"{before}\n")
    assert "app/service.py" in refused(sample.step("build", "shop", check=False)), "it would carry a commit's name"
    file.write_text(before)


def test_a_critical_finding_blocks_and_is_named(sample: Sample, built: Built) -> None:
    def plant(*findings: dict[str, str]) -> None:
        endpoint = boto3.client("ecr").meta.endpoint_url
        body = {"digest": built.digest, "findings": findings}
        requests.put(f"{endpoint}/_hueshift/scan-findings", json=body, timeout=5).raise_for_status()

    scan = ("hueshift", "image", "scan", built.image)
    plant({"name": "CVE-2026-0001", "severity": "CRITICAL"}, {"name": "CVE-2026-0002", "severity": "HIGH"})
    assert "1 critical finding" in (said := refused(sample.run(*scan, check=False)))
    assert "CVE-2026-0001" in said
    plant({"name": "CVE-2026-0002", "severity": "HIGH"})
    assert "1 high" in sample.run(*scan).stdout
    missing = f"{built.image.partition('@')[0]}@sha256:{'0' * 64}"
    assert "push it first" in refused(sample.run("hueshift", "image", "scan", missing, check=False))


def test_production_takes_nothing_that_staging_has_not_run(sample: Sample, built: Built) -> None:
    before = sample.file("production").read_text()
    said = refused(set_image(sample, "production", built.image, "--version", built.version))
    assert "never ran in staging" in said
    assert "hueshift image record shop --stack staging" in said
    assert sample.file("production").read_text() == before


def test_an_image_that_does_not_start_ends_the_update_of_staging_and_its_users_see_nothing(sample: Sample) -> None:
    assert (
        set_image(sample, "staging", f"{paths.REGISTRY}/shop@sha256:{'0' * 64}", "--version", "1.6.0").returncode == 0
    )
    assert "green" in refused(sample.step("up", "staging", check=False))
    curl = ("curl", "--silent", "--include", *sample.variables["CURL_OPTIONS"].split(), f"https://{host('staging')}/")
    for header in ("x-canary: true", "accept: text/html"):
        assert f"x-version: {VERSION}" in sample.run(*curl, "--header", header).stdout


def test_staging_tries_the_image_while_nobody_uses_it(sample: Sample, built: Built) -> None:
    assert (
        set_image(sample, "staging", built.image, "--version", built.version, "--schema", built.schema).returncode == 0
    )
    sample.step("up", "staging")
    assert "1.6.1 is live and ready as green" in sample.run("hueshift", "smoke", "shop", "--stack", "staging").stdout
    assert running("staging", "green") == {built.image}
    before = sample.file("staging").read_text()
    sample.configure("staging", "services.shop.colors.green.version", "1.6.2")
    said = refused(sample.run("hueshift", "smoke", "shop", "--stack", "staging", check=False))
    assert "answers as version 1.6.1, and should as 1.6.2; Pulumi.staging.yaml says so" in said
    sample.file("staging").write_text(before)


def test_traffic_moves_alone_or_not_at_all(sample: Sample) -> None:
    settled = sample.file("staging").read_text()
    sample.configure("staging", "services.shop.env.LOG_LEVEL", "INFO")
    pending = sample.file("staging").read_text()
    said = refused(sample.run("hueshift", "flip", "shop", "--stack", "staging", check=False))
    assert "shop-blue-config" in said
    assert "nothing was changed" in said
    assert sample.file("staging").read_text() == pending
    sample.file("staging").write_text(settled)
    assert "green gets all traffic" in sample.run("hueshift", "flip", "shop", "--stack", "staging").stdout
    assert "1.6.1 serves its users as green" in sample.step("end-to-end", "staging", "shop").stdout


def test_what_staging_has_run_is_recorded_and_kept_beside_what_others_push(sample: Sample, tmp_path: Path) -> None:
    said = sample.run("hueshift", "image", "record", "shop", "--stack", "staging").stdout
    assert "ECR: shop 1.6.1 is a tag of sha256:" in said
    colleague = tmp_path / "colleague"
    cloud.run("git", "clone", "--quiet", str(sample.remote), str(colleague))
    someone = ("git", "-c", "user.name=colleague", "-c", "user.email=colleague@example.com")
    cloud.run(*someone, "commit", "--quiet", "--allow-empty", "--message=Meanwhile", cwd=colleague)
    cloud.run("git", "push", "--quiet", cwd=colleague)
    assert "kept in main" in sample.step("keep", "Run shop 1.6.1 in staging").stdout
    assert "nothing to keep" in sample.step("keep", "Again").stdout
    log = cloud.run("git", "log", "--format=%s", "--max-count=3", "main", cwd=sample.remote).stdout
    assert log.splitlines() == ["Run shop 1.6.1 in staging", "Meanwhile", "Sample"]
    kept = json.loads(cloud.run("git", "show", "main:releases.json", cwd=sample.remote).stdout)
    assert [item["version"] for item in kept["shop"]] == [VERSION, "1.6.1"]


def test_production_gets_the_very_image_and_its_users_by_a_reviewed_commit(sample: Sample, built: Built) -> None:
    assert (
        set_image(sample, "production", built.image, "--version", built.version, "--schema", built.schema).returncode
        == 0
    )
    sample.step("up", "production")
    assert "1.6.1 is live and ready as green" in sample.run("hueshift", "smoke", "shop", "--stack", "production").stdout
    sample.step("keep", "Bring shop 1.6.1 to production")
    assert running("production", "green") == running("staging", "green") == {built.image}
    assert f"{VERSION} serves its users as blue" in sample.step("end-to-end", "production", "shop").stdout

    sample.configure("production", "activeColor", "green")
    sample.run("git", "commit", "--quiet", "--all", "--message=Release shop 1.6.1")
    sample.run("git", "push", "--quiet", "origin", "main")
    sample.run("hueshift", "preview", "--stack", "production", "--flip-only")
    sample.step("up", "production")
    assert "1.6.1 serves its users as green" in sample.step("end-to-end", "production", "shop").stdout


def test_weights_moved_behind_its_back_are_found_as_drift(
    sample: Sample, built: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = next(item for item in sample.resources("production") if item["urn"].endswith("::shop-traffic-production"))
    client = boto3.client("elbv2")
    actions = client.describe_rules(RuleArns=[rule["id"]])["Rules"][0]["Actions"]
    with served("GitHub", monkeypatch) as forge:
        sample.step("drift", "production")
        assert forge.issues == []
        for group in actions[0]["ForwardConfig"]["TargetGroups"]:
            group["Weight"] = 50
        client.modify_rule(RuleArn=rule["id"], Actions=actions)
        assert "shop-traffic-production" in sample.step("drift", "production").stderr
    (issue,) = forge.issues
    assert f"green {built.version} 50 → 100 %" in issue["body"]


def test_the_way_back_is_held_up_neither_by_that_nor_by_what_is_pending(sample: Sample) -> None:
    sample.configure("production", "services.shop.env.LOG_LEVEL", "INFO")
    sample.run("git", "commit", "--quiet", "--all", "--message=Log more")
    # With half of the traffic on each color, a name says which of the two is meant.
    done = sample.step("rollback", "production", "shop", VERSION)
    assert f"blue has all traffic of shop in production, and users get {VERSION}" in done.stderr
    assert "state: knows the weights" in done.stderr
    sample.step("keep", "Roll back shop in production")
    assert f"{VERSION} serves its users as blue" in sample.step("end-to-end", "production", "shop").stdout
    kept = cloud.run("git", "show", "main:Pulumi.production.yaml", cwd=sample.remote).stdout
    assert "hueshift:activeColor: blue" in kept
    sample.configure("production", "services.shop.env.LOG_LEVEL", "WARNING")
    sample.run("git", "commit", "--quiet", "--all", "--message=Log less")
    # Nothing else had been touched.
    sample.run("hueshift", "preview", "--refresh", "--expect-no-changes", "--stack", "production")
    again = sample.step("rollback", "production", "shop", VERSION)
    assert "1 updated" not in again.stderr, "a button pressed twice goes nowhere else"
    assert sample.step("rollback", "production", "shop", check=False).returncode == 1, "nor forward again"
    assert sample.live("production") == {"blue": 100, "green": 0}
