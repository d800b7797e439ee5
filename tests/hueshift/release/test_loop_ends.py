"""All other ways in which a release ends, and who goes on with it; each takes seconds."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError
from typer.testing import Result

from hueshift.release import commands
from hueshift.release.drive import Phase
from hueshift.release.store import SILENCE
from tests.hueshift.release.loop import BLUE, GREEN, KilledError, Loop, armed, undone

pytestmark = pytest.mark.slow  # a whole AWS behind HTTP


def test_a_color_that_fails_only_under_much_traffic_is_taken_back_from_that_step(loop: Loop) -> None:
    loop.load.bad = lambda color, share: (0.05 if color == "green" and share > 0.2 else 0.001, 0.05)
    assert loop.run("release").exit_code == 3
    undone(loop, "failed: ")
    assert "50 % live" in loop.said


def test_a_smoke_test_that_fails_ends_it_before_a_request_goes_there(loop: Loop) -> None:
    (loop.world.folder / "smoke-fails").touch()
    assert loop.run("release").exit_code == 3
    undone(loop, "smoke /health/ready: https://green.pricing.example.com:8443/health/ready gave no answer")
    assert "to 10 %" not in loop.said


def test_without_traffic_nothing_can_be_proven_and_it_is_refused_with_what_mends_it(loop: Loop) -> None:
    loop.load.ticks_.clear()
    loop.load.rate = 0
    done = loop.run("release")
    assert done.exit_code == 1
    assert "the 10 % step proves nothing to see 1 % errors" in done.output
    assert loop.store.read("pricing") is None


def test_traffic_that_ends_in_the_middle_of_a_step_waits_and_then_goes_back(loop: Loop) -> None:
    loop.clock.at[loop.clock.now + 12] = lambda: setattr(loop.load, "rate", 0)
    assert loop.run("release").exit_code == 3
    undone(loop, "waited 120 s: failed: ")


def test_metrics_that_nobody_has_are_waited_for_and_not_taken_for_good(loop: Loop) -> None:
    loop.clock.at[loop.clock.now + 12] = lambda: setattr(loop.load, "silent", True)
    assert loop.run("release").exit_code == 3
    undone(loop, "waited 120 s: failed: 0 requests")


def test_an_alarm_of_the_new_color_alone_sends_it_back(loop: Loop) -> None:
    loop.clock.at[loop.clock.now + 12] = lambda: loop.alarm("green-canary-errors", "ALARM")
    assert loop.run("release").exit_code == 3
    undone(loop, "alarms: staging-pricing-green-canary-errors is on, and blue is better off")


def test_an_alarm_that_rings_alike_for_both_colors_calls_a_person_and_moves_nothing(loop: Loop) -> None:
    def both(state: str) -> None:
        for color in ("blue", "green"):
            loop.alarm(color, state)

    loop.clock.at[loop.clock.now + 12] = lambda: both("ALARM")
    loop.clock.at[loop.clock.now + 200] = lambda: both("OK")
    assert loop.run("release").exit_code == 0
    assert loop.messages == [
        "staging/pricing: release 1 waits (trouble)",
        "staging/pricing: release 1 promoted",
    ]


def test_traffic_stays_with_a_bad_color_while_the_old_one_is_dead(loop: Loop) -> None:
    def dies() -> None:
        loop.world.empty("pricing", "blue")
        loop.load.bad = lambda color, _: (0.2 if color == "green" else 1, 0.05)
        loop.alarm("green", "ALARM")

    def returns() -> None:
        assert loop.world.live("pricing") == {"blue": 90, "green": 10}
        group = loop.world.groups["pricing", "blue"]
        loop.world.elb.register_targets(TargetGroupArn=group, Targets=[{"Id": "172.31.0.1", "Port": 8080}])

    loop.clock.at[loop.clock.now + 12] = dies
    loop.clock.at[loop.clock.now + 100] = returns
    assert loop.run("release").exit_code == 3
    assert any("but pricing: blue has no healthy target and gets no traffic" in said for said in loop.said)
    undone(loop, "alarms: staging-pricing-green is on")


def test_pods_that_the_new_color_loses_send_it_back(loop: Loop) -> None:
    loop.clock.at[loop.clock.now + 12] = lambda: loop.world.empty("pricing", "green")
    assert loop.run("release").exit_code == 3
    undone(loop, "health: pricing: green has 0 healthy targets, and needs 1 for 10 %")


def test_a_command_of_the_users_decides_by_its_exit_status(loop: Loop) -> None:
    script = loop.world.folder / "orders.sh"
    script.write_text('#!/bin/sh\necho "$COLOR has no orders"\n[ ! -e no-orders ]\n')
    script.chmod(0o755)
    loop.strategy(gates=[{"name": "orders", "command": ["./orders.sh"]}])
    loop.clock.at[loop.clock.now + 12] = (loop.world.folder / "no-orders").touch
    assert loop.run("release").exit_code == 3
    undone(loop, "orders: ./orders.sh ended with 1: green has no orders")


def test_a_step_that_needs_a_person_waits_for_one_and_says_so(loop: Loop) -> None:
    loop.strategy(steps=[{"weight": 10, "bake": 20, "approval": True}, {"weight": 100, "bake": 20}])
    early = []
    loop.clock.at[loop.clock.now + 12] = lambda: early.append(loop.run("promote"))
    loop.clock.at[loop.clock.now + 100] = lambda: early.append(loop.run("promote"))
    assert loop.run("release").exit_code == 0
    assert [done.exit_code for done in early] == [1, 0]
    assert "waits for nobody's approval now" in early[0].output
    assert loop.messages[0] == "staging/pricing: release 1 waits (approval)"


def test_a_pause_holds_it_and_a_bad_color_is_taken_back_from_it_all_the_same(loop: Loop) -> None:
    def fails() -> None:
        assert loop.world.live("pricing") == {"blue": 90, "green": 10}
        loop.load.bad = lambda color, _: (0.1 if color == "green" else 0.001, 0.05)

    loop.clock.at[loop.clock.now + 12] = lambda: loop.run("pause")
    loop.clock.at[loop.clock.now + 300] = fails
    assert loop.run("release").exit_code == 3
    undone(loop, "failed: ")
    assert "waits (pause): paused; `hueshift promote` goes on" in loop.said


def test_a_freeze_holds_what_goes_forward_and_is_told_by_the_plan(loop: Loop) -> None:
    # NOW is a Friday morning at eight.
    frozen = {"zone": "UTC", "freeze": [{"days": ["fri"], "from": "08:00", "to": "08:10"}]}
    loop.world.change(lambda config: config.update({"hueshift:releases": frozen}))
    assert "Frozen until Fri 15 Jan 08:10 (UTC)" in loop.run("plan").output
    assert loop.run("release").exit_code == 0
    assert loop.said[1] == "waits (freeze): frozen until 2027-01-15T08:10:00Z"
    assert next(event.at for event in loop.record.events if event.what == "to 10 %") >= loop.record.events[0].at + 570


def test_weights_that_somebody_moved_by_hand_are_not_fought_over(loop: Loop) -> None:
    loop.clock.at[loop.clock.now + 12] = lambda: loop.world.move("pricing", blue=70, green=30)
    assert loop.run("release").exit_code == 3
    undone(loop, "moved by another hand: pricing has blue 70, green 30")


def test_an_image_that_is_replaced_in_the_middle_ends_it(loop: Loop) -> None:
    def replaced() -> None:
        loop.engine.ran = {"pricing": {**loop.engine.ran["pricing"], "green": "another@sha256:ff"}}

    loop.clock.at[loop.clock.now + 12] = replaced
    assert loop.run("release").exit_code == 3
    undone(loop, "another hand gave green something else to run")


def test_a_second_driver_is_refused_by_the_name_of_the_first(loop: Loop) -> None:
    found: list[Result] = []

    def second() -> None:
        found.extend(loop.run(word) for word in ("release", "resume"))

    loop.clock.at[loop.clock.now + 12] = second
    assert loop.run("release").exit_code == 0
    assert [done.exit_code for done in found] == [1, 1]
    assert "release 1 of pricing is baking, driven by driver0" in found[0].output
    assert "release 1 of pricing is driven by driver0, which wrote" in found[1].output


def test_an_update_that_fails_ends_it_with_nothing_moved(loop: Loop) -> None:
    loop.engine.fails = "pulumi up --stack staging failed, for the reason above"
    assert loop.run("release").exit_code == 3
    undone(loop, "pulumi up --stack staging failed")
    assert loop.record.rejected is None


def test_the_record_stays_fresh_through_a_long_bake(loop: Loop) -> None:
    loop.strategy(steps=[{"weight": 10, "bake": 200}, {"weight": 100, "bake": 20}])
    ages = []

    def age() -> None:
        if found := loop.store.read("pricing"):
            ages.append(loop.clock.now - found.written)

    loop.clock.heard.append(age)
    assert loop.run("release").exit_code == 0
    assert max(ages) < SILENCE / 2


def test_it_can_be_left_open_and_gone_on_with_by_a_job_that_runs_often(loop: Loop) -> None:
    loop.strategy(steps=[{"weight": 10, "bake": 600}, {"weight": 100, "bake": 20}])
    left = loop.run("release", "--detach")
    assert (left.exit_code, loop.world.live("pricing")) == (4, {"blue": 90, "green": 10}), left.output
    assert "is baking, and open: `hueshift resume` goes on" in left.output
    codes = []
    for _ in range(20):
        loop.clock.sleep(300)
        codes.append(loop.run("resume", "--all", "--once").exit_code)
        if codes[-1] != 4:
            break
    assert (codes[0], codes[-1], loop.record.phase) == (4, 0, Phase.PROMOTED), codes
    assert loop.run("resume", "--all", "--once").exit_code == 0
    assert len(loop.drivers) > 3


def test_the_last_color_is_the_way_back_for_a_day_and_then_parked(loop: Loop) -> None:
    assert loop.run("release").exit_code == 0
    again = loop.run("release")
    assert again.exit_code == 1
    assert "blue is the way back of release 1 of pricing until " in again.output
    assert "blue is the way back of release 1" in loop.run("park").output
    loop.clock.now += 86_400
    assert loop.run("park").exit_code == 0
    assert loop.world.config["hueshift:services"]["pricing"]["colors"]["blue"]["parked"] is True


def test_history_and_audit_log_tell_what_happened(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    page = loop.world.folder / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(page))
    lines = [json.loads(line) for line in loop.run("release", "--json").output.splitlines()]
    assert lines[0] == {
        "unit": "pricing",
        "at": "2027-01-15T08:00:20Z",
        "what": "begins: pricing 1.4.0 → 1.5.0",
        "by": "driver0",
    }
    assert lines[-1] == {"unit": "pricing", "release": 1, "phase": "promoted", "exit": 0}
    assert loop.run("history").output.startswith("staging/pricing    1  2027-01-15T08:")
    assert loop.run("history", "1").output == page.read_text()
    assert "no release of pricing has the number 7; there are: 1" in loop.run("history", "7").output


def test_ctrl_c_undoes_it_and_says_so(loop: Loop) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    loop.clock.at[loop.clock.now + 12] = interrupt
    done = loop.run("release")
    assert done.exit_code == 3
    assert "Ctrl-C: the release is undone; once more leaves it as it is, for `hueshift resume`" in done.output
    undone(loop, "aborted")


def test_without_s3_weights_of_another_driver_are_left_alone(loop: Loop) -> None:
    seen: list[dict[str, int]] = []
    loop.clock.at[loop.clock.now + 12] = lambda: setattr(loop, "gone", True)
    loop.clock.at[loop.clock.now + 20] = lambda: loop.world.move("pricing", blue=50, green=50)
    loop.clock.at[loop.clock.now + 60] = lambda: seen.append(loop.world.live("pricing"))
    loop.clock.at[loop.clock.now + 61] = lambda: setattr(loop, "gone", False)
    loop.run("release")
    assert seen == [{"blue": 50, "green": 50}]


def test_an_abort_of_a_release_without_a_driver_takes_it_over_and_closes_it(loop: Loop) -> None:
    assert loop.run("release", "--detach").exit_code == 4
    done = loop.run("abort")
    assert done.exit_code == 0, done.output
    undone(loop, "aborted")
    again = loop.run("abort")
    assert again.exit_code == 1
    assert "no release of pricing is open; what is promoted goes back by `hueshift rollback`" in again.output


def test_an_abort_does_not_give_traffic_to_a_color_without_pods(loop: Loop) -> None:
    assert loop.run("release", "--detach").exit_code == 4
    loop.world.empty("pricing", "blue")
    done = loop.run("abort")
    assert done.exit_code == 1
    assert "pricing: blue has no healthy target, so blue 90 %, green 10 % stays" in done.output
    assert loop.world.live("pricing") == {"blue": 90, "green": 10}


def test_an_image_is_given_to_the_idle_color_and_committed_before_it_is_tried(loop: Loop) -> None:
    loop.world.change(lambda config: config["hueshift:services"]["pricing"].pop("strategy"))
    image = f"111122223333.dkr.ecr.eu-west-1.amazonaws.com/pricing@sha256:{'3' * 64}"
    assert "--image needs --version" in loop.run("release", "--image", image).output
    done = loop.run("release", "--image", image, "--version", "1.5.0", "--commit")
    assert done.exit_code == 0, done.output
    assert loop.world.config["hueshift:services"]["pricing"]["colors"]["green"]["image"] == image
    assert loop.record.images == {"pricing": image}
    assert [step.weight for step in loop.record.steps] == [100]


def test_an_older_version_is_no_release(loop: Loop) -> None:
    loop.world.change(lambda config: config["hueshift:services"]["pricing"]["colors"]["green"].update(version="1.3.0"))
    done = loop.run("release")
    assert done.exit_code == 1
    assert "green runs 1.3.0, older than 1.4.0" in done.output
    plan = loop.run("plan", "--json")
    assert plan.exit_code == 1
    assert "green runs 1.3.0, older than 1.4.0" in json.loads(plan.stdout)["refusals"][0]


def test_the_way_back_gets_no_other_image_for_a_day(loop: Loop) -> None:
    image = f"111122223333.dkr.ecr.eu-west-1.amazonaws.com/pricing@sha256:{'3' * 64}"
    words = ("image", "set", "pricing", image, "--version", "1.6.0", "--stack", "staging")
    loop.strategy(steps=[{"weight": 50, "bake": 10}])
    found: list[Result] = []

    def give(*more: str) -> None:
        loop.world.change(lambda config: config["hueshift:services"]["pricing"].pop("strategy", None))
        found.append(loop.bare(*words, *more))

    assert loop.run("release").exit_code == 0
    give()
    give("--give-up-way-back")
    assert [done.exit_code for done in found] == [1, 0], found[1].output
    assert "blue is the way back of release 1 of pricing until 2027-01-16T08:" in found[0].output
    assert "--give-up-way-back" in found[0].output
    assert loop.world.config["hueshift:services"]["pricing"]["colors"]["blue"]["image"] == image


def test_a_rollback_ends_the_release_that_is_open_and_marks_the_one_that_was_promoted(loop: Loop) -> None:
    done: list[Result] = []
    loop.clock.at[loop.clock.now + 12] = lambda: done.append(loop.run("rollback"))
    assert loop.run("release").exit_code == 3
    assert done[0].exit_code == 0, done[0].output
    assert "release 1 of pricing is asked to end; if nobody drives it: hueshift resume" in done[0].output
    undone(loop, "aborted")
    loop.world.commit()
    assert loop.run("release").exit_code == 0
    loop.world.commit()
    back = loop.run("rollback")
    assert back.exit_code == 0, back.output
    assert loop.world.live("pricing") == BLUE
    assert loop.said[-1] == "taken back by `hueshift rollback`"


def in_place(loop: Loop, kind: str) -> tuple[str, str]:
    """Let pricing have one color that is updated in place; return what it runs and what it is to run."""
    before, after = (f"111122223333.dkr.ecr.eu-west-1.amazonaws.com/pricing@sha256:{digit * 64}" for digit in "13")

    def change(config: dict[str, Any]) -> None:
        pricing = config["hueshift:services"]["pricing"]
        pricing["strategy"] = {"kind": kind}
        pricing["colors"] = {"blue": {"image": before, "version": "1.4.0"}}

    loop.world.change(change)
    summary = {"images": {"blue": before}, "versions": {"blue": "1.4.0"}}
    (loop.world.folder / "outputs.json").write_text(json.dumps({"services": {"pricing": summary}}))
    return before, after


def image(loop: Loop) -> str:
    found: str = loop.world.config["hueshift:services"]["pricing"]["colors"]["blue"]["image"]
    return found


@pytest.mark.parametrize("kind", ["rolling", "recreate"])
def test_a_service_with_one_color_is_updated_in_place_and_tried(loop: Loop, kind: str) -> None:
    _, after = in_place(loop, kind)
    done = loop.run("release", "--image", after, "--version", "1.5.0", "--commit")
    assert done.exit_code == 0, done.output
    assert "pricing 1.5.0 runs in staging" in done.output
    assert image(loop) == after
    assert loop.run("plan").exit_code == 1


@pytest.mark.parametrize("fails", ["up-fails", "smoke-fails"])
def test_what_fails_in_place_gets_its_image_back(loop: Loop, fails: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "_TRIES", 0)
    before, after = in_place(loop, "rolling")
    (loop.world.folder / fails).touch()
    done = loop.run("release", "--image", after, "--version", "1.5.0")
    assert done.exit_code == 3, done.output
    assert "pricing goes back to 1.4.0" in done.output
    assert image(loop) == before
    again = loop.run("release")
    assert again.exit_code == 1
    assert f"pricing runs {before} already" in again.output


SHORT = [{"weight": 50, "bake": 10}, {"weight": 100, "bake": 5}]
EFFECTS = 34
"""Of a good release with these steps: what a process does to the world, each once before and once after."""


def test_a_good_release_has_the_effects_at_which_one_is_killed_below(loop: Loop) -> None:
    loop.strategy(steps=SHORT)
    loop.load.rate = 40_000
    assert loop.run("release").exit_code == 0
    assert len(loop.effects) == EFFECTS, loop.effects


@pytest.mark.slow
@pytest.mark.parametrize("effect", range(EFFECTS))
def test_who_is_killed_at_any_effect_is_followed_by_another_process(loop: Loop, effect: int) -> None:
    loop.strategy(steps=SHORT)
    loop.load.rate = 40_000
    loop.dies = effect
    with pytest.raises(KilledError):
        loop.run("release")
    loop.clock.sleep(SILENCE + 1)
    done = loop.run("resume")
    if loop.store.read("pricing") is None:
        assert effect < 2, "nothing was begun"
        assert loop.world.live("pricing") == BLUE
        return
    lost = "the call to 50 % was lost, or somebody took the traffic back"
    if loop.record.phase is Phase.UNDONE:
        undone(loop, lost)
    else:
        assert (done.exit_code, loop.record.phase) == (0, Phase.PROMOTED), (done.output, loop.said)
        assert loop.world.live("pricing") == GREEN
        assert loop.world.config["hueshift:services"]["pricing"]["activeColor"] == "green"
    assert armed(loop) == []


def test_without_its_guard_nothing_is_tried(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied"}}, "PutObject")

    monkeypatch.setattr("hueshift.release.guard.arm", refused)
    assert loop.run("release").exit_code == 3
    undone(loop, "the guard could not be armed: AWS refused PutObject: AccessDenied")
    assert "to 10 %" not in loop.said


def test_a_service_that_left_its_unit_in_the_middle_is_named(loop: Loop) -> None:
    loop.load.service = "shop"
    loop.strategy("shop", "orders", steps=[{"weight": 50, "bake": 100}])
    assert loop.run("release", "--detach").exit_code == 4
    loop.world.change(lambda config: config["hueshift:services"]["orders"].update(activeColor="blue"))
    loop.clock.sleep(SILENCE + 1)
    done = loop.run("resume", "--once")
    assert done.exit_code == 4
    assert "is of orders, which Pulumi.staging.yaml does not release with it any more" in done.output
