"""Who gets which color."""

from typing import Any

import pulumi
import pytest
from pulumi_kubernetes import core

from components.model import Color
from components.spec import CookieCohort, Experiment, HeaderCohort, Route, Timing
from components.traffic.traffic_split import TestRoutes, TrafficSplit
from tests.support import samples
from tests.support.engine import Engine, in_stack


@in_stack
@pytest.mark.parametrize(
    ("active", "canary", "blue", "green"),
    [
        (Color.BLUE, 0, 100, 0),
        (Color.BLUE, 10, 90, 10),
        (Color.GREEN, 0, 0, 100),
        (Color.GREEN, 25, 25, 75),
        (Color.GREEN, 100, 100, 0),
    ],
)
async def test_the_idle_color_gets_exactly_the_canary_share(
    engine: Engine, active: Color, canary: int, blue: int, green: int
) -> None:
    TrafficSplit("shop", samples.change(samples.TRAFFIC, active_color=active, canary_weight=canary))
    (action,) = (await engine.inputs("shop-production"))["actions"]
    assert action["forward"]["targetGroups"] == [
        {"arn": samples.GROUPS[Color.BLUE], "weight": blue},
        {"arn": samples.GROUPS[Color.GREEN], "weight": green},
    ]


@in_stack
@pytest.mark.parametrize(
    ("seconds", "canary", "stated"),
    [
        (0, 0, (False, 3600)),
        (0, 10, (False, 3600)),
        (120, 0, (False, 120)),
        (120, 1, (True, 120)),
        (120, 99, (True, 120)),
        (120, 100, (False, 120)),
    ],
)
async def test_clients_stay_with_their_color_only_while_both_have_traffic(
    engine: Engine, seconds: int, canary: int, stated: tuple[bool, int]
) -> None:
    TrafficSplit("shop", samples.change(samples.TRAFFIC, timing=Timing(stickiness=seconds), canary_weight=canary))
    stickiness = (await engine.inputs("shop-production"))["actions"][0]["forward"]["stickiness"]
    assert (stickiness["enabled"], stickiness["duration"]) == stated


@in_stack
async def test_the_canary_header_reaches_one_color_before_the_weights_are_asked(engine: Engine) -> None:
    TrafficSplit("shop", samples.change(samples.TRAFFIC))
    canary, production = await engine.inputs("shop-canary"), await engine.inputs("shop-production")
    assert canary["actions"] == [{"type": "forward", "targetGroupArn": samples.GROUPS[Color.GREEN]}]
    assert {"httpHeader": {"httpHeaderName": "x-canary", "values": ["true"]}} in canary["conditions"]
    assert {"hostHeader": {"values": ["shop.example.com"]}} in canary["conditions"]
    assert canary["priority"] < production["priority"]


@in_stack
@pytest.mark.parametrize(
    ("weight", "waited_for"), [(0, {Color.BLUE}), (10, {Color.BLUE, Color.GREEN}), (100, {Color.GREEN})]
)
async def test_the_production_rule_waits_for_the_colors_that_it_sends_requests_to_and_no_other(
    engine: Engine, weight: int, waited_for: set[Color]
) -> None:
    pods = {color: core.v1.ConfigMap(f"pods-{color}") for color in Color}
    TrafficSplit("shop", samples.change(samples.TRAFFIC, canary_weight=weight, serving=pods))
    urns = {color: (await engine.resource(f"pods-{color}")).urn for color in Color}
    production, header = await engine.resource("shop-production"), await engine.resource("shop-canary")
    assert {color for color in Color if urns[color] in production.waits_for} == waited_for
    assert {color for color in Color if urns[color] in header.waits_for} == {Color.GREEN}


@in_stack
async def test_weights_belong_to_configuration_and_pass_the_gate(engine: Engine) -> None:
    TrafficSplit("shop", samples.TRAFFIC)
    request = (await engine.resource("shop-production")).request
    assert not request.ignoreChanges
    assert list(request.hooks.before_update) == ["shop-gate"]
    assert not request.hooks.after_update


@in_stack
async def test_each_color_has_a_host_of_its_own_on_the_test_listener(engine: Engine) -> None:
    TestRoutes("shop", samples.ROUTES)
    for color in Color:
        rule = await engine.inputs(f"shop-{color}")
        assert rule["conditions"] == [{"hostHeader": {"values": [f"{color}.shop.example.com"]}}]
        assert rule["actions"] == [{"type": "forward", "targetGroupArn": samples.GROUPS[color]}]
        assert rule["tags"]["color"] == color


@in_stack
async def test_priorities_of_a_service_stay_in_its_band(engine: Engine) -> None:
    TestRoutes("shop-test", samples.ROUTES)
    TrafficSplit("shop-traffic", samples.TRAFFIC)
    priorities = [rule.inputs["priority"] for rule in await engine.of_type("ListenerRule")]
    assert len(set(priorities)) == 4
    assert all(700 <= priority < 800 for priority in priorities)


@in_stack
async def test_weights_are_numbers_in_a_preview(preview: Engine) -> None:
    unknown = core.v1.Namespace("later").id
    arns: dict[Color, pulumi.Input[str]] = dict.fromkeys(Color, unknown)
    TrafficSplit("shop", samples.change(samples.TRAFFIC, target_group_arns=arns, canary_weight=10))
    groups = (await preview.inputs("shop-production"))["actions"][0]["forward"]["targetGroups"]
    assert [group["weight"] for group in groups] == [90, 10]


@pytest.mark.parametrize("weight", [-1, 101])
def test_a_weight_that_is_no_percentage_is_refused(weight: int) -> None:
    with pytest.raises(ValueError, match=f"0 to 100; got {weight}"):
        samples.change(samples.TRAFFIC, canary_weight=weight)


def test_a_color_without_a_group_is_refused() -> None:
    with pytest.raises(ValueError, match="no target group for green"):
        samples.change(samples.TRAFFIC, canary_weight=10, target_group_arns={Color.BLUE: "arn"})


@in_stack
async def test_a_service_of_one_color_has_one_group_with_everything_and_no_canary_header(engine: Engine) -> None:
    TrafficSplit(
        "shop",
        samples.change(samples.TRAFFIC, colors={Color.BLUE: samples.BLUE}, target_group_arns={Color.BLUE: "arn"}),
    )
    forward = (await engine.inputs("shop-production"))["actions"][0]["forward"]
    assert forward["targetGroups"] == [{"arn": "arn", "weight": 100}]
    assert [rule.name for rule in await engine.of_type("ListenerRule")] == ["shop-production"]


# Experiments


def experiment(**cohort: Any) -> Experiment:  # noqa: ANN401 - of its keys
    return Experiment(name="checkout", since="2027-03-01T09:00:00Z", until="2127-03-02T09:00:00Z", **cohort)


HEADER = HeaderCohort(name="x-cohort", values=["beta"])


@in_stack
@pytest.mark.parametrize(("active", "variant"), [(Color.BLUE, Color.GREEN), (Color.GREEN, Color.BLUE)])
async def test_a_cohort_reaches_the_other_color_before_the_weights_are_asked(
    engine: Engine, active: Color, variant: Color
) -> None:
    pods = {color: core.v1.ConfigMap(f"pods-{color}") for color in Color}
    changed = samples.change(samples.TRAFFIC, active_color=active, experiment=experiment(header=HEADER), serving=pods)
    TrafficSplit("shop", changed)
    cohort, production = await engine.resource("shop-cohort"), await engine.resource("shop-production")
    assert cohort.inputs["actions"] == [{"type": "forward", "targetGroupArn": samples.GROUPS[variant]}]
    assert cohort.inputs["conditions"] == [
        {"hostHeader": {"values": ["shop.example.com"]}},
        {"httpHeader": {"httpHeaderName": "x-cohort", "values": ["beta"]}},
    ]
    assert 700 < cohort.inputs["priority"] < production.inputs["priority"]
    assert cohort.inputs["tags"]["experiment"] == production.inputs["tags"]["experiment"] == "checkout"
    weights = [group["weight"] for group in production.inputs["actions"][0]["forward"]["targetGroups"]]
    assert weights == ([100, 0] if active is Color.BLUE else [0, 100])
    assert production.urn in cohort.waits_for, "what the gate refuses begins nowhere"
    assert (await engine.resource(f"pods-{variant}")).urn in cohort.waits_for
    assert list(cohort.request.hooks.before_update) == ["shop-cohort-gate"]


@in_stack
async def test_a_cookie_takes_two_rules_side_by_side(engine: Engine) -> None:
    cookie = CookieCohort(name="cohort", value="b")
    TrafficSplit("shop", samples.change(samples.TRAFFIC, experiment=experiment(cookie=cookie)))
    first, later = await engine.inputs("shop-cohort"), await engine.inputs("shop-cohort1")
    assert first["conditions"][1]["httpHeader"] == {"httpHeaderName": "cookie", "values": ["cohort=b", "cohort=b;*"]}
    assert later["conditions"][1]["httpHeader"]["values"] == ["*; cohort=b", "*; cohort=b;*"]
    production = await engine.inputs("shop-production")
    assert first["priority"] < later["priority"] < production["priority"]


@in_stack
async def test_a_random_cohort_is_shared_out_by_the_weights_and_kept_for_the_whole_experiment(engine: Engine) -> None:
    week = Experiment(name="checkout", since="2127-03-01T09:00:00Z", until="2127-03-08T09:00:00Z", percent=30)
    TrafficSplit("shop", samples.change(samples.TRAFFIC, experiment=week, timing=Timing(stickiness=60)))
    (action,) = (await engine.inputs("shop-production"))["actions"]
    assert [group["weight"] for group in action["forward"]["targetGroups"]] == [70, 30]
    assert action["forward"]["stickiness"] == {"enabled": True, "duration": 604_800}
    names = {rule.name for rule in await engine.of_type("ListenerRule")}
    assert names == {"shop-canary", "shop-production"}


@in_stack
@pytest.mark.parametrize(("until", "said"), [("2026-01-02T00:00:00Z", 1), ("2127-01-02T00:00:00Z", 0)])
async def test_a_preview_says_that_an_experiment_is_over(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, until: str, said: int
) -> None:
    warned: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", lambda text, _: warned.append(text))
    over = Experiment(name="checkout", since="2026-01-01T00:00:00Z", until=until, header=HEADER)
    TrafficSplit("shop", samples.change(samples.TRAFFIC, experiment=over))
    await engine.settle()
    assert warned == [f"the experiment checkout is over since {until}: remove the service's block experiment"] * said


ROUTES = (
    Route(hosts=["www.example.com"], slot=2),
    Route(hosts=["a.example.com"], paths=["/api/*"], methods=["GET"], headers={"x-tenant": ["acme"]}, slot=5),
)


@in_stack
async def test_a_service_without_routes_has_the_rules_that_it_had_before_there_were_any(engine: Engine) -> None:
    TrafficSplit("shop", samples.change(samples.TRAFFIC))
    found = {each.name: each.inputs for each in await engine.of_type("aws:lb/listenerRule:ListenerRule")}
    assert {name: inputs["priority"] for name, inputs in found.items()} == {"shop-canary": 710, "shop-production": 720}
    assert found["shop-production"]["conditions"] == [{"hostHeader": {"values": ["shop.example.com"]}}]


@in_stack
async def test_each_route_has_a_rule_that_shares_requests_as_the_production_rule_does(engine: Engine) -> None:
    TrafficSplit("shop", samples.change(samples.TRAFFIC, routes=ROUTES, canary_weight=10))
    production = await engine.inputs("shop-production")
    one, two = await engine.inputs("shop-route-2"), await engine.inputs("shop-route-5")
    assert one["actions"] == two["actions"] == production["actions"]
    assert one["conditions"] == [{"hostHeader": {"values": ["www.example.com"]}}]
    assert two["conditions"] == [
        {"hostHeader": {"values": ["a.example.com"]}},
        {"pathPattern": {"values": ["/api/*"]}},
        {"httpRequestMethod": {"values": ["GET"]}},
        {"httpHeader": {"httpHeaderName": "x-tenant", "values": ["acme"]}},
    ]
    assert (one["priority"], two["priority"]) == (784, 787)


@in_stack
async def test_the_canary_header_works_on_each_route_before_all_weights(engine: Engine) -> None:
    TrafficSplit("shop", samples.change(samples.TRAFFIC, routes=ROUTES))
    canary = await engine.inputs("shop-canary-5")
    assert canary["actions"] == [{"type": "forward", "targetGroupArn": samples.GROUPS[Color.GREEN]}]
    assert canary["conditions"][-1] == {"httpHeader": {"httpHeaderName": "x-canary", "values": ["true"]}}
    assert {"pathPattern": {"values": ["/api/*"]}} in canary["conditions"]
    assert canary["priority"] == 745


@in_stack
async def test_the_cohort_of_an_experiment_is_found_on_each_route(engine: Engine) -> None:
    test = Experiment(
        name="buy",
        since="2027-03-01T09:00:00Z",
        until="2099-03-08T09:00:00Z",
        header=HeaderCohort(name="x-cohort", values=["beta"]),
    )
    TrafficSplit("shop", samples.change(samples.TRAFFIC, routes=ROUTES, experiment=test))
    cohort = await engine.inputs("shop-cohort-2")
    assert cohort["conditions"] == [
        {"hostHeader": {"values": ["www.example.com"]}},
        {"httpHeader": {"httpHeaderName": "x-cohort", "values": ["beta"]}},
    ]
    assert cohort["priority"] == 757


@in_stack
async def test_a_route_that_goes_leaves_the_others_where_they_are(engine: Engine) -> None:
    TrafficSplit("shop", samples.change(samples.TRAFFIC, routes=ROUTES[1:]))
    assert (await engine.inputs("shop-route-5"))["priority"] == 787


@in_stack
async def test_rules_are_written_one_after_the_other_the_production_rule_first(engine: Engine) -> None:
    TrafficSplit("shop", samples.change(samples.TRAFFIC, routes=ROUTES))
    production, one = await engine.resource("shop-production"), await engine.resource("shop-route-2")
    two = await engine.resource("shop-route-5")
    assert production.urn in one.waits_for
    assert one.urn in two.waits_for
