"""The classes of `spec` as pydantic reads them from a stack file, and what of a stack is resolved there."""

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, field, fields, is_dataclass
from enum import Enum
from functools import cache, partial, reduce
from operator import or_
from types import UnionType
from typing import Annotated, Any, Final, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import pydantic
from pydantic import (
    AfterValidator,
    ConfigDict,
    GetJsonSchemaHandler,
    StrictBool,
    StrictInt,
    TypeAdapter,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic.dataclasses import dataclass
from pydantic_core import CoreSchema

from components import model, rules
from components.rules import Problem
from components.rules.advice import unknown_key
from components.settings.together import Surroundings, fit_problems, service_problems, stack_problems, timing_problems
from components.spec import (
    Alerts,
    Beside,
    Example,
    Facts,
    Judge,
    LoadBalancerSpec,
    NetworkSpec,
    Protocol,
    Rule,
    Service,
    Stack,
    Strategy,
    StrategyKind,
    Unset,
    Words,
    meanings,
)

T = TypeVar("T")


class ProblemsError(ValueError):
    """Several problems found by one validator."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(problems)
        self.problems = problems


def _refuse(problems: Iterable[Problem]) -> None:
    if problems := list(problems):
        raise ProblemsError(problems)


# From a class of `spec` to one of pydantic


def as_settings(cls: type[T]) -> type[T]:
    """Make a pydantic dataclass of a subclass of one of `spec`: the same keys in camelCase, judged by their marks."""
    (spec,) = cls.__bases__
    hints, told = get_type_hints(spec, include_extras=True), meanings(spec)
    cls.__doc__ = spec.__doc__
    cls.__annotations__ = {}
    for each in fields(spec):
        resolved = next((mark for mark in _marks(hints[each.name]) if isinstance(mark, Unset)), None)
        extra = partial(_as_resolved, resolved) if resolved else None
        described = pydantic.Field(description=told[each.name], json_schema_extra=extra)
        cls.__annotations__[each.name] = Annotated[_read(hints[each.name]), described]
        if is_dataclass(each.default):
            setattr(cls, each.name, field(default_factory=settings_of(type(each.default))))  # type: ignore[arg-type]
        elif each.default_factory is not MISSING:
            setattr(cls, each.name, field(default_factory=each.default_factory))
        elif resolved or each.default is not MISSING:
            # What is resolved is always there: it is filled in before it is read.
            setattr(cls, each.name, None if resolved else each.default)
    if hasattr(spec, "problems"):
        cls.judged = model_validator(mode="after")(_judged)  # type: ignore[attr-defined]
    keys = ConfigDict(extra="forbid", alias_generator=to_camel)
    return cast(type[T], dataclass(frozen=True, kw_only=True, config=keys)(cls))


@cache
def settings_of(spec: Any) -> Any:  # noqa: ANN401 - a class of `spec`
    """Return that class of one of `spec` to which nothing is added."""
    return as_settings(type(spec.__name__, (spec,), {}))


def _judged(self: Any) -> Any:  # noqa: ANN401 - of any class of `spec` with rules of its own
    _refuse(self.problems())
    return self


def _as_resolved(unset: Unset, schema: dict[str, Any]) -> None:
    schema.pop("default", None)
    schema["description"] += f" Unset: {unset.meaning}."


def _marks(hint: Any) -> tuple[Any, ...]:  # noqa: ANN401 - a type
    return get_args(hint)[1:] if get_origin(hint) is Annotated else ()


def _read(hint: Any) -> Any:  # noqa: ANN401 - a type
    """Return how pydantic reads a type of `spec`: numbers and switches strictly, lists as tuples of different items."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        inner = _read(arguments[0])
        if any(isinstance(mark, Words) for mark in arguments[1:]):
            (inner, *_) = get_args(inner)
        return Annotated[(inner, *(read for mark in arguments[1:] for read in _validated(mark)), None)]
    if origin in (Union, UnionType):
        return reduce(or_, map(_read, arguments))
    if origin is Sequence:
        return Annotated[(tuple.__class_getitem__((_read(arguments[0]), ...)), *_validated(_ONCE))]
    if origin is Mapping:
        key, value = map(_read, arguments)
        found = dict[key, value]  # type: ignore[valid-type]
        return Annotated[found, AfterValidator(_in_order)] if isinstance(key, type) and issubclass(key, Enum) else found
    if is_dataclass(hint):
        return settings_of(hint)  # type: ignore[arg-type]
    return {int: StrictInt, bool: StrictBool}.get(hint, hint)


_ONCE: Final = Rule(rules.repeated_problem)
"""Of every list but those of words."""


def _in_order(found: dict[Enum, T]) -> dict[Enum, T]:
    """Return what is given for each value of an enumeration in the order of that."""
    return {key: found[key] for kind in {type(key) for key in found} for key in kind if key in found}


def _validated(mark: object) -> Iterator[object]:
    """Yield what stands for a mark in the annotations that pydantic reads."""
    if isinstance(mark, Example):
        yield _Keywords({"examples": [mark.value]})
    if isinstance(mark, Beside):

        def beside(value: object, info: ValidationInfo) -> object:
            _refuse(mark.predicate(value, info.data.get(mark.other, mark.otherwise)))
            return value

        yield AfterValidator(beside)
    if isinstance(mark, Judge):

        def judge(value: object, info: ValidationInfo) -> object:
            context = info.context or {}
            facts = Facts(production=context.get("production", True), region=context.get("region"))
            if not context.get("lenient") and value is not None and (reason := mark.problem(value, facts)) is not None:
                raise ValueError(reason)
            return value

        yield AfterValidator(judge)
        yield _Keywords(mark.keywords)


@dataclasses.dataclass(frozen=True, eq=False)
class _Keywords:
    """What JSON Schema can say beside the type."""

    keywords: Mapping[str, object]

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), **self.keywords}


# What a stack adds: what the engine hands over, what its services leave to it, and rules about several keys


def as_switch(value: object) -> object:
    """Decode the engine's text; empty means nothing."""
    return {"true": True, "false": False, "": None}.get(value, value) if isinstance(value, str) else value


@as_settings
class StackSettings(Stack):
    """One environment."""

    @field_validator(*(each.name for each in fields(Stack) if each.default is None), mode="before")
    @classmethod
    def _unset(cls, value: object) -> object:
        """Return None for the default of ``Pulumi.yaml``, which has no way to say nothing but emptiness."""
        return value or None

    @field_validator("canary_weight", mode="before")
    @classmethod
    def _as_number(cls, value: object) -> object:
        """``pulumi config set`` without ``--path`` writes text."""
        return int(value) if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,9}", value) else value

    @field_validator("load_balancer", mode="before")
    @classmethod
    def _as_exposed(cls, load_balancer: object, info: ValidationInfo) -> object:
        network: NetworkSpec | None = info.data.get("network")
        public = network is not None and not network.internal
        return _resolved(load_balancer, {"accessLogs": info.context["production"], "waf": public})  # type: ignore[index]

    @field_validator("load_balancer")
    @classmethod
    def _certified(cls, load_balancer: LoadBalancerSpec, info: ValidationInfo) -> LoadBalancerSpec:
        if "dns" in info.data and info.data["dns"] is None and load_balancer.certificate_arn is None:
            _refuse([Problem("certificateArn", "is required, or dns.zone, in which certificates are then validated")])
        facing = "network" in info.data and not info.data["network"].internal
        reason = rules.private_testers_problem(load_balancer.test_listener_cidrs, internet_facing=facing)
        _refuse([Problem("testListenerCidrs", reason)] if reason else [])
        reason = rules.private_testers_problem(load_balancer.client_cidrs or (), internet_facing=facing)
        _refuse([Problem("clientCidrs", reason)] if reason else [])
        return load_balancer

    @field_validator("alerts")
    @classmethod
    def _heard(cls, alerts: Alerts, info: ValidationInfo) -> Alerts:
        own = bool(alerts.subscriptions)
        _refuse(rules.topics_problems(len(alerts.topic_arns) + own))
        _refuse(rules.topics_problems(len(alerts.uptime_topic_arns) + own, "uptimeTopicArns"))
        if info.context["production"]:  # type: ignore[index]
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
            "activeColor": info.data.get("active_color", Stack.active_color),
            "canaryWeight": info.data.get("canary_weight", Stack.canary_weight),
        }
        production = {"expectsTraffic": info.context["production"]}  # type: ignore[index]
        network: NetworkSpec | None = info.data.get("network")
        public = info.context["production"] and network is not None and not network.internal  # type: ignore[index]
        return {
            name: _resolved(
                {
                    **stack,
                    **_alone(service),
                    "priorityBand": model.priority_band(str(name)),
                    **service,
                    "uptime": _resolved(
                        {} if service.get("uptime") is None else service["uptime"],
                        # Route 53 asks by HTTP/1.1.
                        {"enabled": public and service.get("protocol", Protocol.HTTP1) == Protocol.HTTP1},
                    ),
                },
                production,
            )
            if isinstance(service, Mapping)
            else service
            for name, service in services.items()
        }

    @field_validator("services")
    @classmethod
    def _together(cls, services: Mapping[str, Service], info: ValidationInfo) -> Mapping[str, Service]:
        environment = info.data.get("environment", "")
        load_balancer: LoadBalancerSpec | None = info.data.get("load_balancer")
        idle_timeout = load_balancer.idle_timeout if load_balancer else None
        context: Mapping[str, Any] = info.context or {}
        surroundings = Surroundings(
            dns=info.data.get("dns"),
            certified=load_balancer is None or load_balancer.certificate_arn is not None,
            cluster=info.data.get("cluster", Stack.cluster),
            registry=info.data.get("registry", Stack.registry),
            production=context["production"],
            ran=context["ran"],
            evidence=info.data.get("releases", Stack.releases).evidence,
            region=context["region"],
            internal="network" in info.data and info.data["network"].internal,
            uptime_listeners=_listeners(info.data.get("alerts", Stack.alerts), context["region"]),
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
    def _repositories(cls, services: Mapping[str, Service], info: ValidationInfo) -> Mapping[str, Service]:
        _refuse(
            Problem(name, f"is named by registry.repositories, but no service; {unknown_key(name, list(services))}")
            for name in info.data.get("registry", Stack.registry).repositories
            if name not in services
        )
        return services


KEYS: Final = TypeAdapter(StackSettings)
"""Reads a stack from the values of its keys, and writes it."""


def _listeners(alerts: Alerts, region: str | None) -> int:
    """Return how many topics and subscriptions hear of an alarm in us-east-1."""
    here = alerts.topic_arns if region == model.UPTIME_REGION else ()
    return len(here) + len(alerts.uptime_topic_arns) + len(alerts.subscriptions)


def _resolved(values: object, unset: Mapping[str, object]) -> object:
    """Return the values with those of ``unset`` where they say nothing or null."""
    if not isinstance(values, Mapping):
        return values
    return {**values, **{key: value for key, value in unset.items() if values.get(key) is None}}


def _alone(service: Mapping[str, Any]) -> Mapping[str, object]:
    """Return the settings of a service of one color, which takes neither active color nor canary from the stack."""
    strategy, colors = service.get("strategy"), service.get("colors")
    kind = strategy.get("kind", Strategy.kind) if isinstance(strategy, Mapping) else Strategy.kind
    if kind == StrategyKind.BLUE_GREEN or not isinstance(colors, Mapping) or len(colors) != 1:
        return {}
    return {"activeColor": next(iter(colors)), "canaryWeight": 0}
