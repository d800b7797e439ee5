"""How many requests each color answered, failed and answered slowly, by Prometheus or by CloudWatch."""

import json
import math
import urllib.error
import urllib.parse
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, Protocol

from components.model import ALARM_PERIOD, Color
from hueshift.release.judge import CLUMPING, FLOOR, Scrape, clumping
from hueshift.traffic.balancer import Rule

TIMEOUT: Final = 4
"""Seconds that Prometheus may take to answer."""
USUAL: Final = 1800
"""Seconds before a release from which the old color's usual failures are learned."""
INSTANT: Final = 0.1
"""Seconds within which an answer is slow to nobody; there the time of most answers is the machine's mood, in clumps."""
LATELY: Final = 300
"""Seconds before a release from which the old color's traffic is taken."""
MINUTE: Final = 60
"""Seconds."""
_POINTS: Final = 1000
"""Of one query; Prometheus answers 11,000 at most (its HTTP API)."""
_MINUTES_KEPT: Final = 15 * 86_400
"""Seconds for which CloudWatch keeps what it has by the minute (CloudWatch guide, metrics retention)."""
_LATE: Final = 120
"""Seconds after which a minute of CloudWatch is taken as it is; AWS documents no number."""


class SignalError(Exception):
    """What was asked cannot be told; the text says why."""


class Tick(NamedTuple):
    """What came since the tick before, by color; a color that is missing had nothing."""

    at: float
    """Its end, in seconds since 1970."""
    requests: Mapping[Color, float]
    failed: Mapping[Color, float]
    slow: Mapping[Color, float]


class Counts(Protocol):
    """Who counts a service's requests."""

    def ticks(self, service: str, *, since: float, now: float, slow: float | None) -> Sequence[Tick]:
        """Return the ticks of a time, the oldest first; ``slow`` are the seconds after which an answer is slow.

        Raises ``SignalError``, ``BotoCoreError`` or ``ClientError``.
        """

    def bound(self, service: str, color: Color) -> float | None:
        """Return the seconds, `INSTANT` at least, in which a color lately answered 95 % of its requests, if known."""


class Usual(NamedTuple):
    """How a color fares when nothing is released."""

    rate: float
    """Requests per second, lately: the next step sees that, and not what was half an hour ago."""
    failing: float
    """Part of them that fails, 0 to 1."""
    clumps: float


def usual(ticks: Sequence[Tick], color: Color) -> Usual:
    """Return how a color fared."""
    counts = [(tick.requests.get(color, 0), tick.failed.get(color, 0)) for tick in ticks]
    requests, failed = sum(count for count, _ in counts), sum(bad for _, bad in counts)
    near = [tick for tick in ticks if tick.at >= ticks[-1].at - LATELY]
    seconds = near[-1].at - near[0].at if near else 0
    rate = sum(tick.requests.get(color, 0) for tick in near[1:]) / seconds if seconds else 0.0
    return Usual(rate, max(FLOOR, failed / requests if requests else 0), clumping(counts) if counts else CLUMPING)


def lately(ticks: Sequence[Tick], slow: float | None) -> str:
    """Return in words how each color fared in the newest minute that is counted."""
    newest = [tick for tick in ticks if tick.at > ticks[-1].at - MINUTE]
    said = []
    for color in Color:
        requests, failed, late = (
            sum(counts.get(color, 0) for counts in column)
            for column in zip(*((it.requests, it.failed, it.slow) for it in newest), strict=True)
        )
        words = [f"{color} {requests / MINUTE:,.0f}/s"]
        if requests:
            words.append(f"{failed / requests:.1%} fail")
        if requests and slow is not None:
            words.append(f"{late / requests:.1%} over {slow:g} s")
        said.append(" ".join([words[0], *([f"({', '.join(words[1:])})"] if words[1:] else [])]))
    return ", ".join(said)


def scrapes(ticks: Iterable[Tick], old: Color, *, slow: bool) -> list[Scrape]:
    """Return what the judge reads, of failed or of slow requests."""
    found = []
    for tick in ticks:
        bad = tick.slow if slow else tick.failed
        new = old.other
        found.append(Scrape(tick.requests.get(old, 0), bad.get(old, 0), tick.requests.get(new, 0), bad.get(new, 0)))
    return found


class Prometheus:
    """A Prometheus that reads the pods as the PodMonitor says, with the labels service, color and environment."""

    def __init__(self, url: str, environment: str) -> None:
        self._url, self._environment = url, environment

    def vector(self, query: str, at: float | None = None) -> list[tuple[Mapping[str, str], float]]:
        """Return labels and value of each sample that a query gives at a time, or now. Raises ``SignalError``."""
        answer = self._ask("query", query=query, **({} if at is None else {"time": f"{at:.3f}"}))
        if isinstance(answer, list) and answer and not isinstance(answer[0], dict):
            return [({}, float(answer[1]))]  # a scalar: time and value
        return [(item["metric"], float(item["value"][1])) for item in answer]

    def ticks(self, service: str, *, since: float, now: float, slow: float | None) -> Sequence[Tick]:
        """Return as ``Counts`` says; counted by instance, for a counter begins anew with its process."""
        rises = self._rising(service, since, now)
        own = f'service="{service}",environment="{self._environment}"'
        requests = rises(f"http_requests_total{{{own}}}")
        failed = rises(f'http_requests_total{{{own},status=~"5.."}}')
        late: dict[float, dict[Color, float]] = {}
        if slow is not None:
            # A bound is written as the client library likes: 1 or 1.0.
            bound = f'le=~"{_escaped(f"{slow:g}")}|{_escaped(str(float(slow)))}"'
            fast = rises(f"http_request_duration_seconds_bucket{{{own},{bound}}}")
            for at, all_ in rises(f"http_request_duration_seconds_count{{{own}}}").items():
                late[at] = {color: max(0.0, n - fast.get(at, {}).get(color, 0)) for color, n in all_.items()}
        return [Tick(at, requests[at], failed.get(at, {}), late.get(at, {})) for at in sorted(requests)]

    def events(self, service: str, metric: str, *, since: float, now: float) -> Mapping[float, Mapping[Color, float]]:
        """Return by how much a counter of the pods rose until the end of each tick, by color."""
        own = f'service="{service}",environment="{self._environment}"'
        return self._rising(service, since, now)(f"{metric}{{{own}}}")

    def seconds(self, service: str, *, since: float, now: float) -> Mapping[Color, float]:
        """Return how long an answer of each color took on average, in seconds."""
        took, count = (
            _added(self.events(service, f"http_request_duration_seconds_{part}", since=since, now=now))
            for part in ("sum", "count")
        )
        return {color: took.get(color, 0.0) / answers for color, answers in count.items() if answers}

    def _rising(self, service: str, since: float, now: float) -> Callable[[str], dict[float, dict[Color, float]]]:
        """Return what asks by how much a metric rose until the end of each tick, by color."""
        step = max(self._interval(service), (now - since) / _POINTS)

        def rises(metric: str) -> dict[float, dict[Color, float]]:
            query = f"sum by (color, instance) ({metric})"
            start, end = f"{since - step:.3f}", f"{now:.3f}"
            series = self._ask("query_range", query=query, start=start, end=end, step=f"{step:.3f}")
            found: dict[float, dict[Color, float]] = defaultdict(lambda: defaultdict(float))
            for item in series:
                if (color := item["metric"].get("color")) in {*Color}:
                    for at, rise in _rises(item["values"], since - step / 2):
                        found[round(at)][Color(color)] += rise
            return found

        return rises

    def bound(self, service: str, color: Color, at: float | None = None) -> float | None:
        """Return as ``Counts`` says, or as it was at a time: a bound of the histogram."""
        own = f'service="{service}",environment="{self._environment}",color="{color}"'
        found = self.vector(f"sum by (le) (increase(http_request_duration_seconds_bucket{{{own}}}[{USUAL}s]))", at)
        buckets = sorted((float(labels.get("le", "nan")), count) for labels, count in found)
        if not buckets or not buckets[-1][1] > 0:
            return None
        bound = next(le for le, count in buckets if count >= 0.95 * buckets[-1][1] and le >= INSTANT)
        return bound if math.isfinite(bound) else None

    def _interval(self, service: str) -> float:
        """Return every how many seconds the pods are read: a step between two readings would show one color alone."""
        own = f'service="{service}",environment="{self._environment}"'
        found = self.vector(f"max(count_over_time(up{{{own}}}[2m]))")
        return 120 / found[0][1] if found and found[0][1] > 0 else 30.0

    def _ask(self, path: str, **parameters: str) -> Any:  # noqa: ANN401 - what JSON holds
        url = f"{self._url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
                return json.load(answer)["data"]["result"]
        except urllib.error.HTTPError as error:
            said = error.read(500).decode(errors="replace")
            raise SignalError(f"Prometheus refused {parameters['query']}: {error.code} {said}") from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SignalError(f"Prometheus at {self._url} gives no answer: {error}") from None


def _added(ticks: Mapping[float, Mapping[Color, float]]) -> Mapping[Color, float]:
    found: dict[Color, float] = defaultdict(float)
    for by_color in ticks.values():
        for color, count in by_color.items():
            found[color] += count
    return found


def _rises(values: Iterable[Sequence[Any]], begins: float) -> Iterable[tuple[float, float]]:
    """Yield by how much a counter rose until each time; what it had before ``begins`` is not known.

    A counter that falls has begun anew, and so has one that appears.
    """
    last: float | None = None
    for at, text in values:
        value = float(text)
        if at >= begins:
            yield at, value - last if last is not None and value >= last else value
        last = value


def _escaped(number: str) -> str:
    """Return a number for a regular expression in a PromQL text."""
    return number.replace(".", "\\\\.").replace("+", "\\\\+")


_Metric = Callable[[Rule, str, Color], Mapping[str, Any]]
"""Makes what CloudWatch calls a metric from a rule, a target group of it, and the color of that."""


class CloudWatchCounts:
    """What the load balancer counts, once a minute and minutes late; slow answers are not told apart."""

    def __init__(self, client: Any, rules: Mapping[str, Rule], environment: str) -> None:  # noqa: ANN401 - botocore's
        self._client, self._rules, self._environment = client, rules, environment

    def ticks(self, service: str, *, since: float, now: float, slow: float | None) -> Sequence[Tick]:  # noqa: ARG002
        """Return as ``Counts`` says."""
        metrics = ("RequestCount", "HTTPCode_Target_5XX_Count", "TargetConnectionErrorCount")
        period, ends, found = self._read(service, [(self._of_group(metric), "Sum") for metric in metrics], since, now)
        ticks = []
        for at in ends:
            requests, failed, refused = ({color: it.get(at, 0.0) for color, it in by.items()} for by in found)
            bad = {color: count + refused[color] for color, count in failed.items()}
            ticks.append(Tick(at + period, requests, bad, {}))
        return ticks

    def events(self, service: str, metric: str, *, since: float, now: float) -> Mapping[float, Mapping[Color, float]]:
        """Return what a metric, ``NAMESPACE/NAME``, added up to in each tick, by its end and by color.

        Its dimensions are environment, service and color.
        """
        namespace, _, name = metric.rpartition("/")

        def own(_: Rule, group: str, color: Color) -> Mapping[str, Any]:  # noqa: ARG001
            said = {"environment": self._environment, "service": service, "color": color.value}
            dimensions = [{"Name": key, "Value": value} for key, value in said.items()]
            return {"Namespace": namespace, "MetricName": name, "Dimensions": dimensions}

        period, ends, (found,) = self._read(service, [(own, "Sum")], since, now)
        return {at + period: {color: it.get(at, 0.0) for color, it in found.items()} for at in ends}

    def seconds(self, service: str, *, since: float, now: float) -> Mapping[Color, float]:
        """Return how long an answer of each color took on average, in seconds."""
        metric = self._of_group("TargetResponseTime")
        _, _, (took, count) = self._read(service, [(metric, "Sum"), (metric, "SampleCount")], since, now)
        answers = {color: sum(by.values()) for color, by in count.items()}
        return {color: sum(took[color].values()) / number for color, number in answers.items() if number}

    @staticmethod
    def _of_group(metric: str) -> _Metric:
        def of(rule: Rule, group: str, _: Color) -> Mapping[str, Any]:
            dimensions = [
                {"Name": "LoadBalancer", "Value": "/".join(rule.arn.rpartition(":")[2].split("/")[1:4])},
                {"Name": "TargetGroup", "Value": group.rpartition(":")[2]},
            ]
            return {"Namespace": "AWS/ApplicationELB", "MetricName": metric, "Dimensions": dimensions}

        return of

    def _read(
        self, service: str, asked: Sequence[tuple[_Metric, str]], since: float, now: float
    ) -> tuple[int, range, list[dict[Color, dict[float, float]]]]:
        """Return the period, the begin of each, and for each metric with its statistic the values by color and begin.

        CloudWatch keeps minutes for 15 days and five minutes for 63 (CloudWatch guide, metrics retention).
        """
        rule, period = self._rules[service], ALARM_PERIOD if now - since < _MINUTES_KEPT else 5 * ALARM_PERIOD
        queries = [
            {
                "Id": f"{color}{place}",
                "MetricStat": {"Metric": metric(rule, group, color), "Period": period, "Stat": statistic},
            }
            for group, color in rule.own.items()
            for place, (metric, statistic) in enumerate(asked)
        ]
        begin, end = (int(at // period * period) for at in (since, now - _LATE))
        values: dict[str, dict[float, float]] = defaultdict(dict)
        more: dict[str, str] = {}
        while end > begin:
            page = self._client.get_metric_data(
                MetricDataQueries=queries,
                StartTime=datetime.fromtimestamp(begin, UTC),
                EndTime=datetime.fromtimestamp(end, UTC),
                **more,
            )
            for result in page["MetricDataResults"]:
                for at, value in zip(result["Timestamps"], result["Values"], strict=True):
                    values[result["Id"]][at.timestamp()] = value
            if not page.get("NextToken"):
                break
            more = {"NextToken": page["NextToken"]}
        found = [{color: values[f"{color}{place}"] for color in rule.own.values()} for place in range(len(asked))]
        return period, range(begin, end, period), found

    def bound(self, service: str, color: Color, at: float | None = None) -> float | None:  # noqa: ARG002
        """Return None: no count of CloudWatch says how many answers were slower than a bound."""
        return None
