#!/usr/bin/env bash
# rollback.sh STACK SERVICE [COLOR]
# Ends a canary, or gives all traffic back to the color that had it before the flip; or to the one named. Then commits
# that to the branch. What else is pending in the stack file does not hold it up, and stays pending.
set -euo pipefail
# shellcheck source=lib/steps.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/steps.sh"
takes 2 3 "$@"

shop=$(served "$1" "$2")
active=$(jq --raw-output .activeColor <<<"$shop")
if [ -n "${3:-}" ]; then
  color=$3
elif jq --exit-status '.weights[.activeColor] == 100' <<<"$shop" >/dev/null; then
  color=$(other "$active")
else
  color=$active
fi

give_all "$1" "$2" "$color"
if hueshift preview --stack "$1" --flip-only >&2; then
  checked_update "$1" --skip-preview
else
  say "more is pending in $(stack_file "$1"), and waits: only the production rules are updated now"
  targets=()
  while read -r urn; do targets+=("--target=$urn"); done < <(
    pulumi stack export --stack "$1" | jq --raw-output '.deployment.resources[]
      | select(.type == "aws:lb/listenerRule:ListenerRule").urn | select(endswith("-traffic-production"))'
  )
  update "$1" --skip-preview "${targets[@]}"
fi
pipeline/keep.sh "Give all traffic of $2 in $1 back to $color" "$(stack_file "$1")"
echo "$color gets all traffic of $2 in $1"
