"""Which color users reach, as the load balancer says it now.

Outputs, the state and the stack files are wishes: after a refused flip, a failed update or an emergency by hand they
say something else than what is.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from components.context.balancer import group_weights
from components.model import Color
from hueshift.report import RefusedError, explained
from hueshift.stack import Place

if TYPE_CHECKING:
    import boto3

FAST: Final = Config(connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 2})
"""Of clients that somebody waits for."""


def ask(session: "boto3.Session", rule: str, groups: Mapping[str, Color]) -> Mapping[Color, int]:
    """Return percent of the requests by color, as a rule shares them now between its target groups.

    Raises ``RefusedError`` with the reason if it cannot be told.
    """
    try:
        client = session.client("elbv2", region_name=rule.split(":")[3], config=FAST)
        return shares(client.describe_rules(RuleArns=[rule])["Rules"][0], groups)
    except (BotoCoreError, ClientError) as error:
        raise RefusedError(f"the load balancer cannot be asked who is live: {explained(error)}") from None


def shares(rule: Mapping[str, Any], groups: Mapping[str, Color]) -> Mapping[Color, int]:
    """Return percent by color of a rule as ``DescribeRules`` answers; only a color that gets nobody has 0.

    Raises ``RefusedError`` if its requests do not go to colors.
    """
    weights, others = group_weights(rule)
    if not weights:
        raise RefusedError(f"no color is live: the production rule answers requests by itself ({', '.join(others)})")
    if strange := sorted(weights.keys() - groups.keys()):
        raise RefusedError(
            f"who is live cannot be told: the production rule names {', '.join(strange)}, which is of no color"
        )
    found = dict.fromkeys(sorted(set(groups.values())), 0)
    for arn, weight in weights.items():
        found[groups[arn]] += weight
    total = sum(found.values())
    if not total:
        raise RefusedError("no color is live: the production rule gives all of them the weight 0")
    return {color: _percent(weight, total) for color, weight in found.items()}


def _percent(weight: int, total: int) -> int:
    return 100 * weight // total if weight in (0, total) else min(99, max(1, round(100 * weight / total)))


def idle(found: Mapping[Color, int]) -> Color:
    """Return the color that nobody is sent to while the other has everybody.

    Raises ``RefusedError`` if there is none.
    """
    for color in Color:
        if not found.get(color) and found.get(color.other) == 100:
            return color
    raise RefusedError(f"no color is idle: the load balancer has {shown(found)}")


def disagreement(place: Place, service: str, found: Mapping[Color, int]) -> str | None:
    """Return how the stack file and the load balancer differ, and the commands that mend it; None if they do not."""
    wished = place.services[service]
    if same(found, wished.weights):
        return None
    differs = f"{service}: the load balancer has {shown(found)}, and {place.file.name} says {shown(wished.weights)}; "
    moves = f"to move the traffic to what the file says: pulumi up --refresh --stack {place.name}"
    if wished.experiment:
        ends = f"pulumi config rm --path services.{service}.experiment --stack {place.name}"
        return f"{differs}its experiment is disturbed: end it, {ends}, then pulumi up --refresh --stack {place.name}"
    active = max(found, key=lambda color: found[color])
    canary = found.get(active.other, 0)
    own = place.values["services"][service]
    commands = [
        f"pulumi config set --path {f'services.{service}.' if key in own else ''}{key} {value} --stack {place.name}"
        for key, value, now in (
            ("activeColor", active, wished.active),
            ("canaryWeight", canary, wished.canary),
        )
        if value != now
    ]
    return f"{differs}to keep what is live, write it into the file: {' && '.join(commands)}; {moves}"


def same(one: Mapping[Color, int], other: Mapping[Color, int]) -> bool:
    """Whether two shares send users to the same colors; a color that is missing gets nothing."""
    return all(one.get(color, 0) == other.get(color, 0) for color in Color)


def shown(weights: Mapping[Color, int] | Mapping[str, int]) -> str:
    """Return shares as they are printed."""
    return ", ".join(f"{color} {weight} %" for color, weight in weights.items())
