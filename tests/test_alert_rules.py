"""When a person hears of a color."""

from dataclasses import replace
from typing import Any

from components.alert_rules import ERRORS, LATENCY, MINIMUM_REQUESTS, AlertRules
from components.model import ALARM_PERIOD, ALARM_PERIODS
from tests import samples
from tests.engine import Engine, in_stack
from tests.program import ROOT

COLOR = {"LoadBalancer": "app/edge/0", "TargetGroup": "targetgroup/green/0"}


async def prometheus(engine: Engine) -> dict[str, dict[str, Any]]:
    (group,) = (await engine.inputs("shop-prometheus"))["spec"]["groups"]
    return {rule["alert"]: rule for rule in group["rules"]}


@in_stack
async def test_the_error_rate_counts_failed_and_refused_requests_of_this_color_only(engine: Engine) -> None:
    AlertRules("shop", samples.ALERTS)
    *counts, rate = (await engine.inputs("shop-errors"))["metricQueries"]
    assert {query["id"]: query["metric"]["metricName"] for query in counts} == {
        "failed": "HTTPCode_Target_5XX_Count",
        "refused": "TargetConnectionErrorCount",
        "requests": "RequestCount",
    }
    for query in counts:
        assert query["metric"]["dimensions"] == COLOR
        assert (query["metric"]["stat"], query["metric"]["period"]) == ("Sum", ALARM_PERIOD)
    assert [query["id"] for query in (*counts, rate) if query["returnData"]] == ["rate"]
    assert "(FILL(failed, 0) + FILL(refused, 0)) / requests" in rate["expression"]


@in_stack
async def test_a_color_with_hardly_any_requests_is_not_judged(engine: Engine) -> None:
    AlertRules("shop", samples.ALERTS)
    assert (
        f"IF(requests >= {MINIMUM_REQUESTS}," in (await engine.inputs("shop-errors"))["metricQueries"][-1]["expression"]
    )
    for rule in (await prometheus(engine)).values():
        assert rule["expr"].endswith(f" >= {MINIMUM_REQUESTS}")


@in_stack
async def test_latency_is_a_percentile_in_seconds(engine: Engine) -> None:
    AlertRules("shop", samples.ALERTS)
    alarm = await engine.inputs("shop-latency")
    assert (alarm["extendedStatistic"], alarm["threshold"]) == ("p95", 1)
    assert "statistic" not in alarm
    assert alarm["dimensions"] == COLOR
    assert alarm["evaluateLowSampleCountPercentiles"] == "ignore"


@in_stack
async def test_an_alarm_takes_five_minutes_of_which_one_may_be_incomplete(engine: Engine) -> None:
    AlertRules("shop", samples.ALERTS)
    for alarm in await engine.of_type("MetricAlarm"):
        assert alarm.inputs["evaluationPeriods"] == ALARM_PERIODS
        assert alarm.inputs["datapointsToAlarm"] == ALARM_PERIODS - 1
        assert alarm.inputs["treatMissingData"] == "notBreaching"
    assert ALARM_PERIOD * ALARM_PERIODS == 300
    assert {rule["for"] for rule in (await prometheus(engine)).values()} == {"300s"}


@in_stack
async def test_both_systems_compare_with_the_same_thresholds(engine: Engine) -> None:
    AlertRules("shop", samples.ALERTS)
    rules = await prometheus(engine)
    for name, alert in (("shop-errors", "ErrorsHigh"), ("shop-latency", "LatencyHigh")):
        threshold = (await engine.inputs(name))["threshold"]
        assert f" > {threshold} and " in rules[alert]["expr"]


@in_stack
async def test_every_selector_of_a_rule_names_service_color_and_environment(engine: Engine) -> None:
    AlertRules("shop", samples.ALERTS)
    for rule in (await prometheus(engine)).values():
        selectors = rule["expr"].split("{")[1:]
        assert selectors
        for selector in selectors:
            assert selector.startswith('service="shop",color="green",environment="staging"')
        assert rule["labels"].items() >= {"service": "shop", "color": "green", "environment": "staging"}.items()


@in_stack
async def test_every_alert_has_a_severity_a_runbook_and_words_for_a_person(engine: Engine) -> None:
    AlertRules("shop", samples.ALERTS)
    for alarm in await engine.of_type("MetricAlarm"):
        assert alarm.inputs["tags"]["severity"] in {"critical", "warning"}
        assert "Runbook: docs/operations.md#" in alarm.inputs["alarmDescription"]
    for rule in (await prometheus(engine)).values():
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert rule["annotations"]["runbook"].startswith("docs/operations.md#")
        assert "shop green in staging" in rule["annotations"]["summary"]


@in_stack
async def test_the_topics_hear_of_the_beginning_and_the_end(engine: Engine) -> None:
    AlertRules("shop", replace(samples.ALERTS, topic_arns=["arn:one", "arn:two"]))
    for alarm in await engine.of_type("MetricAlarm"):
        assert alarm.inputs["alarmActions"] == alarm.inputs["okActions"] == ["arn:one", "arn:two"]


@in_stack
async def test_nobody_to_tell_is_left_out_since_a_refresh_would_report_an_empty_list(engine: Engine) -> None:
    AlertRules("shop", replace(samples.ALERTS, topic_arns=[]))
    for alarm in await engine.of_type("MetricAlarm"):
        assert not {"alarmActions", "okActions"} & alarm.inputs.keys()


def test_every_runbook_link_leads_to_a_heading() -> None:
    for alert in (ERRORS, LATENCY):
        path, anchor = alert.runbook.split("#")
        headings = {line.strip("# \n").lower().replace(" ", "-") for line in (ROOT / path).open() if line[0] == "#"}
        assert anchor in headings
