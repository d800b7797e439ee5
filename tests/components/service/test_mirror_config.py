"""How Envoy is told to copy requests, in its own words; `test_mirror_envoy.py` has Envoy do it."""

from dataclasses import replace
from typing import Any

import pytest

from components.model import Color
from components.service.mirror_config import COPIES_AT_ONCE, config, pods_host, probe_port
from components.spec import Shadow, Timing
from tests.support import samples

HOSTS = {color: pods_host(f"shop-{color}", "staging-shop") for color in Color}


def told(color: Color = Color.BLUE, *, writes: bool = False, **changes: object) -> dict[str, Any]:
    spec = samples.change(replace(samples.SERVICE, shadow=Shadow(writes=writes, image="envoy")), **changes)
    found: dict[str, Any] = config(spec, HOSTS, color)["static_resources"]
    return found


def routes(found: dict[str, Any], listener: str) -> list[dict[str, Any]]:
    (one,) = [each for each in found["listeners"] if each["name"] == listener]
    http = one["filter_chains"][0]["filters"][0]["typed_config"]
    (host,) = http["route_config"]["virtual_hosts"]
    own: list[dict[str, Any]] = host["routes"]
    return own


@pytest.mark.parametrize("color", Color)
def test_users_are_answered_by_the_color_and_copies_go_to_the_other_with_the_mark(color: Color) -> None:
    found = told(color)
    assert {route["route"]["cluster"] for route in routes(found, "users")} == {color.value}
    (copies,) = routes(found, "copies")
    assert copies["route"]["cluster"] == color.other.value
    assert copies["route"]["host_rewrite_literal"] == "shop.example.com"
    (mark,) = copies["request_headers_to_add"]
    assert mark["header"] == {"key": "x-shadow", "value": "true"}
    hosts = {
        each["name"]: each["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]
        for each in found["clusters"]
    }
    assert hosts["blue"]["socket_address"] == {
        "address": "shop-blue-pods.staging-shop.svc.cluster.local.",
        "port_value": 8080,
    }


def test_only_what_changes_nothing_is_copied_unless_writes_are_allowed() -> None:
    def copied(found: dict[str, Any]) -> list[dict[str, Any]]:
        (one,) = [each for each in routes(found, "users") if "request_mirror_policies" in each["route"]]
        headers: list[dict[str, Any]] = one["match"]["headers"]
        return headers

    assert {"name": ":method", "string_match": {"safe_regex": {"regex": "GET|HEAD|OPTIONS"}}} in copied(told())
    assert [each["name"] for each in copied(told(writes=True))] == ["upgrade"]


def test_health_checks_are_answered_by_the_color_and_copied_to_nobody() -> None:
    first, *_ = routes(told(), "users")
    assert first["match"] == {"path": "/health/ready"}
    assert "request_mirror_policies" not in first["route"]


def test_what_users_wait_for_is_never_cut_before_the_service_would_and_copies_are_bounded_and_never_repeated() -> None:
    found = told(timing=Timing(longest_request=40))
    assert {route["route"]["timeout"] for route in routes(found, "users")} == {"45s"}
    (copies,) = routes(found, "copies")
    assert "retry_policy" not in copies["route"]
    most = {each["name"]: each["circuit_breakers"]["thresholds"][0]["max_requests"] for each in found["clusters"]}
    assert most["copies"] == COPIES_AT_ONCE < most["blue"]


def test_a_mirror_answers_for_itself_on_a_port_that_is_not_the_services() -> None:
    assert probe_port(samples.SERVICE) != samples.SERVICE.port
    assert probe_port(replace(samples.SERVICE, port=9901)) != 9901
