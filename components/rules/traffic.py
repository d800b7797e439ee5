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


def shadow_problem(percent: int, *, canary_weight: int, experiment: str | None, parked: Color | None) -> str | None:
    """Return why no requests may be copied: what else has a part of the users, or the idle color that is parked."""
    if not percent:
        return None
    if experiment is not None:
        return f"{percent}, but the experiment {experiment} runs, and its users would be copied too; set it to 0"
    if canary_weight:
        return (
            f"{percent}, but canaryWeight is {canary_weight}, and copies would be counted with the canary's own "
            "requests; set one of both to 0"
        )
    if parked is not None:
        return f"{percent}, but {parked} is parked, and nobody would take the copies; set it to 0, or parked to false"
    return None
