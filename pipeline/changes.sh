#!/usr/bin/env bash
# changes.sh BASE
# Says what a change is made of, by what differs between the commit BASE and this one:
#   kind=docs|stacks|code    pages alone; stack files and the record of releases; anything else
#   stacks=["production"]    the stacks whose files changed
#   flips=["production"]     those in whose files nothing but activeColor and canaryWeight did
# What is not known to be harmless is code, and so is everything if BASE is not here.
set -euo pipefail
# shellcheck source=lib/steps.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/steps.sh"
takes 1 1 "$@"

changed() { git diff --no-renames --no-ext-diff "$1...HEAD" "${@:2}" 2>/dev/null; }

kind=docs stacks=() flips=()
if ! files=$(changed "$1" --name-only); then
  say "the commit '$1' is not in this clone: everything counts as changed"
  files=everything
fi
while read -r file; do
  case $file in
    "" | docs/* | *.md) continue ;;
    Pulumi.sandbox.yaml) kind=code && continue ;; # no environment: the tests on the local cloud run it
    Pulumi.*.yaml | releases.json) [ "$kind" = code ] || kind=stacks ;;
    *) kind=code ;;
  esac
  if [[ $file == Pulumi.*.yaml && -e $file ]]; then
    stack=${file#Pulumi.}
    stacks+=("\"${stack%.yaml}\"")
    more=$(changed "$1" --unified=0 -- "$file" | sed -E '1,/^@@/d; /^@@/d; /^[-+] *(hueshift:)?(activeColor|canaryWeight):/d')
    [ -n "$more" ] || flips+=("\"${stack%.yaml}\"")
  fi
done <<<"$files"
IFS=,
printf '%s\n' "kind=$kind" "stacks=[${stacks[*]}]" "flips=[${flips[*]}]"
