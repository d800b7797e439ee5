"""Functions that a program calls for what exists already."""

from collections.abc import Callable
from typing import Final

from sandbox.providers.aws.base import Cloud
from sandbox.providers.plugin import Properties

Function = Callable[[Cloud, Properties], Properties]


def caller_identity(cloud: Cloud, arguments: Properties) -> Properties:  # noqa: ARG001 - it takes none
    who = cloud.client("sts").get_caller_identity()
    return {"accountId": who["Account"], "arn": who["Arn"], "userId": who["UserId"], "id": who["Account"]}


def region(cloud: Cloud, arguments: Properties) -> Properties:
    name = arguments.get("region") or arguments.get("name") or arguments.get("id") or cloud.region
    return {
        "id": name,
        "name": name,
        "region": name,
        "description": name,
        "endpoint": f"ec2.{name}.{_dns(cloud)}",
    }


def partition(cloud: Cloud, arguments: Properties) -> Properties:  # noqa: ARG001 - it takes none
    name, dns = cloud.partition, _dns(cloud)
    return {
        "id": name,
        "partition": name,
        "dnsSuffix": dns,
        "reverseDnsPrefix": ".".join(reversed(dns.split("."))),
    }


def _dns(cloud: Cloud) -> str:
    return {"aws-cn": "amazonaws.com.cn"}.get(cloud.partition, "amazonaws.com")


FUNCTIONS: Final[dict[str, Function]] = {
    "aws:index/getCallerIdentity:getCallerIdentity": caller_identity,
    "aws:index/getPartition:getPartition": partition,
    "aws:index/getRegion:getRegion": region,
}
