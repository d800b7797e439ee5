"""Faults on demand, so that a test can see a release judged, stopped and rolled back."""

import asyncio
import os
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

Endpoint = Callable[[Request], Awaitable[Response]]

DELAY_MAX = 60_000
"""Milliseconds."""


@dataclass(kw_only=True)
class Faults:
    """What goes wrong at the endpoints they are put around; `unready` at the readiness probe."""

    error_rate: float = 0.0
    """Share of requests answered with 500, 0 to 1."""
    error_above: int = 0
    """Requests a second, of this process and endpoint, above which the error rate holds."""
    crash_after: int = 0
    """Requests after which the process ends at once; 0 for never."""
    leak_kb: int = 0
    """Kilobytes that each request leaves behind in the memory of its process."""
    delay_ms: int = 0
    """Milliseconds that a slow request waits before it is handled."""
    delay_rate: float = 1.0
    """Share of requests that are slow, 0 to 1."""
    unready: bool = False
    """Whether the readiness probe fails."""

    def around(self, endpoint: Endpoint) -> Endpoint:
        """Return the endpoint with these faults in front of it."""
        recent: deque[float] = deque()
        leaked: list[bytes] = []
        count = 0

        async def faulty(request: Request) -> Response:
            nonlocal count
            now = time.monotonic()
            recent.append(now)
            while recent[0] <= now - 1:
                recent.popleft()
            count = count + 1 if self.crash_after else 0
            if self.crash_after and count > self.crash_after:
                os._exit(1)
            if self.leak_kb:
                leaked.append(b"x" * (self.leak_kb * 1024))
            else:
                leaked.clear()
            if self.delay_ms and random.random() < self.delay_rate:
                await asyncio.sleep(self.delay_ms / 1000)
            if len(recent) > self.error_above and random.random() < self.error_rate:
                return JSONResponse({"error": "fault"}, 500)
            return await endpoint(request)

        return faulty

    def replace(self, values: object) -> None:
        """Take over `values`; what they leave out returns to "no fault".

        Raises:
            ValueError: naming the key that is unknown or out of range; nothing has changed then.

        """
        if not isinstance(values, dict):
            raise ValueError(f"expected an object; the keys are {', '.join(_VALID)}")
        for key, value in values.items():
            if key not in _VALID or not _VALID[key](value):
                raise ValueError(f"{key} is unknown or out of range; the keys are {', '.join(_VALID)}")
        vars(self).update(vars(Faults(**values)))


def _share(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


_VALID: Mapping[str, Callable[[Any], bool]] = {
    "error_rate": _share,
    "error_above": lambda value: type(value) is int and 0 <= value <= 1_000_000,
    "crash_after": lambda value: type(value) is int and 0 <= value <= 1_000_000,
    "leak_kb": lambda value: type(value) is int and 0 <= value <= 1_000_000,
    "delay_ms": lambda value: type(value) is int and 0 <= value <= DELAY_MAX,
    "delay_rate": _share,
    "unready": lambda value: type(value) is bool,
}
