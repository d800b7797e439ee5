#!/usr/bin/env bash
# review.sh up NAME [SERVICE IMAGE VERSION [SCHEMA]] | down NAME | sweep
# A small copy of staging for one pull request, such as review-42; with an image, one service runs that. `up` makes it or
# brings it up to date, and prints
#   url=https://SERVICE.NAME.ZONE       one line for each service, that of SERVICE last
# `down` takes all of it away, however far `up` had come, and is content where nothing is left.
# `sweep` takes away those whose pull request is not open any more or has lost its label: review-NUMBER for its number.
# One of them at a time for a NAME: a lock that an ended run has left is taken away.
set -euo pipefail
# shellcheck source=lib/steps.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/steps.sh"
takes 1 6 "$@"
[ "$*" = sweep ] || [ $# -gt 1 ] || { usage >&2 && exit 2; }
action=$1 name=${2:-review-0} service=${3:-} image=${4:-} version=${5:-} schema=${6:-}
[[ $name =~ ^review-[a-z0-9-]+$ ]] || fail "$name is no review: review-, then small letters and digits, such as review-42"
file=Pulumi.$name.yaml

there() {
  local stacks
  stacks=$(pulumi stack ls --json) || fail "whether $name is there cannot be told"
  jq --exit-status --arg name "$name" 'any(.name == $name)' <<<"$stacks" >/dev/null
}

pending() { pulumi stack export --stack "$name" | jq --exit-status '.deployment.pending_operations[]?' >/dev/null; }

up() {
  hueshift review "$name" ${service:+--service "$service" --image "$image" --version "$version"} \
    ${schema:+--schema "$schema"} >&2
  there || pulumi stack init "$name" --no-select --secrets-provider "$(provider)" >&2
  pulumi cancel --yes --stack "$name" >&2
  checked_update "$name" --skip-preview
  pulumi stack output services --json --stack "$name" |
    jq --raw-output --arg last "$service" 'to_entries | sort_by(.key == $last) | .[] | "url=\(.value.url)"'
}

down() {
  if there; then
    # A fresh checkout has no file of it: to destroy it takes what opens the state, and a value for each required key.
    [ -f "$file" ] || {
      sed --quiet '/^\(secretsprovider\|encryptedkey\|encryptionsalt\):/p' Pulumi.staging.yaml
      echo 'config: {hueshift:network: {}, hueshift:services: {}}'
    } >"$file"
    pulumi cancel --yes --stack "$name" >&2
    # An update that was killed has not recorded what it was making; what is recorded may be gone.
    if pending; then
      hueshift recover --stack "$name" >&2 || fail "what a killed update has made cannot be told, for the reason above"
      folded "pulumi refresh --stack $name" \
        pulumi refresh --yes --skip-preview --non-interactive --color never --stack "$name"
    fi
    folded "pulumi destroy --stack $name" \
      pulumi destroy --yes --skip-preview --non-interactive --color never --stack "$name"
    pulumi stack rm --yes --stack "$name" >&2
  fi
  rm -f "$file"
  say "nothing is left of $name"
}

sweep() {
  local stacks number bad=0
  stacks=$(pulumi stack ls --json | jq --raw-output '.[].name | capture("^review-(?<number>[0-9]+)$").number')
  for number in $stacks; do
    if [ "$(pipeline/forge.sh reviewed "$number")" = no ]; then
      "${BASH_SOURCE[0]}" down "review-$number" || bad=1
    fi
  done
  return $bad
}

provider() { # as the stack file names it: `init` alone would put a passphrase in its place
  sed --quiet 's/^secretsprovider: *//p' "$file" | grep . || echo default
}

case $action in
  up | down | sweep) "$action" ;;
  *) usage >&2 && exit 2 ;;
esac
