"""A live service behind another load balancer is taken over by the commands of the page, under load.

The clients are the resolvers here: for each request they draw a load balancer by the weights that Route 53 has.
"""

import json
import random
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests

from sandbox import paths
from tests.e2e import cloud
from tests.support.pages import DOCS, blocks
from tests.support.shell import Shell

pytestmark = [pytest.mark.e2e, pytest.mark.by_hand, pytest.mark.timeout(300)]

PAGE = DOCS / "operations" / "cut-over.md"
ZONE = "cut-over.example.com"
NAME = f"shop.{ZONE}"
LEGACY = "legacy"
"""The namespace of what is there already, and its name."""


@pytest.fixture
def zone() -> Iterator[str]:
    route53 = boto3.client("route53")
    made = str(route53.create_hosted_zone(Name=ZONE, CallerReference=ZONE)["HostedZone"]["Id"])
    yield made
    route53.delete_hosted_zone(Id=made)


@pytest.fixture
def live(zone: str) -> Iterator[str]:
    """Serve the name by a Deployment and a load balancer that hueshift knows nothing of; return its DNS name."""
    elb, route53 = boto3.client("elbv2"), boto3.client("route53")
    stack = cloud.stack_config()
    vpc, subnets = stack["hueshift:network"]["vpcId"], stack["hueshift:network"]["subnetIds"]
    certificate = stack["hueshift:loadBalancer"]["certificateArn"]
    image = stack["hueshift:services"]["shop"]["colors"]["blue"]["image"]
    cloud.run("kubectl", "create", "namespace", LEGACY)
    cloud.run(
        *("kubectl", "--namespace", LEGACY, "create", "deployment", LEGACY, f"--image={image}", "--port=8080"),
        *("--", "python3", "-m", "http.server", "8080"),
    )
    cloud.run("kubectl", "--namespace", LEGACY, "rollout", "status", f"deployment/{LEGACY}", "--timeout=60s")
    pod = json.loads(cloud.run("kubectl", "--namespace", LEGACY, "get", "pods", "-o", "json").stdout)["items"][0]
    (group,) = elb.create_target_group(
        Name=LEGACY, Protocol="HTTP", Port=8080, VpcId=vpc, TargetType="ip", HealthCheckIntervalSeconds=5
    )["TargetGroups"]
    elb.register_targets(TargetGroupArn=group["TargetGroupArn"], Targets=[{"Id": pod["status"]["podIP"]}])
    (balancer,) = elb.create_load_balancer(Name=LEGACY, Subnets=subnets)["LoadBalancers"]
    elb.create_listener(
        LoadBalancerArn=balancer["LoadBalancerArn"],
        Protocol="HTTPS",
        Port=443,
        Certificates=[{"CertificateArn": certificate}],
        DefaultActions=[{"Type": "forward", "TargetGroupArn": group["TargetGroupArn"]}],
    )
    target = {"HostedZoneId": balancer["CanonicalHostedZoneId"], "DNSName": balancer["DNSName"]}
    record = {"Name": f"{NAME}.", "Type": "A", "AliasTarget": {**target, "EvaluateTargetHealth": False}}
    change(route53, zone, "CREATE", record)

    def healthy() -> bool:
        found = elb.describe_target_health(TargetGroupArn=group["TargetGroupArn"])["TargetHealthDescriptions"]
        return [each["TargetHealth"]["State"] for each in found] == ["healthy"]

    try:
        cloud.wait_until("the old entry serves", healthy)
        yield str(balancer["DNSName"])
    finally:
        for left in records(zone):
            change(route53, zone, "DELETE", left)
        elb.delete_load_balancer(LoadBalancerArn=balancer["LoadBalancerArn"])
        elb.delete_target_group(TargetGroupArn=group["TargetGroupArn"])
        cloud.run("kubectl", "delete", "namespace", LEGACY, "--wait=false")


def change(route53: Any, zone: str, action: str, record: Any) -> None:  # noqa: ANN401
    changes = [{"Action": action, "ResourceRecordSet": record}]
    route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": changes})


def records(zone: str) -> list[Any]:
    found = boto3.client("route53").list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
    return [record for record in found if record["Name"] == f"{NAME}."]


def shares(zone: str) -> dict[str, int]:
    """Return the weight of each load balancer, by its DNS name."""
    return {each["AliasTarget"]["DNSName"].rstrip("."): each.get("Weight", 1) for each in records(zone)}


@dataclass
class Users:
    """Who asks for the name, ten times a second each, and where each answer came from."""

    zone: str
    addresses: dict[str, str]
    """Of this machine, by DNS name."""
    failed: list[str] = field(default_factory=list)
    answered: Counter[str] = field(default_factory=Counter)

    def ask(self, ended: threading.Event) -> None:
        context = ssl.create_default_context(cafile=str(paths.CA_CERTIFICATE))
        while not ended.is_set():
            weights = shares(self.zone)
            entry = random.choices([*weights], [*weights.values()])[0]
            try:
                status = self._get(entry, context)
                if status != 200:
                    self.failed.append(f"{entry}: {status}")
                self.answered[entry] += 1
            except OSError as error:
                self.failed.append(f"{entry}: {error}")
            time.sleep(0.1)

    def _get(self, entry: str, context: ssl.SSLContext) -> int:
        with (
            socket.create_connection((self.addresses[entry], 443), timeout=5) as plain,
            context.wrap_socket(plain, server_hostname=cloud.HOST) as secured,
        ):
            secured.sendall(f"GET / HTTP/1.1\r\nHost: {cloud.HOST}\r\nConnection: close\r\n\r\n".encode())
            return int(secured.makefile("rb").readline().split()[1])


@contextmanager
def load(zone: str, addresses: dict[str, str]) -> Iterator[Users]:
    users, ended = Users(zone, addresses), threading.Event()
    threads = [threading.Thread(target=users.ask, args=(ended,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    try:
        yield users
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def test_users_move_by_steps_and_back_and_none_is_lost(zone: str, live: str, tmp_path: Path) -> None:
    known = requests.get(f"{paths.AWS_ENDPOINT}/_hueshift/health", timeout=5).json()["loadBalancers"]
    ours = cloud.output("loadBalancer")
    addresses = {live: known[LEGACY], ours: "127.0.0.1"}
    assert shares(zone) == {live: 1}
    texts = [block.text.replace("example.com", ZONE) for block in blocks(PAGE) if block.language == "sh"]
    look, functions, begin, step, back, end = texts
    (tmp_path / "Pulumi.yaml").symlink_to(paths.ROOT / "Pulumi.yaml")

    def run(*scripts: str) -> str:
        stack = "export PULUMI_STACK=sandbox"
        return Shell(folder=tmp_path).script("\n".join([stack, *scripts])).stdout

    place = look.splitlines()[0]
    with load(zone, addresses) as users:
        assert live in run(look)
        run(place, functions, begin)
        assert shares(zone) == {live: 100, ours: 0}
        for percent in (10, 50):
            run(place, functions, step.replace("10", str(percent)))
            assert shares(zone) == {live: 100 - percent, ours: percent}
            time.sleep(3)
        run(place, functions, back)
        assert shares(zone) == {live: 100, ours: 0}
        time.sleep(1)
        run(place, functions, step.replace("10", "100"))
        time.sleep(2)
        before = users.answered[live]
        time.sleep(2)
        assert users.answered[live] == before, "nobody is sent to the old entry any more"
        run(place, functions, end)
        time.sleep(2)
    assert shares(zone) == {ours: 100}
    assert users.failed == []
    assert users.answered[live] > 100
    assert users.answered[ours] > 100
