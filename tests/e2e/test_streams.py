"""Streams through the load balancer: a flip leaves them where they are, a redeploy ends them in order."""

import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
import websocket

from sandbox import paths
from tests.e2e import cloud
from tests.e2e.cloud import HOST, Load

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

SETTLED = 1.0
"""Seconds after an update until the load balancer has the new weights: its propagation delay is 0.5."""
SILENCE = 3.0
"""Seconds between two events that are too many: they are sent twice a second."""


@dataclass
class Stream:
    """One that is read until it ends."""

    events: list[tuple[float, str]] = field(default_factory=list)
    """When, and of which color."""
    end: str = ""
    """How it ended; empty while it is open."""

    def told(self, text: str) -> None:
        self.events.append((time.time(), json.loads(text)["color"]))

    @property
    def longest(self) -> float:
        """Seconds of its longest silence."""
        times = [at for at, _ in self.events]
        return max((later - earlier for earlier, later in pairwise(times)), default=0.0)

    @property
    def colors(self) -> set[str]:
        return {color for _, color in self.events}


@contextmanager
def beside(read: Callable[[], None], stop: Callable[[], object]) -> Iterator[None]:
    """Read beside what is done meanwhile, until that is over."""
    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield
    finally:
        stop()
        reader.join(10)


@contextmanager
def server_sent() -> Iterator[Stream]:
    """Read server-sent events; ends as curl does, 0 where the answer was whole."""
    stream = Stream()
    command = ["curl", "--silent", "--no-buffer", "--cacert", str(paths.CA_CERTIFICATE), "--max-time", "300"]
    with subprocess.Popen(
        [*command, "--resolve", f"{HOST}:443:127.0.0.1", f"https://{HOST}/events"], stdout=subprocess.PIPE, text=True
    ) as curl:

        def read() -> None:
            assert curl.stdout is not None
            for line in curl.stdout:
                if line.startswith("data: "):
                    stream.told(line.removeprefix("data: "))
            stream.end = f"curl {curl.wait()}"

        with beside(read, curl.terminate):
            yield stream


@contextmanager
def by_socket() -> Iterator[Stream]:
    """Read a WebSocket; ends with the code of its close."""
    stream = Stream()
    connection = websocket.create_connection(
        "wss://127.0.0.1/socket",
        host=HOST,
        sslopt={"ca_certs": str(paths.CA_CERTIFICATE), "server_hostname": HOST},
        timeout=60,
    )

    def read() -> None:
        try:
            while True:
                opcode, frame = connection.recv_data()
                if opcode == websocket.ABNF.OPCODE_CLOSE:
                    stream.end = f"close {int.from_bytes(frame[:2], 'big')}"
                    return
                stream.told(frame.decode())
        except (OSError, websocket.WebSocketException) as error:
            stream.end = f"{type(error).__name__}: {error}"

    with beside(read, connection.close):
        yield stream


def test_a_flip_leaves_open_streams_and_a_redeploy_ends_them_in_order() -> None:
    with cloud.stack_file(), server_sent() as events, by_socket() as socket:
        load = Load(limit=240, rate=100)
        try:
            cloud.wait_until("both streams have begun", lambda: events.events and socket.events)
            cloud.configure("activeColor", "green")
            assert cloud.update() == {"update": 1}
            flipped = time.time() + SETTLED
            time.sleep(SETTLED + 5)
            for stream in (events, socket):
                assert (stream.end, stream.colors) == ("", {"blue"}), "a stream stays where it began"
                assert stream.events[-1][0] > flipped
            with server_sent() as later:
                cloud.wait_until("a new stream has begun", lambda: later.events)
                assert later.colors == {"green"}
            cloud.configure("services.shop.colors.blue.image", f"{paths.REGISTRY}/shop:1.5.0")
            cloud.configure("services.shop.colors.blue.version", "1.5.0")
            cloud.update()
            cloud.wait_until("the streams of the pods that were replaced have ended", lambda: events.end and socket.end)
        finally:
            answers = load.stop()
    assert (events.end, socket.end) == ("curl 0", "close 1012"), "each was told that it ends"
    for stream in (events, socket):
        assert stream.colors == {"blue"}
        assert stream.longest < SILENCE
    assert [answer for answer in answers if answer.code != 200] == []
    assert len(answers) > 1000
