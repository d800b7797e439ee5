"""With nobody alive to drive it, a release whose new color fails loses its traffic again."""

import time
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from components.model import Color
from hueshift.release import guard
from hueshift.traffic.balancer import Rule
from tests.e2e import cloud
from tests.e2e.failing import EVERYTHING_OFF, fail, load, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

NAMES = guard.alarms("sandbox", ["shop"], Color.GREEN)


def production_rule() -> dict[str, Any]:
    """Return the service's production rule as the load balancer has it."""
    resources = cloud.state()
    (arn,) = [item["id"] for item in resources if item["urn"].endswith("::shop-traffic-production")]
    found: Any = boto3.client("elbv2").describe_rules(RuleArns=[arn])["Rules"][0]
    return dict(found)


def weighted(actions: Any, blue: int) -> Any:  # noqa: ANN401
    """Return actions with another share for blue."""
    groups = [
        {**group, "Weight": blue if "-blue-" in group["TargetGroupArn"] else 100 - blue}
        for group in actions[0]["ForwardConfig"]["TargetGroups"]
    ]
    return [{**actions[0], "ForwardConfig": {**actions[0]["ForwardConfig"], "TargetGroups": groups}}]


@pytest.fixture
def tried() -> Iterator[float]:
    """Begin a release of green and let its driver die at 10 %; return when it began."""
    client, s3 = boto3.client("elbv2"), boto3.client("s3")
    bucket = cloud.output("releases")
    rule = production_rule()
    groups = {
        group["TargetGroupArn"]: Color.BLUE if "-blue-" in group["TargetGroupArn"] else Color.GREEN
        for group in rule["Actions"][0]["ForwardConfig"]["TargetGroups"]
    }
    since = time.time()
    found = Rule(service="shop", arn=rule["RuleArn"], actions=rule["Actions"], groups=groups)
    guard.arm(s3, bucket, NAMES, guard.order([guard.move(found, Color.BLUE)], since=since, until=since + 3600))
    client.modify_rule(RuleArn=rule["RuleArn"], Actions=weighted(rule["Actions"], 90))
    try:
        yield since
    finally:
        guard.disarm(s3, bucket, NAMES)
        client.modify_rule(RuleArn=rule["RuleArn"], Actions=rule["Actions"])


def test_a_color_that_fails_while_nobody_drives_loses_its_traffic(tried: float) -> None:
    with cloud.fast_minutes(), load():
        wait_for(set(), 200)
        assert sorted(cloud.live_weights().values()) == [10, 90]
        fail(Color.GREEN, error_rate=0.2)
        try:
            cloud.wait_until(
                "everything is sent to blue", lambda: sorted(cloud.live_weights().values()) == [0, 100], 120
            )
        finally:
            fail(Color.GREEN, **EVERYTHING_OFF)
        assert cloud.curl(f"https://{cloud.HOST}/")[1]["x-color"] == "blue"
        s3, bucket = boto3.client("s3"), cloud.output("releases")
        cloud.wait_until("the guard has said so", lambda: guard.fired(s3, bucket, NAMES, since=tried))
        for did in guard.fired(s3, bucket, NAMES, since=tried):
            assert did.left == []
        states = boto3.client("stepfunctions")
        cloud.wait_until("the guard is done", lambda: not guard.busy(states, cloud.output("guard")))
        cloud.pulumi("preview", "--refresh", "--expect-no-changes")  # the file never said anything else
        wait_for(set(), 240)  # canary-errors judges ten minutes, and what is not over refuses the moves of later tests
