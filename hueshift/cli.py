"""The `hueshift` command and its parts; each part is a module with an ``app`` of its own."""

import typer

from hueshift import recover, review
from hueshift.images import command as images
from hueshift.preview import command as preview
from hueshift.secrets import command as secrets
from hueshift.traffic import live

app = typer.Typer(
    name="hueshift",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Operate the services of a stack.",
)
app.command("live")(live.live)
app.command("preview")(preview.preview)
app.command("recover")(recover.recover)
app.command("review")(review.review)
app.add_typer(images.app, name="image")
app.add_typer(secrets.app, name="secrets")


@app.callback()
def _hueshift() -> None:
    """Keep a command group even while it has one part."""


def main() -> None:
    """Run the command line."""
    app(prog_name="hueshift")
