"""The Job that brings a database to a schema version."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pulumi

from app.migrate import TRY_AGAIN
from app.schemas import Schemas
from components.model import Color
from components.rules import NOT_SECRETS
from components.service.color_environment import ColorEnvironment
from components.service.migration import Migration, declare, record
from components.service.service import BlueGreenService
from components.spec import Migrations
from tests.support import samples
from tests.support.engine import Engine, in_stack


@in_stack
async def test_the_job_is_named_after_the_schema_version_and_runs_it(engine: Engine) -> None:
    Migration("shop-migrate-0002", samples.MIGRATION)
    job = await engine.inputs("shop-migrate-0002-job")
    assert job["metadata"]["name"] == "shop-migrate-0002"
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["command"] == ["python3", "-m", "app.migrate", "0002"]
    assert container["image"] == "registry.example.com/shop:1.5.0"


@in_stack
async def test_another_image_does_not_run_the_same_schema_again(engine: Engine) -> None:
    Migration("shop-migrate-0002", samples.MIGRATION)
    assert list((await engine.resource("shop-migrate-0002-job")).request.ignoreChanges) == ["spec"]


@in_stack
async def test_the_job_ends_by_itself_before_the_update_gives_up_and_stays_to_be_seen(engine: Engine) -> None:
    Migration("shop-migrate-0002", samples.MIGRATION)
    job = await engine.resource("shop-migrate-0002-job")
    assert job.request.customTimeouts.create == "600s"
    assert job.inputs["spec"]["activeDeadlineSeconds"] < 600
    assert "ttlSecondsAfterFinished" not in job.inputs["spec"]


def action(rules: Sequence[Mapping[str, Any]], exit_code: int | None, *conditions: str) -> str:
    """Return what Kubernetes does with a pod that failed: the first rule that fits, else it counts (batch/v1, Job)."""
    for rule in rules:
        if (codes := rule.get("onExitCodes")) and exit_code is not None:
            if (exit_code in codes["values"]) == (codes["operator"] == "In"):
                return str(rule["action"])
        elif any(each["type"] in conditions and each["status"] == "True" for each in rule.get("onPodConditions", [])):
            return str(rule["action"])
    return "Count"


@in_stack
async def test_the_programs_no_ends_the_job_in_a_way_that_the_provider_sees_and_all_else_runs_again(
    engine: Engine,
) -> None:
    Migration("shop-migrate-0002", samples.MIGRATION)
    spec = (await engine.inputs("shop-migrate-0002-job"))["spec"]
    rules = spec["podFailurePolicy"]["rules"]
    assert (action(rules, 1), spec["backoffLimit"]) == ("Count", 0), "BackoffLimitExceeded, at the first"
    for code in (TRY_AGAIN, 137, 143):
        assert action(rules, code) == "Ignore"
    for answer in (1, None):
        assert action(rules, answer, "DisruptionTarget") == "Ignore", "its node went away: that is no answer"
    assert spec["activeDeadlineSeconds"] > 0, "or what is ignored would run again for ever"


@in_stack
async def test_the_job_waits_for_its_secrets_and_for_what_comes_before_it(engine: Engine) -> None:
    first = Migration("shop-migrate-0001", samples.change(samples.MIGRATION, schema="0001"))
    Migration("shop-migrate-0002", samples.change(samples.MIGRATION, after=[first.job]))
    second = await engine.resource("shop-migrate-0002-job")
    expected = {(await engine.resource(name)).urn for name in ("shop-migrate-0002-app", "shop-migrate-0001-job")}
    assert expected <= second.waits_for
    (container,) = second.inputs["spec"]["template"]["spec"]["containers"]
    assert container["envFrom"][0] == {"secretRef": {"name": "shop-migrate-0002-app"}}


class _Home(pulumi.ComponentResource):
    """Stands for the service, which tells its migrations who needs what."""

    def __init__(self) -> None:
        super().__init__("hueshift:tests:Home", "shop")
        there: Callable[..., dict[str, Any]] = partial(dict, namespace="staging-shop", parent=self)
        schemas = {Color.GREEN: "0002", Color.BLUE: "0001"}
        declared = declare("shop-schemas", schemas, **there(context=samples.SHOP))
        for color, parked in ((Color.BLUE, True), (Color.GREEN, False)):
            own = samples.CONTEXT.of("shop", color)
            record(f"shop-{color}-schema", "0002", **there(context=own, parked=parked, ready=declared))
        self.register_outputs({})


@in_stack
async def test_a_job_is_told_what_each_color_needs_by_what_changes_while_the_job_does_not(engine: Engine) -> None:
    _Home()
    Migration("shop-migrate-0002", samples.MIGRATION)
    (container,) = (await engine.inputs("shop-migrate-0002-job"))["spec"]["template"]["spec"]["containers"]
    told = {}
    for source in (source["configMapRef"] for source in container["envFrom"] if "configMapRef" in source):
        (config_map,) = [
            found.inputs
            for found in await engine.of_type(":ConfigMap")
            if found.inputs["metadata"]["name"] == source["name"]
        ]
        assert config_map["metadata"]["namespace"] == "staging-shop"
        assert source["optional"]  # a color that was never ready has none
        told[source["name"]] = config_map["data"]
    assert told == {
        "shop-schemas": {"DECLARED_SCHEMAS": "blue=0001 green=0002"},
        "shop-blue-schema": {"RUNNING_SCHEMA_BLUE": "none"},
        "shop-green-schema": {"RUNNING_SCHEMA_GREEN": "0002"},
    }
    env = {name: value for data in told.values() for name, value in data.items()}
    assert Schemas.read(env) == Schemas({"blue": "0001", "green": "0002"}, {"blue": "none", "green": "0002"})


@in_stack
async def test_what_a_color_runs_is_told_when_its_pods_are_ready(engine: Engine) -> None:
    _Home()
    schemas = await engine.resource("shop-schemas")
    assert schemas.urn in (await engine.resource("shop-blue-schema")).waits_for


@in_stack
async def test_the_end_of_the_log_of_a_job_that_fails_is_in_its_pods_status(engine: Engine) -> None:
    Migration("shop-migrate-0002", samples.MIGRATION)
    (container,) = (await engine.inputs("shop-migrate-0002-job"))["spec"]["template"]["spec"]["containers"]
    assert container["terminationMessagePolicy"] == "FallbackToLogsOnError"


@in_stack
async def test_the_job_is_no_pod_of_a_color(engine: Engine) -> None:
    Migration("shop-migrate-0002", samples.MIGRATION)
    labels = (await engine.inputs("shop-migrate-0002-job"))["spec"]["template"]["metadata"]["labels"]
    assert labels["app.kubernetes.io/name"] == "shop"
    assert "hueshift.dev/color" not in labels


@in_stack
async def test_the_environment_is_that_of_the_pods(engine: Engine) -> None:
    Migration("shop-migrate-0002", samples.MIGRATION, pulumi.ResourceOptions())
    (container,) = (await engine.inputs("shop-migrate-0002-job"))["spec"]["template"]["spec"]["containers"]
    assert {item["name"]: item["value"] for item in container["env"]} == {"APP_ENV": "staging", "LOG_LEVEL": "INFO"}


@in_stack
async def test_a_dollar_in_a_variable_means_the_same_to_a_job_as_to_a_pod(engine: Engine) -> None:
    values = {"PRICE": "$5", "PATTERN": "$(HOME)", "TWO": "$$"}
    Migration("shop-migrate-0002", samples.change(samples.MIGRATION, env=values))
    ColorEnvironment("shop-green", samples.change(samples.ENVIRONMENT, env=values))
    (container,) = (await engine.inputs("shop-migrate-0002-job"))["spec"]["template"]["spec"]["containers"]
    job = {item["name"]: expanded(item["value"]) for item in container["env"]}
    pod = (await engine.inputs("shop-green-config"))["data"]  # which Kubernetes does not expand
    assert job == pod == {"APP_ENV": "staging", **values}


def expanded(value: str) -> str:
    """Return what Kubernetes makes of the value of a variable in a container (EnvVar v1 core)."""
    return re.sub(r"\$\$|\$\((\w+)\)", lambda found: "$" if found[0] == "$$" else "expanded", value)


@in_stack
async def test_what_only_looks_like_a_secret_is_said_of_the_job(engine: Engine) -> None:
    Migration("shop-migrate-0002", samples.change(samples.MIGRATION, env={"SORT_KEY": "id"}, not_secrets=["SORT_KEY"]))
    annotations = (await engine.inputs("shop-migrate-0002-job"))["metadata"]["annotations"]
    assert annotations[NOT_SECRETS] == "SORT_KEY"


async def _before(engine: Engine, name: str) -> set[str]:
    """Return the names of everything that must exist before a resource."""
    return {urn.split("::")[-1] for urn in engine.ancestry((await engine.resource(name)).urn)}


@in_stack
async def test_what_colors_need_is_told_before_any_migration_and_what_they_run_after_their_rollout(
    engine: Engine,
) -> None:
    BlueGreenService("shop", samples.service())
    declared = await engine.resource("shop-schemas")
    assert declared.inputs["data"] == {"DECLARED_SCHEMAS": "blue=0001 green=0002"}
    for schema in ("0001", "0002"):
        assert "shop-schemas" in await _before(engine, f"shop-migrate-{schema}-job")
    for color, schema in ((Color.BLUE, "0001"), (Color.GREEN, "0002")):
        told = await engine.resource(f"shop-{color}-schema")
        assert told.inputs["data"] == {f"RUNNING_SCHEMA_{color.upper()}": schema}
        assert f"shop-{color}-deployment" in await _before(engine, told.name)


@in_stack
async def test_no_color_waits_for_the_pods_of_the_other(engine: Engine) -> None:
    BlueGreenService("shop", samples.service())
    for color in Color:
        assert f"shop-{color.other}-deployment" not in await _before(engine, f"shop-{color}-deployment")


@in_stack
async def test_a_parked_color_is_told_to_run_nothing_and_to_need_its_schema(engine: Engine) -> None:
    releases = {Color.BLUE: replace(samples.BLUE, parked=True), Color.GREEN: samples.GREEN}
    BlueGreenService("shop", samples.change(samples.service(), colors=releases))
    assert (await engine.inputs("shop-blue-schema"))["data"] == {"RUNNING_SCHEMA_BLUE": "none"}
    assert (await engine.inputs("shop-schemas"))["data"] == {"DECLARED_SCHEMAS": "blue=0001 green=0002"}


@in_stack
async def test_a_service_brings_its_own_command_and_image(engine: Engine) -> None:
    own = Migrations(command=["/goose", "-s", "up-to", "{schema}"], image="registry.example.com/schema:2.0.0")
    Migration("shop-migrate-0002", samples.change(samples.MIGRATION, migration=own))
    (container,) = (await engine.inputs("shop-migrate-0002-job"))["spec"]["template"]["spec"]["containers"]
    assert container["command"] == ["/goose", "-s", "up-to", "0002"]
    assert container["image"] == "registry.example.com/schema:2.0.0"
