"""The Pulumi engine and its plugins: the official ones wherever they can be had, else what this project brings.

The engine comes from PATH, else from its official release, else it is built from
its Go module. The provider plugins are the official ones where they are installed
or can be installed, else the stand-ins of ``sandbox/providers``; never a mixture.
"""

import hashlib
import json
import os
import shutil
import subprocess
import tarfile
import urllib.error
import urllib.request
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import yaml

from sandbox import paths
from sandbox.steps import Step, StepError

STAND_INS = paths.ROOT / "sandbox/providers/bin"
_PLUGINS = {"aws": "pulumi-aws", "kubernetes": "pulumi-kubernetes", "docker": "pulumi-docker"}
_OLDEST = (3, 226, 0)
"""Older engines have faults in Python programs (null detailedDiff, fixed in 3.226.0)."""
_RELEASES = "https://get.pulumi.com/releases/sdk"
_CONNECT_TIMEOUT = 5.0
_RECORD = paths.STATE / "engine.json"
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
    providers: str
    """``official`` or ``stand-ins``."""

    @property
    def policy_pack(self) -> Path:
        """What ``--policy-pack`` takes: the product's own folder wherever the language host can start it."""
        return _PACK_HERE if self.source == _BUILT else _PACK


def settled() -> Engine:
    """Return the engine that `settle` has found.

    Raises:
        FileNotFoundError: `make sandbox` has not run.

    """
    return Engine(**json.loads(_RECORD.read_text()))


def settle(step: Step) -> Engine:
    """Return the engine that an earlier run settled on, else settle on one.

    Raises:
        StepError: the engine could not be built.

    """
    if _RECORD.exists() and Path(settled().directory).is_dir():
        engine = settled()
        if engine.source == _BUILT:
            _help_the_host()
        return engine
    directory, source = _from_path() or _release() or _build(step)
    # Who had to build the engine gets no plugins from that place either, and would be refused for ten seconds.
    official = source != _BUILT and _official_plugins(directory)
    if not official:
        _install_stand_ins()
    engine = Engine(directory=directory, source=source, providers="official" if official else "stand-ins")
    if source == _BUILT:
        _help_the_host()
    _RECORD.write_text(json.dumps(asdict(engine), indent=1))
    return engine


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
    return str(home / "pulumi"), f"official release {wanted}"


def _download(name: str) -> bytes:
    with urllib.request.urlopen(f"{_RELEASES}/{name}", timeout=_CONNECT_TIMEOUT) as answer:
        return bytes(answer.read())


def _build(step: Step) -> tuple[str, str]:
    """Build engine and language host; put side by side, the one finds the other without a warning."""
    step.say("no release in reach: building it from its Go module, about three minutes, once")
    log = paths.LOGS / "engine.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as sink:
        command = [str(paths.ROOT / "tools/build.sh"), "pulumi", "language-host"]
        built = subprocess.run(command, stdout=subprocess.PIPE, stderr=sink, text=True, check=False)
    if built.returncode:
        raise StepError("the engine could not be built", log=log)
    for directory in built.stdout.split():
        shutil.copytree(directory, _HOME, dirs_exist_ok=True)
    return str(_HOME), _BUILT


def _help_the_host() -> None:
    """Give the policy pack a way to start, for which the host that can be built is too old; spare each program pip."""
    python = _HOME / "python3"
    python.unlink(missing_ok=True)
    python.symlink_to(STAND_INS / "python3")
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


def _official_plugins(directory: str) -> bool:
    """Install the official provider plugins at the versions of their SDKs; False where that fails."""
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([directory, os.environ["PATH"]]),
        "PULUMI_HOME": str(paths.PULUMI_HOME),
        "PULUMI_SKIP_UPDATE_CHECK": "1",
    }
    for name, distribution in _PLUGINS.items():
        command = ["pulumi", "plugin", "install", "resource", name, f"v{version(distribution)}"]
        try:
            subprocess.run(command, env=environment, capture_output=True, check=True, timeout=180)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
            return False
    return True


def _install_stand_ins() -> None:
    """Put the stand-ins where the local cloud's engine, and no other, looks for its plugins."""
    for name, distribution in _PLUGINS.items():
        program = f"pulumi-resource-{name}"
        home = paths.PULUMI_HOME / f"plugins/resource-{name}-v{version(distribution)}"
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        (home / program).symlink_to(STAND_INS / program)
