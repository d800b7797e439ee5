"""`python -m sandbox.controllers`: run the controllers, or install what they need into the cluster."""

import argparse
import json
import logging
import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config

from sandbox import ca, paths, prometheus
from sandbox.controllers import install
from sandbox.controllers.admission import Webhooks
from sandbox.controllers.cluster import Cluster
from sandbox.controllers.external_secrets import ExternalSecrets
from sandbox.controllers.rules import PrometheusRules
from sandbox.controllers.scrape_targets import ScrapeTargets
from sandbox.controllers.target_groups import TargetGroupBindings

if TYPE_CHECKING:
    from mypy_boto3_elbv2 import ElasticLoadBalancingv2Client
    from mypy_boto3_secretsmanager import SecretsManagerClient

_AWS: Any = {
    "endpoint_url": paths.AWS_ENDPOINT,
    "aws_access_key_id": "sandbox",
    "aws_secret_access_key": "sandbox",
    # The queue of work tries again by itself; a call that hangs must not hold its thread.
    "config": Config(connect_timeout=2, read_timeout=10, retries={"max_attempts": 0}),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m sandbox.controllers", description=__doc__)
    parser.add_argument("--install", action="store_true", help="apply CRDs, webhooks and the secret store, then end")
    arguments = parser.parse_args()
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    cluster = Cluster(paths.KUBECONFIG)
    if arguments.install:
        install.install(cluster)
    else:
        run(cluster)


def run(cluster: Cluster) -> None:
    """Run everything until the process is ended."""
    elbv2 = _elbv2()
    secrets_managers: dict[str, SecretsManagerClient] = {}

    def secrets_manager(region: str) -> "SecretsManagerClient":
        return secrets_managers.setdefault(region, _secrets_manager(region))

    webhooks = Webhooks(cluster, elbv2, (paths.HOST_IP, paths.WEBHOOK_PORT), ca.issue([paths.HOST_IP]))
    controllers = (
        TargetGroupBindings(cluster, elbv2),
        ExternalSecrets(cluster, secrets_manager),
        PrometheusRules(cluster, paths.RULES, paths.PROMETHEUS_URL, prometheus.program("promtool")),
        ScrapeTargets(cluster, prometheus.TARGETS),
    )
    webhooks.start()
    informers = [informer for controller in controllers for informer in controller.informers]
    for informer in informers:
        informer.start()
    for controller in controllers:
        for worker in controller.workers:
            worker.start()

    def health() -> dict[str, bool]:
        return {"webhooks": webhooks.port is not None, "watches": all(informer.connected for informer in informers)}

    address = urlsplit(paths.CONTROLLERS)
    ThreadingHTTPServer((str(address.hostname), int(address.port or 0)), _health_handler(health)).serve_forever()


def _health_handler(health: Callable[[], dict[str, bool]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = health()
            body = json.dumps(parts).encode()
            self.send_response(404 if self.path != "/healthz" else 200 if all(parts.values()) else 503)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Asking for health is not worth a line."""

    return Handler


def _elbv2() -> "ElasticLoadBalancingv2Client":
    return boto3.client("elbv2", **_AWS, region_name=paths.REGION)


def _secrets_manager(region: str) -> "SecretsManagerClient":
    return boto3.client("secretsmanager", **_AWS, region_name=region)


if __name__ == "__main__":
    main()
