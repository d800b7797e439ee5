#!/usr/bin/env bash
# drift.sh STACK
# Compares a stack with what is really there, and keeps an issue on it open as long as the two differ, or cannot be
# compared. Ends with 1 then.
set -euo pipefail
# shellcheck source=lib/steps.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/steps.sh"
takes 1 1 "$@"

page=drift-${1##*/}.md
if hueshift preview --refresh --expect-no-changes --stack "$1" >"$page"; then
  pipeline/forge.sh close "Drift in $1"
else
  pipeline/forge.sh issue "Drift in $1" "$page"
  fail "$1 differs from its file, or could not be compared with it; see the issue"
fi
