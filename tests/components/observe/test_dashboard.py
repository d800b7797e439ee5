"""What an environment looks like at a glance, and that CloudWatch and Grafana would take it."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard as GrafanaModel

from components.model import MAX_SERVICES, Color
from components.observe.alert_catalog import COLOR_ALERTS, ERRORS, LATENCY_P95, UPTIME
from components.observe.alert_rules import AlertRules
from components.observe.dashboard import COLUMNS, GRAPHS, Dashboard, DashboardArgs, Shown, model
from components.spec import Cluster, Dashboards, Logs, Metrics, Replicas, Thresholds
from sandbox.aws import dashboards
from tests.support import samples
from tests.support.engine import Engine, in_stack

INSIGHTS = Cluster(name="main", container_insights=True)
CHECK = "11111111-2222-4333-8444-555555555555"
WHOLE = replace(samples.change(samples.DASHBOARD, cluster=INSIGHTS), logs=Logs(), health_checks={"shop": CHECK})


async def body(engine: Engine, args: DashboardArgs) -> dict[str, Any]:
    Dashboard("dashboard", args)
    found: dict[str, Any] = json.loads((await engine.inputs("dashboard-cloudwatch"))["dashboardBody"])
    return found


def graphs(found: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {w["properties"]["title"]: w["properties"] for w in found["widgets"] if w["type"] == "metric"}


def grafana(args: DashboardArgs = samples.DASHBOARD) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(model(args.context.environment, args.services)))
    return found


def overlapping(places: Iterator[tuple[int, int, int, int]]) -> list[Any]:
    return [
        (one, other)
        for one, other in combinations(list(places), 2)
        if one[0] < other[0] + other[2]
        and other[0] < one[0] + one[2]
        and one[1] < other[1] + other[3]
        and other[1] < one[1] + one[3]
    ]


# CloudWatch


@pytest.mark.parametrize("args", [samples.DASHBOARD, WHOLE], ids=["plain", "with all that there is"])
@in_stack
async def test_cloudwatch_takes_the_body(engine: Engine, args: DashboardArgs) -> None:
    found = await body(engine, args)
    assert dashboards.problems(json.dumps(found)) == []
    places = [(w["x"], w["y"], w["width"], w["height"]) for w in found["widgets"]]
    assert all(x + width <= COLUMNS for x, _, width, _ in places)
    assert overlapping(iter(places)) == []
    assert len(places) >= 8


@in_stack
async def test_as_many_services_as_a_load_balancer_has_are_within_the_quotas(engine: Engine) -> None:
    crowd = {f"s{number}": samples.DASHBOARD.services["shop"] for number in range(MAX_SERVICES)}
    found = await body(engine, replace(WHOLE, services=crowd, health_checks=dict.fromkeys(crowd, CHECK)))
    assert dashboards.problems(json.dumps(found)) == []


@in_stack
async def test_a_graph_has_what_the_alarm_of_each_color_compares_and_its_threshold(engine: Engine) -> None:
    shown = graphs(await body(engine, WHOLE))
    AlertRules("shop", samples.ALERTS)
    for graph in GRAPHS:
        for alert in graph.alerts:
            if alert.cloudwatch is None:
                continue
            drawn, alarm = shown[graph.title], await engine.inputs(f"shop-{alert.name}")
            assert {"label": alert.name, "value": alarm["threshold"]} in drawn["annotations"]["horizontal"]
            rows = [row for row in drawn["metrics"] if f"green_{alert.name}_".replace("-", "_") in row[-1]["id"]]
            metrics = [query["metric"] for query in alarm["metricQueries"] if "metric" in query]
            assert [(*row[:2], row[-1]["stat"], row[-1]["period"]) for row in rows if len(row) > 1] == [
                (m["namespace"], m["metricName"], m["stat"], m["period"]) for m in metrics
            ]
            assert [dict(zip(row[2:-1:2], row[3:-1:2], strict=True)) for row in rows if len(row) > 1] == [
                m["dimensions"] | ({"TargetGroup": "targetgroup/green/0"} if "TargetGroup" in m["dimensions"] else {})
                for m in metrics
            ]
            expressions = [
                re.sub(r"\bgreen_\w+_([a-z0-9]+)\b", r"\1", row[0]["expression"]) for row in rows if len(row) == 1
            ]
            assert expressions == [query["expression"] for query in alarm["metricQueries"] if "expression" in query]


@in_stack
async def test_both_colors_are_in_each_graph_of_a_service_in_their_own_shades(engine: Engine) -> None:
    shown = graphs(await body(engine, WHOLE))
    for title in ("requests per minute", "weights set, and share of requests, %", *(g.title for g in GRAPHS[:-1])):
        visible = [row[-1] for row in shown[title]["metrics"] if row[-1].get("visible", True)]
        assert {line["label"].split()[0] for line in visible} == set(Color), title
        assert len({line["color"] for line in visible}) == len(visible), title


@in_stack
async def test_the_weights_that_a_release_puts_are_its_markers(engine: Engine) -> None:
    drawn = graphs(await body(engine, WHOLE))["weights set, and share of requests, %"]["metrics"]
    assert ["hueshift", "Weight", "Environment", "staging", "Service", "shop", "Color", "green"] in [
        row[:-1] for row in drawn
    ]
    assert {row[0]["expression"] for row in drawn if len(row) == 1} >= {
        "FILL(green_weight, REPEAT)",
        "100 * FILL(green_requests, 0) / (FILL(blue_requests, 0) + FILL(green_requests, 0))",
    }


@in_stack
async def test_the_alarms_of_a_service_stand_above_it(engine: Engine) -> None:
    found = await body(engine, samples.DASHBOARD)
    alarms = {w["properties"]["title"]: w["properties"]["alarms"] for w in found["widgets"] if w["type"] == "alarm"}
    assert alarms == {"staging": samples.DASHBOARD.alarms, "shop": samples.DASHBOARD.services["shop"].alarms}


@in_stack
async def test_what_nobody_measures_is_not_drawn(engine: Engine) -> None:
    plain = graphs(await body(engine, samples.DASHBOARD)).keys()
    assert not {title for title in plain if title.startswith(("CPU", "memory", "lines", "answers from outside"))}
    assert "restarts in 15 minutes" not in plain


@in_stack
async def test_the_answers_from_outside_are_read_where_route_53_puts_them(engine: Engine) -> None:
    shown = graphs(await body(engine, WHOLE))["answers from outside (1) or not (0)"]
    assert shown["region"] == "us-east-1"
    assert shown["metrics"][0][:4] == ["AWS/Route53", "HealthCheckStatus", "HealthCheckId", CHECK]
    assert shown["annotations"]["horizontal"] == [{"label": "uptime", "value": UPTIME.threshold}]


@in_stack
async def test_a_service_of_one_color_has_that_color_alone(engine: Engine) -> None:
    shop = samples.DASHBOARD.services["shop"]
    alone = replace(
        shop,
        spec=replace(shop.spec, colors={Color.BLUE: samples.BLUE}),
        target_groups={Color.BLUE: "targetgroup/blue/0"},
        alarms=shop.alarms[:1],
    )
    found = await body(engine, replace(WHOLE, services={"shop": alone}))
    assert dashboards.problems(json.dumps(found)) == []
    assert "green" not in json.dumps(found)
    assert "green" not in "".join(
        target["expr"] for target in targets(grafana(replace(WHOLE, services={"shop": alone})))
    )


@in_stack
async def test_neither_is_made_where_the_settings_say_no(engine: Engine) -> None:
    Dashboard("dashboard", replace(samples.DASHBOARD, spec=Dashboards(cloudwatch=False)))
    await engine.settle()
    assert [each.name for each in engine.registrations.values()] == ["dashboard"]


# Both


def test_every_alert_of_a_color_is_on_one_graph() -> None:
    drawn = [alert.name for graph in GRAPHS for alert in graph.alerts]
    assert sorted(drawn) == sorted(alert.name for alert in COLOR_ALERTS)


def test_the_bound_of_the_pods_is_the_services_own() -> None:
    shop = samples.DASHBOARD.services["shop"]
    many = replace(shop, spec=replace(shop.spec, replicas=Replicas(min=5, max=8)))
    panels = {panel["title"]: panel for panel in grafana(replace(samples.DASHBOARD, services={"shop": many}))["panels"]}
    steps = panels["pods that serve, and that do not answer"]["fieldConfig"]["defaults"]["thresholds"]["steps"]
    assert [step["value"] for step in steps] == [None, 1, 5]


# Grafana


def targets(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [target for panel in found["panels"] for target in panel.get("targets", ())]


def lost(given: object, kept: object, path: str = "") -> Iterator[str]:
    """Yield what of a value another has not, or has otherwise."""
    match given, kept:
        case dict(), dict():
            for key, value in given.items():
                yield from lost(value, kept[key], f"{path}.{key}") if key in kept else [f"{path}.{key}"]
        case list(), list() if len(given) == len(kept):
            for number, (one, other) in enumerate(zip(given, kept, strict=True)):
                yield from lost(one, other, f"{path}[{number}]")
        case _ if given != kept:
            yield f"{path}: {given!r} became {kept!r}"


def test_grafanas_own_model_knows_every_key() -> None:
    register_default_plugins()
    given = grafana()
    kept = json.loads(JSONEncoder().encode(GrafanaModel.from_json(given)))
    assert list(lost(given, kept)) == []
    spoilt = grafana()
    spoilt["panels"][1]["gridPoss"] = {}
    assert list(lost(spoilt, json.loads(JSONEncoder().encode(GrafanaModel.from_json(spoilt))))) == [
        ".panels[1].gridPoss"
    ]


def test_its_panels_have_a_place_each_and_a_number_of_their_own() -> None:
    panels = grafana(replace(samples.DASHBOARD, services={"shop": SHOWN, "web": SHOWN}))["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = [tuple(panel["gridPos"][key] for key in "xywh") for panel in panels]
    assert overlapping(iter(places)) == []
    assert all(x + width <= COLUMNS for x, _, width, _ in places)
    assert [panel["title"] for panel in panels if panel["type"] == "row"] == ["shop", "web"]


SHOWN: Shown = samples.DASHBOARD.services["shop"]


@in_stack
async def test_what_it_asks_is_what_the_rules_compare(engine: Engine) -> None:
    AlertRules("shop", samples.ALERTS)
    (group,) = (await engine.inputs("shop-prometheus"))["spec"]["groups"]
    rules = {rule["alert"]: rule["expr"] for rule in group["rules"]}
    asked = [target["expr"] for target in targets(grafana())]
    for alert in COLOR_ALERTS:
        assert any(rules[alert.title].startswith(f"{expr} {alert.comparison} ") for expr in asked), alert.name
    assert sum(ERRORS.prometheus is not None and "2m" in expr for expr in asked) > 2
    assert LATENCY_P95.threshold in [
        step["value"]
        for panel in grafana()["panels"]
        if panel["title"] == "answer time, s"
        for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    ]


def test_of_pods_that_tell_prometheus_nothing_it_draws_what_the_cluster_tells() -> None:
    silent = replace(SHOWN, spec=replace(SHOWN.spec, metrics=Metrics(enabled=False)))
    found = grafana(replace(samples.DASHBOARD, services={"shop": silent}))
    assert {"memory, % of the limit", "restarts in 15 minutes"} <= {panel["title"] for panel in found["panels"]}
    assert not [target["expr"] for target in targets(found) if "http_request" in target["expr"]]


def test_the_bounds_are_those_that_a_service_sets() -> None:
    strict = replace(SHOWN, spec=replace(SHOWN.spec, alerts=Thresholds(error_percent=3, p95_milliseconds=200)))
    panels = {
        panel["title"]: panel for panel in grafana(replace(samples.DASHBOARD, services={"shop": strict}))["panels"]
    }
    for title, bounds in (("failed requests, %", [None, 1, 3]), ("answer time, s", [None, 0.2, 2.5])):
        steps = panels[title]["fieldConfig"]["defaults"]["thresholds"]["steps"]
        assert [step["value"] for step in steps] == bounds


@in_stack
async def test_the_sidecar_of_grafana_finds_it_where_the_monitoring_is(engine: Engine) -> None:
    Dashboard("dashboard", samples.DASHBOARD)
    found = await engine.inputs("dashboard-grafana")
    assert found["metadata"]["namespace"] == "monitoring"
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert json.loads(found["data"]["staging-hueshift.json"]) == grafana()
