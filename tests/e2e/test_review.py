"""A review beside the other stacks, by the pipeline's own step from a clean clone, with what its roles may do."""

import base64
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sandbox import fakes, paths
from sandbox.aws.server import ZONE
from tests.e2e import cloud
from tests.support.shell import Shell

pytestmark = [pytest.mark.e2e, pytest.mark.incremental, pytest.mark.timeout(300)]

NAME = "review-42"
HOST = f"shop.{NAME}.{ZONE}"
NAMESPACE = f"{NAME}-shop"
NOTHING: dict[str, list[str]] = {"tagged": [], "stacks": [], "namespaces": [], "alarms": [], "records": []}


def staging() -> dict[str, Any]:
    """Return a staging for here: the sandbox's service in the zone that there is."""
    content: dict[str, Any] = yaml.safe_load((paths.ROOT / "Pulumi.staging.yaml").read_text())
    sandbox = cloud.stack_config()
    content["config"] |= {
        "aws:allowedAccountIds": [paths.ACCOUNT],
        "hueshift:cluster": {"name": cloud.cluster_name()},
        "hueshift:dns": {"zone": ZONE},
        "hueshift:network": sandbox["hueshift:network"],
        "hueshift:registry": {"repositories": ["shop"]},
        "hueshift:services": {"shop": {**sandbox["hueshift:services"]["shop"], "host": f"shop.{ZONE}"}},
    }
    return content


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Lend a clean clone, and the values that all reviews share."""
    folder = cloud.clone(tmp_path_factory.mktemp("review") / "hueshift")
    (folder / "Pulumi.staging.yaml").write_text(yaml.safe_dump(staging()))
    secrets = boto3.client("secretsmanager")
    secrets.create_secret(Name="review/shop/app", SecretString=json.dumps(fakes.SECRET_VALUES))
    yield folder
    review(folder, "down", NAME)
    secrets.delete_secret(SecretId="review/shop/app", ForceDeleteWithoutRecovery=True)


@pytest.fixture(scope="module")
def kubeconfigs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Give each of the pipeline's groups what it may do in the cluster; return a kubeconfig of each, by group."""
    folder = tmp_path_factory.mktemp("kubeconfigs")
    roles = str(paths.ROOT / "docs/roles/kubernetes.yaml")
    cloud.run("kubectl", "apply", "--filename", roles)
    groups = {"preview": ["hueshift-preview"], "deploy": ["hueshift-preview", "hueshift-deploy"]}
    yield {name: str(kubeconfig(folder, name, groups_)) for name, groups_ in groups.items()}
    cloud.run("kubectl", "delete", "--filename", roles)
    cloud.run("kubectl", "delete", "certificatesigningrequests", *groups)


def kubeconfig(folder: Path, name: str, groups: list[str]) -> Path:
    """Return the kubeconfig of somebody in these groups, whom the cluster knows by a certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    organizations = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name), *organizations])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    pem = base64.b64encode(request.public_bytes(serialization.Encoding.PEM)).decode()
    asked = {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": name},
        "spec": {"request": pem, "signerName": "kubernetes.io/kube-apiserver-client", "usages": ["client auth"]},
    }
    file = folder / f"{name}.yaml"
    file.write_text(yaml.safe_dump(asked))
    cloud.run("kubectl", "apply", "--filename", str(file))
    cloud.run("kubectl", "certificate", "approve", name)
    ready = "--for=jsonpath={.status.certificate}"
    cloud.run("kubectl", "wait", "certificatesigningrequest", name, ready, "--timeout=20s")
    signed = json.loads(cloud.run("kubectl", "get", "certificatesigningrequest", name, "--output=json").stdout)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    content = yaml.safe_load(paths.KUBECONFIG.read_text())
    content["users"][0]["user"] = {
        "client-certificate-data": signed["status"]["certificate"],
        "client-key-data": base64.b64encode(private).decode(),
    }
    file.write_text(yaml.safe_dump(content))
    return file


def review(folder: Path, *arguments: str, **variables: str) -> str:
    """Run the pipeline's step; return its result."""
    return cloud.run("pipeline/review.sh", *arguments, check=True, cwd=folder, **variables).stdout


def left() -> dict[str, list[str]]:
    """Return what there is of the review, by where it is."""
    tags = boto3.client("resourcegroupstaggingapi")
    tagged = tags.get_resources(TagFilters=[{"Key": "environment", "Values": [NAME]}])["ResourceTagMappingList"]
    stacks = json.loads(cloud.run("pulumi", "stack", "ls", "--json").stdout)
    namespaces = cloud.run("kubectl", "get", "namespaces", "--output=name").stdout.split()
    alarms = boto3.client("cloudwatch").describe_alarms(AlarmNamePrefix=f"{NAME}-")
    zone = boto3.client("route53").list_hosted_zones()["HostedZones"][0]["Id"]
    records = boto3.client("route53").list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
    return {
        # A key is only ever on its way out (ScheduleKeyDeletion).
        "tagged": [item["ResourceARN"] for item in tagged if ":kms:" not in item["ResourceARN"]],
        "stacks": [stack["name"] for stack in stacks if stack["name"] == NAME],
        "namespaces": [name for name in namespaces if NAME in name],
        "alarms": [alarm["AlarmName"] for alarm in alarms["MetricAlarms"]],
        "records": [record["Name"] for record in records if NAME in record["Name"]],
    }


def being_made() -> set[str]:
    """Return the types of what the state says is being created."""
    with suppress(FileNotFoundError, ValueError):  # it is being written
        file = paths.PULUMI_STATE / f".pulumi/stacks/hueshift/{NAME}.json"
        latest = json.loads(file.read_text())["checkpoint"]["latest"] or {}
        return {one["resource"]["type"] for one in latest.get("pending_operations", [])}
    return set()


def answer() -> tuple[int, dict[str, str], str]:
    """Request the review's URL, whose name leads to a load balancer of its own."""
    name = cloud.run("pulumi", "stack", "output", "loadBalancer", "--stack", NAME).stdout.partition("-1.")[0]
    health = json.loads(cloud.run("curl", "--silent", f"{paths.AWS_ENDPOINT}/_hueshift/health").stdout)
    return cloud.curl(f"https://{HOST}/", "--resolve", f"{HOST}:443:{health['loadBalancers'][name]}")


@pytest.mark.parametrize("kind", ["aws:lb/loadBalancer:LoadBalancer", "kubernetes:apps/v1:Deployment"])
def test_a_review_whose_update_was_killed_goes_without_a_trace(project: Path, kind: str) -> None:
    with Shell(folder=project).started("pipeline/review.sh", "up", NAME) as making:
        cloud.wait_until(f"a {kind} is being made", lambda: kind in being_made(), 120)
        cloud.kill(making)
    assert being_made(), "whatever it was, something was being made"
    review(project, "down", NAME)
    assert left() == NOTHING


def test_a_review_serves_the_image_of_its_pull_request_at_a_url_of_its_own(
    project: Path, kubeconfigs: dict[str, str]
) -> None:
    image = (f"{paths.REGISTRY}/shop:1.5.0", "1.5.0", "0002")
    said = review(project, "up", NAME, "shop", *image, KUBECONFIG=kubeconfigs["deploy"])
    assert said == f"url=https://{HOST}\n"
    status, headers, _ = answer()
    assert (status, headers["x-version"]) == (200, "1.5.0")
    changed = cloud.run("git", "status", "--porcelain", cwd=project).stdout.split("\n")
    assert changed == [" M Pulumi.staging.yaml", ""], "the file of a review is not committed by mistake"
    state = cloud.run("pulumi", "stack", "export", "--show-secrets", "--stack", NAME).stdout
    assert fakes.SECRET_VALUES["JWT_SECRET"] not in state


def test_whoever_may_only_preview_sees_the_change_and_can_make_none(project: Path, kubeconfigs: dict[str, str]) -> None:
    file = project / f"Pulumi.{NAME}.yaml"
    content = yaml.safe_load(file.read_text())
    content["config"]["hueshift:services"]["shop"]["env"] = {"GREETING": "hello"}
    file.write_text(yaml.safe_dump(content))
    pulumi = ("pulumi", "--non-interactive", "--stack", NAME)
    shown = cloud.run(*pulumi, "preview", "--json", cwd=project, KUBECONFIG=kubeconfigs["preview"]).stdout
    changed = {step["op"]: step["urn"] for step in json.loads(shown)["steps"] if step["op"] != "same"}
    assert "update" in changed
    assert "Deployment" in changed["update"]
    up = (*pulumi, "up", "--yes", "--skip-preview")
    refused = cloud.run(*up, cwd=project, check=False, KUBECONFIG=kubeconfigs["preview"])
    assert refused.returncode != 0
    assert 'User "preview" cannot' in refused.stdout + refused.stderr
    asked = ("kubectl", "auth", "can-i", "--namespace", NAMESPACE)
    may = {
        f"{role} {question}": cloud.run(*asked, *question.split(), check=False, KUBECONFIG=kubeconfigs[role]).stdout
        for role in kubeconfigs
        for question in ("get pods", "patch deployments", "get secrets", "create pods/exec")
    }
    assert {question for question, said in may.items() if said.strip() == "yes"} == {
        "preview get pods",
        "deploy get pods",
        "deploy patch deployments",
    }


def test_a_review_leaves_nothing_even_from_a_checkout_that_has_no_file_of_it(
    project: Path, kubeconfigs: dict[str, str]
) -> None:
    (project / f"Pulumi.{NAME}.yaml").unlink()
    review(project, "down", NAME, KUBECONFIG=kubeconfigs["deploy"])
    assert left() == NOTHING
    review(project, "down", NAME)
    review(project, "down", "review-that-never-was")


@pytest.mark.parametrize("name", ["staging", "production", "review-", "review-../staging"])
def test_nothing_but_a_review_is_taken_away(project: Path, name: str) -> None:
    done = cloud.run("pipeline/review.sh", "down", name, cwd=project, check=False)
    assert done.returncode == 1
    assert "is no review" in done.stderr
