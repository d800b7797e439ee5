"""The settings of a stack: what is accepted, and how each mistake is refused."""

import copy
import gc
import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import FrozenInstanceError, asdict
from pathlib import Path
from typing import Any

import hypothesis
import pulumi
import pytest
import yaml
from hypothesis import given
from pydantic.alias_generators import to_camel

from components import settings
from components.model import Color, priority_band
from components.settings import KEYS, SettingsError, StackSettings, messages, parse
from components.spec import Health, Replicas, Timing
from tests.support import strategies as some
from tests.support.pages import commands

ROOT = Path(__file__).resolve().parents[3]
STACK_FILES = sorted(ROOT.glob("Pulumi.*.yaml"))
DECLARED: dict[str, Any] = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]
PREFIX = "hueshift:"
README = (ROOT / "README.md").read_text()


def put(path: str, value: object, into: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the smallest stack, or ``into``, with ``value`` at the dotted ``path``; ``...`` removes the key."""
    values = some.stack() if into is None else into
    *parents, last = path.split(".")
    place = values
    for parent in parents:
        place = place.setdefault(parent, {})
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return values


def problems(values: dict[str, Any], stack: str = "staging") -> tuple[str, ...]:
    with pytest.raises(SettingsError) as refused:
        parse(values, stack=stack)
    return refused.value.problems


RAN = settings.ran(ROOT / settings.RECORD)


def stack_file(path: Path) -> dict[str, Any]:
    config = yaml.safe_load(path.read_text())["config"]
    return {key.removeprefix(PREFIX): value for key, value in config.items() if key.startswith(PREFIX)}


# The stack files


@pytest.mark.parametrize("path", STACK_FILES, ids=lambda path: path.name)
def test_every_stack_file_is_accepted(path: Path) -> None:
    assert parse(stack_file(path), stack=path.suffixes[0][1:], ran=RAN).services


def test_two_mistakes_are_refused_as_the_readme_shows() -> None:
    (shown,) = re.findall(r"^\$ pulumi stack select production\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    values = stack_file(ROOT / "Pulumi.production.yaml")
    changes = re.findall(r"^\$ pulumi config set (?:--path )?(\S+) (\S+)$", shown, re.MULTILINE)
    assert len(changes) == 2
    for key, value in changes:
        put(key, value, values)

    with pytest.raises(SettingsError) as refused:
        parse(values, stack="production", ran=RAN)
    assert shown.partition("error: ")[2] == f"{refused.value}\n"


@pytest.mark.parametrize("path", STACK_FILES, ids=lambda path: path.name)
@pytest.mark.parametrize("change", [{"activeColor": "green"}, {"canaryWeight": "10"}])
def test_every_stack_file_can_be_flipped_and_canaried_by_one_key(path: Path, change: dict[str, str]) -> None:
    parse(stack_file(path) | change, stack=path.suffixes[0][1:])


def places(values: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Return the path of every key."""
    if isinstance(values, dict):
        for key, value in values.items():
            yield (*path, key)
            yield from places(value, (*path, key))


@pytest.mark.slow
@pytest.mark.parametrize("path", STACK_FILES, ids=lambda path: path.name)
def test_a_stack_file_has_no_key_without_which_it_would_mean_the_same(path: Path) -> None:
    def meanings(values: dict[str, Any]) -> list[StackSettings | None]:
        meant: list[StackSettings | None] = []
        for change in ({}, {"activeColor": "green"}, {"canaryWeight": 10}):
            try:
                meant.append(parse(values | change, stack=path.suffixes[0][1:]))
            except SettingsError:
                meant.append(None)
        return meant

    whole = meanings(stack_file(path))
    idle = [place for place in places(stack_file(path)) if meanings(without(stack_file(path), place)) == whole]
    assert idle == []


def without(values: dict[str, Any], place: tuple[str, ...]) -> dict[str, Any]:
    *parents, last = place
    parent = values
    for key in parents:
        parent = parent[key]
    del parent[last]
    return values


@pytest.mark.parametrize("path", STACK_FILES, ids=lambda path: path.name)
def test_a_stack_file_uses_only_keys_that_the_project_declares(path: Path) -> None:
    assert set(stack_file(path)) <= set(DECLARED)


def test_there_are_stack_files_for_the_three_environments() -> None:
    assert [path.name for path in STACK_FILES] == [
        "Pulumi.production.yaml",
        "Pulumi.sandbox.yaml",
        "Pulumi.staging.yaml",
    ]


def test_staging_has_the_services_of_production_and_production_runs_what_staging_ran() -> None:
    staging, production = (
        parse(stack_file(ROOT / f"Pulumi.{name}.yaml"), stack=name) for name in ("staging", "production")
    )

    def digests(stack: StackSettings) -> dict[tuple[str, Color], str | None]:
        return {
            (name, color): each.image
            for name, service in stack.services.items()
            for color, each in service.colors.items()
        }

    assert digests(staging) == digests(production)


def test_the_project_declares_exactly_the_keys_that_the_settings_know() -> None:
    assert set(DECLARED) == set(messages._json_schema()["properties"])


@pytest.mark.parametrize("key", DECLARED)
def test_every_declared_key_has_a_type_that_the_engine_checks_and_a_description(key: str) -> None:
    assert DECLARED[key]["type"] in {"string", "integer", "boolean", "object", "array"}
    assert len(DECLARED[key]["description"]) > 20


def test_the_project_describes_every_key_below_those_that_it_declares() -> None:
    below = [key for key in declared(messages._json_schema()) if len(key) > 1 and key[-1] != "*"]
    assert len(below) > 80
    words = {key: set(re.findall(r"\w+", each["description"])) for key, each in DECLARED.items()}
    assert [".".join(key) for key in below if key[-1] not in words[key[0]]] == []


@pytest.mark.parametrize("group", [Timing(), Health(), Replicas()], ids=lambda group: type(group).__name__)
def test_a_default_that_the_project_describes_is_the_one_of_the_model(group: Timing | Health | Replicas) -> None:
    said = DECLARED["services"]["description"]
    stated = {to_camel(name): value for name, value in asdict(group).items() if value is not None}
    assert [key for key, value in stated.items() if f"{key} {value}" not in said] == []


def test_declared_defaults_are_the_defaults_of_the_settings() -> None:
    # The engine hands its defaults to the program, so two that differ would make a third.
    defaults = {key: each["default"] for key, each in DECLARED.items() if "default" in each}

    assert parse(defaults | some.stack(), stack="dev") == parse(some.stack(), stack="dev")
    assert {key: some.stack()[key] for key in defaults.keys() & some.stack().keys()}.keys() == {
        "loadBalancer",
        "alerts",
    }
    assert set(DECLARED) - set(defaults) == set(messages._json_schema()["required"])


def test_the_pages_for_operators_set_only_keys_that_the_settings_know() -> None:
    pages = "\n".join(block.text for block in commands())
    paths = re.findall(r"pulumi config (?:set|rm) (?:--path )?[\"']?([\w.$]+)", pages)
    assert len(paths) > 10
    for path in paths:
        *parents, last = path.split(".")
        place = messages._schema(parents)
        assert last in place.get("properties", {}) or place["additionalProperties"], path


# What is accepted


def test_a_service_takes_color_and_weight_from_the_stack_unless_it_has_its_own() -> None:
    values = put("services.own", {**some.stack()["services"]["shop"], "host": "own.example.com"})
    put("services.own.activeColor", "blue", values)
    put("services.own.canaryWeight", 0, values)

    services = parse({**values, "activeColor": "green", "canaryWeight": "25"}, stack="dev").services

    assert (services["shop"].active_color, services["shop"].canary_weight) == (Color.GREEN, 25)
    assert (services["own"].active_color, services["own"].canary_weight) == (Color.BLUE, 0)


def test_an_environment_is_named_after_its_stack_unless_it_says_otherwise() -> None:
    assert parse(some.stack(), stack="dev").environment == "dev"
    assert parse(some.stack() | {"environment": "qa"}, stack="dev").environment == "qa"
    assert parse(some.stack() | {"environment": ""}, stack="dev").environment == "dev"


@pytest.mark.parametrize(("stated", "said"), [(0, "0"), (False, "false"), ([], "a list"), ({}, "a mapping")])
def test_an_environment_that_is_no_text_is_refused_and_not_taken_as_none(stated: object, said: str) -> None:
    assert any(
        each.startswith(f"{PREFIX}environment: must be text in quotes; got {said}")
        for each in problems(put("environment", stated))
    )


def test_colors_stand_in_the_order_of_every_target_group_list() -> None:
    values = some.stack()
    colors = values["services"]["shop"]["colors"]
    values["services"]["shop"]["colors"] = dict(reversed(colors.items()))
    assert list(parse(values, stack="dev").services["shop"].colors) == list(Color)


def test_the_band_of_a_service_does_not_depend_on_the_others() -> None:
    alone = parse(some.stack(), stack="dev").services["shop"].priority_band
    crowd = some.stack()
    crowd["services"] = {
        name: {**crowd["services"]["shop"], "host": f"{name}.example.com"} for name in ("aaa", "shop", "zzz")
    }
    assert parse(crowd, stack="dev").services["shop"].priority_band == alone


@pytest.mark.parametrize(
    "text", ["010", "1e3", "yes", "12:30", "two\nlines\t", "$(PORT) $$", "é 🙂", "", "x" * 100_000]
)
def test_a_variable_is_text_as_it_was_written(text: str) -> None:
    assert parse(put("services.shop.env.http_proxy", text), stack="dev").services["shop"].env["http_proxy"] == text


@pytest.mark.parametrize("value", [8, 1000.5, True, None, 10**30])
def test_a_variable_that_yaml_has_made_something_else_of_is_refused_with_what_mends_it(value: object) -> None:
    [problem] = problems(put("services.shop.env.SETTING", value))
    assert problem.startswith(f"{PREFIX}services.shop.env.SETTING: must be text in quotes")
    assert ("--type string" in problem) == (value is not None)


def test_a_date_that_yaml_has_changed_is_refused_wherever_it_stands() -> None:
    for where in (f"{SHOP}.env.DAY", "alerts.onCall"):
        [problem] = problems(put(where, "2026-01-02 00:00:00 +0000 UTC"))
        assert (
            problem == f"{PREFIX}{where}: was a date without quotes, which YAML has changed; it must be text in quotes"
        )


def test_a_parked_color_needs_no_secret_version() -> None:
    values = put("services.shop.colors.green.parked", True)
    put("services.shop.colors.green.secretVersions", {}, values)
    assert parse(values, stack="dev").services["shop"].colors[Color.GREEN].parked


@given(some.timings(), some.colors, some.canaries, some.labels)
def test_settings_written_out_and_read_again_are_the_same(
    timing: Timing, active: Color, weight: int, name: str
) -> None:
    values = some.stack()
    service = values["services"].pop("shop")
    keys = {alias: getattr(timing, field) for alias, field in TIMING_FIELDS.items()}
    idle_timeout = max(timing.longest_request + 1, 60)
    service["timing"] = keys | {"keepAlive": idle_timeout + 1}
    values |= {"activeColor": active.value, "canaryWeight": weight, "services": {name: service}}
    values["loadBalancer"]["idleTimeout"] = idle_timeout

    first = parse(values, stack="dev")

    assert parse(KEYS.dump_python(first, by_alias=True, mode="json"), stack="dev") == first
    assert parse(json.loads(json.dumps(values)), stack="dev") == first


def test_prometheus_has_an_operator_unless_it_is_said_otherwise() -> None:
    assert parse(some.stack(), stack="dev").prometheus.enabled
    labels = {"release": "kube-prometheus-stack"}
    chosen = parse(put("prometheus", {"enabled": False, "labels": labels}), stack="dev").prometheus
    assert (chosen.enabled, chosen.labels) == (False, labels)


def test_what_depends_on_production_or_scheme_is_settled_before_anything_is_built() -> None:
    for stack, scheme in (("staging", "internal"), ("staging", "internet-facing"), ("production", "internet-facing")):
        values = put("network.scheme", scheme)
        values["loadBalancer"]["testListenerCidrs"] = ["203.0.113.10/32"]
        values["alerts"]["uptimeTopicArns"] = ["arn:aws:sns:us-east-1:111122223333:central"]
        found = parse(values, stack=stack)
        production = stack == "production"
        assert (found.production, found.load_balancer.access_logs) == (production, production)
        assert found.services["shop"].expects_traffic is production
        assert found.load_balancer.waf is (scheme == "internet-facing")
        assert found.services["shop"].uptime.enabled is (production and scheme == "internet-facing")
        assert found.alerts.owner_of("shop") == "team-shop"
    nobody = put("alerts.owner", ...) | {"production": "false"}
    nobody["loadBalancer"] |= {"accessLogs": True, "waf": True}
    put(f"{SHOP}.expectsTraffic", True, nobody)
    stated = parse(nobody, stack="staging")
    assert stated.alerts.owner_of("shop") == "shop"
    assert stated.load_balancer.access_logs
    assert stated.load_balancer.waf
    assert stated.services["shop"].expects_traffic


def test_a_production_service_is_asked_from_outside_if_somebody_hears_of_it_and_an_internal_one_never() -> None:
    def public(**alerts: object) -> dict[str, Any]:
        values = put("network.scheme", "internet-facing")
        values["loadBalancer"]["testListenerCidrs"] = ["203.0.113.10/32"]
        values["alerts"] |= alerts
        return values

    key = "hueshift:services.shop.uptime.enabled: "
    mail = [{"protocol": "email", "endpoint": "ops@example.com"}]
    assert problems(public(), "production") == (
        f"{key}would tell nobody: set alerts.uptimeTopicArns (topics in us-east-1) or alerts.subscriptions, or false",
    )
    assert parse(public(subscriptions=mail), stack="production").services["shop"].uptime.enabled
    assert not parse(put(f"{SHOP}.uptime.enabled", False, public()), stack="production").services["shop"].uptime.enabled
    there = public(topicArns=["arn:aws:sns:us-east-1:111122223333:central"])
    there["loadBalancer"]["certificateArn"] = "arn:aws:acm:us-east-1:111122223333:certificate/5d0c1f0e"
    assert parse(there, stack="production", region="us-east-1").services["shop"].uptime.enabled
    (line,) = problems(put(f"{SHOP}.uptime.enabled", True))
    assert line == f"{key}is for what is internet-facing; nobody outside reaches this load balancer"


def test_a_group_of_logs_is_kept_for_a_time_that_cloudwatch_takes() -> None:
    assert parse(put("logs.retentionDays", 30), stack="dev").logs is not None
    (line,) = problems(put("logs.retentionDays", 31))
    assert line.startswith("hueshift:logs.retentionDays: 31 is no retention; allowed are 1, 3, 5, 7, 14, 30, ")
    assert parse(some.stack(), stack="dev").logs is None


def test_the_longest_place_of_the_runbooks_is_eighty_characters() -> None:
    place = "https://example.com/" + "x" * 60
    assert parse(put("alerts.runbooks", place), stack="dev").alerts.runbooks == place


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        parse(some.stack(), stack="dev").canary_weight = 50  # type: ignore[misc]


TIMING_FIELDS = {
    "longestRequest": "longest_request",
    "deregistrationDelay": "deregistration_delay",
    "preStop": "pre_stop",
    "gracePeriod": "grace_period",
    "stickiness": "stickiness",
    "bake": "bake",
    "keepOld": "keep_old",
}


# What is refused

SHOP = "services.shop"
GREEN = f"{SHOP}.colors.green"
BUILT = {key: value for key, value in some.color("1.5.0").items() if key != "image"} | {"build": {"context": "app"}}
NO_SCHEMAS = {"blue": some.color("1.4.0"), "green": some.color("1.5.0")}
JOB = {"command": ["/m"], "schedule": "@daily"}
SIDECAR = {
    "spec": {
        "containers": [
            {
                "name": "proxy",
                "image": "proxy:latest",
                "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "32Mi"}},
            }
        ]
    }
}
BAD: list[tuple[str, object, str]] = [
    # (where, what, the line that refuses it, after `hueshift:`)
    ("canaryWieght", 10, "canaryWieght: unknown key; did you mean canaryWeight?"),
    ("totally", 10, "totally: unknown key; known here: environment, production, activeColor,"),
    ("network.vpcID", "x", "network.vpcID: unknown key; did you mean vpcId?"),
    (f"{GREEN}.imagee", "x", f"{GREEN}.imagee: unknown key; did you mean image?"),
    (f"{SHOP}.timing.preStpo", 9, f"{SHOP}.timing.preStpo: unknown key; did you mean preStop?"),
    (f"{SHOP}.namespace", "kube-system", f"{SHOP}.namespace: unknown key; known here: host, routes, port,"),
    (f"{GREEN}.image", "shop:latest", f"{GREEN}.image: 'shop:latest' has the tag latest; use a digest"),
    (f"{GREEN}.image", "shop", f"{GREEN}.image: 'shop' has no tag, which means latest; use a digest"),
    (
        f"{GREEN}.image",
        "shop:stable",
        f"{GREEN}.image: 'shop:stable' has the tag stable, neither a version nor a commit",
    ),
    (f"{GREEN}.image", "Shop:1.4.0", f"{GREEN}.image: 'Shop:1.4.0' is no image reference"),
    (f"{GREEN}.image", ..., f"{GREEN}.image: is required: the image, by digest"),
    (f"{GREEN}.version", 1.4, f"{GREEN}.version: must be text in quotes; got 1.4"),
    (f"{GREEN}.version", "1.4", f"{GREEN}.version: '1.4' is no semantic version such as 1.4.0"),
    (f"{GREEN}.schema", 2, f"{GREEN}.schema: must be text in quotes; got 2"),
    (f"{GREEN}.schema", "2", f"{GREEN}.schema: '2' is no schema id; allowed are four digits, such as \"0002\""),
    (GREEN, ..., f"{GREEN}: is required, and may repeat the image of the other color with parked: true"),
    (GREEN, None, f"{GREEN}: must be a mapping; got null"),
    (f"{SHOP}.colors.grene", {}, f'{SHOP}.colors.grene: must be blue or green; got "grene"'),
    ("activeColor", "purple", 'activeColor: must be blue or green; got "purple"'),
    ("canaryWeight", "101", "canaryWeight: 101 is out of range; allowed are 0 to 99"),
    ("canaryWeight", -1, "canaryWeight: -1 is out of range; allowed are 0 to 99"),
    ("canaryWeight", "ten", 'canaryWeight: must be a whole number; got "ten"'),
    (f"{SHOP}.canaryWeight", 150, f"{SHOP}.canaryWeight: 150 is out of range; allowed are 0 to 99"),
    (
        f"{SHOP}.colors.blue.parked",
        True,
        f"{SHOP}.colors.blue.parked: true, but activeColor is blue; set parked to false,",
    ),
    (f"{SHOP}.host", "shop", f"{SHOP}.host: 'shop' has no dot; the load balancer matches only names such as"),
    (f"{SHOP}.host", f"{'a' * 60}.{'b' * 62}", f"{SHOP}.host: a host of 123 characters is too long; at most 122"),
    (f"{SHOP}.port", 80, f"{SHOP}.port: 80 is out of range; allowed are 1024 to 65535"),
    (f"{SHOP}.port", "8080", f'{SHOP}.port: must be a whole number; got "8080"'),
    (
        f"{SHOP}.timing.preStop",
        30,
        f"{SHOP}.timing: preStop 30 s must be more than deregistrationDelay, or a pod stops while the load balancer "
        "still sends to it: raise preStop to 31",
    ),
    (
        f"{SHOP}.timing.gracePeriod",
        69,
        f"{SHOP}.timing: gracePeriod 69 s must be at least preStop + longestRequest + 5, or a pod is killed with "
        "requests in flight: raise gracePeriod to 70",
    ),
    (
        f"{SHOP}.timing.keepAlive",
        60,
        f"{SHOP}.timing: keepAlive 60 s must be more than loadBalancer.idleTimeout, or the load balancer reuses "
        "connections that the service has closed: raise keepAlive to 61",
    ),
    (
        "loadBalancer.idleTimeout",
        30,
        f"{SHOP}.timing: loadBalancer.idleTimeout 30 s must be more than the longestRequest of every service, or the "
        "load balancer gives up before the service answers: raise loadBalancer.idleTimeout to 31",
    ),
    (
        f"{SHOP}.timing.keepOld",
        359,
        f"{SHOP}.timing: keepOld 359 s must be at least deregistrationDelay + longestRequest + bake, or "
        "the old color is gone while it is still needed: raise keepOld to 360",
    ),
    (
        f"{SHOP}.timing.bake",
        299,
        f"{SHOP}.timing: bake 299 s must be at least the 300 s that an alarm looks at, or a step ends before an alarm "
        "can see it: raise bake to 300",
    ),
    (
        f"{SHOP}.timing.awaitTimeout",
        35,
        f"{SHOP}.timing.awaitTimeout: 35 s is too short, or every update gives up on a healthy color; more than "
        "health.interval by health.healthyThreshold and 15 s for the controller (35 s): raise awaitTimeout to 36",
    ),
    (
        f"{SHOP}.health.timeout",
        10,
        f"{SHOP}.health.interval: 10 s is too short; more than health.timeout (10 s): raise interval to 11",
    ),
    (f"{SHOP}.health.path", "health", f"{SHOP}.health.path: 'health' has the wrong form; allowed is an absolute path"),
    (f"{SHOP}.replicas", {"min": 5}, f"{SHOP}.replicas.max: 4 is less than min (5); raise max to 5 or more"),
    (f"{SHOP}.replicas", {"min": 0}, f"{SHOP}.replicas.min: 0 is too few; at least 1"),
    (
        f"{SHOP}.resources",
        {"cpu": "lots"},
        f"{SHOP}.resources.cpu: 'lots' is no amount of CPU; allowed are millicores such as 250m",
    ),
    (f"{SHOP}.resources", {"memory": "128m"}, f"{SHOP}.resources.memory: '128m' is no amount of memory; allowed are"),
    (f"{SHOP}.env.a-b", "x", f"{SHOP}.env.a-b: not the name of an environment variable; allowed are letters"),
    (f"{SHOP}.env.RATE", 0.5, f"{SHOP}.env.RATE: must be text in quotes"),
    (
        f"{SHOP}.env.DB_PASSWORD",
        "x",
        (
            f"{SHOP}.env.DB_PASSWORD: the name is that of a secret, and everybody can read this file; "
            "put it into Secrets Manager and name DB_PASSWORD under secrets"
        ),
    ),
    (
        f"{SHOP}.env.URL",
        "postgresql://u:obviously-fake@db/x",
        f"{SHOP}.env.URL: the value looks like a URL with a password, and",
    ),
    (
        f"{SHOP}.env.JWT_SECRETS_URL",
        "AKIAEXAMPLE000000000",
        f"{SHOP}.env.JWT_SECRETS_URL: the value looks like an AWS access key id",
    ),
    (
        f"{SHOP}.secrets.app.keys",
        ["jwt-secret"],
        f"{SHOP}.secrets.app.keys[0]: not the name of an environment variable",
    ),
    (f"{SHOP}.secrets.app.keys", ["LOG_LEVEL"], f"{SHOP}.secrets.app.keys: LOG_LEVEL is set by env too; name it once"),
    (
        f"{SHOP}.secrets.other",
        {"keys": ["X"]},
        (
            f"{GREEN}.secretVersions.other: is required while the color runs, or a rotation changes "
            "what it runs with; `hueshift secrets status` says which to pin of staging/shop/other"
        ),
    ),
    (
        f"{GREEN}.secretVersions.app",
        "AWSCURRENT",
        f"{GREEN}.secretVersions.app: not a version id; allowed is what `aws secretsmanager",
    ),
    (f"{GREEN}.secretVersions.ap", "0" * 36, f"{GREEN}.secretVersions.ap: unknown key; did you mean app?"),
    (
        f"{SHOP}.podTemplate",
        {"spec": {"contaners": []}},
        f"{SHOP}.podTemplate.spec.contaners: unknown key; did you mean containers?",
    ),
    (f"{SHOP}.podTemplate", {"allow": ["x"]}, f"{SHOP}.podTemplate.allow[0]: is nothing that can be allowed"),
    (
        f"{GREEN}.podTemplate",
        {"spec": {"containers": [{"name": "app", "livenessProbe": {"periodSeconds": 9}}]}},
        f"{GREEN}.podTemplate.spec.containers[app].livenessProbe.periodSeconds: is made of health, as the load "
        "balancer's own check is; remove it here, or name spec.containers[app].livenessProbe under allow",
    ),
    (
        f"{SHOP}.podTemplate",
        {"spec": {"containers": [{"name": "app", "env": [{"name": "LOG_LEVEL", "value": "x"}]}]}},
        f"{SHOP}.podTemplate.spec.containers[app].env[LOG_LEVEL]: is set by env too; name it once",
    ),
    (
        f"{SHOP}.podTemplate",
        {"spec": {"containers": [{"name": "app", "env": [{"name": "DB_PASSWORD", "value": "x"}]}]}},
        f"{SHOP}.podTemplate.spec.containers[app].env[DB_PASSWORD]: the name is that of a secret, and",
    ),
    (
        f"{SHOP}.podTemplate",
        {"spec": {"containers": [{"name": "app", "ports": [{"containerPort": 8080, "name": "x"}]}]}},
        f"{SHOP}.podTemplate.spec.containers[app].ports[8080]: is where the service itself listens, which port says",
    ),
    (f"{SHOP}.podTemplate", SIDECAR, f'{SHOP}.podTemplate.spec.containers[proxy].image: "proxy:latest" has'),
    (
        f"{GREEN}.env",
        {"DB_PASSWORD": "x"},
        f"{GREEN}.env.DB_PASSWORD: the name is that of a secret, and everybody can read this file",
    ),
    (f"{GREEN}.env.PORT", "9000", f"{GREEN}.env.PORT: set by the program already; remove it here"),
    (f"{GREEN}.env", {"JWT_SECRET": "x"}, f"{SHOP}.secrets.app.keys: JWT_SECRET is set by env too; name it once"),
    (f"{SHOP}.migration", {"command": []}, f"{SHOP}.migration.command: is empty; name the program and its arguments"),
    (
        f"{SHOP}.migration.command",
        ["/migrate", "postgresql://u:obviously-fake@db/x"],
        f"{SHOP}.migration.command: has a word that looks like a URL with a password, and everybody can read this file",
    ),
    (f"{SHOP}.migration.image", "migrate", f"{SHOP}.migration.image: 'migrate' has no tag, which means latest"),
    (
        SHOP,
        {**some.stack()["services"]["shop"], "colors": NO_SCHEMAS, "migration": {"command": ["/migrate"]}},
        f"{SHOP}.migration: runs nothing, for no color names a schema; set colors.<color>.schema, or remove it",
    ),
    (f"{SHOP}.metrics.path", "metrics", f"{SHOP}.metrics.path: 'metrics' has the wrong form; allowed is an absolute"),
    (f"{SHOP}.alerts", {"errorPercent": 21}, f"{SHOP}.alerts.errorPercent: 21 is out of range; allowed are 1 to 20"),
    (f"{SHOP}.alerts", {"minutes": 4}, f"{SHOP}.alerts.minutes: 4 is out of range; allowed are 5 to 15"),
    (
        f"{SHOP}.alerts",
        {"minutes": 10},
        f"{SHOP}.timing: bake 300 s must be at least the 600 s that an alarm looks at, or a step ends before an alarm "
        "can see it: raise bake to 600",
    ),
    (
        f"{SHOP}.alerts",
        {"p95Milliseconds": 3000},
        f"{SHOP}.alerts.p99Milliseconds: 2500 is less than p95Milliseconds; set it to 3000 or more",
    ),
    (f"{SHOP}.alerts", {"severities": {"eror": "warning"}}, f"{SHOP}.alerts.severities.eror: must be errors, "),
    (
        f"{SHOP}.alerts",
        {"severities": {"errors": "none"}},
        f'{SHOP}.alerts.severities.errors: must be critical or warning; got "none"',
    ),
    (f"{SHOP}.workloads", {"m": {"command": []}}, f"{SHOP}.workloads.m.command: is empty; name the program and its"),
    (f"{SHOP}.workloads", {"m": {}}, f"{SHOP}.workloads.m.command: is required: the command of the worker or job"),
    (
        f"{SHOP}.workloads",
        {"m": {"command": ["/m"], "schedule": "hourly"}},
        f"{SHOP}.workloads.m.schedule: 'hourly' has the wrong form; allowed is such as 15 3 * * *",
    ),
    (
        f"{SHOP}.workloads",
        {"m": {"command": ["/m"], "schedule": "@daily", "replicas": 2}},
        f"{SHOP}.workloads.m.replicas: means nothing with schedule, which starts one pod; remove it",
    ),
    (
        "services",
        {"s" * 36: {**some.stack()["services"]["shop"], "workloads": {"report-daily": JOB}}},
        f"services.{'s' * 36}.workloads.report-daily: makes a CronJob with a name of 55 characters; allowed are 52",
    ),
    ("loadBalancer.clientCidrs", [], "loadBalancer.clientCidrs: 0 networks; allowed are 1 to 20"),
    ("loadBalancer.headersFromServices", ["csp"], "loadBalancer.headersFromServices[0]: must be strict-transport-"),
    (f"{SHOP}.priorityBand", 500, f"{SHOP}.priorityBand: 500 is out of range; allowed are 1 to 499"),
    ("services", {}, "services: 0 services; allowed are 1 to 24"),
    ("services", ..., "services: is required: the services by name"),
    ("services", [], "services: must be a mapping; got a list"),
    ("services.Shop", {}, "services.Shop: 'Shop' is no usable name; allowed are at most 40 lowercase letters"),
    ("environment", "my_env", "environment: 'my_env' is no usable name; allowed are at most 22 lowercase letters"),
    ("network.vpcId", "main", "network.vpcId: 'main' has the wrong form; allowed is an id such as vpc-0a1b2c3d"),
    (
        "network.subnetIds",
        ["subnet-0a1b2c3d"],
        "network.subnetIds: 1 is too few; at least 2 subnets, in different availability zones",
    ),
    ("network.scheme", "public", 'network.scheme: must be internal or internet-facing; got "public"'),
    (
        "network.podCidrs",
        ["10.0.0.1/8"],
        "network.podCidrs[0]: '10.0.0.1/8' is no IPv4 network; allowed is an address without host bits",
    ),
    ("network.podCidrs", ["2001:db8::/56"], "network.podCidrs[0]: '2001:db8::/56' is no IPv4 network; allowed is"),
    (f"{SHOP}.env.PORT", "9000", f"{SHOP}.env.PORT: set by the program already; remove it here"),
    (f"{SHOP}.timing.keepAlive", 90_000, f"{SHOP}.timing.keepAlive: 90000 is out of range; allowed are 1 to 86400"),
    (
        "loadBalancer.testListenerCidrs",
        ["0.0.0.0/0"],
        "loadBalancer.testListenerCidrs: opens the test listener to the world (4294967296 addresses",
    ),
    (
        "loadBalancer.testListenerCidrs",
        ["10.1.2.3"],
        "loadBalancer.testListenerCidrs[0]: '10.1.2.3' has no prefix length; for one address write 10.1.2.3/32",
    ),
    ("loadBalancer.testListenerPort", 443, "loadBalancer.testListenerPort: 443 is no port for the test listener"),
    ("loadBalancer.idleTimeout", 4001, "loadBalancer.idleTimeout: 4001 is out of range; allowed are 1 to 4000"),
    ("loadBalancer.deletionProtection", "yes", 'loadBalancer.deletionProtection: must be true or false; got "yes"'),
    (
        "loadBalancer.certificateArn",
        "cert",
        "loadBalancer.certificateArn: 'cert' has the wrong form; allowed is arn:aws:acm:",
    ),
    ("loadBalancer.certificateArn", ..., "loadBalancer.certificateArn: is required, or dns.zone, in which"),
    ("loadBalancer.corsOrigin", "*", "loadBalancer.corsOrigin: '*' is no single origin; allowed is one such as"),
    ("loadBalancer.contentSecurityPolicy", "é", "loadBalancer.contentSecurityPolicy: is no header value"),
    ("loadBalancer.rateLimit", 9, "loadBalancer.rateLimit: 9 is out of range; allowed are 10 to"),
    (GREEN, {**some.color("1.5.0"), "build": {"context": "app"}}, f"{GREEN}.image: is required: the image, by digest"),
    (f"{GREEN}", BUILT, f"{GREEN}.build: has nowhere to push to; name the service in registry.repositories"),
    (f"{GREEN}.build", {"context": "../x"}, f"{GREEN}.build.context: '../x' is no path below the project"),
    ("registry", {"repositories": ["shpo"]}, "services.shpo: is named by registry.repositories, but no service"),
    ("registry", {"readerAccounts": ["1"]}, "registry.readerAccounts[0]: '1' has the wrong form; allowed is an"),
    (f"{SHOP}.policyArns", ["arn:aws:iam::aws:policy/X"], f"{SHOP}.policyArns: needs the name of the EKS cluster"),
    (f"{SHOP}.policyArns", ["admin"], f"{SHOP}.policyArns[0]: 'admin' has the wrong form; allowed is arn:aws:iam:"),
    (f"{SHOP}.egress", [{"cidr": "10.0.0.0", "ports": [1]}], f"{SHOP}.egress[0].cidr: '10.0.0.0' has no prefix"),
    (f"{SHOP}.egress", [{"cidr": "10.0.0.0/8", "ports": [0]}], f"{SHOP}.egress[0].ports[0]: 0 is out of range"),
    (f"{SHOP}.priorityClass", "Very High", f"{SHOP}.priorityClass: 'Very High' is no name in Kubernetes"),
    (f"{SHOP}.strategy", {"kind": "x"}, f'{SHOP}.strategy.kind: must be blueGreen, rolling or recreate; got "x"'),
    ("kmsKeyArn", "key", "kmsKeyArn: 'key' has the wrong form; allowed is arn:aws:kms:"),
    ("alerts", {"topicArns": ["ops"]}, "alerts.topicArns[0]: 'ops' has the wrong form; allowed is arn:aws:sns:"),
    ("alerts.runbooks", "docs/alerts", "alerts.runbooks: 'docs/alerts' has the wrong form; allowed is an https URL"),
    ("alerts.runbooks", "https://example.com/", "alerts.runbooks: 'https://example.com/' has the wrong form; allowed"),
    ("alerts.runbooks", f"https://{'x' * 73}", f"alerts.runbooks: 'https://{'x' * 40}"),
    ("cluster.containerInsights", True, "cluster.name: is required with containerInsights: its metrics are found by"),
    ("prometheus", False, "prometheus: must be a mapping; got false"),
    ("prometheus.enabled", "no", 'prometheus.enabled: must be true or false; got "no"'),
    ("prometheus.labels", {"app.kubernetes.io/name": "x"}, "prometheus.labels.app.kubernetes.io/name: 'app.kubernetes"),
    ("prometheus.labels", {"hueshift.dev/x": "x"}, "prometheus.labels.hueshift.dev/x: 'hueshift.dev/x' is set already"),
    ("prometheus.labels", {"-a": "x"}, "prometheus.labels.-a: '-a' is no name of a label; allowed are at most 63"),
    ("prometheus.labels", {"a": "b c"}, "prometheus.labels.a: 'b c' is no value of a label; allowed are at most 63"),
    ("prometheus.labels", {"a": 1}, "prometheus.labels.a: must be text in quotes; got 1"),
]


@pytest.mark.parametrize(("where", "what", "line"), BAD, ids=[f"{where}={what}"[:60] for where, what, _ in BAD])
def test_a_mistake_is_refused_with_its_key_its_value_and_what_mends_it(where: str, what: object, line: str) -> None:
    found = problems(put(where, what))

    assert any(each.startswith(PREFIX + line) for each in found), found
    assert all(each.startswith(PREFIX) and not each.endswith(".") and "\n" not in each for each in found)


@pytest.mark.parametrize(
    ("where", "what", "line"),
    [
        (
            f"{GREEN}.image",
            "shop:1.5.0",
            f"{GREEN}.image: 'shop:1.5.0' can change its content; production takes only the digest",
        ),
        (f"{SHOP}.replicas", {"min": 1}, f"{SHOP}.replicas.min: 1 is too few; at least 2 in production"),
        ("alerts.onCall", ..., "alerts.onCall: is required in production: who is called and how"),
        ("alerts.owner", ..., "alerts.owner: is required in production: the load balancer's alarms say no other"),
        ("alerts.topicArns", ..., "alerts.subscriptions: is required in production, or topicArns: nobody would hear"),
    ],
)
def test_production_refuses_what_staging_accepts(where: str, what: object, line: str) -> None:
    parse(put(where, what), stack="staging")

    [problem] = problems(put(where, what), stack="production")
    assert problem.startswith(PREFIX + line)


def test_production_builds_nothing() -> None:
    values = put(GREEN, BUILT) | {"registry": {"repositories": ["shop"]}}
    assert parse(values, stack="staging").services["shop"].colors[Color.GREEN].build
    [problem] = problems(values, stack="production")
    assert problem.startswith(f"{PREFIX}{GREEN}.build: is not for production, which takes only the digest")


def test_production_takes_only_a_digest_that_staging_ran() -> None:
    digest = f"sha256:{'a' * 64}"
    assert parse(some.stack(), stack="production", ran={"shop": {digest: ()}}).services
    assert parse(some.stack(), stack="staging", ran={}).services

    with pytest.raises(SettingsError) as refused:
        parse(some.stack(), stack="production", ran={"shop": {"sha256:" + "b" * 64: ()}, "web": {digest: ()}})
    assert refused.value.problems[0] == (
        f"{PREFIX}{SHOP}.colors.blue.image: sha256:aaaaaaaaaaaa… never ran in staging, as releases.json says; deploy "
        "it there, then record it with `hueshift image record shop --stack staging`"
    )


def test_production_takes_only_what_there_is_evidence_for_where_the_stack_asks_for_it() -> None:
    digest = f"sha256:{'a' * 64}"
    values = {**some.stack(), "releases": {"evidence": ["tests", "scan", "migration"]}}
    colors = values["services"]["shop"]["colors"].values()
    for release in colors:
        release.pop("schema", None)

    def refusal(*shown: str) -> str:
        with pytest.raises(SettingsError) as refused:
            parse(values, stack="production", ran={"shop": {digest: shown}})
        return refused.value.problems[0]

    assert parse(values, stack="staging", ran={}).services
    assert parse(values, stack="production", ran={"shop": {digest: ("scan", "tests")}}).services, "there is no schema"
    assert refusal("scan") == (
        f"{PREFIX}{SHOP}.colors.blue.image: sha256:aaaaaaaaaaaa… has no evidence of tests in releases.json, which "
        "releases.evidence asks for; while staging serves it: `hueshift image record shop --stack staging "
        "--evidence tests=URL`"
    )
    for release in colors:
        release["schema"] = "0001"
    assert "has no evidence of migration" in refusal("scan", "tests", "rollback")


def test_a_record_that_cannot_be_read_is_refused_and_none_is_an_empty_one(tmp_path: Path) -> None:
    record = tmp_path / "releases.json"
    assert settings.ran(record) == {}
    record.write_text('{"shop": [{"digest": "sha256:1"}, {"digest": "sha256:2"}]}')
    assert settings.ran(record) == {"shop": {"sha256:1": (), "sha256:2": ()}}
    for text in ("{", "[]", '{"shop": ["sha256:1"]}'):
        record.write_text(text)
        with pytest.raises(SettingsError, match="restore it with `git checkout"):
            settings.ran(record)


def one_color(**strategy: object) -> dict[str, Any]:
    values = put(f"{SHOP}.strategy", strategy)
    return put(f"{SHOP}.colors.green", ..., values)


@pytest.mark.parametrize("kind", ["rolling", "recreate"])
def test_a_service_of_one_color_is_not_touched_by_the_flip_of_its_stack(kind: str) -> None:
    values = one_color(kind=kind) | {"activeColor": "green", "canaryWeight": 10}
    shop = parse(values, stack="staging").services["shop"]
    assert (list(shop.colors), shop.active_color, shop.canary_weight) == ([Color.BLUE], Color.BLUE, 0)


def test_recreate_is_refused_in_production_unless_the_downtime_is_accepted() -> None:
    [problem] = problems(one_color(kind="recreate"), stack="production")
    assert problem.startswith(f"{PREFIX}{SHOP}.strategy.kind: recreate stops all pods before the new ones start")
    assert parse(one_color(kind="recreate", allowDowntime=True), stack="production").services


@pytest.mark.parametrize(
    ("values", "line"),
    [
        (one_color(kind="rolling", maxSurge=0), "strategy.maxSurge: 0 with maxUnavailable 0 leaves no room to move"),
        (one_color(), "colors.green: is required, and may repeat the image of the other color with parked: true"),
        (put(f"{SHOP}.strategy", {"kind": "rolling"}), "colors: 2 colors, but rolling works in place; keep one of"),
        (put(f"{SHOP}.activeColor", "green", one_color(kind="rolling")), "activeColor: green runs nothing; set it to"),
        (put(f"{SHOP}.canaryWeight", 5, one_color(kind="rolling")), "canaryWeight: 5, but there is no second color"),
    ],
)
def test_the_colors_of_a_service_are_those_that_its_strategy_takes(values: dict[str, Any], line: str) -> None:
    assert any(each.startswith(f"{PREFIX}{SHOP}.{line}") for each in problems(values)), problems(values)


def test_the_network_is_named_in_one_of_three_ways() -> None:
    reference = {"stackReference": "organization/network/production"}
    lookup = {"lookup": {"vpcTags": {"Name": "main"}, "subnetTags": {"tier": "public"}}}
    for way in (reference, lookup):
        assert parse(some.stack() | {"network": way}, stack="staging").network.vpc_id is None
    assert problems(some.stack() | {"network": reference | lookup}) == (
        f"{PREFIX}network: lookup, stackReference exclude each other; keep vpcId with subnetIds, or one other",
    )
    assert problems(some.stack() | {"network": {}}) == tuple(
        f"{PREFIX}network.{key}: is required, or in place of both ids lookup (by tags) or stackReference"
        for key in ("subnetIds", "vpcId")
    )


def test_a_zone_stands_in_for_the_certificate_and_holds_every_host() -> None:
    values = put("loadBalancer.certificateArn", ...) | {"dns": {"zone": "example.com"}}
    assert parse(values, stack="staging").load_balancer.certificate_arn is None
    assert problems(values | {"dns": {"zone": "example.org"}}) == (
        f"{PREFIX}{SHOP}.host: 'shop.example.com' is not in dns.zone (example.org); name a host below example.org, or "
        "remove dns and give a certificateArn",
    )


def test_a_host_that_no_certificate_can_be_issued_for_is_refused_where_one_would_be() -> None:
    long = f"{'a' * 60}.example.com"
    values = put(f"{SHOP}.host", long) | {"dns": {"zone": "example.com"}}
    assert parse(values, stack="staging").services["shop"].host == long
    [problem] = problems(put("loadBalancer.certificateArn", ..., values))
    assert problem.startswith(f"{PREFIX}{SHOP}.host: ")
    assert "64" in problem


def test_the_values_of_another_store_are_pinned_by_its_own_versions() -> None:
    values = put(f"{SHOP}.secrets.app.source", {"store": "vault", "path": "kv/shop/app"})
    for color in Color:
        put(f"{SHOP}.colors.{color}.secretVersions.app", "3", values)
    assert parse(values, stack="staging").services["shop"].secrets["app"].source
    put(f"{SHOP}.secrets.app.replicaRegions", ["eu-central-1"], values)
    assert problems(values) == (
        f"{PREFIX}{SHOP}.secrets.app.replicaRegions: is the business of the store that source names; remove it here",
    )


def test_a_stack_named_otherwise_can_be_production_too() -> None:
    values = put(f"{GREEN}.image", "shop:1.5.0") | {"environment": "production"}
    assert len(problems(values, stack="main")) == 1


@pytest.mark.parametrize("place", ["", f"{SHOP}."])
def test_a_weight_for_a_parked_color_is_refused_wherever_it_comes_from(place: str) -> None:
    values = put(f"{GREEN}.parked", True)
    put(f"{place}canaryWeight", 10, values)

    [problem] = problems(values)
    assert problem == (
        f"{PREFIX}{GREEN}.parked: true, but canaryWeight is 10; set parked to false, or the service's canaryWeight to 0"
    )


def test_a_mistake_of_the_stack_is_told_once_and_not_by_every_service() -> None:
    assert len(problems(some.stack() | {"canaryWeight": 101})) == 1
    assert len(problems(some.stack() | {"activeColor": "purple"})) == 1


def second(**changes: object) -> dict[str, Any]:
    values = some.stack()
    values["services"]["web"] = {**values["services"]["shop"], "host": "web.example.com", **changes}
    return values


@pytest.mark.parametrize("host", ["shop.example.com", "green.shop.example.com"])
def test_two_services_never_share_a_host_nor_the_host_of_a_color(host: str) -> None:
    assert any(f"services.web.host: {host!r} already leads to shop" in each for each in problems(second(host=host)))


def test_two_services_with_one_band_are_told_which_key_to_set() -> None:
    band = priority_band("shop")
    assert problems(second(priorityBand=band)) == (
        f"{PREFIX}services.web.priorityBand: {band} is the band of shop too; set this key for the "
        "newer of the two services, "
        "1 to 499",
    )


def test_more_services_than_the_load_balancer_has_rules_for_are_refused() -> None:
    values = some.stack()
    shop = values["services"].pop("shop")
    values["services"] = {f"s{i}": {**shop, "host": f"s{i}.example.com", "priorityBand": i} for i in range(1, 25)}
    assert len(parse(values, stack="dev").services) == 24

    values["services"]["s25"] = {**shop, "host": "s25.example.com", "priorityBand": 25}
    assert problems(values) == (
        f"{PREFIX}services: 25 services; allowed are 1 to 24, as each takes 4 of the 100 rules of the load balancer "
        "(quota L-7EED9B64): move some to another stack",
    )


def test_of_services_with_certificates_of_their_own_half_as_many_fit_as_the_load_balancer_takes_certificates() -> None:
    values = some.stack()
    shop = values["services"].pop("shop")
    values["loadBalancer"], values["dns"] = {}, {"zone": "example.com"}
    values["services"] = {f"s{i}": {**shop, "host": f"s{i}.example.com", "priorityBand": i} for i in range(1, 13)}
    assert len(parse(values, stack="dev").services) == 12

    values["services"]["s13"] = {**shop, "host": "s13.example.com", "priorityBand": 13}
    assert problems(values) == (
        f"{PREFIX}services: 13 services; allowed are 1 to 12, as each has a certificate on two listeners, of 25 for "
        "the load balancer (quota L-9365A611): give one loadBalancer.certificateArn for all hosts, or move some to "
        "another stack",
    )


@pytest.mark.parametrize("cidrs", [None, ["10.40.128.0/20"], ["192.168.0.0/24", "100.64.3.0/24", "172.20.0.0/16"]])
def test_private_testers_cannot_reach_what_is_internet_facing(cidrs: list[str] | None) -> None:
    values = some.stack()
    if cidrs:
        values["loadBalancer"]["testListenerCidrs"] = cidrs
    assert parse(values, stack="dev").network.scheme == "internal"
    values["network"]["scheme"] = "internet-facing"
    [problem] = problems(values)
    assert problem.startswith(f"{PREFIX}loadBalancer.testListenerCidrs: {(cidrs or ['10.0.0.0/8'])[0]}")
    assert "name those, such as 203.0.113.10/32" in problem


def test_private_clients_cannot_reach_what_is_internet_facing() -> None:
    values = put("network.scheme", "internet-facing")
    values["loadBalancer"] |= {"testListenerCidrs": ["203.0.113.10/32"], "clientCidrs": ["10.1.0.0/16"]}
    (line,) = problems(values)
    assert line.startswith("hueshift:loadBalancer.clientCidrs: 10.1.0.0/16: nobody reaches an internet-facing load")
    values["loadBalancer"]["clientCidrs"] = ["203.0.113.0/24"]
    assert parse(values, stack="dev").load_balancer.client_cidrs == ("203.0.113.0/24",)


@pytest.mark.parametrize("cidrs", [["203.0.113.10/32"], ["203.0.113.10/32", "10.0.0.0/8"], []])
def test_public_testers_can_and_so_can_nobody(cidrs: list[str]) -> None:
    values = some.stack()
    values["network"]["scheme"] = "internet-facing"
    values["loadBalancer"]["testListenerCidrs"] = cidrs
    assert parse(values, stack="dev").load_balancer.test_listener_cidrs == tuple(cidrs)


def test_all_mistakes_are_told_at_once_one_line_each() -> None:
    values = some.stack()
    put("canaryWieght", 5, values)
    put("canaryWeight", 10, values)
    put("loadBalancer.idleTimeout", 90, values)
    put(f"{SHOP}.hsot", "x", values)
    put(f"{SHOP}.timing", {"preStop": 10}, values)
    put(f"{SHOP}.env.API_TOKEN", "x", values)
    put(f"{GREEN}.image", "shop:latest", values)
    put(f"{GREEN}.parked", True, values)
    put("services.web", {**values["services"]["shop"], "priorityBand": 7}, values)

    with pytest.raises(SettingsError) as refused:
        parse(values, stack="staging")

    keys = [problem.split(": ")[0].removeprefix(PREFIX) for problem in refused.value.problems]
    of_each_service = [
        "colors.green.image",
        "colors.green.parked",
        "env.API_TOKEN",
        "hsot",
        "timing",
    ]
    assert set(keys) == {
        "canaryWieght",
        "services.web.host",
        *(f"services.{name}.{key}" for name in ("shop", "web") for key in of_each_service),
    }
    first, *lines = str(refused.value).splitlines()
    assert first == f"{len(lines)} problems in the settings of stack staging, Pulumi.staging.yaml:"
    assert lines == [f"  {problem}" for problem in refused.value.problems]


@pytest.mark.parametrize(
    ("where", "what"),
    [
        (f"{SHOP}.secrets.app", "obviously-fake"),
        (f"{SHOP}.secrets.app", {"DATABASE_URL": "obviously-fake"}),
        (f"{SHOP}.secrets", ["obviously-fake"]),
        (f"{SHOP}.env", "obviously-fake"),
        (f"{GREEN}.secretVersions", {"app": "obviously-fake"}),
        (f"{SHOP}.host", "https://user:obviously-fake@example.com"),
        ("loadBalancer.certificateArn", "https://user:obviously-fake@example.com"),
        ("services", [{"shop": {"env": {"PASSWORD": "obviously-fake"}}}]),
    ],
)
def test_a_message_never_repeats_what_may_be_a_secret(where: str, what: object) -> None:
    assert not any("obviously-fake" in each for each in problems(put(where, what)))


# From the engine


@pytest.fixture
def configured() -> Iterator[Callable[..., StackSettings]]:
    """Load from what the engine hands to a program: every value as text, secrets by name."""

    def load(values: dict[str, object], secret: tuple[str, ...] = ()) -> StackSettings:
        texts = {
            f"{PREFIX}{key}": value if isinstance(value, str) else json.dumps(value) for key, value in values.items()
        }
        pulumi.runtime.set_all_config(texts | {"aws:region": "eu-west-1"}, [PREFIX + key for key in secret])
        return settings.load(pulumi.Config("hueshift"), "staging")

    yield load
    pulumi.runtime.set_all_config({}, [])


def test_what_the_engine_hands_over_is_the_same_as_the_file(configured: Callable[..., StackSettings]) -> None:
    values = some.stack() | {"activeColor": "green", "canaryWeight": 10, "alerts": {}, "environment": ""}
    assert configured(values) == parse(values, stack="staging")


def test_an_undeclared_key_is_seen_although_the_engine_accepts_it(configured: Callable[..., StackSettings]) -> None:
    with pytest.raises(SettingsError, match="hueshift:canaryWieght: unknown key; did you mean canaryWeight"):
        configured(some.stack() | {"canaryWieght": 10})


def test_an_encrypted_key_is_refused_without_its_value(configured: Callable[..., StackSettings]) -> None:
    values = put(f"{SHOP}.env.PASSWORD", "obviously-fake")
    with pytest.raises(SettingsError, match="hueshift:services: is encrypted") as refused:
        configured(values, secret=("services",))
    assert "obviously-fake" not in str(refused.value)


def test_the_engine_shows_a_refusal_without_a_traceback() -> None:
    # The language host prints the message alone for this class only.
    assert issubclass(SettingsError, pulumi.RunError)


# Whatever somebody writes


def declared(node: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of every key that the model has, ``*`` for names and items."""
    root = messages._json_schema()
    for choice in node.get("anyOf", [node]):
        if "$ref" in choice:
            choice = root["$defs"][choice["$ref"].rpartition("/")[2]]
        for key, child in choice.get("properties", {}).items():
            yield (*path, key)
            yield from declared(child, (*path, key))
        for key in ("additionalProperties", "items"):
            if isinstance(choice.get(key), dict):
                yield from declared(choice[key], (*path, "*"))


def test_the_stacks_that_are_spoilt_here_use_every_key_of_the_model() -> None:
    def fits(place: tuple[str | int, ...], key: tuple[str, ...]) -> bool:
        return len(place) == len(key) and all(a in ("*", b) for a, b in zip(key, place, strict=True))

    used = [place for values in some.whole() for place in some.places(values)]
    keys = set(declared(messages._json_schema()))
    assert len(keys) > 90
    assert {key for key in keys if not any(fits(place, key) for place in used)} == set()
    for values in some.whole():
        assert parse(values, stack="dev", region="eu-west-1")


LINE = re.compile(r"hueshift:[!-9;-~…]+: \S.*")


def judged(values: dict[str, Any]) -> None:
    """Check: accepted, or refused with a place in every line, in a tenth of a second, without what may be a secret."""
    refusal = None
    gc.disable()  # of all that the other tests have left
    before = time.process_time()
    try:
        parse(values, stack="dev", region="eu-west-1")
    except SettingsError as error:
        refusal = error
    finally:
        taken = time.process_time() - before
        gc.enable()
    assert taken < 0.1
    assert refusal is None or (refusal.problems and refusal.__cause__ is None and refusal.__context__ is None)
    for problem in refusal.problems if refusal else ():
        assert LINE.fullmatch(problem), problem
        assert some.MARKER not in problem, problem
        assert len(problem) < 2000, problem
        problem.encode()


@pytest.mark.parametrize("character", ["[", "{", "(", ".", "/", ":", "-", "a", "0", "=", " "])
def test_ten_thousand_characters_of_a_kind_are_judged_in_time_wherever_they_stand(character: str) -> None:
    long = character * 10_000
    for at in (("labels", {long: "shop"}), ("annotations", {"example.com/scan": long})):
        (values, *_) = some.whole()
        values["services"]["shop"]["podTemplate"] = {"metadata": dict([at])}
        judged(values)


@given(some.stack_files())
@hypothesis.settings(max_examples=200)
def test_whatever_a_stack_file_holds_is_accepted_or_refused_by_its_place_and_without_a_secret(
    values: dict[str, Any],
) -> None:
    judged(values)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@given(some.stack_files())
@hypothesis.settings(max_examples=10_000)
def test_ten_thousand_stack_files_are_accepted_or_refused_by_their_place_and_without_a_secret(
    values: dict[str, Any],
) -> None:
    judged(values)


OTHERS: list[object] = [
    None,
    True,
    0,
    -1,
    10**30,
    0.5,
    float("nan"),
    "",
    "x",
    "\0",
    "é" * 200,
    [],
    ["x"],
    [None],
    {},
    {"x": 1},
    [{}],
]


@pytest.mark.parametrize("base", [pytest.param(0, marks=pytest.mark.slow), 1, 2])
def test_each_place_of_the_model_takes_or_refuses_every_kind_of_value(base: int) -> None:
    whole = some.whole()[base]
    for *parents, last in some.places(whole):
        for other in (*OTHERS, ...):
            values: Any = copy.deepcopy(whole)
            parent = values
            for part in parents:
                parent = parent[part]
            if other is ...:
                del parent[last]
            else:
                parent[last] = other
            judged(values)


def test_every_list_refuses_an_item_that_comes_twice() -> None:
    count = 0
    for values in some.whole():
        for place in some.places(values):
            found: Any = values
            for part in place:
                found = found[part]
            # The words of a command may repeat, and a freeze may be of one day. What Kubernetes takes is its own.
            free = {"freeze", "gates", "podTemplate", "command"} & set(map(str, (*place[:-1], *place[-1:]))) - {"allow"}
            if isinstance(found, list) and not free:
                spoilt: Any = copy.deepcopy(values)
                parent = spoilt
                for part in place:
                    parent = parent[part]
                parent.append(copy.deepcopy(parent[0]))
                assert any("are the same; name each once" in problem for problem in problems(spoilt, "dev")), place
                count += 1
    assert count > 10


@pytest.mark.parametrize("where", ["network.podCidrs", f"{SHOP}.secrets.app.keys"])
def test_a_list_that_would_close_or_open_all_when_it_is_empty_is_refused(where: str) -> None:
    assert any("is empty; name one or more" in problem for problem in problems(put(where, [])))


def test_egress_without_a_port_is_refused_for_it_would_open_all_of_them() -> None:
    [problem] = problems(put(f"{SHOP}.egress", [{"cidr": "10.0.0.0/8", "ports": []}]))
    assert problem == f"{PREFIX}{SHOP}.egress[0].ports: is empty; name one or more"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{shop: {host: x}}", "expecting property name enclosed in double quotes at character 1"),
        ('{"shop": 1, "shop": 2}', "a key stands twice in one object"),
        ("[" * 100_000, "too many lists and objects in each other"),
    ],
)
def test_json_that_a_shell_has_mangled_is_refused_with_what_mends_it(text: str, reason: str) -> None:
    assert problems(put("services", text)) == (
        f"{PREFIX}services: is no JSON ({reason}); a shell takes quotes away: put single ones around the whole, or "
        "write it in the stack file",
    )


def test_no_entry_is_copied_to_where_it_is() -> None:
    values = put(f"{SHOP}.secrets.app.replicaRegions", ["eu-west-1"])
    assert parse(values, stack="staging")
    with pytest.raises(SettingsError, match="eu-west-1 is where the entry is"):
        parse(values, stack="staging", region="eu-west-1")


@pytest.mark.parametrize(
    ("where", "arn"),
    [
        ("loadBalancer.certificateArn", "arn:aws:acm:{}:111122223333:certificate/5d0c1f0e"),
        ("kmsKeyArn", "arn:aws:kms:{}:111122223333:key/0a1b"),
        ("alerts.topicArns", "arn:aws:sns:{}:111122223333:on-call"),
        (f"{SHOP}.secrets.app.rotation", "arn:aws:lambda:{}:111122223333:function:rotate"),
    ],
)
def test_what_aws_takes_from_the_region_of_the_stack_alone_is_there(where: str, arn: str) -> None:
    def values(region: str) -> dict[str, Any]:
        there: object = arn.format(region)
        last = where.rpartition(".")[2]
        return put(where, {"topicArns": [there], "rotation": {"lambdaArn": there, "days": 1}}.get(last, there))

    assert parse(values("eu-west-1"), stack="dev", region="eu-west-1")
    assert parse(values("us-east-1"), stack="dev")
    with pytest.raises(SettingsError, match="is not in the region of the stack; name one in eu-west-1") as refused:
        parse(values("us-east-1"), stack="dev", region="eu-west-1")
    assert len(refused.value.problems) == 1


def test_an_alarm_has_no_more_topics_than_cloudwatch_takes() -> None:
    values = put("alerts.topicArns", [f"arn:aws:sns:eu-west-1:111122223333:t{i}" for i in range(5)])
    assert parse(values, stack="dev")
    put("alerts.subscriptions", [{"protocol": "email", "endpoint": "ops@example.com"}], values)
    assert problems(values) == (f"{PREFIX}alerts.topicArns: 6 topics with the stack's own; allowed are 5",)


def test_an_environment_whose_name_may_mean_production_must_say_whether_it_is() -> None:
    values = put(f"{SHOP}.replicas", {"min": 1})
    [problem] = problems(values, "live")
    assert problem.startswith(f"{PREFIX}production: is required for an environment named live: true for the strict")
    assert not parse(values | {"production": "false"}, stack="live").production
    assert parse(some.stack() | {"production": True}, stack="live").production
    [problem] = problems(values | {"production": "true"}, "live")
    assert problem.startswith(f"{PREFIX}{SHOP}.replicas.min: 1 is too few; at least 2 in production")
    assert parse(values | {"production": False}, stack="production")


def test_all_of_the_traffic_is_a_flip_and_no_canary() -> None:
    for where in ("canaryWeight", f"{SHOP}.canaryWeight"):
        [problem] = problems(put(where, 100))
        assert "all of the traffic is a flip, set activeColor to the other color" in problem


def test_a_name_that_only_looks_like_a_secrets_is_stated_and_the_list_holds_nothing_else() -> None:
    values = put(f"{SHOP}.env.MAX_TOKENS", "5")
    assert "name it under notSecrets" in problems(values, "production")[0]
    put(f"{SHOP}.notSecrets", ["MAX_TOKENS"], values)
    assert parse(values, stack="production").services["shop"].not_secrets == ("MAX_TOKENS",)
    put(f"{SHOP}.notSecrets", ["MAX_TOKENS", "LOG_LEVEL", "SORT_KEY"], values)
    assert problems(values) == (
        f"{PREFIX}{SHOP}.notSecrets[1]: does not look like the name of a secret; remove it here",
        f"{PREFIX}{SHOP}.notSecrets[2]: names no variable; remove it here",
    )


def test_a_longer_idle_timeout_is_asked_for_once_for_all_services() -> None:
    values = second(timing={"longestRequest": 90, "deregistrationDelay": 90, "preStop": 91, "gracePeriod": 186})
    assert [problem.partition(": raise ")[2] for problem in problems(values)] == [
        "loadBalancer.idleTimeout to 91, keepAlive to 92",
        "loadBalancer.idleTimeout to 91, keepAlive to 92",
    ]
    values["loadBalancer"]["idleTimeout"] = 91
    for service in values["services"].values():
        service.setdefault("timing", {})["keepAlive"] = 92
    assert parse(values, stack="staging")


# Experiments


def shop_with(experiment: dict[str, Any], **more: object) -> dict[str, Any]:
    values = put("services.shop.experiment", experiment)
    values["services"]["shop"] |= more
    return values


@pytest.mark.parametrize(
    "cohort",
    [{"header": {"name": "x-cohort", "values": ["b"]}}, {"cookie": {"name": "cohort", "value": "b"}}, {"percent": 50}],
)
def test_an_experiment_has_a_cohort_and_shares_requests_by_its_percent_alone(cohort: dict[str, Any]) -> None:
    shop = parse(shop_with(some.experiment(**cohort)), stack="staging").services["shop"]
    percent = cohort.get("percent", 0)
    assert shop.shares == {Color.BLUE: 100 - percent, Color.GREEN: percent}
    assert shop.stickiness == (7 * 24 * 3600 if percent else 0)


@pytest.mark.parametrize(
    ("value", "repeated"),
    [("a\\b", r"'a\\b'"), ("see https://u:obviously-fake@example.com \\", "a value that is not shown here")],
)
def test_what_a_list_holds_is_repeated_unless_it_may_be_a_secret(value: str, repeated: str) -> None:
    (problem,) = problems(shop_with(some.experiment(header={"name": "x-cohort", "values": [value, "b"]})))
    assert problem.startswith(f"{PREFIX}services.shop.experiment.header.values: {repeated} is no usable value")


def test_an_experiment_and_a_canary_exclude_each_other() -> None:
    values = shop_with(some.experiment(percent=50), canaryWeight=10)
    (problem,) = problems(values)
    assert problem.startswith("hueshift:services.shop.canaryWeight: 10, but the experiment checkout runs")
    of_stack = put("canaryWeight", 10, shop_with(some.experiment(percent=50)))
    assert any("but the experiment checkout runs" in each for each in problems(of_stack))


def test_the_variant_has_pods() -> None:
    values = put("services.shop.colors.green.parked", True, shop_with(some.experiment(percent=50)))
    (problem,) = problems(values)
    assert problem.startswith("hueshift:services.shop.colors.green.parked: true, but it is the variant")


def test_a_service_of_one_color_has_no_variant() -> None:
    values = shop_with(some.experiment(percent=50), strategy={"kind": "rolling"})
    del values["services"]["shop"]["colors"]["green"]
    assert "hueshift:services.shop.experiment: has no second color to be the variant; remove it" in problems(values)


@pytest.mark.parametrize(
    ("experiment", "key"),
    [
        (some.experiment(), "experiment"),
        (some.experiment(percent=0), "experiment.percent"),
        (some.experiment(percent=100), "experiment.percent"),
        (some.experiment(percent=50, until="2027-03-08T09:00:01Z"), "experiment.until"),
        (some.experiment(percent=50, since="tomorrow"), "experiment.since"),
        (some.experiment(percent=50, metric="orders total"), "experiment.metric"),
        (some.experiment(percent=50, name="Checkout"), "experiment.name"),
        (some.experiment(header={"name": "cookie", "values": ["b"]}), "experiment.header.name"),
        (some.experiment(header={"name": "x-cohort", "values": ["*"]}), "experiment.header.values"),
        (some.experiment(cookie={"name": "cohort", "value": "b*"}), "experiment.cookie.value"),
    ],
)
def test_an_experiment_that_an_alb_cannot_run_is_refused(experiment: dict[str, Any], key: str) -> None:
    (problem,) = problems(shop_with(experiment))
    assert problem.startswith(f"hueshift:services.shop.{key}: ")


# Routes


def routed(service: str, *routes: dict[str, Any], **more: object) -> dict[str, Any]:
    """Return settings with a front end and a service beside it, one of which has routes."""
    shop = put("canaryWeight", 0)["services"]["shop"]
    front = {**copy.deepcopy(shop), "host": "front.example.com", "priorityBand": 300}
    values = put("services.front", front)
    values["services"]["shop"] |= {"priorityBand": 200}
    values["services"][service] |= {"routes": [*routes], **more}
    return values


@pytest.mark.parametrize(
    ("routes", "refused"),
    [
        ([{"paths": ["/api/*"], "hosts": ["front.example.com"]}], ""),
        ([{"methods": ["GET"]}], "services.shop.routes[0]: names neither hosts nor paths"),
        ([{"hosts": ["front.example.com"]}], "services.shop.routes[0]: front.example.com already leads to front"),
        ([{"paths": ["/a"], "headers": {"host": ["x"]}}], "hosts are told by the key hosts"),
        ([{"paths": ["/a"], "slot": 3}, {"paths": ["/b"], "slot": 3}], "have the same slot 3"),
        (
            [{"hosts": ["a.x.de", "b.x.de"], "paths": ["/a", "/b", "/c"]}],
            "has 6 values with that of the canary's header",
        ),
        ([{"hosts": ["blue.front.example.com"]}], "blue.front.example.com is where testers reach front"),
    ],
)
def test_routes_that_no_listener_can_have_are_refused_with_their_key(
    routes: list[dict[str, Any]], refused: str
) -> None:
    values = routed("shop", *routes)
    if not refused:
        assert parse(values, stack="staging").services["shop"].routes
        return
    assert any(refused in problem for problem in problems(values)), problems(values)


def test_a_route_that_a_lower_band_hides_is_refused_with_the_number_that_mends_it() -> None:
    values = routed("shop", {"paths": ["/api/*"], "hosts": ["front.example.com"]}, priorityBand=400)
    (problem,) = problems(values)
    assert "services.shop.priorityBand: 400 comes after front's 300" in problem
    assert "set it below 300" in problem


ENVOY = f"registry.example.com/envoy@sha256:{'0a1b' * 16}"


# Protocols


@pytest.mark.parametrize(("protocol", "probed"), [("http1", True), ("http2", False), ("grpc", False)])
def test_pods_of_another_protocol_are_not_probed_from_outside_where_nothing_is_said(
    protocol: str, probed: bool
) -> None:
    values = some.stack() | {"production": True}
    values["network"] |= {"scheme": "internet-facing"}
    values["loadBalancer"] |= {"testListenerCidrs": ["203.0.113.10/32"]}
    values["alerts"]["subscriptions"] = [{"protocol": "email", "endpoint": "ops@example.com"}]
    values["services"]["shop"] |= {"protocol": protocol, "metrics": {"enabled": False}}
    assert parse(values, stack="production").services["shop"].uptime.enabled is probed


@pytest.mark.parametrize(
    ("protocol", "more", "refused"),
    [
        ("http2", {}, ""),
        ("http2", {"uptime": {"enabled": True}}, "uptime.enabled: true, but Route 53 asks by HTTP/1.1"),
        (
            "http2",
            {"shadow": {"percent": 0, "image": ENVOY}},
            "shadow: copies requests by HTTP/1.1, and protocol is http2",
        ),
        ("grpc", {"metrics": {"enabled": False}}, ""),
        ("grpc", {"metrics": {"enabled": False}, "health": {"path": "/shop.v1.Shop/Ready"}}, ""),
        ("grpc", {}, "metrics.enabled: true, but Prometheus asks by HTTP/1.1"),
        ("grpc", {"health": {"path": "/health/up"}}, "health.path: '/health/up' is no method of gRPC"),
        ("grpc", {"health": {"livenessPath": "/live"}}, "health.livenessPath: is asked of no pod that speaks gRPC"),
        ("grpc", {"strategy": {"smoke": [{"path": "/items"}]}}, "strategy.smoke[0]: asks by GET, and the pods speak"),
        ("h2c", {}, 'protocol: must be http1, http2 or grpc; got "h2c"'),
    ],
)
def test_what_speaks_another_protocol_than_the_pods_is_refused_with_its_key(
    protocol: str, more: dict[str, Any], refused: str
) -> None:
    values = some.stack()
    values["services"]["shop"] |= {"protocol": protocol, **more}
    if not refused:
        assert parse(values, stack="staging").services["shop"].protocol == protocol
        return
    assert any(f"hueshift:services.shop.{refused}" in problem for problem in problems(values)), problems(values)


# Shadow traffic


def shadowed(percent: int, **more: object) -> dict[str, Any]:
    values = put("services.shop.shadow", {"percent": percent, "image": ENVOY})
    values["services"]["shop"] |= more
    return values


@pytest.mark.parametrize("percent", [0, 20, 100])
def test_copies_change_no_share_of_a_color(percent: int) -> None:
    shop = parse(shadowed(percent), stack="staging").services["shop"]
    assert shop.copied == percent
    assert shop.shares == {Color.BLUE: 100, Color.GREEN: 0}


def test_a_service_copies_nothing_and_no_writes_unless_it_says_so() -> None:
    assert parse(put("services.shop.port", 8080), stack="staging").services["shop"].shadow is None
    shop = parse(put("services.shop.shadow", {"image": ENVOY}), stack="staging").services["shop"]
    assert shop.shadow is not None
    assert (shop.shadow.percent, shop.shadow.writes, shop.shadow.image) == (0, False, ENVOY)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"experiment": some.experiment(percent=50)}, "20, but the experiment checkout runs"),
        ({"canaryWeight": 10}, "20, but canaryWeight is 10"),
    ],
)
def test_no_requests_are_copied_while_something_else_has_a_part_of_the_users(more: dict[str, Any], said: str) -> None:
    (problem,) = problems(shadowed(20, **more))
    assert problem.startswith(f"hueshift:services.shop.shadow.percent: {said}")
    assert parse(shadowed(0, **more), stack="staging"), "a mirror that copies nothing is in nobody's way"


def test_no_requests_are_copied_to_a_color_without_pods() -> None:
    (problem,) = problems(put("services.shop.colors.green.parked", True, shadowed(20)))
    assert problem.startswith("hueshift:services.shop.shadow.percent: 20, but green is parked")


def test_a_service_of_one_color_has_nobody_to_copy_to() -> None:
    values = shadowed(0, strategy={"kind": "rolling"})
    del values["services"]["shop"]["colors"]["green"]
    assert "hueshift:services.shop.shadow: has no second color to send copies to; remove it" in problems(values)


@pytest.mark.parametrize(
    ("shadow", "key"),
    [
        ({"percent": 20}, "shadow.image"),
        ({"percent": 101, "image": ENVOY}, "shadow.percent"),
        ({"image": "envoy:latest"}, "shadow.image"),
    ],
)
def test_a_mirror_that_cannot_be_is_refused(shadow: dict[str, Any], key: str) -> None:
    (problem,) = problems(put("services.shop.shadow", shadow))
    assert problem.startswith(f"hueshift:services.shop.{key}: ")
