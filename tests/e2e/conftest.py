"""The tests here run on the local cloud, in the environment that `make -s sandbox-env` prints."""

import os

import pytest

from sandbox import engine, environment, paths
from tests.support.incremental import pytest_runtest_makereport, pytest_runtest_setup  # noqa: F401 (hooks)


@pytest.fixture(scope="session", autouse=True)
def local_cloud() -> None:
    """Enter the local cloud's environment, or say how to bring it up."""
    if not (paths.STATE / "world.json").exists():
        pytest.exit("the local cloud is not up: run `make sandbox` first, or `make test` for everything", returncode=1)
    os.environ.update(environment.variables(engine.settled()))
