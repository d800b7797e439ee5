"""The readiness rules, as plain functions."""

import re
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components import rules, spec
from components.model import ALARM_PERIOD, ALARM_PERIODS, SHUTDOWN_MARGIN, Color, Given
from components.spec import Health, Replicas, Strategy, StrategyKind, Timing
from tests.support import samples
from tests.support import strategies as some

DIGEST = "sha256:" + "0123456789abcdef" * 4


@given(some.timings())
def test_an_accepted_timing_loses_no_request(timing: Timing) -> None:
    assert chain(timing) is None

    assert timing.longest_request <= timing.deregistration_delay < timing.pre_stop < timing.grace_period
    assert timing.pre_stop + timing.longest_request + SHUTDOWN_MARGIN <= timing.grace_period
    assert timing.keep_old >= timing.deregistration_delay + timing.longest_request + timing.bake
    assert timing.bake >= ALARM_PERIOD * ALARM_PERIODS
    assert timing.longest_request < 60 < timing.keep_alive


def chain(timing: Timing, idle_timeout: int = 60) -> str | None:
    needed = max(idle_timeout, timing.longest_request + 1)
    return spec.timing_problem(timing, idle_timeout=idle_timeout, needed_idle_timeout=needed)


def test_a_label_that_everything_of_a_color_has_cannot_be_given_again() -> None:
    for label in samples.CONTEXT.of("shop", Color.BLUE).labels:
        assert "is set already" in (rules.label_key_problem(label) or "")
    for label in ("release", "app.kubernetes.io/instance", "a" * 63, f"{'a.' * 126}a/Up_to-63.x"):
        assert rules.label_key_problem(label) is None
    for label in ("", "/x", "a/", "a//b", "A.b/x", f"{'a.' * 127}a/x", "a" * 64, "ä"):
        assert rules.label_key_problem(label), label


def test_the_default_timing_is_accepted() -> None:
    assert chain(Timing()) is None


@pytest.mark.parametrize(
    ("field", "least", "key"),
    [
        ("deregistration_delay", lambda t: t.longest_request, "deregistrationDelay"),
        ("pre_stop", lambda t: t.deregistration_delay + 1, "preStop"),
        ("grace_period", lambda t: t.shutdown, "gracePeriod"),
        ("keep_alive", lambda _: 61, "keepAlive"),
        ("bake", lambda _: ALARM_PERIOD * ALARM_PERIODS, "bake"),
        ("keep_old", lambda t: t.overlap, "keepOld"),
    ],
)
@given(timing=some.timings(), short=st.integers(1, 20))
def test_a_link_that_is_too_short_is_refused_with_its_number_its_reason_and_the_key_to_raise(
    field: str, least: Callable[[Timing], int], key: str, timing: Timing, short: int
) -> None:
    needed = least(timing)
    reason = chain(replace(timing, **{field: needed - short}))

    assert reason is not None
    assert f"{key} {needed - short} s must be " in reason
    assert f"{key} to {needed}" in reason.partition(": raise ")[2]


times = st.integers(1, 3600)
any_timing = st.builds(
    Timing,
    longest_request=times,
    deregistration_delay=times,
    pre_stop=times,
    grace_period=times,
    keep_alive=times,
    stickiness=times,
    bake=times,
    keep_old=times,
)


@given(any_timing, st.integers(1, 4000))
def test_a_broken_chain_is_told_once_with_all_the_numbers_that_mend_it(timing: Timing, idle_timeout: int) -> None:
    reason = chain(timing, idle_timeout) or ""
    mended = {
        key: int(number) for key, number in re.findall(r"([A-Za-z.]+) to ([0-9]+)", reason.partition(": raise ")[2])
    }
    idle_timeout = mended.pop("loadBalancer.idleTimeout", idle_timeout)
    fields = {re.sub("[A-Z]", lambda found: f"_{found[0].lower()}", key): number for key, number in mended.items()}

    assert chain(replace(timing, **fields), idle_timeout) is None


def test_a_request_that_takes_longer_needs_five_more_numbers_and_one_message() -> None:
    assert chain(Timing(longest_request=300)) == (
        "deregistrationDelay 30 s must be at least longestRequest, or the load balancer cuts off requests in flight; "
        "preStop 35 s must be more than deregistrationDelay, or a pod stops while the load balancer still sends to it; "
        "gracePeriod 75 s must be at least preStop + longestRequest + 5, or a pod is killed with requests in flight; "
        "loadBalancer.idleTimeout 60 s must be more than the longestRequest of every service, or the load balancer "
        "gives up before the service answers; keepAlive 75 s must be more than loadBalancer.idleTimeout, or the load "
        "balancer reuses connections that the service has closed: raise deregistrationDelay to 300, preStop to 301, "
        "gracePeriod to 606, loadBalancer.idleTimeout to 301, keepAlive to 302"
    )


ROLLING = Strategy(kind=StrategyKind.ROLLING)


@pytest.mark.parametrize(
    ("strategy", "pods", "needed"),
    [
        (Strategy(), 12, 35),  # all at once
        (ROLLING, 12, 12 * 35),
        (replace(ROLLING, max_surge=3, max_unavailable=2), 12, 3 * 35),
        (replace(ROLLING, max_surge=0, max_unavailable=5), 5, 35),
        (Strategy(kind=StrategyKind.RECREATE), 12, 75 + 35),
    ],
)
def test_an_update_waits_longer_than_its_pods_take_to_be_healthy(strategy: Strategy, pods: int, needed: int) -> None:
    def problem(wait: int) -> str | None:
        return spec.await_problem(
            wait, health=Health(), strategy=strategy, replicas=Replicas(max=pods), grace_period=75
        )

    assert problem(needed + 1) is None
    assert f"({needed} s): raise awaitTimeout to {needed + 1}" in str(problem(needed))


@given(st.integers(1, 1000), st.integers(5, 300), st.integers(2, 10))
def test_checks_and_the_controllers_own_interval_count_for_every_round(wait: int, interval: int, count: int) -> None:
    health = Health(interval=interval, healthy_threshold=count)
    problem = spec.await_problem(wait, health=health, strategy=Strategy(), replicas=Replicas(), grace_period=75)
    assert (problem is None) == (interval * count + 15 < wait)


@pytest.mark.parametrize("environment", ["production", "prod", "prod-eu", "eu-production"])
def test_an_environment_named_after_production_has_the_strict_rules(environment: str) -> None:
    assert rules.is_production(environment)


@pytest.mark.parametrize("environment", ["staging", "pre-production", "non-prod", "product", "sandbox"])
def test_other_environments_have_not(environment: str) -> None:
    assert not rules.is_production(environment)


@pytest.mark.parametrize("environment", ["prd", "live", "preprod", "nonprod", "prod2", "eu-prd1", "euprod", "prelive"])
def test_a_name_that_may_mean_production_must_be_explained(environment: str) -> None:
    assert not rules.is_production(environment)
    assert "true for the strict rules" in str(rules.production_problem(environment))


@pytest.mark.parametrize(
    "environment", ["production", "prod-eu", "staging", "pre-production", "non-prod", "olive", "eu1"]
)
def test_a_name_that_is_clear_needs_no_explanation(environment: str) -> None:
    assert rules.production_problem(environment) is None


@pytest.mark.parametrize("environment", ["production", "staging", "live"])
def test_what_is_stated_of_an_environment_counts_for_more_than_its_name(environment: str) -> None:
    assert rules.is_production(environment, stated=True)
    assert not rules.is_production(environment, stated=False)


@pytest.mark.parametrize(
    "image",
    [
        f"shop@{DIGEST}",
        f"111122223333.dkr.ecr.eu-west-1.amazonaws.com/team/shop@{DIGEST}",
        f"127.0.0.1:5000/shop:1.4.0@{DIGEST}",
    ],
)
def test_an_image_by_digest_is_accepted_everywhere(image: str) -> None:
    assert rules.image_problem(image, production=True) is None
    assert rules.image_problem(image, production=False) is None


@pytest.mark.parametrize("tag", ["1.4.0", "v1.4.0", "1.5.0-rc.1", "3f2c1ab", "3f2c1ab" + "0" * 33])
def test_a_tag_that_nobody_moves_is_accepted_outside_production_only(tag: str) -> None:
    image = f"127.0.0.1:5000/shop:{tag}"
    assert rules.image_problem(image, production=False) is None
    assert "127.0.0.1:5000/shop@sha256:" in str(rules.image_problem(image, production=True))


@pytest.mark.parametrize(
    ("image", "what"),
    [
        ("shop", "has no tag, which means latest"),
        ("127.0.0.1:5000/shop", "has no tag"),
        ("shop:latest", "has the tag latest"),
        ("shop:stable", "has the tag stable, neither a version nor a commit"),
        ("shop:1.4", "has the tag 1.4, neither"),
        ("Shop:1.4.0", "no image reference"),
        ("shop:1.4.0@sha256:abc", "no image reference"),
        ("https://example.com/shop:1.4.0", "no image reference"),
        ("", "no image reference"),
        ("shop:1.4.0\n", "no image reference"),
    ],
)
def test_any_other_image_is_refused(image: str, what: str) -> None:
    assert what in str(rules.image_problem(image, production=False))


@pytest.mark.parametrize(
    "name",
    [
        "DB_PASSWORD",
        "PASSWORD",
        "JWT_SECRET",
        "API_TOKEN",
        "AWS_SECRET_ACCESS_KEY",
        "API_KEYS",
        "KEY",
        "SIGNING_KEY2",
        "CREDENTIALS",
    ],
)
def test_a_variable_with_the_name_of_a_secret_is_one_whatever_its_value(name: str) -> None:
    reason = rules.plaintext_secret_problem(name, "x")
    assert reason is not None
    assert f"name {name} under secrets" in reason


@pytest.mark.parametrize(
    "name", ["LOG_LEVEL", "TOKEN_TTL", "PUBLIC_KEY", "SECRET_NAME", "PASSWORD_FILE", "MONKEY", "KEYBOARD"]
)
def test_a_variable_about_a_secret_is_none(name: str) -> None:
    assert rules.plaintext_secret_problem(name, "x") is None


@pytest.mark.parametrize(
    "value",
    [
        "postgresql://shop:obviously-fake@db:5432/shop",
        "redis://:obviously-fake@cache:6379",
        "AKIA" + "EXAMPLE" + "000000000",
        "-----BEGIN " + "PRIVATE KEY-----",
        "eyJhbGciOiJub25l.eyJzdWIiOiJmYWtl.c2lnbmF0dXJl",
        "ghp_" + "0" * 36,
    ],
)
def test_a_value_that_looks_like_a_secret_is_refused_and_never_repeated(value: str) -> None:
    reason = rules.plaintext_secret_problem("SETTING", value)
    assert reason is not None
    assert "looks like" in reason
    assert value not in reason


@pytest.mark.parametrize("value", ["https://example.com/a@b", "http://user@host", "info", "eyJ", "10.0.0.0/8"])
def test_an_ordinary_value_is_accepted(value: str) -> None:
    assert rules.plaintext_secret_problem("SETTING", value) is None


@pytest.mark.parametrize("quantity", ["100m", "1", "0.5", "2.25", ".5"])
def test_cpu_in_cores_or_millicores_is_accepted(quantity: str) -> None:
    assert rules.cpu_problem(quantity) is None


@pytest.mark.parametrize(
    "quantity", ["", "0", "0.0", "1.", "-1", "1 core", "128Mi", "0.0005", "1001", "9" * 9 + "m", "٣"]
)
def test_other_cpu_is_refused(quantity: str) -> None:
    assert "no amount of CPU" in str(rules.cpu_problem(quantity))


@pytest.mark.parametrize("quantity", ["", "128", "128m", "0Mi", "1.5Gi", "128MB", "40000Gi", "9" * 20 + "Mi", "٣Mi"])
def test_memory_without_a_unit_or_in_thousandths_of_a_byte_is_refused(quantity: str) -> None:
    assert "no amount of memory" in str(rules.memory_problem(quantity))


@pytest.mark.parametrize(
    "host",
    [
        "shop",
        "shop.",
        ".com",
        "*.example.com",
        "Shop.example.com",
        "a b.example.com",
        "-a.example.com",
        "a-.example.com",
        "shop.corp1",
        "shop.xn--p1ai",
        "shop.example.com\n",
        "shöp.example.com",
        f"{'a' * 64}.example.com",
    ],
)
def test_a_host_that_the_load_balancer_cannot_match_exactly_is_refused(host: str) -> None:
    assert rules.host_problem(host) is not None


@pytest.mark.parametrize(
    "version", ["1.4.0-", "1.4.0-rc.-", "1.4.0+build-", "1.4.0-" + "a" * 58, "1." + "9" * 5000 + ".0"]
)
def test_a_version_that_can_be_no_label_is_refused(version: str) -> None:
    assert rules.version_problem(version) is not None


@given(some.versions())
def test_an_accepted_version_is_the_value_of_a_label(version: str) -> None:
    label = version.replace("+", "_")
    valid = len(label) <= 63 and re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?", label)
    assert (rules.version_problem(version) is None) == bool(valid)


@pytest.mark.parametrize(
    "cidr",
    [
        "10.0.0.0",
        "10.0.0.1/8",
        "10.0.0.0/255.0.0.0",
        "0.0.0.0/00",
        "10.0.0.0/08",
        "010.0.0.0/8",
        "::/0",
        "10.0.0.0/33",
        "",
    ],
)
def test_a_network_that_aws_or_kubernetes_would_refuse_is_refused(cidr: str) -> None:
    assert rules.cidr_problem(cidr) is not None


@pytest.mark.parametrize(
    "cidrs",
    [
        ["0.0.0.0/0"],
        ["0.0.0.0/1", "128.0.0.0/1"],
        [f"{first}.0.0.0/8" for first in range(1, 224, 2)],
        ["48.0.0.0/4"],
    ],
)
def test_the_world_is_told_by_how_many_addresses_there_are(cidrs: list[str]) -> None:
    assert "opens the test listener to the world" in str(rules.testers_problem(cidrs))


def test_all_private_networks_together_may_test() -> None:
    private = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8", "203.0.113.7/32"]
    assert rules.testers_problem(private) is None


def test_what_the_program_sets_nobody_else_may_set() -> None:
    for name in Given:
        assert rules.env_name_problem(name) == "set by the program already; remove it here"


@pytest.mark.parametrize("environment", ["kube", "kube-eu"])
def test_an_environment_stays_out_of_the_namespaces_of_kubernetes(environment: str) -> None:
    assert "belong to Kubernetes" in str(rules.environment_problem(environment))


@pytest.mark.parametrize(
    ("protocol", "right", "wrong"),
    [
        ("email", "on-call+eu@example.com", "on-call"),
        ("email-json", "ops@example.com", "ops@example"),
        ("https", "https://alerts.example.com/sns?key=1", "http://alerts.example.com"),
        ("lambda", "arn:aws:lambda:eu-west-1:111122223333:function:page", "page"),
        ("sms", "+442079460000", "020 7946 0000"),
        ("sqs", "arn:aws:sqs:eu-west-1:111122223333:alarms", "https://sqs.eu-west-1.amazonaws.com/1/alarms"),
    ],
)
def test_a_subscription_has_an_endpoint_of_its_protocol(protocol: str, right: str, wrong: str) -> None:
    assert rules.endpoint_problem(protocol, right) is None
    assert f"is no endpoint of {protocol}; allowed is" in str(rules.endpoint_problem(protocol, wrong))


@pytest.mark.parametrize("character", ["\0", "\n", "\x1b", "\x7f", "\x85", "\ud800"])
def test_a_character_that_is_none_in_text_is_named_and_not_shown(character: str) -> None:
    assert f"U+{ord(character):04X}" in str(rules.text_problem(f"a{character}b"))


def test_the_value_of_a_variable_may_have_lines() -> None:
    assert rules.text_problem("a\n\tb", lines=True) is None
    assert rules.text_problem("a\rb", lines=True) is not None


@pytest.mark.parametrize("name", ["MAX_TOKENS", "PARTITION_KEY", "api_token"])
def test_a_name_that_somebody_has_reviewed_is_no_secrets_and_its_value_is_still_looked_at(name: str) -> None:
    assert "name it under notSecrets" in str(rules.plaintext_secret_problem(name, "x"))
    assert rules.plaintext_secret_problem(name, "x", known=[name]) is None
    assert rules.plaintext_secret_problem(name, "redis://:obviously-fake@cache:6379", known=[name]) is not None


def test_more_than_a_process_or_a_config_map_can_hold_is_refused() -> None:
    assert rules.variables_problem({"A": "x" * 131_069}) is None
    assert "131070 bytes" in str(rules.variables_problem({"A": "x" * 131_070}))
    assert "allowed are 1048576" in str(rules.variables_problem({f"A{i}": "x" * 100_000 for i in range(11)}))


LONG = 100_000
"""Characters."""
# What makes a pattern begin at every place, or go back over all it has read.
SLOW = [
    "a",
    "a.",
    "a-",
    "-",
    "eyJ-",
    "eyJaaaaaaaa.",
    "a://",
    "://a:",
    "-----BEGIN A",
    "KEY1",
    "1",
    "0.",
    "/",
    "arn:aws",
    "ghp_a",
    "a@",
    ".",
]
OF_ONE_TEXT: list[Callable[[str], object]] = [
    lambda text: rules.plaintext_secret_problem("SETTING", text),
    lambda text: rules.plaintext_secret_problem(text, "x"),
    lambda text: rules.endpoint_problem("email", text),
    lambda text: rules.endpoint_problem("https", text),
    lambda text: rules.image_problem(text, production=True),
    lambda text: rules.image_problem(text, production=False),
    lambda text: rules.text_problem(text, lines=True),
    lambda text: rules.secret_version_problem(text, external=True),
    lambda text: rules.filter_problem({text: text}),
    rules.build_arg_problem,
    rules.certificate_problem,
    rules.cidr_problem,
    rules.cors_problem,
    rules.cpu_problem,
    rules.entry_problem,
    rules.env_name_problem,
    rules.environment_problem,
    rules.folder_problem,
    rules.header_problem,
    rules.host_problem,
    rules.memory_problem,
    rules.namespace_problem,
    rules.production_problem,
    rules.schema_problem,
    rules.secret_kind,
    rules.secret_version_problem,
    rules.service_problem,
    rules.tag_value_problem,
    rules.version_problem,
]


@pytest.mark.parametrize("judge", OF_ONE_TEXT)
def test_no_text_takes_longer_than_in_proportion_to_its_length(judge: Callable[[str], object]) -> None:
    for piece in SLOW:
        for text in (piece * (LONG // len(piece)), piece * (LONG // len(piece)) + "!"):
            before = time.process_time()
            judge(text)
            assert time.process_time() - before < 0.1, piece


def test_a_host_leaves_room_for_its_color() -> None:
    host = f"{'a' * 60}.{'b' * 61}"
    assert len(f"green.{host}") == 128
    assert rules.host_problem(host) is None
    assert "at most 122" in str(rules.host_problem("a" + host))


def test_the_longest_names_of_environment_and_service_make_a_namespace() -> None:
    environment, service = "e" * 22, "s" * 40
    assert rules.environment_problem(environment) is None
    assert rules.service_problem(service) is None
    assert len(f"{environment}-{service}") == 63
    assert rules.environment_problem(environment + "e") is not None
    assert rules.service_problem(service + "s") is not None


# The gate


def test_a_host_with_a_certificate_of_its_own_has_at_most_64_characters() -> None:
    assert rules.certificate_problem("a" * 52 + ".example.com") is None
    assert rules.certificate_problem("a" * 53 + ".example.com") is not None
