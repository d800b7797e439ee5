"""What a stack file says, as plain values with their defaults."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from components.model.timing import SHUTDOWN_MARGIN


@dataclass(frozen=True, kw_only=True)
class Timing:
    """The times of a service, in seconds; only together do they keep requests, and ``rules`` knows the chain."""

    longest_request: int = 30
    """How long the service may take to answer."""
    deregistration_delay: int = 30
    """How long the load balancer lets requests to a leaving pod finish."""
    pre_stop: int = 35
    """How long a leaving pod serves on before it is told to stop; must also cover the load balancer's lag."""
    grace_period: int = 75
    """After which a leaving pod is killed; the preStop sleep counts."""
    keep_alive: int = 75
    """How long the service keeps an idle connection open."""
    await_timeout: int = 600
    """How long an update waits for a color to become ready."""
    stickiness: int = 0
    """How long a client stays with its color while both have traffic; 0 for not at all."""
    bake: int = 300
    """How long a step of a release is watched before the next."""
    keep_old: int = 86_400
    """How long the color that lost its traffic stays at full size, ready for a rollback."""

    @property
    def shutdown(self) -> int:
        """The least grace period in which a pod can finish what it was sent at the last moment."""
        return self.pre_stop + self.longest_request + SHUTDOWN_MARGIN

    @property
    def overlap(self) -> int:
        """How long after a flip the old color may still be asked, or be wanted back."""
        return self.deregistration_delay + self.longest_request + self.bake


@dataclass(frozen=True, kw_only=True)
class Health:
    """How a pod is asked whether it starts, lives and can serve; the load balancer asks the same ``path``."""

    path: str = "/health/ready"
    liveness_path: str = "/health/live"
    startup_path: str = "/health/startup"
    interval: int = 10
    """Seconds between two checks."""
    timeout: int = 5
    """Seconds; less than ``interval``."""
    healthy_threshold: int = 2
    """Passed checks in a row after which an unhealthy target counts as healthy."""
    unhealthy_threshold: int = 2
    """Failed checks in a row after which a pod gets no requests."""


@dataclass(frozen=True, kw_only=True)
class Replicas:
    """How many pods a color has that is not parked."""

    min: int = 2
    max: int = 4
    cpu_target: int = 70
    """Percent of the requested CPU, averaged over the pods, at which more are added."""
    memory_target: int | None = None
    """The same of the requested memory; only for a service whose memory follows its load."""
    requests_per_second: int | None = None
    """Requests per second and pod at which more are added."""


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What a pod requests, as Kubernetes quantities. Memory is its limit too; CPU has none: throttling is latency."""

    cpu: str = "100m"
    memory: str = "128Mi"


class StrategyKind(StrEnum):
    """How a new version of a service takes the place of the old one."""

    BLUE_GREEN = "blueGreen"
    """Two colors; traffic moves by weight, at once or step by step, and back as fast."""
    ROLLING = "rolling"
    """One color, in place, pod by pod; the way back is ``kubectl rollout undo`` or the old image."""
    RECREATE = "recreate"
    """One color; all pods stop before the new ones start."""


@dataclass(frozen=True, kw_only=True)
class Strategy:
    """How a service is released; the surge and what may be missing matter to ``rolling`` alone."""

    kind: StrategyKind = StrategyKind.BLUE_GREEN
    max_surge: int = 1
    """Pods above the wanted number during an update."""
    max_unavailable: int = 0
    """Pods below it."""
    allow_downtime: bool = False
    """Whether production may use ``recreate``."""

    @property
    def colors(self) -> int:
        """How many colors such a service has."""
        return 2 if self.kind is StrategyKind.BLUE_GREEN else 1


@dataclass(frozen=True, kw_only=True)
class Egress:
    """A network that pods may call, besides DNS."""

    cidr: str
    ports: Sequence[int]


@dataclass(frozen=True, kw_only=True)
class SecretSource:
    """Where the values of an entry are kept that is not in AWS Secrets Manager."""

    store: str
    """The ClusterSecretStore that reads it."""
    path: str
    """What the store calls the entry."""


@dataclass(frozen=True, kw_only=True)
class Rotation:
    """Who gives an entry new values, and how often."""

    lambda_arn: str
    days: int


@dataclass(frozen=True, kw_only=True)
class SecretEntry:
    """A named set of secret values of a service; each key becomes an environment variable."""

    keys: Sequence[str]
    source: SecretSource | None = None
    """None for a container in AWS Secrets Manager, made here."""
    rotation: Rotation | None = None
    replica_regions: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Build:
    """What an image is built from, where a stack may build."""

    context: str
    """The folder with all that the image is made from, relative to the project."""
    dockerfile: str = "Dockerfile"
    """Relative to the context."""
    args: Mapping[str, str] = field(default_factory=dict)
    """Build arguments; ``VERSION`` is given already."""
    platform: str = "linux/amd64"
    """What the nodes run."""


@dataclass(frozen=True, kw_only=True)
class Release:
    """What a color runs."""

    image: str | None = None
    """By digest; or None for one that is built here."""
    build: Build | None = None
    version: str
    schema: str | None = None
    """The schema version the image needs, or None for a service without a database."""
    parked: bool = False
    """No pods; everything else stays."""
    secret_versions: Mapping[str, str] = field(default_factory=dict)
    """The version of each secret entry."""


class IdentityKind(StrEnum):
    """How the pods of a cluster get an IAM role."""

    POD_IDENTITY = "pod-identity"
    """By the EKS Pod Identity agent of the node."""
    IRSA = "irsa"
    """By the OpenID Connect provider of the cluster."""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """What the program must know of the Kubernetes cluster, which it does not make."""

    name: str | None = None
    """In EKS; a kubeconfig that leads to another is refused. Pod Identity and Container Insights need it."""
    identity: IdentityKind = IdentityKind.POD_IDENTITY
    oidc_provider_arn: str | None = None
    """For ``irsa``."""
    monitoring_namespace: str = "monitoring"
    """The namespace whose pods may scrape a service's."""
    container_insights: bool = False
    """Whether CloudWatch has the pods' CPU and memory, and can watch them."""


@dataclass(frozen=True, kw_only=True)
class Subscription:
    """Who hears of an alarm, and how."""

    protocol: str
    endpoint: str


CONTENT_SECURITY_POLICY: Final = "default-src 'self'; base-uri 'self'; frame-ancestors 'none'; object-src 'none'"
"""Only what comes from the service itself; a page that needs more states its own policy in the settings."""
