#!/usr/bin/env bash
# rollback.sh STACK SERVICE COLOR
# Gives all traffic back to the color named, out of a canary or after a flip; a second run changes nothing. Then commits
# that to the branch. What else is pending in the stack file does not hold it up, nor weights that somebody else has
# set; a color that cannot serve does.
set -euo pipefail
# shellcheck source=lib/steps.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/steps.sh"
takes 3 3 "$@"

service=$(served "$1" "$2")
color=$3
other "$color" >/dev/null

give_all "$1" "$2" "$color" "$service"
if ! { hueshift preview --stack "$1" --flip-only >&2 && checked_update "$1" --skip-preview; }; then
  say "that could not be done with all else in $(stack_file "$1"), which waits: now the production rules alone, as they are"
  # Those that are there: a pattern would reach a rule that waits to be made too, and what that needs is no target.
  rules=$(pulumi stack export --stack "$1" | jq --raw-output --exit-status '.deployment.resources[]
    | select(.type == "aws:lb/listenerRule:ListenerRule").urn | select(endswith("-traffic-production")) | "--target=\(.)"') ||
    fail "the state of $1 names no production rule; move the traffic without it: docs/operations.md#emergency-without-pulumi"
  mapfile -t targets <<<"$rules"
  update "$1" --skip-preview --refresh "${targets[@]}"
fi
given
pipeline/keep.sh "Give all traffic of $2 in $1 back to $color" "$(stack_file "$1")"
echo "$color gets all traffic of $2 in $1"
