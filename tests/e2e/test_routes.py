"""A service with routes: each way in shares requests alike, and a flip of all of them loses none."""

import time

import pytest
import yaml

from tests.e2e import cloud
from tests.e2e.cloud import HOST, Load

pytestmark = [pytest.mark.e2e, pytest.mark.by_hand, pytest.mark.timeout(600)]

WWW = f"www.{HOST}"
"""One label below the service's host, whose certificate covers it."""
SETTLED = 1.0
"""Seconds after an update until the load balancer has the new weights: its propagation delay is 0.5."""


def test_a_flip_moves_the_host_and_every_route_and_loses_nothing() -> None:
    with cloud.stack_file() as file:
        content = yaml.safe_load(file.read_text())
        content["config"]["hueshift:services"]["shop"]["routes"] = [
            {"hosts": [WWW], "slot": 1},
            {"hosts": [f"paths.{HOST}"], "paths": ["/health/*"], "slot": 2},
        ]
        file.write_text(yaml.safe_dump(content, sort_keys=False))
        cloud.update()
        assert cloud.curl(f"https://{WWW}/")[1]["x-color"] == "blue"
        assert cloud.curl(f"https://{WWW}/", "--header", "x-canary: true")[1]["x-color"] == "green"
        assert cloud.curl(f"https://paths.{HOST}/health/ready")[0] == 200
        assert cloud.curl(f"https://paths.{HOST}/")[0] == 404
        by_host, by_route = Load(limit=120, rate=100), Load(limit=120, rate=100, host=WWW)
        try:
            time.sleep(3)
            cloud.configure("activeColor", "green")
            changes = cloud.update()
            flipped = time.time() + SETTLED
            time.sleep(SETTLED + 5)
        finally:
            answers = [by_host.stop(), by_route.stop()]
        assert changes == {"update": 3}
        for found in answers:
            assert len(found) > 500
            assert [answer for answer in found if answer.code != 200] == []
            assert {answer.color for answer in found if answer.at > flipped} == {"green"}
