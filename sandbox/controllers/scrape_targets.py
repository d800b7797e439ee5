"""What Prometheus scrapes: the annotated pods and the nodes, written to the files that it watches."""

import json
from collections.abc import Callable
from pathlib import Path

from sandbox import prometheus
from sandbox.controllers.cluster import NODE, POD, Cluster, Informer, Key, Object, Worker
from sandbox.controllers.rules import replace


class ScrapeTargets:
    """The controller: one piece of work for each of the two files."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self._folder = folder
        self.worker = Worker("scrape-targets", self.reconcile)
        self.workers = [self.worker]
        pods = Informer(cluster, POD, lambda _: self.worker.add(("", "pods.json")))
        nodes = Informer(cluster, NODE, lambda _: self.worker.add(("", "nodes.json")))
        self.informers = [pods, nodes]
        self._targets: dict[str, tuple[Informer, Callable[[], list[Object]]]] = {
            "pods.json": (pods, lambda: prometheus.pod_targets(pods.items())),
            "nodes.json": (nodes, lambda: prometheus.node_targets(nodes.items(), cluster.server)),
        }

    def reconcile(self, key: Key) -> float | None:
        """Make one file right; while the API server is away the last targets stand."""
        informer, targets = self._targets[key[1]]
        if not informer.connected:
            return 1.0
        self._folder.mkdir(parents=True, exist_ok=True)
        file, text = self._folder / key[1], json.dumps(targets(), indent=1)
        if not file.exists() or file.read_text() != text:
            replace(file, text)
        return None
