"""Records and looks at them, in every form that they can have."""

from dataclasses import replace
from functools import cache
from random import Random
from typing import Literal

from components.model import Color, split
from components.rules.steps import Check, Gate, Step, Strategy
from hueshift.release.drive import Asked, Held, Hold, Phase, Record, Seen, Verdict

NOW = 1_800_000_000
SERVICES = ("shop", "pricing")
STEPS = (Step(weight=10, bake=300), Step(weight=50, bake=600, approval=True), Step(weight=100, bake=300))
PLAN = Strategy(
    steps=STEPS,
    smoke=(Check(path="/items", within=0.5),),
    gates=(Gate(name="orders", query="sum(orders)", below=0.2),),
)

RELEASE = Record(
    id=17,
    unit="shop",
    services=SERVICES,
    old=Color.BLUE,
    new=Color.GREEN,
    versions=dict.fromkeys(SERVICES, ("1.4.0", "1.5.0")),
    images={"shop": "registry/shop@sha256:" + "a" * 64, "pricing": "registry/pricing@sha256:" + "b" * 64},
    strategies=dict.fromkeys(SERVICES, PLAN),
    steps=STEPS,
    pods=dict.fromkeys(SERVICES, 12),
    rules={"shop": "rule"},
    slow={"shop": 0.25},
    since=NOW,
    owner="anna",
)


def baking(step: int = 1, **changes: object) -> Record:
    """Return a release that is watched at a step since ``NOW``."""
    return replace(RELEASE, **{"phase": Phase.BAKING, "step": step, "intent": NOW - 5, **changes})  # type: ignore[arg-type]


def seen(record: Record, after: float = 0, **changes: object) -> Seen:
    """Return what the driver of a release sees some seconds after ``NOW``, when all is well."""
    return replace(
        Seen(
            me=record.owner,
            now=NOW + after,
            live={service: split(record.old, record.weight) for service in record.services},
            healthy={key: {Color.BLUE: 12, Color.GREEN: 12} for key in record.services},
            settled=record.old,
            verdicts=[Verdict(gate="alarms", state="good", why="silent")],
        ),
        **changes,  # type: ignore[arg-type]
    )


def record(dice: Random) -> Record:
    """Any record."""
    rising = [*sorted(dice.sample(range(1, 100), dice.randrange(4))), 100]
    steps = tuple(Step(weight=weight, bake=dice.randrange(2000), approval=dice.random() < 0.3) for weight in rising)
    phase, old = dice.choice([*Phase]), dice.choice([*Color])
    last = len(steps)
    least = {Phase.MOVING: 1, Phase.BAKING: 1, Phase.SETTLING: last, Phase.PROMOTED: last}.get(phase, 0)
    return replace(
        RELEASE,
        services=dice.choice([SERVICES, SERVICES[:1]]),
        old=old,
        new=old.other,
        steps=steps,
        phase=phase,
        step=0 if phase is Phase.TRYING else dice.randint(least, last),
        since=_time(dice),
        intent=_time(dice),
        owner=dice.choice(["anna", "anna", "anna", "ben"]),
        asked=dice.choice([None, None, *Asked]),
        held=dice.choice([None, Held(kind=dice.choice([*Hold]), since=_time(dice))]),
        forced=dice.choice([None, None, "a fix"]),
    )


def look(dice: Random, of: Record) -> Seen:
    """Any look at a release; in most of them it has weights that it had, and nothing is wrong."""
    alike = dict.fromkeys(of.services, split(of.old, dice.choice([of.weight, of.weight, of.before, 0])))
    odd: list[dict[Color, int]] = [split(of.old, dice.randint(0, 100)), {}, {Color.BLUE: 0}]
    well = {service: {Color.BLUE: 12, Color.GREEN: 12} for service in SERVICES}
    good: list[Literal["good", "bad", "alike", "unknown"]] = ["good"]
    states = [*good * 9, "bad", "alike", "unknown", "unknown"]
    return Seen(
        me="anna",
        now=_time(dice),
        live=dice.choice(
            [alike] * 5 + [None, {service: dice.choice([*alike.values(), *odd]) for service in of.services[:2]}]
        ),
        healthy=dice.choice([well, well, well, {"shop": {c: dice.randrange(20) for c in dice.choices([*Color], k=2)}}]),
        prepared=dice.random() < 0.9,
        settled=dice.choice([None, *Color]),
        verdicts=[
            Verdict(gate="failed", state=dice.choice(states), why="because", needs=dice.choice([None, 7]))
            for _ in range(dice.randrange(3))
        ],
        frozen_until=dice.choice([None, None, NOW + 9999.0]),
    )


def _time(dice: Random) -> int:
    return NOW + dice.randint(-3000, 3000)


@cache
def worlds() -> list[tuple[Record, Seen]]:
    """Ten thousand records with a look at each, the same in every run; drawn by hypothesis they would take minutes."""
    dice = Random(13)
    return [(it := record(dice), look(dice, it)) for _ in range(10_000)]
