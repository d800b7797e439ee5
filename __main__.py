"""The stack: its settings, one load balancer, and every service behind it. Wiring only."""

import pulumi

from components.load_balancer import LoadBalancer, LoadBalancerArgs
from components.service import BlueGreenService, BlueGreenServiceArgs
from components.settings import load

PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
"""Who may reach an internal load balancer (RFC 1918)."""

settings = load(pulumi.Config(), pulumi.get_stack())
tags = {"environment": settings.environment, "managed-by": "pulumi"}

load_balancer = LoadBalancer(
    "edge",
    LoadBalancerArgs(
        vpc_id=settings.network.vpc_id or "",
        subnet_ids=settings.network.subnet_ids or (),
        internal=settings.network.scheme == "internal",
        client_cidrs=PRIVATE if settings.network.scheme == "internal" else ["0.0.0.0/0"],
        test_cidrs=settings.load_balancer.test_listener_cidrs,
        test_port=settings.load_balancer.test_listener_port,
        pod_cidrs=settings.network.pod_cidrs,
        pod_ports={service.port for service in settings.services.values()},
        certificate_arn=settings.load_balancer.certificate_arn or "",
        idle_timeout=settings.load_balancer.idle_timeout,
        deletion_protection=settings.load_balancer.deletion_protection,
        tags=tags,
    ),
)
services = {
    name: BlueGreenService(
        name,
        BlueGreenServiceArgs(
            environment=settings.environment,
            production=settings.production,
            load_balancer=load_balancer,
            vpc_id=settings.network.vpc_id or "",
            host=service.host,
            port=service.port,
            priority_band=service.priority_band,
            active=service.active_color,
            canary_weight=service.canary_weight,
            releases=service.colors,
            replicas=service.replicas,
            resources=service.resources,
            health=service.health,
            timing=service.timing,
            env=service.env,
            secrets={entry: secret.keys for entry, secret in service.secrets.items()},
            topic_arns=settings.alerts.topic_arns,
            tags=tags,
        ),
    )
    for name, service in settings.services.items()
}

pulumi.export("loadBalancer", load_balancer.dns_name)
pulumi.export("services", {name: service.summary for name, service in services.items()})
