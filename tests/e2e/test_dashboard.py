"""The dashboards of the local cloud's own stack: what they ask has an answer while both colors have traffic."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import boto3
import pytest
import requests

from components.model import Color
from sandbox import paths
from tests.e2e import cloud
from tests.e2e.failing import load

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

ANSWERED = {
    "requests per minute",
    "weights set, and share of requests, %",
    "failed requests, %",
    "answer time, s",
    "pods that serve, and that do not answer",
}
"""What the local cloud measures of a color; only a release sets weights, and here is none."""


def queries(properties: Mapping[str, Any], period: int) -> Iterator[dict[str, Any]]:
    """Yield a graph's lines of one period as GetMetricData takes them."""
    for *place, shown in properties["metrics"]:
        if shown.get("period", properties["period"]) != period:
            continue
        query: dict[str, Any] = {"Id": shown["id"], "ReturnData": shown.get("visible", True)}
        if "expression" in shown:
            query["Expression"] = shown["expression"]
        else:
            dimensions = [{"Name": name, "Value": value} for name, value in zip(place[2::2], place[3::2], strict=True)]
            metric = {"Namespace": place[0], "MetricName": place[1], "Dimensions": dimensions}
            query["MetricStat"] = {"Metric": metric, "Period": period, "Stat": shown["stat"]}
        yield query


def silent(properties: Mapping[str, Any]) -> list[str]:
    """Return the lines of a graph that have no value of the last minutes."""
    found = []
    now = datetime.now(UTC)
    for period in {shown.get("period", properties["period"]) for *_, shown in properties["metrics"]}:
        asked = list(queries(properties, period))
        answer = boto3.client("cloudwatch").get_metric_data(
            MetricDataQueries=asked,  # type: ignore[arg-type]
            StartTime=now - timedelta(minutes=10),
            EndTime=now,
        )["MetricDataResults"]
        found += [result["Id"] for result in answer if not result["Values"]]
    return [line for line in found if not line.endswith("_weight_set")]


def speaks(properties: Mapping[str, Any]) -> bool:
    return silent(properties) == []


def test_each_graph_of_cloudwatch_has_both_colors_while_they_have_traffic() -> None:
    body = boto3.client("cloudwatch").get_dashboard(DashboardName="sandbox-hueshift")["DashboardBody"]
    shown = {
        widget["properties"]["title"]: widget["properties"]
        for widget in json.loads(body)["widgets"]
        if widget["type"] == "metric"
    }
    assert shown.keys() == ANSWERED | {"the load balancer's own errors, %"}
    with cloud.fast_minutes(), load(), load(Color.GREEN):
        for title in sorted(ANSWERED):
            cloud.wait_until(f"{title} has values", partial(speaks, shown[title]), 120)


def test_the_alarms_on_it_are_those_that_there_are() -> None:
    client = boto3.client("cloudwatch")
    body = json.loads(client.get_dashboard(DashboardName="sandbox-hueshift")["DashboardBody"])
    named = {arn for w in body["widgets"] if w["type"] == "alarm" for arn in w["properties"]["alarms"]}
    there = {
        alarm["AlarmArn"]
        for page in client.get_paginator("describe_alarms").paginate(AlarmTypes=["CompositeAlarm", "MetricAlarm"])
        for alarm in (*page["CompositeAlarms"], *page["MetricAlarms"])
    }
    assert len(named) >= 5
    assert named <= there


def test_grafanas_is_found_by_its_label_and_prometheus_answers_it() -> None:
    with cloud.stack_file():
        cloud.configure("dashboards.grafana", "true")
        assert cloud.update() == {"create": 1}
        listed = cloud.run(
            "kubectl", "--namespace", "monitoring", "get", "configmaps", "-l", "grafana_dashboard=1", "-o", "json"
        )
        (found,) = json.loads(listed.stdout)["items"]
        model = json.loads(found["data"]["sandbox-hueshift.json"])
        asked = {
            (panel["title"], target["legendFormat"]): target["expr"]
            for panel in model["panels"]
            for target in panel.get("targets", ())
        }
        with load(), load(Color.GREEN):
            for color in Color:
                query = asked["requests per minute", color.value]
                cloud.wait_until(f"{query} is above 0", partial(above_nothing, query), 90)
        for query in (*asked.values(), *(one["expr"] for one in model["annotations"]["list"])):
            assert answered(query)["status"] == "success"
    left = cloud.run(
        "kubectl", "--namespace", "monitoring", "get", "configmaps", "-l", "grafana_dashboard=1", "-o", "name"
    )
    assert left.stdout == ""


def answered(query: str) -> dict[str, Any]:
    found: dict[str, Any] = requests.get(
        f"{paths.PROMETHEUS_URL}/api/v1/query", params={"query": query}, timeout=5
    ).json()
    return found


def above_nothing(query: str) -> bool:
    return any(float(sample["value"][1]) > 0 for sample in answered(query)["data"]["result"])


def test_the_status_links_it() -> None:
    told = json.loads(cloud.run("hueshift", "status", "--stack", "sandbox", "--json").stdout)
    assert told["dashboard"].endswith("#dashboards/dashboard/sandbox-hueshift")
