"""`hueshift image signed`: whether ECR has signed an image when it was pushed, as its registry is set up to."""
# ruff: noqa: ANN401 - boto3 makes its clients at run time

import time
from typing import Annotated, Any, Final

import boto3
import typer

from hueshift.images.scans import Image
from hueshift.report import Json, RefusedError, emit, reported

PATIENCE: Final = 120.0
"""Seconds in which a signature must be there; it is made by the push."""
INTERVAL: Final = 5.0
SET_UP: Final = "have the registry sign what is pushed: docs/components/image.md"


def signed(
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="By digest.", show_default=False)],
    *,
    profile: Annotated[
        str | None, typer.Option(metavar="ARN", help="The signing profile that must have signed it. Default: any.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Wait for ECR's signature of an image. Exit status 1 if it is not signed."""
    with reported():
        wanted = Image.named(image)
        by = await_signature(boto3.client("ecr", region_name=wanted.region), wanted, profile)
        if as_json:
            emit({"image": image, "profile": by})
        else:
            typer.echo(f"{image} is signed by {by}")


def await_signature(api: Any, image: Image, profile: str | None) -> str:
    """Return the ARN of the profile that has signed an image. Raises ``RefusedError`` if none has in time."""
    until = time.monotonic() + PATIENCE
    while True:
        found = _statuses(api, image)
        if profile is not None:
            found = {arn: status for arn, status in found.items() if arn == profile}
        if done := sorted(arn for arn, (status, _) in found.items() if status == "COMPLETE"):
            return done[0]
        bad = ", ".join(f"{arn}: {why}" for arn, (status, why) in found.items() if status == "FAILED")
        if bad:
            raise RefusedError(
                f"{image.digest} could not be signed: {bad}; give the role that pushes the right to sign"
            )
        if time.monotonic() >= until:
            state = f"is not signed after {PATIENCE:.0f} s" if found else f"has no signature of {profile or 'anybody'}"
            raise RefusedError(f"{image.repository}@{image.digest} {state}; {SET_UP}, and build it again")
        time.sleep(INTERVAL)


def _statuses(api: Any, image: Image) -> dict[str, tuple[str, str]]:
    """Return status and reason by signing profile."""
    registry = {"registryId": image.account} if image.account else {}
    try:
        answer = api.describe_image_signing_status(
            repositoryName=image.repository, imageId={"imageDigest": image.digest}, **registry
        )
    except (api.exceptions.ImageNotFoundException, api.exceptions.RepositoryNotFoundException):
        raise RefusedError(
            f"ECR has no {image.repository}@{image.digest}; push it first: pipeline/build.sh {image.repository}"
        ) from None
    return {
        item["signingProfileArn"]: (item["status"], item.get("failureReason") or item.get("failureCode", ""))
        for item in answer.get("signingStatuses", [])
    }
