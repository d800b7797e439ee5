"""Arms the guard in AWS for a release, finds out what it did, and disarms it.

The guard (``components/traffic/guard.py``) sends traffic back when an alarm fires and nobody drives the release. It
does what an object of the releases bucket says, ``guard/<alarm>.json``. So whoever drives arms it before the first
request goes to the new color, and disarms it once the release is over, before the stack file names the new color.

Pure but for what takes a client; those raise ``ClientError`` and ``BotoCoreError``.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from components.model import Color, color_alarms, split
from hueshift.traffic.balancer import Rule


def alarms(environment: str, services: Iterable[str], new: Color) -> list[str]:
    """Return the names of the alarms that are to send a release's traffic back: two of each service's new color.

    The composite tells of all that people are called for; ``canary-errors``, which is not part of it, of 1 % of errors.
    """
    return [name for service in services for name in color_alarms(environment, service, new)]


def move(rule: Rule, old: Color) -> dict[str, Any]:
    """Return the way back of one service by its rule as it is now. Raises ``RefusedError`` as ``Rule.moved`` does."""
    return {"rule": rule.arn, "old": rule.group(old), "actions": rule.moved(split(old, 0))}


def order(moves: Sequence[Mapping[str, Any]], *, since: float, until: float) -> dict[str, Any]:
    """Return what the guard is to do when one of a release's alarms fires: all of the moves.

    ``since``, the start of the release, and ``until`` bound the time of the alarms that it heeds: seconds since 1970,
    of which only whole ones are used.
    """
    return {"since": _written(since), "until": _written(until), "moves": [dict(each) for each in moves]}


def arm(s3: Any, bucket: str, names: Iterable[str], wanted: Mapping[str, Any]) -> None:  # noqa: ANN401
    """Give the guard the same order for each of the alarms. Repeated, it changes nothing."""
    for name in names:
        s3.put_object(Bucket=bucket, Key=_order(name), Body=json.dumps(wanted).encode(), ContentType="application/json")


def disarm(s3: Any, bucket: str, names: Iterable[str]) -> None:  # noqa: ANN401
    """Take the orders away: alarms that fire from now on move nothing. What the guard did stays to be read.

    An execution that has read its order goes on; the release is over for the guard when ``busy`` says no.
    """
    for name in names:
        s3.delete_object(Bucket=bucket, Key=_order(name))


def busy(states: Any, machine: str) -> bool:  # noqa: ANN401
    """Whether the guard, by its state machine's ARN, is at work, for whatever release of the stack."""
    return bool(states.list_executions(stateMachineArn=machine, statusFilter="RUNNING", maxResults=1)["executions"])


@dataclass(frozen=True, kw_only=True)
class Fired:
    """What the guard did."""

    alarm: str
    at: float
    """When the alarm rang: seconds since 1970, whole ones."""
    reason: str
    """CloudWatch's, for the state of the alarm."""
    left: Sequence[str]
    """The rules that it could not send back, by ARN: their old color has no healthy pod."""


def fired(s3: Any, bucket: str, names: Iterable[str], *, since: float) -> list[Fired]:  # noqa: ANN401
    """Return what the guard did for these alarms since the start of a release, in the order in which they rang."""
    found = []
    for name in names:
        # Listed, not tried: without the right to list, S3 tells a missing object from a forbidden one by no code.
        if s3.list_objects_v2(Bucket=bucket, Prefix=_note(name), MaxKeys=1)["KeyCount"]:
            note = json.loads(s3.get_object(Bucket=bucket, Key=_note(name))["Body"].read())
            # Step Functions may write a text as a JSON string.
            note = json.loads(note) if isinstance(note, str) else note
            found.append(
                Fired(
                    alarm=note["detail"]["alarmName"],
                    at=datetime.fromisoformat(note["time"]).timestamp(),
                    reason=note["detail"]["state"].get("reason", ""),
                    left=[each["rule"] for each in note["moves"]["left"]],
                )
            )
    return sorted((each for each in found if each.at >= int(since)), key=lambda each: each.at)


def _written(moment: float) -> str:
    """Return a time as Step Functions compares it, and CloudWatch's events have it."""
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _order(alarm: str) -> str:
    return f"guard/{alarm}.json"


def _note(alarm: str) -> str:
    return f"guard/{alarm}.fired"
