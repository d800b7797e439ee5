"""When the local cloud's alarms change, and whom they tell: the tables of the user guide, then the real thing."""

import json
import math
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from sandbox.aws import series
from sandbox.aws.alarms import AlarmRule, Missing, Rule, RuleError, State, Suppression, judge, reason, suppress, too_few
from sandbox.aws.clock import Clock, parse_scale
from sandbox.aws.cloudwatch import CloudWatch
from sandbox.aws.metric_math import Kind, MathError, Plan, Series, Value
from sandbox.aws.server import parse_lateness
from sandbox.tests.envoy_world import (
    NET,
    World,
    client,
    fetch,
    fixed,
    forward,
    paths_like,
    until,
)
from sandbox.tests.envoy_world import cloud as cloud
from sandbox.tests.envoy_world import world as world

pytestmark = pytest.mark.slow  # the local cloud's own parts: `make test` runs them

TREATMENTS: tuple[Missing, ...] = ("missing", "ignore", "breaching", "notBreaching")
OK, ALARM, NONE, RETAINED = State.OK, State.ALARM, State.INSUFFICIENT_DATA, None


def rule(datapoints: int, periods: int = 3, missing: Missing = "missing") -> Rule:
    return Rule(
        comparison="GreaterThanThreshold", threshold=0.5, periods=periods, datapoints=datapoints, missing=missing
    )


def points(drawn: str) -> list[float | None]:
    """Return points as the guide draws them: 0 is within, X beyond the threshold, - is missing."""
    return [{"0": 0.0, "X": 1.0, "-": None}[one] for one in drawn.split()]


# Missing data -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("datapoints", "drawn", "states"),
    [
        (3, "0 - X - X", (OK, OK, OK, OK)),
        (3, "0 - - - -", (OK, OK, OK, OK)),
        (3, "- - - - -", (NONE, RETAINED, ALARM, OK)),
        (3, "0 X X - X", (ALARM, ALARM, ALARM, ALARM)),
        (3, "- - X - -", (ALARM, RETAINED, ALARM, OK)),
        (3, "- - - - X", (NONE, RETAINED, ALARM, OK)),
        (3, "- - - X -", (NONE, RETAINED, ALARM, OK)),
        (2, "0 - X - X", (ALARM, ALARM, ALARM, ALARM)),
        (2, "0 0 X 0 X", (ALARM, ALARM, ALARM, ALARM)),
        (2, "0 - X - -", (OK, OK, ALARM, OK)),
        (2, "- - - - 0", (OK, OK, ALARM, OK)),
        (2, "- - - X -", (ALARM, RETAINED, ALARM, OK)),
        (2, "- - - - X", (NONE, RETAINED, ALARM, OK)),
    ],
)
def test_the_tables_of_the_guide_on_missing_data_hold(
    datapoints: int, drawn: str, states: tuple[State | None, ...]
) -> None:
    assert tuple(judge(points(drawn), rule(datapoints, missing=one)) for one in TREATMENTS) == states


SIZES = st.integers(1, 6).flatmap(lambda periods: st.tuples(st.integers(1, periods), st.just(periods)))
VALUES = st.lists(st.sampled_from([0.0, 1.0, None]), min_size=8, max_size=8)


@given(SIZES, st.lists(st.sampled_from([0.0, 1.0]), min_size=8, max_size=8))
def test_with_all_data_m_of_the_last_n_decide_whatever_missing_data_would_be(
    size: tuple[int, int], values: list[float]
) -> None:
    expected = ALARM if values[-size[1] :].count(1.0) >= size[0] else OK
    assert {judge(values, rule(*size, missing=one)) for one in TREATMENTS} == {expected}


@given(SIZES, VALUES)
def test_every_treatment_but_breaching_needs_a_real_breach_for_an_alarm(
    size: tuple[int, int], values: list[float | None]
) -> None:
    states = {one: judge(values, rule(*size, missing=one)) for one in TREATMENTS}
    if 1.0 not in values:
        assert ALARM not in (states["missing"], states["ignore"], states["notBreaching"])
    if states["notBreaching"] is ALARM:
        assert set(states.values()) == {ALARM}
    if ALARM in states.values():
        assert states["breaching"] is ALARM
    assert states["breaching"] in (OK, ALARM)
    assert states["notBreaching"] in (OK, ALARM)


@pytest.mark.parametrize(
    ("comparison", "breaching"),
    [
        ("GreaterThanThreshold", [False, False, True]),
        ("GreaterThanOrEqualToThreshold", [False, True, True]),
        ("LessThanThreshold", [True, False, False]),
        ("LessThanOrEqualToThreshold", [True, True, False]),
    ],
)
def test_a_threshold_is_compared_as_the_alarm_says(comparison: str, breaching: list[bool]) -> None:
    one = Rule(comparison=comparison, threshold=5, periods=1, datapoints=1)
    assert [one.breaches(value) for value in (4, 5, 6)] == breaching


@pytest.mark.parametrize(("percentile", "needed"), [("p95", 200), ("p99", 1000), ("p50", 20), ("p10", 100)])
def test_a_percentile_needs_ten_samples_beyond_it(percentile: str, needed: int) -> None:
    share = series.percentile(percentile)
    assert share is not None
    assert too_few(needed - 1, share)
    assert not too_few(needed, share)


def test_the_reason_names_the_datapoints_as_cloudwatch_does() -> None:
    at = datetime(2026, 1, 2, 3, 4)
    pairs = [(1.0, at), (0.0, at + timedelta(minutes=1)), (2.0, at + timedelta(minutes=2))]
    assert reason(pairs, rule(2), OK, ALARM) == (
        "Threshold Crossed: 2 out of the last 3 datapoints [2.0 (02/01/26 03:06:00), 1.0 (02/01/26 03:04:00)] were "
        "greater than the threshold (0.5) (minimum 2 datapoints for OK -> ALARM transition)."
    )
    assert reason([pairs[1], pairs[1], pairs[2]], rule(2), ALARM, OK) == (
        "Threshold Crossed: 2 out of the last 3 datapoints [0.0 (02/01/26 03:05:00), 0.0 (02/01/26 03:05:00)] were not "
        "greater than the threshold (0.5) (minimum 2 datapoints for ALARM -> OK transition)."
    )
    assert reason([None, None], rule(2, missing="notBreaching"), NONE, OK) == (
        "Threshold Crossed: no datapoints were received for 2 periods and 2 missing datapoints were treated as "
        "[NonBreaching]."
    )
    assert reason([None], rule(1, 1), OK, NONE) == "Insufficient Data: 1 datapoint was unknown."


# Statistics ---------------------------------------------------------------------------------------------------------

KEY: series.Key = ("n", "m", frozenset())


@given(st.lists(st.lists(st.integers(0, 100), min_size=1, max_size=20), min_size=1, max_size=5), st.integers(1, 100))
def test_statistics_are_of_all_samples_however_they_were_put(batches: list[list[int]], rank: int) -> None:
    put = [series.point(0, Counter(map(float, batch))) for batch in batches]
    flat = sorted(sample for batch in batches for sample in batch)
    expected = {
        "SampleCount": len(flat),
        "Sum": sum(flat),
        "Average": sum(flat) / len(flat),
        "Minimum": flat[0],
        "Maximum": flat[-1],
        f"p{rank}": flat[max(0, math.ceil(rank * len(flat) / 100) - 1)],
    }
    assert {name: series.value(put, name) for name in expected} == pytest.approx(expected)


def test_a_percentile_of_a_hundred_is_that_many_smallest() -> None:
    hundred = [series.point(0, Counter(map(float, range(1, 101))))]
    seen = [series.value(hundred, name) for name in ("p0", "p50", "p95", "p99", "p99.5", "p100")]
    assert seen == [1, 50, 95, 99, 100, 100]


def test_nothing_has_no_statistic_and_a_sum_alone_has_no_percentile() -> None:
    assert [series.value([], name) for name in ("Sum", "Minimum", "SampleCount", "p95")] == [None] * 4
    assert series.value([series.Point(0, 10, 5, 0, 1)], "p95") is None
    assert not any(map(series.supported, ("tm90", "p101", "IQM", "PR(0:1)", "sum")))


def test_a_data_point_belongs_to_the_period_that_begins_with_it_and_is_forgotten_after_six_hours() -> None:
    store = series.Store()
    for at in (60.0, 0.0, 119.9, 120.0):
        store.put(KEY, series.point(at, {at: 1.0}))
    assert [one.at for one in store.between(KEY, 60, 120)] == [60, 119.9]
    store.put(KEY, series.point(series.KEPT + 100.0, {1.0: 1.0}))
    assert [one.at for one in store.between(KEY, 0, 1e9)] == [119.9, 120, series.KEPT + 100]


# Metric math --------------------------------------------------------------------------------------------------------


def line(*values: float | None) -> Series:
    return {60.0 * index: value for index, value in enumerate(values) if value is not None}


def compute(expression: str, **metrics: Series) -> list[float | None]:
    periods = 5
    plan = Plan(dict.fromkeys(metrics, 60), {"e": expression})
    value: Value = plan.compute(metrics, [60.0 * index for index in range(periods)])["e"]
    assert isinstance(value, dict)
    return [value.get(60.0 * index) for index in range(periods)]


@pytest.mark.parametrize(
    ("expression", "values"),
    [
        ("metric1 < metric2", [0, 0, 1, 0, None]),
        ("metric1 >= 30", [1, 0, 0, 0, None]),
        ("metric1 > 15 AND metric2 > 15", [1, 0, 0, 0, None]),
        ("metric1 > 25 || metric2 == 20", [1, 0, 1, 0, None]),
        ("metric1 + metric2", [50, 20, 20, 0, None]),
        ("metric2 / metric1", [20 / 30, 0, None, None, None]),
        ("-metric1 + 2 * 3 ^ 2", [-12, -2, 18, 18, None]),
        ("1 - (metric1 - 10) / 10", [-1, 0, 2, 2, None]),
    ],
)
def test_the_operators_treat_missing_values_as_the_guide_says(expression: str, values: list[float | None]) -> None:
    assert compute(expression, metric1=line(30, 20, 0, 0), metric2=line(20, None, 20, None)) == values


@pytest.mark.parametrize(
    ("expression", "values"),
    [
        ("IF(metric1, metric2, metric3)", [30, 0, 20, None, None]),
        ("IF(metric1, 5, metric3)", [5, 5, 20, None, None]),
        ("IF(metric1, metric2, 5)", [30, 0, 5, 5, None]),
        ("IF(metric1, metric2)", [30, 0, None, None, None]),
        ("IF(1 > 0, metric2, metric3)", [30, None, 0, 0, 30]),
        ("IF(0, metric2, metric3)", [0, 0, 20, None, 20]),
        ("IF(0, metric2)", [None] * 5),
    ],
)
def test_the_tables_of_the_guide_on_if_hold(expression: str, values: list[float | None]) -> None:
    metrics = {
        "metric1": line(1, 1, 0, 0, None),
        "metric2": line(30, None, 0, 0, 30),
        "metric3": line(0, 0, 20, None, 20),
    }
    assert compute(expression, **metrics) == values


@pytest.mark.parametrize(
    ("expression", "values"),
    [
        ("FILL(m, 7)", [1, 7, 4, 7, 2]),
        ("FILL(m, REPEAT)", [1, 1, 4, 4, 2]),
        ("FILL(m, n)", [1, 20, 4, 40, 2]),
        ("FILL(nothing, 0)", [0, 0, 0, 0, 0]),
        ("DIFF(m)", [None, None, 3, None, -2]),
        ("DIFF_TIME(m)", [None, None, 120, None, 120]),
        ("RATE(m)", [None, None, 3 / 120, None, -2 / 120]),
        ("ABS(DIFF(m))", [None, None, 3, None, 2]),
        ("m - MIN(m)", [0, None, 3, None, 1]),
        ("m / MAX(m)", [0.25, None, 1, None, 0.5]),
        ("m * 0 + SUM(m)", [7, None, 7, None, 7]),
        ("TIME_SERIES(AVG(m))", [7 / 5] * 5),
        ("CEIL(m / 3) + FLOOR(m / 3)", [1, None, 3, None, 1]),
        ("m / PERIOD(m)", [1 / 60, None, 4 / 60, None, 2 / 60]),
        ("SUM([m, n])", [11, 20, 34, 40, 52]),
        ("AVG([m, n])", [5.5, 10, 17, 20, 26]),
        ('MIN(METRICS("n"))', [10, 20, 30, 40, 50]),
        ("MIN(METRICS())", [1, 20, 4, 40, 2]),
        ("SUM(100 * [m, n])", [1100, 2000, 3400, 4000, 5200]),
    ],
)
def test_functions_compute_what_the_guide_says(expression: str, values: list[float | None]) -> None:
    metrics = {"m": line(1, None, 4, None, 2), "n": line(10, 20, 30, 40, 50), "nothing": line()}
    assert compute(expression, **metrics) == pytest.approx(values)


def test_the_rate_of_failures_is_judged_with_enough_requests_only() -> None:
    expression = "IF(requests >= 20, 100 * (FILL(failed, 0) + FILL(refused, 0)) / requests, 0)"
    metrics = {"requests": line(100, 19, 50, None), "failed": line(3, 19, None, None), "refused": line(2, None, None)}
    assert compute(expression, **metrics) == [5, 0, 0, None, None]


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("STDDEV(m)", "the function STDDEV is not supported here"),
        ("avg(m)", "the function avg is not supported"),
        ("IF(AVG(m) > 1, m, 100)", r"IF\(a scalar, a time series, a scalar\) is not a form"),
        ("ABS(-1)", r"ABS\(a scalar\) is not a form"),
        ("m + other", "no metric and no expression has the id 'other'"),
        ("m +", "the end is not expected there"),
        ("m ? 1", "'\\?' is not understood"),
        ("(m", "the end is not expected"),
        ("e + 1", "depend on each other in a circle"),
        ("FILL(m)", r"FILL\(a time series\) is not a form"),
        ('m + "x"', "within METRICS"),
        ("[m, 1]", "an array holds time series only"),
        ("PERIOD(m + 1)", "PERIOD takes the id of one metric"),
    ],
)
def test_what_metric_math_does_not_take_is_refused_by_name(expression: str, said: str) -> None:
    with pytest.raises(MathError, match=said):
        Plan({"m": 60}, {"e": expression})


def test_the_kind_of_every_result_is_known_before_there_is_data() -> None:
    plan = Plan({"m": 60}, {"s": "AVG(m)", "e": "m - s", "a": "METRICS() * 2"})
    assert plan.kinds == {"m": Kind.SERIES, "s": Kind.SCALAR, "e": Kind.SERIES, "a": Kind.ARRAY}


VALUE = st.none() | st.floats(-1e300, 1e300)


@given(
    st.lists(VALUE, min_size=5, max_size=5),
    st.lists(VALUE, min_size=5, max_size=5),
    st.sampled_from(
        ["m / n", "m ^ n", "m * n", "RATE(m) / DIFF(n)", "IF(m > n, m / n, 1)", "m / AVG(n)", "SUM([m, n])"]
    ),
)
def test_no_data_can_break_an_expression_or_give_what_is_no_number(
    one: Sequence[float | None], other: Sequence[float | None], expression: str
) -> None:
    values = compute(expression, m=line(*one), n=line(*other))
    assert all(value is None or math.isfinite(value) for value in values)


# Composite alarms ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "holds", "children"),
    [
        ('ALARM("a") OR ALARM("b")', True, ["a", "b"]),
        ("ALARM(a) AND ALARM(b)", False, ["a", "b"]),
        ("ALARM(a) AND NOT ALARM(b)", True, ["a", "b"]),
        ('OK("b") AND INSUFFICIENT_DATA("c")', True, ["b", "c"]),
        ("NOT (ALARM(a) OR OK(a)) OR FALSE", False, ["a"]),
        ("FALSE AND FALSE OR TRUE", True, []),
        ('ALARM("arn:aws:cloudwatch:eu-west-1:123456789012:alarm:a")', True, ["a"]),
        ('ALARM("shop blue (errors)") OR ALARM(a)', True, ["shop blue (errors)", "a"]),
    ],
)
def test_a_rule_asks_the_states_of_its_alarms(text: str, holds: bool, children: list[str]) -> None:
    parsed = AlarmRule(text)
    assert parsed.holds({"a": ALARM, "b": OK, "c": NONE}) is holds
    assert parsed.children == children


@pytest.mark.parametrize("text", ["", "ALARM(a) ALARM(b)", "ALARM()", "ALARM(a", "(TRUE", "a AND b", "TRUE OR", "XOR"])
def test_what_is_no_rule_is_refused(text: str) -> None:
    with pytest.raises(RuleError):
        AlarmRule(text)


def test_a_rule_has_at_most_100_alarms_and_10240_characters() -> None:
    AlarmRule(" OR ".join(f"ALARM(a{number})" for number in range(100)))
    with pytest.raises(RuleError, match="more than 100 alarms"):
        AlarmRule(" OR ".join(f"ALARM(a{number})" for number in range(101)))
    with pytest.raises(RuleError, match="longer than 10240"):
        AlarmRule(" OR ".join(["ALARM(a)"] * 1000))


@pytest.mark.parametrize(
    ("changes", "firing", "acts"),
    [
        ([2], (9, 9), [4]),
        ([2], (3, 99), []),
        ([2, 3], (99, 99), [5]),
        ([2], (0, 99), []),
        ([2], (3, 6), [9]),
        ([2, 7], (3, 6), [9]),
    ],
    ids=["example 1", "example 2", "example 3", "example 4", "example 5", "example 6"],
)
def test_the_examples_of_the_guide_on_suppression_hold(
    changes: list[int], firing: tuple[int, int], acts: list[int]
) -> None:
    """In its time units: the waiting period is 2, the extension 3; ``firing`` is when the suppressor is in alarm."""
    suppression, acted = Suppression(), []
    for now in range(12):
        suppression, act = suppress(
            suppression, now=now, changed=now in changes, firing=firing[0] <= now < firing[1], wait=2, extension=3
        )
        acted += [now] if act else []
    assert acted == acts


def test_a_suppressor_that_ends_gives_nothing_to_say_when_nothing_happened() -> None:
    suppression, acted = Suppression(), []
    for now in range(12):
        suppression, act = suppress(suppression, now=now, changed=False, firing=2 <= now < 5, wait=2, extension=3)
        acted.append((suppression.by, act))
    assert (
        acted == [(None, False)] * 2 + [("Alarm", False)] * 3 + [("ExtensionPeriod", False)] * 3 + [(None, False)] * 4
    )


# The clock ----------------------------------------------------------------------------------------------------------


def test_a_faster_clock_goes_on_from_where_it_was_and_both_ways_fit() -> None:
    real = SimpleNamespace(now=1000.0)
    clock = Clock(lambda: real.now)
    real.now = 1010
    clock.scale = 10
    real.now = 1016
    assert clock.now() == 1070
    assert clock.until(1120) == 5
    assert clock.real(clock.of(1234.5)) == pytest.approx(1234.5)
    clock.scale = 1
    real.now = 1017
    assert clock.now() == 1071


@pytest.mark.parametrize("body", [b"", b"{}", b'{"scale": 0.5}', b'{"scale": 61}', b"10", b'{"scale": "NaN"}'])
def test_a_scale_out_of_range_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="with s from 1 to 60"):
        parse_scale(body)


# Late data ----------------------------------------------------------------------------------------------------------


def test_what_is_late_is_seen_when_it_is_due_and_not_before(monkeypatch: pytest.MonkeyPatch) -> None:
    real = SimpleNamespace(now=660.0)
    monkeypatch.setattr(CloudWatch, "clock", Clock(lambda: real.now))
    backend = CloudWatch("eu-west-1", "123456789012")
    for due, value in ((0.0, 1), (700.0, 2), (760.0, 4)):
        backend.record("tests", [{"MetricName": "late", "Value": value}], 600, due)
    seen = []
    for real.now in (660.0, 699.0, 700.0, 759.0, 760.0):
        backend.evaluate()
        seen.append(backend.statistics(("tests", "late", frozenset()), "Sum", [600], 60)[600])
    assert seen == [1, 1, 3, 3, 7]


@pytest.mark.parametrize("text", ["-1", "301", "soon", "nan", ""])
def test_a_lateness_out_of_range_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="the lateness of metrics is 0 to 300 seconds"):
        parse_lateness(text)


# The API, and requests through Envoy --------------------------------------------------------------------------------

SCALE = 20


def scale(number: float) -> object:
    url = f"http://{NET}.0.251:14566/_hueshift/alarm-time"
    with urllib.request.urlopen(
        urllib.request.Request(url, json.dumps({"scale": number}).encode(), method="PUT")
    ) as answer:
        return json.load(answer)


@pytest.mark.slow
@pytest.mark.usefixtures("cloud")
def test_how_late_metrics_are_can_be_set_while_it_runs() -> None:
    url = f"http://{NET}.0.251:14566/_hueshift"
    for seconds in (90.0, 0.0):
        put = urllib.request.Request(f"{url}/metric-lateness", str(seconds).encode(), method="PUT")
        with urllib.request.urlopen(put) as answer:
            assert json.load(answer) == {"metricLateness": seconds}
        with urllib.request.urlopen(f"{url}/health") as answer:
            assert json.load(answer)["metricLateness"] == seconds


def put_alarm(cloudwatch: Any, name: str, **more: Any) -> None:  # noqa: ANN401
    given = {
        "AlarmName": name,
        "Namespace": "tests",
        "MetricName": name,
        "Statistic": "Sum",
        "Period": 60,
        "EvaluationPeriods": 1,
        "ComparisonOperator": "GreaterThanThreshold",
        "Threshold": 0.5,
        **more,
    }
    cloudwatch.put_metric_alarm(**{key: value for key, value in given.items() if value is not None})


def on_expression(expression: str, **stats: dict[str, Any]) -> dict[str, Any]:
    """Return what of put_alarm makes it an alarm on an expression over metrics of the namespace ``tests``."""
    queries: list[dict[str, Any]] = [
        {"Id": name, "ReturnData": False, "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Sum"}}
        for name, metric in stats.items()
    ]
    queries.append({"Id": "e", "Expression": expression, "ReturnData": True})
    return {"Metrics": queries, **dict.fromkeys(("Namespace", "MetricName", "Statistic", "Period"))}


def describe(cloudwatch: Any, name: str) -> dict[str, Any]:  # noqa: ANN401
    answer = cloudwatch.describe_alarms(AlarmNames=[name], AlarmTypes=["MetricAlarm", "CompositeAlarm"])
    found: dict[str, Any] = [*answer["MetricAlarms"], *answer["CompositeAlarms"]][0]
    return found


@pytest.mark.slow
@pytest.mark.usefixtures("cloud")
def test_a_new_alarm_has_too_little_data_and_a_changed_one_keeps_its_state() -> None:
    cloudwatch = client("cloudwatch")
    put_alarm(cloudwatch, "kept", TreatMissingData="ignore")
    new = describe(cloudwatch, "kept")
    assert (new["StateValue"], new["StateReason"]) == ("INSUFFICIENT_DATA", "Unchecked: Initial alarm creation")
    cloudwatch.set_alarm_state(AlarmName="kept", StateValue="ALARM", StateReason="seen")
    at = describe(cloudwatch, "kept")["StateTransitionedTimestamp"]
    put_alarm(cloudwatch, "kept", TreatMissingData="ignore", Threshold=2)
    kept = describe(cloudwatch, "kept")
    assert (kept["StateValue"], kept["StateReason"], kept["Threshold"]) == ("ALARM", "seen", 2)
    assert kept["StateTransitionedTimestamp"] == kept["StateUpdatedTimestamp"] == at
    history = cloudwatch.describe_alarm_history(AlarmName="kept", HistoryItemType="StateUpdate")["AlarmHistoryItems"]
    assert [one["HistorySummary"] for one in history] == ["Alarm updated from INSUFFICIENT_DATA to ALARM"]
    cloudwatch.delete_alarms(AlarmNames=["kept"])


@pytest.mark.slow
@pytest.mark.usefixtures("cloud")
def test_what_would_not_be_evaluated_is_refused_when_it_is_put() -> None:
    cloudwatch = client("cloudwatch")
    metric = {"Namespace": "tests", "MetricName": "m"}
    refusals: list[tuple[str, dict[str, Any]]] = [
        ("the function STDDEV is not supported", on_expression("m - STDDEV(m)", m=metric)),
        ("An alarm watches a time series, and e is a scalar", on_expression("AVG(m)", m=metric)),
        ("The statistic tm90 is not supported|value tm90", {"Statistic": None, "ExtendedStatistic": "tm90"}),
        ("Exactly one of Statistic and ExtendedStatistic", {"ExtendedStatistic": "p95"}),
        ("GreaterThanUpperThreshold is not evaluated", {"ComparisonOperator": "GreaterThanUpperThreshold"}),
        ("DatapointsToAlarm must be less", {"DatapointsToAlarm": 2}),
        ("Period must be", {"Period": 45}),
        ("WarmUpConfiguration is not supported", {"WarmUpConfiguration": {}}),
    ]
    for said, more in refusals:
        with pytest.raises(ClientError, match=said):
            put_alarm(cloudwatch, "refused", **more)
    assert cloudwatch.describe_alarms(AlarmNames=["refused"])["MetricAlarms"] == []
    with pytest.raises(ClientError, match=r"as alarms \[nowhere\] in the alarm rule do not exist"):
        cloudwatch.put_composite_alarm(AlarmName="refused", AlarmRule="ALARM(nowhere)")
    with pytest.raises(ClientError, match="not understood"):
        cloudwatch.put_composite_alarm(AlarmName="refused", AlarmRule="WRONG")
    with pytest.raises(ClientError, match="actions suppressor do not exist"):
        cloudwatch.put_composite_alarm(AlarmName="refused", AlarmRule="TRUE", ActionsSuppressor="nowhere")
    with pytest.raises(urllib.error.HTTPError, match="400"):
        scale(0)


@pytest.mark.slow
@pytest.mark.usefixtures("cloud")
def test_a_composite_alarm_is_kept_whole_and_its_child_is_not_deleted_before_it() -> None:
    cloudwatch = client("cloudwatch")
    put_alarm(cloudwatch, "child")
    given = {
        "AlarmName": "parent",
        "AlarmRule": 'ALARM("child")',
        "AlarmDescription": "of a child",
        "ActionsEnabled": False,
        "AlarmActions": ["arn:aws:sns:eu-west-1:123456789012:a"],
        "OKActions": ["arn:aws:sns:eu-west-1:123456789012:b"],
        "InsufficientDataActions": [],
        "ActionsSuppressor": "child",
        "ActionsSuppressorWaitPeriod": 60,
        "ActionsSuppressorExtensionPeriod": 120,
    }
    cloudwatch.put_composite_alarm(**given, Tags=[{"Key": "severity", "Value": "critical"}])
    parent = describe(cloudwatch, "parent")
    assert {key: parent[key] for key in given} == given
    tags = cloudwatch.list_tags_for_resource(ResourceARN=parent["AlarmArn"])["Tags"]
    assert tags == [{"Key": "severity", "Value": "critical"}]
    assert cloudwatch.describe_alarms(AlarmNames=["parent"])["CompositeAlarms"] == [], "AlarmTypes was not asked for"
    parents = cloudwatch.describe_alarms(ParentsOfAlarmName="child")["CompositeAlarms"]
    assert [one["AlarmName"] for one in parents] == ["parent"]
    with pytest.raises(ClientError, match=r"Cannot delete child as there are composite alarm\(s\) depending on it"):
        cloudwatch.delete_alarms(AlarmNames=["child"])
    cloudwatch.delete_alarms(AlarmNames=["parent"])
    cloudwatch.delete_alarms(AlarmNames=["child"])


@pytest.mark.slow
@pytest.mark.usefixtures("cloud")
def test_percentiles_and_expressions_are_answered_to_whoever_asks_for_data() -> None:
    cloudwatch = client("cloudwatch")
    now = datetime.now(UTC)
    span = {"StartTime": now - timedelta(minutes=5), "EndTime": now + timedelta(minutes=5)}
    data = {"MetricName": "asked", "Values": [1.0, 2.0, 3.0], "Counts": [90, 9, 1], "Timestamp": now}
    cloudwatch.put_metric_data(Namespace="tests", MetricData=[data])
    metric = {"Namespace": "tests", "MetricName": "asked"}
    answer = cloudwatch.get_metric_statistics(**metric, **span, Period=60, ExtendedStatistics=["p95", "p99.5"])
    assert [point["ExtendedStatistics"] for point in answer["Datapoints"]] == [{"p95": 2.0, "p99.5": 3.0}]
    queries: list[dict[str, Any]] = [
        {"Id": "m", "ReturnData": False, "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Sum"}},
        {"Id": "e", "Expression": "m / 111"},
    ]
    (result,) = cloudwatch.get_metric_data(**span, MetricDataQueries=queries)["MetricDataResults"]
    assert (result["Id"], result["Values"]) == ("e", [1.0])
    assert abs(result["Timestamps"][0] - now) < timedelta(minutes=1, seconds=1)


class Queue:
    """What is subscribed to a topic, with all that it was told."""

    def __init__(self, name: str) -> None:
        self._sqs = client("sqs")
        self._url = self._sqs.create_queue(QueueName=name)["QueueUrl"].replace("127.0.0.1", f"{NET}.0.251")
        sns = client("sns")
        self.topic = sns.create_topic(Name=name)["TopicArn"]
        attributes = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=["QueueArn"])
        sns.subscribe(TopicArn=self.topic, Protocol="sqs", Endpoint=attributes["Attributes"]["QueueArn"])
        self._told: list[dict[str, Any]] = []

    def told(self) -> list[dict[str, Any]]:
        for one in self._sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10).get("Messages", []):
            self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=one["ReceiptHandle"])
            envelope = json.loads(one["Body"])
            self._told.append({**json.loads(envelope["Message"]), "Subject": envelope["Subject"]})
        return self._told

    def states(self) -> list[tuple[str, str]]:
        return [(one["OldStateValue"], one["NewStateValue"]) for one in self.told()]


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_failing_requests_raise_the_alarm_good_ones_end_it_and_a_suppressor_mutes_the_action_not_the_state(
    world: World,
) -> None:
    cloudwatch = client("cloudwatch")
    blue = world.group(world.backend("blue"))
    balancer = world.balancer()
    listener = world.listener(balancer, fixed())
    listener.rule(forward({blue: 1}), paths_like("/*"))
    world.healthy(blue)
    dimensions = [
        {"Name": "TargetGroup", "Value": blue.split(":")[-1]},
        {"Name": "LoadBalancer", "Value": balancer.split("loadbalancer/")[1]},
    ]

    def metric(name: str) -> dict[str, Any]:
        return {"Namespace": "AWS/ApplicationELB", "MetricName": name, "Dimensions": dimensions}

    own, whole = Queue("own"), Queue("whole")
    put_alarm(
        cloudwatch,
        "errors",
        **on_expression(
            "IF(requests >= 20, 100 * (FILL(failed, 0) + FILL(refused, 0)) / requests, 0)",
            failed=metric("HTTPCode_Target_5XX_Count"),
            refused=metric("TargetConnectionErrorCount"),
            requests=metric("RequestCount"),
        ),
        Threshold=5,
        EvaluationPeriods=3,
        DatapointsToAlarm=2,
        TreatMissingData="notBreaching",
        AlarmActions=[own.topic],
        OKActions=[own.topic],
        AlarmDescription="too many fail",
    )
    put_alarm(
        cloudwatch,
        "few-hosts",
        MetricName="HealthyHostCount",
        Namespace="AWS/ApplicationELB",
        Dimensions=dimensions,
        Statistic="Minimum",
        ComparisonOperator="LessThanThreshold",
        Threshold=1,
    )
    put_alarm(cloudwatch, "flip", TreatMissingData="ignore")
    cloudwatch.put_composite_alarm(
        AlarmName="color",
        AlarmRule='ALARM("errors") OR ALARM("few-hosts")',
        AlarmActions=[whole.topic],
        OKActions=[whole.topic],
        ActionsSuppressor="flip",
        ActionsSuppressorWaitPeriod=30,
        ActionsSuppressorExtensionPeriod=30,
    )
    assert describe(cloudwatch, "color")["StateValue"] == "INSUFFICIENT_DATA"
    status, ended = ["200"], threading.Event()

    def load() -> None:
        connection = listener.connect()
        while not ended.is_set():
            fetch(connection, f"/status/{status[0]}")
            time.sleep(0.03)

    def becomes(name: str, state: str) -> None:
        until(lambda: describe(cloudwatch, name)["StateValue"] == state, 30)

    world.ends.append(lambda: scale(1))
    assert scale(SCALE) == {"scale": SCALE}
    sender = threading.Thread(target=load, daemon=True)
    sender.start()
    world.made += [sender.join, ended.set]
    becomes("few-hosts", "OK")
    becomes("errors", "OK")
    until(lambda: whole.states() == [("INSUFFICIENT_DATA", "OK")], 20)

    status[0] = "503"
    becomes("errors", "ALARM")
    until(lambda: ("OK", "ALARM") in own.states())
    said = own.told()[-1]
    assert (said["AlarmName"], said["NewStateValue"], said["AlarmDescription"]) == ("errors", "ALARM", "too many fail")
    assert said["Subject"] == 'ALARM: "errors" in EU (Ireland)'
    assert "2 out of the last 3 datapoints [100.0" in said["NewStateReason"]
    assert said["NewStateReason"] == describe(cloudwatch, "errors")["StateReason"]
    assert [query["Id"] for query in said["Trigger"]["Metrics"]] == ["failed", "refused", "requests", "e"]
    until(lambda: whole.states()[-1] == ("OK", "ALARM"), 20)
    assert whole.told()[-1]["TriggeringChildren"][0]["Arn"].endswith(":alarm:errors")

    status[0] = "200"
    becomes("errors", "OK")
    until(lambda: own.states()[-1] == ("ALARM", "OK"))
    until(lambda: whole.states()[-1] == ("ALARM", "OK"), 20)

    before = len(whole.told())
    cloudwatch.set_alarm_state(AlarmName="flip", StateValue="ALARM", StateReason="a flip is under way")
    status[0] = "503"
    becomes("color", "ALARM")
    until(lambda: own.states()[-1] == ("OK", "ALARM"))
    color = describe(cloudwatch, "color")
    assert color["ActionsSuppressedBy"] == "Alarm"
    assert color["StateTransitionedTimestamp"] == color["StateUpdatedTimestamp"]
    time.sleep(2 * 30 / SCALE)
    assert len(whole.told()) == before
    cloudwatch.set_alarm_state(AlarmName="flip", StateValue="OK", StateReason="it is over")
    until(lambda: describe(cloudwatch, "color")["ActionsSuppressedBy"] == "ExtensionPeriod")
    until(lambda: whole.states()[before:] == [("OK", "ALARM")], 20)
    cloudwatch.delete_alarms(AlarmNames=["color", "errors", "few-hosts", "flip"])
