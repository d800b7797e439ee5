"""When the local cloud takes its world for lost."""

import pytest

from sandbox.world import World, lost

HERE = {"account": "a", "cluster": "c"}


def test_a_world_that_is_as_recorded_is_kept() -> None:
    assert lost(state=True, recorded=HERE, living=dict(HERE), pending=False) == ""


def test_where_no_stack_was_made_nothing_is_lost() -> None:
    assert lost(state=False, recorded=None, living={"account": "", "cluster": ""}, pending=False) == ""


@pytest.mark.parametrize(
    ("recorded", "living", "pending", "reason"),
    [
        (None, HERE, False, "before its stack was whole"),
        (HERE, {**HERE, "account": "b"}, False, "not the one"),
        (HERE, {**HERE, "cluster": ""}, False, "not the one"),
        (HERE, HERE, True, "was killed"),
    ],
)
def test_a_world_is_lost_when_the_state_no_longer_describes_it(
    recorded: World | None, living: World, pending: bool, reason: str
) -> None:
    assert reason in lost(state=True, recorded=recorded, living=living, pending=pending)
