#!/usr/bin/env bash
# resume.sh STACK
# Goes on with the releases of a stack that nobody drives: hueshift resume --help. One that is still open is no failure.
# Prints to the outputs of a job: changed=yes if a stack file has changed.
set -euo pipefail
# shellcheck source=lib/steps.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/steps.sh"
takes 1 1 "$@"

status=0
whole hueshift resume --all --once --stack "$1" || status=$?
git diff --quiet -- 'Pulumi.*.yaml' || echo changed=yes >>"${GITHUB_OUTPUT:-/dev/stdout}"
[ $status -ne 3 ] || warn "a release in $1 was judged bad, and taken back: hueshift history --stack $1"
[ $status -eq 4 ] || exit $status
