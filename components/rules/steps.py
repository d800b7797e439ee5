"""How a service is released: its steps, what judges them, and when none may be taken; pure, read from plain data."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from components.rules import Problem, shown, unknown_key


@dataclass(frozen=True, kw_only=True)
class Gate:
    """A question of the user's own that a step must pass: a Prometheus query, or a command with its exit status."""

    name: str
    query: str | None = None
    """PromQL; ``$color`` stands for the new color."""
    below: float | None = None
    above: float | None = None
    """What the query's value must be, at least one of the two."""
    command: tuple[str, ...] = ()
    """Exit status 0 is good, 1 is bad, any other says nothing."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """What the new color is asked at its test host, whatever the weights: a path, or a command with ``$URL``."""

    path: str | None = None
    status: int = 200
    within: float | None = None
    """Seconds that the answer may take."""
    contains: str | None = None
    """Text that the body must hold."""
    command: tuple[str, ...] = ()
    """Exit status 0 is good, 1 is bad, any other says nothing."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """A share of the traffic for the new color, and for how long it is watched there."""

    weight: int
    """Percent."""
    bake: int
    """Seconds."""
    approval: bool = False
    """Whether a person must agree before the next step."""
    gates: tuple[Gate, ...] = ()
    """Besides those of the strategy."""


@dataclass(frozen=True, kw_only=True)
class Strategy:
    """The way of a new version to all of the traffic."""

    steps: tuple[Step, ...]
    """Weights rise; the last is 100."""
    smoke: tuple[Check, ...] = ()
    gates: tuple[Gate, ...] = ()
    limit: float | None = 1.0
    """Percent of bad requests that must not go unseen where both colors have traffic; None to compare nothing."""
    patience: int = 600
    """Seconds that a step waits for what is unknown or missing before the release is undone."""


class StrategyError(ValueError):
    """All that is wrong with a strategy or with freezes, by key."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(f"{key}: {reason}" for key, reason in problems))
        self.problems = tuple(problems)


MOST_STEPS: Final = 20
_DEFAULT: Final = {True: (10, 50, 100), False: (100,)}
"""Weights without configuration, in production and elsewhere."""
_UNITS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}


def seconds(value: object) -> float | None:
    """Return a duration, written as seconds or as ``500ms``, ``90s``, ``30m`` or ``24h``; None for anything else."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) if 0 <= value < 1e9 else None
    if isinstance(value, str) and (match := re.fullmatch(r"(\d{1,9})(ms|s|m|h)", value, re.ASCII)):
        return int(match[1]) * _UNITS[match[2]]
    return None


def strategy(
    data: Mapping[str, object], *, bake: int, least_bake: int, production: bool, health_path: str | None
) -> Strategy:
    """Return the strategy that a service's settings describe; empty ``data`` gives a safe one.

    ``health_path`` is what the new color is asked where nothing else is said; None for what cannot be asked by GET.
    ``bake`` is ``timing.bake``; ``least_bake`` are the seconds that what judges a step needs to see it.

    Raises ``StrategyError`` with all problems.
    """
    read = _Reader()
    read.known("", data, ("steps", "smoke", "gates", "compare", "patience"))
    listed = read.items("steps", data.get("steps", list(_DEFAULT[production])))
    steps = [read.step(f"steps[{place}]", step, bake, least_bake) for place, step in enumerate(listed)]
    if not steps or steps[-1].weight < 100:
        steps.append(Step(weight=100, bake=bake))
    weights = [step.weight for step in steps]
    if weights != sorted(set(weights)) and not read.problems:
        read.refuse("steps", f"weights must rise; got {', '.join(map(str, weights))}")
    if len(steps) > MOST_STEPS:
        read.refuse("steps", f"{len(steps)} steps; allowed are {MOST_STEPS}")
    smoke = read.items("smoke", data.get("smoke", [{"path": health_path}] if health_path else []))
    compare = data.get("compare", {})
    limit: float | None = Strategy.limit
    if compare is False:
        limit = None
    elif isinstance(compare, Mapping):
        read.known("compare", compare, ("limit",))
        limit = read.number("compare.limit", compare.get("limit", limit), least=0.1, most=100)
    else:
        read.refuse("compare", f"must be false or a mapping with limit; got {shown(compare)}")
    found = Strategy(
        steps=tuple(steps),
        smoke=tuple(read.check(f"smoke[{place}]", check) for place, check in enumerate(smoke)),
        gates=read.gates("gates", data.get("gates", [])),
        limit=limit,
        patience=int(read.duration("patience", data.get("patience", Strategy.patience), least=60)),
    )
    read.judge()
    return found


class _Reader:
    """Takes plain data apart and collects what is wrong with it."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def refuse(self, key: str, reason: str) -> None:
        self.problems.append(Problem(key, reason))

    def judge(self) -> None:
        if self.problems:
            raise StrategyError(self.problems)

    def known(self, key: str, data: Mapping[str, object], allowed: Sequence[str]) -> None:
        for name in sorted(map(str, data.keys() - set(allowed))):
            self.refuse(f"{key}.{name}".removeprefix("."), unknown_key(name, allowed))

    def items(self, key: str, value: object) -> Sequence[object]:
        if isinstance(value, list | tuple):
            return value
        self.refuse(key, f"must be a list; got {shown(value)}")
        return []

    def mapping(self, key: str, value: object, allowed: Sequence[str]) -> Mapping[str, object]:
        if not isinstance(value, Mapping):
            self.refuse(key, f"must be a mapping; got {shown(value)}")
            return {}
        self.known(key, value, allowed)
        return value

    def duration(self, key: str, value: object, *, least: float = 0) -> float:
        found = seconds(value)
        if found is None:
            self.refuse(key, f"must be seconds, or such as 90s, 30m or 24h; got {shown(value)}")
        elif found < least:
            self.refuse(key, f"{value} is too short; raise it to {least:.0f}s")
        return found or 0

    def number(self, key: str, value: object, *, least: float, most: float) -> float:
        if isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most:
            return value
        self.refuse(key, f"must be a number from {least:g} to {most:g}; got {shown(value)}")
        return least

    def text(self, key: str, value: object) -> str | None:
        if value is None or (isinstance(value, str) and value):
            return value
        self.refuse(key, f"must be text in quotes; got {shown(value)}")
        return None

    def command(self, key: str, value: object) -> tuple[str, ...]:
        words = self.items(key, value)
        if not all(isinstance(word, str) for word in words):
            self.refuse(key, "must be a list of texts: the program and its arguments")
        return tuple(str(word) for word in words)

    def step(self, key: str, value: object, bake: int, least_bake: int) -> Step:
        if isinstance(value, int) and not isinstance(value, bool):
            value = {"weight": value}
        if isinstance(value, Mapping) and "shadow" in value:
            self.refuse(f"{key}.shadow", "is no step of a release; set shadow.percent of the service before it")
            return Step(weight=1, bake=bake)
        data = self.mapping(key, value, ("weight", "bake", "approval", "gates"))
        weight, approval = data.get("weight"), data.get("approval", False)
        if not isinstance(weight, int) or isinstance(weight, bool) or not 1 <= weight <= 100:
            self.refuse(f"{key}.weight", f"must be a whole percentage from 1 to 100; got {shown(weight)}")
            weight = 1
        if not isinstance(approval, bool):
            self.refuse(f"{key}.approval", f"must be true or false; got {shown(approval)}")
        return Step(
            weight=weight,
            bake=int(self.duration(f"{key}.bake", data["bake"], least=least_bake)) if "bake" in data else bake,
            approval=approval is True,
            gates=self.gates(f"{key}.gates", data.get("gates", [])),
        )

    def gates(self, key: str, value: object) -> tuple[Gate, ...]:
        return tuple(self.gate(f"{key}[{place}]", gate) for place, gate in enumerate(self.items(key, value)))

    def gate(self, key: str, value: object) -> Gate:
        data = self.mapping(key, value, ("name", "query", "below", "above", "command"))
        bounds = {
            name: self.number(f"{key}.{name}", data[name], least=-1e15, most=1e15)
            for name in ("below", "above")
            if name in data
        }
        query, command = self.text(f"{key}.query", data.get("query")), data.get("command", [])
        if bool(query) == bool(command) or bool(query) != bool(bounds):
            self.refuse(key, "must have a query with below or above, or a command")
        if (name := self.text(f"{key}.name", data.get("name"))) is None:
            self.refuse(f"{key}.name", "is required: what the gate is called when it refuses")
        return Gate(name=name or "", query=query, command=self.command(f"{key}.command", command), **bounds)

    def check(self, key: str, value: object) -> Check:
        data = self.mapping(key, value, ("path", "status", "within", "contains", "command"))
        path, command = self.text(f"{key}.path", data.get("path")), data.get("command", [])
        if bool(path) == bool(command) or (command and len(data) > 1) or (path and not path.startswith("/")):
            self.refuse(key, "must have a path, which begins with /, or a command alone")
        return Check(
            path=path,
            status=int(self.number(f"{key}.status", data.get("status", 200), least=100, most=599)),
            within=self.duration(f"{key}.within", data["within"], least=0.001) if "within" in data else None,
            contains=self.text(f"{key}.contains", data.get("contains")),
            command=self.command(f"{key}.command", command),
        )


# Freezes

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_YEAR: Final = 366 * 86_400
_LATE: Final = datetime(2200, 1, 1, tzinfo=UTC).timestamp()
"""When all freezes with dates are over."""


class Freeze(NamedTuple):
    """Hours of some days in which no release goes forward; they end on the next day if they end before they begin."""

    days: Collection[int] = range(7)
    """0 is Monday."""
    first: date = date.min
    last: date = date.max
    """The last day that it begins on."""
    begins: time = time.min
    ends: time = time.min
    """Midnight is the end of the day."""


class Freezes(NamedTuple):
    """The freezes of a stack by the clock of one place. They hold what goes forward, never a way back."""

    zone: ZoneInfo
    windows: Sequence[Freeze]

    def until(self, now: float) -> float | None:
        """Return when a release may go on, in seconds since 1970, if it may not now; windows that touch are one."""
        end = now
        while (
            later := max((last for first, last in self._around(end, end) if first <= end < last), default=None)
        ) is not None:
            end = later
            if end > now + _YEAR:
                break
        return end if end > now else None

    def next(self, now: float, end: float) -> float | None:
        """Return when the first freeze after ``now`` begins, if that is before ``end``."""
        return min((first for first, _ in self._around(now, end) if now < first < end), default=None)

    def local(self, at: float) -> datetime:
        """Return a time as the clock of the place shows it."""
        return datetime.fromtimestamp(at, self.zone)

    def _around(self, now: float, end: float) -> Iterator[tuple[float, float]]:
        day, last = self.local(now).date() - timedelta(days=1), self.local(end).date()
        while day <= last:
            for window in self.windows:
                if day.weekday() in window.days and window.first <= day <= window.last:
                    over = day + timedelta(days=window.ends <= window.begins)
                    # An hour that a clock change skips or repeats is frozen whole.
                    yield min(self._instants(day, window.begins)), max(self._instants(over, window.ends))
            day += timedelta(days=1)

    def _instants(self, day: date, at: time) -> tuple[float, float]:
        wall = datetime.combine(day, at, self.zone)
        return wall.timestamp(), wall.replace(fold=1).timestamp()


def freezes(data: Sequence[object], *, zone: str = "UTC") -> Freezes:
    """Return what ``releases.freeze`` describes: mappings with ``days``, ``dates`` (both included), ``from``, ``to``.

    Raises ``StrategyError`` with all problems.
    """
    read = _Reader()
    try:
        place = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        read.refuse("zone", f"{shown(zone)} is no time zone; allowed is such as Europe/Berlin")
        place = ZoneInfo("UTC")
    found = Freezes(place, [_freeze(read, f"freeze[{n}]", item) for n, item in enumerate(data)])
    if (end := found.until(_LATE)) is not None and end >= _LATE + _YEAR:
        read.refuse("freeze", "never ends: no release could be made; leave some hours of the week open")
    read.judge()
    return found


def _freeze(read: _Reader, key: str, value: object) -> Freeze:
    data = read.mapping(key, value, ("days", "dates", "from", "to"))
    if not data:
        read.refuse(key, "must have days, dates, from or to")
    days = [str(day) for day in read.items(f"{key}.days", data.get("days", DAYS))]
    if wrong := sorted(set(days) - set(DAYS)):
        read.refuse(f"{key}.days", f"{', '.join(map(shown, wrong))}: no day; allowed are {', '.join(DAYS)}")
    dates = [_day(item) for item in read.items(f"{key}.dates", data.get("dates", [date.min, date.max]))]
    match dates:
        case [date() as first, date() as last] if first <= last:
            pass
        case _:
            read.refuse(f"{key}.dates", "must be the first and the last day, such as [2026-12-19, 2027-01-06]")
            first, last = date.min, date.max
    times = []
    for name in ("from", "to"):
        given = data.get(name, "00:00")
        if isinstance(given, str) and re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", given, re.ASCII):
            times.append(time.fromisoformat(given))
        else:
            read.refuse(f"{key}.{name}", f'must be an hour in quotes, such as "15:00"; got {shown(given)}')
            times.append(time.min)
    return Freeze([DAYS.index(day) for day in days if day in DAYS], first, last, *times)


def _day(value: object) -> date | None:
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        return None
