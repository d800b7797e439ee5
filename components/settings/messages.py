"""What pydantic found, in words that name the key, the value and what is allowed."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final

import pulumi
from pydantic_core import ErrorDetails

from components import rules
from components.rules import Problem
from components.rules.advice import unknown_key
from components.settings.schema import KEYS, ProblemsError


class SettingsError(pulumi.RunError, ValueError):
    """All problems of a stack's settings, one line each; the engine shows a ``RunError`` without a traceback."""

    def __init__(self, stack: str, problems: Sequence[str]) -> None:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__("\n  ".join([f"{count} in the settings of stack {stack}, Pulumi.{stack}.yaml:", *problems]))
        self.problems = tuple(problems)


_ALLOWED: Final = {
    "int": "a whole number",
    "string": "text in quotes",
    "bool": "true or false",
    "tuple": "a list",
    "dict": "a mapping",
    "model": "a mapping",
    "dataclass": "a mapping",
}
_CONTAINERS: Final = {"a list", "a mapping"}
_PRIVATE: Final = {"env", "secrets", "secretVersions", "args"}
"""Below these keys a value may be a secret that got into the wrong place."""
_MOST_OF_A_KEY, _MOST_OF_A_REASON = 250, 1500
"""Characters of a message, of which names are a part."""


def _texts(value: object) -> list[str]:
    """Return the texts of a value that a reason may repeat: itself, or what it lists."""
    if isinstance(value, Mapping):
        value = [*value, *value.values()]
    return [text for text in (value if isinstance(value, list | tuple) else [value]) if isinstance(text, str)]


def lines_of(error: ErrorDetails) -> Iterator[str]:
    """Return pydantic's errors in our words."""
    *parents, last = error["loc"]
    kind = error["type"]
    cause = error.get("ctx", {}).get("error")
    value = error["input"]
    private = not _PRIVATE.isdisjoint(error["loc"]) or (isinstance(value, str) and rules.may_hold_a_secret(value))
    got = "" if private else f"; got {rules.shown(value)}"
    if kind == "missing":
        reason = f"is required: {_meaning(_schema(parents)['properties'][last])}"
    elif kind in ("extra_forbidden", "unexpected_keyword_argument"):
        reason = unknown_key(str(last), list(_schema(parents)["properties"]))
    elif kind in ("enum", "literal_error"):
        reason = f"must be {error['ctx']['expected']}{got}".replace("'", "")
    elif kind == "value_error":
        reason = str(cause)
        for text in _texts(value):
            hidden = private or rules.may_hold_a_secret(text)
            repeated = "a value that is not shown here" if hidden else rules.shortened(repr(text))
            reason = reason.replace(repr(text), repeated)
    else:
        allowed = _ALLOWED.get(kind.split("_")[0], "something else")
        if allowed in _CONTAINERS and isinstance(value, str):
            # What should be a container of settings may have swallowed some of them.
            got = "; got text"
        reason = f"must be {allowed}{got}"
        if kind == "string_type" and isinstance(value, int | float):
            reason += "; on the command line add --type string"
    for key, text in cause.problems if isinstance(cause, ProblemsError) else [Problem("", reason)]:
        path = "".join(
            f"[{part}]" if isinstance(part, int) else f".{part}"
            for part in (*(part if part != "" else '""' for part in error["loc"]), key)
            if part not in ("[key]", "")
        )
        yield f"{full_key(path.removeprefix('.'))}: {rules.shortened(text, _MOST_OF_A_REASON)}"


_BELOW_PRIVATE: Final = re.compile(rf"(?:^|\.)(?:{'|'.join(sorted(_PRIVATE))})(?:\[[^\]]*\])?\.")


def full_key(path: str) -> str:
    """Return a key as messages name it, in one line; below private keys only what can be a name."""
    if (private := _BELOW_PRIVATE.search(path)) and not re.fullmatch(r"[\w.\[\]-]+", path[private.end() :], re.ASCII):
        path = f"{path[: private.end()]}…"
    # Colons and spaces would end the key for who reads the message.
    path = path or '""'
    shown = re.sub(r"[^!-9;-~…]", lambda found: f"\\u{{{ord(found[0]):x}}}", rules.shortened(path, _MOST_OF_A_KEY))
    return f"hueshift:{rules.shortened(shown, _MOST_OF_A_KEY)}"


@cache
def _json_schema() -> dict[str, Any]:
    return KEYS.json_schema()


def _schema(loc: Sequence[int | str]) -> dict[str, Any]:
    """Return the JSON schema of the value at ``loc``."""
    root = node = _json_schema()
    for part in loc:
        if part == "[key]":
            continue
        if isinstance(part, int):
            node = node["items"]
        else:
            node = node.get("properties", {}).get(part) or node["additionalProperties"]
        node = next((choice for choice in node.get("anyOf", ()) if choice.get("type") != "null"), node)  # or null
        if "$ref" in node:
            node = root["$defs"][node["$ref"].rpartition("/")[2]]
    return node


def _meaning(field: Mapping[str, str]) -> str:
    text = field["description"].rstrip(".")
    return text[0].lower() + text[1:]
