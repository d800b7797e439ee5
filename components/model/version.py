"""Which of two versions is newer."""

import re
from collections.abc import Collection, Mapping
from typing import Any, Final

from components.model.color import Color

_NUMBER = r"(?:0|[1-9]\d*)"
_IDENTIFIER = rf"(?:{_NUMBER}|\d*[A-Za-z-][0-9A-Za-z-]*)"
_VERSION: Final = re.compile(
    rf"({_NUMBER})\.({_NUMBER})\.({_NUMBER})(?:-({_IDENTIFIER}(?:\.{_IDENTIFIER})*))?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?",
    re.ASCII,
)


def precedence(version: str) -> tuple[Any, ...]:
    """Return a key that orders versions as semver.org 2.0.0 §11 does.

    Raises ``ValueError`` for what is no semantic version.
    """
    match = _VERSION.fullmatch(version)
    if match is None:
        raise ValueError(f"{version!r} is no semantic version such as 1.4.0 or 1.5.0-rc.1")
    *core, pre = match.groups()
    identifiers = [
        (0, int(part), "") if part.isdigit() else (1, 0, part) for part in (pre.split(".") if pre is not None else ())
    ]
    return (*map(int, core), pre is None, identifiers)


def newer(versions: Mapping[Color, str], *, active: Color) -> Color:
    """Return the color that ``x-canary: true`` reaches: the newer version's, or the idle one if versions have no order.

    They order by precedence, but not by text with digits, of which nobody knows what it counts: ``rc10`` comes before
    ``rc9``, and a commit id anywhere. Nor do versions that differ in build metadata alone. Of one and the same version
    it is green, whatever is active, so that a flip moves nothing else.
    """
    if versions[active] == versions[active.other]:
        return Color.GREEN
    idle, serving = (precedence(versions[color]) for color in (active.other, active))
    if idle == serving or _unordered(idle, serving):
        return active.other
    return active.other if idle > serving else active


def canary_color(versions: Mapping[Color, str], *, parked: Collection[Color], active: Color) -> Color | None:
    """Where ``x-canary: true`` leads: the newer version, of the colors that run; None if there is no choice."""
    if len(versions) == 1:
        return None
    canary = newer(versions, active=active)
    return canary.other if canary in parked else canary


def _unordered(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    """Return whether two precedences differ first in two texts of which one has more than letters."""
    *core, released, identifiers = one
    if [*core, released] != [*other[:-1]]:
        return False
    for mine, theirs in zip(identifiers, other[-1], strict=False):
        if mine != theirs:
            return bool(mine[2] and theirs[2] and not (mine[2].isalpha() and theirs[2].isalpha()))
    return False
