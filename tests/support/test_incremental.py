"""A story stops at its first failure; other tests go on."""

import sys
from pathlib import Path

from tests.support.program import ROOT
from tests.support.shell import Shell

STORY = """
import pytest

@pytest.mark.incremental
def test_begin(): ...

@pytest.mark.incremental
@pytest.mark.parametrize("part", [1, 2])
def test_middle(part): assert part == 2

@pytest.mark.incremental
def test_end(): ...

def test_alone(): ...
"""


def test_after_a_failure_the_rest_of_the_story_is_skipped_and_no_other_test(tmp_path: Path) -> None:
    (tmp_path / "test_story.py").write_text(STORY)
    (tmp_path / "test_other.py").write_text(STORY.replace("part == 2", "part"))
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n  incremental\n")
    command = (sys.executable, "-m", "pytest", "-v", "-rs", "-p", "tests.support.incremental", "-p", "no:cacheprovider")
    done = Shell(folder=tmp_path).run(*command, check=False, PYTHONPATH=str(ROOT), PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    outcomes = dict(line.split()[:2] for line in done.stdout.splitlines() if line.startswith("test_") and "::" in line)
    assert {name for name, outcome in outcomes.items() if outcome == "FAILED"} == {"test_story.py::test_middle[1]"}
    skipped = {name for name, outcome in outcomes.items() if outcome == "SKIPPED"}
    assert skipped == {"test_story.py::test_middle[2]", "test_story.py::test_end"}
    assert outcomes["test_story.py::test_alone"] == "PASSED"
    assert "test_middle[1] failed, and this test continues from it" in done.stdout
