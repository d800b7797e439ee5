"""CloudWatch in the protocol that newer AWS SDKs speak, Smithy RPC v2 with CBOR: what is on the wire, and its sense."""

import json
import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import botocore.session
import pytest
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from moto import mock_aws
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.test import Client, TestResponse

from sandbox.aws import cbor, gaps

pytestmark = pytest.mark.slow  # the local cloud's own parts: `make test` runs them

gaps.fill()
MODEL = botocore.session.Session().get_service_model("cloudwatch")
ARN = "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:"
HEADERS = {
    "smithy-protocol": "rpc-v2-cbor",
    "Accept": "application/cbor",
    "Content-Type": "application/cbor",
    "X-Amzn-Query-Mode": "true",
    "Authorization": "AWS4-HMAC-SHA256 Credential=testing/20260101/eu-west-1/monitoring/aws4_request, "
    "SignedHeaders=host, Signature=0",
}
ALARM: dict[str, Any] = {
    "Namespace": "tests",
    "MetricName": "m",
    "Statistic": "Sum",
    "Period": 60,
    "EvaluationPeriods": 3,
    "ComparisonOperator": "GreaterThanThreshold",
    "Threshold": 5.0,
}


class CloudWatch:
    """Asks as an SDK of that protocol does."""

    def __init__(self) -> None:
        self.client = Client(cbor.Translation(DomainDispatcherApplication(create_backend_app)))

    def post(self, operation: str, body: bytes) -> TestResponse:
        path = f"/service/GraniteServiceVersion20100801/operation/{operation}"
        return self.client.post(path, data=body, headers=HEADERS)

    def ask(self, operation: str, **parameters: object) -> TestResponse:
        request = create_serializer("smithy-rpc-v2-cbor").serialize_to_request(
            parameters, MODEL.operation_model(operation)
        )
        assert request["url_path"] == f"/service/GraniteServiceVersion20100801/operation/{operation}"
        answer = self.post(operation, request["body"])
        assert answer.headers["smithy-protocol"] == "rpc-v2-cbor"
        return answer

    def get(self, operation: str, **parameters: object) -> dict[str, Any]:
        answer = self.ask(operation, **parameters)
        assert answer.status_code == 200, answer.data
        return parse(operation, answer)

    def put(self, name: str, **more: object) -> None:
        """Put a metric alarm; the answer of an operation without output has no body and no type of it."""
        answer = self.ask("PutMetricAlarm", **{**ALARM, "AlarmName": name, **more})
        assert (answer.status_code, answer.data) == (200, b""), answer.data
        assert "Content-Type" not in answer.headers


def parse(operation: str, answer: TestResponse) -> dict[str, Any]:
    response = {
        "status_code": answer.status_code,
        "headers": {name.lower(): value for name, value in answer.headers.items()},
        "body": answer.data,
    }
    shape: Any = MODEL.operation_model(operation).output_shape
    parsed: dict[str, Any] = create_parser("smithy-rpc-v2-cbor").parse(response, shape)
    return parsed


@pytest.fixture
def cloudwatch(monkeypatch: pytest.MonkeyPatch) -> Iterator[CloudWatch]:
    monkeypatch.setenv("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")  # a second for each test
    with mock_aws():
        yield CloudWatch()


def text(value: str) -> bytes:
    """Return a short text as CBOR writes it."""
    return bytes([0x60 + len(value)]) + value.encode()


def test_a_metric_alarm_comes_back_as_it_was_put_with_floats_numbers_and_absent_members(
    cloudwatch: CloudWatch,
) -> None:
    metric = {"Namespace": "tests", "MetricName": "m", "Dimensions": [{"Name": "d", "Value": "v"}]}
    queries = [
        {"Id": "m", "MetricStat": {"Metric": metric, "Period": 300, "Stat": "p95"}, "ReturnData": False},
        {"Id": "e", "Expression": "m * 2", "Label": "twice", "ReturnData": True},
    ]
    given = {
        "AlarmName": "shop",
        "AlarmDescription": "zu viele Fehler für 5 min",
        "ActionsEnabled": False,
        "AlarmActions": ["arn:aws:sns:eu-west-1:123456789012:a"],
        "EvaluationPeriods": 3,
        "DatapointsToAlarm": 2,
        "Threshold": 45_000.0,
        "ComparisonOperator": "LessThanThreshold",
        "TreatMissingData": "notBreaching",
        "Metrics": queries,
    }
    assert cloudwatch.ask("PutMetricAlarm", **given).status_code == 200
    answer = cloudwatch.ask("DescribeAlarms", AlarmNames=["shop"])
    assert answer.headers["Content-Type"] == "application/cbor"
    (alarm,) = parse("DescribeAlarms", answer)["MetricAlarms"]
    assert {key: alarm[key] for key in given} == given
    assert alarm["OKActions"] == alarm["InsufficientDataActions"] == []
    assert not {"MetricName", "Statistic", "Period", "Unit", "ThresholdMetricId"} & alarm.keys()
    assert text("Threshold") + b"\xfb" + struct.pack(">d", 45_000) in answer.data
    assert text("EvaluationPeriods") + b"\x03" in answer.data
    assert text("Period") + b"\x19" + struct.pack(">H", 300) in answer.data
    assert text("ReturnData") + b"\xf4" in answer.data


def test_timestamps_are_tagged_seconds_and_are_taken_as_such(cloudwatch: CloudWatch) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    cloudwatch.put("shop")
    answer = cloudwatch.ask("DescribeAlarms")
    (alarm,) = parse("DescribeAlarms", answer)["MetricAlarms"]
    for name in ("AlarmConfigurationUpdatedTimestamp", "StateUpdatedTimestamp", "StateTransitionedTimestamp"):
        assert before < alarm[name] < before + timedelta(minutes=1)
        tail = answer.data.split(name.encode())[1]
        assert tail[0] == 0xC1
        assert tail[1] in (0x1A, 0xFB), "whole seconds, or a float of 8 bytes"
    now = datetime.now(UTC)
    cloudwatch.get("PutMetricData", Namespace="tests", MetricData=[{"MetricName": "t", "Value": 2.5, "Timestamp": now}])
    span = {"StartTime": now - timedelta(minutes=2), "EndTime": now + timedelta(minutes=2), "Period": 60}
    (point,) = cloudwatch.get(
        "GetMetricStatistics", Namespace="tests", MetricName="t", Statistics=["Sum", "SampleCount"], **span
    )["Datapoints"]
    assert (point["Sum"], point["SampleCount"]) == (2.5, 1)
    assert abs(point["Timestamp"] - now) < timedelta(minutes=1, seconds=1)


def test_a_dashboard_is_kept_as_it_was_put_and_a_wrong_one_refused(cloudwatch: CloudWatch) -> None:
    widget = {
        "type": "metric",
        "x": 0,
        "y": 0,
        "width": 6,
        "height": 6,
        "properties": {
            "region": "eu-west-1",
            "metrics": [["tests", "m", {"id": "m"}], [{"expression": "m * 2", "id": "n"}]],
        },
    }
    body = json.dumps({"widgets": [widget]})
    assert cloudwatch.get("PutDashboard", DashboardName="shop", DashboardBody=body)["DashboardValidationMessages"] == []
    assert cloudwatch.get("GetDashboard", DashboardName="shop")["DashboardBody"] == body
    for place, value, reason in (
        ("width", 25, "width is 25"),
        ("type", "pie", "the type pie is not supported here"),
        ("properties", {"metrics": [["tests", "m"]]}, "region is required"),
        ("properties", {"region": "eu-west-1", "metrics": [["tests", "m", "d"]]}, "pairs of dimensions"),
        ("properties", {"region": "eu-west-1", "metrics": [[{"expression": "m * 2", "id": "n"}]]}, "has the id 'm'"),
    ):
        wrong = json.dumps({"widgets": [{**widget, place: value}]})
        answer = cloudwatch.ask("PutDashboard", DashboardName="shop", DashboardBody=wrong)
        assert answer.status_code == 400
        assert reason in str(answer.data)
    cloudwatch.ask("DeleteDashboards", DashboardNames=["shop"])
    assert cloudwatch.ask("GetDashboard", DashboardName="shop").status_code == 404


def test_alarms_come_in_pages(cloudwatch: CloudWatch) -> None:
    names = [f"shop-{number:02}" for number in range(53)]
    for name in names:
        cloudwatch.put(name)
    first = cloudwatch.get("DescribeAlarms")
    second = cloudwatch.get("DescribeAlarms", NextToken=first["NextToken"])
    assert [one["AlarmName"] for one in first["MetricAlarms"]] == names[:50]
    assert [one["AlarmName"] for one in second["MetricAlarms"]] == names[50:]
    assert "NextToken" not in second
    seen: list[int] = []
    more: dict[str, str] = {}
    while True:
        page = cloudwatch.get("DescribeAlarms", MaxRecords=20, **more)
        seen.append(len(page["MetricAlarms"]))
        if "NextToken" not in page:
            break
        more = {"NextToken": page["NextToken"]}
    assert seen == [20, 20, 13]
    refused = cloudwatch.ask("DescribeAlarms", NextToken="made up")
    assert parse("DescribeAlarms", refused)["Error"]["Code"] == "InvalidNextToken"
    assert cloudwatch.ask("DescribeAlarms", MaxRecords=101).status_code == 400


def test_a_composite_alarm_is_put_described_and_deleted(cloudwatch: CloudWatch) -> None:
    cloudwatch.put("child")
    given = {
        "AlarmName": "parent",
        "AlarmRule": 'ALARM("child")',
        "ActionsEnabled": True,
        "OKActions": ["arn:aws:sns:eu-west-1:123456789012:b"],
        "ActionsSuppressor": "child",
        "ActionsSuppressorWaitPeriod": 60,
        "ActionsSuppressorExtensionPeriod": 120,
    }
    cloudwatch.get("PutCompositeAlarm", **given)
    answer = cloudwatch.get("DescribeAlarms", AlarmNames=["parent"], AlarmTypes=["CompositeAlarm"])
    (alarm,) = answer["CompositeAlarms"]
    assert {key: alarm[key] for key in given} == given
    assert answer["MetricAlarms"] == []
    for name in ("parent", "child"):
        cloudwatch.get("DeleteAlarms", AlarmNames=[name])
    left = cloudwatch.get("DescribeAlarms", AlarmTypes=["CompositeAlarm", "MetricAlarm"])
    assert left["MetricAlarms"] == left["CompositeAlarms"] == []


def test_tags_are_put_listed_and_taken_away(cloudwatch: CloudWatch) -> None:
    cloudwatch.put("shop", Tags=[{"Key": "severity", "Value": "critical"}])
    cloudwatch.get("TagResource", ResourceARN=f"{ARN}shop", Tags=[{"Key": "owner", "Value": "team-shop"}])
    tags = cloudwatch.get("ListTagsForResource", ResourceARN=f"{ARN}shop")["Tags"]
    assert tags == [{"Key": "severity", "Value": "critical"}, {"Key": "owner", "Value": "team-shop"}]
    cloudwatch.get("UntagResource", ResourceARN=f"{ARN}shop", TagKeys=["severity", "owner"])
    assert cloudwatch.get("ListTagsForResource", ResourceARN=f"{ARN}shop")["Tags"] == []


def test_an_error_has_its_type_its_message_and_the_code_of_the_query_protocol(cloudwatch: CloudWatch) -> None:
    refused = cloudwatch.ask("PutCompositeAlarm", AlarmName="parent", AlarmRule="ALARM(nowhere)")
    assert (refused.status_code, refused.headers["Content-Type"]) == (400, "application/cbor")
    assert refused.headers["x-amzn-query-error"] == "ValidationError;Sender"
    for member in ("__type", "message"):
        assert text(member) in refused.data
    assert b"#ValidationException" in refused.data
    error = parse("PutCompositeAlarm", refused)["Error"]
    assert error["Code"] == "ValidationError"
    assert "alarms [nowhere] in the alarm rule do not exist" in error["Message"]


def test_what_is_no_operation_or_no_cbor_is_refused_in_the_protocol(cloudwatch: CloudWatch) -> None:
    unknown = cloudwatch.post("MakeCoffee", b"\xa0")
    assert (unknown.status_code, unknown.headers["smithy-protocol"]) == (404, "rpc-v2-cbor")
    assert b"UnknownOperationException" in unknown.data
    for body, kind in (
        (b"\xff", b"SerializationException"),
        (b"\xa1", b"SerializationException"),
        (b'{"AlarmNames": []}', b"SerializationException"),
        (b"\x83\x01\x02\x03", b"ValidationException"),
        (b"\xa1" + text("AlarmNames") + b"\x05", b"ValidationException"),
        (b"\xa1" + text("NeverHeardOf") + b"\x05", b"ValidationException"),
    ):
        broken = cloudwatch.post("DescribeAlarms", body)
        assert (broken.status_code, broken.headers["smithy-protocol"]) == (400, "rpc-v2-cbor"), body
        assert kind in broken.data


def test_the_lists_and_maps_of_unknown_length_that_an_sdk_may_send_are_taken(cloudwatch: CloudWatch) -> None:
    for name in ("one", "two"):
        cloudwatch.put(name)
    body = b"\xbf" + text("AlarmNames") + b"\x9f" + text("two") + b"\xff\xff"
    (alarm,) = parse("DescribeAlarms", cloudwatch.post("DescribeAlarms", body))["MetricAlarms"]
    assert alarm["AlarmName"] == "two"


def test_a_request_in_another_protocol_is_passed_on_as_it_is(cloudwatch: CloudWatch) -> None:
    cloudwatch.put("shop")
    headers = {**HEADERS, "X-Amz-Target": "GraniteServiceVersion20100801.DescribeAlarms"}
    headers |= {"Content-Type": "application/x-amz-json-1.0", "Accept": "application/json"}
    del headers["smithy-protocol"]
    answer = cloudwatch.client.post("/", data=b"{}", headers=headers)
    assert [one["AlarmName"] for one in json.loads(answer.data)["MetricAlarms"]] == ["shop"]
    assert "smithy-protocol" not in answer.headers
