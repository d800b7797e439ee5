#!/usr/bin/env bash
# deploy.sh STACK BASE [COMMIT]
# Brings a stack to what its file says, after that file was changed by review from the commit BASE to COMMIT, or to the
# one that is checked out. If nothing but weights was, nothing else may come with them, and the colors that they concern
# must run what they ran in COMMIT. Without BASE the file is taken as it is.
set -euo pipefail
# shellcheck source=lib/steps.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/steps.sh"
takes 2 3 "$@"

if [ -n "$2" ]; then
  changes=$(pipeline/changes.sh "$2" "${3:-HEAD}")
  has() { sed -n "s/^$1=//p" <<<"$changes" | jq --exit-status --arg stack "$2" 'index($stack)' >/dev/null; }
  if has moved "$1"; then
    fail "since its review a color whose weight was changed has got another version; look at the preview of" \
      "$(stack_file "$1") as it is now, and merge a new change of weights if that is what users shall get"
  fi
  if has flips "$1"; then
    hueshift preview --stack "$1" --flip-only >&2 ||
      fail "this was reviewed as a change of weights alone; apply the rest first, by a change of its own"
  fi
fi
pipeline/up.sh "$1"
