#!/usr/bin/env bash
# chromium.sh [--install]
# Prints the path of Chromium, in which tests/docs/test_site.py looks at the
# built pages; with --install gets Debian's first, as a job of the suite does.
#
# CHROMIUM  another one than PATH has
set -euo pipefail

if [ "${1:-}" = --install ]; then
  apt-get update >&2
  apt-get install --yes --no-install-recommends chromium >&2
fi

command -v "${CHROMIUM:-chromium}" ||
  command -v chromium-browser ||
  command -v google-chrome ||
  { echo "chromium.sh: no Chromium; install Debian's (apt-get install --no-install-recommends chromium), or name one with CHROMIUM=" >&2; exit 1; }
