"""The policy pack: ``pulumi preview --policy-pack policy``; it holds the checks of ``policy/checks.py``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pulumi_policy import PolicyPack

from policy.pack import level, policies

PolicyPack("hueshift-readiness", policies(), enforcement_level=level())
