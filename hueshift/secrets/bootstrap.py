"""The first update of a stack, which creates the containers that secret values are put into."""

from typing import Final

from components.model import tokens

MAKE_CONTAINERS: Final = (
    f"**:{tokens.class_name(tokens.SERVICE)}::*",
    f"**:{tokens.class_name(tokens.SECRET_ENTRIES)}::*",
    "**/secret:Secret::*",
    "**/secretPolicy:SecretPolicy::*",
    f"**:{tokens.class_name(tokens.ENCRYPTION_KEY)}::*",
    "**/key:Key::*",
)
"""Targets of that update: the containers with their policies, the key that encrypts them, and the parents."""
