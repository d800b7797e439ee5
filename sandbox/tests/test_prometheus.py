"""The local cloud's Prometheus: what its operator is given, how they start, and what comes of the operator's answer."""

import base64
import gzip
import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests
import yaml
from kubernetes.client.exceptions import ApiException
from prometheus_client import CollectorRegistry, generate_latest

from sandbox import paths, prometheus, prometheus_files, state_metrics
from sandbox.steps import StepError

Object = dict[str, Any]


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of Prometheus and a kubeconfig in a place of their own; returns the folder."""
    monkeypatch.setattr(paths, "PROMETHEUS", tmp_path / "prometheus")
    monkeypatch.setattr(paths, "KUBECONFIG", tmp_path / "kubeconfig")
    given(**{"client-certificate-data": "Y2VydA==", "client-key-data": "a2V5"})
    paths.PROMETHEUS.mkdir()
    return paths.PROMETHEUS


def given(**user: str) -> None:
    cluster = {"server": "https://10.0.0.1:6443", "certificate-authority-data": base64.b64encode(b"ca").decode()}
    content = {
        "current-context": "x",
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": user}],
    }
    paths.KUBECONFIG.write_text(yaml.safe_dump(content))


# What the operator is given


def made(kind: str) -> Object:
    (found,) = [item for item in prometheus.objects() if item["kind"] == kind]
    return found


def test_what_is_labelled_for_the_chart_is_selected_in_every_namespace() -> None:
    spec = made("Prometheus")["spec"]
    for kind in ("podMonitor", "rule"):
        assert spec[f"{kind}Selector"] == {"matchLabels": {"release": "kube-prometheus-stack"}}
        assert spec[f"{kind}NamespaceSelector"] == {}


def test_no_pod_is_wanted_for_prometheus_runs_on_this_machine() -> None:
    assert made("Prometheus")["spec"]["replicas"] == 0


def test_targets_are_discovered_from_outside_the_cluster_with_the_kubeconfigs_certificates(places: Path) -> None:
    prometheus.commands(places)
    api = made("Prometheus")["spec"]["apiserverConfig"]
    assert api["host"] == "https://10.0.0.1:6443"
    assert Path(api["tlsConfig"]["caFile"]).read_bytes() == b"ca"
    assert Path(api["tlsConfig"]["certFile"]).read_bytes() == b"cert"
    key = Path(api["tlsConfig"]["keyFile"])
    assert key.read_bytes() == b"key"
    assert key.stat().st_mode & 0o077 == 0


def test_further_targets_are_where_the_prometheus_looks_for_them() -> None:
    secret, wanted = made("Secret"), made("Prometheus")["spec"]["additionalScrapeConfigs"]
    assert secret["metadata"]["name"] == wanted["name"]
    assert secret["metadata"]["namespace"] == made("Prometheus")["metadata"]["namespace"]
    jobs = yaml.safe_load(secret["stringData"][wanted["key"]])
    assert {job["job_name"] for job in jobs} == {"envoy", "kubelet", "kube-state-metrics"}


def test_no_label_of_the_product_is_put_on_what_the_kubelet_tells() -> None:
    jobs = prometheus.scrape_configs("https://10.0.0.1:6443", {})
    labels = {step.get("target_label") for job in jobs for kind in job if "relabel" in kind for step in job[kind]}
    assert labels == {"instance", "__metrics_path__", "__address__", None}


def test_a_kubeconfig_file_may_name_its_certificates(places: Path) -> None:
    (places.parent / "x.crt").write_text("beside")
    given(**{"client-certificate": "x.crt", "client-key-data": "a2V5"})
    prometheus.commands(places)
    assert (places / "cert_file.pem").read_text() == "beside"


def test_a_kubeconfig_without_a_client_certificate_is_refused(places: Path) -> None:
    given(token="t")
    with pytest.raises(StepError, match="kubeconfig has no client-certificate"):
        prometheus.commands(places)


# How they start


def test_all_listen_on_loopback_alone(places: Path) -> None:
    commands = prometheus.commands(places)
    addresses = [word for command in commands.values() for word in command if "listen-address" in word]
    assert len(addresses) == 2
    assert all(address.partition("=")[2].startswith("127.0.0.1:") for address in addresses)
    assert paths.STATE_METRICS.startswith("http://127.0.0.1:")


def test_prometheus_begins_when_its_first_configuration_is_there(places: Path) -> None:
    program, began = places / "prometheus", places / "began"
    program.write_text(f'#!/bin/sh\necho "$@" >{began}\n')
    program.chmod(0o755)
    with subprocess.Popen(prometheus.commands(places)["prometheus"]) as process:
        time.sleep(0.3)
        assert not began.exists()
        (places / "prometheus.yaml").touch()
        assert process.wait(timeout=10) == 0
    assert f"--config.file={places / 'prometheus.yaml'}" in began.read_text()


# What comes of the operator's answer

RULE = "groups: []\n"


def answered(configuration: str, rules: dict[str, str]) -> tuple[list[Object], list[Object]]:
    """Return the Secrets and ConfigMaps of the namespace as the operator makes them, with some that are not its own."""
    data = {"prometheus.yaml.gz": base64.b64encode(gzip.compress(configuration.encode())).decode()}
    made = [
        {"metadata": {"name": "further-targets"}, "data": {"further-targets": "W10="}},
        {"metadata": {"name": "prometheus-kube-prometheus-stack"}, "data": data},
    ]
    return made, [
        {"metadata": {"name": "kube-root-ca.crt"}, "data": {"ca.crt": "x"}},
        {"metadata": {"name": "prometheus-kube-prometheus-stack-rulefiles-0"}, "data": rules},
    ]


def test_configuration_and_rules_become_files_that_name_each_other(places: Path) -> None:
    secrets, config_maps = answered(
        "rule_files: [/etc/prometheus/rules/prometheus-kube-prometheus-stack-rulefiles-0/*.yaml]", {"a.yaml": RULE}
    )
    assert prometheus_files.place(prometheus_files.files(secrets, config_maps, places), places)
    (pattern,) = yaml.safe_load((places / "prometheus.yaml").read_text())["rule_files"]
    assert [file.read_text() for file in places.glob(str(Path(pattern).relative_to(places)))] == [RULE]


def test_prometheus_is_the_first_shard_to_which_every_target_belongs(places: Path) -> None:
    wanted = prometheus_files.files(*answered("regex: $(SHARD);|.+;.+", {}), places)
    assert wanted[places / "prometheus.yaml"] == "regex: 0;|.+;.+"


def test_the_configuration_comes_last_for_prometheus_begins_with_it(places: Path) -> None:
    *_, last = prometheus_files.files(*answered("{}", {"a.yaml": RULE, "b.yaml": RULE}), places)
    assert last == places / "prometheus.yaml"


def test_nothing_is_placed_before_the_operator_has_answered(places: Path) -> None:
    (stranger, _), config_maps = answered("{}", {"a.yaml": RULE})
    assert prometheus_files.files([stranger], config_maps, places) == {}


def test_a_rule_that_is_gone_loses_its_file_and_what_is_as_it_was_is_no_change(places: Path) -> None:
    prometheus_files.place(prometheus_files.files(*answered("{}", {"a.yaml": RULE, "b.yaml": RULE}), places), places)
    (places / "data").mkdir()
    (places / "data/lock").touch()
    wanted = prometheus_files.files(*answered("{}", {"b.yaml": RULE}), places)
    assert prometheus_files.place(wanted, places)
    assert [file.name for file in places.glob("rules/*/*")] == ["b.yaml"]
    assert (places / "data/lock").exists()
    assert not prometheus_files.place(wanted, places)


def listing(items: list[Object]) -> Callable[..., Any]:
    return lambda *_, **__: SimpleNamespace(data=json.dumps({"items": items}))


def away(*_: object, **__: object) -> None:
    raise ApiException(status=500)


class Server:
    """Prometheus as it answers a reload: not at all, with an error, or well."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked = 0
        self.status = 200
        monkeypatch.setattr(requests, "post", self.post)

    def post(self, url: str, **_: object) -> requests.Response:
        assert url == "http://127.0.0.1:9090/-/reload"
        self.asked += 1
        if not self.status:
            raise requests.ConnectionError
        answer = requests.Response()
        answer.status_code = self.status
        answer._content = b"bad rule"
        return answer


def test_prometheus_reads_again_what_changed_and_only_that(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(monkeypatch)
    first, second = ([listing(items) for items in answered("{}", {"a.yaml": text})] for text in (RULE, RULE + RULE))
    assert prometheus_files.bring(*first, loaded=True)
    assert prometheus_files.bring(*first, loaded=True)
    assert server.asked == 1
    assert prometheus_files.bring(*second, loaded=True)
    assert server.asked == 2


def test_a_prometheus_that_is_not_there_yet_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(monkeypatch)
    server.status = 0
    answer = [listing(items) for items in answered("{}", {})]
    assert not prometheus_files.bring(*answer, loaded=False)
    server.status = 200
    assert prometheus_files.bring(*answer, loaded=False)


def test_a_refusal_is_logged_with_its_reason(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    Server(monkeypatch).status = 500
    assert prometheus_files.bring(*(listing(items) for items in answered("{}", {})), loaded=False)
    assert "refuses to read its files again: bad rule" in caplog.text


def test_while_the_cluster_is_away_the_files_stand(monkeypatch: pytest.MonkeyPatch, places: Path) -> None:
    Server(monkeypatch)
    prometheus_files.bring(*(listing(items) for items in answered("{}", {"a.yaml": RULE})), loaded=False)
    assert not prometheus_files.bring(away, away, loaded=True)
    assert len(list(places.glob("rules/*/*"))) == 1


# What is told of pods and Deployments


def test_restarts_and_available_pods_have_the_names_of_kube_state_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    pods: list[Object] = [
        {
            "metadata": {"namespace": "n", "name": "p", "uid": "u"},
            "status": {"containerStatuses": [{"name": "app", "restartCount": 3}]},
        },
        {"metadata": {"namespace": "n", "name": "pending", "uid": "v"}, "status": {}},
    ]
    deployments: list[Object] = [
        {"metadata": {"namespace": "n", "name": name}, "status": status}
        for name, status in (("d", {"availableReplicas": 2}), ("new", {}))
    ]
    monkeypatch.setattr("kubernetes.client.CoreV1Api.list_pod_for_all_namespaces", listing(pods))
    monkeypatch.setattr("kubernetes.client.AppsV1Api.list_deployment_for_all_namespaces", listing(deployments))
    registry = CollectorRegistry()
    registry.register(state_metrics.States())
    lines = generate_latest(registry).decode().splitlines()
    assert [line for line in lines if not line.startswith("#")] == [
        'kube_pod_container_status_restarts_total{container="app",namespace="n",pod="p",uid="u"} 3.0',
        'kube_deployment_status_replicas_available{deployment="d",namespace="n"} 2.0',
        'kube_deployment_status_replicas_available{deployment="new",namespace="n"} 0.0',
    ]


@pytest.mark.slow
@pytest.mark.timeout(1800)  # the build, once
def test_prometheus_takes_the_further_targets(places: Path) -> None:
    prometheus.commands(places)
    configuration = {"scrape_configs": prometheus.scrape_configs("https://10.0.0.1:6443", prometheus._tls())}
    (places / "prometheus.yaml").write_text(yaml.safe_dump(configuration))
    check = [
        str(prometheus.program("promtool")),
        "check",
        "config",
        "--lint=all",
        "--lint-fatal",
        str(places / "prometheus.yaml"),
    ]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
