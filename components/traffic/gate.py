"""The gate before the production rule: no traffic for a color that cannot serve it.

With `parking` the only place of the program that calls AWS itself. It runs inside an update and never in a
preview, reads, decides by `traffic_gate`, and changes nothing.

The first weights of a service pass no gate: its rule is created then, no update, once both
Deployments are available. Nor does that wait for `minimum` pods: a new Deployment has one until
the autoscaler, which exists before it and looks every 15 seconds, asks for more. So a first `up`
may serve its first seconds with one pod, and an `up` that unparks a color and gives it traffic
may be refused; the next `up` then finds the pods.

The alarms are asked only when traffic moves between two colors. In a new environment they know nothing for their first
minutes, and a flip so early is refused. And a color that is being tried may have had too few requests for any alarm to
judge it: the silence of its alarms refuses nothing, but is said to be no proof.
"""

import asyncio
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import pulumi
import pulumi_aws as aws
from botocore.exceptions import BotoCoreError, ClientError

from components.context.aws_session import session
from components.context.balancer import family, group_weights
from components.context.balancer import healthy as healthy_targets
from components.context.context import ServiceContext
from components.model import ALARM_PERIOD, Color, color_alarms
from components.observe.alert_catalog import CANARY_MINUTES, CANARY_REQUESTS
from components.spec import Protocol
from components.traffic.decision import (
    ColorAlarms,
    experiment_refusal,
    kept_experiment,
    mixture_refusal,
    route_refusal,
    traffic_gate,
)

if TYPE_CHECKING:
    import boto3
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_elbv2 import ElasticLoadBalancingv2Client


EMERGENCY: Final = 'in an emergency: docs/operations.md, "Emergency without Pulumi"'


class TrafficRefusedError(Exception):
    """The gate refused new weights; the message says why and what to do."""


def traffic_gate_hook(
    name: str,
    *,
    service: str,
    environment: str,
    namespace: str,
    colors: Sequence[Color],
    minimum: int,
) -> pulumi.ResourceHook:
    """Return the hook that goes before every update of a service's production rule.

    AWS is reached as the stack's AWS provider reaches it, in the region of the rule itself.

    Args:
        name: unique in the stack.
        service: how messages call the service.
        environment: where it is; with the service's name it names the alarms.
        namespace: where its pods are, for the commands in messages.
        colors: the colors that answer behind the rule's target groups, in their order; first their own groups, then
            those of their mirrors.
        minimum: healthy targets without which a color is given no traffic.

    """
    # Of the provider, read while the program runs: the hook runs beside it.
    profile, roles = aws.config.profile, aws.config.assume_roles

    async def before_update(args: pulumi.ResourceHookArgs) -> None:
        region = args.id.split(":")[3]  # the rule's id is its ARN

        def ask() -> list[str]:
            try:
                client, cloudwatch = clients(region, profile, roles)
            except (BotoCoreError, ClientError) as error:
                raise TrafficRefusedError(
                    f"{service}: AWS cannot be asked with aws:profile {profile} and the roles of aws:assumeRoles: "
                    f"{error}; look with `aws sts get-caller-identity`; {EMERGENCY}"
                ) from error
            return check(
                client,
                cloudwatch,
                args,
                service=service,
                environment=environment,
                namespace=namespace,
                colors=colors,
                minimum=minimum,
            )

        # Off the event loop, which other resources of the update need meanwhile.
        for warning in await asyncio.to_thread(ask):
            pulumi.log.warn(warning)

    return pulumi.ResourceHook(name, before_update)


def route_hook(
    name: str, *, service: str, colors: Sequence[Color], production_arn: pulumi.Input[str]
) -> pulumi.ResourceHook:
    """Return the hook that goes before every creation and update of a route's rule: it follows the production rule.

    That has passed the gate, and has its new weights by now. An update of a route alone would part the two.
    """
    profile, roles = aws.config.profile, aws.config.assume_roles

    async def before(args: pulumi.ResourceHookArgs) -> None:
        wanted, _ = group_weights(_as_held(args.new_inputs))
        if args.old_inputs and _as_held(args.old_inputs) == _as_held(args.new_inputs):
            return
        owners = dict(zip(wanted, colors, strict=True))  # TrafficSplit writes them in this order
        arn = str(await pulumi.Output.from_input(production_arn).future())

        def ask() -> None:
            try:
                client, _ = clients(arn.split(":")[3], profile, roles)
                live, held = _shares(client.describe_rules(RuleArns=[arn])["Rules"][0], owners)
            except (BotoCoreError, ClientError) as error:
                raise TrafficRefusedError(
                    f"{service}: the production rule cannot be asked, and no route is parted from it: {error}; "
                    f"look with `aws elbv2 describe-rules --rule-arns {arn}`; {EMERGENCY}"
                ) from error
            after, _ = _shares(_as_held(args.new_inputs), owners)
            if problem := route_refusal(service, production=(live, held), wanted=after):
                raise TrafficRefusedError(problem)

        await asyncio.to_thread(ask)

    return pulumi.ResourceHook(name, before)


def cohort_hook(name: str, *, service: str) -> pulumi.ResourceHook:
    """Return the hook that goes before every update of a rule of an experiment's cohort, and keeps the cohort."""

    async def before_update(args: pulumi.ResourceHookArgs) -> None:
        old, new = args.old_inputs or {}, args.new_inputs or {}
        changed = [key for key in ("conditions", "actions") if old.get(key) != new.get(key)]
        if changed and (experiment := kept_experiment(old, new)) is not None:
            raise TrafficRefusedError(experiment_refusal(service, experiment, f"the cohort's {', '.join(changed)}"))

    return pulumi.ResourceHook(name, before_update)


def protocol_hook(name: str, context: ServiceContext, protocol: Protocol) -> pulumi.ResourceHook:
    """Return the hook that goes before every creation of a target group of a service, in no preview.

    A group has its protocol for life, and another takes a new one: its binding, whose name can be taken once, would
    empty the group that users reach before the new one has a target.
    """
    profile, roles, region = aws.config.profile, aws.config.assume_roles, aws.config.region

    async def before_create(_: pulumi.ResourceHookArgs) -> None:
        def ask() -> None:
            try:
                used = _protocols(session(region=region, profile=profile, roles=roles), context.tags)
            except (BotoCoreError, ClientError) as error:
                raise TrafficRefusedError(
                    f"{context.service}: which protocol its users are served by cannot be asked, and no target group "
                    f"is made: {error}; look with `aws sts get-caller-identity`"
                ) from error
            if others := used - {protocol.name}:
                other = min(others).lower()
                raise TrafficRefusedError(
                    f"{context.service}: protocol is {protocol}, and users reach target groups of {other}, which they "
                    f"are for life; new ones would have no targets: set protocol to {other}, and give {protocol} to a "
                    "service of another name and host beside it (docs/services.md); no group was made"
                )

        await asyncio.to_thread(ask)

    return pulumi.ResourceHook(name, before_create)


def _protocols(there: "boto3.Session", tags: Mapping[str, str]) -> set[str]:
    """Return the protocol versions of the target groups with these tags that a load balancer uses."""
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


_making = threading.Lock()
"""Clients may be shared by threads, but not be made by several at once."""


def clients(
    region: str, profile: str | None, roles: str | None
) -> "tuple[ElasticLoadBalancingv2Client, CloudWatchClient]":
    """Return clients of the load balancer and of the alarms, made once. Raises ``BotoCoreError`` or ``ClientError``."""
    with _making:
        return _clients(region, profile, roles)


@cache
def _clients(
    region: str, profile: str | None, roles: str | None
) -> "tuple[ElasticLoadBalancingv2Client, CloudWatchClient]":
    from botocore.config import Config

    # An answer that takes longer is none: an update that waits holds the stack's lock, which a rollback may need.
    fast = Config(connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 2})
    found = session(region=region, profile=profile, roles=roles)
    return found.client("elbv2", config=fast), found.client("cloudwatch", config=fast)


def check(
    client: "ElasticLoadBalancingv2Client",
    cloudwatch: "CloudWatchClient",
    args: pulumi.ResourceHookArgs,
    *,
    service: str,
    environment: str,
    namespace: str,
    colors: Sequence[Color],
    minimum: int,
) -> list[str]:
    """Compare a production rule's old and new weights with what the load balancer and the alarms say.

    Returns:
        What a person should know who moves the traffic: a color that was to be tried, and that had too few requests for
        an alarm to judge it.

    Raises:
        TrafficRefusedError: a color that gains traffic cannot serve it or is in trouble, the live weights are not those
            of the state, or one of these could not be read.

    """
    wanted, _ = group_weights(_as_held(args.new_inputs))
    owners = dict(zip(wanted, colors, strict=True))  # TrafficSplit writes them in this order
    groups: dict[Color, str] = {}
    for arn, color in owners.items():
        groups.setdefault(color, arn)
    colors = list(groups)
    after, _ = _shares(_as_held(args.new_inputs), owners)
    # A color that gets another group starts there with nothing, whatever its weight was.
    before, stated = _shares(_as_held(args.old_inputs), owners)
    had, _ = group_weights(_as_held(args.old_inputs))
    mirrors = {arn: color for arn, color in owners.items() if arn != groups[color] and wanted[arn] > had.get(arn, 0)}
    try:
        rules = family(client, args.id)
        if not rules:
            raise TrafficRefusedError(
                f"{service}: the load balancer has no rule {args.id}: somebody deleted it; run `pulumi refresh`, then "
                "`pulumi up` makes it again"
            )
        (live, held), *routes = [_shares(rule, owners) for rule in rules]
        healthy = {color: healthy_targets(client, arn) for color, arn in groups.items()}
        mirroring = {color: healthy_targets(client, arn) for arn, color in mirrors.items()}
    except (BotoCoreError, ClientError) as error:
        raise TrafficRefusedError(
            f"{service}: the load balancer cannot be read: {error}; look with `aws elbv2 describe-rules --rule-arns "
            f"{args.id}`; {EMERGENCY}"
        ) from error
    asked = len(colors) > 1 and (live != after or held not in ("", stated))
    problems = traffic_gate(
        service=service,
        namespace=namespace,
        old=before,
        new=after,
        live=live,
        healthy=healthy,
        minimum=minimum,
        environment=environment,
        alarms=_alarms(cloudwatch, service, environment, colors) if asked else {},
        live_actions=held,
        old_actions=stated,
        experiment=kept_experiment(args.old_inputs, args.new_inputs),
        mirroring=mirroring,
    )
    beside = dict(zip((rule["RuleArn"] for rule in rules[1:]), routes, strict=True))
    problems += mixture_refusal(service, production=(live, held), wanted=after, routes=beside)
    if problems:
        raise TrafficRefusedError("\n".join(problems))
    # What had none was not tried, what had most is no canary, and what an emergency wrote is there already.
    tried = [
        color
        for color in colors
        if 0 < before[color] <= before.get(color.other, 0) and max(before[color], live[color]) < after[color]
    ]
    return [
        f"{service}: not judged: {color} {few}; the silence of its alarm "
        f"{color_alarms(environment, service, color)[1]} proves nothing; send it more, or look yourself"
        for color in tried
        if (few := _too_few(cloudwatch, args.id, groups[color]))
    ]


def _too_few(cloudwatch: "CloudWatchClient", rule: str, group: str) -> str | None:
    """Return how few requests a group had, by CloudWatch's present data, which is all that the alarm has."""
    now = datetime.now(UTC)
    try:
        found = cloudwatch.get_metric_statistics(
            Namespace="AWS/ApplicationELB",
            MetricName="RequestCount",
            Dimensions=[
                # arn:aws:elasticloadbalancing:REGION:ACCOUNT:listener-rule/app/NAME/ID/LISTENER/RULE
                {"Name": "LoadBalancer", "Value": "/".join(rule.split("/")[1:4])},
                {"Name": "TargetGroup", "Value": group.split(":")[-1]},
            ],
            StartTime=now - timedelta(minutes=CANARY_MINUTES),
            EndTime=now,
            Period=ALARM_PERIOD,
            Statistics=["Sum"],
        )
    except (BotoCoreError, ClientError) as error:
        return f"may have had too few requests, which cannot be read: {error}"
    requests = sum(point["Sum"] for point in found["Datapoints"])
    if requests >= CANARY_REQUESTS:
        return None
    return f"had {requests:.0f} requests in {CANARY_MINUTES} minutes, and fewer than {CANARY_REQUESTS} are too few"


def _alarms(
    cloudwatch: "CloudWatchClient", service: str, environment: str, colors: Sequence[Color]
) -> Mapping[Color, ColorAlarms]:
    names = {color: color_alarms(environment, service, color) for color in colors}
    asked = [name for pair in names.values() for name in pair]
    try:
        found = cloudwatch.describe_alarms(AlarmNames=asked, AlarmTypes=["CompositeAlarm", "MetricAlarm"])
    except (BotoCoreError, ClientError) as error:
        raise TrafficRefusedError(
            f"{service}: the alarms cannot be read: {error}; look with `aws cloudwatch describe-alarms --alarm-types "
            f"CompositeAlarm MetricAlarm --alarm-names {' '.join(asked)}`; {EMERGENCY}"
        ) from error
    states = {alarm["AlarmName"]: alarm["StateValue"] for alarm in found.get("MetricAlarms", [])}
    states |= {alarm["AlarmName"]: alarm["StateValue"] for alarm in found.get("CompositeAlarms", [])}
    return {color: ColorAlarms(*(states.get(name) for name in pair)) for color, pair in names.items()}


def _as_held(inputs: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return a rule's inputs, of the state or the program, as the load balancer tells what it holds."""

    def told(action: Mapping[str, Any]) -> Mapping[str, Any]:
        groups = [
            {"TargetGroupArn": group["arn"], "Weight": group.get("weight") or 0}
            for group in (action.get("forward") or {}).get("targetGroups", [])
        ]
        alone = action.get("targetGroupArn")
        return {"Type": action["type"], "TargetGroupArn": alone, "ForwardConfig": {"TargetGroups": groups}}

    return {"Actions": [told(action) for action in (inputs or {}).get("actions") or []]}


def _shares(rule: Mapping[str, Any], owners: Mapping[str, Color]) -> tuple[dict[Color, int], str]:
    """Return the weights by the color that answers, and what else a rule does: other actions, and other groups."""
    weights, kinds = group_weights(rule)
    strangers = [arn.rpartition(":")[2] for arn, weight in weights.items() if weight and arn not in owners]
    found = dict.fromkeys(owners.values(), 0)
    for arn, color in owners.items():
        found[color] += weights.get(arn, 0)
    return found, ", ".join([*kinds, *strangers])
