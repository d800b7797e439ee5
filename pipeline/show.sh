#!/usr/bin/env bash
# show.sh STACK [SERVICE IMAGE VERSION [SCHEMA]]
# Shows whoever approves it what an update of a stack would do now: of its file as it is, or of a release of IMAGE. On
# GitHub that is on the page of the run, elsewhere it is printed. Changes the stack file of this checkout alone.
#
# GIVE_UP_WAY_BACK  as release.sh has it
set -euo pipefail
# shellcheck source=lib/steps.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/steps.sh"
takes 1 5 "$@"
stack=$1 service=${2:-} image=${3:-} version=${4:-} schema=${5:-}

page() { cat >>"${GITHUB_STEP_SUMMARY:-/dev/stdout}"; }
block() { printf '\n~~~text\n%s\n~~~\n\n' "$1" | page; }

if [ -n "$image" ]; then
  given_up=()
  [ "${GIVE_UP_WAY_BACK:-}" != true ] || given_up=(--give-up-way-back)
  printf '## %s %s in %s\n\n%s\n' "$service" "$version" "$stack" "$image" | page
  said=$(
    hueshift image set "$service" "$image" --version "$version" ${schema:+--schema "$schema"} --stack "$stack" \
      --unless-served "${given_up[@]}" 2>&1
  ) ||
    said="as it is now the release would be refused: $said"
  block "$said"
  block "$(hueshift plan --service "$service" --stack "$stack" 2>&1 || true)"
fi
bad=0
comment=$(hueshift preview --stack "$stack") || bad=1
printf '%s\n' "$comment" | page
[ $bad -eq 0 ] || fail "the preview of $stack has failed, or a policy forbids it; it is on the page of this run"
