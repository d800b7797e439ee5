"""`hueshift status`: what users get now, asked of the load balancer and the alarms, beside what the stack file says."""

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from botocore.exceptions import BotoCoreError, ClientError

from components.model import Color, alarm_name
from components.rules import moment
from hueshift.report import Json, RefusedError, StackName, emit, explained, reported
from hueshift.stack import Place, Wished, place, trusted_before
from hueshift.traffic.balancer import PATIENCE, Balancer, Rule
from hueshift.traffic.live import disagreement, idle, shown
from hueshift.traffic.way_back import back

if TYPE_CHECKING:
    from hueshift.release.home import Latest

DIFFERS: Final = 3
"""The exit status where the load balancer has something else than the stack file."""
OPEN: Final = 4
"""The exit status of --closed where a release is open."""
EVERY: Final = 5
"""Seconds between two looks of --watch."""
_BAR: Final = 10
"""Characters for 100 %."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One service as it is now."""

    wished: Wished
    live: Mapping[Color, int] | None
    """Percent by color; None if that cannot be told."""
    problem: str | None
    """Why it cannot be told, or how it differs from the stack file, and what mends it."""
    copied: int
    """Percent of the requests that a mirror answers, and copies to the other color."""
    healthy: Mapping[Color, int]
    """Targets by color, as far as the rule names their groups."""
    alarms: Sequence[str]
    """Those that are on."""
    idle: Color | None
    """The color that nobody is sent to while the other has everybody."""
    together: Sequence[str]
    """The services that flip with it, itself among them."""
    way_back: Color | None
    """What `hueshift rollback` would give all traffic to."""
    release: "Latest | None"
    """The last release; None if there is none, or that is not known."""

    def as_json(self) -> Mapping[str, Any]:
        """Return it for a machine."""
        return {
            "host": self.wished.host,
            "live": self.live,
            "file": self.wished.weights,
            "active": self.wished.active,
            "canary": self.wished.canary,
            "idle": self.idle,
            "together": self.together,
            "versions": self.wished.versions,
            "copied": self.copied,
            "healthy": self.healthy,
            "alarms": self.alarms,
            "wayBack": self.way_back,
            "experiment": self.wished.experiment,
            "release": self.release.as_json() if self.release else None,
            "problem": self.problem,
        }


def status(
    *,
    service: Annotated[str | None, typer.Option(help="One service alone.", metavar="S")] = None,
    stack: StackName = None,
    watch: Annotated[bool, typer.Option("--watch", help=f"Look again every {EVERY} seconds, until Ctrl-C.")] = False,
    closed: Annotated[bool, typer.Option("--closed", help="End with 4 if a release is open.")] = False,
    as_json: Json = False,
) -> None:
    """Show what users get, and what the stack file says.

    Asked of the load balancer, of the alarms, and of the record of releases; the versions are those of the stack file.

    Exit status: 0 the load balancer has what the stack file says; 1 it could not be asked; 3 it has something else; 4
    with --closed, a release is open.
    """
    with reported():
        there = place(stack)
        wanted = [there.service(service)] if service else list(there.services.values())
        if not wanted:
            raise RefusedError(
                f"{there.file.name} has no service with colors; what is wrong with it: "
                f"hueshift doctor --stack {there.name}"
            )
        balancer = Balancer(there, patience=PATIENCE)

        @cache
        def served(name: str, color: Color) -> bool | None:
            return trusted_before(there, there.services[name], color)

        def look() -> tuple[list[Seen], Sequence[str]]:
            with ThreadPoolExecutor(5) as pool:
                recorded = pool.submit(_releases, there)
                on, unasked = _alarms(balancer, there)
                rules = balancer.search(wanted)
                seen = list(pool.map(lambda one: _seen(there, balancer, one, rules[one.name], on, served), wanted))
                releases, unread = recorded.result()
            unknown = [f"alarms: not known: {unasked}"] if unasked else []
            unknown += [f"release: not known: {unread}"] if unread else []
            return [replace(item, release=releases.get(item.wished.name)) for item in seen], unknown

        found, unknown = look()
        while watch:
            typer.echo("\x1b[H\x1b[2J" if sys.stdout.isatty() else "", nl=False)
            typer.echo("\n".join(_page(there, found, unknown)))
            time.sleep(EVERY)
            there = place(there.name)
            found, unknown = look()
        if as_json:
            services = {item.wished.name: item.as_json() for item in found}
            about = {"stack": there.name, "environment": there.environment, "dashboard": there.dashboard}
            emit({**about, "services": services})
        else:
            typer.echo("\n".join(_page(there, found, unknown)))
        if there.unread:
            typer.echo(there.unread, err=True)
        problems = [item.problem for item in found if item.problem]
        busy = [item for item in found if closed and item.release and not item.release.record.phase.closed]
        if busy:
            problems = [f"{item.wished.name}: {item.release}" for item in busy]
        if any(item.live is None for item in found):
            raise RefusedError("\n  ".join(problems))
    for problem in problems:
        typer.echo(f"error: {problem}", err=True)
    if problems:
        raise typer.Exit(OPEN if busy else DIFFERS)


def _seen(
    there: Place,
    balancer: Balancer,
    wished: Wished,
    rule: Rule | str,
    alarms: Mapping[str, Sequence[str]],
    served: Any,  # noqa: ANN401 - a cached function
) -> Seen:
    live: Mapping[Color, int] | None = None
    healthy: Mapping[Color, int] = {}
    problem = free = to = None
    try:
        if isinstance(rule, str):
            raise RefusedError(rule)
        healthy = balancer.healthy(rule)
        live = {color: rule.live.get(color, 0) for color in wished.colors}
        problem = disagreement(there, wished.name, live)
    except (RefusedError, BotoCoreError, ClientError) as error:
        problem = f"{wished.name}: {explained(error)}"
    if live is not None:
        with suppress(RefusedError):
            free = idle(live)
        with suppress(RefusedError):
            to = back(wished, live, to=None, served=lambda color: served(wished.name, color), force=False)
    together = [wished.name]
    if not wished.own:
        together = [name for name, other in there.services.items() if not other.own]
    return Seen(
        wished=wished,
        live=live,
        problem=problem,
        copied=rule.copied if isinstance(rule, Rule) else 0,
        healthy=healthy,
        alarms=alarms.get(wished.name, []),
        idle=free,
        together=together,
        way_back=to if to is not None and live is not None and live.get(to) != 100 else None,
        release=None,
    )


def _releases(there: Place) -> tuple[Mapping[str, "Latest"], str | None]:
    """Return the last releases by service, and why they are not known."""
    from hueshift.release.home import latest  # what the way back has no time for
    from hueshift.release.store import StoreError

    try:
        return latest(there), None
    except (RefusedError, StoreError, BotoCoreError, ClientError, ValueError) as error:
        return {}, explained(error)


def _alarms(balancer: Balancer, there: Place) -> tuple[Mapping[str, Sequence[str]], str | None]:
    """Return the alarms that are on by service, and why they are not known."""
    prefix = alarm_name(there.environment, "")
    names: list[str] = []
    token: dict[str, Any] = {}
    try:
        while True:
            page = balancer.cloudwatch.describe_alarms(
                AlarmNamePrefix=prefix, StateValue="ALARM", AlarmTypes=["CompositeAlarm", "MetricAlarm"], **token
            )
            for kind in ("CompositeAlarms", "MetricAlarms"):
                names += [alarm["AlarmName"] for alarm in page.get(kind, [])]  # type: ignore[attr-defined]
            if not page.get("NextToken"):
                break
            token = {"NextToken": page["NextToken"]}
    except (BotoCoreError, ClientError) as error:
        return {}, explained(error)
    found: dict[str, list[str]] = {}
    for name in sorted(names):
        # One service's name may begin with another's.
        owners = [service for service in there.services if name.startswith(f"{prefix}{service}-")]
        if owners and not name.endswith("-moving"):
            found.setdefault(max(owners, key=len), []).append(name)
    return found, None


def _experiment(wished: Wished) -> str:
    """Return a line on a service's experiment."""
    said = wished.experiment or {}
    until, name = moment(str(said.get("until"))), said.get("name")
    if until is not None and until <= datetime.now(UTC):
        return f"experiment {name}: over since {said['until']}; remove services.{wished.name}.experiment"
    return (
        f"experiment {name}: {wished.active.other} is the variant until {said.get('until')}: hueshift experiment status"
    )


def _page(there: Place, found: Sequence[Seen], unknown: Sequence[str]) -> Iterator[str]:
    """Yield the lines for a person."""
    for item in found:
        wished = item.wished
        yield f"{there.name}/{wished.name}  https://{wished.host}"
        for color in wished.colors:
            share = item.live.get(color, 0) if item.live is not None else None
            bar = "█" * round((share or 0) * _BAR / 100)
            percent = "  ?" if share is None else f"{share:>3}"
            pods = f"{item.healthy[color]} healthy" if color in item.healthy else "not asked"
            yield f"  {color:<6}{percent} %  {bar:<{_BAR}}  {wished.versions[color]:<12}{pods}"
        yield f"  stack file: {shown(wished.weights)}"
        if item.copied or wished.copied:
            yield f"  copies: {item.copied} % of the requests; stack file: {wished.copied} %"
        if wished.experiment:
            yield f"  {_experiment(wished)}"
        for alarm in item.alarms:
            yield f"  alarm: {alarm}"
        yield from (f"  {what}" for what in unknown)
        if item.release is not None:
            yield f"  {item.release}"
        if item.way_back is not None:
            name = f" --service {wished.name}" if wished.own else ""
            yield f"  way back: {item.way_back} {wished.versions[item.way_back]}: hueshift rollback{name}"
        elif item.live is not None:
            yield "  way back: none"
    if there.dashboard is not None:
        yield f"dashboard: {there.dashboard}"
