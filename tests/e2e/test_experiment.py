"""An A/B test on the local cloud: who is in the cohort sees the variant, stays with it, and is counted apart."""

import json
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox import paths
from tests.e2e import cloud
from tests.e2e.cloud import Load

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

SETTLED = 1.0
"""Seconds after an update until the load balancer has it: its propagation delay is 0.5."""
SECONDS = 20
RATE = 200


def begin(file: Path, name: str, **cohort: object) -> dict[str, int]:
    """Give shop an experiment of an hour, and return what the update changed."""
    now = datetime.now(UTC).replace(microsecond=0)
    content = yaml.safe_load(file.read_text())
    content["config"]["hueshift:releases"] = {"prometheus": paths.PROMETHEUS_URL}
    content["config"]["hueshift:services"]["shop"]["experiment"] = {
        "name": name,
        "since": now.isoformat(),
        "until": (now + timedelta(hours=1)).isoformat(),
        "metric": "http_requests_total",
        **cohort,
    }
    file.write_text(yaml.safe_dump(content))
    changed = cloud.update()
    time.sleep(SETTLED)
    return changed


def color(*arguments: str) -> str:
    return cloud.curl(f"https://{cloud.HOST}/", *arguments)[1]["x-color"]


def test_a_cohort_by_cookie_sees_the_variant_and_a_flip_meanwhile_is_refused() -> None:
    with cloud.stack_file() as file:
        changed = begin(file, "by-cookie", cookie={"name": "cohort", "value": "b"})
        assert changed == {"create": 2, "update": 1}, "two rules of the cohort, and the tag of the production rule"
        for cookie in ("cohort=b", "theme=dark; cohort=b; z=1"):
            assert {color("--cookie", cookie) for _ in range(10)} == {"green"}
        for cookie in ("cohort=b2", "mycohort=b", "cohort=a"):
            assert {color("--cookie", cookie) for _ in range(5)} == {"blue"}
        assert {color() for _ in range(10)} == {"blue"}

        text = file.read_text()
        cloud.configure("activeColor", "green")
        refused = cloud.pulumi("up", "--yes", "--skip-preview", check=False)
        assert refused.returncode != 0
        assert "while the experiment by-cookie runs" in refused.stdout + refused.stderr
        assert color() == "blue"
        assert color("--cookie", "cohort=b") == "green"
        file.write_text(text)


def test_a_random_cohort_is_shared_out_evenly_stays_and_is_counted_by_variant(tmp_path: Path) -> None:
    with cloud.stack_file() as file:
        assert begin(file, "at-random", percent=50) == {"update": 1}
        load = Load(limit=SECONDS + 10, rate=RATE)
        time.sleep(SECONDS)
        answers = load.stop()
        assert {answer.code for answer in answers} == {200}
        seen = Counter(answer.color for answer in answers)
        number = seen.total()
        assert number > 0.9 * SECONDS * RATE
        shared = (seen["green"] - number / 2) ** 2 / (number / 4)
        assert shared < 15.14, f"the 99.99 % quantile of chi-square; {seen}"

        first = set()
        for client in range(16):
            jar = ("--cookie", str(tmp_path / f"{client}"), "--cookie-jar", str(tmp_path / f"{client}"))
            its = color(*jar)
            assert {color(*jar) for _ in range(5)} == {its}
            first.add(its)
        assert first == {"blue", "green"}

        def measured() -> dict[str, Any]:
            found = cloud.run("hueshift", "experiment", "status", "--stack", "sandbox", "--json", check=False)
            assert found.returncode in (0, 4), found.stderr
            return dict(json.loads(found.stdout)["experiments"]["shop"]["measures"]["http_requests_total"])

        # Prometheus reads the pods every 30 seconds, and readings are counted whole.
        cloud.wait_until("all requests are counted", lambda: sum(measured()["requests"].values()) >= 0.95 * number, 120)
        measure = measured()
        for each in ("blue", "green"):
            assert measure["requests"][each] == pytest.approx(seen[each], rel=0.25)
        assert measure["low"] < 0 < measure["high"], "each request is one request, for either color"
