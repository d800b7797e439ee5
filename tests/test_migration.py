"""The Job that brings a database to a schema version."""

from dataclasses import replace

import pulumi

from components.migration import Migration
from tests import samples
from tests.engine import Engine, in_stack


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
    assert job.inputs["spec"]["backoffLimit"] == 1
    assert "ttlSecondsAfterFinished" not in job.inputs["spec"]


@in_stack
async def test_the_job_waits_for_its_secrets_and_for_earlier_migrations(engine: Engine) -> None:
    first = Migration("shop-migrate-0001", replace(samples.MIGRATION, schema="0001"))
    Migration("shop-migrate-0002", replace(samples.MIGRATION, after=[first.job]))
    second = await engine.resource("shop-migrate-0002-job")
    expected = {(await engine.resource(name)).urn for name in ("shop-migrate-0002-app", "shop-migrate-0001-job")}
    assert expected <= second.waits_for
    (container,) = second.inputs["spec"]["template"]["spec"]["containers"]
    assert container["envFrom"] == [{"secretRef": {"name": "shop-migrate-0002-app"}}]


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
