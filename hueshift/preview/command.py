"""`hueshift preview`: what an update of each stack would do, as a comment for a pull request."""

import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any, Final

import boto3
import typer
from botocore.exceptions import BotoCoreError
from pydantic import TypeAdapter, ValidationError

from components.settings import SettingsError
from hueshift.preview.changes import SECRET, Ask, Change, Report, read
from hueshift.preview.comment import comment
from hueshift.report import Json, RefusedError, emit, reported
from hueshift.stack import load, program, project_folder
from hueshift.traffic.live import ask

_REPORTS = TypeAdapter(list[Report])
_SIGNATURE: Final = ("4dabf18193072939515e22adb298388d", "1b47061264138c4ac30d75fd1eb44270")
"""By which the engine tells a secret, whose text it has left out, from other objects."""


def preview(
    *,
    stacks: Annotated[
        list[str] | None,
        typer.Option("--stack", "-s", metavar="S", help="A stack; repeat it for more. All with a file unless given."),
    ] = None,
    files: Annotated[
        list[Path] | None,
        typer.Option("--from", metavar="FILE", help="Join what --json has printed elsewhere, and ask no engine."),
    ] = None,
    refresh: Annotated[bool, typer.Option("--refresh", help="Compare with what is really there: find drift.")] = False,
    flip_only: Annotated[
        bool, typer.Option("--flip-only", help="Fail if anything but the weights of production rules would change.")
    ] = False,
    expect_no_changes: Annotated[
        bool, typer.Option("--expect-no-changes", help="Fail if anything would change.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Print what an update would do to the traffic and resources.

    Of each stack, as a Markdown comment. Ends with 1 if a preview fails, if a mandatory policy refuses, or if more
    changes than the options allow.
    """
    with reported():
        if files and (stacks or refresh):
            raise RefusedError("--from asks no engine: leave out --stack and --refresh, or --from")
        reports = _joined(files) if files else _all_previewed(stacks or _all(), refresh=refresh)
        if as_json:
            emit([asdict(report) for report in reports])
        else:
            typer.echo(comment(reports))
        problems = [
            *(f"{report.stack}: the preview failed" for report in reports if report.errors),
            *(
                f"{report.stack}: a mandatory policy refuses it"
                for report in reports
                if report.failed and not report.errors
            ),
        ]
        for report in reports:
            if expect_no_changes and report.changes:
                problems.append(f"{report.stack}: nothing may change, but this would: {_named(report.changes)}")
            elif flip_only and report.not_traffic:
                problems.append(f"{report.stack}: more than weights would change: {_named(report.not_traffic)}")
        if problems:
            raise RefusedError("\n  ".join(problems))


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
                f"write it anew: hueshift preview --stack STACK --json >{file}"
            ) from None
    return reports


def _all() -> list[str]:
    found = sorted(file.name.split(".", 1)[1].removesuffix(".yaml") for file in project_folder().glob("Pulumi.*.yaml"))
    if not found:
        raise RefusedError(f"no Pulumi.<stack>.yaml in {project_folder()}; name a stack with --stack")
    return found


def _all_previewed(stacks: Sequence[str], *, refresh: bool) -> list[Report]:
    """Return what the engine says of each, in their order, as many at once as there are cores: each fills one."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(partial(_previewed, refresh=refresh), stacks))


def _previewed(stack: str, *, refresh: bool) -> Report:
    """Return what the engine says of one stack; that it fails is a report too, so that no stack hides another."""
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
    report = read(stack, _events(_without_paths(done.stdout, folder)), _asked(stack))
    if done.returncode and not report.failed:
        said = _without_paths(done.stderr, folder).strip().removeprefix("error: ")
        return Report(stack=stack, errors=[said or f"pulumi preview ended with {done.returncode} and said nothing"])
    return report


def _asked(stack: str) -> Ask:
    """Return what asks the load balancer of a stack, with the session of its file, which is made when it is needed."""

    @cache
    def session() -> boto3.Session:
        try:
            return load(stack).aws()
        except (SettingsError, BotoCoreError) as error:  # such as a profile that is not there
            raise RefusedError(f"{stack} has no session with AWS: {type(error).__name__}") from None

    return lambda rule, groups: ask(session(), rule, groups)


def _events(output: str) -> Iterator[Mapping[str, Any]]:
    for line in output.split("\n"):  # not splitlines(): text in an event may hold other ends of a line
        if line.startswith("{"):
            try:
                yield json.loads(line, object_hook=_masked)
            except json.JSONDecodeError:
                told = "what pulumi preview printed was cut short; was it killed? Run it again"
                yield {"diagnosticEvent": {"severity": "error", "message": told}}


def _masked(found: Mapping[str, Any]) -> Any:  # noqa: ANN401 - what JSON holds
    key, secret = _SIGNATURE
    return SECRET if found.get(key) == secret else found


def _without_paths(text: str, folder: Path) -> str:
    """Return text, of JSON too, in which a path of this machine begins in the project or at home."""
    for path, short in ((folder, "."), (Path.home(), "~")):
        if path.name:  # the root is the beginning of all
            # Only where a path begins and a name ends: `/app` is not in `staging/shop/app`, nor in `/apple`.
            text = re.sub(rf"((?<![\w.~/-])|(?<=\\[nt])){re.escape(str(path))}(?![\w-])", short, text)
    return text


def _named(changes: Sequence[Change]) -> str:
    return ", ".join(f"{change.name} ({change.op})" for change in changes)
