"""Prints what the commands return: results to standard output, for people or as JSON; refusals to standard error."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Final

import typer
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)

from components.context.aws_session import AssumeRolesError
from components.rules import advice

if TYPE_CHECKING:
    from rich.console import Console

Json = Annotated[bool, typer.Option("--json", help="Print JSON for a machine to read.")]
StackName = Annotated[
    str | None,
    typer.Option("--stack", "-s", envvar="PULUMI_STACK", help="The stack. Default: the selected one.", metavar="S"),
]

WIDE = 200
"""Columns without a terminal: wide enough that a log does not break a version id."""


class RefusedError(Exception):
    """A command cannot do what was asked; the text says what is wrong, what is allowed and what to do."""


def console() -> "Console":
    """Return the console for results, as wide as the terminal; it prints ``:key:`` as text, not as an emoji."""
    from rich.console import Console  # imported late: a rollback prints without it

    width = None if sys.stdout.isatty() else WIDE
    return Console(emoji=False, markup=False, highlight=False, soft_wrap=True, width=width)


def emit(value: object) -> None:
    """Print a result for a machine."""
    typer.echo(json.dumps(value, indent=2))


@contextmanager
def reported() -> Iterator[None]:
    """Turn errors that a person can fix into a message and exit status 1."""
    try:
        yield
    except (RefusedError, BotoCoreError, ClientError) as error:
        _refuse(explained(error))
    except _settings_error() as error:
        _refuse(str(error))


def _settings_error() -> type[Exception]:
    """Return what the settings raise: imported when something else was raised, for that takes a second."""
    from components.settings import SettingsError

    return SettingsError


LOGIN: Final = frozenset(
    {
        *("ExpiredToken", "ExpiredTokenException", "RequestExpired", "InvalidClientTokenId"),
        *("UnrecognizedClientException", "InvalidAccessKeyId", "InvalidToken", "AuthFailure"),
    }
)
"""What AWS's services say of credentials that have expired, or that it does not know."""


def explained(error: Exception) -> str:
    """Return what to do about an error. AWS's own text is left out, because it may repeat what was sent."""
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return "no AWS credentials; log in first, or name a profile with AWS_PROFILE"
    if isinstance(error, ProfileNotFound):
        return f"AWS_PROFILE or aws:profile names none that is configured: {error}; see `aws configure list-profiles`"
    if isinstance(error, NoRegionError):
        return "no AWS region; set aws:region in the stack file, or AWS_REGION"
    if isinstance(error, SSOError | TokenRetrievalError):
        return f"the login to AWS is over ({type(error).__name__}); log in again: aws sso login"
    if isinstance(error, ClientError):
        code = error.response["Error"].get("Code")
        if code in LOGIN:
            return f"the login to AWS is over or not valid ({code}); log in again: aws sso login"
        return f"AWS refused {error.operation_name}: {code}; see its CloudTrail event"
    if isinstance(error, BotoCoreError) and not isinstance(error, AssumeRolesError):
        return f"no answer from AWS: {type(error).__name__}; check the region and the network"
    return str(error)


def _refuse(text: str) -> None:
    typer.echo(f"error: {text}", err=True)
    raise typer.Exit(1)


def unknown(kind: str, name: str, known: Sequence[str]) -> RefusedError:
    """Return the refusal of an unknown name."""
    return RefusedError(f"no {kind} is called {name!r}; {advice(name, known)}")
