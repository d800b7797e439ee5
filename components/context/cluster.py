"""Whether kubectl's configuration leads to the cluster of the stack: a stack must never be applied to another's."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pulumi
import yaml

_DEFAULT: Final = "~/.kube/config"


class ClusterError(pulumi.RunError, ValueError):
    """What this stack would be applied to is not its own cluster."""


def confirm(
    name: str | None,
    *,
    account: str,
    region: str | None,
    provider: Callable[[str], str | None],
    files: str | None,
) -> None:
    """Refuse any cluster but the one with this name in EKS, by the name that the kubeconfig's current context gives it.

    ``aws eks update-kubeconfig`` calls a cluster by its ARN, whatever the context's alias; eksctl calls it
    ``<name>.<region>.eksctl.io``; a cluster elsewhere is called by its plain name.

    Args:
        name: of the stack's settings; None, and nothing is known to compare with.
        account: of the stack.
        region: of the stack; None if only the environment says.
        provider: the Kubernetes provider's setting ``kubeconfig``, ``context`` or ``cluster``, each None if unset.
        files: of the variable KUBECONFIG.

    Raises:
        ClusterError: it is another, or no kubeconfig names one.

    """
    if name is None:
        return
    documents = list(_documents(provider("kubeconfig") or files or _DEFAULT))
    found = provider("cluster") or _cluster_of(documents, provider("context"))
    where = re.escape(region) if region else "[a-z0-9-]+"
    own = rf"arn:aws[a-z-]*:eks:{where}:{account}:cluster/{re.escape(name)}|{re.escape(name)}(\.{where}\.eksctl\.io)?"
    if found is None or not re.fullmatch(own, found):
        fetch = f"aws eks update-kubeconfig --name {name}{f' --region {region}' if region else ''}"
        raise ClusterError(
            f"cluster.name: {name} in account {account} is the cluster of this stack, but the kubeconfig leads to "
            f"{found or 'none'}; run `{fetch}`, or choose its context with `kubectl config use-context`; nothing was "
            "touched"
        )


def _documents(kubeconfig: str) -> Iterator[Mapping[str, Any]]:
    """Yield what a kubeconfig holds, given as its content or as the paths of its files."""
    try:
        content = yaml.safe_load(kubeconfig)
        if isinstance(content, dict):
            yield content
            return
        for path in filter(None, kubeconfig.split(":")):
            file = Path(path).expanduser()
            content = yaml.safe_load(file.read_text()) if file.exists() else None
            if isinstance(content, dict):
                yield content
    except (OSError, yaml.YAMLError) as error:
        # Nothing of its text, which holds credentials.
        raise ClusterError(f"the kubeconfig cannot be read: {type(error).__name__}") from None


def _cluster_of(documents: Sequence[Mapping[str, Any]], context: str | None) -> str | None:
    """Return the cluster of a context, by default the current one; of several files the first that says so counts."""
    chosen = context or next((each["current-context"] for each in documents if each.get("current-context")), None)
    for each in documents:
        for item in _mappings(each.get("contexts")):
            if item.get("name") == chosen:
                return next(
                    (str(held["cluster"]) for held in _mappings([item.get("context")]) if held.get("cluster")), None
                )
    return None


def _mappings(items: object) -> Iterator[Mapping[str, Any]]:
    """Yield the mappings of a list: what a kubeconfig should hold, and what somebody has edited may not."""
    for item in items if isinstance(items, list) else ():
        if isinstance(item, dict):
            yield item
