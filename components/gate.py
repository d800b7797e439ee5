"""The gate before the production rule: no traffic for a color that cannot serve it.

The only place of the product that calls AWS itself. It runs inside an update and never in a
preview, reads, decides by `rules.traffic_gate`, and changes nothing.
"""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import boto3
import pulumi

from components.model import Color
from components.rules import traffic_gate

if TYPE_CHECKING:
    from mypy_boto3_elbv2 import ElasticLoadBalancingv2Client


class TrafficRefusedError(Exception):
    """The gate refused new weights; the message says why and what to do."""


def traffic_gate_hook(name: str, *, service: str, namespace: str, minimum: int) -> pulumi.ResourceHook:
    """Return the hook that goes before every update of a service's production rule.

    AWS is reached as boto3's default chain says, in the region of the rule itself.

    Args:
        name: unique in the stack.
        service: how messages call the service.
        namespace: where its pods are, for the commands in messages.
        minimum: healthy targets without which a color is given no traffic.

    """

    async def before_update(args: pulumi.ResourceHookArgs) -> None:
        region = args.id.split(":")[3]  # the rule's id is its ARN
        client = boto3.client("elbv2", region_name=region)
        # Off the event loop, which other resources of the update need meanwhile.
        await asyncio.to_thread(check, client, args, service=service, namespace=namespace, minimum=minimum)

    return pulumi.ResourceHook(name, before_update)


def check(
    client: "ElasticLoadBalancingv2Client",
    args: pulumi.ResourceHookArgs,
    *,
    service: str,
    namespace: str,
    minimum: int,
) -> None:
    """Compare a production rule's old and new weights with what the load balancer says.

    Raises:
        TrafficRefusedError: a color that gains traffic cannot serve it, or the live weights are not those of the state.
        botocore.exceptions.ClientError: the load balancer could not be read, which refuses the update just as well.

    """
    old, new = _weights(args.old_inputs), _weights(args.new_inputs)
    rule = client.describe_rules(RuleArns=[args.id])["Rules"][0]
    live = {
        group["TargetGroupArn"]: group.get("Weight", 0)
        for action in rule["Actions"]
        for group in action.get("ForwardConfig", {}).get("TargetGroups", [])
    }
    # A color that gets another group starts there with nothing, whatever its weight was.
    kept = {color: arn for color, (arn, _) in old.items() if arn == new[color][0]}
    problems = traffic_gate(
        service=service,
        namespace=namespace,
        old={color: old[color][1] if color in kept else 0 for color in Color},
        new={color: weight for color, (_, weight) in new.items()},
        live={color: live.get(kept.get(color, ""), 0) for color in Color},
        healthy={color: _healthy(client, arn) for color, (arn, _) in new.items()},
        minimum=minimum,
    )
    if problems:
        raise TrafficRefusedError("\n".join(problems))


def _healthy(client: "ElasticLoadBalancingv2Client", arn: str) -> int:
    targets = client.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
    return sum(target["TargetHealth"]["State"] == "healthy" for target in targets)


def _weights(inputs: Mapping[str, Any] | None) -> dict[Color, tuple[str, int]]:
    """Return group and weight of each color, from inputs as TrafficSplit wrote them: one forward, in Color order."""
    groups = (inputs or {})["actions"][0]["forward"]["targetGroups"]
    return {color: (group["arn"], int(group["weight"])) for color, group in zip(Color, groups, strict=True)}
