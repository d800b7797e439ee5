"""A secret's value is found nowhere but in the store and in the pods that need it."""

import base64
import json
from pathlib import Path

import pytest

from sandbox import fakes, paths
from tests.e2e import cloud

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

VALUES = [value for value in fakes.SECRET_VALUES.values() if len(value) >= 8]


def found_in(text: str) -> list[str]:
    """Return the names of the secrets whose value stands in the text, plain or in base64."""
    return [
        name
        for name, value in fakes.SECRET_VALUES.items()
        if value in text or base64.b64encode(value.encode()).decode() in text
    ]


def test_the_search_would_find_a_value() -> None:
    assert len(VALUES) >= 2
    for value in VALUES:
        assert found_in(f"x{value}y")
        assert found_in(base64.b64encode(value.encode()).decode())


def test_a_value_is_in_no_state_and_no_output() -> None:
    assert not found_in(cloud.pulumi("stack", "export", "--show-secrets").stdout)
    assert not found_in(cloud.pulumi("stack", "output", "--json", "--show-secrets").stdout)
    for file in (paths.PULUMI_STATE).rglob("*"):
        if file.is_file():
            assert not found_in(file.read_text(errors="replace")), file


def test_a_value_is_in_no_preview() -> None:
    with cloud.stack_file():
        cloud.configure("services.shop.colors.green.version", "1.5.1")
        assert not found_in(cloud.pulumi("preview", "--diff").stdout)
        assert not found_in(cloud.pulumi("preview", "--json").stdout)


def test_a_value_is_in_no_log() -> None:
    logs = [
        *paths.LOGS.rglob("*.log"),
        *(paths.NODE / "cluster/log").glob("*.log"),
        *(paths.NODE / "cluster/var/log").rglob("*.log"),
    ]
    assert logs
    for log in filter(Path.is_file, logs):  # a container's log goes with its pod
        assert not found_in(log.read_text(errors="replace")), log


def test_a_value_is_in_no_manifest_but_the_secret_that_delivers_it() -> None:
    kinds = cloud.run("kubectl", "api-resources", "--verbs=list", "--namespaced", "-o", "name").stdout.split()
    searched = [kind for kind in kinds if kind not in ("secrets", "events", "events.events.k8s.io")]
    listed = cloud.kubectl("get", ",".join(searched), "-o", "json")
    assert len(json.loads(listed)["items"]) > 10
    assert not found_in(listed)
    assert found_in(cloud.kubectl("get", "secrets", "-o", "json"))
