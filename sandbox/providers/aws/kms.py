"""KMS keys and their aliases."""
# ruff: noqa: A002, ANN401, ARG002 - the contract fixes names and arguments; boto3's clients are untyped here

from typing import Any

from sandbox.providers.aws.base import NAME, NAME_PREFIX, TAGS, AwsResource, changed
from sandbox.providers.aws.schema import JSON, Arg, from_api, to_api
from sandbox.providers.plugin import CheckFailure, Properties


class Key(AwsResource):
    """``aws:kms/key:Key``; the ID is the key's."""

    service = "kms"
    outputs = ("arn", "keyId")
    gone = ("NotFoundException",)
    schema = {
        "bypassPolicyLockoutSafetyCheck": Arg(type=bool, default=False, stored=False),
        "customKeyStoreId": Arg(replace=True),
        "customerMasterKeySpec": Arg(default="SYMMETRIC_DEFAULT", replace=True, api="KeySpec"),
        "deletionWindowInDays": Arg(type=int, low=7, high=30, stored=False),
        "description": Arg(computed=True, high=8192),
        "enableKeyRotation": Arg(type=bool, default=False),
        "isEnabled": Arg(type=bool, default=True),
        "keyUsage": Arg(
            default="ENCRYPT_DECRYPT",
            replace=True,
            choices=("ENCRYPT_DECRYPT", "SIGN_VERIFY", "GENERATE_VERIFY_MAC", "KEY_AGREEMENT"),
        ),
        "multiRegion": Arg(type=bool, computed=True, replace=True),
        "policy": Arg(type=JSON, computed=True),
        "rotationPeriodInDays": Arg(type=int, computed=True, low=90, high=2560),
        "tags": TAGS,
        "xksKeyId": Arg(replace=True),
    }

    def validate(self, inputs: Properties) -> None:
        if "rotationPeriodInDays" in inputs and inputs["enableKeyRotation"] is False:
            raise CheckFailure("rotationPeriodInDays", "only with enableKeyRotation")

    def make(self, api: Any, inputs: Properties, timeout: float) -> str:
        given = ("customKeyStoreId", "customerMasterKeySpec", "description", "keyUsage", "multiRegion", "policy")
        request = to_api({key: self.schema[key] for key in (*given, "xksKeyId")}, inputs)
        tags = [{"TagKey": key, "TagValue": value} for key, value in (inputs.get("tagsAll") or {}).items()]
        bypass = inputs["bypassPolicyLockoutSafetyCheck"]
        made = api.create_key(**request, Tags=tags, BypassPolicyLockoutSafetyCheck=bypass)
        return str(made["KeyMetadata"]["KeyId"])

    def settle(self, api: Any, id: str, inputs: Properties) -> None:
        self._switches(api, id, {"enableKeyRotation": False, "isEnabled": True}, inputs)

    @staticmethod
    def _switches(api: Any, id: str, old: Properties, new: Properties) -> None:
        if changed(["isEnabled"], old, new) and new["isEnabled"]:
            api.enable_key(KeyId=id)
        if changed(["enableKeyRotation", "rotationPeriodInDays"], old, new):
            if new["enableKeyRotation"]:
                days = new.get("rotationPeriodInDays")
                api.enable_key_rotation(KeyId=id, **({"RotationPeriodInDays": days} if days else {}))
            else:
                api.disable_key_rotation(KeyId=id)
        if changed(["isEnabled"], old, new) and not new["isEnabled"]:
            api.disable_key(KeyId=id)  # last: the rotation of a disabled key cannot be changed

    def describe(self, api: Any, id: str, inputs: Properties) -> Properties | None:
        key = api.describe_key(KeyId=id)["KeyMetadata"]
        if key["KeyState"] in ("PendingDeletion", "PendingReplicaDeletion"):
            return None
        rotation: dict[str, Any] = {}
        if key.get("KeySpec", "SYMMETRIC_DEFAULT") == "SYMMETRIC_DEFAULT":
            rotation = api.get_key_rotation_status(KeyId=id)
        tags = api.list_resource_tags(KeyId=id).get("Tags", [])
        names = ("customKeyStoreId", "customerMasterKeySpec", "description", "keyUsage", "multiRegion")
        return {
            **from_api({name: self.schema[name] for name in names}, key),
            "enableKeyRotation": bool(rotation.get("KeyRotationEnabled")),
            "rotationPeriodInDays": rotation.get("RotationPeriodInDays"),
            "isEnabled": bool(key["Enabled"]),
            "policy": api.get_key_policy(KeyId=id, PolicyName="default")["Policy"],
            "xksKeyId": (key.get("XksKeyConfiguration") or {}).get("Id"),
            "arn": key["Arn"],
            "keyId": key["KeyId"],
            "tagsAll": {tag["TagKey"]: tag["TagValue"] for tag in tags},
        }

    def change(self, api: Any, id: str, old: Properties, new: Properties) -> None:
        if changed(["description"], old, new):
            api.update_key_description(KeyId=id, Description=new.get("description", ""))
        if changed(["policy"], old, new) and new.get("policy"):
            api.put_key_policy(
                KeyId=id,
                PolicyName="default",
                Policy=new["policy"],
                BypassPolicyLockoutSafetyCheck=new["bypassPolicyLockoutSafetyCheck"],
            )
        self._switches(api, id, old, new)

    def retag(self, api: Any, id: str, state: Properties, put: dict[str, str], drop: list[str]) -> None:
        if drop:
            api.untag_resource(KeyId=id, TagKeys=drop)
        if put:
            api.tag_resource(KeyId=id, Tags=[{"TagKey": key, "TagValue": value} for key, value in put.items()])

    def remove(self, api: Any, id: str, state: Properties, timeout: float) -> None:
        if self.describe(api, id, {}) is not None:
            api.schedule_key_deletion(KeyId=id, PendingWindowInDays=state.get("deletionWindowInDays", 30))


class Alias(AwsResource):
    """``aws:kms/alias:Alias``; the ID is the name."""

    service = "kms"
    outputs = ("arn", "targetKeyArn")
    gone = ("NotFoundException",)
    longest_name = 256
    name_pattern = r"alias/(?!aws/)[a-zA-Z0-9/_-]+"
    name_prefix = "alias/"
    schema = {
        "name": NAME,
        "namePrefix": NAME_PREFIX,
        "targetKeyId": Arg(required=True),
    }

    def make(self, api: Any, inputs: Properties, timeout: float) -> str:
        api.create_alias(AliasName=inputs["name"], TargetKeyId=inputs["targetKeyId"])
        return str(inputs["name"])

    def describe(self, api: Any, id: str, inputs: Properties) -> Properties | None:
        pages = api.get_paginator("list_aliases").paginate()
        found = next((item for page in pages for item in page["Aliases"] if item["AliasName"] == id), None)
        if found is None or "TargetKeyId" not in found:
            return None
        wanted = inputs.get("targetKeyId")
        key = api.describe_key(KeyId=found["TargetKeyId"])["KeyMetadata"]
        return {
            "name": id,
            "targetKeyId": wanted if wanted in (key["Arn"], key["KeyId"]) else key["KeyId"],
            "targetKeyArn": key["Arn"],
            "arn": found["AliasArn"],
        }

    def change(self, api: Any, id: str, old: Properties, new: Properties) -> None:
        api.update_alias(AliasName=id, TargetKeyId=new["targetKeyId"])

    def remove(self, api: Any, id: str, state: Properties, timeout: float) -> None:
        api.delete_alias(AliasName=id)
