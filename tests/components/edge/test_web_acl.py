"""What the web ACL blocks, and what it only counts."""

import json
import subprocess
import sys
from typing import Any

from components.edge.web_acl import WebAcl, WebAclArgs
from tests.support import samples
from tests.support.engine import Engine, in_stack
from tests.support.program import ROOT

BALANCER = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/edge/0"
ARGS = WebAclArgs(load_balancer_arn=BALANCER, rate_limit=2000, context=samples.CONTEXT)


async def rules(engine: Engine) -> list[dict[str, Any]]:
    """Return the rules of the web ACL in the order of their evaluation."""
    found = (await engine.inputs("edge-acl"))["rules"]
    return sorted(found, key=lambda rule: rule["priority"])


@in_stack
async def test_what_no_rule_refuses_passes(engine: Engine) -> None:
    WebAcl("edge", ARGS)
    acl = await engine.inputs("edge-acl")
    assert (acl["scope"], acl["defaultAction"]) == ("REGIONAL", {"allow": {}})


@in_stack
async def test_awss_own_rule_groups_come_first_and_act(engine: Engine) -> None:
    WebAcl("edge", ARGS)
    *groups, _ = await rules(engine)
    assert [rule["name"] for rule in groups] == [
        "AWSManagedRulesAmazonIpReputationList",
        "AWSManagedRulesCommonRuleSet",
        "AWSManagedRulesKnownBadInputsRuleSet",
    ]
    for rule in groups:
        assert rule["overrideAction"] == {"none": {}}
        group = rule["statement"]["managedRuleGroupStatement"]
        assert (group["vendorName"], group["name"]) == ("AWS", rule["name"])


@in_stack
async def test_a_long_body_is_only_counted_and_nothing_else_is(engine: Engine) -> None:
    WebAcl("edge", ARGS)
    groups = [rule["statement"]["managedRuleGroupStatement"] for rule in (await rules(engine))[:-1]]
    counted = {group["name"]: group["ruleActionOverrides"] for group in groups if "ruleActionOverrides" in group}
    assert counted == {
        "AWSManagedRulesCommonRuleSet": [{"name": "SizeRestrictions_BODY", "actionToUse": {"count": {}}}]
    }


@in_stack
async def test_an_address_that_sends_too_much_gets_429(engine: Engine) -> None:
    WebAcl("edge", ARGS)
    rate = (await rules(engine))[-1]
    assert rate["statement"]["rateBasedStatement"] == {
        "aggregateKeyType": "IP",
        "limit": 2000,
        "evaluationWindowSec": 300,
    }
    assert rate["action"] == {"block": {"customResponse": {"responseCode": 429}}}


@in_stack
async def test_every_refusal_can_be_seen(engine: Engine) -> None:
    WebAcl("edge", ARGS)
    acl = await engine.inputs("edge-acl")
    configs = [acl["visibilityConfig"], *(rule["visibilityConfig"] for rule in acl["rules"])]
    assert all(config["cloudwatchMetricsEnabled"] and config["sampledRequestsEnabled"] for config in configs)
    assert len({config["metricName"] for config in configs}) == len(configs) == 5


@in_stack
async def test_it_stands_before_the_load_balancer_and_has_time_to(engine: Engine) -> None:
    WebAcl("edge", ARGS)
    association = await engine.resource("edge-association")
    assert association.inputs == {
        "resourceArn": BALANCER,
        "webAclArn": (await engine.resource("edge-acl")).computed["arn"],
    }
    assert association.request.customTimeouts.create == "15m"


@in_stack
async def test_it_speaks_to_the_same_provider_as_everything_else(engine: Engine) -> None:
    """Another version, or none, would be another provider process with a configuration of its own."""
    from components.edge.log_bucket import LogBucket, LogBucketArgs

    LogBucket("logs", LogBucketArgs(context=samples.CONTEXT))
    WebAcl("edge", ARGS)
    await engine.settle()
    versions = {r.request.version for r in engine.registrations.values() if r.type.startswith("aws:")}
    assert len(versions) == 1
    assert versions != {""}


def test_the_types_of_nested_rules_are_never_loaded() -> None:
    """They take longer to load than a flip takes."""
    code = "import sys, json, components.edge.web_acl; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not [name for name in json.loads(done.stdout) if name.startswith("pulumi_aws.wafv2")]
