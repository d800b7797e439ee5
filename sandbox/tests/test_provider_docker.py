"""What the stand-in for the docker provider decides without a daemon, and the commands that it runs."""
# ruff: noqa: ARG001, ARG002 - the fakes have the signatures of the real

import asyncio
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pulumi.provider.experimental import provider as protocol
from pulumi.provider.experimental.property_value import PropertyValue

from sandbox.providers import docker
from sandbox.providers.docker import (
    UNKNOWN,
    CommandFailed,
    InputError,
    Properties,
    build_command,
    context_digest,
    ignored_by,
)

NAME = "127.0.0.1:5000/shop:1.4.0"
DIGEST = "127.0.0.1:5000/shop@sha256:" + "a" * 64


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "app"
    (folder / "src").mkdir(parents=True)
    (folder / "Dockerfile").write_text("FROM scratch\n")
    (folder / "src/main.py").write_text("print()\n")
    (folder / "notes.log").write_text("one\n")
    (folder / ".dockerignore").write_text("*.log\n")
    monkeypatch.chdir(tmp_path)
    return folder


class Docker:
    """The command, played: what it was asked, and what images there are."""

    def __init__(self) -> None:
        self.calls: list[tuple[list[str], dict[str, str]]] = []
        self.digests: list[str] = [DIGEST]
        self.fails: dict[str, str] = {}

    def __call__(
        self, arguments: list[str], environment: Mapping[str, str], *, timeout: float = 0, stdin: str | None = None
    ) -> str:
        self.calls.append((arguments, dict(environment)))
        if message := self.fails.pop(arguments[0], None):
            raise CommandFailed(message)
        return json.dumps([{"RepoDigests": self.digests}])

    @property
    def verbs(self) -> list[str]:
        return [arguments[0] for arguments, _ in self.calls]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Docker:
    fake = Docker()
    monkeypatch.setattr(docker, "_docker", fake)
    return fake


def inputs(**more: Any) -> Properties:  # noqa: ANN401
    return {"imageName": NAME, "build": {"context": "app"}, **more}


def digest(folder: Path) -> str:
    return context_digest(folder, folder / "Dockerfile")


@pytest.mark.parametrize(
    ("lines", "path", "out"),
    [
        (["*.log"], "a.log", True),
        (["*.log"], "src/a.log", False),
        (["**/*.log"], "src/deep/a.log", True),
        (["**/*.log"], "a.log", True),
        (["src"], "src/main.py", True),
        (["/src/"], "src/main.py", True),
        (["src/*.py", "!src/main.py"], "src/main.py", False),
        (["!src/main.py", "src"], "src/main.py", True),
        (["# src", "", "  "], "src", False),
        (["file?.txt"], "file1.txt", True),
        (["file[0-3].txt"], "file7.txt", False),
        (["a.txt"], "a-txt", False),
    ],
)
def test_a_dockerignore_is_read_as_docker_reads_it(lines: list[str], path: str, out: bool) -> None:
    assert ignored_by(lines, path) is out


def test_an_unchanged_context_has_the_same_digest_wherever_it_lies(context: Path, tmp_path: Path) -> None:
    before = digest(context)
    os.utime(context / "src/main.py", (0, 0))
    assert digest(context.rename(tmp_path / "elsewhere")) == before


def test_an_ignored_file_does_not_count(context: Path) -> None:
    before = digest(context)
    (context / "notes.log").write_text("two\n")
    assert digest(context) == before


@pytest.mark.parametrize("change", ["content", "name", "mode", "added", "dockerfile", "link"])
def test_whatever_a_build_would_see_changes_the_digest(context: Path, change: str) -> None:
    main, before = context / "src/main.py", digest(context)
    match change:
        case "content":
            main.write_text("print(1)\n")
        case "name":
            main.rename(context / "src/other.py")
        case "mode":
            main.chmod(0o755)
        case "added":
            (context / "src/empty").touch()
        case "dockerfile":
            (context / "Dockerfile").write_text("FROM busybox\n")
        case "link":
            (context / "here").symlink_to("src")
    assert digest(context) != before


def test_the_dockerfiles_own_ignore_file_comes_first(context: Path) -> None:
    before = digest(context)
    (context / "Dockerfile.dockerignore").write_text("Dockerfile.dockerignore\n")
    assert digest(context) != before


def test_the_digest_is_an_input(context: Path) -> None:
    checked = docker.check(inputs())
    assert checked["build"]["contextDigest"] == digest(context)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"imageName": NAME, "build": {"context": "nowhere"}}, r"build\.context"),
        ({"imageName": NAME, "build": {"context": "app", "dockerfile": "app/Other"}}, r"build\.dockerfile"),
        ({"imageName": NAME, "build": {"context": "app", "secrets": []}}, r"build\.secrets"),
        ({"imageName": NAME, "buildOnPreview": True}, "buildOnPreview"),
        ({"build": {"context": "app"}}, "imageName"),
    ],
)
def test_a_bad_input_is_refused_by_name(context: Path, wrong: Properties, named: str) -> None:
    with pytest.raises(InputError, match=named):
        docker.check(wrong)


def test_a_context_that_is_not_known_yet_has_no_digest() -> None:
    given = inputs(build={"context": UNKNOWN})
    assert docker.check(given) == given


def test_new_credentials_are_no_change_and_another_server_is() -> None:
    def given(server: str, password: str) -> Properties:
        return inputs(registry={"server": server, "username": "u", "password": password})

    assert docker.changed(given("a", "x"), given("a", "y")) == []
    assert docker.changed(given("a", "x"), given("b", "x")) == ["registry"]


def test_the_build_command_says_what_the_program_says_and_hides_the_arguments_values() -> None:
    build = {
        "context": "app",
        "dockerfile": "app/Dockerfile.web",
        "platform": "linux/amd64",
        "args": {"TOKEN": "not-a-secret"},
    }
    arguments, environment = build_command({"imageName": NAME, "build": build})
    assert arguments == [
        *("build", "--tag", NAME, "--file", "app/Dockerfile.web", "--platform", "linux/amd64"),
        *("--build-arg", "TOKEN", "app"),
    ]
    assert environment == {"TOKEN": "not-a-secret", "DOCKER_BUILDKIT": "1"}


def test_an_image_is_built_pushed_and_known_by_the_digest_of_its_repository(command: Docker, context: Path) -> None:
    command.digests = ["other/shop@sha256:" + "b" * 64, DIGEST]
    outputs = docker.create(inputs(), 60)
    assert command.verbs == ["build", "push", "image"]
    assert outputs["repoDigest"] == DIGEST


def test_skip_push_leaves_the_image_where_it_was_built(command: Docker, context: Path) -> None:
    command.digests = []
    assert "repoDigest" not in docker.create(inputs(skipPush=True), 60)
    assert command.verbs == ["build", "image"]


def test_credentials_go_to_a_folder_of_their_own_that_is_gone_afterwards(command: Docker, context: Path) -> None:
    docker.create(inputs(registry={"server": "r", "username": "u", "password": "not-a-secret"}), 60)
    assert command.verbs == ["login", "build", "push", "image"]
    assert "not-a-secret" not in json.dumps(command.calls)
    folders = {environment["DOCKER_CONFIG"] for arguments, environment in command.calls[:3]}
    assert len(folders) == 1
    assert not Path(folders.pop()).exists()


def test_a_client_without_buildkit_falls_back_to_the_daemons_builder(command: Docker, context: Path) -> None:
    command.fails["build"] = "BuildKit is enabled but the buildx component is missing or broken."
    docker.create(inputs(), 60)
    assert [environment["DOCKER_BUILDKIT"] for arguments, environment in command.calls[:2]] == ["1", "0"]


def test_a_daemon_without_a_bridge_builds_without_a_network(command: Docker, context: Path) -> None:
    command.fails["build"] = "#14 ERROR: executor failed running [pip install]: network bridge not found"
    docker.create(inputs(), 60)
    assert command.verbs == ["build", "build", "push", "image"]
    assert command.calls[1][0] == ["build", "--network", "none", "--tag", NAME, "--file", "app/Dockerfile", "app"]


def test_a_failed_build_tells_the_end_of_its_output(command: Docker, context: Path) -> None:
    command.fails["build"] = "docker build: executor failed running /bin/false"
    with pytest.raises(CommandFailed, match="executor failed"):
        docker.create(inputs(), 60)


def test_an_image_that_is_in_neither_place_is_gone(command: Docker) -> None:
    command.fails = {"image": "No such image", "pull": "manifest for shop:1.4.0 not found: manifest unknown"}
    assert docker.read(NAME, inputs()) is None


def test_a_registry_that_does_not_answer_does_not_make_an_image_gone(command: Docker) -> None:
    command.fails = {"image": "No such image", "pull": "connection refused"}
    with pytest.raises(CommandFailed, match="connection refused"):
        docker.read(NAME, inputs())


def test_an_image_that_only_the_registry_has_is_read_from_there(command: Docker) -> None:
    command.fails = {"image": "No such image"}
    found = docker.read(NAME, inputs())
    assert found is not None
    assert found["repoDigest"] == DIGEST


def test_the_docker_command_reports_failure_and_lateness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "docker"
    program.write_text('#!/bin/sh\necho "$1 says no"\n[ "$1" = push ] && exec sleep 30\nexit 3\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(CommandFailed, match="docker build: build says no"):
        docker._docker(["build"], {})
    with pytest.raises(CommandFailed, match=r"docker push did not end within 0\.5 seconds: push says no"):
        docker._docker(["push"], {}, timeout=0.5)


URN = "urn:pulumi:sandbox::hueshift::hueshift:image:Image$docker:index/image:Image::image"


def asked(**values: Any) -> dict[str, PropertyValue]:  # noqa: ANN401
    """Return inputs as the engine hands them over."""
    return {key: docker._value(value) for key, value in inputs(**values).items()}


def test_a_preview_builds_nothing_and_does_not_know_the_digest(command: Docker, context: Path) -> None:
    request = protocol.CreateRequest(URN, asked(registry={"server": "r"}), 0, preview=True)
    shown = {key: docker.plain(value) for key, value in asyncio.run(docker.Docker().create(request)).properties.items()}
    assert {key: value for key, value in shown.items() if key != docker._INPUTS} == {
        "imageName": NAME,
        "baseImageName": NAME,
        "registryServer": "r",
        "context": "app",
        "dockerfile": "Dockerfile",
        "repoDigest": UNKNOWN,
    }
    assert command.calls == []


def test_what_was_made_differs_by_what_the_program_changes_and_a_new_name_replaces(
    command: Docker, context: Path
) -> None:
    there = docker.Docker()

    def diff(new: dict[str, PropertyValue]) -> protocol.DiffResponse:
        return asyncio.run(there.diff(protocol.DiffRequest(URN, NAME, state, new, [])))

    state = asyncio.run(there.create(protocol.CreateRequest(URN, asked(), 60, preview=False))).properties
    assert diff(asked()).changes is False
    assert diff(asked(skipPush=True)).diffs == ["skipPush"]
    assert diff(asked(skipPush=True)).replaces == []
    assert diff(asked(imageName="other")).replaces == ["imageName"]


def test_a_bad_input_is_a_failure_of_the_check_and_another_type_is_refused(context: Path) -> None:
    there = docker.Docker()
    failed = asyncio.run(there.check(protocol.CheckRequest(URN, {}, asked(tags=[]), b"")))
    assert [failure.property for failure in failed.failures or ()] == ["tags"]
    with pytest.raises(NotImplementedError, match="RemoteImage"):
        asyncio.run(there.check(protocol.CheckRequest(URN.replace(":Image", ":RemoteImage"), {}, {}, b"")))
