"""A sample repository on the local cloud: a clone with a remote, and staging and production up beside everything else.

It keeps its state in a backend of its own, so its stacks may be called as a team would call them.
"""

import json
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import boto3
import psycopg
import requests
import yaml

from components.model import secret_name
from hueshift.secrets.bootstrap import MAKE_CONTAINERS
from sandbox import fakes, images, paths
from sandbox.aws.server import ZONE
from tests.e2e import cloud
from tests.support.shell import Shell

STACKS: Final = ("staging", "production")
VERSION: Final = "1.5.0"
"""What blue runs in both at first; green is parked."""
PLACE: Final = paths.STATE / "sample"
_SUPERUSER: Final = f"postgresql://postgres:not-a-secret@{paths.NODE_IP}:{paths.POSTGRES_PORT}"


@dataclass(frozen=True, kw_only=True)
class Sample:
    """The repository as a runner has checked it out."""

    folder: Path
    remote: Path
    """A bare repository, where `origin` leads."""
    variables: dict[str, str]
    """The environment of every command, beside that of the local cloud."""

    def run(self, *command: str, check: bool = True, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the repository's root, as a job of the pipeline does."""
        return Shell(folder=self.folder, variables=self.variables).run(*command, check=check, **variables)

    def step(self, name: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run one of `pipeline/`."""
        return self.run(f"pipeline/{name}.sh", *arguments, check=check)

    def file(self, stack: str) -> Path:
        """Return a stack file."""
        return self.folder / f"Pulumi.{stack}.yaml"

    def configure(self, stack: str, path: str, value: str) -> None:
        """Set one configuration value with `pulumi config set --path`."""
        self.run("pulumi", "config", "set", "--path", f"hueshift:{path}", value, "--stack", stack)

    def shop(self, stack: str) -> dict[str, Any]:
        """Return what the last update of a stack says of its service."""
        done = self.run("pulumi", "stack", "output", "services", "--json", "--stack", stack)
        served: dict[str, Any] = json.loads(done.stdout)["shop"]
        return served

    def live(self, stack: str) -> dict[str, int]:
        """Return percent by color as the load balancer has it."""
        done = self.run("hueshift", "status", "--json", "--stack", stack, check=False)
        found: dict[str, int] = json.loads(done.stdout)["services"]["shop"]["live"]
        return found

    def resources(self, stack: str) -> list[dict[str, Any]]:
        """Return what the stack's state holds."""
        exported = json.loads(self.run("pulumi", "stack", "export", "--stack", stack).stdout)
        found: list[dict[str, Any]] = exported["deployment"].get("resources", [])
        return found


def host(stack: str) -> str:
    """Return where a stack's service is reached."""
    return f"shop.{stack}.{ZONE}"


def make(there: Sample) -> None:
    """Make the repository and its remote, and bring both stacks up, at once."""
    _repository(there)
    there.variables.update(
        REGISTRY=paths.REGISTRY,
        BUILD_ARGS=" ".join(
            ["--network=none", *(f"--build-arg={name}={base}" for name, base in _bases().items())]
        ),
        # A runner's own would name its branch, not the sample's.
        GITHUB_ACTIONS="", GITHUB_REF_NAME="", GITLAB_CI="", CI_COMMIT_BRANCH="",
    )  # fmt: skip
    with ThreadPoolExecutor() as both:
        list(both.map(lambda stack: _first_update(there, stack), STACKS))
    there.variables["CURL_OPTIONS"] = " ".join(
        ["--cacert", str(paths.CA_CERTIFICATE), *(part for stack in STACKS for part in _names(there, stack))]
    )


def remove(there: Sample) -> None:
    """Take away both stacks, protected as they may be, and the repository."""
    with ThreadPoolExecutor() as both:
        list(both.map(lambda stack: _destroy(there, stack), STACKS))
    secrets = boto3.client("secretsmanager")
    for stack in STACKS:
        with suppress(secrets.exceptions.ResourceNotFoundException):  # a destroy keeps it for some days
            secrets.delete_secret(SecretId=secret_name(stack, "shop", "app"), ForceDeleteWithoutRecovery=True)
    with psycopg.connect(f"{_SUPERUSER}/postgres", autocommit=True) as database:
        for stack in STACKS:
            database.execute(f"DROP DATABASE IF EXISTS {stack} WITH (FORCE)")
    shutil.rmtree(PLACE)


def _bases() -> dict[str, str]:
    return images.ensure_base().build_args() if paths.OWN_NODE else {}


def _repository(there: Sample) -> None:
    """Make a repository of one commit: the project as it is in this checkout's last, and the sample's stack files."""
    there.folder.mkdir(parents=True)
    (PLACE / "state").mkdir()
    image = images.build_and_push(VERSION)
    cloud.run("sh", "-c", f"git archive HEAD | tar --extract --directory {there.folder}")
    (there.folder / ".venv").symlink_to((paths.ROOT / ".venv").resolve())
    for file in there.folder.glob("Pulumi.*.yaml"):
        file.unlink()
    for stack in STACKS:
        there.file(stack).write_text(_dumped(_settings(stack, image)))
    record = {"shop": [{"version": VERSION, "digest": image.partition("@")[2]}]}
    (there.folder / "releases.json").write_text(json.dumps(record, indent=2) + "\n")
    for command in (
        "git init --quiet --initial-branch=main",
        "git config user.name sample",
        "git config user.email sample@example.com",
        "git add --all",
        "git commit --quiet --message=Sample",
        f"git clone --quiet --bare . {there.remote}",
        f"git remote add origin {there.remote}",
    ):
        there.run(*command.split())


class _Dumper(yaml.SafeDumper):
    """Writes as the engine does, so that what a step changes is all that git sees change."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ANN401, ARG002 - yaml's own
        return True


def _dumped(content: dict[str, Any]) -> str:
    text = yaml.dump(content, Dumper=_Dumper, sort_keys=False)
    return text.replace("'", '"')


def _settings(stack: str, image: str) -> dict[str, Any]:
    """Return a small stack file: blue runs, green is parked."""
    sandbox = cloud.committed()
    shop = sandbox["config"]["hueshift:services"]["shop"]
    production = stack == "production"
    release = {
        "image": image,
        "version": VERSION,
        "schema": "0002",
        "secretVersions": {"app": fakes.SECRET_VERSION},
    }
    pods = 2 if production else 1
    return {
        "config": {
            "aws:region": paths.REGION,
            "hueshift:activeColor": "blue",
            "hueshift:canaryWeight": "0",
            "hueshift:network": sandbox["config"]["hueshift:network"],
            "hueshift:dns": {"zone": ZONE},
            **(
                {
                    "hueshift:alerts": {
                        "subscriptions": [{"protocol": "email", "endpoint": "shop-on-call@example.com"}],
                        "onCall": "shop-on-call@example.com",
                        "owner": "team-shop",
                    },
                    "hueshift:loadBalancer": {"testListenerCidrs": ["127.0.0.0/8"]},
                    "hueshift:logs": {"retentionDays": 30},
                }
                if production
                else {
                    "hueshift:registry": {"repositories": ["shop"]},
                    "hueshift:loadBalancer": {"testListenerCidrs": ["127.0.0.0/8"], "deletionProtection": False},
                }
            ),
            "hueshift:services": {
                "shop": {
                    "host": host(stack),
                    "port": shop["port"],
                    "colors": {"blue": release, "green": {**release, "parked": True}},
                    "replicas": {"min": pods, "max": pods},
                    "expectsTraffic": False,
                    **{key: shop[key] for key in ("resources", "env", "secrets", "egress", "health")},
                    "timing": {**shop["timing"], "awaitTimeout": 50},
                }
            },
        },
        "encryptionsalt": sandbox["encryptionsalt"],
    }


def _first_update(there: Sample, stack: str) -> None:
    """Bring up a stack that has no secrets yet, as docs/operations.md says."""
    with psycopg.connect(f"{_SUPERUSER}/postgres", autocommit=True) as database:
        database.execute(f"CREATE DATABASE {stack} OWNER shop_migrate")
    with psycopg.connect(f"{_SUPERUSER}/{stack}", autocommit=True) as database:
        for rights in ("SELECT, INSERT, UPDATE, DELETE ON TABLES", "USAGE, SELECT ON SEQUENCES"):
            database.execute(f"ALTER DEFAULT PRIVILEGES FOR ROLE shop_migrate GRANT {rights} TO shop")
    there.run("pulumi", "stack", "init", stack, "--no-select")
    targets = [f"--target={urn}" for urn in MAKE_CONTAINERS]
    there.run("pulumi", "up", "--yes", "--skip-preview", "--non-interactive", "--stack", stack, *targets)
    values = {
        name: value.removesuffix("/shop") + f"/{stack}" if name.endswith("URL") else value
        for name, value in fakes.SECRET_VALUES.items()
    }
    boto3.client("secretsmanager").put_secret_value(
        SecretId=secret_name(stack, "shop", "app"),
        ClientRequestToken=fakes.SECRET_VERSION,
        SecretString=json.dumps(values),
    )
    there.step("up", stack)


def _names(there: Sample, stack: str) -> Iterator[str]:
    """Yield curl's arguments by which a stack's names lead to its load balancer."""
    dns = there.run("pulumi", "stack", "output", "loadBalancer", "--stack", stack).stdout.partition(".")[0]
    known = requests.get(f"{paths.AWS_ENDPOINT}/_hueshift/health", timeout=5).json()["loadBalancers"]
    (address,) = [address for name, address in known.items() if dns.startswith(f"{name}-")]
    for name in (host(stack), *(f"{color}.{host(stack)}" for color in ("blue", "green"))):
        for port in (80, 443, 8443):
            yield from ("--resolve", f"{name}:{port}:{address}")


def _destroy(there: Sample, stack: str) -> None:
    """Destroy a stack in whatever state."""
    words = ("--yes", "--non-interactive", "--stack", stack)
    if there.run("pulumi", "stack", "export", "--stack", stack, check=False).returncode:
        return
    there.run("pulumi", "cancel", "--yes", "--stack", stack, check=False)
    there.run("pulumi", "state", "unprotect", "--all", *words, check=False)
    ids: dict[str, list[str]] = {}
    for resource in there.resources(stack):
        ids.setdefault(resource["type"], []).append(resource.get("id", ""))
    for balancer in ids.get("aws:lb/loadBalancer:LoadBalancer", []):
        boto3.client("elbv2").modify_load_balancer_attributes(
            LoadBalancerArn=balancer, Attributes=[{"Key": "deletion_protection.enabled", "Value": "false"}]
        )
    for bucket in ids.get("aws:s3/bucket:Bucket", []):  # the call before has made it log once more
        boto3.client("s3").delete_bucket_policy(Bucket=bucket)  # it lets nobody in who comes without TLS
        boto3.resource("s3").Bucket(bucket).objects.delete()
    there.run("pulumi", "destroy", "--skip-preview", *words)
    there.run("pulumi", "stack", "rm", "--force", *words)
