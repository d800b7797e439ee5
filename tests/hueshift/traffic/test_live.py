"""Who is live: what the load balancer says becomes one decision, and what it does not say is never guessed."""
# ruff: noqa: ANN401 - what JSON holds

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from botocore.exceptions import ClientError, NoCredentialsError
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from components.model import Color
from hueshift.cli import app
from hueshift.report import RefusedError
from hueshift.traffic import live
from sandbox import __main__ as sandbox
from tests.support import program

BLUE, GREEN = Color.BLUE, Color.GREEN
ARN = "arn:aws:elasticloadbalancing:eu-west-1:111122223333:listener-rule/app/edge-alb/1/2/3"
GROUPS = {"tg-blue": BLUE, "tg-green": GREEN}


def forward(**weights: int) -> dict[str, Any]:
    """Return a rule as ``DescribeRules`` answers, that shares its requests between the groups of colors."""
    groups = [{"TargetGroupArn": f"tg-{color}", "Weight": weight} for color, weight in weights.items()]
    return {"Actions": [{"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}]}


def exported(**more: Any) -> dict[str, Any]:
    """Return a state with the production rule of shop and the groups of two services."""
    groups = [
        {
            "type": "aws:lb/targetGroup:TargetGroup",
            "urn": f"urn::{service}-tg-{color}",
            "id": f"tg-{color}" if service == "shop" else f"other-{color}",
            "inputs": {"tags": {"service": service, "color": color}},
        }
        for service in ("shop", "orders")
        for color in ("blue", "green")
    ]
    rule = {"type": "aws:lb/listenerRule:ListenerRule", "urn": "urn::shop-traffic-production", "id": ARN, **more}
    return {"deployment": {"resources": [{"type": "pulumi:pulumi:Stack", "urn": "urn::stack"}, *groups, rule]}}


@dataclass
class Balancer:
    """What answers for the load balancer: a rule, or an error."""

    answer: Any

    def client(self, name: str, *, region_name: str, **_: object) -> "Balancer":
        assert (name, region_name) == ("elbv2", "eu-west-1")
        return self

    def describe_rules(self, *, RuleArns: list[str]) -> Any:  # noqa: N803 - AWS's own
        assert RuleArns == [ARN]
        if isinstance(self.answer, Exception):
            raise self.answer
        return {"Rules": [self.answer]}


def asked(answer: Any) -> Any:
    return live.ask(Balancer(answer), ARN, GROUPS)  # type: ignore[arg-type]


def test_the_idle_color_is_the_one_without_a_weight_whose_other_has_all() -> None:
    assert live.idle({BLUE: 100, GREEN: 0}) is GREEN
    assert live.idle({BLUE: 0, GREEN: 100}) is BLUE
    assert live.idle({GREEN: 100}) is BLUE, "a color whose group is not made yet gets nobody"


@pytest.mark.parametrize("found", [{BLUE: 90, GREEN: 10}, {BLUE: 50, GREEN: 50}, {BLUE: 0, GREEN: 0}, {}])
def test_in_between_no_color_is_idle(found: dict[Color, int]) -> None:
    with pytest.raises(RefusedError, match="no color is idle"):
        live.idle(found)


@given(st.integers(1, 999), st.integers(1, 999))
def test_a_color_with_any_weight_is_never_taken_for_idle(blue: int, green: int) -> None:
    found = live.shares(forward(blue=blue, green=green), GROUPS)
    assert all(1 <= share <= 99 for share in found.values())
    with pytest.raises(RefusedError):
        live.idle(found)


def test_weights_are_told_in_percent_whatever_their_sum_and_order() -> None:
    assert live.shares(forward(green=3, blue=1), GROUPS) == {BLUE: 25, GREEN: 75}


def test_one_group_alone_has_all_the_traffic_whatever_its_weight() -> None:
    alone = {"Actions": [{"Type": "forward", "TargetGroupArn": "tg-green"}]}
    for rule in (alone, forward(green=7), forward(green=0)):
        assert live.shares(rule, GROUPS) == {BLUE: 0, GREEN: 100}


def test_a_rule_that_sends_nobody_to_a_color_is_refused_with_what_it_does() -> None:
    for rule, said in (
        ({"Actions": [{"Type": "fixed-response"}]}, r"answers requests by itself \(fixed-response\)"),
        (forward(blue=0, green=0), "gives all of them the weight 0"),
        (forward(red=100), "names tg-red, which the state does not know"),
    ):
        with pytest.raises(RefusedError, match=said):
            live.shares(rule, GROUPS)


def test_who_may_not_ask_is_told_why_and_nothing_is_guessed() -> None:
    denied = ClientError({"Error": {"Code": "AccessDenied", "Message": "x"}}, "DescribeRules")
    for error, said in (
        (denied, "AWS refused DescribeRules: AccessDenied"),
        (NoCredentialsError(), "no AWS credentials; log in first"),
    ):
        with pytest.raises(RefusedError, match=f"the load balancer cannot be asked who is live: {said}"):
            asked(error)
    assert asked(forward(blue=100, green=0)) == {BLUE: 100, GREEN: 0}


def test_the_state_names_the_rule_and_the_colors_of_this_service_alone() -> None:
    assert live.production_rule(exported(), "shop") == (ARN, GROUPS)
    empty: dict[str, Any] = {"deployment": {}}
    for state, service in ((exported(), "orders"), (empty, "shop"), (exported(delete=True), "shop")):
        with pytest.raises(RefusedError, match=f"the state has no production rule of {service}"):
            live.production_rule(state, service)


PULUMI = """#!/bin/sh
case "$*" in
"--non-interactive stack export --stack staging") cat state.json ;;
*) echo "error: unexpected $*" >&2; exit 1 ;;
esac
"""
Change = Callable[[dict[str, Any]], object]


@dataclass
class World:
    """A project with the stack staging, whose file says blue 100 %, and a load balancer."""

    folder: Path
    balancer: Balancer

    def run(self, *words: str) -> Result:
        return CliRunner().invoke(app, ["live", *(words or ("shop",)), "--stack", "staging"])

    def change(self, change: Change) -> None:
        file = self.folder / "Pulumi.staging.yaml"
        content = yaml.safe_load(file.read_text())
        change(content["config"])
        file.write_text(yaml.safe_dump(content))


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    for name in ("Pulumi.yaml", "Pulumi.staging.yaml", "releases.json"):
        (tmp_path / name).write_text((program.ROOT / name).read_text())
    (tmp_path / "state.json").write_text(json.dumps(exported()))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/pulumi").write_text(PULUMI)
    (tmp_path / "bin/pulumi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    there = World(tmp_path, Balancer(forward(blue=100, green=0)))
    monkeypatch.setattr(boto3, "Session", lambda **_: there.balancer)
    return there


def test_what_is_live_is_printed_and_is_what_the_file_says(world: World) -> None:
    done = world.run()
    assert (done.exit_code, done.stdout) == (0, "shop in staging: blue 100 %, green 0 %\n"), done.output
    assert json.loads(world.run("shop", "--json").stdout) == {
        "stack": "staging",
        "service": "shop",
        "live": {"blue": 100, "green": 0},
        "file": {"blue": 100, "green": 0},
    }


def test_where_the_file_says_something_else_both_are_named_with_what_mends_it(world: World) -> None:
    world.balancer.answer = forward(blue=10, green=90)
    done = world.run()
    assert (done.exit_code, done.stdout) == (1, "shop in staging: blue 10 %, green 90 %\n")
    assert done.stderr == (
        "error: shop: the load balancer has blue 10 %, green 90 %, and Pulumi.staging.yaml says blue 100 %, green 0 %; "
        "to keep what is live, write it into the file: pulumi config set --path activeColor green --stack staging && "
        "pulumi config set --path canaryWeight 10 --stack staging; "
        "to move the traffic to what the file says: pulumi up --refresh --stack staging\n"
    )


def test_a_service_with_a_key_of_its_own_is_mended_by_that(world: World) -> None:
    world.change(lambda config: config["hueshift:services"]["shop"].update(activeColor="green"))
    assert "pulumi config set --path services.shop.activeColor blue --stack staging" in world.run().stderr


def test_what_cannot_be_asked_and_what_is_misspelt_are_refused(world: World) -> None:
    world.balancer.answer = NoCredentialsError()
    assert "no AWS credentials" in world.run().stderr
    assert "did you mean shop?" in world.run("shpo").stderr
    (world.folder / "state.json").write_text('{"deployment": {}}')
    assert "has no production rule of shop" in (said := world.run().stderr)
    assert "deploy it: pulumi up --stack staging" in said


def test_the_local_cloud_shows_what_is_live_and_not_what_the_last_update_wished(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    colors = {"blue": "1.4.0", "green": "1.5.0"}
    shop = {"url": "https://shop", "weights": {"blue": 0, "green": 100}, "versions": colors, "testUrls": colors}
    balancer = Balancer(forward(blue=100, green=0))
    monkeypatch.setattr(boto3, "Session", lambda **_: balancer)
    monkeypatch.setattr(sandbox, "_run", lambda *_: json.dumps(exported()))

    def shown() -> str:
        with sandbox.console.capture() as captured:
            sandbox._screen({"services": {"shop": shop}})
        return captured.get()

    text = shown()
    assert "blue   100 %" in text
    assert "green    0 %" in text
    assert "the state says: blue 0 %, green 100 %" in text
    balancer.answer = {"Actions": [{"Type": "fixed-response"}]}
    text = shown()
    assert "100 %" not in text
    assert "answers requests by itself" in text
