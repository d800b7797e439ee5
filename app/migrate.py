"""Bring the database to a schema revision, never back: `python -m app.migrate 0002`.

Run by the migration Job before a color starts. A database at the revision or
past it is left alone, so a rollback, which names an older revision, changes
nothing. Two runs at once are one: the second waits, then finds the work done.
"""

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from app import logs
from app.config import database_secrets, postgres_url

_log = logs.get("app.migrate")

_LOCK_KEY = 0x68756573
"""Of the advisory lock; any number that nothing else in this database uses."""
_TURN_TIMEOUT = "5min"
"""How long a second run waits for the first."""
_LOCK_TIMEOUT = "3s"
"""A statement that waits for a table lock makes every later query on that table wait behind it: give up soon…"""
_ATTEMPTS = 10
"""…and try again."""
_PAUSE = 2.0
"""Seconds between two attempts, in which the queue that formed drains."""
_STATEMENT_TIMEOUT = "60s"
"""A revision is small; a backfill is not a revision."""


class MigrationError(Exception):
    """The database was not brought to the revision; the message says why."""


def migrate(url: str, target: str) -> str:
    """Upgrade the database at `url` to `target` if it is behind it; return the revision it is at then.

    Raises:
        MigrationError: `target` is unknown, or no lock was to be had in the time allowed.
        sqlalchemy.exc.SQLAlchemyError: the database refused.

    """
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    known = sorted(script.revision for script in ScriptDirectory.from_config(config).walk_revisions())
    if target not in known:
        raise MigrationError(f"revision {target} is unknown; this version knows {', '.join(known)}")

    # Connected by psycopg, like the service: SQLAlchemy reads URLs in a way of its own.
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(url), poolclass=NullPool)
    with engine.connect() as connection:
        _run(connection, f"SET lock_timeout = '{_TURN_TIMEOUT}'; SELECT pg_advisory_lock({_LOCK_KEY})")
        _run(connection, f"SET lock_timeout = '{_LOCK_TIMEOUT}'; SET statement_timeout = '{_STATEMENT_TIMEOUT}'")
        config.attributes["connection"] = connection
        for attempt in range(1, _ATTEMPTS + 1):
            current = MigrationContext.configure(connection).get_current_revision()
            connection.rollback()
            # Four digits compare as text, and so does a newer one that this version does not know yet.
            if current is not None and current >= target:
                _log.info("schema is at %s", current, extra={"fields": {"revision": current, "target": target}})
                return current
            _log.info("upgrading", extra={"fields": {"from": current, "target": target, "attempt": attempt}})
            try:
                command.upgrade(config, target)
            except OperationalError as error:
                connection.rollback()
                if getattr(error.orig, "sqlstate", None) != "55P03":  # lock_not_available
                    raise
                _log.warning("a table was locked; trying again", extra={"fields": {"attempt": attempt}})
                time.sleep(_PAUSE)
    raise MigrationError(f"tables stayed locked for all {_ATTEMPTS} attempts")


def _run(connection: Connection, statements: str) -> None:
    connection.execute(text(statements))
    connection.commit()


def main(arguments: list[str], env: Mapping[str, str]) -> int:
    """Return the exit code: 0 when the database is at the revision or past it, 1 with the reason logged if not."""
    logs.setup()
    if len(arguments) != 1:
        _log.critical("usage: python -m app.migrate REVISION")
        return 1
    name = "MIGRATION_DATABASE_URL" if env.get("MIGRATION_DATABASE_URL") else "DATABASE_URL"
    try:
        url = postgres_url(env.get(name, ""))
    except ValueError as error:
        _log.critical("bad configuration: %s %s", name, error)
        return 1
    logs.setup(secrets=database_secrets(url))
    try:
        migrate(url, arguments[0])
    except (MigrationError, SQLAlchemyError) as error:
        _log.critical("migration failed: %s", getattr(error, "orig", None) or error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
