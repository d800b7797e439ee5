#!/usr/bin/env bash
# deploy.sh STACK BASE
# Brings a stack to what its file says, after that file was changed by review since the commit BASE. If nothing but
# weights was, nothing else may come with them.
set -euo pipefail
# shellcheck source=lib/steps.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/steps.sh"
takes 2 2 "$@"

flips=$(pipeline/changes.sh "$2" | sed -n 's/^flips=//p')
if jq --exit-status --arg stack "$1" 'index($stack)' <<<"$flips" >/dev/null; then
  hueshift preview --stack "$1" --flip-only >&2 ||
    fail "this was reviewed as a change of weights alone; apply the rest first, by a change of its own"
fi
pipeline/up.sh "$1"
