"""The local cloud itself: reused in seconds, mended after a kill or a lost memory, gone without a trace."""

import copy
import json
import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml

from hueshift.secrets.bootstrap import MAKE_CONTAINERS
from sandbox import controllers, fakes, paths, processes
from tests.e2e import cloud
from tests.support.shell import Shell

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


def make(target: str) -> tuple[str, float]:
    """Run a make target; return what it printed and the seconds it took."""
    started = time.monotonic()
    return cloud.run("make", "-s", target).stdout, time.monotonic() - started


def served() -> str:
    """Return the color that answers, or an empty text."""
    status, headers, _ = cloud.curl(f"https://{cloud.HOST}/")
    return headers["x-color"] if status == 200 else ""


def test_a_second_run_reuses_everything_in_under_90_seconds() -> None:
    pods = {pod["metadata"]["uid"] for color in ("blue", "green") for pod in cloud.pods(color)}
    _, seconds = make("sandbox")
    assert seconds < 90
    assert pods == {pod["metadata"]["uid"] for color in ("blue", "green") for pod in cloud.pods(color)}


def test_the_status_of_a_whole_cloud_is_what_it_serves() -> None:
    assert f"https://{cloud.HOST}" in make("sandbox-status")[0]


def test_the_printed_exports_serve_the_plain_commands() -> None:
    exports, _ = make("sandbox-env")
    used = "pulumi stack ls --json; kubectl get nodes -o name; aws elbv2 describe-load-balancers --output text"
    done = Shell(folder=paths.ROOT).script(f"{exports}\n{used}\nhueshift smoke shop --stack sandbox")
    assert "sandbox" in done.stdout
    assert "node/" in done.stdout
    assert "is live and ready as green" in done.stdout


def test_the_controller_lets_the_load_balancer_and_nobody_else_into_the_security_group_of_the_pods() -> None:
    (balancer,) = boto3.client("elbv2").describe_load_balancers()["LoadBalancers"]
    owned = [{"Name": f"tag:kubernetes.io/cluster/{paths.CLUSTER}", "Values": ["owned"]}]
    (group,) = boto3.client("ec2").describe_security_groups(Filters=owned)["SecurityGroups"]
    (rule,) = group["IpPermissions"]
    (pair,) = rule["UserIdGroupPairs"]
    assert (rule["IpProtocol"], rule["FromPort"], rule["ToPort"], rule["IpRanges"]) == ("tcp", 0, 65535, [])
    assert [pair["GroupId"]] == balancer["SecurityGroups"]
    assert pair["Description"] == "elbv2.k8s.aws/targetGroupBinding=shared"


def test_destroy_leaves_no_resource_and_the_next_run_serves_again() -> None:
    cloud.pulumi("destroy", "--yes", "--skip-preview")
    left = json.loads(cloud.pulumi("stack", "export").stdout)["deployment"].get("resources", [])
    assert [resource["urn"] for resource in left if resource["type"] != "pulumi:pulumi:Stack"] == []
    make("sandbox")
    assert served() == "blue"


def test_a_dead_controller_is_told_and_started_again() -> None:
    pid = int((paths.STATE / f"{controllers.LOAD_BALANCER}.pid").read_text())
    os.kill(pid, signal.SIGKILL)
    told = cloud.run("make", "-s", "sandbox-status", check=False)
    assert told.returncode != 0
    assert re.search(rf"{controllers.LOAD_BALANCER} +not running", told.stdout)
    make("sandbox")
    assert processes.running(controllers.LOAD_BALANCER)


def test_a_lost_emulator_and_a_killed_update_are_noticed_and_the_world_rebuilt() -> None:
    with cloud.stack_file() as file:
        before = file.read_text()
        cloud.configure("services.shop.env.GREETING", "hello")
        state = paths.PULUMI_STATE / ".pulumi/stacks/hueshift/sandbox.json"
        up = ("pulumi", "up", "--yes", "--skip-preview", "--stack", "sandbox")
        with Shell(folder=paths.ROOT).started(*up) as update:
            cloud.wait_until("an operation is pending", lambda: '"pending_operations"' in state.read_text())
            cloud.kill(update)
        os.kill(int((paths.STATE / "aws.pid").read_text()), signal.SIGKILL)
        file.write_text(before)
        assert "clear a lost world" in make("sandbox")[0]
    assert served() == "blue"


NAMES = [f"shop-{number}" for number in range(1, 3)]
"""Two beside the sandbox's own."""
HOSTS = {"shop": cloud.HOST} | {name: f"{name}.{cloud.HOST}" for name in NAMES}
"""All in the sandbox's own certificate."""


def add(file: Path) -> None:
    """Add the two to a stack file: without a database, one pod to a color, with the sandbox's own secret values."""
    values = yaml.safe_load(file.read_text())
    services: dict[str, Any] = values["config"]["hueshift:services"]
    for band, name in enumerate(NAMES, 1):
        service = copy.deepcopy(services["shop"])
        for color in service["colors"].values():
            del color["schema"]
        services[name] = {
            **service,
            "host": HOSTS[name],
            "priorityBand": band,
            "replicas": {"min": 1, "max": 1},
        }
    file.write_text(yaml.safe_dump(values, sort_keys=False))


def put_values() -> None:
    """Put into each container what its pods wait for."""
    client = boto3.client(
        "secretsmanager",
        endpoint_url=paths.AWS_ENDPOINT,
        region_name=paths.REGION,
        aws_access_key_id="sandbox",
        aws_secret_access_key="sandbox",
    )
    for name in NAMES:
        client.put_secret_value(
            SecretId=f"sandbox/{name}/app",
            ClientRequestToken=fakes.SECRET_VERSION,
            SecretString=json.dumps(fakes.SECRET_VALUES),
        )


def colors() -> dict[str, str]:
    """Return the color that answers at the host of each service."""
    return {name: cloud.curl(f"https://{host}/")[1].get("x-color", "") for name, host in HOSTS.items()}


def everywhere(color: str) -> dict[str, str]:
    return dict.fromkeys(HOSTS, color)


def test_three_services_flip_together_and_apart() -> None:
    file = paths.ROOT / "Pulumi.sandbox.yaml"
    before = file.read_text()
    try:
        add(file)
        cloud.pulumi("up", "--yes", "--skip-preview", *(f"--target={urn}" for urn in MAKE_CONTAINERS))
        put_values()
        cloud.update()
        cloud.wait_until("all three answer in blue", lambda: colors() == everywhere("blue"))

        cloud.configure("services.shop-2.activeColor", "green")
        assert cloud.update() == {"update": 1}
        cloud.wait_until("one alone is green", lambda: colors() == {**everywhere("blue"), "shop-2": "green"})

        cloud.pulumi("config", "rm", "--path", "hueshift:services.shop-2.activeColor")
        cloud.pulumi("config", "set", "activeColor", "green")
        started = time.monotonic()
        assert cloud.update() == {"update": 2}
        assert time.monotonic() - started < 60
        cloud.wait_until("all three are green", lambda: colors() == everywhere("green"))
    finally:
        file.write_text(before)  # the next test takes the cloud down: nobody waits for the two to go one by one


def traces() -> dict[str, set[str]]:
    """Return everything of this machine that the local cloud could leave behind."""

    def lines(*command: str) -> set[str]:
        return set(cloud.run(*command).stdout.splitlines())

    return {
        "namespaces": lines("ip", "netns", "list"),
        "links": {line.split(": ")[1] for line in lines("ip", "-o", "link")},
        "routes": lines("ip", "route"),
        "mounts": {line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()},
        "cgroups": {
            str(path)
            for path in Path("/sys/fs/cgroup").rglob("*")
            if path.is_dir() and ("kubepods" in path.name or path.name == "docker")
        },
        "files": {str(path) for folder in ("/run", "/var/lib", "/var/log") for path in Path(folder).iterdir()},
        "status": lines("git", "-C", str(paths.ROOT), "status", "--porcelain"),
    }


def test_what_a_killed_run_left_is_cleaned_up_by_the_next_and_down_leaves_nothing_behind() -> None:
    make("sandbox-down")
    clean = traces()
    assert not processes.marked()
    assert not paths.STATE.exists()
    with Shell(folder=paths.ROOT).started("make", "-s", "sandbox"):
        cloud.wait_until("the node is being made", lambda: (paths.NODE / "cluster/node.pid").exists())
        time.sleep(3)
    make("sandbox")
    assert served() == "blue"
    assert traces() != clean
    make("sandbox-down")
    assert traces() == clean
    assert not processes.marked()
    assert not paths.STATE.exists()
