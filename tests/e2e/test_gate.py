"""A color that cannot serve gets no traffic: the gate refuses the update and nothing changes."""

from collections.abc import Iterator

import boto3
import pytest
import requests

from tests.e2e import cloud

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


def live_weights() -> dict[str, int]:
    """Return the weights of the production rule as the load balancer has them, by target group name."""
    client = boto3.client("elbv2")
    names = {
        group["TargetGroupArn"]: group["TargetGroupName"] for group in client.describe_target_groups()["TargetGroups"]
    }
    (balancer,) = client.describe_load_balancers()["LoadBalancers"]
    listeners = client.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
    (production,) = [listener for listener in listeners if listener["Port"] == 443]
    for rule in client.describe_rules(ListenerArn=production["ListenerArn"])["Rules"]:
        groups = rule["Actions"][0].get("ForwardConfig", {}).get("TargetGroups", [])
        if len(groups) == 2:
            return {names[group["TargetGroupArn"]]: group["Weight"] for group in groups}
    raise AssertionError("the production rule is not there")


@pytest.fixture
def green_unready() -> Iterator[None]:
    """Make every green pod fail its readiness until the test is over."""

    def set_ready(*, ready: bool) -> None:
        for pod in cloud.pods("green"):
            requests.put(
                f"http://{pod['status']['podIP']}:8080/faults", json={"unready": not ready}, timeout=5
            ).raise_for_status()

    def healthy() -> int:
        client = boto3.client("elbv2")
        for group in client.describe_target_groups()["TargetGroups"]:
            if "green" in str(client.describe_tags(ResourceArns=[group["TargetGroupArn"]])):
                targets = client.describe_target_health(TargetGroupArn=group["TargetGroupArn"])[
                    "TargetHealthDescriptions"
                ]
                return sum(target["TargetHealth"]["State"] == "healthy" for target in targets)
        raise AssertionError("green has no target group")

    before = healthy()
    assert before >= 2
    set_ready(ready=False)
    try:
        cloud.wait_until("green has no healthy target", lambda: healthy() == 0)
        yield
    finally:
        set_ready(ready=True)
        cloud.wait_until("green's targets are healthy again", lambda: healthy() == before)


@pytest.mark.usefixtures("green_unready")
@pytest.mark.parametrize(("path", "value"), [("activeColor", "green"), ("canaryWeight", "10")])
def test_a_color_whose_pods_are_unready_gets_no_traffic_and_nothing_changes(path: str, value: str) -> None:
    before = live_weights()
    with cloud.stack_file() as file:
        text = file.read_text()
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
