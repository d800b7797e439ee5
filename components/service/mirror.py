"""The mirror of one color: Envoy, which lets that color answer and sends copies to the other one."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pulumi
from pulumi_kubernetes import apps, core, meta, networking, policy

from components import rules
from components.context.context import ColorContext
from components.edge.network import Network
from components.model import Color, selector
from components.service.color_environment import lifecycle, spread, within
from components.service.entrance import Entrance, enter
from components.service.mirror_config import config, pods_host, probe_port
from components.service.workload import (
    RESTRICTED_CONTAINER,
    RESTRICTED_POD,
    budget,
    network_policy,
    patience,
    requirements,
)
from components.spec import Resources, Service

RESOURCES: Final = Resources(cpu="100m", memory="256Mi")
"""Of each pod. Envoy holds no more than what is under way."""

USER: Final = 65532
"""Nobody: the images of Envoy have a user that is root, or one by name, which the kubelet cannot judge."""

_PORT: Final = "mirror"
"""Of the pods, and not the name by which Prometheus finds those of the service."""
_PROBE: Final = "probe"
_COMPONENT: Final = {"app.kubernetes.io/component": "mirror"}
_MOUNT: Final = "/etc/mirror"
_FILE: Final = "envoy.json"


@dataclass(frozen=True, kw_only=True)
class MirrorArgs:
    """What other resources supply is an Input; the rest is plain, configuration decides it."""

    spec: Service
    """With shadow."""
    context: ColorContext
    """Of the color that answers."""
    namespace: pulumi.Input[str]
    entrance: Entrance
    """Into the color's mirror."""
    network: Network
    answering: pulumi.Resource
    """What the color's pods come with: a mirror is healthy when they are."""

    def __post_init__(self) -> None:
        if self.spec.shadow is None:
            raise ValueError(f"{self.context.service} has no shadow, and no mirror")


class Mirror(pulumi.ComponentResource):
    """Pods of Envoy behind a target group of their own; they are there as long as the color is not parked.

    One in each zone at least. The load balancer's health checks go through it to the color.
    """

    deployment: apps.v1.Deployment
    """Ready when the color is, through it."""

    def __init__(self, name: str, args: MirrorArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("hueshift:mirror:Mirror", name, None, opts)
        child, spec, context = pulumi.ResourceOptions(parent=self), args.spec, args.context
        color, labels = context.color, context.labels
        ours = {"app.kubernetes.io/name": context.service, **_COMPONENT}
        match = {**ours, "hueshift.dev/mirror": color.value}
        fixed = meta.v1.ObjectMetaArgs(
            name=f"{context.service}-mirror-{color}", namespace=args.namespace, labels={**labels, **_COMPONENT}
        )

        def of_pods(suffix: str) -> meta.v1.ObjectMetaArgs:
            return meta.v1.ObjectMetaArgs(name=f"{context.name}-{suffix}", namespace=args.namespace, labels=labels)

        # Without an address of its own: its name has those of the ready pods.
        pods = core.v1.Service(
            f"{name}-pods",
            metadata=meta.v1.ObjectMetaArgs(
                name=f"{context.name}-pods",
                namespace=args.namespace,
                labels=labels,
                annotations={"pulumi.com/skipAwait": "true"},
            ),
            spec=core.v1.ServiceSpecArgs(
                cluster_ip="None",
                selector=selector(labels),
                ports=[
                    core.v1.ServicePortArgs(name=rules.PORT, port=spec.port, target_port=rules.PORT, protocol="TCP")
                ],
            ),
            opts=child,
        )
        # Both mirrors reach both colors: one lets it answer, the other sends it copies.
        opened = networking.v1.NetworkPolicy(
            f"{name}-opened",
            metadata=of_pods("mirrored"),
            spec=network_policy(selector(labels), egress=(), port=rules.PORT, callers=ours),
            opts=child,
        )
        network = networking.v1.NetworkPolicy(
            f"{name}-network",
            metadata=fixed,
            spec=network_policy(
                match,
                egress=(),
                port=_PORT,
                client_cidrs=args.network.subnet_cidrs,
                called=({"app.kubernetes.io/name": context.service}, rules.PORT),
            ),
            opts=child,
        )
        entered = enter(name, args.entrance, metadata=fixed, match=match, port=spec.port, target=_PORT, parent=self)
        hosts = {each: pods_host(f"{context.service}-{each}", context.namespace) for each in Color}
        told = core.v1.ConfigMap(
            f"{name}-config",
            metadata=meta.v1.ObjectMetaArgs(namespace=args.namespace, labels=labels),
            immutable=True,
            data={_FILE: json.dumps(config(spec, hosts, color))},
            opts=child,
        )
        policy.v1.PodDisruptionBudget(f"{name}-budget", metadata=fixed, spec=budget(match), opts=child)
        timeout = f"{spec.timing.await_timeout}s"
        template = {
            "metadata": {"labels": {**{key: labels[key] for key in labels if key != "hueshift.dev/color"}, **match}},
            "spec": _pod(args, match, told.metadata.name),
        }
        self.deployment = apps.v1.Deployment(
            f"{name}-deployment",
            metadata=fixed,
            spec=apps.v1.DeploymentSpecArgs(
                replicas=0 if spec.colors[color].parked else max(spec.replicas.min, len(args.network.zones)),
                selector=meta.v1.LabelSelectorArgs(match_labels=match),
                progress_deadline_seconds=patience(spec.timing.await_timeout),
                strategy=apps.v1.DeploymentStrategyArgs(
                    type="RollingUpdate",
                    rolling_update=apps.v1.RollingUpdateDeploymentArgs(max_surge="100%", max_unavailable=0),
                ),
                template=template,
            ),
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=[pods, opened, network, *entered, args.answering],
                custom_timeouts=pulumi.CustomTimeouts(create=timeout, update=timeout),
                hooks=pulumi.ResourceHookBinding(before_update=[hook]) if (hook := args.entrance.parking) else None,
            ),
        )
        self.register_outputs({"deployment": self.deployment.metadata.name})


def _pod(args: MirrorArgs, match: Mapping[str, str], told: pulumi.Input[str]) -> dict[str, Any]:
    spec = args.spec
    assert spec.shadow is not None
    command: Sequence[str] = (
        *("envoy", "--config-path", f"{_MOUNT}/{_FILE}"),
        *("--concurrency", "2", "--disable-hot-restart", "--log-level", "warning"),
    )

    # Of Envoy itself: it need not be restarted because a color is dead.
    def probe(interval: int, failures: int) -> dict[str, Any]:
        return {
            "httpGet": {"path": "/", "port": _PROBE},
            "periodSeconds": interval,
            "timeoutSeconds": spec.health.timeout,
            "failureThreshold": failures,
        }

    return {
        **({"priorityClassName": spec.priority_class} if spec.priority_class else {}),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        # In the time before it is told to stop all that the load balancer sent is answered.
        "terminationGracePeriodSeconds": spec.timing.grace_period,
        "securityContext": {**RESTRICTED_POD, "runAsUser": USER, "runAsGroup": USER},
        "affinity": within(args.network.zones),
        "topologySpreadConstraints": spread(match),
        "volumes": [{"name": "config", "configMap": {"name": told}}],
        "containers": [
            {
                "name": "envoy",
                "image": spec.shadow.image,
                "command": list(command),
                "ports": [
                    {"name": _PORT, "containerPort": spec.port, "protocol": "TCP"},
                    {"name": _PROBE, "containerPort": probe_port(spec), "protocol": "TCP"},
                ],
                "resources": requirements(RESOURCES),
                "securityContext": RESTRICTED_CONTAINER,
                "volumeMounts": [{"name": "config", "mountPath": _MOUNT, "readOnly": True}],
                "lifecycle": lifecycle(spec.timing),
                "startupProbe": probe(2, 60),
                "readinessProbe": probe(spec.health.interval, spec.health.unhealthy_threshold),
                "livenessProbe": probe(spec.health.interval, 2 * spec.health.unhealthy_threshold),
            }
        ],
    }
