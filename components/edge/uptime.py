"""Whether the services answer from outside, by name, over TLS, as users would ask them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import pulumi
from pulumi_aws import route53

from components.context.context import Context
from components.edge.encryption_key import EncryptionKey, EncryptionKeyArgs
from components.model import UPTIME_REGION, alarm_name
from components.observe.alert_catalog import UPTIME
from components.observe.alert_topic import AlertTopic, AlertTopicArgs
from components.observe.cloudwatch import AlarmContext, AlertRouting, metric_alarm
from components.spec import Alerts, Service

INTERVAL: Final = 30
"""Seconds between two questions of each of Route 53's checkers, which is every two or three seconds from all together.
The other that it offers, 10, costs extra."""

FAILURES: Final = 3
"""Questions without a right answer after which a checker calls the host unhealthy; the default of Route 53."""


@dataclass(frozen=True, kw_only=True)
class UptimeArgs:
    """The topics are Inputs, and in us-east-1; the rest is plain."""

    context: Context
    services: Mapping[str, Service]
    """What is asked."""
    routing: AlertRouting
    alerts: Alerts
    """Who owns each service's alarm."""


class Uptime(pulumi.ComponentResource):
    """A health check of Route 53 for each host, and its alarm, in us-east-1 as its metric is.

    Route 53 does not judge the certificate (Route 53 guide, how it determines whether a health check is healthy); the
    alarm ``certificate`` does.
    """

    health_checks: Mapping[str, pulumi.Output[str]]
    """Their ids, by service."""

    def __init__(self, name: str, args: UptimeArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("hueshift:uptime:Uptime", name, None, opts)
        checks = {}
        for service, spec in args.services.items():
            context = args.context.of(service)
            contains = spec.uptime.contains
            check = checks[service] = route53.HealthCheck(
                f"{name}-{service}",
                type="HTTPS_STR_MATCH" if contains else "HTTPS",
                fqdn=spec.host,
                port=443,
                # Of all certificates of the load balancer, the host's own.
                enable_sni=True,
                resource_path=spec.health.path,
                search_string=contains,
                request_interval=INTERVAL,
                failure_threshold=FAILURES,
                tags={**context.tags, "Name": alarm_name(context.environment, service, UPTIME.name)},
                opts=pulumi.ResourceOptions(parent=self),
            ).id
            owned = replace(args.routing, owner=args.alerts.owner_of(service))
            metric_alarm(
                f"{name}-{service}-alarm",
                UPTIME,
                self,
                AlarmContext(f"{service} in {context.environment}", owned, context.tags),
                alarm_name(context.environment, service, UPTIME.name),
                lambda *_, check=check: {"HealthCheckId": check},
                topics=owned.topic_arns,
                region=UPTIME_REGION,
            )
        self.health_checks = checks
        self.register_outputs({"health_checks": checks})


def ask_from_outside(
    services: Mapping[str, Service], context: Context, alerts: Alerts, routing: AlertRouting, region: str
) -> Mapping[str, pulumi.Output[str]]:
    """Make the health checks that the settings ask for; return their ids, by service.

    An alarm tells topics of its own region alone (CloudWatch PutMetricAlarm). So the subscriptions of the environment
    get a topic in us-east-1 too, and a key that encrypts it, unless the stack is there itself, in ``region``.
    """
    asked = {name: service for name, service in services.items() if service.uptime.enabled}
    if not asked:
        return {}
    topics: list[pulumi.Input[str]] = [*alerts.uptime_topic_arns]
    if region == UPTIME_REGION:
        topics = [*routing.topic_arns, *topics]
    elif alerts.subscriptions:
        key = EncryptionKey("uptime-encryption", EncryptionKeyArgs(context=context, region=UPTIME_REGION))
        topic = AlertTopicArgs(context=context, alerts=alerts, kms_key_arn=key.arn, region=UPTIME_REGION)
        topics.append(AlertTopic("uptime-alerts", topic).arn)
    there = replace(routing, topic_arns=topics)
    return Uptime("uptime", UptimeArgs(context=context, services=asked, routing=there, alerts=alerts)).health_checks
