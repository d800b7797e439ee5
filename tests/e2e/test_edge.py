"""The load balancer with everything around it: certificates and names of its own, a web ACL and logs."""

import json
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
import yaml

from components.edge.log_bucket import ACCESS_LOGS, CONNECTION_LOGS
from sandbox import paths
from sandbox.aws.server import ZONE
from tests.e2e import cloud

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

HOST = f"shop.{ZONE}"
ORIGIN = "https://www.example.com"


@pytest.fixture(scope="module", autouse=True)
def edge() -> Iterator[None]:
    """Add a zone, a web ACL, logs and an origin to the stack, and remove them at the end."""
    with cloud.stack_file() as file:
        stack: dict[str, Any] = yaml.safe_load(file.read_text())
        config = stack["config"]
        config["hueshift:dns"] = {"zone": ZONE}
        balancer = config["hueshift:loadBalancer"]
        balancer.pop("certificateArn")
        balancer.update(accessLogs=True, waf=True, corsOrigin=ORIGIN)
        config["hueshift:services"]["shop"]["host"] = HOST
        file.write_text(yaml.safe_dump(stack))
        cloud.update()
        yield


def curl(url: str, *arguments: str) -> tuple[int, dict[str, str], str]:
    """Request a URL of the zone, whose names lead here."""
    names = [f"{host}:{port}:127.0.0.1" for host in (HOST, f"green.{HOST}") for port in (80, 443, 8443)]
    return cloud.curl(url, *(part for name in names for part in ("--resolve", name)), *arguments)


def shown(host: str) -> set[str]:
    """Return the names on the certificate that a client is shown who asks for this host, the chain verified."""
    context = ssl.create_default_context(cafile=str(paths.CA_CERTIFICATE))
    context.check_hostname = False
    with (
        socket.create_connection(("127.0.0.1", 443), timeout=5) as connection,
        context.wrap_socket(connection, server_hostname=host) as tls,
    ):
        certificate = tls.getpeercert()
    assert certificate
    return {str(entry[1]) for entry in certificate["subjectAltName"]}


def test_neither_a_second_update_nor_a_refresh_finds_a_difference() -> None:
    assert cloud.update() == {}
    cloud.pulumi("refresh", "--yes", "--skip-preview", "--expect-no-changes")
    assert cloud.update() == {}


def test_every_answer_carries_the_security_headers_and_the_one_origin() -> None:
    status, headers, _ = curl(f"https://{HOST}/")
    assert status == 200
    assert headers["strict-transport-security"] == "max-age=31536000"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert (headers["x-content-type-options"], headers["x-frame-options"]) == ("nosniff", "DENY")
    assert headers["access-control-allow-origin"] == ORIGIN
    assert "server" not in headers


def test_plain_http_is_sent_to_https() -> None:
    status, headers, _ = curl(f"http://{HOST}/orders?page=2")
    assert (status, headers["location"]) == (301, f"https://{HOST}:443/orders?page=2")


def test_a_host_is_shown_its_own_certificate_and_any_other_the_environments() -> None:
    assert shown(HOST) == shown(f"green.{HOST}") == {HOST, f"*.{HOST}"}
    assert shown("nobody.example.org") == {f"sandbox.{ZONE}"}
    assert curl(f"https://green.{HOST}:8443/")[1]["x-color"] == "green"


def test_the_service_and_its_colors_have_records_that_lead_to_the_load_balancer() -> None:
    client = boto3.client("route53")
    (zone,) = [item["Id"] for item in client.list_hosted_zones()["HostedZones"] if item["Name"].rstrip(".") == ZONE]
    records = client.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
    aliases = {
        record["Name"].rstrip("."): record["AliasTarget"]["DNSName"].rstrip(".")
        for record in records
        if record["Type"] == "A" and record["Name"].rstrip(".").endswith(HOST)
    }
    assert aliases == dict.fromkeys((HOST, f"blue.{HOST}", f"green.{HOST}"), cloud.load_balancer()["DNSName"])
    own = (f".{HOST}.", f".sandbox.{ZONE}.")
    proofs = [record for record in records if record["Type"] == "CNAME" and record["Name"].endswith(own)]
    assert len(proofs) == 2


def test_the_web_acl_is_associated_with_it() -> None:
    acl = boto3.client("wafv2").get_web_acl_for_resource(ResourceArn=cloud.load_balancer()["LoadBalancerArn"])["WebACL"]
    assert [rule["Name"] for rule in sorted(acl["Rules"], key=lambda rule: rule["Priority"])] == [
        "AWSManagedRulesAmazonIpReputationList",
        "AWSManagedRulesCommonRuleSet",
        "AWSManagedRulesKnownBadInputsRuleSet",
        "rate",
    ]


def test_it_logs_into_a_bucket_that_lets_it_write_and_nobody_without_tls() -> None:
    """The local cloud, like AWS, refuses to switch logs on before a write has succeeded."""
    listed = boto3.client("elbv2").describe_load_balancer_attributes(
        LoadBalancerArn=cloud.load_balancer()["LoadBalancerArn"]
    )
    attributes = {item["Key"]: item["Value"] for item in listed["Attributes"]}
    for kind, prefix in (("access", ACCESS_LOGS), ("connection", CONNECTION_LOGS)):
        assert attributes[f"{kind}_logs.s3.enabled"] == "true"
        assert attributes[f"{kind}_logs.s3.prefix"] == prefix
    bucket = attributes["access_logs.s3.bucket"]
    policy = json.loads(boto3.client("s3").get_bucket_policy(Bucket=bucket)["Policy"])
    assert {(item["Effect"], item["Action"]) for item in policy["Statement"]} == {
        ("Allow", "s3:PutObject"),
        ("Deny", "s3:*"),
    }
