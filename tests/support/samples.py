"""Arguments of every component that are right; tests replace one at a time."""

from components.edge.load_balancer import LoadBalancer, LoadBalancerArgs
from components.edge.network import Network
from components.model import (
    Cluster,
    Color,
    Health,
    Release,
    Replicas,
    Resources,
    SecretEntry,
    Strategy,
    Subscription,
    Timing,
)
from components.observe.alert_rules import AlertRulesArgs, EdgeAlertsArgs, ServiceAlertsArgs
from components.observe.alert_topic import AlertTopicArgs
from components.observe.cloudwatch import AlertRouting
from components.service.color_environment import ColorEnvironmentArgs
from components.service.migration import MigrationArgs
from components.service.secret_entries import SecretEntriesArgs, SecretMount
from components.service.service import BlueGreenServiceArgs
from components.traffic.target_groups import TargetGroupsArgs
from components.traffic.traffic_split import TestRoutesArgs, TrafficSplitArgs

TAGS = {"environment": "staging", "managed-by": "pulumi"}
GROUPS = {color: f"arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/{color}/0" for color in Color}
LISTENER = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener/app/edge/0/0"
VERSION_ID = "11111111-2222-4333-8444-555555555555"
MOUNT = SecretMount(entry="app", name="staging/shop/app", keys=["DATABASE_URL", "JWT_SECRET"], version=VERSION_ID)

LOAD_BALANCER = LoadBalancerArgs(
    vpc_id="vpc-1",
    subnet_ids=["subnet-1", "subnet-2"],
    internal=False,
    client_cidrs=["0.0.0.0/0"],
    test_cidrs=["10.9.0.0/16"],
    test_port=8443,
    pod_cidrs=["10.1.0.0/16"],
    pod_ports={8080},
    certificate_arn="arn:aws:acm:eu-west-1:123456789012:certificate/0",
    idle_timeout=60,
    deletion_protection=True,
    tags=TAGS,
)
TARGET_GROUPS = TargetGroupsArgs(
    colors=list(Color), vpc_id="vpc-1", health=Health(), deregistration_delay=30, tags=TAGS
)
ROUTES = TestRoutesArgs(
    listener_arn=LISTENER, target_group_arns=GROUPS, host="shop.example.com", priority_band=7, tags=TAGS
)
TRAFFIC = TrafficSplitArgs(
    service="shop",
    environment="staging",
    namespace="staging-shop",
    listener_arn=LISTENER,
    target_group_arns=GROUPS,
    host="shop.example.com",
    priority_band=7,
    active=Color.BLUE,
    canary_weight=0,
    canary=Color.GREEN,
    minimum_healthy=2,
    stickiness=0,
    serving={},
    tags=TAGS,
)
SECRETS = SecretEntriesArgs(
    service="shop",
    environment="staging",
    entries={"app": SecretEntry(keys=["DATABASE_URL", "JWT_SECRET"])},
    production=False,
    tags=TAGS,
)
MIGRATION = MigrationArgs(
    service="shop",
    environment="staging",
    production=False,
    namespace="staging-shop",
    schema="0002",
    image="registry.example.com/shop:1.5.0",
    env={"LOG_LEVEL": "INFO"},
    secrets=[MOUNT],
    resources=Resources(),
    await_timeout=600,
)
ENVIRONMENT = ColorEnvironmentArgs(
    service="shop",
    color=Color.GREEN,
    environment="staging",
    production=False,
    namespace="staging-shop",
    target_group_arn=GROUPS[Color.GREEN],
    load_balancer_security_group_id="sg-1",
    load_balancer_cidrs=["10.0.1.0/24", "10.0.2.0/24"],
    zones=["eu-west-1a", "eu-west-1b"],
    monitoring_namespace="monitoring",
    egress=[],
    strategy=Strategy(),
    image="registry.example.com/shop:1.5.0",
    version="1.5.0",
    port=8080,
    parked=False,
    env={"LOG_LEVEL": "INFO"},
    secrets=[MOUNT],
    replicas=Replicas(),
    resources=Resources(),
    health=Health(),
    timing=Timing(),
    routes=[],
)
TOPIC = "arn:aws:sns:eu-west-1:123456789012:on-call"
HEARERS = AlertRouting(topic_arns=[TOPIC], owner="team-shop", on_call="shop on duty, +49 30 901820")
ALERTS = AlertRulesArgs(
    service="shop",
    color=Color.GREEN,
    environment="staging",
    namespace="staging-shop",
    load_balancer="app/edge/0",
    target_group="targetgroup/green/0",
    resources=Resources(),
    minimum=2,
    parked=False,
    prometheus_labels={},
    cluster_name="main",
    moving="staging-shop-moving",
    routing=HEARERS,
    tags={**TAGS, "service": "shop", "color": "green"},
)
SERVICE_ALERTS = ServiceAlertsArgs(
    service="shop",
    environment="staging",
    namespace="staging-shop",
    load_balancer="app/edge/0",
    target_groups={color: f"targetgroup/{color}/0" for color in Color},
    prometheus_labels={},
    routing=HEARERS,
    tags={**TAGS, "service": "shop"},
)
EDGE_ALERTS = EdgeAlertsArgs(
    environment="staging",
    load_balancer="app/edge/0",
    certificates={"main": "arn:aws:acm:eu-west-1:123456789012:certificate/0"},
    routing=AlertRouting(topic_arns=[TOPIC], owner="team-edge", on_call="edge on duty"),
    tags=TAGS,
)
ALERT_TOPIC = AlertTopicArgs(
    environment="staging",
    account_id="123456789012",
    kms_key_arn="arn:aws:kms:eu-west-1:123456789012:key/0",
    subscriptions=[
        Subscription(protocol="email", endpoint="oncall@example.com"),
        Subscription(protocol="https", endpoint="https://alerts.example.com/sns"),
    ],
    owner="team-shop",
    tags=TAGS,
)
BLUE = Release(
    image="registry.example.com/shop:1.4.0", version="1.4.0", schema="0001", secret_versions={"app": VERSION_ID}
)
GREEN = Release(
    image="registry.example.com/shop:1.5.0", version="1.5.0", schema="0002", secret_versions={"app": VERSION_ID}
)


NETWORK = Network(
    vpc_id="vpc-1",
    subnet_ids=["subnet-1", "subnet-2"],
    subnet_cidrs=["10.0.1.0/24", "10.0.2.0/24"],
    zones=["eu-west-1a", "eu-west-1b"],
    vpc_cidrs=["10.0.0.0/16"],
)


def service() -> BlueGreenServiceArgs:
    """Return right arguments of a service; its load balancer is a component, and made here."""
    return BlueGreenServiceArgs(
        environment="staging",
        production=False,
        load_balancer=LoadBalancer("edge", LOAD_BALANCER),
        network=NETWORK,
        cluster=Cluster(),
        kms_key_arn="arn:aws:kms:eu-west-1:123456789012:key/0",
        secret_readers=[],
        host="shop.example.com",
        port=8080,
        priority_band=7,
        active=Color.BLUE,
        canary_weight=0,
        strategy=Strategy(),
        releases={Color.BLUE: BLUE, Color.GREEN: GREEN},
        repository_url=None,
        replicas=Replicas(),
        resources=Resources(),
        priority_class=None,
        health=Health(),
        timing=Timing(),
        env={"LOG_LEVEL": "INFO"},
        secrets={"app": SecretEntry(keys=["DATABASE_URL", "JWT_SECRET", "MIGRATION_DATABASE_URL"])},
        egress=[],
        policy_arns=[],
        expects_traffic=True,
        prometheus_labels={},
        routing=AlertRouting(owner="team-shop", on_call="shop-on-call@example.com"),
        tags=TAGS,
    )
