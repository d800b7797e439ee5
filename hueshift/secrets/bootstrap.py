"""The first update of a stack, before which no secret has a value."""

from typing import Final

MAKE_CONTAINERS: Final = (
    "**:BlueGreenService::*",
    "**:SecretEntries::*",
    "**/secret:Secret::*",
    "**/secretPolicy:SecretPolicy::*",
    "**:EncryptionKey::*",
    "**/key:Key::*",
)
"""What to aim it at: the containers with their policies, the key that encrypts them, and the parents."""
