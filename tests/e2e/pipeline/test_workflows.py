"""The jobs of the workflows in the sample repository, each step as its line stands there, in the order of a release."""

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import yaml

from sandbox import paths
from tests.e2e.pipeline.sample import Sample
from tests.pipeline.test_forge import TOKEN, Forge, served

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

WORKFLOWS = paths.ROOT / ".github/workflows"
ANY, UNSEEN = '["docs", "tests", "stacks", "code"]', '["docs", "tests"]'
"""The kinds of change that need no preview: in a merge queue, in a pull request."""


@dataclass(kw_only=True)
class Runner:
    """Runs jobs as GitHub would: values from ``known``, outputs from one job to the next; nothing that another made."""

    sample: Sample
    known: dict[str, str]
    """By expression, what it stands for."""
    outputs: dict[str, str] = field(default_factory=dict)

    def job(self, workflow: str, name: str, **matrix: str) -> None:
        """Run the steps of a job that run something, or the jobs of the workflow that it calls, in their order.

        Raises ``AssertionError`` with what the first red one has said.
        """
        content = yaml.safe_load((WORKFLOWS / f"{workflow}.yml").read_text())
        job = content["jobs"][name]
        known = {**self.known, **{f"matrix.{key}": value for key, value in matrix.items()}}
        if called := job.get("uses"):
            file = Path(called).name
            declared = yaml.safe_load((WORKFLOWS / file).read_text())
            inputs = {key: said.get("default", "") for key, said in declared[True]["workflow_call"]["inputs"].items()}
            given = {
                key: self._value(str(value).lower() if isinstance(value, bool) else value, known)
                for key, value in job.get("with", {}).items()
            }
            inner = replace(
                self,
                known=known | {f"inputs.{key}": str(value or "") for key, value in {**inputs, **given}.items()},
                outputs={},
            )
            for each in declared["jobs"]:
                inner.job(file.removesuffix(".yml"), each)
            return
        for step in job["steps"]:
            if not self._holds(step.get("if", ""), known):
                continue
            uses, given = step.get("uses", ""), step.get("with", {})
            if uses == "./.github/actions/setup":
                stack = self._value(given.get("stack", ""), known)
                self._run('pipeline/setup.sh "$STACK"', {"STACK": stack}, known)
            elif uses.startswith("actions/upload-artifact@"):
                self._upload(self._value(given["name"], known), self._value(given["path"], known).split())
            elif uses.startswith("actions/download-artifact@") and "name" in given:
                self._download(self._value(given["name"], known), given["path"])
            elif "run" in step:
                variables = {**content.get("env", {}), **job.get("env", {}), **step.get("env", {})}
                written = self._run(step["run"], variables, known)
                self.outputs |= {f"needs.{name}.outputs.{key}": value for key, value in written.items()}

    def _holds(self, condition: str, known: Mapping[str, str]) -> bool:
        """Whether a step runs, by the conditions that are here on an input; whatever else one waits for has come."""
        if condition == "inputs.rehearsal":
            return known["inputs.rehearsal"] == "true"
        compared = re.fullmatch(r"(inputs\.\w+) (==|!=) ''", condition)
        return compared is None or (known[compared[1]] == "") is (compared[2] == "==")

    def _upload(self, name: str, patterns: list[str]) -> None:
        place = self.sample.folder.parent / "artifacts" / name
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        for file in [file for pattern in patterns for file in self.sample.folder.glob(pattern)]:
            shutil.copy(file, place)

    def _download(self, name: str, path: str) -> None:
        place = self.sample.folder / path
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(self.sample.folder.parent / "artifacts" / name, place)

    def _value(self, text: str, known: Mapping[str, str]) -> str:
        there = {**known, **self.outputs}
        return re.sub(
            r"\$\{\{ (.*?) \}\}",
            # The local cloud has one account, one backend and no roles to choose from.
            lambda match: "" if match[1].startswith("vars.") else there[match[1]],
            text,
        )

    def _run(self, line: str, variables: Mapping[str, str], known: Mapping[str, str]) -> dict[str, str]:
        own = {
            name: self._value(str(value), known)
            for name, value in variables.items()
            if name not in ("PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE")
        }
        output = self.sample.folder.parent / "output"
        output.write_text("")
        own |= {
            "GITHUB_OUTPUT": str(output),
            "GITHUB_STEP_SUMMARY": str(self.sample.folder.parent / "summary"),
            "GITHUB_SHA": known["github.sha"],
        }
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
            "github.event.merge_group.base_sha || 'HEAD^1'": "HEAD^1",
            "github.event.before || github.sha": base,
            "github.event.before": base,
            "github.sha": sample.run("git", "rev-parse", "HEAD").stdout.strip(),
            "github.event.pull_request.number": "5",
            f"github.event_name == 'merge_group' && '{ANY}' || '{UNSEEN}'": UNSEEN,
            "github.token": TOKEN,
            "inputs.stack": "production",
            "inputs.service": "shop",
            "inputs.version": "",
        },
    )

    runner.job("preview", "changes")
    for stack in ("staging", "production"):
        runner.job("preview", "stack", stack=stack)
    runner.known["toJSON(needs)"] = json.dumps({name: {"result": "success"} for name in ("changes", "stack")})
    runner.job("preview", "preview")
    (comment,) = forge.comments
    versions = sample.shop("production")["versions"]
    traffic = f"**production/shop**: {live} {versions[live]} 100 → 90 %, {idle} {versions[idle]} 0 → 10 %"
    assert traffic in comment["body"]
    assert sample.shop("production")["weights"] == {live: 100, idle: 0}

    runner.job("delivery", "changes")
    assert runner.outputs["needs.changes.outputs.kind"] == "stacks"
    assert runner.outputs["needs.changes.outputs.stacks"] == '["production"]'
    summary = sample.folder.parent / "summary"
    summary.unlink(missing_ok=True)
    runner.job("delivery", "apply-production")
    assert traffic in summary.read_text(), "shown for approval"
    log = sample.run("git", "log", "--max-count=1", "--format=%B", "origin/main").stdout
    assert f"Delivers: production {runner.known['github.sha']}" in log
    assert sample.shop("production")["weights"] == {live: 90, idle: 10}

    runner.job("drift", "drift", stack="production")
    assert forge.issues == []

    runner.job("rollback", "rollback")
    runner.job("rollback", "keep")
    assert sample.live("production") == {live: 100, idle: 0}
    kept = sample.run("git", "show", "origin/main:Pulumi.production.yaml").stdout
    assert yaml.safe_load(kept)["config"]["hueshift:canaryWeight"] in (0, "0")
