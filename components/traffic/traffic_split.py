"""The listener rules of a service: who gets which color.

A canary step, a flip and a rollback look the same from here: two numbers on one rule.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pulumi
from pulumi_aws import lb

from components.context.context import ServiceContext
from components.model import CANARY_HEADER, Color, RuleKind, color_host, rule_priority, tokens
from components.spec import Service
from components.traffic.decision import EXPERIMENT
from components.traffic.gate import cohort_hook, traffic_gate_hook


@dataclass(frozen=True, kw_only=True)
class TestRoutesArgs:
    """ARNs are Inputs, other resources supply them; the host is plain, configuration decides it."""

    __test__ = False  # not a test class, whatever its name says to pytest

    spec: Service
    context: ServiceContext
    listener_arn: pulumi.Input[str]
    """The test listener."""
    target_group_arns: Mapping[Color, pulumi.Input[str]]
    mirror_arns: Mapping[Color, pulumi.Input[str]] = field(default_factory=dict)
    """Of the groups of the colors' mirrors, which these rules keep attached too, and send nothing."""


class TestRoutes(pulumi.ComponentResource):
    """``<color>.<host>`` on the test listener reaches that color, whatever the weights.

    These rules wait for no pod. That keeps both groups attached, hence health-checked, from
    the start: the pods' readiness gates wait for a health check and the production rule waits
    for the pods.
    """

    __test__ = False

    rules: Sequence[lb.ListenerRule]
    """One per color; what fills a group must wait for them."""

    def __init__(self, name: str, args: TestRoutesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("hueshift:traffic_split:TestRoutes", name, None, opts)
        self.rules = [
            lb.ListenerRule(
                f"{name}-{color}",
                listener_arn=args.listener_arn,
                priority=rule_priority(args.spec.priority_band, RuleKind.test(color)),
                conditions=[{"host_header": {"values": [color_host(color, args.spec.host)]}}],
                actions=[_forward(args.target_group_arns[color], args.mirror_arns.get(color))],
                tags=args.context.of(args.context.service, color).tags,
                opts=pulumi.ResourceOptions(parent=self),
            )
            for color in Color
            if color in args.target_group_arns
        ]
        self.register_outputs({"rule_arns": [rule.arn for rule in self.rules]})


def _forward(group: pulumi.Input[str], mirror: pulumi.Input[str] | None) -> lb.ListenerRuleActionArgsDict:
    """Return the action that sends all requests to a group; a mirror's beside it is attached, hence health-checked."""
    if mirror is None:
        return {"type": "forward", "target_group_arn": group}
    return {
        "type": "forward",
        "forward": {
            "target_groups": [{"arn": group, "weight": 100}, {"arn": mirror, "weight": 0}],
            "stickiness": {"enabled": False, "duration": 3600},
        },
    }


@dataclass(frozen=True, kw_only=True)
class TrafficSplitArgs:
    """ARNs are Inputs, other resources supply them; who gets what is plain, so that a preview shows ``90 => 50``."""

    spec: Service
    """Its least number of pods is that of the healthy targets without which a color is given no traffic."""
    context: ServiceContext
    listener_arn: pulumi.Input[str]
    target_group_arns: Mapping[Color, pulumi.Input[str]]
    """Of both colors, or of the one that the service has."""
    serving: Mapping[Color, pulumi.Resource]
    """What must be ready before a rule sends a color requests: its environment."""
    mirror_arns: Mapping[Color, pulumi.Input[str]] = field(default_factory=dict)
    """Of the groups of the colors' mirrors; none without shadow."""
    mirrors: Mapping[Color, pulumi.Resource] = field(default_factory=dict)
    """What must be ready before a rule sends a color's mirror requests."""

    def __post_init__(self) -> None:
        weights = self.spec.shares
        if missing := [color for color in Color if weights[color] and color not in self.target_group_arns]:
            raise ValueError(f"target_group_arns has no target group for {', '.join(missing)}")


class TrafficSplit(pulumi.ComponentResource):
    """The production rule, which shares a host's requests, and before it those of canary header and cohort."""

    rule_arn: pulumi.Output[str]
    """The production rule; emergencies move its weights without Pulumi."""
    weights: Mapping[Color, int]

    def __init__(self, name: str, args: TrafficSplitArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("hueshift:traffic_split:TrafficSplit", name, None, opts)
        spec, context = args.spec, args.context
        shares = spec.shares
        self.weights = {color: shares[color] for color in Color if color in args.target_group_arns}

        # A rule waits for the colors that it sends requests to and for no other: the way back
        # from a color whose pods fail must not wait for those pods.
        def waits_for(*colors: Color) -> list[pulumi.Resource]:
            return [environment for color, environment in args.serving.items() if color in colors]

        # Apart from the weights, so that a flip leaves it alone where versions order (`model.newer`): it moves when an
        # image is deployed.
        if spec.header_color:
            lb.ListenerRule(
                f"{name}-canary",
                listener_arn=args.listener_arn,
                priority=rule_priority(args.spec.priority_band, RuleKind.CANARY),
                conditions=[
                    {"host_header": {"values": [spec.host]}},
                    {"http_header": {"http_header_name": CANARY_HEADER, "values": ["true"]}},
                ],
                actions=[{"type": "forward", "target_group_arn": args.target_group_arns[spec.header_color]}],
                tags=context.tags,
                opts=pulumi.ResourceOptions(parent=self, depends_on=waits_for(spec.header_color)),
            )

        # Of the active color's share; what its mirror answers it has answered.
        mirrored = {color: spec.copied if color is spec.active_color else 0 for color in args.mirror_arns}
        tags = {**context.tags, EXPERIMENT: spec.experiment.name} if spec.experiment else context.tags
        gate = traffic_gate_hook(
            f"{name}-gate",
            service=context.service,
            environment=context.environment,
            namespace=context.namespace,
            colors=[*self.weights, *mirrored],
            minimum=spec.replicas.min,
        )
        # Both colors stay listed at weight 0: a group that no rule names is not health-checked.
        # The gate reads them in this order. No ignore_changes on weights: configuration owns
        # them, and an ignored 0 becomes 1 (pulumi-aws#5772).
        groups: list[lb.ListenerRuleActionForwardTargetGroupArgsDict] = [
            {"arn": args.target_group_arns[color], "weight": weight - mirrored.get(color, 0)}
            for color, weight in self.weights.items()
        ]
        groups += [{"arn": args.mirror_arns[color], "weight": weight} for color, weight in mirrored.items()]
        rule = lb.ListenerRule(
            f"{name}{tokens.PRODUCTION}",
            listener_arn=args.listener_arn,
            priority=rule_priority(args.spec.priority_band, RuleKind.PRODUCTION),
            conditions=[{"host_header": {"values": [spec.host]}}],
            actions=[
                {
                    "type": "forward",
                    "forward": {
                        "target_groups": groups,
                        # Only while both colors have traffic: a client's cookie comes before the weights, and each
                        # answer renews it (ELB guide, sticky sessions), so no flip would ever move it.
                        # Stated even when off: AWS reports it back and the next refresh would
                        # show a difference (pulumi-aws#5771).
                        "stickiness": {
                            "enabled": spec.stickiness > 0 and all(shares.values()),
                            "duration": spec.stickiness or 3600,
                        },
                    },
                }
            ],
            tags=tags,
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=[
                    *waits_for(*(color for color, weight in self.weights.items() if weight)),
                    *(mirror for color, mirror in args.mirrors.items() if mirrored[color]),
                ],
                hooks=pulumi.ResourceHookBinding(before_update=[gate]),
            ),
        )
        if spec.experiment:
            if spec.experiment.over(datetime.now(UTC)):
                what = f"the experiment {spec.experiment.name} is over since {spec.experiment.until}"
                pulumi.log.warn(f"{what}: remove the service's block experiment", self)
            variant = spec.active_color.other
            for place, (header, values) in enumerate(spec.experiment.conditions):
                lb.ListenerRule(
                    f"{name}-cohort{place or ''}",
                    listener_arn=args.listener_arn,
                    priority=rule_priority(spec.priority_band, RuleKind.COHORT) + place,
                    conditions=[
                        {"host_header": {"values": [spec.host]}},
                        {"http_header": {"http_header_name": header, "values": list(values)}},
                    ],
                    actions=[{"type": "forward", "target_group_arn": args.target_group_arns[variant]}],
                    tags=tags,
                    # After the production rule: what its gate refuses, such as to begin in a release, begins nowhere.
                    opts=pulumi.ResourceOptions(
                        parent=self,
                        depends_on=[*waits_for(variant), rule],
                        hooks=pulumi.ResourceHookBinding(
                            before_update=[cohort_hook(f"{name}-cohort{place or ''}-gate", service=context.service)]
                        ),
                    ),
                )
        self.rule_arn = rule.arn
        self.register_outputs({"rule_arn": self.rule_arn, "weights": self.weights})
