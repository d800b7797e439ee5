"""The plugins are what they are said to be, and take what the SDKs give them."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pulumi._types import input_type_py_to_pulumi_names
from pulumi_aws import (
    acm,
    appconfig,
    cloudwatch,
    ec2,
    ecr,
    eks,
    iam,
    kms,
    lb,
    route53,
    s3,
    secretsmanager,
    sfn,
    sns,
    vpc,
    wafv2,
)

from sandbox import engine, paths
from tests.e2e import cloud

pytestmark = [pytest.mark.e2e]

MODULES = {
    module.__name__.rpartition(".")[2]: module
    for module in (
        acm,
        appconfig,
        cloudwatch,
        ec2,
        ecr,
        eks,
        iam,
        kms,
        lb,
        route53,
        s3,
        secretsmanager,
        sfn,
        sns,
        vpc,
        wafv2,
    )
}


def test_nothing_but_docker_is_played() -> None:
    played = {name for name, source in engine.settled().providers.items() if source == "stand-in"}
    assert played <= {"docker"}


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    """Return the schema of the plugin of aws that is built here."""
    folder = cloud.run(paths.ROOT / "sandbox/go/build.sh", "aws-plugin").stdout.strip()
    found: dict[str, Any] = json.loads((Path(folder) / "schema.json").read_text())
    return found


def differences(
    place: str, properties: dict[str, Any], arguments: type, module: ModuleType, types: dict[str, Any], seen: set[str]
) -> Iterator[str]:
    """Yield where names or shapes (a list, or one) differ from those of the SDK, the blocks within blocks included."""
    names = input_type_py_to_pulumi_names(arguments)
    if different := set(names.values()) ^ set(properties):
        yield f"{place}: {sorted(different)}"
    for python, name in names.items():
        annotation = str(getattr(arguments, python).fget.__annotations__["return"])
        has = properties.get(name, {})
        if ("Sequence[" in annotation) != (has.get("type") == "array"):
            yield f"{place}.{name} is {'no ' if has.get('type') != 'array' else ''}list"
        reference = (has.get("items") or has).get("$ref", "").removeprefix("#/types/")
        if reference in types and reference not in seen:
            seen.add(reference)
            block = re.search(r"(\w+Args)\b", annotation)
            assert block is not None, annotation
            inner = types[reference].get("properties", {})
            yield from differences(f"{place}.{name}", inner, getattr(module, block[1]), module, types, seen)


NOT_AS_IN_THE_SDK = "wafv2/webAcl.rules.statement."
"""Statements within statements, which the SDK cuts off elsewhere; the program nests none."""


def test_every_type_of_the_aws_plugin_has_the_arguments_of_the_sdk_at_every_depth(schema: dict[str, Any]) -> None:
    seen: set[str] = set()
    found: list[str] = []
    for token, resource in schema["resources"].items():
        _, place, name = token.split(":")
        module = MODULES[place.partition("/")[0]]
        # So called where another type's nested arguments have the plain name.
        arguments = getattr(module, f"{name}InitArgs", None) or getattr(module, f"{name}Args")
        found += differences(place, resource["inputProperties"], arguments, module, schema["types"], seen)
    assert [line for line in found if not line.startswith(NOT_AS_IN_THE_SDK)] == []
    assert len(schema["resources"]) >= 35
    assert len(seen) > 200
