"""How AWS is reached beside the provider: with the credentials that the stack's provider has, by the same settings."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError

if TYPE_CHECKING:
    import boto3
    from botocore.session import Session as CoreSession

_ROLE_KEYS: Final = {
    "roleArn": "RoleArn",
    "sessionName": "RoleSessionName",
    "externalId": "ExternalId",
    "policy": "Policy",
    "sourceIdentity": "SourceIdentity",
}
"""Of ``aws:assumeRoles``: what the provider calls the parameters of AssumeRole (STS API)."""


class AssumeRolesError(BotoCoreError):
    """What ``aws:assumeRoles`` holds names no roles."""

    fmt = (
        "aws:assumeRoles is no list of roles that each have a roleArn; write it in the stack file, or as JSON in quotes"
    )


def session(
    *, region: str | None, profile: str | None, roles: str | Sequence[Mapping[str, Any]] | None
) -> "boto3.Session":
    """Return a session for ``aws:region``, ``aws:profile`` and ``aws:assumeRoles``, each None for boto3's own choice.

    The roles are assumed one after the other, for an hour, as the provider does; the engine hands their list over as
    JSON.

    Raises ``BotoCoreError`` or ``ClientError`` if there is no such profile, the roles are none, or one may not be
    assumed.
    """
    import boto3  # not before it is used: slow to import, and most commands ask AWS nothing

    core = core_session(region=region, profile=profile, roles=roles)
    return boto3.Session(botocore_session=core, region_name=region)


def core_session(
    *, region: str | None, profile: str | None, roles: str | Sequence[Mapping[str, Any]] | None
) -> "CoreSession":
    """Return the same as `session`, of botocore alone: the way back has no time to import boto3."""
    from botocore.session import Session as CoreSession  # as above

    def fresh(profile: str | None = None) -> CoreSession:
        found = CoreSession(profile=profile)
        if region:
            found.set_config_variable("region", region)
        return found

    found = fresh(profile)
    for role in _listed(roles):
        given = {theirs: role[ours] for ours, theirs in _ROLE_KEYS.items() if role.get(ours)}
        sts: Any = found.create_client("sts")
        taken = sts.assume_role(**{"RoleSessionName": "hueshift", **given})["Credentials"]
        found = fresh()
        found.set_credentials(taken["AccessKeyId"], taken["SecretAccessKey"], taken["SessionToken"])
    return found


def _listed(roles: str | Sequence[Mapping[str, Any]] | None) -> Sequence[Mapping[str, Any]]:
    try:
        found = json.loads(roles) if roles and isinstance(roles, str) else roles or []
    except ValueError:
        raise AssumeRolesError from None
    if isinstance(found, list) and all(isinstance(role, Mapping) and role.get("roleArn") for role in found):
        return found
    raise AssumeRolesError
