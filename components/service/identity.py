"""The IAM role of a service's pods, where they call AWS themselves."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

import pulumi
from pulumi_aws import eks, iam

from components.context.context import ColorContext, ServiceContext
from components.model import Color
from components.spec import IdentityKind, Service

AUDIENCE: Final = "sts.amazonaws.com"
"""Whom the token of a service account must be meant for."""


@dataclass(frozen=True, kw_only=True)
class WorkloadIdentityArgs:
    """All plain, configuration decides it: a preview shows whom the role trusts."""

    spec: Service
    """Its colors' pods get the role, which may do what its policies say and nothing else."""
    context: ServiceContext

    def __post_init__(self) -> None:
        cluster = self.context.cluster
        if cluster.identity is IdentityKind.IRSA and not cluster.oidc_provider_arn:
            raise ValueError("cluster.oidc_provider_arn is None; IRSA needs the OIDC provider of the cluster")
        if cluster.identity is IdentityKind.POD_IDENTITY and not cluster.name:
            raise ValueError("cluster.name is None; Pod Identity needs the name of the EKS cluster")


class WorkloadIdentity(pulumi.ComponentResource):
    """One role for the pods of both colors, which only their service accounts can take on.

    Both colors share it, so that a flip changes no permission. Pods get their credentials when they
    are created: what makes pods must wait for this component.
    """

    role_arn: pulumi.Output[str]
    account_annotations: Mapping[str, pulumi.Output[str]]
    """What the service accounts must carry."""
    pod_annotations: Mapping[str, str]
    """What the pods must carry: a pod gets its credentials, of whichever kind, only when it is created, so it must be
    another one when they come or go."""
    pod_identity: bool
    """Whether pods must reach the agent of their node."""

    def __init__(self, name: str, args: WorkloadIdentityArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("hueshift:identity:WorkloadIdentity", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        context, cluster = args.context, args.context.cluster
        self.pod_identity = cluster.identity is IdentityKind.POD_IDENTITY
        role = iam.Role(
            f"{name}-role",
            description=f"Pods of {context.service} in namespace {context.namespace}",
            assume_role_policy=json.dumps(_trust(args)),
            tags=context.tags,
            opts=child,
        )
        for arn in args.spec.policy_arns:
            # Two policies of different accounts or paths may end alike.
            tail = f"{arn.rpartition('/')[2]}-{sha256(arn.encode()).hexdigest()[:6]}"
            iam.RolePolicyAttachment(f"{name}-{tail}", role=role.name, policy_arn=arn, opts=child)
        if self.pod_identity:
            for account in _accounts(args):
                eks.PodIdentityAssociation(
                    f"{name}-{account.color}",
                    cluster_name=cluster.name,
                    namespace=context.namespace,
                    service_account=account.name,
                    role_arn=role.arn,
                    tags=account.tags,
                    opts=child,
                )
        self.role_arn = role.arn
        self.account_annotations = {} if self.pod_identity else {"eks.amazonaws.com/role-arn": role.arn}
        self.pod_annotations = {"hueshift.dev/identity": cluster.identity.value}
        self.register_outputs({"role_arn": self.role_arn})


def _accounts(args: WorkloadIdentityArgs) -> list[ColorContext]:
    return [args.context.of(args.context.service, color) for color in Color if color in args.spec.colors]


def _trust(args: WorkloadIdentityArgs) -> dict[str, object]:
    context, cluster = args.context, args.context.cluster
    accounts = [account.name for account in _accounts(args)]
    statement: dict[str, object]
    if cluster.identity is IdentityKind.POD_IDENTITY:
        statement = {
            "Principal": {"Service": "pods.eks.amazonaws.com"},
            "Action": ["sts:AssumeRole", "sts:TagSession"],
            # EKS tags each session with the pod's place; else any association of the account could use the role.
            "Condition": {
                "StringEquals": {
                    "aws:RequestTag/eks-cluster-name": cluster.name,
                    "aws:RequestTag/kubernetes-namespace": context.namespace,
                    "aws:RequestTag/kubernetes-service-account": accounts,
                }
            },
        }
    else:
        issuer = (cluster.oidc_provider_arn or "").partition(":oidc-provider/")[2]
        statement = {
            "Principal": {"Federated": cluster.oidc_provider_arn},
            "Action": "sts:AssumeRoleWithWebIdentity",
            "Condition": {
                "StringEquals": {
                    f"{issuer}:aud": AUDIENCE,
                    f"{issuer}:sub": [f"system:serviceaccount:{context.namespace}:{account}" for account in accounts],
                }
            },
        }
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]}
