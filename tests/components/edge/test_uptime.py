"""What is asked from outside, and who hears that it does not answer."""

import json
from collections.abc import Mapping
from dataclasses import replace

import pulumi

from components.edge.uptime import ask_from_outside
from components.model import UPTIME_REGION
from components.observe.cloudwatch import AlertRouting
from components.spec import Alerts, Health, Service, Subscription, Uptime
from tests.support import samples
from tests.support.engine import Engine, in_stack

ASKED = replace(samples.SERVICE, uptime=Uptime(enabled=True), health=Health(path="/ready"))
QUIET = replace(samples.SERVICE, host="admin.example.com")
THERE = "arn:aws:sns:us-east-1:123456789012:central"
MAIL = Subscription(protocol="email", endpoint="ops@example.com")
ROUTING = AlertRouting(topic_arns=[samples.TOPIC], owner="team-edge", on_call="shop on duty")


def asked(
    services: Mapping[str, Service], alerts: Alerts | None = None, region: str = "eu-west-1"
) -> Mapping[str, pulumi.Output[str]]:
    alerts = alerts or Alerts(uptime_topic_arns=[THERE], subscriptions=[MAIL], owner="team-shop")
    return ask_from_outside(services, samples.CONTEXT, alerts, ROUTING, region)


@in_stack
async def test_the_host_is_asked_by_name_over_tls_on_its_health_path(engine: Engine) -> None:
    checks = asked({"shop": ASKED, "admin": QUIET})
    assert list(checks) == ["shop"]
    check = await engine.inputs("uptime-shop")
    assert (check["type"], check["fqdn"], check["port"]) == ("HTTPS", "shop.example.com", 443)
    assert check["enableSni"] is True
    assert check["resourcePath"] == "/ready"
    assert "searchString" not in check
    assert check["tags"]["service"] == "shop"


@in_stack
async def test_a_text_that_the_answer_must_have_is_looked_for(engine: Engine) -> None:
    asked({"shop": replace(ASKED, uptime=Uptime(enabled=True, contains="ready"))})
    check = await engine.inputs("uptime-shop")
    assert (check["type"], check["searchString"]) == ("HTTPS_STR_MATCH", "ready")


@in_stack
async def test_the_alarm_is_where_the_metric_is_and_tells_only_topics_that_are_there(engine: Engine) -> None:
    checks = asked({"shop": ASKED})
    alarm = await engine.inputs("uptime-shop-alarm")
    topic = await engine.resource("uptime-alerts-topic")
    assert alarm["region"] == UPTIME_REGION
    assert alarm["name"] == "staging-shop-uptime"
    assert alarm["alarmActions"] == alarm["okActions"] == [THERE, topic.computed["arn"]]
    assert alarm["metricQueries"][0]["metric"]["dimensions"] == {"HealthCheckId": await checks["shop"].future()}
    assert (alarm["threshold"], alarm["comparisonOperator"]) == (1, "LessThanThreshold")
    assert "team-shop" in alarm["alarmDescription"]
    assert "docs/alerts/uptime.md" in alarm["alarmDescription"]


@in_stack
async def test_those_who_subscribe_hear_of_it_through_an_encrypted_topic_there(engine: Engine) -> None:
    asked({"shop": ASKED})
    for made in ("uptime-alerts-topic", "uptime-alerts-policy", "uptime-encryption-key", "uptime-encryption-alias"):
        assert (await engine.inputs(made))["region"] == UPTIME_REGION
    (subscription,) = await engine.of_type("TopicSubscription")
    assert (subscription.inputs["region"], subscription.inputs["endpoint"]) == (UPTIME_REGION, MAIL.endpoint)
    key = await engine.resource("uptime-encryption-key")
    assert (await engine.inputs("uptime-alerts-topic"))["kmsMasterKeyId"] == key.computed["arn"]
    assert json.loads(key.inputs["policy"])["Statement"][1]["Principal"] == {"Service": "cloudwatch.amazonaws.com"}


@in_stack
async def test_a_stack_that_is_there_itself_needs_no_second_topic(engine: Engine) -> None:
    asked({"shop": ASKED}, region=UPTIME_REGION)
    assert (await engine.inputs("uptime-shop-alarm"))["alarmActions"] == [samples.TOPIC, THERE]
    assert not [each for each in engine.registrations.values() if "sns" in each.type or "kms" in each.type]


@in_stack
async def test_where_nothing_is_asked_nothing_is_made(engine: Engine) -> None:
    assert asked({"shop": QUIET}) == {}
    await engine.settle()
    assert engine.registrations == {}
