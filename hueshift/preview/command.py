"""`hueshift preview`: prints what an update of each stack would do, as a comment for a pull request."""

import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any, Final

import boto3
import typer
from botocore.exceptions import BotoCoreError, ClientError
from pydantic import TypeAdapter, ValidationError

from components.settings import SettingsError
from hueshift.preview.comment import comment
from hueshift.preview.events import SECRET, collect, incomplete
from hueshift.preview.impact import Ask, Judge, Move, assess
from hueshift.preview.report import Change, Report
from hueshift.report import Json, RefusedError, emit, reported
from hueshift.stack import Stack, git, load, place, program, project_folder
from hueshift.traffic.live import ask

_REPORTS = TypeAdapter(list[Report])
_SIGNATURE: Final = ("4dabf18193072939515e22adb298388d", "1b47061264138c4ac30d75fd1eb44270")
"""Key and value that mark a masked secret in the engine's JSON."""


def preview(
    *,
    stacks: Annotated[
        list[str] | None,
        typer.Option("--stack", "-s", metavar="S", help="A stack; repeat for more. Default: the selected one."),
    ] = None,
    files: Annotated[
        list[Path] | None,
        typer.Option("--from", metavar="FILE", help="Merge files that --json printed; runs no preview."),
    ] = None,
    refresh: Annotated[bool, typer.Option("--refresh", help="Compare with the real resources, to find drift.")] = False,
    flip_only: Annotated[
        bool, typer.Option("--flip-only", help="Fail if anything but the weights of production rules would change.")
    ] = False,
    expect_no_changes: Annotated[
        bool, typer.Option("--expect-no-changes", help="Fail if anything would change.")
    ] = False,
    base: Annotated[
        str | None, typer.Option(metavar="COMMIT", help="Name in the comment what the changes would be merged into.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Print what an update would do to the traffic and resources.

    The output is a Markdown comment with every stack, and names those that could not be previewed.

    Exit status: 1 a preview failed, a mandatory policy is violated, or more changes than the options allow.
    """
    with reported():
        if files and (stacks or refresh):
            raise RefusedError("--from runs no preview, so it cannot be combined with --stack or --refresh")
        into = _commit(base) if base else ""
        reports = _joined(files) if files else _all_previewed(stacks or [_selected()], refresh=refresh)
        if as_json:
            emit([asdict(report) for report in reports])
        else:
            typer.echo(comment(reports, into))
        problems = [
            *(f"{report.stack}: the preview failed" for report in reports if report.errors),
            *(
                f"{report.stack}: a mandatory policy is violated"
                for report in reports
                if report.failed and not report.errors
            ),
        ]
        for report in reports:
            if expect_no_changes and (report.changes or report.providers):
                changing = [*(f"provider {upgrade}" for upgrade in report.providers), *_named(report.changes)]
                problems.append(f"{report.stack}: no changes expected, but these would change: {', '.join(changing)}")
            elif flip_only and report.not_traffic:
                problems.append(
                    f"{report.stack}: more than weights would change: {', '.join(_named(report.not_traffic))}"
                )
        if problems:
            raise RefusedError("\n  ".join(problems))


def _commit(named: str) -> str:
    found = git(project_folder(), "rev-parse", "--verify", "--quiet", "--end-of-options", f"{named}^{{commit}}")
    return found[:12] if found else f"{named}, which is not known here"


def _joined(files: Sequence[Path]) -> list[Report]:
    reports = []
    for file in files:
        try:
            reports += _REPORTS.validate_json(file.read_bytes())
        except OSError as error:
            raise RefusedError(f"{file} cannot be read: {error.strerror}") from None
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise RefusedError(
                f"{file} is not what `hueshift preview --json` prints: {where and f'{where}: '}{first['msg']}; "
                f"write it again: hueshift preview --stack STACK --json >{file}"
            ) from None
    return reports


def _selected() -> str:
    return place(os.environ.get("PULUMI_STACK")).name


def _all_previewed(stacks: Sequence[str], *, refresh: bool) -> list[Report]:
    """Return the previews of the stacks in their order; as many run at once as there are cores, each fills one."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(partial(_timed, refresh=refresh), stacks))


def _timed(stack: str, *, refresh: bool) -> Report:
    return replace(_previewed(stack, refresh=refresh), at=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC")


def _previewed(stack: str, *, refresh: bool) -> Report:
    """Return the preview of one stack; a failure is a report too, so that it does not hide the other stacks."""
    folder = project_folder()
    pack = os.environ.get("HUESHIFT_POLICY_PACK") or ("policy" if (folder / "policy").is_dir() else "")
    command = [
        *(program(), "preview", "--json", "--non-interactive", "--color", "never", "--stack", stack),
        *(["--policy-pack", pack] if pack else []),
        *(["--refresh"] if refresh else []),
    ]
    typer.echo(f"{stack}: previewing …", err=True)
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PULUMI_ENABLE_STREAMING_JSON_PREVIEW": "true"},
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        events = collect(_events(_without_paths(done.stdout, folder)))
        found = assess(stack, events, *_asked(stack))
    except (AttributeError, KeyError, TypeError, ValueError) as error:  # of another engine than the one that is pinned
        told = f"the engine said what this hueshift does not understand ({type(error).__name__}: {error})"
        return Report(stack=stack, errors=[f"{told}; `hueshift doctor` compares the versions"])
    if done.returncode and not found.failed:
        said = _without_paths(done.stderr, folder).strip().removeprefix("error: ")
        return Report(stack=stack, errors=[said or f"pulumi preview exited with {done.returncode} and no message"])
    if not found.failed and (reason := incomplete(events)):
        return replace(found, errors=[reason])
    return replace(found, releases=_open(stack))


def _open(stack: str) -> list[str]:
    """Return a sentence for each open release of a stack; none where that cannot be known."""
    from hueshift.release.home import latest  # imported late: the half of a release that a merge of files needs not
    from hueshift.release.store import StoreError

    try:
        found = latest(place(stack))
    except (RefusedError, StoreError, BotoCoreError, ClientError, ValueError):
        return []
    opened = {item.record.unit: item for item in found.values() if not item.record.phase.closed}
    return [f"an update would meet an open release of {unit}: {item}" for unit, item in opened.items()]


def _asked(stack: str) -> tuple[Ask, Judge]:
    """Return what reads a stack's load balancer, and what asks as its gate does.

    The settings are read and the AWS session is made at the first call.
    """

    @cache
    def known() -> tuple[Stack, boto3.Session]:
        try:
            loaded = load(stack)
            return loaded, loaded.aws()
        except (SettingsError, BotoCoreError) as error:  # such as an unknown profile
            raise RefusedError(f"no AWS session for {stack}: {type(error).__name__}") from None

    def judge(move: Move) -> str:
        from hueshift.preview.gate import would_say  # imported late, as in _open

        return would_say(move, *known())

    return lambda rule, groups: ask(known()[1], rule, groups), judge


def _events(output: str) -> Iterator[Mapping[str, Any]]:
    for line in output.split("\n"):  # not splitlines(): text in an event may contain other line separators
        if line.startswith("{"):
            try:
                yield json.loads(line, object_hook=_masked)
            except json.JSONDecodeError:
                told = "the output of pulumi preview is incomplete; was it killed? Run it again"
                yield {"diagnosticEvent": {"severity": "error", "message": told}}


def _masked(found: Mapping[str, Any]) -> Any:  # noqa: ANN401 - what JSON holds
    key, secret = _SIGNATURE
    return SECRET if found.get(key) == secret else found


def _without_paths(text: str, folder: Path) -> str:
    """Return text, plain or JSON, with this machine's paths shortened to ``.`` (the project) and ``~``."""
    for path, short in ((folder, "."), (Path.home(), "~")):
        if path.name:  # every path begins with the root
            # Only where a path begins and a name ends: `/app` is not in `staging/shop/app`, nor in `/apple`.
            text = re.sub(rf"((?<![\w.~/-])|(?<=\\[nt])){re.escape(str(path))}(?![\w-])", short, text)
    return text


def _named(changes: Sequence[Change]) -> list[str]:
    return [f"{change.name} ({change.op})" for change in changes]
