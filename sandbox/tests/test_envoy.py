"""The local cloud's load balancer as its clients meet it: boto3 on one side, HTTP on the other, Envoy between."""

import asyncio
import http.client
import json
import math
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from botocore.exceptions import ClientError
from moto.acm.models import acm_backends

from sandbox import ca, paths
from sandbox.aws import metrics
from sandbox.aws.server import LocalAws
from sandbox.tests.envoy_world import (
    FAR,
    HEALTH,
    NET,
    OFFSET,
    POLICY,
    ListenerHandle,
    World,
    client,
    fetch,
    fixed,
    forward,
    paths_like,
    until,
)
from sandbox.tests.envoy_world import cloud as cloud
from sandbox.tests.envoy_world import world as world

pytestmark = pytest.mark.slow


def shares(listener: ListenerHandle, number: int, path: str = "/") -> Counter[str]:
    connection = listener.connect()
    return Counter(fetch(connection, path).body for _ in range(number))


# Rules --------------------------------------------------------------------------------------------------------------


def test_weights_share_requests_whatever_they_add_up_to(world: World) -> None:
    blue, green = world.group(world.backend("blue")), world.group(world.backend("green"))
    listener = world.listener(world.balancer(), forward({blue: 270, green: 30}))
    world.healthy(blue, green)
    number, share = 4000, 0.1
    measured = shares(listener, number)["green"] / number
    # The 99.9 % interval of a binomial share.
    assert abs(measured - share) < 3.29 * math.sqrt(share * (1 - share) / number)


def test_a_group_of_weight_zero_gets_nothing_but_stays_checked(world: World) -> None:
    blue, green = world.group(world.backend("blue")), world.group(world.backend("green"))
    listener = world.listener(world.balancer(), forward({blue: 1, green: 0}))
    world.healthy(blue, green)
    assert shares(listener, 200) == {"blue": 200}


def test_a_rule_with_all_weights_zero_answers_503(world: World) -> None:
    blue = world.group(world.backend("blue"))
    listener = world.listener(world.balancer(), forward({blue: 0}))
    assert fetch(listener.connect()).status == 503


def test_the_rule_of_the_lowest_priority_number_wins_whenever_it_was_made(world: World) -> None:
    listener = world.listener(world.balancer(), fixed())
    listener.rule(fixed("200", "late"), paths_like("/*"), priority=200)
    listener.rule(fixed("200", "early"), paths_like("/*"), priority=100)
    assert fetch(listener.connect()).body == "early"


@pytest.mark.parametrize(
    ("condition", "matching", "other"),
    [
        (paths_like("/a/*/c"), {"path": "/a/b/b/c"}, {"path": "/A/b/c"}),
        (paths_like("/x?z", "/y"), {"path": "/xyz?q=1"}, {"path": "/xyyz"}),
        (
            {"Field": "host-header", "HostHeaderConfig": {"Values": ["*.shop.localhost", "other.test"]}},
            {"host": "Green.SHOP.localhost:8443"},
            {"host": "shop.localhost"},
        ),
        (
            {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "X-Canary", "Values": ["true", "ye*"]}},
            {"x_canary": "TRUE"},
            {"x_canary": "truer"},
        ),
        (
            {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "X-Canary", "Values": ["*"]}},
            {"x_canary": "no"},
            {},
        ),
        (
            {"Field": "http-request-method", "HttpRequestMethodConfig": {"Values": ["POST", "PUT"]}},
            {"method": "PUT"},
            {"method": "GET"},
        ),
        (
            {"Field": "query-string", "QueryStringConfig": {"Values": [{"Key": "version", "Value": "v?"}]}},
            {"path": "/?a=1&Version=V2&b"},
            {"path": "/?version=v22"},
        ),
        (
            {"Field": "query-string", "QueryStringConfig": {"Values": [{"Value": "new"}]}},
            {"path": "/?any=new"},
            {"path": "/new"},
        ),
        (
            {"Field": "source-ip", "SourceIpConfig": {"Values": ["10.0.0.0/8", "127.0.0.0/8"]}},
            {},
            None,
        ),
        ({"Field": "source-ip", "SourceIpConfig": {"Values": ["10.0.0.0/8"]}}, None, {}),
    ],
)
def test_a_rule_takes_the_requests_of_its_condition_and_no_others(
    world: World, condition: dict[str, Any], matching: dict[str, str] | None, other: dict[str, str] | None
) -> None:
    listener = world.listener(world.balancer(), fixed("404"))
    listener.rule(fixed("200"), condition)
    connection = listener.connect()
    assert matching is None or fetch(connection, **matching).status == 200
    assert other is None or fetch(connection, **other).status == 404


def test_all_conditions_of_a_rule_must_hold(world: World) -> None:
    listener = world.listener(world.balancer(), fixed("404"))
    header = {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "x-canary", "Values": ["true"]}}
    listener.rule(fixed("200"), paths_like("/api/*"), header)
    connection = listener.connect()
    assert fetch(connection, "/api/1", x_canary="true").status == 200
    assert fetch(connection, "/api/1").status == 404
    assert fetch(connection, "/", x_canary="true").status == 404


def test_a_header_rule_beats_the_weights(world: World) -> None:
    blue, green = world.group(world.backend("blue")), world.group(world.backend("green"))
    listener = world.listener(world.balancer(), forward({blue: 1, green: 0}))
    listener.rule(
        forward({green: 1}),
        {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "x-canary", "Values": ["true"]}},
    )
    world.healthy(blue, green)
    connection = listener.connect()
    assert {fetch(connection, x_canary="true").body for _ in range(50)} == {"green"}


def test_a_sticky_client_stays_with_its_group_after_the_weights_have_moved(world: World) -> None:
    blue, green = world.group(world.backend("blue")), world.group(world.backend("green"))
    listener = world.listener(world.balancer(), fixed())
    rule = listener.rule(forward({blue: 1, green: 0}, sticky=60), paths_like("/*"))
    world.healthy(blue, green)
    connection = listener.connect()
    first = fetch(connection)
    cookies = [value for key, value in first.headers if key == "set-cookie"]
    assert [cookie.partition("=")[0] for cookie in cookies] == ["AWSALBTG", "AWSALBTGCORS"]
    assert all("Max-Age=60; Path=/" in cookie for cookie in cookies)
    world.elb.modify_rule(RuleArn=rule, Actions=[forward({blue: 0, green: 1}, sticky=60)])
    world.settle()
    sticky = fetch(connection, cookie=f"theme=dark; {cookies[0].split(';')[0]}; b=2")
    assert sticky.body == "blue"
    assert [value for key, value in sticky.headers if key == "set-cookie"] == cookies
    assert fetch(connection).body == "green"
    assert fetch(connection, cookie="AWSALBTG=unknown").body == "green"


def cookie_like(*values: str) -> dict[str, Any]:
    return {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "cookie", "Values": list(values)}}


def test_a_cohort_is_told_by_one_whole_cookie_wherever_it_stands(world: World) -> None:
    blue, green = world.group(world.backend("blue")), world.group(world.backend("green"))
    listener = world.listener(world.balancer(), forward({blue: 1, green: 0}))
    for values in (("cohort=b", "cohort=b;*"), ("*; cohort=b", "*; cohort=b;*")):
        listener.rule(forward({green: 1}), cookie_like(*values))
    world.healthy(blue, green)
    connection = listener.connect()
    for cookie in ("cohort=b", "cohort=b; a=1", "a=1; cohort=b", "a=1; cohort=b; z=2", "COHORT=B"):
        assert {fetch(connection, cookie=cookie).body for _ in range(20)} == {"green"}, cookie
    for cookie in ("cohort=b2", "mycohort=b", "a=1; cohort=b2; z=2", "a=1; mycohort=b", "cohort=a"):
        assert fetch(connection, cookie=cookie).body == "blue", cookie
    assert fetch(connection).body == "blue"


def test_clients_are_shared_out_without_bias_and_each_stays_with_its_first_color(
    world: World,
) -> None:
    """Clients without a cookie by their weights, 100,000 at half and half and 40,000 at 30 percent."""
    crowds = [Crowd(name, f"{NET}.1.{200 + place}") for place, name in enumerate(("blue", "green"))]
    world.made.extend(crowd.end for crowd in crowds)
    blue, green = (world.group(crowd) for crowd in crowds)
    rule_of = world.listener(world.balancer(), fixed())
    rule = rule_of.rule(forward({blue: 50, green: 50}, sticky=604_800), paths_like("/*"))
    world.healthy(blue, green)
    address = (rule_of.address, rule_of.port)
    for percent, number in ((50, 100_000), (30, 40_000)):
        world.elb.modify_rule(RuleArn=rule, Actions=[forward({blue: 100 - percent, green: percent}, sticky=604_800)])
        world.settle()
        seen = [color == "green" for color in newcomers(address, number)]
        got, share = sum(seen), percent / 100
        shared = (got - number * share) ** 2 / (number * share * (1 - share))
        # Whether who comes next depends on who came before: all four pairs, as often as their shares say.
        pairs = Counter(zip(seen[::2], seen[1::2], strict=True))
        chance = {True: share, False: 1 - share}
        expected = {
            pair: number / 2 * chance[pair[0]] * chance[pair[1]] for pair in ((a, b) for a in chance for b in chance)
        }
        paired = sum((pairs[pair] - many) ** 2 / many for pair, many in expected.items())
        assert len(seen) == number
        # The 99.99 % quantiles of chi-square with one degree of freedom and with three.
        assert shared < 15.14, f"{got} of {number}"
        assert paired < 21.11, f"{dict(pairs)}"
    connection = rule_of.connect()
    colors = set()
    for _ in range(200):
        first = fetch(connection)
        (cookie,) = [value for key, value in first.headers if key == "set-cookie" and value.startswith("AWSALBTG=")]
        again = {fetch(connection, cookie=cookie.partition(";")[0]).body for _ in range(20)}
        assert again == {first.body}
        colors.add(first.body)
    assert colors == {"blue", "green"}


class Crowd:
    """A target that answers with its name, faster than `Backend` by far."""

    def __init__(self, name: str, address: str) -> None:
        answer = f"HTTP/1.1 200 OK\r\ncontent-length: {len(name)}\r\n\r\n{name}".encode()

        class Answers(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                self.transport: Any = transport

            def data_received(self, data: bytes) -> None:
                self.transport.write(answer * data.count(b"\r\n\r\n"))

        self.address, self.port = address, 18080
        self._loop = asyncio.new_event_loop()
        self._loop.run_until_complete(self._loop.create_server(Answers, address, self.port))
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    @property
    def target(self) -> dict[str, Any]:
        return {"Id": self.address, "Port": self.port}

    def end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def newcomers(address: tuple[str, int], number: int) -> list[str]:
    """Ask as so many clients without a cookie, over eight connections, and return who answered, by connection."""
    request, connections, at_once = b"GET / HTTP/1.1\r\nhost: shop.localhost\r\n\r\n", 8, 50

    def ask(_: int) -> list[str]:
        found: list[str] = []
        with socket.create_connection(address, timeout=10) as connection:
            while len(found) < number // connections:
                connection.sendall(request * at_once)
                text = b""
                while text.count(b"\r\n\r\n") < at_once or not text.endswith((b"blue", b"green")):
                    text += connection.recv(1 << 20)
                found += [color.decode() for color in re.findall(rb"\r\n\r\n(blue|green)", text)]
        return found

    with ThreadPoolExecutor(connections) as pool:
        return [color for answers in pool.map(ask, range(connections)) for color in answers]


@pytest.mark.parametrize(
    ("redirect", "location"),
    [
        ({"Protocol": "HTTPS", "Port": "443"}, "https://shop.localhost:443/a/b?c=%41&d"),
        ({"Host": "www.#{host}", "Path": "/new/#{path}", "Query": "x=1&#{query}"}, None),
        ({"Path": "/", "Query": ""}, "http://shop.localhost:80/"),
    ],
)
def test_a_redirect_fills_in_its_placeholders(world: World, redirect: dict[str, str], location: str | None) -> None:
    action = {"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_301", **redirect}}
    listener = world.listener(world.balancer(), action)
    answer = fetch(listener.connect(), "/a/b?c=%41&d", host=f"shop.localhost:{listener.port}")
    assert answer.status == 301
    expected = location or "http://www.shop.localhost:80/new/a/b?x=1&c=%41&d"
    assert [value for key, value in answer.headers if key == "location"] == [expected]


def test_a_redirect_without_a_query_ends_without_a_question_mark(world: World) -> None:
    action = {"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_302", "Protocol": "HTTPS", "Port": "443"}}
    answer = fetch(world.listener(world.balancer(), action).connect(), "/", host="shop.localhost")
    assert (answer.status, answer.header("location")) == (302, "https://shop.localhost:443/")


def test_a_fixed_response_has_its_status_type_and_body(world: World) -> None:
    listener = world.listener(world.balancer(), fixed("418", '{"100%": true}', "application/json"))
    answer = fetch(listener.connect())
    assert (answer.status, answer.header("content-type"), answer.body) == (418, "application/json", '{"100%": true}')


# Headers and TLS ----------------------------------------------------------------------------------------------------


def test_listener_attributes_set_response_headers_on_every_answer(world: World) -> None:
    blue = world.group(world.backend("blue"))
    listener = world.listener(world.balancer(), forward({blue: 1}))
    listener.rule(fixed("200"), paths_like("/fixed"))
    prefix = "routing.http.response"
    world.elb.modify_listener_attributes(
        ListenerArn=listener.arn,
        Attributes=[
            {"Key": f"{prefix}.strict_transport_security.header_value", "Value": "max-age=63072000"},
            {"Key": f"{prefix}.content_security_policy.header_value", "Value": "default-src 'self' 100%"},
            {"Key": f"{prefix}.access_control_allow_origin.header_value", "Value": "https://shop.localhost"},
            {"Key": f"{prefix}.server.enabled", "Value": "false"},
        ],
    )
    world.healthy(blue)
    connection = listener.connect()
    for path in "/", "/fixed":
        answer = fetch(connection, path)
        assert answer.header("strict-transport-security") == "max-age=63072000"
        assert answer.header("content-security-policy") == "default-src 'self' 100%"
        assert answer.header("access-control-allow-origin") == "https://shop.localhost"
        assert answer.header("server") is None


def test_the_target_sees_the_forwarding_headers_of_an_alb_and_the_client_own(world: World) -> None:
    backend = world.backend("blue")
    blue = world.group(backend)
    listener = world.listener(world.balancer(), forward({blue: 1}))
    world.healthy(blue)
    fetch(listener.connect(), x_forwarded_for="203.0.113.9", x_forwarded_proto="https", x_request_id="mine")
    seen = backend.seen[-1]
    assert seen["x-forwarded-for"].replace(" ", "") == "203.0.113.9,127.0.0.1"
    assert (seen["x-forwarded-proto"], seen["x-forwarded-port"]) == ("http", "80")
    assert seen["x-request-id"] == "mine"
    assert re.fullmatch("Root=1-[0-9a-f-]{36}", seen["x-amzn-trace-id"])
    assert not [name for name in seen if name.startswith("x-envoy")]


def test_invalid_header_names_are_dropped_when_the_load_balancer_is_told_so(world: World) -> None:
    backend = world.backend("blue")
    blue, balancer = world.group(backend), world.balancer()
    world.elb.modify_load_balancer_attributes(
        LoadBalancerArn=balancer,
        Attributes=[{"Key": "routing.http.drop_invalid_header_fields.enabled", "Value": "true"}],
    )
    listener = world.listener(balancer, forward({blue: 1}))
    world.healthy(blue)
    connection = listener.connect()
    connection.request("GET", "/", headers={"a_b": "1", "a-c": "2"})
    connection.getresponse().read()
    assert "a_b" not in backend.seen[-1]
    assert backend.seen[-1]["a-c"] == "2"


def handshake(world: World, listener: ListenerHandle, name: str, **limits: ssl.TLSVersion) -> ssl.SSLSocket:
    world.settle()
    context = ssl.create_default_context(cafile=str(world.cloud.authority[0]))
    context.set_alpn_protocols(["h2", "http/1.1"])
    for key, value in limits.items():
        setattr(context, key, value)
    raw = socket.create_connection((listener.address, listener.port), timeout=5)
    world.made.append(raw.close)
    return context.wrap_socket(raw, server_hostname=name)


@pytest.mark.parametrize("name", ["shop.localhost", "green.shop.localhost"])
def test_an_https_listener_shows_a_certificate_for_the_names_of_its_acm_certificate(world: World, name: str) -> None:
    listener = world.listener(world.balancer(), fixed("200", "secret"), port=443, SslPolicy=POLICY)
    secure = handshake(world, listener, name)
    assert (secure.version(), secure.selected_alpn_protocol()) == ("TLSv1.3", "h2")


def imported(world: World, name: str) -> str:
    chain, key = ca.issue([name], *world.cloud.authority)
    return str(client("acm").import_certificate(Certificate=chain, PrivateKey=key)["CertificateArn"])


def test_an_https_listener_picks_a_further_certificate_by_server_name(world: World) -> None:
    listener = world.listener(world.balancer(), fixed("200"), port=443, SslPolicy=POLICY)
    other, default = imported(world, "other.test"), imported(world, "new.test")
    world.elb.add_listener_certificates(ListenerArn=listener.arn, Certificates=[{"CertificateArn": other}])
    handshake(world, listener, "other.test")
    handshake(world, listener, "shop.localhost")
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(world, listener, "new.test")

    world.elb.modify_listener(ListenerArn=listener.arn, Certificates=[{"CertificateArn": default}])

    handshake(world, listener, "other.test")
    handshake(world, listener, "new.test")
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(world, listener, "shop.localhost")


def test_a_certificate_that_acm_has_no_more_is_told_and_stops_no_other_listener(world: World) -> None:
    balancer = world.balancer()
    gone = imported(world, "gone.test")
    world.elb.create_listener(
        LoadBalancerArn=balancer,
        Protocol="HTTPS",
        Port=443,
        SslPolicy=POLICY,
        Certificates=[{"CertificateArn": gone}],
        DefaultActions=[fixed()],
    )
    world.settle()
    with pytest.raises(ClientError, match="ResourceInUseException"):
        client("acm").delete_certificate(CertificateArn=gone)
    del acm_backends[paths.ACCOUNT][paths.REGION]._certificates[gone]
    assert fetch(world.listener(balancer, fixed("200")).connect()).status == 200
    until(lambda: any("No TLS certificates" in problem for problem in world.cloud.balancing.problems))


def test_the_policy_sets_the_least_tls_version(world: World) -> None:
    balancer = world.balancer()
    modern = world.listener(balancer, fixed("200"), port=443, SslPolicy="ELBSecurityPolicy-TLS13-1-3-2021-06")
    usual = world.listener(balancer, fixed("200"), port=8443, SslPolicy=POLICY)
    assert handshake(world, usual, "shop.localhost", maximum_version=ssl.TLSVersion.TLSv1_2).version() == "TLSv1.2"
    with pytest.raises(ssl.SSLError):
        handshake(world, modern, "shop.localhost", maximum_version=ssl.TLSVersion.TLSv1_2)


# Targets and their health -------------------------------------------------------------------------------------------


def test_an_empty_group_answers_503(world: World) -> None:
    blue, green = world.group(world.backend("blue")), world.group()
    listener = world.listener(world.balancer(), forward({blue: 1, green: 1}))
    world.healthy(blue)
    connection = listener.connect()
    assert {fetch(connection).status for _ in range(40)} == {200, 503}


def test_a_group_without_a_healthy_target_sends_to_all_of_them(world: World) -> None:
    first, second = world.backend("first"), world.backend("second")
    first.ready = False
    blue = world.group(first, second)
    listener = world.listener(world.balancer(), forward({blue: 1}))
    until(lambda: sorted(state for state, _ in world.health(blue)) == ["healthy", "unhealthy"])
    assert shares(listener, 20) == {"second": 20}
    second.ready = False
    until(lambda: {state for state, _ in world.health(blue)} == {"unhealthy"})
    assert set(shares(listener, 20)) == {"first", "second"}


def test_a_target_that_refuses_connections_is_a_502(world: World) -> None:
    backend = world.backend("blue")
    blue = world.group(backend, HealthCheckIntervalSeconds=200, HealthCheckTimeoutSeconds=2)
    listener = world.listener(world.balancer(), forward({blue: 1}))
    world.healthy(blue)
    backend.server.shutdown()
    backend.server.server_close()
    assert fetch(listener.connect()).status == 502


def test_target_health_follows_a_target_through_its_life(world: World) -> None:
    backend = world.backend("blue")
    blue = world.group(backend, delay=1)
    assert world.health(blue) == [("unused", "Target.NotInUse")]
    world.cloud.balancing.delay = 0.5
    world.listener(world.balancer(), forward({blue: 1}))
    assert world.health(blue) == [("initial", "Elb.RegistrationInProgress")]
    world.cloud.balancing.delay = 0
    world.healthy(blue)
    backend.ready = False
    failed = len(backend.checks)
    until(lambda: world.health(blue) == [("unhealthy", "Target.FailedHealthChecks")])
    assert len(backend.checks) - failed >= HEALTH["UnhealthyThresholdCount"]
    backend.ready = True
    world.healthy(blue)
    world.elb.deregister_targets(TargetGroupArn=blue, Targets=[backend.target])
    assert world.health(blue) == [("draining", "Target.DeregistrationInProgress")]
    until(lambda: world.health(blue) == [], seconds=1.5)
    asked = world.elb.describe_target_health(TargetGroupArn=blue, Targets=[backend.target])
    assert asked["TargetHealthDescriptions"][0]["TargetHealth"]["Reason"] == "Target.NotRegistered"


def test_a_target_in_a_zone_without_a_subnet_of_the_load_balancer_is_unused_and_gets_no_request(world: World) -> None:
    near, far = world.backend("near"), world.backend("far", FAR)
    blue, balancer = world.group(near, far), world.balancer()
    listener = world.listener(balancer, forward({blue: 1}))
    until(lambda: world.health(blue) == [("healthy", None), ("unused", "Target.NotInUse")])
    assert shares(listener, 20) == {"near": 20}
    assert far.checks == []

    filters = [{"Name": "cidr-block", "Values": [f"{NET}.{FAR}.0/24"]}]
    (subnet,) = client("ec2").describe_subnets(Filters=filters)["Subnets"]
    world.elb.set_subnets(LoadBalancerArn=balancer, Subnets=[*world.cloud.seeds.subnetIds, subnet["SubnetId"]])

    world.healthy(blue)
    until(lambda: set(shares(listener, 10)) == {"near", "far"})


def test_health_checks_are_made_as_an_alb_makes_them(world: World) -> None:
    backend = world.backend("blue")
    blue = world.group(backend)
    world.listener(world.balancer(), forward({blue: 1}))
    world.healthy(blue)
    assert backend.checks[0]["user-agent"] == "ELB-HealthChecker/2.0"
    assert backend.checks[0]["host"] == f"{backend.address}:{backend.port}"


def test_one_address_can_be_registered_with_several_ports(world: World) -> None:
    backend = world.backend("blue")
    other = {"Id": backend.address, "Port": 18081}
    blue = world.group(backend)
    world.elb.register_targets(TargetGroupArn=blue, Targets=[other])
    world.elb.deregister_targets(TargetGroupArn=blue, Targets=[other])
    world.elb.deregister_targets(TargetGroupArn=blue, Targets=[other])
    answer = world.elb.describe_target_health(TargetGroupArn=blue)["TargetHealthDescriptions"]
    assert [(one["Target"]["Port"], one["TargetHealth"]["State"]) for one in answer] == [
        (18080, "unused"),
        (18081, "draining"),
    ]


def test_a_request_in_flight_finishes_on_a_target_that_is_deregistered(world: World) -> None:
    old, new = world.backend("old"), world.backend("new")
    blue = world.group(old)
    listener = world.listener(world.balancer(), forward({blue: 1}))
    world.healthy(blue)
    slow = listener.connect()
    slow.request("GET", "/sleep/1.5")
    until(lambda: world.cloud.envoy.statistics("?filter=upstream_rq_active").count(": 1"))
    world.elb.register_targets(TargetGroupArn=blue, Targets=[new.target])
    world.healthy(blue)
    world.elb.deregister_targets(TargetGroupArn=blue, Targets=[old.target])
    assert shares(listener, 20) == {"new": 20}
    assert slow.getresponse().read() == b"old"


# No request is lost -------------------------------------------------------------------------------------------------


def test_no_request_is_lost_while_everything_around_it_changes(world: World) -> None:
    """Clients that keep their connections and never retry, while rules, targets, checks and listeners change."""
    blues, greens = [world.backend("blue") for _ in range(3)], [world.backend("green") for _ in range(2)]
    blue, green = world.group(*blues), world.group(*greens)
    balancer = world.balancer()
    listener = world.listener(balancer, fixed())
    rule = listener.rule(forward({blue: 100, green: 0}), paths_like("/*"))
    world.healthy(blue, green)
    world.settle()
    answers: Counter[object] = Counter()
    done = threading.Event()

    def ask() -> None:
        connection = http.client.HTTPConnection(listener.address, listener.port, timeout=5)
        while not done.is_set():
            try:
                answer = fetch(connection)
            except (OSError, http.client.HTTPException) as error:
                answers[repr(error)] += 1
                connection.close()
                continue
            answers[answer.body if answer.status == 200 else answer.status] += 1
        connection.close()

    clients = [threading.Thread(target=ask) for _ in range(8)]
    for one in clients:
        one.start()
    for turn in range(1, 6):
        world.elb.modify_rule(RuleArn=rule, Actions=[forward({blue: 100 - 20 * turn, green: 20 * turn})])
        world.elb.deregister_targets(TargetGroupArn=blue, Targets=[blues[turn % 3].target])
        world.settle()
        world.elb.modify_target_group(TargetGroupArn=green, HealthCheckIntervalSeconds=2 + turn)
        extra = world.group(world.backend("extra"))
        listener.rule(forward({extra: 1}), paths_like("/extra"))
        world.listener(balancer, forward({extra: 1}), port=8000 + turn)
        world.settle()
        world.elb.register_targets(TargetGroupArn=blue, Targets=[blues[turn % 3].target])
        world.settle()
    done.set()
    for one in clients:
        one.join()
    assert set(answers) == {"blue", "green"}, answers
    assert answers.total() > 1000


def test_a_group_can_be_replaced_and_deleted_without_losing_a_request(world: World) -> None:
    backends = world.backend("old"), world.backend("new")
    for backend in backends:
        backend.lag = 0.3
    old, new = (world.group(backend) for backend in backends)
    listener = world.listener(world.balancer(), fixed())
    rule = listener.rule(forward({old: 1}), paths_like("/*"))
    world.healthy(old)
    connection = listener.connect()
    stop = threading.Event()
    answers: Counter[object] = Counter()

    def ask() -> None:
        while not stop.is_set():
            answer = fetch(connection)
            answers[answer.body if answer.status == 200 else answer.status] += 1

    asking = threading.Thread(target=ask)
    asking.start()
    for turn in range(6):
        world.elb.modify_rule(RuleArn=rule, Actions=[forward({new if turn % 2 == 0 else old: 1})])
        world.settle()
    stop.set()
    asking.join()
    assert set(answers) == {"old", "new"}, answers


# The process and its surroundings -----------------------------------------------------------------------------------


def raw(service: str, path: str, body: bytes, *headers: str) -> list[bytes]:
    """Return the pieces of an answer to a request whose body is sent after its headers, as the Go SDK does."""
    scope = (
        f"AWS4-HMAC-SHA256 Credential=k/20260101/{paths.REGION}/{service}/aws4_request, SignedHeaders=host, Signature=0"
    )
    lines = [f"POST {path} HTTP/1.1", "Host: aws", f"Content-Length: {len(body)}", f"Authorization: {scope}", *headers]
    with socket.create_connection((f"{NET}.0.251", 14566), timeout=5) as connection:
        connection.sendall("".join(f"{line}\r\n" for line in [*lines, ""]).encode())
        pieces = []
        if "Expect: 100-continue" in headers:
            pieces.append(connection.recv(65536))
        connection.sendall(body)
        return [*pieces, *iter(lambda: connection.recv(65536), b"")]


@pytest.mark.parametrize(
    ("service", "path", "body", "header"),
    [
        ("elasticloadbalancing", "/", b"Action=DescribeLoadBalancers&Version=2015-12-01", "Accept: */*"),
        ("secretsmanager", "/", b"{}", "X-Amz-Target: secretsmanager.ListSecrets"),
        (
            "monitoring",
            "/service/GraniteServiceVersion20100801/operation/DeleteAlarms",
            b"\xa1\x6aAlarmNames\x80",
            "smithy-protocol: rpc-v2-cbor",
        ),
    ],
    ids=["query", "json", "cbor"],
)
@pytest.mark.usefixtures("cloud")
def test_an_answer_of_the_apis_comes_in_one_piece(service: str, path: str, body: bytes, header: str) -> None:
    kind = "Content-Type: application/x-www-form-urlencoded" if service == "elasticloadbalancing" else "X-None: 0"
    for answer in [raw(service, path, body, header, kind) for _ in range(20)]:
        assert answer[0].startswith(b"HTTP/1.1 200 OK\r\n")
        assert len(answer) == 1


@pytest.mark.usefixtures("cloud")
def test_who_asks_before_sending_a_body_is_told_at_once_to_send_it() -> None:
    first, *_ = raw("s3", "/bucket/key", b"x", "Expect: 100-continue")
    assert first.startswith(b"HTTP/1.1 100 Continue\r\n\r\n")


def test_a_taken_port_is_told_in_plain_words_and_taken_over_when_it_is_free(world: World) -> None:
    balancer = world.balancer()
    free = world.listener(balancer, fixed("200", "fine"), port=81)
    taken = socket.create_server((free.address, OFFSET + 82))
    blocked = world.listener(balancer, fixed("200", "late"), port=82)
    world.settle()
    until(lambda: world.cloud.balancing.problems)
    assert f"port {OFFSET + 82} of {free.address} is taken" in world.cloud.balancing.problems[0]
    assert fetch(free.connect()).body == "fine"
    taken.close()
    until(lambda: not world.cloud.balancing.problems)
    assert fetch(blocked.connect()).body == "late"


def test_load_balancers_keep_their_addresses_and_pass_them_on_when_deleted(world: World) -> None:
    first, second = world.balancer(), world.balancer()
    names = [arn.split("/")[2] for arn in (first, second)]
    before = world.cloud.balancing.addresses()
    world.elb.delete_load_balancer(LoadBalancerArn=first)
    assert world.cloud.balancing.addresses()[names[1]] == before[names[1]]
    third = world.balancer()
    assert world.cloud.balancing.addresses()[third.split("/")[2]] == before[names[0]]


def test_a_change_takes_effect_after_the_propagation_delay(world: World) -> None:
    listener = world.listener(world.balancer(), fixed("404"))
    connection = listener.connect()
    url = f"http://{NET}.0.251:14566/_hueshift"
    request = urllib.request.Request(f"{url}/propagation-delay", b"0.8", method="PUT")
    with urllib.request.urlopen(request) as answer:
        assert json.load(answer) == {"propagationDelay": 0.8}
    began = time.monotonic()
    listener.rule(fixed("200"), paths_like("/*"))
    world.cloud.balancing.delay = 0
    until(lambda: fetch(connection).status == 200)
    assert 0.8 <= time.monotonic() - began < 1.5


@pytest.mark.parametrize("delay", ["-1", "2.1", "soon", "nan"])
def test_a_propagation_delay_out_of_range_is_refused(cloud: LocalAws, delay: str) -> None:
    request = urllib.request.Request(
        f"http://{NET}.0.251:14566/_hueshift/propagation-delay", delay.encode(), method="PUT"
    )
    with pytest.raises(urllib.error.HTTPError, match="400"):
        urllib.request.urlopen(request)
    assert cloud.balancing.delay == 0


def test_the_counts_of_envoy_become_the_metrics_of_an_alb(world: World) -> None:
    def times() -> str:
        return world.cloud.envoy.statistics("?format=json&histogram_buckets=detailed&filter=upstream_rq_time$")

    backend = world.backend("blue")
    blue, empty, broken, balancer = world.group(backend), world.group(), world.group(), world.balancer()
    world.elb.register_targets(TargetGroupArn=broken, Targets=[{"Id": backend.address, "Port": 9}])
    listener = world.listener(balancer, fixed("200"))
    listener.rule(forward({empty: 1}), paths_like("/empty"))
    listener.rule(forward({broken: 1}), paths_like("/broken"))
    listener.rule(forward({blue: 1}), paths_like("/status/*", "/sleep/*"))
    world.healthy(blue)
    until(lambda: {state for state, _ in world.health(broken)} == {"unhealthy"})
    connection = listener.connect()
    for path in ["/status/200"] * 5 + ["/status/503"] * 2 + ["/status/404", "/sleep/0.2", "/empty", "/broken", "/"]:
        fetch(connection, path)
    balancer_name, group_name = balancer.split("loadbalancer/")[1], blue.split(":")[-1]
    until(lambda: sum(metrics.parse_times(times()).get(blue.split("group/")[1], Counter()).values()) == 9)
    data = metrics.data(
        metrics.parse_requests(world.cloud.envoy.statistics("/prometheus?filter=^alb")),
        metrics.parse_times(times()),
        world.cloud.envoy.health(),
        world.cloud.balancing.owners(),
    )
    values = {
        (one["MetricName"], *[dimension["Value"] for dimension in one["Dimensions"]]): one
        for one in data
        if one["Dimensions"][-1]["Value"] == balancer_name
    }
    of_group = {key[0]: one.get("Value", 0) for key, one in values.items() if group_name in key}
    assert of_group["HTTPCode_Target_2XX_Count"] == 6
    assert of_group["HTTPCode_Target_4XX_Count"] == 1
    assert of_group["HTTPCode_Target_5XX_Count"] == 2
    assert of_group["RequestCount"] == 9
    assert (of_group["HealthyHostCount"], of_group["UnHealthyHostCount"]) == (1, 0)
    assert "TargetConnectionErrorCount" not in of_group
    assert values["TargetConnectionErrorCount", broken.split(":")[-1], balancer_name]["Value"] == 1
    assert [name for name in values if "ELB" in name[0] and len(name) == 3] == []
    assert values["HTTPCode_ELB_502_Count", balancer_name]["Value"] == 1
    assert values["HTTPCode_ELB_503_Count", balancer_name]["Value"] == 1
    assert values["HTTPCode_ELB_5XX_Count", balancer_name]["Value"] == 2
    assert values["RequestCount", balancer_name]["Value"] == 10
    assert values["HTTP_Fixed_Response_Count", balancer_name]["Value"] == 1
    spread = values["TargetResponseTime", group_name, balancer_name]
    assert sum(spread["Counts"]) == 9
    assert max(spread["Values"]) == pytest.approx(0.2, abs=0.03)
    metrics.backend().record(metrics.NAMESPACE, data, metrics.backend().clock.now())
    cloudwatch = client("cloudwatch")
    of_balancer = [{"Name": "LoadBalancer", "Value": balancer_name}]
    of_group_too = [*of_balancer, {"Name": "TargetGroup", "Value": group_name}]
    span = {"StartTime": datetime.now(UTC) - timedelta(minutes=5), "EndTime": datetime.now(UTC) + timedelta(minutes=1)}
    for dimensions, number in ((of_balancer, 10), (of_group_too, 9), (of_group_too[::-1], 9)):
        metric = {"Namespace": metrics.NAMESPACE, "MetricName": "RequestCount", "Dimensions": dimensions}
        points = cloudwatch.get_metric_statistics(**metric, **span, Period=60, Statistics=["Sum"])["Datapoints"]
        assert [point["Sum"] for point in points] == [number]
        query = {"Id": "m", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Sum"}}
        assert cloudwatch.get_metric_data(**span, MetricDataQueries=[query])["MetricDataResults"][0]["Values"] == [
            number
        ]
        assert len(cloudwatch.list_metrics(**metric)["Metrics"]) == (1 if dimensions is not of_balancer else 3)


def test_what_the_api_refuses_is_refused(world: World) -> None:
    group, balancer = world.group(), world.balancer()
    world.listener(balancer, fixed())
    refusals: dict[str, Callable[[], object]] = {
        "DuplicateLoadBalancerName": lambda: world.elb.create_load_balancer(
            Name=balancer.split("/")[2], Subnets=world.cloud.seeds.subnetIds
        ),
        "DuplicateListener": lambda: world.listener(balancer, fixed()),
        "A certificate must be specified": lambda: world.elb.create_listener(
            LoadBalancerArn=balancer, Protocol="HTTPS", Port=443, DefaultActions=[fixed()]
        ),
        "must be between 0 and 999": lambda: world.listener(balancer, forward({group: 1000}), port=81),
    }
    for message, call in refusals.items():
        with pytest.raises(ClientError, match=message):
            call()


def test_a_protected_load_balancer_and_its_security_group_cannot_be_deleted(world: World) -> None:
    ec2 = client("ec2")
    group = ec2.create_security_group(GroupName="lb", Description="lb", VpcId=world.cloud.seeds.vpcId)["GroupId"]
    balancer = world.balancer()
    world.elb.set_security_groups(LoadBalancerArn=balancer, SecurityGroups=[group])

    def protect(value: str) -> None:
        world.elb.modify_load_balancer_attributes(
            LoadBalancerArn=balancer, Attributes=[{"Key": "deletion_protection.enabled", "Value": value}]
        )

    protect("true")
    with pytest.raises(ClientError, match="OperationNotPermitted"):
        world.elb.delete_load_balancer(LoadBalancerArn=balancer)
    with pytest.raises(ClientError, match="DependencyViolation"):
        ec2.delete_security_group(GroupId=group)
    protect("false")
    world.elb.delete_load_balancer(LoadBalancerArn=balancer)
    ec2.delete_security_group(GroupId=group)


def test_the_account_of_every_life_has_the_ids_that_the_stack_file_names(tmp_path: Path) -> None:
    config = yaml.safe_load((paths.ROOT / "Pulumi.sandbox.yaml").read_text())["config"]
    named = {**config["hueshift:network"], **config["hueshift:loadBalancer"]}
    program = (
        "import dataclasses, json, pathlib, sys; from sandbox.aws import gaps, server; gaps.fill();"
        "print(json.dumps(dataclasses.asdict(server.seed(tuple(map(pathlib.Path, sys.argv[1:]))))))"
    )
    for life in "first", "second":
        authority = [str(tmp_path / f"{life}.{kind}") for kind in ("crt", "key")]
        answer = subprocess.run(
            [sys.executable, "-c", program, *authority], cwd=paths.ROOT, check=True, capture_output=True
        )
        seeds = json.loads(answer.stdout)
        assert seeds == {key: named[key] for key in seeds}
