"""A load balancer's logs: who may write them, and for how long they stay."""

import json
from typing import Any

import pytest

from components.edge.log_bucket import ACCESS_LOGS, CONNECTION_LOGS, LogBucket, LogBucketArgs
from tests.support import samples
from tests.support.engine import Engine, in_stack

ARGS = LogBucketArgs(context=samples.CONTEXT)
PRODUCTION = LogBucketArgs(context=samples.change(samples.CONTEXT, production=True))


async def statements(engine: Engine) -> dict[str, Any]:
    """Return the statements of the bucket's policy by their names."""
    policy = json.loads((await engine.inputs("logs-policy"))["policy"])
    return {statement["Sid"]: statement for statement in policy["Statement"]}


@in_stack
async def test_only_load_balancers_of_this_account_may_write_and_only_below_the_two_prefixes(engine: Engine) -> None:
    LogBucket("logs", ARGS)
    found = await statements(engine)
    allowed = [statement for statement in found.values() if statement["Effect"] == "Allow"]
    (write,) = allowed
    bucket = (await engine.resource("logs-bucket", "Bucket")).computed["arn"]
    assert write["Principal"] == {"Service": "logdelivery.elasticloadbalancing.amazonaws.com"}
    assert write["Action"] == "s3:PutObject"
    assert write["Resource"] == [
        f"{bucket}/{prefix}/AWSLogs/123456789012/*" for prefix in (ACCESS_LOGS, CONNECTION_LOGS)
    ]
    assert not any("AWSLogs" in prefix for prefix in (ACCESS_LOGS, CONNECTION_LOGS))


@in_stack
async def test_nobody_uses_it_without_tls(engine: Engine) -> None:
    LogBucket("logs", ARGS)
    denied = (await statements(engine))["TlsOnly"]
    bucket = (await engine.resource("logs-bucket", "Bucket")).computed["arn"]
    assert (denied["Effect"], denied["Principal"], denied["Action"]) == ("Deny", "*", "s3:*")
    assert denied["Resource"] == [bucket, f"{bucket}/*"]
    assert denied["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


@in_stack
async def test_it_is_private_owned_by_the_account_and_encrypted_as_the_load_balancer_needs_it(engine: Engine) -> None:
    LogBucket("logs", ARGS)
    private = await engine.inputs("logs-private")
    blocks = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
    assert [private[name] for name in blocks] == [True] * 4
    assert (await engine.inputs("logs-ownership"))["rule"] == {"objectOwnership": "BucketOwnerEnforced"}
    (rule,) = (await engine.inputs("logs-encryption"))["rules"]
    assert rule == {"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}}


@in_stack
async def test_logs_go_after_a_quarter_and_so_do_unfinished_uploads(engine: Engine) -> None:
    LogBucket("logs", ARGS)
    (rule,) = (await engine.inputs("logs-retention"))["rules"]
    assert (rule["status"], rule["expiration"]) == ("Enabled", {"days": 90})
    assert rule["abortIncompleteMultipartUpload"]["daysAfterInitiation"] > 0
    assert all(prefix.startswith(rule["filter"]["prefix"]) for prefix in (ACCESS_LOGS, CONNECTION_LOGS))


@pytest.mark.parametrize("args", [ARGS, PRODUCTION], ids=["staging", "production"])
def test_only_outside_production_a_destroy_empties_it(args: LogBucketArgs, engine: Engine) -> None:
    async def program(engine: Engine) -> None:
        LogBucket("logs", args)
        bucket = await engine.resource("logs-bucket", "Bucket")
        assert bucket.inputs["forceDestroy"] is not args.context.production
        assert bucket.request.protect is args.context.production

    in_stack(program)(engine)
