"""A service of another kind on the node: a static program in Go, without schema, version, metrics or secrets."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e import cloud
from tests.e2e.programs import built

pytestmark = [pytest.mark.e2e, pytest.mark.by_hand, pytest.mark.timeout(420)]

HOST = "web.shop.localhost"
NAMESPACE = "sandbox-web"


def web(image: str) -> dict[str, Any]:
    """Return its settings: green alone says something else."""
    color = {"image": image, "version": "1.0.0"}
    spec = {
        "volumes": [{"name": "cache", "emptyDir": {}}],
        "containers": [
            {
                "name": "app",
                "args": ["blue"],
                "volumeMounts": [{"name": "cache", "mountPath": "/var/cache/web"}],
            }
        ],
    }
    green = {"spec": {"containers": [{"name": "app", "args": ["green"]}]}}
    return {
        "host": HOST,
        "port": 8090,
        "activeColor": "blue",
        "canaryWeight": 0,
        "colors": {
            "blue": color,
            "green": {**color, "version": "1.1.0", "env": {"GREETING": "hello"}, "podTemplate": green},
        },
        "replicas": {"min": 1, "max": 2},
        "resources": {"cpu": "20m", "memory": "32Mi"},
        "health": {
            "path": "/healthz",
            "livenessPath": "/healthz",
            "startupPath": "/healthz",
            "interval": 5,
            "timeout": 2,
        },
        "timing": cloud.stack_config()["hueshift:services"]["shop"]["timing"],
        "metrics": {"enabled": False},
        "podTemplate": {"spec": spec},
        "workloads": {
            "counter": {
                "command": ["/web", "count"],
                "runs": "active",
                "resources": {"cpu": "10m", "memory": "16Mi"},
            }
        },
    }


def write(file: Path, service: dict[str, Any]) -> None:
    content = yaml.safe_load(file.read_text())
    content["config"]["hueshift:services"]["web"] = service
    file.write_text(yaml.safe_dump(content, sort_keys=False))


def counters() -> dict[str, int]:
    """Return by color how many pods its worker is asked to have."""
    command = ("kubectl", "--namespace", NAMESPACE, "get", "deployments", "-o", "json")
    found = {
        each["metadata"]["name"]: each["spec"]["replicas"] for each in json.loads(cloud.run(*command).stdout)["items"]
    }
    return {color: found[f"web-{color}-counter"] for color in ("blue", "green")}


def answer() -> str:
    status, headers, body = cloud.curl(f"https://{HOST}/")
    assert (status, headers.get("x-version")) == (200, None)
    return body.strip()


@pytest.mark.parametrize(("protocol", "spoken"), [("http1", "HTTP/1.1"), ("http2", "HTTP/2.0")])
def test_a_program_in_go_is_served_flipped_and_taken_back_with_its_worker(
    tmp_path: Path, protocol: str, spoken: str
) -> None:
    with cloud.stack_file() as file:
        service = {**web(built("web", tmp_path)), "protocol": protocol}
        write(file, service)
        cloud.update()
        assert answer() == f"blue  {spoken}"
        assert counters() == {"blue": 1, "green": 0}

        write(file, {**service, "activeColor": "green"})
        cloud.wait_until(
            "the alarms of a new service know enough for a flip",
            lambda: cloud.pulumi("up", "--yes", "--skip-preview", check=False).returncode == 0,
            seconds=300,
        )
        cloud.wait_until("green answers", lambda: answer() == f"green hello {spoken}")
        assert counters() == {"blue": 0, "green": 1}

        write(file, service)
        assert cloud.update() == {"update": 3}, "the rule and the workers of both colors"
        cloud.wait_until("blue answers", lambda: answer() == f"blue  {spoken}")
