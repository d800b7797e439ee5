"""A color that cannot serve gets no traffic: the gate refuses the update and nothing changes."""

import copy
import json
import subprocess
from collections.abc import Iterator

import boto3
import pytest
import requests

from tests.e2e import cloud

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


@pytest.fixture(scope="module", autouse=True)
def own_minutes() -> Iterator[None]:
    """Keep the pace of CloudWatch: of a color that is away for seconds no alarm is to hear."""
    with cloud.own_minutes():
        yield


@pytest.fixture
def green_unready() -> Iterator[None]:
    """Make every green pod fail its readiness until the test is over."""

    def set_ready(*, ready: bool) -> None:
        for pod in cloud.pods("green"):
            requests.put(
                f"http://{pod['status']['podIP']}:8080/faults", json={"unready": not ready}, timeout=5
            ).raise_for_status()

    (group,) = [arn for arn in cloud.live_weights() if "-green-" in arn]

    def healthy() -> int:
        targets = boto3.client("elbv2").describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
        return sum(target["TargetHealth"]["State"] == "healthy" for target in targets)

    assert healthy() >= 2
    set_ready(ready=False)
    try:
        cloud.wait_until("green has no healthy target", lambda: healthy() == 0)
        yield
    finally:
        set_ready(ready=True)
        cloud.wait_until("green's targets are healthy again", lambda: healthy() >= 2)


@pytest.mark.usefixtures("green_unready")
def test_a_color_whose_pods_are_unready_gets_no_traffic_and_nothing_changes() -> None:
    before = cloud.live_weights()
    with cloud.stack_file() as file:
        text = file.read_text()
        for path, value in (("activeColor", "green"), ("canaryWeight", "10")):
            cloud.configure(path, value)
            refused = cloud.pulumi("up", "--yes", "--skip-preview", check=False)
            assert refused.returncode != 0
            assert "green" in refused.stdout + refused.stderr
            assert "healthy" in refused.stdout + refused.stderr
            assert cloud.live_weights() == before
            status, headers, _ = cloud.curl(f"https://{cloud.HOST}/")
            assert (status, headers["x-color"]) == (200, "blue")
            file.write_text(text)
        assert cloud.update() == {}


def hueshift(*words: str) -> "subprocess.CompletedProcess[str]":
    return cloud.run("hueshift", *words, "--stack", "sandbox", check=False)


@pytest.mark.usefixtures("green_unready")
def test_after_a_refused_flip_the_color_that_serves_is_not_taken_for_idle() -> None:
    image = ("image", "set", "shop", "127.0.0.1:5000/shop:1.6.0", "--version", "1.6.0")
    differ = "the load balancer has blue 100 %, green 0 %, and Pulumi.sandbox.yaml says blue 0 %, green 100 %"
    with cloud.stack_file() as file:
        cloud.configure("activeColor", "green")
        assert cloud.pulumi("up", "--yes", "--skip-preview", check=False).returncode != 0
        before = file.read_text()
        refused = hueshift(*image)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert differ in refused.stderr
        assert file.read_text() == before
        asked = hueshift("status", "--service", "shop")
        assert asked.returncode == 3
        assert asked.stdout.splitlines()[1].startswith("  blue  100 %  ██████████  1.4.0")
        mend = "pulumi config set --path activeColor blue --stack sandbox"
        assert mend in asked.stderr
        cloud.run(*mend.split())
        assert hueshift("status", "--service", "shop").returncode == 0
        assert "the idle color green gets shop 1.6.0" in hueshift(*image).stdout


def test_what_was_moved_by_hand_is_in_the_comment_and_is_never_idle() -> None:
    client = boto3.client("elbv2")
    state = json.loads(cloud.pulumi("stack", "export").stdout)["deployment"]["resources"]
    (rule,) = [item["id"] for item in state if item["urn"].endswith("::shop-traffic-production")]
    actions = client.describe_rules(RuleArns=[rule])["Rules"][0]["Actions"]
    flipped = copy.deepcopy(actions)
    for group in flipped[0]["ForwardConfig"]["TargetGroups"]:
        group["Weight"] = 100 - group["Weight"]
    client.modify_rule(RuleArn=rule, Actions=flipped)
    try:
        said = hueshift("preview").stdout
        assert "live weights are blue 0 %, green 100 %, the state has blue 100 %, green 0 %" in said
        refused = hueshift("image", "set", "shop", "127.0.0.1:5000/shop:1.6.0", "--version", "1.6.0")
        assert "the load balancer has blue 0 %, green 100 %" in refused.stderr
    finally:
        client.modify_rule(RuleArn=rule, Actions=actions)


def test_the_way_back_from_a_color_whose_pods_fail_is_not_held_up_by_them() -> None:
    with cloud.stack_file():
        cloud.configure("services.shop.timing.awaitTimeout", 26)
        cloud.configure("canaryWeight", 10)
        cloud.update()
        cloud.configure("services.shop.colors.green.image", "127.0.0.1:5000/shop:9.9.9")
        assert cloud.pulumi("up", "--yes", "--skip-preview", check=False).returncode != 0
        assert sorted(cloud.live_weights().values()) == [10, 90]
        cloud.configure("canaryWeight", 0)
        cloud.pulumi("up", "--yes", "--skip-preview", check=False)
        assert sorted(cloud.live_weights().values()) == [0, 100]


def test_another_protocol_is_refused_before_a_group_is_made_that_nobody_fills() -> None:
    before = cloud.live_weights()
    with cloud.stack_file():
        cloud.configure("services.shop.protocol", "http2")
        cloud.configure("services.shop.uptime.enabled", "false")
        refused = cloud.pulumi("up", "--yes", "--skip-preview", check=False)
        assert refused.returncode != 0
        assert "set protocol to http1" in refused.stdout + refused.stderr
        assert cloud.live_weights() == before, "the rule leads to the groups that there were"
    assert cloud.pulumi("preview", "--refresh", "--expect-no-changes").returncode == 0


def test_a_parked_color_has_no_pods_and_comes_back_whole() -> None:
    with cloud.stack_file() as file:
        before = file.read_text()
        # The autoscaler owns the number on EKS, where its first move enters it in the managed fields; so does this.
        cloud.kubectl("patch", "deployment", "shop-green", "--type=merge", "--patch", '{"spec": {"replicas": 2}}')
        cloud.configure("services.shop.colors.green.parked", "true")
        cloud.update()
        cloud.wait_until("green has no pods", lambda: cloud.pods("green") == [])
        assert cloud.kubectl("get", "horizontalpodautoscalers", "-o", "name").split() == [
            "horizontalpodautoscaler.autoscaling/shop-blue"
        ]
        assert cloud.curl(f"https://{cloud.HOST}/", "--header", "x-canary: true")[1]["x-color"] == "blue"
        file.write_text(before)
        cloud.update()
        cloud.wait_until("green has its pods again", lambda: len(cloud.pods("green")) == 2)
        cloud.kubectl("rollout", "status", "deployment/shop-green", "--timeout=60s")
