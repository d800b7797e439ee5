"""What a change makes of the content of AppConfig."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hueshift.flags.content import (
    EMPTY,
    Shown,
    changed,
    live,
    only,
    shown,
    taken_back,
    under_way,
    watched_until,
)
from sandbox.aws.appconfig import problems

names = st.from_regex(r"[a-z][a-z0-9-]{0,39}", fullmatch=True)
values = st.builds(Shown, enabled=st.booleans(), percent=st.integers(0, 100), internal=st.booleans())


def deployment(number: int, state: str, profile: str = "shop") -> dict[str, Any]:
    return {
        "DeploymentNumber": number,
        "State": state,
        "ConfigurationProfileId": profile,
        "StartedAt": datetime(2027, 3, 1, 9, tzinfo=UTC),
        "DeploymentDurationInMinutes": 0,
        "FinalBakeTimeInMinutes": 30,
    }


@given(st.lists(st.tuples(names, values), max_size=6))
def test_each_flag_is_as_it_was_set_last_and_appconfig_takes_the_content(steps: list[tuple[str, Shown]]) -> None:
    content = EMPTY
    for flag, to in steps:
        content = changed(content, flag, to)
    assert {flag: shown(content, flag) for flag, _ in steps} == dict(steps)
    import json

    assert list(problems(json.dumps(content))) == []


@given(names, values, names, values)
def test_a_change_of_one_flag_leaves_the_others(flag: str, one: Shown, other: str, second: Shown) -> None:
    content = changed(changed(EMPTY, flag, one), other, second)
    again = changed(content, other, Shown(enabled=False))
    assert shown(again, flag) == (one if flag != other else Shown(enabled=False))


def test_a_flag_that_the_stack_file_no_longer_has_leaves_the_content() -> None:
    content = changed(changed(EMPTY, "checkout", Shown(enabled=True)), "search", Shown(enabled=True))
    assert only(content, ["search"])["flags"].keys() == only(content, ["search"])["values"].keys() == {"search"}


def test_a_flag_that_was_never_set_is_off_and_begins_with_internal_users() -> None:
    assert shown(EMPTY, "checkout") == Shown(enabled=False, percent=0, internal=True)


@pytest.mark.parametrize("state", ["ROLLED_BACK", "ROLLING_BACK", "REVERTED", "VALIDATING"])
def test_what_was_taken_back_is_not_what_the_pods_are_given(state: str) -> None:
    listed = [deployment(3, state), deployment(2, "COMPLETE", "other"), deployment(1, "COMPLETE")]
    assert live(listed, "shop") == listed[2]
    assert live(listed[:2], "shop") is None


@pytest.mark.parametrize("state", ["DEPLOYING", "BAKING", "ROLLING_BACK"])
def test_only_a_deployment_that_has_ended_lets_another_begin(state: str) -> None:
    assert under_way([deployment(2, state), deployment(1, "COMPLETE")]) == deployment(2, state)
    assert under_way([deployment(2, "ROLLED_BACK"), deployment(1, "COMPLETE")]) is None


def test_a_deployment_that_was_taken_back_is_told_until_another_has_begun() -> None:
    back = deployment(2, "ROLLED_BACK")
    assert taken_back([back, deployment(1, "COMPLETE")]) == back
    assert taken_back([deployment(3, "BAKING"), back]) is None
    assert taken_back([]) is None


def test_a_step_is_watched_for_the_minutes_of_its_strategy() -> None:
    assert watched_until(deployment(1, "BAKING")) == datetime(2027, 3, 1, 9, 30, tzinfo=UTC)
