"""Secrets Manager beyond moto: rotation as settings, keys of copies, labels that stay, refusal of public policies.

No function runs here, so that nothing rotates.
"""

import json
import time
from typing import Any

from moto.secretsmanager.exceptions import (
    InvalidRequestException,
    SecretNotFoundException,
    SecretsManagerClientError,
)
from moto.secretsmanager.models import FakeSecret, ReplicaSecret, SecretsManagerBackend, secretsmanager_backends
from moto.secretsmanager.responses import SecretsManagerResponse

_to_dict, _copy = FakeSecret.to_dict, FakeSecret.create_replicas
_reset = FakeSecret.reset_default_version
_put_policy = SecretsManagerResponse.put_resource_policy
_DAY = 86400


class PublicPolicyError(SecretsManagerClientError):
    """The policy lets in everybody, and the call asked for that to be refused."""

    def __init__(self) -> None:
        super().__init__("PublicPolicyException", "Resource policy grants broad access to your secret")


class SecretsManager(SecretsManagerBackend):
    """moto wants the function to exist, runs it in a container and forgets schedules."""

    __module__ = SecretsManagerBackend.__module__

    def rotate_secret(
        self,
        secret_id: str,
        client_request_token: str | None = None,  # noqa: ARG002 - moto's own
        rotation_lambda_arn: str | None = None,
        rotation_rules: dict[str, Any] | None = None,
        rotate_immediately: bool = True,  # noqa: ARG002
    ) -> str:
        if not self._is_valid_identifier(secret_id):
            raise SecretNotFoundException
        secret = self.secrets[secret_id]
        if isinstance(secret, ReplicaSecret) or secret.is_deleted():
            raise InvalidRequestException("A secret that is a copy or deleted cannot rotate")
        arn = rotation_lambda_arn or secret.rotation_lambda_arn
        if not arn:
            raise InvalidRequestException("A secret without a rotation function cannot rotate")
        secret.rotation_requested = secret.rotation_enabled = True
        secret.rotation_lambda_arn = arn
        if rotation_rules:
            vars(secret)["rotation_rules"] = rotation_rules
            secret.auto_rotate_after_days = int(rotation_rules.get("AutomaticallyAfterDays", 0))
        secret.next_rotation_date = int(time.time()) + (secret.auto_rotate_after_days or 1) * _DAY
        return secret.to_short_dict()


def _with_rules(self: FakeSecret) -> dict[str, Any]:
    answer = _to_dict(self)
    if rules := vars(self).get("rotation_rules"):
        answer["RotationRules"] = rules
    return answer


def _with_labels(self: FakeSecret, secret_version: dict[str, Any], version_id: str) -> None:
    """Let the version that was current keep the labels that are not AWS's own; moto takes all of them."""
    was = self.versions.get(self.default_version_id or "", {})
    own = [stage for stage in was.get("version_stages", []) if not stage.startswith("AWS")]
    _reset(self, secret_version, version_id)
    if was and was is not self.versions[version_id]:
        was["version_stages"] += own


def _with_keys(self: FakeSecret, replica_regions: list[dict[str, str]], force_overwrite: bool) -> list[ReplicaSecret]:
    copies = _copy(self, replica_regions, force_overwrite)
    for copy, given in zip(copies, replica_regions, strict=True):
        copy.config["KmsKeyId"] = given.get("KmsKeyId") or copy.config["KmsKeyId"]
    return copies


def _put_resource_policy(self: SecretsManagerResponse) -> str:
    if self._get_param("BlockPublicPolicy") and _public(json.loads(self._get_param("ResourcePolicy"))):
        raise PublicPolicyError
    return _put_policy(self)


def _public(policy: dict[str, Any]) -> bool:
    statements = policy.get("Statement") or []
    return any(
        statement.get("Effect") == "Allow"
        and not statement.get("Condition")
        and statement.get("Principal") in ("*", {"AWS": "*"}, {"AWS": ["*"]})
        for statement in (statements if isinstance(statements, list) else [statements])
    )


def fill() -> None:
    """Put the subclass in moto's place."""
    secretsmanager_backends.backend = SecretsManager
    FakeSecret.to_dict = _with_rules  # type: ignore[method-assign]
    FakeSecret.reset_default_version = _with_labels  # type: ignore[method-assign]
    FakeSecret.create_replicas = _with_keys  # type: ignore[method-assign]
    SecretsManagerResponse.put_resource_policy = _put_resource_policy  # type: ignore[method-assign]
