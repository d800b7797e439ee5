#!/bin/sh
# hueshift.sh
# Installed as `.venv/bin/hueshift`: runs the package `hueshift` of the checkout
# that holds the current folder, for checkouts with equal pins share an environment.
root=$PWD
while [ -n "$root" ] && [ ! -f "$root/hueshift/cli.py" ]; do root=${root%/*}; done
[ -n "$root" ] || { echo "hueshift: run this in the project, or below it" >&2; exit 1; }
PYTHONPATH=$root exec "${0%/*}/python" -P -m hueshift "$@"
