"""The plugins are what they are said to be, and take what the SDKs give them."""

import json
import subprocess
from typing import Any

import pytest
from pulumi._types import input_type_py_to_pulumi_names
from pulumi_aws import acm, cloudwatch, ec2, ecr, eks, iam, kms, lb, route53, s3, secretsmanager, sns, vpc, wafv2

from sandbox import engine, paths

pytestmark = [pytest.mark.e2e]

MODULES = {
    module.__name__.rpartition(".")[2]: module
    for module in (acm, cloudwatch, ec2, ecr, eks, iam, kms, lb, route53, s3, secretsmanager, sns, vpc, wafv2)
}


def test_nothing_but_docker_is_played() -> None:
    played = {name for name, source in engine.settled().providers.items() if source == "stand-in"}
    assert played <= {"docker"}


@pytest.fixture(scope="module")
def resources() -> dict[str, Any]:
    """Return the types that the plugin of aws built here has, with their schema."""
    folder = subprocess.run(
        [paths.ROOT / "tools/build.sh", "aws-plugin"], stdout=subprocess.PIPE, text=True, check=True
    ).stdout.strip()
    with open(f"{folder}/schema.json") as file:  # noqa: PTH123
        found: dict[str, Any] = json.load(file)["resources"]
    return found


def test_every_type_of_the_aws_plugin_has_the_arguments_of_the_sdk(resources: dict[str, Any]) -> None:
    assert len(resources) >= 35
    for token, schema in resources.items():
        module, _, name = token.rpartition(":")
        package = MODULES[module.split(":")[1].split("/")[0]]
        # So called where another type's nested arguments have the plain name.
        arguments = getattr(package, f"{name}InitArgs", None) or getattr(package, f"{name}Args")
        sdk = set(input_type_py_to_pulumi_names(arguments).values())
        assert set(schema["inputProperties"]) == sdk, token
