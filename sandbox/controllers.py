"""The controllers that a cluster on AWS has: their kinds, webhooks and stores, and how each is started here.

Both are their own code, built by ``sandbox/go/build.sh``, and run on this machine with the
node's kubeconfig: from here they reach the AWS APIs, which listen on loopback.
"""

import base64
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from sandbox import ca, paths
from sandbox.steps import StepError

Object = dict[str, Any]

LOAD_BALANCER = "load-balancer-controller"
EXTERNAL_SECRETS = "external-secrets"
SECRET_STORE = "aws-secrets-manager"
_HOME = paths.STATE / LOAD_BALANCER
_WEBHOOKS = "mpod.elbv2.k8s.aws", "mtargetgroupbinding.elbv2.k8s.aws", "vtargetgroupbinding.elbv2.k8s.aws"
"""Of the load balancer controller's webhooks those for pods and bindings; nothing here makes what the others judge."""
_GATED = {"matchLabels": {"elbv2.k8s.aws/pod-readiness-gate-inject": "enabled"}}
_POLL = "3s"
"""How often a binding's targets are asked for their health while a gate waits; 15 s by default, in every rollout."""
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml where PyYAML has it: the stores' schemas are 10,000 lines each."""


def install(kinds: Path, objects: Sequence[Object]) -> None:
    """Apply a folder of kinds and, once they are served, the objects. Running it again changes nothing.

    Raises:
        StepError: the API server refuses one of them.

    """
    _kubectl("apply", "--server-side", f"--filename={kinds}")
    _kubectl("wait", "--for=condition=Established", "--timeout=60s", f"--filename={kinds}")
    _kubectl("apply", "--server-side", "--filename=-", given=yaml.safe_dump_all(objects))


def objects(name: str, folder: Path) -> list[Object]:
    """Return what a controller needs in the cluster beside its kinds."""
    if name == LOAD_BALANCER:
        return list(_webhooks(folder / "webhooks.yaml", ca.ensure_ca().read_bytes()))
    return [secret_store()]


def commands(programs: dict[str, Path], vpc: str) -> dict[str, tuple[list[str], dict[str, str]]]:
    """Return how each controller is started, with what its environment has beside everybody's; makes a certificate."""
    _HOME.mkdir(parents=True, exist_ok=True)
    for name, content in zip(("tls.crt", "tls.key"), ca.issue([paths.HOST_IP]), strict=True):
        (_HOME / name).touch(mode=0o600)
        (_HOME / name).write_bytes(content)
    apis = ",".join(f"{service}={paths.AWS_ENDPOINT}" for service in ("Elastic Load Balancing v2", "EC2", "STS"))
    load_balancer = [
        str(programs[LOAD_BALANCER] / LOAD_BALANCER),
        f"--kubeconfig={paths.KUBECONFIG}",
        f"--cluster-name={paths.CLUSTER}",
        f"--aws-region={paths.REGION}",
        f"--aws-vpc-id={vpc}",
        f"--aws-api-endpoints={apis}",
        f"--webhook-bind-port={paths.WEBHOOK_PORT}",
        f"--webhook-cert-dir={_HOME}",
        f"--health-probe-bind-addr={_netloc(paths.LOAD_BALANCER_CONTROLLER)}",
        "--metrics-bind-addr=0",
        f"--targetgroupbinding-requeue-duration={_POLL}",
        # There is one of it, no other kind to look after, and no API for the rest here.
        "--enable-leader-election=false", "--enable-shield=false", "--enable-waf=false", "--enable-wafv2=false",
        "--feature-gates=ALBGatewayAPI=false,NLBGatewayAPI=false,EnableServiceController=false,GatewayListenerSet=false",
    ]  # fmt: skip
    external_secrets = [
        str(programs[EXTERNAL_SECRETS] / EXTERNAL_SECRETS),
        f"--metrics-addr={_netloc(paths.EXTERNAL_SECRETS)}",
    ]
    endpoints = {f"AWS_{service}_ENDPOINT": paths.AWS_ENDPOINT for service in ("SECRETSMANAGER", "STS")}
    return {
        LOAD_BALANCER: (load_balancer, {"WEBHOOK_BIND_HOST": paths.HOST_IP}),
        EXTERNAL_SECRETS: (external_secrets, endpoints),
    }


def secret_store() -> Object:
    """Return the store that every environment's ExternalSecrets name."""
    aws = {"service": "SecretsManager", "region": paths.REGION}
    return {
        "apiVersion": "external-secrets.io/v1",
        "kind": "ClusterSecretStore",
        "metadata": {"name": SECRET_STORE},
        "spec": {"provider": {"aws": aws}},
    }


def _webhooks(manifests: Path, authority: bytes) -> Iterator[Object]:
    """Yield the controller's own webhook configurations, made to reach it here and as its chart limits them.

    They fail closed, as docs/operations/first-stack.md asks of a cluster: a pod that got no
    readiness gate would count as ready before any target is healthy.
    """
    for configuration in yaml.load_all(manifests.read_text(), Loader=_LOADER):
        configuration["metadata"]["name"] = "aws-load-balancer-webhook"
        configuration["webhooks"] = [hook for hook in configuration["webhooks"] if hook["name"] in _WEBHOOKS]
        for hook in configuration["webhooks"]:
            path = hook["clientConfig"]["service"]["path"]
            hook["clientConfig"] = {
                "url": f"https://{paths.HOST_IP}:{paths.WEBHOOK_PORT}{path}",
                "caBundle": base64.b64encode(authority).decode(),
            }
            hook["failurePolicy"] = "Fail"
            if hook["name"].startswith("mpod."):
                hook["namespaceSelector"] = _GATED
        yield configuration


def _netloc(url: str) -> str:
    return url.partition("//")[2].partition("/")[0]


def _kubectl(*arguments: str, given: str | None = None) -> None:
    done = subprocess.run(["kubectl", *arguments], input=given, capture_output=True, text=True, check=False)
    if done.returncode:
        raise StepError(f"kubectl {arguments[0]}: {done.stderr.strip()}")
