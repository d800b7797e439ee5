import asyncio
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from psycopg import OperationalError
from starlette.testclient import TestClient

from app import database, service
from app.observe import Observed
from sandbox import paths
from tests.support.app_service import SECRET, config

INSIDE = ("/health/detailed", "/metrics", "/faults")


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Observed:
    """Return the service with a database that answers at once, until a test says otherwise."""

    async def check(_: database.Database) -> float:
        return 1.0

    monkeypatch.setattr(database.Database, "check", check)
    return service.build(config())


@pytest.fixture
def client(app: Observed) -> Iterator[TestClient]:
    with TestClient(app) as client:
        yield client


def loses_database(monkeypatch: pytest.MonkeyPatch) -> None:
    async def check(_: database.Database) -> float:
        raise OperationalError("connection to shop:not-a-password refused")

    monkeypatch.setattr(database.Database, "check", check)


def statuses(client: TestClient) -> dict[str, int]:
    paths = ("/health", "/health/live", "/health/startup", "/health/ready", "/health/detailed")
    return {path.rpartition("/")[2]: client.get(path).status_code for path in paths}


def test_a_healthy_service_says_so_at_every_probe(client: TestClient) -> None:
    assert set(statuses(client).values()) == {200}


def test_color_and_version_are_in_the_answer_and_in_the_headers(client: TestClient) -> None:
    answer = client.get("/")
    assert answer.json() == {"service": "shop", "color": "blue", "version": "1.5.0"}
    assert (answer.headers["x-color"], answer.headers["x-version"]) == ("blue", "1.5.0")


def test_before_the_database_was_reached_the_service_lives_but_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    loses_database(monkeypatch)
    with TestClient(service.build(config())) as client:
        assert statuses(client) == {"health": 200, "live": 200, "startup": 503, "ready": 503, "detailed": 503}


def test_a_database_lost_later_degrades_the_service_but_takes_no_pod_away(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert client.get("/health/ready").status_code == 200
    loses_database(monkeypatch)
    assert statuses(client) == {"health": 200, "live": 200, "startup": 200, "ready": 200, "detailed": 503}
    found = client.get("/health/detailed").json()
    assert (found["status"], found["dependencies"]["database"]["error"]) == ("degraded", "OperationalError")


def test_a_start_that_failed_for_good_is_not_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(_: database.Database) -> float:
        raise TypeError("a mistake in the program")

    monkeypatch.setattr(database.Database, "check", broken)
    with TestClient(service.build(config())) as client:
        assert client.get("/health/live").status_code == 503


def test_a_shutdown_during_the_start_ends_though_a_library_swallows_the_cancellation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def deaf(_: database.Database) -> float:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        await asyncio.sleep(60)
        return 1.0

    monkeypatch.setattr(database.Database, "check", deaf)
    began = time.monotonic()
    with TestClient(service.build(config())):
        pass
    assert time.monotonic() - began < 30


def test_details_name_the_version_the_uptime_and_each_dependency_with_its_latency(client: TestClient) -> None:
    found = client.get("/health/detailed").json()
    assert (found["status"], found["version"]) == ("ok", "1.5.0")
    assert found["uptime_seconds"] >= 0
    assert found["dependencies"]["database"]["status"] == "ok"
    assert found["dependencies"]["database"]["latency_ms"] >= 0


@pytest.mark.parametrize("path", INSIDE)
def test_what_is_meant_for_the_inside_does_not_exist_behind_the_load_balancer(client: TestClient, path: str) -> None:
    method = "PUT" if path == "/faults" else "GET"
    assert client.request(method, path, json={}).status_code == 200
    assert client.request(method, path, json={}, headers={"x-forwarded-for": "203.0.113.1"}).status_code == 404


def test_metrics_count_requests_by_method_route_status_and_version(client: TestClient) -> None:
    client.get("/?color=any")
    client.get("/no/such/path")
    client.request("SPAM", "/")
    client.get("/items", headers={"authorization": "ignored"})
    found = client.get("/metrics").text
    assert 'http_requests_total{method="GET",route="/",status="200",version="1.5.0"} 1.0' in found
    assert 'http_requests_total{method="GET",route="unmatched",status="404",version="1.5.0"} 1.0' in found
    assert 'http_requests_total{method="OTHER",route="/",status="405",version="1.5.0"} 1.0' in found
    assert 'http_requests_total{method="GET",route="/items",status="503",version="1.5.0"} 1.0' in found
    assert 'http_request_duration_seconds_bucket{le="1.0",method="GET",route="/",version="1.5.0"} 1.0' in found
    assert "process_resident_memory_bytes" in found


def test_probes_and_scrapes_are_not_counted_as_traffic(client: TestClient) -> None:
    statuses(client)
    client.get("/metrics")
    assert "http_requests_total{" not in client.get("/metrics").text


def test_faults_fail_the_given_share_under_the_true_route_and_leave_probes_alone(client: TestClient) -> None:
    assert client.put("/faults", json={"error_rate": 1}).status_code == 200
    assert client.get("/").status_code == 500
    assert client.get("/health/ready").status_code == 200
    assert 'route="/",status="500"' in client.get("/metrics").text
    client.put("/faults", json={})
    assert client.get("/").status_code == 200


def test_faults_can_begin_above_a_rate(client: TestClient) -> None:
    client.put("/faults", json={"error_rate": 1, "error_above": 3})
    assert [client.get("/").status_code for _ in range(5)] == [200, 200, 200, 500, 500]


def test_faults_can_end_the_process_after_some_requests(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[int] = []
    monkeypatch.setattr("app.faults.os._exit", ended.append)
    client.put("/faults", json={"crash_after": 2})
    for _ in range(3):
        client.get("/")
        client.get("/health/ready")
    assert ended == [1]


@contextmanager
def traced() -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
    finally:
        tracemalloc.stop()


def test_faults_can_leave_memory_behind_until_they_end(client: TestClient) -> None:
    def held() -> int:
        return tracemalloc.get_traced_memory()[0]

    client.get("/")
    with traced():
        before = held()
        client.put("/faults", json={"leak_kb": 1024})
        for _ in range(5):
            client.get("/")
        assert held() - before > 5 * 1000 * 1024
        client.put("/faults", json={})
        client.get("/")
        assert held() - before < 1000 * 1024


def test_faults_can_slow_requests_and_fail_readiness(client: TestClient) -> None:
    client.put("/faults", json={"delay_ms": 60, "unready": True})
    assert client.get("/").elapsed.total_seconds() >= 0.06
    assert client.get("/health/ready").status_code == 503


@pytest.mark.parametrize(
    "fault", [{"eror_rate": 1}, {"error_rate": 2}, {"error_rate": True}, {"delay_ms": "1"}, {"unready": 1}, [], "x"]
)
def test_a_fault_that_is_unknown_or_out_of_range_is_refused_and_changes_nothing(
    client: TestClient, fault: object
) -> None:
    client.put("/faults", json={"unready": True})
    assert client.put("/faults", json=fault).status_code == 400
    assert client.get("/health/ready").status_code == 503


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_the_fault_switch_exists_only_in_development(environment: str) -> None:
    with TestClient(service.build(config(APP_ENV=environment))) as client:
        assert client.put("/faults", json={}).status_code == 404


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"x-request-id": "abc-1"}, "abc-1"),
        ({"x-amzn-trace-id": "Root=1-67891233-abcdef", "x-request-id": "abc-1"}, "Root=1-67891233-abcdef"),
    ],
)
def test_the_callers_request_id_is_kept(client: TestClient, headers: dict[str, str], expected: str) -> None:
    assert client.get("/", headers=headers).headers["x-request-id"] == expected


@pytest.mark.parametrize("value", ["", "a" * 129, "two words", "<script>"])
def test_a_request_id_that_is_none_is_replaced(client: TestClient, value: str) -> None:
    assert len(client.get("/", headers={"x-request-id": value}).headers["x-request-id"]) == 32


def test_while_shutting_down_readiness_fails_and_answers_ask_to_close(app: Observed, client: TestClient) -> None:
    app.state.draining = True
    answer = client.get("/")
    assert (answer.status_code, answer.headers["connection"]) == (200, "close")
    assert client.get("/health/ready").status_code == 503
    assert client.get("/health/live").status_code == 200


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer not.a.token", f"Basic {SECRET}"])
def test_writing_needs_a_token(client: TestClient, authorization: str) -> None:
    answer = client.post("/items", json={"name": "lamp"}, headers={"authorization": authorization})
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


def test_without_an_endpoint_nothing_of_opentelemetry_is_imported() -> None:
    code = "import sys, app.service; sys.exit(str([name for name in sys.modules if name.startswith('opentelemetry')]))"
    done = subprocess.run([sys.executable, "-c", code], cwd=paths.ROOT, capture_output=True, text=True, check=False)
    assert done.stderr.strip() == "[]"
