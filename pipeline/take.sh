#!/usr/bin/env bash
# take.sh FOLDER [BASE]
# Puts the stack files and the record that another job has left in FOLDER in the place of those of the commit BASE, for
# keep.sh. That job ran a program, and this one may push: nothing else in FOLDER is looked at, no file is new but the
# record, and BASE is a commit of the branch: the one that FOLDER/newest.env names, as newest.sh prints it, if not given.
set -euo pipefail
# shellcheck source=lib/steps.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/steps.sh"
takes 1 2 "$@"

branch=${GITHUB_REF_NAME:-${CI_COMMIT_BRANCH:-$(git branch --show-current)}}
base=${2:-$(sed -n 's/^base=//p' "$1/newest.env")}
git fetch --quiet --no-tags origin "$branch"
if ! [[ $base =~ ^[0-9a-f]{40}$ ]] || ! git merge-base --is-ancestor "$base" FETCH_HEAD 2>/dev/null; then
  fail "$base is no commit of $branch: nothing is taken"
fi
git reset --quiet --mixed "$base"
git ls-files -z -- 'Pulumi.*.yaml' releases.json | xargs -0 git restore --worktree --
for file in "$1"/Pulumi.*.yaml "$1"/releases.json; do
  name=${file##*/}
  [ -f "$file" ] && [ ! -L "$file" ] || continue
  [ "$name" = releases.json ] || git ls-files --error-unmatch -- "$name" >/dev/null 2>&1 || continue
  cp --no-dereference -- "$file" "$name"
  say "taken: $name"
done
