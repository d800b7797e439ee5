"""The tests here run on the local cloud, in the environment that `make -s sandbox-env` prints."""

import os

import pytest

from sandbox import engine, environment, paths
from tests.e2e.sample import sample

__all__ = ["sample"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run last what needs the sample: other tests look for the one load balancer of the stack sandbox."""
    items.sort(key=lambda item: "sample" in getattr(item, "fixturenames", ()))


@pytest.fixture(scope="session", autouse=True)
def local_cloud() -> None:
    """Enter the local cloud's environment, or say how to bring it up."""
    if not (paths.STATE / "world.json").exists():
        pytest.exit("the local cloud is not up: run `make sandbox` first, or `make test` for everything", returncode=1)
    os.environ.update(environment.variables(engine.settled()))
