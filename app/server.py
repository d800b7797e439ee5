"""The web server's life: what happens between SIGTERM and exit 0.

Readiness fails and the listener closes at once. Connections that are open go on
for `KEEP_ALIVE_GRACE`: a request already on its way is answered, with
`Connection: close`, where closing an idle connection under it would lose it.
Then idle connections close, requests in flight finish, the pool closes.
"""

import asyncio
import socket

import uvicorn

from app.config import Config
from app.observe import Observed

KEEP_ALIVE_GRACE = 1
"""Seconds."""


class Server(uvicorn.Server):
    """Uvicorn, except that a shutdown is announced to open connections before they are closed."""

    def __init__(self, app: Observed, config: Config) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                host="0.0.0.0",
                port=config.port,
                http="h11",
                ws="wsproto",
                loop="asyncio",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=config.keep_alive,
                timeout_graceful_shutdown=config.shutdown,
            )
        )
        self._state = app.state

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._state.draining = True
        for server in self.servers:
            server.close()
        await asyncio.sleep(KEEP_ALIVE_GRACE)
        await super().shutdown(sockets)
