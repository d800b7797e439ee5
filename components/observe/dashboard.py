"""All services of an environment at a glance: both colors in each graph, with what the alerts go by and their bounds.

Nothing here says a metric or a threshold of its own that an alert has: `alert_catalog.py` does, for the alarms and for
this. Nor does it know who is active: a flip changes one listener rule and no dashboard.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pulumi
from pulumi_aws import cloudwatch
from pulumi_kubernetes import core

from components.context.context import Context
from components.model import (
    ALARM_PERIOD,
    METRICS,
    UPTIME_REGION,
    WEIGHT,
    Color,
    dashboard_name,
    fit_name,
    weight_dimensions,
)
from components.observe.alert_catalog import (
    CANARY_ERRORS,
    CPU,
    ERRORS,
    LATENCY_P95,
    LATENCY_P99,
    LOAD_BALANCER_ERRORS,
    MEMORY,
    RESTARTING,
    TOO_FEW,
    TRAFFIC,
    UNHEALTHY,
    UPTIME,
    Alert,
    CloudWatch,
    Metric,
    alerts_of,
)
from components.observe.alert_rules import of_color, told
from components.observe.cloudwatch import Dimensions, needs_insights
from components.observe.log_groups import error_lines
from components.observe.prometheus import matchers
from components.spec import Dashboards, Logs, Service

COLUMNS: Final = 24
"""Of both systems' grids (CloudWatch API, dashboard body; Grafana, dashboard JSON model)."""

_WIDTH, _HEIGHT = 6, 6

_SHADES: Final = {Color.BLUE: ("#1f77b4", "#aec7e8"), Color.GREEN: ("#2ca02c", "#98df8a")}
"""Of the first and the second line of a color in one graph."""


@dataclass(frozen=True)
class Graph:
    """One picture of a service: for each color and alert a line, and for each alert its threshold."""

    title: str
    unit: str
    """As Grafana calls it."""
    alerts: Sequence[Alert]


GRAPHS: Final = (
    Graph("failed requests, %", "percent", (ERRORS, CANARY_ERRORS)),
    Graph("answer time, s", "s", (LATENCY_P95, LATENCY_P99)),
    Graph("pods that serve, and that do not answer", "short", (TOO_FEW, UNHEALTHY)),
    Graph("CPU, % of the request", "percent", (CPU,)),
    Graph("memory, % of the limit", "percent", (MEMORY,)),
    Graph("restarts in 15 minutes", "short", (RESTARTING,)),
)
"""All alerts of a color are on one of them."""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A service, as a dashboard finds it."""

    spec: Service
    target_groups: Mapping[Color, pulumi.Input[str]]
    """``arn_suffix`` of the target group of each color."""
    alarms: Sequence[pulumi.Input[str]]
    """ARNs of those that a person hears of."""


@dataclass(frozen=True, kw_only=True)
class DashboardArgs:
    """What other resources supply is an Input; the rest is plain."""

    spec: Dashboards
    context: Context
    region: str
    """Of the metrics, and of the alarms."""
    load_balancer: pulumi.Input[str]
    """``arn_suffix`` of the load balancer."""
    alarms: Sequence[pulumi.Input[str]]
    """ARNs of those that are of no service, 100 at most."""
    services: Mapping[str, Shown]
    logs: Logs | None = None
    """None where no log group counts the lines that tell of an error."""
    health_checks: Mapping[str, pulumi.Input[str]]
    """The ids of those in Route 53, by service."""


class Dashboard(pulumi.ComponentResource):
    """The dashboard of an environment in CloudWatch, and in a ConfigMap for the sidecar of Grafana."""

    name: str
    """In CloudWatch."""

    def __init__(self, name: str, args: DashboardArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("hueshift:dashboard:Dashboard", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.name = dashboard_name(args.context.environment)
        if args.spec.cloudwatch:
            cloudwatch.Dashboard(
                f"{name}-cloudwatch",
                dashboard_name=self.name,
                dashboard_body=pulumi.Output.json_dumps(body(args)),
                opts=child,
            )
        if args.spec.grafana:
            core.v1.ConfigMap(
                f"{name}-grafana",
                metadata={
                    "name": self.name,
                    "namespace": args.context.cluster.monitoring_namespace,
                    "labels": {
                        "app.kubernetes.io/part-of": "hueshift",
                        "app.kubernetes.io/managed-by": "pulumi",
                        "hueshift.dev/environment": args.context.environment,
                        # What the sidecar of Grafana's charts looks for, unless told otherwise.
                        "grafana_dashboard": "1",
                    },
                },
                data={f"{self.name}.json": json.dumps(model(args.context.environment, args.services))},
                opts=child,
            )
        self.register_outputs({"name": self.name})


def _placed(rows: Iterable[Sequence[tuple[int, int, dict[str, Any]]]]) -> Iterator[tuple[tuple[int, ...], Any]]:
    """Yield x, y, width and height of each widget of each row, and the widget; a row that is full goes on below."""
    y = 0
    for row in rows:
        x = tallest = 0
        for width, height, widget in row:
            if x + width > COLUMNS:
                x, y, tallest = 0, y + tallest, 0
            yield (x, y, width, height), widget
            x, tallest = x + width, max(tallest, height)
        y += tallest


# CloudWatch


def body(args: DashboardArgs) -> dict[str, Any]:
    """Return the body of the dashboard (CloudWatch API, Dashboard Body Structure and Syntax)."""
    rows = [_edge(args), *(_service(name, shown, args) for name, shown in args.services.items())]
    return {
        "widgets": [
            {**widget, "x": x, "y": y, "width": width, "height": height}
            for (x, y, width, height), widget in _placed(rows)
        ]
    }


def _edge(args: DashboardArgs) -> list[tuple[int, int, dict[str, Any]]]:
    of = {"LoadBalancer": args.load_balancer}
    lines = list(_lines(LOAD_BALANCER_ERRORS, "all", lambda *_: of, LOAD_BALANCER_ERRORS.name, "#d62728"))
    graph = _picture("the load balancer's own errors, %", lines, [LOAD_BALANCER_ERRORS], args.region)
    return [(COLUMNS, 2, _alarms(args.context.environment, args.alarms)), (COLUMNS, _HEIGHT, graph)]


def _service(name: str, shown: Shown, args: DashboardArgs) -> list[tuple[int, int, dict[str, Any]]]:
    context, spec = args.context.of(name), shown.spec
    of = {
        color: of_color(args.context.of(name, color), args.load_balancer, group)
        for color, group in shown.target_groups.items()
    }
    pictures = [
        _picture("requests per minute", _requests(of, visible=True), [], args.region),
        _picture("weights set, and share of requests, %", _weights(name, of, args), [], args.region),
    ]
    for graph in GRAPHS:
        alerts = [
            alert
            for alert in alerts_of(spec, graph.alerts)
            if alert.cloudwatch and (context.cluster.container_insights or not needs_insights(alert.cloudwatch))
        ]
        lines = [
            line
            for color, dimensions in of.items()
            for alert, shade in zip(alerts, _SHADES[color], strict=False)
            for line in _lines(alert, color, dimensions, _label(color, alert, graph), shade)
        ]
        if lines:
            pictures.append(_picture(graph.title, lines, alerts, args.region))
    if args.logs is not None:
        lines = [
            _metric(error_lines(context), {"Color": color}, {"label": color, "color": _SHADES[color][0]})
            for color in spec.colors
        ]
        pictures.append(_picture("lines that tell of an error", lines, [], args.region))
    if name in args.health_checks:
        lines = list(
            _lines(UPTIME, "all", lambda *_: {"HealthCheckId": args.health_checks[name]}, UPTIME.name, "#9467bd")
        )
        pictures.append(_picture("answers from outside (1) or not (0)", lines, [UPTIME], UPTIME_REGION))
    return [
        (COLUMNS, 2, _alarms(name, shown.alarms)),
        *((_WIDTH, _HEIGHT, picture) for picture in pictures),
    ]


def _alarms(title: str, arns: Sequence[pulumi.Input[str]]) -> dict[str, Any]:
    return {"type": "alarm", "properties": {"title": title, "alarms": list(arns)}}


def _picture(title: str, lines: Sequence[Any], alerts: Iterable[Alert], region: str) -> dict[str, Any]:
    return {
        "type": "metric",
        "properties": {
            "title": title,
            "region": region,
            "view": "timeSeries",
            "period": ALARM_PERIOD,
            "metrics": list(lines),
            "yAxis": {"left": {"min": 0}},
            "annotations": {"horizontal": [{"label": alert.name, "value": alert.threshold} for alert in alerts]},
        },
    }


def _label(color: Color, alert: Alert, graph: Graph) -> str:
    return f"{color} {alert.name}" if len(graph.alerts) > 1 else color.value


def _metric(metric: Metric, dimensions: Mapping[str, pulumi.Input[str]], shown: Mapping[str, object]) -> list[Any]:
    of = [part for pair in dimensions.items() for part in pair]
    return [metric.namespace, metric.name, *of, {"stat": metric.stat, **shown}]


def _lines(alert: Alert, whose: str, dimensions: Any, label: str, shade: str) -> Iterator[list[Any]]:  # noqa: ANN401
    """Yield what an alarm compares as the one line of it that can be seen, after the metrics that it takes."""
    how = alert.cloudwatch
    assert how is not None
    names = {name: _id(whose, alert.name, name) for name in (*how.metrics, *how.math)}
    seen = [*how.metrics, *how.math][-1]

    def shown(name: str) -> dict[str, object]:
        drawn = {"label": label, "color": shade} if name == seen else {"visible": False}
        return {"id": names[name], "period": how.period, **drawn}

    for name, metric in how.metrics.items():
        yield _metric(metric, dimensions(name, metric), shown(name))
    for name, expression in how.math.items():
        # Functions are written in capitals, names in small letters.
        yield [{"expression": re.sub(r"\b[a-z]\w*", lambda found: names[found[0]], expression), **shown(name)}]


def _id(*parts: str) -> str:
    """Return an id, which begins with a small letter and has no hyphen (CloudWatch API, MetricDataQuery)."""
    return "_".join(parts).replace("-", "_")


def _requests(of: Mapping[Color, Any], *, visible: bool) -> list[list[Any]]:
    how: CloudWatch | None = TRAFFIC.cloudwatch
    assert how is not None
    return [
        _metric(
            how.metrics[color],
            dimensions(color, how.metrics[color]),
            {"id": _id(color, "requests"), "label": color, "color": _SHADES[color][0], "visible": visible},
        )
        for color, dimensions in of.items()
    ]


def _weights(name: str, of: Mapping[Color, Any], args: DashboardArgs) -> list[list[Any]]:
    """Return the weights that releases have set, each until the next: they are its markers; and what came of them."""
    lines = _requests(of, visible=False)
    total = " + ".join(f"FILL({_id(color, 'requests')}, 0)" for color in of)
    for color in of:
        weight, (shade, lighter) = _id(color, "weight"), _SHADES[color]
        found: Dimensions = weight_dimensions(args.context.environment, name, color)
        lines += [
            _metric(Metric(name=WEIGHT, stat="Maximum", namespace=METRICS), found, {"id": weight, "visible": False}),
            [{"expression": f"FILL({weight}, REPEAT)", "id": f"{weight}_set", "label": f"{color} set", "color": shade}],
            [
                {
                    "expression": f"100 * FILL({_id(color, 'requests')}, 0) / ({total})",
                    "id": _id(color, "share"),
                    "label": f"{color} share",
                    "color": lighter,
                }
            ],
        ]
    return lines


# Grafana


_DATASOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}


def model(environment: str, services: Mapping[str, Shown]) -> dict[str, Any]:
    """Return the dashboard as Grafana reads it from a file (Grafana, dashboard JSON model)."""
    placed = _placed(_panels(name, shown.spec, environment) for name, shown in services.items())
    # In a version's first minutes it has samples, and had none then.
    versions = f'count by (service, color, version) (http_requests_total{{environment="{environment}"}}%s)'
    return {
        "uid": fit_name("hueshift-", environment, "", 40),
        "title": f"hueshift {environment}",
        "tags": ["hueshift", environment],
        "schemaVersion": 39,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "browser",
        "templating": {
            "list": [{"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}]
        },
        "annotations": {
            "list": [
                {
                    "name": "new version",
                    "enable": True,
                    "iconColor": "purple",
                    "datasource": _DATASOURCE,
                    "expr": f"{versions % ''} unless {versions % ' offset 5m'}",
                    "step": "60s",
                    "titleFormat": "{{service}} {{color}} {{version}}",
                }
            ]
        },
        "panels": [
            {**panel, "id": number, "gridPos": {"x": x, "y": y, "w": width, "h": height}}
            for number, ((x, y, width, height), panel) in enumerate(placed, 1)
        ],
    }


def _panels(name: str, spec: Service, environment: str) -> list[tuple[int, int, dict[str, Any]]]:
    whole = {"service": name, "environment": environment}
    each = {color: {"service": name, "color": color.value, "environment": environment} for color in spec.colors}
    requests = {color.value: _value(TRAFFIC, own, spec) for color, own in each.items()}
    firing = f'ALERTS{{alertstate="firing",service="{name}",environment="{environment}"}}'
    panels = [
        _panel("alerts that fire", "short", {"{{color}} {{alertname}}": f"count by (color, alertname) ({firing})"}),
    ]
    if told(TRAFFIC, spec):
        shares = {color: f"100 * {value} / {_value(TRAFFIC, whole, spec)}" for color, value in requests.items()}
        panels.append(_panel("requests per minute", "short", requests))
        panels.append(_panel("share of requests, %", "percent", shares))
    for graph in GRAPHS:
        alerts = [alert for alert in alerts_of(spec, graph.alerts) if told(alert, spec)]
        if not alerts:
            continue
        lines = {
            _label(color, alert, graph): _value(alert, own, spec) for color, own in each.items() for alert in alerts
        }
        panels.append(_panel(graph.title, graph.unit, lines, alerts))
    title = {"type": "row", "title": name, "collapsed": False, "panels": []}
    return [(COLUMNS, 1, title), *((_WIDTH, _HEIGHT, panel) for panel in panels)]


def _value(alert: Alert, own: Mapping[str, str], spec: Service) -> str:
    assert alert.prometheus is not None
    return alert.prometheus.value % matchers(own, spec.resources)


def _panel(title: str, unit: str, lines: Mapping[str, str], alerts: Sequence[Alert] = ()) -> dict[str, Any]:
    bounds = sorted({alert.threshold for alert in alerts})
    return {
        "type": "timeseries",
        "title": title,
        "datasource": _DATASOURCE,
        "targets": [
            {"refId": chr(ord("A") + number), "datasource": _DATASOURCE, "expr": expression, "legendFormat": legend}
            for number, (legend, expression) in enumerate(lines.items())
        ],
        "fieldConfig": {
            "defaults": {
                "unit": unit,
                "min": 0,
                "custom": {"thresholdsStyle": {"mode": "line" if bounds else "off"}},
                "thresholds": {
                    "mode": "absolute",
                    "steps": [
                        {"color": "transparent", "value": None},
                        *({"color": "red", "value": bound} for bound in bounds),
                    ],
                },
            },
            "overrides": [
                {
                    "matcher": {"id": "byRegexp", "options": f"^{color}\\b.*"},
                    "properties": [{"id": "color", "value": {"mode": "shades", "fixedColor": shades[0]}}],
                }
                for color, shades in _SHADES.items()
            ],
        },
        "options": {"legend": {"displayMode": "list", "placement": "bottom", "showLegend": True}},
    }
