"""The keys of a service."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from components import rules
from components.model import BANDS, Color, canary_color, split
from components.rules import Problem
from components.spec.experiment import Experiment
from components.spec.flags import Flag
from components.spec.marks import Beside, Between, Example, Here, Like, Rule, Unset, Words, arn
from components.spec.route import Route
from components.spec.shadow import Shadow
from components.spec.strategy import Strategy, colors_problems
from components.spec.timing import Health, Path, Timing

Cidr = Annotated[str, Rule(rules.cidr_problem)]
"""An IPv4 network."""
_Percent = Between(1, 100, "a percentage")
_Variable = Annotated[str, Rule(rules.env_name_problem)]


@dataclass(frozen=True, kw_only=True)
class Replicas:
    """The number of pods of each color that is not parked."""

    min: Annotated[int, Rule(rules.replica_problem, by_environment=True)] = 2
    """Pods that there are always."""
    max: Annotated[int, Between(1, rules.MOST_REPLICAS, "the targets that a load balancer has (ELB quotas)")] = 4
    """Pods that there are at most."""
    cpu_target: Annotated[int, _Percent] = 70
    """Percent of the requested CPU, averaged over the pods, at which more are added."""
    memory_target: Annotated[int | None, _Percent, Example(80)] = None
    """Percent of the requested memory, averaged over the pods, at which more are added; only for a service whose
    memory follows its load."""
    requests_per_second: Annotated[int | None, Between(1, 1_000_000, "more than a pod serves"), Example(50)] = None
    """Requests per second and pod at which more are added."""


@dataclass(frozen=True, kw_only=True)
class Resources:
    """The resources that each pod requests. Memory is its limit too; CPU has none: throttling is latency."""

    cpu: Annotated[str, Rule(rules.cpu_problem)] = "100m"
    """The CPU that a pod requests."""
    memory: Annotated[str, Rule(rules.memory_problem)] = "128Mi"
    """The memory that a pod requests and may use at most."""


@dataclass(frozen=True, kw_only=True)
class Egress:
    """A network that the pods may call."""

    cidr: Annotated[Cidr, Example("10.20.200.0/24")]
    """The network."""
    ports: Annotated[
        Sequence[Annotated[int, Between(1, 65535, "a TCP port")]], Rule(rules.empty_problem), Example([5432])
    ]
    """The TCP ports, at least one: a NetworkPolicy takes none for all."""


@dataclass(frozen=True, kw_only=True)
class SecretSource:
    """A store other than AWS Secrets Manager, such as Vault, that the cluster's External Secrets operator reads."""

    store: Annotated[str, Rule(rules.namespace_problem), Example("vault")]
    """The ClusterSecretStore that reads it."""
    path: Annotated[str, Like(r"[\w.][\w./-]*", "a path such as kv/shop/app", limit=512), Example("kv/shop/app")]
    """The name of the entry in that store."""


@dataclass(frozen=True, kw_only=True)
class Rotation:
    """The function that gives the entry new values, and how often it does."""

    lambda_arn: Annotated[
        str,
        arn("lambda", r"function:[\w-]+"),
        Here(),
        Example("arn:aws:lambda:eu-west-1:111122223333:function:rotate"),
    ]
    """The function that makes a new value."""
    days: Annotated[int, Between(1, 1000, "what Secrets Manager takes (RotateSecret)"), Example(30)]
    """The number of days between two values."""


@dataclass(frozen=True, kw_only=True)
class SecretEntry:
    """An entry in Secrets Manager, a JSON object of which each key becomes an environment variable."""

    keys: Annotated[Sequence[_Variable], Rule(rules.empty_problem), Example(["DATABASE_URL"])]
    """The keys to hand to the pods; those that begin with MIGRATION_ reach the migration Job alone."""
    source: SecretSource | None = None
    """Another store that has the values; unset, a container in AWS Secrets Manager is made here."""
    rotation: Rotation | None = None
    """The rotation of the values; unset, nobody rotates them."""
    replica_regions: Annotated[
        Sequence[Annotated[str, Like(r"[a-z]{2}(-[a-z]+)+-[0-9]", "a region such as eu-central-1", limit=32)]],
        Example(["eu-central-1"]),
    ] = ()
    """Other regions that keep a copy."""


@dataclass(frozen=True, kw_only=True)
class Build:
    """The files that an image is built from; outside production only."""

    context: Annotated[str, Rule(rules.folder_problem), Example("app")]
    """The folder with all that the image is made from, relative to the project."""
    dockerfile: Annotated[str, Rule(rules.folder_problem)] = "Dockerfile"
    """The Dockerfile, relative to the context."""
    args: Annotated[Mapping[Annotated[str, Rule(rules.build_arg_problem)], str], Example({"BASE": "alpine"})] = field(
        default_factory=dict
    )
    """Build arguments; VERSION is given already."""
    platform: Literal["linux/amd64", "linux/arm64"] = "linux/amd64"
    """The operating system and architecture of the nodes."""


@dataclass(frozen=True, kw_only=True)
class PodTemplate:
    """What is laid over the pods' template of Kubernetes, in its own words.

    Items of lists are told apart as `kubectl patch` does, such as containers by name; the service's own container is
    app.
    """

    metadata: Annotated[Mapping[str, Any], Example({"annotations": {"example.com/scan": "true"}})] = field(
        default_factory=dict
    )
    """Labels and annotations of the pods."""
    spec: Annotated[
        Mapping[str, Any],
        Example(
            {
                "containers": [{"name": "app", "volumeMounts": [{"name": "cache", "mountPath": "/var/cache"}]}],
                "volumes": [{"name": "cache", "emptyDir": {}}],
            }
        ),
    ] = field(default_factory=dict)
    """A PodSpec, or a part of one."""
    allow: Annotated[Sequence[str], Example(["spec.containers[app].readinessProbe"])] = ()
    """Paths in this template that give up a promise of the program, and were reviewed."""

    def problems(self) -> Iterator[Problem]:
        """Yield what is no template of a pod, and what would break a promise."""
        yield from rules.template_problems({"metadata": self.metadata, "spec": self.spec}, allow=self.allow)

    @property
    def overlay(self) -> Mapping[str, Any]:
        """What is merged."""
        return {key: value for key, value in (("metadata", self.metadata), ("spec", self.spec)) if value}


@dataclass(frozen=True, kw_only=True)
class Release:
    """The image of one color of a service, and all that is its own."""

    image: Annotated[
        str | None,
        Rule(rules.image_problem, by_environment=True),
        Example(f"registry.example.com/shop@sha256:{'0a1b' * 16}"),
    ] = None
    """The image, by digest; or build in its place."""
    build: Annotated[Build | None, Rule(rules.build_problem, by_environment=True)] = None
    """The files that the image is built from, where it is built here."""
    version: Annotated[str, Rule(rules.version_problem), Example("1.5.0")]
    """The semantic version of what the image holds."""
    schema: Annotated[str | None, Rule(rules.schema_problem), Example("0002")] = None
    """The schema version that the image needs; unset for a service without a database."""
    parked: bool = False
    """Whether the color has no pods; everything else stays."""
    min_replicas: Annotated[
        int | None, Between(1, rules.MOST_REPLICAS, "the targets of a load balancer"), Example(6)
    ] = None
    """Pods that the color always has, if more than replicas.min: `hueshift release` sets it, until `hueshift park`."""
    secret_versions: Annotated[Mapping[str, str], Example({"app": "3b1f6c52-7d0e-4e9a-9c41-5a2f8e6d7b30"})] = field(
        default_factory=dict
    )
    """The version of each entry of secrets, by entry; required while the color runs."""
    env: Annotated[Mapping[_Variable, str], Rule(rules.variables_problem), Example({"LOG_LEVEL": "DEBUG"})] = field(
        default_factory=dict
    )
    """Environment variables of this color alone, over those of the service."""
    pod_template: PodTemplate = PodTemplate()
    """A part of a pod template, merged into this color's pods after that of the service."""

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong between the keys."""
        if (self.image is None) == (self.build is None):
            yield Problem("image", "is required: the image, by digest, or build in its place; exactly one of both")


class Protocol(StrEnum):
    """The protocol in which the load balancer asks the pods, without TLS."""

    HTTP1 = "http1"
    """HTTP/1.1, whatever the client speaks."""
    HTTP2 = "http2"
    """HTTP/2; the load balancer answers a client of HTTP/1.1 with 464."""
    GRPC = "grpc"
    """gRPC, to clients of gRPC alone."""


HEALTH_METHOD: Final = "/grpc.health.v1.Health/Check"
"""Of gRPC's own health service (gRPC, health checking protocol)."""


@dataclass(frozen=True, kw_only=True)
class Uptime:
    """Whether Route 53 asks the host from outside, on ``health.path``, as users would."""

    enabled: Annotated[
        bool, Unset("true in production if the load balancer is internet-facing and protocol is http1")
    ] = False
    """Whether the host is probed; CloudWatch counts the probes as traffic."""
    contains: Annotated[
        str | None, Like(r"[\x20-\x7e]+", "1 to 255 letters, signs and blanks of ASCII", limit=255), Example("ready")
    ] = None
    """A text that the first 5,120 bytes of the answer must have; unset, any answer with 200 to 399 will do."""


@dataclass(frozen=True, kw_only=True)
class Migrations:
    """The command that brings a database to the schema that a color names, as a Job before its pods."""

    command: Annotated[Sequence[str], Words(), Rule(rules.command_problem)] = (
        *("python3", "-m", "app.migrate", "{schema}"),
    )
    """The command; {schema} stands for the schema, and $(NAME) for a variable. It ends with 0 if the schema is there,
    with 1 to refuse, and with anything else to be tried again."""
    image: Annotated[
        str | None,
        Rule(rules.image_problem, by_environment=True),
        Example(f"registry.example.com/shop-schema@sha256:{'0a1b' * 16}"),
    ] = None
    """The image that has the command; unset, that of the first color that names the schema."""


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """The metrics of requests that the pods serve to Prometheus."""

    enabled: bool = True
    """Whether the pods serve them; if not, CloudWatch alone judges requests, and Prometheus only what the cluster
    tells of the pods."""
    path: Path = "/metrics"
    """The path of the metrics, on the port of the service."""


@dataclass(frozen=True, kw_only=True)
class Workload:
    """Pods of a color's image that take no requests: a worker, or a job at set times."""

    command: Annotated[Sequence[str], Words(), Rule(rules.command_problem), Example(["/shop", "consume"])]
    """The command of the worker or job."""
    schedule: Annotated[
        str | None,
        Like(r"@(hourly|daily|weekly|monthly|yearly)|([\w*/,-]+ ){4}[\w*/,-]+", "such as 15 3 * * *", limit=64),
        Example("15 3 * * *"),
    ] = None
    """The schedule of a job in cron's form, in UTC; unset, it is a worker that always runs."""
    runs: Literal["both", "active"] = "both"
    """The colors that run it: both, or the active one alone; with active a flip changes the worker too, and not only
    a rule."""
    replicas: Annotated[int, Between(1, 100, "more belong to a service of their own")] = 1
    """The number of a worker's pods."""
    resources: Resources = Resources()
    """The resources that each pod requests."""
    grace_period: Annotated[int, Between(1, 14_400, "four hours are enough to put work back")] = 30
    """Seconds after which a pod that was told to stop is killed."""

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong between the keys."""
        if self.schedule is not None and self.replicas != 1:
            yield Problem("replicas", "means nothing with schedule, which starts one pod; remove it")


Watched = Literal[
    "errors",
    "latency-p95",
    "latency-p99",
    "unhealthy",
    "too-few",
    "memory",
    "cpu",
    "restarts",
    "traffic",
    "traffic-drop",
    "no-metrics",
]
"""The alerts of a service and its colors of which somebody hears."""


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """The thresholds of a service's alarms and its colors'; that of a canary, 1 % of its requests, is fixed."""

    error_percent: Annotated[int, Between(1, 20, "beyond that one user in five would fail unheard")] = 5
    """Percent of failing requests: far above what retries and aborts cause, while most users still succeed."""
    p95_milliseconds: Annotated[int, Between(10, 3_600_000, "no request takes longer")] = 1000
    """Milliseconds within which 95 of 100 requests are answered; beyond a second people notice."""
    p99_milliseconds: Annotated[int, Between(10, 3_600_000, "no request takes longer")] = 2500
    """Within which 99 of 100 requests are answered. Name a bound of the service's histogram: between two bounds
    Prometheus guesses."""
    minutes: Annotated[int, Between(5, 15, "the counts of the newest minutes are late; timing.bake covers them")] = 5
    """Minutes over which failures and slow answers are looked at; all but one of them must be wrong."""
    severities: Annotated[
        Mapping[Watched, Literal["critical", "warning"]], Example({"latency-p99": "critical", "traffic": "warning"})
    ] = field(default_factory=dict)
    """The severity of an alert, where it is not that of docs/alerts: critical calls a person now, warning today."""

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong between the keys."""
        if self.p99_milliseconds < self.p95_milliseconds:
            yield Problem(
                "p99Milliseconds",
                f"{self.p99_milliseconds} is less than p95Milliseconds; set it to {self.p95_milliseconds} or more",
            )


@dataclass(frozen=True, kw_only=True)
class Service:
    """One HTTP service."""

    host: Annotated[str, Rule(rules.host_problem), Example("shop.example.com")]
    """The name by which users reach the service."""
    routes: Sequence[Route] = ()
    """Requests that it gets besides those for its host, a listener rule each; all rules share them alike."""
    port: Annotated[int, Between(1024, 65535, "below 1024 takes root"), Example(8080)]
    """The port on which the pods listen."""
    protocol: Protocol = Protocol.HTTP1
    """The protocol of the pods on it, for the life of the service: another one takes new target groups."""
    priority_band: Annotated[
        int, Between(BANDS.start, BANDS.stop - 1, "one for each service"), Unset("from a hash of its name"), Example(7)
    ]
    """The place of the service's rules on the listeners; to be set where two services have the same."""
    active_color: Annotated[Color, Unset("the stack's")] = Color.BLUE
    """The color that gets the traffic; changing it is the flip."""
    canary_weight: Annotated[int, Rule(rules.canary_problem), Unset("the stack's")] = 0
    """Percent of the requests that go to the other color."""
    experiment: Experiment | None = None
    """An A/B test: who sees the other color, and until when; beside it there is no canary, flip or release."""
    shadow: Shadow | None = None
    """Copies of users' requests to the color that is not active; unset, there is nothing that could make them."""
    flags: Annotated[Mapping[Annotated[str, Rule(rules.flag_name_problem)], Flag], Rule(rules.flags_problem)] = field(
        default_factory=dict
    )
    """Feature flags in AWS AppConfig, by name."""
    strategy: Strategy = Strategy()
    """The way in which the service is released."""
    colors: Annotated[Mapping[Color, Release], Beside(colors_problems, "strategy", Strategy())]
    """Blue and green; one color alone for the strategies rolling and recreate."""
    replicas: Replicas = Replicas()
    """The number of pods of each color."""
    resources: Resources = Resources()
    """The resources that each pod requests."""
    env: Annotated[Mapping[_Variable, str], Rule(rules.variables_problem), Example({"LOG_LEVEL": "INFO"})] = field(
        default_factory=dict
    )
    """Environment variables of both colors, whose pods all roll when they change; text only: of a number YAML keeps
    the value, not how it was written."""
    not_secrets: Annotated[Sequence[_Variable], Example(["MAX_TOKENS"])] = ()
    """Names of variables that look like those of secrets, and whose values are none."""
    pod_template: PodTemplate = PodTemplate()
    """A part of a pod template, merged into the pods of both colors; all of them roll when it changes."""
    secrets: Mapping[Annotated[str, Rule(rules.entry_problem)], SecretEntry] = field(default_factory=dict)
    """Entries of secret values, by name."""
    egress: Sequence[Egress] = ()
    """All that the pods may call besides DNS."""
    policy_arns: Annotated[
        Sequence[Annotated[str, arn("iam", r"policy/[\w+=,.@/-]+", region="")]],
        Rule(rules.policies_problem),
        Example(["arn:aws:iam::111122223333:policy/shop-orders"]),
    ] = ()
    """IAM policies of the pods' role; without one the pods have no role."""
    priority_class: Annotated[str | None, Rule(rules.namespace_problem), Example("high")] = None
    """A PriorityClass of the cluster; unset, its default."""
    expects_traffic: Annotated[bool, Unset("true in production")] = True
    """Whether five minutes without a request are an alarm; not so for a service that may be quiet at night."""
    timing: Timing = Timing()
    """The times of the service, in seconds."""
    health: Health = Health()
    """The health checks of a pod."""
    uptime: Uptime = Uptime()
    """The probe of the service from outside."""
    migration: Migrations = Migrations()
    """The command that brings the database to a schema; a color without a schema needs none."""
    metrics: Metrics = Metrics()
    """The metrics of requests that the pods serve to Prometheus."""
    alerts: Thresholds = Thresholds()
    """The thresholds of its alarms."""
    workloads: Mapping[Annotated[str, Rule(rules.entry_problem)], Workload] = field(default_factory=dict)
    """Workers and scheduled jobs of its image, by name."""

    def env_of(self, color: Color) -> Mapping[str, str]:
        """Return the environment variables of a color's pods: its own over those of the service."""
        return {**self.env, **self.colors[color].env}

    @property
    def health_path(self) -> str:
        """What the load balancer asks a pod: a path, or a method of gRPC."""
        unset = self.protocol is Protocol.GRPC and self.health.path == Health().path
        return HEALTH_METHOD if unset else self.health.path

    @property
    def shares(self) -> Mapping[Color, int]:
        """Percent of the requests by color, without those of a cohort that is told by a header or a cookie."""
        random = self.experiment.percent if self.experiment else None
        return split(self.active_color, random or self.canary_weight)

    @property
    def copied(self) -> int:
        """Percent of the requests that the mirror of the active color answers; 0 where there is none."""
        return self.shadow.percent if self.shadow else 0

    @property
    def stickiness(self) -> int:
        """Seconds that a client stays with its color while both have traffic: in a random experiment, all of it."""
        return self.experiment.seconds if self.experiment and self.experiment.percent else self.timing.stickiness

    @property
    def header_color(self) -> Color | None:
        """The color that ``x-canary: true`` reaches, the newer one of those that run; None if there is one alone."""
        return canary_color(
            {color: release.version for color, release in self.colors.items()},
            parked=[color for color, release in self.colors.items() if release.parked],
            active=self.active_color,
        )
