"""A color that cannot serve gets no traffic: the gate refuses the update and nothing changes."""

from collections.abc import Iterator

import boto3
import pytest
import requests

from tests.e2e import cloud

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


def live_weights() -> dict[str, int]:
    """Return the weights of the production rule as the load balancer has them, by target group ARN."""
    client = boto3.client("elbv2")
    for balancer in client.describe_load_balancers()["LoadBalancers"]:
        for listener in client.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]:
            for rule in client.describe_rules(ListenerArn=listener["ListenerArn"])["Rules"]:
                hosts = [condition.get("HostHeaderConfig", {}).get("Values") for condition in rule["Conditions"]]
                if hosts == [[cloud.HOST]]:
                    groups = rule["Actions"][0]["ForwardConfig"]["TargetGroups"]
                    return {group["TargetGroupArn"]: group["Weight"] for group in groups}
    raise AssertionError("the production rule is not there")


@pytest.fixture
def green_unready() -> Iterator[None]:
    """Make every green pod fail its readiness until the test is over."""

    def set_ready(*, ready: bool) -> None:
        for pod in cloud.pods("green"):
            requests.put(
                f"http://{pod['status']['podIP']}:8080/faults", json={"unready": not ready}, timeout=5
            ).raise_for_status()

    (group,) = [arn for arn in live_weights() if "-green-" in arn]

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
    before = live_weights()
    with cloud.stack_file() as file:
        text = file.read_text()
        for path, value in (("activeColor", "green"), ("canaryWeight", "10")):
            cloud.configure(path, value)
            refused = cloud.pulumi("up", "--yes", "--skip-preview", check=False)
            assert refused.returncode != 0
            assert "green" in refused.stdout + refused.stderr
            assert "healthy" in refused.stdout + refused.stderr
            assert live_weights() == before
            status, headers, _ = cloud.curl(f"https://{cloud.HOST}/")
            assert (status, headers["x-color"]) == (200, "blue")
            file.write_text(text)
        assert cloud.update() == {}


def test_the_way_back_from_a_color_whose_pods_fail_is_not_held_up_by_them() -> None:
    with cloud.stack_file():
        cloud.configure("services.shop.timing.awaitTimeout", 26)
        cloud.configure("canaryWeight", 10)
        cloud.update()
        cloud.configure("services.shop.colors.green.image", "127.0.0.1:5000/shop:9.9.9")
        assert cloud.pulumi("up", "--yes", "--skip-preview", check=False).returncode != 0
        assert sorted(live_weights().values()) == [10, 90]
        cloud.configure("canaryWeight", 0)
        cloud.pulumi("up", "--yes", "--skip-preview", check=False)
        assert sorted(live_weights().values()) == [0, 100]


def test_a_parked_color_has_no_pods_and_comes_back_whole() -> None:
    with cloud.stack_file() as file:
        before = file.read_text()
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
