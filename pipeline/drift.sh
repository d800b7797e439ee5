#!/usr/bin/env bash
# drift.sh STACK
# Compares a stack with what is really there. Writes what has drifted to drift-STACK.md, and ends with 1 if anything has.
set -euo pipefail
# shellcheck source=lib/steps.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/steps.sh"
takes 1 1 "$@"

found=0
hueshift preview --refresh --expect-no-changes --stack "$1" >"drift-${1##*/}.md" || found=$?
echo "drift-${1##*/}.md"
exit $found
