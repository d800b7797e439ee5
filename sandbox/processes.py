"""The local cloud's own processes on this machine: started in the background, found again, ended by pid.

Every process carries ``MARK`` in its environment and hands it to its children, so
that a later run recognises what a killed one left behind, whatever it was.
"""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from sandbox import paths

MARK = "HUESHIFT_SANDBOX_RUN"
_GRACE = 10.0
"""Seconds between SIGTERM and SIGKILL: Envoy's and Prometheus's clean ends take one or two."""


def start(name: str, command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Start ``command`` in the background, its output appended to ``LOGS/name.log``; return its pid."""
    paths.LOGS.mkdir(parents=True, exist_ok=True)
    with (paths.LOGS / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            command,
            env={**environment, MARK: str(paths.STATE)},
            cwd=paths.ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    _pid_file(name).write_text(f"{process.pid}\n")
    while process.poll() is None and process.pid not in marked():
        time.sleep(0.01)  # a process has no environment of its own for a moment after it was started
    return process.pid


def ensure(name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
    """Start ``command`` unless it runs; one that another command has started, such as an older build's, is ended."""
    if running(name):
        line = (Path("/proc") / str(_pid(name)) / "cmdline").read_bytes().decode().removesuffix("\0").split("\0")
        if list(command[-len(line) :]) == line:  # a shell may have put the program in its own place
            return
        stop(name)
    start(name, command, environment)


def running(name: str) -> bool:
    """Return whether the process that was started under this name still lives."""
    if _pid(name) in marked():
        return True
    time.sleep(0.02)  # one that is replacing itself by another program has no environment for a moment
    return _pid(name) in marked()


def stop(*names: str) -> None:
    """End the named processes, all at once, and wait until they are gone."""
    _end(sorted({_pid(name) for name in names} & marked()))
    for name in names:
        _pid_file(name).unlink(missing_ok=True)


def sweep(*kept: str) -> list[int]:
    """End every marked process but the named ones: what a killed run or another version left. Return their pids."""
    orphans = sorted(marked() - {_pid(name) for name in kept})
    _end(orphans)
    for file in paths.STATE.glob("*.pid"):
        if file.stem not in kept:
            file.unlink()
    return orphans


def marked() -> set[int]:
    """Return the pids of this state directory's processes, this one and its ancestors left out."""
    wanted = f"{MARK}={paths.STATE}".encode()
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if wanted in (entry / "environ").read_bytes().split(b"\0"):
                    found.add(int(entry.name))
            except OSError:  # ended meanwhile, or not ours to read
                continue
    return found - _ancestors()


def _ancestors() -> set[int]:
    """Return this process and those above it: `up` marks itself, and must not end itself."""
    family, pid = set(), os.getpid()
    while pid > 1:
        family.add(pid)
        status = (Path("/proc") / str(pid) / "stat").read_text()
        pid = int(status.rpartition(")")[2].split()[1])
    return family


def _end(pids: Sequence[int]) -> None:
    for pid in pids:
        _signal(pid, signal.SIGTERM)
    deadline = time.monotonic() + _GRACE
    while (alive := [pid for pid in pids if _alive(pid)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    for pid in alive:
        _signal(pid, signal.SIGKILL)
    while any(_alive(pid) for pid in alive):
        time.sleep(0.05)


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _alive(pid: int) -> bool:
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)  # reaps it where it is a child of this process
    try:
        status = (Path("/proc") / str(pid) / "stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def _pid_file(name: str) -> Path:
    return paths.STATE / f"{name}.pid"


def _pid(name: str) -> int:
    file = _pid_file(name)
    return int(file.read_text()) if file.exists() else -1
