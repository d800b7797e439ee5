"""What the ELBv2 API holds, said in Envoy's words. Pure: a snapshot goes in, resources come out.

What an Application Load Balancer does is taken from its user guide and the ELBv2 API model; where Envoy cannot follow,
``Resources.problems`` says so in a sentence instead of silently doing something else.

Known to differ from AWS: group cookies carry ``Max-Age`` where AWS sends ``Expires``; requests still running when a
deregistration delay ends are not cut; ``drop_invalid_header_fields`` drops names with an underscore only (Envoy refuses
most other invalid names with 400 by itself).
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]
Bind = Callable[[int, int], tuple[str, int]]
"""Load balancer number and listener port to the address and port that Envoy binds."""

_TYPE = "type.googleapis.com/envoy."
_UNLIMITED = 1_000_000
"""An ALB has no circuit breakers; Envoy's default of 1,024 would answer 503 where an ALB waits."""

CONNECT_TIMEOUT = "10s"
"""An ALB gives a connection to a target 10 s (troubleshooting guide, HTTP 504)."""

_HEADER_ATTRIBUTES = {
    f"routing.http.response.{name}.header_value": name.replace("_", "-")
    for name in (
        "strict_transport_security",
        "content_security_policy",
        "x_content_type_options",
        "x_frame_options",
        "access_control_allow_origin",
        "access_control_allow_methods",
        "access_control_allow_headers",
        "access_control_allow_credentials",
        "access_control_expose_headers",
        "access_control_max_age",
    )
}

_ALGORITHMS = {"round_robin": "ROUND_ROBIN", "least_outstanding_requests": "LEAST_REQUEST", "weighted_random": "RANDOM"}

_GRPC_HEALTH = "/grpc.health.v1.Health/Check"

_NOT_PLAYED = {
    "routing.http.xff_header_processing.mode": "append",
    "stickiness.enabled": "false",
    "slow_start.duration_seconds": "0",
}
"""Attributes that change what an ALB does with requests, and the only value that is played here."""


@dataclass(frozen=True, kw_only=True)
class HealthCheck:
    """Seconds and counts as the API has them; ``port`` is "traffic-port" or a number, ``matcher`` as "200-299,404"."""

    protocol: str
    port: str
    path: str
    interval: int
    timeout: int
    healthy: int
    unhealthy: int
    matcher: str


@dataclass(frozen=True, kw_only=True)
class TargetGroup:
    """A target group; ``targets`` are the registered addresses and ports."""

    arn: str
    protocol: str
    protocol_version: str
    target_type: str
    health: HealthCheck
    attributes: Mapping[str, str]
    targets: tuple[tuple[str, int], ...]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A rule; ``priority`` is None for the listener's default. Conditions and actions are as the API has them."""

    priority: int | None
    conditions: Sequence[Json]
    actions: Sequence[Json]


@dataclass(frozen=True, kw_only=True)
class Listener:
    """A listener; ``certificates`` are (chain, key) file paths, the default first."""

    arn: str
    protocol: str
    port: int
    ssl_policy: str
    certificates: tuple[tuple[str, str], ...]
    attributes: Mapping[str, str]
    rules: tuple[Rule, ...]


@dataclass(frozen=True, kw_only=True)
class LoadBalancer:
    """An Application Load Balancer; ``number`` decides its address and stays for its life."""

    number: int
    arn: str
    attributes: Mapping[str, str]
    listeners: tuple[Listener, ...]


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """All of ELBv2 that routing depends on, at one moment."""

    load_balancers: tuple[LoadBalancer, ...] = ()
    target_groups: tuple[TargetGroup, ...] = ()


@dataclass(kw_only=True)
class Resources:
    """Envoy's resources: listeners and clusters as lists, routes and endpoints by the name of their own file."""

    listeners: list[Json] = field(default_factory=list)
    clusters: list[Json] = field(default_factory=list)
    routes: dict[str, Json] = field(default_factory=dict)
    endpoints: dict[str, Json] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def suffix(arn: str) -> str:
    """Return the part of an ARN that is a CloudWatch dimension, e.g. ``app/shop/50dc6c49``."""
    resource = arn.split(":", 5)[5]
    return resource if resource.startswith("targetgroup/") else resource.split("/", 1)[1]


def cluster_name(group_arn: str) -> str:
    """Return the name of a group's cluster in Envoy, e.g. ``blue/73e2d6bc``."""
    return suffix(group_arn).removeprefix("targetgroup/")


def file_name(name: str) -> str:
    """Return the file of a cluster's endpoints or a listener's routes."""
    return f"{name.replace('/', '_')}.json"


def groups_of(actions: Iterable[Json]) -> dict[str, int]:
    """Return the target groups that a rule's actions name, with their weights; a single group weighs 1."""
    weights: dict[str, int] = {}
    for action in actions:
        for group in action.get("ForwardConfig", {}).get("TargetGroups", []):
            weights[group["TargetGroupArn"]] = int(group.get("Weight", 1))
        if "TargetGroupArn" in action:
            weights.setdefault(action["TargetGroupArn"], 1)
    return weights


def owners(snapshot: Snapshot) -> dict[str, LoadBalancer]:
    """Return each target group that some rule names, with its load balancer: exactly these are health-checked."""
    return {
        arn: balancer
        for balancer in snapshot.load_balancers
        for listener in balancer.listeners
        for rule in listener.rules
        for arn in groups_of(rule.actions)
    }


def translate(snapshot: Snapshot, bind: Bind, source: Callable[[str, str], Json]) -> Resources:
    """Translate the whole snapshot into Envoy's configuration.

    Args:
        snapshot: what ELBv2 holds.
        bind: where each listener listens.
        source: Envoy's config source for a file, given the folder ("rds", "eds") and the file's name.

    """
    result = Resources()
    used = owners(snapshot)
    for group in snapshot.target_groups:
        if group.arn in used:
            _add_group(result, group, _idle_timeout(used[group.arn]), source)
    for balancer in snapshot.load_balancers:
        _note_unplayed(result, suffix(balancer.arn), balancer.attributes)
        for listener in balancer.listeners:
            name = suffix(listener.arn)
            result.routes[file_name(name)] = _routes(result, name, listener)
            result.listeners.append(_listener(name, balancer, listener, bind, source))
    return result


def _note_unplayed(result: Resources, owner: str, attributes: Mapping[str, str]) -> None:
    for key, played in _NOT_PLAYED.items():
        if attributes.get(key, played) != played:
            result.problems.append(f"{owner}: {key} = {attributes[key]} is not played here, only {played} is")


# Target groups ------------------------------------------------------------------------------------------------------


def _add_group(result: Resources, group: TargetGroup, idle_timeout: str, source: Callable[[str, str], Json]) -> None:
    name = cluster_name(group.arn)
    _note_unplayed(result, suffix(group.arn), group.attributes)
    if group.target_type != "ip":
        result.problems.append(f"{suffix(group.arn)}: targets of type {group.target_type} are not played here, only ip")
    if group.health.protocol != group.protocol or group.protocol not in {"HTTP", "HTTPS"}:
        result.problems.append(
            f"{suffix(group.arn)}: protocol {group.protocol} checked by {group.health.protocol} is not played here, "
            "only HTTP by HTTP and HTTPS by HTTPS"
        )
    http: Json = {"http_protocol_options" if group.protocol_version == "HTTP1" else "http2_protocol_options": {}}
    if group.protocol_version == "GRPC" and (group.health.path, group.health.matcher) != (_GRPC_HEALTH, "0"):
        result.problems.append(
            f"{suffix(group.arn)}: of gRPC only {_GRPC_HEALTH} is asked here, and must answer with 0"
        )
    cluster: Json = {
        "@type": f"{_TYPE}config.cluster.v3.Cluster",
        "name": name,
        "type": "EDS",
        "connect_timeout": CONNECT_TIMEOUT,
        "eds_cluster_config": {"eds_config": source("eds", file_name(name))},
        "lb_policy": _ALGORITHMS.get(group.attributes.get("load_balancing.algorithm.type", ""), "ROUND_ROBIN"),
        "health_checks": [_health_check(group)],
        # Without it Envoy keeps sending to a deregistered target as long as its health checks pass.
        "ignore_health_on_host_removal": True,
        "common_lb_config": {
            "healthy_panic_threshold": {"value": _fail_open_percent(group)},
            "ignore_new_hosts_until_first_hc": True,
        },
        "circuit_breakers": {
            "thresholds": [
                {"max_connections": _UNLIMITED, "max_pending_requests": _UNLIMITED, "max_requests": _UNLIMITED}
            ]
        },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{_TYPE}extensions.upstreams.http.v3.HttpProtocolOptions",
                # An idle connection must end here before the target ends it, or a request is lost in the crossing.
                "common_http_protocol_options": {"idle_timeout": idle_timeout},
                "explicit_http_config": http,
            }
        },
    }
    if group.protocol == "HTTPS":
        # Like an ALB: encrypted, the target's certificate not verified.
        cluster["transport_socket"] = _tls("UpstreamTlsContext", {})
    result.clusters.append(cluster)
    result.endpoints[file_name(name)] = {
        "@type": f"{_TYPE}config.endpoint.v3.ClusterLoadAssignment",
        "cluster_name": name,
        "endpoints": [{"lb_endpoints": [_endpoint(group, *target) for target in group.targets]}],
    }


def _endpoint(group: TargetGroup, address: str, port: int) -> Json:
    check: Json = {"hostname": f"{address}:{port}"}
    if group.health.port != "traffic-port":
        check = {"hostname": f"{address}:{group.health.port}", "port_value": int(group.health.port)}
    return {
        "endpoint": {
            "address": {"socket_address": {"address": address, "port_value": port}},
            "health_check_config": check,
        }
    }


def _health_check(group: TargetGroup) -> Json:
    check = group.health
    # Of the standard method Envoy reads the answer as well: NOT_SERVING fails here, and passes at an ALB.
    asked: Json = {"grpc_health_check": {}}
    if group.protocol_version != "GRPC":
        asked = {
            "http_health_check": {
                "path": check.path or "/",
                "expected_statuses": _status_ranges(check.matcher),
                # Codes listed nowhere would skip the threshold: one 503 and the target is out.
                "retriable_statuses": [{"start": 100, "end": 600}],
                "request_headers_to_add": [_header("user-agent", "ELB-HealthChecker/2.0")],
                "codec_client_type": group.protocol_version,
            }
        }
    interval = f"{check.interval}s"
    return {
        "timeout": f"{check.timeout}s",
        "interval": interval,
        # Envoy checks a cluster that had no traffic yet once a minute unless told otherwise.
        "no_traffic_interval": interval,
        "no_traffic_healthy_interval": interval,
        "healthy_threshold": check.healthy,
        "unhealthy_threshold": check.unhealthy,
        "reuse_connection": False,
        **asked,
    }


def _status_ranges(matcher: str) -> list[Json]:
    ranges = []
    for part in (matcher or "200").split(","):
        first, _, last = part.strip().partition("-")
        ranges.append({"start": int(first), "end": int(last or first) + 1})
    return ranges


def _fail_open_percent(group: TargetGroup) -> int:
    """Return the percentage of healthy hosts below which Envoy sends to all; an ALB has a count or a percentage."""
    count = group.attributes.get("target_group_health.unhealthy_state_routing.minimum_healthy_targets.count", "1")
    percent = group.attributes.get(
        "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage", "off"
    )
    by_count = 100 * (int(count) - 1) // max(len(group.targets), 1) + 1
    return min(100, max(by_count, 1 if percent == "off" else int(percent)))


# Listeners ----------------------------------------------------------------------------------------------------------


def _idle_timeout(balancer: LoadBalancer) -> str:
    return f"{balancer.attributes.get('idle_timeout.timeout_seconds', '60')}s"


def _listener(
    name: str, balancer: LoadBalancer, listener: Listener, bind: Bind, source: Callable[[str, str], Json]
) -> Json:
    address, port = bind(balancer.number, listener.port)
    secure = listener.protocol == "HTTPS"
    drop = balancer.attributes.get("routing.http.drop_invalid_header_fields.enabled") == "true"
    manager = {
        "@type": f"{_TYPE}extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": suffix(balancer.arn),
        "codec_type": "AUTO" if secure else "HTTP1",
        "rds": {"route_config_name": name, "config_source": source("rds", file_name(name))},
        "use_remote_address": True,
        "skip_xff_append": True,
        "generate_request_id": False,
        "server_header_transformation": "PASS_THROUGH",
        "common_http_protocol_options": {
            "idle_timeout": _idle_timeout(balancer),
            "headers_with_underscores_action": "DROP_HEADER" if drop else "ALLOW",
        },
        "http_protocol_options": {"accept_http_10": True},
        "stream_idle_timeout": _idle_timeout(balancer),
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "local_reply_config": {
            # An ALB answers 502 where a target refuses or drops the connection; Envoy would answer 503.
            "mappers": [
                {
                    "filter": {"response_flag_filter": {"flags": ["UF", "UC", "UR", "LR", "UPE"]}},
                    "status_code": 502,
                }
            ]
        },
        "access_log": [_counting(suffix(balancer.arn))],
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {
                    "@type": f"{_TYPE}extensions.filters.http.router.v3.Router",
                    "suppress_envoy_headers": True,
                },
            }
        ],
    }
    client_address = {
        "@type": f"{_TYPE}extensions.filters.network.set_filter_state.v3.Config",
        "on_new_connection": [
            {
                "object_key": _CLIENT_ADDRESS,
                "factory_key": "envoy.network.ip",
                "format_string": {
                    "text_format_source": {"inline_string": "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%"}
                },
            }
        ],
    }
    chain: Json = {
        "filters": [
            {"name": "envoy.filters.network.set_filter_state", "typed_config": client_address},
            {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager},
        ]
    }
    if secure:
        http2 = balancer.attributes.get("routing.http2.enabled", "true") == "true"
        least, most = tls_versions(listener.ssl_policy)
        chain["transport_socket"] = _tls(
            "DownstreamTlsContext",
            {
                "tls_params": {"tls_minimum_protocol_version": least, "tls_maximum_protocol_version": most},
                # Envoy picks by server name, the first when none fits: as an ALB does with its default certificate.
                "tls_certificates": [
                    {"certificate_chain": {"filename": chain_file}, "private_key": {"filename": key_file}}
                    for chain_file, key_file in listener.certificates
                ],
                "alpn_protocols": ["h2", "http/1.1"] if http2 else ["http/1.1"],
            },
        )
    return {
        "@type": f"{_TYPE}config.listener.v3.Listener",
        "name": name,
        "stat_prefix": name,
        "address": {"socket_address": {"address": address, "port_value": port}},
        # With port reuse a proxy left over from a killed run would silently take a share of the connections.
        "enable_reuse_port": False,
        "filter_chains": [chain],
    }


_CLIENT_ADDRESS = "client_address"


def _tls(context: str, common: Json) -> Json:
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": f"{_TYPE}extensions.transport_sockets.tls.v3.{context}",
            "common_tls_context": common,
        },
    }


def tls_versions(policy: str) -> tuple[str, str]:
    """Return the lowest and highest TLS version of an ELB security policy by its name (describe-ssl-policies guide)."""
    least = re.search(r"-(?:TLS13|TLS|FS)-1-(\d)(?:-|$)", policy)
    return f"TLSv1_{least.group(1) if least else '0'}", "TLSv1_3" if "TLS13" in policy else "TLSv1_2"


def _counting(balancer: str) -> Json:
    """Count requests so that a target's answers can be told from the load balancer's; cluster statistics mix them."""
    tags = {
        "balancer": balancer,
        "group": "%UPSTREAM_CLUSTER_RAW%",
        "code": "%RESPONSE_CODE%",
        "flags": "%RESPONSE_FLAGS%",
    }
    return {
        "name": "envoy.access_loggers.stats",
        "typed_config": {
            "@type": f"{_TYPE}extensions.access_loggers.stats.v3.Config",
            "stats_scope": {"prefix": "alb"},
            "counters": [
                {
                    "stat": {
                        "name": "requests",
                        "tags": [{"name": name, "value_format": value} for name, value in tags.items()],
                    },
                    "value_fixed": 1,
                }
            ],
        },
    }


# Rules --------------------------------------------------------------------------------------------------------------


def _routes(result: Resources, name: str, listener: Listener) -> Json:
    rules = sorted(listener.rules, key=lambda rule: (rule.priority is None, rule.priority or 0))
    config: Json = {
        "@type": f"{_TYPE}config.route.v3.RouteConfiguration",
        "name": name,
        "virtual_hosts": [
            {
                "name": "all",
                "domains": ["*"],
                "routes": [r for rule in rules for r in _rule(result, name, listener, rule)],
            }
        ],
        "request_headers_to_add": [
            # Envoy itself would write this machine's outer address for a client on loopback.
            _header("x-forwarded-for", "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%", "APPEND_IF_EXISTS_OR_ADD"),
            _header("x-forwarded-port", str(listener.port)),
            _header("x-amzn-trace-id", "Root=1-%UNIQUE_ID%", "ADD_IF_ABSENT"),
        ],
        "request_headers_to_remove": ["x-envoy-external-address"],
        "response_headers_to_add": [
            _header(header, _literal(listener.attributes[attribute]))
            for attribute, header in _HEADER_ATTRIBUTES.items()
            if listener.attributes.get(attribute)
        ],
    }
    if listener.attributes.get("routing.http.response.server.enabled") == "false":
        config["response_headers_to_remove"] = ["server"]
    return config


def _rule(result: Resources, name: str, listener: Listener, rule: Rule) -> list[Json]:
    match = _match(rule.conditions)
    for action in rule.actions:
        match action["Type"]:
            case "forward":
                return _forward(match, action)
            case "fixed-response":
                fixed = action["FixedResponseConfig"]
                return [_fixed(match, int(fixed["StatusCode"]), fixed.get("MessageBody"), fixed.get("ContentType"))]
            case "redirect":
                return [_redirect(match, listener, action["RedirectConfig"])]
            case kind:
                result.problems.append(f"{name}: the action {kind} is not played here, its requests get 503")
    return [_fixed(match, 503, None, None)]


def _forward(match: Json, action: Json) -> list[Json]:
    weights = groups_of([action])
    sticky = action.get("ForwardConfig", {}).get("TargetGroupStickinessConfig") or {}
    seconds = int(sticky.get("DurationSeconds") or 0) if str(sticky.get("Enabled", False)).lower() == "true" else 0
    routes = []
    if seconds:
        routes += [
            {
                "match": _also(
                    match, _header_matches("cookie", rf"(?:.*;\s*)?AWSALBTG(?:CORS)?={_cookie(arn)}(?:\s*;.*)?")
                ),
                "route": _to(cluster=cluster_name(arn)),
                "response_headers_to_add": _set_cookies(arn, seconds),
            }
            for arn in weights
        ]
    receiving = [
        {
            "name": cluster_name(arn),
            "weight": weight,
            "response_headers_to_add": _set_cookies(arn, seconds) if seconds else [],
        }
        for arn, weight in weights.items()
        if weight
    ]
    if not receiving:
        # What an ALB does with all weights 0 is documented nowhere; Envoy refuses such a route altogether.
        return [*routes, _fixed(match, 503, None, None)]
    return [*routes, {"match": match, "route": _to(weighted_clusters={"clusters": receiving})}]


def _to(**where: Any) -> Json:  # noqa: ANN401
    # No retry policy: an ALB is not documented to repeat a request, not even after a failed connection (it answers 502
    # or 504), so what would be lost there must be lost here. No time limit either but the idle timeout.
    return {**where, "timeout": "0s"}


def _cookie(arn: str) -> str:
    return hashlib.sha256(arn.encode()).hexdigest()


def _set_cookies(arn: str, seconds: int) -> list[Json]:
    value = f"{_cookie(arn)}; Max-Age={seconds}; Path=/"
    return [
        _header("set-cookie", f"AWSALBTG={value}", "APPEND_IF_EXISTS_OR_ADD"),
        _header("set-cookie", f"AWSALBTGCORS={value}; SameSite=None; Secure", "APPEND_IF_EXISTS_OR_ADD"),
    ]


def _fixed(match: Json, status: int, body: str | None, content_type: str | None) -> Json:
    response: Json = {"status": status}
    if body:
        response["body"] = {"inline_string": body}
    return {
        "match": match,
        "direct_response": response,
        "response_headers_to_add": [
            _header("server", "awselb/2.0"),
            _header("content-type", _literal(content_type or "text/plain")),
        ],
    }


def _redirect(match: Json, listener: Listener, redirect: Json) -> Json:
    values = {
        "protocol": listener.protocol.lower(),
        "port": str(listener.port),
        "host": "%CEL(re.extract(request.host, '^([^:]*)', '\\\\1'))%",
        "path": "%CEL(re.extract(request.url_path, '^/(.*)$', '\\\\1'))%",
        "query": "%CEL(request.query)%",
    }

    def fill(template: str) -> str:
        return re.sub(r"#\{(\w+)\}", lambda found: values.get(found[1], found[0]), _literal(template))

    query = redirect.get("Query", "#{query}")
    if query == "#{query}":
        query = "%CEL(re.extract(request.path, '^[^?]*([?].*)?$', '\\\\1'))%"
    elif query:
        query = f"?{fill(query)}"
    protocol = redirect.get("Protocol", "#{protocol}").lower()
    location = (
        f"{fill(protocol)}://{fill(redirect.get('Host', '#{host}'))}:{fill(redirect.get('Port', '#{port}'))}"
        f"{fill(redirect.get('Path', '/#{path}'))}{query}"
    )
    return {
        "match": match,
        "direct_response": {"status": int(redirect["StatusCode"].removeprefix("HTTP_"))},
        "response_headers_to_add": [_header("server", "awselb/2.0"), _header("location", location)],
    }


def _match(conditions: Sequence[Json]) -> Json:
    match: Json = {"prefix": "/"}
    for condition in conditions:
        match condition["Field"]:
            case "path-pattern":
                match.pop("prefix", None)
                match["safe_regex"] = {"regex": _any_of(_values(condition, "PathPatternConfig"))}
            case "host-header":
                hosts = _any_of(_values(condition, "HostHeaderConfig"))
                match = _also(match, _header_matches(":authority", rf"(?i:{hosts})(?::\d+)?"))
            case "http-header":
                header = condition["HttpHeaderConfig"]
                match = _also(match, _header_matches(header["HttpHeaderName"], f"(?i:{_any_of(header['Values'])})"))
            case "http-request-method":
                methods = "|".join(re.escape(method) for method in condition["HttpRequestMethodConfig"]["Values"])
                match = _also(match, _header_matches(":method", methods))
            case "query-string":
                pairs = "|".join(_query_pair(pair) for pair in condition["QueryStringConfig"]["Values"])
                match = _also(match, _header_matches(":path", rf"(?i:[^?]*\?(?:.*&)?(?:{pairs})(?:&.*)?)"))
            case "source-ip":
                ranges = [_cidr(value) for value in condition["SourceIpConfig"]["Values"]]
                state = {"key": _CLIENT_ADDRESS, "address_match": {"ranges": ranges}}
                match = {**match, "filter_state": [*match.get("filter_state", []), state]}
            case field_name:
                raise ValueError(f"the ELBv2 API has no condition {field_name}")
    return match


def _also(match: Json, header: Json) -> Json:
    return {**match, "headers": [*match.get("headers", []), header]}


def _values(condition: Json, config: str) -> list[str]:
    return list(condition.get(config, {}).get("Values") or condition.get("Values") or [])


def _any_of(patterns: Iterable[str]) -> str:
    return "|".join(_glob(pattern, ".") for pattern in patterns)


def _glob(pattern: str, character: str) -> str:
    r"""Return an ALB's wildcards as a regular expression: ``*`` any characters, ``?`` one, ``\`` the next literally."""

    def token(found: re.Match[str]) -> str:
        escaped, wildcard, plain = found.groups()
        if wildcard:
            return f"{character}*" if wildcard == "*" else character
        return re.escape(escaped or plain)

    return re.sub(r"\\([*?\\])|([*?])|(.)", token, pattern)


def _query_pair(pair: Json) -> str:
    key = f"{_glob(pair['Key'], '[^&=]')}=" if pair.get("Key") else "(?:[^&=]*=)?"
    return key + _glob(pair["Value"], "[^&]")


def _cidr(value: str) -> Json:
    prefix, _, length = value.partition("/")
    return {"address_prefix": prefix, "prefix_len": int(length or (128 if ":" in prefix else 32))}


def _header_matches(name: str, regex: str) -> Json:
    return {"name": name, "string_match": {"safe_regex": {"regex": regex}}}


def _header(name: str, value: str, action: str = "OVERWRITE_IF_EXISTS_OR_ADD") -> Json:
    return {"header": {"key": name, "value": value}, "append_action": action}


def _literal(value: str) -> str:
    """Escape percent signs, which start a command in Envoy's header values."""
    return value.replace("%", "%%")
