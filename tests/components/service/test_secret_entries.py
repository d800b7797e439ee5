"""Containers of secrets, and their delivery."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pulumi
import pytest

from components.service.secret_entries import SecretEntries, SecretEntriesArgs, SecretMount, deliver
from components.spec import Rotation, SecretEntry, SecretSource
from tests.support import samples
from tests.support.engine import Engine, Registration, in_stack

KEY = "arn:aws:kms:eu-west-1:123456789012:key/11111111-2222-4333-8444-555555555555"
OPERATOR = "arn:aws:iam::123456789012:role/external-secrets"
VAULT = SecretSource(store="vault", path="kv/shop/app")


def entries(**app: Any) -> SecretEntriesArgs:  # noqa: ANN401 - the fields of an entry
    return samples.change(samples.SECRETS, entries={"app": SecretEntry(keys=["DATABASE_URL", "JWT_SECRET"], **app)})


class Receiver(pulumi.ComponentResource):
    def __init__(self, name: str, mount: SecretMount, *, pinned: bool = True) -> None:
        super().__init__("hueshift:test:Receiver", name, None, None)
        self.names = deliver(
            name,
            [mount],
            prefix="shop-green",
            pinned=pinned,
            namespace="staging-shop",
            labels={"app.kubernetes.io/name": "shop"},
            await_timeout=120,
            parent=self,
        )


@in_stack
async def test_a_container_has_the_name_under_which_values_are_put(engine: Engine) -> None:
    SecretEntries("shop-secrets", samples.SECRETS)
    assert (await engine.inputs("shop-secrets-app"))["name"] == "staging/shop/app"


@in_stack
async def test_no_value_is_declared(engine: Engine) -> None:
    SecretEntries("shop-secrets", samples.SECRETS)
    await engine.settle()
    kinds = {r.type.rpartition(":")[2] for r in engine.registrations.values() if r.custom}
    assert kinds == {"Secret", "SecretPolicy"}
    assert "secretString" not in str([r.inputs for r in engine.registrations.values()])


@in_stack
async def test_production_keeps_its_containers(engine: Engine) -> None:
    SecretEntries("shop-secrets", samples.change(samples.SECRETS, production=True))
    entry = await engine.resource("shop-secrets-app")
    assert entry.request.protect
    assert entry.inputs["recoveryWindowInDays"] == 30


@in_stack
async def test_elsewhere_a_container_goes_at_once_so_that_its_name_is_free(engine: Engine) -> None:
    SecretEntries("shop-secrets", samples.SECRETS)
    entry = await engine.resource("shop-secrets-app")
    assert not entry.request.protect
    assert entry.inputs["recoveryWindowInDays"] == 0


@in_stack
async def test_values_are_encrypted_by_the_given_key_and_elsewhere_by_the_keys_there(engine: Engine) -> None:
    SecretEntries("shop-secrets", replace(entries(replica_regions=["eu-central-1"]), kms_key_id=KEY))
    container = await engine.inputs("shop-secrets-app")
    assert container["kmsKeyId"] == KEY
    assert container["replicas"] == [{"region": "eu-central-1"}]


@in_stack
async def test_without_more_an_entry_is_in_one_region_and_nobody_rotates_it(engine: Engine) -> None:
    SecretEntries("shop-secrets", samples.SECRETS)
    assert not {"kmsKeyId", "replicas"} & (await engine.inputs("shop-secrets-app")).keys()
    assert not [r for r in engine.registrations.values() if r.type.endswith(":SecretRotation")]


async def policy(engine: Engine) -> Mapping[str, Mapping[str, Any]]:
    """Return the statements by their name, each checked to forbid and not to allow."""
    found = await engine.inputs("shop-secrets-app-policy")
    assert found["blockPublicPolicy"] is True
    assert found["secretArn"] == (await engine.resource("shop-secrets-app")).computed["arn"]
    statements = json.loads(found["policy"])["Statement"]
    for statement in statements:
        assert (statement["Effect"], statement["Principal"], statement["Resource"]) == ("Deny", "*", "*")
        assert statement["Condition"]["BoolIfExists"] == {"aws:PrincipalIsAWSService": "false"}
    return {statement["Sid"]: statement for statement in statements}


@in_stack
async def test_nobody_outside_the_account_may_use_an_entry(engine: Engine) -> None:
    SecretEntries("shop-secrets", samples.SECRETS)
    statements = await policy(engine)
    assert list(statements) == ["OnlyThisAccount"]
    assert statements["OnlyThisAccount"]["Action"] == "secretsmanager:*"
    outside = {"aws:PrincipalAccount": "${aws:ResourceAccount}"}
    assert statements["OnlyThisAccount"]["Condition"]["StringNotEquals"] == outside


@in_stack
async def test_only_the_named_readers_may_read_and_whoever_puts_values_still_may(engine: Engine) -> None:
    SecretEntries("shop-secrets", samples.change(samples.SECRETS, readers=[OPERATOR]))
    statement = (await policy(engine))["OnlyTheseReaders"]
    assert statement["Action"] == "secretsmanager:GetSecretValue"
    assert statement["Condition"]["ArnNotEquals"] == {"aws:PrincipalArn": [OPERATOR]}


@in_stack
async def test_a_rotation_never_begins_with_an_update(engine: Engine) -> None:
    rotate = "arn:aws:lambda:eu-west-1:123456789012:function:rotate"
    SecretEntries("shop-secrets", entries(rotation=Rotation(lambda_arn=rotate, days=30)))
    rotation = await engine.inputs("shop-secrets-app-rotation")
    assert rotation == {
        "secretId": (await engine.resource("shop-secrets-app")).computed["arn"],
        "rotationLambdaArn": rotate,
        "rotationRules": {"automaticallyAfterDays": 30},
        "rotateImmediately": False,
    }


@in_stack
async def test_an_entry_of_another_store_has_nothing_in_aws(engine: Engine) -> None:
    secrets = SecretEntries("shop-secrets", entries(source=VAULT))
    await engine.settle()
    assert not [r for r in engine.registrations.values() if r.custom]
    assert secrets.names == {}


@in_stack
async def test_each_entry_is_mounted_from_where_it_is_kept_in_the_version_that_is_asked_for(engine: Engine) -> None:
    both = {**samples.SECRETS.entries, "bank": SecretEntry(keys=["BANK_TOKEN"], source=VAULT)}
    secrets = SecretEntries("shop-secrets", samples.change(samples.SECRETS, entries=both))
    app, bank = secrets.mounts({"app": samples.VERSION_ID})
    await engine.settle()
    assert (app.entry, app.keys, app.version, app.source) == ("app", both["app"].keys, samples.VERSION_ID, None)
    assert await pulumi.Output.from_input(app.name).future() == "staging/shop/app"
    assert bank == SecretMount(entry="bank", name=VAULT.path, keys=["BANK_TOKEN"], version=None, source=VAULT)


async def delivered(engine: Engine) -> Registration:
    (external,) = await engine.of_type("ExternalSecret")
    return external


@in_stack
async def test_each_key_is_delivered_in_its_pinned_version(engine: Engine) -> None:
    (name,) = Receiver("shop", samples.MOUNT).names
    external = (await delivered(engine)).inputs
    assert external["metadata"]["name"] == external["spec"]["target"]["name"] == name
    assert external["spec"]["target"]["immutable"] is True
    assert external["spec"]["data"] == [
        {
            "secretKey": key,
            "remoteRef": {"key": "staging/shop/app", "property": key, "version": f"uuid/{samples.VERSION_ID}"},
        }
        for key in samples.MOUNT.keys
    ]


@in_stack
async def test_an_update_waits_until_the_values_are_there(engine: Engine) -> None:
    Receiver("shop", samples.MOUNT)
    external = await delivered(engine)
    assert external.inputs["metadata"]["annotations"]["pulumi.com/waitFor"] == "condition=Ready"
    assert external.request.customTimeouts.create == "120s"


def name_of(part: str, mount: SecretMount) -> str:
    (name,) = Receiver(part, mount).names
    return name


@in_stack
async def test_other_content_is_another_resource_so_that_what_waits_to_be_deleted_may_be_wanted_again(
    engine: Engine,
) -> None:
    first = name_of("one", samples.MOUNT)
    assert name_of("two", samples.MOUNT) == first
    assert name_of("three", replace(samples.MOUNT, version="0" * 32)) != first
    assert name_of("four", replace(samples.MOUNT, keys=["DATABASE_URL"])) != first
    for external in await engine.of_type("ExternalSecret"):
        assert external.name.rpartition("-")[2] == external.inputs["metadata"]["name"].rpartition("-")[2]
        assert [alias.spec.name for alias in external.request.aliases] == [external.name.rpartition("-")[0]]


@in_stack
async def test_what_is_not_pinned_keeps_its_name(engine: Engine) -> None:
    assert list(Receiver("shop", samples.MOUNT, pinned=False).names) == ["shop-green-app"]
    assert (await engine.inputs("shop-app"))["spec"]["target"] == {"name": "shop-green-app", "immutable": False}


@in_stack
async def test_without_a_version_the_current_one_is_delivered(engine: Engine) -> None:
    Receiver("shop", replace(samples.MOUNT, version=None))
    data = (await delivered(engine)).inputs["spec"]["data"]
    assert {item["remoteRef"]["version"] for item in data} == {"AWSCURRENT"}


MOUNT_FROM_VAULT = SecretMount(entry="app", name=VAULT.path, keys=["JWT_SECRET"], version="3", source=VAULT)


@in_stack
async def test_an_entry_of_another_store_is_asked_for_by_its_path_and_that_stores_version(engine: Engine) -> None:
    Receiver("shop", MOUNT_FROM_VAULT)
    spec = (await delivered(engine)).inputs["spec"]
    assert spec["secretStoreRef"] == {"kind": "ClusterSecretStore", "name": "vault"}
    remote = {"key": "kv/shop/app", "property": "JWT_SECRET", "version": "3"}
    assert spec["data"] == [{"secretKey": "JWT_SECRET", "remoteRef": remote}]


@in_stack
async def test_another_store_chooses_the_version_that_nobody_pinned(engine: Engine) -> None:
    Receiver("shop", replace(MOUNT_FROM_VAULT, version=None))
    (item,) = (await delivered(engine)).inputs["spec"]["data"]
    assert item["remoteRef"] == {"key": "kv/shop/app", "property": "JWT_SECRET"}


@in_stack
@pytest.mark.usefixtures("engine")
async def test_an_entry_that_moves_to_another_place_gets_another_name() -> None:
    first = name_of("one", MOUNT_FROM_VAULT)
    assert name_of("two", replace(MOUNT_FROM_VAULT, source=replace(VAULT, path="kv/shop/other"))) != first
    assert name_of("three", replace(MOUNT_FROM_VAULT, source=replace(VAULT, store="other"))) != first
    assert name_of("four", replace(MOUNT_FROM_VAULT, version="4")) != first
