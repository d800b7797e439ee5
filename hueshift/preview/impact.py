"""Judges what an update means for users: how traffic is shared, which changes cause downtime.

Pure: live weights are read through ``Ask``.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, Final

from components.model import Color, tokens
from components.rules import WORKLOAD
from hueshift.preview.events import STACK, Events, Resource, at, text_of
from hueshift.preview.report import Change, Op, Report, Service, Value
from hueshift.report import RefusedError

_DEPLOYMENT: Final = "kubernetes:apps/v1:Deployment"
_AUTOSCALER: Final = "kubernetes:autoscaling/v2:HorizontalPodAutoscaler"
_POLICY: Final = "kubernetes:networking.k8s.io/v1:NetworkPolicy"
_GROUP: Final = "aws:lb/targetGroup:TargetGroup"
_RECORD: Final = "aws:route53/record:Record"
_BALANCER: Final = "aws:lb/loadBalancer:LoadBalancer"
_RULE: Final = "aws:lb/listenerRule:ListenerRule"
_GROUPS: Final = "actions[0].forward.targetGroups"
_STICKY: Final = "actions[0].forward.stickiness.enabled"
"""Changes with the weights: stickiness is on only while both colors have traffic."""
_HEADER: Final = "actions[0].targetGroupArn"
"""Target of the ``x-canary`` rule: changes with the weights where the versions have no order."""

_FOLLOWS: Final = frozenset({"spec.replicas", "spec.suspend"})
"""What changes with the weights of a workload that runs in the active color alone."""

SERVES: Final = frozenset(
    {
        "aws:ec2/securityGroup:SecurityGroup",
        "aws:lb/listener:Listener",
        _RULE,
        _BALANCER,
        _GROUP,
        _DEPLOYMENT,
        "kubernetes:core/v1:Namespace",
        "kubernetes:core/v1:Service",
        "kubernetes:elbv2.k8s.aws/v1beta1:TargetGroupBinding",
    }
)
"""Resource types that requests pass through: without one of these they fail."""
_LETS_IN: Final = frozenset(
    {
        "aws:lb/listenerCertificate:ListenerCertificate",
        "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule",
        "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
        _POLICY,
    }
)
"""Resource types without which what they let in is refused."""


_BEFORE: Final = ("create-replacement", "import-replacement", "replace")
"""Steps of a replacement, of which the first says whether the new one is there before the old one goes."""

Ask = Callable[[str, Mapping[str, Color]], Mapping[Color, int]]
"""Takes a rule's ARN and its target groups' colors by ARN; returns percent by color, or raises ``RefusedError``."""


def assess(stack: str, events: Events, ask: Ask) -> Report:
    """Return the preview of a stack from its events; ``ask`` reads the weights before the update."""
    resources = events.resources
    services = list(_services(resources.values(), events.outputs, ask))
    by_name = {service.name: service for service in services}
    changes = [
        _change(resource, resource.op, resources, by_name)
        for resource in resources.values()
        if resource.op is not None and (resource.new or resource.old).get("custom") and not resource.is_provider
    ]
    return Report(
        stack=stack,
        services=services,
        changes=sorted(changes, key=lambda change: (change.group not in by_name, change.group, *_importance(change))),
        unchanged=sum(
            set(resource.ops) <= {"same", "refresh"} and bool(resource.new.get("custom")) and not resource.is_provider
            for resource in resources.values()
        ),
        policies=events.policies,
        violations=events.violations,
        warnings=[*events.warnings, *_twice(changes)],
        errors=events.errors,
    )


def _importance(change: Change) -> tuple[bool, int, str]:
    """Return the sort key of a change: most important first. The engine's own order differs from run to run."""
    return (
        not change.traffic_only,
        [Op.REPLACE, Op.DELETE, Op.UPDATE, Op.CREATE, Op.IMPORT].index(change.op),
        change.name,
    )


def _services(resources: Iterable[Resource], outputs: Mapping[str, Mapping[str, Any]], ask: Ask) -> Iterator[Service]:
    """Yield the services by name, with the weights of their production rules before and after."""
    old, new = (outputs[key].get("services") or {} for key in ("old", "new"))
    for resource in sorted(resources, key=lambda resource: resource.name):
        if not _is_production_rule(resource):
            continue
        name = resource.name.removesuffix(tokens.PRODUCTION_RULE)
        was, will = old.get(name) or {}, new.get(name) or {}
        stays = "delete" not in resource.ops
        groups = dict(zip(_arns(resource.new), _colors(will or was), strict=False))
        state = _weights(resource.old or resource.new, was, groups) if "create" not in resource.ops else None
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


def _is_production_rule(resource: Resource) -> bool:
    return tokens.TRAFFIC_SPLIT in resource.urn and resource.name.endswith(tokens.PRODUCTION_RULE)


def _colors(output: Mapping[str, Any]) -> list[Color]:
    return [color for color in Color if color in output.get("weights", Color)]


def _groups(state: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return at(state, f"inputs.{_GROUPS}") or []


def _arns(state: Mapping[str, Any]) -> list[str]:
    return [group["arn"] for group in _groups(state)]


def _weights(state: Mapping[str, Any], output: Mapping[str, Any], known: Mapping[str, Color]) -> Mapping[str, int]:
    """Return percent by color of a production rule.

    The program writes the groups in color order, a refresh in the API's order, so ``known`` gives the color by ARN.
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


def _change(resource: Resource, op: Op, resources: Mapping[str, Resource], services: Mapping[str, Service]) -> Change:
    group, kind = _group(resource, resources)
    service = services.get(group) if kind == tokens.SERVICE else None
    moves = _is_production_rule(resource)
    traffic_only = (
        op is Op.UPDATE
        and bool(resource.diff)
        and (
            all(path.startswith(_GROUPS) or path == _STICKY for path in resource.diff)
            and set(_arns(resource.old)) == set(_arns(resource.new))
            if moves
            else (tokens.TRAFFIC_SPLIT in resource.urn and set(resource.diff) == {_HEADER})
            or (_is_workload(resource) and set(resource.diff) <= _FOLLOWS and service is not None and service.moves)
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
        live=_live(resource, op, service),
    )


def _group(resource: Resource, resources: Mapping[str, Resource]) -> tuple[str, str]:
    """Return name and type of the topmost component that contains a resource, or its own."""
    while (above := resources.get(resource.parent)) and above.type != STACK:
        resource = above
    return resource.name, resource.type


def _values(resource: Resource) -> Iterator[Value]:
    for path, how in sorted(resource.diff.items()):
        # Drift is in the outputs, a change by the program in the inputs.
        order = ("inputs", "outputs") if how.get("inputDiff", True) else ("outputs", "inputs")
        before, after = (
            next((found for part in order if (found := at(state.get(part) or {}, path)) is not None), None)
            for state in (resource.old, resource.new)
        )
        yield Value(
            path=path,
            before=text_of(before),
            after=text_of(after),
            replaces=str(how.get("diffKind", "")).endswith("-replace") or path in resource.keys,
        )


def _moved(service: Service) -> Iterator[Value]:
    """Yield the weights by color, because the diff's own paths only number the target groups."""
    before, after = service.before or {}, service.after or {}
    for color in dict.fromkeys([*before, *after]):
        was, will = (str(weights.get(color, 0)) for weights in (before, after))
        if was != will:
            yield Value(path=f"weight of {color}", before=was, after=will, replaces=False)


def _downtime(resource: Resource, op: Op, service: Service | None, hosts: Collection[str]) -> str | None:
    """Return the downtime that a change causes, None if it causes none.

    Colors without traffic and services that are added or removed do not count. ``hosts`` are the hosts of the services
    that stay.
    """
    if resource.type == _RECORD and op is Op.DELETE and at(resource.old, "inputs.name") in hosts:
        return "deleted: the name of a service no longer resolves"
    if resource.type in _LETS_IN and (service is None or (service.stays and _serves(resource, service))):
        return _shut(resource, op)
    if resource.type not in SERVES or op in (Op.CREATE, Op.IMPORT) or _is_workload(resource):
        return None
    if resource.type == _RULE and not _is_production_rule(resource):
        return None
    if service is not None and not (service.stays and _serves(resource, service)):
        return None
    if op is Op.DELETE:
        return "deleted: requests that pass through it fail"
    if op is Op.REPLACE and resource.type == _BALANCER:
        return "replaced: every service is down, because target groups cannot move to another load balancer"
    if op is Op.REPLACE:
        # The delete step does not count: an interrupted update has done it already, and it also follows a failure.
        if next(each for each in resource.ops if each in _BEFORE) == "replace":
            return "deleted before it is created again: requests fail in between"
        return "replaced: requests that still use the old one are cut off when it is deleted"
    if resource.type == _RULE and any(path.startswith("conditions") for path in resource.diff):
        return "its host changes: requests to the old one fail"
    if _new_pods(resource) and at(resource.new, "inputs.spec.strategy.type") == "Recreate":
        return "strategy recreate: all pods stop before new ones start, and requests fail in between"
    if "spec.replicas" in resource.diff and at(resource.new, "inputs.spec.replicas") == 0:
        return "parked while it has traffic: its pods stop without waiting for traffic to move"
    return None


def _shut(resource: Resource, op: Op) -> str | None:
    """Return what is shut by a change of what lets requests in, None if nothing is."""
    if op is Op.DELETE:
        return "deleted: what it lets in is refused"
    if resource.type == _POLICY and any(
        path.startswith(("spec.ingress", "spec.egress")) and str(how.get("diffKind", "")).startswith("delete")
        for path, how in resource.diff.items()
    ):
        return "narrowed: what it no longer lets in is refused"
    return None


def _live(resource: Resource, op: Op, service: Service | None) -> str | None:
    """Return what happens to a color that users reach, None if nothing does."""
    color = _color(resource)
    if op is not Op.UPDATE or service is None or color is None:
        return None
    before, after = ((weights or {}).get(color, 0) for weights in (service.before, service.after))
    if _new_pods(resource) and before:
        return f"new pods for {color}, which serves users"
    if _new_pods(resource) and after:
        return f"{color} gets new pods and users in one update, so nobody tries them before; deploy first, then flip"
    if resource.type == _AUTOSCALER and after:
        for path in ("spec.minReplicas", "spec.maxReplicas"):
            was, will = (at(state, f"inputs.{path}") for state in (resource.old, resource.new))
            if path in resource.diff and isinstance(was, int) and isinstance(will, int) and will < was:
                return f"fewer pods for {color}, which serves users: {path.rpartition('.')[2]} {was} → {will}"
    if resource.type == _GROUP and after and any(path.startswith("healthCheck") for path in resource.diff):
        return f"another health check for {color}, which serves users: if its pods fail it, all of them do at once"
    return None


def _twice(changes: Iterable[Change]) -> Iterator[str]:
    """Yield a warning for what would be created beside itself: its URN changes, and no alias says so."""
    made, gone = (
        {(change.name, change.type) for change in changes if change.op is op} for op in (Op.CREATE, Op.DELETE)
    )
    for name, kind in sorted(made & gone):
        yield (
            f"{name} ({kind}) would be created while the old one is still there, which fails where a name or a "
            "priority is taken; it has another parent or type now: give it an alias"
        )


def _serves(resource: Resource, service: Service) -> bool:
    """Return whether users reach a resource: both colors share it, or its color has traffic before or after."""
    color = _color(resource)
    return color is None or any((weights or {}).get(color) for weights in (service.before, service.after))


def _is_workload(resource: Resource) -> bool:
    """Return whether it makes pods that take no requests."""
    labels = at((resource.new or resource.old).get("inputs") or {}, "metadata.labels") or {}
    return WORKLOAD in labels


def _new_pods(resource: Resource) -> bool:
    return (
        resource.type == _DEPLOYMENT
        and not _is_workload(resource)
        and any(path.startswith("spec.template") for path in resource.diff)
    )


def _color(resource: Resource) -> str | None:
    inputs = (resource.new or resource.old).get("inputs") or {}
    color = at(inputs, 'metadata.labels["hueshift.dev/color"]') or at(inputs, "tags.color")
    return str(color) if color else None
