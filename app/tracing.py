"""Spans by OpenTelemetry, only where an endpoint is configured: without one nothing of it is imported.

Spans are made here rather than by the ASGI instrumentation, which records client
addresses, user agents and full URLs: personal data.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from app.config import Config


class Tracer:
    """Server spans, sent in batches to the OTLP endpoint over HTTP."""

    def __init__(self, endpoint: str, config: Config) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        resource = {"service.name": "shop", "service.version": config.version, "hueshift.color": config.color}
        self._provider = TracerProvider(resource=Resource.create(resource))
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces")))
        self._tracer = self._provider.get_tracer("app")

    @contextmanager
    def span(self, method: str, headers: Mapping[str, str]) -> Iterator[Any]:
        """Run one request as a child of the caller's trace; yield its span."""
        from opentelemetry.propagate import extract
        from opentelemetry.trace import SpanKind

        with self._tracer.start_as_current_span(
            method, context=extract(headers), kind=SpanKind.SERVER, attributes={"http.request.method": method}
        ) as span:
            yield span

    def close(self) -> None:
        """Send what is left."""
        self._provider.shutdown()
