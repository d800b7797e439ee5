"""What `hueshift init` asks of AWS beside what the doctor asks (`hueshift.doctor.facts`). It only reads."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from hueshift.doctor.facts import certificate
from hueshift.doctor.verdicts import Subnet
from hueshift.init.plan import Candidate, Network

if TYPE_CHECKING:
    import boto3

_ROLES: Final = {"kubernetes.io/role/elb": "internet-facing", "kubernetes.io/role/internal-elb": "internal"}
"""The tags by which the AWS Load Balancer Controller finds subnets, and their scheme."""


def account(aws: "boto3.Session") -> str:
    """Return the account of the credentials."""
    sts: Any = aws.client("sts")
    return str(sts.get_caller_identity()["Account"])


def clusters(aws: "boto3.Session") -> list[str]:
    """Return the names of the region's clusters."""
    eks: Any = aws.client("eks")
    return [name for page in eks.get_paginator("list_clusters").paginate() for name in page["clusters"]]


def cluster_network(aws: "boto3.Session", name: str) -> tuple[str, str | None]:
    """Return the VPC of a cluster, and the security group that EKS gives its nodes."""
    eks: Any = aws.client("eks")
    found = eks.describe_cluster(name=name)["cluster"]["resourcesVpcConfig"]
    return str(found["vpcId"]), found.get("clusterSecurityGroupId")


def vpcs(aws: "boto3.Session") -> list[Candidate]:
    """Return the region's VPCs."""
    ec2: Any = aws.client("ec2")
    pages = ec2.get_paginator("describe_vpcs").paginate()
    found = [each for page in pages for each in page["Vpcs"]]
    return [
        Candidate(each["VpcId"], " ".join(filter(None, [_tags(each).get("Name"), each["CidrBlock"]]))) for each in found
    ]


def networks(aws: "boto3.Session", vpc: str) -> list[Network]:
    """Return the subnets of a VPC. One without a route table of its own has the VPC's main one."""
    ec2: Any = aws.client("ec2")
    inside = [{"Name": "vpc-id", "Values": [vpc]}]
    subnets = [
        each for page in ec2.get_paginator("describe_subnets").paginate(Filters=inside) for each in page["Subnets"]
    ]
    pages = ec2.get_paginator("describe_route_tables").paginate(Filters=inside)
    tables = [each for page in pages for each in page["RouteTables"]]
    public: dict[str | None, bool] = {}
    for table in tables:
        open_ = any(str(route.get("GatewayId", "")).startswith("igw-") for route in table["Routes"])
        for use in table["Associations"]:
            public[None if use.get("Main") else use.get("SubnetId")] = open_
    return [
        Network(
            subnet=Subnet(each["SubnetId"], each["VpcId"], each["AvailabilityZone"]),
            public=(is_public := public.get(each["SubnetId"], public.get(None, False))),
            role=next((scheme for tag, scheme in _ROLES.items() if tag in _tags(each)), None),
            said=" ".join(
                filter(
                    None,
                    [
                        each["AvailabilityZone"],
                        each["CidrBlock"],
                        "public" if is_public else "private",
                        _tags(each).get("Name"),
                    ],
                )
            ),
        )
        for each in subnets
    ]


def certificates(aws: "boto3.Session") -> Mapping[str, Sequence[str]]:
    """Return the names of each certificate that is issued, of every kind of key: the list has but RSA's unasked."""
    acm: Any = aws.client("acm")
    kinds = acm.meta.service_model.shape_for("KeyAlgorithm").enum
    pages = acm.get_paginator("list_certificates").paginate(
        CertificateStatuses=["ISSUED"], Includes={"keyTypes": kinds}
    )
    arns = [each["CertificateArn"] for page in pages for each in page["CertificateSummaryList"]]
    return {arn: certificate(aws, arn)[1] for arn in arns}


def _tags(thing: Mapping[str, Any]) -> Mapping[str, str]:
    return {tag["Key"]: tag["Value"] for tag in thing.get("Tags", [])}
