"""An incident, by the jobs of the workflows in the order in which people and their machines would start them.

hueshift and pulumi are stand-ins that write stack files; the same jobs run with both in `tests/e2e/pipeline`.
"""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.e2e.pipeline.sample import Sample
from tests.e2e.pipeline.test_workflows import Runner
from tests.pipeline.test_forge import Forge, served
from tests.pipeline.test_steps_in_a_repository import REAL, Place
from tests.pipeline.test_workflows import gitlab

pytestmark = pytest.mark.slow

FILE = "Pulumi.production.yaml"
TEXT = (
    "config:\n  hueshift:activeColor: {active}\n  hueshift:services:\n    shop:\n      host: shop.example.com\n"
    "      colors: {{blue: {{version: 1.4.0}}, green: {{version: {green}}}}}\n"
)
HUESHIFT = r"""
case "$*" in
  changes*) REAL ;;
  status*) exit 0 ;;
  image\ set* | release*) sed -i "s/green: {version: [0-9.]*}/green: {version: $VERSION}/" $FILE ;;&
  release*) sed -i 's/activeColor: .*/activeColor: green/' $FILE; exit ${ENDS:-0} ;;
  rollback*) sed -i 's/activeColor: .*/activeColor: blue/' $FILE ;;
  preview*) echo "production: $(grep activeColor $FILE), $(grep -o 'green: .*}' $FILE)" ;;
esac
echo "hueshift $*" >>LOG
""".replace("REAL", f"{{ {REAL.replace('exec ', '')}; exit; }}").replace("$FILE", FILE)


class Team:
    """Whoever merges, approves and presses buttons, on one repository."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.log = place.folder.parent / "called"
        place.program("hueshift", HUESHIFT.replace("LOG", str(self.log)))
        place.program("pulumi", f'echo "pulumi $*" >>{self.log}')
        (place.folder / "pipeline/setup.sh").write_text("#!/bin/sh\n")
        (place.folder / ".git/info/exclude").write_text("pipeline\nkept\npreview-*.json\n")

    def merge(self, **files: str) -> str:
        """Merge a pull request and return its commit."""
        self.place.git("switch", "--quiet", "main")
        self.place.git("pull", "--quiet", "origin", "main")
        return self.place.commit({name.replace("__", "."): text for name, text in files.items()})

    def runner(self, commit: str, **known: str) -> Runner:
        """Return what runs jobs of a commit."""
        self.place.git("checkout", "--quiet", "--force", "-B", "main", commit)
        there = Sample(
            folder=self.place.folder,
            remote=self.place.folder.parent / "remote",
            variables={**self.place.variables, "GITHUB_REF_NAME": "main", "CI_COMMIT_BRANCH": "", "GITHUB_ACTIONS": ""},
        )
        dotted = {name.replace("__", "."): value for name, value in known.items()}
        return Runner(sample=there, known={"github.sha": commit, **dotted})

    @property
    def main(self) -> tuple[str, str]:
        """Active color and green's version in main."""
        text = self.place.git("show", f"origin/main:{FILE}")
        config = yaml.safe_load(text)["config"]
        return config["hueshift:activeColor"], config["hueshift:services"]["shop"]["colors"]["green"]["version"]

    def deliver(self, commit: str, version: str) -> None:
        """Let the production job of a delivery run."""
        needs = {
            "needs.build.outputs.image": f"shop@sha256:{version}",
            "needs.build.outputs.version": version,
            "needs.build.outputs.schema": "0003",
        }
        runner = self.runner(commit)
        runner.known.update(needs)
        runner.job("delivery", "production")

    def roll_back(self, commit: str) -> None:
        """Press the button."""
        runner = self.runner(commit)
        runner.known.update({"inputs.stack": "production", "inputs.service": "shop", "inputs.version": ""})
        runner.job("rollback", "rollback")
        runner.job("rollback", "keep")


@pytest.fixture
def team(tmp_path: Path) -> Team:
    return Team(Place(tmp_path))


def test_a_delivery_a_bad_hour_and_two_buttons_end_where_people_put_the_traffic(team: Team) -> None:
    first = team.merge(Pulumi__production__yaml=TEXT.format(active="blue", green="1.4.0"), Makefile="1")
    team.deliver(first, "1.5.0")
    assert team.main == ("green", "1.5.0")
    summary = (team.place.folder.parent / "summary").read_text()
    assert "## shop 1.5.0 in production" in summary
    assert "production:   hueshift:activeColor: blue, green: {version: 1.5.0}" in summary
    assert "--commit" not in team.log.read_text(), "the job that releases cannot push"

    # Two people press the button at the checkouts of the same moment; the second job waits for the first.
    team.roll_back(first)
    assert team.main == ("blue", "1.5.0")
    team.roll_back(first)
    assert team.main == ("blue", "1.5.0")
    log = team.place.git("log", "--format=%s", "origin/main").splitlines()
    assert log[:2] == ["Roll back shop in production", "Deliver shop 1.5.0 to production"]


def test_a_delivery_that_was_overtaken_does_not_take_the_later_program_back(team: Team) -> None:
    older = team.merge(Pulumi__production__yaml=TEXT.format(active="blue", green="1.4.0"), Makefile="1")
    newer = team.merge(Makefile="2")
    team.deliver(newer, "1.6.0")
    with pytest.raises(AssertionError, match=f"production has got the program of {newer[:9]}"):
        team.deliver(older, "1.5.0")
    assert team.main == ("green", "1.6.0")


def test_a_flip_that_was_reviewed_before_a_delivery_does_not_send_users_to_what_came_with_it(team: Team) -> None:
    before = team.merge(Pulumi__production__yaml=TEXT.format(active="blue", green="1.5.0"))
    flip = team.merge(Pulumi__production__yaml=TEXT.format(active="green", green="1.5.0"))
    team.merge(Pulumi__production__yaml=TEXT.format(active="green", green="1.6.0"))
    runner = team.runner(flip)
    runner.known["github.event.before"] = before
    with pytest.raises(AssertionError, match="since its review a color whose weight was changed"):
        runner.job("delivery", "apply-production")
    assert not re.search("pulumi up", team.log.read_text())


def test_an_approval_that_comes_after_the_file_has_changed_stops(team: Team) -> None:
    before = team.merge(Pulumi__production__yaml=TEXT.format(active="blue", green="1.5.0"))
    flip = team.merge(Pulumi__production__yaml=TEXT.format(active="green", green="1.5.0"))
    runner = team.runner(flip)
    inputs = {"stack": "production", "service": "", "image": "", "version": "", "schema": "", "rehearsal": ""}
    runner.known.update({f"inputs.{name}": value for name, value in {**inputs, "base": before}.items()})
    runner.job("update", "show")
    team.roll_back(team.place.git("rev-parse", "origin/main"))
    shown = runner.outputs
    runner = team.runner(flip)
    runner.known.update({f"inputs.{name}": value for name, value in {**inputs, "base": before}.items()})
    runner.outputs.update(shown)
    with pytest.raises(AssertionError, match="has changed on main since its preview was shown for approval"):
        runner.job("update", "update")
    assert team.main == ("blue", "1.5.0")


def test_the_program_of_the_repository_has_no_part_in_what_pushes(team: Team) -> None:
    first = team.merge(Pulumi__production__yaml=TEXT.format(active="blue", green="1.4.0"), Makefile="1")
    team.place.program("pulumi", "exit 9")
    runner = team.runner(first)
    runner.known.update(
        {"inputs.files": "kept-production", "inputs.base": first, "inputs.message": "Keep", "inputs.delivers": ""}
    )
    left = team.place.folder.parent / "artifacts/kept-production"
    left.mkdir(parents=True)
    (left / FILE).write_text(TEXT.format(active="green", green="1.4.0"))
    (left / "Pulumi.evil.yaml").write_text("config: {}\n")
    team.place.program("hueshift", "exit 9")
    runner.job("keep", "keep")
    assert team.main == ("green", "1.4.0")
    assert team.place.git("show", "--name-only", "--format=", "origin/main") == FILE


class Pipelines:
    """GitLab's jobs, each in a checkout of its own, with the forge between them."""

    def __init__(self, team: Team, forge: Forge) -> None:
        self.team, self.forge = team, forge

    def job(self, commit: str, name: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        """Run a job, as if for the first time or again, and let it leave what it says that it leaves."""
        place = self.team.place
        place.git("checkout", "--quiet", "--force", "--detach", commit)
        place.git("clean", "--quiet", "--force", "-d")
        job = gitlab()[name]
        given = {key: str(said) for key, said in job["variables"].items() if not str(said).startswith("$")}
        script = "set -e; " + "; ".join([*job.get("before_script", []), *job["script"]])
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=place.folder,
            env={
                **place.variables,
                **{name: os.environ[name] for name in ("CI_API_V4_URL", "CI_PROJECT_ID", "GITLAB_TOKEN")},
                "CI_COMMIT_BRANCH": "main",
                "CI_COMMIT_SHA": commit,
                "CI_JOB_NAME": name,
                "CI_PIPELINE_ID": "9",
                "GITHUB_REF_NAME": "",
                "GITHUB_ACTIONS": "",
                "SERVICE": "shop",
                **{key: said.replace("$SERVICE", "shop") for key, said in given.items()},
                **variables,
            },
            capture_output=True,
            text=True,
            check=False,
        )
        self.forge.jobs = [each for each in self.forge.jobs if each["name"] != name]
        left = [file for path in job.get("artifacts", {}).get("paths", []) for file in place.folder.glob(path)]
        left += [file for file in [place.folder / f"{name}.env"] if file.exists()]
        self.forge.jobs.append(
            {
                "id": max((each["id"] for each in self.forge.jobs), default=0) + 1,
                "name": name,
                "status": "failed" if done.returncode else "success",
                "artifacts_file": {"filename": "artifacts.zip"},
                "left": {file.name: file.read_text() for file in left},
            }
        )
        return done


@pytest.fixture
def pipelines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipelines]:
    with served("GitLab", monkeypatch) as forge:
        yield Pipelines(Team(Place(tmp_path)), forge)


DELIVERY = {"kind": "code", "image": "shop@sha256:1", "version": "1.5.0", "schema": "0003", "VERSION": "1.5.0"}


def test_on_gitlab_a_delivery_that_fails_is_kept_and_red_until_it_has_succeeded_and_is_kept_again(
    pipelines: Pipelines,
) -> None:
    team = pipelines.team
    commit = team.merge(Pulumi__production__yaml=TEXT.format(active="blue", green="1.4.0"), Makefile="1")
    assert pipelines.job(commit, "production", **DELIVERY, ENDS="1").returncode == 1
    assert team.main == ("blue", "1.4.0")
    done = pipelines.job(commit, "keep-production")
    assert done.returncode == 1
    assert "production ended as failed" in done.stderr
    assert team.main == ("green", "1.5.0"), "what was asked of it"
    assert pipelines.job(commit, "production", **{**DELIVERY, "VERSION": "1.5.1"}).returncode == 0
    done = pipelines.job(commit, "keep-production")
    assert done.returncode == 0, done.stderr
    assert team.main == ("green", "1.5.1")
    assert pipelines.job(commit, "keep-production").returncode == 0, "once more does no harm"
    assert team.main == ("green", "1.5.1")
    log = team.place.git("log", "-2", "--format=%B", "origin/main").split("\n\n")
    assert log[0] == "Deliver shop to production"
    assert log[1] == f"Delivers: production {commit}"


def test_on_gitlab_a_job_that_does_nothing_or_is_refused_says_nothing_of_a_delivery_in_main(
    pipelines: Pipelines,
) -> None:
    team = pipelines.team
    commit = team.merge(Pulumi__production__yaml=TEXT.format(active="blue", green="1.4.0"), Makefile="1")
    assert pipelines.job(commit, "production", **{**DELIVERY, "kind": "docs"}).returncode == 0
    done = pipelines.job(commit, "keep-production")
    assert (done.returncode, "nothing to keep: production has done nothing" in done.stderr) == (0, True), done.stderr
    assert pipelines.job(commit, "production", **DELIVERY, file="0" * 40).returncode == 1
    assert pipelines.job(commit, "keep-production").returncode == 1
    assert team.place.git("rev-parse", "origin/main") == commit


def test_on_gitlab_what_main_has_got_meanwhile_on_the_same_lines_is_left_to_a_person(pipelines: Pipelines) -> None:
    team = pipelines.team
    commit = team.merge(Pulumi__production__yaml=TEXT.format(active="blue", green="1.4.0"), Makefile="1")
    assert pipelines.job(commit, "production", **DELIVERY).returncode == 0
    team.place.git("checkout", "--quiet", "--force", "-B", "main", "origin/main")
    team.merge(Pulumi__production__yaml=TEXT.format(active="blue", green="1.4.7"))
    done = pipelines.job(commit, "keep-production")
    assert done.returncode == 1
    assert "main has changed the same lines since" in done.stderr
    assert team.main == ("blue", "1.4.7")
