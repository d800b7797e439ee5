#!/usr/bin/env bash
# required.sh
# The one check that the branch requires: ends with 1 unless every job that it waits for has succeeded, or was left out
# because the job `changes` found no code. On GitHub a job that is left out for any other reason counts as green, too.
#
# NEEDS  what GitHub says of those jobs: toJSON(needs)
set -euo pipefail
# shellcheck source=lib/steps.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/steps.sh"
takes 0 0 "$@"

bad=$(jq --raw-output '(.changes.outputs.kind | IN("docs", "stacks")) as $harmless | to_entries
  | map(select(.value.result | . != "success" and (. != "skipped" or ($harmless | not)))
  | "\(.key): \(.value.result)") | join(", ")' <<<"${NEEDS:?is not set; it is toJSON(needs)}")
[ -z "$bad" ] || fail "not green: $bad"
