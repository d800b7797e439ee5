"""The mirror of a color: what it is made of, what it waits for, and who gets its requests."""

from dataclasses import replace
from typing import Any

import pytest

from components.model import Color
from components.service.mirror import MirrorArgs
from components.service.service import BlueGreenService
from components.spec import Shadow
from policy.checks import CHECKS, Resource
from tests.support import samples
from tests.support.engine import Engine, in_stack

SHADOW = Shadow(percent=20, image=f"registry.example.com/envoy@sha256:{'0a1b' * 16}")


def with_shadow(**changes: object) -> Any:  # noqa: ANN401 - arguments of a service
    return samples.change(samples.service(), shadow=SHADOW, **changes)


async def before(engine: Engine, name: str) -> set[str]:
    """Return the names of everything that must exist before a resource."""
    return {urn.split("::")[-1] for urn in engine.ancestry((await engine.resource(name)).urn)}


async def groups(engine: Engine, rule: str) -> list[tuple[str, int]]:
    """Return name and weight of the target groups of a rule."""
    arns = {each.computed["arn"]: each.name for each in await engine.of_type("TargetGroup")}
    (action,) = (await engine.inputs(rule))["actions"]
    return [(arns[group["arn"]], group["weight"]) for group in action["forward"]["targetGroups"]]


@in_stack
async def test_without_shadow_a_service_has_nothing_of_a_mirror(engine: Engine) -> None:
    service = BlueGreenService("shop", samples.service())
    await engine.settle()
    assert engine.registrations
    assert not [one.name for one in engine.registrations.values() if "mirror" in one.name or "mirror" in one.type]
    assert "copied" not in service.summary


@in_stack
@pytest.mark.parametrize(
    ("active", "weights"), [(Color.BLUE, [80, 0, 20, 0]), (Color.GREEN, [0, 80, 0, 20])], ids=["blue", "green"]
)
async def test_a_flip_changes_nothing_but_weights_and_keeps_the_copies(
    engine: Engine, active: Color, weights: list[int]
) -> None:
    service = BlueGreenService("shop", with_shadow(active_color=active))
    names = ["shop-tg-blue", "shop-tg-green", "shop-tg-blue-mirror", "shop-tg-green-mirror"]
    assert await groups(engine, "shop-traffic-production") == list(zip(names, weights, strict=True))
    assert service.summary["weights"] == {active: 100, active.other: 0}
    assert service.summary["copied"] == 20


@in_stack
async def test_a_group_of_a_mirror_is_told_by_a_tag_beside_the_color_that_answers(engine: Engine) -> None:
    BlueGreenService("shop", with_shadow())
    tags = {each.name: each.inputs["tags"] for each in await engine.of_type("TargetGroup")}
    for color in Color:
        assert tags[f"shop-tg-{color}-mirror"] == {**tags[f"shop-tg-{color}"], "mirror": "true"}
        assert "mirror" not in tags[f"shop-tg-{color}"]


@in_stack
async def test_mirrors_are_health_checked_before_the_production_rule_waits_for_them(engine: Engine) -> None:
    BlueGreenService("shop", with_shadow())
    for color in Color:
        assert await groups(engine, f"shop-test-{color}") == [
            (f"shop-tg-{color}", 100),
            (f"shop-tg-{color}-mirror", 0),
        ]
        assert f"shop-test-{color}" in await before(engine, f"shop-{color}-mirror-deployment")
        assert f"shop-{color}-deployment" in await before(engine, f"shop-{color}-mirror-deployment")
    waits = await before(engine, "shop-traffic-production")
    assert "shop-blue-mirror-deployment" in waits
    assert "shop-green-mirror-deployment" not in waits, "the way back does not wait for what fails"


@in_stack
async def test_a_mirror_fills_the_group_of_its_color(engine: Engine) -> None:
    BlueGreenService("shop", with_shadow())
    for color in Color:
        binding = (await engine.inputs(f"shop-{color}-mirror-binding"))["spec"]
        assert binding["targetGroupARN"] == (await engine.resource(f"shop-tg-{color}-mirror")).computed["arn"]
        service = await engine.inputs(f"shop-{color}-mirror-service")
        assert binding["serviceRef"]["name"] == service["metadata"]["name"]
        pods = (await engine.inputs(f"shop-{color}-mirror-deployment"))["spec"]["template"]["metadata"]["labels"]
        assert service["spec"]["selector"].items() <= pods.items()
        own = (await engine.inputs(f"shop-{color}-service"))["spec"]["selector"]
        assert not own.items() <= pods.items(), "no color's own requests reach a mirror"
        assert not any(port["name"] == "http" for port in await ports(engine, color)), "and Prometheus reads none"


async def ports(engine: Engine, color: Color) -> list[dict[str, Any]]:
    pod = (await engine.inputs(f"shop-{color}-mirror-deployment"))["spec"]["template"]["spec"]
    found: list[dict[str, Any]] = pod["containers"][0]["ports"]
    return found


@in_stack
async def test_a_mirror_reaches_both_colors_and_they_let_it_in(engine: Engine) -> None:
    BlueGreenService("shop", with_shadow())
    for color in Color:
        mirror = (await engine.inputs(f"shop-{color}-mirror-deployment"))["spec"]["template"]["metadata"]["labels"]
        pods = (await engine.inputs(f"shop-{color}-deployment"))["spec"]["template"]["metadata"]["labels"]
        out = (await engine.inputs(f"shop-{color}-mirror-network"))["spec"]
        assert out["podSelector"]["matchLabels"].items() <= mirror.items()
        (called,) = [each for each in out["egress"] if each["ports"] == [{"protocol": "TCP", "port": "http"}]]
        assert called["to"][0]["podSelector"]["matchLabels"].items() <= pods.items()
        (callers,) = (await engine.inputs(f"shop-{color}-mirror-opened"))["spec"]["ingress"]
        assert callers["ports"] == [{"protocol": "TCP", "port": "http"}]
        assert callers["from"][0]["podSelector"]["matchLabels"].items() <= mirror.items()
        (clients,) = out["ingress"]
        assert [each["ipBlock"]["cidr"] for each in clients["from"]] == list(samples.NETWORK.subnet_cidrs)


@in_stack
async def test_there_is_a_pod_of_a_mirror_in_each_zone_and_none_for_a_parked_color(engine: Engine) -> None:
    colors = {Color.BLUE: samples.BLUE, Color.GREEN: replace(samples.GREEN, parked=True)}
    zones = ["eu-west-1a", "eu-west-1b", "eu-west-1c"]
    BlueGreenService("shop", with_shadow(colors=colors, zones=zones))
    assert (await engine.inputs("shop-blue-mirror-deployment"))["spec"]["replicas"] == 3
    assert (await engine.inputs("shop-green-mirror-deployment"))["spec"]["replicas"] == 0


@in_stack
async def test_a_mirror_is_not_taken_away_while_users_are_sent_to_it(engine: Engine) -> None:
    BlueGreenService("shop", with_shadow())
    for color in Color:
        request = (await engine.resource(f"shop-{color}-mirror-deployment")).request
        assert list(request.hooks.before_update) == [f"shop-{color}-parking"]


@in_stack
async def test_the_policies_find_nothing_wrong_with_a_mirror(engine: Engine) -> None:
    BlueGreenService("shop", with_shadow())
    await engine.settle()
    seen = [
        Resource(each.type, each.name, each.inputs)
        for each in engine.registrations.values()
        if each.custom and each.type.startswith(("kubernetes:", "aws:lb/"))
    ]
    mirrors = [each for each in seen if "mirror" in each.name or each.name.startswith("shop-test-")]
    assert len(mirrors) >= 18
    for check in CHECKS:
        for each in mirrors:
            if check.problems and check.concerns(each):
                assert list(check.problems(each)) == [], (check.name, each.name)
        if check.name in ("network-policy", "disruption-budget") and check.stack:
            assert not [each.name for each, _ in check.stack(seen) if "mirror" in each.name]


def test_a_service_without_shadow_has_no_mirror() -> None:
    environment = samples.ENVIRONMENT
    with pytest.raises(ValueError, match="shop has no shadow, and no mirror"):
        MirrorArgs(
            spec=environment.spec,
            context=environment.context,
            namespace="staging-shop",
            entrance=environment.entrance,
            network=samples.NETWORK,
            answering=None,  # type: ignore[arg-type]
        )
