"""The web ACL (AWS WAF) of a load balancer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Final

import pulumi

from components.context.context import Context

RATE_WINDOW: Final = 300
"""Seconds over which one client's requests are counted. WAF's default too, but a limit says nothing without it."""

GROUPS: Final[Mapping[str, Sequence[str]]] = {
    # Addresses that AWS has seen attack or scan: the cheapest refusal, hence the first.
    "AWSManagedRulesAmazonIpReputationList": (),
    # Refuses bodies over 8 KB, all that WAF reads of a body here. A service that takes a file or a long form would
    # answer 403 from the day the web ACL is there; so this one counts. The other rules still read the first 8 KB.
    "AWSManagedRulesCommonRuleSet": ("SizeRestrictions_BODY",),
    "AWSManagedRulesKnownBadInputsRuleSet": (),
}
"""AWS's rule groups in order of evaluation, each with those of its rules that only count.

Capacity: 25 + 700 + 200, and 2 for the rate rule, are 927 of the 1,500 units that the basic price covers (WAF guide,
rule groups list and rate-based rules).
"""

ASSOCIATION_TIMEOUT: Final = "15m"
"""A new web ACL can be unavailable to a load balancer for minutes; the provider's own 5 were often too few
(terraform-provider-aws#29080)."""


@dataclass(frozen=True, kw_only=True)
class WebAclArgs:
    """Only what it protects is an Input."""

    load_balancer_arn: pulumi.Input[str]
    rate_limit: int
    """Requests that one client address may send in `RATE_WINDOW`, 10 or more; above it, 429."""
    context: Context


class WebAcl(pulumi.ComponentResource):
    """A web ACL that lets pass what no rule refuses, and its association with a load balancer.

    Should WAF itself fail, the load balancer refuses requests rather than let them in unseen
    (``enable_waf_fail_open`` of `LoadBalancer`).
    """

    arn: pulumi.Output[str]

    def __init__(self, name: str, args: WebAclArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("hueshift:web_acl:WebAcl", name, None, opts)
        managed = [
            {
                "name": group,
                "priority": priority,
                # What the group's own rules say; `count` here would switch all of them off at once.
                "overrideAction": {"none": {}},
                "statement": {
                    "managedRuleGroupStatement": {
                        "vendorName": "AWS",
                        "name": group,
                        # Not an empty list, which a refresh would find gone.
                        **({"ruleActionOverrides": [_counting(rule) for rule in counted]} if counted else {}),
                    }
                },
                "visibilityConfig": _visible(group),
            }
            for priority, (group, counted) in enumerate(GROUPS.items())
        ]
        rate = {
            "name": "rate",
            # Last: what another rule refuses does not use up the client's share.
            "priority": len(managed),
            # 429 and not WAF's 403, so that an honest client knows to wait.
            "action": {"block": {"customResponse": {"responseCode": 429}}},
            "statement": {
                "rateBasedStatement": {
                    "aggregateKeyType": "IP",
                    "limit": args.rate_limit,
                    "evaluationWindowSec": RATE_WINDOW,
                }
            },
            "visibilityConfig": _visible("rate"),
        }
        acl = _Wafv2(
            "webAcl:WebAcl",
            f"{name}-acl",
            {
                # Without a name, as a change of it replaces the ACL: Pulumi's own can stand beside the old one.
                "description": "Before the load balancer: bad addresses, known attacks, too many requests",
                "scope": "REGIONAL",
                "defaultAction": {"allow": {}},
                "rules": [*managed, rate],
                "visibilityConfig": _visible(name),
                "tags": args.context.tags,
            },
            pulumi.ResourceOptions(parent=self, version=_VERSION),
        )
        _Wafv2(
            "webAclAssociation:WebAclAssociation",
            f"{name}-association",
            {"resourceArn": args.load_balancer_arn, "webAclArn": acl.arn},
            pulumi.ResourceOptions(
                parent=self, version=_VERSION, custom_timeouts=pulumi.CustomTimeouts(create=ASSOCIATION_TIMEOUT)
            ),
        )
        self.arn = acl.arn
        self.register_outputs({"arn": self.arn})


def _counting(rule: str) -> dict[str, Any]:
    return {"name": rule, "actionToUse": {"count": {}}}


def _visible(metric: str) -> dict[str, Any]:
    """Return the settings for metrics and samples of requests, by which a refusal can be told from a bug."""
    return {"cloudwatchMetricsEnabled": True, "metricName": metric, "sampledRequestsEnabled": True}


_VERSION: Final = version("pulumi-aws")
"""Named as the package's own classes do it, or the engine would start a second provider."""


class _Wafv2(pulumi.CustomResource):
    """A resource of ``pulumi_aws.wafv2`` without that module, whose types of nested rules are 240,000 lines.

    Loading them takes 3.5 seconds and 280 MB in every preview and again in every update: longer than a flip.
    """

    arn: pulumi.Output[str]

    def __init__(self, type_: str, name: str, inputs: Mapping[str, Any], opts: pulumi.ResourceOptions) -> None:
        super().__init__(f"aws:wafv2/{type_}", name, {**inputs, "arn": None}, opts)
