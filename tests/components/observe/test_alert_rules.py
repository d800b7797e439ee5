"""When a person hears of a service."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, get_args

import pytest

from components.model import ALARM_PERIOD, ALARM_PERIODS, Color, alarm_name
from components.observe.alert_catalog import (
    ALERTS,
    COLOR_ALERTS,
    LATE,
    MINIMUM_REQUESTS,
    MOVING,
    SERVICE_ALERTS,
    TOO_FEW,
    Alert,
    Severity,
)
from components.observe.alert_rules import AlertRules, EdgeAlerts, ServiceAlerts
from components.observe.cloudwatch import AlertRouting
from components.spec import Cluster, Replicas, Resources, Thresholds, Watched
from sandbox.aws.alarms import EXTRA, Rule, State, judge
from sandbox.aws.metric_math import Plan
from tests.support import samples
from tests.support.engine import Engine, in_stack
from tests.support.program import ROOT

COLOR = {"LoadBalancer": "app/edge/0", "TargetGroup": "targetgroup/green/0"}
INSIGHTS = {"memory", "cpu"}
RUNBOOKS = "https://runbooks.example.com/alerts"


def everything() -> None:
    AlertRules("shop", samples.ALERTS)
    ServiceAlerts("shop-all", samples.SERVICE_ALERTS)
    EdgeAlerts("edge", samples.EDGE_ALERTS)


async def prometheus(engine: Engine, name: str = "shop") -> dict[str, dict[str, Any]]:
    (group,) = (await engine.inputs(f"{name}-prometheus"))["spec"]["groups"]
    return {rule["alert"]: rule for rule in group["rules"]}


async def expressions(engine: Engine, name: str) -> dict[str, str]:
    queries = (await engine.inputs(name))["metricQueries"]
    return {query["id"]: query["expression"] for query in queries if "expression" in query}


# The model


def test_names_are_told_apart_and_every_alert_has_its_page() -> None:
    names = [alert.name for alert in ALERTS]
    assert len(set(names)) == len(names) >= 15
    assert len({alert.title for alert in ALERTS}) == len(names)
    for alert in ALERTS:
        assert alert.cloudwatch or alert.prometheus
        assert alert.reason.endswith(".")
        assert alert.blind_spot.endswith(".")
    pages = {path.stem for path in (ROOT / "docs/alerts").glob("*.md")}
    assert pages == {*names, "README"}


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_every_page_leads_from_detection_to_the_cause(alert: Alert) -> None:
    text = (ROOT / alert.page()).read_text()
    headings = [line[3:].strip() for line in text.splitlines() if line.startswith("## ")]
    assert headings == ["Detect", "Decide", "Execute", "Verify", "Investigate"]
    assert text.startswith(f"# {alert.name}\n")
    assert f"{alert.threshold:g}" in text or alert is MOVING


@pytest.mark.parametrize("alert", [alert for alert in ALERTS if alert.cloudwatch], ids=lambda alert: alert.name)
def test_cloudwatch_would_take_the_mathematics(alert: Alert) -> None:
    how = alert.cloudwatch
    assert how is not None
    math = {
        name: text % {"total": "FILL(blue, 0) + FILL(green, 0)", "blue": "FILL(blue, 0)"}
        for name, text in how.math.items()
    }
    Plan(dict.fromkeys(how.metrics, how.period), math)
    assert len(how.metrics) <= 10
    assert len(math) <= 10
    for expression in math.values():
        reducing = ("AVG(", "SUM(", "STDDEV(", "RUNNING_SUM(", "SEARCH(", "MAX(", "MIN(")
        assert not any(name in expression.replace("MAX([", "") for name in reducing)


# A color


@in_stack
async def test_the_error_rate_counts_failed_and_refused_requests_of_this_color_only(engine: Engine) -> None:
    AlertRules("shop", samples.ALERTS)
    for name, minimum, period in (("shop-errors", 20, ALARM_PERIOD), ("shop-canary-errors", 100, 600)):
        *counts, rate = (await engine.inputs(name))["metricQueries"]
        assert {query["id"]: query["metric"]["metricName"] for query in counts} == {
            "failed": "HTTPCode_Target_5XX_Count",
            "refused": "TargetConnectionErrorCount",
            "requests": "RequestCount",
        }
        for query in counts:
            assert query["metric"]["dimensions"] == COLOR
            assert (query["metric"]["stat"], query["metric"]["period"]) == ("Sum", period)
        assert [query["id"] for query in (*counts, rate) if query["returnData"]] == ["rate"]
        assert f"IF(requests >= {minimum}, 100 * (FILL(failed, 0) + FILL(refused, 0)) / requests" in rate["expression"]


@in_stack
async def test_one_failure_alone_never_raises_an_alarm(engine: Engine) -> None:
    AlertRules("shop", samples.ALERTS)
    for name, threshold in (("errors", 5), ("canary-errors", 1)):
        alarm = await engine.inputs(f"shop-{name}")
        assert alarm["threshold"] == threshold
        assert f"requests >= {100 // threshold}," in (await expressions(engine, f"shop-{name}"))["rate"]
    rules = await prometheus(engine)
    assert rules["Errors"]["expr"].endswith(f" >= {MINIMUM_REQUESTS}")
    assert rules["CanaryErrors"]["expr"].endswith("[10m])) >= 10"), "in a minute, of ten"


@in_stack
async def test_latency_is_a_percentile_in_seconds_of_enough_requests(engine: Engine) -> None:
    AlertRules("shop", samples.ALERTS)
    rules = await prometheus(engine)
    for percentile, threshold, minimum in (("p95", 1, 20), ("p99", 2.5, 100)):
        alarm = await engine.inputs(f"shop-latency-{percentile}")
        seconds, requests, compared = alarm["metricQueries"]
        assert seconds["metric"]["metricName"] == "TargetResponseTime"
        assert seconds["metric"]["stat"] == percentile
        assert seconds["metric"]["dimensions"] == requests["metric"]["dimensions"] == COLOR
        assert compared["expression"] == f"IF(requests >= {minimum}, seconds, 0)"
        assert alarm["threshold"] == threshold
        assert f"0.{percentile[1:]}" in rules[f"Latency{percentile.upper()}"]["expr"]
        assert f" > {threshold} and " in rules[f"Latency{percentile.upper()}"]["expr"]


@in_stack
async def test_an_alarm_takes_five_minutes_of_which_one_may_be_incomplete(engine: Engine) -> None:
    AlertRules("shop", samples.ALERTS)
    rules = await prometheus(engine)
    for name, title in (("errors", "Errors"), ("latency-p95", "LatencyP95"), ("latency-p99", "LatencyP99")):
        alarm = await engine.inputs(f"shop-{name}")
        assert (alarm["evaluationPeriods"], alarm["datapointsToAlarm"]) == (ALARM_PERIODS, ALARM_PERIODS - 1)
        assert alarm["treatMissingData"] == "notBreaching"
        assert rules[title]["for"] == "300s"
    canary = await engine.inputs("shop-canary-errors")
    assert (canary["evaluationPeriods"], canary["datapointsToAlarm"]) == (1, 1)
    assert rules["CanaryErrors"]["for"] == "120s"


@in_stack
async def test_a_pod_that_does_not_answer_is_told_after_five_minutes_and_a_parked_color_is_silent(
    engine: Engine,
) -> None:
    AlertRules("shop", samples.ALERTS)
    alarm = await engine.inputs("shop-unhealthy")
    (query,) = alarm["metricQueries"]
    assert (query["metric"]["metricName"], query["metric"]["stat"]) == ("UnHealthyHostCount", "Maximum")
    assert query["returnData"] is True
    assert (alarm["comparisonOperator"], alarm["threshold"]) == ("GreaterThanOrEqualToThreshold", 1)
    assert (alarm["evaluationPeriods"], alarm["datapointsToAlarm"]) == (5, 5)
    assert alarm["treatMissingData"] == "notBreaching"


@in_stack
async def test_a_color_with_fewer_ready_pods_than_it_must_have_is_told(engine: Engine) -> None:
    AlertRules("shop", samples.change(samples.ALERTS, replicas=Replicas(min=3)))
    alarm = await engine.inputs("shop-too-few")
    metric = alarm["metricQueries"][0]["metric"]
    assert (metric["metricName"], metric["stat"]) == ("HealthyHostCount", "Minimum")
    assert metric["dimensions"] == COLOR
    assert (alarm["comparisonOperator"], alarm["threshold"]) == ("LessThanThreshold", 3)
    rule = (await prometheus(engine))["TooFew"]
    ready = 'kube_deployment_status_replicas_available{namespace="staging-shop",deployment="shop-green"}'
    assert rule["expr"] == f"min({ready}) < 3"
    assert rule["for"] == "300s"


@in_stack
async def test_a_parked_color_may_have_no_pods(engine: Engine) -> None:
    AlertRules("shop", samples.change(samples.ALERTS, parked=True))
    assert "too-few" not in (await engine.inputs("shop-composite"))["alarmRule"]
    assert "TooFew" not in await prometheus(engine)
    assert not [alarm for alarm in await engine.of_type("MetricAlarm") if alarm.name == "shop-too-few"]


OK, ALARM = State.OK, State.ALARM
HOSTS: dict[str, tuple[Sequence[int | None], dict[int, State]]] = {
    # The healthy hosts of each minute, None for a group without targets; what the alarm becomes after which of them.
    "a new color that takes ten minutes": ([None] * 10 + [1, 2, 2, 2, 2, 2, 2, 2, 2], {12: OK}),
    "a new color that has one pod until the autoscaler wants two": ([1, 1, 2, 2, 2, 2, 2, 2, 2], {3: OK}),
    "pods whose nodes go": ([2] * 12 + [1, 1, 1, 1, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2], {1: OK}),
    "one of two pods is gone": ([2] * 12 + [1] * 12, {1: OK, 20: ALARM}),
    "all pods are gone, for long, and come again": ([2] * 12 + [None] * 30 + [2] * 8, {1: OK, 20: ALARM, 43: OK}),
    "no pod ever passes": ([None, None] + [0] * 12, {10: ALARM}),
}


@pytest.mark.parametrize("extra", [0, EXTRA, 10])  # AWS does not say how much more an alarm reads than it judges
@pytest.mark.parametrize("late", [0, LATE])
@pytest.mark.parametrize("case", HOSTS)
def test_too_few_pods_are_told_once_five_minutes_are_known_and_of_a_new_color_not_before_it_had_any(
    case: str, late: int, extra: int
) -> None:
    counts, expected = HOSTS[case]
    how = TOO_FEW.cloudwatch
    assert how is not None
    assert how.missing == "ignore"
    rule = Rule(
        comparison="LessThanThreshold", threshold=2, periods=how.periods, datapoints=how.datapoints, missing="ignore"
    )
    plan = Plan(dict.fromkeys(how.metrics, 60), how.math)
    (watched,) = how.math
    became: dict[int, State] = {}
    for now in range(1, len(counts) + 1):
        grid = [60.0 * minute for minute in range(now - how.periods - extra, now)]
        hosts = {60.0 * at: float(count) for at, count in enumerate(counts[: max(now - late, 0)]) if count is not None}
        ready = plan.compute({"healthy": {at: hosts[at] for at in grid if at in hosts}}, grid)[watched]
        assert isinstance(ready, dict)
        state = judge([ready.get(at) for at in grid], rule)
        if state and [state] != list(became.values())[-1:]:
            became[now] = state
    assert became == {minute + (late if state is OK else 0): state for minute, state in expected.items()}


@in_stack
async def test_use_is_compared_with_what_a_pod_is_given(engine: Engine) -> None:
    AlertRules("shop", samples.change(samples.ALERTS, resources=Resources(cpu="250m", memory="128Mi")))
    rules = await prometheus(engine)
    pods = 'namespace="staging-shop",container="app",pod=~"shop-green-[a-z0-9]+-[a-z0-9]{5}"'
    memory = rules["Memory"]["expr"]
    assert memory == f"100 * max(container_memory_working_set_bytes{{{pods}}}) / {128 * 2**20} > 90"
    assert rules["Cpu"]["expr"].endswith(" / 0.25 > 150")
    assert rules["Cpu"]["for"] == "900s"
    assert pods in rules["Cpu"]["expr"]
    assert pods in rules["Restarts"]["expr"]


@in_stack
async def test_cloudwatch_watches_memory_and_cpu_where_container_insights_does(engine: Engine) -> None:
    AlertRules("shop", samples.ALERTS)
    (memory,) = (await engine.inputs("shop-memory"))["metricQueries"]
    assert memory["metric"]["dimensions"] == {
        "ClusterName": "main",
        "Namespace": "staging-shop",
        "Service": "shop-green",
    }
    used, requested, share = (await engine.inputs("shop-cpu"))["metricQueries"]
    assert used["metric"]["dimensions"] == requested["metric"]["dimensions"]
    assert share["expression"] == "100 * used / requested"


@in_stack
async def test_without_container_insights_there_is_no_alarm_that_could_never_ring(engine: Engine) -> None:
    rules = AlertRules("shop", samples.change(samples.ALERTS, cluster=Cluster()))
    assert not INSIGHTS & rules.alarm_names.keys()
    rule = (await engine.inputs("shop-composite"))["alarmRule"]
    assert not any(name in rule for name in INSIGHTS)
    assert {"Memory", "Cpu"} <= (await prometheus(engine)).keys()


@in_stack
async def test_both_systems_compare_with_the_same_thresholds(engine: Engine) -> None:
    everything()
    compared = 0
    rules = {**await prometheus(engine), **await prometheus(engine, "shop-all")}
    for alert in ALERTS:
        if alert.cloudwatch and alert.prometheus:
            owner = "shop" if alert in COLOR_ALERTS else "shop-all"
            alarm = await engine.inputs(f"{owner}-{alert.name}")
            assert alarm["threshold"] == alert.threshold
            assert f" {alert.comparison} {alert.threshold:g}" in rules[alert.title]["expr"]
            compared += 1
    assert compared >= 10


@in_stack
async def test_every_selector_of_a_rule_names_whose_samples_it_takes(engine: Engine) -> None:
    everything()
    seen = 0
    for name, own in (("shop", 'service="shop",color="green",environment="staging"'), ("shop-all", 'service="shop"')):
        for rule in (await prometheus(engine, name)).values():
            for selector in re.split(r"[a-z]{", rule["expr"])[1:]:
                assert selector.startswith((own, 'namespace="staging-shop"'))
                seen += 1
            assert rule["labels"].items() >= {"service": "shop", "environment": "staging"}.items()
            assert ("color" in rule["labels"]) == (name == "shop")
    assert seen > 15


@in_stack
async def test_an_incident_is_one_message_of_the_color(engine: Engine) -> None:
    rules = AlertRules("shop", samples.change(samples.ALERTS, routing=AlertRouting(topic_arns=["arn:one", "arn:two"])))
    for alarm in await engine.of_type("MetricAlarm"):
        assert not {"alarmActions", "okActions", "insufficientDataActions"} & alarm.inputs.keys()
    composite = await engine.inputs("shop-composite")
    assert composite["alarmActions"] == composite["okActions"] == ["arn:one", "arn:two"]
    assert composite["alarmName"] == rules.composite_name == "staging-shop-green"
    heard = rules.alarm_names.keys() - {"canary-errors"}
    assert set(composite["alarmRule"].split(" OR ")) == {f'ALARM("staging-shop-green-{name}")' for name in heard}
    assert len(heard) == 7


@in_stack
@pytest.mark.parametrize("runbooks", [None, RUNBOOKS, "https://" + "x" * 72])
async def test_the_message_of_a_color_leads_to_the_alarm_that_is_on(engine: Engine, runbooks: str | None) -> None:
    routing = replace(samples.HEARERS, runbooks=runbooks)
    rules = AlertRules("shop", samples.change(samples.ALERTS, routing=routing))
    text = (await engine.inputs("shop-composite"))["alarmDescription"]
    assert "the reason of this message names" in text
    assert "Severity: that of the alarm." in text
    of_severity = re.search(r"Runbook: critical: (.*); warning: (.*)\. Owner: team-shop\. On call: ", text)
    assert of_severity
    listed = {
        severity: of_severity[group].split() for group, severity in ((1, Severity.CRITICAL), (2, Severity.WARNING))
    }
    for severity, pages in listed.items():
        assert pages == [
            alert.page(runbooks or "docs/alerts")
            for alert in COLOR_ALERTS
            if alert.severity is severity and alert.name in rules.alarm_names
        ]
    # A description of 1024 characters is one that was cut.
    assert len(text) < 1024


@in_stack
async def test_the_composite_comes_after_its_children_and_goes_before_them(engine: Engine) -> None:
    AlertRules("shop", samples.ALERTS)
    composite = await engine.resource("shop-composite")
    assert {alarm.urn for alarm in await engine.of_type("MetricAlarm")} <= composite.waits_for


@in_stack
async def test_while_traffic_moves_messages_wait(engine: Engine) -> None:
    service = ServiceAlerts("shop-all", samples.SERVICE_ALERTS)
    assert service.moving is not None
    AlertRules("shop", samples.change(samples.ALERTS, moving=service.moving))
    composite = await engine.resource("shop-composite")
    assert composite.inputs["actionsSuppressor"] == {
        "alarm": "staging-shop-moving",
        "waitPeriod": 60,
        "extensionPeriod": 120,
    }
    assert (await engine.resource("shop-all-moving")).urn in composite.waits_for


@in_stack
async def test_a_service_with_one_color_has_nothing_that_moves(engine: Engine) -> None:
    group = {Color.BLUE: "targetgroup/blue/0"}
    service = ServiceAlerts("shop-all", samples.change(samples.SERVICE_ALERTS, target_groups=group))
    assert service.moving is None
    assert set(service.alarm_names) == {"traffic", "traffic-drop"}
    AlertRules("shop", samples.change(samples.ALERTS, moving=None))
    assert "actionsSuppressor" not in await engine.inputs("shop-composite")
    assert (await expressions(engine, "shop-all-traffic"))["total"] == "FILL(blue, 0)"
    queries = (await engine.inputs("shop-all-traffic-drop"))["metricQueries"]
    assert [query["id"] for query in queries if "metric" in query] == ["blue"]


# The Prometheus Operator


@in_stack
async def test_rules_have_the_labels_by_which_the_operator_selects_them(engine: Engine) -> None:
    labels = {"release": "kube-prometheus-stack"}
    AlertRules("shop", samples.change(samples.ALERTS, prometheus_labels=labels))
    ServiceAlerts("shop-all", samples.change(samples.SERVICE_ALERTS, prometheus_labels=labels))
    rules = await engine.of_type("PrometheusRule")
    assert len(rules) == 2
    for rule in rules:
        assert rule.inputs["metadata"]["labels"].items() >= labels.items()
        assert rule.inputs["metadata"]["labels"]["app.kubernetes.io/name"] == "shop"


@in_stack
async def test_where_there_is_no_operator_no_rules_are_made_and_every_alarm_is(engine: Engine) -> None:
    AlertRules("shop", samples.change(samples.ALERTS, prometheus_labels=None))
    ServiceAlerts("shop-all", samples.change(samples.SERVICE_ALERTS, prometheus_labels=None))
    await engine.settle()
    assert not [one for one in engine.registrations.values() if one.type.startswith("kubernetes:")]
    assert len(await engine.of_type("MetricAlarm")) == 11


@in_stack
async def test_alertmanager_gets_a_link_where_the_pages_can_be_read(engine: Engine) -> None:
    routing = replace(samples.HEARERS, runbooks=RUNBOOKS)
    AlertRules("shop", samples.change(samples.ALERTS, routing=routing))
    EdgeAlerts("edge", samples.change(samples.EDGE_ALERTS, routing=routing))
    for alert in COLOR_ALERTS:
        annotations = (await prometheus(engine))[alert.title]["annotations"]
        assert annotations["runbook_url"] == f"{RUNBOOKS}/{alert.name}.md"
        assert "runbook" not in annotations
    for name in ("shop-errors", "edge-load-balancer-errors"):
        text = (await engine.inputs(name))["alarmDescription"]
        assert f" Runbook: {RUNBOOKS}/{name.partition('-')[2]}.md. Owner: team-shop. " in text


# A service


@in_stack
async def test_traffic_is_the_sum_of_both_colors_whatever_their_shares(engine: Engine) -> None:
    ServiceAlerts("shop-all", samples.SERVICE_ALERTS)
    for alarm in await engine.of_type("MetricAlarm"):
        metrics = {query["id"]: query["metric"] for query in alarm.inputs["metricQueries"] if "metric" in query}
        assert metrics.keys() == set(Color)
        for color, metric in metrics.items():
            assert metric["metricName"] == "RequestCount"
            assert metric["dimensions"] == {"LoadBalancer": "app/edge/0", "TargetGroup": f"targetgroup/{color}/0"}
        assert (await expressions(engine, alarm.name))["total"] == "FILL(blue, 0) + FILL(green, 0)"


@in_stack
async def test_no_traffic_is_told_since_no_other_alarm_can_and_no_data_is_no_traffic(engine: Engine) -> None:
    ServiceAlerts("shop-all", samples.SERVICE_ALERTS)
    alarm = await engine.inputs("shop-all-traffic")
    assert (alarm["comparisonOperator"], alarm["threshold"]) == ("LessThanThreshold", 1)
    assert alarm["treatMissingData"] == "breaching"
    assert alarm["alarmActions"] == alarm["okActions"] == [samples.TOPIC]


@in_stack
async def test_a_service_that_may_be_quiet_has_no_alarm_for_it(engine: Engine) -> None:
    service = ServiceAlerts("shop-all", samples.change(samples.SERVICE_ALERTS, expects_traffic=False))
    assert "traffic" not in service.alarm_names
    assert (await prometheus(engine, "shop-all")).keys() == {"TrafficDrop", "NoMetrics"}


@in_stack
async def test_nobody_is_told_that_traffic_moves(engine: Engine) -> None:
    ServiceAlerts("shop-all", samples.SERVICE_ALERTS)
    assert "alarmActions" not in await engine.inputs("shop-all-moving")


MOVES = {
    "flip": ([600.0, 600, 0], [0.0, 0, 600], True),
    "canary step": ([6000.0, 6000, 5400], [0.0, 0, 600], True),
    "flip of a quiet service": ([9.0, 9, 0], [0.0, 0, 9], True),
    "chance at an even split": ([30.0, 24, 33], [30.0, 36, 27], False),
    "chance of a small canary": ([97.0, 90, 94], [3.0, 10, 6], False),
    "more traffic in the same shares": ([900.0, 900, 4500], [100.0, 100, 500], False),
    "no traffic at all": ([], [], False),
}


@pytest.mark.parametrize("move", MOVES)
def test_a_move_is_told_from_chance(move: str) -> None:
    blue, green, moves = MOVES[move]
    how = MOVING.cloudwatch
    assert how is not None
    math = {
        name: text % {"total": "FILL(blue, 0) + FILL(green, 0)", "blue": "FILL(blue, 0)"}
        for name, text in how.math.items()
    }
    grid = [0.0, 60, 120]
    values = Plan(dict.fromkeys(how.metrics, 60), math).compute(
        {"blue": dict(zip(grid, blue, strict=False)), "green": dict(zip(grid, green, strict=False))}, grid
    )
    compared = values["significant"]
    assert isinstance(compared, dict)
    assert any(value > MOVING.threshold for value in compared.values()) == moves


DROPS = {
    "gone": ([500, 500, 0, 0], True),
    "to a third": ([900, 900, 300, 300], True),
    "in five minutes whose counts may be late": ([900, 900, 300], False),
    "to two thirds": ([900, 900, 600, 600], False),
    "a rise": ([100, 900, 900, 900], False),
    "the end of a short peak, of which the usual is left": ([400, 400, 700, 400, 400], False),
    "from hardly any": ([90, 60, 10, 10], False),
}


@pytest.mark.parametrize("drop", DROPS)
def test_a_drop_is_told_from_a_rise_and_from_a_quiet_service(drop: str) -> None:
    counts, dropped = DROPS[drop]
    how = next(alert.cloudwatch for alert in ALERTS if alert.name == "traffic-drop")
    assert how is not None
    math = {
        name: text % {"total": "FILL(blue, 0) + FILL(green, 0)", "blue": "FILL(blue, 0)"}
        for name, text in how.math.items()
    }
    grid = [300.0 * index for index in range(len(counts))]
    series = {at: float(count) for at, count in zip(grid, counts, strict=True) if count}
    share = Plan(dict.fromkeys(how.metrics, 300), math).compute({"blue": series, "green": {}}, grid)["share"]
    assert isinstance(share, dict)
    assert any(value < 50 for value in share.values()) == dropped


# The load balancer


@in_stack
async def test_the_load_balancers_own_errors_are_of_all_requests_also_of_those_without_a_target(engine: Engine) -> None:
    EdgeAlerts("edge", samples.EDGE_ALERTS)
    alarm = await engine.inputs("edge-load-balancer-errors")
    for query in alarm["metricQueries"][:2]:
        assert query["metric"]["dimensions"] == {"LoadBalancer": "app/edge/0"}
    assert (await expressions(engine, "edge-load-balancer-errors"))["total"] == "FILL(requests, 0) + FILL(failed, 0)"
    assert alarm["name"] == "staging-edge-load-balancer-errors"


@in_stack
async def test_each_certificate_is_watched_under_its_name(engine: Engine) -> None:
    EdgeAlerts("edge", samples.EDGE_ALERTS)
    alarm = await engine.inputs("edge-certificate-main")
    (query,) = alarm["metricQueries"]
    assert query["metric"]["dimensions"] == {"CertificateArn": "arn:aws:acm:eu-west-1:123456789012:certificate/0"}
    assert (alarm["comparisonOperator"], alarm["threshold"]) == ("LessThanThreshold", 21)
    assert alarm["name"] == "staging-edge-certificate-main"


# All


@in_stack
async def test_every_alert_says_how_bad_it_is_whose_it_is_and_what_to_do(engine: Engine) -> None:
    everything()
    alarms = [*await engine.of_type("MetricAlarm"), *await engine.of_type("CompositeAlarm")]
    for alarm in alarms:
        severity, text = alarm.inputs["tags"]["severity"], alarm.inputs["alarmDescription"]
        assert severity in set(Severity)
        composite = "alarmRule" in alarm.inputs
        assert ("Severity: that of the alarm." if composite else f"Severity: {severity}.") in text
        assert f"Owner: {alarm.inputs['tags']['owner']}." in text
        assert "On call: " in text
        pages = re.findall(r"docs/\S+\.md", text)
        assert len(pages) == (7 if composite else 1)
        assert all((ROOT / page).is_file() for page in pages)
        assert " in staging: " in text
        # A description of 1024 characters is one that was cut.
        assert len(text) < 1024
        assert len(alarm.inputs.get("alarmName") or alarm.inputs["name"]) <= 255
    assert len(alarms) == 14
    for name in ("shop", "shop-all"):
        for rule in (await prometheus(engine, name)).values():
            assert rule["labels"]["severity"] in set(Severity)
            assert rule["labels"]["owner"] == rule["annotations"]["owner"] == "team-shop"
            assert rule["annotations"]["on_call"] == "shop on duty, +49 30 901820"
            assert (ROOT / rule["annotations"]["runbook"]).is_file()
            assert "Not seen: " in rule["annotations"]["description"]
            assert " in staging: " in rule["annotations"]["summary"]


@in_stack
async def test_names_are_fixed_so_that_the_gate_and_a_preview_know_them(engine: Engine) -> None:
    everything()
    for alarm in await engine.of_type("MetricAlarm"):
        parts = {"shop": ("shop", "green"), "shop-all": ("shop",), "edge": ("edge",)}
        owner = next(name for name in sorted(parts, key=len, reverse=True) if alarm.name.startswith(f"{name}-"))
        suffix = alarm.name.removeprefix(f"{owner}-")
        assert alarm.inputs["name"] == alarm_name("staging", *parts[owner], suffix)


@in_stack
async def test_nobody_to_tell_is_left_out_since_a_refresh_would_report_an_empty_list(engine: Engine) -> None:
    AlertRules("shop", samples.change(samples.ALERTS, routing=AlertRouting()))
    ServiceAlerts("shop-all", samples.change(samples.SERVICE_ALERTS, routing=AlertRouting()))
    EdgeAlerts("edge", samples.change(samples.EDGE_ALERTS, routing=AlertRouting()))
    for alarm in [*await engine.of_type("MetricAlarm"), *await engine.of_type("CompositeAlarm")]:
        assert not {"alarmActions", "okActions"} & alarm.inputs.keys()
    assert "owner" not in (await engine.inputs("shop-errors"))["tags"]


@in_stack
async def test_thresholds_windows_and_severities_are_the_services_own_and_those_of_a_canary_are_not(
    engine: Engine,
) -> None:
    own = Thresholds(
        error_percent=2, p95_milliseconds=500, p99_milliseconds=750, minutes=10, severities={"latency-p99": "critical"}
    )
    AlertRules("own", samples.change(samples.ALERTS, alerts=own))
    AlertRules("usual", samples.change(samples.ALERTS, color=Color.BLUE))
    errors, p99 = await engine.inputs("own-errors"), await engine.inputs("own-latency-p99")
    assert (errors["threshold"], errors["evaluationPeriods"], errors["datapointsToAlarm"]) == (2, 10, 9)
    assert "more than 2 % of the requests fail" in errors["alarmDescription"]
    (rate,) = [query for query in errors["metricQueries"] if query["id"] == "rate"]
    assert rate["expression"].startswith("IF(requests >= 50,"), "one failure of fewer would be more than 2 %"
    assert (p99["threshold"], p99["tags"]["severity"]) == (0.75, "critical")
    assert "Severity: critical" in p99["alarmDescription"]
    composite = await engine.inputs("own-composite")
    assert "critical: docs/alerts/errors.md docs/alerts/latency-p99.md" in composite["alarmDescription"]
    rules = {rule["alert"]: rule for rule in (await engine.inputs("own-prometheus"))["spec"]["groups"][0]["rules"]}
    assert (rules["Errors"]["for"], rules["LatencyP99"]["labels"]["severity"]) == ("600s", "critical")
    assert " > 0.5 " in rules["LatencyP95"]["expr"]
    mine, others = await engine.inputs("own-canary-errors"), await engine.inputs("usual-canary-errors")
    judged = ("threshold", "evaluationPeriods", "datapointsToAlarm")
    assert [mine[key] for key in judged] == [others[key] for key in judged]


def test_a_service_may_say_how_soon_to_look_at_every_alert_of_which_somebody_hears() -> None:
    heard = {alert.name for alert in (*COLOR_ALERTS, *SERVICE_ALERTS) if alert.severity is not Severity.NONE}
    assert set(get_args(Watched)) == heard


# Mirrors


@in_stack
async def test_a_color_is_judged_by_its_mirror_as_by_its_own_pods_and_the_worse_counts(engine: Engine) -> None:
    AlertRules("shop", samples.change(samples.ALERTS, mirror="targetgroup/green-mirror/0"))
    found = {query["id"]: query for query in (await engine.inputs("shop-errors"))["metricQueries"]}
    groups = {name: query["metric"]["dimensions"]["TargetGroup"] for name, query in found.items() if "metric" in query}
    assert groups == {
        **dict.fromkeys(("failed", "refused", "requests"), "targetgroup/green/0"),
        **dict.fromkeys(("failed_mirror", "refused_mirror", "requests_mirror"), "targetgroup/green-mirror/0"),
    }
    own = found["rate"]["expression"]
    assert found["rate_mirror"]["expression"] == re.sub(r"(failed|refused|requests)", r"\1_mirror", own)
    assert found["worst"]["expression"] == "MAX([FILL(rate, 0), FILL(rate_mirror, 0)])"
    assert [name for name, query in found.items() if query["returnData"]] == ["worst"]
    unhealthy = (await engine.inputs("shop-unhealthy"))["metricQueries"]
    assert [query["id"] for query in unhealthy] == ["unhealthy", "unhealthy_mirror", "worst"]
    for alert in ("too-few", "cpu"):
        ids = [query["id"] for query in (await engine.inputs(f"shop-{alert}"))["metricQueries"]]
        assert not [name for name in ids if "mirror" in name], alert


@in_stack
async def test_requests_that_a_mirror_answers_are_counted_for_the_service_and_its_color(engine: Engine) -> None:
    mirrors = {color: f"targetgroup/{color}-mirror/0" for color in Color}
    ServiceAlerts("shop", samples.change(samples.SERVICE_ALERTS, mirrors=mirrors))
    moving = await expressions(engine, "shop-moving")
    total = "FILL(blue, 0) + FILL(blue_mirror, 0) + FILL(green, 0) + FILL(green_mirror, 0)"
    assert moving["total"] == (await expressions(engine, "shop-traffic"))["total"] == total
    assert moving["share"] == "100 * (FILL(blue, 0) + FILL(blue_mirror, 0)) / total"
    queries = {query["id"]: query for query in (await engine.inputs("shop-traffic"))["metricQueries"]}
    assert queries["green_mirror"]["metric"]["dimensions"]["TargetGroup"] == mirrors[Color.GREEN]
