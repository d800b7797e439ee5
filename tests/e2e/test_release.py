"""`hueshift release` on the local cloud, under load: what passes, what is undone, and who is killed in the middle."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import pytest
import requests

from sandbox import paths
from tests.e2e import cloud
from tests.e2e.test_guard import production_rule, weighted

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

RATE = 380
"""Requests a second."""
UNIT = "sandbox"
"""The services that follow the stack's activeColor are called as the environment."""
SILENCE = 61
Note = Callable[[str, object], None]
"""Puts a measure into the report in JUnit's form."""


def record() -> dict[str, Any]:
    """Return the latest release; empty before the first."""
    s3 = boto3.client("s3")
    try:
        found = s3.get_object(Bucket=cloud.output("releases"), Key=f"{UNIT}.json")["Body"].read()
    except s3.exceptions.NoSuchKey:
        return {}
    return dict(json.loads(found))


def said() -> list[str]:
    return [event["what"] for event in record()["events"]]


def green() -> int:
    """Return percent of the traffic that green has."""
    return next(weight for arn, weight in cloud.live_weights().items() if "-green-" in arn)


def hueshift(*words: str) -> "subprocess.Popen[str]":
    """Start the command in a session of its own, as a pipeline does."""
    options = {**os.environ, "CURL_OPTIONS": f"--cacert {paths.CA_CERTIFICATE}"}
    return subprocess.Popen(
        ["hueshift", *words, "--stack", "sandbox"],
        cwd=paths.ROOT, env=options, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def ended(process: "subprocess.Popen[str]", seconds: float = 600) -> tuple[int, str]:
    output, _ = process.communicate(timeout=seconds)
    return process.returncode, output


def fail(**faults: float) -> None:
    for pod in cloud.pods("green"):
        requests.put(f"http://{pod['status']['podIP']}:8080/faults", json=faults, timeout=5).raise_for_status()


@contextmanager
def load() -> Iterator[list[cloud.Answer]]:
    """Ask all the while; afterwards the list has every answer."""
    answers: list[cloud.Answer] = []
    begun = cloud.Load(880, rate=RATE)
    try:
        yield answers
    finally:
        answers.extend(begun.stop())


@pytest.fixture(autouse=True)
def _released_by_steps() -> Iterator[None]:
    """Let shop be released at 10, 50 and 100 percent, judged by Prometheus; afterwards everything is as before."""
    with cloud.stack_file():
        cloud.configure("releases.prometheus", paths.PROMETHEUS_URL)
        for place, (weight, bake) in enumerate(((10, 30), (50, 30), (100, 20))):
            cloud.configure(f"services.shop.strategy.steps[{place}].weight", weight)
            cloud.configure(f"services.shop.strategy.steps[{place}].bake", bake)
        cloud.configure("services.shop.strategy.patience", 240)
        cloud.update()
        try:
            yield
        finally:
            fail()
            if record() and record()["phase"] not in ("promoted", "undone"):
                ended(hueshift("abort"))


def released(*words: str) -> "subprocess.Popen[str]":
    """Start a release, whatever was rejected, and onto the way back of the one before: tests share a stack."""
    return hueshift("release", "--force", "a test", "--give-up-way-back", *words)


def until_live(weight: int, seconds: float = 300) -> None:
    cloud.wait_until(f"green has {weight} %", lambda: green() == weight, seconds)


def assert_undone(process: "subprocess.Popen[str]", why: str, file: str) -> None:
    code, output = ended(process)
    assert code == 3, output
    assert green() == 0
    assert any(why in line for line in said() if line.startswith("going back")), said()
    assert (paths.ROOT / "Pulumi.sandbox.yaml").read_text() == file
    cloud.pulumi("preview", "--expect-no-changes")


def failures(answers: list[cloud.Answer]) -> tuple[int, float]:
    """Return how many requests failed, and the seconds from the first to the last of them."""
    failed = [answer.at for answer in answers if answer.code != 200]
    return len(failed), failed[-1] - failed[0] if failed else 0.0


PHASES: tuple[tuple[str, Callable[[], object]], ...] = (
    ("trying", lambda: record().get("phase") == "trying"),
    ("10 %", lambda: record()["phase"] == "baking" and green() == 10),
    ("50 %", lambda: record()["phase"] == "baking" and green() == 50),
    ("100 %", lambda: record()["phase"] == "baking" and green() == 100),
    ("settling", lambda: record()["phase"] == "settling"),
)


def test_a_good_release_fails_no_request_though_its_driver_is_killed_in_every_phase() -> None:
    with load() as answers:
        process = released()
        for name, holds in PHASES:
            cloud.wait_until(f"the release is at {name}", holds, 400)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            time.sleep(SILENCE)
            process = hueshift("resume")
        code, output = ended(process)
        assert code == 0, output
    assert failures(answers) == (0, 0.0)
    assert record()["phase"] == "promoted"
    assert green() == 100
    cloud.pulumi("preview", "--expect-no-changes")


@pytest.mark.parametrize(
    ("faults", "why"),
    [
        ({"error_rate": 0.05}, "failed: "),
        ({"delay_ms": 700, "delay_rate": 0.4}, "slow: "),
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


def test_errors_that_come_only_with_much_traffic_are_found_at_that_step() -> None:
    file = (paths.ROOT / "Pulumi.sandbox.yaml").read_text()
    # A pod of green has 19 requests a second at 10 %, and 95 at 50 %.
    fail(error_rate=0.2, error_above=45)
    with load():
        assert_undone(released(), "failed: ", file)
    assert "50 % live" in said()


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


def test_a_second_release_is_refused_by_the_name_of_the_first() -> None:
    with load():
        process = released()
        until_live(10)
        code, output = ended(released(), 60)
        assert code == 1
        assert f"driven by {record()['owner']}" in output
        assert ended(hueshift("abort"))[0] == 0
    assert ended(process)[0] == 3


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
    assert failures(answers)[0] == 0


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
    assert failures(answers)[0] == 0


def test_ctrl_c_undoes_it() -> None:
    file = (paths.ROOT / "Pulumi.sandbox.yaml").read_text()
    process = released()
    with load():
        until_live(10)
        process.send_signal(signal.SIGINT)
        assert_undone(process, "aborted", file)
