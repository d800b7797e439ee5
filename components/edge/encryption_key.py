"""The key of an environment: for its secrets, and for its alarms on their way."""

import json
from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_aws import kms

from components.context.context import Context
from components.model import tokens

_RECOVERY_DAYS: Final = 30
"""The longest that KMS offers (ScheduleKeyDeletion): what a lost key encrypted is lost for ever."""

_QUICK_DAYS: Final = 7
"""The shortest, where nothing is worth more than a stack that can be thrown away."""


@dataclass(frozen=True, kw_only=True)
class EncryptionKeyArgs:
    """All plain: the policy is part of every preview."""

    context: Context


class EncryptionKey(pulumi.ComponentResource):
    """A symmetric key that rotates, and its alias ``alias/hueshift-<environment>``.

    Who may use it is decided by IAM, but for CloudWatch, which has no role of its own there.
    """

    arn: pulumi.Output[str]
    """For what it is to encrypt."""

    def __init__(self, name: str, args: EncryptionKeyArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(tokens.ENCRYPTION_KEY, name, None, opts)
        key = kms.Key(
            f"{name}-key",
            description=f"Secrets and alarms of {args.context.environment}",
            # Off by default, in the API and the provider; the old material goes on decrypting what it encrypted.
            enable_key_rotation=True,
            deletion_window_in_days=_RECOVERY_DAYS if args.context.production else _QUICK_DAYS,
            policy=_policy(args.context.account_id),
            tags=args.context.tags,
            opts=pulumi.ResourceOptions(parent=self, protect=args.context.production or None),
        )
        kms.Alias(
            f"{name}-alias",
            name=f"alias/hueshift-{args.context.environment}",
            target_key_id=key.key_id,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.arn = key.arn
        self.register_outputs({"arn": self.arn})


def _policy(account_id: str) -> str:
    """Leave the key to the account's IAM policies, and let its alarms into an encrypted topic.

    Without the first statement nobody could change the key again. The second is what an alarm needs to publish to a
    topic that this key encrypts, and the topic itself needs nothing (SNS guide, key management: event sources).
    """
    return json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Sid": "Account",
                    "Effect": "Allow",
                    "Principal": {"AWS": f"arn:aws:iam::{account_id}:root"},
                    "Action": "kms:*",
                    "Resource": "*",
                },
                {
                    "Sid": "Alarms",
                    "Effect": "Allow",
                    "Principal": {"Service": "cloudwatch.amazonaws.com"},
                    "Action": ["kms:Decrypt", "kms:GenerateDataKey*"],
                    "Resource": "*",
                    # Or an alarm of any account could be made to use the key.
                    "Condition": {"StringEquals": {"aws:SourceAccount": account_id}},
                },
            ],
        }
    )
