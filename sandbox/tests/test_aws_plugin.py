"""The aws plugin that is built here has the types and functions that the programs use, and no other."""

import re

import pytest

from tests.support.engine import Answer, Engine
from tests.support.program import ROOT, STACKS, Config, run, unchanged
from tests.support.strategies import whole

TABLES = (ROOT / "sandbox/go/aws-plugin/main.go").read_text()
BALANCER = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/edge-alb-0a1b2c3/0"
ANSWERS: dict[str, Answer] = {
    "aws:ec2/getSubnets:getSubnets": {"ids": ["subnet-1", "subnet-2"]},
    "aws:ec2/getVpc:getVpc": {
        "id": "vpc-1",
        "cidrBlockAssociations": [{"cidrBlock": "10.0.0.0/16", "state": "associated"}],
    },
    "aws:ecr/getAuthorizationToken:getAuthorizationToken": {
        "userName": "AWS",
        "password": "obviously-fake",
        "proxyEndpoint": "https://123456789012.dkr.ecr.eu-west-1.amazonaws.com",
    },
    "aws:lb/getLbs:getLbs": {"arns": [BALANCER]},
    "aws:lb/getLoadBalancer:getLoadBalancer": {"name": "edge-alb-0a1b2c3", "internal": True, "vpcId": "vpc-1"},
}


def with_all_options(values: Config) -> None:
    """Put in the place of a stack's settings those that use every key, with a network that is found by its tags."""
    every, by_tags, _ = whole()
    for key in [key for key in values if key.startswith("hueshift:")]:
        del values[key]
    network = by_tags["network"] | {key: value for key, value in every["network"].items() if "Id" not in key}
    values |= {f"hueshift:{key}": value for key, value in every.items()} | {"hueshift:network": network}


def token(module: str, kind: str) -> str:
    return f"aws:{module}/{kind[0].lower()}{kind[1:]}:{kind}"


def table(name: str) -> set[str]:
    """Return the tokens of a table of the plugin's."""
    found = re.search(rf"^var {name} = map\[string\]string{{\n(.*?)\n}}", TABLES, re.DOTALL | re.MULTILINE)
    assert found is not None
    rows = re.findall(r'^\t"\w+": +"(\w+)/(\w+)",$', found[1], re.MULTILINE)
    assert len(rows) == len(found[1].splitlines())
    return {token(module, kind) for module, kind in rows}


def in_tests() -> set[str]:
    """Return the tokens of the types that the programs of the tests on the local cloud use."""
    found = set()
    for program in (ROOT / "tests/e2e/programs").glob("*/__main__.py"):
        text = program.read_text()
        modules = "|".join(re.findall(r"^from pulumi_aws import (.+)$", text, re.MULTILINE)).replace(", ", "|")
        found |= set(re.findall(rf"\b({modules})\.([A-Z]\w+)\(", text)) if modules else set()
    return {token(module, kind) for module, kind in found}


@pytest.fixture(scope="module")
def engines() -> list[Engine]:
    """Return what the program did as each stack, and with every option."""
    return [*map(unchanged, STACKS), run("staging", with_all_options, answers=ANSWERS)]


def test_the_plugin_has_the_types_that_the_program_uses_and_no_other(engines: list[Engine]) -> None:
    used = {made.type for engine in engines for made in engine.registrations.values()}
    assert in_tests()
    assert table("resources") == {each for each in used if each.startswith("aws:")} | in_tests()


def test_the_plugin_has_the_functions_that_the_program_calls_and_no_other(engines: list[Engine]) -> None:
    called = set[str]().union(*(engine.asked for engine in engines))
    assert table("functions") == {each for each in called if each.startswith("aws:")}
