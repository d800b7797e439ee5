"""The keys of a stack file: their types, ranges and rules about single values."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic.dataclasses import dataclass

from components import model, rules
from components.model import (
    Build,
    Cluster,
    Color,
    Egress,
    Health,
    Release,
    Replicas,
    Resources,
    Rotation,
    SecretEntry,
    SecretSource,
    Strategy,
    StrategyKind,
    Subscription,
    Timing,
)
from components.rules import Problem
from components.rules.advice import unknown_key
from components.settings.together import Surroundings, fit_problems, service_problems, stack_problems, timing_problems

_KEYS: Final = ConfigDict(extra="forbid", alias_generator=to_camel, use_attribute_docstrings=True)


class ProblemsError(ValueError):
    """Several problems found by one validator."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(problems)
        self.problems = problems


def _refuse(problems: Sequence[Problem]) -> None:
    if problems:
        raise ProblemsError(problems)


def _rule(problem: Callable[..., str | None], *, by_environment: bool = False) -> AfterValidator:
    """Return a predicate about one value as a validator."""

    def check(value: object, info: ValidationInfo) -> object:
        context: Mapping[str, bool] = info.context or {}
        facts = {"production": context.get("production", True)} if by_environment else {}
        if not context.get("lenient") and value is not None and (reason := problem(value, **facts)) is not None:
            raise ValueError(reason)
        return value

    return AfterValidator(check)


def _between(least: int, most: int) -> AfterValidator:
    return _rule(
        lambda value: None if least <= value <= most else f"{value} is out of range; allowed are {least} to {most}"
    )


def _like(pattern: str, example: str, *, limit: int = 2048) -> AfterValidator:
    """Return a validator for a pattern of ASCII; no pattern may take longer than in proportion to the text."""
    return _rule(
        lambda value: (
            None
            if len(value) <= limit and re.fullmatch(pattern, value, re.ASCII)
            else f"{value!r} has the wrong form; allowed is {example}"
        )
    )


_Once: Final = _rule(rules.repeated_problem)
"""Of every list."""
_Some: Final = _rule(rules.empty_problem)


def as_switch(value: object) -> object:
    """Decode the engine's text; empty means nothing."""
    return {"true": True, "false": False, "": None}.get(value, value) if isinstance(value, str) else value


def _unset(value: object) -> object:
    """Decode a default of ``Pulumi.yaml``, which can express nothing only as emptiness."""
    return value or None


def _as_number(value: object) -> object:
    """Decode a number that ``pulumi config set`` without ``--path`` has written as text."""
    return int(value) if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,9}", value) else value


Canary = Annotated[StrictInt, _rule(rules.canary_problem)]
Cidr = Annotated[str, _rule(rules.cidr_problem)]
EnvName = Annotated[str, _rule(rules.env_name_problem)]
UrlPath = Annotated[str, _like(r"/[\w./~-]*", "an absolute path such as /health/ready", limit=1024)]
Phrase = Annotated[str, _rule(rules.phrase_problem)]


class _Settings(BaseModel):
    model_config = _KEYS | ConfigDict(frozen=True)


Account = Annotated[str, _like(r"[0-9]{12}", "an account id of twelve digits, in quotes")]
Port = Annotated[StrictInt, _between(1, 65535)]


def _arn(service: str, resource: str, *, region: str = "[a-z0-9-]+") -> AfterValidator:
    """Return a validator for ARNs of one service; ``resource`` is a pattern."""
    example = re.sub(r"\(.*?\)|\[.*?\]", "…", resource).replace("+", "").replace("…", "<name>")
    return _like(rf"arn:aws[a-z-]*:{service}:{region}:([0-9]{{12}}|aws):{resource}", f"arn:aws:{service}:…:{example}")


def _here(arn: str | None, info: ValidationInfo) -> str | None:
    region: str | None = (info.context or {}).get("region")
    if arn and region and not (info.context or {}).get("lenient") and arn.split(":")[3] != region:
        raise ValueError(f"{arn!r} is not in the region of the stack; name one in {region}")
    return arn


_Here: Final = AfterValidator(_here)
"""Of what AWS takes from the stack's own region only: certificates, keys, topics of alarms, functions that rotate."""


class LookupSettings(_Settings):
    """The network by the tags of its parts."""

    vpc_tags: Annotated[dict[str, str], _rule(rules.filter_problem)]
    """Tags that one VPC alone has."""
    subnet_tags: Annotated[dict[str, str], _rule(rules.filter_problem)]
    """Tags of the load balancer's subnets in that VPC."""


class NetworkSettings(_Settings):
    """Where the load balancer stands and what it reaches; the VPC and the subnets in one of three ways."""

    vpc_id: Annotated[str | None, _like(r"vpc-[0-9a-f]{8,17}", "an id such as vpc-0a1b2c3d")] = None
    """The VPC of the cluster."""
    subnet_ids: Annotated[
        tuple[Annotated[str, _like(r"subnet-[0-9a-f]{8,17}", "an id such as subnet-0a1b2c3d")], ...] | None,
        _Once,
        _rule(rules.subnets_problem),
    ] = None
    """Subnets for the load balancer, in two availability zones or more."""
    lookup: LookupSettings | None = None
    stack_reference: Annotated[str | None, _like(r"[\w.-]+/[\w.-]+/[\w.-]+", "<organization>/<project>/<stack>")] = None
    """A stack with the outputs vpcId and subnetIds."""
    scheme: Literal["internal", "internet-facing"] = "internal"
    pod_cidrs: Annotated[tuple[Cidr, ...] | None, _Once, _Some] = None
    """Where the load balancer may send to; unset, the VPC's own networks."""

    @model_validator(mode="after")
    def _one_way(self) -> "NetworkSettings":
        _refuse(
            rules.network_problems(
                vpc_id=self.vpc_id,
                subnet_ids=self.subnet_ids,
                others={"lookup": self.lookup, "stackReference": self.stack_reference},
            )
        )
        return self


class DnsSettings(_Settings):
    """Where the services' names are made, and proven for certificates."""

    zone: Annotated[str, _rule(rules.host_problem)]
    """The public hosted zone in Route 53 that holds every host."""


class LoadBalancerSettings(_Settings):
    """The load balancer that all services of the stack share."""

    certificate_arn: Annotated[str | None, _arn("acm", r"certificate/[\w-]+"), _Here] = None
    """The certificate in ACM for every host and for <color>.<host>; issued here if dns.zone is set."""
    test_listener_port: Annotated[StrictInt, _rule(rules.test_port_problem)] = 8443
    test_listener_cidrs: Annotated[tuple[Cidr, ...], _Once, _rule(rules.testers_problem)] = ("10.0.0.0/8",)
    """Who may call the test listener, which reaches either color whatever the weights."""
    idle_timeout: Annotated[StrictInt, _between(1, 4000)] = 60
    """Seconds after which a connection without requests is closed."""
    deletion_protection: StrictBool = True
    access_logs: StrictBool | None = None
    """Whether requests and connections are logged to a bucket; unset, in production only."""
    waf: StrictBool | None = None
    """Whether a web ACL stands before it; unset, if it is internet-facing."""
    rate_limit: Annotated[StrictInt, _between(10, 2_000_000_000)] = 2000
    """Requests in five minutes after which the web ACL refuses a client address."""
    content_security_policy: Annotated[str, _rule(rules.header_problem)] = model.CONTENT_SECURITY_POLICY
    """The header of every answer, whatever the service says."""
    cors_origin: Annotated[str | None, _rule(rules.cors_problem)] = None
    """The one other origin whose scripts may read answers; unset, none."""


@dataclass(frozen=True, kw_only=True, config=_KEYS)
class ClusterSettings(Cluster):
    """What the program must know of the cluster, which it does not make."""

    name: Annotated[str | None, _like(r"[0-9A-Za-z][\w-]{0,99}", "the name of an EKS cluster")] = None
    identity: model.IdentityKind = Cluster.identity
    oidc_provider_arn: Annotated[str | None, _arn("iam", r"oidc-provider/[\w./-]+", region="")] = None
    """The cluster's OpenID Connect provider, for irsa."""
    monitoring_namespace: Annotated[str, _rule(rules.namespace_problem)] = Cluster.monitoring_namespace
    container_insights: StrictBool = Cluster.container_insights

    @model_validator(mode="after")
    def _told_apart(self) -> "ClusterSettings":
        if self.container_insights and self.name is None:
            _refuse(
                [Problem("name", "is required with containerInsights: its metrics are found by the cluster's name")]
            )
        return self


class RegistrySettings(_Settings):
    """The image repositories that belong to this stack; one stack has them for all environments."""

    repositories: Annotated[tuple[str, ...], _Once] = ()
    """Services whose repository is made here."""
    reader_accounts: Annotated[tuple[Account, ...], _Once] = ()
    """Other accounts that pull from them."""


@dataclass(frozen=True, kw_only=True, config=_KEYS)
class SubscriptionSettings(Subscription):
    """One who hears of every alarm."""

    protocol: Literal["email", "email-json", "https", "lambda", "sms", "sqs"]
    """How it is sent."""
    endpoint: str
    """An address, a URL or an ARN, as the protocol needs."""

    @model_validator(mode="after")
    def _of_the_protocol(self) -> "SubscriptionSettings":
        if (reason := rules.endpoint_problem(self.protocol, self.endpoint)) is not None:
            _refuse([Problem("endpoint", reason)])
        return self


class PrometheusSettings(_Settings):
    """What the Prometheus Operator of the cluster is given."""

    enabled: StrictBool = True
    """Whether PodMonitors and PrometheusRules are made; false where there is no Operator."""
    labels: dict[Annotated[str, _rule(rules.label_key_problem)], Annotated[str, _rule(rules.label_value_problem)]] = {}
    """Labels of both kinds, by which the Operator selects them."""


class AlertSettings(_Settings):
    """Who hears of an alarm."""

    topic_arns: Annotated[
        tuple[
            Annotated[
                str,
                _like(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[\w-]+", "arn:aws:sns:<region>:<account>:<topic>"),
                _Here,
            ],
            ...,
        ],
        _Once,
    ] = ()
    """Topics that exist already."""
    subscriptions: Annotated[tuple[SubscriptionSettings, ...], _Once] = ()
    """Subscriptions of the stack's own topic, which exists if there are any."""
    on_call: Phrase | None = None
    """Who is called and how, as every alarm should say it."""
    owner: Annotated[str | None, _rule(rules.tag_value_problem)] = None
    """The team that answers for the services and what they share; unset (not in production), each service's name."""
    runbooks: Annotated[
        str | None,
        _like(r"https://[\w.~/:@-]{0,71}[\w.~-]", "an https URL of at most 80 characters, without a slash at its end"),
    ] = None
    """Where the folder docs/alerts can be read, for links in messages; unset, they name its pages without a link."""


@dataclass(frozen=True, kw_only=True, config=_KEYS)
class BuildSettings(Build):
    """What an image is built from; outside production only."""

    context: Annotated[str, _rule(rules.folder_problem)]
    """The folder with all that the image is made from."""
    dockerfile: Annotated[str, _rule(rules.folder_problem)] = Build.dockerfile
    args: dict[Annotated[str, _rule(rules.build_arg_problem)], str] = Field(default_factory=dict)
    platform: Literal["linux/amd64", "linux/arm64"] = "linux/amd64"


@dataclass(frozen=True, kw_only=True, config=_KEYS)
class ColorSettings(Release):
    """What one color of a service runs."""

    image: Annotated[str | None, _rule(rules.image_problem, by_environment=True)] = None
    """The image, by digest."""
    build: Annotated[BuildSettings | None, _rule(rules.build_problem, by_environment=True)] = None
    version: Annotated[str, _rule(rules.version_problem)]
    """The semantic version of what the image holds."""
    schema: Annotated[str | None, _rule(rules.schema_problem)] = None
    parked: StrictBool = False
    secret_versions: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_origin(self) -> "ColorSettings":
        if (self.image is None) == (self.build is None):
            _refuse([Problem("image", "is required: the image, by digest, or build in its place; exactly one of both")])
        return self


@dataclass(frozen=True, kw_only=True, config=_KEYS)
class ReplicaSettings(Replicas):
    """How many pods each color runs that is not parked."""

    min: Annotated[StrictInt, _rule(rules.replica_problem, by_environment=True)] = Replicas.min
    max: Annotated[StrictInt, _between(1, rules.MOST_REPLICAS)] = Replicas.max
    cpu_target: Annotated[StrictInt, _between(1, 100)] = Replicas.cpu_target
    memory_target: Annotated[StrictInt | None, _between(1, 100)] = None
    requests_per_second: Annotated[StrictInt | None, _between(1, 1_000_000)] = None


@dataclass(frozen=True, kw_only=True, config=_KEYS)
class ResourceSettings(Resources):
    """What each pod requests."""

    cpu: Annotated[str, _rule(rules.cpu_problem)] = Resources.cpu
    memory: Annotated[str, _rule(rules.memory_problem)] = Resources.memory


@dataclass(frozen=True, kw_only=True, config=_KEYS)
class SourceSettings(SecretSource):
    """A store other than AWS Secrets Manager, such as Vault, that the cluster's External Secrets operator reads."""

    store: Annotated[str, _rule(rules.namespace_problem)]
    """The ClusterSecretStore that reads it."""
    path: Annotated[str, _like(r"[\w.][\w./-]*", "a path such as kv/shop/app", limit=512)]
    """What the store calls the entry."""


@dataclass(frozen=True, kw_only=True, config=_KEYS)
class RotationSettings(Rotation):
    """Who gives the entry new values, and how often."""

    lambda_arn: Annotated[str, _arn("lambda", r"function:[\w-]+"), _Here]
    """The function that makes a new value."""
    days: Annotated[StrictInt, _between(1, 1000)]
    """How many pass between two values."""


@dataclass(frozen=True, kw_only=True, config=_KEYS)
class SecretSettings(SecretEntry):
    """An entry in Secrets Manager, a JSON object of which each key becomes an environment variable."""

    keys: Annotated[tuple[EnvName, ...], _Once, _Some]
    """The keys to hand to the pods."""
    source: SourceSettings | None = None
    rotation: RotationSettings | None = None
    replica_regions: Annotated[
        tuple[Annotated[str, _like(r"[a-z]{2}(-[a-z]+)+-[0-9]", "a region such as eu-central-1", limit=32)], ...], _Once
    ] = ()


@dataclass(frozen=True, kw_only=True, config=_KEYS)
class EgressSettings(Egress):
    """A network that the pods may call."""

    cidr: Cidr
    """The network."""
    ports: Annotated[tuple[Port, ...], _Once, _Some]
    """Where, over TCP; none would be all of them in a NetworkPolicy."""


@dataclass(frozen=True, kw_only=True, config=_KEYS)
class StrategySettings(Strategy):
    """How a new version takes the place of the old one."""

    kind: StrategyKind = Strategy.kind
    max_surge: Annotated[StrictInt, _between(0, 100)] = Strategy.max_surge
    max_unavailable: Annotated[StrictInt, _between(0, 100)] = Strategy.max_unavailable
    allow_downtime: StrictBool = Strategy.allow_downtime


@dataclass(frozen=True, kw_only=True, config=_KEYS)
class HealthSettings(Health):
    """How the load balancer (``path``) and the kubelet look at a pod; times in seconds."""

    path: UrlPath = Health.path
    liveness_path: UrlPath = Health.liveness_path
    startup_path: UrlPath = Health.startup_path
    interval: Annotated[StrictInt, _between(5, 300)] = Health.interval
    timeout: Annotated[StrictInt, _between(2, 120)] = Health.timeout
    healthy_threshold: Annotated[StrictInt, _between(2, 10)] = Health.healthy_threshold
    unhealthy_threshold: Annotated[StrictInt, _between(2, 10)] = Health.unhealthy_threshold


@dataclass(frozen=True, kw_only=True, config=_KEYS)
class TimingSettings(Timing):
    """The times of a service as the stack file gives them."""

    longest_request: Annotated[StrictInt, _between(1, 3600)] = Timing.longest_request
    deregistration_delay: Annotated[StrictInt, _between(0, 3600)] = Timing.deregistration_delay
    pre_stop: Annotated[StrictInt, _between(1, 7200)] = Timing.pre_stop
    grace_period: Annotated[StrictInt, _between(1, 14_400)] = Timing.grace_period
    keep_alive: Annotated[StrictInt, _between(1, 86_400)] = Timing.keep_alive
    await_timeout: Annotated[StrictInt, _between(1, 86_400)] = Timing.await_timeout
    stickiness: Annotated[StrictInt, _between(0, 604_800)] = Timing.stickiness
    bake: Annotated[StrictInt, _between(1, 604_800)] = Timing.bake
    keep_old: Annotated[StrictInt, _between(1, 2_592_000)] = Timing.keep_old


class ServiceSettings(_Settings):
    """One service. ``active_color``, ``canary_weight`` and ``priority_band`` are resolved: the stack's, or its own."""

    host: Annotated[str, _rule(rules.host_problem)]
    """The name by which users reach the service."""
    port: Annotated[StrictInt, _between(1024, 65535)]
    """Where the pods listen; below 1024 takes root."""
    priority_band: Annotated[StrictInt, _between(model.BANDS.start, model.BANDS.stop - 1)]
    active_color: Color
    canary_weight: Canary
    strategy: StrategySettings = StrategySettings()
    colors: dict[Color, ColorSettings]
    """What blue and green run; one color alone for the strategies rolling and recreate."""
    replicas: ReplicaSettings = ReplicaSettings()
    resources: ResourceSettings = ResourceSettings()
    env: Annotated[dict[EnvName, str], _rule(rules.variables_problem)] = {}
    """Text only: of a number YAML keeps the value, not how it was written."""
    not_secrets: Annotated[tuple[EnvName, ...], _Once] = ()
    """Names in env that look like those of secrets, and whose values are none."""
    secrets: dict[Annotated[str, _rule(rules.entry_problem)], SecretSettings] = {}
    egress: Annotated[tuple[EgressSettings, ...], _Once] = ()
    """All that the pods may call besides DNS."""
    policy_arns: Annotated[
        tuple[Annotated[str, _arn("iam", r"policy/[\w+=,.@/-]+", region="")], ...],
        _Once,
        _rule(rules.policies_problem),
    ] = ()
    """What the pods may do in AWS; none, and they have no role."""
    priority_class: Annotated[str | None, _rule(rules.namespace_problem)] = None
    expects_traffic: StrictBool | None = None
    """Whether silence is an alarm; unset, in production only."""
    timing: TimingSettings = TimingSettings()
    health: HealthSettings = HealthSettings()

    @field_validator("colors")
    @classmethod
    def _as_the_strategy_needs(
        cls, colors: dict[Color, ColorSettings], info: ValidationInfo
    ) -> dict[Color, ColorSettings]:
        _refuse(rules.colors_problems(colors, strategy=info.data.get("strategy", Strategy())))
        return {color: colors[color] for color in Color if color in colors}


class StackSettings(_Settings):
    """One environment."""

    environment: Annotated[str, _rule(rules.environment_problem)]
    stated_production: Annotated[StrictBool | None, BeforeValidator(as_switch)] = Field(None, alias="production")
    """Whether the strict rules hold; unset, as the name of the environment says."""
    active_color: Color = Color.BLUE
    canary_weight: Annotated[Canary, BeforeValidator(_as_number)] = 0
    network: NetworkSettings
    """Where the load balancer stands: vpcId and subnetIds, lookup, or stackReference."""
    dns: Annotated[DnsSettings | None, BeforeValidator(_unset)] = None
    load_balancer: LoadBalancerSettings = Field(default_factory=LoadBalancerSettings, validate_default=True)
    """The load balancer: certificateArn."""
    cluster: ClusterSettings = ClusterSettings()
    registry: RegistrySettings = RegistrySettings()
    kms_key_arn: Annotated[str | None, _arn("kms", r"key/[\w-]+"), _Here, BeforeValidator(_unset)] = None
    """The key for secrets and alarms; unset, the stack makes one."""
    secret_readers: Annotated[
        tuple[Annotated[str, _arn("iam", r"(role|user)/[\w+=,.@/-]+", region="")], ...], _Once
    ] = ()
    """Who alone may read the secrets' values, such as the role of the External Secrets operator; none for no limit."""
    prometheus: PrometheusSettings = PrometheusSettings()
    alerts: Annotated[AlertSettings, Field(validate_default=True)] = AlertSettings()
    services: dict[Annotated[str, _rule(rules.service_problem)], ServiceSettings]
    """The services by name."""

    @property
    def production(self) -> bool:
        """Whether the strict rules hold."""
        return rules.is_production(self.environment, self.stated_production)

    @field_validator("load_balancer")
    @classmethod
    def _certified(cls, load_balancer: LoadBalancerSettings, info: ValidationInfo) -> LoadBalancerSettings:
        if "dns" in info.data and info.data["dns"] is None and load_balancer.certificate_arn is None:
            _refuse([Problem("certificateArn", "is required, or dns.zone, in which certificates are then validated")])
        facing = "network" in info.data and info.data["network"].scheme == "internet-facing"
        reason = rules.private_testers_problem(load_balancer.test_listener_cidrs, internet_facing=facing)
        _refuse([Problem("testListenerCidrs", reason)] if reason else [])
        return load_balancer

    @field_validator("alerts")
    @classmethod
    def _heard(cls, alerts: AlertSettings, info: ValidationInfo) -> AlertSettings:
        _refuse(rules.topics_problems(len(alerts.topic_arns) + bool(alerts.subscriptions)))
        if (info.context or {}).get("production", True):
            listeners = len(alerts.topic_arns) + len(alerts.subscriptions)
            _refuse(rules.alert_problems(alerts.on_call, alerts.owner, listeners=listeners))
        return alerts

    @field_validator("services", mode="before")
    @classmethod
    def _inherit(cls, services: object, info: ValidationInfo) -> object:
        """Resolve what a service leaves to the stack; a stack's own mistake is reported once, by the stack."""
        if not isinstance(services, Mapping):
            return services
        stack = {
            "activeColor": info.data.get("active_color", Color.BLUE),
            "canaryWeight": info.data.get("canary_weight", 0),
        }
        return {
            name: {**stack, **_alone(service), "priorityBand": model.priority_band(str(name)), **service}
            if isinstance(service, Mapping)
            else service
            for name, service in services.items()
        }

    @field_validator("services")
    @classmethod
    def _together(cls, services: dict[str, ServiceSettings], info: ValidationInfo) -> dict[str, ServiceSettings]:
        environment = info.data.get("environment", "")
        load_balancer: LoadBalancerSettings | None = info.data.get("load_balancer")
        idle_timeout = load_balancer.idle_timeout if load_balancer else None
        context = info.context or {}
        surroundings = Surroundings(
            dns=info.data.get("dns"),
            certified=load_balancer is None or load_balancer.certificate_arn is not None,
            cluster=info.data.get("cluster", ClusterSettings()),
            registry=info.data.get("registry", RegistrySettings()),
            production=context.get("production", True),
            ran=context.get("ran"),
            region=context.get("region"),
        )
        longest = max((service.timing.longest_request for service in services.values()), default=0)
        needed = max(idle_timeout, longest + 1) if idle_timeout else None
        _refuse(
            [
                *stack_problems(services, surroundings),
                *(
                    Problem(f"{name}.{key}", reason)
                    for name, service in services.items()
                    for key, reason in (
                        *service_problems(name, service, environment),
                        *timing_problems(service, idle_timeout, needed),
                        *fit_problems(name, service, surroundings),
                    )
                ),
            ]
        )
        return services

    @field_validator("services")
    @classmethod
    def _repositories(cls, services: dict[str, ServiceSettings], info: ValidationInfo) -> dict[str, ServiceSettings]:
        registry: RegistrySettings = info.data.get("registry", RegistrySettings())
        _refuse(
            [
                Problem(name, f"is named by registry.repositories, but no service; {unknown_key(name, list(services))}")
                for name in registry.repositories
                if name not in services
            ]
        )
        return services


def _alone(service: Mapping[str, Any]) -> Mapping[str, object]:
    """Return the settings of a service of one color, which takes neither active color nor canary from the stack."""
    strategy, colors = service.get("strategy"), service.get("colors")
    kind = strategy.get("kind", Strategy.kind) if isinstance(strategy, Mapping) else Strategy.kind
    if kind == StrategyKind.BLUE_GREEN or not isinstance(colors, Mapping) or len(colors) != 1:
        return {}
    return {"activeColor": next(iter(colors)), "canaryWeight": 0}
