"""The `hueshift` command: what is done to a stack besides `pulumi up`, through the same files and APIs as by hand."""

import time
from typing import Final

STARTED: Final = time.monotonic()
"""When the command began, as far as Python can tell: the interpreter itself takes some 20 ms before it."""
