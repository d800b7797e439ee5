"""What the pages say is run: settings are read by the settings, examples by the recorder, links lead somewhere."""

import copy
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml

from components.settings import parse
from tests.support import strategies as some
from tests.support.answers import ANSWERS
from tests.support.engine import in_stack, installed
from tests.support.pages import PAGES as OPERATORS
from tests.support.pages import code, commands
from tests.support.sources import component_classes

ROOT = Path(__file__).resolve().parents[2]
COVERAGE = ROOT / "docs" / "coverage.md"
PAGES = sorted((ROOT / "docs" / "components").glob("*.md"))
PREFIX = "hueshift:"


def examples(language: str) -> Iterator[Any]:
    """Yield every block of every page."""
    for page in PAGES:
        for number, block in enumerate(code(page, language), 1):
            yield pytest.param(block, id=f"{page.stem}-{number}")


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``above`` laid over ``below``, mapping by mapping."""
    values = copy.deepcopy(dict(below))
    for key, value in above.items():
        inner = values.get(key)
        values[key] = merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return values


def test_every_component_has_a_page_and_every_page_a_module() -> None:
    modules = {component.__module__.rpartition(".")[2] for component in component_classes().values()}
    assert modules <= {page.stem for page in PAGES}
    assert all(list((ROOT / "components").glob(f"*/{page.stem}.py")) for page in PAGES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_shows_an_example_and_says_where_it_ends(page: Path) -> None:
    assert code(page, "python")
    headings = re.findall(r"^## (.*)$", page.read_text(), re.MULTILINE)
    assert {"Example", "What it holds", "Limits"} <= set(headings)


@pytest.mark.parametrize("block", list(examples("python")))
def test_an_example_builds(block: str) -> None:
    with installed() as engine:
        engine.answers |= ANSWERS

        async def run(_: object) -> None:
            exec(compile(block, "example", "exec"), {"__name__": "example"})
            await engine.settle()

        in_stack(run)(engine)
        pulumi.runtime.set_all_config({})
    assert engine.registrations


SERVICES = [
    pytest.param(block, id=f"{name}-{number}")
    for name in ("services", "several-services", "routes", "shadow", "ab-tests", "release", "accounts-and-regions")
    for number, block in enumerate(code(ROOT / "docs" / f"{name}.md", "yaml"))
]


@pytest.mark.parametrize("block", [*examples("yaml"), *SERVICES])
def test_settings_on_a_page_are_accepted(block: str) -> None:
    said = yaml.safe_load(block)
    fragment = {key.removeprefix(PREFIX): value for key, value in said.items() if key.startswith(PREFIX)}
    values = merged(some.stack(), fragment)
    # Beside the service that is there, a page may leave out what it does not speak of.
    release = {key: value for key, value in some.color("1.4.0").items() if key != "secretVersions"}
    for name in values["services"].keys() - some.stack()["services"].keys():
        values["services"][name] = merged(
            {"port": 8080, "colors": {"blue": release, "green": release}}, values["services"][name]
        )
    for name, service in fragment.get("services", {}).items():
        if service.get("strategy", {}).get("kind") in ("rolling", "recreate"):
            values["services"][name]["colors"].pop("green", None)
    if {"lookup", "stackReference"} & fragment.get("network", {}).keys():
        values["network"] = fragment["network"]
    assert parse(values, stack="staging").services


def test_every_relative_link_of_the_pages_leads_somewhere() -> None:
    pages = [
        *sorted(ROOT.glob("*.md")),
        *sorted((ROOT / "docs").rglob("*.md")),
        *sorted((ROOT / "sandbox").rglob("README.md")),
    ]
    dead, seen = [], 0
    for page in pages:
        for target in re.findall(r"\]\(([^)#\s]+)?(#[^)\s]+)?\)", page.read_text()):
            path, anchor = target
            if "://" in path:
                continue
            seen += 1
            file = (page.parent / path).resolve() if path else page
            if not file.exists() or (anchor and file.suffix == ".md" and anchor[1:] not in anchors(file)):
                dead.append(f"{page.relative_to(ROOT)}: {path}{anchor}")
    assert dead == []
    assert seen > 20


def anchors(page: Path) -> set[str]:
    """Return what the headings of a page are called in links."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_a_command_within_a_sentence_for_operators_stands_in_a_block_too() -> None:
    """Blocks are what a test on the local cloud runs."""
    there = re.sub(r"\s+", " ", "\n".join(block.text for block in commands()))
    said = {
        (page.name, span)
        for page in OPERATORS
        for span in re.findall(
            r"`([^`\n]+)`", re.sub(r"^ *```.*?^ *```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
        )
        if re.match(r"(pulumi|kubectl|aws|hueshift|curl) \w+ ", span)
    }
    assert [command for command in sorted(said) if command[1] not in there] == []


def test_no_page_asks_outputs_who_has_the_traffic_for_they_are_wishes() -> None:
    asks = [
        block for block in commands() if "stack output" in block.text and re.search(r"weights|activeColor", block.text)
    ]
    assert [f"{block.page}: {block.text}" for block in asks if "hueshift status" not in block.text] == []
    assert sum("hueshift status" in block.text for block in commands()) >= 5


def test_every_file_that_the_coverage_names_exists() -> None:
    named = set(
        re.findall(
            r"`((?:tests|app|components|pipeline|sandbox)/[\w/]+\.(?:py|sh)|app/Dockerfile)`", COVERAGE.read_text()
        )
    )
    assert len(named) > 30
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_every_test_that_the_coverage_names_exists() -> None:
    named = re.findall(r"`((?:sandbox/)?tests/[\w/]+\.py)::(\w+)`", COVERAGE.read_text())
    assert len(named) > 60
    assert [name for file, name in named if f"def {name}(" not in (ROOT / file).read_text()] == []


def test_every_test_that_a_page_of_a_component_names_exists() -> None:
    there = {
        name for file in (ROOT / "tests").rglob("test_*.py") for name in re.findall(r"def (test_\w+)", file.read_text())
    }
    named = [
        (page.stem, *found)
        for page in PAGES
        for found in re.findall(r"`(?:[\w/.]+::|…::)?(test_\w+)(…?)`", page.read_text())
    ]
    assert len(named) > 20
    assert [
        name
        for _, name, cut in named
        if name not in there and not (cut and any(each.startswith(name) for each in there))
    ] == []


def test_every_test_on_the_local_cloud_is_in_the_coverage() -> None:
    text = COVERAGE.read_text()
    of_the_cloud_itself = {"test_world.py"}
    files = {file for file in (ROOT / "tests/e2e").rglob("test_*.py") if file.name not in of_the_cloud_itself}
    assert len(files) > 15
    assert {name for file in files if (name := str(file.relative_to(ROOT))) not in text} == set()


def test_the_readme_is_short_and_leads_to_the_index() -> None:
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 120
    assert "](docs/README.md)" in text


def test_the_index_lists_every_page() -> None:
    docs = ROOT / "docs"
    listed = set(re.findall(r"\]\(([^)#]+\.md)", (docs / "README.md").read_text()))
    pages = {str(page.relative_to(docs)) for page in (*docs.glob("*.md"), *docs.glob("operations/*.md"))}
    assert "operations/first-stack.md" in pages
    assert pages - {"README.md"} - listed == set()
