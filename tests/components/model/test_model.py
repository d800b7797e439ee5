"""Colors, shares, versions, names, priorities and times."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.model import (
    BANDS,
    LISTENER_RULES,
    MAX_SERVICES,
    Color,
    RuleKind,
    fit_name,
    newer,
    precedence,
    priority_band,
    rule_priority,
    split,
)
from components.spec import Timing
from tests.support import strategies as some

# The example of semver.org 2.0.0 §11, and what it leaves out.
ORDERED = [
    "0.9.9",
    "1.0.0-0",
    "1.0.0-2",
    "1.0.0-10",
    "1.0.0-alpha",
    "1.0.0-alpha.1",
    "1.0.0-alpha.beta",
    "1.0.0-beta",
    "1.0.0-beta.2",
    "1.0.0-beta.11",
    "1.0.0-rc.1",
    "1.0.0",
    "1.0.1",
    "1.2.0",
    "1.10.0",
    "2.0.0",
]


@given(some.colors, some.percents)
def test_the_idle_color_gets_exactly_the_canary_weight_and_the_active_one_the_rest(active: Color, weight: int) -> None:
    shares = split(active, weight)

    assert shares[active.other] == weight
    assert shares[active] == 100 - weight
    assert list(shares) == [Color.BLUE, Color.GREEN]


@given(some.colors, some.percents)
def test_a_flip_is_the_same_as_the_complementary_canary(active: Color, weight: int) -> None:
    assert split(active, weight) == split(active.other, 100 - weight)


@pytest.mark.parametrize("weight", [-1, 101])
def test_a_weight_that_is_no_percentage_has_no_split(weight: int) -> None:
    with pytest.raises(ValueError, match=f"0 to 100; got {weight}"):
        split(Color.BLUE, weight)


def test_every_color_is_the_other_of_its_other() -> None:
    assert [color.other for color in Color] == [Color.GREEN, Color.BLUE]


@pytest.mark.parametrize(("lower", "higher"), list(pairwise(ORDERED)))
def test_the_higher_version_is_the_newer_whichever_color_has_it(lower: str, higher: str) -> None:
    for active in Color:
        assert newer({Color.BLUE: lower, Color.GREEN: higher}, active=active) is Color.GREEN
        assert newer({Color.BLUE: higher, Color.GREEN: lower}, active=active) is Color.BLUE


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1.4.0+build.1", "1.4.0+build.2"),
        ("1.5.0-rc9", "1.5.0-rc10"),
        ("1.5.0-rc.1.a9", "1.5.0-rc.1.a10"),
        ("0.0.0-3f2c1ab", "0.0.0-deadbee"),
    ],
)
@given(some.colors)
def test_where_versions_do_not_order_the_idle_color_is_the_newer(one: str, other: str, active: Color) -> None:
    assert newer({Color.BLUE: one, Color.GREEN: other}, active=active) is active.other
    assert newer({Color.BLUE: other, Color.GREEN: one}, active=active) is active.other


@given(some.colors, some.versions())
def test_green_is_the_newer_of_two_equal_versions_before_and_after_a_flip(active: Color, version: str) -> None:
    assert newer({Color.BLUE: version, Color.GREEN: version}, active=active) is Color.GREEN


@given(some.versions(), some.versions(), some.colors)
def test_build_metadata_decides_nothing_between_versions_that_order(a: str, b: str, active: Color) -> None:
    plain = {Color.BLUE: a.partition("+")[0], Color.GREEN: b.partition("+")[0]}
    if plain[Color.BLUE] != plain[Color.GREEN]:
        named = {**plain, Color.BLUE: f"{plain[Color.BLUE]}+zzz"}
        assert newer(named, active=active) is newer(plain, active=active)


@given(some.versions(), some.versions())
def test_a_flip_moves_the_newer_only_where_versions_do_not_order(a: str, b: str) -> None:
    versions = {Color.BLUE: a, Color.GREEN: b}
    before, after = (newer(versions, active=active) for active in Color)
    if before is after:
        assert before is (Color.BLUE if precedence(a) > precedence(b) else Color.GREEN)
        assert a == b or precedence(a) != precedence(b)
    else:
        assert (before, after) == (Color.GREEN, Color.BLUE)


@pytest.mark.parametrize(
    "text", ["1", "1.4", "v1.4.0", "1.4.0 ", "01.4.0", "1.4.0-", "1.4.0-01", "1.4.0-a..b", "1.4.0+", "\u0661.4.0"]
)
def test_what_is_no_semantic_version_has_no_precedence(text: str) -> None:
    with pytest.raises(ValueError, match="no semantic version"):
        precedence(text)


names = st.from_regex(r"[a-z][a-z0-9-]{0,80}", fullmatch=True)


@given(names, st.integers(20, 63))
def test_a_fitted_name_keeps_limit_prefix_and_suffix(name: str, limit: int) -> None:
    fitted = fit_name("tg-", name, "-blue", limit)

    assert len(fitted) <= limit
    assert fitted.startswith("tg-")
    assert fitted.endswith("-blue")


def test_a_cut_name_never_changes_between_releases_of_this_program() -> None:
    # A change here would replace what has such a name.
    assert fit_name("", "a-service-with-a-long-name", "-blue", 24) == "a-service-wi-604ab6-blue"


@given(names)
def test_a_name_that_fits_is_left_alone(name: str) -> None:
    assert fit_name("a-", name, "-z", len(name) + 4) == f"a-{name}-z"


@given(st.lists(names, min_size=2, max_size=20, unique=True))
def test_different_names_stay_different_however_short_they_are_cut(several: list[str]) -> None:
    fitted = {fit_name("", f"shopping-{name}", "", 12) for name in several}
    assert len(fitted) == len(several)


def test_a_cut_name_has_no_double_hyphen_before_its_hash() -> None:
    assert "--" not in fit_name("", "shop-" + "x" * 40, "-blue", 5 + 7 + 5)


def test_a_limit_without_room_for_a_name_is_refused() -> None:
    with pytest.raises(ValueError, match="leave 2 of 10 characters"):
        fit_name("tg-", "shopping", "-blue", 10)


@given(st.sets(st.sampled_from(BANDS), min_size=1, max_size=MAX_SERVICES))
def test_no_two_rules_of_a_load_balancer_share_a_priority_and_all_are_valid(bands: set[int]) -> None:
    priorities = [rule_priority(band, kind) for band in bands for kind in RuleKind]
    priorities += [rule_priority(band, RuleKind.COHORT) + 1 for band in bands]  # of a cookie, the second

    assert len(set(priorities)) == len(priorities)
    assert all(100 <= priority <= 50_000 for priority in priorities)
    assert len(bands) * len(set(RuleKind) - {RuleKind.COHORT}) + LISTENER_RULES <= 100


@given(some.labels)
def test_the_band_of_a_name_is_one_of_the_bands(name: str) -> None:
    assert priority_band(name) in BANDS


def test_a_band_never_changes_between_releases_of_this_program() -> None:
    # A change here would move every rule of every user.
    assert [priority_band(name) for name in ("shop", "pricing", "a")] == [62, 413, 220]


def test_the_canary_header_is_looked_at_before_the_weights() -> None:
    assert rule_priority(7, RuleKind.CANARY) < rule_priority(7, RuleKind.PRODUCTION)


def test_each_color_has_a_test_rule_of_its_own() -> None:
    assert len({RuleKind.test(color) for color in Color}) == 2


def test_the_overlap_counts_everything_that_can_still_want_the_old_color() -> None:
    timing = Timing(stickiness=1000, deregistration_delay=200, longest_request=30, bake=4)
    assert timing.overlap == 234
