#!/usr/bin/env bash
# flip.sh STACK SERVICE [COLOR]
# Gives all traffic to the other color, or to the one named, if nothing but that would change. A service without an
# activeColor of its own flips together with all others that follow the stack's.
set -euo pipefail
# shellcheck source=lib/steps.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/steps.sh"
takes 2 3 "$@"

shop=$(served "$1" "$2")
color=${3:-$(other "$(jq --raw-output .activeColor <<<"$shop")")}
file=$(stack_file "$1")
before=$(mktemp)
trap 'rm -f "$before"' EXIT
cp "$file" "$before"

give_all "$1" "$2" "$color"
if ! hueshift preview --stack "$1" --flip-only >&2; then
  cp "$before" "$file"
  fail "nothing was changed, for the reason above; what is pending in $file is applied first, alone: pipeline/up.sh $1"
fi
checked_update "$1" --skip-preview
echo "$color gets all traffic of $2 in $1"
