"""The load balancer of the tests in this folder: made once, and for each test as it was at first."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.balancers import World, served


@pytest.fixture(scope="package")
def cloud() -> Iterator[World]:
    with served() as there:
        yield there


@pytest.fixture
def world(cloud: World, tmp_path: Path) -> World:
    return cloud.begun(tmp_path / "project")
