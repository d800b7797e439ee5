"""`hueshift changes`: what a change is made of, for a pipeline that does no more than that needs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from components.model import Color, decoded
from hueshift.report import Json, RefusedError, emit, reported
from hueshift.stack import Wished, defaults, git, own_values, project_folder, wishes
from hueshift.stack_yaml import parsed, section

WEIGHTS: Final = ("activeColor", "canaryWeight")
TESTS: Final = (".ci/", ".github/", "benchmarks/", "sandbox/", "tests/")
"""Folders of which neither an image nor the program is made."""
KINDS: Final = ("code", "stacks", "tests")
"""What decides first."""
LOCAL: Final = "Pulumi.sandbox.yaml"
"""No environment: the tests on the local cloud run it, so a change of it is one of code."""


def changes(
    base: Annotated[str, typer.Argument(metavar="BASE", help="A commit.", show_default=False)],
    *,
    reviewed: Annotated[
        str, typer.Option(metavar="COMMIT", help="The commit that was reviewed, where the checkout has gone on.")
    ] = "HEAD",
    as_json: Json = False,
) -> None:
    """Say what a change is made of, since the commit BASE.

    kind=docs|tests|stacks|code: pages alone; tests and the pipeline's own files; stack files and the record of
    releases; anything else, or tests and stack files at once.
    stacks=["production"]: the stacks whose files changed. flips=["production"]: those in whose files nothing but
    activeColor and canaryWeight did. moved=["production"]: those whose change of weights was reviewed with other
    versions or images of these colors than the files here name.
    What is not known to be harmless is code, and so is everything if BASE is not in this clone.
    """
    with reported():
        folder = project_folder()
        since = git(folder, "merge-base", base, reviewed)
        if since is None:
            typer.echo(f"the commit {base!r} is not in this clone: everything counts as changed", err=True)
        named = (
            None if since is None else git(folder, "diff", "--no-renames", "--name-only", "-z", f"{since}", reviewed)
        )
        files = ["everything"] if named is None else [name for name in named.split("\0") if name]
        kinds = {_kind(file) for file in files}
        changed = {
            file: (_text(folder, since, file), _text(folder, reviewed, file))
            for file in files
            if _stack(file) and file != LOCAL and (folder / file).exists()
        }
        said = {
            "kind": "code" if {"tests", "stacks"} <= kinds else next((it for it in KINDS if it in kinds), "docs"),
            "stacks": [_stack(file) for file in changed],
            "flips": [_stack(file) for file, texts in changed.items() if _only_weights(*texts, folder / file)],
            "moved": [_stack(file) for file, texts in changed.items() if _moved(*texts, folder / file)],
        }
        if as_json:
            emit(said)
            return
        for name, value in said.items():
            listed = "[" + ",".join(f'"{item}"' for item in value) + "]"
            typer.echo(f"{name}={value if isinstance(value, str) else listed}")


def _kind(file: str) -> str:
    if file.startswith("docs/") or file.endswith(".md"):
        return "docs"
    if file.startswith(TESTS):
        return "tests"
    return "stacks" if file == "releases.json" or (_stack(file) and file != LOCAL) else "code"


def _stack(file: str) -> str | None:
    """Return the stack that a file is of."""
    of_one = file.startswith("Pulumi.") and file.endswith(".yaml") and "/" not in file and file != "Pulumi.yaml"
    return file.removeprefix("Pulumi.").removesuffix(".yaml") if of_one else None


def _text(folder: Path, commit: str | None, file: str) -> str:
    return git(folder, "show", f"{commit}:./{file}") or ""


def _only_weights(old: str, new: str, file: Path) -> bool:
    """Whether a stack file differs, and in nothing but weights."""
    try:
        before, after = parsed(old, file), parsed(new, file)
        return before != after and _without_weights(before, file) == _without_weights(after, file)
    except RefusedError:
        return False  # what cannot be read is no flip


def _moved(old: str, new: str, file: Path) -> bool:
    """Whether a service whose weights were changed would move to other images or versions than was reviewed."""
    try:
        before, after, here = (_wished(text, file) for text in (old, new, file.read_text()))
    except RefusedError:
        return True  # what was reviewed cannot be told
    return any(
        name in before and before[name].weights != one.weights and (name not in here or _runs(here[name]) != _runs(one))
        for name, one in after.items()
    )


def _wished(text: str, file: Path) -> Mapping[str, Wished]:
    project = parsed((file.parent / "Pulumi.yaml").read_text(), file.parent / "Pulumi.yaml")
    own = own_values(section(parsed(text, file), "config", file), str(project.get("name")))
    return wishes({**own_values(defaults(section(project, "config", file)), str(project.get("name"))), **own})


def _runs(wished: Wished) -> Mapping[Color, object]:
    return {color: (said.get("version"), said.get("image")) for color, said in wished.colors.items()}


def _without_weights(content: Mapping[str, Any], file: Path) -> Mapping[str, Any]:
    config = {
        key: decoded(value)
        for key, value in section(content, "config", file).items()
        if key.rpartition(":")[2] not in WEIGHTS
    }
    for key, services in config.items():
        if key.rpartition(":")[2] == "services" and isinstance(services, dict):
            config[key] = {
                name: {own: value for own, value in said.items() if own not in WEIGHTS}
                if isinstance(said, dict)
                else said
                for name, said in services.items()
            }
    return {**content, "config": config}
