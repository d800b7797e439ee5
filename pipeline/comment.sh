#!/usr/bin/env bash
# comment.sh BASE
# Joins the previews that are here, preview-STACK.json as `hueshift preview --json` prints them, into the one comment of
# the pull request. Ends with 1 if one of them failed or is missing, or if a stack of which nothing but weights was
# changed since the commit BASE would change in more, or if weights come with a change of the program.
set -euo pipefail
# shellcheck source=lib/steps.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/steps.sh"
takes 1 1 "$@"

while read -r stack; do
  [ -s "preview-$stack.json" ] || jq --null-input --arg stack "$stack" \
    '[{stack: $stack, errors: ["no job left a preview of it; see the jobs before this one"]}]' >"preview-$stack.json"
done < <(git ls-files 'Pulumi.*.yaml' | sed -nE '/^Pulumi\.sandbox\./!s/^Pulumi\.(.+)\.yaml$/\1/p')
from=()
for file in preview-*.json; do from+=(--from "$file"); done
bad=0
hueshift preview --base "$1" "${from[@]}" >preview.md || bad=1
pipeline/forge.sh comment preview.md
changes=$(pipeline/changes.sh "$1")
flips=$(sed -n 's/^flips=//p' <<<"$changes")
if [[ $changes == kind=code* ]] && [ "$flips" != "[]" ]; then
  warn "this changes weights and the program at once, which no job applies; make two pull requests of it, weights last"
  bad=1
fi
while read -r stack; do
  hueshift preview --from "preview-$stack.json" --flip-only >/dev/null || bad=1
done < <(jq --raw-output '.[]' <<<"$flips")
exit $bad
