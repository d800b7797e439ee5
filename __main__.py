"""The stack: its settings, what all services share, and every service. Wiring only."""
# ruff: noqa: E402

import atexit
import gc
import os

# The program runs for seconds: the collector would find nothing, and take a third of the time of imports and exit.
gc.disable()
atexit.register(gc.freeze)

import pulumi
import pulumi_aws as aws

from components.context.cluster import confirm
from components.edge.edge import Edge, EdgeArgs
from components.edge.encryption_key import EncryptionKey, EncryptionKeyArgs
from components.edge.network import find
from components.edge.private_bucket import PrivateBucket, PrivateBucketArgs
from components.observe.alert_topic import AlertTopic, AlertTopicArgs
from components.observe.cloudwatch import AlertRouting
from components.rules import PRIVATE
from components.service.image import ImageRepository, ImageRepositoryArgs
from components.service.service import BlueGreenService, BlueGreenServiceArgs
from components.settings import load
from components.traffic.guard import Guard, GuardArgs

settings = load(pulumi.Config(), pulumi.get_stack())
environment, production = settings.environment, settings.production
internal = settings.network.scheme == "internal"
alerts, front = settings.alerts, settings.load_balancer
tags = {"environment": environment, "managed-by": "pulumi"}
lookup = settings.network.lookup
network = find(
    vpc_id=settings.network.vpc_id,
    subnet_ids=settings.network.subnet_ids,
    vpc_tags=lookup.vpc_tags if lookup else None,
    subnet_tags=lookup.subnet_tags if lookup else None,
    stack_reference=settings.network.stack_reference,
)
account = aws.get_caller_identity().account_id
confirm(
    settings.cluster.name,
    account=account,
    region=aws.config.region,
    provider=pulumi.Config("kubernetes").get,
    files=os.environ.get("KUBECONFIG"),
)

kms_key_arn: pulumi.Input[str] = (
    settings.kms_key_arn
    or EncryptionKey(
        environment,
        EncryptionKeyArgs(environment=environment, account_id=account, production=production, tags=tags),
    ).arn
)
own_topic = alerts.subscriptions and AlertTopic(
    "alerts",
    AlertTopicArgs(
        environment=environment,
        account_id=account,
        kms_key_arn=kms_key_arn,
        subscriptions=alerts.subscriptions,
        owner=alerts.owner,
        tags=tags,
    ),
)
topics: list[pulumi.Input[str]] = [*alerts.topic_arns, *([own_topic.arn] if own_topic else [])]
routing = AlertRouting(topic_arns=topics, owner=alerts.owner, on_call=alerts.on_call, runbooks=alerts.runbooks)
repositories = {
    name: ImageRepository(
        name,
        ImageRepositoryArgs(
            service=name,
            reader_accounts=settings.registry.reader_accounts,
            keep=production or bool(settings.registry.reader_accounts),
            tags={**tags, "service": name},
        ),
    )
    for name in settings.registry.repositories
}
edge = Edge(
    "edge",
    EdgeArgs(
        environment=environment,
        production=production,
        account_id=account,
        network=network,
        internal=internal,
        client_cidrs=[str(network) for network in PRIVATE] if internal else ["0.0.0.0/0"],
        test_cidrs=front.test_listener_cidrs,
        test_port=front.test_listener_port,
        pod_cidrs=settings.network.pod_cidrs,
        pod_ports={service.port for service in settings.services.values()},
        hosts={service.host: list(service.colors) for service in settings.services.values()},
        zone=settings.dns.zone if settings.dns else None,
        certificate_arn=front.certificate_arn,
        access_logs=production if front.access_logs is None else front.access_logs,
        waf=not internal if front.waf is None else front.waf,
        rate_limit=front.rate_limit,
        content_security_policy=front.content_security_policy,
        cors_origin=front.cors_origin,
        idle_timeout=front.idle_timeout,
        deletion_protection=front.deletion_protection,
        routing=routing,
        tags=tags,
    ),
)
releases = PrivateBucket(f"{environment}-releases", PrivateBucketArgs(production=production, tags=tags))
guard = Guard(
    f"{environment}-guard",
    GuardArgs(environment=environment, account_id=account, bucket=releases.name, routing=routing, tags=tags),
)
services = {
    name: BlueGreenService(
        name,
        BlueGreenServiceArgs(
            environment=environment,
            production=production,
            load_balancer=edge.load_balancer,
            network=network,
            cluster=settings.cluster,
            kms_key_arn=kms_key_arn,
            secret_readers=settings.secret_readers,
            repository_url=repositories[name].url if name in repositories else None,
            host=service.host,
            port=service.port,
            priority_band=service.priority_band,
            active=service.active_color,
            canary_weight=service.canary_weight,
            strategy=service.strategy,
            releases=service.colors,
            replicas=service.replicas,
            resources=service.resources,
            priority_class=service.priority_class,
            health=service.health,
            timing=service.timing,
            env=service.env,
            not_secrets=service.not_secrets,
            secrets=service.secrets,
            egress=service.egress,
            policy_arns=service.policy_arns,
            expects_traffic=production if service.expects_traffic is None else service.expects_traffic,
            prometheus_labels=settings.prometheus.labels if settings.prometheus.enabled else None,
            routing=routing,
            tags=tags,
        ),
    )
    for name, service in settings.services.items()
}

pulumi.export("loadBalancer", edge.load_balancer.dns_name)
pulumi.export("releases", releases.name)
pulumi.export("guard", guard.arn)
pulumi.export("services", {name: service.summary for name, service in services.items()})
