"""Running the program of a stack file under the recorder."""

import json
import runpy
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pulumi
import yaml
from pulumi.runtime.stack import Stack

from tests.support.engine import Answer, Engine, in_stack, installed, subnets_in

ROOT = Path(__file__).parents[2]
STACKS = sorted(file.suffixes[0].removeprefix(".") for file in ROOT.glob("Pulumi.*.yaml"))

Config = dict[str, Any]


def config(stack: str) -> Config:
    """Return the configuration of a stack file, keys with their namespace, and the project's defaults below it."""
    values: Config = yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text())["config"]
    return {**defaults(), **values}


def defaults() -> Config:
    """Return what the project says of keys that a stack file leaves out."""
    declared = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]
    return {f"hueshift:{key}": item["default"] for key, item in declared.items() if "default" in item}


def run(
    stack: str,
    change: Callable[[Config], None] = lambda _: None,
    *,
    preview: bool = False,
    answers: Mapping[str, Answer] = {},
) -> Engine:
    """Run `__main__.py` as that stack, its configuration first changed, and return what it registered.

    ``answers`` are those of provider functions that `tests/support/engine.py` does not give.
    """
    values = config(stack)
    change(values)
    vpc_id = values["hueshift:network"].get("vpcId")
    subnets = {"aws:ec2/getSubnet:getSubnet": subnets_in(vpc_id)} if vpc_id else {}
    return build(values, stack, preview=preview, answers={**subnets, **answers})


@cache
def unchanged(stack: str) -> Engine:
    """Return what the program of a stack file registers, run once for all tests of a process that only read it."""
    return run(stack)


def build(values: Config, stack: str, *, preview: bool, answers: Mapping[str, Answer]) -> Engine:
    """Run `__main__.py` with a configuration, and return what it registered."""
    with installed(stack=stack, preview=preview) as engine:
        engine.answers |= answers
        values["kubernetes:kubeconfig"] = kubeconfig(values.get("hueshift:cluster", {}).get("name", "none"))
        pulumi.runtime.set_all_config(
            {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}
        )
        try:
            in_stack(_program)(engine)
        finally:
            pulumi.runtime.set_all_config({})
    return engine


def kubeconfig(cluster: str) -> str:
    """Return one that leads to a cluster."""
    contexts = [{"name": "here", "context": {"cluster": cluster, "user": "me"}}]
    return yaml.safe_dump({"current-context": "here", "contexts": contexts})


async def _program(engine: Engine) -> None:
    # What the program does to the garbage collector is for a process of its own.
    with patch("gc.disable"), patch("atexit.register"):
        runpy.run_path(str(ROOT / "__main__.py"), run_name="__main__")
    await engine.settle()
    stack = pulumi.runtime.get_root_resource()
    assert isinstance(stack, Stack)
    engine.exports = {name: await pulumi.Output.from_input(value).future() for name, value in stack.outputs.items()}


def differences(before: Engine, after: Engine) -> dict[str, set[str]]:
    """Return the paths of the inputs that differ, by URN, without those that a resource ignores.

    A resource that was added or removed differs in ``""``.
    """
    found = {urn: {""} for urn in before.registrations.keys() ^ after.registrations.keys()}
    for urn in before.registrations.keys() & after.registrations.keys():
        old, new = (dict(_paths(engine.registrations[urn].inputs)) for engine in (before, after))
        ignored = tuple(after.registrations[urn].request.ignoreChanges)
        paths = {path for path in old.keys() | new.keys() if old.get(path) != new.get(path)}
        if paths := {path for path in paths if not path.startswith(ignored)}:
            found[urn] = paths
    return found


def _paths(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    match value:
        case Mapping():
            for key, item in value.items():
                yield from _paths(item, f"{path}.{key}" if path else str(key))
        case list():
            for index, item in enumerate(value):
                yield from _paths(item, f"{path}[{index}]")
        case _:
            yield path, value
