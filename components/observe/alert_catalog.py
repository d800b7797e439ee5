"""What may go wrong with a service, once for CloudWatch and for Prometheus; pure, without Pulumi.

CloudWatch sees what clients of the load balancer see, Prometheus what the pods answered; each covers for the other's
blindness. An alert that has no signal in one of the two is in the other alone.

No alert knows a weight: a flip changes one listener rule and no alarm.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from components.model import ALARM_PERIOD, ALARM_PERIODS
from components.spec import Replicas, Service, Thresholds

RUNBOOKS: Final = "docs/alerts"
"""Where the alerts' pages are in this repository."""


class Severity(StrEnum):
    """How soon a person must look."""

    CRITICAL = "critical"
    """Now: users are failing."""
    WARNING = "warning"
    """Today: users are waiting, or will be."""
    NONE = "none"
    """Never: nobody is told. The gate or another alarm reads it."""


class Comparison(StrEnum):
    """How a value that is wrong compares with the threshold, as PromQL writes it."""

    ABOVE = ">"
    AT_LEAST = ">="
    BELOW = "<"


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A metric of CloudWatch; what it is of, its dimensions, its component knows."""

    name: str
    stat: str = "Sum"
    namespace: str = "AWS/ApplicationELB"


@dataclass(frozen=True, kw_only=True)
class CloudWatch:
    """How CloudWatch finds out.

    The mathematics keeps to what is sound in an alarm: nothing that reduces a whole series to one number (``AVG``,
    ``MAX`` of one series, ``RUNNING_SUM``), for an alarm reads more data points than it evaluates (CloudWatch guide,
    metric math).
    """

    metrics: Mapping[str, Metric]
    """By the name that ``math`` gives them; of a whole service, by color."""
    math: Mapping[str, str] = field(default_factory=dict)
    """Expressions by name, of which the last is compared; ``%(total)s`` is the requests of all colors, and
    ``%(blue)s`` those of blue. None of them for the metric itself."""
    period: int = ALARM_PERIOD
    """Seconds."""
    periods: int = ALARM_PERIODS
    """How many are looked at."""
    datapoints: int = ALARM_PERIODS - 1
    """How many of them must be wrong. Not all: the counts of the newest minutes come one after another (``LATE``)."""
    missing: str = "notBreaching"
    """What a period without data counts as."""


@dataclass(frozen=True, kw_only=True)
class Prometheus:
    """How Prometheus finds out."""

    value: str
    """What is compared with the threshold. ``%(own)s`` stands for the matchers of what the pods of the color or the
    service tell, as the PodMonitor labels it; ``%(pods)s`` and ``%(deployment)s`` for those of what the kubelet and
    kube-state-metrics tell of its containers and its Deployment; ``%(memory)d`` and ``%(cpu)g`` for the limit in bytes
    and the request in cores of a container."""
    enough: str | None = None
    """What must hold besides for the value to mean anything."""
    hold: int = ALARM_PERIOD * ALARM_PERIODS
    """Seconds for which it must be wrong."""


@dataclass(frozen=True, kw_only=True)
class Alert:
    """One thing that may go wrong."""

    name: str
    """In the names of alarms and of its page; no two alerts share one, whatever they are of."""
    severity: Severity
    summary: str
    threshold: float
    comparison: Comparison = Comparison.ABOVE
    reason: str
    """Why this threshold."""
    blind_spot: str
    """What it does not see."""
    cloudwatch: CloudWatch | None = None
    prometheus: Prometheus | None = None

    def page(self, folder: str = RUNBOOKS) -> str:
        """Return where it is written what to do; ``folder`` is where the pages can be read, such as a URL."""
        return f"{folder}/{self.name}.md"

    @property
    def title(self) -> str:
        """The name that Prometheus gives it: ``latency-p95`` becomes ``LatencyP95``."""
        return re.sub(r"(?:^|-)(\w)", lambda match: match[1].upper(), self.name)


LATE: Final = 3
"""Minutes of the load balancer's data that may not be there yet, or in part. AWS documents no number, only that the
newest points may lack data, and that ``FILL`` then makes them 0 (CloudWatch guide, metric math). So nothing follows
from a 0 of these minutes."""


def _errors(minimum: int, minutes: int = ALARM_PERIODS) -> CloudWatch:
    return CloudWatch(
        periods=minutes,
        datapoints=minutes - 1,
        metrics={
            "failed": Metric(name="HTTPCode_Target_5XX_Count"),
            "refused": Metric(name="TargetConnectionErrorCount"),
            "requests": Metric(name="RequestCount"),
        },
        # Both counts are missing, not 0, in a minute without any.
        math={
            "rate": f"IF(requests >= {minimum}, 100 * (FILL(failed, 0) + FILL(refused, 0)) / requests, 0)",
        },
    )


def _latency(percentile: str, minimum: int, minutes: int) -> CloudWatch:
    return CloudWatch(
        periods=minutes,
        datapoints=minutes - 1,
        metrics={
            "seconds": Metric(name="TargetResponseTime", stat=percentile),
            "requests": Metric(name="RequestCount"),
        },
        math={"slowest": f"IF(requests >= {minimum}, seconds, 0)"},
    )


def _failed(minutes: int) -> str:
    """Return an expression in percent. Two minutes are four scrapes at the usual 30 s: one that fails leaves no gap."""
    failed, all_ = (f"sum(rate(http_requests_total{{%(own)s{more}}}[{minutes}m]))" for more in (',status=~"5.."', ""))
    return f"100 * {failed} / {all_}"


def _at_least(requests: int, minutes: int = 2) -> str:
    """Return an expression for the requests per minute."""
    return f"60 * sum(rate(http_requests_total{{%(own)s}}[{minutes}m])) >= {requests}"


def _percentile(share: float) -> str:
    return f"histogram_quantile({share}, sum by (le) (rate(http_request_duration_seconds_bucket{{%(own)s}}[2m])))"


ERROR_PERCENT: Final = Thresholds.error_percent
"""Percent of the load balancer's own requests, and of those of a service that does not say otherwise."""

CANARY_PERCENT: Final = 1
"""Percent of requests of a color that is only tried: the way back costs nothing, so it is judged before users write."""

MINIMUM_REQUESTS: Final = 100 // ERROR_PERCENT
"""Requests a minute below which one failure alone would be above the threshold, so that nothing is judged."""

CANARY_MINUTES: Final = 10
"""Minutes over which a canary is judged, anew each minute: it has only a part of the requests. One that fails from its
beginning is judged as soon as it has had ``CANARY_REQUESTS``."""

CANARY_REQUESTS: Final = 100 // CANARY_PERCENT
"""The same for a canary, in those minutes together."""

P99_REQUESTS: Final = 100
"""Requests a minute below which one slow answer would be more than 1 %."""

MEMORY_PERCENT: Final = 90
"""Percent of the limit, at which the kernel ends the process. The last tenth is some minutes of a usual leak."""

CPU_PERCENT: Final = 150
"""Percent of the request. The autoscaler adds pods from 70 % on (unless set otherwise): twice as much for a quarter of
an hour means that it can add no more."""

RESTARTS: Final = 2
"""Restarts of one container in a quarter of an hour. One may be a node's doing, two chance; a loop makes five."""

DROP_PERCENT: Final = 50
"""Percent of the requests before. Usual days do not halve from one five minutes to the next."""

DAYS_LEFT: Final = 21
"""Days of a certificate. AWS renews its own well before: so few left mean that renewal has failed for weeks; with an
imported one there are three weeks to get another."""


def errors(limits: Thresholds) -> Alert:
    """Return the alert of failing requests. So few that one failure is above the threshold are not judged."""
    percent = limits.error_percent
    least = max(MINIMUM_REQUESTS, -(-100 // percent))
    return Alert(
        name="errors",
        severity=Severity.CRITICAL,
        summary=f"more than {percent} % of the requests fail",
        threshold=percent,
        reason="Answers with 5xx, and connections that the pods did not take, as a share of all requests: far above "
        "what retries and aborts cause, while most users still succeed.",
        blind_spot=f"A leak of up to {percent} %; fewer than {least} requests a minute; the load "
        "balancer's own 502 and 503, which no color is charged with (load-balancer-errors).",
        cloudwatch=_errors(least, limits.minutes),
        prometheus=Prometheus(value=_failed(2), enough=_at_least(least), hold=limits.minutes * ALARM_PERIOD),
    )


def latencies(limits: Thresholds) -> tuple[Alert, Alert]:
    """Return the alerts of slow answers."""
    p95, p99 = limits.p95_milliseconds / 1000, limits.p99_milliseconds / 1000
    hold = limits.minutes * ALARM_PERIOD
    return (
        Alert(
            name="latency-p95",
            severity=Severity.WARNING,
            summary=f"the 95th percentile of the answer time is above {p95:g} s",
            threshold=p95,
            reason="One request in twenty takes longer than people wait without noticing.",
            blind_spot="The slowest 5 %; a route that fails fast lowers it.",
            cloudwatch=_latency("p95", MINIMUM_REQUESTS, limits.minutes),
            prometheus=Prometheus(value=_percentile(0.95), enough=_at_least(MINIMUM_REQUESTS), hold=hold),
        ),
        Alert(
            name="latency-p99",
            severity=Severity.WARNING,
            summary=f"the 99th percentile of the answer time is above {p99:g} s",
            threshold=p99,
            reason="One request in a hundred takes so long that people try again, which adds load.",
            blind_spot=f"The slowest 1 %; fewer than {P99_REQUESTS} requests a minute.",
            cloudwatch=_latency("p99", P99_REQUESTS, limits.minutes),
            prometheus=Prometheus(value=_percentile(0.99), enough=_at_least(P99_REQUESTS), hold=hold),
        ),
    )


ERRORS: Final = errors(Thresholds())
LATENCY_P95, LATENCY_P99 = latencies(Thresholds())
CANARY_ERRORS: Final = Alert(
    name="canary-errors",
    severity=Severity.NONE,
    summary=f"more than {CANARY_PERCENT} % of the requests fail",
    threshold=CANARY_PERCENT,
    reason="The measure of a color that is being tried: the way back costs nothing. The gate reads it; nobody is "
    "called for it, since 1 % of a live color is no emergency.",
    blind_spot=f"Fewer than {CANARY_REQUESTS} requests in {CANARY_MINUTES} minutes: then it is silent and nothing is "
    "judged, as the gate says.",
    cloudwatch=replace(_errors(CANARY_REQUESTS), period=CANARY_MINUTES * ALARM_PERIOD, periods=1, datapoints=1),
    prometheus=Prometheus(
        value=_failed(CANARY_MINUTES),
        enough=_at_least(CANARY_REQUESTS // CANARY_MINUTES, CANARY_MINUTES),
        hold=2 * ALARM_PERIOD,
    ),
)
UNHEALTHY: Final = Alert(
    name="unhealthy",
    severity=Severity.WARNING,
    summary="a pod that runs does not answer",
    threshold=1,
    comparison=Comparison.AT_LEAST,
    reason="A pod that starts or stops is so for less than five minutes. One that stays so may be ready and out of the "
    "load balancer's reach, whose health check it fails, or out of that of Prometheus.",
    blind_spot="Pods that are not ready: they are taken out of the target group, and not counted there (too-few).",
    # Of load balancer nodes: a sum would count a target once for each.
    cloudwatch=CloudWatch(
        metrics={"unhealthy": Metric(name="UnHealthyHostCount", stat="Maximum")}, datapoints=ALARM_PERIODS
    ),
    prometheus=Prometheus(value="count(up{%(own)s} == 0)"),
)
TOO_FEW: Final = Alert(
    name="too-few",
    severity=Severity.WARNING,
    summary="fewer pods than replicas.min are ready",
    # Of the defaults; each service has its own.
    threshold=Replicas.min,
    comparison=Comparison.BELOW,
    reason="Pods that die or are not ready leave the target group and every other count: with none left, the load "
    "balancer answers 503 for the color. What a node or an update takes is back within five minutes.",
    blind_spot="A color that never had a ready pod, whose update fails; pods beyond replicas.min that the load needs.",
    # A group without targets has no figure at all (ELB guide). That is 0 after one that had some, hence a period more
    # than must be wrong, for the last of these to be among them; and nothing before there were any, so that a new color
    # does not fire. What fires when all figures are gone stays on. A figure that is late is 0, too.
    cloudwatch=CloudWatch(
        metrics={"healthy": Metric(name="HealthyHostCount", stat="Minimum")},
        math={"ready": "IF(FILL(healthy, REPEAT) >= 0, FILL(healthy, 0))"},
        periods=ALARM_PERIODS + LATE + 1,
        datapoints=ALARM_PERIODS + LATE,
        missing="ignore",
    ),
    prometheus=Prometheus(value="min(kube_deployment_status_replicas_available{%(deployment)s})"),
)
MEMORY: Final = Alert(
    name="memory",
    severity=Severity.WARNING,
    summary=f"a pod uses more than {MEMORY_PERCENT} % of its memory limit",
    threshold=MEMORY_PERCENT,
    reason="At the limit the kernel ends the process with its requests.",
    blind_spot="A jump to the limit within a minute, which shows as a restart.",
    cloudwatch=CloudWatch(
        metrics={
            "used": Metric(name="pod_memory_utilization_over_pod_limit", stat="Maximum", namespace="ContainerInsights")
        }
    ),
    prometheus=Prometheus(value="100 * max(container_memory_working_set_bytes{%(pods)s}) / %(memory)d"),
)
CPU: Final = Alert(
    name="cpu",
    severity=Severity.WARNING,
    summary=f"the pods use more than {CPU_PERCENT} % of the CPU they request",
    threshold=CPU_PERCENT,
    reason="Far above what the autoscaler aims at, for a quarter of an hour: it can add no more pods.",
    blind_spot="One busy pod among many idle ones.",
    cloudwatch=CloudWatch(
        metrics={
            "used": Metric(name="pod_cpu_utilization", stat="Average", namespace="ContainerInsights"),
            "requested": Metric(name="pod_cpu_reserved_capacity", stat="Average", namespace="ContainerInsights"),
        },
        math={"share": "100 * used / requested"},
        periods=15,
        datapoints=12,
    ),
    prometheus=Prometheus(
        value="100 * avg(sum by (pod) (rate(container_cpu_usage_seconds_total{%(pods)s}[5m]))) / %(cpu)g",
        hold=15 * ALARM_PERIOD,
    ),
)
RESTARTING: Final = Alert(
    name="restarts",
    severity=Severity.WARNING,
    summary=f"a container restarted more than {RESTARTS} times in 15 minutes",
    threshold=RESTARTS,
    reason="One restart may be a node's doing; a loop makes five in that time.",
    blind_spot="A pod that is replaced by another instead; a cluster without kube-state-metrics.",
    # Rounded, for an increase is reckoned up to the edges of its time: two restarts would be 2.07.
    prometheus=Prometheus(
        value="round(max(increase(kube_pod_container_status_restarts_total{%(pods)s}[15m])))", hold=0
    ),
)
COLOR_ALERTS: Final = (ERRORS, CANARY_ERRORS, LATENCY_P95, LATENCY_P99, UNHEALTHY, TOO_FEW, MEMORY, CPU, RESTARTING)
"""Of one color, with the defaults of what a service can set."""

_BOTH: Final = {"blue": Metric(name="RequestCount"), "green": Metric(name="RequestCount")}

_SCRAPED: Final = "sum(up{%(own)s}) > 0"
"""Without it no sample would mean no traffic."""

TRAFFIC: Final = Alert(
    name="traffic",
    severity=Severity.CRITICAL,
    summary="no request arrives",
    threshold=1,
    comparison=Comparison.BELOW,
    reason="A service that answers nobody fails in silence: no other alarm has anything to judge. Five minutes without "
    "one request is unlike any day of a service that is expected to have some.",
    blind_spot="A drop that leaves some (traffic-drop); in CloudWatch, that users stay away where the service is "
    "asked from outside (uptime), which counts as traffic; in Prometheus, pods that it does not scrape (no-metrics).",
    cloudwatch=CloudWatch(
        metrics=_BOTH,
        math={"total": "%(total)s"},
        # A 0 of the newest minutes may be a count that is late.
        periods=ALARM_PERIODS + LATE,
        datapoints=ALARM_PERIODS + LATE,
        # No traffic is no data.
        missing="breaching",
    ),
    prometheus=Prometheus(value="(60 * sum(rate(http_requests_total{%(own)s}[2m])) or vector(0))", enough=_SCRAPED),
)
TRAFFIC_DROP: Final = Alert(
    name="traffic-drop",
    severity=Severity.WARNING,
    summary=f"fewer than {DROP_PERCENT} % of the requests of some minutes ago arrive",
    threshold=DROP_PERCENT,
    comparison=Comparison.BELOW,
    reason="Clients that cannot get through send no errors, they are missing; a flip that broke their way shows only "
    "here. Requests do not halve within minutes on a usual day.",
    blind_spot="A slow decline; a drop is forgotten within half an hour, when what is left is the new usual.",
    # Not the newest five minutes, whose counts may be late, but those before them, against those before these. They are
    # taken anew each minute, so that in one of the evaluations a drop lies between the two.
    cloudwatch=CloudWatch(
        metrics=_BOTH,
        math={
            "total": "%(total)s",
            "whole": "total - DIFF(total)",
            "before": "whole - DIFF(whole)",
            "share": f"IF(before >= {5 * MINIMUM_REQUESTS}, 100 * whole / before, 100)",
        },
        period=5 * ALARM_PERIOD,
        periods=3,
        datapoints=1,
    ),
    prometheus=Prometheus(
        value="100 * (sum(rate(http_requests_total{%(own)s}[2m])) or vector(0))"
        " / sum(rate(http_requests_total{%(own)s}[5m] offset 15m))",
        enough=f"60 * sum(rate(http_requests_total{{%(own)s}}[5m] offset 15m)) >= {MINIMUM_REQUESTS} and {_SCRAPED}",
        hold=3 * ALARM_PERIOD,
    ),
)
NO_METRICS: Final = Alert(
    name="no-metrics",
    severity=Severity.WARNING,
    summary="Prometheus reads the metrics of none of the pods",
    threshold=1,
    comparison=Comparison.BELOW,
    reason="Every other alert of Prometheus about requests is silent then. A quarter of an hour is more than a service "
    "takes that is just being made.",
    blind_spot="A color whose pods are not read while the other's are (unhealthy).",
    prometheus=Prometheus(value="(sum(up{%(own)s}) or vector(0))", hold=15 * ALARM_PERIOD),
)
MOVED_POINTS: Final = 5
"""Points of a color's share within a minute, below which the share is said to drift: clients that stay with their
color move it slowly."""

MOVED_SQUARE: Final = 45_000
"""The square of a change in points, times the requests of the minute. Of a share that did not move it is above this
in one of 370 minutes (three standard errors of the difference of two halves, 2 * 50**2 * 9), however few the requests
are; a flip is above it from five requests a minute on."""

MOVING: Final = Alert(
    name="moving",
    severity=Severity.NONE,
    summary="traffic moves between the colors",
    threshold=MOVED_SQUARE,
    reason="While connections change color some fail and some wait: for these minutes the colors' alarms are held "
    "back, but only as messages. Their states stay true.",
    blind_spot=f"A move of less than {MOVED_POINTS} points, or one that is within the chance of few requests.",
    cloudwatch=CloudWatch(
        metrics=_BOTH,
        math={
            "total": "%(total)s",
            "share": "100 * %(blue)s / total",
            "moved": "ABS(DIFF(share))",
            "significant": f"IF(moved > {MOVED_POINTS}, moved * moved * total, 0)",
            # The colors' counts do not arrive together, and one without the other looks like a move: what is compared
            # is that of LATE minutes ago.
            "now": "FILL(significant, 0)",
            "ago1": "now - DIFF(now)",
            "ago2": "ago1 - DIFF(ago1)",
            "ago3": "ago2 - DIFF(ago2)",
        },
        datapoints=1,
    ),
)
SERVICE_ALERTS: Final = (TRAFFIC, TRAFFIC_DROP, NO_METRICS, MOVING)
"""Of a service, whatever share each color has."""


def alerts_of(service: Service, alerts: Iterable[Alert]) -> list[Alert]:
    """Return alerts with a service's own thresholds and severities."""
    limits = service.alerts
    own = {
        alert.name: alert
        for alert in (errors(limits), *latencies(limits), replace(TOO_FEW, threshold=service.replicas.min))
    }
    severities = {str(name): str(severity) for name, severity in limits.severities.items()}
    return [
        replace(alert, severity=Severity(severities.get(alert.name, alert.severity)))
        for alert in (own.get(alert.name, alert) for alert in alerts)
    ]


LOAD_BALANCER_ERRORS: Final = Alert(
    name="load-balancer-errors",
    severity=Severity.CRITICAL,
    summary=f"the load balancer itself fails more than {ERROR_PERCENT} % of the requests",
    threshold=ERROR_PERCENT,
    reason="502, 503 and 504 of the load balancer are in no color's count: a color whose pods are all gone shows only "
    "here.",
    blind_spot=f"Which service: the access logs say. One quiet service among busy ones; fewer than {MINIMUM_REQUESTS} "
    "requests a minute.",
    # A request for which there is no target is not in RequestCount.
    cloudwatch=CloudWatch(
        metrics={"failed": Metric(name="HTTPCode_ELB_5XX_Count"), "requests": Metric(name="RequestCount")},
        math={
            "total": "FILL(requests, 0) + FILL(failed, 0)",
            # No data point for a minute that nothing is known of: it may be late, and is no proof of good health.
            "rate": f"IF(total > 0, IF(total >= {MINIMUM_REQUESTS}, 100 * FILL(failed, 0) / total, 0))",
        },
    ),
)
CERTIFICATE: Final = Alert(
    name="certificate",
    severity=Severity.WARNING,
    summary=f"the certificate expires in fewer than {DAYS_LEFT} days",
    threshold=DAYS_LEFT,
    comparison=Comparison.BELOW,
    reason="AWS renews its own certificates long before: renewal has failed for weeks. An imported one must be "
    "replaced by hand.",
    blind_spot="A certificate that does not fit its host; one that is not in ACM.",
    # Published twice a day. A certificate that is gone says nothing, and no data is not taken for good news.
    cloudwatch=CloudWatch(
        metrics={"days": Metric(name="DaysToExpiry", stat="Minimum", namespace="AWS/CertificateManager")},
        period=86_400,
        periods=1,
        datapoints=1,
        missing="missing",
    ),
)
UPTIME: Final = Alert(
    name="uptime",
    severity=Severity.CRITICAL,
    summary="the service does not answer from outside",
    threshold=1,
    comparison=Comparison.BELOW,
    reason="Route 53 asks from several continents, by name and over TLS. It calls the host unhealthy when its "
    "checkers have had no answer of 200 to 399 three times, within a minute and a half. Names, routes, firewalls and "
    "the load balancer itself are in its way as in that of users, and in that of no other alarm.",
    blind_spot="A certificate that users' clients refuse (certificate tells of one that expires); what fails behind a "
    "health path that answers; trouble in some places only: it is content with 18 % of its checkers.",
    # 1 or 0, each minute; no data where a check is new or disabled, and that is no good news.
    cloudwatch=CloudWatch(
        metrics={"healthy": Metric(name="HealthCheckStatus", stat="Minimum", namespace="AWS/Route53")},
        periods=2,
        datapoints=2,
        missing="missing",
    ),
)
"""Of a service, from outside; in us-east-1."""

EDGE_ALERTS: Final = (LOAD_BALANCER_ERRORS, CERTIFICATE)
"""Of the load balancer that all services of an environment share."""

GUARD_FAILED: Final = Alert(
    name="guard-failed",
    severity=Severity.CRITICAL,
    summary="the guard did not send the traffic of a release back",
    threshold=1,
    comparison=Comparison.AT_LEAST,
    reason="An alarm rang for a color that is being tried, and the way back did not succeed, once: users are failing, "
    "and nothing else ends it.",
    blind_spot="An alarm whose event never came; a release that was not armed, which the guard leaves alone.",
    cloudwatch=CloudWatch(
        metrics={
            "failed": Metric(name="ExecutionsFailed", namespace="AWS/States"),
            "late": Metric(name="ExecutionsTimedOut", namespace="AWS/States"),
            "refused": Metric(name="FailedInvocations", namespace="AWS/Events"),
        },
        # Each is missing, not 0, in a minute without any.
        math={"total": "FILL(failed, 0) + FILL(late, 0) + FILL(refused, 0)"},
        periods=1,
        datapoints=1,
    ),
)
"""Of the guard of an environment."""

ALERTS: Final = (*COLOR_ALERTS, *SERVICE_ALERTS, UPTIME, *EDGE_ALERTS, GUARD_FAILED)
"""All."""
