"""Everything in the cluster that makes up one color of a service."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pulumi
from pulumi_kubernetes import apps, autoscaling, core, meta, networking, policy

from components import rules
from components.context.context import ColorContext
from components.edge.network import Network
from components.model import Given, flags_place, selector, version_label
from components.service.entrance import Entrance, enter
from components.service.identity import WorkloadIdentity
from components.service.secret_entries import SecretMount, deliver
from components.service.workload import (
    RESTRICTED_CONTAINER,
    RESTRICTED_POD,
    TMP_MOUNT,
    TMP_VOLUME,
    app_env,
    budget,
    environment_variables,
    from_secrets,
    network_policy,
    not_secrets,
    patience,
    requirements,
)
from components.spec import Protocol, Service, Strategy, StrategyKind, Timing

REVISIONS: Final = 5
"""Old ReplicaSets kept for ``kubectl rollout undo``: the previous versions that stay deployable."""

STARTUP_CHECKS: Final = 60
"""Failed startup checks, ``STARTUP_INTERVAL`` apart, after which a container is restarted: two minutes to start."""
STARTUP_INTERVAL: Final = 2
"""Seconds. Short, since every start of a pod waits for the next check."""

REQUEST_METRIC: Final = "http_requests_per_second"
"""What an adapter of the cluster's (such as prometheus-adapter) must call a pod's rate of requests."""

ZONE_LABEL: Final = "topology.kubernetes.io/zone"

SCALE_DOWN_WINDOWS: Final = (300, 3600)
"""Least (the default of Kubernetes) and most (its limit) seconds of low load after which pods are removed."""


@dataclass(frozen=True, kw_only=True)
class ColorEnvironmentArgs:
    """What other resources supply is an Input; the rest is plain, configuration decides it."""

    spec: Service
    context: ColorContext
    namespace: pulumi.Input[str]
    """With the readiness-gate and Pod Security labels of `workload.py`."""
    entrance: Entrance
    network: Network
    """Its subnets are where the requests come from. A pod in none of its zones gets none, and is never ready."""
    identity: WorkloadIdentity | None = None
    """None for pods that may do nothing in AWS."""
    image: pulumi.Input[str]
    secrets: Sequence[SecretMount]
    migrations: Sequence[pulumi.Resource] = ()
    """Jobs that must be complete before a pod starts."""


class ColorEnvironment(pulumi.ComponentResource):
    """One color: its pods, their configuration and secrets, and their way into the target group.

    All objects are called ``<service>-<color>`` for life, except the ConfigMap and the Secrets, which
    pods read once: other content gets another name, so that pods roll and none is changed under a
    running pod.
    """

    deployment: apps.v1.Deployment
    """Ready when all pods of this version are, as the load balancer sees them."""
    env_from: Sequence[Mapping[str, Any]]
    """Where a container of this color takes its variables from."""

    def __init__(self, name: str, args: ColorEnvironmentArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("hueshift:color_environment:ColorEnvironment", name, None, opts)
        spec, context = args.spec, args.context
        labels, release = context.labels, spec.colors[context.color]
        # On nothing else, so that a new version changes nothing else.
        versioned = {**labels, **version_label(release.version)}
        match = selector(labels)
        physical = context.name
        fixed = meta.v1.ObjectMetaArgs(name=physical, namespace=args.namespace, labels=labels)
        child = pulumi.ResourceOptions(parent=self)

        if spec.strategy.kind is StrategyKind.RECREATE and not release.parked:
            pulumi.log.warn(_downtime(args), resource=self)

        account = core.v1.ServiceAccount(
            f"{name}-account",
            metadata=meta.v1.ObjectMetaArgs(
                name=physical,
                namespace=args.namespace,
                labels=labels,
                annotations=(args.identity and args.identity.account_annotations) or None,
            ),
            automount_service_account_token=False,
            opts=child,
        )
        network = networking.v1.NetworkPolicy(
            f"{name}-network",
            metadata=fixed,
            spec=network_policy(
                match,
                egress=spec.egress,
                port=rules.PORT,
                client_cidrs=args.network.subnet_cidrs,
                monitoring_namespace=context.cluster.monitoring_namespace,
                pod_identity=args.identity is not None and args.identity.pod_identity,
            ),
            opts=child,
        )
        entered = enter(name, args.entrance, metadata=fixed, match=match, port=spec.port, parent=self)
        config = core.v1.ConfigMap(
            f"{name}-config",
            metadata=meta.v1.ObjectMetaArgs(
                namespace=args.namespace, labels=labels, annotations=not_secrets(spec.not_secrets)
            ),
            immutable=True,
            data={
                Given.APP_ENV.value: app_env(context.environment, production=context.production),
                **({"OTEL_EXPORTER_OTLP_ENDPOINT": context.tracing.endpoint} if context.tracing else {}),
                **({"FEATURE_FLAGS": flags_place(context.environment, context.service)} if spec.flags else {}),
                **spec.env_of(context.color),
            },
            opts=child,
        )
        # A parked color has no pod that could read a secret, and perhaps no version to read yet.
        mounts = [] if release.parked else args.secrets
        secrets = deliver(
            name,
            mounts,
            prefix=physical,
            pinned=True,
            namespace=args.namespace,
            labels=labels,
            await_timeout=spec.timing.await_timeout,
            parent=self,
        )
        policy.v1.PodDisruptionBudget(f"{name}-budget", metadata=fixed, spec=budget(match), opts=child)
        # An autoscaler cannot hold a color at 0: a parked one has none.
        autoscalers = [] if release.parked else [_autoscaler(f"{name}-autoscaler", args, fixed, child)]

        self.env_from = [{"configMapRef": {"name": config.metadata.name}}, *from_secrets(secrets)]
        annotations = {
            **{f"hueshift.dev/secret-{mount.entry}": mount.version or "current" for mount in mounts},
            **(args.identity.pod_annotations if args.identity else {}),
        }
        timeout = f"{spec.timing.await_timeout}s"
        self.deployment = apps.v1.Deployment(
            f"{name}-deployment",
            metadata=meta.v1.ObjectMetaArgs(
                name=physical,
                namespace=args.namespace,
                labels=versioned,
                # The number of replicas is the autoscaler's since it first scaled: to write 0 is to take it over.
                annotations={
                    **({"pulumi.com/patchForce": "true"} if release.parked else {}),
                    **(_not_secret_here(args) or {}),
                }
                or None,
            ),
            spec=apps.v1.DeploymentSpecArgs(
                # Otherwise left to the autoscaler, which would contest any number written here.
                replicas=0 if release.parked else None,
                selector=meta.v1.LabelSelectorArgs(match_labels=match),
                revision_history_limit=REVISIONS,
                progress_deadline_seconds=patience(spec.timing.await_timeout),
                strategy=_strategy(spec.strategy),
                template=_with_templates(
                    args,
                    {
                        "metadata": {
                            "labels": versioned,
                            **({"annotations": annotations} if annotations else {}),
                        },
                        "spec": {
                            "serviceAccountName": physical,
                            **({"priorityClassName": spec.priority_class} if spec.priority_class else {}),
                            "automountServiceAccountToken": False,
                            "enableServiceLinks": False,
                            "terminationGracePeriodSeconds": spec.timing.grace_period,
                            "securityContext": RESTRICTED_POD,
                            "affinity": within(args.network.zones),
                            "topologySpreadConstraints": spread(match),
                            "volumes": [TMP_VOLUME],
                            "containers": [_container(args, self.env_from)],
                        },
                    },
                ),
            ),
            opts=pulumi.ResourceOptions(
                parent=self,
                # The controller gives the readiness gate to pods that are created after Service and binding; EKS gives
                # credentials to those created after the identity; and no pod is open before its policy closes it.
                depends_on=[
                    account,
                    network,
                    *entered,
                    *secrets.values(),
                    *autoscalers,
                    *args.migrations,
                    *([args.identity] if args.identity else []),
                ],
                custom_timeouts=pulumi.CustomTimeouts(create=timeout, update=timeout),
                hooks=pulumi.ResourceHookBinding(before_update=[hook]) if (hook := args.entrance.parking) else None,
            ),
        )
        self.register_outputs({"deployment": self.deployment.metadata.name})


def _with_templates(args: ColorEnvironmentArgs, ours: Mapping[str, Any]) -> dict[str, Any]:
    """Return the pods' template with that of the service over it, and that of the color over both.

    A container of theirs begins as restricted as ours is, which the namespace asks for. One that runs beside the
    service's serves on as long: requests go through it until the last.
    """
    beside = {"securityContext": RESTRICTED_CONTAINER}
    new = {
        "initContainers": beside,
        "containers": {**beside, "lifecycle": lifecycle(args.spec.timing)},
    }
    whole = ours
    for template in (args.spec.pod_template, args.spec.colors[args.context.color].pod_template):
        whole = rules.merged(whole, template.overlay, new=new)
    return dict(whole)


def _not_secret_here(args: ColorEnvironmentArgs) -> dict[str, str] | None:
    """Return the annotation for those variables that the templates themselves name."""
    templates = (args.spec.pod_template, args.spec.colors[args.context.color].pod_template)
    named = {variable.name for template in templates for variable in rules.template_variables(template.overlay)}
    return not_secrets([name for name in args.spec.not_secrets if name in named])


def lifecycle(timing: Timing) -> dict[str, Any]:
    """Return what lets a container serve on while the load balancer still sends; needs no shell in the image."""
    return {"preStop": {"sleep": {"seconds": timing.pre_stop}}}


def _downtime(args: ColorEnvironmentArgs) -> str:
    times = args.spec.timing
    return (
        f"strategy recreate: every update of {args.context.service} stops all its pods before it starts new ones. "
        f"Users get 503 while the old pods end ({times.pre_stop} to {times.grace_period} s) and until a new one has "
        f"started and passed a health check (every {args.spec.health.interval} s). Set strategy.kind to "
        f"{StrategyKind.BLUE_GREEN} to avoid it."
    )


def _strategy(strategy: Strategy) -> apps.v1.DeploymentStrategyArgs:
    if strategy.kind is StrategyKind.RECREATE:
        return apps.v1.DeploymentStrategyArgs(type="Recreate")
    # A color of two is never short of a pod: it is what traffic goes back to. All its new pods start at once, so that a
    # new version takes as long as one pod; where there is no room for them all, each that is ready makes some.
    rolling = strategy.kind is StrategyKind.ROLLING
    surge, missing = (strategy.max_surge, strategy.max_unavailable) if rolling else ("100%", 0)
    return apps.v1.DeploymentStrategyArgs(
        type="RollingUpdate",
        rolling_update=apps.v1.RollingUpdateDeploymentArgs(max_surge=surge, max_unavailable=missing),
    )


def _autoscaler(
    name: str, args: ColorEnvironmentArgs, metadata: meta.v1.ObjectMetaArgs, opts: pulumi.ResourceOptions
) -> autoscaling.v2.HorizontalPodAutoscaler:
    replicas, floor = args.spec.replicas, args.spec.colors[args.context.color].min_replicas or 0

    def resource(kind: str, percent: int) -> autoscaling.v2.MetricSpecArgs:
        return autoscaling.v2.MetricSpecArgs(
            type="Resource",
            resource=autoscaling.v2.ResourceMetricSourceArgs(
                name=kind,
                target=autoscaling.v2.MetricTargetArgs(type="Utilization", average_utilization=percent),
            ),
        )

    # Of several metrics the one that asks for most pods decides.
    metrics = [resource("cpu", replicas.cpu_target)]
    if replicas.memory_target:
        metrics.append(resource("memory", replicas.memory_target))
    if replicas.requests_per_second:
        metrics.append(
            autoscaling.v2.MetricSpecArgs(
                type="Pods",
                pods=autoscaling.v2.PodsMetricSourceArgs(
                    metric=autoscaling.v2.MetricIdentifierArgs(name=REQUEST_METRIC),
                    target=autoscaling.v2.MetricTargetArgs(
                        type="AverageValue", average_value=str(replicas.requests_per_second)
                    ),
                ),
            )
        )
    least, most = SCALE_DOWN_WINDOWS
    return autoscaling.v2.HorizontalPodAutoscaler(
        name,
        metadata=metadata,
        spec=autoscaling.v2.HorizontalPodAutoscalerSpecArgs(
            scale_target_ref=autoscaling.v2.CrossVersionObjectReferenceArgs(
                api_version="apps/v1", kind="Deployment", name=args.context.name
            ),
            min_replicas=max(replicas.min, floor),
            max_replicas=max(replicas.max, floor),
            metrics=metrics,
            # A flip takes all load from a color at once: it keeps its pods while it may be wanted back.
            behavior=autoscaling.v2.HorizontalPodAutoscalerBehaviorArgs(
                scale_down=autoscaling.v2.HPAScalingRulesArgs(
                    stabilization_window_seconds=min(max(least, args.spec.timing.overlap), most)
                )
            ),
        ),
        opts=opts,
    )


def spread(match: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the constraints by which pods that match lie in as many zones and on as many nodes as there are."""
    return [
        {
            "topologyKey": key,
            "maxSkew": 1,
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": match},
            # Without it the pods of the version that leaves count as well.
            "matchLabelKeys": ["pod-template-hash"],
        }
        for key in (ZONE_LABEL, "kubernetes.io/hostname")
    ]


def within(zones: Sequence[str]) -> dict[str, Any]:
    """Return the rule that keeps pods where the load balancer is."""
    known = {"key": ZONE_LABEL, "operator": "In", "values": list(zones)}
    term = {"matchExpressions": [known]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}}


def _container(args: ColorEnvironmentArgs, env_from: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    spec, health, timing = args.spec, args.spec.health, args.spec.timing

    def probe(path: str, interval: int, failures: int, *, restarts: bool = False) -> dict[str, Any]:
        asked: dict[str, Any] = {"httpGet": {"path": path, "port": rules.PORT}}
        if spec.protocol is Protocol.GRPC:
            # What does not serve, as its own health service says, must not be restarted for that.
            asked = {"tcpSocket": {"port": rules.PORT}} if restarts else {"grpc": {"port": spec.port, "service": ""}}
        return {
            **asked,
            "periodSeconds": interval,
            "timeoutSeconds": health.timeout,
            "successThreshold": 1,
            "failureThreshold": failures,
        }

    return {
        "name": rules.APP,
        "image": args.image,
        "ports": [{"name": rules.PORT, "containerPort": spec.port, "protocol": "TCP"}],
        "env": environment_variables(
            {
                Given.PORT: str(spec.port),
                Given.APP_VERSION: spec.colors[args.context.color].version,
                Given.APP_COLOR: args.context.color,
                Given.KEEP_ALIVE_SECONDS: str(timing.keep_alive),
                Given.SHUTDOWN_SECONDS: str(timing.longest_request),
            }
        ),
        "envFrom": env_from,
        "resources": requirements(spec.resources),
        "securityContext": RESTRICTED_CONTAINER,
        "volumeMounts": [TMP_MOUNT],
        "lifecycle": lifecycle(timing),
        "startupProbe": probe(health.startup_path, STARTUP_INTERVAL, STARTUP_CHECKS),
        "readinessProbe": probe(health.path, health.interval, health.unhealthy_threshold),
        # Twice as patient: a pod first gets no more requests, and is restarted only then.
        "livenessProbe": probe(health.liveness_path, health.interval, 2 * health.unhealthy_threshold, restarts=True),
    }
