"""One HTTP service in both colors, and the one rule that shares its traffic."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pulumi
from pulumi_kubernetes import core, networking
from pulumi_kubernetes.apiextensions import CustomResource

from components.edge.load_balancer import LoadBalancer
from components.edge.network import Network
from components.model import (
    Cluster,
    Color,
    Egress,
    Health,
    Release,
    Replicas,
    Resources,
    SecretEntry,
    Strategy,
    Timing,
    canary_color,
    color_host,
    namespace,
    service_labels,
    tokens,
)
from components.observe.alert_rules import AlertRules, AlertRulesArgs, ServiceAlerts, ServiceAlertsArgs
from components.observe.cloudwatch import AlertRouting
from components.service.color_environment import ColorEnvironment, ColorEnvironmentArgs
from components.service.identity import WorkloadIdentity, WorkloadIdentityArgs
from components.service.image import Image, ImageArgs
from components.service.migration import PREFIX, Migration, MigrationArgs, declare, record
from components.service.secret_entries import SecretEntries, SecretEntriesArgs, SecretMount
from components.service.workload import READINESS_GATE_LABEL, RESTRICTED_LABELS, network_policy, pod_monitor
from components.traffic.parking import parking_hook
from components.traffic.target_groups import TargetGroups, TargetGroupsArgs
from components.traffic.traffic_split import TestRoutes, TestRoutesArgs, TrafficSplit, TrafficSplitArgs


@dataclass(frozen=True, kw_only=True)
class BlueGreenServiceArgs:
    """Plain but for the key, the repository and the topics: configuration decides what exists and who gets traffic."""

    environment: str
    production: bool
    load_balancer: LoadBalancer
    network: Network
    cluster: Cluster
    kms_key_arn: pulumi.Input[str]
    """Encrypts the secrets."""
    secret_readers: Sequence[str]
    """Who alone may read them; none for everybody whom IAM allows."""
    host: str
    port: int
    """Where pods listen."""
    priority_band: int
    active: Color
    canary_weight: int
    """Percent of requests sent to the idle color."""
    strategy: Strategy
    releases: Mapping[Color, Release]
    repository_url: pulumi.Input[str] | None
    """Where a release goes that is built here; None if somebody else builds."""
    replicas: Replicas
    resources: Resources
    priority_class: str | None
    health: Health
    timing: Timing
    env: Mapping[str, str]
    not_secrets: Sequence[str] = ()
    """Names in ``env`` that only look like those of secrets."""
    secrets: Mapping[str, SecretEntry]
    egress: Sequence[Egress]
    policy_arns: Sequence[str]
    """What the pods may do in AWS; none, and they have no role."""
    expects_traffic: bool
    prometheus_labels: Mapping[str, str] | None
    """By which the Prometheus Operator selects what is made for it; None where there is none."""
    routing: AlertRouting
    """Without an owner it is the team of the service's own name."""
    tags: Mapping[str, str]


class BlueGreenService(pulumi.ComponentResource):
    """A namespace with two complete environments; `canary_weight` and `active` decide who gets what.

    The order of creation is the point: the namespace's label makes readiness gates, test rules keep
    the groups health-checked, Service and binding exist before pods, secrets and schema too, and
    traffic moves only when the pods are ready.
    """

    summary: Mapping[str, object]
    """What a person needs to know of the service: where it answers, by which color, and in which versions."""

    def __init__(self, name: str, args: BlueGreenServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(tokens.SERVICE, name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        tags = {**args.tags, "service": name}
        home_name = namespace(args.environment, name)
        home = core.v1.Namespace(
            f"{name}-namespace",
            metadata={
                "name": home_name,
                "labels": {**service_labels(name, args.environment), **READINESS_GATE_LABEL, **RESTRICTED_LABELS},
            },
            opts=child,
        ).metadata.name

        groups = TargetGroups(
            f"{name}-tg",
            TargetGroupsArgs(
                colors=args.releases,
                vpc_id=args.network.vpc_id,
                health=args.health,
                deregistration_delay=args.timing.deregistration_delay,
                tags=tags,
            ),
            opts=child,
        )
        routes = TestRoutes(
            f"{name}-test",
            TestRoutesArgs(
                listener_arn=args.load_balancer.test_listener_arn,
                target_group_arns=groups.arns,
                host=args.host,
                priority_band=args.priority_band,
                tags=tags,
            ),
            opts=child,
        )
        entries = SecretEntries(
            f"{name}-secrets",
            SecretEntriesArgs(
                service=name,
                environment=args.environment,
                entries=args.secrets,
                production=args.production,
                kms_key_id=args.kms_key_arn,
                readers=args.secret_readers,
                tags=tags,
            ),
            opts=child,
        )
        mounts = {color: entries.mounts(release.secret_versions) for color, release in args.releases.items()}
        images = {color: release.image or self._build(name, color, args) for color, release in args.releases.items()}
        identity = self._identity(name, args, home_name, tags) if args.policy_arns else None
        # For every pod without a policy of its own, the migrations' above all: no way in, and the same ways out.
        closed = networking.v1.NetworkPolicy(
            f"{name}-closed",
            metadata={"name": name, "namespace": home, "labels": service_labels(name, args.environment)},
            spec=network_policy({}, egress=args.egress),
            opts=child,
        )
        if args.prometheus_labels is not None:
            CustomResource(
                f"{name}-monitor",
                api_version="monitoring.coreos.com/v1",
                kind="PodMonitor",
                metadata={
                    "name": name,
                    "namespace": home,
                    "labels": {**service_labels(name, args.environment), **args.prometheus_labels},
                },
                spec=pod_monitor(name),
                opts=child,
            )
        routing = replace(args.routing, owner=args.routing.owner or name)
        whole = ServiceAlerts(
            f"{name}-alerts",
            ServiceAlertsArgs(
                service=name,
                environment=args.environment,
                namespace=home,
                load_balancer=args.load_balancer.arn_suffix,
                target_groups=groups.arn_suffixes,
                expects_traffic=args.expects_traffic,
                prometheus_labels=args.prometheus_labels,
                routing=routing,
                tags=tags,
            ),
            opts=child,
        )
        migrations = self._migrations(name, args, home, mounts, images, closed)
        environments = {}
        for color, release in args.releases.items():
            environments[color] = ColorEnvironment(
                f"{name}-{color}",
                ColorEnvironmentArgs(
                    service=name,
                    color=color,
                    environment=args.environment,
                    production=args.production,
                    namespace=home,
                    target_group_arn=groups.arns[color],
                    parking=parking_hook(
                        f"{name}-{color}-parking",
                        service=name,
                        color=color,
                        host=args.host,
                        listener_arn=args.load_balancer.listener_arn,
                        target_group_arn=groups.arns[color],
                    ),
                    load_balancer_security_group_id=args.load_balancer.security_group_id,
                    load_balancer_cidrs=args.network.subnet_cidrs,
                    zones=args.network.zones,
                    monitoring_namespace=args.cluster.monitoring_namespace,
                    egress=args.egress,
                    identity=identity,
                    strategy=args.strategy,
                    priority_class=args.priority_class,
                    image=images[color],
                    version=release.version,
                    port=args.port,
                    parked=release.parked,
                    env=args.env,
                    not_secrets=args.not_secrets,
                    secrets=_for_pods(mounts[color]),
                    replicas=args.replicas,
                    resources=args.resources,
                    health=args.health,
                    timing=args.timing,
                    routes=routes.rules,
                    migrations=[migrations[release.schema].job] if release.schema else [],
                ),
                opts=child,
            )
            if release.schema:
                record(
                    f"{name}-{color}-schema",
                    color,
                    release.schema,
                    parked=release.parked,
                    service=name,
                    environment=args.environment,
                    namespace=home,
                    ready=environments[color].deployment,
                    parent=self,
                )
            AlertRules(
                f"{name}-{color}-alerts",
                AlertRulesArgs(
                    service=name,
                    color=color,
                    environment=args.environment,
                    namespace=home,
                    load_balancer=args.load_balancer.arn_suffix,
                    target_group=groups.arn_suffixes[color],
                    resources=args.resources,
                    minimum=args.replicas.min,
                    parked=release.parked,
                    prometheus_labels=args.prometheus_labels,
                    cluster_name=args.cluster.name if args.cluster.container_insights else None,
                    moving=whole.moving,
                    routing=routing,
                    tags={**tags, "color": color.value},
                ),
                opts=child,
            )
        canary = canary_color(
            {color: release.version for color, release in args.releases.items()},
            parked=[color for color, release in args.releases.items() if release.parked],
            active=args.active,
        )
        split = TrafficSplit(
            f"{name}{tokens.TRAFFIC}",
            TrafficSplitArgs(
                service=name,
                environment=args.environment,
                namespace=home_name,
                listener_arn=args.load_balancer.listener_arn,
                target_group_arns=groups.arns,
                host=args.host,
                priority_band=args.priority_band,
                active=args.active,
                canary_weight=args.canary_weight,
                canary=canary,
                minimum_healthy=args.replicas.min,
                stickiness=args.timing.stickiness,
                serving=environments,
                tags=tags,
            ),
            opts=child,
        )
        self.summary = {
            "url": f"https://{args.host}",
            "testUrls": {
                c: f"https://{color_host(c, args.host)}:{args.load_balancer.test_port}" for c in args.releases
            },
            "namespace": home_name,
            "activeColor": args.active,
            "weights": split.weights,
            "canaryHeader": canary,
            "versions": {color: release.version for color, release in args.releases.items()},
            "images": images,
        }
        self.register_outputs({"rule_arn": split.rule_arn, **self.summary})

    def _identity(self, name: str, args: BlueGreenServiceArgs, home: str, tags: Mapping[str, str]) -> WorkloadIdentity:
        return WorkloadIdentity(
            f"{name}-identity",
            WorkloadIdentityArgs(
                service=name,
                namespace=home,
                colors=args.releases,
                policy_arns=args.policy_arns,
                kind=args.cluster.identity,
                cluster_name=args.cluster.name,
                oidc_provider_arn=args.cluster.oidc_provider_arn,
                tags=tags,
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _build(self, name: str, color: Color, args: BlueGreenServiceArgs) -> pulumi.Output[str]:
        release = args.releases[color]
        if release.build is None or args.repository_url is None:
            raise ValueError(f"{name} {color} has neither an image nor a build and a repository to push it to")
        return Image(
            f"{name}-{color}",
            ImageArgs(build=release.build, version=release.version, repository_url=args.repository_url),
            opts=pulumi.ResourceOptions(parent=self),
        ).reference

    def _migrations(
        self,
        name: str,
        args: BlueGreenServiceArgs,
        home: pulumi.Input[str],
        mounts: Mapping[Color, Sequence[SecretMount]],
        images: Mapping[Color, pulumi.Input[str]],
        closed: pulumi.Resource,
    ) -> Mapping[str, Migration]:
        """Return one migration per schema version, each after those before it; a parked color keeps its own.

        The image is that of the first color, in color order, that needs the version.
        """
        schemas = {color: release.schema for color, release in args.releases.items() if release.schema}
        if not schemas:
            return {}
        declared = declare(
            f"{name}-schemas", schemas, service=name, environment=args.environment, namespace=home, parent=self
        )
        migrations: dict[str, Migration] = {}
        for schema in sorted(set(schemas.values())):
            color = next(color for color in schemas if schemas[color] == schema)
            migrations[schema] = Migration(
                f"{name}-migrate-{schema}",
                MigrationArgs(
                    service=name,
                    environment=args.environment,
                    production=args.production,
                    namespace=home,
                    schema=schema,
                    image=images[color],
                    env=args.env,
                    not_secrets=args.not_secrets,
                    secrets=mounts[color],
                    resources=args.resources,
                    await_timeout=args.timing.await_timeout,
                    after=[closed, declared, *(earlier.job for earlier in migrations.values())],
                ),
                opts=pulumi.ResourceOptions(parent=self),
            )
        return migrations


def _for_pods(mounts: Sequence[SecretMount]) -> list[SecretMount]:
    """Return the mounts without what is for migrations only."""
    kept = [replace(mount, keys=[key for key in mount.keys if not key.startswith(PREFIX)]) for mount in mounts]
    return [mount for mount in kept if mount.keys]
