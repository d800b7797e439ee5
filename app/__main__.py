"""Start the service: `python -m app`."""

import os
import signal
import sys

from app import logs
from app.config import Config, ConfigError
from app.server import Server
from app.service import build


def main() -> None:
    """Serve until SIGTERM; exit 1 with one line if the environment is wrong."""
    # As process 1 of a container a signal without a handler is ignored, and
    # uvicorn, once it has shut down, raises the signal it caught again.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        config = Config.read(os.environ)
    except ConfigError as error:
        logs.setup()
        logs.get("app.config").critical("bad configuration: %s", error)
        sys.exit(1)
    logs.setup(
        config.log_level,
        secrets=config.secrets(),
        color=config.color,
        version=config.version,
    )
    Server(build(config), config).run()


if __name__ == "__main__":
    main()
