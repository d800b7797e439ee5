"""The modules of `components/` and the components in them, for tests that read all of them."""

import ast
import importlib
import inspect
import pkgutil
from functools import cache
from types import ModuleType

import pulumi

import components
from tests.support.program import ROOT

MODULES = [
    found.name.removeprefix("components.")
    for found in pkgutil.walk_packages(components.__path__, "components.")
    if not found.ispkg
]


def module(name: str) -> ModuleType:
    return importlib.import_module(f"components.{name}")


@cache
def tree(name: str) -> ast.Module:
    return ast.parse((ROOT / "components" / f"{name.replace('.', '/')}.py").read_text())


@cache
def component_classes() -> dict[str, type[pulumi.ComponentResource]]:
    """Return every component by the name of its class."""
    return {
        name: value
        for stem in MODULES
        for name, value in inspect.getmembers(module(stem), inspect.isclass)
        if issubclass(value, pulumi.ComponentResource) and value.__module__ == f"components.{stem}"
    }
