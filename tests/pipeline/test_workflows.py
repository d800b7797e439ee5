"""The pipeline of GitHub and of GitLab: what they run is here, is alike on both, and has no more than it needs."""

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
SCRIPTS = {script.name for script in (ROOT / "pipeline").glob("*.sh")}
STACK_JOBS = ("staging", "production", "apply-staging", "apply-production")
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
ACTION = ROOT / ".github/actions/setup/action.yml"
UPDATING = {"deploy.sh", "flip.sh", "review.sh", "rollback.sh", "up.sh"}
"""The scripts that run `pulumi up`."""
FORM = re.compile(r"(pipeline/[a-z-]+\.sh|make (check|test)|hueshift|pulumi)( .*)?")
OF_GITLAB = {
    'test "$kind" = code || exit 0',
    'test "$kind" = stacks || exit 0',
    'test "$kind" != docs || exit 0',
    'export PATH="$CI_PROJECT_DIR/.venv/bin:$PATH"',
    ". ./image.env",
}
"""What takes the place of a job's condition, of $GITHUB_PATH and of a step's outputs."""


@cache
def content(file: Path) -> Mapping[Any, Any]:
    """Return a YAML file; the key `on` of a workflow is `True` there."""
    read: dict[Any, Any] = yaml.safe_load(file.read_text())
    return read


def github() -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield each job of each workflow as WORKFLOW/JOB."""
    for file in WORKFLOWS:
        for name, job in content(file)["jobs"].items():
            yield f"{file.stem}/{name}", job


@cache
def gitlab() -> Mapping[str, Mapping[str, Any]]:
    """Return each job, with what it extends."""
    read = content(ROOT / ".gitlab-ci.yml")
    reserved = {"stages", "default", "variables", "workflow"}
    return {name: _extended(read, job) for name, job in read.items() if name not in reserved and name[0] != "."}


def _extended(all_: Mapping[str, Any], job: Mapping[str, Any]) -> Mapping[str, Any]:
    merged: dict[str, Any] = {}
    parents = job.get("extends", [])
    for part in [*(_extended(all_, all_[name]) for name in ([parents] if isinstance(parents, str) else parents)), job]:
        for key, value in part.items():
            both = isinstance(value, dict) and isinstance(merged.get(key), dict)
            merged[key] = {**merged[key], **value} if both else value
    return merged


def steps(job: Mapping[str, Any]) -> list[str]:
    """Return what a job runs, line by line: on either forge."""
    if "steps" in job:
        return [step["run"] for step in job["steps"] if "run" in step]
    return [line for part in ("before_script", "script", "after_script") for line in job.get(part, [])]


def jobs() -> list[Any]:
    """Return every job of both forges, as a parameter."""
    both = [*github(), *((f"gitlab/{name}", job) for name, job in gitlab().items())]
    return [pytest.param(job, id=name) for name, job in both]


def named(lines: list[str]) -> set[str]:
    """Return the scripts that lines name."""
    return {name for line in lines for name in re.findall(r"pipeline/([a-z-]+\.sh)", line)}


def reached(scripts: set[str]) -> set[str]:
    """Return the scripts with those that they call."""
    more = scripts | named([(ROOT / "pipeline" / name).read_text() for name in scripts])
    return scripts if more == scripts else reached(more)


@pytest.mark.parametrize("job", jobs())
def test_a_step_is_one_line_that_anybody_can_run(job: Mapping[str, Any]) -> None:
    for line in steps(job):
        if line in OF_GITLAB:
            assert "steps" not in job
            continue
        command = line.removeprefix('test "$CI_JOB_STATUS" = success || ') if "steps" not in job else line
        assert FORM.fullmatch(command), line
        assert not re.search(r"&&|\|\||;|\$\(|`", command), line


def test_each_script_is_there_and_can_be_run() -> None:
    lines = [line for _, job in github() for line in steps(job)] + [
        line for job in gitlab().values() for line in steps(job)
    ]
    assert len(lines) > 60
    assert named(lines) <= SCRIPTS
    assert [name for name in SCRIPTS if not (ROOT / "pipeline" / name).stat().st_mode & 0o100] == []


def test_both_forges_use_every_script() -> None:
    action = named([step["run"] for step in content(ACTION)["runs"]["steps"] if "run" in step])
    on_github = reached(action | named([line for _, job in github() for line in steps(job)]))
    on_gitlab = reached(named([line for job in gitlab().values() for line in steps(job)]))
    assert on_github == SCRIPTS
    # GitLab leaves no job out, so it has no green one that did not run.
    assert on_gitlab == SCRIPTS - {"required.sh"}


@pytest.mark.parametrize("job", ["staging", "production", "apply-staging", "apply-production"])
def test_both_forges_deliver_by_the_same_steps_in_the_same_order(job: str) -> None:
    def delivery(lines: list[str]) -> list[str]:
        said = [re.sub(r'"?\$STACK"?', job.removeprefix("apply-"), line).lower() for line in lines]
        said = [re.sub(r"main|\$ci_commit_branch|\$base|\$ci_commit_before_sha", "…", line) for line in said]
        return [line.replace('"', "") for line in said if line.startswith(("pipeline/", "hueshift"))]

    here = dict(github())[f"delivery/{job}"]
    there = gitlab()[job]
    setup = f"pipeline/setup.sh {job.removeprefix('apply-')}"
    assert delivery(steps(here)) == [line for line in delivery(steps(there)) if line != setup]


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_a_workflow_has_no_permission_that_a_job_did_not_ask_for(file: Path) -> None:
    workflow = content(file)
    assert workflow["permissions"] == {}
    assert "pull_request_target" not in file.read_text().replace("`pull_request_target`", "")
    for job in workflow["jobs"].values():
        assert set(job["permissions"]) <= {"contents", "id-token", "pull-requests", "issues"}


@pytest.mark.parametrize(("name", "job"), [pytest.param(*item, id=item[0]) for item in github()])
def test_a_job_pushes_and_asks_for_a_role_only_where_it_says_so(name: str, job: Mapping[str, Any]) -> None:
    permissions, pushing = job["permissions"], "keep.sh" in reached(named(steps(job)))
    assert (permissions["contents"] == "write") == pushing
    asks = [step for step in job.get("steps", []) if step.get("with", {}).get("role")]
    assert (permissions.get("id-token") == "write") == bool(asks)
    assert job.get("timeout-minutes") or job.get("uses")
    for step in job.get("steps", []):
        assert "${{" not in step.get("run", ""), "values reach a script through env"
        if step.get("uses", "").startswith("actions/checkout@"):
            fetching = pushing or "newest.sh" in named(steps(job))
            assert step["with"]["persist-credentials"] is fetching
    if asks and name.startswith(("preview/", "review/")):
        assert "head.repo.full_name == github.repository" in job["if"]


def test_actions_are_pinned_by_commit_with_the_version_beside_it() -> None:
    pins: dict[str, set[str]] = {}
    for file in [*WORKFLOWS, ACTION]:
        for line in re.findall(r"uses: (.*)", file.read_text()):
            if not line.startswith("./"):
                match = re.fullmatch(r"([\w./-]+)@([0-9a-f]{40} # v\d+\.\d+\.\d+)", line)
                assert match, line
                pins.setdefault(match[1], set()).add(match[2])
    assert len(pins) > 6
    assert {name: versions for name, versions in pins.items() if len(versions) > 1} == {}


def test_updates_of_a_stack_wait_for_each_other_and_none_is_cancelled() -> None:
    seen = set()
    for file in WORKFLOWS:
        for name, job in content(file)["jobs"].items():
            if not named(steps(job)) & UPDATING:
                continue
            seen.add(f"{file.stem}/{name}")
            rule = job.get("concurrency") or content(file)["concurrency"]
            assert rule["cancel-in-progress"] is False
            assert rule["queue"] == "max", "a newer job would cancel one that waits"
            stack = name.removeprefix("apply-")
            expected = {"delivery": f"pulumi-{stack}", "rollback": "rollback-", "review": "pulumi-review-"}
            assert rule["group"].startswith(expected[file.stem])
    assert seen >= {f"delivery/{name}" for name in STACK_JOBS} | {"review/up", "review/down", "rollback/rollback"}
    for name, job in gitlab().items():
        if named(steps(job)) & UPDATING:
            assert job["resource_group"] == f"pulumi-{job['variables'].get('STACK', 'review-$CI_MERGE_REQUEST_IID')}", (
                name
            )
            assert not job.get("interruptible")


def test_nothing_reaches_production_without_an_approval_but_a_rollback() -> None:
    reaching = {
        name: job.get("environment")
        for name, job in github()
        if "PRODUCTION_" in str(job) and named(steps(job)) & UPDATING
    }
    assert reaching == {
        "delivery/production": "production",
        "delivery/apply-production": "production",
        "rollback/rollback": "rollback",
    }
    for name in ("production", "apply-production"):
        assert [rule["when"] for rule in gitlab()[name]["rules"]] == ["manual"]


def test_what_was_asked_of_a_stack_is_kept_even_if_the_update_is_cut_off() -> None:
    keeping = [
        (name, job, step)
        for name, job in github()
        if "environment" in job
        for step in steps_with(job, "pipeline/keep.sh")
    ]
    assert {name for name, _, _ in keeping} == {"delivery/staging", "delivery/production"}
    for _, job, step in keeping:
        assert [other["id"] for other in steps_with(job, "pipeline/up.sh")] == ["up"]
        assert step["if"].startswith("always() && steps.up.outcome")


def steps_with(job: Mapping[str, Any], script: str) -> list[Mapping[str, Any]]:
    return [step for step in job.get("steps", []) if step.get("run", "").startswith(script)]


def test_a_newer_commit_ends_no_job_of_a_delivery() -> None:
    assert "concurrency" not in content(ROOT / ".github/workflows/delivery.yml")
    rules = {rule["if"]: rule for rule in content(ROOT / ".gitlab-ci.yml")["workflow"]["rules"]}
    (push,) = [rule for condition, rule in rules.items() if '"push"' in condition]
    assert push["auto_cancel"] == {"on_new_commit": "none"}


def test_a_job_that_builds_an_image_on_gitlab_is_told_where_docker_is() -> None:
    building = {name: job for name, job in gitlab().items() if "build.sh" in named(steps(job))}
    assert building.keys() == {"review", "build"}
    for job in building.values():
        assert job["services"] == ["docker:28-dind"]
        assert job["variables"]["DOCKER_HOST"] == "tcp://docker:2375"
        assert job["variables"]["DOCKER_TLS_CERTDIR"] == ""


def test_a_job_that_waited_takes_the_newest_stack_files() -> None:
    ours, theirs = dict(github()), gitlab()
    for job in [*(ours[f"delivery/{name}"] for name in STACK_JOBS), *(theirs[name] for name in STACK_JOBS)]:
        scripts = [line for line in steps(job) if line.startswith("pipeline/") and "setup.sh" not in line]
        assert scripts[0].startswith("pipeline/newest.sh")


def test_one_job_alone_brings_up_the_local_cloud_and_its_cache_is_nobody_elses() -> None:
    both = [*github(), *gitlab().items()]
    bringing = {name for name, job in both if re.search(r"make (test|sandbox)|-m sandbox|tests/e2e", str(steps(job)))}
    assert bringing == {"checks/test", "test"}
    scripts = "".join((ROOT / "pipeline" / name).read_text() for name in SCRIPTS)
    assert not re.search(r"make .*(test|sandbox)\b|-m sandbox|tools/build", scripts)

    def key(cache: Mapping[str, Any]) -> str:
        return str(cache["with"]["key"])

    (own,) = [step for step in dict(github())["checks/test"]["steps"] if "actions/cache" in step.get("uses", "")]
    (others,) = [step for step in content(ACTION)["runs"]["steps"] if "actions/cache" in step.get("uses", "")]
    assert own["with"]["path"] == others["with"]["path"] == "~/.cache/hueshift"
    assert {"tools/**", "sandbox/node/**"} <= set(re.findall(r"'([^']+)'", key(own)))
    assert not key(own).startswith("hueshift-${{")
    assert key(others).startswith("hueshift-${{")
    assert not any(step.get("uses", "").startswith("./") for step in dict(github())["checks/test"]["steps"])
    shared = content(ROOT / ".gitlab-ci.yml")["default"]["cache"]
    cached = {name: job["cache"] for name, job in gitlab().items() if "cache" in job}
    assert cached["test"] | {"key": None} == {"key": None, "paths": shared["paths"], "when": "always"}
    assert set(cached) == {"test"}
    assert cached["test"]["key"] != shared["key"]


def test_the_required_check_waits_for_every_job_and_is_never_left_out() -> None:
    workflow = content(ROOT / ".github/workflows/checks.yml")["jobs"]
    assert set(workflow["checks"]["needs"]) == set(workflow) - {"checks"}
    assert workflow["checks"]["if"] == "always()"
    assert "if" not in workflow["check"]
    assert "paths" not in str(content(ROOT / ".github/workflows/checks.yml")[True])


def test_the_engine_is_of_one_version_everywhere() -> None:
    pinned = re.search(r"^pulumi==(.*)$", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert pinned
    (step,) = [step for step in content(ACTION)["runs"]["steps"] if "pulumi/actions" in step.get("uses", "")]
    assert step["with"]["pulumi-version"] == pinned[1]
    assert content(ROOT / ".gitlab-ci.yml")["default"]["image"]["name"] == f"pulumi/pulumi:{pinned[1]}"


def test_whatever_judges_or_deploys_a_change_has_an_owner_who_must_approve_it() -> None:
    rules = [line.split() for line in (ROOT / "CODEOWNERS").read_text().splitlines() if line and line[0] != "#"]
    assert all(len(rule) > 1 and rule[1].startswith("@") for rule in rules)
    patterns = {rule[0] for rule in rules}
    for path in (".github/", "pipeline/", "hueshift/", "policy/", "components/", "tools/"):
        assert f"/{path}" in patterns
        assert (ROOT / path).is_dir()
    for path in (".gitlab-ci.yml", "CODEOWNERS", "releases.json", "accepted-findings.json", "constraints.txt"):
        assert f"/{path}" in patterns
        assert (ROOT / path).is_file()


def test_a_bot_keeps_every_kind_of_pin_new_on_branches_of_its_own() -> None:
    said = json.loads((ROOT / "renovate.json").read_text())
    assert set(said["enabledManagers"]) == {"dockerfile", "pip_requirements", "github-actions", "gitlabci", "gomod"}
    (pattern,) = said["pip_requirements"]["managerFilePatterns"]
    named = {file.relative_to(ROOT).as_posix() for file in [*ROOT.glob("*.txt"), *ROOT.glob("*/requirements*.txt")]}
    assert {name for name in named if not re.search(pattern.strip("/"), name)} <= {"deploy.txt"}
    assert "docker:pinDigests" in said["extends"]
    assert re.search(r"^ARG BUILDER_BASE=\S+@sha256:[0-9a-f]{64}$", (ROOT / "app/Dockerfile").read_text(), re.MULTILINE)
    assert said["branchPrefix"] == "renovate/"
