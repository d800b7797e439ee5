"""Judges what an update means for users: how traffic is shared, which changes cause downtime.

Pure: live weights are read through ``Ask``.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

from components.model import Color, tokens
from components.rules import WORKLOAD
from hueshift.preview.events import STACK, UNKNOWN, Events, Resource, at, text_of
from hueshift.preview.pods import AUTOSCALER, DEPLOYMENT, cost
from hueshift.preview.report import Change, Op, Report, Service, Value
from hueshift.report import RefusedError
from hueshift.traffic.live import shown

_RECORD: Final = "aws:route53/record:Record"
_BALANCER: Final = "aws:lb/loadBalancer:LoadBalancer"
_RULE: Final = "aws:lb/listenerRule:ListenerRule"
_LISTENER: Final = "aws:lb/listener:Listener"
_CERTIFICATE: Final = "aws:lb/listenerCertificate:ListenerCertificate"
_TARGETS: Final = "aws:lb/targetGroup:TargetGroup"
_BINDING: Final = "kubernetes:elbv2.k8s.aws/v1beta1:TargetGroupBinding"
_POLICY: Final = "kubernetes:networking.k8s.io/v1:NetworkPolicy"
_DOORS: Final = frozenset(f"aws:vpc/securityGroup{way}Rule:SecurityGroup{way}Rule" for way in ("Ingress", "Egress"))
"""What a firewall lets through, one rule each."""
_SCOPE: Final = frozenset({"cidrIpv4", "cidrIpv6", "fromPort", "toPort", "ipProtocol", "referencedSecurityGroupId"})
"""Properties of such a rule that say what it lets through."""
_UNIQUE: Final = {
    _RULE: ("listenerArn", "priority"),
    _LISTENER: ("loadBalancerArn", "port"),
    _RECORD: ("zoneId", "name", "type", "setIdentifier"),
}
"""What only one resource of a type can have at a time; of Kubernetes' objects it is the name."""
_DEFAULT_PROVIDER: Final = re.compile(r"pulumi:providers:([\w-]+)::default_(\d+_\d+_\d+)")
"""The engine names the provider of a package after its version (``ProviderRequest.DefaultName``)."""
_GROUPS: Final = "actions[0].forward.targetGroups"
_STICKY: Final = "actions[0].forward.stickiness.enabled"
"""Changes with the weights: stickiness is on only while both colors have traffic."""
_HEADER: Final = "actions[0].targetGroupArn"
"""Target of the ``x-canary`` rule: changes with the weights where the versions have no order."""

_ROUTE: Final = re.compile(rf"{tokens.ROUTE_RULE}([0-9]+)$")
"""How the rule of a route is called."""
_FOLLOWS: Final = frozenset({"spec.replicas", "spec.suspend"})
"""What changes with the weights of a workload that runs in the active color alone."""

SERVES: Final = frozenset(
    {
        "aws:ec2/securityGroup:SecurityGroup",
        _LISTENER,
        _RULE,
        _BALANCER,
        _TARGETS,
        DEPLOYMENT,
        "kubernetes:core/v1:Namespace",
        "kubernetes:core/v1:Service",
        _BINDING,
    }
)
"""Resource types that requests pass through: without one of these they fail."""
_LETS_IN: Final = frozenset({*_DOORS, _CERTIFICATE, _POLICY})
"""Resource types without which what they let in is refused."""


Ask = Callable[[str, Mapping[str, Color]], Mapping[Color, int]]
"""Takes a rule's ARN and its target groups' colors by ARN; returns percent by color, or raises ``RefusedError``."""


class Move(NamedTuple):
    """What the gate is asked about: an update of a production rule."""

    service: str
    rule: str
    """ARN."""
    groups: Mapping[Color, str]
    """ARNs of the target groups that the rule will have."""
    old: Mapping[Color, int]
    """Percent by color in the state."""
    new: Mapping[Color, int]
    live: Mapping[Color, int]
    inputs: tuple[Mapping[str, Any], Mapping[str, Any]]
    """Of the rule, before and after."""


Judge = Callable[[Move], str]
"""Returns what the gate says of a move now, or why it was not asked."""


class _Plan(NamedTuple):
    """What a change is judged beside."""

    resources: Mapping[str, Resource]
    services: Mapping[str, Service]
    holders: Mapping[tuple[str, ...], Resource]
    """What has a name, a priority or a port before the update."""
    opened: Collection[tuple[str, Any]]
    """Way and network of what a firewall newly lets through: such a rule takes the place of one with another port."""


def assess(stack: str, events: Events, ask: Ask, judge: Judge) -> Report:
    """Return the preview of a stack from its events; ``ask`` reads the weights before the update."""
    resources = events.resources
    services = list(_services(resources, events.outputs, ask, judge))
    by_name = {service.name: service for service in services}
    holders = {
        key: resource
        for resource in resources.values()
        if set(resource.ops) != {"refresh"} and not resource.missing and (key := _identity(resource.type, resource.old))
    }
    opened = {
        (resource.type, at(resource.new, "inputs.cidrIpv4"))
        for resource in resources.values()
        if resource.type in _DOORS and resource.op is Op.CREATE
    }
    plan = _Plan(resources, by_name, holders, opened)
    changes = [
        _change(resource, resource.op, plan)
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
        providers=sorted(set(_upgrades(resources.values()))),
        drift=sorted(
            f"{resource.name} ({', '.join(resource.drift)})"
            for resource in resources.values()
            if resource.drift and resource.op is None
        ),
        errors=events.errors,
    )


def _upgrades(resources: Iterable[Resource]) -> Iterator[str]:
    """Yield the providers whose versions change, by their own steps or by what the engine names after them."""
    for resource in resources:
        if resource.is_provider:
            package = resource.type.rpartition(":")[2]
            old, new = (at(state, "inputs.version") for state in (resource.old, resource.new))
        else:
            found = [_DEFAULT_PROVIDER.search(str(state.get("provider"))) for state in (resource.old, resource.new)]
            if not (found[0] and found[1]) or found[0][1] != found[1][1]:
                continue
            package = found[0][1]
            old, new = (each[2].replace("_", ".") for each in found if each)
        if old and new and old != new:
            yield f"{package} {old} → {new}"


def _identity(kind: str, state: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return what no other resource can have while this one has it; None if nothing is, or it is not known."""
    inputs = state.get("inputs") or {}
    if kind.startswith("kubernetes:"):
        values, needed = [at(inputs, f"metadata.{key}") for key in ("name", "namespace")], 1
    else:
        values, needed = [inputs.get(key) for key in _UNIQUE.get(kind, ())], 2
    known = bool(values) and None not in values[:needed] and UNKNOWN not in values
    return (kind, *map(str, values)) if known else None


def _importance(change: Change) -> tuple[bool, int, str]:
    """Return the sort key of a change: most important first. The engine's own order differs from run to run."""
    return (
        not change.traffic_only,
        [Op.REPLACE, Op.DELETE, Op.UPDATE, Op.CREATE, Op.IMPORT].index(change.op),
        change.name,
    )


def _services(
    resources: Mapping[str, Resource], outputs: Mapping[str, Mapping[str, Any]], ask: Ask, judge: Judge
) -> Iterator[Service]:
    """Yield the services by name, with the weights of their production rules before and after."""
    old, new = (_mapping(outputs[key].get("services")) for key in ("old", "new"))
    known = {
        arn: Color(color)
        for resource in resources.values()
        if resource.type == _TARGETS and (color := _color(resource)) in list(Color)
        for arn in (resource.id, at(resource.old, "outputs.arn"), at(resource.new, "outputs.arn"))
        if arn and arn != UNKNOWN
    }
    rules: dict[str, list[Resource]] = {}
    for resource in resources.values():
        if _is_production_rule(resource):
            rules.setdefault(resource.name.removesuffix(tokens.PRODUCTION_RULE), []).append(resource)
    for name, found in sorted(rules.items()):
        # Of a rule that is moved without an alias there are two: the new one is created, the old one deleted.
        kept = next((each for each in found if each.op is not Op.DELETE), None)
        first = next((each for each in found if each.op is Op.DELETE), found[0])
        last = kept or first
        existed, stays = "create" not in first.ops, kept is not None
        formerly = str(first.old.get("urn") or "").rpartition("::")[2].removesuffix(tokens.PRODUCTION_RULE) or name
        was, will = _mapping(old.get(formerly)), _mapping(new.get(name))
        after = _weights(last.new, _colors(will or was), known) if stays else {}
        named = known | _colored(last.new, _colors(will or was), known)
        state = _weights(first.old, _colors(was or will), named) if existed else {}
        before, unasked = state, None
        if existed and first.id:
            try:
                before = _sorted(ask(first.id, _colored(first.old, _colors(was or will), named)))
            except RefusedError as error:
                unasked = str(error)
        mixed: list[str] = []
        if existed and unasked is None:
            routes = [each for each in resources.values() if _route(each) and _group(each, resources)[0] == name]
            mixed = list(_disagreeing(routes, before or {}, _colored(first.old, _colors(was or will), named), ask))
        service = Service(
            name=name,
            url=str((will if stays else was).get("url", "")),
            before=before or {} if existed else None,
            after=after or {} if stays else None,
            state=None if state in (before, None) or not existed else state,
            unasked=unasked,
            mixed=f"the production rule has {shown(before or {})}, {', '.join(mixed)}" if mixed else None,
            ran=_mapping(was.get("versions")),
            runs=_mapping(will.get("versions")) if stays else {},
            header=(was.get("canaryHeader"), will.get("canaryHeader")),
            unknown=before is None or after is None,
            missing=last.missing,
        )
        own = [each for each in resources.values() if _group(each, resources)[0] == name]
        colored = _colored(last.new, _colors(will or was), named)
        groups = {color: arn for arn, color in reversed(colored.items())}  # a mirror's group comes behind its color's
        yield replace(
            service,
            cost=cost(own),
            gate=_gate(service, last, groups, judge) if last.op is Op.UPDATE else None,
            down=service.stays and any(_leaves_early(each, service) for each in own),
            notes=[*([f"formerly {formerly}"] if formerly != name else []), *_notes(service)],
        )


def _gate(service: Service, rule: Resource, groups: Mapping[Color, str], judge: Judge) -> str | None:
    """Return what the gate says of an update of a production rule. It is asked only before a rule that is there."""
    if not rule.id:
        return None
    if service.unknown:
        return "not asked: the weights are known only after the update"
    if service.unasked:
        return f"not asked: {service.unasked}"
    new = {Color(color): share for color, share in (service.after or {}).items()}
    old, live = (
        {color: (weights or {}).get(color, 0) for color in new}
        for weights in (service.state or service.before, service.before)
    )
    if missing := sorted(new.keys() - groups.keys()):
        return f"not asked: the update makes the target group of {', '.join(missing)}"
    inputs = (rule.old.get("inputs") or {}, rule.new.get("inputs") or {})
    return judge(Move(service.name, rule.id, groups, old, new, live, inputs))


def _leaves_early(resource: Resource, service: Service) -> bool:
    """Return whether a binding empties a target group that users reach before the next one fills another."""
    return (
        resource.type == _BINDING
        and resource.op is Op.REPLACE
        and _deleted_first(resource)
        and bool((service.before or {}).get(_color(resource) or ""))
    )


def _notes(service: Service) -> Iterator[str]:
    before, after = service.before or {}, service.after or {}
    if not service.stays or service.unknown:
        return
    yield from (f"no way back to {color}, which is removed" for color in before if before[color] and color not in after)


def _is_production_rule(resource: Resource) -> bool:
    return tokens.TRAFFIC_SPLIT in resource.urn and resource.name.endswith(tokens.PRODUCTION_RULE)


def _route(resource: Resource) -> str | None:
    """Return the slot of the route whose weights a rule has, None if it is no such rule."""
    found = _ROUTE.search(resource.name) if tokens.TRAFFIC_SPLIT in resource.urn else None
    return found[1] if found else None


def _disagreeing(
    routes: Iterable[Resource], before: Mapping[str, int], groups: Mapping[str, Color], ask: Ask
) -> Iterator[str]:
    """Yield which rules of routes share requests otherwise than the production rule."""
    for route in routes:
        if "create" in route.ops or not route.id:
            continue
        try:
            live = _sorted(ask(route.id, groups))
        except RefusedError as error:
            yield f"that of route {_route(route)} cannot be told: {error}"
            continue
        if any(live.get(color, 0) != before.get(color, 0) for color in {*live, *before}):
            yield f"that of route {_route(route)} has {shown(live)}"


def _mapping(value: object) -> Mapping[str, Any]:
    """Return an output as a mapping: empty where it is unknown until the update."""
    return value if isinstance(value, dict) else {}


def _colors(output: Mapping[str, Any]) -> list[Color]:
    weights = output.get("weights")
    return [color for color in Color if not isinstance(weights, dict) or color in weights]


def _groups(state: Mapping[str, Any]) -> list[tuple[str, object]] | None:
    """Return ARN and weight of each target group of a rule; None if they are known only after the update."""
    found = at(state, f"inputs.{_GROUPS}")
    if found is None:  # the short form of a rule with one group
        arn = at(state, f"inputs.{_HEADER}")
        return [(str(arn), 100)] if arn else []
    if not isinstance(found, list) or not all(isinstance(group, dict) for group in found):
        return None
    return [(str(group.get("arn")), group.get("weight")) for group in found]


def _arns(state: Mapping[str, Any]) -> list[str]:
    return [arn for arn, _ in _groups(state) or ()]


def _assigned(arns: Sequence[str], colors: Sequence[Color], known: Mapping[str, Color]) -> list[Color | None]:
    """Return the color of each target group.

    The program writes the groups in color order, and those of mirrors in the same order behind them; a refresh in the
    API's order: what is known by ARN goes first, and the rest, such as groups that are replaced, get the colors that
    are left.
    """
    found = [known.get(arn) for arn in arns]
    left = iter([color for color in colors if color not in found])
    mirrors = [None] * len(colors) + list(colors)
    return [color or next(left, None) or next(iter(mirrors[place:]), None) for place, color in enumerate(found)]


def _colored(state: Mapping[str, Any], colors: Sequence[Color], known: Mapping[str, Color]) -> dict[str, Color]:
    arns = _arns(state)
    return {
        arn: color for arn, color in zip(arns, _assigned(arns, colors, known), strict=True) if color and arn != UNKNOWN
    }


def _weights(state: Mapping[str, Any], colors: Sequence[Color], known: Mapping[str, Color]) -> Mapping[str, int] | None:
    """Return percent by color of a production rule; None if it is known only after the update."""
    groups = _groups(state)
    try:
        weights = None if groups is None else [int(str(weight)) for _, weight in groups]
    except ValueError:
        weights = None
    if groups is None or weights is None:
        return None
    assigned = _assigned([arn for arn, _ in groups], colors, known)
    shares: dict[Color, int] = {}
    for color, weight in zip(assigned, weights, strict=True):
        if color:
            shares[color] = shares.get(color, 0) + weight
    total = sum(weights) or 1
    return _sorted({color: round(100 * weight / total) for color, weight in shares.items()})


def _sorted(shares: Mapping[Color, int]) -> Mapping[str, int]:
    return {color.value: shares[color] for color in sorted(shares)}


def _change(resource: Resource, op: Op, plan: _Plan) -> Change:
    group, kind = _group(resource, plan.resources)
    service = plan.services.get(group) if kind == tokens.SERVICE else None
    moves = _is_production_rule(resource) or _route(resource) is not None
    traffic_only = (
        op is Op.UPDATE
        and bool(resource.diff)
        and (
            all(path.startswith(_GROUPS) or path == _STICKY for path in resource.diff)
            and set(_arns(resource.old)) == set(_arns(resource.new))
            and not (service and service.unknown)
            if moves
            else (tokens.TRAFFIC_SPLIT in resource.urn and set(resource.diff) == {_HEADER})
            or (_is_workload(resource) and set(resource.diff) <= _FOLLOWS and service is not None and service.moves)
        )
    )
    if moves and traffic_only and service:
        # Where no color gains, it is the share that a mirror answers.
        values = list(_moved(service)) or list(_values(resource))
    else:
        values = list(_values(resource)) if op in (Op.UPDATE, Op.REPLACE) else []
    return Change(
        op=op,
        name=resource.name,
        type=resource.type.rpartition(":")[2],
        group=group,
        values=values,
        traffic_only=traffic_only,
        downtime=_downtime(resource, op, service, plan),
        live=_live(resource, op, service),
        fails=_fails(resource, op, plan.holders),
        imported=resource.imported,
    )


def _fails(resource: Resource, op: Op, holders: Mapping[tuple[str, ...], Resource]) -> str | None:
    """Return why the update would stop at a resource: another one still has what only one can have."""
    key = _identity(resource.type, resource.new)
    holder = holders.get(key) if key else None
    if op is Op.DELETE or holder is None or holder.urn == resource.urn or _identity(resource.type, resource.old) == key:
        return None
    if holder.op is Op.DELETE and holder.name == resource.name:
        return (
            "it moves to another component without an alias, so it is created while the old one is there: the update "
            "is refused, or the deletion takes both; give it `ResourceOptions(aliases=[…])`"
        )
    if resource.type == _RULE:
        priority = at(resource.new, "inputs.priority")
        return (
            f"its new priority {priority} is still that of {holder.name}: the load balancer refuses it (PriorityInUse) "
            "and the update stops half way; go there by a number that is free, in two updates"
        )
    return f"what it is called is still {holder.name}, which is deleted last at best: rename it, or delete that first"


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


def _downtime(resource: Resource, op: Op, service: Service | None, plan: _Plan) -> str | None:
    """Return the downtime that a change causes, None if it causes none.

    Colors without traffic and services that are added or removed do not count.
    """
    hosts = {_host(each) for each in plan.services.values() if each.stays}
    if resource.type == _RECORD and op is Op.DELETE and at(resource.old, "inputs.name") in hosts:
        return "deleted: the name of a service no longer resolves"
    if resource.type in _LETS_IN and (service is None or (service.stays and _serves(resource, service))):
        return _shut(resource, op, plan)
    if resource.type not in SERVES or op is Op.IMPORT or _is_workload(resource):
        return None
    if op is Op.CREATE and not resource.missing:
        return None
    if resource.type == _RULE and not _is_production_rule(resource):
        if _route(resource) is None or service is None or not service.stays:
            return None
        if op is Op.DELETE:
            return "its route ends: the requests go to whoever else takes them, or are answered 404"
        if any(path.startswith("conditions") for path in resource.diff):
            return "its route changes: what it no longer takes goes to whoever else does, or is answered 404"
    if service is not None and not ((service.stays or service.missing) and _serves(resource, service)):
        return None
    if resource.missing:
        return "missing now: requests that pass through it fail until it is created again"
    color = _color(resource)
    if op is Op.DELETE and service is not None and color and color not in (service.after or {}):
        return "deleted after the rule has moved: only requests in flight and sticky sessions are cut off"
    if op is Op.DELETE:
        return "deleted: requests that pass through it fail"
    if op is Op.REPLACE and resource.type == _BALANCER:
        return "replaced: every service is down, because target groups cannot move to another load balancer"
    if op is Op.REPLACE:
        if _deleted_first(resource):
            return "deleted before it is created again: requests fail in between"
        return "replaced: requests that still use the old one are cut off when it is deleted"
    if resource.type == _RULE and any(path.startswith("conditions") for path in resource.diff):
        return "its host changes: requests to the old one fail"
    if _new_pods(resource) and at(resource.new, "inputs.spec.strategy.type") == "Recreate":
        return "strategy recreate: all pods stop before new ones start, and requests fail in between"
    if "spec.replicas" in resource.diff and at(resource.new, "inputs.spec.replicas") == 0:
        return "parked while it has traffic: its pods stop without waiting for traffic to move"
    return None


def _deleted_first(resource: Resource) -> bool:
    """Return whether a replacement deletes before it creates.

    The delete step does not count: an interrupted update has done it already, and it also follows a failure.
    """
    steps = (each for each in resource.ops if each in ("create-replacement", "import-replacement", "replace"))
    return next(steps) == "replace"


def _shut(resource: Resource, op: Op, plan: _Plan) -> str | None:
    """Return what is shut by a change of what lets requests in, None if nothing is."""
    if resource.type == _CERTIFICATE:
        # Its name ends in its host: it may go with the service, and the test listener has no users.
        gone = [f"-{_host(service)}" for service in plan.services.values() if not service.stays]
        tests = [f"-test-{_host(service)}" for service in plan.services.values()]
        if resource.name.endswith((*gone, *tests)):
            return None
    if op is Op.DELETE and (resource.type, at(resource.old, "inputs.cidrIpv4")) in plan.opened:
        return None  # another port of the same network is open before, and this one goes last
    if op is Op.DELETE or (op is Op.REPLACE and _deleted_first(resource)):
        return "deleted: what it lets in is refused"
    if op is Op.UPDATE and resource.type in _DOORS and _SCOPE & set(resource.diff):
        return "changed: what it no longer lets in is refused"
    if op is Op.UPDATE and resource.type == _POLICY and _lists_less(resource):
        return "narrowed: what it no longer lets in is refused"
    return None


def _lists_less(resource: Resource) -> bool:
    """Return whether a policy of the network no longer lists something; what is unknown is not guessed."""
    for way in ("ingress", "egress"):
        was, will = (at(state, f"inputs.spec.{way}") or [] for state in (resource.old, resource.new))
        if isinstance(was, list) and isinstance(will, list) and any(entry not in will for entry in was):
            return True
    return any(
        path.startswith(("spec.ingress", "spec.egress")) and str(how.get("diffKind", "")).startswith("delete")
        for path, how in resource.diff.items()
    )


def _host(service: Service) -> str:
    return service.url.removeprefix("https://")


def _live(resource: Resource, op: Op, service: Service | None) -> str | None:
    """Return what happens to a color that users reach, None if nothing does."""
    color = _color(resource)
    if op is not Op.UPDATE or service is None or color is None or _is_workload(resource):
        return None
    before, after = ((weights or {}).get(color, 0) for weights in (service.before, service.after))
    if _new_pods(resource) and before:
        return f"new pods for {color}, which serves users"
    if _new_pods(resource) and after:
        return f"{color} gets new pods and users in one update, so nobody tries them before; deploy first, then flip"
    sizes = {AUTOSCALER: ("spec.minReplicas", "spec.maxReplicas"), DEPLOYMENT: ("spec.replicas",)}
    for path in sizes.get(resource.type, ()) if after else ():
        was, will = (at(state, f"inputs.{path}") for state in (resource.old, resource.new))
        if path in resource.diff and isinstance(was, int | float) and isinstance(will, int | float) and will < was:
            return f"fewer pods for {color}, which serves users: {path.rpartition('.')[2]} {was:g} → {will:g}"
    if resource.type == _TARGETS and after and any(path.startswith("healthCheck") for path in resource.diff):
        return f"another health check for {color}, which serves users: if its pods fail it, all of them do at once"
    return None


def _twice(changes: Iterable[Change]) -> Iterator[str]:
    """Yield a warning for what would be created beside itself: its URN changes, and no alias says so."""
    made, gone = (
        {(change.name, change.type) for change in changes if change.op is op and not change.fails}
        for op in (Op.CREATE, Op.DELETE)
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
        resource.type == DEPLOYMENT
        and not _is_workload(resource)
        and any(path.startswith("spec.template") for path in resource.diff)
    )


def _color(resource: Resource) -> str | None:
    inputs = (resource.new or resource.old).get("inputs") or {}
    color = at(inputs, 'metadata.labels["hueshift.dev/color"]') or at(inputs, "tags.color")
    return str(color) if color else None
