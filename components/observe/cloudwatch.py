"""Alerts as alarms of CloudWatch."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import pulumi
from pulumi_aws import cloudwatch

from components.observe.alert_catalog import RUNBOOKS, Alert, CloudWatch, Comparison, Metric, Severity

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


@dataclass(frozen=True, kw_only=True)
class AlertRouting:
    """Who is told of an alarm."""

    topic_arns: Sequence[pulumi.Input[str]] = ()
    """They get a message of an alarm and of its end; none for nobody."""
    owner: str | None = None
    """Whose it is."""
    on_call: str | None = None
    """Who is called, and how."""
    runbooks: str | None = None
    """The URL of the folder with the alerts' pages; None to name their place in this repository."""


Dimensions = Mapping[str, pulumi.Input[str]]


@dataclass(frozen=True)
class AlarmContext:
    """What all alarms of one thing say of it."""

    about: str
    routing: AlertRouting
    tags: Mapping[str, str]

    @property
    def runbooks(self) -> str:
        """The folder of the alerts' pages."""
        return self.routing.runbooks or RUNBOOKS

    def tagged(self, severity: Severity) -> dict[str, str]:
        """Return the tags of an alarm."""
        return {
            **self.tags,
            "severity": severity.value,
            **({"owner": self.routing.owner} if self.routing.owner else {}),
        }


def needs_insights(how: CloudWatch) -> bool:
    """Return whether an alarm reads metrics that only Container Insights puts."""
    return any(metric.namespace == "ContainerInsights" for metric in how.metrics.values())


_MIRROR: Final = "_mirror"


def with_mirror(how: CloudWatch) -> CloudWatch:
    """Return an alarm that looks at a color's mirror as at the color itself, and compares the worse of the two.

    Each by itself: the few requests of a mirror would be lost in the sum. The metrics of the mirror are called as those
    of the color, with an ending (`of_mirror`); only for an alarm that rings above its threshold.
    """
    names = [*how.metrics, *how.math]
    known = re.compile(rf"\b({'|'.join(names)})\b")
    metrics = {f"{name}{_MIRROR}": metric for name, metric in how.metrics.items()}
    math = {f"{name}{_MIRROR}": known.sub(rf"\1{_MIRROR}", expression) for name, expression in how.math.items()}
    worst = f"MAX([FILL({names[-1]}, 0), FILL({names[-1]}{_MIRROR}, 0)])"
    return replace(how, metrics={**how.metrics, **metrics}, math={**how.math, **math, "worst": worst})


def of_mirror(identifier: str) -> bool:
    """Whether a metric is that of a mirror."""
    return identifier.endswith(_MIRROR)


def metric_alarm(
    resource: str,
    alert: Alert,
    parent: pulumi.Resource,
    whose: AlarmContext,
    physical: str,
    dimensions: Callable[[str, Metric], Dimensions | None],
    *,
    topics: Sequence[pulumi.Input[str]] = (),
    sums: Mapping[str, str] | None = None,
    region: str | None = None,
) -> cloudwatch.MetricAlarm:
    """Make an alert's alarm, without metrics whose dimensions are None; nobody is told of one with severity none.

    ``sums`` are what the mathematics names in ``%(…)s``. The alarm is where its metrics and its topics are: in
    ``region``, or in that of the stack.
    """
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
                "expression": expression % (sums or {}),
                "return_data": compared,
                **({"label": alert.summary} if compared else {}),  # type: ignore[typeddict-item]
            }
        )
    actions = (topics if alert.severity is not Severity.NONE else ()) or None
    return cloudwatch.MetricAlarm(
        resource,
        # Fixed, so that the gate can ask for it and a composite can name it in a preview.
        name=physical,
        alarm_description=description(
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
        region=region,
        tags=whose.tagged(alert.severity),
        opts=pulumi.ResourceOptions(parent=parent),
    )


def description(whose: AlarmContext, summary: str, reason: str, severity: str, runbook: str) -> str:
    """Return what a person reads in a message, most important first: CloudWatch takes 1024 characters."""
    people = "".join(
        f" {title}: {value}."
        for title, value in (("Owner", whose.routing.owner), ("On call", whose.routing.on_call))
        if value
    )
    return f"{whose.about}: {summary}. Severity: {severity}. Runbook: {runbook}.{people} {reason}"[:1024]
