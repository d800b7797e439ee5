"""The API server as the controllers see it: plain objects, watched caches, a queue of work.

Every part outlives the API server: a lost connection is noticed within seconds,
everything is listed again, and a new node's kubeconfig is read when the file changes.
"""

import hashlib
import json
import logging
import math
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import botocore.exceptions
import urllib3
from kubernetes import client, config

Object = dict[str, Any]
"""A Kubernetes object as its JSON."""
Key = tuple[str, str]
"""Namespace ("" for what has none) and name."""

log = logging.getLogger("cluster")

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
_APPLY = "application/apply-patch+yaml"
_TIMEOUT = (3.0, 30.0)
"""Seconds to connect, and between two reads."""
_WATCH_SECONDS = 240
_EXPECTED = (
    OSError,
    urllib3.exceptions.HTTPError,
    botocore.exceptions.BotoCoreError,
    botocore.exceptions.ClientError,
)
"""Failures of a network or of what is at its other end."""
_KEEP_ALIVE = [
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    # A node that is killed says nothing any more: its silence is noticed after 5 + 3 x 2 seconds.
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 2),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
]


@dataclass(frozen=True)
class Kind:
    """A kind of object and where the API server keeps it."""

    api_version: str
    name: str
    plural: str
    namespaced: bool = True

    def path(self, namespace: str = "", name: str = "") -> str:
        """Return the URL path of one object, of one namespace's objects, or of all."""
        root = "/apis" if "/" in self.api_version else "/api"
        parts = [root, self.api_version]
        if self.namespaced and namespace:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        return "/".join([*parts, name] if name else parts)


NAMESPACE = Kind("v1", "Namespace", "namespaces", namespaced=False)
NODE = Kind("v1", "Node", "nodes", namespaced=False)
POD = Kind("v1", "Pod", "pods")
SERVICE = Kind("v1", "Service", "services")
SECRET = Kind("v1", "Secret", "secrets")
EVENT = Kind("v1", "Event", "events")
ENDPOINT_SLICE = Kind("discovery.k8s.io/v1", "EndpointSlice", "endpointslices")
CRD = Kind("apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions", namespaced=False)
MUTATING_WEBHOOK = Kind(
    "admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", "mutatingwebhookconfigurations", namespaced=False
)
TARGET_GROUP_BINDING = Kind("elbv2.k8s.aws/v1beta1", "TargetGroupBinding", "targetgroupbindings")
EXTERNAL_SECRET = Kind("external-secrets.io/v1", "ExternalSecret", "externalsecrets")
SECRET_STORE = Kind("external-secrets.io/v1", "SecretStore", "secretstores")
CLUSTER_SECRET_STORE = Kind("external-secrets.io/v1", "ClusterSecretStore", "clustersecretstores", namespaced=False)
PROMETHEUS_RULE = Kind("monitoring.coreos.com/v1", "PrometheusRule", "prometheusrules")


class ApiError(Exception):
    """The API server refused a request; ``status`` is the HTTP status, the text is its own message."""

    def __init__(self, status: int, answer: Mapping[str, Any]) -> None:
        super().__init__(answer.get("message") or f"HTTP status {status}")
        self.status = status
        self.reason: str = answer.get("reason") or ""
        self.fields: list[str] = [cause.get("field", "") for cause in (answer.get("details") or {}).get("causes") or []]


class ReconcileError(Exception):
    """Why an object cannot be reconciled now; the text says all that its owner needs."""


def key_of(item: Object) -> Key:
    """Return the object's namespace and name."""
    return item["metadata"].get("namespace", ""), item["metadata"]["name"]


def now() -> str:
    """Return this moment as Kubernetes writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def set_condition(conditions: list[Object], status: str, reason: str, message: str) -> list[Object]:
    """Return the conditions with ``Ready`` set; its transition time moves only when its status does."""
    old = next((c for c in conditions if c["type"] == "Ready"), None)
    since = old["lastTransitionTime"] if old and old["status"] == status else now()
    ready = {"type": "Ready", "status": status, "reason": reason, "message": message, "lastTransitionTime": since}
    return [*(c for c in conditions if c["type"] != "Ready"), ready]


class Cluster:
    """Requests to the API server that a kubeconfig names; safe to share between threads."""

    def __init__(self, kubeconfig: Path) -> None:
        self._kubeconfig = kubeconfig
        self._lock = threading.Lock()
        self._made_from = 0
        self._client: Any = None

    @property
    def server(self) -> str:
        """The API server's URL."""
        return str(self._api().configuration.host)

    def get(self, kind: Kind, key: Key) -> Object | None:
        """Return the object, None when there is none."""
        try:
            return self.request("GET", kind.path(*key))
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def items(self, kind: Kind, namespace: str = "") -> list[Object]:
        """Return the objects of one namespace, or of all."""
        found: list[Object] = self.request("GET", kind.path(namespace))["items"]
        return found

    def create(self, kind: Kind, item: Object) -> Object:
        """Create an object."""
        return self.request("POST", kind.path(item["metadata"].get("namespace", "")), body=item)

    def patch(self, kind: Kind, key: Key, body: Object, *, status: bool = False, how: str = MERGE) -> Object:
        """Patch an object, or its status alone."""
        path = kind.path(*key) + ("/status" if status else "")
        return self.request("PATCH", path, body=body, content_type=how)

    def apply(self, kind: Kind, item: Object, manager: str) -> Object:
        """Make the object so, by server-side apply: fields the manager left out since the last time go."""
        query = {"fieldManager": manager, "force": "true", "fieldValidation": "Strict"}
        body = {"apiVersion": kind.api_version, "kind": kind.name, **item}
        return self.request("PATCH", kind.path(*key_of(item)), query, body=body, content_type=_APPLY)

    def delete(self, kind: Kind, key: Key) -> None:
        """Delete an object; one that is gone already is no error."""
        try:
            self.request("DELETE", kind.path(*key))
        except ApiError as error:
            if error.status != 404:
                raise

    def event(self, kind: Kind, item: Object, reason: str, message: str, *, warning: bool = False) -> None:
        """Record an event on an object, as ``kubectl describe`` shows it; the same one again moves its time only."""
        namespace, name = key_of(item)
        digest = hashlib.sha256(f"{item['metadata']['uid']}{reason}{message}".encode()).hexdigest()[:16]
        moment = now()
        about = {"apiVersion": kind.api_version, "kind": kind.name, "name": name, "uid": item["metadata"]["uid"]}
        if namespace:
            about["namespace"] = namespace
        namespace = namespace or "default"
        event = {
            "metadata": {"namespace": namespace, "name": f"{name}.{digest}"},
            "involvedObject": about,
            "type": "Warning" if warning else "Normal",
            "reason": reason,
            "message": message,
            "source": {"component": "hueshift-sandbox"},
            "firstTimestamp": moment,
            "lastTimestamp": moment,
        }
        try:
            try:
                self.create(EVENT, event)
            except ApiError as error:
                if error.status != 409:
                    raise
                self.patch(EVENT, key_of(event), {"lastTimestamp": moment})
        except ApiError as error:
            # A namespace that is being deleted takes no events; nothing depends on one.
            log.debug("event %s on %s/%s not recorded: %s", reason, namespace, name, error)

    def watch(self, kind: Kind, since: str, selector: str) -> Iterator[Object]:
        """Yield the watch events after a resource version until the server ends the watch."""
        query = {
            "watch": "true",
            "resourceVersion": since,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(_WATCH_SECONDS),
        }
        if selector:
            query["labelSelector"] = selector
        answer = self._send("GET", kind.path(), query, timeout=(3.0, _WATCH_SECONDS + 30.0))
        try:
            rest = b""
            for chunk in answer.response.stream(amt=None, decode_content=True):
                *lines, rest = (rest + chunk).split(b"\n")
                yield from (json.loads(line) for line in lines if line)
        finally:
            answer.response.close()

    def request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        body: Object | None = None,
        content_type: str = "application/json",
    ) -> Object:
        """Send one request and return the answer's JSON; raise ``ApiError`` when it is refused."""
        answer: Object = json.loads(self._send(method, path, query, body, content_type, _TIMEOUT).read())
        return answer

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Object | None = None,
        content_type: str = "application/json",
        timeout: tuple[float, float] = _TIMEOUT,
    ) -> Any:  # noqa: ANN401 (the client's response type is not in its stubs)
        api = self._api()
        headers = {"Accept": "application/json", "Content-Type": content_type}
        request = api.param_serialize(
            method, path, query_params=list((query or {}).items()), header_params=headers, auth_settings=["BearerToken"]
        )
        answer = api.call_api(*request[:3], body=body, _request_timeout=timeout)
        if answer.status >= 400:
            text = answer.read()
            try:
                status = json.loads(text)
            except ValueError:
                status = {"message": text.decode(errors="replace").strip()}
            raise ApiError(answer.status, status)
        return answer

    def _api(self) -> Any:  # noqa: ANN401 (as above)
        written = self._kubeconfig.stat().st_mtime_ns
        with self._lock:
            if written != self._made_from:
                settings: Any = client.Configuration()
                settings.retries = False
                settings.socket_options = _KEEP_ALIVE
                config.load_kube_config(config_file=str(self._kubeconfig), client_configuration=settings)
                self._client = client.ApiClient(settings)
                self._made_from = written
            return self._client


class Informer:
    """All objects of a kind, kept up to date by list and watch.

    ``on_change`` is called with the old or the new state of whatever changes, also when a
    new list differs from what was known; ``connected`` says whether the objects are current.
    """

    def __init__(
        self, cluster: Cluster, kind: Kind, on_change: Callable[[Object], None], *, selector: str = ""
    ) -> None:
        self.kind = kind
        self.connected = False
        self._cluster = cluster
        self._on_change = on_change
        self._selector = selector
        self._objects: dict[Key, Object] = {}

    def start(self) -> None:
        """Follow the objects in a thread of its own."""
        threading.Thread(target=self._run, name=self.kind.plural, daemon=True).start()

    def get(self, key: Key) -> Object | None:
        """Return the object as last seen."""
        return self._objects.get(key)

    def items(self, namespace: str = "") -> list[Object]:
        """Return the objects of a namespace, or all, as last seen."""
        objects = list(self._objects.values())
        return [item for item in objects if not namespace or item["metadata"]["namespace"] == namespace]

    def _run(self) -> None:
        failures = 0
        while True:
            try:
                version = self._list()
                self.connected, failures = True, 0
                while True:
                    version = self._watch(version)
            except (ApiError, OSError, ValueError, urllib3.exceptions.HTTPError, config.ConfigException) as error:
                if self.connected or not failures:
                    log.warning("%s: connection lost: %s", self.kind.plural, error)
                self.connected = False
                failures += 1
                time.sleep(min(0.2 * 2 ** min(failures, 10), 3.0))

    def _list(self) -> str:
        query = {"labelSelector": self._selector} if self._selector else {}
        answer = self._cluster.request("GET", self.kind.path(), query)
        old, self._objects = self._objects, {key_of(item): item for item in answer["items"]}
        for key, item in {**old, **self._objects}.items():
            if key not in old or key not in self._objects or version_of(old[key]) != version_of(item):
                self._on_change(item)
        return str(answer["metadata"]["resourceVersion"])

    def _watch(self, version: str) -> str:
        for change in self._cluster.watch(self.kind, version, self._selector):
            item = change["object"]
            if change["type"] == "ERROR":  # 410 Gone: the version is too old, list again
                raise ApiError(item.get("code", 500), item)
            version = version_of(item)
            if change["type"] == "BOOKMARK":
                continue
            objects = dict(self._objects)  # replaced, never changed: readers iterate without a lock
            if change["type"] == "DELETED":
                objects.pop(key_of(item), None)
            else:
                objects[key_of(item)] = item
            self._objects = objects
            self._on_change(item)
        return version


def version_of(item: Object) -> str:
    """Return the object's resource version."""
    return str(item["metadata"]["resourceVersion"])


class Worker:
    """Runs a reconcile function for keys: each key once at a time, the latest state, errors again with backoff.

    ``reconcile`` returns in how many seconds it wants to see the key again, None for when something changes.
    """

    def __init__(self, name: str, reconcile: Callable[[Key], float | None], threads: int = 1) -> None:
        self._log = logging.getLogger(name)
        self._reconcile = reconcile
        self._threads = threads
        self._due: dict[Key, float] = {}
        self._busy: set[Key] = set()
        self._failures: dict[Key, int] = {}
        self._changed = threading.Condition()

    def start(self) -> None:
        """Work in threads of its own."""
        for number in range(self._threads):
            threading.Thread(target=self._run, name=f"{self._log.name}-{number}", daemon=True).start()

    def add(self, key: Key, after: float = 0.0) -> None:
        """Reconcile a key so many seconds from now; an earlier appointment stands."""
        with self._changed:
            self._due[key] = min(time.monotonic() + after, self._due.get(key, math.inf))
            self._changed.notify()

    def step(self) -> None:
        """Take the next key that is due, waiting for one, and reconcile it."""
        key = self._next()
        again: float | None
        try:
            again = self._reconcile(key)
            self._failures.pop(key, None)
        except Exception as error:  # one object's failure must not stop the others
            failures = self._failures[key] = self._failures.get(key, 0) + 1
            # A programming error deserves its traceback; an API's refusal says all in its message.
            expected = isinstance(error, (ApiError, ReconcileError, *_EXPECTED))
            self._log.warning("%s: %s: %s", "/".join(key), type(error).__name__, error, exc_info=not expected)
            again = backoff(failures)
        with self._changed:
            self._busy.discard(key)
            self._changed.notify()
        if again is not None:
            self.add(key, again)

    def _run(self) -> None:
        while True:
            self.step()

    def _next(self) -> Key:
        with self._changed:
            while True:
                waiting = [(due, key) for key, due in self._due.items() if key not in self._busy]
                due, key = min(waiting, default=(math.inf, ("", "")))
                if due <= time.monotonic():
                    del self._due[key]
                    self._busy.add(key)
                    return key
                self._changed.wait(None if math.isinf(due) else due - time.monotonic())


def backoff(failures: int) -> float:
    """Return the seconds to wait after so many failures: from a fifth of a second to 15.

    The AWS Load Balancer Controller waits up to 16 min 40 s; a local cloud that
    was down for a while must not take that long to be whole again.
    """
    return float(min(0.1 * 2.0 ** min(failures, 10), 15.0))
