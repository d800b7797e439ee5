"""`hueshift secrets`: puts values, pins the version that a color runs with, and shows what each color has.

Values go from standard input to Secrets Manager. No argument, project file, state or output contains them; only the
names of their keys are printed.
"""

import sys
from dataclasses import asdict
from enum import StrEnum
from typing import Annotated
from uuid import uuid4

import typer

from components.model import Color
from components.rules import secret_version_problem
from hueshift.report import Json, RefusedError, StackName, console, emit, reported, unknown
from hueshift.secrets.entry import EntryRef, label
from hueshift.secrets.status import print_table, rows
from hueshift.secrets.values import read_values
from hueshift.stack import load

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Put secret values, pin their versions to colors, and see what each color has.",
)

Service = Annotated[str, typer.Argument(metavar="SERVICE", help="A service of the stack.", show_default=False)]
Entry = Annotated[str, typer.Argument(metavar="ENTRY", help="A secret entry of the service.", show_default=False)]


class Which(StrEnum):
    """The colors for which to move a pin."""

    BLUE = "blue"
    GREEN = "green"
    BOTH = "both"


@app.command()
def put(
    service: Service,
    entry: Entry,
    *,
    version: Annotated[
        str | None, typer.Option("--version", help="The id of the new version. Default: a new one.", metavar="ID")
    ] = None,
    stack: StackName = None,
    as_json: Json = False,
) -> None:
    """Store values, one JSON object on standard input, as a new version. Pods keep theirs until a pin moves."""
    with reported():
        ref = EntryRef.find(load(stack), service, entry)
        ref.refuse_other_stores()
        container = ref.container()
        waiting = sorted({pin for pin in ref.pins().values() if pin and pin not in container.versions})
        if version is None and len(waiting) > 1:
            raise RefusedError(
                f"the colors pin different versions without values, {', '.join(waiting)}; choose one with --version"
            )
        chosen = version or (waiting[0] if waiting else str(uuid4()))
        if reason := secret_version_problem(chosen):
            raise RefusedError(f"--version: {reason}")
        values = read_values(sys.stdin, ref.declared.keys, command=ref.command("put"))
        ref.secrets_manager.put(ref.name, chosen, values)
        pinned = [color for color, pin in ref.pins().items() if pin == chosen]
        ref.keep(pinned, chosen)
        follow = [ref.update()] if pinned else [ref.command("pin", "--color", "COLOR", "--version", chosen)]
        if as_json:
            emit({**ref.id, "container": ref.name, "version": chosen, "pinnedBy": pinned, "next": follow})
            return
        out = console()
        out.print(f"stored as version {chosen} of {ref.name}, which is now current")
        if pinned:
            out.print(f"pinned by {' and '.join(pinned)}; update the pods: {follow[0]}")
        else:
            out.print(f"no pod uses it yet; pin it for a color: {follow[0]}")


@app.command()
def pin(
    service: Service,
    entry: Entry,
    *,
    color: Annotated[Which, typer.Option("--color", help="The color whose pods get the version.")],
    version: Annotated[
        str,
        typer.Option(
            "--version",
            help="An id; `latest`: the current version; `new`: a new id, to which the first `put` gives values.",
            metavar="ID|latest|new",
        ),
    ],
    stack: StackName = None,
    as_json: Json = False,
) -> None:
    """Set the version that a color runs with in the stack file. Its pods restart at the next `pulumi up`.

    The version gets the label hueshift-COLOR, which keeps Secrets Manager from deleting it while it is pinned.
    """
    with reported():
        ref = EntryRef.find(load(stack), service, entry)
        colors = list(ref.settings.colors) if color is Which.BOTH else [Color(color.value)]
        for name in colors:
            if name not in ref.settings.colors:
                raise unknown(f"color of {service}", name, list(ref.settings.colors))
        chosen = ref.resolve(version)
        moved = [name for name in colors if ref.pins()[name] != chosen]
        exists = ref.declared.source is not None or chosen in ref.known()
        labelled = ref.keep(colors, chosen)
        for name in moved:
            ref.stack.configure(f"services.{service}.colors.{name}.secretVersions.{entry}", chosen)
        follow = [ref.update()] if exists else [*ref.first_steps(), ref.update()]
        if as_json:
            told = {"version": chosen, "colors": colors, "moved": moved, "labelled": labelled}
            emit({**ref.id, **told, "next": follow if moved else []})
            return
        out = console()
        for name in labelled:
            out.print(f"version {chosen} of {ref.name} has the label {label(name)}")
        if not moved:
            out.print(f"{' and '.join(colors)}: version {chosen} is pinned already; {ref.stack.file.name} is unchanged")
            return
        out.print(f"{ref.stack.file.name}: {' and '.join(moved)} pinned to version {chosen} of {service}/{entry}")
        out.print(f"next, {'which restarts only their pods' if exists else 'in this order'}:")
        for step in follow:
            out.print(f"  {step}")


@app.command()
def status(*, stack: StackName = None, as_json: Json = False) -> None:
    """Show which version of each entry each color has.

    Exit status 1 if a running color lacks a version or a key, or will soon.
    """
    with reported():
        found = list(rows(load(stack)))
        if as_json:
            emit([asdict(row) for row in found])
        else:
            print_table(found)
        if any(row.lacking or row.ends for row in found):
            raise typer.Exit(1)
