"""Fixtures shared by all tests."""

from collections.abc import Iterator

import pytest

from tests.engine import Engine, installed


@pytest.fixture
def engine() -> Iterator[Engine]:
    """A fresh recorder in place of the Pulumi engine, as in an update."""
    with installed() as engine:
        yield engine


@pytest.fixture
def preview() -> Iterator[Engine]:
    """The same as in a preview: what providers compute is unknown."""
    with installed(preview=True) as engine:
        yield engine
