"""A repository of ECR as far as tags go: immutable, found by tag or digest, and emptied by a lifecycle policy."""
# ruff: noqa: ANN401, N803 - what AWS' API takes and gives

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hueshift.images import registry
from hueshift.images.scans import Image

HOST = "111122223333.dkr.ecr.eu-west-1.amazonaws.com"


class Exceptions:
    """As boto3's clients have them."""

    class RepositoryNotFoundException(Exception):  # noqa: N818
        """There is no such repository."""

    class ImageTagAlreadyExistsException(Exception):  # noqa: N818
        """The tag cannot move."""


@dataclass
class Ecr:
    """One repository called shop."""

    tags: dict[str, list[str]] = field(default_factory=dict)
    """By digest, the oldest push first."""
    puts: list[dict[str, Any]] = field(default_factory=list)
    exceptions = Exceptions

    def push(self, digest: str, *tags: str) -> None:
        """Push an image as `docker push` does."""
        self.tags.setdefault(digest, []).extend(tags)

    def record(self, digest: str, version: str) -> bool:
        """Do what `hueshift image record` does with an image."""
        return registry.name(self, Image.named(f"{HOST}/shop@{digest}"), version)

    def batch_get_image(
        self, *, repositoryName: str, imageIds: Sequence[Mapping[str, str]], registryId: str = HOST[:12]
    ) -> Any:
        assert registryId == HOST[:12]
        if repositoryName != "shop":
            raise Exceptions.RepositoryNotFoundException
        [wanted] = imageIds
        found = [
            digest
            for digest, tags in self.tags.items()
            if wanted.get("imageDigest") == digest or wanted.get("imageTag") in tags
        ]
        images = [
            {"imageId": {"imageDigest": digest, **wanted}, "imageManifest": digest, "imageManifestMediaType": "oci"}
            for digest in found
        ]
        return {"images": images, "failures": [] if images else [{"failureCode": "ImageNotFound"}]}

    def put_image(self, *, imageTag: str, imageDigest: str, imageManifest: str, **more: str) -> None:
        assert imageManifest == imageDigest in self.tags
        if any(imageTag in tags for tags in self.tags.values()):
            raise Exceptions.ImageTagAlreadyExistsException
        self.puts.append({"imageTag": imageTag, "imageDigest": imageDigest, **more})
        self.tags[imageDigest].append(imageTag)

    def expire(self, rules: Sequence[Mapping[str, Any]]) -> None:
        """Apply rules on tags: an image falls under the first that one of its tags matches, and under no other."""
        left = dict(self.tags)
        for rule in sorted(rules, key=lambda rule: rule["rulePriority"]):
            selection = rule["selection"]
            if selection["tagStatus"] != "tagged":
                continue
            patterns = [re.escape(pattern).replace(r"\*", ".*") for pattern in selection["tagPatternList"]]
            matched = [
                digest for digest, tags in left.items() if any(re.fullmatch(p, tag) for p in patterns for tag in tags)
            ]
            for digest in matched:
                del left[digest]
            assert selection["countType"] == "imageCountMoreThan"
            for digest in matched[: -selection["countNumber"]]:
                del self.tags[digest]
