"""`hueshift init` over moto's AWS and a cluster of files: what it finds, asks, refuses and writes."""

import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import botocore.client
import botocore.session
import pytest
import yaml
from botocore.exceptions import ClientError
from moto.eks.models import eks_backends
from typer.testing import CliRunner, Result

from hueshift.cli import app
from hueshift.init import command
from tests.hueshift.doctor.test_doctor import KUBECTL, certificate
from tests.support.moto import mocked
from tests.support.program import ROOT

REGION = "eu-west-1"
ACCOUNT = "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/eks"
TOLD = ("--service", "shop", "--host", "shop.example.com", "--image", "registry.example.com/shop:1.4.0")


@pytest.fixture(scope="module")
def aws() -> Iterator[dict[str, Any]]:
    """Yield what the account has: a default VPC, and that of the one cluster, with two zones."""
    with pytest.MonkeyPatch.context() as patch, mocked(patch):
        patch.setattr(botocore.session, "create_loader", cache(botocore.session.create_loader))  # reads files but once
        ec2, eks, route53 = (boto3.client(name, region_name=REGION) for name in ("ec2", "eks", "route53"))
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        subnets = {
            kind: [
                ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{number}{n}.0/24", AvailabilityZone=f"{REGION}{zone}")
                ["Subnet"]["SubnetId"]
                for n, zone in enumerate("ab")
            ]
            for number, kind in ((1, "private"), (2, "public"))
        }  # fmt: skip
        gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
        table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
        ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
        for subnet in subnets["public"]:
            ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)
        network: Any = {"subnetIds": subnets["private"]}
        eks.create_cluster(name="staging", roleArn=ROLE, resourcesVpcConfig=network)
        made = eks_backends[ACCOUNT][REGION].clusters["staging"]
        made.resources_vpc_config |= {"vpcId": vpc}  # as EKS answers, which moto does not
        route53.create_hosted_zone(Name="example.com", CallerReference="1")
        yield {"vpc": vpc, **subnets}


@pytest.fixture
def folder(aws: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project without a stack, with a kubeconfig of the cluster."""
    assert aws
    for name in ("AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_REGION", REGION)
    monkeypatch.chdir(tmp_path)
    kubectl = tmp_path / "bin/kubectl"
    kubectl.parent.mkdir()
    kubectl.write_text(KUBECTL)
    kubectl.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    kubeconfig(tmp_path, "staging")
    (tmp_path / "Pulumi.yaml").write_text("name: hueshift\n")
    serve(tmp_path, "podmonitors", "prometheusrules")
    return tmp_path


def kubeconfig(folder: Path, name: str) -> None:
    arn = f"arn:aws:eks:{REGION}:{ACCOUNT}:cluster/{name}"
    content = {"current-context": "here", "contexts": [{"name": "here", "context": {"cluster": arn}}]}
    (folder / "kubeconfig").write_text(yaml.safe_dump(content))


def serve(folder: Path, *kinds: str) -> None:
    file = folder / "kubectl/get/apis/monitoring.coreos.com/v1.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"resources": [{"name": each} for each in kinds]}))


def run(*words: str, typed: str | None = None) -> Result:
    return CliRunner().invoke(app, ["init", *words], input=typed)


def config(folder: Path, stack: str = "staging") -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((folder / f"Pulumi.{stack}.yaml").read_text())["config"]
    return content


@pytest.fixture
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let somebody sit at a terminal."""
    monkeypatch.setattr(command, "interactive", lambda: True)


@pytest.fixture
def refuse(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return what lets AWS refuse calls."""

    def refused(*names: str, code: str = "AccessDeniedException") -> None:
        call = botocore.client.BaseClient._make_api_call  # type: ignore[attr-defined]

        def refusing(self: object, name: str, given: object) -> object:
            if name in names:
                raise ClientError({"Error": {"Code": code}}, name)
            return call(self, name, given)

        monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", refusing)

    return refused


def test_what_is_not_told_is_found(folder: Path, aws: dict[str, Any]) -> None:
    done = run("staging", *TOLD)
    assert done.exit_code == 0, done.output
    found = config(folder)
    assert found["aws:region"] == REGION
    assert found["aws:allowedAccountIds"] == [ACCOUNT]
    assert found["hueshift:network"] == {"vpcId": aws["vpc"], "subnetIds": aws["private"], "scheme": "internal"}
    assert found["hueshift:cluster"] == {"name": "staging"}
    assert found["hueshift:dns"] == {"zone": "example.com"}
    assert "hueshift:prometheus" not in found
    assert found["hueshift:services"]["shop"]["colors"]["green"]["version"] == "1.4.0"
    assert "hueshift doctor --stack staging" in done.stdout


def test_public_subnets_are_those_with_a_way_to_the_internet(folder: Path, aws: dict[str, Any]) -> None:
    assert run("staging", *TOLD, "--scheme", "internet-facing", "--tester", "203.0.113.10/32").exit_code == 0
    assert config(folder)["hueshift:network"]["subnetIds"] == aws["public"]


def test_a_dry_run_prints_the_file_and_writes_none(folder: Path) -> None:
    done = run("staging", *TOLD, "--dry-run")
    assert done.exit_code == 0, done.output
    assert yaml.safe_load(done.stdout)["config"]["hueshift:dns"] == {"zone": "example.com"}
    assert not (folder / "Pulumi.staging.yaml").exists()


def test_a_stack_file_that_is_there_is_replaced_by_force_alone(folder: Path) -> None:
    file = folder / "Pulumi.staging.yaml"
    file.write_text("encryptedkey: AAAA\n")
    done = run("staging", *TOLD)
    assert (done.exit_code, file.read_text()) == (1, "encryptedkey: AAAA\n")
    assert "Pulumi.staging.yaml is there already; replace it with --force" in done.stderr
    assert run("staging", *TOLD, "--force").exit_code == 0
    assert yaml.safe_load(file.read_text())["encryptedkey"] == "AAAA"


@pytest.mark.usefixtures("folder")
def test_without_a_terminal_all_missing_options_are_named_at_once() -> None:
    done = run("production")
    assert done.exit_code == 1
    assert "give --service, --host, --image, --version, --owner, --on-call, --notify" in done.stderr


@pytest.mark.usefixtures("folder")
def test_wrong_options_are_named_at_once_before_aws_is_asked(refuse: Callable[..., None]) -> None:
    refuse("GetCallerIdentity", code="ExpiredToken")
    done = run("staging", *TOLD, "--service", "Shop", "--port", "80", "--health-path", "up")
    assert (done.exit_code, done.stdout) == (1, "")
    for wrong in ("--service: 'Shop' is no usable name", "--port: 80 is out of range", "--health-path: 'up' has the"):
        assert wrong in done.stderr


@pytest.mark.usefixtures("folder", "_terminal")
def test_a_wrong_name_of_the_stack_is_refused_for_itself_before_anything_is_asked() -> None:
    done = run("Sta/ging")
    assert done.exit_code == 1
    assert done.stderr == (
        "error: STACK: 'Sta/ging' is no usable name; allowed are at most 22 lowercase letters, digits and hyphens, a "
        "letter first and no hyphen last\n"
    )


@pytest.mark.usefixtures("folder", "_terminal")
def test_at_a_terminal_questions_are_asked_until_they_are_answered() -> None:
    answers = "staging\nshop\nshop\nShop.example.com.\nregistry.example.com/shop:1.4.0\n80\n3000\nup\n/healthz\n\n"
    done = run("--dry-run", typed=answers)
    assert done.exit_code == 0, done.output
    for wrong in ("'shop' has no dot", "80 is out of range", "'up' has the wrong form"):
        assert wrong in done.stderr
    text = done.stdout[done.stdout.index("# yaml-language-server") :]  # before it the runner repeats what was typed
    shop = yaml.safe_load(text)["config"]["hueshift:services"]["shop"]
    assert (shop["host"], shop["port"], shop["health"]["path"]) == ("shop.example.com", 3000, "/healthz")


def test_a_cluster_without_the_operator_gets_no_objects_of_it(folder: Path) -> None:
    serve(folder, "podmonitors")
    assert run("staging", *TOLD).exit_code == 0
    assert config(folder)["hueshift:prometheus"] == {"enabled": False}
    assert "does not serve monitoring.coreos.com/v1/prometheusrules" in (folder / "Pulumi.staging.yaml").read_text()


def test_another_cluster_is_not_asked(folder: Path) -> None:
    kubeconfig(folder, "production")
    serve(folder)
    done = run("staging", *TOLD)
    assert done.exit_code == 0, done.output
    assert "prometheus: the cluster was not asked" in done.stderr
    assert "hueshift:prometheus" not in config(folder)


def test_without_a_cluster_the_vpc_must_be_chosen(
    folder: Path, refuse: Callable[..., None], aws: dict[str, Any]
) -> None:
    refuse("ListClusters")
    done = run("staging", *TOLD)
    assert done.exit_code == 1
    assert "2 candidates for the VPC: choose with --vpc" in done.stderr
    assert "AWS refused eks:ListClusters (AccessDeniedException)" in done.stderr
    assert "cluster.name: no cluster was found" in done.stderr
    assert run("staging", *TOLD, "--vpc", aws["vpc"]).exit_code == 0
    assert "hueshift:cluster" not in config(folder)


@pytest.mark.usefixtures("folder", "_terminal")
def test_a_person_picks_one_of_several_by_its_number(refuse: Callable[..., None], aws: dict[str, Any]) -> None:
    refuse("ListClusters")
    typed = "8080\n\n\n9\n2\n"
    done = run("staging", *TOLD, typed=typed)
    assert "'9' is none of 1 to 2" in done.stderr
    chosen = [line.split()[1] for line in done.stderr.splitlines() if line.startswith("  2  ")]
    assert done.exit_code == (0 if chosen[0] == aws["vpc"] else 1), done.output


def test_what_options_give_needs_no_permission_to_look(folder: Path, refuse: Callable[..., None]) -> None:
    refuse(*(each.partition(":")[2] for each in needed()), "GetCallerIdentity")
    done = run("staging", *TOLD)
    assert done.exit_code == 1
    assert {each for each in needed() if f"AWS refused {each} " in done.stderr} == needed() - DEPENDENT
    arn = f"arn:aws:acm:{REGION}:{ACCOUNT}:certificate/5d0c1f0e"
    subnets = ("--subnet", "subnet-0a1b2c3d", "--subnet", "subnet-0a1b2c3e")
    given = ("--cluster", "staging", "--vpc", "vpc-0a1b2c3d", *subnets, "--certificate", arn)
    assert run("staging", *TOLD, *given).exit_code == 0
    assert config(folder)["hueshift:loadBalancer"] == {"certificateArn": arn}
    assert "aws:allowedAccountIds" not in config(folder)


DEPENDENT = {
    *("eks:DescribeCluster", "acm:DescribeCertificate"),
    *("ec2:DescribeSubnets", "ec2:DescribeRouteTables"),
}
"""What is asked of something that was found before."""


def needed() -> set[str]:
    """Return the actions of the document of what init may."""
    (statement,) = json.loads((ROOT / "docs/roles/init.json").read_text())["Statement"]
    return set(statement["Action"])


@pytest.mark.usefixtures("folder")
def test_the_document_of_what_it_may_is_what_it_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = set()
    call = botocore.client.BaseClient._make_api_call  # type: ignore[attr-defined]

    def noting(self: Any, name: str, given: object) -> object:  # noqa: ANN401 - a client of any service
        asked.add(f"{self.meta.service_model.signing_name}:{name}")
        return call(self, name, given)

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", noting)
    certificate("other.example.com")
    asked.clear()
    assert run("staging", *TOLD, "--dry-run").exit_code == 0
    assert run("staging", *TOLD, "--dry-run", "--region", "eu-central-1").exit_code == 0  # without a cluster
    assert asked - {"sts:GetCallerIdentity"} == needed()


@pytest.mark.usefixtures("folder")
def test_a_login_that_is_over_ends_it(refuse: Callable[..., None]) -> None:
    refuse("GetCallerIdentity", code="ExpiredToken")
    done = run("staging", *TOLD)
    assert (done.exit_code, done.stderr) == (
        1,
        "error: the login to AWS is over or not valid (ExpiredToken); log in again: aws sso login\n",
    )


def test_what_the_program_would_refuse_is_not_written(folder: Path) -> None:
    done = run("staging", *TOLD, "--tester", "10.0.0.1/24")
    assert done.exit_code == 1
    assert "hueshift:loadBalancer.testListenerCidrs[0]: '10.0.0.1/24'" in done.stderr
    assert not (folder / "Pulumi.staging.yaml").exists()


def test_production_takes_only_what_staging_ran(folder: Path) -> None:
    (folder / "releases.json").write_text("{}")
    image = f"registry.example.com/shop:1.4.0@sha256:{'0a1b' * 16}"
    strict = ("--owner", "team-shop", "--on-call", "ada", "--notify", "ada@example.com")
    done = run("production", *TOLD[:4], "--image", image, *strict)
    assert done.exit_code == 1
    assert "never ran in staging" in done.stderr
