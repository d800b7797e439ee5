"""The engine's verbs on the local cloud: up, preview, refresh, import, target, destroy."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from sandbox import paths
from tests.e2e import cloud

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


def test_a_second_up_changes_nothing() -> None:
    assert cloud.update() == {}


def test_a_refresh_finds_what_up_has_left() -> None:
    cloud.pulumi("refresh", "--yes", "--skip-preview", "--expect-no-changes")
    assert cloud.update() == {}


def test_a_preview_shows_a_canary_step_as_two_numbers_on_one_rule() -> None:
    with cloud.stack_file() as file:
        before = file.read_text()
        cloud.configure("canaryWeight", 10)
        shown = cloud.pulumi("preview", "--diff").stdout
        steps = json.loads(cloud.pulumi("preview", "--json").stdout)["changeSummary"]
        file.write_text(before)
    assert "100 => 90" in shown
    assert "0 => 10" in shown
    assert {name: count for name, count in steps.items() if name != "same"} == {"update": 1}


def test_a_weight_moved_behind_the_stack_is_found_by_refresh_and_put_back_by_up() -> None:
    client = boto3.client("elbv2")
    exported = json.loads(cloud.pulumi("stack", "export").stdout)["deployment"]["resources"]
    (rule,) = [
        resource["id"]
        for resource in exported
        if resource["type"] == "aws:lb/listenerRule:ListenerRule" and resource["urn"].endswith("-production")
    ]
    actions = client.describe_rules(RuleArns=[rule])["Rules"][0]["Actions"]
    moved = json.loads(json.dumps(actions))
    moved[0].pop("TargetGroupArn", None)
    for group in moved[0]["ForwardConfig"]["TargetGroups"]:
        group["Weight"] = {100: 70, 0: 30}[group["Weight"]]
    client.modify_rule(RuleArn=rule, Actions=moved)
    drift = cloud.pulumi("preview", "--refresh", "--diff").stdout
    assert "weight" in drift
    cloud.pulumi("refresh", "--yes", "--skip-preview")
    assert cloud.update() == {"update": 1}
    now = client.describe_rules(RuleArns=[rule])["Rules"][0]["Actions"][0]["ForwardConfig"]["TargetGroups"]
    before = actions[0]["ForwardConfig"]["TargetGroups"]
    assert {g["TargetGroupArn"]: g["Weight"] for g in now} == {g["TargetGroupArn"]: g["Weight"] for g in before}


def test_a_target_narrows_an_update_to_one_resource() -> None:
    with cloud.stack_file():
        cloud.configure("canaryWeight", 10)
        cloud.configure("services.shop.env.GREETING", "hello")
        cloud.pulumi("up", "--yes", "--skip-preview", "--target", "**aws:lb/listenerRule:ListenerRule**")
        assert cloud.last_update()["resourceChanges"].get("update") == 1
        assert "replace" not in cloud.last_update()["resourceChanges"]
        assert "create" not in cloud.last_update()["resourceChanges"]


def test_an_update_of_another_cluster_is_refused_before_anything_is_touched() -> None:
    with cloud.stack_file():
        cloud.configure("cluster.name", "elsewhere")
        cloud.configure("canaryWeight", 10)
        refused = cloud.pulumi("up", "--yes", "--skip-preview", check=False)
        told = refused.stdout + refused.stderr
        assert refused.returncode != 0
        assert f"the kubeconfig leads to {cloud.cluster_name()}" in told
        assert "aws eks update-kubeconfig --name elsewhere" in told
        cloud.configure("cluster.name", cloud.cluster_name())
        cloud.configure("canaryWeight", 0)
        assert cloud.update() == {}


def test_another_scheme_is_refused_before_anything_is_touched() -> None:
    with cloud.stack_file() as file:
        before = file.read_text()
        cloud.configure("network.scheme", "internet-facing")
        cloud.configure("loadBalancer.testListenerCidrs[0]", "203.0.113.10/32")
        refused = cloud.pulumi("preview", check=False)
        assert refused.returncode != 0
        assert "and the settings say internet-facing in vpc-" in refused.stdout + refused.stderr
        file.write_text(before)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield a project with one resource of each provider, brought up in its own stack and destroyed afterwards."""
    source = paths.ROOT / "tests/e2e/programs/every_provider"
    project = tmp_path_factory.mktemp("every") / "provider"
    shutil.copytree(source, project)
    (project / "Pulumi.yaml").write_text(
        (source / "Pulumi.yaml").read_text().replace("../../../../.venv", str(paths.ROOT / ".venv"))
    )
    vpc = boto3.client("ec2").describe_vpcs()["Vpcs"][0]["VpcId"]
    cloud.run("pulumi", "--cwd", str(project), "--non-interactive", "stack", "init", "scratch", "--no-select")
    in_project(project, "config", "set", "vpcId", vpc)
    in_project(project, "config", "set", "aws:region", paths.REGION)
    in_project(project, "up", "--yes", "--skip-preview")
    yield project
    in_project(project, "destroy", "--yes", "--skip-preview")
    left = json.loads(in_project(project, "stack", "export"))["deployment"].get("resources", [])
    cloud.run("pulumi", "--cwd", str(project), "stack", "rm", "scratch", "--yes")
    assert [resource["type"] for resource in left if resource["type"] != "pulumi:pulumi:Stack"] == []
    assert cloud.run("kubectl", "get", "namespace", "every-provider", check=False).returncode != 0


def in_project(project: Path, *arguments: str, stack: str = "scratch") -> str:
    """Run `pulumi … --cwd project --stack scratch`."""
    return cloud.run("pulumi", "--cwd", str(project), "--non-interactive", *arguments, "--stack", stack).stdout


def test_every_provider_creates_and_then_has_nothing_to_do(scratch: Path) -> None:
    outputs = json.loads(in_project(scratch, "stack", "output", "--json"))
    assert outputs["digest"].startswith("127.0.0.1:5000/every-provider@sha256:")
    in_project(scratch, "up", "--yes", "--skip-preview", "--expect-no-changes")
    in_project(scratch, "refresh", "--yes", "--skip-preview", "--expect-no-changes")


def test_a_changed_config_map_is_replaced_and_keeps_its_group(scratch: Path) -> None:
    before = json.loads(in_project(scratch, "stack", "output", "--json"))
    in_project(scratch, "config", "set", "color", "green")
    assert "color" in in_project(scratch, "preview", "--diff")
    in_project(scratch, "up", "--yes", "--skip-preview")
    after = json.loads(in_project(scratch, "stack", "output", "--json"))
    assert after["configMap"] != before["configMap"]
    assert after["group"] == before["group"]


@pytest.mark.parametrize(
    ("token", "key"), [("aws:lb/targetGroup:TargetGroup", "group"), ("kubernetes:core/v1:ConfigMap", "configMap")]
)
def test_a_living_object_can_be_imported(scratch: Path, token: str, key: str) -> None:
    identifier = json.loads(in_project(scratch, "stack", "output", "--json"))[key]
    identifier = f"every-provider/{identifier}" if key == "configMap" else identifier
    cloud.run("pulumi", "--cwd", str(scratch), "stack", "init", "import", "--no-select")
    try:
        in_project(
            scratch,
            "import",
            token,
            "found",
            identifier,
            "--yes",
            "--skip-preview",
            "--generate-code=false",
            stack="import",
        )
        resources = json.loads(in_project(scratch, "stack", "export", stack="import"))["deployment"]["resources"]
        assert identifier in [resource.get("id") for resource in resources]
    finally:
        cloud.run("pulumi", "--cwd", str(scratch), "stack", "rm", "import", "--force", "--yes")
