#!/usr/bin/env bash
# keep.sh MESSAGE [FILE…]
# Commits the stack files and the record of releases, or the files named, and pushes them to the branch that the
# pipeline runs for. What others have pushed meanwhile goes before. Nothing to commit is fine.
#
# KEEP_TOKEN  GitLab: what may push to the project, for jobs whose own token may not
# DELIVERS  the stack that got the program of this job's commit: newest.sh lets no earlier one follow. Always a commit then
set -euo pipefail
# shellcheck source=lib/steps.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/steps.sh"
takes 1 100 "$@"
message=$1
shift
[ $# -gt 0 ] || set -- 'Pulumi.*.yaml' releases.json

branch=${GITHUB_REF_NAME:-${CI_COMMIT_BRANCH:-$(git branch --show-current)}}
[ -n "$branch" ] || fail "no branch is checked out; go to one: git switch BRANCH"
identity=()
[ -n "$(git config user.email)" ] || identity=(-c user.name=pipeline -c user.email=pipeline@example.com)
# What is kept is deployed already, and starts no pipeline.
push=(git push --quiet)
[ -z "${GITLAB_CI:-}" ] || push+=(--push-option=ci.skip)
[ -z "${GITHUB_ACTIONS:-}" ] || message+=" [skip ci]"

to=origin
if [ -n "${KEEP_TOKEN:-}" ]; then
  # Not the address of origin: it has the job's own token in it, which git would send.
  to=${CI_PROJECT_URL:?is not set}.git
  export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0="http.$to.extraHeader"
  GIT_CONFIG_VALUE_0="Authorization: Basic $(printf 'keep:%s' "$KEEP_TOKEN" | base64 --wrap=0)" # in no process's arguments
  export GIT_CONFIG_VALUE_0
fi

delivers=()
if [ -n "${DELIVERS:-}" ]; then
  delivers=(--allow-empty "--message=Delivers: $DELIVERS ${GITHUB_SHA:-${CI_COMMIT_SHA:?is not set}}")
fi

git add -- "$@"
if [ ${#delivers[@]} -eq 0 ] && git diff --cached --quiet -- "$@"; then
  echo "nothing to keep: $* as in $branch"
  exit 0
fi
git "${identity[@]}" commit --quiet --message="$message" "${delivers[@]}" -- "$@"
for attempt in 1 2 3 4 5; do
  if "${push[@]}" "$to" "HEAD:refs/heads/$branch" 2>/dev/null; then
    echo "kept in $branch: $message"
    exit 0
  fi
  sleep $((attempt - 1))
  git fetch --quiet "$to" "$branch"
  git "${identity[@]}" rebase --quiet --autostash FETCH_HEAD >&2 || {
    git rebase --abort
    fail "$branch has changed the same lines since; what was done is not in it: merge this by hand: $message, $*"
  }
done
"${push[@]}" "$to" "HEAD:refs/heads/$branch" || fail "$branch takes no push; what was done is not in it: $message, $*"
