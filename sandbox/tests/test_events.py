"""The local cloud's alarms start state machines, whose calls reach the load balancer."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from components.traffic.guard import POLICY, definition, pattern
from sandbox import paths
from sandbox.aws import events, gaps, iam
from sandbox.tests.envoy_world import World, client, fetch, forward, until
from sandbox.tests.envoy_world import cloud as cloud
from sandbox.tests.envoy_world import world as world
from tests.support import moto

pytestmark = pytest.mark.slow  # the local cloud's own parts: `make test` runs them

gaps.fill()
Client = Callable[[str], Any]
ENDS = {"StartAt": "Told", "States": {"Told": {"Type": "Succeed"}}}
FAILS = {"StartAt": "Told", "States": {"Told": {"Type": "Fail", "Error": "No", "Cause": "It cannot"}}}


@pytest.fixture
def mocked(monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    with moto.mocked(monkeypatch):
        yield lambda service: boto3.client(service, region_name="eu-west-1")  # type: ignore[call-overload]


def alarm(of: Client, name: str = "production-shop-green") -> None:
    of("cloudwatch").put_metric_alarm(
        AlarmName=name,
        Namespace="tests",
        MetricName=name,
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        ComparisonOperator="GreaterThanThreshold",
        Threshold=0.5,
    )


def change(of: Client, state: str, name: str = "production-shop-green") -> None:
    of("cloudwatch").set_alarm_state(AlarmName=name, StateValue=state, StateReason="a test")


def machine(of: Client, what: dict[str, Any], *, wired: bool = True) -> str:
    """Make a state machine that the alarms of production start; return its ARN."""
    role = of("iam").create_role(RoleName="guard", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    made = of("stepfunctions").create_state_machine(name="guard", definition=json.dumps(what), roleArn=role)
    of("events").put_rule(Name="guard", EventPattern=json.dumps(pattern("production")))
    if wired:
        of("events").put_targets(
            Rule="guard", Targets=[{"Id": "guard", "Arn": made["stateMachineArn"], "RoleArn": role}]
        )
    return str(made["stateMachineArn"])


def executions(of: Client, arn: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = of("stepfunctions").list_executions(stateMachineArn=arn)["executions"]
    return found


def wait_for(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_an_alarm_that_begins_to_ring_starts_what_listens_once(mocked: Client) -> None:
    arn = machine(mocked, ENDS)
    alarm(mocked)
    for state in ("OK", "ALARM", "ALARM", "OK"):
        change(mocked, state)
    wait_for(lambda: [each["status"] for each in executions(mocked, arn)] == ["SUCCEEDED"])
    (execution,) = executions(mocked, arn)
    told = mocked("stepfunctions").describe_execution(executionArn=execution["executionArn"])["input"]
    event = json.loads(told)
    assert event["detail-type"] == "CloudWatch Alarm State Change"
    assert event["detail"]["alarmName"] == "production-shop-green"
    assert (event["detail"]["state"]["value"], event["detail"]["previousState"]["value"]) == ("ALARM", "OK")
    assert time.strptime(event["time"], "%Y-%m-%dT%H:%M:%SZ"), "as Step Functions compares times"


def test_each_of_two_events_has_its_execution(mocked: Client) -> None:
    arn = machine(mocked, ENDS)
    alarm(mocked)
    for state in ("ALARM", "OK", "ALARM"):
        change(mocked, state)
    wait_for(lambda: len(executions(mocked, arn)) == 2)
    named = mocked("stepfunctions").start_execution(stateMachineArn=arn)
    assert named["executionArn"] not in {each["executionArn"] for each in executions(mocked, arn)[1:]}
    assert len({each["name"] for each in executions(mocked, arn)}) == 3


def test_another_environments_alarm_and_a_disabled_rule_start_nothing(mocked: Client) -> None:
    arn = machine(mocked, ENDS)
    alarm(mocked, "staging-shop-green")
    change(mocked, "ALARM", "staging-shop-green")
    mocked("events").disable_rule(Name="guard")
    alarm(mocked)
    change(mocked, "ALARM")
    time.sleep(0.2)
    assert executions(mocked, arn) == []


def counted(of: Client, namespace: str, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = of("cloudwatch").list_metrics(Namespace=namespace, MetricName=name)["Metrics"]
    return [{each["Name"]: each["Value"] for each in metric["Dimensions"]} for metric in found]


def test_what_became_of_an_execution_is_in_cloudwatch(mocked: Client) -> None:
    arn = machine(mocked, FAILS)
    alarm(mocked)
    change(mocked, "ALARM")
    wait_for(lambda: counted(mocked, "AWS/States", "ExecutionsFailed") == [{"StateMachineArn": arn}])
    mocked("stepfunctions").delete_state_machine(stateMachineArn=arn)
    change(mocked, "OK")
    change(mocked, "ALARM")
    wait_for(lambda: counted(mocked, "AWS/Events", "FailedInvocations") == [{"RuleName": "guard"}])


def test_a_definition_is_judged_as_the_provider_asks_in_a_preview(mocked: Client) -> None:
    states = mocked("stepfunctions")
    good = states.validate_state_machine_definition(definition=json.dumps(definition("releases")))
    assert (good["result"], good["diagnostics"]) == ("OK", [])
    bad = states.validate_state_machine_definition(definition='{"StartAt": "A", "States": {"A": {"Type": "Tusk"}}}')
    assert bad["result"] == "FAIL"
    assert bad["diagnostics"][0]["severity"] == "ERROR"
    with pytest.raises(ClientError, match="StateMachineDoesNotExist"):
        states.list_state_machine_versions(stateMachineArn="arn:aws:states:eu-west-1:123456789012:stateMachine:none")


def test_a_state_machine_without_versions_has_none(mocked: Client) -> None:
    arn = machine(mocked, ENDS, wired=False)
    assert mocked("stepfunctions").list_state_machine_versions(stateMachineArn=arn)["stateMachineVersions"] == []


def test_the_policy_of_the_guard_is_in_the_account_for_its_role_once(mocked: Client) -> None:
    iam.seed()
    iam.seed()
    arn = f"arn:aws:iam::{paths.ACCOUNT}:policy/{POLICY}"
    document = json.dumps(mocked("iam").get_policy_version(PolicyArn=arn, VersionId="v1")["PolicyVersion"]["Document"])
    assert f"{paths.REGION}:{paths.ACCOUNT}:stateMachine" in document
    mocked("iam").create_role(RoleName="guard", AssumeRolePolicyDocument="{}")
    mocked("iam").attach_role_policy(RoleName="guard", PolicyArn=arn)


# Through the server and Envoy


def test_an_alarm_takes_requests_away_from_a_color_through_the_guard(world: World) -> None:
    assert events.Calls.endpoint is not None
    blue, green = world.group(world.backend("blue")), world.group(world.backend("green"))
    listener = world.listener(world.balancer(), forward({blue: 100, green: 0}))
    rule = listener.rule(forward({blue: 0, green: 100}), {"Field": "path-pattern", "Values": ["/*"]}, priority=1)
    world.healthy(blue, green)
    assert fetch(listener.connect()).body == "green"
    s3 = client("s3")
    s3.create_bucket(Bucket="releases", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    machine(client, definition("releases"))
    order = {
        "since": "2020-01-01T00:00:00Z",
        "until": "2099-01-01T00:00:00Z",
        "moves": [{"rule": rule, "old": blue, "actions": [forward({blue: 100, green: 0})]}],
    }
    s3.put_object(Bucket="releases", Key="guard/production-shop-green.json", Body=json.dumps(order).encode())
    alarm(client)
    change(client, "ALARM")
    until(lambda: fetch(listener.connect()).body == "blue")
