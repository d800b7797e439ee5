"""`python -m release`: the `hueshift` command."""

from release.cli import main

main()
