"""What AWS Secrets Manager knows of an entry: its versions and its rotation; values are put and never shown."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import boto3

from hueshift.report import RefusedError

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_secretsmanager.type_defs import SecretVersionsListEntryTypeDef

CURRENT, PREVIOUS, PENDING = "AWSCURRENT", "AWSPREVIOUS", "AWSPENDING"
_UNREADABLE = {"AccessDeniedException", "DecryptionFailure"}


@dataclass(frozen=True, kw_only=True)
class Version:
    """One version of an entry's values."""

    id: str
    stages: tuple[str, ...]
    """Staging labels, such as AWSCURRENT; Secrets Manager may delete a version that has none."""
    created: datetime


@dataclass(frozen=True, kw_only=True)
class Container:
    """One entry in Secrets Manager."""

    versions: Mapping[str, Version]
    """By id."""
    deleted: bool
    """Whether it is scheduled for deletion; then values can neither be read nor put."""
    rotated_every: int | None
    """Days; None if it is not rotated."""
    next_rotation: datetime | None

    @property
    def current(self) -> Version | None:
        """The version that a reader gets by default."""
        return next((version for version in self.versions.values() if CURRENT in version.stages), None)


class SecretsManager:
    """The containers of one account and region."""

    def __init__(self, session: boto3.Session) -> None:
        self._api: SecretsManagerClient = session.client("secretsmanager")

    def find(self, name: str) -> Container | None:
        """Return the container of that name, None if there is none."""
        try:
            described = self._api.describe_secret(SecretId=name)
            listed = list(self._versions(name))
        except self._api.exceptions.ResourceNotFoundException:
            return None
        rotated = described.get("RotationEnabled", False)
        return Container(
            versions={
                item["VersionId"]: Version(
                    id=item["VersionId"],
                    stages=tuple(sorted(item.get("VersionStages", []))),
                    created=item["CreatedDate"],
                )
                for item in listed
            },
            deleted="DeletedDate" in described,
            rotated_every=described.get("RotationRules", {}).get("AutomaticallyAfterDays") if rotated else None,
            next_rotation=described.get("NextRotationDate") if rotated else None,
        )

    def _versions(self, name: str) -> "Iterator[SecretVersionsListEntryTypeDef]":
        """Yield all versions, those without a label too. boto3 has no paginator for this call."""
        token: dict[str, str] = {}
        while True:
            page = self._api.list_secret_version_ids(SecretId=name, IncludeDeprecated=True, **token)  # type: ignore[arg-type]
            yield from page["Versions"]
            if not (following := page.get("NextToken")):
                return
            token = {"NextToken": following}

    def keys(self, name: str, version: str) -> frozenset[str] | None:
        """Return the names of a version's keys, never values; None if the caller may not read it."""
        try:
            answer = self._api.get_secret_value(SecretId=name, VersionId=version)
        except self._api.exceptions.ClientError as error:
            if error.response["Error"].get("Code") in _UNREADABLE:
                return None
            raise
        try:
            values = json.loads(answer.get("SecretString", ""))
        except ValueError:
            values = None
        if not isinstance(values, dict):
            return frozenset()
        return frozenset(values)

    def label(self, name: str, container: Container, stage: str, version: str) -> bool:
        """Move a label to a version of a container; return whether it moved.

        Secrets Manager may delete a version that has no label (``UpdateSecretVersionStage``).
        """
        holder = next((item.id for item in container.versions.values() if stage in item.stages), None)
        if holder == version:
            return False
        self._api.update_secret_version_stage(
            SecretId=name,
            VersionStage=stage,
            MoveToVersionId=version,
            **({"RemoveFromVersionId": holder} if holder else {}),
        )
        return True

    def put(self, name: str, version: str, values: Mapping[str, str]) -> None:
        """Store values as a version with that id, which becomes current.

        Raises ``RefusedError`` if that version exists with other values.
        """
        try:
            self._api.put_secret_value(
                SecretId=name, ClientRequestToken=version, SecretString=json.dumps(values, ensure_ascii=False)
            )
        except self._api.exceptions.ResourceExistsException:
            raise RefusedError(
                f"{name} already has a version {version} with other values; leave out --version"
            ) from None
