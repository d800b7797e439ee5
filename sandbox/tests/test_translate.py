import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.aws.translate import (
    HealthCheck,
    Json,
    Listener,
    LoadBalancer,
    Resources,
    Rule,
    Snapshot,
    TargetGroup,
    cluster_name,
    groups_of,
    owners,
    suffix,
    tls_versions,
    translate,
)

ARN = "arn:aws:elasticloadbalancing:eu-west-1:123456789012"
BALANCER = f"{ARN}:loadbalancer/app/shop/50dc6c49"
LISTENER = f"{ARN}:listener/app/shop/50dc6c49/f2f7dc8e"
BLUE, GREEN = f"{ARN}:targetgroup/blue/73e2d6bc", f"{ARN}:targetgroup/green/84f3e7cd"


def group(arn: str = BLUE, **changes: Any) -> TargetGroup:  # noqa: ANN401
    base = TargetGroup(
        arn=arn,
        protocol="HTTP",
        protocol_version="HTTP1",
        target_type="ip",
        health=HealthCheck(
            protocol="HTTP",
            port="traffic-port",
            path="/ready",
            interval=10,
            timeout=4,
            healthy=3,
            unhealthy=2,
            matcher="200",
        ),
        attributes={},
        targets=(("10.244.0.7", 8080),),
    )
    return replace(base, **changes)


def forward(*groups: tuple[str, int], sticky: int = 0) -> Json:
    targets = [{"TargetGroupArn": arn, "Weight": weight} for arn, weight in groups]
    stickiness = {"Enabled": sticky > 0, "DurationSeconds": sticky or None}
    return {"Type": "forward", "ForwardConfig": {"TargetGroups": targets, "TargetGroupStickinessConfig": stickiness}}


def fixed(status: str = "503", **more: str) -> Json:
    return {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": status, **more}}


def rule(priority: int | None, action: Json, *conditions: Json) -> Rule:
    return Rule(priority=priority, conditions=conditions, actions=[action])


def listener(*rules: Rule, **changes: Any) -> Listener:  # noqa: ANN401
    base = Listener(
        arn=LISTENER,
        protocol="HTTP",
        port=80,
        ssl_policy="",
        certificates=(),
        attributes={},
        rules=rules or (rule(None, fixed()),),
    )
    return replace(base, **changes)


def snapshot(*listeners: Listener, groups: tuple[TargetGroup, ...] = (), **attributes: str) -> Snapshot:
    balancer = LoadBalancer(number=1, arn=BALANCER, attributes=attributes, listeners=listeners)
    return Snapshot(load_balancers=(balancer,), target_groups=groups)


def said(state: Snapshot) -> Resources:
    return translate(
        state, lambda number, port: (f"127.0.0.{number}", port), lambda folder, name: {"file": folder + name}
    )


def routes(*rules: Rule, **changes: Any) -> list[Json]:  # noqa: ANN401
    result = said(snapshot(listener(*rules, **changes), groups=(group(BLUE), group(GREEN))))
    found: list[Json] = next(iter(result.routes.values()))["virtual_hosts"][0]["routes"]
    return found


def pattern(condition: Json) -> str:
    match = routes(rule(1, fixed(), condition), rule(None, fixed()))[0]["match"]
    if "safe_regex" in match:
        return str(match["safe_regex"]["regex"])
    return str(match["headers"][0]["string_match"]["safe_regex"]["regex"])


# What is left alone when something changes: the ground on which no request is lost --------------------------------


def test_moving_weights_changes_routes_and_nothing_else() -> None:
    groups = (group(BLUE), group(GREEN))
    before, after = (
        said(snapshot(listener(rule(1, forward((BLUE, weight), (GREEN, 100 - weight)))), groups=groups))
        for weight in (100, 10)
    )
    assert before.routes != after.routes
    assert (before.listeners, before.clusters, before.endpoints) == (after.listeners, after.clusters, after.endpoints)


def test_a_new_target_changes_endpoints_and_nothing_else() -> None:
    rules = listener(rule(None, forward((BLUE, 1))))
    before, after = (
        said(snapshot(rules, groups=(group(targets=targets),)))
        for targets in ((("10.244.0.7", 8080),), (("10.244.0.7", 8080), ("10.244.0.8", 8080)))
    )
    assert before.endpoints != after.endpoints
    assert (before.listeners, before.clusters, before.routes) == (after.listeners, after.clusters, after.routes)


def test_response_headers_of_a_listener_are_routes_not_a_new_listener() -> None:
    attributes = {"routing.http.response.x_frame_options.header_value": "DENY"}
    assert said(snapshot(listener())).listeners == said(snapshot(listener(attributes=attributes))).listeners


def test_another_listener_leaves_the_first_as_it_was() -> None:
    other = listener(arn=f"{LISTENER}2", port=8443)
    assert said(snapshot(listener(), other)).listeners[0] == said(snapshot(listener())).listeners[0]


# Groups -------------------------------------------------------------------------------------------------------------


def test_a_group_that_no_rule_names_is_not_checked() -> None:
    result = said(snapshot(listener(rule(None, forward((BLUE, 1)))), groups=(group(BLUE), group(GREEN))))
    assert [cluster["name"] for cluster in result.clusters] == [cluster_name(BLUE)]
    assert len(result.endpoints) == 1


def test_a_group_of_weight_zero_is_checked_but_gets_no_share() -> None:
    state = snapshot(listener(rule(None, forward((BLUE, 1), (GREEN, 0)))), groups=(group(BLUE), group(GREEN)))
    assert owners(state).keys() == {BLUE, GREEN}
    assert len(said(state).clusters) == 2
    shares = routes(rule(None, forward((BLUE, 1), (GREEN, 0))))[0]["route"]["weighted_clusters"]["clusters"]
    assert [share["name"] for share in shares] == ["blue/73e2d6bc"]


def test_a_group_named_without_a_weight_weighs_one() -> None:
    assert groups_of([{"Type": "forward", "TargetGroupArn": BLUE}]) == {BLUE: 1}


def test_health_checks_have_the_numbers_of_the_group_whether_it_has_traffic_or_not() -> None:
    result = said(snapshot(listener(rule(None, forward((BLUE, 1)))), groups=(group(),)))
    check = result.clusters[0]["health_checks"][0]
    assert {check[key] for key in ("interval", "no_traffic_interval", "no_traffic_healthy_interval")} == {"10s"}
    assert (check["timeout"], check["healthy_threshold"], check["unhealthy_threshold"]) == ("4s", 3, 2)
    assert check["http_health_check"]["path"] == "/ready"


def test_a_wrong_status_counts_towards_the_threshold_instead_of_ending_it() -> None:
    result = said(snapshot(listener(rule(None, forward((BLUE, 1)))), groups=(group(),)))
    check = result.clusters[0]["health_checks"][0]["http_health_check"]
    assert check["retriable_statuses"] == [{"start": 100, "end": 600}]


@pytest.mark.parametrize(
    ("matcher", "ranges"), [("200", [(200, 201)]), ("200-299", [(200, 300)]), ("200,301-302", [(200, 201), (301, 303)])]
)
def test_a_matcher_becomes_half_open_ranges(matcher: str, ranges: list[tuple[int, int]]) -> None:
    checked = group(health=replace(group().health, matcher=matcher))
    result = said(snapshot(listener(rule(None, forward((BLUE, 1)))), groups=(checked,)))
    expected = result.clusters[0]["health_checks"][0]["http_health_check"]["expected_statuses"]
    assert [(one["start"], one["end"]) for one in expected] == ranges


@pytest.mark.parametrize(("version", "spoken"), [("HTTP1", "http_"), ("HTTP2", "http2_"), ("GRPC", "http2_")])
def test_targets_are_asked_and_checked_in_the_protocol_of_their_group(version: str, spoken: str) -> None:
    asked = group(protocol_version=version)
    if version == "GRPC":
        asked = replace(asked, health=replace(asked.health, path="/grpc.health.v1.Health/Check", matcher="0"))
    result = said(snapshot(listener(rule(None, forward((BLUE, 1)))), groups=(asked,)))
    assert result.problems == []
    (options,) = result.clusters[0]["typed_extension_protocol_options"].values()
    assert options["explicit_http_config"] == {f"{spoken}protocol_options": {}}
    check = result.clusters[0]["health_checks"][0]
    assert check.get("grpc_health_check") == ({} if version == "GRPC" else None)
    assert check.get("http_health_check", {}).get("codec_client_type") == (None if version == "GRPC" else version)


def test_a_check_of_grpc_that_is_not_played_is_told() -> None:
    result = said(snapshot(listener(rule(None, forward((BLUE, 1)))), groups=(group(protocol_version="GRPC"),)))
    assert "only /grpc.health.v1.Health/Check is asked here" in result.problems[0]


@pytest.mark.parametrize(("port", "expected"), [("traffic-port", None), ("9000", 9000)])
def test_checks_go_to_the_health_port(port: str, expected: int | None) -> None:
    checked = group(health=replace(group().health, port=port))
    result = said(snapshot(listener(rule(None, forward((BLUE, 1)))), groups=(checked,)))
    endpoint = next(iter(result.endpoints.values()))["endpoints"][0]["lb_endpoints"][0]["endpoint"]
    assert endpoint["health_check_config"].get("port_value") == expected
    assert endpoint["health_check_config"]["hostname"] == f"10.244.0.7:{expected or 8080}"


@pytest.mark.parametrize(
    ("attributes", "targets", "percent"),
    [
        ({}, 4, 1),
        ({"count": "1", "percentage": "off"}, 4, 1),
        ({"count": "2"}, 4, 26),
        ({"count": "1", "percentage": "50"}, 4, 50),
        ({"count": "9"}, 4, 100),
        ({"count": "2"}, 0, 100),
    ],
)
def test_a_group_fails_open_below_its_own_count_or_percentage(
    attributes: dict[str, str], targets: int, percent: int
) -> None:
    prefix = "target_group_health.unhealthy_state_routing.minimum_healthy_targets"
    open_group = group(
        attributes={f"{prefix}.{key}": value for key, value in attributes.items()},
        targets=tuple((f"10.244.0.{number}", 8080) for number in range(targets)),
    )
    result = said(snapshot(listener(rule(None, forward((BLUE, 1)))), groups=(open_group,)))
    assert result.clusters[0]["common_lb_config"]["healthy_panic_threshold"]["value"] == percent


def test_idle_connections_to_targets_end_with_the_idle_timeout_of_the_load_balancer() -> None:
    state = snapshot(
        listener(rule(None, forward((BLUE, 1)))), groups=(group(),), **{"idle_timeout.timeout_seconds": "33"}
    )
    text = json.dumps(said(state).clusters)
    assert '"idle_timeout": "33s"' in text
    assert '"idle_timeout": "60s"' in json.dumps(
        said(snapshot(listener(rule(None, forward((BLUE, 1)))), groups=(group(),))).clusters
    )


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"target_type": "instance"}, "instance"),
        ({"protocol": "TCP"}, "TCP"),
        ({"attributes": {"stickiness.enabled": "true"}}, "stickiness.enabled"),
        ({"attributes": {"slow_start.duration_seconds": "30"}}, "slow_start"),
    ],
)
def test_what_is_not_played_is_said(changes: dict[str, Any], word: str) -> None:
    problems = said(snapshot(listener(rule(None, forward((BLUE, 1)))), groups=(group(**changes),))).problems
    assert len(problems) == 1
    assert word in problems[0]
    assert "targetgroup/blue/73e2d6bc" in problems[0]


def test_an_action_that_is_not_played_answers_503_and_is_said() -> None:
    result = said(snapshot(listener(rule(None, {"Type": "authenticate-oidc"}))))
    assert "authenticate-oidc" in result.problems[0]
    assert next(iter(result.routes.values()))["virtual_hosts"][0]["routes"][0]["direct_response"]["status"] == 503


# Rules --------------------------------------------------------------------------------------------------------------


@given(st.permutations([1, 5, 50, 500, None]))
def test_rules_are_tried_in_order_of_priority_and_the_default_last(order: list[int | None]) -> None:
    rules = [rule(priority, fixed(str(200 + (priority or 99)))) for priority in order]
    statuses = [route["direct_response"]["status"] for route in routes(*rules)]
    assert statuses == [201, 205, 250, 700, 299]


def test_a_sticky_cookie_is_tried_before_the_weights_even_for_a_group_of_weight_zero() -> None:
    found = routes(rule(None, forward((BLUE, 100), (GREEN, 0), sticky=60)))
    assert [route["route"].get("cluster") for route in found] == ["blue/73e2d6bc", "green/84f3e7cd", None]
    cookies = [route["match"]["headers"][0]["string_match"]["safe_regex"]["regex"] for route in found[:2]]
    values = [re.search("=([0-9a-f]{64})", cookie) for cookie in cookies]
    assert all(values)
    assert len({value[1] for value in values if value}) == 2


def test_without_stickiness_no_cookie_is_set() -> None:
    assert "AWSALBTG" not in json.dumps(routes(rule(None, forward((BLUE, 1)))))


def test_all_weights_zero_is_a_503_to_everyone_but_sticky_clients() -> None:
    found = routes(rule(None, forward((BLUE, 0), (GREEN, 0), sticky=60)))
    assert [("route" in route) for route in found] == [True, True, False]
    assert found[-1]["direct_response"]["status"] == 503


def naive(text: str, glob: str) -> bool:
    """Return an independent reading of ``*`` and ``?``."""
    if not glob:
        return not text
    if glob[0] == "*":
        return naive(text, glob[1:]) or (bool(text) and naive(text[1:], glob))
    return bool(text) and glob[0] in ("?", text[0]) and naive(text[1:], glob[1:])


@given(st.text("ab/.+?", max_size=8), st.text("ab/.+*?", min_size=1, max_size=5))
def test_path_patterns_mean_what_their_wildcards_mean(path: str, glob: str) -> None:
    condition = {"Field": "path-pattern", "PathPatternConfig": {"Values": [glob]}}
    assert bool(re.fullmatch(pattern(condition), path)) == naive(path, glob)


def test_an_escaped_wildcard_is_itself() -> None:
    condition = {"Field": "path-pattern", "PathPatternConfig": {"Values": [r"/a\*"]}}
    assert re.fullmatch(pattern(condition), "/a*")
    assert not re.fullmatch(pattern(condition), "/ab")


@pytest.mark.parametrize(
    ("value", "path", "matches"),
    [
        ({"Key": "v", "Value": "2"}, "/?v=2", True),
        ({"Key": "v", "Value": "2"}, "/?a=1&v=2&b=3", True),
        ({"Key": "v", "Value": "2"}, "/?av=2", False),
        ({"Key": "v", "Value": "2"}, "/?v=21", False),
        ({"Key": "v", "Value": "2*"}, "/?v=21&c", True),
        ({"Key": "v", "Value": "*"}, "/?x=1&y", False),
        ({"Value": "on"}, "/?beta=on", True),
        ({"Value": "on"}, "/?on", True),
        ({"Value": "on"}, "/on", False),
        ({"Key": "V", "Value": "A"}, "/?v=a", True),
    ],
)
def test_query_conditions_match_whole_pairs_in_any_case(value: Json, path: str, matches: bool) -> None:
    condition = {"Field": "query-string", "QueryStringConfig": {"Values": [value]}}
    assert bool(re.fullmatch(pattern(condition), path)) == matches


@pytest.mark.parametrize(
    ("host", "matches"),
    [("a.shop.test", True), ("A.Shop.Test:8443", True), ("shop.test", False), ("a.shop.test.evil", False)],
)
def test_host_conditions_ignore_case_and_port(host: str, matches: bool) -> None:
    condition = {"Field": "host-header", "Values": ["*.shop.test"]}
    assert bool(re.fullmatch(pattern(condition), host)) == matches


def test_conditions_of_one_rule_are_all_asked_for() -> None:
    header = {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "x", "Values": ["1", "2"]}}
    source = {"Field": "source-ip", "SourceIpConfig": {"Values": ["10.0.0.0/8", "2001:db8::/32", "192.0.2.1"]}}
    path = {"Field": "path-pattern", "PathPatternConfig": {"Values": ["/a", "/b"]}}
    match = routes(rule(1, fixed(), header, source, path, header))[0]["match"]
    assert len(match["headers"]) == 2
    assert match["safe_regex"]["regex"] == "/a|/b"
    lengths = [one["prefix_len"] for one in match["filter_state"][0]["address_match"]["ranges"]]
    assert lengths == [8, 32, 32]


def test_an_unknown_condition_is_an_error_not_a_rule_that_matches_everything() -> None:
    with pytest.raises(ValueError, match="moon-phase"):
        routes(rule(1, fixed(), {"Field": "moon-phase"}))


def test_percent_signs_of_the_user_are_not_commands_to_envoy() -> None:
    attributes = {"routing.http.response.content_security_policy.header_value": "a%20b"}
    result = said(snapshot(listener(attributes=attributes)))
    header = next(iter(result.routes.values()))["response_headers_to_add"][0]["header"]
    assert header == {"key": "content-security-policy", "value": "a%%20b"}
    redirect = {"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_301", "Path": "/100%", "Query": ""}}
    location = routes(rule(None, redirect))[0]["response_headers_to_add"][-1]["header"]["value"]
    assert location.endswith(":80/100%%")


# Listeners ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "versions"),
    [
        ("ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09", ("TLSv1_2", "TLSv1_3")),
        ("ELBSecurityPolicy-TLS13-1-3-2021-06", ("TLSv1_3", "TLSv1_3")),
        ("ELBSecurityPolicy-TLS13-1-0-2021-06", ("TLSv1_0", "TLSv1_3")),
        ("ELBSecurityPolicy-TLS-1-2-Ext-2018-06", ("TLSv1_2", "TLSv1_2")),
        ("ELBSecurityPolicy-FS-1-1-2019-08", ("TLSv1_1", "TLSv1_2")),
        ("ELBSecurityPolicy-FS-2018-06", ("TLSv1_0", "TLSv1_2")),
        ("ELBSecurityPolicy-2016-08", ("TLSv1_0", "TLSv1_2")),
    ],
)
def test_a_policy_name_tells_its_tls_versions(policy: str, versions: tuple[str, str]) -> None:
    assert tls_versions(policy) == versions


def test_an_https_listener_lists_its_default_certificate_first() -> None:
    certificates = (("default.crt", "default.key"), ("other.crt", "other.key"))
    secure = listener(protocol="HTTPS", port=443, certificates=certificates, ssl_policy="ELBSecurityPolicy-2016-08")
    context = said(snapshot(secure)).listeners[0]["filter_chains"][0]["transport_socket"]["typed_config"]
    chains = [one["certificate_chain"]["filename"] for one in context["common_tls_context"]["tls_certificates"]]
    assert chains == ["default.crt", "other.crt"]


def test_each_load_balancer_listens_on_its_own_address_at_the_listener_port() -> None:
    state = snapshot(listener())
    second = replace(state.load_balancers[0], number=2)
    result = said(Snapshot(load_balancers=(state.load_balancers[0], second)))
    addresses = [one["address"]["socket_address"] for one in result.listeners]
    assert addresses == [
        {"address": "127.0.0.1", "port_value": 80},
        {"address": "127.0.0.2", "port_value": 80},
    ]


@pytest.mark.parametrize(
    ("arn", "expected"),
    [(BALANCER, "app/shop/50dc6c49"), (BLUE, "targetgroup/blue/73e2d6bc"), (LISTENER, "app/shop/50dc6c49/f2f7dc8e")],
)
def test_suffixes_are_the_dimensions_of_cloudwatch(arn: str, expected: str) -> None:
    assert suffix(arn) == expected
