"""The engine's plugins are those of which somebody has written down the sum; archives come from a folder."""

import hashlib
import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MACHINE = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
PULUMI = """#!/bin/bash
echo "$*" | sed "s|$TMPDIR.*/||" >>"$CALLED"
[ -z "${BROKEN:-}" ] || { echo "error: no archive" >&2; exit 255; }
"""
INSTALLED = "plugin install resource {0} v{1} --exact --file pulumi-resource-{0}-v{1}-linux-{2}.tar.gz"


@dataclass(frozen=True)
class Runner:
    """A checkout that pins two plugins, and the folder from which they come."""

    place: Path

    @property
    def sums(self) -> Path:
        return self.place / "pipeline/plugins.sha256"

    @property
    def called(self) -> list[str]:
        file = self.place / "called"
        return file.read_text().splitlines() if file.exists() else []

    def archive(self, name: str, version: str, machine: str = MACHINE) -> Path:
        return self.place / f"releases/pulumi-resource-{name}-v{version}-linux-{machine}.tar.gz"

    def plugin(self, name: str, version: str) -> Path:
        return self.place / f"home/plugins/resource-{name}-v{version}/pulumi-resource-{name}"

    def run(self, *words: str, **more: str) -> "subprocess.CompletedProcess[str]":
        variables = {
            "PATH": f"{self.place / 'bin'}:{os.environ['PATH']}",
            "HOME": str(self.place),
            "PULUMI_HOME": str(self.place / "home"),
            "PLUGINS_FROM": f"file://{self.place / 'releases'}",
            "CALLED": str(self.place / "called"),
            "TMPDIR": str(self.place / "tmp"),
        }
        command = [str(self.place / "pipeline/plugins.sh"), *words]
        return subprocess.run(command, env=variables | more, capture_output=True, text=True, check=False)


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    here = Runner(tmp_path)
    shutil.copytree(ROOT / "pipeline", tmp_path / "pipeline")
    for name in ("bin", "releases", "tmp"):
        (tmp_path / name).mkdir()
    pins = ("-c constraints.txt", "boto3==1.0.0", "pulumi-aws==7.32.0", "pulumi-policy==1.21.0", "pulumi-docker==5.0.0")
    (tmp_path / "requirements.txt").write_text("\n".join([*pins, "pulumi==3.246.0", ""]))
    for machine in ("amd64", "arm64"):
        here.archive("aws", "7.32.0", machine).write_text(f"aws {machine}")
        here.archive("docker", "5.0.0", machine).write_text(f"docker {machine}")
    (tmp_path / "bin/pulumi").write_text(PULUMI)
    (tmp_path / "bin/pulumi").chmod(0o755)
    return here


def test_what_is_recorded_is_what_was_downloaded_for_both_kinds_of_machine(runner: Runner) -> None:
    done = runner.run("--record")
    assert done.returncode == 0, done.stderr
    assert "compare with https://github.com/pulumi/pulumi-aws/releases/download/v7.32.0/" in done.stderr
    first, *lines = runner.sums.read_text().splitlines()
    assert first.startswith("# SHA-256 of the engine's plugins")
    assert lines == [
        f"{hashlib.sha256(f'{name} {machine}'.encode()).hexdigest()}  {runner.archive(name, version, machine).name}"
        for name, version in (("aws", "7.32.0"), ("docker", "5.0.0"))
        for machine in ("amd64", "arm64")
    ]
    assert runner.called == []


def test_what_cannot_be_downloaded_whole_is_not_recorded(runner: Runner) -> None:
    before = runner.sums.read_text()
    runner.archive("docker", "5.0.0", "arm64").unlink()
    done = runner.run("--record")
    assert (done.returncode, runner.sums.read_text()) == (1, before)
    assert "linux-arm64.tar.gz cannot be downloaded" in done.stderr


def test_plugins_with_the_sums_that_were_recorded_are_installed_at_their_versions(runner: Runner) -> None:
    runner.run("--record")
    done = runner.run()
    assert done.returncode == 0, done.stderr
    assert runner.called == [INSTALLED.format(*each, MACHINE) for each in (("aws", "7.32.0"), ("docker", "5.0.0"))]
    assert [*(runner.place / "tmp").iterdir()] == []


def test_what_is_there_already_is_not_downloaded_again(runner: Runner) -> None:
    runner.run("--record")
    runner.plugin("aws", "7.32.0").parent.mkdir(parents=True)
    assert runner.run().returncode == 0
    assert runner.called == [INSTALLED.format("docker", "5.0.0", MACHINE)]


def test_a_plugin_with_another_sum_is_not_unpacked_and_the_engine_gets_no_other(runner: Runner) -> None:
    runner.run("--record")
    runner.archive("aws", "7.32.0").write_text("another")
    done = runner.run(GITHUB_ACTIONS="true")
    assert done.returncode == 1
    assert "::error title=plugins.sh::pulumi-resource-aws-v7.32.0" in done.stderr
    assert f"its SHA-256 is {hashlib.sha256(b'another').hexdigest()}" in done.stderr
    assert runner.called == [INSTALLED.format("docker", "5.0.0", MACHINE)]
    refused = subprocess.run([runner.plugin("aws", "7.32.0")], capture_output=True, text=True, check=False)
    assert (refused.returncode, "is not what pipeline/plugins.sha256 says" in refused.stderr) == (1, True)


def test_what_was_refused_is_tried_again(runner: Runner) -> None:
    runner.run("--record")
    there = runner.archive("aws", "7.32.0")
    whole = there.read_text()
    there.unlink()
    assert "cannot be downloaded" in runner.run().stderr
    there.write_text(whole)
    assert "cannot be installed" in runner.run(BROKEN="yes").stderr
    assert runner.plugin("aws", "7.32.0").exists()
    assert runner.run().returncode == 0
    assert not runner.plugin("aws", "7.32.0").exists()


def test_without_a_sum_the_engine_is_left_to_it_and_the_command_that_mends_it_is_said(runner: Runner) -> None:
    done = runner.run()
    assert (done.returncode, runner.called) == (0, [])
    assert f"has no sum of {runner.archive('aws', '7.32.0').name}" in done.stderr
    assert "run pipeline/plugins.sh --record, compare and commit" in done.stderr


def test_it_explains_itself_and_takes_one_option(runner: Runner) -> None:
    asked, mistaken = runner.run("--help"), runner.run("--all")
    assert asked.stdout.startswith("plugins.sh [--record]\n")
    assert (mistaken.returncode, mistaken.stdout, mistaken.stderr) == (2, "", asked.stdout)


def test_the_plugins_that_are_pinned_are_those_of_the_program() -> None:
    command = ["bash", "-c", f"eval \"$(sed -n '/^pinned()/p' {ROOT}/pipeline/plugins.sh)\"; pinned"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {line.split()[0] for line in found.splitlines()} == {"aws", "docker", "kubernetes"}
