"""The values that `hueshift secrets put` reads from standard input; no message repeats one."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Final, TextIO

from components.rules import advice
from hueshift.report import RefusedError

LIMIT: Final = 65_536
"""Bytes that Secrets Manager stores in one version."""


def read_values(source: TextIO, keys: Sequence[str], *, command: str) -> Mapping[str, str]:
    """Return the values from the source, one for each key, in the order of the keys.

    Raises ``RefusedError`` with every problem at once; the text names keys and never repeats a value.
    """
    shape = "{" + ", ".join(f'"{key}": "…"' for key in keys) + "}"
    if source.isatty():
        raise RefusedError(f"values are read from standard input as {shape}; pipe them: {command} < values.json")
    text = source.read()
    twice: list[str] = []

    def collect(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
        names = [name for name, _ in pairs]
        twice.extend(sorted({name for name in names if names.count(name) > 1}))
        return dict(pairs)

    try:
        values = json.loads(text, object_pairs_hook=collect)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}" if text.strip() else "empty"
        raise RefusedError(f"standard input is not JSON ({where}); expected {shape}") from None
    if not isinstance(values, dict):
        raise RefusedError(f"standard input is JSON but not an object; expected {shape}")
    problems = [f"{_shown(name)}: given twice" for name in twice]
    problems += [f"{key}: missing" for key in keys if key not in values]
    for name, value in values.items():
        if name not in keys:
            problems.append(f"{_shown(name)}: not a key of this entry; {advice(name, keys)}")
        elif not isinstance(value, str):
            problems.append(f"{name}: must be a quoted string")
        elif not value:
            problems.append(f"{name}: empty")
    if problems:
        raise RefusedError("\n  ".join(["nothing is stored; problems in the values:", *problems]))
    if len(json.dumps(values, ensure_ascii=False).encode()) > LIMIT:
        raise RefusedError(
            f"the values take more than {LIMIT} bytes; store large files elsewhere and put their location here"
        )
    return {key: values[key] for key in keys}


def _shown(name: str) -> str:
    """Return a key if it is safe to print: anything but a variable name may be a misplaced value."""
    return name if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,63}", name) else "a key that is not shown"
