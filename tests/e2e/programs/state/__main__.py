"""A secret output, and a run that lasts while the file that `WAITS_FOR` names is there."""

import os
import time
from pathlib import Path

import pulumi

while (gate := os.environ.get("WAITS_FOR")) and Path(gate).exists():
    time.sleep(0.1)
pulumi.export("password", pulumi.Config().get_secret("password"))
