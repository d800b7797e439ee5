"""`hueshift live`: which color users reach, as the load balancer says it now.

Outputs, the state and the stack files are wishes: after a refused flip, a failed update or an emergency by hand they
say something else than what is.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final

import boto3
import typer
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from components.model import Color, split
from hueshift.report import Json, RefusedError, StackName, console, emit, explained, reported, unknown
from hueshift.stack import Stack, load

_FAST: Final = Config(connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 2})


def live(
    service: Annotated[str, typer.Argument(metavar="SERVICE", help="A service of the stack.", show_default=False)],
    *,
    stack: StackName = None,
    as_json: Json = False,
) -> None:
    """Ask the load balancer what each color gets. Exit status 1 if the stack file says something else."""
    with reported():
        place = load(stack)
        if service not in place.settings.services:
            raise unknown(f"service of {place.name}", service, list(place.settings.services))
        found = weights(place, service)
        if as_json:
            emit({"stack": place.name, "service": service, "live": found, "file": wished(place, service)})
        else:
            console().print(f"{service} in {place.name}: {shown(found)}")
        if problem := disagreement(place, service, found):
            raise RefusedError(problem)


def weights(place: Stack, service: str) -> Mapping[Color, int]:
    """Return percent of the requests by color as the load balancer shares them now.

    Raises ``RefusedError`` if it cannot be told.
    """
    try:
        rule, groups = production_rule(place.state(), service)
    except RefusedError as error:
        raise RefusedError(f"{error}; deploy it: pulumi up --stack {place.name}") from None
    return ask(place.aws(), rule, groups)


def production_rule(state: Mapping[str, Any], service: str) -> tuple[str, Mapping[str, Color]]:
    """Return the ARN of a service's production rule, and the color of each of its target groups by ARN.

    ``state`` is what ``pulumi stack export`` prints. Raises ``RefusedError`` if it has no such rule.
    """
    resources = state["deployment"].get("resources") or []
    rule = next(
        (
            resource["id"]
            for resource in resources
            if resource["type"] == "aws:lb/listenerRule:ListenerRule"
            and resource["urn"].endswith(f"::{service}-traffic-production")
            and not resource.get("delete")
        ),
        None,
    )
    if rule is None:
        raise RefusedError(f"the state has no production rule of {service}, and nobody can be asked who is live")
    # Those that wait for their deletion too: a rule whose update was refused still names them.
    groups = [resource for resource in resources if resource["type"] == "aws:lb/targetGroup:TargetGroup"]
    tags = {group["id"]: group["inputs"].get("tags", {}) for group in groups}
    return rule, {arn: Color(tag["color"]) for arn, tag in tags.items() if tag.get("service") == service}


def ask(session: boto3.Session, rule: str, groups: Mapping[str, Color]) -> Mapping[Color, int]:
    """Return percent of the requests by color, as a rule shares them now between its target groups.

    Raises ``RefusedError`` with the reason if it cannot be told.
    """
    try:
        client = session.client("elbv2", region_name=rule.split(":")[3], config=_FAST)
        return shares(client.describe_rules(RuleArns=[rule])["Rules"][0], groups)
    except (BotoCoreError, ClientError) as error:
        raise RefusedError(f"the load balancer cannot be asked who is live: {explained(error)}") from None


def shares(rule: Mapping[str, Any], groups: Mapping[str, Color]) -> Mapping[Color, int]:
    """Return percent by color of a rule as ``DescribeRules`` answers; only a color that gets nobody has 0.

    Raises ``RefusedError`` if its requests do not go to colors.
    """
    forward = next((action for action in rule["Actions"] if action["Type"] == "forward"), None)
    if forward is None:
        kinds = ", ".join(action["Type"] for action in rule["Actions"])
        raise RefusedError(f"no color is live: the production rule answers requests by itself ({kinds})")
    targets = forward.get("ForwardConfig", {}).get("TargetGroups") or [{"TargetGroupArn": forward["TargetGroupArn"]}]
    if strange := sorted({target["TargetGroupArn"] for target in targets} - groups.keys()):
        raise RefusedError(
            f"who is live cannot be told: the production rule names {', '.join(strange)}, which the state does not know"
        )
    found = dict.fromkeys(sorted(set(groups.values())), 0)
    for target in targets:
        # One group alone has all requests, whatever its weight.
        found[groups[target["TargetGroupArn"]]] += target.get("Weight", 1) if len(targets) > 1 else 1
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


def wished(place: Stack, service: str) -> Mapping[Color, int]:
    """Return percent by color as the stack file wants it."""
    settings = place.settings.services[service]
    share = split(settings.active_color, settings.canary_weight)
    return {color: share[color] for color in Color if color in settings.colors}


def disagreement(place: Stack, service: str, found: Mapping[Color, int]) -> str | None:
    """Return how the stack file and the load balancer differ, and the commands that mend it; None if they do not."""
    settings, wanted = place.settings.services[service], wished(place, service)
    if same(found, wanted):
        return None
    active = max(found, key=lambda color: found[color])
    canary = found.get(active.other, 0)
    own = place.values["services"][service]
    commands = [
        f"pulumi config set --path {f'services.{service}.' if key in own else ''}{key} {value} --stack {place.name}"
        for key, value, now in (
            ("activeColor", active, settings.active_color),
            ("canaryWeight", canary, settings.canary_weight),
        )
        if value != now
    ]
    return (
        f"{service}: the load balancer has {shown(found)}, and {place.file.name} says {shown(wanted)}; "
        f"to keep what is live, write it into the file: {' && '.join(commands)}; "
        f"to move the traffic to what the file says: pulumi up --refresh --stack {place.name}"
    )


def same(one: Mapping[Color, int], other: Mapping[Color, int]) -> bool:
    """Whether two shares send users to the same colors; a color that is missing gets nothing."""
    return all(one.get(color, 0) == other.get(color, 0) for color in Color)


def shown(weights: Mapping[Color, int] | Mapping[str, int]) -> str:
    """Return shares as they are printed."""
    return ", ".join(f"{color} {weight} %" for color, weight in weights.items())
