"""One secret entry of one service: its settings, its container and the commands that concern it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import uuid4

from components import spec
from components.model import Color, secret_name
from components.rules import secret_version_problem
from components.spec import SecretEntry
from hueshift.report import RefusedError, unknown
from hueshift.secrets.bootstrap import MAKE_CONTAINERS
from hueshift.secrets.containers import Container, SecretsManager
from hueshift.stack import UNPINNED, Stack


def label(color: Color) -> str:
    """Return the label of the version that a color pins."""
    return f"hueshift-{color}"


@dataclass(frozen=True, kw_only=True)
class EntryRef:
    """One entry of one service of a stack."""

    stack: Stack
    service: str
    entry: str
    settings: spec.Service
    declared: SecretEntry
    secrets_manager: SecretsManager

    @classmethod
    def find(cls, stack: Stack, service: str, entry: str) -> "EntryRef":
        """Return the entry of that name. Raises ``RefusedError`` if the stack has no such service or entry."""
        services = stack.settings.services
        if service not in services:
            raise unknown(f"service of stack {stack.name}", service, list(services))
        if entry not in services[service].secrets:
            raise unknown(f"secret entry of {service}", entry, list(services[service].secrets))
        return cls.of(stack, service, entry, SecretsManager(stack.aws()))

    @classmethod
    def of(cls, stack: Stack, service: str, entry: str, secrets_manager: SecretsManager) -> "EntryRef":
        """Return an entry that the settings contain."""
        settings = stack.settings.services[service]
        return cls(
            stack=stack,
            service=service,
            entry=entry,
            settings=settings,
            declared=settings.secrets[entry],
            secrets_manager=secrets_manager,
        )

    @property
    def name(self) -> str:
        """The name of the container."""
        return secret_name(self.stack.settings.environment, self.service, self.entry)

    @property
    def id(self) -> Mapping[str, str]:
        """Stack, service and entry, for JSON."""
        return {"stack": self.stack.name, "service": self.service, "entry": self.entry}

    def command(self, verb: str, *options: str) -> str:
        """Return the `hueshift secrets` command for this entry."""
        words = ["hueshift", "secrets", verb, self.service, self.entry, *options, "--stack", self.stack.name]
        return " ".join(words)

    def update(self) -> str:
        """Return the command that updates the stack."""
        return f"pulumi up --stack {self.stack.name}"

    def first_steps(self) -> list[str]:
        """Return the commands that create the container, if it is missing, and its first version."""
        targets = " ".join(f"--target '{urn}'" for urn in MAKE_CONTAINERS)
        make = [] if self.secrets_manager.find(self.name) else [f"{self.update()} {targets}"]
        return [*make, f"{self.command('put')} < values.json"]

    def pins(self) -> dict[Color, str | None]:
        """Return the version that each color pins; None where it pins none."""
        versions = {color: release.secret_versions.get(self.entry) for color, release in self.settings.colors.items()}
        return {color: None if version == UNPINNED else version for color, version in versions.items()}

    def known(self) -> frozenset[str]:
        """Return the ids of the versions that exist."""
        container = self.secrets_manager.find(self.name)
        return frozenset(container.versions if container else ())

    def keep(self, colors: Sequence[Color], version: str) -> list[Color]:
        """Attach the colors' labels to a version if it exists in our container; return the colors whose label moved."""
        container = None if self.declared.source else self.secrets_manager.find(self.name)
        if container is None or version not in container.versions:
            return []
        return [name for name in colors if self.secrets_manager.label(self.name, container, label(name), version)]

    def refuse_other_stores(self) -> None:
        """Raise ``RefusedError`` if the values are in another store than Secrets Manager."""
        if source := self.declared.source:
            follow = self.command("pin", "--color", "COLOR", "--version", "VERSION")
            raise RefusedError(
                f"the values of {self.service}/{self.entry} are kept in the store {source.store} at {source.path}: "
                f"put them there, then pin the version that the store returns: {follow}"
            )

    def container(self) -> Container:
        """Return the container. Raises ``RefusedError`` if it does not exist or is scheduled for deletion."""
        container = self.secrets_manager.find(self.name)
        if container is None:
            make, _ = self.first_steps()
            raise RefusedError(f"container {self.name} does not exist in {self.stack.region} yet; create it: {make}")
        if container.deleted:
            restore = f"aws secretsmanager restore-secret --secret-id {self.name}"
            raise RefusedError(f"{self.name} is scheduled for deletion; restore it: {restore}")
        return container

    def resolve(self, version: str) -> str:
        """Return the id of ``latest``, ``new`` or an id; raise ``RefusedError`` if no color can run with it."""
        if source := self.declared.source:
            if version in ("latest", "new"):
                raise RefusedError(f"only {source.store} knows its versions; name one with --version")
            if reason := secret_version_problem(version, external=True):
                raise RefusedError(f"--version: {reason}")
            return version
        if version == "new":
            if self.known():
                raise RefusedError(f"{self.name} already has values; put new ones: {self.command('put')} < values.json")
            waiting = {pin for pin in self.pins().values() if pin}
            return waiting.pop() if len(waiting) == 1 else str(uuid4())
        container = self.container()
        if version == "latest":
            if container.current is None:
                raise RefusedError(f"{self.name} has no values yet; put them: {self.command('put')} < values.json")
            version = container.current.id
        if version not in container.versions:
            newest = sorted(container.versions.values(), key=lambda item: item.created, reverse=True)[:5]
            known = ", ".join(item.id for item in newest) or "none"
            raise RefusedError(f"{self.name} has no version {version}; its newest are: {known}")
        held = self.secrets_manager.keys(self.name, version)
        if held is not None and (missing := [key for key in self.declared.keys if key not in held]):
            raise RefusedError(
                f"version {version} of {self.name} lacks {', '.join(missing)}, so pods would not start; "
                f"put a complete version: {self.command('put')} < values.json"
            )
        return version
