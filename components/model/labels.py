"""Labels in Kubernetes that do not depend on where something is; `context` has the others."""

from collections.abc import Mapping


def version_label(version: str) -> dict[str, str]:
    """Return the label of what a version brings: the Deployment and its pods. It has no ``+``, a version may."""
    return {"app.kubernetes.io/version": version.replace("+", "_")}


def selector(labels: Mapping[str, str]) -> dict[str, str]:
    """Return the labels that a color's pods keep for life: a selector can never change."""
    return {key: labels[key] for key in ("app.kubernetes.io/name", "hueshift.dev/color")}
