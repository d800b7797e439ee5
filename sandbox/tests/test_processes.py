"""The local cloud's own processes: found by their mark, ended at once, and none but those."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import __main__ as sandbox
from sandbox import paths, processes

SLEEP = ["sleep", "60"]
STUBBORN = ["bash", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done"]


@pytest.fixture(autouse=True)
def _state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setattr(paths, "STATE", tmp_path)
    monkeypatch.setattr(paths, "LOGS", tmp_path / "logs")
    yield
    monkeypatch.setattr(processes, "_GRACE", 0)
    processes.sweep()


def started(*names: str) -> dict[str, int]:
    return {name: processes.start(name, SLEEP, os.environ) for name in names}


def test_several_are_ended_in_the_time_of_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(processes, "_GRACE", 0.5)
    for name in ("one", "two", "three"):
        processes.start(name, STUBBORN, os.environ)
    while [(tmp_path / f"logs/{name}.log").read_text() for name in ("one", "two", "three")] != ["ready\n"] * 3:
        time.sleep(0.01)
    before = time.monotonic()
    processes.stop("one", "two", "three")
    assert 0.5 <= time.monotonic() - before < 1.4
    assert not any(map(processes.running, ("one", "two", "three")))


def test_a_process_is_kept_while_its_command_is_the_same_and_replaced_by_another_one(tmp_path: Path) -> None:
    def ensured(*command: str) -> str:
        processes.ensure("controller", command, os.environ)
        return (tmp_path / "controller.pid").read_text()

    first = ensured("sleep", "60")
    assert ensured("sleep", "60") == first
    second = ensured("sleep", "61")
    assert second != first
    assert not Path(f"/proc/{first.strip()}").exists()
    through_a_shell = "sh", "-c", 'exec "$@"', "sh", "sleep", "62"
    third = ensured(*through_a_shell)
    assert third != second
    while b"sh\0" in Path(f"/proc/{third.strip()}/cmdline").read_bytes():
        time.sleep(0.01)
    assert ensured(*through_a_shell) == third


def test_only_the_named_are_ended_and_one_that_never_ran_is_no_error() -> None:
    started("one", "two", "other")
    processes.stop("one", "two", "never")
    assert [processes.running(name) for name in ("one", "two", "never", "other")] == [False, False, False, True]


def test_what_no_kept_name_stands_for_is_swept_whatever_its_pid_file(tmp_path: Path) -> None:
    pids = started("aws", "controllers")
    assert processes.sweep("aws", "envoy") == [pids["controllers"]]
    assert processes.running("aws")
    assert [file.name for file in tmp_path.glob("*.pid")] == ["aws.pid"]


def test_a_sweep_that_keeps_nothing_ends_all_and_nobody_elses(tmp_path: Path) -> None:
    pids = started("aws", "controllers")
    (tmp_path / "aws.pid").unlink()  # as when the folder was deleted by hand
    with subprocess.Popen(SLEEP, env={**os.environ, processes.MARK: "/another/checkout/.sandbox"}) as other:
        assert processes.sweep() == sorted(pids.values())
        assert other.poll() is None
        other.kill()
    assert not processes.marked()


def test_the_end_of_the_local_cloud_reaches_what_only_another_version_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "OWN_NODE", False)
    started("aws", "controllers")
    sandbox._end()
    assert not processes.marked()
