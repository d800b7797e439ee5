"""Where the rules of each service stand on the listeners, and how many fit."""

from enum import IntEnum
from hashlib import sha256
from typing import Final

from components.model.color import Color


class RuleKind(IntEnum):
    """The listener rules of a service, by their place in its band; a lower place is evaluated first."""

    CANARY = 10
    """On the production listener: ``x-canary: true`` reaches the newer color."""
    COHORT = 15
    """On the production listener: who is in an experiment reaches its variant; two in a row for a cookie."""
    PRODUCTION = 20
    """On the production listener: the weights."""
    TEST_BLUE = 30
    TEST_GREEN = 40

    @classmethod
    def test(cls, color: Color) -> "RuleKind":
        """Return the rule that reaches ``color`` on the test listener."""
        return cls.TEST_BLUE if color is Color.BLUE else cls.TEST_GREEN


class RouteKind(IntEnum):
    """Where the rules of a service's routes begin in its band: after those of its host, a place for each route.

    All that is to be decided before the weights comes first, whatever route it is of.
    """

    CANARY = 41
    COHORT = 55
    """Two for each route, in a row."""
    PRODUCTION = 83

    @property
    def places(self) -> range:
        """All of its priorities, relative to the band's first."""
        return range(self, self + ROUTES * (2 if self is RouteKind.COHORT else 1))


ROUTES: Final = 14
"""How many routes a service can have: each has a slot for life, so that one that comes or goes moves no other."""

BANDS: Final = range(1, 500)
"""One for each service, of 100 priorities each (an ALB has 1 to 50,000). Band 0 belongs to the listeners."""

LISTENER_RULES: Final = 4
"""How many rules may belong to the listeners and to no service (priorities 1 to 99)."""

SERVICE_RULES: Final = len(RuleKind) - 1
"""How many rules each service has; those of a cohort come on top."""

ALL_SERVICES_RULES: Final = 100 - LISTENER_RULES
"""An ALB has at most 100 rules, default actions not counted, unless AWS raises that quota (L-7EED9B64; ELB guide)."""

MAX_SERVICES: Final = ALL_SERVICES_RULES // SERVICE_RULES
"""How many services fit where none has an experiment."""

CERTIFICATES: Final = 25
"""An ALB has at most as many, default ones not counted, and each counts once for every listener that it is on, unless
AWS raises that quota (L-9365A611; ELB guide, and aws-load-balancer-controller#3480 for the counting)."""

CERTIFIED_SERVICES: Final = CERTIFICATES // 2
"""How many services fit where each has a certificate of its own, which is on both TLS listeners."""


def priority_band(service: str) -> int:
    """Return the band of a service that sets none: a hash of its name.

    A place in a list would move when a service comes or goes, and two rules cannot exchange their priorities in one
    update (``PriorityInUse``, ELBv2 CreateRule).
    """
    return BANDS.start + int(sha256(service.encode()).hexdigest(), 16) % len(BANDS)


def rule_priority(band: int, kind: RuleKind) -> int:
    """Return the priority of a service's rule."""
    return band * 100 + kind


def route_slot(text: str) -> int:
    """Return the slot of a route that sets none: a hash of what it says."""
    return 1 + int(sha256(text.encode()).hexdigest(), 16) % ROUTES


def route_priority(band: int, kind: RouteKind, slot: int, place: int = 0) -> int:
    """Return the priority of a route's rule; ``place`` tells the second of a cohort from the first."""
    each = 2 if kind is RouteKind.COHORT else 1
    return band * 100 + kind + each * (slot - 1) + place


def beside(production: int, priority: int, kind: RouteKind) -> bool:
    """Whether a rule with this priority is of a route of the service whose production rule has the other one."""
    return production // 100 == priority // 100 and priority % 100 in kind.places
