"""What a killed update has created is found, each of it by what tells it from others, and taken into the state."""

import re
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from hueshift import recover
from tests.support.moto import mocked
from tests.support.program import ROOT

TAGS = {"environment": "review-42", "managed-by": "pulumi"}
PROVIDER = {"type": "pulumi:providers:aws", "urn": "provider", "id": "p", "inputs": {"region": "eu-west-1"}}
LISTED: Any = [{"Key": key, "Value": value} for key, value in TAGS.items()]


def state(*pending: tuple[str, str, dict[str, Any]], recorded: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return what is exported of a stack while (name, type, inputs) are being created."""
    operations = [
        {"type": "creating", "resource": {"urn": name, "type": kind, "custom": True, "inputs": inputs}}
        for name, kind, inputs in pending
    ]
    resources = [PROVIDER, *({"type": "any", "urn": one, "id": one} for one in recorded)]
    return {"version": 3, "deployment": {"resources": resources, "pending_operations": operations}}


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[boto3.Session]:
    with mocked(monkeypatch):
        yield boto3.Session(region_name="eu-west-1")


def test_every_type_that_the_program_makes_is_looked_for_or_goes_with_its_parent() -> None:
    source = (ROOT / "sandbox/go/aws-plugin/main.go").read_text()
    table = source[source.index("var resources") : source.index("var functions")]
    names = {place.rpartition("/")[2] for place in re.findall(r'"aws_\w+": +"(.+)"', table)}
    assert len(names) > 30
    looked_for = recover._NAMED.keys() | recover._TAGGED.keys() | recover._DESCRIBED.keys()
    left_alone = {kind.partition(":")[2] for kind in recover.GOES_WITH_ITS_PARENT}
    assert names == looked_for | left_alone
    assert not looked_for & left_alone


def test_what_the_inputs_name_is_asked_of_nobody() -> None:
    found = recover.ids(
        state(
            ("record", "aws:route53/record:Record", {"zoneId": "Z1", "name": "shop.example.com", "type": "A"}),
            ("alarm", "aws:cloudwatch/metricAlarm:MetricAlarm", {"name": "review-42-errors"}),
            ("target", "aws:cloudwatch/eventTarget:EventTarget", {"rule": "review-42-guard", "targetId": "guard"}),
            ("rule", "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule", {}),
            ("component", "hueshift:edge:Edge", {}),
            ("space", "kubernetes:core/v1:Namespace", {"metadata": {"name": "review-42-shop"}}),
            ("pods", "kubernetes:apps/v1:Deployment", {"metadata": {"name": "blue", "namespace": "review-42-shop"}}),
        )
    )
    assert found == {
        "record": "Z1_shop.example.com_A",
        "alarm": "review-42-errors",
        "target": "review-42-guard/guard",
        "space": "review-42-shop",
        "pods": "review-42-shop/blue",
    }


def test_a_balancer_its_listeners_rules_and_groups_are_found(aws: boto3.Session) -> None:
    elb, ec2 = aws.client("elbv2"), aws.client("ec2")
    subnets = [subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"]][:2]
    (balancer,) = elb.create_load_balancer(Name="edge-alb-1a2b", Subnets=subnets)["LoadBalancers"]
    vpc, arn = balancer["VpcId"], balancer["LoadBalancerArn"]
    (group,) = elb.create_target_group(Name="shop-tg-1a2b", Protocol="HTTP", Port=80, VpcId=vpc)["TargetGroups"]
    answer: Any = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}
    listeners = [
        elb.create_listener(LoadBalancerArn=arn, Protocol="HTTP", Port=port, DefaultActions=[answer])["Listeners"][0]
        for port in (80, 8443)
    ]
    rules = [
        elb.create_rule(
            ListenerArn=listeners[1]["ListenerArn"],
            Priority=priority,
            Conditions=[{"Field": "path-pattern", "Values": ["/"]}],
            Actions=[answer],
        )["Rules"][0]
        for priority in (10, 100)
    ]
    firewall = ec2.create_security_group(GroupName="edge-firewall-1a2b", Description="d", VpcId=vpc)["GroupId"]
    listener = "aws:lb/listener:Listener"
    assert recover.ids(
        state(
            ("balancer", "aws:lb/loadBalancer:LoadBalancer", {"name": "edge-alb-1a2b"}),
            ("other", "aws:lb/loadBalancer:LoadBalancer", {"name": "edge-alb-3c4d"}),
            ("group", "aws:lb/targetGroup:TargetGroup", {"name": "shop-tg-1a2b"}),
            ("listener", listener, {"loadBalancerArn": arn, "port": 8443}),
            ("lost", listener, {"loadBalancerArn": f"{arn}0", "port": 8443}),
            ("rule", "aws:lb/listenerRule:ListenerRule", {"listenerArn": listeners[1]["ListenerArn"], "priority": 100}),
            ("firewall", "aws:ec2/securityGroup:SecurityGroup", {"name": "edge-firewall-1a2b"}),
        )
    ) == {
        "balancer": arn,
        "group": group["TargetGroupArn"],
        "listener": listeners[1]["ListenerArn"],
        "rule": rules[1]["RuleArn"],
        "firewall": firewall,
    }


def test_of_what_has_the_same_tags_the_one_that_is_not_recorded_and_lives_is_found(aws: boto3.Session) -> None:
    acm, kms = aws.client("acm"), aws.client("kms")
    certificates = [
        acm.request_certificate(DomainName=name, Tags=LISTED)["CertificateArn"]
        for name in ("review-42.example.com", "shop.review-42.example.com")
    ]
    listed: Any = [{"TagKey": key, "TagValue": value} for key, value in TAGS.items()]
    keys = [kms.create_key(Tags=listed)["KeyMetadata"]["KeyId"] for _ in range(3)]
    kms.schedule_key_deletion(KeyId=keys[0])
    kind = "aws:acm/certificate:Certificate"
    found = recover.ids(
        state(
            ("shop", kind, {"domainName": "shop.review-42.example.com", "tags": TAGS}),
            ("zone", kind, {"domainName": "review-42.example.com", "tags": TAGS}),
            ("never", kind, {"domainName": "pay.review-42.example.com", "tags": TAGS}),
            ("key", "aws:kms/key:Key", {"tags": TAGS}),
            recorded=(keys[1],),
        )
    )
    assert found == {"zone": certificates[0], "shop": certificates[1], "key": keys[2]}


def test_what_feature_flags_need_is_found_by_its_name_below_its_application(monkeypatch: pytest.MonkeyPatch) -> None:
    # moto has no lists of AppConfig but one.
    asked = []

    def answer(_: object, region: str | None, service: str, operation: str, given: object, query: str) -> list[str]:
        assert (region, service, query) == (None, "appconfig", "Items[?Name=='shop'].Id")
        asked.append((operation, given))
        return ["recorded", "one"]

    monkeypatch.setattr(recover, "_ask", answer)
    below = {"name": "shop", "applicationId": "app"}
    found = recover.ids(
        state(
            ("application", "aws:appconfig/application:Application", {"name": "shop"}),
            ("strategy", "aws:appconfig/deploymentStrategy:DeploymentStrategy", {"name": "shop"}),
            ("environment", "aws:appconfig/environment:Environment", below),
            ("profile", "aws:appconfig/configurationProfile:ConfigurationProfile", below),
            recorded=("recorded", "recorded:app"),
        )
    )
    assert found == {"application": "one", "strategy": "one", "environment": "one:app", "profile": "one:app"}
    assert asked == [
        ("list_applications", {}),
        ("list_deployment_strategies", {}),
        ("list_environments", {"ApplicationId": "app"}),
        ("list_configuration_profiles", {"ApplicationId": "app"}),
    ]


def test_what_is_in_another_region_is_looked_for_there(aws: boto3.Session) -> None:
    listed: Any = [{"TagKey": key, "TagValue": value} for key, value in TAGS.items()]
    aws.client("kms").create_key(Tags=listed)
    there = aws.client("kms", region_name="us-east-1").create_key(Tags=listed)["KeyMetadata"]["KeyId"]
    found = recover.ids(state(("key", "aws:kms/key:Key", {"tags": TAGS, "region": "us-east-1"})))
    assert found == {"key": there}


def test_what_is_found_is_a_resource_like_others_and_nothing_is_pending_any_more() -> None:
    before = state(("alarm", "aws:cloudwatch/metricAlarm:MetricAlarm", {"name": "a"}), ("lost", "aws:x/y:Y", {}))
    after = recover.recovered(before, {"alarm": "a"})
    assert after["version"] == 3
    assert after["deployment"]["pending_operations"] == []
    assert after["deployment"]["resources"] == [
        PROVIDER,
        {
            "urn": "alarm",
            "type": "aws:cloudwatch/metricAlarm:MetricAlarm",
            "custom": True,
            "inputs": {"name": "a"},
            "id": "a",
        },
    ]
