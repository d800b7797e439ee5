"""The comments that stand in pull requests, made by the engine and compared with those in `docs/examples/`."""

import copy
import json
import os
import re
from collections.abc import Callable
from typing import Any, Final

import pytest
import yaml

from components.settings import RECORD
from sandbox import fakes, images, paths
from sandbox.aws.server import ZONE
from tests.e2e.pipeline.sample import VERSION, Sample

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

EXAMPLES: Final = paths.ROOT / "docs/examples"
NEWER: Final = "1.5.1"
"""What green runs, without traffic."""
NEXT: Final = f"{images.REPOSITORY}@sha256:{6:064x}"
"""An image that nobody pulls: no example is carried out."""
MADE: Final = "Previewed 2026-01-01 00:00 UTC, merged into 1a2b3c4d5e6f"
Config = dict[str, Any]


def flip(config: Config) -> None:
    config["hueshift:activeColor"] = "green"


def canary(config: Config) -> None:
    config["hueshift:canaryWeight"] = 10


def image(config: Config) -> None:
    green = config["hueshift:services"]["shop"]["colors"]["green"]
    green |= {"image": NEXT, "version": "1.6.0", "schema": "0003"}


def service(config: Config) -> None:
    orders = copy.deepcopy(config["hueshift:services"]["shop"])
    orders["host"] = f"orders.production.{ZONE}"
    for color in orders["colors"].values():
        del color["schema"]
    config["hueshift:services"]["orders"] = orders


def forbidden(config: Config) -> None:
    config["hueshift:loadBalancer"]["deletionProtection"] = False


def broken(config: Config) -> None:
    config["hueshift:canaryWieght"] = 10
    config["hueshift:services"]["shop"]["colors"]["green"]["image"] = f"{images.REPOSITORY}:latest"


@pytest.fixture(scope="module")
def production(sample: Sample) -> Sample:
    """Return production as the examples need it: blue serves, green runs a newer version without traffic."""
    file = sample.file("production")
    content = yaml.safe_load(file.read_text())
    shop = content["config"]["hueshift:services"]["shop"]
    blue = shop["colors"]["blue"] | {"image": images.build_and_push(VERSION), "version": VERSION, "schema": "0002"}
    green = blue | {"image": images.build_and_push(NEWER), "version": NEWER}
    shop["colors"] = {"blue": blue, "green": green}
    content["config"] |= {"hueshift:activeColor": "blue", "hueshift:canaryWeight": 0}
    named = [(VERSION, blue["image"]), (NEWER, green["image"]), ("1.6.0", NEXT)]
    ran = [{"version": version, "digest": reference.partition("@")[2]} for version, reference in named]
    (sample.folder / RECORD).write_text(json.dumps({"shop": ran, "orders": ran}))
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    sample.run("pulumi", "up", "--yes", "--skip-preview", "--stack", "production")
    sample.step("keep", "Try a newer version in production")
    return sample


PASSES: Final = "- **Gate**: shop: would let this pass now"


def steady(comment: str) -> str:
    """Return a comment without what is another in each world: digests, the time, and what is appended to names.

    The gate is taken to let pass: what it says depends on how long the world's alarms have known anything.
    """
    comment = re.sub(r"- \*\*Gate\*\*: shop: would .*", PASSES, comment)
    comment = re.sub(r"Previewed [-:0-9 ]+ UTC, merged into [0-9a-f]{12}", MADE, comment)
    for number, digest in enumerate(dict.fromkeys(re.findall(r"sha256:[0-9a-f]{64}", comment)), 1):
        comment = comment.replace(digest, f"sha256:{f'{number}' * 64}")
    return re.sub(r"-[0-9a-f]{7,8}\b", "-1a2b3c4d", comment)


@pytest.mark.parametrize(
    ("change", "ends"), [(flip, 0), (canary, 0), (image, 0), (service, 0), (forbidden, 1), (broken, 1)]
)
def test_the_comment_is_the_one_in_the_examples(
    production: Sample, change: Callable[[Config], None], ends: int
) -> None:
    file = production.file("production")
    before = file.read_text()
    content = yaml.safe_load(before)
    change(content["config"])
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    try:
        guard = ["--flip-only"] if change in (flip, canary) else []
        done = production.run("hueshift", "preview", "--stack", "production", "--base", "HEAD", *guard, check=False)
    finally:
        file.write_text(before)
    assert done.returncode == ends, done.stderr
    assert not [value for value in fakes.SECRET_VALUES.values() if value in done.stdout]
    example = EXAMPLES / f"{change.__name__}.md"
    if os.environ.get("HUESHIFT_WRITE_EXAMPLES"):
        example.write_text(steady(done.stdout))
    assert steady(done.stdout) == example.read_text()


def test_what_is_more_than_a_flip_is_refused_by_name(production: Sample) -> None:
    file = production.file("production")
    before = file.read_text()
    production.configure("production", "activeColor", "green")
    production.configure("production", "services.shop.env.GREETING", "hello")
    done = production.run("hueshift", "preview", "--stack", "production", "--flip-only", check=False)
    file.write_text(before)
    assert done.returncode == 1
    assert "more than weights would change: " in done.stderr
    assert "shop-green-deployment (update)" in done.stderr
    assert "traffic-production" not in done.stderr
