#!/usr/bin/env bash
# chromium.sh
# Prints the path of Chromium, in which tests/docs/test_site.py looks at the
# built pages.
#
# CHROMIUM  another one than PATH has
set -euo pipefail

command -v "${CHROMIUM:-chromium}" ||
  command -v chromium-browser ||
  command -v google-chrome ||
  { echo "chromium.sh: no Chromium; install Debian's (apt-get install --no-install-recommends chromium), or name one with CHROMIUM=" >&2; exit 1; }
