"""The sample repository, there for the tests of this folder and no longer."""

from collections.abc import Iterator

import pytest

from tests.e2e import cloud
from tests.e2e.pipeline.sample import PLACE, Sample, make, remove


@pytest.fixture(scope="package")
def sample() -> Iterator[Sample]:
    """Bring up both stacks, and take all of it away again. Meanwhile a minute of CloudWatch lasts six seconds."""
    there = Sample(
        folder=PLACE / "shop", remote=PLACE / "remote.git", variables={"PULUMI_BACKEND_URL": f"file://{PLACE}/state"}
    )
    if there.folder.exists():
        remove(there)
    # For five minutes nothing is known of new alarms, and the gate lets no traffic move.
    with cloud.fast_minutes():
        try:
            make(there)
            yield there
        finally:
            remove(there)
