"""Start a stand-in: ``python -P -m sandbox.providers.start aws ENGINE_ADDRESS``.

Every `pulumi` command starts one process of each, and waits for it.
"""

import gc
import importlib.util
import runpy
import sys

gc.disable()  # it lives as long as one command; the collector would only search the modules
for package in ("pulumi", "pulumi.runtime"):
    # Only the messages in `pulumi.runtime.proto` are wanted: its packages are found, and not run.
    spec = importlib.util.find_spec(package)
    assert spec is not None
    sys.modules[package] = importlib.util.module_from_spec(spec)
name = sys.argv.pop(1)
runpy.run_module(f"sandbox.providers.{name}", run_name="__main__", alter_sys=True)
