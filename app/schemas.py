"""What a revision does to the schema, what the colors need of it, and whether the two go together."""

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
"""The variable with what each color is configured to need, such as `blue=0001 green=0002`."""
RUNNING = "RUNNING_SCHEMA_"
"""How the variable of each color begins that says what its pods were last rolled out with."""
NOTHING = "none"
"""The value where a color has no pods."""
_SCHEMA = re.compile(r"\d{4}", re.ASCII)


class MigrationError(Exception):
    """The database was not brought to the revision; the message says why."""


class NotYetError(MigrationError):
    """The same, but the same run may succeed a little later."""


@dataclass(frozen=True)
class Revision:
    """One file of `migrations/versions`, or what the database remembers of it."""

    name: str
    phase: str
    unused_since: str | None
    """Of one that contracts: the oldest schema whose code no longer uses what it takes away."""
    digest: str
    """Of the file, byte by byte."""
    file: str = ""

    @classmethod
    def read(cls, module: ModuleType, path: Path) -> "Revision":
        """Return what the file declares, right or wrong."""
        phase, unused_since = getattr(module, "phase", None), getattr(module, "unused_since", None)
        digest = sha256(path.read_bytes()).hexdigest()
        return cls(module.revision, str(phase or "none"), unused_since, digest, path.name)

    def validate(self, known: Container[str]) -> None:
        """Raise `MigrationError` where the declaration is missing or wrong."""
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
                f"before {self.name}, whose code no longer uses what is taken away"
            )

    def takes_from(self, schema: str) -> bool:
        """Return whether code of this schema does not run once the revision is applied."""
        return self.unused_since is not None and schema < self.unused_since

    def enter(self, connection: Connection) -> None:
        """Write it into the database's journal if it is not there."""
        values = {key: getattr(self, key) for key in ("name", "phase", "unused_since", "digest")}
        statement = (
            "INSERT INTO migration_log (revision, phase, unused_since, digest)"
            " VALUES (:name, :phase, :unused_since, :digest) ON CONFLICT DO NOTHING"
        )
        connection.execute(text(statement), values)


@dataclass(frozen=True)
class Schemas:
    """What the colors need, each way told for itself: a rollout under way is in the one and not yet in the other."""

    declared: Mapping[str, str]
    """By color, live or idle, with pods or without: what it is configured to need."""
    running: Mapping[str, str]
    """By color: what its pods need that were last rolled out whole; a color that never was is not here."""

    @classmethod
    def read(cls, env: Mapping[str, str]) -> "Schemas":
        """Return what the environment tells; nothing of what it does not.

        Raises:
            MigrationError: it tells it in no way that can be understood.

        """
        declared = {
            color: schema for color, _, schema in (pair.partition("=") for pair in env.get(DECLARED, "").split())
        }
        running = {name[len(RUNNING) :].lower(): value for name, value in env.items() if name.startswith(RUNNING)}
        for variable, told in ((DECLARED, declared), (RUNNING, running)):
            for color, schema in told.items():
                if not _SCHEMA.fullmatch(schema) and (variable, schema) != (RUNNING, NOTHING):
                    raise MigrationError(f"{variable} tells {schema!r} of {color}; a schema has four digits")
        return cls(declared, running)

    def check(self, revision: Revision) -> None:
        """Return where the revision may be applied.

        Raises:
            NotYetError: only pods stand in the way that are on their way out, if all goes well.
            MigrationError: a color does, or nothing is known of any.

        """
        since = revision.unused_since
        if since is None:
            return
        needing = [
            f"{color} is configured for schema {schema}: set its image and schema to a version with {since} or later, "
            "once it need not be the way back any more"
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
                f"{revision.name} contracts: it takes away what code before schema {since} uses; nothing was changed. "
                + "; ".join([*needing, *leaving])
            )

    def check_back(self, target: str) -> None:
        """Return where the schema may go back to `target`; else raise `MigrationError`."""
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
