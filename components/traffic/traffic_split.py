"""The listener rules of a service: who gets which color.

A canary step, a flip and a rollback look the same from here: two numbers on one rule.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pulumi
from pulumi_aws import lb

from components.context.context import ServiceContext
from components.model import (
    CANARY_HEADER,
    Color,
    RouteKind,
    RuleKind,
    color_host,
    route_priority,
    rule_priority,
    tokens,
)
from components.spec import Route, Service
from components.traffic.decision import EXPERIMENT
from components.traffic.gate import cohort_hook, route_hook, traffic_gate_hook


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


@dataclass(frozen=True, kw_only=True)
class _Entrance:
    """What leads to a service: its host or one of its routes, and where the rules for that stand."""

    conditions: Sequence[lb.ListenerRuleConditionArgsDict]
    slot: str
    """What ends the names of rules before the production rule; empty for the host."""
    production: str
    """What ends the name of that."""
    canary_priority: int
    cohort_priority: int
    production_priority: int


def _entrances(spec: Service) -> list[_Entrance]:
    """Return the host of a service, and each of its routes."""
    band = spec.priority_band
    host = _Entrance(
        conditions=[{"host_header": {"values": [spec.host]}}],
        slot="",
        production=tokens.PRODUCTION,
        canary_priority=rule_priority(band, RuleKind.CANARY),
        cohort_priority=rule_priority(band, RuleKind.COHORT),
        production_priority=rule_priority(band, RuleKind.PRODUCTION),
    )
    return [
        host,
        *(
            _Entrance(
                conditions=_conditions(route),
                slot=f"-{route.place}",
                production=f"{tokens.ROUTE}{route.place}",
                canary_priority=route_priority(band, RouteKind.CANARY, route.place),
                cohort_priority=route_priority(band, RouteKind.COHORT, route.place),
                production_priority=route_priority(band, RouteKind.PRODUCTION, route.place),
            )
            for route in spec.routes
        ),
    ]


def _conditions(route: Route) -> list[lb.ListenerRuleConditionArgsDict]:
    found: list[lb.ListenerRuleConditionArgsDict] = []
    if route.hosts:
        found.append({"host_header": {"values": list(route.hosts)}})
    if route.paths:
        found.append({"path_pattern": {"values": list(route.paths)}})
    if route.methods:
        found.append({"http_request_method": {"values": list(route.methods)}})
    found += [
        {"http_header": {"http_header_name": name, "values": list(values)}} for name, values in route.headers.items()
    ]
    return found


class TrafficSplit(pulumi.ComponentResource):
    """The production rules, which share the requests for a host and for each route, and before each the header's."""

    rule_arn: pulumi.Output[str]
    """The production rule of the host; emergencies move its weights, and those of the routes, without Pulumi."""
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

        entrances = _entrances(spec)
        # Apart from the weights, so that a flip leaves it alone where versions order (`model.newer`): it moves when an
        # image is deployed.
        if spec.header_color:
            for entrance in entrances:
                lb.ListenerRule(
                    f"{name}-canary{entrance.slot}",
                    listener_arn=args.listener_arn,
                    priority=entrance.canary_priority,
                    conditions=[
                        *entrance.conditions,
                        {"http_header": {"http_header_name": CANARY_HEADER, "values": ["true"]}},
                    ],
                    actions=[{"type": "forward", "target_group_arn": args.target_group_arns[spec.header_color]}],
                    tags=context.tags,
                    opts=pulumi.ResourceOptions(parent=self, depends_on=waits_for(spec.header_color)),
                )

        # Of the active color's share; what its mirror answers it has answered.
        mirrored = {color: spec.copied if color is spec.active_color else 0 for color in args.mirror_arns}
        owners = [*self.weights, *mirrored]
        tags = {**context.tags, EXPERIMENT: spec.experiment.name} if spec.experiment else context.tags
        gate = traffic_gate_hook(
            f"{name}-gate",
            service=context.service,
            environment=context.environment,
            namespace=context.namespace,
            colors=owners,
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
        answering = [
            *waits_for(*(color for color, weight in self.weights.items() if weight)),
            *(mirror for color, mirror in args.mirrors.items() if mirrored[color]),
        ]

        def shared(entrance: _Entrance, hooks: pulumi.ResourceHookBinding, *after: pulumi.Resource) -> lb.ListenerRule:
            return lb.ListenerRule(
                f"{name}{entrance.production}",
                listener_arn=args.listener_arn,
                priority=entrance.production_priority,
                conditions=entrance.conditions,
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
                opts=pulumi.ResourceOptions(parent=self, depends_on=[*answering, *after], hooks=hooks),
            )

        rule = shared(entrances[0], pulumi.ResourceHookBinding(before_update=[gate]))
        # One after the other: what the gate refuses of the first moves in none, and a failure leaves few apart.
        rules = [rule]
        for entrance in entrances[1:]:
            follows = route_hook(
                f"{name}{entrance.production}-gate",
                service=context.service,
                colors=owners,
                production_arn=rule.arn,
            )
            hooks = pulumi.ResourceHookBinding(before_create=[follows], before_update=[follows])
            rules.append(shared(entrance, hooks, rules[-1]))
        if spec.experiment:
            if spec.experiment.over(datetime.now(UTC)):
                what = f"the experiment {spec.experiment.name} is over since {spec.experiment.until}"
                pulumi.log.warn(f"{what}: remove the service's block experiment", self)
            variant = spec.active_color.other
            for entrance in entrances:
                for place, (header, values) in enumerate(spec.experiment.conditions):
                    cohort = f"{name}-cohort{place or ''}{entrance.slot}"
                    lb.ListenerRule(
                        cohort,
                        listener_arn=args.listener_arn,
                        priority=entrance.cohort_priority + place,
                        conditions=[
                            *entrance.conditions,
                            {"http_header": {"http_header_name": header, "values": list(values)}},
                        ],
                        actions=[{"type": "forward", "target_group_arn": args.target_group_arns[variant]}],
                        tags=tags,
                        # After the production rules: what the gate refuses, such as to begin in a release, begins
                        # nowhere.
                        opts=pulumi.ResourceOptions(
                            parent=self,
                            depends_on=[*waits_for(variant), *rules],
                            hooks=pulumi.ResourceHookBinding(
                                before_update=[cohort_hook(f"{cohort}-gate", service=context.service)]
                            ),
                        ),
                    )
        self.rule_arn = rule.arn
        self.register_outputs({"rule_arn": self.rule_arn, "weights": self.weights})
