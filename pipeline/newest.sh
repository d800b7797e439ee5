#!/usr/bin/env bash
# newest.sh BRANCH [STACK [FILE]]
# Goes to the newest commit of BRANCH on the remote, but keeps this commit's program in the work tree: what was tried is
# what is deployed, with the settings that hold now. So a job that waited for its turn or for an approval undoes no flip,
# no rollback and no record that was merged meanwhile. Prints
#   base=COMMIT   the newest of BRANCH
#   file=HASH     of the file of STACK there
# Refused, with nothing printed, if STACK got the program of a later commit already, or if its file is not what FILE, a
# hash, was approved.
set -euo pipefail
# shellcheck source=lib/steps.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/steps.sh"
takes 1 3 "$@"

own=$(git rev-parse HEAD)
git fetch --quiet --no-tags origin "$1"
base=$(git rev-parse FETCH_HEAD)
if [ -n "${2:-}" ]; then
  delivered=$(git log --max-count=1 --extended-regexp --grep="^Delivers: $2 [0-9a-f]{40}$" --format=%B FETCH_HEAD |
    sed -n "s/^Delivers: $2 //p" | tail -1)
  if [ -n "$delivered" ] && [ "$delivered" != "$own" ] && git merge-base --is-ancestor "$own" "$delivered"; then
    fail "$2 has got the program of ${delivered::9}, which is later than ${own::9} here, with the stack files of its time;" \
      "this one would take it back. What is merged and not applied yet: run delivery by hand for $2"
  fi
fi
git ls-files -z --with-tree=FETCH_HEAD -- 'Pulumi.*.yaml' releases.json |
  xargs -0 git restore --source=FETCH_HEAD --staged --worktree --
git reset --quiet --mixed FETCH_HEAD
say "the program of ${own::9}, with the stack files and the record of $1 at ${base::9}"
hash=
if [ -n "${2:-}" ]; then
  hash=$(git hash-object -- "$(stack_file "$2")")
  [ -z "${3:-}" ] || [ "$3" = "$hash" ] ||
    fail "$(stack_file "$2") has changed on $1 since its preview was shown for approval; run all jobs of this run again"
fi
echo "base=$base"
[ -z "$hash" ] || echo "file=$hash"
