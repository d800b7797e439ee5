"""What every pod of a service has in common: its labels, how it is judged, and what it may do.

No function here creates a resource; `color_environment.py` and `migration.py` do.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from pulumi_kubernetes import core

from components.model import Color, Resources
from components.rules import is_production

READINESS_GATE_LABEL: Final = {"elbv2.k8s.aws/pod-readiness-gate-inject": "enabled"}
"""On the namespace: the AWS Load Balancer Controller then gates readiness on target health. Only pods created later,
and only those whose Service and TargetGroupBinding exist by then, get the gate."""

RESTRICTED_LABELS: Final = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn", "audit")}
"""On the namespace: its pods must meet the "restricted" Pod Security Standard."""

RESTRICTED_POD: Final = core.v1.PodSecurityContextArgs(
    run_as_non_root=True, seccomp_profile=core.v1.SeccompProfileArgs(type="RuntimeDefault")
)
"""Who the pod runs as stays the image's choice; its USER must be a number for the kubelet to tell it is not root."""

RESTRICTED_CONTAINER: Final = core.v1.SecurityContextArgs(
    allow_privilege_escalation=False,
    capabilities=core.v1.CapabilitiesArgs(drop=["ALL"]),
    read_only_root_filesystem=True,
)

TMP_MOUNT: Final = core.v1.VolumeMountArgs(name="tmp", mount_path="/tmp")
TMP_VOLUME: Final = core.v1.VolumeArgs(name="tmp", empty_dir=core.v1.EmptyDirVolumeSourceArgs())
"""The one place where a container with a read-only root file system can write."""


def requirements(resources: Resources) -> core.v1.ResourceRequirementsArgs:
    """Return a container's ``resources``."""
    return core.v1.ResourceRequirementsArgs(
        requests={"cpu": resources.cpu, "memory": resources.memory}, limits={"memory": resources.memory}
    )


def service_labels(service: str, environment: str) -> dict[str, str]:
    """Return the labels of everything that belongs to a service and to neither color."""
    return {
        "app.kubernetes.io/name": service,
        "app.kubernetes.io/part-of": "hueshift",
        "app.kubernetes.io/managed-by": "pulumi",
        "hueshift.dev/environment": environment,
    }


def color_labels(service: str, environment: str, color: Color) -> dict[str, str]:
    """Return the labels of everything that belongs to one color, whatever version it runs."""
    return {**service_labels(service, environment), "hueshift.dev/color": color.value}


def version_label(version: str) -> dict[str, str]:
    """Return the label of what a version brings: the Deployment and its pods. It has no ``+``, a version may."""
    return {"app.kubernetes.io/version": version.replace("+", "_")}


def selector(labels: Mapping[str, str]) -> dict[str, str]:
    """Return the labels that a color's pods keep for life: a selector can never change."""
    return {key: labels[key] for key in ("app.kubernetes.io/name", "hueshift.dev/color")}


def environment_variables(values: Mapping[str, str]) -> list[core.v1.EnvVarArgs]:
    """Return a container's ``env``."""
    return [core.v1.EnvVarArgs(name=name, value=value) for name, value in values.items()]


def from_secrets(names: Iterable[str]) -> list[core.v1.EnvFromSourceArgs]:
    """Return the part of a container's ``env_from`` that reads these Secrets."""
    return [core.v1.EnvFromSourceArgs(secret_ref=core.v1.SecretEnvSourceArgs(name=name)) for name in names]


def app_env(environment: str) -> str:
    """Return the ``APP_ENV`` of the application contract: ``production``, ``staging``, else ``development``."""
    if is_production(environment):
        return "production"
    return "staging" if "staging" in environment.split("-") else "development"


def patience(await_timeout: int) -> int:
    """Return the seconds after which the cluster gives up: before Pulumi does, so that its reason is the one shown."""
    return await_timeout * 9 // 10
