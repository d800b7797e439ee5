"""One line for each step of a long command: what, how it went, how long it took; a failure names log and remedy."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from sandbox import paths


class StepError(Exception):
    """A step failed: ``args[0]`` says why; ``log`` holds the rest and ``remedy`` the way out."""

    def __init__(self, reason: str, *, log: Path | None = None, remedy: str = "") -> None:
        super().__init__(reason)
        self.log = log
        self.remedy = remedy


class Step:
    """What a running step may tell."""

    def __init__(self, show: Callable[[str], None], *, watched: bool) -> None:
        self.say = show
        """Shows what is going on; for what takes longer than a few seconds."""
        self.watched = watched
        """Whether a person looks at a terminal, in which a new line takes the old one's place."""
        self.note = ""
        """Shown when the step is done: what was found or made."""

    def run(self, command: Sequence[str | Path], log: Path, environment: Mapping[str, str]) -> None:
        """Run a command, its lines shown as they come; lines and errors are appended to the log.

        Raises:
            StepError: it ended with another status than 0.

        """
        log.parent.mkdir(parents=True, exist_ok=True)
        with (
            log.open("a") as sink,
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=sink, text=True, env=environment) as process,
        ):
            assert process.stdout is not None
            for line in process.stdout:
                sink.write(line)
                sink.flush()
                self.say(line.strip())
        if process.returncode:
            name = Path(command[0]).name
            raise StepError(
                f"{name} ended with {process.returncode}", log=log, remedy="make sandbox-down && make sandbox"
            )


class Steps:
    """Prints the steps of one command and keeps their times."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Run the body as one step; on failure print it and end the command with status 1."""
        started = time.monotonic()
        try:
            with self._console.status(f"{name} …") as status:

                def show(text: str) -> None:
                    if self._console.is_terminal:
                        status.update(f"{name}: {escape(text)} …")
                    else:
                        self._console.print(f"  {name}: {escape(text)}", soft_wrap=True)

                step = Step(show, watched=self._console.is_terminal)
                yield step
        except (StepError, subprocess.CalledProcessError) as error:
            self._failed(name, error)
            raise SystemExit(1) from error
        except KeyboardInterrupt:
            self._failed(name, StepError("interrupted", remedy="run it again: it goes on from here"))
            raise SystemExit(130) from None
        self.seconds[name] = round(time.monotonic() - started, 1)
        self._console.print(
            f"[green]✓[/] {name:<22} {self.seconds[name]:>6.1f} s  [dim]{escape(step.note)}[/]", soft_wrap=True
        )

    def keep(self) -> None:
        """Record the times of `up`, for docs/performance.md."""
        (paths.STATE / "times-up.json").write_text(json.dumps(self.seconds, indent=1))

    def _failed(self, name: str, error: Exception) -> None:
        self._console.print(f"[red]✗[/] {name}")
        if isinstance(error, subprocess.CalledProcessError):
            output = error.stderr or error.output or b""
            text = output if isinstance(output, str) else output.decode(errors="replace")
            reason = f"{Path(str(error.cmd[0])).name} ended with {error.returncode}\n{_tail(text)}"
            error = StepError(reason)
        self._console.print(escape(f"  {error}"), soft_wrap=True)
        if isinstance(error, StepError):
            if error.log is not None:
                self._console.print(escape(f"  log: {error.log}"), soft_wrap=True)
                if error.log.exists():
                    self._console.print(
                        escape(_tail(error.log.read_text(errors="replace"))), style="dim", soft_wrap=True
                    )
            if error.remedy:
                self._console.print(escape(f"  remedy: {error.remedy}"), soft_wrap=True)


def _tail(text: str, lines: int = 15) -> str:
    return "\n".join(f"    {line}" for line in text.rstrip().splitlines()[-lines:])
