"""docs/state.md and docs/roles.md, run command by command: state in a bucket, secrets under a key, locks, roles."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from sandbox import paths
from tests.e2e import cloud
from tests.support.pages import code
from tests.support.shell import Shell

pytestmark = [pytest.mark.e2e, pytest.mark.incremental, pytest.mark.timeout(180)]

SECRET = "not-a-secret-but-easy-to-find"
PAGE = paths.ROOT / "docs/state.md"
MADE, INIT, CHANGE, LOCKS, OLDER = range(5)
"""The blocks of the page, in its order."""


class Team:
    """Somebody who follows the page in a project of their own, under a name that the local cloud has not taken."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # No backend and no passphrase from outside: the page has to bring them.
        self.environment = {name: value for name, value in os.environ.items() if name != "PULUMI_BACKEND_URL"}
        self.environment |= {"PULUMI_HOME": str(folder / "home"), "PULUMI_CONFIG_PASSPHRASE": "of-the-old-days"}
        self.commands = Shell(folder=folder, environment=self.environment)
        self.bucket = "pulumi-page-" + paths.ACCOUNT
        self.blocks = [re.sub("pulumi-(production|staging)", "pulumi-page", block) for block in code(PAGE, "sh")]

    def shell(self, script: str, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run lines as a person would who has set the page's two variables."""
        return self.commands.script(f"region={paths.REGION}; bucket={self.bucket}\n{script}", check=check)

    def follow(self, block: int) -> str:
        """Run a block of the page."""
        return self.shell(self.blocks[block]).stdout

    def state(self, stack: str) -> str:
        """Return what the bucket has of a stack."""
        return self.shell(f'aws s3 cp "s3://$bucket/.pulumi/stacks/hueshift/{stack}.json" -').stdout


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    folder = tmp_path_factory.mktemp("state")
    source = paths.ROOT / "tests/e2e/programs/state"
    settings = (source / "Pulumi.yaml").read_text().replace("../../../../.venv", str(paths.ROOT / ".venv"))
    (folder / "Pulumi.yaml").write_text(settings)
    (folder / "__main__.py").write_text((source / "__main__.py").read_text())
    (folder / "Pulumi.production.yaml").write_text(
        (paths.ROOT / "Pulumi.production.yaml").read_text().split("config:")[0]
    )
    cloud.run("git", "init", "--quiet", cwd=folder)
    made = Team(folder)
    made.follow(MADE)
    yield made
    bucket = boto3.resource("s3").Bucket(made.bucket)
    bucket.object_versions.delete()
    bucket.delete()
    boto3.client("kms").delete_alias(AliasName="alias/pulumi-page")


def test_the_page_makes_a_bucket_that_keeps_versions_and_lets_nobody_in(team: Team) -> None:
    assert len(team.blocks) == OLDER + 1
    s3 = boto3.client("s3")
    assert s3.get_bucket_versioning(Bucket=team.bucket)["Status"] == "Enabled"
    assert all(s3.get_public_access_block(Bucket=team.bucket)["PublicAccessBlockConfiguration"].values())
    (rule,) = s3.get_bucket_encryption(Bucket=team.bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"
    (refusal,) = json.loads(s3.get_bucket_policy(Bucket=team.bucket)["Policy"])["Statement"]
    assert refusal["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    s3.delete_bucket_policy(Bucket=team.bucket)  # the bucket here knows no conditions, and would refuse everybody


def test_a_secret_is_in_clear_in_neither_the_stack_file_nor_the_bucket(team: Team) -> None:
    team.follow(INIT)
    file = team.folder / "Pulumi.production.yaml"
    assert "secretsprovider: awskms://alias/pulumi-page?" in file.read_text()
    team.shell(f"printf {SECRET} | pulumi config set --secret password --stack production")
    team.shell("pulumi up --yes --skip-preview --stack production")
    assert "secure:" in file.read_text()
    for text in (file.read_text(), team.state("production")):
        assert SECRET not in text
    assert SECRET in team.shell("pulumi stack output password --show-secrets --stack production").stdout


def test_a_passphrase_is_given_up_for_the_key(team: Team) -> None:
    team.shell("pulumi stack init staging --no-select")
    team.shell(f"printf {SECRET} | pulumi config set --secret password --stack staging")
    team.shell("pulumi up --yes --skip-preview --stack staging")
    team.follow(CHANGE)
    del team.environment["PULUMI_CONFIG_PASSPHRASE"]
    assert '"cloud"' in team.state("staging")
    assert "encryptionsalt" not in (team.folder / "Pulumi.staging.yaml").read_text()
    assert SECRET in team.shell("pulumi config get password --stack staging").stdout


def test_a_lock_refuses_a_second_update_until_it_is_cancelled(team: Team) -> None:
    gate = team.folder / "gate"
    gate.touch()
    up = ["pulumi", "up", "--yes", "--skip-preview", "--non-interactive", "--stack", "production"]
    locks = boto3.client("s3")
    with team.commands.started(*up, WAITS_FOR=str(gate)):
        cloud.wait_until(
            "the first update has its lock",
            lambda: locks.list_objects_v2(Bucket=team.bucket, Prefix=".pulumi/locks/")["KeyCount"],
        )
    refused = team.shell(" ".join(up), check=False)
    assert refused.returncode != 0
    assert "the stack is currently locked by 1 lock(s)" in refused.stderr + refused.stdout
    team.shell("pulumi preview --stack production")
    assert "production" in team.follow(LOCKS)
    team.shell(" ".join(up))


def test_an_older_state_comes_back_from_the_versions_of_the_bucket(team: Team) -> None:
    before = team.state("production")
    team.shell("pulumi config set other 1 --stack production")
    team.shell("pulumi config rm password --stack production && pulumi up --yes --skip-preview --stack production")
    assert "ciphertext" not in team.state("production")
    team.follow(OLDER)
    assert "ciphertext" in team.state("production")
    assert "ciphertext" in before
    assert SECRET in team.shell("pulumi stack output password --show-secrets --stack production").stdout


OF_THE_ACCOUNT = ("policy hueshift guard", "policy hueshift flags")
"""Policies that are here from the start."""


@pytest.mark.timeout(360)
def test_the_page_of_roles_makes_each_with_its_documents_and_for_its_subjects(team: Team) -> None:
    (team.folder / "docs").symlink_to(paths.ROOT / "docs")
    # The zone and the policy of the example are not here, and IAM asks for neither.
    *made, cluster = [part for part in code(paths.ROOT / "docs/roles.md", "sh") if part.strip() not in OF_THE_ACCOUNT]
    assert cluster.startswith("kubectl apply"), "run in test_review.py, all but EKS's own, which are not to be had here"
    team.shell("\n".join(made))
    iam = boto3.client("iam")
    try:
        for role, subject, documents in (
            ("pulumi-production-preview", "pull_request", 1),
            ("pulumi-production-deploy", "environment:production", 7),
            ("pulumi-production-rollback", "environment:rollback", 3),
            ("pulumi-production-resume", "environment:resume", 4),
            ("pulumi-build", "ref:refs/heads/main", 1),
            ("pulumi-review", "environment:review", 8),
        ):
            (trust,) = iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]["Statement"]
            wanted = trust["Condition"]["StringEquals"]["token.actions.githubusercontent.com:sub"]
            assert f"repo:example@1234567/shop@7654321:{subject}" in wanted
            attached = [
                item["PolicyArn"] for item in iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]
            ]
            assert len(attached) == documents
            text = json.dumps(
                [iam.get_policy_version(PolicyArn=arn, VersionId="v1")["PolicyVersion"]["Document"] for arn in attached]
            )
            assert ("repository/*" in text) == (role == "pulumi-build"), "a review puts its images beside the others"
            assert ("repository/review/*" in text) == (role == "pulumi-review")
            assert not re.search(
                r"ACCOUNT|REGION|ENVIRONMENT|CLUSTER|ZONE_ID|POLICY_ARN|REPOSITORIES|STATE\b|SUBJECT|STATE_KEY|NAMES",
                text,
            )
    finally:
        for role in [item["RoleName"] for item in iam.list_roles()["Roles"] if item["RoleName"].startswith("pulumi-")]:
            for item in iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]:
                iam.detach_role_policy(RoleName=role, PolicyArn=item["PolicyArn"])
            iam.delete_role(RoleName=role)
        for policy in iam.list_policies(Scope="Local")["Policies"]:
            if policy["PolicyName"].startswith(("pulumi-", "secret-keeper-", "flag-keeper-")):
                for version in iam.list_policy_versions(PolicyArn=policy["Arn"])["Versions"]:
                    if not version["IsDefaultVersion"]:
                        iam.delete_policy_version(PolicyArn=policy["Arn"], VersionId=version["VersionId"])
                iam.delete_policy(PolicyArn=policy["Arn"])
        for provider in iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]:
            iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=provider["Arn"])
