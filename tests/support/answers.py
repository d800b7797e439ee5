"""What AWS and the provider functions answer that examples and programs call."""

from collections.abc import Mapping

from tests.support.engine import Answer, subnets_in

ANSWERS: Mapping[str, Answer] = {
    "aws:ecr/getAuthorizationToken:getAuthorizationToken": {
        "userName": "AWS",
        "password": "obviously-fake",
        "proxyEndpoint": "",
    },
    "aws:index/getCallerIdentity:getCallerIdentity": {"accountId": "123456789012"},
    "aws:ec2/getVpc:getVpc": {
        "id": "vpc-0a1b2c3d",
        "cidrBlockAssociations": [{"cidrBlock": "10.0.0.0/8", "state": "associated"}],
    },
    "aws:ec2/getSubnets:getSubnets": {"ids": ["subnet-0a1b2c3d", "subnet-0a1b2c3e"]},
    "aws:ec2/getSubnet:getSubnet": subnets_in("vpc-0a1b2c3d"),
    "aws:route53/getZone:getZone": {"zoneId": "Z0123456789", "name": "example.com"},
}
"""Answers by the token of the function."""
