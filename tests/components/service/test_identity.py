"""Who gets a service's IAM role, and what the role may do."""

import json
from typing import Any

import pytest

from components.model import Color
from components.service.identity import WorkloadIdentity, WorkloadIdentityArgs
from tests.support import samples
from tests.support.engine import UNKNOWN, Engine, in_stack

ISSUER = "oidc.eks.eu-west-1.amazonaws.com/id/ABC"


async def trust(engine: Engine) -> dict[str, Any]:
    document = json.loads((await engine.inputs("shop-identity-role"))["assumeRolePolicy"])
    (statement,) = document["Statement"]
    found: dict[str, Any] = statement
    return found


@in_stack
async def test_with_pod_identity_each_colors_account_gets_the_one_role(engine: Engine) -> None:
    WorkloadIdentity("shop-identity", samples.POD_IDENTITY)
    (role,) = await engine.of_type("iam/role:Role")
    for color in Color:
        association = await engine.inputs(f"shop-identity-{color}", "PodIdentityAssociation")
        assert association == {
            "clusterName": "main",
            "namespace": "staging-shop",
            "serviceAccount": f"shop-{color}",
            "roleArn": role.computed["arn"],
            "tags": {**samples.TAGS, "service": "shop", "color": color.value},
        }


@in_stack
async def test_with_pod_identity_only_these_accounts_of_this_cluster_can_use_the_role(engine: Engine) -> None:
    WorkloadIdentity("shop-identity", samples.POD_IDENTITY)
    assert await trust(engine) == {
        "Effect": "Allow",
        "Principal": {"Service": "pods.eks.amazonaws.com"},
        "Action": ["sts:AssumeRole", "sts:TagSession"],
        "Condition": {
            "StringEquals": {
                "aws:RequestTag/eks-cluster-name": "main",
                "aws:RequestTag/kubernetes-namespace": "staging-shop",
                "aws:RequestTag/kubernetes-service-account": ["shop-blue", "shop-green"],
            }
        },
    }


@in_stack
async def test_with_irsa_only_tokens_of_these_accounts_meant_for_sts_can_use_the_role(engine: Engine) -> None:
    WorkloadIdentity("shop-identity", samples.IRSA)
    assert await trust(engine) == {
        "Effect": "Allow",
        "Principal": {"Federated": samples.PROVIDER},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {
            "StringEquals": {
                f"{ISSUER}:aud": "sts.amazonaws.com",
                f"{ISSUER}:sub": [
                    "system:serviceaccount:staging-shop:shop-blue",
                    "system:serviceaccount:staging-shop:shop-green",
                ],
            }
        },
    }
    assert not [r for r in engine.registrations.values() if r.type.endswith("PodIdentityAssociation")]


@in_stack
@pytest.mark.parametrize("args", [samples.POD_IDENTITY, samples.IRSA])
async def test_a_service_of_one_color_trusts_that_color_alone(engine: Engine, args: WorkloadIdentityArgs) -> None:
    WorkloadIdentity("shop-identity", samples.change(args, colors={Color.GREEN: samples.GREEN}))
    assert "shop-blue" not in json.dumps(await trust(engine))
    assert "shop-green" in json.dumps(await trust(engine))
    assert "shop-identity-blue" not in {r.name for r in engine.registrations.values()}


@in_stack
async def test_the_role_may_do_what_is_given_and_nothing_else(engine: Engine) -> None:
    alike = "arn:aws:iam::123456789012:policy/other/orders"
    WorkloadIdentity("shop-identity", samples.change(samples.POD_IDENTITY, policy_arns=[samples.ORDERS, alike]))
    attached = await engine.of_type("RolePolicyAttachment")
    assert [item.inputs["policyArn"] for item in attached] == [samples.ORDERS, alike]
    assert {item.inputs["role"] for item in attached} == {
        (await engine.resource("shop-identity-role")).computed["name"]
    }
    role = await engine.inputs("shop-identity-role")
    assert not role.keys() & {"inlinePolicies", "managedPolicyArns"}
    assert "name" not in role, "left to Pulumi, so that a role can be replaced before the old one is gone"


@in_stack
async def test_an_attachment_keeps_its_name_when_others_come_and_go(engine: Engine) -> None:
    WorkloadIdentity("shop-identity", samples.POD_IDENTITY)
    more = ["arn:aws:iam::aws:policy/AmazonSQSFullAccess", samples.ORDERS]
    WorkloadIdentity("pay-identity", samples.change(samples.POD_IDENTITY, service="pay", policy_arns=more))
    names = [item.name.partition("-identity-")[2] for item in await engine.of_type("RolePolicyAttachment")]
    assert names[0] == names[2] != names[1]


@in_stack
async def test_a_preview_shows_whom_the_role_trusts(preview: Engine) -> None:
    WorkloadIdentity("shop-identity", samples.IRSA)
    assert ISSUER in (await trust(preview))["Principal"]["Federated"]
    assert UNKNOWN not in str(await preview.inputs("shop-identity-role"))


@pytest.mark.parametrize(
    ("args", "missing"),
    [(samples.POD_IDENTITY, "name"), (samples.IRSA, "oidc_provider_arn")],
)
def test_an_identity_without_its_cluster_is_refused(args: WorkloadIdentityArgs, missing: str) -> None:
    with pytest.raises(ValueError, match=rf"cluster\.{missing} is None"):
        samples.change(args, **{missing: None})
