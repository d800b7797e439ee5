"""Where alarms go."""

import json
from typing import Any

from components.observe.alert_topic import AlertTopic
from components.spec import Subscription
from tests.support import samples
from tests.support.engine import Engine, in_stack


async def statements(engine: Engine) -> dict[str, dict[str, Any]]:
    policy = json.loads((await engine.inputs("alerts-policy"))["policy"])
    return {statement["Sid"]: statement for statement in policy["Statement"]}


@in_stack
async def test_messages_are_encrypted_where_they_rest_and_on_their_way(engine: Engine) -> None:
    AlertTopic("alerts", samples.ALERT_TOPIC)
    assert (await engine.inputs("alerts-topic"))["kmsMasterKeyId"] == samples.ALERT_TOPIC.kms_key_arn
    deny = (await statements(engine))["EncryptedOnly"]
    assert (deny["Effect"], deny["Principal"], deny["Action"]) == ("Deny", "*", "sns:Publish")
    assert deny["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


@in_stack
async def test_only_alarms_of_this_account_may_write(engine: Engine) -> None:
    topic = AlertTopic("alerts", samples.ALERT_TOPIC)
    allowed = [one for one in (await statements(engine)).values() if one["Effect"] == "Allow"]
    (allow,) = allowed
    assert allow["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert allow["Action"] == "sns:Publish"
    assert allow["Condition"] == {"StringEquals": {"aws:SourceAccount": "123456789012"}}
    assert allow["Resource"] == await topic.arn.future()


@in_stack
async def test_each_subscription_is_made_once_the_topic_is_closed_to_others(engine: Engine) -> None:
    AlertTopic("alerts", samples.ALERT_TOPIC)
    made = await engine.of_type("TopicSubscription")
    assert {(one.inputs["protocol"], one.inputs["endpoint"]) for one in made} == {
        ("email", "oncall@example.com"),
        ("https", "https://alerts.example.com/sns"),
    }
    policy = (await engine.resource("alerts-policy")).urn
    assert all(policy in one.waits_for for one in made)


@in_stack
async def test_names_hold_no_address_and_do_not_move_with_their_place(engine: Engine) -> None:
    AlertTopic("alerts", samples.ALERT_TOPIC)
    first = {one.name for one in await engine.of_type("TopicSubscription")}
    assert not any("oncall" in name or "example" in name for name in first)
    newer = Subscription(protocol="email", endpoint="second@example.com")
    AlertTopic(
        "more", samples.change(samples.ALERT_TOPIC, subscriptions=[newer, *samples.ALERT_TOPIC.alerts.subscriptions])
    )
    later = {one.name for one in await engine.of_type("TopicSubscription")} - first
    assert {name.replace("alerts-", "more-") for name in first} < later


@in_stack
async def test_it_says_whose_it_is(engine: Engine) -> None:
    AlertTopic("alerts", samples.ALERT_TOPIC)
    assert (await engine.inputs("alerts-topic"))["tags"] == {**samples.TAGS, "owner": "team-shop"}
