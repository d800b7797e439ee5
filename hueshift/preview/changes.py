"""What an update would do, read from the engine's events: pure, so that a test needs no engine."""

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from components.model import Color
from hueshift.report import RefusedError

_STACK: Final = "pulumi:pulumi:Stack"
_SPLIT: Final = "hueshift:traffic_split:TrafficSplit"
_SERVICE: Final = "hueshift:service:BlueGreenService"
_UNKNOWN: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""How the engine writes text that only the update will know (``UnknownStringValue`` in its SDK)."""
SECRET: Final = "[secret]"
_DEPLOYMENT: Final = "kubernetes:apps/v1:Deployment"
_RECORD: Final = "aws:route53/record:Record"
_BALANCER: Final = "aws:lb/loadBalancer:LoadBalancer"
_RULE: Final = "aws:lb/listenerRule:ListenerRule"
_GROUPS: Final = "actions[0].forward.targetGroups"
_STICKY: Final = "actions[0].forward.stickiness.enabled"
"""Goes with the weights: clients stay with a color only while both have some."""
_HEADER: Final = "actions[0].targetGroupArn"
"""Of the rule of the canary header: goes with the weights where versions do not order."""
_STEP: Final = re.compile(r'\["((?:[^"\\]|\\.)*)"\]|\[(\d+)\]|([^.\[\]]+)')
_NOISE: Final = ("an unhandled error occurred: program exited", "preview failed")
_LONG: Final = 160
"""Characters of one value: an image with its digest is shown whole, a policy document is not."""

SERVES: Final = frozenset(
    {
        "aws:ec2/securityGroup:SecurityGroup",
        "aws:lb/listener:Listener",
        _RULE,
        _BALANCER,
        "aws:lb/targetGroup:TargetGroup",
        _DEPLOYMENT,
        "kubernetes:core/v1:Namespace",
        "kubernetes:core/v1:Service",
        "kubernetes:elbv2.k8s.aws/v1beta1:TargetGroupBinding",
    }
)
"""What requests pass through: without it they fail."""


class Op(StrEnum):
    """What happens to a resource."""

    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    DELETE = "delete"


@dataclass(frozen=True, kw_only=True)
class Value:
    """One property that changes, as text; None where it is not there."""

    path: str
    before: str | None
    after: str | None
    replaces: bool
    """Whether the resource cannot change it and is made anew."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """One resource that an update would touch."""

    op: Op
    name: str
    type: str
    """Its last part, such as ListenerRule."""
    group: str
    """The component of the program that it belongs to, such as the service."""
    values: Sequence[Value] = ()
    traffic_only: bool = False
    """Whether nothing changes but weights of a production rule, and what goes with them."""
    downtime: str | None = None
    """What users notice, if they do."""
    restarts: str | None = None
    """The color that serves users and whose pods are replaced, if it is one."""


@dataclass(frozen=True, kw_only=True)
class Service:
    """One service before and after; None where it is not there, empty where nothing is known."""

    name: str
    url: str
    before: Mapping[str, int] | None
    """Percent of requests by color, as the load balancer has them; as the state says if it was not asked."""
    after: Mapping[str, int] | None
    state: Mapping[str, int] | None = None
    """What the state says, if the load balancer has something else."""
    unasked: str | None = None
    """Why the load balancer was not asked."""
    ran: Mapping[str, str] = field(default_factory=dict)
    """Version by color before."""
    runs: Mapping[str, str] = field(default_factory=dict)
    header: tuple[str | None, str | None] = (None, None)
    """The color that the canary header reaches, before and after."""

    @property
    def stays(self) -> bool:
        """Whether the service is there before and after."""
        return self.before is not None and self.after is not None

    @property
    def moves(self) -> bool:
        """Whether a color gets another share; one that comes or goes without any changes nothing."""
        before, after = self.before or {}, self.after or {}
        return not self.stays or any(before.get(color, 0) != after.get(color, 0) for color in {*before, *after})


@dataclass(frozen=True, kw_only=True)
class Violation:
    """One finding of the policy pack."""

    policy: str
    mandatory: bool
    resource: str
    problem: str
    remedy: str


@dataclass(frozen=True, kw_only=True)
class Report:
    """The preview of one stack."""

    stack: str
    services: Sequence[Service] = ()
    changes: Sequence[Change] = ()
    unchanged: int = 0
    policies: int = 0
    """How many were asked."""
    violations: Sequence[Violation] = ()
    warnings: Sequence[str] = ()
    errors: Sequence[str] = ()
    """Why there is no whole preview."""

    @property
    def failed(self) -> bool:
        """Whether an update would be refused."""
        return bool(self.errors) or any(violation.mandatory for violation in self.violations)

    @property
    def not_traffic(self) -> Sequence[Change]:
        """What a flip would touch besides the production rules."""
        return [change for change in self.changes if not change.traffic_only]


@dataclass(kw_only=True)
class _Resource:
    """What the events say of one resource."""

    urn: str
    ops: list[str] = field(default_factory=list)
    """In their order; a replacement has several."""
    id: str = ""
    """As the cloud calls it; empty before it is made."""
    old: Mapping[str, Any] = field(default_factory=dict)
    new: Mapping[str, Any] = field(default_factory=dict)
    diff: Mapping[str, Any] = field(default_factory=dict)
    keys: Sequence[str] = ()

    @property
    def name(self) -> str:
        return self.urn.rpartition("::")[2]

    @property
    def type(self) -> str:
        return self.urn.split("::")[2].rpartition("$")[2]

    @property
    def parent(self) -> str:
        return str(self.new.get("parent") or self.old.get("parent") or "")

    @property
    def op(self) -> Op | None:
        for op in (Op.REPLACE, Op.CREATE, Op.UPDATE, Op.DELETE):
            if op in self.ops:
                return op
        # An import brings a resource under the program, as a creation does.
        return Op.CREATE if "import" in self.ops else None


Ask = Callable[[str, Mapping[str, Color]], Mapping[Color, int]]
"""Takes a rule's ARN and its target groups' colors by ARN; returns percent by color, or raises ``RefusedError``."""


def read(stack: str, events: Iterable[Mapping[str, Any]], ask: Ask) -> Report:
    """Return what the streamed events of ``pulumi preview --json`` say, and ``ask`` of the traffic before."""
    resources: dict[str, _Resource] = {}
    outputs: dict[str, Mapping[str, Any]] = {"old": {}, "new": {}}
    warnings: list[str] = []
    errors: list[str] = []
    violations: list[Violation] = []
    asked: set[str] = set()
    for event in events:
        if resource := event.get("resourcePreEvent"):
            _note(resources, resource["metadata"])
        elif (done := event.get("resOutputsEvent")) and done["metadata"]["type"] == _STACK:
            outputs = {key: (done["metadata"].get(key) or {}).get("outputs") or {} for key in outputs}
        elif (said := event.get("diagnosticEvent")) and said["severity"] in ("warning", "error"):
            (errors if said["severity"] == "error" else warnings).append(_said(said))
        elif found := event.get("policyEvent"):
            violations.append(_violation(found))
        for kind in ("policyAnalyzeSummaryEvent", "policyAnalyzeStackSummaryEvent"):
            asked |= set((event.get(kind) or {}).get("passed") or ())
    services = list(_services(resources.values(), outputs, ask))
    shares = {service.name: service for service in services}
    changes = [
        _change(resource, resource.op, resources, shares)
        for resource in resources.values()
        if resource.op is not None and (resource.new or resource.old).get("custom") and not _is_provider(resource)
    ]
    told = [error for error in errors if not error.startswith(_NOISE)]
    return Report(
        stack=stack,
        services=services,
        changes=sorted(changes, key=lambda change: (change.group not in shares, change.group, *_weight(change))),
        unchanged=sum(
            set(resource.ops) <= {"same", "refresh"} and bool(resource.new.get("custom")) and not _is_provider(resource)
            for resource in resources.values()
        ),
        policies=len(asked | {violation.policy for violation in violations}),
        violations=sorted(violations, key=lambda violation: (violation.policy, violation.resource, violation.problem)),
        warnings=list(dict.fromkeys(warnings)),
        errors=told or ([] if any(violation.mandatory for violation in violations) else errors),
    )


def _weight(change: Change) -> tuple[bool, int, str]:
    """Order changes by what a reader must not miss; the engine's own order differs from run to run."""
    return not change.traffic_only, [Op.REPLACE, Op.DELETE, Op.UPDATE, Op.CREATE].index(change.op), change.name


def _note(resources: dict[str, _Resource], step: Mapping[str, Any]) -> None:
    resource = resources.setdefault(step["urn"], _Resource(urn=step["urn"]))
    resource.ops.append(step["op"])
    resource.old = step.get("old") or resource.old
    resource.new = step.get("new") or resource.new
    resource.id = resource.old.get("id") or resource.new.get("id") or ""
    # Those of the program's own step: a refresh before it has a difference of another kind.
    resource.diff = step.get("detailedDiff") or {key: {} for key in step.get("diffs") or ()} or resource.diff
    resource.keys = step.get("keys") or resource.keys


def _is_provider(resource: _Resource) -> bool:
    return resource.type.startswith("pulumi:providers:")


def _said(event: Mapping[str, Any]) -> str:
    text = str(event["message"]).strip()
    name = str(event.get("urn") or "").rpartition("::")[2]
    return f"{name}: {text}" if name and not text.startswith(name) else text


def _violation(event: Mapping[str, Any]) -> Violation:
    remedy, _, problem = str(event["message"]).strip().partition("\n")
    return Violation(
        policy=event["policyName"],
        mandatory=event["enforcementLevel"] == "mandatory",
        resource=str(event.get("resourceUrn") or "").rpartition("::")[2],
        problem=problem.strip(),
        remedy=remedy.strip(),
    )


def _services(resources: Iterable[_Resource], outputs: Mapping[str, Mapping[str, Any]], ask: Ask) -> Iterator[Service]:
    """Yield the services by name, with the weights that their production rules have and get."""
    old, new = (outputs[key].get("services") or {} for key in ("old", "new"))
    for resource in sorted(resources, key=lambda resource: resource.name):
        if not _is_production_rule(resource):
            continue
        name = resource.name.removesuffix("-traffic-production")
        was, will = old.get(name) or {}, new.get(name) or {}
        stays = "delete" not in resource.ops
        groups = dict(zip(_arns(resource.new), _colors(will or was), strict=False))
        state = _weights(resource.old, was, groups) if "create" not in resource.ops else None
        before, unasked = state, None
        if state is not None and resource.id:
            named = {arn: groups.get(arn, color) for color, arn in zip(_colors(was), _arns(resource.old), strict=False)}
            try:
                before = _sorted(ask(resource.id, named))
            except RefusedError as error:
                unasked = str(error)
        yield Service(
            name=name,
            url=(will if stays else was).get("url", ""),
            before=before,
            after=_weights(resource.new, will or was, {}) if stays else None,
            state=None if state == before else state,
            unasked=unasked,
            ran=was.get("versions") or {},
            runs=will.get("versions") or {} if stays else {},
            header=(was.get("canaryHeader"), will.get("canaryHeader")),
        )


def _is_production_rule(resource: _Resource) -> bool:
    return _SPLIT in resource.urn and resource.name.endswith("-traffic-production")


def _colors(output: Mapping[str, Any]) -> list[Color]:
    return [color for color in Color if color in output.get("weights", Color)]


def _groups(state: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return _at(state, f"inputs.{_GROUPS}") or []


def _arns(state: Mapping[str, Any]) -> list[str]:
    return [group["arn"] for group in _groups(state)]


def _weights(state: Mapping[str, Any], output: Mapping[str, Any], known: Mapping[str, Color]) -> Mapping[str, int]:
    """Return percent by color of a production rule.

    The program writes the groups in color order, and a refresh in the order of the API: ``known`` tells their colors.
    """
    groups = _groups(state)
    total = sum(int(group["weight"]) for group in groups) or 1
    return _sorted(
        {
            known.get(group["arn"], color): round(100 * int(group["weight"]) / total)
            for color, group in zip(_colors(output), groups, strict=False)
        }
    )


def _sorted(shares: Mapping[Color, int]) -> Mapping[str, int]:
    return {color.value: shares[color] for color in sorted(shares)}


def _change(resource: _Resource, op: Op, resources: Mapping[str, _Resource], services: Mapping[str, Service]) -> Change:
    group, kind = _group(resource, resources)
    service = services.get(group) if kind == _SERVICE else None
    moves = _is_production_rule(resource)
    traffic_only = (
        op is Op.UPDATE
        and bool(resource.diff)
        and (
            all(path.startswith(_GROUPS) or path == _STICKY for path in resource.diff)
            and set(_arns(resource.old)) == set(_arns(resource.new))
            if moves
            else _SPLIT in resource.urn and set(resource.diff) == {_HEADER}
        )
    )
    if moves and traffic_only and service:
        values = list(_moved(service))
    else:
        values = list(_values(resource)) if op in (Op.UPDATE, Op.REPLACE) else []
    hosts = {service.url.removeprefix("https://") for service in services.values() if service.stays}
    return Change(
        op=op,
        name=resource.name,
        type=resource.type.rpartition(":")[2],
        group=group,
        values=values,
        traffic_only=traffic_only,
        downtime=_downtime(resource, op, service, hosts),
        restarts=_restarts(resource, op, service),
    )


def _group(resource: _Resource, resources: Mapping[str, _Resource]) -> tuple[str, str]:
    """Return name and type of the topmost component above a resource, or its own."""
    while (above := resources.get(resource.parent)) and above.type != _STACK:
        resource = above
    return resource.name, resource.type


def _values(resource: _Resource) -> Iterator[Value]:
    for path, how in sorted(resource.diff.items()):
        # What drifted is in the outputs, what the program changes in the inputs.
        order = ("inputs", "outputs") if how.get("inputDiff", True) else ("outputs", "inputs")
        before, after = (
            next((found for part in order if (found := _at(state.get(part) or {}, path)) is not None), None)
            for state in (resource.old, resource.new)
        )
        yield Value(
            path=path,
            before=_text(before),
            after=_text(after),
            replaces=str(how.get("diffKind", "")).endswith("-replace") or path in resource.keys,
        )


def _moved(service: Service) -> Iterator[Value]:
    """Yield the weights by color: the paths of the difference count target groups."""
    before, after = service.before or {}, service.after or {}
    for color in dict.fromkeys([*before, *after]):
        was, will = (str(weights.get(color, 0)) for weights in (before, after))
        if was != will:
            yield Value(path=f"weight of {color}", before=was, after=will, replaces=False)


def _at(values: object, path: str) -> Any:  # noqa: ANN401 - what JSON holds
    """Return what is at a path such as ``spec.containers[0].labels["a.b/c"]``; None where nothing is.

    What is inside of a secret is one, and what is inside of something unknown is unknown.
    """
    for match in _STEP.finditer(path):
        if values in (SECRET, _UNKNOWN):
            break
        quoted, index, plain = match.groups()
        if index is not None:
            values = values[int(index)] if isinstance(values, list) and int(index) < len(values) else None
        else:
            values = values.get(quoted or plain) if isinstance(values, dict) else None
    return values


def _text(value: object) -> str | None:
    if value is None:
        return None
    text = value if isinstance(value, str) and "\n" not in value else json.dumps(value, ensure_ascii=False)
    text = text.replace(_UNKNOWN, "(known after the update)")
    return text if len(text) <= _LONG else f"{text[: _LONG - 1]}…"


def _downtime(resource: _Resource, op: Op, service: Service | None, hosts: Collection[str]) -> str | None:
    """Return what users notice of a change; a color without traffic, and a service that comes or goes, are silent.

    ``hosts`` are those of the services that stay.
    """
    if resource.type == _RECORD and op is Op.DELETE and _at(resource.old, "inputs.name") in hosts:
        return "deleted: the name of a service leads nowhere"
    if resource.type not in SERVES or op is Op.CREATE:
        return None
    if resource.type == _RULE and not _is_production_rule(resource):
        return None
    if service is not None and not (service.stays and _serves(resource, service)):
        return None
    if op is Op.DELETE:
        return "deleted: requests that pass through it fail"
    if op is Op.REPLACE and resource.type == _BALANCER:
        return "made anew: every service is down, for target groups cannot follow to another load balancer"
    if op is Op.REPLACE:
        # The deletion says nothing: it was done already if an update was interrupted, and comes after a failure.
        if next(each for each in resource.ops if each in ("create-replacement", "replace")) == "replace":
            return "deleted before it is made anew: requests fail until it is back"
        return "made anew: whoever still uses the old one is cut off when it goes"
    if resource.type == _RULE and any(path.startswith("conditions") for path in resource.diff):
        return "answers at another address: requests to the old one fail"
    if _new_pods(resource) and _at(resource.new, "inputs.spec.strategy.type") == "Recreate":
        return "strategy recreate: all its pods stop before new ones start, and requests fail meanwhile"
    if "spec.replicas" in resource.diff and _at(resource.new, "inputs.spec.replicas") == 0:
        return "parked while it has traffic: its pods stop, and nothing waits until requests go elsewhere"
    return None


def _restarts(resource: _Resource, op: Op, service: Service | None) -> str | None:
    if op is not Op.UPDATE or service is None or not _new_pods(resource):
        return None
    color = _color(resource)
    return color if color and (service.before or {}).get(color) and _serves(resource, service) else None


def _serves(resource: _Resource, service: Service) -> bool:
    """Whether users reach a resource: it is shared by the colors, or of one that has traffic before or after."""
    color = _color(resource)
    return color is None or any((weights or {}).get(color) for weights in (service.before, service.after))


def _new_pods(resource: _Resource) -> bool:
    return resource.type == _DEPLOYMENT and any(path.startswith("spec.template") for path in resource.diff)


def _color(resource: _Resource) -> str | None:
    inputs = (resource.new or resource.old).get("inputs") or {}
    color = _at(inputs, 'metadata.labels["hueshift.dev/color"]') or _at(inputs, "tags.color")
    return str(color) if color else None
