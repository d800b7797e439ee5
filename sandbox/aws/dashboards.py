"""What CloudWatch says of a dashboard's body, as far as hueshift's have it. Pure.

The rules are those of the API reference (Dashboard Body Structure and Syntax) and of the user guide (service quotas).
What is not here is refused, too.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from sandbox.aws.metric_math import MathError, Plan

COLUMNS = 24
WIDGETS = 500
METRICS = 500
"""Of one widget."""
ALL_METRICS = 2500
"""Of all widgets together, those included that only mathematics reads."""
ALARMS = 100
"""Of one widget."""
DIMENSIONS = 30

_PROPERTIES = {
    "alarm": {"title", "alarms"},
    "metric": {"title", "region", "view", "period", "metrics", "yAxis", "annotations"},
}
_RENDERING = {"id", "expression", "label", "color", "period", "stat", "visible"}
_ALARM = r"arn:aws:cloudwatch:[a-z0-9-]+:[0-9]{12}:alarm:.+"


def problems(text: str) -> list[str]:
    """Return why CloudWatch would not take a body, or not show what it says."""
    try:
        widgets = json.loads(text)["widgets"]
    except (ValueError, TypeError, KeyError):
        return ["the body is no JSON object with widgets"]
    found = [f"widgets/{number}: {reason}" for number, widget in enumerate(widgets) for reason in _widget(widget)]
    if len(widgets) > WIDGETS:
        found.append(f"{len(widgets)} widgets; allowed are {WIDGETS}")
    metrics = sum(len(widget.get("properties", {}).get("metrics", ())) for widget in widgets)
    if metrics > ALL_METRICS:
        found.append(f"{metrics} metrics; allowed are {ALL_METRICS}")
    return found


def _widget(widget: Mapping[str, Any]) -> Iterator[str]:
    for name, least, most in (("x", 0, COLUMNS - 1), ("y", 0, None), ("width", 1, COLUMNS), ("height", 1, 1000)):
        value = widget.get(name)
        if not isinstance(value, int) or value < least or (most is not None and value > most):
            yield f"{name} is {value}"
    kind, properties = widget.get("type"), widget.get("properties", {})
    if kind not in _PROPERTIES:
        yield f"the type {kind} is not supported here"
        return
    if unknown := properties.keys() - _PROPERTIES[kind]:
        yield f"{', '.join(sorted(unknown))}: no property of {kind} here"
    if kind == "alarm":
        arns = properties.get("alarms", ())
        if not 1 <= len(arns) <= ALARMS or not all(re.fullmatch(_ALARM, arn) for arn in arns):
            yield f"alarms takes 1 to {ALARMS} ARNs of alarms"
    else:
        yield from _metric_widget(properties)


def _metric_widget(properties: Mapping[str, Any]) -> Iterator[str]:
    if not properties.get("region"):
        yield "region is required"
    if properties.get("view") not in (None, "timeSeries", "singleValue", "gauge", "bar", "pie"):
        yield f"the view {properties['view']} is unknown"
    for line in properties.get("annotations", {}).get("horizontal", ()):
        if not isinstance(line.get("value"), int | float):
            yield "an annotation needs a value"
    rows = properties.get("metrics", ())
    if not 1 <= len(rows) <= METRICS:
        yield f"metrics takes 1 to {METRICS}"
    metrics: dict[str, int] = {}
    expressions: dict[str, str] = {}
    for row in rows:
        *place, shown = row if isinstance(row[-1], Mapping) else [*row, {}]
        identifier = shown.get("id", f"unnamed{len(metrics) + len(expressions)}")
        if unknown := shown.keys() - _RENDERING:
            yield f"{', '.join(sorted(unknown))}: no rendering property here"
        if not re.fullmatch(r"[a-z]\w*", identifier, re.ASCII) or identifier in metrics or identifier in expressions:
            yield f"the id {identifier} has the wrong form, or is there twice"
        period = shown.get("period", properties.get("period", 300))
        if period not in (1, 5, 10, 30) and (period % 60 or period <= 0):
            yield f"the period {period} is none of CloudWatch's"
        if "expression" in shown:
            expressions[identifier] = shown["expression"]
            if place:
                yield f"{identifier} is both a metric and an expression"
            continue
        metrics[identifier] = period
        if len(place) % 2 or not 2 <= len(place) <= 2 + 2 * DIMENSIONS or not all(isinstance(it, str) for it in place):
            yield f"{identifier} is no namespace, name and pairs of dimensions"
    try:
        Plan(metrics, expressions)
    except MathError as error:
        yield str(error)
