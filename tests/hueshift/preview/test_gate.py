"""What the gate is said to say now, by answers of the load balancer and of the alarms."""
# ruff: noqa: ANN401, N803 - what JSON holds, and AWS's own names

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from components.model import Color
from hueshift.preview.gate import would_say
from hueshift.preview.impact import Move

RULE = "arn:aws:elasticloadbalancing:eu-north-1:111122223333:listener-rule/app/edge-alb/1/2/3"
STACK: Any = SimpleNamespace(
    settings=SimpleNamespace(environment="staging", services={"shop": SimpleNamespace(replicas=SimpleNamespace(min=2))})
)


class Aws:
    """Answers as AWS does: how many targets of each color are healthy, and the alarms that exist."""

    def __init__(self, healthy: Mapping[Color, int], refused: Sequence[str] = (), **states: str) -> None:
        self._healthy, self._refused, self._states = healthy, refused, states
        self.asked: list[str] = []

    def client(self, name: str, *, region_name: str, config: object) -> "Aws":
        assert (name in ("elbv2", "cloudwatch"), region_name) == (True, "eu-north-1")
        assert config
        return self

    def _call(self, name: str) -> None:
        self.asked.append(name)
        if name in self._refused:
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "a-secret"}}, name)

    def describe_target_health(self, *, TargetGroupArn: str) -> Any:
        self._call("DescribeTargetHealth")
        color = Color(TargetGroupArn.removeprefix("tg-"))
        return {"TargetHealthDescriptions": [{"TargetHealth": {"State": "healthy"}}] * self._healthy[color]}

    def describe_alarms(self, *, AlarmNames: Sequence[str], AlarmTypes: Sequence[str]) -> Any:
        self._call("DescribeAlarms")
        assert AlarmTypes == ["CompositeAlarm", "MetricAlarm"]
        said = {name: self._states.get(name.removeprefix("staging-shop-").replace("-", "_")) for name in AlarmNames}
        return {"MetricAlarms": [{"AlarmName": name, "StateValue": state} for name, state in said.items() if state]}


QUIET = {"blue": "OK", "blue_canary_errors": "OK", "green": "OK", "green_canary_errors": "OK"}


def weights(blue: int, green: int) -> dict[Color, int]:
    return {Color.BLUE: blue, Color.GREEN: green}


def said(aws: Any, *, live: Mapping[Color, int] | None = None, inputs: Mapping[str, Any] | None = None) -> str:
    """Return what the gate says of a flip to green."""
    old = weights(100, 0)
    groups = {color: f"tg-{color}" for color in Color}
    move = Move("shop", RULE, groups, old, weights(0, 100), live or old, (inputs or {}, inputs or {}))
    return would_say(move, STACK, aws)


def test_a_color_that_can_serve_would_be_let_through() -> None:
    assert said(Aws(weights(2, 2), **QUIET)) == "would let this pass now"


def test_a_color_with_too_few_healthy_targets_would_be_refused_in_the_words_of_the_gate() -> None:
    told = said(Aws(weights(2, 1), **QUIET))
    assert told.startswith("would refuse this now: shop: green would go from 0 to 100 percent with 1 healthy targets")


def test_a_color_whose_alarm_is_on_or_unknown_would_be_refused() -> None:
    assert "while its alarm staging-shop-green is on" in said(Aws(weights(2, 2), **{**QUIET, "green": "ALARM"}))
    assert "nothing is known of green, which would get more traffic" in said(Aws(weights(2, 2)))


def test_what_somebody_else_has_moved_would_be_refused() -> None:
    told = said(Aws(weights(2, 2), **QUIET), live=weights(50, 50))
    assert "the load balancer has blue 50, green 50, but the state says blue 100, green 0" in told


def test_what_is_live_already_is_let_through_and_no_alarm_is_asked() -> None:
    aws = Aws(weights(0, 0))
    assert said(aws, live=weights(0, 100)) == "would let this pass now"
    assert "DescribeAlarms" not in aws.asked


def test_an_experiment_that_goes_on_would_be_refused() -> None:
    told = said(Aws(weights(2, 2), **QUIET), inputs={"tags": {"experiment": "checkout"}})
    assert "while the experiment checkout runs" in told


@pytest.mark.parametrize("refused", ["DescribeTargetHealth", "DescribeAlarms"])
def test_what_cannot_be_asked_is_said_and_no_words_of_aws_are_repeated(refused: str) -> None:
    told = said(Aws(weights(2, 2), [refused], **QUIET))
    assert told == f"not asked: AWS refused {refused}: AccessDenied; see its CloudTrail event"
