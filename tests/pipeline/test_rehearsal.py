"""An incident, by the jobs of the workflows in the order in which people and their machines would start them.

hueshift and pulumi are stand-ins that write stack files; the same jobs run with both in `tests/e2e/pipeline`.
"""

import re
from pathlib import Path

import pytest
import yaml

from tests.e2e.pipeline.sample import Sample
from tests.e2e.pipeline.test_workflows import Runner
from tests.pipeline.test_steps_in_a_repository import REAL, Place

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
  release*) sed -i 's/activeColor: .*/activeColor: green/' $FILE ;;
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
