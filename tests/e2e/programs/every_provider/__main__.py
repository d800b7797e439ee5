"""One resource of each provider, for the tests of refresh, import and destroy."""

import pulumi
import pulumi_docker as docker
import pulumi_kubernetes as k8s
from pulumi_aws import lb

config = pulumi.Config()
group = lb.TargetGroup("group", port=8080, protocol="HTTP", target_type="ip", vpc_id=config.require("vpcId"))
namespace = k8s.core.v1.Namespace("every-provider", metadata={"name": "every-provider"})
settings = k8s.core.v1.ConfigMap(
    "settings",
    metadata={"namespace": namespace.metadata["name"]},
    data={"color": config.get("color") or "blue", "group": group.arn},
)
image = docker.Image(
    "image",
    image_name="127.0.0.1:5000/every-provider:1.0.0",
    build={"context": "context", "platform": "linux/amd64"},
    skip_push=False,
)
pulumi.export("group", group.arn)
pulumi.export("configMap", settings.metadata["name"])
pulumi.export("digest", image.repo_digest)
