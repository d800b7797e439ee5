"""A small world around ``decide``: two drivers, a person's abort, the guard, another hand, crashes and lost calls.

A state is what can differ; ``steps`` yields all that may happen next. Calls land late, in any order, or never. Time is
whether a forward call can still land (``calm``): bakes are over, and what a person or the store says is asked later.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeVar

from components.model import Color, split
from components.rules.steps import Step, Strategy
from hueshift.release import drive
from hueshift.release.drive import LANDED, Action, Phase, Record, Seen, Verdict

T = TypeVar("T")
Decide = Callable[[Record, Seen], Action]

FORWARD = {10, 50, 100, Color.GREEN}
SHOP = "shop"
ABORT, GUARD = 2, 3
"""Who else sends calls, besides the drivers 0 and 1."""

PLAN = Strategy(steps=(Step(weight=100, bake=0),))
RECORD = Record(
    id=1,
    unit=SHOP,
    services=(SHOP,),
    old=Color.BLUE,
    new=Color.GREEN,
    versions={SHOP: ("1.4.0", "1.5.0")},
    images={SHOP: "shop@sha256:a94c"},
    strategies={SHOP: PLAN},
    steps=PLAN.steps,
    pods={SHOP: 4},
    since=0,
    owner="0",
)


class Kept(NamedTuple):
    """The record: what of it can differ."""

    phase: Phase
    step: int
    owner: int


class Look(NamedTuple):
    """What a driver saw, and has not acted on."""

    kept: Kept
    version: int
    live: int
    calm: bool
    settled: Color | None
    taken: bool


class State(NamedTuple):
    """Everything."""

    kept: Kept
    version: int
    live: int
    bad: bool
    drivers: tuple[str | Look | int | Color, ...]
    """Each: ``off``, ``idle``, ``over``, what it saw, or the weight or trusted color that it is about to send."""
    flying: tuple[int | Color | None, ...]
    """What each sender has sent that has not landed."""
    abort: str
    """``off``, ``sent``, ``idle`` (it drives), ``over``."""
    armed: bool
    file: Color
    taken: bool
    """Whether traffic was taken back since it last rose."""
    crashes: int
    hands: int


@dataclass(frozen=True)
class World:
    """What may happen; each switch off is a world without one of the rules, for showing what the rule is for."""

    steps: tuple[int, ...] = (10, 100)
    """Those between the first and the last are all alike."""
    aborts: bool = True
    silence: bool = True
    """Whether another takes over only when the owner is gone and silent."""
    compares: bool = True
    """Whether the intent is written by compare and set before a forward call."""
    decide: Decide = drive.decide
    known: dict[Any, tuple[str, "Kept | Color | None"]] = field(default_factory=dict)
    """What ``decide`` said already."""

    def start(self) -> State:
        """Return the release as it begins."""
        return State(
            kept=Kept(Phase.TRYING, 0, 0),
            version=0,
            live=0,
            bad=False,
            drivers=("idle", "off"),
            flying=(None,) * 4,
            abort="off" if self.aborts else "over",
            armed=True,
            file=Color.BLUE,
            taken=False,
            crashes=1,
            hands=1,
        )

    def next(self, s: State) -> Iterator[State]:
        """Yield what may happen; raises ``AssertionError`` for what must not."""
        if not s.bad:
            yield s._replace(bad=True)
        for me in range(2):
            yield from self._driver(s, me)
        for sender, weight in enumerate(s.flying):
            if weight is not None:
                lost = s._replace(flying=_put(s.flying, sender, None))
                yield lost
                if isinstance(weight, Color):
                    yield lost._replace(file=weight)
                else:
                    yield lost._replace(live=weight, taken=weight < s.live or (s.taken and weight == s.live))
        yield from self._person(s)
        if s.armed and s.bad and s.live and s.flying[GUARD] is None:
            yield s._replace(flying=_put(s.flying, GUARD, 0))
        if s.hands and s.live:  # somebody's `up --refresh`, or an emergency by hand
            yield s._replace(live=0, hands=s.hands - 1, taken=True)

    def _driver(self, s: State, me: int) -> Iterator[State]:
        at = s.drivers[me]

        def go(to: "str | Look | int", s: State = s) -> State:
            return s._replace(drivers=_put(s.drivers, me, to))

        if at in ("off", "over"):  # `hueshift resume`, a new process
            owner = s.kept.owner
            gone = s.abort == "dead" if owner == ABORT else s.drivers[owner] in ("off", "over")
            if not s.kept.phase.closed and ((gone and s.flying[owner] is None) or not self.silence):
                yield go("idle", s._replace(kept=s.kept._replace(owner=me), version=s.version + 1))
        elif at == "idle":
            yield go(look(s))
        elif isinstance(at, Look):
            yield from self._act(s, me, at, go)
        elif isinstance(at, int | Color) and s.flying[me] is None:
            yield go("idle", s._replace(flying=_put(s.flying, me, at)))
        if at not in ("off", "over") and s.crashes:
            yield go("over", s._replace(crashes=s.crashes - 1))

    def _act(self, s: State, me: int, at: Look, go: "Callable[..., State]") -> Iterator[State]:
        what, to = self.said(at, s.bad, me)
        mine = at.version == s.version
        if what == "write":
            assert isinstance(to, Kept)
            yield go("idle", s._replace(kept=to, version=s.version + 1) if mine else s)
        elif what == "forward":
            assert isinstance(to, Kept)
            assert not at.taken, "what a person took back rises again"
            if mine or not self.compares:
                yield go(self.steps[to.step - 1], s._replace(kept=to, version=s.version + 1) if mine else s)
            else:
                yield go("idle")
        elif what == "back":
            if s.flying[me] is None:
                yield go("idle", s._replace(flying=_put(s.flying, me, 0)))
        elif what == "settle":
            assert isinstance(to, Color)
            if mine or not self.compares:
                quiet = s._replace(armed=False, version=s.version + mine)
                yield go("idle" if s.flying[GUARD] is not None else to, quiet)
            else:
                yield go("idle")
        elif what == "wait":
            yield go("idle")
        else:
            yield go("over")

    def _person(self, s: State) -> Iterator[State]:
        """`hueshift abort`: the call first, then the record, then it drives what it began."""
        if s.abort == "off" and not s.kept.phase.closed:
            yield s._replace(abort="sent", flying=_put(s.flying, ABORT, 0))
        elif s.abort == "sent" and s.flying[ABORT] is None:
            if s.kept.phase is Phase.UNDONE:
                yield s._replace(abort="over")
            else:
                yield s._replace(
                    abort="idle", kept=s.kept._replace(phase=Phase.UNDOING, owner=ABORT), version=s.version + 1
                )
        elif s.abort == "idle":
            # It acts on what it sees at once: whatever came between, its record changes only if nobody wrote.
            at = look(s)
            what, to = self.said(at, s.bad, ABORT)
            if what == "write":
                assert isinstance(to, Kept)
                yield s._replace(kept=to, version=s.version + 1)
            elif what == "back" and s.flying[ABORT] is None:
                yield s._replace(flying=_put(s.flying, ABORT, 0))
            elif what == "settle":
                assert isinstance(to, Color)
                quiet = s._replace(armed=False)
                yield quiet if s.flying[GUARD] is not None else quiet._replace(file=to)
            elif what == "done":
                yield s._replace(abort="over")
            if s.crashes:
                yield s._replace(abort="dead", crashes=s.crashes - 1)

    def said(self, at: Look, bad: bool, me: int) -> tuple[str, Kept | Color | None]:
        """Return what ``decide`` says, as the world understands it."""
        key = (at.kept, at.live, at.calm, at.settled, bad, me)
        if key not in self.known:
            self.known[key] = self._said(*key)
        return self.known[key]

    def _said(
        self, kept: Kept, live: int, calm: bool, settled: Color | None, bad: bool, me: int
    ) -> tuple[str, Kept | Color | None]:
        record = replace(
            RECORD,
            steps=tuple(Step(weight=weight, bake=0) for weight in self.steps),
            phase=kept.phase,
            step=kept.step,
            owner=str(kept.owner),
            intent=1000,
        )
        seen = Seen(
            me=str(me),
            now=1000 + LANDED + 1 if calm else 1000,
            live={SHOP: split(Color.BLUE, live)},
            healthy={SHOP: {Color.BLUE: 4, Color.GREEN: 4}},
            settled=settled,
            verdicts=[Verdict(gate="alarms", state="bad", why="rings")] if bad else [],
        )
        action = self.decide(record, seen)
        match action:
            case drive.Write(record=after):
                return "write", Kept(after.phase, after.step, int(after.owner))
            case drive.Forward(record=after, weights=weights):
                assert after.intent == seen.now, "sent forward without an intent"
                assert weights == {SHOP: split(Color.BLUE, self.steps[after.step - 1])}
                return "forward", Kept(after.phase, after.step, int(after.owner))
            case drive.Back(weights=weights):
                assert weights == {SHOP: split(Color.BLUE, 0)}
                return "back", None
            case drive.Settle(record=after, color=color):
                assert color is Color.BLUE or after.intent == seen.now, "sent forward without an intent"
                return "settle", color
            case drive.Wait():
                return "wait", None
        return "done", None


def look(s: State) -> Look:
    """Return the world as one look shows it."""
    settled = s.file if not s.armed and s.flying[GUARD] is None else None
    return Look(s.kept, s.version, s.live, calm(s), settled, s.taken)


def calm(s: State) -> bool:
    """Whether nothing can go forward any more: nothing of it flies, and nobody is about to send it."""
    return FORWARD.isdisjoint(s.flying) and FORWARD.isdisjoint(s.drivers)


def _put(all_: tuple[T, ...], place: int, value: T) -> tuple[T, ...]:
    return (*all_[:place], value, *all_[place + 1 :])


def wrong(s: State, steps: tuple[int, ...]) -> str | None:
    """Return what must never be so; None if all is well."""
    if s.live > (0, *steps)[s.kept.step]:
        return "more than the recorded step"
    if s.kept.phase is Phase.UNDONE and (s.live or s.file is Color.GREEN or not calm(s)):
        return "undone, and something goes forward"
    if s.kept.phase is Phase.PROMOTED:
        if s.file is Color.BLUE:
            return "promoted, and the stack file trusts the old color"
        if s.live != 100 and s.hands and s.abort in ("off", "over") and calm(s):
            return "promoted without all of the traffic"
    return None


class Found(NamedTuple):
    """What an exploration found."""

    states: int
    wrong: str | None
    path: list[State]
    stuck: int
    """States from which no way leads to a closed record."""
    phases: frozenset[Phase]
    """The phases that were reached."""


def explore(world: World) -> Found:
    """Look at every state that can be reached, breadth first, until something is wrong."""
    start = _renumbered(world.start())
    came: dict[State, State | None] = {start: None}
    reach: dict[State, list[State]] = {}
    queue = deque([start])
    while queue:
        s = queue.popleft()
        problem = wrong(s, world.steps)
        try:
            following = [] if problem else [_renumbered(to) for to in world.next(s)]
        except AssertionError as error:
            problem = str(error)
        if problem:
            return Found(len(came), problem, _path(came, s), 0, frozenset())
        reach[s] = following
        for to in following:
            if to not in came:
                came[to] = s
                queue.append(to)
    return Found(len(came), None, [], _stuck(reach), frozenset(s.kept.phase for s in came))


def _renumbered(s: State) -> State:
    """Return the same state with versions that matter only by which are equal and which is the latest."""
    used = {s.version, *(at.version for at in s.drivers if isinstance(at, Look))}
    if max(used) < len(used):
        return s
    place = {version: place for place, version in enumerate(sorted(used))}
    return s._replace(
        version=place[s.version],
        drivers=tuple(at._replace(version=place[at.version]) if isinstance(at, Look) else at for at in s.drivers),
    )


def _path(came: dict[State, State | None], last: State) -> list[State]:
    path = [last]
    while (before := came[path[-1]]) is not None:
        path.append(before)
    return path[::-1]


def _stuck(reach: dict[State, list[State]]) -> int:
    backwards: dict[State, list[State]] = {}
    for s, following in reach.items():
        for to in following:
            backwards.setdefault(to, []).append(s)
    closed = {s for s in reach if s.kept.phase.closed}
    queue = deque(closed)
    while queue:
        for s in backwards.get(queue.popleft(), ()):
            if s not in closed:
                closed.add(s)
                queue.append(s)
    return len(reach) - len(closed)
