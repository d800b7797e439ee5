"""What AWS is told of feature flags, and what it takes back by itself."""

import json

import pytest

from components import rules
from components.model import Color
from components.service.feature_flags import FeatureFlags, offer_flags
from tests.support import samples
from tests.support.engine import Engine, in_stack


@in_stack
async def test_a_service_has_an_environment_and_a_profile_of_its_own_in_the_one_application(engine: Engine) -> None:
    FeatureFlags("flags", samples.FLAGS)
    application = await engine.inputs("flags-application")
    environment = await engine.inputs("flags-shop-environment")
    profile = await engine.inputs("flags-shop-profile")
    assert application["name"] == "staging-flags"
    assert (environment["name"], profile["name"]) == ("shop", "shop")
    assert environment["applicationId"] == profile["applicationId"]
    assert (profile["locationUri"], profile["type"]) == ("hosted", "AWS.AppConfig.FeatureFlags")


@in_stack
async def test_failures_and_slow_answers_of_both_colors_take_a_change_back(engine: Engine) -> None:
    FeatureFlags("flags", samples.FLAGS)
    role = await engine.resource("flags-role")
    monitors = (await engine.inputs("flags-shop-environment"))["monitors"]
    assert {each["alarmArn"] for each in monitors} == {
        f"{samples.ALARM}shop-{color}-{alarm}" for color in Color for alarm in ("errors", "latency-p95")
    }
    assert len(monitors) <= 5, "AppConfig takes no more"
    assert {each["alarmRoleArn"] for each in monitors} == {role.computed["arn"]}
    environment = await engine.resource("flags-shop-environment")
    assert (await engine.resource("flags-policy")).urn in engine.ancestry(environment.urn)


@in_stack
async def test_only_appconfig_for_this_account_takes_on_the_role_and_its_policy_is_the_accounts(engine: Engine) -> None:
    FeatureFlags("flags", samples.FLAGS)
    (statement,) = json.loads((await engine.inputs("flags-role"))["assumeRolePolicy"])["Statement"]
    assert statement["Principal"] == {"Service": "appconfig.amazonaws.com"}
    assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": "123456789012"}}
    assert (await engine.inputs("flags-policy"))["policyArn"] == "arn:aws:iam::123456789012:policy/hueshift-flags"


@in_stack
async def test_a_step_reaches_all_pods_at_once_and_is_watched_and_off_is_not_taken_back(engine: Engine) -> None:
    FeatureFlags("flags", samples.FLAGS)
    strategies = {each.inputs["name"]: each.inputs for each in await engine.of_type("DeploymentStrategy")}
    assert {name: each["finalBakeTimeInMinutes"] for name, each in strategies.items()} == {
        "staging-flag-step": 30,
        "staging-flag-off": 0,
    }
    for each in strategies.values():
        assert (each["deploymentDurationInMinutes"], each["growthFactor"], each["replicateTo"]) == (0, 100, "NONE")


@in_stack
async def test_a_flag_is_a_tag_with_its_last_day_and_its_owner_and_no_content_that_an_update_could_move(
    engine: Engine,
) -> None:
    FeatureFlags("flags", samples.FLAGS)
    tags = (await engine.inputs("flags-shop-profile"))["tags"]
    assert tags == {**samples.TAGS, "service": "shop", "flag:checkout": "2099-01-01 team-shop"}
    assert not [each for each in engine.registrations.values() if "ConfigurationVersion" in each.type]
    assert not [each for each in engine.registrations.values() if each.type.endswith(":Deployment")]


@in_stack
async def test_services_without_flags_make_nothing(engine: Engine) -> None:
    offer_flags({"shop": samples.SERVICE}, samples.CONTEXT, "eu-west-1", after=[])
    await engine.settle()
    assert engine.registrations == {}


@pytest.mark.parametrize("text", ["2027-6-1", "2027-02-30", "20270601", "soon", "2027-06-01T00:00:00Z"])
def test_a_text_that_is_no_day_is_refused(text: str) -> None:
    assert "is no day" in (rules.day_problem(text) or "")
    assert rules.day_problem("2027-06-01") is None


def test_a_service_has_no_more_flags_than_its_profile_has_room_for_tags() -> None:
    assert rules.flags_problem([f"f{number}" for number in range(40)]) is None
    assert "41 flags" in (rules.flags_problem([f"f{number}" for number in range(41)]) or "")
