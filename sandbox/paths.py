"""Every place, address and port of the local cloud, so that no two parts can disagree.

The scripts of the node keep the same addresses in ``node/common.sh``.
"""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The checkout."""

STATE = ROOT / ".sandbox"
"""All that the local cloud writes; ignored by git, removed by ``make sandbox-down``."""

CACHE = Path(
    os.environ.get("HUESHIFT_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "hueshift")
).expanduser()
"""What is downloaded, built and compiled once for every checkout; nothing removes it."""

LOGS = STATE / "logs"
"""One log for each process of this machine; the node keeps its own under ``NODE / 'cluster/log'``."""

NODE = STATE / "node"
OWN_NODE = "HUESHIFT_KUBECONFIG" not in os.environ
"""False where a person gives a cluster of their own; registry, database and Docker daemon are theirs then, too."""
KUBECONFIG = NODE / "cluster/etc/admin.kubeconfig" if OWN_NODE else Path(os.environ["HUESHIFT_KUBECONFIG"]).resolve()
DOCKER_SOCKET = NODE / "cluster/docker.sock"
ENVOY = STATE / "envoy"
PROMETHEUS = STATE / "prometheus"

CA_CERTIFICATE = STATE / "ca.crt"
CA_KEY = STATE / "ca.key"
"""The authority that signs what ACM would: listeners' certificates and the webhook's."""

PULUMI_HOME = STATE / "pulumi"
PULUMI_STATE = STATE / "state"

HOST_IP = os.environ.get("HUESHIFT_HOST_IP", "10.250.0.1")
"""This machine's end of the cable to the node."""
NODE_IP = os.environ.get("HUESHIFT_NODE_IP", "10.250.0.2")
"""The node's end: its API server, PostgreSQL and the registry."""
POD_CIDR = "10.244.0.0/24"
"""All pods of the node."""

REGION = "eu-west-1"
ACCOUNT = "123456789012"
CLUSTER = "hueshift"
"""The name of the cluster, for the AWS Load Balancer Controller (``--cluster-name``) and EKS."""
ZONE = f"{REGION}a"
INSTANCE_ID = "i-0b17e9c5a3d24f680"
"""The node in the EC2 API: its ``providerID`` is ``aws:///ZONE/INSTANCE_ID``."""
AWS_ENDPOINT = "http://127.0.0.1:4566"
AWS_FOR_PODS = f"http://{HOST_IP}:4566"
"""The same, as pods of the node reach it: they have neither credentials nor a way there unless they are given both."""
ENVOY_ADMIN = "http://127.0.0.1:9901"
PROMETHEUS_URL = "http://127.0.0.1:9090"
PROMETHEUS_OPERATOR = "http://127.0.0.1:9446/healthz"
STATE_METRICS = "http://127.0.0.1:9447/metrics"
REGISTRY = os.environ.get("HUESHIFT_REGISTRY", "127.0.0.1:5000")
"""As the node and its Docker daemon name it; from this machine it is ``NODE_IP:5000``."""
LOAD_BALANCER_CONTROLLER = "http://127.0.0.1:9444/healthz"
EXTERNAL_SECRETS = "http://127.0.0.1:9445/metrics"
"""Where the controllers say that they run."""
WEBHOOK_PORT = 9443
"""On ``HOST_IP``: that port of this machine, and that of ``AWS_FOR_PODS``, may be reached by the node."""
POSTGRES_PORT = 5432
"""On ``NODE_IP``."""
