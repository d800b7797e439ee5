"""What the local cloud's AWS refuses and remembers beyond moto, asked in this process as a client would."""
# ruff: noqa: ANN401 - boto3's clients are untyped here

import json
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto.route53.models import route53_backends

from hueshift.images import registry
from hueshift.images.scans import Image
from hueshift.report import RefusedError
from sandbox import paths
from sandbox.aws import buckets, gaps, scans
from sandbox.aws.log_delivery import PRINCIPAL, admits
from sandbox.aws.server import Seeds, seed
from tests.support.moto import mocked

pytestmark = pytest.mark.slow  # the local cloud's own parts: `make test` runs them

gaps.fill()
REGION, ACCOUNT = "eu-west-1", "123456789012"
FIXED = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "503"}}]
LOG = f"arn:aws:s3:::shop-logs/alb/AWSLogs/{ACCOUNT}/ELBAccessLogTestFile"
Client = Callable[[str], Any]


@cache
def _made(service: str) -> Any:
    """Return a client that all tests share: making one takes longer than most tests."""
    return boto3.client(service, region_name=REGION)  # type: ignore[call-overload]


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    with mocked(monkeypatch):
        yield _made


def _balancer(client: Client, name: str = "shop") -> str:
    subnets = [subnet["SubnetId"] for subnet in client("ec2").describe_subnets()["Subnets"]][:2]
    made = client("elbv2").create_load_balancer(Name=name, Subnets=subnets)
    return str(made["LoadBalancers"][0]["LoadBalancerArn"])


def _listener(client: Client, certificate: str) -> str:
    made = client("elbv2").create_listener(
        LoadBalancerArn=_balancer(client),
        Protocol="HTTPS",
        Port=443,
        Certificates=[{"CertificateArn": certificate}],
        DefaultActions=FIXED,
    )
    return str(made["Listeners"][0]["ListenerArn"])


# --- certificates ---------------------------------------------------------------------------------------------------


def _zone(client: Client, name: str, *, private: bool = False) -> str:
    vpc = {"VPCRegion": REGION, "VPCId": client("ec2").describe_vpcs()["Vpcs"][0]["VpcId"]}
    more = {"VPC": vpc, "HostedZoneConfig": {"PrivateZone": True}} if private else {}
    return str(
        client("route53").create_hosted_zone(Name=name, CallerReference=f"{name}-{private}", **more)["HostedZone"]["Id"]
    )


def _publish(client: Client, zone: str, record: dict[str, str]) -> None:
    wanted = {
        "Name": record["Name"],
        "Type": record["Type"],
        "TTL": 60,
        "ResourceRecords": [{"Value": record["Value"]}],
    }
    changes = [{"Action": "UPSERT", "ResourceRecordSet": wanted}]
    client("route53").change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": changes})


def _request(client: Client, *names: str) -> tuple[str, list[dict[str, str]]]:
    acm = client("acm")
    arn = acm.request_certificate(DomainName=names[0], ValidationMethod="DNS", SubjectAlternativeNames=[*names])[
        "CertificateArn"
    ]
    options = acm.describe_certificate(CertificateArn=arn)["Certificate"]["DomainValidationOptions"]
    return str(arn), [option["ResourceRecord"] for option in options]


def _status(client: Client, arn: str) -> str:
    return str(client("acm").describe_certificate(CertificateArn=arn)["Certificate"]["Status"])


def test_a_certificate_is_issued_when_the_records_of_all_its_names_are_public_and_not_before(client: Client) -> None:
    private, public = _zone(client, "example.com", private=True), _zone(client, "example.com")
    arn, records = _request(client, "shop.example.com", "api.example.com")
    assert _status(client, arn) == "PENDING_VALIDATION"

    for record in records:
        _publish(client, private, record)
    assert _status(client, arn) == "PENDING_VALIDATION"
    _publish(client, public, records[0])
    assert _status(client, arn) == "PENDING_VALIDATION"
    _publish(client, public, records[1])

    assert _status(client, arn) == "ISSUED"


def test_a_listener_takes_no_certificate_before_it_is_issued(client: Client) -> None:
    zone = _zone(client, "example.com")
    (first, records), (second, _) = _request(client, "a.example.com"), _request(client, "b.example.com")
    with pytest.raises(ClientError, match="UnsupportedCertificate"):
        _listener(client, first)
    _publish(client, zone, records[0])
    client("elbv2").delete_load_balancer(LoadBalancerArn=_find(client))

    listener = _listener(client, first)

    for change in ("add_listener_certificates", "modify_listener"):
        with pytest.raises(ClientError, match="UnsupportedCertificate"):
            getattr(client("elbv2"), change)(ListenerArn=listener, Certificates=[{"CertificateArn": second}])


def _find(client: Client) -> str:
    return str(client("elbv2").describe_load_balancers()["LoadBalancers"][0]["LoadBalancerArn"])


def test_further_certificates_outlive_another_default_and_the_default_cannot_be_removed(client: Client) -> None:
    zone = _zone(client, "example.com")
    arns = []
    for name in "abc":
        arn, records = _request(client, f"{name}.example.com")
        _publish(client, zone, records[0])
        arns.append(arn)
    listener = _listener(client, arns[0])
    elb = client("elbv2")

    elb.add_listener_certificates(ListenerArn=listener, Certificates=[{"CertificateArn": arns[1]}])
    elb.add_listener_certificates(ListenerArn=listener, Certificates=[{"CertificateArn": arns[1]}])
    elb.modify_listener(ListenerArn=listener, Certificates=[{"CertificateArn": arns[2]}])

    shown = elb.describe_listener_certificates(ListenerArn=listener)["Certificates"]
    assert [(item["CertificateArn"], item["IsDefault"]) for item in shown] == [(arns[2], True), (arns[1], False)]
    with pytest.raises(ClientError, match="OperationNotPermitted"):
        elb.remove_listener_certificates(ListenerArn=listener, Certificates=[{"CertificateArn": arns[2]}])
    with pytest.raises(ClientError, match="ResourceInUseException"):
        client("acm").delete_certificate(CertificateArn=arns[1])
    elb.remove_listener_certificates(ListenerArn=listener, Certificates=[{"CertificateArn": arns[1]}])
    client("acm").delete_certificate(CertificateArn=arns[1])


# --- logs -----------------------------------------------------------------------------------------------------------


def _policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [*statements]}


def _allow(**more: Any) -> dict[str, Any]:
    base = {"Effect": "Allow", "Principal": {"Service": PRINCIPAL}, "Action": "s3:PutObject"}
    return {**base, "Resource": "arn:aws:s3:::shop-logs/*", **more}


DENY_PLAIN = _allow(Effect="Deny", Principal="*", Action="s3:*", Condition={"Bool": {"aws:SecureTransport": "false"}})


@pytest.mark.parametrize(
    ("statements", "admitted"),
    [
        ([], False),
        ([_allow()], True),
        ([_allow(), DENY_PLAIN], True),
        ([_allow(Action=["s3:Put*"], Resource=f"arn:aws:s3:::shop-logs/alb/AWSLogs/{ACCOUNT}/*")], True),
        ([_allow(Condition={"StringEquals": {"aws:SourceAccount": [ACCOUNT]}})], True),
        ([_allow(Condition={"ArnLike": {"aws:SourceArn": f"arn:aws:elasticloadbalancing:*:{ACCOUNT}:*"}})], True),
        ([_allow(Condition={"StringEquals": {"aws:SourceAccount": "1"}})], False),
        ([_allow(Condition={"NumericLessThan": {"s3:max-keys": "1"}})], False),
        ([_allow(Principal={"Service": "delivery.logs.amazonaws.com"})], False),
        ([_allow(Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:root"})], False),
        ([_allow(Resource=f"arn:aws:s3:::shop-logs/AWSLogs/{ACCOUNT}/*")], False),
        ([_allow(Action="s3:GetObject")], False),
        ([_allow(), _allow(Effect="Deny", Principal="*")], False),
        ([_allow(), {"Effect": "Deny", "NotPrincipal": "*", "Action": "*", "Resource": "*"}], False),
    ],
)
def test_a_bucket_policy_admits_the_service_that_delivers_logs_or_not(
    statements: list[dict[str, Any]], admitted: bool
) -> None:
    balancer = f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:loadbalancer/app/shop/1"
    context = {"aws:sourceaccount": ACCOUNT, "aws:sourcearn": balancer, "aws:securetransport": "true"}
    assert admits(_policy(*statements), PRINCIPAL, "s3:PutObject", LOG, context) is admitted


def _switch_on(
    client: Client, balancer: str, log: str = "access_logs", bucket: str = "shop-logs", prefix: str = "alb"
) -> None:
    wanted = {"enabled": "true", "bucket": bucket, "prefix": prefix}
    attributes = [{"Key": f"{log}.s3.{key}", "Value": value} for key, value in wanted.items()]
    client("elbv2").modify_load_balancer_attributes(LoadBalancerArn=balancer, Attributes=attributes)


def _bucket(client: Client, name: str = "shop-logs", region: str = REGION) -> None:
    there = boto3.client("s3", region_name=region)
    there.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": region})
    resource = f"arn:aws:s3:::{name}/*"
    client("s3").put_bucket_policy(Bucket=name, Policy=json.dumps(_policy(_allow(Resource=resource))))


def test_logs_are_switched_on_by_writing_a_file_and_the_attributes_stay_when_that_fails(client: Client) -> None:
    balancer = _balancer(client)
    with pytest.raises(ClientError, match=r"InvalidConfigurationRequest.*does not exist"):
        _switch_on(client, balancer)
    attributes = client("elbv2").describe_load_balancer_attributes(LoadBalancerArn=balancer)["Attributes"]
    assert {"Key": "access_logs.s3.enabled", "Value": "true"} not in attributes

    _bucket(client)
    _switch_on(client, balancer)
    _switch_on(client, balancer, "connection_logs", prefix="")

    keys = [item["Key"] for item in client("s3").list_objects_v2(Bucket="shop-logs")["Contents"]]
    folder = f"AWSLogs/{ACCOUNT}"
    assert sorted(keys) == [f"{folder}/ELBConnectionLogTestFile", f"alb/{folder}/ELBAccessLogTestFile"]


def test_logs_go_to_no_bucket_without_a_policy_with_a_key_or_in_another_region(client: Client) -> None:
    balancer, s3 = _balancer(client), client("s3")
    for name in ("closed", "with-a-key"):
        _bucket(client, name)
    _bucket(client, "far", "eu-central-1")
    s3.delete_bucket_policy(Bucket="closed")
    default = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}
    s3.put_bucket_encryption(Bucket="with-a-key", ServerSideEncryptionConfiguration={"Rules": [default]})

    for bucket, said in (("closed", "Access Denied"), ("with-a-key", "Access Denied"), ("far", "region")):
        with pytest.raises(ClientError, match=f"InvalidConfigurationRequest.*{said}"):
            _switch_on(client, balancer, bucket=bucket)
    with pytest.raises(ClientError, match="AWSLogs"):
        _switch_on(client, balancer, bucket="closed", prefix="AWSLogs/x")


# --- web ACLs -------------------------------------------------------------------------------------------------------


def _acl(client: Client, name: str) -> dict[str, str]:
    seen = {"SampledRequestsEnabled": True, "CloudWatchMetricsEnabled": True, "MetricName": name}
    made = client("wafv2").create_web_acl(
        Name=name, Scope="REGIONAL", DefaultAction={"Allow": {}}, VisibilityConfig=seen, Rules=[]
    )
    return dict(made["Summary"])


def _delete(client: Client, acl: dict[str, str]) -> None:
    where = {"Name": acl["Name"], "Id": acl["Id"], "Scope": "REGIONAL"}
    token = client("wafv2").get_web_acl(**where)["LockToken"]
    client("wafv2").delete_web_acl(**where, LockToken=token)


def test_a_load_balancer_has_one_web_acl_that_lives_as_long_as_it_protects(client: Client) -> None:
    waf, balancer = client("wafv2"), _balancer(client)
    first, second = _acl(client, "first"), _acl(client, "second")
    with pytest.raises(ClientError, match="WAFNonexistentItemException"):
        waf.associate_web_acl(WebACLArn=first["ARN"], ResourceArn=f"{balancer}0")

    for acl in (first, second):
        waf.associate_web_acl(WebACLArn=acl["ARN"], ResourceArn=balancer)

    assert waf.get_web_acl_for_resource(ResourceArn=balancer)["WebACL"]["Name"] == "second"
    _delete(client, first)
    with pytest.raises(ClientError, match="WAFAssociatedItemException"):
        _delete(client, second)
    client("elbv2").delete_load_balancer(LoadBalancerArn=balancer)
    _delete(client, second)


# --- records --------------------------------------------------------------------------------------------------------


def test_records_that_are_removed_at_once_are_all_gone(client: Client) -> None:
    zone = _zone(client, "example.com").rpartition("/")[2]
    backend = route53_backends[ACCOUNT]["aws"]  # what serves the requests, each in a thread of its own

    def change(action: str, name: str) -> None:
        record = {"Name": name, "Type": "A", "TTL": "60", "ResourceRecords": [{"Value": "10.0.0.1"}]}
        backend.change_resource_record_sets(zone, [{"Action": action, "ResourceRecordSet": record}])

    names = [f"host-{number}.example.com." for number in range(200)]
    for name in names:
        change("CREATE", name)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # the threads take turns as often as they can
    try:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(partial(change, "DELETE"), names))
    finally:
        sys.setswitchinterval(before)
    assert not {record.name for record in backend.get_hosted_zone(zone).rrsets} & set(names)


# --- pod identities -------------------------------------------------------------------------------------------------


def test_pod_identities_are_listed_by_cluster_and_by_whose_they_are(client: Client) -> None:
    document = json.dumps(_policy())
    role = client("iam").create_role(RoleName="shop", AssumeRolePolicyDocument=document)["Role"]["Arn"]
    eks = client("eks")
    for cluster, account in (("main", "blue"), ("main", "green"), ("other", "blue")):
        eks.create_pod_identity_association(clusterName=cluster, namespace="shop", serviceAccount=account, roleArn=role)

    listed = eks.list_pod_identity_associations(clusterName="main")["associations"]
    (blue,) = eks.list_pod_identity_associations(clusterName="main", serviceAccount="blue")["associations"]

    assert [item["serviceAccount"] for item in listed] == ["blue", "green"]
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        eks.describe_pod_identity_association(clusterName="other", associationId=blue["associationId"])
    with pytest.raises(ClientError, match="does not exist"):
        eks.create_pod_identity_association(
            clusterName="main", namespace="n", serviceAccount="s", roleArn=f"arn:aws:iam::{ACCOUNT}:role/none"
        )


# --- load balancers -------------------------------------------------------------------------------------------------


def _certificate(number: int) -> list[dict[str, str]]:
    return [{"CertificateArn": f"arn:aws:iam::{ACCOUNT}:server-certificate/{number}"}]


def _http(client: Client, balancer: str, action: list[dict[str, Any]] = FIXED, port: int = 80) -> str:
    made = client("elbv2").create_listener(LoadBalancerArn=balancer, Protocol="HTTP", Port=port, DefaultActions=action)
    return str(made["Listeners"][0]["ListenerArn"])


def _group(client: Client, name: str, **more: Any) -> str:
    vpc = client("ec2").describe_subnets()["Subnets"][0]["VpcId"]
    wanted = {"Protocol": "HTTP", "Port": 8080, "VpcId": vpc, "TargetType": "ip", **more}
    return str(client("elbv2").create_target_group(Name=name, **wanted)["TargetGroups"][0]["TargetGroupArn"])


def _to(*groups: str) -> list[dict[str, Any]]:
    return [{"Type": "forward", "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": arn} for arn in groups]}}]


def _path(*patterns: str) -> list[dict[str, Any]]:
    return [{"Field": "path-pattern", "PathPatternConfig": {"Values": [*patterns]}}]


def _rule(client: Client, listener: str, priority: int, **more: Any) -> str:
    wanted = {"Conditions": _path("/*"), "Actions": FIXED, **more}
    made = client("elbv2").create_rule(ListenerArn=listener, Priority=priority, **wanted)
    return str(made["Rules"][0]["RuleArn"])


def test_a_load_balancer_takes_25_certificates_over_all_its_listeners_beside_the_default_ones(client: Client) -> None:
    balancer, elb = _balancer(client), client("elbv2")
    listeners = [
        elb.create_listener(
            LoadBalancerArn=balancer, Protocol="HTTPS", Port=port, Certificates=_certificate(0), DefaultActions=FIXED
        )["Listeners"][0]["ListenerArn"]
        for port in (443, 8443)
    ]
    for number in range(1, 13):
        for listener in listeners:
            elb.add_listener_certificates(ListenerArn=listener, Certificates=_certificate(number))
    elb.add_listener_certificates(ListenerArn=listeners[0], Certificates=_certificate(13))

    with pytest.raises(ClientError, match="TooManyCertificates"):
        elb.add_listener_certificates(ListenerArn=listeners[1], Certificates=_certificate(13))

    elb.remove_listener_certificates(ListenerArn=listeners[0], Certificates=_certificate(1))
    elb.add_listener_certificates(ListenerArn=listeners[1], Certificates=_certificate(13))


def test_a_call_takes_one_certificate(client: Client) -> None:
    elb, balancer, two = client("elbv2"), _balancer(client), _certificate(1) + _certificate(2)
    wanted = {"LoadBalancerArn": balancer, "Protocol": "HTTPS", "Port": 443, "DefaultActions": FIXED}
    with pytest.raises(ClientError, match="Up to '1' certificate ARNs can be specified, but '2' were specified"):
        elb.create_listener(**wanted, Certificates=two)
    listener = elb.create_listener(**wanted, Certificates=_certificate(0))["Listeners"][0]["ListenerArn"]

    for call in (elb.modify_listener, elb.add_listener_certificates):
        with pytest.raises(ClientError, match="TooManyCertificates"):
            call(ListenerArn=listener, Certificates=two)


def test_a_target_group_is_used_by_one_load_balancer(client: Client) -> None:
    elb, blue, green = client("elbv2"), _group(client, "blue"), _group(client, "green")
    old = _http(client, _balancer(client, "old"), _to(green))
    used = _rule(client, old, 1, Actions=_to(blue))
    new_balancer = _balancer(client, "new")
    new = _http(client, new_balancer)
    rule = _rule(client, new, 1)
    default = elb.describe_rules(ListenerArn=new)["Rules"][-1]["RuleArn"]
    attempts: list[Callable[[], object]] = [
        lambda: _http(client, new_balancer, _to(green), port=81),
        lambda: elb.modify_listener(ListenerArn=new, DefaultActions=_to(green)),
        lambda: _rule(client, new, 2, Actions=_to(blue)),
        lambda: elb.modify_rule(RuleArn=rule, Actions=_to(blue)),
        lambda: elb.modify_rule(RuleArn=rule, Actions=[{"Type": "forward", "TargetGroupArn": blue}]),
    ]
    for attempt in attempts:
        with pytest.raises(ClientError, match=r"TargetGroupAssociationLimit.*than one load balancer: arn:"):
            attempt()
    for arn in (rule, default):
        assert elb.describe_rules(RuleArns=[arn])["Rules"][0]["Actions"][0]["Type"] == "fixed-response"

    elb.delete_rule(RuleArn=used)
    elb.modify_rule(RuleArn=rule, Actions=_to(blue))

    (shown,) = elb.describe_target_groups(TargetGroupArns=[blue])["TargetGroups"]
    assert shown["LoadBalancerArns"] == [new_balancer]


def test_the_rule_that_a_listener_has_by_itself_is_not_modified_or_deleted_as_a_rule(client: Client) -> None:
    elb = client("elbv2")
    (rule,) = elb.describe_rules(ListenerArn=_http(client, _balancer(client)))["Rules"]
    with pytest.raises(ClientError, match=r"OperationNotPermitted.*cannot be modified"):
        elb.modify_rule(RuleArn=rule["RuleArn"], Actions=FIXED)
    with pytest.raises(ClientError, match=r"OperationNotPermitted.*cannot be deleted"):
        elb.delete_rule(RuleArn=rule["RuleArn"])
    with pytest.raises(ClientError, match="RuleNotFound"):
        elb.delete_rule(RuleArn=f"{rule['RuleArn']}0")


@pytest.mark.parametrize("name", ["internal-shop", "-shop", "shop-", "a" * 33, "shop.alb"])
def test_a_load_balancer_is_named_as_the_api_reference_allows(client: Client, name: str) -> None:
    with pytest.raises(ClientError, match="ValidationError"):
        _balancer(client, name)


def test_a_rule_has_a_priority_up_to_50000(client: Client) -> None:
    listener = _http(client, _balancer(client))
    _rule(client, listener, 50_000)
    with pytest.raises(ClientError, match=r"ValidationError.*Priority"):
        _rule(client, listener, 50_001)


def test_the_default_action_of_a_listener_names_groups_that_are_there(client: Client) -> None:
    listener = _http(client, _balancer(client))
    with pytest.raises(ClientError, match="TargetGroupNotFound"):
        client("elbv2").modify_listener(ListenerArn=listener, DefaultActions=_to(_group(client, "blue") + "0"))


def test_a_load_balancer_has_100_rules_and_100_target_groups_and_an_action_five(client: Client) -> None:
    balancer = _balancer(client)
    listener = _http(client, balancer)
    groups = [_group(client, f"group-{number}") for number in range(101)]
    with pytest.raises(ClientError, match="TooManyTargetGroups"):
        _rule(client, listener, 1, Actions=_to(*groups[:6]))
    for number in range(20):
        _rule(client, listener, number + 1, Actions=_to(*groups[5 * number : 5 * number + 5]))

    with pytest.raises(ClientError, match="TooManyUniqueTargetGroupsPerLoadBalancer"):
        _rule(client, listener, 21, Actions=_to(groups[100]))

    for number in range(20, 100):
        _rule(client, listener, number + 1)
    with pytest.raises(ClientError, match="TooManyRules"):
        _rule(client, _http(client, balancer, port=81), 1)


def test_a_load_balancer_has_one_subnet_in_each_of_two_zones_at_least(client: Client) -> None:
    ec2, elb, balancer = client("ec2"), client("elbv2"), _balancer(client)
    first, second, *_ = ec2.describe_subnets()["Subnets"]
    zone, vpc = first["AvailabilityZone"], first["VpcId"]
    neighbour = ec2.create_subnet(VpcId=vpc, CidrBlock="172.31.240.0/24", AvailabilityZone=zone)["Subnet"]["SubnetId"]
    other_vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    foreign = ec2.create_subnet(VpcId=other_vpc, CidrBlock="10.9.0.0/24", AvailabilityZone=second["AvailabilityZone"])
    refused = {
        "InvalidConfigurationRequest.*multiple subnets in the same Availability Zone": [neighbour, second["SubnetId"]],
        "At least two subnets in two different Availability Zones": [],
        "InvalidConfigurationRequest.*the same VPC": [foreign["Subnet"]["SubnetId"]],
        "SubnetNotFound": ["subnet-0"],
    }
    for said, more in refused.items():
        subnets = [first["SubnetId"], *more]
        for call in (partial(elb.create_load_balancer, Name="new"), partial(elb.set_subnets, LoadBalancerArn=balancer)):
            with pytest.raises(ClientError, match=said):
                call(Subnets=subnets)


def test_a_load_balancer_has_security_groups_of_its_own_vpc(client: Client) -> None:
    ec2, elb, balancer = client("ec2"), client("elbv2"), _balancer(client)
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    foreign = ec2.create_security_group(GroupName="far", Description="far", VpcId=vpc)["GroupId"]
    for group, said in ((foreign, "InvalidConfigurationRequest"), ("sg-0", "InvalidSecurityGroup")):
        with pytest.raises(ClientError, match=said):
            elb.set_security_groups(LoadBalancerArn=balancer, SecurityGroups=[group])


def test_conditions_and_tags_that_aws_refuses_are_refused_wherever_they_are_given(client: Client) -> None:
    elb, balancer = client("elbv2"), _balancer(client)
    listener = _http(client, balancer)
    rule = _rule(client, listener, 1)
    subnets = [zone["SubnetId"] for zone in elb.describe_load_balancers()["LoadBalancers"][0]["AvailabilityZones"]]
    host = [{"Field": "host-header", "HostHeaderConfig": {"Values": ["shop.corp1"]}}]
    tags = [{"Key": "aws:name", "Value": "b"}]
    attempts: list[Callable[[], object]] = [
        lambda: _rule(client, listener, 2, Conditions=host),
        lambda: elb.modify_rule(RuleArn=rule, Conditions=host),
        lambda: elb.add_tags(ResourceArns=[balancer], Tags=tags),
        lambda: elb.create_load_balancer(Name="b", Subnets=subnets, Tags=tags),
        lambda: elb.create_listener(
            LoadBalancerArn=balancer, Protocol="HTTP", Port=81, DefaultActions=FIXED, Tags=tags
        ),
        lambda: _rule(client, listener, 2, Tags=tags),
        lambda: _group(client, "blue", Tags=tags),
    ]
    for attempt in attempts:
        with pytest.raises(ClientError, match=r"ValidationError.*(is not valid|a character that is not valid)"):
            attempt()


def test_tags_that_come_one_after_another_are_counted_together_and_named_once(client: Client) -> None:
    elb, balancer = client("elbv2"), _balancer(client)
    for number in range(50):
        elb.add_tags(ResourceArns=[balancer], Tags=[{"Key": f"key-{number}", "Value": "v"}])
    elb.add_tags(ResourceArns=[balancer], Tags=[{"Key": "key-1", "Value": "another"}])
    with pytest.raises(ClientError, match="TooManyTags"):
        elb.add_tags(ResourceArns=[balancer], Tags=[{"Key": "one-more", "Value": "v"}])
    with pytest.raises(ClientError, match="DuplicateTagKeys"):
        elb.add_tags(ResourceArns=[balancer], Tags=[{"Key": "key-1", "Value": value} for value in "ab"])


def test_a_target_has_the_zone_of_its_subnet_and_one_outside_of_the_vpc_must_say_all(client: Client) -> None:
    elb, blue = client("elbv2"), _group(client, "blue")
    inside, outside = {"Id": "172.31.0.9", "Port": 8080}, {"Id": "10.9.0.9", "Port": 8080}
    everywhere = {"AvailabilityZone": "all"}
    for target in ({**inside, **everywhere}, outside):
        with pytest.raises(ClientError, match=r"ValidationError.*Availability Zone"):
            elb.register_targets(TargetGroupArn=blue, Targets=[target])
    assert elb.describe_target_health(TargetGroupArn=blue)["TargetHealthDescriptions"] == []

    elb.register_targets(TargetGroupArn=blue, Targets=[inside, {**outside, **everywhere}])

    shown = elb.describe_target_health(TargetGroupArn=blue)["TargetHealthDescriptions"]
    assert [one["Target"] for one in shown] == [{**inside, "AvailabilityZone": "eu-west-1a"}, {**outside, **everywhere}]


# --- the node in the EC2 API ----------------------------------------------------------------------------------------


@pytest.fixture
def seeds(client: Client, tmp_path: Path) -> Seeds:  # noqa: ARG001 - in its account
    return seed((tmp_path / "ca.crt", tmp_path / "ca.key"))


def test_the_controller_finds_the_interface_of_every_pod_through_the_instance_of_its_node(
    client: Client, seeds: Seeds
) -> None:
    answer = client("ec2").describe_instances(InstanceIds=[paths.INSTANCE_ID])
    (instance,) = answer["Reservations"][0]["Instances"]
    node, pods = instance["NetworkInterfaces"]

    assert (instance["Placement"]["AvailabilityZone"], instance["State"]["Name"]) == (paths.ZONE, "running")
    assert (instance["VpcId"], instance["SubnetId"]) == (seeds.vpcId, seeds.subnetIds[0])
    assert instance["PrivateIpAddress"] == node["PrivateIpAddress"] == paths.NODE_IP
    listed = [one["PrivateIpAddress"] for one in pods["PrivateIpAddresses"]]
    assert listed == [str(one) for one in ip_network(paths.POD_CIDR).hosts()]
    (subnet,) = client("ec2").describe_subnets(SubnetIds=[pods["SubnetId"]])["Subnets"]
    assert (subnet["CidrBlock"], subnet["AvailabilityZone"]) == (paths.POD_CIDR, paths.ZONE)
    assert len(node["Groups"]) == len(pods["Groups"]) == 1, "the controller wants one, or one that is tagged"


@pytest.mark.parametrize("name", ["private-ip-address", "addresses.private-ip-address"])
def test_an_interface_is_found_by_any_of_its_addresses(client: Client, seeds: Seeds, name: str) -> None:
    filters = [{"Name": "vpc-id", "Values": [seeds.vpcId]}, {"Name": name, "Values": ["10.244.0.7", "10.244.0.9"]}]
    pages = client("ec2").get_paginator("describe_network_interfaces").paginate(Filters=filters)
    (found,) = [interface for page in pages for interface in page["NetworkInterfaces"]]
    by_id = [{"Name": "network-interface-id", "Values": [found["NetworkInterfaceId"]]}]
    for asked in ({"Filters": by_id}, {"NetworkInterfaceIds": [found["NetworkInterfaceId"]]}):
        assert client("ec2").describe_network_interfaces(**asked)["NetworkInterfaces"] == [found]


def test_pods_are_in_the_vpc_so_that_their_targets_have_the_zone_of_their_node(client: Client, seeds: Seeds) -> None:
    (vpc,) = client("ec2").describe_vpcs(VpcIds=[seeds.vpcId])["Vpcs"]
    ranges = {one["CidrBlock"]: one["CidrBlockState"]["State"] for one in vpc["CidrBlockAssociationSet"]}
    assert ranges[paths.POD_CIDR] == "associated"
    blue = _group(client, "blue", VpcId=seeds.vpcId)
    client("elbv2").register_targets(TargetGroupArn=blue, Targets=[{"Id": "10.244.0.7", "Port": 8080}])
    (shown,) = client("elbv2").describe_target_health(TargetGroupArn=blue)["TargetHealthDescriptions"]
    assert shown["Target"]["AvailabilityZone"] == paths.ZONE


def _cluster_groups(client: Client, seeds: Seeds) -> list[dict[str, Any]]:
    """Return the security groups as the controller asks for them."""
    tag = {"Name": f"tag:kubernetes.io/cluster/{paths.CLUSTER}", "Values": ["owned", "shared"]}
    filters = [tag, {"Name": "vpc-id", "Values": [seeds.vpcId]}]
    pages = client("ec2").get_paginator("describe_security_groups").paginate(Filters=filters)
    return [group for page in pages for group in page["SecurityGroups"]]


def test_the_controller_lets_the_load_balancers_group_in_once_and_takes_it_back(client: Client, seeds: Seeds) -> None:
    ec2 = client("ec2")
    (node,) = _cluster_groups(client, seeds)
    balancer = ec2.create_security_group(GroupName="alb", Description="alb", VpcId=seeds.vpcId)["GroupId"]
    pair = {"GroupId": balancer, "Description": "elbv2.k8s.aws/targetGroupBinding=shared"}
    wanted = {"IpProtocol": "tcp", "FromPort": 8080, "ToPort": 8080, "UserIdGroupPairs": [pair]}
    plain = {**wanted, "UserIdGroupPairs": [{"GroupId": balancer}]}

    ec2.authorize_security_group_ingress(GroupId=node["GroupId"], IpPermissions=[wanted])

    ((rule,),) = (group["IpPermissions"] for group in _cluster_groups(client, seeds))
    assert rule["UserIdGroupPairs"] == [{**pair, "UserId": ACCOUNT}]
    assert (rule["IpProtocol"], rule["FromPort"], rule["ToPort"]) == ("tcp", 8080, 8080)
    with pytest.raises(ClientError, match="Duplicate"):
        ec2.authorize_security_group_ingress(GroupId=node["GroupId"], IpPermissions=[plain])
    with pytest.raises(ClientError, match="DependencyViolation"):
        ec2.delete_security_group(GroupId=balancer)
    with pytest.raises(ClientError, match="NotFound"):
        ec2.revoke_security_group_ingress(GroupId=node["GroupId"], IpPermissions=[{**wanted, "ToPort": 8081}])
    ec2.revoke_security_group_ingress(GroupId=node["GroupId"], IpPermissions=[plain])
    ec2.delete_security_group(GroupId=balancer)
    with pytest.raises(ClientError, match="DependencyViolation"):
        ec2.delete_security_group(GroupId=node["GroupId"])


# --- policies -------------------------------------------------------------------------------------------------------


def _of_size(characters: int) -> str:
    """Return a policy document of so many characters, and as many spaces again."""
    statement = {"Effect": "Allow", "Action": "s3:*", "Resource": "*", "Sid": ""}
    document = json.dumps(_policy(statement), separators=(",", ":"))
    return document.replace('"Sid":""', f'"Sid":"{"x" * (characters - len(document))}"') + " " * characters


def test_the_inline_policies_of_a_role_have_10240_characters_in_sum(client: Client) -> None:
    iam = client("iam")
    iam.create_role(RoleName="deploy", AssumeRolePolicyDocument=json.dumps(_policy()))
    put = partial(iam.put_role_policy, RoleName="deploy")
    put(PolicyName="a", PolicyDocument=_of_size(10_240))
    put(PolicyName="a", PolicyDocument=_of_size(5_000))
    put(PolicyName="b", PolicyDocument=_of_size(5_240))
    with pytest.raises(
        ClientError, match=r"LimitExceeded.*Maximum policy size of 10240 bytes exceeded for role deploy"
    ):
        put(PolicyName="b", PolicyDocument=_of_size(5_241))


def test_a_managed_policy_has_6144_characters_a_trust_policy_2048_and_a_role_ten_policies(client: Client) -> None:
    iam = client("iam")
    iam.create_role(RoleName="deploy", AssumeRolePolicyDocument=json.dumps(_policy()))
    arns = [
        iam.create_policy(PolicyName=f"policy-{number}", PolicyDocument=_of_size(6_144))["Policy"]["Arn"]
        for number in range(11)
    ]
    too_long = _of_size(6_145)
    attempts: dict[str, Callable[[], object]] = {
        "PolicySize: 6144": lambda: iam.create_policy(PolicyName="long", PolicyDocument=too_long),
        "quota for PolicySize: 6144": lambda: iam.create_policy_version(PolicyArn=arns[0], PolicyDocument=too_long),
        "ACLSizePerRole: 2048": lambda: iam.create_role(RoleName="b", AssumeRolePolicyDocument=_of_size(2_049)),
        "quota for ACLSizePerRole: 2048": lambda: iam.update_assume_role_policy(
            RoleName="deploy", PolicyDocument=_of_size(2_049)
        ),
        "PoliciesPerRole: 10": lambda: iam.attach_role_policy(RoleName="deploy", PolicyArn=arns[10]),
    }
    for arn in [*arns[:10], arns[0]]:
        iam.attach_role_policy(RoleName="deploy", PolicyArn=arn)
    for said, attempt in attempts.items():
        with pytest.raises(ClientError, match=f"LimitExceeded.*{said}"):
            attempt()


# --- secrets --------------------------------------------------------------------------------------------------------


def test_a_rotation_that_is_set_moves_no_version_and_a_later_call_keeps_its_function(client: Client) -> None:
    secrets = client("secretsmanager")
    before = secrets.create_secret(Name="app", SecretString="{}")
    function = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:rotate"
    with pytest.raises(ClientError, match="without a rotation function"):
        secrets.rotate_secret(SecretId="app", RotationRules={"AutomaticallyAfterDays": 30})

    secrets.rotate_secret(
        SecretId="app",
        RotationLambdaARN=function,
        RotationRules={"ScheduleExpression": "rate(10 days)", "Duration": "2h"},
        RotateImmediately=False,
    )

    described = secrets.describe_secret(SecretId="app")
    assert described["RotationRules"] == {"ScheduleExpression": "rate(10 days)", "Duration": "2h"}
    assert described["RotationLambdaARN"] == function
    assert described["VersionIdsToStages"] == {before["VersionId"]: ["AWSCURRENT"]}
    secrets.cancel_rotate_secret(SecretId="app")
    assert secrets.describe_secret(SecretId="app")["RotationEnabled"] is False


def test_a_label_of_ones_own_stays_with_its_version_when_another_becomes_current(client: Client) -> None:
    secrets = client("secretsmanager")
    secrets.create_secret(Name="shop", SecretString="1")
    (first,) = secrets.describe_secret(SecretId="shop")["VersionIdsToStages"]
    secrets.update_secret_version_stage(SecretId="shop", VersionStage="hueshift-blue", MoveToVersionId=first)

    def stages() -> list[str]:
        found: list[str] = secrets.describe_secret(SecretId="shop")["VersionIdsToStages"][first]
        return sorted(found)

    for value, told in (("2", ["AWSPREVIOUS", "hueshift-blue"]), ("3", ["hueshift-blue"])):
        secrets.put_secret_value(SecretId="shop", SecretString=value)
        assert stages() == told


# --- images ---------------------------------------------------------------------------------------------------------


@dataclass
class Pushed:
    """What the local registry answers of an image."""

    text: str
    headers = {"Content-Type": "application/vnd.oci.image.manifest.v1+json"}


def test_an_image_of_the_local_registry_gets_tags_that_never_move(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifests = {f"sha256:{number:064x}": json.dumps({"layers": [], "number": number}) for number in (1, 2)}
    monkeypatch.setattr(scans, "manifest", lambda _, digest: digest in manifests and Pushed(manifests[digest]))
    ecr = client("ecr")
    ecr.create_repository(repositoryName="shop", imageTagMutability="IMMUTABLE")

    def record(digest: str, version: str) -> bool:
        return registry.name(ecr, Image.named(f"127.0.0.1:5000/shop@{digest}"), version)

    first, second = manifests
    assert [record(first, "1.6.0"), record(first, "1.6.0"), record(first, "1.6.1")] == [True, False, True]
    assert record(first, "1.6.0") is False
    with pytest.raises(RefusedError, match=f"1.6.1 is {first}"):
        record(second, "1.6.1")
    with pytest.raises(RefusedError, match="ECR has no shop@"):
        record(f"sha256:{3:064x}", "1.6.3")
    assert record(second, "1.6.2") is True


# --- scans ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"", b"[]", b'{"digest": "sha256:0"}', b'{"digest": "sha256:0", "findings": [{}]}'])
def test_findings_that_no_scanner_could_report_are_not_planted(body: bytes) -> None:
    with pytest.raises(ValueError, match=r'wanted is \{"digest"'):
        scans.plant(body)
    assert scans.planted == {}


def test_a_bucket_has_the_tags_that_it_is_created_with(client: Client) -> None:
    s3 = client("s3")
    place: Any = {"LocationConstraint": paths.REGION, "Tags": [{"Key": "environment", "Value": "sandbox"}]}
    s3.create_bucket(Bucket="logs-with-tags", CreateBucketConfiguration=place)
    assert s3.get_bucket_tagging(Bucket="logs-with-tags")["TagSet"] == place["Tags"]


def test_a_bucket_that_refuses_calls_without_tls_takes_those_of_the_local_endpoint(client: Client) -> None:
    s3 = client("s3")
    s3.create_bucket(Bucket="records", CreateBucketConfiguration={"LocationConstraint": REGION})
    deny: dict[str, Any] = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::records/*"}
    for condition, code in (({"Condition": buckets.WITHOUT_TLS}, "NoSuchKey"), ({}, "403")):
        s3.put_bucket_policy(Bucket="records", Policy=json.dumps(_policy({**deny, **condition})))
        with pytest.raises(ClientError) as refused:
            s3.get_object(Bucket="records", Key="shop.json")
        assert refused.value.response["Error"]["Code"] == code


def test_a_saved_query_is_kept_changed_by_its_id_and_found_by_its_name(client: Client) -> None:
    logs = client("logs")
    put = partial(logs.put_query_definition, queryString="fields @message", logGroupNames=["/hueshift/a"])
    identifier = put(name="production-hueshift/errors")["queryDefinitionId"]
    other = put(name="staging-hueshift/errors")["queryDefinitionId"]
    assert put(name="production-hueshift/slow", queryDefinitionId=identifier)["queryDefinitionId"] == identifier
    (found,) = logs.describe_query_definitions(queryDefinitionNamePrefix="production-")["queryDefinitions"]
    assert (found["name"], found["logGroupNames"]) == ("production-hueshift/slow", ["/hueshift/a"])
    logs.delete_query_definition(queryDefinitionId=identifier)
    for call in (partial(logs.delete_query_definition), partial(put, name="production-hueshift/slow")):
        with pytest.raises(ClientError) as refused:
            call(queryDefinitionId=identifier)
        assert refused.value.response["Error"]["Code"] == "ResourceNotFoundException"
    logs.delete_query_definition(queryDefinitionId=other)
    assert logs.describe_query_definitions()["queryDefinitions"] == []
