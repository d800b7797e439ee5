"""The roles of docs/roles: what each resource of the program takes is allowed, what a role is not for is not."""

import json
import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import botocore.session
import pytest
import yaml

from tests.program import ROOT, run

PLACE = ROOT / "docs" / "roles"
VALUES = {
    "ACCOUNT": "444455556666",
    "REGION": "eu-west-1",
    "ENVIRONMENT": "production",
    "STATE": "production",
    "STATE_KEY": "alias/pulumi-production",
    "CLUSTER": "production",
    "ZONE_ID": "Z0123456789ABC",
    "POLICY_ARN": "arn:aws:iam::444455556666:policy/shop-orders",
    "REPOSITORIES": "*",
}
ROLES = {
    "preview": ("read",),
    "rollback": ("read", "state", "rollback"),
    "deploy": ("read", "state", "front", "deploy", "registry"),
    "build": ("build",),
    "review": ("read", "state", "front", "deploy", "build"),
}
NEEDS: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "tests" / "roles.yaml").read_text())
ELSEWHERE = {"ec2:CreateSecurityGroup", "kms:CreateKey", "cloudwatch:PutCompositeAlarm"}
"""Actions whose permission cannot name what is about to be made."""
NOT_OPERATIONS = {
    *("ec2:CreateTags", "elasticloadbalancing:SetWebAcl", "iam:PassRole"),
    *("s3:DeleteObjectVersion", "s3:ListBucket", "s3:ListBucketVersions"),
    *("s3:GetAccelerateConfiguration", "s3:GetEncryptionConfiguration", "s3:GetLifecycleConfiguration"),
    *("s3:GetReplicationConfiguration", "s3:PutBucketPublicAccessBlock"),
    *("s3:PutEncryptionConfiguration", "s3:PutLifecycleConfiguration"),
}
"""Names of permissions that no operation of the API bears."""


@cache
def document(name: str) -> list[dict[str, Any]]:
    """Return the statements of a document, filled in for an example's production."""
    text = (PLACE / f"{name}.json").read_text()
    for key, value in VALUES.items():
        text = re.sub(rf"\b{key}\b", value, text)
    statements: list[dict[str, Any]] = json.loads(text)["Statement"]
    return statements


def statements(role: str) -> Iterator[dict[str, Any]]:
    for name in ROLES[role]:
        yield from document(name)


def listed(value: str | Sequence[str]) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def allows(role: str, action: str, resource: str) -> bool:
    return any(
        any(fnmatchcase(action, pattern) for pattern in listed(statement["Action"]))
        and any(pattern == "*" or fnmatchcase(resource, pattern) for pattern in listed(statement["Resource"]))
        for statement in statements(role)
    )


def actions(role: str) -> set[str]:
    return {action for statement in statements(role) for action in listed(statement["Action"])}


@cache
def registered() -> frozenset[tuple[str, str]]:
    """Return type and name of every resource of both environments."""
    return frozenset(
        (registration.type, registration.name)
        for stack in ("production", "staging")
        for registration in run(stack).registrations.values()
    )


def resources() -> set[tuple[str, str]]:
    """Return type and name of every AWS resource of both environments."""
    found = {(type_.removeprefix("aws:"), name) for type_, name in registered() if type_.startswith("aws:")}
    assert len(found) > 60
    return found


def denied(role: str, use: str) -> set[tuple[str, str]]:
    """Return what a role may not do to a resource of the program, and the resource."""
    return {
        (action, name)
        for kind, name in resources()
        for action in NEEDS[kind][use]
        if not allows(role, action, NEEDS[kind]["arn"].format(name=name))
        and not (action in ELSEWHERE and action in actions(role))
    }


@pytest.mark.slow
def test_every_type_of_the_program_is_known_here() -> None:
    assert {kind for kind, _ in resources()} == NEEDS.keys()


@pytest.mark.slow
@pytest.mark.parametrize("role", ["preview", "rollback", "deploy"])
def test_whoever_previews_may_read_every_resource(role: str) -> None:
    assert denied(role, "read") == set()


@pytest.mark.slow
def test_whoever_deploys_may_make_change_and_remove_every_resource() -> None:
    assert denied("deploy", "write") == set()


def test_whoever_previews_changes_nothing_and_sees_no_secret_value() -> None:
    verbs = {re.sub(r"(?<!^)[A-Z].*|\*", "", action.partition(":")[2]) for action in actions("preview")}
    assert verbs == {"Get", "List", "Describe", "Decrypt"}
    assert not any(allows(role, "secretsmanager:GetSecretValue", "*") for role in ROLES)
    (state,) = [item for item in document("read") if item["Sid"] == "StateKey"]
    assert state["Condition"] == {"ForAnyValue:StringEquals": {"kms:ResourceAliases": ["alias/pulumi-production"]}}


def test_whoever_rolls_back_moves_weights_and_writes_the_state_and_no_more() -> None:
    more = actions("rollback") - actions("preview")
    state = {"s3:PutObject", "s3:DeleteObject", "kms:Encrypt", "kms:GenerateDataKey"}
    assert more == {"elasticloadbalancing:ModifyRule", *state}


def test_whoever_deploys_can_give_itself_nothing() -> None:
    by_action = {action: item for item in statements("deploy") for action in listed(item["Action"])}
    assert by_action["iam:AttachRolePolicy"]["Condition"] == {"ArnEquals": {"iam:PolicyARN": [VALUES["POLICY_ARN"]]}}
    to_pods = {"StringEquals": {"iam:PassedToService": "pods.eks.amazonaws.com"}}
    assert by_action["iam:PassRole"]["Condition"] == to_pods
    changing = {action for action in by_action if re.match("iam:(?!Get|List|CreateServiceLinkedRole)", action)}
    own = "arn:aws:iam::444455556666:role/pulumi-production-deploy"
    assert changing
    assert [action for action in changing if allows("deploy", action, own)] == []
    assert not allows("deploy", "s3:DeleteBucket", "arn:aws:s3:::pulumi-production-444455556666")


@pytest.mark.parametrize("role", ROLES)
def test_all_documents_of_a_role_fit_into_it(role: str) -> None:
    whole = [
        json.dumps({"Version": "2012-10-17", "Statement": document(name)}, separators=(",", ":"))
        for name in ROLES[role]
    ]
    assert sum(map(len, whole)) < 10_240, "what the policies of one role may take together, blanks not counted"


@pytest.mark.parametrize("file", sorted(PLACE.glob("*.json")), ids=lambda file: file.stem)
def test_a_document_names_what_there_is(file: Path) -> None:
    content = json.loads(file.read_text())
    session = botocore.session.get_session()
    services = {"elasticloadbalancing": "elbv2"}
    for statement in content["Statement"]:
        assert statement["Action"] != "*"
        for action in listed(statement["Action"]):
            service, _, operation = action.partition(":")
            assert operation.rstrip("*"), action
            if action in NOT_OPERATIONS or operation.endswith("*"):
                continue
            known = session.get_service_model(services.get(service, service)).operation_names
            assert operation.lower() in {name.lower() for name in known}, action


@pytest.mark.parametrize(
    ("forge", "issuer"), [("github", "token.actions.githubusercontent.com"), ("gitlab", "gitlab.com")]
)
def test_a_role_is_taken_on_only_for_its_audience_and_its_subjects(forge: str, issuer: str) -> None:
    (statement,) = document(f"trust-{forge}")
    assert statement["Principal"] == {"Federated": f"arn:aws:iam::444455556666:oidc-provider/{issuer}"}
    keys = {key: value for condition in statement["Condition"].values() for key, value in condition.items()}
    assert keys == {f"{issuer}:aud": "sts.amazonaws.com", f"{issuer}:sub": ["SUBJECT"]}


def test_whoever_previews_reads_the_cluster_and_no_secret_of_it() -> None:
    objects = {
        item["metadata"]["name"]: item
        for item in yaml.safe_load_all((PLACE / "kubernetes.yaml").read_text())
        if item["kind"] == "ClusterRole"
    }
    preview = objects["hueshift-preview"]["rules"]
    assert {verb for rule in preview for verb in rule["verbs"]} == {"get", "list", "watch"}
    assert not any(
        "secrets" in rule["resources"] or "*" in rule["resources"]
        for item in objects.values()
        for rule in item["rules"]
    )


AWAITED = {
    # By each `Subscribe` in `provider/pkg/await` of pulumi-kubernetes 4.25 and 4.30.
    "apps/v1:Deployment": ("apps/replicasets", "/persistentvolumeclaims", "/pods"),
    "apps/v1:StatefulSet": ("/pods",),
    "apps/v1:DaemonSet": ("/pods",),
    "batch/v1:Job": ("/pods",),
    "core/v1:Service": ("/endpoints",),
    "networking.k8s.io/v1:Ingress": ("/endpoints", "/services"),
}
"""What the provider lists and watches, beside the object itself, while it waits for one to be ready. Where it may not,
it waits without end (`informers/factory.go`)."""


def rules(role: str) -> dict[str, set[str]]:
    """Return the verbs that a role of the cluster has, by group and resource."""
    found: dict[str, set[str]] = {}
    for item in yaml.safe_load_all((PLACE / "kubernetes.yaml").read_text()):
        if (item["kind"], item["metadata"]["name"]) == ("ClusterRole", role):
            for rule in item["rules"]:
                for group, resource in product(rule["apiGroups"], rule["resources"]):
                    found.setdefault(f"{group}/{resource}", set()).update(rule["verbs"])
    return found


def kinds() -> set[str]:
    """Return the kinds of objects that both environments have in the cluster, such as ``apps/v1:Deployment``."""
    return {type_.removeprefix("kubernetes:") for type_, _ in registered() if type_.startswith("kubernetes:")}


def plural(kind: str) -> str:
    """Return group and resource of a kind."""
    version, _, name = kind.partition(":")
    group = version.rpartition("/")[0]
    return f"{'' if group == 'core' else group}/{re.sub('y$', 'ie', name.lower())}s"


def test_whoever_previews_may_watch_all_that_the_provider_watches() -> None:
    watched = {plural(kind) for kind in kinds()} | {each for kind in kinds() for each in AWAITED.get(kind, ())}
    granted = rules("hueshift-preview")
    assert {"apps/deployments", "/persistentvolumeclaims", "external-secrets.io/externalsecrets"} <= watched
    assert {each for each in watched if not {"get", "list", "watch"} <= granted.get(each, set())} == set()


def test_whoever_deploys_may_make_change_and_remove_every_object() -> None:
    granted = rules("hueshift-deploy")
    made = {plural(kind) for kind in kinds()}
    assert {each for each in made if granted.get(each) != {"create", "update", "patch", "delete"}} == set()
