"""`hueshift compare`: the same requests to both colors by the test listener, and how their answers differ."""

import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from re import Pattern
from typing import Annotated, Final

import typer

from components.model import SHADOW_HEADER, Color, color_host
from components.spec import Protocol
from hueshift.report import Json, RefusedError, StackName, emit, reported
from hueshift.stack import load
from hueshift.traffic.alike import Given, differences, ignored
from hueshift.traffic.answers import curl
from hueshift.traffic.balancer import PATIENCE, Balancer
from hueshift.traffic.smoke import idle_color

DIFFERENT: Final = 3
"""The exit status where too many answers differ."""
TRIES: Final = 3
"""Times that a path is asked again whose other answer was late: the fastest of all counts, or one pause would."""
AT_ONCE: Final = 4
"""Paths that are asked at once: few, for it is no load test."""
_LISTED: Final = 20
"""Paths with differences that a person is told."""


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One path."""

    path: str
    found: list[str]
    """How the answers differ; empty if they do not."""


def compare(
    service: Annotated[str, typer.Argument(metavar="SERVICE", help="A service of the stack.", show_default=False)],
    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="[PATH]...", help="What to ask, such as /items?page=2.", show_default=False),
    ] = None,
    *,
    file: Annotated[
        str | None, typer.Option("--file", help="A file with a path a line; - for standard input.", metavar="FILE")
    ] = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option("--ignore", help="A JSON path that may differ, such as '$.items[*].at'.", metavar="PATH"),
    ] = None,
    threshold: Annotated[
        float, typer.Option("--threshold", help="Percent of the paths that must not be reached.", min=0, max=100)
    ] = 1.0,
    slower: Annotated[
        int, typer.Option("--slower", help="Milliseconds that the idle color may take longer.", min=0)
    ] = 100,
    stack: StackName = None,
    as_json: Json = False,
) -> None:
    """Ask both colors the same, and say how the idle one's answers differ.

    Each path is asked by GET, of the active color and then of the idle one, by their test hosts, with x-shadow: true.
    Which is idle the stack file and the load balancer must both say.
    Compared are the status, the body (JSON by its values, all else by its bytes) and the time to the first byte.
    Nothing else is done, and nothing is moved. CURL_OPTIONS has further arguments of curl, such as --cacert FILE or a
    header that authorizes.

    Exit status: 0 fewer paths differ than the threshold; 3 as many or more do; 1 it could not be compared.
    """
    with reported():
        place = load(stack)
        asked = _asked(paths or [], file)
        without = [ignored(path) for path in ignore or []]
        settings, _, idle = idle_color(place, Balancer(place, patience=PATIENCE), service)
        if settings.protocol is Protocol.GRPC:
            raise RefusedError(f"{service} speaks gRPC, and answers are compared by GET alone")
        active = idle.other
        port = place.settings.load_balancer.test_listener_port
        urls = {color: f"https://{color_host(color, settings.host)}:{port}" for color in Color}

        def one(path: str) -> Compared:
            return _compared(path, urls[active], urls[idle], without, slower / 1000)

        with ThreadPoolExecutor(AT_ONCE) as pool:
            answers = list(pool.map(one, asked))
    different = [each for each in answers if each.found]
    percent = 100 * len(different) / len(answers)
    within = percent < threshold or not different
    if as_json:
        emit(
            {
                "stack": place.name,
                "service": service,
                "active": active,
                "versions": {color: release.version for color, release in settings.colors.items()},
                "asked": len(answers),
                "different": {each.path: each.found for each in different},
                "percent": round(percent, 2),
                "threshold": threshold,
                "within": within,
            }
        )
    else:
        for each in different[:_LISTED]:
            typer.echo(f"{each.path}  {', '.join(each.found)}")
        if len(different) > _LISTED:
            typer.echo(f"… and {len(different) - _LISTED} more: --json has all")
        runs = " and ".join(f"{color} {settings.colors[color].version}" for color in (active, idle))
        typer.echo(
            f"{service} in {place.name}: {runs} answer {len(answers)} paths, {len(different)} of them differently "
            f"({percent:.2g} %; allowed: below {threshold:g} %)"
        )
    if not within:
        raise typer.Exit(DIFFERENT)


def _asked(paths: list[str], file: str | None) -> list[str]:
    """Return the paths of the words and of a file, without empty lines and comments. Raises ``RefusedError``."""
    lines: list[str] = []
    if file is not None:
        try:
            lines = (sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")).splitlines()
        except OSError as error:
            raise RefusedError(f"--file {file} cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise RefusedError(f"--file {file} cannot be read: it is no text in UTF-8") from None
    found = [*paths, *(line.strip() for line in lines if line.strip() and not line.startswith("#"))]
    if not found:
        raise RefusedError("no path is given: name some, such as /, or a file that has them with --file")
    if wrong := [path for path in found if not path.startswith("/") or any(each <= " " for each in path)]:
        raise RefusedError(f"{wrong[0]!r} is no path; it begins with / and has no blank")
    return found


def _compared(path: str, here: str, there: str, without: list[Pattern[str]], slower: float) -> Compared:
    """Ask both colors; if the other is late alone, ask both again, for the fastest answers of each."""
    one, other = _ask(f"{here}{path}"), _ask(f"{there}{path}")
    for _ in range(TRIES):
        if other.seconds <= one.seconds + slower:
            break
        again = _ask(f"{here}{path}"), _ask(f"{there}{path}")
        one, other = (min(pair, key=lambda given: given.seconds) for pair in zip((one, other), again, strict=True))
    return Compared(path=path, found=differences(one, other, without=without, slower=slower))


def _ask(url: str) -> Given:
    """Return the answer to one request. Raises ``RefusedError`` if there is none."""
    told = "\n%{http_code} %{time_pretransfer} %{time_starttransfer}"
    mark = f"{SHADOW_HEADER}: true"
    body, _, last = curl(url, "--globoff", "--path-as-is", "--header", mark, "--write-out", told).rpartition(b"\n")
    status, sent, began = last.split()
    return Given(status=int(status), body=body, seconds=float(began) - float(sent))
