"""`hueshift image`: sets the idle color's image, records what a stack has run, and lists where each digest runs.

The record is a file next to the stack files, reviewed like them; production's settings refuse digests it lacks.
"""

import copy
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Final, get_args

import typer
from rich.table import Table

from components import spec
from components.model import Color, precedence
from components.rules import secret_kind, unknown_key
from components.settings import RECORD, parse, ran
from components.spec.stack import Evidence
from hueshift.images import registry
from hueshift.images.scans import Image, scan
from hueshift.images.signed import signed
from hueshift.release.home import refuse_kept
from hueshift.report import Json, RefusedError, StackName, console, emit, reported, unknown
from hueshift.stack import Stack, colors, load, productions, project_folder, running
from hueshift.traffic import live
from hueshift.traffic.balancer import weights

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Scan an image, give it to the idle color, and see what runs where.",
)
app.command("scan")(scan)
app.command("signed")(signed)

PROOFS: Final[Sequence[str]] = get_args(Evidence)
KEPT: Final = 20
"""Digests that the record keeps of one service; older ones stay while a stack file names them."""

Service = Annotated[str, typer.Argument(metavar="SERVICE", help="A service of the stack.", show_default=False)]


@dataclass(frozen=True, kw_only=True)
class Ran:
    """An image that a stack has run."""

    version: str
    digest: str
    evidence: Mapping[str, str] = field(default_factory=dict, compare=False)
    """Where it can be read, by what it is evidence of."""

    def told(self) -> Mapping[str, object]:
        """Return it as the record has it."""
        return {key: value for key, value in asdict(self).items() if key != "evidence" or value}


@dataclass(frozen=True, kw_only=True)
class Running:
    """The image that a color runs now."""

    image: str
    """Reference with digest."""
    version: str

    @property
    def ran(self) -> Ran:
        """Its entry in the record."""
        return Ran(version=self.version, digest=self.image.rpartition("@")[2])


@app.command("set")
def set_(
    service: Service,
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="By digest.", show_default=False)],
    *,
    version: Annotated[str, typer.Option("--version", metavar="V", help="The version of the image.")],
    schema: Annotated[
        str | None,
        typer.Option("--schema", metavar="S", help="The schema that it needs. Default: unchanged."),
    ] = None,
    stack: StackName = None,
    give_up_way_back: Annotated[
        bool, typer.Option("--give-up-way-back", help="Even for the color that the last release would go back to.")
    ] = False,
    older: Annotated[bool, typer.Option("--older", help="Even if a color has a newer version.")] = False,
    unless_served: Annotated[
        bool, typer.Option("--unless-served", help="Set nothing if users have the image already.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Set the idle color's image in the stack file, and unpark the color. It runs after the next `pulumi up`.

    Refused while a release is open, while the color is the way back of the last one, and for a version that is older
    than one that a color has.
    """
    with reported():
        place = load(stack)
        color = _idle(place, service)
        there = place.settings.services[service].colors
        served = unless_served and there[color.other].image == image
        wanted = {"image": image, "version": version, **({"schema": schema} if schema else {})}
        if not served:
            if not give_up_way_back:
                refuse_kept(place, service, color)
            _judge(place, service, color, wanted)
            if not older:
                _refuse_older(service, version, {each: release.version for each, release in there.items()})
        changed, unparked = ([], False) if served else give(place, service, color, wanted)
        follow = f"pulumi up --stack {place.name}"
        if as_json:
            emit(
                {
                    "stack": place.name,
                    "service": service,
                    "color": color,
                    "changed": changed,
                    "unparked": unparked,
                    "next": [follow],
                }
            )
            return
        out = console()
        if not changed and not unparked:
            out.print(f"{place.file.name} already has {image} for {color.other if served else color}; nothing changed")
            return
        out.print(f"{place.file.name}: the idle color {color} gets {service} {version} ({image})")
        if unparked:
            out.print(f"{color} is no longer parked")
        out.print(f"next: {follow}")


def _refuse_older(service: str, version: str, there: Mapping[Color, str]) -> None:
    """Raise ``RefusedError`` if a version is older than that of a color: a delivery may have been overtaken."""
    color, newest = max(there.items(), key=lambda item: precedence(item[1]))
    if precedence(version) < precedence(newest):
        raise RefusedError(
            f"{service} {version} is older than {newest}, which {color} has; to put it there all the same: --older"
        )


def give(place: Stack, service: str, color: Color, wanted: Mapping[str, str]) -> tuple[list[str], bool]:
    """Write what a color shall run into the stack file; return the keys that changed, and whether it was parked.

    Raises ``RefusedError`` or ``SettingsError`` if the settings would be wrong with it; the file is as before then.
    """
    there: Mapping[str, Any] = place.values["services"][service]["colors"][color]
    changed = {key: value for key, value in wanted.items() if there.get(key) != value}
    unparked = place.settings.services[service].colors[color].parked
    _judge(place, service, color, changed)
    key = f"services.{service}.colors.{color}"
    before = place.file.read_text()
    try:
        for name, value in changed.items():
            place.configure(f"{key}.{name}", value)
        if unparked:
            place.clear(f"{key}.parked")
    except BaseException:
        place.file.write_text(before)
        raise
    return sorted(changed), unparked


@app.command()
def record(
    service: Service,
    *,
    evidence: Annotated[
        list[str] | None,
        typer.Option("--evidence", metavar="NAME=URL", help=f"What the active color has shown: {', '.join(PROOFS)}."),
    ] = None,
    stack: StackName = None,
    as_json: Json = False,
) -> None:
    """Add the digests that a stack's colors run to the record, and tag each with its version in ECR.

    Existing entries keep their version, and what there is evidence of.
    """
    with reported():
        shown = _shown(evidence or [])
        place = load(stack)
        running = _running(place, service)
        file = place.folder / RECORD
        known = _read(file)
        before = known.get(service, [])
        there = {item.digest for item in before}
        added = [item for item in _in_order(color.ran for color in running.values()) if item.digest not in there]
        _refuse_other_digests(service, before, added)
        tagged = _tagged(place, service, running.values())
        proven = _proven(running, place.settings.services[service].active_color, shown)
        after = [proven(item) for item in (*before, *added)]
        after = _trimmed(after, named=_named(place.folder)) if added else after
        dropped = [item for item in before if item not in after]
        known_before = [item.told() for item in before]
        if changed := [item.told() for item in after] != known_before:
            _write(file, {**known, service: after})
        follow = _next_steps(place, service, running) if changed else []
        if as_json:
            emit(
                {
                    "stack": place.name,
                    "service": service,
                    "running": {color: asdict(item) for color, item in running.items()},
                    "tagged": [item.told() for item in tagged],
                    "added": [proven(item).told() for item in added],
                    "dropped": [item.told() for item in dropped],
                    "evidence": shown,
                    "next": follow,
                }
            )
            return
        out = console()
        for item in tagged:
            out.print(f"ECR: {service} {item.version} is a tag of {item.digest}")
        if not changed:
            out.print(f"{RECORD} already has what {place.name} runs of {service}; nothing changed")
            return
        for item in added:
            out.print(f"{RECORD}: {service} {item.version} {item.digest} ran in {place.name}")
        for name, where in shown.items():
            out.print(f"{RECORD}: {service} evidence of {name}: {where}", soft_wrap=True)
        for item in dropped:
            out.print(f"{RECORD}: {service} {item.version} {item.digest} dropped, older than the newest {KEPT}")
        out.print("next, in this order:")
        for step in follow:
            out.print(f"  {step}")


@app.command("list")
def list_(service: Service, *, as_json: Json = False) -> None:
    """Show the record of a service, newest first, and the stack files that name each digest."""
    with reported():
        folder = project_folder()
        known = _read(folder / RECORD)
        uses = _uses(folder, service)
        if service not in known and not uses:
            raise unknown("service with a record", service, sorted(known))
        items = list(reversed(known.get(service, [])))
        recorded = {item.digest for item in items}
        others = {digest: places for digest, places in uses.items() if digest not in recorded}
        if as_json:
            emit(
                {
                    "record": [{**item.told(), "usedBy": uses.get(item.digest, [])} for item in items],
                    "unrecorded": [{"digest": digest, "usedBy": places} for digest, places in others.items()],
                }
            )
            return
        out = console()
        table = Table(box=None, header_style="bold", pad_edge=False)
        for heading in ("version", "digest", "used by"):
            table.add_column(heading, no_wrap=heading != "used by")
        for item in items:
            places = uses.get(item.digest, [])
            table.add_row(item.version, item.digest, ", ".join(places), style="" if places else "dim")
        out.print(table)
        for digest, places in others.items():
            out.print(f"not recorded: {digest}, {', '.join(places)}")


def _idle(place: Stack, service: str) -> Color:
    """Return the color without traffic, by the stack file and by the load balancer.

    Raises ``RefusedError`` if there is none, if the two differ, or if the load balancer cannot be read.
    """
    settings = place.settings.services.get(service)
    if settings is None:
        raise unknown(f"service of {place.name}", service, list(place.settings.services))
    color = settings.active_color.other
    if color not in settings.colors:
        key = f"services.{service}.colors.{settings.active_color}.image"
        raise RefusedError(
            f"{service} has only one color, so none is idle; update it in place: "
            f"pulumi config set --path {key} IMAGE --stack {place.name}, and the version likewise"
        )
    if settings.experiment:
        raise RefusedError(running(place.service(service), place.name))
    if settings.canary_weight:
        raise RefusedError(
            f"{color} of {service} gets {settings.canary_weight} % of the requests by {place.file.name}; end the "
            f"canary first: set canaryWeight to 0, and pulumi up --stack {place.name}"
        )
    found = weights(place, service)
    if problem := live.disagreement(place, service, found):
        raise RefusedError(problem)
    return live.idle(found)


def _judge(place: Stack, service: str, color: Color, changed: Mapping[str, str]) -> None:
    """Raise ``SettingsError`` if the update would refuse the settings with the changes."""
    values = copy.deepcopy(dict(place.values))
    release = values["services"][service]["colors"][color]
    release.update(changed, parked=False)
    parse(values, stack=place.name, ran=ran(place.folder / RECORD), region=place.region)


def _running(place: Stack, service: str) -> Mapping[Color, Running]:
    """Return what each unparked color runs since the stack's last update.

    Raises ``RefusedError`` for a production stack, for an image by tag, or if it is not known what runs.
    """
    if place.settings.production:
        raise RefusedError(
            f"{place.name} is production, which only takes what another stack ran; name that stack with --stack"
        )
    settings = place.settings.services.get(service)
    if settings is None:
        raise unknown(f"service of {place.name}", service, list(place.settings.services))
    summary = _served(place).get(service)
    again = f"pulumi up --stack {place.name}"
    if summary is None:
        raise RefusedError(f"{place.name} has not served {service} yet; deploy it: {again}")
    found = {}
    for color, release in settings.colors.items():
        if release.parked:
            continue
        image, version = summary["images"].get(color), summary["versions"].get(color)
        if version != release.version or release.image not in (None, image):
            runs = f"at {version} ({image})" if image else "absent"
            raise RefusedError(
                f"{place.file.name} has changed since the last update, which left {color} {runs}; "
                f"deploy it first: {again}"
            )
        if "@" not in str(image):
            raise RefusedError(
                f"{color} runs {image} by tag, and production takes only digests; "
                f"{_by_digest(service, color, settings, str(image), place)}, then {again}"
            )
        found[color] = Running(image=str(image), version=release.version)
    return found


def _shown(given: Sequence[str]) -> Mapping[str, str]:
    """Return where the evidence is, by name. Raises ``RefusedError`` for another name, or without a place."""
    shown = dict(item.partition("=")[::2] for item in given)
    for name, where in shown.items():
        if name not in PROOFS:
            raise RefusedError(f"--evidence {name}: {unknown_key(name, PROOFS)}")
        if not where.isprintable() or not where.strip() or secret_kind(where):
            raise RefusedError(f"--evidence {name}: say where it can be read: --evidence {name}=URL")
    return shown


def _proven(running: Mapping[Color, Running], active: Color, shown: Mapping[str, str]) -> Callable[[Ran], Ran]:
    """Return what adds evidence to the image of the active color, and leaves others as they are.

    Raises ``RefusedError`` if there is evidence and the active color runs nothing.
    """
    if shown and active not in running:
        raise RefusedError(f"{active} is the active color and runs nothing, so there is no image that has shown it")

    def prove(item: Ran) -> Ran:
        here = shown and item.digest == running[active].ran.digest
        return replace(item, evidence={**item.evidence, **shown}) if here else item

    return prove


def _refuse_other_digests(service: str, before: Sequence[Ran], added: Sequence[Ran]) -> None:
    """Raise ``RefusedError`` if an added version already belongs to another digest."""
    for item in added:
        others = [other for other in (*before, *added) if other.version == item.version and other != item]
        if others:
            raise RefusedError(
                f"{service} {item.version} is {others[0].digest} in {RECORD} or in the other color, and {item.digest} "
                "ran as the same version; a version never moves to another image: build it again under another version"
            )


def _tagged(place: Stack, service: str, running: Iterable[Running]) -> list[Ran]:
    """Tag each image in ECR with its version, so that it outlives builds; return those newly tagged.

    A registry is ECR by its host's name, or because this stack owns a repository of the service.
    """
    owned = service in place.settings.registry.repositories
    images = {item.ran: Image.named(item.image) for item in running if owned or ".dkr.ecr" in item.image}
    session = place.aws()
    return [
        ran
        for ran, image in images.items()
        if registry.name(session.client("ecr", region_name=image.region or place.region), image, ran.version)
    ]


def _by_digest(service: str, color: Color, settings: spec.Service, image: str, place: Stack) -> str:
    if settings.colors[color].build:
        return "the registry returned no digest: build it again under another version"
    name, _, tag = (image.partition("/")[2] or image).partition(":")
    ask = (
        f"aws ecr describe-images --repository-name {name} --image-ids imageTag={tag or 'TAG'} "
        "--query 'imageDetails[0].imageDigest'"
    )
    key = f"hueshift:services.{service}.colors.{color}.image"
    return f"find its digest ({ask}), set it: pulumi config set --path {key} REPOSITORY@DIGEST --stack {place.name}"


def _served(place: Stack) -> Mapping[str, Any]:
    """Return the output ``services`` of the stack. Raises ``RefusedError`` unless its last update was complete."""
    again = f"pulumi up --stack {place.name}"
    entries = place.ask("stack", "history", "--page-size", "20")
    # A refresh changes nothing that runs.
    last = next((entry for entry in entries if entry["kind"] not in ("refresh", "import", "rename")), None)
    if last is None:
        raise RefusedError(f"{place.name} was never deployed; run {again}")
    if last["kind"] != "update" or last["result"] != "succeeded":
        raise RefusedError(
            f"the last {last['kind']} of {place.name} {_outcome(last)}, so it is unknown what runs; {again}"
        )
    if partial := {"pulumi.flag.target", "pulumi.flag.exclude"} & last.get("environment", {}).keys():
        flags = " and ".join(sorted(f"--{flag.rpartition('.')[2]}" for flag in partial))
        raise RefusedError(f"the last update of {place.name} was of some resources only ({flags}); run {again}")
    outputs: Mapping[str, Any] = place.ask("stack", "output")
    services: Mapping[str, Any] = outputs.get("services", {})
    return services


def _outcome(entry: Mapping[str, Any]) -> str:
    result = str(entry["result"])
    return {"succeeded": "removed it", "in-progress": "has not ended"}.get(result, result)


def _in_order(items: Iterable[Ran]) -> list[Ran]:
    """Return each digest once, newest version last."""
    return sorted({item.digest: item for item in items}.values(), key=lambda item: precedence(item.version))


def _trimmed(items: Sequence[Ran], *, named: str) -> list[Ran]:
    newest = len(items) - KEPT
    return [item for at, item in enumerate(items) if at >= newest or item.digest in named]


def _named(folder: Path) -> str:
    """Return the text of all stack files; a digest that occurs in it is still needed."""
    return "\n".join(file.read_text() for file in folder.glob("Pulumi.*.yaml"))


def _uses(folder: Path, service: str) -> Mapping[str, list[str]]:
    """Return, by digest, the colors of stacks that name it."""
    found: dict[str, list[str]] = {}
    for stack, color, release in colors(folder, service):
        digest = str(release.get("image")).partition("@")[2]
        if digest:
            found.setdefault(digest, []).append(f"{stack} {color}{' (parked)' if release.get('parked') else ''}")
    return found


def _read(file: Path) -> Mapping[str, list[Ran]]:
    """Return the record by service; empty if there is none. Raises ``SettingsError`` if it is not one."""
    ran(file)
    content = json.loads(file.read_text()) if file.exists() else {}
    return {
        service: [
            Ran(version=str(item.get("version", "")), digest=item["digest"], evidence=item.get("evidence", {}))
            for item in items
        ]
        for service, items in content.items()
    }


def _write(file: Path, known: Mapping[str, Sequence[Ran]]) -> None:
    """Write the record completely or not at all: production refuses everything if it is cut short."""
    content = {service: [item.told() for item in items] for service, items in known.items()}
    part = file.with_suffix(".part")
    part.write_text(json.dumps(content, indent=2) + "\n")
    part.replace(file)


def _next_steps(place: Stack, service: str, running: Mapping[Color, Running]) -> list[str]:
    """Return the commands that bring the newest version to production."""
    color = max(running, key=lambda color: precedence(running[color].version))
    schema = place.settings.services[service].colors[color].schema
    take = f"hueshift image set {service} {running[color].image} --version {running[color].version}"
    return [
        f"git add {RECORD} && git commit",
        *(f"{take}{f' --schema {schema}' if schema else ''} --stack {stack}" for stack in productions(place.folder)),
    ]
