"""Which known name was probably meant."""

import difflib
from collections.abc import Sequence


def unknown_key(key: str, known: Sequence[str]) -> str:
    """Return the reason that refuses a key that does not exist."""
    return f"unknown key; {advice(key, known)}"


def advice(name: str, known: Sequence[str]) -> str:
    """Return the known name that was probably meant, or all of them."""
    nearest = difflib.get_close_matches(name[:80], known, n=1)
    return f"did you mean {nearest[0]}?" if nearest else f"known here: {', '.join(known) or 'none'}"
