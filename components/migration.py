"""The Job that brings a service's database to a schema version, once for all who need that version."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_kubernetes import batch, core, meta

from components.model import Resources
from components.secret_entries import SecretMount, deliver
from components.workload import (
    RESTRICTED_CONTAINER,
    RESTRICTED_POD,
    TMP_MOUNT,
    TMP_VOLUME,
    app_env,
    environment_variables,
    from_secrets,
    patience,
    requirements,
    service_labels,
)

PREFIX: Final = "MIGRATION_"
"""What the secret keys begin with that only the Job gets, such as the URL of a role that may change the schema."""


@dataclass(frozen=True, kw_only=True)
class MigrationArgs:
    """The namespace is an Input; the rest is plain, configuration decides it."""

    service: str
    environment: str
    namespace: pulumi.Input[str]
    schema: str
    image: str
    """An image that knows this schema version: that of the color which needs it."""
    env: Mapping[str, str]
    secrets: Sequence[SecretMount]
    resources: Resources
    await_timeout: int
    """Seconds after which an update gives up on the Job."""
    after: Sequence[pulumi.Resource] = ()
    """Migrations to earlier versions."""


class Migration(pulumi.ComponentResource):
    """One run of ``python3 -m app.migrate <schema>``.

    The Job is named after the schema version and never changes: a new image that needs the same
    schema does not run it again, nor does a rollback. A Job that failed is run again by the next
    update, still with its first image; to use a mended one delete the Job first (``kubectl
    delete job``) and update with ``--refresh``.
    """

    job: batch.v1.Job
    """Complete when the schema is there; what needs the schema waits for it."""

    def __init__(self, name: str, args: MigrationArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("hueshift:migration:Migration", name, None, opts)
        labels = {**service_labels(args.service, args.environment), "app.kubernetes.io/component": "migration"}
        physical = f"{args.service}-migrate-{args.schema}"
        secrets = deliver(
            name,
            args.secrets,
            prefix=physical,
            pinned=False,
            namespace=args.namespace,
            labels=labels,
            await_timeout=args.await_timeout,
            parent=self,
        )
        timeout = f"{args.await_timeout}s"
        self.job = batch.v1.Job(
            f"{name}-job",
            metadata=meta.v1.ObjectMetaArgs(
                name=physical,
                namespace=args.namespace,
                labels=labels,
                annotations={"pulumi.com/replaceUnready": "true"},
            ),
            # No ttl: a Job that removes itself would be missing at the next refresh and run again.
            spec=batch.v1.JobSpecArgs(
                backoff_limit=1,
                active_deadline_seconds=patience(args.await_timeout),
                template=core.v1.PodTemplateSpecArgs(
                    metadata=meta.v1.ObjectMetaArgs(labels=labels),
                    spec=core.v1.PodSpecArgs(
                        restart_policy="Never",
                        automount_service_account_token=False,
                        enable_service_links=False,
                        security_context=RESTRICTED_POD,
                        volumes=[TMP_VOLUME],
                        containers=[
                            core.v1.ContainerArgs(
                                name="migrate",
                                image=args.image,
                                command=["python3", "-m", "app.migrate", args.schema],
                                env=environment_variables({"APP_ENV": app_env(args.environment), **args.env}),
                                env_from=from_secrets(secrets),
                                resources=requirements(args.resources),
                                security_context=RESTRICTED_CONTAINER,
                                volume_mounts=[TMP_MOUNT],
                            )
                        ],
                    ),
                ),
            ),
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=[*secrets.values(), *args.after],
                # What a Job was given is history: configuration that moves on must not make it run again.
                ignore_changes=["spec"],
                custom_timeouts=pulumi.CustomTimeouts(create=timeout, update=timeout),
            ),
        )
        self.register_outputs({"schema": args.schema})
