"""Stand-in for the official provider `docker` 5.0.0: the resource `Image`, by the `docker` command.

Behaviour follows pulumi/pulumi-docker ``provider/{provider,image}.go``: the digest of the build context is an input, so
that an unchanged context is no change; a preview builds nothing; new registry credentials are no change; deleting the
resource leaves the image where it is. The engine's protocol is spoken by the SDK's own provider server.
"""

import asyncio
import hashlib
import json
import os
import re
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from pulumi.provider.experimental import provider as protocol
from pulumi.provider.experimental.property_value import Computed, PropertyValue
from pulumi.provider.experimental.server import main

Properties = dict[str, Any]
"""Plain Python values under the engine's camelCase keys; secrets unwrapped, `UNKNOWN` where a preview cannot know."""


class Unknown:
    """The type of `UNKNOWN`."""


UNKNOWN: Final = Unknown()
TYPE: Final = "docker:index/image:Image"
VERSION: Final = "5.0.0"
_BUILD: Final = frozenset({"args", "context", "contextDigest", "dockerfile", "platform"})
_ARGUMENTS: Final = frozenset({"build", "buildOnPreview", "imageName", "registry", "skipPush"})
_LONGEST: Final = 3600.0
"""Seconds for a build or a push where the program sets no timeout."""
_INPUTS: Final = "__inputs"
"""The output that keeps the inputs: a diff is asked with the outputs that the state holds."""
_host: dict[str, str] = {}


class InputError(Exception):
    """An input is wrong: the engine shows the property and the reason, and does nothing."""

    def __init__(self, property: str, reason: str) -> None:  # noqa: A002 - the protocol's name
        super().__init__(f"{property}: {reason}")
        self.failure = protocol.CheckFailure(property, reason)


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
    """Return whether the lines of a ``.dockerignore`` leave a path out; the last line that fits decides."""
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
    """Return a digest over names, modes and contents of what a build would see; a link counts as its target's path.

    Raises `InputError` if there is no Dockerfile.
    """
    if not context.is_dir():
        raise InputError("build.context", f"{context} is not a folder")
    if not dockerfile.is_file():
        raise InputError("build.dockerfile", f"there is no file {dockerfile}")
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
    """Run it and give all of what it wrote."""
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
        lines = [line.rstrip() for line in process.stdout or ()]
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
    """Return the arguments and environment of ``docker``; values of build arguments are not on the command line."""
    build = inputs.get("build", {})
    arguments = ["build", "--tag", inputs["imageName"], "--file", _dockerfile(build).as_posix()]
    if "platform" in build:
        arguments += ["--platform", build["platform"]]
    values = {key: str(value) for key, value in build.get("args", {}).items()}
    for key in values:
        arguments += ["--build-arg", key]
    return [*arguments, build.get("context", ".")], {**values, "DOCKER_BUILDKIT": "1"}


def _dockerfile(build: Properties) -> Path:
    return Path(build.get("dockerfile") or Path(build.get("context", ".")) / "Dockerfile")


def _repository(image: str) -> str:
    name, _, tag = image.partition("@")[0].rpartition(":")
    return name if name and "/" not in tag else image.partition("@")[0]


def check(new: Properties) -> Properties:
    """Complete the inputs by the digest of the build context.

    Raises `InputError` if one is missing, wrong or not supported.
    """
    for key in sorted(new.keys() - _ARGUMENTS):
        raise InputError(key, "the stand-in provider docker does not support it; the official plugin does")
    if "imageName" not in new:
        raise InputError("imageName", "an image needs a name")
    if new.get("buildOnPreview") is True:
        raise InputError("buildOnPreview", "the stand-in provider docker builds nothing in a preview")
    build = new.get("build", {})
    if not isinstance(build, dict):
        return new
    for key in sorted(build.keys() - _BUILD):
        raise InputError(f"build.{key}", "the stand-in provider docker does not support it")
    if UNKNOWN in (build.get("context"), build.get("dockerfile")):
        return new
    digest = context_digest(Path(build.get("context", ".")), _dockerfile(build))
    return {**new, "build": {**build, "contextDigest": digest}}


def changed(old: Properties, new: Properties) -> list[str]:
    """Return the arguments that differ; new credentials for the same registry are no difference."""

    def comparable(inputs: Properties) -> Properties:
        registry = inputs.get("registry")
        rest = {key: registry[key] for key in registry.keys() - {"username", "password"}} if registry else None
        return {**inputs, "registry": rest}

    before, after = comparable(old), comparable(new)
    return sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))


def outputs(inputs: Properties) -> Properties:
    """Return what is known of an image before it is built."""
    build = inputs.get("build", {})
    known: Properties = {"imageName": inputs["imageName"], "baseImageName": inputs["imageName"]}
    known["registryServer"] = inputs.get("registry", {}).get("server", "")
    if isinstance(build, dict) and UNKNOWN not in (build.get("context"), build.get("dockerfile")):
        context = build.get("context", ".")
        known |= {"context": context, "dockerfile": os.path.relpath(_dockerfile(build), context)}
    return known


def create(inputs: Properties, timeout: float) -> Properties:
    """Build and push; give the image's outputs, its digest among them."""
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
    return {**outputs(inputs), **_digest(image)}


def _digest(image: str) -> Properties:
    found = json.loads(_docker(["image", "inspect", image], {}))[0].get("RepoDigests") or []
    own = [one for one in found if one.partition("@")[0] == _repository(image)]
    return {"repoDigest": own[0]} if own else {}


def read(image: str, inputs: Properties) -> Properties | None:
    """Return the outputs of an image as it lies with the daemon or in its registry; None if it is in neither."""
    try:
        digest = _digest(image)
    except CommandFailed:
        if inputs.get("skipPush"):
            return None
        try:
            _docker(["pull", "--quiet", image], {}, timeout=_LONGEST)
            digest = _digest(image)
        except CommandFailed as error:
            if "not found" in str(error) or "manifest unknown" in str(error):
                return None
            raise
    return {**outputs(inputs), **digest}


# --- the protocol ----------------------------------------------------------------------------------------------------


def plain(value: PropertyValue) -> Any:  # noqa: ANN401
    """Return a value of the engine's as plain Python."""
    match value.value:
        case Mapping() as members:
            return {key: plain(member) for key, member in members.items()}
        case tuple() | list() as items:
            return [plain(item) for item in items]
        case Computed():
            return UNKNOWN
        case other:
            return other


def _plain(values: Mapping[str, PropertyValue]) -> Properties:
    return {key: plain(value) for key, value in values.items() if value.value is not None}


def _value(value: Any) -> PropertyValue:  # noqa: ANN401
    if value is UNKNOWN:
        return PropertyValue.computed()
    if isinstance(value, dict):
        return PropertyValue({key: _value(member) for key, member in value.items()})
    return PropertyValue([_value(item) for item in value] if isinstance(value, list) else value)


def _state(known: Properties, inputs: Mapping[str, PropertyValue]) -> dict[str, PropertyValue]:
    return {key: _value(value) for key, value in known.items()} | {_INPUTS: PropertyValue(inputs, is_secret=True)}


class Docker(protocol.Provider):
    """The plugin: one type, `Image`; any other, and any argument that is not played, is refused by name."""

    async def check_config(self, request: protocol.CheckRequest) -> protocol.CheckResponse:
        extra = sorted(request.new_inputs.keys() - {"host", "version", "pluginDownloadURL", "__internal"})
        reason = "the stand-in provider docker does not support it"
        return protocol.CheckResponse(request.new_inputs, [protocol.CheckFailure(key, reason) for key in extra])

    async def diff_config(self, request: protocol.DiffRequest) -> protocol.DiffResponse:
        return protocol.DiffResponse(changes=_plain(request.old_state) != _plain(request.new_inputs), detailed_diff={})

    async def configure(self, request: protocol.ConfigureRequest) -> protocol.ConfigureResponse:
        if host := _plain(request.args).get("host"):
            _host["DOCKER_HOST"] = host  # else the environment's
        return protocol.ConfigureResponse(accept_secrets=True, supports_preview=True)

    async def check(self, request: protocol.CheckRequest) -> protocol.CheckResponse:
        if (kind := request.type.rpartition("$")[2]) != TYPE:  # what comes before are the parents' types
            raise NotImplementedError(f"stand-in provider docker: the type {kind} is not supported, only {TYPE}")
        try:
            checked = check(_plain(request.new_inputs))
        except InputError as error:
            return protocol.CheckResponse(request.new_inputs, [error.failure])
        build = {"build": _value(checked["build"])} if isinstance(checked.get("build"), dict) else {}
        return protocol.CheckResponse({**request.new_inputs, **build})

    async def diff(self, request: protocol.DiffRequest) -> protocol.DiffResponse:
        differing = changed(_plain(request.old_state).get(_INPUTS, {}), _plain(request.new_inputs))
        replaces = [key for key in differing if key == "imageName"]
        update, replace = protocol.PropertyDiffKind.UPDATE, protocol.PropertyDiffKind.UPDATE_REPLACE
        return protocol.DiffResponse(
            changes=bool(differing),
            diffs=differing,
            replaces=replaces,
            detailed_diff={
                key: protocol.PropertyDiff(replace if key in replaces else update, True) for key in differing
            },
        )

    async def create(self, request: protocol.CreateRequest) -> protocol.CreateResponse:
        inputs = _plain(request.properties)
        made = await self._made(inputs, request.timeout, preview=request.preview)
        return protocol.CreateResponse("" if request.preview else inputs["imageName"], _state(made, request.properties))

    async def update(self, request: protocol.UpdateRequest) -> protocol.UpdateResponse:
        made = await self._made(_plain(request.news), request.timeout, preview=request.preview)
        return protocol.UpdateResponse(_state(made, request.news))

    @staticmethod
    async def _made(inputs: Properties, timeout: float, *, preview: bool) -> Properties:
        if preview:
            return {**outputs(inputs), "repoDigest": UNKNOWN}
        return await asyncio.to_thread(create, inputs, timeout or _LONGEST)

    async def read(self, request: protocol.ReadRequest) -> protocol.ReadResponse:
        inputs = request.inputs or {"imageName": PropertyValue(request.resource_id)}
        found = await asyncio.to_thread(read, request.resource_id, _plain(inputs))
        if found is None:
            return protocol.ReadResponse(resource_id="", properties={}, inputs={})
        return protocol.ReadResponse(resource_id=request.resource_id, properties=_state(found, inputs), inputs=inputs)

    async def delete(self, request: protocol.DeleteRequest) -> None:
        """Leave the image where it is."""

    async def cancel(self) -> None:
        """Leave nothing half done: docker ends by itself."""


if __name__ == "__main__":
    main(sys.argv[1:], VERSION, Docker())
