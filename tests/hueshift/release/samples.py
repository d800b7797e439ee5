"""Records and looks at them, in every form that they can have."""

from dataclasses import replace

from hypothesis import strategies as st

from components.model import Color, split
from hueshift.release.drive import Asked, Held, Hold, Phase, Record, Seen, Verdict
from hueshift.release.strategy import Check, Gate, Step, Strategy

NOW = 1_800_000_000
SERVICES = ("shop", "pricing")
STEPS = (Step(weight=10, bake=300), Step(weight=50, bake=600, approval=True), Step(weight=100, bake=300))
PLAN = Strategy(
    steps=STEPS,
    smoke=[Check(path="/items", within=0.5)],
    gates=[Gate(name="orders", query="sum(orders)", below=0.2)],
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
    rules={"shop": {"arn": "rule", "back": [{"Type": "forward"}]}},
    slow={"shop": 0.25},
    since=NOW,
    owner="anna",
)


def baking(step: int = 1, **changes: object) -> Record:
    """A release that is watched at a step since ``NOW``."""
    return replace(RELEASE, **{"phase": Phase.BAKING, "step": step, "intent": NOW - 5, **changes})  # type: ignore[arg-type]


def seen(record: Record, after: float = 0, **changes: object) -> Seen:
    """What the driver of a release sees some seconds after ``NOW``, when all is well."""
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


weights = st.lists(st.integers(1, 99), max_size=4, unique=True).map(lambda found: [*sorted(found), 100])
steps = weights.flatmap(
    lambda found: st.tuples(
        *(
            st.builds(Step, weight=st.just(weight), bake=st.integers(0, 100_000), approval=st.booleans())
            for weight in found
        )
    )
)
times = st.integers(NOW - 3000, NOW + 3000)


@st.composite
def records(draw: st.DrawFn) -> Record:
    """Any record."""
    plan = draw(steps)
    phase = draw(st.sampled_from(Phase))
    least = phase not in (Phase.TRYING, Phase.UNDOING, Phase.UNDONE)
    old = draw(st.sampled_from(Color))
    return replace(
        RELEASE,
        services=draw(st.sampled_from([SERVICES, SERVICES[:1]])),
        old=old,
        new=old.other,
        steps=plan,
        phase=phase,
        step=draw(st.integers(least, 0 if phase is Phase.TRYING else len(plan))),
        since=draw(times),
        intent=draw(times),
        owner=draw(st.sampled_from(["anna", "ben"])),
        asked=draw(st.sampled_from([None, *Asked])),
        held=draw(st.none() | st.builds(Held, kind=st.sampled_from(Hold), since=times)),
        forced=draw(st.none() | st.just("a fix")),
    )


shares: st.SearchStrategy[dict[Color, int]] = (
    st.integers(0, 100).map(lambda weight: split(Color.BLUE, weight)) | st.just({}) | st.just({Color.BLUE: 0})
)
counts = st.dictionaries(st.sampled_from(Color), st.integers(0, 20))
verdicts = st.builds(
    Verdict,
    gate=st.sampled_from(["health", "failed"]),
    state=st.sampled_from(["good", "bad", "alike", "unknown"]),
    why=st.just("because"),
    needs=st.none() | st.integers(1, 9),
)


@st.composite
def looks(draw: st.DrawFn, record: Record) -> Seen:
    """Any look at a release, in most of which the weights are some that it has had."""
    held = [split(record.old, weight) for weight in (record.weight, record.before, 0)]
    share = shares | st.sampled_from(held) | st.sampled_from(held)
    alike = st.sampled_from(held).map(lambda found: dict.fromkeys(record.services, found))
    return Seen(
        me="anna",
        now=draw(times),
        live=draw(alike | st.none() | st.dictionaries(st.sampled_from(SERVICES), share)),
        healthy=draw(
            st.just({key: {Color.BLUE: 12, Color.GREEN: 12} for key in SERVICES})
            | st.dictionaries(st.sampled_from(SERVICES), counts)
        ),
        prepared=draw(st.sampled_from([True, True, False])),
        settled=draw(st.sampled_from([None, *Color])),
        refusals=draw(st.just([]) | st.just(["no"])),
        verdicts=draw(st.just([]) | st.lists(verdicts, max_size=3)),
        frozen_until=draw(st.none() | st.just(NOW + 9999.0)),
    )


worlds = records().flatmap(lambda record: st.tuples(st.just(record), looks(record)))
