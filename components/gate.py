"""The gate before the production rule: no traffic for a color that cannot serve it.

The only place of the product that calls AWS itself. It runs inside an update and never in a
preview, reads, decides by `rules.traffic_gate`, and changes nothing.

The first weights of a service pass no gate: its rule is created then, no update, once both
Deployments are available. Nor does that wait for `minimum` pods: a new Deployment has one until
the autoscaler, which exists before it and looks every 15 seconds, asks for more. So a first `up`
may serve its first seconds with one pod, and an `up` that unparks a color and gives it traffic
may be refused; the next `up` then finds the pods.
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
    groups = dict(zip(Color, new, strict=True))  # TrafficSplit writes them in this order
    problems = traffic_gate(
        service=service,
        namespace=namespace,
        # A color that gets another group starts there with nothing, whatever its weight was.
        old={color: old.get(arn, 0) for color, arn in groups.items()},
        new={color: new[arn] for color, arn in groups.items()},
        live={color: live.get(arn, 0) for color, arn in groups.items()},
        healthy={color: _healthy(client, arn) for color, arn in groups.items()},
        minimum=minimum,
    )
    if problems:
        raise TrafficRefusedError("\n".join(problems))


def _healthy(client: "ElasticLoadBalancingv2Client", arn: str) -> int:
    targets = client.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
    return sum(target["TargetHealth"]["State"] == "healthy" for target in targets)


def _weights(inputs: Mapping[str, Any] | None) -> dict[str, int]:
    """Return the weights by group, in the order of the inputs, which a refresh may have changed in the state."""
    groups = (inputs or {})["actions"][0]["forward"]["targetGroups"]
    return {group["arn"]: int(group["weight"]) for group in groups}
