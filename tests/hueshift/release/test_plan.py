"""What a release would do, and why it may not begin."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.model import Color, split
from components.rules.steps import Freezes, freezes, strategy
from hueshift.release.judge import enough
from hueshift.release.plan import Candidate, Plan, plan, spoken
from hueshift.release.unit import Unit
from tests.hueshift.release.samples import NOW

SHOP = Candidate(
    service="shop",
    host="green.shop.example.com",
    strategy=strategy({}, bake=300, least_bake=300, production=True, health_path="/health/ready"),
    versions=("1.4.0", "1.5.0"),
    live=split(Color.BLUE, 0),
    healthy={Color.BLUE: 12, Color.GREEN: 12},
    rate=600,
)


def made(*candidates: Candidate, frozen: Freezes | None = None) -> Plan:
    return plan(
        "shop",
        candidates or (SHOP,),
        environment="production",
        old=Color.BLUE,
        freezes=frozen,
        now=NOW,
        keep_old=86_400,
    )


def test_the_plan_is_told_line_by_line() -> None:
    assert list(made().lines()) == [
        "production/shop: 1.4.0 → 1.5.0, blue → green; way back: blue, one call, 12 pods kept",
        "  try     green.shop.example.com  /health/ready",
        "   10 %   5 min   60 of 600 req/s: to see 1 % errors takes 4,197 requests, brings 18,000",
        "   50 %   5 min   300 of 600 req/s: to see 1 % errors takes 10,180 requests, brings 90,000",
        "  100 %   5 min   nothing left to compare with: health and alarms judge",
        "  then    activeColor: green is written; blue stays 24 h, then `hueshift park`",
        "15 min if nothing waits.",
    ]


def test_a_step_that_can_prove_nothing_is_refused_with_what_mends_it() -> None:
    refusals = made(replace(SHOP, rate=4)).refusals
    assert refusals[0] == (
        "shop: 4 req/s: the 10 % step needs 2 h 55 min to see 1 % errors; under services.shop.strategy set bake: 175m "
        "in the step, compare.limit: 10, or compare: false leaves it to health and alarms"
    )
    assert "shop: 4 req/s: the 50 % step needs 1 h 25 min to see 1 % errors" in refusals[1]


@pytest.mark.parametrize("rate", [4.0, 20.0, 1.0])
def test_each_remedy_mends_it(rate: float) -> None:
    (first, *_) = made(replace(SHOP, rate=rate)).refusals
    bake = int(first.partition("bake: ")[2].partition("m ")[0])
    steps = [{"weight": weight, "bake": f"{4 * bake}m"} for weight in (10, 50)]
    for data in ({"steps": steps}, {"compare": False}):
        mended = strategy(data, bake=300, least_bake=300, production=True, health_path="/")
        assert not made(replace(SHOP, rate=rate, strategy=mended)).refusals


def test_no_traffic_and_traffic_that_nobody_counts_prove_nothing() -> None:
    assert "0 req/s: the 10 % step proves nothing" in made(replace(SHOP, rate=0)).refusals[0]
    assert (
        "nobody counts its requests, so 10 % proves nothing: set releases.prometheus"
        in (made(replace(SHOP, rate=None)).refusals[0])
    )


def test_an_old_color_that_fails_as_often_hides_what_should_be_seen() -> None:
    (first, *_) = made(replace(SHOP, failing=0.01)).refusals
    assert first.startswith(
        "shop: beside 1.00% errors of the old color 1 % is not seen; under services.shop.strategy set"
    )
    assert "compare.limit: 2" in first


def test_what_mends_an_old_color_that_fails_more_often_begins_and_is_judged_alone() -> None:
    plan = made(replace(SHOP, failing=0.5))
    assert not plan.refusals
    assert "the old color fails 50.00%, and the new one is judged alone" in str(plan)


def test_everything_at_once_promises_no_proof_and_needs_none() -> None:
    all_ = strategy({}, bake=300, least_bake=300, production=False, health_path="/")
    assert not made(replace(SHOP, rate=0, strategy=all_)).refusals


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"live": {Color.BLUE: 80, Color.GREEN: 20}}, "shop has blue 80, green 20, and a release begins with blue 100"),
        ({"healthy": {Color.GREEN: 3}}, "blue has no healthy target, and there would be no way back"),
        ({"versions": ("1.5.0", "1.4.0")}, "green runs 1.4.0, older than 1.5.0: set its image, or go back with"),
    ],
)
def test_a_release_does_not_begin_where_there_is_no_way_back(change: dict[str, object], refusal: str) -> None:
    (found,) = made(replace(SHOP, **change)).refusals  # type: ignore[arg-type]
    assert refusal in found
    assert f"refused: {found}" in made(replace(SHOP, **change)).lines()  # type: ignore[arg-type]


def test_the_same_version_may_be_released_again() -> None:
    assert not made(replace(SHOP, versions=("1.4.0", "1.4.0"))).refusals


def test_services_of_one_unit_take_the_same_steps() -> None:
    other = strategy({"steps": [50]}, bake=300, least_bake=300, production=True, health_path="/")
    (found,) = made(SHOP, replace(SHOP, service="pricing", strategy=other)).refusals
    assert "pricing and shop share an activeColor but not their steps: make strategy.steps alike" in found
    assert [len(proofs) for proofs in made(SHOP, replace(SHOP, service="pricing")).proofs] == [2, 2, 2]


def test_a_freeze_is_told_before_it_holds() -> None:
    always = freezes([{"days": ["fri"], "from": "08:05"}], zone="UTC")  # NOW is a Friday, 08:00
    assert made(frozen=always).frozen == (
        "A freeze begins in 5 min and holds what is left until Sat 16 Jan 00:00 (UTC)."
    )
    now = freezes([{"days": ["fri"]}], zone="UTC")
    assert made(frozen=now).frozen == "Frozen until Sat 16 Jan 00:00 (UTC): nothing goes forward before that."
    assert not made(frozen=now).refusals


@pytest.mark.parametrize(
    ("seconds", "said"), [(30, "30 s"), (300, "5 min"), (3599, "1 h"), (3660, "1 h 1 min"), (86_400, "24 h")]
)
def test_a_time_is_said_as_people_say_it(seconds: float, said: str) -> None:
    assert spoken(seconds) == said


@given(st.floats(0, 5000), st.floats(0.0001, 0.02), st.lists(st.integers(1, 99), unique=True, max_size=4))
def test_a_plan_that_is_not_refused_brings_what_every_step_needs(rate: float, failing: float, steps: list[int]) -> None:
    found = strategy({"steps": sorted(steps)}, bake=300, least_bake=300, production=True, health_path="/")
    it = replace(SHOP, rate=rate, failing=failing, strategy=found)
    made_ = made(it)

    assert made_ == made(it)
    assert made_.seconds == 300 * len(found.steps)
    enough_ = all(
        enough(share=step.weight / 100, limit=0.01, failing=failing) <= rate * step.weight / 100 * 900
        for step in found.steps
        if step.weight < 100
    )
    assert enough_ is not bool(made_.refusals)


@pytest.mark.parametrize(
    ("url", "metrics", "measured"),
    [
        ("http://prometheus:9090", {}, True),
        ("http://prometheus:9090", {"metrics": {"enabled": False}}, False),
        (None, {}, False),
    ],
)
def test_prometheus_is_asked_for_requests_only_where_every_service_of_a_unit_tells_them(
    url: str | None, metrics: dict[str, Any], measured: bool
) -> None:
    class Place:
        values = {"releases": {"prometheus": url}, "services": {"shop": {}, "web": metrics}}

    place: Any = Place()
    services: Any = {"shop": None, "web": None}
    assert Unit(name="staging", place=place, services=services).measured is measured
