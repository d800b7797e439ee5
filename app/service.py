"""The application put together: routes, error answers, and what is opened at start and closed at the end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from psycopg import Error
from psycopg_pool import PoolTimeout
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from app import flags, health, items, logs, streams
from app.config import Config
from app.database import Database, needed_revision
from app.metrics import Metrics
from app.observe import Observed
from app.tracing import Tracer

_log = logs.get("app")

_BODY_MAX = 64 * 1024


def build(config: Config) -> Observed:
    """Return the service, nothing opened yet: its lifespan does that."""
    database = Database(config.database_url, needed_revision(config.version))
    state = health.State(config, database)
    metrics = Metrics(config.version)
    tracer = Tracer(config.traces_endpoint, config) if config.traces_endpoint else None
    switches = flags.Flags(config.flags) if config.flags else None

    async def index(_: Request) -> JSONResponse:
        return JSONResponse({"service": "shop", "color": config.color, "version": config.version})

    async def faults(request: Request) -> JSONResponse:
        try:
            config.faults.replace(await request.json())
        except ValueError as error:
            raise HTTPException(400, str(error)) from None
        _log.warning("faults set", extra={"fields": {"faults": vars(config.faults)}})
        return JSONResponse(vars(config.faults))

    async def start() -> None:
        try:
            await database.wait()
        except Exception:
            _log.exception("start failed")
            raise
        _log.info("started", extra={"fields": {"schema": database.needs}})

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        await database.pool.open()
        state.start = asyncio.create_task(start())
        following = asyncio.create_task(switches.follow()) if switches else None
        yield
        if following:
            following.cancel()
        while not state.start.done():  # psycopg_pool 3.3 now and then swallows a cancellation: ask until it holds
            state.start.cancel()
            await asyncio.wait({state.start}, timeout=0.2)
        await database.pool.close()
        if tracer:
            await asyncio.to_thread(tracer.close)

    return Observed(
        Starlette(
            routes=[
                Route("/", config.faults.around(index)),
                *items.routes(config, database),
                *flags.routes(config, switches),
                *health.routes(state),
                *streams.routes(state),
                metrics.route(),
                *([Route("/faults", faults, methods=["PUT"])] if config.environment == "development" else []),
            ],
            lifespan=lifespan,
            max_body_size=_BODY_MAX,
            exception_handlers={
                HTTPException: _refused,
                Error: _database_failed,
                PoolTimeout: _database_failed,
            },
        ),
        state,
        metrics,
        tracer,
    )


async def _refused(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


async def _database_failed(_: Request, error: Exception) -> JSONResponse:
    # The error's own text may quote a row.
    code = getattr(error, "sqlstate", None)
    _log.error("database failed", extra={"fields": {"error": type(error).__name__, "sqlstate": code}})
    return JSONResponse({"error": "the database is not available"}, 503)
