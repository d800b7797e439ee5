"""One HTTP service in both colors, and the one rule that shares its traffic."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pulumi
from pulumi_kubernetes import core, networking
from pulumi_kubernetes.apiextensions import CustomResource

from components.context.context import Context
from components.edge.load_balancer import LoadBalancer
from components.edge.network import Network
from components.model import Color, color_host, tokens
from components.observe.alert_rules import AlertRules, AlertRulesArgs, ServiceAlerts, ServiceAlertsArgs
from components.observe.cloudwatch import AlertRouting
from components.observe.dashboard import Shown
from components.service.color_environment import ColorEnvironment, ColorEnvironmentArgs
from components.service.entrance import Entrance
from components.service.identity import WorkloadIdentity, WorkloadIdentityArgs
from components.service.image import Image, ImageArgs
from components.service.migration import PREFIX, Migration, MigrationArgs, declare, record
from components.service.mirror import Mirror, MirrorArgs
from components.service.secret_entries import SecretEntries, SecretEntriesArgs, SecretMount
from components.service.workload import READINESS_GATE_LABEL, RESTRICTED_LABELS, network_policy, pod_monitor
from components.service.workloads import run_workloads
from components.spec import Service
from components.traffic.parking import parking_hook
from components.traffic.target_groups import TargetGroups, TargetGroupsArgs
from components.traffic.traffic_split import TestRoutes, TestRoutesArgs, TrafficSplit, TrafficSplitArgs


@dataclass(frozen=True, kw_only=True)
class BlueGreenServiceArgs:
    """Plain but for the key, the repository and the topics: configuration decides what exists and who gets traffic."""

    spec: Service
    context: Context
    load_balancer: LoadBalancer
    network: Network
    kms_key_arn: pulumi.Input[str]
    """Encrypts the secrets."""
    secret_readers: Sequence[str]
    """Who alone may read them; none for everybody whom IAM allows."""
    repository_url: pulumi.Input[str] | None
    """Where a release goes that is built here; None if somebody else builds."""
    prometheus_labels: Mapping[str, str] | None
    """By which the Prometheus Operator selects what is made for it; None where there is none."""
    routing: AlertRouting


class BlueGreenService(pulumi.ComponentResource):
    """A namespace with two complete environments; `active_color` and `canary_weight` decide who gets what.

    The order of creation is the point: the namespace's label makes readiness gates, test rules keep
    the groups health-checked, Service and binding exist before pods, secrets and schema too, and
    traffic moves only when the pods are ready.
    """

    summary: Mapping[str, object]
    """What a person needs to know of the service: where it answers, by which color, and in which versions."""
    shown: Shown
    """What its place on a dashboard is made of."""

    def __init__(self, name: str, args: BlueGreenServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(tokens.SERVICE, name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        spec, context = args.spec, args.context.of(name)
        home = core.v1.Namespace(
            f"{name}-namespace",
            metadata={
                "name": context.namespace,
                "labels": {**context.labels, **READINESS_GATE_LABEL, **RESTRICTED_LABELS},
            },
            opts=child,
        ).metadata.name

        groups = TargetGroups(
            f"{name}-tg", TargetGroupsArgs(spec=spec, context=context, vpc_id=args.network.vpc_id), opts=child
        )
        routes = TestRoutes(
            f"{name}-test",
            TestRoutesArgs(
                spec=spec,
                context=context,
                listener_arn=args.load_balancer.test_listener_arn,
                target_group_arns=groups.arns,
                mirror_arns=groups.mirror_arns,
            ),
            opts=child,
        )
        entries = SecretEntries(
            f"{name}-secrets",
            SecretEntriesArgs(
                context=context, entries=spec.secrets, kms_key_id=args.kms_key_arn, readers=args.secret_readers
            ),
            opts=child,
        )
        mounts = {color: entries.mounts(release.secret_versions) for color, release in spec.colors.items()}
        images = {color: release.image or self._build(name, color, args) for color, release in spec.colors.items()}
        identity = None
        if spec.policy_arns:
            identity = WorkloadIdentity(
                f"{name}-identity", WorkloadIdentityArgs(spec=spec, context=context), opts=child
            )
        # For every pod without a policy of its own, the migrations' above all: no way in, and the same ways out.
        closed = networking.v1.NetworkPolicy(
            f"{name}-closed",
            metadata={"name": name, "namespace": home, "labels": context.labels},
            spec=network_policy({}, egress=spec.egress),
            opts=child,
        )
        if args.prometheus_labels is not None and spec.metrics.enabled:
            CustomResource(
                f"{name}-monitor",
                api_version="monitoring.coreos.com/v1",
                kind="PodMonitor",
                metadata={"name": name, "namespace": home, "labels": {**context.labels, **args.prometheus_labels}},
                spec=pod_monitor(name, spec.metrics.path),
                opts=child,
            )
        whole = ServiceAlerts(
            f"{name}-alerts",
            ServiceAlertsArgs(
                spec=spec,
                context=context,
                namespace=home,
                load_balancer=args.load_balancer.arn_suffix,
                target_groups=groups.arn_suffixes,
                mirrors=groups.mirror_arn_suffixes,
                prometheus_labels=args.prometheus_labels,
                routing=args.routing,
            ),
            opts=child,
        )
        migrations = self._migrations(name, args, home, mounts, images, closed)
        environments, mirrors, heard = {}, {}, [*whole.heard]
        for color, release in spec.colors.items():
            own = args.context.of(name, color)
            entrance = Entrance(
                target_group_arn=groups.arns[color],
                security_group_id=args.load_balancer.security_group_id,
                routes=routes.rules,
                parking=parking_hook(
                    f"{name}-{color}-parking",
                    service=name,
                    color=color,
                    host=spec.host,
                    listener_arn=args.load_balancer.listener_arn,
                    target_group_arns=[each[color] for each in (groups.arns, groups.mirror_arns) if color in each],
                ),
            )
            environments[color] = ColorEnvironment(
                f"{name}-{color}",
                ColorEnvironmentArgs(
                    spec=spec,
                    context=own,
                    namespace=home,
                    entrance=entrance,
                    network=args.network,
                    identity=identity,
                    image=images[color],
                    secrets=_for_pods(mounts[color]),
                    migrations=[migrations[release.schema].job] if release.schema else [],
                ),
                opts=child,
            )
            if spec.shadow:
                mirrors[color] = Mirror(
                    f"{name}-{color}-mirror",
                    MirrorArgs(
                        spec=spec,
                        context=own,
                        namespace=home,
                        entrance=replace(entrance, target_group_arn=groups.mirror_arns[color]),
                        network=args.network,
                        answering=environments[color],
                    ),
                    opts=child,
                )
            if release.schema:
                record(
                    f"{name}-{color}-schema",
                    release.schema,
                    parked=release.parked,
                    context=own,
                    namespace=home,
                    ready=environments[color].deployment,
                    parent=self,
                )
            run_workloads(
                f"{name}-{color}",
                spec=spec,
                context=own,
                namespace=home,
                image=images[color],
                environment=environments[color],
                identity=identity,
                parent=self,
            )
            rules = AlertRules(
                f"{name}-{color}-alerts",
                AlertRulesArgs(
                    spec=spec,
                    context=own,
                    namespace=home,
                    load_balancer=args.load_balancer.arn_suffix,
                    target_group=groups.arn_suffixes[color],
                    mirror=groups.mirror_arn_suffixes.get(color),
                    prometheus_labels=args.prometheus_labels,
                    moving=whole.moving,
                    routing=args.routing,
                ),
                opts=child,
            )
            heard += rules.heard
        split = TrafficSplit(
            f"{name}{tokens.TRAFFIC}",
            TrafficSplitArgs(
                spec=spec,
                context=context,
                listener_arn=args.load_balancer.listener_arn,
                target_group_arns=groups.arns,
                serving=environments,
                mirror_arns=groups.mirror_arns,
                mirrors=mirrors,
            ),
            opts=child,
        )
        self.shown = Shown(spec=spec, target_groups=groups.arn_suffixes, alarms=heard)
        self.summary = {
            "url": f"https://{spec.host}",
            "testUrls": {c: f"https://{color_host(c, spec.host)}:{args.load_balancer.test_port}" for c in spec.colors},
            "namespace": context.namespace,
            "activeColor": spec.active_color,
            "weights": split.weights,
            "canaryHeader": spec.header_color,
            "versions": {color: release.version for color, release in spec.colors.items()},
            "images": images,
            **({"copied": spec.copied} if spec.shadow else {}),
        }
        self.register_outputs({"rule_arn": split.rule_arn, **self.summary})

    def _build(self, name: str, color: Color, args: BlueGreenServiceArgs) -> pulumi.Output[str]:
        release = args.spec.colors[color]
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
        schemas = {color: release.schema for color, release in args.spec.colors.items() if release.schema}
        if not schemas:
            return {}
        context = args.context.of(name)
        declared = declare(f"{name}-schemas", schemas, context=context, namespace=home, parent=self)
        migrations: dict[str, Migration] = {}
        for schema in sorted(set(schemas.values())):
            color = next(color for color in schemas if schemas[color] == schema)
            migrations[schema] = Migration(
                f"{name}-migrate-{schema}",
                MigrationArgs(
                    spec=args.spec,
                    context=context,
                    namespace=home,
                    schema=schema,
                    image=images[color],
                    env=args.spec.env_of(color),
                    secrets=mounts[color],
                    after=[closed, declared, *(earlier.job for earlier in migrations.values())],
                ),
                opts=pulumi.ResourceOptions(parent=self),
            )
        return migrations


def _for_pods(mounts: Sequence[SecretMount]) -> list[SecretMount]:
    """Return the mounts without what is for migrations only."""
    kept = [replace(mount, keys=[key for key in mount.keys if not key.startswith(PREFIX)]) for mount in mounts]
    return [mount for mount in kept if mount.keys]
