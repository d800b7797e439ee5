"""A service's secrets: their containers in AWS Secrets Manager, and their delivery to a namespace.

Values never pass through Pulumi; a person, a pipeline or a rotation puts them into the containers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

import pulumi
from pulumi_aws import secretsmanager
from pulumi_kubernetes.apiextensions import CustomResource

from components.model import fit_name, secret_name

SECRET_STORE: Final = "aws-secrets-manager"
"""The ClusterSecretStore through which the cluster's External Secrets operator reads Secrets Manager."""

RECOVERY_DAYS: Final = 30
"""How long a deleted production secret can be brought back."""


@dataclass(frozen=True, kw_only=True)
class SecretEntriesArgs:
    """All plain: names decide what exists."""

    service: str
    environment: str
    entries: Sequence[str]
    production: bool
    tags: Mapping[str, str]


class SecretEntries(pulumi.ComponentResource):
    """The containers of a service's secrets: ``<environment>/<service>/<entry>``.

    The names are fixed, since values are put by name before a color can start. Outside
    production a deleted container is therefore gone at once: its name would stay taken for the
    length of a recovery window. In production it is protected instead.
    """

    names: Mapping[str, pulumi.Output[str]]
    """By entry."""

    def __init__(self, name: str, args: SecretEntriesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("hueshift:secret_entries:SecretEntries", name, None, opts)
        self.names = {
            entry: secretsmanager.Secret(
                f"{name}-{entry}",
                name=secret_name(args.environment, args.service, entry),
                description=f"{entry} secrets of {args.service} in {args.environment}",
                recovery_window_in_days=RECOVERY_DAYS if args.production else 0,
                tags=args.tags,
                opts=pulumi.ResourceOptions(parent=self, protect=args.production or None),
            ).name
            for entry in args.entries
        }
        self.register_outputs({"names": self.names})


@dataclass(frozen=True, kw_only=True)
class SecretMount:
    """One entry as pods see it: each key of its JSON object becomes an environment variable."""

    entry: str
    name: pulumi.Input[str]
    """Of the container in Secrets Manager."""
    keys: Sequence[str]
    version: str | None
    """The version id the pods keep, whatever is rotated meanwhile; None for the current one at delivery."""


def deliver(
    name: str,
    mounts: Sequence[SecretMount],
    *,
    prefix: str,
    pinned: bool,
    namespace: pulumi.Input[str],
    labels: Mapping[str, str],
    await_timeout: int,
    parent: pulumi.Resource,
) -> dict[str, CustomResource]:
    """Declare one ExternalSecret per mount; return them by the name of the Secret that each one fills.

    Args:
        name: what the logical names begin with.
        mounts: what to deliver.
        prefix: what the names in the cluster begin with.
        pinned: other content gets another name, so that a Secret never changes under a pod, and
            pods that refer to the new name roll. Otherwise one Secret follows its mount.
        namespace: where to.
        labels: of the ExternalSecrets.
        await_timeout: seconds after which an update gives up on a Secret that does not get its values.
        parent: the component.

    """
    timeout = f"{await_timeout}s"
    delivered = {}
    for mount in mounts:
        stage = f"uuid/{mount.version}" if mount.version else "AWSCURRENT"
        content = sha256("\n".join([stage, *mount.keys]).encode()).hexdigest()[:8]
        secret = fit_name("", f"{prefix}-{mount.entry}", f"-{content}" if pinned else "", 63)
        delivered[secret] = CustomResource(
            f"{name}-{mount.entry}",
            api_version="external-secrets.io/v1",
            kind="ExternalSecret",
            metadata={
                "name": secret,
                "namespace": namespace,
                "labels": labels,
                "annotations": {"pulumi.com/waitFor": "condition=Ready"},
            },
            spec={
                "secretStoreRef": {"kind": "ClusterSecretStore", "name": SECRET_STORE},
                "refreshPolicy": "OnChange",
                "target": {"name": secret, "immutable": pinned},
                "data": [
                    {"secretKey": key, "remoteRef": {"key": mount.name, "property": key, "version": stage}}
                    for key in mount.keys
                ],
            },
            opts=pulumi.ResourceOptions(
                parent=parent, custom_timeouts=pulumi.CustomTimeouts(create=timeout, update=timeout)
            ),
        )
    return delivered
