"""Asks what the gate would say now of weights that an update changes. Nothing is changed, and the update asks again."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from components.context.balancer import healthy
from components.model import Color, color_alarms, namespace
from components.traffic.decision import ColorAlarms, kept_experiment, traffic_gate
from hueshift.preview.impact import Move
from hueshift.release.signals import described
from hueshift.report import explained
from hueshift.traffic.live import FAST

if TYPE_CHECKING:
    import boto3

    from hueshift.stack import Stack


def would_say(move: Move, stack: "Stack", session: "boto3.Session") -> str:
    """Return what the gate says of a move, by what the load balancer and the alarms say, or why it was not asked."""
    spec = stack.settings.services[move.service]
    environment, region = stack.settings.environment, move.rule.split(":")[3]
    try:
        elb = session.client("elbv2", region_name=region, config=FAST)
        counts = {color: healthy(elb, arn) for color, arn in move.groups.items()}
        alarms = _alarms(session, region, environment, move) if len(move.new) > 1 and move.live != move.new else {}
    except (BotoCoreError, ClientError) as error:
        return f"not asked: {explained(error)}"
    refusals = traffic_gate(
        service=move.service,
        namespace=namespace(environment, move.service),
        old=move.old,
        new=move.new,
        live=move.live,
        healthy=counts,
        minimum=spec.replicas.min,
        environment=environment,
        alarms=alarms,
        experiment=kept_experiment(*move.inputs),
    )
    return f"would refuse this now: {'; '.join(refusals)}" if refusals else "would let this pass now"


def _alarms(session: "boto3.Session", region: str, environment: str, move: Move) -> Mapping[Color, ColorAlarms]:
    names = {color: color_alarms(environment, move.service, color) for color in move.new}
    cloudwatch = session.client("cloudwatch", region_name=region, config=FAST)
    found = described(cloudwatch, [name for pair in names.values() for name in pair])
    states = {alarm["AlarmName"]: alarm["StateValue"] for alarm in found}
    return {color: ColorAlarms(*(states.get(name) for name in pair)) for color, pair in names.items()}
