"""KMS beyond moto: the period after which a key rotates, and a key that is the same in every life."""

import json
from typing import Final

from moto.kms.models import Key, kms_backends
from moto.kms.responses import KmsResponse

from sandbox import fakes, paths

_YEAR: Final = 365
_enable, _status = KmsResponse.enable_key_rotation, KmsResponse.get_key_rotation_status


def _enable_key_rotation(self: KmsResponse) -> str:
    answer = _enable(self)
    vars(_key(self))["rotation_period"] = self._get_param("RotationPeriodInDays") or _YEAR
    return answer


def _get_key_rotation_status(self: KmsResponse) -> str:
    answer = json.loads(_status(self))
    if answer["KeyRotationEnabled"]:
        answer["RotationPeriodInDays"] = vars(_key(self)).get("rotation_period", _YEAR)
    return json.dumps(answer)


def _key(response: KmsResponse) -> Key:
    return response.kms_backend.describe_key(response._get_param("KeyId"))  # noqa: SLF001 - moto's own way


def fill() -> None:
    """Put the two answers in the place of moto's."""
    KmsResponse.enable_key_rotation = _enable_key_rotation  # type: ignore[method-assign]
    KmsResponse.get_key_rotation_status = _get_key_rotation_status  # type: ignore[method-assign]


def seed() -> None:
    """Put the key of production's state into the account, under the name that its stack file gives it."""
    kms = kms_backends[paths.ACCOUNT][paths.REGION]
    key = kms.create_key(None, "ENCRYPT_DECRYPT", "SYMMETRIC_DEFAULT", "State of production", None)
    del kms.keys[key.id]
    key.arn = key.arn.replace(key.id, fakes.STATE_KEY_ID)
    key.id, key.key_material = fakes.STATE_KEY_ID, fakes.STATE_KEY_MATERIAL
    kms.keys[key.id] = key
    kms.create_alias(key.id, "alias/pulumi-production")
