"""AWS is reached with the credentials that the stack's provider has."""

from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ProfileNotFound
from moto import mock_aws

from components.context.aws_session import AssumeRolesError, session
from hueshift import stack
from hueshift.report import explained
from tests.support.program import ROOT

ROLES = ["arn:aws:iam::123456789012:role/first", "arn:aws:iam::123456789012:role/second"]


@pytest.fixture(autouse=True)
def profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let there be one profile, and credentials in the environment."""
    (tmp_path / "credentials").write_text("[team]\naws_access_key_id = of-team\naws_secret_access_key = fake\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of-environment")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "fake")
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)


def key(found: boto3.Session) -> str:
    credentials = found.get_credentials()
    assert credentials is not None
    return credentials.access_key


def test_a_profile_comes_before_the_environment_and_without_one_that_counts() -> None:
    assert key(session(region="eu-west-1", profile="team", roles=None)) == "of-team"
    assert key(session(region="eu-west-1", profile=None, roles=None)) == "of-environment"


def test_a_profile_that_is_not_there_is_refused() -> None:
    with pytest.raises(ProfileNotFound):
        session(region="eu-west-1", profile="nobody", roles=None)


@pytest.mark.parametrize("form", ["list", "json"])
def test_roles_are_assumed_one_after_the_other(form: str) -> None:
    roles: list[dict[str, str]] = [
        {"roleArn": ROLES[0], "externalId": "hueshift"},
        {"roleArn": ROLES[1], "sessionName": "gate"},
    ]
    text = f'[{{"roleArn": "{ROLES[0]}"}}, {{"roleArn": "{ROLES[1]}", "sessionName": "gate"}}]'
    with mock_aws():
        found = session(region="eu-west-1", profile="team", roles=roles if form == "list" else text)
        assert found.client("sts").get_caller_identity()["Arn"].endswith(":assumed-role/second/gate")
    assert found.region_name == "eu-west-1"


@pytest.mark.parametrize(
    "roles", ["[{roleArn: hush}]", '{"roleArn": "hush"}', '["hush"]', [{"sessionName": "hush"}], 5]
)
def test_what_names_no_roles_is_refused_without_its_text(roles: str) -> None:
    with pytest.raises(
        AssumeRolesError, match="aws:assumeRoles is no list of roles that each have a roleArn"
    ) as refused:
        session(region="eu-west-1", profile="team", roles=roles)
    assert "hush" not in explained(refused.value)
    assert refused.value.__cause__ is None
    assert "aws:assumeRoles" in explained(refused.value)


def test_the_commands_have_the_credentials_that_the_stack_file_gives_the_provider(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("Pulumi.yaml", "Pulumi.staging.yaml"):
        text = (ROOT / name).read_text()
        given = f"  aws:profile: team\n  aws:assumeRoles: [{{roleArn: {ROLES[0]}, sessionName: release}}]\n"
        (tmp_path / name).write_text(text.replace("config:\n", f"config:\n{given}") if "staging" in name else text)
    monkeypatch.chdir(tmp_path)
    with mock_aws():
        arn = stack.load("staging").aws().client("sts").get_caller_identity()["Arn"]
    assert arn.endswith(":assumed-role/first/release")
