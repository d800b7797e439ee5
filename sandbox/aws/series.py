"""The data points of metrics, and the statistics over them: moto keeps a list of every sample for ever."""

import math
import re
from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from operator import attrgetter

KEPT = 6 * 3600
"""Seconds that a data point is kept (CloudWatch: 15 days for those of a minute)."""

Key = tuple[str, str, frozenset[tuple[str, str]]]
"""Namespace, name and dimensions: each set of dimensions is a metric of its own."""

_PLAIN = ("SampleCount", "Average", "Sum", "Minimum", "Maximum")
_PERCENTILE = re.compile(r"p(100|\d{1,2}(?:\.\d+)?)")


@dataclass(frozen=True, slots=True)
class Point:
    """Samples that were put together, of one moment."""

    at: float
    count: float
    total: float
    low: float
    high: float
    spread: tuple[tuple[float, float], ...] = ()
    """Values with how often each was there, in ascending order; empty when only the four numbers above were put."""
    unit: str | None = None


def point(at: float, samples: Mapping[float, float], unit: str | None = None) -> Point:
    """Return the point of values with their counts; at least one."""
    spread = tuple(sorted((float(value), float(count)) for value, count in samples.items()))
    total = math.fsum(value * count for value, count in spread)
    return Point(at, sum(count for _, count in spread), total, spread[0][0], spread[-1][0], spread, unit)


@dataclass
class Store:
    """The data points of every metric; not synchronized."""

    version: int = 0
    """Another one after each change."""
    _points: dict[Key, list[Point]] = field(default_factory=dict)

    def put(self, key: Key, one: Point) -> None:
        kept = self._points.setdefault(key, [])
        insort(kept, one, key=attrgetter("at"))
        del kept[: bisect_left(kept, kept[-1].at - KEPT, key=attrgetter("at"))]
        self.version += 1

    def keys(self) -> list[Key]:
        return list(self._points)

    def between(self, key: Key, start: float, end: float, unit: str | None = None) -> list[Point]:
        """Return what was put from ``start`` until before ``end``."""
        kept = self._points.get(key, [])
        low, high = (bisect_left(kept, moment, key=attrgetter("at")) for moment in (start, end))
        return [one for one in kept[low:high] if unit is None or one.unit == unit]


def percentile(statistic: str) -> float | None:
    """Return the share that ``p95`` and the like name, 0 to 1; None for another statistic."""
    found = _PERCENTILE.fullmatch(statistic)
    return float(found[1]) / 100 if found else None


def supported(statistic: str) -> bool:
    return statistic in _PLAIN or percentile(statistic) is not None


def samples(points: Iterable[Point]) -> float:
    return sum(one.count for one in points)


def value(points: list[Point], statistic: str) -> float | None:
    """Return the statistic over all samples, None without any. Percentiles are nearest-rank."""
    share = percentile(statistic)
    if share is not None:
        return _rank(points, share)
    count = samples(points)
    if not count:
        return None
    if statistic == "Minimum":
        return min(one.low for one in points)
    if statistic == "Maximum":
        return max(one.high for one in points)
    total = math.fsum(one.total for one in points)
    return {"SampleCount": count, "Sum": total, "Average": total / count}[statistic]


def _rank(points: list[Point], share: float) -> float | None:
    """Return a percentile; None without samples, or if only statistic sets are known, as with CloudWatch."""
    if not points or any(not one.spread for one in points):
        return None
    spread: list[tuple[float, float]] = sorted(pair for one in points for pair in one.spread)
    # A whole number of samples stays one: 0.95 * 100 is 95.00000000000001 or so in binary.
    wanted = max(1, math.ceil(share * sum(count for _, count in spread) - 1e-9))
    seen = 0.0
    for sample, count in spread:
        seen += count
        if seen >= wanted:
            return sample
    return spread[-1][0]


def windows(end: float, period: int, number: int) -> Iterator[float]:
    """Return the starts of the last periods before ``end``, the oldest first."""
    return (end - index * period for index in range(number, 0, -1))
