"""Where the alarms of an environment go, and from there to people."""

from dataclasses import dataclass
from hashlib import sha256

import pulumi
from pulumi_aws import sns

from components.context.context import Context
from components.observe.cloudwatch import AlertRouting
from components.spec import Alerts


@dataclass(frozen=True, kw_only=True)
class AlertTopicArgs:
    """The key is an Input, another component makes it; who hears is plain."""

    context: Context
    """Its account's alarms may publish."""
    alerts: Alerts
    """Who subscribes, and who owns it."""
    kms_key_arn: pulumi.Input[str]
    """Its policy must let CloudWatch use it, or alarms are lost in silence; it is where the topic is."""
    region: str | None = None
    """Where its alarms are; None for the region of the stack."""


class AlertTopic(pulumi.ComponentResource):
    """An encrypted topic that takes messages only from this account's alarms, over TLS."""

    arn: pulumi.Output[str]
    """For the actions of alarms."""

    def __init__(self, name: str, args: AlertTopicArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("hueshift:alert_topic:AlertTopic", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        topic = sns.Topic(
            f"{name}-topic",
            display_name=f"hueshift {args.context.environment}",
            kms_master_key_id=args.kms_key_arn,
            region=args.region,
            tags={**args.context.tags, **({"owner": args.alerts.owner} if args.alerts.owner else {})},
            opts=child,
        )
        policy = sns.TopicPolicy(
            f"{name}-policy",
            arn=topic.arn,
            region=args.region,
            policy=pulumi.Output.json_dumps(
                {
                    "Version": "2012-10-17",
                    "Statement": [
                        {
                            "Sid": "Alarms",
                            "Effect": "Allow",
                            "Principal": {"Service": "cloudwatch.amazonaws.com"},
                            "Action": "sns:Publish",
                            "Resource": topic.arn,
                            # Or an alarm of any account could write here.
                            "Condition": {"StringEquals": {"aws:SourceAccount": args.context.account_id}},
                        },
                        {
                            "Sid": "EncryptedOnly",
                            "Effect": "Deny",
                            "Principal": "*",
                            "Action": "sns:Publish",
                            "Resource": topic.arn,
                            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                        },
                    ],
                }
            ),
            opts=child,
        )
        for subscription in args.alerts.subscriptions:
            # By content, not by place: one that comes or goes leaves the others alone. A hash, for an address is a
            # person's and names of resources are shown everywhere.
            digest = sha256(subscription.endpoint.encode()).hexdigest()[:8]
            sns.TopicSubscription(
                f"{name}-{subscription.protocol}-{digest}",
                topic=topic.arn,
                protocol=subscription.protocol,
                endpoint=subscription.endpoint,
                region=args.region,
                opts=pulumi.ResourceOptions(parent=self, depends_on=[policy]),
            )
        self.arn = topic.arn
        self.register_outputs({"arn": self.arn})


def routing(alerts: Alerts, context: Context, kms_key_arn: pulumi.Input[str]) -> AlertRouting:
    """Return who hears of the alarms of an environment: the topics that exist, and one made here for subscriptions."""
    topics: list[pulumi.Input[str]] = list(alerts.topic_arns)
    if alerts.subscriptions:
        topics.append(AlertTopic("alerts", AlertTopicArgs(context=context, alerts=alerts, kms_key_arn=kms_key_arn)).arn)
    return AlertRouting(topic_arns=topics, owner=alerts.owner, on_call=alerts.on_call, runbooks=alerts.runbooks)
