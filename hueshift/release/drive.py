"""What a release does next: a pure function of its record and of what is seen, so that anybody can go on with it.

All memory is in the record and in the metric store. A driver reads both, does the one thing that ``decide`` says, and
looks again; who is killed anywhere is followed by the next who reads the record. Two rules carry safety. What goes
forward, weights or the trust of the stack file, is sent only right after its intent was written by compare and set,
within ``SEND`` seconds of the look that it was decided on. And a record is closed only by a look made when nothing of
that can land any more, ``LANDED`` seconds after the last intent. Who owns the record is a courtesy.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, Literal

from components.model import Color, split
from components.rules.steps import Check, Gate, Step, Strategy

FORMAT: Final = 1
SEND: Final = 5
"""Seconds after a look began in which what it led to may be sent forward, by the driver's own steady clock."""
LANDED: Final = 30
"""Seconds after an intent when what it was for has landed or never will. A call has 7 seconds (connect 2, read 5), the
commit of the stack file must be given up after 20, and the clock of S3 is cut by 1. That AWS carries out no call later
is assumed."""
MOST_EVENTS: Final = 200


class Phase(StrEnum):
    """Where a release is; the last two are closed."""

    TRYING = "trying"
    """The new color is made ready; nothing has moved."""
    MOVING = "moving"
    """The calls to the step may be under way."""
    BAKING = "baking"
    """The step is live and watched."""
    SETTLING = "settling"
    """All steps are passed; the stack file is to say so."""
    UNDOING = "undoing"
    PROMOTED = "promoted"
    UNDONE = "undone"

    @property
    def closed(self) -> bool:
        """Whether nothing is left to do."""
        return self in (Phase.PROMOTED, Phase.UNDONE)


class Asked(StrEnum):
    """What a person wants of whoever drives; the last word counts, but an abort is never taken back."""

    PROMOTE = "promote"
    """Agree to the next step, and end a pause."""
    FULL = "full"
    """Skip what is left of this bake, its evidence and approval, and all steps but the last, which bakes as ever."""
    PAUSE = "pause"
    ABORT = "abort"


class Hold(StrEnum):
    """Why a release does not go on that could otherwise."""

    TROUBLE = "trouble"
    """The new color is bad and the old no better: neither way helps, and a person must look."""
    PAUSE = "pause"
    DATA = "data"
    """Something that must be known is not."""
    FREEZE = "freeze"
    APPROVAL = "approval"
    ROOM = "room"
    """The new color has too few pods for what it would get."""

    @property
    def calls(self) -> bool:
        """Whether a person must be told."""
        return self in (Hold.TROUBLE, Hold.APPROVAL)

    @property
    def ends(self) -> bool:
        """Whether the strategy's patience limits it."""
        return self in (Hold.DATA, Hold.ROOM)


@dataclass(frozen=True, kw_only=True)
class Held:
    """A hold and since when, in seconds since 1970."""

    kind: Hold
    since: float


@dataclass(frozen=True, kw_only=True)
class Event:
    """A line of the audit log."""

    at: float
    what: str
    by: str


@dataclass(frozen=True, kw_only=True)
class Record:
    """One release of one unit, as it is kept. Times are seconds since 1970 by the clock of the store."""

    id: int
    unit: str
    services: tuple[str, ...]
    old: Color
    """The color that the stack file trusts."""
    new: Color
    versions: Mapping[str, tuple[str, str]]
    """By service: of the old color and of the new."""
    images: Mapping[str, str]
    """By service: what the new color runs, by digest."""
    strategies: Mapping[str, Strategy]
    """By service, as they were at the start; their steps are alike."""
    steps: tuple[Step, ...]
    """Those of the strategies, less what a person skips; the last is 100 percent."""
    pods: Mapping[str, int]
    """By service: how many carry all of its traffic, the healthy targets of the old color at the start."""
    slow: Mapping[str, float] = field(default_factory=dict)
    """By service: the seconds in which 95 % of the old color's requests were answered at the start."""
    rules: Mapping[str, str] = field(default_factory=dict)
    """By service: the ARN of its production rule."""
    commit: str | None = None
    forced: str | None = None
    """The reason of a person who released in a freeze, or what was refused before."""
    phase: Phase = Phase.TRYING
    step: int = 0
    """The step that is or goes live, from 1; 0 before the first."""
    since: float
    """When the phase began."""
    intent: float = 0
    """When something was last sent forward."""
    owner: str
    asked: Asked | None = None
    held: Held | None = None
    rejected: str | None = None
    """Why the release was undone, if what it ran was judged bad."""
    events: tuple[Event, ...] = ()

    def __post_init__(self) -> None:
        last = len(self.steps)
        least = {Phase.MOVING: 1, Phase.BAKING: 1, Phase.SETTLING: last, Phase.PROMOTED: last}.get(self.phase, 0)
        if not self.steps or self.steps[-1].weight != 100 or not least <= self.step <= last:
            raise ValueError(f"step {self.step} of {last} cannot be {self.phase}, or the last is not 100 %")

    @property
    def weight(self) -> int:
        """Percent that the new color has at the step."""
        return self.steps[self.step - 1].weight if self.step else 0

    @property
    def before(self) -> int:
        """Percent that it had before."""
        return self.steps[self.step - 2].weight if self.step > 1 else 0

    @property
    def last(self) -> bool:
        """Whether no step is left."""
        return self.step == len(self.steps)

    @property
    def bakes_until(self) -> float:
        """When the step has been watched long enough."""
        return self.since + (self.steps[self.step - 1].bake if self.phase is Phase.BAKING else 0)

    @property
    def patience(self) -> int:
        """Seconds that it waits for what it needs."""
        return min(strategy.patience for strategy in self.strategies.values())


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What one gate says now of the new color."""

    gate: str
    state: Literal["good", "bad", "alike", "unknown"]
    """``alike``: both colors are in the same trouble."""
    why: str
    needs: float | None = None
    """Of an unknown one: how many requests are still missing; None if it is no matter of requests."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """The world as a driver sees it in one turn."""

    me: str
    now: float
    """By the clock of the store, taken before the record and all else were read."""
    live: Mapping[str, Mapping[Color, int]] | None
    """Percent by service, as the load balancer shares the requests, and by each of its routes, ``<service> route 1``;
    None if it could not be read."""
    healthy: Mapping[str, Mapping[Color, int]]
    """Healthy targets by service; without those that could not be read."""
    prepared: bool = True
    """Whether the new color runs what the record names and, before the first step, the guard is armed."""
    settled: Color | None = None
    """What the stack file trusts, once the guard is disarmed and none of its executions runs; None before."""
    verdicts: Sequence[Verdict] = ()
    frozen_until: float | None = None


@dataclass(frozen=True, kw_only=True)
class Write:
    """Put the record by compare and set; if somebody else was faster, look again."""

    record: Record
    calls: bool = False
    """Whether to tell people what the last event says."""


@dataclass(frozen=True, kw_only=True)
class Forward:
    """Put the record by compare and set, then send these weights within ``SEND`` seconds of the look, or not at all."""

    record: Record
    weights: Mapping[str, Mapping[Color, int]]


@dataclass(frozen=True, kw_only=True)
class Back:
    """Send these weights at once, whatever the record's store says."""

    weights: Mapping[str, Mapping[Color, int]]


@dataclass(frozen=True, kw_only=True)
class Prepare:
    """Bring the new color to what the record names, with its pods, and arm the guard."""


@dataclass(frozen=True, kw_only=True)
class Settle:
    """Put the record by compare and set, disarm the guard, and, once none of its executions runs, trust the color.

    That is written into the stack file, and committed, within ``LANDED`` seconds of the look, or given up.
    """

    record: Record
    color: Color


@dataclass(frozen=True, kw_only=True)
class Wait:
    """Look again later."""

    why: str
    until: float | None = None
    """When it goes on if nothing happens, where that is known."""


@dataclass(frozen=True, kw_only=True)
class Done:
    """Nothing is left to do for this driver."""

    why: str


Action = Write | Forward | Back | Prepare | Settle | Wait | Done


def decide(record: Record, seen: Seen) -> Action:
    """Return the one thing to do now."""
    if record.phase.closed:
        return Done(why=f"release {record.id} of {record.unit} is {record.phase}")
    if record.owner != seen.me:
        return Done(why=f"{record.owner} drives release {record.id} of {record.unit}")
    calm = seen.now > record.intent + LANDED
    lands = Wait(why="waits until no call can land any more", until=record.intent + LANDED + 1)
    if record.phase is Phase.UNDOING:
        if not _all_at(record, seen, 0):
            dead = _dead(record, seen)
            return _held(record, seen, Hold.TROUBLE, dead) if dead else Back(weights=_weights(record, 0))
        if seen.settled is not record.old:
            return Settle(record=record, color=record.old)
        return _to(record, seen, Phase.UNDONE, "undone", calls=True) if calm else lands
    for verdict in seen.verdicts:
        if verdict.state == "bad":
            return _back(record, seen, f"{verdict.gate}: {verdict.why}", rejected=True)
    if (why := _ended(record, seen, calm=calm)) is not None:
        return _back(record, seen, why)
    if seen.live is None:
        return Wait(why="the load balancer could not be read")
    if record.phase is Phase.TRYING and not seen.prepared:
        return Prepare()
    if record.phase is Phase.MOVING:
        if _all_at(record, seen, record.weight):
            return _to(record, seen, Phase.BAKING, f"{record.weight} % live")
        if record.step == 1:
            return lands
    if record.phase is Phase.SETTLING:
        if seen.settled is not record.new:
            return Settle(record=replace(record, intent=seen.now), color=record.new)
        return _to(record, seen, Phase.PROMOTED, "promoted", calls=True) if calm else lands
    return _onward(record, seen)


def _ended(record: Record, seen: Seen, *, calm: bool) -> str | None:
    """Why the release ends here, though nothing speaks against what it runs."""
    if record.asked is Asked.ABORT:
        return "aborted"
    if record.phase is not Phase.TRYING and not seen.prepared:
        return f"another hand gave {record.new} something else to run"
    if seen.live is None:
        return None
    weights = {record.weight, record.before} if record.phase is Phase.MOVING else {record.weight}
    for service in record.services:
        for name, live in (_rules(seen, service) or {service: {}}).items():
            if not any(dict(live) == split(record.old, weight) for weight in weights):
                shares = ", ".join(f"{color} {share}" for color, share in live.items())
                return f"moved by another hand: {name} has {shares or 'no weights'}"
    if record.phase is Phase.MOVING and record.step == 1 and calm and not _all_at(record, seen, record.weight):
        # Of the first step a lost call and a person's way back look the same: what was taken back must not rise again.
        return f"the call to {record.weight} % was lost, or somebody took the traffic back"
    return None


def _onward(record: Record, seen: Seen) -> Action:
    """Return the next step, or what it waits for; a step that did not arrive everywhere is sent again."""
    moving, full = record.phase is Phase.MOVING, record.asked is Asked.FULL
    steps = (*record.steps[: record.step], record.steps[-1]) if full and not record.last else record.steps
    after = replace(record, steps=steps, intent=seen.now, held=None)
    if not moving:
        step = min(record.step + 1, len(steps))
        after = replace(after, phase=Phase.MOVING, step=step, since=seen.now, asked=None)
    bakes = record.phase is Phase.BAKING and not full and seen.now < record.bakes_until
    if (hold := _hold(record, seen, after, bakes=bakes)) is not None:
        return _held(record, seen, *hold)
    if bakes:
        wait = Wait(why=f"{record.weight} % bakes", until=record.bakes_until)
        return wait if record.held is None else Write(record=replace(record, held=None))
    if record.last and not moving:
        return _to(record, seen, Phase.SETTLING, f"{record.weight} % passed")
    return Forward(record=_noted(after, seen, f"to {after.weight} %"), weights=_weights(record, after.weight))


def _hold(record: Record, seen: Seen, after: Record, *, bakes: bool) -> tuple[Hold, str] | None:
    """Return what keeps the release from continuing, apart from time; None for nothing."""
    if alike := [f"{verdict.gate}: {verdict.why}" for verdict in seen.verdicts if verdict.state == "alike"]:
        return Hold.TROUBLE, f"both colors are in trouble: {'; '.join(alike)}"
    if record.asked is Asked.PAUSE:
        return Hold.PAUSE, "paused; `hueshift promote` goes on"
    baked = record.phase is Phase.BAKING and not bakes and record.asked is not Asked.FULL
    unknown = [v for v in seen.verdicts if v.state == "unknown" and (v.needs is None or baked)]
    if unknown:
        return Hold.DATA, "; ".join(f"{verdict.gate}: {verdict.why}" for verdict in unknown)
    if baked and record.steps[record.step - 1].approval and record.asked is not Asked.PROMOTE:
        return Hold.APPROVAL, f"`hueshift promote` agrees to what follows {record.weight} %"
    if bakes or (record.phase is Phase.BAKING and record.last):
        return None
    if seen.frozen_until is not None and record.forced is None:
        return Hold.FREEZE, f"frozen until {stamp(seen.frozen_until)}"
    short = []
    for service in record.services:
        has, needed = seen.healthy.get(service, {}).get(record.new, 0), room(record, seen, service, after.weight)
        if has < needed:
            short.append(f"{service}: {record.new} has {has} healthy targets and needs {needed} for {after.weight} %")
    return (Hold.ROOM, "; ".join(short)) if short else None


def room(record: Record, seen: Seen, service: str, weight: int) -> int:
    """Return how many healthy targets the new color needs to carry ``weight`` percent of a service's traffic.

    Its share of what carried all of it: what the old color had at the start, or has now if that is more.
    """
    pods = max(record.pods.get(service, 1), seen.healthy.get(service, {}).get(record.old, 0))
    return max(1, -(-pods * weight // 100))


def undoing(record: Record, *, by: str, now: float, why: str, rejected: bool = False) -> Record:
    """Return the record of a release that goes back, driven by ``by`` from here; even a promoted one can.

    ``rejected`` says that ``why`` speaks against what it runs.
    """
    after = replace(record, phase=Phase.UNDOING, since=now, owner=by, held=None)
    if rejected:
        after = replace(after, rejected=why)
    return noted(after, by=by, now=now, what=f"going back: {why}")


def asking(record: Record, what: Asked, *, by: str, now: float) -> Record:
    """Return the record with a person's request, for whoever drives it.

    Raises ``ValueError`` if there is nothing that it could change.
    """
    release = f"release {record.id} of {record.unit}"
    if record.phase.closed or record.phase is Phase.UNDOING:
        raise ValueError(f"{release} is {record.phase}; there is nothing to {what}")
    if record.asked is Asked.ABORT:
        raise ValueError(f"{release} is asked to abort, and that is not taken back")
    asked: Asked | None = what
    if what is Asked.PROMOTE and not (record.held and record.held.kind is Hold.APPROVAL):
        # A word too many must not agree to a step that nobody has seen.
        if record.asked is not Asked.PAUSE:
            raise ValueError(f"{release} waits for nobody's approval now; `hueshift status` says when it will")
        asked = None
    return noted(replace(record, asked=asked), by=by, now=now, what=f"asked to {what}")


def noted(record: Record, *, by: str, now: float, what: str) -> Record:
    """Return the record with one more event."""
    return replace(record, events=(*record.events, Event(at=now, what=what, by=by))[-MOST_EVENTS:])


def _noted(record: Record, seen: Seen, what: str) -> Record:
    return noted(record, by=seen.me, now=seen.now, what=what)


def _to(record: Record, seen: Seen, phase: Phase, what: str, *, calls: bool = False) -> Write:
    after = replace(record, phase=phase, since=seen.now, held=None)
    return Write(record=_noted(after, seen, what), calls=calls)


def _back(record: Record, seen: Seen, why: str, *, rejected: bool = False) -> Action:
    """Return the rollback, unless the old color has nobody to serve the traffic."""
    if not _all_at(record, seen, 0) and (dead := _dead(record, seen)):
        return _held(record, seen, Hold.TROUBLE, f"{why}; but {dead}")
    return Write(record=undoing(record, by=seen.me, now=seen.now, why=why, rejected=rejected))


def _held(record: Record, seen: Seen, kind: Hold, why: str) -> Action:
    """Wait, with why and since when in the record, and not for ever for what patience limits."""
    if not record.held or record.held.kind is not kind:
        held = replace(record, held=Held(kind=kind, since=seen.now))
        return Write(record=_noted(held, seen, f"waits ({kind}): {why}"), calls=kind.calls)
    if not kind.ends:
        return Wait(why=why, until=seen.frozen_until if kind is Hold.FREEZE else None)
    if seen.now >= (until := record.held.since + record.patience):
        return _back(record, seen, f"waited {record.patience} s: {why}")
    return Wait(why=f"{why}; goes back at {stamp(until)} if that lasts")


def _dead(record: Record, seen: Seen) -> str | None:
    """Return why a service cannot roll back: its old color cannot serve, while the new one can; None if all can."""
    for service in record.services:
        healthy = seen.healthy.get(service, {})
        if healthy.get(record.old) == 0 and healthy.get(record.new, 0) > 0:
            return f"{service}: {record.old} has no healthy target and gets no traffic"
    return None


def _weights(record: Record, weight: int) -> Mapping[str, Mapping[Color, int]]:
    return {service: split(record.old, weight) for service in record.services}


def _at(record: Record, seen: Seen, service: str, weight: int) -> bool:
    """Whether all rules of a service have what a step gives."""
    rules = _rules(seen, service)
    return bool(rules) and all(dict(shares) == split(record.old, weight) for shares in rules.values())


def _rules(seen: Seen, service: str) -> Mapping[str, Mapping[Color, int]]:
    """Return the shares of a service and those of its routes."""
    live = seen.live or {}
    return {name: live[name] for name in live if name == service or name.startswith(f"{service} route ")}


def _all_at(record: Record, seen: Seen, weight: int) -> bool:
    return all(_at(record, seen, service, weight) for service in record.services)


# The record as JSON


def stamp(at: float) -> str:
    """Return a time as people and logs write it, in UTC and whole seconds."""
    return datetime.fromtimestamp(at, UTC).strftime(_TIME)


def _time(text: str) -> float:
    return datetime.strptime(text, _TIME).replace(tzinfo=UTC).timestamp()


_TIME: Final = "%Y-%m-%dT%H:%M:%SZ"


def to_data(record: Record) -> dict[str, Any]:
    """Return the record as plain data for JSON."""
    held, events = record.held, record.events
    return {
        "format": FORMAT,
        **asdict(record),
        "since": stamp(record.since),
        "intent": stamp(record.intent),
        "held": held and {"kind": held.kind, "since": stamp(held.since)},
        "events": [{"at": stamp(event.at), "what": event.what, "by": event.by} for event in events],
    }


def from_data(data: object) -> Record:
    """Return the record that ``to_data`` wrote.

    Raises ``ValueError`` if it did not.
    """
    if not isinstance(data, Mapping) or data.get("format") != FORMAT:
        found = data.get("format") if isinstance(data, Mapping) else None
        raise ValueError(f"a record of format {found!r}, and this hueshift reads {FORMAT}; use the one that wrote it")
    try:
        fields = {key: value for key, value in data.items() if key != "format"}
        fields |= {
            "services": tuple(data["services"]),
            "old": Color(data["old"]),
            "new": Color(data["new"]),
            "versions": {service: tuple(pair) for service, pair in data["versions"].items()},
            "strategies": {service: _strategy(value) for service, value in data["strategies"].items()},
            "steps": tuple(map(_step, data["steps"])),
            "phase": Phase(data["phase"]),
            "since": _time(data["since"]),
            "intent": _time(data["intent"]),
            "asked": Asked(data["asked"]) if data["asked"] else None,
            "held": data["held"] and Held(kind=Hold(data["held"]["kind"]), since=_time(data["held"]["since"])),
            "events": tuple(Event(at=_time(e["at"]), what=e["what"], by=e["by"]) for e in data["events"]),
        }
        return Record(**fields)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"is no record of a release: {type(error).__name__} {error}") from None


def _step(data: Mapping[str, Any]) -> Step:
    return Step(**{**data, "gates": tuple(map(_gate, data["gates"]))})


def _gate(data: Mapping[str, Any]) -> Gate:
    return Gate(**{**data, "command": tuple(data["command"])})


def _check(data: Mapping[str, Any]) -> Check:
    return Check(**{**data, "command": tuple(data["command"])})


def _strategy(data: Mapping[str, Any]) -> Strategy:
    parts = {"steps": _step, "smoke": _check, "gates": _gate}
    return Strategy(**{**data, **{key: tuple(map(made, data[key])) for key, made in parts.items()}})
