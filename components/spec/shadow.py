"""Shadow traffic: copies of users' requests reach the color that does not answer them."""

from dataclasses import dataclass
from typing import Annotated

from components import rules
from components.spec.marks import Between, Example, Rule


@dataclass(frozen=True, kw_only=True)
class Shadow:
    """A mirror for each color: it lets that color answer and sends a copy to the other one, which nobody waits for."""

    percent: Annotated[int, Between(0, 100, "a percentage")] = 0
    """Percent of the requests that the mirror of the active color answers and copies."""
    writes: bool = False
    """Whether requests are copied that may change something, all but GET, HEAD and OPTIONS: the idle color then does
    each a second time."""
    image: Annotated[
        str,
        Rule(rules.image_problem, by_environment=True),
        Example(f"registry.example.com/envoy@sha256:{'0a1b' * 16}"),
    ]
    """The image of Envoy, by digest, with the program envoy on its path."""
