"""What every pod of a service has in common: its labels, how it is judged, and what it may do.

No function here creates a resource; `service.py`, `color_environment.py` and `migration.py` do.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import pulumi
from pulumi_kubernetes import meta, networking, policy

from components.rules import NOT_SECRETS
from components.spec import Egress, Resources

READINESS_GATE_LABEL: Final = {"elbv2.k8s.aws/pod-readiness-gate-inject": "enabled"}
"""On the namespace: the AWS Load Balancer Controller then gates readiness on target health. Only pods created later,
and only those whose Service and TargetGroupBinding exist by then, get the gate."""

RESTRICTED_LABELS: Final = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn", "audit")}
"""On the namespace: its pods must meet the "restricted" Pod Security Standard."""

# Of pods all is plain and in the words of Kubernetes, so that what a service adds can be merged over it.

RESTRICTED_POD: Final = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
"""Who the pod runs as stays the image's choice; its USER must be a number for the kubelet to tell it is not root."""

RESTRICTED_CONTAINER: Final = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}

TMP_MOUNT: Final = {"name": "tmp", "mountPath": "/tmp"}
TMP_VOLUME: Final = {"name": "tmp", "emptyDir": {}}
"""The one place where a container with a read-only root file system can write."""


def requirements(resources: Resources) -> dict[str, Any]:
    """Return a container's ``resources``."""
    return {
        "requests": {"cpu": resources.cpu, "memory": resources.memory},
        "limits": {"memory": resources.memory},
    }


_SAMPLE_LABELS: Final = {
    "service": "app.kubernetes.io/name",
    "color": "hueshift.dev/color",
    "environment": "hueshift.dev/environment",
}
"""What the samples of a pod are told apart by, and the pod's labels that say it."""


def budget(match: Mapping[str, str]) -> policy.v1.PodDisruptionBudgetSpecArgs:
    """Return how many of the pods that match may be missing while nodes are drained: one."""
    return policy.v1.PodDisruptionBudgetSpecArgs(
        # Not minAvailable, which would block the drain of a node at one replica.
        max_unavailable=1,
        # Pods that crash-loop would block it too.
        unhealthy_pod_eviction_policy="AlwaysAllow",
        selector=meta.v1.LabelSelectorArgs(match_labels=match),
    )


def pod_monitor(service: str, path: str) -> dict[str, Any]:
    """Return the ``spec`` of a PodMonitor: what the Prometheus Operator has read of the pods of both colors.

    Of a service's namespace, where a migration's pods have no port. Prometheus knows the label ``a.b/c`` of a pod as
    ``__meta_kubernetes_pod_label_a_b_c`` (Prometheus configuration, kubernetes_sd_config); ``podTargetLabels`` would
    keep the label's own name.
    """
    return {
        "selector": {"matchLabels": {"app.kubernetes.io/name": service}},
        "podMetricsEndpoints": [
            {
                "port": "http",
                "path": path,
                "interval": "30s",
                "relabelings": [
                    {
                        "sourceLabels": [f"__meta_kubernetes_pod_label_{re.sub('[^a-zA-Z0-9_]', '_', label)}"],
                        "targetLabel": name,
                    }
                    for name, label in _SAMPLE_LABELS.items()
                ],
            }
        ],
    }


def environment_variables(values: Mapping[str, str]) -> list[dict[str, str]]:
    """Return a container's ``env``, each value as it is: Kubernetes would put a variable in the place of ``$(NAME)``.

    What comes from a ConfigMap or a Secret it leaves alone, so a pod and a Job read the same.
    """
    return [{"name": name, "value": value.replace("$", "$$")} for name, value in values.items()]


def not_secrets(names: Sequence[str]) -> dict[str, str] | None:
    """Return the annotation of what holds variables, by which the policy pack knows that these are no secrets."""
    return {NOT_SECRETS: " ".join(names)} if names else None


def from_secrets(names: Iterable[str]) -> list[dict[str, Any]]:
    """Return the part of a container's ``envFrom`` that reads these Secrets."""
    return [{"secretRef": {"name": name}} for name in names]


def app_env(environment: str, *, production: bool) -> str:
    """Return the ``APP_ENV`` of the application contract: ``production``, ``staging``, else ``development``."""
    if production:
        return "production"
    return "staging" if "staging" in environment.split("-") else "development"


def patience(await_timeout: int) -> int:
    """Return the seconds after which the cluster gives up: before Pulumi does, so that its reason is the one shown."""
    return await_timeout * 9 // 10


_DNS_PORTS: Final = [networking.v1.NetworkPolicyPortArgs(protocol=protocol, port=53) for protocol in ("UDP", "TCP")]
_NODE_LOCAL_DNS: Final = "169.254.20.10/32"
"""Where a NodeLocal DNSCache listens: on the node, which no pod selector matches."""
_POD_IDENTITY_AGENT: Final = "169.254.170.23/32"
"""Where the EKS Pod Identity agent of a node gives pods their credentials, on port 80."""


def network_policy(
    match: Mapping[str, str],
    *,
    egress: Sequence[Egress],
    port: str | None = None,
    client_cidrs: Sequence[pulumi.Input[str]] = (),
    monitoring_namespace: str | None = None,
    pod_identity: bool = False,
    callers: Mapping[str, str] | None = None,
    called: tuple[Mapping[str, str], str] | None = None,
) -> networking.v1.NetworkPolicySpecArgs:
    """Return what these pods may be called by and may call; all else is closed, in both directions.

    The kubelet's probes need no rule: a pod's own node always reaches it.

    Args:
        match: labels of the pods; empty for all of the namespace. Of several policies for one pod each opens its part.
        egress: what they may call over TCP, besides DNS.
        port: where they may be called, by the name that each pod gives to a number; None for nowhere.
        client_cidrs: by whom. A load balancer's nodes are no pods: only their subnets tell them.
        monitoring_namespace: whose pods may call them too.
        pod_identity: whether they get credentials from the node's EKS Pod Identity agent.
        callers: labels of pods of the namespace that may call them too.
        called: labels of pods of the namespace that they may call, and the name of these pods' port.

    """

    def peers(*cidrs: pulumi.Input[str]) -> list[networking.v1.NetworkPolicyPeerArgs]:
        return [networking.v1.NetworkPolicyPeerArgs(ip_block=networking.v1.IPBlockArgs(cidr=cidr)) for cidr in cidrs]

    def namespace(name: str) -> meta.v1.LabelSelectorArgs:
        return meta.v1.LabelSelectorArgs(match_labels={"kubernetes.io/metadata.name": name})

    def pods(labels: Mapping[str, str]) -> meta.v1.LabelSelectorArgs:
        return meta.v1.LabelSelectorArgs(match_labels=labels)

    def tcp(*ports: int | str) -> list[networking.v1.NetworkPolicyPortArgs]:
        return [networking.v1.NetworkPolicyPortArgs(protocol="TCP", port=number) for number in ports]

    clients = peers(*client_cidrs)
    if monitoring_namespace:
        clients.append(networking.v1.NetworkPolicyPeerArgs(namespace_selector=namespace(monitoring_namespace)))
    if callers:
        clients.append(networking.v1.NetworkPolicyPeerArgs(pod_selector=pods(callers)))
    resolvers = [
        networking.v1.NetworkPolicyPeerArgs(
            namespace_selector=namespace("kube-system"),
            pod_selector=meta.v1.LabelSelectorArgs(match_labels={"k8s-app": "kube-dns"}),
        ),
        *peers(_NODE_LOCAL_DNS),
    ]
    targets = [(item.cidr, item.ports) for item in egress]
    if pod_identity:
        targets.append((_POD_IDENTITY_AGENT, [80]))
    return networking.v1.NetworkPolicySpecArgs(
        pod_selector=meta.v1.LabelSelectorArgs(match_labels=match or None),
        policy_types=["Ingress", "Egress"],
        # No rule without a client: an empty `from` lets everybody in. And no empty list, which the API forgets: the
        # next refresh would find a difference.
        ingress=[networking.v1.NetworkPolicyIngressRuleArgs(from_=clients, ports=tcp(port))]
        if port and clients
        else None,
        egress=[
            networking.v1.NetworkPolicyEgressRuleArgs(to=resolvers, ports=_DNS_PORTS),
            *(networking.v1.NetworkPolicyEgressRuleArgs(to=peers(cidr), ports=tcp(*ports)) for cidr, ports in targets),
            *(
                networking.v1.NetworkPolicyEgressRuleArgs(
                    to=[networking.v1.NetworkPolicyPeerArgs(pod_selector=pods(labels))], ports=tcp(their)
                )
                for labels, their in ([called] if called else [])
            ),
        ],
    )
