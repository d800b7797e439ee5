"""The bucket that holds a load balancer's logs, and the policy that lets it write there."""

from dataclasses import dataclass
from typing import Any, Final

import pulumi
from pulumi_aws import s3

from components.context.context import Context
from components.edge.private_bucket import private_bucket

_ROOT: Final = "load-balancer/"
ACCESS_LOGS: Final = f"{_ROOT}access"
CONNECTION_LOGS: Final = f"{_ROOT}connection"
"""Where the two kinds of logs lie: apart, for their lines have different columns. ``AWSLogs`` must not be part of a
prefix, since the load balancer appends ``/AWSLogs/<account>/…`` itself (ELB guide, access logs)."""

RETENTION_DAYS: Final = 90
"""A quarter: what is found late can still be looked into, and client addresses, which are personal data, are not
kept for longer than that serves."""

_UNFINISHED_DAYS: Final = 7
"""Parts of an upload that never ended are invisible and paid for; no upload of a log takes a week."""


@dataclass(frozen=True, kw_only=True)
class LogBucketArgs:
    """What is plain decides what may be deleted."""

    context: Context
    """Its account's load balancers may write. In production it is kept; elsewhere a destroy empties and deletes it."""


class LogBucket(pulumi.ComponentResource):
    """A private bucket, readable by the account's own roles, writable by Elastic Load Balancing below two prefixes."""

    name: pulumi.Output[str]
    """Of the bucket, once its policy stands: enabling logs tries a write, and fails before that."""

    def __init__(self, name: str, args: LogBucketArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("hueshift:log_bucket:LogBucket", name, None, opts)
        account_id = args.context.account_id
        bucket, policy = private_bucket(name, self, args.context, allowed=lambda arn: [_writing(arn, account_id)])
        s3.BucketLifecycleConfiguration(
            f"{name}-retention",
            bucket=bucket.bucket,
            rules=[
                {
                    "id": "expire-logs",
                    "status": "Enabled",
                    "filter": {"prefix": _ROOT},
                    "expiration": {"days": RETENTION_DAYS},
                    "abort_incomplete_multipart_upload": {"days_after_initiation": _UNFINISHED_DAYS},
                }
            ],
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.name = policy.bucket
        self.register_outputs({"name": self.name})


def _writing(bucket_arn: pulumi.Output[str], account_id: pulumi.Input[str]) -> dict[str, Any]:
    """Return the statement that lets load balancers of this account write their logs.

    The account in the path is what keeps other accounts' load balancers out, as the ELB guide has it for access logs.
    It documents ``aws:SourceAccount`` only for Network Load Balancers, which write as ``delivery.logs.amazonaws.com``;
    a condition on a key that a request lacks would refuse every log.
    """
    return {
        "Sid": "LoadBalancerLogs",
        "Effect": "Allow",
        "Principal": {"Service": "logdelivery.elasticloadbalancing.amazonaws.com"},
        "Action": "s3:PutObject",
        "Resource": [
            pulumi.Output.format("{0}/{1}/AWSLogs/{2}/*", bucket_arn, prefix, account_id)
            for prefix in (ACCESS_LOGS, CONNECTION_LOGS)
        ],
    }
