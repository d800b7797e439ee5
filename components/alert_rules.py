"""The alarms of a color, of a service and of a load balancer: `alerts.py` in CloudWatch and in Prometheus.

Only what a person can act on by itself sends a message. Of a color that is one composite alarm, so that an incident is
one message; its children, which say what is wrong, are silent, and so are those that only machines read.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final

import pulumi
from pulumi_aws import cloudwatch
from pulumi_kubernetes.apiextensions import CustomResource

from components.alerts import (
    CERTIFICATE,
    COLOR_ALERTS,
    LOAD_BALANCER_ERRORS,
    MOVING,
    RUNBOOKS,
    SERVICE_ALERTS,
    TOO_FEW,
    TRAFFIC,
    Alert,
    CloudWatch,
    Comparison,
    Metric,
    Severity,
)
from components.model import Color, Resources, alarm_name, namespace
from components.workload import color_labels, service_labels

WAIT: Final = 60
"""Seconds that a composite alarm waits for its suppressor, which is on as many minutes after a move of traffic as the
first of its children can be."""
EXTENSION: Final = 120
"""Seconds for which it stays held back after a move of traffic, until its minutes have left the children."""

_OPERATORS: Final = {
    Comparison.ABOVE: "GreaterThanThreshold",
    Comparison.AT_LEAST: "GreaterThanOrEqualToThreshold",
    Comparison.BELOW: "LessThanThreshold",
}
_BYTES: Final = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "k": 10**3, "M": 10**6, "G": 10**9}

Dimensions = Mapping[str, pulumi.Input[str]]


@dataclass(frozen=True, kw_only=True)
class Hearers:
    """Who is told of an alarm."""

    topic_arns: Sequence[pulumi.Input[str]] = ()
    """They get a message of an alarm and of its end; none for nobody."""
    owner: str | None = None
    """Whose it is."""
    on_call: str | None = None
    """Who is called, and how."""
    runbooks: str | None = None
    """The URL of the folder with the alerts' pages; None to name their place in this repository."""


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
    resources: Resources
    """Of a pod: what its use is compared with."""
    minimum: int
    """Pods of a color that is not parked."""
    parked: bool
    prometheus_labels: Mapping[str, str] | None
    """By which the Prometheus Operator selects its rules; None where there is none, and no rules are made."""
    cluster_name: str | None = None
    """In EKS, where Container Insights watches the pods; without it only Prometheus knows of memory and CPU."""
    moving: pulumi.Input[str] | None = None
    """`ServiceAlerts.moving`: the alarm that holds messages back; None for a service with one color."""
    hearers: Hearers
    tags: Mapping[str, str]


class AlertRules(pulumi.ComponentResource):
    """The alarms of one color. They belong to it for life: after a flip the old color keeps being watched."""

    alarm_names: Mapping[str, str]
    """In CloudWatch, by the name of the alert."""
    composite_name: str
    """The alarm that is on when one of those is that a person would hear of; what the gate reads."""

    def __init__(self, name: str, args: AlertRulesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("hueshift:alert_rules:AlertRules", name, None, opts)
        about = f"{args.service} {args.color} in {args.environment}"
        whose = _Whose(about, args.hearers, args.tags)
        prefix = (args.environment, args.service, args.color.value)
        alerts = [
            replace(alert, threshold=args.minimum) if alert is TOO_FEW else alert
            for alert in COLOR_ALERTS
            if alert is not TOO_FEW or not args.parked
        ]
        watched = [
            alert
            for alert in alerts
            if alert.cloudwatch and (args.cluster_name or not _needs_insights(alert.cloudwatch))
        ]
        self.alarm_names = {alert.name: alarm_name(*prefix, alert.name) for alert in watched}
        alarms = [
            _alarm(f"{name}-{alert.name}", alert, self, whose, self.alarm_names[alert.name], _of_color(args))
            for alert in watched
        ]
        self.composite_name = alarm_name(*prefix)
        heard = [alert for alert in watched if alert.severity is not Severity.NONE]
        pages = {
            severity: " ".join(alert.page(whose.runbooks) for alert in heard if alert.severity is severity)
            for severity in (Severity.CRITICAL, Severity.WARNING)
        }
        cloudwatch.CompositeAlarm(
            f"{name}-composite",
            alarm_name=self.composite_name,
            # CloudWatch's reason for the state names the child that changed.
            alarm_description=_description(
                whose,
                "an alarm of it is on, which the reason of this message names",
                "One incident is one message.",
                "that of the alarm",
                "; ".join(f"{severity}: {found}" for severity, found in pages.items()),
            ),
            alarm_rule=" OR ".join(f'ALARM("{self.alarm_names[alert.name]}")' for alert in heard),
            actions_suppressor=None
            if args.moving is None
            else {"alarm": args.moving, "wait_period": WAIT, "extension_period": EXTENSION},
            alarm_actions=args.hearers.topic_arns or None,
            ok_actions=args.hearers.topic_arns or None,
            tags=whose.tagged(min((alert.severity for alert in heard), key=list(Severity).index)),
            # By name alone the API would be asked too early, and too late when they go.
            opts=pulumi.ResourceOptions(parent=self, depends_on=alarms),
        )
        own = {"service": args.service, "color": args.color.value, "environment": args.environment}
        _prometheus(
            f"{name}-prometheus",
            self,
            {
                "name": f"{args.service}-{args.color}",
                "namespace": args.namespace,
                "labels": color_labels(args.service, args.environment, args.color),
            },
            [prometheus_rule(alert, whose, own, args.resources) for alert in alerts if alert.prometheus],
            args.prometheus_labels,
        )
        self.register_outputs({"alarm_names": self.alarm_names, "composite_name": self.composite_name})


@dataclass(frozen=True, kw_only=True)
class ServiceAlertsArgs:
    """What the load balancer supplies is an Input; the rest is plain."""

    service: str
    environment: str
    namespace: pulumi.Input[str]
    load_balancer: pulumi.Input[str]
    """``arn_suffix`` of the load balancer."""
    target_groups: Mapping[Color, pulumi.Input[str]]
    """``arn_suffix`` of the target group of each color that the service has."""
    expects_traffic: bool = True
    """Whether five minutes without a request are wrong; not so for a service that may be quiet at night."""
    prometheus_labels: Mapping[str, str] | None
    """By which the Prometheus Operator selects its rules; None where there is none, and no rules are made."""
    hearers: Hearers
    tags: Mapping[str, str]


class ServiceAlerts(pulumi.ComponentResource):
    """The alarms of a service as a whole: of the sum over its colors, so that no weight matters."""

    alarm_names: Mapping[str, str]
    """In CloudWatch, by the name of the alert."""
    moving: pulumi.Output[str] | None
    """The name of the alarm that is on while traffic moves between colors; None if there is one color."""

    def __init__(self, name: str, args: ServiceAlertsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("hueshift:alert_rules:ServiceAlerts", name, None, opts)
        whose = _Whose(f"{args.service} in {args.environment}", args.hearers, args.tags)
        watched = [
            alert
            for alert in SERVICE_ALERTS
            if (alert is not TRAFFIC or args.expects_traffic) and (alert is not MOVING or len(args.target_groups) > 1)
        ]

        def of_color(color: str, _: Metric) -> Dimensions | None:
            group = args.target_groups.get(Color(color))
            return {"LoadBalancer": args.load_balancer, "TargetGroup": group} if group is not None else None

        self.alarm_names = {
            alert.name: alarm_name(args.environment, args.service, alert.name) for alert in watched if alert.cloudwatch
        }
        total = " + ".join(f"FILL({color}, 0)" for color in Color if color in args.target_groups)
        alarms = {
            alert.name: _alarm(
                f"{name}-{alert.name}",
                alert,
                self,
                whose,
                self.alarm_names[alert.name],
                of_color,
                topics=args.hearers.topic_arns,
                total=total,
            )
            for alert in watched
            if alert.cloudwatch
        }
        _prometheus(
            f"{name}-prometheus",
            self,
            {
                "name": args.service,
                "namespace": args.namespace,
                "labels": service_labels(args.service, args.environment),
            },
            [
                prometheus_rule(alert, whose, {"service": args.service, "environment": args.environment})
                for alert in watched
                if alert.prometheus
            ],
            args.prometheus_labels,
        )
        self.moving = alarms[MOVING.name].name if MOVING.name in alarms else None
        self.register_outputs({"alarm_names": self.alarm_names})


@dataclass(frozen=True, kw_only=True)
class EdgeAlertsArgs:
    """What the load balancer supplies is an Input; the rest is plain."""

    environment: str
    load_balancer: pulumi.Input[str]
    """``arn_suffix`` of the load balancer."""
    certificates: Mapping[str, pulumi.Input[str]]
    """The ARN of each certificate, by a name that becomes part of an alarm's."""
    hearers: Hearers
    tags: Mapping[str, str]


class EdgeAlerts(pulumi.ComponentResource):
    """The alarms of what all services share: the load balancer's own errors, and its certificates."""

    alarm_names: Mapping[str, str]
    """In CloudWatch, by the name of the alert, of a certificate with its own behind it."""

    def __init__(self, name: str, args: EdgeAlertsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("hueshift:alert_rules:EdgeAlerts", name, None, opts)

        def alarm(alert: Alert, suffix: str, about: str, dimensions: Dimensions) -> str:
            full = alarm_name(args.environment, "edge", suffix)
            own_alarm(
                f"{name}-{suffix}",
                alert,
                parent=self,
                about=f"{about} in {args.environment}",
                physical=full,
                dimensions=lambda *_: dimensions,
                hearers=args.hearers,
                tags=args.tags,
            )
            return full

        balancer = {"LoadBalancer": args.load_balancer}
        names = {
            LOAD_BALANCER_ERRORS.name: alarm(
                LOAD_BALANCER_ERRORS, LOAD_BALANCER_ERRORS.name, "the load balancer", balancer
            )
        }
        for certificate, arn in args.certificates.items():
            suffix = f"{CERTIFICATE.name}-{certificate}"
            names[suffix] = alarm(CERTIFICATE, suffix, f"certificate {certificate}", {"CertificateArn": arn})
        self.alarm_names = names
        self.register_outputs({"alarm_names": self.alarm_names})


def own_alarm(
    resource: str,
    alert: Alert,
    *,
    parent: pulumi.Resource,
    about: str,
    physical: str,
    dimensions: Callable[[str, Metric], Dimensions | None],
    hearers: Hearers,
    tags: Mapping[str, str],
) -> None:
    """Make the alarm of something that is no service: it sends its own messages.

    ``about`` is what it is of, as a message says it; ``dimensions`` gives those of a metric, by the name that the
    alert gives it.
    """
    whose = _Whose(about, hearers, tags)
    _alarm(resource, alert, parent, whose, physical, dimensions, topics=hearers.topic_arns)


@dataclass(frozen=True)
class _Whose:
    """What all alarms of one thing say of it."""

    about: str
    hearers: Hearers
    tags: Mapping[str, str]

    @property
    def runbooks(self) -> str:
        return self.hearers.runbooks or RUNBOOKS

    def tagged(self, severity: Severity) -> dict[str, str]:
        return {
            **self.tags,
            "severity": severity.value,
            **({"owner": self.hearers.owner} if self.hearers.owner else {}),
        }


def _needs_insights(how: CloudWatch) -> bool:
    return any(metric.namespace == "ContainerInsights" for metric in how.metrics.values())


def _of_color(args: AlertRulesArgs) -> Callable[[str, Metric], Dimensions]:
    """Return what gives a metric of a color its dimensions; a set of dimensions is a metric of its own."""
    physical = f"{args.service}-{args.color}"
    cluster = {"ClusterName": args.cluster_name or "", "Namespace": namespace(args.environment, args.service)}

    def dimensions(_: str, metric: Metric) -> Dimensions:
        if metric.namespace != "ContainerInsights":
            return {"LoadBalancer": args.load_balancer, "TargetGroup": args.target_group}
        # What a pod reserves is reported by workload only; so both halves of the share are taken from there.
        if metric.name.startswith("pod_cpu"):
            return {**cluster, "PodName": physical}
        return {**cluster, "Service": physical}

    return dimensions


def _alarm(
    resource: str,
    alert: Alert,
    parent: pulumi.Resource,
    whose: _Whose,
    physical: str,
    dimensions: Callable[[str, Metric], Dimensions | None],
    *,
    topics: Sequence[pulumi.Input[str]] = (),
    total: str = "",
) -> cloudwatch.MetricAlarm:
    """Make an alert's alarm, without metrics whose dimensions are None; nobody is told of one with severity none."""
    how = alert.cloudwatch
    assert how is not None
    queries: list[cloudwatch.MetricAlarmMetricQueryArgsDict] = [
        {
            "id": identifier,
            "return_data": not how.math,
            "metric": {
                "namespace": metric.namespace,
                "metric_name": metric.name,
                "dimensions": of,
                "stat": metric.stat,
                "period": how.period,
            },
        }
        for identifier, metric in how.metrics.items()
        if (of := dimensions(identifier, metric)) is not None
    ]
    last = list(how.math)[-1:]
    for identifier, expression in how.math.items():
        compared = identifier in last
        queries.append(
            {
                "id": identifier,
                "expression": expression % {"total": total},
                "return_data": compared,
                **({"label": alert.summary} if compared else {}),  # type: ignore[typeddict-item]
            }
        )
    actions = (topics if alert.severity is not Severity.NONE else ()) or None
    return cloudwatch.MetricAlarm(
        resource,
        # Fixed, so that the gate can ask for it and a composite can name it in a preview.
        name=physical,
        alarm_description=_description(
            whose,
            alert.summary,
            f"{alert.reason} Not seen: {alert.blind_spot}",
            alert.severity,
            alert.page(whose.runbooks),
        ),
        comparison_operator=_OPERATORS[alert.comparison],
        threshold=alert.threshold,
        evaluation_periods=how.periods,
        datapoints_to_alarm=how.datapoints,
        treat_missing_data=how.missing,
        metric_queries=queries,
        alarm_actions=actions,
        ok_actions=actions,
        tags=whose.tagged(alert.severity),
        opts=pulumi.ResourceOptions(parent=parent),
    )


def _description(whose: _Whose, summary: str, reason: str, severity: str, runbook: str) -> str:
    """Return what a person reads in a message, most important first: CloudWatch takes 1024 characters."""
    people = "".join(
        f" {title}: {value}."
        for title, value in (("Owner", whose.hearers.owner), ("On call", whose.hearers.on_call))
        if value
    )
    return f"{whose.about}: {summary}. Severity: {severity}. Runbook: {runbook}.{people} {reason}"[:1024]


def _prometheus(
    resource: str,
    parent: pulumi.Resource,
    metadata: Mapping[str, Any],
    rules: Iterable[Mapping[str, object]],
    selected_by: Mapping[str, str] | None,
) -> None:
    if selected_by is None:
        return
    CustomResource(
        resource,
        api_version="monitoring.coreos.com/v1",
        kind="PrometheusRule",
        metadata={**metadata, "labels": {**metadata["labels"], **selected_by}},
        spec={"groups": [{"name": metadata["name"], "rules": list(rules)}]},
        opts=pulumi.ResourceOptions(parent=parent),
    )


def prometheus_rule(
    alert: Alert, whose: _Whose, own: Mapping[str, str], resources: Resources | None = None
) -> dict[str, object]:
    """Return the alert as a rule of a PrometheusRule, for the samples with the labels ``own`` only.

    What the kubelet (cAdvisor) and kube-state-metrics tell has none of these: it is matched by names.
    """
    how = alert.prometheus
    assert how is not None
    home = f'namespace="{namespace(own["environment"], own["service"])}"'
    deployment = f"{own['service']}-{own.get('color', '')}"
    values = {
        "own": ",".join(f'{label}="{value}"' for label, value in own.items()),
        # A Deployment's pods are called after it, its ReplicaSet, and five characters; a migration's are not.
        "pods": f'{home},container="app",pod=~"{deployment}-[a-z0-9]+-[a-z0-9]{{5}}"',
        "deployment": f'{home},deployment="{deployment}"',
        "memory": _bytes(resources.memory) if resources else 0,
        "cpu": _cores(resources.cpu) if resources else 0,
    }
    condition = f"{how.value} {alert.comparison} {alert.threshold:g}" + (f" and {how.enough}" if how.enough else "")
    return {
        "alert": alert.title,
        "expr": condition % values,
        "for": f"{how.hold}s",
        "labels": {
            **own,
            "severity": alert.severity.value,
            **({"owner": whose.hearers.owner} if whose.hearers.owner else {}),
        },
        "annotations": {
            "summary": f"{whose.about}: {alert.summary}",
            "description": f"{alert.reason} Not seen: {alert.blind_spot}",
            # A template of Alertmanager makes a link of runbook_url.
            "runbook_url" if whose.hearers.runbooks else "runbook": alert.page(whose.runbooks),
            **({"owner": whose.hearers.owner} if whose.hearers.owner else {}),
            **({"on_call": whose.hearers.on_call} if whose.hearers.on_call else {}),
        },
    }


def _bytes(memory: str) -> int:
    for unit, factor in _BYTES.items():
        if memory.endswith(unit):
            return int(memory.removesuffix(unit)) * factor
    raise ValueError(f"{memory!r} is no amount of memory such as 128Mi")


def _cores(cpu: str) -> float:
    return float(Decimal(cpu.removesuffix("m")) / (1000 if cpu.endswith("m") else 1))
