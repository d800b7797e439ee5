#!/usr/bin/env bash
# required.sh
# The one check that the branch requires: ends with 1 unless every job that it waits for has succeeded, or was left out
# because the job `changes` found a HARMLESS kind. On GitHub a job that is left out for any other reason counts as green.
#
# NEEDS     what GitHub says of those jobs: toJSON(needs)
# HARMLESS  the kinds of change for which a job may be left out, docs and stacks unless given, as a list in JSON
# HINT      what to do about one that was left out
set -euo pipefail
# shellcheck source=lib/steps.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/steps.sh"
takes 0 0 "$@"

bad=$(jq --raw-output --argjson harmless "${HARMLESS:-[\"docs\", \"stacks\"]}" \
  '(.changes.outputs.kind as $kind | $harmless | any(. == $kind)) as $harmless | to_entries
  | map(select(.value.result | . != "success" and (. != "skipped" or ($harmless | not)))
  | "\(.key): \(.value.result)") | join(", ")' <<<"${NEEDS:?is not set; it is toJSON(needs)}")
[ -z "$bad" ] || fail "not green: $bad${HINT:+; $HINT}"
