"""The clock of CloudWatch, which tests can make run faster."""

import json
import threading
import time
from collections.abc import Callable

MINUTE = 60
FASTEST = 60.0


class Clock:
    """The time that data points and periods are measured in; the real one until somebody makes it run faster.

    Inside all is told in its seconds, at the edge of the API in real time: the past as if it had always run so fast.
    """

    def __init__(self, real: Callable[[], float] = time.time) -> None:
        self._real = real
        now = real()
        self._anchor = (now, now, 1.0)
        self._changed = threading.Event()

    @property
    def scale(self) -> float:
        """How many of its seconds pass in a real one."""
        return self._anchor[2]

    @scale.setter
    def scale(self, scale: float) -> None:
        now = self._real()
        self._anchor = (now, self.of(now), scale)
        self._changed.set()

    def now(self) -> float:
        return self.of(self._real())

    def of(self, moment: float) -> float:
        """Return a moment of real time, told by this clock."""
        real, own, scale = self._anchor
        return own + (moment - real) * scale

    def real(self, moment: float) -> float:
        """Return a moment of this clock, in real time."""
        real, own, scale = self._anchor
        return real + (moment - own) / scale

    def until(self, moment: float) -> float:
        """Return how many real seconds are left until a moment of this clock."""
        return (moment - self.now()) / self.scale

    def wait(self, seconds: float) -> None:
        """Wait so many real seconds, or until the scale is changed."""
        self._changed.wait(max(0.0, seconds))
        self._changed.clear()


def parse_scale(body: bytes) -> float:
    """Read the body of PUT /_hueshift/alarm-time. Raises ValueError unless it is {"scale": 1 to 60}."""
    try:
        scale = float(json.loads(body)["scale"])
    except (ValueError, TypeError, KeyError):
        scale = 0.0
    if not 1 <= scale <= FASTEST:
        raise ValueError(
            f'the body is {{"scale": s}} with s from 1 to {FASTEST:g}, got {body.decode(errors="replace")!r}'
        )
    return scale
