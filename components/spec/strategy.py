"""How a service is released."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Final

from components.model import Color
from components.rules import Problem
from components.rules.steps import StrategyError, strategy
from components.spec.marks import Between, Example


class StrategyKind(StrEnum):
    """The way in which a new version of a service takes the place of the old one."""

    BLUE_GREEN = "blueGreen"
    """Two colors; traffic moves by weight, at once or step by step, and back as fast."""
    ROLLING = "rolling"
    """One color, in place, pod by pod; the way back is ``kubectl rollout undo`` or the old image."""
    RECREATE = "recreate"
    """One color; all pods stop before the new ones start."""


@dataclass(frozen=True, kw_only=True)
class Strategy:
    """How a new version takes the place of the old one; the surge and what may be missing matter to rolling alone."""

    kind: StrategyKind = StrategyKind.BLUE_GREEN
    """blueGreen moves traffic between two colors; rolling and recreate replace the pods of one."""
    max_surge: Annotated[int, Between(0, 100, "not 0 with maxUnavailable 0, which leaves no room to move")] = 1
    """Pods above the wanted number during an update."""
    max_unavailable: Annotated[int, Between(0, 100, "not 0 with maxSurge 0, which leaves no room to move")] = 0
    """Pods below the wanted number during an update."""
    allow_downtime: bool = False
    """Whether production may use recreate, in which users get 503 for a while."""
    steps: Annotated[Sequence[int | Mapping[str, Any]] | None, Example([10, {"weight": 50, "bake": "30m"}])] = None
    """Shares of the new color in a release, in percent or with bake, approval and gates; 100 is always last. Unset, 10
    and 50 in production, and none elsewhere."""
    smoke: Annotated[Sequence[Mapping[str, Any]] | None, Example([{"path": "/items", "within": "500ms"}])] = None
    """Smoke checks of the new color at its test host: path, status, within and contains, or a command; unset, its
    health."""
    gates: Annotated[
        Sequence[Mapping[str, Any]], Example([{"name": "orders", "query": 'orders{color="$color"}', "above": 1}])
    ] = ()
    """Questions of your own at every step: a name, and a query with below or above, or a command."""
    compare: Annotated[Mapping[str, Any] | bool | None, Example({"limit": 0.5})] = None
    """limit, the percent of failing requests that must not go unseen beside the old color; false for no comparison.
    Unset, 1."""
    patience: Annotated[int | str, Example("10m")] = 600
    """Seconds, or such as 10m, that a release waits for what is missing or unknown before it is undone."""

    def problems(self) -> Sequence[Problem]:
        """Return what is wrong with how a release goes; what production asks besides, `hueshift plan` says."""
        said = {
            "steps": self.steps,
            "smoke": self.smoke,
            "gates": self.gates,
            "compare": self.compare,
            "patience": self.patience,
        }
        try:
            strategy({key: value for key, value in said.items() if value is not None}, **_ANYWHERE)
        except StrategyError as error:
            return error.problems
        if self.kind is StrategyKind.BLUE_GREEN:
            return []
        why = f"means nothing with {self.kind}, which has one color; remove it, or set kind to blueGreen"
        return [Problem(key, why) for key in ("steps", "gates", "compare") if said[key]]

    @property
    def colors(self) -> int:
        """How many colors such a service has."""
        return 2 if self.kind is StrategyKind.BLUE_GREEN else 1


_ANYWHERE: Final[Mapping[str, Any]] = {"bake": 1, "least_bake": 0, "production": False, "health_path": "/"}
"""Of what a strategy is read with, nothing that could refuse it."""


def colors_problems(colors: Collection[Color], strategy: Strategy) -> list[Problem]:
    """Return why the colors do not fit the strategy: blue/green has both, any other one."""
    if strategy.kind is StrategyKind.BLUE_GREEN:
        reason = "is required, and may repeat the image of the other color with parked: true"
        return [Problem(color, reason) for color in Color if color not in colors]
    if len(colors) == 1:
        return []
    what = f"{len(colors)} colors, but {strategy.kind} works in place; keep one of blue and green"
    return [Problem("", f"{what}, or set strategy.kind to {StrategyKind.BLUE_GREEN}")]


def downtime_problem(strategy: Strategy, *, production: bool) -> str | None:
    """Return why production refuses ``recreate``, which serves nobody while it runs."""
    if strategy.kind is not StrategyKind.RECREATE or not production or strategy.allow_downtime:
        return None
    return (
        "recreate stops all pods before the new ones start, and users get 503 meanwhile; use rolling or blueGreen, or "
        "accept it with strategy.allowDowntime: true"
    )


def surge_problem(strategy: Strategy) -> str | None:
    """Return why a rolling update has no room above or below the desired number (RollingUpdateDeployment)."""
    if strategy.kind is not StrategyKind.ROLLING or strategy.max_surge or strategy.max_unavailable:
        return None
    return "0 with maxUnavailable 0 leaves no room to move; raise one of them, maxSurge unless capacity is short"
