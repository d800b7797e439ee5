"""What stays open: `/events`, server-sent events, and `/socket`, the same over a WebSocket.

Both end when the server shuts down, within a second: a client that is told so connects again, and then follows the
weights. One that is cut off would see an error.
"""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from app.health import State

INTERVAL = 0.5
"""Seconds between two events; far below the load balancer's idle timeout, which would end a stream that is silent."""
_RESTARTS = 1012
"""The close code for a service that restarts (IANA, WebSocket Close Code Number Registry)."""


def routes(state: State) -> list[BaseRoute]:
    """Return the routes of streams, which tell who answers, twice a second."""

    async def told() -> AsyncIterator[str]:
        for number in itertools.count():
            if state.draining:
                return
            yield json.dumps({"number": number, "color": state.config.color, "version": state.config.version})
            await asyncio.sleep(INTERVAL)

    async def lines() -> AsyncIterator[str]:
        async for text in told():
            yield f"data: {text}\n\n"

    async def events(_: Request) -> StreamingResponse:
        return StreamingResponse(lines(), media_type="text/event-stream", headers={"cache-control": "no-store"})

    async def socket(connection: WebSocket) -> None:
        await connection.accept()
        try:
            async for text in told():
                await connection.send_text(text)
            await connection.close(_RESTARTS)
        except WebSocketDisconnect:
            return

    return [Route("/events", events), WebSocketRoute("/socket", socket)]
