"""The stack: its settings, what all services share, and every service. Wiring only."""

import fast_start  # noqa: F401 # isort: skip - before all that takes time
import os
from dataclasses import replace

import pulumi
import pulumi_aws as aws

from components.context.cluster import confirm
from components.context.context import Context
from components.edge.edge import Edge, EdgeArgs
from components.edge.encryption_key import EncryptionKey, EncryptionKeyArgs
from components.edge.network import find
from components.edge.private_bucket import PrivateBucket, PrivateBucketArgs
from components.edge.uptime import ask_from_outside
from components.observe.alert_topic import routing
from components.observe.dashboard import Dashboard, DashboardArgs
from components.observe.log_groups import keep_lines, log_groups_arn
from components.service.feature_flags import offer_flags
from components.service.image import ImageRepository, ImageRepositoryArgs
from components.service.service import BlueGreenService, BlueGreenServiceArgs
from components.settings import load
from components.traffic.guard import Guard, GuardArgs

settings = load(pulumi.Config(), pulumi.get_stack())
network = find(settings.network)
context = Context(
    environment=settings.environment,
    production=settings.production,
    account_id=aws.get_caller_identity().account_id,
    cluster=settings.cluster,
    tracing=settings.tracing,
)
region = aws.get_region().region
confirm(
    settings.cluster.name,
    account=context.account_id,
    region=aws.config.region,
    provider=pulumi.Config("kubernetes").get,
    files=os.environ.get("KUBECONFIG"),
)
log_groups = log_groups_arn(settings.logs, context, region)
key = EncryptionKeyArgs(context=context, log_groups=log_groups)
kms_key_arn = settings.kms_key_arn or EncryptionKey(context.environment, key).arn
alerts = routing(settings.alerts, context, kms_key_arn)
keep_lines(settings.logs, context, settings.services, kms_key_arn)
repositories = {
    name: ImageRepository(
        name, ImageRepositoryArgs(context=context.of(name), reader_accounts=settings.registry.reader_accounts)
    ).url
    for name in settings.registry.repositories
}
edge = Edge(
    "edge",
    EdgeArgs(
        spec=settings.load_balancer,
        context=context,
        network=network,
        internal=settings.network.internal,
        pod_cidrs=settings.network.pod_cidrs,
        dns=settings.dns,
        services=settings.services.values(),
        routing=alerts,
    ),
)
releases = PrivateBucket(f"{context.environment}-releases", PrivateBucketArgs(context=context))
guard = Guard(f"{context.environment}-guard", GuardArgs(context=context, bucket=releases.name, routing=alerts))
services = {
    name: BlueGreenService(
        name,
        BlueGreenServiceArgs(
            spec=service,
            context=context,
            load_balancer=edge.load_balancer,
            network=network,
            kms_key_arn=kms_key_arn,
            secret_readers=settings.secret_readers,
            repository_url=repositories.get(name),
            prometheus_labels=settings.prometheus.selected_by,
            routing=replace(alerts, owner=settings.alerts.owner_of(name)),
        ),
    )
    for name, service in settings.services.items()
}
offer_flags(settings.services, context, region, after=list(services.values()))
Dashboard(
    "dashboard",
    DashboardArgs(
        spec=settings.dashboards,
        context=context,
        region=region,
        load_balancer=edge.load_balancer.arn_suffix,
        alarms=edge.heard,
        services={name: service.shown for name, service in services.items()},
        logs=settings.logs,
        health_checks=ask_from_outside(settings.services, context, settings.alerts, alerts, region),
    ),
)
pulumi.export("loadBalancer", edge.load_balancer.dns_name)
pulumi.export("releases", releases.name)
pulumi.export("guard", guard.arn)
pulumi.export("services", {name: service.summary for name, service in services.items()})
