"""What a release tells the guard, and what it hears of it. What the guard then does its own tests show."""
# ruff: noqa: ANN401 - boto3's clients are untyped here

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import boto3
import pytest

from components.model import Color
from hueshift.release import guard
from hueshift.report import RefusedError
from hueshift.traffic.balancer import Rule
from tests.support.moto import mocked

BLUE, GREEN = (f"arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/{color}/0" for color in Color)
ACTIONS: list[dict[str, Any]] = [
    {
        "Type": "forward",
        "Order": 1,
        "ForwardConfig": {
            "TargetGroups": [{"TargetGroupArn": BLUE, "Weight": 90}, {"TargetGroupArn": GREEN, "Weight": 10}],
            "TargetGroupStickinessConfig": {"Enabled": True, "DurationSeconds": 600},
        },
    }
]
ARN = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener-rule/app/edge/0/0/0"
RULE = Rule(service="shop", arn=ARN, actions=ACTIONS, groups={BLUE: Color.BLUE, GREEN: Color.GREEN})
SINCE, UNTIL = 1_796_047_200.9, 1_796_050_800.0
"""14:00 and 15:00 on 30 November 2026 in UTC."""
ALARMS = ["production-shop-green", "production-shop-green-canary-errors"]
BUCKET = "releases"


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with mocked(monkeypatch):
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket=BUCKET)
        yield client


def keys(s3: Any) -> list[str]:
    return [item["Key"] for item in s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])]


def note(s3: Any, alarm: str, at: str, *, as_text: bool = False) -> None:
    """Write what the guard writes when it has sent traffic back."""
    content: Any = {
        "time": at,
        "detail": {"alarmName": alarm, "state": {"value": "ALARM", "reason": "Threshold Crossed"}},
        "moves": {"left": []},
    }
    body = json.dumps(content)
    s3.put_object(Bucket=BUCKET, Key=f"guard/{alarm}.fired", Body=(json.dumps(body) if as_text else body).encode())


def test_two_alarms_of_the_new_color_of_each_service_send_a_release_back() -> None:
    assert guard.alarms("production", ["shop", "pricing"], Color.GREEN) == [
        *ALARMS,
        "production-pricing-green",
        "production-pricing-green-canary-errors",
    ]


def test_the_way_back_is_the_rule_as_it_is_but_for_weights_and_stickiness() -> None:
    before = copy.deepcopy(ACTIONS)
    (action,) = guard.move(RULE, Color.BLUE)["actions"]
    forward = action["ForwardConfig"]
    assert {group["TargetGroupArn"]: group["Weight"] for group in forward["TargetGroups"]} == {BLUE: 100, GREEN: 0}
    assert forward["TargetGroupStickinessConfig"] == {"Enabled": False, "DurationSeconds": 600}
    assert (action["Type"], action["Order"]) == ("forward", 1)
    assert before == ACTIONS, "what was given stays as it was"


@pytest.mark.parametrize(
    "actions",
    [
        [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "503"}}],
        [{"Type": "forward", "TargetGroupArn": GREEN}],
        [{"Type": "forward", "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": GREEN, "Weight": 1}]}}],
        [],
    ],
)
def test_a_rule_without_the_old_color_has_no_way_back(actions: list[dict[str, Any]]) -> None:
    with pytest.raises(RefusedError, match="the production rule"):
        guard.move(replace(RULE, actions=actions, groups={GREEN: Color.GREEN}), Color.BLUE)


def test_each_alarm_has_the_whole_order_and_arming_again_changes_nothing(s3: Any) -> None:
    wanted = guard.order([guard.move(RULE, Color.BLUE)], since=SINCE, until=UNTIL)
    assert wanted == {
        "since": "2026-11-30T14:00:00Z",
        "until": "2026-11-30T15:00:00Z",
        "moves": [{"rule": ARN, "old": BLUE, "actions": RULE.moved({Color.BLUE: 100})}],
    }
    for _ in range(2):
        guard.arm(s3, BUCKET, ALARMS, wanted)
        assert keys(s3) == sorted(f"guard/{alarm}.json" for alarm in ALARMS)
        for key in keys(s3):
            assert json.load(s3.get_object(Bucket=BUCKET, Key=key)["Body"]) == wanted


def test_disarmed_no_order_is_left_and_twice_is_as_once(s3: Any) -> None:
    guard.arm(s3, BUCKET, [*ALARMS, "production-other-green"], guard.order([], since=SINCE, until=UNTIL))
    note(s3, ALARMS[0], "2026-11-30T14:00:00Z")
    for _ in range(2):
        guard.disarm(s3, BUCKET, ALARMS)
        assert keys(s3) == ["guard/production-other-green.json", f"guard/{ALARMS[0]}.fired"]


@pytest.mark.parametrize("as_text", [False, True])
def test_what_it_did_since_the_start_is_found_in_the_order_of_the_alarms(s3: Any, *, as_text: bool) -> None:
    assert guard.fired(s3, BUCKET, ALARMS, since=SINCE) == []
    note(s3, ALARMS[0], "2026-11-30T14:07:00Z", as_text=as_text)
    note(s3, ALARMS[1], "2026-11-30T14:06:00Z", as_text=as_text)
    found = guard.fired(s3, BUCKET, ALARMS, since=SINCE)
    assert [(each.alarm, each.at, each.reason, each.left) for each in found] == [
        (ALARMS[1], 1_796_047_560.0, "Threshold Crossed", []),
        (ALARMS[0], 1_796_047_620.0, "Threshold Crossed", []),
    ]
    assert guard.fired(s3, BUCKET, ALARMS, since=1_796_047_590.0) == found[1:]
