"""Whether the new color is worse than the old one: an always-valid test on counts of bad requests, pure.

In a scrape in which the new color answered the share ``q`` of all requests, each bad one is the new color's with odds
of at most ``R0 * q : 1 - q``, while the new color is at most ``R0`` times as bad as the old. A suspected factor ``r``
pays by the likelihood of what came against that; the evidence is the mean over ``SUSPECTED``. While the new color is no
worse, no scrape's factor has an expectation above 1, whatever the traffic, so the evidence ever reaches ``ODDS`` with a
probability of at most 1 / ``ODDS`` however often one looks (Ville's inequality). Bad requests come in clumps: the
exponent is divided by how much more the old color's counts vary than independent ones would. That keeps the bound
(Jensen's inequality), but how bad requests clump is an estimate.

It is blind to failures that belong to a color and not to its requests, such as a job in each pod: of a color with
little traffic they are a large part.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from hueshift.release.drive import Verdict

R0: Final = 1.5
"""Half again as bad is no reason to go back: a new color's caches are cold."""
SUSPECTED: Final = (2, 3, 5, 10, 30, 100)
ODDS: Final = 1000
FLOOR: Final = 0.001
"""Below this rate of bad requests nothing is condemned."""
SCRAPES: Final = 2
"""At least as many must have brought bad requests of the new color."""
CLUMPING: Final = 2.0
"""What the counts' variance by their mean is at least taken for."""
_SURE: Final = 1.645
"""The normal quantile of 95 %."""


class Scrape(NamedTuple):
    """What came since the scrape before; counts may be fractions, as Prometheus extrapolates them."""

    old_requests: float
    old_bad: float
    new_requests: float
    new_bad: float


class Evidence(NamedTuple):
    """What a series of scrapes says against the new color."""

    odds: float
    """That the new color is worse, to one: the highest that they ever were, as a logarithm to the base 10."""
    condemned: bool
    suspected: bool
    """Whether all that is missing to condemn it is a second scrape with bad requests."""


def clumping(old: Iterable[tuple[float, float]]) -> float:
    """Return how much more the old color's bad requests vary than independent ones, from requests and bad by scrape."""
    counts = [(requests, bad) for requests, bad in old if requests > 0]
    total = sum(bad for _, bad in counts)
    if not total:
        return CLUMPING
    rate = total / sum(requests for requests, _ in counts)
    return max(
        CLUMPING, sum((bad - requests * rate) ** 2 / (requests * rate) for requests, bad in counts) / len(counts)
    )


def pays(scrape: Scrape, suspected: float) -> float:
    """Return the log of what one scrape pays to who suspects the new color of being so many times as bad."""
    bad = scrape.old_bad + scrape.new_bad
    requests = scrape.old_requests + scrape.new_requests
    if bad <= 0 or requests <= 0:
        return 0.0
    return scrape.new_bad * math.log(suspected / R0) - bad * _stake(scrape.new_requests / requests, suspected)


def _stake(share: float, suspected: float) -> float:
    return math.log1p(share * (suspected - 1)) - math.log1p(share * (R0 - 1))


def evidence(scrapes: Iterable[Scrape], *, clumps: float = CLUMPING) -> Evidence:
    """Return what all scrapes since the new color's first request say, the oldest first."""
    won = [0.0] * len(SUSPECTED)
    requests = bad = highest = 0.0
    seen, condemned, suspected = 0, False, False
    for scrape in scrapes:
        won = [log + pays(scrape, r) / clumps for log, r in zip(won, SUSPECTED, strict=True)]
        requests, bad, seen = requests + scrape.new_requests, bad + scrape.new_bad, seen + (scrape.new_bad > 0)
        most = max(won)
        now = most + math.log(sum(math.exp(log - most) for log in won) / len(won))
        highest = max(highest, now)
        suspected = now >= math.log(ODDS) and bad >= FLOOR * requests
        condemned = condemned or (suspected and seen >= SCRAPES)
    return Evidence(highest / math.log(10), condemned, suspected and not condemned)


def enough(*, share: float, limit: float, failing: float = FLOOR, clumps: float = CLUMPING) -> float:
    """Return how many requests of the new color would have condemned it in 95 of 100 cases, failing at ``limit``.

    ``share`` is its part of all requests and ``failing`` the old color's rate of bad ones, all from 0 to 1. Beside one
    that itself fails more often than ``limit`` the new color is judged alone, as if the old one never failed: what
    mends the old color must not wait for it. Infinite if such a color is hardly worse than the old one. For a single
    scrape's luck it asks a little more than simulations do.
    """
    if not 0 < share < 1:
        return math.inf
    failing = FLOOR if failing > limit else failing
    price = math.log(ODDS * len(SUSPECTED)) * clumps
    others = failing * (1 - share) / share  # bad requests of the old color for each request of the new one
    needed = math.inf
    for r in SUSPECTED:
        stake = _stake(share, r)
        gain = math.log(r / R0) - stake
        drift, variance = limit * gain - others * stake, limit * gain**2 + others * stake**2
        if drift > 0:
            spread = _SURE * math.sqrt(variance)
            needed = min(needed, ((spread + math.sqrt(spread**2 + 4 * drift * price)) / (2 * drift)) ** 2)
    return needed


def compare(
    gate: str, release: Sequence[Scrape], *, since_step: int, limit: float | None, clumps: float = CLUMPING
) -> Verdict:
    """Return the verdict on one kind of bad requests, such as failed or slow ones.

    ``release`` are the scrapes since the first weight, the last ``since_step`` of them of this step; ``limit`` is the
    rate, 0 to 1, that must not go unseen in it, or None where none is asked for or no second color has traffic.
    """
    found = evidence(release, clumps=clumps)
    old, old_bad, new, new_bad = map(sum, zip(*release, strict=True)) if release else (0.0, 0.0, 0.0, 0.0)
    odds = f"{10 ** min(found.odds, 6):,.1f} to 1 that it is worse, and {ODDS:,} to 1 condemns"
    if found.condemned:
        bad = f"{new_bad:,.0f} of {new:,.0f} requests, of the old color {old_bad:,.0f} of {old:,.0f}"
        return Verdict(gate=gate, state="bad", why=f"{bad}: {odds}")
    if found.suspected:
        why = f"{new_bad:,.0f} of {new:,.0f} requests, all in one reading: the next one decides; {odds}"
        return Verdict(gate=gate, state="unknown", why=why)
    step = release[len(release) - since_step :]
    here, there = sum(scrape.new_requests for scrape in step), sum(scrape.old_requests for scrape in step)
    if limit is not None:
        share = here / (here + there) if here else 0.5
        failing = max(FLOOR, old_bad / old if old else 0)
        needed = enough(share=share, limit=limit, failing=failing, clumps=clumps)
        if math.isinf(needed):
            why = f"beside an old color with {failing:.1%} a new one with {limit:.1%} is not seen"
            return Verdict(gate=gate, state="unknown", why=why, needs=needed)
        if here < needed:
            why = f"{here:,.0f} requests, and {needed:,.0f} are needed to see {limit:.1%}"
            return Verdict(gate=gate, state="unknown", why=why, needs=math.ceil(needed - here))
        if failing > limit:
            failed = sum(scrape.new_bad for scrape in step)
            why = f"{failed:,.0f} of {here:,.0f} requests; the old color fails {failing:.1%}, and proves nothing"
            return Verdict(gate=gate, state="alike" if failed > limit * here else "good", why=why)
    return Verdict(gate=gate, state="good", why=f"{here:,.0f} requests: {odds}")
