"""What becomes of answers and finds: which candidate is taken, which lack is refused, and what the file says."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components.settings import StackSettings, parse
from hueshift.doctor.verdicts import Subnet
from hueshift.init.plan import (
    Answers,
    Candidate,
    Finds,
    Known,
    Network,
    certificates_of,
    host_of,
    pick,
    subnets_of,
    version_of,
    written,
    zones_of,
)
from hueshift.report import RefusedError
from hueshift.stack_yaml import parsed

VPC = "vpc-0a1b2c3d"
TOLD = Answers(
    stack="staging",
    service="shop",
    host="shop.example.com",
    image="registry.example.com/shop:1.4.0",
    version="1.4.0",
    port=8080,
    health_path=None,
    scheme="internal",
    production=False,
    stated=False,
    owner=None,
    on_call=None,
    notify=None,
    testers=(),
)
FOUND = Finds(
    region=Known("eu-west-1", "Of AWS_REGION or the profile."),
    account=Known("012345678901", "Of the credentials."),
    cluster=Known("staging", "Of the region's clusters."),
    vpc=Known(VPC, "The VPC of the cluster."),
    subnets=Known(["subnet-0a1b2c3d", "subnet-0a1b2c3e"], "The subnets are in a, b."),
    zone=Known("example.com", "The public hosted zone of the host."),
)


def read(text: str) -> Mapping[str, Any]:
    content: Mapping[str, Any] = parsed(text, Path("Pulumi.staging.yaml"))["config"]
    return content


def judged(text: str, stack: str) -> StackSettings:
    own = {key.removeprefix("hueshift:"): value for key, value in read(text).items() if key.startswith("hueshift:")}
    return parse(own, stack=stack, region="eu-west-1")


def network(number: int, zone: str, *, public: bool = False, role: str | None = None) -> Network:
    return Network(Subnet(f"subnet-{number}", VPC, zone), public, role, f"{zone} 10.0.{number}.0/24")


def ids(networks: Sequence[Network]) -> list[str]:
    return [each.subnet.id for each in networks]


def test_the_file_is_accepted_and_says_where_a_value_came_from() -> None:
    text = written(TOLD, FOUND, project="hueshift", kept={})
    settings = judged(text, "staging")
    assert settings.services["shop"].host == "shop.example.com"
    assert settings.dns is not None
    assert settings.dns.zone == "example.com"
    assert settings.load_balancer.certificate_arn is None
    assert read(text)["aws:allowedAccountIds"] == ["012345678901"]
    assert text.startswith("# yaml-language-server: $schema=docs/reference/stack.schema.json\n")
    assert "# The VPC of the cluster. The subnets are in a, b." in text
    assert "The program makes the certificate" in text


def test_the_file_of_production_is_accepted_too() -> None:
    told = replace(
        TOLD,
        stack="production",
        image=f"registry.example.com/shop@sha256:{'0a1b' * 16}",
        scheme="internet-facing",
        production=True,
        owner="team-shop",
        on_call="shop-on-call@example.com",
        notify="shop-on-call@example.com",
        testers=("203.0.113.10/32",),
    )
    settings = judged(written(told, FOUND, project="hueshift", kept={}), "production")
    assert not settings.network.internal
    assert not settings.services["shop"].expects_traffic
    assert settings.logs is not None


def test_what_was_told_and_found_otherwise_is_in_the_file() -> None:
    arn = "arn:aws:acm:eu-west-1:012345678901:certificate/5d0c1f0e"
    finds = replace(
        FOUND, zone=None, certificate=Known(arn, "Issued."), lacking=("monitoring.coreos.com/v1/podmonitors",)
    )
    told = replace(TOLD, stack="live", stated=True, health_path="/healthz", port=3000)
    settings = judged(written(told, finds, project="hueshift", kept={}), "live")
    assert (settings.dns, settings.load_balancer.certificate_arn) == (None, arn)
    assert not settings.prometheus.enabled
    assert not settings.production
    shop = settings.services["shop"]
    assert (shop.port, shop.health.path, shop.health.liveness_path) == (3000, "/healthz", "/healthz")


def test_what_the_engine_had_in_a_replaced_file_is_kept() -> None:
    kept = {"secretsprovider": "awskms://alias/pulumi-staging", "encryptedkey": "AAAA"}
    content = parsed(written(TOLD, FOUND, project="hueshift", kept=kept), Path("Pulumi.staging.yaml"))
    assert {key: value for key, value in content.items() if key != "config"} == kept


def test_a_project_of_another_name_has_its_own_keys() -> None:
    assert "shop:services" in read(written(TOLD, FOUND, project="shop", kept={}))


def test_one_candidate_is_taken_and_of_several_a_person_takes_one() -> None:
    one, other = Candidate("a"), Candidate("b", "10.0.0.0/16")
    assert pick("VPC", "--vpc", [], given=None, ask=None) is None
    assert pick("VPC", "--vpc", [one], given=None, ask=None) == one
    assert pick("VPC", "--vpc", [one, other], given="b", ask=None) == other
    assert pick("VPC", "--vpc", [one, other], given=None, ask=lambda _, listed: listed[1].value) == other


def test_of_several_candidates_nobody_takes_one_without_a_terminal() -> None:
    with pytest.raises(RefusedError, match=r"2 candidates for the VPC: choose with --vpc\n    a\n    b \(10"):
        pick("VPC", "--vpc", [Candidate("a"), Candidate("b", "10.0.0.0/16")], given=None, ask=None)


def test_what_is_named_and_not_there_is_refused_with_what_is() -> None:
    with pytest.raises(RefusedError, match=r"--vpc c: no VPC is called so; there are\n    a"):
        pick("VPC", "--vpc", [Candidate("a")], given="c", ask=None)
    assert pick("VPC", "--vpc", [], given="c", ask=None) == Candidate("c")


@pytest.mark.parametrize("dot", ["", "."])
def test_the_zones_of_a_host_hold_it_the_nearest_first(dot: str) -> None:
    public = [f"{name}{dot}" for name in ("example.com", "shop.example.com", "ple.com", "example.org")]
    assert [each.value for each in zones_of("shop.example.com", public)] == ["shop.example.com", "example.com"]


def test_a_certificate_must_cover_the_hosts_of_the_colors_too() -> None:
    issued = {"a": ["shop.example.com", "*.example.com"], "b": ["shop.example.com", "*.shop.example.com"]}
    assert [each.value for each in certificates_of("shop.example.com", issued)] == ["b"]


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("registry.example.com:5000/shop:1.4.0", "1.4.0"),
        ("shop:v1.4.0", "1.4.0"),
        (f"shop:1.4.0@sha256:{'0' * 64}", "1.4.0"),
        ("registry.example.com:5000/shop", None),
        ("shop:3f2c1ab", None),
    ],
)
def test_the_version_is_what_the_tag_says(image: str, version: str | None) -> None:
    assert version_of(image) == version


def test_a_host_has_neither_capitals_nor_a_dot_at_its_end() -> None:
    assert host_of("Shop.Example.com.") == "shop.example.com"


def test_the_scheme_says_which_subnets_and_their_tags_which_of_several() -> None:
    there = [
        network(1, "a"),
        network(2, "b"),
        network(3, "b", role="internal"),
        network(4, "a", public=True),
        network(5, "b", public=True),
    ]
    assert ids(subnets_of(there, vpc=VPC, scheme="internal", given=(), ask=None)) == ["subnet-1", "subnet-3"]
    assert ids(subnets_of(there, vpc=VPC, scheme="internet-facing", given=(), ask=None)) == ["subnet-4", "subnet-5"]


def test_too_few_zones_are_refused_with_what_there_is() -> None:
    there = [network(1, "a"), network(2, "b", public=True)]
    with pytest.raises(RefusedError, match=r"(?s)network.subnetIds: 1 zones .* --subnet.*subnet-2"):
        subnets_of(there, vpc=VPC, scheme="internal", given=(), ask=None)


def test_several_subnets_in_a_zone_are_asked_for_or_refused() -> None:
    there = [network(1, "a"), network(2, "a"), network(3, "b")]
    with pytest.raises(RefusedError, match=r"(?s)several private subnets in a zone.*--subnet.*subnet-2"):
        subnets_of(there, vpc=VPC, scheme="internal", given=(), ask=None)
    asked = subnets_of(there, vpc=VPC, scheme="internal", given=(), ask=lambda _, listed: listed[1].value)
    assert ids(asked) == ["subnet-2", "subnet-3"]
    given = ("subnet-1", "subnet-3")
    assert ids(subnets_of(there, vpc=VPC, scheme="internal", given=given, ask=None)) == list(given)
    with pytest.raises(RefusedError, match="both in a; name one"):
        subnets_of(there, vpc=VPC, scheme="internal", given=("subnet-1", "subnet-2"), ask=None)
