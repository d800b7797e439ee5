#!/usr/bin/env bash
# python-rootfs.sh DIR
# Puts Debian 12's CPython 3.11 and the libraries it needs into DIR: a root
# directory for an image with Python and nothing else (no shell), 36 MB.
set -euo pipefail

[ -n "${1:-}" ] || { echo "usage: python-rootfs.sh DIR" >&2; exit 1; }
from=$("$(dirname "$0")/packages.sh" python)
mkdir -p "$1"
cp -a "$from/." "$1"
cd "$1"
rm -rf usr/lib/*-linux-gnu/gconv
ln -sf python3.11 usr/bin/python3
mkdir -p app
install -d -m 1777 tmp
echo root:x:0:0:root:/:/usr/sbin/nologin >etc/passwd
