"""Stack files, read and written by the rules of the engine's YAML (gopkg.in/yaml.v3), which differ from Python's.

PyYAML follows YAML 1.1: to it ``yes`` is true, ``12:30`` a number of minutes and ``1e3`` text; to the engine they are
text, text and a number. What it reads here is what reaches the program, and what it writes the engine reads as it was.
"""

import math
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import yaml

from hueshift.report import RefusedError

_PLAIN: Final = "plain"
"""The tag of a scalar without quotes, whose text says what it is."""
_TEXT: Final = "tag:yaml.org,2002:str"
_MOST: Final = 100_000
"""Nodes of a file, with each use of an alias: far more than a stack has."""
_CONSTANTS: Final = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **{f"{sign}.{word}": float(f"{sign}inf") for sign in ("", "+", "-") for word in ("inf", "Inf", "INF")},
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
_INTEGER: Final = re.compile(r"[-+]?(?:0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7]+|0|[1-9][0-9]*)")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_DATE: Final = re.compile(
    r"(\d{4})-(\d{1,2})-(\d{1,2})"
    r"(?:(?:[Tt](\d{1,2}):(\d{1,2}):(\d{1,2})(\.\d+)?(?:Z|([-+]\d{2}):(\d{2})))"
    r"|(?: (\d{1,2}):(\d{1,2}):(\d{1,2})(\.\d+)?))?",
    re.ASCII,
)


class _Loader(yaml.SafeLoader):
    """Composes nodes only, and leaves scalars without quotes to `scalar`."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:  # noqa: ANN401 - as PyYAML has it
        if kind is yaml.ScalarNode:
            return _PLAIN if implicit[0] else _TEXT
        return super().resolve(kind, value, implicit)  # type: ignore[no-untyped-call]


class _Dumper(yaml.SafeDumper):
    pass


def _write_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # PyYAML quotes what would be no text to itself; the rest is what the engine would take for something else.
    plain = scalar(text) == text and text.isascii() and text.isprintable()
    return dumper.represent_scalar(_TEXT, text, style=None if plain else '"')


_Dumper.add_representer(str, _write_text)


def read(file: Path) -> dict[str, Any]:
    """Return what a file holds; empty if that is nothing.

    Raises ``RefusedError`` for what the engine refuses too, such as a key that stands twice, with the key and its line.
    """
    try:
        return parsed(file.read_text(encoding="utf-8-sig"), file)
    except UnicodeDecodeError:
        raise RefusedError(f"{file} is no YAML: it is no text in UTF-8") from None


def parsed(text: str, file: Path) -> dict[str, Any]:
    """Return what a text holds, as `read` does; ``file`` is what a refusal names."""
    try:
        node = yaml.compose(text, Loader=_Loader)
        content = _Reading(file).value(node) if node else None
    except RecursionError:
        raise RefusedError(f"{file} is no YAML: too many lists and mappings in each other") from None
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        what = getattr(error, "problem", None) or getattr(error, "reason", None) or "what is in it"
        line = f", line {where.line + 1}" if where else ""
        raise RefusedError(f"{file} is no YAML: {what}{line}") from None
    if not isinstance(content, dict | None):
        raise RefusedError(f"{file} is no mapping of keys to values")
    return content or {}


def section(content: Mapping[str, Any], key: str, file: Path) -> dict[str, Any]:
    """Return the mapping below a key of what a file holds; empty if there is none.

    Raises ``RefusedError`` for anything else.
    """
    found = content.get(key)
    if not isinstance(found, dict | None):
        raise RefusedError(f"{file}: {key} is no mapping of keys to values")
    return found or {}


def write(content: Mapping[str, Any]) -> str:
    """Return the text of a stack file, of which the engine reads the same values."""
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=float("inf"))


def scalar(text: str) -> object:
    """Return what a scalar without quotes is to the engine (yaml.v3, resolve.go), as its JSON gives it to a program."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if text[0] not in "+-.0123456789":
        return text
    if (date := _date(text)) is not None:
        return date
    plain = text if text[0] == "." else text.replace("_", "")
    if _INTEGER.fullmatch(plain) and len(plain) <= 100:
        digits = plain.lstrip("+-")
        octal = len(digits) > 1 and digits[0] == "0" and digits[1] in "01234567"
        number = int(digits, 8 if octal else 0) * (-1 if plain[0] == "-" else 1)
        if -(2**63) <= number < 2**64:
            return number
    if _FLOAT.fullmatch(plain) and not math.isinf(value := float(plain)):
        return _number(value)
    return text


def _number(value: float) -> object:
    """Return a number as JSON has it: Go writes 1e3 as 1000."""
    return int(value) if abs(value) < 1e21 and value.is_integer() else value


def _date(text: str) -> str | None:
    """Return how Go prints a date (time.Time.String), which is what the engine makes of one."""
    found = _DATE.fullmatch(text)
    if found is None:
        return None
    year, month, day, *rest = found.groups()
    hour, minute, second, part = rest[:4] if rest[0] else rest[6:]
    try:
        when = datetime(int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0))
    except ValueError:
        return None
    zone = f"{rest[4]}{rest[5]}" if rest[4] else "+0000"
    fraction = (part or "").rstrip("0").rstrip(".")
    return f"{when:%Y-%m-%d %H:%M:%S}{fraction} {zone} {'UTC' if zone == '+0000' else zone}"


class _Reading:
    """One file on its way from nodes to values."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._count = 0
        self._open: set[int] = set()

    def value(self, node: yaml.Node) -> object:
        self._count += 1
        if self._count > _MOST or id(node) in self._open:
            raise self._refused("an alias stands for too much", node)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node)
            return [self.value(item) for item in node.value]
        finally:
            self._open.remove(id(node))

    def _scalar(self, node: yaml.ScalarNode) -> object:
        if node.tag == _PLAIN:
            return scalar(node.value)
        if node.tag != _TEXT:
            raise self._refused(f"the tag {node.tag} is not for stack files: write text in quotes", node)
        return node.value

    def _mapping(self, node: yaml.MappingNode) -> dict[str, object]:
        lines: dict[str, int] = {}
        own: dict[str, object] = {}
        merged: dict[str, object] = {}
        for key, child in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise self._refused("a key that is no text", key)
            if key.value in lines:
                raise self._refused(f"the key {key.value[:80]!r} stands twice, first in line {lines[key.value]}", key)
            lines[key.value] = key.start_mark.line + 1
            if key.tag == _PLAIN and key.value == "<<":
                for each in self._merged(child):
                    merged = {**each, **merged}
            else:
                own[self._name(key)] = self.value(child)
        return {**merged, **own}

    def _merged(self, node: yaml.Node) -> Iterator[dict[str, object]]:
        for each in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            found = self.value(each)
            if not isinstance(found, dict):
                raise self._refused("<< takes a mapping, or a list of them", node)
            yield found

    def _name(self, node: yaml.ScalarNode) -> str:
        """Return a key as text, which the engine makes of it (fmt.Sprintf %v)."""
        found = self._scalar(node)
        if isinstance(found, bool | None):
            return {True: "true", False: "false", None: "<nil>"}[found]
        return str(found)

    def _refused(self, what: str, node: yaml.Node) -> RefusedError:
        return RefusedError(f"{self._file}, line {node.start_mark.line + 1}: {what}")
