"""SNS topics, who may publish to them and who is told."""
# ruff: noqa: A002, ANN401, ARG002 - the contract fixes names and arguments; boto3's clients are untyped here

import json
from typing import Any, Final

from botocore.exceptions import ClientError

from sandbox.providers.aws.base import NAME, NAME_PREFIX, TAGS, AwsResource, code, tag_list, tag_map
from sandbox.providers.aws.schema import JSON, Arg, nest, pascal, text
from sandbox.providers.plugin import CheckFailure, Properties

_FEEDBACK: Final = {
    f"{protocol}{member}": arg
    for protocol in ("application", "firehose", "http", "lambda", "sqs")
    for member, arg in (
        ("FailureFeedbackRoleArn", Arg()),
        ("SuccessFeedbackRoleArn", Arg()),
        ("SuccessFeedbackSampleRate", Arg(type=int, low=0, high=100)),
    )
}


def _attribute(argument: str) -> str:
    """``httpSuccessFeedbackRoleArn`` → ``HTTPSuccessFeedbackRoleArn``, ``sqs…`` → ``SQS…``, the rest in Pascal case."""
    for short in ("http", "sqs"):
        if argument.startswith(short):
            return short.upper() + argument[len(short) :]
    return pascal(argument)


class Topic(AwsResource):
    """``aws:sns/topic:Topic``; the ID is the ARN."""

    service = "sns"
    longest_name = 256
    longest_prefix = 230
    name_pattern = r"[A-Za-z0-9_-]+(\.fifo)?"
    outputs = ("arn", "beginningArchiveTime", "owner")
    gone = ("NotFound", "NotFoundException")
    schema = {
        **_FEEDBACK,
        "archivePolicy": Arg(type=JSON),
        "contentBasedDeduplication": Arg(type=bool, default=False),
        "deliveryPolicy": Arg(type=JSON),
        "displayName": Arg(high=100),
        "fifoThroughputScope": Arg(computed=True, choices=("Topic", "MessageGroup")),
        "fifoTopic": Arg(type=bool, default=False, replace=True),
        "kmsMasterKeyId": Arg(),
        "name": NAME,
        "namePrefix": NAME_PREFIX,
        "policy": Arg(type=JSON, computed=True),
        "signatureVersion": Arg(type=int, computed=True, low=1, high=2),
        "tags": TAGS,
        "tracingConfig": Arg(computed=True, choices=("Active", "PassThrough")),
    }
    attributes = {name: _attribute(name) for name in schema if name not in ("name", "namePrefix", "tags", "fifoTopic")}

    def name_suffix(self, inputs: Properties) -> str:
        return ".fifo" if inputs.get("fifoTopic") is True else ""

    def validate(self, inputs: Properties) -> None:
        name = inputs.get("name")
        if isinstance(name, str) and name.endswith(".fifo") != (inputs["fifoTopic"] is True):
            raise CheckFailure("name", "the name of a FIFO topic, and of no other, ends in .fifo")
        if inputs["contentBasedDeduplication"] is True and inputs["fifoTopic"] is False:
            raise CheckFailure("contentBasedDeduplication", "only a FIFO topic has it")

    def make(self, api: Any, inputs: Properties, timeout: float) -> str:
        suffix = self.name_suffix(inputs) if "namePrefix" in inputs else ""
        made = api.create_topic(
            Name=inputs["name"] + suffix,
            Attributes={"FifoTopic": "true"} if inputs["fifoTopic"] else {},
            Tags=tag_list(inputs.get("tagsAll")),
        )
        return str(made["TopicArn"])

    def settle(self, api: Any, id: str, inputs: Properties) -> None:
        self.change(api, id, {"contentBasedDeduplication": False}, inputs)

    def describe(self, api: Any, id: str, inputs: Properties) -> Properties | None:
        attributes = api.get_topic_attributes(TopicArn=id)["Attributes"]
        values = {ours: attributes[theirs] for ours, theirs in self.attributes.items() if theirs in attributes}
        return {
            "contentBasedDeduplication": False,
            **nest(self.schema, values),
            "fifoTopic": attributes.get("FifoTopic") == "true",
            "name": id.rpartition(":")[2],
            "arn": id,
            "owner": attributes.get("Owner"),
            "beginningArchiveTime": attributes.get("BeginningArchiveTime"),
            "tagsAll": tag_map(api.list_tags_for_resource(ResourceArn=id)["Tags"]),
        }

    def change(self, api: Any, id: str, old: Properties, new: Properties) -> None:
        for ours, theirs in self.attributes.items():
            if old.get(ours) != new.get(ours):
                value = text(new.get(ours, ""))
                api.set_topic_attributes(TopicArn=id, AttributeName=theirs, AttributeValue=value)

    def remove(self, api: Any, id: str, state: Properties, timeout: float) -> None:
        api.delete_topic(TopicArn=id)


class TopicPolicy(AwsResource):
    """``aws:sns/topicPolicy:TopicPolicy``; the ID is the topic's ARN."""

    service = "sns"
    outputs = ("owner",)
    gone = ("NotFound", "NotFoundException")
    schema = {"arn": Arg(required=True, replace=True), "policy": Arg(type=JSON, required=True)}

    def make(self, api: Any, inputs: Properties, timeout: float) -> str:
        api.set_topic_attributes(TopicArn=inputs["arn"], AttributeName="Policy", AttributeValue=inputs["policy"])
        return str(inputs["arn"])

    def describe(self, api: Any, id: str, inputs: Properties) -> Properties | None:
        attributes = api.get_topic_attributes(TopicArn=id)["Attributes"]
        policy = attributes.get("Policy")
        return {"arn": id, "policy": policy, "owner": attributes.get("Owner")} if policy else None

    def change(self, api: Any, id: str, old: Properties, new: Properties) -> None:
        self.make(api, new, 0)

    def remove(self, api: Any, id: str, state: Properties, timeout: float) -> None:
        """Give the topic the policy that a new one has: none at all is not possible."""
        owner = state.get("owner") or id.split(":")[4]
        everything = ("Subscribe", "SetTopicAttributes", "RemovePermission", "Publish", "ListSubscriptionsByTopic")
        actions = [f"SNS:{action}" for action in (*everything, "GetTopicAttributes", "DeleteTopic", "AddPermission")]
        statement = {
            "Sid": "__default_statement_ID",
            "Effect": "Allow",
            "Principal": {"AWS": "*"},
            "Action": actions,
            "Resource": id,
            "Condition": {"StringEquals": {"AWS:SourceOwner": owner}},
        }
        default = {"Version": "2008-10-17", "Id": "__default_policy_ID", "Statement": [statement]}
        api.set_topic_attributes(TopicArn=id, AttributeName="Policy", AttributeValue=json.dumps(default))


class TopicSubscription(AwsResource):
    """``aws:sns/topicSubscription:TopicSubscription``; a person who has yet to confirm is waited for by nobody."""

    service = "sns"
    outputs = ("arn", "confirmationWasAuthenticated", "ownerId", "pendingConfirmation")
    gone = ("NotFound", "NotFoundException")
    schema = {
        "confirmationTimeoutInMinutes": Arg(type=int, default=1, stored=False),
        "deliveryPolicy": Arg(type=JSON),
        "endpoint": Arg(required=True, replace=True),
        "endpointAutoConfirms": Arg(type=bool, default=False, stored=False),
        "filterPolicy": Arg(type=JSON),
        "filterPolicyScope": Arg(computed=True, choices=("MessageAttributes", "MessageBody")),
        "protocol": Arg(
            required=True,
            replace=True,
            choices=("application", "email", "email-json", "firehose", "http", "https", "lambda", "sms", "sqs"),
        ),
        "rawMessageDelivery": Arg(type=bool, default=False),
        "redrivePolicy": Arg(type=JSON),
        "replayPolicy": Arg(type=JSON),
        "subscriptionRoleArn": Arg(),
        "topic": Arg(required=True, replace=True),
    }
    attributes: Final = {
        name: pascal(name)
        for name in (
            "deliveryPolicy",
            "filterPolicy",
            "filterPolicyScope",
            "rawMessageDelivery",
            "redrivePolicy",
            "replayPolicy",
            "subscriptionRoleArn",
        )
    }

    def make(self, api: Any, inputs: Properties, timeout: float) -> str:
        made = api.subscribe(
            TopicArn=inputs["topic"],
            Protocol=inputs["protocol"],
            Endpoint=inputs["endpoint"],
            Attributes={
                theirs: text(inputs[ours])
                for ours, theirs in self.attributes.items()
                if inputs.get(ours) not in (None, False)
            },
            ReturnSubscriptionArn=True,
        )
        return str(made["SubscriptionArn"])

    def describe(self, api: Any, id: str, inputs: Properties) -> Properties | None:
        attributes = api.get_subscription_attributes(SubscriptionArn=id)["Attributes"]
        values = {ours: attributes[theirs] for ours, theirs in self.attributes.items() if theirs in attributes}
        return {
            "rawMessageDelivery": False,
            **nest(self.schema, values),
            "endpoint": attributes.get("Endpoint"),
            "protocol": attributes.get("Protocol"),
            "topic": attributes["TopicArn"],
            "arn": id,
            "ownerId": attributes.get("Owner"),
            "pendingConfirmation": attributes.get("PendingConfirmation") == "true",
            "confirmationWasAuthenticated": attributes.get("ConfirmationWasAuthenticated") == "true",
        }

    def change(self, api: Any, id: str, old: Properties, new: Properties) -> None:
        for ours, theirs in self.attributes.items():
            if old.get(ours) != new.get(ours):
                value = text(new.get(ours, ""))
                if not value and ours in ("filterPolicy", "redrivePolicy"):
                    value = "{}"
                api.set_subscription_attributes(SubscriptionArn=id, AttributeName=theirs, AttributeValue=value)

    def remove(self, api: Any, id: str, state: Properties, timeout: float) -> None:
        try:
            api.unsubscribe(SubscriptionArn=id)
        except ClientError as error:
            # Nobody but the invited may end what is not confirmed; it lapses after three days.
            if code(error) != "InvalidParameter" or "pending" not in str(error):
                raise
