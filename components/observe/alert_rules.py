"""The alerts of a color, a service and a load balancer, in CloudWatch and in Prometheus."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pulumi
from pulumi_aws import cloudwatch

from components.context.context import ColorContext, Context, ServiceContext
from components.model import Color, alarm_name
from components.observe.alert_catalog import (
    CERTIFICATE,
    COLOR_ALERTS,
    LOAD_BALANCER_ERRORS,
    MOVING,
    SERVICE_ALERTS,
    TOO_FEW,
    TRAFFIC,
    Alert,
    Comparison,
    Metric,
    Severity,
    alerts_of,
)
from components.observe.cloudwatch import (
    EXTENSION,
    WAIT,
    AlarmContext,
    AlertRouting,
    Dimensions,
    description,
    metric_alarm,
    needs_insights,
    of_mirror,
    with_mirror,
)
from components.observe.prometheus import prometheus_rule, prometheus_rules
from components.spec import Service


@dataclass(frozen=True, kw_only=True)
class AlertRulesArgs:
    """What the load balancer supplies is an Input; the rest is plain."""

    context: ColorContext
    spec: Service
    namespace: pulumi.Input[str]
    load_balancer: pulumi.Input[str]
    """``arn_suffix`` of the load balancer."""
    target_group: pulumi.Input[str]
    """``arn_suffix`` of the color's target group."""
    mirror: pulumi.Input[str] | None = None
    """The same of its mirror's; None without shadow."""
    prometheus_labels: Mapping[str, str] | None
    """By which the Prometheus Operator selects its rules; None where there is none, and no rules are made."""
    moving: pulumi.Input[str] | None = None
    """`ServiceAlerts.moving`: the alarm that holds messages back; None for a service with one color."""
    routing: AlertRouting


class AlertRules(pulumi.ComponentResource):
    """The alarms of one color. They belong to it for life: after a flip the old color keeps being watched."""

    alarm_names: Mapping[str, str]
    """In CloudWatch, by the name of the alert."""
    composite_name: str
    """The alarm that is on when one of those is that a person would hear of; what the gate reads."""
    heard: Sequence[pulumi.Output[str]]
    """The ARN of that alarm."""

    def __init__(self, name: str, args: AlertRulesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("hueshift:alert_rules:AlertRules", name, None, opts)
        context = args.context
        about = f"{context.service} {context.color} in {context.environment}"
        whose = AlarmContext(about, args.routing, context.tags)
        prefix = (context.environment, context.service, context.color.value)
        parked = args.spec.colors[context.color].parked
        alerts = alerts_of(args.spec, (alert for alert in COLOR_ALERTS if alert is not TOO_FEW or not parked))
        # Without Container Insights only Prometheus knows of memory and CPU.
        watched = [
            alert
            for alert in alerts
            if alert.cloudwatch and (context.cluster.container_insights or not needs_insights(alert.cloudwatch))
        ]
        self.alarm_names = {alert.name: alarm_name(*prefix, alert.name) for alert in watched}
        dimensions = of_color(context, args.load_balancer, args.target_group, args.mirror)
        if args.mirror is not None:
            watched = [_mirrored(alert) for alert in watched]
        alarms = [
            metric_alarm(f"{name}-{alert.name}", alert, self, whose, self.alarm_names[alert.name], dimensions)
            for alert in watched
        ]
        self.composite_name = alarm_name(*prefix)
        heard = [alert for alert in watched if alert.severity is not Severity.NONE]
        pages = {
            severity: " ".join(alert.page(whose.runbooks) for alert in heard if alert.severity is severity)
            for severity in (Severity.CRITICAL, Severity.WARNING)
        }
        composite = cloudwatch.CompositeAlarm(
            f"{name}-composite",
            alarm_name=self.composite_name,
            # CloudWatch's reason for the state names the child that changed.
            alarm_description=description(
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
            alarm_actions=args.routing.topic_arns or None,
            ok_actions=args.routing.topic_arns or None,
            tags=whose.tagged(min((alert.severity for alert in heard), key=list(Severity).index)),
            # By name alone the API would be asked too early, and too late when they go.
            opts=pulumi.ResourceOptions(parent=self, depends_on=alarms),
        )
        self.heard = [composite.arn]
        own = {"service": context.service, "color": context.color.value, "environment": context.environment}
        prometheus_rules(
            f"{name}-prometheus",
            self,
            {"name": context.name, "namespace": args.namespace, "labels": context.labels},
            [prometheus_rule(alert, whose, own, args.spec.resources) for alert in alerts if told(alert, args.spec)],
            args.prometheus_labels,
        )
        self.register_outputs({"alarm_names": self.alarm_names, "composite_name": self.composite_name})


@dataclass(frozen=True, kw_only=True)
class ServiceAlertsArgs:
    """What the load balancer supplies is an Input; the rest is plain."""

    context: ServiceContext
    spec: Service
    namespace: pulumi.Input[str]
    load_balancer: pulumi.Input[str]
    """``arn_suffix`` of the load balancer."""
    target_groups: Mapping[Color, pulumi.Input[str]]
    """``arn_suffix`` of the target group of each color that the service has."""
    mirrors: Mapping[Color, pulumi.Input[str]] = field(default_factory=dict)
    """The same of the groups of their mirrors; none without shadow."""
    prometheus_labels: Mapping[str, str] | None
    """By which the Prometheus Operator selects its rules; None where there is none, and no rules are made."""
    routing: AlertRouting


class ServiceAlerts(pulumi.ComponentResource):
    """The alarms of a service as a whole: of the sum over its colors, so that no weight matters."""

    alarm_names: Mapping[str, str]
    """In CloudWatch, by the name of the alert."""
    moving: pulumi.Output[str] | None
    """The name of the alarm that is on while traffic moves between colors; None if there is one color."""
    heard: Sequence[pulumi.Output[str]]
    """The ARNs of those that a person hears of."""

    def __init__(self, name: str, args: ServiceAlertsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("hueshift:alert_rules:ServiceAlerts", name, None, opts)
        context = args.context
        whose = AlarmContext(f"{context.service} in {context.environment}", args.routing, context.tags)
        watched = alerts_of(
            args.spec,
            (
                alert
                for alert in SERVICE_ALERTS
                if (alert is not TRAFFIC or args.spec.expects_traffic)
                and (alert is not MOVING or len(args.target_groups) > 1)
            ),
        )

        if args.mirrors:
            watched = [_counted(alert) for alert in watched]

        def of_each(identifier: str, _: Metric) -> Dimensions | None:
            groups = args.mirrors if of_mirror(identifier) else args.target_groups
            group = groups.get(Color(identifier.partition("_")[0]))
            return {"LoadBalancer": args.load_balancer, "TargetGroup": group} if group is not None else None

        self.alarm_names = {
            alert.name: alarm_name(context.environment, context.service, alert.name)
            for alert in watched
            if alert.cloudwatch
        }
        counted = {
            color: [f"FILL({color}, 0)", *([f"FILL({color}_mirror, 0)"] if color in args.mirrors else [])]
            for color in Color
            if color in args.target_groups
        }
        sums = {
            "total": " + ".join(part for parts in counted.values() for part in parts),
            "blue": f"({' + '.join(parts)})" if len(parts := counted.get(Color.BLUE, [])) > 1 else "".join(parts),
        }
        alarms = {
            alert.name: metric_alarm(
                f"{name}-{alert.name}",
                alert,
                self,
                whose,
                self.alarm_names[alert.name],
                of_each,
                topics=args.routing.topic_arns,
                sums=sums,
            )
            for alert in watched
            if alert.cloudwatch
        }
        prometheus_rules(
            f"{name}-prometheus",
            self,
            {"name": context.service, "namespace": args.namespace, "labels": context.labels},
            [
                prometheus_rule(alert, whose, {"service": context.service, "environment": context.environment})
                for alert in watched
                if told(alert, args.spec)
            ],
            args.prometheus_labels,
        )
        self.moving = alarms[MOVING.name].name if MOVING.name in alarms else None
        self.heard = [alarm.arn for name, alarm in alarms.items() if name != MOVING.name]
        self.register_outputs({"alarm_names": self.alarm_names})


@dataclass(frozen=True, kw_only=True)
class EdgeAlertsArgs:
    """What the load balancer supplies is an Input; the rest is plain."""

    context: Context
    load_balancer: pulumi.Input[str]
    """``arn_suffix`` of the load balancer."""
    certificates: Mapping[str, pulumi.Input[str]]
    """The ARN of each certificate, by a name that becomes part of an alarm's."""
    routing: AlertRouting


class EdgeAlerts(pulumi.ComponentResource):
    """The alarms of what all services share: the load balancer's own errors, and its certificates."""

    alarm_names: Mapping[str, str]
    """In CloudWatch, by the name of the alert, of a certificate with its own behind it."""
    heard: Sequence[pulumi.Output[str]]
    """Their ARNs."""

    def __init__(self, name: str, args: EdgeAlertsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("hueshift:alert_rules:EdgeAlerts", name, None, opts)

        heard = []

        def alarm(alert: Alert, suffix: str, about: str, dimensions: Dimensions) -> str:
            full = alarm_name(args.context.environment, "edge", suffix)
            whose = AlarmContext(f"{about} in {args.context.environment}", args.routing, args.context.tags)
            made = metric_alarm(
                f"{name}-{suffix}", alert, self, whose, full, lambda *_: dimensions, topics=args.routing.topic_arns
            )
            heard.append(made.arn)
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
        self.alarm_names, self.heard = names, heard
        self.register_outputs({"alarm_names": self.alarm_names})


def told(alert: Alert, spec: Service) -> bool:
    """Return whether Prometheus can find out: of requests it knows what the pods tell."""
    return alert.prometheus is not None and (spec.metrics.enabled or "%(own)s" not in alert.prometheus.value)


def of_color(
    context: ColorContext,
    load_balancer: pulumi.Input[str],
    target_group: pulumi.Input[str],
    mirror: pulumi.Input[str] | None = None,
) -> Callable[[str, Metric], Dimensions]:
    """Return what gives a metric of a color its dimensions; a set of dimensions is a metric of its own.

    ``mirror`` is the group of the color's mirror, for the metrics that are of it.
    """
    cluster = {"ClusterName": context.cluster.name or "", "Namespace": context.namespace}

    def dimensions(identifier: str, metric: Metric) -> Dimensions:
        if metric.namespace != "ContainerInsights":
            group = mirror if mirror is not None and of_mirror(identifier) else target_group
            return {"LoadBalancer": load_balancer, "TargetGroup": group}
        # What a pod reserves is reported by workload only; so both halves of the share are taken from there.
        if metric.name.startswith("pod_cpu"):
            return {**cluster, "PodName": context.name}
        return {**cluster, "Service": context.name}

    return dimensions


def _mirrored(alert: Alert) -> Alert:
    """Return an alert of a color that looks at its mirror too, if it is of the load balancer and rings above."""
    how = alert.cloudwatch
    if how is None or needs_insights(how) or alert.comparison is Comparison.BELOW:
        return alert
    return replace(alert, cloudwatch=with_mirror(how))


def _counted(alert: Alert) -> Alert:
    """Return an alert of a service with the metrics of its mirrors, which its sums name."""
    how = alert.cloudwatch
    if how is None:
        return alert
    mirrors = {f"{color}_mirror": metric for color, metric in how.metrics.items()}
    return replace(alert, cloudwatch=replace(how, metrics={**how.metrics, **mirrors}))
