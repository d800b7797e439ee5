"""One HTTP service in both colors, and the one rule that shares its traffic."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pulumi
from pulumi_kubernetes import core

from components.alert_rules import AlertRules, AlertRulesArgs
from components.color_environment import ColorEnvironment, ColorEnvironmentArgs
from components.load_balancer import LoadBalancer
from components.migration import PREFIX, Migration, MigrationArgs
from components.model import (
    Color,
    Health,
    Release,
    Replicas,
    Resources,
    SecretEntry,
    Timing,
    color_host,
    namespace,
    newer,
)
from components.secret_entries import SecretEntries, SecretEntriesArgs, SecretMount
from components.target_groups import TargetGroups, TargetGroupsArgs
from components.traffic_split import TestRoutes, TestRoutesArgs, TrafficSplit, TrafficSplitArgs
from components.workload import READINESS_GATE_LABEL, RESTRICTED_LABELS, service_labels


@dataclass(frozen=True, kw_only=True)
class BlueGreenServiceArgs:
    """Plain but for the VPC and the topics: configuration decides what exists and who gets traffic."""

    environment: str
    production: bool
    load_balancer: LoadBalancer
    vpc_id: pulumi.Input[str]
    host: str
    port: int
    """Where pods listen, for the life of the service: target groups for another port are new and empty."""
    priority_band: int
    active: Color
    canary_weight: int
    """Percent of requests sent to the idle color."""
    releases: Mapping[Color, Release]
    replicas: Replicas
    resources: Resources
    health: Health
    timing: Timing
    env: Mapping[str, str]
    secrets: Mapping[str, Sequence[str]]
    """The keys of each secret entry."""
    topic_arns: Sequence[pulumi.Input[str]]
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
        super().__init__("hueshift:service:BlueGreenService", name, None, opts)
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
                vpc_id=args.vpc_id,
                port=args.port,
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
                entries={entry: SecretEntry(keys=keys) for entry, keys in args.secrets.items()},
                production=args.production,
                tags=tags,
            ),
            opts=child,
        )
        mounts = {color: entries.mounts(release.secret_versions) for color, release in args.releases.items()}
        migrations = self._migrations(name, args, home, mounts)
        environments = {}
        for color, release in args.releases.items():
            environments[color] = ColorEnvironment(
                f"{name}-{color}",
                ColorEnvironmentArgs(
                    service=name,
                    color=color,
                    environment=args.environment,
                    namespace=home,
                    target_group_arn=groups.arns[color],
                    load_balancer_security_group_id=args.load_balancer.security_group_id,
                    image=str(release.image),
                    version=release.version,
                    port=args.port,
                    parked=release.parked,
                    env=args.env,
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
                    topic_arns=args.topic_arns,
                    tags={**tags, "color": color.value},
                ),
                opts=child,
            )
        split = TrafficSplit(
            f"{name}-traffic",
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
                canary=_canary(args.releases),
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
            "versions": {color: release.version for color, release in args.releases.items()},
        }
        self.register_outputs({"rule_arn": split.rule_arn, **self.summary})

    def _migrations(
        self,
        name: str,
        args: BlueGreenServiceArgs,
        home: pulumi.Input[str],
        mounts: Mapping[Color, Sequence[SecretMount]],
    ) -> Mapping[str, Migration]:
        """Return one migration per schema version, each after those before it; a parked color keeps its own.

        The image is that of the first color, in color order, that needs the version.
        """
        migrations: dict[str, Migration] = {}
        for schema in sorted({release.schema for release in args.releases.values() if release.schema}):
            color = next(color for color in args.releases if args.releases[color].schema == schema)
            migrations[schema] = Migration(
                f"{name}-migrate-{schema}",
                MigrationArgs(
                    service=name,
                    environment=args.environment,
                    namespace=home,
                    schema=schema,
                    image=str(args.releases[color].image),
                    env=args.env,
                    secrets=mounts[color],
                    resources=args.resources,
                    await_timeout=args.timing.await_timeout,
                    after=[earlier.job for earlier in migrations.values()],
                ),
                opts=pulumi.ResourceOptions(parent=self),
            )
        return migrations


def _canary(releases: Mapping[Color, Release]) -> Color | None:
    """Return the color with the newest version that runs; None if there is nothing to choose from."""
    if len(releases) == 1:
        return None
    canary = newer({color: release.version for color, release in releases.items()})
    return canary.other if releases[canary].parked else canary


def _for_pods(mounts: Sequence[SecretMount]) -> list[SecretMount]:
    """Return the mounts without what is for migrations only."""
    kept = [replace(mount, keys=[key for key in mount.keys if not key.startswith(PREFIX)]) for mount in mounts]
    return [mount for mount in kept if mount.keys]
