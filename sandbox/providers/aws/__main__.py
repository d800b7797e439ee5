"""The executable ``pulumi-resource-aws``: types and functions of the stand-in, by token."""

from sandbox.providers.aws import (
    acm,
    cloudwatch,
    ec2,
    ecr,
    elb,
    iam,
    kms,
    route53,
    routing,
    s3,
    secretsmanager,
    sns,
    wafv2,
)
from sandbox.providers.aws.base import AwsResource, Cloud
from sandbox.providers.aws.functions import SECRET_ANSWERS, functions
from sandbox.providers.plugin import Provider, serve

VERSION = "7.29.0"
"""The official provider that this stands in for."""
_ENCRYPTION = "SideEncryptionConfiguration"


def provider(cloud: Cloud) -> Provider:
    types: dict[str, type[AwsResource]] = {
        "acm/certificate:Certificate": acm.Certificate,
        "acm/certificateValidation:CertificateValidation": acm.CertificateValidation,
        "cloudwatch/compositeAlarm:CompositeAlarm": cloudwatch.CompositeAlarm,
        "cloudwatch/metricAlarm:MetricAlarm": cloudwatch.MetricAlarm,
        "ec2/securityGroup:SecurityGroup": ec2.SecurityGroup,
        "ecr/lifecyclePolicy:LifecyclePolicy": ecr.LifecyclePolicy,
        "ecr/repository:Repository": ecr.Repository,
        "ecr/repositoryPolicy:RepositoryPolicy": ecr.RepositoryPolicy,
        "eks/podIdentityAssociation:PodIdentityAssociation": iam.PodIdentityAssociation,
        "iam/role:Role": iam.Role,
        "iam/rolePolicyAttachment:RolePolicyAttachment": iam.RolePolicyAttachment,
        "kms/alias:Alias": kms.Alias,
        "kms/key:Key": kms.Key,
        "lb/listener:Listener": routing.Listener,
        "lb/listenerCertificate:ListenerCertificate": routing.ListenerCertificate,
        "lb/listenerRule:ListenerRule": routing.ListenerRule,
        "lb/loadBalancer:LoadBalancer": elb.LoadBalancer,
        "lb/targetGroup:TargetGroup": elb.TargetGroup,
        "route53/record:Record": route53.Record,
        "s3/bucket:Bucket": s3.Bucket,
        "s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": s3.BucketLifecycleConfiguration,
        "s3/bucketOwnershipControls:BucketOwnershipControls": s3.BucketOwnershipControls,
        "s3/bucketPolicy:BucketPolicy": s3.BucketPolicy,
        "s3/bucketPublicAccessBlock:BucketPublicAccessBlock": s3.BucketPublicAccessBlock,
        f"s3/bucketServer{_ENCRYPTION}:BucketServer{_ENCRYPTION}": s3.BucketServerSideEncryptionConfiguration,
        "secretsmanager/secret:Secret": secretsmanager.Secret,
        "secretsmanager/secretPolicy:SecretPolicy": secretsmanager.SecretPolicy,
        "secretsmanager/secretRotation:SecretRotation": secretsmanager.SecretRotation,
        "sns/topic:Topic": sns.Topic,
        "sns/topicPolicy:TopicPolicy": sns.TopicPolicy,
        "sns/topicSubscription:TopicSubscription": sns.TopicSubscription,
        "vpc/securityGroupEgressRule:SecurityGroupEgressRule": ec2.SecurityGroupEgressRule,
        "vpc/securityGroupIngressRule:SecurityGroupIngressRule": ec2.SecurityGroupRule,
        "wafv2/webAcl:WebAcl": wafv2.WebAcl,
        "wafv2/webAclAssociation:WebAclAssociation": wafv2.WebAclAssociation,
    }
    return Provider(
        name="aws",
        version=VERSION,
        resources={f"aws:{token}": type_(cloud) for token, type_ in types.items()},
        functions=functions(cloud),
        secret_answers=SECRET_ANSWERS,
        configure=cloud.configure,
        arguments=Cloud.arguments,
    )


if __name__ == "__main__":
    serve(provider(Cloud()))
