"""The groups that pods of a color are registered in."""

import pytest

from components.model import Color
from components.spec import Health, Protocol, Timing
from components.traffic.target_groups import TargetGroups
from tests.support import samples
from tests.support.engine import Engine, in_stack


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
