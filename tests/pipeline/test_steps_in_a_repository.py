"""The steps that decide what a pipeline does with a change, in a small repository; pulumi's part is a stand-in."""

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from hueshift.preview.report import Report

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
FILES = {
    "Pulumi.yaml": "name: hueshift\n",
    "Pulumi.staging.yaml": (
        "config:\n  aws:region: eu-west-1\n  hueshift:activeColor: blue\n  hueshift:cluster: {name: staging}\n"
    ),
    "Pulumi.production.yaml": "config:\n  hueshift:services:\n    shop:\n      canaryWeight: 0\n      port: 8080\n",
    "Pulumi.sandbox.yaml": "config:\n  hueshift:activeColor: blue\n",
    "releases.json": "{}\n",
    "README.md": "hueshift\n",
    "docs/page.txt": "page\n",
    "app/main.py": "print(1)\n",
}


REAL = f'PYTHONPATH={ROOT} exec {ROOT}/.venv/bin/python -m hueshift "$@"'


class Place:
    """A clone with a remote, in which the pipeline's scripts lie untracked. No git setting of this machine counts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "clone"
        self.variables = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("GIT", "CI_", "AWS_"))},
            **{
                f"GIT_{who}_{what}": f"{what}@example.com"
                for who in ("AUTHOR", "COMMITTER")
                for what in ("NAME", "EMAIL")
            },
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_SYSTEM": os.devnull,
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        }
        (folder / "bin").mkdir()
        self.program("hueshift", REAL)
        subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", folder / "remote"], check=True)
        subprocess.run(["git", "clone", "--quiet", folder / "remote", self.folder], check=True, capture_output=True)
        self.git("checkout", "--quiet", "-b", "main")
        shutil.copytree(ROOT / "pipeline", self.folder / "pipeline")
        (self.folder / ".git/info/exclude").write_text("pipeline\n.venv\npreview-*.json\npreview.md\n")
        self.base = self.commit(FILES)

    def git(self, *arguments: str) -> str:
        """Run git there and return what it prints."""
        done = subprocess.run(["git", *arguments], cwd=self.folder, env=self.variables, capture_output=True, check=True)
        return done.stdout.decode().strip()

    def commit(self, files: Mapping[str, str | None]) -> str:
        """Write files, or remove those without text; commit, push, and return the commit."""
        for name, text in files.items():
            file = self.folder / name
            file.parent.mkdir(exist_ok=True)
            if text is None:
                file.unlink()
            else:
                file.write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message=change")
        self.git("push", "--quiet", "origin", "HEAD:main")
        return self.git("rev-parse", "HEAD")

    def program(self, name: str, script: str) -> None:
        """Put a program first on PATH."""
        file = self.folder.parent / "bin" / name
        file.write_text(f"#!/bin/bash\n{script}\n")
        file.chmod(0o755)

    def step(self, name: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a step of the pipeline."""
        return subprocess.run(
            [f"pipeline/{name}", *arguments],
            cwd=self.folder,
            env={**self.variables, **variables},
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Return a clone whose branch has one commit."""
    return Place(tmp_path)


@pytest.mark.parametrize("name", ["changes", "comment", "deploy", "forge", "newest", "required", "setup", "unread"])
def test_each_explains_itself_and_refuses_arguments_that_it_does_not_take(name: str) -> None:
    step = ROOT / f"pipeline/{name}.sh"
    asked = subprocess.run([step, "--help"], capture_output=True, text=True, check=False)
    assert asked.returncode == 0
    assert asked.stdout.startswith(f"{name}.sh")
    mistaken = subprocess.run([step, "a", "b", "c", "d"], capture_output=True, text=True, check=False)
    assert (mistaken.returncode, mistaken.stdout, mistaken.stderr) == (2, "", asked.stdout)


FLIP = {"Pulumi.staging.yaml": FILES["Pulumi.staging.yaml"].replace("blue", "green")}
LOCAL = {"Pulumi.sandbox.yaml": FILES["Pulumi.sandbox.yaml"].replace("blue", "green")}
CANARY = {"Pulumi.production.yaml": FILES["Pulumi.production.yaml"].replace("Weight: 0", "Weight: 10")}
MUCH = {"Pulumi.staging.yaml": "".join(f"setting{number}: value\n" for number in range(20_000))}
MORE = {"Pulumi.production.yaml": CANARY["Pulumi.production.yaml"].replace("8080", "8081")}


@pytest.mark.parametrize(
    ("files", "kind", "stacks", "flips"),
    [
        pytest.param({"README.md": "x", "docs/page.txt": "x"}, "docs", [], [], id="pages"),
        pytest.param({"README.md": None}, "docs", [], [], id="a page that goes"),
        pytest.param(FLIP, "stacks", ["staging"], ["staging"], id="a flip"),
        pytest.param({**CANARY, "README.md": "x"}, "stacks", ["production"], ["production"], id="a canary with a page"),
        pytest.param({**MORE, **FLIP}, "stacks", ["production", "staging"], ["staging"], id="a flip and more"),
        pytest.param({"releases.json": "[]"}, "stacks", [], [], id="the record"),
        pytest.param({"Pulumi.staging.yaml": None}, "stacks", [], [], id="a stack that goes"),
        pytest.param({"app/main.py": "print(2)\n", **FLIP}, "code", ["staging"], ["staging"], id="code with a flip"),
        pytest.param({"app/main.py": "x", "releases.json": "[]"}, "code", [], [], id="code with the record"),
        pytest.param({"new/file": "x"}, "code", [], [], id="something new"),
        pytest.param({"tests/x.py": "x", ".github/a.yml": "x", "README.md": "x"}, "tests", [], [], id="tests"),
        pytest.param({"tests/x.py": "x", **FLIP}, "code", ["staging"], ["staging"], id="tests with a flip"),
        pytest.param(MUCH, "stacks", ["staging"], [], id="more than a pipe holds"),
        pytest.param(LOCAL, "code", [], [], id="a flip of what the tests run, which nobody previews"),
    ],
)
def test_a_change_is_told_by_its_files(
    place: Place, files: dict[str, str | None], kind: str, stacks: list[str], flips: list[str]
) -> None:
    place.commit(files)
    done = place.step("changes.sh", place.base)
    assert done.returncode == 0, done.stderr
    said = dict(line.split("=", 1) for line in done.stdout.splitlines())
    assert said["kind"] == kind
    assert json.loads(said["stacks"]) == stacks
    assert json.loads(said["flips"]) == flips


@pytest.mark.parametrize("base", ["0" * 40, "absent", ""])
def test_a_change_since_an_unknown_commit_is_code(place: Place, base: str) -> None:
    done = place.step("changes.sh", base)
    assert done.stdout.splitlines()[0] == "kind=code"
    assert "not in this clone" in done.stderr


def test_a_job_that_waited_has_its_own_program_and_the_newest_stack_files(place: Place) -> None:
    own = place.commit({"app/main.py": "print('own')\n"})
    newest = place.commit({**FLIP, "app/main.py": "print('later')\n", "Pulumi.sandbox.yaml": None, "new.py": ""})
    place.git("reset", "--quiet", "--hard", own)
    done = place.step("newest.sh", "main")
    assert done.returncode == 0, done.stderr
    assert (place.folder / "app/main.py").read_text() == "print('own')\n"
    assert (place.folder / "Pulumi.staging.yaml").read_text() == FLIP["Pulumi.staging.yaml"]
    assert not (place.folder / "Pulumi.sandbox.yaml").exists()
    assert not (place.folder / "new.py").exists()
    assert place.git("rev-parse", "HEAD") == newest


def test_what_such_a_job_keeps_is_only_its_own_change_though_others_pushed_again(place: Place) -> None:
    own = place.commit({"app/main.py": "print('own')\n"})
    place.commit({**FLIP, "app/main.py": "print('later')\n"})
    place.git("reset", "--quiet", "--hard", own)
    place.git("checkout", "--quiet", "--detach")
    assert place.step("newest.sh", "main").returncode == 0
    (place.folder / "Pulumi.staging.yaml").write_text(FILES["Pulumi.staging.yaml"])
    other = place.folder.parent / "other"
    subprocess.run(["git", "clone", "--quiet", place.folder.parent / "remote", other], check=True)
    (other / "README.md").write_text("later still\n")
    for command in (["commit", "--quiet", "--all", "--message=page"], ["push", "--quiet", "origin", "main"]):
        subprocess.run(["git", *command], cwd=other, env=place.variables, check=True)
    done = place.step("keep.sh", "Roll back", CI_COMMIT_BRANCH="main", GITHUB_REF_NAME="", GITHUB_ACTIONS="true")
    assert done.returncode == 0, done.stderr
    assert place.git("show", "--name-only", "--format=%s", "origin/main").splitlines() == [
        "Roll back [skip ci]",
        "",
        "Pulumi.staging.yaml",
    ]
    assert place.git("show", "origin/main:app/main.py") == "print('later')"
    assert place.git("show", "origin/main:README.md") == "later still"


@pytest.mark.parametrize(
    ("results", "kind", "green"),
    [
        (["success", "success"], "code", True),
        (["success", "skipped"], "docs", True),
        (["success", "skipped"], "stacks", True),
        (["success", "skipped"], "code", False),
        (["success", "skipped"], None, False),
        (["failure", "skipped"], "docs", False),
        (["success", "cancelled"], "docs", False),
    ],
)
def test_the_required_check_is_green_only_if_all_ran_or_nothing_but_harmless_files_changed(
    place: Place, results: list[str], kind: str | None, green: bool
) -> None:
    needs = {
        "changes": {"result": results[0], "outputs": {"kind": kind}},
        "test": {"result": results[1], "outputs": {}},
    }
    done = place.step("required.sh", NEEDS=json.dumps(needs))
    assert (done.returncode == 0) is green
    assert green or any(f"{job}: {said['result']}" in done.stderr for job, said in needs.items())


def previewed(place: Place, refused: str = "-") -> Path:
    """Put a `hueshift` there that writes down how it is called, and fails where its arguments contain ``refused``."""
    log = place.folder.parent / "called"
    for name in ("hueshift", "pulumi"):
        real = f"[ {name}$1 = hueshiftchanges ] && {REAL}"
        place.program(name, f'{real}\necho {name} "$@" >>{log}; echo said; [[ "$*" != *"{refused}"* ]]')
    (place.folder / "pipeline/forge.sh").write_text(f'#!/bin/bash\necho forge "$@" >>{log}\n')
    return log


def test_a_reviewed_flip_that_would_change_more_is_not_deployed(place: Place) -> None:
    log = previewed(place, refused="--flip-only")
    place.commit(FLIP)
    done = place.step("deploy.sh", "staging", place.base)
    assert done.returncode == 1
    assert "a change of weights alone" in done.stderr
    assert "pulumi" not in log.read_text()


def test_a_reviewed_change_of_more_is_deployed_as_it_is(place: Place) -> None:
    log = previewed(place, refused="--flip-only")
    place.commit({**MORE, **FLIP})
    assert place.step("deploy.sh", "production", place.base).returncode == 0
    assert "pulumi up --yes" in log.read_text()


def test_where_it_cannot_be_told_what_a_change_is_nothing_is_taken_for_checked(place: Place) -> None:
    log = previewed(place)
    (place.folder / "preview-staging.json").write_text("[]")
    (place.folder / "pipeline/changes.sh").write_text("#!/bin/bash\nexit 3\n")
    assert place.step("comment.sh", place.base).returncode != 0
    assert place.step("deploy.sh", "staging", place.base).returncode != 0
    assert "pulumi" not in log.read_text()


@pytest.mark.parametrize(
    ("refused", "status"),
    [
        pytest.param("nothing", 0, id="all is well"),
        pytest.param("preview-production.json --from", 1, id="a preview failed"),
        pytest.param("preview-staging.json --flip-only", 1, id="a flip would change more"),
        pytest.param("preview-production.json --flip-only", 0, id="what is no flip may change more"),
    ],
)
def test_the_comment_is_written_whatever_the_previews_say(place: Place, refused: str, status: int) -> None:
    log = previewed(place, refused)
    for stack in ("production", "staging"):
        (place.folder / f"preview-{stack}.json").write_text("[]")
    place.commit({**FLIP, **MORE})
    done = place.step("comment.sh", place.base)
    assert done.returncode == status, done.stderr
    assert log.read_text().count("forge comment preview.md") == 1
    assert (place.folder / "preview.md").read_text() == "said\n"


def test_a_stack_whose_preview_is_missing_is_in_the_comment_as_one_that_failed(place: Place) -> None:
    log = previewed(place)
    (place.folder / "preview-staging.json").write_text("[]")
    (place.folder / "preview-production.json").touch()
    place.step("comment.sh", place.base)
    joined = f"preview --base {place.base} --from preview-production.json --from preview-staging.json\n"
    assert joined in log.read_text()
    (report,) = TypeAdapter(list[Report]).validate_json((place.folder / "preview-production.json").read_bytes())
    assert (report.stack, report.failed) == ("production", True)
    assert (place.folder / "preview-staging.json").read_text() == "[]"


@pytest.mark.parametrize(
    ("refused", "issue"),
    [("nothing", "close Drift in staging"), ("--refresh", "issue Drift in staging drift-staging.md")],
)
def test_an_issue_is_open_as_long_as_a_stack_has_drifted(place: Place, refused: str, issue: str) -> None:
    log = previewed(place, refused)
    done = place.step("drift.sh", "staging")
    assert done.returncode == 0, done.stderr
    assert f"forge {issue}\n" in log.read_text()


def runner(place: Place) -> Path:
    """Give the clone what a runner finds in it, and return where calls of programs are written."""
    log = place.folder.parent / "called"
    for name in ("aws", "make"):
        place.program(name, f'echo {name} "$@" >>{log}')
    (place.folder / "pipeline/plugins.sh").write_text(f"#!/bin/bash\necho plugins >>{log}\nexit ${{REFUSED:-0}}\n")
    for part in (".venv", "components", "hueshift"):
        (place.folder / part).symlink_to(ROOT / part)
    return log


def test_a_runner_is_given_the_cluster_of_the_stack_and_the_programs(place: Place) -> None:
    log = runner(place)
    path, token = (place.folder.parent / name for name in ("path", "token"))
    given = {"GITHUB_PATH": str(path), "AWS_ID_TOKEN": "obviously-fake", "AWS_WEB_IDENTITY_TOKEN_FILE": str(token)}
    done = place.step("setup.sh", "staging", **given)
    assert done.returncode == 0, done.stderr
    assert "aws eks update-kubeconfig --name staging --region eu-west-1" in log.read_text()
    assert path.read_text() == f"{place.folder}/.venv/bin\n"
    assert token.read_text() == "obviously-fake"
    assert token.stat().st_mode & 0o077 == 0
    assert place.step("setup.sh").returncode == 0
    absent = place.step("setup.sh", "absent")
    assert absent.returncode == 1
    assert "there is no Pulumi.absent.yaml" in absent.stderr


def test_a_plugin_that_is_refused_leaves_the_way_back_which_needs_none(place: Place) -> None:
    log = runner(place)
    done = place.step("setup.sh", "staging", REFUSED="1")
    assert done.returncode == 0, done.stderr
    assert "what needs a plugin that was refused will fail" in done.stderr
    assert log.read_text().splitlines()[-2:] == [
        "plugins",
        "aws eks update-kubeconfig --name staging --region eu-west-1",
    ]


@pytest.mark.parametrize(
    ("cluster", "said"),
    [
        ("{name: on}", "--name on --region eu-west-1"),
        ('\'{"name": "main"}\'', "--name main --region eu-west-1"),
        ("{}", None),
        ("{name: main, name: other}", None),
    ],
)
def test_the_cluster_of_a_runner_is_read_as_the_engine_reads_it(place: Place, cluster: str, said: str | None) -> None:
    log = runner(place)
    (place.folder / "Pulumi.staging.yaml").write_text(
        f"config:\n  aws:region: eu-west-1\n  hueshift:cluster: {cluster}\n"
    )
    done = place.step("setup.sh", "staging")
    assert "Traceback" not in done.stderr
    assert done.returncode == int("other" in cluster), done.stderr
    calls = [line for line in log.read_text().splitlines() if line.startswith("aws")]
    assert calls == ([f"aws eks update-kubeconfig {said}"] if said else [])


@pytest.mark.parametrize(
    ("forge", "opened", "closed"),
    [
        ("GITHUB_ACTIONS", r"::group::pulumi up --stack staging", r"::endgroup::"),
        (
            "GITLAB_CI",
            r"\x1b\[0Ksection_start:\d+:(step_\d+)\s\x1b\[0Kpulumi up --stack staging",
            r"\x1b\[0Ksection_end:\d+:\1\s\x1b\[0K",
        ),
    ],
)
def test_the_log_of_an_update_folds(place: Place, forge: str, opened: str, closed: str) -> None:
    previewed(place)
    said = place.step("up.sh", "staging", **{"GITHUB_ACTIONS": "", "GITLAB_CI": "", forge: "true"}).stderr
    assert re.fullmatch(f"{opened}\nsaid\n{closed}\n", said), said


def test_a_review_is_not_called_gone_where_that_cannot_be_asked(place: Place) -> None:
    place.program("pulumi", "exit 1")
    done = place.step("review.sh", "down", "review-42")
    assert done.returncode == 1
    assert "nothing is left" not in done.stderr


def test_the_stack_file_of_a_review_is_neither_kept_nor_in_the_way(place: Place) -> None:
    place.commit({".gitignore": "/Pulumi.review-*.yaml\n"})
    (place.folder / "Pulumi.review-42.yaml").write_text("config: {}\n")
    (place.folder / "Pulumi.staging.yaml").write_text(FLIP["Pulumi.staging.yaml"])
    done = place.step("keep.sh", "Flip", CI_COMMIT_BRANCH="main", GITHUB_REF_NAME="")
    assert done.returncode == 0, done.stderr
    assert place.git("show", "--name-only", "--format=", "origin/main") == "Pulumi.staging.yaml"


COLORS = (
    "config:\n  hueshift:activeColor: {active}\n  hueshift:services:\n    shop:\n      host: shop.example.com\n"
    "      colors: {{blue: {{version: 1.4.0}}, green: {{version: {green}}}}}\n"
)


@pytest.mark.parametrize(
    ("later", "said"),
    [
        pytest.param("1.5.0", "pulumi up", id="what was reviewed is there"),
        pytest.param("1.6.0", "since its review a color", id="it has got another version"),
    ],
)
def test_weights_are_moved_only_to_the_versions_with_which_they_were_reviewed(
    place: Place, later: str, said: str
) -> None:
    log = previewed(place, refused="nothing")
    file = "Pulumi.staging.yaml"
    before = place.commit({file: COLORS.format(active="blue", green="1.5.0")})
    reviewed = place.commit({file: COLORS.format(active="green", green="1.5.0")})
    place.commit({file: COLORS.format(active="green", green=later), "README.md": "later\n"})
    done = place.step("deploy.sh", "staging", before, reviewed)
    assert said in done.stderr
    assert (done.returncode == 0) is log.exists() is (later == "1.5.0")


def test_a_flip_is_judged_by_its_own_commits_though_main_has_got_a_delivery_since(place: Place) -> None:
    log = previewed(place, refused="--flip-only")
    base, reviewed = place.base, place.commit(FLIP)
    text = FLIP["Pulumi.staging.yaml"] + "  hueshift:podCidrs: [10.0.0.0/8]\n"
    place.commit({"Pulumi.staging.yaml": text})
    done = place.step("deploy.sh", "staging", base, reviewed)
    assert done.returncode == 1
    assert "a change of weights alone" in done.stderr
    assert "pulumi" not in log.read_text()


def test_without_a_base_a_stack_is_brought_to_its_file_as_it_is(place: Place) -> None:
    log = previewed(place, refused="changes")
    assert place.step("deploy.sh", "staging", "").returncode == 0
    assert "pulumi up --yes" in log.read_text()


def test_weights_and_the_program_are_not_merged_together(place: Place) -> None:
    previewed(place)
    place.commit({"app/main.py": "print(2)\n", **FLIP})
    done = place.step("comment.sh", place.base, GITHUB_ACTIONS="true")
    assert done.returncode == 1
    assert "::error title=comment.sh::this changes weights and the program at once" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_cancelled_step_lets_the_engine_end_by_itself(place: Place, number: signal.Signals) -> None:
    ended = place.folder.parent / "ended"
    place.program("pulumi", f"trap 'sleep 0.3; echo unlocked >{ended}; exit 1' INT; echo began; sleep 30 & wait")
    step = subprocess.Popen(
        # A shell cannot trap what whoever started the tests, in the background, lets them ignore.
        ["env", "--default-signal=INT", "pipeline/up.sh", "staging"],
        cwd=place.folder,
        env=place.variables,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert step.stderr is not None
    while "began" not in step.stderr.readline():
        pass
    step.send_signal(number)  # to it alone, as a runner does
    assert step.wait(timeout=10) != 0
    assert ended.read_text() == "unlocked\n"


def test_an_older_commit_takes_a_delivery_of_a_later_one_back_nowhere(place: Place) -> None:
    older = place.commit({"app/main.py": "print('older')\n"})
    newer = place.commit({"app/main.py": "print('newer')\n"})
    variables = {"GITHUB_REF_NAME": "main", "CI_COMMIT_BRANCH": "", "GITHUB_ACTIONS": ""}
    done = place.step("keep.sh", "Deliver", DELIVERS="staging", GITHUB_SHA=newer, **variables)
    assert done.returncode == 0, done.stderr
    assert place.git("log", "-1", "--format=%B", "origin/main") == f"Deliver\n\nDelivers: staging {newer}"
    for commit, stack, refused in (
        (older, "staging", True),
        (newer, "staging", False),
        (older, "production", False),
    ):
        place.git("checkout", "--quiet", "--detach", commit)
        done = place.step("newest.sh", "main", stack)
        assert done.returncode == int(refused), done.stderr
        assert (f"staging has got the program of {newer[:9]}" in done.stderr) is refused
        place.git("checkout", "--quiet", "--force", "main")


def test_what_was_shown_for_approval_is_what_is_there_or_the_job_stops(place: Place) -> None:
    own = place.git("rev-parse", "HEAD")
    shown = dict(line.split("=") for line in place.step("newest.sh", "main", "staging").stdout.splitlines())
    assert shown["base"] == own
    same = place.step("newest.sh", "main", "staging", shown["file"])
    assert same.returncode == 0, same.stderr
    place.commit(CANARY)
    assert place.step("newest.sh", "main", "staging", shown["file"]).returncode == 0, "another stack's file"
    place.commit(FLIP)
    place.git("checkout", "--quiet", "--detach", own)
    done = place.step("newest.sh", "main", "staging", shown["file"])
    assert done.returncode == 1
    assert "Pulumi.staging.yaml has changed on main since its preview was shown for approval" in done.stderr


def test_whoever_approves_sees_the_release_its_plan_and_the_preview_on_the_page_of_the_run(place: Place) -> None:
    page = place.folder.parent / "summary"
    place.program("hueshift", 'echo "said: $*"; [ "$1" != image ] || [ -z "$REFUSE" ]')
    words = ("production", "shop", "shop@sha256:1", "1.6.0", "0003")
    done = place.step("show.sh", *words, GITHUB_STEP_SUMMARY=str(page))
    assert done.returncode == 0, done.stderr
    said = page.read_text()
    assert said.startswith("## shop 1.6.0 in production\n")
    for part in (
        "image set shop shop@sha256:1 --version 1.6.0 --schema 0003 --stack production --unless-served",
        "plan --service shop --stack production",
        "preview --stack production",
    ):
        assert f"said: {part}\n" in said
    page.unlink()
    assert place.step("show.sh", *words, GITHUB_STEP_SUMMARY=str(page), REFUSE="yes").returncode == 0
    assert "as it is now the release would be refused: said: image set" in page.read_text()


def test_an_applied_file_is_shown_as_it_is_and_one_that_fails_its_preview_is_not_approved(place: Place) -> None:
    page = place.folder.parent / "summary"
    place.program("hueshift", 'echo "said: $*"; [ -z "$REFUSE" ]')
    for refuse in ("", "yes"):
        done = place.step("show.sh", "staging", "", "", "", "", GITHUB_STEP_SUMMARY=str(page), REFUSE=refuse)
        assert done.returncode == (1 if refuse else 0)
        assert page.read_text() == "said: preview --stack staging\n"
        page.unlink()


def test_a_review_whose_pull_request_is_gone_is_swept_and_the_others_stay(place: Place) -> None:
    log = place.folder.parent / "called"
    names = json.dumps([{"name": name} for name in ("review-1", "review-2", "staging", "review-x")])
    answers = f"stack\\ ls*) echo '{names}' ;; *export*) echo '{{\"deployment\": {{}}}}' ;;"
    place.program("pulumi", f'echo pulumi "$@" >>{log}; case "$*" in {answers} esac')
    (place.folder / "pipeline/forge.sh").write_text('#!/bin/bash\n[ "$2" = 1 ] && echo yes || echo no\n')
    done = place.step("review.sh", "sweep")
    assert done.returncode == 0, done.stderr
    said = log.read_text()
    assert "destroy" in said
    assert "review-2" in said
    assert "review-1" not in said
    assert "review-x" not in said


@pytest.mark.parametrize(("kind", "status"), [("docs", 0), ("tests", 0), ("stacks", 1), ("code", 1), ("", 1)])
def test_what_nobody_has_read_is_green_only_if_no_stack_is_touched(place: Place, kind: str, status: int) -> None:
    done = place.step("unread.sh", kind)
    assert done.returncode == status
    assert status == 0 or "under a name of their own" in done.stderr


def test_a_branch_of_a_fork_that_changes_a_stack_is_not_green_for_want_of_a_preview(place: Place) -> None:
    for kind, status in (("docs", 0), ("tests", 0), ("stacks", 1), ("code", 1)):
        needs = {
            "changes": {"result": "success", "outputs": {"kind": kind}},
            "stack": {"result": "skipped", "outputs": {}},
        }
        done = place.step(
            "required.sh", NEEDS=json.dumps(needs), HARMLESS='["docs", "tests"]', HINT="push it under another name"
        )
        assert done.returncode == status
        assert (done.stderr == "required.sh: not green: stack: skipped; push it under another name\n") is bool(status)


def test_two_jobs_of_one_user_have_a_kubeconfig_each(place: Place, tmp_path: Path) -> None:
    runner(place)
    place.program("aws", 'echo "cluster" >"$KUBECONFIG"')
    for name in ("one", "other"):
        folder = tmp_path / name
        folder.mkdir()
        variables = {"GITHUB_ENV": str(folder / "env"), "RUNNER_TEMP": str(folder), "KUBECONFIG": "/absent/shared"}
        done = place.step("setup.sh", "staging", **variables)
        assert done.returncode == 0, done.stderr
        assert (folder / "env").read_text() == f"KUBECONFIG={folder}/kubeconfig\n"
        assert (folder / "kubeconfig").exists()
