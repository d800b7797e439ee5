"""The guard of a color's pods: they are not taken away while users are sent to it.

Settings compare ``parked`` with the weights of the stack file. The load balancer may have others: after an emergency or
in a release, and in an update that parks a color and takes its traffic away at once, where nothing orders the two.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import pulumi
import pulumi_aws as aws
from botocore.exceptions import BotoCoreError, ClientError

from components.context.balancer import cohort_rules, group_weights, rules_for
from components.model import Color
from components.traffic.gate import TrafficRefusedError, clients

if TYPE_CHECKING:
    from mypy_boto3_elbv2 import ElasticLoadBalancingv2Client


def parking_hook(
    name: str,
    *,
    service: str,
    color: Color,
    host: str,
    listener_arn: pulumi.Input[str],
    target_group_arns: Sequence[pulumi.Input[str]],
) -> pulumi.ResourceHook:
    """Return the hook that goes before every update of a color's Deployments; ``name`` is unique in the stack.

    Its groups are that of its pods and, if it has one, that of its mirror, behind which they answer too.
    It runs in no preview, and asks AWS only when the pods would be taken away.
    """
    profile, roles = aws.config.profile, aws.config.assume_roles

    async def before_update(args: pulumi.ResourceHookArgs) -> None:
        if not parks(args.old_inputs, args.new_inputs):
            return
        listener = await pulumi.Output.from_input(listener_arn).future()
        groups = [str(await pulumi.Output.from_input(arn).future()) for arn in target_group_arns]

        def ask() -> None:
            try:
                client, _ = clients(str(listener).split(":")[3], profile, roles)
                refuse_while_live(client, str(listener), groups, service=service, color=color, host=host)
            except (BotoCoreError, ClientError) as error:
                raise TrafficRefusedError(
                    f"{service}: whether {color} has traffic cannot be asked, and it is not parked: {error}; "
                    "look with `hueshift status`, or set parked to false"
                ) from error

        await asyncio.to_thread(ask)

    return pulumi.ResourceHook(name, before_update)


def parks(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> bool:
    """Whether a Deployment with these inputs gives up its pods now."""
    before, after = ((inputs or {}).get("spec", {}).get("replicas") for inputs in (old, new))
    return bool(after == 0 and before != 0)


def refuse_while_live(
    client: "ElasticLoadBalancingv2Client",
    listener: str,
    groups: Collection[str],
    *,
    service: str,
    color: Color,
    host: str,
) -> None:
    """Raise ``TrafficRefusedError`` if a production rule, or that of a cohort, gives one of the groups any weight.

    Raises ``BotoCoreError`` or ``ClientError`` if it cannot be asked.
    """
    shared = chain.from_iterable(rules_for(client, listener, {host}))
    for rule in (*shared, *cohort_rules(client, listener, host)):
        weights, _ = group_weights(rule)
        if weight := sum(weights.get(group, 0) for group in groups):
            raise TrafficRefusedError(
                f"{service}: {color} would be parked while the load balancer gives it {weight} of "
                f"{sum(weights.values())} parts of the traffic, and its users would get 503; look with "
                "`hueshift status`; set parked to false, move the traffic, and park it in an update of its own"
            )
