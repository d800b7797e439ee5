"""What a stack file may lay over the pods of a service, and what would break what the program promises of them."""

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

from components.model import Given
from components.rules.advice import unknown_key
from components.rules.names import RESERVED_LABELS, env_name_problem, label_key_problem, label_value_problem
from components.rules.pod_merge import MERGE_KEYS
from components.rules.secrets import secret_kind
from components.rules.text import Problem

APP: Final = "app"
"""The container of the service itself."""
PORT: Final = "http"
"""The name of the port where it listens. All but the pods know only this name, so that a changed number finds every
pod where it listens, old and new: a Service without the port that a binding names empties the target group."""

WORKLOAD: Final = "hueshift.dev/workload"
"""The label of pods that take no requests, and of what makes them, with the name of the workload."""

_OF_APP: Final = f"spec.containers[{APP}]"
_NEVER: Final[Mapping[str, str]] = {
    "spec.activeDeadlineSeconds": "would end pods that serve",
    "spec.ephemeralContainers": "is for kubectl debug, and no part of a template",
    "spec.hostIPC": "is refused by the namespace (Pod Security, restricted)",
    "spec.hostNetwork": "is refused by the namespace (Pod Security, restricted)",
    "spec.hostPID": "is refused by the namespace (Pod Security, restricted)",
    "spec.priority": "follows from the priority class; set priorityClass of the service",
    "spec.priorityClassName": "has a key of its own; set priorityClass of the service",
    "spec.restartPolicy": "is Always for the pods of a Deployment; remove it here",
    "spec.serviceAccount": "is the account that the role of the pods trusts; set policyArns of the service",
    "spec.serviceAccountName": "is the account that the role of the pods trusts; set policyArns of the service",
    f"{_OF_APP}.image": "has a key of its own, for it is what a color is; set colors.<color>.image",
    f"{_OF_APP}.resources.limits.memory": "has a key of its own, by which alarms go; set resources of the service",
    f"{_OF_APP}.resources.requests.cpu": "has a key of its own, by which alarms go; set resources of the service",
    f"{_OF_APP}.resources.requests.memory": "has a key of its own, by which alarms go; set resources of the service",
}
"""What no service can change, with the reason and what to set in its place."""

ALLOWABLE: Final[Mapping[str, str]] = {
    "spec.automountServiceAccountToken": "is false, so that who breaks in has no token of the cluster",
    "spec.enableServiceLinks": "is false, so that Services of the namespace become no variables",
    "spec.securityContext.seccompProfile": "is RuntimeDefault",
    "spec.shareProcessNamespace": "would let each container read the others' variables",
    "spec.terminationGracePeriodSeconds": "is timing.gracePeriod, of a chain of times without which requests are lost",
    f"{_OF_APP}.lifecycle.preStop": "is timing.preStop, of a chain of times without which requests are lost",
    f"{_OF_APP}.livenessProbe": "is made of health, as the load balancer's own check is",
    f"{_OF_APP}.readinessProbe": "is made of health, as the load balancer's own check is",
    f"{_OF_APP}.startupProbe": "is made of health, as the load balancer's own check is",
}
"""What a service can change if it says so, with what is given up."""

_VOLUMES: Final = (
    *("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"),
)
"""Kinds of volumes that the namespace takes (Pod Security Standards, restricted)."""
_RESTRICTED: Final[Mapping[str, tuple[Callable[[Any], bool], str]]] = {
    "securityContext.allowPrivilegeEscalation": (lambda value: value is False, "false"),
    "securityContext.capabilities.add": (lambda value: set(value) <= {"NET_BIND_SERVICE"}, "NET_BIND_SERVICE alone"),
    "securityContext.capabilities.drop": (lambda value: "ALL" in value, "a list with ALL"),
    "securityContext.privileged": (lambda value: value is False, "false"),
    "securityContext.procMount": (lambda value: value == "Default", "Default"),
    "securityContext.runAsNonRoot": (lambda value: value is True, "true"),
    "securityContext.runAsUser": (lambda value: value > 0, "a number above 0"),
    "securityContext.seccompProfile.type": (
        lambda value: value in ("RuntimeDefault", "Localhost"),
        "RuntimeDefault or Localhost",
    ),
    "ports.hostPort": (lambda value: value == 0, "none"),
}
"""What the namespace takes in a pod or a container (Pod Security Standards, restricted), by the end of its path."""
_TYPES: Final = {"string": str, "integer": int, "boolean": bool}
_SAID: Final = {"string": "text in quotes", "integer": "a whole number", "boolean": "true or false"}


class Variable(NamedTuple):
    """A variable of a container in a template."""

    path: str
    container: str
    name: str
    value: str | None
    """None for one that is taken from somewhere else."""


class _Leaf(NamedTuple):
    path: str
    value: Any


def template_problems(template: Mapping[str, Any], *, allow: Sequence[str]) -> Iterator[Problem]:
    """Yield what is wrong with a template alone: keys relative to it, items of a list by what tells them apart.

    Names and types are those of Kubernetes; no reason repeats a value.
    """
    if problems := list(_typed("PodTemplateSpec", template, "")):
        yield from problems
        return
    found = list(_leaves(template, ""))
    for path, value in found:
        if isinstance(value, str) and (kind := secret_kind(value)):
            yield Problem(path, f"looks like {kind}, and everybody can read this file; put it under secrets")
    yield from _labelled(template.get("metadata", {}))
    used: set[str] = set()
    for path, value in found:
        if own := _within(path, _NEVER):
            yield Problem(path, _NEVER[own])
        elif own := _within(path, ALLOWABLE):
            used.add(own)
            if own not in allow:
                yield Problem(path, f"{ALLOWABLE[own]}; remove it here, or name {own} under allow")
        elif path.endswith(".securityContext.readOnlyRootFilesystem") and value is not True:
            used.add(path)
            if path not in allow:
                reason = "is true; mount an emptyDir where it writes, or name this path under allow"
                yield Problem(path, reason)
        elif not path.endswith("]"):
            plain = re.sub(r"\[[^\[\]]*\]", "", path)  # linear on "[[[[" as well
            for end, (right, said) in _RESTRICTED.items():
                if plain.endswith(f".{end}") and not right(value):
                    yield Problem(path, f"is refused by the namespace (Pod Security, restricted); allowed is {said}")
    for place, path in enumerate(allow):
        if path in ALLOWABLE or path.endswith(".securityContext.readOnlyRootFilesystem"):
            if path not in used:
                yield Problem(f"allow[{place}]", "is not set in this template, or as it is anyway; remove it here")
        else:
            known = [*ALLOWABLE, f"{_OF_APP}.securityContext.readOnlyRootFilesystem"]
            yield Problem(f"allow[{place}]", f"is nothing that can be allowed; {unknown_key(path, known)}")
    yield from _in_pod(template.get("spec", {}))


def _within(path: str, known: Collection[str]) -> str | None:
    return next((each for each in known if path == each or path.startswith((f"{each}.", f"{each}["))), None)


@cache
def _fields() -> Mapping[str, Mapping[str, str]]:
    """Return the fields of each type, as `tools/reference.py` wrote them."""
    fields: Mapping[str, Mapping[str, str]] = json.loads(Path(__file__).with_name("pod_fields.json").read_text())
    return fields


def _typed(type_: str, value: Any, path: str) -> Iterator[Problem]:  # noqa: ANN401 - what YAML holds
    """Yield unknown fields, and what is of another type."""
    if type_.endswith("[]"):
        if not isinstance(value, list | tuple):
            yield Problem(path, "must be a list")
            return
        yield from _listed(type_.removesuffix("[]"), value, path)
    elif type_.endswith("{}") or type_ in _fields():
        if not isinstance(value, Mapping):
            yield Problem(path, "must be a mapping")
            return
        fields = _fields().get(type_, {})
        for key, inner in value.items():
            below = f"{path}.{key}".removeprefix(".")
            if not isinstance(key, str):
                yield Problem(path, "has a key that is no text; put it in quotes")
            elif type_.endswith("{}"):
                yield from _typed(type_.removesuffix("{}"), inner, below)
            elif key not in fields:
                yield Problem(below, unknown_key(key, list(fields)))
            elif inner is None:
                yield Problem(below, "is empty; give it a value, or remove it here")
            else:
                yield from _typed(fields[key], inner, below)
    elif not any(type(value) is _TYPES[each] for each in type_.split("|")):
        yield Problem(path, f"must be {' or '.join(_SAID[each] for each in type_.split('|'))}")


def _listed(type_: str, items: Sequence[Any], path: str) -> Iterator[Problem]:
    key = MERGE_KEYS.get(path.rpartition(".")[2])
    seen: set[Any] = set()
    for place, item in enumerate(items):
        found = list(_typed(type_, item, f"{path}[{place}]"))
        yield from found
        if key is None or found:
            continue
        if key not in item:
            yield Problem(f"{path}[{place}].{key}", "is required: it tells the items of this list apart")
        elif item[key] in seen:
            yield Problem(f"{path}[{place}].{key}", "is that of an item before; name each once")
        else:
            seen.add(item[key])


def _item(field: str, item: Any, place: int) -> str:  # noqa: ANN401 - what YAML holds
    """Return how a path names an item: by what tells it apart, if that can be shown."""
    name = item.get(MERGE_KEYS.get(field, "")) if isinstance(item, Mapping) else None
    form = r"[A-Za-z_][A-Za-z0-9_]*" if field == "env" else r"[\w./-]+"
    return str(name) if name is not None and re.fullmatch(form, str(name), re.ASCII) else str(place)


def _leaves(value: Any, path: str) -> Iterator[_Leaf]:  # noqa: ANN401 - what YAML holds
    """Yield every value with its path, and every list of plain values as one."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}".removeprefix("."))
    elif isinstance(value, list | tuple) and any(isinstance(each, Mapping) for each in value):
        for place, inner in enumerate(value):
            yield from _leaves(inner, f"{path}[{_item(path.rpartition('.')[2], inner, place)}]")
    else:
        yield _Leaf(path, value)
        if isinstance(value, list | tuple):
            yield from (_Leaf(f"{path}[{place}]", each) for place, each in enumerate(value))


def _labelled(metadata: Mapping[str, Any]) -> Iterator[Problem]:
    for key, value in metadata.get("labels", {}).items():
        version = "app.kubernetes.io/version"
        reason = label_key_problem(key) or label_value_problem(value)
        if key == version:
            reason = "is set already, by the program; remove it here"
        if reason is not None:
            yield Problem(f"metadata.labels.{key}", reason.replace(repr(value), "this"))
    for key in metadata.get("annotations", {}):
        if key in RESERVED_LABELS or key.startswith(("hueshift.dev/", "pulumi.com/")):
            yield Problem(f"metadata.annotations.{key}", "is set by the program alone; remove it here")


def _in_pod(spec: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield what is wrong with containers and volumes, whose types are right."""
    for place, volume in enumerate(spec.get("volumes", [])):
        path = f"spec.volumes[{_item('volumes', volume, place)}]"
        kinds = [kind for kind in volume if kind != "name"]
        if len(kinds) != 1:
            yield Problem(path, f"must be of one kind: {', '.join(_VOLUMES)}")
        elif kinds[0] not in _VOLUMES:
            yield Problem(
                f"{path}.{kinds[0]}",
                f"is refused by the namespace (Pod Security, restricted); allowed are {', '.join(_VOLUMES)}",
            )
    for field in ("initContainers", "containers"):
        for place, container in enumerate(spec.get(field, [])):
            path = f"spec.{field}[{_item(field, container, place)}]"
            own = field == "containers" and container["name"] == APP
            if field == "initContainers" and container["name"] == APP:
                yield Problem(f"{path}.name", f"{APP} is the container of the service; call this one otherwise")
            if not own:
                yield from _needed(container, path)
            for port in container.get("ports", []):
                if port.get("name") == PORT:
                    yield Problem(
                        f"{path}.ports[{port['containerPort']}].name",
                        f"{PORT} is the port of the service, by which requests find it; call this one otherwise",
                    )
            for variable in container.get("env", []) if own else []:
                if reason := env_name_problem(variable["name"]) if variable["name"] in set(Given) else None:
                    yield Problem(f"{path}.env[{variable['name']}]", reason)


def _needed(container: Mapping[str, Any], path: str) -> Iterator[Problem]:
    """Yield what a container of theirs lacks; the rest of it begins with what ours has."""
    if "image" not in container:
        yield Problem(f"{path}.image", "is required: the image, by digest")
    resources = container.get("resources", {})
    for kind, what in (("requests", "cpu"), ("requests", "memory"), ("limits", "memory")):
        if what not in resources.get(kind, {}):
            reason = "is required: without it the autoscaler adds no pods, or one container starves the others"
            yield Problem(f"{path}.resources.{kind}.{what}", reason)


def template_variables(template: Mapping[str, Any]) -> Iterator[Variable]:
    """Yield the variables of all containers of a template that is right in itself."""
    for field in ("initContainers", "containers"):
        for container in template.get("spec", {}).get(field, []):
            for variable in container.get("env", []):
                name = variable["name"]
                path = f"spec.{field}[{container['name']}].env[{_item('env', variable, 0)}]"
                yield Variable(path, container["name"], name, variable.get("value"))


def template_images(template: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield path and reference of every image that a right template names."""
    for field in ("initContainers", "containers"):
        for container in template.get("spec", {}).get(field, []):
            if "image" in container:
                yield f"spec.{field}[{container['name']}].image", container["image"]


def template_ports(template: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Yield path and number of every port that a right template names, of whichever container: they share them."""
    for container in template.get("spec", {}).get("containers", []):
        for port in container.get("ports", []):
            number = port["containerPort"]
            yield f"spec.containers[{container['name']}].ports[{number}]", number
