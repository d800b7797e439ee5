"""The commands of a release: planned, made, agreed to, held, undone, gone on with, tidied up, looked back on."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Final

import typer
from botocore.exceptions import BotoCoreError, ClientError

from components.model import Color, split
from components.spec import Replicas, StrategyKind
from hueshift.release import counts, view
from hueshift.release import plan as planned
from hueshift.release.counts import USUAL, SignalError
from hueshift.release.drive import Asked, Event, Phase, Record, noted, to_data, undoing
from hueshift.release.driver import Driver, name_of_me
from hueshift.release.home import Home, home, kept, open_record
from hueshift.release.plan import Candidate, Plan
from hueshift.release.signals import answers, ran
from hueshift.release.store import BusyError, LostError, StoreError
from hueshift.release.unit import Unit, unit_of, units
from hueshift.report import Json, RefusedError, StackName, emit, explained, reported
from hueshift.stack import git, place
from hueshift.traffic.balancer import PATIENCE, Balancer, Rule
from hueshift.traffic.live import same, shown

PROMOTED: Final = 0
REFUSED: Final = 1
UNDONE: Final = 3
OPEN: Final = 4
_CODES: Final = {Phase.PROMOTED: PROMOTED, Phase.UNDONE: UNDONE}
_ASK: Final = 2
"""Seconds between two looks at what another driver does."""
_TRIES: Final = 30
"""Seconds in which a service that is updated in place must answer its checks."""

Service = Annotated[
    str | None,
    typer.Option(
        "--service",
        help="A service, with all that share its activeColor; else those that follow the stack's.",
        metavar="S",
    ),
]
Commit = Annotated[bool, typer.Option("--commit", help="Commit the stack file, by pipeline/keep.sh.")]


@contextmanager
def _reported() -> Iterator[None]:
    """Turn what a person can mend into a message and exit status 1."""
    with reported():
        try:
            yield
        except (StoreError, BusyError, SignalError, ValueError) as error:
            raise RefusedError(str(error)) from None


@dataclass(frozen=True, kw_only=True)
class Given:
    """What the new color of one service is to run."""

    service: str
    image: str
    version: str
    schema: str | None

    @property
    def wanted(self) -> Mapping[str, str]:
        """Its keys in the stack file."""
        return {"image": self.image, "version": self.version, **({"schema": self.schema} if self.schema else {})}


def _given(unit: Unit, image: str | None, version: str | None, schema: str | None, service: str | None) -> Given | None:
    if image is None and version is None and schema is None:
        return None
    if image is None or version is None:
        raise RefusedError("--image needs --version, the version that it holds, and --schema needs both")
    alone = list(unit.services) if len(unit.services) == 1 else [service] if service else []
    if len(alone) != 1 or alone[0] is None:
        raise RefusedError(f"whose image it is must be said with --service; there are: {', '.join(unit.services)}")
    return Given(service=alone[0], image=image, version=version, schema=schema)


# The plan


@dataclass(frozen=True, kw_only=True)
class _Looked:
    """What was found out before a release."""

    plan: Plan
    rules: Mapping[str, Rule]
    slow: Mapping[str, float]


def _look(at: Home, unit: Unit, given: Given | None) -> _Looked:
    balancer = Balancer(at.place, patience=PATIENCE)
    rules = balancer.rules(list(unit.services.values()))
    counted, now, old = at.counts(unit, rules), at.store.now(), unit.old
    candidates, slow = [], {}
    for name, wished in unit.services.items():
        if len(wished.colors) < 2:
            raise RefusedError(f"{name} has one color; give it the other: hueshift:services.{name}.colors.{old.other}")
        strategy = unit.stepped(name)
        usual = counts.usual(counted.ticks(name, since=now - USUAL, now=now, slow=None), old)
        if strategy.limit is not None and (bound := counted.bound(name, old)) is not None:
            slow[name] = bound
        after = given.version if given and given.service == name else wished.versions[old.other]
        candidates.append(
            Candidate(
                service=name,
                host=unit.url(name, old.other),
                strategy=strategy,
                versions=(wished.versions[old], after),
                live=rules[name].live,
                healthy=balancer.healthy(rules[name]),
                rate=usual.rate,
                failing=usual.failing,
                clumps=usual.clumps,
            )
        )
    found = planned.plan(
        unit.name,
        candidates,
        environment=at.place.environment,
        old=old,
        freezes=unit.freezes,
        now=now,
        keep_old=unit.keep_old,
    )
    return _Looked(plan=found, rules=rules, slow=slow)


def plan(*, service: Service = None, stack: StackName = None, as_json: Json = False) -> None:
    """Show what a release would do, and why it may not begin.

    Exit status: 0 it may begin; 1 it may not.
    """
    with _reported():
        there = place(stack)
        unit = unit_of(there, service)
        _refuse_in_place(unit, "has no steps to plan: `hueshift release` updates it, tries it, and takes it back")
        at = home(there)
        looked = _look(at, unit, None)
        refusals = [*unit.held, *looked.plan.refusals]
        if (record := open_record(at.store, unit)) is not None:
            refusals.append(f"release {record.id} of {record.unit} is {record.phase}, driven by {record.owner}")
        found = replace(looked.plan, refusals=refusals)
        if as_json:
            steps = zip(found.steps, found.proofs, strict=True)
            emit(
                {
                    "unit": found.unit,
                    "services": list(unit.services),
                    "old": found.old,
                    "new": found.new,
                    "steps": [{"weight": it.weight, "bake": it.bake, "proves": list(said)} for it, said in steps],
                    "seconds": found.seconds,
                    "frozen": found.frozen,
                    "refusals": refusals,
                }
            )
        else:
            typer.echo("\n".join(found.lines()))
        if refusals:
            raise typer.Exit(REFUSED)


def _refuse_in_place(unit: Unit, why: str) -> None:
    for name in unit.services:
        if (kind := unit.kind(name)) is not StrategyKind.BLUE_GREEN:
            raise RefusedError(f"{name} is {kind}: it {why}")


# The release


def release(
    *,
    image: Annotated[str | None, typer.Option(help="What the new color is to run, by digest.", metavar="IMAGE")] = None,
    version: Annotated[str | None, typer.Option(help="The version that the image holds.", metavar="V")] = None,
    schema: Annotated[str | None, typer.Option(help="The revision that it needs; as before unless given.")] = None,
    service: Service = None,
    stack: StackName = None,
    commit: Commit = False,
    detach: Annotated[
        bool, typer.Option("--detach", help="Leave it open once its first step is live, for `hueshift resume`.")
    ] = False,
    force: Annotated[
        str | None, typer.Option(help="Why it is made in a freeze, or though it was rejected.", metavar="REASON")
    ] = None,
    give_up_way_back: Annotated[
        bool, typer.Option("--give-up-way-back", help="Even onto the color that the last release would go back to.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Give a new version the traffic, step by step, each judged, and take it back if it is bad.

    The idle color gets what it is to run, by `pulumi up`, and is tried at its test host. Then live weights move along
    the steps of the stack file, which itself is written once, at the end. Ctrl-C undoes it. An image that users have
    already is no release: the stack is brought to what its file says, by `pulumi up`.

    Exit status: 0 promoted; 1 refused, with nothing done; 3 undone; 4 open: `hueshift resume` goes on.
    """
    with _reported():
        there = place(stack)
        unit = unit_of(there, service)
        given = _given(unit, image, version, schema, service)
        if given and (wished := unit.services[given.service]).colors[wished.active].get("image") == given.image:
            there.up()
            typer.echo(f"users of {given.service} have {given.image} already: the stack is as its file says")
            return
        if any(unit.kind(name) is not StrategyKind.BLUE_GREEN for name in unit.services):
            _in_place(unit, given, commit=commit)
            return
        at = home(there)
        new = unit.old.other
        if (opened := open_record(at.store, unit)) is not None:
            raise RefusedError(
                f"release {opened.id} of {opened.unit} is {opened.phase}, driven by {opened.owner}: `hueshift status`, "
                "`hueshift resume` or `hueshift abort`"
            )
        if not give_up_way_back and (why := kept(at.store, unit, color=new)) is not None:
            raise RefusedError(why)
        looked = _look(at, unit, given)
        images = {name: str(wished.colors[new].get("image") or "") for name, wished in unit.services.items()}
        if given:
            images[given.service] = given.image
        refusals = [*unit.held, *looked.plan.refusals, *([] if force else _rejections(at, unit, images))]
        if refusals:
            raise RefusedError("\n  ".join(refusals))
        shows = _view(at, unit, as_json)
        driver = at.driver(
            unit,
            commit=commit,
            told=shows.told,
            shown=shows.shown,
            prepare=lambda record: _prepare(unit, record, given, commit=commit),
        )
        _begin(at, unit, looked, driver, images=images, force=force)
    raise typer.Exit(_driven(at, driver, shows, once=detach, as_json=as_json))


def _rejections(at: Home, unit: Unit, images: Mapping[str, str]) -> list[str]:
    rejected = at.store.rejected(unit.name)
    return [
        f"{name}: {image} was released before and undone, {why}; build it anew, or say why it is good: --force REASON"
        for name, image in images.items()
        if image and (why := rejected.get(image.rpartition("@")[2]))
    ]


def _begin(
    at: Home, unit: Unit, looked: _Looked, driver: Driver, *, images: Mapping[str, str], force: str | None
) -> None:
    """Write the record of a new release. Raises ``BusyError`` if one is open."""
    found, now = looked.plan, at.store.now()
    record = Record(
        id=0,
        unit=unit.name,
        services=tuple(unit.services),
        old=found.old,
        new=found.new,
        versions={it.service: it.versions for it in found.candidates},
        images=images,
        strategies={it.service: it.strategy for it in found.candidates},
        steps=tuple(found.steps),
        pods={it.service: it.healthy.get(found.old, 1) for it in found.candidates},
        slow=looked.slow,
        rules={name: rule.arn for name, rule in looked.rules.items()},
        commit=git(at.place.folder, "rev-parse", "--short", "HEAD"),
        forced=force,
        since=now,
        owner=driver.me,
    )
    what = ", ".join(f"{it.service} {it.versions[0]} → {it.versions[1]}" for it in found.candidates)
    begun = noted(record, by=driver.me, now=now, what=f"begins: {what}{f', forced: {force}' if force else ''}")
    try:
        at.store.begin(begun)
    except LostError:
        raise BusyError(f"another release of {unit.name} has just begun: `hueshift status`") from None


def _prepare(unit: Unit, record: Record, given: Given | None, *, commit: bool) -> None:
    """Let the stack file give the new color what the record names, and its pods. Raises ``RefusedError``."""
    from components.settings import SettingsError  # a second of imports, which nothing else here needs
    from hueshift.images.command import give
    from hueshift.stack import load

    changed = False
    for name in record.services:
        wanted = given.wanted if given and given.service == name else {}
        said = place(unit.place.name).services[name].colors[record.new]
        if wanted or said.get("parked"):
            try:
                keys, unparked = give(load(unit.place.name), name, record.new, wanted)
            except SettingsError as error:
                raise RefusedError(str(error)) from None
            changed = changed or bool(keys) or unparked
        says = wanted.get("image") or said.get("image") or ""
        if says != record.images[name]:
            raise RefusedError(
                f"{unit.place.file.name} gives {record.new} of {name} {says or 'what is built here'}, and the release "
                f"is of {record.images[name]}"
            )
        floor = record.pods[name]
        if floor > int(unit.said(name, "replicas", "min") or Replicas.min):
            # Each color can carry all of the traffic, the new one before its first request, the old one to the last.
            floors = (f"services.{name}.colors.{color}.minReplicas" for color in (record.old, record.new))
            unit.place.write(dict.fromkeys(floors, floor))
            changed = True
    if commit and changed:
        versions = ", ".join(f"{name} {record.versions[name][1]}" for name in record.services)
        unit.place.commit(f"Give {record.new} {versions} in {unit.place.name}")


def _view(at: Home, unit: Unit, as_json: bool) -> view.View:
    return view.View(at.place.environment, unit.name, machine=as_json, live=sys.stdout.isatty())


def _driven(at: Home, driver: Driver, shows: view.View, *, once: bool, as_json: bool) -> int:
    """Drive a release that is open, say how it ended, and return the exit status."""
    record: Record | None = None
    problem = None
    try:
        record = driver.run(once=once)
    except KeyboardInterrupt:
        problem = "stopped; what is live stays as it is"
    except (RefusedError, BotoCoreError, ClientError, StoreError, ValueError) as error:
        problem = explained(error)
    finally:
        shows.close(record)
    if problem:
        typer.echo(f"error: {problem}", err=True)
    if record is None:
        record = _latest(at, driver)
    code = _CODES.get(record.phase, OPEN) if record else OPEN
    if record and record.phase is Phase.PROMOTED:
        try:
            driver.engine.learn(record.services)
        except RefusedError as error:
            typer.echo(f"state: {error}", err=True)
    if record:
        _summarize(at, record)
        said = f"release {record.id} of {record.unit} is {record.phase}"
        if code == OPEN:
            said += ", and open: `hueshift resume` goes on, `hueshift abort` undoes it"
        if as_json:
            typer.echo(json.dumps({"unit": record.unit, "release": record.id, "phase": record.phase, "exit": code}))
        else:
            typer.echo(said)
    return code


def _latest(at: Home, driver: Driver) -> Record | None:
    try:
        found = at.store.read(driver.unit.name)
    except (StoreError, ValueError):
        return None
    return found.record if found else None


def _summarize(at: Home, record: Record) -> None:
    if file := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(file).open("a") as page:
            page.write(view.summary(at.place.environment, record))


# In place


def _in_place(unit: Unit, given: Given | None, *, commit: bool) -> None:
    """Update a service with one color, try it, and go back to what it ran. Exits 0 or 3."""
    from components.settings import SettingsError  # as above
    from hueshift.images.command import give
    from hueshift.stack import load

    name, wished = next(iter(unit.services.items()))
    (color,) = wished.colors
    summary = unit.place.ask("stack", "output").get("services", {}).get(name, {})
    before = {
        "image": str(summary.get("images", {}).get(color) or ""),
        "version": str(summary.get("versions", {}).get(color) or ""),
    }
    wanted = {**wished.colors[color], **(given.wanted if given else {})}
    if wanted.get("image") == before["image"]:
        raise RefusedError(f"{name} runs {before['image']} already; name another with --image and --version")
    if not before["image"]:
        raise RefusedError(f"{name} was never deployed, so there is nothing to go back to: pulumi up")
    try:
        give(load(unit.place.name), name, color, given.wanted if given else {})
    except SettingsError as error:
        raise RefusedError(str(error)) from None
    try:
        unit.place.up()
        problem = _tried(unit, name, color, str(wanted.get("version")))
    except RefusedError as error:
        problem = str(error)
    if problem is None:
        if commit:
            unit.place.commit(f"Release {name} {wanted.get('version')} in {unit.place.name}")
        typer.echo(f"{name} {wanted.get('version')} runs in {unit.place.name}")
        return
    typer.echo(f"{problem}; {name} goes back to {before['version']}", err=True)
    stack = load(unit.place.name)
    give(stack, name, color, before)
    unit.place.up()
    typer.echo(f"{name} runs {before['version']} again; a schema that was migrated stays as it is", err=True)
    raise typer.Exit(UNDONE)


def _tried(unit: Unit, name: str, color: Color, version: str) -> str | None:
    """Return which check of a service fails for so long that it is no start, None if all pass."""
    begun = time.monotonic()
    while True:
        problem = None
        for check in unit.stepped(name).smoke:
            url = unit.url(name, color)
            if check.command:
                verdict = ran("smoke", check.command, {"URL": url, "COLOR": color.value, "SERVICE": name})
                problem = None if verdict.state == "good" else verdict.why
            else:
                problem = answers(check, url, version=version)
            if problem:
                break
        if problem is None or time.monotonic() - begun > _TRIES:
            return problem
        time.sleep(1)


# What people ask of it


def promote(
    *,
    full: Annotated[
        bool, typer.Option("--full", help="Skip what is left of this bake and all steps but the last.")
    ] = False,
    service: Service = None,
    stack: StackName = None,
    as_json: Json = False,
) -> None:
    """Agree to the next step of the open release, or end a pause.

    Exit status: 0 asked; 1 there is nothing that it could change.
    """
    _ask(Asked.FULL if full else Asked.PROMOTE, service, stack, as_json=as_json)


def pause(*, service: Service = None, stack: StackName = None, as_json: Json = False) -> None:
    """Hold the open release where it is, judged as ever, until `hueshift promote`.

    Exit status: 0 asked; 1 there is nothing that it could change.
    """
    _ask(Asked.PAUSE, service, stack, as_json=as_json)


def _ask(what: Asked, service: str | None, stack: str | None, *, as_json: bool) -> None:
    with _reported():
        there = place(stack)
        unit = unit_of(there, service)
        at = home(there)
        record = at.store.ask(unit.name, what, by=name_of_me()).record
        if as_json:
            emit({"unit": record.unit, "release": record.id, "asked": what, "driver": record.owner})
        else:
            typer.echo(f"release {record.id} of {record.unit}: asked to {what}; {record.owner} drives it")


def abort(*, service: Service = None, stack: StackName = None, commit: Commit = False, as_json: Json = False) -> None:
    """Take the traffic of the open release back, at once, and close it.

    Exit status: 0 undone; 1 no release is open; 4 the traffic is back, and the record is not closed yet.
    """
    with _reported():
        there = place(stack)
        unit = unit_of(there, service)
        at = home(there)
        record = open_record(at.store, unit)
        if record is None:
            raise RefusedError(f"no release of {unit.name} is open; what is promoted goes back by `hueshift rollback`")
        shows = _view(at, unit, as_json)
        driver = at.driver(unit, commit=commit, told=shows.told, shown=shows.shown)
        _take_back(driver, unit, record)
        found = _asked_to_abort(at, driver, unit)
    if not found.closed:
        code = _driven(at, driver, shows, once=False, as_json=as_json)
        raise typer.Exit(PROMOTED if code == UNDONE else OPEN)
    shows.close(None)
    typer.echo(f"release {record.id} of {record.unit} is {found}")


def _take_back(driver: Driver, unit: Unit, record: Record) -> None:
    """Give the old color all traffic, if it can serve it; what it cannot is for the driver to judge."""
    for rule in driver.back.rules([unit.services[it] for it in record.services], record.rules).values():
        if not all(same(shared, split(record.old, 0)) for shared in rule.shared):
            if not driver.back.healthy(rule).get(record.old):
                raise RefusedError(f"{rule.service}: {record.old} has no healthy target, so {rule.told} stays")
            driver.back.move(rule, split(record.old, 0))
            driver.told(Event(at=driver.store.now(), what=f"{record.old} has all of {rule.service}", by=driver.me))


def _asked_to_abort(at: Home, driver: Driver, unit: Unit) -> Phase:
    """Ask whoever drives to undo the release, and wait for that; take it over from who is silent."""
    while True:
        found = at.store.read(unit.name)
        assert found is not None
        record = found.record
        try:
            if record.phase is Phase.PROMOTED:
                # It was, while its traffic was taken back: what has the traffic must be what is trusted.
                why = "aborted as it was promoted"
                at.store.write(undoing(record, by=driver.me, now=at.store.now(), why=why), found)
                return Phase.UNDOING
            if record.phase.closed:
                return record.phase
            if record.phase is not Phase.UNDOING and record.asked is not Asked.ABORT:
                at.store.ask(unit.name, Asked.ABORT, by=driver.me)
            if at.store.take(unit.name, driver.me) is not None:
                return Phase.UNDOING
        except (LostError, ValueError):
            continue
        except BusyError:
            driver.sleep(_ASK)


def resume(
    *,
    every: Annotated[bool, typer.Option("--all", help="Each open release of the stack, one after the other.")] = False,
    once: Annotated[bool, typer.Option("--once", help="Do what is due and end: for a job that runs often.")] = False,
    service: Service = None,
    stack: StackName = None,
    commit: Commit = False,
    as_json: Json = False,
) -> None:
    """Go on with a release whose driver is gone.

    Exit status: 0 promoted, or none is open; 1 refused: somebody drives it; 3 undone; 4 open. Of several the largest.
    """
    codes = [PROMOTED]
    with _reported():
        there = place(stack)
        at = home(there)
        todo = list(units(there)) if every else [unit_of(there, service)]
    for unit in todo:
        with _reported():
            shows = _view(at, unit, as_json)
            driver = at.driver(
                unit,
                commit=commit,
                told=shows.told,
                shown=shows.shown,
                prepare=_later(unit, commit=commit),
            )
            try:
                taken = at.store.take(unit.name, driver.me)
                problem = None if taken else f"no release of {unit.name} is open"
            except (BusyError, LostError) as error:
                taken, problem = None, str(error)
                if not every:
                    raise RefusedError(problem) from None
            if taken is None:
                shows.close(None)
                typer.echo(problem, err=True)
                continue
        driver.hear(taken.record)
        codes.append(_driven(at, driver, shows, once=once, as_json=as_json))
    raise typer.Exit(max(codes))


def _later(unit: Unit, *, commit: bool) -> Callable[[Record], None]:
    return lambda record: _prepare(unit, record, None, commit=commit)


# Afterwards


def park(
    *,
    early: Annotated[
        bool, typer.Option("--early", help="Before timing.keepOld is over: there is no way back then.")
    ] = False,
    service: Service = None,
    stack: StackName = None,
    commit: Commit = False,
    as_json: Json = False,
) -> None:
    """Take the pods of the idle color away, once it need not be the way back any more.

    Exit status: 0 parked; 1 refused.
    """
    with _reported():
        there = place(stack)
        unit = unit_of(there, service)
        _refuse_in_place(unit, "has no idle color")
        if unit.held:
            raise RefusedError("\n  ".join(unit.held))
        at, color = home(there), unit.old.other
        if (opened := open_record(at.store, unit)) is not None:
            raise RefusedError(f"release {opened.id} of {opened.unit} is {opened.phase}: `hueshift abort` undoes it")
        if not early and (why := kept(at.store, unit, color=color)) is not None:
            raise RefusedError(why.replace("or give the way back up with --give-up-way-back", "or --early"))
        for name, rule in Balancer(there, patience=PATIENCE).rules(list(unit.services.values())).items():
            if rule.live.get(color):
                raise RefusedError(f"{name}: {color} has traffic, {shown(rule.live)}, and is not parked")
        there.write({f"services.{name}.colors.{color}.parked": True for name in unit.services})
        for name, wished in unit.services.items():
            for each, said in wished.colors.items():
                if "minReplicas" in said:
                    there.clear(f"services.{name}.colors.{each}.minReplicas")
        there.up()
        if commit:
            there.commit(f"Park {color} of {', '.join(unit.services)} in {there.name}")
        if as_json:
            emit({"unit": unit.name, "parked": color, "services": list(unit.services)})
        else:
            typer.echo(f"{color} of {', '.join(unit.services)} is parked in {there.name}")


def history(
    number: Annotated[int | None, typer.Argument(metavar="[ID]", help="One release, in Markdown.")] = None,
    *,
    service: Service = None,
    stack: StackName = None,
    as_json: Json = False,
) -> None:
    """Show the releases of a service, or what became of one.

    Exit status: 0 shown; 1 there is none.
    """
    with _reported():
        there = place(stack)
        unit = unit_of(there, service)
        at = home(there)
        records: Sequence[Record] = list(at.store.history(unit.name))
        if number is not None:
            found = [record for record in records if record.id == number]
            if not found:
                known = ", ".join(str(record.id) for record in records) or "none"
                raise RefusedError(f"no release of {unit.name} has the number {number}; there are: {known}")
            if as_json:
                emit(to_data(found[0]))
            else:
                typer.echo(view.summary(there.environment, found[0]), nl=False)
        elif as_json:
            emit([to_data(record) for record in records])
        else:
            typer.echo("\n".join(view.listed(there.environment, records)) or f"no release of {unit.name} yet")
