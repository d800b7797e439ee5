"""Image repositories and what is kept in them."""
# ruff: noqa: A002, ANN401, ARG002 - the contract fixes names and arguments; boto3's clients are untyped here

from typing import Any

from sandbox.providers.aws.base import NAME, TAGS, AwsResource, changed, tag_list, tag_map
from sandbox.providers.aws.schema import JSON, Arg
from sandbox.providers.plugin import Properties

_MUTABILITY = ("MUTABLE", "IMMUTABLE", "IMMUTABLE_WITH_EXCLUSION", "MUTABLE_WITH_EXCLUSION")


class Repository(AwsResource):
    """``aws:ecr/repository:Repository``; the ID is the name."""

    service = "ecr"
    longest_name = 256
    name_pattern = r"(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*"
    outputs = ("arn", "registryId", "repositoryUrl")
    gone = ("RepositoryNotFoundException",)
    schema = {
        "encryptionConfigurations": Arg(
            many=True,
            replace=True,
            fields={
                "encryptionType": Arg(default="AES256", choices=("AES256", "KMS", "KMS_DSSE")),
                "kmsKey": Arg(computed=True),
            },
        ),
        "forceDelete": Arg(type=bool, stored=False),
        "imageScanningConfiguration": Arg(fields={"scanOnPush": Arg(type=bool, required=True)}),
        "imageTagMutability": Arg(default="MUTABLE", choices=_MUTABILITY),
        "imageTagMutabilityExclusionFilters": Arg(
            many=True,
            key="filter",
            fields={"filter": Arg(required=True), "filterType": Arg(required=True, choices=("WILDCARD",))},
        ),
        "name": NAME,
        "tags": TAGS,
    }

    def make(self, api: Any, inputs: Properties, timeout: float) -> str:
        names = ("imageTagMutability", "imageTagMutabilityExclusionFilters", "imageScanningConfiguration")
        request = {name: inputs[name] for name in names if inputs.get(name)}
        if encryption := inputs.get("encryptionConfigurations"):
            request["encryptionConfiguration"] = encryption[0]
        made = api.create_repository(repositoryName=inputs["name"], tags=tag_list(inputs.get("tagsAll")), **request)
        return str(made["repository"]["repositoryName"])

    def describe(self, api: Any, id: str, inputs: Properties) -> Properties | None:
        found = api.describe_repositories(repositoryNames=[id])["repositories"][0]
        encryption = found.get("encryptionConfiguration")
        return {
            "name": found["repositoryName"],
            "imageTagMutability": found.get("imageTagMutability", "MUTABLE"),
            "imageTagMutabilityExclusionFilters": found.get("imageTagMutabilityExclusionFilters"),
            "imageScanningConfiguration": found.get("imageScanningConfiguration"),
            "encryptionConfigurations": [encryption] if encryption else None,
            "arn": found["repositoryArn"],
            "registryId": found["registryId"],
            "repositoryUrl": found["repositoryUri"],
            "tagsAll": tag_map(api.list_tags_for_resource(resourceArn=found["repositoryArn"]).get("tags", [])),
        }

    def change(self, api: Any, id: str, old: Properties, new: Properties) -> None:
        if changed(["imageTagMutability", "imageTagMutabilityExclusionFilters"], old, new):
            filters = new.get("imageTagMutabilityExclusionFilters")
            more = {"imageTagMutabilityExclusionFilters": filters} if filters else {}
            api.put_image_tag_mutability(repositoryName=id, imageTagMutability=new["imageTagMutability"], **more)
        if changed(["imageScanningConfiguration"], old, new):
            scanning = new.get("imageScanningConfiguration") or {"scanOnPush": False}
            api.put_image_scanning_configuration(repositoryName=id, imageScanningConfiguration=scanning)

    def retag(self, api: Any, id: str, state: Properties, put: dict[str, str], drop: list[str]) -> None:
        if drop:
            api.untag_resource(resourceArn=state["arn"], tagKeys=drop)
        if put:
            api.tag_resource(resourceArn=state["arn"], tags=tag_list(put))

    def remove(self, api: Any, id: str, state: Properties, timeout: float) -> None:
        api.delete_repository(repositoryName=id, force=bool(state.get("forceDelete")))


class LifecyclePolicy(AwsResource):
    """``aws:ecr/lifecyclePolicy:LifecyclePolicy``; the ID is the repository's name."""

    service = "ecr"
    outputs = ("registryId",)
    gone = ("LifecyclePolicyNotFoundException", "RepositoryNotFoundException")
    schema = {
        "policy": Arg(type=JSON, required=True, replace=True),
        "repository": Arg(required=True, replace=True),
    }

    def make(self, api: Any, inputs: Properties, timeout: float) -> str:
        put = api.put_lifecycle_policy(repositoryName=inputs["repository"], lifecyclePolicyText=inputs["policy"])
        return str(put["repositoryName"])

    def describe(self, api: Any, id: str, inputs: Properties) -> Properties | None:
        found = api.get_lifecycle_policy(repositoryName=id)
        return {"policy": found["lifecyclePolicyText"], "repository": id, "registryId": found.get("registryId")}

    def remove(self, api: Any, id: str, state: Properties, timeout: float) -> None:
        api.delete_lifecycle_policy(repositoryName=id)


class RepositoryPolicy(AwsResource):
    """``aws:ecr/repositoryPolicy:RepositoryPolicy``; the ID is the repository's name."""

    service = "ecr"
    outputs = ("registryId",)
    gone = ("RepositoryPolicyNotFoundException", "RepositoryNotFoundException")
    schema = {"policy": Arg(type=JSON, required=True), "repository": Arg(required=True, replace=True)}

    def make(self, api: Any, inputs: Properties, timeout: float) -> str:
        return str(
            api.set_repository_policy(repositoryName=inputs["repository"], policyText=inputs["policy"])[
                "repositoryName"
            ]
        )

    def describe(self, api: Any, id: str, inputs: Properties) -> Properties | None:
        found = api.get_repository_policy(repositoryName=id)
        return {"policy": found["policyText"], "repository": id, "registryId": found.get("registryId")}

    def change(self, api: Any, id: str, old: Properties, new: Properties) -> None:
        self.make(api, new, 0)

    def remove(self, api: Any, id: str, state: Properties, timeout: float) -> None:
        api.delete_repository_policy(repositoryName=id)
