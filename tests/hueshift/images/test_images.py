"""`hueshift image`: what it takes for proof that an image ran, and what it keeps of it; a script answers for pulumi."""
# ruff: noqa: ANN401 - what JSON holds

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from botocore.exceptions import NoCredentialsError
from typer.testing import CliRunner, Result

from components import rules
from components.settings import ran
from hueshift.cli import app
from hueshift.images import command as images
from hueshift.stack import productions
from tests.support import program
from tests.support.ecr import HOST, Ecr
from tests.support.one_rule import Balancer, answering, forward

pytestmark = pytest.mark.slow  # a whole AWS in memory

REPOSITORY = f"{HOST}/shop"
PULUMI = """#!/bin/sh
case "$*" in
"--non-interactive stack history --page-size 20 --json --stack staging") cat history.json ;;
"--non-interactive stack output --json --stack "*) cat output.json ;;
"--non-interactive config "*)
  echo "$*" >>calls
  echo "# $*" >>Pulumi.staging.yaml
  [ ! -e broken ] || [ "$(wc -l <calls)" -lt 2 ] ;;
*) echo "error: unexpected $*" >&2; exit 1 ;;
esac
"""
FULL = {"kind": "update", "result": "succeeded", "environment": {}}


def digest(digit: int) -> str:
    return f"sha256:{digit:064x}"


@dataclass
class World:
    """A project with its stack files and the record, and what pulumi knows of the stack staging."""

    folder: Path
    balancer: Balancer = field(default_factory=lambda: Balancer(forward(blue=100, green=0)))
    ecr: Ecr = field(default_factory=Ecr)

    def client(self, name: str, **_: Any) -> Any:
        """Stand for a session with AWS."""
        assert name == "ecr"
        return self.ecr

    def run(self, *words: str) -> Result:
        return CliRunner().invoke(app, ["image", *words])

    def json(self, *words: str) -> Any:
        done = self.run(*words, "--json")
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    def refused(self, *words: str) -> str:
        before = (self.folder / "releases.json").read_text()
        done = self.run(*words)
        assert (done.exit_code, done.stdout) == (1, ""), done.output
        assert (self.folder / "releases.json").read_text() == before
        return done.stderr

    def change(self, change: Callable[[dict[str, Any]], object], stack: str = "staging") -> None:
        """Edit what a stack file says of the colors of the service shop."""
        file = self.folder / f"Pulumi.{stack}.yaml"
        content = yaml.safe_load(file.read_text())
        change(content["config"]["hueshift:services"]["shop"]["colors"])
        file.write_text(yaml.safe_dump(content))

    def deploy(self, **colors: tuple[str, str]) -> None:
        """Let colors run an image in a version, and the stack file say so."""
        for color, (image, version) in colors.items():
            self.change(lambda all_, c=color, i=image, v=version: all_[c].update(image=i, version=v))  # type: ignore[misc]
        content = yaml.safe_load((self.folder / "Pulumi.staging.yaml").read_text())
        shop = content["config"]["hueshift:services"]["shop"]["colors"]
        summary = {
            "images": {color: release["image"] for color, release in shop.items()},
            "versions": {color: release["version"] for color, release in shop.items()},
        }
        (self.folder / "output.json").write_text(json.dumps({"services": {"shop": summary}}))
        for release in shop.values():
            if "@" in release["image"]:
                self.ecr.push(release["image"].partition("@")[2])

    def history(self, *entries: dict[str, Any]) -> None:
        """Say what was done to the stack, the newest first."""
        (self.folder / "history.json").write_text(json.dumps(entries))

    @property
    def record(self) -> list[tuple[str, str]]:
        items = json.loads((self.folder / "releases.json").read_text())["shop"]
        return [(item["version"], item["digest"]) for item in items]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.delenv("PULUMI_STACK", raising=False)
    for name in ("Pulumi.yaml", "Pulumi.staging.yaml", "Pulumi.production.yaml", "releases.json"):
        (tmp_path / name).write_text((program.ROOT / name).read_text())
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/pulumi").write_text(PULUMI)
    (tmp_path / "bin/pulumi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    there = World(tmp_path)
    monkeypatch.setattr(boto3, "Session", lambda **_: there)
    answering(monkeypatch, there.balancer)
    there.history(FULL)
    there.deploy()
    return there


def new(number: int) -> tuple[str, str]:
    return f"{REPOSITORY}@{digest(number)}", f"1.{number}.0"


COLORS = {"blue": 6, "green": 7}
RECORD = ("record", "shop", "--stack", "staging")


def test_what_runs_is_added_with_its_version_the_newest_last_and_production_may_take_it(world: World) -> None:
    before = world.record
    world.deploy(blue=new(7), green=new(6))
    said = world.json(*RECORD)
    assert world.record == [*before, ("1.6.0", digest(6)), ("1.7.0", digest(7))]
    assert said["added"] == [{"version": f"1.{n}.0", "digest": digest(n)} for n in (6, 7)]
    assert {digest(6), digest(7)} <= set(ran(world.folder / "releases.json")["shop"])
    assert said["next"] == [
        "git add releases.json && git commit",
        f"hueshift image set shop {new(7)[0]} --version 1.7.0 --schema 0001 --stack production",
    ]


def test_what_is_recorded_has_its_version_for_a_tag_so_that_no_build_pushes_it_out(world: World) -> None:
    world.deploy(green=new(6))
    assert world.json(*RECORD)["tagged"][-1] == {"version": "1.6.0", "digest": digest(6)}
    assert world.ecr.tags[digest(6)] == ["1.6.0"]
    assert world.json(*RECORD)["tagged"] == []
    world.ecr.tags[digest(6)].clear()
    assert f"ECR: shop 1.6.0 is a tag of {digest(6)}" in world.run(*RECORD).stdout, "what an older record lacks"


def test_another_digest_under_a_version_that_was_released_is_refused_and_nothing_is_recorded(world: World) -> None:
    world.deploy(green=new(6))
    world.json(*RECORD)
    world.deploy(green=(new(7)[0], "1.6.0"))
    assert f"shop 1.6.0 is {digest(6)} in releases.json" in world.refused(*RECORD)
    (world.folder / "releases.json").write_text("{}")
    assert f"in ECR shop:1.6.0 is {digest(6)}, but {digest(7)} ran as 1.6.0" in world.refused(*RECORD)
    world.deploy(blue=(new(8)[0], "1.8.0"), green=(new(9)[0], "1.8.0"))
    assert "or in the other color" in world.refused(*RECORD)


def test_an_image_that_the_lifecycle_has_taken_is_not_recorded(world: World) -> None:
    world.deploy(green=new(6))
    del world.ecr.tags[digest(6)]
    assert f"ECR has no shop@{digest(6)}" in world.refused(*RECORD)


def test_ecr_is_told_by_its_name_or_by_a_repository_of_this_stack_and_others_are_left_alone(world: World) -> None:
    world.deploy(**{color: (f"127.0.0.1:5000/shop@{digest(n)}", f"1.{n}.0") for color, n in COLORS.items()})
    file = world.folder / "Pulumi.staging.yaml"
    content = yaml.safe_load(file.read_text())
    owned = file.read_text()
    del content["config"]["hueshift:registry"]
    file.write_text(yaml.safe_dump(content))
    assert world.json(*RECORD)["tagged"] == []
    file.write_text(owned)
    assert [item["version"] for item in world.json(*RECORD)["tagged"]] == ["1.6.0", "1.7.0"]


def test_the_record_of_other_services_stays_as_it_is(world: World) -> None:
    before = json.loads((world.folder / "releases.json").read_text())
    world.deploy(green=new(6))
    world.json(*RECORD)
    after = json.loads((world.folder / "releases.json").read_text())
    assert {**after, "shop": None} == {**before, "shop": None}
    assert list(after) == list(before)


def test_a_second_time_changes_nothing(world: World) -> None:
    world.deploy(green=new(6))
    world.json(*RECORD)
    file = world.folder / "releases.json"
    before = file.stat()
    done = world.run(*RECORD)
    assert done.exit_code == 0
    assert "nothing changed" in done.stdout
    assert "ECR" not in done.stdout
    assert file.stat().st_mtime_ns == before.st_mtime_ns
    assert world.json(*RECORD)["added"] == []


def test_one_digest_in_both_colors_is_recorded_once(world: World) -> None:
    world.deploy(blue=new(6), green=new(6))
    assert len(world.json(*RECORD)["added"]) == 1


def test_a_parked_color_proves_nothing(world: World) -> None:
    world.deploy(green=new(6))
    world.change(lambda colors: colors["green"].update(parked=True))
    assert world.json(*RECORD)["added"] == []


def test_the_oldest_go_and_never_one_that_a_stack_file_names(world: World) -> None:
    needed = world.record
    for number in range(10, 10 + images.KEPT):
        world.deploy(green=new(number))
        said = world.json(*RECORD)
    assert len(world.record) == images.KEPT + 2
    assert world.record[:2] == needed, "both are in Pulumi.production.yaml"
    for number in (98, 99):
        world.deploy(green=new(number))
        said = world.json(*RECORD)
    assert [item["version"] for item in said["dropped"]] == ["1.11.0"]
    assert len(world.record) == images.KEPT + 2
    assert world.record[-1] == ("1.99.0", digest(99))


@pytest.mark.parametrize(
    ("entries", "why"),
    [
        ([], "never deployed"),
        ([{**FULL, "result": "failed"}, FULL], "the last update of staging failed"),
        ([{**FULL, "result": "in-progress"}, FULL], "has not ended"),
        ([{**FULL, "kind": "destroy"}, FULL], "the last destroy of staging removed it"),
        ([{**FULL, "environment": {"pulumi.flag.target": "set"}}, FULL], "of some resources only (--target)"),
        ([{**FULL, "environment": {"pulumi.flag.exclude": "set"}}, FULL], "of some resources only (--exclude)"),
    ],
    ids=["never", "failed", "running", "destroyed", "targeted", "excluded"],
)
def test_only_a_whole_update_that_succeeded_proves_that_an_image_ran(
    world: World, entries: list[dict[str, Any]], why: str
) -> None:
    world.deploy(green=new(6))
    world.history(*entries)
    said = world.refused(*RECORD)
    assert why in said
    assert "pulumi up --stack staging" in said


def test_a_refresh_after_the_update_changes_nothing_of_that(world: World) -> None:
    world.deploy(green=new(6))
    world.history({**FULL, "kind": "refresh", "result": "failed"}, FULL)
    assert len(world.json(*RECORD)["added"]) == 1


@pytest.mark.parametrize("edit", [{"image": new(6)[0]}, {"version": "1.6.0"}], ids=lambda edit: next(iter(edit)))
def test_a_stack_file_that_was_edited_since_is_not_what_ran(world: World, edit: dict[str, str]) -> None:
    world.change(lambda colors: colors["green"].update(edit))
    said = world.refused(*RECORD)
    assert "Pulumi.staging.yaml has changed since the last update, which left green at 1.5.0 (111122223333.dkr" in said
    assert "deploy it first: pulumi up --stack staging" in said


@pytest.mark.parametrize("name", ["shop", "team/shop"])
def test_a_tag_is_refused_with_the_way_to_its_digest(world: World, name: str) -> None:
    world.deploy(green=(f"{REPOSITORY.partition('/')[0]}/{name}:1.6.0", "1.6.0"))
    said = world.refused(*RECORD)
    assert f"--repository-name {name} --image-ids imageTag=1.6.0" in said
    assert (
        "pulumi config set --path hueshift:services.shop.colors.green.image REPOSITORY@DIGEST --stack staging" in said
    )


def test_production_is_what_a_stack_file_says_it_is_and_else_what_its_name_says(world: World) -> None:
    text = (world.folder / "Pulumi.production.yaml").read_text()
    (world.folder / "Pulumi.eu1.yaml").write_text(text.replace("config:\n", "config:\n  hueshift:production: true\n"))
    (world.folder / "Pulumi.production.yaml").write_text(
        text.replace("config:\n", 'config:\n  hueshift:production: "false"\n')
    )
    assert list(productions(world.folder)) == ["eu1"]


def test_production_is_held_to_the_record_and_does_not_write_it(world: World) -> None:
    assert "takes what another stack ran" in world.refused("record", "shop", "--stack", "production")


def test_a_service_that_is_misspelt_is_answered_with_the_nearest(world: World) -> None:
    assert "did you mean shop?" in world.refused("record", "shpo", "--stack", "staging")
    assert "did you mean shop?" in world.refused("list", "shpo")


def test_a_record_that_is_none_is_not_written_over(world: World) -> None:
    (world.folder / "releases.json").write_text("{")
    assert "git checkout" in world.refused(*RECORD)


def test_the_first_record_makes_the_file(world: World) -> None:
    (world.folder / "releases.json").unlink()
    world.json(*RECORD)
    assert [version for version, _ in world.record] == ["1.4.0", "1.5.0"]


def give(image: str, version: str, *words: str, stack: str = "staging") -> tuple[str, ...]:
    return ("set", "shop", image, "--version", version, "--stack", stack, *words)


def written(world: World) -> list[str]:
    """Return what was asked of pulumi, as `set KEY VALUE` or `rm KEY` below the color."""
    calls = world.folder / "calls"
    lines = calls.read_text().splitlines() if calls.exists() else []
    return [
        f"{line.split()[2]} {line.partition(' -- ')[2].removeprefix('hueshift:services.shop.colors.')}"
        for line in lines
    ]


def test_a_new_image_goes_to_the_idle_color_with_its_version_and_nothing_else_does(world: World) -> None:
    image, version = new(6)
    said = world.json(*give(image, version, "--schema", "0003"))
    assert written(world) == [f"set green.image {image}", f"set green.version {version}", "set green.schema 0003"]
    assert (said["color"], said["changed"]) == ("green", ["image", "schema", "version"])
    assert said["next"] == ["pulumi up --stack staging"]


def test_without_a_schema_that_of_before_stays(world: World) -> None:
    world.json(*give(*new(6), "--schema", ""))
    assert [line.split()[1] for line in written(world)] == ["green.image", "green.version"]


def test_a_parked_color_is_unparked_and_it_is_said(world: World) -> None:
    world.change(lambda colors: colors["green"].update(parked=True))
    done = world.run(*give(*new(6)))
    assert done.exit_code == 0, done.output
    assert written(world)[-1] == "rm green.parked"
    assert "green is no longer parked" in done.stdout


def test_what_the_idle_color_has_already_is_not_written_again(world: World) -> None:
    world.deploy(green=new(6))
    done = world.run(*give(*new(6)))
    assert "nothing changed" in done.stdout
    assert written(world) == []


def test_a_color_in_a_canary_keeps_its_image(world: World) -> None:
    file = world.folder / "Pulumi.staging.yaml"
    content = yaml.safe_load(file.read_text())
    content["config"]["hueshift:canaryWeight"] = 10
    file.write_text(yaml.safe_dump(content))
    assert "green of shop gets 10 % of the requests by Pulumi.staging.yaml" in world.refused(*give(*new(6)))
    assert written(world) == []


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (
            forward(blue=0, green=100),
            "the load balancer has blue 0 %, green 100 %, and Pulumi.staging.yaml says blue 100",
        ),
        (
            forward(blue=90, green=10),
            "the load balancer has blue 90 %, green 10 %, and Pulumi.staging.yaml says blue 100",
        ),
        ({"Actions": [{"Type": "fixed-response"}]}, "the production rule answers requests by itself"),
        (NoCredentialsError(), "the load balancer cannot be asked who is live: no AWS credentials"),
    ],
    ids=["flipped", "canary", "closed", "stranger"],
)
def test_a_color_that_is_live_or_may_be_gets_no_image_whatever_the_last_update_said(
    world: World, answer: Any, why: str
) -> None:
    world.balancer.answer = answer
    assert why in world.refused(*give(*new(6)))
    assert written(world) == []


def test_after_a_refused_flip_the_commands_that_mend_the_difference_are_named(world: World) -> None:
    file = world.folder / "Pulumi.staging.yaml"
    content = yaml.safe_load(file.read_text())
    content["config"]["hueshift:activeColor"] = "green"
    file.write_text(yaml.safe_dump(content))
    said = world.refused(*give(*new(6)))
    assert "to move the traffic to what the file says: pulumi up --refresh --stack staging" in said
    assert "pulumi config set --path activeColor blue --stack staging" in said
    assert written(world) == []


def test_a_service_that_serves_nobody_yet_has_no_idle_color(world: World) -> None:
    world.balancer.host = "another.example.com"
    said = world.refused(*give(*new(6)))
    assert "shop: eu-west-1 has no production rule for shop.staging.example.com" in said
    assert "if it was never deployed: pulumi up --stack staging" in said


def test_what_the_update_would_refuse_is_not_written(world: World) -> None:
    before = (world.folder / "Pulumi.production.yaml").read_text()
    assert "version" in world.refused(*give(new(6)[0], "new"))
    world.balancer.host = "shop.example.com"
    said = world.refused(*give(*new(6), stack="production"))
    assert "hueshift image record shop --stack staging" in said
    assert "can change its content" in world.refused(*give(f"{REPOSITORY}:latest", "1.6.0", stack="production"))
    assert "did you mean shop?" in world.refused("set", "shpo", new(6)[0], "--version", "1.6.0", "--stack", "staging")
    assert (world.folder / "Pulumi.production.yaml").read_text() == before
    assert written(world) == []


def test_what_could_be_written_only_in_part_is_put_back(world: World) -> None:
    (world.folder / "broken").touch()
    before = (world.folder / "Pulumi.staging.yaml").read_text()
    assert "config set" in world.refused(*give(*new(6)))
    assert len(written(world)) == 2
    assert (world.folder / "Pulumi.staging.yaml").read_text() == before


def test_a_service_of_one_color_has_no_idle_one(world: World) -> None:
    def alone(colors: dict[str, Any]) -> None:
        del colors["green"]

    file = world.folder / "Pulumi.staging.yaml"
    world.change(alone)
    content = yaml.safe_load(file.read_text())
    content["config"]["hueshift:services"]["shop"]["strategy"] = {"kind": "rolling"}
    file.write_text(yaml.safe_dump(content))
    assert "has only one color, so none is idle" in world.refused(*give(*new(6)))


def test_the_list_says_which_colors_name_each_digest_now(world: World) -> None:
    world.deploy(green=new(6))
    world.json(*RECORD)
    world.change(lambda colors: colors["blue"].update(parked=True))
    said = world.json("list", "shop")
    assert [(item["version"], item["usedBy"]) for item in said["record"]] == [
        ("1.6.0", ["staging green"]),
        ("1.5.0", ["production green"]),
        ("1.4.0", ["production blue", "staging blue (parked)"]),
    ]
    assert said["unrecorded"] == []
    world.deploy(green=new(8))
    assert world.json("list", "shop")["unrecorded"] == [{"digest": digest(8), "usedBy": ["staging green"]}]
    shown = world.run("list", "shop").stdout
    assert all(digest(number) in shown for number in (6, 8))
    assert "not recorded" in shown


def test_the_list_goes_on_where_a_file_has_no_mapping_of_colors(world: World) -> None:
    file = world.folder / "Pulumi.staging.yaml"
    content = yaml.safe_load(file.read_text())
    content["config"]["hueshift:services"]["shop"]["colors"] = ["blue"]
    file.write_text(yaml.safe_dump(content))
    assert {place for item in world.json("list", "shop")["record"] for place in item["usedBy"]} == {
        "production blue",
        "production green",
    }


def test_what_production_says_of_an_untried_digest_can_be_run_as_it_stands(world: World) -> None:
    said = rules.untried_problem(new(6)[0], service="shop", ran={})
    assert said is not None
    command = said.partition("`hueshift image ")[2].partition("`")[0]
    world.deploy(green=new(6))
    assert world.run(*command.split()).exit_code == 0
    assert rules.untried_problem(new(6)[0], service="shop", ran=ran(world.folder / "releases.json")["shop"]) is None


def test_evidence_is_of_the_image_that_users_get_and_every_later_record_keeps_it(world: World) -> None:
    world.deploy(blue=new(6), green=new(7))
    said = world.json(
        *RECORD, "--evidence", "tests=https://ci.example.com/7", "--evidence", "scan=https://ci.example.com/8"
    )
    assert said["evidence"] == {"tests": "https://ci.example.com/7", "scan": "https://ci.example.com/8"}
    world.json(*RECORD, "--evidence", "rollback=https://ci.example.com/9")
    assert "nothing changed" in world.run(*RECORD).stdout
    shown = ran(world.folder / "releases.json")["shop"]
    assert {number: shown[digest(number)] for number in (6, 7)} == {6: ("tests", "scan", "rollback"), 7: ()}


@pytest.mark.parametrize("given", ["test=https://ci.example.com/7", "tests", "tests="])
def test_evidence_of_nothing_that_is_known_or_without_a_place_is_refused(world: World, given: str) -> None:
    world.deploy(green=new(6))
    assert "--evidence test" in world.refused(*RECORD, "--evidence", given)


def test_what_users_have_already_is_set_nowhere_where_that_is_wished_and_the_way_back_stays(world: World) -> None:
    image = yaml.safe_load((world.folder / "Pulumi.staging.yaml").read_text())["config"]["hueshift:services"]["shop"][
        "colors"
    ]["blue"]["image"]
    done = world.run(*give(image, "1.4.0", "--unless-served"))
    assert done.exit_code == 0, done.stderr
    assert f"already has {image} for blue; nothing changed" in done.stdout
    assert written(world) == []
    assert world.run(*give(image, "1.4.0", "--older")).exit_code == 0, "a color that is broken gets what works"
    assert f"set green.image {image}" in written(world)


def test_an_older_version_than_a_color_has_is_set_only_by_name(world: World) -> None:
    image = new(1)[0]
    assert "1.1.0 is older than 1.5.0, which green has" in world.refused(*give(image, "1.1.0"))
    assert written(world) == []
    assert world.run(*give(image, "1.1.0", "--older")).exit_code == 0
    assert f"set green.image {image}" in written(world)
