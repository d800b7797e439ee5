"""What the doctor asks: of AWS through boto3, of the cluster through kubectl, of the engine through pulumi.

It only reads. Of AWS's and kubectl's answers nothing that could be a secret is kept.
"""

import base64
import json
import re
import subprocess
from collections.abc import Collection, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

from botocore.exceptions import ClientError, UnknownRegionError

from components.context.aws_session import session
from components.spec import NetworkSpec
from hueshift.doctor.verdicts import Subnet
from hueshift.report import RefusedError

if TYPE_CHECKING:
    import boto3

PATIENCE: Final = 60
"""Seconds for one answer of a program."""

READS: Final[Mapping[str, tuple[str, str, Mapping[str, Any]]]] = {
    "elasticloadbalancing:DescribeLoadBalancers": ("elbv2", "describe_load_balancers", {"PageSize": 1}),
    "cloudwatch:DescribeAlarms": ("cloudwatch", "describe_alarms", {"MaxRecords": 1}),
    "ec2:DescribeSecurityGroups": ("ec2", "describe_security_groups", {"MaxResults": 5}),
    "kms:ListAliases": ("kms", "list_aliases", {"Limit": 1}),
    "tag:GetResources": ("resourcegroupstaggingapi", "get_resources", {"ResourcesPerPage": 1}),
}
"""Harmless reads that every role of the pipeline may (docs/roles/read.json): client, method, arguments."""

OPERATOR: Final = tuple(f"monitoring.coreos.com/v1/{plural}" for plural in ("podmonitors", "prometheusrules"))
"""The kinds of the Prometheus Operator that a stack has objects of."""


def answered(*command: str, folder: Path) -> str:
    """Return what a program prints.

    Raises ``RefusedError`` with the last line of its errors if it fails, or says nothing in time.
    """
    said = " ".join(command[:4])
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=False, timeout=PATIENCE, stdin=subprocess.DEVNULL
        )
    except FileNotFoundError:
        raise RefusedError(f"the program {command[0]} is not on PATH") from None
    except subprocess.TimeoutExpired:
        raise RefusedError(f"`{said} …` gave no answer in {PATIENCE} s") from None
    if done.returncode:
        raise RefusedError(f"`{said}` failed: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
    return done.stdout


class Kubectl:
    """The cluster, as kubectl reaches it with what the stack file says to the provider."""

    def __init__(self, folder: Path, *, context: str | None, kubeconfig: str | None) -> None:
        self._folder = folder
        self._context, self._kubeconfig = context, kubeconfig

    def ask(self, *words: str) -> Any:  # noqa: ANN401 - what JSON holds
        """Return an answer that is JSON. Raises ``RefusedError`` with what kubectl says."""
        if self._kubeconfig and "\n" in self._kubeconfig:
            raise RefusedError("kubernetes:kubeconfig holds the content of a kubeconfig; kubectl takes a file")
        given = [f"--context={self._context}"] if self._context else []
        given += [f"--kubeconfig={self._kubeconfig}"] if self._kubeconfig else []
        return json.loads(answered("kubectl", *words, *given, "--request-timeout=15s", folder=self._folder) or "null")

    def get(self, *words: str) -> Any:  # noqa: ANN401 - as above
        """Return objects, None where one is not there. Raises ``RefusedError`` with what kubectl says."""
        return self.ask("get", *words, "--ignore-not-found", "--output=json")

    def lacks(self, kinds: Collection[str]) -> list[str]:
        """Return which kinds, such as ``metrics.k8s.io/v1beta1/pods``, are not served; discovery needs no right."""
        missing, known = [], dict[str, list[str]]()
        for kind in kinds:
            api, _, plural = kind.rpartition("/")
            if api not in known:
                try:
                    known[api] = [each["name"] for each in self.ask("get", "--raw", f"/apis/{api}")["resources"]]
                except RefusedError as error:
                    if not re.search(r"could not find|NotFound|ServiceUnavailable|unable to handle", str(error)):
                        raise
                    known[api] = []
            if plural not in known[api]:
                missing.append(kind)
        return missing


def pins(folder: Path) -> Mapping[str, str]:
    """Return the versions that ``requirements.txt`` pins, by package."""
    return dict(
        re.findall(r"^([\w-]+)==(\S+)", (folder / "requirements.txt").read_text(encoding="utf-8"), re.MULTILINE)
    )


def installed(names: Collection[str]) -> Mapping[str, str | None]:
    """Return the installed version of each package, None where there is none."""
    found: dict[str, str | None] = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def plugins(folder: Path) -> set[tuple[str, str]]:
    """Return name and version of the engine's resource plugins. Raises ``RefusedError`` with what pulumi says."""
    listed = json.loads(answered("pulumi", "plugin", "ls", "--json", folder=folder))
    return {(each["name"], each["version"]) for each in listed if each["kind"] == "resource"}


def known(aws: "boto3.Session") -> bool:
    """Whether the region of a session is one that AWS has, or may have by its form; without a call."""
    try:
        return bool(aws.get_partition_for_region(aws.region_name))
    except UnknownRegionError:
        return False


def refusals(aws: "boto3.Session") -> Mapping[str, str]:
    """Return which of ``READS`` AWS refuses, with its code."""
    refused = {}
    for action, (service, method, given) in READS.items():
        try:
            client: Any = aws.client(service)  # type: ignore[call-overload]
            getattr(client, method)(**given)
        except ClientError as error:
            refused[action] = str(error.response["Error"].get("Code"))
    return refused


def kms_key(provider: str) -> tuple[str, str | None]:
    """Return key and region of a secrets provider such as ``awskms://alias/pulumi-staging?region=eu-west-1``."""
    name, _, query = provider.removeprefix("awskms://").partition("?")
    return name.lstrip("/"), next(iter(parse_qs(query).get("region", [])), None)


def key_state(provider: str, encrypted: str) -> str:
    """Return the state of a secrets provider's key, and let it decrypt the data key, which is thrown away.

    With the credentials of the environment, as the engine does it. Raises ``ClientError`` if KMS refuses.
    """
    name, region = kms_key(provider)
    kms: Any = session(region=region, profile=None, roles=None).client("kms")
    state = kms.describe_key(KeyId=name)["KeyMetadata"]["KeyState"]
    if state == "Enabled":
        kms.decrypt(KeyId=name, CiphertextBlob=base64.b64decode(encrypted))
    return str(state)


def subnets(aws: "boto3.Session", spec: NetworkSpec) -> tuple[str, Sequence[str], list[Subnet]]:
    """Return VPC, the subnets' ids, and what AWS has of them, for a network by ids or by tags.

    Raises ``RefusedError`` if the tags are those of no VPC, or of several.
    """
    ec2: Any = aws.client("ec2")
    if spec.lookup is None:
        vpc, wanted = str(spec.vpc_id), spec.subnet_ids or ()
        filters: Any = [{"Name": "subnet-id", "Values": list(wanted)}]
    else:
        found = ec2.describe_vpcs(Filters=_tags(spec.lookup.vpc_tags))["Vpcs"]
        if len(found) != 1:
            raise RefusedError(f"network.lookup.vpcTags: {len(found)} VPCs have them; name one")
        vpc, wanted = found[0]["VpcId"], ()
        filters = [{"Name": "vpc-id", "Values": [vpc]}, *_tags(spec.lookup.subnet_tags)]
    answer = ec2.describe_subnets(Filters=filters)["Subnets"]
    return vpc, wanted, [Subnet(each["SubnetId"], each["VpcId"], each["AvailabilityZone"]) for each in answer]


def _tags(tags: Mapping[str, str]) -> Any:  # noqa: ANN401 - of boto3's own type
    return [{"Name": f"tag:{name}", "Values": [value]} for name, value in tags.items()]


def certificate(aws: "boto3.Session", arn: str) -> tuple[str, Sequence[str]]:
    """Return the status of a certificate in ACM, and all names that it is for."""
    found = aws.client("acm").describe_certificate(CertificateArn=arn)["Certificate"]
    return str(found["Status"]), list(dict.fromkeys([found["DomainName"], *found.get("SubjectAlternativeNames", [])]))


def public_zones(aws: "boto3.Session") -> set[str]:
    """Return the names of the account's public hosted zones, each with a dot at its end."""
    route53: Any = aws.client("route53")
    pages = route53.get_paginator("list_hosted_zones").paginate()
    zones = [each for page in pages for each in page["HostedZones"]]
    return {each["Name"] for each in zones if not each.get("Config", {}).get("PrivateZone")}
