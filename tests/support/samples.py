"""Arguments of every component that are right; tests change one at a time."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, TypeVar

from components.context.context import Context
from components.edge.edge import EdgeArgs
from components.edge.load_balancer import LoadBalancer, LoadBalancerArgs
from components.edge.network import Network
from components.model import Color
from components.observe.alert_rules import AlertRulesArgs, EdgeAlertsArgs, ServiceAlertsArgs
from components.observe.alert_topic import AlertTopicArgs
from components.observe.cloudwatch import AlertRouting
from components.observe.dashboard import DashboardArgs, Shown
from components.service.color_environment import ColorEnvironmentArgs
from components.service.entrance import Entrance
from components.service.feature_flags import FeatureFlagsArgs
from components.service.identity import WorkloadIdentityArgs
from components.service.migration import MigrationArgs
from components.service.secret_entries import SecretEntriesArgs, SecretMount
from components.service.service import BlueGreenServiceArgs
from components.spec import (
    Alerts,
    Cluster,
    Dashboards,
    Flag,
    IdentityKind,
    LoadBalancerSpec,
    Release,
    SecretEntry,
    Service,
    Subscription,
)
from components.traffic.target_groups import TargetGroupsArgs
from components.traffic.traffic_split import TestRoutesArgs, TrafficSplitArgs

T = TypeVar("T")


def change(args: T, **changes: object) -> T:
    """Return arguments with other values, each by its name, wherever in them it stands; a color's, for every color."""
    for name, value in changes.items():
        parts = [each.name for each in fields(args)]  # type: ignore[arg-type]
        if name in parts:
            args = replace(args, **{name: value})  # type: ignore[type-var]
            continue
        part = next(part for part in parts if part in PARTS and _has(getattr(args, part), name))
        inner = getattr(args, part)
        if part == "colors":
            changed: object = {color: change(release, **{name: value}) for color, release in inner.items()}
        else:
            changed = change(inner, **{name: value})
        args = replace(args, **{part: changed})  # type: ignore[type-var]
    return args


PARTS = ("spec", "entrance", "context", "network", "cluster", "alerts", "colors")
"""Of arguments, in which `change` looks for a name."""


def _has(part: Any, name: str) -> bool:  # noqa: ANN401 - of any class of arguments
    if isinstance(part, Mapping):
        return any(_has(each, name) for each in part.values())
    names = {each.name for each in fields(part)}
    return name in names or any(_has(getattr(part, inner), name) for inner in names & set(PARTS))


CONTEXT = Context(environment="staging", production=False, account_id="123456789012")
SHOP = CONTEXT.of("shop")
TAGS = {"environment": "staging", "managed-by": "pulumi"}
GROUPS = {color: f"arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/{color}/0" for color in Color}
LISTENER = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener/app/edge/0/0"
VERSION_ID = "11111111-2222-4333-8444-555555555555"
MOUNT = SecretMount(entry="app", name="staging/shop/app", keys=["DATABASE_URL", "JWT_SECRET"], version=VERSION_ID)
BLUE = Release(
    image="registry.example.com/shop:1.4.0", version="1.4.0", schema="0001", secret_versions={"app": VERSION_ID}
)
GREEN = Release(
    image="registry.example.com/shop:1.5.0", version="1.5.0", schema="0002", secret_versions={"app": VERSION_ID}
)
SERVICE = Service(
    host="shop.example.com",
    port=8080,
    priority_band=7,
    colors={Color.BLUE: BLUE, Color.GREEN: GREEN},
    env={"LOG_LEVEL": "INFO"},
    secrets={"app": SecretEntry(keys=["DATABASE_URL", "JWT_SECRET", "MIGRATION_DATABASE_URL"])},
)
NETWORK = Network(
    vpc_id="vpc-1",
    subnet_ids=["subnet-1", "subnet-2"],
    subnet_cidrs=["10.0.1.0/24", "10.0.2.0/24"],
    zones=["eu-west-1a", "eu-west-1b"],
    vpc_cidrs=["10.0.0.0/16"],
)
LOAD_BALANCER = LoadBalancerArgs(
    spec=LoadBalancerSpec(test_listener_cidrs=["10.9.0.0/16"]),
    context=CONTEXT,
    network=NETWORK,
    internal=False,
    pod_cidrs=["10.1.0.0/16"],
    pod_ports={8080},
    certificate_arn="arn:aws:acm:eu-west-1:123456789012:certificate/0",
)
EDGE = EdgeArgs(
    spec=LoadBalancerSpec(
        certificate_arn="arn:aws:acm:eu-west-1:123456789012:certificate/0",
        test_listener_cidrs=["10.9.0.0/16"],
        deletion_protection=False,
    ),
    context=CONTEXT,
    network=NETWORK,
    internal=True,
    pod_cidrs=["10.0.128.0/17"],
    dns=None,
    services=[SERVICE],
    routing=AlertRouting(),
)
TARGET_GROUPS = TargetGroupsArgs(spec=SERVICE, context=SHOP, vpc_id="vpc-1")
ROUTES = TestRoutesArgs(spec=SERVICE, context=SHOP, listener_arn=LISTENER, target_group_arns=GROUPS)
TRAFFIC = TrafficSplitArgs(spec=SERVICE, context=SHOP, listener_arn=LISTENER, target_group_arns=GROUPS, serving={})
SECRETS = SecretEntriesArgs(context=SHOP, entries={"app": SecretEntry(keys=["DATABASE_URL", "JWT_SECRET"])})
MIGRATION = MigrationArgs(
    spec=SERVICE,
    context=SHOP,
    namespace="staging-shop",
    schema="0002",
    image="registry.example.com/shop:1.5.0",
    env=SERVICE.env,
    secrets=[MOUNT],
)
ENVIRONMENT = ColorEnvironmentArgs(
    spec=SERVICE,
    context=CONTEXT.of("shop", Color.GREEN),
    namespace="staging-shop",
    entrance=Entrance(target_group_arn=GROUPS[Color.GREEN], security_group_id="sg-1", routes=[]),
    network=NETWORK,
    image="registry.example.com/shop:1.5.0",
    secrets=[MOUNT],
)
ALARM = "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:staging-"
TOPIC = "arn:aws:sns:eu-west-1:123456789012:on-call"
HEARERS = AlertRouting(topic_arns=[TOPIC], owner="team-shop", on_call="shop on duty, +49 30 901820")
ALERTS = AlertRulesArgs(
    spec=SERVICE,
    context=change(CONTEXT, cluster=Cluster(name="main", container_insights=True)).of("shop", Color.GREEN),
    namespace="staging-shop",
    load_balancer="app/edge/0",
    target_group="targetgroup/green/0",
    prometheus_labels={},
    moving="staging-shop-moving",
    routing=HEARERS,
)
SERVICE_ALERTS = ServiceAlertsArgs(
    spec=SERVICE,
    context=SHOP,
    namespace="staging-shop",
    load_balancer="app/edge/0",
    target_groups={color: f"targetgroup/{color}/0" for color in Color},
    prometheus_labels={},
    routing=HEARERS,
)
EDGE_ALERTS = EdgeAlertsArgs(
    context=CONTEXT,
    load_balancer="app/edge/0",
    certificates={"main": "arn:aws:acm:eu-west-1:123456789012:certificate/0"},
    routing=AlertRouting(topic_arns=[TOPIC], owner="team-edge", on_call="edge on duty"),
)
DASHBOARD = DashboardArgs(
    spec=Dashboards(grafana=True),
    context=CONTEXT,
    region="eu-west-1",
    load_balancer="app/edge/0",
    alarms=[f"{ALARM}edge-load-balancer-errors"],
    services={
        "shop": Shown(
            spec=SERVICE,
            target_groups={color: f"targetgroup/{color}/0" for color in Color},
            alarms=[f"{ALARM}shop-{name}" for name in ("traffic", *Color)],
        )
    },
    health_checks={},
)
FLAGS = FeatureFlagsArgs(
    context=CONTEXT,
    services={
        "shop": replace(SERVICE, flags={"checkout": Flag(description="Short", owner="team-shop", expires="2099-01-01")})
    },
    region="eu-west-1",
)
ALERT_TOPIC = AlertTopicArgs(
    context=CONTEXT,
    alerts=Alerts(
        subscriptions=[
            Subscription(protocol="email", endpoint="oncall@example.com"),
            Subscription(protocol="https", endpoint="https://alerts.example.com/sns"),
        ],
        owner="team-shop",
    ),
    kms_key_arn="arn:aws:kms:eu-west-1:123456789012:key/0",
)


def service() -> BlueGreenServiceArgs:
    """Return right arguments of a service; its load balancer is a component, and made here."""
    return BlueGreenServiceArgs(
        spec=SERVICE,
        context=CONTEXT,
        load_balancer=LoadBalancer("edge", LOAD_BALANCER),
        network=NETWORK,
        kms_key_arn="arn:aws:kms:eu-west-1:123456789012:key/0",
        secret_readers=[],
        repository_url=None,
        prometheus_labels={},
        routing=AlertRouting(owner="team-shop", on_call="shop-on-call@example.com"),
    )


ORDERS = "arn:aws:iam::123456789012:policy/orders"
PROVIDER = "arn:aws:iam::123456789012:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/ABC"
POD_IDENTITY = WorkloadIdentityArgs(
    spec=replace(SERVICE, policy_arns=[ORDERS]),
    context=replace(CONTEXT, cluster=Cluster(name="main")).of("shop"),
)
IRSA = change(POD_IDENTITY, cluster=Cluster(identity=IdentityKind.IRSA, oidc_provider_arn=PROVIDER))
