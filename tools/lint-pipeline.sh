#!/usr/bin/env bash
# lint-pipeline.sh
# What GitHub and GitLab would refuse in the pipeline's files, or what would be
# unsafe there. Prints findings only. Needs `make venv`, and the network once.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
bin=$PWD/.venv/bin
actionlint=$(sandbox/go/build.sh actionlint)/actionlint
said=$(mktemp -d)
trap 'rm -rf "$said"' EXIT

lint() { # lint NAME COMMAND...: beside the others; its output is shown if it fails
  local name=$1
  shift
  "$@" >"$said/$name" 2>&1 || touch "$said/$name.failed"
}
lint actionlint "$actionlint" -shellcheck "$bin/shellcheck" -pyflakes= &
lint zizmor "$bin/zizmor" --offline --quiet --strict-collection . &
lint shellcheck "$bin/shellcheck" --external-sources --source-path=SCRIPTDIR pipeline/*.sh &
lint gitlab "$bin/check-jsonschema" --builtin-schema vendor.gitlab-ci --data-transform gitlab-ci .gitlab-ci.yml &
wait
status=0
for failed in "$said"/*.failed; do
  [ -e "$failed" ] || continue
  cat "${failed%.failed}" >&2
  status=1
done
exit $status
