"""EventBridge and Step Functions where moto only keeps what it is told: events start state machines, which run.

moto carries an interpreter of the Amazon States Language, which is off by default. What it does otherwise than AWS,
as far as the product's state machine meets it, is mended here.
"""

import json
import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import boto3
from botocore.client import BaseClient
from botocore.config import Config
from botocore.response import StreamingBody
from moto.cloudwatch.models import cloudwatch_backends
from moto.core.config import default_user_config
from moto.core.responses import ActionResult
from moto.events.models import events_backends
from moto.moto_api._internal import mock_random
from moto.stepfunctions.parser.api import InvalidDefinition
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import state_task_service_aws_sdk as sdk
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service import StateTaskService
from moto.stepfunctions.parser.asl.utils import json_path
from moto.stepfunctions.parser.models import StepFunctionsParserBackend, stepfunctions_parser_backends
from moto.stepfunctions.responses import StepFunctionResponse

_LOG = logging.getLogger(__name__)

_FAILED: Final = {"FAILED": "ExecutionsFailed", "TIMED_OUT": "ExecutionsTimedOut"}
_PAUSE: Final = 0.05
"""Seconds between two looks at whether an execution has ended."""


class Calls:
    """Where the tasks of state machines call AWS: at the server's own address, hence through its locks."""

    endpoint: str | None = None
    """Set by the server; None inside moto's own decorator, which catches the calls."""

    @classmethod
    def client(cls, region: str, service: str, state_credentials: object = None) -> BaseClient:  # noqa: ARG003
        made: BaseClient = boto3.client(
            service,  # type: ignore[call-overload]
            region_name=region,
            endpoint_url=cls.endpoint,
            aws_access_key_id="state-machine",
            aws_secret_access_key="unused",
            # Repeating is what a definition says.
            config=Config(parameter_validation=False, retries={"total_max_attempts": 1}),
        )
        return made


HEARD: Final[list[Callable[[str, dict[str, Any]], None]]] = []
"""What else hears of every event, with its account: services that ask for alarms on AWS."""


def deliver(account: str, event: Any) -> None:  # noqa: ANN401
    """Hand an event to the targets of the rules of the default bus that it matches; nothing waits for what they do."""
    for hear in HEARD:
        hear(account, event)
    for rule in list(events_backends[account][event["region"]].event_buses["default"].rules.values()):
        if rule.state != "ENABLED" or rule.scheduled_expression or not rule.event_pattern.matches_event(event):
            continue
        for target in rule.targets:
            if target["Arn"].split(":")[2] == "states":
                arguments = (account, rule.name, target["Arn"], event)
                threading.Thread(target=_execute, args=arguments, daemon=True).start()
            else:
                _LOG.warning("%s: only state machines are targets of events here, not %s", rule.name, target["Arn"])


def _execute(account: str, rule: str, machine: str, event: dict[str, Any]) -> None:
    region = machine.split(":")[3]
    try:
        backend = stepfunctions_parser_backends[account][region]
        execution = backend.start_execution(machine, str(mock_random.uuid4()), json.dumps(event))
    except Exception:
        _LOG.exception("%s could not be started", machine)
        _count(account, region, "AWS/Events", "FailedInvocations", {"RuleName": rule})
        return
    while execution.status == "RUNNING":
        time.sleep(_PAUSE)
    if failed := _FAILED.get(execution.status):
        _LOG.warning("%s: %s %s", execution.execution_arn, execution.error, execution.cause)
        _count(account, region, "AWS/States", failed, {"StateMachineArn": machine})


def _count(account: str, region: str, namespace: str, name: str, dimensions: dict[str, str]) -> None:
    listed = [{"Name": key, "Value": value} for key, value in dimensions.items()]
    cloudwatch_backends[account][region].put_metric_data(
        namespace, [{"MetricName": name, "Dimensions": listed, "Value": 1}]
    )


class StepFunctions(StepFunctionsParserBackend):
    """Gives an execution without a name one, which moto calls None, and the second of them a duplicate."""

    __module__ = StepFunctionsParserBackend.__module__

    def start_execution(
        self,
        state_machine_arn: str,
        name: str | None = None,
        execution_input: Any = None,  # noqa: ANN401
        trace_header: Any = None,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        return super().start_execution(
            state_machine_arn, name or str(mock_random.uuid4()), execution_input, trace_header
        )


def _validate(self: StepFunctionResponse) -> ActionResult:
    """ValidateStateMachineDefinition, which the provider asks in every preview of a change."""
    try:
        StepFunctions._validate_definition(self._get_param("definition"))  # noqa: SLF001
    except InvalidDefinition as error:
        wrong = {"severity": "ERROR", "code": "INVALID_JSON_DESCRIPTION", "message": str(error)}
        return ActionResult({"result": "FAIL", "diagnostics": [wrong], "truncated": False})
    return ActionResult({"result": "OK", "diagnostics": [], "truncated": False})


def _list_versions(self: StepFunctionResponse) -> ActionResult:
    machine = self.stepfunction_backend.describe_state_machine(self._get_param("stateMachineArn"))
    versions = sorted(machine.versions.values(), key=lambda version: version.version, reverse=True)
    return ActionResult(
        {
            "stateMachineVersions": [
                {"stateMachineVersionArn": version.arn, "creationDate": version.creation_date} for version in versions
            ]
        }
    )


_eval = sdk.StateTaskServiceAwsSdk._eval_service_task  # noqa: SLF001
_slice_or_wildcard = json_path._contains_slice_or_wildcard_array  # noqa: SLF001


def _body_as_text(self: sdk.StateTaskServiceAwsSdk, env: Any, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
    _eval(self, env, *args, **kwargs)
    result = env.stack[-1]
    if isinstance(result, dict) and isinstance(result.get("Body"), StreamingBody):
        result["Body"] = result["Body"].read().decode()


def _may_be_empty(path: str) -> bool:
    """Make a filter that finds nothing return an empty list, as a wildcard does; moto fails."""
    return "[?" in path or _slice_or_wildcard(path)


def fill() -> None:
    """Put these in moto's place."""
    default_user_config["stepfunctions"] = {"execute_state_machine": True}
    stepfunctions_parser_backends.backend = StepFunctions
    StepFunctionResponse.validate_state_machine_definition = _validate  # type: ignore[attr-defined]
    StepFunctionResponse.list_state_machine_versions = _list_versions  # type: ignore[attr-defined]
    StateTaskService._SERVICE_NAME_SFN_TO_BOTO_OVERRIDES["elasticloadbalancingv2"] = "elbv2"  # noqa: SLF001
    sdk.StateTaskServiceAwsSdk._eval_service_task = _body_as_text  # type: ignore[method-assign]  # noqa: SLF001
    sdk.boto_client_for = Calls.client  # type: ignore[attr-defined]
    json_path._contains_slice_or_wildcard_array = _may_be_empty  # noqa: SLF001
