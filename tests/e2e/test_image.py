"""An image that the stack builds: once, pushed to the repository that it owns, run by digest, and recorded."""

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml

from sandbox import images, paths
from tests.e2e import cloud

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

VERSION = "1.5.1"


def let_green_be_built(file: Path) -> None:
    """Write into the stack file that lent it out: its own repository, green built for it, and blue by digest."""
    content = yaml.safe_load(file.read_text())
    config = content["config"]
    config["hueshift:registry"] = {"repositories": ["shop"]}
    colors = config["hueshift:services"]["shop"]["colors"]
    colors["blue"]["image"] = images.build_and_push(colors["blue"]["version"])
    del colors["green"]["image"]
    build = {"context": ".", "dockerfile": "app/Dockerfile", "args": images.ensure_base().build_args()}
    colors["green"] |= {"build": build, "version": VERSION}
    file.write_text(yaml.safe_dump(content, sort_keys=False))


def record(project: Path) -> dict[str, Any]:
    """Run `hueshift image record` in a copy of the project, whose record is its own."""
    for name in ("Pulumi.yaml", "Pulumi.sandbox.yaml"):
        shutil.copy(paths.ROOT / name, project)
    command = (sys.executable, "-m", "hueshift", "image", "record", "shop", "--stack", "sandbox", "--json")
    answer: dict[str, Any] = json.loads(cloud.run(*command, cwd=project, PYTHONPATH=str(paths.ROOT)).stdout)
    return answer


def test_a_stack_builds_an_image_once_runs_it_by_digest_and_its_run_is_recorded(tmp_path: Path) -> None:
    with cloud.stack_file() as file:
        let_green_be_built(file)
        cloud.update()
        shop = json.loads(cloud.pulumi("stack", "output", "services", "--json").stdout)["shop"]
        image = shop["images"]["green"]
        assert re.fullmatch(rf"{re.escape(images.REPOSITORY)}@sha256:[0-9a-f]{{64}}", image)
        running = {container["image"] for pod in cloud.pods("green") for container in pod["spec"]["containers"]}
        assert running == {image}
        status, headers, _ = cloud.curl(shop["testUrls"]["green"])
        assert (status, headers["x-version"]) == (200, VERSION)

        assert cloud.update() == {}, "the folder is the same: nothing is built, nothing restarts"

        answer = record(tmp_path)
        added = answer["added"]
        assert added[-1] == {"version": VERSION, "digest": image.partition("@")[2]}
        assert json.loads((tmp_path / "releases.json").read_text()) == {"shop": added}
        assert answer["tagged"] == added
        ecr = boto3.client("ecr")
        for item in added:
            (kept,) = ecr.batch_get_image(repositoryName="shop", imageIds=[{"imageTag": item["version"]}])["images"]
            assert kept["imageId"]["imageDigest"] == item["digest"]
        again = record(tmp_path)
        assert (again["added"], again["tagged"]) == ([], [])
