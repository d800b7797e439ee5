"""Sends a release's traffic back when an alarm fires and nobody drives the release.

EventBridge hears of the environment's alarms and starts a state machine, which calls S3 and Elastic Load Balancing
itself. It knows nothing of releases: it does what the object ``guard/<alarm>.json`` in the releases bucket says, which
whoever drives a release puts there before it moves traffic and takes away afterwards (``hueshift/release/guard.py``).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import pulumi
from pulumi_aws import cloudwatch, iam, sfn

from components.context.context import Context
from components.model import alarm_name
from components.observe.alert_catalog import GUARD_FAILED
from components.observe.cloudwatch import AlarmContext, AlertRouting, metric_alarm

POLICY: Final = "hueshift-guard"
"""The policy of the account that says what the guard may do, made by people from ``docs/roles/guard.json``: whoever
deploys could else write one that lets the state machine do anything."""

_SDK: Final = "arn:aws:states:::aws-sdk:"
_ORDER: Final = "States.Format('guard/{}.json', $.detail.alarmName)"
_NOTE: Final = "States.Format('guard/{}.fired', $.detail.alarmName)"

_READS: Final = 8
"""Times that a look is made again, within a minute."""
_MOVES: Final = 100
"""Times that traffic is sent back again, within eight minutes: AWS throttles for minutes, not for longer."""
_LONGEST: Final = 900
"""Seconds until an execution is given up, which is then an alarm of its own."""


def definition(bucket: pulumi.Input[str]) -> dict[str, Any]:
    """Return the state machine, in the Amazon States Language, that does what the orders in a bucket say.

    Its input is an event of EventBridge, "CloudWatch Alarm State Change". An order is

        {"since", "until": "2026-11-30T14:02:09Z", "moves": [{"rule": ARN, "old": ARN, "actions": […]}]}

    with the whole ``Actions`` of ModifyRule, and the target group whose pods must be able to take the requests; it is
    for events of its time only, so that one left behind moves nothing a month later, and one that EventBridge delivers
    late (it tries for a day) nothing of the next release. Executed twice it does the same again.

    JSONPath throughout, the default. ``getObject`` gives the body as text, and a filter that finds nothing an empty
    list (Step Functions guide, paths).
    """
    return {
        "Comment": "hueshift's guard: sends the traffic of an armed release back when an alarm of its new color fires",
        "StartAt": "Look",
        "TimeoutSeconds": _LONGEST,
        "States": {
            # A listing, for a missing object is an error, and of the errors' names AWS documents none.
            "Look": _task(
                "s3:listObjectsV2",
                {"Bucket": bucket, "Prefix.$": _ORDER, "MaxKeys": 1},
                ResultSelector={"count.$": "$.KeyCount"},
                ResultPath="$.found",
                Next="Armed",
            ),
            "Armed": {
                "Type": "Choice",
                "Choices": [{"Variable": "$.found.count", "NumericEquals": 0, "Next": "Nothing"}],
                "Default": "Read",
            },
            # Gone in the meantime: looks again, and finds nothing.
            "Read": _task(
                "s3:getObject",
                {"Bucket": bucket, "Key.$": _ORDER},
                ResultSelector={"text.$": "$.Body"},
                ResultPath="$.read",
                Catch=[_otherwise("Look")],
                Next="Parse",
            ),
            "Parse": {
                "Type": "Pass",
                "Parameters": {"order.$": "States.StringToJson($.read.text)"},
                "ResultPath": "$.read",
                "Next": "Timely",
            },
            "Timely": {
                "Type": "Choice",
                "Choices": [
                    {
                        "And": [
                            {"Variable": "$.read.order.since", "TimestampLessThanEqualsPath": "$.time"},
                            {"Variable": "$.read.order.until", "TimestampGreaterThanPath": "$.time"},
                        ],
                        "Next": "Each",
                    }
                ],
                "Default": "Nothing",
            },
            "Each": {
                "Type": "Map",
                "ItemsPath": "$.read.order.moves",
                "ItemProcessor": {"ProcessorConfig": {"Mode": "INLINE"}, "StartAt": "Health", "States": _move()},
                "ResultSelector": {"left.$": "$[?(@.outcome == 'left')]"},
                "ResultPath": "$.moves",
                "Next": "Note",
            },
            "Note": _task(
                "s3:putObject",
                {"Bucket": bucket, "Key.$": _NOTE, "Body.$": "States.JsonToString($)"},
                ResultPath=None,
                Next="All",
            ),
            "All": {
                "Type": "Choice",
                "Choices": [{"Variable": "$.moves.left[0]", "IsPresent": True, "Next": "Left"}],
                "Default": "Back",
            },
            "Left": {"Type": "Fail", "Error": "Left", "Cause": "The old color cannot take its requests back"},
            "Back": {"Type": "Succeed"},
            "Nothing": {"Type": "Succeed"},
        },
    }


def _move() -> dict[str, Any]:
    """Return the states of one move. They never fail, or those of the other services would be ended with them."""
    return {
        "Health": _task(
            "elasticloadbalancingv2:describeTargetHealth",
            {"TargetGroupArn.$": "$.old"},
            ResultSelector={"healthy.$": "$.TargetHealthDescriptions[?(@.TargetHealth.State == 'healthy')]"},
            ResultPath="$.seen",
            # What cannot be seen is no reason to stay with a color that fails.
            Catch=[_otherwise("Send")],
            Next="Able",
        ),
        "Able": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.seen.healthy[0]", "IsPresent": True, "Next": "Send"}],
            "Default": "Stay",
        },
        "Send": _task(
            "elasticloadbalancingv2:modifyRule",
            {"RuleArn.$": "$.rule", "Actions.$": "$.actions"},
            attempts=_MOVES,
            ResultPath=None,
            Catch=[_otherwise("Stay")],
            Next="Sent",
        ),
        "Sent": {"Type": "Pass", "Parameters": {"rule.$": "$.rule", "outcome": "back"}, "End": True},
        "Stay": {"Type": "Pass", "Parameters": {"rule.$": "$.rule", "outcome": "left"}, "End": True},
    }


def _task(call: str, parameters: Mapping[str, Any], *, attempts: int = _READS, **more: object) -> dict[str, Any]:
    retry = {"ErrorEquals": ["States.ALL"], "IntervalSeconds": 1, "BackoffRate": 1.5, "MaxAttempts": attempts}
    return {
        "Type": "Task",
        "Resource": f"{_SDK}{call}",
        "Parameters": parameters,
        "Retry": [{**retry, "MaxDelaySeconds": 5}],
        **more,
    }


def _otherwise(state: str) -> dict[str, Any]:
    return {"ErrorEquals": ["States.ALL"], "ResultPath": None, "Next": state}


@dataclass(frozen=True, kw_only=True)
class GuardArgs:
    """The bucket is an Input, another component makes it; the rest is plain."""

    context: Context
    """Its tags are what the policy keeps the guard to its own by."""
    bucket: pulumi.Input[str]
    """Where the orders are."""
    routing: AlertRouting
    """Who is told when it fails."""


class Guard(pulumi.ComponentResource):
    """The rule that hears of alarms, the state machine that it starts, the role of both, and an alarm of their own."""

    arn: pulumi.Output[str]
    """Of the state machine; a release is over for it when no execution runs."""

    def __init__(self, name: str, args: GuardArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("hueshift:guard:Guard", name, None, opts)
        child, context = pulumi.ResourceOptions(parent=self), args.context
        # Fixed names, by which the roles of docs/roles know the two; nothing but another environment changes them.
        physical = f"{context.environment}-guard"
        role = iam.Role(
            f"{name}-role",
            description=f"The guard of {context.environment}: sends traffic back",
            assume_role_policy=json.dumps(_trust(context.account_id)),
            tags=context.tags,
            opts=child,
        )
        policy = iam.RolePolicyAttachment(
            f"{name}-policy",
            role=role.name,
            policy_arn=f"arn:aws:iam::{context.account_id}:policy/{POLICY}",
            opts=child,
        )
        machine = sfn.StateMachine(
            f"{name}-machine",
            name=physical,
            type="STANDARD",
            role_arn=role.arn,
            definition=pulumi.Output.json_dumps(definition(args.bucket)),
            tags=context.tags,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[policy]),
        )
        rule = cloudwatch.EventRule(
            f"{name}-rule",
            name=physical,
            description=f"Alarms of {context.environment} that fire",
            event_pattern=json.dumps(pattern(context.environment)),
            tags=context.tags,
            opts=child,
        )
        cloudwatch.EventTarget(
            f"{name}-target", rule=rule.name, target_id="guard", arn=machine.arn, role_arn=role.arn, opts=child
        )
        metric_alarm(
            f"{name}-failed",
            GUARD_FAILED,
            self,
            AlarmContext(f"the guard in {context.environment}", args.routing, context.tags),
            alarm_name(context.environment, GUARD_FAILED.name),
            lambda _, metric: (
                {"RuleName": physical} if metric.namespace == "AWS/Events" else {"StateMachineArn": machine.arn}
            ),
            topics=args.routing.topic_arns,
        )
        self.arn = machine.arn
        self.register_outputs({"arn": self.arn})


def pattern(environment: str) -> dict[str, Any]:
    """Return which events start the guard: an alarm of the environment, of whatever kind, is on now."""
    return {
        "source": ["aws.cloudwatch"],
        "detail-type": ["CloudWatch Alarm State Change"],
        "detail": {"alarmName": [{"prefix": alarm_name(environment, "")}], "state": {"value": ["ALARM"]}},
    }


def _trust(account_id: str) -> dict[str, Any]:
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": ["events.amazonaws.com", "states.amazonaws.com"]},
                "Action": "sts:AssumeRole",
                # Or the two services could be made to use it for another account.
                "Condition": {"StringEquals": {"aws:SourceAccount": account_id}},
            }
        ],
    }
