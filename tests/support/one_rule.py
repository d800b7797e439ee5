"""A load balancer with one production rule, which answers what a test says."""
# ruff: noqa: ANN401 - what JSON holds

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from components.model import Color
from hueshift.stack import Place

ARN = "arn:aws:elasticloadbalancing:eu-west-1:111122223333:listener-rule/app/edge-alb/1/2/3"
GROUPS = {f"tg-{color}": color for color in Color}


def forward(**weights: int) -> dict[str, Any]:
    """Return a rule as ``DescribeRules`` answers, that shares its requests between the groups of colors."""
    groups = [{"TargetGroupArn": f"tg-{color}", "Weight": weight} for color, weight in weights.items()]
    return {"Actions": [{"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}]}


@dataclass
class Balancer:
    """What answers for the load balancer: the actions of the one production rule, or an error."""

    answer: Any
    host: str = "shop.staging.example.com"

    def client(self, name: str, *, region_name: str, **_: object) -> "Balancer":
        assert (name, region_name) == ("elbv2", "eu-west-1")
        return self

    def describe_load_balancers(self) -> Any:
        return {"LoadBalancers": [{"LoadBalancerArn": "edge"}]}

    def describe_listeners(self, *, LoadBalancerArn: str) -> Any:  # noqa: N803 - AWS's own
        assert LoadBalancerArn == "edge"
        return {"Listeners": [{"ListenerArn": "users", "Port": 443}, {"ListenerArn": "tests", "Port": 8443}]}

    def describe_rules(self, *, RuleArns: Sequence[str] = (ARN,), ListenerArn: str = "users") -> Any:  # noqa: N803
        assert (*RuleArns, ListenerArn) == (ARN, "users")
        if isinstance(self.answer, Exception):
            raise self.answer
        conditions = [{"Field": "host-header", "HostHeaderConfig": {"Values": [self.host]}}]
        return {"Rules": [{**self.answer, "RuleArn": ARN, "Conditions": conditions}]}

    def describe_tags(self, *, ResourceArns: Sequence[str]) -> Any:  # noqa: N803
        tags = {arn: {"service": "shop", "color": GROUPS[arn]} for arn in ResourceArns if arn in GROUPS}
        return {
            "TagDescriptions": [
                {"ResourceArn": arn, "Tags": [{"Key": key, "Value": value} for key, value in said.items()]}
                for arn, said in tags.items()
            ]
        }


def answering(monkeypatch: pytest.MonkeyPatch, balancer: Balancer) -> None:
    """Let a load balancer answer every stack."""
    monkeypatch.setattr(Place, "client", lambda *_: balancer)
