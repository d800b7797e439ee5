"""The executable ``pulumi-resource-aws``: types and functions of the stand-in, by token."""

from functools import partial

from sandbox.providers.aws import cloudwatch, ec2, elb, routing, secretsmanager, sns
from sandbox.providers.aws.base import AwsResource, Cloud
from sandbox.providers.aws.functions import FUNCTIONS
from sandbox.providers.plugin import Provider, serve

VERSION = "7.29.0"
"""The official provider that this stands in for."""


def provider(cloud: Cloud) -> Provider:
    types: dict[str, type[AwsResource]] = {
        "cloudwatch/metricAlarm:MetricAlarm": cloudwatch.MetricAlarm,
        "ec2/securityGroup:SecurityGroup": ec2.SecurityGroup,
        "lb/listener:Listener": routing.Listener,
        "lb/listenerCertificate:ListenerCertificate": routing.ListenerCertificate,
        "lb/listenerRule:ListenerRule": routing.ListenerRule,
        "lb/loadBalancer:LoadBalancer": elb.LoadBalancer,
        "lb/targetGroup:TargetGroup": elb.TargetGroup,
        "secretsmanager/secret:Secret": secretsmanager.Secret,
        "sns/topic:Topic": sns.Topic,
        "vpc/securityGroupEgressRule:SecurityGroupEgressRule": ec2.SecurityGroupEgressRule,
        "vpc/securityGroupIngressRule:SecurityGroupIngressRule": ec2.SecurityGroupRule,
    }
    return Provider(
        name="aws",
        version=VERSION,
        resources={f"aws:{token}": type_(cloud) for token, type_ in types.items()},
        functions={token: partial(call, cloud) for token, call in FUNCTIONS.items()},
        configure=cloud.configure,
        arguments=Cloud.arguments,
    )


if __name__ == "__main__":
    serve(provider(Cloud()))
