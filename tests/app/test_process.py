import gzip
import socket
import threading
import time
from http.client import HTTPConnection, HTTPException, RemoteDisconnected
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.request import Request, urlopen

import pytest

from tests.support.app_service import PASSWORD, SECRET, Program, lines, running

pytestmark = pytest.mark.slow


def get(connection: HTTPConnection) -> tuple[int, str | None]:
    connection.request("GET", "/")
    answer = connection.getresponse()
    answer.read()
    return answer.status, answer.headers["connection"]


def refuses(program: Program) -> bool:
    try:
        socket.create_connection(("127.0.0.1", program.port), timeout=1).close()
    except ConnectionRefusedError:
        return True
    return False


def test_sigterm_during_a_slow_request_finishes_it_then_exits_0() -> None:
    with running(FAULT_DELAY_MS="2500") as program:
        answers = []
        connection = HTTPConnection("127.0.0.1", program.port)
        slow = threading.Thread(target=lambda: answers.append(get(connection)))
        slow.start()
        time.sleep(0.3)
        program.terminate()
        time.sleep(0.5)
        assert refuses(program)
        slow.join()
        code, _ = program.ended()
    assert answers == [(200, "close")]
    assert code == 0


def test_a_request_that_outlasts_the_shutdown_is_cut_off() -> None:
    with running(FAULT_DELAY_MS="15000", SHUTDOWN_SECONDS="1") as program:
        connection = HTTPConnection("127.0.0.1", program.port)
        connection.request("GET", "/")
        time.sleep(0.3)
        program.terminate()
        began = time.monotonic()
        assert program.ended()[0] == 0
    assert time.monotonic() - began < 10


def test_a_request_on_an_open_connection_is_answered_after_sigterm_and_told_to_close() -> None:
    with running() as program:
        connection = HTTPConnection("127.0.0.1", program.port)
        assert get(connection) == (200, None)
        program.terminate()
        time.sleep(0.5)
        assert get(connection) == (200, "close")
        assert program.ended()[0] == 0


def test_clients_that_keep_their_connections_lose_no_request_to_a_shutdown() -> None:
    """A refused connection is not a lost request: nothing was sent, the client takes another target."""
    lost, answered = [], []

    def ask(port: int) -> None:
        connection = HTTPConnection("127.0.0.1", port, timeout=5)
        while True:
            try:
                answered.append(get(connection))
            except ConnectionRefusedError:
                return
            except (RemoteDisconnected, HTTPException, OSError) as error:
                lost.append(repr(error))
                return

    with running(FAULT_DELAY_MS="5", LOG_LEVEL="WARNING") as program:
        clients = [threading.Thread(target=ask, args=(program.port,)) for _ in range(8)]
        for client in clients:
            client.start()
        time.sleep(0.7)
        program.terminate()
        for client in clients:
            client.join()
        assert program.ended()[0] == 0
    assert lost == []
    assert len(answered) > 100


def test_every_line_is_json_with_its_request_and_none_holds_a_secret_or_what_the_caller_sent() -> None:
    with running(LOG_LEVEL="DEBUG") as program:
        told = {"authorization": "Bearer private-token", "x-request-id": "id-1", "cookie": "private-cookie"}
        urlopen(Request(f"{program.url}/?email=private@example.com", headers=told)).close()
        time.sleep(0.5)
        program.terminate()
        _, output = program.ended()
    entries = lines(output)
    requests = [entry for entry in entries if entry.get("route") == "/"]
    assert [(entry["request_id"], entry["status"], entry["method"]) for entry in requests] == [("id-1", 200, "GET")]
    assert any(entry["logger"] == "uvicorn.error" for entry in entries)
    assert all({"time", "level", "message", "color", "version"} <= entry.keys() for entry in entries)
    assert [word for word in (SECRET, PASSWORD, "private") if word in output] == []


def test_spans_go_to_the_endpoint_in_the_callers_trace_with_the_route_and_nothing_personal() -> None:
    bodies: list[bytes] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.end_headers()

    with HTTPServer(("127.0.0.1", 0), Collector) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        trace = "4bf92f3577b34da6a3ce929d0e0e4736"
        with running(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{server.server_port}") as program:
            told = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01", "user-agent": "private-agent"}
            urlopen(Request(f"{program.url}/?email=private@example.com", headers=told)).close()
            program.terminate()
            assert program.ended()[0] == 0
        server.shutdown()
    sent = b"".join(gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body for body in bodies)
    assert bytes.fromhex(trace) in sent
    assert b"GET /" in sent
    assert b"private" not in sent
