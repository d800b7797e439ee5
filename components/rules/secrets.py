"""Secrets in clear, what a message may repeat, and the versions that a color pins."""

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

from components.model.written import JSON
from components.rules.text import Problem

_SECRET_NAME: Final = re.compile(
    r"(PASSWORD|PASSWD|PASSPHRASE|PWD|SECRET|TOKEN|CREDENTIAL|APIKEY|(?<!PUBLIC)_KEY|^KEY)S?[0-9]*$", re.IGNORECASE
)
# Each takes time in proportion to the text: nothing here begins to match at every place and reads on to the end.
_SECRET_VALUES: Final = {
    "a URL with a password": re.compile(r"[a-z0-9+.-]://[^/\s:@]*:[^/\s@]+@", re.IGNORECASE),
    "an AWS access key id": re.compile(r"\b(AKIA|ASIA)[A-Z0-9]{16}\b"),
    "a private key or certificate": re.compile(r"-----BEGIN [A-Z ]+-----"),
    "a signed token": re.compile(r"(?<![\w-])eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]+"),
    "an access token": re.compile(r"\b(gh[opsru]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{20,}|xox[abprs]-[\w-]{10,})"),
}


def secret_kind(value: str) -> str | None:
    """Return the kind of secret that a text looks like; None for none."""
    return next((kind for kind, pattern in _SECRET_VALUES.items() if pattern.search(value)), None)


def may_hold_a_secret(text: str) -> bool:
    """Return whether a text looks like a secret, or is misplaced JSON that may contain one."""
    return any(mark in text for mark in JSON) or secret_kind(text) is not None


LONGEST: Final = 80
"""Characters of a value that a message repeats."""


def shortened(text: str, longest: int = LONGEST) -> str:
    """Return the beginning of a text, and a mark where something is left out."""
    return text if len(text) <= longest else f"{text[:longest]}…"


def shown(value: object) -> str:
    """Return what a message says of a value: nothing of what may hold a secret, and no container's content."""
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, str) and may_hold_a_secret(value):
        return "a value that is not shown here"
    return shortened(json.dumps(value, default=str))


NOT_SECRETS: Final = "hueshift.dev/not-secrets"
"""The annotation with the variables, space by space, that only look like secrets: somebody has reviewed that."""


def plaintext_secret_problem(name: str, value: str, *, known: Collection[str] = ()) -> str | None:
    """Return why a variable looks like a secret, by its name or its value; the reason never repeats the value.

    ``known`` are the names that the settings state to be no secret's.
    """
    remedy = f"and everybody can read this file; put it into Secrets Manager and name {name} under secrets"
    if (kind := secret_kind(value)) is not None:
        return f"the value looks like {kind}, {remedy}"
    if name not in known and _SECRET_NAME.search(name):
        return f"the name is that of a secret, {remedy}; if its value is none, name it under notSecrets"
    return None


def not_secrets_problems(names: Sequence[str], *, env: Collection[str]) -> Iterator[Problem]:
    """Yield names under ``notSecrets`` that are unused or do not look like a secret's: the list must be exact."""
    for place, name in enumerate(names):
        if name not in env:
            yield Problem(f"notSecrets[{place}]", "names no variable; remove it here")
        elif not _SECRET_NAME.search(name):
            yield Problem(f"notSecrets[{place}]", "does not look like the name of a secret; remove it here")


def secret_version_problem(version: str, *, external: bool = False) -> str | None:
    """Return why this is no version id of Secrets Manager (32 to 64 characters, GetSecretValue API); never repeats it.

    An ``external`` store has versions of its own, such as the numbers of Vault's KV engine.
    """
    if external:
        return (
            None
            if re.fullmatch(r"[\w./-]{1,64}", version, re.ASCII)
            else "not a version; allowed is what the store calls it, such as 3"
        )
    if re.fullmatch(r"[A-Za-z0-9-]{32,64}", version):
        return None
    return "not a version id; allowed is what `aws secretsmanager list-secret-version-ids` prints, 32 to 64 characters"
