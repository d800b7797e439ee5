"""One entry from a store whose values stand in the store itself, in the version that the configuration names."""

import json

import pulumi
from pulumi_kubernetes import core
from pulumi_kubernetes.apiextensions import CustomResource

from components.model import SecretEntry, SecretSource
from components.secret_entries import SecretEntries, SecretEntriesArgs, deliver

version = pulumi.Config().require("version")
home = core.v1.Namespace("home", metadata={"name": "second-store"})
store = CustomResource(
    "store",
    api_version="external-secrets.io/v1",
    kind="ClusterSecretStore",
    metadata={"name": "second-store"},
    spec={
        "provider": {
            "fake": {
                "data": [
                    {"key": "kv/shop/bank", "version": number, "value": json.dumps({"BANK_TOKEN": f"fake-{number}"})}
                    for number in ("3", "4")
                ]
            }
        }
    },
)
entries = SecretEntries(
    "shop-secrets",
    SecretEntriesArgs(
        service="shop",
        environment="sandbox",
        entries={
            "bank": SecretEntry(keys=["BANK_TOKEN"], source=SecretSource(store="second-store", path="kv/shop/bank"))
        },
        production=False,
        tags={},
    ),
    opts=pulumi.ResourceOptions(depends_on=[store]),
)
delivered = deliver(
    "shop-blue",
    entries.mounts({"bank": version}),
    prefix="shop-blue",
    pinned=True,
    namespace=home.metadata.name,
    labels={"app.kubernetes.io/name": "shop"},
    await_timeout=60,
    parent=entries,
)
pulumi.export("secret", next(iter(delivered)))
