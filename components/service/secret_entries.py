"""A service's secrets: where their values are kept, and their delivery to a namespace.

Values never pass through Pulumi; a person, a pipeline or a rotation puts them where they are kept.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

import pulumi
from pulumi_aws import secretsmanager
from pulumi_kubernetes.apiextensions import CustomResource

from components.context.context import ServiceContext
from components.model import fit_name, secret_name, tokens
from components.spec import SecretEntry, SecretSource

SECRET_STORE: Final = "aws-secrets-manager"
"""The ClusterSecretStore through which the cluster's External Secrets operator reads Secrets Manager."""

RECOVERY_DAYS: Final = 30
"""How long a deleted production secret can be brought back."""


@dataclass(frozen=True, kw_only=True)
class SecretEntriesArgs:
    """The key is an Input; the rest is plain, names decide what exists."""

    context: ServiceContext
    entries: Mapping[str, SecretEntry]
    kms_key_id: pulumi.Input[str] | None = None
    """The key that encrypts values in the stack's region; None for AWS' own (``aws/secretsmanager``)."""
    readers: Sequence[str] = ()
    """ARNs of the roles and users that alone may read values; none for everybody whom IAM allows.

    The operator that delivers them must be among them, and so must the roles of rotation functions: which function a
    call comes from cannot be asked in a resource policy.
    """


class SecretEntries(pulumi.ComponentResource):
    """The containers of a service's secrets: ``<environment>/<service>/<entry>``, their policy and rotation.

    The names are fixed, since values are put by name before a color can start. Outside
    production a deleted container is therefore gone at once: its name would stay taken for the
    length of a recovery window. In production it is protected instead. An entry with a source of
    its own has no container here: its store has names, policy and rotation already.
    """

    names: Mapping[str, pulumi.Output[str]]
    """Of the containers made here, by entry."""

    def __init__(self, name: str, args: SecretEntriesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(tokens.SECRET_ENTRIES, name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self._entries = args.entries
        context = args.context
        policy = _policy(args.readers)
        names = {}
        for entry, wanted in args.entries.items():
            if wanted.source is not None:
                continue
            container = secretsmanager.Secret(
                f"{name}-{entry}",
                name=secret_name(context.environment, context.service, entry),
                description=f"{entry} secrets of {context.service} in {context.environment}",
                kms_key_id=args.kms_key_id,
                recovery_window_in_days=RECOVERY_DAYS if context.production else 0,
                # By the other region's own key: a key of this region does not exist there.
                replicas=[secretsmanager.SecretReplicaArgs(region=region) for region in wanted.replica_regions] or None,
                tags=context.tags,
                opts=pulumi.ResourceOptions(parent=self, protect=context.production or None),
            )
            names[entry] = container.name
            secretsmanager.SecretPolicy(
                f"{name}-{entry}-policy",
                secret_arn=container.arn,
                policy=policy,
                block_public_policy=True,
                opts=child,
            )
            if wanted.rotation is not None:
                secretsmanager.SecretRotation(
                    f"{name}-{entry}-rotation",
                    secret_id=container.arn,
                    rotation_lambda_arn=wanted.rotation.lambda_arn,
                    rotation_rules=secretsmanager.SecretRotationRotationRulesArgs(
                        automatically_after_days=wanted.rotation.days
                    ),
                    # An update never changes a password: pods keep their pinned version, which must stay valid until
                    # somebody moves the pin.
                    rotate_immediately=False,
                    opts=child,
                )
        self.names = names
        self.register_outputs({"names": self.names})

    def mounts(self, versions: Mapping[str, str]) -> "list[SecretMount]":
        """Return every entry in the version that a color runs with; those without one come in their current version."""
        return [
            SecretMount(
                entry=entry,
                name=wanted.source.path if wanted.source else self.names[entry],
                keys=wanted.keys,
                version=versions.get(entry),
                source=wanted.source,
            )
            for entry, wanted in self._entries.items()
        ]


def _policy(readers: Sequence[str]) -> str:
    """Return what no policy of a user or a role can override: denials, and no permission."""

    def deny(sid: str, action: str, condition: Mapping[str, object]) -> Mapping[str, object]:
        return {
            "Sid": sid,
            "Effect": "Deny",
            "Principal": "*",
            "Action": action,
            "Resource": "*",
            # Services of AWS call without an account or an ARN.
            "Condition": {**condition, "BoolIfExists": {"aws:PrincipalIsAWSService": "false"}},
        }

    own = {"StringNotEquals": {"aws:PrincipalAccount": "${aws:ResourceAccount}"}}
    statements = [deny("OnlyThisAccount", "secretsmanager:*", own)]
    if readers:
        # For a role's session aws:PrincipalArn is the role. Whoever puts a value need not be able to read one.
        named = {"ArnNotEquals": {"aws:PrincipalArn": list(readers)}}
        statements.append(deny("OnlyTheseReaders", "secretsmanager:GetSecretValue", named))
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


@dataclass(frozen=True, kw_only=True)
class SecretMount:
    """One entry as pods see it: each key of its JSON object becomes an environment variable."""

    entry: str
    name: pulumi.Input[str]
    """What its store calls it: the container in Secrets Manager, or the path in ``source``."""
    keys: Sequence[str]
    version: str | None
    """The version the pods keep, whatever is rotated meanwhile; None for the current one at delivery."""
    source: SecretSource | None = None
    """The other store; None for Secrets Manager."""


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
        store, place, version = _address(mount)
        content = sha256("\n".join([*place, *version.values(), *mount.keys]).encode()).hexdigest()[:8]
        suffix = f"-{content}" if pinned else ""
        secret = fit_name("", f"{prefix}-{mount.entry}", suffix, 63)
        delivered[secret] = CustomResource(
            # Another resource, not a replacement: one that waits to be deleted could not be wanted again.
            f"{name}-{mount.entry}{suffix}",
            api_version="external-secrets.io/v1",
            kind="ExternalSecret",
            metadata={
                "name": secret,
                "namespace": namespace,
                "labels": labels,
                "annotations": {"pulumi.com/waitFor": "condition=Ready"},
            },
            spec={
                "secretStoreRef": {"kind": "ClusterSecretStore", "name": store},
                "refreshPolicy": "OnChange",
                "target": {"name": secret, "immutable": pinned},
                "data": [
                    {"secretKey": key, "remoteRef": {"key": mount.name, "property": key, **version}}
                    for key in mount.keys
                ],
            },
            opts=pulumi.ResourceOptions(
                parent=parent,
                custom_timeouts=pulumi.CustomTimeouts(create=timeout, update=timeout),
                aliases=[pulumi.Alias(name=f"{name}-{mount.entry}")],  # what stacks made before 2026-12 call it
            ),
        )
    return delivered


def _address(mount: SecretMount) -> tuple[str, Sequence[str], Mapping[str, str]]:
    """Return the store, what of the place can change, and the version as that store is asked for it.

    A container of ours keeps its name for life. What other stores call a version is theirs: Vault's KV engine counts.
    """
    if mount.source is None:
        return SECRET_STORE, [], {"version": f"uuid/{mount.version}" if mount.version else "AWSCURRENT"}
    version = {"version": mount.version} if mount.version else {}
    return mount.source.store, [mount.source.store, mount.source.path], version
