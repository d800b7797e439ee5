"""`hueshift recover`: take into the state what a killed update has created and not recorded.

The state says of it only that its creation had begun. Its id is in the inputs, or is asked of AWS by the name or the
parent that they hold; where neither tells one from another, by its tags.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from components.context.aws_session import session
from components.model import UPTIME_REGION
from hueshift.report import StackName, console, reported
from hueshift.stack import exported, project_folder, replace

if TYPE_CHECKING:
    import boto3

Inputs = Mapping[str, Any]

GOES_WITH_ITS_PARENT: Final = frozenset(
    {
        "acm/certificateValidation:CertificateValidation",
        "cloudwatch/logMetricFilter:LogMetricFilter",
        "cloudwatch/queryDefinition:QueryDefinition",  # a saved query twice does no harm
        "ecr/lifecyclePolicy:LifecyclePolicy",
        "ecr/repositoryPolicy:RepositoryPolicy",
        "lb/listenerCertificate:ListenerCertificate",
        "s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
        "s3/bucketOwnershipControls:BucketOwnershipControls",
        "s3/bucketPolicy:BucketPolicy",
        "s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
        "s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
        "secretsmanager/secretPolicy:SecretPolicy",
        "secretsmanager/secretRotation:SecretRotation",
        "sns/topicPolicy:TopicPolicy",
        "sns/topicSubscription:TopicSubscription",
        "vpc/securityGroupEgressRule:SecurityGroupEgressRule",
        "vpc/securityGroupIngressRule:SecurityGroupIngressRule",
        "wafv2/webAclAssociation:WebAclAssociation",
    }
)
"""Deleted with what it belongs to, and made again without harm."""


_NAMED: Final = {
    "Alias": "{name}",
    "Bucket": "{bucket}",
    "CompositeAlarm": "{alarmName}",
    "Dashboard": "{dashboardName}",
    "EventRule": "{name}",
    "EventTarget": "{rule}/{targetId}",
    "LogGroup": "{name}",
    "MetricAlarm": "{name}",
    "Record": "{zoneId}_{name}_{type}",
    "Repository": "{name}",
    "Role": "{name}",
    "RolePolicyAttachment": "{role}/{policyArn}",
}
"""The id in terms of the inputs; the plugin has put a name there where the program gave none."""

_TAGGED: Final = {
    "Certificate": "acm:certificate",
    "HealthCheck": "route53:healthcheck",
    "Key": "kms:key",
    "Secret": "secretsmanager:secret",
    "StateMachine": "states:stateMachine",
    "Topic": "sns",
    "WebAcl": "wafv2:regional/webacl",
}
"""What the tagging API calls it."""

_DESCRIBED: Final[Mapping[str, tuple[str, str, Mapping[str, str], str]]] = {
    "Application": ("appconfig", "list_applications", {}, "Items[?Name=='{name}'].Id"),
    "ConfigurationProfile": (
        "appconfig",
        "list_configuration_profiles",
        {"ApplicationId": "applicationId"},
        "Items[?Name=='{name}'].Id",
    ),
    "DeploymentStrategy": ("appconfig", "list_deployment_strategies", {}, "Items[?Name=='{name}'].Id"),
    "Environment": ("appconfig", "list_environments", {"ApplicationId": "applicationId"}, "Items[?Name=='{name}'].Id"),
    "Listener": (
        "elbv2",
        "describe_listeners",
        {"LoadBalancerArn": "loadBalancerArn"},
        "Listeners[?Port==`{port:.0f}`].ListenerArn",
    ),
    "ListenerRule": (
        "elbv2",
        "describe_rules",
        {"ListenerArn": "listenerArn"},
        "Rules[?Priority=='{priority:.0f}'].RuleArn",
    ),
    "LoadBalancer": (
        "elbv2",
        "describe_load_balancers",
        {},
        "LoadBalancers[?LoadBalancerName=='{name}'].LoadBalancerArn",
    ),
    "PodIdentityAssociation": (
        "eks",
        "list_pod_identity_associations",
        {"clusterName": "clusterName", "namespace": "namespace", "serviceAccount": "serviceAccount"},
        "associations[].associationId",
    ),
    "SecurityGroup": ("ec2", "describe_security_groups", {}, "SecurityGroups[?GroupName=='{name}'].GroupId"),
    "TargetGroup": ("elbv2", "describe_target_groups", {}, "TargetGroups[?TargetGroupName=='{name}'].TargetGroupArn"),
}
"""Service, operation, its parameters by the inputs they have, and which of the answers it is."""


def recover(*, stack: StackName = None) -> None:
    """Take into the state what a killed update has created and not recorded, and forget what else was pending.

    Run pulumi refresh next: it drops what was never made, and sees what was being changed or deleted.
    """
    with reported():
        folder = project_folder()
        state = exported(folder, stack)
        found = ids(state)
        replace(folder, stack, recovered(state, found))
        for urn, one in found.items():
            console().print(f"{urn.rpartition('::')[2]}: {one}, if it is there")


def recovered(state: Mapping[str, Any], found: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the state with the pending creations that have an id among its resources, and nothing pending."""
    deployment = state["deployment"]
    pending = [one["resource"] for one in deployment.get("pending_operations") or []]
    taken = [{**one, "id": found[one["urn"]]} for one in pending if one["urn"] in found]
    resources = [*(deployment.get("resources") or []), *taken]
    return {**state, "deployment": {**deployment, "resources": resources, "pending_operations": []}}


def ids(state: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the id by URN of each pending creation whose object is there, or may be: a refresh drops one that is not.

    ``state`` is what ``pulumi stack export`` prints. Raises ``ClientError`` if AWS refuses to answer.
    """
    deployment = state["deployment"]
    pending = [one["resource"] for one in deployment.get("pending_operations") or [] if one["type"] == "creating"]
    resources = deployment.get("resources") or []
    recorded = {resource.get("id") for resource in resources}
    found: dict[str, str] = {}
    aws: boto3.Session | None = None
    for resource in pending:
        package, _, kind = resource["type"].partition(":")
        if package == "kubernetes":
            metadata = resource["inputs"]["metadata"]
            found[resource["urn"]] = "/".join(filter(None, (metadata.get("namespace"), metadata["name"])))
        elif package == "aws" and kind not in GOES_WITH_ITS_PARENT:
            aws = aws or _session(resources)
            if (one := _id(aws, kind, resource["inputs"], recorded)) is not None:
                found[resource["urn"]] = one
    return found


def _session(resources: Sequence[Mapping[str, Any]]) -> "boto3.Session":
    """Return a session like the provider's, which is recorded before all that it makes."""
    inputs = next(resource["inputs"] for resource in resources if resource["type"] == "pulumi:providers:aws")
    return session(region=inputs.get("region"), profile=inputs.get("profile"), roles=inputs.get("assumeRoles"))


def _id(aws: "boto3.Session", kind: str, inputs: Inputs, recorded: set[Any]) -> str | None:
    name = kind.partition(":")[2]
    # What is of the whole world is tagged in us-east-1.
    region = UPTIME_REGION if name == "HealthCheck" else inputs.get("region")
    if name in _NAMED:
        return _NAMED[name].format(**inputs)
    if name in _TAGGED:
        tags = [{"Key": key, "Values": [value]} for key, value in inputs["tags"].items()]
        given: dict[str, Any] = {"ResourceTypeFilters": [_TAGGED[name]], "TagFilters": tags}
        answer = _ask(
            aws, region, "resourcegroupstaggingapi", "get_resources", given, "ResourceTagMappingList[].ResourceARN"
        )
    else:
        service, operation, parameters, query = _DESCRIBED[name]
        given = {theirs: str(inputs[ours]) for theirs, ours in parameters.items()}
        answer = _ask(aws, region, service, operation, given, query.format(**inputs))
    answer = [one for one in answer if one.rpartition("/")[2] not in recorded and _is_it(aws, name, one, inputs)]
    if name in ("HealthCheck", "Key"):
        answer = [one.rpartition("/")[2] for one in answer]
    if name == "WebAcl":
        answer = ["/".join([*reversed(one.split("/")[-2:]), "REGIONAL"]) for one in answer]
    if name in ("ConfigurationProfile", "Environment"):
        answer = [f"{one}:{inputs['applicationId']}" for one in answer]
    if name == "PodIdentityAssociation":
        answer = [f"{inputs['clusterName']},{one}" for one in answer]
    return next((one for one in answer if one not in recorded), None)


def _ask(
    aws: "boto3.Session", region: str | None, service: str, operation: str, given: Mapping[str, Any], query: str
) -> Sequence[str]:
    client: Any = aws.client(service, region_name=region)  # type: ignore[call-overload]
    try:
        return list(client.get_paginator(operation).paginate(**given).search(query))
    except ClientError as error:
        if "NotFound" in error.response["Error"]["Code"]:  # the parent is gone, and what belonged to it
            return []
        raise


def _is_it(aws: "boto3.Session", name: str, arn: str, inputs: Inputs) -> bool:
    """Whether one of several with the same tags is the one. Keys that wait for their deletion keep theirs for days."""
    if name == "Key":
        kms = aws.client("kms", region_name=inputs.get("region"))
        return bool(kms.describe_key(KeyId=arn)["KeyMetadata"]["KeyState"] != "PendingDeletion")
    if name == "Certificate":
        found = aws.client("acm").describe_certificate(CertificateArn=arn)["Certificate"]
        return bool(found["DomainName"] == inputs["domainName"])
    return name not in _TAGGED or name == "HealthCheck" or str(inputs["name"]) in arn
