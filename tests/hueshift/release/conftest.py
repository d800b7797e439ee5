"""The world of the tests that follow a release from its first word to its last."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hueshift.release.loop import Loop, begun
from tests.support.balancers import World, served


@pytest.fixture(scope="module")
def cloud() -> Iterator[World]:
    with served() as there:
        yield there


@pytest.fixture
def loop(cloud: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Loop:
    return begun(cloud.begun(tmp_path / "project"), monkeypatch)
