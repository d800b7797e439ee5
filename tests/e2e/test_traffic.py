"""The proof: no request is lost while traffic moves, a color is redeployed and pods are deleted."""

import os
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox import images, paths
from tests.e2e import cloud, report
from tests.e2e.cloud import Load

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

AT_LEAST = 100_000
SETTLED = 1.0
"""Seconds after an update until the load balancer has the new weights: its propagation delay is 0.5."""
Z_999 = 3.2905
"""The two-sided 99.9 % quantile of the normal distribution."""
ONE_UPDATE = {"update": 1}


def binomial_interval(share: float, trials: int) -> tuple[float, float]:
    """Return the 99.9 % interval of the observed share, by the normal approximation (trials·share ≫ 10 here)."""
    margin = Z_999 * (share * (1 - share) / trials) ** 0.5
    return share - margin, share + margin


def test_no_request_is_lost_while_traffic_moves_and_pods_come_and_go() -> None:
    images.build_and_push("1.5.1")
    phases: list[report.Phase] = []
    changes: dict[str, dict[str, int]] = {}

    def phase(name: str, action: Callable[[], object], rest: float) -> report.Phase:
        """Do one thing under load, then let traffic run for ``rest`` seconds; return the quiet part."""
        began = time.time()
        result = action()
        settled = time.time() + SETTLED
        if isinstance(result, dict):
            changes[name] = result
        time.sleep(SETTLED + rest)
        phases.append(report.Phase(name=name, started=began, ended=time.time()))
        return report.Phase(name=name, started=settled, ended=time.time())

    def set_and_update(**values: object) -> dict[str, int]:
        for path, value in values.items():
            cloud.configure(path, value)
        return cloud.update()

    def redeploy(color: str) -> dict[str, int]:
        cloud.configure(f"services.shop.colors.{color}.image", f"{paths.REGISTRY}/shop:1.5.1")
        cloud.configure(f"services.shop.colors.{color}.version", "1.5.1")
        return cloud.update()

    def delete_pods() -> None:
        for pod in cloud.pods("green"):
            cloud.kubectl("delete", "pod", pod["metadata"]["name"], "--wait=false")
            time.sleep(2)
            cloud.kubectl("rollout", "status", "deployment/shop-green", "--timeout=120s")

    with cloud.stack_file():
        load = Load(limit=600)
        try:
            steady = phase("blue", lambda: None, 10)
            canary = phase("canary 10 %", lambda: set_and_update(canaryWeight=10), 40)
            flipped = phase("flip to green", lambda: set_and_update(canaryWeight=0, activeColor="green"), 14)
            phase("redeploy idle blue", lambda: redeploy("blue"), 4)
            phase("redeploy active green", lambda: redeploy("green"), 7)
            phase("delete green's pods", delete_pods, 7)
            back = phase("back to blue", lambda: set_and_update(activeColor="blue"), 10)
            missing = AT_LEAST / cloud.RATE + 5 - (time.time() - phases[0].started)
            phase("blue again", lambda: None, max(1.0, missing))
        finally:
            answers = load.stop()
    report.write(Path(os.environ.get("HUESHIFT_REPORT", paths.STATE / "report")), answers, phases)

    failed = [answer for answer in answers if answer.code != 200]
    assert len(answers) >= AT_LEAST
    assert not failed, (
        f"{len(failed)} of {len(answers)} failed: {Counter((a.code, a.error) for a in failed).most_common(5)}"
    )

    def colors(quiet: report.Phase) -> Counter[str]:
        return Counter(answer.color for answer in answers if quiet.started <= answer.at < quiet.ended)

    assert set(colors(steady)) == {"blue"}
    assert set(colors(flipped)) == {"green"}
    assert set(colors(back)) == {"blue"}
    seen = colors(canary)
    low, high = binomial_interval(0.1, seen.total())
    assert low <= seen["green"] / seen.total() <= high

    for name in ("canary 10 %", "flip to green", "back to blue"):
        assert changes[name] == ONE_UPDATE, name


def test_each_color_has_its_own_host_and_the_newer_one_the_canary_header_whatever_the_weights() -> None:
    def each_is_reached() -> None:
        for color in ("blue", "green"):
            status, headers, _ = cloud.curl(f"https://{color}.{cloud.HOST}:8443/")
            assert (status, headers["x-color"]) == (200, color)
        for _ in range(50):
            status, headers, _ = cloud.curl(f"https://{cloud.HOST}/", "--header", "x-canary: true")
            assert (status, headers["x-color"]) == (200, "green")

    with cloud.stack_file():
        each_is_reached()
        cloud.configure("canaryWeight", 10)
        cloud.update()
        each_is_reached()
        cloud.configure("canaryWeight", 0)
        cloud.configure("activeColor", "green")
        cloud.update()
        each_is_reached()


def test_a_client_stays_with_its_color_in_a_canary_and_moves_at_the_flip_and_the_way_back(tmp_path: Path) -> None:
    jar = ("--cookie", str(tmp_path / "jar"), "--cookie-jar", str(tmp_path / "jar"))

    def color() -> str:
        return cloud.curl(f"https://{cloud.HOST}/", *jar)[1]["x-color"]

    def new_client() -> str:
        (tmp_path / "jar").unlink(missing_ok=True)
        return color()

    with cloud.stack_file():
        cloud.configure("services.shop.timing.stickiness", 600)
        cloud.configure("canaryWeight", 50)
        assert cloud.update() == ONE_UPDATE
        time.sleep(SETTLED)
        cloud.wait_until("a client is sent to green", lambda: new_client() == "green")
        assert {color() for _ in range(30)} == {"green"}

        cloud.configure("canaryWeight", 0)
        assert cloud.update() == ONE_UPDATE
        time.sleep(SETTLED)
        assert {color() for _ in range(30)} == {"blue"}, "the way back moves whoever had a cookie"

        cloud.configure("canaryWeight", 50)
        cloud.update()
        time.sleep(SETTLED)
        cloud.wait_until("a client is sent to blue", lambda: new_client() == "blue")
        cloud.configure("canaryWeight", 0)
        cloud.configure("activeColor", "green")
        assert cloud.update() == ONE_UPDATE
        time.sleep(SETTLED)
        assert {color() for _ in range(30)} == {"green"}, "and so does the flip"


def test_another_port_loses_no_request() -> None:
    with cloud.stack_file():
        load = Load(limit=300, rate=100)
        try:
            time.sleep(2)
            cloud.configure("services.shop.port", 9000)
            changed = cloud.update()
            time.sleep(10)
        finally:
            answers = load.stop()
    # Both colors' Services and Deployments, and the security group's rule of that port for each network of the VPC.
    assert changed == {"update": 4, "create": 2, "delete": 2}
    assert len(answers) > 1000
    assert Counter((answer.code, answer.error) for answer in answers if answer.code != 200) == Counter()


def test_plain_http_is_redirected_to_https() -> None:
    status, headers, _ = cloud.curl(f"http://{cloud.HOST}/items?page=2")
    assert status == 301
    assert headers["location"] == f"https://{cloud.HOST}:443/items?page=2"


def test_an_unknown_host_gets_the_fixed_404_and_no_color() -> None:
    status, headers, _ = cloud.curl(f"https://{cloud.HOST}/", "--header", "Host: other.localhost")
    assert status == 404
    assert "x-color" not in headers
