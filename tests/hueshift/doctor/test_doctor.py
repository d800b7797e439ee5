"""The doctor of a stack that is ready, and of each fault in turn: moto is AWS, files answer for cluster and engine."""

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import boto3
import botocore.client
import botocore.session
import pytest
import yaml
from botocore.exceptions import ClientError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from typer.testing import CliRunner, Result

from components.service.secret_entries import SECRET_STORE
from components.service.workload import READINESS_GATE_LABEL
from hueshift.cli import app
from hueshift.doctor import command, facts, verdicts
from tests.support import strategies as some
from tests.support.moto import mocked
from tests.support.program import ROOT

REGION = "eu-west-1"
ACCOUNT = "123456789012"
KUBECTL = """#!/bin/sh
file=kubectl
for word; do case "$word" in --context=*) file="$file/${word#*=}" ;; --*) ;; *) file="$file/$word" ;; esac; done
[ ! -f "$file.json" ] || exec cat "$file.json"
case "$*" in *--ignore-not-found*) exit 0 ;; esac
[ ! -f kubectl/down ] || { echo "dial tcp 10.0.0.1:443: i/o timeout" >&2; exit 1; }
echo "Error from server (NotFound): the server could not find the requested resource" >&2
exit 1
"""
PULUMI = """#!/bin/sh
case "$*" in
version) cat engine ;;
"plugin ls --json") cat plugins.json ;;
*"stack export"*) [ -f state.json ] && exec cat state.json; echo "error: no stack named 'staging' found" >&2; exit 1 ;;
esac
"""


@dataclass
class World:
    """A project and what stands around it."""

    folder: Path

    def put(self, path: str, content: object) -> None:
        """Let kubectl answer a question, such as ``get/namespace/staging-shop``."""
        file = self.folder / f"kubectl/{path}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(content))

    def serve(self, api: str, *plurals: str) -> None:
        self.put(f"get/apis/{api}", {"resources": [{"name": each} for each in plurals]})

    def gone(self, path: str) -> None:
        (self.folder / path).unlink()

    def webhook(self, policy: str) -> None:
        other = {"name": "mservice.elbv2.k8s.aws", "failurePolicy": "Fail"}
        mine = {"name": "mpod.elbv2.k8s.aws", "failurePolicy": policy}
        item = {"metadata": {"name": "aws-load-balancer-webhook"}, "webhooks": [other, mine]}
        self.put("get/mutatingwebhookconfigurations", {"items": [item]})

    def change(self, change: Callable[[dict[str, Any]], object]) -> None:
        """Change the stack file."""
        file = self.folder / "Pulumi.staging.yaml"
        content = yaml.safe_load(file.read_text())
        change(content)
        file.write_text(yaml.safe_dump(content))

    def key(self, key: str, value: object) -> None:
        """Set a key of the stack."""
        self.change(lambda content: content["config"].update({key: value}))

    def wrong(self) -> dict[str, tuple[str, str]]:
        """Return what the doctor finds wrong: the check, what it says, and what mends it."""
        done = run("--json")
        lines = json.loads(done.stdout)["checks"]
        found = {line["check"]: (line["said"], line["remedy"]) for line in lines if line["status"] == "wrong"}
        assert done.exit_code == (1 if found else 0), done.output
        assert all(remedy for _, remedy in found.values())
        return found


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["doctor", "--stack", "staging", *words])


def client(name: str) -> Any:  # noqa: ANN401 - of any service
    return boto3.client(name, region_name=REGION)  # type: ignore[call-overload]


@pytest.fixture(scope="module")
def aws() -> Iterator[dict[str, Any]]:
    """Yield the stack file over what its account has; tests only add to that, for they share it."""
    with pytest.MonkeyPatch.context() as patch, mocked(patch):
        patch.setattr(botocore.session, "create_loader", cache(botocore.session.create_loader))  # reads files but once
        vpc = client("ec2").create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        subnets = [subnet(vpc, number, zone) for number, zone in enumerate("ab")]
        key = kms_key("alias/pulumi-staging")
        blob = client("kms").encrypt(KeyId=key, Plaintext=b"0" * 32)["CiphertextBlob"]
        values = some.stack() | {
            "network": {"vpcId": vpc, "subnetIds": subnets},
            "loadBalancer": {"certificateArn": certificate("shop.example.com", "*.shop.example.com")},
            "cluster": {"name": "staging"},
        }
        del values["alerts"]["topicArns"]  # of another account
        config = {"aws:region": REGION, "aws:allowedAccountIds": [ACCOUNT]}
        yield {
            "config": config | {f"hueshift:{name}": value for name, value in values.items()},
            "secretsprovider": provider("alias/pulumi-staging"),
            "encryptedkey": base64.b64encode(blob).decode(),
        }


def kms_key(alias: str) -> str:
    key = str(client("kms").create_key()["KeyMetadata"]["KeyId"])
    client("kms").create_alias(AliasName=alias, TargetKeyId=key)
    return key


def provider(alias: str) -> str:
    return f"awskms://{alias}?region={REGION}&awssdk=v2"


def certificate(*names: str) -> str:
    """Return the ARN of one that somebody has brought, for what ACM makes waits for its proof."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, names[0])])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(each) for each in names]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    found = client("acm").import_certificate(Certificate=made.public_bytes(pem), PrivateKey=private)
    return str(found["CertificateArn"])


@pytest.fixture
def world(aws: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Return a stack to which nothing is missing."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"):
        monkeypatch.delenv(name, raising=False)
    for name, text in (("kubectl", KUBECTL), ("pulumi", PULUMI)):
        file = tmp_path / "bin" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        file.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Pulumi.yaml").write_text("name: hueshift\n")
    (tmp_path / "Pulumi.staging.yaml").write_text(yaml.safe_dump(aws))
    (tmp_path / "requirements.txt").write_text((ROOT / "requirements.txt").read_text())
    (tmp_path / "engine").write_text(f"v{version('pulumi')}\n")
    plugins = [
        {"name": name, "kind": "resource", "version": version(f"pulumi-{name}")}
        for name in ("aws", "docker", "kubernetes")
    ]
    (tmp_path / "plugins.json").write_text(json.dumps(plugins))
    (tmp_path / "state.json").write_text(json.dumps({"deployment": {"resources": [{}]}}))
    made = World(tmp_path)
    _cluster(made, monkeypatch)
    return made


def subnet(vpc: str, number: int, zone: str) -> str:
    made = client("ec2").create_subnet(VpcId=vpc, CidrBlock=f"10.0.{number}.0/24", AvailabilityZone=f"{REGION}{zone}")
    return str(made["Subnet"]["SubnetId"])


def _cluster(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    kubeconfig(world, "staging")
    monkeypatch.setenv("KUBECONFIG", str(world.folder / "kubeconfig"))
    world.put("version", {"serverVersion": {"gitVersion": "v1.31.2-eks-7f9249a"}})
    world.serve("elbv2.k8s.aws/v1beta1", "targetgroupbindings")
    world.serve("metrics.k8s.io/v1beta1", "nodes", "pods")
    world.serve("external-secrets.io/v1", "externalsecrets")
    world.serve("monitoring.coreos.com/v1", "podmonitors", "prometheusrules")
    world.webhook("Fail")
    world.put("get/namespace/staging-shop", {"metadata": {"labels": dict(READINESS_GATE_LABEL)}})
    world.put("get/clustersecretstore/aws-secrets-manager", store("True"))
    world.put("get/daemonset/aws-node", cni("--enable-network-policy=true"))


def kubeconfig(world: World, name: str) -> None:
    arn = f"arn:aws:eks:{REGION}:{ACCOUNT}:cluster/{name}"
    content = {"current-context": "here", "contexts": [{"name": "here", "context": {"cluster": arn}}]}
    (world.folder / "kubeconfig").write_text(yaml.safe_dump(content))


def store(ready: str) -> dict[str, Any]:
    return {"status": {"conditions": [{"type": "Ready", "status": ready, "reason": "InvalidProviderConfig"}]}}


def cni(*arguments: str) -> dict[str, Any]:
    return {"spec": {"template": {"spec": {"containers": [{"name": "aws-node"}, {"args": list(arguments)}]}}}}


def test_of_a_stack_that_is_ready_every_line_is_ok(world: World) -> None:
    assert world.wrong() == {}
    done = run()
    assert done.exit_code == 0, done.output
    assert len(done.stdout.splitlines()) >= 17
    assert {line.split()[0] for line in done.stdout.splitlines()} == {"ok"}
    assert "green.shop.example.com" in done.stdout


def test_what_is_wrong_is_said_with_what_mends_it_and_what_needs_it_is_not_asked(world: World) -> None:
    kubeconfig(world, "production")
    done = run()
    assert done.exit_code == 1
    assert "wrong    kubeconfig" in done.stdout
    assert "mend it: aws eks update-kubeconfig --name staging --region eu-west-1" in done.stdout
    assert "skipped  kubernetes     not asked: first mend kubeconfig" in done.stdout
    assert done.stderr == "error: staging is not ready: kubeconfig\n"


def test_each_problem_of_the_stack_file_stands_below_its_check(world: World) -> None:
    file = world.folder / "Pulumi.staging.yaml"
    content = yaml.safe_load(file.read_text())
    content["config"] |= {"hueshift:canaryWieght": 10, "hueshift:activeColour": "green"}
    file.write_text(yaml.safe_dump(content))
    lines = run().stdout.splitlines()
    (first,) = [place for place, line in enumerate(lines) if line.startswith("wrong    stack file     2 problems")]
    assert [line[:34] for line in lines[first + 1 : first + 3]] == [f"{'':<26}hueshift"] * 2
    assert lines[first + 3].startswith(f"{'':<24}mend it: change Pulumi.staging.yaml")


FAULTS: dict[str, tuple[Callable[[World], object], str, str, str]] = {
    "an engine that is too old": (
        lambda world: (world.folder / "engine").write_text("v3.100.0\n"),
        *("engine", "pulumi 3.100.0, but the program is written for", "get.pulumi.com"),
    ),
    "no engine": (lambda world: world.gone("bin/pulumi"), "engine", "pulumi is not on PATH", "get.pulumi.com"),
    "other packages": (
        lambda world: (world.folder / "requirements.txt").write_text("boto3==0.1\npulumi==3.1.0\n"),
        *("packages", f"boto3 {version('boto3')} (0.1)", "tools/venv.sh"),
    ),
    "a mistake in the stack file": (
        lambda world: world.key("hueshift:canaryWieght", 10),
        *("stack file", "did you mean canaryWeight?", "Pulumi.staging.yaml"),
    ),
    "a region that is none": (
        lambda world: nowhere(world),
        *("region", "AWS has no region nowhere", "pulumi config set aws:region"),
    ),
    "no region": (
        lambda world: world.change(lambda content: content["config"].pop("aws:region")),
        *("region", "none, neither in the stack file", "pulumi config set aws:region"),
    ),
    "credentials of another account": (
        lambda world: world.key("aws:allowedAccountIds", ["444455556666"]),
        *("credentials", "is of account 123456789012, but aws:allowedAccountIds has 444455556666", "AWS_PROFILE"),
    ),
    "credentials of a forbidden account": (
        lambda world: world.key("aws:forbiddenAccountIds", [ACCOUNT]),
        *("credentials", "is of account 123456789012", "AWS_PROFILE"),
    ),
    "no state": (
        lambda world: world.gone("state.json"),
        *("state", "no stack named 'staging' found", "pulumi stack init staging"),
    ),
    "a key that is disabled": (
        lambda world: disabled(world),
        *("state key", "alias/pulumi-off is Disabled", "aws kms enable-key"),
    ),
    "a key that does not exist": (
        lambda world: world.change(lambda content: content.update(secretsprovider=provider("alias/none"))),
        *("state key", "AWS refused DescribeKey: NotFoundException", "docs/state.md"),
    ),
    "a data key of another key": (
        lambda world: world.change(lambda content: content.update(encryptedkey=base64.b64encode(b"x" * 99).decode())),
        *("state key", "AWS refused Decrypt", "docs/state.md"),
    ),
    "a passphrase that nobody has given": (
        lambda world: world.change(lambda content: content.update(secretsprovider="passphrase", encryptionsalt="v1:x")),
        *("state key", "neither PULUMI_CONFIG_PASSPHRASE", "docs/state.md"),
    ),
    "a subnet that does not exist": (
        lambda world: subnets(world, lambda ids: [ids[0], "subnet-0badbadbad"]),
        *("network", "not in this account and region: subnet-0badbadbad", "network.subnetIds"),
    ),
    "a subnet of another VPC": (
        lambda world: subnets(world, lambda ids: [ids[0], elsewhere()]),
        *("network", "not in vpc-", "network.subnetIds"),
    ),
    "two subnets in one zone": (
        lambda world: subnets(world, lambda ids: [*ids, subnet(vpc(world), 9, "a")]),
        *("network", "are both in eu-west-1a", "network.subnetIds"),
    ),
    "tags of no VPC": (
        lambda world: world.key(
            "hueshift:network", {"lookup": {"vpcTags": {"Name": "main"}, "subnetTags": {"tier": "public"}}}
        ),
        *("network", "network.lookup.vpcTags: 0 VPCs have them", "docs/roles/read.json"),
    ),
    "a certificate that is not issued": (
        lambda world: unproven(world),
        *("certificate", "is PENDING_VALIDATION", "aws acm describe-certificate"),
    ),
    "a certificate without the hosts of the colors": (
        lambda world: certified(world, "shop.example.com", "*.example.com"),
        *("certificate", "but not blue.shop.example.com, green.shop.example.com", "loadBalancer.certificateArn"),
    ),
    "no zone for the certificates": (
        lambda world: zone_instead(world),
        *("certificate", "no public hosted zone example.com", "aws route53 create-hosted-zone"),
    ),
    "kubectl on another cluster": (
        lambda world: kubeconfig(world, "production"),
        *("kubeconfig", "cluster/production", "aws eks update-kubeconfig --name staging"),
    ),
    "a cluster that does not answer": (
        lambda world: down(world),
        *("kubernetes", "i/o timeout", "kubectl cluster-info"),
    ),
    "a cluster that is too old": (
        lambda world: world.put("version", {"serverVersion": {"gitVersion": "v1.29.9"}}),
        *("kubernetes", "v1.29.9: it drops preStop.sleep", "1.30"),
    ),
    "no load balancer controller": (
        lambda world: world.gone("kubectl/get/apis/elbv2.k8s.aws/v1beta1.json"),
        *("controllers", "elbv2.k8s.aws/v1beta1/targetgroupbindings, of the AWS Load", "docs/cluster.md"),
    ),
    "no metrics-server": (
        lambda world: world.gone("kubectl/get/apis/metrics.k8s.io/v1beta1.json"),
        *("controllers", "metrics-server", "docs/cluster.md"),
    ),
    "an External Secrets that is too old": (
        lambda world: world.gone("kubectl/get/apis/external-secrets.io/v1.json"),
        *("controllers", "external-secrets.io/v1/externalsecrets", "docs/cluster.md"),
    ),
    "an API without the kind": (
        lambda world: world.serve("monitoring.coreos.com/v1", "prometheusrules"),
        *("controllers", "not served: monitoring.coreos.com/v1/podmonitors, of the Prometheus Operator", "docs"),
    ),
    "a webhook that lets pods pass": (
        lambda world: world.webhook("Ignore"),
        *("webhook", "failurePolicy Ignore", '"/webhooks/1/failurePolicy", "value": "Fail"'),
    ),
    "no webhook": (
        lambda world: world.put("get/mutatingwebhookconfigurations", {"items": []}),
        *("webhook", "no pod gets a readiness gate", "docs/cluster.md"),
    ),
    "a namespace without the label": (
        lambda world: world.put("get/namespace/staging-shop", {"metadata": {"labels": {}}}),
        *("namespaces", "staging-shop", "kubectl label namespace staging-shop --overwrite"),
    ),
    "no secret store": (
        lambda world: world.gone("kubectl/get/clustersecretstore/aws-secrets-manager.json"),
        *("secret store", "no ClusterSecretStore", "docs/cluster.md"),
    ),
    "a secret store that is not ready": (
        lambda world: world.put("get/clustersecretstore/aws-secrets-manager", store("False")),
        *("secret store", "InvalidProviderConfig", "kubectl describe clustersecretstore"),
    ),
    "network policies that nobody enforces": (
        lambda world: world.put("get/daemonset/aws-node", cni("--enable-network-policy=false")),
        *("policies", "does not enforce", "aws eks update-addon"),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_the_one_thing_that_is_wrong(fault: str, world: World) -> None:
    plant, check, said, remedy = FAULTS[fault]
    plant(world)
    found = world.wrong()
    assert list(found) == [check]
    assert said in found[check][0]
    assert remedy in found[check][1]


def vpc(world: World) -> str:
    content = yaml.safe_load((world.folder / "Pulumi.staging.yaml").read_text())
    return str(content["config"]["hueshift:network"]["vpcId"])


def subnets(world: World, change: Callable[[list[str]], list[str]]) -> None:
    def changed(content: dict[str, Any]) -> None:
        network = content["config"]["hueshift:network"]
        network["subnetIds"] = change(network["subnetIds"])

    world.change(changed)


def elsewhere() -> str:
    return subnet(client("ec2").create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"], 1, "b")


def disabled(world: World) -> None:
    key = kms_key("alias/pulumi-off")
    blob = client("kms").encrypt(KeyId=key, Plaintext=b"0" * 32)["CiphertextBlob"]
    client("kms").disable_key(KeyId=key)
    encrypted = base64.b64encode(blob).decode()
    world.change(lambda content: content.update(secretsprovider=provider("alias/pulumi-off"), encryptedkey=encrypted))


def certified(world: World, *names: str) -> None:
    world.key("hueshift:loadBalancer", {"certificateArn": certificate(*names)})


def nowhere(world: World) -> None:
    world.key("aws:region", "nowhere")
    zone_instead(world)  # for an ARN says where it is


def down(world: World) -> None:
    world.gone("kubectl/version.json")
    (world.folder / "kubectl/down").touch()


def zone_instead(world: World) -> None:
    """Let certificates be made in a zone, which nobody has made."""
    world.key("hueshift:loadBalancer", {})
    world.key("hueshift:dns", {"zone": "example.com"})


def unproven(world: World) -> None:
    arn = client("acm").request_certificate(DomainName="shop.example.com", ValidationMethod="DNS")["CertificateArn"]
    world.key("hueshift:loadBalancer", {"certificateArn": arn})


def test_a_read_that_aws_refuses_is_named(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    call = botocore.client.BaseClient._make_api_call  # type: ignore[attr-defined]

    def refusing(self: object, name: str, given: object) -> object:
        if name in ("DescribeAlarms", "GetResources"):
            raise ClientError({"Error": {"Code": "AccessDenied"}}, name)
        return call(self, name, given)

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", refusing)
    said, remedy = world.wrong()["permissions"]
    assert said == "refused: cloudwatch:DescribeAlarms (AccessDenied), tag:GetResources (AccessDenied)"
    assert "docs/roles/read.json" in remedy


def test_without_credentials_nothing_else_of_aws_is_asked(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    found = world.wrong()
    assert list(found) == ["credentials", "state key"]
    assert "no AWS credentials" in found["credentials"][0]


def test_the_reads_are_those_of_the_role_that_reads() -> None:
    allowed = json.loads((ROOT / "docs/roles/read.json").read_text())["Statement"]
    actions = {action for statement in allowed for action in statement["Action"]}
    named = {
        read if not read.startswith("elasticloadbalancing:Desc") else "elasticloadbalancing:Describe*"
        for read in facts.READS
    }
    assert named <= actions


def test_what_a_stack_does_without_is_not_asked_for(world: World) -> None:
    world.key("hueshift:prometheus", {"enabled": False})
    world.gone("kubectl/get/apis/monitoring.coreos.com/v1.json")
    world.gone("kubectl/get/apis/external-secrets.io/v1.json")
    world.gone("kubectl/get/clustersecretstore/aws-secrets-manager.json")

    def without(content: dict[str, Any]) -> None:
        shop = content["config"]["hueshift:services"]["shop"]
        del shop["secrets"]
        for color in shop["colors"].values():
            del color["secretVersions"], color["schema"]

    world.change(without)
    assert world.wrong() == {}


def test_a_network_may_be_found_by_tags(world: World) -> None:
    ec2 = client("ec2")
    found = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    ec2.create_tags(Resources=[found], Tags=[{"Key": "Name", "Value": "tagged"}])
    ids = [subnet(found, number, zone) for number, zone in enumerate("ab")]
    ec2.create_tags(Resources=ids, Tags=[{"Key": "tier", "Value": "public"}])
    world.key("hueshift:network", {"lookup": {"vpcTags": {"Name": "tagged"}, "subnetTags": {"tier": "public"}}})
    assert world.wrong() == {}


def test_kubectl_is_asked_in_the_context_of_the_stack_file(world: World) -> None:
    world.key("kubernetes:context", "elsewhere")
    assert list(world.wrong()) == ["kubeconfig"]
    content = yaml.safe_load((world.folder / "kubeconfig").read_text())
    content["contexts"][0]["name"] = "elsewhere"
    (world.folder / "kubeconfig").write_text(yaml.safe_dump(content))
    assert "could not find" in world.wrong()["kubernetes"][0]  # the fake has no answer in another context


def test_what_the_doctor_looks_for_is_what_the_program_writes() -> None:
    assert {verdicts.GATE: "enabled"} == READINESS_GATE_LABEL
    assert command.STORE == SECRET_STORE


def test_a_plugin_that_is_missing_is_told_and_no_fault(world: World) -> None:
    (world.folder / "plugins.json").write_text("[]")
    assert world.wrong() == {}
    assert f"to be downloaded by the next update: aws {version('pulumi-aws')}" in run().stdout
