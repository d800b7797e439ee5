"""What stands before all services of an environment: the load balancer, and all that it needs to be safe and found."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import pulumi

from components.context.context import Context
from components.edge.dns import AliasRecords, AliasRecordsArgs, Certificates, CertificatesArgs, hosted_zone
from components.edge.load_balancer import LoadBalancer, LoadBalancerArgs, confirm_same
from components.edge.log_bucket import LogBucket, LogBucketArgs
from components.edge.network import Network, where_pods_are
from components.edge.web_acl import WebAcl, WebAclArgs
from components.model import color_host
from components.observe.alert_rules import EdgeAlerts, EdgeAlertsArgs
from components.observe.cloudwatch import AlertRouting
from components.rules import further_hosts
from components.spec import Dns, LoadBalancerSpec, Service


@dataclass(frozen=True, kw_only=True)
class EdgeArgs:
    """The topics are Inputs; the rest is plain, for it decides what exists."""

    spec: LoadBalancerSpec
    context: Context
    network: Network
    internal: bool
    pod_cidrs: Sequence[str] | None
    """None for the VPC's own networks."""
    dns: Dns | None
    """Where the hosts' records are made; None if somebody else makes them."""
    services: Collection[Service]
    """Their hosts, those of their routes, and ports."""
    routing: AlertRouting

    def __post_init__(self) -> None:
        if self.spec.certificate_arn is None and self.dns is None:
            raise ValueError("certificate_arn and dns are None; a certificate is given or issued in a zone")


class Edge(pulumi.ComponentResource):
    """The one load balancer of an environment, with its certificates, records, logs, web ACL and alarms."""

    load_balancer: LoadBalancer
    heard: Sequence[pulumi.Output[str]]
    """The ARNs of its alarms."""

    def __init__(self, name: str, args: EdgeArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("hueshift:edge:Edge", name, None, opts)
        spec, context = args.spec, args.context
        confirm_same(name, environment=context.environment, internal=args.internal, vpc_id=args.network.vpc_id)
        child = pulumi.ResourceOptions(parent=self)
        zone = hosted_zone(args.dns.zone) if args.dns else None
        routed = [host for service in args.services for route in service.routes for host in route.hosts]
        default: pulumi.Input[str]
        certificates: Mapping[str, pulumi.Input[str]]
        if args.dns is None or spec.certificate_arn is not None:
            default, certificates = str(spec.certificate_arn), {}
        else:
            issued = Certificates(
                f"{name}-certificates",
                CertificatesArgs(
                    zone_id=str(zone),
                    default_host=f"{context.environment}.{args.dns.zone}",
                    hosts=[service.host for service in args.services],
                    further_hosts=further_hosts(routed, [service.host for service in args.services]),
                    context=context,
                ),
                opts=child,
            )
            default, certificates = issued.default_arn, issued.arns
        log_bucket = None
        if spec.access_logs:
            log_bucket = LogBucket(f"{name}-logs", LogBucketArgs(context=context), opts=child).name
        self.load_balancer = LoadBalancer(
            name,
            LoadBalancerArgs(
                spec=spec,
                context=context,
                network=args.network,
                internal=args.internal,
                pod_cidrs=where_pods_are(args.network, args.pod_cidrs),
                pod_ports={service.port for service in args.services},
                certificate_arn=default,
                extra_certificate_arns=certificates,
                log_bucket=log_bucket,
            ),
            opts=child,
        )
        if spec.waf:
            WebAcl(
                f"{name}-waf",
                WebAclArgs(load_balancer_arn=self.load_balancer.arn, rate_limit=spec.rate_limit, context=context),
                opts=child,
            )
        if zone is not None:
            AliasRecords(
                f"{name}-records",
                AliasRecordsArgs(
                    zone_id=zone,
                    load_balancer=self.load_balancer,
                    hosts=list(
                        dict.fromkeys(
                            [
                                every
                                for service in args.services
                                for every in (
                                    service.host,
                                    *(color_host(color, service.host) for color in service.colors),
                                )
                            ]
                            + routed
                        )
                    ),
                ),
                opts=child,
            )
        self.heard = EdgeAlerts(
            f"{name}-alerts",
            EdgeAlertsArgs(
                context=context,
                load_balancer=self.load_balancer.arn_suffix,
                certificates=certificates or {"given": default},
                routing=args.routing,
            ),
            opts=child,
        ).heard
        self.register_outputs({"dns_name": self.load_balancer.dns_name})
