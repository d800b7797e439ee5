"""Tests marked ``incremental`` tell one story per module: after the first failure the rest of the story is skipped."""

import pytest

_FAILED = pytest.StashKey[str]()


def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """Note the first failure of a story, in whatever phase."""
    module = item.getparent(pytest.Module)
    if module is None or item.get_closest_marker("incremental") is None or call.excinfo is None:
        return
    if not call.excinfo.errisinstance(pytest.skip.Exception):
        module.stash.setdefault(_FAILED, item.name)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test of a story that has failed."""
    module = item.getparent(pytest.Module)
    if module is not None and item.get_closest_marker("incremental") and (failed := module.stash.get(_FAILED, None)):
        pytest.skip(f"{failed} failed, and this test continues from it")
