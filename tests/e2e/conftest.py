"""The tests here run on the local cloud, in the environment that `make -s sandbox-env` prints."""

import os
from pathlib import Path

import pytest

from sandbox import engine, environment, paths

HERE = Path(__file__).parent
FIRST = ("test_traffic", "test_image")
OWN = (
    *("test_gate", "test_migrations", "test_environment", "test_engine", "test_secrets", "test_edge", "test_policy"),
    *("test_review", "test_guard", "test_alerts"),
)
"""The files that change the sandbox's own stack or look at all of it. Where there are two processes, one runs these and
the other the rest; `test_gate` before anybody makes CloudWatch's minutes pass faster."""
LAST = ("test_operations", "pipeline", "test_world")
"""Both make a repository of the same name, and the last takes the local cloud down."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Bring the files into their order, and keep together what may not run beside itself."""

    def part(item: pytest.Item) -> str:
        return item.path.relative_to(HERE).parts[0].removesuffix(".py")

    order = {name: at for at, name in enumerate((*FIRST, *OWN, "others", *LAST))}
    here = [item for item in items if item.path.is_relative_to(HERE)]
    items[:] = [item for item in items if item not in here]
    items += sorted(here, key=lambda item: order.get(part(item), order["others"]))
    for item in here:
        name = part(item)
        group = next((str(at) for at, together in enumerate((OWN, LAST)) if name in together), name)
        item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture(scope="session", autouse=True)
def local_cloud() -> None:
    """Enter the local cloud's environment, or say how to bring it up."""
    if not (paths.STATE / "world.json").exists():
        pytest.exit("the local cloud is not up: run `make sandbox` first, or `make test` for everything", returncode=1)
    os.environ.update(environment.variables(engine.settled()))
