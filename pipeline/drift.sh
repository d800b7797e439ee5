#!/usr/bin/env bash
# drift.sh STACK
# Compares a stack with what is really there, looks whether the secret versions that it pins are there and will stay, and
# keeps an issue on it open as long as something is amiss, or cannot be told. Ends with 1 then.
set -euo pipefail
# shellcheck source=lib/steps.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/steps.sh"
takes 1 1 "$@"

page=drift-${1##*/}.md
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
  fail "$1 differs from its file, pins a secret version that ends, or could not be looked at; see the issue"
fi
