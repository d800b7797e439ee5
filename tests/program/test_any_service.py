"""Services of other kinds than the reference service: not in Python, without a schema, without metrics or a version."""

from collections.abc import Mapping
from functools import cache
from typing import Any
from unittest.mock import patch

import pytest

from components.settings import RECORD, ran
from policy.checks import CHECKS
from tests.policy.test_checks import found, resources
from tests.support.engine import Engine
from tests.support.program import ROOT, Config, config, differences, run, unchanged

pytestmark = pytest.mark.slow

DIGEST = f"sha256:{'a' * 64}"


def nginx() -> dict[str, Any]:
    """Return a web server as its image is: it writes beside its files, says no version, and tells no metrics."""
    color = {"image": f"registry.example.com/web@{DIGEST}", "version": "1.0.0"}
    writes = {"cache": "/var/cache/nginx", "run": "/var/run"}
    return {
        "host": "web.example.com",
        "port": 8081,
        "colors": {"blue": color, "green": {**color, "parked": True}},
        "health": {"path": "/healthz", "livenessPath": "/healthz", "startupPath": "/healthz"},
        "metrics": {"enabled": False},
        "podTemplate": {
            "spec": {
                "securityContext": {"runAsUser": 101},
                "volumes": [
                    *({"name": name, "emptyDir": {}} for name in writes),
                    {"name": "site", "configMap": {"name": "web-site"}},
                ],
                "containers": [
                    {
                        "name": "app",
                        "volumeMounts": [
                            *({"name": name, "mountPath": path} for name, path in writes.items()),
                            {"name": "site", "mountPath": "/etc/nginx/conf.d", "readOnly": True},
                        ],
                    }
                ],
            }
        },
    }


def program_in_go() -> dict[str, Any]:
    """Return a program with one binary for all it does, and a database that another image migrates."""
    color = {"image": f"registry.example.com/ledger@{DIGEST}", "version": "2.0.0", "schema": "0003"}
    return {
        "host": "ledger.example.com",
        "port": 9000,
        "colors": {"blue": color, "green": {**color, "parked": True}},
        "migration": {
            "command": ["/goose", "-dir", "/migrations", "postgres", "$(LEDGER_URL)", "up-to", "{schema}"],
            "image": f"registry.example.com/ledger-schema@{DIGEST}",
        },
        "metrics": {"path": "/debug/metrics"},
        "podTemplate": {"spec": {"containers": [{"name": "app", "command": ["/ledger"], "args": ["serve"]}]}},
    }


@cache
def both(active: str) -> Engine:
    def beside(values: Config) -> None:
        for name, service in (("web", nginx()), ("ledger", program_in_go())):
            service["activeColor"] = active
            service["colors"][active].pop("parked", None)
            values["hueshift:services"][name] = service

    record = {**ran(ROOT / RECORD), "web": [DIGEST], "ledger": [DIGEST]}
    with patch("components.settings.load.ran", return_value=record):
        return run("production", beside)


def of(service: str) -> Mapping[str, Mapping[str, Any]]:
    """Return the inputs of what belongs to a service, by name."""
    return {r.name: r.inputs for r in both("blue").registrations.values() if r.name.startswith(f"{service}-")}


def container(deployment: Mapping[str, Any]) -> Mapping[str, Any]:
    (only,) = deployment["spec"]["template"]["spec"]["containers"]
    assert isinstance(only, Mapping)
    return only


def test_they_are_ready_for_production_as_they_are() -> None:
    assert found(resources(both("blue"))) == {}
    assert len(CHECKS) > 20


def test_a_service_without_a_schema_has_no_job_and_waits_for_none() -> None:
    assert [name for name in of("web") if "migrate" in name or "schema" in name] == []
    assert {name for name in of("ledger") if name.endswith("-job")} == {"ledger-migrate-0003-job"}


def test_a_web_server_is_asked_where_it_answers_and_writes_where_it_has_to() -> None:
    app = container(of("web")["web-blue-deployment"])
    probes = [app[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "readiness", "liveness")]
    assert probes == ["/healthz"] * 3
    assert [mount["mountPath"] for mount in app["volumeMounts"]] == [
        *("/tmp", "/var/cache/nginx", "/var/run", "/etc/nginx/conf.d")
    ]
    assert app["securityContext"]["readOnlyRootFilesystem"] is True
    group = of("web")["web-tg-blue"]
    assert group["healthCheck"]["path"] == "/healthz"


def test_of_a_service_that_tells_no_metrics_prometheus_judges_what_the_cluster_tells_and_cloudwatch_the_requests() -> (
    None
):
    web = of("web")
    assert "web-monitor" not in web
    assert "web-alerts-prometheus" not in web
    rules = web["web-blue-alerts-prometheus"]["spec"]["groups"][0]["rules"]
    assert {rule["alert"] for rule in rules} == {"TooFew", "Memory", "Cpu", "Restarts"}
    watched = {name for name, r in web.items() if name.startswith("web-blue-alerts-")}
    assert {"web-blue-alerts-errors", "web-blue-alerts-latency-p99", "web-blue-alerts-canary-errors"} <= watched
    assert of("ledger")["ledger-monitor"]["spec"]["podMetricsEndpoints"][0]["path"] == "/debug/metrics"


def test_a_program_in_go_is_started_and_migrated_by_its_own_commands() -> None:
    ledger = of("ledger")
    app = container(ledger["ledger-blue-deployment"])
    assert (app["command"], app["args"]) == (["/ledger"], ["serve"])
    job = container(ledger["ledger-migrate-0003-job"])
    assert job["command"][-2:] == ["up-to", "0003"]
    assert job["image"] == f"registry.example.com/ledger-schema@{DIGEST}"


def test_nothing_of_the_services_beside_them_changes() -> None:
    changed = {urn.split("::")[-1] for urn in differences(unchanged("production"), both("blue"))}
    assert [name for name in changed if name.split("-")[0] in config("production")["hueshift:services"]] == []
