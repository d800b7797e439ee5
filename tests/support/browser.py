"""A browser that a test looks at pages with: Chromium, told by its DevTools protocol over two pipes."""

import base64
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from select import select
from typing import Any

SETTLES = 0.5
"""Seconds that a loaded page has for what its scripts still ask for."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """What one visit of a page has shown."""

    picture: bytes
    """PNG."""
    wider: int
    """By how many pixels the page is wider than the window."""
    wrong: list[str] = field(default_factory=list)
    """What the console calls an error, and requests that failed or went to another host."""


class Browser:
    """A running Chromium."""

    def __init__(self, told: int, tells: int) -> None:
        self._told, self._tells = told, tells
        self._rest = b""
        self._last = 0
        self._events: list[dict[str, Any]] = []

    def look(self, url: str, width: int, height: int = 1600) -> Look:
        """Open a page in a window of this width."""
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable", session)
        self._call(
            "Emulation.setDeviceMetricsOverride",
            session,
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        self._events.clear()
        self._call("Page.navigate", session, url=url)
        until = time.monotonic() + 20
        while not any(event["method"] == "Page.loadEventFired" for event in self._events):
            assert time.monotonic() < until, f"{url} was not loaded in 20 s"
            self._hear(1)
        until = time.monotonic() + SETTLES
        while (left := until - time.monotonic()) > 0:
            self._hear(left)
        width_of_all = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        wider = self._call("Runtime.evaluate", session, expression=width_of_all)["result"]["value"]
        picture = base64.b64decode(self._call("Page.captureScreenshot", session)["data"])
        wrong = [
            said for event in self._events if (said := _complaint(event, url.partition("//")[2].partition("/")[0]))
        ]
        self._call("Target.closeTarget", targetId=target)
        return Look(picture=picture, wider=wider, wrong=wrong)

    def _call(self, method: str, session: str | None = None, **parameters: object) -> dict[str, Any]:
        self._last += 1
        message = {"id": self._last, "method": method, "params": parameters} | (
            {"sessionId": session} if session else {}
        )
        os.write(self._tells, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + 20
        while time.monotonic() < until:
            for answer in self._hear(1):
                if answer.get("id") == self._last:
                    assert "error" not in answer, f"{method}: {answer['error']}"
                    result: dict[str, Any] = answer["result"]
                    return result
        raise AssertionError(f"{method} was not answered in 20 s")

    def _hear(self, seconds: float) -> list[dict[str, Any]]:
        """Keep the events of up to so many seconds; return the answers."""
        if select([self._told], [], [], seconds)[0]:
            read = os.read(self._told, 1 << 20)
            assert read, "the browser has ended"
            self._rest += read
        *whole, self._rest = self._rest.split(b"\0")
        messages = [json.loads(each) for each in whole]
        self._events += [each for each in messages if "method" in each]
        return [each for each in messages if "id" in each]


def _complaint(event: dict[str, Any], host: str) -> str | None:
    """Return what is wrong, if an event tells of it."""
    told = event["params"]
    match event["method"]:
        case "Runtime.exceptionThrown":
            return f"exception: {told['exceptionDetails']['text']}"
        case "Runtime.consoleAPICalled" if told["type"] == "error":
            return f"console: {told['args']}"
        case "Log.entryAdded" if told["entry"]["level"] == "error":
            return f"log: {told['entry']['text']} {told['entry'].get('url', '')}"
        case "Network.loadingFailed" if not told.get("canceled"):
            return f"failed: {told['errorText']}"
        case "Network.requestWillBeSent" if not told["request"]["url"].startswith(
            (f"http://{host}/", "data:", "blob:")
        ):
            return f"another host: {told['request']['url']}"
        case "Network.responseReceived" if told["response"]["status"] >= 400:
            return f"{told['response']['status']}: {told['response']['url']}"
    return None


@contextmanager
def browser(program: str | Path) -> Iterator[Browser]:
    """Start a Chromium without a window, and end it."""
    into, tells = os.pipe()
    told, out = os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [
                *("bash", "-c", f'exec "$@" 3<&{into} 4>&{out}', "chromium", program, "--headless=new"),
                *("--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
                *("--no-first-run", "--disable-background-networking", "--disable-component-update"),
                *("--hide-scrollbars", f"--user-data-dir={profile}"),
            ],
            pass_fds=(into, out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(into)
        os.close(out)
        try:
            yield Browser(told, tells)
        finally:
            os.close(tells)
            process.terminate()
            process.wait(10)
            os.close(told)
