"""Workers and scheduled jobs of a service: whose they are, where they run, and what a flip does to them."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest

from components.model import Color
from tests.policy.test_checks import found, resources
from tests.support.engine import Engine
from tests.support.program import Config, differences, run

pytestmark = pytest.mark.slow

COLORS = tuple(Color)


@cache
def stack(runs: str, *changes: str) -> Engine:
    """Run production with a worker and a job of shop, then flipped or with green parked."""

    def change(values: Config) -> None:
        shop = values["hueshift:services"]["shop"]
        shop["workloads"] = {
            "mailer": {"command": ["/shop", "mail"], "runs": runs, "replicas": 2},
            "report": {"command": ["/shop", "report"], "runs": runs, "schedule": "15 3 * * *"},
        }
        shop["activeColor"] = "green" if "flipped" in changes else "blue"
        if "parked" in changes:
            shop["colors"]["green"]["parked"] = True
        else:
            shop["colors"]["green"].pop("parked", None)

    return run("production", change)


def inputs(engine: Engine, name: str, kind: str = "") -> Mapping[str, Any]:
    (only,) = [r for r in engine.registrations.values() if r.name == name and r.type.endswith(kind)]
    return only.inputs


def running(engine: Engine) -> dict[str, tuple[int, bool]]:
    """Return by color how many pods the worker has, and whether the job runs at its times."""
    return {
        color: (
            inputs(engine, f"shop-{color}-mailer", "Deployment")["spec"]["replicas"],
            not inputs(engine, f"shop-{color}-report", "CronJob")["spec"]["suspend"],
        )
        for color in COLORS
    }


def changed(before: Engine, after: Engine) -> dict[str, set[str]]:
    return {urn.split("::")[-1]: paths for urn, paths in differences(before, after).items()}


def test_both_colors_have_them_and_a_flip_changes_one_rule() -> None:
    assert running(stack("both")) == {"blue": (2, True), "green": (2, True)}
    assert changed(stack("both"), stack("both", "flipped")).keys() == {"shop-traffic-production"}


def test_those_of_the_active_color_follow_it_and_a_flip_changes_them_and_nothing_else() -> None:
    assert running(stack("active")) == {"blue": (2, True), "green": (0, False)}
    assert running(stack("active", "flipped")) == {"blue": (0, False), "green": (2, True)}
    rule = "shop-traffic-production"
    found = changed(stack("active"), stack("active", "flipped"))
    assert {name: paths for name, paths in found.items() if name != rule} == {
        f"shop-{color}-{name}": {path}
        for color in COLORS
        for name, path in (("mailer", "spec.replicas"), ("report", "spec.suspend"))
    }
    assert rule in found


@pytest.mark.parametrize("runs", ["both", "active"])
def test_a_parked_color_has_none(runs: str) -> None:
    assert running(stack(runs, "parked"))["green"] == (0, False)


def test_their_pods_take_no_requests_and_have_what_the_colors_pods_have() -> None:
    engine = stack("both")
    pods = inputs(engine, "shop-green-mailer", "Deployment")["spec"]["template"]
    labels = pods["metadata"]["labels"]
    for name in ("service", "budget", "network"):
        spec = inputs(engine, f"shop-green-{name}")["spec"]
        selector = spec.get("podSelector") or spec["selector"]
        match = selector.get("matchLabels", selector)
        assert not match.items() <= labels.items(), name
    (worker,) = pods["spec"]["containers"]
    (app,) = inputs(engine, "shop-green-deployment")["spec"]["template"]["spec"]["containers"]
    assert {key: worker[key] for key in ("image", "envFrom", "securityContext")} == {
        key: app[key] for key in ("image", "envFrom", "securityContext")
    }
    assert worker["command"] == ["/shop", "mail"]
    assert pods["spec"]["serviceAccountName"] == "shop-green"
    assert "ports" not in worker


def test_they_come_after_the_pods_that_serve_and_no_rule_waits_for_them() -> None:
    engine = stack("active")
    (worker,) = [r for r in engine.registrations.values() if r.name == "shop-blue-mailer"]
    assert "shop-blue-deployment" in {urn.split("::")[-1] for urn in engine.ancestry(worker.urn)}
    rules = [r for r in engine.registrations.values() if r.name.startswith("shop-traffic-") and r.custom]
    assert rules
    for rule in rules:
        assert worker.urn not in engine.ancestry(rule.urn)


def test_production_takes_them_as_they_are_and_judges_their_images() -> None:
    assert found(resources(stack("both"))) == {}
    kept = resources(stack("active"))
    for resource in kept:
        if resource.name == "shop-blue-report":
            job = resource.properties["spec"]["jobTemplate"]["spec"]["template"]["spec"]
            job["containers"][0]["image"] = "shop:1.4.0"
    assert found(kept) == {"pinned-images": ["shop-blue-report"]}
