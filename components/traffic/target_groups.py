"""The target groups of a service: one per color, for life."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pulumi
import pulumi_aws as aws
from botocore.exceptions import BotoCoreError, ClientError
from pulumi_aws import lb

from components.context.aws_session import session
from components.context.context import ServiceContext
from components.model import MIRROR, Color, fit_name
from components.spec import Protocol, Service
from components.traffic.gate import TrafficRefusedError

if TYPE_CHECKING:
    import boto3

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
        hook = pulumi.ResourceHookBinding(before_create=[_protocol_hook(f"{name}-protocol", args)])

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


def _protocol_hook(name: str, args: TargetGroupsArgs) -> pulumi.ResourceHook:
    """Return the hook that goes before every creation of a group, in no preview.

    A group has its protocol for life, and another takes a new one: its binding, whose name can be taken once, would
    empty the group that users reach before the new one has a target.
    """
    profile, roles, region = aws.config.profile, aws.config.assume_roles, aws.config.region
    service, protocol = args.context.service, args.spec.protocol

    async def before_create(_: pulumi.ResourceHookArgs) -> None:
        def ask() -> None:
            try:
                there = session(region=region, profile=profile, roles=roles)
                used = protocols(there, args.context.tags)
            except (BotoCoreError, ClientError) as error:
                raise TrafficRefusedError(
                    f"{service}: which protocol its users are served by cannot be asked, and no target group is made: "
                    f"{error}; look with `aws sts get-caller-identity`"
                ) from error
            if others := used - {protocol.name}:
                other = min(others).lower()
                raise TrafficRefusedError(
                    f"{service}: protocol is {protocol}, and users reach target groups of {other}, which they are for "
                    f"life; new ones would have no targets: set protocol to {other}, and give {protocol} to a service "
                    "of another name and host beside it (docs/services.md); no group was made"
                )

        await asyncio.to_thread(ask)

    return pulumi.ResourceHook(name, before_create)


def protocols(there: "boto3.Session", tags: Mapping[str, str]) -> set[str]:
    """Return the protocol versions of the groups with these tags that a load balancer uses.

    Raises ``BotoCoreError`` or ``ClientError``.
    """
    pages = (
        there.client("resourcegroupstaggingapi")
        .get_paginator("get_resources")
        .paginate(
            ResourceTypeFilters=["elasticloadbalancing:targetgroup"],
            TagFilters=[{"Key": key, "Values": [value]} for key, value in tags.items()],
        )
    )
    arns = [each["ResourceARN"] for page in pages for each in page["ResourceTagMappingList"]]
    if not arns:
        return set()
    groups = there.client("elbv2").describe_target_groups(TargetGroupArns=arns)["TargetGroups"]
    return {group.get("ProtocolVersion", "HTTP1") for group in groups if group["LoadBalancerArns"]}
