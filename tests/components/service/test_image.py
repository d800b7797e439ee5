"""The repository that keeps images, and the image that a stack builds."""

import json
import re
from dataclasses import replace
from hashlib import sha1
from typing import Any

from components.service.image import BUILDS_KEPT, Image, ImageArgs, ImageRepository, ImageRepositoryArgs
from components.spec import Build
from tests.support import samples
from tests.support.ecr import Ecr
from tests.support.engine import Engine, Secret, in_stack
from tests.support.program import ROOT

REPOSITORY = ImageRepositoryArgs(context=samples.SHOP, reader_accounts=["444455556666"])
IMAGE = ImageArgs(
    build=Build(context=".", dockerfile="app/Dockerfile", args={"BASE": "scratch"}),
    version="1.5.0",
    repository_url="123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop",
)
REGISTRY = "https://123456789012.dkr.ecr.eu-west-1.amazonaws.com"
TOKEN = {
    "aws:ecr/getAuthorizationToken:getAuthorizationToken": {
        "userName": "AWS",
        "password": "obviously-fake",
        "proxyEndpoint": REGISTRY,
    }
}


@in_stack
async def test_a_tag_is_one_build_for_ever_and_every_push_is_scanned(engine: Engine) -> None:
    ImageRepository("shop", REPOSITORY)
    inputs = await engine.inputs("shop-images")
    assert (inputs["imageTagMutability"], inputs["imageScanningConfiguration"]) == ("IMMUTABLE", {"scanOnPush": True})


async def retention(engine: Engine) -> list[dict[str, Any]]:
    """Return the rules of a repository's lifecycle policy."""
    ImageRepository("shop", REPOSITORY)
    rules: list[dict[str, Any]] = json.loads((await engine.inputs("shop-retention"))["policy"])["rules"]
    assert [rule["rulePriority"] for rule in rules] == [1, 2, 3]
    return rules


@in_stack
async def test_what_was_released_outlasts_any_number_of_builds(engine: Engine) -> None:
    rules = await retention(engine)
    assert "image=$repository:$commit\n" in (ROOT / "pipeline/build.sh").read_text(), "what builds are called here"
    ecr = Ecr()
    digests = [f"sha256:{number:064x}" for number in range(10 * BUILDS_KEPT)]
    for number, digest in enumerate(digests):
        ecr.push(digest, sha1(digest.encode()).hexdigest())
        if number % 50 == 0:
            ecr.record(digest, f"1.6.{number}")
        if number % 20 == 0:
            ecr.expire(rules)
    ecr.expire(rules)
    released = digests[::50]
    builds = [digest for digest in digests if digest not in released]
    assert list(ecr.tags) == sorted([*released, *builds[-BUILDS_KEPT:]])


@in_stack
async def test_of_releases_more_are_kept_than_all_environments_run_or_go_back_to(engine: Engine) -> None:
    # Two colors and five releases before them, in ten environments.
    assert (await retention(engine))[0]["selection"]["countNumber"] >= 7 * 10


@in_stack
async def test_what_was_pushed_only_in_part_goes(engine: Engine) -> None:
    assert (await retention(engine))[2]["selection"]["tagStatus"] == "untagged"


@in_stack
async def test_other_accounts_may_pull_and_do_nothing_else(engine: Engine) -> None:
    ImageRepository("shop", REPOSITORY)
    [statement] = json.loads((await engine.inputs("shop-readers"))["policy"])["Statement"]
    assert statement["Principal"] == {"AWS": ["arn:aws:iam::444455556666:root"]}
    assert not any(re.search("Put|Upload|Delete|Set|[*]", action) for action in statement["Action"])


@in_stack
async def test_a_repository_that_others_pull_from_outlives_its_stack(engine: Engine) -> None:
    ImageRepository("shop", REPOSITORY)
    ImageRepository("tmp", replace(REPOSITORY, reader_accounts=[]))
    kept, other = [await engine.resource(f"{name}-images") for name in ("shop", "tmp")]
    assert (kept.request.protect, other.request.protect) == (True, False)
    assert (kept.inputs["forceDelete"], other.inputs["forceDelete"]) == (False, True)
    assert [policy.name for policy in await engine.of_type("RepositoryPolicy")] == ["shop-readers"]


@in_stack
async def test_an_image_is_tagged_with_its_version_built_by_updates_alone_and_run_by_digest(engine: Engine) -> None:
    engine.answers |= TOKEN
    image = Image("shop-green", IMAGE)
    inputs = await engine.inputs("shop-green-image", "Image")
    assert inputs["imageName"] == f"{IMAGE.repository_url}:1.5.0"
    assert inputs["build"] == {
        "context": ".",
        "dockerfile": "./app/Dockerfile",
        "args": {"BASE": "scratch", "VERSION": "1.5.0"},
        "platform": "linux/amd64",
    }
    assert inputs["buildOnPreview"] is False
    assert (await image.reference.future() or "").startswith(f"{IMAGE.repository_url}@sha256:")


@in_stack
async def test_the_registry_password_is_a_secret(engine: Engine) -> None:
    engine.answers |= TOKEN
    Image("shop-green", IMAGE)
    registry = (await engine.inputs("shop-green-image", "Image"))["registry"]
    assert registry == Secret({"server": REGISTRY, "username": "AWS", "password": "obviously-fake"}) or isinstance(
        registry["password"], Secret
    )


@in_stack
async def test_a_preview_knows_the_tag_and_not_yet_the_digest(preview: Engine) -> None:
    preview.answers |= TOKEN
    image = Image("shop-green", IMAGE)
    assert (await preview.inputs("shop-green-image", "Image"))["imageName"] == f"{IMAGE.repository_url}:1.5.0"
    assert await image.reference.is_known() is False
