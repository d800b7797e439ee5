"""The repository that keeps images, and the image that a stack builds."""

import json
import re
from dataclasses import replace

from components.image import Image, ImageArgs, ImageRepository, ImageRepositoryArgs
from components.model import Build
from tests.engine import Engine, Secret, in_stack
from tests.samples import TAGS

REPOSITORY = ImageRepositoryArgs(service="shop", reader_accounts=["444455556666"], keep=True, tags=TAGS)
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


def expiring(rules: list[dict[str, object]], tag: str | None) -> int:
    """Return the priority of the rule that an image with this tag falls under."""
    for rule in rules:
        selection = rule["selection"]
        assert isinstance(selection, dict)
        patterns = [re.escape(pattern).replace(r"\*", ".*") for pattern in selection.get("tagPatternList", [])]
        if (tag is None) if not patterns else tag is not None and any(re.fullmatch(p, tag) for p in patterns):
            number = rule["rulePriority"]
            assert isinstance(number, int)
            return number
    raise AssertionError(f"no rule is for {tag}")


@in_stack
async def test_commits_and_leftovers_never_push_a_release_out(engine: Engine) -> None:
    ImageRepository("shop", REPOSITORY)
    rules = json.loads((await engine.inputs("shop-retention"))["policy"])["rules"]
    assert [rule["rulePriority"] for rule in rules] == [1, 2, 3]
    tags = ("1.5.0", "2.0.0-rc.1", "3f2c1ab", None)
    assert [expiring(rules, tag) for tag in tags] == [1, 1, 2, 3]
    # Two colors and five releases before them, in ten environments.
    assert rules[0]["selection"]["countType"] == "imageCountMoreThan"
    assert rules[0]["selection"]["countNumber"] >= 7 * 10


@in_stack
async def test_other_accounts_may_pull_and_do_nothing_else(engine: Engine) -> None:
    ImageRepository("shop", REPOSITORY)
    [statement] = json.loads((await engine.inputs("shop-readers"))["policy"])["Statement"]
    assert statement["Principal"] == {"AWS": ["arn:aws:iam::444455556666:root"]}
    assert not any(re.search("Put|Upload|Delete|Set|[*]", action) for action in statement["Action"])


@in_stack
async def test_a_repository_that_others_pull_from_outlives_its_stack(engine: Engine) -> None:
    ImageRepository("shop", REPOSITORY)
    ImageRepository("tmp", replace(REPOSITORY, keep=False, reader_accounts=[]))
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
