#!/usr/bin/env bash
# comment.sh BASE
# Joins the previews that are here, preview-STACK.json as `hueshift preview --json` prints them, into the one comment of
# the pull request. Ends with 1 if one of them failed, or if a stack of which nothing but weights was changed since the
# commit BASE would change in more.
set -euo pipefail
# shellcheck source=lib/steps.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/steps.sh"
takes 1 1 "$@"

from=()
for file in preview-*.json; do [ ! -s "$file" ] || from+=(--from "$file"); done
[ ${#from[@]} -gt 0 ] || fail "no stack was previewed; see the jobs before this one"
bad=0
hueshift preview "${from[@]}" >preview.md || bad=1
pipeline/forge.sh comment preview.md
flips=$(pipeline/changes.sh "$1" | sed -n 's/^flips=//p')
while read -r stack; do
  hueshift preview --from "preview-$stack.json" --flip-only >/dev/null || bad=1
done < <(jq --raw-output '.[]' <<<"$flips")
exit $bad
