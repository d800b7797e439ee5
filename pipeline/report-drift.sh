#!/usr/bin/env bash
# report-drift.sh STACK
# Compares a stack with what is really there, and keeps an issue on it open as long as the two differ. Ends with 1 if
# they do.
set -euo pipefail
# shellcheck source=lib/steps.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/steps.sh"
takes 1 1 "$@"

if pipeline/drift.sh "$1" >&2; then
  pipeline/forge.sh close "Drift in $1"
else
  pipeline/forge.sh issue "Drift in $1" "drift-$1.md"
  fail "$1 is not as its file says; see the issue"
fi
