"""Routes: what a listener rule can tell requests by, and which of two rules has to come first."""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Final, NamedTuple

from components.model import CANARY_HEADER, ROUTES, Color, color_host
from components.rules.names import HOST_LABEL
from components.rules.text import Problem

_VALUES: Final = 5
"""Of one rule (ELB quotas, condition values per rule)."""
_VALUES_EACH: Final = 3
"""Of one condition (ELB guide, condition types)."""
_WILDCARDS: Final = 5
"""Of one rule (ELB quotas, condition wildcards per rule)."""
_NOT_FOR_ROUTES: Final = {"host": "hosts are told by the key hosts", CANARY_HEADER: "it leads to the newer color"}
_ADDED: Final = ("x-amzn-", "x-forwarded-")
"""What begins the headers that the load balancer adds itself."""


def route_host_problem(host: str) -> str | None:
    """Return why this is no DNS name of two labels or more, in which * is any text and ? any character."""
    labels = [label.replace("*", "x").replace("?", "x") for label in host.split(".")]
    if len(host) > 128:
        return f"a host of {len(host)} characters is too long; at most 128 (ELBv2 HostHeaderConditionConfig)"
    if len(labels) >= 2 and all(map(HOST_LABEL.fullmatch, labels)) and re.fullmatch(r"[a-z]+", host.split(".")[-1]):
        return None
    return (
        f"{host!r} is no host; allowed are lowercase letters, digits, hyphens, * and ?, with a dot and only letters "
        "after the last one"
    )


def route_path_problem(path: str) -> str | None:
    """Return why this is no path of a listener rule, in which * is any text and ? any character."""
    if re.fullmatch(r"""[/*][A-Za-z0-9_.$/~"'@:+&*?-]{0,127}""", path):
        return None
    return (
        f"{path!r} is no path; allowed are at most 128 letters, digits and _ - . $ / ~ \" ' @ : + & * ?, a slash or * "
        "first, such as /api/*"
    )


def route_header_problem(name: str) -> str | None:
    """Return why a route cannot be told by this header."""
    if not re.fullmatch(r"[A-Za-z0-9-]{1,40}", name):
        # dropInvalidHeaderFields takes others off the request.
        return f"{name!r} is no usable header; allowed are at most 40 letters, digits and hyphens"
    if (why := _NOT_FOR_ROUTES.get(name.lower())) is not None:
        return f"{name!r} tells no route: {why}"
    if name.lower().startswith(_ADDED):
        return f"{name!r} is set by the load balancer; name a header of your own"
    return None


def route_header_values_problem(values: Sequence[str]) -> str | None:
    """Return why a header cannot be compared with these values, 1 to 3 of at most 128 characters."""
    for value in values:
        if not re.fullmatch(r"[!-\[\]-~]([ -\[\]-~]{0,126}[!-\[\]-~])?", value):
            return f"{value!r} is no usable value; allowed are 1 to 128 characters of ASCII without a backslash"
    return condition_problem(values)


def route_method_problem(method: str) -> str | None:
    """Return why this is no method: at most 40 capital letters, hyphens and underscores."""
    if re.fullmatch(r"[A-Z_-]{1,40}", method):
        return None
    return f"{method!r} is no method; allowed are at most 40 capital letters, hyphens and underscores, such as POST"


def condition_problem(values: Sequence[str]) -> str | None:
    """Return why one condition of a listener rule cannot compare with so many values, 1 to 3."""
    if 1 <= len(values) <= _VALUES_EACH:
        return None
    return f"has {len(values)} values; a condition of the load balancer takes 1 to {_VALUES_EACH}"


def rule_problem(values: Sequence[str], *, besides: Sequence[str] = (), what: str = "") -> str | None:
    """Return why one rule cannot have all of these values; those ``besides`` are of ``what``."""
    count, more = len(values) + len(besides), f" with {what}" if besides else ""
    if count > _VALUES:
        return f"has {count} values{more}; a rule of the load balancer takes {_VALUES}: split the route in two"
    wildcards = sum(value.count(sign) for value in (*values, *besides) for sign in "*?")
    if wildcards > _WILDCARDS:
        return (
            f"has {wildcards} wildcards{more}; a rule of the load balancer takes {_WILDCARDS}: split the route in two"
        )
    return None


def slots_problem(slots: Sequence[int]) -> str | None:
    """Return why routes cannot stand in these slots: each has one of its own."""
    if len(slots) > ROUTES:
        return f"{len(slots)} routes; allowed are {ROUTES} for a service: join hosts or paths of one route"
    for place, slot in enumerate(slots):
        if (first := slots.index(slot)) != place:
            free = next(number for number in range(1, ROUTES + 1) if number not in slots)
            return f"routes {first} and {place} have the same slot {slot}; set slot of the newer one, such as to {free}"
    return None


class Part(NamedTuple):
    """What one route asks for, with one value of each: empty text where it asks for none."""

    host: str
    path: str
    method: str
    headers: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        said = [
            self.method,
            f"{self.host}{self.path}" if self.host else f"{self.path} of any host",
            *(f"{key}: {value}" for key, value in self.headers),
        ]
        return " ".join(filter(None, said))

    @property
    def rank(self) -> tuple[object, ...]:
        """How special it is: the longer path, then the longer host, then more of the rest; exact before a pattern."""
        told = [(-1, False) if not text else (_literal(text), _exact(text)) for text in (self.path, self.host)]
        return (*told, len(self.headers) + bool(self.method))

    def meets(self, other: "Part") -> bool:
        """Whether one request can be of both."""
        ours, theirs = dict(self.headers), dict(other.headers)
        pairs = [
            (self.host, other.host),
            (self.path, other.path),
            *((ours[name], theirs[name]) for name in ours.keys() & theirs.keys()),
        ]
        return (not self.method or not other.method or self.method == other.method) and all(
            not one or not two or _meet(one, two) for one, two in pairs
        )


def parts(
    hosts: Sequence[str], paths: Sequence[str], methods: Sequence[str], headers: Mapping[str, Sequence[str]]
) -> list[Part]:
    """Return every part of a route."""
    told = [[(name.lower(), value.lower()) for value in values] for name, values in sorted(headers.items())]
    return [
        Part(host, path, method, asked)
        for host in hosts or [""]
        for path in paths or [""]
        for method in methods or [""]
        for asked in product(*told)
    ]


class Claim(NamedTuple):
    """What the rules of one service ask for, by the key that says it."""

    service: str
    band: int
    parts: Mapping[str, Sequence[Part]]


def claims_problems(claims: Sequence[Claim]) -> Iterator[Problem]:
    """Yield which services ask for the same requests, and where a part of one would never be reached."""
    for place, later in enumerate(claims):
        for earlier in claims[:place]:
            yield from _between(earlier, later)


def _between(one: Claim, two: Claim) -> Iterator[Problem]:
    hidden: dict[str, tuple[Part, Part]] = {}
    for key, ours in one.parts.items():
        for other, theirs in two.parts.items():
            if key == other == "host":  # one host of two services is refused as that
                continue
            for mine, its in product(ours, theirs):
                if mine == its:
                    late, owner = (two, one) if other != "host" else (one, two)
                    at, there = (other, key) if late is two else (key, other)
                    yield Problem(f"{late.service}.{at}", f"{its} already leads to {owner.service}, by its {there}")
                elif mine.meets(its) and mine.rank != its.rank:
                    first, special = (one, (mine, its)) if mine.rank > its.rank else (two, (its, mine))
                    hidden.setdefault(first.service, special)
    if len(hidden) > 1:
        told = " and ".join(f"{part} of {service}" for service, (part, _) in hidden.items())
        yield Problem(
            two.service,
            f"and {one.service} each take a part of the other ({told}), and one order of the two cannot serve both; "
            "give one of the parts a host of its own",
        )
        return
    for name, (part, general) in hidden.items():
        before, after = (one, two) if name == one.service else (two, one)
        if before.band >= after.band:
            yield Problem(
                f"{before.service}.priorityBand",
                f"{before.band} comes after {after.service}'s {after.band}, whose {general} would take {part}; "
                + (f"set it below {after.band}" if after.band > 1 else f"set {after.service}'s above {before.band}"),
            )


def own_hosts_problem(hosts: Sequence[str], *, own: str) -> str | None:
    """Return why a route asks for what the service has without it: its own host, or a color's."""
    if own in hosts:
        return f"{own} is the service's own host, which it has whole; leave it out"
    for color in Color:
        if color_host(color, own) in hosts:
            return f"{color_host(color, own)} leads to {color} on the test listener; leave it out"
    return None


def further_hosts(routed: Sequence[str], own: Sequence[str]) -> list[str]:
    """Return the hosts of routes for which no certificate is issued with those of the services' own hosts.

    Such a certificate is for the host and for what is one label below it.
    """
    covered = {*own}
    return sorted({host for host in routed if host not in covered and host.partition(".")[2] not in covered})


def _literal(pattern: str) -> int:
    return len(pattern) - pattern.count("*")


def _exact(pattern: str) -> bool:
    return "*" not in pattern and "?" not in pattern


def _meet(one: str, two: str) -> bool:
    """Whether a text can be of both patterns."""
    reach = {(0, 0)}
    seen = set(reach)
    while reach:
        left, right = reach.pop()
        if (left, right) == (len(one), len(two)):
            return True
        here, there = one[left : left + 1], two[right : right + 1]
        onward = set()
        if here == "*":
            onward |= {(left + 1, right), *([(left, right + 1)] if there else [])}
        if there == "*":
            onward |= {(left, right + 1), *([(left + 1, right)] if here else [])}
        if here and there and "*" not in (here, there) and (here == there or "?" in (here, there)):
            onward.add((left + 1, right + 1))
        reach |= onward - seen
        seen |= onward
    return False
