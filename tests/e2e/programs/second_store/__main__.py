"""One entry from a Vault, in the version that the configuration names."""

import pulumi
from pulumi_kubernetes import core
from pulumi_kubernetes.apiextensions import CustomResource

from components.context.context import Context
from components.service.secret_entries import SecretEntries, SecretEntriesArgs, deliver
from components.spec import SecretEntry, SecretSource

config = pulumi.Config()
version = config.require("version")
home = core.v1.Namespace("home", metadata={"name": "second-store"})
token = core.v1.Secret(
    "token",
    metadata={"name": "vault-token", "namespace": home.metadata.name},
    string_data={"token": config.require_secret("token")},
)
store = CustomResource(
    "store",
    api_version="external-secrets.io/v1",
    kind="ClusterSecretStore",
    metadata={"name": "second-store"},
    spec={
        "provider": {
            "vault": {
                "server": config.require("server"),
                "version": "v2",
                "auth": {
                    "tokenSecretRef": {
                        "name": token.metadata.name,
                        "namespace": token.metadata.namespace,
                        "key": "token",
                    }
                },
            }
        }
    },
)
entries = SecretEntries(
    "shop-secrets",
    SecretEntriesArgs(
        context=Context(environment="sandbox", production=False, account_id="123456789012").of("shop"),
        entries={
            "bank": SecretEntry(keys=["BANK_TOKEN"], source=SecretSource(store="second-store", path="kv/shop/bank"))
        },
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
