"""The preview of one stack as plain data: traffic, changes and policy. The comment and ``--json`` are made from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class Op(StrEnum):
    """What happens to a resource."""

    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    DELETE = "delete"
    IMPORT = "import"
    """It is there, and the stack takes it over."""


@dataclass(frozen=True, kw_only=True)
class Value:
    """One property that changes, as text; None on the side where it is absent."""

    path: str
    before: str | None
    after: str | None
    replaces: bool
    """Whether this property forces the resource to be replaced."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """One resource that an update would touch."""

    op: Op
    name: str
    type: str
    """Last part of the type token, such as ListenerRule."""
    group: str
    """The top-level component that contains it, such as the service."""
    values: Sequence[Value] = ()
    traffic_only: bool = False
    """Whether only the weights of a production rule change, and what must change with them."""
    downtime: str | None = None
    """The downtime that users would notice; None if there is none."""
    live: str | None = None
    """What happens to a color that users reach, and is no downtime; None if nothing does."""
    fails: str | None = None
    """Why the update would stop here; None if nothing is known against it."""
    imported: bool = False
    """Whether the program takes the resource over, with or without a change."""


@dataclass(frozen=True, kw_only=True)
class Need:
    """Pods, and what they request together."""

    pods: int = 0
    cpu: int = 0
    """Millicores."""
    memory: int = 0
    """Bytes."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a service needs at most: its autoscalers may ask for less."""

    before: Need
    during: Need
    """While old and new pods run beside each other."""
    after: Need

    @property
    def changes(self) -> bool:
        """Whether the update needs more or less than before."""
        return not self.before == self.during == self.after


@dataclass(frozen=True, kw_only=True)
class Service:
    """One service before and after the update; None where it does not exist, empty where nothing is known."""

    name: str
    url: str
    before: Mapping[str, int] | None
    """Percent of requests by color, read from the load balancer, or from the state if ``unasked`` is set."""
    after: Mapping[str, int] | None
    state: Mapping[str, int] | None = None
    """Percent by color in the state, if the load balancer's differ; else None."""
    unasked: str | None = None
    """Why the load balancer could not be read; None if it was."""
    mixed: str | None = None
    """How the rules of its routes differ from its production rule; None if all share alike."""
    ran: Mapping[str, str] = field(default_factory=dict)
    """Version by color before the update."""
    runs: Mapping[str, str] = field(default_factory=dict)
    """Version by color after the update."""
    header: tuple[str | None, str | None] = (None, None)
    """The color that the ``x-canary`` header reaches, before and after."""
    unknown: bool = False
    """Whether some share is known only after the update; the side that it is of is empty."""
    missing: bool = False
    """Whether its production rule was deleted outside of the program, so that its users reach nothing now."""
    down: bool = False
    """Whether a color that serves users loses its targets before it has others."""
    notes: Sequence[str] = ()
    """What else happens to the traffic, each a part of a sentence."""
    cost: Cost | None = None
    """What its pods need; None if that is known only after the update."""
    gate: str | None = None
    """What the gate says of the weights when it is asked now, or why it was not; None where an update asks no gate."""

    def version(self, color: str) -> str | None:
        """Return the version that a color's users meet: one that changes is told apart from the traffic."""
        ran, runs = self.ran.get(color), self.runs.get(color)
        return runs if ran in (runs, None) else None

    @property
    def stays(self) -> bool:
        """Whether the service exists before and after."""
        return self.before is not None and self.after is not None

    @property
    def moves(self) -> bool:
        """Whether the share of a color changes; adding or removing a color with no traffic does not count."""
        before, after = self.before or {}, self.after or {}
        differ = any(before.get(color, 0) != after.get(color, 0) for color in {*before, *after})
        return not self.unknown and (not self.stays or differ)


@dataclass(frozen=True, kw_only=True)
class Violation:
    """One violation that the policy pack reports."""

    policy: str
    mandatory: bool
    resource: str
    problem: str
    remedy: str


@dataclass(frozen=True, kw_only=True)
class Report:
    """The preview of one stack."""

    stack: str
    services: Sequence[Service] = ()
    changes: Sequence[Change] = ()
    unchanged: int = 0
    policies: int = 0
    """Number of policies evaluated."""
    violations: Sequence[Violation] = ()
    warnings: Sequence[str] = ()
    releases: Sequence[str] = ()
    """Open releases of the stack, a sentence each: what is live is not what the stack file says."""
    providers: Sequence[str] = ()
    """Providers that get another version, such as ``aws 7.29.0 → 7.30.0``."""
    drift: Sequence[str] = ()
    """What a refresh found to differ from the state and an update leaves so: resources with the properties."""
    errors: Sequence[str] = ()
    """Why the preview is incomplete; empty if it is complete."""
    at: str = ""
    """When the preview ran, in UTC; empty if nobody noted it."""

    @property
    def failed(self) -> bool:
        """Whether an update would be refused."""
        return bool(self.errors) or any(violation.mandatory for violation in self.violations)

    @property
    def not_traffic(self) -> Sequence[Change]:
        """The changes that a flip must not contain: all but weights."""
        return [change for change in self.changes if not change.traffic_only]
