"""The readiness rules and the gate, as plain functions."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components import rules
from components.model import ALARM_PERIOD, ALARM_PERIODS, SHUTDOWN_MARGIN, Color, Timing, split
from components.rules import ColorAlarms
from tests import strategies as some

DIGEST = "sha256:" + "0123456789abcdef" * 4


@given(some.timings())
def test_an_accepted_timing_loses_no_request(timing: Timing) -> None:
    assert rules.timing_problems(timing) == []

    assert timing.longest_request <= timing.deregistration_delay < timing.pre_stop < timing.grace_period
    assert timing.pre_stop + timing.longest_request + SHUTDOWN_MARGIN <= timing.grace_period
    assert timing.keep_old >= timing.deregistration_delay + timing.longest_request + timing.bake
    assert timing.bake >= ALARM_PERIOD * ALARM_PERIODS


def test_the_default_timing_is_accepted() -> None:
    assert rules.timing_problems(Timing()) == []
    assert rules.keep_alive_problem(Timing().keep_alive, idle_timeout=60) is None
    assert rules.longest_request_problem(Timing().longest_request, idle_timeout=60) is None


@pytest.mark.parametrize(
    ("field", "least", "key"),
    [
        ("deregistration_delay", lambda t: t.longest_request, "deregistrationDelay"),
        ("pre_stop", lambda t: t.deregistration_delay + 1, "preStop"),
        ("grace_period", lambda t: t.shutdown, "gracePeriod"),
        ("bake", lambda _: ALARM_PERIOD * ALARM_PERIODS, "bake"),
        ("keep_old", lambda t: t.overlap, "keepOld"),
    ],
)
@given(timing=some.timings(), short=st.integers(1, 20))
def test_a_link_that_is_too_short_is_refused_with_both_numbers_and_the_key_to_raise(
    field: str, least: object, key: str, timing: Timing, short: int
) -> None:
    assert callable(least)
    needed = least(timing)
    broken = replace(timing, **{field: needed - short})

    reasons = [reason for named, reason in rules.timing_problems(broken) if named == key]

    assert any(reason.startswith(f"{needed - short} s is too short") for reason in reasons)
    assert any(reason.endswith(f"raise {key} to {needed}") for reason in reasons)
    mended = replace(broken, **{field: needed})
    assert key not in {named for named, _ in rules.timing_problems(mended)}


@pytest.mark.parametrize(
    ("timing", "key"),
    [
        (Timing(longest_request=0), "longestRequest"),
        (Timing(deregistration_delay=3601), "deregistrationDelay"),
        (Timing(stickiness=-1), "stickiness"),
        (Timing(stickiness=604_801), "stickiness"),
    ],
)
def test_a_time_outside_the_load_balancers_limits_is_refused(timing: Timing, key: str) -> None:
    assert any(named == key and "out of range" in reason for named, reason in rules.timing_problems(timing))


@given(st.integers(1, 4000), st.integers(1, 4000))
def test_the_service_keeps_connections_longer_than_the_load_balancer(keep_alive: int, idle_timeout: int) -> None:
    problem = rules.keep_alive_problem(keep_alive, idle_timeout=idle_timeout)
    assert (problem is None) == (keep_alive > idle_timeout)


@given(st.integers(1, 4000), st.integers(1, 4000))
def test_the_load_balancer_waits_longer_than_the_longest_request(longest: int, idle_timeout: int) -> None:
    problem = rules.longest_request_problem(longest, idle_timeout=idle_timeout)
    assert (problem is None) == (longest < idle_timeout)


@given(st.integers(1, 1000), st.integers(5, 300), st.integers(2, 10))
def test_an_update_waits_longer_than_a_target_takes_to_be_healthy(wait: int, interval: int, threshold: int) -> None:
    problem = rules.await_problem(wait, interval=interval, threshold=threshold)
    assert (problem is None) == (interval * threshold < wait)


@pytest.mark.parametrize("environment", ["production", "prod", "prod-eu", "eu-production"])
def test_an_environment_named_after_production_has_the_strict_rules(environment: str) -> None:
    assert rules.is_production(environment)


@pytest.mark.parametrize("environment", ["staging", "pre-production", "non-prod", "product", "sandbox"])
def test_other_environments_have_not(environment: str) -> None:
    assert not rules.is_production(environment)


@pytest.mark.parametrize(
    "image",
    [
        f"shop@{DIGEST}",
        f"111122223333.dkr.ecr.eu-west-1.amazonaws.com/team/shop@{DIGEST}",
        f"127.0.0.1:5000/shop:1.4.0@{DIGEST}",
    ],
)
def test_an_image_by_digest_is_accepted_everywhere(image: str) -> None:
    assert rules.image_problem(image, production=True) is None
    assert rules.image_problem(image, production=False) is None


@pytest.mark.parametrize("tag", ["1.4.0", "v1.4.0", "1.5.0-rc.1", "3f2c1ab", "3f2c1ab" + "0" * 33])
def test_a_tag_that_nobody_moves_is_accepted_outside_production_only(tag: str) -> None:
    image = f"127.0.0.1:5000/shop:{tag}"
    assert rules.image_problem(image, production=False) is None
    assert "127.0.0.1:5000/shop@sha256:" in str(rules.image_problem(image, production=True))


@pytest.mark.parametrize(
    ("image", "what"),
    [
        ("shop", "has no tag, which means latest"),
        ("127.0.0.1:5000/shop", "has no tag"),
        ("shop:latest", "has the tag latest"),
        ("shop:stable", "has the tag stable, neither a version nor a commit"),
        ("shop:1.4", "has the tag 1.4, neither"),
        ("Shop:1.4.0", "no image reference"),
        ("shop:1.4.0@sha256:abc", "no image reference"),
        ("https://example.com/shop:1.4.0", "no image reference"),
        ("", "no image reference"),
        ("shop:1.4.0\n", "no image reference"),
    ],
)
def test_any_other_image_is_refused(image: str, what: str) -> None:
    assert what in str(rules.image_problem(image, production=False))


@pytest.mark.parametrize(
    "name",
    [
        "DB_PASSWORD",
        "PASSWORD",
        "JWT_SECRET",
        "API_TOKEN",
        "AWS_SECRET_ACCESS_KEY",
        "API_KEYS",
        "KEY",
        "SIGNING_KEY2",
        "CREDENTIALS",
    ],
)
def test_a_variable_with_the_name_of_a_secret_is_one_whatever_its_value(name: str) -> None:
    reason = rules.plaintext_secret_problem(name, "x")
    assert reason is not None
    assert f"name {name} under secrets" in reason


@pytest.mark.parametrize(
    "name", ["LOG_LEVEL", "TOKEN_TTL", "PUBLIC_KEY", "SECRET_NAME", "PASSWORD_FILE", "MONKEY", "KEYBOARD"]
)
def test_a_variable_about_a_secret_is_none(name: str) -> None:
    assert rules.plaintext_secret_problem(name, "x") is None


@pytest.mark.parametrize(
    "value",
    [
        "postgresql://shop:obviously-fake@db:5432/shop",
        "redis://:obviously-fake@cache:6379",
        "AKIA" + "EXAMPLE" + "000000000",
        "-----BEGIN " + "PRIVATE KEY-----",
        "eyJhbGciOiJub25l.eyJzdWIiOiJmYWtl.c2lnbmF0dXJl",
        "ghp_" + "0" * 36,
    ],
)
def test_a_value_that_looks_like_a_secret_is_refused_and_never_repeated(value: str) -> None:
    reason = rules.plaintext_secret_problem("SETTING", value)
    assert reason is not None
    assert "looks like" in reason
    assert value not in reason


@pytest.mark.parametrize("value", ["https://example.com/a@b", "http://user@host", "info", "eyJ", "10.0.0.0/8"])
def test_an_ordinary_value_is_accepted(value: str) -> None:
    assert rules.plaintext_secret_problem("SETTING", value) is None


@pytest.mark.parametrize("quantity", ["100m", "1", "0.5", "2.25", ".5"])
def test_cpu_in_cores_or_millicores_is_accepted(quantity: str) -> None:
    assert rules.cpu_problem(quantity) is None


@pytest.mark.parametrize("quantity", ["", "0", "0.0", "1.", "-1", "1 core", "128Mi"])
def test_other_cpu_is_refused(quantity: str) -> None:
    assert "no amount of CPU" in str(rules.cpu_problem(quantity))


@pytest.mark.parametrize("quantity", ["", "128", "128m", "0Mi", "1.5Gi", "128MB"])
def test_memory_without_a_unit_or_in_thousandths_of_a_byte_is_refused(quantity: str) -> None:
    assert "no amount of memory" in str(rules.memory_problem(quantity))


@pytest.mark.parametrize(
    "host", ["shop", "shop.", ".com", "*.example.com", "Shop.example.com", "a b.example.com", "-a.example.com"]
)
def test_a_host_that_the_load_balancer_cannot_match_exactly_is_refused(host: str) -> None:
    assert rules.host_problem(host) is not None


def test_a_host_leaves_room_for_its_color() -> None:
    host = f"{'a' * 60}.{'b' * 61}"
    assert len(f"green.{host}") == 128
    assert rules.host_problem(host) is None
    assert "at most 122" in str(rules.host_problem("a" + host))


def test_the_longest_names_of_environment_and_service_make_a_namespace() -> None:
    environment, service = "e" * 22, "s" * 40
    assert rules.environment_problem(environment) is None
    assert rules.service_problem(service) is None
    assert len(f"{environment}-{service}") == 63
    assert rules.environment_problem(environment + "e") is not None
    assert rules.service_problem(service + "s") is not None


# The gate

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
    **actions: str,
) -> list[str]:
    return rules.traffic_gate(
        service="shop",
        environment="staging",
        namespace="staging-shop",
        old=old,
        new=new,
        live=live,
        healthy=healthy,
        minimum=minimum,
        alarms=alarms,
        **actions,
    )


@given(weights, weights, counts, st.integers(1, 4))
def test_traffic_moves_exactly_when_the_color_that_gains_has_its_minimum(
    old: dict[Color, int], new: dict[Color, int], healthy: dict[Color, int], minimum: int
) -> None:
    gaining = [color for color in Color if new[color] > old[color]]

    refusals = gate(old, new, old, healthy, minimum)

    assert bool(refusals) == any(healthy[color] < minimum for color in gaining)
    for color, refusal in zip([c for c in gaining if healthy[c] < minimum], refusals, strict=True):
        assert f"{color} would go from {old[color]} to {new[color]} percent with {healthy[color]} healthy" in refusal
        assert f"needs {minimum}" in refusal
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


def test_a_host_with_a_certificate_of_its_own_has_at_most_64_characters() -> None:
    assert rules.certificate_problem("a" * 52 + ".example.com") is None
    assert rules.certificate_problem("a" * 53 + ".example.com") is not None


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
    assert "--alarm-name-prefix staging-shop-green " in refusal


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
