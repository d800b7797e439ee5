"""The labels of what belongs to a service, a color and a version in Kubernetes."""

from collections.abc import Mapping

from components.model.color import Color


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
