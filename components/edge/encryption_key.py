"""The key of an environment: for its secrets, its logs, and its alarms on their way."""

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
    region: str | None = None
    """Where it is; None for the region of the stack."""
    log_groups: str | None = None
    """The ARN of the log groups that it encrypts, with ``*``; None for none."""


class EncryptionKey(pulumi.ComponentResource):
    """A symmetric key that rotates, and its alias ``alias/hueshift-<environment>``.

    Who may use it is decided by IAM, but for CloudWatch and its Logs, which have no role of their own there.
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
            policy=_policy(args),
            region=args.region,
            tags=args.context.tags,
            opts=pulumi.ResourceOptions(parent=self, protect=args.context.production or None),
        )
        kms.Alias(
            f"{name}-alias",
            name=f"alias/hueshift-{args.context.environment}",
            target_key_id=key.key_id,
            region=args.region,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.arn = key.arn
        self.register_outputs({"arn": self.arn})


def _policy(args: EncryptionKeyArgs) -> str:
    """Leave the key to the account's IAM policies, and let its alarms into an encrypted topic, and its logs be kept.

    Without the first statement nobody could change the key again. The second is what an alarm needs to publish to a
    topic that this key encrypts, and the topic itself needs nothing (SNS guide, key management: event sources). The
    third is what a log group needs (CloudWatch Logs guide, encrypt log data).
    """
    account_id, logs = args.context.account_id, []
    if args.log_groups is not None:
        logs.append(
            {
                "Sid": "Logs",
                "Effect": "Allow",
                "Principal": {"Service": f"logs.{args.log_groups.split(':')[3]}.amazonaws.com"},
                "Action": ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"],
                "Resource": "*",
                "Condition": {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": args.log_groups}},
            }
        )
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
                *logs,
            ],
        }
    )
