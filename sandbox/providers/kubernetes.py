"""Stand-in for the official provider `kubernetes` 4.30.0: any kind, by server-side apply.

Behaviour follows pulumi/pulumi-kubernetes: ``provider/pkg/provider/{provider,diff}.go`` (identity, previews, which
fields force a replacement), ``provider/pkg/metadata`` (names, annotations), ``provider/pkg/await`` (readiness).
"""

import base64
import json
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from kubernetes.utils.quantity import parse_quantity

from sandbox.providers.kubernetes_api import APPLY, MANAGER, ApiError, Cluster, Kind, Unreachable
from sandbox.providers.kubernetes_await import (
    SKIP,
    TIMEOUT,
    WAIT_FOR,
    Readiness,
    annotations,
    is_true,
    judge_of,
    wishes,
)
from sandbox.providers.plugin import (
    UNKNOWN,
    Cancelled,
    CheckFailure,
    PartialFailure,
    Properties,
    Provider,
    Resource,
    autoname,
    ignored,
    is_known,
    parse_path,
    pause,
    say,
    serve,
)

VERSION: Final = "4.30.0"
AUTONAMED: Final = "pulumi.com/autonamed"
FORCE: Final = "pulumi.com/patchForce"
PROPAGATION: Final = "pulumi.com/deletionPropagationPolicy"
REPLACE_UNREADY: Final = "pulumi.com/replaceUnready"

ARGUMENTS: Final = frozenset(
    {
        "clusterIdentifier",
        "context",
        "enableConfigMapMutable",
        "enablePatchForce",
        "enableSecretMutable",
        "enableServerSideApply",
        "kubeconfig",
        "namespace",
        "suppressDeprecationWarnings",
    }
)
READY_TIMEOUT: Final = 600.0
DELETE_TIMEOUT: Final = 300.0
POLL: Final = 0.25
"""Seconds between two looks at an object."""

_POD_MUTABLE = {"activeDeadlineSeconds", "tolerations"}
_FORCE_NEW: Final[dict[tuple[str, str], frozenset[str]]] = {
    ("", "PersistentVolumeClaim"): frozenset(
        {"spec.accessModes", "spec.selector", "spec.storageClassName", "spec.volumeName"}
    ),
    ("", "ResourceQuota"): frozenset({"spec.scopes"}),
    ("", "Secret"): frozenset({"type"}),
    ("", "Service"): frozenset({"spec.clusterIP"}),
    ("apps", "DaemonSet"): frozenset({"spec.selector"}),
    ("apps", "Deployment"): frozenset({"spec.selector"}),
    ("apps", "StatefulSet"): frozenset(
        {
            "spec.podManagementPolicy",
            "spec.revisionHistoryLimit",
            "spec.selector",
            "spec.serviceName",
            "spec.volumeClaimTemplates",
        }
    ),
    ("batch", "Job"): frozenset({"spec.completions", "spec.parallelism", "spec.selector", "spec.template"}),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): frozenset({"roleRef"}),
    ("rbac.authorization.k8s.io", "RoleBinding"): frozenset({"roleRef"}),
    ("storage.k8s.io", "StorageClass"): frozenset({"parameters", "provisioner"}),
}
_MUTABLE_DATA = {("", "ConfigMap"): "enableConfigMapMutable", ("", "Secret"): "enableSecretMutable"}
_SERVERS_OWN = ("creationTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid")


@dataclass
class _Configuration:
    cluster: Cluster | None = None
    namespace: str = ""
    force: bool = False
    mutable: frozenset[str] = frozenset()


_configuration = _Configuration()


def configure(given: Properties) -> None:
    """Take the provider's configuration; what is not given comes from KUBECONFIG, then ~/.kube/config."""
    if given.get("enableServerSideApply") is False:
        raise CheckFailure("enableServerSideApply", "the stand-in provider can only apply on the server's side")
    _configuration.cluster = Cluster(given.get("kubeconfig"), given.get("context"))
    _configuration.namespace = given.get("namespace", "")
    _configuration.force = bool(given.get("enablePatchForce"))
    _configuration.mutable = frozenset(key for key in _MUTABLE_DATA.values() if given.get(key))


# --- shapes ----------------------------------------------------------------------------------------------------------


def _text(value: Any) -> str:  # noqa: ANN401
    return value if isinstance(value, str) else ""


def identity(thing: Properties) -> str:
    """Give the ID: ``namespace/name``, or ``name`` for what has no namespace."""
    meta = thing["metadata"]
    return f"{meta['namespace']}/{meta['name']}" if meta.get("namespace") else str(meta["name"])


def _split(id: str) -> tuple[str, str]:  # noqa: A002
    namespace, _, name = id.rpartition("/")
    return namespace, name


_AMOUNTS = {"capacity", "hard", "limits", "requests", "resources"}


def _same_amount(ours: Any, theirs: Any) -> bool:  # noqa: ANN401
    try:
        return bool(parse_quantity(ours) == parse_quantity(theirs))  # type: ignore[no-untyped-call]
    except (ValueError, TypeError):
        return False


def prune(live: Any, like: Any, *, amounts: bool = False) -> Any:  # noqa: ANN401
    """Give of `live` what `like` has: its members, and all items of its lists, so that an added item shows.

    Under `requests`, `limits` and their kind the API server writes an amount its own way (``1024Mi`` as ``1Gi``):
    there an equal amount keeps the spelling of `like`.
    """
    if isinstance(live, dict) and isinstance(like, dict):
        return {
            key: prune(live[key], value, amounts=amounts or key in _AMOUNTS)
            for key, value in like.items()
            if key in live
        }
    if isinstance(live, list) and isinstance(like, list):
        pruned = [prune(ours, theirs, amounts=amounts) for ours, theirs in zip(live, like, strict=False)]
        return pruned + live[len(like) :]
    return like if amounts and _same_amount(like, live) else live


def live_inputs(live: Properties, inputs: Properties) -> Properties:
    """Give the live values of what the program sets."""
    pruned: Properties = prune(live, inputs)
    if isinstance(inputs.get("stringData"), dict):  # the API server keeps it in `data` only
        data = live.get("data", {})
        pruned["stringData"] = {
            key: base64.b64decode(data[key]).decode(errors="replace") for key in inputs["stringData"] if key in data
        }
    return pruned


def _owned(live: Any, fields: Properties) -> Any:  # noqa: ANN401
    """Give what of `live` an entry of ``managedFields`` names."""
    if isinstance(live, dict):
        inner = {key[2:]: value for key, value in fields.items() if key.startswith("f:")}
        return {key: _owned(live[key], value) for key, value in inner.items() if key in live} if inner else live
    if isinstance(live, list):
        keys = [(json.loads(key[2:]), value) for key, value in fields.items() if key.startswith("k:")]
        if keys:
            return [
                {**wanted, **_owned(item, value)}
                for item in live
                for wanted, value in keys
                if all(item.get(name) == one for name, one in wanted.items())
            ]
    return live


def _merge(one: Any, other: Any) -> Any:  # noqa: ANN401
    if isinstance(one, dict) and isinstance(other, dict):
        return {
            key: _merge(one[key], other[key]) if key in one and key in other else one.get(key, other.get(key))
            for key in {**one, **other}
        }
    return one


def imported_inputs(live: Properties) -> Properties:
    """Give of a live object what somebody asked for, as far as that can be told.

    Who applies on the server's side owns exactly what it sent, so there the defaults can be left out; an object made
    in any other way is taken whole.
    """
    entries = live["metadata"].get("managedFields", [])
    applied = [entry for entry in entries if entry["operation"] == "Apply" and not entry.get("subresource")]
    wanted: Properties = {}
    for entry in applied:
        wanted = _merge(wanted, _owned(live, entry["fieldsV1"]))
    if not applied:
        wanted = {key: value for key, value in live.items() if key != "status"}
    meta = {key: value for key, value in wanted.get("metadata", {}).items() if key not in _SERVERS_OWN}
    kept = {key: value for key, value in meta.get("annotations", {}).items() if not key.startswith("deployment.kub")}
    meta.pop("annotations", None)
    names = {key: live["metadata"][key] for key in ("name", "namespace") if key in live["metadata"]}
    return {
        **wanted,
        "apiVersion": live["apiVersion"],
        "kind": live["kind"],
        "metadata": {**names, **meta, **({"annotations": kept} if kept else {})},
    }


def outputs_of(live: Properties) -> Properties:
    """Give the live object without the bookkeeping of its owners."""
    meta = {key: value for key, value in live["metadata"].items() if key != "managedFields"}
    return {**live, "metadata": meta}


def owned_by_another(live: Properties, path: Iterable[str | int]) -> bool:
    """Tell whether somebody else, and not we, owns a field."""
    owners = set()
    for entry in live["metadata"].get("managedFields", []):
        fields: Any = entry["fieldsV1"]
        for segment in path:
            fields = fields.get(f"f:{segment}") if isinstance(fields, dict) else None
        if fields is not None:
            owners.add((entry["manager"], entry["operation"]))
    return bool(owners) and (MANAGER, "Apply") not in owners


def _without(value: Any, path: tuple[str | int, ...]) -> Any:  # noqa: ANN401
    if not isinstance(value, dict) or path[0] not in value:
        return value
    rest = {key: member for key, member in value.items() if key != path[0]}
    return rest if len(path) == 1 else {**rest, path[0]: _without(value[path[0]], path[1:])}


# --- the resource ----------------------------------------------------------------------------------------------------


class Object(Resource):
    """Every object of one kind."""

    arguments = None
    default_timeout = 0.0

    def __init__(self, api_version: str, kind: str) -> None:
        self.api_version = api_version
        self.kind = kind
        self.group = api_version.rpartition("/")[0]
        if (self.group, kind) == ("", "Secret"):
            self.secret_outputs = frozenset({"data", "stringData"})

    @property
    def _cluster(self) -> Cluster:
        if _configuration.cluster is None:
            raise Unreachable("the provider has not been configured")
        return _configuration.cluster

    def _known_kind(self) -> Kind | None:
        return self._cluster.kind(self.api_version, self.kind)

    def _require_kind(self) -> Kind:
        found = self._known_kind()
        if found is None:
            raise ApiError(
                404,
                "NoMatch",
                f"the API server has no kind {self.kind} in {self.api_version}: "
                "create its CustomResourceDefinition first",
            )
        return found

    # What the program declares

    def check(self, name: str, old: Properties | None, new: Properties) -> Properties:
        inputs = {**new, "apiVersion": self.api_version, "kind": self.kind}
        meta = inputs.get("metadata", {})
        if not isinstance(meta, dict):
            return inputs
        meta = dict(meta)
        if "generateName" in meta:
            raise CheckFailure("metadata.generateName", "the stand-in provider kubernetes does not support it")
        notes = meta.get("annotations", {})
        if isinstance(notes, dict):
            if isinstance(text := notes.get(WAIT_FOR), str):
                wishes(text)
            if "name" not in meta:
                before = old.get("metadata", {}) if old else {}
                kept = before.get("name") if isinstance(before, dict) and old and is_true(old, AUTONAMED) else None
                meta["name"] = kept or autoname(name, 8)
                meta["annotations"] = {**notes, AUTONAMED: "true"}
        if "namespace" not in meta and _configuration.namespace:
            kind = self._known_kind()
            if kind is None or kind.namespaced:
                meta["namespace"] = _configuration.namespace
        return {**inputs, "metadata": meta}

    def replaces(self, old: Properties, new: Properties) -> set[str]:
        paths = {"kind", "metadata.name"}
        if self._namespace(old) != self._namespace(new):
            paths.add("metadata.namespace")
        if _text(old.get("apiVersion")).rpartition("/")[0] != self.group:
            paths.add("apiVersion")
        paths |= _FORCE_NEW.get((self.group, self.kind), frozenset())
        if (self.group, self.kind) == ("", "Pod"):
            keys = {*_dict(old.get("spec")), *_dict(new.get("spec"))} - _POD_MUTABLE
            paths |= {f"spec.{key}" for key in keys}
        setting = _MUTABLE_DATA.get((self.group, self.kind))
        if setting and (setting not in _configuration.mutable or new.get("immutable") is True or old.get("immutable")):
            paths |= {"binaryData", "data", "immutable", "stringData"}
        return paths

    def deletes_first(self, old: Properties, new: Properties) -> bool:
        return (
            not is_true(new, AUTONAMED)
            and _dict(old.get("metadata")).get("name") == _dict(new.get("metadata")).get("name")
            and self._namespace(old) == self._namespace(new)
        )

    def replaces_unchanged(self, id: str, inputs: Properties) -> set[str]:  # noqa: A002
        if (self.group, self.kind) != ("batch", "Job") or not is_true(inputs, REPLACE_UNREADY):
            return set()
        live = self._cluster.find(self._require_kind(), *_split(id))
        judge = judge_of(self.group, self.kind, {})
        if live is None or judge is None or judge(self._cluster, live).ready:
            return set()
        return {f'metadata.annotations["{REPLACE_UNREADY}"]'}

    @staticmethod
    def _namespace(inputs: Properties) -> Any:  # noqa: ANN401
        return _dict(inputs.get("metadata")).get("namespace", "default")

    # What happens to it

    def _target(self, kind: Kind, inputs: Properties) -> tuple[str, str]:
        return (self._namespace(inputs) if kind.namespaced else "", inputs["metadata"]["name"])

    def _apply(self, inputs: Properties, *, force: bool, preview: bool) -> Properties:
        kind = self._require_kind()
        query = {"fieldManager": MANAGER, "force": str(force).lower(), "fieldValidation": "Warn"}
        if preview:
            query["dryRun"] = "All"
        try:
            applied: Properties = self._cluster.request(
                "PATCH", kind.path(*self._target(kind, inputs)), inputs, APPLY, **query
            )
        except ApiError as error:
            if error.reason != "Conflict":
                raise
            raise ApiError(
                error.status,
                error.reason,
                f'{error}\n(set the annotation {FORCE}: "true" to take the fields over, or leave them out)',
            ) from error
        return applied

    def _force(self, inputs: Properties) -> bool:
        return _configuration.force or is_true(inputs, FORCE)

    def _ready(self, applied: Properties, inputs: Properties, timeout: float) -> Properties:
        """Wait until it is ready and give the live object; any failure from here on keeps the object in the state."""
        kind = self._require_kind()
        where = (applied["metadata"].get("namespace", ""), applied["metadata"]["name"])
        live: Properties = applied
        reasons: list[str] = []
        told = ""
        try:
            judge = judge_of(self.group, self.kind, inputs)
            limit = timeout or float(annotations(inputs).get(TIMEOUT, 0)) or READY_TIMEOUT
            deadline = time.monotonic() + limit
            seen, since = None, time.monotonic()
            while judge is not None:
                try:
                    live = self._cluster.find(kind, *where) or {}
                    if not live:
                        raise ApiError(404, "NotFound", "it was deleted while it was waited for")
                    found = judge(self._cluster, live)
                except (ApiError, Unreachable) as error:
                    if isinstance(error, ApiError) and error.status < 500:
                        raise
                    found = Readiness(ready=False, status=str(error), reasons=[str(error)])
                if found.seen != seen:
                    seen, since = found.seen, time.monotonic()
                if found.ready and time.monotonic() - since >= found.settle:
                    break
                reasons = found.reasons
                if found.hopeless:
                    return self._unready(live, reasons)
                if time.monotonic() >= deadline:
                    return self._unready(live, [f"not ready after {limit:g} seconds", *reasons])
                if found.status != told:
                    told = found.status
                    say(told)
                pause(POLL)
            if told:
                say("")
            return outputs_of(self._cluster.find(kind, *where) or live)
        except (ApiError, Unreachable, Cancelled) as error:
            return self._unready(live or applied, [str(error), *reasons])

    def _unready(self, live: Properties, reasons: list[str]) -> NoReturn:
        first, *rest = reasons
        text = f"{self.kind} {identity(live)} was applied, but is not ready: {first}"
        raise PartialFailure(identity(live), outputs_of(live), [text, *rest])

    def preview(self, inputs: Properties, state: Properties | None) -> Properties:
        if not is_known(inputs):
            return inputs
        try:
            kind = self._known_kind()
            if kind is None:
                return inputs
            if state is None:
                # Not an apply: an object that is there may be about to be replaced.
                path = kind.path(self._target(kind, inputs)[0])
                options = {"fieldManager": MANAGER, "fieldValidation": "Warn", "dryRun": "All"}
                shown = self._cluster.request("POST", path, inputs, **options)
                for key in _SERVERS_OWN:
                    shown["metadata"].pop(key, None)
                shown["metadata"].update(dict.fromkeys(("creationTimestamp", "uid"), UNKNOWN))
                for key in ("clusterIP", "clusterIPs"):
                    if key in _dict(shown.get("spec")) and key not in _dict(inputs.get("spec")):
                        shown["spec"][key] = UNKNOWN
            else:
                live = self._cluster.find(kind, *self._target(kind, inputs))
                if live is None:
                    return inputs
                shown = outputs_of(self._apply(self._kept(inputs, live), force=self._force(inputs), preview=True))
        except Unreachable as error:
            say(f"{error}; the preview is only of what the program says", severity="warning", lasting=True)
            return inputs
        except ApiError as error:
            # 404: the namespace is yet to be created. AlreadyExists: see above. 5xx: a webhook that cannot do dry runs.
            if error.not_found or error.reason == "AlreadyExists" or error.lacks_permission or error.status >= 500:
                return inputs
            raise
        shown.pop("status", None)
        return dict(shown)

    def create(self, inputs: Properties, timeout: float) -> tuple[str, Properties]:
        applied = self._create(inputs)
        return identity(applied), self._ready(applied, inputs, timeout)

    def _create(self, inputs: Properties) -> Properties:
        """Create it; a namespace or a definition that is created in the same moment is given some seconds to appear."""
        for wait in (1, 2, 4, 8, 0):
            try:
                kind = self._require_kind()
                where = self._target(kind, inputs)
                if self._cluster.find(kind, *where) is not None:
                    raise ApiError(409, "AlreadyExists", f'{kind.qualified} "{where[1]}" already exists')
                return self._apply(inputs, force=self._force(inputs), preview=False)
            except ApiError as error:
                if not error.not_found or not wait:
                    raise
                say(f"creation failed, trying again in {wait} s: {error}")
                pause(wait)
        raise AssertionError("the last attempt returns or raises")

    def _kept(self, inputs: Properties, live: Properties) -> Properties:
        """Leave out what the program ignores and another manager owns, or an apply would take it back."""
        for text in ignored():
            path = parse_path(text)
            if owned_by_another(live, path):
                inputs = _without(inputs, path)
        return inputs

    def update(self, id: str, state: Properties, old: Properties, new: Properties, timeout: float) -> Properties:  # noqa: A002, ARG002
        kind = self._require_kind()
        live = self._cluster.find(kind, *_split(id))
        if live is None:
            raise ApiError(404, "NotFound", f'{kind.qualified} "{_split(id)[1]}" not found')
        applied = self._apply(self._kept(new, live), force=self._force(new), preview=False)
        return self._ready(applied, new, timeout)

    def read(self, id: str, inputs: Properties | None) -> tuple[Properties, Properties] | None:  # noqa: A002
        kind = self._known_kind()
        if kind is None:
            return None
        namespace, name = _split(id)
        live = self._cluster.find(kind, namespace or ("default" if kind.namespaced else ""), name)
        if live is None:
            return None
        if inputs is None:
            return imported_inputs(live), outputs_of(live)
        judge = judge_of(self.group, self.kind, inputs)
        found = judge(self._cluster, live) if judge is not None else None
        if found is not None and not found.ready:
            raise PartialFailure(id, outputs_of(live), found.reasons or [found.status], live_inputs(live, inputs))
        return live_inputs(live, inputs), outputs_of(live)

    def delete(self, id: str, state: Properties, timeout: float) -> None:  # noqa: A002
        kind = self._known_kind()
        if kind is None:
            return
        where = _split(id)
        policy = str(annotations(state).get(PROPAGATION, "Foreground")).capitalize()
        try:
            self._cluster.request("DELETE", kind.path(*where), {"propagationPolicy": policy})
        except ApiError as error:
            if error.not_found:
                return
            raise
        if is_true(state, SKIP):
            return
        uid = state.get("metadata", {}).get("uid")
        limit = timeout or float(annotations(state).get(TIMEOUT, 0)) or DELETE_TIMEOUT
        deadline = time.monotonic() + limit
        while (live := self._cluster.find(kind, *where)) and uid in (None, live["metadata"]["uid"]):
            if time.monotonic() >= deadline:
                held = live["metadata"].get("finalizers") or live.get("spec", {}).get("finalizers")
                why = f", held by {', '.join(held)}" if held else ""
                raise ApiError(408, "Timeout", f"{self.kind} {id} is not gone after {limit:g} seconds{why}")
            pause(POLL)


def _dict(value: Any) -> Properties:  # noqa: ANN401
    return value if isinstance(value, dict) else {}


_TOKEN = re.compile(r"kubernetes:([^:]+):([^:]+)")
_CLIENT_SIDE = re.compile(r"(yaml|helm\.sh|helm|kustomize)(/|$)")
_objects: dict[str, Object] = {}


def factory(token: str) -> Object | None:
    """Give the handler of a type token (``kubernetes:apps/v1:Deployment``); None for charts, files, lists, patches."""
    match = _TOKEN.fullmatch(token)
    if match is None or _CLIENT_SIDE.match(match[1]) or match[2].endswith(("List", "Patch")):
        return None
    return _objects.setdefault(token, Object(match[1].removeprefix("core/"), match[2]))


PROVIDER: Final = Provider(
    name="kubernetes", version=VERSION, resources={}, configure=configure, factory=factory, arguments=ARGUMENTS
)

if __name__ == "__main__":
    serve(PROVIDER)
