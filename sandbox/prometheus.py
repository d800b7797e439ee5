"""The Prometheus Operator and the Prometheus that it configures: what they are given, and how they are started here.

Both are their own code, built by ``sandbox/go/build.sh``, and run on this machine. The operator makes
configuration and rules of the cluster's PodMonitors and PrometheusRules; `prometheus_files` brings
them to the files that Prometheus reads.
"""

import base64
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from sandbox import paths
from sandbox.steps import StepError

Object = dict[str, Any]

OPERATOR = "prometheus-operator"
"""Of ``sandbox/go/build.sh``: the folder of the operator, ``prometheus``, ``promtool`` and ``crds``."""
PROCESSES = "prometheus", "state-metrics", "prometheus-files", OPERATOR
NAMESPACE = "monitoring"
NAME = "kube-prometheus-stack"
"""Of the Prometheus, and of the Helm release by whose label it selects, as that chart's own does."""
CONFIGURATION = "prometheus.yaml"
RULES = "rules"
SCRAPE_SECONDS = 5
"""Of scrapes that name no interval, and of rule evaluations; in production 15 to 60 s is usual."""
_FURTHER = "further-targets"
_KEPT = "--storage.tsdb.retention.time=1d", "--storage.tsdb.retention.size=512MB"
_CONTAINER_METRICS = "container_(cpu_usage_seconds_total|memory_working_set_bytes|start_time_seconds)"
"""From the kubelet's resource page, in cAdvisor's names. Its cAdvisor page has no containers on our node: it
looks for containerd's socket in one fixed place."""


def objects() -> list[Object]:
    """Return what the operator works from, to be applied once its kinds are served.

    The Prometheus is that of the chart kube-prometheus-stack in what it selects, and wants no pod: it runs here.
    """
    server = _of_kubeconfig("cluster")["server"]
    tls = _tls()
    selected = {"matchLabels": {"release": NAME}}
    named = {"name": NAME, "namespace": NAMESPACE}
    prometheus = {
        "replicas": 0,
        "replicaExternalLabelName": "",
        "apiserverConfig": {
            "host": server,
            "tlsConfig": {"caFile": tls["ca_file"], "certFile": tls["cert_file"], "keyFile": tls["key_file"]},
        },
        "scrapeInterval": f"{SCRAPE_SECONDS}s",
        "evaluationInterval": f"{SCRAPE_SECONDS}s",
        "additionalScrapeConfigs": {"name": _FURTHER, "key": _FURTHER},
    }
    for kind in ("podMonitor", "serviceMonitor", "probe", "rule"):
        prometheus |= {f"{kind}Selector": selected, f"{kind}NamespaceSelector": {}}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": _FURTHER, "namespace": NAMESPACE},
            "stringData": {_FURTHER: yaml.safe_dump(scrape_configs(server, tls), sort_keys=False)},
        },
        {"apiVersion": "monitoring.coreos.com/v1", "kind": "Prometheus", "metadata": named, "spec": prometheus},
    ]


def scrape_configs(server: str, tls: dict[str, str]) -> list[Object]:
    """Return what is scraped that no PodMonitor names; ``tls`` is the ``tls_config`` with which ``server`` is reached.

    Each kubelet is asked through the API server, whose certificate is known.
    """
    return [
        {
            "job_name": "envoy",
            "metrics_path": "/stats/prometheus",
            "params": {"filter": [r"^(cluster|http|listener)\."]},
            "static_configs": [{"targets": [_netloc(paths.ENVOY_ADMIN)]}],
        },
        {
            "job_name": "kube-state-metrics",
            "honor_labels": True,
            "static_configs": [{"targets": [_netloc(paths.STATE_METRICS)]}],
        },
        {
            "job_name": "kubelet",
            "scheme": "https",
            "tls_config": tls,
            "kubernetes_sd_configs": [{"role": "node", "api_server": server, "tls_config": tls}],
            "relabel_configs": [
                {"source_labels": ["__meta_kubernetes_node_name"], "target_label": "instance"},
                {
                    "source_labels": ["__meta_kubernetes_node_name"],
                    "target_label": "__metrics_path__",
                    "replacement": "/api/v1/nodes/$1/proxy/metrics/resource",
                },
                {"target_label": "__address__", "replacement": _netloc(server)},
            ],
            "metric_relabel_configs": [{"action": "keep", "source_labels": ["__name__"], "regex": _CONTAINER_METRICS}],
        },
    ]


def commands(folder: Path) -> dict[str, list[str]]:
    """Return how each process is started, by name, after `objects` were applied; ``folder`` is that of `OPERATOR`.

    Prometheus itself begins when the operator's first configuration has come, so its ``/-/ready`` stands for all.

    Raises:
        StepError: the kubeconfig holds no client certificate, and Prometheus runs no credential plugin.

    """
    _write_credentials()
    configuration = paths.PROMETHEUS / CONFIGURATION
    return {
        OPERATOR: [
            str(folder / OPERATOR),
            f"--web.listen-address={_netloc(paths.PROMETHEUS_OPERATOR)}",
            "--disable-unmanaged-prometheus-configuration",
        ],
        "prometheus-files": [sys.executable, "-m", "sandbox.prometheus_files"],
        "state-metrics": [sys.executable, "-m", "sandbox.state_metrics"],
        "prometheus": [
            "sh", "-c", 'until [ -e "$0" ]; do sleep 0.1; done; exec "$@"', str(configuration),
            str(folder / "prometheus"),
            f"--config.file={configuration}",
            f"--web.listen-address={_netloc(paths.PROMETHEUS_URL)}",
            "--web.enable-lifecycle",
            "--web.enable-admin-api",  # so that a test can take away what an earlier one has left
            f"--storage.tsdb.path={paths.PROMETHEUS / 'data'}",
            *_KEPT,
        ],
    }  # fmt: skip


def program(name: str) -> Path:
    """Return ``promtool`` or another program of `OPERATOR`, built unless it is cached."""
    build = [str(paths.ROOT / "sandbox/go/build.sh"), OPERATOR]
    return Path(subprocess.run(build, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()) / name


def _tls() -> dict[str, str]:
    """Return the ``tls_config`` of the files that `_write_credentials` writes."""
    return {name: str(paths.PROMETHEUS / f"{name}.pem") for name in ("ca_file", "cert_file", "key_file")}


def _write_credentials() -> None:
    """Write the certificates of the kubeconfig's current context, for Prometheus alone to read."""
    fields = {
        "ca_file": ("cluster", "certificate-authority"),
        "cert_file": ("user", "client-certificate"),
        "key_file": ("user", "client-key"),
    }
    paths.PROMETHEUS.mkdir(parents=True, exist_ok=True)
    for name, file in _tls().items():
        kind, field = fields[name]
        source = _of_kubeconfig(kind)
        if f"{field}-data" in source:
            content = base64.b64decode(source[f"{field}-data"])
        elif field in source:
            content = (paths.KUBECONFIG.parent / source[field]).read_bytes()
        else:
            raise StepError(f"{paths.KUBECONFIG} has no {field}: Prometheus here needs a client certificate")
        Path(file).touch(mode=0o600)
        Path(file).write_bytes(content)


def _of_kubeconfig(kind: str) -> dict[str, str]:
    """Return the ``cluster`` or ``user`` of the current context."""
    content = yaml.safe_load(paths.KUBECONFIG.read_text())

    def named(kind: str, name: str) -> dict[str, str]:
        found: dict[str, str] = next(item[kind] for item in content[f"{kind}s"] if item["name"] == name)
        return found

    return named(kind, named("context", content["current-context"])[kind])


def _netloc(url: str) -> str:
    return urlsplit(url).netloc
