"""Which alerts fire in Prometheus and which do not, as Prometheus' own `promtool` evaluates the rules."""

import json
import subprocess
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from components.alert_rules import AlertRules, ServiceAlerts
from components.model import Color, Resources
from sandbox import prometheus
from tests import samples
from tests.engine import Engine, in_stack, installed

pytestmark = pytest.mark.slow

STEP = 30
"""Seconds between two scrapes, as is usual."""
BUCKETS = ("0.5", "1", "2.5", "5", "+Inf")
POD = "shop-green-5d4f7c9b6-x2x7q"
LIMIT = 128 * 2**20
Series = dict[str, str]


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the rules of both colors and of the service as Prometheus reads them."""
    groups: list[Any] = []

    async def program(engine: Engine) -> None:
        for color in Color:
            AlertRules(
                f"shop-{color}", replace(samples.ALERTS, color=color, resources=Resources(cpu="100m", memory="128Mi"))
            )
        ServiceAlerts("shop-all", samples.SERVICE_ALERTS)
        for rule in await engine.of_type("PrometheusRule"):
            groups.extend(rule.inputs["spec"]["groups"])

    with installed() as engine:
        in_stack(program)(engine)
    file = tmp_path_factory.mktemp("rules") / "rules.yml"
    file.write_text(json.dumps({"groups": groups}))
    return file


program = cache(prometheus.program)


def promtool(*arguments: str | Path) -> str:
    done = subprocess.run([program("promtool"), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_prometheus_takes_the_rules(rules: Path) -> None:
    assert "18 rules found" in promtool("check", "rules", "--lint=all", "--lint-fatal", rules)


# What happens, as series


def labels(color: str, more: str = "") -> str:
    return f'service="shop",color="{color}",environment="staging"{more}'


def climb(*rates: tuple[float, int]) -> str:
    """A counter that climbs at each rate, in events a second, for so many minutes."""
    parts, value = [], 0.0
    for rate, minutes in rates:
        steps = minutes * 60 // STEP
        parts.append(f"{value:g}+{rate * STEP:g}x{steps - 1}")
        value += rate * STEP * steps
    return " ".join(parts)


def serves(color: str, *rates: tuple[float, int], failing: float = 0) -> Series:
    """A color with so many requests a second, of which a share is answered with 500."""
    good = climb(*((rate * (1 - failing), minutes) for rate, minutes in rates))
    bad = climb(*((rate * failing, minutes) for rate, minutes in rates))
    series = {f"http_requests_total{{{labels(color, ',status=' + chr(34) + '200' + chr(34))}}}": good}
    if failing:
        series[f"http_requests_total{{{labels(color, ',status=' + chr(34) + '500' + chr(34))}}}"] = bad
    return series


def answers(color: str, *shares: float, rate: float = 10, minutes: int = 30) -> Series:
    """How many of the requests are in each bucket of the histogram."""
    total, series = 0.0, {}
    for bound, share in zip(BUCKETS, shares, strict=True):
        total += share
        more = f',le="{bound}"'
        series[f"http_request_duration_seconds_bucket{{{labels(color, more)}}}"] = climb((rate * total, minutes))
    return series


def container(metric: str, values: str) -> Series:
    return {f'{metric}{{namespace="staging-shop",container="app",pod="{POD}"}}': values}


def starts(*minutes: int) -> Series:
    """A container that starts again at these minutes; cAdvisor begins a series for each start."""
    series = {}
    for number, (begin, end) in enumerate(zip(minutes, [*minutes[1:], 30], strict=True)):
        before, during = begin * 60 // STEP, (end - begin) * 60 // STEP
        name = f'container_start_time_seconds{{namespace="staging-shop",container="app",pod="{POD}",id="{number}"}}'
        # A step without a value is "_"; a series that ends is stale.
        series[name] = f"{f'_x{before} ' if before else ''}{begin * 60}x{during - 1} stale"
    return series


FAST = (0.5, 0.5, 0, 0, 0)
SERVES = {**serves("blue", (10, 30)), **answers("blue", *FAST)}
"""Blue does its work, fast, whatever happens to green."""

CASES: dict[str, tuple[Series, dict[int, Iterable[tuple[str, str]]]]] = {
    "both serve": (SERVES | serves("green", (10, 30)) | answers("green", *FAST), {20: []}),
    "one in ten fails": (
        SERVES | serves("green", (10, 30), failing=0.1),
        {4: [("CanaryErrors", "green")], 8: [("CanaryErrors", "green"), ("Errors", "green")]},
    ),
    "one in fifty fails": (SERVES | serves("green", (10, 30), failing=0.02), {20: [("CanaryErrors", "green")]}),
    "one in two hundred fails": (SERVES | serves("green", (10, 30), failing=0.005), {20: []}),
    "all of few fail": (SERVES | serves("green", (0.2, 30), failing=1), {20: [("CanaryErrors", "green")]}),
    "all of hardly any fail": (SERVES | serves("green", (0.15, 30), failing=1), {20: []}),
    "a minute of failures": (
        SERVES
        | serves("green", (10, 30))
        | {f'http_requests_total{{{labels("green")},status="500"}}': climb((0, 10), (10, 1), (0, 19))},
        {12: [], 14: [("CanaryErrors", "green")], 24: []},
    ),
    "one in ten takes two seconds": (
        SERVES | serves("green", (10, 30)) | answers("green", 0.5, 0.4, 0.1, 0, 0),
        {20: [("LatencyP95", "green")]},
    ),
    "one in fifty takes four seconds": (
        SERVES | serves("green", (10, 30)) | answers("green", 0.9, 0.08, 0, 0.02, 0),
        {20: [("LatencyP99", "green")]},
    ),
    "all take ten seconds": (
        SERVES | serves("green", (10, 30)) | answers("green", 0, 0, 0, 0, 1),
        {20: [("LatencyP95", "green"), ("LatencyP99", "green")]},
    ),
    "hardly any are slow": (SERVES | serves("green", (0.2, 30)) | answers("green", 0, 0, 0, 0, 1, rate=0.2), {20: []}),
    "a pod does not answer": (
        SERVES | {f'up{{{labels("green")},pod="a"}}': "1x60", f'up{{{labels("green")},pod="b"}}': "1x10 0x50"},
        {8: [], 12: [("Unhealthy", "green")]},
    ),
    "memory grows": (
        SERVES | container("container_memory_working_set_bytes", f"{0.8 * LIMIT:.0f}x19 {0.95 * LIMIT:.0f}x40"),
        {12: [], 17: [("Memory", "green")]},
    ),
    "too much to compute": (
        SERVES | container("container_cpu_usage_seconds_total", climb((0.2, 30))),
        {10: [], 20: [("Cpu", "green")]},
    ),
    "as much to compute as the autoscaler aims at": (
        SERVES | container("container_cpu_usage_seconds_total", climb((0.07, 30))),
        {25: []},
    ),
    "a container crashes again and again": (SERVES | starts(0, 5, 6, 8, 11), {7: [], 10: [("Restarts", "green")]}),
    "a container restarts twice": (SERVES | starts(0, 5, 9), {12: []}),
    "a flip": (
        serves("blue", (10, 15), (0, 15)) | serves("green", (0, 15), (10, 15)),
        {14: [], 18: [], 22: [], 29: []},
    ),
    "nobody comes": (serves("blue", (10, 20), (0, 20)), {22: [], 28: [("Traffic", ""), ("TrafficDrop", "")]}),
    "nobody ever came": ({}, {10: [("Traffic", "")]}),
    "two thirds stay away": (
        serves("blue", (10, 20), (3, 40)),
        {22: [], 26: [("TrafficDrop", "")], 45: []},
    ),
    "a third stays away": (serves("blue", (9, 20), (6, 20)), {26: [], 35: []}),
    "many more come": (serves("blue", (1, 20), (20, 20)), {22: [], 26: [], 35: []}),
}


@pytest.mark.parametrize("case", CASES)
def test_the_right_alerts_fire_and_no_other(case: str, rules: Path) -> None:
    series, moments = CASES[case]
    test = {
        "interval": f"{STEP}s",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {
                "expr": 'count by (alertname, color) (ALERTS{alertstate="firing"})',
                "eval_time": f"{minute}m",
                "exp_samples": [
                    {
                        "labels": f'{{alertname="{name}"' + (f',color="{color}"' if color else "") + "}",
                        "value": 1,
                    }
                    for name, color in firing
                ],
            }
            for minute, firing in moments.items()
        ],
    }
    file = rules.with_name("test.yml")
    file.write_text(json.dumps({"rule_files": [rules.name], "evaluation_interval": f"{STEP}s", "tests": [test]}))
    promtool("test", "rules", file)
