"""A service with routes: each way in shares requests alike, a flip of all of them loses none, and none moves alone."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml

from tests.e2e import cloud
from tests.e2e.cloud import HOST, Load

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

WWW = f"www.{HOST}"
"""One label below the service's host, whose certificate covers it."""
PATHS = f"paths.{HOST}"
SETTLED = 1.0
"""Seconds after an update until the load balancer has the new weights: its propagation delay is 0.5."""


@pytest.fixture(scope="module")
def routed() -> Iterator[Path]:
    """Give the service two routes while these tests run."""
    with cloud.stack_file() as file:
        content = yaml.safe_load(file.read_text())
        content["config"]["hueshift:services"]["shop"]["routes"] = [
            {"hosts": [WWW], "slot": 1},
            {"hosts": [PATHS], "paths": ["/health/*"], "slot": 2},
        ]
        file.write_text(yaml.safe_dump(content, sort_keys=False))
        cloud.update()
        time.sleep(SETTLED)
        yield file


@pytest.fixture(autouse=True)
def as_it_was(routed: Path) -> Iterator[None]:
    """Bring the stack back to what each test begins with."""
    before = routed.read_text()
    yield
    if routed.read_text() != before:
        routed.write_text(before)
        cloud.update()


def color(host: str, *arguments: str) -> str:
    """Return which color answers behind a host."""
    return cloud.curl(f"https://{host}/health/ready", *arguments)[1].get("x-color", "")


def route(host: str) -> dict[str, Any]:
    """Return the rule of the route that has a host, as the API describes it; not that of the canary's header."""
    client = boto3.client("elbv2")
    (listener,) = [
        each["ListenerArn"]
        for each in client.describe_listeners(LoadBalancerArn=cloud.load_balancer()["LoadBalancerArn"])["Listeners"]
        if each["Port"] == 443
    ]
    (rule,) = [
        dict(rule)
        for rule in client.describe_rules(ListenerArn=listener)["Rules"]
        if [host] in [condition.get("HostHeaderConfig", {}).get("Values") for condition in rule["Conditions"]]
        and not any("HttpHeaderConfig" in condition for condition in rule["Conditions"])
    ]
    return rule


def test_a_route_takes_its_hosts_and_paths_and_no_others() -> None:
    assert {color(host) for host in (HOST, WWW, PATHS)} == {"blue"}
    assert {color(host, "--header", "x-canary: true") for host in (HOST, WWW, PATHS)} == {"green"}
    assert cloud.curl(f"https://{PATHS}/")[0] == 404


def test_a_flip_moves_the_host_and_every_route_and_loses_nothing() -> None:
    by_host, by_route = Load(limit=120, rate=100), Load(limit=120, rate=100, host=WWW)
    try:
        time.sleep(3)
        cloud.configure("activeColor", "green")
        changes = cloud.update()
        flipped = time.time() + SETTLED
        time.sleep(SETTLED + 5)
    finally:
        answers = [by_host.stop(), by_route.stop()]
    assert changes == {"update": 3}
    for found in answers:
        assert len(found) > 500
        assert [answer for answer in found if answer.code != 200] == []
        assert {answer.color for answer in found if answer.at > flipped} == {"green"}


def test_rules_that_disagree_are_told_and_refused_until_a_rollback_brings_them_together() -> None:
    rule = route(WWW)
    groups = [group["TargetGroupArn"] for group in rule["Actions"][0]["ForwardConfig"]["TargetGroups"]]
    boto3.client("elbv2").modify_rule(
        RuleArn=rule["RuleArn"],
        Actions=[
            {
                "Type": "forward",
                "ForwardConfig": {
                    "TargetGroups": [
                        {"TargetGroupArn": arn, "Weight": 100 if "-green-" in arn else 0} for arn in groups
                    ]
                },
            }
        ],
    )
    cloud.wait_until("the route leads to green", lambda: color(WWW) == "green")
    assert color(HOST) == "blue"
    said = cloud.run("hueshift", "status", "--stack", "sandbox", check=False)
    assert "its rules disagree" in said.stdout + said.stderr
    cloud.configure("canaryWeight", "10")
    refused = cloud.pulumi("up", "--yes", "--skip-preview", check=False)
    assert refused.returncode != 0
    assert "its rules disagree" in refused.stdout + refused.stderr
    back = cloud.run("hueshift", "rollback", "--stack", "sandbox")
    assert "blue has all traffic of shop" in back.stdout + back.stderr
    cloud.wait_until("the route leads to blue", lambda: color(WWW) == "blue")
    cloud.configure("canaryWeight", "0")
    assert cloud.pulumi("preview", "--expect-no-changes", "--refresh").returncode == 0


def test_a_route_is_not_moved_alone() -> None:
    (urn,) = [each["urn"] for each in cloud.state() if each.get("id") == route(WWW)["RuleArn"]]
    cloud.configure("activeColor", "green")
    refused = cloud.pulumi("up", "--yes", "--skip-preview", "--target", urn, check=False)
    assert refused.returncode != 0
    assert "its rules move together" in refused.stdout + refused.stderr
    assert {color(host) for host in (HOST, WWW, PATHS)} == {"blue"}
