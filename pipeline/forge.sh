#!/usr/bin/env bash
# forge.sh comment FILE | issue TITLE FILE | close TITLE | reviewed NUMBER | left JOB FOLDER | ended JOB
# Talks to GitHub or GitLab, whichever runs this job. `comment` writes NAME.md as the one comment of the pull request
# that begins with <!-- hueshift:NAME -->: the one that is there is edited, other people's are left alone. `issue` keeps
# one open issue of that title up to date; `close` closes it, if there is one. `reviewed` prints whether a pull request is
# open and has the label review: yes or no. `left` puts into FOLDER what a job of this pipeline of GitLab has left for
# keep.sh: JOB.env as newest.env, the file of STACK and the record, each by its name. Taken as an artifact, it could lie
# over the scripts of a job that may push. Nothing if JOB did nothing. `ended` fails unless JOB has succeeded.
#
# GitHub: GITHUB_API_URL, GITHUB_REPOSITORY, GITHUB_TOKEN; PULL_REQUEST, its number, for a comment
# GitLab: CI_API_V4_URL, CI_PROJECT_ID, GITLAB_TOKEN; CI_MERGE_REQUEST_IID for a comment, CI_PIPELINE_ID for a job
set -euo pipefail
# shellcheck source=lib/steps.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/steps.sh"
takes 2 3 "$@"
case $1-$# in comment-2 | issue-3 | close-2 | reviewed-2 | left-3 | ended-2) ;; *) usage >&2 && exit 2 ;; esac

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

call() { # METHOD PATH [FILE]: leaves in $work/answer what the API answers; the token is in no process's arguments
  # Returns 1 if nothing is there and LACKING is set.
  local status send=()
  [ $# -lt 3 ] || send=(--header "Content-Type: application/json" --data-binary "@$3")
  [ "$1" != GET ] || send+=(--retry 3)
  : >"$work/answer"
  status=$(curl --silent --show-error --max-time 60 --request "$1" --config <(printf 'header = "%s"\n' "$header") \
    "${send[@]}" --output "$work/answer" --write-out '%{http_code}' "$api/$2") || fail "$forge does not answer at $api"
  [ "$status" != 404 ] || [ -z "${LACKING:-}" ] || return 1
  [[ $status == 2* ]] ||
    fail "$forge refused $1 $2 with $status: $(jq --raw-output '.message // .error // .' "$work/answer" 2>/dev/null | head -c 300)"
}

find_own() { # LIST NUMBER CONDITION TEXT: sets id to the NUMBER of the first that a pipeline wrote itself and CONDITION holds for
  local page=1 own='.user.type == "Bot"'
  if [ "$forge" = GitLab ]; then
    call GET user
    own=".author.id == $(jq .id "$work/answer")"
  fi
  while call GET "$1per_page=100&page=$page"; do
    id=$(jq --raw-output --arg text "$4" "map(select($own and ($3)))[0].$2 // empty" "$work/answer")
    [ -z "$id" ] && [ "$(jq length "$work/answer")" -eq 100 ] || break
    page=$((page + 1))
  done
}

write() { # LIST [ONE]: puts $work/body over what was found, or adds it
  if [ -n "$id" ]; then
    call "$edit" "${2:-$1}/$id" "$work/body"
    say "edited: $id of $1"
  else
    call POST "$1" "$work/body"
    say "added to $1"
  fi
}

comment() {
  local notes one marker
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
  find_own "$notes?" id ".body | startswith(\$text)" "$marker"
  write "$notes" "$one"
}

find_issue() { find_own "$repository/issues?state=$opened&" $number ".title == \$text and .pull_request == null" "$1"; } # TITLE

issue() {
  [ -r "$2" ] || fail "there is no file $2"
  jq --raw-input --slurp --arg title "$1" "{title: \$title, $text: .}" "$2" >"$work/body"
  find_issue "$1"
  write "$repository/issues"
}

reviewed() {
  local path=pulls/$1 label=.name
  [ "$forge" = GitHub ] || path=merge_requests/$1 label=.
  call GET "$repository/$path"
  jq --raw-output --arg opened "$opened" \
    "if .state == \$opened and any(.labels[]; $label == \"review\") then \"yes\" else \"no\" end" "$work/answer"
}

job() { # NAME: leaves in $work/job what GitLab says of the job, as it was run last
  need CI_PIPELINE_ID
  call GET "$repository/pipelines/$CI_PIPELINE_ID/jobs?per_page=100"
  jq --arg name "$1" 'map(select(.name == $name))[0] // empty' "$work/answer" >"$work/job"
  [ -s "$work/job" ] || fail "this pipeline has no job $1"
}

left() {
  local id file stack=${STACK:?is not set}
  job "$1"
  id=$(jq .id "$work/job")
  if jq --exit-status '.artifacts_file == null' "$work/job" >/dev/null; then
    ended "$1"
    fail "nothing of $1 is here: it was not uploaded, or has expired; merge by hand what a preview of $stack differs in"
  fi
  mkdir -p "$2"
  for file in "$1.env" "$(stack_file "$stack")" releases.json; do
    ! LACKING=yes call GET "$repository/jobs/$id/artifacts/$file" || cp "$work/answer" "$2/${file/#"$1.env"/newest.env}"
  done
  if [ ! -s "$2/newest.env" ]; then
    ended "$1"
    say "nothing to keep: $1 has done nothing to $stack"
  fi
}

ended() {
  local status
  job "$1"
  status=$(jq --raw-output .status "$work/job")
  [ "$status" = success ] || fail "$1 ended as $status, see there; when it is run again, run this job again after it"
}

close() {
  find_issue "$1"
  [ -n "$id" ] || return 0
  jq --null-input "$closing" >"$work/body"
  write "$repository/issues"
}

"$@"
