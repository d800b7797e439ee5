"""A stack file by `hueshift init` on the local cloud, whose preview is clean; and what it does not choose by itself."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from sandbox import paths
from sandbox.aws.server import ZONE
from tests.e2e import cloud

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

STACK = "first"
TOLD = ("--service", "shop", "--host", f"shop.first.{ZONE}.", "--image", "127.0.0.1:5000/shop:1.4.0")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Lend a clean clone, whose stack is gone afterwards."""
    folder = cloud.clone(tmp_path_factory.mktemp("init") / "hueshift")
    yield folder
    cloud.run("pulumi", "stack", "rm", STACK, "--yes", "--force", "--preserve-config", cwd=folder, check=False)


def test_the_preview_of_what_init_writes_is_clean(project: Path) -> None:
    network = cloud.stack_config()["hueshift:network"]
    subnets = [word for each in network["subnetIds"] for word in ("--subnet", each)]
    chosen = ("--vpc", network["vpcId"], *subnets, "--cluster", cloud.cluster_name(), "--region", paths.REGION)
    cloud.run("hueshift", "init", STACK, *TOLD, *chosen, cwd=project)
    config = yaml.safe_load((project / f"Pulumi.{STACK}.yaml").read_text())["config"]
    assert config["hueshift:dns"] == {"zone": ZONE}
    assert config["aws:allowedAccountIds"] == [paths.ACCOUNT]
    assert "hueshift:prometheus" not in config  # its Operator is there
    cloud.run("pulumi", "stack", "init", STACK, "--no-select", cwd=project)
    cloud.run("pulumi", "preview", "--stack", STACK, "--non-interactive", cwd=project)


def test_of_several_networks_none_is_chosen(project: Path) -> None:
    network = cloud.stack_config()["hueshift:network"]
    done = cloud.run("hueshift", "init", "second", *TOLD, "--region", paths.REGION, cwd=project, check=False)
    assert done.returncode == 1
    assert "choose with --vpc" in done.stderr
    assert network["vpcId"] in done.stderr
    assert not (project / "Pulumi.second.yaml").exists()
