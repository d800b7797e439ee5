"""What ELBv2 refuses and moto lets through: quotas, and values of conditions, tags, subnets and targets.

Codes are those of the API reference. Texts are AWS's where reports quote them, else in its sense. Quotas are the
default ones of the Application Load Balancer guide.
"""

import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from ipaddress import IPv4Address, ip_address, ip_network
from typing import Any, Final

from moto.ec2.models.subnets import Subnet
from moto.elbv2.exceptions import (
    DuplicateTagKeysError,
    ELBClientError,
    InvalidConfigurationRequest,
    TooManyCertificatesError,
    TooManyTagsError,
    ValidationError,
)
from moto.elbv2.models import FakeListener, FakeLoadBalancer, FakeRule

from sandbox.aws.translate import groups_of

Json = Mapping[str, Any]

CERTIFICATES: Final = 25
"""Of a load balancer, over all its listeners, default ones not counted; adjustable on AWS."""
_LISTENERS: Final = 50
_RULES: Final = 100
_PRIORITIES: Final = range(1, 50_001)
_GROUPS: Final = 100
_GROUPS_OF_ACTION: Final = 5
_VERSIONS: Final = ("HTTP1", "HTTP2", "GRPC")
_GRPC_CODES: Final = range(100)
_VALUES: Final = 5
_WILDCARDS: Final = 6
_LONGEST_VALUE: Final = 128
_LONGEST_HEADER_NAME: Final = 40
_TAGS: Final = 50
_LONGEST_KEY: Final = 128
_LONGEST_TAG: Final = 256
_TARGET_RANGES: Final = [ip_network(one) for one in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")]
"""Where targets outside of the VPC may be."""

_NAME: Final = re.compile(r"(?!internal-)(?!-)[A-Za-z0-9-]{1,32}(?<!-)")
_HOST: Final = re.compile(r"[A-Za-z0-9.*?-]*\.[A-Za-z]+")
_PATH: Final = re.compile(r"""[A-Za-z0-9_.$/~"'@:+&*?-]+""")
_METHOD: Final = re.compile(r"[A-Z_-]+")
_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_ONCE: Final = ("host-header", "path-pattern", "http-request-method", "source-ip")
"""Kinds of condition that a rule has once at most."""
_CONFIGS: Final = {
    "host-header": "HostHeaderConfig",
    "path-pattern": "PathPatternConfig",
    "http-header": "HttpHeaderConfig",
    "http-request-method": "HttpRequestMethodConfig",
    "query-string": "QueryStringConfig",
    "source-ip": "SourceIpConfig",
}


# Names --------------------------------------------------------------------------------------------------------------


def name(text: str) -> None:
    """Check the name of a load balancer."""
    if not _NAME.fullmatch(text):
        raise ValidationError(
            f"The load balancer name '{text}' must have 1 to 32 letters, digits and hyphens, with no hyphen at its "
            "begin or end, and must not begin with 'internal-'"
        )


# Certificates -------------------------------------------------------------------------------------------------------


def one_certificate(given: Sequence[Json]) -> None:
    """Check that a call names one certificate."""
    if len(given) > 1:
        raise ELBClientError(
            "TooManyCertificates", f"Up to '1' certificate ARNs can be specified, but '{len(given)}' were specified"
        )


def certificates(balancer: FakeLoadBalancer, more: int) -> None:
    """Check the number of certificates; each counts once per listener that has it besides its default one."""
    if sum(len(listener.certificates[1:]) for listener in balancer.listeners.values()) + more > CERTIFICATES:
        raise TooManyCertificatesError


# Listeners, rules and groups ----------------------------------------------------------------------------------------


def listeners(balancer: FakeLoadBalancer) -> None:
    """Check that one more listener fits."""
    if len(balancer.listeners) >= _LISTENERS:
        raise ELBClientError(
            "TooManyListeners", "You've reached the limit on the number of listeners per load balancer"
        )


def rules(balancer: FakeLoadBalancer, priority: int) -> None:
    """Check that one more rule fits; default rules of listeners do not count."""
    if priority not in _PRIORITIES:
        raise ValidationError(f"Priority '{priority}' must be between '1-50000' inclusive")
    if sum(not rule.is_default for rule in _rules(balancer.listeners.values())) >= _RULES:
        raise ELBClientError("TooManyRules", "You've reached the limit on the number of rules per load balancer")


def ordinary(rule: FakeRule, done: str) -> None:
    """Check that a rule is no default rule: that is deleted with its listener and changed by ModifyListener."""
    if rule.is_default:
        raise ELBClientError("OperationNotPermitted", f"Default rule '{rule.arn}' cannot be {done}")


def groups(
    users: Mapping[str, FakeLoadBalancer],
    balancer: FakeLoadBalancer,
    actions: Iterable[Json],
    replaced: object = None,
) -> None:
    """Check the target groups of a new rule, counted in place of those of the rule that it replaces."""
    asked = [groups_of([dict(action)]) for action in actions]
    for of_action in asked:
        if len(of_action) > _GROUPS_OF_ACTION:
            raise ELBClientError(
                "TooManyTargetGroups",
                f"Up to '{_GROUPS_OF_ACTION}' target groups can be specified, but '{len(of_action)}' were specified",
            )
    named = {arn for of_action in asked for arn in of_action}
    taken = sorted(arn for arn in named if arn in users and users[arn].arn != balancer.arn)
    if taken:
        raise ELBClientError(
            "TargetGroupAssociationLimit",
            f"The following target groups cannot be associated with more than one load balancer: {', '.join(taken)}",
        )
    for rule in _rules(balancer.listeners.values()):
        if rule is not replaced:
            named |= groups_of(action.data for action in rule.actions).keys()
    if len(named) > _GROUPS:
        raise ELBClientError(
            "TooManyUniqueTargetGroupsPerLoadBalancer",
            "You've reached the limit on the number of unique target groups per load balancer across all listeners",
        )


def _rules(of: Iterable[FakeListener]) -> list[Any]:
    return [rule for listener in of for rule in listener.rules.values()]


def version(given: str, matcher: Json) -> None:
    """Check a target group's protocol version, and that a matcher is of it."""
    if given not in _VERSIONS:
        raise ValidationError(f"Protocol version '{given}' must be one of {', '.join(_VERSIONS)}")
    for key in matcher:
        if (key == "GrpcCode") != (given == "GRPC"):
            raise ValidationError(f"Matcher '{key}' is not supported with the protocol version '{given}'")
    codes = re.split("[,-]", str(matcher.get("GrpcCode", "0")))
    if not all(code.strip().isdecimal() and int(code) in _GRPC_CODES for code in codes):
        raise ValidationError(f"Matcher '{matcher['GrpcCode']}' must have codes between 0 and 99")


# Conditions ---------------------------------------------------------------------------------------------------------


def conditions(given: Sequence[Json]) -> None:
    """Check the conditions of one rule."""
    fields = [condition.get("Field") for condition in given]
    for once in _ONCE:
        if fields.count(once) > 1:
            raise ValidationError(f"A rule can only have one '{once}' condition")
    values = [value for condition in given for value in _condition(condition)]
    if len(values) > _VALUES:
        raise ValidationError(f"A rule can only have '{_VALUES}' condition values")
    if sum(len(re.findall(r"(?<!\\)[*?]", value)) for value in values) > _WILDCARDS:
        raise ValidationError(f"A rule can only have '{_WILDCARDS}' condition wildcards")


def _condition(condition: Json) -> list[str]:
    """Return the values of a condition whose kind is known, checked."""
    field = str(condition.get("Field"))
    name = _CONFIGS.get(field, "")
    config = condition.get(name) or {}
    if condition.get("Values") and config:
        raise ValidationError(f"You cannot provide both Values and '{name}' for a condition of type '{field}'")
    values = list(config.get("Values") or condition.get("Values") or [])
    if field == "query-string":
        return [f"{pair.get('Key', '')}={pair.get('Value', '')}" for pair in values]
    for value in values:
        if len(value) > _LONGEST_VALUE:
            raise ValidationError(f"The '{field}' value is too long; the limit is '{_LONGEST_VALUE}'")
        if not _VALID.get(field, bool)(value):
            raise ValidationError(f"Condition value '{value}' contains a character that is not valid")
    header = config.get("HttpHeaderName")
    if header is not None and (
        not _HEADER_NAME.fullmatch(header) or header.lower() == "host" or len(header) > _LONGEST_HEADER_NAME
    ):
        raise ValidationError(f"'{header}' is not a valid HTTP header name for a condition")
    return [str(value) for value in values] if field != "source-ip" else ["" for _ in values]


def _is_network(value: str) -> bool:
    try:
        ip_network(value, strict=False)
    except ValueError:
        return False
    return "/" in value


_VALID: Final[dict[str, Callable[[str], object]]] = {
    # With at least one dot, and only letters after the last (HostHeaderConditionConfig).
    "host-header": _HOST.fullmatch,
    "path-pattern": _PATH.fullmatch,
    "http-request-method": _METHOD.fullmatch,
    "source-ip": _is_network,
}


# Tags ---------------------------------------------------------------------------------------------------------------


def tags(given: Iterable[Json], present: Collection[str] = ()) -> None:
    """Check tags for a resource that has some keys already."""
    keys = [str(tag["Key"]) for tag in given]
    for key in keys:
        if keys.count(key) > 1:
            raise DuplicateTagKeysError(key)
    for tag in given:
        key, value = str(tag["Key"]), str(tag.get("Value") or "")
        if key.lower().startswith("aws:"):
            raise ValidationError(f"Tag key '{key}' is not valid: the prefix 'aws:' is reserved")
        for what, text, least, most in (("key", key, 1, _LONGEST_KEY), ("value", value, 0, _LONGEST_TAG)):
            if not least <= len(text) <= most or not all(map(_of_a_tag, text)):
                raise ValidationError(
                    f"1 validation error detected: Value '{text}' at 'tags.member.{what}' failed to satisfy "
                    f"constraint: Member must have length between {least} and {most} and satisfy regular expression "
                    r"pattern: ^([\p{L}\p{Z}\p{N}_.:/=+\-@]*)$"
                )
    if len({*keys, *present}) > _TAGS:
        raise TooManyTagsError


def _of_a_tag(character: str) -> bool:
    return character in "_.:/=+-@" or unicodedata.category(character)[0] in "LZN"


# Subnets and targets ------------------------------------------------------------------------------------------------


def subnets(given: Sequence[Subnet]) -> None:
    """Check the subnets of an Application Load Balancer."""
    zones = [subnet.availability_zone for subnet in given]
    if len(set(zones)) < len(zones):
        raise InvalidConfigurationRequest(
            "A load balancer cannot be attached to multiple subnets in the same Availability Zone"
        )
    if len({subnet.vpc_id for subnet in given}) > 1:
        raise InvalidConfigurationRequest("All subnets must belong to the same VPC")
    if len(zones) < 2:
        raise ValidationError("At least two subnets in two different Availability Zones must be specified")


def address(text: str, given: str | None, zone: str | None) -> None:
    """Check a target's address against the zone that the call gives and the zone of its subnet."""
    try:
        parsed = ip_address(text)
    except ValueError:
        raise ValidationError(f"'{text}' is not a valid IP address") from None
    if zone:
        if given not in {None, zone}:
            raise ValidationError(
                f"The IP address '{text}' is within the VPC, and cannot have its Availability Zone overridden to "
                f"'{given}' from '{zone}'"
            )
        return
    if not isinstance(parsed, IPv4Address) or not any(parsed in network for network in _TARGET_RANGES):
        raise ValidationError(f"The IP address '{text}' is neither in the VPC nor in a private range")
    if not given:
        raise ValidationError(f"The Availability Zone is required for IP address '{text}' because it is not in the VPC")
