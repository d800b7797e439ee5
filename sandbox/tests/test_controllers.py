"""How the controllers of a cluster on AWS are set up on this machine."""

import base64
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox import ca, controllers, paths


def a_webhook(name: str, path: str, policy: str) -> dict[str, Any]:
    return {
        "name": name,
        "clientConfig": {"service": {"name": "webhook-service", "namespace": "system", "path": path}},
        "failurePolicy": policy,
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
    }


def a_configuration(kind: str, *webhooks: dict[str, Any]) -> dict[str, Any]:
    return {"kind": f"{kind}WebhookConfiguration", "metadata": {"name": "webhook"}, "webhooks": list(webhooks)}


MANIFESTS = [
    a_configuration(
        "Mutating",
        a_webhook("mservice.elbv2.k8s.aws", "/mutate-v1-service", "Fail"),
        a_webhook("mpod.elbv2.k8s.aws", "/mutate-v1-pod", "Ignore"),
        a_webhook("mtargetgroupbinding.elbv2.k8s.aws", "/mutate-binding", "Fail"),
    ),
    a_configuration(
        "Validating",
        a_webhook("vingress.elbv2.k8s.aws", "/validate-ingress", "Fail"),
        a_webhook("vtargetgroupbinding.elbv2.k8s.aws", "/validate-binding", "Ignore"),
    ),
]


@pytest.fixture
def registered(tmp_path: Path) -> dict[str, dict[str, Any]]:
    """Return the webhooks that are registered, by name."""
    file = tmp_path / "webhooks.yaml"
    file.write_text(yaml.safe_dump_all(MANIFESTS))
    made = list(controllers._webhooks(file, b"authority"))
    assert [item["kind"] for item in made] == ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"]
    assert {item["metadata"]["name"] for item in made} == {"aws-load-balancer-webhook"}
    return {hook["name"]: hook for item in made for hook in item["webhooks"]}


def test_the_webhooks_of_pods_and_bindings_are_registered_and_no_other(registered: dict[str, dict[str, Any]]) -> None:
    assert set(registered) == {
        "mpod.elbv2.k8s.aws",
        "mtargetgroupbinding.elbv2.k8s.aws",
        "vtargetgroupbinding.elbv2.k8s.aws",
    }


def test_every_webhook_fails_closed(registered: dict[str, dict[str, Any]]) -> None:
    assert {hook["failurePolicy"] for hook in registered.values()} == {"Fail"}


def test_pods_are_judged_where_the_namespace_asks_for_readiness_gates_and_bindings_everywhere(
    registered: dict[str, dict[str, Any]],
) -> None:
    gated = registered.pop("mpod.elbv2.k8s.aws")
    assert gated["namespaceSelector"] == {"matchLabels": {"elbv2.k8s.aws/pod-readiness-gate-inject": "enabled"}}
    assert not any("namespaceSelector" in hook for hook in registered.values())


def test_the_webhooks_are_reached_at_this_end_of_the_cable_by_the_local_authority(
    registered: dict[str, dict[str, Any]],
) -> None:
    assert registered["mpod.elbv2.k8s.aws"]["clientConfig"] == {
        "url": f"https://{paths.HOST_IP}:{paths.WEBHOOK_PORT}/mutate-v1-pod",
        "caBundle": base64.b64encode(b"authority").decode(),
    }


def test_the_controllers_listen_on_loopback_and_the_webhook_on_the_cable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(controllers, "_HOME", tmp_path)
    monkeypatch.setattr(ca, "issue", lambda _: (b"certificate", b"key"))
    folders = {name: tmp_path / name for name in (controllers.LOAD_BALANCER, controllers.EXTERNAL_SECRETS)}
    commands = controllers.commands(folders, "vpc-1")
    assert set(commands) == set(folders)
    listening = [
        re.fullmatch(r"--[a-z-]*addr=(.*)", argument) for command, _ in commands.values() for argument in command
    ]
    addresses = [found[1] for found in listening if found]
    assert len(addresses) == 3
    # 0 is "nowhere", as controller-runtime has it.
    assert all(address == "0" or address.startswith("127.0.0.1:") for address in addresses)
    assert commands[controllers.LOAD_BALANCER][1]["WEBHOOK_BIND_HOST"] == paths.HOST_IP
    assert (tmp_path / "tls.key").stat().st_mode & 0o077 == 0
