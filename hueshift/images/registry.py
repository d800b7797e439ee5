"""A release's version as a tag of its image in ECR: by it the lifecycle policy tells releases from builds."""
# ruff: noqa: ANN401 - boto3 makes its clients at run time

from typing import Any

from hueshift.images.scans import Image
from hueshift.report import RefusedError


def name(api: Any, image: Image, version: str) -> bool:
    """Tag an image in ECR with its version; return whether it had no such tag.

    Raises ``RefusedError`` if the image is not there, or if another one has that tag.
    """
    place = {"repositoryName": image.repository, **({"registryId": image.account} if image.account else {})}
    tag = version.replace("+", "_")  # a tag cannot have it

    def find(**wanted: str) -> Any:
        try:
            return next(iter(api.batch_get_image(**place, imageIds=[wanted])["images"]), None)
        except api.exceptions.RepositoryNotFoundException:
            return None

    # Asked before: a repository whose tags can move would move it, and one whose cannot refuses its own image too.
    if there := find(imageTag=tag):
        if (other := there["imageId"]["imageDigest"]) == image.digest:
            return False
        raise RefusedError(
            f"in ECR {image.repository}:{tag} is {other}, and {image.digest} ran as {version}; a version is one image "
            "for ever: build it anew under another version"
        )
    found = find(imageDigest=image.digest)
    if found is None:
        raise RefusedError(
            f"ECR has no {image.repository}@{image.digest}, and the version {version} cannot be put on it; "
            f"push it first: pipeline/build.sh {image.repository}"
        )
    # The type is not always in the manifest (OCI), and the digest makes ECR refuse any other content.
    kind = {"imageManifestMediaType": media} if (media := found.get("imageManifestMediaType")) else {}
    api.put_image(**place, imageManifest=found["imageManifest"], imageTag=tag, imageDigest=image.digest, **kind)
    return True
