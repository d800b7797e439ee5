"""Feature flags: their names, their days, and the tags by which AWS and the policy pack know them."""

import re
from collections.abc import Collection
from datetime import date
from typing import Final

from components.rules.names import label_problem

FLAG_TAG: Final = "flag:"
"""Before a flag's name in the tags of its profile; the value is its last day and its owner."""
_MOST: Final = 40
"""Of the 50 tags of a resource, with room for those that all resources have (AWS General Reference, tags)."""


def flag_name_problem(name: str) -> str | None:
    """Return why this is not at most 40 lowercase letters, digits and hyphens, a letter first."""
    return label_problem(name, limit=40)


def flags_problem(flags: Collection[str]) -> str | None:
    """Return why these are too many: each is a tag of one resource, which has 50."""
    return None if len(flags) <= _MOST else f"has {len(flags)} flags; allowed are {_MOST}: remove those that are over"


def day(text: str) -> date | None:
    """Return the day that a text such as 2027-06-01 says; None if it says none."""
    try:
        return date.fromisoformat(text) if re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII) else None
    except ValueError:
        return None


def day_problem(text: str) -> str | None:
    """Return why this is no day, such as 2027-06-01."""
    return None if day(text) else f'{text!r} is no day; allowed is year, month and day in quotes, such as "2027-06-01"'


def flag_tag(name: str, *, expires: str, owner: str) -> tuple[str, str]:
    """Return the tag of a flag."""
    return f"{FLAG_TAG}{name}", f"{expires} {owner}"


def flag_problem(name: str, value: str, *, today: date) -> str | None:
    """Return why a flag with this tag should be gone, or belongs to nobody."""
    last, _, owner = value.partition(" ")
    if (until := day(last)) is None:
        return f"flag {name} has no day on which it expires"
    if not owner.strip():
        return f"flag {name} has no owner"
    return f"flag {name} of {owner} expired on {last}" if until <= today else None
