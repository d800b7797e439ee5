"""Every interleaving of drivers, a person, the guard, another hand, crashes and lost calls, over ``decide`` itself."""

import inspect

import pytest

from hueshift.release import drive
from hueshift.release.drive import Phase
from tests.hueshift.release.world import Decide, World, explore


def test_two_drivers_an_abort_a_guard_another_hand_and_a_crash_keep_every_promise_and_nobody_is_stuck() -> None:
    found = explore(World())

    assert found.wrong is None, found.path
    assert found.stuck == 0
    assert found.phases == frozenset(Phase)
    assert found.states > 40_000


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_safety_does_not_rest_on_who_owns_the_record() -> None:
    found = explore(World(silence=False, aborts=False))

    assert found.wrong is None, found.path
    assert found.stuck == 0
    assert found.states > 100_000


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_step_in_the_middle_changes_nothing() -> None:
    found = explore(World(steps=(10, 50, 100)))

    assert found.wrong is None, found.path
    assert found.stuck == 0


def without(clause: str, instead: str = "") -> Decide:
    """Return ``decide`` with one clause of its source replaced."""
    source = "\n".join(inspect.getsource(part) for part in (drive.decide, drive._ended, drive._onward))
    assert source.count(clause) == 1, clause
    names = dict(vars(drive))
    exec(source.replace(clause, instead), names)
    decide: Decide = names["decide"]
    return decide


@pytest.mark.parametrize(
    ("clause", "instead", "wrong"),
    [
        ("calm = seen.now > record.intent + LANDED", "calm = True", "undone, and something goes forward"),
        ("if not _all_at(record, seen, 0):", "if False:", "undone, and something goes forward"),
        ("if seen.settled is not record.old:", "if False:", "undone, and something goes forward"),
        ("if not any(dict(live) == split(record.old, weight) for weight in weights):", "if False:", "rises again"),
        ("if record.phase is Phase.MOVING else {record.weight}\n", "\n", "rises again"),
        ("        if record.step == 1:\n            return lands\n", "", "rises again"),
        ("if seen.settled is not record.new:", "if False:", "promoted, and the stack file trusts the old color"),
        ("steps=steps, intent=seen.now", "steps=steps", "without an intent"),
        ("record=replace(record, intent=seen.now)", "record=record", "without an intent"),
    ],
)
def test_a_clause_that_carries_safety_is_missed(clause: str, instead: str, wrong: str) -> None:
    assert wrong in (explore(World(decide=without(clause, instead))).wrong or "")


def test_without_compare_and_set_before_a_call_traffic_rises_beyond_the_record() -> None:
    assert explore(World(compares=False)).wrong == "more than the recorded step"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("clause", "instead"),
    [
        ("if record.owner != seen.me:", "if False:"),
        ("if record.phase.closed:", "if False:"),
        ('if verdict.state == "bad":', "if False:"),
    ],
)
def test_a_clause_that_is_a_courtesy_or_saves_time_carries_no_safety(clause: str, instead: str) -> None:
    found = explore(World(decide=without(clause, instead)))

    assert found.wrong is None, found.path
    assert found.stuck == 0
