"""A whole workflow, run as GitHub's runner does it, by one that needs no Docker: by its conditions and in its order.

Actions of others are stand-ins in folders, and so are the engine, AWS and GitHub's API.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.hueshift.preview.test_preview import SERVICE, component, moved, outputs

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]  # the first waits for the build of act, once

ROOT: Final = Path(__file__).resolve().parents[2]
BUILD: Final = ROOT / "sandbox/go/build.sh"
RUNS: Final = {
    "actions/cache": "exit 1",  # of the job that checks alone
    "actions/download-artifact": 'cp "$ARTIFACTS"/${{ inputs.pattern }}/* .',
    "actions/setup-python": "true",
    "actions/upload-artifact": 'mkdir "$ARTIFACTS/${{ inputs.name }}" && cp ${{ inputs.path }} "$_"',
    "aws-actions/configure-aws-credentials": 'echo "role ${{ inputs.role-to-assume }}" >>"$CALLED"',
    "pulumi/actions": "true",
}
"""What the stand-in of each action does."""
PROGRAMS: Final = {
    "aws": 'echo "aws $*" >>"$CALLED"',
    "make": f'echo "make $*" >>"$CALLED"; ln -sfn {(ROOT / ".venv").resolve()} .venv',
    "pulumi": """
echo "pulumi $1" >>"$CALLED"
[ "$1" = preview ] || exit 1
while [ "$1" != --stack ]; do shift; done
cat "$EVENTS/$2.jsonl"
""",
    "curl": """
method=GET
while [ $# -gt 1 ]; do
  case $1 in --request) method=$2 ;; --output) answer=$2 ;; --data-binary) body=${2#@} ;; esac
  shift
done
echo "$method ${1#https://}" >>"$CALLED"
if [ $method = GET ]; then echo '[]' >"$answer"; else cp "$body" "$EVENTS/comment.json"; echo '{}' >"$answer"; fi
printf 200
""",
}
STACK: Final = """config:
  aws:region: eu-west-1
  hueshift:cluster: {{name: {name}}}
  hueshift:activeColor: blue
  hueshift:canaryWeight: {weight}
"""


@dataclass(frozen=True)
class Forge:
    """A repository with a pull request that is checked out as GitHub does it, and what stands in for the world."""

    place: Path
    act: Path

    @property
    def repository(self) -> Path:
        return self.place / "shop"

    @property
    def called(self) -> list[str]:
        return (self.place / "called").read_text().splitlines()

    @property
    def comment(self) -> str:
        body: str = json.loads((self.place / "comment.json").read_text())["body"]
        return body

    def git(self, *words: str) -> str:
        identity = ("-c", "user.name=x", "-c", "user.email=x@example.com")
        done = subprocess.run(
            ["git", *identity, *words], cwd=self.repository, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def pull_request(self, *, source: str = "example/shop") -> "subprocess.CompletedProcess[str]":
        """Run the workflow `preview` for the pull request of a branch of a repository."""
        event = {
            "repository": {"full_name": "example/shop"},
            "pull_request": {"number": 7, "head": {"ref": "canary", "repo": {"full_name": source}}},
        }
        (self.place / "event.json").write_text(json.dumps(event))
        given = {"ARTIFACTS": self.place / "artifacts", "CALLED": self.place / "called", "EVENTS": self.place}
        variables = {"STAGING_PREVIEW_ROLE": "staging-preview", "PRODUCTION_PREVIEW_ROLE": "production-preview"}
        cached = {name: os.environ[name] for name in ("PYTHONPYCACHEPREFIX",) if name in os.environ}
        command = [
            *(str(self.act / "act"), "pull_request", "--workflows", ".github/workflows/preview.yml"),
            *("--eventpath", str(self.place / "event.json"), "--platform", "ubuntu-24.04=-self-hosted"),
            *("--no-cache-server", "--action-offline-mode", "--secret", "GITHUB_TOKEN=obviously-fake"),
            *(word for name, path in given.items() for word in ("--env", f"{name}={path}")),
            *("--env", "AWS_EC2_METADATA_DISABLED=true"),
            *(word for name, value in cached.items() for word in ("--env", f"{name}={value}")),
            *(word for name, value in variables.items() for word in ("--var", f"{name}={value}")),
            *(word for pair in self._stand_ins() for word in ("--local-repository", pair)),
        ]
        environment = {"HOME": str(self.place), "PATH": f"{self.place / 'bin'}:{os.environ['PATH']}"}
        return subprocess.run(
            command, cwd=self.repository, env=environment, capture_output=True, text=True, check=False
        )

    def _stand_ins(self) -> Iterator[str]:
        """Yield each action of others that the workflow names, with the folder that stands in for it."""
        used = (ROOT / ".github/actions/setup/action.yml").read_text()
        used += (ROOT / ".github/workflows/preview.yml").read_text()
        for name, line in RUNS.items():
            (pin,) = {word for word in used.split() if word.startswith(f"{name}@")}
            folder = self.place / "actions" / name
            folder.mkdir(parents=True, exist_ok=True)
            inputs: dict[str, Any] = {key: {} for key in ("name", "path", "pattern", "role-to-assume")}
            runs = {"using": "composite", "steps": [{"shell": "bash", "run": line}]}
            (folder / "action.yml").write_text(yaml.safe_dump({"name": name, "inputs": inputs, "runs": runs}))
            yield f"{pin}={folder}"


@pytest.fixture
def forge(tmp_path: Path) -> Forge:
    act = subprocess.run([BUILD, "act"], capture_output=True, text=True, check=True).stdout.strip()
    here = Forge(tmp_path, Path(act))
    for name in ("bin", "artifacts"):
        (tmp_path / name).mkdir()
    (tmp_path / "called").touch()
    for name, script in PROGRAMS.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/bash\n{script}")
        (tmp_path / "bin" / name).chmod(0o755)
    for part in (".github", "components", "hueshift", "pipeline"):
        shutil.copytree(ROOT / part, here.repository / part, ignore=shutil.ignore_patterns("__pycache__"))
    for part in ("Pulumi.yaml", "requirements.txt", ".gitignore"):
        shutil.copy(ROOT / part, here.repository)
    above = [component("pulumi:pulumi:Stack", "hueshift-production", ""), component(SERVICE, "shop")]
    told = [*above, outputs({"blue": "1.4.0", "green": "1.5.0"}), moved((100, 0), (90, 10))]
    counted = {"summaryEvent": {"resourceChanges": {"same": 2, "update": 1}}}
    for stack in ("staging", "production"):
        (tmp_path / f"{stack}.jsonl").write_text("\n".join(json.dumps(event) for event in [*told, counted]))
        (here.repository / f"Pulumi.{stack}.yaml").write_text(STACK.format(name=stack, weight=0))
    here.git("init", "--quiet", "--initial-branch=main")
    here.git("remote", "add", "origin", "https://github.com/example/shop")
    here.git("add", "--all")
    here.git("commit", "--quiet", "--message=Main")
    here.git("switch", "--quiet", "--create=canary")
    (here.repository / "Pulumi.production.yaml").write_text(STACK.format(name="production", weight=10))
    here.git("commit", "--quiet", "--all", "--message=A tenth for green")
    here.git("switch", "--quiet", "main")
    here.git("merge", "--quiet", "--no-ff", "--message=Merge", "canary")  # what GitHub checks out
    return here


def test_a_pull_request_gets_its_comment_by_the_whole_workflow(forge: Forge) -> None:
    done = forge.pull_request()
    assert done.returncode == 0, done.stdout[-5000:]
    base = forge.git("rev-parse", "HEAD^1")
    assert "- **production/shop**: blue 1.4.0 100 → 90 %, green 1.5.0 0 → 10 %" in forge.comment
    assert "- **staging/shop**: blue 1.4.0 100 → 90 %" in forge.comment
    assert f"UTC, merged into {base[:12]}. What has been merged" in forge.comment
    assert forge.called[-2:] == [
        "GET api.github.com/repos/example/shop/issues/7/comments?per_page=100&page=1",
        "POST api.github.com/repos/example/shop/issues/7/comments",
    ]
    for stack in ("staging", "production"):
        role = forge.called.index(f"role {stack}-preview")
        cluster = forge.called.index(f"aws eks update-kubeconfig --name {stack} --region eu-west-1")
        assert (
            role
            < cluster
            < forge.called.index("GET api.github.com/repos/example/shop/issues/7/comments?per_page=100&page=1")
        )
    assert forge.called.count("pulumi preview") == 2
    assert forge.called.count("make --silent venv") == 4, "two jobs beside those of the stacks"


def test_of_a_forks_branch_no_stack_is_previewed_with_a_role_and_it_cannot_be_merged(forge: Forge) -> None:
    done = forge.pull_request(source="somebody/shop")
    assert done.returncode != 0
    assert "not green: stack: skipped; no stack was previewed; whoever has read this branch pushes it" in done.stdout
    assert not [line for line in forge.called if not line.startswith("make")]
