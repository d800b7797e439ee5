"""TargetGroupBindings: pods' addresses into target groups, targets' health into pods' readiness gates.

As the AWS Load Balancer Controller does it for target type ``ip``. The
security-group rules of ``spec.networking`` are ignored: nothing here is behind one.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sandbox.controllers.cluster import (
    ENDPOINT_SLICE,
    MERGE,
    POD,
    SERVICE,
    STRATEGIC,
    TARGET_GROUP_BINDING,
    ApiError,
    Cluster,
    Informer,
    Key,
    Object,
    Worker,
    key_of,
    now,
    version_of,
)

if TYPE_CHECKING:
    from mypy_boto3_elbv2 import ElasticLoadBalancingv2Client
    from mypy_boto3_elbv2.type_defs import TargetDescriptionTypeDef

log = logging.getLogger("target-group-bindings")

FINALIZER = "elbv2.k8s.aws/resources"
_SERVICE_NAME = "kubernetes.io/service-name"
_POLL = 1.0
"""Seconds until health is asked for again while a gate waits (the real controller: 15)."""


@dataclass(frozen=True, order=True)
class Target:
    """What a target group registers for target type ``ip``."""

    ip: str
    port: int


@dataclass(frozen=True)
class Health:
    """One answer of DescribeTargetHealth."""

    state: str
    reason: str = ""
    description: str = ""


REGISTERING = Health("initial", "Elb.RegistrationInProgress", "Target registration is in progress")
BINDING_DELETED = Health("healthy", "", "Target Group Binding is deleted")


@dataclass(frozen=True)
class Plan:
    """What makes a target group and its pods right; ``pending`` while a gate waits for a target's health."""

    register: list[Target] = field(default_factory=list)
    deregister: list[Target] = field(default_factory=list)
    conditions: list[tuple[Object, Object]] = field(default_factory=list)
    """Pods and the condition that each is to get."""
    pending: bool = False


def gate(binding: str) -> str:
    """Return the condition type of a binding's readiness gate."""
    return f"target-health.elbv2.k8s.aws/{binding}"


def endpoints(
    binding: Object, service: Object | None, slices: Iterable[Object], pods: Mapping[Key, Object]
) -> dict[Target, Object] | None:
    """Return the targets that the binding wants, each with its pod; None when the Service or its port is missing.

    A pod counts when its endpoint is ready, or when nothing but a readiness gate keeps it from
    that: a gate turns true only for a registered target. A pod that is ending never counts.
    """
    port = _service_port(binding, service)
    if port is None:
        return None
    namespace, _ = key_of(binding)
    wanted: dict[Target, Object] = {}
    for piece in slices:
        numbers = [p["port"] for p in piece.get("ports") or [] if not port.get("name") or p.get("name") == port["name"]]
        for endpoint in piece.get("endpoints") or []:
            reference = endpoint.get("targetRef") or {}
            pod = pods.get((namespace, reference.get("name", ""))) if reference.get("kind") == "Pod" else None
            if pod is not None and _counts(endpoint.get("conditions") or {}, pod):
                wanted |= {Target(endpoint["addresses"][0], number): pod for number in numbers}
    return wanted


def plan(wanted: Mapping[Target, Object], registered: Mapping[Target, Health], condition_type: str) -> Plan:
    """Compare the wanted targets with the group's; a draining one counts as gone: its address may come again."""
    present = {target: health for target, health in registered.items() if health.state != "draining"}
    changes = []
    pending = False
    for target, pod in wanted.items():
        if has_gate(pod, condition_type):
            health = present.get(target, REGISTERING)
            pending |= health.state != "healthy"
            if changed := condition(pod, condition_type, health):
                changes.append((pod, changed))
    return Plan(sorted(wanted.keys() - present.keys()), sorted(present.keys() - wanted.keys()), changes, pending)


def condition(pod: Object, condition_type: str, health: Health) -> Object | None:
    """Return the gate's condition for a target's health, None when the pod has it already.

    Only ``healthy`` is True; ``unused``, the state of a group that no rule names, never is.
    """
    status = "True" if health.state == "healthy" else "False"
    wanted = {"type": condition_type, "status": status, "reason": health.reason, "message": health.description}
    old = _condition(pod, condition_type)
    if old and all(old.get(name, "") == value for name, value in wanted.items()):
        return None
    since = old["lastTransitionTime"] if old and old["status"] == status else now()
    return {**wanted, "lastTransitionTime": since}


def has_gate(pod: Object, condition_type: str) -> bool:
    """Say whether the pod waits for this condition before it is ready."""
    return any(g["conditionType"] == condition_type for g in pod["spec"].get("readinessGates") or [])


def selects(service: Object, pod: Object) -> bool:
    """Say whether the Service's selector matches the pod; an empty one matches nothing."""
    selector = service["spec"].get("selector") or {}
    labels = pod["metadata"].get("labels") or {}
    return bool(selector) and all(labels.get(name) == value for name, value in selector.items())


def _service_port(binding: Object, service: Object | None) -> Object | None:
    reference = binding["spec"]["serviceRef"]["port"]
    for port in service["spec"].get("ports") or [] if service else []:
        if reference in (port["port"], port.get("name")):
            found: Object = port
            return found
    return None


def _counts(conditions: Mapping[str, bool | None], pod: Object) -> bool:
    if conditions.get("terminating") or "deletionTimestamp" in pod["metadata"]:
        return False
    containers_ready = _condition(pod, "ContainersReady")
    # An absent `ready` means ready, by the EndpointSlice API.
    return conditions.get("ready") is not False or bool(containers_ready and containers_ready["status"] == "True")


def _condition(pod: Object, condition_type: str) -> Object | None:
    conditions: list[Object] = pod.get("status", {}).get("conditions") or []
    return next((c for c in conditions if c["type"] == condition_type), None)


class TargetGroupBindings:
    """The controller.

    Once every gate is true, a binding is left alone until its endpoints or its spec change, so targets removed
    behind the controller's back stay away. The real one remembers that in an annotation, this
    one in memory: a restart registers them again.
    """

    def __init__(self, cluster: Cluster, elbv2: "ElasticLoadBalancingv2Client") -> None:
        self._cluster = cluster
        self._elbv2 = elbv2
        self._settled: dict[Key, tuple[object, ...]] = {}
        self.worker = Worker("target-group-bindings", self.reconcile, threads=3)
        self.bindings = Informer(cluster, TARGET_GROUP_BINDING, lambda item: self.worker.add(key_of(item)))
        self.services = Informer(cluster, SERVICE, self._wake_namespace)
        self.slices = Informer(cluster, ENDPOINT_SLICE, self._wake_namespace)
        self.pods = Informer(cluster, POD, self._wake_namespace)
        self.workers = [self.worker]
        self.informers = [self.services, self.slices, self.pods, self.bindings]

    def reconcile(self, key: Key) -> float | None:
        """Make the target group and the gates of one binding right."""
        if not all(informer.connected for informer in self.informers):
            return _POLL  # half the picture would deregister the other half
        binding = self.bindings.get(key)
        if binding is None:
            self._settled.pop(key, None)
            return None
        finalizers = binding["metadata"].get("finalizers") or []
        if "deletionTimestamp" in binding["metadata"]:
            if FINALIZER in finalizers:
                self._clean(binding)
                self._set_finalizers(binding, [name for name in finalizers if name != FINALIZER])
            return None
        if FINALIZER not in finalizers:
            self._set_finalizers(binding, [*finalizers, FINALIZER])
            return None  # the change comes back as an event

        wanted = self._wanted(binding)
        if wanted is None:
            reference = binding["spec"]["serviceRef"]
            message = (
                f"service {reference['name']!r} with port {reference['port']!r} is not found: all targets deregistered"
            )
            self._cluster.event(TARGET_GROUP_BINDING, binding, "BackendNotFound", message, warning=True)
            log.warning("%s/%s: %s", *key, message)
            self._clean(binding)
            self._observe(binding)
            return None

        checkpoint = (
            binding["metadata"]["generation"],
            frozenset((t, p["metadata"]["uid"]) for t, p in wanted.items()),
        )
        if self._settled.get(key) == checkpoint:
            return None
        self._settled.pop(key, None)
        group = binding["spec"]["targetGroupARN"]
        todo = plan(wanted, self._registered(group), gate(key[1]))
        self._deregister(binding, todo.deregister)
        if todo.register:
            log.info("%s/%s: register %s", *key, _text(todo.register))
            self._elbv2.register_targets(TargetGroupArn=group, Targets=_described(todo.register))
        for pod, changed in todo.conditions:
            self._set_condition(pod, changed)
        self._observe(binding)
        if todo.pending:
            return _POLL
        self._settled[key] = checkpoint
        return None

    def _wanted(self, binding: Object) -> dict[Target, Object] | None:
        namespace, _ = key_of(binding)
        name = binding["spec"]["serviceRef"]["name"]
        slices = [s for s in self.slices.items(namespace) if s["metadata"].get("labels", {}).get(_SERVICE_NAME) == name]
        pods = {key_of(pod): pod for pod in self.pods.items(namespace)}
        return endpoints(binding, self.services.get((namespace, name)), slices, pods)

    def _clean(self, binding: Object) -> None:
        """Deregister all; pods that wait for this binding's gate must not wait for ever."""
        self._settled.pop(key_of(binding), None)
        try:
            registered = self._registered(binding["spec"]["targetGroupARN"])
            self._deregister(binding, sorted(t for t, health in registered.items() if health.state != "draining"))
        except self._elbv2.exceptions.TargetGroupNotFoundException:
            pass  # nothing to deregister from
        namespace, name = key_of(binding)
        for pod in self.pods.items(namespace):
            if has_gate(pod, gate(name)) and (changed := condition(pod, gate(name), BINDING_DELETED)):
                self._set_condition(pod, changed)

    def _registered(self, group: str) -> dict[Target, Health]:
        answer = self._elbv2.describe_target_health(TargetGroupArn=group)
        found = {}
        for item in answer["TargetHealthDescriptions"]:
            health = item["TargetHealth"]
            found[Target(item["Target"]["Id"], item["Target"]["Port"])] = Health(
                health["State"], health.get("Reason", ""), health.get("Description", "")
            )
        return found

    def _deregister(self, binding: Object, targets: list[Target]) -> None:
        if targets:
            log.info("%s/%s: deregister %s", *key_of(binding), _text(targets))
            group = binding["spec"]["targetGroupARN"]
            self._elbv2.deregister_targets(TargetGroupArn=group, Targets=_described(targets))

    def _set_condition(self, pod: Object, changed: Object) -> None:
        log.info("%s/%s: %s %s %s", *key_of(pod), changed["type"], changed["status"], changed["reason"])
        # The uid is a precondition: a pod of the same name that came after it has its own target.
        body = {"metadata": {"uid": pod["metadata"]["uid"]}, "status": {"conditions": [changed]}}
        try:
            self._cluster.patch(POD, key_of(pod), body, status=True, how=STRATEGIC)
        except ApiError as error:
            if error.status not in (404, 409):  # gone, or replaced
                raise

    def _set_finalizers(self, binding: Object, finalizers: list[str]) -> None:
        body = {"metadata": {"finalizers": finalizers, "resourceVersion": version_of(binding)}}
        try:
            self._cluster.patch(TARGET_GROUP_BINDING, key_of(binding), body, how=MERGE)
        except ApiError as error:
            if error.status not in (404, 409):  # gone, or changed: the event of that is on its way
                raise

    def _observe(self, binding: Object) -> None:
        generation = binding["metadata"]["generation"]
        if (binding.get("status") or {}).get("observedGeneration") != generation:
            body = {"status": {"observedGeneration": generation}}
            self._cluster.patch(TARGET_GROUP_BINDING, key_of(binding), body, status=True)

    def _wake_namespace(self, item: Object) -> None:
        for binding in self.bindings.items(key_of(item)[0]):
            self.worker.add(key_of(binding))


def _described(targets: list[Target]) -> "list[TargetDescriptionTypeDef]":
    return [{"Id": target.ip, "Port": target.port} for target in targets]


def _text(targets: list[Target]) -> str:
    return ", ".join(f"{target.ip}:{target.port}" for target in targets)
