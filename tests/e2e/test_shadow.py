"""Shadow traffic on the local cloud: users are answered by one color alone, and the other gets copies."""

import json
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
import requests
import yaml

from sandbox import images
from tests.e2e import cloud
from tests.e2e.cloud import Load

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

SETTLED = 1.0
"""Seconds after an update until the load balancer has it: its propagation delay is 0.5."""
SECONDS = 20
RATE = 200
SLOWER = 0.05
"""Seconds by which p99 may differ between two halves of a minute on a busy machine."""
ONE_UPDATE = {"update": 1}


@contextmanager
def mirrors() -> Iterator[None]:
    """Give shop mirrors that stand by."""
    with cloud.stack_file() as file:
        content = yaml.safe_load(file.read_text())
        content["config"]["hueshift:services"]["shop"]["shadow"] = {"image": images.envoy()}
        file.write_text(yaml.safe_dump(content))
        cloud.update()
        time.sleep(SETTLED)
        yield


def counted(color: str) -> int:
    """Return how many requests of `/` the pods of a color have answered since they started, as they say it."""
    total = 0
    for pod in cloud.pods(color):
        lines = requests.get(f"http://{pod['status']['podIP']}:8080/metrics", timeout=5).text.splitlines()
        samples = [line for line in lines if line.startswith("http_requests_total{") and 'route="/"' in line]
        total += sum(int(float(line.rpartition(" ")[2])) for line in samples)
    return total


def p99(seconds: Sequence[float]) -> float:
    return sorted(seconds)[int(0.99 * len(seconds))]


def test_users_are_answered_by_the_active_color_alone_while_copies_reach_the_idle_one() -> None:
    with mirrors():
        load = Load(limit=300, rate=RATE)
        try:
            time.sleep(SECONDS)
            turned = time.time()
            cloud.configure("services.shop.shadow.percent", 50)
            assert cloud.update() == ONE_UPDATE, "turning it on is a weight like any other"
            time.sleep(SETTLED)
            settled, before = time.time(), counted("green")
            time.sleep(SECONDS)
            copies, ended = counted("green") - before, time.time()
        finally:
            answers = load.stop()
    failed = [answer for answer in answers if answer.code != 200]
    assert not failed, Counter((answer.code, answer.error) for answer in failed).most_common(5)
    assert {answer.color for answer in answers} == {"blue"}
    alone = [answer.seconds for answer in answers if answer.at < turned]
    copied = [answer.seconds for answer in answers if settled <= answer.at < ended]
    assert copies == pytest.approx(len(copied) / 2, rel=0.25), "half of the requests, and nothing else asks green for /"
    assert p99(copied) < p99(alone) + SLOWER, "nobody waits for a copy"


@pytest.mark.by_hand
def test_a_flip_keeps_the_copies_and_a_rollback_ends_them_with_one_call() -> None:
    with mirrors():
        cloud.configure("services.shop.shadow.percent", 50)
        cloud.update()
        load = Load(limit=300, rate=RATE)
        try:
            cloud.configure("activeColor", "green")
            assert cloud.update() == ONE_UPDATE
            time.sleep(SETTLED)
            flipped, before = time.time(), counted("blue")
            time.sleep(5)
            assert counted("blue") > before, "copies go to the color that is idle now"
            back = time.time()
            cloud.run("hueshift", "rollback", "--stack", "sandbox", "--to", "1.4.0", "--force")
            time.sleep(SETTLED)
            rolled, before = time.time(), counted("green")
            time.sleep(3)
            assert counted("green") == before
        finally:
            answers = load.stop()
        status = json.loads(cloud.run("hueshift", "status", "--stack", "sandbox", "--json", check=False).stdout)
        assert status["services"]["shop"]["copied"] == 0
        assert sorted(cloud.live_weights().values()) == [0, 0, 0, 100]
    assert Counter(answer.code for answer in answers).keys() == {200}
    assert {answer.color for answer in answers if flipped <= answer.at < back} == {"green"}
    assert {answer.color for answer in answers if answer.at >= rolled} == {"blue"}


@pytest.mark.by_hand
def test_a_copy_is_marked_and_written_down() -> None:
    with mirrors():
        cloud.configure("services.shop.shadow.percent", 100)
        cloud.update()
        time.sleep(SETTLED)
        assert {cloud.curl(f"https://{cloud.HOST}/items?page=2")[1]["x-color"] for _ in range(10)} == {"blue"}

        def lines() -> str:
            return cloud.kubectl("logs", "--selector", "hueshift.dev/mirror=blue", "--tail=-1")

        cloud.wait_until("the copies are written down", lambda: len(re.findall('"message":"copy"', lines())) >= 10)
        assert "page=2" not in lines()


@pytest.mark.by_hand
def test_both_colors_are_compared_by_replay() -> None:
    words = ("hueshift", "compare", "shop", "/health/ready", "/", "--stack", "sandbox", "--json")
    done = cloud.run(*words, check=False)
    assert done.returncode in (0, 3), done.stderr
    assert json.loads(done.stdout)["asked"] == 2
