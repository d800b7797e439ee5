"""What has to be built on this machine, once for each set of pins (``sandbox/go/build.sh``), and how long it takes."""

import subprocess
import time
from pathlib import Path

from sandbox import paths
from sandbox.steps import Step, StepError

MINUTES = {
    "pulumi": 2.5,
    "language-host": 0.5,
    "kubernetes-plugin": 5,
    "aws-plugin": 7,
    "kubenode": 4,
    "dns": 0.5,
    "pause": 0.1,
    "load-balancer-controller": 3,
    "external-secrets": 3,
    "prometheus-operator": 3,
}
"""Each part, in the order in which they are built, with its minutes on two cores that do nothing else."""
NODE = "kubenode", "dns", "pause"
CONTROLLERS = "load-balancer-controller", "external-secrets", "prometheus-operator"
_SCRIPT = paths.ROOT / "sandbox/go/build.sh"
_TELL_EVERY = 30.0
"""Seconds between two lines on progress where nobody sits before a terminal."""


def missing(parts: list[str]) -> list[str]:
    """Return those that are in no cache yet."""
    return _script("--missing", *parts)


def folders(parts: list[str]) -> dict[str, Path]:
    """Return where parts are that have been built."""
    return dict(zip(parts, map(Path, _script(*parts)), strict=True))


def build(step: Step, part: str) -> None:
    """Build a part, unless it is cached. An interrupted build goes on where it was.

    Raises:
        StepError: it could not be built; names the log.

    """
    log = paths.LOGS / f"build-{part}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with (
        log.open("a") as sink,
        subprocess.Popen([_SCRIPT, part], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process,
    ):
        assert process.stderr is not None
        packages, told = 0, time.monotonic()
        for line in process.stderr:
            sink.write(line)
            packages += not line.startswith("go: ")
            if time.monotonic() - told > (0.2 if step.watched else _TELL_EVERY):
                told = time.monotonic()
                step.say(f"{packages} packages compiled")
    if process.returncode:
        raise StepError(
            f"{part} could not be built", log=log, remedy="mend what the log names; `make sandbox` goes on from there"
        )


def _script(*arguments: str) -> list[str]:
    return subprocess.run([_SCRIPT, *arguments], stdout=subprocess.PIPE, text=True, check=True).stdout.split()
