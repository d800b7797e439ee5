"""Whether two colors answer alike: one request's answers compared; pure."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from hueshift.report import RefusedError

SHOWN: Final = 5
"""Places of one body that are named."""


@dataclass(frozen=True, kw_only=True)
class Given:
    """One answer."""

    status: int
    body: bytes
    seconds: float
    """From the request to the first byte."""


def ignored(path: str) -> re.Pattern[str]:
    """Return what matches the places below a JSON path: names with dots, ``[3]`` or ``[*]``, such as $.items[*].at.

    Raises ``RefusedError`` for what is none.
    """
    bare = path.removeprefix("$").removeprefix(".")
    if not re.fullmatch(r"([\w-]+|\[(\d+|\*)\])(\.[\w-]+|\[(\d+|\*)\])*", bare, re.ASCII):
        raise RefusedError(f"{path!r} is no JSON path; allowed are names, dots, [3] and [*], such as $.items[*].at")
    pattern = re.escape(bare).replace(r"\[\*\]", r"\[\d+\]")
    return re.compile(rf"{pattern}($|[.\[].*)", re.DOTALL)


def differences(one: Given, other: Given, *, without: Sequence[re.Pattern[str]], slower: float) -> list[str]:
    """Return how the other answer differs: in its status, its body, or by more than ``slower`` seconds.

    No value is repeated: a body may be of a person.
    """
    found = [] if one.status == other.status else [f"status {one.status} → {other.status}"]
    if not found:
        found += _bodies(one.body, other.body, without)
    if other.seconds > one.seconds + slower:
        found.append(f"{1000 * one.seconds:.0f} → {1000 * other.seconds:.0f} ms")
    return found


def _bodies(one: bytes, other: bytes, without: Sequence[re.Pattern[str]]) -> list[str]:
    try:
        here, there = json.loads(one), json.loads(other)
    except ValueError:
        return [] if one == other else ["body"]
    places = [place for place in _places(here, there, "") if not any(each.fullmatch(place) for each in without)]
    more = [f"and {len(places) - SHOWN} places more"] if len(places) > SHOWN else []
    return [f"body at ${'' if place.startswith('[') else '.'}{place}".rstrip(".") for place in places[:SHOWN]] + more


def _places(one: Any, other: Any, place: str) -> Iterator[str]:  # noqa: ANN401 - what JSON holds
    """Yield the places at which two values differ, as deep as they are alike in kind."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in dict.fromkeys([*one, *other]):
            below = f"{place}.{key}".removeprefix(".")
            if key in one and key in other:
                yield from _places(one[key], other[key], below)
            else:
                yield below
    elif isinstance(one, list) and isinstance(other, list):
        for number in range(max(len(one), len(other))):
            below = f"{place}[{number}]"
            if number < min(len(one), len(other)):
                yield from _places(one[number], other[number], below)
            else:
                yield below
    # 1 and True are equal to Python, 1 and 1.0 to JSON.
    elif one != other or isinstance(one, bool) is not isinstance(other, bool):
        yield place
