"""`python -m sandbox.prometheus_files`: bring the operator's configuration and rules to the files of Prometheus.

The operator keeps them in a Secret and in ConfigMaps. In a pod the kubelet mounts those, up to a minute late, and
prometheus-config-reloader, which watches files and no cluster, has Prometheus read them again.
"""

import base64
import gzip
import json
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import requests
from kubernetes import client, config, watch
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from sandbox import paths
from sandbox.prometheus import CONFIGURATION, NAME, NAMESPACE, RULES, Object

Listing = Callable[..., Any]
"""One of the client's functions that list the objects of a namespace."""

log = logging.getLogger("prometheus-files")

_SECRET = f"prometheus-{NAME}"
_KEY = f"{CONFIGURATION}.gz"
_RULES = f"prometheus-{NAME}-rulefiles-"
_MOUNTED = "/etc/prometheus/rules/"
"""Where the operator has its pod find the rules."""
_SHARD = "$(SHARD)", "0"
"""What the reloader fills in of its pod's environment; targets that belong to another shard are dropped."""
_AGAIN = 50
"""Seconds of one watch: a connection that died unheard is noticed soon after."""


def files(secrets: Iterable[Object], config_maps: Iterable[Object], folder: Path) -> dict[Path, str]:
    """Return the files that Prometheus reads, the configuration last; none while the operator has made none."""
    found: dict[Path, str] = {}
    for item in config_maps:
        if (home := item["metadata"]["name"]).startswith(_RULES):
            found |= {folder / RULES / home / name: text for name, text in item.get("data", {}).items()}
    for secret in secrets:
        if secret["metadata"]["name"] == _SECRET and _KEY in secret.get("data", {}):
            text = gzip.decompress(base64.b64decode(secret["data"][_KEY])).decode()
            for written, meant in ((_MOUNTED, f"{folder / RULES}/"), _SHARD):
                text = text.replace(written, meant)
            return found | {folder / CONFIGURATION: text}
    return {}


def place(wanted: Mapping[Path, str], folder: Path) -> bool:
    """Make the rules and the configuration of the folder those that are wanted; say whether anything changed."""
    present = {file: file.read_text() for file in [*folder.glob(f"{RULES}/*/*"), *folder.glob(CONFIGURATION)]}
    for file, text in wanted.items():
        if present.get(file) != text:
            file.parent.mkdir(parents=True, exist_ok=True)
            draft = folder / "draft"
            draft.write_text(text)
            draft.replace(file)  # in one piece
    for file in present.keys() - wanted.keys():
        file.unlink()
    return present != wanted


def main() -> None:
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    config.load_kube_config(str(paths.KUBECONFIG))
    api, changed = client.CoreV1Api(), threading.Event()
    listings = api.list_namespaced_secret, api.list_namespaced_config_map
    for listing in listings:
        threading.Thread(target=_watch, args=(listing, changed), daemon=True).start()
    loaded = False
    while True:
        changed.wait(None if loaded else 1)
        changed.clear()
        loaded = bring(*listings, loaded=loaded)


def bring(secrets: Listing, config_maps: Listing, *, loaded: bool) -> bool:
    """Make the files those of the cluster; say whether Prometheus has read them, which it had if ``loaded``."""
    try:
        wanted = files(_items(secrets), _items(config_maps), paths.PROMETHEUS)
    except (ApiException, HTTPError) as error:
        log.warning("the cluster does not answer: %s", error)
        return False
    if not wanted:
        return True
    changed = place(wanted, paths.PROMETHEUS)
    return (loaded and not changed) or _reload()


def _items(listing: Listing) -> list[Object]:
    found: list[Object] = json.loads(listing(NAMESPACE, _preload_content=False, _request_timeout=10).data)["items"]
    return found


def _watch(listing: Listing, changed: threading.Event) -> None:
    """Set the event whenever an object comes, changes or goes."""
    while True:
        try:
            for _ in watch.Watch().stream(listing, NAMESPACE, timeout_seconds=_AGAIN, _request_timeout=_AGAIN + 10):
                changed.set()
        except (ApiException, HTTPError) as error:
            log.warning("watching again: %s", error)
            time.sleep(1)


def _reload() -> bool:
    """Have Prometheus read its files again; False where it is not there: it may be about to start."""
    try:
        answer = requests.post(f"{paths.PROMETHEUS_URL}/-/reload", timeout=10)
    except requests.ConnectionError:
        return False
    if answer.ok:
        log.info("read again")
    else:
        log.error("Prometheus refuses to read its files again: %s", answer.text.strip())
    return True


if __name__ == "__main__":
    main()
