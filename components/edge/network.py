"""Where the load balancer stands: a VPC and its subnets, named in one of three ways."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Network
from typing import Any

import pulumi
from pulumi_aws import ec2

from components.rules import subnets_problem
from components.spec import NetworkSpec


class NetworkError(pulumi.RunError, ValueError):
    """The network that the settings name is not there, or no load balancer could stand in it."""


@dataclass(frozen=True, kw_only=True)
class Network:
    """All plain, read while the program runs, in a preview as in an update: no Output, hence never unknown.

    An unknown VPC or subnet would show every target group and the load balancer as replaced.
    """

    vpc_id: str
    subnet_ids: Sequence[str]
    """Of the load balancer, in two availability zones or more."""
    subnet_cidrs: Sequence[str]
    """Their networks: the addresses from which the load balancer's requests and health checks reach the pods."""
    zones: Sequence[str]
    """Their availability zones; a target in any other is never used (ELBv2 TargetHealth, ``Target.NotInUse``)."""
    vpc_cidrs: Sequence[str]
    """The VPC's own networks, in which its pods have their addresses."""


def find(spec: NetworkSpec) -> Network:
    """Return the network by whichever of the three ways is taken: both ids, the tags of both, or another stack.

    Raises:
        NetworkError: as the way that is taken does.
        ValueError: none is whole.

    """
    if spec.stack_reference is not None:
        return referenced(spec.stack_reference)
    if spec.lookup is not None:
        return looked_up(spec.lookup.vpc_tags, spec.lookup.subnet_tags)
    if spec.vpc_id is not None and spec.subnet_ids is not None:
        return given(spec.vpc_id, spec.subnet_ids)
    raise ValueError("a network needs both ids, the tags of both, or a stack that has them as outputs")


def given(vpc_id: str, subnet_ids: Sequence[str]) -> Network:
    """Return the network with these ids.

    Raises:
        NetworkError: a subnet does not exist or is elsewhere, or all are in one availability zone.

    """
    return _network(vpc_id, subnet_ids, "network")


def looked_up(vpc_tags: Mapping[str, str], subnet_tags: Mapping[str, str]) -> Network:
    """Return the one VPC with these tags and all of its subnets with those.

    Raises:
        NetworkError: none or several VPCs have the tags; or the subnets are fewer than two, or all in one zone.

    """
    vpc = _ask(f"network.lookup.vpcTags {_tags(vpc_tags)}", partial(ec2.get_vpc, tags=dict(vpc_tags)))
    where = f"network.lookup.subnetTags {_tags(subnet_tags)} in {vpc.id}"
    subnets = _ask(
        where,
        partial(ec2.get_subnets, filters=[{"name": "vpc-id", "values": [vpc.id]}], tags=dict(subnet_tags)),
    )
    return _network(vpc.id, sorted(subnets.ids), where)  # in an order of our own: EC2 promises none


def referenced(stack: str) -> Network:
    """Return what another stack exports as ``vpcId`` and ``subnetIds``.

    Raises:
        NetworkError: there is no such stack, or it lacks an output; or no load balancer could stand in its subnets.

    """
    where = f"network.stackReference {stack}"
    # What `pulumi.StackReference` reads, as values instead of Outputs: the engine's own function for it.
    answer = _ask(where, partial(pulumi.runtime.invoke, "pulumi:pulumi:readStackOutputs", {"name": stack}))
    outputs: Mapping[str, Any] = answer.value["outputs"]
    if missing := [name for name in ("vpcId", "subnetIds") if not outputs.get(name)]:
        raise NetworkError(f"{where}: the stack has no output {' and none '.join(missing)}; export it there")
    vpc_id, subnet_ids = outputs["vpcId"], outputs["subnetIds"]
    if not isinstance(vpc_id, str) or not isinstance(subnet_ids, Sequence) or isinstance(subnet_ids, str):
        raise NetworkError(f"{where}: vpcId must be one id and subnetIds a list of ids")
    return _network(vpc_id, subnet_ids, where)


def where_pods_are(network: Network, pod_cidrs: Sequence[str] | None) -> Sequence[str]:
    """Return where the load balancer may send to: the networks named, or the VPC's own where none are.

    Raises:
        NetworkError: one of them has no address of the VPC, so no pod, and all requests would time out.

    """
    own = [IPv4Network(cidr) for cidr in network.vpc_cidrs]
    for cidr in pod_cidrs or ():
        if not any(IPv4Network(cidr).overlaps(each) for each in own):
            raise NetworkError(
                f"network.podCidrs: {cidr} has no address of {network.vpc_id} ({', '.join(network.vpc_cidrs)}), and "
                "pods have those alone; name the networks of the pods, or leave the key out for all of the VPC's"
            )
    return network.vpc_cidrs if pod_cidrs is None else pod_cidrs


def _network(vpc_id: str, subnet_ids: Sequence[str], where: str) -> Network:
    if (reason := subnets_problem(subnet_ids)) is not None:
        raise NetworkError(f"{where}: {reason}")
    subnets = [_ask(f"{where}: {subnet}", partial(ec2.get_subnet, id=subnet)) for subnet in subnet_ids]
    for subnet in subnets:
        if subnet.vpc_id != vpc_id:
            raise NetworkError(f"{where}: {subnet.id} is in {subnet.vpc_id}, not in {vpc_id}; name subnets of one VPC")
    zones: dict[str, str] = {}
    for subnet in subnets:
        if (other := zones.setdefault(subnet.availability_zone, subnet.id)) != subnet.id:
            raise NetworkError(
                f"{where}: {other} and {subnet.id} are both in {subnet.availability_zone}; a load balancer takes two "
                "availability zones or more, and one subnet of each"
            )
    vpc = _ask(f"{where}: {vpc_id}", partial(ec2.get_vpc, id=vpc_id))
    return Network(
        vpc_id=vpc_id,
        subnet_ids=tuple(subnet_ids),
        subnet_cidrs=tuple(subnet.cidr_block for subnet in subnets),
        zones=tuple(sorted(zones)),
        vpc_cidrs=tuple(
            sorted(block.cidr_block for block in vpc.cidr_block_associations if block.state == "associated")
        ),
    )


def _ask(what: str, call: Callable[[], Any]) -> Any:  # noqa: ANN401 - what the provider answers
    """Call, and say what was asked for when the answer is a refusal."""
    try:
        return call()
    except Exception as error:
        raise NetworkError(f"{what}: {error}") from error


def _tags(tags: Mapping[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in tags.items())
