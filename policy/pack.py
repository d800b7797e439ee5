"""The readiness checks as CrossGuard policies."""

from collections.abc import Callable

import pulumi
from pulumi_policy import (
    EnforcementLevel,
    Policy,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)

from components.readiness import CHECKS, Check, Resource
from components.rules import is_production


def level() -> EnforcementLevel:
    """Return what a violation does in the stack that is being looked at: blocks in production, else is told.

    The engine names the stack only after the pack is built, hence this is asked for every resource.
    """
    try:
        environment = pulumi.Config("hueshift").get("environment") or pulumi.get_stack()
    except Exception:
        return EnforcementLevel.ADVISORY
    return EnforcementLevel.MANDATORY if is_production(environment) else EnforcementLevel.ADVISORY


class _ByEnvironment(Policy):
    """A policy whose enforcement level depends on the stack."""

    @property
    def enforcement_level(self) -> EnforcementLevel:
        return level()

    @enforcement_level.setter
    def enforcement_level(self, _: object) -> None:
        """The base class sets what it was given: nothing."""


class _OfResource(_ByEnvironment, ResourceValidationPolicy):
    pass


class _OfStack(_ByEnvironment, StackValidationPolicy):
    pass


def policies() -> list[Policy]:
    """Return one policy for each check."""
    made: list[Policy] = []
    for check in CHECKS:
        description = f"{check.reason} Remedy: {check.remedy}."
        if check.problems is not None:
            made.append(_OfResource(check.name, description, _resource(check)))
        if check.stack is not None:
            made.append(_OfStack(check.name, description, _stack(check)))
    return made


def _resource(check: Check) -> Callable[[ResourceValidationArgs, ReportViolation], None]:
    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        resource = Resource(args.resource_type, args.name, args.props, bool(args.opts.protect))
        if check.problems is not None and check.concerns(resource):
            for problem in check.problems(resource):
                report(f"{problem}. Remedy: {check.remedy}.", args.urn)

    return validate


def _stack(check: Check) -> Callable[[StackValidationArgs, ReportViolation], None]:
    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        by_resource = [
            (Resource(each.resource_type, each.name, each.props, bool(each.opts.protect)), each.urn)
            for each in args.resources
        ]
        if check.stack is not None:
            for found, problem in check.stack([resource for resource, _ in by_resource]):
                urn = next(urn for resource, urn in by_resource if resource is found)
                report(f"{problem}. Remedy: {check.remedy}.", urn)

    return validate
