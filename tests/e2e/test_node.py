"""The node keeps to itself, and admits only what a production cluster would."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from sandbox import paths
from tests.e2e import cloud

pytestmark = pytest.mark.e2e

DIAL = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=3).close()
except OSError as error:
    sys.exit(str(error))
"""

LISTEN = """
import socket, sys, threading
servers = [socket.create_server(("", int(port))) for port in sys.argv[1:]]
print(flush=True)
threading.Event().wait()
"""


def apply(*manifests: dict[str, Any]) -> None:
    """Run `kubectl apply` for these objects."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump({"apiVersion": "v1", "kind": "List", "items": manifests}, file)
        file.flush()
        cloud.run("kubectl", "apply", "-f", file.name)


@contextmanager
def namespace(name: str) -> Iterator[None]:
    """Lend out an empty namespace."""
    cloud.run("kubectl", "create", "namespace", name)
    try:
        yield
    finally:
        cloud.run("kubectl", "delete", "namespace", name)


@contextmanager
def started(name: str, namespace: str = "default") -> Iterator[int]:
    """Lend out a pod of the image that every node has; gives the number of a process in its network."""
    manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"name": name}},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": name, "image": "sandbox.local/pause:1"}],
        },
    }
    apply(manifest)
    kubectl = ("kubectl", f"--namespace={namespace}")
    try:
        cloud.run(*kubectl, "wait", "--for=condition=Ready", f"pod/{name}", "--timeout=60s")
        uid = cloud.run(*kubectl, "get", f"pod/{name}", "-o", "jsonpath={.metadata.uid}").stdout
        groups = Path("/sys/fs/cgroup").glob(f"**/pod{uid}/*/cgroup.procs")
        yield int(next(number for group in groups for number in group.read_text().split()))
    finally:
        cloud.run(*kubectl, "delete", f"pod/{name}", "--now")


@pytest.fixture(scope="module")
def pod() -> Iterator[int]:
    with started("dialer") as number:
        yield number


def dial(process: int, host: str, port: int) -> str:
    """Connect from the network of a process; return what went wrong, nothing where it answered."""
    enter = inside(process, DIAL, host, port)
    return subprocess.run(enter, capture_output=True, text=True, check=False).stderr.strip()


def inside(process: int, program: str, *arguments: str | int) -> list[str]:
    """Return the command that runs a Python program in the network of a process."""
    return ["nsenter", f"--net=/proc/{process}/ns/net", sys.executable, "-c", program, *map(str, arguments)]


@contextmanager
def listening(process: int, *ports: int) -> Iterator[None]:
    """Accept connections in the network of a process."""
    with subprocess.Popen(inside(process, LISTEN, *ports), stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        server.stdout.readline()
        try:
            yield
        finally:
            server.kill()


def node_process() -> int:
    """Return process 1 of the node."""
    parent = (paths.NODE / "cluster/node.pid").read_text().strip()
    return int(Path(f"/proc/{parent}/task/{parent}/children").read_text())


def test_a_pod_reaches_the_webhook_and_nothing_else_of_this_machine(pod: int) -> None:
    with closing(socket.create_server(("0.0.0.0", 0))) as other:
        port = other.getsockname()[1]
        socket.create_connection((paths.HOST_IP, port), timeout=3).close()
        assert dial(pod, paths.HOST_IP, paths.WEBHOOK_PORT) == ""
        assert dial(pod, paths.HOST_IP, port) == "[Errno 111] Connection refused"
        assert dial(node_process(), paths.HOST_IP, paths.WEBHOOK_PORT) == ""
        assert dial(node_process(), paths.HOST_IP, port) == "[Errno 111] Connection refused"


def test_a_pod_reaches_its_database_and_no_outside_world(pod: int) -> None:
    assert dial(pod, paths.NODE_IP, paths.POSTGRES_PORT) == ""
    assert dial(pod, "192.0.2.1", 443) == "[Errno 101] Network is unreachable"


def policy(name: str, selector: dict[str, str], **rules: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a policy of the namespace `walled` that closes both directions but for its rules."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": "walled"},
        "spec": {"podSelector": {"matchLabels": selector}, "policyTypes": ["Ingress", "Egress"], **rules},
    }


@pytest.mark.timeout(120)
def test_a_network_policy_lets_in_and_out_what_it_lists_and_nothing_else(pod: int) -> None:
    tcp = {"protocol": "TCP"}
    resolver = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
        "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
    }
    policies = [
        policy("closed", {}),
        policy(
            "server",
            {"name": "server"},
            ingress=[
                {
                    "from": [
                        {"ipBlock": {"cidr": f"{paths.HOST_IP}/32"}},
                        {"podSelector": {"matchLabels": {"name": "client"}}},
                    ],
                    "ports": [{**tcp, "port": 8080}],
                }
            ],
        ),
        policy(
            "client",
            {"name": "client"},
            egress=[
                {"to": [{"ipBlock": {"cidr": f"{paths.NODE_IP}/32"}}], "ports": [{**tcp, "port": paths.POSTGRES_PORT}]},
                {"to": [{"podSelector": {"matchLabels": {"name": "server"}}}]},
                {"to": [resolver], "ports": [{**tcp, "port": 53}]},
            ],
        ),
    ]
    with (
        namespace("walled"),
        started("server", "walled") as server,
        started("client", "walled") as client,
        listening(server, 8080, 8081),
        listening(pod, 8080),
    ):
        host, node = os.getpid(), node_process()
        address, other = (
            cloud.run("kubectl", "-n", where, "get", f"pod/{name}", "-o", "jsonpath={.status.podIP}").stdout
            for where, name in (("walled", "server"), ("default", "dialer"))
        )
        passes = [  # what the rules name, and what the node itself sends
            (host, address, 8080),
            (client, address, 8080),
            (node, address, 8080),
            (node, address, 8081),
            (client, paths.NODE_IP, paths.POSTGRES_PORT),
            (client, paths.NODE_IP, 53),
        ]
        stops = [
            (host, address, 8081),
            (client, address, 8081),
            (pod, address, 8080),
            (client, other, 8080),
            (client, paths.NODE_IP, 6443),
            (client, paths.HOST_IP, paths.WEBHOOK_PORT),
            (server, paths.NODE_IP, paths.POSTGRES_PORT),
            (server, paths.NODE_IP, 53),
        ]

        def answers(calls: list[tuple[int, str, int]]) -> list[str]:
            with ThreadPoolExecutor() as pool:
                return list(pool.map(lambda call: dial(*call), calls))

        assert answers([*passes, *stops]) == [""] * (len(passes) + len(stops))
        apply(*policies)
        cloud.wait_until("the policies hold", lambda: dial(pod, address, 8080))
        assert answers(passes) == [""] * len(passes)
        assert answers(stops) == ["timed out"] * len(stops)


@pytest.mark.timeout(150)
def test_an_autoscaler_adds_pods_under_load() -> None:
    image = cloud.pods("blue")[0]["spec"]["containers"][0]["image"]
    container = {
        "name": "busy",
        "image": image,
        "command": ["python3", "-c", "while True: pass"],
        "resources": {"requests": {"cpu": "50m"}, "limits": {"cpu": "100m"}},
    }
    labels = {"app": "busy"}
    with namespace("busy"):
        apply(
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": "busy", "namespace": "busy"},
                "spec": {
                    "selector": {"matchLabels": labels},
                    "template": {
                        "metadata": {"labels": labels},
                        "spec": {"terminationGracePeriodSeconds": 0, "containers": [container]},
                    },
                },
            },
            {
                "apiVersion": "autoscaling/v2",
                "kind": "HorizontalPodAutoscaler",
                "metadata": {"name": "busy", "namespace": "busy"},
                "spec": {
                    "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "busy"},
                    "maxReplicas": 2,
                    "metrics": [
                        {
                            "type": "Resource",
                            "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}},
                        }
                    ],
                },
            },
        )
        kubectl = ("kubectl", "-n", "busy")
        ready = (*kubectl, "get", "deployment/busy", "-o", "jsonpath={.status.readyReplicas}")
        cloud.wait_until("there are two pods", lambda: cloud.run(*ready).stdout == "2", 90)
        used = cloud.run(*kubectl, "top", "pods", "--no-headers").stdout.split()
        assert 60 <= int(used[1].removesuffix("m")) <= 130


def test_a_restricted_namespace_refuses_a_pod_that_may_be_root() -> None:
    refused = cloud.run(
        *("kubectl", "-n", cloud.NAMESPACE, "run", "root", "--image=sandbox.local/pause:1", "--dry-run=server"),
        check=False,
    )
    assert refused.returncode == 1
    assert 'violates PodSecurity "restricted:latest"' in refused.stderr
    assert "runAsNonRoot != true" in refused.stderr


def test_this_machine_listens_on_nothing_of_the_node() -> None:
    opened = set()
    for process in processes():
        for file in Path(f"/proc/{process}/fd").glob("*"):
            with suppress(OSError):  # it was just closed
                opened.add(str(file.readlink()))
    tables = [Path(f"/proc/self/net/{table}").read_text().splitlines()[1:] for table in ("tcp", "tcp6", "udp", "udp6")]
    ours = {f"socket:[{line.split()[9]}]" for table in tables for line in table}
    assert any(name.startswith("socket:") for name in opened)
    assert opened & ours == set()


def test_pods_outlive_killed_components_and_new_ones_start() -> None:
    before = [container["containerID"] for container in containers()]
    assert before
    killed = []
    for process in processes():
        with suppress(OSError):
            words = Path(f"/proc/{process}/cmdline").read_text().split("\0")
            if words[0] == "containerd" or words[:2] in (["kubenode", "kubelet"], ["kubenode", "kube-apiserver"]):
                os.kill(process, signal.SIGKILL)
                killed.append(words[:2])
    assert len(killed) == 3
    limit = time.monotonic() + 60
    while cloud.run("kubectl", "get", "--raw", "/readyz", check=False).returncode:
        assert time.monotonic() < limit
        time.sleep(0.2)
    with started("late"):
        assert [container["containerID"] for container in containers()] == before


def containers() -> list[dict[str, str]]:
    """Return the containers of the service's pods, in a fixed order."""
    found = [
        status
        for color in ("blue", "green")
        for pod in cloud.pods(color)
        for status in pod["status"]["containerStatuses"]
    ]
    return sorted(found, key=lambda container: container["containerID"])


def processes() -> list[int]:
    """Return the numbers of the node's own processes."""
    node = Path(f"/proc/{node_process()}/ns/net").readlink()
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (place / "ns/net").readlink() == node:
                found.append(int(place.name))
    return found
