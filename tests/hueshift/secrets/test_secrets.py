"""`hueshift secrets` against moto in this process; a script in place of pulumi keeps what it is told to write."""
# ruff: noqa: ANN401 - what JSON holds

import io
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from botocore.exceptions import ClientError
from moto import mock_aws
from typer.testing import CliRunner, Result

from components import settings
from hueshift import stack
from hueshift.cli import app
from hueshift.report import RefusedError
from hueshift.secrets import containers
from hueshift.secrets.bootstrap import MAKE_CONTAINERS
from hueshift.secrets.values import read_values
from tests.support import program

pytestmark = pytest.mark.slow  # a whole AWS in memory

CONTAINER = "staging/shop/app"
KEYS = ("DATABASE_URL", "JWT_SECRET")
GOOD = {"DATABASE_URL": "postgresql://not-a-secret", "JWT_SECRET": "treated-as-one"}
FIRST, SECOND = (f"{n}{n}{n}{n}{n}{n}{n}{n}-2222-4333-8444-555555555555" for n in (1, 2))
PULUMI = """#!/bin/sh
[ "$2 $3" = "stack --show-name" ] && echo organization/hueshift/staging && exit
[ -z "$REFUSE" ] || { echo "error: $REFUSE" >&2; exit 1; }
shift
IFS="$(printf '\\t')"
echo "$*" >> "$PULUMI_WORDS"
"""


@dataclass
class World:
    """A project with the stack staging, and its account."""

    folder: Path
    aws: Any

    def run(self, *words: str, values: object = None) -> Result:
        text = values if isinstance(values, str) else json.dumps(values)
        return CliRunner().invoke(app, ["secrets", *words], input=text)

    def json(self, *words: str, values: object = None) -> Any:
        done = self.run(*words, "--json", values=values)
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    def refused(self, *words: str, values: object = None) -> str:
        done = self.run(*words, values=values)
        assert (done.exit_code, done.stdout) == (1, ""), done.output
        for value in GOOD.values():
            assert value not in done.output
        return done.stderr

    def change(self, change: Callable[[dict[str, Any]], object]) -> None:
        """Edit what the stack file says of the service shop."""
        file = self.folder / "Pulumi.staging.yaml"
        content = yaml.safe_load(file.read_text())
        change(content["config"]["hueshift:services"]["shop"])
        file.write_text(yaml.safe_dump(content))

    def pin(self, **versions: str | None) -> None:
        for color, version in versions.items():
            self.change(partial(_pin, color=color, pins={"app": version} if version else {}))

    def make(self, **versions: object) -> None:
        """Make the container and put versions, by the names one and two."""
        self.aws.create_secret(Name=CONTAINER)
        for name, values in versions.items():
            token = {"one": FIRST, "two": SECOND}[name]
            self.aws.put_secret_value(SecretId=CONTAINER, ClientRequestToken=token, SecretString=json.dumps(values))

    def stored(self, version: str) -> Any:
        return json.loads(self.aws.get_secret_value(SecretId=CONTAINER, VersionId=version)["SecretString"])

    @property
    def configured(self) -> list[list[str]]:
        """What pulumi was asked to write: key and value of each call."""
        file = self.folder / "words"
        calls = [line.split("\t") for line in file.read_text().splitlines()] if file.exists() else []
        for call in calls:
            how = ["--type", "string"] if call[-1].isdigit() else ["--plaintext"]
            assert call[:-2] == ["config", "set", "--path", *how, "--stack", "staging", "--"]
        return [call[-2:] for call in calls]


def _pin(shop: dict[str, Any], *, color: str, pins: dict[str, str]) -> None:
    shop["colors"][color]["secretVersions"] = pins


@pytest.fixture(scope="module")
def api() -> Any:
    """Return a client that all tests share: making one takes longer than a test, and moto serves it while it is on."""
    return boto3.client("secretsmanager", "eu-west-1", aws_access_key_id="testing", aws_secret_access_key="testing")


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, api: Any) -> Iterator[World]:
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "PULUMI_STACK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    (tmp_path / "Pulumi.yaml").write_text((program.ROOT / "Pulumi.yaml").read_text())
    (tmp_path / "Pulumi.staging.yaml").write_text((program.ROOT / "Pulumi.staging.yaml").read_text())
    (tmp_path / "bin").mkdir()
    pulumi = tmp_path / "bin/pulumi"
    pulumi.write_text(PULUMI)
    pulumi.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    monkeypatch.setenv("PULUMI_WORDS", str(tmp_path / "words"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(boto3.Session, "client", lambda *_: api)
    with mock_aws():
        there = World(tmp_path, api)
        there.change(lambda shop: shop.update(secrets={"app": {"keys": list(KEYS)}}))
        there.pin(blue=FIRST, green=FIRST)
        yield there


# put


def test_values_are_stored_as_a_new_current_version_and_the_old_one_stays(world: World) -> None:
    world.make(one={**GOOD, "JWT_SECRET": "older"})
    said = world.json("put", "shop", "app", values=GOOD)
    assert uuid.UUID(said["version"]).version == 4
    assert world.stored(said["version"]) == GOOD
    assert world.stored(FIRST)["JWT_SECRET"] == "older"
    assert world.aws.get_secret_value(SecretId=CONTAINER)["VersionId"] == said["version"]
    assert said["next"] == [f"hueshift secrets pin shop app --color COLOR --version {said['version']} --stack staging"]


def test_what_is_put_is_not_pinned_and_no_value_is_printed(world: World) -> None:
    world.make(one=GOOD)
    done = world.run("put", "shop", "app", values=GOOD)
    assert done.exit_code == 0
    assert not world.configured
    assert "hueshift secrets pin shop app" in done.stdout
    assert not any(value in done.output for value in GOOD.values())


def test_the_first_values_get_the_version_that_the_colors_wait_for(world: World) -> None:
    world.make()
    said = world.json("put", "shop", "app", values=GOOD)
    assert (said["version"], said["pinnedBy"]) == (FIRST, ["blue", "green"])
    assert said["next"] == ["pulumi up --stack staging"]
    assert world.stored(FIRST) == GOOD


def test_colors_that_wait_for_different_versions_are_not_guessed_between(world: World) -> None:
    world.make()
    world.pin(blue=FIRST, green=SECOND)
    assert "choose one with --version" in world.refused("put", "shop", "app", values=GOOD)
    assert world.json("put", "shop", "app", "--version", SECOND, values=GOOD)["pinnedBy"] == ["green"]


def test_a_version_that_exists_is_not_written_over(world: World) -> None:
    world.make(one={**GOOD, "JWT_SECRET": "older"})
    assert FIRST in world.refused("put", "shop", "app", "--version", FIRST, values=GOOD)
    assert world.stored(FIRST)["JWT_SECRET"] == "older"


def test_a_container_that_does_not_exist_comes_with_the_command_that_makes_it(world: World) -> None:
    said = world.refused("put", "shop", "app", values=GOOD)
    assert f"container {CONTAINER} does not exist in eu-west-1" in said
    assert "pulumi up --stack staging --target '**:BlueGreenService::*' --target '**:SecretEntries::*'" in said


def test_a_container_in_its_recovery_window_is_brought_back_first(world: World) -> None:
    world.make(one=GOOD)
    world.aws.delete_secret(SecretId=CONTAINER)
    assert f"aws secretsmanager restore-secret --secret-id {CONTAINER}" in world.refused(
        "put", "shop", "app", values=GOOD
    )


@pytest.mark.parametrize(
    ("values", "problems"),
    [
        ({"DATABASE_URL": "x"}, ["JWT_SECRET: missing"]),
        ({**GOOD, "JWT_SECERT": "x"}, ["JWT_SECERT: not a key of this entry; did you mean JWT_SECRET?"]),
        ({**GOOD, "treated-as-one": "x"}, ["a key that is not shown: not a key of this entry"]),
        ({"DATABASE_URL": 5, "JWT_SECRET": ""}, ["DATABASE_URL: must be a quoted string", "JWT_SECRET: empty"]),
        ('{"DATABASE_URL": "a", "DATABASE_URL": "b", "JWT_SECRET": "c"}', ["DATABASE_URL: given twice"]),
        (["treated-as-one"], ["not an object"]),
        ("treated-as-one", ["is not JSON (line 1, column 1)"]),
        ("", ["is not JSON (empty)"]),
        ({**GOOD, "JWT_SECRET": "x" * 70_000}, ["more than 65536 bytes"]),
    ],
)
def test_wrong_values_are_refused_all_at_once_and_never_repeated(
    world: World, values: object, problems: list[str]
) -> None:
    world.make()
    said = world.refused("put", "shop", "app", values=values)
    for problem in problems:
        assert problem in said
    assert "xxxx" not in said
    assert world.aws.list_secret_version_ids(SecretId=CONTAINER)["Versions"] == []


def test_a_terminal_is_told_what_to_pipe() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    with pytest.raises(
        RefusedError, match=r'as \{"DATABASE_URL": "…", "JWT_SECRET": "…"\}; pipe them: PUT < values.json'
    ):
        read_values(Terminal("{}"), KEYS, command="PUT")


def test_what_aws_refuses_is_named_without_what_was_sent(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.make()

    def fail(*_: object) -> None:
        raise ClientError({"Error": {"Code": "ThrottlingException", "Message": str(GOOD)}}, "PutSecretValue")

    monkeypatch.setattr(containers.SecretsManager, "put", fail)
    assert "AWS refused PutSecretValue: ThrottlingException" in world.refused("put", "shop", "app", values=GOOD)


# pin


def test_a_pin_is_written_for_the_one_color_that_is_named(world: World) -> None:
    world.make(one=GOOD, two=GOOD)
    said = world.json("pin", "shop", "app", "--color", "green", "--version", SECOND)
    assert world.configured == [["hueshift:services.shop.colors.green.secretVersions.app", SECOND]]
    assert (said["moved"], said["next"]) == (["green"], ["pulumi up --stack staging"])


def test_both_colors_move_only_when_asked_and_the_latest_is_the_current_one(world: World) -> None:
    world.make(one=GOOD, two=GOOD)
    assert world.run("pin", "shop", "app", "--version", "latest").exit_code == 2
    assert not world.configured
    world.json("pin", "shop", "app", "--color", "both", "--version", "latest")
    assert world.configured == [
        [f"hueshift:services.shop.colors.{color}.secretVersions.app", SECOND] for color in ("blue", "green")
    ]


def labels(world: World) -> dict[str, str]:
    """Return which version has the label of each color."""
    listed = world.aws.list_secret_version_ids(SecretId=CONTAINER, IncludeDeprecated=True)["Versions"]
    return {
        stage: version["VersionId"]
        for version in listed
        for stage in version["VersionStages"]
        if not stage.startswith("AWS")
    }


def test_the_label_of_a_color_moves_with_its_pin_and_no_other_does(world: World) -> None:
    world.make(one=GOOD, two=GOOD)
    assert world.json("pin", "shop", "app", "--color", "both", "--version", FIRST)["labelled"] == ["blue", "green"]
    assert labels(world) == {"hueshift-blue": FIRST, "hueshift-green": FIRST}
    done = world.run("pin", "shop", "app", "--color", "green", "--version", SECOND)
    assert f"version {SECOND} of {CONTAINER} has the label hueshift-green" in done.stdout
    assert labels(world) == {"hueshift-blue": FIRST, "hueshift-green": SECOND}
    world.pin(green=SECOND)
    assert world.json("pin", "shop", "app", "--color", "green", "--version", SECOND)["labelled"] == []


def test_values_that_the_colors_wait_for_get_their_labels_when_they_come(world: World) -> None:
    world.make()
    world.json("put", "shop", "app", values=GOOD)
    assert labels(world) == {"hueshift-blue": FIRST, "hueshift-green": FIRST}


def test_a_pin_whose_label_is_refused_is_not_written(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.make(one=GOOD, two=GOOD)

    def denied(**_: object) -> None:
        raise ClientError({"Error": {"Code": "AccessDeniedException"}}, "UpdateSecretVersionStage")

    monkeypatch.setattr(world.aws, "update_secret_version_stage", denied)
    said = world.refused("pin", "shop", "app", "--color", "green", "--version", SECOND)
    assert "AWS refused UpdateSecretVersionStage: AccessDeniedException" in said
    assert not world.configured


def test_a_pin_that_is_there_already_writes_nothing(world: World) -> None:
    world.make(one=GOOD)
    assert world.json("pin", "shop", "app", "--color", "both", "--version", FIRST)["moved"] == []
    assert not world.configured


def test_a_version_that_does_not_exist_is_refused_with_those_that_do(world: World) -> None:
    world.make(one=GOOD)
    said = world.refused("pin", "shop", "app", "--color", "green", "--version", SECOND)
    assert f"has no version {SECOND}; its newest are: {FIRST}" in said
    assert not world.configured


def test_a_version_that_lacks_a_key_is_refused_since_pods_would_not_start(world: World) -> None:
    world.make(one=GOOD, two={"DATABASE_URL": "x"})
    said = world.refused("pin", "shop", "app", "--color", "green", "--version", "latest")
    assert "lacks JWT_SECRET" in said
    assert not world.configured


def test_before_there_are_values_a_new_id_is_pinned_and_put_fills_it(world: World) -> None:
    world.pin(blue=None, green=None)
    said = world.json("pin", "shop", "app", "--color", "both", "--version", "new")
    make, put, update = said["next"]
    assert make.startswith("pulumi up --stack staging --target '**:BlueGreenService::*'")
    assert put == "hueshift secrets put shop app --stack staging < values.json"
    assert update == "pulumi up --stack staging"
    assert [value for _, value in world.configured] == [said["version"]] * 2
    world.pin(blue=said["version"], green=said["version"])
    world.make()
    assert world.json("put", "shop", "app", values=GOOD)["version"] == said["version"]
    assert "already has values" in world.refused("pin", "shop", "app", "--color", "both", "--version", "new")


def test_what_pulumi_refuses_is_passed_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.make(one=GOOD, two=GOOD)
    monkeypatch.setenv("REFUSE", "no stack named 'staging' found")
    said = world.refused("pin", "shop", "app", "--color", "green", "--version", "latest")
    assert "failed: no stack named 'staging' found" in said


# status


def test_the_status_says_what_each_color_has(world: World) -> None:
    world.make(one=GOOD, two=GOOD)
    blue, green = world.json("status")
    assert (blue["color"], blue["version"], blue["exists"], blue["stages"]) == ("blue", FIRST, True, ["AWSPREVIOUS"])
    assert (blue["missing"], blue["rotation"], blue["lacking"]) == ([], "none", False)
    assert blue["next"] == "hueshift secrets pin shop app --color blue --version latest --stack staging"
    world.pin(green=SECOND)
    green = world.json("status")[1]
    assert (green["stages"], green["next"]) == (["AWSCURRENT"], None)


def superseded(world: World) -> None:
    """Let blue and green pin a version that two others came after."""
    world.make(one=GOOD, two=GOOD)
    world.aws.put_secret_value(SecretId=CONTAINER, SecretString=json.dumps(GOOD))


def test_a_version_that_no_label_keeps_is_an_error_until_the_pin_labels_it(world: World) -> None:
    superseded(world)
    done = world.run("status", "--json")
    assert done.exit_code == 1
    blue, green = json.loads(done.stdout)
    assert (blue["exists"], blue["stages"], blue["lacking"]) == (True, [], False)
    assert blue["ends"] == green["ends"] == "it has no label, so Secrets Manager may delete it at any time"
    assert "shop/app blue: it has no label" in world.run("status").stdout
    for row in (blue, green):
        assert world.run(*row["next"].split()[2:]).exit_code == 0
    assert [row["ends"] for row in world.json("status")] == [None, None]
    assert world.configured == [], "the pins are as they were"


def test_a_parked_color_keeps_nothing_that_could_end(world: World) -> None:
    superseded(world)
    world.pin(blue=SECOND)
    world.change(lambda shop: shop["colors"]["green"].update(parked=True))
    assert [row["ends"] for row in world.json("status")] == [None, None]


def test_a_pin_from_before_the_last_two_rotations_is_an_error_though_a_label_keeps_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    superseded(world)
    world.json("pin", "shop", "app", "--color", "both", "--version", FIRST)
    assert [row["ends"] for row in world.json("status")] == [None, None], "without a rotation its password still holds"
    described = world.aws.describe_secret

    def rotated(**wanted: str) -> Any:
        return {**described(**wanted), "RotationEnabled": True, "RotationRules": {"AutomaticallyAfterDays": 30}}

    monkeypatch.setattr(world.aws, "describe_secret", rotated)
    world.pin(green=SECOND)
    done = world.run("status", "--json")
    assert done.exit_code == 1
    blue, green = json.loads(done.stdout)
    assert blue["ends"] == "it is older than AWSPREVIOUS: rotation has changed the password since"
    assert blue["next"] == "hueshift secrets pin shop app --color blue --version latest --stack staging"
    assert (green["stages"], green["ends"]) == (["AWSPREVIOUS"], None)


def test_the_table_shows_no_value_and_no_cut_id(world: World) -> None:
    world.make(one=GOOD)
    done = world.run("status")
    assert done.exit_code == 0
    assert done.stdout.count(FIRST) == 2
    assert "all there" in done.stdout
    assert not any(value in done.output for value in GOOD.values())


@pytest.mark.parametrize(
    ("made", "pins", "step"),
    [
        (None, {}, "pulumi up --stack staging --target"),
        ({}, {}, "hueshift secrets put shop app"),
        ({"one": {"DATABASE_URL": "x"}}, {}, "hueshift secrets put shop app"),
        ({"one": GOOD}, {"green": None}, "hueshift secrets pin shop app --color green --version latest"),
        ({"one": GOOD}, {"green": SECOND}, "hueshift secrets put shop app"),
        ({}, {"blue": None, "green": None}, "hueshift secrets pin shop app --color both --version new"),
    ],
)
def test_what_a_running_color_lacks_is_an_error_with_the_next_step(
    world: World, made: dict[str, object] | None, pins: dict[str, str | None], step: str
) -> None:
    if made is not None:
        world.make(**made)
    world.pin(**pins)
    done = world.run("status", "--json")
    rows = json.loads(done.stdout)
    assert done.exit_code == 1
    assert rows[1]["lacking"]
    assert rows[1]["next"].startswith(step)


def test_a_step_is_printed_as_it_is_typed(world: World) -> None:
    steps = world.run("status").stdout.splitlines()[-1]
    assert steps.endswith(" ".join(f"--target '{urn}'" for urn in MAKE_CONTAINERS))


def test_a_parked_color_lacks_nothing(world: World) -> None:
    world.make(one=GOOD)
    world.pin(green=None)
    world.change(lambda shop: shop["colors"]["green"].update(parked=True))
    assert [row["lacking"] for row in world.json("status")] == [False, False]


def test_keys_that_the_caller_may_not_read_are_unknown_and_no_error(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.make(one=GOOD)

    def denied(**_: object) -> None:
        raise ClientError({"Error": {"Code": "AccessDeniedException"}}, "GetSecretValue")

    monkeypatch.setattr(world.aws, "get_secret_value", denied)
    done = world.run("status")
    assert done.exit_code == 0
    assert "no permission to read" in done.stdout


def test_a_rotation_that_is_declared_and_not_on_is_shown(world: World) -> None:
    world.make(one=GOOD)
    rotation = {"lambdaArn": "arn:aws:lambda:eu-west-1:111122223333:function:rotate", "days": 30}
    world.change(lambda shop: shop["secrets"]["app"].update(rotation=rotation))
    row = world.json("status")[0]
    assert (row["rotation"], row["next"]) == ("declared, not enabled yet", "pulumi up --stack staging")


# entries of another store


@pytest.fixture
def vault(world: World) -> World:
    world.change(lambda shop: shop["secrets"]["app"].update(source={"store": "vault", "path": "kv/shop/app"}))
    world.pin(blue="3", green="3")
    return world


def test_values_of_another_store_are_put_there(vault: World) -> None:
    said = vault.refused("put", "shop", "app", values=GOOD)
    assert "are kept in the store vault at kv/shop/app" in said
    assert "hueshift secrets pin shop app --color COLOR --version VERSION" in said


def test_a_version_of_another_store_is_pinned_as_that_store_calls_it(vault: World) -> None:
    vault.json("pin", "shop", "app", "--color", "green", "--version", "4")
    assert vault.configured == [["hueshift:services.shop.colors.green.secretVersions.app", "4"]]
    assert "only vault knows its versions" in vault.refused(
        "pin", "shop", "app", "--color", "green", "--version", "latest"
    )


def test_another_store_is_not_asked_for_the_status(vault: World) -> None:
    row = vault.json("status")[0]
    assert (row["store"], row["version"], row["exists"], row["lacking"]) == ("vault", "3", None, False)
    vault.pin(green=None)
    assert vault.run("status").exit_code == 1


# stacks


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["put", "shpo", "app"], "no service of stack staging is called 'shpo'; did you mean shop?"),
        (["put", "shop", "ap"], "no secret entry of shop is called 'ap'; did you mean app?"),
        (["status", "--stack", "stagin"], "no stack with a file here is called 'stagin'; did you mean staging?"),
    ],
)
def test_a_name_that_is_wrong_is_answered_with_the_nearest(world: World, words: list[str], problem: str) -> None:
    assert problem in world.refused(*words, values=GOOD)


def test_wrong_settings_are_said_as_a_preview_says_them(world: World) -> None:
    world.change(lambda shop: shop.update(port=80))
    assert "hueshift:services.shop.port: 80 is out of range" in world.refused("status")


def test_outside_a_project_the_commands_say_where_to_run_them(
    world: World, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert "run this in the project" in world.refused("status")


def test_a_default_of_the_project_counts_where_the_stack_file_is_silent(world: World) -> None:
    file = world.folder / "Pulumi.yaml"
    declared = yaml.safe_load(file.read_text())
    declared["config"]["canaryWeight"]["default"] = 7
    file.write_text(yaml.safe_dump(declared))
    assert stack.load("staging").settings.canary_weight == 7


@pytest.mark.parametrize("name", program.STACKS)
def test_the_files_of_a_stack_mean_to_the_commands_what_they_mean_to_the_program(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(program.ROOT)
    keys = {key.removeprefix("hueshift:"): value for key, value in program.config(name).items() if "aws:" not in key}
    assert stack.load(f"organization/hueshift/{name}").settings == settings.parse(keys, stack=name)


def test_secrets_manager_is_asked_in_the_region_of_the_stack(world: World) -> None:
    file = world.folder / "Pulumi.staging.yaml"
    file.write_text(file.read_text().replace("eu-west-1", "eu-central-1"))
    assert stack.load("staging").aws().region_name == "eu-central-1"


def test_the_command_runs_the_package_of_the_checkout_it_is_called_in(tmp_path: Path) -> None:
    for folder, said in ((program.ROOT / "docs", "Usage: hueshift secrets"), (tmp_path, "run this in the project")):
        done = subprocess.run(
            [Path(sys.prefix).resolve() / "bin/hueshift", "secrets", "--help"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert said in done.stdout + done.stderr
