"""A/B tests: a fixed cohort of a service's users sees its other color for a fixed time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final

from components import rules
from components.rules import Problem
from components.spec.marks import Between, Example, Like, Rule

METRIC: Final = r"[a-zA-Z_:][a-zA-Z0-9_:]*|[A-Za-z0-9_.#/-]+/[A-Za-z0-9_.#:-]+"
"""A name of Prometheus, or a namespace of CloudWatch, a slash, and a name there."""


@dataclass(frozen=True, kw_only=True)
class HeaderCohort:
    """The requests whose header has one of some values, whatever their case."""

    name: Annotated[str, Rule(rules.cohort_header_problem), Example("x-cohort")]
    """The header."""
    values: Annotated[Sequence[str], Rule(rules.cohort_values_problem), Example(["beta", "staff-*"])]
    """The values that count; * is any text and ? any character."""


@dataclass(frozen=True, kw_only=True)
class CookieCohort:
    """The requests with one value of a cookie, whatever its case."""

    name: Annotated[str, Like(r"[\w-]+", "letters, digits, hyphens and underscores", limit=40), Example("cohort")]
    """The cookie."""
    value: Annotated[str, Like(r"[\w.-]+", "letters, digits, dots, hyphens, underscores", limit=64), Example("b")]
    """Its whole value."""


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """An A/B test. The variant is the color that is not active."""

    name: Annotated[str, Rule(rules.experiment_name_problem), Example("short-checkout")]
    """The name of the experiment; another cohort or share is another experiment, and has another name."""
    since: Annotated[str, Rule(rules.moment_problem), Example("2027-03-01T09:00:00Z")]
    """The time from which its requests count."""
    until: Annotated[str, Rule(rules.moment_problem), Example("2027-03-08T09:00:00Z")]
    """The time at which it is over; the experiment ends when this block is removed."""
    header: HeaderCohort | None = None
    """The header whose senders see the variant; or cookie, or percent."""
    cookie: CookieCohort | None = None
    """The cookie, set by the service, whose owners see the variant; or header, or percent."""
    percent: Annotated[int | None, Between(1, 99, "both colors have users"), Example(50)] = None
    """Percent of the clients, at random, who see the variant and stay with it by a cookie of the load balancer; for 7
    days at most."""
    metric: Annotated[
        str | None,
        Like(METRIC, "a counter in Prometheus, or NAMESPACE/NAME in CloudWatch", limit=256),
        Example("orders_total"),
    ] = None
    """A metric that is counted per request besides errors, such as orders_total or Shop/Orders."""

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong between the keys."""
        cohorts = {"header": self.header, "cookie": self.cookie, "percent": self.percent}
        yield from rules.experiment_problems(
            [key for key, given in cohorts.items() if given is not None], since=self.since, until=self.until
        )

    @property
    def seconds(self) -> int:
        """How long it lasts."""
        return int((_moment(self.until) - _moment(self.since)).total_seconds())

    def over(self, now: datetime) -> bool:
        """Whether its time has passed."""
        return now >= _moment(self.until)

    @property
    def conditions(self) -> Sequence[tuple[str, Sequence[str]]]:
        """The header and the values of each listener rule that the cohort takes; none for a random one.

        An ALB compares a header as a whole. It takes 3 values for a condition, and 5 wildcards for a rule (ELB guide,
        condition types): so one rule has the cookie that comes first, and one the cookie that comes later.
        """
        if self.header:
            return [(self.header.name, self.header.values)]
        if self.cookie:
            pair = f"{self.cookie.name}={self.cookie.value}"
            return [("cookie", [pair, f"{pair};*"]), ("cookie", [f"*; {pair}", f"*; {pair};*"])]
        return []


def _moment(text: str) -> datetime:
    found = rules.moment(text)
    if found is None:
        raise ValueError(f"{text!r} is no time")
    return found
