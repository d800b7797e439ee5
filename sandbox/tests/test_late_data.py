"""What the alarms make of counts that come late and in parts: CloudWatch's own evaluation over minutes of requests."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import pytest

from components.observe.alert_catalog import (
    CANARY_ERRORS,
    CANARY_MINUTES,
    ERRORS,
    LATE,
    LOAD_BALANCER_ERRORS,
    MOVING,
    TRAFFIC,
    TRAFFIC_DROP,
    Alert,
    Comparison,
)
from components.observe.cloudwatch import WAIT
from sandbox.aws import series
from sandbox.aws.alarms import EXTRA, Rule, State, judge
from sandbox.aws.metric_math import Plan
from sandbox.aws.metrics import arrivals

Minutes = Sequence[Mapping[str, float]]
"""Of each minute the counts, by the names that an alert gives its metrics."""

OPERATORS = {
    Comparison.ABOVE: "GreaterThanThreshold",
    Comparison.AT_LEAST: "GreaterThanOrEqualToThreshold",
    Comparison.BELOW: "LessThanThreshold",
}
BEGIN = 6_000_000
"""A moment at which a minute and five minutes begin."""
STEP = 15
"""Seconds between two looks at the alarm: what arrived in part is seen in part."""
USUAL = 30
"""Minutes after which an alarm knows what is usual, and something happens."""
LATENESS = pytest.mark.parametrize("lateness", [0, 60, 120, 180], ids="{} s late".format)


def ringing(alert: Alert, minutes: Minutes, lateness: float) -> list[float]:
    """Return when the alarm was on, in minutes after ``USUAL``; nothing before it counts."""
    how = alert.cloudwatch
    assert how is not None
    rule = Rule(
        comparison=OPERATORS[alert.comparison],
        threshold=alert.threshold,
        periods=how.periods,
        datapoints=how.datapoints,
        missing=how.missing,  # type: ignore[arg-type]
    )
    math = {
        name: text % {"total": "FILL(blue, 0) + FILL(green, 0)", "blue": "FILL(blue, 0)"}
        for name, text in how.math.items()
    }
    plan, store, coming = Plan(dict.fromkeys(how.metrics, how.period), math), series.Store(), []
    for number, counts in enumerate(minutes):
        at = float(BEGIN + 60 * number)
        minute = [{"MetricName": name, "Dimensions": [], "Value": count} for name, count in counts.items() if count]
        coming += [(due, at, part) for due, part in arrivals(minute, at, lateness)]
    coming.sort(key=lambda one: one[0])
    found, state, seen = [], State.INSUFFICIENT_DATA, (-1, -1)
    for seconds in range(0, 60 * len(minutes), STEP):
        now = BEGIN + seconds
        while coming and coming[0][0] <= now:
            _, at, part = coming.pop(0)
            store.put(("", part["MetricName"], frozenset()), series.point(at, {part["Value"]: 1}))
        if seen != (store.version, now // 60):
            seen = (store.version, now // 60)
            grid = list(series.windows(now // 60 * 60, how.period, how.periods + EXTRA))
            given = {name: sums(store, name, grid, how.period) for name in how.metrics}
            compared = plan.compute(given, grid)[list(how.math)[-1]]
            assert isinstance(compared, dict)
            state = judge([compared.get(start) for start in grid], rule) or state
        if state is State.ALARM and seconds >= 60 * USUAL:
            found.append(seconds / 60 - USUAL)
    return found


def sums(store: series.Store, name: str, grid: Sequence[float], period: int) -> dict[float, float]:
    found = {
        start: series.value(store.between(("", name, frozenset()), start, start + period), "Sum") for start in grid
    }
    return {start: value for start, value in found.items() if value is not None}


def then(before: Mapping[str, float], *after: Mapping[str, float], minutes: int = 45) -> Minutes:
    """Add usual minutes, then one minute of each, the last until the end."""
    return [before] * USUAL + [*after, *[after[-1]] * (minutes - len(after))]


# Steady traffic


def gaps(rang: Sequence[float]) -> list[float]:
    """Return when the alarm came on again after it had been off."""
    return [now for before, now in pairwise(rang) if now - before > STEP / 60]


STEADY: dict[str, tuple[Alert, Mapping[str, float]]] = {
    "drop: both colors": (TRAFFIC_DROP, {"blue": 300, "green": 300}),
    "drop: one color": (TRAFFIC_DROP, {"blue": 600}),
    "drop: few requests": (TRAFFIC_DROP, {"blue": 21}),
    "moving: both colors": (MOVING, {"blue": 300, "green": 300}),
    "moving: a canary": (MOVING, {"blue": 540, "green": 60}),
    "moving: few requests": (MOVING, {"blue": 5, "green": 5}),
    "moving: one color": (MOVING, {"green": 600}),
    "traffic": (TRAFFIC, {"blue": 2}),
    "errors: 3 %": (ERRORS, {"requests": 1000, "failed": 20, "refused": 10}),
    "canary errors: 0.5 %": (CANARY_ERRORS, {"requests": 1000, "failed": 5}),
    "load balancer: 3 %": (LOAD_BALANCER_ERRORS, {"requests": 1000, "failed": 30}),
}


@LATENESS
@pytest.mark.parametrize("name", STEADY)
def test_steady_traffic_rings_no_alarm_however_late_it_is_told(name: str, lateness: float) -> None:
    alert, counts = STEADY[name]
    assert ringing(alert, then(counts, counts), lateness) == []


@LATENESS
def test_a_request_every_five_minutes_is_traffic_however_late_it_is_told(lateness: float) -> None:
    minutes = [{"blue": float(number % 5 == 0)} for number in range(100)]
    assert ringing(TRAFFIC, minutes, lateness) == []


# Real trouble


@LATENESS
@pytest.mark.parametrize("left", [0, 0.4])
@pytest.mark.parametrize("first", [0, 0.5], ids="{} of the first minute".format)
def test_a_drop_rings_within_twelve_minutes_whenever_it_begins(left: float, first: float, lateness: float) -> None:
    """``first`` is the part of its first minute before it."""
    mixed = first + (1 - first) * left
    minutes = then(
        {"blue": 500, "green": 100},
        {"blue": round(500 * mixed), "green": round(100 * mixed)},
        {"blue": round(500 * left), "green": round(100 * left)},
    )
    rang = ringing(TRAFFIC_DROP, minutes, lateness)
    assert rang
    assert 5 < rang[0] <= 12
    assert rang[-1] < 30, "what is left has become the usual"


@LATENESS
def test_a_drop_to_three_fifths_and_a_rise_ring_nothing(lateness: float) -> None:
    for after in (360, 6000):
        assert ringing(TRAFFIC_DROP, then({"blue": 600}, {"blue": after}), lateness) == []


@LATENESS
def test_no_traffic_at_all_rings_after_five_minutes_and_those_that_may_be_late(lateness: float) -> None:
    rang = ringing(TRAFFIC, then({"blue": 600}, {}), lateness)
    assert rang[0] == 5 + LATE
    assert rang[-1] > 44


MOVES = {
    "flip": [{"blue": 600.0}, {"green": 600.0}],
    "flip within a minute": [{"blue": 600.0}, {"blue": 400.0, "green": 200.0}, {"green": 600.0}],
    "canary step": [{"blue": 6000.0}, {"blue": 5400.0, "green": 600.0}],
    "flip of a quiet service": [{"blue": 9.0}, {"green": 9.0}],
}


@LATENESS
@pytest.mark.parametrize("name", MOVES)
def test_a_move_is_told_once_the_minutes_are_whole_and_for_a_few(name: str, lateness: float) -> None:
    rang = ringing(MOVING, then(*MOVES[name]), lateness)
    assert rang
    assert 1 + LATE <= rang[0] < 2 + LATE
    assert 2 <= rang[-1] - rang[0] < 6


@LATENESS
def test_a_move_is_told_before_the_errors_that_come_of_it(lateness: float) -> None:
    moved = ringing(MOVING, then({"blue": 600}, {"green": 600}), lateness)
    failed = ringing(ERRORS, then({}, {"requests": 600, "failed": 600}), lateness)
    assert moved[0] <= failed[0] + WAIT / 60


@LATENESS
def test_errors_ring_within_five_minutes_and_those_that_they_are_late(lateness: float) -> None:
    rang = ringing(ERRORS, then({"requests": 100}, {"requests": 100, "failed": 10}), lateness)
    assert 4 <= rang[0] <= 5 + lateness / 60
    assert lateness > 120 or not gaps(rang)


@LATENESS
def test_an_outage_behind_the_load_balancer_rings_and_ends_however_late_it_is_told(lateness: float) -> None:
    good, outage = {"requests": 600.0}, {"failed": 600.0}
    rang = ringing(LOAD_BALANCER_ERRORS, then(good, *[outage] * 20, good), lateness)
    assert 4 <= rang[0] <= 5 + lateness / 60
    assert 20 < rang[-1] <= 25 + lateness / 60
    assert not gaps(rang)


@LATENESS
@pytest.mark.parametrize("requests", [20, 100, 1000])
def test_a_canary_is_judged_from_twenty_requests_a_minute_on(requests: float, lateness: float) -> None:
    """And that of a quiet service after some minutes more, unless it is late, too."""
    bad = {"requests": requests, "failed": requests / 10}
    rang = ringing(CANARY_ERRORS, then({}, bad), lateness)
    assert rang
    assert rang[0] <= 100 / requests + 1 + lateness / 60


@LATENESS
def test_a_canary_that_fails_no_more_is_forgotten_in_the_minutes_over_which_it_is_judged(lateness: float) -> None:
    minutes = then({"requests": 500}, {"requests": 500, "failed": 100}, {"requests": 500})
    assert ringing(CANARY_ERRORS, minutes, lateness)[-1] <= CANARY_MINUTES + 1


@LATENESS
def test_a_canary_with_fewer_is_not_judged(lateness: float) -> None:
    assert ringing(CANARY_ERRORS, then({}, {"requests": 9, "failed": 9}), lateness) == []
