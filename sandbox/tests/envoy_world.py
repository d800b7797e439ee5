"""A load balancer of the local cloud with its targets and listeners, for tests in one process."""

import http.client
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any, Protocol

import boto3
import pytest
from botocore.config import Config
from moto.ec2.models import ec2_backends

from sandbox import paths
from sandbox.aws.server import LocalAws

WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
NET = f"127.{70 + WORKER}"
OFFSET = 20_000
NEAR, FAR = 1, 2
"""Subnets of targets: one in a zone that every load balancer has, one in a zone that it may add."""
HEALTH: dict[str, Any] = {
    "HealthCheckPath": "/ready",
    "HealthCheckIntervalSeconds": 2,
    "HealthCheckTimeoutSeconds": 1,
    "HealthyThresholdCount": 2,
    "UnhealthyThresholdCount": 2,
}
POLICY = "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09"


class Target(Protocol):
    """What a group sends requests to."""

    @property
    def target(self) -> dict[str, Any]:
        """Return it as RegisterTargets takes it."""


class Backend:
    """A target on a loopback address of its own that answers with its name and can be made unready or slow."""

    _hosts = count(1)

    def __init__(self, name: str, subnet: int) -> None:
        self.name = name
        self.ready, self.lag = True, 0.0
        self.seen: list[dict[str, str]] = []
        self.checks: list[dict[str, str]] = []
        backend = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1

            def do_GET(self) -> None:
                headers = {key.lower(): value for key, value in self.headers.items()}
                status = 200
                if self.path == "/ready":
                    backend.checks.append(headers)
                    time.sleep(backend.lag)
                    status = 200 if backend.ready else 503
                elif self.path.startswith("/sleep/"):
                    time.sleep(float(self.path.rpartition("/")[2]))
                elif self.path.startswith("/status/"):
                    status = int(self.path.rpartition("/")[2])
                if self.path != "/ready":
                    backend.seen.append({**headers, ":path": self.path})
                body = backend.name.encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        self.address, self.port = f"{NET}.{subnet}.{next(self._hosts)}", 18080
        self.server = ThreadingHTTPServer((self.address, self.port), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def target(self) -> dict[str, Any]:
        return {"Id": self.address, "Port": self.port}


@dataclass
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: str

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name), None)


def fetch(connection: http.client.HTTPConnection, path: str = "/", method: str = "GET", **headers: str) -> Answer:
    connection.request(method, path, headers={key.replace("_", "-"): value for key, value in headers.items()})
    response = connection.getresponse()
    return Answer(response.status, response.getheaders(), response.read().decode())


def until(condition: Callable[[], object], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.02)


@dataclass
class World:
    """What a test makes, and its end."""

    names = count(1)

    cloud: LocalAws
    elb: Any
    ends: list[Callable[[], object]] = field(default_factory=list)
    made: list[Callable[[], object]] = field(default_factory=list)

    def settle(self) -> None:
        """Wait until Envoy has everything that the API was told."""
        until(self.cloud.balancing.idle)

    def backend(self, name: str, subnet: int = NEAR) -> Backend:
        backend = Backend(name, subnet)
        self.made.append(backend.server.shutdown)
        self.made.append(backend.server.server_close)
        return backend

    def group(self, *backends: Target, delay: int = 2, **overrides: Any) -> str:  # noqa: ANN401
        arn: str = self.elb.create_target_group(
            Name=f"group-{next(self.names)}",
            Protocol="HTTP",
            Port=80,
            VpcId=self.cloud.seeds.vpcId,
            TargetType="ip",
            **{**HEALTH, **overrides},
        )["TargetGroups"][0]["TargetGroupArn"]
        self.made.append(lambda: self.elb.delete_target_group(TargetGroupArn=arn))
        self.elb.modify_target_group_attributes(
            TargetGroupArn=arn, Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": str(delay)}]
        )
        if backends:
            self.elb.register_targets(TargetGroupArn=arn, Targets=[backend.target for backend in backends])
        return arn

    def balancer(self) -> str:
        arn: str = self.elb.create_load_balancer(Name=f"lb-{next(self.names)}", Subnets=self.cloud.seeds.subnetIds)[
            "LoadBalancers"
        ][0]["LoadBalancerArn"]
        self.ends.append(lambda: self.elb.delete_load_balancer(LoadBalancerArn=arn))
        return arn

    def listener(
        self,
        balancer: str,
        action: dict[str, Any],
        port: int = 80,
        **more: Any,  # noqa: ANN401
    ) -> "ListenerHandle":
        secure = "SslPolicy" in more
        if secure:
            more["Certificates"] = [{"CertificateArn": self.cloud.seeds.certificateArn}]
        arn = self.elb.create_listener(
            LoadBalancerArn=balancer,
            Protocol="HTTPS" if secure else "HTTP",
            Port=port,
            DefaultActions=[action],
            **more,
        )["Listeners"][0]["ListenerArn"]
        name = balancer.split("/")[2]
        return ListenerHandle(self, arn, self.cloud.balancing.addresses()[name], OFFSET + port)

    def health(self, group: str) -> list[tuple[str, str | None]]:
        answer = self.elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
        return [(one["TargetHealth"]["State"], one["TargetHealth"].get("Reason")) for one in answer]

    def healthy(self, *groups: str) -> None:
        for group in groups:
            until(partial(self._is_healthy, group))

    def _is_healthy(self, group: str) -> bool:
        return {state for state, _ in self.health(group)} == {"healthy"}


@dataclass
class ListenerHandle:
    world: World
    arn: str
    address: str
    port: int
    priorities: Iterator[int] = field(default_factory=lambda: count(10, 10))

    def rule(self, action: dict[str, Any], *conditions: dict[str, Any], priority: int | None = None) -> str:
        arn: str = self.world.elb.create_rule(
            ListenerArn=self.arn,
            Priority=priority or next(self.priorities),
            Conditions=list(conditions),
            Actions=[action],
        )["Rules"][0]["RuleArn"]
        return arn

    def connect(self) -> http.client.HTTPConnection:
        self.world.settle()
        connection = http.client.HTTPConnection(self.address, self.port, timeout=5)
        self.world.made.append(connection.close)
        return connection


def forward(weights: dict[str, int], sticky: int = 0) -> dict[str, Any]:
    groups = [{"TargetGroupArn": arn, "Weight": weight} for arn, weight in weights.items()]
    stickiness = {"Enabled": True, "DurationSeconds": sticky} if sticky else {"Enabled": False}
    return {"Type": "forward", "ForwardConfig": {"TargetGroups": groups, "TargetGroupStickinessConfig": stickiness}}


def fixed(status: str = "503", body: str = "", content_type: str = "text/plain") -> dict[str, Any]:
    config = {"StatusCode": status, "MessageBody": body, "ContentType": content_type}
    return {"Type": "fixed-response", "FixedResponseConfig": config}


def paths_like(*patterns: str) -> dict[str, Any]:
    return {"Field": "path-pattern", "PathPatternConfig": {"Values": list(patterns)}}


def place_targets(cloud: LocalAws) -> None:
    """Give the VPC the targets' networks, one in a zone of the load balancers' and one in another."""
    vpc = cloud.seeds.vpcId
    ec2 = ec2_backends[paths.ACCOUNT][paths.REGION]
    for subnet, zone in ((NEAR, "a"), (FAR, "c")):
        network = f"{NET}.{subnet}.0/24"
        ec2.associate_vpc_cidr_block(vpc, network, False)
        ec2.create_subnet(vpc, network, availability_zone=f"{paths.REGION}{zone}")


def client(service: str) -> Any:  # noqa: ANN401
    return boto3.client(
        service,  # type: ignore[call-overload]
        endpoint_url=f"http://{NET}.0.251:14566",
        region_name=paths.REGION,
        # The client would refuse health checks more frequent than every 5 s.
        config=Config(parameter_validation=False),
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    place = tmp_path_factory.mktemp("cloud")
    cloud = LocalAws(
        directory=place / "envoy",
        log=place / "envoy.log",
        authority=(place / "ca.crt", place / "ca.key"),
        endpoint=(f"{NET}.0.251", 14566),
        admin=(f"{NET}.0.250", 19901),
        bind=lambda number, port: (f"{NET}.0.{number}", OFFSET + port),
        delay=0,
        lateness=0,
    )
    place_targets(cloud)
    cloud.start()
    yield cloud
    cloud.stop()


@pytest.fixture
def world(cloud: LocalAws) -> Iterator[World]:
    world = World(cloud, client("elbv2"))
    yield world
    for end in [*world.ends, *reversed(world.made)]:
        end()
