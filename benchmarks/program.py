"""The program's own time beside that of a flat program with the same resources.

Needs nothing but the Python environment: `.venv/bin/python -m benchmarks.program [STACK [RUNS]]`. The flat one has a
line for each resource, of the same typed classes, with every value written out: no settings, no components, no outputs
passed on. Both run in fresh processes in turn, under the recorder of the tests in the place of the engine, and from
Python's start to the last registration. Prints the medians in seconds of processor time, and their ratio.
"""

import json
import re
import resource
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median
from unittest.mock import patch

import pulumi

from tests.support import program
from tests.support.engine import Answer, Engine, Registration, in_stack, installed, subnets_in

ROOT = Path(__file__).resolve().parent.parent
KUBERNETES = ("apps", "autoscaling", "batch", "core", "networking", "policy")
"""Groups that have typed classes; the rest are custom resources."""


def snake(name: str) -> str:
    """Return a property as a typed class calls it."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def line(one: Registration) -> tuple[str, str]:
    """Return the module that a resource needs, and the call that makes it."""
    package, group, kind = one.type.split(":")
    inputs = {snake(key): value for key, value in one.inputs.items() if key not in ("kind", "apiVersion")}
    if package == "kubernetes":
        known = group.partition("/")[0].partition(".")[0] in KUBERNETES
        module = f"pulumi_kubernetes.{group.replace('/', '.').replace('.k8s.io', '')}"
        if not known:
            module, inputs = (
                "pulumi_kubernetes.apiextensions",
                {**inputs, "api_version": group, "kind": kind},
            )
            kind = "CustomResource"
    else:
        module = f"pulumi_{package}.{group.partition('/')[0]}"
    return module, f"{module}.{kind}({one.name!r}, **{inputs!r})"


def flat(engine: Engine) -> Iterator[str]:
    """Yield the lines of the flat program."""
    made = [line(one) for one in engine.registrations.values() if one.custom]
    yield "import fast_start"  # the one trick of the program's that takes a line
    yield from sorted({f"import {module.partition('.')[0]}" for module, _ in made})
    yield from (call for _, call in made)


def timed(file: Path, stack: str, config: Mapping[str, str]) -> None:
    """Run a program, and print how many resources it made in how many seconds of processor time."""

    async def ran(engine: Engine) -> None:
        with patch("atexit.register"):
            runpy.run_path(str(file), run_name="__main__")
        await engine.settle()

    with installed(stack=stack) as engine:
        engine.answers |= answers(stack)
        pulumi.runtime.set_all_config(dict(config))
        in_stack(ran)(engine)
    used = resource.getrusage(resource.RUSAGE_SELF)
    made = sum(one.custom for one in engine.registrations.values())
    print(json.dumps([made, used.ru_utime + used.ru_stime]))  # noqa: T201


def answers(stack: str) -> Mapping[str, Answer]:
    """Return what the providers' functions answer for this stack."""
    vpc = program.config(stack)["hueshift:network"].get("vpcId")
    return {"aws:ec2/getSubnet:getSubnet": subnets_in(vpc)} if vpc else {}


def main() -> None:
    """Compare."""
    if sys.argv[1:2] == ["--run"]:
        timed(Path(sys.argv[2]), sys.argv[3], json.loads(sys.argv[4]))
        return
    stack, runs = ([*sys.argv[1:], "production"][0], int([*sys.argv[2:], "7"][0]))
    values = program.config(stack)
    values["kubernetes:kubeconfig"] = program.kubeconfig(values.get("hueshift:cluster", {}).get("name", "none"))
    config = {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "flat.py")
        file.write_text("\n".join(flat(program.run(stack))))
        seen: dict[Path, list[float]] = {ROOT / "__main__.py": [], file: []}
        for _ in range(runs):
            for each, seconds in seen.items():
                words = [sys.executable, "-m", "benchmarks.program", "--run", str(each), stack, json.dumps(config)]
                done = subprocess.run(words, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
                made, took = json.loads(done.stdout.splitlines()[-1])
                seconds.append(took)
                print(f"{each.name}: {made} resources, {took:.2f} s", file=sys.stderr)  # noqa: T201
    ours, theirs = map(median, seen.values())
    print(f"{stack}: {ours:.2f} s, flat {theirs:.2f} s: {ours / theirs:.2f}")  # noqa: T201


if __name__ == "__main__":
    main()
