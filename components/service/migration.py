"""The Job that brings a service's database to a schema version, once for all who need that version.

What a Job was given when it was made is frozen, and which color needs which schema moves on. That is told by
ConfigMaps, which a Job reads whenever it runs: one with what each color is configured to need, written before any Job
runs, and one for each color with what its pods run, written when they are ready.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pulumi
from pulumi_kubernetes import batch, core, meta

from components.context.context import ColorContext, ServiceContext
from components.model import Color, Given
from components.service.secret_entries import SecretMount, deliver
from components.service.workload import (
    RESTRICTED_CONTAINER,
    RESTRICTED_POD,
    TMP_MOUNT,
    TMP_VOLUME,
    app_env,
    environment_variables,
    from_secrets,
    not_secrets,
    patience,
    requirements,
)
from components.spec import Service

PREFIX: Final = "MIGRATION_"
"""What the secret keys begin with that only the Job gets, such as the URL of a role that may change the schema."""

RUNNING: Final = {Color.BLUE: Given.RUNNING_SCHEMA_BLUE, Color.GREEN: Given.RUNNING_SCHEMA_GREEN}
"""Variables of the Job, beside ``DECLARED_SCHEMAS``; `app/schemas.py` says what it makes of them."""
NO_PODS: Final = "none"

FAILED: Final = 1
"""The exit code after which to try again is no use. After any other the Job runs again, 10, 20, 40… seconds later, up
to its deadline: a node went away, a database is just starting, a color's pods are just being replaced."""


def declare(
    name: str,
    schemas: Mapping[Color, str],
    *,
    context: ServiceContext,
    namespace: pulumi.Input[str],
    parent: pulumi.Resource,
) -> core.v1.ConfigMap:
    """Declare for a service's Jobs the schema that each color is configured for, live or idle, with or without pods."""
    told = {Given.DECLARED_SCHEMAS.value: " ".join(f"{color}={schema}" for color, schema in sorted(schemas.items()))}
    return _config_map(name, _declared(context.service), told, namespace, context.labels, parent)


def record(
    name: str,
    schema: str,
    *,
    parked: bool,
    context: ColorContext,
    namespace: pulumi.Input[str],
    ready: pulumi.Resource,
    parent: pulumi.Resource,
) -> core.v1.ConfigMap:
    """Tell the Jobs of a service what the pods of a color need, once ``ready`` is: until then the old ones may run."""
    told = {RUNNING[context.color].value: NO_PODS if parked else schema}
    return _config_map(name, _running(context.service, context.color), told, namespace, context.labels, parent, ready)


def _declared(service: str) -> str:
    return f"{service}-schemas"


def _running(service: str, color: Color) -> str:
    return f"{service}-{color}-schema"


def _config_map(
    name: str,
    physical: str,
    data: Mapping[str, str],
    namespace: pulumi.Input[str],
    labels: Mapping[str, str],
    parent: pulumi.Resource,
    *after: pulumi.Resource,
) -> core.v1.ConfigMap:
    """Declare one by a fixed name, which Jobs know for good; other data replaces it, the old one deleted first."""
    return core.v1.ConfigMap(
        name,
        metadata=meta.v1.ObjectMetaArgs(name=physical, namespace=namespace, labels=labels),
        data=data,
        opts=pulumi.ResourceOptions(parent=parent, depends_on=after),
    )


@dataclass(frozen=True, kw_only=True)
class MigrationArgs:
    """The namespace is an Input; the rest is plain, configuration decides it."""

    spec: Service
    context: ServiceContext
    namespace: pulumi.Input[str]
    schema: str
    image: pulumi.Input[str]
    """An image that knows this schema version: that of the color which needs it, unless the service names one."""
    env: Mapping[str, str]
    """The variables of that color."""
    secrets: Sequence[SecretMount]
    after: Sequence[pulumi.Resource] = ()
    """What `declare` made, and migrations to earlier versions. Not what `record` made: the way to a color that serves
    would wait for one that fails."""


class Migration(pulumi.ComponentResource):
    """One run of the service's command for schemas (`Migrations`), which refuses what a color could not live with.

    The Job is named after the schema version and never changes: a new image that needs the same
    schema does not run it again, nor does a rollback. A Job that failed is run again by the next
    update (``replaceUnready``), still with its first image; to use a mended one delete the Job
    first (``kubectl delete job``) and update with ``--refresh``. The engine has no way to freeze
    what a Job that is complete was given and not what a failed one was.
    """

    job: batch.v1.Job
    """Complete when the schema is there; what needs the schema waits for it."""

    def __init__(self, name: str, args: MigrationArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("hueshift:migration:Migration", name, None, opts)
        spec, context, patient = args.spec, args.context, args.spec.timing.await_timeout
        labels = {**context.labels, "app.kubernetes.io/component": "migration"}
        physical = f"{context.service}-migrate-{args.schema}"
        secrets = deliver(
            name,
            args.secrets,
            prefix=physical,
            pinned=False,
            namespace=args.namespace,
            labels=labels,
            await_timeout=patient,
            parent=self,
        )
        timeout = f"{patient}s"
        self.job = batch.v1.Job(
            f"{name}-job",
            metadata=meta.v1.ObjectMetaArgs(
                name=physical,
                namespace=args.namespace,
                labels=labels,
                annotations={"pulumi.com/replaceUnready": "true", **(not_secrets(spec.not_secrets) or {})},
            ),
            # No ttl: a Job that removes itself would be missing at the next refresh and run again.
            spec=batch.v1.JobSpecArgs(
                # Pulumi's wait ends at a Job that failed for BackoffLimitExceeded or DeadlineExceeded and at no other,
                # nor by a timeout (pulumi-kubernetes, pkg/await/job.go; cloud-ready-checks, pkg/kubernetes/job). So a
                # no is a failure that counts, where none may, and not the action FailJob, whose reason is another.
                # What is ignored counts nothing and runs again, up to the deadline.
                backoff_limit=0,
                pod_failure_policy=batch.v1.PodFailurePolicyArgs(
                    rules=[
                        batch.v1.PodFailurePolicyRuleArgs(
                            action="Ignore",
                            on_pod_conditions=[
                                batch.v1.PodFailurePolicyOnPodConditionsPatternArgs(
                                    type="DisruptionTarget", status="True"
                                )
                            ],
                        ),
                        batch.v1.PodFailurePolicyRuleArgs(
                            action="Ignore",
                            on_exit_codes=batch.v1.PodFailurePolicyOnExitCodesRequirementArgs(
                                operator="NotIn", values=[FAILED]
                            ),
                        ),
                    ]
                ),
                active_deadline_seconds=patience(patient),
                template=core.v1.PodTemplateSpecArgs(
                    metadata=meta.v1.ObjectMetaArgs(labels=labels),
                    spec={
                        "restartPolicy": "Never",
                        "automountServiceAccountToken": False,
                        "enableServiceLinks": False,
                        "securityContext": RESTRICTED_POD,
                        "volumes": [TMP_VOLUME],
                        "containers": [
                            {
                                "name": "migrate",
                                "image": spec.migration.image or args.image,
                                "command": [word.replace("{schema}", args.schema) for word in spec.migration.command],
                                "env": environment_variables(
                                    {
                                        Given.APP_ENV: app_env(context.environment, production=context.production),
                                        **args.env,
                                    }
                                ),
                                "envFrom": [*from_secrets(secrets), *_told(context.service)],
                                # The last lines of the log become the pod's status, which an update that fails shows.
                                "terminationMessagePolicy": "FallbackToLogsOnError",
                                "resources": requirements(spec.resources),
                                "securityContext": RESTRICTED_CONTAINER,
                                "volumeMounts": [TMP_MOUNT],
                            }
                        ],
                    },
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


def _told(service: str) -> list[dict[str, Any]]:
    """Return the part of the Job's ``envFrom`` that says who needs what; what is missing lets nothing contract."""
    names = [_declared(service), *(_running(service, color) for color in Color)]
    return [{"configMapRef": {"name": name, "optional": True}} for name in names]
