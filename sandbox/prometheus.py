"""Prometheus of the local cloud: its configuration and how it is started.

It scrapes the pods that ask for it by annotation, Envoy, and the kubelet's container
figures, and evaluates the rule files that the PrometheusRule controller writes.
"""

import base64
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from sandbox import paths

TARGETS = paths.PROMETHEUS / "targets"
"""Where the controllers write what is to be scraped: ``pods.json`` and ``nodes.json``."""
SCRAPE_SECONDS = 5
"""Of scrapes and rule evaluations; in production 15 to 60 s is usual."""
_KEPT = "--storage.tsdb.retention.time=1d", "--storage.tsdb.retention.size=512MB"
_CONTAINER_METRICS = "container_(cpu_usage_seconds_total|memory_working_set_bytes|start_time_seconds)"
"""From the kubelet's resource page, in cAdvisor's names. Its cAdvisor page has no containers on our node: it
looks for containerd's socket in one fixed place."""
_ANNOTATION = "prometheus.io/"
_COLORED_POD = "(.+)-(blue|green)-[a-z0-9]+-[a-z0-9]+"
"""The pods of a Deployment `<service>-<color>`."""


def configure() -> list[str]:
    """Write the configuration from the cluster's kubeconfig and return the command that starts Prometheus.

    Raises ValueError when the kubeconfig holds no client certificate: Prometheus runs no credential plugin.
    """
    paths.RULES.mkdir(parents=True, exist_ok=True)
    kubeconfig = paths.KUBECONFIG
    file = paths.PROMETHEUS / "prometheus.yml"
    file.write_text(yaml.safe_dump(configuration(_credentials(kubeconfig)), sort_keys=False))
    return [
        str(program("prometheus")),
        f"--config.file={file}",
        f"--web.listen-address={urlsplit(paths.PROMETHEUS_URL).netloc}",
        "--web.enable-lifecycle",
        f"--storage.tsdb.path={paths.PROMETHEUS / 'data'}",
        *_KEPT,
    ]


def configuration(tls: dict[str, str]) -> dict[str, Any]:
    """Return prometheus.yml; ``tls`` is the ``tls_config`` with which the API server is reached.

    Debian's Prometheus is built without Kubernetes discovery: the controllers write the targets to files.
    """
    return {
        "global": {"scrape_interval": f"{SCRAPE_SECONDS}s", "evaluation_interval": f"{SCRAPE_SECONDS}s"},
        "rule_files": [f"{paths.RULES}/*.yml"],
        "scrape_configs": [
            {"job_name": "pods", "file_sd_configs": [{"files": [str(TARGETS / "pods.json")]}]},
            {
                "job_name": "envoy",
                "metrics_path": "/stats/prometheus",
                "params": {"filter": [r"^(cluster|http|listener)\."]},
                "static_configs": [{"targets": [urlsplit(paths.ENVOY_ADMIN).netloc]}],
            },
            {
                "job_name": "containers",
                "scheme": "https",
                "tls_config": tls,
                "file_sd_configs": [{"files": [str(TARGETS / "nodes.json")]}],
                "metric_relabel_configs": [
                    {"action": "keep", "source_labels": ["__name__"], "regex": _CONTAINER_METRICS},
                    {"source_labels": ["pod"], "regex": _COLORED_POD, "target_label": "service", "replacement": "$1"},
                    {"source_labels": ["pod"], "regex": _COLORED_POD, "target_label": "color", "replacement": "$2"},
                ],
            },
        ],
    }


def pod_targets(pods: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the targets of the running pods that are annotated for it, with the labels that every sample gets."""
    targets = []
    for pod in pods:
        metadata, status = pod["metadata"], pod.get("status") or {}
        annotations, labels = metadata.get("annotations") or {}, metadata.get("labels") or {}
        address, port = status.get("podIP"), annotations.get(f"{_ANNOTATION}port")
        wanted = annotations.get(f"{_ANNOTATION}scrape") == "true" and status.get("phase") == "Running"
        if not (wanted and address and port):
            continue
        named = {
            "service": labels.get("app.kubernetes.io/name", ""),
            "color": labels.get("hueshift.dev/color", ""),
            "environment": labels.get("hueshift.dev/environment", ""),
            "namespace": metadata["namespace"],
            "pod": metadata["name"],
            "__metrics_path__": annotations.get(f"{_ANNOTATION}path", "/metrics"),
        }
        targets.append({"targets": [f"{address}:{port}"], "labels": named})
    return sorted(targets, key=lambda target: str(target["targets"]))


def node_targets(nodes: Iterable[dict[str, Any]], server: str) -> list[dict[str, Any]]:
    """Return each kubelet's container figures, asked for through the API server, whose certificate is known."""
    return [
        {
            "targets": [urlsplit(server).netloc],
            "labels": {
                "instance": node["metadata"]["name"],
                "__metrics_path__": f"/api/v1/nodes/{node['metadata']['name']}/proxy/metrics/resource",
            },
        }
        for node in sorted(nodes, key=lambda node: str(node["metadata"]["name"]))
    ]


def program(name: str) -> Path:
    """Return ``prometheus`` or ``promtool``: that of PATH, else Debian's, unpacked with the node's packages."""
    if found := shutil.which(name):
        return Path(found)
    packages = [str(paths.ROOT / "sandbox/node/packages.sh"), "node"]
    root = subprocess.run(packages, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    return Path(root) / "usr/bin" / name


def _credentials(kubeconfig: Path) -> dict[str, str]:
    """Write the current context's certificates beside the configuration; return their ``tls_config``."""
    content = yaml.safe_load(kubeconfig.read_text())

    def named(section: str, kind: str, name: str) -> dict[str, str]:
        found: dict[str, str] = next(item[kind] for item in content[section] if item["name"] == name)
        return found

    context = named("contexts", "context", content["current-context"])
    cluster, user = named("clusters", "cluster", context["cluster"]), named("users", "user", context["user"])
    tls = {}
    for option, source, field in (
        ("ca_file", cluster, "certificate-authority"),
        ("cert_file", user, "client-certificate"),
        ("key_file", user, "client-key"),
    ):
        if f"{field}-data" in source:
            file = paths.PROMETHEUS / f"{field}.pem"
            file.touch(mode=0o600)
            file.write_bytes(base64.b64decode(source[f"{field}-data"]))
        elif field in source:
            file = kubeconfig.parent / source[field]
        else:
            raise ValueError(f"{kubeconfig} has no {field}: the local cloud's Prometheus needs a client certificate")
        tls[option] = str(file)
    return tls
