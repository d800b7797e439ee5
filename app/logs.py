"""Log lines as JSON on standard output, each with the request it belongs to and without any secret.

What is logged of a request is its method, the route's template and its outcome:
no address, query, body or header, so no personal data.
"""

import json
import logging
import sys
from collections.abc import Iterable
from contextvars import ContextVar
from datetime import UTC, datetime

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)

get = logging.getLogger
DEBUG, INFO = logging.DEBUG, logging.INFO


def setup(level: str = "INFO", *, secrets: Iterable[str] = (), **always: str) -> None:
    """Send every logger's lines, uvicorn's and Alembic's included, to standard output as JSON.

    Args:
        level: The least level that is written.
        secrets: Values replaced by `***` wherever a message or an error text of a library quotes them.
        always: Fields of every line.

    """
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_Json(always, secrets))
    logging.basicConfig(level=level, handlers=[handler], force=True)


class _Json(logging.Formatter):
    def __init__(self, always: dict[str, str], secrets: Iterable[str]) -> None:
        super().__init__()
        self._always = always
        # In the form they have inside a JSON string; the longest first, since one may be part of another.
        self._secrets = sorted({json.dumps(secret)[1:-1] for secret in secrets if secret}, key=len, reverse=True)

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **self._always,
            **getattr(record, "fields", {}),
        }
        if current := request_id.get():
            entry["request_id"] = current
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        line = json.dumps(entry, default=str)
        for secret in self._secrets:
            line = line.replace(secret, "***")
        return line
