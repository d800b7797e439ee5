"""The settings of a stack: what ``pulumi.Config`` holds, judged as a whole before anything is built.

The only reader of ``pulumi.Config`` and the only user of pydantic. Keys are camelCase in the stack file and snake_case
here; every refusal carries its full key, such as ``hueshift:services.shop.colors.green.image``.
"""

import difflib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Final, Literal

import pulumi
from pulumi.runtime import get_config_env, is_config_secret
from pulumi.runtime.config import CONFIG
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic.alias_generators import to_camel
from pydantic.dataclasses import dataclass
from pydantic_core import ErrorDetails

from components import model, rules
from components.model import Color, Health, Replicas, Resources, Timing
from components.rules import Problem

_KEYS: Final = ConfigDict(extra="forbid", alias_generator=to_camel, use_attribute_docstrings=True)


class SettingsError(pulumi.RunError, ValueError):
    """All problems of a stack's settings, one line each; the engine shows a ``RunError`` without a traceback."""

    def __init__(self, stack: str, problems: Sequence[str]) -> None:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__("\n  ".join([f"{count} in the settings of stack {stack}, Pulumi.{stack}.yaml:", *problems]))
        self.problems = tuple(problems)


class _ProblemsError(ValueError):
    """Several problems found by one validator."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(problems)
        self.problems = problems


def _refuse(problems: Sequence[Problem]) -> None:
    if problems:
        raise _ProblemsError(problems)


def _rule(problem: Callable[..., str | None], *, by_environment: bool = False) -> AfterValidator:
    """A predicate about one value as a validator."""

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


def _like(pattern: str, example: str) -> AfterValidator:
    return _rule(
        lambda value: None if re.fullmatch(pattern, value) else f"{value!r} has the wrong form; allowed is {example}"
    )


def _as_text(value: object) -> object:
    """``pulumi config set --path`` writes ``3`` and ``true`` as what they look like; a process gets text."""
    return json.dumps(value) if isinstance(value, bool | int) else value


def _as_number(value: object) -> object:
    """``pulumi config set`` without ``--path`` writes text."""
    return int(value) if isinstance(value, str) and re.fullmatch(r"-?[0-9]+", value) else value


Percent = Annotated[StrictInt, _between(0, 100)]
Cidr = Annotated[str, _rule(rules.cidr_problem)]
EnvName = Annotated[str, _rule(rules.env_name_problem)]
UrlPath = Annotated[str, _like(r"/[\w./~-]*", "an absolute path such as /health/ready")]


class _Settings(BaseModel):
    model_config = _KEYS | ConfigDict(frozen=True)


class NetworkSettings(_Settings):
    """Where the load balancer stands and what it reaches."""

    vpc_id: Annotated[str, _like(r"vpc-[0-9a-f]{8,17}", "an id such as vpc-0a1b2c3d")]
    """The VPC of the cluster."""
    subnet_ids: Annotated[
        tuple[Annotated[str, _like(r"subnet-[0-9a-f]{8,17}", "an id such as subnet-0a1b2c3d")], ...],
        _rule(rules.subnets_problem),
    ]
    """Subnets for the load balancer, in two availability zones or more."""
    scheme: Literal["internal", "internet-facing"] = "internal"
    pod_cidrs: tuple[Cidr, ...] = ("10.0.0.0/8",)
    """Where the load balancer may send to."""


class LoadBalancerSettings(_Settings):
    """The load balancer that all services of the stack share."""

    certificate_arn: Annotated[
        str,
        _like(
            r"arn:aws[a-z-]*:acm:[a-z0-9-]+:[0-9]{12}:certificate/[\w-]+",
            "arn:aws:acm:<region>:<account>:certificate/<id>",
        ),
    ]
    """A certificate in ACM for the hosts of all services and of their colors."""
    test_listener_port: Annotated[StrictInt, _rule(rules.test_port_problem)] = 8443
    test_listener_cidrs: tuple[Annotated[str, _rule(rules.private_cidr_problem)], ...] = ("10.0.0.0/8",)
    """Who may call the test listener, which reaches either color whatever the weights."""
    idle_timeout: Annotated[StrictInt, _between(1, 4000)] = 60
    """Seconds after which a connection without requests is closed."""
    deletion_protection: StrictBool = True


class AlertSettings(_Settings):
    """Who hears of an alarm."""

    topic_arns: tuple[
        Annotated[
            str, _like(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[\w-]+", "arn:aws:sns:<region>:<account>:<topic>")
        ],
        ...,
    ] = ()


class ColorSettings(_Settings):
    """What one color of a service runs."""

    image: Annotated[str, _rule(rules.image_problem, by_environment=True)]
    """The image, by digest."""
    version: Annotated[str, _rule(rules.version_problem)]
    """The semantic version of what the image holds."""
    schema_id: Annotated[str | None, _rule(rules.schema_problem), Field(alias="schema")] = None
    parked: StrictBool = False
    secret_versions: dict[str, Annotated[str, _rule(rules.secret_version_problem)]] = {}


@dataclass(frozen=True, kw_only=True, config=_KEYS)
class ReplicaSettings(Replicas):
    """How many pods each color runs that is not parked."""

    min: Annotated[StrictInt, _rule(rules.replica_problem, by_environment=True)] = Replicas.min
    max: StrictInt = Replicas.max
    cpu_target: Annotated[StrictInt, _between(1, 100)] = Replicas.cpu_target


@dataclass(frozen=True, kw_only=True, config=_KEYS)
class ResourceSettings(Resources):
    """What each pod requests."""

    cpu: Annotated[str, _rule(rules.cpu_problem)] = Resources.cpu
    memory: Annotated[str, _rule(rules.memory_problem)] = Resources.memory


class SecretSettings(_Settings):
    """An entry in Secrets Manager, a JSON object of which each key becomes an environment variable."""

    keys: tuple[EnvName, ...]
    """The keys to hand to the pods."""


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


class ServiceSettings(_Settings):
    """One service. ``active_color``, ``canary_weight`` and ``priority_band`` are resolved: the stack's, or its own."""

    host: Annotated[str, _rule(rules.host_problem)]
    """The name by which users reach the service."""
    port: Annotated[StrictInt, _between(1024, 65535)]
    """Where the pods listen; below 1024 takes root."""
    priority_band: Annotated[StrictInt, _between(model.BANDS.start, model.BANDS.stop - 1)]
    active_color: Color
    canary_weight: Percent
    colors: dict[Color, ColorSettings]
    """What blue and green run."""
    replicas: ReplicaSettings = ReplicaSettings()
    resources: ResourceSettings = ResourceSettings()
    env: dict[EnvName, Annotated[str, BeforeValidator(_as_text)]] = {}
    secrets: dict[Annotated[str, _rule(rules.entry_problem)], SecretSettings] = {}
    timing: TimingSettings = TimingSettings()
    health: HealthSettings = HealthSettings()

    @field_validator("colors")
    @classmethod
    def _both(cls, colors: dict[Color, ColorSettings]) -> dict[Color, ColorSettings]:
        _refuse(
            [
                Problem(color, "is required, and may repeat the image of the other color with parked: true")
                for color in Color
                if color not in colors
            ]
        )
        return {color: colors[color] for color in Color}


class StackSettings(_Settings):
    """One environment."""

    environment: Annotated[str, _rule(rules.environment_problem)]
    active_color: Color = Color.BLUE
    canary_weight: Annotated[Percent, BeforeValidator(_as_number)] = 0
    network: NetworkSettings
    """Where the load balancer stands: vpcId and subnetIds."""
    load_balancer: LoadBalancerSettings
    """The load balancer: certificateArn."""
    alerts: AlertSettings = AlertSettings()
    services: dict[Annotated[str, _rule(rules.service_problem)], ServiceSettings]
    """The services by name."""

    @property
    def production(self) -> bool:
        """Whether the strict rules hold."""
        return rules.is_production(self.environment)

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
            name: {**stack, "priorityBand": model.priority_band(str(name)), **service}
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
        _refuse(
            [
                *_stack_problems(services),
                *(
                    Problem(f"{name}.{key}", reason)
                    for name, service in services.items()
                    for key, reason in _service_problems(name, service, environment, idle_timeout)
                ),
            ]
        )
        return services


def _stack_problems(services: Mapping[str, ServiceSettings]) -> Iterator[Problem]:
    """What is wrong between services; keys relative to ``services``."""
    if not 1 <= len(services) <= model.MAX_SERVICES:
        yield Problem(
            "",
            f"{len(services)} services; allowed are 1 to {model.MAX_SERVICES}, as each takes {len(model.RuleKind)} of "
            "the 100 rules of the load balancer: move some to another stack",
        )
    hosts: dict[str, str] = {}
    bands: dict[int, str] = {}
    for name, service in services.items():
        for host in (service.host, *(model.color_host(color, service.host) for color in Color)):
            if (owner := hosts.setdefault(host, name)) != name:
                yield Problem(f"{name}.host", f"{host!r} already leads to {owner}; give each service a host of its own")
        if (owner := bands.setdefault(service.priority_band, name)) != name:
            yield Problem(
                f"{name}.priorityBand",
                f"{service.priority_band} is the band of {owner} too; set this key for the newer of the two services, "
                f"{model.BANDS.start} to {model.BANDS.stop - 1}",
            )


def _service_problems(
    name: str, service: ServiceSettings, environment: str, idle_timeout: int | None
) -> Iterator[Problem]:
    """What is wrong between the settings of one service; keys relative to the service."""
    timing, health = service.timing, service.health
    for color, settings in service.colors.items():
        parked = rules.parked_problem(color, active=service.active_color, canary_weight=service.canary_weight)
        if settings.parked and parked is not None:
            yield Problem(f"colors.{color}.parked", parked)
        for entry in service.secrets:
            if entry not in settings.secret_versions and not settings.parked:
                secret = model.secret_name(environment, name, entry)
                yield Problem(
                    f"colors.{color}.secretVersions.{entry}",
                    "is required while the color runs, or a rotation changes what it runs with; list the ids with "
                    f"`aws secretsmanager list-secret-version-ids --secret-id {secret}`",
                )
        for entry in settings.secret_versions:
            if entry not in service.secrets:
                yield Problem(f"colors.{color}.secretVersions.{entry}", _unknown(entry, list(service.secrets)))
    owners = dict.fromkeys(service.env, "env")
    for entry, variables in service.secrets.items():
        for variable in variables.keys:
            if (owner := owners.setdefault(variable, f"secrets.{entry}")) != f"secrets.{entry}":
                yield Problem(f"secrets.{entry}.keys", f"{variable} is set by {owner} too; name it once")
    if idle_timeout is not None:
        if (reason := rules.keep_alive_problem(timing.keep_alive, idle_timeout=idle_timeout)) is not None:
            yield Problem("timing.keepAlive", reason)
        if (reason := rules.longest_request_problem(timing.longest_request, idle_timeout=idle_timeout)) is not None:
            yield Problem("timing.longestRequest", reason)
    for key, reason in (
        *(
            (f"env.{variable}", rules.plaintext_secret_problem(variable, value))
            for variable, value in service.env.items()
        ),
        ("replicas.max", rules.maximum_problem(service.replicas.max, minimum=service.replicas.min)),
        ("health.interval", rules.interval_problem(health.interval, timeout=health.timeout)),
        (
            "timing.awaitTimeout",
            rules.await_problem(timing.await_timeout, interval=health.interval, threshold=health.healthy_threshold),
        ),
        *((f"timing.{key}", reason) for key, reason in rules.timing_problems(timing)),
    ):
        if reason is not None:
            yield Problem(key, reason)


def load(config: pulumi.Config, stack: str) -> StackSettings:
    """The settings of ``stack`` from all keys of the project, declared or not: the engine passes on both.

    Raises ``SettingsError``.
    """
    prefix = f"{config.name}:"
    keys = sorted(key for key in {*CONFIG.get(), *get_config_env()} if key.startswith(prefix))
    encrypted = [key for key in keys if is_config_secret(key)]
    if encrypted:
        # What is encrypted arrives in clear: nothing of it may reach a message or the state.
        remedy = "is encrypted, but settings hold no secrets; put the values into Secrets Manager, name them under"
        raise SettingsError(stack, [f"{key}: {remedy} secrets, and set this key again in clear" for key in encrypted])
    return parse(
        {key.removeprefix(prefix): _decoded(config.require(key.removeprefix(prefix))) for key in keys}, stack=stack
    )


def _decoded(value: str) -> object:
    """Objects and lists reach the program as JSON."""
    return json.loads(value) if value.startswith(("{", "[")) else value


def parse(values: Mapping[str, object], *, stack: str) -> StackSettings:
    """The settings that ``values`` describe, as a stack file holds them, keys without ``hueshift:``.

    Raises ``SettingsError`` with all problems. pydantic judges a whole only when its parts are right, so when one is
    wrong a second, lenient pass, without unknown keys and rules about single values, reaches the rules about several.
    """
    environment = values.get("environment") or stack
    production = isinstance(environment, str) and rules.is_production(environment)
    lines: set[str] = set()
    for lenient in (False, True):
        try:
            settings = StackSettings.model_validate(
                {**values, "environment": environment},
                extra="ignore" if lenient else None,
                context={"production": production, "lenient": lenient},
            )
        except ValidationError as error:
            for details in error.errors(include_url=False):
                lines.update(_lines(details))
        else:
            if not lines:
                return settings
    raise SettingsError(stack, sorted(lines))


_ALLOWED: Final = {
    "int": "a whole number",
    "string": "text in quotes",
    "bool": "true or false",
    "tuple": "a list",
    "dict": "a mapping",
    "model": "a mapping",
    "dataclass": "a mapping",
}
_PRIVATE: Final = {"env", "secrets", "secretVersions"}
"""Below these keys a value may be a secret that got into the wrong place."""


def _lines(error: ErrorDetails) -> Iterator[str]:
    """What pydantic found, in our words."""
    *parents, last = error["loc"]
    kind = error["type"]
    cause = error.get("ctx", {}).get("error")
    value = error["input"]
    private = not _PRIVATE.isdisjoint(error["loc"]) or (isinstance(value, str) and rules.secret_kind(value) is not None)
    got = "" if private else f"; got {_shown(value)}"
    if kind == "missing":
        reason = f"is required: {_meaning(_schema(parents)['properties'][last])}"
    elif kind in ("extra_forbidden", "unexpected_keyword_argument"):
        reason = _unknown(str(last), list(_schema(parents)["properties"]))
    elif kind in ("enum", "literal_error"):
        reason = f"must be {error['ctx']['expected']}{got}".replace("'", "")
    elif kind == "value_error":
        reason = str(cause).replace(repr(value), "a value that is not shown here") if private else str(cause)
    else:
        reason = f"must be {_ALLOWED.get(kind.split('_')[0], error['msg'])}{got}"
    for key, text in cause.problems if isinstance(cause, _ProblemsError) else [Problem("", reason)]:
        path = "".join(
            f"[{part}]" if isinstance(part, int) else f".{part}"
            for part in (*error["loc"], key)
            if part not in ("[key]", "")
        )
        yield f"hueshift:{path.removeprefix('.')}: {text}"


def _shown(value: object) -> str:
    return f"a {type(value).__name__}" if isinstance(value, dict | list) else json.dumps(value, default=str)


def _schema(loc: Sequence[int | str]) -> dict[str, Any]:
    """The JSON schema of what stands at ``loc``."""
    root = node = StackSettings.model_json_schema()
    for part in loc:
        node = node.get("properties", {}).get(part) or node["additionalProperties"]
        if "$ref" in node:
            node = root["$defs"][node["$ref"].rpartition("/")[2]]
    return node


def _meaning(field: Mapping[str, str]) -> str:
    text = field["description"].rstrip(".")
    return text[0].lower() + text[1:]


def _unknown(key: str, known: Sequence[str]) -> str:
    nearest = difflib.get_close_matches(key, known, n=1)
    advice = f"did you mean {nearest[0]}?" if nearest else f"known here: {', '.join(known) or 'none'}"
    return f"unknown key; {advice}"
