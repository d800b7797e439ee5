"""By how much the variant of an experiment differs from the control: an always-valid interval, pure.

The interval may be looked at as often as one likes, and the experiment may be ended for what it shows: it holds the
true difference at all looks together with a probability of ``SURE``. It is the inverse of a sequential test with a
normal mixture (Robbins 1970; Johari, Pekelis, Walsh 2015, "Always valid inference"); one for a fixed horizon would be
about a third narrower, and true at one look alone, fixed before.

What is counted are events per request. Requests of one client are not independent, so counts are taken for more
scattered than such would be: by what the ticks show, both colors in the same tick, and at least by ``CLUMPING``.
"""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

from hueshift.release.judge import CLUMPING, Scrape

SURE: Final = 0.95
EVENTS: Final = 200
"""Of both colors together, from which the normal distribution serves; before, nothing is said."""
_EFFECT: Final = 0.1
"""The difference, as a part of the rate, for which the interval is made to be narrow."""


class Difference(NamedTuple):
    """What came of one kind of events; rates are per request."""

    events: tuple[float, float]
    """Of the control and of the variant."""
    requests: tuple[float, float]
    low: float | None
    """Of the variant's rate without the control's; None as long as too little was counted."""
    high: float | None

    @property
    def rates(self) -> tuple[float, float]:
        """Of the control and of the variant."""
        control, variant = (
            events / requests if requests else 0.0 for events, requests in zip(self.events, self.requests, strict=True)
        )
        return control, variant

    @property
    def shown(self) -> bool:
        """Whether the colors differ by more than chance."""
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high


def difference(ticks: Sequence[Scrape]) -> Difference:
    """Return how the variant, a scrape's new color, differs from the control, its old one.

    A tick in which one of both had no request does not count: it would compare different times.
    """
    ticks = [tick for tick in ticks if tick.old_requests > 0 and tick.new_requests > 0]
    old, old_events, new, new_events = map(sum, zip(*ticks, strict=True)) if ticks else (0.0, 0.0, 0.0, 0.0)
    found = Difference((old_events, new_events), (old, new), None, None)
    if old_events + new_events < EVENTS:
        return found
    rate, (control, variant) = (old_events + new_events) / (old + new), found.rates
    # A rate of no event would have no variance: none is taken for less than that of both together.
    variance = scatter(ticks) * (max(rate, control) / old + max(rate, variant) / new)
    prior = (_EFFECT * rate) ** 2
    half = math.sqrt(variance * (1 + variance / prior) * (math.log1p(prior / variance) - 2 * math.log(1 - SURE)))
    return found._replace(low=variant - control - half, high=variant - control + half)


def scatter(ticks: Sequence[Scrape]) -> float:
    """Return how much more the colors' parts of the events vary from tick to tick than those of independent ones."""
    old, old_events, new, new_events = map(sum, zip(*ticks, strict=True))
    if not old_events or not new_events:
        return CLUMPING
    ratio = (new_events / new) / (old_events / old)
    squares = expected = 0.0
    for tick in ticks:
        share = tick.new_requests * ratio / (tick.new_requests * ratio + tick.old_requests)
        events = tick.old_bad + tick.new_bad
        squares += (tick.new_bad - events * share) ** 2
        expected += events * share * (1 - share)
    return max(CLUMPING, squares / expected)
