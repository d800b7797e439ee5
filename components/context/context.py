"""Where something is made: what all that is made there carries, and what it is called."""

from dataclasses import dataclass, field, fields
from typing import overload

from components.model import Color, namespace
from components.spec import Cluster, Tracing


@dataclass(frozen=True, kw_only=True)
class Context:
    """One environment."""

    environment: str
    production: bool
    """What holds data is then protected, and kept when it goes."""
    account_id: str
    """Of AWS."""
    cluster: Cluster = field(default_factory=Cluster)
    tracing: Tracing | None = None
    """Where pods send their traces; None for nowhere."""

    @property
    def tags(self) -> dict[str, str]:
        """Of everything in AWS."""
        return {"environment": self.environment, "managed-by": "pulumi"}

    @overload
    def of(self, service: str) -> "ServiceContext": ...

    @overload
    def of(self, service: str, color: Color) -> "ColorContext": ...

    def of(self, service: str, color: Color | None = None) -> "ServiceContext":
        """Return the part of the environment that is a service's, or one color's of it."""
        own = {each.name: getattr(self, each.name) for each in fields(Context)}
        return ColorContext(**own, service=service, color=color) if color else ServiceContext(**own, service=service)


@dataclass(frozen=True, kw_only=True)
class ServiceContext(Context):
    """What belongs to one service, and to neither color."""

    service: str

    @property
    def tags(self) -> dict[str, str]:
        """Of everything of the service in AWS."""
        return {**super().tags, "service": self.service}

    @property
    def labels(self) -> dict[str, str]:
        """Of everything of the service in Kubernetes."""
        return {
            "app.kubernetes.io/name": self.service,
            "app.kubernetes.io/part-of": "hueshift",
            "app.kubernetes.io/managed-by": "pulumi",
            "hueshift.dev/environment": self.environment,
        }

    @property
    def namespace(self) -> str:
        """The name of its namespace."""
        return namespace(self.environment, self.service)


@dataclass(frozen=True, kw_only=True)
class ColorContext(ServiceContext):
    """What belongs to one color of a service, whatever version it runs."""

    color: Color

    @property
    def tags(self) -> dict[str, str]:
        """Of everything of the color in AWS."""
        return {**super().tags, "color": self.color.value}

    @property
    def labels(self) -> dict[str, str]:
        """Of everything of the color in Kubernetes."""
        return {**super().labels, "hueshift.dev/color": self.color.value}

    @property
    def name(self) -> str:
        """What all its objects in Kubernetes are called."""
        return f"{self.service}-{self.color}"
