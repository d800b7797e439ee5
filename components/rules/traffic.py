"""Colors and weights."""

from components.model import Color


def parked_problem(color: Color, *, active: Color, canary_weight: int) -> str | None:
    """Return why a parked color must have no traffic: without pods it would be answered 503."""
    if color is active:
        return f"true, but activeColor is {color}; set parked to false, or the service's activeColor to {color.other}"
    if canary_weight > 0:
        return f"true, but canaryWeight is {canary_weight}; set parked to false, or the service's canaryWeight to 0"
    return None


def canary_problem(weight: int) -> str | None:
    """Return why this is not 0 to 99: all of the requests is a flip, which has another key."""
    if 0 <= weight < 100:
        return None
    remedy = ": all of the traffic is a flip, set activeColor to the other color and canaryWeight to 0"
    return f"{weight} is out of range; allowed are 0 to 99{remedy if weight == 100 else ''}"
