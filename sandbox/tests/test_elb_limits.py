"""What ELBv2 refuses of a call's own words, by the limits of its API reference."""

from typing import Any

import pytest
from moto.elbv2.exceptions import ELBClientError

from sandbox.aws import elb_limits


def _path(*patterns: str) -> list[dict[str, Any]]:
    return [{"Field": "path-pattern", "PathPatternConfig": {"Values": [*patterns]}}]


def _host(*names: str) -> list[dict[str, Any]]:
    return [{"Field": "host-header", "HostHeaderConfig": {"Values": [*names]}}]


def _header(name: str, *values: str) -> list[dict[str, Any]]:
    return [{"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": name, "Values": [*values]}}]


def _query(*pairs: tuple[str, str]) -> list[dict[str, Any]]:
    values = [{"Key": key, "Value": value} for key, value in pairs]
    return [{"Field": "query-string", "QueryStringConfig": {"Values": values}}]


def _source(*networks: str) -> list[dict[str, Any]]:
    return [{"Field": "source-ip", "SourceIpConfig": {"Values": [*networks]}}]


def _method(*names: str) -> list[dict[str, Any]]:
    return [{"Field": "http-request-method", "HttpRequestMethodConfig": {"Values": [*names]}}]


@pytest.mark.parametrize(
    "conditions",
    [
        _host("shop.localhost", "*.shop.example.com", "x?-1.com"),
        _host("a" * 124 + ".com"),
        [{"Field": "host-header", "Values": ["shop.example.com"]}],
        _host("a.com", "b.com", "c.com") + _path("/1", "/2"),
        _path("/a*?", "/b*?", "/c*?"),
        _path("/api/~me/@x:1+2&3_$.\"'"),
        _header("x-canary", "true") + _header("x-cohort", "a, b"),
        _query(("version", "v?"), ("", "new")),
        _query(("a", r"\*\*\*\*"), ("b", r"\?\?\?\?")),
        _source("10.0.0.0/8", "2001:db8::/32", "10.1.2.3/32", "10.1.2.4/32", "10.1.2.5/32"),
        _method("GET", "M-SEARCH"),
    ],
)
def test_conditions_within_the_limits_are_taken(conditions: list[dict[str, Any]]) -> None:
    elb_limits.conditions(conditions)


@pytest.mark.parametrize(
    ("conditions", "said"),
    [
        (_host("shop.corp1"), "a character that is not valid"),
        (_host("shop.xn--p1ai"), "a character that is not valid"),
        (_host("shop.*"), "a character that is not valid"),
        (_host("shop"), "a character that is not valid"),
        (_host("shop.example.com:8443"), "a character that is not valid"),
        (_host("a_b.example.com"), "a character that is not valid"),
        (_host("a" * 125 + ".com"), "too long; the limit is '128'"),
        ([{"Field": "host-header", "Values": ["shop.corp1"]}], "a character that is not valid"),
        ([{**_host("a.com")[0], "Values": ["b.com"]}], "both Values and 'HostHeaderConfig'"),
        (_host("a.com", "b.com", "c.com") + _path("/1", "/2", "/3"), "only have '5' condition values"),
        (_header("x-a", "1", "2", "3") + _header("x-b", "4", "5", "6"), "only have '5' condition values"),
        (_query(("a", "1"), ("b", "2"), ("c", "3")) + _method("A", "B", "C"), "only have '5' condition values"),
        (_source(*[f"10.{number}.0.0/16" for number in range(6)]), "only have '5' condition values"),
        (_path("/a*?", "/b*?", "/c*?*"), "only have '6' condition wildcards"),
        (_path("/a b"), "a character that is not valid"),
        (_host("a.com") + _host("b.com"), "only have one 'host-header' condition"),
        (_header("Host", "a.com"), "not a valid HTTP header name"),
        (_header("x canary", "1"), "not a valid HTTP header name"),
        (_header("x" * 41, "1"), "not a valid HTTP header name"),
        (_source("10.0.0.0/33"), "is not valid"),
        (_source("10.0.0.1"), "is not valid"),
        (_method("GETt"), "is not valid"),
    ],
)
def test_conditions_beyond_the_limits_are_refused(conditions: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(ELBClientError, match=said) as refused:
        elb_limits.conditions(conditions)
    assert refused.value.code == "ValidationError"


def _tags(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


@pytest.mark.parametrize(
    "tags",
    [
        {f"key-{number}": "value" for number in range(50)},
        {"hueshift.dev/who": "Zoë @ 1+1=2 _.:/-", "k" * 128: "v" * 256, "empty": ""},
    ],
)
def test_tags_within_the_limits_are_taken(tags: dict[str, str]) -> None:
    elb_limits.tags(_tags(tags))


@pytest.mark.parametrize(
    ("tags", "code"),
    [
        ({f"key-{number}": "value" for number in range(51)}, "TooManyTags"),
        ({"k" * 129: "v"}, "ValidationError"),
        ({"": "v"}, "ValidationError"),
        ({"key": "v" * 257}, "ValidationError"),
        ({"key": "a, b"}, "ValidationError"),
        ({"a*": "b"}, "ValidationError"),
        ({"AWS:name": "b"}, "ValidationError"),
    ],
)
def test_tags_beyond_the_limits_are_refused(tags: dict[str, str], code: str) -> None:
    with pytest.raises(ELBClientError) as refused:
        elb_limits.tags(_tags(tags))
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("address", "given", "zone"),
    [
        ("10.0.0.9", None, "eu-west-1a"),
        ("10.0.0.9", "eu-west-1a", "eu-west-1a"),
        ("10.9.0.9", "all", None),
        ("100.64.0.9", "all", None),
    ],
)
def test_an_address_of_the_vpc_needs_no_zone_and_a_private_one_outside_of_it_may_say_all(
    address: str, given: str | None, zone: str | None
) -> None:
    elb_limits.address(address, given, zone)


@pytest.mark.parametrize(
    ("address", "given", "zone", "said"),
    [
        ("10.0.0.9", "all", "eu-west-1a", "cannot have its Availability Zone overridden to 'all' from 'eu-west-1a'"),
        ("10.9.0.9", None, None, "The Availability Zone is required for IP address '10.9.0.9'"),
        ("8.8.8.8", "all", None, "neither in the VPC nor in a private range"),
        ("2001:db8::1", "all", None, "neither in the VPC nor in a private range"),
        ("shop.localhost", "all", None, "not a valid IP address"),
    ],
)
def test_any_other_address_is_no_target(address: str, given: str | None, zone: str | None, said: str) -> None:
    with pytest.raises(ELBClientError, match=said) as refused:
        elb_limits.address(address, given, zone)
    assert refused.value.code == "ValidationError"


@pytest.mark.parametrize(
    ("version", "matcher"),
    [("HTTP1", {}), ("HTTP2", {"HttpCode": "200"}), ("GRPC", {"GrpcCode": "0-5,12"}), ("GRPC", {})],
)
def test_a_matcher_of_the_protocol_version_is_taken(version: str, matcher: dict[str, str]) -> None:
    elb_limits.version(version, matcher)


@pytest.mark.parametrize(
    ("version", "matcher", "said"),
    [
        ("HTTP3", {}, "must be one of HTTP1, HTTP2, GRPC"),
        ("GRPC", {"HttpCode": "200"}, "'HttpCode' is not supported with the protocol version 'GRPC'"),
        ("HTTP2", {"GrpcCode": "0"}, "'GrpcCode' is not supported with the protocol version 'HTTP2'"),
        ("GRPC", {"GrpcCode": "100"}, "between 0 and 99"),
        ("GRPC", {"GrpcCode": "ok"}, "between 0 and 99"),
    ],
)
def test_a_matcher_of_another_protocol_version_is_refused(version: str, matcher: dict[str, str], said: str) -> None:
    with pytest.raises(ELBClientError, match=said):
        elb_limits.version(version, matcher)
