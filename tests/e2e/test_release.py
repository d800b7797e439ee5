"""`hueshift release` on the local cloud, under load: what passes, what is undone, and who is killed in the middle."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator

import boto3
import pytest

from sandbox import paths
from tests.e2e import cloud
from tests.e2e.releasing import (
    by_steps,
    ended,
    fail,
    failures,
    green,
    hueshift,
    load,
    reaches,
    record,
    refused,
    released,
    said,
    until_live,
)
from tests.e2e.test_guard import production_rule, weighted

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

SILENCE = 61
Note = Callable[[str, object], None]
"""Puts a measure into the report in JUnit's form."""


@pytest.fixture(autouse=True)
def _released_by_steps() -> Iterator[None]:
    with by_steps():
        yield


def assert_undone(process: "subprocess.Popen[str]", why: str, file: str) -> None:
    code, output = ended(process)
    assert code == 3, output
    assert green() == 0
    assert any(why in line for line in said() if line.startswith("going back")), said()
    assert (paths.ROOT / "Pulumi.sandbox.yaml").read_text() == file
    cloud.pulumi("preview", "--expect-no-changes")


PHASES: tuple[tuple[str, Callable[[], object]], ...] = (
    ("trying", lambda: record().get("phase") == "trying"),
    ("10 %", lambda: record()["phase"] == "baking" and green() == 10),
    ("50 %", lambda: record()["phase"] == "baking" and green() == 50),
    ("100 %", lambda: record()["phase"] == "baking" and green() == 100),
    ("settling", lambda: record()["phase"] == "settling"),
)


def test_a_good_release_fails_no_request_though_its_driver_is_killed_in_every_phase() -> None:
    with load() as answers:
        time.sleep(60)  # two readings of the pods: where no users come, a step proves nothing and the plan says so
        process = released()
        for name, holds in PHASES:
            reaches(process, name, holds)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            time.sleep(SILENCE)
            process = hueshift("resume")
        code, output = ended(process)
        assert code == 0, output
    assert refused(answers) == {}
    assert record()["phase"] == "promoted"
    assert green() == 100
    cloud.pulumi("preview", "--expect-no-changes")


@pytest.mark.parametrize(
    ("faults", "why"),
    [
        ({"error_rate": 0.05}, "failed: "),
        pytest.param({"delay_ms": 700, "delay_rate": 0.4}, "slow: ", marks=pytest.mark.by_hand),
    ],
    ids=["errors", "slow only"],
)
def test_a_bad_color_is_taken_back_from_the_first_step(
    faults: dict[str, float], why: str, record_property: Note
) -> None:
    file = (paths.ROOT / "Pulumi.sandbox.yaml").read_text()
    fail(**faults)
    with load() as answers:
        time.sleep(30)  # the old color's usual
        assert_undone(released(), why, file)
    count, seconds = failures(answers)
    record_property("failed", count)
    record_property("seconds", seconds)
    assert count <= 150
    assert "to 50 %" not in said()
    assert record()["rejected"].startswith(why)
    assert "was released before and undone" in ended(hueshift("release", "--give-up-way-back"))[1]


@pytest.mark.by_hand
def test_errors_that_come_only_with_much_traffic_are_found_at_that_step() -> None:
    file = (paths.ROOT / "Pulumi.sandbox.yaml").read_text()
    # A pod of green has 19 requests a second at 10 %, and 95 at 50 %.
    fail(error_rate=0.2, error_above=45)
    with load():
        assert_undone(released(), "failed: ", file)
    assert "50 % live" in said()


@pytest.mark.by_hand
def test_an_abort_waits_for_no_lock(record_property: Note) -> None:
    file = (paths.ROOT / "Pulumi.sandbox.yaml").read_text()
    process = released()
    with load():
        until_live(10)
        # An update that waits for pods which never come holds the lock.
        cloud.configure("services.shop.colors.green.image", "127.0.0.1:5000/shop:9.9.9")
        update = subprocess.Popen(
            ["pulumi", "up", "--yes", "--skip-preview", "--stack", "sandbox", "--target", "**shop-green-deployment"],
            cwd=paths.ROOT, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            cloud.wait_until("the update has begun", lambda: list(paths.PULUMI_STATE.rglob("locks/**/*.json")), 60)
            begun = time.monotonic()
            abort = hueshift("abort")
            until_live(0, 10)
            took = time.monotonic() - begun
            record_property("seconds", took)
            assert took < 5
        finally:
            cloud.kill(update)
            cloud.pulumi("cancel", "--yes", check=False)
            (paths.ROOT / "Pulumi.sandbox.yaml").write_text(file)
            cloud.pulumi("up", "--yes", "--skip-preview", "--refresh")
        assert ended(abort)[0] == 0
    assert ended(process)[0] == 3


@pytest.mark.by_hand
def test_a_second_release_is_refused_by_the_name_of_the_first() -> None:
    with load():
        process = released()
        until_live(10)
        code, output = ended(released(), 60)
        assert code == 1
        assert f"driven by {record()['owner']}" in output
        assert ended(hueshift("abort"))[0] == 0
    assert ended(process)[0] == 3


@pytest.mark.by_hand
@pytest.mark.parametrize("hand", ["refresh", "weights"])
def test_what_another_hand_moves_is_not_fought_over(hand: str) -> None:
    file = (paths.ROOT / "Pulumi.sandbox.yaml").read_text()
    with load() as answers:
        process = released()
        until_live(10)
        if hand == "refresh":
            cloud.pulumi("up", "--yes", "--skip-preview", "--refresh")
        else:
            rule = production_rule()
            moved = weighted(rule["Actions"], 70)
            boto3.client("elbv2").modify_rule(RuleArn=rule["RuleArn"], Actions=moved)
        assert_undone(process, "moved by another hand", file)
    assert refused(answers) == {}


def test_a_rollback_in_the_middle_ends_the_release(record_property: Note) -> None:
    file = (paths.ROOT / "Pulumi.sandbox.yaml").read_text()
    with load() as answers:
        process = released()
        until_live(10)
        begun = time.monotonic()
        rollback = hueshift("rollback")
        until_live(0, 10)
        record_property("seconds", time.monotonic() - begun)
        assert ended(rollback)[0] == 0
        assert_undone(process, "", file)
    assert refused(answers) == {}


@pytest.mark.by_hand
def test_ctrl_c_undoes_it() -> None:
    file = (paths.ROOT / "Pulumi.sandbox.yaml").read_text()
    process = released()
    with load():
        until_live(10)
        process.send_signal(signal.SIGINT)
        assert_undone(process, "aborted", file)
