#!/usr/bin/env bash
# unlock.sh STACK [stale|any]
# Shows who has locked the state of a stack, and takes the lock away if it is older than any job may last; a younger one
# only with `any`, after you have looked that its run is over: two updates at once lose the state of one.
#
# PULUMI_BACKEND_URL  s3://BUCKET?… or file://FOLDER
set -euo pipefail
# shellcheck source=lib/steps.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/steps.sh"
takes 1 2 "$@"
LONGEST=3900

files=$(mktemp -d)
trap 'rm -rf "$files"' EXIT
place=${PULUMI_BACKEND_URL:?is not set; name the state, such as s3://pulumi-staging-111122223333?region=eu-west-1}
case $place in
  s3://*)
    bucket=${place#s3://} && bucket=${bucket%%\?*}
    aws s3 cp --quiet --recursive "s3://$bucket/.pulumi/locks/" "$files" ;;
  file://*) [ ! -d "${place#file://}/.pulumi/locks" ] || cp -R "${place#file://}/.pulumi/locks/." "$files" ;;
  *) fail "the locks of $place cannot be read: pulumi cancel --yes --stack $1" ;;
esac
young=0 found=0
while read -r lock; do
  found=$((found + 1))
  since=$(jq --raw-output .timestamp "$lock")
  age=$(($(date +%s) - $(date --date "$since" +%s)))
  [ $age -ge $LONGEST ] || young=$((young + 1))
  say "$1 is locked by $(jq --raw-output '"\(.username) on \(.hostname), process \(.pid)"' "$lock") since $since, $((age / 60)) minutes"
done < <(find "$files" -path "*/${1##*/}/*.json" -type f)
[ $found -gt 0 ] || { say "nobody has locked $1" && exit 0; }
[ $young -eq 0 ] || [ "${2:-}" = any ] ||
  fail "no job lasts longer than $((LONGEST / 60)) minutes, and this may still run; if its run is over, ask for any lock"
pulumi cancel --yes --stack "$1" >&2
say "$1 is free; an update that was cut off: docs/operations/ended-badly.md"
