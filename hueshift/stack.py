"""A stack as its files describe it, without an engine: for commands that act beside `pulumi up`.

What moves traffic back reads them unjudged (`place`): it may not wait a second for pydantic and the SDK, nor stop at a
mistake elsewhere in the file. All else loads the settings (`load`).
"""

import copy
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from components.context.aws_session import core_session, session
from components.model import Color, dashboard_name, decoded, split
from components.rules import is_production
from hueshift.report import RefusedError, unknown
from hueshift.stack_yaml import parsed, read, section

if TYPE_CHECKING:
    import boto3
    from botocore.config import Config

    from components.settings import StackSettings

COMMITS: Final = 50
"""Of a stack file, that are searched for what a color has served; each takes some hundredths of a second."""

STDERR: Final = 2
"""The file descriptor: what the engine prints is for a person, and results alone go to standard output."""

UNPINNED: Final = "00000000-0000-0000-0000-000000000000"
"""Stands in the settings for a version that no color names yet, so that all else in them can be judged."""


@dataclass(frozen=True, kw_only=True)
class Wished:
    """What a stack file says of a service, unjudged; keys that are missing or wrong stand for their defaults."""

    name: str
    host: str
    colors: Mapping[Color, Mapping[str, Any]]
    active: Color
    canary: int
    """Percent of requests to the color that is not active."""
    experiment: Mapping[str, Any] | None = None
    """What the file says of its experiment."""
    copied: int = 0
    """Percent of requests that the mirror of the active color answers, and copies."""
    flags: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What the file says of each of its feature flags."""
    own: bool
    """Whether it has an ``activeColor`` of its own, and does not follow the stack's."""

    @property
    def weights(self) -> Mapping[Color, int]:
        """Percent by color."""
        share = split(self.active, _percent((self.experiment or {}).get("percent")) or self.canary)
        return {color: share[color] for color in Color if color in self.colors}

    @property
    def versions(self) -> Mapping[Color, str]:
        """By color."""
        return {color: str(said.get("version", "?")) for color, said in self.colors.items()}


@dataclass(frozen=True, kw_only=True)
class Place:
    """One environment by its stack file, unjudged, and where its files are."""

    name: str
    project: str
    """The project's name, the namespace of its keys."""
    folder: Path
    """Where Pulumi.yaml is."""
    values: Mapping[str, Any] = field(repr=False)
    """Keys as in the stack file, without the project's name, with the project's defaults."""
    defaults: Mapping[str, Any] = field(repr=False)
    """The project's defaults alone."""
    region: str | None
    profile: str | None
    roles: str | Sequence[Mapping[str, Any]] | None
    """Of ``aws:assumeRoles``."""

    @property
    def environment(self) -> str:
        """The name of the environment."""
        return str(self.values.get("environment") or self.name)

    @property
    def services(self) -> Mapping[str, Wished]:
        """What the file says of each service that has a host and a color."""
        return wishes(self.values)

    @property
    def unread(self) -> str | None:
        """Which services the file names and gives no color, so that nothing is known of them; None for none."""
        services = self.values.get("services")
        names = sorted(map(str, services.keys() - self.services.keys())) if isinstance(services, dict) else []
        what = f"{self.file.name} gives no colors; what is wrong with it: hueshift doctor --stack {self.name}"
        return f"left out: {', '.join(names)}, which {what}" if names else None

    def service(self, name: str) -> Wished:
        """Return what the file says of one service. Raises ``RefusedError`` if there is none of that name."""
        services = self.services
        if name not in services:
            raise unknown(f"service of {self.name}", name, list(services))
        return services[name]

    @property
    def file(self) -> Path:
        """The stack file."""
        return self.folder / f"Pulumi.{self.name}.yaml"

    @property
    def dashboard(self) -> str | None:
        """The URL of the environment's dashboard in the console; None where the file says there is none, or no region.

        Of the console of AWS's ordinary regions: China and GovCloud have others.
        """
        said = self.values.get("dashboards")
        if self.region is None or (isinstance(said, Mapping) and said.get("cloudwatch") is False):
            return None
        home = f"https://{self.region}.console.aws.amazon.com/cloudwatch/home?region={self.region}"
        return f"{home}#dashboards/dashboard/{dashboard_name(self.environment)}"

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

    def aws(self) -> "boto3.Session":
        """Return a session for the stack's region, with the credentials that its provider has."""
        return session(region=self.region, profile=self.profile, roles=self.roles)

    def client(self, service: str, config: "Config") -> object:
        """Return a client of an AWS service, without boto3, which takes long to import."""
        core = core_session(region=self.region, profile=self.profile, roles=self.roles)
        return core.create_client(service, config=config)

    def clear(self, path: str) -> None:
        """Remove one key from the stack file.

        Raises ``RefusedError`` with what pulumi says.
        """
        _pulumi(self.folder, "config", "rm", "--path", "--stack", self.name, "--", f"{self.project}:{path}")

    def configure(self, path: str, value: str | int) -> None:
        """Write one key of the stack file through ``pulumi config set --path``, which keeps comments.

        Raises ``RefusedError`` with what pulumi says.
        """
        key = f"{self.project}:{path}"
        how: list[str] = []
        if isinstance(value, str):
            # Without either flag pulumi writes 3 as a number, and takes an id for a secret; both at once it refuses.
            how = ["--type", "string"] if re.fullmatch(r"[0-9]+|true|false", value) else ["--plaintext"]
        text = str(value).lower() if isinstance(value, bool) else str(value)
        _pulumi(self.folder, "config", "set", "--path", *how, "--stack", self.name, "--", key, text)

    def write(self, wanted: Mapping[str, str | int]) -> None:
        """Write several keys of the stack file, or none: if one is refused, the file is as it was.

        Raises ``RefusedError`` with what pulumi says, and the commands.
        """
        before = self.file.read_bytes()
        try:
            for path, value in wanted.items():
                self.configure(path, value)
        except BaseException as error:
            self.file.write_bytes(before)
            if isinstance(error, RefusedError):
                by_hand = " && ".join(
                    f"pulumi config set --path {path} {value} --stack {self.name}" for path, value in wanted.items()
                )
                raise RefusedError(f"{error}; write it by hand: {by_hand}") from None
            raise

    def update(self, *arguments: str) -> None:
        """Run ``pulumi up``, whose lines go to standard error. Raises ``RefusedError`` if it fails."""
        words = ("up", "--yes", "--skip-preview", "--non-interactive", "--color", "never", "--stack", self.name)
        process = subprocess.Popen([program(), *words, *arguments], cwd=self.folder, stdout=STDERR)
        try:
            status = process.wait()
        except KeyboardInterrupt:
            process.wait()  # it got the signal as well, and ends by itself; killed, it would leave its lock behind
            raise
        if status:
            raise RefusedError(f"pulumi up --stack {self.name} failed, for the reason above")

    def up(self) -> None:
        """Bring the stack to what its file says, held to the policies. Raises ``RefusedError`` if that fails."""
        self.update("--policy-pack", os.environ.get("HUESHIFT_POLICY_PACK") or "policy")

    def commit(self, message: str, *, seconds: float = 120) -> str:
        """Commit the stack file by ``pipeline/keep.sh``, and return what that says.

        Raises ``RefusedError`` if it fails, or takes longer.
        """
        process = subprocess.Popen(
            ["pipeline/keep.sh", message, self.file.name],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            said, problem = process.communicate(timeout=seconds)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGTERM)  # with its git: what is given up must not be pushed later
            process.wait()
            if isinstance(error, subprocess.TimeoutExpired):
                why = f"{self.file.name} was not committed within {seconds:.0f} s: {message}"
                raise RefusedError(why) from None
            raise
        if process.returncode:
            raise RefusedError(f"{self.file.name} was not committed: {problem.strip()}")
        return said.strip()


@dataclass(frozen=True, kw_only=True)
class Stack(Place):
    """One environment with its settings."""

    settings: "StackSettings"
    """Judged whole, but for secret versions that are missing: see ``UNPINNED``."""


def place(name: str | None) -> Place:
    """Return the stack, the selected one if none is named, from the project that holds the current folder, unjudged.

    Raises ``RefusedError`` if there is none.
    """
    folder = project_folder()
    project, name_of_project = declared(folder)
    known = sorted(found.name.removeprefix("Pulumi.").removesuffix(".yaml") for found in folder.glob("Pulumi.*.yaml"))
    try:
        full = name or _selected(folder, name_of_project) or _pulumi(folder, "stack", "--show-name")
    except RefusedError as error:
        there = ", ".join(known) or "none has a file yet"
        raise RefusedError(f"no stack is selected here; name one with --stack ({there}). {error}") from None
    short = full.rpartition("/")[2]
    file = folder / f"Pulumi.{short}.yaml"
    if not file.exists():
        raise unknown("stack with a file here", short, known)
    assumed = defaults(project)
    values = {**assumed, **section(read(file), "config", file)}
    region, profile = values.get("aws:region"), values.get("aws:profile")
    return Place(
        name=short,
        project=name_of_project,
        folder=folder,
        values=own_values(values, name_of_project),
        defaults=own_values(assumed, name_of_project),
        region=region if isinstance(region, str) else None,
        profile=profile,
        roles=values.get("aws:assumeRoles"),
    )


def load(name: str | None) -> Stack:
    """Return the stack as `place` does, with its settings.

    Raises ``RefusedError`` if there is none, and ``SettingsError`` if its settings are wrong.
    """
    from components.settings import parse  # a second of imports, which the way back has not got

    found = place(name)
    values = _with_pins(found.values)
    settings = parse(values, stack=found.name, region=found.region)
    return Stack(**{**vars(found), "values": values}, settings=settings)


def own_values(config: Mapping[str, Any], project: str) -> Mapping[str, Any]:
    """Return what a configuration says of the project's own keys, without its name."""
    own = f"{project}:"
    return {
        key.removeprefix(own): decoded(value) for key, value in config.items() if ":" not in key or key.startswith(own)
    }


def wishes(values: Mapping[str, Any]) -> Mapping[str, Wished]:
    """Return what a stack's own values say of each service that has a host and a color, unjudged."""
    services = values.get("services")
    found = {}
    for name, said in services.items() if isinstance(services, dict) else ():
        if not isinstance(said, dict) or not isinstance(said.get("colors"), dict):
            continue
        colors = {color: said["colors"][color] for color in Color if isinstance(said["colors"].get(color.value), dict)}
        alone = {"activeColor": next(iter(colors)), "canaryWeight": 0} if len(colors) == 1 else {}
        resolved = {**values, **alone, **said}
        active, canary = str(resolved.get("activeColor")), resolved.get("canaryWeight")
        if colors:
            found[name] = Wished(
                name=name,
                host=str(said.get("host", "")),
                colors=colors,
                active=Color(active) if active in {*Color} else Color.BLUE,
                canary=_percent(canary),
                experiment=said["experiment"] if isinstance(said.get("experiment"), dict) else None,
                copied=_copied(said.get("shadow")),
                flags=_flags(said.get("flags")),
                own="activeColor" in said or len(colors) == 1,
            )
    return found


def _flags(said: object) -> Mapping[str, Mapping[str, Any]]:
    return {name: each for name, each in said.items() if isinstance(each, dict)} if isinstance(said, dict) else {}


def running(service: Wished, stack: str) -> str:
    """Return why a service with an experiment keeps its colors as they are, and what ends it."""
    name = (service.experiment or {}).get("name")
    ends = f"pulumi config rm --path services.{service.name}.experiment --stack {stack}"
    return f"{service.name}: the experiment {name} needs both colors as they are; end it by a reviewed change: {ends}"


def copying(service: Wished, stack: str) -> str:
    """Return why a service whose requests are copied is neither released nor parked, and what ends the copies."""
    ends = f"pulumi config set --path services.{service.name}.shadow.percent 0 --stack {stack}"
    return (
        f"{service.name}: {service.copied} % of its requests are copied to {service.active.other}, and would be "
        f"counted as its own; end that first: {ends}, then pulumi up --stack {stack}"
    )


def _copied(shadow: object) -> int:
    said = str(shadow.get("percent")) if isinstance(shadow, Mapping) else ""
    return int(said) if re.fullmatch(r"[0-9]{1,2}|100", said) else 0


def _percent(said: object) -> int:
    return int(str(said)) if re.fullmatch(r"[0-9]{1,2}", str(said)) else 0


def trusted_before(there: Place, service: Wished, color: Color) -> bool | None:
    """Whether a commit of the stack file gave a color the traffic while it ran what it runs now; None if nobody knows.

    That is so where the file is in no repository, or the repository lacks older commits.
    """
    log = git(there.folder, "log", f"--max-count={COMMITS}", "--format=%H", "--", there.file.name)
    for commit in (log or "").split():
        text = git(there.folder, "show", f"{commit}:./{there.file.name}")
        try:
            config = section(parsed(text or "", there.file), "config", there.file)
        except RefusedError:
            continue  # a file that nothing could be deployed from
        was = wishes({**there.defaults, **own_values(config, there.project)}).get(service.name)
        ran, runs = (said.colors.get(color, {}) if said else {} for said in (was, service))
        if was and was.active is color and all(ran.get(key) == runs.get(key) for key in ("version", "image")):
            return True
    if not log or git(there.folder, "rev-parse", "--is-shallow-repository") != "false":
        return None
    return False


def git(folder: Path, *arguments: str) -> str | None:
    """Return what git prints; None if it fails, or there is none."""
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return None if done.returncode else done.stdout.strip()


def _selected(folder: Path, project: str) -> str | None:
    """Return the selected stack from where pulumi keeps it (sdk/go/common/workspace), without asking the backend."""
    home = Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi")
    path = hashlib.sha1(str(folder / "Pulumi.yaml").encode(), usedforsecurity=False).hexdigest()
    try:
        chosen = json.loads((home / f"workspaces/{project}-{path}-workspace.json").read_bytes())["stack"]
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return chosen if isinstance(chosen, str) else None


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
    key = f"{declared(folder)[1]}:services"
    for file in sorted(folder.glob("Pulumi.*.yaml")):
        services = decoded(section(read(file), "config", file).get(key))
        for name, settings in services.items() if isinstance(services, dict) else ():
            said = settings.get("colors") if name == service and isinstance(settings, dict) else None
            for color, release in said.items() if isinstance(said, dict) else ():
                if isinstance(release, dict):
                    yield file.suffixes[-2].removeprefix("."), color, release


def productions(folder: Path) -> Iterator[str]:
    """Yield the stacks with a file that are production, by their own word or by name, unjudged."""
    from components.settings import as_switch  # as in load

    own = declared(folder)[1]
    for file in sorted(folder.glob("Pulumi.*.yaml")):
        name = file.suffixes[-2].removeprefix(".")
        config = section(read(file), "config", file)
        stated = as_switch(config.get(f"{own}:production"))
        if is_production(str(config.get(f"{own}:environment") or name), stated if isinstance(stated, bool) else None):
            yield name


def declared(folder: Path) -> tuple[Mapping[str, Any], str]:
    """Return what the project declares of its keys, and its name."""
    file = folder / "Pulumi.yaml"
    content = read(file)
    if not isinstance(name := content.get("name"), str):
        raise RefusedError(f"{file} has no name")
    return section(content, "config", file), name


def defaults(project: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the project says of keys that a stack file leaves out."""
    found = {}
    for key, said in project.items():
        if not isinstance(said, dict):
            found[key] = said
        elif "value" in said or "default" in said:
            found[key] = said.get("value", said.get("default"))
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
            "the program pulumi is not on PATH; install it: curl -fsSL https://get.pulumi.com | sh, or on the local "
            'cloud run: eval "$(make -s sandbox-env)"'
        )
    return "pulumi"


def _pulumi(folder: Path, *arguments: str, given: str | None = None) -> str:
    command = [program(), "--non-interactive", *arguments]
    done = subprocess.run(command, cwd=folder, input=given, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().removeprefix("error: ")
        mend = next((mend for words, mend in _MENDS.items() if words in said), "")
        raise RefusedError(f"`pulumi {' '.join(arguments)}` failed: {said}{mend}")
    return done.stdout.strip()


_MENDS: Final = {
    "PULUMI_ACCESS_TOKEN must be set": "; log in to where the states are: pulumi login s3://…, or set "
    "PULUMI_BACKEND_URL (docs/state.md)",
    "no stack named": "; log in to where its state is: pulumi login s3://…, or make it: pulumi stack init "
    "(docs/state.md)",
}
"""What mends a refusal of the engine that does not say so, or not for states in S3."""
