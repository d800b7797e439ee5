#!/usr/bin/env bash
# drift.sh STACK
# Compares a stack with what is really there, looks whether the secret versions that it pins are there and will stay, and
# keeps an issue on it open as long as something is amiss, or cannot be told. While a release is open the weights differ
# from the file, and nothing is said of the stack. Ends with 1 only if the issue cannot be written.
set -euo pipefail
# shellcheck source=lib/steps.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/steps.sh"
takes 1 1 "$@"

page=drift-${1##*/}.md
status=0
hueshift status --closed --stack "$1" >&2 || status=$?
if [ $status -eq 4 ]; then
  say "a release is open in $1: it is compared when that is over"
  exit 0
fi
bad=0
hueshift preview --refresh --expect-no-changes --stack "$1" >"$page" || bad=1
if ! secrets=$(hueshift secrets status --stack "$1" 2>&1); then
  bad=1
  printf '\n### Secrets\n\n~~~text\n%s\n~~~\n' "$secrets" >>"$page"
fi
if [ $bad -eq 0 ]; then
  pipeline/forge.sh close "Drift in $1"
else
  pipeline/forge.sh issue "Drift in $1" "$page"
  say "$1 differs from its file, pins a secret version that ends, or could not be looked at; see the issue"
fi
