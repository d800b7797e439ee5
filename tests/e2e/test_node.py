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
from contextlib import closing, contextmanager, suppress
from pathlib import Path

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


@contextmanager
def started(name: str) -> Iterator[int]:
    """Lend out a pod of the image that every node has; gives the number of a process in its network."""
    manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": name, "image": "sandbox.local/pause:1"}],
        },
    }
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(manifest, file)
        file.flush()
        cloud.run("kubectl", "apply", "-f", file.name)
    kubectl = ("kubectl", "--namespace=default")
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
    enter = ["nsenter", f"--net=/proc/{process}/ns/net", sys.executable, "-c", DIAL, host, str(port)]
    return subprocess.run(enter, capture_output=True, text=True, check=False).stderr.strip()


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
