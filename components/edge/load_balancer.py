"""The load balancer that all services of an environment share, and its listeners."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import pulumi
from pulumi_aws import ec2, lb, vpc

from components.context.context import Context
from components.edge.log_bucket import ACCESS_LOGS, CONNECTION_LOGS
from components.edge.network import Network
from components.rules import FROM_SERVICES, PRIVATE
from components.spec import LoadBalancerSpec

TLS_POLICY: Final = "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09"
"""TLS 1.3 and 1.2, post-quantum key exchange; unset, AWS takes a policy that allows TLS 1.0 (ELB guide, policies)."""

HSTS: Final = "max-age=31536000"
"""One year, without ``includeSubDomains``: hosts below a service's own are not ours to bind."""


@dataclass(frozen=True, kw_only=True)
class LoadBalancerArgs:
    """What other resources could supply is an Input; what decides how many rules there are is plain."""

    spec: LoadBalancerSpec
    context: Context
    network: Network
    internal: bool
    """Private networks alone then reach the production listener, else everybody."""
    pod_cidrs: Sequence[str]
    pod_ports: Collection[int]
    """All that the load balancer itself may reach: requests and health checks share a service's port."""
    certificate_arn: pulumi.Input[str]
    """What a client gets whose host no other certificate names."""
    extra_certificate_arns: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    """By host; each is for the host and, on the test listener, for the colors' hosts below it."""
    log_bucket: pulumi.Input[str] | None = None
    """The name of a `LogBucket`, whose output waits for its policy; None logs nothing."""


class AnotherLoadBalancerError(pulumi.RunError, ValueError):
    """What the settings say of the network takes another load balancer than the one that serves."""


def confirm_same(name: str, *, environment: str, internal: bool, vpc_id: str) -> None:
    """Refuse another scheme or VPC than those of the environment's load balancer that is there with this name.

    Neither can be changed, and the target groups cannot follow to a new one: each belongs to one load balancer (ELBv2,
    ``TargetGroupAssociationLimit``). The hosts would, and lead nowhere.

    Raises:
        AnotherLoadBalancerError: it has another.

    """
    arns = [
        arn for arn in lb.get_lbs(tags={"environment": environment}).arns if f":loadbalancer/app/{name}-alb-" in arn
    ]
    for found in (lb.get_load_balancer(arn=arn) for arn in arns):
        if (found.internal, found.vpc_id) != (internal, vpc_id):
            is_, wanted = (
                f"{'internal' if inside else 'internet-facing'} in {vpc}"
                for inside, vpc in ((found.internal, found.vpc_id), (internal, vpc_id))
            )
            raise AnotherLoadBalancerError(
                f"network: the load balancer {found.name} is {is_}, and the settings say {wanted}; scheme and VPC are "
                "for life, or every service would be down: set them back, or make a new stack with an environment and "
                "hosts of its own (docs/operations/first-stack.md), move the users there, and destroy this one; "
                "nothing was touched"
            )


class LoadBalancer(pulumi.ComponentResource):
    """An Application Load Balancer that answers 404 where no service's rules say otherwise.

    Not 503: an answer of its own with 5xx is a failure of the load balancer to its metrics, and whoever asks for a host
    that no service has, as scanners do, would set off ``load-balancer-errors``.

    Listeners: 443 for production, 80 which only redirects there, and one for tests.
    """

    arn: pulumi.Output[str]
    arn_suffix: pulumi.Output[str]
    """What CloudWatch calls it: ``app/<name>/<id>``."""
    dns_name: pulumi.Output[str]
    zone_id: pulumi.Output[str]
    """The hosted zone of ``dns_name``, as an alias record names it."""
    listener_arn: pulumi.Output[str]
    """Of the production listener."""
    test_listener_arn: pulumi.Output[str]
    test_port: int
    security_group_id: pulumi.Output[str]

    def __init__(self, name: str, args: LoadBalancerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("hueshift:load_balancer:LoadBalancer", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        group = self._security_group(name, args)
        balancer = lb.LoadBalancer(
            f"{name}-alb",
            load_balancer_type="application",
            internal=args.internal,
            subnets=args.network.subnet_ids,
            security_groups=[group.id],
            ip_address_type="ipv4",
            idle_timeout=args.spec.idle_timeout,
            enable_deletion_protection=args.spec.deletion_protection,
            enable_http2=True,
            enable_zonal_shift=True,
            enable_waf_fail_open=False,
            desync_mitigation_mode="defensive",
            drop_invalid_header_fields=True,
            xff_header_processing_mode="append",
            access_logs=_logs(args.log_bucket, ACCESS_LOGS),
            connection_logs=_logs(args.log_bucket, CONNECTION_LOGS),
            tags=args.context.tags,
            opts=child,
        )
        left = args.spec.headers_from_services
        headers = {
            name: None if name in left else value
            for name, value in (
                ("strict-transport-security", HSTS),
                ("content-security-policy", args.spec.content_security_policy),
                ("x-content-type-options", "nosniff"),
                ("x-frame-options", "DENY"),
            )
        }
        production, test = (
            lb.Listener(
                f"{name}-{suffix}",
                load_balancer_arn=balancer.arn,
                port=port,
                protocol="HTTPS",
                ssl_policy=TLS_POLICY,
                certificate_arn=args.certificate_arn,
                default_actions=[
                    {
                        "type": "fixed-response",
                        "fixed_response": {
                            "status_code": "404",
                            "content_type": "text/plain",
                            "message_body": "no service answers at this host",
                        },
                    }
                ],
                routing_http_response_server_enabled=False,
                routing_http_response_strict_transport_security_header_value=headers["strict-transport-security"],
                routing_http_response_content_security_policy_header_value=headers["content-security-policy"],
                routing_http_response_access_control_allow_origin_header_value=args.spec.cors_origin,
                routing_http_response_x_content_type_options_header_value=headers["x-content-type-options"],
                routing_http_response_x_frame_options_header_value=headers["x-frame-options"],
                tags={**args.context.tags, **({FROM_SERVICES: " ".join(left)} if left else {})},
                opts=child,
            )
            for suffix, port in (("https", 443), ("test", args.spec.test_listener_port))
        )
        for suffix, listener in (("https", production), ("test", test)):
            for host, arn in args.extra_certificate_arns.items():
                lb.ListenerCertificate(
                    f"{name}-{suffix}-{host}", listener_arn=listener.arn, certificate_arn=arn, opts=child
                )
        lb.Listener(
            f"{name}-http",
            load_balancer_arn=balancer.arn,
            port=80,
            protocol="HTTP",
            default_actions=[
                {"type": "redirect", "redirect": {"protocol": "HTTPS", "port": "443", "status_code": "HTTP_301"}}
            ],
            routing_http_response_server_enabled=False,
            tags=args.context.tags,
            opts=child,
        )
        self.arn = balancer.arn
        self.arn_suffix = balancer.arn_suffix
        self.dns_name = balancer.dns_name
        self.zone_id = balancer.zone_id
        self.listener_arn = production.arn
        self.test_listener_arn = test.arn
        self.test_port = args.spec.test_listener_port
        self.security_group_id = group.id
        self.register_outputs(
            {
                "dns_name": self.dns_name,
                "listener_arn": self.listener_arn,
                "test_listener_arn": self.test_listener_arn,
            }
        )

    def _security_group(self, name: str, args: LoadBalancerArgs) -> ec2.SecurityGroup:
        """Declare the security group with one rule per port and network, so that a change of one keeps the others."""
        group = ec2.SecurityGroup(
            f"{name}-firewall",
            description="Load balancer: clients in, pods out",
            vpc_id=args.network.vpc_id,
            tags=args.context.tags,
            opts=pulumi.ResourceOptions(parent=self),
        )
        everybody = [str(each) for each in PRIVATE] if args.internal else ["0.0.0.0/0"]
        clients = everybody if args.spec.client_cidrs is None else args.spec.client_cidrs
        doors = {443: clients, 80: clients, args.spec.test_listener_port: args.spec.test_listener_cidrs}
        for port, cidrs in doors.items():
            for cidr in cidrs:
                vpc.SecurityGroupIngressRule(
                    f"{name}-in-{port}-{cidr}",
                    security_group_id=group.id,
                    description=f"clients to {port}",
                    ip_protocol="tcp",
                    from_port=port,
                    to_port=port,
                    cidr_ipv4=cidr,
                    tags=args.context.tags,
                    opts=pulumi.ResourceOptions(parent=self),
                )
        for port in sorted(set(args.pod_ports)):
            for cidr in args.pod_cidrs:
                vpc.SecurityGroupEgressRule(
                    f"{name}-out-{port}-{cidr}",
                    security_group_id=group.id,
                    description=f"pods at {port}",
                    ip_protocol="tcp",
                    from_port=port,
                    to_port=port,
                    cidr_ipv4=cidr,
                    tags=args.context.tags,
                    opts=pulumi.ResourceOptions(parent=self),
                )
        return group


def _logs(bucket: pulumi.Input[str] | None, prefix: str) -> lb.LoadBalancerAccessLogsArgsDict:
    """Return the settings of one kind of log; access and connection logs have the same three members.

    Always stated: a bucket alone does not switch a log on, and leaving the block out does not switch it off again (the
    provider's ``SuppressMissingOptionalConfigurationBlock``).
    """
    return {"bucket": bucket if bucket is not None else "", "prefix": prefix, "enabled": bucket is not None}
