"""The key of an environment: who may use it, and how hard it is to lose."""

import json
from dataclasses import replace
from fnmatch import fnmatchcase

from components.edge.encryption_key import EncryptionKey, EncryptionKeyArgs
from components.model import log_group
from components.observe.log_groups import log_groups_arn
from components.spec import Logs
from tests.support import samples
from tests.support.engine import Engine, in_stack

ARGS = EncryptionKeyArgs(context=samples.CONTEXT)


@in_stack
async def test_it_rotates_and_is_found_by_the_environments_name(engine: Engine) -> None:
    EncryptionKey("key", ARGS)
    assert (await engine.inputs("key-key"))["enableKeyRotation"] is True
    alias = await engine.inputs("key-alias")
    assert alias["name"] == "alias/hueshift-staging"
    assert alias["targetKeyId"] == (await engine.resource("key-key")).computed["keyId"]


@in_stack
async def test_it_is_lost_slowly_and_in_production_only_on_purpose(engine: Engine) -> None:
    EncryptionKey("staging", ARGS)
    EncryptionKey("production", samples.change(ARGS, environment="production", production=True))
    throwaway, kept = await engine.resource("staging-key"), await engine.resource("production-key")
    assert (throwaway.inputs["deletionWindowInDays"], throwaway.request.protect) == (7, False)
    assert (kept.inputs["deletionWindowInDays"], kept.request.protect) == (30, True)


@in_stack
async def test_beside_the_account_only_its_own_alarms_use_it(engine: Engine) -> None:
    EncryptionKey("key", ARGS)
    account, alarms = json.loads((await engine.inputs("key-key"))["policy"])["Statement"]
    assert account["Principal"] == {"AWS": "arn:aws:iam::123456789012:root"}
    assert account["Action"] == "kms:*"
    assert alarms["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert alarms["Action"] == ["kms:Decrypt", "kms:GenerateDataKey*"]
    assert alarms["Condition"] == {"StringEquals": {"aws:SourceAccount": "123456789012"}}


@in_stack
async def test_log_groups_of_the_environment_use_it_where_there_are_any_and_no_others(engine: Engine) -> None:
    groups = log_groups_arn(Logs(), samples.CONTEXT, "eu-west-1")
    EncryptionKey("key", replace(ARGS, log_groups=groups))
    *_, logs = json.loads((await engine.inputs("key-key"))["policy"])["Statement"]
    assert logs["Principal"] == {"Service": "logs.eu-west-1.amazonaws.com"}
    assert logs["Condition"] == {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": groups}}
    home = f"arn:aws:logs:eu-west-1:123456789012:log-group:{log_group('staging', 'shop')}"
    assert groups is not None
    assert fnmatchcase(home, groups)
    assert not fnmatchcase(home.replace("staging", "production"), groups)


@in_stack
async def test_a_preview_shows_the_policy(preview: Engine) -> None:
    EncryptionKey("key", ARGS)
    assert json.loads((await preview.inputs("key-key"))["policy"])
