"""PrometheusRules: each one a rule file, then a reload, as the Prometheus Operator does it."""

import logging
import subprocess
from collections.abc import Iterable
from pathlib import Path

import requests
import yaml

from sandbox.controllers.cluster import (
    PROMETHEUS_RULE,
    Cluster,
    Informer,
    Key,
    Object,
    ReconcileError,
    Worker,
    key_of,
)

log = logging.getLogger("prometheus-rules")

_ALL: Key = ("", "all rules")


def file_name(rule: Object) -> str:
    """Return the rule's file: unique for each object, like the operator's."""
    return "-".join([*key_of(rule), rule["metadata"]["uid"]]) + ".yml"


def rule_file(rule: Object) -> str:
    """Return what Prometheus reads; ``partial_response_strategy`` is Thanos' alone and left out."""
    groups = [
        {name: value for name, value in group.items() if name != "partial_response_strategy"}
        for group in rule["spec"].get("groups") or []
    ]
    text: str = yaml.safe_dump({"groups": groups}, sort_keys=False)
    return text


def changes(rules: Iterable[Object], present: dict[str, str]) -> tuple[dict[str, Object], set[str]]:
    """Return the files to write, each with its rule, and the names of those to remove."""
    wanted = {file_name(rule): rule for rule in rules if "deletionTimestamp" not in rule["metadata"]}
    write = {name: rule for name, rule in wanted.items() if present.get(name) != rule_file(rule)}
    return write, present.keys() - wanted.keys()


class PrometheusRules:
    """The controller. All rules are one piece of work: Prometheus reads all of them, or refuses all.

    Hence a file that ``promtool`` refuses is kept out, and its rule gets an event that says why.
    """

    def __init__(self, cluster: Cluster, folder: Path, prometheus_url: str, promtool: Path) -> None:
        self._cluster = cluster
        self._folder = folder
        self._url = prometheus_url
        self._promtool = promtool
        self._loaded = False
        self._refused: dict[str, str] = {}
        self.worker = Worker("prometheus-rules", self.reconcile)
        self.rules = Informer(cluster, PROMETHEUS_RULE, lambda _: self.worker.add(_ALL))
        self.workers = [self.worker]
        self.informers = [self.rules]
        self.worker.add(_ALL)  # also when there are no rules: an earlier run's files go

    def reconcile(self, key: Key) -> float | None:  # noqa: ARG002 (there is one key)
        """Make the rule files those of the cluster and have Prometheus read them."""
        if not self.rules.connected:
            return 1.0
        self._folder.mkdir(parents=True, exist_ok=True)
        present = {file.name: file.read_text() for file in self._folder.glob("*.yml")}
        write, remove = changes(self.rules.items(), present)
        for name, rule in write.items():
            text = rule_file(rule)
            if self._refused.get(name) == text:
                continue
            if problem := self._problem(text):
                self._refused[name] = text
                log.warning("%s/%s is refused: %s", *key_of(rule), problem)
                self._cluster.event(PROMETHEUS_RULE, rule, "InvalidConfiguration", problem, warning=True)
                remove |= {name} & present.keys()
                continue
            self._refused.pop(name, None)
            self._loaded = False
            replace(self._folder / name, text)
            log.info("%s/%s written", *key_of(rule))
        for name in remove:
            self._loaded = False
            (self._folder / name).unlink()
            log.info("%s removed", name)
        if not self._loaded:
            self._loaded = self._reload()
        return None if self._loaded else 1.0

    def _problem(self, text: str) -> str | None:
        """Return what promtool says against a rule file, None when it takes it."""
        draft = self._folder / "draft"
        draft.write_text(text)
        done = subprocess.run([self._promtool, "check", "rules", draft], capture_output=True, text=True, check=False)
        draft.unlink()
        return (done.stdout + done.stderr).replace(f"{draft}", "rule").strip() if done.returncode else None

    def _reload(self) -> bool:
        """Have Prometheus read its files again; say whether it is there to do so: it may be started later."""
        try:
            answer = requests.post(f"{self._url}/-/reload", timeout=10)
        except requests.ConnectionError:
            return False
        if not answer.ok:
            raise ReconcileError(f"Prometheus refuses to reload: {answer.text.strip()}")
        return True


def replace(file: Path, text: str) -> None:
    """Write a file in one piece: a reader sees the old text or the new."""
    draft = file.with_suffix(".new")
    draft.write_text(text)
    draft.replace(file)
