"""The rotation of secrets as Secrets Manager keeps it: settings that no function acts on, for none runs here."""

import time
from typing import Any

from moto.secretsmanager.exceptions import InvalidRequestException, SecretNotFoundException
from moto.secretsmanager.models import FakeSecret, ReplicaSecret, SecretsManagerBackend, secretsmanager_backends

_to_dict = FakeSecret.to_dict
_DAY = 86400


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


def fill() -> None:
    """Puts the subclass in moto's place."""
    secretsmanager_backends.backend = SecretsManager
    FakeSecret.to_dict = _with_rules  # type: ignore[method-assign]
