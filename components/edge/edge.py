"""What stands before all services of an environment: the load balancer, and all that it needs to be safe and found."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import pulumi

from components.edge.dns import AliasRecords, AliasRecordsArgs, Certificates, CertificatesArgs, hosted_zone
from components.edge.load_balancer import LoadBalancer, LoadBalancerArgs, confirm_same
from components.edge.log_bucket import LogBucket, LogBucketArgs
from components.edge.network import Network, where_pods_are
from components.edge.web_acl import WebAcl, WebAclArgs
from components.model import Color, color_host
from components.observe.alert_rules import EdgeAlerts, EdgeAlertsArgs
from components.observe.cloudwatch import AlertRouting


@dataclass(frozen=True, kw_only=True)
class EdgeArgs:
    """The topics are Inputs; the rest is plain, for it decides what exists."""

    environment: str
    production: bool
    account_id: str
    network: Network
    internal: bool
    client_cidrs: Sequence[str]
    test_cidrs: Sequence[str]
    test_port: int
    pod_cidrs: Sequence[str] | None
    """None for the VPC's own networks."""
    pod_ports: Collection[int]
    hosts: Mapping[str, Collection[Color]]
    """The colors of the service at each host."""
    zone: str | None
    """Where the hosts' records are made; None if somebody else makes them."""
    certificate_arn: str | None
    """For all hosts; None to have one issued for each, which takes a ``zone``."""
    access_logs: bool
    waf: bool
    rate_limit: int
    content_security_policy: str
    cors_origin: str | None
    idle_timeout: int
    deletion_protection: bool
    routing: AlertRouting
    tags: Mapping[str, str]

    def __post_init__(self) -> None:
        if self.certificate_arn is None and self.zone is None:
            raise ValueError("certificate_arn and zone are None; a certificate is given or issued in a zone")


class Edge(pulumi.ComponentResource):
    """The one load balancer of an environment, with its certificates, records, logs, web ACL and alarms."""

    load_balancer: LoadBalancer

    def __init__(self, name: str, args: EdgeArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("hueshift:edge:Edge", name, None, opts)
        confirm_same(name, environment=args.environment, internal=args.internal, vpc_id=args.network.vpc_id)
        child = pulumi.ResourceOptions(parent=self)
        zone = hosted_zone(args.zone) if args.zone else None
        default: pulumi.Input[str]
        certificates: Mapping[str, pulumi.Input[str]]
        if args.certificate_arn is not None:
            default, certificates = args.certificate_arn, {}
        else:
            issued = Certificates(
                f"{name}-certificates",
                CertificatesArgs(
                    zone_id=str(zone),
                    default_host=f"{args.environment}.{args.zone}",
                    hosts=list(args.hosts),
                    tags=args.tags,
                ),
                opts=child,
            )
            default, certificates = issued.default_arn, issued.arns
        log_bucket = None
        if args.access_logs:
            log_bucket = LogBucket(
                f"{name}-logs",
                LogBucketArgs(account_id=args.account_id, production=args.production, tags=args.tags),
                opts=child,
            ).name
        self.load_balancer = LoadBalancer(
            name,
            LoadBalancerArgs(
                vpc_id=args.network.vpc_id,
                subnet_ids=args.network.subnet_ids,
                internal=args.internal,
                client_cidrs=args.client_cidrs,
                test_cidrs=args.test_cidrs,
                test_port=args.test_port,
                pod_cidrs=where_pods_are(args.network, args.pod_cidrs),
                pod_ports=args.pod_ports,
                certificate_arn=default,
                extra_certificate_arns=certificates,
                content_security_policy=args.content_security_policy,
                cors_origin=args.cors_origin,
                log_bucket=log_bucket,
                idle_timeout=args.idle_timeout,
                deletion_protection=args.deletion_protection,
                tags=args.tags,
            ),
            opts=child,
        )
        if args.waf:
            WebAcl(
                f"{name}-waf",
                WebAclArgs(load_balancer_arn=self.load_balancer.arn, rate_limit=args.rate_limit, tags=args.tags),
                opts=child,
            )
        if zone is not None:
            AliasRecords(
                f"{name}-records",
                AliasRecordsArgs(
                    zone_id=zone,
                    load_balancer=self.load_balancer,
                    hosts=[
                        every
                        for host, colors in args.hosts.items()
                        for every in (host, *(color_host(color, host) for color in colors))
                    ],
                ),
                opts=child,
            )
        EdgeAlerts(
            f"{name}-alerts",
            EdgeAlertsArgs(
                environment=args.environment,
                load_balancer=self.load_balancer.arn_suffix,
                certificates=certificates or {"given": default},
                routing=args.routing,
                tags=args.tags,
            ),
            opts=child,
        )
        self.register_outputs({"dns_name": self.load_balancer.dns_name})
