"""CloudWatch alarms."""
# ruff: noqa: A002, ANN401, ARG002 - the contract fixes names and arguments; boto3's clients are untyped here

from typing import Any, ClassVar, Final

from sandbox.providers.aws.base import NAME, TAGS, AwsResource, tag_list, tag_map
from sandbox.providers.aws.schema import PAIRS, Arg, Schema, from_api, to_api
from sandbox.providers.plugin import UNKNOWN, CheckFailure, Properties

COMPARISONS: Final = (
    "GreaterThanOrEqualToThreshold",
    "GreaterThanThreshold",
    "LessThanThreshold",
    "LessThanOrEqualToThreshold",
    "LessThanLowerOrGreaterThanUpperThreshold",
    "LessThanLowerThreshold",
    "GreaterThanUpperThreshold",
)
_PERCENTILE: Final = r"(p\d{1,2}(\.\d+)?|p100|(IQM|TM|WM|PR|TC|TS|tm|wm|pr|tc|ts)[^ ]*)"

METRIC: Final[Schema] = {
    "dimensions": Arg(type=PAIRS),
    "metricName": Arg(required=True, low=1, high=255),
    "namespace": Arg(low=1, high=255, pattern="[^:].*"),
    "period": Arg(type=int, required=True),
    "stat": Arg(required=True),
    "unit": Arg(),
}
QUERY: Final[Schema] = {
    "accountId": Arg(low=1, high=255),
    "expression": Arg(low=1, high=1024),
    "id": Arg(required=True, low=1, high=255, pattern="[a-z][a-zA-Z0-9_]*"),
    "label": Arg(),
    "metric": Arg(fields=METRIC),
    "period": Arg(type=int),
    "returnData": Arg(type=bool, default=False),
}
_OF_METRIC: Final[Schema] = {key: METRIC[key] for key in ("namespace", "metricName", "dimensions")}
_OF_STATISTIC: Final[Schema] = {key: METRIC[key] for key in ("period", "stat", "unit")}
_OF_QUERY: Final[Schema] = {key: arg for key, arg in QUERY.items() if key != "metric"}
_ACTIONS: Final = Arg(many=True)


def api_query(query: Properties) -> dict[str, Any]:
    """The API puts the metric and its statistic in two layers where the program has one block."""
    request = to_api(_OF_QUERY, query)
    if metric := query.get("metric"):
        request["MetricStat"] = {"Metric": to_api(_OF_METRIC, metric), **to_api(_OF_STATISTIC, metric)}
    return request


def live_query(answer: dict[str, Any]) -> Properties:
    query = from_api(_OF_QUERY, answer)
    if statistic := answer.get("MetricStat"):
        query["metric"] = from_api(_OF_METRIC, statistic["Metric"]) | from_api(_OF_STATISTIC, statistic)
    return query


class Alarm(AwsResource):
    """A metric or a composite alarm; the ID is the name."""

    service = "cloudwatch"
    gone = ("ResourceNotFound", "ResourceNotFoundException")
    tagged = "ResourceARN"
    kind: ClassVar[str]

    def found(self, api: Any, id: str) -> dict[str, Any] | None:
        answer = api.describe_alarms(AlarmNames=[id], AlarmTypes=[self.kind])
        return next(iter(answer.get(f"{self.kind}s") or []), None)

    def tags(self, api: Any, arn: str) -> dict[str, str]:
        return tag_map(api.list_tags_for_resource(ResourceARN=arn)["Tags"])

    def remove(self, api: Any, id: str, state: Properties, timeout: float) -> None:
        api.delete_alarms(AlarmNames=[id])


class MetricAlarm(Alarm):
    """``aws:cloudwatch/metricAlarm:MetricAlarm``."""

    kind = "MetricAlarm"
    schema = {
        "actionsEnabled": Arg(type=bool, default=True),
        "alarmActions": _ACTIONS,
        "alarmDescription": Arg(high=1024),
        "comparisonOperator": Arg(choices=COMPARISONS),
        "datapointsToAlarm": Arg(type=int, low=1),
        "dimensions": Arg(type=PAIRS),
        "evaluateLowSampleCountPercentiles": Arg(
            computed=True, choices=("evaluate", "ignore"), api="EvaluateLowSampleCountPercentile"
        ),
        "evaluationCriteria": Arg(
            fields={
                "promqlCriteria": Arg(
                    required=True,
                    api="PromQLCriteria",
                    fields={
                        "pendingPeriod": Arg(type=int, low=0),
                        "query": Arg(required=True),
                        "recoveryPeriod": Arg(type=int, low=0),
                    },
                )
            }
        ),
        "evaluationInterval": Arg(type=int, low=10, high=3600),
        "evaluationPeriods": Arg(type=int, low=1),
        "extendedStatistic": Arg(pattern=_PERCENTILE),
        "insufficientDataActions": _ACTIONS,
        "metricName": Arg(low=1, high=255),
        "metricQueries": Arg(many=True, key="id", fields=QUERY),
        "name": NAME,
        "namespace": Arg(low=1, high=255, pattern="[^:].*"),
        "okActions": Arg(many=True, api="OKActions"),
        "period": Arg(type=int, low=10),
        "statistic": Arg(choices=("SampleCount", "Average", "Sum", "Minimum", "Maximum")),
        "tags": TAGS,
        "threshold": Arg(type=float),
        "thresholdMetricId": Arg(low=1, high=255),
        "treatMissingData": Arg(default="missing", choices=("breaching", "notBreaching", "ignore", "missing")),
        "unit": Arg(),
    }

    def validate(self, inputs: Properties) -> None:
        if "metricName" in inputs and "metricQueries" in inputs:
            raise CheckFailure("metricQueries", "conflicts with metricName")
        if "metricName" in inputs and ("statistic" in inputs) == ("extendedStatistic" in inputs):
            raise CheckFailure("statistic", "exactly one of statistic and extendedStatistic is wanted with metricName")
        if not any(key in inputs for key in ("metricName", "metricQueries", "evaluationCriteria")):
            raise CheckFailure("metricName", "one of metricName, metricQueries and evaluationCriteria is wanted")
        if "evaluationCriteria" not in inputs:
            for needed in ("comparisonOperator", "evaluationPeriods"):
                if needed not in inputs:
                    raise CheckFailure(needed, "missing required argument")
        if inputs.get("metricQueries") is not UNKNOWN:
            self._validate_queries(inputs.get("metricQueries") or [])

    @staticmethod
    def _validate_queries(queries: list[Any]) -> None:
        for index, query in enumerate(queries):
            if isinstance(query, dict) and ("expression" in query) == ("metric" in query):
                raise CheckFailure(f"metricQueries[{index}]", "exactly one of expression and metric is wanted")

    def _put(self, api: Any, inputs: Properties) -> None:
        request = to_api({key: arg for key, arg in self.schema.items() if key not in ("metricQueries", "tags")}, inputs)
        request["AlarmName"] = request.pop("Name")
        if inputs.get("metricQueries"):
            request["Metrics"] = [api_query(query) for query in inputs["metricQueries"]]
        if "thresholdMetricId" in inputs:
            request.pop("Threshold", None)
        elif "evaluationCriteria" not in inputs:
            request.setdefault("Threshold", 0.0)  # as the official provider, whose threshold is a plain number
        if inputs.get("tagsAll"):
            request["Tags"] = tag_list(inputs["tagsAll"])  # heeded for a new alarm only
        api.put_metric_alarm(**request)

    def make(self, api: Any, inputs: Properties, timeout: float) -> str:
        self._put(api, inputs)
        return str(inputs["name"])

    def describe(self, api: Any, id: str, inputs: Properties) -> Properties | None:
        alarm = self.found(api, id)
        if alarm is None:
            return None
        live = from_api({key: arg for key, arg in self.schema.items() if key not in ("metricQueries", "tags")}, alarm)
        queries = [live_query(query) for query in alarm.get("Metrics") or []]
        arn = alarm["AlarmArn"]
        return {
            **live,
            "name": alarm["AlarmName"],
            "metricQueries": queries or None,
            "alarmDescription": alarm.get("AlarmDescription") or None,
            "treatMissingData": alarm.get("TreatMissingData") or "missing",
            "arn": arn,
            "tagsAll": self.tags(api, arn),
        }

    def change(self, api: Any, id: str, old: Properties, new: Properties) -> None:
        self._put(api, {**new, "name": id, "tagsAll": None})


class CompositeAlarm(Alarm):
    """``aws:cloudwatch/compositeAlarm:CompositeAlarm``; the program always names it."""

    kind = "CompositeAlarm"
    schema = {
        "actionsEnabled": Arg(type=bool, default=True, replace=True),
        "actionsSuppressor": Arg(
            fields={
                "alarm": Arg(required=True, api="ActionsSuppressor"),
                "extensionPeriod": Arg(type=int, required=True, api="ActionsSuppressorExtensionPeriod"),
                "waitPeriod": Arg(type=int, required=True, api="ActionsSuppressorWaitPeriod"),
            }
        ),
        "alarmActions": _ACTIONS,
        "alarmDescription": Arg(high=1024),
        "alarmName": Arg(required=True, replace=True, low=1, high=255),
        "alarmRule": Arg(required=True, low=1, high=10240),
        "insufficientDataActions": _ACTIONS,
        "okActions": Arg(many=True, api="OKActions"),
        "tags": TAGS,
    }
    _plain: ClassVar[Schema] = {key: arg for key, arg in schema.items() if key not in ("actionsSuppressor", "tags")}
    _suppressor: ClassVar[Schema] = schema["actionsSuppressor"].fields or {}

    def make(self, api: Any, inputs: Properties, timeout: float) -> str:
        request = to_api(self._plain, inputs) | to_api(self._suppressor, inputs.get("actionsSuppressor") or {})
        if inputs.get("tagsAll"):
            request["Tags"] = tag_list(inputs["tagsAll"])
        api.put_composite_alarm(**request)
        return str(inputs["alarmName"])

    def describe(self, api: Any, id: str, inputs: Properties) -> Properties | None:
        alarm = self.found(api, id)
        if alarm is None:
            return None
        return {
            **from_api(self._plain, alarm),
            "alarmDescription": alarm.get("AlarmDescription") or None,
            "actionsSuppressor": from_api(self._suppressor, alarm) or None,
            "arn": alarm["AlarmArn"],
            "tagsAll": self.tags(api, alarm["AlarmArn"]),
        }

    def change(self, api: Any, id: str, old: Properties, new: Properties) -> None:
        self.make(api, {**new, "tagsAll": None}, 0)
