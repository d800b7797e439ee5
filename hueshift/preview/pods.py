"""Counts what a service costs: its pods at most before, during and after an update, and what they request.

Pure. Only Deployments count: jobs end by themselves.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from hueshift.preview.events import Resource, at
from hueshift.preview.report import Cost, Need, Op

DEPLOYMENT: Final = "kubernetes:apps/v1:Deployment"
AUTOSCALER: Final = "kubernetes:autoscaling/v2:HorizontalPodAutoscaler"
_SURGE: Final = "25%"
"""What Kubernetes takes where a Deployment names no surge (Deployment, rolling update)."""
_QUANTITY: Final = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(m|k|[MGT]i?|Ki)?")
_UNIT: Final[Mapping[str, float]] = {"": 1, "m": 10**-3, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12} | {
    f"{letter}i": 2 ** (10 * power) for power, letter in enumerate("KMGT", 1)
}


class _UnknownError(Exception):
    """Some number is known only after the update."""


class _Side(NamedTuple):
    """A Deployment before or after the update."""

    pods: int
    cpu: int
    """Millicores of one pod."""
    memory: int
    """Bytes of one pod."""

    def times(self, pods: int) -> Need:
        return Need(pods=pods, cpu=pods * self.cpu, memory=pods * self.memory)


def cost(resources: Sequence[Resource]) -> Cost | None:
    """Return what the Deployments among a service's resources need at most.

    None if that is known only after the update.
    """
    try:
        before, after = (_sides(resources, which) for which in ("old", "new"))
        return Cost(
            before=_sum(side.times(side.pods) for side in before.values()),
            during=_sum(
                _during(each, before[each.urn], after[each.urn]) for each in resources if each.type == DEPLOYMENT
            ),
            after=_sum(side.times(side.pods) for side in after.values()),
        )
    except _UnknownError:
        return None


def _sides(resources: Sequence[Resource], which: str) -> Mapping[str, _Side]:
    """Return each Deployment by its URN, as it is on one side of the update."""
    states = {each.urn: _state(each, which) for each in resources if each.type in (DEPLOYMENT, AUTOSCALER)}
    most = {
        at(states[each.urn], "inputs.spec.scaleTargetRef.name"): _number(states[each.urn], "inputs.spec.maxReplicas", 0)
        for each in resources
        if each.type == AUTOSCALER and states[each.urn]
    }
    return {
        each.urn: _side(states[each.urn], most.get(at(states[each.urn], "inputs.metadata.name")))
        for each in resources
        if each.type == DEPLOYMENT
    }


def _state(resource: Resource, which: str) -> Mapping[str, Any]:
    if which == "new":
        return {} if resource.op is Op.DELETE else resource.new
    if resource.imported:  # it is there, and nobody knows how it is
        return resource.old or resource.new
    return {} if resource.missing or resource.op is Op.CREATE else resource.old


def _side(state: Mapping[str, Any], most: int | None) -> _Side:
    if not state:
        return _Side(0, 0, 0)
    spec = "inputs.spec.template.spec"
    containers = _list(state, f"{spec}.containers")
    containers += [each for each in _list(state, f"{spec}.initContainers") if at(each, "restartPolicy") == "Always"]
    return _Side(
        _number(state, "inputs.spec.replicas", 1) if most is None else most,
        round(1000 * sum(_quantity(each, "cpu") for each in containers)),
        round(sum(_quantity(each, "memory") for each in containers)),
    )


def _during(deployment: Resource, before: _Side, after: _Side) -> Need:
    """Return what a Deployment needs at most while it changes: the old pods serve until the new ones do."""
    pods, surge = max(before.pods, after.pods), 0
    if deployment.op is Op.REPLACE:  # those of the old one go last, if they do not go first
        first = next(op for op in deployment.ops if op in ("create-replacement", "import-replacement", "replace"))
        surge = 0 if first == "replace" else min(before.pods, after.pods)
    elif before.pods and after.pods and any(path.startswith("spec.template") for path in deployment.diff):
        surge = min(_surge(deployment.new, pods), pods)
    sizes = [side for side in (before, after) if side.pods]
    if not sizes:
        return Need()
    return Need(
        pods=pods + surge,
        cpu=pods * max(side.cpu for side in sizes) + surge * min(side.cpu for side in sizes),
        memory=pods * max(side.memory for side in sizes) + surge * min(side.memory for side in sizes),
    )


def _surge(state: Mapping[str, Any], pods: int) -> int:
    """Return how many pods a rolling update has above the wanted number."""
    strategy = at(state, "inputs.spec.strategy") or {}
    if at(strategy, "type") == "Recreate":
        return 0
    said = at(strategy, "rollingUpdate.maxSurge")
    if percent := re.fullmatch(r"(\d+)%", _SURGE if said is None else str(said)):
        return -(-pods * int(percent[1]) // 100)
    return _number(strategy, "rollingUpdate.maxSurge", 0)


def _list(state: Mapping[str, Any], path: str) -> list[Any]:
    found = at(state, path) or []
    if not isinstance(found, list):
        raise _UnknownError
    return [*found]


def _number(state: Mapping[str, Any], path: str, default: int) -> int:
    found = at(state, path)
    if found is None:
        return default
    if not isinstance(found, int | float):
        raise _UnknownError
    return int(found)


def _quantity(container: object, resource: str) -> float:
    """Return what a container requests; where it only has a limit, that is its request (Kubernetes, resources)."""
    found = at(container, f"resources.requests.{resource}") or at(container, f"resources.limits.{resource}") or "0"
    if not (amount := _QUANTITY.fullmatch(str(found))):
        raise _UnknownError
    return float(amount[1]) * _UNIT[amount[2] or ""]


def _sum(needs: Iterable[Need]) -> Need:
    found = [*needs]
    return Need(
        pods=sum(need.pods for need in found),
        cpu=sum(need.cpu for need in found),
        memory=sum(need.memory for need in found),
    )
