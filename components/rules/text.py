"""Text, tags and lists; and what every predicate answers with."""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Final, NamedTuple


class Problem(NamedTuple):
    """A refused setting: its key, camelCase and relative to what was judged, and the reason."""

    key: str
    reason: str


_GO_TIME: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)? [+-][0-9]{4} (UTC|[+-][0-9]{4})"
)
"""How the engine hands over a date that YAML read as one (Go, time.Time.String)."""
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_CONTROLS_BUT_LINES: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters, and halves of a character, which are no text in UTF-8."""


def text_problem(text: str, *, lines: bool = False) -> str | None:
    """Return why a text was changed by YAML or is refused by AWS, Kubernetes or a process; never repeats it.

    ``lines`` allows the end of a line and a tab.
    """
    if _GO_TIME.fullmatch(text):
        return "was a date without quotes, which YAML has changed; it must be text in quotes"
    found = (_CONTROLS_BUT_LINES if lines else _CONTROLS).search(text)
    return f"has the character U+{ord(found[0]):04X}, which no text here may have; remove it" if found else None


def phrase_problem(text: str) -> str | None:
    """Return why a line for people does not fit an alarm's description (1,024 characters in CloudWatch)."""
    return None if 1 <= len(text) <= 256 else f"has {len(text)} characters; allowed are 1 to 256"


_TAG: Final = re.compile(r"[\w .:/=+@-]*")
"""What every service of AWS takes in a tag, letters of any script among them (Tagging AWS Resources)."""


def tag_value_problem(value: str) -> str | None:
    """Return why this is no value of a tag."""
    if 1 <= len(value) <= 256 and _TAG.fullmatch(value):
        return None
    return "is no value of a tag; allowed are 1 to 256 letters, digits, spaces and . : / = + - @ _"


def filter_problem(tags: Mapping[str, str]) -> str | None:
    """Return why these tags cannot identify one resource; a wildcard may find more than the intended one.

    EC2 allows any character in a tag of its own, and what CloudFormation made has keys that begin with ``aws:``.
    """
    if not tags:
        return "is empty, which finds anything; name one tag or more"
    for key, value in tags.items():
        if not 1 <= len(key) <= 128 or len(value) > 256:
            return "has a tag that AWS cannot have; allowed are 1 to 128 characters for its key, 256 for its value"
        if not {"*", "?", "\\"}.isdisjoint(key + value):
            return "has a wildcard (* ? \\), which may find another one; write the tag as it is"
    return None


def repeated_problem(items: Sequence[object]) -> str | None:
    """Return which items of a list are the same: AWS refuses most duplicates, the rest are mistakes."""
    for place, item in enumerate(items):
        if (first := items.index(item)) != place:  # what a list holds may be no key
            return f"items {first} and {place} are the same; name each once"
    return None


def empty_problem(items: Collection[object]) -> str | None:
    """Return why a list must not be empty: it would mean nothing, or everything."""
    return None if items else "is empty; name one or more"
