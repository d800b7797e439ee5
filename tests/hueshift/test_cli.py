"""The command line: its parts are imported when they are called, and say of themselves what the list says."""

import inspect
import tomllib

import pytest
import typer
from typer.testing import CliRunner

from hueshift.cli import AT_ONCE, PARTS, app, given
from hueshift.traffic.rollback import rollback
from tests.support.program import ROOT


@pytest.mark.parametrize("name", PARTS)
def test_the_list_of_commands_says_of_each_what_it_says_itself(name: str) -> None:
    said = " ".join(CliRunner().invoke(app, [name, "--help"]).stdout.split())
    assert PARTS[name].help in said
    assert PARTS[name].help in " ".join(CliRunner().invoke(app, ["--help"]).stdout.split())


def test_a_command_that_is_none_is_refused() -> None:
    done = CliRunner().invoke(app, ["rolback"])
    assert done.exit_code == 2
    assert "No such command 'rolback'" in done.stderr


def test_what_is_called_at_once_takes_the_options_that_typer_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PULUMI_STACK", raising=False)
    nothing = {"service": None, "stack": None, "to": None, "force": False, "commit": False, "as_json": False}
    assert given(rollback, []) == nothing
    words = ["--service", "shop", "-s", "staging", "--to=1.4.0", "--force", "--commit", "--json"]
    every = {"service": "shop", "stack": "staging", "to": "1.4.0", "force": True, "commit": True, "as_json": True}
    assert given(rollback, words) == every
    monkeypatch.setenv("PULUMI_STACK", "production")
    assert given(rollback, []) == nothing | {"stack": "production"}
    seen: dict[str, object] = {}
    monkeypatch.setattr("hueshift.traffic.rollback.rollback", _noting(seen))
    assert CliRunner().invoke(app, ["rollback", *words]).exit_code == 0
    assert seen == every


def _noting(seen: dict[str, object]) -> object:
    def noted(**values: object) -> None:
        seen.update(values)

    noted.__signature__ = inspect.signature(rollback)  # type: ignore[attr-defined]
    noted.__annotations__ = rollback.__annotations__
    return noted


@pytest.mark.parametrize("words", [["--help"], ["shop"], ["--servise", "shop"], ["--to"], ["--force=yes"]])
def test_help_and_mistakes_are_left_to_typer(words: list[str]) -> None:
    assert given(rollback, words) is None
    assert CliRunner().invoke(app, ["rollback", *words]).exit_code == (0 if words == ["--help"] else 2)


@pytest.mark.parametrize("words", [[], ["rollback"], ["preview"], ["secrets"], ["secrets", "put"]])
def test_the_short_option_for_help_is_the_long_one(words: list[str]) -> None:
    short, long = (CliRunner().invoke(app, [*words, option]) for option in ("-h", "--help"))
    assert (short.exit_code, short.stdout) == (0, long.stdout)


def test_the_version_is_the_projects() -> None:
    told = CliRunner().invoke(app, ["--version"])
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (told.exit_code, told.stdout) == (0, f"hueshift {project['version']}\n")


@pytest.mark.parametrize(
    ("words", "offered"),
    [("pre", ["preview"]), ("re", ["release", "resume", "recover", "review"]), ("--v", ["--version"])],
)
def test_a_shell_is_offered_the_parts_and_the_options(words: str, offered: list[str]) -> None:
    asked = {"_HUESHIFT_COMPLETE": "complete_bash", "COMP_WORDS": f"hueshift {words}", "COMP_CWORD": "1"}
    assert CliRunner().invoke(app, [], prog_name="hueshift", env=asked).stdout.split() == offered


def test_what_is_called_at_once_takes_options_alone() -> None:
    for name in AT_ONCE:
        assert name in PARTS
    assert isinstance(app, typer.Typer)
