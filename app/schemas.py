"""Revisions, the schemas that the colors need, and whether a revision may be applied."""

import re
from collections.abc import Container, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import ModuleType

from sqlalchemy import text
from sqlalchemy.engine import Connection

EXPAND, CONTRACT = "expand", "contract"

DECLARED = "DECLARED_SCHEMAS"
"""Variable with the schema that each color is configured for, such as `blue=0001 green=0002`."""
RUNNING = "RUNNING_SCHEMA_"
"""Prefix of each color's variable with the schema of its last rollout."""
NOTHING = "none"
"""Value for a color without pods."""
_SCHEMA = re.compile(r"\d{4}", re.ASCII)


class MigrationError(Exception):
    """The revision was not applied; the message says why."""


class NotYetError(MigrationError):
    """The revision was not applied, but the same run may succeed later."""


@dataclass(frozen=True)
class Revision:
    """One file of `migrations/versions`, or its entry in the database's journal."""

    name: str
    phase: str
    unused_since: str | None
    """For a contraction, the oldest schema whose code no longer uses what it removes."""
    digest: str
    """SHA-256 of the file."""
    file: str = ""

    @classmethod
    def read(cls, module: ModuleType, path: Path) -> "Revision":
        """Return what the file declares, without validation."""
        phase, unused_since = getattr(module, "phase", None), getattr(module, "unused_since", None)
        digest = sha256(path.read_bytes()).hexdigest()
        return cls(module.revision, str(phase or "none"), unused_since, digest, path.name)

    def validate(self, known: Container[str]) -> None:
        """Raise `MigrationError` if the declaration is missing or wrong."""
        if self.phase not in (EXPAND, CONTRACT):
            raise MigrationError(
                f'{self.file}: its phase is {self.phase}; write phase = "expand" or phase = "contract"'
            )
        if self.phase == EXPAND and self.unused_since is not None:
            raise MigrationError(f"{self.file}: unused_since is of a revision that contracts; this one expands")
        if self.phase == CONTRACT and not (
            isinstance(self.unused_since, str) and self.unused_since in known and self.unused_since < self.name
        ):
            raise MigrationError(
                f"{self.file}: it contracts, and its unused_since is {self.unused_since}; name the oldest schema, one "
                f"before {self.name}, whose code no longer uses what it removes"
            )

    def takes_from(self, schema: str) -> bool:
        """Return whether code of this schema does not run once the revision is applied."""
        return self.unused_since is not None and schema < self.unused_since

    def enter(self, connection: Connection) -> None:
        """Add the revision to the database's journal unless it is there."""
        values = {key: getattr(self, key) for key in ("name", "phase", "unused_since", "digest")}
        statement = (
            "INSERT INTO migration_log (revision, phase, unused_since, digest)"
            " VALUES (:name, :phase, :unused_since, :digest) ON CONFLICT DO NOTHING"
        )
        connection.execute(text(statement), values)


@dataclass(frozen=True)
class Schemas:
    """Each color's schema from two sources: as configured, and as its pods were deployed. They differ in a rollout."""

    declared: Mapping[str, str]
    """By color, live or idle, with or without pods: the schema that it is configured for."""
    running: Mapping[str, str]
    """By color: the schema of its last complete rollout; a color without one is missing."""

    @classmethod
    def read(cls, env: Mapping[str, str]) -> "Schemas":
        """Return the schemas in the environment; what is not set is empty.

        Raises:
            MigrationError: a value is no schema.

        """
        declared = {
            color: schema for color, _, schema in (pair.partition("=") for pair in env.get(DECLARED, "").split())
        }
        running = {name[len(RUNNING) :].lower(): value for name, value in env.items() if name.startswith(RUNNING)}
        for variable, told in ((DECLARED, declared), (RUNNING, running)):
            for color, schema in told.items():
                if not _SCHEMA.fullmatch(schema) and (variable, schema) != (RUNNING, NOTHING):
                    raise MigrationError(f"{variable} has {schema!r} for {color}; a schema has four digits")
        return cls(declared, running)

    def check(self, revision: Revision) -> None:
        """Check that the revision may be applied.

        Raises:
            NotYetError: only pods need the old schema that are being replaced.
            MigrationError: a color needs the old schema, or the colors' schemas are unknown.

        """
        since = revision.unused_since
        if since is None:
            return
        needing = [
            f"{color} is configured for schema {schema}: set its image and schema to a version with {since} or later, "
            "once it is no rollback target any more"
            for color, schema in self.declared.items()
            if revision.takes_from(schema)
        ]
        leaving = [
            f"pods of {color} still run with schema {schema}: they are being replaced, or it must be parked or brought "
            f"to a version with {since} first"
            for color, schema in self.running.items()
            if schema != NOTHING
            and revision.takes_from(schema)
            and not revision.takes_from(self.declared.get(color, since))
        ]
        if not self.declared:
            needing.append(f"{DECLARED}, which tells what each color needs, is not set")
        elif not self.running:
            leaving.append("no color's pods were ready yet, so what they need is not known")
        if needing or leaving:
            raise (MigrationError if needing else NotYetError)(
                f"{revision.name} contracts: it removes what code before schema {since} uses; nothing has changed. "
                + "; ".join([*needing, *leaving])
            )

    def check_back(self, target: str) -> None:
        """Check that the schema may go back to `target`. Raises `MigrationError` if a color needs a newer one."""
        if not self.declared:
            raise MigrationError(f"{DECLARED}, which tells what each color needs, is not set")
        needing = {
            f"{color} needs {schema}"
            for told in (self.declared, self.running)
            for color, schema in told.items()
            if schema != NOTHING and schema > target
        }
        if needing:
            raise MigrationError(
                f"{', '.join(sorted(needing))}; bring every color to a version with {target} first; nothing was changed"
            )
