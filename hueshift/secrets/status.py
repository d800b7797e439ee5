"""Which version of each secret entry each color has, as rows and as a table."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from rich.table import Table

from components.model import Color
from hueshift.report import console
from hueshift.secrets.containers import CURRENT, PENDING, PREVIOUS, Container, SecretsManager, Version
from hueshift.secrets.entry import EntryRef
from hueshift.stack import Stack


@dataclass(frozen=True, kw_only=True)
class Row:
    """The version of one entry that one color pins, and its state."""

    service: str
    entry: str
    color: str
    store: str
    version: str | None
    """The pinned version."""
    exists: bool | None
    """None if the values are in another store."""
    stages: tuple[str, ...]
    created: str | None
    missing: tuple[str, ...] | None
    """Keys that the version lacks; None if the caller may not read it."""
    rotation: str
    parked: bool
    lacking: bool
    """Whether the color runs and its pods lack the version or a key."""
    ends: str | None
    """Why a running color is about to lose the version; None if it is not."""
    next: str | None


def rows(stack: Stack) -> Iterator[Row]:
    """Yield a row for each entry and color of a stack."""
    secrets_manager = SecretsManager(stack.aws())
    for service, settings in stack.settings.services.items():
        for entry in settings.secrets:
            ref = EntryRef.of(stack, service, entry, secrets_manager)
            container = None if ref.declared.source else secrets_manager.find(ref.name)
            if container and container.deleted:
                container = None
            for color in settings.colors:
                yield _row(ref, color, container)


def _row(ref: EntryRef, color: Color, container: Container | None) -> Row:
    pinned = ref.pins()[color]
    source = ref.declared.source
    version = container.versions.get(pinned) if container and pinned else None
    missing: tuple[str, ...] | None = None
    if version and (held := ref.secrets_manager.keys(ref.name, version.id)) is not None:
        missing = tuple(key for key in ref.declared.keys if key not in held)
    parked = ref.settings.colors[color].parked
    there = bool(pinned) if source else version is not None
    return Row(
        service=ref.service,
        entry=ref.entry,
        color=color,
        store=source.store if source else "Secrets Manager",
        version=pinned,
        exists=None if source else version is not None,
        stages=version.stages if version else (),
        created=version.created.astimezone(UTC).isoformat(timespec="seconds") if version else None,
        missing=missing,
        rotation=_rotation(ref, container),
        parked=parked,
        lacking=not parked and (not there or bool(missing)),
        ends=None if parked else _ends(container, version),
        next=_next(ref, color, container, missing),
    )


def _ends(container: Container | None, version: Version | None) -> str | None:
    """Return why a version will soon be unusable; None if it will not."""
    if container is None or version is None:
        return None
    if not version.stages:
        return "it has no label, so Secrets Manager may delete it at any time"
    if container.rotated_every is not None and not {CURRENT, PREVIOUS, PENDING} & set(version.stages):
        return f"it is older than {PREVIOUS}: rotation has changed the password since"
    return None


def _rotation(ref: EntryRef, container: Container | None) -> str:
    if ref.declared.source:
        return "by the store"
    if container is None or container.rotated_every is None:
        return "declared, not enabled yet" if ref.declared.rotation else "none"
    due = f", next {container.next_rotation:%Y-%m-%d}" if container.next_rotation else ""
    return f"every {container.rotated_every} days{due}"


def _next(ref: EntryRef, color: Color, container: Container | None, missing: Sequence[str] | None) -> str | None:
    """Return the next command on the way to run the color with current values; None if it does."""
    pinned = ref.pins()[color]
    parked = ref.settings.colors[color].parked
    if ref.declared.source:
        return None if pinned or parked else ref.command("pin", "--color", color, "--version", "VERSION")
    if parked and not pinned:
        return None
    if pinned is None:
        known = container is not None and container.current is not None
        return ref.command(
            "pin", *(("--color", color, "--version", "latest") if known else ("--color", "both", "--version", "new"))
        )
    if container is None:
        return ref.first_steps()[0]
    if pinned not in container.versions or missing:
        return f"{ref.command('put')} < values.json"
    if not container.versions[pinned].stages:
        return ref.command("pin", "--color", color, "--version", pinned)
    if container.current is not None and container.current.id != pinned:
        return ref.command("pin", "--color", color, "--version", "latest")
    if ref.declared.rotation and container.rotated_every is None:
        return ref.update()
    return None


def print_table(rows: Sequence[Row]) -> None:
    """Print the rows as a table, then warnings and the next commands."""
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
        return "no permission to read"
    return f"lacks {', '.join(row.missing)}" if row.missing else "all there"
