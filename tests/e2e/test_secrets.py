"""A secret's value is found nowhere but in the store and in the pods that need it, in the version that is pinned."""

import base64
import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jwt
import pytest
import requests

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


def hueshift(*words: str, values: object = None) -> subprocess.CompletedProcess[str]:
    """Run `hueshift secrets … --stack sandbox`, the values on its standard input."""
    text = json.dumps(values) if values is not None else None
    return cloud.run("hueshift", "secrets", *words, "--stack", "sandbox", text=text, check=False)


def status() -> dict[str, dict[str, Any]]:
    """Return what `hueshift secrets status` says of each color, after it said that nothing is missing."""
    done = hueshift("status", "--json")
    assert done.returncode == 0, done.stderr
    return {row["color"]: row for row in json.loads(done.stdout)}


def accepts(color: str, secret: str) -> bool:
    """Return whether the pods of a color take a token that is signed with the secret."""
    token = jwt.encode({"exp": time.time() + 60}, secret)
    url = f"https://{color}.{cloud.HOST}:8443/items"
    # The refusal may come before the body was read, which curl 7.88 takes for an error of HTTP/2.
    code, _, _ = cloud.curl(url, "--http1.1", "--header", f"Authorization: Bearer {token}", "--data", "no item")
    assert code in (400, 401, 415, 422), code
    return code != 401


def names(color: str) -> set[str]:
    return {pod["metadata"]["name"] for pod in cloud.pods(color)}


def test_a_new_value_reaches_the_color_that_is_given_it_and_no_other_place() -> None:
    value = f"not-a-secret-{secrets.token_hex(24)}"
    said = []
    blue, green = names("blue"), names("green")
    # What an earlier run has put came after the version that is pinned: its labels keep it.
    labelled = hueshift("pin", "shop", "app", "--color", "both", "--version", fakes.SECRET_VERSION)
    assert labelled.returncode == 0, labelled.stderr
    before = status()
    assert all(f"hueshift-{color}" in row["stages"] for color, row in before.items())
    assert {row["version"] for row in before.values()} == {fakes.SECRET_VERSION}
    with cloud.stack_file() as file:
        put = hueshift("put", "shop", "app", "--json", values={**fakes.SECRET_VALUES, "JWT_SECRET": value})
        assert put.returncode == 0, put.stderr
        version = json.loads(put.stdout)["version"]
        assert status()["green"]["next"].startswith("hueshift secrets pin shop app --color green --version latest")
        pin = hueshift("pin", "shop", "app", "--color", "green", "--version", "latest")
        assert pin.returncode == 0, pin.stderr
        said += [put, pin, hueshift("status"), cloud.pulumi("preview", "--diff"), cloud.pulumi("up", "--yes", "--diff")]
        assert file.read_text().count(version) == 1

        assert names("blue") == blue
        assert not names("green") & green
        cloud.wait_until("green's old pods get no more requests", lambda: accepts("green", value), 10)
        assert not accepts("blue", value)
        assert accepts("blue", fakes.SECRET_VALUES["JWT_SECRET"])
        after = status()
        assert (after["green"]["version"], after["green"]["stages"]) == (version, ["AWSCURRENT", "hueshift-green"])
        assert after["blue"]["version"] == fakes.SECRET_VERSION
        assert after["blue"]["stages"] == ["AWSPREVIOUS", "hueshift-blue"]
        assert after["blue"]["next"].startswith("hueshift secrets pin shop app --color blue --version latest")

        said += [cloud.pulumi("stack", "export", "--show-secrets"), cloud.pulumi("stack", "output", "--show-secrets")]
        said.append(cloud.run("kubectl", "get", "externalsecrets,pods,events", "-A", "-o", "json"))
        for text in (text for done in said for text in (done.stdout, done.stderr)):
            assert value not in text
            assert base64.b64encode(value.encode()).decode() not in text
        wrong = hueshift("put", "shop", "app", values={"JWT_SECRET": value, value: "x"})
        assert wrong.returncode == 1
        assert "DATABASE_URL: missing" in wrong.stderr
        assert value not in wrong.stderr + wrong.stdout


VAULT = "http://127.0.0.1:8200"
VAULT_TOKEN = "not-a-secret"


def asked_of_vault(path: str, body: object = None) -> bool:
    """Read, or write, a path of the Vault's API; False where it does not answer or refuses."""
    method, headers = "POST" if body else "GET", {"X-Vault-Token": VAULT_TOKEN}
    try:
        return requests.request(method, f"{VAULT}/v1/{path}", headers=headers, json=body, timeout=5).ok
    except requests.ConnectionError:
        return False


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[None]:
    """Lend a Vault with four versions of an entry, which its memory alone keeps."""
    command = [
        str(Path(sys.executable).with_name("bao")),
        *("server", "-dev", "-dev-no-store-token", f"-dev-root-token-id={VAULT_TOKEN}"),
        f"-dev-listen-address={urlsplit(VAULT).netloc}",
    ]
    with (tmp_path / "vault.log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            cloud.wait_until("the Vault answers", lambda: process.poll() is None and asked_of_vault("sys/health"), 20)
            assert asked_of_vault("sys/mounts/kv", {"type": "kv", "options": {"version": "2"}})
            for number in range(1, 5):
                value = {"data": {"BANK_TOKEN": f"value-{number}"}}
                cloud.wait_until("it takes a version", partial(asked_of_vault, "kv/data/shop/bank", value), 20)
            yield
        finally:
            process.terminate()


@pytest.fixture
def second_store(tmp_path: Path, vault: None) -> Iterator[Path]:  # noqa: ARG001 (for its life)
    """Yield a project of its own with an entry from the second store; destroyed afterwards."""
    source = paths.ROOT / "tests/e2e/programs/second_store"
    project = Path(shutil.copytree(source, tmp_path / "project"))
    file = project / "Pulumi.yaml"
    file.write_text(file.read_text().replace("../../../../.venv", str(paths.ROOT / ".venv")))
    of_store(project, "stack", "init", "store", "--no-select")
    of_store(project, "config", "set", "server", VAULT, "--stack", "store")
    of_store(project, "config", "set", "token", VAULT_TOKEN, "--secret", "--stack", "store")
    yield project
    of_store(project, "destroy", "--yes", "--skip-preview", "--stack", "store")
    of_store(project, "stack", "rm", "--yes", "--stack", "store")


def of_store(project: Path, *arguments: str) -> str:
    return cloud.run(
        "pulumi",
        "--cwd",
        str(project),
        "--non-interactive",
        *arguments,
        PYTHONPATH=str(paths.ROOT),
        PATH=os.environ["PATH"],
    ).stdout


def test_an_entry_of_another_store_comes_in_the_version_that_is_pinned(second_store: Path) -> None:
    found = {}
    for version in ("3", "4"):
        of_store(second_store, "config", "set", "version", version, "--stack", "store")
        of_store(second_store, "up", "--yes", "--skip-preview", "--stack", "store")
        name = of_store(second_store, "stack", "output", "secret", "--stack", "store").strip()
        data = json.loads(cloud.run("kubectl", "get", "secret", name, "-n", "second-store", "-o", "json").stdout)[
            "data"
        ]
        found[name] = base64.b64decode(data["BANK_TOKEN"]).decode()
    assert list(found.values()) == ["value-3", "value-4"]
