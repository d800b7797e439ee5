"""Load on the service, faults in a color's pods, and the alarms that fire because of them."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import boto3
import requests

from components.model import Color
from sandbox import paths
from tests.e2e import cloud

RATE = 60
"""Requests a second of each of the two loads: 360 in a minute of CloudWatch."""
EVERYTHING_OFF: dict[str, float] = {}
EARLIER = "sandbox-shop-traffic-drop"
"""Rings when a load ends, on and off for half an hour: that of an earlier test, too. It is looked at nowhere here."""


@contextmanager
def load(color: Color | None = None) -> Iterator[None]:
    """Ask all the while, green by the canary's header."""
    requests_sent = cloud.Load(580, {"x-canary": "true"} if color else {}, rate=RATE)
    try:
        yield
    finally:
        requests_sent.stop()


def fail(color: Color, **faults: float) -> None:
    for pod in cloud.pods(color):
        requests.put(f"http://{pod['status']['podIP']}:8080/faults", json=faults, timeout=5).raise_for_status()


def ringing() -> set[str]:
    """Return the names of the stack's alarms that are on, but for `EARLIER`."""
    pages = boto3.client("cloudwatch").get_paginator("describe_alarms")
    found: set[str] = set()
    for page in pages.paginate(
        StateValue="ALARM", AlarmNamePrefix="sandbox-", AlarmTypes=["CompositeAlarm", "MetricAlarm"]
    ):
        found |= {str(alarm["AlarmName"]) for alarm in page["CompositeAlarms"]}
        found |= {str(alarm["AlarmName"]) for alarm in page["MetricAlarms"]}
    return found - {EARLIER}


def holding() -> set[tuple[str, str]]:
    """Return alert and color of all of Prometheus' rules whose condition holds now, but for that of `EARLIER`."""
    groups = requests.get(f"{paths.PROMETHEUS_URL}/api/v1/rules", timeout=5).json()["data"]["groups"]
    return {
        (rule["name"], rule["labels"].get("color", ""))
        for group in groups
        for rule in group["rules"]
        if rule["state"] != "inactive" and rule["name"] != "TrafficDrop"
    }


def wait_for(alarms: set[str], seconds: float = 90) -> None:
    """Wait until these alarms are on and no other, else fail with both."""
    deadline = time.monotonic() + seconds
    while (now := ringing()) != alarms and time.monotonic() < deadline:
        time.sleep(0.5)
    assert now == alarms, f"on are {', '.join(sorted(now)) or 'none'}"
