"""Functions that a program calls for what exists already."""

import base64
import json
from collections.abc import Callable
from datetime import UTC
from functools import partial
from typing import Any, Final

from sandbox.providers.aws.base import Cloud, tag_map
from sandbox.providers.aws.schema import pascal
from sandbox.providers.plugin import CheckFailure, Properties

Function = Callable[[Cloud, Properties], Properties]


def caller_identity(cloud: Cloud, arguments: Properties) -> Properties:  # noqa: ARG001 - it takes none
    who = cloud.client("sts").get_caller_identity()
    return {"accountId": who["Account"], "arn": who["Arn"], "userId": who["UserId"], "id": who["Account"]}


def _one(found: list[Any], what: str, arguments: Properties) -> Any:  # noqa: ANN401 - as boto3 gives it
    if len(found) != 1:
        raise ValueError(f"{len(found)} {what} match {json.dumps(arguments, sort_keys=True)}; exactly one is wanted")
    return found[0]


def _filters(arguments: Properties, names: dict[str, str]) -> list[dict[str, Any]]:
    """Give EC2's filters: what the program gives as arguments, as tags and as filters."""
    filters = [
        {"Name": theirs, "Values": [str(arguments[ours]).lower() if ours.startswith("default") else arguments[ours]]}
        for ours, theirs in names.items()
        if arguments.get(ours) is not None
    ]
    filters += [{"Name": f"tag:{key}", "Values": [value]} for key, value in (arguments.get("tags") or {}).items()]
    return filters + [{"Name": item["name"], "Values": item["values"]} for item in arguments.get("filters") or []]


_VPC: Final = {"cidrBlock": "cidr", "default": "is-default", "dhcpOptionsId": "dhcp-options-id", "state": "state"}


def vpc(cloud: Cloud, arguments: Properties) -> Properties:
    api = cloud.client("ec2", arguments.get("region"))
    ids = {"VpcIds": [arguments["id"]]} if arguments.get("id") else {}
    filters = _filters(arguments, _VPC)
    found = _one(api.describe_vpcs(**ids, **({"Filters": filters} if filters else {}))["Vpcs"], "VPCs", arguments)
    key = found["VpcId"]
    ipv6: dict[str, Any] = next(iter(found.get("Ipv6CidrBlockAssociationSet") or []), {})
    main = [{"Name": "vpc-id", "Values": [key]}, {"Name": "association.main", "Values": ["true"]}]
    tables = api.describe_route_tables(Filters=main)["RouteTables"]

    def attribute(name: str) -> bool:
        answer = api.describe_vpc_attribute(VpcId=key, Attribute=name)
        return bool(answer[pascal(name)]["Value"])

    return {
        "id": key,
        "arn": f"arn:{cloud.partition}:ec2:{api.meta.region_name}:{found['OwnerId']}:vpc/{key}",
        "cidrBlock": found["CidrBlock"],
        "cidrBlockAssociations": [
            {
                "associationId": item["AssociationId"],
                "cidrBlock": item["CidrBlock"],
                "state": item["CidrBlockState"]["State"],
            }
            for item in found.get("CidrBlockAssociationSet") or []
        ],
        "default": bool(found.get("IsDefault")),
        "dhcpOptionsId": found.get("DhcpOptionsId", ""),
        "enableDnsHostnames": attribute("enableDnsHostnames"),
        "enableDnsSupport": attribute("enableDnsSupport"),
        "enableNetworkAddressUsageMetrics": attribute("enableNetworkAddressUsageMetrics"),
        "instanceTenancy": found.get("InstanceTenancy", "default"),
        "ipv6AssociationId": ipv6.get("AssociationId", ""),
        "ipv6CidrBlock": ipv6.get("Ipv6CidrBlock", ""),
        "mainRouteTableId": tables[0]["RouteTableId"] if tables else "",
        "ownerId": found["OwnerId"],
        "region": api.meta.region_name,
        "state": found["State"],
        "tags": tag_map(found.get("Tags") or []),
    }


_SUBNET: Final = {
    "availabilityZone": "availability-zone",
    "availabilityZoneId": "availability-zone-id",
    "cidrBlock": "cidr-block",
    "defaultForAz": "default-for-az",
    "ipv6CidrBlock": "ipv6-cidr-block-association.ipv6-cidr-block",
    "state": "state",
    "vpcId": "vpc-id",
}


def subnets(cloud: Cloud, arguments: Properties) -> Properties:
    api = cloud.client("ec2", arguments.get("region"))
    pages = api.get_paginator("describe_subnets").paginate(Filters=_filters(arguments, {}))
    ids = [subnet["SubnetId"] for page in pages for subnet in page["Subnets"]]
    region = api.meta.region_name
    return {"id": region, "ids": ids, "region": region, "tags": arguments.get("tags") or {}}


def subnet(cloud: Cloud, arguments: Properties) -> Properties:
    api = cloud.client("ec2", arguments.get("region"))
    ids = {"SubnetIds": [arguments["id"]]} if arguments.get("id") else {}
    filters = _filters(arguments, _SUBNET)
    answer = api.describe_subnets(**ids, **({"Filters": filters} if filters else {}))["Subnets"]
    found = _one(answer, "subnets", arguments)
    ipv6: dict[str, Any] = next(iter(found.get("Ipv6CidrBlockAssociationSet") or []), {})
    launch = found.get("PrivateDnsNameOptionsOnLaunch") or {}
    return {
        "id": found["SubnetId"],
        "arn": found.get("SubnetArn", ""),
        "assignIpv6AddressOnCreation": bool(found.get("AssignIpv6AddressOnCreation")),
        "availabilityZone": found["AvailabilityZone"],
        "availabilityZoneId": found.get("AvailabilityZoneId", ""),
        "availableIpAddressCount": found.get("AvailableIpAddressCount", 0),
        "cidrBlock": found["CidrBlock"],
        "customerOwnedIpv4Pool": found.get("CustomerOwnedIpv4Pool", ""),
        "defaultForAz": bool(found.get("DefaultForAz")),
        "enableDns64": bool(found.get("EnableDns64")),
        "enableLniAtDeviceIndex": found.get("EnableLniAtDeviceIndex", 0),
        "enableResourceNameDnsARecordOnLaunch": bool(launch.get("EnableResourceNameDnsARecord")),
        "enableResourceNameDnsAaaaRecordOnLaunch": bool(launch.get("EnableResourceNameDnsAAAARecord")),
        "ipv6CidrBlock": ipv6.get("Ipv6CidrBlock", ""),
        "ipv6CidrBlockAssociationId": ipv6.get("AssociationId", ""),
        "ipv6Native": bool(found.get("Ipv6Native")),
        "mapCustomerOwnedIpOnLaunch": bool(found.get("MapCustomerOwnedIpOnLaunch")),
        "mapPublicIpOnLaunch": bool(found.get("MapPublicIpOnLaunch")),
        "outpostArn": found.get("OutpostArn", ""),
        "ownerId": found.get("OwnerId", ""),
        "privateDnsHostnameTypeOnLaunch": launch.get("HostnameType", ""),
        "region": api.meta.region_name,
        "state": found["State"],
        "tags": tag_map(found.get("Tags") or []),
        "vpcId": found["VpcId"],
    }


def balancers(cloud: Cloud, arguments: Properties) -> Properties:
    api = cloud.client("elbv2", arguments.get("region"))
    wanted = (arguments.get("tags") or {}).items()
    pages = api.get_paginator("describe_load_balancers").paginate()
    arns = [found["LoadBalancerArn"] for page in pages for found in page["LoadBalancers"]]
    # One call is answered for twenty at most (DescribeTags).
    described = [
        item
        for start in range(0, len(arns), 20)
        for item in api.describe_tags(ResourceArns=arns[start : start + 20])["TagDescriptions"]
    ]
    matching = [item["ResourceArn"] for item in described if wanted <= tag_map(item["Tags"]).items()]
    region = api.meta.region_name
    return {"id": region, "arns": matching, "region": region, "tags": arguments.get("tags") or {}}


def balancer(cloud: Cloud, arguments: Properties) -> Properties:
    api = cloud.client("elbv2", arguments.get("region"))
    found = _one(api.describe_load_balancers(LoadBalancerArns=[arguments["arn"]])["LoadBalancers"], "ALBs", arguments)
    return {
        "id": found["LoadBalancerArn"],
        "arn": found["LoadBalancerArn"],
        "dnsName": found["DNSName"],
        "internal": found["Scheme"] == "internal",
        "loadBalancerType": found["Type"],
        "name": found["LoadBalancerName"],
        "region": api.meta.region_name,
        "vpcId": found["VpcId"],
        "zoneId": found.get("CanonicalHostedZoneId", ""),
    }


def zone(cloud: Cloud, arguments: Properties) -> Properties:
    api = cloud.client("route53")
    name = (arguments.get("name") or "").rstrip(".")
    private = bool(arguments.get("privateZone"))
    if key := arguments.get("zoneId"):
        found = [api.get_hosted_zone(Id=key)["HostedZone"]]
    else:
        pages = api.get_paginator("list_hosted_zones").paginate()
        found = [
            item
            for page in pages
            for item in page["HostedZones"]
            if item["Name"].rstrip(".") == name and bool(item["Config"].get("PrivateZone")) == private
        ]
    item = _one(found, "hosted zones", arguments)
    key = item["Id"].rpartition("/")[2]
    private = bool(item["Config"].get("PrivateZone"))
    servers = (api.get_hosted_zone(Id=key).get("DelegationSet") or {}).get("NameServers") or []
    tags = api.list_tags_for_resource(ResourceType="hostedzone", ResourceId=key)["ResourceTagSet"].get("Tags") or []
    return {
        "id": key,
        "zoneId": key,
        "arn": f"arn:{cloud.partition}:route53:::hostedzone/{key}",
        "callerReference": item["CallerReference"],
        "comment": item["Config"].get("Comment", ""),
        "linkedServiceDescription": (item.get("LinkedService") or {}).get("Description", ""),
        "linkedServicePrincipal": (item.get("LinkedService") or {}).get("ServicePrincipal", ""),
        "name": item["Name"].rstrip("."),
        "nameServers": sorted(servers),
        "primaryNameServer": servers[0] if servers else "",
        "privateZone": private,
        "resourceRecordSetCount": item.get("ResourceRecordSetCount", 0),
        "tags": tag_map(tags),
    }


def registry_token(cloud: Cloud, arguments: Properties) -> Properties:
    api = cloud.client("ecr", arguments.get("region"))
    wanted = {"registryIds": [arguments["registryId"]]} if arguments.get("registryId") else {}
    data = api.get_authorization_token(**wanted)["authorizationData"][0]
    user, _, password = base64.b64decode(data["authorizationToken"]).decode().partition(":")
    return {
        "id": api.meta.region_name,
        "authorizationToken": data["authorizationToken"],
        "expiresAt": data["expiresAt"].astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "password": password,
        "proxyEndpoint": data["proxyEndpoint"],
        "region": api.meta.region_name,
        "userName": user,
    }


_TOKEN: Final = "aws:ecr/getAuthorizationToken:getAuthorizationToken"
SECRET_ANSWERS: Final = {_TOKEN: frozenset({"authorizationToken", "password"})}
"""By token, what of a function's answer is secret."""
_FUNCTIONS: Final[dict[str, tuple[Function, set[str]]]] = {
    "aws:ec2/getSubnet:getSubnet": (subnet, {*_SUBNET, "filters", "id", "region", "tags"}),
    "aws:ec2/getSubnets:getSubnets": (subnets, {"filters", "region", "tags"}),
    "aws:ec2/getVpc:getVpc": (vpc, {*_VPC, "filters", "id", "region", "tags"}),
    _TOKEN: (registry_token, {"region", "registryId"}),
    "aws:index/getCallerIdentity:getCallerIdentity": (caller_identity, {"id"}),
    "aws:lb/getLbs:getLbs": (balancers, {"region", "tags"}),
    "aws:lb/getLoadBalancer:getLoadBalancer": (balancer, {"arn", "region"}),
    "aws:route53/getZone:getZone": (zone, {"name", "privateZone", "zoneId"}),
}


def functions(cloud: Cloud) -> dict[str, Callable[[Properties], Properties]]:
    """Give every function by its token; each refuses an argument that it does not heed."""
    return {token: partial(_call, cloud, function, allowed) for token, (function, allowed) in _FUNCTIONS.items()}


def _call(cloud: Cloud, function: Function, allowed: set[str], arguments: Properties) -> Properties:
    if extra := sorted(arguments.keys() - allowed):
        raise CheckFailure(extra[0], f"the stand-in does not support it; it knows {', '.join(sorted(allowed))}")
    return function(cloud, arguments)
