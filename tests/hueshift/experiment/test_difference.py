"""By how much a variant differs: what is counted, and how often the interval is wrong however often one looks."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hueshift.experiment.difference import EVENTS, SURE, difference, scatter
from hueshift.release.judge import CLUMPING, Scrape

_ticks = st.lists(
    st.builds(
        lambda old, new, x, y: Scrape(old, min(old, x), new, min(new, y)),
        *[st.integers(0, 2000)] * 2,
        *[st.integers(0, 200)] * 2,
    ),
    max_size=30,
)


def world(
    seed: int, *, ticks: int, requests: int, share: float, rate: float, lift: float = 0.0, clump: int = 1
) -> list[Scrape]:
    """Return what a time brings whose rate goes up and down by half in a day, in clumps of so many events."""
    random = np.random.default_rng(seed)
    now = rate * (1 + 0.5 * np.sin(np.arange(ticks) / 20))
    new = random.binomial(requests, share, ticks)
    old = requests - new
    events = [clump * random.poisson(count * now * more / clump) for count, more in ((old, 1), (new, 1 + lift))]
    return [Scrape(*map(float, tick)) for tick in zip(old, events[0], new, events[1], strict=True)]


def misses(*, looks: int, lift: float = 0.0, runs: int = 200, **of: float) -> int:
    """Return in how many runs the interval misses the true difference at any of its looks."""
    ticks, missed = 200, 0
    truth = of["rate"] * lift
    for seed in range(runs):
        came = world(seed, ticks=ticks, lift=lift, **of)  # type: ignore[arg-type]
        found = [difference(came[:end]) for end in range(ticks // looks, ticks + 1, ticks // looks)]
        mean = [truth * (1 + 0.5 * np.mean(np.sin(np.arange(end) / 20))) for end in range(4, 201, 4)]
        missed += any(
            it.low is not None and it.high is not None and not it.low <= true <= it.high
            for it, true in zip(found, mean, strict=True)
        )
    return missed


@pytest.mark.slow
@pytest.mark.parametrize(
    ("share", "rate", "lift", "clump"),
    [(0.5, 0.02, 0, 1), (0.1, 0.02, 0, 1), (0.5, 0.3, 0, 1), (0.5, 0.02, 0, 2), (0.5, 0.02, 1.0, 2), (0.1, 0.02, 1, 1)],
)
def test_however_often_one_looks_the_interval_holds_the_true_difference(
    share: float, rate: float, lift: float, clump: int
) -> None:
    """Fifty looks at each of 200 experiments; one in twenty may be wrong, and fewer are."""
    missed = misses(looks=50, requests=1000, share=share, rate=rate, lift=lift, clump=clump)
    assert missed <= (1 - SURE) * 200


def test_a_fixed_horizon_looked_at_as_often_would_be_wrong_far_more_often() -> None:
    """What the interval is wider for."""
    wrong = 0
    for seed in range(200):
        came = np.cumsum(np.array(world(seed, ticks=200, requests=1000, share=0.5, rate=0.02)), axis=0)[3::4]
        old, old_events, new, new_events = came.T
        rate = (old_events + new_events) / (old + new)
        score = (new_events / new - old_events / old) / np.sqrt(rate * (1 / old + 1 / new))
        wrong += bool(np.any(np.abs(score) > 1.96))
    assert wrong > 0.2 * 200


def test_a_fifth_more_orders_is_seen_within_two_hundred_thousand_requests() -> None:
    shown = [
        difference(world(seed, ticks=200, requests=1000, share=0.5, rate=0.05, lift=0.2)).shown for seed in range(50)
    ]
    assert sum(shown) >= 45


@given(_ticks)
def test_the_interval_lies_around_the_difference_and_turns_round_with_the_colors(ticks: list[Scrape]) -> None:
    found = difference(ticks)
    turned = difference([Scrape(it.new_requests, it.new_bad, it.old_requests, it.old_bad) for it in ticks])
    control, variant = found.rates
    assert (found.low is None) == (sum(found.events) < EVENTS) == (turned.low is None)
    if found.low is not None and found.high is not None:
        assert found.low <= variant - control <= found.high
        assert turned.low is not None
        assert math.isclose(found.high, -turned.low, rel_tol=1e-9, abs_tol=1e-12)


@given(_ticks)
def test_a_tick_in_which_only_one_color_was_asked_does_not_count(ticks: list[Scrape]) -> None:
    assert difference([*ticks, Scrape(1000, 500, 0, 0), Scrape(0, 0, 1000, 500)]) == difference(ticks)


def test_before_there_are_enough_events_nothing_is_said() -> None:
    few = difference([Scrape(1000, EVENTS - 1, 1000, 0)])
    assert (few.low, few.high, few.shown) == (None, None, False)
    assert difference([Scrape(1000, EVENTS, 1000, 0)]).shown


def test_what_goes_up_and_down_for_both_colors_is_no_scatter_and_what_does_for_one_is() -> None:
    both = [Scrape(1000, 10 * (1 + tick % 9), 1000, 10 * (1 + tick % 9)) for tick in range(90)]
    one = [Scrape(1000, 50, 1000, 10 * (1 + tick % 9)) for tick in range(90)]
    assert scatter(both) == CLUMPING
    assert scatter(one) > 3 * CLUMPING
