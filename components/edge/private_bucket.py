"""A bucket for the account alone: nobody else sees it, and nobody uses it without TLS."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_aws import s3

from components.context.context import Context


@dataclass(frozen=True, kw_only=True)
class PrivateBucketArgs:
    """All plain: it decides what may be deleted."""

    context: Context
    """In production it is protected and kept with its content; elsewhere a destroy empties and deletes it."""


class PrivateBucket(pulumi.ComponentResource):
    """A bucket that only roles of the account use. No versions: what is written in it guards itself by `If-Match`."""

    name: pulumi.Output[str]
    """Of the bucket, once its policy stands."""

    def __init__(self, name: str, args: PrivateBucketArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("hueshift:private_bucket:PrivateBucket", name, None, opts)
        self.name = private_bucket(name, self, args.context)[1].bucket
        self.register_outputs({"name": self.name})


def private_bucket(
    name: str,
    parent: pulumi.Resource,
    context: Context,
    *,
    allowed: Callable[[pulumi.Output[str]], Sequence[Mapping[str, Any]]] = lambda _: (),
) -> tuple[s3.Bucket, s3.BucketPolicy]:
    """Make a private bucket as children of a component, and return it with its policy.

    ``allowed`` gives, for the ARN of the bucket, the statements of the policy beside that which refuses plain HTTP.
    """
    child = pulumi.ResourceOptions(parent=parent)
    bucket = s3.Bucket(
        f"{name}-bucket",
        force_destroy=not context.production,
        tags=context.tags,
        opts=pulumi.ResourceOptions(parent=parent, protect=context.production or None),
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
    # Not KMS: for logs it is the only encryption into which the load balancer can write (ELB guide, access logs).
    s3.BucketServerSideEncryptionConfiguration(
        f"{name}-encryption",
        bucket=bucket.bucket,
        rules=[{"apply_server_side_encryption_by_default": {"sse_algorithm": "AES256"}}],
        opts=child,
    )
    policy = s3.BucketPolicy(
        f"{name}-policy",
        bucket=bucket.bucket,
        policy=pulumi.Output.json_dumps(
            {
                "Version": "2012-10-17",
                "Statement": [
                    *allowed(bucket.arn),
                    {
                        "Sid": "TlsOnly",
                        "Effect": "Deny",
                        "Principal": "*",
                        "Action": "s3:*",
                        # Not `concat`, which fails on the None that an update of other targets has for the ARN.
                        "Resource": [bucket.arn, pulumi.Output.format("{0}/*", bucket.arn)],
                        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                    },
                ],
            }
        ),
        # S3 refuses two changes of one bucket's access at the same time.
        opts=pulumi.ResourceOptions(parent=parent, depends_on=[block]),
    )
    return bucket, policy
