"""Where the lines go that the pods write, what is counted of them, and what they are asked when an alert fires.

The pods write to standard output. What reads that on each node and sends it here is the cluster's, not the program's:
Fluent Bit, as docs/components/log_groups.md configures it.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_aws import cloudwatch

from components.context.context import Context, ServiceContext
from components.model import METRICS, log_group
from components.observe.alert_catalog import (
    CANARY_ERRORS,
    ERRORS,
    LATENCY_P95,
    LATENCY_P99,
    RESTARTING,
    TOO_FEW,
    TRAFFIC,
    TRAFFIC_DROP,
    UNHEALTHY,
    Metric,
)
from components.spec import Logs

_FAILED: Final = """fields @timestamp, color, version, route, status, request_id, message, exception
| filter level in ["error", "critical"] or status >= 500
| sort @timestamp desc
| limit 200"""
_SLOW: Final = """filter ispresent(duration_ms)
| stats count(*) as requests, pct(duration_ms, 95) as p95_ms, pct(duration_ms, 99) as p99_ms by color, version, route
| sort p99_ms desc"""
_PODS: Final = """fields @timestamp, color, version, @logStream, level, message, exception
| filter level in ["warning", "error", "critical"] or message = "started"
| sort @timestamp desc
| limit 200"""
_REQUESTS: Final = """filter ispresent(duration_ms)
| stats count(*) as requests by bin(1m), color
| sort @timestamp desc"""

QUERIES: Final = {
    **dict.fromkeys((ERRORS.name, CANARY_ERRORS.name), _FAILED),
    **dict.fromkeys((LATENCY_P95.name, LATENCY_P99.name), _SLOW),
    **dict.fromkeys((UNHEALTHY.name, TOO_FEW.name, RESTARTING.name), _PODS),
    **dict.fromkeys((TRAFFIC.name, TRAFFIC_DROP.name), _REQUESTS),
}
"""For CloudWatch Logs Insights, by the alert whose page they belong to; the fields are those of ``app/logs.py`` and
``app/observe.py``. Of the others the lines know nothing."""


def query_name(environment: str, alert: str) -> str:
    """Return what the query of an alert is called; the console shows what is before the slash as a folder."""
    return f"{environment}-hueshift/{alert}"


def error_lines(context: ServiceContext) -> Metric:
    """Return what counts a service's lines that tell of an error, by the dimension ``Color``.

    A dimension can be taken from a line alone, so that environment and service are in the namespace.
    """
    return Metric(name="ErrorLines", namespace=f"{METRICS}/{context.environment}/{context.service}")


@dataclass(frozen=True, kw_only=True)
class LogGroupsArgs:
    """The key is an Input; the rest is plain."""

    spec: Logs
    context: Context
    services: Collection[str]
    """Their names."""
    kms_key_arn: pulumi.Input[str]
    """Its policy must let CloudWatch Logs use it for these groups, or they cannot be made."""


class LogGroups(pulumi.ComponentResource):
    """A log group for each service, the count of its error lines by color, and a saved query for each alert."""

    def __init__(self, name: str, args: LogGroupsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("hueshift:log_groups:LogGroups", name, None, opts)
        environment, groups = args.context.environment, []
        for service in args.services:
            context = args.context.of(service)
            group = cloudwatch.LogGroup(
                f"{name}-{service}",
                name=log_group(environment, service),
                retention_in_days=args.spec.retention_days,
                kms_key_id=args.kms_key_arn,
                tags=context.tags,
                opts=pulumi.ResourceOptions(parent=self, protect=context.production or None),
            ).name
            groups.append(group)
            counted = error_lines(context)
            cloudwatch.LogMetricFilter(
                f"{name}-{service}-errors",
                name=f"{environment}-{service}-errors",
                log_group_name=group,
                pattern='{ ($.level = "error") || ($.level = "critical") }',
                metric_transformation={
                    "name": counted.name,
                    "namespace": counted.namespace,
                    "value": "1",
                    "dimensions": {"Color": "$.color"},
                },
                opts=pulumi.ResourceOptions(parent=self),
            )
        for alert, query in QUERIES.items():
            cloudwatch.QueryDefinition(
                f"{name}-{alert}",
                name=query_name(environment, alert),
                query_string=query,
                log_group_names=groups,
                opts=pulumi.ResourceOptions(parent=self),
            )
        self.register_outputs({"names": groups})


def log_groups_arn(spec: Logs | None, context: Context, region: str) -> str | None:
    """Return the ARN that all log groups of an environment have, with ``*``; None where the settings ask for none."""
    home = f"arn:aws:logs:{region}:{context.account_id}:log-group:"
    return f"{home}{log_group(context.environment, '*')}" if spec is not None else None


def keep_lines(spec: Logs | None, context: Context, services: Collection[str], kms_key_arn: pulumi.Input[str]) -> None:
    """Make the log groups, if the settings ask for them."""
    if spec is not None:
        LogGroups("logs", LogGroupsArgs(spec=spec, context=context, services=services, kms_key_arn=kms_key_arn))
