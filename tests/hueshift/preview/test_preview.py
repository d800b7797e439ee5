"""`hueshift preview`: what the comment says of an engine's events; a script plays the engine."""
# ruff: noqa: ANN401 - what JSON holds

import json
import os
import re
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from components.model import Color
from hueshift.cli import app
from hueshift.preview import impact
from hueshift.preview.command import _without_paths
from hueshift.preview.comment import FOLDS, LIMIT, MARKER, comment, sentences
from hueshift.preview.events import collect
from hueshift.preview.impact import Ask, Judge, Move
from hueshift.preview.report import Change, Cost, Need, Op, Report, Service, Value, Violation
from hueshift.report import RefusedError

STACK = "urn:pulumi:production::hueshift::pulumi:pulumi:Stack::hueshift-production"
SERVICE = "hueshift:service:BlueGreenService"
RULE = "arn:aws:elasticloadbalancing:eu-west-1:111122223333:listener-rule/app/edge-alb/1/2/3"
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
SECRET = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "[secret]"}
"""How the engine writes a secret to a stream of events."""
Event = dict[str, Any]
ENDED: Event = {"summaryEvent": {"resourceChanges": {}}}
"""The engine's last event."""


def urn(kind: str, name: str) -> str:
    return f"urn:pulumi:production::hueshift::{kind}::{name}"


def step(op: str, kind: str, name: str, parent: str, **facts: Any) -> Event:
    """Return the event of one step; ``old`` and ``new`` are inputs, ``diff`` the paths that differ."""
    states = {
        side: None if facts[side] is None else {"custom": True, "parent": parent, "inputs": facts[side]}
        for side in ("old", "new")
        if side in facts
    }
    diff = {path: {"diffKind": facts.get("how", "update"), "inputDiff": True} for path in facts.get("diff", ())}
    where = urn(kind, name)
    return {"resourcePreEvent": {"metadata": {"op": op, "urn": where, **states, "detailedDiff": diff or None}}}


def component(kind: str, name: str, parent: str = STACK) -> Event:
    where = urn(kind, name)
    state = {"parent": parent, "inputs": {}}
    return {"resourcePreEvent": {"metadata": {"op": "same", "urn": where, "old": state, "new": state}}}


def rule(blue: int, green: int, **more: Any) -> dict[str, Any]:
    groups = [{"arn": "blue", "weight": blue}, {"arn": "green", "weight": green}]
    return {"actions": [{"forward": {"targetGroups": groups, **more}}]}


def traffic(op: str, old: Any, new: Any, diff: Sequence[str] = (), service: str = "shop") -> Event:
    kind = f"{SERVICE}$hueshift:traffic_split:TrafficSplit$aws:lb/listenerRule:ListenerRule"
    return step(op, kind, f"{service}-traffic-production", urn(SERVICE, service), old=old, new=new, diff=diff)


def moved(before: tuple[int, int], after: tuple[int, int]) -> Event:
    paths = [f"actions[0].forward.targetGroups[{number}].weight" for number in (0, 1)]
    return traffic("update", rule(*before), rule(*after), paths)


def still(blue: int = 100, green: int = 0) -> Event:
    return traffic("same", rule(blue, green), rule(blue, green))


def pods(color: str, image: str, strategy: str = "RollingUpdate") -> dict[str, Any]:
    return {
        "metadata": {"labels": {"hueshift.dev/color": color}},
        "spec": {"strategy": {"type": strategy}, "template": {"spec": {"containers": [{"image": image}]}}},
    }


def deployed(color: str, strategy: str = "RollingUpdate") -> Event:
    path = ["spec.template.spec.containers[0].image"]
    kind = f"{SERVICE}$hueshift:color_environment:ColorEnvironment$kubernetes:apps/v1:Deployment"
    old, new = pods(color, "shop:1", strategy), pods(color, "shop:2", strategy)
    return step("update", kind, f"shop-{color}-deployment", urn(SERVICE, "shop"), old=old, new=new, diff=path)


def group(op: str, color: str) -> Event:
    kind = f"{SERVICE}$hueshift:target_groups:TargetGroups$aws:lb/targetGroup:TargetGroup"
    inputs = {"tags": {"color": color}, "port": 8080}
    parent = urn(SERVICE, "shop")
    return step(op, kind, f"shop-tg-{color}", parent, old=inputs, new=inputs, diff=["port"], how="update-replace")


def outputs(versions: Mapping[str, str], ran: Mapping[str, str] | None = None, service: str = "shop") -> Event:
    def state(versions: Mapping[str, str]) -> dict[str, Any]:
        weights = {"blue": 100, "green": 0}
        told = {"url": f"https://{service}.example.com", "weights": weights, "versions": versions}
        return {"outputs": {"services": {service: told}}}

    sides = {"old": state(ran or versions), "new": state(versions)}
    return {"resOutputsEvent": {"metadata": {"op": "same", "urn": STACK, "type": "pulumi:pulumi:Stack", **sides}}}


def never(rule: str, groups: Mapping[str, Color]) -> Mapping[Color, int]:
    raise AssertionError(f"asked {rule} of {groups}")


def passes(move: Move) -> str:
    assert (move.service, move.rule) == ("shop", RULE)
    return "would let this pass now"


def report(*events: Event, ask: Ask = never, judge: Judge = passes) -> Report:
    services = [component(SERVICE, "shop"), component("pulumi:pulumi:Stack", "hueshift-production", "")]
    return impact.assess("production", collect([*services, *events, ENDED]), ask, judge)


def said(*events: Event) -> str:
    return comment([report(*events)])


def test_a_flip_that_leaves_the_canarys_weight_on_says_so() -> None:
    (sentence,) = sentences(report(moved((90, 10), (10, 90))))
    assert "blue keeps 10 % because canaryWeight is still 10; set it to 0 for a complete flip" in sentence
    for before, after in [((90, 10), (0, 100)), ((100, 0), (0, 100)), ((90, 10), (50, 50)), ((90, 10), (80, 20))]:
        (sentence,) = sentences(report(moved(before, after)))
        assert "canaryWeight" not in sentence


def test_a_canary_step_is_one_sentence_on_traffic_and_one_change() -> None:
    (sentence,) = sentences(report(moved((100, 0), (90, 10))))
    assert sentence == ("**production/shop**: blue 100 → 90 %, green 0 → 10 %; 1 resource changes, nothing is replaced")


def made(event: Event) -> Event:
    """Give a rule the name that the load balancer knows it by."""
    event["resourcePreEvent"]["metadata"]["old"]["id"] = RULE
    return event


def balancer(blue: int, green: int) -> Ask:
    def ask(rule: str, groups: Mapping[str, Color]) -> Mapping[Color, int]:
        assert (rule, groups) == (RULE, {"blue": Color.BLUE, "green": Color.GREEN})
        return {Color.BLUE: blue, Color.GREEN: green}

    return ask


def test_the_traffic_before_is_what_the_load_balancer_has() -> None:
    agreed = report(made(moved((100, 0), (90, 10))), ask=balancer(100, 0))
    assert list(sentences(agreed)) == list(sentences(report(moved((100, 0), (90, 10)))))
    found = report(made(moved((100, 0), (90, 10))), ask=balancer(0, 100))
    assert list(sentences(found)) == [
        "**production/shop**: live weights are blue 0 %, green 100 %, the state has blue 100 %, green 0 %",
        "**production/shop**: blue 0 → 90 %, green 100 → 10 %; 1 resource changes, nothing is replaced",
    ]


def test_what_was_moved_by_hand_is_told_where_nothing_would_change_too() -> None:
    assert list(sentences(report(made(still()), ask=balancer(0, 100)))) == [
        "**production/shop**: live weights are blue 0 %, green 100 %, the state has blue 100 %, green 0 %",
        "**production**: nothing changes",
    ]


def test_the_color_that_serves_is_the_one_that_is_live() -> None:
    moved_by_hand = report(made(still()), deployed("green"), ask=balancer(0, 100))
    assert "new pods for green, which serves users" in comment([moved_by_hand])


def test_where_nobody_could_be_asked_the_comment_claims_nothing() -> None:
    def refuse(*_: object) -> Mapping[Color, int]:
        raise RefusedError("no AWS credentials")

    first, second = sentences(report(made(moved((100, 0), (90, 10))), ask=refuse))
    assert first == (
        "**production**: the weights of shop are from the state, "
        "because the load balancer could not be read (no AWS credentials)"
    )
    assert "blue 100 → 90 %" in second


def test_the_gate_is_asked_of_what_the_rule_is_what_it_shall_be_and_what_is_live() -> None:
    asked: list[Move] = []

    def refuse(move: Move) -> str:
        asked.append(move)
        return "would refuse this now: <reason>"

    found = report(made(moved((100, 0), (90, 10))), ask=balancer(50, 50), judge=refuse)
    text = comment([found])
    assert "- **Gate**: shop: would refuse this now: &lt;reason&gt;" in text
    assert not found.failed
    (move,) = asked
    shares = [{Color.BLUE: blue, Color.GREEN: green} for blue, green in ((100, 0), (90, 10), (50, 50))]
    assert [move.old, move.new, move.live] == shares
    assert move.groups == {Color.BLUE: "blue", Color.GREEN: "green"}
    assert move.inputs == (rule(100, 0), rule(90, 10))


def test_what_the_gate_could_not_be_asked_is_said() -> None:
    def refuse(*_: object) -> Mapping[Color, int]:
        raise RefusedError("no AWS credentials")

    assert "**Gate**: shop: not asked: no AWS credentials" in comment(
        [report(made(moved((100, 0), (90, 10))), ask=refuse)]
    )
    other = rule(0, 100)
    other["actions"][0]["forward"]["targetGroups"][1]["arn"] = UNKNOWN
    made_new = report(made(traffic("update", rule(100, 0), other, ["actions"])), ask=balancer(100, 0))
    assert "**Gate**: shop: not asked: the update makes the target group of green" in comment([made_new])
    later = report(made(traffic("update", rule(100, 0), {"actions": UNKNOWN}, ["actions"])), ask=balancer(100, 0))
    assert "**Gate**: shop: not asked: the weights are known only after the update" in comment([later])


def test_no_gate_is_asked_before_a_rule_that_is_not_there_or_does_not_change() -> None:
    gone = made(traffic("delete", rule(100, 0), None))
    for event in (made(still()), moved((100, 0), (90, 10)), traffic("create", None, rule(100, 0)), gone):
        assert "Gate" not in comment([report(event, ask=balancer(100, 0))])


def test_what_an_update_costs_is_told_at_its_peak_and_only_if_it_differs() -> None:
    two, four = (Need(pods=pods, cpu=pods * 250, memory=pods * 2**28) for pods in (2, 4))

    def told(before: Need, during: Need, after: Need) -> str:
        service = Service(
            name="shop", url="", before={"blue": 100}, after={"blue": 100},
            cost=Cost(before=before, during=during, after=after),
        )  # fmt: skip
        change = Change(op=Op.UPDATE, name="x", type="Deployment", group="shop")
        return comment([Report(stack="production", services=[service], changes=[change])])

    two_said, four_said = "2 pods (0.5 CPU, 512 MiB)", "4 pods (1 CPU, 1024 MiB)"
    cost = "- **Cost**: shop, at its peak:"
    assert f"{cost} {two_said} before and after, {four_said} during the update\n" in told(two, four, two)
    assert f"{cost} {two_said} → {four_said}\n" in told(two, four, four)
    assert f"{cost} 0 pods → {two_said}, {four_said} during the update\n" in told(Need(), four, two)
    assert "Cost" not in told(two, two, two)


def test_new_pods_are_told_with_what_they_cost_and_what_is_unknown_is_not() -> None:
    assert "**Cost**: shop, at its peak: 1 pod (0 CPU, 0 MiB) before and after, 2 pods" in said(
        still(), deployed("green")
    )
    unknown = deployed("green")
    unknown["resourcePreEvent"]["metadata"]["new"]["inputs"]["spec"]["replicas"] = UNKNOWN
    assert "**Cost**: shop: how many pods it has is known only after the update" in said(still(), unknown)
    assert "Cost" not in said(moved((100, 0), (90, 10)))


def test_a_comment_says_when_and_for_what_it_is_true() -> None:
    first = replace(report(still()), at="2026-12-01 05:49 UTC")
    second = replace(first, stack="staging", at="2026-12-01 05:47 UTC")
    aged = (
        "_Previewed 2026-12-01 05:47 UTC, merged into 1a2b3c4d5e6f. What has been merged or moved since is not in it._"
    )
    assert aged in comment([first, second], "1a2b3c4d5e6f").splitlines()
    assert "_Previewed 2026-12-01 05:49 UTC. What" in comment([first])
    assert "_merged into 1a2b3c4d5e6f. What" in comment([report(still())], "1a2b3c4d5e6f")


def test_a_service_that_is_new_has_nothing_live() -> None:
    (sentence,) = sentences(report(traffic("create", None, rule(100, 0))))
    assert "new, blue 100 %, green 0 %" in sentence


def test_a_comment_begins_with_its_marker_and_then_says_what_happens_to_traffic() -> None:
    first, second, *_ = said(moved((100, 0), (0, 100))).splitlines()
    assert first == MARKER
    assert "blue 100 → 0 %, green 0 → 100 %" in second


def test_weights_are_told_by_color_and_as_a_picture() -> None:
    text = said(moved((100, 0), (75, 25)))
    assert "-   weight of green: 0\n+   weight of green: 25" in text
    assert f"green   {'░' * 20}   0 %  {'█' * 5}{'░' * 15}  25 %" in text


def test_only_weights_of_a_production_rule_are_traffic_alone() -> None:
    assert report(moved((100, 0), (0, 100))).not_traffic == []
    sticky = traffic("update", rule(100, 0), rule(0, 100, stickiness={}), ["actions[0].forward.stickiness"])
    assert [change.name for change in report(sticky).not_traffic] == ["shop-traffic-production"]


def test_stickiness_that_goes_with_the_weights_is_traffic_alone() -> None:
    on, off = ({"stickiness": {"enabled": enabled, "duration": 120}} for enabled in (True, False))
    paths = [*(f"actions[0].forward.targetGroups[{n}].weight" for n in (0, 1)), "actions[0].forward.stickiness.enabled"]
    assert report(traffic("update", rule(100, 0, **off), rule(90, 10, **on), paths)).not_traffic == []
    longer = [*paths, "actions[0].forward.stickiness.duration"]
    assert report(traffic("update", rule(100, 0, **off), rule(90, 10, **on), longer)).not_traffic


def test_the_canary_header_that_goes_with_a_flip_is_traffic_alone_and_is_told() -> None:
    def state(header: str) -> dict[str, Any]:
        told = {"url": "https://shop.example.com", "weights": {"blue": 100, "green": 0}, "canaryHeader": header}
        return {"outputs": {"services": {"shop": told}}}

    sides = {"old": state("green"), "new": state("blue")}
    told = {"resOutputsEvent": {"metadata": {"op": "same", "urn": STACK, "type": "pulumi:pulumi:Stack", **sides}}}
    kind = f"{SERVICE}$hueshift:traffic_split:TrafficSplit$aws:lb/listenerRule:ListenerRule"
    old, new = ({"actions": [{"type": "forward", "targetGroupArn": arn}]} for arn in ("green", "blue"))
    path = ["actions[0].targetGroupArn"]
    header = step("update", kind, "shop-traffic-canary", urn(SERVICE, "shop"), old=old, new=new, diff=path)
    found = report(told, moved((100, 0), (0, 100)), header)
    assert found.not_traffic == []
    assert "green 0 → 100 %, x-canary green → blue; 2 resources change" in next(iter(sentences(found)))


def worker(color: str, path: str = "spec.replicas") -> Event:
    labels = {"hueshift.dev/color": color, "hueshift.dev/workload": "mailer"}
    old, new = ({"metadata": {"labels": labels}, "spec": {"replicas": count}} for count in (2, 0))
    kind = f"{SERVICE}$kubernetes:apps/v1:Deployment"
    return step("update", kind, f"shop-{color}-mailer", urn(SERVICE, "shop"), old=old, new=new, diff=[path])


def test_a_workload_that_follows_the_active_color_goes_with_a_flip_and_nothing_else_of_it_does() -> None:
    flipped = report(moved((100, 0), (0, 100)), worker("blue"))
    assert flipped.not_traffic == []
    assert len(flipped.changes) == 2
    assert [change.downtime for change in flipped.changes] == [None, None]
    template = "spec.template.spec.containers[0].image"
    assert report(moved((100, 0), (0, 100)), worker("blue", template)).not_traffic
    alone = report(still(), worker("blue"))
    assert [change.name for change in alone.not_traffic] == ["shop-blue-mailer"]


def test_another_load_balancer_is_told_as_an_outage() -> None:
    ops = [
        step(
            op, "hueshift:edge:Edge$aws:lb/loadBalancer:LoadBalancer", "edge-alb", STACK, old={"internal": True}, new={}
        )
        for op in ("create-replacement", "replace", "delete-replaced")
    ]
    assert "**Downtime**: edge-alb, replaced: every service is down" in said(still(), *ops)


def test_a_new_image_on_the_idle_color_is_no_news_for_users() -> None:
    text = said(outputs({"green": "1.6.0"}, {"green": "1.5.0"}), still(), deployed("green"))
    assert "traffic stays (blue 100 %, green 0 %), green 1.5.0 → 1.6.0; 1 resource changes" in text
    assert "Live" not in text
    assert "Downtime" not in text


def test_new_pods_for_the_color_that_serves_are_pointed_out() -> None:
    assert "**Live**: shop-blue-deployment, new pods for blue, which serves users" in said(still(), deployed("blue"))


def test_strategy_recreate_is_told_as_downtime() -> None:
    text = said(still(), deployed("blue", "Recreate"))
    assert "**Downtime**: shop-blue-deployment, strategy recreate" in text
    assert "Live" not in text


@pytest.mark.parametrize(
    ("order", "notice"),
    [
        (["delete-replaced", "replace", "create-replacement"], "deleted before it is created again: requests fail"),
        (["create-replacement", "replace", "delete-replaced"], "replaced: requests that still use the old one"),
        # Deleted by an update that was interrupted.
        (["replace", "create-replacement", "remove-pending-replace"], "deleted before it is created again"),
        # The preview failed before it came to the deletions.
        (["create-replacement", "replace"], "replaced: requests that still use the old one"),
    ],
)
def test_a_replacement_of_what_serves_is_told_as_downtime(order: Sequence[str], notice: str) -> None:
    text = said(still(), *(group(op, "blue") for op in order))
    assert f"**Downtime**: shop-tg-blue, {notice}" in text
    assert "1 resource is replaced" in text
    assert "(forces replacement)" in text


def test_a_replacement_in_a_color_without_traffic_is_no_downtime() -> None:
    ops = ["delete-replaced", "replace", "create-replacement"]
    assert "Downtime" not in said(still(), *(group(op, "green") for op in ops))


def test_a_color_that_is_parked_while_it_loses_its_traffic_is_downtime() -> None:
    kind = f"{SERVICE}$hueshift:color_environment:ColorEnvironment$kubernetes:apps/v1:Deployment"
    old, new = pods("blue", "shop:1"), pods("blue", "shop:1")
    new["spec"]["replicas"] = 0
    parked = step(
        "update", kind, "shop-blue-deployment", urn(SERVICE, "shop"), old=old, new=new, diff=["spec.replicas"]
    )
    assert "**Downtime**: shop-blue-deployment, parked while it has traffic" in said(moved((100, 0), (0, 100)), parked)
    assert "Downtime" not in said(still(0, 100), parked)


def test_another_address_of_a_service_that_stays_is_downtime() -> None:
    event = traffic("update", rule(100, 0), rule(100, 0), ["conditions[0].hostHeader.values[0]"])
    assert "**Downtime**: shop-traffic-production, its host changes" in said(event)


def test_a_record_is_missed_only_if_its_service_stays() -> None:
    kind = "hueshift:edge:Edge$hueshift:dns:AliasRecords$aws:route53/record:Record"
    record = step(
        "delete", kind, "edge-records-shop", urn("hueshift:edge:Edge", "edge"), old={"name": "shop.example.com"}
    )
    told = outputs({"blue": "1"})
    assert "**Downtime**: edge-records-shop, deleted: the name" in said(told, still(), record)
    assert "Downtime" not in said(told, traffic("delete", rule(100, 0), None), record)


@pytest.mark.parametrize("op", ["delete", "replace"])
def test_the_rule_of_the_canary_header_is_nobodys_downtime(op: str) -> None:
    kind = f"{SERVICE}$hueshift:traffic_split:TrafficSplit$aws:lb/listenerRule:ListenerRule"
    ops = ["delete"] if op == "delete" else ["create-replacement", "replace", "delete-replaced"]
    events = [step(each, kind, "shop-traffic-canary", urn(SERVICE, "shop"), old={"priority": 1}) for each in ops]
    assert "Downtime" not in said(still(), *events)


def test_a_secret_in_another_version_comes_and_goes_and_alarms_nobody() -> None:
    kind = f"{SERVICE}$hueshift:color_environment:ColorEnvironment$kubernetes:external-secrets.io/v1:ExternalSecret"
    labels = {"metadata": {"labels": {"hueshift.dev/color": "blue"}}}
    events = [
        step("create", kind, "shop-blue-app-1a2b3c4d", urn(SERVICE, "shop"), new=labels),
        step("delete", kind, "shop-blue-app-5e6f7a8b", urn(SERVICE, "shop"), old=labels),
    ]
    text = said(still(), deployed("blue"), *events)
    assert "1 resource changes, 1 is created, 1 is deleted, nothing is replaced" in text
    assert "Downtime" not in text


def test_a_new_service_and_one_that_goes_are_told_as_such() -> None:
    assert "shop**: new, blue 100 %, green 0 %; 1 resource is created" in said(traffic("create", None, rule(100, 0)))
    gone = said(traffic("delete", rule(100, 0), None))
    assert "shop**: removed with its address; it had blue 100 %, green 0 %; 1 resource is deleted" in gone


def test_what_services_share_is_told_apart() -> None:
    edge = "hueshift:edge:Edge"
    change = step("update", f"{edge}$aws:lb/loadBalancer:LoadBalancer", "edge-alb", urn(edge, "edge"), old={}, new={})
    text = said(still(), component(edge, "edge"), change)
    assert "**production**, shared by its services (edge): 1 resource changes" in text
    assert "**production**: shop stays as it is" in text


def test_a_flip_says_which_version_users_get() -> None:
    versions = {"blue": "1.4.0", "green": "1.5.0"}
    found = report(still(), moved((100, 0), (0, 100)), outputs(versions))
    assert next(sentences(found)).startswith("**production/shop**: blue 1.4.0 100 → 0 %, green 1.5.0 0 → 100 %; ")


def test_users_that_get_pods_which_nobody_has_tried_are_pointed_out() -> None:
    assert (
        "**Live**: shop-green-deployment, green gets new pods and users in one update, so nobody tries them before"
    ) in said(moved((100, 0), (0, 100)), deployed("green"))
    assert "**Live**" not in said(still(), deployed("green"))


def sized(least: int, most: int) -> dict[str, Any]:
    return {"metadata": {"labels": {"hueshift.dev/color": "blue"}}, "spec": {"minReplicas": least, "maxReplicas": most}}


@pytest.mark.parametrize(
    ("new", "path", "told"),
    [
        ((1, 12), "spec.minReplicas", "fewer pods for blue, which serves users: minReplicas 4 → 1"),
        ((4, 6), "spec.maxReplicas", "fewer pods for blue, which serves users: maxReplicas 12 → 6"),
        ((6, 12), "spec.minReplicas", None),
    ],
)
def test_fewer_pods_for_the_color_that_serves_are_pointed_out(
    new: tuple[int, int], path: str, told: str | None
) -> None:
    kind = f"{SERVICE}$hueshift:color_environment:ColorEnvironment$kubernetes:autoscaling/v2:HorizontalPodAutoscaler"
    shop = urn(SERVICE, "shop")
    cut = step("update", kind, "shop-blue-autoscaler", shop, old=sized(4, 12), new=sized(*new), diff=[path])
    text = said(still(), cut)
    assert (f"**Live**: shop-blue-autoscaler, {told}" in text) if told else "**Live**" not in text


def test_another_health_check_of_the_color_that_serves_is_pointed_out() -> None:
    kind = f"{SERVICE}$hueshift:target_groups:TargetGroups$aws:lb/targetGroup:TargetGroup"
    old, new = ({"tags": {"color": "blue"}, "healthCheck": {"path": path}} for path in ("/health", "/nope"))
    shop, diff = urn(SERVICE, "shop"), ["healthCheck.path"]
    text = said(still(), step("update", kind, "shop-tg-blue", shop, old=old, new=new, diff=diff))
    assert "**Live**: shop-tg-blue, another health check for blue, which serves users" in text
    text = said(still(0, 100), step("update", kind, "shop-tg-blue", shop, old=old, new=new, diff=diff))
    assert "**Live**" not in text


@pytest.mark.parametrize(
    "kind",
    [
        "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule",
        "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
        "aws:lb/listenerCertificate:ListenerCertificate",
    ],
)
def test_what_lets_requests_in_and_goes_is_downtime(kind: str) -> None:
    gone = step("delete", f"hueshift:edge:Edge${kind}", "edge-lets-in", urn("hueshift:edge:Edge", "edge"), old={})
    assert "**Downtime**: edge-lets-in, deleted: what it lets in is refused" in said(still(), gone)


@pytest.mark.parametrize(("how", "told"), [("delete", True), ("update", False), ("add", False)])
def test_a_network_policy_that_lets_less_in_is_downtime(how: str, told: bool) -> None:
    kind = f"{SERVICE}$hueshift:color_environment:ColorEnvironment$kubernetes:networking.k8s.io/v1:NetworkPolicy"
    old = {"metadata": {"labels": {"hueshift.dev/color": "blue"}}}
    less = step(
        "update", kind, "shop-blue-network", urn(SERVICE, "shop"), old=old, new=old, diff=["spec.ingress[1]"], how=how
    )
    assert ("**Downtime**: shop-blue-network, narrowed" in said(still(), less)) is told


def test_what_is_taken_over_is_not_made() -> None:
    taken = traffic("import", rule(100, 0), rule(100, 0))
    assert "**production/shop**: traffic stays (blue 100 %, green 0 %); 1 resource is taken over as it is" in said(
        taken
    )


def test_a_replacement_by_something_taken_over_is_there_before_the_old_one_goes() -> None:
    steps = [group(op, "blue") for op in ("import-replacement", "replace", "delete-replaced")]
    assert "replaced: requests that still use the old one are cut off when it is deleted" in said(still(), *steps)


def test_what_moves_below_another_component_without_an_alias_is_warned_of() -> None:
    kind = "kubernetes:core/v1:Service"
    old, new = (f"{SERVICE}${above}${kind}" for above in ("hueshift:a:A", "hueshift:b:B"))
    gone = step("delete", old, "shop-blue-service", urn(SERVICE, "shop"), old={})
    made = step("create", new, "shop-blue-service", urn(SERVICE, "shop"), new={})
    text = said(still(), made, gone)
    assert "**Warning**: shop-blue-service (Service) would be created while the old one is still there" in text
    assert "give it an alias" in text


def test_a_stack_without_changes_is_one_line() -> None:
    assert said(still()).splitlines() == [MARKER, "- **production**: nothing changes"]


def test_a_color_that_comes_or_goes_without_traffic_moves_none() -> None:
    alone = {"actions": [{"forward": {"targetGroups": [{"arn": "blue", "weight": 100}]}}]}
    path = ["actions[0].forward.targetGroups[1]"]
    text = said(
        traffic("update", rule(100, 0), alone, path), outputs({"blue": "1.5.0"}, {"blue": "1.5.0", "green": "1.4.0"})
    )
    assert "traffic stays (blue 100 %), green 1.4.0 → none; 1 resource changes" in text
    assert "░" not in text
    assert [change.name for change in report(traffic("update", alone, rule(100, 0), path)).not_traffic]


def test_weights_belong_to_their_groups_in_whatever_order_a_refresh_has_found_them() -> None:
    turned = rule(30, 70)
    turned["actions"][0]["forward"]["targetGroups"].reverse()
    paths = [f"actions[0].forward.targetGroups[{number}].{key}" for number in (0, 1) for key in ("arn", "weight")]
    found = report(traffic("update", turned, rule(100, 0), paths))
    assert "blue 30 → 100 %, green 70 → 0 %" in next(sentences(found))
    assert found.not_traffic == []
    assert [value.path for value in found.changes[0].values] == ["weight of blue", "weight of green"]


def test_a_rule_that_leads_to_another_group_is_more_than_weights() -> None:
    other = rule(0, 100)
    other["actions"][0]["forward"]["targetGroups"][1]["arn"] = UNKNOWN
    path = ["actions[0].forward.targetGroups[1].arn", "actions[0].forward.targetGroups[1].weight"]
    assert report(traffic("update", rule(100, 0), other, path)).not_traffic


def test_a_rule_that_somebody_has_deleted_serves_nobody_until_it_is_new() -> None:
    gone = traffic("refresh", rule(100, 0), rule(100, 0))
    first, second = sentences(report(gone, traffic("create", None, rule(100, 0))))
    assert first == "**production/shop: users reach nothing now**, its production rule has been deleted"
    assert "shop**: created again, blue 100 %" in second


def test_drift_is_what_the_program_would_put_back() -> None:
    seen = traffic("refresh", rule(100, 0), rule(70, 30))
    (sentence,) = sentences(report(seen, moved((70, 30), (100, 0))))
    assert "blue 70 → 100 %, green 30 → 0 %" in sentence


def test_unknown_and_secret_values_are_named_and_never_guessed(project: Path) -> None:
    kind = f"{SERVICE}$kubernetes:core/v1:ConfigMap"
    old = {"data": {"A": SECRET, "B": "1"}, "more": {"C": "1"}, "all": SECRET}
    new = {"data": {"A": SECRET, "B": UNKNOWN}, "more": UNKNOWN, "all": SECRET}
    diff = ["data.A", "data.B", "more.C", "all.D"]
    tell(project, still(), step("update", kind, "shop-config", urn(SERVICE, "shop"), old=old, new=new, diff=diff))
    text = run("--stack", "production").stdout
    assert "-   data.A: [secret]\n+   data.A: [secret]" in text
    assert "+   data.B: (known after the update)" in text
    assert "-   more.C: 1\n+   more.C: (known after the update)" in text
    assert "+   all.D: [secret]" in text


def test_a_value_cannot_end_the_block_that_it_is_in() -> None:
    kind = f"{SERVICE}$kubernetes:core/v1:ConfigMap"
    old, new = {"data": {"A": "1"}}, {"data": {"A": "```\n# Approved"}}
    text = said(still(), step("update", kind, "shop-config", urn(SERVICE, "shop"), old=old, new=new, diff=["data.A"]))
    assert "\n````diff\n" in text
    assert "\n# Approved" not in text


def violation(name: str, *, mandatory: bool) -> Violation:
    return Violation(policy=name, mandatory=mandatory, resource="edge-alb", problem="it is open", remedy="Close it.")


def test_a_refusal_by_policy_comes_first_and_advice_is_folded() -> None:
    findings = [violation("tls", mandatory=True), violation("spread-pods", mandatory=False)]
    found = replace(report(moved((100, 0), (90, 10))), violations=findings, policies=27)
    text = comment([found])
    assert text.splitlines()[1] == "- **production: refused by policy (tls)**"
    assert "**Refused** by `tls`: edge-alb: it is open. Close it." in text
    assert "<details><summary>Policy: 27 checks, 1 with advice</summary>" in text
    assert "Policy: all 27 checks pass." in comment([replace(found, violations=[])])


def test_what_stands_in_angle_brackets_is_read_and_not_taken_for_html() -> None:
    remedy = "Remedy: image: <repository>@<digest>."
    findings = [replace(violation(name, mandatory=name == "tls"), remedy=remedy) for name in ("tls", "pinned-images")]
    text = comment([replace(report(still()), violations=findings, policies=27, warnings=["set <key>"])])
    assert text.count("&lt;repository&gt;@&lt;digest&gt;") == 2
    assert "set &lt;key&gt;" in text


def test_a_refusal_by_policy_is_no_failure_of_another_kind() -> None:
    description = "An open door is closed. Remedy: Close it."
    finding = {"policyName": "tls", "enforcementLevel": "mandatory", "message": f"{description}\nit is open\n"}
    noise = {"severity": "error", "message": "preview failed\n"}
    found = report(still(), {"policyEvent": finding}, {"diagnosticEvent": noise})
    assert found.failed
    assert found.errors == []
    assert report(still(), {"diagnosticEvent": noise}).errors == ["preview failed"]


def many(services: int, values: int, length: int = 10) -> Report:
    """Return a report with that much in it."""
    names = [f"service-{number}" for number in range(services)]
    value = Value(path="data.KEY", before="a" * length, after="b" * length, replaces=False)
    return Report(
        stack="production",
        services=[Service(name=name, url="", before={"blue": 100}, after={"blue": 90, "green": 10}) for name in names],
        changes=[
            Change(op=op, name=f"{name}-{op}", type="ConfigMap", group=name, values=[value] * values)
            for name in names
            for op in (Op.UPDATE, Op.CREATE)
        ],
        policies=27,
        violations=[violation(f"policy-{number}", mandatory=False) for number in range(200)],
    )


@pytest.mark.parametrize(
    ("size", "folded"), [((1, 1), 0), ((20, 150), 3), ((100, 20), 3), ((140, 3), 5), ((1_000, 1), len(FOLDS))]
)
def test_a_comment_that_is_too_long_loses_the_least_important_and_says_so(size: tuple[int, int], folded: int) -> None:
    text = comment([many(*size)])
    assert len(text) <= LIMIT
    kept = [line for line in text.splitlines() if line.startswith("- **production/service-")]
    if size[0] <= 140:
        assert len(kept) == size[0]
    assert ("Left out" in text) is bool(folded) or "Cut here" in text
    for number, fold in enumerate(FOLDS, 1):
        if "Cut here" not in text:
            assert (fold in text) is (number <= folded), fold


pieces = ["a", "\n", "\r", " ", "`", "```", "`" * 70, "<details>", "</details>", "~~~"]
texts = st.lists(st.sampled_from(pieces), max_size=9).map("".join)
names = st.sampled_from(["shop", "edge", "x" * 300])
violations = st.builds(Violation, policy=names, mandatory=st.booleans(), resource=names, problem=texts, remedy=texts)
changes = st.builds(
    Change,
    op=st.sampled_from(Op),
    name=names,
    type=names,
    group=names,
    values=st.lists(st.builds(Value, path=names, before=texts, after=texts, replaces=st.booleans()), max_size=2),
    downtime=st.none() | names,
    live=st.none() | names,
)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(violations, max_size=3),
    st.lists(changes, max_size=3),
    st.lists(texts | st.sampled_from(["a" * 2 * LIMIT, "`" * 2 * LIMIT]), max_size=2),
    st.integers(1, 400),
    st.integers(0, 50),
)
def test_a_comment_of_whatever_length_fits_and_ends_outside_of_code_and_folds(
    found: list[Violation], touched: list[Change], errors: list[str], times: int, more: int
) -> None:
    whole = Report(
        stack="x", changes=touched * times, violations=found * more, policies=9, warnings=errors, errors=errors
    )
    text = comment([replace(whole, errors=[]), whole])
    assert len(text) <= LIMIT
    fence, folds = "", 0
    for line in re.split("\r\n|\r|\n", text):
        if fence:
            closes = re.fullmatch(" {0,3}(`+) *", line)
            fence = "" if closes and len(closes[1]) >= len(fence) else fence
        elif opens := re.match(" {0,3}(`{3,})[^`]*$", line):
            fence = opens[1]
        else:
            folds += line.startswith("<details") - (line == "</details>")
            assert folds in (0, 1)
    assert (fence, folds) == ("", 0)


def test_what_is_cut_in_the_middle_of_an_error_says_so_below_it() -> None:
    text = comment([Report(stack="production", errors=["x" * 2 * LIMIT])])
    assert text.endswith("x\n```\n\n_Cut here: too long for a comment. `hueshift preview` shows all of it._\n")


PULUMI = """#!/bin/sh
while [ $# -gt 0 ]; do [ "$1" != --stack ] || stack=$2; shift; done
cat "$stack.err" >&2 2>/dev/null
cat "$stack.jsonl" 2>/dev/null
[ ! -f "$stack.err" ]
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project with the stacks production, where a tenth goes to green, and staging, which fails."""
    program = tmp_path / "bin/pulumi"
    program.parent.mkdir()
    program.write_text(PULUMI)
    program.chmod(0o755)
    (tmp_path / "Pulumi.yaml").write_text("name: hueshift\n")
    for stack in ("production", "staging"):
        (tmp_path / f"Pulumi.{stack}.yaml").write_text("config: {}\n")
    (tmp_path / "staging.err").write_text(f"error: no such file: {tmp_path}/x\n")
    tell(tmp_path, still(), moved((100, 0), (90, 10)))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PULUMI_STACK", raising=False)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


def tell(project: Path, *events: Event, escape: bool = True, counted: Mapping[str, int] | None = None) -> None:
    """Let the engine tell of events, and of its count of them unless another is given."""
    above = [component("pulumi:pulumi:Stack", "hueshift-production", ""), component(SERVICE, "shop")]
    told = [*above, *events]
    ops = Counter(event["resourcePreEvent"]["metadata"]["op"] for event in told if "resourcePreEvent" in event)
    ended = {"summaryEvent": {"resourceChanges": ops if counted is None else counted}}
    lines = "\n".join(json.dumps(event, ensure_ascii=escape) for event in [*told, ended])
    (project / "production.jsonl").write_text(lines)


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["preview", *words])


@pytest.mark.usefixtures("project")
def test_a_stack_that_fails_hides_no_other_and_shows_no_path_of_this_machine() -> None:
    done = run("-s", "production", "-s", "staging")
    assert done.exit_code == 1
    assert "- **production/shop**: blue 100 → 90 %" in done.stdout
    assert "- **staging: the preview failed, and so would an update**" in done.stdout
    assert "no such file: ./x" in done.stdout
    assert "error: staging: the preview failed" in done.stderr


def test_stacks_are_previewed_at_once_and_told_in_their_order(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    (project / "bin/pulumi").write_text(f"""#!/bin/bash
[[ $* == *production* ]] && here=production there=staging || here=staging there=production
touch {project}/$here.begun
timeout 5 bash -c 'until [ -e {project}/'$there'.begun ]; do sleep 0.05; done' || echo "$here was alone" >&2
exit 1
""")
    reports = json.loads(run("-s", "production", "-s", "staging", "--json").stdout)
    assert [(report["stack"], report["errors"]) for report in reports] == [
        (stack, ["pulumi preview exited with 1 and no message"]) for stack in ("production", "staging")
    ]


@pytest.mark.usefixtures("project")
def test_without_a_name_the_selected_stack_alone_is_previewed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hueshift.stack._selected", lambda *_: "organization/hueshift/production")
    assert [report["stack"] for report in json.loads(run("--json").stdout)] == ["production"]
    monkeypatch.setenv("PULUMI_STACK", "staging")
    assert [report["stack"] for report in json.loads(run("--json").stdout)] == ["staging"]


def test_without_a_name_and_a_selected_stack_nothing_is_previewed(project: Path) -> None:
    (project / "bin/pulumi").write_text("#!/bin/sh\necho 'error: no stack selected' >&2\nexit 1\n")
    done = run()
    assert (done.exit_code, done.stdout) == (1, "")
    assert "no stack selected" in done.stderr


@pytest.mark.usefixtures("project")
def test_a_flip_passes_as_one() -> None:
    assert run("--stack", "production", "--flip-only").exit_code == 0


def test_a_stack_whose_settings_or_credentials_do_not_hold_is_told_by_its_state(project: Path) -> None:
    tell(project, made(moved((100, 0), (90, 10))))
    done = run("--stack", "production")
    assert done.exit_code == 0
    assert "the load balancer could not be read (no AWS session for production: SettingsError)" in done.stdout


def test_the_comment_names_the_commit_that_it_is_merged_into(project: Path) -> None:
    assert re.search(r"^_Previewed 20\d\d-\d\d-\d\d \d\d:\d\d UTC\. What", run("-s", "production").stdout, re.MULTILINE)
    for words in (["init"], ["-c", "user.name=x", "-c", "user.email=x@example.com", "commit", "--allow-empty", "-mx"]):
        subprocess.run(["git", *words, "--quiet"], cwd=project, check=True)
    head = subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=project, text=True)
    assert f"UTC, merged into {head[:12]}. What" in run("-s", "production", "--base", "HEAD").stdout
    lost = run("-s", "production", "--base", "<lost>")
    assert (lost.exit_code, "merged into &lt;lost&gt;, which is not known here" in lost.stdout) == (0, True)


def test_what_is_more_than_a_flip_is_named(project: Path) -> None:
    tell(project, moved((100, 0), (0, 100)), deployed("green"))
    done = run("--stack", "production", "--flip-only")
    assert done.exit_code == 1
    assert "production: more than weights would change: shop-green-deployment (update)" in done.stderr
    assert "traffic-production" not in done.stderr


def test_a_refactoring_may_change_nothing(project: Path) -> None:
    assert (
        "no changes expected, but these would change: shop-traffic"
        in run("-s", "production", "--expect-no-changes").stderr
    )
    tell(project, still())
    assert run("-s", "production", "--expect-no-changes").exit_code == 0


def test_reports_of_several_machines_are_joined_into_one_comment(project: Path) -> None:
    for stack in ("production", "staging"):
        (project / f"{stack}.json").write_text(run("--stack", stack, "--json").stdout)
    (project / "bin/pulumi").unlink()
    done = run("--from", "production.json", "--from", "staging.json")
    assert done.exit_code == 1
    assert [line for line in done.stdout.splitlines() if line.startswith("- **")] == [
        "- **production/shop**: blue 100 → 90 %, green 0 → 10 %; 1 resource changes, nothing is replaced",
        "- **staging: the preview failed, and so would an update**",
    ]


def test_json_is_the_report_itself() -> None:
    found = many(1, 1)
    assert json.loads(json.dumps([asdict(found)]))[0]["changes"][0]["op"] == "update"


def test_a_file_that_is_no_report_is_refused(project: Path) -> None:
    (project / "x.json").write_text("{}")
    done = run("--from", "x.json")
    assert done.exit_code == 1
    assert "x.json is not what `hueshift preview --json` prints: Input should be a valid array; write it" in done.stderr
    assert run("--from", "y.json").stderr == "error: y.json cannot be read: No such file or directory\n"


@pytest.mark.parametrize("option", ["--refresh", "--stack=production"])
def test_what_asks_an_engine_is_refused_beside_files_that_were_printed_before(project: Path, option: str) -> None:
    (project / "x.json").write_text("[]")
    done = run("--from", "x.json", option)
    assert (done.exit_code, done.stdout) == (1, "")
    assert "cannot be combined with --stack or --refresh" in done.stderr


def test_a_line_that_is_cut_short_is_a_failure_and_no_whole_preview(project: Path) -> None:
    with (project / "production.jsonl").open("a") as file:
        file.write('\n{"sequence": 7, "resourcePre')
    done = run("-s", "production")
    assert done.exit_code == 1
    assert "production: the preview failed" in done.stdout
    assert "is incomplete; was it killed? Run it again" in done.stdout


def test_an_engine_that_ends_without_a_summary_has_previewed_nothing(project: Path) -> None:
    (project / "production.jsonl").write_text("")
    done = run("--stack", "production")
    assert done.exit_code == 1
    assert "the engine ended without a summary: this is no whole preview" in done.stdout


def test_an_engine_that_is_not_understood_hides_no_other_stack(project: Path) -> None:
    (project / "staging.err").unlink()
    (project / "staging.jsonl").write_text(json.dumps({"resourcePreEvent": {"metadata": {"op": "same"}}}))
    done = run("--stack", "production", "--stack", "staging")
    assert done.exit_code == 1
    assert "- **production/shop**: blue 100 → 90 %" in done.stdout
    assert "the engine said what this hueshift does not understand (KeyError: 'urn')" in done.stdout


def test_text_with_other_ends_of_a_line_is_read(project: Path) -> None:
    kind = f"{SERVICE}$kubernetes:core/v1:ConfigMap"
    old, new = {"data": {"A": "1"}}, {"data": {"A": "a\x85b"}}
    event = step("update", kind, "shop-config", urn(SERVICE, "shop"), old=old, new=new, diff=["data.A"])
    tell(project, still(), event, escape=False)
    assert run("--stack", "production").exit_code == 0


@pytest.mark.parametrize(
    ("folder", "home", "text", "shown"),
    [
        ("/app", "/root", "no /app/x.py, /app: /root/.cache and /root", "no ./x.py, .: ~/.cache and ~"),
        ("/app", "/root", r"first\n/app/x.py\t/root/y", r"first\n./x.py\t~/y"),
        ("/app", "/root", "staging/shop/app, /apple, ./app, https://x/root/y", None),
        ("/srv/app", "/", "https://shop.example.com/ at /etc/x", None),
    ],
)
def test_a_path_of_this_machine_is_cut_and_what_only_looks_like_one_is_not(
    folder: str, home: str, text: str, shown: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", home)
    assert _without_paths(text, Path(folder)) == (shown or text)


def mirrored(weights: Sequence[tuple[str, int]]) -> dict[str, Any]:
    groups = [{"arn": arn, "weight": weight} for arn, weight in weights]
    return {"actions": [{"type": "forward", "forward": {"targetGroups": groups}}]}


@pytest.mark.parametrize("mirrors", [("arn-blue-mirror", "arn-green-mirror"), (UNKNOWN, UNKNOWN)])
def test_what_a_mirror_answers_counts_for_its_color(mirrors: tuple[str, str]) -> None:
    before = mirrored([("arn-blue", 100), ("arn-green", 0)])
    after = mirrored([("arn-blue", 80), ("arn-green", 0), (mirrors[0], 20), (mirrors[1], 0)])
    found = report(traffic("update", before, after, ["actions[0].forward.targetGroups[0].weight"]))
    (service,) = found.services
    assert service.after == {"blue": 100, "green": 0}
