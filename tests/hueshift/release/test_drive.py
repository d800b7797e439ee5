"""What a release does next, turn by turn, and what it never does whatever it sees."""

import json
from collections import Counter
from dataclasses import replace

import pytest

from components.model import Color, split
from hueshift.release import drive
from hueshift.release.drive import (
    LANDED,
    MOST_EVENTS,
    Action,
    Asked,
    Back,
    Done,
    Forward,
    Hold,
    Phase,
    Prepare,
    Record,
    Settle,
    Verdict,
    Wait,
    Write,
    decide,
)
from tests.hueshift.release.samples import NOW, RELEASE, SERVICES, baking, seen, worlds

BAD = Verdict(gate="failed", state="bad", why="13 of 1,500")
GREEN_ALL = dict.fromkeys(SERVICES, split(Color.BLUE, 100))
OLD_DEAD = {key: {Color.BLUE: 0, Color.GREEN: 12} for key in SERVICES}


def wrote(action: Action) -> Record:
    assert isinstance(action, Write), action
    return action.record


# What never happens, in ten thousand worlds


def test_every_record_and_every_look_has_an_answer_and_the_same_one_twice() -> None:
    kinds = Counter(type(decide(*world)) for world in worlds() if decide(*world) == decide(*world))

    assert kinds.total() == len(worlds())
    assert set(kinds) == {Write, Forward, Back, Prepare, Settle, Wait, Done}
    assert min(kinds.values()) > 40


def test_traffic_goes_forward_only_by_steps_that_rise_and_only_for_a_color_that_is_free_to_take_it() -> None:
    for record, look in worlds():
        action = decide(record, look)
        if not isinstance(action, Forward):
            continue
        for service, weights in action.weights.items():
            assert weights == split(record.old, action.record.weight)
            assert look.healthy[service][record.new] >= max(1, action.record.weight * record.pods[service] / 100)
        assert set(action.weights) == set(record.services)
        if record.phase is Phase.MOVING:
            assert action.record.weight == record.weight
        else:
            assert action.record.weight > record.weight
        assert action.record.intent == look.now
        assert action.record.owner == look.me == record.owner
        assert look.prepared
        assert look.frozen_until is None or record.forced
        assert record.asked not in (Asked.ABORT, Asked.PAUSE)
        for verdict in look.verdicts:
            assert verdict.state == "good" or (verdict.state == "unknown" and verdict.needs)


def test_a_step_is_left_only_after_its_time_and_with_all_its_evidence() -> None:
    left = 0
    for record, look in worlds():
        action = decide(record, look)
        onward = isinstance(action, Forward) or (isinstance(action, Write) and action.record.phase is Phase.SETTLING)
        if onward and record.phase is Phase.BAKING and record.asked is not Asked.FULL:
            left += 1
            assert look.now >= record.since + record.steps[record.step - 1].bake
            assert {verdict.state for verdict in look.verdicts} <= {"good"}
            assert not record.steps[record.step - 1].approval or record.asked is Asked.PROMOTE
    assert left > 20


def test_the_way_back_of_an_open_release_waits_for_no_freeze_gate_data_engine_or_store() -> None:
    for found, look in worlds():
        if found.phase.closed:
            continue
        record = replace(found, owner=look.me, asked=Asked.ABORT)
        serves = replace(look, healthy={service: {record.old: 1, record.new: 20} for service in record.services})
        if record.phase is not Phase.UNDOING:
            record = wrote(decide(record, serves))
            assert record.phase is Phase.UNDOING
        action = decide(record, replace(serves, live=None))
        assert isinstance(action, Back)
        assert action.weights == dict.fromkeys(record.services, split(record.old, 0))


def test_bad_news_is_never_waited_out_while_the_old_color_can_serve() -> None:
    for record, look in worlds():
        if record.phase.closed or record.phase is Phase.UNDOING or record.owner != look.me:
            continue
        serves = {service: {record.old: 1} for service in record.services}
        after = wrote(decide(record, replace(look, healthy=serves, verdicts=[*look.verdicts, BAD])))
        assert after.phase is Phase.UNDOING
        assert after.rejected


def test_a_record_is_closed_only_by_a_look_after_the_last_call_can_have_landed() -> None:
    closed = Counter[Phase]()
    for record, look in worlds():
        action = decide(record, look)
        if not isinstance(action, Write) or not action.record.phase.closed:
            continue
        closed[action.record.phase] += 1
        color = record.new if action.record.phase is Phase.PROMOTED else record.old
        assert look.now > record.intent + LANDED
        assert look.settled is color
        assert look.live
        assert all(look.live[service][color] == 100 for service in record.services)
    assert min(closed.values()) > 10


def test_a_driver_touches_nothing_of_another() -> None:
    for record, look in worlds():
        assert isinstance(decide(replace(record, owner="ben"), look), Done)


def test_a_driver_that_reads_the_record_again_goes_on_as_one_that_never_ended() -> None:
    for record, look in worlds()[:600]:
        again = drive.from_data(json.loads(json.dumps(drive.to_data(record))))
        assert again == record
        assert decide(again, look) == decide(record, look)


# A release from end to end


@pytest.mark.parametrize("killed", [False, True])
def test_a_good_release_takes_its_bakes_and_little_more_also_with_a_new_driver_in_every_turn(killed: bool) -> None:
    record, now, live = replace(RELEASE, steps=tuple(replace(step, approval=False) for step in RELEASE.steps)), NOW, 0
    settled, written = Color.BLUE, []
    for turn in range(2000):
        if killed:
            record = replace(drive.from_data(json.loads(json.dumps(drive.to_data(record)))), owner=f"driver {turn}")
        look = seen(record, now - NOW, settled=settled, live=dict.fromkeys(SERVICES, split(Color.BLUE, live)))
        match decide(record, look):
            case Write(record=after):
                record = after
            case Forward(record=after, weights=weights):
                record, live = after, weights["shop"][Color.GREEN]
                written.append(live)
            case Settle(record=after, color=color):
                record, settled = after, color
            case Wait(until=until):
                now = max(now + 1, int(until or 0))
            case Done():
                break
            case other:
                raise AssertionError(other)

    assert record.phase is Phase.PROMOTED
    assert written == [10, 50, 100]
    assert now - NOW <= sum(step.bake for step in RELEASE.steps) + LANDED + 5
    assert [event.what for event in record.events] == [
        *("to 10 %", "10 % live", "to 50 %", "50 % live", "to 100 %", "100 % live", "100 % passed", "promoted")
    ]


def test_nothing_moves_before_the_new_color_is_ready() -> None:
    assert decide(RELEASE, seen(RELEASE, prepared=False)) == Prepare()
    assert isinstance(decide(RELEASE, seen(RELEASE)), Forward)


def test_a_failed_preparation_ends_the_release_where_it_began() -> None:
    undoing = wrote(decide(RELEASE, seen(RELEASE, verdicts=[BAD])))
    assert wrote(decide(undoing, seen(undoing, live={s: split(Color.BLUE, 0) for s in SERVICES}))).phase is Phase.UNDONE


def test_a_step_that_reached_one_service_of_two_is_sent_again_to_both() -> None:
    record = replace(baking(2), phase=Phase.MOVING)
    half = {"shop": split(Color.BLUE, 50), "pricing": split(Color.BLUE, 10)}

    action = decide(record, seen(record, live=half))

    assert isinstance(action, Forward)
    assert action.weights == dict.fromkeys(SERVICES, split(Color.BLUE, 50))


def test_a_first_step_that_did_not_arrive_is_never_sent_again() -> None:
    record = replace(baking(1), phase=Phase.MOVING, intent=NOW)
    nowhere = dict.fromkeys(SERVICES, split(Color.BLUE, 0))

    assert isinstance(decide(record, seen(record, 1, live=nowhere)), Wait)
    after = wrote(decide(record, seen(record, LANDED + 1, live=nowhere)))
    assert after.phase is Phase.UNDOING
    assert "lost, or somebody took the traffic back" in after.events[-1].what


def test_what_another_hand_moved_is_named_and_ends_the_release_without_a_word_against_the_image() -> None:
    record = baking(2)
    after = wrote(decide(record, seen(record, live={key: {Color.BLUE: 70, Color.GREEN: 30} for key in SERVICES})))

    assert after.phase is Phase.UNDOING
    assert after.events[-1].what == "going back: moved by another hand: shop has blue 70, green 30"
    assert after.rejected is None


def test_an_image_that_another_hand_replaced_ends_the_release() -> None:
    after = wrote(decide(baking(2), seen(baking(2), prepared=False)))
    assert (after.phase, after.rejected) == (Phase.UNDOING, None)


# Capacity


@pytest.mark.parametrize(("now", "needed"), [(3, 6), (12, 6), (30, 15)])
def test_a_step_needs_its_share_of_what_the_old_color_had_at_the_start_or_has_now(now: int, needed: int) -> None:
    record = baking(1)
    for has, moves in ((needed - 1, False), (needed, True)):
        look = seen(record, 300, healthy={key: {Color.BLUE: now, Color.GREEN: has} for key in SERVICES})
        assert isinstance(decide(record, look), Forward) is moves

    held = wrote(
        decide(record, seen(record, 300, healthy={key: {Color.BLUE: now, Color.GREEN: 1} for key in SERVICES}))
    )
    assert held.held
    assert held.held.kind is Hold.ROOM
    assert f"shop: green has 1 healthy targets and needs {needed} for 50 %" in held.events[-1].what


def test_even_a_percent_needs_a_pod() -> None:
    assert drive.room(RELEASE, seen(RELEASE, healthy={}), "shop", 1) == 1


def test_a_color_whose_targets_cannot_be_read_gets_no_more() -> None:
    record = baking(1)
    assert not isinstance(decide(record, seen(record, 300, healthy={})), Forward)


def test_a_color_without_a_healthy_target_gets_nothing_and_a_person_is_called() -> None:
    record = baking(2)
    action = decide(record, seen(record, verdicts=[BAD], healthy=OLD_DEAD))
    assert isinstance(action, Write)
    assert action.calls
    assert "blue has no healthy target and gets no traffic" in action.record.events[-1].what
    held = action.record

    assert isinstance(decide(held, seen(held, 100_000, verdicts=[BAD], healthy=OLD_DEAD)), Wait)
    assert wrote(decide(held, seen(held, 5, verdicts=[BAD]))).phase is Phase.UNDOING


def test_a_way_back_that_is_under_way_ends_before_a_color_that_died() -> None:
    record = replace(baking(2), phase=Phase.UNDOING)

    assert isinstance(decide(record, seen(record)), Back)
    assert wrote(decide(record, seen(record, healthy=OLD_DEAD))).held == drive.Held(kind=Hold.TROUBLE, since=NOW)


# What it waits for


def test_both_colors_in_the_same_trouble_hold_it_and_call_a_person_once() -> None:
    record = baking(1)
    alike = [Verdict(gate="alarms", state="alike", why="both ring")]
    action = decide(record, seen(record, 900, verdicts=alike))
    assert isinstance(action, Write)
    assert action.calls
    held = action.record

    assert isinstance(decide(held, seen(held, 1_000_000, verdicts=alike)), Wait)
    assert isinstance(decide(held, seen(held, 1000)), Forward)


def unknown(needs: int | None) -> list[Verdict]:
    return [Verdict(gate="failed", state="unknown", why="no data", needs=needs)]


def test_missing_data_is_waited_for_and_then_ends_the_release_even_in_the_middle_of_a_bake() -> None:
    held = wrote(decide(baking(2), seen(baking(2), 5, verdicts=unknown(None))))
    assert held.held == drive.Held(kind=Hold.DATA, since=NOW + 5)

    assert isinstance(decide(held, seen(held, 604, verdicts=unknown(None))), Wait)
    undone = wrote(decide(held, seen(held, 605, verdicts=unknown(None))))
    assert undone.phase is Phase.UNDOING
    assert undone.rejected is None
    assert "waited 600 s: failed: no data" in undone.events[-1].what


def test_data_that_came_back_is_no_reason_to_go_back_however_long_nobody_looked() -> None:
    held = wrote(decide(baking(1), seen(baking(1), 5, verdicts=unknown(None))))

    assert isinstance(decide(held, seen(held, 100_000)), Forward)
    assert wrote(decide(held, seen(held, 20))).held is None


def test_too_few_requests_count_only_once_the_bake_is_over() -> None:
    record = baking(1)
    assert isinstance(decide(record, seen(record, 299, verdicts=unknown(7))), Wait)
    held = wrote(decide(record, seen(record, 300, verdicts=unknown(7))))

    assert held.held == drive.Held(kind=Hold.DATA, since=NOW + 300)
    assert wrote(decide(held, seen(held, 900, verdicts=unknown(7)))).phase is Phase.UNDOING


def test_a_freeze_holds_the_next_step_and_says_until_when_and_a_forced_release_goes_on() -> None:
    record = baking(1)
    until = float(NOW + 86_400)
    held = wrote(decide(record, seen(record, 300, frozen_until=until)))

    assert decide(held, seen(held, 600, frozen_until=until)) == Wait(
        why=f"frozen until {drive.stamp(until)}", until=until
    )
    assert isinstance(decide(held, seen(held, 700)), Forward)
    assert isinstance(decide(replace(record, forced="a fix"), seen(record, 300, frozen_until=until)), Forward)


def test_a_freeze_does_not_hold_what_is_only_to_be_written_down() -> None:
    record = baking(3)
    assert wrote(decide(record, seen(record, 300, frozen_until=float(NOW + 999)))).phase is Phase.SETTLING


def test_a_step_that_a_person_must_agree_to_waits_for_ever_and_calls_them_once() -> None:
    record = baking(2)
    action = decide(record, seen(record, 600))
    assert isinstance(action, Write)
    assert action.calls
    held = action.record
    assert isinstance(decide(held, seen(held, 10_000_000)), Wait)

    agreed = drive.asking(held, Asked.PROMOTE, by="ben", now=NOW + 700)
    moved = decide(agreed, seen(agreed, 701))
    assert isinstance(moved, Forward)
    assert moved.record.asked is None
    assert moved.record.weight == 100


def test_bad_news_while_a_person_thinks_ends_the_release() -> None:
    held = wrote(decide(baking(2), seen(baking(2), 600)))
    assert wrote(decide(held, seen(held, 700, verdicts=[BAD]))).phase is Phase.UNDOING


def test_an_approval_too_many_is_refused() -> None:
    with pytest.raises(ValueError, match="release 17 of shop waits for nobody's approval now"):
        drive.asking(baking(2), Asked.PROMOTE, by="ben", now=NOW)


def test_a_pause_holds_without_end_and_is_ended_without_agreeing_to_anything() -> None:
    paused = drive.asking(baking(2), Asked.PAUSE, by="ben", now=NOW)
    held = wrote(decide(paused, seen(paused, 5)))
    assert isinstance(decide(held, seen(held, 1_000_000)), Wait)

    ended = drive.asking(held, Asked.PROMOTE, by="ben", now=NOW + 9)
    assert ended.asked is None
    waiting = wrote(decide(ended, seen(ended, 600)))
    assert waiting.held == drive.Held(kind=Hold.APPROVAL, since=NOW + 600)


def test_promote_full_skips_to_the_last_step_at_once_which_bakes_as_ever() -> None:
    record = drive.asking(baking(1), Asked.FULL, by="ben", now=NOW)
    moved = decide(record, seen(record, 1, verdicts=unknown(7)))

    assert isinstance(moved, Forward)
    assert moved.record.weight == 100
    assert [step.weight for step in moved.record.steps] == [10, 100]
    live = wrote(decide(moved.record, seen(moved.record, 2, live=GREEN_ALL)))
    assert isinstance(decide(live, seen(live, 299, live=GREEN_ALL)), Wait)
    assert wrote(decide(live, seen(live, 302, live=GREEN_ALL))).phase is Phase.SETTLING


def test_promote_full_passes_neither_missing_pods_nor_bad_news() -> None:
    record = drive.asking(baking(1), Asked.FULL, by="ben", now=NOW)
    few = {key: {Color.BLUE: 12, Color.GREEN: 11} for key in SERVICES}

    assert "needs 12 for 100 %" in wrote(decide(record, seen(record, 1, healthy=few))).events[-1].what
    assert wrote(decide(record, seen(record, 1, verdicts=[BAD]))).phase is Phase.UNDOING


def test_an_abort_is_not_taken_back_and_a_closed_release_is_asked_nothing() -> None:
    with pytest.raises(ValueError, match="is asked to abort, and that is not taken back"):
        drive.asking(baking(1, asked=Asked.ABORT), Asked.FULL, by="ben", now=NOW)
    with pytest.raises(ValueError, match="release 17 of shop is promoted; there is nothing to abort"):
        drive.asking(replace(baking(3), phase=Phase.PROMOTED), Asked.ABORT, by="ben", now=NOW)


# The record


def test_a_record_of_another_format_is_not_guessed_at() -> None:
    with pytest.raises(ValueError, match="a record of format 2, and this hueshift reads 1"):
        drive.from_data({**drive.to_data(RELEASE), "format": 2})
    with pytest.raises(ValueError, match="is no record of a release: KeyError 'phase'"):
        drive.from_data({key: value for key, value in drive.to_data(RELEASE).items() if key != "phase"})


def test_a_record_without_all_traffic_at_the_end_is_none() -> None:
    with pytest.raises(ValueError, match="step 1 of 1 cannot be baking, or the last is not 100 %"):
        replace(baking(1), steps=RELEASE.steps[:1])


def test_the_log_keeps_its_latest_lines() -> None:
    record = RELEASE
    for place in range(MOST_EVENTS + 5):
        record = drive.noted(record, by="anna", now=NOW, what=str(place))
    assert [record.events[0].what, record.events[-1].what] == ["5", str(MOST_EVENTS + 4)]
