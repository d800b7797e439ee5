"""Bring the database to a schema revision: `python -m app.migrate 0002`; and by hand one back: `… --back 0001`.

Run by the migration Job before a color starts. A database at the revision or
past it is left alone, so a rollback, which names an older revision, changes
nothing. Two runs at once are one: the second waits, then finds the work done.

Each revision is of a phase. One that expands suits the code of the schema before
it. One that contracts takes away what older code uses, and is refused while any
color still needs that: the colors' schemas come with the environment (`app.schemas`).
"""

import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext, MigrationInfo
from alembic.script import ScriptDirectory
from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from app import logs
from app.config import database_secrets, postgres_url
from app.schemas import MigrationError, NotYetError, Revision, Schemas

_log = logs.get("app.migrate")

MIGRATIONS = Path(__file__).parent / "migrations"

TRY_AGAIN = 75
"""The exit code where the same run may succeed soon: the database does not answer, or pods are being replaced."""

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

_JOURNAL = """CREATE TABLE IF NOT EXISTS migration_log (
    revision text PRIMARY KEY,
    phase text NOT NULL,
    unused_since text,
    digest text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)"""
"""What was applied, kept in the database itself: an image knows only the revisions of its own time."""


_UNTOLD = Schemas({}, {})


def migrate(url: str, target: str, schemas: Schemas = _UNTOLD, place: Path = MIGRATIONS) -> str:
    """Upgrade the database at `url` to `target` if it is behind it; return the revision it is at then.

    Args:
        url: of the database.
        target: the revision.
        schemas: what the colors need; without it nothing contracts but an empty database.
        place: the directory of the revisions.

    Raises:
        MigrationError: before anything was changed: a revision is unknown, wrongly declared, edited since it was
            applied, or contracts too early. Or no lock was to be had in the time allowed.
        sqlalchemy.exc.SQLAlchemyError: the database refused.

    """
    return _Run(place, schemas).to(url, target, back=False)


def back(url: str, target: str, schemas: Schemas = _UNTOLD, place: Path = MIGRATIONS) -> str:
    """Downgrade the database at `url` to `target`, if no color needs more; return the revision it is at then.

    Raises as `migrate` does.
    """
    return _Run(place, schemas).to(url, target, back=True)


class _Run:
    def __init__(self, place: Path, schemas: Schemas) -> None:
        self.config = Config()
        self.config.set_main_option("script_location", str(place))
        scripts = ScriptDirectory.from_config(self.config).walk_revisions()
        self.known = {script.revision: Revision.read(script.module, Path(script.path)) for script in scripts}
        self.schemas = schemas
        for revision in self.known.values():
            revision.validate(self.known)

    def to(self, url: str, target: str, *, back: bool) -> str:
        if target not in self.known:
            raise MigrationError(f"revision {target} is unknown; this version knows {', '.join(sorted(self.known))}")
        # Connected by psycopg, like the service: SQLAlchemy reads URLs in a way of its own.
        engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(url), poolclass=NullPool)
        with engine.connect() as connection:
            _committed(connection, f"SET lock_timeout = '{_TURN_TIMEOUT}'; SELECT pg_advisory_lock({_LOCK_KEY})")
            _committed(
                connection, f"SET lock_timeout = '{_LOCK_TIMEOUT}'; SET statement_timeout = '{_STATEMENT_TIMEOUT}'"
            )
            for attempt in range(1, _ATTEMPTS + 1):
                current = MigrationContext.configure(connection).get_current_revision()
                connection.rollback()
                self._check(connection, current, target, back=back)
                # Four digits compare as text, and so does a newer one that this version does not know yet.
                if current is not None and (current <= target if back else current >= target):
                    _log.info("schema is at %s", current, extra={"fields": {"revision": current, "target": target}})
                    return current
                fields = {"from": current, "target": target, "attempt": attempt}
                _log.info("going back" if back else "upgrading", extra={"fields": fields})
                try:
                    self._apply(connection, current, target, back=back)
                except OperationalError as error:
                    connection.rollback()
                    if getattr(error.orig, "sqlstate", None) != "55P03":  # lock_not_available
                        raise
                    _log.warning("a table was locked; trying again", extra={"fields": {"attempt": attempt}})
                    time.sleep(_PAUSE)
        raise MigrationError(f"tables stayed locked for all {_ATTEMPTS} attempts")

    def _check(self, connection: Connection, current: str | None, target: str, *, back: bool) -> None:
        applied = self._journal(connection, current)
        for name, entry in applied.items():
            if name in self.known and entry.digest != self.known[name].digest:
                raise MigrationError(
                    f"{self.known[name].file} was edited after it was applied to this database: "
                    "undo the edit and put the change into a new revision"
                )
        if back:
            if current not in self.known:
                raise MigrationError(f"this version cannot downgrade from {current}: use the version that added it")
            self.schemas.check_back(target)
            return
        for entry in applied.values():
            if entry.takes_from(target):
                raise MigrationError(
                    f"code of schema {target} no longer runs on this database: {entry.name} took away what code before "
                    f"schema {entry.unused_since} uses; run a version with {entry.unused_since} or later"
                )
        if current is not None:  # no code uses a database that is empty
            for name in sorted(self.known):
                if current < name <= target:
                    self.schemas.check(self.known[name])

    def _journal(self, connection: Connection, current: str | None) -> dict[str, Revision]:
        """Return what was applied, by revision; from before there was a journal, as this version knows it."""
        found = connection.execute(text("SELECT to_regclass('migration_log')")).scalar()
        rows = (
            connection.execute(text("SELECT revision, phase, unused_since, digest FROM migration_log")) if found else ()
        )
        applied = {name: self.known[name] for name in self.known} | {row[0]: Revision(*row) for row in rows}
        connection.rollback()
        return {name: revision for name, revision in applied.items() if current and name <= current}

    def _apply(self, connection: Connection, current: str | None, target: str, *, back: bool) -> None:
        def record(*, ctx: MigrationContext, step: MigrationInfo, **_: object) -> None:
            assert ctx.connection is not None
            name = step.up_revision_id
            assert name is not None
            ctx.connection.execute(text("DELETE FROM migration_log WHERE revision = :name"), {"name": name})
            if step.is_upgrade:
                self.known[name].enter(ctx.connection)

        _committed(connection, _JOURNAL)
        for name in self.known:
            if current and name <= current:
                self.known[name].enter(connection)
        connection.commit()
        self.config.attributes.update(
            connection=connection,
            on_version_apply=record,
            # In one transaction: no run that was cut off leaves a database that is neither empty nor in use.
            transaction_per_migration=current is not None,
        )
        (command.downgrade if back else command.upgrade)(self.config, target)


def _committed(connection: Connection, statements: str) -> None:
    connection.execute(text(statements))
    connection.commit()


def main(arguments: Sequence[str], env: Mapping[str, str]) -> int:
    """Return the exit code: 0 when the database is at the revision, 1 or `TRY_AGAIN` with the reason logged if not."""
    logs.setup()
    match list(arguments):
        case [target] if not target.startswith("-"):
            go = migrate
        case ["--back", target]:
            go = back
        case _:
            _log.critical("usage: python -m app.migrate [--back] REVISION")
            return 1
    name = "MIGRATION_DATABASE_URL" if env.get("MIGRATION_DATABASE_URL") else "DATABASE_URL"
    try:
        url = postgres_url(env.get(name, ""))
    except ValueError as error:
        _log.critical("bad configuration: %s %s", name, error)
        return 1
    logs.setup(secrets=database_secrets(url))
    try:
        go(url, target, Schemas.read(env))
    except (MigrationError, SQLAlchemyError) as error:
        cause = getattr(error, "orig", None) or error
        _log.critical("migration failed: %s", cause)
        # An error without a code is not the server's, it is of the connection.
        unreachable = isinstance(cause, psycopg.OperationalError) and cause.sqlstate is None
        return TRY_AGAIN if unreachable or isinstance(error, NotYetError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
