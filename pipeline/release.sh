#!/usr/bin/env bash
# release.sh STACK SERVICE IMAGE VERSION [SCHEMA]
# Gives users a version by the strategy of their service: hueshift release --help. Where that takes longer than a job may,
# the release is left open when its first step is live, and resume.sh goes on.
#
# GIVE_UP_WAY_BACK  true where the color that the last release would go back to may get the image, as in a rehearsal
set -euo pipefail
# shellcheck source=lib/steps.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/steps.sh"
takes 4 5 "$@"
LONG=1800

later=() given_up=()
[ "${GIVE_UP_WAY_BACK:-}" != true ] || given_up=(--give-up-way-back)
seconds=$(hueshift plan --service "$2" --stack "$1" --json 2>/dev/null | jq '.seconds // 0') || true
[ "${seconds:-0}" -le $LONG ] || later=(--detach)
status=0
whole hueshift release --service "$2" --image "$3" --version "$4" ${5:+--schema "$5"} --stack "$1" "${given_up[@]}" "${later[@]}" ||
  status=$?
if [ $status -eq 4 ] && [ ${#later[@]} -gt 0 ]; then
  say "$2 $4 has its first step in $1; resume.sh goes on with it"
  status=0
fi
[ $status -ne 3 ] || warn "$2 $4 was judged bad in $1, and taken back"
exit $status
