"""Alerts as rules of the Prometheus Operator."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource

from components.model import namespace
from components.observe.alert_catalog import Alert
from components.observe.cloudwatch import AlarmContext
from components.rules import MEMORY_UNITS
from components.spec import Resources


def prometheus_rules(
    resource: str,
    parent: pulumi.Resource,
    metadata: Mapping[str, Any],
    rules: Iterable[Mapping[str, object]],
    selected_by: Mapping[str, str] | None,
) -> None:
    """Make a PrometheusRule of ``rules``; none without any, nor where ``selected_by``, its labels, is None."""
    rules = list(rules)
    if selected_by is None or not rules:
        return
    CustomResource(
        resource,
        api_version="monitoring.coreos.com/v1",
        kind="PrometheusRule",
        metadata={**metadata, "labels": {**metadata["labels"], **selected_by}},
        spec={"groups": [{"name": metadata["name"], "rules": rules}]},
        opts=pulumi.ResourceOptions(parent=parent),
    )


def prometheus_rule(
    alert: Alert, whose: AlarmContext, own: Mapping[str, str], resources: Resources | None = None
) -> dict[str, object]:
    """Return the alert as a rule of a PrometheusRule, for the samples with the labels ``own`` only."""
    how = alert.prometheus
    assert how is not None
    condition = f"{how.value} {alert.comparison} {alert.threshold:g}" + (f" and {how.enough}" if how.enough else "")
    return {
        "alert": alert.title,
        "expr": condition % matchers(own, resources),
        "for": f"{how.hold}s",
        "labels": {
            **own,
            "severity": alert.severity.value,
            **({"owner": whose.routing.owner} if whose.routing.owner else {}),
        },
        "annotations": {
            "summary": f"{whose.about}: {alert.summary}",
            "description": f"{alert.reason} Not seen: {alert.blind_spot}",
            # A template of Alertmanager makes a link of runbook_url.
            "runbook_url" if whose.routing.runbooks else "runbook": alert.page(whose.runbooks),
            **({"owner": whose.routing.owner} if whose.routing.owner else {}),
            **({"on_call": whose.routing.on_call} if whose.routing.on_call else {}),
        },
    }


def matchers(own: Mapping[str, str], resources: Resources | None = None) -> Mapping[str, object]:
    """Return what stands in the alerts' expressions for the labels ``own`` of samples, by placeholder.

    What the kubelet (cAdvisor) and kube-state-metrics tell has none of these: it is matched by names.
    """
    home = f'namespace="{namespace(own["environment"], own["service"])}"'
    deployment = f"{own['service']}-{own.get('color', '')}"
    return {
        "own": ",".join(f'{label}="{value}"' for label, value in own.items()),
        # A Deployment's pods are called after it, its ReplicaSet, and five characters; a migration's are not.
        "pods": f'{home},container="app",pod=~"{deployment}-[a-z0-9]+-[a-z0-9]{{5}}"',
        "deployment": f'{home},deployment="{deployment}"',
        "memory": _bytes(resources.memory) if resources else 0,
        "cpu": _cores(resources.cpu) if resources else 0,
    }


def _bytes(memory: str) -> int:
    unit = memory.lstrip("0123456789")
    return int(memory.removesuffix(unit)) * MEMORY_UNITS[unit]


def _cores(cpu: str) -> float:
    return float(Decimal(cpu.removesuffix("m")) / (1000 if cpu.endswith("m") else 1))
