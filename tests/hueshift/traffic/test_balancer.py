"""A production rule with mirrors, as it is read and moved."""

from collections.abc import Mapping

import pytest

from components.model import Color
from hueshift.traffic.balancer import Rule


def rule(**weights: int) -> Rule:
    """Return a rule with these weights of blue, green, blue_mirror and green_mirror."""
    groups = [{"TargetGroupArn": name, "Weight": weight} for name, weight in weights.items()]
    return Rule(
        service="shop",
        arn="arn",
        actions=[{"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}],
        groups={name: Color(name.removesuffix("_mirror")) for name in weights},
        mirrors=[name for name in weights if name.endswith("_mirror")],
    )


MIRRORED = rule(blue=80, green=0, blue_mirror=20, green_mirror=0)


def test_what_a_mirror_answers_its_color_has_answered() -> None:
    assert MIRRORED.live == MIRRORED.given == {Color.BLUE: 100, Color.GREEN: 0}
    assert MIRRORED.copied == 20
    assert rule(blue=100, green=0).copied == 0


@pytest.mark.parametrize("wanted", [{Color.GREEN: 100}, {Color.BLUE: 100}, {Color.BLUE: 90, Color.GREEN: 10}])
def test_who_moves_traffic_past_the_file_ends_the_copies_with_the_same_call(wanted: Mapping[Color, int]) -> None:
    (action,) = MIRRORED.moved(wanted)
    moved = {each["TargetGroupArn"]: each["Weight"] for each in action["ForwardConfig"]["TargetGroups"]}
    assert moved == {
        "blue": wanted.get(Color.BLUE, 0),
        "green": wanted.get(Color.GREEN, 0),
        "blue_mirror": 0,
        "green_mirror": 0,
    }


def test_the_group_of_a_color_is_that_of_its_own_pods_in_whatever_order_they_are_listed() -> None:
    found = rule(green_mirror=0, blue_mirror=20, green=0, blue=80)
    assert {color: found.group(color) for color in Color} == {Color.BLUE: "blue", Color.GREEN: "green"}
    assert found.own == {"green": Color.GREEN, "blue": Color.BLUE}
