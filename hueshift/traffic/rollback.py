"""`hueshift rollback`: all traffic back to the color that served before, by one call for each service.

The live rule is moved first. The stack file, its commit and the state follow as far as they can be reached: none of
them is needed for the traffic, and each later `pulumi up` finds nothing left to move.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from math import inf
from typing import Annotated, Final

import typer
from botocore.exceptions import BotoCoreError, ClientError

from components.model import Color
from components.model.tokens import PRODUCTION_RULE, ROUTE_RULE
from hueshift import STARTED
from hueshift.report import Json, RefusedError, StackName, emit, explained, reported
from hueshift.stack import Place, Wished, place, trusted_before
from hueshift.traffic.balancer import Balancer, Rule
from hueshift.traffic.way_back import back

UNKEPT: Final = 4
"""The exit status where traffic has moved, and something that says so could not be written."""

Record = Callable[[Sequence["Move"]], str]
"""Writes a way back into the record of releases, and returns what it wrote, for a person."""


@dataclass(frozen=True, kw_only=True)
class Move:
    """What a way back has done to one service."""

    service: str
    color: Color
    version: str
    """What its users get now."""
    before: Mapping[Color, int]
    seconds: float
    """From the start of the command until the new weights were read back."""


@dataclass(frozen=True, kw_only=True)
class Kept:
    """One thing that was written after the traffic had moved, or could not be."""

    what: str
    done: bool
    said: str
    needed: bool = True
    """Whether traffic would move again without it: what only the state lacks, the next update finds done."""


def rollback(
    *,
    service: Annotated[
        str | None,
        typer.Option(help="One service alone; else all that follow the stack's activeColor.", metavar="S"),
    ] = None,
    stack: StackName = None,
    to: Annotated[
        str | None, typer.Option(help="The version that users are to get; a color runs it.", metavar="V")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Even to a color that never had users, or has no healthy target.")
    ] = False,
    commit: Annotated[bool, typer.Option("--commit", help="Commit the stack file, by pipeline/keep.sh.")] = False,
    as_json: Json = False,
) -> None:
    """Give all traffic back to the color that served before.

    The load balancer is told first, whatever the state, its lock or a running update say. Then the stack file, with
    --commit its commit, and the state follow, each as far as it can be reached.

    Exit status: 0 all done; 1 refused, and nothing moved; 4 traffic moved, but not of all services, or the stack file
    or its commit does not say so.
    """
    with reported():
        there = place(stack)
        moves, failed, partly = _moved(there, _members(there, service), to=to, force=force)
        kept = [] if failed else list(keep(there, moves, commit=commit, record=partial(_record, there)))
        for item in kept:
            typer.echo(f"{item.what}: {item.said}", err=True)
        if as_json:
            emit(
                {
                    "stack": there.name,
                    "moved": [asdict(move) for move in moves],
                    "failed": failed,
                    "kept": [asdict(item) for item in kept],
                }
            )
        if failed and not moves and not partly:
            raise RefusedError("\n  ".join(failed.values()))
    for text in failed.values():
        typer.echo(f"error: {text}; run it again", err=True)
    if failed or any(item.needed and not item.done for item in kept):
        raise typer.Exit(UNKEPT)


def _members(there: Place, service: str | None) -> Sequence[Wished]:
    """Return the services that go back together. Raises ``RefusedError`` if that is nobody."""
    if service is not None:
        return [there.service(service)]
    if there.unread:
        typer.echo(there.unread, err=True)
    services = [wished for wished in there.services.values() if len(wished.colors) > 1]
    together = [wished for wished in services if not wished.own] or (services if len(services) == 1 else [])
    if not together:
        names = ", ".join(wished.name for wished in services) or "none"
        raise RefusedError(
            f"no service of {there.name} follows the stack's activeColor; name one with --service; there are: {names}"
        )
    return together


def _moved(
    there: Place, services: Sequence[Wished], *, to: str | None, force: bool
) -> tuple[list[Move], Mapping[str, str], bool]:
    """Move the traffic of all services at once, each read back and said.

    Returns that, by service what failed, and whether a part of what failed has moved: some of a service's rules.

    Raises ``RefusedError`` before any has moved.
    """
    balancer = Balancer(there, patience=inf)
    rules = balancer.rules(services)
    # Where some have left the color that the file trusts, those go back; where none has, all of them leave it.
    services = [one for one in services if one.experiment or rules[one.name].given.get(one.active) != 100] or services
    colors = {
        wished.name: back(
            wished, rules[wished.name].given, to=to, served=partial(trusted_before, there, wished), force=force
        )
        for wished in services
    }
    for wished in services:
        rule, color = rules[wished.name], colors[wished.name]
        for each in rule.each:
            each.moved({color: 100})  # refused before the first is sent
        if not force:
            _refuse_dead(balancer, rule, wished, color)

    parts: list[str] = []

    def one(wished: Wished) -> Move | str:
        rule, color = rules[wished.name], colors[wished.name]
        try:
            if rule.given.get(color) != 100 or rule.sticky or rule.copied:
                balancer.move(rule, {color: 100})
            if wished.experiment:
                balancer.end_cohort(rule, wished.host, color)
        except (BotoCoreError, ClientError, RefusedError) as error:
            with suppress(BotoCoreError, ClientError, RefusedError):
                if (now := balancer.read(rule).told) != rule.told:
                    parts.append(wished.name)
                    return f"{wished.name} had {rule.told}, and now {now}: {explained(error)}"
            return f"{wished.name} had {rule.told}: {explained(error)}"
        move = Move(
            service=wished.name,
            color=color,
            version=wished.versions[color],
            before=rule.given,
            seconds=round(time.monotonic() - STARTED, 2),
        )
        already = " already" if rule.given.get(color) == 100 else ""
        typer.echo(
            f"{color} has all traffic of {move.service} in {there.name}{already}, and users get {move.version}: "
            f"{move.seconds:.1f} s",
            err=True,
        )
        return move

    with ThreadPoolExecutor(8) as pool:
        done = dict(zip(colors, pool.map(one, services), strict=True))
    return (
        [item for item in done.values() if isinstance(item, Move)],
        {name: item for name, item in done.items() if isinstance(item, str)},
        bool(parts),
    )


def _refuse_dead(balancer: Balancer, rule: Rule, wished: Wished, color: Color) -> None:
    """Raise ``RefusedError`` if nobody would answer the users of a color; not if that cannot be asked."""
    group = rule.group(color)
    if group is None or rule.given.get(color) == 100:
        return
    try:
        count = balancer.healthy_of(group)
    except (BotoCoreError, ClientError) as error:
        typer.echo(f"the healthy targets of {color} are not known: {explained(error)}", err=True)
        return
    if not count:
        parked = wished.colors[color].get("parked") in (True, "true")
        why = (
            f"it is parked; give it its pods: pulumi config rm --path services.{wished.name}.colors.{color}.parked, "
            "then pulumi up"
            if parked
            else "look: kubectl get pods --all-namespaces --selector "
            f"app.kubernetes.io/name={wished.name},hueshift.dev/color={color}"
        )
        raise RefusedError(
            f"{wished.name}: {color} has no healthy target, and its users would get 503, so {rule.told} stays; "
            f"{why}; or move it all the same: --force"
        )


def keep(there: Place, moves: Sequence[Move], *, commit: bool, record: Record | None = None) -> Iterator[Kept]:
    """Write what has moved to where it is kept, one after the other; what fails is said and hinders nothing else.

    ``record`` writes it into the record of the release that is open, None if there is none.
    """
    if record is not None and (item := _kept("release", lambda: record(moves), needed=False)).said:
        yield item
    file = _kept(there.file.name, lambda: _write(there, moves))
    yield file
    if commit and file.done:
        yield _kept("commit", lambda: _commit(there, moves))
    yield _kept("state", lambda: learn(there, [move.service for move in moves]), needed=False)


def _kept(what: str, write: Callable[[], str], *, needed: bool = True) -> Kept:
    try:
        return Kept(what=what, done=True, said=write(), needed=needed)
    except (RefusedError, BotoCoreError, ClientError, OSError) as error:
        return Kept(what=what, done=False, said=f"not written: {explained(error)}", needed=needed)


def _record(there: Place, moves: Sequence[Move]) -> str:
    """Let the releases know of it; empty if there is none that it concerns."""
    from hueshift.release.home import went_back  # what the way back itself has no time for

    return went_back(there, {move.service: move.color for move in moves})


def settings_of(there: Place, colors: Mapping[str, Color]) -> Mapping[str, str | int]:
    """Return the keys of a stack file, and their values, by which each color has all traffic of its service.

    The stack's own keys where all services that follow them have moved alike; else keys of the service, which then
    follows the stack no more.
    """
    wanted: dict[str, str | int] = {}
    following = {name for name, wished in there.services.items() if not wished.own}
    services = there.services
    colors = {
        name: color for name, color in colors.items() if (services[name].active, services[name].canary) != (color, 0)
    }
    whole = bool(following) and following <= colors.keys() and len({colors[name] for name in following}) == 1
    for name, color in colors.items():
        said = there.values["services"][name]
        stacks = whole and name in following
        if stacks:
            wanted |= {"activeColor": color.value, "canaryWeight": 0}
        if not stacks or "canaryWeight" in said:
            wanted[f"services.{name}.canaryWeight"] = 0
        if not stacks and there.services[name].active is not color:
            wanted[f"services.{name}.activeColor"] = color.value
    return {path: value for path, value in wanted.items() if str(_at(there.values, path)) != str(value)}


def _at(values: Mapping[str, object], path: str) -> object:
    """Return what stands at a path, None if nothing does."""
    found: object = values
    for key in path.split("."):
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def _write(there: Place, moves: Sequence[Move]) -> str:
    # Nothing is copied after a way back: the update that follows must not begin it again.
    copied = [f"services.{move.service}.shadow.percent" for move in moves if there.services[move.service].copied]
    wanted = {**settings_of(there, {move.service: move.color for move in moves}), **dict.fromkeys(copied, 0)}
    ended = [f"services.{move.service}.experiment" for move in moves if there.services[move.service].experiment]
    if not wanted and not ended:
        return "as it was: it says so already"
    there.write(wanted)
    for path in ended:
        there.clear(path)
    said = ", ".join([*(f"{path}: {value}" for path, value in wanted.items()), *(f"no {path}" for path in ended)])
    alone = [
        move.service
        for move in moves
        if not there.services[move.service].own and f"services.{move.service}.activeColor" in wanted
    ]
    more = "".join(
        f"; {name} follows the stack's activeColor no more, until: pulumi config rm --path services.{name}.activeColor"
        for name in alone
    )
    return f"{said}{more}"


def _commit(there: Place, moves: Sequence[Move]) -> str:
    what = ", ".join(f"{move.service} to {move.version} ({move.color})" for move in moves)
    return there.commit(f"Roll back {what} in {there.name}")


def learn(there: Place, services: Sequence[str]) -> str:
    """Let the state learn the weights, by an update of the rules alone, which finds them as they are wished.

    Raises ``RefusedError``.
    """
    ours = {f"::{service}{PRODUCTION_RULE}" for service in services}
    routes = tuple(f"::{service}{ROUTE_RULE}" for service in services)
    # Those that are there: a pattern would reach a rule that waits to be made too, and what that needs is no target.
    targets = [
        f"--target={resource['urn']}"
        for resource in there.state()["deployment"].get("resources") or []
        if resource["type"] == "aws:lb/listenerRule:ListenerRule"
        and (any(resource["urn"].endswith(name) for name in ours) or any(name in resource["urn"] for name in routes))
    ]
    if not targets:
        raise RefusedError("the state names no production rule; the next update makes it")
    try:
        there.update("--refresh", *targets)
    except RefusedError as error:
        raise RefusedError(
            f"{error}; it waits for the next pulumi up, which finds the traffic where it is to be"
        ) from None
    return "knows the weights"
