"""The comparison of two colors: exact where it can be, and measured where it is an estimate."""

import math
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hueshift.release import judge
from hueshift.release.judge import FLOOR, ODDS, R0, SUSPECTED, Scrape, compare, enough, evidence, pays

Counts = NDArray[np.int64]


def factor(share: Fraction, suspected: int, new_bad: int, bad: int) -> Fraction:
    """Return what a scrape pays, exactly."""
    r0 = Fraction(3, 2)
    return (suspected / r0) ** new_bad * ((1 + share * (r0 - 1)) / (1 + share * (suspected - 1))) ** bad


@given(st.integers(1, 500), st.integers(1, 500), st.integers(0, 20), st.integers(0, 20), st.sampled_from(SUSPECTED))
def test_a_scrape_pays_what_the_likelihood_ratio_is(new: int, old: int, new_bad: int, old_bad: int, r: int) -> None:
    exact = factor(Fraction(new, new + old), r, new_bad, new_bad + old_bad)

    assert math.isclose(pays(Scrape(old, old_bad, new, new_bad), r), math.log(exact), abs_tol=1e-9)


def test_while_the_new_color_is_no_worse_no_scrape_is_expected_to_pay_more_than_it_costs() -> None:
    """So the evidence is a supermartingale, and Ville's inequality holds: exact, by fractions."""
    largest = Fraction(0)
    shares = (Fraction(1, 20), Fraction(1, 10), Fraction(1, 2), Fraction(19, 20))
    for bad, share, times, r in product(range(1, 9), shares, (Fraction(1, 2), Fraction(1), Fraction(3, 2)), SUSPECTED):
        p = share * times / (share * times + 1 - share)  # that a bad request is the new color's
        expected = sum(
            math.comb(bad, x) * p**x * (1 - p) ** (bad - x) * factor(share, r, x, bad) for x in range(bad + 1)
        )
        largest = max(largest, Fraction(expected))
    assert largest == 1
    assert Fraction(R0) == Fraction(3, 2)


@given(
    st.lists(
        st.builds(
            lambda old, new, x, y: Scrape(old, min(old, x), new, min(new, y)),
            *[st.integers(0, 1000)] * 2,
            *[st.integers(0, 9)] * 2,
        ),
        max_size=30,
    )
)
def test_evidence_once_found_stays_and_needs_two_scrapes(scrapes: list[Scrape]) -> None:
    condemned = [evidence(scrapes[:length]).condemned for length in range(len(scrapes) + 1)]
    assert condemned == sorted(condemned)
    assert not any(condemned) or sum(scrape.new_bad > 0 for scrape in scrapes) >= 2


def test_who_was_condemned_once_is_not_acquitted_by_what_comes_later() -> None:
    assert evidence([Scrape(900, 1, 100, 60)] * 2 + [Scrape(900, 9, 100, 0)] * 500).condemned


def test_one_scrape_full_of_failures_is_not_enough_and_two_are() -> None:
    bad = Scrape(900, 1, 100, 60)
    assert not evidence([bad]).condemned
    assert evidence([bad, bad]).condemned


@pytest.mark.parametrize("limit", [0.05, None])
def test_one_scrape_full_of_failures_is_no_pass_until_the_next_ones_say_it_was_a_hiccup(limit: float | None) -> None:
    scrapes = [Scrape(10_000, 0, 802, 40)]
    first = judge.compare("failed", scrapes, since_step=1, limit=limit)
    assert (first.state, first.needs) == ("unknown", None)
    assert first.why.startswith("40 of 802 requests, all in one reading: the next one decides")
    assert judge.compare("failed", [*scrapes, scrapes[0]], since_step=2, limit=limit).state == "bad"
    clean = [Scrape(10_000, 15, 10_000, 0)] * 20
    assert judge.compare("failed", [*scrapes, *clean], since_step=21, limit=limit).state == "good"


def test_a_failing_database_hits_both_colors_and_condemns_none() -> None:
    assert not evidence([Scrape(900, 450, 100, 50)] * 60).condemned


def test_half_again_as_bad_is_no_reason() -> None:
    assert not evidence([Scrape(900, 9, 100, 1.5)] * 500).condemned


def test_what_is_rarer_than_one_in_a_thousand_condemns_nobody() -> None:
    rare = Scrape(9_000, 0, 90_000, 50)
    assert evidence([rare] * 20).odds > math.log10(ODDS)
    assert not evidence([rare] * 20).condemned


def test_failures_in_clumps_are_worth_less() -> None:
    steady = [(1000.0, 5.0)] * 100
    clumped = [(1000.0, 50.0 if place % 10 == 0 else 0.0) for place in range(100)]
    assert judge.clumping(steady) == judge.CLUMPING == judge.clumping([]) == judge.clumping([(100, 0)])
    assert judge.clumping(clumped) == pytest.approx(45)
    bad = [Scrape(900, 1, 100, 5)] * 3
    assert evidence(bad).odds > evidence(bad, clumps=10).odds


# Verdicts


def test_a_step_passes_only_after_as_many_requests_as_would_have_shown_the_harm() -> None:
    few, many = [Scrape(900, 0, 100, 0)] * 10, [Scrape(900, 0, 100, 0)] * 50
    verdict = compare("failed", few, since_step=10, limit=0.01)
    assert verdict.state == "unknown"
    assert verdict.needs == math.ceil(enough(share=0.1, limit=0.01) - 1000)
    assert verdict.why == "1,000 requests, and 4,197 are needed to see 1.0%"
    assert compare("failed", many, since_step=50, limit=0.01).state == "good"
    assert compare("failed", many, since_step=10, limit=0.01).state == "unknown"


def test_no_requests_are_no_pass() -> None:
    assert compare("failed", [], since_step=0, limit=0.01).state == "unknown"
    assert compare("failed", [Scrape(500, 0, 0, 0)] * 99, since_step=99, limit=0.01).state == "unknown"


def test_the_last_step_has_nothing_to_compare_with_and_is_still_judged_by_what_came_before() -> None:
    assert compare("failed", [Scrape(0, 0, 1000, 0)] * 9, since_step=9, limit=None).state == "good"
    before = [Scrape(900, 1, 100, 60)] * 3
    assert compare("failed", [*before, Scrape(0, 0, 1000, 0)], since_step=1, limit=None).state == "bad"


def test_a_verdict_says_its_numbers() -> None:
    verdict = compare("failed", [Scrape(900, 1, 100, 60)] * 3, since_step=3, limit=0.01)
    assert verdict.state == "bad"
    assert verdict.why.startswith("180 of 300 requests, of the old color 3 of 2,700: 1,000,000.0 to 1 that it is worse")


def test_beside_an_old_color_that_fails_as_much_a_limit_cannot_be_seen() -> None:
    assert enough(share=0.1, limit=0.01, failing=0.01) == math.inf
    assert enough(share=1, limit=0.01) == math.inf
    verdict = compare("failed", [Scrape(900, 9, 100, 1)] * 99, since_step=99, limit=0.01)
    assert (verdict.state, verdict.needs) == ("unknown", math.inf)


@pytest.mark.parametrize(
    ("bad", "scrapes", "state"), [(0, 99, "good"), (1, 99, "good"), (5, 99, "alike"), (0, 3, "unknown")]
)
def test_beside_an_old_color_that_fails_more_than_the_limit_the_new_one_is_judged_alone(
    bad: int, scrapes: int, state: str
) -> None:
    assert enough(share=0.1, limit=0.01, failing=0.9) == enough(share=0.1, limit=0.01)
    verdict = compare("failed", [Scrape(900, 820, 100, bad)] * scrapes, since_step=scrapes, limit=0.01)
    assert verdict.state == state


@given(st.floats(0.01, 0.9), st.floats(0.005, 0.5), st.floats(0.0001, 0.002))
def test_worse_is_seen_sooner(share: float, limit: float, failing: float) -> None:
    assert enough(share=share, limit=2 * limit, failing=failing) <= enough(share=share, limit=limit, failing=failing)


# Measured


def simulated(
    runs: int,
    *,
    share: float,
    rate: float,
    old: float,
    new: float,
    kind: str = "alone",
    seconds: int = 300,
    scrape: int = 5,
    clumps: float | None = None,
) -> tuple[float, float, float]:
    """Return how many of so many releases are condemned, and the median seconds and failed requests until then."""
    dice = np.random.default_rng(11)

    def failures(requests: Counts, at: float) -> Counts:
        if kind == "wanders":
            return dice.binomial(requests, np.clip(at * dice.gamma(2.0, 0.5, runs), 0, 1))
        if kind == "wanders far":
            return dice.binomial(requests, np.clip(at * dice.gamma(0.3, 1 / 0.3, runs), 0, 1))
        if kind == "clumps":  # each event brings one to eight
            events = dice.binomial(requests, at / 4.5)
            failed: Counts = dice.multinomial(events, [1 / 8] * 8) @ np.arange(1, 9)
            return np.minimum(requests, failed)
        return dice.binomial(requests, at)

    if clumps is None:
        history = [dice.poisson(rate * scrape * (1 - share), runs) for _ in range(1800 // scrape)]
        bad = [failures(requests, old) for requests in history]
        runs_of = (np.transpose(counts).tolist() for counts in (history, bad))
        spread = np.array([judge.clumping(zip(*run, strict=True)) for run in zip(*runs_of, strict=True)])
    else:
        spread = np.full(runs, clumps)
    grid = np.array(SUSPECTED, float)[:, None]
    won, lost, requests, scrapes = (np.zeros((len(grid), runs)), np.zeros(runs), np.zeros(runs), np.zeros(runs))
    found = np.full(runs, np.nan)
    until = np.zeros(runs)
    for place in range(seconds // scrape):
        ours, theirs = dice.poisson(rate * scrape * share, runs), dice.poisson(rate * scrape * (1 - share), runs)
        x, y = failures(ours, new), failures(theirs, old)
        q = ours / np.maximum(ours + theirs, 1)
        stake = np.log1p(q * (grid - 1)) - np.log1p(q * (R0 - 1))
        won += (x * np.log(grid / R0) - (x + y) * stake) / spread
        lost, requests, scrapes = lost + x, requests + ours, scrapes + (x > 0)
        now = np.logaddexp.reduce(won) - math.log(len(grid))
        hit = np.isnan(found) & (now >= math.log(ODDS)) & (scrapes >= judge.SCRAPES) & (lost >= FLOOR * requests)
        found[hit], until[hit] = (place + 1) * scrape, lost[hit]
    some = ~np.isnan(found)
    if not some.any():
        return 0, math.nan, math.nan
    return float(some.mean()), float(np.median(found[some])), float(np.median(until[some]))


def test_the_simulation_judges_as_the_product_does() -> None:
    dice = np.random.default_rng(3)
    for _ in range(30):
        scrapes = [Scrape(*dice.poisson((90, 1, 10, 1.5)).tolist()) for _ in range(40)]
        grid = np.array(SUSPECTED, float)
        won = np.zeros(len(grid))
        best = 0.0
        for it in scrapes:
            q = it.new_requests / (it.new_requests + it.old_requests)
            won += it.new_bad * np.log(grid / R0) - (it.new_bad + it.old_bad) * (
                np.log1p(q * (grid - 1)) - np.log1p(q * (R0 - 1))
            )
            best = max(best, float(np.logaddexp.reduce(won) - math.log(len(grid))))
        assert evidence(scrapes, clumps=1).odds == pytest.approx(best / math.log(10))


CELLS = [(0.05, 100, 0.002), (0.1, 400, 0.001), (0.5, 100, 0.002), (0.5, 400, 0.01), (0.1, 20, 0.005)]


def test_of_good_releases_whose_failures_come_alone_none_is_condemned() -> None:
    for share, rate, failing in CELLS:
        assert simulated(3000, share=share, rate=rate, old=failing, new=failing, clumps=judge.CLUMPING)[0] == 0


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", ["alone", "wanders", "wanders far", "clumps"])
@pytest.mark.parametrize(("share", "rate", "failing"), CELLS)
def test_of_good_releases_at_most_one_in_a_thousand_is_condemned_however_failures_come(
    kind: str, share: float, rate: float, failing: float
) -> None:
    condemned, _, _ = simulated(3000, share=share, rate=rate, old=failing, new=failing, kind=kind)
    assert condemned <= (0 if kind == "alone" else 1 / ODDS)


@pytest.mark.parametrize(
    ("share", "rate", "new", "seconds", "failed"),
    [
        (0.05, 100, 0.05, 45, 12),
        (0.05, 100, 0.2, 15, 15),
        (0.1, 100, 0.05, 30, 15),
        (0.1, 400, 0.01, 60, 25),
        (0.1, 400, 0.05, 10, 25),
        (0.5, 100, 0.01, 130, 65),
        (0.5, 400, 1, 10, 2100),
    ],
)
def test_a_bad_release_is_found_within_so_many_seconds_and_failed_requests(
    share: float, rate: float, new: float, seconds: int, failed: int
) -> None:
    found, after, until = simulated(1000, share=share, rate=rate, old=0.001, new=new, clumps=judge.CLUMPING)
    assert found > 0.97
    assert after <= seconds
    assert until <= failed


@pytest.mark.parametrize(("share", "limit", "failing"), [(0.05, 0.01, 0.001), (0.1, 0.05, 0.01), (0.5, 0.01, 0.001)])
def test_as_many_requests_as_are_called_enough_show_the_harm_in_95_of_100_cases(
    share: float, limit: float, failing: float
) -> None:
    rate = enough(share=share, limit=limit, failing=failing) / share / 300
    found, _, _ = simulated(2000, share=share, rate=rate, old=failing, new=limit, clumps=judge.CLUMPING)
    assert 0.95 <= found <= 0.995
