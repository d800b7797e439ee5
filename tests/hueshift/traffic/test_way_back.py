"""Which color is the way back: decided by the live weights, the stack file and the versions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.model import Color
from hueshift.report import RefusedError
from hueshift.stack import Wished, wishes
from hueshift.traffic.way_back import back

BLUE, GREEN = Color.BLUE, Color.GREEN


def wished(blue: str = "1.4.0", green: str = "1.5.0", *, active: Color = BLUE, canary: int = 0) -> Wished:
    colors = {color: {"version": version, "image": version} for color, version in ((BLUE, blue), (GREEN, green))}
    return Wished(name="shop", host="shop", colors=colors, active=active, canary=canary, own=False)


def chosen(said: Wished, blue: int, *, to: str | None = None, served: bool | None = True, force: bool = False) -> Color:
    live = {BLUE: blue, GREEN: 100 - blue}
    return back(said, live, to=to, served=lambda _: served, force=force)


@pytest.mark.parametrize("served", [True, False, None])
def test_out_of_a_canary_or_a_release_it_is_the_color_that_the_file_trusts(served: bool | None) -> None:
    assert chosen(wished(active=BLUE, canary=10), 90, served=served) is BLUE
    assert chosen(wished(active=BLUE), 50, served=served) is BLUE
    assert chosen(wished(active=GREEN), 50, served=served) is GREEN
    assert chosen(wished(active=BLUE), 0, served=served) is BLUE, "the last step, before the file is written"


def test_after_a_flip_it_is_the_older_version() -> None:
    assert chosen(wished(active=GREEN), 0) is BLUE
    assert chosen(wished("1.5.0", "1.4.9", active=BLUE), 100) is GREEN


def test_a_way_back_that_the_file_does_not_know_of_yet_is_not_taken_back() -> None:
    assert chosen(wished(active=GREEN), 100) is BLUE


@pytest.mark.parametrize("served", [True, False, None])
def test_pressed_twice_it_does_not_lead_forward_again(served: bool | None) -> None:
    with pytest.raises(RefusedError, match=r"green runs 1\.5\.0, which is no older than blue's 1\.4\.0"):
        chosen(wished(active=BLUE), 100, served=served)


def test_an_older_version_that_never_had_users_is_refused_and_one_of_which_nobody_knows_is_not() -> None:
    with pytest.raises(RefusedError, match="no commit of the stack file gave it the traffic: it never had users"):
        chosen(wished(active=GREEN), 0, served=False)
    assert chosen(wished(active=GREEN), 0, served=None) is BLUE


def test_a_version_that_is_named_is_taken_if_it_had_users_though_it_is_newer() -> None:
    assert chosen(wished(active=BLUE), 100, to="1.5.0", served=True) is GREEN
    for unknown in (False, None):
        with pytest.raises(RefusedError, match=r"--to 1\.5\.0 --force"):
            chosen(wished(active=BLUE), 100, to="1.5.0", served=unknown)
    assert chosen(wished(active=BLUE), 100, to="1.5.0", served=False, force=True) is GREEN


def test_a_version_that_no_color_runs_is_refused_with_what_runs() -> None:
    with pytest.raises(RefusedError, match=r"no color runs '1\.3\.0' \(blue 1\.4\.0, green 1\.5\.0\)"):
        chosen(wished(), 50, to="1.3.0")


def test_of_one_version_either_color_is_a_way_back() -> None:
    assert chosen(wished("1.4.0", "1.4.0", active=GREEN), 0, served=False) is BLUE
    assert chosen(wished("1.4.0", "1.4.0", active=BLUE), 100, served=False) is GREEN
    assert chosen(wished("1.4.0", "1.4.0", active=GREEN), 100, to="1.4.0") is GREEN


def test_a_service_of_one_color_has_no_other_to_go_back_to() -> None:
    alone = Wished(name="shop", host="shop", colors={GREEN: {}}, active=GREEN, canary=0, own=True)
    with pytest.raises(RefusedError, match="shop has one color"):
        back(alone, {GREEN: 100}, to=None, served=lambda _: True, force=True)


@given(
    st.integers(0, 100),
    st.sampled_from(Color),
    st.sampled_from(["1.4.0", "1.5.0"]),
    st.sampled_from(["1.4.0", "1.5.0"]),
)
def test_without_a_name_the_answer_is_trusted_by_the_file_or_no_newer_than_what_has_the_traffic(
    live: int, active: Color, blue: str, green: str
) -> None:
    said = wished(blue, green, active=active)
    try:
        color = chosen(said, live)
    except RefusedError:
        assert live in (0, 100)
        return
    assert color is active or said.versions[color] <= said.versions[color.other]


def test_what_is_missing_or_wrong_in_a_file_stands_for_its_default_and_never_ends_the_way_back() -> None:
    release = {"version": "1.4.0"}
    found = wishes(
        {
            "activeColor": "red",
            "canaryWeight": "many",
            "services": {
                "shop": {"host": "shop", "colors": {"blue": release, "green": release, "red": release}},
                "own": {"host": "own", "activeColor": "green", "canaryWeight": 5, "colors": {"blue": {}, "green": {}}},
                "alone": {"host": "alone", "colors": {"green": release}},
                "broken": [],
                "empty": {"host": "empty", "colors": {}},
            },
        }
    )
    assert {name: (item.active, item.canary, item.own) for name, item in found.items()} == {
        "shop": (BLUE, 0, False),
        "own": (GREEN, 5, True),
        "alone": (GREEN, 0, True),
    }
    assert found["own"].weights == {BLUE: 5, GREEN: 95}
    assert found["own"].versions == {BLUE: "?", GREEN: "?"}
    assert wishes({}) == {}
