"""Releases of shop on the local cloud: its steps, its record, its command, and what users get meanwhile."""

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import requests

from components.model import Color, color_alarms
from sandbox import paths
from tests.e2e import cloud
from tests.e2e.failing import holding, ringing

RATE = 380
"""Requests a second."""
UNIT = "sandbox"
"""The services that follow the stack's activeColor are called as the environment."""


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


def _hears_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # what a shell starts with `&` ignores it


def hueshift(*words: str) -> "subprocess.Popen[str]":
    """Start the command in a session of its own, as a pipeline does."""
    return subprocess.Popen(
        ["hueshift", *words, "--stack", "sandbox"],
        cwd=paths.ROOT, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, preexec_fn=_hears_ctrl_c,
    )  # fmt: skip


def ended(process: "subprocess.Popen[str]", seconds: float = 600) -> tuple[int, str]:
    output, _ = process.communicate(timeout=seconds)
    return process.returncode, output


def fail(color: str = "green", /, **faults: float) -> None:
    for pod in cloud.pods(color):
        try:
            requests.put(f"http://{pod['status']['podIP']}:8080/faults", json=faults, timeout=5).raise_for_status()
        except requests.ConnectionError:
            if faults:  # and one that is started anew has none
                raise


@contextmanager
def load(limit: float = 880) -> Iterator[list[cloud.Answer]]:
    """Ask all the while; afterwards the list has every answer."""
    answers: list[cloud.Answer] = []
    begun = cloud.Load(limit, rate=RATE)
    try:
        yield answers
    finally:
        answers.extend(begun.stop())


def forget() -> None:
    """Let CloudWatch and Prometheus know nothing of an earlier release: `canary-errors` remembers ten minutes."""
    series = 'http_requests_total{status=~"5.."}'

    def known() -> int:
        answer = requests.get(f"{paths.PROMETHEUS_URL}/api/v1/query", params={"query": series}, timeout=5).json()
        return len(answer["data"]["result"])

    before = known()
    forgotten = f"{paths.PROMETHEUS_URL}/api/v1/admin/tsdb/delete_series"
    requests.post(forgotten, params={"match[]": series}, timeout=5).raise_for_status()
    with cloud.fast_minutes(60):
        time.sleep(15)  # of CloudWatch's time a quarter of an hour: late counts have come, and their window has passed
        alarms = {name for color in Color for name in color_alarms("sandbox", "shop", color)}
        cloud.wait_until("no alarm of a color is on", lambda: not alarms & ringing(), 120)
    cloud.wait_until("no alert of what green answers holds", lambda: ("CanaryErrors", "green") not in holding())
    # A counter that appears has begun anew: read in a release it would be taken for failures of that minute.
    cloud.wait_until("the pods have been read again", lambda: known() >= before)


@contextmanager
def by_steps() -> Iterator[None]:
    """Let shop be released at 10, 50 and 100 percent, judged by Prometheus; afterwards everything is as before."""
    with cloud.stack_file():
        cloud.kubectl("rollout", "status", "deployment/shop-green", "--timeout=300s")
        cloud.configure("releases.prometheus", paths.PROMETHEUS_URL)
        for place, (weight, bake) in enumerate(((10, 30), (50, 30), (100, 20))):
            cloud.configure(f"services.shop.strategy.steps[{place}].weight", weight)
            cloud.configure(f"services.shop.strategy.steps[{place}].bake", bake)
        cloud.configure("services.shop.strategy.patience", 240)
        cloud.configure("services.shop.strategy.compare.limit", 5)
        cloud.update()
        fail()
        forget()
        try:
            with cloud.own_minutes():  # a guard whose alarms live ten times as fast takes good releases back
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


def reaches(process: "subprocess.Popen[str]", place: str, holds: Callable[[], object], seconds: float = 400) -> None:
    """Wait until a release is somewhere; one that ends before, or takes longer, fails with what it said."""
    deadline = time.monotonic() + seconds
    while not holds():
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            raise AssertionError(f"not at {place}: {ended(process)}, {record().get('events')}")
        time.sleep(0.2)


def failures(answers: list[cloud.Answer]) -> tuple[int, float]:
    """Return how many requests failed, and the seconds from the first to the last of them."""
    failed = [answer.at for answer in answers if answer.code != 200]
    return len(failed), failed[-1] - failed[0] if failed else 0.0


def refused(answers: list[cloud.Answer]) -> dict[str, int]:
    """Return how many requests failed in which way, in the order in which the ways were met first."""
    began = answers[0].at
    ways: dict[str, list[float]] = {}
    for answer in answers:
        if answer.code != 200:
            ways.setdefault(f"{answer.code} {answer.color} {answer.error[:60]}", []).append(answer.at - began)
    return {f"{way} (from {at[0]:.0f} to {at[-1]:.0f} s)": len(at) for way, at in ways.items()}
