"""What the probes ask. Each answers one question and nothing else.

| path | asks | 503 when | used by |
| --- | --- | --- | --- |
| /health | is there a web server | never | people, uptime checks |
| /health/live | must the process be restarted | its start failed for good | kubelet |
| /health/startup | has it started | the database was never reached, or its schema is too old | kubelet |
| /health/ready | can it serve | not started, shutting down, or told so by a test | kubelet, load balancer |
| /health/detailed | what is wrong | a dependency is | people, inside only |

Liveness never asks the database: restarting every pod does not repair it.
Readiness asks it only until it was reached once: a wrong connection string never
receives traffic, and an outage of a database that both colors share does not
take every target away, `/` serves without it.
"""

import asyncio
import time
from dataclasses import dataclass, field

from psycopg import Error
from psycopg_pool import PoolTimeout
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from app.config import Config
from app.database import Database, SchemaBehindError


@dataclass
class State:
    """What is true of this process now."""

    config: Config
    database: Database
    draining: bool = False
    """SIGTERM was received."""
    start: "asyncio.Task[None] | None" = None
    """Ends when the database was reached with a schema this version can use."""
    born: float = field(default_factory=time.monotonic)

    @property
    def started(self) -> bool:
        return self._ended() and not self.failed

    @property
    def failed(self) -> bool:
        return self.start is not None and self._ended() and self.start.exception() is not None

    @property
    def ready(self) -> bool:
        return self.started and not self.draining and not self.config.faults.unready

    def _ended(self) -> bool:
        return self.start is not None and self.start.done() and not self.start.cancelled()


def routes(state: State) -> list[Route]:
    """Return the health routes; the caller keeps `/health/detailed` from the outside."""

    async def web(_: Request) -> JSONResponse:
        return _answer(True)

    async def live(_: Request) -> JSONResponse:
        return _answer(not state.failed)

    async def startup(_: Request) -> JSONResponse:
        return _answer(state.started)

    async def ready(_: Request) -> JSONResponse:
        return _answer(state.ready)

    async def detailed(_: Request) -> JSONResponse:
        database: dict[str, object] = {"status": "ok"}
        began = time.perf_counter()
        try:
            await state.database.check()
        except (Error, PoolTimeout, SchemaBehindError) as error:
            database = {"status": "degraded", "error": type(error).__name__}
        database["latency_ms"] = round((time.perf_counter() - began) * 1000, 1)
        healthy = database["status"] == "ok" and state.ready
        return JSONResponse(
            {
                "status": "ok" if healthy else "degraded",
                "version": state.config.version,
                "color": state.config.color,
                "uptime_seconds": round(time.monotonic() - state.born, 1),
                "ready": state.ready,
                "dependencies": {"database": database},
            },
            status_code=200 if healthy else 503,
        )

    return [
        Route("/health", web),
        Route("/health/live", live),
        Route("/health/startup", startup),
        Route("/health/ready", ready),
        Route("/health/detailed", detailed),
    ]


def _answer(good: bool) -> JSONResponse:
    return JSONResponse({"status": "ok" if good else "unavailable"}, status_code=200 if good else 503)
