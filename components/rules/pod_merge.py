"""The strategic merge of a pod's template: what a service adds, laid over what the program makes."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

MERGE_KEYS: Final[Mapping[str, str]] = {
    "claims": "name",
    "containers": "name",
    "env": "name",
    "hostAliases": "ip",
    "imagePullSecrets": "name",
    "initContainers": "name",
    "ports": "containerPort",
    "resourceClaims": "name",
    "schedulingGates": "name",
    "topologySpreadConstraints": "topologyKey",
    "volumeDevices": "devicePath",
    "volumeMounts": "mountPath",
    "volumes": "name",
}
"""What tells the items of a list apart, by the list's name (Kubernetes API, patchMergeKey of a pod's fields)."""


def merged(
    ours: Mapping[str, Any], theirs: Mapping[str, Any], *, new: Mapping[str, Mapping[str, Any]] = {}
) -> dict[str, Any]:
    """Return ``theirs`` over ``ours``, in which nothing is taken away but where ``theirs`` says something else.

    Mappings are merged key by key, and lists with a merge key item by item; of a volume, which is of one kind, the
    newer stands. All other lists are replaced, but for two: sources of variables are added, since without ours the
    pods lack their configuration; and each term that selects nodes keeps what all of ours ask for.

    Args:
        ours: what is there; values may be Outputs.
        theirs: what is laid over it.
        new: what items of a list begin with that ours has not, by the list's name.

    """
    whole = dict(ours)
    for key, value in theirs.items():
        there = whole.get(key)
        if isinstance(value, Mapping) and isinstance(there, Mapping):
            whole[key] = merged(there, value, new=new)
        elif isinstance(value, list) and key in MERGE_KEYS:
            whole[key] = _items(key, there or [], value, new)
        elif isinstance(value, list) and key == "envFrom":
            whole[key] = _added(there or [], value)
        elif isinstance(value, list) and key == "nodeSelectorTerms":
            whole[key] = _terms(there or [], value)
        else:
            whole[key] = value
    return whole


def _items(field: str, ours: Sequence[Any], theirs: Sequence[Any], new: Mapping[str, Mapping[str, Any]]) -> list[Any]:
    key = MERGE_KEYS[field]
    whole = {item[key]: item for item in ours}
    for item in theirs:
        if field == "volumes":
            whole[item[key]] = item
        else:
            whole[item[key]] = merged(whole.get(item[key], new.get(field, {})), item, new=new)
    return list(whole.values())


def _added(ours: Sequence[Any], theirs: Sequence[Any]) -> list[Any]:
    return [*ours, *(item for item in theirs if item not in ours)]


def _terms(ours: Sequence[Mapping[str, Any]], theirs: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Return their terms, of which a node must meet one, each with what every one of ours asks for."""
    first, *others = [term.get("matchExpressions", []) for term in ours] or [[]]
    needed = [each for each in first if all(each in other for other in others)]
    return [
        {**term, "matchExpressions": _added(term.get("matchExpressions", []), needed)} if needed else term
        for term in theirs
    ]
