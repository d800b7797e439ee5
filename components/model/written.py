"""How values of the configuration are written: objects and lists as YAML, or as JSON in a text."""

import json
from collections.abc import Sequence
from typing import Final

JSON: Final = ("{", "[")
"""How a text begins that is JSON."""


def decoded(value: object) -> object:
    """Return a value of the configuration; objects and lists may be written as JSON, and reach the program so.

    What looks like JSON and is none stays text: the settings refuse it.
    """
    try:
        return from_json(value) if isinstance(value, str) and value.startswith(JSON) else value
    except ValueError:
        return value


def from_json(text: str) -> object:
    """Return what a text holds. Raises ``ValueError`` with what is wrong, and nothing of the text."""

    def once(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise ValueError("a key stands twice in one object")
        return found

    try:
        return json.loads(text, object_pairs_hook=once)
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg[0].lower()}{error.msg[1:]} at character {error.pos}") from None
    except RecursionError:
        raise ValueError("too many lists and objects in each other") from None
