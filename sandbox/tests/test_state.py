"""Production's state on the local cloud: the key that the stack file names is there, and opens what the file holds."""

import base64

import boto3
import pytest
import yaml
from moto import mock_aws

from sandbox import fakes, paths
from sandbox.aws import keys
from tests.support.program import ROOT


@pytest.mark.slow  # a whole AWS in memory
def test_the_local_cloud_opens_the_data_key_that_production_was_given() -> None:
    stack = yaml.safe_load((ROOT / "Pulumi.production.yaml").read_text())
    scheme, _, name = stack["secretsprovider"].partition("?")[0].partition("://")
    assert scheme == "awskms"
    with mock_aws():
        keys.seed()
        kms = boto3.client("kms", paths.REGION, aws_access_key_id="sandbox", aws_secret_access_key="sandbox")
        opened = kms.decrypt(KeyId=name, CiphertextBlob=base64.b64decode(stack["encryptedkey"]))
    assert len(opened["Plaintext"]) == 32
    assert opened["KeyId"].endswith(fakes.STATE_KEY_ID)
