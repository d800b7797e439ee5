"""What the local cloud builds: what is missing is known beforehand, and a failure says what to do."""

import io
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from rich.console import Console

from sandbox import paths, programs
from sandbox.steps import Step, Steps

SCRIPT = paths.ROOT / "sandbox/go/build.sh"


@pytest.fixture(autouse=True)
def _logs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(paths, "LOGS", tmp_path / "logs")


def scripted(monkeypatch: pytest.MonkeyPatch, folder: Path, text: str) -> None:
    """Let the script that builds do this."""
    script = folder / "build.sh"
    script.write_text(f"#!/bin/sh\n{text}\n")
    script.chmod(0o755)
    monkeypatch.setattr(programs, "_SCRIPT", script)


def built(part: str) -> str:
    """Build a part as `make sandbox` does; return what the screen says."""
    screen = io.StringIO()
    try:
        with Steps(Console(file=screen, width=200)).step(f"build {part}") as step:
            programs.build(step, part)
    except SystemExit as end:
        screen.write(f"status {end.code}")
    return screen.getvalue()


def test_a_build_that_fails_names_the_part_the_log_and_the_remedy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    scripted(monkeypatch, tmp_path, 'echo "$1: no space left on device" >&2; exit 1')
    said = built("kubenode")
    log = tmp_path / "logs/build-kubenode.log"
    assert "kubenode could not be built" in said
    assert f"log: {log}" in said
    assert "remedy: mend what the log names; `make sandbox` goes on from there" in said
    assert said.endswith("status 1")
    assert "kubenode: no space left on device" in said
    assert log.read_text() == "kubenode: no space left on device\n"


def test_a_build_tells_how_far_it_is_and_leaves_downloads_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(programs, "_TELL_EVERY", 0)
    scripted(monkeypatch, tmp_path, "echo 'go: downloading one' >&2; echo fmt >&2; echo net/http >&2")
    assert "build dns: 2 packages compiled" in built("dns")


def test_a_build_that_is_interrupted_says_that_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_step: Step, _part: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(programs, "build", interrupted)
    said = built("dns")
    assert "✗ build dns\n  interrupted" in said
    assert "remedy: run it again: it goes on from here" in said
    assert said.endswith("status 130")


def test_what_is_missing_is_asked_of_all_parts_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    scripted(monkeypatch, tmp_path, f'echo "$@" >>{tmp_path}/asked; echo dns; echo pause')
    assert programs.missing(["kubenode", "dns", "pause"]) == ["dns", "pause"]
    assert (tmp_path / "asked").read_text() == "--missing kubenode dns pause\n"


def test_every_part_has_a_time_and_can_be_built() -> None:
    assert set(programs.MINUTES) >= {*programs.NODE, *programs.CONTROLLERS}
    assert all((paths.ROOT / "sandbox/go" / part).is_dir() for part in programs.MINUTES)


def test_the_readme_says_how_long_a_first_run_builds_as_the_run_itself_does() -> None:
    minutes = f"{sum(programs.MINUTES.values()):.0f}"
    assert f"about {minutes} minutes on two idle cores" in (paths.ROOT / "README.md").read_text()


@pytest.mark.parametrize(
    ("said", "file", "pinned"),
    [
        (r"AWS Load Balancer Controller ([\d.]+)", "build.sh", r"version.GitVersion=v([\d.]+)"),
        (r"External Secrets ([\d.]+)", "external-secrets/prepare.sh", r"external-secrets@v([\d.]+)"),
        (
            r"Prometheus Operator ([\d.]+)",
            "prometheus-operator/go.mod",
            r"prometheus-operator/prometheus-operator v([\d.]+)",
        ),
        (r"Kubernetes ([\d.]+)", "build.sh", r"gitVersion=v(\d+\.\d+)"),
    ],
)
def test_the_readme_names_the_versions_that_are_built(said: str, file: str, pinned: str) -> None:
    (version,) = set(re.findall(pinned, (paths.ROOT / "sandbox/go" / file).read_text()))
    assert {found.rstrip(".") for found in re.findall(said, (paths.ROOT / "sandbox/README.md").read_text())} == {
        version
    }


@pytest.mark.parametrize("lacking", ["go", "jq"])
def test_a_machine_without_a_program_that_builds_need_is_told_its_name(tmp_path: Path, lacking: str) -> None:
    for name in {"bash", "dirname", "env", "go", "jq"} - {lacking}:
        (tmp_path / name).symlink_to(str(shutil.which(name)))
    variables = {"PATH": str(tmp_path), "HUESHIFT_CACHE": str(tmp_path)}
    done = subprocess.run([SCRIPT, "--missing", "dns"], env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"the program {lacking} is missing" in done.stderr


def test_a_part_is_missing_until_its_folder_is_there_and_asking_builds_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HUESHIFT_CACHE", str(tmp_path))

    def missing(*parts: str) -> list[str]:
        done = subprocess.run([SCRIPT, "--missing", *parts], capture_output=True, text=True, check=True)
        return done.stdout.split()

    assert missing("pause", "dns") == ["pause", "dns"]
    assert list(tmp_path.iterdir()) == []
    traced = subprocess.run(["bash", "-x", SCRIPT, "--missing", "dns"], capture_output=True, text=True, check=True)
    place = next(word for word in traced.stderr.split() if word.startswith(f"{tmp_path}/tools/dns-"))
    Path(place).mkdir(parents=True)
    assert missing("pause", "dns") == ["pause"]
