"""The jobs of the workflows in the sample repository, each step as its line stands there, in the order of a release."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import pytest
import yaml

from sandbox import paths
from tests.e2e.pipeline.sample import Sample
from tests.pipeline.test_forge import TOKEN, Forge, served

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

WORKFLOWS = paths.ROOT / ".github/workflows"


@dataclass(kw_only=True)
class Runner:
    """Runs jobs as GitHub would: values from ``known``, outputs from one job to the next; nothing that another made."""

    sample: Sample
    known: dict[str, str]
    """By expression, what it stands for."""
    outputs: dict[str, str] = field(default_factory=dict)

    def job(self, workflow: str, name: str, **matrix: str) -> None:
        """Run the steps of a job that run something. Raises ``AssertionError`` with what the first red one has said."""
        content = yaml.safe_load((WORKFLOWS / f"{workflow}.yml").read_text())
        job = content["jobs"][name]
        known = {**self.known, **{f"matrix.{key}": value for key, value in matrix.items()}}
        for step in job["steps"]:
            if step.get("uses") == "./.github/actions/setup":
                stack = self._value(step.get("with", {}).get("stack", ""), known)
                self._run('pipeline/setup.sh "$STACK"', {"STACK": stack}, known)
            elif "run" in step:
                variables = {**content.get("env", {}), **job.get("env", {}), **step.get("env", {})}
                written = self._run(step["run"], variables, known)
                self.outputs |= {f"needs.{name}.outputs.{key}": value for key, value in written.items()}

    def _value(self, text: str, known: Mapping[str, str]) -> str:
        return re.sub(r"\$\{\{ (.*?) \}\}", lambda match: {**known, **self.outputs}[match[1]], text)

    def _run(self, line: str, variables: Mapping[str, str], known: Mapping[str, str]) -> dict[str, str]:
        # The local cloud has one account, one backend and no roles to choose from.
        own = {
            name: self._value(value, known)
            for name, value in variables.items()
            if name not in ("PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE")
        }
        output = self.sample.folder.parent / "output"
        output.write_text("")
        own["GITHUB_OUTPUT"] = str(output)
        replace(self.sample, variables={**self.sample.variables, **own}).run("bash", "-e", "-c", line)
        return dict(said.split("=", 1) for said in output.read_text().splitlines())


@pytest.fixture
def forge(monkeypatch: pytest.MonkeyPatch) -> Iterator[Forge]:
    """Yield a stand-in for GitHub's API."""
    with served("GitHub", monkeypatch) as place:
        yield place


def other(color: str) -> str:
    """Return the other color."""
    return {"blue": "green", "green": "blue"}[color]


def test_a_canary_goes_from_its_pull_request_to_production_and_back_by_the_button(sample: Sample, forge: Forge) -> None:
    live = sample.shop("production")["activeColor"]
    idle = other(live)
    colors = yaml.safe_load(sample.file("production").read_text())["config"]["hueshift:services"]["shop"]["colors"]
    if colors[idle].get("parked"):
        sample.configure("production", f"services.shop.colors.{idle}.parked", "false")
        sample.step("up", "production")
        sample.run("git", "commit", "--quiet", "--all", "--message=Give the idle color its pods")

    base = sample.run("git", "rev-parse", "HEAD").stdout.strip()
    sample.configure("production", "canaryWeight", "10")
    sample.run("git", "commit", "--quiet", "--all", "--message=Send a tenth to the new version")
    sample.run("git", "push", "--quiet", "origin", "main")
    runner = Runner(
        sample=sample,
        known={
            "github.event.pull_request.base.sha || github.event.before": base,
            "github.event.pull_request.base.sha": base,
            "github.event.before": base,
            "github.event.pull_request.number": "5",
            "github.token": TOKEN,
            "inputs.stack": "production",
            "inputs.service": "shop",
            "inputs.version": "",
        },
    )

    runner.job("checks", "changes")
    runner.job("preview", "changes")
    for stack in ("staging", "production"):
        runner.job("preview", "stack", stack=stack)
    runner.known["toJSON(needs)"] = json.dumps({name: {"result": "success"} for name in ("changes", "stack")})
    runner.job("preview", "preview")
    (comment,) = forge.comments
    assert f"**production/shop**: {live} 100 → 90 %, {idle} 0 → 10 %" in comment["body"]
    assert sample.shop("production")["weights"] == {live: 100, idle: 0}

    runner.job("delivery", "changes")
    assert runner.outputs["needs.changes.outputs.kind"] == "stacks"
    assert runner.outputs["needs.changes.outputs.stacks"] == '["production"]'
    runner.job("delivery", "apply-production")
    assert sample.shop("production")["weights"] == {live: 90, idle: 10}

    runner.job("drift", "drift", stack="production")
    assert forge.issues == []

    runner.job("rollback", "rollback")
    assert sample.live("production") == {live: 100, idle: 0}
    kept = sample.run("git", "show", "origin/main:Pulumi.production.yaml").stdout
    assert yaml.safe_load(kept)["config"]["hueshift:canaryWeight"] in (0, "0")
