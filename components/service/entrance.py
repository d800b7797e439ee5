"""How the load balancer's requests get into the cluster: a Service, and what fills a target group with its pods."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes import core, meta
from pulumi_kubernetes.apiextensions import CustomResource

from components import rules


@dataclass(frozen=True, kw_only=True)
class Entrance:
    """How requests get in."""

    target_group_arn: pulumi.Input[str]
    security_group_id: pulumi.Input[str]
    """Of the load balancer, whose traffic may reach the pods."""
    routes: Sequence[pulumi.Resource]
    """Rules that keep the target group attached: pods of an unattached group never become ready."""
    parking: pulumi.ResourceHook | None = None
    """What refuses to take the pods away while users are sent to them (`parking_hook`)."""


def enter(
    name: str,
    entrance: Entrance,
    *,
    metadata: meta.v1.ObjectMetaArgs,
    match: Mapping[str, str],
    port: int,
    target: str = rules.PORT,
    parent: pulumi.Resource,
) -> list[pulumi.Resource]:
    """Declare the Service of the pods that match, and the binding that makes them targets; return both.

    ``target`` is the name of the pods' port. Both bear the name of ``metadata``. The controller gives the readiness
    gate to pods that are created after them.
    """
    service = core.v1.Service(
        f"{name}-service",
        metadata=meta.v1.ObjectMetaArgs(
            name=metadata.name,
            namespace=metadata.namespace,
            labels=metadata.labels,
            # To await it would be to wait for endpoints, which wait for their readiness gate.
            annotations={"pulumi.com/skipAwait": "true"},
        ),
        spec=core.v1.ServiceSpecArgs(
            type="ClusterIP",
            selector=match,
            ports=[core.v1.ServicePortArgs(name=rules.PORT, port=port, target_port=target, protocol="TCP")],
        ),
        opts=pulumi.ResourceOptions(parent=parent),
    )
    binding = CustomResource(
        f"{name}-binding",
        api_version="elbv2.k8s.aws/v1beta1",
        kind="TargetGroupBinding",
        metadata=metadata,
        spec={
            "targetGroupARN": entrance.target_group_arn,
            "targetType": "ip",
            "ipAddressType": "ipv4",
            "serviceRef": {"name": metadata.name, "port": rules.PORT},
            "networking": {
                "ingress": [
                    {
                        "from": [{"securityGroup": {"groupID": entrance.security_group_id}}],
                        # Every port: that of the pods may change, and the load balancer's own firewall lists it.
                        # By name the controller could open none for a color without pods.
                        "ports": [{"protocol": "TCP"}],
                    }
                ]
            },
        },
        opts=pulumi.ResourceOptions(
            parent=parent,
            depends_on=[service, *entrance.routes],
            # The controller's webhook refuses to change these, of which Pulumi knows nothing. Deleted
            # first, since its name, which is that of the readiness gate, can be taken only once.
            replace_on_changes=["spec.targetGroupARN", "spec.targetType", "spec.ipAddressType"],
            delete_before_replace=True,
        ),
    )
    return [service, binding]
