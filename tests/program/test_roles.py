"""The roles of docs/roles: what each resource of the program takes is allowed, what a role is not for is not."""

import json
import re
from collections.abc import Container, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import boto3
import botocore.session
import pytest
import yaml
from moto import mock_aws

from tests.support.engine import Registration
from tests.support.program import ROOT, Config, run

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
    "NAMES": "*",
}
ROLES = {
    "preview": ("read",),
    "rollback": ("read", "state", "rollback"),
    "resume": ("read", "state", "rollback", "messages"),
    "deploy": ("read", "state", "front", "deploy", "observe", "releases", "messages", "registry"),
    "build": ("build",),
    "review": ("read", "state", "front", "deploy", "observe", "releases", "messages", "build"),
    "secrets": ("read", "secrets"),
    "guard": ("guard",),
    "flags": ("flags",),
    "flag-keeper": ("read", "flag-content"),
}
NEEDS: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "tests/program/roles.yaml").read_text())
GIVEN = {
    "ec2:CreateAction": "CreateSecurityGroup",
    "iam:AWSServiceName": "elasticloadbalancing.amazonaws.com",
    "iam:PassedToService": "pods.eks.amazonaws.com",
    "iam:PolicyARN": VALUES["POLICY_ARN"],
    "route53:ChangeResourceRecordSetsNormalizedRecordNames": "shop.review-42.staging.example.com",
    "kms:ViaService": "secretsmanager.eu-west-1.amazonaws.com",
}
"""What conditions ask of a call, beside tags, where the program makes it."""
ASKED, BORNE = "aws:RequestTag/environment", "aws:ResourceTag/environment"
TAGGING = re.compile(r":(AddTags|TagResource|TagRole|CreateTags|AddTagsToCertificate)$")
MAKING = re.compile(
    r":(Create(Application|ConfigurationProfile|DeploymentStrategy|Environment|LoadBalancer|TargetGroup|SecurityGroup|WebACL|Key|Role|Topic|Repository|PodIdentityAssociation)|Request\w+)$"
)
"""Actions whose request has the tags that what they make will bear; those of secrets and alarms go by the name."""
SHARED = {
    "BesideOwnFirewall": "each takes the web ACL or …WebACLAssociation besides, and those ask for the tag",
    "CompositeAlarms": "CloudWatch lets nobody name a composite alarm that is to be made",
    "HealthChecks": "their ids are Route 53's own, and it asks for no tag",
    "Queries": "CloudWatch Logs lets nobody name a saved query",
    "UptimeSubscriptions": "SNS knows no tag of a subscription",
    "FlagContent": "AppConfig's versions and deployments bear no tags, and its ids are its own",
    "FirstOfTheAccount": "AWS's own role, of which an account has one",
    "BesideOwnSecurityGroup": "each takes the group besides, and that asks for the tag",
    "Logs": "S3 asks for a bucket's tags only where the bucket was told to",
    "LookBeforeDeleting": "it looks, no more",
    "PodRoleToPods": "AWS advises against a tag here; a role's trust names its cluster, namespace and account",
    "ReleaseMarks": "CloudWatch lets nobody name a metric; its namespace is this project's alone",
    "ReleaseMessages": "topics are whatever a stack names; a message is all that reaches them",
    "SecurityGroupInVpc": "a network is not an environment's; what is made there is",
    "Subscriptions": "SNS knows no tag of a subscription",
}
"""The statements of whoever changes an environment that are not confined to it, and why."""
ROLE = "arn:aws:iam::444455556666:role"
GUARDS = "arn:aws:iam::444455556666:policy/hueshift-guard"
FLAGS = "arn:aws:iam::444455556666:policy/hueshift-flags"
PIPELINE = ROLES.keys() - {"flag-keeper", "flags", "guard", "secrets"}
NOT_OPERATIONS = {
    *("ec2:CreateTags", "elasticloadbalancing:SetWebAcl", "iam:PassRole", "lambda:InvokeFunction"),
    *("elasticloadbalancing:CreateWebACLAssociation", "elasticloadbalancing:DeleteWebACLAssociation"),
    "elasticloadbalancing:GetLoadBalancerWebACL",
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


def allows(
    role: str, action: str, resource: str, tags: Mapping[str, str] = {}, *, ignored: Container[str] = ()
) -> bool:
    """Return whether a role may do something to a resource, its statements of some names left aside."""
    return any(
        statement["Sid"] not in ignored
        and any(fnmatchcase(action, pattern) for pattern in listed(statement["Action"]))
        and any(pattern == "*" or fnmatchcase(resource, pattern) for pattern in listed(statement["Resource"]))
        and holds(statement.get("Condition", {}), {**GIVEN, **tags})
        for statement in statements(role)
    )


def holds(condition: Mapping[str, Mapping[str, str | list[str]]], context: Mapping[str, str]) -> bool:
    """Return whether the conditions of a statement hold; one for a key that is not there fails, but for `IfExists`."""
    return all(
        any(fnmatchcase(context[key], pattern) for pattern in listed(patterns))
        if key in context
        else operator.endswith("IfExists")
        for operator, tests in condition.items()
        for key, patterns in tests.items()
    )


def actions(role: str) -> set[str]:
    return {action for statement in statements(role) for action in listed(statement["Action"])}


def rotating(config: Config) -> None:
    """Configure what no example has."""
    flag = {"description": "Short checkout", "owner": "team-shop", "expires": "2099-01-01"}
    config["hueshift:services"]["shop"]["flags"] = {"checkout": flag}
    app = config["hueshift:services"]["shop"].setdefault("secrets", {}).setdefault("app", {"keys": ["JWT_SECRET"]})
    app["rotation"] = {"lambdaArn": "arn:aws:lambda:eu-west-1:444455556666:function:rotate-shop", "days": 30}


@cache
def registered() -> list[Registration]:
    """Return every resource of both environments."""
    return [each for stack in ("production", "staging") for each in run(stack, rotating).registrations.values()]


def resources() -> set[tuple[str, str, str]]:
    """Return type, name and region of every AWS resource of both environments."""
    found = {
        (each.type.removeprefix("aws:"), each.name, each.inputs.get("region", VALUES["REGION"]))
        for each in registered()
        if each.type.startswith("aws:")
    }
    assert len(found) > 60
    return found


def asked(use: str) -> Iterator[tuple[str, str]]:
    """Yield each action that the program's resources take, and the name of what it is done to."""
    for kind, name, region in resources():
        needs = NEEDS[kind]
        # What is named after its environment is asked for as production's.
        own = re.sub("^staging-", "production-", name)
        arn = needs["arn"].format(name=own, stem=own.rpartition("-")[0])
        if region != VALUES["REGION"]:
            arn = arn.replace(VALUES["REGION"], region).replace(":alerts-topic", ":uptime-alerts-topic")
        yield from ((action, arn) for action in needs[use])
        if use == "write":
            yield from ((action, arn) for arn, beside in needs.get("beside", {}).items() for action in beside)


def denied(role: str, use: str, environment: str = "production") -> set[tuple[str, str]]:
    """Return what a role may not do to the resources of the program, which bear the tag of an environment."""
    found = set()
    for action, arn in asked(use):
        new = allows(role, action, arn, {ASKED: environment})
        own = allows(role, action, arn, {BORNE: environment})
        if not (new if MAKING.search(action) else own and new if TAGGING.search(action) else own):
            found.add((action, arn))
    return found


@pytest.mark.slow
def test_every_type_of_the_program_is_known_here() -> None:
    assert {kind for kind, *_ in resources()} == NEEDS.keys()
    assert {region for *_, region in resources()} == {VALUES["REGION"], "us-east-1"}


@pytest.mark.slow
@pytest.mark.parametrize("role", ["preview", "rollback", "deploy"])
def test_whoever_previews_may_read_every_resource(role: str) -> None:
    assert denied(role, "read") == set()


@pytest.mark.slow
def test_whoever_deploys_may_make_change_and_remove_every_resource() -> None:
    assert denied("deploy", "write") == set()


def test_the_environment_may_be_the_pattern_of_reviews() -> None:
    exact = [
        statement["Sid"]
        for statement in statements("deploy")
        for operator, tests in statement.get("Condition", {}).items()
        if {ASKED, BORNE} & tests.keys() and not operator.startswith("StringLike")
    ]
    assert exact == []


def elsewhere(arn: str) -> str:
    """Return the name of the same thing of another environment in the account."""
    return arn.replace("production", "staging").replace("Z0123456789ABC", "Z9")


@pytest.mark.slow
@pytest.mark.parametrize("role", ["deploy", "rollback"])
def test_whoever_deploys_or_rolls_back_reaches_nothing_of_another_environment(role: str) -> None:
    reached = {
        (action, arn)
        for action, arn in asked("write")
        for tags in ({BORNE: "staging"}, {BORNE: "staging", ASKED: "production"}, {ASKED: "staging"})
        if allows(role, action, elsewhere(arn), tags, ignored=SHARED)
    }
    assert reached == set()


def test_a_statement_is_confined_to_its_environment_or_listed_with_its_reason() -> None:
    open_ = {
        statement["Sid"]
        for name in (*ROLES["deploy"], "rollback", "secrets", "flag-content")
        if name not in ("read", "state")
        for statement in json.loads((PLACE / f"{name}.json").read_text())["Statement"]
        if not {ASKED, BORNE} & {key for tests in statement.get("Condition", {}).values() for key in tests}
        and not all(re.search(r"ENVIRONMENT|CLUSTER|ZONE_ID", arn) for arn in listed(statement["Resource"]))
    }
    assert open_ == SHARED.keys()


RULE = "arn:aws:elasticloadbalancing:eu-west-1:444455556666:listener-rule/app/edge-alb-1a2b3c4/50dc/f2f7/9683"
RELEASE = (
    # What `hueshift release` calls (hueshift/release), beside what it leaves to `pulumi up`.
    ("cloudwatch:DescribeAlarms", "*"),
    ("cloudwatch:GetMetricData", "*"),
    ("cloudwatch:PutMetricData", "*"),
    ("elasticloadbalancing:DescribeRules", "*"),
    ("elasticloadbalancing:DescribeTags", "*"),
    ("elasticloadbalancing:DescribeTargetHealth", "*"),
    (
        "elasticloadbalancing:ModifyRule",
        RULE,
    ),
    ("s3:ListBucket", "arn:aws:s3:::production-releases-bucket-1a2b3c4"),
    *(
        (f"s3:{verb}Object", f"arn:aws:s3:::production-releases-bucket-1a2b3c4/{key}")
        for verb in ("Get", "Put", "Delete")
        for key in ("shop.json", "history/shop/1.json", "guard/production-shop-green.json")
    ),
    ("sns:Publish", "arn:aws:sns:eu-west-1:444455556666:hueshift-on-call"),
    ("states:ListExecutions", "arn:aws:states:eu-west-1:444455556666:stateMachine:production-guard"),
)


@pytest.mark.parametrize("role", ["deploy", "resume"])
@pytest.mark.parametrize(("action", "arn"), RELEASE)
def test_whoever_deploys_or_goes_on_may_make_every_call_of_a_release(action: str, arn: str, role: str) -> None:
    assert allows(role, action, arn, {BORNE: "production", "cloudwatch:namespace": "hueshift"})
    assert not action.startswith("cloudwatch:Put") or not allows("deploy", action, arn, {"cloudwatch:namespace": "AWS"})


CONFIGURATION = "arn:aws:appconfig:eu-west-1:444455556666:application/1a2b3c4"
FLAG_CALLS = (
    # What `hueshift flags` calls (hueshift/flags/appconfig.py), and what deletes the content of a flag that is over.
    *(
        (f"appconfig:{call}", CONFIGURATION)
        for call in (
            *("ListApplications", "ListEnvironments", "ListConfigurationProfiles", "ListDeploymentStrategies"),
            *("ListDeployments", "GetDeployment", "GetEnvironment", "UpdateEnvironment", "StopDeployment"),
            *("ListHostedConfigurationVersions", "GetHostedConfigurationVersion"),
            *("CreateHostedConfigurationVersion", "DeleteHostedConfigurationVersion", "StartDeployment"),
        )
    ),
    ("appconfig:StartDeployment", "arn:aws:appconfig:eu-west-1:444455556666:deploymentstrategy/1a2b3c4"),
    ("cloudwatch:DescribeAlarms", "*"),
    ("iam:PassRole", f"{ROLE}/production-flags-role-1a2b3c4"),
)


@pytest.mark.parametrize(("action", "arn"), FLAG_CALLS)
def test_whoever_keeps_flags_may_make_every_call_of_the_command(action: str, arn: str) -> None:
    tags = {BORNE: "production", "iam:PassedToService": "appconfig.amazonaws.com"}
    assert allows("flag-keeper", action, arn, tags)


def test_whoever_keeps_flags_makes_no_other_and_changes_no_environment_beside_it() -> None:
    assert not allows("flag-keeper", "appconfig:CreateEnvironment", CONFIGURATION, {BORNE: "production"})
    assert not allows("flag-keeper", "appconfig:UpdateEnvironment", CONFIGURATION, {BORNE: "staging"})


@pytest.mark.slow
def test_what_is_confined_by_its_tag_bears_it() -> None:
    taggable = {kind for kind, needs in NEEDS.items() if any(map(TAGGING.search, needs["write"]))}
    bare = {
        (each.type, each.name)
        for each in registered()
        if each.type.removeprefix("aws:") in taggable
        and each.inputs.get("tags", {}).get("environment") not in ("production", "staging")
    }
    assert bare == set()


def test_whoever_previews_changes_nothing_and_sees_no_secret_value() -> None:
    verbs = {re.sub(r"(?<!^)[A-Z].*|\*", "", action.partition(":")[2]) for action in actions("preview")}
    assert verbs == {"Get", "List", "Describe", "Decrypt", "Validate"}
    assert not [role for role in PIPELINE if "secretsmanager:GetSecretValue" in actions(role)]
    (state,) = [item for item in document("read") if item["Sid"] == "StateKey"]
    assert state["Condition"] == {"ForAnyValue:StringEquals": {"kms:ResourceAliases": ["alias/pulumi-production"]}}


def test_whoever_previews_may_ask_what_the_gate_asks() -> None:
    calls = {f"elasticloadbalancing:Describe{what}" for what in ("Rules", "TargetHealth")} | {
        "cloudwatch:DescribeAlarms"
    }
    assert all(allows("preview", action, "*") for action in calls)


def test_whoever_rolls_back_moves_weights_and_writes_the_state_and_no_more() -> None:
    more = actions("rollback") - actions("preview")
    state = {"s3:PutObject", "s3:DeleteObject", "kms:Encrypt", "kms:GenerateDataKey"}
    assert more == {"elasticloadbalancing:ModifyRule", *state}


def test_whoever_goes_on_with_a_release_tells_of_it_and_does_no_more_than_a_rollback() -> None:
    assert actions("resume") - actions("rollback") == {"cloudwatch:PutMetricData", "sns:Publish"}


@pytest.mark.slow
def test_a_review_reaches_nothing_of_the_environment_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(VALUES, "ENVIRONMENT", "review-*")
    monkeypatch.setitem(VALUES, "NAMES", "*.review-*.*")
    monkeypatch.setitem(VALUES, "REPOSITORIES", "review/*")
    document.cache_clear()
    try:
        reached = {
            (action, arn)
            for action, arn in asked("write")
            for tags in ({BORNE: "staging"}, {BORNE: "staging", ASKED: "review-42"}, {ASKED: "staging"})
            if allows("review", action, arn.replace("production", "staging"), tags, ignored=SHARED)
            and not action.startswith("route53:")
        }
        zone = "arn:aws:route53:::hostedzone/Z0123456789ABC"
        named = "route53:ChangeResourceRecordSetsNormalizedRecordNames"
        names = {
            name: allows("review", "route53:ChangeResourceRecordSets", zone, {named: name})
            for name in ("shop.staging.example.com", "blue.shop.review-42.staging.example.com", "staging.example.com")
        }
        own = allows("review", "elasticloadbalancing:ModifyRule", RULE, {BORNE: "review-42"})
        images = [
            allows("review", "ecr:PutImage", f"arn:aws:ecr:eu-west-1:444455556666:repository/{name}")
            for name in ("shop", "review/shop")
        ]
    finally:
        document.cache_clear()
    assert reached == set()
    assert names == {
        "shop.staging.example.com": False,
        "blue.shop.review-42.staging.example.com": True,
        "staging.example.com": False,
    }
    assert own
    assert images == [False, True]


def test_whoever_deploys_can_give_itself_nothing() -> None:
    pods, guard = f"{ROLE}/shop-identity-role-1a2b3c4", f"{ROLE}/production-guard-role-1a2b3c4"
    flags = f"{ROLE}/production-flags-role-1a2b3c4"
    for role, policies, services in (
        (pods, {VALUES["POLICY_ARN"]}, {"pods.eks.amazonaws.com"}),
        (guard, {GUARDS}, {"events.amazonaws.com", "states.amazonaws.com"}),
        (flags, {FLAGS}, {"appconfig.amazonaws.com"}),
    ):
        for arn in (VALUES["POLICY_ARN"], GUARDS, FLAGS, "arn:aws:iam::aws:policy/AdministratorAccess"):
            given = {BORNE: "production", "iam:PolicyARN": arn}
            assert allows("deploy", "iam:AttachRolePolicy", role, given) == (arn in policies)
        for service in ("pods.eks", "events", "states", "appconfig", "lambda"):
            to = f"{service}.amazonaws.com"
            assert allows("deploy", "iam:PassRole", role, {"iam:PassedToService": to}) == (to in services)
    by_action = {action: item for item in statements("deploy") for action in listed(item["Action"])}
    changing = {action for action in by_action if re.match("iam:(?!Get|List|CreateServiceLinkedRole)", action)}
    own = f"{ROLE}/pulumi-production-deploy"
    assert changing
    assert [action for action in changing if allows("deploy", action, own)] == []
    assert not allows("deploy", "s3:DeleteBucket", "arn:aws:s3:::pulumi-production-444455556666")


@pytest.mark.parametrize("role", ROLES)
def test_a_role_has_no_more_policies_than_aws_attaches(role: str) -> None:
    assert len(ROLES[role]) <= 10


@pytest.mark.parametrize("name", sorted({name for documents in ROLES.values() for name in documents}))
def test_a_document_fits_into_a_policy_and_is_one(name: str) -> None:
    text = json.dumps({"Version": "2012-10-17", "Statement": document(name)}, separators=(",", ":"))
    assert len(text) < 5_500, "of the 6,144 that AWS counts, blanks left out: room for longer names and more policies"
    with mock_aws():
        boto3.client("iam").create_policy(PolicyName=name, PolicyDocument=text)


@pytest.mark.parametrize("file", sorted(PLACE.glob("*.json")), ids=lambda file: file.stem)
def test_a_document_names_what_there_is(file: Path) -> None:
    content = json.loads(file.read_text())
    session = botocore.session.get_session()
    services = {"elasticloadbalancing": "elbv2", "states": "stepfunctions", "tag": "resourcegroupstaggingapi"}
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
    return {each.type.removeprefix("kubernetes:") for each in registered() if each.type.startswith("kubernetes:")}


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


def test_the_page_trusts_subjects_of_new_and_of_old_repositories_by_one_variable() -> None:
    page = (PLACE.parent / "roles.md").read_text()
    new, old = r"repo:example@\d+/shop@\d+", "repo:example/shop"
    assert re.search(rf"`{new}`", page)
    assert f"`{old}`" in page
    assert re.search(rf"^repository={new} ", page, re.MULTILINE)
    subjects = re.findall(r'\\"([^"\\]+)\\"', "".join(re.findall(r"^role .*$", page, re.MULTILINE)))
    assert len(subjects) >= 6
    assert [subject for subject in subjects if not subject.startswith("$repository:")] == []
