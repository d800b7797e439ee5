"""When a person must hear of a color, stated once for CloudWatch and for Prometheus.

CloudWatch sees what clients of the load balancer see, Prometheus what the pods answered; each
covers for the other's blindness. Neither sees a color without traffic, and CloudWatch counts
the 502 and 503 of a color without targets for the whole load balancer, not for the color.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import pulumi
from pulumi_aws import cloudwatch
from pulumi_kubernetes.apiextensions import CustomResource

from components.model import ALARM_PERIOD, ALARM_PERIODS, Color
from components.workload import color_labels

DATAPOINTS: Final = ALARM_PERIODS - 1
"""Breaching periods of ``ALARM_PERIODS`` that raise a CloudWatch alarm. Not all: the counts of the newest minute come
one after another, and a count that is late looks like 0."""

MINIMUM_REQUESTS: Final = 20
"""Requests a minute below which nothing is judged: at 10, one failure is already 10 %. The blind spot: a service that
quiet can fail without an alarm, and needs a probe from outside."""

ERROR_PERCENT: Final = 5
"""Percent of requests. Far above what retries and clients' aborts cause, low enough that most users still succeed when
somebody hears of it. The blind spot: a slow leak of up to 5 %; a canary step is judged more strictly by its release."""

P95_SECONDS: Final = 1
"""Seconds within which 95 of 100 requests are answered; beyond it people notice. The blind spot: the slowest 5 %, and a
route that fails fast lowers it."""


class Severity(StrEnum):
    """How soon a person must look."""

    CRITICAL = "critical"
    """Now: users are failing."""
    WARNING = "warning"
    """Today: users are waiting."""


@dataclass(frozen=True, kw_only=True)
class Alert:
    """One thing that may go wrong with a color."""

    name: str
    severity: Severity
    summary: str
    threshold: int
    reason: str
    runbook: str
    """Path and heading in this repository."""
    promql: str
    """What is compared with the threshold; ``%(own)s`` stands for the matchers of the color's own samples."""


ERRORS: Final = Alert(
    name="errors",
    severity=Severity.CRITICAL,
    summary=f"more than {ERROR_PERCENT} % of the requests fail",
    threshold=ERROR_PERCENT,
    reason="Answers with 5xx, and connections that the pods did not take, as a share of all requests.",
    runbook="docs/operations.md#errors",
    promql='100 * sum(rate(http_requests_total{%(own)s,status=~"5.."}[2m]))'
    " / sum(rate(http_requests_total{%(own)s}[2m]))",
)
LATENCY: Final = Alert(
    name="latency",
    severity=Severity.WARNING,
    summary=f"the 95th percentile of the answer time is above {P95_SECONDS} s",
    threshold=P95_SECONDS,
    reason="One request in twenty takes longer than people wait without noticing.",
    runbook="docs/operations.md#latency",
    promql="histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket{%(own)s}[2m])))",
)
ENOUGH: Final = f"60 * sum(rate(http_requests_total{{%(own)s}}[2m])) >= {MINIMUM_REQUESTS}"
"""Two minutes are four scrapes at the usual 30 s: one that fails leaves no gap."""


@dataclass(frozen=True, kw_only=True)
class AlertRulesArgs:
    """What the load balancer supplies is an Input; the rest is plain."""

    service: str
    color: Color
    environment: str
    namespace: pulumi.Input[str]
    load_balancer: pulumi.Input[str]
    """``arn_suffix`` of the load balancer."""
    target_group: pulumi.Input[str]
    """``arn_suffix`` of the color's target group."""
    topic_arns: Sequence[pulumi.Input[str]]
    """Who hears of an alarm and of its end; none for nobody."""
    tags: Mapping[str, str]


class AlertRules(pulumi.ComponentResource):
    """The alarms of one color. They belong to it for life: after a flip the old color keeps being watched."""

    alarm_names: Sequence[pulumi.Output[str]]
    """In CloudWatch."""

    def __init__(self, name: str, args: AlertRulesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("hueshift:alert_rules:AlertRules", name, None, opts)
        alarms = [self._errors(name, args), self._latency(name, args)]
        labels = color_labels(args.service, args.environment, args.color)
        CustomResource(
            f"{name}-prometheus",
            api_version="monitoring.coreos.com/v1",
            kind="PrometheusRule",
            metadata={"name": f"{args.service}-{args.color}", "namespace": args.namespace, "labels": labels},
            spec={
                "groups": [
                    {
                        "name": f"{args.service}-{args.color}",
                        "rules": [prometheus_rule(alert, args) for alert in (ERRORS, LATENCY)],
                    }
                ]
            },
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.alarm_names = [alarm.name for alarm in alarms]
        self.register_outputs({"alarm_names": self.alarm_names})

    def _errors(self, name: str, args: AlertRulesArgs) -> cloudwatch.MetricAlarm:
        def count(identifier: str, metric: str) -> cloudwatch.MetricAlarmMetricQueryArgsDict:
            return {
                "id": identifier,
                "return_data": False,
                "metric": {
                    "namespace": "AWS/ApplicationELB",
                    "metric_name": metric,
                    "dimensions": {"LoadBalancer": args.load_balancer, "TargetGroup": args.target_group},
                    "stat": "Sum",
                    "period": ALARM_PERIOD,
                },
            }

        return cloudwatch.MetricAlarm(
            f"{name}-{ERRORS.name}",
            alarm_description=_description(ERRORS, args),
            comparison_operator="GreaterThanThreshold",
            threshold=ERRORS.threshold,
            evaluation_periods=ALARM_PERIODS,
            datapoints_to_alarm=DATAPOINTS,
            # No traffic is no error; whether a color has enough of it is the release's question.
            treat_missing_data="notBreaching",
            metric_queries=[
                count("failed", "HTTPCode_Target_5XX_Count"),
                count("refused", "TargetConnectionErrorCount"),
                count("requests", "RequestCount"),
                {
                    "id": "rate",
                    "label": ERRORS.summary,
                    # Both counts are missing, not 0, in a minute without any.
                    "expression": f"IF(requests >= {MINIMUM_REQUESTS}, "
                    "100 * (FILL(failed, 0) + FILL(refused, 0)) / requests, 0)",
                    "return_data": True,
                },
            ],
            alarm_actions=args.topic_arns or None,
            ok_actions=args.topic_arns or None,
            tags={**args.tags, "severity": ERRORS.severity.value},
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _latency(self, name: str, args: AlertRulesArgs) -> cloudwatch.MetricAlarm:
        return cloudwatch.MetricAlarm(
            f"{name}-{LATENCY.name}",
            alarm_description=_description(LATENCY, args),
            comparison_operator="GreaterThanThreshold",
            threshold=LATENCY.threshold,
            evaluation_periods=ALARM_PERIODS,
            datapoints_to_alarm=DATAPOINTS,
            treat_missing_data="notBreaching",
            namespace="AWS/ApplicationELB",
            metric_name="TargetResponseTime",
            dimensions={"LoadBalancer": args.load_balancer, "TargetGroup": args.target_group},
            extended_statistic="p95",
            period=ALARM_PERIOD,
            # A percentile of a handful of requests is the slowest of them.
            evaluate_low_sample_count_percentiles="ignore",
            alarm_actions=args.topic_arns or None,
            ok_actions=args.topic_arns or None,
            tags={**args.tags, "severity": LATENCY.severity.value},
            opts=pulumi.ResourceOptions(parent=self),
        )


def prometheus_rule(alert: Alert, args: AlertRulesArgs) -> dict[str, object]:
    """Return the alert as a rule of a PrometheusRule, for the samples of this color only."""
    own = {"service": args.service, "color": args.color.value, "environment": args.environment}
    matchers = ",".join(f'{label}="{value}"' for label, value in own.items())
    return {
        "alert": f"{alert.name.capitalize()}High",
        "expr": f"{alert.promql} > {alert.threshold} and {ENOUGH}" % {"own": matchers},
        "for": f"{ALARM_PERIOD * ALARM_PERIODS}s",
        "labels": {**own, "severity": alert.severity.value},
        "annotations": {
            "summary": f"{args.service} {args.color} in {args.environment}: {alert.summary}",
            "description": alert.reason,
            "runbook": alert.runbook,
        },
    }


def _description(alert: Alert, args: AlertRulesArgs) -> str:
    return (
        f"{args.service} {args.color} in {args.environment}: {alert.summary}. {alert.reason} Runbook: {alert.runbook}"
    )
