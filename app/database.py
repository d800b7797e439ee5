"""The PostgreSQL connection pool, and what the service asks of the schema."""

import asyncio
import time

from psycopg import AsyncConnection, Error
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from app import logs

_log = logs.get("app.database")

_WAIT = 2.0
"""Seconds a request waits for a connection: a caller gets its 503 before it gives up."""


class SchemaBehindError(Exception):
    """The database lacks the revision this version needs."""


class Database:
    """One pool per process, opened without waiting: the service starts, and answers probes, without a database."""

    def __init__(self, url: str, needs: str) -> None:
        self.needs = needs
        """The oldest schema revision this version runs on."""
        self.pool = AsyncConnectionPool(
            url,
            open=False,
            min_size=1,
            max_size=4,
            timeout=_WAIT,
            check=AsyncConnectionPool[AsyncConnection].check_connection,
            kwargs={"connect_timeout": 3, "application_name": "shop", "options": "-c statement_timeout=5s"},
        )

    async def check(self) -> float:
        """Return the milliseconds that a query takes.

        Raises:
            SchemaBehindError: the schema is older than `needs`.
            psycopg.Error, PoolTimeout: the database does not answer.

        """
        began = time.perf_counter()
        async with self.pool.connection() as connection:
            row = await (await connection.execute("SELECT max(version_num) FROM alembic_version")).fetchone()
        found = row[0] if row else None
        if found is None or found < self.needs:
            raise SchemaBehindError(f"schema {found} is older than {self.needs}")
        return (time.perf_counter() - began) * 1000

    async def wait(self) -> None:
        """Return once `check` succeeds, however long that takes."""
        reason = ""
        while True:
            try:
                await self.check()
            except (Error, PoolTimeout, SchemaBehindError) as error:
                if reason != (reason := type(error).__name__):
                    _log.warning("waiting for the database: %s", reason)
                await asyncio.sleep(0.5)
            else:
                return


def needed_revision(version: str) -> str:
    """Return the oldest schema that `version` runs on.

    A real service holds one constant; this one is built as several versions from one source.
    """
    return {"1.4": "0001", "1.5": "0002"}.get(version.rpartition(".")[0], "0003")
