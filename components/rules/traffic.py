"""Colors, strategies and weights."""

from collections.abc import Collection

from components.model import (
    Color,
    Strategy,
    StrategyKind,
)
from components.rules.text import Problem


def colors_problems(colors: Collection[Color], *, strategy: Strategy) -> list[Problem]:
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


def parked_problem(color: Color, *, active: Color, canary_weight: int) -> str | None:
    """Return why a parked color must have no traffic: without pods it would be answered 503."""
    if color is active:
        return f"true, but activeColor is {color}; set parked to false, or the service's activeColor to {color.other}"
    if canary_weight > 0:
        return f"true, but canaryWeight is {canary_weight}; set parked to false, or the service's canaryWeight to 0"
    return None


def canary_problem(weight: int) -> str | None:
    """Return why this is no canary's weight: all of the requests is a flip, which has another key."""
    if 0 <= weight < 100:
        return None
    remedy = ": all of the traffic is a flip, set activeColor to the other color and canaryWeight to 0"
    return f"{weight} is out of range; allowed are 0 to 99{remedy if weight == 100 else ''}"
