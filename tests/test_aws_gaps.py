"""What the local cloud's AWS refuses and remembers beyond moto, asked in this process as a client would."""
# ruff: noqa: ANN401 - boto3's clients are untyped here

import json
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.route53.models import route53_backends

from release import registry
from release.report import RefusedError
from release.scans import Image
from sandbox.aws import gaps, scans
from sandbox.aws.log_delivery import PRINCIPAL, admits

pytestmark = pytest.mark.slow  # the local cloud's own parts: `make test` runs them

gaps.fill()
REGION, ACCOUNT = "eu-west-1", "123456789012"
FIXED = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "503"}}]
LOG = f"arn:aws:s3:::shop-logs/alb/AWSLogs/{ACCOUNT}/ELBAccessLogTestFile"
Client = Callable[[str], Any]


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")  # a second for each test
    with mock_aws():
        yield lambda service: boto3.client(service, region_name=REGION)  # type: ignore[call-overload]


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
