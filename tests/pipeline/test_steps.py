"""The steps of the pipeline, as far as git alone can try them; `tests/e2e/pipeline` runs them all."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STEPS = ("build", "drift", "end-to-end", "flip", "keep", "rollback", "smoke", "up")
FILE = "Pulumi.staging.yaml"
MESSAGE = "Run shop 1.6.1 in staging"


@dataclass(frozen=True)
class Checkout:
    """A repository with the steps and one stack file, and the bare one that it pushes to."""

    folder: Path
    remote: Path

    def step(self, name: str, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        return run(self.folder / f"pipeline/{name}.sh", *arguments, cwd=self.folder, **variables)

    def git(self, *arguments: str) -> str:
        done = run("git", *arguments, cwd=self.folder)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def write(self, text: str) -> None:
        (self.folder / FILE).write_text(text)

    def pushed(self, what: str) -> str:
        return run("git", *what.split(), cwd=self.remote).stdout


def run(*command: str | Path, cwd: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run a command as on a machine that knows nobody's name, and is no forge's."""
    nobody = {"HOME": str(cwd), "PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1"}
    return subprocess.run(command, cwd=cwd, env={**nobody, **variables}, capture_output=True, text=True, check=False)


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    there = Checkout(tmp_path / "shop", tmp_path / "remote.git")
    shutil.copytree(ROOT / "pipeline", there.folder / "pipeline")
    there.write("activeColor: blue\n")
    there.git("init", "--quiet", "--initial-branch=main")
    there.git("add", ".")
    there.git("-c", "user.name=somebody", "-c", "user.email=somebody@example.com", "commit", "--quiet", "--message=One")
    there.git("clone", "--quiet", "--bare", ".", str(there.remote))
    there.git("remote", "add", "origin", str(there.remote))
    return there


@pytest.mark.parametrize("name", STEPS)
def test_each_explains_itself_and_refuses_a_call_without_its_arguments(tmp_path: Path, name: str) -> None:
    step = ROOT / f"pipeline/{name}.sh"
    asked = run(step, "--help", cwd=tmp_path)
    assert asked.returncode == 0
    assert asked.stdout.startswith(f"{name}.sh ")
    mistaken = run(step, cwd=tmp_path)
    assert (mistaken.returncode, mistaken.stdout, mistaken.stderr) == (2, "", asked.stdout)


def test_what_is_kept_is_pushed_under_the_message_by_a_runner_without_a_name(checkout: Checkout) -> None:
    checkout.write("activeColor: green\n")
    done = checkout.step("keep", MESSAGE, FILE)
    assert done.returncode == 0, done.stderr
    assert checkout.pushed("log --format=%s main").splitlines() == [MESSAGE, "One"]


def test_nothing_to_keep_is_fine(checkout: Checkout) -> None:
    done = checkout.step("keep", MESSAGE, FILE)
    assert (done.returncode, done.stdout) == (0, f"nothing to keep: {FILE} as in main\n")


def test_a_job_without_a_branch_keeps_in_that_which_the_forge_names(checkout: Checkout) -> None:
    checkout.git("switch", "--quiet", "--detach")
    checkout.write("activeColor: green\n")
    assert "no branch is checked out" in checkout.step("keep", MESSAGE, FILE).stderr
    for variable in ("GITHUB_REF_NAME", "CI_COMMIT_BRANCH"):
        checkout.write(f"activeColor: green # {variable}\n")
        done = checkout.step("keep", variable, FILE, **{variable: "main"})
        assert done.returncode == 0, done.stderr
        assert checkout.pushed("log --format=%s --max-count=1 main") == f"{variable}\n"


def test_what_others_have_pushed_goes_before_and_is_not_lost(checkout: Checkout, tmp_path: Path) -> None:
    push(checkout, tmp_path, "README.md", "More\n")
    checkout.write("activeColor: green\n")
    assert checkout.step("keep", MESSAGE, FILE).returncode == 0
    assert checkout.pushed("log --format=%s main").splitlines() == [MESSAGE, "Meanwhile", "One"]


def test_the_same_lines_changed_by_others_are_left_to_a_person(checkout: Checkout, tmp_path: Path) -> None:
    push(checkout, tmp_path, FILE, "activeColor: red\n")
    checkout.write("activeColor: green\n")
    done = checkout.step("keep", MESSAGE, FILE)
    assert done.returncode == 1
    assert "main has changed the same lines since" in done.stderr
    assert checkout.pushed("log --format=%s main").splitlines() == ["Meanwhile", "One"]
    assert "rebase" not in checkout.git("status"), "the checkout is whole"


def push(checkout: Checkout, tmp_path: Path, file: str, text: str) -> None:
    """Let somebody else change a file and push."""
    other = tmp_path / "other"
    checkout.git("clone", "--quiet", str(checkout.remote), str(other))
    (other / file).write_text(text)
    colleague = ("git", "-c", "user.name=colleague", "-c", "user.email=colleague@example.com")
    for command in (("git", "add", "."), (*colleague, "commit", "--quiet", "--message=Meanwhile"), ("git", "push")):
        assert run(*command, cwd=other).returncode == 0


def played(checkout: Checkout, name: str, script: str) -> None:
    """Put a script in the place of a program, before those of this machine."""
    program = checkout.folder / "bin" / name
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


@pytest.mark.parametrize(
    ("preview", "secrets", "status", "asked"),
    [(0, 0, 0, "close"), (1, 0, 1, "issue"), (0, 1, 1, "issue"), (1, 1, 1, "issue")],
)
def test_a_secret_version_that_ends_keeps_the_issue_open_as_drift_does(
    checkout: Checkout, preview: int, secrets: int, status: int, asked: str
) -> None:
    played(checkout, "hueshift", f'echo "$*"; [ "$1" = preview ] && exit {preview}; exit {secrets}')
    (checkout.folder / "pipeline/forge.sh").write_text('#!/bin/sh\necho "$1 $2"\n')
    path = f"{checkout.folder}/bin:{os.environ['PATH']}"
    done = checkout.step("drift", "staging", PATH=path)
    assert (done.returncode, done.stdout) == (status, f"{asked} Drift in staging\n"), done.stderr
    page = (checkout.folder / "drift-staging.md").read_text()
    assert page.startswith("preview --refresh --expect-no-changes --stack staging\n")
    assert ("### Secrets\n\n~~~text\nsecrets status --stack staging\n~~~" in page) is bool(secrets)


@pytest.mark.parametrize(
    ("step", "arguments", "called"),
    [
        ("flip", ["shop"], "flip shop --stack staging"),
        ("flip", ["shop", "green"], "flip shop green --stack staging"),
        ("smoke", ["shop"], "smoke shop --stack staging"),
        ("end-to-end", ["shop"], "verify shop --stack staging"),
        ("rollback", ["shop"], "rollback --stack staging --service shop --commit"),
        ("rollback", ["shop", ""], "rollback --stack staging --service shop --commit"),
        ("rollback", ["shop", "1.4.0"], "rollback --stack staging --service shop --to 1.4.0 --commit"),
    ],
)
@pytest.mark.parametrize("status", [0, 4])
def test_what_a_step_decides_nothing_of_is_one_command_whose_end_is_its_own(
    checkout: Checkout, step: str, arguments: list[str], called: str, status: int
) -> None:
    played(checkout, "hueshift", f'echo "$*" >>calls; exit {status}')
    done = checkout.step(step, "staging", *arguments, PATH=f"{checkout.folder}/bin:{os.environ['PATH']}")
    assert done.returncode == status, done.stderr
    assert (checkout.folder / "calls").read_text() == f"{called}\n"


def test_an_image_is_not_built_from_what_no_commit_or_no_history_holds(checkout: Checkout, tmp_path: Path) -> None:
    registry = {"REGISTRY": "registry.example.com"}
    assert "REGISTRY: is not set; name the registry" in checkout.step("build", "shop").stderr
    (checkout.folder / "app").mkdir()
    (checkout.folder / "app/VERSION").write_text("1.6\n")
    assert "these files differ from it; commit them: ?? app/" in checkout.step("build", "shop", **registry).stderr
    shallow = Checkout(tmp_path / "shallow", checkout.remote)
    checkout.git("clone", "--quiet", "--depth=1", f"file://{checkout.remote}", str(shallow.folder))
    assert "git fetch --unshallow" in shallow.step("build", "shop", **registry).stderr


@pytest.mark.parametrize(("revision", "schema"), [(None, ""), ("0007_more.py", "0007")])
def test_an_image_is_built_of_any_service_with_a_dockerfile_and_a_version(
    checkout: Checkout, revision: str | None, schema: str
) -> None:
    web = checkout.folder / "services/web"
    versions = web / "migrations/versions"
    versions.mkdir(parents=True)
    (web / "VERSION").write_text("2.3\n")
    if revision:
        (versions / revision).touch()
    checkout.git("add", ".")
    checkout.git("-c", "user.name=x", "-c", "user.email=x@example.com", "commit", "--quiet", "--message=Two")
    image = "registry.example.com/web"
    inspect = f'[ "$1" != image ] || echo {image}@sha256:0; [ "$1" != pull ] || {{ echo not found >&2; exit 1; }}'
    played(checkout, "docker", f'echo "$*" >>calls; {inspect}')
    path = f"{checkout.folder}/bin:{os.environ['PATH']}"
    done = checkout.step("build", "web", REGISTRY="registry.example.com", SOURCE="services/web", PATH=path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"image={image}@sha256:0\nversion=2.3.1\nschema={schema}\n"
    assert "--file=services/web/Dockerfile" in (checkout.folder / "calls").read_text()
