"""Whether the weights of a service may change: the gate's decision, pure."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from components.model import Color, color_alarms

EXPERIMENT: Final = "experiment"
"""The tag by which the rules of a service name its experiment."""


class ColorAlarms(NamedTuple):
    """The states of a color's alarms in CloudWatch's words; None for an alarm that does not exist."""

    composite: str | None
    canary_errors: str | None

    @property
    def trouble(self) -> int:
        """How bad it is: 2 for what a person would be called for, 1 for what a canary is judged by."""
        return 2 if self.composite == "ALARM" else 1 if self.canary_errors == "ALARM" else 0

    @property
    def known(self) -> bool:
        """Whether both say something; the composite alone is OK already while its children know nothing yet."""
        return {self.composite, self.canary_errors} <= {"OK", "ALARM"}


def traffic_gate(
    *,
    service: str,
    namespace: str,
    old: Mapping[Color, int],
    new: Mapping[Color, int],
    live: Mapping[Color, int],
    healthy: Mapping[Color, int],
    minimum: int,
    environment: str,
    alarms: Mapping[Color, ColorAlarms],
    live_actions: str = "",
    old_actions: str = "",
    experiment: str | None = None,
    mirroring: Mapping[Color, int] | None = None,
) -> list[str]:
    """Return why the weights of a service may not change from ``old`` (the state's) to ``new``; empty if they may.

    ``live`` are the weights that the load balancer holds now, ``healthy`` the healthy targets of each color, and
    ``minimum`` how many of them a color needs before it gets more traffic. It also needs its share of as many as the
    color has that it takes the traffic from: an idle color is small, and would not carry a peak until the autoscaler
    has seen it. One is enough where it takes the traffic of a color in trouble.

    If ``live`` is already what is wanted (an emergency rollback wrote it), nothing moves and nothing is refused.
    ``alarms`` are of both colors of a service that has two; where there is one, no traffic moves between colors and
    none are asked. ``live_actions`` and ``old_actions`` say what the rule does, live and by the state, besides sharing
    requests between the colors: a fixed response, for one. ``experiment`` is the one that ran and that
    goes on: nobody's color may change meanwhile. ``mirroring`` are the healthy targets of each color's mirror that
    gets more requests: users wait for its answers.
    """
    refusals = [
        f"{service}: the mirror of {color} would get more requests with {count} healthy targets, and needs {minimum}; "
        f"set services.{service}.shadow.percent to 0, or look with `kubectl get pods --namespace {namespace} "
        f"--selector hueshift.dev/mirror={color}`"
        for color, count in (mirroring or {}).items()
        if count < minimum
    ]
    if _shown(live) == _shown(new) and live_actions in ("", old_actions):
        return refusals
    if (_shown(live), live_actions) != (_shown(old), old_actions):
        refusals.append(
            f"{service}: the load balancer has {_shown(live, live_actions)}, but the state says "
            f"{_shown(old, old_actions)}: somebody else moved the traffic; look at it with `pulumi refresh --diff`, "
            "then run `pulumi up` again"
        )
    if experiment is not None and _shown(old) != _shown(new):
        refusals.append(experiment_refusal(service, experiment, f"the split, {_shown(old)} to {_shown(new)},"))
    gaining = {
        color: new.get(color.other, 0) < old.get(color.other, 0) for color in new if new[color] > old.get(color, 0)
    }
    for color, moves in gaining.items():
        share = -(-healthy.get(color.other, 0) * new[color] // 100) if moves else 0
        needed = 1 if moves and alarms[color.other].trouble else max(minimum, share)
        remedy = (
            f", its share of {color.other}'s {healthy.get(color.other, 0)}: set colors.{color}.minReplicas to {needed} "
            "and run `pulumi up`, then move the traffic"
        )
        if healthy.get(color, 0) < needed:
            refusals.append(
                f"{service}: {color} would go from {old.get(color, 0)} to {new[color]} percent with "
                f"{healthy.get(color, 0)} healthy targets, and needs {needed}"
                + (remedy if needed > minimum else "")
                + "; a rollback is held to this too, but "
                "needs only one while an alarm of the color that it leaves is on; look with `kubectl get pods "
                f"--namespace {namespace} --selector app.kubernetes.io/name={service},hueshift.dev/color={color}`"
            )
    refusals.extend(
        refusal
        for color, moves in gaining.items()
        if moves and (refusal := alarm_refusal(color, alarms=alarms, service=service, environment=environment))
    )
    return refusals


Shared = tuple[Mapping[Color, int], str]
"""Weights by color, and what else a rule does."""


def mixture_refusal(
    service: str, *, production: Shared, wanted: Mapping[Color, int], routes: Mapping[str, Shared]
) -> list[str]:
    """Return which routes, by the ARN of their rules, share requests neither as the production rule does nor as wanted.

    Somebody has moved them alone, and what they were moved for is not known.
    """
    return [
        f"{service}: its rules disagree: the production rule has {_shown(*production)}, and the route's rule {arn} has "
        f"{_shown(*shared)}: somebody else moved the traffic; look with `hueshift status`, bring them together with "
        "`hueshift rollback`, then run `pulumi up` again"
        for arn, shared in routes.items()
        if shared not in (production, (wanted, ""))
    ]


def route_refusal(service: str, *, production: Shared, wanted: Mapping[Color, int]) -> str | None:
    """Return why a route's rule may not get these weights: the production rule has others, and all share alike."""
    weights, actions = production
    if _shown(weights) == _shown(wanted) or actions:
        return None
    return (
        f"{service}: a route would have {_shown(wanted)} while the production rule has {_shown(weights)}; its rules "
        "move together: run `pulumi up` without targets; in a release, wait until it is over"
    )


def kept_experiment(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> str | None:
    """Return the experiment that a rule was of and still is, by its inputs; None if there is none."""
    before, after = ((inputs or {}).get("tags", {}).get(EXPERIMENT) for inputs in (old, new))
    return str(after) if after is not None and before == after else None


def experiment_refusal(service: str, experiment: str, what: str) -> str:
    """Return why what a running experiment stands on may not change: its users would see both colors."""
    return (
        f"{service}: {what} would change while the experiment {experiment} runs, and its users would see both "
        f"colors; remove services.{service}.experiment in the same change, or give it another name"
    )


def alarm_refusal(color: Color, *, alarms: Mapping[Color, ColorAlarms], service: str, environment: str) -> str | None:
    """Return why the alarms of a service allow ``color`` no more traffic.

    A color may be in no more trouble than the one that loses the traffic, and of a color that nothing is known of the
    worst is assumed. So the way back from a color in trouble is never refused, whatever is known of the other; and what
    is not known of the color that is left is no reason to stay.
    """
    gains, loses = alarms[color], alarms[color.other]
    composite, canary_errors = color_alarms(environment, service, color)
    look = (
        "look with `aws cloudwatch describe-alarms --alarm-types CompositeAlarm MetricAlarm --alarm-names "
        f"{composite} {canary_errors} --query '[CompositeAlarms, MetricAlarms][].[AlarmName, StateValue, StateReason]'`"
    )
    if gains.trouble > loses.trouble:
        name = composite if gains.composite == "ALARM" else canary_errors
        return (
            f"{service}: {color} would get more traffic while its alarm {name} is on and {color.other} is better off; "
            f"{look}"
        )
    if gains.known or loses.trouble:
        return None
    states = {composite: gains.composite, canary_errors: gains.canary_errors}
    unknown = ", ".join(
        f"{name} {'does not exist' if state is None else f'is {state}'}"
        for name, state in states.items()
        if state not in ("OK", "ALARM")
    )
    remedy = (
        "a new alarm knows its color after five minutes: wait, then run `pulumi up` again"
        if None not in states.values()
        else "bring the alarms up first, with the weights as they are, wait five minutes, then move the traffic"
    )
    return f"{service}: nothing is known of {color}, which would get more traffic: {unknown}; {remedy}; {look}"


def _shown(weights: Mapping[Color, int], actions: str = "") -> str:
    shares = ", ".join(f"{color} {weights.get(color, 0)}" for color in Color)
    return f"{shares} and {actions}" if actions else shares
