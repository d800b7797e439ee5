"""Feature flags of the services, in AWS AppConfig."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pulumi
from pulumi_aws import appconfig, iam

from components import rules
from components.context.context import Context
from components.model import alarm_name, flag_strategy, flags_application
from components.spec import Service

POLICY: Final = "hueshift-flags"
"""The policy of the account with which AppConfig asks for alarms, made by people from ``docs/roles/flags.json``."""

BAKE: Final = 30
"""Minutes for which AppConfig takes a change back if an alarm fires: six times what the alarms look at. A longer time
keeps the next step waiting, for an environment of AppConfig has one deployment at a time."""

STRATEGIES: Final = {"step": BAKE, "off": 0}
"""Minutes of each. Off has none: an alarm that still fires would turn the flag on again."""

ALARMS: Final = ("errors", "latency-p95")
"""Of each color. AppConfig takes five for an environment (AppConfig CreateEnvironment)."""


@dataclass(frozen=True, kw_only=True)
class FeatureFlagsArgs:
    """All plain: configuration decides which flags there are."""

    context: Context
    services: Mapping[str, Service]
    """Those with flags."""
    region: str
    """Where the alarms are."""
    after: Sequence[pulumi.Resource] = ()
    """What makes the alarms."""


class FeatureFlags(pulumi.ComponentResource):
    """An application for all, with an environment and a profile for each service, and two strategies.

    Both strategies give a change to all pods at once. AppConfig's own growth counts clients, which are pods: a user
    would meet the flag on and off by turns. So the share of users is part of the content, and each step of it is a
    deployment.

    The content is not made here: it is moved while the program rests, and an update must not move it back.
    """

    application_id: pulumi.Output[str]
    """Part of the ARN by which a policy of pods names their configuration."""

    def __init__(self, name: str, args: FeatureFlagsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("hueshift:feature_flags:FeatureFlags", name, None, opts)
        child, context = pulumi.ResourceOptions(parent=self), args.context
        role = iam.Role(
            f"{name}-role",
            description=f"AppConfig asks for the alarms of {context.environment}",
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
        application = appconfig.Application(
            f"{name}-application",
            name=flags_application(context.environment),
            description=f"Feature flags of {context.environment}",
            tags=context.tags,
            opts=child,
        )
        for kind, minutes in STRATEGIES.items():
            appconfig.DeploymentStrategy(
                f"{name}-{kind}",
                name=flag_strategy(context.environment, kind),
                deployment_duration_in_minutes=0,
                growth_type="LINEAR",
                growth_factor=100,
                final_bake_time_in_minutes=minutes,
                replicate_to="NONE",
                tags=context.tags,
                opts=child,
            )
        for service, spec in args.services.items():
            own = context.of(service)
            appconfig.Environment(
                f"{name}-{service}-environment",
                application_id=application.id,
                name=service,
                monitors=[
                    {
                        "alarm_arn": f"arn:aws:cloudwatch:{args.region}:{context.account_id}:alarm:"
                        + alarm_name(context.environment, service, color, alarm),
                        "alarm_role_arn": role.arn,
                    }
                    for color in spec.colors
                    for alarm in ALARMS
                ],
                tags=own.tags,
                # A role that may not ask for alarms is no monitor.
                opts=pulumi.ResourceOptions(parent=self, depends_on=[policy, *args.after]),
            )
            appconfig.ConfigurationProfile(
                f"{name}-{service}-profile",
                application_id=application.id,
                name=service,
                description=f"Feature flags of {service}",
                location_uri="hosted",
                # AppConfig judges each version of it by its own schema.
                type="AWS.AppConfig.FeatureFlags",
                tags={
                    **own.tags,
                    **dict(
                        rules.flag_tag(flag, expires=known.expires, owner=known.owner)
                        for flag, known in spec.flags.items()
                    ),
                },
                opts=child,
            )
        self.application_id = application.id
        self.register_outputs({"application_id": self.application_id})


def offer_flags(
    services: Mapping[str, Service], context: Context, region: str, *, after: Sequence[pulumi.Resource]
) -> None:
    """Make what the flags of the settings need, after the services, whose alarms it names."""
    flagged = {name: service for name, service in services.items() if service.flags}
    if flagged:
        args = FeatureFlagsArgs(context=context, services=flagged, region=region, after=after)
        FeatureFlags(f"{context.environment}-flags", args)


def _trust(account_id: str) -> dict[str, Any]:
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "appconfig.amazonaws.com"},
                "Action": "sts:AssumeRole",
                # Or AppConfig could be made to use it for another account.
                "Condition": {"StringEquals": {"aws:SourceAccount": account_id}},
            }
        ],
    }
