"""A release from its first word to its last, on a load balancer, a bucket, alarms and topics that are moto's."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hueshift.release.drive import Phase
from tests.hueshift.release.loop import Loop, begun
from tests.support.balancers import World, served

BLUE, GREEN = {"blue": 100, "green": 0}, {"blue": 0, "green": 100}


@pytest.fixture(scope="module")
def cloud() -> Iterator[World]:
    with served() as there:
        yield there


@pytest.fixture
def loop(cloud: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Loop:
    return begun(cloud.begun(tmp_path / "project"), monkeypatch)


def test_a_good_release_takes_its_steps_and_is_written_into_the_file_at_its_end(loop: Loop) -> None:
    before = loop.world.file.read_text()
    seen = []
    loop.clock.heard.append(lambda: seen.append((loop.world.live("pricing")["green"], loop.world.file.read_text())))
    done = loop.run("release", "--commit")
    print(done.output)
    assert (done.exit_code, loop.record.phase) == (0, Phase.PROMOTED), done.output
    assert loop.world.live("pricing") == GREEN
    assert sorted({weight for weight, _ in seen}) == [10, 50, 100]
    assert {text for weight, text in seen if weight < 100} == {before}
    assert loop.world.config["hueshift:services"]["pricing"]["activeColor"] == "green"
    print(done.output)
    print(loop.said)
