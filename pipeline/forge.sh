#!/usr/bin/env bash
# forge.sh comment FILE | issue TITLE FILE | close TITLE
# Talks to GitHub or GitLab, whichever runs this job. `comment` writes NAME.md as the one comment of the pull request
# that begins with <!-- hueshift:NAME -->: the one that is there is edited, other people's are left alone. `issue` keeps
# one open issue of that title up to date; `close` closes it, if there is one.
#
# GitHub: GITHUB_API_URL, GITHUB_REPOSITORY, GITHUB_TOKEN; PULL_REQUEST, its number, for a comment
# GitLab: CI_API_V4_URL, CI_PROJECT_ID, GITLAB_TOKEN; CI_MERGE_REQUEST_IID for a comment
set -euo pipefail
# shellcheck source=lib/steps.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/steps.sh"
takes 2 3 "$@"
case $1-$# in comment-2 | issue-3 | close-2) ;; *) usage >&2 && exit 2 ;; esac

need() { # need NAME...: set, or it is said which is not
  for name in "$@"; do [ -n "${!name:-}" ] || fail "$name is not set; $forge needs $*"; done
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if [ -n "${CI_API_V4_URL:-}" ]; then
  forge=GitLab
  need CI_PROJECT_ID GITLAB_TOKEN
  api=$CI_API_V4_URL repository=projects/$CI_PROJECT_ID
  header="PRIVATE-TOKEN: $GITLAB_TOKEN"
  edit=PUT text=description number=iid opened=opened closing='{state_event: "close"}'
else
  forge=GitHub
  need GITHUB_API_URL GITHUB_REPOSITORY GITHUB_TOKEN
  api=$GITHUB_API_URL repository=repos/$GITHUB_REPOSITORY
  header="Authorization: Bearer $GITHUB_TOKEN"
  edit=PATCH text=body number=number opened=open closing='{state: "closed", state_reason: "completed"}'
fi

call() { # call METHOD PATH [FILE]: what the API answers; the token is in no process's arguments
  local status send=()
  [ $# -lt 3 ] || send=(--header "Content-Type: application/json" --data-binary "@$3")
  [ "$1" != GET ] || send+=(--retry 3)
  status=$(curl --silent --show-error --max-time 60 --request "$1" --config <(printf 'header = "%s"\n' "$header") \
    "${send[@]}" --output "$work/answer" --write-out '%{http_code}' "$api/$2") || fail "$forge does not answer at $api"
  [[ $status == 2* ]] ||
    fail "$forge refused $1 $2 with $status: $(jq --raw-output '.message // .error // .' "$work/answer" 2>/dev/null | head -c 300)"
  cat "$work/answer"
}

all() { # all PATH: every element of every page, one a line
  local page=1
  while call GET "$1${2:-?}per_page=100&page=$page" >"$work/page"; do
    jq --compact-output '.[]' "$work/page"
    [ "$(jq length "$work/page")" -eq 100 ] || return 0
    page=$((page + 1))
  done
  return 1
}

comment() {
  local notes one marker id
  [ -r "$1" ] || fail "there is no file $1"
  marker="<!-- hueshift:$(basename "$1" .md) -->"
  if [ "$forge" = GitHub ]; then
    need PULL_REQUEST
    notes=$repository/issues/$PULL_REQUEST/comments one=$repository/issues/comments
  else
    need CI_MERGE_REQUEST_IID
    notes=$repository/merge_requests/$CI_MERGE_REQUEST_IID/notes one=$notes
  fi
  jq --raw-input --slurp --arg marker "$marker" '{body: (if startswith($marker) then . else $marker + "\n" + . end)}' "$1" >"$work/body"
  all "$notes" >"$work/all"
  id=$(jq --slurp --arg marker "$marker" "map(select((.body | startswith(\$marker)) and $(own)))[0].id // empty" "$work/all")
  if [ -n "$id" ]; then
    call "$edit" "$one/$id" "$work/body" >/dev/null
    echo "comment $id edited" >&2
  else
    call POST "$notes" "$work/body" >/dev/null
    echo "comment written" >&2
  fi
}

own() { # jq's condition on what a pipeline has written itself
  if [ "$forge" = GitHub ]; then
    echo '.user.type == "Bot"'
  else
    call GET user >"$work/user"
    echo ".author.id == $(jq .id "$work/user")"
  fi
}

find_issue() { # find_issue TITLE: its number, if one is open
  all "$repository/issues" "?state=$opened&" >"$work/all"
  jq --slurp --arg title "$1" "map(select(.title == \$title and .pull_request == null and $(own)))[0].$number // empty" "$work/all"
}

issue() {
  local id
  [ -r "$2" ] || fail "there is no file $2"
  jq --raw-input --slurp --arg title "$1" "{title: \$title, $text: .}" "$2" >"$work/body"
  id=$(find_issue "$1")
  if [ -n "$id" ]; then
    call "$edit" "$repository/issues/$id" "$work/body" >/dev/null
    echo "issue $id brought up to date" >&2
  else
    call POST "$repository/issues" "$work/body" >/dev/null
    echo "issue opened: $1" >&2
  fi
}

close() {
  local id
  id=$(find_issue "$1")
  [ -n "$id" ] || return 0
  jq --null-input "$closing" >"$work/body"
  call "$edit" "$repository/issues/$id" "$work/body" >/dev/null
  echo "issue $id closed" >&2
}

"$@"
