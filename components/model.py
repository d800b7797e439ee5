"""What the product means by a color, a share of traffic, a version, a name and a time; pure, without Pulumi."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from hashlib import sha256
from typing import Any, Final


class Color(StrEnum):
    """One of the two environments of a service. The order is the order of every list of target groups."""

    BLUE = "blue"
    GREEN = "green"

    @property
    def other(self) -> "Color":
        """The color that this one is not."""
        return Color.GREEN if self is Color.BLUE else Color.BLUE


def split(active: Color, canary_weight: int) -> dict[Color, int]:
    """The share of each color in percent, in color order: ``canary_weight`` to the idle one, the rest to ``active``."""
    if not 0 <= canary_weight <= 100:
        raise ValueError(f"a canary weight is a percentage, 0 to 100; got {canary_weight}")
    return {color: 100 - canary_weight if color is active else canary_weight for color in Color}


_NUMBER = r"(?:0|[1-9]\d*)"
_IDENTIFIER = rf"(?:{_NUMBER}|\d*[A-Za-z-][0-9A-Za-z-]*)"
_VERSION: Final = re.compile(
    rf"({_NUMBER})\.({_NUMBER})\.({_NUMBER})(?:-({_IDENTIFIER}(?:\.{_IDENTIFIER})*))?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?",
    re.ASCII,
)


def precedence(version: str) -> tuple[Any, ...]:
    """A key that orders versions as semver.org 2.0.0 §11 does.

    Raises ``ValueError`` for what is no semantic version.
    """
    match = _VERSION.fullmatch(version)
    if match is None:
        raise ValueError(f"{version!r} is no semantic version such as 1.4.0 or 1.5.0-rc.1")
    *core, pre = match.groups()
    identifiers = [
        (0, int(part), "") if part.isdigit() else (1, 0, part) for part in (pre.split(".") if pre is not None else ())
    ]
    return (*map(int, core), pre is None, identifiers)


def newer(versions: Mapping[Color, str], *, active: Color) -> Color:
    """The color with the newer version: where ``x-canary: true`` leads; the idle one where versions do not order.

    They order by precedence, but not by text with digits, of which nobody knows what it counts: ``rc10`` comes before
    ``rc9``, and a commit id anywhere. Nor do versions that differ in build metadata alone. Of one and the same version
    it is green, whatever is active, so that a flip moves nothing else.
    """
    if versions[active] == versions[active.other]:
        return Color.GREEN
    idle, serving = (precedence(versions[color]) for color in (active.other, active))
    if idle == serving or _unordered(idle, serving):
        return active.other
    return active.other if idle > serving else active


def _unordered(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    """Whether two precedences differ first in two texts of which one has more than letters."""
    *core, released, identifiers = one
    if [*core, released] != [*other[:-1]]:
        return False
    for mine, theirs in zip(identifiers, other[-1], strict=False):
        if mine != theirs:
            return bool(mine[2] and theirs[2] and not (mine[2].isalpha() and theirs[2].isalpha()))
    return False


_HASH: Final = 6


def fit_name(prefix: str, name: str, suffix: str, limit: int) -> str:
    """``prefix + name + suffix`` in at most ``limit`` characters; a name that is too long is cut and ends in its hash.

    The same arguments always give the same name, and two names that are cut alike differ in the hash.
    Raises ``ValueError`` if prefix and suffix leave no room for one character and the hash.
    """
    room = limit - len(prefix) - len(suffix)
    if len(name) <= room:
        return prefix + name + suffix
    if room < _HASH + 2:
        raise ValueError(f"{prefix!r} and {suffix!r} leave {room} of {limit} characters for a name; {_HASH + 2} needed")
    kept = name[: room - _HASH - 1].rstrip("-")
    return f"{prefix}{kept}-{sha256(name.encode()).hexdigest()[:_HASH]}{suffix}"


def namespace(environment: str, service: str) -> str:
    """The Kubernetes namespace of a service."""
    return f"{environment}-{service}"


def secret_name(environment: str, service: str, entry: str) -> str:
    """The name of a service's entry in AWS Secrets Manager."""
    return f"{environment}/{service}/{entry}"


def alarm_name(environment: str, *parts: str) -> str:
    """The name of an alarm in CloudWatch, whose limit of 255 characters no settings reach.

    ``alarm_name(environment, service, color, alert)`` of a color, without the color of a service; without the alert it
    is the color's composite alarm. Those of a load balancer are of the service ``edge``.
    """
    return "-".join((environment, *parts))


def color_host(color: Color, host: str) -> str:
    """The name by which the test listener reaches one color whatever the weights."""
    return f"{color}.{host}"


class RuleKind(IntEnum):
    """The listener rules of a service, by their place in its band; a lower place is evaluated first."""

    CANARY = 10
    """On the production listener: ``x-canary: true`` reaches the newer color."""
    PRODUCTION = 20
    """On the production listener: the weights."""
    TEST_BLUE = 30
    TEST_GREEN = 40

    @classmethod
    def test(cls, color: Color) -> "RuleKind":
        """The rule that reaches ``color`` on the test listener."""
        return cls.TEST_BLUE if color is Color.BLUE else cls.TEST_GREEN


BANDS: Final = range(1, 500)
"""One for each service, of 100 priorities each (an ALB has 1 to 50,000). Band 0 belongs to the listeners."""

LISTENER_RULES: Final = 4
"""How many rules may belong to the listeners and to no service (priorities 1 to 99)."""

MAX_SERVICES: Final = (100 - LISTENER_RULES) // len(RuleKind)
"""An ALB has at most 100 rules, default actions not counted, unless AWS raises that quota (L-7EED9B64; ELB guide)."""

CERTIFICATES: Final = 25
"""An ALB has at most as many, default ones not counted, and each counts once for every listener that it is on, unless
AWS raises that quota (L-9365A611; ELB guide, and aws-load-balancer-controller#3480 for the counting)."""

CERTIFIED_SERVICES: Final = CERTIFICATES // 2
"""How many services fit where each has a certificate of its own, which is on both TLS listeners."""


def priority_band(service: str) -> int:
    """The band of a service that states none: a hash of its name alone.

    A place in a list would move when a service comes or goes, and two rules cannot exchange their priorities in one
    update (``PriorityInUse``, ELBv2 CreateRule).
    """
    return BANDS.start + int(sha256(service.encode()).hexdigest(), 16) % len(BANDS)


def rule_priority(band: int, kind: RuleKind) -> int:
    """The priority of a service's rule."""
    return band * 100 + kind


ALARM_PERIOD: Final = 60
"""Seconds. ALB metrics come once a minute; an alarm with a shorter period lapses into INSUFFICIENT_DATA."""

ALARM_PERIODS: Final = 5
"""How many periods an alarm looks at."""

SHUTDOWN_MARGIN: Final = 5
"""Seconds that a process may take to close its connections and exit after its last request."""


class Given(StrEnum):
    """The variables that pods and migrations are given by the program, and that no setting may give them too."""

    APP_ENV = "APP_ENV"
    PORT = "PORT"
    APP_VERSION = "APP_VERSION"
    APP_COLOR = "APP_COLOR"
    KEEP_ALIVE_SECONDS = "KEEP_ALIVE_SECONDS"
    SHUTDOWN_SECONDS = "SHUTDOWN_SECONDS"
    DECLARED_SCHEMAS = "DECLARED_SCHEMAS"
    RUNNING_SCHEMA_BLUE = "RUNNING_SCHEMA_BLUE"
    RUNNING_SCHEMA_GREEN = "RUNNING_SCHEMA_GREEN"


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
