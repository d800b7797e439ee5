"""`hueshift changes`: what a change is made of, for a pipeline that does no more than that needs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from components.model import decoded
from hueshift.report import Json, RefusedError, emit, reported
from hueshift.stack import git, project_folder
from hueshift.stack_yaml import parsed, section

WEIGHTS: Final = ("activeColor", "canaryWeight")
LOCAL: Final = "Pulumi.sandbox.yaml"
"""No environment: the tests on the local cloud run it, so a change of it is one of code."""


def changes(
    base: Annotated[str, typer.Argument(metavar="BASE", help="A commit.", show_default=False)],
    *,
    as_json: Json = False,
) -> None:
    """Say what a change is made of, since the commit BASE.

    kind=docs|stacks|code: pages alone; stack files and the record of releases; anything else.
    stacks=["production"]: the stacks whose files changed. flips=["production"]: those in whose files nothing but
    activeColor and canaryWeight did.
    What is not known to be harmless is code, and so is everything if BASE is not in this clone.
    """
    with reported():
        folder = project_folder()
        since = git(folder, "merge-base", base, "HEAD")
        if since is None:
            typer.echo(f"the commit {base!r} is not in this clone: everything counts as changed", err=True)
        named = None if since is None else git(folder, "diff", "--no-renames", "--name-only", "-z", f"{since}", "HEAD")
        files = ["everything"] if named is None else [name for name in named.split("\0") if name]
        kinds = {_kind(file) for file in files}
        changed = [file for file in files if _stack(file) and file != LOCAL and (folder / file).exists()]
        said = {
            "kind": next((kind for kind in ("code", "stacks") if kind in kinds), "docs"),
            "stacks": [_stack(file) for file in changed],
            "flips": [_stack(file) for file in changed if _only_weights(folder, str(since), file)],
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
    return "stacks" if file == "releases.json" or (_stack(file) and file != LOCAL) else "code"


def _stack(file: str) -> str | None:
    """Return the stack that a file is of."""
    of_one = file.startswith("Pulumi.") and file.endswith(".yaml") and "/" not in file and file != "Pulumi.yaml"
    return file.removeprefix("Pulumi.").removesuffix(".yaml") if of_one else None


def _only_weights(folder: Path, since: str, file: str) -> bool:
    """Whether a stack file differs, and in nothing but weights."""
    texts = [git(folder, "show", f"{commit}:./{file}") for commit in (since, "HEAD")]
    try:
        before, after = (parsed(text or "", folder / file) for text in texts)
        return before != after and _without_weights(before, folder) == _without_weights(after, folder)
    except RefusedError:
        return False  # what cannot be read is no flip


def _without_weights(content: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
    config = {
        key: decoded(value)
        for key, value in section(content, "config", folder).items()
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
