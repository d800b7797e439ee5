#!/usr/bin/env bash
# newest.sh BRANCH
# Goes to the newest commit of BRANCH on the remote, but keeps this commit's program in the work tree: what was tried is
# what is deployed, with the settings that hold now. So a job that waited for its turn or for an approval undoes no flip,
# no rollback and no record that was merged meanwhile.
set -euo pipefail
# shellcheck source=lib/steps.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/steps.sh"
takes 1 1 "$@"

from=$(git rev-parse --short HEAD)
git fetch --quiet --no-tags origin "$1"
git ls-files -z --with-tree=FETCH_HEAD -- 'Pulumi.*.yaml' releases.json |
  xargs -0 git restore --source=FETCH_HEAD --staged --worktree --
git reset --quiet --mixed FETCH_HEAD
say "the program of $from, with the stack files and the record of $1 at $(git rev-parse --short HEAD)"
