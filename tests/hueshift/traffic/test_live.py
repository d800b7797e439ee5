"""Who is live: what the load balancer says becomes one decision, and what it does not say is never guessed."""
# ruff: noqa: ANN401 - what JSON holds

from typing import Any

import pytest
from botocore.exceptions import ClientError, NoCredentialsError
from hypothesis import given
from hypothesis import strategies as st

from components.model import Color
from hueshift.report import RefusedError
from hueshift.traffic import live
from sandbox import __main__ as sandbox
from tests.support import program
from tests.support.one_rule import ARN, GROUPS, Balancer, answering, forward

BLUE, GREEN = Color.BLUE, Color.GREEN


def asked(answer: Any) -> Any:
    return live.ask(Balancer(answer), ARN, GROUPS)  # type: ignore[arg-type]


def test_the_idle_color_is_the_one_without_a_weight_whose_other_has_all() -> None:
    assert live.idle({BLUE: 100, GREEN: 0}) is GREEN
    assert live.idle({BLUE: 0, GREEN: 100}) is BLUE
    assert live.idle({GREEN: 100}) is BLUE, "a color whose group is not made yet gets nobody"


@pytest.mark.parametrize("found", [{BLUE: 90, GREEN: 10}, {BLUE: 50, GREEN: 50}, {BLUE: 0, GREEN: 0}, {}])
def test_in_between_no_color_is_idle(found: dict[Color, int]) -> None:
    with pytest.raises(RefusedError, match="no color is idle"):
        live.idle(found)


@given(st.integers(1, 999), st.integers(1, 999))
def test_a_color_with_any_weight_is_never_taken_for_idle(blue: int, green: int) -> None:
    found = live.shares(forward(blue=blue, green=green), GROUPS)
    assert all(1 <= share <= 99 for share in found.values())
    with pytest.raises(RefusedError):
        live.idle(found)


def test_weights_are_told_in_percent_whatever_their_sum_and_order() -> None:
    assert live.shares(forward(green=3, blue=1), GROUPS) == {BLUE: 25, GREEN: 75}


def test_one_group_alone_has_all_the_traffic_whatever_its_weight() -> None:
    alone = {"Actions": [{"Type": "forward", "TargetGroupArn": "tg-green"}]}
    for rule in (alone, forward(green=7), forward(green=0)):
        assert live.shares(rule, GROUPS) == {BLUE: 0, GREEN: 100}


def test_a_rule_that_sends_nobody_to_a_color_is_refused_with_what_it_does() -> None:
    for rule, said in (
        ({"Actions": [{"Type": "fixed-response"}]}, r"answers requests by itself \(fixed-response\)"),
        (forward(blue=0, green=0), "gives all of them the weight 0"),
        (forward(red=100), "names tg-red, which is of no color"),
    ):
        with pytest.raises(RefusedError, match=said):
            live.shares(rule, GROUPS)


def test_who_may_not_ask_is_told_why_and_nothing_is_guessed() -> None:
    denied = ClientError({"Error": {"Code": "AccessDenied", "Message": "x"}}, "DescribeRules")
    for error, said in (
        (denied, "AWS refused DescribeRules: AccessDenied"),
        (NoCredentialsError(), "no AWS credentials; log in first"),
    ):
        with pytest.raises(RefusedError, match=f"the load balancer cannot be asked who is live: {said}"):
            asked(error)
    assert asked(forward(blue=100, green=0)) == {BLUE: 100, GREEN: 0}


def test_the_local_cloud_shows_what_is_live_and_not_what_the_last_update_wished(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    colors = {"blue": "1.4.0", "green": "1.5.0"}
    shop = {"url": "https://shop", "weights": {"blue": 0, "green": 100}, "versions": colors, "testUrls": colors}
    balancer = Balancer(forward(blue=100, green=0), host="shop.localhost")
    answering(monkeypatch, balancer)
    monkeypatch.chdir(program.ROOT)

    def shown() -> str:
        with sandbox.console.capture() as captured:
            sandbox._screen({"services": {"shop": shop}})
        return captured.get()

    text = shown()
    assert "blue   100 %" in text
    assert "green    0 %" in text
    assert "the state says: blue 0 %, green 100 %" in text
    balancer.answer = {"Actions": [{"Type": "fixed-response"}]}
    text = shown()
    assert "100 %" not in text
    assert "answers requests by itself" in text
