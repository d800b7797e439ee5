"""Commands of a test, run in one folder as a person or a job runs them there."""

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Shell:
    """A folder and an environment. Commands get no terminal, and their standard input is empty unless given."""

    folder: Path
    variables: Mapping[str, str] = field(default_factory=dict)
    """Added to the environment."""
    environment: Mapping[str, str] | None = None
    """The environment; None for that of this process when a command starts."""

    def run(
        self, *command: str | Path, check: bool = True, text: str | None = None, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command; ``text`` is its standard input.

        Raises ``AssertionError`` with what it printed if it fails, unless ``check`` is false.
        """
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self._environment(variables),
            input=text or "",
            capture_output=True,
            text=True,
            check=False,
        )
        if check and done.returncode:
            words = " ".join(map(str, command))
            raise AssertionError(f"{words}\nexited with {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def script(self, text: str, *, check: bool = True, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run lines of bash that stop at the first failure."""
        return self.run("bash", "-euo", "pipefail", "-c", text, check=check, **variables)

    @contextmanager
    def started(self, *command: str | Path, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
        """Start a command in a session of its own, and kill what is left of it at the end. Its output is discarded."""
        process = subprocess.Popen(
            command,
            cwd=self.folder,
            env=self._environment(variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def _environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        return {**(os.environ if self.environment is None else self.environment), **self.variables, **variables}
