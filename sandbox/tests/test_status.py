"""`make sandbox-status` tells of every part whether it runs, and so does its JSON."""

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sandbox import __main__ as sandbox
from sandbox import engine, environment, paths, processes
from sandbox.engine import Engine

PARTS = [
    *("node", "envoy", "aws", "load-balancer-controller", "external-secrets"),
    *("prometheus-operator", "prometheus-files", "state-metrics", "prometheus"),
]
WORLD = {"account": "a", "cluster": "c"}


@pytest.fixture
def dead(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> set[str]:
    """Return the processes that do not run, to be added to; the rest of a whole local cloud is there."""
    ended: set[str] = set()
    monkeypatch.setattr(paths, "STATE", tmp_path)
    (tmp_path / "world.json").write_text(json.dumps(WORLD))
    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.setattr(processes, "running", lambda name: name not in ended)
    monkeypatch.setattr(engine, "settled", lambda: Engine(directory="/", source="PATH", providers={}))
    monkeypatch.setattr(environment, "variables", lambda _: {})
    monkeypatch.setattr(sandbox, "_world", lambda: WORLD)
    monkeypatch.setattr(sandbox, "_outputs", dict)
    monkeypatch.setattr(sandbox, "_screen", lambda _: None)
    return ended


def status(*options: str) -> tuple[int, str]:
    done = CliRunner().invoke(sandbox.app, ["status", *options])
    return done.exit_code, done.stdout


def told(text: str) -> dict[str, str]:
    """Return what is said of each part."""
    return dict(line.split(None, 1) for line in text.splitlines() if line.endswith("running"))


@pytest.mark.usefixtures("dead")
def test_every_part_is_told_of_a_whole_cloud() -> None:
    code, text = status()
    assert (code, told(text)) == (0, dict.fromkeys(PARTS, "running"))
    code, text = status("--json")
    assert (code, json.loads(text)) == (0, {"running": dict.fromkeys(PARTS, True), "whole": True})


@pytest.mark.parametrize("name", PARTS[1:])
def test_a_part_that_has_ended_is_told_with_the_remedy(dead: set[str], name: str) -> None:
    dead.add(name)
    code, text = status()
    assert (code, told(text)) == (1, {**dict.fromkeys(PARTS, "running"), name: "not running"})
    assert "`make sandbox` repairs it" in text
    code, text = status("--json")
    assert (code, json.loads(text)["running"][name], json.loads(text)["whole"]) == (1, False, False)


@pytest.mark.usefixtures("dead")
def test_a_cluster_that_does_not_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "_world", lambda: {**WORLD, "cluster": ""})
    assert told(status()[1])["node"] == "not running"


def test_where_nothing_was_brought_up_nothing_of_another_cluster_is_asked(
    dead: set[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def none() -> Engine:
        raise FileNotFoundError

    (tmp_path / "world.json").unlink()
    dead.update(PARTS)
    monkeypatch.setattr(engine, "settled", none)
    monkeypatch.setattr(sandbox, "_world", lambda: pytest.fail("asked"))
    assert status()[0] == 1
