"""A bucket for the account alone."""

import json

import pytest

from components.edge.private_bucket import PrivateBucket, PrivateBucketArgs
from tests.support import samples
from tests.support.engine import Engine, in_stack

ARGS = PrivateBucketArgs(context=samples.CONTEXT)


@in_stack
async def test_nobody_is_let_in_and_nobody_comes_without_tls(engine: Engine) -> None:
    PrivateBucket("releases", ARGS)
    (refusal,) = json.loads((await engine.inputs("releases-policy"))["policy"])["Statement"]
    bucket = (await engine.resource("releases-bucket", "Bucket")).computed["arn"]
    assert (refusal["Effect"], refusal["Principal"], refusal["Action"]) == ("Deny", "*", "s3:*")
    assert refusal["Resource"] == [bucket, f"{bucket}/*"]
    assert refusal["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    private = await engine.inputs("releases-private")
    blocks = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
    assert [private[name] for name in blocks] == [True] * 4


@in_stack
async def test_it_is_owned_by_the_account_and_encrypted(engine: Engine) -> None:
    PrivateBucket("releases", ARGS)
    assert (await engine.inputs("releases-ownership"))["rule"] == {"objectOwnership": "BucketOwnerEnforced"}
    (rule,) = (await engine.inputs("releases-encryption"))["rules"]
    assert rule == {"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}}


@pytest.mark.parametrize("production", [False, True], ids=["staging", "production"])
def test_only_outside_production_a_destroy_empties_it(engine: Engine, *, production: bool) -> None:
    async def program(engine: Engine) -> None:
        PrivateBucket("releases", samples.change(ARGS, production=production))
        bucket = await engine.resource("releases-bucket", "Bucket")
        assert bucket.inputs["forceDestroy"] is not production
        assert bucket.request.protect is production

    in_stack(program)(engine)
