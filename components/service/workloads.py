"""What runs of a color's image beside the pods that serve: workers, and jobs at set times."""

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
from pulumi_kubernetes import apps, batch, meta, networking, policy

from components.context.context import ColorContext
from components.model import Given, version_label
from components.rules import WORKLOAD
from components.service.color_environment import ColorEnvironment
from components.service.identity import WorkloadIdentity
from components.service.workload import (
    RESTRICTED_CONTAINER,
    RESTRICTED_POD,
    TMP_MOUNT,
    TMP_VOLUME,
    budget,
    environment_variables,
    network_policy,
    requirements,
)
from components.spec import Service, Workload


def run_workloads(
    name: str,
    *,
    spec: Service,
    context: ColorContext,
    namespace: pulumi.Input[str],
    image: pulumi.Input[str],
    environment: ColorEnvironment,
    identity: WorkloadIdentity | None,
    parent: pulumi.Resource,
) -> None:
    """Declare the workloads of a color, with its configuration, secrets and role, once its pods are ready.

    They take no requests: neither the Service of the color nor its budget selects them. A rule waits for none of them.
    """
    child = pulumi.ResourceOptions(parent=parent)
    after: list[pulumi.Resource] = [environment.deployment]
    if spec.workloads and identity is not None and identity.pod_identity:
        # All else of a namespace without a policy of its own is closed, the agent of the node too.
        agent = networking.v1.NetworkPolicy(
            f"{name}-workloads",
            metadata={"name": f"{context.name}-workloads", "namespace": namespace, "labels": context.labels},
            spec=network_policy(_match(context), egress=spec.egress, pod_identity=True),
            opts=child,
        )
        after.append(agent)
    for called, workload in spec.workloads.items():
        labels = {**context.labels, WORKLOAD: called}
        fixed = meta.v1.ObjectMetaArgs(name=f"{context.name}-{called}", namespace=namespace, labels=labels)
        stopped = spec.colors[context.color].parked or (
            workload.runs == "active" and context.color != spec.active_color
        )
        timeout = f"{spec.timing.await_timeout}s"
        options = pulumi.ResourceOptions(
            parent=parent,
            depends_on=after,
            custom_timeouts=pulumi.CustomTimeouts(create=timeout, update=timeout),
        )
        template = _template(called, workload, spec, context, image, environment.env_from, identity)
        if workload.schedule is not None:
            batch.v1.CronJob(
                f"{name}-{called}",
                metadata=fixed,
                spec={
                    "schedule": workload.schedule,
                    "timeZone": "Etc/UTC",
                    "suspend": stopped,
                    # A run that takes longer than the time between two is not overtaken by the next.
                    "concurrencyPolicy": "Forbid",
                    "jobTemplate": {"spec": {"backoffLimit": 2, "template": template}},
                },
                opts=options,
            )
            continue
        match = {**_match(context), WORKLOAD: called}
        policy.v1.PodDisruptionBudget(f"{name}-{called}-budget", metadata=fixed, spec=budget(match), opts=child)
        apps.v1.Deployment(
            f"{name}-{called}",
            metadata=fixed,
            spec={
                "replicas": 0 if stopped else workload.replicas,
                "selector": {"matchLabels": match},
                "template": template,
            },
            opts=options,
        )


def _match(context: ColorContext) -> dict[str, str]:
    """Return what tells the pods of a color's workloads, and none that serve: those have the label of a color."""
    return {"app.kubernetes.io/name": context.service, "hueshift.dev/workload-color": context.color.value}


def _template(
    called: str,
    workload: Workload,
    spec: Service,
    context: ColorContext,
    image: pulumi.Input[str],
    env_from: Sequence[Mapping[str, Any]],
    identity: WorkloadIdentity | None,
) -> dict[str, Any]:
    version = spec.colors[context.color].version
    labels = {key: value for key, value in context.labels.items() if key != "hueshift.dev/color"}
    annotations = identity.pod_annotations if identity else {}
    metadata = {"labels": {**labels, **_match(context), WORKLOAD: called, **version_label(version)}}
    return {
        "metadata": {**metadata, **({"annotations": annotations} if annotations else {})},
        "spec": {
            "serviceAccountName": context.name,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": workload.grace_period,
            "securityContext": RESTRICTED_POD,
            "volumes": [TMP_VOLUME],
            **({"restartPolicy": "Never"} if workload.schedule is not None else _spread(context, called)),
            "containers": [
                {
                    "name": "workload",
                    "image": image,
                    "command": list(workload.command),
                    "env": environment_variables({Given.APP_VERSION: version, Given.APP_COLOR: context.color}),
                    "envFrom": list(env_from),
                    "resources": requirements(workload.resources),
                    "securityContext": RESTRICTED_CONTAINER,
                    "volumeMounts": [TMP_MOUNT],
                }
            ],
        },
    }


def _spread(context: ColorContext, called: str) -> dict[str, Any]:
    return {
        "topologySpreadConstraints": [
            {
                "topologyKey": "kubernetes.io/hostname",
                "maxSkew": 1,
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": {**_match(context), WORKLOAD: called}},
            }
        ]
    }
