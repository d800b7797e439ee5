"""The gate's decision, as a plain function."""

import math
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.model import Color, split
from components.traffic.decision import ColorAlarms, mixture_refusal, route_refusal, traffic_gate
from tests.support import strategies as some

weights = st.builds(split, some.colors, some.percents)
counts = st.fixed_dictionaries({color: st.integers(0, 5) for color in Color})


QUIET = dict.fromkeys(Color, ColorAlarms("OK", "OK"))


def gate(
    old: dict[Color, int],
    new: dict[Color, int],
    live: dict[Color, int],
    healthy: dict[Color, int],
    minimum: int = 2,
    alarms: Mapping[Color, ColorAlarms] = QUIET,
    live_actions: str = "",
    old_actions: str = "",
) -> list[str]:
    return traffic_gate(
        service="shop",
        environment="staging",
        namespace="staging-shop",
        old=old,
        new=new,
        live=live,
        healthy=healthy,
        minimum=minimum,
        alarms=alarms,
        live_actions=live_actions,
        old_actions=old_actions,
    )


@given(weights, weights, counts, st.integers(1, 4))
def test_traffic_moves_exactly_when_the_color_that_gains_has_its_minimum_and_its_share_of_the_others_pods(
    old: dict[Color, int], new: dict[Color, int], healthy: dict[Color, int], minimum: int
) -> None:
    gaining = [color for color in Color if new[color] > old[color]]
    needs = {color: max(minimum, math.ceil(healthy[color.other] * new[color] / 100)) for color in gaining}

    refusals = gate(old, new, old, healthy, minimum)

    short = [color for color in gaining if healthy[color] < needs[color]]
    for color, refusal in zip(short, refusals, strict=True):
        assert f"{color} would go from {old[color]} to {new[color]} percent with {healthy[color]} healthy" in refusal
        assert f"needs {needs[color]}" in refusal
        assert (f"set colors.{color}.minReplicas to {needs[color]}" in refusal) == (needs[color] > minimum)
        assert "rollback" in refusal
        assert f"--namespace staging-shop --selector app.kubernetes.io/name=shop,hueshift.dev/color={color}" in refusal


@given(weights, weights, weights, counts)
def test_weights_that_somebody_else_moved_are_refused_unless_they_are_the_wanted_ones(
    old: dict[Color, int], new: dict[Color, int], live: dict[Color, int], healthy: dict[Color, int]
) -> None:
    refusals = gate(old, new, live, healthy)

    drifted = live not in (old, new)
    assert any("pulumi refresh" in refusal for refusal in refusals) == drifted
    if live == new:
        assert refusals == []


def test_a_drift_is_told_with_both_sides() -> None:
    half = {Color.BLUE: 50, Color.GREEN: 50}
    [refusal] = gate(split(Color.BLUE, 0), split(Color.BLUE, 10), half, dict.fromkeys(Color, 9))
    assert "the load balancer has blue 50, green 50, but the state says blue 100, green 0" in refusal


def test_a_color_whose_weight_stays_is_not_judged() -> None:
    same = split(Color.BLUE, 10)
    [drift] = gate(same, same, split(Color.BLUE, 0), dict.fromkeys(Color, 0))
    assert "pulumi refresh" in drift


@pytest.mark.parametrize("trouble", [ColorAlarms("ALARM", "OK"), ColorAlarms("OK", "ALARM")])
@given(before=weights, after=weights, healthy=counts, minimum=st.integers(1, 4))
def test_the_way_out_of_a_color_in_trouble_needs_one_healthy_target(
    trouble: ColorAlarms, before: dict[Color, int], after: dict[Color, int], healthy: dict[Color, int], minimum: int
) -> None:
    gaining = [color for color in Color if after[color] > before[color]]
    alarms = QUIET | {color.other: trouble for color in gaining}

    refusals = gate(before, after, before, healthy, minimum, alarms)

    assert bool(refusals) == any(healthy[color] < 1 for color in gaining)
    assert all("needs 1;" in refusal for refusal in refusals)


def test_what_somebody_put_in_the_place_of_the_weights_is_told_and_after_a_refresh_taken_away() -> None:
    blue, nothing = split(Color.BLUE, 0), dict.fromkeys(Color, 0)
    [refusal] = gate(blue, split(Color.GREEN, 0), nothing, ENOUGH, live_actions="fixed-response")
    assert "has blue 0, green 0 and fixed-response, but the state says blue 100, green 0: somebody else" in refusal
    assert gate(nothing, blue, nothing, ENOUGH, live_actions="fixed-response", old_actions="fixed-response") == []


def test_weights_as_wanted_behind_an_action_of_somebody_elses_are_not_as_wanted() -> None:
    blue = split(Color.BLUE, 0)
    [refusal] = gate(blue, blue, blue, ENOUGH, live_actions="authenticate-oidc")
    assert "pulumi refresh" in refusal


def test_a_color_of_which_nothing_is_known_has_no_healthy_target() -> None:
    assert gate(split(Color.BLUE, 0), split(Color.GREEN, 0), split(Color.BLUE, 0), {})


ENOUGH = dict.fromkeys(Color, 9)
alarm_states = st.sampled_from(["OK", "ALARM", "INSUFFICIENT_DATA", None])
color_alarms = st.builds(ColorAlarms, alarm_states, alarm_states)
ON, CANARY_ON, OFF = ColorAlarms("ALARM", "ALARM"), ColorAlarms("OK", "ALARM"), ColorAlarms("OK", "OK")
NEW, GONE = ColorAlarms("OK", "INSUFFICIENT_DATA"), ColorAlarms(None, None)


def flip(gains: ColorAlarms, loses: ColorAlarms) -> list[str]:
    """To green, from blue."""
    before = split(Color.BLUE, 0)
    return gate(before, split(Color.GREEN, 0), before, ENOUGH, alarms={Color.GREEN: gains, Color.BLUE: loses})


@pytest.mark.parametrize(
    ("gains", "loses"),
    [
        (OFF, OFF),
        (OFF, ON),
        (OFF, CANARY_ON),
        (OFF, NEW),
        (OFF, GONE),
        (ON, ON),
        (CANARY_ON, ON),
        (CANARY_ON, CANARY_ON),
    ],
)
def test_traffic_moves_to_a_color_that_is_in_no_more_trouble(gains: ColorAlarms, loses: ColorAlarms) -> None:
    assert flip(gains, loses) == []


@pytest.mark.parametrize("gains", [OFF, ON, CANARY_ON, NEW, GONE])
def test_the_way_back_from_a_color_that_rings_is_never_refused(gains: ColorAlarms) -> None:
    assert flip(gains, ON) == []


@pytest.mark.parametrize(
    ("gains", "loses", "alarm"),
    [
        (ON, OFF, "staging-shop-green"),
        (ON, CANARY_ON, "staging-shop-green"),
        (ON, NEW, "staging-shop-green"),
        (ON, GONE, "staging-shop-green"),
        (CANARY_ON, OFF, "staging-shop-green-canary-errors"),
        (CANARY_ON, GONE, "staging-shop-green-canary-errors"),
    ],
)
def test_a_color_in_more_trouble_gets_no_traffic(gains: ColorAlarms, loses: ColorAlarms, alarm: str) -> None:
    [refusal] = flip(gains, loses)
    assert f"green would get more traffic while its alarm {alarm} is on" in refusal
    assert "aws cloudwatch describe-alarms" in refusal
    assert "--alarm-names staging-shop-green staging-shop-green-canary-errors " in refusal


def test_of_a_color_of_which_nothing_is_known_the_worst_is_assumed_and_how_long_to_wait_is_said() -> None:
    [refusal] = flip(NEW, OFF)
    assert "nothing is known of green" in refusal
    assert "staging-shop-green-canary-errors is INSUFFICIENT_DATA" in refusal
    assert "five minutes" in refusal
    [refusal] = flip(GONE, OFF)
    assert "staging-shop-green does not exist" in refusal
    assert "bring the alarms up first" in refusal


@given(color_alarms, color_alarms)
def test_of_two_colors_one_may_always_have_the_traffic_unless_nothing_is_known_of_both(
    blue: ColorAlarms, green: ColorAlarms
) -> None:
    there, back = flip(green, blue), flip(blue, green)
    assert not (there and back) or not (blue.known or green.known)


@given(weights, color_alarms, color_alarms)
def test_alarms_are_asked_of_a_color_that_gains_only(
    held: dict[Color, int], blue: ColorAlarms, green: ColorAlarms
) -> None:
    alarms = {Color.BLUE: blue, Color.GREEN: green}
    assert gate(held, held, held, ENOUGH, alarms=alarms) == []
    away = gate(held, split(Color.BLUE, 0), held, ENOUGH, alarms={**alarms, Color.BLUE: OFF})
    assert away == []


def test_the_one_color_of_a_service_needs_no_alarm_for_a_group_of_another_kind() -> None:
    one, none = {Color.BLUE: 100}, {Color.BLUE: 0}
    assert gate(none, one, none, ENOUGH, alarms={}) == []


def test_a_flip_at_peak_waits_until_the_idle_color_has_as_many_pods_as_the_one_that_serves() -> None:
    blue, green = split(Color.BLUE, 0), split(Color.BLUE, 100)
    (refusal,) = gate(blue, green, blue, {Color.BLUE: 12, Color.GREEN: 3})
    assert "its share of blue's 12: set colors.green.minReplicas to 12 and run `pulumi up`" in refusal
    assert gate(blue, split(Color.BLUE, 25), blue, {Color.BLUE: 12, Color.GREEN: 3}) == []
    assert gate(blue, green, blue, {Color.BLUE: 12, Color.GREEN: 12}) == []


@given(weights, weights, weights)
def test_a_route_that_has_neither_the_live_nor_the_wanted_weights_stops_the_gate(
    live: dict[Color, int], wanted: dict[Color, int], route: dict[Color, int]
) -> None:
    refused = mixture_refusal("shop", production=(live, ""), wanted=wanted, routes={"arn": (route, "")})
    assert bool(refused) == (route not in (live, wanted))
    assert all("hueshift rollback" in each and "arn" in each for each in refused)


@given(weights, weights)
def test_a_route_gets_what_the_production_rule_has_and_nothing_else(
    live: dict[Color, int], wanted: dict[Color, int]
) -> None:
    assert (route_refusal("shop", production=(live, ""), wanted=wanted) is None) == (live == wanted)
