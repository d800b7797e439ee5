"""Where the local cloud's engine and plugins come from, and what it does with one of another version."""

import json
import re
import signal
import stat
import subprocess
from dataclasses import asdict
from pathlib import Path

import pytest

from sandbox import engine, paths
from sandbox.engine import BIN, Engine
from sandbox.steps import StepError


def an_engine(source: str, **providers: str) -> Engine:
    return Engine(directory="/nowhere", source=source, providers=providers)


def test_only_what_no_release_was_found_for_is_built() -> None:
    official = dict.fromkeys(("aws", "kubernetes", "docker"), "official release")
    assert engine.parts(an_engine("official release 3.246.0", **official)) == []
    assert engine.parts(an_engine("PATH (v3.250.0)", **official | {"aws": "its upstream, built here"})) == [
        "aws-plugin"
    ]
    mine = {"aws": "its upstream, built here", "kubernetes": "its upstream, built here", "docker": "stand-in"}
    built = engine.parts(an_engine("built from its Go module", **mine))
    assert built == ["pulumi", "language-host", "aws-plugin", "kubernetes-plugin"]


def test_the_screen_says_of_each_plugin_what_it_is() -> None:
    shown = str(an_engine("PATH (v3.250.0)", aws="official release", docker="stand-in"))
    assert shown == "engine: PATH (v3.250.0); aws: official release; docker: stand-in"


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return a folder for all that the engine has here; the `pulumi` on PATH can install the aws plugin alone."""
    monkeypatch.setattr(paths, "PULUMI_HOME", tmp_path / "pulumi")
    monkeypatch.setattr(engine, "_RECORD", tmp_path / "engine.json")
    path = tmp_path / "path"
    path.mkdir()
    install = (
        'folder="$PULUMI_HOME/plugins/resource-$4-$5"; [ ! -e "$folder" ] || exit 0',  # as it takes it for installed
        '[ "$4" = aws ] && mkdir -p "$folder" && touch "$folder/pulumi-resource-aws"',
    )
    for name, script in (
        ("pulumi", '[ "$1" != version ] || exec echo v3.250.0\n' + "\n".join(install)),
        ("pulumi-language-python", ""),
    ):
        (path / name).write_text(f"#!/bin/sh\n{script}\n")
        (path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{path}:/usr/bin:/bin")
    return tmp_path


MIXED = {"aws": "official release", "kubernetes": "its upstream, built here", "docker": "stand-in"}


def test_where_one_official_plugin_is_in_reach_it_alone_is_taken(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    held: list[str] = []
    monkeypatch.setattr(engine, "_hold_version", lambda name, _: held.append(name))
    found = engine.find()
    assert found.providers == MIXED
    assert engine.parts(found) == ["kubernetes-plugin"]
    (home / "built").mkdir()
    (home / "built/pulumi-resource-kubernetes").touch()
    engine.install(found, {"kubernetes-plugin": home / "built"})
    assert held == ["kubernetes", "docker"]
    assert not engine._plugin("aws").is_symlink()
    assert engine._plugin("kubernetes").resolve() == home / "built/pulumi-resource-kubernetes"
    assert engine.settled() == engine.find() == found


def test_a_plugin_that_was_built_here_and_is_gone_from_the_cache_is_not_taken_for_an_official_one(home: Path) -> None:
    for name in ("aws", "kubernetes"):
        engine._plugin(name).parent.mkdir(parents=True)
        engine._plugin(name).symlink_to(home / "gone")
    assert engine.find().providers == MIXED
    assert engine._plugin("aws").is_file()


@pytest.mark.parametrize(
    "record",
    [
        '{"directory": "/", "source": "built from its Go module", "providers": "stand-ins"}',
        '{"directory": "/", "source": "built from its Go module", "providers": {"aws": "stand-in"}}',
        '{"directory": "/"}',
        "",
    ],
)
def test_the_record_of_another_version_is_told_and_never_used(home: Path, record: str) -> None:
    assert not engine.outdated()
    (home / "engine.json").write_text(record)
    assert engine.outdated()
    with pytest.raises(FileNotFoundError, match="run `make sandbox` first"):
        engine.settled()
    assert engine.find().providers == MIXED


def test_a_release_of_another_version_than_the_pinned_one_is_not_kept(home: Path) -> None:
    kept = Engine(directory=str(home), source="official release 3.1.0", providers=MIXED)
    for name in MIXED:
        engine._plugin(name).parent.mkdir(parents=True)
        engine._plugin(name).touch()
    (home / "engine.json").write_text(json.dumps(asdict(kept)))
    assert engine.find().source == "PATH (v3.250.0)"


def a_plugin(folder: Path, script: str) -> Path:
    program = folder / "pulumi-resource-docker"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program


def test_a_plugin_that_does_not_start_is_refused_with_what_it_printed(tmp_path: Path) -> None:
    with pytest.raises(StepError, match=r"does not start: it printed 'no such library'"):
        engine._hold_version("docker", a_plugin(tmp_path, "echo no such library"))


@pytest.mark.slow
def test_a_plugin_of_another_version_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    program = BIN / "pulumi-resource-docker"
    engine._hold_version("docker", program)
    monkeypatch.setattr(engine, "version", lambda _: "4.0.0")
    with pytest.raises(StepError, match=r"pulumi-resource-docker is version 5\.0\.0, pulumi-docker==4\.0\.0 is pinned"):
        engine._hold_version("docker", program)


@pytest.mark.slow
def test_the_stand_in_tells_its_port_and_ends_when_the_engine_says_so() -> None:
    command: list[str | Path] = [BIN / "pulumi-resource-docker", "127.0.0.1:1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip().isdigit()
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0


@pytest.mark.slow
def test_the_python_beside_the_language_host_lists_the_packages_that_pip_lists() -> None:
    def listed(python: Path) -> set[tuple[str, str, str]]:
        done = subprocess.run(
            [python, "-m", "pip", "list", "-v", "--format", "json"], capture_output=True, text=True, check=True
        )
        return {
            (re.sub(r"[-_.]+", "-", item["name"]).lower(), item["version"], str(Path(item["location"]).resolve()))
            for item in json.loads(done.stdout)
        }

    assert listed(BIN / "python3") == listed(paths.ROOT / ".venv/bin/python3")


def test_the_python_beside_the_language_host_does_all_else_as_the_checkouts_own() -> None:
    words = ["-c", "import sys; print(sys.prefix, *sys.argv[1:])", "a b", "c"]
    done = subprocess.run([BIN / "python3", *words], capture_output=True, text=True, check=True)
    assert done.stdout == f"{paths.ROOT / '.venv'} a b c\n"
