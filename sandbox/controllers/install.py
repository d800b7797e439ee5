"""What the cluster needs before the controllers can work: CRDs, webhooks, the secret store."""

import json
import logging
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import yaml

from sandbox import ca, paths
from sandbox.controllers import admission
from sandbox.controllers.cluster import (
    CLUSTER_SECRET_STORE,
    CRD,
    MUTATING_WEBHOOK,
    ApiError,
    Cluster,
    Object,
    key_of,
)

log = logging.getLogger("install")

SECRET_STORE_NAME = "aws-secrets-manager"
EXTERNAL_SECRETS = "github.com/external-secrets/external-secrets", "v0.20.4"
EXTERNAL_SECRETS_SUM = "h1:HhNAjWfFEshhItphr28SGsHzf2bUP7uDAOVLg76uNAg="
"""The Go checksum of that module, as the public checksum database has it."""
_KINDS = "externalsecrets", "secretstores", "clustersecretstores"
_MANAGER = "hueshift-sandbox"
_WAIT = 60.0
"""Seconds for the API server to serve what was applied; External Secrets' schemas are large."""


def install(cluster: Cluster) -> None:
    """Apply all of it and wait until the API server serves it. Running it again changes nothing."""
    crds = [*own_crds(), *external_secrets_crds()]
    for crd in crds:
        cluster.apply(CRD, crd, _MANAGER)
    for crd in crds:
        _await_established(cluster, crd)
    cluster.apply(MUTATING_WEBHOOK, admission.configuration(ca.ensure_ca().read_bytes()), _MANAGER)
    _apply_when_served(cluster)
    log.info("%d kinds established", len(crds))


def own_crds() -> Iterator[Object]:
    """Yield the CRDs that no Go module carries; ``sandbox/crds`` says for each what it was written from."""
    for file in sorted((paths.ROOT / "sandbox/crds").glob("*.yaml")):
        yield yaml.safe_load(file.read_text())


def external_secrets_crds() -> Iterator[Object]:
    """Yield External Secrets' own CRDs, from its Go module, checked against the recorded sum."""
    folder = external_secrets_module() / "config/crds/bases"
    for kind in _KINDS:
        yield yaml.load((folder / f"external-secrets.io_{kind}.yaml").read_text(), Loader=_LOADER)


def external_secrets_module() -> Path:
    """Return the module's directory in Go's cache, fetched when it is not there.

    Raises RuntimeError when Go is missing, the module cannot be fetched or is not the one that was pinned.
    """
    if shutil.which("go") is None:
        raise RuntimeError("the program go is missing: it fetches the schemas of External Secrets")
    command = ["go", "mod", "download", "-json", "@".join(EXTERNAL_SECRETS)]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False)
    answer = json.loads(done.stdout or "{}")
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {answer.get('Error') or done.stderr.strip()}")
    if answer["Sum"] != EXTERNAL_SECRETS_SUM:
        raise RuntimeError(f"{'@'.join(EXTERNAL_SECRETS)} has the sum {answer['Sum']}, not {EXTERNAL_SECRETS_SUM}")
    return Path(answer["Dir"])


def secret_store() -> Object:
    """Return the store that every environment's ExternalSecrets name."""
    aws = {"service": "SecretsManager", "region": paths.REGION}
    return {"metadata": {"name": SECRET_STORE_NAME}, "spec": {"provider": {"aws": aws}}}


def _await_established(cluster: Cluster, crd: Object) -> None:
    deadline = time.monotonic() + _WAIT
    while True:
        live = cluster.get(CRD, key_of(crd)) or {}
        conditions = {c["type"]: c for c in ((live.get("status") or {}).get("conditions") or [])}
        if conditions.get("Established", {}).get("status") == "True":
            return
        if time.monotonic() > deadline:
            names = conditions.get("NamesAccepted", {}).get("message", "")
            raise RuntimeError(f"{crd['metadata']['name']} is not established after {_WAIT:.0f} s: {names}")
        time.sleep(0.1)


def _apply_when_served(cluster: Cluster) -> None:
    """Apply the store; an established kind answers 404 for a moment until every part of the API server knows it."""
    deadline = time.monotonic() + _WAIT
    while True:
        try:
            cluster.apply(CLUSTER_SECRET_STORE, secret_store(), _MANAGER)
        except ApiError as error:
            if error.status != 404 or time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml where PyYAML has it: the two stores' schemas are 10,000 lines each."""
