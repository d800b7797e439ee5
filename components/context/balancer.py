"""The load balancers as they answer now: which rule shares the requests for a host, and which targets are healthy.

For what may not wait for the engine or its state: the way back, and what asks before it takes pods away.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from components.model import CANARY_HEADER, RouteKind, beside

if TYPE_CHECKING:
    from mypy_boto3_elbv2 import ElasticLoadBalancingv2Client
    from mypy_boto3_elbv2.type_defs import RuleConditionOutputTypeDef, RuleTypeDef

PORT: Final = 443
"""Of the listener that users reach; the one for tests has another."""
_AT_ONCE: Final = 8
"""Calls at once. The API gives an account 40 and then 10 reads a second (ELB user guide, throttling)."""


def production_rules(
    client: "ElasticLoadBalancingv2Client", hosts: Collection[str]
) -> Mapping[str, "list[Sequence[RuleTypeDef]]"]:
    """Return by host the rules that share its requests, those whose only condition is that host, on port 443.

    Each with the rules of the service's routes behind it. Of every application load balancer in the client's account
    and region; no rule is an empty list. Raises ``BotoCoreError`` or ``ClientError`` if one cannot be asked.
    """

    def of_balancer(arn: str) -> "list[Sequence[RuleTypeDef]]":
        listeners = _pages(client.describe_listeners, "Listeners", LoadBalancerArn=arn)
        ours = [listener["ListenerArn"] for listener in listeners if listener["Port"] == PORT]
        return [found for listener in ours for found in rules_for(client, listener, hosts)]

    found: dict[str, list[Sequence[RuleTypeDef]]] = {host: [] for host in hosts}
    balancers = [
        balancer["LoadBalancerArn"]
        for balancer in _pages(client.describe_load_balancers, "LoadBalancers")
        if balancer.get("Type", "application") == "application"
    ]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for rules in chain.from_iterable(pool.map(of_balancer, balancers)):
            found[_host(rules[0].get("Conditions", []))].append(rules)
    return found


def rules_for(
    client: "ElasticLoadBalancingv2Client", listener: str, hosts: Collection[str]
) -> "Iterator[Sequence[RuleTypeDef]]":
    """Yield the rules of a listener whose only condition is one of these hosts, each with its routes' behind it."""
    rules = [*_pages(client.describe_rules, "Rules", ListenerArn=listener)]
    for rule in rules:
        if _host(rule.get("Conditions", [])) in hosts:
            yield [rule, *_beside(rule, rules, RouteKind.PRODUCTION)]


def family(client: "ElasticLoadBalancingv2Client", production: str) -> "Sequence[RuleTypeDef]":
    """Return a production rule, by its ARN, and those of its service's routes behind it; nothing if it is gone."""
    rules = [*_pages(client.describe_rules, "Rules", ListenerArn=listener_of(production))]
    for rule in rules:
        if rule["RuleArn"] == production:
            return [rule, *_beside(rule, rules, RouteKind.PRODUCTION)]
    return []


def listener_of(rule: str) -> str:
    """Return the ARN of a rule's listener."""
    return rule.replace(":listener-rule/", ":listener/").rpartition("/")[0]


def _beside(production: Mapping[str, Any], rules: "Sequence[RuleTypeDef]", kind: RouteKind) -> "list[RuleTypeDef]":
    """Return the rules of one kind that belong to routes of a service; by their priorities, the program's own."""
    first = _priority(production)
    return [
        rule
        for rule in rules
        if first is not None and (own := _priority(rule)) is not None and beside(first, own, kind)
    ]


def _priority(rule: Mapping[str, Any]) -> int | None:
    """Return a rule's priority; None for that of a default rule, which is a word."""
    text = str(rule.get("Priority"))
    return int(text) if text.isdecimal() else None


def cohort_rules(client: "ElasticLoadBalancingv2Client", listener: str, host: str) -> "Iterator[RuleTypeDef]":
    """Yield the rules of a listener for an experiment's cohort: of a host, and of a header that is not the canary's.

    And those before the routes of the service that has the host.
    """
    rules = [*_pages(client.describe_rules, "Rules", ListenerArn=listener)]
    for rule in rules:
        by_field = {condition.get("Field"): condition for condition in rule.get("Conditions", [])}
        header = by_field.pop("http-header", {}).get("HttpHeaderConfig", {}).get("HttpHeaderName", CANARY_HEADER)
        if header.lower() != CANARY_HEADER and _host([*by_field.values()]) == host:
            yield rule
        if _host(rule.get("Conditions", [])) == host:
            yield from _beside(rule, rules, RouteKind.COHORT)


def _host(conditions: "Sequence[RuleConditionOutputTypeDef]") -> str:
    """Return the host that is a rule's only condition, or nothing."""
    if len(conditions) != 1 or conditions[0].get("Field") != "host-header":
        return ""
    hosts = conditions[0].get("HostHeaderConfig", {}).get("Values") or conditions[0].get("Values") or []
    return hosts[0] if len(hosts) == 1 else ""


def _pages(call: Callable[..., Any], key: str, **given: object) -> Iterator[Any]:
    """Yield what all pages of a list hold."""
    marker: dict[str, str] = {}
    while True:
        page = call(**given, **marker)
        yield from page[key]
        if not page.get("NextMarker"):
            return
        marker = {"Marker": page["NextMarker"]}


def group_weights(rule: Mapping[str, Any]) -> tuple[dict[str, int], list[str]]:
    """Return the weight of each target group that a rule forwards to, and its actions of another kind.

    One group alone has 100, whatever its weight: it gets everything.
    """
    forward: Mapping[str, Any] = next((action for action in rule["Actions"] if action["Type"] == "forward"), {})
    alone = [{"TargetGroupArn": forward["TargetGroupArn"]}] if forward.get("TargetGroupArn") else []
    targets = forward.get("ForwardConfig", {}).get("TargetGroups") or alone
    weights = {target["TargetGroupArn"]: int(target.get("Weight", 1)) for target in targets}
    others = [action["Type"] for action in rule["Actions"] if action["Type"] != "forward"]
    return dict.fromkeys(weights, 100) if len(weights) == 1 else weights, others


def healthy(client: "ElasticLoadBalancingv2Client", group: str) -> int:
    """Return how many targets of a group are healthy."""
    targets = client.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
    return sum(target["TargetHealth"]["State"] == "healthy" for target in targets)
