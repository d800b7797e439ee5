#!/usr/bin/env bash
# unread.sh KIND
# Ends with 1 unless KIND, as changes.sh prints it, needs no preview: for what nobody has read yet, such as a fork. A
# preview would run its program with a role that reads the state.
set -euo pipefail
# shellcheck source=lib/steps.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/steps.sh"
takes 1 1 "$@"

case $1 in
  docs | tests) say "nothing of a stack has changed" ;;
  *) fail "no stack was previewed; whoever has read this branch pushes it to this repository under a name of their own" ;;
esac
