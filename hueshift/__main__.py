"""`python -m hueshift`: the `hueshift` command."""

from hueshift.cli import main

main()
