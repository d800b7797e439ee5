"""IAM roles and what they may do; EKS' way of handing them to pods."""
# ruff: noqa: A002, ANN401, ARG002 - the contract fixes names and arguments; boto3's clients are untyped here

import json
from typing import Any
from urllib.parse import unquote

from sandbox.providers.aws.base import NAME, NAME_PREFIX, PATIENCE, TAGS, AwsResource, changed, retry, tag_list, tag_map
from sandbox.providers.aws.schema import JSON, Arg, from_api, to_api
from sandbox.providers.plugin import Properties


def document(answer: Any) -> str:
    """A policy as text; boto3 decodes it in some answers and not in others."""
    return unquote(answer) if isinstance(answer, str) else json.dumps(answer)


class Role(AwsResource):
    """``aws:iam/role:Role``; the ID is the name."""

    service = "iam"
    regional = False
    longest_name = 64
    longest_prefix = 38
    name_pattern = r"[\w+=,.@-]+"
    outputs = ("arn", "createDate", "uniqueId")
    refused = frozenset({"inlinePolicies", "managedPolicyArns"})
    gone = ("NoSuchEntity",)
    schema = {
        "assumeRolePolicy": Arg(type=JSON, required=True),
        "description": Arg(high=1000),
        "forceDetachPolicies": Arg(type=bool, default=False, stored=False),
        "maxSessionDuration": Arg(type=int, default=3600, low=3600, high=43200),
        "name": NAME,
        "namePrefix": NAME_PREFIX,
        "path": Arg(default="/", replace=True),
        "permissionsBoundary": Arg(),
        "tags": TAGS,
    }

    def make(self, api: Any, inputs: Properties, timeout: float) -> str:
        names = ("description", "maxSessionDuration", "path", "permissionsBoundary")
        request = to_api({key: self.schema[key] for key in names}, inputs)
        made = api.create_role(
            RoleName=inputs["name"],
            AssumeRolePolicyDocument=inputs["assumeRolePolicy"],
            Tags=tag_list(inputs.get("tagsAll")),
            **request,
        )
        return str(made["Role"]["RoleName"])

    def describe(self, api: Any, id: str, inputs: Properties) -> Properties | None:
        role = api.get_role(RoleName=id)["Role"]
        return {
            **from_api({key: self.schema[key] for key in ("description", "maxSessionDuration", "path")}, role),
            "assumeRolePolicy": document(role["AssumeRolePolicyDocument"]),
            "name": role["RoleName"],
            "permissionsBoundary": (role.get("PermissionsBoundary") or {}).get("PermissionsBoundaryArn"),
            "arn": role["Arn"],
            "createDate": role["CreateDate"].strftime("%Y-%m-%dT%H:%M:%SZ"),
            "uniqueId": role["RoleId"],
            "tagsAll": tag_map(role.get("Tags") or []),
        }

    def change(self, api: Any, id: str, old: Properties, new: Properties) -> None:
        if changed(["assumeRolePolicy"], old, new):
            api.update_assume_role_policy(RoleName=id, PolicyDocument=new["assumeRolePolicy"])
        if changed(["description", "maxSessionDuration"], old, new):
            api.update_role(
                RoleName=id, Description=new.get("description", ""), MaxSessionDuration=new["maxSessionDuration"]
            )
        if changed(["permissionsBoundary"], old, new):
            if boundary := new.get("permissionsBoundary"):
                api.put_role_permissions_boundary(RoleName=id, PermissionsBoundary=boundary)
            else:
                api.delete_role_permissions_boundary(RoleName=id)

    def retag(self, api: Any, id: str, state: Properties, put: dict[str, str], drop: list[str]) -> None:
        if drop:
            api.untag_role(RoleName=id, TagKeys=drop)
        if put:
            api.tag_role(RoleName=id, Tags=tag_list(put))

    def remove(self, api: Any, id: str, state: Properties, timeout: float) -> None:
        if state.get("forceDetachPolicies"):
            for page in list(api.get_paginator("list_attached_role_policies").paginate(RoleName=id)):
                for policy in page["AttachedPolicies"]:
                    api.detach_role_policy(RoleName=id, PolicyArn=policy["PolicyArn"])
            for page in list(api.get_paginator("list_role_policies").paginate(RoleName=id)):
                for name in page["PolicyNames"]:
                    api.delete_role_policy(RoleName=id, PolicyName=name)
        api.delete_role(RoleName=id)


class RolePolicyAttachment(AwsResource):
    """``aws:iam/rolePolicyAttachment:RolePolicyAttachment``; the ID is ``role/policy ARN``."""

    service = "iam"
    regional = False
    outputs = ()
    gone = ("NoSuchEntity",)
    schema = {"policyArn": Arg(required=True, replace=True), "role": Arg(required=True, replace=True)}

    def make(self, api: Any, inputs: Properties, timeout: float) -> str:
        api.attach_role_policy(RoleName=inputs["role"], PolicyArn=inputs["policyArn"])
        return f"{inputs['role']}/{inputs['policyArn']}"

    def describe(self, api: Any, id: str, inputs: Properties) -> Properties | None:
        role, _, arn = id.partition("/")
        pages = api.get_paginator("list_attached_role_policies").paginate(RoleName=role)
        attached = any(item["PolicyArn"] == arn for page in pages for item in page["AttachedPolicies"])
        return {"role": role, "policyArn": arn} if attached else None

    def remove(self, api: Any, id: str, state: Properties, timeout: float) -> None:
        role, _, arn = id.partition("/")
        api.detach_role_policy(RoleName=role, PolicyArn=arn)


class PodIdentityAssociation(AwsResource):
    """``aws:eks/podIdentityAssociation:PodIdentityAssociation``; the ID is the association's.

    An import names the cluster too: ``cluster,association``.
    """

    service = "eks"
    outputs = ("associationArn", "associationId", "externalId")
    gone = ("ResourceNotFoundException", "NotFoundException")
    schema = {
        "clusterName": Arg(required=True, replace=True),
        "disableSessionTags": Arg(type=bool, computed=True),
        "namespace": Arg(required=True, replace=True),
        "roleArn": Arg(required=True),
        "serviceAccount": Arg(required=True, replace=True),
        "tags": TAGS,
        "targetRoleArn": Arg(),
    }

    def make(self, api: Any, inputs: Properties, timeout: float) -> str:
        request = {
            key: inputs[key]
            for key in ("clusterName", "disableSessionTags", "namespace", "roleArn", "serviceAccount", "targetRoleArn")
            if inputs.get(key) is not None
        }
        # A role is known to EKS only some seconds after it was made.
        made = retry(
            lambda: api.create_pod_identity_association(**request, tags=inputs.get("tagsAll") or {}),
            ["InvalidParameterException"],
            min(timeout, PATIENCE),
            text="does not exist",
        )
        return str(made["association"]["associationId"])

    def describe(self, api: Any, id: str, inputs: Properties) -> Properties | None:
        cluster, _, name = id.rpartition(",")
        found = api.describe_pod_identity_association(
            clusterName=cluster or inputs.get("clusterName", ""), associationId=name
        )["association"]
        names = ("clusterName", "namespace", "roleArn", "serviceAccount", "targetRoleArn", "disableSessionTags")
        return {
            **{key: found.get(key) for key in (*names, "associationArn", "associationId", "externalId")},
            "tagsAll": found.get("tags") or {},
        }

    def change(self, api: Any, id: str, old: Properties, new: Properties) -> None:
        request = {
            key: new[key] for key in ("roleArn", "targetRoleArn", "disableSessionTags") if new.get(key) is not None
        }
        api.update_pod_identity_association(clusterName=new["clusterName"], associationId=id, **request)

    def retag(self, api: Any, id: str, state: Properties, put: dict[str, str], drop: list[str]) -> None:
        arn = state["associationArn"]
        if drop:
            api.untag_resource(resourceArn=arn, tagKeys=drop)
        if put:
            api.tag_resource(resourceArn=arn, tags=put)

    def remove(self, api: Any, id: str, state: Properties, timeout: float) -> None:
        api.delete_pod_identity_association(clusterName=state["clusterName"], associationId=id.rpartition(",")[2])
