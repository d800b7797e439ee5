"""IAM's quotas on policies, which moto reports and does not apply, and the policies that people make.

Names, numbers and texts: IAM user guide, "IAM and AWS STS quotas"; whitespace does not count.
"""

from typing import Any, Final

from moto.iam.exceptions import LimitExceededException
from moto.iam.models import IAMBackend, ManagedPolicy, PolicyVersion, Role, iam_backends

from sandbox import paths

_INLINE: Final = 10_240
"""All inline policies of a role together."""
_MANAGED: Final = 6_144
_TRUST: Final = 2_048
_ATTACHED: Final = 10

MADE: Final = {"hueshift-guard": "guard", "hueshift-flags": "flags"}
"""Each with its document in docs/roles."""


class Iam(IAMBackend):
    """Counts the characters of policies, and the managed policies of a role."""

    __module__ = IAMBackend.__module__

    def create_policy(self, description: str, path: str, policy_document: str, *args: Any) -> ManagedPolicy:  # noqa: ANN401
        _within(policy_document, _MANAGED, "PolicySize")
        return super().create_policy(description, path, policy_document, *args)

    def create_policy_version(self, policy_arn: str, policy_document: str, *args: Any) -> PolicyVersion:  # noqa: ANN401
        _within(policy_document, _MANAGED, "PolicySize")
        return super().create_policy_version(policy_arn, policy_document, *args)

    def create_role(self, role_name: str, assume_role_policy_document: str, *args: Any, **kwargs: Any) -> Role:  # noqa: ANN401
        _within(assume_role_policy_document, _TRUST, "ACLSizePerRole")
        return super().create_role(role_name, assume_role_policy_document, *args, **kwargs)

    def update_assume_role_policy(self, role_name: str, policy_document: str) -> None:
        _within(policy_document, _TRUST, "ACLSizePerRole")
        super().update_assume_role_policy(role_name, policy_document)

    def attach_role_policy(self, policy_arn: str, role_name: str) -> None:
        attached = self.get_role(role_name).managed_policies
        if len({*attached, policy_arn}) > _ATTACHED:
            raise LimitExceededException(f"Cannot exceed quota for PoliciesPerRole: {_ATTACHED}")
        super().attach_role_policy(policy_arn, role_name)

    def put_role_policy(self, role_name: str, policy_name: str, policy_json: str) -> None:
        if sum(map(_size, {**self.get_role(role_name).policies, policy_name: policy_json}.values())) > _INLINE:
            raise LimitExceededException(f"Maximum policy size of {_INLINE} bytes exceeded for role {role_name}")
        super().put_role_policy(role_name, policy_name, policy_json)


def _size(document: str) -> int:
    return sum(not character.isspace() for character in document)


def _within(document: str, most: int, name: str) -> None:
    if _size(document) > most:
        raise LimitExceededException(f"Cannot exceed quota for {name}: {most}")


def fill() -> None:
    """Put the subclass in moto's place."""
    iam_backends.backend = Iam


def seed() -> None:
    """Put those policies into the account, unless they are there; on AWS people make them (docs/roles.md)."""
    iam = iam_backends[paths.ACCOUNT]["aws"]
    there = {policy.name for policy in iam.managed_policies.values()}
    for name, document in MADE.items():
        if name not in there:
            text = (paths.ROOT / f"docs/roles/{document}.json").read_text()
            iam.create_policy("", "/", text.replace("ACCOUNT", paths.ACCOUNT).replace("REGION", paths.REGION), name, [])
