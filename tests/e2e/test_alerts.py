"""A service that fails and one that is slow: the right alarms ring and no other, one message arrives, the gate hears.

CloudWatch's minutes are made to last six seconds, and its data come one to two of them late. Prometheus keeps its own
time: there the condition of a rule must hold, and for how long is for `promtool` (`test_promtool.py`).
"""

import json
import time
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from components.model import Color
from tests.e2e import cloud
from tests.e2e.failing import EARLIER, EVERYTHING_OFF, fail, holding, load, ringing, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


@pytest.fixture
def fast_minutes() -> Iterator[None]:
    """Let a minute of CloudWatch last six seconds."""
    with cloud.fast_minutes():
        yield


def heard(queue: str) -> list[tuple[str, str]]:
    """Take the messages that have arrived and return alarm and state of each, but for `EARLIER`."""
    client, found = boto3.client("sqs"), []
    while batch := client.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", []):
        for message in batch:
            told: dict[str, Any] = json.loads(json.loads(message["Body"])["Message"])
            if told["AlarmName"] != EARLIER:
                found.append((told["AlarmName"], told["NewStateValue"]))
            client.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    return found


def wait_to_hear(queue: str, *expected: tuple[str, str]) -> None:
    """Wait until as many messages have arrived, which are these: a composite waits a minute for its suppressor."""
    found: list[tuple[str, str]] = []
    deadline = time.monotonic() + 30
    while len(found) < len(expected) and time.monotonic() < deadline:
        found += heard(queue)
        time.sleep(0.5)
    assert sorted(found) == sorted(expected)


@pytest.fixture
def queue() -> Iterator[str]:
    client = boto3.client("sqs")
    url = client.create_queue(QueueName="on-call")["QueueUrl"]
    yield url
    client.delete_queue(QueueUrl=url)


@pytest.mark.usefixtures("fast_minutes")
def test_a_color_that_lost_its_pods_is_told_gets_no_traffic_and_is_well_once_they_are_back() -> None:
    lost = {"sandbox-shop-green", "sandbox-shop-green-too-few"}
    wait_for(set(), 200)
    with cloud.stack_file():
        try:
            cloud.kubectl("scale", "deployment", "shop-green", "--replicas=0")  # the autoscaler leaves none alone
            wait_for(lost, 120)
            (color,) = boto3.client("cloudwatch").describe_alarms(
                AlarmNames=["sandbox-shop-green"], AlarmTypes=["CompositeAlarm"]
            )["CompositeAlarms"]
            assert ":alarm:sandbox-shop-green-too-few transitioned to ALARM" in color["StateReason"]
            assert "docs/alerts/too-few.md" in color["AlarmDescription"]

            cloud.configure("canaryWeight", 10)
            refused = cloud.pulumi("up", "--yes", "--skip-preview", check=False)
            assert refused.returncode != 0
            assert "its alarm sandbox-shop-green is on" in refused.stdout + refused.stderr
            assert sorted(cloud.live_weights().values()) == [0, 100]
        finally:
            cloud.kubectl("scale", "deployment", "shop-green", "--replicas=2")
        wait_for(set(), 120)


@pytest.mark.usefixtures("fast_minutes")
def test_a_service_that_fails_is_told_once_gets_no_more_traffic_and_may_be_left(queue: str) -> None:
    arn = boto3.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"][
        "QueueArn"
    ]
    green = {"sandbox-shop-green", "sandbox-shop-green-errors", "sandbox-shop-green-canary-errors"}
    slow = {"sandbox-shop-blue", "sandbox-shop-blue-latency-p95"}
    with cloud.stack_file(), load(), load(Color.GREEN):
        cloud.configure("alerts.subscriptions[0].protocol", "sqs")
        cloud.configure("alerts.subscriptions[0].endpoint", arn)
        cloud.configure("canaryWeight", 10)
        cloud.update()
        wait_for(set(), 200)
        heard(queue)
        try:
            fail(Color.GREEN, error_rate=0.3)
            wait_for(green)
            wait_to_hear(queue, ("sandbox-shop-green", "ALARM"))

            cloud.configure("canaryWeight", 50)
            refused = cloud.pulumi("up", "--yes", "--skip-preview", check=False)
            assert refused.returncode != 0
            assert "its alarm sandbox-shop-green is on" in refused.stdout + refused.stderr
            assert sorted(cloud.live_weights().values()) == [10, 90]
            assert ringing() == green

            cloud.configure("canaryWeight", 0)
            cloud.update()
            assert sorted(cloud.live_weights().values()) == [0, 100]

            fail(Color.BLUE, delay_ms=1500, delay_rate=0.2)
            wait_for(green | slow)
            wait_to_hear(queue, ("sandbox-shop-blue", "ALARM"))
            expected = {("Errors", "green"), ("CanaryErrors", "green"), ("LatencyP95", "blue")}
            cloud.wait_until(f"in Prometheus hold {expected}", lambda: holding() == expected)
            assert ringing() == green | slow
        finally:
            for color in Color:
                fail(color, **EVERYTHING_OFF)
        wait_for(set(), 120)  # canary-errors judges ten minutes
        wait_to_hear(queue, ("sandbox-shop-green", "OK"), ("sandbox-shop-blue", "OK"))
