"""Buckets, and what the official provider keeps beside them as resources of their own."""
# ruff: noqa: A002, ANN401, ARG002 - the contract fixes names and arguments; boto3's clients are untyped here

from typing import Any, ClassVar, Final

from botocore.exceptions import ClientError

from sandbox.providers.aws.base import PATIENCE, TAGS, AwsResource, changed, code, retry, tag_list, tag_map
from sandbox.providers.aws.schema import JSON, MAP, Arg, Schema, from_api, to_api
from sandbox.providers.plugin import UNKNOWN, CheckFailure, Properties

_NO_BUCKET: Final = ("NoSuchBucket", "404")
_BUSY: Final = ("OperationAborted", "ServiceUnavailable")
"""Two changes of one bucket at a time; the second is to be tried again."""
_BATCH: Final = 1000
"""Objects that one call deletes."""

BUCKET: Final = Arg(required=True, replace=True)
OWNER: Final = Arg(replace=True, stored=False)


class Bucket(AwsResource):
    """``aws:s3/bucket:Bucket``; the ID is the name.

    Of the arguments that resources of their own have replaced, none is taken.
    """

    service = "s3"
    naming = "bucket"
    longest_name = 63
    longest_prefix = 37
    name_pattern = r"[a-z0-9][a-z0-9.-]*"
    outputs = (
        "arn",
        "bucketDomainName",
        "bucketRegion",
        "bucketRegionalDomainName",
        "hostedZoneId",
        "websiteDomain",
        "websiteEndpoint",
    )
    gone = _NO_BUCKET
    refused = frozenset(
        {
            "accelerationStatus",
            "acl",
            "bucketNamespace",
            "corsRules",
            "grants",
            "lifecycleRules",
            "logging",
            "objectLockConfiguration",
            "policy",
            "replicationConfiguration",
            "requestPayer",
            "serverSideEncryptionConfiguration",
            "versioning",
            "website",
        }
    )
    schema = {
        "bucket": Arg(replace=True),
        "bucketPrefix": Arg(replace=True, stored=False),
        "forceDestroy": Arg(type=bool, default=False, stored=False),
        "objectLockEnabled": Arg(type=bool, computed=True, replace=True),
        "tags": TAGS,
    }

    def spelled(self, logical: str) -> str:
        return logical.lower()

    def make(self, api: Any, inputs: Properties, timeout: float) -> str:
        request: dict[str, Any] = {"Bucket": inputs["bucket"]}
        if api.meta.region_name != "us-east-1":
            request["CreateBucketConfiguration"] = {"LocationConstraint": api.meta.region_name}
        if inputs.get("objectLockEnabled"):
            request["ObjectLockEnabledForBucket"] = True
        retry(lambda: api.create_bucket(**request), _BUSY, min(timeout, PATIENCE))
        return str(inputs["bucket"])

    def settle(self, api: Any, id: str, inputs: Properties) -> None:
        if inputs.get("tagsAll"):
            api.put_bucket_tagging(Bucket=id, Tagging={"TagSet": tag_list(inputs["tagsAll"])})

    def describe(self, api: Any, id: str, inputs: Properties) -> Properties | None:
        region = api.head_bucket(Bucket=id)["ResponseMetadata"]["HTTPHeaders"].get("x-amz-bucket-region")
        region = region or api.meta.region_name
        tags = _found(lambda: api.get_bucket_tagging(Bucket=id)["TagSet"], "NoSuchTagSet")
        lock = _found(
            lambda: api.get_object_lock_configuration(Bucket=id)["ObjectLockConfiguration"],
            "ObjectLockConfigurationNotFoundError",
        )
        return {
            "bucket": id,
            "objectLockEnabled": (lock or {}).get("ObjectLockEnabled") == "Enabled",
            "arn": f"arn:{self.cloud.partition}:s3:::{id}",
            "bucketDomainName": f"{id}.s3.amazonaws.com",
            "bucketRegion": region,
            "bucketRegionalDomainName": f"{id}.s3.{region}.amazonaws.com",
            "tagsAll": tag_map(tags or []),
        }

    def change(self, api: Any, id: str, old: Properties, new: Properties) -> None:
        """Only ``forceDestroy`` can change, and the API does not have it."""

    def retag(self, api: Any, id: str, state: Properties, put: dict[str, str], drop: list[str]) -> None:
        kept = {key: value for key, value in (state.get("tagsAll") or {}).items() if key not in drop} | put
        if kept:
            api.put_bucket_tagging(Bucket=id, Tagging={"TagSet": tag_list(kept)})
        else:
            api.delete_bucket_tagging(Bucket=id)

    def remove(self, api: Any, id: str, state: Properties, timeout: float) -> None:
        if state.get("forceDestroy"):
            self._empty(api, id)
        retry(lambda: api.delete_bucket(Bucket=id), _BUSY, min(timeout, PATIENCE))

    @staticmethod
    def _empty(api: Any, id: str) -> None:
        for page in api.get_paginator("list_object_versions").paginate(Bucket=id):
            found = [
                {"Key": item["Key"], "VersionId": item["VersionId"]}
                for item in [*(page.get("Versions") or []), *(page.get("DeleteMarkers") or [])]
            ]
            for first in range(0, len(found), _BATCH):
                answer = api.delete_objects(Bucket=id, Delete={"Objects": found[first : first + _BATCH], "Quiet": True})
                if errors := answer.get("Errors"):
                    raise ValueError(f"{len(errors)} objects of {id} were not deleted; the first: {errors[0]}")


def _found(call: Any, *missing: str) -> Any:
    try:
        return call()
    except ClientError as error:
        if code(error) not in missing:
            raise
        return None


class BucketPart(AwsResource):
    """A configuration of a bucket that the API puts, gets and deletes as a whole; the ID is the bucket's name."""

    service = "s3"
    outputs = ()
    operations: ClassVar[tuple[str, str, str]]
    """What puts it, gets it and deletes it."""

    def body(self, inputs: Properties) -> dict[str, Any]:
        """Give the arguments of the call that puts it, besides the bucket's."""
        raise NotImplementedError

    def live(self, answer: dict[str, Any], inputs: Properties) -> Properties | None:
        """Give our arguments from what the API answers."""
        raise NotImplementedError

    @staticmethod
    def _whose(properties: Properties, id: str = "") -> dict[str, Any]:
        """An owner that the program expects; an import has it behind a comma."""
        bucket, _, owner = (id or properties["bucket"]).partition(",")
        owner = properties.get("expectedBucketOwner") or owner
        return {"Bucket": bucket, **({"ExpectedBucketOwner": owner} if owner else {})}

    def make(self, api: Any, inputs: Properties, timeout: float) -> str:
        put = getattr(api, self.operations[0])
        retry(lambda: put(**self._whose(inputs), **self.body(inputs)), (*_BUSY, "NoSuchBucket"), min(timeout, 10.0))
        owner = inputs.get("expectedBucketOwner")
        return f"{inputs['bucket']},{owner}" if owner else str(inputs["bucket"])

    def describe(self, api: Any, id: str, inputs: Properties) -> Properties | None:
        answer = getattr(api, self.operations[1])(**self._whose(inputs, id))
        found = self.live(answer, inputs)
        return None if found is None else {"bucket": id.partition(",")[0], **found}

    def change(self, api: Any, id: str, old: Properties, new: Properties) -> None:
        getattr(api, self.operations[0])(**self._whose(new, id), **self.body(new))

    def remove(self, api: Any, id: str, state: Properties, timeout: float) -> None:
        delete = getattr(api, self.operations[2])
        retry(lambda: delete(**self._whose(state, id)), _BUSY, min(timeout, PATIENCE))


class BucketPolicy(BucketPart):
    """``aws:s3/bucketPolicy:BucketPolicy``."""

    gone = (*_NO_BUCKET, "NoSuchBucketPolicy")
    operations = ("put_bucket_policy", "get_bucket_policy", "delete_bucket_policy")
    schema = {"bucket": BUCKET, "policy": Arg(type=JSON, required=True)}

    def body(self, inputs: Properties) -> dict[str, Any]:
        return {"Policy": inputs["policy"]}

    def live(self, answer: dict[str, Any], inputs: Properties) -> Properties | None:
        return {"policy": answer["Policy"]}


class BucketPublicAccessBlock(BucketPart):
    """``aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock``."""

    gone = (*_NO_BUCKET, "NoSuchPublicAccessBlockConfiguration")
    operations = ("put_public_access_block", "get_public_access_block", "delete_public_access_block")
    _switches: ClassVar[Schema] = {
        name: Arg(type=bool, default=False)
        for name in ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
    }
    schema = {"bucket": BUCKET, "skipDestroy": Arg(type=bool, stored=False), **_switches}

    def body(self, inputs: Properties) -> dict[str, Any]:
        return {"PublicAccessBlockConfiguration": to_api(self._switches, inputs)}

    def live(self, answer: dict[str, Any], inputs: Properties) -> Properties | None:
        return from_api(self._switches, answer["PublicAccessBlockConfiguration"])

    def remove(self, api: Any, id: str, state: Properties, timeout: float) -> None:
        if not state.get("skipDestroy"):
            super().remove(api, id, state, timeout)


class BucketOwnershipControls(BucketPart):
    """``aws:s3/bucketOwnershipControls:BucketOwnershipControls``."""

    gone = (*_NO_BUCKET, "OwnershipControlsNotFoundError")
    operations = ("put_bucket_ownership_controls", "get_bucket_ownership_controls", "delete_bucket_ownership_controls")
    schema = {
        "bucket": BUCKET,
        "rule": Arg(
            required=True,
            fields={
                "objectOwnership": Arg(
                    required=True, choices=("BucketOwnerPreferred", "ObjectWriter", "BucketOwnerEnforced")
                )
            },
        ),
    }

    def body(self, inputs: Properties) -> dict[str, Any]:
        return {"OwnershipControls": {"Rules": [{"ObjectOwnership": inputs["rule"]["objectOwnership"]}]}}

    def live(self, answer: dict[str, Any], inputs: Properties) -> Properties | None:
        return {"rule": {"objectOwnership": answer["OwnershipControls"]["Rules"][0]["ObjectOwnership"]}}


class BucketServerSideEncryptionConfiguration(BucketPart):
    """``aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration``."""

    gone = (*_NO_BUCKET, "ServerSideEncryptionConfigurationNotFoundError")
    operations = ("put_bucket_encryption", "get_bucket_encryption", "delete_bucket_encryption")
    schema = {
        "bucket": BUCKET,
        "expectedBucketOwner": OWNER,
        "rules": Arg(
            many=True,
            required=True,
            partial=True,
            fields={
                "applyServerSideEncryptionByDefault": Arg(
                    fields={
                        "kmsMasterKeyId": Arg(api="KMSMasterKeyID"),
                        "sseAlgorithm": Arg(
                            required=True, choices=("AES256", "aws:kms", "aws:kms:dsse"), api="SSEAlgorithm"
                        ),
                    },
                ),
                "bucketKeyEnabled": Arg(type=bool),
            },
        ),
    }

    def body(self, inputs: Properties) -> dict[str, Any]:
        return {"ServerSideEncryptionConfiguration": to_api({"rules": self.schema["rules"]}, inputs)}

    def live(self, answer: dict[str, Any], inputs: Properties) -> Properties | None:
        return from_api({"rules": self.schema["rules"]}, answer["ServerSideEncryptionConfiguration"])


_DAYS: Final = Arg(type=int, low=1)
_CLASSES: Final = ("GLACIER", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "DEEP_ARCHIVE", "GLACIER_IR")
_RULE: Final[Schema] = {
    "abortIncompleteMultipartUpload": Arg(fields={"daysAfterInitiation": _DAYS}),
    "expiration": Arg(
        partial=True,
        fields={"days": _DAYS, "expiredObjectDeleteMarker": Arg(type=bool, computed=True)},
    ),
    "filter": Arg(
        computed=True,
        partial=True,
        fields={
            "and": Arg(partial=True, fields={"prefix": Arg(), "tags": Arg(type=MAP)}),
            "prefix": Arg(),
            "tag": Arg(fields={"key": Arg(required=True), "value": Arg(required=True)}),
        },
    ),
    "id": Arg(required=True, low=1, high=255, api="ID"),
    "noncurrentVersionExpiration": Arg(
        fields={
            "newerNoncurrentVersions": _DAYS,
            "noncurrentDays": Arg(type=int, low=1, required=True),
        }
    ),
    "noncurrentVersionTransitions": Arg(
        many=True,
        key="storageClass",
        fields={
            "newerNoncurrentVersions": _DAYS,
            "noncurrentDays": Arg(type=int, low=0, required=True),
            "storageClass": Arg(required=True, choices=_CLASSES),
        },
    ),
    "status": Arg(required=True, choices=("Enabled", "Disabled")),
    "transitions": Arg(
        many=True,
        partial=True,
        key="storageClass",
        fields={"days": Arg(type=int, low=0), "storageClass": Arg(required=True, choices=_CLASSES)},
    ),
}


class BucketLifecycleConfiguration(BucketPart):
    """``aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration``; by days, not by dates or sizes."""

    gone = (*_NO_BUCKET, "NoSuchLifecycleConfiguration")
    operations = (
        "put_bucket_lifecycle_configuration",
        "get_bucket_lifecycle_configuration",
        "delete_bucket_lifecycle",
    )
    refused = frozenset({"timeouts"})
    schema = {
        "bucket": BUCKET,
        "expectedBucketOwner": OWNER,
        "rules": Arg(many=True, key="id", partial=True, fields=_RULE),
        "transitionDefaultMinimumObjectSize": Arg(
            computed=True, choices=("all_storage_classes_128K", "varies_by_storage_class")
        ),
    }

    def validate(self, inputs: Properties) -> None:
        for index, rule in enumerate(inputs.get("rules") or [] if inputs.get("rules") is not UNKNOWN else []):
            chosen = rule.get("filter") if isinstance(rule, dict) else None
            if isinstance(chosen, dict) and len(chosen) > 1:
                raise CheckFailure(f"rules[{index}].filter", "one condition is wanted; several go into and")

    _filter: ClassVar[Schema] = {key: arg for key, arg in (_RULE["filter"].fields or {}).items() if key != "and"}
    _rest: ClassVar[Schema] = {key: arg for key, arg in _RULE.items() if key != "filter"}

    def body(self, inputs: Properties) -> dict[str, Any]:
        size = inputs.get("transitionDefaultMinimumObjectSize")
        rules = []
        for rule in inputs.get("rules") or []:
            chosen = rule.get("filter") or {}
            wanted = to_api(self._filter, chosen) or {"Prefix": ""}
            if every := chosen.get("and"):
                wanted = {"And": {"Prefix": every.get("prefix", ""), "Tags": tag_list(every.get("tags"))}}
            rules.append({**to_api(self._rest, rule), "Filter": wanted})
        return {
            "LifecycleConfiguration": {"Rules": rules},
            **({"TransitionDefaultMinimumObjectSize": size} if size else {}),
        }

    def live(self, answer: dict[str, Any], inputs: Properties) -> Properties | None:
        rules = []
        for item in answer.get("Rules") or []:
            found = item.get("Filter") or {}
            chosen = {key: value for key, value in from_api(self._filter, found).items() if value != ""}
            if every := found.get("And"):
                both = {"prefix": every.get("Prefix"), "tags": tag_map(every.get("Tags") or [])}
                chosen["and"] = {key: value for key, value in both.items() if value}
            rules.append({**from_api(self._rest, item), "filter": chosen})
        return {
            "rules": rules,
            "transitionDefaultMinimumObjectSize": answer.get("TransitionDefaultMinimumObjectSize"),
        }

    def change(self, api: Any, id: str, old: Properties, new: Properties) -> None:
        if changed(["rules", "transitionDefaultMinimumObjectSize"], old, new):
            super().change(api, id, old, new)
