"""AppConfig on the local cloud: deployments that alarms take back, and what services are given."""

import json
from collections.abc import Callable, Iterator
from typing import Any, Literal

import boto3
import pytest
from botocore.exceptions import ClientError

from sandbox.aws import cloudwatch, gaps
from sandbox.aws.appconfig import problems
from sandbox.aws.clock import Clock
from tests.support import moto

pytestmark = pytest.mark.slow  # the local cloud's own parts: `make test` runs them

gaps.fill()
ALARM = "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:dev-shop-blue-errors"
TRUST = {"Statement": [{"Effect": "Allow", "Principal": {"Service": "appconfig.amazonaws.com"}}]}


class World:
    """An application with a profile and an environment that an alarm watches, and two strategies."""

    def __init__(self, moments: list[float]) -> None:
        self.moments = moments
        self.api = boto3.client("appconfig", region_name="eu-west-1")
        self.data = boto3.client(
            "appconfigdata", region_name="eu-west-1", endpoint_url="https://appconfig.eu-west-1.amazonaws.com"
        )
        self.watch = boto3.client("cloudwatch", region_name="eu-west-1")
        self.watch.put_metric_alarm(
            AlarmName=ALARM.rpartition(":")[2],
            Namespace="tests",
            MetricName="errors",
            Statistic="Sum",
            Period=60,
            EvaluationPeriods=1,
            ComparisonOperator="GreaterThanThreshold",
            Threshold=0.5,
        )
        self.fire("OK")
        role = boto3.client("iam").create_role(RoleName="flags", AssumeRolePolicyDocument=json.dumps(TRUST))
        self.monitor = {"AlarmArn": ALARM, "AlarmRoleArn": role["Role"]["Arn"]}
        self.application = self.api.create_application(Name="dev-flags")["Id"]
        self.environment = self.api.create_environment(
            ApplicationId=self.application, Name="shop", Monitors=[self.monitor], Tags={"a": "b"}
        )["Id"]
        self.profile = self.api.create_configuration_profile(
            ApplicationId=self.application, Name="shop", LocationUri="hosted", Type="AWS.AppConfig.FeatureFlags"
        )["Id"]
        self.strategies = {
            name: self.api.create_deployment_strategy(
                Name=name,
                DeploymentDurationInMinutes=0,
                GrowthFactor=100,
                FinalBakeTimeInMinutes=minutes,
                ReplicateTo="NONE",
            )["Id"]
            for name, minutes in (("step", 30), ("off", 0))
        }

    def version(self, percent: int, **given: Any) -> int:  # noqa: ANN401
        made = self.api.create_hosted_configuration_version(
            ApplicationId=self.application,
            ConfigurationProfileId=self.profile,
            Content=json.dumps(content(percent=percent)).encode(),
            ContentType="application/json",
            **given,
        )
        return int(made["VersionNumber"])

    def deploy(self, version: int, strategy: str = "step") -> int:
        made = self.api.start_deployment(
            ApplicationId=self.application,
            EnvironmentId=self.environment,
            ConfigurationProfileId=self.profile,
            ConfigurationVersion=str(version),
            DeploymentStrategyId=self.strategies[strategy],
        )
        return int(made["DeploymentNumber"])

    def deployment(self, number: int) -> dict[str, Any]:
        found: dict[str, Any] = self.api.get_deployment(
            ApplicationId=self.application, EnvironmentId=self.environment, DeploymentNumber=number
        )
        return found

    def stop(self, number: int, *, revert: bool) -> None:
        self.api.stop_deployment(
            ApplicationId=self.application,
            EnvironmentId=self.environment,
            DeploymentNumber=number,
            AllowRevert=revert,
        )

    def session(self) -> str:
        return str(
            self.data.start_configuration_session(
                ApplicationIdentifier="dev-flags", EnvironmentIdentifier="shop", ConfigurationProfileIdentifier="shop"
            )["InitialConfigurationToken"]
        )

    def given(self) -> dict[str, Any]:
        """Return what a new client is given."""
        answer = self.data.get_latest_configuration(ConfigurationToken=self.session())
        found: dict[str, Any] = json.loads(answer["Configuration"].read())
        return found

    def fire(self, state: Literal["ALARM", "OK", "INSUFFICIENT_DATA"] = "ALARM") -> None:
        self.watch.set_alarm_state(AlarmName=ALARM.rpartition(":")[2], StateValue=state, StateReason="a test")

    def pass_(self, seconds: float) -> None:
        self.moments[0] += seconds


def content(*, percent: object = 5, enabled: object = True) -> dict[str, Any]:
    number = {"constraints": {"type": "number", "minimum": 0, "maximum": 100, "required": True}}
    return {
        "version": "1",
        "flags": {"checkout": {"name": "checkout", "attributes": {"percent": number}}},
        "values": {"checkout": {"enabled": enabled, "percent": percent}},
    }


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    moments = [1_800_000_000.0]
    monkeypatch.setattr(cloudwatch.CloudWatch, "clock", Clock(lambda: moments[0]))
    with moto.mocked(monkeypatch):
        yield World(moments)


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(ClientError) as error:
        call()
    return str(error.value.response["Error"]["Code"])


def test_a_deployment_bakes_for_its_minutes_and_is_complete_then(world: World) -> None:
    number = world.deploy(world.version(5))
    assert world.deployment(number)["State"] == "DEPLOYING"
    world.pass_(2)
    assert (world.deployment(number)["State"], world.given()["checkout"]["percent"]) == ("BAKING", 5)
    world.pass_(30 * 60)
    assert [event["EventType"] for event in world.deployment(number)["EventLog"]] == [
        "DEPLOYMENT_COMPLETED",
        "BAKE_TIME_STARTED",
        "PERCENTAGE_UPDATED",
        "DEPLOYMENT_STARTED",
    ]
    assert world.deployment(number)["State"] == "COMPLETE"


def test_an_alarm_takes_a_deployment_back_while_it_bakes_and_not_later(world: World) -> None:
    first = world.deploy(world.version(5))
    world.pass_(31 * 60)
    world.fire()
    assert (world.deployment(first)["State"], world.given()["checkout"]["percent"]) == ("COMPLETE", 5)
    world.fire("OK")
    second = world.deploy(world.version(25))
    world.pass_(60)
    assert world.given()["checkout"]["percent"] == 25
    world.fire()
    world.pass_(2)
    log = world.deployment(second)["EventLog"]
    assert (world.deployment(second)["State"], world.given()["checkout"]["percent"]) == ("ROLLED_BACK", 5)
    assert log[1]["TriggeredBy"] == "CLOUDWATCH_ALARM"
    third = world.deploy(world.version(50))
    world.pass_(2)
    assert world.deployment(third)["State"] == "ROLLED_BACK", "the alarm fires from the beginning"


def test_an_alarm_that_does_not_know_takes_a_deployment_back_and_one_without_actions_does_not(world: World) -> None:
    first = world.deploy(world.version(5))
    world.pass_(2)
    world.watch.disable_alarm_actions(AlarmNames=[ALARM.rpartition(":")[2]])
    world.fire("INSUFFICIENT_DATA")
    assert world.deployment(first)["State"] == "BAKING"
    world.watch.enable_alarm_actions(AlarmNames=[ALARM.rpartition(":")[2]])
    world.fire("OK")
    world.fire("INSUFFICIENT_DATA")
    world.pass_(2)
    assert world.deployment(first)["State"] == "ROLLED_BACK"


def test_one_deployment_of_an_environment_runs_at_a_time(world: World) -> None:
    version = world.version(5)
    world.deploy(version)
    world.pass_(2)
    assert refused(lambda: world.deploy(version, "off")) == "ConflictException"


def test_only_who_allows_it_stops_what_bakes_or_is_complete(world: World) -> None:
    first = world.deploy(world.version(5), "off")
    world.pass_(2)
    second = world.deploy(world.version(25))
    world.pass_(2)
    assert refused(lambda: world.stop(second, revert=False)) == "BadRequestException"
    world.stop(second, revert=True)
    world.pass_(2)
    assert (world.deployment(second)["State"], world.given()["checkout"]["percent"]) == ("ROLLED_BACK", 5)
    assert refused(lambda: world.stop(first, revert=True)) == "BadRequestException", "it is not the last"
    third = world.deploy(world.version(50), "off")
    world.pass_(2)
    world.stop(third, revert=True)
    assert (world.deployment(third)["State"], world.given()["checkout"]["percent"]) == ("REVERTED", 5)


def test_a_session_takes_each_token_once_and_tells_only_what_is_new(world: World) -> None:
    token = world.session()
    assert refused(lambda: world.data.get_latest_configuration(ConfigurationToken=token)) == "ResourceNotFoundException"
    world.deploy(world.version(5), "off")
    world.pass_(2)
    answer = world.data.get_latest_configuration(ConfigurationToken=token)
    assert json.loads(answer["Configuration"].read()) == {"checkout": {"enabled": True, "percent": 5}}
    assert answer["NextPollIntervalInSeconds"] == 60
    assert refused(lambda: world.data.get_latest_configuration(ConfigurationToken=token)) == "BadRequestException"
    following = answer["NextPollConfigurationToken"]
    early = refused(lambda: world.data.get_latest_configuration(ConfigurationToken=following))
    assert early == "BadRequestException"


def test_a_version_that_is_not_based_on_the_latest_is_refused(world: World) -> None:
    assert world.version(5, LatestVersionNumber=0) == 1
    assert refused(lambda: world.version(25, LatestVersionNumber=0)) == "ConflictException"


def test_nothing_is_deleted_that_is_still_needed(world: World) -> None:
    of = {"ApplicationId": world.application}
    assert refused(lambda: world.api.delete_application(**of)) == "BadRequestException"
    world.deploy(world.version(5))
    profile = {**of, "ConfigurationProfileId": world.profile}
    assert refused(lambda: world.api.delete_configuration_profile(**profile)) == "ConflictException"
    environment = {**of, "EnvironmentId": world.environment}
    assert refused(lambda: world.api.delete_environment(**environment)) == "ConflictException"
    world.pass_(31 * 60)
    world.api.delete_environment(**environment)
    for each in world.api.list_hosted_configuration_versions(**profile)["Items"]:
        world.api.delete_hosted_configuration_version(**profile, VersionNumber=each["VersionNumber"])
    world.api.delete_configuration_profile(**profile)
    for strategy in world.strategies.values():
        world.api.delete_deployment_strategy(DeploymentStrategyId=strategy)
    world.api.delete_application(**of)
    assert world.api.list_applications()["Items"] == world.api.list_deployment_strategies()["Items"] == []


@pytest.mark.parametrize(
    "wrong", [{"AlarmArn": "errors"}, {"AlarmRoleArn": "arn:aws:iam::123456789012:role/none"}], ids=["alarm", "role"]
)
def test_a_monitor_is_an_alarm_and_a_role_that_exists(world: World, wrong: dict[str, str]) -> None:
    asked = {"ApplicationId": world.application, "Name": "other", "Monitors": [{**world.monitor, **wrong}]}
    assert refused(lambda: world.api.create_environment(**asked)) == "BadRequestException"


def test_an_environment_keeps_its_tags_and_its_monitors(world: World) -> None:
    arn = f"arn:aws:appconfig:eu-west-1:123456789012:application/{world.application}/environment/{world.environment}"
    assert world.api.list_tags_for_resource(ResourceArn=arn)["Tags"] == {"a": "b"}
    found = world.api.get_environment(ApplicationId=world.application, EnvironmentId=world.environment)
    assert found["Monitors"] == [world.monitor]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"percent": 101}, "checkout.percent is out of range"),
        ({"percent": "5"}, "checkout.percent is no number"),
        ({"percent": None}, "checkout.percent is required"),
        ({"enabled": "yes"}, "checkout: enabled is not true or false"),
    ],
)
def test_content_is_judged_by_its_own_constraints(values: dict[str, Any], said: str) -> None:
    assert list(problems(json.dumps(content(**values)).encode())) == [said]
