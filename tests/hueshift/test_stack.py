"""What is run beside a stack file: an update ends as it would by hand, and a commit that is given up stays undone."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hueshift.report import RefusedError
from hueshift.stack import Place, place


def script(file: Path, text: str) -> None:
    file.parent.mkdir()
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)


@pytest.fixture
def there(tmp_path: Path) -> Place:
    return Place(
        name="staging",
        project="hueshift",
        folder=tmp_path,
        values={},
        defaults={},
        region=None,
        profile=None,
        roles=None,
    )


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def test_an_update_that_ctrl_c_ends_is_waited_for(there: Place, monkeypatch: pytest.MonkeyPatch, ctrl_c: None) -> None:
    del ctrl_c
    script(there.folder / "bin/pulumi", "sleep 1\ntouch unlocked")
    monkeypatch.setenv("PATH", str(there.folder / "bin"), prepend=os.pathsep)
    with pytest.raises(KeyboardInterrupt):
        there.update()
    assert (there.folder / "unlocked").exists()


def test_a_commit_that_takes_too_long_is_given_up_with_all_that_it_runs(there: Place) -> None:
    script(there.folder / "pipeline/keep.sh", "sh -c 'sleep 1; touch pushed'")
    with pytest.raises(RefusedError, match=r"Pulumi\.staging\.yaml was not committed within 0 s: Flip"):
        there.commit("Flip", seconds=0.2)
    time.sleep(1.3)
    assert not (there.folder / "pushed").exists()


def test_a_commit_says_what_it_has_kept_or_why_it_has_not(there: Place) -> None:
    script(there.folder / "pipeline/keep.sh", 'echo "kept: $*"\necho "no push" >&2\n[ "$1" = Flip ]')
    assert there.commit("Flip") == "kept: Flip Pulumi.staging.yaml"
    with pytest.raises(RefusedError, match=r"Pulumi\.staging\.yaml was not committed: no push"):
        there.commit("Flop")


@pytest.mark.parametrize(
    ("said", "mends"),
    [
        ("PULUMI_ACCESS_TOKEN must be set for login during non-interactive CLI sessions", "pulumi login s3://"),
        ("no stack named 'staging' found", "pulumi stack init"),
    ],
)
def test_without_a_login_or_a_state_the_commands_that_mend_it_are_named(
    there: Place, monkeypatch: pytest.MonkeyPatch, said: str, mends: str
) -> None:
    script(there.folder / "bin/pulumi", f'echo "error: {said}" >&2\nexit 255')
    monkeypatch.setenv("PATH", str(there.folder / "bin"), prepend=os.pathsep)
    with pytest.raises(RefusedError, match=f"failed: {said}.*{mends}"):
        there.state()


def test_where_no_stack_is_selected_those_that_could_be_named_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "Pulumi.yaml").write_text("name: hueshift\n")
    for name in ("staging", "production"):
        (tmp_path / f"Pulumi.{name}.yaml").write_text("config: {}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RefusedError, match=r"no stack is selected here; name one with --stack \(production, staging\)"):
        place(None)
