"""The bucket that holds a load balancer's logs, and the policy that lets it write there."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_aws import s3

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

    account_id: pulumi.Input[str]
    """Whose load balancers may write."""
    production: bool
    """Protected and kept with its content; elsewhere a destroy empties and deletes it."""
    tags: Mapping[str, str]


class LogBucket(pulumi.ComponentResource):
    """A private bucket, readable by the account's own roles, writable by Elastic Load Balancing below two prefixes."""

    name: pulumi.Output[str]
    """Of the bucket, once its policy stands: enabling logs tries a write, and fails before that."""

    def __init__(self, name: str, args: LogBucketArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("hueshift:log_bucket:LogBucket", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        bucket = s3.Bucket(
            f"{name}-bucket",
            force_destroy=not args.production,
            tags=args.tags,
            opts=pulumi.ResourceOptions(parent=self, protect=args.production or None),
        )
        # S3 has all of these on for a new bucket; stated, so that a refresh shows who switched one off.
        block = s3.BucketPublicAccessBlock(
            f"{name}-private",
            bucket=bucket.bucket,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=child,
        )
        s3.BucketOwnershipControls(
            f"{name}-ownership", bucket=bucket.bucket, rule={"object_ownership": "BucketOwnerEnforced"}, opts=child
        )
        # Not KMS: it is the only encryption into which the load balancer can write (ELB guide, access logs).
        s3.BucketServerSideEncryptionConfiguration(
            f"{name}-encryption",
            bucket=bucket.bucket,
            rules=[{"apply_server_side_encryption_by_default": {"sse_algorithm": "AES256"}}],
            opts=child,
        )
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
            opts=child,
        )
        policy = s3.BucketPolicy(
            f"{name}-policy",
            bucket=bucket.bucket,
            policy=_policy(bucket.arn, args.account_id),
            # S3 refuses two changes of one bucket's access at the same time.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[block]),
        )
        self.name = policy.bucket
        self.register_outputs({"name": self.name})


def _policy(bucket_arn: pulumi.Input[str], account_id: pulumi.Input[str]) -> pulumi.Output[str]:
    """Let load balancers of this account write their logs, and nobody use the bucket without TLS.

    The account in the path is what keeps other accounts' load balancers out, as the ELB guide has it for access logs.
    It documents ``aws:SourceAccount`` only for Network Load Balancers, which write as ``delivery.logs.amazonaws.com``;
    a condition on a key that a request lacks would refuse every log.
    """
    return pulumi.Output.json_dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Sid": "LoadBalancerLogs",
                    "Effect": "Allow",
                    "Principal": {"Service": "logdelivery.elasticloadbalancing.amazonaws.com"},
                    "Action": "s3:PutObject",
                    "Resource": [
                        pulumi.Output.format("{0}/{1}/AWSLogs/{2}/*", bucket_arn, prefix, account_id)
                        for prefix in (ACCESS_LOGS, CONNECTION_LOGS)
                    ],
                },
                {
                    "Sid": "TlsOnly",
                    "Effect": "Deny",
                    "Principal": "*",
                    "Action": "s3:*",
                    # Not `concat`, which fails on the None that an update of other targets has for the ARN.
                    "Resource": [bucket_arn, pulumi.Output.format("{0}/*", bucket_arn)],
                    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                },
            ],
        }
    )
