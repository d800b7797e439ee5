"""What stands before all services: each part exists exactly when it is asked for."""

from dataclasses import replace

import pytest

from components.edge.edge import Edge
from components.edge.load_balancer import AnotherLoadBalancerError
from components.edge.network import NetworkError
from components.model import Color
from components.spec import Dns, Service
from tests.support import samples
from tests.support.engine import Engine, in_stack, installed

ZONE = {"aws:route53/getZone:getZone": {"zoneId": "Z0123456789", "name": "example.com"}}
DNS = Dns(zone="example.com")
BARE = samples.EDGE
FULL = samples.change(BARE, dns=DNS, certificate_arn=None, access_logs=True, waf=True)


def at(host: str, *colors: Color) -> Service:
    """Return a service at a host, with these colors."""
    kept = {color: samples.SERVICE.colors[color] for color in colors or Color}
    return replace(samples.SERVICE, host=host, colors=kept)


def components(engine: Engine) -> set[str]:
    return {r.type.rpartition(":")[2] for r in engine.registrations.values() if not r.custom}


@in_stack
async def test_without_options_there_is_a_load_balancer_and_its_alarms(engine: Engine) -> None:
    Edge("edge", BARE)
    await engine.settle()
    assert components(engine) == {"Edge", "LoadBalancer", "EdgeAlerts"}


@in_stack
@pytest.mark.parametrize(
    ("option", "part"),
    [({"access_logs": True}, "LogBucket"), ({"waf": True}, "WebAcl"), ({"dns": DNS}, "AliasRecords")],
)
async def test_each_option_adds_its_part(engine: Engine, option: dict[str, object], part: str) -> None:
    engine.answers |= ZONE
    Edge("edge", samples.change(BARE, **option))
    await engine.settle()
    assert components(engine) == {"Edge", "LoadBalancer", "EdgeAlerts", part}


@in_stack
async def test_every_host_and_the_hosts_of_its_colors_get_a_record(engine: Engine) -> None:
    engine.answers |= ZONE
    Edge("edge", replace(BARE, dns=DNS, services=[at("a.example.com"), at("b.example.com", Color.BLUE)]))
    names = {record.inputs["name"] for record in await engine.of_type("Record")}
    assert names == {
        "a.example.com", "blue.a.example.com", "green.a.example.com", "b.example.com", "blue.b.example.com",
    }  # fmt: skip


@in_stack
async def test_a_new_service_touches_no_other_services_certificate_or_record(engine: Engine) -> None:
    engine.answers |= ZONE
    Edge("edge", FULL)
    await engine.settle()
    before = {r.urn: r.inputs for r in engine.registrations.values() if r.custom}
    engine.registrations.clear()
    engine.outputs.clear()
    Edge("edge", replace(FULL, services=[at("aaa.example.com"), *FULL.services]))
    await engine.settle()
    after = {r.urn: r.inputs for r in engine.registrations.values() if r.custom}
    assert {urn for urn in before if after[urn] != before[urn]} == set()
    assert all("aaa.example.com" in urn for urn in after.keys() - before.keys())


@in_stack
async def test_the_load_balancer_may_send_to_the_vpcs_own_networks_unless_others_are_named(engine: Engine) -> None:
    Edge("edge", replace(BARE, pod_cidrs=None))
    assert {rule.inputs["cidrIpv4"] for rule in await engine.of_type("EgressRule")} == set(samples.NETWORK.vpc_cidrs)


@in_stack
@pytest.mark.parametrize("cidr", ["10.0.128.0/17", "10.0.0.0/8"])
async def test_networks_that_are_named_have_addresses_of_the_vpc(engine: Engine, cidr: str) -> None:
    Edge("edge", replace(BARE, pod_cidrs=[cidr]))
    assert {rule.inputs["cidrIpv4"] for rule in await engine.of_type("EgressRule")} == {cidr}


@in_stack
async def test_a_network_without_pods_is_refused_before_all_requests_time_out(engine: Engine) -> None:
    with pytest.raises(
        NetworkError, match=r"network\.podCidrs: 172\.16\.0\.0/12 has no address of vpc-1 \(10\.0\.0\.0/16\)"
    ):
        Edge("edge", replace(BARE, pod_cidrs=["10.0.0.0/16", "172.16.0.0/12"]))
    assert not any(each.custom for each in engine.registrations.values())


def standing(engine: Engine, **found: object) -> None:
    """Let a load balancer of this environment be there."""
    arn = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/edge-alb-0a1b2c3/0"
    other = arn.replace("edge-alb-0a1b2c3", "legacy")
    engine.answers["aws:lb/getLbs:getLbs"] = lambda asked: {
        "arns": [other, arn] if asked["tags"] == {"environment": "staging"} else []
    }
    balancer = {"name": "edge-alb-0a1b2c3", "internal": True, "vpcId": "vpc-1", **found}
    engine.answers["aws:lb/getLoadBalancer:getLoadBalancer"] = lambda asked: {arn: balancer}[asked["arn"]]


@in_stack
async def test_the_scheme_and_the_vpc_that_it_has_are_no_reason_to_stop(engine: Engine) -> None:
    standing(engine)
    Edge("edge", BARE)
    assert len(await engine.of_type("LoadBalancer")) == 2  # the component and its heart


@pytest.mark.parametrize(
    ("found", "is_"),
    [({"internal": False}, "internet-facing in vpc-1"), ({"vpcId": "vpc-9"}, "internal in vpc-9")],
)
def test_another_scheme_or_vpc_is_refused_before_anything_is_made(found: dict[str, object], is_: str) -> None:
    async def build(engine: Engine) -> None:
        standing(engine, **found)
        with pytest.raises(
            AnotherLoadBalancerError, match=f"edge-alb-0a1b2c3 is {is_}, and the settings say internal in vpc-1;"
        ):
            Edge("edge", BARE)
        await engine.settle()

    with installed() as engine:
        in_stack(build)(engine)
    assert {r.type for r in engine.registrations.values()} == {"hueshift:edge:Edge"}


def test_a_certificate_is_given_or_issued_in_a_zone() -> None:
    with pytest.raises(ValueError, match="certificate_arn and dns are None"):
        samples.change(BARE, certificate_arn=None)


@in_stack
async def test_alarms_watch_every_certificate(engine: Engine) -> None:
    engine.answers |= ZONE
    Edge("edge", FULL)
    names = {alarm.name for alarm in await engine.of_type("MetricAlarm")}
    assert "edge-alerts-certificate-shop.example.com" in names
