"""The target groups of a service: one per color, for life."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_aws import lb

from components.context.context import ServiceContext
from components.model import MIRROR, Color, fit_name
from components.spec import Protocol, Service
from components.traffic.gate import protocol_hook

NAME_LIMIT: Final = 24
"""Characters of a logical name: the API takes 32, of which autonaming uses 8 (pulumi-aws#1317)."""

PORT: Final = 80
"""Of a target that is registered without one. No pod is: the controller states each pod's own port, and so a service
may change its port and keep its groups."""


@dataclass(frozen=True, kw_only=True)
class TargetGroupsArgs:
    """The VPC is an Input; the rest is plain, configuration decides it."""

    spec: Service
    context: ServiceContext
    vpc_id: pulumi.Input[str]


class TargetGroups(pulumi.ComponentResource):
    """One target group per color, filled with pod addresses by the color's TargetGroupBinding, and one per mirror."""

    arns: Mapping[Color, pulumi.Output[str]]
    arn_suffixes: Mapping[Color, pulumi.Output[str]]
    """What CloudWatch calls the groups: ``targetgroup/<name>/<id>``."""
    mirror_arns: Mapping[Color, pulumi.Output[str]]
    """Of the groups of the colors' mirrors; none without shadow."""
    mirror_arn_suffixes: Mapping[Color, pulumi.Output[str]]

    def __init__(self, name: str, args: TargetGroupsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("hueshift:target_groups:TargetGroups", name, None, opts)
        guarded = protocol_hook(f"{name}-protocol", args.context, args.spec.protocol)
        hook = pulumi.ResourceHookBinding(before_create=[guarded])

        # Names are left to Pulumi: a group whose VPC changes is then made anew before
        # the rules let go of the old one; a fixed name would ask for the opposite order, which
        # the API refuses (pulumi-aws#4220).
        def group(color: Color, suffix: str = "", tags: Mapping[str, str] | None = None) -> lb.TargetGroup:
            return lb.TargetGroup(
                fit_name("", name, f"-{color}{suffix}", NAME_LIMIT),
                vpc_id=args.vpc_id,
                port=PORT,
                protocol="HTTP",
                protocol_version=args.spec.protocol.name,
                target_type="ip",
                ip_address_type="ipv4",
                deregistration_delay=args.spec.timing.deregistration_delay,
                # Slow start does nothing for the first targets of an empty group, which are all of a color's.
                slow_start=0,
                load_balancing_algorithm_type="round_robin",
                # The defaults of the API and of the provider differ: all are stated.
                health_check={
                    "enabled": True,
                    "protocol": "HTTP",
                    "port": "traffic-port",
                    "path": args.spec.health_path,
                    "matcher": "0" if args.spec.protocol is Protocol.GRPC else "200",
                    "interval": args.spec.health.interval,
                    "timeout": args.spec.health.timeout,
                    "healthy_threshold": args.spec.health.healthy_threshold,
                    "unhealthy_threshold": args.spec.health.unhealthy_threshold,
                },
                # Off: the load balancer refuses it behind a rule without group stickiness.
                stickiness={"enabled": False, "type": "lb_cookie", "cookie_duration": 86400},
                # DNS failover is judged per load balancer: an empty idle color must not fail the live one over.
                target_group_health={
                    "dns_failover": {
                        "minimum_healthy_targets_count": "off",
                        "minimum_healthy_targets_percentage": "off",
                    },
                    "unhealthy_state_routing": {
                        "minimum_healthy_targets_count": 1,
                        "minimum_healthy_targets_percentage": "off",
                    },
                },
                tags={**args.context.of(args.context.service, color).tags, **(tags or {})},
                # A group has its port for life, and one made with another keeps that: none is made anew for a number
                # that nobody uses.
                opts=pulumi.ResourceOptions(parent=self, ignore_changes=["port"], hooks=hook),
            )

        groups = {color: group(color) for color in Color if color in args.spec.colors}
        mirrors = {color: group(color, "-mirror", {MIRROR: "true"}) for color in groups if args.spec.shadow}
        self.arns = {color: each.arn for color, each in groups.items()}
        self.arn_suffixes = {color: each.arn_suffix for color, each in groups.items()}
        self.mirror_arns = {color: each.arn for color, each in mirrors.items()}
        self.mirror_arn_suffixes = {color: each.arn_suffix for color, each in mirrors.items()}
        self.register_outputs({"arns": self.arns, "arn_suffixes": self.arn_suffixes})
