"""When an alarm changes its state, and whom it tells. Pure: what moto holds comes in, states and messages go out.

The rules are those of the CloudWatch user guide (alarm-evaluation, alarms-and-missing-data,
Create_Composite_Alarm_Suppression) and of the API model.
"""

import json
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal
from uuid import uuid4


class State(StrEnum):
    """Of an alarm."""

    OK = "OK"
    ALARM = "ALARM"
    INSUFFICIENT_DATA = "INSUFFICIENT_DATA"


Missing = Literal["missing", "ignore", "breaching", "notBreaching"]

COMPARISONS: dict[str, tuple[Callable[[float, float], bool], str]] = {
    "GreaterThanThreshold": (operator.gt, "greater than"),
    "GreaterThanOrEqualToThreshold": (operator.ge, "greater than or equal to"),
    "LessThanThreshold": (operator.lt, "less than"),
    "LessThanOrEqualToThreshold": (operator.le, "less than or equal to"),
}

EXTRA = 2
"""Periods that are looked at beyond the evaluation periods. The guide's example has 3 and looks at 5; for other numbers
AWS documents none."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What a metric alarm compares."""

    comparison: str
    threshold: float
    periods: int
    datapoints: int
    """Of ``periods``, how many have to breach."""
    missing: Missing = "missing"

    def breaches(self, value: float) -> bool:
        return COMPARISONS[self.comparison][0](value, self.threshold)


def judge(values: Sequence[float | None], rule: Rule) -> State | None:
    """Return the state after these periods, the oldest first, None for one without data; None says: as it was.

    Real data points go before missing ones, from beyond the evaluation periods, too; only what then still lacks is
    filled as the alarm wants.
    """
    real = [rule.breaches(value) for value in values if value is not None]
    lacking = rule.periods - len(real)
    if lacking <= 0:
        return State.ALARM if sum(real[-rule.periods :]) >= rule.datapoints else State.OK
    filled = lacking if rule.missing == "breaching" else 0
    if sum(real) + filled >= rule.datapoints:
        return State.ALARM
    if rule.missing in ("breaching", "notBreaching") or not all(real):
        return State.OK
    if rule.missing == "ignore":
        return None
    # Only breaching points, and too few. They raise the alarm once they are old enough that whatever comes late could
    # not have prevented it ("premature transitions").
    oldest = next((len(values) - index for index, value in enumerate(values) if value is not None), 0)
    return State.ALARM if real and oldest >= rule.datapoints else State.INSUFFICIENT_DATA


def too_few(samples: float, share: float) -> bool:
    """Return whether a percentile of so many samples says little (guide, percentiles-with-low-samples)."""
    rarer = min(share, 1 - share)
    # Hundredths, for 10 / (1 - 0.95) is 199.99999999999983 in binary.
    return rarer > 0 and round(samples * rarer, 6) < 10


def reason(values: Sequence[tuple[float, datetime] | None], rule: Rule, before: State, after: State) -> str:
    """Return the sentence that says why, in the words that CloudWatch uses.

    ``values`` are those of the evaluation periods, the oldest first, each with the start of its period.
    """
    real = [pair for pair in values if pair]
    lacking = len(values) - len(real)
    if after is State.INSUFFICIENT_DATA:
        return f"Insufficient Data: {_many(lacking, 'datapoint')} {'was' if lacking == 1 else 'were'} unknown."
    if not real:
        treated = {"breaching": "Breaching", "notBreaching": "NonBreaching"}.get(rule.missing, rule.missing)
        verb = "was" if lacking == 1 else "were"
        return (
            f"Threshold Crossed: no datapoints were received for {_many(lacking, 'period')} and "
            f"{_many(lacking, 'missing datapoint')} {verb} treated as [{treated}]."
        )
    breaching = [pair for pair in real if rule.breaches(pair[0])]
    alarming = after is State.ALARM
    shown = breaching if alarming and breaching else [pair for pair in real if pair not in breaching] or real
    listed = ", ".join(f"{value} ({at:%d/%m/%y %H:%M:%S})" for value, at in reversed(shown))
    needed = rule.datapoints if alarming else rule.periods - rule.datapoints + 1
    verb = "was" if len(shown) == 1 else "were"
    return (
        f"Threshold Crossed: {len(shown)} out of the last {_many(len(values), 'datapoint')} [{listed}] {verb} "
        f"{'' if alarming else 'not '}{COMPARISONS[rule.comparison][1]} the threshold ({rule.threshold}) "
        f"(minimum {_many(needed, 'datapoint')} for {before} -> {after} transition)."
    )


def _many(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


# Composite alarms ---------------------------------------------------------------------------------------------------


class RuleError(ValueError):
    """An alarm rule that CloudWatch does not take."""


Condition = Callable[[Mapping[str, State]], bool]

_RULE_TOKEN = re.compile(
    r'\s*(?:(?P<state>ALARM|OK|INSUFFICIENT_DATA)\s*\(\s*(?:"(?P<quoted>[^"]+)"|(?P<bare>[^()"\s]+))\s*\)'
    r"|(?P<word>AND|OR|NOT|TRUE|FALSE|true|false)\b|(?P<bracket>[()]))"
)
_CHILDREN = 100
_LENGTH = 10_240


class AlarmRule:
    """The rule of a composite alarm. Raises RuleError unless it is one."""

    children: Sequence[str]
    """Names of the alarms that it asks, each once."""

    def __init__(self, text: str) -> None:
        if len(text) > _LENGTH:
            raise RuleError(f"AlarmRule is longer than {_LENGTH} characters")
        self._text = text
        self._tokens: list[re.Match[str]] = []
        position = 0
        while text[position:].strip():
            found = _RULE_TOKEN.match(text, position)
            if not found:
                raise RuleError(f"AlarmRule is not understood from {text[position:].strip()!r} on")
            self._tokens.append(found)
            position = found.end()
        names = [alarm_name(one["quoted"] or one["bare"]) for one in self._tokens if one["state"]]
        self.children = list(dict.fromkeys(names))
        if len(self.children) > _CHILDREN:
            raise RuleError(f"AlarmRule names more than {_CHILDREN} alarms")
        self._condition = self._any()
        if self._tokens:
            raise self._unexpected()

    def holds(self, states: Mapping[str, State]) -> bool:
        return self._condition(states)

    def _unexpected(self) -> RuleError:
        seen = f"'{self._tokens[0][0].strip()}'" if self._tokens else "the end"
        return RuleError(f"{seen} is not expected there in the AlarmRule {self._text!r}")

    def _take(self, *texts: str) -> bool:
        if self._tokens and self._tokens[0][0].strip() in texts:
            self._tokens.pop(0)
            return True
        return False

    def _any(self) -> Condition:
        conditions = [self._all()]
        while self._take("OR"):
            conditions.append(self._all())
        return lambda states: any(condition(states) for condition in conditions)

    def _all(self) -> Condition:
        conditions = [self._one()]
        while self._take("AND"):
            conditions.append(self._one())
        return lambda states: all(condition(states) for condition in conditions)

    def _one(self) -> Condition:
        if self._take("NOT"):
            negated = self._one()
            return lambda states: not negated(states)
        if self._take("TRUE", "true"):
            return lambda _: True
        if self._take("FALSE", "false"):
            return lambda _: False
        if self._take("("):
            inner = self._any()
            if not self._take(")"):
                raise self._unexpected()
            return inner
        if not self._tokens or not self._tokens[0]["state"]:
            raise self._unexpected()
        token = self._tokens.pop(0)
        name, state = alarm_name(token["quoted"] or token["bare"]), State(token["state"])
        return lambda states: states.get(name) is state


def alarm_name(name_or_arn: str) -> str:
    """Return the name of an alarm that may be given by its ARN."""
    return name_or_arn.split(":", 6)[6] if name_or_arn.startswith("arn:") else name_or_arn


@dataclass(frozen=True)
class Suppression:
    """Why a composite alarm keeps quiet, until when, and whether it has something to say then."""

    by: Literal["Alarm", "WaitPeriod", "ExtensionPeriod"] | None = None
    until: float = 0.0
    pending: bool = False


def suppress(
    before: Suppression, *, now: float, changed: bool, firing: bool, wait: float, extension: float
) -> tuple[Suppression, bool]:
    """Return what follows, and whether the actions of the alarm's present state are to be taken now.

    Every change of state waits ``wait`` seconds for the suppressor to fire; while it fires all is quiet; when it ends
    all stays quiet for ``extension`` seconds more, unless the alarm changes meanwhile, which waits anew.
    """
    pending = before.pending or changed
    if firing:
        return Suppression("Alarm", pending=pending), False
    after = Suppression(before.by, before.until, pending)
    if changed:
        after = Suppression("WaitPeriod", now + wait, pending)
    elif before.by == "Alarm":
        after = Suppression("ExtensionPeriod", now + extension, pending)
    if after.by and now < after.until:
        return after, False
    return Suppression(), pending


# Messages -----------------------------------------------------------------------------------------------------------

REGION_NAMES = {"eu-west-1": "EU (Ireland)"}
"""As CloudWatch writes them in messages."""


def subject(alarm: Any, state: str) -> str:  # noqa: ANN401
    """Return the subject of a message; SNS takes 100 characters."""
    return f'{state}: "{alarm.name}" in {REGION_NAMES.get(alarm.region_name, alarm.region_name)}'[:100]


def message(alarm: Any, before: str, account: str, children: Sequence[Any] = ()) -> str:  # noqa: ANN401
    """Return what CloudWatch publishes to SNS when an alarm comes from the state ``before``.

    Args:
        alarm: moto's alarm, in its new state.
        before: the state that it left.
        account: the account of the alarm.
        children: of a composite alarm, those that its rule names and that are in alarm.

    """
    result = {
        "AlarmName": alarm.name,
        "AlarmDescription": alarm.description,
        "AWSAccountId": account,
        "AlarmConfigurationUpdatedTimestamp": _stamp(alarm.configuration_updated_timestamp),
        "NewStateValue": str(alarm.state_value),
        "NewStateReason": alarm.state_reason,
        "StateChangeTime": _stamp(alarm.state_transitioned_timestamp),
        "Region": REGION_NAMES.get(alarm.region_name, alarm.region_name),
        "AlarmArn": alarm.alarm_arn,
        "OldStateValue": str(before),
        "OKActions": alarm.ok_actions,
        "AlarmActions": alarm.alarm_actions,
        "InsufficientDataActions": alarm.insufficient_data_actions,
    }
    if alarm.rule is None:
        result["Trigger"] = _trigger(alarm)
    else:
        result["AlarmRule"] = alarm.rule
        result["TriggeringChildren"] = [
            {
                "Arn": child.alarm_arn,
                "State": {"Value": str(child.state_value), "Timestamp": _stamp(child.state_transitioned_timestamp)},
            }
            for child in children
        ]
    return json.dumps(result)


def event(alarm: Any, account: str) -> dict[str, Any]:  # noqa: ANN401
    """Return CloudWatch's event for EventBridge after an alarm has changed its state (guide, alarms and events)."""
    return {
        "version": "0",
        "id": str(uuid4()),
        "detail-type": "CloudWatch Alarm State Change",
        "source": "aws.cloudwatch",
        "account": account,
        "time": f"{alarm.state_transitioned_timestamp:%Y-%m-%dT%H:%M:%SZ}",
        "region": alarm.region_name,
        "resources": [alarm.alarm_arn],
        "detail": {
            "alarmName": alarm.name,
            "state": {
                "value": str(alarm.state_value),
                "reason": alarm.state_reason,
                "timestamp": _stamp(alarm.state_transitioned_timestamp),
            },
            "previousState": {"value": str(alarm.left)},
        },
    }


def _stamp(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}+0000"


def _trigger(alarm: Any) -> dict[str, Any]:  # noqa: ANN401
    common = {
        "Period": alarm.period,
        "EvaluationPeriods": alarm.evaluation_periods,
        **({"DatapointsToAlarm": alarm.datapoints_to_alarm} if alarm.datapoints_to_alarm else {}),
        "ComparisonOperator": alarm.comparison_operator,
        "Threshold": alarm.threshold,
        "TreatMissingData": alarm.treat_missing_data or "missing",
        "EvaluateLowSampleCountPercentile": alarm.evaluate_low_sample_count_percentile or "",
    }
    if alarm.metric_data_queries:
        queries = [_query(query) for query in alarm.metric_data_queries]
        return {**common, "Period": next((q["MetricStat"]["Period"] for q in queries if "MetricStat" in q), None)} | {
            "Metrics": queries
        }
    percentile = {"StatisticType": "ExtendedStatistic", "ExtendedStatistic": alarm.extended_statistic}
    return {
        "MetricName": alarm.metric_name,
        "Namespace": alarm.namespace,
        **(
            percentile
            if alarm.extended_statistic
            else {"StatisticType": "Statistic", "Statistic": alarm.statistic.upper()}
        ),
        "Unit": alarm.unit,
        "Dimensions": _dimensions(alarm.dimensions),
        **common,
    }


def _query(query: Any) -> dict[str, Any]:  # noqa: ANN401
    result = {"Id": query.id, "ReturnData": str(query.return_data).lower() != "false"}
    if query.label:
        result["Label"] = query.label
    if query.expression:
        return {**result, "Expression": query.expression}
    metric = query.metric_stat.metric
    return {
        **result,
        "MetricStat": {
            "Metric": {
                "Dimensions": _dimensions(metric.dimensions),
                "MetricName": metric.metric_name,
                "Namespace": metric.namespace,
            },
            "Period": int(query.metric_stat.period),
            "Stat": query.metric_stat.stat,
        },
    }


def _dimensions(dimensions: Sequence[Any]) -> list[dict[str, str]]:
    return [{"value": one.value, "name": one.name} for one in dimensions]
