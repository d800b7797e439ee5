"""Containers of secrets, and their delivery."""

from dataclasses import replace

import pulumi
import pytest

from components.secret_entries import SecretEntries, SecretMount, deliver
from tests import samples
from tests.engine import Engine, in_stack


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
    assert {r.type for r in engine.registrations.values() if r.custom} == {"aws:secretsmanager/secret:Secret"}


@in_stack
async def test_production_keeps_its_containers(engine: Engine) -> None:
    SecretEntries("shop-secrets", replace(samples.SECRETS, production=True))
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
async def test_each_key_is_delivered_in_its_pinned_version(engine: Engine) -> None:
    (name,) = Receiver("shop", samples.MOUNT).names
    external = await engine.inputs("shop-app")
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
    external = await engine.resource("shop-app")
    assert external.inputs["metadata"]["annotations"]["pulumi.com/waitFor"] == "condition=Ready"
    assert external.request.customTimeouts.create == "120s"


def name_of(part: str, mount: SecretMount) -> str:
    (name,) = Receiver(part, mount).names
    return name


@in_stack
@pytest.mark.usefixtures("engine")
async def test_other_content_gets_another_name() -> None:
    first = name_of("one", samples.MOUNT)
    assert name_of("two", samples.MOUNT) == first
    assert name_of("three", replace(samples.MOUNT, version="0" * 32)) != first
    assert name_of("four", replace(samples.MOUNT, keys=["DATABASE_URL"])) != first


@in_stack
async def test_what_is_not_pinned_keeps_its_name(engine: Engine) -> None:
    assert list(Receiver("shop", samples.MOUNT, pinned=False).names) == ["shop-green-app"]
    assert (await engine.inputs("shop-app"))["spec"]["target"] == {"name": "shop-green-app", "immutable": False}


@in_stack
async def test_without_a_version_the_current_one_is_delivered(engine: Engine) -> None:
    Receiver("shop", replace(samples.MOUNT, version=None))
    data = (await engine.inputs("shop-app"))["spec"]["data"]
    assert {item["remoteRef"]["version"] for item in data} == {"AWSCURRENT"}
