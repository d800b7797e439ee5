"""The record of what staging has run, and of what was shown of it, beside the stack files."""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

from components.settings.messages import SettingsError

RECORD: Final = "releases.json"
"""What staging has run, beside the stack files and reviewed like them: digests by service, the newest last."""


def ran(record: Path) -> Mapping[str, Mapping[str, Collection[str]]]:
    """Return the digests that staging has run, by service, each with what there is evidence of; empty without a record.

    Raises ``SettingsError`` if the record is not one.
    """
    if not record.exists():
        return {}
    try:
        return {
            service: {item["digest"]: tuple({**item.get("evidence", {})}) for item in items}
            for service, items in json.loads(record.read_text()).items()
        }
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        reason = f"{record}: is no record of releases ({error}); restore it with `git checkout {record}`"
        raise SettingsError("production", [reason]) from None
