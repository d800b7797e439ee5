"""A color's pods are not taken away while users are sent to it; previews and other changes ask nobody."""

from typing import Any

import pulumi
import pytest
from botocore.exceptions import EndpointConnectionError

from components.model import Color
from components.service.service import BlueGreenService
from components.traffic import parking
from components.traffic.gate import TrafficRefusedError
from tests.support import samples
from tests.support.engine import Engine, in_stack
from tests.support.samples import GROUPS

LISTENER = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener/app/edge/0/1"
GROUP = GROUPS[Color.GREEN]


class Client:
    """A load balancer with the production rule of shop and one of another host."""

    def __init__(self, blue: int = 100, green: int = 0, header: str = "x-canary") -> None:
        self.header = header
        self.weights = {GROUPS[Color.BLUE]: blue, GROUP: green}
        self.asked: list[str] = []

    def describe_rules(self, *, ListenerArn: str) -> Any:  # noqa: ANN401, N803 - AWS's own
        self.asked.append(ListenerArn)

        def rule(host: str, weights: dict[str, int]) -> dict[str, Any]:
            groups = [{"TargetGroupArn": arn, "Weight": weight} for arn, weight in weights.items()]
            return {
                "Conditions": [{"Field": "host-header", "HostHeaderConfig": {"Values": [host]}}],
                "Actions": [{"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}],
            }

        header = {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": self.header, "Values": ["x"]}}
        special = rule("shop.example.com", {GROUP: 1})
        special["Conditions"].append(header)
        return {"Rules": [rule("orders.example.com", {GROUP: 100}), special, rule("shop.example.com", self.weights)]}


def change(old: int | None, new: int | None) -> pulumi.ResourceHookArgs:
    def inputs(replicas: int | None) -> dict[str, Any]:
        return {"spec": {} if replicas is None else {"replicas": float(replicas)}}

    return pulumi.ResourceHookArgs("urn", "id", "shop-green", "Deployment", inputs(new), inputs(old))


async def hooked(
    engine: Engine, client: object, monkeypatch: pytest.MonkeyPatch, args: pulumi.ResourceHookArgs
) -> None:
    monkeypatch.setattr(parking, "clients", lambda *_: (client, None))
    hook = parking.parking_hook(
        "shop-green-parking",
        service="shop",
        color=Color.GREEN,
        host="shop.example.com",
        listener_arn=LISTENER,
        target_group_arns=[pulumi.Output.from_input(GROUP)],
    )
    assert hook.opts is None, "a hook without options stays out of previews"
    await engine.settle()
    called = engine.hooks["shop-green-parking"](args)
    assert called is not None
    await called


@in_stack
async def test_a_color_that_users_are_sent_to_keeps_its_pods(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TrafficRefusedError, match="green would be parked while the load balancer gives it 10 of 100"):
        await hooked(engine, Client(blue=90, green=10), monkeypatch, change(None, 0))


@in_stack
async def test_a_color_that_a_cohort_is_sent_to_keeps_its_pods(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TrafficRefusedError, match="green would be parked while the load balancer gives it 100 of 100"):
        await hooked(engine, Client(header="x-cohort"), monkeypatch, change(None, 0))


@in_stack
async def test_a_color_without_traffic_is_parked(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client(blue=100, green=0)
    await hooked(engine, client, monkeypatch, change(None, 0))
    assert set(client.asked) == {LISTENER}


@pytest.mark.parametrize(("old", "new"), [(None, None), (0, None), (0, 0), (2, 3)])
def test_what_takes_no_pods_away_asks_nobody(old: int | None, new: int | None) -> None:
    args = change(old, new)
    assert not parking.parks(args.old_inputs, args.new_inputs)


@in_stack
async def test_where_it_cannot_be_asked_the_pods_stay(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client()

    def silent(**_: object) -> None:
        raise EndpointConnectionError(endpoint_url="elbv2")

    monkeypatch.setattr(client, "describe_rules", silent)
    with pytest.raises(TrafficRefusedError, match="whether green has traffic cannot be asked"):
        await hooked(engine, client, monkeypatch, change(None, 0))


@in_stack
async def test_the_deployment_of_each_color_is_guarded(engine: Engine) -> None:
    BlueGreenService("shop", samples.service())
    for color in Color:
        request = (await engine.resource(f"shop-{color}-deployment")).request
        assert list(request.hooks.before_update) == [f"shop-{color}-parking"]
        assert f"shop-{color}-parking" in engine.hooks
