"""A service of one color, on the node: who reaches it, and how it is updated in place."""

import json
import os
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import yaml
from kubernetes import client, config, watch

from sandbox import paths
from tests.e2e import cloud

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(420)]

HOST = "desk.shop.localhost"
NAMESPACE = "sandbox-desk"
REPLICAS = 2
TIMING = {"longestRequest": 4, "deregistrationDelay": 4, "preStop": 6, "gracePeriod": 20, "awaitTimeout": 180}


def desk(kind: str, version: str) -> dict[str, Any]:
    """Return the settings of a service of one color, with the reference service's images and secrets."""
    source = {"store": "aws-secrets-manager", "path": "sandbox/shop/app"}
    # The store is AWS Secrets Manager under another name: what it calls the newest version is no id of ours.
    color = {"image": f"127.0.0.1:5000/shop:{version}", "version": version, "secretVersions": {"app": "AWSCURRENT"}}
    shop = cloud.stack_config()["hueshift:services"]["shop"]
    return {
        "host": HOST,
        "port": 8080,
        "strategy": {"kind": kind, "maxSurge": 1, "maxUnavailable": 0},
        "colors": {"blue": color},
        "replicas": {"min": REPLICAS, "max": REPLICAS},
        "resources": {"cpu": "50m"},
        "secrets": {"app": {"keys": ["DATABASE_URL", "JWT_SECRET"], "source": source}},
        **{key: shop[key] for key in ("env", "egress", "health")},
        "timing": TIMING,
    }


def set_desk(kind: str, version: str) -> None:
    """Write the service into the stack file that `cloud.stack_file` lent out."""
    file = paths.ROOT / "Pulumi.sandbox.yaml"
    content = yaml.safe_load(file.read_text())
    content["config"]["hueshift:services"]["desk"] = desk(kind, version)
    file.write_text(yaml.safe_dump(content, sort_keys=False))


def kubectl(*arguments: str) -> dict[str, Any]:
    """Run kubectl in the service's namespace and return the object it printed."""
    found: dict[str, Any] = json.loads(cloud.run("kubectl", "--namespace", NAMESPACE, *arguments, "-o", "json").stdout)
    return found


@contextmanager
def watched(listed: Callable[..., Any]) -> Iterator[list[tuple[str, Any]]]:
    """Note every change of the service's objects, in order: what happened, and the object as it was then.

    The API server ends a watch whose reader it finds slow; this one goes on where that ended.
    """
    which = {"namespace": NAMESPACE, "label_selector": "app.kubernetes.io/name=desk"}
    seen: list[tuple[str, Any]] = []

    def note() -> None:
        events: Iterable[Any] = watch.Watch().stream(listed, **which)
        for event in events:
            found = event["object"]
            seen.append((event["type"], found))

    def versions(objects: Iterable[Any]) -> set[str]:
        return {found.metadata.resource_version for found in objects}

    threading.Thread(target=note, daemon=True).start()
    cloud.wait_until("the watch has begun", lambda: seen)
    yield seen
    there = versions(listed(**which).items)
    cloud.wait_until("the watch has told what there is", lambda: there <= versions(found for _, found in seen))


def rolled_out() -> None:
    """Wait until the pods are those of the update, whose own wait may end before (docs/limits.md)."""
    cloud.run("kubectl", "--namespace", NAMESPACE, "rollout", "status", "deployment/desk-blue", "--timeout=120s")


@contextmanager
def stranger() -> Iterator[str]:
    """Lend a pod outside all services that no policy closes, serving on port 8000, by its address."""
    pod = "--namespace=default", "pod/stranger"
    image = "--image=127.0.0.1:5000/shop:1.5.0"
    serve = "python3", "-m", "http.server", "8000", "--directory", "/app"
    cloud.run("kubectl", "run", "stranger", "--namespace=default", "--restart=Never", image, "--command", "--", *serve)
    try:
        cloud.run("kubectl", "wait", *pod, "--for=condition=Ready", "--timeout=60s")
        address = cloud.run("kubectl", "get", *pod, "--output=jsonpath={.status.podIP}").stdout
        cloud.wait_until("the stranger answers", lambda: reaches_from_here(address, 8000))
        yield address
    finally:
        cloud.run("kubectl", "delete", *pod, "--now", "--wait=false")


def reaches_from_here(address: str, port: int) -> bool:
    """Return whether this machine, where the load balancer stands, gets a connection."""
    try:
        socket.create_connection((address, port), 2).close()
    except OSError:
        return False
    return True


def reaches(namespace: str, pod: str, address: str, port: int) -> bool:
    """Return whether a pod gets a connection."""
    attempt = f"import socket; socket.create_connection(({address!r}, {port}), 2)"
    command = ["kubectl", "exec", f"--namespace={namespace}", pod, "--", "python3", "-c", attempt]
    done = cloud.run(*command, check=False)
    assert done.returncode == 0 or "Error" in done.stderr, done.stderr
    return done.returncode == 0


def test_a_service_of_one_color_is_closed_to_strangers_and_updated_in_place_as_its_strategy_says() -> None:
    config.load_kube_config(os.environ["KUBECONFIG"])
    with cloud.stack_file():
        set_desk("rolling", "1.4.0")
        cloud.update()
        scaler = kubectl("get", "hpa", "desk-blue")["spec"]
        assert (scaler["minReplicas"], scaler["maxReplicas"]) == (REPLICAS, REPLICAS)
        assert scaler["behavior"]["scaleDown"]["stabilizationWindowSeconds"] == 308

        (pod, *_) = kubectl("get", "pods")["items"]
        name, address = pod["metadata"]["name"], pod["status"]["podIP"]
        with stranger() as other:
            assert reaches_from_here(address, 8080), "the load balancer"
            assert not reaches("default", "stranger", address, 8080), "any other pod"
            assert reaches("default", "stranger", paths.NODE_IP, 5432), "to which nothing else is closed"
            assert not reaches(NAMESPACE, name, other, 8000), "what is not listed"
            assert reaches(NAMESPACE, name, paths.NODE_IP, 5432), "the database, which is"
            assert reaches(NAMESPACE, name, "localhost", 8080), "its own"

        set_desk("rolling", "1.5.0")
        load = cloud.Load(240, host=HOST, rate=100)
        with watched(client.AppsV1Api().list_namespaced_deployment) as changes:
            cloud.update()
            rolled_out()
        answers = load.stop()
        assert [answer for answer in answers if answer.code != 200] == []
        assert list(dict.fromkeys(answer.version for answer in answers)) == ["1.4.0", "1.5.0"]
        assert answers[-1].version == "1.5.0"
        states = [found.status for _, found in changes]
        assert {state.replicas for state in states} == {REPLICAS, REPLICAS + 1}, "maxSurge 1"
        assert min(state.available_replicas or 0 for state in states) == REPLICAS, "maxUnavailable 0"
        sets = kubectl("get", "replicasets")["items"]
        assert len(sets) == 2, "the version before is kept for `rollout undo`"

        def versions() -> set[str]:
            labels = [pod["metadata"]["labels"] for pod in kubectl("get", "pods")["items"]]
            return {label["app.kubernetes.io/version"] for label in labels}

        cloud.wait_until("the pods of the version before have ended", lambda: versions() == {"1.5.0"})
        set_desk("recreate", "1.4.0")
        preview = cloud.pulumi("preview").stdout
        assert "every update of desk stops all its pods before it starts new ones" in preview
        assert "6 to 20 s" in preview

        load = cloud.Load(240, host=HOST, rate=20)
        with watched(client.CoreV1Api().list_namespaced_pod) as events:
            cloud.update()
            rolled_out()
        answers = load.stop()
        pods = [
            (type_, pod.metadata.labels["app.kubernetes.io/version"], pod.metadata.name, pod.status.phase)
            for type_, pod in events
        ]
        first = next(at for at, (type_, version, *_) in enumerate(pods) if (type_, version) == ("ADDED", "1.4.0"))
        last = {name: (type_, phase) for type_, version, name, phase in pods[:first] if version == "1.5.0"}
        assert len(last) == REPLICAS
        ended = {
            name for name, (type_, phase) in last.items() if type_ == "DELETED" or phase in ("Succeeded", "Failed")
        }
        assert ended == last.keys(), "all old pods had ended when the first new one was made"
        lost = [answer for answer in answers if answer.code != 200]
        assert {answer.code for answer in lost} == {503}
        assert lost[-1].at - lost[0].at < TIMING["gracePeriod"] + 15
        assert (answers[-1].code, answers[-1].version) == (200, "1.4.0")
