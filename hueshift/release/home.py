"""Where a stack keeps its releases, and what a driver of one is made of."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from botocore.config import Config

from components.model import Color
from hueshift.release.counts import CloudWatchCounts, Counts, Prometheus
from hueshift.release.drive import Asked, Event, Phase, Record, noted, stamp
from hueshift.release.driver import Clients, Driver, Turn, name_of_me
from hueshift.release.plan import spoken
from hueshift.release.signals import Signals, questions
from hueshift.release.store import LostError, Store, StoreError
from hueshift.release.unit import Unit, unit_of, units
from hueshift.report import RefusedError
from hueshift.stack import Place
from hueshift.traffic.balancer import PATIENCE, Balancer, Rule
from hueshift.traffic.rollback import learn

_FAST: Final = Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 2})
"""An answer that takes longer is none: the next look asks again."""


class PulumiEngine:
    """The engine's command, beside the stack's files."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def up(self) -> None:
        """Bring the stack to what its file says, held to the policies. Raises ``RefusedError``."""
        self._place.up()

    def images(self) -> Mapping[str, Mapping[str, str]]:
        """Return what each color of each service runs, by the last update. Raises ``RefusedError``."""
        services = self._place.ask("stack", "output").get("services", {})
        return {name: summary.get("images", {}) for name, summary in services.items()}

    def learn(self, services: Sequence[str]) -> None:
        """Let the state learn the weights. Raises ``RefusedError``."""
        learn(self._place, services)


@dataclass(frozen=True, kw_only=True)
class Home:
    """Where a stack keeps its releases."""

    place: Place
    bucket: str
    machine: str | None
    """The guard's."""
    clients: Clients

    @cached_property
    def store(self) -> Store:
        """The records."""
        return Store(self.clients.s3, self.bucket)

    def prometheus(self, unit: Unit) -> Prometheus | None:
        """Return what the stack file names."""
        return Prometheus(unit.prometheus, self.place.environment) if unit.prometheus else None

    def counts(self, unit: Unit, rules: Mapping[str, Rule]) -> Counts:
        """Return who counts requests: Prometheus, where it knows of all of them, else CloudWatch."""
        prometheus = self.prometheus(unit) if unit.measured else None
        return prometheus or CloudWatchCounts(self.clients.cloudwatch, rules, self.place.environment)

    def driver(
        self,
        unit: Unit,
        *,
        commit: bool,
        told: Callable[[Event], None],
        shown: Callable[[Turn], None],
        prepare: Callable[[Record], None] = lambda _: None,
        **changes: Any,  # noqa: ANN401 - for tests: the clock, and what stands in for the engine
    ) -> Driver:
        """Return what drives the releases of a unit."""

        def signals(record: Record, rules: Mapping[str, Rule]) -> Signals:
            asked = questions(
                record,
                environment=self.place.environment,
                urls={service: unit.url(service, record.new) for service in record.services},
                cloudwatch=self.clients.cloudwatch,
                s3=self.clients.s3,
                bucket=self.bucket,
                counts=self.counts(unit, rules),
                prometheus=self.prometheus(unit),
            )
            return Signals(list(asked), steady=driver.steady)

        driver = Driver(
            **{
                "unit": unit,
                "store": self.store,
                "forward": Balancer(self.place, patience=0),
                "back": Balancer(self.place, patience=PATIENCE),
                "clients": self.clients,
                "engine": PulumiEngine(self.place),
                "bucket": self.bucket,
                "machine": self.machine,
                "signals": signals,
                "freezes": unit.freezes,
                "me": name_of_me(),
                "commit": commit,
                "prepare": prepare,
                "told": told,
                "shown": shown,
                **changes,
            }
        )
        return driver


def home(place: Place) -> Home:
    """Return where a stack keeps its releases. Raises ``RefusedError`` if it has no such place yet."""
    outputs: Mapping[str, Any] = place.ask("stack", "output")
    bucket = outputs.get("releases")
    if not bucket:
        raise RefusedError(f"{place.name} has no bucket for the records of releases: pulumi up --stack {place.name}")
    session = place.aws()

    def client(name: str, region: str | None = None) -> Any:  # noqa: ANN401 - botocore's
        made: Any = session.client
        return made(name, region_name=region or place.region, config=_FAST)

    return Home(
        place=place,
        bucket=str(bucket),
        machine=outputs.get("guard"),
        clients=Clients(
            s3=client("s3"),
            states=client("stepfunctions"),
            cloudwatch=client("cloudwatch"),
            sns=lambda region: client("sns", region),
        ),
    )


def open_record(store: Store, unit: Unit) -> Record | None:
    """Return the open release of a unit, None if there is none. Raises ``StoreError`` or ``ValueError``."""
    found = store.read(unit.name)
    return found.record if found and not found.record.phase.closed else None


@dataclass(frozen=True, kw_only=True)
class Latest:
    """The last release of a unit, open or not."""

    record: Record
    kept_until: float | None
    """When a promoted one no longer keeps the old color, in seconds since 1970; None if it keeps none now."""

    def __str__(self) -> str:
        """Return a line for a person."""
        record = self.record
        if record.phase.closed:
            until = f"; {record.old} is kept until {stamp(self.kept_until)}" if self.kept_until else ""
            return f"release {record.id}: {record.phase}{until}"
        step = f" at {record.weight} %, step {record.step} of {len(record.steps)}" if record.step else ""
        held = f", waits ({record.held.kind})" if record.held else ""
        return f"release {record.id}: {record.phase}{step}{held}, driven by {record.owner}"

    def as_json(self) -> Mapping[str, Any]:
        """Return it for a machine."""
        record = self.record
        return {
            "id": record.id,
            "open": not record.phase.closed,
            "phase": record.phase,
            "step": record.step,
            "steps": len(record.steps),
            "weight": record.weight,
            "old": record.old,
            "new": record.new,
            "owner": record.owner,
            "since": stamp(record.since),
            "waits": record.held.kind if record.held else None,
            "keptUntil": stamp(self.kept_until) if self.kept_until else None,
        }


def latest(place: Place) -> Mapping[str, Latest]:
    """Return the last release of each service that had one, by service.

    Raises ``RefusedError`` or ``StoreError`` if that cannot be known.
    """
    if "releases" not in place.ask("stack", "output"):
        return {}
    store, found = home(place).store, {}
    for unit in units(place):
        if (stored := store.read(unit.name)) is None:
            continue
        record = stored.record
        until = record.since + unit.keep_old
        keeps = record.phase is Phase.PROMOTED and unit.old is record.new and store.now() < until
        found.update(dict.fromkeys(unit.services, Latest(record=record, kept_until=until if keeps else None)))
    return found


def kept(store: Store, unit: Unit, *, color: Color) -> str | None:
    """Return why a color may be given nothing else to run: a release is open, or it is the way back of the last one.

    Raises ``StoreError`` or ``ValueError``.
    """
    found = store.read(unit.name)
    if found is None:
        return None
    record = found.record
    release = f"release {record.id} of {record.unit}"
    if not record.phase.closed:
        return f"{release} is {record.phase}: `hueshift status`, or `hueshift abort`"
    until = record.since + unit.keep_old
    if record.phase is Phase.PROMOTED and record.old is color and store.now() < until:
        return (
            f"{color} is the way back of {release} until {stamp(until)} ({spoken(unit.keep_old)} after it, "
            "timing.keepOld): wait, or give the way back up with --give-up-way-back"
        )
    return None


def refuse_kept(place: Place, service: str, color: Color) -> None:
    """Raise ``RefusedError`` if a color may be given nothing else to run, as ``kept`` says, or if that is not known.

    A stack that was not updated since it could keep releases has none.
    """
    if "releases" not in place.ask("stack", "output"):
        return
    try:
        why = kept(home(place).store, unit_of(place, service), color=color)
    except (StoreError, ValueError) as error:
        why = f"whether a release needs {color} is not known: {error}; if it does not: --give-up-way-back"
    if why is not None:
        raise RefusedError(why)


def went_back(place: Place, colors: Mapping[str, Color]) -> str:
    """Write into the record of a release that a person gave all traffic of some services to these colors.

    Whoever drives it closes it. Returns what a person should know; empty if no release is concerned. Raises
    ``RefusedError`` if it cannot be written.
    """
    if "releases" not in place.ask("stack", "output"):
        return ""
    said, store, me = [], home(place).store, name_of_me()
    try:
        for unit in units(place):
            found = store.read(unit.name)
            if found is None or not any(colors.get(name) is found.record.old for name in unit.services):
                continue
            release = f"release {found.record.id} of {unit.name}"
            if found.record.phase is Phase.PROMOTED and unit.old is found.record.new:
                store.write(
                    noted(found.record, by=me, now=store.now(), what="taken back by `hueshift rollback`"), found
                )
                said.append(f"{release} is taken back")
            elif not found.record.phase.closed and found.record.phase is not Phase.UNDOING:
                store.ask(unit.name, Asked.ABORT, by=me)
                said.append(f"{release} is asked to end; if nobody drives it: hueshift resume")
    except (StoreError, LostError, ValueError) as error:
        raise RefusedError(str(error)) from None
    return ", ".join(said)
