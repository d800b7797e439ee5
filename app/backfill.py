"""Give every item a note, in small steps: `python -m app.backfill`, once no color writes items without one.

Not a revision: it takes as long as the table is large, and holds no row for longer than one step.
It may be ended at any time and begun again.
"""

import os
import sys
from collections.abc import Mapping

import psycopg

from app import logs
from app.config import database_secrets, postgres_url

_log = logs.get("app.backfill")

_STEP = 1000
"""Rows: few enough that whoever waits for one of them does not notice."""


def backfill(url: str) -> int:
    """Fill what is empty; return how many items were."""
    total = 0
    with psycopg.connect(url, autocommit=True) as connection:
        while True:
            step = connection.execute(
                "UPDATE items SET note = '' WHERE id IN (SELECT id FROM items WHERE note IS NULL LIMIT %s)", [_STEP]
            ).rowcount
            if step == 0:
                return total
            total += step
            _log.info("filled", extra={"fields": {"items": total}})


def main(env: Mapping[str, str]) -> int:
    """Return the exit code: 0 when nothing is empty, 1 with the reason logged if not."""
    logs.setup()
    try:
        url = postgres_url(env.get("DATABASE_URL", ""))
    except ValueError as error:
        _log.critical("bad configuration: DATABASE_URL %s", error)
        return 1
    logs.setup(secrets=database_secrets(url))
    try:
        total = backfill(url)
    except psycopg.Error as error:
        _log.critical("backfill failed: %s", error)
        return 1
    _log.info("every item has a note", extra={"fields": {"items": total}})
    return 0


if __name__ == "__main__":
    sys.exit(main(os.environ))
