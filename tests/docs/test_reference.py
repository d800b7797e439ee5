"""What is generated from declarations is what is committed, and says what the settings do."""

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_type_hints

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml
from pydantic import TypeAdapter
from pydantic.alias_generators import to_camel

from components.settings import KEYS
from components.settings.schema import _read
from components.spec import Example
from hueshift.cli import PARTS
from tests.support import strategies as some
from tests.support.program import ROOT, STACKS
from tools import reference

SCHEMA = yaml.safe_load((ROOT / "docs/reference/stack.schema.json").read_text())
VALIDATOR = jsonschema.Draft7Validator(SCHEMA)
MADE = reference.made()


@pytest.mark.parametrize("file", MADE, ids=lambda file: str(file.relative_to(ROOT)))
def test_what_is_committed_is_what_would_be_made(file: Path) -> None:
    assert file.read_text() == MADE[file], "run `make reference`"


def test_every_key_is_in_the_reference_once_with_a_meaning() -> None:
    listed = [key for _, _, found in reference.sections() for key in found]
    assert len(listed) > 90
    assert len({key.path for key in listed}) == len(listed)
    assert [key.path for key in listed if not key.meaning.endswith(".")] == []
    assert MADE[ROOT / "docs/reference/configuration.md"].count("\n| `") == len(listed)


def test_every_key_without_a_default_has_an_example() -> None:
    leaves = [key for _, _, found in reference.sections() for key in found if key.below is None]
    assert [key.path for key in leaves if reference._example(key) in ("`null`", "`[]`", "`{}`")] == []


def examples() -> Iterator[Any]:
    for _, spec, found in reference.sections():
        for key in found:
            if (example := key.mark(Example)) is not None:
                yield pytest.param(spec, key.name, example.value, id=key.path)


@pytest.mark.parametrize(("spec", "name", "value"), list(examples()))
def test_an_example_is_one_that_the_settings_accept(spec: type, name: str, value: object) -> None:
    hints = get_type_hints(spec, include_extras=True)
    (hint,) = [hint for field, hint in hints.items() if to_camel(field) == name]
    context = {"production": True, "region": "eu-west-1"}
    TypeAdapter(_read(hint)).validate_python(value, context=context)


def stack_file(name: str) -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load((ROOT / f"Pulumi.{name}.yaml").read_text())
    return values


def faults(document: dict[str, Any]) -> list[str]:
    return [f"{'.'.join(map(str, error.path))}: {error.message}" for error in VALIDATOR.iter_errors(document)]


def test_the_schema_is_one() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("name", STACKS)
def test_the_schema_takes_every_stack_file_which_names_it_first(name: str) -> None:
    assert faults(stack_file(name)) == []
    first = (ROOT / f"Pulumi.{name}.yaml").read_text().splitlines()[0]
    assert first == "# yaml-language-server: $schema=docs/reference/stack.schema.json"
    assert (ROOT / first.partition("=")[2]).exists()


@pytest.mark.parametrize("values", some.whole())
def test_the_schema_takes_every_key_of_the_settings(values: dict[str, Any]) -> None:
    assert faults({"config": {f"hueshift:{key}": value for key, value in values.items()}}) == []


@pytest.mark.parametrize(
    ("key", "value"), [("hueshift:canaryWeight", "10"), ("hueshift:production", "true"), ("aws:x", {"secure": "v1:…"})]
)
def test_the_schema_takes_what_the_engine_writes(key: str, value: object) -> None:
    document = stack_file("staging")
    document["config"][key] = value
    assert faults(document) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("hueshift:canaryWieght", 10),
        ("hueshift:canaryWeight", {"secure": "v1:…"}),
        ("hueshift:activeColor", "purple"),
        ("hueshift:network.vpcId", "main"),
        ("hueshift:services.shop.hsot", "shop.example.com"),
        ("hueshift:services.shop.port", 80),
        ("hueshift:services.shop.colors.green.version", 1.5),
        ("hueshift:services.shop.health", {"interval": 1}),
    ],
)
def test_the_schema_marks_a_wrong_key_and_a_wrong_value(path: str, value: object) -> None:
    document = copy.deepcopy(stack_file("staging"))
    *parents, last = path.split(".")
    place = document["config"]
    for parent in parents:
        place = place[parent]
    place[last] = value
    assert len(faults(document)) == 1


def test_the_schema_has_every_key_of_the_settings_described() -> None:
    def undescribed(node: object, path: str) -> Iterator[str]:
        if isinstance(node, dict):
            for name, child in node.get("properties", {}).items():
                if not child.get("description"):
                    yield f"{path}.{name}"
            for name, child in node.items():
                yield from undescribed(child, f"{path}.{name}")

    assert [place for place in undescribed(SCHEMA["definitions"], "") if "properties" in place] == []
    assert SCHEMA["definitions"].keys() == KEYS.json_schema()["$defs"].keys()


def test_the_reference_has_a_section_for_each_command() -> None:
    text = (ROOT / "docs/reference/cli.md").read_text()
    assert {name for name in PARTS if f"\n## hueshift {name}\n" not in text} == set()
    assert "\n## hueshift secrets put\n" in text


def test_the_reference_says_what_each_command_says_of_its_exit_status() -> None:
    text = (ROOT / "docs/reference/cli.md").read_text()
    table = text.partition("\n## hueshift\n")[0]
    sections = dict(re.findall(r"^## (hueshift[^\n]*)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))
    said = {title for title, told in sections.items() if "Exit status" in told}
    assert len(said) >= 14
    assert set(re.findall(r"^\| `(.*?)` \|", table, re.MULTILINE)) == said
    assert "3 it has something else; 4 with --closed, a release is open |" in table
