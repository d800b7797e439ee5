"""The requests that a service gets besides those for its own host."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated

from components import rules
from components.model import ROUTES, route_slot
from components.rules import Problem
from components.spec.marks import Between, Example, Rule


@dataclass(frozen=True, kw_only=True)
class Route:
    """Requests that a service gets besides those for its own host; of each key that is given, one value must match."""

    hosts: Annotated[
        Sequence[Annotated[str, Rule(rules.route_host_problem)]], Example(["www.example.com", "*.shop.example.com"])
    ] = ()
    """Hosts, in which * is any text and ? any character; unset, any host."""
    paths: Annotated[Sequence[Annotated[str, Rule(rules.route_path_problem)]], Example(["/api/*"])] = ()
    """Paths, in which * is any text and ? any character; unset, any path."""
    headers: Annotated[
        Mapping[
            Annotated[str, Rule(rules.route_header_problem)],
            Annotated[Sequence[str], Rule(rules.route_header_values_problem)],
        ],
        Example({"x-tenant": ["acme"]}),
    ] = field(default_factory=dict)
    """Values by header, whatever their case; all of the headers must match."""
    methods: Annotated[Sequence[Annotated[str, Rule(rules.route_method_problem)]], Example(["GET", "HEAD"])] = ()
    """Methods; unset, any method."""
    slot: Annotated[int | None, Between(1, ROUTES, "one for each route of the service"), Example(3)] = None
    """The place of the route among those of the service; unset, from a hash of what it says. To be set where two have
    the same, and kept where its other keys change."""

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong between the keys."""
        if not self.hosts and not self.paths:
            yield Problem("", "names neither hosts nor paths, and would take all requests; name one")
        for key, values in (("hosts", self.hosts), ("paths", self.paths), ("methods", self.methods)):
            if values and (reason := rules.condition_problem(values)):
                yield Problem(key, reason)
        if reason := rules.rule_problem(self.values):
            yield Problem("", reason)

    @property
    def values(self) -> Sequence[str]:
        """All that its rule compares with."""
        return [*self.hosts, *self.paths, *self.methods, *(one for values in self.headers.values() for one in values)]

    @property
    def parts(self) -> Sequence[rules.Part]:
        """It, with one value of each key."""
        return rules.parts(self.hosts, self.paths, self.methods, self.headers)

    @property
    def place(self) -> int:
        """Its slot."""
        return self.slot or route_slot("\n".join(map(str, sorted(self.parts))))
