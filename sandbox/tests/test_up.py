"""`make sandbox` on what does not fit: told with the remedy, no traceback; what another version made is cleared."""

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sandbox import __main__ as sandbox
from sandbox import engine, environment, paths, programs
from sandbox.engine import Engine
from sandbox.steps import Step, StepError

FOUND = Engine(directory="/", source="PATH (v3.250.0)", providers=dict.fromkeys(engine._SDKS, "official release"))


@pytest.fixture(autouse=True)
def done(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Return what is done, up to the node, which this machine does not get."""
    steps: list[str] = []
    monkeypatch.setattr(os, "environ", dict(os.environ))
    for name in ("STATE", "PULUMI_STATE", "LOGS"):
        monkeypatch.setattr(paths, name, tmp_path / name)
    monkeypatch.setattr(engine, "_RECORD", tmp_path / "STATE/engine.json")
    monkeypatch.setattr(sandbox, "_machine", lambda _: None)
    monkeypatch.setattr(sandbox, "_end", lambda: steps.append("end"))
    monkeypatch.setattr(engine, "find", lambda: FOUND)
    monkeypatch.setattr(programs, "missing", lambda _: [])
    monkeypatch.setattr(programs, "folders", lambda parts: dict.fromkeys(parts, tmp_path))
    monkeypatch.setattr(engine, "install", lambda *_: steps.append("install"))
    monkeypatch.setattr(environment, "variables", lambda _: {})
    monkeypatch.setattr(sandbox, "_world", lambda: {"account": "a", "cluster": "c"})

    def no_node(_: Step) -> None:
        raise StepError("no node here")

    monkeypatch.setattr(sandbox, "_node", no_node)
    return steps


def up() -> str:
    """Run it; return what it says."""
    ended = CliRunner().invoke(sandbox.app, ["up"])
    assert ended.exit_code == 1
    assert isinstance(ended.exception, SystemExit), ended.exception
    return ended.stdout


def test_a_plugin_that_is_refused_is_told_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise StepError("pulumi-resource-aws is version 7.0.0", remedy="rm -r it, then make sandbox")

    monkeypatch.setattr(engine, "install", refused)
    said = up()
    assert "pulumi-resource-aws is version 7.0.0" in said
    assert "remedy: rm -r it, then make sandbox" in said


def test_what_is_built_is_told_before_it_begins_and_the_first_failure_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(_: Step, part: str) -> None:
        raise StepError(f"{part} could not be built", log=paths.LOGS / f"build-{part}.log", remedy="mend it")

    monkeypatch.setattr(programs, "missing", lambda _: ["kubenode", "external-secrets"])
    monkeypatch.setattr(programs, "build", failing)
    said = up()
    told = "to be built once, from Go modules, about 7 minutes on two idle cores: kubenode, external-secrets"
    assert said.index(told) < said.index("kubenode could not be built")
    assert f"log: {paths.LOGS / 'build-kubenode.log'}" in said
    assert "external-secrets could not" not in said


def test_a_cloud_of_another_version_is_ended_before_anything_of_this_one_is_put_in_place(done: list[str]) -> None:
    paths.STATE.mkdir()
    paths.PULUMI_STATE.mkdir()
    record = {"directory": "/", "source": "built from its Go module", "providers": "stand-ins"}
    (paths.STATE / "engine.json").write_text(json.dumps(record))
    (paths.STATE / "world.json").write_text("{}")
    assert "another version of this project has made it" in up()
    assert done == ["end", "install"]
    assert not paths.PULUMI_STATE.exists()
    assert not (paths.STATE / "world.json").exists()


def test_what_this_version_made_is_not_ended(done: list[str]) -> None:
    assert "another version" not in up()
    assert done == ["install"]
