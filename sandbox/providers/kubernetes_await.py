"""When an object counts as ready, and what to tell about one that is not.

The conditions are those of the official provider (pulumi/pulumi-kubernetes 4.30, ``provider/pkg/await``), each judged
from the objects as they are now, so that a create, an update and a refresh all ask the same question.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from jsonpath_ng.ext.parser import parse as parse_jsonpath

from sandbox.providers.plugin import CheckFailure, Properties

SKIP = "pulumi.com/skipAwait"
WAIT_FOR = "pulumi.com/waitFor"
TIMEOUT = "pulumi.com/timeoutSeconds"

LOG_LINES = 10
SETTLE = 10.0
"""Seconds that a Service's endpoints must stay as they are."""


@dataclass(frozen=True)
class Readiness:
    """What one look at an object shows."""

    ready: bool
    status: str = ""
    """What it is waiting for, for the progress line."""
    reasons: list[str] = field(default_factory=list)
    """What is wrong, should it end here."""
    hopeless: bool = False
    """Waiting longer changes nothing."""
    settle: float = 0.0
    """Seconds for which it must look exactly like this before it counts."""
    seen: Any = None
    """What must not change while it settles."""


class Related(Protocol):
    """What a judgement may look up besides the object itself."""

    def children(self, api_version: str, kind: str, owner: Properties) -> list[Properties]:
        """List what the owner owns."""

    def logs(self, pod: Properties, container: str, lines: int, *, previous: bool = False) -> str:
        """Give the end of a container's log."""

    def endpoints(self, service: Properties) -> list[Properties]:
        """Give the endpoints in a Service's slices."""


Judge = Callable[[Related, Properties], Readiness]


def annotations(thing: Properties) -> Properties:
    """Give the annotations, empty where there are none."""
    found = thing.get("metadata", {}).get("annotations", {})
    return found if isinstance(found, dict) else {}


def is_true(thing: Properties, annotation: str) -> bool:
    """Tell whether an annotation says true."""
    return str(annotations(thing).get(annotation, "")).lower() == "true"


def conditions(live: Properties) -> dict[str, Properties]:
    """Give ``status.conditions`` by type."""
    return {one["type"]: one for one in live.get("status", {}).get("conditions", [])}


def _explain(condition: Properties) -> str:
    return f"[{condition.get('reason', condition['type'])}] {condition.get('message', '')}".strip()


# --- pods ------------------------------------------------------------------------------------------------------------

_STARTING = {"ContainerCreating", "PodInitializing"}


def pod_problems(related: Related, pod: Properties) -> Iterator[str]:
    """Say why a pod is not ready: scheduling, images, configuration, crashes with the last log lines, gates."""
    name = pod["metadata"]["name"]
    told = False
    status = pod.get("status", {})
    for one in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
        waiting = one.get("state", {}).get("waiting")
        ended = one.get("state", {}).get("terminated") or one.get("lastState", {}).get("terminated")
        who = f"pod {name}, container {one['name']}"
        if one.get("ready") or (ended and ended.get("exitCode") == 0 and not waiting):
            continue
        if waiting and waiting.get("reason") not in _STARTING:
            told = True
            yield f"{who}: [{waiting.get('reason')}] {waiting.get('message', '')}".strip()
        if ended and ended.get("exitCode") != 0:
            told = True
            text = f"{who}: ended with exit code {ended.get('exitCode')} [{ended.get('reason', 'Error')}]"
            yield f"{text} {ended.get('message', '')}".strip()
            previous = not one.get("state", {}).get("terminated")
            # The official provider shows the message alone; the log is for containers that leave none.
            if not ended.get("message") and (log := related.logs(pod, one["name"], LOG_LINES, previous=previous)):
                yield f"{who}, last lines of its log:\n{log}"
    found = conditions(pod)
    scheduled, ready = found.get("PodScheduled", {}), found.get("Ready", {})
    if scheduled.get("status") == "False":
        yield f"pod {name}: {_explain(scheduled)}"
    elif ready.get("status") == "False" and ready.get("message") and not told and ready.get("reason") != "PodCompleted":
        yield f"pod {name}: {_explain(ready)}"
    elif status.get("phase") == "Failed" and not told:
        yield f"pod {name}: [{status.get('reason', 'Failed')}] {status.get('message', '')}".strip()


def _pod(related: Related, live: Properties) -> Readiness:
    phase = live.get("status", {}).get("phase")
    if phase == "Succeeded" or conditions(live).get("Ready", {}).get("status") == "True":
        return Readiness(ready=True)
    return Readiness(
        ready=False,
        status=f"Waiting for the Pod to be ready ({phase or 'not scheduled'})",
        reasons=list(pod_problems(related, live)),
        hopeless=phase == "Failed",
    )


# --- workloads -------------------------------------------------------------------------------------------------------

_REVISION = "deployment.kubernetes.io/revision"


def _observed(live: Properties) -> bool:
    return bool(live.get("status", {}).get("observedGeneration", 0) >= live["metadata"].get("generation", 0))


def _deployment(related: Related, live: Properties) -> Readiness:
    if not _observed(live):
        return Readiness(ready=False, status="Waiting for the Deployment controller")
    revision = annotations(live).get(_REVISION)
    sets = related.children("apps/v1", "ReplicaSet", live)
    newest = next((one for one in sets if annotations(one).get(_REVISION) == revision), None)
    wanted = newest["spec"].get("replicas", 1) if newest else live.get("spec", {}).get("replicas", 1)
    ready = newest.get("status", {}).get("readyReplicas", 0) if newest else 0
    found = conditions(live)
    progressing, available = found.get("Progressing"), found.get("Available", {}).get("status") == "True"
    # Without a progress deadline the controller sets no condition Progressing.
    rolled_out = progressing is None or (
        progressing["status"] == "True" and progressing.get("reason") == "NewReplicaSetAvailable"
    )
    if newest is not None and ready >= wanted and available and rolled_out:
        return Readiness(ready=True)
    reasons = [_explain(one) for one in found.values() if one["type"] == "ReplicaFailure" and one["status"] == "True"]
    hopeless = progressing is not None and progressing["status"] == "False"
    if progressing is not None and hopeless:
        reasons.append(_explain(progressing))
    if "Available" in found and not available:
        reasons.append(_explain(found["Available"]))
    elif not hopeless:
        reasons.append(f"only {ready} of {wanted} Pods of the new ReplicaSet are ready")
    for pod in related.children("v1", "Pod", newest) if newest else []:
        reasons.extend(pod_problems(related, pod))
    return Readiness(
        ready=False,
        status=f"Waiting for app ReplicaSet to be available ({ready}/{wanted} Pods available)",
        reasons=reasons,
        hopeless=hopeless,
    )


def _pods_of(related: Related, live: Properties) -> list[str]:
    return [text for pod in related.children("v1", "Pod", live) for text in pod_problems(related, pod)]


def _stateful_set(related: Related, live: Properties) -> Readiness:
    status, wanted = live.get("status", {}), live.get("spec", {}).get("replicas", 1)
    ready = status.get("readyReplicas", 0)
    updated = status.get("updateRevision") == status.get("currentRevision") or wanted == 0
    if _observed(live) and updated and ready >= wanted:
        return Readiness(ready=True)
    text = f"Waiting for the StatefulSet's Pods ({ready}/{wanted} ready)"
    return Readiness(ready=False, status=text, reasons=[text, *_pods_of(related, live)])


def _daemon_set(related: Related, live: Properties) -> Readiness:
    status = live.get("status", {})
    wanted, ready = status.get("desiredNumberScheduled", 0), status.get("numberReady", 0)
    if _observed(live) and status.get("updatedNumberScheduled", 0) >= wanted and ready >= wanted:
        return Readiness(ready=True)
    text = f"Waiting for the DaemonSet's Pods ({ready}/{wanted} ready)"
    return Readiness(ready=False, status=text, reasons=[text, *_pods_of(related, live)])


def _job(related: Related, live: Properties) -> Readiness:
    found = conditions(live)
    if found.get("Complete", {}).get("status") == "True":
        return Readiness(ready=True)
    failed = found.get("Failed", {})
    hopeless = failed.get("status") == "True"
    status = live.get("status", {})
    text = f"Waiting for the Job to complete ({status.get('active', 0)} active, {status.get('failed', 0)} failed)"
    reasons = [_explain(failed)] if hopeless else [text]
    return Readiness(ready=False, status=text, reasons=[*reasons, *_pods_of(related, live)], hopeless=hopeless)


# --- the rest --------------------------------------------------------------------------------------------------------


def _service(related: Related, live: Properties) -> Readiness:
    spec = live.get("spec", {})
    if spec.get("type") == "LoadBalancer" and not live.get("status", {}).get("loadBalancer", {}).get("ingress"):
        text = "Waiting for the load balancer's address"
        return Readiness(ready=False, status=text, reasons=["the Service was not given an address"])
    if spec.get("type") == "ExternalName" or spec.get("clusterIP") == "None" or not spec.get("selector"):
        return Readiness(ready=True)
    endpoints = related.endpoints(live)
    unready = [
        one.get("targetRef", {}).get("name", one["addresses"][0])
        for one in endpoints
        if one["conditions"].get("ready") is False and not one["conditions"].get("terminating")
    ]
    if unready:
        reasons = [f"the Service selects Pods that are not ready: {', '.join(sorted(unready))}"]
        return Readiness(ready=False, status=f"Waiting for {len(unready)} unready endpoints", reasons=reasons)
    return Readiness(ready=True, status="Waiting for the endpoints to settle", settle=SETTLE, seen=endpoints)


def _ingress(_: Related, live: Properties) -> Readiness:
    if live.get("status", {}).get("loadBalancer", {}).get("ingress"):
        return Readiness(ready=True)
    text = "Waiting for the Ingress to get an address"
    return Readiness(ready=False, status=text, reasons=["no controller gave the Ingress an address"])


def _established(_: Related, live: Properties) -> Readiness:
    found = conditions(live)
    if found.get("Established", {}).get("status") == "True":
        return Readiness(ready=True)
    reasons = [_explain(one) for one in found.values() if one["status"] == "False"]
    return Readiness(ready=False, status="Waiting for the definition to be established", reasons=reasons)


JUDGES: dict[tuple[str, str], Judge] = {
    ("", "Pod"): _pod,
    ("", "Service"): _service,
    ("apps", "DaemonSet"): _daemon_set,
    ("apps", "Deployment"): _deployment,
    ("apps", "StatefulSet"): _stateful_set,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): _established,
    ("batch", "Job"): _job,
    ("networking.k8s.io", "Ingress"): _ingress,
}
"""By group and kind; what is not here is ready as soon as it exists."""


# --- pulumi.com/waitFor ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Wish:
    text: str
    holds: Callable[[Properties], bool]


def _condition(text: str, expression: str) -> _Wish:
    kind, _, wanted = expression.partition("=")
    wanted = wanted or "True"
    return _Wish(text, lambda live: str(conditions(live).get(kind, {}).get("status", "")).lower() == wanted.lower())


def _path(text: str, expression: str) -> _Wish:
    # A value follows the first "=" that is outside of braces, brackets and quotes.
    parts = re.fullmatch(r"""((?:\{[^{}]*\}|\[[^\[\]]*\]|[^={}\[\]])+)(?:=(.*))?""", expression)
    if parts is None:
        raise ValueError("not an expression")
    path, wanted = parts[1].strip("{}"), parts[2]
    path = path if path.startswith("$") else "$" + (path if path.startswith((".", "[")) else f".{path}")
    finder = parse_jsonpath(path)

    def holds(live: Properties) -> bool:
        found = [match.value for match in finder.find(live)]
        if wanted is None:
            return bool(found)
        return any((value if isinstance(value, str) else json.dumps(value)) == wanted for value in found)

    return _Wish(text, holds)


def wishes(text: str) -> Judge:
    """Read the annotation: ``condition=Type[=status]``, ``jsonpath=expression[=value]``, or a JSON array of them.

    Raises `CheckFailure` if it is none of these.
    """
    try:
        each = json.loads(text) if text.lstrip().startswith("[") else [text]
        parsed = []
        for one in each:
            kind, _, expression = one.partition("=")
            if not expression:
                raise ValueError(f"nothing after {kind}")
            parsed.append({"condition": _condition, "jsonpath": _path}[kind](one, expression))
        if not parsed:
            raise ValueError("nothing to wait for")
    except Exception as error:
        raise CheckFailure(
            f'metadata.annotations["{WAIT_FOR}"]',
            f"{text!r} is not condition=Type[=status], jsonpath=expression[=value] or a JSON array of them ({error})",
        ) from error

    def judge(_: Related, live: Properties) -> Readiness:
        missing = [wish.text for wish in parsed if not wish.holds(live)]
        if not missing:
            return Readiness(ready=True)
        states = [f"{name}={one['status']} {_explain(one)}" for name, one in conditions(live).items()]
        reasons = [f"did not come true: {wish}" for wish in missing] + states
        return Readiness(ready=False, status=f"Waiting for {', '.join(missing)}", reasons=reasons)

    return judge


def judge_of(group: str, kind: str, inputs: Properties) -> Judge | None:
    """Give what decides on readiness: nothing, what the annotation says, or what the kind needs."""
    if is_true(inputs, SKIP):
        return None
    if text := annotations(inputs).get(WAIT_FOR):
        return wishes(text)
    return JUDGES.get((group, kind))
