"""A release as people read it: a live view, a line for each event, and a summary in Markdown."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import typer

from components.model import Color
from hueshift.release.drive import Event, Phase, Record, Wait, stamp
from hueshift.release.driver import Turn
from hueshift.release.plan import spoken

if TYPE_CHECKING:
    from rich.live import Live

_BAR: Final = 10
"""Characters for 100 %."""
_SHOWN: Final = 6
"""Events that the live view shows, the newest last."""
_LISTED: Final = 30
"""Events in a summary."""


def line(event: Event) -> str:
    """Return an event as one line, in UTC."""
    return f"{stamp(event.at)}  {event.what}"


def as_json(record_unit: str, event: Event) -> str:
    """Return an event as a line of the audit log."""
    return json.dumps({"unit": record_unit, "at": stamp(event.at), "what": event.what, "by": event.by})


def page(environment: str, turn: Turn) -> Iterator[str]:
    """Yield the lines of the live view."""
    record, seen, action = turn.record, turn.seen, turn.action
    step = f"step {record.step} of {len(record.steps)}"
    baked = ""
    if record.phase is Phase.BAKING:
        bake = record.steps[record.step - 1].bake
        baked = f"   bake {_clock(min(bake, seen.now - record.since))} of {_clock(bake)}"
    versions = " → ".join(dict.fromkeys(version for pair in record.versions.values() for version in pair))
    yield f"{environment}/{record.unit} {record.id}   {versions}   {record.phase}, {step}{baked}"
    for service in record.services:
        for color in Color:
            share = seen.live.get(service, {}).get(color, 0) if seen.live is not None else None
            bar = "█" * round((share or 0) * _BAR / 100)
            percent = "  ?" if share is None else f"{share:>3}"
            pods = seen.healthy.get(service, {}).get(color)
            yield (
                f"  {service:<14} {color:<6}{percent} %  {bar:<{_BAR}}  "
                f"{record.versions[service][color is record.new]:<12} {'?' if pods is None else pods} healthy"
            )
    for verdict in seen.verdicts:
        yield f"  {_MARKS[verdict.state]} {verdict.gate}: {verdict.why}"
    for event in record.events[-_SHOWN:]:
        yield f"  {line(event)}"
    if isinstance(action, Wait):
        until = f", until {stamp(action.until)}" if action.until else ""
        yield f"  now: {action.why}{until}"
    yield "  back: Ctrl-C, or hueshift abort"


def _live() -> "Live":
    from rich.live import Live

    return Live(auto_refresh=False, transient=True)


_MARKS: Final = {"good": "+", "bad": "!", "alike": "=", "unknown": "?"}


def _clock(seconds: float) -> str:
    minutes, left = divmod(int(max(0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


class View:
    """Shows a release while it is driven: live on a terminal, else a line for each event."""

    def __init__(self, environment: str, unit: str, *, machine: bool, live: bool) -> None:
        self._environment, self._unit, self._machine = environment, unit, machine
        self._live = _live() if live and not machine else None
        if self._live is not None:
            self._live.start()

    def told(self, event: Event) -> None:
        """Show an event."""
        if self._machine:
            typer.echo(as_json(self._unit, event))
        elif self._live is None:
            typer.echo(line(event))

    def shown(self, turn: Turn) -> None:
        """Show a look."""
        if self._live is not None:
            from rich.text import Text

            self._live.update(Text("\n".join(page(self._environment, turn))), refresh=True)

    def close(self, record: Record | None) -> None:
        """End; of what was live the events stay to be read."""
        if self._live is not None:
            self._live.stop()
            for event in record.events if record else ():
                typer.echo(line(event))


def summary(environment: str, record: Record) -> str:
    """Return a release in Markdown: what became of it, its steps, its events."""
    ended = f" after {spoken(record.since - begun)}" if (begun := _begun(record)) is not None else ""
    outcome = {
        Phase.PROMOTED: f"Promoted{ended}: {record.new} has all traffic, and is trusted.",
        Phase.UNDONE: f"Undone{ended}: {record.old} has all traffic, as before.",
    }.get(record.phase, f"Open: {record.phase}, step {record.step} of {len(record.steps)}.")
    lines = [f"## Release {record.id} of {environment}/{record.unit}", "", outcome]
    if record.rejected:
        lines += ["", f"Rejected: {record.rejected}"]
    if record.forced:
        lines += ["", f"Forced: {record.forced}"]
    lines += ["", "| service | from | to | image |", "| --- | --- | --- | --- |"]
    lines += [
        f"| {service} | {record.versions[service][0]} ({record.old}) | {record.versions[service][1]} ({record.new}) | "
        f"`{record.images.get(service) or 'built here'}` |"
        for service in record.services
    ]
    if len(weights := _weights(record)) > 1:
        lines += ["", "```mermaid", "xychart-beta", f'  title "{record.new}, percent of the traffic"']
        lines += [f"  x-axis [{', '.join(json.dumps(at) for at, _ in weights)}]", '  y-axis "percent" 0 --> 100']
        lines += [f"  line [{', '.join(str(weight) for _, weight in weights)}]", "```"]
    lines += ["", "| at | what | by |", "| --- | --- | --- |"]
    lines += [f"| {stamp(event.at)} | {_cell(event.what)} | {_cell(event.by)} |" for event in record.events[-_LISTED:]]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _begun(record: Record) -> float | None:
    return record.events[0].at if record.events else None


def _weights(record: Record) -> Sequence[tuple[str, int]]:
    """Return the new color's weight over time, as the events tell it."""
    found = []
    for event in record.events:
        share, _, rest = event.what.partition(" % live")
        if not rest and share.isdigit():
            found.append((_hour(event.at), int(share)))
        elif event.what == "undone":
            found.append((_hour(event.at), 0))
    return found[-20:]


def _hour(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S")


def listed(environment: str, records: Sequence[Record]) -> Iterator[str]:
    """Yield a line for each release."""
    for record in records:
        versions = ", ".join(f"{service} {old} → {new}" for service, (old, new) in record.versions.items())
        why = f": {record.rejected}" if record.rejected else ""
        yield f"{environment}/{record.unit} {record.id:>4}  {stamp(record.since)}  {record.phase:<9} {versions}{why}"
