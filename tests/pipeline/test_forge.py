"""`pipeline/forge.sh` against a stand-in for the parts of GitHub's and GitLab's API that it uses."""

import json
import os
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parents[2] / "pipeline" / "forge.sh"
TOKEN = "obviously-fake-token"
MARKER = "<!-- hueshift:preview -->"
ME: dict[str, Any] = {"id": 7, "type": "Bot"}
SOMEBODY: dict[str, Any] = {"id": 8, "type": "User"}


class Forge:
    """Comments of one pull request and the issues of one repository, in pages as both forges give them."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.comments: list[dict[str, Any]] = []
        self.issues: list[dict[str, Any]] = []
        self.pull_request: dict[str, Any] = {}
        self.jobs: list[dict[str, Any]] = []
        """Of GitLab's pipeline 9, each with `left`: texts by name."""
        self.refused: set[str] = set()
        """Methods that are answered with 403."""
        self.calls: list[str] = []

    def add(self, things: list[dict[str, Any]], author: dict[str, Any] = ME, **content: object) -> dict[str, Any]:
        """Put something there that ``author`` wrote."""
        number = len(self.comments) + len(self.issues) + 1
        thing = {"id": number, "iid": number, "number": number, "user": author, "author": author, **content}
        things.append(thing)
        return thing

    def answer(self, method: str, url: str, content: dict[str, Any]) -> tuple[int, object]:
        """Return status and body of one request."""
        self.calls.append(f"{method} {url}")
        path, query = urlsplit(url).path, parse_qs(urlsplit(url).query)
        if method in self.refused:
            return 403, {"message": "Resource not accessible by integration"}
        if path == "/user" and self.kind == "GitLab":
            return 200, ME
        prefix = {"GitHub": "/repos/team/shop", "GitLab": "/projects/42"}[self.kind]
        places = {
            ("GitHub", f"{prefix}/issues/5/comments"): self.comments,
            ("GitHub", f"{prefix}/issues/comments"): self.comments,
            ("GitLab", f"{prefix}/merge_requests/5/notes"): self.comments,
            (self.kind, f"{prefix}/issues"): self.issues,
        }
        if method == "GET" and (things := places.get((self.kind, path))) is not None:
            opened = [thing for thing in things if "state" not in query or thing["state"] == query["state"][0]]
            size, page = int(query["per_page"][0]), int(query["page"][0])
            return 200, opened[size * (page - 1) : size * page]
        if method == "GET" and path in (f"{prefix}/pulls/5", f"{prefix}/merge_requests/5"):
            return 200, self.pull_request
        if (self.kind, method, path) == ("GitLab", "GET", f"{prefix}/pipelines/9/jobs"):
            return 200, [{key: said for key, said in job.items() if key != "left"} for job in self.jobs]
        if file := re.fullmatch(f"{prefix}/jobs/(\\d+)/artifacts/(.+)", path):
            (job,) = [job for job in self.jobs if job["id"] == int(file[1])]
            return (
                (200, job["left"][file[2]].encode()) if file[2] in job["left"] else (404, {"message": "404 Not found"})
            )
        if method == "POST" and (things := places.get((self.kind, path))) is not None:
            state: dict[str, Any] = (
                {"state": {"GitHub": "open", "GitLab": "opened"}[self.kind]} if things is self.issues else {}
            )
            return 201, self.add(things, **content, **state)
        parent, _, number = path.rpartition("/")
        if method == {"GitHub": "PATCH", "GitLab": "PUT"}[self.kind] and number.isdigit():
            found = next(thing for thing in places[self.kind, parent] if thing["id"] == int(number))
            found.update(content)
            return 200, found
        return 404, {"message": "404 Not Found"}


@contextmanager
def served(kind: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Forge]:
    """Serve one of the two on loopback, with the environment that its jobs have."""
    place = Forge(kind)
    sent = {"GitHub": ("Authorization", f"Bearer {TOKEN}"), "GitLab": ("PRIVATE-TOKEN", TOKEN)}[kind]

    class Handler(BaseHTTPRequestHandler):
        def reply(self) -> None:
            content = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or "null")
            status, body = (
                place.answer(self.command, self.path, content)
                if self.headers.get(sent[0]) == sent[1]
                else (401, {"message": "Bad credentials"})
            )
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body if isinstance(body, bytes) else json.dumps(body).encode())

        do_GET = do_POST = do_PATCH = do_PUT = reply  # noqa: N815 - the names that the server looks for

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        for name in os.environ.keys() & {"CI_API_V4_URL", "GITHUB_API_URL", "GITLAB_TOKEN", "GITHUB_TOKEN"}:
            monkeypatch.delenv(name)
        variables = {
            "GitHub": {
                "GITHUB_API_URL": url,
                "GITHUB_REPOSITORY": "team/shop",
                "GITHUB_TOKEN": TOKEN,
                "PULL_REQUEST": "5",
            },
            "GitLab": {
                "CI_API_V4_URL": url,
                "CI_PROJECT_ID": "42",
                "GITLAB_TOKEN": TOKEN,
                "CI_MERGE_REQUEST_IID": "5",
            },
        }[kind]
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        try:
            yield place
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(params=["GitHub", "GitLab"])
def forge(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Forge]:
    """Each of them."""
    with served(request.param, monkeypatch) as place:
        yield place


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the script; whatever it is asked, it never prints the token."""
    done = subprocess.run([SCRIPT, *arguments], capture_output=True, text=True, check=False)
    assert TOKEN not in done.stdout + done.stderr
    return done


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """Return a comment as `hueshift preview` prints it, with what a shell or JSON would trip over."""
    file = tmp_path / "preview.md"
    file.write_text(f'{MARKER}\n"90 %" $HOME `id` \\n é\n')
    return file


def test_the_first_comment_is_written_as_it_is(forge: Forge, page: Path) -> None:
    done = run("comment", page)
    assert done.returncode == 0, done.stderr
    assert [comment["body"] for comment in forge.comments] == [page.read_text()]


def test_a_later_comment_takes_the_place_of_the_first_though_many_were_written_before_it(
    forge: Forge, page: Path
) -> None:
    for number in range(100):
        forge.add(forge.comments, SOMEBODY, body=f"remark {number}")
    own = forge.add(forge.comments, body=f"{MARKER}\nold")
    done = run("comment", page)
    assert done.returncode == 0, done.stderr
    assert own["body"] == page.read_text()
    assert len(forge.comments) == 101


def test_comments_of_others_and_of_other_kinds_stay_as_they_are(forge: Forge, page: Path) -> None:
    quoted = forge.add(forge.comments, SOMEBODY, body=f"{MARKER}\ncopied by a person")
    review = forge.add(forge.comments, body="<!-- hueshift:review -->\nhttps://shop.example.com")
    assert run("comment", page).returncode == 0
    assert quoted["body"].endswith("person")
    assert review["body"].endswith("example.com")
    assert len(forge.comments) == 3


def test_a_file_without_the_marker_gets_that_of_its_name(forge: Forge, tmp_path: Path) -> None:
    file = tmp_path / "review.md"
    for text in ("url=https://one.example.com\n", "url=https://two.example.com\n"):
        file.write_text(text)
        assert run("comment", file).returncode == 0
    assert [comment["body"] for comment in forge.comments] == [
        "<!-- hueshift:review -->\nurl=https://two.example.com\n"
    ]


def test_an_issue_is_opened_once_brought_up_to_date_and_closed(forge: Forge, page: Path) -> None:
    theirs = forge.add(forge.issues, SOMEBODY, title="Drift in staging", state="opened", body="mine", description="")
    theirs["state"] = "open" if forge.kind == "GitHub" else "opened"
    assert run("close", "Drift in staging").returncode == 0
    assert theirs["state"] != "closed"
    for text in ("first", "second"):
        page.write_text(text)
        assert run("issue", "Drift in staging", page).returncode == 0
    (issue,) = forge.issues[1:]
    assert issue["body" if forge.kind == "GitHub" else "description"] == "second"
    assert run("close", "Drift in staging").returncode == 0
    assert issue["state" if forge.kind == "GitHub" else "state_event"] == (
        "closed" if forge.kind == "GitHub" else "close"
    )
    assert theirs["state"] != "closed"


@pytest.mark.parametrize(
    ("state", "labels", "said"),
    [
        ("open", ["review"], "yes"),
        ("open", ["other"], "no"),
        ("closed", ["review"], "no"),
        ("merged", ["review"], "no"),
    ],
)
def test_a_review_is_wanted_while_its_pull_request_is_open_with_the_label(
    forge: Forge, state: str, labels: list[str], said: str
) -> None:
    github = forge.kind == "GitHub"
    forge.pull_request = {
        "state": "opened" if state == "open" and not github else state,
        "labels": [{"name": label} for label in labels] if github else labels,
    }
    done = run("reviewed", "5")
    assert (done.returncode, done.stdout) == (0, f"{said}\n"), done.stderr


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_refusal_of_the_forge_fails_with_what_it_says(forge: Forge, page: Path, method: str) -> None:
    forge.refused.add(method)
    done = run("comment", page)
    assert done.returncode == 1
    assert re.search(
        rf"{forge.kind} refused {method} \S+ with 403: Resource not accessible by integration", done.stderr
    )
    assert forge.comments == []


def test_a_forge_that_is_not_there_fails(forge: Forge, monkeypatch: pytest.MonkeyPatch) -> None:
    variable = "CI_API_V4_URL" if forge.kind == "GitLab" else "GITHUB_API_URL"
    monkeypatch.setenv(variable, "http://127.0.0.1:1")
    done = run("close", "Drift in staging")
    assert done.returncode == 1
    assert "does not answer at http://127.0.0.1:1" in done.stderr


def test_the_token_is_in_no_process_arguments(
    forge: Forge, page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, folder = tmp_path / "arguments", tmp_path / "bin"
    folder.mkdir()
    for program in ("curl", "jq"):
        wrapper = folder / program
        wrapper.write_text(f'#!/bin/sh\necho "$@" >>{log}\nexec /usr/bin/{program} "$@"\n')
        wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    assert run("comment", page).returncode == 0
    assert len(forge.comments) == 1
    assert "--request POST" in log.read_text()
    assert TOKEN not in log.read_text()


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["comment"], 2, "forge.sh comment FILE | issue TITLE FILE | close TITLE | reviewed NUMBER | left JOB FOLDER"),
        (["remove", "all"], 2, "forge.sh comment FILE"),
        (["comment", "absent.md"], 1, "there is no file absent.md"),
    ],
)
def test_a_mistaken_call_says_what_is_meant(forge: Forge, arguments: list[str], status: int, says: str) -> None:
    done = run(*arguments)
    assert done.returncode == status
    assert says in done.stderr
    assert forge.calls == []


def test_a_missing_variable_is_named(forge: Forge, page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = "PULL_REQUEST" if forge.kind == "GitHub" else "CI_MERGE_REQUEST_IID"
    monkeypatch.delenv(missing)
    done = run("comment", page)
    assert done.returncode == 1
    assert f"{missing} is not set" in done.stderr


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Forge]:
    """GitLab, in a job of a pipeline with one that updates staging."""
    with served("GitLab", monkeypatch) as place:
        monkeypatch.setenv("CI_PIPELINE_ID", "9")
        monkeypatch.setenv("STACK", "staging")
        yield place


LEFT = {"staging.env": "base=1\n", "Pulumi.staging.yaml": "green\n", "releases.json": "{}\n"}


def update(status: str, **left: str) -> dict[str, Any]:
    """Return the job that updates, as GitLab tells it."""
    return {"id": 3, "name": "staging", "status": status, "artifacts_file": {"filename": "artifacts.zip"}, "left": left}


@pytest.mark.parametrize("status", ["success", "failed", "canceled"])
def test_what_a_job_of_gitlab_has_left_is_asked_for_by_name_whatever_became_of_it(
    jobs: Forge, tmp_path: Path, status: str
) -> None:
    evil = {"pipeline/keep.sh": "evil\n", "Pulumi.production.yaml": "evil\n", ".git/config": "evil\n"}
    jobs.jobs = [{"id": 2, "name": "build", "status": "success"}, update(status, **LEFT, **evil)]
    done = run("left", "staging", tmp_path / "kept")
    assert done.returncode == 0, done.stderr
    assert {file.name: file.read_text() for file in (tmp_path / "kept").iterdir()} == {
        "newest.env": "base=1\n",
        "Pulumi.staging.yaml": "green\n",
        "releases.json": "{}\n",
    }
    done = run("ended", "staging")
    assert done.returncode == int(status != "success")
    assert status == "success" or f"staging ended as {status}, see there; when it is run again, run this" in done.stderr


@pytest.mark.parametrize("newest", [None, ""])
@pytest.mark.parametrize("status", ["success", "failed"])
def test_of_a_job_that_did_nothing_there_is_nothing_to_keep_and_one_that_could_not_is_red(
    jobs: Forge, tmp_path: Path, newest: str | None, status: str
) -> None:
    jobs.jobs = [update(status, **{**LEFT, "staging.env": newest or ""})]
    if newest is None:
        del jobs.jobs[0]["left"]["staging.env"]
    done = run("left", "staging", tmp_path / "kept")
    assert done.returncode == int(status != "success")
    assert ("nothing to keep: staging has done nothing to staging" in done.stderr) is (status == "success")
    newest_ = tmp_path / "kept/newest.env"
    assert not newest_.exists() or newest_.read_text() == ""


@pytest.mark.parametrize(("status", "said"), [("success", "merge by hand what"), ("canceled", "ended as canceled")])
def test_what_is_not_there_any_more_is_not_taken_for_nothing(
    jobs: Forge, tmp_path: Path, status: str, said: str
) -> None:
    jobs.jobs = [{key: value for key, value in update(status).items() if key != "artifacts_file"}]
    done = run("left", "staging", tmp_path / "kept")
    assert done.returncode == 1
    assert said in done.stderr
    jobs.jobs = []
    assert "this pipeline has no job staging" in run("left", "staging", tmp_path / "kept").stderr
