"""The stand-in for the AWS provider against the local cloud's APIs in this process, as the engine would ask."""
# ruff: noqa: ANN401 - clients and type hints of the SDK have no static type

import base64
import collections.abc
import json
import operator
import sys
import tempfile
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import pulumi._types
import pulumi_aws
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from sandbox import ca, paths
from sandbox.aws import gaps
from sandbox.providers.aws import base, elb
from sandbox.providers.aws.__main__ import provider
from sandbox.providers.aws.base import AwsResource, Cloud
from sandbox.providers.aws.schema import JSON, MAP, PAIRS, Arg, Schema, align
from sandbox.providers.plugin import UNKNOWN, CheckFailure, PartialFailure, Properties, Provider, differences

pytestmark = pytest.mark.slow  # the local cloud's own parts: `make test` runs them

gaps.fill()
REGION = "eu-west-1"
FIXED = {"type": "fixed-response", "fixedResponse": {"contentType": "text/plain", "statusCode": "503"}}
EVERYWHERE = [{"pathPattern": {"values": ["/*"]}}]
LB, TARGET_GROUP = "lb/loadBalancer:LoadBalancer", "lb/targetGroup:TargetGroup"
LISTENER, RULE = "lb/listener:Listener", "lb/listenerRule:ListenerRule"
CERTIFICATE_OF_ACM = "acm/certificate:Certificate"
CERTIFICATE = "lb/listenerCertificate:ListenerCertificate"
GROUP = "ec2/securityGroup:SecurityGroup"
INGRESS, EGRESS = (f"vpc/securityGroup{way}Rule:SecurityGroup{way}Rule" for way in ("Ingress", "Egress"))
ACL, SHIELD = "wafv2/webAcl:WebAcl", "wafv2/webAclAssociation:WebAclAssociation"
LIFE = "s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
BUCKET, _ENCRYPTION = "s3/bucket:Bucket", "SideEncryptionConfiguration"
SECRET, ALARM, TOPIC = "secretsmanager/secret:Secret", "cloudwatch/metricAlarm:MetricAlarm", "sns/topic:Topic"


@dataclass
class World:
    """An account in moto with a network, and the provider configured for it."""

    cloud: Cloud
    provider: Provider
    made: dict[tuple[str, str], str] = field(default_factory=dict)

    def __getitem__(self, token: str) -> AwsResource:
        found = self.provider.resources[f"aws:{token}"]
        assert isinstance(found, AwsResource)
        return found

    def make(self, token: str, name: str, inputs: Properties) -> tuple[str, Properties, Properties]:
        """Check and create; give ID, checked inputs and outputs."""
        checked = self[token].check(name, None, inputs)
        made, outputs = self[token].create(checked, 5)
        return made, checked, outputs

    def once(self, token: str, name: str, inputs: Properties) -> str:
        """Give the ID of the one object of that type and name."""
        if (token, name) not in self.made:
            self.made[token, name] = self.make(token, name, inputs)[0]
        return self.made[token, name]

    @cached_property
    def elb(self) -> Any:
        return self.cloud.client("elbv2")

    @cached_property
    def vpc(self) -> str:
        return str(self.cloud.client("ec2").describe_vpcs()["Vpcs"][0]["VpcId"])

    @cached_property
    def subnets(self) -> list[str]:
        return [str(subnet["SubnetId"]) for subnet in self.cloud.client("ec2").describe_subnets()["Subnets"]]

    @cached_property
    def certificates(self) -> list[str]:
        acm = self.cloud.client("acm")
        return [acm.import_certificate(Certificate=chain, PrivateKey=key)["CertificateArn"] for chain, key in _signed()]

    def role(self, name: str) -> str:
        """Give the ARN of a role of that name."""
        made = self.once("iam/role:Role", name, {"assumeRolePolicy": ASSUME, "name": name})
        return f"arn:aws:iam::123456789012:role/{made}"

    @cached_property
    def logs(self) -> str:
        """A bucket that takes a load balancer's logs."""
        bucket = self.make(BUCKET, "logs", {})[0]
        who = {"Service": "logdelivery.elasticloadbalancing.amazonaws.com"}
        policy = _allow("s3:PutObject", Principal=who, Resource=f"arn:aws:s3:::{bucket}/*")
        self.cloud.client("s3").put_bucket_policy(Bucket=bucket, Policy=policy)
        return bucket

    @cached_property
    def groups(self) -> list[str]:
        return [self.make(GROUP, name, {"vpcId": self.vpc})[0] for name in "ab"]

    @cached_property
    def targets(self) -> list[str]:
        return [self.make(TARGET_GROUP, name, http_group(self))[0] for name in ("blue", "green")]

    @cached_property
    def balancer(self) -> str:
        return self.make(LB, "shop", {"subnets": self.subnets[:2]})[0]

    @cached_property
    def listener(self) -> str:
        return self.make(LISTENER, "http", {"loadBalancerArn": self.balancer, "port": 80, "defaultActions": [FIXED]})[0]

    @cached_property
    def secure(self) -> str:
        return self.make(LISTENER, "https", https_listener(self))[0]

    def weighted(self, blue: int, green: int) -> Properties:
        groups = [{"arn": arn, "weight": weight} for arn, weight in zip(self.targets, (blue, green), strict=True)]
        forward = {"targetGroups": groups, "stickiness": {"enabled": False, "duration": 3600}}
        return {
            "listenerArn": self.listener,
            "priority": 100,
            "conditions": EVERYWHERE,
            "actions": [{"type": "forward", "forward": forward}],
        }

    def live_weights(self, rule: str) -> dict[str, int]:
        found = self.elb.describe_rules(RuleArns=[rule])["Rules"][0]["Actions"][0]["ForwardConfig"]["TargetGroups"]
        return {item["TargetGroupArn"]: item["Weight"] for item in found}


@cache
def _signed() -> list[tuple[bytes, bytes]]:
    """Two certificates and their keys; the authority is as good as any."""
    with tempfile.TemporaryDirectory() as folder:
        authority = Path(folder) / "ca.crt", Path(folder) / "ca.key"
        return [ca.issue([f"{name}.example.com"], *authority) for name in "ab"]


def http_group(world: World, **more: Any) -> Properties:
    return {"port": 8080, "protocol": "HTTP", "targetType": "ip", "vpcId": world.vpc, **more}


def https_listener(world: World, **more: Any) -> Properties:
    common = {"loadBalancerArn": world.balancer, "port": 443, "protocol": "HTTPS", "defaultActions": [FIXED]}
    return {**common, "certificateArn": world.certificates[0], **more}


@pytest.fixture(scope="module")
def cloud() -> Cloud:
    """Clients take longer to make than a test takes; moto serves them whenever it is on."""
    return Cloud()


@pytest.fixture
def world(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")  # a second for each test
    with mock_aws():
        if cloud.configuration != {"region": REGION}:
            cloud.configure({"region": REGION})
        yield World(cloud, provider(cloud))


# --- every type: create, read, change, import, delete ---------------------------------------------------------------

Inputs = Callable[[World], Properties]


@dataclass(frozen=True)
class Case:
    """What a program writes first and then, for one type."""

    token: str
    first: Inputs
    then: Inputs | None = None
    forgotten: frozenset[str] = frozenset()
    """Arguments that no API gives back."""
    imported: str = "{id}"
    """What an import names, of the outputs."""
    stays: bool = False
    """Something of it is there even when it is deleted."""


def _alarm(**more: Any) -> Inputs:
    common = {"comparisonOperator": "GreaterThanThreshold", "evaluationPeriods": 5, "threshold": 5}
    return lambda _: {**common, **more}


def _rule(conditions: list[Properties], *actions: Properties) -> Inputs:
    return lambda w: {
        "listenerArn": w.listener,
        "priority": 7,
        "conditions": conditions,
        "actions": [*actions] or [FIXED],
    }


def _opening(**more: Any) -> Inputs:
    return lambda w: {"securityGroupId": w.groups[0], **more}


DIMENSIONS = {"LoadBalancer": "app/shop/1", "TargetGroup": "targetgroup/blue/2"}
METRIC = {"namespace": "AWS/ApplicationELB", "period": 60, "stat": "Sum", "dimensions": DIMENSIONS}
POLICY = json.dumps({"Version": "2012-10-17", "Statement": []})

CASES = {
    "a plain target group": Case(TARGET_GROUP, http_group),
    "a target group with all that an ALB heeds": Case(
        TARGET_GROUP,
        lambda w: http_group(
            w,
            deregistrationDelay=15,
            slowStart=30,
            protocolVersion="HTTP2",
            loadBalancingAlgorithmType="round_robin",
            loadBalancingCrossZoneEnabled="true",
            healthCheck={"path": "/ready", "port": 9000, "interval": 5, "timeout": 2, "matcher": "200-204"},
            stickiness={"type": "app_cookie", "cookieName": "c", "cookieDuration": 60},
            targetGroupHealth={
                "dnsFailover": {"minimumHealthyTargetsCount": "2"},
                "unhealthyStateRouting": {"minimumHealthyTargetsCount": 2, "minimumHealthyTargetsPercentage": "50"},
            },
            tags={"color": "blue"},
        ),
        lambda w: http_group(
            w,
            deregistrationDelay=0,
            protocolVersion="HTTP2",
            loadBalancingAlgorithmType="least_outstanding_requests",
            healthCheck={"path": "/live", "interval": 10, "timeout": 4, "matcher": "200", "healthyThreshold": 2},
            stickiness={"type": "lb_cookie", "enabled": False},
            tags={"color": "green", "owner": "team"},
        ),
    ),
    "a target group of lambda functions": Case(
        TARGET_GROUP, lambda _: {"targetType": "lambda", "lambdaMultiValueHeadersEnabled": True}
    ),
    "a target group over TCP": Case(
        TARGET_GROUP,
        lambda w: {
            "port": 80,
            "protocol": "TCP",
            "vpcId": w.vpc,
            "proxyProtocolV2": True,
            "connectionTermination": True,
            "preserveClientIp": "true",
            "healthCheck": {"protocol": "TCP", "port": "90"},
        },
    ),
    "a plain load balancer": Case(LB, lambda w: {"subnets": w.subnets[:2]}),
    "a load balancer with all that an ALB heeds": Case(
        LB,
        lambda w: {
            "subnets": w.subnets[1::-1],
            "securityGroups": w.groups[::-1],
            "internal": True,
            "clientKeepAlive": 120,
            "desyncMitigationMode": "strictest",
            "dropInvalidHeaderFields": True,
            "enableHttp2": False,
            "enableTlsVersionAndCipherSuiteHeaders": True,
            "enableWafFailOpen": True,
            "enableXffClientPort": True,
            "enableZonalShift": True,
            "idleTimeout": 120,
            "preserveHostHeader": True,
            "xffHeaderProcessingMode": "remove",
            "accessLogs": {"bucket": w.logs, "enabled": True, "prefix": "a"},
            "connectionLogs": {"bucket": w.logs, "enabled": True, "prefix": "c"},
            "tags": {"a": "b"},
        },
        lambda w: {
            "subnets": w.subnets[1:3],
            "securityGroups": w.groups[:1],
            "internal": True,
            "ipAddressType": "dualstack",
            "enableDeletionProtection": True,
            "accessLogs": {"bucket": w.logs, "enabled": False},
        },
    ),
    "a network load balancer": Case(
        LB,
        lambda w: {
            "loadBalancerType": "network",
            "subnetMappings": [{"subnetId": subnet} for subnet in w.subnets[:2]],
            "enableCrossZoneLoadBalancing": True,
            "dnsRecordClientRoutingPolicy": "availability_zone_affinity",
        },
        forgotten=frozenset({"subnetMappings"}),
    ),
    "a listener with headers of its own": Case(
        LISTENER,
        lambda w: {
            "loadBalancerArn": w.balancer,
            "port": 443,
            "protocol": "HTTPS",
            "certificateArn": w.certificates[0],
            "sslPolicy": "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09",
            "defaultActions": [{"type": "redirect", "redirect": {"statusCode": "HTTP_301", "protocol": "HTTPS"}}],
            "routingHttpResponseServerEnabled": False,
            "routingHttpResponseStrictTransportSecurityHeaderValue": "max-age=31536000",
            "routingHttpRequestXAmznMtlsClientcertSerialNumberHeaderName": "x-serial",
        },
        lambda w: {
            "loadBalancerArn": w.balancer,
            "port": 8443,
            "protocol": "HTTPS",
            "certificateArn": w.certificates[1],
            "sslPolicy": "ELBSecurityPolicy-TLS13-1-2-2021-06",
            "defaultActions": [FIXED],
            "routingHttpResponseServerEnabled": True,
            "routingHttpResponseStrictTransportSecurityHeaderValue": "max-age=60",
            "tags": {"a": "b"},
        },
    ),
    "a listener that forwards to one group": Case(
        LISTENER,
        lambda w: {
            "loadBalancerArn": w.balancer,
            "port": 81,
            "defaultActions": [{"type": "forward", "targetGroupArn": w.targets[0]}],
        },
        lambda w: {
            "loadBalancerArn": w.balancer,
            "port": 81,
            "defaultActions": [{"type": "forward", "forward": {"targetGroups": [{"arn": w.targets[1]}]}}],
        },
    ),
    "a further certificate": Case(
        CERTIFICATE, lambda w: {"listenerArn": w.secure, "certificateArn": w.certificates[1]}
    ),
    "a rule by weights": Case(RULE, lambda w: w.weighted(90, 10), lambda w: w.weighted(0, 100)),
    "a rule that becomes another": Case(
        RULE,
        _rule([{"hostHeader": {"values": ["b.example.com", "a.example.com"]}}], FIXED),
        lambda w: {
            "listenerArn": w.listener,
            "priority": 8,
            "conditions": [{"sourceIp": {"values": ["10.0.0.0/8"]}}, *EVERYWHERE],
            "actions": [{"type": "forward", "targetGroupArn": w.targets[0]}],
            "tags": {"a": "b"},
        },
    ),
    "a rule by header and method": Case(
        RULE,
        _rule(
            [
                {"httpHeader": {"httpHeaderName": "x-canary", "values": ["true"]}},
                {"httpRequestMethod": {"values": ["GET", "HEAD"]}},
            ]
        ),
    ),
    "a rule by query": Case(RULE, _rule([{"queryStrings": [{"key": "a", "value": "1"}, {"value": "2"}]}])),
    "a rule that redirects": Case(
        RULE, _rule(EVERYWHERE, {"type": "redirect", "redirect": {"statusCode": "HTTP_302", "path": "/new"}})
    ),
    "a rule with sign-in before it": Case(
        RULE,
        _rule(
            EVERYWHERE,
            {
                "type": "authenticate-oidc",
                "order": 1,
                "authenticateOidc": {
                    "authorizationEndpoint": "https://id.example.com/authorize",
                    "clientId": "shop",
                    "clientSecret": "not-a-secret",
                    "issuer": "https://id.example.com",
                    "tokenEndpoint": "https://id.example.com/token",
                    "userInfoEndpoint": "https://id.example.com/me",
                },
            },
            {**FIXED, "order": 2},
        ),
        forgotten=frozenset({"actions"}),
    ),
    "a security group": Case(
        GROUP,
        lambda w: {"vpcId": w.vpc, "description": "d"},
        lambda w: {"vpcId": w.vpc, "description": "d", "tags": {"a": "b"}},
    ),
    "an ingress rule": Case(
        INGRESS,
        _opening(ipProtocol="tcp", fromPort=80, toPort=80, cidrIpv4="10.0.0.0/8", description="web"),
        _opening(ipProtocol="udp", fromPort=81, toPort=82, cidrIpv4="11.0.0.0/8", description="other", tags={"a": "b"}),
    ),
    "an ingress rule by protocol number": Case(
        INGRESS,
        _opening(ipProtocol="6", fromPort=90, toPort=90, cidrIpv6="fd00::/8"),
        forgotten=frozenset({"ipProtocol"}),
    ),
    "an egress rule to a group": Case(
        EGRESS,
        lambda w: {
            "securityGroupId": w.groups[0],
            "ipProtocol": "tcp",
            "fromPort": 1,
            "toPort": 2,
            "referencedSecurityGroupId": w.groups[1],
        },
    ),
    "an egress rule for everything": Case(EGRESS, _opening(ipProtocol="-1", cidrIpv4="0.0.0.0/0")),
    "a secret": Case(
        SECRET,
        lambda _: {"description": "d", "recoveryWindowInDays": 7, "policy": POLICY, "tags": {"a": "b"}},
        lambda _: {"description": "e", "kmsKeyId": "alias/k", "policy": POLICY, "tags": {"a": "c"}},
        forgotten=frozenset({"recoveryWindowInDays"}),
    ),
    "a replicated secret": Case(
        SECRET,
        lambda _: {"replicas": [{"region": "eu-central-1"}], "forceOverwriteReplicaSecret": True},
        lambda _: {"replicas": [{"region": "us-east-1"}]},
        forgotten=frozenset({"forceOverwriteReplicaSecret"}),
    ),
    "an alarm on a metric": Case(
        ALARM,
        _alarm(
            metricName="TargetResponseTime",
            namespace="AWS/ApplicationELB",
            period=60,
            extendedStatistic="p95",
            evaluateLowSampleCountPercentiles="ignore",
            dimensions=DIMENSIONS,
            alarmDescription="slow",
            alarmActions=["arn:aws:sns:eu-west-1:123456789012:a"],
            okActions=["arn:aws:sns:eu-west-1:123456789012:b"],
            insufficientDataActions=["arn:aws:sns:eu-west-1:123456789012:c"],
            datapointsToAlarm=3,
            treatMissingData="notBreaching",
            tags={"a": "b"},
        ),
        _alarm(threshold=0.5, metricName="m", namespace="n", period=120, statistic="Sum", actionsEnabled=False),
    ),
    "an alarm on an expression": Case(
        ALARM,
        _alarm(
            metricQueries=[
                {"id": "rate", "expression": "100 * errors / requests", "label": "rate", "returnData": True},
                {"id": "errors", "metric": {**METRIC, "metricName": "HTTPCode_Target_5XX_Count"}},
                {"id": "requests", "metric": {**METRIC, "metricName": "RequestCount", "unit": "Count"}},
            ]
        ),
        _alarm(
            threshold=2.5,
            metricQueries=[
                {"id": "requests", "metric": {**METRIC, "metricName": "RequestCount"}},
                {"id": "rate", "expression": "requests", "returnData": True},
            ],
        ),
    ),
    "a topic": Case(
        TOPIC,
        lambda _: {"displayName": "d", "kmsMasterKeyId": "alias/aws/sns", "policy": POLICY, "tags": {"a": "b"}},
        lambda _: {"displayName": "e", "policy": POLICY},
    ),
    "a FIFO topic": Case(TOPIC, lambda _: {"fifoTopic": True, "contentBasedDeduplication": True}),
}


def _allow(action: str, **more: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, **more}]})


IRSA = _allow(
    "sts:AssumeRoleWithWebIdentity",
    Principal={"Federated": "arn:aws:iam::123456789012:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/ABC"},
    Condition={"StringEquals": {"oidc.eks.eu-west-1.amazonaws.com/id/ABC:sub": "system:serviceaccount:shop:blue"}},
)
PULL, PULL_MORE = (
    _allow(action, Principal={"AWS": "arn:aws:iam::123456789012:root"})
    for action in ("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
)
ASSUME, ASSUME_MORE = (
    _allow("sts:AssumeRole", Principal={"Service": service})
    for service in ("pods.eks.amazonaws.com", "ec2.amazonaws.com")
)
READ = _allow("s3:GetObject", Resource="*")
KEEP = json.dumps(
    {
        "rules": [
            {
                "rulePriority": 1,
                "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 9},
                "action": {"type": "expire"},
            }
        ]
    }
)


def _made(token: str, logical: str, /, **inputs: Any) -> Inputs:
    """Make an object and give its ID as the only input: for what belongs to it."""
    argument = inputs.pop("argument")
    more = inputs.pop("more", {})
    return lambda w: {argument: w.once(token, logical, inputs), **more}


def _record(**more: Any) -> Inputs:
    def inputs(world: World) -> Properties:
        route53 = world.cloud.client("route53")
        zones = route53.list_hosted_zones()["HostedZones"]
        zone = zones[0] if zones else route53.create_hosted_zone(Name="example.com", CallerReference="1")["HostedZone"]
        return {"zoneId": zone["Id"].rpartition("/")[2], "name": "shop", **more}

    return inputs


def _managed(world: World, name: str) -> str:
    arn = f"arn:aws:iam::123456789012:policy/{name}"
    if ("managed", name) not in world.made:
        policy = world.cloud.client("iam").create_policy(PolicyName=name, PolicyDocument=READ)["Policy"]
        world.made["managed", name] = policy["Arn"]
    return arn


CASES |= {
    "a topic's policy": Case(
        "sns/topicPolicy:TopicPolicy", _made(TOPIC, "t", argument="arn", more={"policy": POLICY}), stays=True
    ),
    "a topic's subscription": Case(
        "sns/topicSubscription:TopicSubscription",
        _made(TOPIC, "t", name="t", argument="topic", more={"protocol": "https", "endpoint": "https://a.example.com"}),
        _made(
            TOPIC,
            "t",
            name="t",
            argument="topic",
            more={
                "protocol": "https",
                "endpoint": "https://a.example.com",
                "rawMessageDelivery": True,
                "filterPolicy": json.dumps({"color": ["blue"]}),
            },
        ),
    ),
    "a secret's policy": Case(
        "secretsmanager/secretPolicy:SecretPolicy",
        _made(SECRET, "s", argument="secretArn", more={"policy": POLICY, "blockPublicPolicy": True}),
        forgotten=frozenset({"blockPublicPolicy"}),
    ),
    "a key": Case(
        "kms/key:Key",
        lambda _: {"description": "d", "enableKeyRotation": True, "deletionWindowInDays": 7, "tags": {"a": "b"}},
        lambda _: {"description": "e", "isEnabled": False, "policy": POLICY, "tags": {"a": "c"}},
        forgotten=frozenset({"deletionWindowInDays"}),
    ),
    "a key's alias": Case("kms/alias:Alias", _made("kms/key:Key", "k", argument="targetKeyId")),
    "a certificate": Case(
        "acm/certificate:Certificate",
        lambda _: {
            "domainName": "example.com",
            "validationMethod": "DNS",
            "subjectAlternativeNames": ["www.example.com"],
            "tags": {"a": "b"},
        },
        lambda _: {
            "domainName": "example.com",
            "validationMethod": "DNS",
            "subjectAlternativeNames": ["www.example.com"],
            "tags": {"a": "c"},
        },
    ),
    "a record": Case(
        "route53/record:Record",
        _record(type="A", ttl=60, records=["10.0.0.2", "10.0.0.1"]),
        _record(type="A", ttl=30, records=["10.0.0.1"]),
    ),
    "a record of text": Case("route53/record:Record", _record(type="TXT", ttl=60, records=["v=spf1 -all"])),
    "a record that is an alias": Case(
        "route53/record:Record",
        _record(
            type="A",
            name="*.example.com",
            aliases=[{"name": "Shop-1.elb.amazonaws.com", "zoneId": "Z2P70J7EXAMPLE", "evaluateTargetHealth": True}],
        ),
        forgotten=frozenset({"aliases"}),
    ),
    "a record by weight": Case(
        "route53/record:Record",
        _record(
            type="CNAME",
            ttl=5,
            records=["a.example.org"],
            setIdentifier="a",
            weightedRoutingPolicies=[{"weight": 10}],
        ),
        _record(
            type="CNAME",
            ttl=5,
            records=["a.example.org"],
            setIdentifier="a",
            weightedRoutingPolicies=[{"weight": 20}],
        ),
    ),
    "a role": Case(
        "iam/role:Role",
        lambda _: {"assumeRolePolicy": ASSUME, "description": "d", "tags": {"a": "b"}},
        lambda _: {"assumeRolePolicy": ASSUME_MORE, "description": "e", "maxSessionDuration": 7200, "tags": {"a": "c"}},
    ),
    "a role's attached policy": Case(
        "iam/rolePolicyAttachment:RolePolicyAttachment",
        lambda w: {
            "role": w.once("iam/role:Role", "r", {"assumeRolePolicy": ASSUME}),
            "policyArn": _managed(w, "read"),
        },
    ),
    "a repository": Case(
        "ecr/repository:Repository",
        lambda _: {
            "name": "shop",
            "imageTagMutability": "IMMUTABLE",
            "imageScanningConfiguration": {"scanOnPush": True},
            "encryptionConfigurations": [{"encryptionType": "AES256"}],
            "tags": {"a": "b"},
        },
        lambda _: {
            "name": "shop",
            "imageScanningConfiguration": {"scanOnPush": False},
            "encryptionConfigurations": [{"encryptionType": "AES256"}],
            "tags": {"a": "c"},
        },
    ),
    "what a repository keeps": Case(
        "ecr/lifecyclePolicy:LifecyclePolicy",
        _made("ecr/repository:Repository", "shop", argument="repository", more={"policy": KEEP}),
    ),
}


def _identity(**more: Any) -> Inputs:
    return lambda w: {
        "clusterName": "main",
        "namespace": "shop",
        "serviceAccount": "blue",
        "roleArn": w.role("blue"),
        **{key: w.role(value) if key.endswith("Arn") else value for key, value in more.items()},
    }


def _rotation(**more: Any) -> Inputs:
    function = "arn:aws:lambda:eu-west-1:123456789012:function:rotate"
    return _made(SECRET, "s", argument="secretId", more={"rotationLambdaArn": function, **more})


def _issued(world: World) -> Properties:
    """A certificate whose validation record is in its zone."""
    inputs = {"domainName": "example.com", "validationMethod": "DNS"}
    arn = world.once(CERTIFICATE_OF_ACM, "c", inputs)
    read = world[CERTIFICATE_OF_ACM].read(arn, inputs)
    assert read is not None
    (option,) = read[1]["domainValidationOptions"]
    record = _record(
        name=option["resourceRecordName"],
        type=option["resourceRecordType"],
        ttl=60,
        records=[option["resourceRecordValue"]],
    )(world)
    world.once("route53/record:Record", "validation", record)
    return {"certificateArn": arn, "validationRecordFqdns": [option["resourceRecordName"]]}


EVERYBODY = _allow("kms:*", Resource="*", Principal={"AWS": "arn:aws:iam::123456789012:root"})
CASES |= {
    "a pod identity": Case(
        "eks/podIdentityAssociation:PodIdentityAssociation",
        _identity(tags={"a": "b", "c": "d"}),
        _identity(roleArn="green", targetRoleArn="far", disableSessionTags=True, tags={"a": "c"}),
        imported="{clusterName},{associationId}",
    ),
    "a rotation": Case(
        "secretsmanager/secretRotation:SecretRotation",
        _rotation(rotateImmediately=False, rotationRules={"automaticallyAfterDays": 30, "duration": "2h"}),
        _rotation(rotateImmediately=False, rotationRules={"scheduleExpression": "rate(10 days)"}),
        forgotten=frozenset({"rotateImmediately"}),
    ),
    "a validated certificate": Case(
        "acm/certificateValidation:CertificateValidation",
        _issued,
        forgotten=frozenset({"validationRecordFqdns"}),
        stays=True,
    ),
    "a key of several regions": Case(
        "kms/key:Key",
        lambda _: {"policy": EVERYBODY, "multiRegion": True, "enableKeyRotation": True, "rotationPeriodInDays": 90},
        lambda _: {"policy": EVERYBODY, "multiRegion": True, "enableKeyRotation": True, "rotationPeriodInDays": 180},
    ),
    "a copied secret under a key": Case(
        SECRET,
        lambda _: {
            "kmsKeyId": "arn:aws:kms:eu-west-1:123456789012:key/k",
            "replicas": [{"region": "eu-central-1", "kmsKeyId": "arn:aws:kms:eu-central-1:123456789012:key/k"}],
            "recoveryWindowInDays": 0,
        },
        forgotten=frozenset({"recoveryWindowInDays"}),
    ),
    "a person's subscription": Case(
        "sns/topicSubscription:TopicSubscription",
        _made(TOPIC, "t", argument="topic", more={"protocol": "email", "endpoint": "oncall@example.com"}),
        stays=True,
    ),
    "a role with a boundary that EKS' own identity provider assumes": Case(
        "iam/role:Role",
        lambda w: {
            "assumeRolePolicy": IRSA,
            "permissionsBoundary": _managed(w, "boundary"),
            "namePrefix": "shop-blue-",
            "path": "/shop/",
        },
        lambda w: {
            "assumeRolePolicy": IRSA,
            "permissionsBoundary": _managed(w, "narrower"),
            "namePrefix": "shop-blue-",
            "path": "/shop/",
            "forceDetachPolicies": True,
        },
        forgotten=frozenset({"namePrefix"}),
    ),
    "who may pull from a repository": Case(
        "ecr/repositoryPolicy:RepositoryPolicy",
        _made("ecr/repository:Repository", "shop", argument="repository", more={"policy": PULL}),
        _made("ecr/repository:Repository", "shop", argument="repository", more={"policy": PULL_MORE}),
    ),
    "a listener that says who may read its answers": Case(
        LISTENER,
        lambda w: https_listener(
            w,
            **{
                f"routingHttpResponseAccessControl{name}HeaderValue": value
                for name, value in {
                    "AllowCredentials": "true",
                    "AllowHeaders": "content-type",
                    "AllowMethods": "GET,POST",
                    "AllowOrigin": "https://www.example.com",
                    "ExposeHeaders": "etag",
                    "MaxAge": "600",
                }.items()
            },
        ),
    ),
}


def _bucket(logical: str = "b", **more: Any) -> Inputs:
    return lambda w: {"bucket": w.once(BUCKET, logical, {}), **more}


def _rules(*rules: Properties) -> Properties:
    common = {"status": "Enabled"}
    return {"rules": [{**common, "id": f"rule-{number}", **rule} for number, rule in enumerate(rules)]}


def _encryption(**default: str) -> Properties:
    return {"rules": [{"applyServerSideEncryptionByDefault": default, "bucketKeyEnabled": "kmsMasterKeyId" in default}]}


def _watched(name: str) -> Properties:
    return {"cloudwatchMetricsEnabled": True, "metricName": name, "sampledRequestsEnabled": True}


def acl_rule(name: str, priority: int, statement: Properties, **more: Any) -> Properties:
    return {
        "name": name,
        "priority": priority,
        "statement": statement,
        "visibilityConfig": _watched(name),
        **(more or {"action": {"block": {}}}),
    }


def web_acl(*rules: Properties, **more: Any) -> Properties:
    base = {"scope": "REGIONAL", "defaultAction": {"allow": {}}, "visibilityConfig": _watched("shop")}
    return {**base, **({"rules": [*rules]} if rules else {}), **more}


IP_SET = "arn:aws:wafv2:eu-west-1:123456789012:regional/ipset/ours/1"
RATE = {"rateBasedStatement": {"limit": 2000}}
MANAGED = {"managedRuleGroupStatement": {"vendorName": "AWS", "name": "AWSManagedRulesCommonRuleSet"}}

CASES |= {
    "a bucket": Case(
        BUCKET,
        lambda _: {"forceDestroy": True, "tags": {"a": "b", "c": "d"}},
        lambda _: {"tags": {"a": "c"}},
        forgotten=frozenset({"forceDestroy"}),
    ),
    "a bucket's policy": Case(
        "s3/bucketPolicy:BucketPolicy",
        _bucket(policy=_allow("s3:PutObject", Resource="arn:aws:s3:::b/*", Principal="*")),
        _bucket(policy=_allow("s3:GetObject", Resource="arn:aws:s3:::b/*", Principal="*")),
    ),
    "what of a bucket is public": Case(
        "s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
        _bucket(blockPublicAcls=True, blockPublicPolicy=True, ignorePublicAcls=True, restrictPublicBuckets=True),
        _bucket(blockPublicAcls=True),
    ),
    "how a bucket encrypts": Case(
        f"s3/bucketServer{_ENCRYPTION}:BucketServer{_ENCRYPTION}",
        _bucket(**_encryption(sseAlgorithm="AES256")),
        _bucket(**_encryption(sseAlgorithm="aws:kms", kmsMasterKeyId="arn:aws:kms:eu-west-1:123456789012:key/k")),
    ),
    "what a bucket keeps": Case(
        LIFE,
        _bucket(
            **_rules(
                {"filter": {}, "expiration": {"days": 90}, "abortIncompleteMultipartUpload": {"daysAfterInitiation": 7}}
            )
        ),
        _bucket(
            **_rules(
                {"filter": {"prefix": "alb/"}, "transitions": [{"days": 30, "storageClass": "GLACIER_IR"}]},
                {
                    "filter": {"and": {"prefix": "waf/", "tags": {"a": "b"}}},
                    "noncurrentVersionExpiration": {"noncurrentDays": 3},
                },
                {"filter": {"tag": {"key": "a", "value": "b"}}, "expiration": {"days": 1}, "status": "Disabled"},
            )
        ),
    ),
    "who owns what is in a bucket": Case(
        "s3/bucketOwnershipControls:BucketOwnershipControls",
        _bucket(rule={"objectOwnership": "BucketOwnerEnforced"}),
        _bucket(rule={"objectOwnership": "BucketOwnerPreferred"}),
    ),
    "a web ACL": Case(
        ACL,
        lambda _: web_acl(
            acl_rule("common", 1, MANAGED, overrideAction={"none": {}}),
            acl_rule("rate", 0, RATE, action={"block": {"customResponse": {"responseCode": 429}}}),
            description="d",
            tags={"a": "b"},
        ),
        lambda _: web_acl(
            acl_rule("rate", 0, {"rateBasedStatement": {"limit": 100, "evaluationWindowSec": 60}}),
            acl_rule("common", 1, MANAGED, overrideAction={"count": {}}),
            acl_rule(
                "bad-input",
                2,
                {
                    "managedRuleGroupStatement": {
                        "vendorName": "AWS",
                        "name": "AWSManagedRulesKnownBadInputsRuleSet",
                        "ruleActionOverrides": [{"name": "Log4JRCE_HEADER", "actionToUse": {"count": {}}}],
                        "scopeDownStatement": {"geoMatchStatement": {"countryCodes": ["IE", "DE"]}},
                    }
                },
                overrideAction={"none": {}},
            ),
            tags={"a": "c"},
        ),
    ),
    "a web ACL that lets nobody in": Case(
        ACL,
        lambda _: web_acl(
            acl_rule("our-own", 0, {"ipSetReferenceStatement": {"arn": IP_SET}}, action={"allow": {}}),
            acl_rule("labelled", 1, {"labelMatchStatement": {"scope": "LABEL", "key": "k"}}, action={"count": {}}),
            defaultAction={"block": {"customResponse": {"responseCode": 503, "customResponseBodyKey": "shut"}}},
            customResponseBodies=[{"key": "shut", "content": "shut", "contentType": "TEXT_PLAIN"}],
            tokenDomains=["example.com"],
        ),
    ),
    "what a web ACL protects": Case(
        SHIELD,
        lambda w: {
            "resourceArn": w.balancer,
            "webAclArn": w.cloud.client("wafv2").get_web_acl(
                Name="shop", Scope="REGIONAL", Id=w.once(ACL, "shop", web_acl(name="shop"))
            )["WebACL"]["ARN"],
        },
    ),
}
every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


@every_case
def test_what_was_created_reads_back_as_the_program_wrote_it(world: World, case: Case) -> None:
    made, inputs, _ = world.make(case.token, "it", case.first(world))

    read = world[case.token].read(made, inputs)

    assert read is not None
    assert list(differences(inputs, read[0])) == []
    assert world[case.token].check("it", read[0], case.first(world)) == inputs


@pytest.mark.parametrize(
    "case", [case for case in CASES.values() if case.then], ids=[k for k, c in CASES.items() if c.then]
)
def test_a_change_in_place_arrives_and_is_all_that_differs(world: World, case: Case) -> None:
    assert case.then is not None
    resource = world[case.token]
    made, old, state = world.make(case.token, "it", case.first(world))
    new = resource.check("it", old, case.then(world))
    assert resource.replaces(old, new) == set()

    outputs = resource.update(made, state, old, new, 5)

    read = resource.read(made, new)
    assert read is not None
    assert list(differences(new, read[0])) == []
    assert read[1] == outputs


@every_case
def test_an_import_finds_what_the_program_would_write(world: World, case: Case) -> None:
    resource = world[case.token]
    made, inputs, outputs = world.make(case.token, "it", case.first(world))

    read = resource.read(case.imported.format(**{"id": made, **outputs}), None)

    assert read is not None
    for key in inputs.keys() - {"__defaults", "tagsAll"} - case.forgotten:
        assert align(resource.table[key], read[0].get(key), inputs[key], whole=False) == inputs[key], key
    assert resource.check("it", None, read[0]) == read[0]


@every_case
def test_what_is_deleted_is_gone_and_deleting_it_again_is_no_error(world: World, case: Case) -> None:
    resource = world[case.token]
    made, inputs, state = world.make(case.token, "it", case.first(world))

    resource.delete(made, state, 5)

    assert case.stays or resource.read(made, inputs) is None
    resource.delete(made, state, 5)


@every_case
def test_a_preview_promises_the_inputs_and_knows_nothing_that_is_computed(world: World, case: Case) -> None:
    resource = world[case.token]
    inputs = resource.check("it", None, case.first(world))

    promised = resource.preview(inputs, None)
    _, outputs = resource.create(inputs, 5)

    assert {key for key, value in promised.items() if value is UNKNOWN} >= set(resource.outputs)
    plain = {key for key, value in promised.items() if isinstance(value, str | int | float)}
    assert {key: outputs.get(key) for key in plain} == {key: promised[key] for key in plain}
    later = resource.preview(inputs, outputs)
    assert {key: later[key] for key in resource.outputs if key in outputs} == {
        key: outputs[key] for key in resource.outputs if key in outputs
    }


# --- the official SDK -----------------------------------------------------------------------------------------------


def _class(token: str) -> Any:
    module, _, name = token.partition("/")
    return getattr(getattr(pulumi_aws, module), name.split(":")[1])


def _plain(hint: Any) -> tuple[Any, bool]:
    """Unwrap ``Sequence`` and ``Input`` of the SDK's type hints; tell whether there was a list."""
    origin = typing.get_origin(hint)
    if origin is collections.abc.Sequence:
        return _plain(typing.get_args(hint)[0])[0], True
    if origin is typing.Union:
        return _plain(typing.get_args(hint)[0])
    return (dict if origin is collections.abc.Mapping else hint), False


def _compare(schema: Schema, cls: Any, at: str, lacking: Callable[[set[str]], bool] = operator.not_) -> None:
    """Hold a table against a class of the SDK; `lacking` tells whether it may lack these members."""
    theirs = pulumi._types.input_type_types(cls)
    assert not set(schema) - set(theirs), at
    assert lacking(set(theirs) - set(schema)), at
    for key, arg in schema.items():
        hint, many = _plain(theirs[key])
        assert many == arg.many, f"{at}.{key}"
        if arg.fields is not None:
            _compare(arg.fields, hint, f"{at}.{key}", bool if arg.partial else operator.not_)
        else:
            ours = {JSON: str, MAP: dict, PAIRS: dict}.get(str(arg.type), arg.type)
            assert ours is hint, f"{at}.{key}"


def _arguments(token: str) -> Any:
    """Give the class of a type's arguments; of those that share their name with a block it is another."""
    module = sys.modules[_class(token).__module__]
    name = token.split(":")[1]
    return getattr(module, f"{name}InitArgs", None) or getattr(module, f"{name}Args")


def test_every_type_has_the_arguments_of_the_official_sdk_but_those_that_it_says_it_refuses(world: World) -> None:
    for token in world.provider.resources:
        token = token.removeprefix("aws:")
        resource = world[token]
        _compare(resource.table, _arguments(token), token, resource.refused.__eq__)


def test_every_type_has_exactly_the_outputs_of_the_official_sdk(world: World) -> None:
    for token in world.provider.resources:
        token = token.removeprefix("aws:")
        resource = world[token]
        tags = {"tagsAll"} if "tags" in resource.table else set()
        theirs = set(pulumi._types.resource_types(_class(token)))
        assert set(resource.table) | set(resource.outputs) | tags == theirs - resource.refused, token


# --- names ----------------------------------------------------------------------------------------------------------


def test_a_generated_name_is_kept_and_a_replacement_gets_another(world: World) -> None:
    resource = world[TARGET_GROUP]
    first = resource.check("shop-blue", None, http_group(world))

    again = resource.check("shop-blue", first, http_group(world))
    fresh = resource.check("shop-blue", None, http_group(world))

    assert first["name"].startswith("shop-blue-")
    assert len(first["name"]) == len("shop-blue-") + 7
    assert again["name"] == first["name"]
    assert fresh["name"] != first["name"]


def test_a_logical_name_that_leaves_no_room_for_the_random_digits_is_refused(world: World) -> None:
    world[TARGET_GROUP].check("a" * 24, None, http_group(world))
    with pytest.raises(CheckFailure, match="would pass 32 characters; shorten it to 24"):
        world[TARGET_GROUP].check("a" * 25, None, http_group(world))


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"name": "a" * 33}, "longer than 32"),
        ({"name": "no_underscore"}, "does not match"),
        ({"namePrefix": "seven--"}, "longer than 6"),
        ({"name": "a", "namePrefix": "b"}, "conflicts with name"),
    ],
)
def test_a_name_that_the_api_would_refuse_is_refused_in_the_preview(
    world: World, inputs: Properties, message: str
) -> None:
    with pytest.raises(CheckFailure, match=message):
        world[TARGET_GROUP].check("it", None, http_group(world, **inputs))


def test_a_prefix_is_completed_when_the_object_is_made(world: World) -> None:
    resource = world[TARGET_GROUP]
    inputs = resource.check("it", None, http_group(world, namePrefix="shop-"))

    assert resource.preview(inputs, None)["name"] is UNKNOWN
    _, outputs = resource.create(inputs, 5)

    assert outputs["name"].startswith("shop-")
    assert len(outputs["name"]) <= 32


def test_only_an_object_with_a_name_of_the_programs_own_is_deleted_before_its_replacement(world: World) -> None:
    resource = world[TARGET_GROUP]
    for name, first in (({}, False), ({"name": "fixed"}, True)):
        old = resource.check("it", None, http_group(world, **name))
        new = resource.check("it", old, http_group(world, **name, protocolVersion="GRPC") | {"port": 9090})
        assert resource.deletes_first(old, new) is first


def test_the_name_of_a_fifo_topic_ends_in_fifo(world: World) -> None:
    assert world[TOPIC].check("events", None, {"fifoTopic": True})["name"].endswith(".fifo")


# --- what forces a replacement --------------------------------------------------------------------------------------


def _listener(_: World) -> Properties:
    return {"loadBalancerArn": "a", "defaultActions": [FIXED]}


def _certificate(_: World) -> Properties:
    return {"listenerArn": "a", "certificateArn": "b"}


@pytest.mark.parametrize(
    ("token", "base", "change", "forced"),
    [
        (TARGET_GROUP, http_group, {"port": 9090}, {"port"}),
        (TARGET_GROUP, http_group, {"protocol": "HTTPS"}, {"protocol"}),
        (TARGET_GROUP, http_group, {"protocolVersion": "GRPC"}, {"protocolVersion"}),
        (TARGET_GROUP, http_group, {"targetType": "instance"}, {"targetType"}),
        (TARGET_GROUP, http_group, {"vpcId": "vpc-1"}, {"vpcId"}),
        (TARGET_GROUP, http_group, {"name": "another"}, {"name"}),
        (TARGET_GROUP, http_group, {"vpcId": UNKNOWN}, {"vpcId"}),
        (TARGET_GROUP, http_group, {"deregistrationDelay": 1, "healthCheck": {"path": "/"}}, set()),
        (LB, lambda w: {"subnets": w.subnets}, {"internal": True}, {"internal"}),
        (LB, lambda w: {"subnets": w.subnets}, {"loadBalancerType": "network"}, {"loadBalancerType"}),
        (LB, lambda w: {"subnets": w.subnets}, {"idleTimeout": 5, "securityGroups": ["sg-1"]}, set()),
        (LISTENER, _listener, {"loadBalancerArn": "b"}, {"loadBalancerArn"}),
        (LISTENER, _listener, {"port": 81, "protocol": "HTTP"}, set()),
        (RULE, lambda w: w.weighted(1, 0), {"listenerArn": "b"}, {"listenerArn"}),
        (RULE, lambda w: w.weighted(1, 0), {"priority": 5, "actions": [FIXED]}, set()),
        (CERTIFICATE, _certificate, {"certificateArn": "c"}, {"certificateArn"}),
        (GROUP, lambda _: {"vpcId": "a"}, {"description": "other"}, {"description"}),
        (
            INGRESS,
            lambda _: {"securityGroupId": "a", "ipProtocol": "-1", "cidrIpv4": "10.0.0.0/8"},
            {"securityGroupId": "b"},
            {"securityGroupId"},
        ),
        (SECRET, lambda _: {}, {"name": "other"}, {"name"}),
        (SECRET, lambda _: {}, {"kmsKeyId": "k", "recoveryWindowInDays": 0}, set()),
        (TOPIC, lambda _: {}, {"name": "other.fifo", "fifoTopic": True}, {"name", "fifoTopic"}),
        (TOPIC, lambda _: {}, {"region": "eu-central-1"}, {"region"}),
        (BUCKET, lambda _: {}, {"bucket": "other"}, {"bucket"}),
        (BUCKET, lambda _: {}, {"forceDestroy": True, "tags": {"a": "b"}}, set()),
        ("s3/bucketPolicy:BucketPolicy", lambda _: {"bucket": "a", "policy": POLICY}, {"bucket": "b"}, {"bucket"}),
        (ACL, lambda _: web_acl(), {"scope": "CLOUDFRONT"}, {"scope"}),
        (ACL, lambda _: web_acl(), {"name": "other"}, {"name"}),
        (ACL, lambda _: web_acl(), {"rules": [acl_rule("rate", 0, RATE)], "description": "d"}, set()),
        (SHIELD, lambda _: {"resourceArn": "a", "webAclArn": "b"}, {"resourceArn": UNKNOWN}, {"resourceArn"}),
    ],
)
def test_a_replacement_is_forced_by_what_the_official_provider_cannot_change(
    world: World, token: str, base: Inputs, change: Properties, forced: set[str]
) -> None:
    resource = world[token]
    old = resource.check("it", None, base(world))
    new = resource.check("it", old, {**base(world), **change})
    assert resource.replaces(old, new) == forced


# --- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("token", "inputs", "path"),
    [
        (RULE, {"actions": [{"type": "forward", "forward": {"targetGroup": []}}]}, "actions[0].forward.targetGroup"),
        (RULE, {"actions": [{"type": "forward"}]}, "actions[0]"),
        (RULE, {"actions": [{"type": "teapot"}]}, "actions[0].type"),
        (RULE, {"actions": [{"type": "redirect"}]}, "actions[0].redirect"),
        (
            RULE,
            {"actions": [{"type": "forward", "forward": {"targetGroups": [{"arn": "a", "weight": 1000}]}}]},
            "actions[0].forward.targetGroups[0].weight",
        ),
        (RULE, {"conditions": [{"hostHeader": {"values": ["a"]}, "pathPattern": {"values": ["b"]}}]}, "conditions[0]"),
        (RULE, {"conditions": [{"hostHeader": {}}]}, "conditions[0].hostHeader"),
        (RULE, {"priority": 0}, "priority"),
        (TARGET_GROUP, {"slowStart": 10}, "slowStart"),
        (TARGET_GROUP, {"healthCheck": {"interval": 4}}, "healthCheck.interval"),
        (TARGET_GROUP, {"healthCheck": {"protocol": "TCP"}}, "healthCheck.protocol"),
        (TARGET_GROUP, {"vpcId": None}, "vpcId"),
        (LB, {"subnets": None}, "subnets"),
        (SECRET, {"recoveryWindowInDays": 3}, "recoveryWindowInDays"),
        (ALARM, {"metricName": "m", "namespace": "n", "statistic": "Sum", "extendedStatistic": "p95"}, "statistic"),
        (ALARM, {"metricName": None}, "metricName"),
        (ALARM, {"threshold": "high"}, "threshold"),
        (INGRESS, {"ipProtocol": "tcp", "cidrIpv4": "10.0.0.0/8"}, "fromPort"),
        (INGRESS, {"ipProtocol": "-1"}, "cidrIpv4"),
        (INGRESS, {"ipProtocol": "-1", "cidrIpv4": "a", "cidrIpv6": "b"}, "cidrIpv6"),
        (TOPIC, {"policy": "{not json"}, "policy"),
        (BUCKET, {"acl": "private"}, "acl"),
        (BUCKET, {"bucket": "Shouting"}, "bucket"),
        (ACL, {"ruleJson": "[]"}, "ruleJson"),
        (ACL, {"defaultAction": {}}, "defaultAction"),
        (ACL, {"rules": [acl_rule("a", 0, {"xssMatchStatement": {}})]}, "rules[0].statement.xssMatchStatement"),
        (ACL, {"rules": [acl_rule("a", 0, {**RATE, **MANAGED})]}, "rules[0].statement"),
        (ACL, {"rules": [acl_rule("a", 0, MANAGED)]}, "rules[0].overrideAction"),
        (ACL, {"rules": [acl_rule("a", 0, RATE, overrideAction={"none": {}})]}, "rules[0].action"),
        (
            ACL,
            {"rules": [acl_rule("a", 0, {"rateBasedStatement": {"limit": 9}})]},
            "rules[0].statement.rateBasedStatement.limit",
        ),
        (
            ACL,
            {"rules": [acl_rule("a", 0, {"rateBasedStatement": {"limit": 10, "evaluationWindowSec": 61}})]},
            "rules[0].statement.rateBasedStatement.evaluationWindowSec",
        ),
        (LIFE, {"rules": [{"id": "a", "status": "Enabled", "expiration": {"date": "d"}}]}, "rules[0].expiration.date"),
    ],
)
def test_a_wrong_argument_is_refused_by_its_path(world: World, token: str, inputs: Properties, path: str) -> None:
    whole: dict[str, Properties] = {
        RULE: {"listenerArn": "a", "conditions": EVERYWHERE, "actions": [FIXED]},
        TARGET_GROUP: http_group(world),
        LB: {"subnets": ["a"]},
        ALARM: {"comparisonOperator": "GreaterThanThreshold", "evaluationPeriods": 1},
        INGRESS: {"securityGroupId": "sg-1"},
        ACL: web_acl(),
        LIFE: {"bucket": "b"},
    }
    given = {key: value for key, value in {**whole.get(token, {}), **inputs}.items() if value is not None}

    with pytest.raises(CheckFailure) as failure:
        world[token].check("it", None, given)

    assert failure.value.property == path


def test_a_missing_region_names_the_key_to_set(world: World) -> None:
    world.cloud.configure({})
    with pytest.raises(ValueError, match="aws:region"):
        world[TOPIC].read("arn:aws:sns:eu-west-1:123456789012:a", None)


# --- weights and rules ----------------------------------------------------------------------------------------------


def test_drift_of_the_weights_shows_at_the_groups_that_drifted_whatever_their_order(world: World) -> None:
    rule, inputs, _ = world.make(RULE, "shop", world.weighted(90, 10))
    blue, green = world.targets
    swapped = [{"TargetGroupArn": green, "Weight": 60}, {"TargetGroupArn": blue, "Weight": 40}]
    world.elb.modify_rule(RuleArn=rule, Actions=[{"Type": "forward", "ForwardConfig": {"TargetGroups": swapped}}])

    read = world[RULE].read(rule, inputs)

    assert read is not None
    found = read[0]["actions"][0]["forward"]["targetGroups"]
    assert found == [{"arn": blue, "weight": 40}, {"arn": green, "weight": 60}]


def test_groups_in_another_order_are_no_difference(world: World) -> None:
    old = world[RULE].check("shop", None, world.weighted(90, 10))
    turned = world.weighted(90, 10)
    turned["actions"][0]["forward"]["targetGroups"].reverse()

    assert list(differences(old, world[RULE].check("shop", old, turned))) == []


def test_a_group_that_is_replaced_keeps_its_place_beside_the_other(world: World) -> None:
    old = world[RULE].check("shop", None, world.weighted(90, 10))
    wanted = world.weighted(90, 10)
    wanted["actions"][0]["forward"]["targetGroups"][0]["arn"] = UNKNOWN

    changed = list(differences(old, world[RULE].check("shop", old, wanted)))

    assert changed == [(("actions", 0, "forward", "targetGroups", 0, "arn"), "UPDATE")]


def test_a_flip_sends_all_weights_in_one_call_and_changes_nothing_else(world: World) -> None:
    rule, old, state = world.make(RULE, "shop", world.weighted(100, 0))
    before = world.elb.describe_rules(RuleArns=[rule])["Rules"][0]
    new = world[RULE].check("shop", old, world.weighted(0, 100))

    world[RULE].update(rule, state, old, new, 5)

    after = world.elb.describe_rules(RuleArns=[rule])["Rules"][0]
    assert world.live_weights(rule) == dict(zip(world.targets, (0, 100), strict=True))
    assert {**before, "Actions": None} == {**after, "Actions": None}


def test_a_rule_without_priority_comes_after_the_highest(world: World) -> None:
    world.make(RULE, "first", world.weighted(1, 1) | {"priority": 41})
    plain = {"listenerArn": world.listener, "conditions": EVERYWHERE, "actions": [FIXED]}
    assert world.make(RULE, "second", plain)[2]["priority"] == 42


def test_a_priority_in_use_is_the_apis_own_error(world: World) -> None:
    world.make(RULE, "first", world.weighted(1, 1))
    with pytest.raises(Exception, match=r"PriorityInUse.*The specified priority is in use"):
        world.make(RULE, "second", world.weighted(1, 1))


def test_the_client_secret_of_a_sign_in_survives_a_refresh(world: World) -> None:
    case = CASES["a rule with sign-in before it"]
    made, inputs, _ = world.make(case.token, "it", case.first(world))
    read = world[RULE].read(made, inputs)
    assert read is not None
    assert read[0]["actions"][0]["authenticateOidc"]["clientSecret"] == "not-a-secret"


# --- target groups and load balancers -------------------------------------------------------------------------------


def test_the_arn_suffixes_are_the_dimensions_that_cloudwatch_uses(world: World) -> None:
    group = world.make(TARGET_GROUP, "blue", http_group(world))[2]
    balancer = world.make(LB, "shop", {"subnets": world.subnets[:2]})[2]
    assert group["arnSuffix"].startswith(f"targetgroup/{group['name']}/")
    assert balancer["arnSuffix"].startswith(f"app/{balancer['name']}/")


def test_the_defaults_of_the_official_provider_reach_the_api(world: World) -> None:
    made, _, _ = world.make(TARGET_GROUP, "blue", http_group(world, healthCheck={"path": "/ready"}))
    group = world.elb.describe_target_groups(TargetGroupArns=[made])["TargetGroups"][0]
    assert (group["HealthyThresholdCount"], group["UnhealthyThresholdCount"]) == (3, 3)
    assert group["HealthCheckIntervalSeconds"] == 30


def test_a_group_still_in_use_is_deleted_as_soon_as_nothing_names_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule, _, state = world.make(RULE, "shop", world.weighted(1, 1))
    waits: list[float] = []

    def pause(seconds: float) -> None:
        waits.append(seconds)
        world[RULE].delete(rule, state, 5)

    monkeypatch.setattr(base, "pause", pause)
    world[TARGET_GROUP].delete(world.targets[0], {}, 5)

    assert waits == [1]
    assert world[TARGET_GROUP].read(world.targets[0], {}) is None


def test_a_group_in_use_for_good_gives_the_apis_own_error(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.make(RULE, "shop", world.weighted(1, 1))
    monkeypatch.setattr(elb, "PATIENCE", 0)
    with pytest.raises(Exception, match=r"ResourceInUse.*currently in use by a listener or a rule"):
        world[TARGET_GROUP].delete(world.targets[0], {}, 5)


def test_an_equal_group_that_exists_already_is_not_taken_over(world: World) -> None:
    world.make(TARGET_GROUP, "it", http_group(world, name="fixed"))
    with pytest.raises(ValueError, match="already exists"):
        world.make(TARGET_GROUP, "it", http_group(world, name="fixed"))


def test_what_is_made_but_not_finished_is_kept_and_finished_by_the_next_update(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    resource = world[TARGET_GROUP]
    inputs = resource.check("it", None, http_group(world, deregistrationDelay=7))
    settle = elb.TargetGroup.settle

    def fail(*_: object) -> None:
        raise ValueError("throttled")

    monkeypatch.setattr(elb.TargetGroup, "settle", fail)
    with pytest.raises(PartialFailure, match="throttled") as failure:
        resource.create(inputs, 5)
    assert failure.value.outputs["arn"] == failure.value.id

    monkeypatch.setattr(elb.TargetGroup, "settle", settle)
    outputs = resource.update(failure.value.id, failure.value.outputs, inputs, inputs, 5)
    assert outputs["deregistrationDelay"] == 7


def test_an_argument_that_the_api_completes_stays_when_the_program_drops_it(world: World) -> None:
    given = http_group(world, loadBalancingAlgorithmType="least_outstanding_requests")
    old = world[TARGET_GROUP].check("it", None, given)
    assert list(differences(old, world[TARGET_GROUP].check("it", old, http_group(world)))) == []


def test_a_log_that_the_program_drops_is_switched_off(world: World) -> None:
    subnets = {"subnets": world.subnets[:2]}
    logs = {"accessLogs": {"bucket": world.logs, "enabled": True}}
    made, old, state = world.make(LB, "shop", subnets | logs)

    world[LB].update(made, state, old, world[LB].check("shop", old, subnets), 5)

    attributes = world.elb.describe_load_balancer_attributes(LoadBalancerArn=made)["Attributes"]
    assert {"Key": "access_logs.s3.enabled", "Value": "false"} in attributes


def test_a_new_security_group_lets_nothing_out(world: World) -> None:
    made, _, _ = world.make(GROUP, "alb", {"vpcId": world.vpc})
    group = world.cloud.client("ec2").describe_security_groups(GroupIds=[made])["SecurityGroups"][0]
    assert group["IpPermissionsEgress"] == []


# --- tags -----------------------------------------------------------------------------------------------------------


def test_default_tags_are_on_everything_and_a_resources_own_tag_wins(world: World) -> None:
    world.cloud.configure({"region": REGION, "defaultTags": {"tags": {"env": "test", "color": "none"}}})
    made, inputs, outputs = world.make(TARGET_GROUP, "blue", http_group(world, tags={"color": "blue"}))

    live = world.elb.describe_tags(ResourceArns=[made])["TagDescriptions"][0]["Tags"]

    assert {tag["Key"]: tag["Value"] for tag in live} == {"env": "test", "color": "blue"}
    assert inputs["tags"] == outputs["tags"] == {"color": "blue"}
    assert outputs["tagsAll"] == {"env": "test", "color": "blue"}


def test_a_changed_default_tag_is_an_update_of_what_carries_it(world: World) -> None:
    world.cloud.configure({"region": REGION, "defaultTags": {"tags": {"env": "test"}}})
    made, old, state = world.make(SECRET, "app", {})
    world.cloud.configure({"region": REGION, "defaultTags": {"tags": {"stage": "test"}}})
    new = world[SECRET].check("app", old, {})

    outputs = world[SECRET].update(made, state, old, new, 5)

    assert outputs["tagsAll"] == {"stage": "test"}
    assert outputs["tags"] == {}


def test_a_foreign_tag_is_drift_unless_the_configuration_ignores_it(world: World) -> None:
    made, inputs, _ = world.make(TARGET_GROUP, "blue", http_group(world))
    world.elb.add_tags(ResourceArns=[made], Tags=[{"Key": "elbv2.k8s.aws/cluster", "Value": "a"}])

    drifted = world[TARGET_GROUP].read(made, inputs)
    world.cloud.configure({"region": REGION, "ignoreTags": {"keyPrefixes": ["elbv2.k8s.aws/"]}})
    ignored = world[TARGET_GROUP].read(made, inputs)

    assert drifted is not None
    assert drifted[0]["tags"] == {"elbv2.k8s.aws/cluster": "a"}
    assert ignored is not None
    assert "tags" not in ignored[0]


# --- secrets, alarms, topics ----------------------------------------------------------------------------------------


def test_a_secret_with_a_recovery_window_is_gone_for_the_program_and_kept_by_the_api(world: World) -> None:
    made, inputs, state = world.make(SECRET, "app", {"recoveryWindowInDays": 7})
    world[SECRET].delete(made, state, 5)
    assert world[SECRET].read(made, inputs) is None
    assert "DeletedDate" in world.cloud.client("secretsmanager").describe_secret(SecretId=made)


def test_a_secret_without_a_recovery_window_can_be_made_again_under_its_name(world: World) -> None:
    given = {"name": "app", "recoveryWindowInDays": 0}
    made, _, state = world.make(SECRET, "app", given)
    world[SECRET].delete(made, state, 5)
    assert world.make(SECRET, "app", given)[2]["name"] == "app"


def test_a_policy_in_another_spelling_is_no_difference(world: World) -> None:
    made, inputs, _ = world.make(SECRET, "app", {"policy": POLICY})
    secrets = world.cloud.client("secretsmanager")
    secrets.put_resource_policy(SecretId=made, ResourcePolicy=json.dumps(json.loads(POLICY), indent=4))

    read = world[SECRET].read(made, inputs)

    assert read is not None
    assert read[0]["policy"] == POLICY
    assert world[SECRET].check("app", inputs, {"policy": json.dumps(json.loads(POLICY), indent=2)}) == inputs


def test_an_alarm_on_an_expression_reaches_the_api_in_its_two_layers(world: World) -> None:
    case = CASES["an alarm on an expression"]
    made, _, _ = world.make(ALARM, "errors", case.first(world))

    alarm = world.cloud.client("cloudwatch").describe_alarms(AlarmNames=[made])["MetricAlarms"][0]

    assert [query["Id"] for query in alarm["Metrics"]] == ["rate", "errors", "requests"]
    assert alarm["Metrics"][0]["Expression"] == "100 * errors / requests"
    stat = alarm["Metrics"][1]["MetricStat"]
    assert (stat["Stat"], stat["Period"], stat["Metric"]["MetricName"]) == ("Sum", 60, "HTTPCode_Target_5XX_Count")
    assert {item["Name"]: item["Value"] for item in stat["Metric"]["Dimensions"]} == DIMENSIONS
    assert alarm["Threshold"] == 5.0


class Answers:
    """A client for what moto does not have: it keeps what it is asked and answers as told, by an iterator anew."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.meta = type("Meta", (), {"region_name": REGION})

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(**arguments: Any) -> Any:
            self.asked.append((name, arguments))
            answer = self.answers.get(name, {})
            answer = next(answer) if isinstance(answer, Iterator) else answer
            if isinstance(answer, Exception):
                raise answer
            return answer

        return call


def test_a_composite_alarm_goes_to_the_api_with_its_suppressor(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = {
        "alarmName": "all",
        "alarmRule": 'ALARM("a") OR ALARM("b")',
        "okActions": ["arn:aws:sns:eu-west-1:123456789012:a"],
        "actionsSuppressor": {"alarm": "deploying", "extensionPeriod": 60, "waitPeriod": 120},
    }
    live = {
        "AlarmName": "all",
        "AlarmArn": "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:all",
        "ActionsEnabled": True,
        "AlarmRule": inputs["alarmRule"],
        "OKActions": inputs["okActions"],
        "ActionsSuppressor": "deploying",
        "ActionsSuppressorExtensionPeriod": 60,
        "ActionsSuppressorWaitPeriod": 120,
    }
    client = Answers(describe_alarms={"CompositeAlarms": [live]}, list_tags_for_resource={"Tags": []})
    monkeypatch.setattr(world.cloud, "client", lambda *_: client)

    made, checked, _ = world.make("cloudwatch/compositeAlarm:CompositeAlarm", "all", inputs)

    put = {key: value for key, value in live.items() if key != "AlarmArn"}
    assert client.asked[0] == ("put_composite_alarm", put)
    read = world["cloudwatch/compositeAlarm:CompositeAlarm"].read(made, checked)
    assert read is not None
    assert read[0] == checked


def test_a_pod_identity_of_a_role_that_is_not_known_yet_is_made_as_soon_as_it_is(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = _identity()(world) | {"roleArn": "arn:aws:iam::123456789012:role/late"}
    monkeypatch.setattr(base, "pause", lambda _: world.role("late"))
    assert world.make("eks/podIdentityAssociation:PodIdentityAssociation", "p", inputs)[2]["roleArn"].endswith("/late")


def test_a_role_takes_along_the_policies_that_others_put_on_it_if_it_is_told_to(world: World) -> None:
    made, _, state = world.make("iam/role:Role", "r", {"assumeRolePolicy": ASSUME, "forceDetachPolicies": True})
    iam = world.cloud.client("iam")
    iam.attach_role_policy(RoleName=made, PolicyArn=_managed(world, "read"))
    iam.put_role_policy(RoleName=made, PolicyName="one", PolicyDocument=READ)

    world["iam/role:Role"].delete(made, state, 5)

    assert iam.list_roles()["Roles"] == []


def test_a_second_pod_identity_of_a_service_account_is_the_apis_own_error(world: World) -> None:
    token = "eks/podIdentityAssociation:PodIdentityAssociation"
    world.make(token, "p", _identity()(world))
    with pytest.raises(Exception, match=r"ResourceInUseException.*already exists"):
        world.make(token, "q", _identity()(world))


def test_a_policy_that_lets_everybody_read_a_secret_is_refused_where_the_program_asks_for_it(world: World) -> None:
    token = "secretsmanager/secretPolicy:SecretPolicy"
    policy = _allow("secretsmanager:GetSecretValue", Principal="*", Resource="*")
    inputs = {"secretArn": world.once(SECRET, "s", {}), "policy": policy}
    with pytest.raises(Exception, match="PublicPolicyException"):
        world.make(token, "p", {**inputs, "blockPublicPolicy": True})
    world.make(token, "p", inputs)


def test_a_copied_secret_is_deleted_with_its_copies(world: World) -> None:
    made, _, state = world.make(SECRET, "s", {"replicas": [{"region": "us-east-1"}], "recoveryWindowInDays": 0})
    world[SECRET].delete(made, state, 5)
    for region in (REGION, "us-east-1"):
        assert world.cloud.client("secretsmanager", region).list_secrets()["SecretList"] == []


def test_a_person_who_has_not_answered_yet_is_no_error(world: World) -> None:
    case = CASES["a person's subscription"]
    made, _, state = world.make(case.token, "s", case.first(world))
    assert state["pendingConfirmation"] is True
    assert state["confirmationWasAuthenticated"] is False
    world[case.token].delete(made, state, 5)


def test_the_wait_for_a_certificate_ends_when_it_is_issued_and_fails_when_it_is_not(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = "acm/certificateValidation:CertificateValidation"
    requested = world.cloud.client("acm").request_certificate(DomainName="a.example.com", ValidationMethod="DNS")
    inputs = world[token].check("v", None, {"certificateArn": requested["CertificateArn"]})
    with pytest.raises(TimeoutError, match="PENDING_VALIDATION, wanted ISSUED"):
        world[token].create(inputs, 0)

    client = Answers(describe_certificate={"Certificate": {"Status": "ISSUED"}})
    monkeypatch.setattr(world.cloud, "client", lambda *_: client)
    assert world[token].create(inputs, 0)[0] == requested["CertificateArn"]


# --- buckets and web ACLs -------------------------------------------------------------------------------------------


def test_a_bucket_with_something_in_it_is_deleted_only_by_force(world: World) -> None:
    made, old, state = world.make(BUCKET, "Logs", {})
    s3 = world.cloud.client("s3")
    s3.put_bucket_versioning(Bucket=made, VersioningConfiguration={"Status": "Enabled"})
    for body in (b"first", b"second"):
        s3.put_object(Bucket=made, Key="kept", Body=body)
    s3.delete_object(Bucket=made, Key="kept")
    with pytest.raises(Exception, match="BucketNotEmpty"):
        world[BUCKET].delete(made, state, 5)

    forced = world[BUCKET].update(made, state, old, world[BUCKET].check("Logs", old, {"forceDestroy": True}), 5)
    world[BUCKET].delete(made, forced, 5)

    assert made.startswith("logs-")
    assert world[BUCKET].read(made, old) is None


def test_a_web_acl_whose_name_was_completed_is_found_again_by_its_id(world: World) -> None:
    made, inputs, outputs = world.make(ACL, "shop", web_acl(namePrefix="shop-"))

    read = world[ACL].read(made, inputs)
    imported = world[ACL].read(f"{made}/{outputs['name']}/REGIONAL", None)

    assert outputs["name"].startswith("shop-")
    assert read is not None
    assert list(differences(inputs, read[0])) == []
    assert imported is not None
    assert imported[1]["arn"] == outputs["arn"]
    assert world[ACL].read("gone", inputs) is None


def test_a_web_acl_not_yet_known_everywhere_is_associated_as_soon_as_it_is(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusal = ClientError({"Error": {"Code": "WAFUnavailableEntityException", "Message": "retry"}}, "AssociateWebACL")
    client = Answers(associate_web_acl=iter([refusal, refusal, {}]), get_web_acl_for_resource={"WebACL": {"ARN": "a"}})
    monkeypatch.setattr(world.cloud, "client", lambda *_: client)
    monkeypatch.setattr(base, "pause", lambda _: None)

    made, _, _ = world.make(SHIELD, "shop", {"webAclArn": "a", "resourceArn": "b"})

    assert made == "a,b"
    assert [name for name, _ in client.asked].count("associate_web_acl") == 3


# --- images ---------------------------------------------------------------------------------------------------------


def test_a_repository_is_one_that_the_node_and_its_docker_daemon_can_reach(world: World) -> None:
    outputs = world.make("ecr/repository:Repository", "shop", {"name": "team/shop", "forceDelete": True})[2]
    token = world.provider.functions["aws:ecr/getAuthorizationToken:getAuthorizationToken"]({})

    assert outputs["repositoryUrl"] == f"{paths.REGISTRY}/team/shop"
    assert token["proxyEndpoint"] == f"http://{paths.REGISTRY}"
    assert token["userName"] == "AWS"
    assert base64.b64decode(token["authorizationToken"]).decode() == f"AWS:{token['password']}"
    assert world.provider.secret_answers["aws:ecr/getAuthorizationToken:getAuthorizationToken"] == {
        "authorizationToken",
        "password",
    }


# --- functions ------------------------------------------------------------------------------------------------------


def test_the_account_is_told(world: World) -> None:
    identity = world.provider.functions["aws:index/getCallerIdentity:getCallerIdentity"]({})
    assert identity["accountId"] == "123456789012"


def test_the_network_is_found_by_tag_filter_or_id(world: World) -> None:
    call = world.provider.functions
    ec2 = world.cloud.client("ec2")
    ec2.create_tags(Resources=[world.subnets[0], world.vpc], Tags=[{"Key": "tier", "Value": "public"}])

    vpc = call["aws:ec2/getVpc:getVpc"]({"tags": {"tier": "public"}})
    everywhere = call["aws:ec2/getSubnets:getSubnets"]({"filters": [{"name": "vpc-id", "values": [world.vpc]}]})
    subnet = call["aws:ec2/getSubnet:getSubnet"]({"vpcId": world.vpc, "tags": {"tier": "public"}})

    assert vpc["id"] == world.vpc
    assert vpc["cidrBlock"] == "172.31.0.0/16"
    assert vpc["enableDnsSupport"] is True
    assert sorted(everywhere["ids"]) == sorted(world.subnets)
    assert subnet["id"] == world.subnets[0]
    with pytest.raises(ValueError, match="0 VPCs match"):
        call["aws:ec2/getVpc:getVpc"]({"tags": {"tier": "none"}})


def test_a_load_balancer_is_found_by_its_tags_and_told_by_its_arn(world: World) -> None:
    call = world.provider.functions
    made = [
        world.elb.create_load_balancer(
            Name=name, Subnets=world.subnets[:2], Scheme=scheme, Tags=[{"Key": "environment", "Value": name}]
        )
        for name, scheme in (("staging", "internal"), ("review-42", "internet-facing"))
    ]
    inside, outside = (answer["LoadBalancers"][0]["LoadBalancerArn"] for answer in made)

    assert call["aws:lb/getLbs:getLbs"]({"tags": {"environment": "staging"}})["arns"] == [inside]
    assert sorted(call["aws:lb/getLbs:getLbs"]({})["arns"]) == sorted([inside, outside])
    assert call["aws:lb/getLbs:getLbs"]({"tags": {"environment": "production"}})["arns"] == []
    told = {arn: call["aws:lb/getLoadBalancer:getLoadBalancer"]({"arn": arn}) for arn in (inside, outside)}
    assert [told[arn]["internal"] for arn in (inside, outside)] == [True, False]
    assert {found["vpcId"] for found in told.values()} == {world.vpc}


def test_another_account_than_those_allowed_is_refused(world: World) -> None:
    world.cloud.configure({"region": REGION, "allowedAccountIds": ["123456789012"]})
    with pytest.raises(ValueError, match="AWS account ID not allowed: 123456789012"):
        world.cloud.configure({"region": REGION, "allowedAccountIds": ["999999999999"]})


def test_a_zone_is_found_by_name(world: World) -> None:
    created = world.cloud.client("route53").create_hosted_zone(Name="example.com", CallerReference="1")
    found = world.provider.functions["aws:route53/getZone:getZone"]({"name": "example.com"})
    assert created["HostedZone"]["Id"].endswith(found["zoneId"])


def test_a_function_refuses_an_argument_that_it_does_not_heed(world: World) -> None:
    with pytest.raises(CheckFailure, match="vpcId"):
        world.provider.functions["aws:route53/getZone:getZone"]({"vpcId": "vpc-1"})


def test_every_bound_of_the_tables_is_of_the_type_it_bounds() -> None:
    def walk(schema: Schema) -> Iterator[Arg]:
        for arg in schema.values():
            yield arg
            yield from walk(arg.fields or {})

    for resource in provider(Cloud()).resources.values():
        assert isinstance(resource, AwsResource)
        for arg in walk(resource.table):
            assert not (arg.required and arg.default is not None), arg
            assert not arg.choices or arg.type is str, arg
