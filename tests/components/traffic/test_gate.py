"""The gate before the production rule, against answers of the load balancer and of the alarms."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import boto3
import pulumi
import pytest
from botocore.stub import ANY, Stubber

from components.model import Color
from components.traffic import gate
from components.traffic.gate import TrafficRefusedError, check
from tests.support.engine import Engine, in_stack
from tests.support.samples import GROUPS

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_cloudwatch.literals import StateValueType
    from mypy_boto3_elbv2 import ElasticLoadBalancingv2Client

LISTENER = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener/app/edge/0/0"
RULE = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener-rule/app/edge/0/0/1"
ROUTE = f"{RULE.removesuffix('1')}2"


def inputs(blue: float, green: float) -> dict[str, Any]:
    """Return a production rule's inputs as hooks get them, numbers being floats."""
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
        self.alarms: CloudWatchClient = boto3.client(
            "cloudwatch", region_name="eu-west-1", aws_access_key_id="test", aws_secret_access_key="test"
        )
        self.alarm_stubber = Stubber(self.alarms)
        self.routes: list[dict[str, Any]] = []
        """The listener's rules beside the production rule."""

    def rule(self, *actions: Mapping[str, Any], arn: str = RULE, priority: int = 720) -> dict[str, Any]:
        return {"RuleArn": arn, "Priority": str(priority), "Actions": actions}

    def weights(self, blue: int, green: int, *, blue_group: str = GROUPS[Color.BLUE]) -> dict[str, Any]:
        weights = {blue_group: blue, GROUPS[Color.GREEN]: green}
        return {"TargetGroups": [{"TargetGroupArn": arn, "Weight": weight} for arn, weight in weights.items()]}

    def holds(self, blue: int, green: int, *, blue_group: str = GROUPS[Color.BLUE]) -> None:
        self.does({"Type": "forward", "ForwardConfig": self.weights(blue, green, blue_group=blue_group)})

    def does(self, *actions: Mapping[str, Any]) -> None:
        self.stubber.add_response(
            "describe_rules", {"Rules": [self.rule(*actions), *self.routes]}, {"ListenerArn": LISTENER}
        )

    def has(self, states: Mapping[Color, list[str]]) -> None:
        for color in Color:
            targets = [{"TargetHealth": {"State": state}} for state in states[color]]
            self.stubber.add_response(
                "describe_target_health",
                {"TargetHealthDescriptions": targets},
                {"TargetGroupArn": GROUPS[color]},
            )

    def says(self, **states: "StateValueType") -> None:
        """Answer with the states of alarms that exist, by their name without ``staging-shop-``."""
        asked = [f"staging-shop-{color}{suffix}" for color in Color for suffix in ("", "-canary-errors")]
        found = [
            {"AlarmName": f"staging-shop-{name.replace('_', '-')}", "StateValue": state}
            for name, state in states.items()
        ]
        self.alarm_stubber.add_response(
            "describe_alarms",
            {
                "CompositeAlarms": [alarm for alarm in found if "canary" not in alarm["AlarmName"]],
                "MetricAlarms": [alarm for alarm in found if "canary" in alarm["AlarmName"]],
            },
            {"AlarmNames": asked, "AlarmTypes": ["CompositeAlarm", "MetricAlarm"]},
        )

    def is_quiet(self) -> None:
        self.says(blue="OK", blue_canary_errors="OK", green="OK", green_canary_errors="OK")

    def counts(self, color: Color, *requests: float) -> None:
        """Answer with the requests of a color in some minutes."""
        points = [{"Sum": count, "Unit": "Count"} for count in requests]
        dimensions = [
            {"Name": "LoadBalancer", "Value": "app/edge/0"},
            {"Name": "TargetGroup", "Value": GROUPS[color].split(":")[-1]},
        ]
        expected = {
            "Namespace": "AWS/ApplicationELB",
            "MetricName": "RequestCount",
            "Dimensions": dimensions,
            "StartTime": ANY,
            "EndTime": ANY,
            "Period": 60,
            "Statistics": ["Sum"],
        }
        self.alarm_stubber.add_response("get_metric_statistics", {"Datapoints": points}, expected)

    def judge(self, args: pulumi.ResourceHookArgs, colors: Sequence[Color] = tuple(Color)) -> list[str]:
        return check(
            self.client,
            self.alarms,
            args,
            service="shop",
            environment="staging",
            namespace="staging-shop",
            colors=colors,
            minimum=2,
        )


@pytest.fixture
def balancer() -> Iterator[LoadBalancer]:
    balancer = LoadBalancer()
    with balancer.stubber, balancer.alarm_stubber:
        yield balancer
    balancer.stubber.assert_no_pending_responses()
    balancer.alarm_stubber.assert_no_pending_responses()


GOOD = ["healthy", "healthy"]


def test_a_color_with_enough_healthy_targets_gets_its_traffic(balancer: LoadBalancer) -> None:
    balancer.holds(100, 0)
    balancer.has({Color.BLUE: GOOD, Color.GREEN: GOOD})
    balancer.is_quiet()
    balancer.judge(change((100, 0), (0, 100)))


@pytest.mark.parametrize("states", [[], ["healthy"], ["healthy", "unhealthy"], ["initial", "draining", "unused"]])
def test_a_color_without_enough_healthy_targets_gets_none(balancer: LoadBalancer, states: list[str]) -> None:
    balancer.holds(100, 0)
    balancer.has({Color.BLUE: GOOD, Color.GREEN: states})
    balancer.is_quiet()
    with pytest.raises(TrafficRefusedError, match=rf"green .* {states.count('healthy')} healthy targets, and needs 2"):
        balancer.judge(change((100, 0), (90, 10)))


def test_the_color_that_loses_traffic_need_not_be_healthy(balancer: LoadBalancer) -> None:
    balancer.holds(0, 100)
    balancer.has({Color.BLUE: GOOD, Color.GREEN: []})
    balancer.is_quiet()
    balancer.judge(change((0, 100), (100, 0)))


def test_weights_that_somebody_else_moved_are_refused(balancer: LoadBalancer) -> None:
    balancer.holds(50, 50)
    balancer.has({Color.BLUE: GOOD, Color.GREEN: GOOD})
    balancer.is_quiet()
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
    balancer.is_quiet()
    with pytest.raises(TrafficRefusedError, match="blue would go from 0 to 100 percent with 0 healthy targets"):
        balancer.judge(args)


def test_the_order_in_which_a_refresh_left_the_groups_does_not_matter(balancer: LoadBalancer) -> None:
    args = change((100, 0), (90, 10))
    assert args.old_inputs is not None
    args.old_inputs["actions"][0]["forward"]["targetGroups"].reverse()
    balancer.holds(100, 0)
    balancer.has({Color.BLUE: [], Color.GREEN: GOOD})
    balancer.is_quiet()
    balancer.judge(args)


def test_an_update_that_moves_no_weight_is_not_refused_and_asks_no_alarm(balancer: LoadBalancer) -> None:
    balancer.holds(100, 0)
    balancer.has({Color.BLUE: [], Color.GREEN: []})
    balancer.judge(change((100, 0), (100, 0)))


def test_what_an_emergency_wrote_is_taken_over_without_a_word_of_the_alarms(balancer: LoadBalancer) -> None:
    balancer.holds(100, 0)
    balancer.has({Color.BLUE: [], Color.GREEN: []})
    balancer.judge(change((0, 100), (100, 0)))


def test_a_service_with_one_color_asks_no_alarm(balancer: LoadBalancer) -> None:
    args = change((100, 0), (100, 0))
    for rule, arn in ((args.old_inputs, "arn:the-former-group"), (args.new_inputs, GROUPS[Color.BLUE])):
        assert rule is not None
        rule["actions"][0]["forward"]["targetGroups"] = [{"arn": arn, "weight": 100}]
    balancer.holds(100, 0, blue_group="arn:the-former-group")
    targets = [{"TargetHealth": {"State": state}} for state in GOOD]
    balancer.stubber.add_response(
        "describe_target_health", {"TargetHealthDescriptions": targets}, {"TargetGroupArn": GROUPS[Color.BLUE]}
    )
    balancer.judge(args, [Color.BLUE])


def test_out_of_a_color_in_trouble_one_healthy_target_is_enough(balancer: LoadBalancer) -> None:
    balancer.holds(0, 100)
    balancer.has({Color.BLUE: ["healthy", "draining"], Color.GREEN: GOOD})
    balancer.says(blue="OK", blue_canary_errors="OK", green="ALARM", green_canary_errors="OK")
    balancer.judge(change((0, 100), (100, 0)))


def test_a_color_whose_alarm_is_on_gets_no_traffic(balancer: LoadBalancer) -> None:
    balancer.holds(100, 0)
    balancer.has({Color.BLUE: GOOD, Color.GREEN: GOOD})
    balancer.says(blue="OK", blue_canary_errors="OK", green="ALARM", green_canary_errors="ALARM")
    with pytest.raises(TrafficRefusedError, match="green would get more traffic while its alarm staging-shop-green is"):
        balancer.judge(change((100, 0), (90, 10)))


def test_the_errors_of_a_canary_stop_its_next_step(balancer: LoadBalancer) -> None:
    balancer.holds(90, 10)
    balancer.has({Color.BLUE: GOOD, Color.GREEN: GOOD})
    balancer.says(blue="OK", blue_canary_errors="OK", green="OK", green_canary_errors="ALARM")
    with pytest.raises(TrafficRefusedError, match="its alarm staging-shop-green-canary-errors is on"):
        balancer.judge(change((90, 10), (50, 50)))


@pytest.mark.parametrize(("requests", "judged"), [((60, 40), True), ((60, 39), False), ((), False)])
def test_a_canary_of_too_few_requests_goes_on_but_is_said_to_be_unjudged(
    balancer: LoadBalancer, requests: tuple[int, ...], judged: bool
) -> None:
    balancer.holds(90, 10)
    balancer.has({Color.BLUE: GOOD, Color.GREEN: GOOD})
    balancer.is_quiet()
    balancer.counts(Color.GREEN, *requests)
    warnings = balancer.judge(change((90, 10), (50, 50)))
    assert len(warnings) == (not judged)
    for warning in warnings:
        assert f"shop: not judged: green had {sum(requests)} requests in 10 minutes" in warning
        assert "fewer than 100 are too few" in warning
        assert "staging-shop-green-canary-errors proves nothing" in warning


def test_requests_that_cannot_be_counted_are_said_and_refuse_nothing(balancer: LoadBalancer) -> None:
    balancer.holds(90, 10)
    balancer.has({Color.BLUE: GOOD, Color.GREEN: GOOD})
    balancer.is_quiet()
    balancer.alarm_stubber.add_client_error("get_metric_statistics", "AccessDenied")
    (warning,) = balancer.judge(change((90, 10), (50, 50)))
    assert "not judged: green may have had too few requests" in warning
    assert "AccessDenied" in warning


def test_a_color_that_was_not_tried_is_not_counted_and_neither_is_the_way_back(balancer: LoadBalancer) -> None:
    for old, new in (((100, 0), (90, 10)), ((90, 10), (100, 0))):
        balancer.holds(*old)
        balancer.has({Color.BLUE: GOOD, Color.GREEN: GOOD})
        balancer.is_quiet()
        assert balancer.judge(change(old, new)) == []
    balancer.holds(50, 50)
    balancer.has({Color.BLUE: GOOD, Color.GREEN: GOOD})
    assert balancer.judge(change((90, 10), (50, 50))) == [], "an emergency wrote it already"


def test_the_way_back_from_a_color_whose_alarm_is_on_waits_for_nothing(balancer: LoadBalancer) -> None:
    balancer.holds(0, 100)
    balancer.has({Color.BLUE: GOOD, Color.GREEN: GOOD})
    balancer.says(green="ALARM", blue="INSUFFICIENT_DATA")
    balancer.judge(change((0, 100), (100, 0)))


def test_alarms_that_know_nothing_yet_refuse_a_flip_and_say_how_long(balancer: LoadBalancer) -> None:
    balancer.holds(100, 0)
    balancer.has({Color.BLUE: GOOD, Color.GREEN: GOOD})
    balancer.says(green="OK", green_canary_errors="INSUFFICIENT_DATA", blue="OK", blue_canary_errors="OK")
    with pytest.raises(TrafficRefusedError, match="a new alarm knows its color after five minutes: wait"):
        balancer.judge(change((100, 0), (0, 100)))


def test_alarms_that_cannot_be_read_refuse_the_update_and_name_the_way_out(balancer: LoadBalancer) -> None:
    balancer.holds(100, 0)
    balancer.has({Color.BLUE: GOOD, Color.GREEN: GOOD})
    balancer.alarm_stubber.add_client_error("describe_alarms", "AccessDenied")
    with pytest.raises(TrafficRefusedError, match=r"alarms cannot be read: .*AccessDenied") as refused:
        balancer.judge(change((100, 0), (0, 100)))
    assert "aws cloudwatch describe-alarms" in str(refused.value)
    assert "Emergency without Pulumi" in str(refused.value)


MAINTENANCE = {
    "Type": "fixed-response",
    "FixedResponseConfig": {"StatusCode": "503", "ContentType": "text/plain", "MessageBody": "back soon"},
}
ELSEWHERE = {
    "Type": "redirect",
    "RedirectConfig": {"Host": "status.example.com", "StatusCode": "HTTP_302"},
}
LOGIN = {
    "Type": "authenticate-cognito",
    "AuthenticateCognitoConfig": {"UserPoolArn": "a", "UserPoolClientId": "b", "UserPoolDomain": "c"},
}
STATED = {
    "fixed-response": {"type": "fixed-response", "fixedResponse": {"statusCode": "503", "contentType": "text/plain"}},
    "redirect": {"type": "redirect", "redirect": {"statusCode": "HTTP_302"}},
    "authenticate-cognito": {"type": "authenticate-cognito", "authenticateCognito": {}},
}
"""What a refresh makes of them."""


@pytest.mark.parametrize(
    "actions", [[MAINTENANCE], [ELSEWHERE], [LOGIN, MAINTENANCE]], ids=lambda each: each[0]["Type"]
)
def test_what_somebody_has_put_on_the_rule_is_named_and_after_a_refresh_an_update_takes_it_away(
    balancer: LoadBalancer, actions: list[dict[str, Any]]
) -> None:
    balancer.does(*actions)
    balancer.has({Color.BLUE: GOOD, Color.GREEN: GOOD})
    balancer.is_quiet()
    with pytest.raises(TrafficRefusedError, match=rf"has blue 0, green 0 and {actions[0]['Type']}.*pulumi refresh"):
        balancer.judge(change((100, 0), (90, 10)))

    balancer.does(*actions)
    balancer.has({Color.BLUE: GOOD, Color.GREEN: GOOD})
    balancer.is_quiet()
    args = change((100, 0), (100, 0))
    args.old_inputs = {"actions": [STATED[action["Type"]] for action in actions]}
    balancer.judge(args)


def test_a_login_before_the_weights_is_not_taken_away_unseen(balancer: LoadBalancer) -> None:
    balancer.does(LOGIN, {"Type": "forward", "ForwardConfig": balancer.weights(100, 0)})
    balancer.has({Color.BLUE: GOOD, Color.GREEN: GOOD})
    balancer.is_quiet()
    with pytest.raises(TrafficRefusedError, match="has blue 100, green 0 and authenticate-cognito, but the state says"):
        balancer.judge(change((100, 0), (90, 10)))


def test_one_group_alone_has_all_the_traffic_whatever_its_weight_before_and_after_a_refresh(
    balancer: LoadBalancer,
) -> None:
    arn = GROUPS[Color.GREEN]
    alone = {
        "Type": "forward",
        "TargetGroupArn": arn,
        "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": arn, "Weight": 1}]},
    }
    balancer.does(alone)
    balancer.has({Color.BLUE: GOOD, Color.GREEN: GOOD})
    balancer.is_quiet()
    with pytest.raises(TrafficRefusedError, match="has blue 0, green 100, but the state says blue 100, green 0"):
        balancer.judge(change((100, 0), (90, 10)))

    balancer.does(alone)
    balancer.has({Color.BLUE: GOOD, Color.GREEN: GOOD})
    balancer.is_quiet()
    args = change((0, 100), (100, 0))
    args.old_inputs = {"actions": [{"type": "forward", "targetGroupArn": arn}]}
    balancer.judge(args)


def test_a_group_that_is_of_no_color_is_named(balancer: LoadBalancer) -> None:
    elsewhere = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/legacy/0"
    balancer.does({"Type": "forward", "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": elsewhere, "Weight": 1}]}})
    balancer.has({Color.BLUE: GOOD, Color.GREEN: GOOD})
    balancer.is_quiet()
    with pytest.raises(TrafficRefusedError, match="has blue 0, green 0 and targetgroup/legacy/0, but"):
        balancer.judge(change((100, 0), (90, 10)))


@pytest.mark.parametrize(
    ("priority", "blue", "refused"),
    [
        (783, 0, True),
        (783, 50, True),
        (783, 100, False),  # as the production rule has it
        (783, 90, False),  # as is wanted: the update before ended here
        (883, 0, False),  # of the service in the next band
        (741, 0, False),  # the canary's header, which has no weights
    ],
)
def test_a_route_that_somebody_moved_alone_refuses_the_update(
    balancer: LoadBalancer, priority: int, blue: int, refused: bool
) -> None:
    moved = {"Type": "forward", "ForwardConfig": balancer.weights(blue, 100 - blue)}
    balancer.routes = [balancer.rule(moved, arn=ROUTE, priority=priority)]
    balancer.holds(100, 0)
    balancer.has({Color.BLUE: GOOD, Color.GREEN: GOOD})
    balancer.is_quiet()
    if not refused:
        balancer.judge(change((100, 0), (90, 10)))
        return
    with pytest.raises(TrafficRefusedError, match=f"its rules disagree: .* the route's rule {ROUTE} has blue {blue}"):
        balancer.judge(change((100, 0), (90, 10)))


def test_a_rule_that_is_gone_is_named_with_what_brings_it_back(balancer: LoadBalancer) -> None:
    balancer.stubber.add_response("describe_rules", {"Rules": []}, {"ListenerArn": LISTENER})
    with pytest.raises(
        TrafficRefusedError, match=f"no rule {RULE}: somebody deleted it; run `pulumi refresh`, then `pu"
    ):
        balancer.judge(change((100, 0), (0, 100)))


def test_a_load_balancer_that_cannot_be_read_refuses_the_update(balancer: LoadBalancer) -> None:
    balancer.stubber.add_client_error("describe_rules", "AccessDenied")
    with pytest.raises(TrafficRefusedError, match=r"load balancer cannot be read: .*AccessDenied"):
        balancer.judge(change((100, 0), (0, 100)))


@in_stack
async def test_the_hook_asks_in_the_region_of_the_rule_and_does_not_wait_long(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[tuple[str, ...]] = []

    def recorded(*given: Any, **_: object) -> list[str]:  # noqa: ANN401
        *clients, args = given
        for client in clients:
            assert client.meta.config.connect_timeout + client.meta.config.read_timeout <= 15
            asked.append((client.meta.service_model.service_name, client.meta.region_name))
        asked.append((args.name, args.id))
        return ["shop: not judged"]

    monkeypatch.setattr(gate, "check", recorded)
    hook = gate.traffic_gate_hook(
        "shop-gate", service="shop", environment="staging", namespace="staging-shop", colors=list(Color), minimum=2
    )
    await engine.settle()
    called = engine.hooks["shop-gate"](change((100, 0), (0, 100)))
    assert called is not None
    await called
    assert asked == [("elbv2", "eu-west-1"), ("cloudwatch", "eu-west-1"), ("shop-production", RULE)]
    assert caplog.messages == ["shop: not judged"]
    assert hook.opts is None, "a hook without options stays out of previews"


@in_stack
async def test_aws_that_cannot_be_asked_as_the_provider_asks_it_refuses_the_update(engine: Engine) -> None:
    pulumi.runtime.set_all_config({"aws:profile": "nobody-has-this"})
    try:
        gate.traffic_gate_hook(
            "shop-gate", service="shop", environment="staging", namespace="staging-shop", colors=list(Color), minimum=2
        )
    finally:
        pulumi.runtime.set_all_config({})
    await engine.settle()
    called = engine.hooks["shop-gate"](change((100, 0), (0, 100)))
    assert called is not None
    with pytest.raises(TrafficRefusedError, match="asked with aws:profile nobody-has-this") as refused:
        await called
    assert "Emergency without Pulumi" in str(refused.value)


# Experiments


def of_experiment(args: pulumi.ResourceHookArgs, old: str | None, new: str | None) -> pulumi.ResourceHookArgs:
    before, after = (
        {**(inputs or {}), "tags": {"experiment": name} if name else {}}
        for inputs, name in ((args.old_inputs, old), (args.new_inputs, new))
    )
    return pulumi.ResourceHookArgs(args.urn, args.id, args.name, args.type, after, before)


def judged(balancer: LoadBalancer, args: pulumi.ResourceHookArgs, *, live: tuple[int, int]) -> None:
    balancer.holds(*live)
    balancer.has({Color.BLUE: GOOD, Color.GREEN: GOOD})
    balancer.is_quiet()
    balancer.judge(args)


@pytest.mark.parametrize("new", [(0, 100), (90, 10), (50, 50)])
def test_nobodys_color_changes_while_an_experiment_runs(balancer: LoadBalancer, new: tuple[float, float]) -> None:
    args = of_experiment(change((100, 0), new), "checkout", "checkout")
    with pytest.raises(TrafficRefusedError, match="would change while the experiment checkout runs"):
        judged(balancer, args, live=(100, 0))


@pytest.mark.parametrize(("old", "new"), [(None, "checkout"), ("checkout", None), ("checkout", "checkout-2")])
def test_an_experiment_begins_ends_and_gives_way_to_another_with_other_weights(
    balancer: LoadBalancer, old: str | None, new: str | None
) -> None:
    judged(balancer, of_experiment(change((50, 50), (0, 100)), old, new), live=(50, 50))


def test_an_experiment_does_not_begin_in_an_open_release(balancer: LoadBalancer) -> None:
    args = of_experiment(change((100, 0), (100, 0)), None, "checkout")
    with pytest.raises(TrafficRefusedError, match="the load balancer has blue 90, green 10"):
        judged(balancer, args, live=(90, 10))


@in_stack
@pytest.mark.parametrize(
    ("names", "key", "refused"),
    [
        (("checkout", "checkout"), "conditions", True),
        (("checkout", "checkout"), "actions", True),
        (("checkout", "checkout"), "priority", False),
        (("checkout", "another"), "conditions", False),
    ],
)
async def test_a_cohort_is_fixed_for_the_length_of_its_experiment(
    engine: Engine, names: tuple[str, str], key: str, refused: bool
) -> None:
    gate.cohort_hook("shop-cohort-gate", service="shop")
    await engine.settle()
    old, new = ({"conditions": 1, "actions": 1, "priority": 1, "tags": {"experiment": name}} for name in names)
    args = pulumi.ResourceHookArgs("urn", RULE, "shop-cohort", "type", {**new, key: 2}, old)
    called = engine.hooks["shop-cohort-gate"](args)
    assert called is not None
    if not refused:
        await called
        return
    with pytest.raises(TrafficRefusedError, match=f"the cohort's {key} would change while the experiment checkout"):
        await called


# Mirrors

MIRRORS = {color: f"{GROUPS[color]}-mirror" for color in Color}
BEHIND = [*Color, *Color]


def copying(old: Sequence[int], new: Sequence[int]) -> pulumi.ResourceHookArgs:
    """Return a change of the weights of blue, green, and the mirrors of both."""

    def inputs(weights: Sequence[int]) -> dict[str, Any]:
        arns = [*GROUPS.values(), *MIRRORS.values()]
        groups = [{"arn": arn, "weight": float(weight)} for arn, weight in zip(arns, weights, strict=False)]
        return {"actions": [{"type": "forward", "forward": {"targetGroups": groups}}]}

    kind = "aws:lb/listenerRule:ListenerRule"
    return pulumi.ResourceHookArgs("urn", RULE, "shop-production", kind, inputs(new), inputs(old))


def holds(balancer: LoadBalancer, weights: Sequence[int]) -> None:
    arns = [*GROUPS.values(), *MIRRORS.values()]
    groups = [{"TargetGroupArn": arn, "Weight": weight} for arn, weight in zip(arns, weights, strict=False)]
    balancer.does({"Type": "forward", "ForwardConfig": {"TargetGroups": groups}})


def mirror_has(balancer: LoadBalancer, color: Color, states: list[str]) -> None:
    targets: Any = [{"TargetHealth": {"State": state}} for state in states]
    answer: Any = {"TargetHealthDescriptions": targets}
    balancer.stubber.add_response("describe_target_health", answer, {"TargetGroupArn": MIRRORS[color]})


@pytest.mark.parametrize("before", [(100, 0), (100, 0, 0, 0), (90, 0, 10, 0)])
def test_a_mirror_that_can_answer_gets_a_share_and_nobodys_color_changes(
    balancer: LoadBalancer, before: Sequence[int]
) -> None:
    holds(balancer, before)
    balancer.has({Color.BLUE: GOOD, Color.GREEN: []})
    mirror_has(balancer, Color.BLUE, GOOD)
    assert balancer.judge(copying(before, (80, 0, 20, 0)), BEHIND) == []


def test_a_mirror_that_cannot_answer_gets_nothing(balancer: LoadBalancer) -> None:
    holds(balancer, (100, 0, 0, 0))
    balancer.has({Color.BLUE: GOOD, Color.GREEN: GOOD})
    mirror_has(balancer, Color.BLUE, ["healthy", "unhealthy"])
    with pytest.raises(
        TrafficRefusedError, match=r"the mirror of blue .* 1 healthy targets, and needs 2; set .*shadow\.percent to 0"
    ):
        balancer.judge(copying((100, 0, 0, 0), (80, 0, 20, 0)), BEHIND)


def test_a_mirror_is_turned_off_whatever_its_health(balancer: LoadBalancer) -> None:
    holds(balancer, (80, 0, 20, 0))
    balancer.has({Color.BLUE: [], Color.GREEN: []})
    assert balancer.judge(copying((80, 0, 20, 0), (100, 0, 0, 0)), BEHIND) == []


def test_a_flip_with_copies_is_judged_by_the_colors_that_answer(balancer: LoadBalancer) -> None:
    holds(balancer, (80, 0, 20, 0))
    balancer.has({Color.BLUE: GOOD, Color.GREEN: ["healthy"]})
    mirror_has(balancer, Color.GREEN, GOOD)
    balancer.is_quiet()
    with pytest.raises(TrafficRefusedError, match="green would go from 0 to 100 percent with 1 healthy targets"):
        balancer.judge(copying((80, 0, 20, 0), (0, 80, 0, 20)), BEHIND)


def test_copies_that_a_way_back_has_ended_are_no_traffic_that_somebody_moved(balancer: LoadBalancer) -> None:
    holds(balancer, (100, 0, 0, 0))
    balancer.has({Color.BLUE: GOOD, Color.GREEN: GOOD})
    assert balancer.judge(copying((80, 0, 20, 0), (100, 0, 0, 0)), BEHIND) == []
