"""A stack as its files describe it, without an engine: for commands that act beside `pulumi up`."""

import copy
import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import boto3

from components.context.aws_session import session
from components.rules import is_production
from components.settings import StackSettings, as_switch, decoded, parse
from hueshift.report import RefusedError, unknown
from hueshift.stack_yaml import read, section

UNPINNED: Final = "00000000-0000-0000-0000-000000000000"
"""Stands in the settings for a version that no color names yet, so that all else in them can be judged."""


@dataclass(frozen=True, kw_only=True)
class Stack:
    """One environment: its settings, and where its files are."""

    name: str
    project: str
    """The project's name, the namespace of its keys."""
    folder: Path
    """Where Pulumi.yaml is."""
    settings: StackSettings
    """Judged whole, but for secret versions that are missing: see ``UNPINNED``."""
    values: Mapping[str, Any] = field(repr=False)
    """What the settings were read from: keys as in the stack file, without the project's name."""
    region: str | None
    profile: str | None
    roles: str | Sequence[Mapping[str, Any]] | None
    """Of ``aws:assumeRoles``."""

    @property
    def file(self) -> Path:
        """The stack file."""
        return self.folder / f"Pulumi.{self.name}.yaml"

    def ask(self, *arguments: str) -> Any:  # noqa: ANN401 - what JSON holds
        """Return what a command of pulumi answers about the stack as JSON.

        Raises ``RefusedError`` with what pulumi says.
        """
        return json.loads(_pulumi(self.folder, *arguments, "--json", "--stack", self.name))

    def state(self) -> Mapping[str, Any]:
        """Return the state as `pulumi stack export` prints it, secrets encrypted.

        Raises ``RefusedError`` with what pulumi says.
        """
        return exported(self.folder, self.name)

    def aws(self) -> boto3.Session:
        """Return a session for the stack's region, with the credentials that its provider has."""
        return session(region=self.region, profile=self.profile, roles=self.roles)

    def clear(self, path: str) -> None:
        """Remove one key from the stack file.

        Raises ``RefusedError`` with what pulumi says.
        """
        _pulumi(self.folder, "config", "rm", "--path", "--stack", self.name, "--", f"{self.project}:{path}")

    def configure(self, path: str, value: str) -> None:
        """Write one key of the stack file as text, through ``pulumi config set --path``, which keeps comments.

        Raises ``RefusedError`` with what pulumi says.
        """
        key = f"{self.project}:{path}"
        # Without either flag pulumi writes 3 as a number, and takes an id for a secret; both at once it refuses.
        how = ["--type", "string"] if re.fullmatch(r"[0-9]+|true|false", value) else ["--plaintext"]
        _pulumi(self.folder, "config", "set", "--path", *how, "--stack", self.name, "--", key, value)


def load(name: str | None) -> Stack:
    """Return the stack, the selected one if none is named, from the project that holds the current folder.

    Raises ``RefusedError`` if there is none, and ``SettingsError`` if its settings are wrong.
    """
    folder = project_folder()
    project, name_of_project = _project(folder)
    full = name or _pulumi(folder, "stack", "--show-name")
    short = full.rpartition("/")[2]
    file = folder / f"Pulumi.{short}.yaml"
    if not file.exists():
        known = sorted(
            found.name.removeprefix("Pulumi.").removesuffix(".yaml") for found in folder.glob("Pulumi.*.yaml")
        )
        raise unknown("stack with a file here", short, known)
    own = f"{name_of_project}:"
    values = {**_defaults(project), **section(read(file), "config", file)}
    region, profile = values.get("aws:region"), values.get("aws:profile")
    settings = _with_pins(
        {
            key.removeprefix(own): decoded(value)
            for key, value in values.items()
            if ":" not in key or key.startswith(own)
        }
    )
    return Stack(
        name=short,
        project=name_of_project,
        folder=folder,
        settings=parse(settings, stack=short, region=region if isinstance(region, str) else None),
        values=settings,
        region=region,
        profile=profile,
        roles=values.get("aws:assumeRoles"),
    )


def exported(folder: Path, name: str | None) -> Mapping[str, Any]:
    """Return the state of a stack, the selected one if none is named, as `pulumi stack export` prints it.

    Secrets are encrypted. Raises ``RefusedError`` with what pulumi says.
    """
    state: Mapping[str, Any] = json.loads(_pulumi(folder, "stack", "export", *(["--stack", name] if name else [])))
    return state


def replace(folder: Path, name: str | None, state: Mapping[str, Any]) -> None:
    """Put a state, such as ``exported`` returns, in the place of the stack's.

    Raises ``RefusedError`` with what pulumi says.
    """
    _pulumi(folder, "stack", "import", *(["--stack", name] if name else []), given=json.dumps(state))


def project_folder() -> Path:
    """Return the folder of the project that holds the current folder.

    Raises ``RefusedError`` if there is none.
    """
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "Pulumi.yaml").exists():
            return folder
    raise RefusedError(f"no Pulumi.yaml in {here} or above; run this in the project")


def colors(folder: Path, service: str) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yield what each stack file says of each color of a service, unjudged: stack, color, settings."""
    key = f"{_project(folder)[1]}:services"
    for file in sorted(folder.glob("Pulumi.*.yaml")):
        services = decoded(section(read(file), "config", file).get(key))
        for name, settings in services.items() if isinstance(services, dict) else ():
            if name == service and isinstance(settings, dict):
                for color, release in (settings.get("colors") or {}).items():
                    if isinstance(release, dict):
                        yield file.suffixes[-2].removeprefix("."), color, release


def productions(folder: Path) -> Iterator[str]:
    """Yield the stacks with a file that are production, by their own word or by name, unjudged."""
    own = _project(folder)[1]
    for file in sorted(folder.glob("Pulumi.*.yaml")):
        name = file.suffixes[-2].removeprefix(".")
        config = section(read(file), "config", file)
        stated = as_switch(config.get(f"{own}:production"))
        if is_production(str(config.get(f"{own}:environment") or name), stated if isinstance(stated, bool) else None):
            yield name


def _project(folder: Path) -> tuple[Mapping[str, Any], str]:
    """Return what the project declares of its keys, and its name."""
    file = folder / "Pulumi.yaml"
    content = read(file)
    if not isinstance(name := content.get("name"), str):
        raise RefusedError(f"{file} has no name")
    return section(content, "config", file), name


def _defaults(project: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the project says of keys that a stack file leaves out."""
    found = {}
    for key, declared in project.items():
        if not isinstance(declared, dict):
            found[key] = declared
        elif "value" in declared or "default" in declared:
            found[key] = declared.get("value", declared.get("default"))
    return found


def _with_pins(values: Mapping[str, object]) -> Mapping[str, object]:
    """Return the settings with ``UNPINNED`` wherever a color names no version of an entry; the rest is as it was."""
    values = copy.deepcopy(dict(values))
    for service in _mappings(values.get("services")):
        entries = service.get("secrets")
        for color in _mappings(service.get("colors")):
            versions = color.setdefault("secretVersions", {})
            if isinstance(versions, dict) and isinstance(entries, dict):
                versions.update({entry: UNPINNED for entry in entries if entry not in versions})
    return values


def _mappings(parent: object) -> Iterator[dict[str, Any]]:
    """Yield what in a mapping is a mapping itself; all else is for the settings to judge."""
    for child in parent.values() if isinstance(parent, dict) else ():
        if isinstance(child, dict):
            yield child


def program() -> str:
    """Return the engine's command.

    Raises ``RefusedError`` if it is not installed.
    """
    if shutil.which("pulumi") is None:
        raise RefusedError(
            "the program pulumi is not on PATH; install it, or on the local cloud run `make sandbox-env`"
        )
    return "pulumi"


def _pulumi(folder: Path, *arguments: str, given: str | None = None) -> str:
    command = [program(), "--non-interactive", *arguments]
    done = subprocess.run(command, cwd=folder, input=given, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RefusedError(f"`pulumi {' '.join(arguments)}` failed: {done.stderr.strip().removeprefix('error: ')}")
    return done.stdout.strip()
