"""`hueshift flip`: all traffic of a service to its other color by the engine, if nothing but that would change."""

import subprocess
import sys
from typing import Annotated

import typer

from components.model import Color
from hueshift.report import Json, RefusedError, StackName, emit, reported
from hueshift.stack import STDERR, Place, load, running
from hueshift.traffic.balancer import weights
from hueshift.traffic.live import disagreement
from hueshift.traffic.rollback import settings_of


def flip(
    service: Annotated[str, typer.Argument(metavar="SERVICE", help="A service of the stack.", show_default=False)],
    color: Annotated[Color | None, typer.Argument(metavar="[COLOR]", help="The other one unless given.")] = None,
    *,
    stack: StackName = None,
    as_json: Json = False,
) -> None:
    """Give all traffic of a service to its other color by `pulumi up`.

    The other color is not guessed where the load balancer has something else than the stack file. A service without
    an activeColor of its own flips together with all others that follow the stack's. Refused if anything but weights
    would change; if it fails, the stack file is as before. HUESHIFT_POLICY_PACK names the pack, if not policy/.
    """
    with reported():
        place = load(stack)
        wished = place.service(service)
        if len(wished.colors) < 2:
            raise RefusedError(f"{service} has one color, and no other to flip to")
        together = [service] if wished.own else [name for name, each in place.services.items() if not each.own]
        if busy := [running(place.services[name], place.name) for name in together if place.services[name].experiment]:
            raise RefusedError("\n  ".join(busy))
        if color is None:
            if problem := disagreement(place, service, weights(place, service)):
                raise RefusedError(f"which color of {service} is idle cannot be told: {problem}")
            color = wished.active.other
        _apply(place, together, color)
        if as_json:
            emit({"stack": place.name, "services": together, "color": color})
        else:
            typer.echo(f"{color} gets all traffic of {', '.join(together)} in {place.name}")


def _apply(place: Place, services: list[str], color: Color) -> None:
    """Write it into the stack file and update, or leave the file as it was."""
    before = place.file.read_bytes()
    try:
        place.write(settings_of(place, dict.fromkeys(services, color)))
        previewed = [sys.executable, "-m", "hueshift", "preview", "--stack", place.name, "--flip-only"]
        if subprocess.run(previewed, cwd=place.folder, stdout=STDERR, check=False).returncode:
            raise RefusedError(
                "nothing was changed, for the reason above; what is pending is applied first, alone: "
                f"pulumi up --stack {place.name}"
            )
        place.up()
    except BaseException:
        place.file.write_bytes(before)
        raise
