"""A release from its first word to its last, on a load balancer, a bucket, alarms and topics that are moto's."""

import json
from contextlib import chdir, suppress
from typing import Any

import pytest

from hueshift.preview.command import _open
from hueshift.preview.comment import comment
from hueshift.preview.report import Report
from hueshift.release.drive import Asked, Phase
from tests.hueshift.release.loop import BLUE, GREEN, KilledError, Loop, armed, undone

pytestmark = pytest.mark.slow


def test_a_good_release_takes_its_steps_and_is_written_into_the_file_at_its_end(loop: Loop) -> None:
    before = loop.world.file.read_text()
    seen = []
    loop.clock.heard.append(
        lambda: seen.append((loop.world.live("pricing")["green"], loop.world.file.read_text(), len(armed(loop))))
    )
    done = loop.run("release", "--commit")
    assert (done.exit_code, loop.record.phase) == (0, Phase.PROMOTED), done.output
    assert loop.world.live("pricing") == GREEN
    assert sorted({weight for weight, _, _ in seen}) == [10, 50, 100]
    assert {text for weight, text, _ in seen if weight < 100} == {before}
    assert {orders for weight, _, orders in seen if weight < 100} == {2}, "the guard watches two alarms"
    assert loop.world.config["hueshift:services"]["pricing"]["activeColor"] == "green"
    assert armed(loop) == []
    assert [line.partition("  ")[2] for line in done.output.splitlines() if "waits" not in line] == [
        "begins: pricing 1.4.0 → 1.5.0",
        "to 10 %",
        "10 % live",
        "to 50 %",
        "50 % live",
        "to 100 %",
        "100 % live",
        "100 % passed",
        "promoted",
        "",
    ]
    assert loop.engine.learned == ["pricing"]
    assert loop.messages == ["staging/pricing: release 1 promoted"]
    marks = loop.clients.cloudwatch.list_metrics(Namespace="hueshift")["Metrics"]
    assert {"Weight"} == {mark["MetricName"] for mark in marks}


def test_a_color_that_fails_at_once_is_taken_back_within_seconds_and_its_image_is_rejected(loop: Loop) -> None:
    loop.load.bad = lambda color, _: (0.05 if color == "green" else 0.001, 0.05)
    done = loop.run("release")
    assert done.exit_code == 3, done.output
    undone(loop, "failed: ")
    events = loop.record.events
    went = next(event.at for event in events if event.what.startswith("going back"))
    assert went - next(event.at for event in events if event.what == "10 % live") <= 15
    assert "requests, of the old color" in str(loop.record.rejected)
    assert loop.messages == ["staging/pricing: release 1 undone"]
    again = loop.run("release")
    assert again.exit_code == 1
    assert "was released before and undone, failed: " in again.output
    assert loop.record.id == 1
    loop.load.bad = lambda *_: (0.001, 0.05)
    assert loop.run("release", "--force", "the database failed").exit_code == 0
    assert (loop.record.id, loop.record.forced) == (2, "the database failed")


def test_a_color_that_is_only_slow_is_taken_back(loop: Loop) -> None:
    loop.load.bad = lambda color, _: (0.001, 0.3 if color == "green" else 0.05)
    assert loop.run("release").exit_code == 3
    undone(loop, "slow: ")


def test_an_abort_takes_the_traffic_back_before_the_record_knows_and_the_driver_closes_it(loop: Loop) -> None:
    aborted = []

    def abort() -> None:
        words = loop.effects.copy()
        loop.clock.heard.pop()  # the driver sleeps while the abort waits for it: the time is the driver's
        with suppress(KilledError):
            loop.dies = len(loop.effects) + 3
            loop.run("abort")
        assert loop.effects[len(words) :] == [
            "modify_rule begins",
            "modify_rule ends",
            "put_object begins",
            "put_object ends",
        ]
        assert loop.world.live("pricing") == BLUE
        aborted.append(loop.record.asked)

    loop.clock.at[loop.clock.now + 12] = abort
    assert loop.run("release").exit_code == 3
    assert aborted == [Asked.ABORT]
    undone(loop, "aborted")
    assert loop.record.rejected is None


def test_without_s3_nothing_goes_forward_and_a_bad_color_is_taken_back(loop: Loop) -> None:
    seen: list[dict[str, int]] = []
    start = loop.clock.now
    loop.clock.at[start + 12] = lambda: setattr(loop, "gone", True)
    loop.clock.at[start + 60] = lambda: seen.append(loop.world.live("pricing"))
    loop.clock.at[start + 61] = lambda: setattr(loop.load, "bad", lambda c, _: (0.1 if c == "green" else 0, 0.05))
    loop.clock.at[start + 90] = lambda: seen.append(loop.world.live("pricing"))
    loop.clock.at[start + 91] = lambda: setattr(loop, "gone", False)
    assert loop.run("release").exit_code == 3
    assert seen == [{"blue": 90, "green": 10}, BLUE]
    undone(loop, "failed: ")


def test_services_that_share_a_key_are_released_and_undone_together(loop: Loop) -> None:
    loop.load.service = "shop"
    loop.strategy("shop", "orders", steps=[{"weight": 50, "bake": 10}])
    seen = []
    loop.clock.heard.append(lambda: seen.append((loop.world.live("shop"), loop.world.live("orders"))))
    loop.clock.at[loop.clock.now + 12] = lambda: loop.world.empty("orders", "green")
    assert loop.run("release").exit_code == 3
    assert ({"blue": 50, "green": 50},) * 2 in seen
    assert (loop.world.live("shop"), loop.world.live("orders")) == (BLUE, BLUE)
    assert any("health: orders: green has 0 healthy targets" in said for said in loop.said)
    assert loop.record.services == ("shop", "orders")
    group = loop.world.groups["orders", "green"]
    loop.world.elb.register_targets(
        TargetGroupArn=group, Targets=[{"Id": f"172.31.0.{it}", "Port": 8080} for it in (1, 2)]
    )
    assert loop.run("release", "--force", "a node was lost").exit_code == 0
    assert (loop.world.live("shop"), loop.world.live("orders")) == (GREEN, GREEN)
    assert loop.world.config["hueshift:activeColor"] == "green"


def test_a_wrong_strategy_is_refused_by_its_keys(loop: Loop) -> None:
    loop.strategy(steps=[50, 10], gates=[{"name": "orders"}])
    done = loop.run("release")
    assert done.exit_code == 1
    assert (
        "hueshift:services.pricing.strategy.gates[0]: must have a query with below or above, or a command"
        in done.output
    )


def test_a_stack_without_a_bucket_is_told_to_make_one(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    (loop.world.folder / "outputs.json").write_text("{}")
    for name, value in loop.world.environment.items():
        monkeypatch.setenv(name, value)
    done = loop.run("plan")
    assert done.exit_code == 1
    assert "staging has no bucket for the records of releases: pulumi up --stack staging" in done.output


def test_each_color_is_held_to_the_pods_that_all_of_the_traffic_needs_until_it_is_parked(loop: Loop) -> None:
    def pods(color: str, last: int) -> None:
        targets: Any = [{"Id": f"172.31.0.{it}", "Port": 8080} for it in range(1, last + 1)]
        loop.world.elb.register_targets(TargetGroupArn=loop.world.groups["pricing", color], Targets=targets)

    def colors() -> Any:  # noqa: ANN401 - what YAML holds
        return loop.world.config["hueshift:services"]["pricing"]["colors"]

    pods("blue", 5)
    # The pods come a minute after the update: without them only 10 % may be tried.
    loop.clock.at[loop.clock.now + 60] = lambda: pods("green", 5)
    assert loop.run("release").exit_code == 0
    assert {color: said["minReplicas"] for color, said in colors().items()} == {"blue": 5, "green": 5}
    assert "waits (room): pricing: green has 2 healthy targets and needs 3 for 50 %" in loop.said
    loop.clock.now += 86_400
    parked = loop.run("park")
    assert parked.exit_code == 0, parked.output
    assert not any("minReplicas" in said for said in colors().values())
    assert colors()["blue"]["parked"] is True


def test_the_status_names_the_open_release_and_afterwards_until_when_the_old_color_is_kept(loop: Loop) -> None:
    assert loop.run("release", "--detach").exit_code == 4
    done = loop.run("status", "--closed")
    assert done.exit_code == 4, done.output
    assert "release 1: baking at 10 %, step 1 of 3, driven by " in done.output
    loop.clock.now += 61
    assert loop.run("resume").exit_code == 0
    done = loop.run("status", "--closed")
    assert done.exit_code == 0, done.output
    assert "release 1: promoted; blue is kept until " in done.output
    (said,) = json.loads(loop.run("status", "--json").output)["services"].values()
    assert (said["release"]["open"], said["release"]["phase"]) == (False, "promoted")
    assert said["release"]["keptUntil"]


def test_an_image_that_users_have_already_is_no_release_and_the_program_goes_out_all_the_same(loop: Loop) -> None:
    image = loop.world.config["hueshift:services"]["pricing"]["colors"]["blue"]["image"]
    before = loop.world.file.read_text()
    done = loop.run("release", "--image", image, "--version", "1.4.0")
    assert done.exit_code == 0, done.output
    assert f"users of pricing have {image} already" in done.output
    assert [call.split()[0] for call in loop.world.called if call.startswith("up")] == ["up"]
    assert loop.world.file.read_text() == before
    assert loop.world.live("pricing") == {"blue": 100, "green": 0}


def test_a_preview_knows_an_open_release(loop: Loop) -> None:
    with chdir(loop.world.folder):
        assert _open("staging") == []
        assert loop.run("release", "--detach").exit_code == 4
        (said,) = _open("staging")
        assert said.startswith("an update would meet an open release of pricing: release 1: ")
        assert said in comment([Report(stack="staging", releases=[said])])


def test_no_release_begins_while_an_experiment_runs(loop: Loop) -> None:
    loop.world.change(lambda config: config["hueshift:services"]["pricing"].update(experiment={"name": "checkout"}))
    before = loop.world.file.read_text()
    for words in (["plan"], ["release"], ["release", "--force", "why not"]):
        refused = loop.run(*words)
        assert refused.exit_code == 1
        assert "pricing: the experiment checkout needs both colors as they are" in refused.output
    assert loop.world.live("pricing") == BLUE
    assert loop.world.file.read_text() == before
