"""ExternalSecrets: values from a store into Secrets, as External Secrets' own controller does it.

Supported is what its documentation calls the ordinary case: one store of the provider ``aws`` or, where a second
store is to be shown, of the provider ``fake``, whose values stand in the store itself; ``data`` and
``dataFrom.extract``, ``creationPolicy: Owner``. Anything else that the schema allows
makes the object not ready with a message that names the field. Values are never logged and are
in no message; the message of a JSON error, which may quote them, is left out.
"""

import base64
import hashlib
import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from sandbox.controllers.cluster import (
    CLUSTER_SECRET_STORE,
    EXTERNAL_SECRET,
    SECRET,
    SECRET_STORE,
    ApiError,
    Cluster,
    Informer,
    Key,
    Object,
    ReconcileError,
    Worker,
    key_of,
    now,
    set_condition,
    version_of,
)

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

log = logging.getLogger("external-secrets")

MANAGED = "reconcile.external-secrets.io/managed"
OWNER = "reconcile.external-secrets.io/created-by"
DATA_HASH = "reconcile.external-secrets.io/data-hash"
_KINDS = {"SecretStore": SECRET_STORE, "ClusterSecretStore": CLUSTER_SECRET_STORE}
_SECRET_KEY = re.compile(r"[-._a-zA-Z0-9]+")
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DEFAULTS = {
    "spec.data[].remoteRef.conversionStrategy": "Default",
    "spec.data[].remoteRef.decodingStrategy": "None",
    "spec.data[].remoteRef.metadataPolicy": "None",
    "spec.dataFrom[].extract.conversionStrategy": "Default",
    "spec.dataFrom[].extract.decodingStrategy": "None",
    "spec.dataFrom[].extract.metadataPolicy": "None",
    "spec.target.creationPolicy": "Owner",
    "spec.target.template.engineVersion": "v2",
    "spec.target.template.mergePolicy": "Replace",
}
"""Fields that the schema fills in: supported with this value only."""
_SUPPORTED = {
    "spec.data[].secretKey",
    "spec.data[].remoteRef.key",
    "spec.data[].remoteRef.property",
    "spec.data[].remoteRef.version",
    "spec.dataFrom[].extract.key",
    "spec.dataFrom[].extract.property",
    "spec.dataFrom[].extract.version",
    "spec.refreshInterval",
    "spec.refreshPolicy",
    "spec.secretStoreRef.kind",
    "spec.secretStoreRef.name",
    "spec.target.deletionPolicy",
    "spec.target.immutable",
    "spec.target.name",
    "spec.target.template.metadata.annotations.",
    "spec.target.template.metadata.labels.",
    "spec.target.template.type",
}
_SUPPORTED_STORE = {
    "spec.controller",
    "spec.provider.aws.prefix",
    "spec.provider.aws.region",
    "spec.provider.aws.service",
    "spec.provider.fake.data[].key",
    "spec.provider.fake.data[].value",
    "spec.provider.fake.data[].version",
    "spec.refreshInterval",
}


class SyncError(ReconcileError):
    """Why a Secret cannot be made what it should be; the text names keys and versions, never a value."""


class NoSecretError(SyncError):
    """The store has no such secret or version."""


@dataclass(frozen=True)
class Ref:
    """One value of the provider: where the ExternalSecret names it, which secret, which part of it ("" for all)."""

    where: str
    key: str
    inner: str
    version: str

    @property
    def text(self) -> str:
        """Name the reference for a message."""
        return f"{self.where}: secret {self.key!r}, version {self.version!r}"


def unsupported(item: Object, supported: set[str], defaults: Mapping[str, str]) -> str | None:
    """Return the path of the first field of ``spec`` that is not supported, None when all are.

    A supported path that ends in "." stands for all that is below it.
    """
    for place, general, value in _leaves("spec", "spec", item["spec"]):
        known = general in supported or any(p.endswith(".") and general.startswith(p) for p in supported)
        templated = isinstance(value, str) and "{{" in value
        if templated or (not known and defaults.get(general) != value):
            return place
    return None


def parse_property(payload: str, ref: Ref) -> str:
    """Return the reference's property of a JSON secret, the whole payload when it names none.

    A property with dots is looked for as it stands, then as a path, as External Secrets does.
    """
    if not ref.inner:
        return payload
    value = _load(payload, ref)
    for step in [ref.inner] if isinstance(value, dict) and ref.inner in value else ref.inner.split("."):
        if not isinstance(value, dict) or step not in value:
            raise SyncError(f"{ref.text}: key {ref.inner!r} does not exist in the secret")
        value = value[step]
    return _scalar(value)


def parse_map(payload: str, ref: Ref) -> dict[str, str]:
    """Return all keys of a JSON secret."""
    value = _load(parse_property(payload, ref), ref)
    if not isinstance(value, dict):
        raise SyncError(f"{ref.text}: is not a JSON object, nothing to extract")
    if wrong := sorted(name for name in value if not _SECRET_KEY.fullmatch(name)):
        raise SyncError(f"{ref.text}: {wrong[0]!r} cannot be a key of a Secret")
    return {name: _scalar(item) for name, item in value.items()}


def seconds(duration: str) -> float:
    """Return a Go duration such as "1h30m" or "10s" in seconds."""
    parts = re.findall(r"(\d+(?:\.\d*)?)(ns|us|µs|ms|s|m|h)", duration)
    if not duration or (duration != "0" and "".join(number + unit for number, unit in parts) != duration.lstrip("+")):
        raise SyncError(f"spec.refreshInterval: {duration!r} is no duration such as '1h' or '30s'")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def due(item: Object, moment: datetime) -> float | None:
    """Return in how many seconds the values are to be read again: 0 for now, None for when something changes."""
    status = item.get("status") or {}
    spec = item["spec"]
    if not status.get("refreshTime") or not status.get("syncedResourceVersion"):
        return 0.0
    interval = seconds(spec.get("refreshInterval", "1h"))
    policy = spec.get("refreshPolicy", "Periodic")
    if policy == "CreatedOnce" or (policy == "Periodic" and interval <= 0):
        return None
    if status["syncedResourceVersion"] != revision(item):
        return 0.0
    if policy == "OnChange":
        return None
    age = (moment - datetime.fromisoformat(status["refreshTime"])).total_seconds()
    return max(0.0, interval - age) if age >= 0 else 0.0


def revision(item: Object) -> str:
    """Return what ``status.syncedResourceVersion`` holds: the generation and a hash of labels and annotations."""
    metadata = item["metadata"]
    seen = json.dumps([metadata.get("labels") or {}, metadata.get("annotations") or {}], sort_keys=True)
    return f"{metadata['generation']}-{hashlib.sha256(seen.encode()).hexdigest()[:32]}"


def target_name(item: Object) -> str:
    """Return the name of the Secret."""
    name: str = (item["spec"].get("target") or {}).get("name") or item["metadata"]["name"]
    return name


def secret_for(item: Object, data: Mapping[str, str]) -> Object:
    """Return the Secret that the ExternalSecret owns."""
    namespace, name = key_of(item)
    target = item["spec"].get("target") or {}
    template = target.get("template") or {}
    metadata = template.get("metadata") or {}
    encoded = {key: base64.b64encode(value.encode(errors="surrogateescape")).decode() for key, value in data.items()}
    # Without a template's metadata the Secret takes the ExternalSecret's own, as the original does.
    labels = metadata.get("labels") or {} if template else item["metadata"].get("labels") or {}
    annotations = metadata.get("annotations") or {} if template else item["metadata"].get("annotations") or {}
    secret: Object = {
        "metadata": {
            "namespace": namespace,
            "name": target_name(item),
            "labels": {**labels, MANAGED: "true", OWNER: owner_label(item)},
            "annotations": {**annotations, DATA_HASH: data_hash(encoded)},
            "ownerReferences": [
                {
                    "apiVersion": EXTERNAL_SECRET.api_version,
                    "kind": EXTERNAL_SECRET.name,
                    "name": name,
                    "uid": item["metadata"]["uid"],
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "data": encoded,
    }
    if template.get("type"):  # a Secret's type cannot change: an existing one keeps its own
        secret["type"] = template["type"]
    if target.get("immutable"):
        secret["immutable"] = True
    return secret


def owner_label(item: Object) -> str:
    """Return the label value that marks the Secrets of this ExternalSecret."""
    return hashlib.sha256("/".join(key_of(item)).encode()).hexdigest()[:56]


def data_hash(encoded: Mapping[str, str]) -> str:
    """Return the hash by which a Secret that someone else changed is told."""
    return hashlib.sha256(json.dumps(encoded, sort_keys=True).encode()).hexdigest()[:56]


def intact(secret: Object | None) -> bool:
    """Say whether the Secret is there and holds what was last written to it."""
    if secret is None:
        return False
    metadata = secret["metadata"]
    managed = (metadata.get("labels") or {}).get(MANAGED) == "true"
    return managed and (metadata.get("annotations") or {}).get(DATA_HASH) == data_hash(secret.get("data") or {})


def foreign_owner(secret: Object | None, item: Object) -> str | None:
    """Return who else controls the Secret, None when this ExternalSecret may."""
    for owner in (secret or {}).get("metadata", {}).get("ownerReferences") or []:
        if owner.get("controller") and owner["uid"] != item["metadata"]["uid"]:
            return f"{owner['kind']} {owner['name']}"
    return None


def _leaves(place: str, general: str, value: object) -> Iterator[tuple[str, str, object]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _leaves(f"{place}.{name}", f"{general}.{name}", inner)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _leaves(f"{place}[{number}]", f"{general}[]", inner)
    else:
        yield place, general, value


def _load(payload: str, ref: Ref) -> Any:  # noqa: ANN401 (any JSON)
    try:
        return json.loads(payload)
    except ValueError:
        raise SyncError(f"{ref.text}: is not JSON") from None


def _scalar(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)


class ExternalSecrets:
    """The controller of ExternalSecrets and their stores."""

    def __init__(self, cluster: Cluster, secrets_manager: Callable[[str], "SecretsManagerClient"]) -> None:
        self._cluster = cluster
        self._secrets_manager = secrets_manager
        self.worker = Worker("external-secrets", self.reconcile, threads=2)
        self.stores_worker = Worker("secret-stores", self.reconcile_store)
        self.externals = Informer(cluster, EXTERNAL_SECRET, lambda item: self.worker.add(key_of(item)))
        self.secrets = Informer(cluster, SECRET, self._wake_owner, selector=f"{MANAGED}=true")
        self.stores = {
            kind: Informer(cluster, _KINDS[kind], lambda item: self.stores_worker.add(key_of(item))) for kind in _KINDS
        }
        self.workers = [self.worker, self.stores_worker]
        self.informers = [*self.stores.values(), self.externals, self.secrets]

    def reconcile(self, key: Key) -> float | None:
        """Make one Secret what its ExternalSecret says; deletion is the garbage collector's, by the owner reference."""
        item = self.externals.get(key)
        if item is None or "deletionTimestamp" in item["metadata"]:
            return None
        secret_key = key[0], target_name(item)
        status = dict(item.get("status") or {})
        began = now()
        try:
            if field := unsupported(item, _SUPPORTED, _DEFAULTS):
                raise SyncError(f"{field} is not supported by the local cloud")
            secret = self._cluster.get(SECRET, secret_key)
            wait = due(item, datetime.now(UTC))
            if wait != 0.0 and intact(secret):
                return wait
            reason, message = self._sync(item, secret)
            status["binding"] = {"name": secret_key[1]}
            status["refreshTime"] = began
            status["syncedResourceVersion"] = revision(item)
            self._report(item, status, "True", reason, message)
        except SyncError as error:
            self._report(item, status, "False", "SecretSyncedError", str(error))
            self._cluster.event(EXTERNAL_SECRET, item, "UpdateFailed", str(error), warning=True)
            raise
        return due({**item, "status": status}, datetime.now(UTC))

    def reconcile_store(self, key: Key) -> float | None:
        """Say whether a store can be used, and try again whatever waits for it."""
        kind = "SecretStore" if key[0] else "ClusterSecretStore"
        store = self.stores[kind].get(key)
        if store is None:
            return None
        problem = store_problem(store)
        status = dict(store.get("status") or {})
        wanted = ("False", "InvalidProviderConfig", problem) if problem else ("True", "Valid", "store validated")
        conditions = set_condition(status.get("conditions") or [], *wanted)
        if status.get("conditions") != conditions or status.get("capabilities") != "ReadWrite":
            body = {"status": {"conditions": conditions, "capabilities": "ReadWrite"}}
            self._cluster.patch(_KINDS[kind], key, body, status=True)
            log.info("%s %s: %s", kind, key[1], wanted[2])
        for item in self.externals.items(key[0]):
            ready = _ready(item)
            if store_of(item) == (kind, key[1]) and not (ready and ready["status"] == "True"):
                self.worker.add(key_of(item))
        return None

    def _sync(self, item: Object, secret: Object | None) -> tuple[str, str]:
        """Read the values and write the Secret; return the Ready condition's reason and message."""
        namespace, name = key_of(item)
        target = item["spec"].get("target") or {}
        if owner := foreign_owner(secret, item):
            raise SyncError(f"target is owned by another object: {owner}")
        policy = target.get("deletionPolicy", "Retain")
        data = self._data(item, skip_missing=policy != "Retain")
        if not data and policy == "Delete":
            self._cluster.delete(SECRET, (namespace, target_name(item)))
            return "SecretDeleted", "secret deleted due to DeletionPolicy=Delete"
        if not data and policy == "Retain":
            return "SecretSynced", "secret retained due to DeletionPolicy=Retain"
        self._delete_orphans(item)
        wanted = secret_for(item, data)
        if secret and target.get("immutable"):  # what exists stays as it is
            wanted["data"] = secret.get("data") or {}
            wanted["metadata"]["annotations"][DATA_HASH] = data_hash(wanted["data"])
        try:
            written = self._cluster.apply(SECRET, wanted, f"externalsecrets.external-secrets.io/{name}")
            if strangers := written.get("data", {}).keys() - wanted["data"].keys():
                self._cluster.patch(SECRET, key_of(written), {"data": dict.fromkeys(strangers)})
        except ApiError as error:
            if secret and secret.get("immutable"):
                raise SyncError("could not update secret, target is immutable") from None
            if error.status == 422:  # its message may quote what it refuses
                fields = ", ".join(error.fields) or error.reason
                raise SyncError(f"could not update secret: invalid {fields}") from None
            raise
        if secret is None or version_of(secret) != version_of(written):
            reason = "Updated" if secret else "Created"
            log.info("%s/%s: secret %s %s", namespace, name, target_name(item), reason.lower())
            self._cluster.event(EXTERNAL_SECRET, item, reason, f"secret {reason.lower()}")
        return "SecretSynced", "secret synced"

    def _data(self, item: Object, *, skip_missing: bool) -> dict[str, str]:
        provider = self._store(item)["spec"]["provider"]
        aws = provider.get("aws", {})
        read: Callable[[Ref], str]
        if aws:
            read, newest = partial(fetch, self._secrets_manager(aws["region"])), "AWSCURRENT"
        else:
            read, newest = partial(look_up, provider["fake"].get("data") or []), ""
        payloads: dict[tuple[str, str], str] = {}

        def payload(ref: Ref) -> str:
            if (ref.key, ref.version) not in payloads:
                payloads[ref.key, ref.version] = read(ref)
            return payloads[ref.key, ref.version]

        def ref(where: str, fields: Mapping[str, str]) -> Ref:
            key = aws.get("prefix", "") + fields["key"]
            return Ref(where, key, fields.get("property", ""), fields.get("version") or newest)

        data: dict[str, str] = {}
        for number, source in enumerate(item["spec"].get("dataFrom") or []):
            wanted = ref(f"spec.dataFrom[{number}]", source["extract"])
            try:
                data |= parse_map(payload(wanted), wanted)
            except NoSecretError:
                if not skip_missing:
                    raise
        for number, entry in enumerate(item["spec"].get("data") or []):
            wanted = ref(f"spec.data[{number}]", entry["remoteRef"])
            try:
                data[entry["secretKey"]] = parse_property(payload(wanted), wanted)
            except NoSecretError:
                if not skip_missing:
                    raise
        return data

    def _store(self, item: Object) -> Object:
        kind, name = store_of(item)
        store = self.stores[kind].get((item["metadata"]["namespace"] if kind == "SecretStore" else "", name))
        if store is None:
            raise SyncError(f"spec.secretStoreRef: {kind} {name!r} is not found")
        if problem := store_problem(store):
            raise SyncError(f"spec.secretStoreRef: {kind} {name!r} is not ready: {problem}")
        return store

    def _delete_orphans(self, item: Object) -> None:
        for secret in self.secrets.items(item["metadata"]["namespace"]):
            labels = secret["metadata"]["labels"]
            if labels.get(OWNER) == owner_label(item) and secret["metadata"]["name"] != target_name(item):
                self._cluster.delete(SECRET, key_of(secret))

    def _report(self, item: Object, status: Object, ready: str, reason: str, message: str) -> None:
        status["conditions"] = set_condition(status.get("conditions") or [], ready, reason, message)
        if status != item.get("status"):
            self._cluster.patch(EXTERNAL_SECRET, key_of(item), {"status": status}, status=True)

    def _wake_owner(self, secret: Object) -> None:
        for owner in secret["metadata"].get("ownerReferences") or []:
            if owner["kind"] == EXTERNAL_SECRET.name:
                self.worker.add((secret["metadata"]["namespace"], owner["name"]))


def fetch(client: "SecretsManagerClient", ref: Ref) -> str:
    """Return one version's value; ``version`` is a stage or ``uuid/<VersionId>``."""
    try:
        if ref.version.startswith("uuid/"):
            answer = client.get_secret_value(SecretId=ref.key, VersionId=ref.version.removeprefix("uuid/"))
        else:
            answer = client.get_secret_value(SecretId=ref.key, VersionStage=ref.version)
    except client.exceptions.ResourceNotFoundException:
        raise NoSecretError(f"{ref.text}: does not exist") from None
    except (client.exceptions.InvalidRequestException, client.exceptions.InvalidParameterException) as error:
        # A secret in its recovery window is refused so.
        raise NoSecretError(f"{ref.text}: {error.response['Error'].get('Message')}") from None
    except (ClientError, BotoCoreError) as error:
        raise SyncError(f"{ref.text}: {' '.join(str(error).split())}") from None
    value = answer.get("SecretString")
    return value if value is not None else answer["SecretBinary"].decode(errors="surrogateescape")


def look_up(values: Sequence[Mapping[str, str]], ref: Ref) -> str:
    """Return one version's value from a store of the provider ``fake``, where no version is one of its own."""
    for value in values:
        if (value["key"], value.get("version", "")) == (ref.key, ref.version):
            return value["value"]
    raise NoSecretError(f"{ref.text}: does not exist")


def store_of(item: Object) -> tuple[str, str]:
    """Return kind and name of the store that an ExternalSecret reads."""
    reference = item["spec"].get("secretStoreRef") or {}
    return reference.get("kind", "SecretStore"), reference.get("name", "")


def store_problem(store: Object) -> str | None:
    """Return why the store cannot be used here, None when it can."""
    provider = store["spec"]["provider"]
    if not provider.keys() & {"aws", "fake"}:
        return f"spec.provider.{next(iter(provider))} is not supported by the local cloud, only 'aws' and 'fake' are"
    if "aws" in provider and (service := provider["aws"]["service"]) != "SecretsManager":
        return f"spec.provider.aws.service {service!r} is not supported by the local cloud, only 'SecretsManager' is"
    if field := unsupported(store, _SUPPORTED_STORE, {}):
        return f"{field} is not supported by the local cloud"
    return None


def _ready(item: Object) -> Object | None:
    conditions = (item.get("status") or {}).get("conditions") or []
    return next((c for c in conditions if c["type"] == "Ready"), None)
