"""Routes: what a listener rule can tell requests by, and which of two has to come first."""

import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components import rules
from components.model import (
    BANDS,
    ROUTES,
    RouteKind,
    RuleKind,
    beside,
    route_priority,
    route_slot,
    rule_priority,
)
from components.rules.routes import Claim, Part, _meet
from components.spec import Route


@pytest.mark.parametrize("host", ["www.example.com", "*.example.com", "a?.example.com", "xn--bcher-kva.example"])
def test_a_host_may_have_wildcards(host: str) -> None:
    assert rules.route_host_problem(host) is None


@pytest.mark.parametrize("host", ["example", "www.example.c0m", "WWW.example.com", "a b.example.com", "*", "x" * 129])
def test_what_no_host_condition_takes_is_refused(host: str) -> None:
    assert rules.route_host_problem(host)


@pytest.mark.parametrize("path", ["/api/*", "*.css", "/a/?/b", "/x&y", "/" + "a" * 127])
def test_a_path_may_have_wildcards(path: str) -> None:
    assert rules.route_path_problem(path) is None


@pytest.mark.parametrize("path", ["api/*", "", "/a b", "/a%20b", "/a#b", "/" + "a" * 128])
def test_what_no_path_condition_takes_is_refused(path: str) -> None:
    assert rules.route_path_problem(path)


@pytest.mark.parametrize("name", ["host", "X-Canary", "x-amzn-trace-id", "x-forwarded-for", "a_b", "", "x" * 41])
def test_a_header_that_tells_no_route_is_refused(name: str) -> None:
    assert rules.route_header_problem(name)


@pytest.mark.parametrize("values", [[], ["a", "b", "c", "d"], ["a\\b"], ["x" * 129], [""]])
def test_what_no_header_condition_takes_is_refused(values: Sequence[str]) -> None:
    assert rules.route_header_values_problem(values)


@pytest.mark.parametrize(("method", "fits"), [("GET", True), ("M-SEARCH", True), ("get", False), ("G" * 41, False)])
def test_a_method_is_of_capital_letters(method: str, fits: bool) -> None:
    assert (rules.route_method_problem(method) is None) == fits


@pytest.mark.parametrize(
    ("route", "refused"),
    [
        (Route(hosts=["www.example.com"]), ""),
        (Route(hosts=["a.example.com", "b.example.com"], paths=["/a", "/b", "/c"]), ""),
        (Route(headers={"x-tenant": ["a"]}), "neither hosts nor paths"),
        (Route(hosts=["a.x.de", "b.x.de"], paths=["/a", "/b", "/c"], methods=["GET"]), "has 6 values"),
        (Route(paths=["/a", "/b", "/c", "/d"]), "a condition of the load balancer takes 1 to 3"),
        (Route(paths=["/*/*/*", "/*?/*"]), "has 6 wildcards"),
    ],
)
def test_a_route_fits_one_rule(route: Route, refused: str) -> None:
    reasons = [problem.reason for problem in route.problems()]
    assert not reasons if not refused else any(refused in reason for reason in reasons)


def pattern() -> st.SearchStrategy[str]:
    return st.text(alphabet="ab*?", max_size=6)


@given(one=pattern(), two=pattern(), text=st.text(alphabet="ab", max_size=6))
def test_patterns_that_have_a_text_in_common_meet(one: str, two: str, text: str) -> None:
    def of(glob: str) -> bool:
        return bool(re.fullmatch(glob.replace("*", ".*").replace("?", "."), text))

    if of(one) and of(two):
        assert _meet(one, two)
        assert _meet(two, one)


@pytest.mark.parametrize(("one", "two"), [("/api/*", "/web/*"), ("a", "b"), ("a?", "a"), ("*a", "*b")])
def test_patterns_without_a_text_in_common_do_not(one: str, two: str) -> None:
    assert not _meet(one, two)


def part(host: str = "", path: str = "", method: str = "") -> Part:
    return Part(host, path, method, ())


def claims(first: int, second: int, *parts: Part) -> list[str]:
    """Return what is refused of a front end and, beside it, a service with these parts, by their bands."""
    front = Claim("front", first, {"host": [part("shop.example.com")]})
    api = Claim("api", second, {"host": [part("api.example.com")], "routes.0": parts})
    return [f"{key}: {reason}" for key, reason in rules.claims_problems([front, api])]


def test_a_part_of_a_host_must_be_asked_for_before_the_host() -> None:
    api = part("shop.example.com", "/api/*")
    assert claims(10, 9, api) == []
    (refused,) = claims(10, 11, api)
    assert refused.startswith("api.priorityBand: 11 comes after front's 10")
    assert "set it below 10" in refused
    (refused,) = claims(1, 11, api)
    assert "set front's above 11" in refused


def test_a_path_of_any_host_is_called_so() -> None:
    (refused,) = claims(10, 11, part(path="/api/*"))
    assert "whose shop.example.com would take /api/* of any host;" in refused


def test_a_pattern_must_be_asked_for_after_the_host_that_it_contains() -> None:
    assert claims(9, 10, part("*.example.com")) == []
    (refused,) = claims(10, 9, part("*.example.com"))
    assert refused.startswith("front.priorityBand: 10 comes after api's 9")


def test_requests_that_another_service_has_already_are_refused() -> None:
    (refused,) = claims(9, 10, part("shop.example.com"))
    assert refused == "api.routes.0: shop.example.com already leads to front, by its host"


def test_other_hosts_and_methods_need_no_order() -> None:
    assert claims(9, 10, part("other.example.com", "/api/*")) == []
    one = Claim("one", 9, {"routes.0": [part("a.example.com", "/x", "GET")]})
    two = Claim("two", 10, {"routes.0": [part("a.example.com", "/x*", "POST")]})
    assert [*rules.claims_problems([one, two])] == []


def test_two_that_each_take_a_part_of_the_other_are_refused() -> None:
    one = Claim("one", 9, {"host": [part("a.x.de")], "routes.0": [part("b.x.de", "/one/*")]})
    two = Claim("two", 10, {"host": [part("b.x.de")], "routes.0": [part("a.x.de", "/two/*")]})
    ((key, reason),) = rules.claims_problems([one, two])
    assert key == "two"
    assert "one order of the two cannot serve both" in reason


def test_every_rule_of_every_route_has_a_priority_of_its_own() -> None:
    own = {*map(int, RuleKind), RuleKind.COHORT + 1}
    places = [place for kind in RouteKind for place in kind.places]
    assert len({*places, *own}) == len(places) + len(own)
    assert max(places) < 100
    for kind in RouteKind:
        each = range(2 if kind is RouteKind.COHORT else 1)
        found = [route_priority(7, kind, slot, place) - 700 for slot in range(1, ROUTES + 1) for place in each]
        assert found == [*kind.places]


def test_what_comes_before_the_weights_comes_before_those_of_every_route() -> None:
    assert max(RouteKind.CANARY.places) < min(RouteKind.COHORT.places)
    assert max(RouteKind.COHORT.places) < min(RouteKind.PRODUCTION.places)


@given(band=st.sampled_from(BANDS), other=st.sampled_from(BANDS), slot=st.integers(1, ROUTES))
def test_a_route_belongs_to_the_production_rule_of_its_band(band: int, other: int, slot: int) -> None:
    production = rule_priority(band, RuleKind.PRODUCTION)
    route = route_priority(other, RouteKind.PRODUCTION, slot)
    assert beside(production, route, RouteKind.PRODUCTION) == (band == other)
    assert not any(beside(production, rule_priority(band, kind), each) for kind in RuleKind for each in RouteKind)


def test_a_slot_follows_what_a_route_says_and_not_how() -> None:
    one = Route(hosts=["b.example.com", "a.example.com"], headers={"X-Tenant": ["Acme"]})
    assert one.place == Route(hosts=["a.example.com", "b.example.com"], headers={"x-tenant": ["acme"]}).place
    assert {route_slot(str(number)) for number in range(500)} == {*range(1, ROUTES + 1)}
    assert Route(hosts=["a.example.com"], slot=3).place == 3


def test_two_routes_in_one_slot_are_told_a_free_one() -> None:
    assert rules.slots_problem([1, 2, 3]) is None
    assert rules.slots_problem([1, 2, 1]) == (
        "routes 0 and 2 have the same slot 1; set slot of the newer one, such as to 3"
    )
    assert "allowed are 14" in (rules.slots_problem(range(15)) or "")


@pytest.mark.parametrize(
    ("routed", "further"),
    [
        (["www.example.com"], []),
        (["shop.example.com", "example.com"], []),
        (["a.www.example.com", "example.org"], ["a.www.example.com", "example.org"]),
    ],
)
def test_a_host_one_label_below_a_services_has_its_certificate(routed: list[str], further: list[str]) -> None:
    assert rules.further_hosts(routed, ["example.com", "shop.example.com"]) == further


def test_the_load_balancer_has_room_for_a_hundred_rules_with_those_of_routes() -> None:
    assert rules.room_problem(20, cohort_rules=0, route_rules=16) is None
    reason = rules.room_problem(20, cohort_rules=0, route_rules=17)
    assert "the routes of all services take 17" in (reason or "")
