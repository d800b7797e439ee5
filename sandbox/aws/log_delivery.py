"""Whether a load balancer may write its logs into a bucket: AWS tries it before it switches them on."""

import fnmatch
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from moto.elbv2.exceptions import InvalidConfigurationRequest
from moto.s3.models import FakeBucket, s3_backends

PRINCIPAL: Final = "logdelivery.elasticloadbalancing.amazonaws.com"
_TEST_FILES: Final = {
    "access_logs": "ELBAccessLogTestFile",
    "connection_logs": "ELBConnectionLogTestFile",
    "health_check_logs": "ELBHealthCheckLogTestFile",
}
"""What AWS writes to find out, and leaves there."""
_PARTITION: Final = "aws"


def deliver(balancer: str, before: Mapping[str, Any], changes: Mapping[str, Any]) -> None:
    """Write the test file of each log that is switched on or goes elsewhere.

    Args:
        balancer: its ARN.
        before: its attributes.
        changes: those that a call gives.

    Raises InvalidConfigurationRequest if the bucket is not there, lies elsewhere, encrypts with a key or does not let
    in the service that delivers logs.

    """
    after = {**before, **changes}
    for log, file in _TEST_FILES.items():
        if not any(key.startswith(f"{log}.") for key in changes) or _text(after, f"{log}.s3.enabled") != "true":
            continue
        bucket, prefix = _text(after, f"{log}.s3.bucket"), _text(after, f"{log}.s3.prefix")
        account = balancer.split(":")[4]
        key = "/".join(part for part in (prefix.strip("/"), "AWSLogs", account, file) if part)
        if "AWSLogs" in prefix:
            raise InvalidConfigurationRequest(f"The prefix '{prefix}' cannot contain 'AWSLogs'")
        s3 = s3_backends[account][_PARTITION]
        refuse(s3.buckets.get(bucket), bucket, key, balancer)
        s3.put_object(bucket, key, b"")


def _text(attributes: Mapping[str, Any], key: str) -> str:
    value = attributes.get(key)
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def refuse(bucket: FakeBucket | None, name: str, key: str, balancer: str) -> None:
    """Raise InvalidConfigurationRequest if the load balancer cannot write this object."""
    _, partition, _, region, account, _ = balancer.split(":", 5)
    if bucket is None:
        raise InvalidConfigurationRequest(f"S3Bucket: {name} does not exist. Please check S3bucket permission")
    if bucket.region_name != region:
        raise InvalidConfigurationRequest(f"S3Bucket: {name} is not in the load balancer's region {region}")
    context = {
        "aws:sourceaccount": account,
        "aws:sourcearn": balancer,
        "aws:securetransport": "true",
        "s3:x-amz-acl": "bucket-owner-full-control",
    }
    policy = json.loads(bucket.policy) if bucket.policy else {}
    resource = f"arn:{partition}:s3:::{name}/{key}"
    encrypts_with_a_key = "aws:kms" in json.dumps(bucket.encryption or {})
    if encrypts_with_a_key or not admits(policy, PRINCIPAL, "s3:PutObject", resource, context):
        raise InvalidConfigurationRequest(f"Access Denied for bucket: {name}. Please check S3bucket permission")


def admits(policy: Mapping[str, Any], principal: str, action: str, resource: str, context: Mapping[str, str]) -> bool:
    """Return whether a resource policy lets a service do something.

    A statement that is not understood (an element with Not, an operator beyond equality and wildcards) lets nobody in
    and keeps everybody out.
    """
    effects = {
        statement["Effect"]
        for statement in _listed(policy.get("Statement"))
        if _applies(statement, principal, action, resource, context)
    }
    return effects == {"Allow"}


def _applies(
    statement: Mapping[str, Any], principal: str, action: str, resource: str, context: Mapping[str, str]
) -> bool:
    denies = bool(statement["Effect"] == "Deny")
    if statement.keys() & {"NotPrincipal", "NotAction", "NotResource"}:
        return denies
    if not _names(statement.get("Principal"), principal):
        return False
    if not _any_like(action.lower(), [text.lower() for text in _listed(statement.get("Action"))]):
        return False
    if not _any_like(resource, _listed(statement.get("Resource"))):
        return False
    for operator, wanted in (statement.get("Condition") or {}).items():
        for name, values in wanted.items():
            held = _holds(operator, context.get(name.lower()), _listed(values))
            if held is None:
                return denies
            if not held:
                return False
    return True


def _names(principal: Any, service: str) -> bool:  # noqa: ANN401 - "*" or a mapping
    if isinstance(principal, str):
        return bool(principal == "*")
    if not principal:
        return False
    return bool(service in _listed(principal.get("Service")) or "*" in _listed(principal.get("AWS")))


def _holds(operator: str, value: str | None, wanted: Iterable[Any]) -> bool | None:
    """Return whether a condition holds; None if its operator is unknown."""
    plain = operator.removesuffix("IfExists")
    if plain not in {"ArnEquals", "ArnLike", "Bool", "StringEquals", "StringLike"}:
        return None
    if value is None:
        return plain != operator
    texts = [str(item).lower() if isinstance(item, bool) else str(item) for item in wanted]
    return bool(value in texts) if plain in {"Bool", "StringEquals"} else _any_like(value, texts)


def _any_like(value: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(value, pattern.replace("[", "[[]")) for pattern in patterns)


def _listed(value: Any) -> list[Any]:  # noqa: ANN401 - a policy may have one or many
    return value if isinstance(value, list) else [] if value is None else [value]
