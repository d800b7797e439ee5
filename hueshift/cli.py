"""The `hueshift` command: each part is a module, which is imported when it is called, or asked for its help.

What moves traffic back has a second: it cannot wait until the parts that it does not need are imported.
"""

import inspect
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple, get_args

import typer
from typer._click.shell_completion import CompletionItem
from typer.core import TyperGroup


class Part(NamedTuple):
    """One command, or several below one name."""

    module: str
    name: str
    """In the module: a function, or a Typer with commands of its own."""
    help: str
    """The first sentence of its own help, as a test holds."""


_RELEASE: Final = "hueshift.release.commands"
PARTS: Final = {
    "init": Part("hueshift.init.command", "init", "Write the stack file of a new environment."),
    "doctor": Part(
        "hueshift.doctor.command",
        "doctor",
        "Say of each thing that an update needs whether it is there, or what mends it.",
    ),
    "status": Part("hueshift.traffic.status", "status", "Show what users get, and what the stack file says."),
    "rollback": Part("hueshift.traffic.rollback", "rollback", "Give all traffic back to the color that served before."),
    "plan": Part(_RELEASE, "plan", "Show what a release would do, and why it may not begin."),
    "release": Part(
        _RELEASE, "release", "Give a new version the traffic, step by step, each judged, and take it back if it is bad."
    ),
    "promote": Part(_RELEASE, "promote", "Agree to the next step of the open release, or end a pause."),
    "pause": Part(_RELEASE, "pause", "Hold the open release where it is, judged as ever, until `hueshift promote`."),
    "abort": Part(_RELEASE, "abort", "Take the traffic of the open release back, at once, and close it."),
    "resume": Part(_RELEASE, "resume", "Go on with a release whose driver is gone."),
    "park": Part(_RELEASE, "park", "Take the pods of the idle color away, once it need not be the way back any more."),
    "history": Part(_RELEASE, "history", "Show the releases of a service, or what became of one."),
    "experiment": Part("hueshift.experiment.command", "app", "Show what an A/B test has shown so far."),
    "flags": Part(
        "hueshift.flags.command",
        "app",
        "Show who sees which feature flag, show one to more users, and turn one off at once.",
    ),
    "flip": Part("hueshift.traffic.flip", "flip", "Give all traffic of a service to its other color by `pulumi up`."),
    "smoke": Part("hueshift.traffic.smoke", "smoke", "Try the idle color of a service through its test URL."),
    "compare": Part(
        "hueshift.traffic.compare", "compare", "Ask both colors the same, and say how the idle one's answers differ."
    ),
    "verify": Part("hueshift.traffic.verify", "verify", "Try a service as its users reach it."),
    "changes": Part("hueshift.changes", "changes", "Say what a change is made of, since the commit BASE."),
    "preview": Part(
        "hueshift.preview.command",
        "preview",
        "Print what an update would do to the traffic and resources.",
    ),
    "recover": Part(
        "hueshift.recover",
        "recover",
        "Take into the state what a killed update has created and not recorded, and forget what else was pending.",
    ),
    "review": Part("hueshift.review", "review", "Write the stack file of a review."),
    "image": Part(
        "hueshift.images.command", "app", "Scan an image, give it to the idle color, and see what runs where."
    ),
    "secrets": Part(
        "hueshift.secrets.command",
        "app",
        "Put secret values, pin their versions to colors, and see what each color has.",
    ),
}


AT_ONCE: Final = ("status", "rollback")
"""What is called when every tenth of a second counts."""


class Parts(TyperGroup):
    """Knows the names and the one line of each part, and imports the one that is called."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401, ARG002 - typer's own
        """Return the names, in the order in which the help shows them."""
        return list(PARTS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401, ARG002 - typer's own
        """Import a part."""
        if (part := PARTS.get(cmd_name)) is None:
            return None
        found = getattr(import_module(part.module), part.name)
        if isinstance(found, typer.Typer):
            command: Any = typer.main.get_group(found)
        else:
            alone = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
            alone.command(cmd_name)(found)
            command = typer.main.get_command(alone)
        command.name = cmd_name
        return command

    def shell_complete(self, ctx: Any, incomplete: str) -> list[CompletionItem]:  # noqa: ANN401 - typer's own
        """Offer the names, for which nothing is imported, or the options."""
        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        return [CompletionItem(name, help=part.help) for name, part in PARTS.items() if name.startswith(incomplete)]

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401, ARG002 - typer's own
        """Write the list of the help, for which nothing is imported."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, part.help) for name, part in PARTS.items()])


app = typer.Typer(
    name="hueshift",
    cls=Parts,
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Operate the services of a stack.",
)


def _version(asked: bool) -> None:
    if asked:
        import tomllib  # for this alone

        project = (Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8")
        typer.echo(f"hueshift {tomllib.loads(project)['project']['version']}")
        raise typer.Exit


@app.callback()
def _hueshift(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Take the options before a part."""


def main() -> None:
    """Run the command line."""
    name, *words = sys.argv[1:] or [""]
    if name in AT_ONCE:
        function = getattr(import_module(PARTS[name].module), PARTS[name].name)
        if (values := given(function, words)) is not None:
            try:
                function(**values)
            except typer.Exit as ended:
                sys.exit(ended.exit_code)
            except KeyboardInterrupt:
                sys.exit(130)  # as typer does
            return
    app(prog_name="hueshift")


def given(function: Callable[..., None], words: Sequence[str]) -> dict[str, object] | None:
    """Return what words give a command that takes options alone; None for what typer is to explain: help, a mistake.

    typer reads the same declarations, but imports pydantic for it.
    """
    options: dict[str, tuple[str, bool]] = {}
    values: dict[str, object] = {}
    for name, parameter in inspect.signature(function).parameters.items():
        kind, info = get_args(parameter.annotation)
        values[name] = (os.environ.get(info.envvar) if info.envvar else None) or parameter.default
        # The first name stands where an option outside of Annotated has its default.
        names = [said for said in (info.default, *(info.param_decls or ())) if isinstance(said, str)]
        options |= dict.fromkeys(names or [f"--{name}"], (name, kind is bool))
    rest = iter(words)
    for word in rest:
        option, told, value = word.partition("=")
        if option not in options or (told and options[option][1]):
            return None
        name, flag = options[option]
        said = True if flag else value if told else next(rest, None)
        if said is None:
            return None
        values[name] = said
    return values
