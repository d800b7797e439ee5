"""A service as a whole: what is composed, and in which order it comes to be."""

import re
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from components.edge.load_balancer import LoadBalancer
from components.model import Color
from components.service.service import BlueGreenService
from components.spec import Release, Replicas, SecretEntry
from tests.support import samples
from tests.support.engine import Engine, in_stack


async def before(engine: Engine, name: str) -> set[str]:
    """Return the names of everything that must exist before a resource."""
    return {urn.split("::")[-1] for urn in engine.ancestry((await engine.resource(name)).urn)}


@in_stack
async def test_the_order_of_creation_is_that_of_the_design(engine: Engine) -> None:
    BlueGreenService("shop", samples.service())
    steps = [
        "shop-namespace",
        "shop-migrate-0001-job",
        "shop-blue-deployment",
        "shop-traffic-production",
    ]
    for earlier, later in pairwise(steps):
        assert earlier in await before(engine, later)
    routes = ["shop-tg-green", "shop-test-green", "shop-green-binding", "shop-green-deployment"]
    for earlier, later in pairwise(routes):
        assert earlier in await before(engine, later)


@in_stack
async def test_the_test_rules_wait_for_no_workload(engine: Engine) -> None:
    BlueGreenService("shop", samples.service())
    for color in Color:
        needed = {
            engine.registrations[urn].type for urn in engine.ancestry((await engine.resource(f"shop-test-{color}")).urn)
        }
        assert needed
        assert not any(type_.startswith("kubernetes:") for type_ in needed)


@in_stack
async def test_traffic_moves_to_a_color_only_when_it_is_ready(engine: Engine) -> None:
    BlueGreenService("shop", samples.service())
    assert "shop-blue-deployment" in await before(engine, "shop-traffic-production")
    assert "shop-green-deployment" in await before(engine, "shop-traffic-canary")


@in_stack
async def test_the_way_back_does_not_wait_for_the_color_that_fails(engine: Engine) -> None:
    BlueGreenService("shop", samples.service())
    assert "shop-green-deployment" not in await before(engine, "shop-traffic-production")


@in_stack
async def test_the_namespace_gates_readiness_and_holds_pods_to_the_restricted_standard(engine: Engine) -> None:
    BlueGreenService("shop", samples.service())
    metadata = (await engine.inputs("shop-namespace"))["metadata"]
    assert metadata["name"] == "staging-shop"
    assert metadata["labels"]["elbv2.k8s.aws/pod-readiness-gate-inject"] == "enabled"
    assert metadata["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for registration in engine.registrations.values():
        if registration.type.startswith("kubernetes:") and registration.name != "shop-namespace":
            assert registration.inputs["metadata"]["namespace"] == "staging-shop", registration.name


@in_stack
async def test_each_color_runs_its_own_image_on_its_own_schema(engine: Engine) -> None:
    BlueGreenService("shop", samples.service())
    for color, release, schema in ((Color.BLUE, samples.BLUE, "0001"), (Color.GREEN, samples.GREEN, "0002")):
        (container,) = (await engine.inputs(f"shop-{color}-deployment"))["spec"]["template"]["spec"]["containers"]
        assert container["image"] == release.image
        assert f"shop-migrate-{schema}-job" in await before(engine, f"shop-{color}-deployment")
    assert "shop-migrate-0002-job" not in await before(engine, "shop-blue-deployment")
    assert "shop-migrate-0001-job" in await before(engine, "shop-migrate-0002-job")


@in_stack
async def test_a_schema_that_both_colors_need_is_migrated_once(engine: Engine) -> None:
    releases = {Color.BLUE: replace(samples.BLUE, schema="0002"), Color.GREEN: samples.GREEN}
    BlueGreenService("shop", samples.change(samples.service(), colors=releases))
    (job,) = await engine.of_type("batch/v1:Job")
    (container,) = job.inputs["spec"]["template"]["spec"]["containers"]
    assert container["image"] == samples.BLUE.image


@in_stack
async def test_a_service_without_a_database_has_no_migration(engine: Engine) -> None:
    releases = {Color.BLUE: replace(samples.BLUE, schema=None), Color.GREEN: replace(samples.GREEN, schema=None)}
    BlueGreenService("shop", samples.change(samples.service(), colors=releases, secrets={}))
    await engine.settle()
    assert not any(r.type.endswith(("Job", "ExternalSecret", "Secret")) for r in engine.registrations.values())


@in_stack
async def test_what_only_migrations_may_know_reaches_no_pod_that_serves(engine: Engine) -> None:
    BlueGreenService("shop", samples.service())
    for external in await engine.of_type("ExternalSecret"):
        keys = [item["secretKey"] for item in external.inputs["spec"]["data"]]
        assert ("MIGRATION_DATABASE_URL" in keys) == external.name.startswith("shop-migrate-")


@in_stack
async def test_an_entry_for_migrations_alone_is_not_delivered_to_pods_at_all(engine: Engine) -> None:
    BlueGreenService(
        "shop", samples.change(samples.service(), secrets={"owner": SecretEntry(keys=["MIGRATION_DATABASE_URL"])})
    )
    names = {external.name for external in await engine.of_type("ExternalSecret")}
    assert names == {"shop-migrate-0001-owner", "shop-migrate-0002-owner"}


@in_stack
@pytest.mark.parametrize(
    ("blue", "green", "reached"),
    [
        (samples.BLUE, samples.GREEN, Color.GREEN),
        (replace(samples.BLUE, version="1.6.0"), samples.GREEN, Color.BLUE),
        (replace(samples.BLUE, version="1.5.0"), samples.GREEN, Color.GREEN),
        (samples.BLUE, replace(samples.GREEN, parked=True), Color.BLUE),
    ],
)
async def test_the_canary_header_reaches_the_newer_version_that_runs(
    engine: Engine, blue: Release, green: Release, reached: Color
) -> None:
    releases = {Color.BLUE: blue, Color.GREEN: green}
    service = BlueGreenService("shop", samples.change(samples.service(), colors=releases))
    (action,) = (await engine.inputs("shop-traffic-canary"))["actions"]
    assert action["targetGroupArn"] == (await engine.resource(f"shop-tg-{reached}")).computed["arn"]
    assert service.summary["canaryHeader"] is reached


@in_stack
async def test_where_versions_do_not_order_the_canary_header_reaches_the_idle_color_that_runs(engine: Engine) -> None:
    rcs = {
        Color.BLUE: replace(samples.BLUE, version="1.5.0-rc9"),
        Color.GREEN: replace(samples.GREEN, version="1.5.0-rc10"),
    }
    parked = {**rcs, Color.BLUE: replace(rcs[Color.BLUE], parked=True)}
    args = samples.change(samples.service(), active_color=Color.GREEN)
    assert BlueGreenService("shop", samples.change(args, colors=rcs)).summary["canaryHeader"] is Color.BLUE
    await engine.settle()
    args = samples.change(args, load_balancer=LoadBalancer("other", samples.LOAD_BALANCER), colors=parked)
    assert BlueGreenService("web", args).summary["canaryHeader"] is Color.GREEN


@in_stack
async def test_a_summary_says_where_the_service_answers(engine: Engine) -> None:
    service = BlueGreenService("shop", samples.change(samples.service(), active_color=Color.GREEN, canary_weight=10))
    assert service.summary == {
        "url": "https://shop.example.com",
        "testUrls": {color: f"https://{color}.shop.example.com:8443" for color in Color},
        "namespace": "staging-shop",
        "activeColor": Color.GREEN,
        "weights": {Color.BLUE: 10, Color.GREEN: 90},
        "canaryHeader": Color.GREEN,
        "versions": {Color.BLUE: "1.4.0", Color.GREEN: "1.5.0"},
        "images": {color: f"registry.example.com/shop:{v}" for color, v in zip(Color, ("1.4.0", "1.5.0"), strict=True)},
    }
    outputs = engine.outputs[(await engine.resource("shop")).urn]
    assert outputs["weights"] == {"blue": 10, "green": 90}
    assert outputs["activeColor"] == "green"


# Prometheus


async def scraped(engine: Engine, pod: dict[str, Any]) -> dict[str, str]:
    """Return the labels that the samples of a pod get from the relabelings of its PodMonitor, as Prometheus does it."""
    (endpoint,) = (await engine.inputs("shop-monitor"))["spec"]["podMetricsEndpoints"]
    known = {
        "__meta_kubernetes_pod_label_" + re.sub(r"[^a-zA-Z0-9_]", "_", label): value
        for label, value in pod["metadata"]["labels"].items()
    }
    return {each["targetLabel"]: known[source] for each in endpoint["relabelings"] for source in each["sourceLabels"]}


@in_stack
async def test_the_pods_of_both_colors_are_scraped_and_told_apart_as_the_rules_do_it(engine: Engine) -> None:
    BlueGreenService("shop", samples.service())
    (monitor,) = await engine.of_type("PodMonitor")
    assert monitor.inputs["metadata"]["namespace"] == "staging-shop"
    (endpoint,) = monitor.inputs["spec"]["podMetricsEndpoints"]
    assert (endpoint["path"], endpoint["interval"]) == ("/metrics", "30s")
    for color in Color:
        pod = (await engine.inputs(f"shop-{color}-deployment"))["spec"]["template"]
        assert monitor.inputs["spec"]["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
        assert endpoint["port"] in [port["name"] for port in pod["spec"]["containers"][0]["ports"]]
        assert "prometheus.io/scrape" not in pod["metadata"]["annotations"]
        labels = await scraped(engine, pod)
        assert labels == {"service": "shop", "color": color.value, "environment": "staging"}
        own = ",".join(f'{name}="{value}"' for name, value in labels.items())
        (group,) = (await engine.inputs(f"shop-{color}-alerts-prometheus"))["spec"]["groups"]
        (errors,) = [rule for rule in group["rules"] if rule["alert"] == "Errors"]
        assert f"http_requests_total{{{own}}}" in errors["expr"]


@in_stack
async def test_the_pods_of_a_migration_have_no_port_to_scrape(engine: Engine) -> None:
    BlueGreenService("shop", samples.service())
    jobs = await engine.of_type("batch/v1:Job")
    assert jobs
    for job in jobs:
        assert not [one for one in job.inputs["spec"]["template"]["spec"]["containers"] if "ports" in one]


@in_stack
async def test_what_the_operator_reads_has_the_labels_by_which_it_selects(engine: Engine) -> None:
    BlueGreenService("shop", samples.change(samples.service(), prometheus_labels={"release": "kube-prometheus-stack"}))
    made = [*await engine.of_type("PodMonitor"), *await engine.of_type("PrometheusRule")]
    assert [one.inputs["metadata"]["labels"]["release"] for one in made] == ["kube-prometheus-stack"] * 4


@in_stack
async def test_without_the_operator_nothing_of_its_kinds_is_made(engine: Engine) -> None:
    BlueGreenService("shop", samples.change(samples.service(), prometheus_labels=None))
    await engine.settle()
    assert engine.registrations
    assert not [one.name for one in engine.registrations.values() if "monitoring.coreos.com" in one.type]


@in_stack
async def test_only_a_color_that_is_parked_may_have_fewer_pods_than_the_service_must_have(engine: Engine) -> None:
    releases = {Color.BLUE: samples.BLUE, Color.GREEN: replace(samples.GREEN, parked=True)}
    BlueGreenService("shop", samples.change(samples.service(), colors=releases, replicas=Replicas(min=3)))
    watched = {alarm.name for alarm in await engine.of_type("MetricAlarm")}
    assert "shop-blue-alerts-too-few" in watched
    assert "shop-green-alerts-too-few" not in watched
    assert (await engine.inputs("shop-blue-alerts-too-few"))["threshold"] == 3
