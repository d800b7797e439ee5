"""The gate before the production rule, against answers of the load balancer."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import boto3
import pulumi
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from components import gate
from components.gate import TrafficRefusedError, check
from components.model import Color
from tests.engine import Engine, in_stack
from tests.samples import GROUPS

if TYPE_CHECKING:
    from mypy_boto3_elbv2 import ElasticLoadBalancingv2Client

RULE = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener-rule/app/edge/0/0/1"


def inputs(blue: float, green: float) -> dict[str, Any]:
    """A production rule's inputs as hooks get them, numbers being floats."""
    weights = {Color.BLUE: blue, Color.GREEN: green}
    groups = [{"arn": GROUPS[color], "weight": weight} for color, weight in weights.items()]
    return {"actions": [{"type": "forward", "forward": {"targetGroups": groups}}]}


def change(old: tuple[float, float], new: tuple[float, float]) -> pulumi.ResourceHookArgs:
    return pulumi.ResourceHookArgs(
        "urn", RULE, "shop-production", "aws:lb/listenerRule:ListenerRule", inputs(*new), inputs(*old)
    )


class LoadBalancer:
    """A client of the load balancer whose answers a test gives."""

    def __init__(self) -> None:
        self.client: ElasticLoadBalancingv2Client = boto3.client(
            "elbv2", region_name="eu-west-1", aws_access_key_id="test", aws_secret_access_key="test"
        )
        self.stubber = Stubber(self.client)

    def holds(self, blue: int, green: int, *, blue_group: str = GROUPS[Color.BLUE]) -> None:
        groups = [
            {"TargetGroupArn": blue_group, "Weight": blue},
            {"TargetGroupArn": GROUPS[Color.GREEN], "Weight": green},
        ]
        rule = {"Actions": [{"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}]}
        self.stubber.add_response("describe_rules", {"Rules": [rule]}, {"RuleArns": [RULE]})

    def has(self, states: Mapping[Color, list[str]]) -> None:
        for color in Color:
            targets = [{"TargetHealth": {"State": state}} for state in states[color]]
            self.stubber.add_response(
                "describe_target_health",
                {"TargetHealthDescriptions": targets},
                {"TargetGroupArn": GROUPS[color]},
            )

    def judge(self, args: pulumi.ResourceHookArgs) -> None:
        check(self.client, args, service="shop", namespace="staging-shop", minimum=2)


@pytest.fixture
def balancer() -> Iterator[LoadBalancer]:
    balancer = LoadBalancer()
    with balancer.stubber:
        yield balancer


GOOD = ["healthy", "healthy"]


def test_a_color_with_enough_healthy_targets_gets_its_traffic(balancer: LoadBalancer) -> None:
    balancer.holds(100, 0)
    balancer.has({Color.BLUE: GOOD, Color.GREEN: GOOD})
    balancer.judge(change((100, 0), (0, 100)))
    balancer.stubber.assert_no_pending_responses()


@pytest.mark.parametrize("states", [[], ["healthy"], ["healthy", "unhealthy"], ["initial", "draining", "unused"]])
def test_a_color_without_enough_healthy_targets_gets_none(balancer: LoadBalancer, states: list[str]) -> None:
    balancer.holds(100, 0)
    balancer.has({Color.BLUE: GOOD, Color.GREEN: states})
    with pytest.raises(TrafficRefusedError, match=rf"green .* {states.count('healthy')} healthy targets, and needs 2"):
        balancer.judge(change((100, 0), (90, 10)))


def test_the_color_that_loses_traffic_need_not_be_healthy(balancer: LoadBalancer) -> None:
    balancer.holds(0, 100)
    balancer.has({Color.BLUE: GOOD, Color.GREEN: []})
    balancer.judge(change((0, 100), (100, 0)))


def test_weights_that_somebody_else_moved_are_refused(balancer: LoadBalancer) -> None:
    balancer.holds(50, 50)
    balancer.has({Color.BLUE: GOOD, Color.GREEN: GOOD})
    with pytest.raises(TrafficRefusedError, match="the load balancer has blue 50, green 50"):
        balancer.judge(change((100, 0), (0, 100)))


def test_a_color_that_gets_another_group_needs_healthy_targets_there_even_at_its_old_weight(
    balancer: LoadBalancer,
) -> None:
    args = change((100, 0), (100, 0))
    assert args.old_inputs is not None
    args.old_inputs["actions"][0]["forward"]["targetGroups"][0]["arn"] = "arn:the-former-group"
    balancer.holds(100, 0, blue_group="arn:the-former-group")
    balancer.has({Color.BLUE: ["initial"], Color.GREEN: GOOD})
    with pytest.raises(TrafficRefusedError, match="blue would go from 0 to 100 percent with 0 healthy targets"):
        balancer.judge(args)


def test_the_order_in_which_a_refresh_left_the_groups_does_not_matter(balancer: LoadBalancer) -> None:
    args = change((100, 0), (90, 10))
    assert args.old_inputs is not None
    args.old_inputs["actions"][0]["forward"]["targetGroups"].reverse()
    balancer.holds(100, 0)
    balancer.has({Color.BLUE: [], Color.GREEN: GOOD})
    balancer.judge(args)


def test_an_update_that_moves_no_weight_is_not_refused(balancer: LoadBalancer) -> None:
    balancer.holds(100, 0)
    balancer.has({Color.BLUE: [], Color.GREEN: []})
    balancer.judge(change((100, 0), (100, 0)))


def test_a_load_balancer_that_cannot_be_read_refuses_the_update(balancer: LoadBalancer) -> None:
    balancer.stubber.add_client_error("describe_rules", "AccessDenied")
    with pytest.raises(ClientError, match="AccessDenied"):
        balancer.judge(change((100, 0), (0, 100)))


@in_stack
async def test_the_hook_asks_in_the_region_of_the_rule(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []
    monkeypatch.setattr(boto3, "client", lambda service, region_name: asked.append((service, region_name)))
    monkeypatch.setattr(gate, "check", lambda _client, args, **_: asked.append((args.name, args.id)))
    hook = gate.traffic_gate_hook("shop-gate", service="shop", namespace="staging-shop", minimum=2)
    await engine.settle()
    called = engine.hooks["shop-gate"](change((100, 0), (0, 100)))
    assert called is not None
    await called
    assert asked == [("elbv2", "eu-west-1"), ("shop-production", RULE)]
    assert hook.opts is None, "a hook without options stays out of previews"
