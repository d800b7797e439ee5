#!/usr/bin/env bash
# audit.sh
# Looks whether a package that constraints.txt pins has a known vulnerability, and keeps an issue open as long as one has.
# Those that people have accepted for a while are in accepted-findings.json. Ends with 1 if that cannot be told.
set -euo pipefail
# shellcheck source=lib/steps.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/steps.sh"
takes 0 0 "$@"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ -z "$(type -P pip-audit)" ]; then
  python3 -m venv "$work/venv"
  "$work/venv/bin/pip" install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r tools/audit.txt >&2
  PATH=$PATH:$work/venv/bin
fi
today=$(date --utc +%F)
ignored=()
while read -r id; do ignored+=("--ignore-vuln=$id"); done < <(
  jq --raw-output --arg today "$today" '.[] | select(.until >= $today).id' accepted-findings.json
)
status=0
pip-audit --no-deps --disable-pip --progress-spinner=off --format=markdown --requirement constraints.txt "${ignored[@]}" \
  >"$work/audit.md" 2>"$work/said" || status=$?
cat "$work/said" >&2
if [ $status -eq 0 ]; then
  pipeline/forge.sh close "Known vulnerabilities in packages"
elif [ $status -eq 1 ] && [ -s "$work/audit.md" ]; then
  pipeline/forge.sh issue "Known vulnerabilities in packages" "$work/audit.md"
else
  fail "the packages could not be looked up, for the reason above"
fi
