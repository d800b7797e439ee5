"""The guard: whom it hears, what it may call, and what its state machine does, executed on the load balancer's API."""
# ruff: noqa: ANN401 - boto3's clients are untyped here

import json
import re
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from fnmatch import fnmatchcase
from itertools import count
from typing import Any

import boto3
import pytest
from moto.events.models import EventPattern

from components.model import Color
from components.traffic.guard import POLICY, Guard, GuardArgs, definition, pattern
from hueshift.release import guard
from hueshift.traffic.balancer import Rule
from sandbox.aws import gaps
from sandbox.aws.envoy import Host
from sandbox.aws.translate import cluster_name
from tests.support import samples
from tests.support.engine import Engine, in_stack
from tests.support.moto import mocked
from tests.support.program import ROOT

pytestmark = pytest.mark.slow

BUCKET = "staging-releases-bucket-1a2b3c4"
ARGS = GuardArgs(context=samples.CONTEXT, bucket=BUCKET, routing=samples.HEARERS)
ALARM = "staging-shop-green-canary-errors"
RANG = "2026-11-30T14:05:00Z"
AT = datetime.fromisoformat(RANG).timestamp()
TIMES = {"since": AT - 300, "until": AT + 3600}


def rings(alarm: str = ALARM, state: str = "ALARM") -> Any:
    """Return the event of an alarm that changes its state, as CloudWatch gives it to EventBridge."""
    return {
        "source": "aws.cloudwatch",
        "detail-type": "CloudWatch Alarm State Change",
        "time": RANG,
        "detail": {"alarmName": alarm, "state": {"value": state}},
    }


# What is made


@in_stack
async def test_its_rule_starts_the_state_machine_with_the_whole_event(engine: Engine) -> None:
    Guard("staging-guard", ARGS)
    target = await engine.inputs("staging-guard-target")
    machine = await engine.resource("staging-guard-machine", "StateMachine")
    role = (await engine.resource("staging-guard-role", "Role")).computed["arn"]
    assert target == {
        "rule": "staging-guard",
        "targetId": "guard",
        "arn": machine.computed["arn"],
        "roleArn": role,
    }
    assert machine.inputs["roleArn"] == role
    assert machine.inputs["type"] == "STANDARD"
    assert json.loads(machine.inputs["definition"]) == definition(BUCKET)
    rule = await engine.inputs("staging-guard-rule")
    assert json.loads(rule["eventPattern"]) == pattern("staging")


@pytest.mark.parametrize(
    ("alarm", "state", "heard"),
    [
        ("staging-shop-green", "ALARM", True),
        ("staging-shop-green-canary-errors", "ALARM", True),
        ("staging-shop-green", "OK", False),
        ("staging-shop-green", "INSUFFICIENT_DATA", False),
        ("staging2-shop-green", "ALARM", False),
        ("production-shop-green", "ALARM", False),
    ],
)
def test_it_hears_the_alarms_of_its_environment_that_ring(alarm: str, state: str, *, heard: bool) -> None:
    assert EventPattern.load(json.dumps(pattern("staging"))).matches_event(rings(alarm, state)) == heard


@in_stack
async def test_its_role_is_for_the_two_services_in_this_account_and_has_the_one_policy(engine: Engine) -> None:
    Guard("staging-guard", ARGS)
    role = await engine.resource("staging-guard-role", "Role")
    (trust,) = json.loads(role.inputs["assumeRolePolicy"])["Statement"]
    assert trust["Principal"] == {"Service": ["events.amazonaws.com", "states.amazonaws.com"]}
    assert trust["Condition"] == {"StringEquals": {"aws:SourceAccount": "123456789012"}}
    assert role.inputs["tags"]["environment"] == "staging", "its policy goes by it"
    (attached,) = await engine.of_type("RolePolicyAttachment")
    assert attached.inputs["policyArn"] == f"arn:aws:iam::123456789012:policy/{POLICY}"
    machine = await engine.resource("staging-guard-machine", "StateMachine")
    assert attached.urn in machine.waits_for, "no alarm finds it without its rights"


@in_stack
async def test_people_are_told_when_it_fails_ends_late_or_cannot_be_started(engine: Engine) -> None:
    guard = Guard("staging-guard", ARGS)
    alarm = await engine.inputs("staging-guard-failed")
    arn = await guard.arn.future()
    assert alarm["name"] == "staging-guard-failed"
    assert alarm["alarmActions"] == list(samples.HEARERS.topic_arns)
    assert {
        query["metric"]["metricName"]: query["metric"]["dimensions"]
        for query in alarm["metricQueries"]
        if "metric" in query
    } == {
        "ExecutionsFailed": {"StateMachineArn": arn},
        "ExecutionsTimedOut": {"StateMachineArn": arn},
        "FailedInvocations": {"RuleName": "staging-guard"},
    }


# What it may do


def tasks(states: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every state that calls AWS, those of the map included."""
    for state in states.values():
        if state["Type"] == "Task":
            yield state
        yield from tasks(state.get("ItemProcessor", {}).get("States", {}))


def test_its_policy_allows_what_it_calls_where_it_calls_it_and_nothing_else() -> None:
    text = (ROOT / "docs/roles/guard.json").read_text().replace("${aws:PrincipalTag/environment}", "staging")
    statements = json.loads(text.replace("ACCOUNT", "123456789012").replace("REGION", "eu-west-1"))["Statement"]
    here = "eu-west-1:123456789012"
    objects, balancing = f"arn:aws:s3:::{BUCKET}/guard/{ALARM}", f"arn:aws:elasticloadbalancing:{here}"
    called = {
        "s3:listObjectsV2": ("s3:ListBucket", f"arn:aws:s3:::{BUCKET}"),
        "s3:getObject": ("s3:GetObject", f"{objects}.json"),
        "s3:putObject": ("s3:PutObject", f"{objects}.fired"),
        "elasticloadbalancingv2:describeTargetHealth": ("elasticloadbalancing:DescribeTargetHealth", "*"),
        "elasticloadbalancingv2:modifyRule": (
            "elasticloadbalancing:ModifyRule",
            f"{balancing}:listener-rule/app/edge-alb-1a2b3c4/50dc6c495c0c9188/f2f7dc8efc522ab2/9683b2d02a6cabee",
        ),
    }
    found = {task["Resource"].removeprefix("arn:aws:states:::aws-sdk:") for task in tasks(definition(BUCKET)["States"])}
    assert found == called.keys()
    needed = {*called.values(), ("states:StartExecution", f"arn:aws:states:{here}:stateMachine:staging-guard")}
    allowed = [
        (action, resource, statement.get("Condition"))
        for statement in statements
        for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
        for resource in [statement["Resource"]]
    ]
    assert sorted(action for action, _, _ in allowed) == sorted(action for action, _ in needed)
    for action, name in needed:
        assert any(action == may and fnmatchcase(name, where) for may, where, _ in allowed), action
        elsewhere = name.replace("staging", "production")
        assert elsewhere == name or not any(fnmatchcase(elsewhere, where) for may, where, _ in allowed if may == action)
    conditions = {action: condition for action, _, condition in allowed if condition}
    assert conditions == {
        "elasticloadbalancing:ModifyRule": {"StringEquals": {"aws:ResourceTag/environment": "staging"}},
        "s3:ListBucket": {"StringLike": {"s3:prefix": "guard/*"}},
    }


# The Amazon States Language

PATHS = {"Variable", "ItemsPath", "InputPath", "TimestampGreaterThanPath", "TimestampLessThanEqualsPath"}
"""Fields that take a reference path only: one that can name a single node."""


def fields(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key, inner
            yield from fields(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from fields(inner)


def test_the_state_machine_keeps_to_what_aws_takes() -> None:
    whole = definition(BUCKET)
    seen = 0
    for states in (whole["States"], whole["States"]["Each"]["ItemProcessor"]["States"]):
        start = whole["StartAt"] if states is whole["States"] else whole["States"]["Each"]["ItemProcessor"]["StartAt"]
        nexts = {inner for key, inner in fields(states) if key in ("Next", "Default")} | {start}
        assert nexts - {*whole["States"], *whole["States"]["Each"]["ItemProcessor"]["States"]} == set()
        for name, state in states.items():
            seen += 1
            assert name in nexts, f"nothing leads to {name}"
            ends = state["Type"] in ("Succeed", "Fail", "Choice") or state.get("End")
            assert bool(ends) != ("Next" in state)
    assert seen >= 14
    for key, value in fields(whole):
        if key in PATHS:
            assert re.fullmatch(r"\$(\.\w+(\[\d+\])?)+", value), value
        if key.endswith(".$"):
            assert value.startswith(("$", "States."))
        if key == "MaxDelaySeconds":
            assert value > 1, "longer than the first interval"
    assert not [value for _, value in fields(whole) if isinstance(value, str) and "$$" in value]


# What it does


def client(service: str) -> Any:
    return boto3.client(service)  # type: ignore[call-overload]


class World:
    """Two services behind one load balancer, each with a color that is tried and one that has its pods."""

    def __init__(self) -> None:
        ec2 = boto3.client("ec2")
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        subnets = [
            ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{number}.0/24", AvailabilityZone=f"eu-west-1{zone}")
            for number, zone in enumerate("ab")
        ]
        self.elb, self.s3 = client("elbv2"), client("s3")
        balancer = self.elb.create_load_balancer(Name="edge", Subnets=[one["Subnet"]["SubnetId"] for one in subnets])
        listener = self.elb.create_listener(
            LoadBalancerArn=balancer["LoadBalancers"][0]["LoadBalancerArn"],
            Protocol="HTTP",
            Port=80,
            DefaultActions=[{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "503"}}],
        )["Listeners"][0]["ListenerArn"]
        self.groups: dict[str, str] = {}
        self.rules: dict[str, str] = {}
        for number, service in enumerate(("shop", "pricing"), 1):
            for color in ("blue", "green"):
                self.groups[f"{service}-{color}"] = self.elb.create_target_group(
                    Name=f"{service}-{color}", Protocol="HTTP", Port=80, VpcId=vpc, TargetType="ip"
                )["TargetGroups"][0]["TargetGroupArn"]
            self.rules[service] = self.elb.create_rule(
                ListenerArn=listener,
                Priority=number,
                Conditions=[{"Field": "host-header", "HostHeaderConfig": {"Values": [f"{service}.example.com"]}}],
                Actions=self.shared(service, 90, 10),
            )["Rules"][0]["RuleArn"]
            self.elb.register_targets(TargetGroupArn=self.groups[f"{service}-blue"], Targets=[{"Id": "10.0.0.9"}])
        self.s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        self.states, self.numbers = boto3.client("stepfunctions"), count()
        role = boto3.client("iam").create_role(RoleName="guard", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
        # The product's, but that it does not try again for minutes.
        text = re.sub(r'"MaxAttempts": \d+', '"MaxAttempts": 0', json.dumps(definition(BUCKET)))
        self.machine = self.states.create_state_machine(name="staging-guard", definition=text, roleArn=role)[
            "stateMachineArn"
        ]

        self.sick: set[str] = set()
        """Groups whose pods are not healthy."""
        self.hold = threading.Event()
        """Answers of target health wait for it."""
        self.hold.set()

    def observe(self) -> dict[str, dict[tuple[str, int], Host]]:
        """Say what the load balancer's health checks say."""
        self.hold.wait(20)
        return {
            cluster_name(arn): {("10.0.0.9", 80): Host(healthy=arn not in self.sick, pending=False, timeout=False)}
            for arn in self.groups.values()
        }

    def shared(self, service: str, blue: int, green: int) -> list[dict[str, Any]]:
        """Return the actions of a rule, with clients that stay with their color."""
        groups = [
            {"TargetGroupArn": self.groups[f"{service}-{color}"], "Weight": weight}
            for color, weight in (("blue", blue), ("green", green))
        ]
        sticky = {"Enabled": True, "DurationSeconds": 600}
        return [
            {"Type": "forward", "ForwardConfig": {"TargetGroups": groups, "TargetGroupStickinessConfig": sticky}},
        ]

    def actions(self, service: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.elb.describe_rules(RuleArns=[self.rules[service]])["Rules"][0]["Actions"]
        return found

    def weights(self, service: str = "shop") -> list[int]:
        return [group["Weight"] for group in self.actions(service)[0]["ForwardConfig"]["TargetGroups"]]

    def back(self, service: str) -> dict[str, Any]:
        groups = {self.groups[f"{service}-{color}"]: color for color in Color}
        rule = Rule(service=service, arn=self.rules[service], actions=self.actions(service), groups=groups)
        return guard.move(rule, Color.BLUE)

    def arm(self, *services: str, alarm: str = ALARM, times: Mapping[str, float] = {}) -> None:
        moves = [self.back(service) for service in services]
        guard.arm(self.s3, BUCKET, [alarm], guard.order(moves, **{**TIMES, **times}))

    def run(self) -> str:
        """Let the alarm ring, and return how the execution ended."""
        arn = self.states.start_execution(
            stateMachineArn=self.machine, name=str(next(self.numbers)), input=json.dumps(rings())
        )["executionArn"]
        deadline = time.monotonic() + 20
        while (status := self.states.describe_execution(executionArn=arn)["status"]) == "RUNNING":
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return str(status)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    gaps.fill()
    with mocked(monkeypatch):
        made = World()
        monkeypatch.setattr(gaps.Elbv2, "observe", staticmethod(made.observe))
        yield made


def test_without_an_order_it_does_nothing(world: World) -> None:
    assert world.run() == "SUCCEEDED"
    assert world.weights() == [90, 10]
    assert guard.fired(world.s3, BUCKET, [ALARM], since=TIMES["since"]) == []


def test_an_order_for_another_alarm_is_none(world: World) -> None:
    world.arm("shop", alarm=f"{ALARM}-2")
    assert world.run() == "SUCCEEDED"
    assert world.weights() == [90, 10]


@pytest.mark.parametrize("times", [{"until": AT}, {"since": AT + 1}], ids=["too-old", "too-new"])
def test_an_order_for_another_time_is_none(world: World, times: dict[str, float]) -> None:
    world.arm("shop", times=times)
    assert world.run() == "SUCCEEDED"
    assert world.weights() == [90, 10]


def test_armed_it_sends_everything_back_and_says_so(world: World) -> None:
    world.arm("shop")
    assert world.run() == "SUCCEEDED"
    assert world.weights() == [100, 0]
    assert not world.actions("shop")[0]["ForwardConfig"]["TargetGroupStickinessConfig"]["Enabled"]
    assert world.weights("pricing") == [90, 10], "it was not released"
    (did,) = guard.fired(world.s3, BUCKET, [ALARM], since=TIMES["since"])
    assert (did.alarm, did.at, did.left) == (ALARM, AT, [])


def test_the_services_of_one_release_go_back_together(world: World) -> None:
    world.arm("shop", "pricing")
    assert world.run() == "SUCCEEDED"
    assert [world.weights("shop"), world.weights("pricing")] == [[100, 0]] * 2


def test_a_second_event_of_the_same_alarm_does_the_same_again(world: World) -> None:
    world.arm("shop")
    assert [world.run(), world.run()] == ["SUCCEEDED"] * 2
    assert world.weights() == [100, 0]


def test_nothing_is_sent_to_a_color_without_healthy_pods_and_people_are_called(world: World) -> None:
    world.arm("shop", "pricing")
    world.sick = {world.groups["shop-blue"]}
    assert world.run() == "FAILED"
    assert world.weights("shop") == [90, 10]
    assert world.weights("pricing") == [100, 0], "one service in need does not keep the others"
    (did,) = guard.fired(world.s3, BUCKET, [ALARM], since=TIMES["since"])
    assert did.left == [world.rules["shop"]]


def test_nothing_is_sent_to_a_color_without_pods(world: World) -> None:
    world.arm("shop")
    world.elb.deregister_targets(TargetGroupArn=world.groups["shop-blue"], Targets=[{"Id": "10.0.0.9"}])
    world.sick = {world.groups["shop-blue"]}
    assert world.run() == "FAILED"
    assert world.weights() == [90, 10]


def test_a_call_that_is_refused_is_left_and_the_others_are_sent_back(world: World) -> None:
    gone = f"{world.rules['shop']}0"
    moves = [{**world.back("shop"), "rule": gone}, world.back("pricing")]
    guard.arm(world.s3, BUCKET, [ALARM], guard.order(moves, **TIMES))
    assert world.run() == "FAILED"
    assert world.weights("pricing") == [100, 0]
    (did,) = guard.fired(world.s3, BUCKET, [ALARM], since=TIMES["since"])
    assert did.left == [gone]


def test_health_that_cannot_be_read_does_not_keep_the_traffic_with_a_color_that_fails(world: World) -> None:
    unreadable = {**world.back("shop"), "old": "gone"}
    guard.arm(world.s3, BUCKET, [ALARM], guard.order([unreadable], **TIMES))
    assert world.run() == "SUCCEEDED"
    assert world.weights() == [100, 0]


def test_an_order_that_makes_no_sense_moves_nothing_and_people_are_called(world: World) -> None:
    world.s3.put_object(Bucket=BUCKET, Key=f"guard/{ALARM}.json", Body=b"no JSON")
    assert world.run() == "FAILED"
    assert world.weights() == [90, 10]


def test_disarmed_it_does_nothing_and_what_it_did_can_still_be_read(world: World) -> None:
    world.arm("shop")
    world.run()
    guard.disarm(world.s3, BUCKET, [ALARM])
    world.elb.modify_rule(RuleArn=world.rules["shop"], Actions=world.shared("shop", 90, 10))
    assert world.run() == "SUCCEEDED"
    assert world.weights() == [90, 10]
    assert len(guard.fired(world.s3, BUCKET, [ALARM], since=TIMES["since"])) == 1
    assert guard.fired(world.s3, BUCKET, [ALARM], since=AT + 1) == [], "that was another release's"


def test_while_it_works_it_is_busy(world: World) -> None:
    assert not guard.busy(world.states, world.machine)
    world.arm("shop")
    world.hold.clear()
    world.states.start_execution(stateMachineArn=world.machine, name="held", input=json.dumps(rings()))
    assert guard.busy(world.states, world.machine)
    world.hold.set()
    deadline = time.monotonic() + 20
    while guard.busy(world.states, world.machine):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert world.weights() == [100, 0]
