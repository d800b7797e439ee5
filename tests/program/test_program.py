"""The whole program, for every stack file."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import hypothesis
import pytest
from hypothesis import given

from components.edge.network import NetworkError
from components.model import Color, Given
from components.settings import SettingsError, parse
from tests.support import strategies as some
from tests.support.answers import ANSWERS
from tests.support.engine import Engine
from tests.support.program import STACKS, Config, build, config, defaults, differences, run, unchanged

WEIGHTS = {f"actions[0].forward.targetGroups[{index}].weight" for index in (0, 1)}

each_stack = pytest.mark.parametrize("stack", ["production", pytest.param("staging", marks=pytest.mark.slow)])
"""The third, of the local cloud, is run for real."""


@cache
def changed(stack: str, change: Callable[[Config], None]) -> Engine:
    return run(stack, change)


def names(differing: dict[str, set[str]]) -> set[str]:
    return {urn.split("::")[-1] for urn in differing}


def following(stack: str) -> set[str]:
    """Return the services that leave color and weight to the stack."""
    services = config(stack)["hueshift:services"].items()
    return {name for name, service in services if not {"activeColor", "canaryWeight"} & service.keys()}


def other_color(values: Config) -> None:
    values["hueshift:activeColor"] = "green" if values["hueshift:activeColor"] == "blue" else "blue"


def canary_step(values: Config) -> None:
    values["hueshift:canaryWeight"] = 10


def test_there_are_stacks_to_test() -> None:
    assert {"sandbox", "staging", "production"} == set(STACKS)


def test_what_the_program_sets_itself_is_what_the_settings_keep_free() -> None:
    def variables(inputs: Mapping[str, Any]) -> set[str]:
        if "data" in inputs:
            return set(inputs["data"])
        containers = inputs.get("spec", {}).get("template", {}).get("spec", {}).get("containers", [])
        return {item["name"] for container in containers for item in container.get("env", [])}

    given = set[str]().union(
        *(
            variables(each.inputs)
            for each in unchanged("staging").registrations.values()
            if each.type.endswith((":ConfigMap", ":Deployment", ":Job"))
        )
    )
    stated = {name for service in config("staging")["hueshift:services"].values() for name in service.get("env", {})}
    assert given - stated == set(Given)


@each_stack
@pytest.mark.parametrize("change", [other_color, canary_step])
def test_a_flip_or_a_canary_step_changes_the_weights_of_one_rule_per_service_and_nothing_else(
    stack: str, change: Callable[[Config], None]
) -> None:
    found = differences(unchanged(stack), changed(stack, change))
    assert following(stack)
    assert names(found) == {f"{name}-traffic-production" for name in following(stack)}
    for paths in found.values():
        assert paths == WEIGHTS


def test_another_port_makes_no_group_binding_rule_or_policy_anew() -> None:
    def moved(values: Config) -> None:
        values["hueshift:services"]["shop"]["port"] = 9000

    found = names(differences(unchanged("production"), changed("production", moved)))
    pods = {f"shop-{color}-{part}" for color in ("blue", "green") for part in ("service", "deployment")}
    assert pods <= found
    assert {name for name in found - pods if not name.startswith("edge-out-")} == set()
    assert {name.split("-")[2] for name in found - pods} == {"9000"}, (
        "the security group opens the new port; 8080 is pricing's"
    )


def previewed(values: dict[str, Any]) -> bool:
    """Preview a stack; return whether nothing was refused, by the settings or for the network that there is."""
    try:
        parse(values, stack="dev", region="eu-west-1")
    except SettingsError:
        return False
    outputs = {"vpcId": "vpc-0a1b2c3d", "subnetIds": ["subnet-0a1b2c3d", "subnet-0a1b2c3e"]}
    answers = {**ANSWERS, "pulumi:pulumi:readStackOutputs": {"outputs": outputs}}
    stated = {f"hueshift:{key}": value for key, value in values.items() if value is not None}
    try:
        build({**defaults(), **stated, "aws:region": "eu-west-1"}, "dev", preview=True, answers=answers)
    except NetworkError:
        return False
    return True


@pytest.mark.parametrize("values", some.whole())
def test_the_program_takes_every_key_of_the_model(values: dict[str, Any]) -> None:
    assert previewed(values)


@pytest.mark.slow
@pytest.mark.timeout(600)
@given(some.stack_files())
@hypothesis.settings(max_examples=1000)
def test_what_the_settings_accept_of_a_stack_file_the_program_previews(values: dict[str, Any]) -> None:
    previewed(values)


def test_another_cluster_stops_the_program_before_anything_is_registered() -> None:
    def elsewhere(values: Config) -> None:
        values["kubernetes:context"] = "staging"

    with pytest.raises(Exception, match=r"cluster\.name: production .* the kubeconfig leads to none"):
        run("production", elsewhere)


@pytest.mark.slow
@pytest.mark.parametrize("stack", ["production"])
def test_one_value_flips_every_service_that_does_not_override_it(stack: str) -> None:
    def together(values: Config) -> None:
        for service in values["hueshift:services"].values():
            service.pop("activeColor", None)
            service.pop("canaryWeight", None)
            for color in service["colors"].values():
                color.pop("parked", None)

    def flipped(values: Config) -> None:
        together(values)
        other_color(values)

    assert names(differences(run(stack, together), run(stack, flipped))) == {
        f"{name}-traffic-production" for name in config(stack)["hueshift:services"]
    }


TEN = [f"shop-{number}" for number in range(1, 11)]


def ten_services(values: Config) -> None:
    shop = values["hueshift:services"].pop("shop")
    for band, name in enumerate(TEN, 1):
        values["hueshift:services"][name] = {**shop, "host": f"{name}.localhost", "priorityBand": band}


@pytest.mark.slow
def test_ten_services_flip_together_by_one_value_and_apart_by_their_own() -> None:
    def one(values: Config) -> None:
        ten_services(values)
        values["hueshift:services"]["shop-7"]["activeColor"] = "green"

    def all_of_them(values: Config) -> None:
        ten_services(values)
        other_color(values)

    before = run("sandbox", ten_services)
    assert names(differences(before, run("sandbox", one))) == {"shop-7-traffic-production"}
    assert names(differences(before, run("sandbox", all_of_them))) == {f"{name}-traffic-production" for name in TEN}


@pytest.mark.slow
def test_each_further_service_adds_the_same_number_of_resources() -> None:
    def first(count: int) -> Callable[[Config], None]:
        def change(values: Config) -> None:
            ten_services(values)
            for name in TEN[count:]:
                del values["hueshift:services"][name]

        return change

    sizes = [len(run("sandbox", first(count)).registrations) for count in (1, 2, 3)]
    assert sizes[1] - sizes[0] == sizes[2] - sizes[1]


@pytest.mark.parametrize("stack", ["production"])
def test_a_rollback_after_a_release_changes_the_weights_back_and_reruns_nothing(stack: str) -> None:
    def released(values: Config) -> None:
        colors = values["hueshift:services"]["shop"]["colors"]
        active = Color(values["hueshift:activeColor"])
        colors[active.other] |= {"version": "99.0.0", "image": colors[active]["image"], "schema": "0003"}

    def flipped(values: Config) -> None:
        released(values)
        other_color(values)

    before, after = run(stack, released), run(stack, flipped)
    assert "shop-migrate-0003-job" in names(differences(unchanged(stack), before)), "the release is one"
    back = differences(after, before)
    assert names(back) == {f"{name}-traffic-production" for name in following(stack)}
    assert set(map(frozenset, back.values())) == {frozenset(WEIGHTS)}


@each_stack
def test_a_new_version_changes_its_own_pods_and_where_the_canary_header_leads_and_nothing_else(stack: str) -> None:
    def release(values: Config) -> None:
        colors = values["hueshift:services"]["shop"]["colors"]
        colors["blue"] |= {"version": "99.0.0", "image": colors["green"]["image"]}

    assert names(differences(unchanged(stack), run(stack, release))) == {"shop-blue-deployment", "shop-traffic-canary"}


def test_what_a_color_says_of_its_pods_changes_its_pods_and_what_the_service_says_those_of_both() -> None:
    cache = {
        "volumes": [{"name": "cache", "emptyDir": {}}],
        "containers": [{"name": "app", "volumeMounts": [{"name": "cache", "mountPath": "/var/cache"}]}],
    }

    def of_green(values: Config) -> None:
        values["hueshift:services"]["shop"]["colors"]["green"] |= {"podTemplate": {"spec": cache}, "env": {"A": "b"}}

    def of_both(values: Config) -> None:
        values["hueshift:services"]["shop"] |= {"podTemplate": {"spec": cache}}
        values["hueshift:services"]["shop"]["env"] |= {"A": "b"}

    parts = ("config", "deployment")
    assert names(differences(unchanged("staging"), run("staging", of_green))) == {f"shop-green-{x}" for x in parts}
    both = {f"shop-{color}-{part}" for color in Color for part in parts}
    found = names(differences(unchanged("staging"), run("staging", of_both)))
    assert found == both, "no Job that ran is run again"


def test_a_service_without_anything_over_its_pods_is_registered_as_if_there_was_no_such_key() -> None:
    def empty(values: Config) -> None:
        for service in values["hueshift:services"].values():
            service["podTemplate"] = {"metadata": {}, "spec": {}, "allow": []}
            for color in service["colors"].values():
                color |= {"podTemplate": {}, "env": {}}

    before, after = unchanged("production"), run("production", empty)
    assert differences(before, after) == {}
    assert [urn for urn, r in before.registrations.items() if r.waits_for != after.registrations[urn].waits_for] == []


@each_stack
def test_the_outputs_are_those_that_people_and_tools_read(stack: str) -> None:
    exports: dict[str, Any] = unchanged(stack).exports
    settings = config(stack)
    assert set(exports) == {"loadBalancer", "releases", "guard", "services"}
    assert exports["loadBalancer"].endswith(".elb.amazonaws.com")
    assert exports["releases"].startswith(f"{stack}-releases-bucket-"), "by which the roles know it"
    assert exports["guard"].endswith(f":stateMachine:{stack}-guard")
    assert exports["services"].keys() == settings["hueshift:services"].keys()
    for name, service in exports["services"].items():
        given = settings["hueshift:services"][name]
        host = given["host"]
        assert service == {
            "url": f"https://{host}",
            "testUrls": {color: f"https://{color}.{host}:8443" for color in ("blue", "green")},
            "namespace": f"{stack}-{name}",
            "activeColor": "blue",
            "weights": {"blue": 100, "green": 0},
            "canaryHeader": "blue" if given["colors"]["green"].get("parked") else "green",
            "versions": {color: given["colors"][color]["version"] for color in ("blue", "green")},
            "images": {color: given["colors"][color]["image"] for color in ("blue", "green")},
        }


@each_stack
def test_a_preview_of_a_new_stack_shows_the_same_resources_and_the_weights_as_numbers(stack: str) -> None:
    preview = run(stack, preview=True)
    assert preview.registrations.keys() == unchanged(stack).registrations.keys()
    rules = [r for r in preview.registrations.values() if r.name.endswith("-traffic-production")]
    assert len(rules) == len(config(stack)["hueshift:services"])
    for rule in rules:
        groups = rule.inputs["actions"][0]["forward"]["targetGroups"]
        assert [group["weight"] for group in groups] == [100, 0]


@each_stack
def test_a_mistake_in_the_settings_stops_the_program_before_anything_is_registered(stack: str) -> None:
    def misspelt(values: Config) -> None:
        values["hueshift:canaryWieght"] = 10

    with pytest.raises(Exception, match=r"canaryWieght.*canaryWeight"):
        run(stack, misspelt)
