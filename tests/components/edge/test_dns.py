"""Certificates and records: one of each for a host, and none that touches another's."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from components.edge import dns
from components.edge.dns import AliasRecords, AliasRecordsArgs, Certificates, CertificatesArgs, ZoneError
from components.edge.load_balancer import LoadBalancer
from tests.support import samples
from tests.support.engine import UNKNOWN, Engine, in_stack, installed
from tests.support.program import differences

SHOP, CART = "shop.example.com", "cart.example.com"
CERTIFICATES = CertificatesArgs(
    zone_id="Z1", default_host="staging.example.com", hosts=[SHOP, CART], context=samples.CONTEXT
)


@in_stack
async def test_each_host_has_a_certificate_for_itself_and_its_colors(engine: Engine) -> None:
    Certificates("tls", CERTIFICATES)
    for host in (SHOP, CART):
        certificate = await engine.inputs(f"tls-{host}")
        assert (certificate["domainName"], certificate["subjectAlternativeNames"]) == (host, [f"*.{host}"])
        assert certificate["validationMethod"] == "DNS"
    default = await engine.inputs("tls-staging.example.com")
    assert default["domainName"] == "staging.example.com"
    assert "subjectAlternativeNames" not in default


@in_stack
async def test_a_host_and_its_wildcard_are_proven_by_one_record_and_the_issue_is_awaited(engine: Engine) -> None:
    Certificates("tls", CERTIFICATES)
    assert len(await engine.of_type("Record")) == len(await engine.of_type("Certificate")) == 3
    issued = await engine.resource(f"tls-{SHOP}-issued")
    proof = (await engine.resource(f"tls-{SHOP}")).computed["domainValidationOptions"][0]
    record = await engine.inputs(f"tls-{SHOP}-proof")
    assert (record["zoneId"], record["name"], record["type"], record["records"]) == (
        "Z1",
        proof["resourceRecordName"],
        proof["resourceRecordType"],
        [proof["resourceRecordValue"]],
    )
    assert record["allowOverwrite"] is True
    assert issued.request.customTimeouts.create == "15m"
    assert issued.inputs["validationRecordFqdns"] == [proof["resourceRecordName"]]


@in_stack
async def test_what_uses_a_certificate_waits_until_it_is_issued(engine: Engine) -> None:
    certificates = Certificates("tls", CERTIFICATES)
    LoadBalancer(
        "edge",
        samples.change(
            samples.LOAD_BALANCER,
            certificate_arn=certificates.default_arn,
            extra_certificate_arns=certificates.arns,
        ),
    )
    waits = {
        "edge-https": "tls-staging.example.com-issued",
        f"edge-https-{SHOP}": f"tls-{SHOP}-issued",
        f"edge-test-{CART}": f"tls-{CART}-issued",
    }
    for name, issued in waits.items():
        user = await engine.resource(name)
        assert (await engine.resource(issued)).urn in engine.ancestry(user.urn)


@in_stack
async def test_a_service_at_the_environments_own_name_shares_its_certificate(engine: Engine) -> None:
    certificates = Certificates("tls", replace(CERTIFICATES, hosts=["staging.example.com"]))
    assert len(await engine.of_type("Certificate")) == 1
    assert certificates.default_arn is certificates.arns["staging.example.com"]


@in_stack
async def test_a_preview_declares_every_record_though_it_cannot_know_the_proof(preview: Engine) -> None:
    Certificates("tls", CERTIFICATES)
    assert len(await preview.of_type("Record")) == 3
    assert (await preview.inputs(f"tls-{SHOP}-proof"))["name"] == UNKNOWN


def program(hosts: list[str]) -> Engine:
    """Return what a stack with services at these hosts registers."""

    async def build(engine: Engine) -> None:
        Certificates("tls", replace(CERTIFICATES, hosts=hosts))
        balancer = LoadBalancer("edge", samples.LOAD_BALANCER)
        names = [name for host in hosts for name in (host, f"blue.{host}", f"green.{host}")]
        AliasRecords("dns", AliasRecordsArgs(zone_id="Z1", load_balancer=balancer, hosts=names))
        await engine.settle()

    with installed() as engine:
        in_stack(build)(engine)
    return engine


def test_another_service_leaves_the_certificates_and_records_of_the_others_alone() -> None:
    found = differences(program([SHOP]), program([CART, SHOP]))
    assert found
    assert all(CART in urn and paths == {""} for urn, paths in found.items()), found


@in_stack
async def test_every_name_points_at_the_load_balancer_whatever_the_health_of_a_parked_color(engine: Engine) -> None:
    balancer = LoadBalancer("edge", samples.LOAD_BALANCER)
    AliasRecords("dns", AliasRecordsArgs(zone_id="Z1", load_balancer=balancer, hosts=[SHOP, f"blue.{SHOP}"]))
    alb = (await engine.resource("edge-alb")).computed
    for host in (SHOP, f"blue.{SHOP}"):
        record = await engine.inputs(f"dns-{host}")
        assert (record["zoneId"], record["name"], record["type"]) == ("Z1", host, "A")
        assert record["aliases"] == [{"name": alb["dnsName"], "zoneId": alb["zoneId"], "evaluateTargetHealth": False}]
        assert "allowOverwrite" not in record


@in_stack
async def test_a_name_resolves_only_when_the_load_balancer_can_answer_for_it(engine: Engine) -> None:
    balancer = LoadBalancer("edge", samples.change(samples.LOAD_BALANCER, extra_certificate_arns={SHOP: "arn:shop"}))
    AliasRecords("dns", AliasRecordsArgs(zone_id="Z1", load_balancer=balancer, hosts=[SHOP]))
    record = await engine.resource(f"dns-{SHOP}")
    certificate = await engine.resource(f"edge-https-{SHOP}")
    assert certificate.urn in engine.ancestry(record.urn)


@in_stack
async def test_the_zone_is_found_by_its_name_and_named_when_it_is_not(engine: Engine) -> None:
    assert dns.hosted_zone("example.com") == "Z0123456789"

    def none(_arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        raise LookupError("no matching Route 53 Hosted Zone found")

    engine.answers["aws:route53/getZone:getZone"] = none
    with pytest.raises(ZoneError, match=r"dns\.zone exmaple\.com: .*no matching Route 53 Hosted Zone"):
        dns.hosted_zone("exmaple.com")
