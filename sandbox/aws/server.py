"""The AWS APIs of the local cloud in one process: moto, the gaps filled beside it, and Envoy as the load balancer.

Beside the AWS APIs it answers
    GET /_hueshift/health             {"id": another in each life, "vpcId", "subnetIds", "certificateArn",
                                       "loadBalancers": {name: address}, "propagationDelay": s, "alarmScale": s,
                                       "metricLateness": s, "problems": [sentence]}
    PUT /_hueshift/propagation-delay  body: seconds, 0 to 2; answers {"propagationDelay": s}
    PUT /_hueshift/alarm-time         body: {"scale": s}, 1 to 60: a minute of CloudWatch takes 60 / s seconds
                                      (its metrics, periods and waits; not Prometheus); answers {"scale": s}
    PUT /_hueshift/metric-lateness    body: seconds of CloudWatch's time, 0 to 300, after which the last of the load
                                      balancer's data of a minute are there; answers {"metricLateness": s}
    PUT /_hueshift/scan-findings      body: {"digest", "findings": [{"name", "severity", …}]}, what a scan is to find
"""

import io
import json
import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from http import HTTPStatus
from ipaddress import ip_network
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs
from uuid import uuid4

from moto.acm.models import acm_backends
from moto.ec2.models import ec2_backends
from moto.moto_api._internal import mock_random
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from moto.route53.models import route53_backends
from werkzeug.serving import make_server

from sandbox import ca, paths
from sandbox.aws import cbor, cloudwatch, events, gaps, iam, keys, metrics, networking, scans
from sandbox.aws.clock import parse_scale
from sandbox.aws.envoy import Envoy
from sandbox.aws.load_balancing import LoadBalancing
from sandbox.aws.translate import Bind

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_LOG = logging.getLogger(__name__)

_SEED = "hueshift"
DEFAULT_DELAY = 0.5
"""Seconds from an ELBv2 call to its effect; AWS documents no number, and seconds are usual."""
_LONGEST_DELAY = 2.0
DEFAULT_LATENESS = 120.0
"""Seconds of CloudWatch's time until a minute's data of the load balancer are there; AWS documents no number."""
_LONGEST_LATENESS = 300.0

CERTIFICATE_NAMES = ("shop.localhost", "*.shop.localhost")
ZONE = "sandbox.example.com"
"""A public hosted zone, for records and certificates; nothing on this machine resolves its names."""


@dataclass(frozen=True)
class Seeds:
    """What is in the account before anybody asks; the same in every life."""

    vpcId: str  # noqa: N815
    subnetIds: list[str]  # noqa: N815
    certificateArn: str  # noqa: N815


def seed(authority: tuple[Path, Path] = (paths.CA_CERTIFICATE, paths.CA_KEY)) -> Seeds:
    """Fill the empty account. To be called first: moto draws all ids from one generator.

    The first subnet contains this machine's end of the cable, from which the load balancer calls the pods: policies
    that let in its subnets let it in.

    Afterwards the generator goes its own way, or else what a new life makes would carry the ids that the stack's state
    remembers of the old one.
    """
    mock_random.seed(_SEED)
    ec2 = ec2_backends[paths.ACCOUNT][paths.REGION]
    vpc = ec2.create_vpc(str(ip_network(f"{paths.HOST_IP}/16", strict=False)))
    first = ip_network(f"{paths.HOST_IP}/24", strict=False)
    neighbour = next(half for half in first.supernet().subnets() if half != first)
    subnets = [
        ec2.create_subnet(vpc.id, str(network), availability_zone=zone)
        for network, zone in zip((first, neighbour), (paths.ZONE, f"{paths.REGION}b"), strict=True)
    ]
    chain, key = ca.issue(CERTIFICATE_NAMES, *authority)
    certificate = acm_backends[paths.ACCOUNT][paths.REGION].import_certificate(chain, key, None, None, [])
    route53_backends[paths.ACCOUNT]["aws"].create_hosted_zone(ZONE, private_zone=False)
    if paths.OWN_NODE:
        networking.seed_node(ec2, vpc.id, subnets[0])
    mock_random.seed()
    keys.seed()
    iam.seed()
    return Seeds(vpc.id, [subnet.id for subnet in subnets], certificate)


class Application:
    """The WSGI application: our own paths, and moto behind the lock and the wake-up that load balancers need."""

    def __init__(self, seeds: Seeds, balancing: LoadBalancing, meter: metrics.Meter) -> None:
        self._id = uuid4().hex
        self._seeds = seeds
        self._balancing = balancing
        self._meter = meter
        self._moto = cbor.Translation(DomainDispatcherApplication(create_backend_app))
        self._own: dict[tuple[str, str], Callable[[bytes], dict[str, Any]]] = {
            ("GET", "/_hueshift/health"): lambda _: self._health(),
            ("PUT", "/_hueshift/propagation-delay"): self._set_delay,
            ("PUT", "/_hueshift/alarm-time"): self._set_scale,
            ("PUT", "/_hueshift/metric-lateness"): self._set_lateness,
            ("PUT", "/_hueshift/scan-findings"): scans.plant,
        }
        """Raise ValueError for a body that is refused."""

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if own := self._own.get((environ["REQUEST_METHOD"], environ["PATH_INFO"])):
            try:
                return _answer(start_response, HTTPStatus.OK, own(_body(environ)))
            except ValueError as error:
                return _answer(start_response, HTTPStatus.BAD_REQUEST, {"error": str(error)})
        service = _service(environ)
        if service not in {"elasticloadbalancing", "acm"}:
            return _iterable(self._moto(environ, start_response))
        with self._balancing.lock:
            reading = _action(environ).startswith(("Describe", "List", "Get"))
            answer = _iterable(self._moto(environ, start_response))
            if not reading:
                self._balancing.changed()
        return answer

    def _health(self) -> dict[str, Any]:
        return {
            "id": self._id,
            **asdict(self._seeds),
            "loadBalancers": self._balancing.addresses(),
            "propagationDelay": self._balancing.delay,
            "alarmScale": cloudwatch.CloudWatch.clock.scale,
            "metricLateness": self._meter.lateness,
            "problems": self._balancing.problems,
        }

    def _set_delay(self, body: bytes) -> dict[str, float]:
        self._balancing.delay = parse_delay(body.decode())
        return {"propagationDelay": self._balancing.delay}

    def _set_lateness(self, body: bytes) -> dict[str, float]:
        self._meter.lateness = parse_lateness(body.decode())
        return {"metricLateness": self._meter.lateness}

    @staticmethod
    def _set_scale(body: bytes) -> dict[str, float]:
        clock = cloudwatch.CloudWatch.clock
        clock.scale = parse_scale(body)
        return {"scale": clock.scale}


def parse_delay(text: str) -> float:
    """Read a propagation delay. Raises ValueError unless it is 0 to 2 seconds."""
    return _seconds("propagation delay", text, _LONGEST_DELAY)


def parse_lateness(text: str) -> float:
    """Read how late metrics are. Raises ValueError unless it is 0 to 300 seconds."""
    return _seconds("lateness of metrics", text, _LONGEST_LATENESS)


def _seconds(what: str, text: str, longest: float) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= longest:
        raise ValueError(f"the {what} is 0 to {longest:g} seconds, got {text!r}")
    return seconds


def _answer(start_response: "StartResponse", status: HTTPStatus, content: object) -> Iterable[bytes]:
    body = json.dumps(content).encode() + b"\n"
    kind = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    start_response(f"{status.value} {status.phrase}", kind)
    return [body]


def _iterable(answer: Any) -> Iterable[bytes]:  # noqa: ANN401
    chunks: Iterable[bytes] = answer
    return chunks


def _service(environ: "WSGIEnvironment") -> str:
    """Return the service of the request's signature: ``Credential=<key>/<date>/<region>/<service>/aws4_request``."""
    scope = str(environ.get("HTTP_AUTHORIZATION", "")).partition("Credential=")[2].split(",", 1)[0].split("/")
    return scope[3] if len(scope) > 3 else ""


def _action(environ: "WSGIEnvironment") -> str:
    if target := environ.get("HTTP_X_AMZ_TARGET"):
        return str(target).rpartition(".")[2]
    body = _body(environ)
    environ["wsgi.input"] = io.BytesIO(body)
    return parse_qs(body.decode(errors="replace")).get("Action", [""])[0]


def _body(environ: "WSGIEnvironment") -> bytes:
    content: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    return content


class Handler(MotoRequestHandler):
    """Sends the headers and the body of an answer in one piece.

    The Go SDK closes the body of its request as soon as it has the headers of the answer. If net/http has then not yet
    looked for the end of that body, the closed reader's EOF (``WriteTo`` of smithy-go's safeWriteToReadCloser) counts
    as a failure to write: the connection is closed, whatever of the answer is still on its way is lost, and the SDK
    repeats a call that has been carried out.
    """

    wbufsize = -1

    def handle_expect_100(self) -> bool:
        """Flush the line, because the client waits for it alone."""
        going = super().handle_expect_100()
        self.wfile.flush()
        return going


class LocalAws:
    """All of it together; every address and folder can be chosen, for tests."""

    def __init__(
        self,
        *,
        directory: Path,
        log: Path,
        authority: tuple[Path, Path],
        endpoint: tuple[str, int],
        for_pods: tuple[str, int] | None = None,
        admin: tuple[str, int],
        bind: Bind,
        delay: float,
        lateness: float,
        alarm_seconds: float = cloudwatch.DEFAULT_SECONDS,
    ) -> None:
        gaps.fill()
        ca.ensure_ca(*authority)
        self.authority = authority
        self.envoy = Envoy(directory, log, admin)
        self.seeds = seed(authority)
        self.balancing = LoadBalancing(self.envoy, bind, authority, delay)
        gaps.Elbv2.observe = staticmethod(self.envoy.health)
        self._meter = metrics.Meter(self.envoy, self.balancing.owners, lateness)
        self._alarm_seconds = alarm_seconds
        self._stopped = threading.Event()
        events.Calls.endpoint = f"http://{endpoint[0]}:{endpoint[1]}"
        application = Application(self.seeds, self.balancing, self._meter)
        self._servers = [
            make_server(*place, application, threaded=True, request_handler=Handler)
            for place in (endpoint, for_pods)
            if place
        ]

    def start(self) -> "subprocess.Popen[bytes]":
        """Start Envoy, and when it is ready the APIs; return Envoy's process. To be called in the main thread."""
        process = self.envoy.start()
        while not self.envoy.live():
            if process.poll() is not None:
                raise RuntimeError(f"Envoy ended at its start with code {process.returncode}; its log tells why")
            time.sleep(0.05)
        for work in (*(each.serve_forever for each in self._servers), self.balancing.run, self._watch):
            threading.Thread(target=work, daemon=True).start()
        return process

    def _watch(self) -> None:
        cloudwatch.run(metrics.backend(), self._meter.put, self._alarm_seconds, self._stopped)

    def stop(self) -> None:
        """End the APIs and Envoy."""
        self._stopped.set()
        for server in self._servers:
            server.shutdown()
            server.server_close()
        events.Calls.endpoint = None
        self.envoy.stop()


def main() -> None:
    """Run the local cloud's AWS until SIGTERM or SIGINT; start Envoy again should it ever end by itself."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    signal.signal(signal.SIGTERM, _terminate)
    address, _, port = paths.AWS_ENDPOINT.removeprefix("http://").partition(":")
    admin, _, admin_port = paths.ENVOY_ADMIN.removeprefix("http://").partition(":")
    cloud = LocalAws(
        directory=paths.ENVOY,
        log=paths.LOGS / "envoy.log",
        authority=(paths.CA_CERTIFICATE, paths.CA_KEY),
        endpoint=(address, int(port)),
        for_pods=(paths.HOST_IP, int(port)) if paths.OWN_NODE else None,
        admin=(admin, int(admin_port)),
        bind=lambda number, listener_port: (f"127.0.0.{number}", listener_port),
        delay=parse_delay(os.environ.get("HUESHIFT_PROPAGATION_DELAY", str(DEFAULT_DELAY))),
        lateness=parse_lateness(os.environ.get("HUESHIFT_METRIC_LATENESS", str(DEFAULT_LATENESS))),
        alarm_seconds=float(os.environ.get("HUESHIFT_ALARM_SECONDS", str(cloudwatch.DEFAULT_SECONDS))),
    )
    # Named like the processes of the local cloud, so that it does not pass for one that a killed run left.
    pid_file = paths.STATE / "envoy.pid"
    try:
        process = cloud.start()
        while True:
            pid_file.write_text(f"{process.pid}\n")
            process.wait()
            _LOG.error("Envoy ended with code %s; starting it again", process.returncode)
            time.sleep(1)
            process = cloud.envoy.start()
    except (SystemExit, KeyboardInterrupt):
        cloud.stop()
        pid_file.unlink(missing_ok=True)


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)
