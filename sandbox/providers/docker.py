"""Stand-in for the official provider `docker` 5.0.0: the resource `Image`, by the `docker` command.

Behaviour follows pulumi/pulumi-docker ``provider/{provider,image}.go``: the digest of the build context is an input, so
that an unchanged context is no change; a preview builds nothing; new registry credentials are no change; deleting the
resource leaves the image where it is.
"""

import hashlib
import json
import os
import re
import stat
import subprocess
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from sandbox.providers.plugin import (
    UNKNOWN,
    CheckFailure,
    Properties,
    Provider,
    Resource,
    is_known,
    say,
    serve,
)

VERSION: Final = "5.0.0"
_BUILD: Final = frozenset(
    {
        "addHosts",
        "args",
        "builderVersion",
        "cacheFrom",
        "context",
        "contextDigest",
        "dockerfile",
        "network",
        "platform",
        "target",
    }
)
_BUILDERS: Final = {"BuilderBuildKit": "1", "BuilderV1": "0"}
_host: dict[str, str] = {}


def configure(given: Properties) -> None:
    """Take the provider's configuration; the daemon that is not given comes from DOCKER_HOST."""
    if host := given.get("host"):
        _host["DOCKER_HOST"] = host


# --- the build context -----------------------------------------------------------------------------------------------


def _expression(pattern: str) -> re.Pattern[str]:
    """Translate a line of ``.dockerignore``: Go's path patterns, and ``**`` for any number of folders."""
    out, position = "", 0
    while position < len(pattern):
        rest = pattern[position:]
        if rest.startswith("**/"):
            out, position = out + "(?:.*/)?", position + 3
        elif rest.startswith("**"):
            out, position = out + ".*", position + 2
        elif rest[0] == "*":
            out, position = out + "[^/]*", position + 1
        elif rest[0] == "?":
            out, position = out + "[^/]", position + 1
        elif found := re.match(r"\[\^?[^\]]+\]", rest):
            out, position = out + found[0], position + found.end()
        else:
            literal = rest[1] if rest[0] == "\\" and len(rest) > 1 else rest[0]
            out, position = out + re.escape(literal), position + (2 if rest[0] == "\\" else 1)
    # What lies in an ignored folder is ignored with it.
    return re.compile(f"{out}(?:/.*)?", re.DOTALL)


def ignored_by(lines: Iterable[str], path: str) -> bool:
    """Tell whether the lines of a ``.dockerignore`` leave a path out; the last line that fits decides."""
    ignored = False
    for line in lines:
        pattern = line.strip()
        if not pattern or pattern.startswith("#"):
            continue
        negated, pattern = pattern.startswith("!"), pattern.removeprefix("!").strip()
        if _expression(os.path.normpath(pattern).lstrip("/")).fullmatch(path):
            ignored = not negated
    return ignored


def _files(context: Path, lines: list[str]) -> Iterator[tuple[str, Path]]:
    for folder, names, files in os.walk(context):
        names.sort()
        links = [name for name in names if (Path(folder) / name).is_symlink()]
        for name in sorted(files + links):
            path = Path(folder) / name
            relative = path.relative_to(context).as_posix()
            if not ignored_by(lines, relative):
                yield relative, path


def context_digest(context: Path, dockerfile: Path) -> str:
    """Give a digest over names, modes and contents of what a build would see; a link counts as its target's path.

    Raises `CheckFailure` if there is no Dockerfile.
    """
    if not context.is_dir():
        raise CheckFailure("build.context", f"{context} is not a folder")
    if not dockerfile.is_file():
        raise CheckFailure("build.dockerfile", f"there is no file {dockerfile}")
    own = dockerfile.with_name(dockerfile.name + ".dockerignore")
    common = context / ".dockerignore"
    rules = next((path.read_text().splitlines() for path in (own, common) if path.is_file()), [])
    digest = hashlib.sha256(dockerfile.read_bytes())
    for name, path in _files(context, rules):
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            content = os.readlink(path).encode()  # noqa: PTH115 - a link's own text, not the path it leads to
        elif stat.S_ISREG(mode):
            content = path.read_bytes()
        else:
            continue
        digest.update(f"{name}\0{mode:o}\0".encode() + hashlib.sha256(content).digest())
    return digest.hexdigest()


# --- the command -----------------------------------------------------------------------------------------------------


class CommandFailed(Exception):  # noqa: N818 - says what happened
    """The docker command failed; the text is the end of what it wrote."""


def _docker(
    arguments: list[str], environment: Mapping[str, str], *, timeout: float = 60.0, stdin: str | None = None
) -> str:
    """Run it, show each line, and give all of what it wrote."""
    process = subprocess.Popen(
        ["docker", *arguments],
        env={**os.environ, **_host, **environment},
        stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    clock = threading.Timer(timeout, process.kill)
    clock.start()
    try:
        if stdin is not None and process.stdin is not None:
            process.stdin.write(stdin)
            process.stdin.close()
        lines = []
        for line in process.stdout or ():
            lines.append(line.rstrip())
            if arguments[0] in ("build", "push") and lines[-1]:
                say(lines[-1])
        if process.wait() != 0:
            why = "\n".join(lines[-30:]) or f"ended with {process.returncode}"
            late = "" if clock.is_alive() else f" did not end within {timeout:g} seconds"
            raise CommandFailed(f"docker {arguments[0]}{late}: {why}")
    finally:
        clock.cancel()
        process.kill()
        process.wait()
    return "\n".join(lines)


def build_command(inputs: Properties) -> tuple[list[str], dict[str, str]]:
    """Give the arguments of ``docker`` and its environment; the values of build arguments stay off the command line."""
    build = inputs.get("build", {})
    arguments = ["build", "--tag", inputs["imageName"], "--file", _dockerfile(build).as_posix()]
    for flag, key in (("--target", "target"), ("--platform", "platform"), ("--network", "network")):
        if key in build:
            arguments += [flag, build[key]]
    for host in build.get("addHosts", []):
        arguments += ["--add-host", host]
    for image in build.get("cacheFrom", {}).get("images", []):
        arguments += ["--cache-from", image]
    values = {key: str(value) for key, value in build.get("args", {}).items()}
    for key in values:
        arguments += ["--build-arg", key]
    kit = _BUILDERS[build.get("builderVersion", "BuilderBuildKit")]
    return [*arguments, build.get("context", ".")], {**values, "DOCKER_BUILDKIT": kit}


def _dockerfile(build: Properties) -> Path:
    return Path(build.get("dockerfile") or Path(build.get("context", ".")) / "Dockerfile")


def _repository(image: str) -> str:
    name, _, tag = image.partition("@")[0].rpartition(":")
    return name if name and "/" not in tag else image.partition("@")[0]


class Image(Resource):
    """An image, built from a context and pushed to its registry."""

    arguments = frozenset({"build", "buildOnPreview", "imageName", "registry", "skipPush"})
    default_timeout = 3600.0

    def check(self, name: str, old: Properties | None, new: Properties) -> Properties:  # noqa: ARG002
        if "imageName" not in new:
            raise CheckFailure("imageName", "an image needs a name")
        if new.get("buildOnPreview") is True:
            raise CheckFailure("buildOnPreview", "the stand-in provider docker builds nothing in a preview")
        build = new.get("build", {})
        if not isinstance(build, dict):
            return new
        for key in sorted(build.keys() - _BUILD):
            raise CheckFailure(f"build.{key}", "the stand-in provider docker does not support it")
        if is_known(build.get("builderVersion")) and build.get("builderVersion", "BuilderV1") not in _BUILDERS:
            raise CheckFailure("build.builderVersion", f"{build['builderVersion']!r} is none of {', '.join(_BUILDERS)}")
        if not is_known([build.get("context"), build.get("dockerfile")]):
            return new
        digest = context_digest(Path(build.get("context", ".")), _dockerfile(build))
        return {**new, "build": {**build, "contextDigest": digest}}

    def comparable(self, inputs: Properties) -> Properties:
        registry = inputs.get("registry")
        if not isinstance(registry, dict):
            return inputs
        rest = {key: value for key, value in registry.items() if key not in ("username", "password")}
        return {**inputs, "registry": rest}

    def replaces(self, old: Properties, new: Properties) -> set[str]:  # noqa: ARG002
        return {"imageName"}

    def _outputs(self, inputs: Properties) -> Properties:
        build = inputs.get("build", {})
        outputs: Properties = {"imageName": inputs["imageName"], "baseImageName": inputs["imageName"]}
        outputs["registryServer"] = inputs.get("registry", {}).get("server", "")
        if isinstance(build, dict) and is_known([build.get("context"), build.get("dockerfile")]):
            context = build.get("context", ".")
            outputs |= {"context": context, "dockerfile": os.path.relpath(_dockerfile(build), context)}
        return outputs

    def preview(self, inputs: Properties, state: Properties | None) -> Properties:  # noqa: ARG002
        return {**self._outputs(inputs), "repoDigest": UNKNOWN}

    def create(self, inputs: Properties, timeout: float) -> tuple[str, Properties]:
        image = inputs["imageName"]
        arguments, environment = build_command(inputs)
        registry = inputs.get("registry", {})
        with tempfile.TemporaryDirectory() as folder:
            credentials = {}
            if registry.get("username"):
                credentials = {"DOCKER_CONFIG": folder}
                login = ["login", "--username", registry["username"], "--password-stdin"]
                _docker([*login, registry.get("server", "")], credentials, stdin=registry.get("password", ""))
            try:
                _docker(arguments, {**environment, **credentials}, timeout=timeout)
            except CommandFailed as error:
                if "buildx component is missing" in str(error):
                    # A newer client without its plugin cannot speak to BuildKit; the daemon's own builder is left.
                    environment["DOCKER_BUILDKIT"] = "0"
                elif "network bridge not found" in str(error):
                    # The node's daemon has none; the local cloud's images are built without a network.
                    arguments[1:1] = ["--network", "none"]
                else:
                    raise
                _docker(arguments, {**environment, **credentials}, timeout=timeout)
            if not inputs.get("skipPush"):
                _docker(["push", image], credentials, timeout=timeout)
        say("")
        return image, {**self._outputs(inputs), **self._digest(image)}

    @staticmethod
    def _digest(image: str) -> Properties:
        found = json.loads(_docker(["image", "inspect", image], {}))[0].get("RepoDigests") or []
        own = [one for one in found if one.partition("@")[0] == _repository(image)]
        return {"repoDigest": own[0]} if own else {}

    def read(self, id: str, inputs: Properties | None) -> tuple[Properties, Properties] | None:  # noqa: A002
        live = {"imageName": id} if inputs is None else inputs
        try:
            digest = self._digest(id)
        except CommandFailed:
            if live.get("skipPush"):
                return None
            try:
                _docker(["pull", "--quiet", id], {}, timeout=self.default_timeout)
                digest = self._digest(id)
            except CommandFailed as error:
                if "not found" in str(error) or "manifest unknown" in str(error):
                    return None
                raise
        return live, {**self._outputs(live), **digest}

    def update(self, id: str, state: Properties, old: Properties, new: Properties, timeout: float) -> Properties:  # noqa: A002, ARG002
        return self.create(new, timeout)[1]

    def delete(self, id: str, state: Properties, timeout: float) -> None:  # noqa: A002
        pass


PROVIDER: Final = Provider(
    name="docker",
    version=VERSION,
    resources={"docker:index/image:Image": Image()},
    configure=configure,
    arguments=frozenset({"host"}),
)

if __name__ == "__main__":
    serve(PROVIDER)
