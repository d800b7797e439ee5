"""The production rules of a stack's services: found by host, read, and moved by one call each.

Nothing here needs the engine, its state or its lock, nor a record of a release; it imports neither pulumi nor pydantic.
"""

import copy
import random
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any, Final, cast

import typer
from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError  # noqa: A004

from components.context.balancer import cohort_rules, family, group_weights, healthy, listener_of, production_rules
from components.model import MIRROR, Color
from hueshift.report import RefusedError, explained
from hueshift.stack import Place, Wished
from hueshift.traffic.live import same, shares, shown

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_elbv2 import ElasticLoadBalancingv2Client

CONNECT: Final = 2
READ: Final = 5
"""Seconds after which a call counts as not answered. A move forward may not arrive later than that."""
PATIENCE: Final = 5
"""Seconds for which a command that only looks asks again."""
QUIET: Final = 5
"""Tries of a call before a person is told that AWS is busy or out of reach."""
_BUSY: Final = {
    *("Throttling", "ThrottlingException", "RequestThrottled", "RequestLimitExceeded", "TooManyRequestsException"),
    *("ServiceUnavailable", "InternalFailure", "InternalError"),
}
"""Codes of an answer that another try may change (botocore, data/_retry.json)."""
_TAGS_AT_ONCE: Final = 20
"""Resources of one DescribeTags (ELBv2 API)."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """The production rule of a service, as the load balancer has it, and with it those of its routes."""

    service: str
    arn: str
    actions: Sequence[Mapping[str, Any]]
    """All of them, in the API's words."""
    groups: Mapping[str, Color]
    """The color that answers behind each target group of the service that the rule names, by ARN."""
    mirrors: Collection[str] = ()
    """The ARNs of those that are of a mirror, which copies what it is asked to the other color."""
    routes: Sequence["Rule"] = ()
    """The rules of its routes, which share requests alike; none of them has any of its own."""

    @property
    def each(self) -> Sequence["Rule"]:
        """Every rule of the service, this one first."""
        return [replace(self, routes=()), *self.routes]

    @property
    def shared(self) -> Sequence[Mapping[Color, int]]:
        """Percent of the requests by color in each rule. Raises ``RefusedError`` if they do not go to colors."""
        return [shares({"Actions": rule.actions}, rule.groups) for rule in self.each]

    @property
    def live(self) -> Mapping[Color, int]:
        """Percent of the requests by color.

        Raises ``RefusedError`` if they do not go to colors, or the service's rules do not agree.
        """
        first, *others = self.shared
        if any(not same(other, first) for other in others):
            raise RefusedError(
                f"{self.service}: its rules disagree: {self.told}; bring them together: hueshift rollback"
            )
        return first

    @property
    def given(self) -> Mapping[Color, int]:
        """Percent of the requests by color, whatever else the rule does with the rest of them.

        Where the service's rules disagree, what all of them give.
        """
        weights, _ = group_weights({"Actions": self.actions})
        total = sum(weights.values()) or 1
        found = dict.fromkeys(self.groups.values(), 0)
        for arn, color in self.groups.items():
            found[color] += weights.get(arn, 0)
        return {
            color: min([100 * weight // total, *(rule.given.get(color, 0) for rule in self.routes)])
            for color, weight in found.items()
        }

    @property
    def told(self) -> str:
        """What it gives, as it is printed; where rules disagree, of each."""
        own = [(rule.arn, dict(rule.given)) for rule in self.each]
        if all(given == own[0][1] for _, given in own):
            return shown(own[0][1])
        return "; ".join(f"{arn.rpartition('/')[2]} has {shown(given)}" for arn, given in own)

    @property
    def copied(self) -> int:
        """Percent of the requests that mirrors answer, and copy; where the service's rules disagree, the most."""
        weights, _ = group_weights({"Actions": self.actions})
        total = sum(weights.values()) or 1
        own = 100 * sum(weights.get(arn, 0) for arn in self.mirrors) // total
        return max([own, *(rule.copied for rule in self.routes)])

    @property
    def own(self) -> Mapping[str, Color]:
        """The color of each target group that is of a color's own pods, by ARN."""
        return {arn: color for arn, color in self.groups.items() if arn not in self.mirrors}

    @property
    def sticky(self) -> bool:
        """Whether a client stays with the color of its first answer."""
        return any(
            action.get("ForwardConfig", {}).get("TargetGroupStickinessConfig", {}).get("Enabled")
            for rule in self.each
            for action in rule.actions
        )

    def group(self, color: Color) -> str | None:
        """Return the target group of a color's own pods, None if the rule names none."""
        return next((arn for arn, owner in self.own.items() if owner is color), None)

    def moved(self, weights: Mapping[Color, int]) -> list[dict[str, Any]]:
        """Return the rule's own actions with these weights, mirrors at 0, and stickiness off if one color gets all.

        A client follows its cookie whatever the weights (ELB user guide, sticky sessions).

        Raises ``RefusedError`` if the rule cannot give them: it forwards nothing, or names no group of a color.
        """
        actions = copy.deepcopy([dict(action) for action in self.actions])
        forward = next((action for action in actions if action["Type"] == "forward"), None)
        if forward is None:
            kinds = ", ".join(action["Type"] for action in actions)
            raise RefusedError(
                f"{self.service}: the production rule answers requests by itself ({kinds}); take that off first: "
                "docs/operations/maintenance.md"
            )
        if missing := [color for color, weight in weights.items() if weight and self.group(color) is None]:
            raise RefusedError(
                f"{self.service}: the production rule names no target group of {', '.join(missing)}; "
                "move the traffic by hand: docs/operations/ended-badly.md"
            )
        config = forward.setdefault("ForwardConfig", {})
        forward.pop("TargetGroupArn", None)  # answered beside the list where there is one group
        named, _ = group_weights({"Actions": self.actions})
        config["TargetGroups"] = [
            {"TargetGroupArn": arn, "Weight": weights.get(self.own[arn], 0) if arn in self.own else 0} for arn in named
        ]
        if 100 in weights.values() and config.get("TargetGroupStickinessConfig", {}).get("Enabled"):
            config["TargetGroupStickinessConfig"]["Enabled"] = False
        return actions


class Balancer:
    """The load balancers and alarms of a stack's region, with the credentials that its provider has."""

    def __init__(self, place: Place, *, patience: float) -> None:
        """Ask for the stack at this place.

        ``patience`` is for how many seconds a call is sent again when AWS is busy or out of reach: without end for a
        way back, and 0 for a move forward, which must not arrive long after it was decided.
        """
        self._place = place
        self._patience = patience

    @cached_property
    def elb(self) -> "ElasticLoadBalancingv2Client":
        """The client of the load balancers."""
        return cast("ElasticLoadBalancingv2Client", self._client("elbv2"))

    @cached_property
    def cloudwatch(self) -> "CloudWatchClient":
        """The client of the alarms: a way back does not wait for it to be made."""
        return cast("CloudWatchClient", self._client("cloudwatch"))

    def _client(self, service: str) -> object:
        from botocore.config import Config

        once = Config(connect_timeout=CONNECT, read_timeout=READ, retries={"total_max_attempts": 1})
        return Patient(self._place.client(service, once), self._patience)

    def rules(self, services: Collection[Wished], known: Mapping[str, str] | None = None) -> Mapping[str, Rule]:
        """Return the production rule of each service by name; ``known`` are ARNs of which nothing need be searched.

        Raises ``RefusedError`` if one has none or several, and ``BotoCoreError`` or ``ClientError``.
        """
        found = self.search(services, known)
        if missing := [item for item in found.values() if isinstance(item, str)]:
            raise RefusedError("\n  ".join(missing))
        return {name: item for name, item in found.items() if isinstance(item, Rule)}

    def search(self, services: Collection[Wished], known: Mapping[str, str] | None = None) -> Mapping[str, Rule | str]:
        """Return as `rules` does, and in the place of a rule why there is none."""
        arns = {service.name: known[service.name] for service in services if known and service.name in known}
        raw: dict[str, Sequence[Any]] = {name: found for name, arn in arns.items() if (found := family(self.elb, arn))}
        searched = [service for service in services if service.name not in raw]
        by_host = production_rules(self.elb, {service.host for service in searched}) if searched else {}
        problems: dict[str, str] = {}
        for service in searched:
            rules = by_host[service.host]
            if len(rules) == 1:
                raw[service.name] = rules[0]
                continue
            named = "".join(f", {rule['RuleArn']}" for rule, *_ in rules)
            problems[service.name] = (
                f"{service.name}: {self._place.region or 'this region'} has {len(rules) or 'no'} production "
                f"rule{'s' * (len(rules) > 1)} for {service.host}{named}; look whose credentials these are: "
                f"aws sts get-caller-identity; if it was never deployed: pulumi up --stack {self._place.name}"
            )
        colors = self._colors({arn for rules in raw.values() for rule in rules for arn in group_weights(rule)[0]})
        return {**{name: _made(name, rules, colors) for name, rules in raw.items()}, **problems}

    def _colors(self, groups: Collection[str]) -> Mapping[str, tuple[str, Color, bool]]:
        """Return service, color and whether it is of a mirror of each target group, by the program's own tags."""
        arns = sorted(groups)
        found = {}
        for start in range(0, len(arns), _TAGS_AT_ONCE):
            answer = self.elb.describe_tags(ResourceArns=arns[start : start + _TAGS_AT_ONCE])
            for described in answer["TagDescriptions"]:
                tags = {tag["Key"]: tag.get("Value", "") for tag in described.get("Tags", [])}
                if tags.get("color") in {*Color}:
                    found[described["ResourceArn"]] = tags.get("service", ""), Color(tags["color"]), MIRROR in tags
        return found

    def healthy_of(self, group: str) -> int:
        """Return how many targets of one group are healthy."""
        return healthy(self.elb, group)

    def healthy(self, rule: Rule) -> Mapping[Color, int]:
        """Return the healthy targets of each color that a rule names."""
        with ThreadPoolExecutor(len(Color)) as pool:
            counts = pool.map(self.healthy_of, rule.own)
            return dict(zip(rule.own.values(), counts, strict=True))

    def read(self, rule: Rule) -> Rule:
        """Return a rule as it is now, and those of its routes. Raises ``RefusedError`` if it is gone."""
        found = family(self.elb, rule.arn)
        if not found:
            raise RefusedError(
                f"{rule.service}: the load balancer has no rule {rule.arn} any more; run pulumi up --refresh"
            )
        groups = {arn for each in found for arn in group_weights(each)[0]}
        known = {
            arn: (rule.service, color, arn in each.mirrors) for each in rule.each for arn, color in each.groups.items()
        }
        # Which are of no color was found out before: only what is new is asked.
        before = {arn for each in rule.each for arn in group_weights({"Actions": each.actions})[0]}
        if new := groups - before:
            known |= self._colors(new)
        return _made(rule.service, found, known)

    def move(self, rule: Rule, weights: Mapping[Color, int]) -> Rule:
        """Give a rule and those of its routes other weights, until they are read back; return it as it is then.

        One after the other, all of them again while one has others. Other properties stay: what ModifyRule is not told
        is unchanged (ELBv2 API). One that is refused keeps none of the rest: away from a bad color is better for some.

        Raises ``RefusedError``, and ``BotoCoreError`` or ``ClientError`` if a call is refused for good, after the rest.
        """
        for pause in pauses():
            refused: BotoCoreError | ClientError | None = None
            for each in rule.each:
                try:
                    self.elb.modify_rule(RuleArn=each.arn, Actions=cast("Any", each.moved(weights)))
                except (BotoCoreError, ClientError) as error:
                    refused = refused or error
            if refused:
                raise refused
            now = self.read(rule)
            given = all(each.given.get(color, 0) == weights.get(color, 0) for each in now.each for color in Color)
            if given and not now.copied:
                return now
            rule = now  # a route may have come meanwhile
            time.sleep(pause)
        raise AssertionError("pauses do not end")

    def end_cohort(self, rule: Rule, host: str, color: Color) -> None:
        """Let the rules of a service's cohort send everybody to a color; they stay until the next update.

        Raises ``BotoCoreError`` or ``ClientError``.
        """
        group = rule.group(color)
        for cohort in [*cohort_rules(self.elb, listener_of(rule.arn), host)]:
            if group and set(group_weights(cohort)[0]) != {group}:
                self.elb.modify_rule(RuleArn=cohort["RuleArn"], Actions=[{"Type": "forward", "TargetGroupArn": group}])


def _made(service: str, rules: Sequence[Any], colors: Mapping[str, tuple[str, Color, bool]]) -> Rule:
    """Return the rule that a service's rules make, as the API tells them, the production rule first."""

    def one(rule: Mapping[str, Any]) -> Rule:
        named = group_weights(rule)[0]
        ours = {arn: colors[arn] for arn in named if colors.get(arn, ("",))[0] == service}
        return Rule(
            service=service,
            arn=rule["RuleArn"],
            actions=rule["Actions"],
            groups={arn: color for arn, (_, color, _) in ours.items()},
            mirrors=[arn for arn, (_, _, mirror) in ours.items() if mirror],
        )

    first, *others = map(one, rules)
    return replace(first, routes=others)


def weights(place: Place, service: str) -> Mapping[Color, int]:
    """Return percent of the requests by color as the load balancer shares them now.

    Raises ``RefusedError`` if it cannot be told.
    """
    try:
        return Balancer(place, patience=PATIENCE).rules([place.service(service)])[service].live
    except (BotoCoreError, ClientError) as error:
        raise RefusedError(f"the load balancer cannot be asked who is live: {explained(error)}") from None


def pauses() -> Iterator[float]:
    """Yield seconds to wait between tries, a second in the long run; at random, so that two do not ask together."""
    for longest in chain((0.1, 0.2, 0.4, 0.8), repeat(1.0)):
        yield longest * random.uniform(0.5, 1.5)


class Patient:
    """A client whose calls are sent again for as long as AWS says to come back later, and patience lasts."""

    def __init__(self, client: object, patience: float) -> None:
        self._client = client
        self._patience = patience

    def __getattr__(self, name: str) -> Callable[..., Any]:
        call = getattr(self._client, name)

        def patiently(**given: object) -> Any:  # noqa: ANN401 - what the API answers
            begun = time.monotonic()
            for number, pause in enumerate(pauses()):
                try:
                    return call(**given)
                except (BotoCoreError, ClientError) as error:
                    if not transient(error) or time.monotonic() - begun + pause > self._patience:
                        raise
                    if number == QUIET:
                        typer.echo(f"{explained(error)}; it is asked again until it answers", err=True)
                time.sleep(pause)
            raise AssertionError("pauses do not end")

        return patiently


def transient(error: BotoCoreError | ClientError) -> bool:
    """Whether another try may have another answer: AWS was busy or out of reach, and did not say no."""
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return error.response["Error"].get("Code") in _BUSY or status == 429 or status >= 500
    return isinstance(error, ConnectionError | HTTPClientError)
