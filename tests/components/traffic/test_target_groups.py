"""The groups that pods of a color are registered in."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import boto3
import pulumi
import pytest

from components.model import Color
from components.spec import Health, Protocol, Timing
from components.traffic.gate import TrafficRefusedError
from components.traffic.target_groups import TargetGroups
from tests.support import moto, samples
from tests.support.engine import Engine, in_stack

if TYPE_CHECKING:
    from mypy_boto3_elbv2.type_defs import TagTypeDef


@in_stack
async def test_there_is_one_group_per_color_and_pulumi_names_it(engine: Engine) -> None:
    TargetGroups("shop-tg", samples.TARGET_GROUPS)
    groups = await engine.of_type("TargetGroup")
    assert [group.name for group in groups] == ["shop-tg-blue", "shop-tg-green"]
    for group, color in zip(groups, Color, strict=True):
        assert "name" not in group.inputs
        assert group.inputs["tags"] == {**samples.TAGS, "service": "shop", "color": color}


@in_stack
async def test_a_long_name_leaves_room_for_the_random_part(engine: Engine) -> None:
    TargetGroups("payments-and-refunds-gateway-tg", samples.TARGET_GROUPS)
    names = [group.name for group in await engine.of_type("TargetGroup")]
    assert len(set(names)) == 2
    assert max(map(len, names)) + len("-1234567") <= 32


@in_stack
async def test_targets_are_pods_and_are_checked_as_the_settings_say(engine: Engine) -> None:
    health = Health(path="/up", interval=7, timeout=3, healthy_threshold=4, unhealthy_threshold=5)
    TargetGroups(
        "shop-tg", samples.change(samples.TARGET_GROUPS, health=health, timing=Timing(deregistration_delay=12))
    )
    inputs = await engine.inputs("shop-tg-blue")
    assert (inputs["targetType"], inputs["deregistrationDelay"]) == ("ip", 12)
    assert inputs["healthCheck"] == {
        "enabled": True,
        "protocol": "HTTP",
        "port": "traffic-port",
        "path": "/up",
        "matcher": "200",
        "interval": 7,
        "timeout": 3,
        "healthyThreshold": 4,
        "unhealthyThreshold": 5,
    }


@in_stack
async def test_a_group_that_was_made_with_another_port_keeps_it(engine: Engine) -> None:
    TargetGroups("shop-tg", samples.TARGET_GROUPS)
    for color in Color:
        assert list((await engine.resource(f"shop-tg-{color}")).request.ignoreChanges) == ["port"]


@in_stack
async def test_an_empty_color_cannot_fail_the_load_balancer_over(engine: Engine) -> None:
    TargetGroups("shop-tg", samples.TARGET_GROUPS)
    failover = (await engine.inputs("shop-tg-green"))["targetGroupHealth"]["dnsFailover"]
    assert set(failover.values()) == {"off"}


@in_stack
@pytest.mark.usefixtures("engine")
async def test_arns_are_known_by_color() -> None:
    groups = TargetGroups("shop-tg", samples.TARGET_GROUPS)
    for color in Color:
        assert f"targetgroup/shop-tg-{color}" in str(await groups.arns[color].future())
        assert str(await groups.arn_suffixes[color].future()).startswith(f"targetgroup/shop-tg-{color}")


@in_stack
async def test_the_load_balancer_asks_in_the_protocol_of_the_pods(engine: Engine) -> None:
    for protocol, version, path, matcher in (
        (Protocol.HTTP1, "HTTP1", "/health/ready", "200"),
        (Protocol.HTTP2, "HTTP2", "/health/ready", "200"),
        (Protocol.GRPC, "GRPC", "/grpc.health.v1.Health/Check", "0"),
    ):
        TargetGroups(f"{protocol}-tg", samples.change(samples.TARGET_GROUPS, protocol=protocol))
        inputs = await engine.inputs(f"{protocol}-tg-blue")
        assert (inputs["protocol"], inputs["protocolVersion"]) == ("HTTP", version)
        assert (inputs["healthCheck"]["path"], inputs["healthCheck"]["matcher"]) == (path, matcher)


@contextmanager
def served(monkeypatch: pytest.MonkeyPatch, *, used: bool = True) -> Iterator[None]:
    """Play an account with the shop's blue group, of HTTP/1.1, which a load balancer uses, or only keeps."""
    tags: list[TagTypeDef] = [
        {"Key": key, "Value": value} for key, value in {**samples.SHOP.tags, "color": "blue"}.items()
    ]
    with moto.mocked(monkeypatch):
        ec2, elbv2 = boto3.client("ec2", region_name="eu-west-1"), boto3.client("elbv2", region_name="eu-west-1")
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        subnets = [
            ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{number}.0/24", AvailabilityZone=f"eu-west-1{zone}")
            for number, zone in enumerate("ab")
        ]
        balancer = elbv2.create_load_balancer(Name="edge", Subnets=[each["Subnet"]["SubnetId"] for each in subnets])
        group = elbv2.create_target_group(
            Name="shop-blue", Protocol="HTTP", ProtocolVersion="HTTP1", Port=80, VpcId=vpc, TargetType="ip", Tags=tags
        )["TargetGroups"][0]["TargetGroupArn"]
        if used:
            elbv2.create_listener(
                LoadBalancerArn=balancer["LoadBalancers"][0]["LoadBalancerArn"],
                Protocol="HTTP",
                Port=80,
                DefaultActions=[{"Type": "forward", "TargetGroupArn": group}],
            )
        yield


async def made(engine: Engine, protocol: Protocol, **config: str) -> None:
    """Create a group of this protocol, as far as its hook."""
    pulumi.runtime.set_all_config({f"aws:{key}": value for key, value in {"region": "eu-west-1", **config}.items()})
    try:
        TargetGroups("shop-tg", samples.change(samples.TARGET_GROUPS, protocol=protocol))
    finally:
        pulumi.runtime.set_all_config({})
    request = (await engine.resource("shop-tg-green")).request
    (name,) = request.hooks.before_create
    called = engine.hooks[name](
        pulumi.ResourceHookArgs(urn="urn", id="", name="shop-tg-green", type="aws:lb/targetGroup:TargetGroup")
    )
    assert called is not None
    await called


@in_stack
async def test_no_group_of_another_protocol_is_made_beside_those_that_users_reach(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(monkeypatch), pytest.raises(TrafficRefusedError, match="shop: protocol is grpc") as refused:
        await made(engine, Protocol.GRPC)
    assert "users reach target groups of http1" in str(refused.value)
    assert "set protocol to http1" in str(refused.value)


@in_stack
@pytest.mark.parametrize(("protocol", "used"), [(Protocol.HTTP1, True), (Protocol.GRPC, False)])
async def test_a_group_is_made_beside_those_of_its_protocol_and_those_that_nobody_reaches(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, protocol: Protocol, used: bool
) -> None:
    with served(monkeypatch, used=used):
        await made(engine, protocol)


@in_stack
async def test_no_group_is_made_where_aws_cannot_be_asked(engine: Engine) -> None:
    with pytest.raises(TrafficRefusedError, match=r"no target group is made: .*nobody-has-this"):
        await made(engine, Protocol.HTTP1, profile="nobody-has-this")
