"""The Pulumi engine and its plugins: the official releases wherever they can be had, else what this project builds.

The engine comes from PATH, else from its official release, else it is built from its Go
module. Each provider plugin is the official release where it can be installed, else its own
upstream built here; only for docker, whose upstream is on no registry, there is a stand-in.
"""

import hashlib
import json
import os
import shutil
import subprocess
import tarfile
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import grpc  # type: ignore[import-untyped]
import yaml
from google.protobuf import empty_pb2
from pulumi.runtime.proto import provider_pb2_grpc

from sandbox import paths
from sandbox.steps import StepError

BIN = paths.ROOT / "sandbox/providers/bin"
_SDKS = {"aws": "pulumi-aws", "kubernetes": "pulumi-kubernetes", "docker": "pulumi-docker"}
_ENGINE = "pulumi", "language-host"
_UPSTREAM = {"aws": "aws-plugin", "kubernetes": "kubernetes-plugin"}
"""The parts of `programs` that are a plugin made of its upstream's own code."""
_OLDEST = (3, 231, 0)
"""The oldest engine that the SDK of aws takes."""
_RELEASES = "https://get.pulumi.com/releases/sdk"
_CONNECT_TIMEOUT = 5.0
_RECORD = paths.STATE / "engine.json"
_RELEASE = "official release"
_BUILT = "built from its Go module"
_HOME = paths.STATE / "engine"
_PACK = paths.ROOT / "policy"
_PACK_HERE = paths.STATE / "policy"
_PACK_RUNTIME = "hueshift-python"
"""The name of no language: such a pack the engine starts by the plugin ``pulumi-analyzer-policy-<runtime>``."""


@dataclass(frozen=True, kw_only=True)
class Engine:
    """Where the engine's programs are and what stands behind its providers."""

    directory: str
    """Holds `pulumi` and its language host."""
    source: str
    """``PATH``, ``official release`` or ``built from its Go module``."""
    providers: dict[str, str]
    """For each provider ``official release``, ``its upstream, built here`` or ``stand-in``."""

    @property
    def policy_pack(self) -> Path:
        """What ``--policy-pack`` takes: the product's own folder wherever the language host can start it."""
        return _PACK_HERE if self.source == _BUILT else _PACK

    def __str__(self) -> str:
        """Return where each part is from, for the screen."""
        return "; ".join([f"engine: {self.source}", *(f"{name}: {source}" for name, source in self.providers.items())])


def settled() -> Engine:
    """Return the engine that `make sandbox` has found.

    Raises:
        FileNotFoundError: `make sandbox` has not run, or not that of this version.

    """
    if (engine := _recorded()) is None:
        raise FileNotFoundError("the local cloud is not there: run `make sandbox` first")
    return engine


def outdated() -> bool:
    """Return whether the record is of another version of this project, whose processes this one cannot use."""
    return _RECORD.exists() and _recorded() is None


def _recorded() -> Engine | None:
    try:
        engine = Engine(**json.loads(_RECORD.read_text()))
    except (FileNotFoundError, TypeError, ValueError):
        return None
    return engine if set(engine.providers) == set(_SDKS) else None


def find() -> Engine:
    """Return the engine and plugins to use: an earlier run's if they are still there, else the best in reach."""
    earlier = _recorded()
    if earlier and _stands(earlier):
        return earlier
    directory, source = _from_path() or _release() or (str(_HOME), _BUILT)
    # Who has to build the engine gets no plugins from that place either, and would be refused for ten seconds.
    official = [] if source == _BUILT else [name for name in _SDKS if _install_release(directory, name)]
    other = {name: "its upstream, built here" if name in _UPSTREAM else "stand-in" for name in _SDKS}
    return Engine(
        directory=directory,
        source=source,
        providers={name: _RELEASE if name in official else other[name] for name in _SDKS},
    )


def _stands(engine: Engine) -> bool:
    """Return whether what an earlier run found is there, in the pinned versions."""
    pinned = not engine.source.startswith(_RELEASE) or engine.source == f"{_RELEASE} {version('pulumi')}"
    return pinned and Path(engine.directory).is_dir() and all(_plugin(name).exists() for name in _SDKS)


def parts(engine: Engine) -> list[str]:
    """Return the parts of `programs` that this engine needs built."""
    own = list(_ENGINE) if engine.source == _BUILT else []
    return own + [part for name, part in _UPSTREAM.items() if engine.providers[name] == "its upstream, built here"]


def install(engine: Engine, built: Mapping[str, Path]) -> None:
    """Put what was built, and the stand-in, where the engine looks; record the engine.

    Raises:
        StepError: a plugin does not start, or is not of the version that its SDK is pinned to.

    """
    for part in _ENGINE if engine.source == _BUILT else ():  # side by side, the one finds the other without a warning
        shutil.copytree(built[part], _HOME, dirs_exist_ok=True)
    for name, source in engine.providers.items():
        program = _plugin(name)
        folder = built[_UPSTREAM[name]] if name in _UPSTREAM and source != _RELEASE else BIN
        if source == _RELEASE or (program.is_symlink() and program.resolve() == folder / program.name):
            continue
        shutil.rmtree(program.parent, ignore_errors=True)
        program.parent.mkdir(parents=True)
        program.symlink_to(folder / program.name)
        _hold_version(name, program)
    if engine.source == _BUILT:
        _help_the_host()
    half = _RECORD.with_suffix(".part")  # one that a killed run has half written would pass for another version's
    half.write_text(json.dumps(asdict(engine), indent=1))
    half.rename(_RECORD)


def _from_path() -> tuple[str, str] | None:
    program = shutil.which("pulumi")
    if program is None or shutil.which("pulumi-language-python") is None:
        return None
    found = subprocess.run([program, "version"], capture_output=True, text=True, check=False).stdout.strip()
    try:
        number = tuple(int(part) for part in found.lstrip("v").split("-")[0].split("."))
    except ValueError:
        return None
    return (str(Path(program).parent), f"PATH ({found})") if number >= _OLDEST else None


def _release() -> tuple[str, str] | None:
    """Download the official release of the SDK's own version; None where it is out of reach."""
    wanted = version("pulumi")
    home = paths.CACHE / f"pulumi-{wanted}-release"
    if not home.is_dir():
        archive = f"pulumi-v{wanted}-linux-x64.tar.gz"
        try:
            content = _download(archive)
            sums = _download(f"pulumi-{wanted}-checksums.txt").decode()
        except (urllib.error.URLError, OSError):
            return None
        if f"{hashlib.sha256(content).hexdigest()}  {archive}" not in sums:
            raise SystemExit(f"the downloaded {archive} does not match its published checksum; try again later")
        part = home.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        (part / archive).write_bytes(content)
        with tarfile.open(part / archive) as bundle:
            bundle.extractall(part, filter="data")
        (part / archive).unlink()
        part.rename(home)
    return str(home / "pulumi"), f"{_RELEASE} {wanted}"


def _download(name: str) -> bytes:
    with urllib.request.urlopen(f"{_RELEASES}/{name}", timeout=_CONNECT_TIMEOUT) as answer:
        return bytes(answer.read())


def _help_the_host() -> None:
    """Give the policy pack a way to start, for which the host that can be built is too old; spare each program pip."""
    python = _HOME / "python3"
    python.unlink(missing_ok=True)
    python.symlink_to(BIN / "python3")
    _PACK_HERE.mkdir(parents=True, exist_ok=True)
    described = yaml.safe_load((_PACK / "PulumiPolicy.yaml").read_text())
    (_PACK_HERE / "PulumiPolicy.yaml").write_text(yaml.safe_dump({**described, "runtime": _PACK_RUNTIME}))
    program = _PACK_HERE / "__main__.py"
    program.unlink(missing_ok=True)
    program.symlink_to(_PACK / "__main__.py")
    # On PATH instead, it would be warned of in every preview.
    home = paths.PULUMI_HOME / f"plugins/analyzer-policy-{_PACK_RUNTIME}-v1.0.0"
    home.mkdir(parents=True, exist_ok=True)
    starter = home / f"pulumi-analyzer-policy-{_PACK_RUNTIME}"
    starter.write_text('#!/bin/sh\nexec python3 -u -m pulumi.policy "$1" "$2"\n')
    starter.chmod(0o755)


def _plugin(name: str) -> Path:
    """Return where the local cloud's engine, and no other, looks for a provider's plugin."""
    return paths.PULUMI_HOME / f"plugins/resource-{name}-v{version(_SDKS[name])}/pulumi-resource-{name}"


def _install_release(directory: str, name: str) -> bool:
    """Install the official release of a plugin at its SDK's version; False where that fails."""
    if _plugin(name).is_symlink():  # to what was built here: the engine would say that it is installed
        shutil.rmtree(_plugin(name).parent)
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([directory, os.environ["PATH"]]),
        "PULUMI_HOME": str(paths.PULUMI_HOME),
        "PULUMI_SKIP_UPDATE_CHECK": "1",
    }
    command = ["pulumi", "plugin", "install", "resource", name, f"v{version(_SDKS[name])}"]
    try:
        subprocess.run(command, env=environment, capture_output=True, check=True, timeout=180)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        return False
    return True


def _hold_version(name: str, program: Path) -> None:
    """Ask the plugin itself for its version, for the engine believes the folder's name; raise StepError for another."""
    wanted = version(_SDKS[name])
    with subprocess.Popen([program, "127.0.0.1:0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        port = process.stdout.readline().decode().strip()
        try:
            if not port.isdigit():
                raise StepError(f"{program} does not start: it printed {port!r} in the place of a port")
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                info = provider_pb2_grpc.ResourceProviderStub(channel).GetPluginInfo(empty_pb2.Empty(), timeout=30)
        finally:
            process.kill()
    if info.version.lstrip("v") != wanted:
        raise StepError(
            f"{program} is version {info.version}, {_SDKS[name]}=={wanted} is pinned",
            remedy=f"rm -r {program.parent}, then make sandbox",
        )
