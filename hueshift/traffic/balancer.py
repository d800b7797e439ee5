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

from components.context.balancer import cohort_rules, group_weights, healthy, production_rules
from components.model import MIRROR, Color
from hueshift.report import RefusedError, explained
from hueshift.stack import Place, Wished
from hueshift.traffic.live import shares

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
    """The production rule of a service, as the load balancer has it."""

    service: str
    arn: str
    actions: Sequence[Mapping[str, Any]]
    """All of them, in the API's words."""
    groups: Mapping[str, Color]
    """The color that answers behind each target group of the service that the rule names, by ARN."""
    mirrors: Collection[str] = ()
    """The ARNs of those that are of a mirror, which copies what it is asked to the other color."""

    @property
    def live(self) -> Mapping[Color, int]:
        """Percent of the requests by color. Raises ``RefusedError`` if they do not go to colors."""
        return shares({"Actions": self.actions}, self.groups)

    @property
    def given(self) -> Mapping[Color, int]:
        """Percent of the requests by color, whatever else the rule does with the rest of them."""
        weights, _ = group_weights({"Actions": self.actions})
        total = sum(weights.values()) or 1
        found = dict.fromkeys(self.groups.values(), 0)
        for arn, color in self.groups.items():
            found[color] += weights.get(arn, 0)
        return {color: 100 * weight // total for color, weight in found.items()}

    @property
    def copied(self) -> int:
        """Percent of the requests that mirrors answer, and copy."""
        weights, _ = group_weights({"Actions": self.actions})
        total = sum(weights.values()) or 1
        return 100 * sum(weights.get(arn, 0) for arn in self.mirrors) // total

    @property
    def own(self) -> Mapping[str, Color]:
        """The color of each target group that is of a color's own pods, by ARN."""
        return {arn: color for arn, color in self.groups.items() if arn not in self.mirrors}

    @property
    def sticky(self) -> bool:
        """Whether a client stays with the color of its first answer."""
        return any(
            action.get("ForwardConfig", {}).get("TargetGroupStickinessConfig", {}).get("Enabled")
            for action in self.actions
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
        given = self.elb.describe_rules(RuleArns=list(arns.values()))["Rules"] if arns else []
        of_arn = {rule["RuleArn"]: rule for rule in given}
        raw: dict[str, Any] = {name: of_arn[arn] for name, arn in arns.items() if arn in of_arn}
        searched = [service for service in services if service.name not in raw]
        by_host = production_rules(self.elb, {service.host for service in searched}) if searched else {}
        problems: dict[str, str] = {}
        for service in searched:
            rules = by_host[service.host]
            if len(rules) == 1:
                raw[service.name] = rules[0]
                continue
            named = "".join(f", {rule['RuleArn']}" for rule in rules)
            problems[service.name] = (
                f"{service.name}: {self._place.region or 'this region'} has {len(rules) or 'no'} production "
                f"rule{'s' * (len(rules) > 1)} for {service.host}{named}; look whose credentials these are: "
                f"aws sts get-caller-identity; if it was never deployed: pulumi up --stack {self._place.name}"
            )
        colors = self._colors({arn for rule in raw.values() for arn in group_weights(rule)[0]})
        rules_of = {}
        for name, rule in raw.items():
            ours = {arn: found for arn in group_weights(rule)[0] if (found := colors.get(arn)) and found[0] == name}
            rules_of[name] = Rule(
                service=name,
                arn=rule["RuleArn"],
                actions=rule["Actions"],
                groups={arn: color for arn, (_, color, _) in ours.items()},
                mirrors=[arn for arn, (_, _, mirror) in ours.items() if mirror],
            )
        return {**rules_of, **problems}

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
        """Return a rule as it is now."""
        actions = self.elb.describe_rules(RuleArns=[rule.arn])["Rules"][0]["Actions"]
        return replace(rule, actions=actions)

    def move(self, rule: Rule, weights: Mapping[Color, int]) -> Rule:
        """Give a rule other weights, send them again until they are read back, and return it as it is then.

        Other properties of the rule stay: what ModifyRule is not told is unchanged (ELBv2 API).

        Raises ``RefusedError``, and ``BotoCoreError`` or ``ClientError`` at the first call that is refused for good.
        """
        for pause in pauses():
            self.elb.modify_rule(RuleArn=rule.arn, Actions=cast("Any", rule.moved(weights)))
            now = self.read(rule)
            if all(now.given.get(color, 0) == weights.get(color, 0) for color in Color) and not now.copied:
                return now
            time.sleep(pause)
        raise AssertionError("pauses do not end")

    def end_cohort(self, rule: Rule, host: str, color: Color) -> None:
        """Let the rules of a service's cohort send everybody to a color; they stay until the next update.

        Raises ``BotoCoreError`` or ``ClientError``.
        """
        listener = rule.arn.replace(":listener-rule/", ":listener/").rpartition("/")[0]
        group = rule.group(color)
        for cohort in [*cohort_rules(self.elb, listener, host)]:
            if group and set(group_weights(cohort)[0]) != {group}:
                self.elb.modify_rule(RuleArn=cohort["RuleArn"], Actions=[{"Type": "forward", "TargetGroupArn": group}])


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
