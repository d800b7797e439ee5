"""What happens to every request around its handler: identity, metrics, log line, span, goodbye."""

import re
import time
from contextlib import nullcontext
from uuid import uuid4

from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import Message, Receive, Scope, Send

from app import logs
from app.health import State
from app.metrics import Metrics
from app.tracing import Tracer

_log = logs.get("app.request")

_PROBES = ("/health", "/metrics", "/faults")
_INSIDE = ("/health/detailed", "/metrics", "/faults")
_ID = re.compile(r"[\w.:=;+/-]{1,128}", re.ASCII)


class Observed:
    """The application as the server runs it."""

    def __init__(self, app: Starlette, state: State, metrics: Metrics, tracer: Tracer | None) -> None:
        self.state = state
        self._app = app
        self._metrics = metrics
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        headers = Headers(scope=scope)
        config = self.state.config
        method, path = scope["method"], scope["path"]
        probe = path.startswith(_PROBES)
        identity = _identity(headers)
        token = logs.request_id.set(identity)
        status = 500
        began = time.perf_counter()
        begun: float | None = None

        async def answer(message: Message) -> None:
            nonlocal status, begun
            if message["type"] == "http.response.start":
                status = message["status"]
                # Not when it ends: a stream would be the slowest answer of all.
                begun = time.perf_counter() - began
                out = MutableHeaders(scope=message)
                out["x-request-id"] = identity
                out["x-color"] = config.color
                out["x-version"] = config.version
                if self.state.draining:
                    out["connection"] = "close"
            await send(message)

        span_of_request = self._tracer.span(method, headers) if self._tracer and not probe else nullcontext()
        try:
            with span_of_request as span:
                try:
                    # The load balancer always sets X-Forwarded-For and a caller cannot take it off.
                    if path.startswith(_INSIDE) and "x-forwarded-for" in headers:
                        await JSONResponse({"error": "not found"}, 404)(scope, receive, answer)
                    else:
                        await self._app(scope, receive, answer)
                except Exception:
                    # Starlette has answered 500 and raised again; uvicorn would log it without its request.
                    _log.exception("unhandled error")
                seconds = time.perf_counter() - began
                route = getattr(scope.get("route"), "path", "unmatched")
                if span is not None:
                    span.update_name(f"{method} {route}")
                    span.set_attributes({"http.route": route, "http.response.status_code": status})
            if not probe:
                self._metrics.observe(method, route, status, seconds if begun is None else begun)
            _log.log(
                logs.DEBUG if probe else logs.INFO,
                "request",
                extra={
                    "fields": {
                        "method": method,
                        "route": route,
                        "status": status,
                        "duration_ms": round(seconds * 1000, 1),
                    }
                },
            )
        finally:
            logs.request_id.reset(token)


def _identity(headers: Headers) -> str:
    """Return the load balancer's trace id, else the caller's own id, else a new one."""
    for name in ("x-amzn-trace-id", "x-request-id"):
        if (value := headers.get(name)) and _ID.fullmatch(value):
            return value
    return uuid4().hex
