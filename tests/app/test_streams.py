import json
import threading
import time
from http.client import HTTPConnection

import pytest
import websocket
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from app import service
from tests.support.app_service import config, running


def test_a_socket_says_who_answers_and_closes_as_a_restart_when_the_server_shuts_down() -> None:
    app = service.build(config())
    with TestClient(app).websocket_connect("/socket") as socket:
        assert json.loads(socket.receive_text()) == {"number": 0, "color": "blue", "version": "1.5.0"}
        app.state.draining = True
        with pytest.raises(WebSocketDisconnect) as closed:  # behind the one that may be on its way
            [*iter(socket.receive_text, "")]
    assert closed.value.code == 1012


@pytest.mark.slow
def test_open_streams_end_without_an_error_at_sigterm_and_are_no_slow_requests() -> None:
    with running() as program:
        connection = HTTPConnection("127.0.0.1", program.port)
        connection.request("GET", "/events")
        answer = connection.getresponse()
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert json.loads(answer.readline().removeprefix(b"data: "))["number"] == 0
        socket = websocket.create_connection(f"ws://127.0.0.1:{program.port}/socket", timeout=10)
        time.sleep(1)
        read: list[bytes] = []
        rest = threading.Thread(target=lambda: read.append(answer.read()))
        rest.start()
        program.terminate()
        began = time.monotonic()
        code = 0
        while not code:
            opcode, frame = socket.recv_data()
            code = int.from_bytes(frame[:2], "big") if opcode == websocket.ABNF.OPCODE_CLOSE else 0
        rest.join(10)
        assert (code, time.monotonic() - began < 3) == (1012, True)
        assert read[0].endswith(b"\n\n"), "an answer that is cut off raises IncompleteRead instead"
        assert program.ended()[0] == 0


@pytest.mark.slow
def test_a_stream_counts_as_the_time_until_it_begins() -> None:
    with running() as program:
        connection = HTTPConnection("127.0.0.1", program.port)
        connection.request("GET", "/events")
        connection.getresponse().readline()
        time.sleep(1.2)
        connection.close()
        deadline, text = time.monotonic() + 5, ""
        while 'route="/events"' not in text and time.monotonic() < deadline:
            scrape = HTTPConnection("127.0.0.1", program.port)
            scrape.request("GET", "/metrics")
            text = scrape.getresponse().read().decode()
            time.sleep(0.1)
    (total,) = [line for line in text.splitlines() if "duration_seconds_sum" in line and 'route="/events"' in line]
    assert float(total.rpartition(" ")[2]) < 0.5
