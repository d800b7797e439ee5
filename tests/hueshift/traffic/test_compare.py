"""`hueshift compare` on a stack file; the colors' answers are played by a script in the place of curl."""

import json
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from components.model import Color
from hueshift.cli import app
from hueshift.traffic.balancer import Rule
from tests.support import strategies as some
from tests.support.program import ROOT

CURL = r"""#!/bin/sh
echo "$*" >>"$CALLED"
for url; do :; done
began=0.030
case "$url" in *green*/late*) began=0.500 ;; esac
case "$url" in *green*/once*) [ -e "$CALLED.once" ] || began=0.500; : >"$CALLED.once" ;; esac
case "$url" in */strange*) exit 60 ;; esac
case "$url" in */down*) echo "curl: (7) no route" >&2; exit 7 ;; esac
status=200
case "$url" in *green*/gone*) status=404 ;; esac
case "$url" in *green*) at=2 ;; *) at=1 ;; esac
case "$url" in */same*) at=1 ;; esac
printf '{"at": %s, "n": 1}\n%s 0.010 %s' "$at" "$status" "$began"
"""
"""Green answers another ``at`` but at /same, is late at /late, late the first time at /once, and has no /gone."""


class Project:
    """A stack file with shop, and a curl."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "Pulumi.yaml").write_text((ROOT / "Pulumi.yaml").read_text())
        (folder / "bin").mkdir()
        (folder / "bin/curl").write_text(CURL)
        (folder / "bin/curl").chmod(0o755)
        self.write(some.stack())

    def write(self, values: dict[str, Any]) -> None:
        content = {"config": {f"hueshift:{key}": value for key, value in values.items()}}
        (self.folder / "Pulumi.staging.yaml").write_text(yaml.safe_dump(content))

    def run(self, *words: str, text: str | None = None) -> Result:
        path = f"{self.folder}/bin:/usr/bin:/bin"
        with chdir(self.folder):
            called = {"CALLED": str(self.folder / "called"), "PATH": path}
            return CliRunner().invoke(app, ["compare", *words, "--stack", "staging"], env=called, input=text)

    @property
    def called(self) -> list[str]:
        """The options and URL of each call, without the line that it ends its answer with."""
        return [line for line in (self.folder / "called").read_text().split("--silent") if line]


class Balancer:
    """Says that blue is live."""

    def __init__(self, *_: object, **__: object) -> None:
        groups = {"arn-blue": Color.BLUE, "arn-green": Color.GREEN}
        weights = [{"TargetGroupArn": arn, "Weight": 100 * (color is Color.BLUE)} for arn, color in groups.items()]
        forward = {"Type": "forward", "ForwardConfig": {"TargetGroups": weights}}
        self._rule = Rule(service="shop", arn="arn-rule", actions=[forward], groups=groups)

    def rules(self, _: object) -> dict[str, Rule]:
        return {"shop": self._rule}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setattr("hueshift.traffic.compare.Balancer", Balancer)
    return Project(tmp_path)


def test_both_colors_are_asked_the_same_by_their_test_hosts_as_somebody_who_does_not_wait(project: Project) -> None:
    done = project.run("shop", "/same?a=1")
    assert done.exit_code == 0, done.stderr
    assert [each.rpartition("https://")[2].strip() for each in project.called] == [
        f"{color}.shop.example.com:8443/same?a=1" for color in ("blue", "green")
    ]
    assert all("--header x-shadow: true" in each for each in project.called)
    assert "answer 1 paths, 0 of them differently (0 %; allowed: below 1 %)" in done.stdout


def test_a_path_that_differs_is_told_and_ends_with_3(project: Project) -> None:
    done = project.run("shop", "/same", "/items", "/gone")
    assert done.exit_code == 3
    assert done.stdout.splitlines()[:2] == ["/items  body at $.at", "/gone  status 200 → 404"]
    assert project.run("shop", "/items", "--ignore", "$.at").exit_code == 0


def test_fewer_than_the_threshold_are_let_pass_and_as_many_are_not(project: Project) -> None:
    text = "# what users ask\n\n" + "/same\n" * 9 + "/items\n"
    done = project.run("shop", "--file", "-", "--threshold", "10", "--json", text=text)
    assert done.exit_code == 3
    said = json.loads(done.stdout)
    assert (said["asked"], said["percent"], said["within"]) == (10, 10.0, False)
    assert said["different"] == {"/items": ["body at $.at"]}
    assert project.run("shop", "--file", "-", "--threshold", "10.1", text=text).exit_code == 0


def test_an_answer_that_is_late_each_time_is_a_difference_and_one_pause_is_none(project: Project) -> None:
    late = project.run("shop", "/late", "--ignore", "at")
    assert late.exit_code == 3
    assert late.stdout.startswith("/late  20 → 490 ms")
    assert project.run("shop", "/late", "--ignore", "at", "--slower", "500").exit_code == 0
    assert project.run("shop", "/once", "--ignore", "at").exit_code == 0


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["shop"], "no path is given"),
        (["shop", "items"], "'items' is no path"),
        (["shop", "/", "--file", "nothing"], "--file nothing cannot be read: No such file or directory\n"),
        (["shop", "/", "--ignore", "a b"], "'a b' is no JSON path"),
        (["shop", "/down"], "gave no answer: curl: (7) no route"),
        (["shop", "/strange"], "curl does not know; set CURL_OPTIONS='--cacert FILE'"),
        (["shp", "/"], "did you mean shop"),
    ],
)
def test_what_cannot_be_compared_is_refused(project: Project, words: list[str], why: str) -> None:
    done = project.run(*words)
    assert (done.exit_code, done.stdout) == (1, "")
    assert why in done.stderr


def test_a_color_without_pods_is_not_asked(project: Project) -> None:
    values = some.stack()
    values["services"]["shop"]["colors"]["green"]["parked"] = True
    project.write(values)
    done = project.run("shop", "/")
    assert done.exit_code == 1
    assert "green of shop is parked" in done.stderr
