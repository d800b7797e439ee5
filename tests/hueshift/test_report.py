"""What a person is told of an error of AWS: what mends it, and nothing of what AWS repeats."""

import pytest
from botocore import exceptions
from botocore.exceptions import ClientError

from hueshift.report import explained


def refused(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "hunter2"}}, "DescribeRules")


@pytest.mark.parametrize(
    ("error", "mends"),
    [
        (exceptions.NoCredentialsError(), "log in first"),
        (exceptions.PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY"), "log in first"),
        (exceptions.ProfileNotFound(profile="nope"), "aws configure list-profiles"),
        (exceptions.NoRegionError(), "aws:region in the stack file"),
        (exceptions.SSOTokenLoadError(error_msg="none"), "aws sso login"),
        (exceptions.UnauthorizedSSOTokenError(), "aws sso login"),
        (exceptions.TokenRetrievalError(provider="sso", error_msg="expired"), "aws sso login"),
        (refused("ExpiredToken"), "aws sso login"),
        (refused("UnrecognizedClientException"), "aws sso login"),
        (refused("AccessDenied"), "AWS refused DescribeRules: AccessDenied; see its CloudTrail event"),
        (exceptions.ConnectTimeoutError(endpoint_url="https://elb"), "check the region and the network"),
    ],
    ids=lambda it: str(it)[:24],
)
def test_each_says_what_mends_it(error: Exception, mends: str) -> None:
    said = explained(error)
    assert mends in said
    assert "hunter2" not in said
