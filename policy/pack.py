"""The production-readiness checks as CrossGuard policies."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import pulumi
from pulumi_policy import (
    EnforcementLevel,
    Policy,
    PolicyResource,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.proxy import UnknownValueError

from components.rules import is_production
from policy.checks import CHECKS, Check, NotKnownYetError, Resource

_NAMELESS = "stack"
"""``pulumi.get_stack()`` returns this if the host passed no stack name."""


def level() -> EnforcementLevel:
    """Return the enforcement level: mandatory in production, advisory elsewhere.

    Call it while the pack is built, because the engine reads all levels once, before any resource. If the host passes
    no stack name the level is mandatory, so that production is never unguarded.
    """
    config = pulumi.Config("hueshift")
    environment = config.get("environment") or pulumi.get_stack()
    stated = {"true": True, "false": False}.get(config.get("production") or "")
    strict = is_production(environment, stated) or (stated is None and environment == _NAMELESS)
    return EnforcementLevel.MANDATORY if strict else EnforcementLevel.ADVISORY


def policies() -> list[Policy]:
    """Return one policy for each check, at the level of the pack, or advisory if it blocks nothing."""
    made: list[Policy] = []
    for check in CHECKS:
        # The engine prints the description above every violation.
        description = f"{check.reason} Remedy: {check.remedy}."
        own = None if check.blocks else EnforcementLevel.ADVISORY
        if check.problems is not None:
            made.append(ResourceValidationPolicy(check.name, description, _resource(check), own))
        if check.stack is not None:
            made.append(StackValidationPolicy(check.name, description, _stack(check), own))
    return made


def _resource(check: Check) -> Callable[[ResourceValidationArgs, ReportViolation], None]:
    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        resource = _seen(args)
        if check.problems is not None and check.concerns(resource):
            with suppress(NotKnownYetError):  # known in the update, which runs the check again
                for problem in check.problems(resource):
                    report(problem, args.urn)

    return validate


def _stack(check: Check) -> Callable[[StackValidationArgs, ReportViolation], None]:
    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        seen = [(_seen(each), each.urn) for each in args.resources]
        urns = {id(resource): urn for resource, urn in seen}
        if check.stack is not None:
            with suppress(NotKnownYetError):
                for resource, problem in check.stack([resource for resource, _ in seen]):
                    report(problem, urns[id(resource)])

    return validate


def _seen(each: ResourceValidationArgs | PolicyResource) -> Resource:
    return Resource(each.resource_type, each.name, _Properties(each.props), bool(each.opts.protect))


def _value(read: Callable[[], Any]) -> Any:  # noqa: ANN401 - what JSON holds
    """Return a property from the pack's SDK, whole numbers as int: the SDK makes all of them floats."""
    try:
        value = read()
    except UnknownValueError as error:
        raise NotKnownYetError(error.message) from None
    if isinstance(value, Mapping):
        return _Properties(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return _Items(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value


class _Properties(Mapping[str, Any]):
    def __init__(self, given: Mapping[str, Any]) -> None:
        self._given = given

    def __getitem__(self, key: str) -> Any:  # noqa: ANN401
        return _value(lambda: self._given[key])

    def __iter__(self) -> Iterator[str]:
        return iter(self._given)

    def __len__(self) -> int:
        return len(self._given)


class _Items(Sequence[Any]):
    def __init__(self, given: Sequence[Any]) -> None:
        self._given = given

    def __getitem__(self, at: Any) -> Any:  # noqa: ANN401
        return _value(lambda: self._given[at])

    def __len__(self) -> int:
        return len(self._given)
