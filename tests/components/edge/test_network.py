"""The network is read while the program runs, and refused before anything is built in it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from components.edge import network
from components.edge.network import Network, NetworkError
from components.spec import Lookup, NetworkSpec
from tests.support.engine import Engine, in_stack, subnets_in

SUBNETS = ["subnet-1", "subnet-2"]
NETWORK = Network(
    vpc_id="vpc-1",
    subnet_ids=("subnet-1", "subnet-2"),
    subnet_cidrs=("10.0.0.0/24", "10.0.1.0/24"),
    zones=("eu-west-1a", "eu-west-1b"),
    vpc_cidrs=("10.0.0.0/16", "100.64.0.0/16"),
)
VPC = {
    "id": "vpc-1",
    "cidrBlockAssociations": [{"cidrBlock": each, "state": "associated"} for each in NETWORK.vpc_cidrs],
}
STACK = "organization/network/production"


def other_stack(engine: Engine, **outputs: object) -> None:
    """Let the stack that is referred to have these outputs."""
    engine.answers["pulumi:pulumi:readStackOutputs"] = {"name": STACK, "outputs": outputs, "secretOutputNames": []}


def tagged(engine: Engine, subnets: list[str]) -> list[Mapping[str, Any]]:
    """Let the account have one VPC and these subnets; return what is asked, as it is asked."""
    asked: list[Mapping[str, Any]] = []

    def answer(found: Mapping[str, Any], arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        asked.append(arguments)
        return found

    engine.answers["aws:ec2/getVpc:getVpc"] = lambda arguments: answer(VPC, arguments)
    engine.answers["aws:ec2/getSubnets:getSubnets"] = lambda arguments: answer({"ids": subnets}, arguments)
    return asked


@in_stack
async def test_given_ids_stay_as_they_are_and_their_networks_are_read(engine: Engine) -> None:
    engine.answers["aws:ec2/getSubnet:getSubnet"] = subnets_in("vpc-9")
    assert network.given("vpc-9", SUBNETS) == replace(NETWORK, vpc_id="vpc-9")


@in_stack
async def test_tags_find_one_vpc_and_its_subnets_in_an_order_that_does_not_change(engine: Engine) -> None:
    asked = tagged(engine, ["subnet-2", "subnet-1"])
    found = network.looked_up({"Name": "main"}, {"tier": "public"})
    assert (found.vpc_id, found.subnet_ids) == ("vpc-1", ("subnet-1", "subnet-2"))
    assert asked == [
        {"tags": {"Name": "main"}},
        {"filters": [{"name": "vpc-id", "values": ["vpc-1"]}], "tags": {"tier": "public"}},
        {"id": "vpc-1"},
    ]


@in_stack
async def test_another_stack_says_where(engine: Engine) -> None:
    other_stack(engine, vpcId="vpc-1", subnetIds=SUBNETS)
    assert network.referenced(STACK) == NETWORK


@in_stack
async def test_each_way_alone_finds_it_and_half_a_way_does_not(engine: Engine) -> None:
    tagged(engine, SUBNETS)
    other_stack(engine, vpcId="vpc-1", subnetIds=SUBNETS)
    assert network.find(NetworkSpec(vpc_id="vpc-1", subnet_ids=SUBNETS)) == NETWORK
    assert (
        network.find(NetworkSpec(lookup=Lookup(vpc_tags={"Name": "main"}, subnet_tags={"tier": "public"}))) == NETWORK
    )
    assert network.find(NetworkSpec(stack_reference=STACK)) == NETWORK
    with pytest.raises(ValueError, match="needs both ids"):
        network.find(NetworkSpec(vpc_id="vpc-1"))


@in_stack
async def test_one_subnet_is_too_few_and_the_tags_that_found_it_are_named(engine: Engine) -> None:
    tagged(engine, ["subnet-1"])
    with pytest.raises(NetworkError, match=r"subnetTags tier=public in vpc-1: 1 is too few; at least 2"):
        network.looked_up({"Name": "main"}, {"tier": "public"})


@in_stack
async def test_tags_that_no_vpc_has_are_named(engine: Engine) -> None:
    def none(_arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        raise LookupError("no matching EC2 VPC found")

    engine.answers["aws:ec2/getVpc:getVpc"] = none
    with pytest.raises(NetworkError, match=r"network\.lookup\.vpcTags Name=mian: .*no matching EC2 VPC found"):
        network.looked_up({"Name": "mian"}, {"tier": "public"})


@in_stack
async def test_an_output_that_the_other_stack_lacks_is_named_with_the_stack(engine: Engine) -> None:
    other_stack(engine, vpcId="vpc-1", subnets=SUBNETS)
    with pytest.raises(NetworkError, match=rf"{STACK}: the stack has no output subnetIds; export it there"):
        network.referenced(STACK)
    other_stack(engine, vpcId="vpc-1", subnetIds="subnet-1,subnet-2")
    with pytest.raises(NetworkError, match=rf"{STACK}: .*subnetIds a list of ids"):
        network.referenced(STACK)


@in_stack
async def test_subnets_of_another_vpc_or_two_of_one_zone_are_refused(engine: Engine) -> None:
    with pytest.raises(NetworkError, match=r"subnet-1 is in vpc-1, not in vpc-2"):
        network.given("vpc-2", SUBNETS)
    same = {"vpcId": "vpc-1", "availabilityZone": "eu-west-1a", "cidrBlock": "10.0.0.0/24"}
    engine.answers["aws:ec2/getSubnet:getSubnet"] = lambda arguments: {**same, "id": arguments["id"]}
    with pytest.raises(NetworkError, match=r"subnet-1 and subnet-2 are both in eu-west-1a; .* one subnet of each"):
        network.given("vpc-1", SUBNETS)


@in_stack
async def test_the_networks_of_the_vpc_are_those_that_it_has_now(engine: Engine) -> None:
    assert network.given("vpc-1", SUBNETS).vpc_cidrs == ("10.0.0.0/16", "100.64.0.0/16")
    assert engine.answers["aws:ec2/getVpc:getVpc"]({"id": "vpc-1"})["cidrBlockAssociations"][-1] == {  # type: ignore[operator]
        "cidrBlock": "10.9.0.0/16",
        "state": "disassociated",
    }


@in_stack
async def test_a_preview_knows_the_network(preview: Engine) -> None:
    other_stack(preview, vpcId="vpc-1", subnetIds=SUBNETS)
    assert network.referenced(STACK) == network.given("vpc-1", SUBNETS) == NETWORK
