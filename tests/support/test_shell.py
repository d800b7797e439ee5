"""The shell of the tests is as strict as they rely on."""

import os
import time
from pathlib import Path

import pytest

from tests.support.shell import Shell


def test_a_command_runs_in_the_folder_with_its_variables_and_its_input(tmp_path: Path) -> None:
    shell = Shell(folder=tmp_path, variables={"WHO": "folder"})
    assert shell.script("echo $PWD $WHO $MORE; cat", MORE="more").stdout == f"{tmp_path} folder more\n"
    assert shell.run("cat", text="given").stdout == "given"
    assert shell.run("sh", "-c", "echo $WHO", WHO="call").stdout == "call\n"


def test_a_failure_is_an_error_with_what_was_printed_unless_it_is_expected(tmp_path: Path) -> None:
    shell = Shell(folder=tmp_path)
    with pytest.raises(AssertionError, match=r"exited with 3\n(?s:.*)the reason"):
        shell.script("echo the reason >&2; exit 3")
    assert shell.script("false; true", check=False).returncode == 1


def test_a_given_environment_is_the_whole_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTSIDE", "seen")
    assert "OUTSIDE" in Shell(folder=tmp_path).run("env").stdout
    assert "OUTSIDE" not in Shell(folder=tmp_path, environment={"PATH": os.environ["PATH"]}).run("env").stdout


def test_what_was_started_ends_with_its_block(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    with Shell(folder=tmp_path).started("sh", "-c", "sleep 60 & echo $! >pid; mv pid ready; wait") as process:
        while not ready.exists():
            time.sleep(0.01)
    assert process.returncode == -9
    child = Path("/proc", ready.read_text().strip(), "status")
    while child.exists() and "State:\tZ" not in child.read_text():
        time.sleep(0.01)
