"""Which alerts fire in Prometheus and which do not, as Prometheus' own `promtool` evaluates the rules.

Every series has the labels of an ordinary kube-prometheus-stack: what the pods tell has those of their PodMonitor; what
the kubelet and kube-state-metrics tell has no color, and a `service` that is not ours.
"""

import json
import subprocess
from collections.abc import Iterable
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from components.model import Color
from components.observe.alert_rules import AlertRules, ServiceAlerts
from components.observe.dashboard import model
from components.spec import Resources
from sandbox import prometheus
from tests.support import samples
from tests.support.engine import Engine, in_stack, installed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]  # the first waits for the build of promtool, once

STEP = 30
"""Seconds between two scrapes, as is usual."""
EVALUATION = 25
"""Seconds between two evaluations, which keep no step with scrapes."""
BUCKETS = ("0.5", "1", "2.5", "5", "+Inf")
PODS = {"blue": "shop-blue-6c5d8b7f49-hk2lm", "green": "shop-green-5d4f7c9b6-x2x7q"}
POD = PODS["green"]
LIMIT = 128 * 2**20
Series = dict[str, str]


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the rules of both colors and of the service as Prometheus reads them."""
    groups: list[Any] = []

    async def program(engine: Engine) -> None:
        for color in Color:
            AlertRules(
                f"shop-{color}",
                samples.change(
                    samples.ALERTS,
                    color=color,
                    resources=Resources(cpu="100m", memory="128Mi"),
                ),
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
    assert "21 rules found" in promtool("check", "rules", "--lint=all", "--lint-fatal", rules)


def test_prometheus_takes_every_query_of_the_dashboard(tmp_path: Path) -> None:
    shown = model("staging", samples.DASHBOARD.services)
    asked = [target["expr"] for panel in shown["panels"] for target in panel.get("targets", ())]
    asked += [annotation["expr"] for annotation in shown["annotations"]["list"]]
    rules = [{"record": f"asked_{number}", "expr": expression} for number, expression in enumerate(asked)]
    file = tmp_path / "dashboard.yml"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    assert f"{len(asked)} rules found" in promtool("check", "rules", file)
    assert len(asked) > 20


# What happens, as series


def series(metric: str, **labels: str) -> str:
    return metric + "{" + ",".join(f'{name}="{value}"' for name, value in labels.items()) + "}"


def told(metric: str, color: str, **more: str) -> str:
    """Return what a pod tells: the Operator adds where it is from, the relabelings of the PodMonitor whose it is."""
    own = {"service": "shop", "color": color, "environment": "staging"}
    place = {"namespace": "staging-shop", "pod": PODS[color], "container": "app", "endpoint": "http"}
    return series(metric, **own, **place, instance=f"{color}:8080", job="staging-shop/shop", **more)


def scraped(color: str, values: str = "1x80", **more: str) -> Series:
    return {told("up", color, **more): values}


def climb(*rates: tuple[float, int]) -> str:
    """Return a counter that climbs at each rate, in events a second, for so many minutes."""
    parts, value = [], 0.0
    for rate, minutes in rates:
        steps = minutes * 60 // STEP
        parts.append(f"{value:g}+{rate * STEP:g}x{steps - 1}")
        value += rate * STEP * steps
    return " ".join(parts)


def serves(color: str, *rates: tuple[float, int], failing: float = 0) -> Series:
    """Return a color with so many requests a second, of which a share is answered with 500."""
    good = climb(*((rate * (1 - failing), minutes) for rate, minutes in rates))
    bad = climb(*((rate * failing, minutes) for rate, minutes in rates))
    found = {**scraped(color), requests(color, "200"): good}
    return found | ({requests(color, "500"): bad} if failing else {})


def requests(color: str, status: str) -> str:
    return told("http_requests_total", color, method="GET", route="/items", status=status, version="1.5.0")


def answers(color: str, *shares: float, rate: float = 10, minutes: int = 30) -> Series:
    """Return how many of the requests are in each bucket of the histogram."""
    total, found = 0.0, {}
    for bound, share in zip(BUCKETS, shares, strict=True):
        total += share
        bucket = told("http_request_duration_seconds_bucket", color, method="GET", route="/items", le=bound)
        found[bucket] = climb((rate * total, minutes))
    return found


def container(metric: str, values: str, *, namespace: str = "staging-shop", pod: str = POD, **more: str) -> Series:
    """Return what cAdvisor in the kubelet tells: of a container, and of the whole pod without a container's name."""
    kubelet = {"endpoint": "https-metrics", "instance": "10.0.0.5:10250", "job": "kubelet", "node": "ip-10-0-0-5"}
    kubelet |= {"metrics_path": "/metrics/cadvisor", "service": "kube-prometheus-stack-kubelet"}
    of_pod = {"namespace": namespace, "pod": pod, "id": f"/kubepods.slice/{pod}", **more}
    of_container = of_pod | {"container": "app", "id": f"/kubepods.slice/{pod}/cri", "image": "shop", "name": "3f2c"}
    return {series(metric, **kubelet, **of_container): values, series(metric, **kubelet, **of_pod): "99999999999x80"}


def state(metric: str, values: str, **labels: str) -> Series:
    """Return what kube-state-metrics tells."""
    own = {"endpoint": "http", "instance": "10.0.0.9:8080", "job": "kube-state-metrics"}
    service = "kube-prometheus-stack-kube-state-metrics"
    return {series(metric, **own, service=service, namespace="staging-shop", **labels): values}


def restarts(*minutes: int) -> Series:
    """Return a container that starts again at these minutes."""
    ends = [*(minute * 60 // STEP for minute in minutes), 80]
    counts = [f"{count}x{end - begin - 1}" for count, (begin, end) in enumerate(pairwise([0, *ends]))]
    metric = "kube_pod_container_status_restarts_total"
    return state(metric, " ".join(counts), container="app", pod=POD, uid="3f2c1ab0-0000-4000-8000-000000000000")


def available(color: str, *counts: tuple[int, int]) -> Series:
    """Return a Deployment with so many available pods for so many minutes."""
    values = " ".join(f"{count}x{minutes * 60 // STEP - 1}" for count, minutes in counts)
    return state("kube_deployment_status_replicas_available", values, deployment=f"shop-{color}")


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
        SERVES | serves("green", (10, 30)) | {requests("green", "500"): climb((0, 10), (10, 1), (0, 19))},
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
        SERVES | scraped("green") | {told("up", "green").replace(POD, "shop-green-5d4f7c9b6-9p4rt"): "1x10 0x50"},
        {8: [], 12: [("Unhealthy", "green")]},
    ),
    "memory grows": (
        SERVES | container("container_memory_working_set_bytes", f"{0.8 * LIMIT:.0f}x19 {0.95 * LIMIT:.0f}x40"),
        {12: [], 17: [("Memory", "green")]},
    ),
    "too much to compute": (
        SERVES | container("container_cpu_usage_seconds_total", climb((0.2, 30)), cpu="total"),
        {10: [], 20: [("Cpu", "green")]},
    ),
    "as much to compute as the autoscaler aims at": (
        SERVES | container("container_cpu_usage_seconds_total", climb((0.07, 30)), cpu="total"),
        {25: []},
    ),
    "a container crashes again and again": (SERVES | restarts(5, 6, 8, 11), {7: [], 10: [("Restarts", "green")]}),
    "a container restarts twice": (SERVES | restarts(20, 24), {28: []}),
    "one of two pods is gone": (
        SERVES | available("blue", (2, 40)) | available("green", (2, 10), (1, 20)),
        {14: [], 16: [("TooFew", "green")]},
    ),
    "a pod is replaced": (SERVES | available("green", (2, 10), (1, 4), (2, 16)), {13: [], 16: [], 20: []}),
    "a new color needs four minutes": (SERVES | available("green", (0, 4), (2, 20)), {5: [], 10: []}),
    "all pods of a color are gone": (SERVES | available("green", (2, 10), (0, 20)), {16: [("TooFew", "green")]}),
    "pods that are not of a color take too much": (
        SERVES
        | container("container_memory_working_set_bytes", f"{LIMIT}x80", namespace="staging-admin")
        | container("container_memory_working_set_bytes", f"{LIMIT}x80", pod="shop-migrate-0002-x2x7q")
        | container("container_memory_working_set_bytes", f"{LIMIT}x80", pod="shop-green-admin-5d4f7c9b6-x2x7q"),
        {20: []},
    ),
    "a flip": (
        serves("blue", (10, 15), (0, 15)) | serves("green", (0, 15), (10, 15)),
        {14: [], 18: [], 22: [], 29: []},
    ),
    "nobody comes": (serves("blue", (10, 20), (0, 20)), {22: [], 28: [("Traffic", ""), ("TrafficDrop", "")]}),
    "nobody ever came": (scraped("blue"), {4: [], 10: [("Traffic", "")], 20: [("Traffic", "")]}),
    "nothing was ever scraped": ({}, {10: [], 14: [], 16: [("NoMetrics", "")]}),
    "no pod is found any more": (
        {name: f"{values} stale" for name, values in serves("blue", (10, 20)).items()} | scraped("blue", "1x39 stale"),
        {30: [], 34: [], 37: [("NoMetrics", "")]},
    ),
    "no pod can be reached any more": (
        {name: f"{values} stale" for name, values in serves("blue", (10, 20)).items()} | scraped("blue", "1x39 0x80"),
        {22: [], 30: [("Unhealthy", "blue")], 37: [("Unhealthy", "blue"), ("NoMetrics", "")]},
    ),
    "two thirds stay away": (
        serves("blue", (10, 20), (3, 40)),
        {22: [], 26: [("TrafficDrop", "")], 45: []},
    ),
    "a third stays away": (serves("blue", (9, 20), (6, 20)), {26: [], 35: []}),
    "many more come": (serves("blue", (1, 20), (20, 20)), {22: [], 26: [], 35: []}),
}


@pytest.mark.parametrize("case", CASES)
def test_the_right_alerts_fire_and_no_other(case: str, rules: Path) -> None:
    happens, moments = CASES[case]
    test = {
        "interval": f"{STEP}s",
        "input_series": [{"series": name, "values": values} for name, values in happens.items()],
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
    file.write_text(json.dumps({"rule_files": [rules.name], "evaluation_interval": f"{EVALUATION}s", "tests": [test]}))
    promtool("test", "rules", file)
