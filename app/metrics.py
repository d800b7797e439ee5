"""Request counts and durations for Prometheus. Probes and scrapes are not traffic and are not counted."""

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for every first one, which nothing here reads

_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


class Metrics:
    """The metrics of one process, with its CPU time and memory."""

    def __init__(self, version: str) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._version = version
        self._requests = Counter(
            "http_requests_total",
            "Requests answered",
            ["method", "route", "status", "version"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "http_request_duration_seconds",
            "Seconds from the request's first byte to the response's first",
            ["method", "route", "version"],
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
            registry=self.registry,
        )

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request; `route` is a template, so that a caller cannot make series at will."""
        method = method if method in _METHODS else "OTHER"
        self._requests.labels(method, route, str(status), self._version).inc()
        self._seconds.labels(method, route, self._version).observe(seconds)

    def route(self) -> Route:
        """Return the scrape route; the caller keeps it from the outside."""

        async def scrape(_: Request) -> Response:
            return Response(generate_latest(self.registry), media_type=CONTENT_TYPE_LATEST)

        return Route("/metrics", scrape)
