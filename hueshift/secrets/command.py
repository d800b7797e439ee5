"""`hueshift secrets`: put values, pin the version that a color runs with, and see what each color has.

Values come from standard input and go to Secrets Manager. They are in no argument, no file of the project, no state and
no output; what is printed of them is the names of their keys.
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Final, TextIO
from uuid import uuid4

import typer
from rich.table import Table

from components.model import Color, SecretEntry, secret_name
from components.rules import advice, secret_version_problem
from components.settings import ServiceSettings
from hueshift.report import Json, RefusedError, StackName, console, emit, reported, unknown
from hueshift.secrets.bootstrap import MAKE_CONTAINERS
from hueshift.secrets.containers import CURRENT, PENDING, PREVIOUS, Container, SecretsManager, Version
from hueshift.stack import UNPINNED, Stack, load

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Put secret values, pin their versions to colors, and see what each color has.",
)

LIMIT: Final = 65_536
"""Bytes that Secrets Manager stores in one version."""

Service = Annotated[str, typer.Argument(metavar="SERVICE", help="A service of the stack.", show_default=False)]
Entry = Annotated[str, typer.Argument(metavar="ENTRY", help="A secret entry of the service.", show_default=False)]


class Which(StrEnum):
    """The colors that a pin is moved for."""

    BLUE = "blue"
    GREEN = "green"
    BOTH = "both"


@app.command()
def put(
    service: Service,
    entry: Entry,
    *,
    version: Annotated[
        str | None, typer.Option("--version", help="The id of the new version; chosen unless given.", metavar="ID")
    ] = None,
    stack: StackName = None,
    as_json: Json = False,
) -> None:
    """Store the values that standard input holds as one JSON object. No pod changes until a pin is moved."""
    with reported():
        place = _Place.find(load(stack), service, entry)
        place.refuse_other_stores()
        container = place.container()
        waiting = sorted({pin for pin in place.pins().values() if pin and pin not in container.versions})
        if version is None and len(waiting) > 1:
            raise RefusedError(f"the colors wait for different versions, {', '.join(waiting)}; choose with --version")
        chosen = version or (waiting[0] if waiting else str(uuid4()))
        if reason := secret_version_problem(chosen):
            raise RefusedError(f"--version: {reason}")
        values = read_values(sys.stdin, place.wanted.keys, command=place.command("put"))
        place.secrets_manager.put(place.name, chosen, values)
        pinned = [color for color, pin in place.pins().items() if pin == chosen]
        place.keep(pinned, chosen)
        follow = [place.update()] if pinned else [place.command("pin", "--color", "COLOR", "--version", chosen)]
        if as_json:
            emit({**place.id, "container": place.name, "version": chosen, "pinnedBy": pinned, "next": follow})
            return
        out = console()
        out.print(f"stored as version {chosen} of {place.name}, now its current one")
        if pinned:
            out.print(f"{' and '.join(pinned)} already pin it: {follow[0]}")
        else:
            out.print(f"no pod runs with it yet; give it to blue or green: {follow[0]}")


@app.command()
def pin(
    service: Service,
    entry: Entry,
    *,
    color: Annotated[Which, typer.Option("--color", help="Whose pods are to run with it.")],
    version: Annotated[
        str,
        typer.Option(
            "--version",
            help="An id; `latest` for the current version; `new` for an id that the first `put` will give its values.",
            metavar="ID|latest|new",
        ),
    ],
    stack: StackName = None,
    as_json: Json = False,
) -> None:
    """Write into the stack file which version a color runs with. Its pods restart at the next `pulumi up`.

    The version gets the label hueshift-COLOR, which keeps it from being deleted as long as the pin stays.
    """
    with reported():
        place = _Place.find(load(stack), service, entry)
        colors = list(place.settings.colors) if color is Which.BOTH else [Color(color.value)]
        for name in colors:
            if name not in place.settings.colors:
                raise unknown(f"color of {service}", name, list(place.settings.colors))
        chosen = place.resolve(version)
        moved = [name for name in colors if place.pins()[name] != chosen]
        exists = place.wanted.source is not None or chosen in place.known()
        labelled = place.keep(colors, chosen)
        for name in moved:
            place.stack.configure(f"services.{service}.colors.{name}.secretVersions.{entry}", chosen)
        follow = [place.update()] if exists else [*place.first_steps(), place.update()]
        if as_json:
            told = {"version": chosen, "colors": colors, "moved": moved, "labelled": labelled}
            emit({**place.id, **told, "next": follow if moved else []})
            return
        out = console()
        for name in labelled:
            out.print(f"{label(name)} is now a label of version {chosen} of {place.name}")
        if not moved:
            out.print(f"{' and '.join(colors)} pin version {chosen} already; {place.stack.file.name} is as before")
            return
        out.print(f"{place.stack.file.name}: {' and '.join(moved)} now pin version {chosen} of {service}/{entry}")
        out.print(f"next, {'which restarts only their pods' if exists else 'in this order'}:")
        for step in follow:
            out.print(f"  {step}")


@app.command()
def status(*, stack: StackName = None, as_json: Json = False) -> None:
    """Show what each color has of each entry.

    Exit status 1 if something that a running color needs is missing, or will be.
    """
    with reported():
        rows = list(_rows(load(stack)))
        if as_json:
            emit([asdict(row) for row in rows])
        else:
            _print(rows)
        if any(row.lacking or row.ends for row in rows):
            raise typer.Exit(1)


def label(color: Color) -> str:
    """Return the label of the version that a color pins."""
    return f"hueshift-{color}"


def read_values(source: TextIO, keys: Sequence[str], *, command: str) -> Mapping[str, str]:
    """Return the values that the source holds, one for each key, in the order of the keys.

    Raises ``RefusedError`` with all that is wrong, which names keys and never repeats a value.
    """
    shape = "{" + ", ".join(f'"{key}": "…"' for key in keys) + "}"
    if source.isatty():
        raise RefusedError(f"values come from standard input, as {shape}; pipe them: {command} < values.json")
    text = source.read()
    twice: list[str] = []

    def collect(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
        names = [name for name, _ in pairs]
        twice.extend(sorted({name for name in names if names.count(name) > 1}))
        return dict(pairs)

    try:
        values = json.loads(text, object_pairs_hook=collect)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}" if text.strip() else "nothing came"
        raise RefusedError(f"standard input is no JSON ({where}); wanted is {shape}") from None
    if not isinstance(values, dict):
        raise RefusedError(f"standard input is JSON, but no object; wanted is {shape}")
    problems = [f"{_shown(name)}: stands there twice" for name in twice]
    problems += [f"{key}: is missing" for key in keys if key not in values]
    for name, value in values.items():
        if name not in keys:
            problems.append(f"{_shown(name)}: is no key of this entry; {advice(name, keys)}")
        elif not isinstance(value, str):
            problems.append(f"{name}: must be text in quotes, and is not")
        elif not value:
            problems.append(f"{name}: is empty")
    if problems:
        raise RefusedError("\n  ".join(["nothing is stored, for of the values", *problems]))
    if len(json.dumps(values, ensure_ascii=False).encode()) > LIMIT:
        raise RefusedError(f"the values take more than {LIMIT} bytes; put large files elsewhere, and their place here")
    return {key: values[key] for key in keys}


def _shown(name: str) -> str:
    """A key as it may be printed: what is no variable's name may be a value in the wrong place."""
    return name if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,63}", name) else "a key that is not shown here"


@dataclass(frozen=True, kw_only=True)
class _Place:
    """One entry of one service of a stack."""

    stack: Stack
    service: str
    entry: str
    settings: ServiceSettings
    wanted: SecretEntry
    secrets_manager: SecretsManager

    @classmethod
    def find(cls, stack: Stack, service: str, entry: str) -> "_Place":
        services = stack.settings.services
        if service not in services:
            raise unknown(f"service of stack {stack.name}", service, list(services))
        if entry not in services[service].secrets:
            raise unknown(f"secret entry of {service}", entry, list(services[service].secrets))
        return cls.of(stack, service, entry, SecretsManager(stack.aws()))

    @classmethod
    def of(cls, stack: Stack, service: str, entry: str, secrets_manager: SecretsManager) -> "_Place":
        settings = stack.settings.services[service]
        return cls(
            stack=stack,
            service=service,
            entry=entry,
            settings=settings,
            wanted=settings.secrets[entry],
            secrets_manager=secrets_manager,
        )

    @property
    def name(self) -> str:
        """The name of the container."""
        return secret_name(self.stack.settings.environment, self.service, self.entry)

    @property
    def id(self) -> Mapping[str, str]:
        return {"stack": self.stack.name, "service": self.service, "entry": self.entry}

    def command(self, verb: str, *options: str) -> str:
        words = ["hueshift", "secrets", verb, self.service, self.entry, *options, "--stack", self.stack.name]
        return " ".join(words)

    def update(self) -> str:
        return f"pulumi up --stack {self.stack.name}"

    def first_steps(self) -> list[str]:
        """What makes the container and its first version."""
        targets = " ".join(f"--target '{urn}'" for urn in MAKE_CONTAINERS)
        make = [] if self.secrets_manager.find(self.name) else [f"{self.update()} {targets}"]
        return [*make, f"{self.command('put')} < values.json"]

    def pins(self) -> dict[Color, str | None]:
        """The version that each color names."""
        versions = {color: release.secret_versions.get(self.entry) for color, release in self.settings.colors.items()}
        return {color: None if version == UNPINNED else version for color, version in versions.items()}

    def known(self) -> frozenset[str]:
        container = self.secrets_manager.find(self.name)
        return frozenset(container.versions if container else ())

    def keep(self, colors: Sequence[Color], version: str) -> list[Color]:
        """Attach the colors' labels to a version, if it is there and ours; return those that moved."""
        container = None if self.wanted.source else self.secrets_manager.find(self.name)
        if container is None or version not in container.versions:
            return []
        return [name for name in colors if self.secrets_manager.label(self.name, container, label(name), version)]

    def refuse_other_stores(self) -> None:
        if source := self.wanted.source:
            follow = self.command("pin", "--color", "COLOR", "--version", "VERSION")
            raise RefusedError(
                f"the values of {self.service}/{self.entry} are in the store {source.store}, at {source.path}: "
                f"put them there, then pin the version it gives: {follow}"
            )

    def container(self) -> Container:
        container = self.secrets_manager.find(self.name)
        if container is None:
            make, _ = self.first_steps()
            raise RefusedError(f"there is no container {self.name} in {self.stack.region} yet; make it: {make}")
        if container.deleted:
            restore = f"aws secretsmanager restore-secret --secret-id {self.name}"
            raise RefusedError(f"{self.name} is about to be deleted; bring it back: {restore}")
        return container

    def resolve(self, version: str) -> str:
        """Return the version id that was meant, if a color could run with it."""
        if source := self.wanted.source:
            if version in ("latest", "new"):
                raise RefusedError(f"only {source.store} knows its versions; name one with --version")
            if reason := secret_version_problem(version, external=True):
                raise RefusedError(f"--version: {reason}")
            return version
        if version == "new":
            if self.known():
                raise RefusedError(f"{self.name} has values already; put others: {self.command('put')} < values.json")
            waiting = {pin for pin in self.pins().values() if pin}
            return waiting.pop() if len(waiting) == 1 else str(uuid4())
        container = self.container()
        if version == "latest":
            if container.current is None:
                raise RefusedError(f"{self.name} has no values yet; put them: {self.command('put')} < values.json")
            version = container.current.id
        if version not in container.versions:
            newest = sorted(container.versions.values(), key=lambda item: item.created, reverse=True)[:5]
            known = ", ".join(item.id for item in newest) or "none"
            raise RefusedError(f"{self.name} has no version {version}; its newest are: {known}")
        held = self.secrets_manager.keys(self.name, version)
        if held is not None and (missing := [key for key in self.wanted.keys if key not in held]):
            raise RefusedError(
                f"version {version} of {self.name} lacks {', '.join(missing)}, and pods would not start; "
                f"put a whole one: {self.command('put')} < values.json"
            )
        return version


@dataclass(frozen=True, kw_only=True)
class Row:
    """What one color has of one entry."""

    service: str
    entry: str
    color: str
    store: str
    version: str | None
    """The pinned one."""
    exists: bool | None
    """None where only another store knows."""
    stages: tuple[str, ...]
    created: str | None
    missing: tuple[str, ...] | None
    """Keys that the version lacks; None if this caller may not read it."""
    rotation: str
    parked: bool
    lacking: bool
    """Whether the color runs, and something that its pods need is not there."""
    ends: str | None
    """Why a color that runs will lose it; None if nothing says so."""
    next: str | None


def _rows(stack: Stack) -> Iterator[Row]:
    secrets_manager = SecretsManager(stack.aws())
    for service, settings in stack.settings.services.items():
        for entry in settings.secrets:
            place = _Place.of(stack, service, entry, secrets_manager)
            container = None if place.wanted.source else secrets_manager.find(place.name)
            if container and container.deleted:
                container = None
            for color in settings.colors:
                yield _row(place, color, container)


def _row(place: _Place, color: Color, container: Container | None) -> Row:
    pinned = place.pins()[color]
    source = place.wanted.source
    version = container.versions.get(pinned) if container and pinned else None
    missing: tuple[str, ...] | None = None
    if version and (held := place.secrets_manager.keys(place.name, version.id)) is not None:
        missing = tuple(key for key in place.wanted.keys if key not in held)
    parked = place.settings.colors[color].parked
    there = bool(pinned) if source else version is not None
    return Row(
        service=place.service,
        entry=place.entry,
        color=color,
        store=source.store if source else "Secrets Manager",
        version=pinned,
        exists=None if source else version is not None,
        stages=version.stages if version else (),
        created=version.created.astimezone(UTC).isoformat(timespec="seconds") if version else None,
        missing=missing,
        rotation=_rotation(place, container),
        parked=parked,
        lacking=not parked and (not there or bool(missing)),
        ends=None if parked else _ends(container, version),
        next=_next(place, color, container, missing),
    )


def _ends(container: Container | None, version: Version | None) -> str | None:
    """Return why a version is about to be of no use."""
    if container is None or version is None:
        return None
    if not version.stages:
        return "no label keeps it: it may be deleted any day"
    if container.rotated_every is not None and not {CURRENT, PREVIOUS, PENDING} & set(version.stages):
        return f"older than {PREVIOUS}: a rotation has changed its password since"
    return None


def _rotation(place: _Place, container: Container | None) -> str:
    if place.wanted.source:
        return "by the store"
    if container is None or container.rotated_every is None:
        return "declared, not on yet" if place.wanted.rotation else "none"
    due = f", next {container.next_rotation:%Y-%m-%d}" if container.next_rotation else ""
    return f"every {container.rotated_every} days{due}"


def _next(place: _Place, color: Color, container: Container | None, missing: Sequence[str] | None) -> str | None:
    """The one command that brings the color closest to running with current values."""
    pinned = place.pins()[color]
    parked = place.settings.colors[color].parked
    if place.wanted.source:
        return None if pinned or parked else place.command("pin", "--color", color, "--version", "VERSION")
    if parked and not pinned:
        return None
    if pinned is None:
        known = container is not None and container.current is not None
        return place.command(
            "pin", *(("--color", color, "--version", "latest") if known else ("--color", "both", "--version", "new"))
        )
    if container is None:
        return place.first_steps()[0]
    if pinned not in container.versions or missing:
        return f"{place.command('put')} < values.json"
    if not container.versions[pinned].stages:
        return place.command("pin", "--color", color, "--version", pinned)
    if container.current is not None and container.current.id != pinned:
        return place.command("pin", "--color", color, "--version", "latest")
    if place.wanted.rotation and container.rotated_every is None:
        return place.update()
    return None


def _print(rows: Sequence[Row]) -> None:
    out = console()
    if not rows:
        out.print("no service of this stack has a secret entry")
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("entry", "color", "version", "stages", "age", "keys", "rotation"):
        table.add_column(heading, no_wrap=heading in ("entry", "color", "version"))
    for row in rows:
        bad, quiet = ("red", "dim")
        style = bad if row.lacking or row.ends else quiet if row.parked else ""
        table.add_row(
            f"{row.service}/{row.entry}",
            f"{row.color}{' (parked)' if row.parked else ''}",
            row.version or "not pinned",
            _stages(row),
            _age(row.created),
            _keys(row),
            row.rotation,
            style=style,
        )
    out.print(table)
    for row in rows:
        if row.ends:
            out.print(f"{row.service}/{row.entry} {row.color}: {row.ends}")
    for step in dict.fromkeys(row.next for row in rows if row.next):
        names = ", ".join(f"{row.service}/{row.entry} {row.color}" for row in rows if row.next == step)
        out.print(f"{names}: {step}")


def _stages(row: Row) -> str:
    if row.exists is None:
        return f"in {row.store}"
    if not row.exists:
        return "does not exist" if row.version else ""
    return ", ".join(row.stages) or "none"


def _age(created: str | None) -> str:
    if created is None:
        return ""
    seconds = (datetime.now(UTC) - datetime.fromisoformat(created)).total_seconds()
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return "new"


def _keys(row: Row) -> str:
    if not row.exists:
        return ""
    if row.missing is None:
        return "not readable by you"
    return f"lacks {', '.join(row.missing)}" if row.missing else "all there"
