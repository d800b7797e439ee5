"""`hueshift experiment`: what an A/B test has shown so far."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Annotated, Any, Final

import typer
from botocore.exceptions import BotoCoreError, ClientError

from components.model import Color
from components.rules import moment
from hueshift.experiment.difference import EVENTS, SURE, Difference, difference
from hueshift.release.counts import CloudWatchCounts, Prometheus, SignalError, scrapes
from hueshift.release.judge import Scrape
from hueshift.release.plan import spoken
from hueshift.release.unit import unit_of
from hueshift.report import Json, RefusedError, StackName, emit, explained, reported
from hueshift.stack import Place, Wished, place
from hueshift.traffic.balancer import PATIENCE, Balancer

OVER: Final = 3
"""The exit status where an experiment's time has passed."""
EARLY: Final = 4
"""The exit status where too little was counted for anything to be said."""

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Show what an A/B test has shown so far.",
)


@app.callback()
def _experiment() -> None:
    """Keep a command group even while it has one command."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """What is known of the experiment of one service."""

    wished: Wished
    said: Mapping[str, Any]
    """What the stack file says of it."""
    now: float
    since: float
    until: float
    source: str
    """Who counted the requests."""
    measures: Mapping[str, Difference]
    """By what was counted per request."""
    seconds: Mapping[Color, float]
    """How long an answer took on average."""

    @property
    def over(self) -> bool:
        """Whether its time has passed."""
        return self.now >= self.until

    @property
    def readable(self) -> bool:
        """Whether something can be said of it: of its metric, if it has one."""
        named = self.measures.get(str(self.said.get("metric")))
        measures = [named] if named else self.measures.values()
        return any(measure.low is not None for measure in measures)

    def as_json(self) -> Mapping[str, Any]:
        """Return it for a machine."""
        control, variant = self.wished.active, self.wished.active.other
        return {
            "name": self.said.get("name"),
            "control": control,
            "variant": variant,
            "random": "percent" in self.said,
            "since": self.said.get("since"),
            "until": self.said.get("until"),
            "over": self.over,
            "source": self.source,
            "interval": {"kind": "always valid", "sure": SURE, "readable": self.readable},
            "seconds": self.seconds,
            "measures": {
                name: {
                    "requests": {control: measure.requests[0], variant: measure.requests[1]},
                    "events": {control: measure.events[0], variant: measure.events[1]},
                    "difference": measure.rates[1] - measure.rates[0],
                    "low": measure.low,
                    "high": measure.high,
                    "shown": measure.shown,
                }
                for name, measure in self.measures.items()
            },
        }

    def lines(self, stack: str) -> Iterator[str]:
        """Yield it for a person."""
        wished, said, control = self.wished, self.said, self.wished.active
        variant, versions = control.other, wished.versions
        yield (
            f"{stack}/{wished.name}  {said.get('name')}: {variant} {versions[variant]} is the variant, {control} "
            f"{versions[control]} the control, for {_cohort(said)}"
        )
        left = f"runs, {spoken(self.until - self.now)} left"
        over = f"is over: remove services.{wished.name}.experiment, and set activeColor if the variant stays"
        begins = f"begins in {spoken(self.since - self.now)}"
        state = over if self.over else begins if self.now < self.since else left
        yield f"  {said.get('since')} to {said.get('until')}: {state}; counted by {self.source}"
        yield f"  {'per request':<24}{control:>20}{variant:>20}{'difference':>14}   {SURE:.0%} interval, in points"
        for name, measure in self.measures.items():
            cells = "".join(
                f"{f'{events:,.0f} of {requests:,.0f}':>20}"
                for events, requests in zip(measure.events, measure.requests, strict=True)
            )
            apart = f"{_points(measure.rates[1] - measure.rates[0]):>14}"
            yield f"  {name:<24}{cells}{apart}   {_interval(measure)}"
        if self.seconds:
            took = "".join(
                f"{f'{1000 * self.seconds[c]:,.0f} ms' if c in self.seconds else '?':>20}" for c in (control, variant)
            )
            yield f"  {'mean answer':<24}{took}"
        yield (
            "  always valid: look whenever you like, and end it early for what an interval shows; each holds alone"
            if self.readable
            else f"  not to be read yet: nothing is said before {EVENTS} events"
        )
        if "percent" not in said:
            yield "  not random: who is in the cohort may differ from the others for reasons of their own"


def _cohort(said: Mapping[str, Any]) -> str:
    if "percent" in said:
        return f"{said['percent']} % of the clients"
    kind = "header" if "header" in said else "cookie"
    cohort = said.get(kind) or {}
    values = cohort.get("values") or [cohort.get("value")]
    return f"who has the {kind} {cohort.get('name')}: {', '.join(map(str, values))}"


def _points(rate: float) -> str:
    return f"{100 * rate:+.3f}"


def _interval(measure: Difference) -> str:
    if measure.low is None or measure.high is None:
        return f"too few: {sum(measure.events):,.0f} of {EVENTS}"
    differs = "more" if measure.low > 0 else "less" if measure.high < 0 else "no difference shown"
    return f"{_points(measure.low)} to {_points(measure.high)}  {differs}"


@app.command()
def status(
    *,
    service: Annotated[str | None, typer.Option(help="One service alone.", metavar="S")] = None,
    stack: StackName = None,
    as_json: Json = False,
) -> None:
    """Show what each variant of the A/B tests has counted, and by how much they differ.

    The intervals are always valid: they may be looked at as often as one likes, and the test ended for what they show.

    Exit status: 0 they may be read; 1 there is no test, or it could not be counted; 3 a test is over; 4 too little was
    counted yet.
    """
    with reported():
        there = place(stack)
        asked = [there.service(service)] if service else list(there.services.values())
        wanted = [wished for wished in asked if wished.experiment]
        if not wanted:
            whose = service or f"no service of {there.name}"
            raise RefusedError(
                f"{whose} has {'no' if service else 'an'} experiment; docs/ab-tests.md says how to make one"
            )
        try:
            found = [_found(there, wished, now=time.time()) for wished in wanted]
        except SignalError as error:
            raise RefusedError(str(error)) from None
        if as_json:
            emit({"stack": there.name, "experiments": {item.wished.name: item.as_json() for item in found}})
        else:
            typer.echo("\n".join(line for item in found for line in item.lines(there.name)))
    if any(item.over for item in found):
        raise typer.Exit(OVER)
    if not all(item.readable for item in found):
        raise typer.Exit(EARLY)


def _found(there: Place, wished: Wished, *, now: float) -> Found:
    said = wished.experiment or {}
    since, until = (_time(wished, said, key) for key in ("since", "until"))
    end = max(since, min(now, until))
    metric = said.get("metric")
    at_aws = isinstance(metric, str) and "/" in metric
    url = unit_of(there, wished.name).prometheus
    prometheus = Prometheus(url, there.environment) if url else None
    if metric and not at_aws and prometheus is None:
        raise RefusedError(
            f"{wished.name}: {metric} is a counter in Prometheus, which hueshift:releases.prometheus must name; in "
            "CloudWatch it is NAMESPACE/NAME"
        )
    cloudwatch = None
    if prometheus is None or at_aws:
        balancer = Balancer(there, patience=PATIENCE)
        try:
            cloudwatch = CloudWatchCounts(balancer.cloudwatch, balancer.rules([wished]), there.environment)
        except (BotoCoreError, ClientError) as error:
            raise RefusedError(f"the load balancer cannot be asked: {explained(error)}") from None
    counts: Prometheus | CloudWatchCounts | None = prometheus or cloudwatch
    assert counts is not None
    control = wished.active
    # As it was when it began: a bound that moves with what is counted would be a result itself.
    bound = counts.bound(wished.name, control, since)
    measures = {}
    ticks = counts.ticks(wished.name, since=since, now=end, slow=bound)
    measures["errors"] = difference(scrapes(ticks, control, slow=False))
    if bound is not None:
        measures[f"slower than {1000 * bound:,.0f} ms"] = difference(scrapes(ticks, control, slow=True))
    if isinstance(metric, str):
        source: Prometheus | CloudWatchCounts | None = cloudwatch if at_aws else prometheus
        assert source is not None
        if source is not counts:  # per request as the same system counts them
            ticks = source.ticks(wished.name, since=since, now=end, slow=None)
        events = source.events(wished.name, metric, since=since, now=end)
        measures[metric] = difference(_of_metric(ticks, control, events))
    return Found(
        wished=wished,
        said=said,
        now=now,
        since=since,
        until=until,
        source="Prometheus" if prometheus else "CloudWatch",
        measures=measures,
        seconds=counts.seconds(wished.name, since=since, now=end),
    )


def _of_metric(ticks: Sequence[Any], control: Color, events: Mapping[float, Mapping[Color, float]]) -> list[Scrape]:
    return [
        scrape._replace(
            old_bad=events.get(tick.at, {}).get(control, 0.0), new_bad=events.get(tick.at, {}).get(control.other, 0.0)
        )
        for tick, scrape in zip(ticks, scrapes(ticks, control, slow=False), strict=True)
    ]


def _time(wished: Wished, said: Mapping[str, Any], key: str) -> float:
    found = moment(str(said.get(key)))
    if found is None:
        raise RefusedError(f"hueshift:services.{wished.name}.experiment.{key} is no time: {said.get(key)!r}")
    return found.astimezone(UTC).timestamp()
