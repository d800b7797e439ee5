"""`python -m sandbox.state_metrics`: a stand-in for kube-state-metrics, which is on no registry: what the alerts read.

Names and labels are those of kube-state-metrics (its docs/metrics/workload, pod-metrics.md and deployment-metrics.md).
"""

import json
from collections.abc import Callable, Iterator
from threading import Event
from typing import Any
from urllib.parse import urlsplit

from kubernetes import client, config
from prometheus_client import CollectorRegistry, Metric, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from sandbox import paths


class States(Collector):
    """Lists pods and Deployments whenever it is scraped; fails, and is down, when the cluster is."""

    def collect(self) -> Iterator[Metric]:
        restarts = CounterMetricFamily(
            "kube_pod_container_status_restarts",
            "The number of container restarts per container.",
            labels=("namespace", "pod", "uid", "container"),
        )
        for pod in _items(client.CoreV1Api().list_pod_for_all_namespaces):
            about = [pod["metadata"][name] for name in ("namespace", "name", "uid")]
            for status in pod["status"].get("containerStatuses", []):
                restarts.add_metric([*about, status["name"]], status["restartCount"])
        yield restarts
        available = GaugeMetricFamily(
            "kube_deployment_status_replicas_available",
            "The number of available replicas per deployment.",
            labels=("namespace", "deployment"),
        )
        for deployment in _items(client.AppsV1Api().list_deployment_for_all_namespaces):
            about = [deployment["metadata"][name] for name in ("namespace", "name")]
            available.add_metric(about, deployment["status"].get("availableReplicas", 0))
        yield available


def _items(listing: Callable[..., Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(listing(_preload_content=False, _request_timeout=10).data)["items"]
    return found


def main() -> None:
    config.load_kube_config(str(paths.KUBECONFIG))
    registry = CollectorRegistry()
    registry.register(States())
    address = urlsplit(paths.STATE_METRICS)
    start_http_server(int(address.port or 0), str(address.hostname), registry)
    Event().wait()


if __name__ == "__main__":
    main()
