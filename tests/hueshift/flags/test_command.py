"""`hueshift flags` against the local cloud's AppConfig, in this process."""

import json
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any, Literal

import boto3
import pytest
import yaml
from typer.testing import CliRunner, Result

from components.service.feature_flags import STRATEGIES
from hueshift.cli import app
from hueshift.flags import appconfig
from sandbox.aws import cloudwatch, gaps
from sandbox.aws.clock import Clock
from tests.support import moto
from tests.support import strategies as some
from tests.support.program import ROOT

pytestmark = pytest.mark.slow  # seconds of what is said to the local cloud's AppConfig: `make test` runs them

gaps.fill()
ALARM = "staging-shop-green-errors"
FLAG = {"description": "Short checkout", "owner": "team-checkout", "expires": "2099-06-01"}
TRUST = {"Statement": [{"Effect": "Allow", "Principal": {"Service": "appconfig.amazonaws.com"}}]}


class Project:
    """A stack file whose shop has two flags, and what an update has made of them."""

    def __init__(self, folder: Path, moments: list[float]) -> None:
        self.folder, self.moments = folder, moments
        self.api = boto3.client("appconfig", region_name="eu-west-1")
        self.write({"checkout": FLAG, "search": FLAG})

    def write(self, flags: dict[str, dict[str, str]]) -> None:
        values: dict[str, Any] = some.stack()
        values["services"]["shop"]["flags"] = flags
        content = {"config": {f"hueshift:{key}": value for key, value in values.items()} | {"aws:region": "eu-west-1"}}
        (self.folder / "Pulumi.staging.yaml").write_text(yaml.safe_dump(content))

    def update(self) -> None:
        watch = boto3.client("cloudwatch", region_name="eu-west-1")
        watch.put_metric_alarm(
            AlarmName=ALARM,
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
        arn = f"arn:aws:cloudwatch:eu-west-1:123456789012:alarm:{ALARM}"
        self.application = self.api.create_application(Name="staging-flags")["Id"]
        self.environment = self.api.create_environment(
            ApplicationId=self.application,
            Name="shop",
            Monitors=[{"AlarmArn": arn, "AlarmRoleArn": role["Role"]["Arn"]}],
        )["Id"]
        self.api.create_configuration_profile(
            ApplicationId=self.application, Name="shop", LocationUri="hosted", Type="AWS.AppConfig.FeatureFlags"
        )
        for kind, minutes in STRATEGIES.items():
            self.api.create_deployment_strategy(
                Name=f"staging-flag-{kind}",
                DeploymentDurationInMinutes=0,
                GrowthFactor=100,
                FinalBakeTimeInMinutes=minutes,
                ReplicateTo="NONE",
            )

    def run(self, *words: str) -> Result:
        with chdir(self.folder):
            return CliRunner().invoke(app, ["flags", *words, "--stack", "staging"])

    def told(self) -> dict[str, Any]:
        done = self.run("status", "--json")
        assert done.exit_code == 0, done.output
        found: dict[str, Any] = json.loads(done.stdout)["services"]["shop"]
        return found

    def percent(self, flag: str = "checkout") -> float | None:
        """Return to how many a flag is shown; None if it is off."""
        said = self.told()["flags"][flag]
        return float(said["percent"]) if said["enabled"] else None

    def fire(self, state: Literal["ALARM", "OK", "INSUFFICIENT_DATA"] = "ALARM") -> None:
        boto3.client("cloudwatch", region_name="eu-west-1").set_alarm_state(
            AlarmName=ALARM, StateValue=state, StateReason="a test"
        )
        self.moments[0] += 2

    def states(self) -> list[str]:
        listed = self.api.list_deployments(ApplicationId=self.application, EnvironmentId=self.environment)["Items"]
        return [each["State"] for each in listed]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    (tmp_path / "Pulumi.yaml").write_text((ROOT / "Pulumi.yaml").read_text())
    moments = [1_800_000_000.0]
    monkeypatch.setattr(cloudwatch.CloudWatch, "clock", Clock(lambda: moments[0]))

    def pause(seconds: float) -> None:
        moments[0] += seconds

    monkeypatch.setattr("hueshift.flags.appconfig.time.sleep", pause)
    with moto.mocked(monkeypatch):
        yield Project(tmp_path, moments)


@pytest.fixture
def made(project: Project) -> Project:
    project.update()
    return project


def test_a_step_says_who_sees_the_flag_and_until_when_alarms_take_it_back(made: Project) -> None:
    done = made.run("set", "shop", "checkout", "--percent", "5")
    assert done.exit_code == 0, done.output
    assert "checkout of shop is on for 5 % of the users and internal users; before it was off" in done.output
    assert "hueshift flags off shop checkout --stack staging" in done.output
    assert (made.percent(), made.percent("search")) == (5, None)
    assert made.states() == ["BAKING", "COMPLETE"], "behind the first step there is something to go back to"


def test_no_step_begins_while_another_is_watched_and_nothing_has_changed(made: Project) -> None:
    made.run("set", "shop", "checkout", "--percent", "5")
    before = made.told()
    done = made.run("set", "shop", "search", "--percent", "5")
    assert (done.exit_code, made.told()) == (1, before)
    assert "an alarm takes deployment 2 back until" in done.output
    made.moments[0] += 31 * 60
    assert made.run("set", "shop", "search", "--percent", "5").exit_code == 0
    assert (made.percent(), made.percent("search")) == (5, 5)


def test_an_alarm_takes_a_step_back_and_the_next_one_is_based_on_what_was_before(made: Project) -> None:
    made.run("set", "shop", "checkout", "--percent", "5")
    made.moments[0] += 31 * 60
    made.run("set", "shop", "checkout", "--percent", "25")
    made.fire()
    assert made.percent() == 5
    done = made.run("status")
    assert "deployment 3 was taken back: Rollback initiated by CloudWatch alarm" in done.output
    assert ALARM in done.output
    made.fire("OK")
    made.run("set", "shop", "search", "--percent", "50")
    assert (made.percent(), made.percent("search")) == (5, 50)


@pytest.mark.parametrize("state", ["ALARM", "INSUFFICIENT_DATA"])
def test_no_step_begins_that_an_alarm_would_take_back_at_once(
    made: Project, state: Literal["ALARM", "INSUFFICIENT_DATA"]
) -> None:
    made.fire(state)
    done = made.run("set", "shop", "checkout", "--percent", "25")
    assert (done.exit_code, made.states()) == (1, [])
    assert f"{ALARM} is {state}: AppConfig would take the step back at once" in done.output


def test_no_step_begins_that_nothing_would_take_back(made: Project) -> None:
    made.api.update_environment(ApplicationId=made.application, EnvironmentId=made.environment, Monitors=[])
    done = made.run("set", "shop", "checkout", "--percent", "25")
    assert (done.exit_code, made.states()) == (1, [])
    assert "no alarm watches its flags; an update with --refresh puts them back: pulumi up --refresh" in done.output


def test_no_step_begins_if_an_alarm_that_is_to_watch_it_is_gone(made: Project) -> None:
    boto3.client("cloudwatch", region_name="eu-west-1").delete_alarms(AlarmNames=[ALARM])
    done = made.run("set", "shop", "checkout", "--percent", "25")
    assert (done.exit_code, made.states()) == (1, [])
    assert f"there is no alarm {ALARM}" in done.output


def test_off_stops_the_step_that_is_watched_and_no_alarm_turns_the_flag_on_again(made: Project) -> None:
    made.run("set", "shop", "checkout", "--percent", "5")
    made.moments[0] += 31 * 60
    made.run("set", "shop", "checkout", "--percent", "25")
    made.fire()
    done = made.run("off", "shop", "checkout")
    assert done.exit_code == 0, done.output
    assert "checkout of shop is off; before it was on for 5 %" in done.output
    assert (made.percent(), made.states()[0]) == (None, "COMPLETE")
    made.fire()
    assert made.percent() is None


def test_off_leaves_the_alarms_as_they_were_even_if_it_fails(made: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    place = {"ApplicationId": made.application, "EnvironmentId": made.environment}
    before = made.api.get_environment(**place)["Monitors"]
    made.run("set", "shop", "checkout", "--percent", "5")
    made.moments[0] += 31 * 60
    monkeypatch.setattr(appconfig, "_PATIENCE", -1)
    assert "AppConfig needs more than" in made.run("off", "shop", "checkout").output
    monkeypatch.undo()
    assert made.api.get_environment(**place)["Monitors"] == before != []


def test_off_waits_for_the_off_of_another_flag_and_does_not_turn_that_on_again(made: Project) -> None:
    for flag in ("checkout", "search"):
        made.run("set", "shop", flag, "--percent", "50")
        made.moments[0] += 31 * 60
    place = {"ApplicationId": made.application, "EnvironmentId": made.environment}
    made.run("off", "shop", "search")
    strategies = {each["Name"]: each["Id"] for each in made.api.list_deployment_strategies()["Items"]}
    (profile,) = made.api.list_configuration_profiles(ApplicationId=made.application)["Items"]
    made.api.start_deployment(
        **place,
        ConfigurationProfileId=profile["Id"],
        ConfigurationVersion="4",
        DeploymentStrategyId=strategies["staging-flag-off"],
    )
    done = made.run("off", "shop", "checkout")
    assert "waits for deployment" in done.output
    assert (made.percent(), made.percent("search")) == (None, None)
    assert "REVERTED" not in made.states()


def test_off_of_what_is_off_stops_nobody_elses_step(made: Project) -> None:
    made.run("set", "shop", "search", "--percent", "50")
    done = made.run("off", "shop", "checkout")
    assert (done.exit_code, made.percent("search")) == (0, 50)
    assert "checkout of shop is off already" in done.output


def test_a_profile_never_has_so_many_versions_that_off_would_fail(
    made: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(appconfig, "_KEPT", 3)
    for percent in range(5):
        made.run("set", "shop", "checkout", "--percent", str(percent))
        made.moments[0] += 31 * 60
    (profile,) = made.api.list_configuration_profiles(ApplicationId=made.application)["Items"]
    kept = made.api.list_hosted_configuration_versions(
        ApplicationId=made.application, ConfigurationProfileId=profile["Id"]
    )["Items"]
    assert [each["VersionNumber"] for each in kept] == [6, 5, 4]
    assert made.run("off", "shop", "checkout").exit_code == 0


def test_off_of_a_first_step_takes_it_back_and_is_done(made: Project) -> None:
    made.run("set", "shop", "checkout", "--percent", "5")
    done = made.run("off", "shop", "checkout")
    assert (done.exit_code, made.percent(), made.states()) == (0, None, ["ROLLED_BACK", "COMPLETE"])
    assert "deployment 2 is taken back" in done.output


def test_off_leaves_every_other_flag_even_one_that_the_stack_file_has_no_more(made: Project) -> None:
    for flag in ("checkout", "search"):
        made.run("set", "shop", flag, "--percent", "50")
        made.moments[0] += 31 * 60
    made.write({"checkout": FLAG})
    made.run("off", "shop", "checkout")
    assert (made.percent(), made.percent("search")) == (None, 50)
    assert "not in the stack file: nobody owns it" in made.run("status").output
    made.run("off", "shop", "search")
    assert made.percent("search") is None
    made.run("set", "shop", "checkout", "--percent", "5")
    assert made.told()["flags"].keys() == {"checkout"}, "a step leaves out what the stack file has no more"


def test_internal_users_stay_as_they_are_unless_the_step_says_otherwise(made: Project) -> None:
    for words, expected in ((("0",), True), (("5", "--no-internal"), False), (("25",), False)):
        made.run("set", "shop", "checkout", "--percent", *words)
        assert made.told()["flags"]["checkout"]["internal"] is expected
        made.moments[0] += 31 * 60


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["set", "shop", "chekout", "--percent", "5"], "no flag of shop is called 'chekout'; did you mean checkout"),
        (["set", "shop", "checkout", "--percent", "101"], "--percent 101 is out of range; allowed are 0 to 100"),
        (
            ["set", "shop", "checkout", "--percent", "0", "--no-internal"],
            "turn it off: hueshift flags off shop checkout",
        ),
        (["set", "web", "checkout", "--percent", "5"], "no service of staging is called 'web'"),
        (["off", "shop", "chekout"], "no flag of shop is called 'chekout'; did you mean checkout"),
    ],
)
def test_a_mistake_is_refused_before_anything_is_deployed(made: Project, words: list[str], said: str) -> None:
    done = made.run(*words)
    assert (done.exit_code, made.states()) == (1, [])
    assert said in done.output


def test_the_same_again_is_refused(made: Project) -> None:
    made.run("set", "shop", "checkout", "--percent", "5")
    made.moments[0] += 31 * 60
    done = made.run("set", "shop", "checkout", "--percent", "5")
    assert "is on for 5 % of the users and internal users already; nothing was changed" in done.output


def test_what_no_update_has_made_yet_is_said(project: Project) -> None:
    done = project.run("status")
    assert done.exit_code == 1
    assert "none of its applications called staging-flags: an update makes it, pulumi up --stack staging" in done.output


def test_a_stack_without_flags_says_where_to_read_of_them(project: Project) -> None:
    project.write({})
    assert "no service of staging has any flags; docs/flags.md says how to make one" in project.run("status").output


def test_an_expired_flag_is_moved_with_a_warning(made: Project) -> None:
    made.write({"checkout": {**FLAG, "expires": "2020-01-01"}})
    done = made.run("set", "shop", "checkout", "--percent", "5")
    assert done.exit_code == 0
    assert "warning: checkout expired on 2020-01-01; team-checkout is to remove it from the code" in done.output


def test_who_is_overtaken_by_somebody_else_is_told_so(made: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    made.run("set", "shop", "checkout", "--percent", "5")
    made.moments[0] += 31 * 60
    listed = appconfig.AppConfig._listed

    def late(self: appconfig.AppConfig, operation: str, **given: str) -> Any:  # noqa: ANN401
        found = listed(self, operation, **given)
        return found[1:] if operation == "list_hosted_configuration_versions" else found

    monkeypatch.setattr(appconfig.AppConfig, "_listed", late)
    done = made.run("set", "shop", "checkout", "--percent", "25")
    assert "somebody else has changed the flags of shop meanwhile" in done.output
    assert made.percent() == 5
