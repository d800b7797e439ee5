"""How Envoy lets one color answer and sends a copy of each request to the other; pure, in the words of Envoy's API v3.

A copy goes to Envoy itself once more, by a socket of the pod: only there can it be marked, get its host back (Envoy
writes ``-shadow`` behind it), and be counted and written down apart from what users were answered.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from components.model import SHADOW_HEADER, SHUTDOWN_MARGIN, Color
from components.spec import Service

SAFE: Final = "GET|HEAD|OPTIONS"
"""Methods that change nothing (RFC 9110, 9.2.1), but TRACE, which a load balancer does not let through."""

COPIES_AT_ONCE: Final = 200
"""Copies that are under way at most. What comes beyond is left out: a slow color must not use up the mirror."""

_COPIES: Final = "@copies"
"""A socket in the pod's own network, and no port that a service could want."""

_TYPE: Final = "type.googleapis.com/envoy."


def probe_port(spec: Service) -> int:
    """Return the port where a mirror answers for itself, and for no color."""
    return 9901 if spec.port != 9901 else 9902


def pods_host(color_name: str, namespace: str) -> str:
    """Return the name that has the addresses of a color's ready pods."""
    return f"{color_name}-pods.{namespace}.svc.cluster.local."


def config(spec: Service, hosts: Mapping[Color, str], color: Color) -> dict[str, Any]:
    """Return the configuration of the mirror of ``color``; ``hosts`` have the addresses of each color's pods."""
    assert spec.shadow is not None
    # The longest request is cut by nobody before the service itself has answered it.
    longest = f"{spec.timing.longest_request + SHUTDOWN_MARGIN}s"
    answered: dict[str, Any] = {
        "cluster": color.value,
        "timeout": longest,
        # What was never sent may be sent again, whatever its method.
        "retry_policy": {"retry_on": "connect-failure,refused-stream", "num_retries": 2},
    }
    copied = {"match": _copied(spec.shadow.writes), "route": {**answered, **_COPY}}
    users = _http(
        "users",
        [
            # Its health is that of the color behind it.
            {"match": {"path": spec.health.path}, "route": answered},
            copied,
            {"match": {"prefix": "/"}, "route": answered},
        ],
        spec,
    )
    other = {"cluster": color.other.value, "timeout": longest, "host_rewrite_literal": spec.host}
    marked = {
        "match": {"prefix": "/"},
        "route": other,
        "request_headers_to_add": [
            {"header": {"key": SHADOW_HEADER, "value": "true"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
        ],
    }
    itself = {"match": {"prefix": "/"}, "direct_response": {"status": 200}}
    return {
        "static_resources": {
            "listeners": [
                _listener("users", _port(spec.port), users),
                _listener(
                    "copies", {"pipe": {"path": _COPIES}}, {**_http("copies", [marked], spec), "access_log": [_LOG]}
                ),
                _listener("probe", _port(probe_port(spec)), _http("probe", [itself], spec)),
            ],
            "clusters": [
                *(_pods(each, hosts[each], spec) for each in (color, color.other)),
                _cluster("copies", {"pipe": {"path": _COPIES}}, COPIES_AT_ONCE, spec),
            ],
        }
    }


_COPY: Final = {"request_mirror_policies": [{"cluster": "copies"}]}


def _copied(writes: bool) -> dict[str, Any]:
    """Return which requests are copied: no connection that becomes another protocol, and no writes unless allowed."""
    headers: list[dict[str, Any]] = [{"name": "upgrade", "present_match": False}]
    if not writes:
        headers.append({"name": ":method", "string_match": {"safe_regex": {"regex": SAFE}}})
    return {"prefix": "/", "headers": headers}


def _port(number: int) -> dict[str, Any]:
    return {"socket_address": {"address": "0.0.0.0", "port_value": number}}


def _listener(name: str, address: Mapping[str, Any], http: Mapping[str, Any]) -> dict[str, Any]:
    manager = {"name": "envoy.filters.network.http_connection_manager", "typed_config": http}
    return {"name": name, "address": address, "filter_chains": [{"filters": [manager]}]}


def _http(name: str, routes: Sequence[Mapping[str, Any]], spec: Service) -> dict[str, Any]:
    """Return what leaves requests and answers as they are, and lasts as long as the service itself would."""
    router = {"@type": f"{_TYPE}extensions.filters.http.router.v3.Router", "suppress_envoy_headers": True}
    return {
        "@type": f"{_TYPE}extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        "generate_request_id": False,
        "server_header_transformation": "PASS_THROUGH",
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "stream_idle_timeout": f"{spec.timing.longest_request + SHUTDOWN_MARGIN}s",
        "common_http_protocol_options": {"idle_timeout": f"{spec.timing.keep_alive}s"},
        "route_config": {"virtual_hosts": [{"name": name, "domains": ["*"], "routes": list(routes)}]},
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": router}],
    }


def _pods(color: Color, host: str, spec: Service) -> dict[str, Any]:
    """Return a color's pods, one by one as the load balancer has them, so that a leaving one gets nothing new."""
    address = {"socket_address": {"address": host, "port_value": spec.port}}
    found = {
        "@type": f"{_TYPE}extensions.clusters.dns.v3.DnsCluster",
        "dns_refresh_rate": "1s",
        "dns_lookup_family": "V4_ONLY",
    }
    # As many at once as the load balancer sends: what is too much is for the service to say.
    cluster = _cluster(color.value, address, 1_000_000, spec)
    return {**cluster, "cluster_type": {"name": "envoy.cluster.dns", "typed_config": found}}


def _cluster(name: str, address: Mapping[str, Any], at_once: int, spec: Service) -> dict[str, Any]:
    most = dict.fromkeys(("max_connections", "max_pending_requests", "max_requests"), at_once)
    # Half of what the service keeps open, or a request may meet a connection that is just being closed.
    idle = {"idle_timeout": f"{spec.timing.keep_alive / 2:g}s"}
    protocol = "extensions.upstreams.http.v3.HttpProtocolOptions"
    return {
        "name": name,
        "connect_timeout": "2s",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
        "circuit_breakers": {"thresholds": [most]},
        "typed_extension_protocol_options": {
            f"envoy.{protocol}": {
                "@type": f"{_TYPE}{protocol}",
                "common_http_protocol_options": idle,
                "explicit_http_config": {"http_protocol_options": {}},
            }
        },
    }


_LOG: Final = {
    "name": "envoy.access_loggers.stdout",
    "typed_config": {
        "@type": f"{_TYPE}extensions.access_loggers.stream.v3.StdoutAccessLog",
        "log_format": {
            "json_format": {
                "message": "copy",
                "method": "%REQ(:METHOD)%",
                # Without what is behind the question mark, which may be of a person.
                "path": "%REQ_WITHOUT_QUERY(:PATH)%",
                "status": "%RESPONSE_CODE%",
                "milliseconds": "%DURATION%",
                "request_id": "%REQ(X-REQUEST-ID)%",
                "failed": "%RESPONSE_FLAGS%",
            },
            "formatters": [
                {
                    "name": "envoy.formatter.req_without_query",
                    "typed_config": {"@type": f"{_TYPE}extensions.formatter.req_without_query.v3.ReqWithoutQuery"},
                }
            ],
        },
    },
}
"""One line for each copy; what users were answered is in the logs of the load balancer and the service."""
