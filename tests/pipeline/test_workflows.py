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
CALLED = ("show", "update", "keep")
"""The jobs of update.yml, by which each of them goes."""
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
ACTION = ROOT / ".github/actions/setup/action.yml"
UPDATING = {"deploy.sh", "release.sh", "resume.sh", "review.sh", "rollback.sh", "up.sh"}
"""The scripts that run `pulumi up`."""
FORM = re.compile(r"(exec )?(pipeline/[a-z-]+\.sh|tools/chromium\.sh|make (check|test)|hueshift|pulumi)( .*)?")
OF_GITLAB = {
    'test "$kind" = code || exit 0',
    'test "$kind" = stacks || exit 0',
    'test "$kind" = code || test "$kind" = stacks || exit 0',
    'test "$kind" = code || test "$kind" = tests || exit 0',
    'export PATH="$CI_PROJECT_DIR/.venv/bin:$PATH"',
    ". ./image.env",
    "test -s kept/newest.env || exit 0",
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
        assert FORM.fullmatch(line), line
        assert not re.search(r"&&|\|\||;|\$\(|`", line), line


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
    # GitLab leaves no job out, so it has no green one that did not run.
    assert on_github == SCRIPTS - {"unread.sh"}
    assert on_gitlab == SCRIPTS - {"required.sh"}


def called(name: str) -> tuple[Mapping[str, Any], list[str]]:
    """Return what a job of the delivery gives update.yml, and the lines that its three jobs run for that."""
    given = dict(github())[f"delivery/{name}"]
    assert given["uses"] == "./.github/workflows/update.yml"
    inputs = given["with"]
    left_out = {
        "inputs.image == ''": "image" in inputs,
        "inputs.image != ''": "image" not in inputs,
        "inputs.rehearsal": not inputs.get("rehearsal"),
    }
    update, keep = (content(ROOT / f".github/workflows/{file}.yml")["jobs"] for file in ("update", "keep"))
    lines = [
        step["run"]
        for job in (update["show"], update["update"], keep["keep"])
        for step in job["steps"]
        if "run" in step and not left_out.get(step.get("if", ""), False)
    ]
    return inputs, lines


@pytest.mark.parametrize("job", STACK_JOBS)
def test_both_forges_deliver_by_the_same_steps_in_the_same_order(job: str) -> None:
    def delivery(lines: list[str]) -> list[str]:
        said = [line.removeprefix("exec ").replace('"', "") for line in lines]
        said = [re.sub(r"( )?(\$SHOWN|\$file| >>\S+| >\S+)", "", line) for line in said]
        said = [re.sub(r"main|\$CI_COMMIT_BRANCH", "MAIN", line) for line in said]
        said = [re.sub(r"\$(BASE|CI_COMMIT_BEFORE_SHA)", "BEFORE", line) for line in said]
        said = [re.sub(r"\$(COMMIT|CI_COMMIT_SHA)", "COMMIT", line) for line in said]
        said = [re.sub(r"keep.sh .*", "keep.sh", line) for line in said]
        said = [re.sub(r"take.sh .*", "take.sh", line) for line in said]
        said = [line for line in said if line.startswith(("pipeline/", "hueshift")) and "setup.sh" not in line]
        return [line.lower() for line in said if "forge.sh" not in line]

    inputs, here = called(job)
    theirs = gitlab()
    there = [*steps(theirs[job]), *steps(theirs[f"keep-{job}"])]
    if "production" in job:  # nobody approves staging's there, so nothing is shown
        there = [*steps(theirs["show-production"]), *there]
    else:
        here = here[2:]
    assert delivery(here) == delivery(there)
    assert inputs["stack"] == job.removeprefix("apply-")
    assert theirs[f"keep-{job}"]["variables"]["DELIVERS"] == job.removeprefix("apply-")


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_a_workflow_has_no_permission_that_a_job_did_not_ask_for(file: Path) -> None:
    workflow = content(file)
    assert workflow["permissions"] == {}
    assert "pull_request_target" not in file.read_text().replace("`pull_request_target`", "")
    for job in workflow["jobs"].values():
        assert set(job["permissions"]) <= {"attestations", "contents", "id-token", "pull-requests", "issues"}


@pytest.mark.parametrize(("name", "job"), [pytest.param(*item, id=item[0]) for item in github()])
def test_a_job_pushes_and_asks_for_a_role_only_where_it_says_so(name: str, job: Mapping[str, Any]) -> None:
    permissions, pushing = job["permissions"], "keep.sh" in named(steps(job))
    if "uses" in job:  # of what it calls
        assert permissions["contents"] == ("read" if "checks" in job["uses"] else "write")
        return
    assert (permissions["contents"] == "write") == pushing
    asks = [step for step in job.get("steps", []) if step.get("with", {}).get("role")]
    assert (permissions.get("id-token") == "write") == bool(asks)
    assert job.get("timeout-minutes") or job.get("uses")
    for step in job.get("steps", []):
        assert "${{" not in step.get("run", ""), "values reach a script through env"
        if step.get("uses", "").startswith("actions/checkout@"):
            fetching = pushing or "newest.sh" in named(steps(job))
            assert step["with"]["persist-credentials"] is fetching
    if asks and name.startswith(("preview/", "review/")) and name != "review/sweep":  # that runs main's
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
            updating = job.get("uses", "").endswith("/update.yml") or named(steps(job)) & UPDATING
            if not updating or file.stem == "update":
                continue
            seen.add(f"{file.stem}/{name}")
            if name == "sweep":
                continue
            rule = job.get("concurrency") or content(file)["concurrency"]
            assert rule["cancel-in-progress"] is False
            stack = name.removeprefix("apply-")
            expected = {
                "delivery": f"pulumi-{stack}",
                "rollback": "rollback-",
                "review": "pulumi-review-",
                "resume": "resume",
            }
            assert rule["group"].startswith(expected[file.stem])
            # A newer job would cancel one that waits: of reviews and of goes at what is due the newest is enough.
            assert (rule.get("queue") == "max") is (file.stem in ("delivery", "rollback"))
    assert seen == {f"delivery/{name}" for name in STACK_JOBS} | {
        *("review/up", "review/down", "review/sweep", "rollback/rollback", "resume/resume"),
    }
    for name, job in gitlab().items():
        if named(steps(job)) & UPDATING:
            stack = job["variables"].get("STACK", "review-$CI_MERGE_REQUEST_IID")
            kind = next((kind for kind in ("rollback", "resume") if name.startswith(kind)), "pulumi")
            assert job["resource_group"] == ("pulumi-review-sweep" if name == "review-sweep" else f"{kind}-{stack}"), (
                name
            )
            assert not job.get("interruptible")


def test_the_way_back_of_production_is_given_up_by_nobody() -> None:
    given = {name: dict(github())[f"delivery/{name}"]["with"].get("rehearsal", False) for name in STACK_JOBS}
    assert [name for name, said in given.items() if said] == ["staging"]
    update = content(ROOT / ".github/workflows/update.yml")
    assert update["env"]["GIVE_UP_WAY_BACK"] == "${{ inputs.rehearsal }}"
    assert [name for name, job in gitlab().items() if "GIVE_UP_WAY_BACK" in job.get("variables", {})] == ["staging"]


def test_what_was_shown_for_approval_keeps_the_turn_of_its_stack_until_it_is_in_main() -> None:
    jobs_ = content(ROOT / ".github/workflows/update.yml")["jobs"]
    assert tuple(jobs_) == CALLED
    assert [job.get("needs") for job in jobs_.values()] == [None, "show", "update"]
    assert not any("concurrency" in job for job in jobs_.values()), "the caller holds it for all of them"
    assert jobs_["update"]["environment"] == "${{ inputs.stack }}"
    assert "environment" not in jobs_["show"], "nobody is asked before there is something to see"
    (newest,) = steps_with(jobs_["update"], "pipeline/newest.sh")
    assert newest["env"]["SHOWN"] == "${{ needs.show.outputs.file }}"
    assert 'pipeline/newest.sh main "$STACK" "$SHOWN"' in newest["run"]
    for name in ("production", "apply-production"):
        assert '"$file"' in str(steps(gitlab()[name]))
    show = (ROOT / "pipeline/show.sh").read_text()
    assert "GITHUB_STEP_SUMMARY" in show


def test_nothing_reaches_production_without_an_approval_but_a_way_back_and_what_was_approved_when_it_began() -> None:
    reaching = {
        name: "production" if "uses" in job else job.get("environment")
        for name, job in github()
        if "PRODUCTION_" in str(job)
        and (job.get("uses", "").endswith("/update.yml") or named(steps(job)) & UPDATING)
        and "production" in f"{name} {job.get('steps')}"
    }
    assert reaching == {
        "delivery/production": "production",
        "delivery/apply-production": "production",
        "rollback/rollback": "rollback",
        "resume/resume": "resume",
    }
    for name in ("production", "apply-production", "apply-production-by-hand"):
        assert [rule["when"] for rule in gitlab()[name]["rules"]] == ["manual"]


def test_what_was_asked_of_a_stack_is_kept_even_if_the_update_is_cut_off() -> None:
    uploading = {
        name: step
        for name, job in github()
        for step in job.get("steps", [])
        if str(step.get("with", {}).get("name", "")).startswith("kept-")
    }
    assert uploading.keys() == {"update/update", "rollback/rollback", "resume/resume"}
    for name, step in uploading.items():
        assert step["if"].startswith("always() && steps.")
        assert set(step["with"]["path"].split()) == {"Pulumi.*.yaml", "releases.json"}
        keep = dict(github())[f"{name.partition('/')[0]}/keep"]
        assert keep["if"].startswith("always() && needs.")


def test_the_key_to_main_lies_only_where_nothing_else_runs() -> None:
    having = {name for name, job in github() if "KEEP_KEY" in str(job)}
    assert having == {"keep/keep"}
    job = dict(github())["keep/keep"]
    assert job["environment"] == "keep"
    assert [line.split()[0] for line in steps(job)] == ["pipeline/take.sh", "pipeline/keep.sh"]
    uses = [step["uses"].partition("@")[0] for step in job["steps"] if "uses" in step]
    assert uses == ["actions/checkout", "actions/download-artifact"]
    (download,) = [step for step in job["steps"] if "download" in step.get("uses", "")]
    assert download["with"]["path"] == "kept", "not over the scripts that run with the key"
    (checkout,) = [step for step in job["steps"] if "checkout" in step.get("uses", "")]
    assert "ref" not in checkout["with"], "what another job says is no place for the scripts to come from"
    for name in named(steps(job)):
        text = (ROOT / "pipeline" / name).read_text()
        assert not re.search(r"hueshift|pulumi (?!stack)|python|\bmake\b", text.replace("hueshift:", "")), name


UPDATE_STACKS = {
    *STACK_JOBS,
    *(f"apply-{stack}-by-hand" for stack in ("staging", "production")),
    *(f"{kind}-{stack}" for kind in ("resume", "rollback") for stack in ("staging", "production")),
}
"""The jobs of GitLab that change what main says of a stack."""


def test_on_gitlab_too_the_key_to_main_lies_only_where_nothing_else_runs() -> None:
    def environment(job: Mapping[str, Any]) -> str | None:
        named_ = job.get("environment")
        return named_["name"] if isinstance(named_, dict) else named_

    keeping = {name: job for name, job in gitlab().items() if environment(job) == "keep"}
    assert keeping.keys() == {f"keep-{name}" for name in UPDATE_STACKS}
    assert {name for name, job in gitlab().items() if "keep.sh" in named(steps(job))} == keeping.keys()
    for name, job in keeping.items():
        of = name.removeprefix("keep-")
        assert steps(job) == [
            'pipeline/forge.sh left "${CI_JOB_NAME#keep-}" kept',
            "test -s kept/newest.env || exit 0",
            "pipeline/take.sh kept",
            'pipeline/keep.sh "$MESSAGE"',
            'pipeline/forge.sh ended "${CI_JOB_NAME#keep-}"',
        ]
        # An artifact could have a script for this job, and a report of variables what its shell starts with.
        assert job["needs"] == [{"job": of, "artifacts": False}]
        assert not {"id_tokens", "services", "cache", "artifacts", "dependencies"} & job.keys()
        assert set(job["variables"]) == {"STACK", "DELIVERS", "MESSAGE"}
        assert set(re.findall(r"\$\w+", job["variables"]["MESSAGE"])) <= {"$SERVICE"}
        # A deployment would be refused as outdated where one of a later pipeline was first.
        assert job["environment"]["action"] == "access"
    page = (ROOT / "docs/pipeline.md").read_text()
    assert "scope of the environment `keep`" in page.partition("`KEEP_TOKEN`")[2].partition("\n- ")[0]


def test_on_gitlab_no_update_of_a_later_pipeline_comes_before_what_one_has_done_is_in_main() -> None:
    theirs = gitlab()
    groups = set()
    for name in UPDATE_STACKS:
        job, keep = theirs[name], theirs[f"keep-{name}"]
        assert job["resource_group"] == keep["resource_group"], "in the mode oldest_first it is the next of the group"
        groups.add(job["resource_group"])
        assert job["stage"] == keep["stage"], "what comes later waits for it"
        assert job["variables"]["STACK"] == keep["variables"]["STACK"]
        delivers = "" if name.startswith(("resume", "rollback")) else keep["variables"]["STACK"]
        assert keep["variables"]["DELIVERS"] == delivers
    assert groups == {
        f"{kind}-{stack}" for kind in ("pulumi", "resume", "rollback") for stack in ("staging", "production")
    }
    page = (ROOT / "docs/pipeline.md").read_text()
    assert all(f"`{group}`" in page.partition("`process_mode`")[2].partition("\n- ")[0] for group in groups)


def test_on_gitlab_what_was_asked_of_a_stack_is_kept_even_if_the_update_is_cut_off() -> None:
    for name in UPDATE_STACKS:
        job, keep = gitlab()[name], gitlab()[f"keep-{name}"]
        # What needs a job that may not fail is left out if that is cancelled, and holds its group while that has a
        # button.
        assert job["allow_failure"] is True
        assert "allow_failure" not in keep, "else nothing would be red, and production would follow"
        assert "when" not in str(keep["rules"]), "always would not wait for a button"
        assert keep["rules"] == [{key: said for key, said in rule.items() if key != "when"} for rule in job["rules"]]
        assert job["artifacts"]["when"] == "always"
        assert job["artifacts"]["paths"] == ["Pulumi.*.yaml", "releases.json", "$CI_JOB_NAME.env"]
        (newest,) = [line for line in steps(job) if "newest.sh" in line]
        assert newest.endswith(' >"$CI_JOB_NAME.env"')
        assert job["variables"]["RUNNER_SCRIPT_TIMEOUT"] == "60m", "a job that is out of time uploads nothing"


def test_on_gitlab_no_later_job_takes_what_an_update_has_left() -> None:
    stages = content(ROOT / ".gitlab-ci.yml")["stages"]
    for name, job in gitlab().items():
        if stages.index("staging") < stages.index(job["stage"]) < stages.index("operate"):
            taken = job.get("dependencies") or [need["job"] for need in job["needs"] if need["artifacts"]]
            assert not set(taken) & UPDATE_STACKS, name


def test_what_nobody_has_read_runs_with_no_role_and_is_not_mergeable_for_that() -> None:
    job = dict(github())["preview/stack"]
    for condition in ("head.repo.full_name == github.repository", "!startsWith(github.head_ref, 'renovate/')"):
        assert condition in job["if"]
    prefix = json.loads((ROOT / "renovate.json").read_text())["branchPrefix"]
    assert f"'{prefix}'" in job["if"]
    required = dict(github())["preview/preview"]
    assert required["if"] == "always()"
    (step,) = steps_with(required, "pipeline/required.sh")
    assert "stacks" not in step["env"]["HARMLESS"].partition("||")[2]
    assert gitlab()["unread"]["script"] == ['pipeline/unread.sh "$kind"']
    rules = str(gitlab()["unread"]["rules"])
    assert "!= $CI_PROJECT_ID" in rules
    assert "renovate" in rules
    for name in ("preview-staging", "preview-production", "comment"):
        assert "renovate" in str(gitlab()[name]["rules"])


def test_what_runs_a_branch_and_what_deploys_are_on_different_runners() -> None:
    runners = {name: job["runs-on"] for name, job in github() if "vars." in str(job.get("runs-on"))}
    deploying = {name for name, runner in runners.items() if "DEPLOY_RUNNER" in runner}
    assert deploying == {"update/update", "rollback/rollback", "rollback/unlock", "resume/resume"}
    assert all("PREVIEW_RUNNER" in runner for name, runner in runners.items() if name not in deploying)
    assert "vars.RUNNER" not in "".join(file.read_text() for file in WORKFLOWS)


def test_what_deploys_installs_by_hash_what_the_program_needs_and_no_more() -> None:
    (venv,) = [item for name, item in content(ACTION)["inputs"].items() if name == "venv"]
    assert venv["default"] == "deploy"
    checking = {name for name, job in github() for step in job.get("steps", []) if "venv" in step.get("with", {})}
    assert checking == {"checks/check"}
    read = content(ROOT / ".gitlab-ci.yml")
    assert read["variables"]["HUESHIFT_VENV"] == "deploy"
    other = {name for name, job in gitlab().items() if job.get("variables", {}).get("HUESHIFT_VENV")}
    assert other == {"check", "test"}
    locked: dict[str, str] = {}
    for part in re.split(r"\n(?=[a-z])", (ROOT / "deploy.txt").read_text()):
        if pin := re.match(r"([a-z0-9._-]+)==([^ ]+)", part):
            assert "--hash=sha256:" in part, pin[1]
            locked[pin[1]] = pin[2]

    def pins(file: str) -> dict[str, str]:
        found = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;]+)", (ROOT / file).read_text(), re.MULTILINE)
        return {name.lower().replace("_", "-"): version for name, version in found}

    known = pins("constraints.txt")
    assert len(locked) > 40
    assert {name for name, version in locked.items() if known.get(name, version) != version} == set()
    assert pins("requirements.txt").items() <= locked.items()


def steps_with(job: Mapping[str, Any], script: str) -> list[Mapping[str, Any]]:
    return [step for step in job.get("steps", []) if step.get("run", "").removeprefix("exec ").startswith(script)]


@pytest.mark.parametrize(("name", "job"), [pytest.param(*item, id=item[0]) for item in github()])
def test_a_cancelled_job_reaches_the_step_that_updates(name: str, job: Mapping[str, Any]) -> None:
    for line in steps(job):
        if set(re.findall(r"pipeline/([a-z-]+\.sh)", line)) & UPDATING:
            assert line.startswith("exec "), f"{name}: a runner signals the shell of the step, which passes nothing on"


def test_a_newer_commit_ends_no_job_of_a_delivery() -> None:
    assert "concurrency" not in content(ROOT / ".github/workflows/delivery.yml")
    rules = {rule["if"]: rule for rule in content(ROOT / ".gitlab-ci.yml")["workflow"]["rules"]}
    (push,) = [rule for condition, rule in rules.items() if '"push"' in condition]
    assert push["auto_cancel"] == {"on_new_commit": "none"}


def test_a_job_that_builds_an_image_on_gitlab_is_told_where_docker_is() -> None:
    building = {name: job for name, job in gitlab().items() if "build.sh" in named(steps(job))}
    assert building.keys() == {"review", "build"}
    for job in [*building.values(), gitlab()["verify"]]:  # which asks the registry
        assert job["services"] == ["docker:28-dind"]
        assert job["variables"]["DOCKER_HOST"] == "tcp://docker:2375"
        assert job["variables"]["DOCKER_TLS_CERTDIR"] == ""


def test_a_job_that_waited_takes_the_newest_stack_files() -> None:
    ours, theirs = dict(github()), gitlab()
    waiting = [ours[name] for name in ("update/show", "update/update", "rollback/rollback", "resume/resume")]
    waiting += [theirs[name] for name in STACK_JOBS]
    waiting += [job for name, job in theirs.items() if name.startswith(("rollback", "resume", "show"))]
    assert len(waiting) == 13
    for job in waiting:
        scripts = [line for line in steps(job) if line.startswith("pipeline/") and "setup.sh" not in line]
        assert scripts[0].startswith("pipeline/newest.sh")


@pytest.mark.parametrize("workflow", ["checks", "preview", "suite"])
def test_a_required_check_is_reported_to_a_merge_queue_too(workflow: str) -> None:
    file = content(ROOT / f".github/workflows/{workflow}.yml")
    assert {"pull_request", "merge_group"} <= set(file[True])
    assert workflow in file["jobs"]
    assert file["jobs"][workflow]["if"] == "always()"


def test_a_pull_request_is_compared_with_what_it_is_merged_into() -> None:
    bases = {
        name: step["env"]["BASE"]
        for name, job in github()
        for step in job.get("steps", [])
        if re.search(r"(changes|comment)\.sh", step.get("run", ""))
    }
    assert bases.keys() == {"preview/changes", "preview/preview", "suite/changes", "delivery/changes"}
    assert "pull_request.base.sha" not in str(bases), "it is as old as the branch's last push"
    for name in ("preview/changes", "suite/changes"):
        assert "HEAD^1" in bases[name]
        assert "merge_group.base_sha" in bases[name]


def test_reviews_are_swept_and_of_those_that_wait_the_newest_is_enough() -> None:
    jobs_ = content(ROOT / ".github/workflows/review.yml")["jobs"]
    assert "concurrency" not in content(ROOT / ".github/workflows/review.yml"), "jobs that are left out would wait, too"
    assert "labels" in jobs_["down"]["if"].partition("unlabeled")[0]
    assert steps(jobs_["sweep"]) == ["exec pipeline/review.sh sweep"]
    assert "schedule" in content(ROOT / ".github/workflows/review.yml")[True]
    assert steps(gitlab()["review-sweep"])[-1] == "pipeline/review.sh sweep"


def test_what_was_built_is_verified_before_production() -> None:
    jobs_ = content(ROOT / ".github/workflows/delivery.yml")["jobs"]
    assert set(jobs_["production"]["needs"]) == {"build", "verify", "staging"}
    assert steps(jobs_["verify"]) == ['pipeline/verify.sh "$IMAGE"']
    attesting = [step for step in jobs_["build"]["steps"] if "attest" in step.get("uses", "")]
    assert [step["with"]["subject-digest"] for step in attesting] == ["${{ steps.image.outputs.digest }}"] * 2
    order = content(ROOT / ".gitlab-ci.yml")["stages"]
    assert order.index(gitlab()["verify"]["stage"]) < order.index(gitlab()["production"]["stage"])


def test_users_of_the_program_run_its_checks_and_not_its_suite() -> None:
    called_by_delivery = {
        job["uses"] for job in content(ROOT / ".github/workflows/delivery.yml")["jobs"].values() if "uses" in job
    }
    assert called_by_delivery == {f"./.github/workflows/{name}.yml" for name in ("checks", "update")}
    assert [line for _, job in github() for line in steps(job) if line == "make test"] == ["make test"]
    assert '$SUITE == "yes"' in str(gitlab()["test"]["rules"])


def test_one_job_alone_brings_up_the_local_cloud_and_its_cache_is_nobody_elses() -> None:
    both = [*github(), *gitlab().items()]
    bringing = {name for name, job in both if re.search(r"make (test|sandbox)|-m sandbox|tests/e2e", str(steps(job)))}
    assert bringing == {"suite/test", "test"}
    scripts = "".join((ROOT / "pipeline" / name).read_text() for name in SCRIPTS)
    assert not re.search(r"make .*(test|sandbox)\b|-m sandbox|tools/build", scripts)

    def key(cache: Mapping[str, Any]) -> str:
        return str(cache["with"]["key"])

    (own,) = [step for step in dict(github())["suite/test"]["steps"] if "actions/cache" in step.get("uses", "")]
    (others,) = [step for step in content(ACTION)["runs"]["steps"] if "actions/cache" in step.get("uses", "")]
    assert own["with"]["path"] == others["with"]["path"] == "~/.cache/hueshift"
    assert {"tools/**", "sandbox/node/**"} <= set(re.findall(r"'([^']+)'", key(own)))
    assert not key(own).startswith("hueshift-${{")
    assert key(others).startswith("hueshift-${{")
    assert not any(step.get("uses", "").startswith("./") for step in dict(github())["suite/test"]["steps"])
    assert others["if"] == "inputs.venv == 'check'"
    assert "restore-keys" not in others["with"], "each would drag the ones before it along"
    assert "python-version" in key(others)
    assert "cache" not in content(ROOT / ".gitlab-ci.yml")["default"]
    cached = {name: job["cache"] for name, job in gitlab().items() if "cache" in job}
    assert set(cached) == {"check", "test"}
    assert cached["test"]["key"] != cached["check"]["key"]


def test_the_required_check_waits_for_every_job_and_is_never_left_out() -> None:
    for name in ("checks", "suite", "preview"):
        workflow = content(ROOT / f".github/workflows/{name}.yml")["jobs"]
        needs = workflow[name]["needs"]
        assert ({needs} if isinstance(needs, str) else set(needs)) == set(workflow) - {name}
        assert workflow[name]["if"] == "always()"
        assert "paths" not in str(content(ROOT / f".github/workflows/{name}.yml")[True])
    assert "if" not in content(ROOT / ".github/workflows/checks.yml")["jobs"]["check"]


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


def test_each_row_of_what_could_go_wrong_names_tests_that_are_there() -> None:
    page = (ROOT / "docs/pipeline.md").read_text()
    rows = page.partition("## What could go wrong")[2].partition("\n## ")[0].splitlines()
    rows = [row for row in rows if row.startswith("| ")][2:]
    assert len(rows) > 15
    there = {file.name for file in (ROOT / "tests").rglob("test_*.py")}
    for row in rows:
        what, done, test = (cell.strip() for cell in row.strip("|").split(" | "))
        assert what
        assert done
        named_ = set(re.findall(r"`(test_\w+\.py)`", test))
        assert test == "same test" or (named_ and named_ <= there), row
