"""The steps of the pipeline, as far as git alone can try them; `tests/e2e/pipeline` runs them all."""

import base64
import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
STEPS = (
    "build",
    "drift",
    "end-to-end",
    "keep",
    "record",
    "release",
    "resume",
    "rollback",
    "show",
    "take",
    "unlock",
    "up",
    "verify",
)
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


def test_a_key_that_may_push_is_used_where_the_job_has_one_and_is_in_no_arguments(checkout: Checkout) -> None:
    real = shutil.which("git")
    noted = f'[ "$1" != push ] || echo "$* $GIT_CONFIG_KEY_0 $GIT_CONFIG_VALUE_0" >>{checkout.folder}/said'
    played(checkout, "git", f'{noted}\nexec {real} "$@"')
    checkout.git("remote", "set-url", "origin", "https://gitlab-ci-token:own@gitlab.example.com/shop.git")
    checkout.write("activeColor: green\n")
    url = str(checkout.remote).removesuffix(".git")
    given = {"KEEP_TOKEN": "obviously-fake", "CI_PROJECT_URL": url}
    given["PATH"] = f"{checkout.folder}/bin:{os.environ['PATH']}"
    done = checkout.step("keep", MESSAGE, FILE, **given)
    assert done.returncode == 0, done.stderr
    assert checkout.pushed("log --format=%s --max-count=1 main") == f"{MESSAGE}\n"
    key = base64.b64encode(b"keep:obviously-fake").decode()
    pushed = f"push --quiet {url}.git HEAD:refs/heads/main"
    assert (checkout.folder / "said").read_text() == (
        f"{pushed} http.{url}.git.extraHeader Authorization: Basic {key}\n"
    )
    assert "obviously-fake" not in done.stdout + done.stderr


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
    [(0, 0, 0, "close"), (1, 0, 0, "issue"), (0, 1, 0, "issue"), (1, 1, 0, "issue")],
)
def test_a_secret_version_that_ends_keeps_the_issue_open_as_drift_does(
    checkout: Checkout, preview: int, secrets: int, status: int, asked: str
) -> None:
    played(
        checkout,
        "hueshift",
        f'echo "$*"; [ "$1" = preview ] && exit {preview}; [ "$1" = status ] && exit 0; exit {secrets}',
    )
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
        ("end-to-end", ["shop"], "verify shop --stack staging"),
        ("rollback", ["shop"], "rollback --stack staging --service shop"),
        ("rollback", ["shop", ""], "rollback --stack staging --service shop"),
        ("rollback", ["shop", "1.4.0"], "rollback --stack staging --service shop --to 1.4.0"),
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


@pytest.mark.parametrize(
    ("forge", "run"),
    [
        (
            {"GITHUB_SERVER_URL": "https://git.example.com", "GITHUB_REPOSITORY": "team/shop", "GITHUB_RUN_ID": "7"},
            "https://git.example.com/team/shop/actions/runs/7",
        ),
        ({"CI_PIPELINE_URL": "https://git.example.com/team/shop/-/pipelines/7"}, None),
    ],
    ids=["GitHub", "GitLab"],
)
@pytest.mark.parametrize("schema", ["", "0003"])
def test_what_was_recorded_names_the_run_that_has_shown_it(
    checkout: Checkout, forge: dict[str, str], run: str | None, schema: str
) -> None:
    played(checkout, "hueshift", 'echo "$*" >>calls')
    path = f"{checkout.folder}/bin:{os.environ['PATH']}"
    done = checkout.step("record", "staging", "shop", schema, PATH=path, **forge)
    assert done.returncode == 0, done.stderr
    url = run or forge["CI_PIPELINE_URL"]
    shown = [f"--evidence {name}={url}" for name in ("scan", "tests", *(["migration"] if schema else []))]
    assert (checkout.folder / "calls").read_text().split(" --evidence")[0] == "image record shop --stack staging"
    assert (checkout.folder / "calls").read_text().strip().endswith(" ".join(shown))


def test_while_a_release_is_open_nothing_is_said_of_drift(checkout: Checkout) -> None:
    played(checkout, "hueshift", 'echo "$*" >>calls; [ "$1" = status ] && exit 4')
    (checkout.folder / "pipeline/forge.sh").write_text("#!/bin/sh\necho forge >>calls\n")
    done = checkout.step("drift", "staging", PATH=f"{checkout.folder}/bin:{os.environ['PATH']}")
    assert done.returncode == 0
    assert "a release is open in staging" in done.stderr
    assert (checkout.folder / "calls").read_text() == "status --closed --stack staging\n"


def test_an_issue_that_cannot_be_written_fails_the_night(checkout: Checkout) -> None:
    played(checkout, "hueshift", '[ "$1" != preview ]')
    (checkout.folder / "pipeline/forge.sh").write_text("#!/bin/sh\nexit 1\n")
    done = checkout.step("drift", "staging", PATH=f"{checkout.folder}/bin:{os.environ['PATH']}")
    assert done.returncode == 1


@pytest.mark.parametrize(
    ("seconds", "ends", "status"),
    [(1800, 0, 0), (1800, 4, 4), (1801, 4, 0), (1801, 3, 3), (1800, 1, 1), ("", 0, 0)],
)
def test_a_release_that_takes_longer_than_a_job_is_left_to_those_that_go_on_with_it(
    checkout: Checkout, seconds: int | str, ends: int, status: int
) -> None:
    plan = f"echo '{{\"seconds\": {seconds}}}'" if seconds else "exit 1"
    played(checkout, "hueshift", f'echo "$*" >>calls; [ "$1" != plan ] || {{ {plan}; exit 1; }}; exit {ends}')
    words = ("staging", "shop", "shop@sha256:1", "1.6.0", "0003")
    done = checkout.step("release", *words, PATH=f"{checkout.folder}/bin:{os.environ['PATH']}")
    assert done.returncode == status, done.stderr
    _, release = (checkout.folder / "calls").read_text().splitlines()
    detached = " --detach" if seconds == 1801 else ""
    assert release == (
        f"release --service shop --image shop@sha256:1 --version 1.6.0 --schema 0003 --stack staging{detached}"
    )
    assert ("was judged bad in staging, and taken back" in done.stderr) is (ends == 3)


@pytest.mark.parametrize(("ends", "status"), [(0, 0), (4, 0), (3, 3), (1, 1)])
def test_a_release_that_stays_open_is_no_failure_of_the_job_that_goes_on(
    checkout: Checkout, ends: int, status: int
) -> None:
    played(checkout, "hueshift", f'echo "activeColor: green" >{FILE}; echo "$*" >>calls; exit {ends}')
    output = checkout.folder / "output"
    path = f"{checkout.folder}/bin:{os.environ['PATH']}"
    done = checkout.step("resume", "staging", PATH=path, GITHUB_OUTPUT=str(output))
    assert done.returncode == status, done.stderr
    assert (checkout.folder / "calls").read_text() == "resume --all --once --stack staging\n"
    assert output.read_text() == "changed=yes\n"


@pytest.mark.parametrize(("said", "given"), [("true", True), ("false", False), ("", False)])
def test_only_a_rehearsal_puts_the_next_version_where_the_last_would_go_back_to(
    checkout: Checkout, said: str, given: bool
) -> None:
    played(checkout, "hueshift", 'echo "$*" >>calls')
    path = f"{checkout.folder}/bin:{os.environ['PATH']}"
    words = ("staging", "shop", "shop@sha256:1", "1.6.0")
    for step in ("release", "show"):
        assert checkout.step(step, *words, PATH=path, GIVE_UP_WAY_BACK=said).returncode == 0
    calls = (checkout.folder / "calls").read_text().splitlines()
    assert [call.split()[0] for call in calls if "--give-up-way-back" in call] == (
        ["release", "image"] if given else []
    )


def test_a_rollback_that_leaves_something_unwritten_ends_as_the_command_does(checkout: Checkout) -> None:
    played(checkout, "hueshift", "exit 4")
    done = checkout.step("rollback", "staging", "shop", PATH=f"{checkout.folder}/bin:{os.environ['PATH']}")
    assert done.returncode == 4


def test_what_a_job_without_the_key_has_left_is_taken_by_name_and_nothing_else_is(checkout: Checkout) -> None:
    base = checkout.git("rev-parse", "HEAD").strip()
    kept = checkout.folder / "kept"
    (kept / "pipeline").mkdir(parents=True)
    for name, text in {
        FILE: "activeColor: green\n",
        "releases.json": "{}\n",
        "Pulumi.new.yaml": "new\n",
        "Pulumi.yaml": "other\n",
        "pipeline/keep.sh": "evil\n",
        "README.md": "evil\n",
    }.items():
        (kept / name).write_text(text)
    script = (checkout.folder / "pipeline/keep.sh").read_text()
    done = checkout.step("take", "kept", base, GITHUB_REF_NAME="main")
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines() == [f"taken: {FILE}", "taken: releases.json"]
    assert (checkout.folder / "pipeline/keep.sh").read_text() == script
    assert not (checkout.folder / "Pulumi.new.yaml").exists()
    (kept / FILE).unlink()
    (kept / FILE).symlink_to("/etc/passwd")
    assert f"taken: {FILE}" not in checkout.step("take", "kept", base, GITHUB_REF_NAME="main").stderr


def test_files_are_taken_only_as_of_a_commit_of_the_branch(checkout: Checkout) -> None:
    (checkout.folder / "kept").mkdir()
    checkout.git("checkout", "--quiet", "-b", "other")
    checkout.git("-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "--quiet", "--allow-empty", "-m", "x")
    for base in (checkout.git("rev-parse", "HEAD").strip(), "main", "0" * 40, "--help"):
        done = checkout.step("take", "kept", base, GITHUB_REF_NAME="main")
        assert done.returncode == 1
        assert f"{base} is no commit of main: nothing is taken" in done.stderr


def lock(folder: Path, stack: str, minutes: int) -> None:
    """Leave a lock as the engine writes it (backend/diy/lock.go)."""
    since = (datetime.now(UTC) - timedelta(minutes=minutes)).isoformat()
    file = folder / f".pulumi/locks/organization/hueshift/{stack}/1a2b.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"pid": 7, "username": "runner", "hostname": "host-1", "timestamp": since}))


@pytest.mark.parametrize(
    ("minutes", "which", "free"), [(70, "stale", True), (10, "stale", False), (10, "any", True), (None, "any", None)]
)
def test_a_lock_is_shown_and_taken_away_if_it_is_stale_or_that_is_asked_for(
    checkout: Checkout, minutes: int | None, which: str, free: bool | None
) -> None:
    played(checkout, "pulumi", 'echo "$*" >>calls')
    state = checkout.folder / "state"
    lock(state, "production", 500)
    if minutes is not None:
        lock(state, "staging", minutes)
    path = f"{checkout.folder}/bin:{os.environ['PATH']}"
    done = checkout.step("unlock", "staging", which, PATH=path, PULUMI_BACKEND_URL=f"file://{state}")
    calls = checkout.folder / "calls"
    assert calls.exists() is bool(free)
    assert done.returncode == (1 if free is False else 0), done.stderr
    if free is None:
        assert done.stderr == "nobody has locked staging\n"
    else:
        assert "staging is locked by runner on host-1, process 7 since " in done.stderr
        assert f", {minutes} minutes" in done.stderr
    assert not free or calls.read_text() == "cancel --yes --stack staging\n"
    assert free is not False or "ask for any lock" in done.stderr


@pytest.mark.parametrize(
    ("variables", "status", "called"),
    [
        ({}, 0, []),
        ({"SIGNING_PROFILE": "arn:p"}, 0, ["hueshift image signed shop@sha256:1 --profile arn:p"]),
        ({"SIGNING_PROFILE": "arn:p", "REFUSED": "signed"}, 1, None),
        ({"ATTEST": "yes", "GITHUB_REPOSITORY": "example/shop"}, 0, ["gh slsa", "gh spdx"]),
        ({"ATTEST": "yes", "GITHUB_REPOSITORY": "example/shop", "REFUSED": "spdx"}, 1, None),
    ],
)
def test_an_image_goes_to_production_only_with_the_signatures_that_the_repository_makes(
    checkout: Checkout, variables: dict[str, str], status: int, called: list[str] | None
) -> None:
    for name in ("hueshift", "gh"):
        played(checkout, name, f'echo {name} "$*" >>calls; case "$*" in *"$REFUSED"*) [ -z "$REFUSED" ] ;; esac')
    path = f"{checkout.folder}/bin:{os.environ['PATH']}"
    done = checkout.step("verify", "shop@sha256:1", PATH=path, **variables)
    assert done.returncode == status, done.stderr
    lines = (checkout.folder / "calls").read_text().splitlines() if (checkout.folder / "calls").exists() else []
    assert called is None or len(lines) == len(called)
    for line, wanted in zip(lines, called or [], strict=False):
        assert all(word in line for word in wanted.split())
    assert all(
        "--signer-workflow example/shop/.github/workflows/delivery.yml" in line
        for line in lines
        if line.startswith("gh")
    )


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
    assert done.stdout == (
        f"image={image}@sha256:0\nrepository={image}\ndigest=sha256:0\nversion=2.3.1\nschema={schema}\n"
    )
    assert "--file=services/web/Dockerfile" in (checkout.folder / "calls").read_text()


@pytest.mark.parametrize(
    ("ends", "found", "status", "asked"),
    [(0, "", 0, "close"), (1, "| a | 1.0 |", 0, "issue"), (1, "", 1, None), (2, "", 1, None)],
)
def test_a_known_vulnerability_of_a_package_has_an_issue_unless_it_is_accepted_until_a_day(
    checkout: Checkout, ends: int, found: str, status: int, asked: str | None
) -> None:
    played(checkout, "pip-audit", f'echo "$*" >>calls; printf "%s" "{found}"; exit {ends}')
    (checkout.folder / "pipeline/forge.sh").write_text('#!/bin/sh\necho "$1 $2" >>calls\n')
    entries = [{"id": "CVE-1", "until": "2999-01-01"}, {"id": "CVE-2", "until": "2020-01-01"}]
    (checkout.folder / "accepted-findings.json").write_text(json.dumps(entries))
    done = checkout.step("audit", PATH=f"{checkout.folder}/bin:{os.environ['PATH']}")
    assert done.returncode == status, done.stderr
    audit, *forge = (checkout.folder / "calls").read_text().splitlines()
    assert audit.endswith("--requirement constraints.txt --ignore-vuln=CVE-1")
    assert forge == ([f"{asked} Known vulnerabilities in packages"] if asked else [])
