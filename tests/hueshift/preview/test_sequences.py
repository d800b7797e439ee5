"""What `hueshift preview` says of event sequences that are easily told wrongly; each as the engine writes it."""
# ruff: noqa: ANN401 - what JSON holds

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from hueshift.preview.comment import comment, sentences
from hueshift.preview.report import Op
from tests.hueshift.preview.test_preview import (
    SERVICE,
    STACK,
    UNKNOWN,
    Event,
    component,
    moved,
    outputs,
    pods,
    report,
    rule,
    run,
    said,
    step,
    still,
    tell,
    traffic,
    urn,
)
from tests.hueshift.preview.test_preview import project as project

SPLIT = f"{SERVICE}$hueshift:traffic_split:TrafficSplit$aws:lb/listenerRule:ListenerRule"
COLOR = f"{SERVICE}$hueshift:color_environment:ColorEnvironment"
EDGE = "hueshift:edge:Edge"
REPLACED = ("create-replacement", "replace", "delete-replaced")
DELETED_FIRST = ("delete-replaced", "replace", "create-replacement")


def groups(*pairs: tuple[str, object]) -> dict[str, Any]:
    return {"actions": [{"forward": {"targetGroups": [{"arn": arn, "weight": weight} for arn, weight in pairs]}}]}


def target_group(color: str, ops: Sequence[str], arn: str) -> list[Event]:
    kind = f"{SERVICE}$hueshift:target_groups:TargetGroups$aws:lb/targetGroup:TargetGroup"
    inputs = {"tags": {"color": color}}
    events = [step(op, kind, f"shop-tg-{color}", urn(SERVICE, "shop"), old=inputs, new=inputs) for op in ops]
    for event in events:
        event["resourcePreEvent"]["metadata"]["old"]["id"] = arn
    return events


def binding(color: str, ops: Sequence[str]) -> list[Event]:
    kind = f"{COLOR}$kubernetes:elbv2.k8s.aws/v1beta1:TargetGroupBinding"
    inputs = {"metadata": {"labels": {"hueshift.dev/color": color}}}
    return [step(op, kind, f"shop-{color}-binding", urn(SERVICE, "shop"), old=inputs, new=inputs) for op in ops]


def refreshed(event: Event, *, diff: Sequence[str] = ()) -> Event:
    """Return the event that ends the refresh which ``event`` begins."""
    told = {"op": "refresh", "urn": event["resourcePreEvent"]["metadata"]["urn"], "type": ""}
    return {"resOutputsEvent": {"metadata": {**told, "detailedDiff": {path: {} for path in diff}}}}


ARNS = [f"actions[0].forward.targetGroups[{number}].arn" for number in (0, 1)]


def test_target_groups_that_are_replaced_take_the_service_down_until_the_rule_follows() -> None:
    found = report(
        *target_group("blue", REPLACED, "blue"),
        *target_group("green", REPLACED, "green"),
        *binding("blue", DELETED_FIRST),
        *binding("green", DELETED_FIRST),
        traffic("update", rule(100, 0), groups((UNKNOWN, 100), (UNKNOWN, 0)), ARNS),
    )
    (sentence,) = sentences(found)
    assert "**down** from the end of its old binding until the new targets are healthy" in sentence
    assert "(blue 100 %, green 0 % → blue 100 %, green 0 %)" in sentence
    assert "traffic stays" not in sentence
    assert found.not_traffic
    idle = report(still(), *binding("green", DELETED_FIRST))
    assert "down" not in next(sentences(idle))


def test_one_group_that_is_replaced_after_a_refresh_moves_nobody_between_colors() -> None:
    turned = groups(("green", 0), ("blue-old", 100))
    found = report(
        *target_group("blue", REPLACED, "blue-old"),
        *target_group("green", ["same"], "green"),
        traffic("update", turned, groups((UNKNOWN, 100), ("green", 0)), ARNS),
    )
    assert "traffic stays (blue 100 %, green 0 %)" in next(sentences(found))
    assert not found.services[0].moves
    both = report(
        *target_group("blue", REPLACED, "blue-old"),
        *target_group("green", REPLACED, "green"),
        traffic("update", turned, groups((UNKNOWN, 100), (UNKNOWN, 0)), ARNS),
    )
    assert "traffic stays (blue 100 %, green 0 %)" in next(sentences(both))


def test_a_color_that_leaves_with_its_traffic_ends_the_way_back() -> None:
    kind = f"{COLOR}$kubernetes:apps/v1:Deployment"
    text = said(
        outputs({"green": "1.5.0"}, {"blue": "1.4.0", "green": "1.5.0"}),
        traffic("update", rule(100, 0), groups(("green", 100)), ["actions[0].forward.targetGroups[0]"]),
        *target_group("blue", ["delete"], "blue"),
        *target_group("green", ["same"], "green"),
        step("delete", kind, "shop-blue-deployment", urn(SERVICE, "shop"), old=pods("blue", "shop:1"), new=None),
    )
    assert "blue 100 → 0 %, green 1.5.0 0 → 100 %, blue 1.4.0 → none, no way back to blue, which is removed" in text
    assert "**Downtime**: shop-blue-deployment, deleted after the rule has moved: only requests in flight" in text


def test_a_rule_that_is_imported_is_taken_over_and_not_created() -> None:
    kept = traffic("import", rule(100, 0), rule(100, 0))
    found = report(outputs({"blue": "1.4.0", "green": "1.5.0"}), kept, still())
    assert [change.op for change in found.changes] == [Op.IMPORT]
    (sentence,) = sentences(report(kept, still(), *unheard({"blue": "1.4.0", "green": "1.5.0"})))
    assert sentence == ("**production/shop**: traffic stays (blue 100 %, green 0 %); 1 resource is taken over as it is")
    (other,) = sentences(report(traffic("import", rule(100, 0), rule(100, 0)), moved((100, 0), (90, 10))))
    assert "blue 100 → 90 %" in other
    assert other.endswith("1 resource changes, nothing is replaced, 1 of them taken over")
    assert found.not_traffic


def unheard(versions: Mapping[str, str], service: str = "shop") -> list[Event]:
    """Return outputs whose old side knows nothing of a service."""
    event = outputs(versions, service=service)
    event["resOutputsEvent"]["metadata"]["old"] = {"outputs": {"services": {}}}
    return [event]


def test_a_service_that_is_renamed_by_aliases_is_the_same_under_another_name() -> None:
    kind = SPLIT
    event = step(
        "update",
        kind,
        "store-traffic-production",
        urn(SERVICE, "store"),
        old=rule(100, 0),
        new=rule(100, 0),
        diff=["tags"],
    )
    event["resourcePreEvent"]["metadata"]["old"]["urn"] = urn(kind, "shop-traffic-production")
    told = outputs({"blue": "1.4.0", "green": "1.5.0"}, service="store")
    before = outputs({"blue": "1.4.0", "green": "1.5.0"})["resOutputsEvent"]["metadata"]["old"]
    told["resOutputsEvent"]["metadata"]["old"] = before
    (sentence,) = sentences(report(component(SERVICE, "store"), event, told))
    assert sentence == (
        "**production/store**: traffic stays (blue 100 %, green 0 %), formerly shop; "
        "1 resource changes, nothing is replaced"
    )


def provided(old: str, new: str) -> Event:
    event = still()
    for side, version in (("old", old), ("new", new)):
        where = f"urn:pulumi:production::hueshift::pulumi:providers:aws::default_{version}::1a2b"
        event["resourcePreEvent"]["metadata"][side]["provider"] = where
    return event


def test_another_version_of_a_provider_is_told_though_no_resource_differs(project: Path) -> None:
    assert list(sentences(report(provided("7_29_0", "7_30_0")))) == [
        "**production**: provider aws 7.29.0 → 7.30.0",
        "**production**: no resource changes",
    ]
    named = step(
        "update", "pulumi:providers:kubernetes", "cluster", STACK, old={"version": "4.25.0"}, new={"version": "4.26.0"}
    )
    assert report(still(), named).providers == ["kubernetes 4.25.0 → 4.26.0"]
    assert report(provided("7_30_0", "7_30_0")).providers == []
    tell(project, provided("7_29_0", "7_30_0"))
    done = run("-s", "production", "--expect-no-changes")
    assert done.exit_code == 1
    assert "these would change: provider aws 7.29.0 → 7.30.0" in done.stderr


def placed(priority: int) -> dict[str, Any]:
    return {**rule(100, 0), "listenerArn": "listener", "priority": priority}


def test_a_rule_that_moves_without_an_alias_is_told_as_an_update_that_stops() -> None:
    other = f"hueshift:wrapper:Wrapper${SPLIT}"
    found = report(
        component("hueshift:wrapper:Wrapper", "wrapper"),
        step("create", other, "shop-traffic-production", urn("hueshift:wrapper:Wrapper", "wrapper"), new=placed(120)),
        traffic("delete", placed(120), None),
    )
    assert len(found.services) == 1
    text = comment([found])
    assert "**production: the update would stop** at shop-traffic-production" in text
    assert "**Fails**: shop-traffic-production: it moves to another component without an alias" in text
    assert "traffic stays (blue 100 %, green 0 %)" in text
    assert "new, blue" not in text
    assert "removed with its address" not in text


def test_what_is_renamed_without_an_alias_and_keeps_its_name_in_kubernetes_is_told() -> None:
    kind = "kubernetes:core/v1:ConfigMap"
    called = {"metadata": {"name": "shop", "namespace": "shop"}}
    events = [
        step("create", kind, "store-config", urn(SERVICE, "shop"), new=called),
        step("delete", kind, "shop-config", urn(SERVICE, "shop"), old=called, new=None),
    ]
    assert "**Fails**: store-config: what it is called is still shop-config" in said(still(), *events)
    elsewhere = {"metadata": {"name": "shop", "namespace": "store"}}
    assert "Fails" not in said(still(), step("create", kind, "x", urn(SERVICE, "shop"), new=elsewhere), events[1])


def test_priorities_that_two_rules_exchange_are_told_as_an_update_that_stops_half_way() -> None:
    def exchanged(service: str, old: int, new: int) -> Event:
        return traffic("update", placed(old), placed(new), ["priority"], service)

    pricing = component(SERVICE, "pricing")
    text = said(pricing, exchanged("shop", 120, 220), exchanged("pricing", 220, 120))
    assert "its new priority 220 is still that of pricing-traffic-production: the load balancer refuses it" in text
    assert "its new priority 120 is still that of shop-traffic-production" in text
    assert "Fails" not in said(pricing, exchanged("shop", 120, 320), exchanged("pricing", 220, 420))


def edge(op: str, kind: str, name: str, old: Any, new: Any = None, diff: Sequence[str] = ()) -> list[Event]:
    return [
        component(EDGE, "edge"),
        step(op, f"{EDGE}${kind}", name, urn(EDGE, "edge"), old=old, new=new, diff=diff),
    ]


@pytest.mark.parametrize("way", ["Ingress", "Egress"])
def test_a_firewalls_rule_that_lets_other_requests_in_is_downtime(way: str) -> None:
    kind = f"aws:vpc/securityGroup{way}Rule:SecurityGroup{way}Rule"
    narrower = edge("update", kind, "edge-out", {"cidrIpv4": "10.0.0.0/8"}, {"cidrIpv4": "10.0.0.0/16"}, ["cidrIpv4"])
    assert "edge-out, changed: what it no longer lets in is refused" in said(still(), *narrower)
    assert "Downtime" not in said(still(), *edge("update", kind, "edge-out", {}, {}, ["description"]))


def test_a_certificate_is_missed_only_if_its_host_stays_and_has_users() -> None:
    kind = "aws:lb/listenerCertificate:ListenerCertificate"
    told = outputs({"blue": "1"})
    users = edge("delete", kind, "edge-https-shop.example.com", {})
    assert "**Downtime**: edge-https-shop.example.com, deleted" in said(told, still(), *users)
    assert "Downtime" not in said(told, still(), *edge("delete", kind, "edge-test-shop.example.com", {}))
    assert "Downtime" not in said(told, traffic("delete", rule(100, 0), None), *users)


def test_a_network_policy_that_no_longer_lists_a_port_is_downtime_for_a_color_with_users() -> None:
    def policy(color: str, ports: Sequence[int]) -> dict[str, Any]:
        allowed = {"ingress": [{"ports": [{"port": port}]} for port in ports]} if ports else {}
        return {"metadata": {"labels": {"hueshift.dev/color": color}}, "spec": allowed}

    def changed(color: str, before: Sequence[int], after: Sequence[int]) -> str:
        kind = f"{COLOR}$kubernetes:networking.k8s.io/v1:NetworkPolicy"
        old, new = policy(color, before), policy(color, after)
        name, parent = f"shop-{color}-network", urn(SERVICE, "shop")
        return said(still(), step("update", kind, name, parent, old=old, new=new, diff=["spec.ingress"]))

    assert "**Downtime**: shop-blue-network, narrowed: what it no longer lets in is refused" in changed(
        "blue", [8080], []
    )
    assert "Downtime" not in changed("blue", [8080], [8080, 9090])
    assert "Downtime" not in changed("green", [8080], [])


def test_drift_begins_with_the_rule_that_is_missing_now() -> None:
    begun = traffic("refresh", rule(100, 0), None)
    text = said(begun, refreshed(begun), traffic("create", None, rule(100, 0)))
    assert text.splitlines()[1] == (
        "- **production/shop: users reach nothing now**, its production rule has been deleted"
    )
    assert "shop-traffic-production, missing now: requests that pass through it fail until it is created again" in text


def test_drift_that_only_a_refresh_sees_is_named() -> None:
    kind = f"{EDGE}$aws:lb/loadBalancer:LoadBalancer"
    alb = [component(EDGE, "edge")]
    alb += [step(op, kind, "edge-alb", urn(EDGE, "edge"), old={}, new={}) for op in ("refresh", "same")]
    assert list(sentences(report(still(), *alb, refreshed(alb[1], diff=["idleTimeout"])))) == [
        "**production**: not as in the state, and the update leaves it so: edge-alb (idleTimeout)",
        "**production**: nothing changes",
    ]
    assert report(still(), *alb, refreshed(alb[1])).drift == []


@pytest.mark.parametrize(("port", "cidr", "down"), [(8081, "10.0.0.0/16", False), (8080, "10.0.0.0/24", True)])
def test_a_firewall_that_opens_another_port_of_the_network_shuts_nobody_out(port: int, cidr: str, down: bool) -> None:
    kind, edge = f"{EDGE}$aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule", urn(EDGE, "edge")
    gone = step("delete", kind, "edge-out-old", edge, old={"cidrIpv4": "10.0.0.0/16", "fromPort": 8080})
    new = step("create", kind, "edge-out-new", edge, old=None, new={"cidrIpv4": cidr, "fromPort": port})
    assert ("**Downtime**: edge-out-old" in said(still(), component(EDGE, "edge"), new, gone)) is down


@pytest.mark.parametrize(
    ("counted", "reason"),
    [
        ({"update": 2, "same": 3}, "the engine counts 2 resources to update and told of 1"),
        ({"same": 3}, "the engine counts 0 resources to update and told of 1"),
        ({"update": 1, "teleport": 1}, "steps that this hueshift does not understand: teleport"),
    ],
)
def test_what_the_engine_counts_otherwise_is_an_error(project: Path, counted: Mapping[str, int], reason: str) -> None:
    tell(project, moved((100, 0), (90, 10)), counted=counted)
    done = run("-s", "production")
    assert done.exit_code == 1
    assert reason in done.stdout


@pytest.mark.parametrize(
    "new",
    [
        {"actions": UNKNOWN},
        {"actions": [{"forward": UNKNOWN}]},
        {"actions": [{"forward": {"targetGroups": [UNKNOWN]}}]},
        groups(("blue", UNKNOWN), ("green", 0)),
        groups(("blue", None), ("green", 0)),
    ],
)
def test_a_share_that_is_not_known_yet_is_not_guessed(new: Any) -> None:
    found = report(traffic("update", rule(100, 0), new, ["actions[0].forward.targetGroups"]))
    told = "who gets the traffic is known only after the update (before: blue 100 %, green 0 %)"
    assert told in next(sentences(found))
    assert found.not_traffic, "no flip"


def test_outputs_that_are_not_known_yet_are_read() -> None:
    event = outputs({"blue": "1"})
    for side, services in (("old", UNKNOWN), ("new", {"shop": UNKNOWN})):
        event["resOutputsEvent"]["metadata"][side] = {"outputs": {"services": services}}
    assert "blue 100 → 90 %" in next(sentences(report(event, moved((100, 0), (90, 10)))))


def test_a_rule_in_its_short_form_has_all_traffic_on_its_group() -> None:
    short = {"actions": [{"type": "forward", "targetGroupArn": "green"}]}
    both = [*target_group("blue", ["same"], "blue"), *target_group("green", ["same"], "green")]
    found = report(*both, traffic("update", short, rule(0, 100), ["actions[0].forward"]))
    assert "traffic stays (blue 0 %, green 100 %)" in next(sentences(found))


def test_a_setting_of_all_services_is_one_sentence_for_each() -> None:
    kind = f"{SERVICE}$aws:lb/targetGroup:TargetGroup"
    events = [component(SERVICE, "pricing"), traffic("same", rule(100, 0), rule(100, 0), service="pricing"), still()]
    events += [
        step("update", kind, f"{name}-tg-green", urn(SERVICE, name), old={}, new={}, diff=["tagsAll"])
        for name in ("shop", "pricing")
    ]
    assert list(sentences(report(*events))) == [
        f"**production/{name}**: traffic stays (blue 100 %, green 0 %); 1 resource changes, nothing is replaced"
        for name in ("pricing", "shop")
    ]
