"""Secrets Manager: entries, their policies and rotation, never values."""
# ruff: noqa: A002, ANN401, ARG002 - the contract fixes names and arguments; boto3's clients are untyped here

from typing import Any

from botocore.exceptions import ClientError

from sandbox.providers.aws.base import (
    NAME,
    NAME_PREFIX,
    PATIENCE,
    TAGS,
    AwsResource,
    changed,
    code,
    retry,
    tag_list,
    tag_map,
)
from sandbox.providers.aws.schema import JSON, Arg, from_api, to_api
from sandbox.providers.plugin import UNKNOWN, CheckFailure, Properties

FORGETTING = ("InvalidRequestException",)
"""What the API answers of a secret that is scheduled for deletion."""


class Secret(AwsResource):
    """``aws:secretsmanager/secret:Secret``."""

    service = "secretsmanager"
    longest_name = 512
    longest_prefix = 486
    name_pattern = r"[A-Za-z0-9/_+=.@-]+"
    gone = ("ResourceNotFoundException",)
    tagged = "SecretId"
    schema = {
        "description": Arg(high=2048),
        "forceOverwriteReplicaSecret": Arg(type=bool, default=False, stored=False),
        "kmsKeyId": Arg(),
        "name": NAME,
        "namePrefix": NAME_PREFIX,
        "policy": Arg(type=JSON, computed=True),
        "recoveryWindowInDays": Arg(type=int, default=30, low=0, high=30, stored=False),
        "replicas": Arg(
            many=True,
            computed=True,
            key="region",
            fields={
                "kmsKeyId": Arg(),
                "lastAccessedDate": Arg(computed=True),
                "region": Arg(required=True),
                "status": Arg(computed=True),
                "statusMessage": Arg(computed=True),
            },
        ),
        "tags": TAGS,
    }

    def validate(self, inputs: Properties) -> None:
        days = inputs["recoveryWindowInDays"]
        if days is not UNKNOWN and 0 < days < 7:
            raise CheckFailure("recoveryWindowInDays", f"0 or 7 to 30 days are wanted, got {days}")

    @staticmethod
    def _regions(replicas: Any) -> list[dict[str, str]]:
        return [
            {"Region": replica["region"]} | ({"KmsKeyId": replica["kmsKeyId"]} if replica.get("kmsKeyId") else {})
            for replica in replicas or []
        ]

    def make(self, api: Any, inputs: Properties, timeout: float) -> str:
        request = {"Name": inputs["name"], "ForceOverwriteReplicaSecret": inputs["forceOverwriteReplicaSecret"]}
        for ours, theirs in (("description", "Description"), ("kmsKeyId", "KmsKeyId")):
            if inputs.get(ours):
                request[theirs] = inputs[ours]
        if inputs.get("replicas"):
            request["AddReplicaRegions"] = self._regions(inputs["replicas"])
        if inputs.get("tagsAll"):
            request["Tags"] = tag_list(inputs["tagsAll"])
        made = retry(
            lambda: api.create_secret(**request), FORGETTING, min(timeout, PATIENCE), text="scheduled for deletion"
        )
        return str(made["ARN"])

    def settle(self, api: Any, id: str, inputs: Properties) -> None:
        self._policy(api, id, inputs)

    @staticmethod
    def _policy(api: Any, id: str, inputs: Properties) -> None:
        policy = inputs.get("policy")
        if policy and policy != "{}":
            api.put_resource_policy(SecretId=id, ResourcePolicy=policy)
        elif policy is not None:
            api.delete_resource_policy(SecretId=id)

    def describe(self, api: Any, id: str, inputs: Properties) -> Properties | None:
        secret = api.describe_secret(SecretId=id)
        if secret.get("DeletedDate"):
            return None
        policy = api.get_resource_policy(SecretId=id).get("ResourcePolicy")
        replicas = [
            {
                "region": item["Region"],
                **{
                    key: str(item[theirs])
                    for key, theirs in (
                        ("kmsKeyId", "KmsKeyId"),
                        ("lastAccessedDate", "LastAccessedDate"),
                        ("status", "Status"),
                        ("statusMessage", "StatusMessage"),
                    )
                    if item.get(theirs)
                },
            }
            for item in secret.get("ReplicationStatus") or []
        ]
        return {
            "arn": secret["ARN"],
            "name": secret["Name"],
            "description": secret.get("Description") or None,
            "kmsKeyId": secret.get("KmsKeyId") or None,
            "policy": policy or inputs.get("policy"),
            "replicas": replicas,
            "tagsAll": tag_map(secret.get("Tags") or []),
        }

    def change(self, api: Any, id: str, old: Properties, new: Properties) -> None:
        if changed(["replicas"], old, new):
            before = {replica["region"] for replica in old.get("replicas") or []}
            after = {replica["region"] for replica in new.get("replicas") or []}
            if gone := sorted(before - after):
                api.remove_regions_from_replication(SecretId=id, RemoveReplicaRegions=gone)
            added = [replica for replica in new.get("replicas") or [] if replica["region"] not in before]
            if added:
                api.replicate_secret_to_regions(
                    SecretId=id,
                    AddReplicaRegions=self._regions(added),
                    ForceOverwriteReplicaSecret=new["forceOverwriteReplicaSecret"],
                )
        if changed(["description", "kmsKeyId"], old, new):
            key = {"KmsKeyId": new["kmsKeyId"]} if new.get("kmsKeyId") else {}
            api.update_secret(SecretId=id, Description=new.get("description", ""), **key)
        if changed(["policy"], old, new):
            self._policy(api, id, new)

    def remove(self, api: Any, id: str, state: Properties, timeout: float) -> None:
        try:
            self._forget(api, id, state)
        except ClientError as error:
            if code(error) not in FORGETTING or "marked" not in str(error):
                raise

    @staticmethod
    def _forget(api: Any, id: str, state: Properties) -> None:
        replicas = [replica["region"] for replica in state.get("replicas") or []]
        if replicas:  # the API refuses to delete a secret that still has copies
            api.remove_regions_from_replication(SecretId=id, RemoveReplicaRegions=replicas)
        days = state.get("recoveryWindowInDays", 30)
        how = {"RecoveryWindowInDays": days} if days else {"ForceDeleteWithoutRecovery": True}
        api.delete_secret(SecretId=id, **how)


class SecretPolicy(AwsResource):
    """``aws:secretsmanager/secretPolicy:SecretPolicy``; the ID is the secret's ARN."""

    service = "secretsmanager"
    outputs = ()
    gone = ("ResourceNotFoundException",)
    schema = {
        "blockPublicPolicy": Arg(type=bool, stored=False),
        "policy": Arg(type=JSON, required=True),
        "secretArn": Arg(required=True, replace=True),
    }

    def make(self, api: Any, inputs: Properties, timeout: float) -> str:
        block = {"BlockPublicPolicy": inputs["blockPublicPolicy"]} if "blockPublicPolicy" in inputs else {}
        put = api.put_resource_policy(SecretId=inputs["secretArn"], ResourcePolicy=inputs["policy"], **block)
        return str(put.get("ARN") or inputs["secretArn"])

    def describe(self, api: Any, id: str, inputs: Properties) -> Properties | None:
        policy = api.get_resource_policy(SecretId=id).get("ResourcePolicy")
        return {"policy": policy, "secretArn": id} if policy else None

    def change(self, api: Any, id: str, old: Properties, new: Properties) -> None:
        self.make(api, new, 0)

    def remove(self, api: Any, id: str, state: Properties, timeout: float) -> None:
        api.delete_resource_policy(SecretId=id)


class SecretRotation(AwsResource):
    """``aws:secretsmanager/secretRotation:SecretRotation``; the ID is the secret's ARN."""

    service = "secretsmanager"
    outputs = ("rotationEnabled",)
    gone = ("ResourceNotFoundException",)
    schema = {
        "rotateImmediately": Arg(type=bool, default=True, stored=False),
        "rotationLambdaArn": Arg(api="RotationLambdaARN"),
        "rotationRules": Arg(
            required=True,
            fields={
                "automaticallyAfterDays": Arg(type=int, low=1, high=1000),
                "duration": Arg(pattern=r"[0-9h]+"),
                "scheduleExpression": Arg(pattern=r"[0-9A-Za-z(),#?\\/*. -]+"),
            },
        ),
        "secretId": Arg(required=True, replace=True),
    }

    def make(self, api: Any, inputs: Properties, timeout: float) -> str:
        request = to_api({key: arg for key, arg in self.schema.items() if key != "rotateImmediately"}, inputs)
        made = api.rotate_secret(**request, RotateImmediately=inputs["rotateImmediately"])
        return str(made["ARN"])

    def describe(self, api: Any, id: str, inputs: Properties) -> Properties | None:
        secret = api.describe_secret(SecretId=id)
        if secret.get("DeletedDate") or not secret.get("RotationEnabled"):
            return None
        live = from_api({key: self.schema[key] for key in ("rotationLambdaArn", "rotationRules")}, secret)
        return {**live, "secretId": id, "rotationEnabled": True}

    def change(self, api: Any, id: str, old: Properties, new: Properties) -> None:
        self.make(api, new, 0)

    def remove(self, api: Any, id: str, state: Properties, timeout: float) -> None:
        api.cancel_rotate_secret(SecretId=id)
