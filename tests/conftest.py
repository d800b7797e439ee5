"""Fixtures shared by all tests."""

import gc
import os
from collections.abc import Iterator

import hypothesis
import pytest

from tests.support.engine import Engine, installed

# A program registers ten thousand objects that live until the test ends: looking for garbage among them takes a fifth
# of the time.
gc.set_threshold(200_000, 50, 50)

# Whose shell has an account, a cluster or the local cloud exported gets the same answers as everybody.
for name in [each for each in os.environ if each.startswith(("AWS_", "PULUMI_")) or each == "KUBECONFIG"]:
    del os.environ[name]

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
