"""CloudWatch where moto only keeps what it is told: statistics, metric math, alarms that change state and tell of it.

Of each change hear SNS, as the alarm's actions say, and EventBridge.

``run`` is the one thread behind it. It puts the load balancer's metrics when a minute is over, takes in what is due of
those that came late, and evaluates. Minutes are those of ``Clock``, which can run faster.
"""

import json
import logging
import math
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from moto.cloudwatch import models, responses, urls
from moto.cloudwatch.exceptions import (
    CloudWatchException,
    DashboardInvalidInputError,
    InvalidParameterCombination,
    ResourceNotFound,
    ValidationError,
)
from moto.cloudwatch.models import CloudWatchBackend, MetricDatum, cloudwatch_backends
from moto.core.responses import ActionResult, EmptyResult
from moto.core.utils import utcnow
from moto.sns.models import sns_backends

from sandbox.aws import alarms, dashboards, events, series
from sandbox.aws.alarms import AlarmRule, Rule, RuleError, State, Suppression
from sandbox.aws.clock import MINUTE, Clock
from sandbox.aws.metric_math import Kind, MathError, Plan, Series, Value

_LOG = logging.getLogger(__name__)

DEFAULT_SECONDS = 5.0
_SHORTEST = 0.25
"""Seconds between two looks at the alarms, however fast the clock."""

_PAGE, _LONGEST_PAGE = 50, 100
"""Alarms in an answer of DescribeAlarms, unless MaxRecords says otherwise, and at most."""

_HISTORY = 1000
"""Entries of an alarm's history that are kept (CloudWatch: those of two weeks)."""


class InvalidNextToken(CloudWatchException):
    """A token that no answer gave."""

    code = "InvalidNextToken"


class Alarm(models.Alarm):
    """Of a metric, an expression, or other alarms; its name is what moto's serializer goes by."""

    plan: Plan | None = None
    composite: AlarmRule | None = None
    actions_suppressor: str | None = None
    actions_suppressor_wait_period: int | None = None
    actions_suppressor_extension_period: int | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(*args, **kwargs)
        self.state_value: str = State.INSUFFICIENT_DATA
        self.state_transitioned_timestamp = self.state_updated_timestamp
        self.left: str = State.INSUFFICIENT_DATA
        """The state before this one."""
        self.changed = False
        """Whether a composite alarm changed since its actions were last thought of."""
        self.suppression = Suppression()

    @property
    def actions_suppressed_by(self) -> str | None:
        return self.suppression.by

    @property
    def actions_suppressed_reason(self) -> str | None:
        return f"Actions suppressed by {self.suppression.by}" if self.suppression.by else None

    def keep(self, before: "Alarm") -> None:
        """Take over what an update leaves as it is."""
        for name in (
            "state_value",
            "state_reason",
            "state_reason_data",
            "state_updated_timestamp",
            "state_transitioned_timestamp",
            "left",
            "changed",
            "history",
        ):
            setattr(self, name, getattr(before, name))
        same = before.actions_suppressor == self.actions_suppressor
        # "If you replace the action suppressor alarm, any active WaitPeriod or ExtensionPeriod is discarded."
        self.suppression = before.suppression if same else Suppression(pending=before.suppression.pending)

    def update_state(self, reason: str, reason_data: str, state_value: str) -> None:
        before, now = self.state_value, utcnow()
        self.state_reason, self.state_reason_data = reason, reason_data or "{}"
        self.state_updated_timestamp = now
        if state_value == before:
            return
        self.state_value, self.left, self.changed = str(state_value), before, True
        self.state_transitioned_timestamp = now
        summary = f"Alarm updated from {before} to {state_value}"
        data = {"newState": {"stateValue": state_value, "stateReason": reason}, "oldState": {"stateValue": before}}
        self.remember("StateUpdate", summary, data)

    def remember(self, kind: str, summary: str, data: dict[str, Any]) -> None:
        self.history.append(
            {
                "AlarmName": self.name,
                "AlarmType": "MetricAlarm" if self.rule is None else "CompositeAlarm",
                "Timestamp": utcnow(),
                "HistoryItemType": kind,
                "HistorySummary": summary,
                "HistoryData": json.dumps({"version": "1.0", **data}),
            }
        )
        del self.history[:-_HISTORY]


@dataclass(frozen=True)
class _Notice:
    """Something to be published, once nothing is locked any more."""

    alarm: Alarm
    topics: tuple[str, ...]
    subject: str
    message: str


class CloudWatch(CloudWatchBackend):
    """Statistics of exact sets of dimensions, percentiles and metric math included; alarms that are evaluated."""

    __module__ = CloudWatchBackend.__module__  # moto finds a backend's paths beside its module

    clock = Clock()
    alarms: dict[str, Alarm]  # type: ignore[assignment]

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.store = series.Store()
        self._coming: list[tuple[float, str, dict[str, Any], float]] = []
        """What is not there yet: due when, namespace, datum, as of when."""
        self._lock = threading.RLock()
        self._evaluated: tuple[int, float] | None = None
        """Version of the data and end of the last period, when the metric alarms were last evaluated."""

    # Metrics --------------------------------------------------------------------------------------------------------

    def put_metric_data(self, namespace: str, metric_data: list[dict[str, Any]]) -> None:
        for number, datum in enumerate(metric_data, 1):
            self._validate_parameters_put_metric_data(datum, number)
        for datum in metric_data:
            moment = datum.get("Timestamp")
            at = self.clock.now() if moment is None else self.clock.of(_seconds(moment))
            self.record(namespace, [datum], at)

    def record(self, namespace: str, data: Iterable[dict[str, Any]], at: float, due: float = 0.0) -> None:
        """Store data in the form of PutMetricData, as of a moment of the clock; nobody sees them before ``due``."""
        with self._lock:
            for datum in data:
                if due > self.clock.now():
                    self._coming.append((due, namespace, datum, at))
                    continue
                dimensions = frozenset((one["Name"], one["Value"]) for one in datum.get("Dimensions") or ())
                self.store.put((namespace, datum["MetricName"], dimensions), _point(datum, at))

    def get_all_metrics(self) -> list[models.MetricDatumBase]:
        """Return one datum for each metric, which is what a list of them needs."""
        return [
            MetricDatum(namespace, name, 0, [{"Name": key, "Value": value} for key, value in sorted(pairs)], None)
            for namespace, name, pairs in self.store.keys()  # noqa: SIM118
        ]

    def statistics(
        self, key: series.Key, statistic: str, grid: Sequence[float], period: float, unit: str | None = None
    ) -> Series:
        """Return the statistic of each period that starts at ``grid`` and has data."""
        with self._lock:
            values = {
                start: series.value(self.store.between(key, start, start + period, unit), statistic) for start in grid
            }
        return {start: value for start, value in values.items() if value is not None}

    def get_metric_statistics(  # type: ignore[override]
        self,
        namespace: str,
        metric_name: str,
        start_time: datetime,
        end_time: datetime,
        period: int,
        stats: list[str],
        dimensions: list[dict[str, str]],
        unit: str | None = None,
    ) -> list[dict[str, Any]]:
        """Return datapoints as the API has them; percentiles are asked for among ``stats``."""
        grid = self._grid(start_time, end_time, period)
        key = _key(namespace, metric_name, [(one["Name"], one["Value"]) for one in dimensions])
        result: dict[float, dict[str, Any]] = {}
        for statistic in stats:
            _demand(statistic)
            for start, value in self.statistics(key, statistic, grid, period, unit).items():
                with self._lock:
                    known = next(iter(self.store.between(key, start, start + period, unit)))
                point = result.setdefault(start, {"Timestamp": self._moment(start), "Unit": known.unit or "None"})
                if series.percentile(statistic) is None:
                    point[statistic] = value
                else:
                    point.setdefault("ExtendedStatistics", {})[statistic] = value
        return [result[start] for start in sorted(result)]

    def get_metric_data(
        self,
        queries: list[dict[str, Any]],
        start_time: datetime,
        end_time: datetime,
        scan_by: str = "TimestampDescending",
    ) -> list[dict[str, Any]]:
        if _seconds(start_time) >= _seconds(end_time):
            raise ValidationError("The parameter EndTime must be greater than StartTime.")
        stats = {query["Id"]: query["MetricStat"] for query in queries if "MetricStat" in query}
        periods = {name: int(stat["Period"]) for name, stat in stats.items()}
        plan = _plan(periods, {query["Id"]: query["Expression"] for query in queries if "MetricStat" not in query})
        # Expressions over metrics of different periods have no common grid here.
        grids = {name: self._grid(start_time, end_time, period) for name, period in periods.items()}
        given = {}
        for name, stat in stats.items():
            _demand(stat["Stat"])
            metric = stat["Metric"]
            key = _key(
                metric["Namespace"],
                metric["MetricName"],
                [(one["Name"], one["Value"]) for one in metric.get("Dimensions") or ()],
            )
            given[name] = self.statistics(key, stat["Stat"], grids[name], periods[name], stat.get("Unit"))
        values = plan.compute(given, next(iter(grids.values()), []))
        return [
            {
                "Id": query["Id"],
                "Label": query.get("Label") or query["Id"],
                "Timestamps": [self._moment(start) for start, _ in points],
                "Values": [value for _, value in points],
                "StatusCode": "Complete",
            }
            for query in queries
            if query.get("ReturnData", True)
            for points in [sorted(_one(values[query["Id"]]).items(), reverse=scan_by == "TimestampDescending")]
        ]

    def _grid(self, start: datetime, end: datetime, period: int) -> list[float]:
        first = math.floor(self.clock.of(_seconds(start)) / period) * float(period)
        until = self.clock.of(_seconds(end))
        return [first + index * period for index in range(math.ceil((until - first) / period))]

    def _moment(self, at: float) -> datetime:
        return datetime.fromtimestamp(self.clock.real(at), UTC).replace(tzinfo=None)

    # Alarms ---------------------------------------------------------------------------------------------------------

    def put_metric_alarm(self, name: str, *args: Any, **kwargs: Any) -> Alarm:  # noqa: ANN401
        with self._lock:
            before = self.alarms.get(name)
            if before and before.rule is not None:
                raise ValidationError(f"A composite alarm is called {name} already")
            try:
                alarm = super().put_metric_alarm(name, *args, **kwargs)
                assert isinstance(alarm, Alarm)
                _check(alarm)
            except Exception:
                self._put_back(name, before)
                raise
            if before:
                alarm.keep(before)
            self._evaluated = None
            return alarm

    def put_composite_alarm(self, name: str, rule: str, suppressor: dict[str, Any], **settings: Any) -> None:  # noqa: ANN401
        """Create or change a composite alarm; ``settings`` as put_metric_alarm takes them."""
        try:
            parsed = AlarmRule(rule)
        except RuleError as error:
            raise ValidationError(str(error)) from None
        with self._lock:
            before = self.alarms.get(name)
            if before and before.rule is None:
                raise ValidationError(f"A metric alarm is called {name} already")
            self._demand_alarms("alarm rule", parsed.children)
            if suppressor["actions_suppressor"]:
                self._demand_alarms("actions suppressor", [alarms.alarm_name(suppressor["actions_suppressor"])])
                if None in suppressor.values():
                    raise ValidationError(
                        "ActionsSuppressorWaitPeriod and ActionsSuppressorExtensionPeriod are required with "
                        "ActionsSuppressor"
                    )
            settings.update(dict.fromkeys(_NOT_OF_COMPOSITES), rule=rule, dimensions=[])
            alarm = super().put_metric_alarm(name, **settings)
            assert isinstance(alarm, Alarm)
            alarm.composite = parsed
            for key, value in suppressor.items():
                setattr(alarm, key, value)
            if before:
                alarm.keep(before)

    def _put_back(self, name: str, before: Alarm | None) -> None:
        if before:
            self.alarms[name] = before
        else:
            self.alarms.pop(name, None)

    def _demand_alarms(self, where: str, names: Iterable[str]) -> None:
        lacking = [name for name in names if name not in self.alarms]
        if lacking:
            raise ValidationError(
                f"Could not save the composite alarm as alarms [{', '.join(lacking)}] in the {where} do not exist"
            )

    def delete_alarms(self, alarm_names: list[str]) -> None:
        with self._lock:
            if sum(name in self.alarms and self.alarms[name].rule is not None for name in alarm_names) > 1:
                raise ValidationError("Cannot delete more than one composite alarm in one operation")
            needed = [
                name
                for name in alarm_names
                if any(
                    name in one.composite.children
                    for one in self.alarms.values()
                    if one.composite and one.name not in alarm_names
                )
            ]
            if needed:
                raise ValidationError(
                    f"Cannot delete {','.join(needed)} as there are composite alarm(s) depending on "
                    f"{'it' if len(needed) == 1 else 'them'}."
                )
            super().delete_alarms(alarm_names)

    def set_alarm_state(self, alarm_name: str, reason: str, reason_data: str, state_value: str) -> None:
        """Hold until the next evaluation, and take the actions of that state."""
        with self._lock:
            before = self._states()
            super().set_alarm_state(alarm_name, reason, reason_data, state_value)
            self._evaluated = None
            changes = self._changes(before)
            notices = [*self._metric_notices(), *self._composite_notices(self.clock.now())]
        self._tell(changes, notices)

    def evaluate(self) -> None:
        """Evaluate every alarm, as far as anything can have changed, and take the actions that are due."""
        with self._lock:
            before = self._states()
            now = self.clock.now()
            coming, self._coming = self._coming, []
            for due, namespace, datum, at in coming:
                self.record(namespace, [datum], at, due)
            end = now // MINUTE * MINUTE
            if self._evaluated != (self.store.version, end):
                for alarm in self.alarms.values():
                    if alarm.rule is None:
                        self._evaluate_metric(alarm, end)
                self._evaluated = (self.store.version, end)
            self._evaluate_composites()
            changes = self._changes(before)
            notices = [*self._metric_notices(), *self._composite_notices(now)]
        self._tell(changes, notices)

    def _states(self) -> dict[str, str]:
        return {name: alarm.state_value for name, alarm in self.alarms.items()}

    def _changes(self, before: dict[str, str]) -> list[dict[str, Any]]:
        """Return the events of the alarms whose state has changed, suppressed or not."""
        changed = (alarm for name, alarm in self.alarms.items() if before.get(name) != alarm.state_value)
        return [alarms.event(alarm, self.account_id) for alarm in changed]

    def _tell(self, changes: Iterable[dict[str, Any]], notices: Iterable[_Notice]) -> None:
        for change in changes:
            events.deliver(self.account_id, change)
        self._publish(notices)

    def _evaluate_metric(self, alarm: Alarm, end: float) -> None:
        rule = _rule(alarm)
        period = _period(alarm)
        # "For any period of one minute or longer, an alarm is evaluated every minute and the evaluation is based on the
        # window of time defined by the Period and Evaluation Periods" (guide, alarm-evaluation): windows slide from
        # minute to minute, and of 5 minutes the last is that which ends now.
        grid = list(series.windows(end, period, rule.periods + alarms.EXTRA))
        points = self._values(alarm, grid, period)
        values = [points.get(start) for start in grid]
        state = alarms.judge(values, rule)
        share = series.percentile(alarm.extended_statistic or "")
        if share is not None and points and alarm.evaluate_low_sample_count_percentile == "ignore":
            found = self.store.between(_metric_key(alarm), grid[-rule.periods], end, alarm.unit)
            state = None if alarms.too_few(series.samples(found), share) else state
        before = State(alarm.state_value)
        if state is None or state is before:
            return
        pairs = [(points[start], self._moment(start)) if start in points else None for start in grid]
        seen = [pair for pair in pairs if pair]
        judged = seen[-rule.periods :] if len(seen) >= rule.periods else pairs[-rule.periods :]
        data = {
            "version": "1.0",
            "queryDate": utcnow().isoformat(timespec="milliseconds") + "+0000",
            "period": period,
            "recentDatapoints": [pair[0] for pair in judged if pair],
            "threshold": rule.threshold,
        }
        alarm.update_state(alarms.reason(judged, rule, before, state), json.dumps(data), state)

    def _values(self, alarm: Alarm, grid: Sequence[float], period: int) -> Series:
        if not alarm.plan:
            statistic = alarm.statistic or str(alarm.extended_statistic)
            return self.statistics(_metric_key(alarm), statistic, grid, period, alarm.unit)
        given = {
            query.id: self.statistics(
                _metric_key(query.metric_stat.metric), query.metric_stat.stat, grid, period, query.metric_stat.unit
            )
            for query in alarm.metric_data_queries
            if query.metric_stat
        }
        return _one(alarm.plan.compute(given, grid)[_watched(alarm)])

    def _evaluate_composites(self) -> None:
        states = {alarm.name: State(alarm.state_value) for alarm in self.alarms.values() if alarm.rule is None}
        # Children before parents. What remains depends on itself, and is no longer evaluated.
        waiting = [alarm for alarm in self.alarms.values() if alarm.composite]
        while ready := [alarm for alarm in waiting if alarm.composite and states.keys() >= {*alarm.composite.children}]:
            for alarm in ready:
                assert alarm.composite
                waiting.remove(alarm)
                state = State.ALARM if alarm.composite.holds(states) else State.OK
                states[alarm.name] = state
                if state != alarm.state_value:
                    self._change_composite(alarm, state)

    def _change_composite(self, alarm: Alarm, state: State) -> None:
        assert alarm.composite
        children = [self.alarms[name] for name in alarm.composite.children]
        newest = max(children, key=lambda child: child.state_transitioned_timestamp, default=None)
        reason, data = f"{alarm.rule} evaluates to {state is State.ALARM}", []
        if newest:
            when = f"{newest.state_transitioned_timestamp:%A %d %B, %Y %H:%M:%S} UTC"
            reason = f"{newest.alarm_arn} transitioned to {newest.state_value} at {when}"
            data = [{"arn": newest.alarm_arn, "state": {"value": newest.state_value}}]
        alarm.update_state(reason, json.dumps({"triggeringAlarms": data}), state)

    def _metric_notices(self) -> list[_Notice]:
        changed = [alarm for alarm in self.alarms.values() if alarm.rule is None and alarm.changed]
        return [notice for alarm in changed for notice in self._notice(alarm)]

    def _composite_notices(self, now: float) -> list[_Notice]:
        notices: list[_Notice] = []
        for alarm in self.alarms.values():
            if alarm.rule is None:
                continue
            if not alarm.actions_suppressor:
                alarm.suppression, due = Suppression(), alarm.changed or alarm.suppression.pending
            else:
                suppressor = self.alarms.get(alarms.alarm_name(alarm.actions_suppressor))
                alarm.suppression, due = alarms.suppress(
                    alarm.suppression,
                    now=now,
                    changed=alarm.changed,
                    firing=suppressor is not None and suppressor.state_value == State.ALARM,
                    wait=alarm.actions_suppressor_wait_period or 0,
                    extension=alarm.actions_suppressor_extension_period or 0,
                )
            alarm.changed = False
            if due:
                notices += self._notice(alarm)
        return notices

    def _notice(self, alarm: Alarm) -> list[_Notice]:
        """Return the actions due for an alarm's state; none if it has none or they are disabled."""
        alarm.changed = False
        actions = {
            State.OK: alarm.ok_actions,
            State.ALARM: alarm.alarm_actions,
            State.INSUFFICIENT_DATA: alarm.insufficient_data_actions,
        }[State(alarm.state_value)]
        topics = tuple(arn for arn in actions if arn.split(":")[2:3] == ["sns"])
        for arn in set(actions) - set(topics):
            _LOG.warning("%s: only SNS topics are told of alarms here, not %s", alarm.name, arn)
        if not topics or not alarm.actions_enabled:
            return []
        children = [self.alarms[name] for name in alarm.composite.children] if alarm.composite else []
        firing = [child for child in children if child.state_value == State.ALARM]
        text = alarms.message(alarm, alarm.left, self.account_id, firing)
        return [_Notice(alarm, topics, alarms.subject(alarm, alarm.state_value), text)]

    def _publish(self, notices: Iterable[_Notice]) -> None:
        for notice in notices:
            for topic in notice.topics:
                try:
                    backend = sns_backends[self.account_id][topic.split(":")[3]]
                    backend.publish(notice.message, arn=topic, subject=notice.subject)
                    outcome = "Successfully executed"
                except Exception as error:  # a topic that is gone, a subscriber that does not answer
                    _LOG.warning("%s could not be told of %s: %s", topic, notice.subject, error)
                    outcome = "Failed to execute"
                notice.alarm.remember("Action", f"{outcome} action {topic}", {"notificationResource": topic})


def _check(alarm: Alarm) -> None:
    """Refuse what would not be evaluated, and what CloudWatch refuses."""
    if alarm.comparison_operator not in alarms.COMPARISONS:
        raise ValidationError(
            f"The comparison operator {alarm.comparison_operator} is not evaluated here; there are "
            f"{', '.join(alarms.COMPARISONS)}"
        )
    if alarm.treat_missing_data not in (None, "missing", "ignore", "breaching", "notBreaching"):
        raise ValidationError(f"{alarm.treat_missing_data} is no way to treat missing data")
    if (alarm.datapoints_to_alarm or 1) > alarm.evaluation_periods:
        raise ValidationError("DatapointsToAlarm must be less than or equal to EvaluationPeriods")
    if alarm.metric_data_queries:
        _check_queries(alarm)
    elif bool(alarm.statistic) == bool(alarm.extended_statistic):
        raise InvalidParameterCombination("Exactly one of Statistic and ExtendedStatistic is required with MetricName")
    else:
        _demand(alarm.statistic or str(alarm.extended_statistic))
    if not alarm.period and not alarm.metric_data_queries:
        raise ValidationError("Period is required with MetricName")
    period = _period(alarm)
    if period not in (10, 20, 30) and (period < MINUTE or period % MINUTE):
        raise ValidationError("Period must be 10, 20, 30 or a multiple of 60")


def _check_queries(alarm: Alarm) -> None:
    if alarm.metric_name or alarm.statistic or alarm.extended_statistic or alarm.period:
        raise InvalidParameterCombination("Metrics excludes MetricName, Statistic, ExtendedStatistic and Period")
    queries = alarm.metric_data_queries
    for query in queries:
        if (query.expression is None) == (query.metric_stat is None):
            raise ValidationError(f"Exactly one of MetricStat and Expression is required in the query {query.id}")
        if query.metric_stat:
            _demand(query.metric_stat.stat)
    periods = {query.id: int(query.metric_stat.period) for query in queries if query.metric_stat}
    if len(set(periods.values())) != 1:
        raise ValidationError("An alarm needs metrics, and all of one period")
    alarm.plan = _plan(periods, {query.id: query.expression for query in queries if query.expression})
    if len([query for query in queries if _returned(query)]) != 1:
        raise ValidationError("Exactly one of the metrics must have ReturnData set to true")
    if (kind := alarm.plan.kinds[_watched(alarm)]) is not Kind.SERIES:
        raise ValidationError(f"An alarm watches a time series, and {_watched(alarm)} is {kind}")


_NOT_OF_COMPOSITES = (
    "namespace",
    "metric_name",
    "comparison_operator",
    "evaluation_periods",
    "period",
    "threshold",
    "statistic",
)


def _plan(periods: dict[str, int], expressions: dict[str, str]) -> Plan:
    try:
        return Plan(periods, expressions)
    except MathError as error:
        raise ValidationError(f"Error in expression: {error}") from None


def _demand(statistic: str) -> None:
    if not series.supported(statistic):
        raise ValidationError(f"The statistic {statistic} is not supported here")


def _returned(query: models.MetricDataQuery) -> bool:
    """Return whether the alarm watches this one; moto's text is a bool, and None means True."""
    return str(query.return_data).lower() != "false"


def _watched(alarm: Alarm) -> str:
    return next(query.id for query in alarm.metric_data_queries if _returned(query))


def _period(alarm: Alarm) -> int:
    stats = (query.metric_stat for query in alarm.metric_data_queries)
    return next((int(stat.period) for stat in stats if stat), None) or int(alarm.period)


def _rule(alarm: Alarm) -> Rule:
    return Rule(
        comparison=alarm.comparison_operator,
        threshold=float(alarm.threshold),
        periods=alarm.evaluation_periods,
        datapoints=alarm.datapoints_to_alarm or alarm.evaluation_periods,
        missing=alarm.treat_missing_data or "missing",  # type: ignore[arg-type]
    )


def _key(namespace: str, name: str, pairs: Iterable[tuple[str, str]]) -> series.Key:
    return namespace, name, frozenset(pairs)


def _metric_key(of: Alarm | models.Metric) -> series.Key:
    return _key(of.namespace, of.metric_name, [(str(one.name), str(one.value)) for one in of.dimensions])


def _one(value: Value) -> Series:
    """Return a result as one series; of an array the first, of a scalar nothing."""
    if isinstance(value, list):
        return value[0] if value else {}
    return value if isinstance(value, dict) else {}


def _seconds(moment: datetime) -> float:
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _point(datum: dict[str, Any], at: float) -> series.Point:
    unit = datum.get("Unit")
    if given := datum.get("StatisticValues"):
        count, total, low, high = (float(given[key]) for key in ("SampleCount", "Sum", "Minimum", "Maximum"))
        return series.Point(at, count, total, low, high, unit=unit)
    samples: Counter[float] = Counter()
    if values := datum.get("Values"):
        for value, count in zip(values, datum.get("Counts") or [1] * len(values), strict=True):
            samples[float(value)] += float(count)  # type: ignore[assignment]
    else:
        samples[float(datum.get("Value", 0))] = 1
    return series.point(at, samples, unit)


class Responses(responses.CloudWatchResponse):
    """The calls that moto's do not have, or answer otherwise than CloudWatch."""

    @property
    def _backend(self) -> CloudWatch:
        backend = self.cloudwatch_backend
        assert isinstance(backend, CloudWatch)
        return backend

    def put_metric_alarm(self) -> ActionResult:
        for name in ("EvaluationWindow", "EvaluationCriteria", "EvaluationInterval", "WarmUpConfiguration"):
            if self._get_param(name) is not None:
                raise ValidationError(f"{name} is not supported here")
        return super().put_metric_alarm()

    def put_dashboard(self) -> ActionResult:
        if found := dashboards.problems(self._get_param("DashboardBody")):
            raise DashboardInvalidInputError(f"The dashboard body is invalid: {'; '.join(found)}")
        return super().put_dashboard()

    def put_composite_alarm(self) -> ActionResult:
        self._backend.put_composite_alarm(
            self._get_param("AlarmName"),
            self._get_param("AlarmRule"),
            {
                "actions_suppressor": self._get_param("ActionsSuppressor"),
                "actions_suppressor_wait_period": self._get_int_param("ActionsSuppressorWaitPeriod"),
                "actions_suppressor_extension_period": self._get_int_param("ActionsSuppressorExtensionPeriod"),
            },
            description=self._get_param("AlarmDescription"),
            actions_enabled=self._get_bool_param("ActionsEnabled"),
            alarm_actions=self._get_param("AlarmActions", []),
            ok_actions=self._get_param("OKActions", []),
            insufficient_data_actions=self._get_param("InsufficientDataActions", []),
            tags=self._get_param("Tags", []),
        )
        return EmptyResult()

    def describe_alarms(self) -> ActionResult:
        """Return metric alarms only, unless AlarmTypes says otherwise; a page of MaxRecords (50) after NextToken."""
        prefix, names = self._get_param("AlarmNamePrefix"), self._get_param("AlarmNames", [])
        state, action = self._get_param("StateValue"), self._get_param("ActionPrefix")
        kinds = self._get_param("AlarmTypes") or ["MetricAlarm"]
        parent, child = self._get_param("ChildrenOfAlarmName"), self._get_param("ParentsOfAlarmName")
        for one in filter(None, (parent, child)):
            if one not in self._backend.alarms:
                raise ResourceNotFound(f"The alarm {one} does not exist")
        if parent:
            composite = self._backend.alarms[parent].composite
            names, kinds = (list(composite.children) if composite else []), ["MetricAlarm", "CompositeAlarm"]
        if child:
            kinds = ["CompositeAlarm"]
        found = [
            alarm
            for alarm in list(self._backend.alarms.values())
            if (alarm.name in names or not (names or parent))
            and (not prefix or alarm.name.startswith(prefix))
            and (not state or alarm.state_value == state)
            and (not action or any(arn.startswith(action) for arn in alarm.alarm_actions))
            and (not child or (alarm.composite and child in alarm.composite.children))
            and ("MetricAlarm" if alarm.rule is None else "CompositeAlarm") in kinds
        ]
        size, token = self._get_int_param("MaxRecords", _PAGE), self._get_param("NextToken") or "0"
        if not 1 <= size <= _LONGEST_PAGE:
            raise ValidationError(f"MaxRecords is 1 to {_LONGEST_PAGE}, not {size}")
        if not token.isdecimal():
            raise InvalidNextToken(f"{token!r} is no token of DescribeAlarms")
        page = found[int(token) :][:size]
        after = int(token) + size
        return ActionResult(
            {
                "MetricAlarms": [alarm for alarm in page if alarm.rule is None],
                "CompositeAlarms": [alarm for alarm in page if alarm.rule is not None],
                "NextToken": str(after) if after < len(found) else None,
            }
        )

    def describe_alarm_history(self) -> ActionResult:
        name, kind = self._get_param("AlarmName"), self._get_param("HistoryItemType")
        start, end = self._get_param("StartDate"), self._get_param("EndDate")
        items = [
            item
            for alarm in list(self._backend.alarms.values())
            if name in (None, alarm.name)
            for item in alarm.history
            if kind in (None, item["HistoryItemType"])
            and (start is None or _seconds(item["Timestamp"]) >= _seconds(start))
            and (end is None or _seconds(item["Timestamp"]) <= _seconds(end))
        ]
        items.sort(key=lambda item: item["Timestamp"], reverse=self._get_param("ScanBy") != "TimestampAscending")
        return ActionResult({"AlarmHistoryItems": items[: self._get_int_param("MaxRecords", 100)]})

    def get_metric_statistics(self) -> ActionResult:
        stats = [*self._get_param("Statistics", []), *self._get_param("ExtendedStatistics", [])]
        if not stats:
            raise InvalidParameterCombination("Must specify either Statistics or ExtendedStatistics")
        name = self._get_param("MetricName")
        points = self._backend.get_metric_statistics(
            self._get_param("Namespace"),
            name,
            self._get_param("StartTime"),
            self._get_param("EndTime"),
            int(self._get_param("Period")),
            stats,
            self._get_param("Dimensions", []),
            self._get_param("Unit"),
        )
        return ActionResult({"Label": name, "Datapoints": points})


def fill() -> None:
    """Put these in moto's place; before its first request."""
    models.Alarm = Alarm  # type: ignore[misc]
    cloudwatch_backends.backend = CloudWatch
    urls.url_paths = dict.fromkeys(urls.url_paths, Responses.dispatch)


def run(backend: CloudWatch, put: Callable[[float], None], seconds: float, stopped: threading.Event) -> None:
    """Put the metrics of each minute and evaluate the alarms until it is stopped; the body of a daemon thread.

    Args:
        backend: whose alarms.
        put: puts the metrics of the minute that began at that moment of the clock.
        seconds: between two evaluations, at the clock's ordinary speed.
        stopped: ends it, at the latest after those seconds.

    """
    clock = backend.clock
    minute = clock.now() // MINUTE
    while True:
        clock.wait(min(clock.until((minute + 1) * MINUTE), max(_SHORTEST, seconds / clock.scale)))
        if stopped.is_set():
            return
        try:
            if (current := clock.now() // MINUTE) > minute:
                minute = current
                put((current - 1) * MINUTE)
            backend.evaluate()
        except Exception:
            _LOG.exception("the alarms could not be evaluated")
