"""Tags images in ECR with their release's version, so that the lifecycle policy keeps releases longer than builds."""
# ruff: noqa: ANN401 - boto3 makes its clients at run time

from typing import Any

from hueshift.images.scans import Image
from hueshift.report import RefusedError


def name(api: Any, image: Image, version: str) -> bool:
    """Tag an image in ECR with its version; return whether it had no such tag.

    Raises ``RefusedError`` if the image is not there, or if another one has that tag.
    """
    place = {"repositoryName": image.repository, **({"registryId": image.account} if image.account else {})}
    tag = version.replace("+", "_")  # not allowed in a tag

    def find(**wanted: str) -> Any:
        try:
            return next(iter(api.batch_get_image(**place, imageIds=[wanted])["images"]), None)
        except api.exceptions.RepositoryNotFoundException:
            return None

    # Check first: a repository with mutable tags would move the tag, others refuse even the same image.
    if there := find(imageTag=tag):
        if (other := there["imageId"]["imageDigest"]) == image.digest:
            return False
        raise RefusedError(
            f"in ECR {image.repository}:{tag} is {other}, but {image.digest} ran as {version}; a version never "
            "moves to another image: build it again under another version"
        )
    found = find(imageDigest=image.digest)
    if found is None:
        raise RefusedError(
            f"ECR has no {image.repository}@{image.digest}, so it cannot be tagged {version}; "
            f"push it first: pipeline/build.sh {image.repository}"
        )
    # An OCI manifest may lack the media type. The digest makes ECR refuse any other content.
    kind = {"imageManifestMediaType": media} if (media := found.get("imageManifestMediaType")) else {}
    api.put_image(**place, imageManifest=found["imageManifest"], imageTag=tag, imageDigest=image.digest, **kind)
    return True
