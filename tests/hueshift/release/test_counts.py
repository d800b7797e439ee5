"""What Prometheus and CloudWatch count, as the judge reads it."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlparse

import pytest

from components.model import Color
from hueshift.release.counts import CloudWatchCounts, Prometheus, SignalError, Tick, lately, scrapes, usual
from hueshift.release.judge import Scrape
from hueshift.traffic.balancer import Rule

BLUE, GREEN = Color.BLUE, Color.GREEN
BEGAN = 1_800_000_000
STEP = 5


class Answers(BaseHTTPRequestHandler):
    """A Prometheus that answers what a test has put there, by a part of the query."""

    said: ClassVar[dict[str, Any]] = {}
    asked: ClassVar[list[dict[str, list[str]]]] = []

    def do_GET(self) -> None:
        parameters = parse_qs(urlparse(self.path).query)
        self.asked.append(parameters)
        query = parameters["query"][0]
        result: Any = next((answer for part, answer in self.said.items() if part in query), [])
        status = 400 if result is None else 200
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps({"status": "success", "data": {"result": result}}).encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def prometheus() -> Iterator[Prometheus]:
    Answers.said, Answers.asked = {}, []
    server = HTTPServer(("127.0.0.1", 0), Answers)
    Thread(target=server.serve_forever, daemon=True).start()
    yield Prometheus(f"http://127.0.0.1:{server.server_port}", "staging")
    server.shutdown()
    server.server_close()


def series(color: str, instance: str, values: Mapping[int, float]) -> dict[str, Any]:
    return {
        "metric": {"color": color, "instance": instance},
        "values": [[BEGAN + at, str(value)] for at, value in values.items()],
    }


def test_the_newest_minute_is_said_in_rates_and_shares() -> None:
    old = Tick(BEGAN, {BLUE: 9_000_000}, {BLUE: 9_000_000}, {})
    ticks = [old, *(Tick(BEGAN + 60 + at, {BLUE: 500, GREEN: 100}, {GREEN: 5}, {BLUE: 25}) for at in range(0, 60, 5))]
    assert lately(ticks, 0.25) == ("blue 100/s (0.0% fail, 5.0% over 0.25 s), green 20/s (5.0% fail, 0.0% over 0.25 s)")
    assert lately([Tick(BEGAN, {BLUE: 60}, {}, {})], None) == "blue 1/s (0.0% fail), green 0/s"


def test_rises_are_counted_by_instance_through_restarts_gaps_and_first_failures(prometheus: Prometheus) -> None:
    Answers.said = {
        'up{service="shop"': [{"metric": {}, "value": [BEGAN, "24"]}],
        'status=~"5.."': [series("green", "b", {10: 4, 15: 6})],
        "http_requests_total": [
            series("blue", "a", {-5: 1000, 0: 1100, 5: 1200, 10: 50, 15: 150}),
            series("green", "b", {5: 10, 15: 40}),
        ],
    }
    found = prometheus.ticks("shop", since=BEGAN, now=BEGAN + 15, slow=None)
    assert [tick.at - BEGAN for tick in found] == [0, 5, 10, 15]
    assert [dict(tick.requests) for tick in found] == [
        {BLUE: 100},
        {BLUE: 100, GREEN: 10},
        {BLUE: 50},
        {BLUE: 100, GREEN: 30},
    ]
    assert [dict(tick.failed) for tick in found] == [{}, {}, {GREEN: 4}, {GREEN: 2}]
    asked = [each for each in Answers.asked if "step" in each]
    assert {each["step"][0] for each in asked} == {"5.000"}
    assert {each["start"][0] for each in asked} == {f"{BEGAN - STEP}.000"}


def test_slow_is_what_the_histogram_has_beyond_the_bound_however_that_is_written(prometheus: Prometheus) -> None:
    Answers.said = {
        "up{": [{"metric": {}, "value": [BEGAN, "24"]}],
        "_bucket": [series("blue", "a", {-5: 0, 0: 95})],
        "_count": [series("blue", "a", {-5: 0, 0: 100})],
        "http_requests_total": [series("blue", "a", {-5: 0, 0: 100})],
    }
    (tick,) = prometheus.ticks("shop", since=BEGAN, now=BEGAN, slow=1)
    assert dict(tick.slow) == {BLUE: 5}
    (query,) = [each["query"][0] for each in Answers.asked if "_bucket" in each["query"][0]]
    assert 'le=~"1|1\\\\.0"' in query


def test_the_bound_is_the_least_in_which_95_percent_were_answered(prometheus: Prometheus) -> None:
    Answers.said = {
        "_bucket": [
            {"metric": {"le": le}, "value": [BEGAN, count]}
            for le, count in (("0.1", "50"), ("0.25", "95"), ("0.5", "99"), ("+Inf", "100"))
        ]
    }
    assert prometheus.bound("shop", BLUE) == 0.25
    Answers.said["_bucket"][0]["value"][1] = "99"
    assert prometheus.bound("shop", BLUE) == 0.1
    Answers.said["_bucket"].insert(0, {"metric": {"le": "0.005"}, "value": [BEGAN, "98"]})
    assert prometheus.bound("shop", BLUE) == 0.1, "what comes within a tenth of a second is slow to nobody"
    Answers.said = {}
    assert prometheus.bound("shop", BLUE) is None


def test_what_prometheus_refuses_or_does_not_answer_is_said(prometheus: Prometheus) -> None:
    Answers.said = {"sum(": None}
    with pytest.raises(SignalError, match=r"Prometheus refused sum\(: 400"):
        prometheus.vector("sum(")
    with pytest.raises(SignalError, match=r"Prometheus at http://127\.0\.0\.1:9 gives no answer"):
        Prometheus("http://127.0.0.1:9", "staging").vector("up")


def test_a_counter_of_the_pods_and_the_mean_answer_are_told_by_color(prometheus: Prometheus) -> None:
    Answers.said = {
        "up{": [{"metric": {}, "value": [BEGAN, "24"]}],
        "orders_total{": [series("blue", "a", {-5: 10, 0: 12}), series("green", "b", {0: 3})],
        "duration_seconds_sum": [series("blue", "a", {-5: 1, 0: 5}), series("green", "b", {0: 3})],
        "duration_seconds_count": [series("blue", "a", {-5: 0, 0: 100}), series("green", "b", {0: 50})],
    }
    events = prometheus.events("shop", "orders_total", since=BEGAN, now=BEGAN)
    assert {at: dict(by_color) for at, by_color in events.items()} == {BEGAN: {BLUE: 2, GREEN: 3}}
    assert dict(prometheus.seconds("shop", since=BEGAN, now=BEGAN)) == {BLUE: 0.04, GREEN: 0.06}
    asked = [each["query"][0] for each in Answers.asked if "orders_total" in each["query"][0]]
    assert asked == ['sum by (color, instance) (orders_total{service="shop",environment="staging"})']


def test_a_bound_is_as_it_was_at_a_time(prometheus: Prometheus) -> None:
    prometheus.bound("shop", BLUE, BEGAN)
    assert Answers.asked[-1]["time"] == [f"{BEGAN}.000"]


class Metrics:
    """CloudWatch, which has data of the first two minutes on two pages."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def get_metric_data(self, **given: Any) -> dict[str, Any]:  # noqa: ANN401
        self.asked.append(given)
        at = [datetime.fromtimestamp(BEGAN + minute * 60, UTC) for minute in (0, 1)]
        if "NextToken" not in given:
            results = [{"Id": "blue0", "Timestamps": at, "Values": [90.0, 180.0]}]
            return {"MetricDataResults": results, "NextToken": "more"}
        results = [
            {"Id": "green0", "Timestamps": at[1:], "Values": [20.0]},
            {"Id": "green1", "Timestamps": at[1:], "Values": [3.0]},
            {"Id": "green2", "Timestamps": at[1:], "Values": [1.0]},
        ]
        return {"MetricDataResults": results}


def test_cloudwatch_counts_whole_minutes_that_are_not_late_by_target_group() -> None:
    client = Metrics()
    arn = "arn:aws:elasticloadbalancing:eu-west-1:1:"
    rule = Rule(
        service="shop",
        arn=f"{arn}listener-rule/app/edge-alb/50dc/f2f7/9683",
        actions=[],
        groups={f"{arn}targetgroup/shop-{color}/{number}": color for number, color in enumerate(Color)},
    )
    found = CloudWatchCounts(client, {"shop": rule}, "staging").ticks(
        "shop", since=BEGAN + 20, now=BEGAN + 250, slow=None
    )
    assert [tick.at - BEGAN for tick in found] == [60, 120]
    assert (found[1].requests[GREEN], found[1].failed[GREEN]) == (20, 4)
    assert (found[0].requests, found[0].failed) == ({BLUE: 90, GREEN: 0}, {BLUE: 0, GREEN: 0})
    metric = client.asked[0]["MetricDataQueries"][0]["MetricStat"]["Metric"]
    assert metric["Dimensions"] == [
        {"Name": "LoadBalancer", "Value": "app/edge-alb/50dc"},
        {"Name": "TargetGroup", "Value": "targetgroup/shop-blue/0"},
    ]
    assert (
        CloudWatchCounts(client, {"shop": rule}, "staging").ticks("shop", since=BEGAN, now=BEGAN + 90, slow=None) == []
    )


def test_the_judge_reads_old_and_new_and_the_plan_the_old_colors_usual() -> None:
    ticks = [Tick(BEGAN + at, {BLUE: 500, GREEN: 50}, {BLUE: 1}, {GREEN: 7}) for at in (0, 5, 10)]
    assert scrapes(ticks[:1], BLUE, slow=False) == [Scrape(500, 1, 50, 0)]
    assert scrapes(ticks[:1], BLUE, slow=True) == [Scrape(500, 0, 50, 7)]
    assert usual(ticks, BLUE)[:2] == (100, 0.002)
    assert usual([], BLUE).rate == 0
    quiet = [Tick(BEGAN + 900 + at, {BLUE: 5}, {}, {}) for at in range(0, 301, STEP)]
    assert usual([*ticks, *quiet], BLUE).rate == 1, "what came a quarter of an hour ago"


RULE = Rule(
    service="shop",
    arn="arn:aws:elasticloadbalancing:eu-west-1:1:listener-rule/app/edge-alb/50dc/f2f7/9683",
    actions=[],
    groups={f"arn:aws:elasticloadbalancing:eu-west-1:1:targetgroup/shop-{color}/0": color for color in Color},
)


def test_a_metric_of_cloudwatch_is_asked_by_environment_service_and_color() -> None:
    client = Metrics()
    counts = CloudWatchCounts(client, {"shop": RULE}, "staging")
    found = counts.events("shop", "Acme/Shop/Orders", since=BEGAN, now=BEGAN + 250)
    assert found == {BEGAN + 60: {BLUE: 90, GREEN: 0}, BEGAN + 120: {BLUE: 180, GREEN: 20}}
    metric = client.asked[0]["MetricDataQueries"][1]["MetricStat"]["Metric"]
    assert (metric["Namespace"], metric["MetricName"]) == ("Acme/Shop", "Orders")
    assert {each["Name"]: each["Value"] for each in metric["Dimensions"]} == {
        "environment": "staging",
        "service": "shop",
        "color": "green",
    }


def test_cloudwatch_tells_the_mean_answer() -> None:
    counts = CloudWatchCounts(Metrics(), {"shop": RULE}, "staging")
    assert counts.seconds("shop", since=BEGAN, now=BEGAN + 250) == {GREEN: 20 / 3}


@pytest.mark.parametrize(("days", "period"), [(14, 60), (16, 300)])
def test_cloudwatch_is_asked_by_the_minute_while_it_keeps_minutes(days: int, period: int) -> None:
    client = Metrics()
    counts = CloudWatchCounts(client, {"shop": RULE}, "staging")
    ticks = counts.ticks("shop", since=BEGAN, now=BEGAN + days * 86_400, slow=None)
    assert client.asked[0]["MetricDataQueries"][0]["MetricStat"]["Period"] == period
    assert ticks[1].at - ticks[0].at == period
