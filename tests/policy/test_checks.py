"""The readiness checklist: the production stack passes all of it, and each check sees its own mistake and no other."""

import copy
import json
from collections.abc import Callable
from functools import cache
from typing import Any

import pulumi
import pytest
from pulumi_policy import (
    EnforcementLevel,
    PolicyCustomTimeouts,
    PolicyResource,
    PolicyResourceOptions,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.proxy import UNKNOWN_BOOLEAN_VALUE, UNKNOWN_STRING_VALUE, unknown_checking_proxy

from components.rules import NOT_SECRETS
from components.service.feature_flags import FeatureFlags
from components.service.image import ImageRepository, ImageRepositoryArgs
from policy import checks as ready
from policy import pack
from policy.checks import CHECKS, Check, Resource
from sandbox.engine import Engine as SandboxEngine
from tests.support import samples
from tests.support.engine import Engine, in_stack, installed
from tests.support.program import ROOT, Config, run, unchanged

Change = Callable[[dict[str, Any]], None]


def resources(engine: Engine) -> list[Resource]:
    return [
        Resource(r.type, r.name, copy.deepcopy({**r.inputs, **r.computed}), r.request.protect)
        for r in engine.registrations.values()
        if r.custom
    ]


@cache
def compliant() -> tuple[Resource, ...]:
    """Return what the production stack file asks for, and a repository as the stack that owns one has it."""
    with installed(stack="production") as engine:

        async def repository(_: object) -> None:
            args = ImageRepositoryArgs(context=samples.SHOP, reader_accounts=["444455556666"])
            ImageRepository("shop", args)
            FeatureFlags("flags", samples.FLAGS)
            await engine.settle()

        in_stack(repository)(engine)
    return (*resources(unchanged("production")), *resources(engine))


def found(stack: list[Resource]) -> dict[str, list[str]]:
    """Return the names of the resources that each check reports."""
    reports: dict[str, list[str]] = {}
    for check in CHECKS:
        for resource in stack if check.problems else ():
            if check.concerns(resource) and check.problems is not None:
                reports.setdefault(check.name, []).extend(resource.name for _ in check.problems(resource))
        if check.stack is not None:
            reports.setdefault(check.name, []).extend(resource.name for resource, _ in check.stack(stack))
    return {name: sorted(names) for name, names in reports.items() if names}  # in whatever order they were registered


def test_the_production_stack_passes_every_check() -> None:
    assert found(list(compliant())) == {}


def test_headers_that_services_send_are_missing_nowhere_but_where_that_is_said() -> None:
    def left(values: Config) -> None:
        values["hueshift:loadBalancer"]["headersFromServices"] = ["content-security-policy"]

    stack = resources(run("production", left))
    assert found(stack) == {}
    for resource in stack:
        if resource.type == ready.LISTENER:
            resource.properties["tags"].pop("headers-from-services", None)
    assert found(stack) == {"security-headers": ["edge-https", "edge-test"]}


def test_what_is_laid_over_the_pods_is_judged_as_it_comes_out() -> None:
    sidecar = {
        "name": "proxy",
        "image": f"proxy@sha256:{'a' * 64}",
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "32Mi"}},
    }

    def beside(values: Config) -> None:
        app = {"name": "app", "securityContext": {"readOnlyRootFilesystem": False}}
        values["hueshift:services"]["shop"]["podTemplate"] = {
            "spec": {"containers": [app, sidecar]},
            "allow": ["spec.containers[app].securityContext.readOnlyRootFilesystem"],
        }

    shops = ["shop-blue-deployment", "shop-green-deployment"]
    assert found(resources(run("production", beside))) == {"health-probes": shops, "restricted-pods": shops}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_every_check_has_something_to_look_at_and_says_why_and_what_mends_it(check: Check) -> None:
    kinds = {resource.type for resource in compliant()}
    # Nothing here puts a value through Pulumi or writes a policy of its own: their mutations bring one.
    assert kinds & set(check.types)
    assert check.reason.endswith(".")
    assert check.remedy
    assert not check.remedy.endswith(".")


def at(path: str, value: object) -> Change:
    """Return the change that puts a value at a path, ``...`` to remove what is there."""

    def change(properties: dict[str, Any]) -> None:
        *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
        place: Any = properties
        for part in parents:
            place = place[part]
        if value is ...:
            del place[last]
        else:
            place[last] = value

    return change


def an_experiment(properties: dict[str, Any]) -> None:
    """Let a rule share the requests of an experiment, and not keep who gets what."""
    at("tags.experiment", "checkout")(properties)
    for group in properties["actions"][0]["forward"]["targetGroups"]:
        group["weight"] = 50


APP = "spec.template.spec.containers.0"
MUTATIONS: list[tuple[str, str, str, Change]] = [
    # (check, type, name, what is done to it)
    ("pinned-images", ready.DEPLOYMENT, "shop-blue-deployment", at(f"{APP}.image", "shop:1.4.0")),
    ("pinned-images", ready.JOB, "shop-migrate-0002-job", at(f"{APP}.image", "shop:latest")),
    ("resource-limits", ready.DEPLOYMENT, "shop-blue-deployment", at(f"{APP}.resources.limits", ...)),
    ("health-probes", ready.DEPLOYMENT, "shop-blue-deployment", at(f"{APP}.startupProbe", ...)),
    ("restricted-pods", ready.DEPLOYMENT, "shop-blue-deployment", at(f"{APP}.securityContext.capabilities", {})),
    (
        "restricted-pods",
        ready.JOB,
        "shop-migrate-0002-job",
        at("spec.template.spec.securityContext.runAsNonRoot", False),
    ),
    ("graceful-shutdown", ready.DEPLOYMENT, "shop-blue-deployment", at(f"{APP}.lifecycle", ...)),
    (
        "spread-pods",
        ready.DEPLOYMENT,
        "shop-blue-deployment",
        at("spec.template.spec.topologySpreadConstraints", ...),
    ),
    ("no-downtime", ready.DEPLOYMENT, "shop-blue-deployment", at("spec.strategy", {"type": "Recreate"})),
    ("more-than-one-pod", ready.AUTOSCALER, "shop-blue-autoscaler", at("spec.minReplicas", 1)),
    ("more-than-one-pod", ready.DEPLOYMENT, "shop-blue-deployment", at("spec.replicas", 1)),
    ("no-secrets-in-clear", ready.CONFIG_MAP, "shop-blue-config", at("data.API_TOKEN", "obviously-fake")),
    (
        "no-secrets-in-clear",
        ready.DEPLOYMENT,
        "shop-blue-deployment",
        at(f"{APP}.env", [{"name": "URL", "value": "postgresql://u:obviously-fake@db/x"}]),
    ),
    ("tls", ready.LISTENER, "edge-https", at("sslPolicy", "ELBSecurityPolicy-2016-08")),
    ("tls", ready.LISTENER, "edge-https", at("sslPolicy", "ELBSecurityPolicy-TLS13-1-1-2021-06")),
    ("tls", ready.LISTENER, "edge-https", at("sslPolicy", "ELBSecurityPolicy-TLS13-1-2-Ext1-2021-06")),
    ("tls", ready.LISTENER, "edge-https", at("sslPolicy", "ELBSecurityPolicy-TLS13-1-2-Ext2-PQ-2025-09")),
    ("tls", ready.LISTENER, "edge-http", at("defaultActions", [{"type": "fixed-response"}])),
    (
        "security-headers",
        ready.LISTENER,
        "edge-test",
        at("routingHttpResponseStrictTransportSecurityHeaderValue", ...),
    ),
    (
        "security-headers",
        ready.LISTENER,
        "edge-https",
        at("routingHttpResponseAccessControlAllowOriginHeaderValue", "*"),
    ),
    ("careful-load-balancer", ready.BALANCER, "edge-alb", at("enableDeletionProtection", False)),
    ("explicit-weights", ready.LISTENER_RULE, "shop-traffic-production", at("actions.0.forward.stickiness", ...)),
    (
        "explicit-weights",
        ready.LISTENER_RULE,
        "shop-traffic-production",
        at("actions.0.forward.targetGroups.1.weight", ...),
    ),
    ("sticky-experiments", ready.LISTENER_RULE, "shop-traffic-production", an_experiment),
    ("health-checks", ready.GROUP, "shop-tg-blue", at("healthCheck.path", "/")),
    ("secret-containers", ready.SECRET, "shop-secrets-app", at("recoveryWindowInDays", 0)),
    ("key-rotation", ready.KEY, "production-key", at("enableKeyRotation", False)),
    ("private-buckets", ready.BUCKET_BLOCK, "edge-logs-private", at("blockPublicPolicy", False)),
    ("immutable-tags", ready.REPOSITORY, "shop-images", at("imageTagMutability", "MUTABLE")),
    (
        "least-privilege",
        ready.ATTACHMENT,
        "shop-identity-shop-orders-da5298",
        at("policyArn", "arn:aws:iam::aws:policy/AdministratorAccess"),
    ),
    ("explained-alarms", ready.ALARM, "shop-blue-alerts-errors", at("alarmDescription", "errors")),
    (
        "explained-alarms",
        ready.COMPOSITE,
        "shop-blue-alerts-composite",
        at("alarmDescription", "Severity: page. Owner: team-shop. Runbook: docs/alerts"),
    ),
    ("heard-alarms", ready.COMPOSITE, "shop-blue-alerts-composite", at("alarmActions", [])),
    ("current-flags", ready.FLAG_PROFILE, "flags-shop-profile", at("tags.flag:checkout", "2026-01-01 team-shop")),
    ("encrypted-topics", ready.TOPIC, "alerts-topic", at("kmsMasterKeyId", ...)),
]


def mutated(type_: str, name: str, change: Change) -> list[Resource]:
    stack = [copy.deepcopy(resource) for resource in compliant()]
    hits = [resource for resource in stack if (resource.type, resource.name) == (type_, name)]
    if len(hits) != 1:
        names = sorted(resource.name for resource in stack if resource.type == type_)
        raise AssertionError(f"{len(hits)} resources are called {name!r}; of this type: {', '.join(names)}")
    change(dict_of(hits[0]))
    return stack


def dict_of(resource: Resource) -> dict[str, Any]:
    assert isinstance(resource.properties, dict)
    return resource.properties


@pytest.mark.parametrize(
    ("check", "type_", "name", "change"), MUTATIONS, ids=[f"{check}-{name}" for check, _, name, _ in MUTATIONS]
)
def test_a_check_sees_its_own_mistake_and_no_other_check_does(
    check: str, type_: str, name: str, change: Change
) -> None:
    reports = found(mutated(type_, name, change))
    assert set(reports) == {check}
    assert name in reports[check]


@pytest.mark.parametrize(
    ("check", "type_"),
    [
        ("network-policy", ready.NETWORK_POLICY),
        ("disruption-budget", ready.BUDGET),
        ("rate-limit", ready.WEB_ACL_USE),
        ("private-buckets", ready.BUCKET_BLOCK),
        ("watched-colors", ready.COMPOSITE),
        ("probed-hosts", ready.HEALTH_CHECK),
        ("kept-logs", ready.LOG_GROUP),
    ],
)
def test_what_is_missing_beside_a_resource_is_seen(check: str, type_: str) -> None:
    assert set(found([resource for resource in compliant() if resource.type != type_])) == {check}


def test_nobody_outside_can_probe_what_is_internal() -> None:
    stack = mutated(ready.BALANCER, "edge-alb", at("internal", True))
    assert found([resource for resource in stack if resource.type != ready.HEALTH_CHECK]) == {}


def test_nobody_can_probe_pods_that_do_not_speak_http_1() -> None:
    called = [
        each._replace(properties={**each.properties, "protocolVersion": "GRPC"}) if each.type == ready.GROUP else each
        for each in compliant()
        if each.type != ready.HEALTH_CHECK
    ]
    assert found(called) == {}


def test_lines_are_not_kept_for_ever() -> None:
    assert set(found(mutated(ready.LOG_GROUP, "logs-shop", at("retentionInDays", None)))) == {"kept-logs"}


def test_a_bucket_is_kept_private_by_a_block_of_its_own() -> None:
    assert set(found(mutated(ready.BUCKET_BLOCK, "edge-logs-private", at("bucket", "another")))) == {"private-buckets"}


def test_what_holds_data_must_be_protected() -> None:
    bare = [resource._replace(protected=False) for resource in compliant()]
    assert set(found(bare)) == {"protected"}


@pytest.mark.parametrize(
    ("check", "added"),
    [
        ("secret-containers", Resource(ready.SECRET_VALUE, "value", {"secretId": "app"})),
        (
            "least-privilege",
            Resource(
                ready.POLICIES[0],
                "all",
                {"policy": json.dumps({"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]})},
            ),
        ),
    ],
)
def test_what_the_components_never_make_is_seen_when_somebody_else_does(check: str, added: Resource) -> None:
    assert set(found([*compliant(), added])) == {check}


@pytest.mark.parametrize("policy", ["TLS13-1-2-2021-06", "TLS13-1-2-Res-FIPS-PQ-2025-09", "TLS13-1-3-2021-06"])
def test_what_is_stricter_than_ours_is_no_violation(policy: str) -> None:
    assert reported("tls", ready.LISTENER, {"protocol": "HTTPS", "sslPolicy": f"ELBSecurityPolicy-{policy}"}) == []


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ({"flag:checkout": "2099-01-01 team-shop"}, None),
        ({"flag:checkout": "2026-01-01 team-shop"}, "flag checkout of team-shop expired on 2026-01-01"),
        ({"flag:checkout": "2099-01-01 "}, "flag checkout has no owner"),
        ({"flag:checkout": "team-shop"}, "flag checkout has no day on which it expires"),
        ({}, "no tag flag:<name> says when a flag expires and whose it is"),
    ],
)
def test_a_flag_that_is_over_or_nobodys_is_told(tags: dict[str, str], said: str | None) -> None:
    properties = {"type": "AWS.AppConfig.FeatureFlags", "tags": tags}
    told = [message for message, _ in reported("current-flags", ready.FLAG_PROFILE, properties)]
    assert told == ([said] if said else [])
    assert reported("current-flags", ready.FLAG_PROFILE, {**properties, "type": "AWS.Freeform"}) == []


def test_every_check_is_seen_to_fail() -> None:
    seen = {check for check, *_ in MUTATIONS} | {"network-policy", "disruption-budget", "rate-limit"}
    above = {"watched-colors", "protected", "probed-hosts", "kept-logs"}
    assert {check.name for check in CHECKS} - seen == above


def test_an_experiment_that_keeps_who_gets_what_and_one_of_a_cohort_are_no_violation() -> None:
    def forward(enabled: bool, *weights: int) -> dict[str, Any]:
        groups = [{"arn": "arn", "weight": weight} for weight in weights]
        action = {"type": "forward", "forward": {"targetGroups": groups, "stickiness": {"enabled": enabled}}}
        return {"tags": {"experiment": "checkout"}, "actions": [action]}

    for properties in (forward(True, 50, 50), forward(False, 100, 0), {**forward(False, 50, 50), "tags": {}}):
        assert reported("sticky-experiments", ready.LISTENER_RULE, properties) == []


# The pack


@pytest.mark.parametrize(
    ("stack", "config", "level"),
    [
        ("production", {}, EnforcementLevel.MANDATORY),
        ("staging", {}, EnforcementLevel.ADVISORY),
        ("main", {"hueshift:environment": "eu-production"}, EnforcementLevel.MANDATORY),
        ("stack", {}, EnforcementLevel.MANDATORY),
        ("production", {"hueshift:environment": "staging"}, EnforcementLevel.ADVISORY),
        ("live", {"hueshift:production": "true"}, EnforcementLevel.MANDATORY),
        ("production", {"hueshift:production": "false"}, EnforcementLevel.ADVISORY),
        ("staging", {"hueshift:production": ""}, EnforcementLevel.ADVISORY),
        ("production", {"hueshift:environment": ""}, EnforcementLevel.MANDATORY),
    ],
)
def test_a_violation_blocks_in_production_and_is_told_elsewhere(
    stack: str, config: dict[str, str], level: EnforcementLevel
) -> None:
    with installed(stack=stack):
        pulumi.runtime.set_all_config(config)
        try:
            assert pack.level() is level
        finally:
            pulumi.runtime.set_all_config({})
    own = {policy.name: policy.enforcement_level for policy in pack.policies() if policy.enforcement_level is not None}
    # What becomes wrong as days pass must not stop an update that nobody prepared for it.
    assert own == {"current-flags": EnforcementLevel.ADVISORY}, "the pack's level is that of all others"


def test_the_pack_has_every_check_once_with_its_reason_and_remedy() -> None:
    made = {policy.name: policy.description for policy in pack.policies()}
    assert made == {check.name: f"{check.reason} Remedy: {check.remedy}." for check in CHECKS}


def reported(check: str, type_: str, properties: dict[str, Any]) -> list[tuple[str, str | None]]:
    """Return what a policy reports of one resource whose properties reach it as the engine sends them."""
    policy = next(policy for policy in pack.policies() if policy.name == check)
    sent = unknown_checking_proxy(json.loads(json.dumps(properties), parse_int=float))
    options = PolicyResourceOptions(False, [], None, [], PolicyCustomTimeouts(0, 0, 0), [])
    found: list[tuple[str, str | None]] = []

    def report(message: str, urn: str | None = None) -> None:
        found.append((message, urn))

    if isinstance(policy, ResourceValidationPolicy):
        policy.validate(ResourceValidationArgs(type_, sent, f"urn:{type_}", "it", options, None), report)
    else:
        assert isinstance(policy, StackValidationPolicy)
        resource = PolicyResource(type_, sent, f"urn:{type_}", "it", options, None, None, [], {})
        policy.validate(StackValidationArgs([resource]), report)
    return found


def test_a_violation_names_the_resource_and_repeats_neither_the_remedy_nor_a_value() -> None:
    (violation,) = reported("no-secrets-in-clear", ready.CONFIG_MAP, {"data": {"API_TOKEN": "obviously-fake"}})
    message, urn = violation
    assert urn == f"urn:{ready.CONFIG_MAP}"
    assert message.startswith("API_TOKEN: ")
    assert "Remedy" not in message
    assert "obviously-fake" not in message
    (stack_violation,) = reported("rate-limit", ready.BALANCER, {"internal": False})
    assert stack_violation[1] == f"urn:{ready.BALANCER}"


def test_numbers_are_told_as_they_were_written() -> None:
    (violation,) = reported("secret-containers", ready.SECRET, {"recoveryWindowInDays": 0})
    assert violation[0] == "recoveryWindowInDays is 0"


@pytest.mark.parametrize(
    ("check", "type_", "properties", "seen"),
    [
        ("encrypted-topics", ready.TOPIC, {"kmsMasterKeyId": UNKNOWN_STRING_VALUE}, []),
        ("heard-alarms", ready.COMPOSITE, {"alarmActions": [UNKNOWN_STRING_VALUE]}, []),
        ("rate-limit", ready.BALANCER, {"internal": UNKNOWN_BOOLEAN_VALUE}, []),
        ("no-secrets-in-clear", ready.CONFIG_MAP, {"data": {"A": UNKNOWN_STRING_VALUE, "TOKEN": "x"}}, ["TOKEN"]),
        (
            "no-secrets-in-clear",
            ready.CONFIG_MAP,
            {"metadata": {"annotations": {NOT_SECRETS: "MAX_TOKENS"}}, "data": {"MAX_TOKENS": "5", "TOKEN": "x"}},
            ["TOKEN"],
        ),
        (
            "no-secrets-in-clear",
            ready.CONFIG_MAP,
            {"metadata": {"annotations": {NOT_SECRETS: "URL_KEY"}}, "data": {"URL_KEY": "redis://:obviously-fake@c"}},
            ["URL_KEY"],
        ),
        (
            "pinned-images",
            ready.JOB,
            {
                "spec": {
                    "template": {
                        "spec": {
                            "containers": [
                                {"name": "built", "image": UNKNOWN_STRING_VALUE},
                                {"name": "other", "image": "shop:latest"},
                            ]
                        }
                    }
                }
            },
            ["container other"],
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_a_preview_cannot_know_is_no_violation_and_hides_none_beside_it(
    check: str, type_: str, properties: dict[str, Any], seen: list[str]
) -> None:
    assert [message.partition(":")[0] for message, _ in reported(check, type_, properties)] == seen


@pytest.mark.parametrize(
    ("source", "folder"),
    [
        ("PATH (v3.246.0)", "policy"),
        ("official release 3.246.0", "policy"),
        ("built from its Go module", ".sandbox/policy"),
    ],
)
def test_only_an_engine_that_was_built_needs_another_folder_for_the_pack(source: str, folder: str) -> None:
    pack = SandboxEngine(directory="", source=source, providers={}).policy_pack
    assert pack.relative_to(ROOT).as_posix() == folder
