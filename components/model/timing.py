"""Times that no stack sets."""

from typing import Final

ALARM_PERIOD: Final = 60
"""Seconds. ALB metrics come once a minute; an alarm with a shorter period lapses into INSUFFICIENT_DATA."""

ALARM_PERIODS: Final = 5
"""How many periods an alarm looks at."""

SHUTDOWN_MARGIN: Final = 5
"""Seconds that a process may take to close its connections and exit after its last request."""
