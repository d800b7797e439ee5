"""Load balancers and target groups."""
# ruff: noqa: A002, ANN401, ARG002 - the contract fixes names and arguments; boto3's clients are untyped here

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from botocore.exceptions import ClientError

from sandbox.providers.aws.base import (
    NAME,
    NAME_PREFIX,
    PATIENCE,
    TAGS,
    AwsResource,
    changed,
    code,
    retry,
    tag_list,
    tag_map,
    tail,
)
from sandbox.providers.aws.schema import Arg, Schema, flat, from_api, nest, pascal, text, to_api
from sandbox.providers.plugin import UNKNOWN, CheckFailure, Properties, pause

WEEK: Final = 604800
APPLICATION: Final = ("HTTP", "HTTPS")


class ElbResource(AwsResource):
    """A resource of the API ``elbv2``; its ID is its ARN."""

    service = "elbv2"

    def tags(self, api: Any, id: str) -> dict[str, str]:
        return tag_map(api.describe_tags(ResourceArns=[id])["TagDescriptions"][0]["Tags"])

    def retag(self, api: Any, id: str, state: Properties, put: dict[str, str], drop: list[str]) -> None:
        if drop:
            api.remove_tags(ResourceArns=[id], TagKeys=drop)
        if put:
            api.add_tags(ResourceArns=[id], Tags=tag_list(put))

    def refuse_taken(self, describe: Callable[..., Any], what: str, name: str) -> None:
        """Refuse a name in use: a create would take an equal object over, and two resources would own it."""
        try:
            describe(Names=[name])
        except ClientError as error:
            if code(error) not in self.gone:
                raise
        else:
            raise ValueError(f"ELBv2 {what} ({name}) already exists")


def attribute_list(names: Mapping[str, str], old: Mapping[str, Any], new: Mapping[str, Any]) -> list[dict[str, str]]:
    """Give what of `names` (dotted path to the API's key) changes from `old` to `new`, both as `flat` gives them.

    A switch that the program no longer mentions is turned off; of other values the API keeps the last.
    """
    wanted = {path: text(new[path]) for path in names if path in new and new[path] != old.get(path)}
    wanted |= {path: "false" for path in names if path.endswith(".enabled") and path in old and path not in new}
    return [{"Key": names[path], "Value": value} for path, value in wanted.items()]


# --- target groups --------------------------------------------------------------------------------------------------

HEALTH_CHECK: Final[Schema] = {
    "enabled": Arg(type=bool, default=True, api="HealthCheckEnabled"),
    "healthyThreshold": Arg(type=int, default=3, low=2, high=10, api="HealthyThresholdCount"),
    "interval": Arg(type=int, default=30, low=5, high=300, api="HealthCheckIntervalSeconds"),
    "matcher": Arg(computed=True),
    "path": Arg(computed=True, high=1024, pattern="(/.*)?", api="HealthCheckPath"),
    "port": Arg(default="traffic-port", pattern=r"traffic-port|\d+", api="HealthCheckPort"),
    "protocol": Arg(default="HTTP", choices=("HTTP", "HTTPS", "TCP"), api="HealthCheckProtocol"),
    "timeout": Arg(type=int, computed=True, low=2, high=120, api="HealthCheckTimeoutSeconds"),
    "unhealthyThreshold": Arg(type=int, default=3, low=2, high=10, api="UnhealthyThresholdCount"),
}
TARGETS_DOWN: Final = Arg(default="off", pattern=r"off|\d+")

TARGET_GROUP_ATTRIBUTES: Final = {
    "connectionTermination": "deregistration_delay.connection_termination.enabled",
    "deregistrationDelay": "deregistration_delay.timeout_seconds",
    "lambdaMultiValueHeadersEnabled": "lambda.multi_value_headers.enabled",
    "loadBalancingAlgorithmType": "load_balancing.algorithm.type",
    "loadBalancingAnomalyMitigation": "load_balancing.algorithm.anomaly_mitigation",
    "loadBalancingCrossZoneEnabled": "load_balancing.cross_zone.enabled",
    "preserveClientIp": "preserve_client_ip.enabled",
    "proxyProtocolV2": "proxy_protocol_v2.enabled",
    "slowStart": "slow_start.duration_seconds",
    "stickiness.enabled": "stickiness.enabled",
    "stickiness.type": "stickiness.type",
    "stickiness.cookieName": "stickiness.app_cookie.cookie_name",
    "targetFailovers.onDeregistration": "target_failover.on_deregistration",
    "targetFailovers.onUnhealthy": "target_failover.on_unhealthy",
    "targetGroupHealth.dnsFailover.minimumHealthyTargetsCount": (
        "target_group_health.dns_failover.minimum_healthy_targets.count"
    ),
    "targetGroupHealth.dnsFailover.minimumHealthyTargetsPercentage": (
        "target_group_health.dns_failover.minimum_healthy_targets.percentage"
    ),
    "targetGroupHealth.unhealthyStateRouting.minimumHealthyTargetsCount": (
        "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count"
    ),
    "targetGroupHealth.unhealthyStateRouting.minimumHealthyTargetsPercentage": (
        "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage"
    ),
    "targetHealthStates.enableUnhealthyConnectionTermination": (
        "target_health_state.unhealthy.connection_termination.enabled"
    ),
    "targetHealthStates.unhealthyDrainingInterval": "target_health_state.unhealthy.draining_interval_seconds",
}


class TargetGroup(ElbResource):
    """``aws:lb/targetGroup:TargetGroup``."""

    longest_name = 32
    longest_prefix = 6
    name_pattern = r"[A-Za-z0-9][A-Za-z0-9-]*"
    outputs = ("arn", "arnSuffix", "loadBalancerArns")
    gone = ("TargetGroupNotFound",)
    schema = {
        "connectionTermination": Arg(type=bool, computed=True),
        "deregistrationDelay": Arg(type=int, default=300, low=0, high=3600),
        "healthCheck": Arg(fields=HEALTH_CHECK, computed=True),
        "ipAddressType": Arg(computed=True, replace=True, choices=("ipv4", "ipv6")),
        "lambdaMultiValueHeadersEnabled": Arg(type=bool, default=False),
        "loadBalancingAlgorithmType": Arg(
            computed=True, choices=("round_robin", "least_outstanding_requests", "weighted_random")
        ),
        "loadBalancingAnomalyMitigation": Arg(computed=True, choices=("on", "off")),
        "loadBalancingCrossZoneEnabled": Arg(
            computed=True, choices=("true", "false", "use_load_balancer_configuration")
        ),
        "name": NAME,
        "namePrefix": NAME_PREFIX,
        "port": Arg(type=int, replace=True, low=1, high=65535),
        "preserveClientIp": Arg(computed=True, choices=("true", "false")),
        "protocol": Arg(
            replace=True,
            choices=("HTTP", "HTTPS", "TCP", "TLS", "UDP", "TCP_UDP", "GENEVE", "QUIC", "TCP_QUIC"),
        ),
        "protocolVersion": Arg(computed=True, replace=True, choices=("HTTP1", "HTTP2", "GRPC")),
        "proxyProtocolV2": Arg(type=bool, default=False),
        "slowStart": Arg(type=int, default=0, low=0, high=900),
        "stickiness": Arg(
            computed=True,
            fields={
                "cookieDuration": Arg(type=int, default=86400, low=0, high=WEEK),
                "cookieName": Arg(),
                "enabled": Arg(type=bool, default=True),
                "type": Arg(
                    required=True,
                    choices=("lb_cookie", "app_cookie", "source_ip", "source_ip_dest_ip", "source_ip_dest_ip_proto"),
                ),
            },
        ),
        "tags": TAGS,
        "targetControlPort": Arg(type=int, replace=True, low=1, high=65535),
        "targetFailovers": Arg(
            many=True,
            computed=True,
            fields={
                "onDeregistration": Arg(required=True, choices=("rebalance", "no_rebalance")),
                "onUnhealthy": Arg(required=True, choices=("rebalance", "no_rebalance")),
            },
        ),
        "targetGroupHealth": Arg(
            computed=True,
            fields={
                "dnsFailover": Arg(
                    fields={
                        "minimumHealthyTargetsCount": TARGETS_DOWN,
                        "minimumHealthyTargetsPercentage": TARGETS_DOWN,
                    }
                ),
                "unhealthyStateRouting": Arg(
                    fields={
                        "minimumHealthyTargetsCount": Arg(type=int, default=1, low=1),
                        "minimumHealthyTargetsPercentage": TARGETS_DOWN,
                    }
                ),
            },
        ),
        "targetHealthStates": Arg(
            many=True,
            computed=True,
            fields={
                "enableUnhealthyConnectionTermination": Arg(type=bool, required=True),
                "unhealthyDrainingInterval": Arg(type=int, default=0, low=0, high=360000),
            },
        ),
        "targetType": Arg(default="instance", replace=True, choices=("instance", "ip", "lambda", "alb")),
        "vpcId": Arg(replace=True),
    }

    def validate(self, inputs: Properties) -> None:
        slow = inputs["slowStart"]
        if slow is not UNKNOWN and 0 < slow < 30:
            raise CheckFailure("slowStart", f"0 or 30 to 900 seconds are wanted, got {slow}")
        if str(inputs.get("name", "")).endswith("-"):
            raise CheckFailure("name", "must not end with a hyphen")
        if inputs["targetType"] not in ("lambda", UNKNOWN):
            for needed in ("port", "protocol", "vpcId"):
                if needed not in inputs:
                    raise CheckFailure(needed, f"required for the target type {inputs['targetType']}")
        health = inputs.get("healthCheck")
        if isinstance(health, dict) and health.get("protocol") == "TCP":
            for wrong in ("path", "matcher"):
                if health.get(wrong):
                    raise CheckFailure(f"healthCheck.{wrong}", "not with a health check over TCP")
            if inputs.get("protocol") in APPLICATION:
                raise CheckFailure("healthCheck.protocol", f"TCP is not for a group of {inputs['protocol']}")

    def _health(self, inputs: Properties) -> dict[str, Any]:
        health = dict(inputs.get("healthCheck") or {})
        if inputs["targetType"] == "lambda":
            health = {key: value for key, value in health.items() if key not in ("port", "protocol")}
        if health.get("protocol") == "TCP" or not health.get("path"):
            health.pop("path", None)
        matcher = health.pop("matcher", None)
        request = to_api(HEALTH_CHECK, health)
        if matcher and health.get("protocol") != "TCP":
            request["Matcher"] = {"GrpcCode" if inputs.get("protocolVersion") == "GRPC" else "HttpCode": matcher}
        return request

    def _attributes(self, inputs: Properties) -> dict[str, str]:
        """What the API knows for this kind of group, by dotted path."""
        kind = (inputs.get("stickiness") or {}).get("type", "lb_cookie")
        names = dict(TARGET_GROUP_ATTRIBUTES)
        if kind in ("lb_cookie", "app_cookie"):
            names["stickiness.cookieDuration"] = f"stickiness.{kind}.duration_seconds"
        if inputs.get("targetType") == "lambda":
            return {"lambdaMultiValueHeadersEnabled": names["lambdaMultiValueHeadersEnabled"]}
        del names["lambdaMultiValueHeadersEnabled"]
        if inputs.get("protocol") in APPLICATION:
            for other in ("proxyProtocolV2", "connectionTermination"):
                del names[other]
        else:
            for other in ("slowStart", "loadBalancingAlgorithmType", "loadBalancingAnomalyMitigation"):
                del names[other]
        return names

    def make(self, api: Any, inputs: Properties, timeout: float) -> str:
        self.refuse_taken(api.describe_target_groups, "Target Group", inputs["name"])
        plain = ("name", "port", "protocol", "protocolVersion", "vpcId", "targetType", "ipAddressType")
        request = to_api({key: self.schema[key] for key in (*plain, "targetControlPort")}, inputs)
        if inputs["targetType"] == "lambda":
            request = {"Name": inputs["name"], "TargetType": "lambda"}
        if inputs.get("tagsAll"):
            request["Tags"] = tag_list(inputs["tagsAll"])
        made = api.create_target_group(**request, **self._health(inputs))
        return str(made["TargetGroups"][0]["TargetGroupArn"])

    def settle(self, api: Any, id: str, inputs: Properties) -> None:
        wanted = attribute_list(self._attributes(inputs), {}, flat(self.schema, inputs))
        if wanted:
            api.modify_target_group_attributes(TargetGroupArn=id, Attributes=wanted)

    def describe(self, api: Any, id: str, inputs: Properties) -> Properties | None:
        group = api.describe_target_groups(TargetGroupArns=[id])["TargetGroups"][0]
        answer = api.describe_target_group_attributes(TargetGroupArn=id)["Attributes"]
        attributes = {item["Key"]: item["Value"] for item in answer}
        live = from_api(
            {key: self.schema[key] for key in ("port", "protocol", "protocolVersion", "vpcId", "targetType")}, group
        )
        kind = attributes.get("stickiness.type")
        names = self._attributes({**live, "stickiness": {"type": kind}})
        values = {path: attributes[key] for path, key in names.items() if key in attributes}
        if group.get("TargetType") == "ip" or group.get("IpAddressType") == "ipv6":
            live["ipAddressType"] = group.get("IpAddressType")
        if kind is None:
            values = {path: value for path, value in values.items() if not path.startswith("stickiness.")}
        health = from_api(HEALTH_CHECK, group)
        matcher = group.get("Matcher") or {}
        if code := matcher.get("GrpcCode") or matcher.get("HttpCode"):
            health["matcher"] = code
        return {
            **nest(self.schema, {**_unreported(flat(self.schema, inputs), TARGET_GROUP_ATTRIBUTES, values), **values}),
            **live,
            "name": group["TargetGroupName"],
            "healthCheck": health,
            "targetControlPort": group.get("TargetControlPort"),
            "arn": id,
            "arnSuffix": tail(id),
            "loadBalancerArns": group.get("LoadBalancerArns", []),
            "tagsAll": self.tags(api, id),
        }

    def change(self, api: Any, id: str, old: Properties, new: Properties) -> None:
        if changed(["healthCheck"], old, new) and new.get("healthCheck"):
            api.modify_target_group(TargetGroupArn=id, **self._health(new))
        wanted = attribute_list(self._attributes(new), flat(self.schema, old), flat(self.schema, new))
        if wanted:
            api.modify_target_group_attributes(TargetGroupArn=id, Attributes=wanted)

    def remove(self, api: Any, id: str, state: Properties, timeout: float) -> None:
        # A listener or rule that named the group may be gone only in a moment.
        retry(lambda: api.delete_target_group(TargetGroupArn=id), ["ResourceInUse"], min(timeout, PATIENCE))


def _unreported(wanted: Mapping[str, Any], paths: Mapping[str, str], live: Mapping[str, Any]) -> dict[str, Any]:
    """What the API does not report for this kind of object is as the program has it: no drift."""
    return {path: value for path, value in wanted.items() if path not in live and _is_attribute(path, paths)}


def _is_attribute(path: str, paths: Mapping[str, str]) -> bool:
    return path in paths or path == "stickiness.cookieDuration"


# --- load balancers -------------------------------------------------------------------------------------------------

LOG_FILES: Final[Schema] = {
    "bucket": Arg(required=True),
    "enabled": Arg(type=bool, default=False),
    "prefix": Arg(),
}
_LOGS: Final = {
    "accessLogs": "access_logs",
    "connectionLogs": "connection_logs",
    "healthCheckLogs": "health_check_logs",
}

LOAD_BALANCER_ATTRIBUTES: Final = {
    "clientKeepAlive": "client_keep_alive.seconds",
    "desyncMitigationMode": "routing.http.desync_mitigation_mode",
    "dnsRecordClientRoutingPolicy": "dns_record.client_routing_policy",
    "dropInvalidHeaderFields": "routing.http.drop_invalid_header_fields.enabled",
    "enableCrossZoneLoadBalancing": "load_balancing.cross_zone.enabled",
    "enableDeletionProtection": "deletion_protection.enabled",
    "enableHttp2": "routing.http2.enabled",
    "enableTlsVersionAndCipherSuiteHeaders": "routing.http.x_amzn_tls_version_and_cipher_suite.enabled",
    "enableWafFailOpen": "waf.fail_open.enabled",
    "enableXffClientPort": "routing.http.xff_client_port.enabled",
    "enableZonalShift": "zonal_shift.config.enabled",
    "idleTimeout": "idle_timeout.timeout_seconds",
    "preserveHostHeader": "routing.http.preserve_host_header.enabled",
    "secondaryIpsAutoAssignedPerSubnet": "secondary_ips.auto_assigned.per_subnet",
    "xffHeaderProcessingMode": "routing.http.xff_header_processing.mode",
    **{
        f"{block}.{member}": f"{key}.s3.{member}"
        for block, key in _LOGS.items()
        for member in ("bucket", "enabled", "prefix")
    },
}
_NOT_APPLICATION: Final = {
    "dnsRecordClientRoutingPolicy",
    "enableCrossZoneLoadBalancing",
    "secondaryIpsAutoAssignedPerSubnet",
}
_NETWORK: Final = {*_NOT_APPLICATION, "enableDeletionProtection", "enableZonalShift"} | {
    f"accessLogs.{member}" for member in LOG_FILES
}


class LoadBalancer(ElbResource):
    """``aws:lb/loadBalancer:LoadBalancer``."""

    longest_name = 32
    longest_prefix = 6
    name_pattern = r"(?!internal-)[A-Za-z0-9][A-Za-z0-9-]*"
    outputs = ("arn", "arnSuffix", "dnsName", "vpcId", "zoneId")
    gone = ("LoadBalancerNotFound",)
    schema = {
        "accessLogs": Arg(fields=LOG_FILES),
        "clientKeepAlive": Arg(type=int, default=3600, low=60, high=WEEK),
        "connectionLogs": Arg(fields=LOG_FILES),
        "customerOwnedIpv4Pool": Arg(replace=True),
        "desyncMitigationMode": Arg(default="defensive", choices=("monitor", "defensive", "strictest")),
        "dnsRecordClientRoutingPolicy": Arg(
            default="any_availability_zone",
            choices=("any_availability_zone", "availability_zone_affinity", "partial_availability_zone_affinity"),
        ),
        "dropInvalidHeaderFields": Arg(type=bool, default=False),
        "enableCrossZoneLoadBalancing": Arg(type=bool, default=False),
        "enableDeletionProtection": Arg(type=bool, default=False),
        "enableHttp2": Arg(type=bool, default=True),
        "enableTlsVersionAndCipherSuiteHeaders": Arg(type=bool, default=False),
        "enableWafFailOpen": Arg(type=bool, default=False),
        "enableXffClientPort": Arg(type=bool, default=False),
        "enableZonalShift": Arg(type=bool, default=False),
        "enforceSecurityGroupInboundRulesOnPrivateLinkTraffic": Arg(computed=True, choices=("on", "off")),
        "healthCheckLogs": Arg(fields=LOG_FILES),
        "idleTimeout": Arg(type=int, default=60, low=1, high=4000),
        "internal": Arg(type=bool, computed=True, replace=True),
        "ipAddressType": Arg(computed=True, choices=("ipv4", "dualstack", "dualstack-without-public-ipv4")),
        "ipamPools": Arg(fields={"ipv4IpamPoolId": Arg(required=True)}),
        "loadBalancerType": Arg(default="application", replace=True, choices=("application", "network", "gateway")),
        "minimumLoadBalancerCapacity": Arg(fields={"capacityUnits": Arg(type=int, required=True)}),
        "name": NAME,
        "namePrefix": NAME_PREFIX,
        "preserveHostHeader": Arg(type=bool, default=False),
        "secondaryIpsAutoAssignedPerSubnet": Arg(type=int, computed=True, low=0, high=7),
        "securityGroups": Arg(many=True, computed=True),
        "subnetMappings": Arg(
            many=True,
            computed=True,
            key="subnetId",
            fields={
                "allocationId": Arg(),
                "ipv6Address": Arg(api="IPv6Address"),
                "outpostId": Arg(computed=True, stored=False),
                "privateIpv4Address": Arg(api="PrivateIPv4Address"),
                "subnetId": Arg(required=True),
            },
        ),
        "subnets": Arg(many=True, computed=True),
        "tags": TAGS,
        "xffHeaderProcessingMode": Arg(default="append", choices=("append", "preserve", "remove")),
    }

    def check(self, name: str, old: Properties | None, new: Properties) -> Properties:
        if ("subnets" in new) == ("subnetMappings" in new):
            raise CheckFailure("subnets", "exactly one of subnets and subnetMappings is wanted")
        inputs = super().check(name, old, new)
        return {key: value for key, value in inputs.items() if key not in ("subnets", "subnetMappings") or key in new}

    def _attributes(self, kind: str) -> dict[str, str]:
        return {
            path: key
            for path, key in LOAD_BALANCER_ATTRIBUTES.items()
            if (kind == "application" and path not in _NOT_APPLICATION)
            or (kind == "network" and path in _NETWORK)
            or (kind == "gateway" and path in ("enableCrossZoneLoadBalancing", "enableDeletionProtection"))
        }

    def _wanted(self, inputs: Properties) -> dict[str, Any]:
        """A log that is switched off has no bucket: the API would want one that exists."""
        off = [block for block in _LOGS if not (inputs.get(block) or {}).get("enabled")]
        return {
            path: value
            for path, value in flat(self.schema, inputs).items()
            if path.split(".")[0] not in off or path.endswith(".enabled")
        }

    def make(self, api: Any, inputs: Properties, timeout: float) -> str:
        self.refuse_taken(api.describe_load_balancers, "Load Balancer", inputs["name"])
        plain = ("name", "customerOwnedIpv4Pool", "ipAddressType", "ipamPools", "securityGroups", "subnetMappings")
        request = to_api({key: self.schema[key] for key in (*plain, "subnets")}, inputs)
        request["Type"] = inputs["loadBalancerType"]
        if inputs.get("internal"):
            request["Scheme"] = "internal"
        if inputs.get("tagsAll"):
            request["Tags"] = tag_list(inputs["tagsAll"])
        return str(api.create_load_balancer(**request)["LoadBalancers"][0]["LoadBalancerArn"])

    def settle(self, api: Any, id: str, inputs: Properties) -> None:
        end = time.monotonic() + self.default_timeout
        while True:
            state = api.describe_load_balancers(LoadBalancerArns=[id])["LoadBalancers"][0].get("State", {})
            if state.get("Code") in ("active", "active_impaired"):
                break
            if state.get("Code") == "failed" or time.monotonic() >= end:
                raise TimeoutError(
                    f"the load balancer is {state.get('Code')}: {state.get('Reason', 'no reason given')}"
                )
            pause(1)
        self._modify(api, id, {"loadBalancerType": inputs["loadBalancerType"]}, inputs)

    def _modify(self, api: Any, id: str, old: Properties, new: Properties) -> None:
        names = self._attributes(new["loadBalancerType"])
        if wanted := attribute_list(names, self._wanted(old), self._wanted(new)):
            api.modify_load_balancer_attributes(LoadBalancerArn=id, Attributes=wanted)
        if changed(["minimumLoadBalancerCapacity"], old, new):
            capacity = new.get("minimumLoadBalancerCapacity")
            if capacity:
                units = {"CapacityUnits": capacity["capacityUnits"]}
                api.modify_capacity_reservation(LoadBalancerArn=id, MinimumLoadBalancerCapacity=units)
            else:
                api.modify_capacity_reservation(LoadBalancerArn=id, ResetCapacityReservation=True)
        inbound = "enforceSecurityGroupInboundRulesOnPrivateLinkTraffic"
        if inbound in new and changed([inbound], old, new):
            groups = new.get("securityGroups") or []
            api.set_security_groups(LoadBalancerArn=id, SecurityGroups=groups, **{pascal(inbound): new[inbound]})

    def describe(self, api: Any, id: str, inputs: Properties) -> Properties | None:
        balancer = api.describe_load_balancers(LoadBalancerArns=[id])["LoadBalancers"][0]
        answer = api.describe_load_balancer_attributes(LoadBalancerArn=id)["Attributes"]
        attributes = {item["Key"]: item["Value"] for item in answer}
        names = self._attributes(balancer["Type"])
        values: dict[str, Any] = {path: attributes[key] for path, key in names.items() if key in attributes}
        wanted = flat(self.schema, inputs)
        off: Properties = {}
        for block in _LOGS:
            if values.get(f"{block}.enabled", "false") == "false":
                # Of a log that is off nothing but the switch counts; its bucket may be stated as "".
                values = {path: value for path, value in values.items() if not path.startswith(f"{block}.")}
                if block in inputs:
                    off[block] = {**inputs[block], "enabled": False}
        zones = balancer.get("AvailabilityZones", [])
        mappings = [
            {"subnetId": zone["SubnetId"], **_address(zone)}
            for zone in sorted(zones, key=lambda zone: zone["SubnetId"])
        ]
        live = {
            **nest(self.schema, {**_unreported(wanted, LOAD_BALANCER_ATTRIBUTES, values), **values}),
            **off,
            "name": balancer["LoadBalancerName"],
            "loadBalancerType": balancer["Type"],
            "internal": balancer.get("Scheme") == "internal",
            "ipAddressType": balancer.get("IpAddressType"),
            "securityGroups": balancer.get("SecurityGroups", []),
            "subnets": [mapping["subnetId"] for mapping in mappings],
            "subnetMappings": mappings,
            "customerOwnedIpv4Pool": balancer.get("CustomerOwnedIpv4Pool"),
            "ipamPools": from_api({"ipamPools": self.schema["ipamPools"]}, balancer).get("ipamPools"),
            "enforceSecurityGroupInboundRulesOnPrivateLinkTraffic": balancer.get(
                "EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic"
            ),
            "arn": id,
            "arnSuffix": tail(id).removeprefix("loadbalancer/"),
            "dnsName": balancer["DNSName"],
            "vpcId": balancer.get("VpcId"),
            "zoneId": balancer.get("CanonicalHostedZoneId"),
            "tagsAll": self.tags(api, id),
        }
        if not inputs and not any(len(mapping) > 1 for mapping in mappings):
            del live["subnetMappings"]  # an import takes the plain way of the two
        if "minimumLoadBalancerCapacity" in inputs:
            reserved = api.describe_capacity_reservation(LoadBalancerArn=id).get("MinimumLoadBalancerCapacity")
            live["minimumLoadBalancerCapacity"] = reserved and {"capacityUnits": reserved["CapacityUnits"]}
        return live

    def change(self, api: Any, id: str, old: Properties, new: Properties) -> None:
        if changed(["subnets", "subnetMappings"], old, new):
            api.set_subnets(
                LoadBalancerArn=id, **to_api({key: self.schema[key] for key in ("subnets", "subnetMappings")}, new)
            )
        if changed(["securityGroups"], old, new):
            api.set_security_groups(LoadBalancerArn=id, SecurityGroups=new.get("securityGroups") or [])
        if changed(["ipAddressType"], old, new) and new.get("ipAddressType"):
            api.set_ip_address_type(LoadBalancerArn=id, IpAddressType=new["ipAddressType"])
        if changed(["ipamPools"], old, new):
            pools = new.get("ipamPools")
            request = (
                {"IpamPools": {"Ipv4IpamPoolId": pools["ipv4IpamPoolId"]}} if pools else {"RemoveIpamPools": ["ipv4"]}
            )
            api.modify_ip_pools(LoadBalancerArn=id, **request)
        self._modify(api, id, old, new)

    def remove(self, api: Any, id: str, state: Properties, timeout: float) -> None:
        api.delete_load_balancer(LoadBalancerArn=id)


def _address(zone: Mapping[str, Any]) -> Properties:
    addresses = zone.get("LoadBalancerAddresses") or [{}]
    found = {
        "allocationId": addresses[0].get("AllocationId"),
        "ipv6Address": addresses[0].get("IPv6Address"),
        "privateIpv4Address": addresses[0].get("PrivateIPv4Address"),
        "outpostId": zone.get("OutpostId"),
    }
    return {key: value for key, value in found.items() if value}
