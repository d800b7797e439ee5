"""Fixtures shared by all tests."""

import gc
from collections.abc import Iterator

import hypothesis
import pytest

from tests.support.engine import Engine, installed

# A program registers ten thousand objects that live until the test ends: looking for garbage among them takes a fifth
# of the time.
gc.set_threshold(200_000, 50, 50)


# No deadline: a busy machine is no failure.
hypothesis.settings.register_profile("hueshift", deadline=None, max_examples=60)
hypothesis.settings.load_profile("hueshift")


@pytest.fixture
def engine() -> Iterator[Engine]:
    """Yield a fresh recorder in place of the Pulumi engine, as in an update."""
    with installed() as engine:
        yield engine


@pytest.fixture
def preview() -> Iterator[Engine]:
    """Yield the same as in a preview: what providers compute is unknown."""
    with installed(preview=True) as engine:
        yield engine
