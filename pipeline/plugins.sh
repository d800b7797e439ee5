#!/usr/bin/env bash
# plugins.sh [--record]
# Installs the engine's plugins, of the versions in requirements.txt, from archives whose SHA-256 is in plugins.sha256. What
# has another sum is not unpacked: a program that says so takes the plugin's place, so that the engine gets no other, and
# this ends with 1. A plugin without a sum is left to the engine, and that is said. With --record it downloads the archives for
# Linux and writes down their sums, to be compared with those that each release publishes, and committed.
#
# PLUGINS_FROM  where the archives are, if not at their releases on GitHub: a URL that ends before their names
set -euo pipefail
# shellcheck source=lib/steps.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/steps.sh"
takes 0 1 "$@"
[ "${1:---record}" = --record ] || { usage >&2 && exit 2; }

sums=pipeline/plugins.sha256
pinned() { sed -nE '/^pulumi-policy=/!s/^pulumi-([a-z]+)==([0-9.]+)$/\1 \2/p' requirements.txt; } # NAME VERSION, a line each
archive() { echo "pulumi-resource-$1-v$2-$3.tar.gz"; } # NAME VERSION SYSTEM
get() { # NAME VERSION ARCHIVE
  curl --fail --silent --show-error --location --retry 3 --max-time 600 \
    "${PLUGINS_FROM:-https://github.com/pulumi/pulumi-$1/releases/download/v$2}/$3"
}

if [ -n "${1:-}" ]; then
  found=$(sed -n '/^#/p' "$sums")
  while read -r name version; do
    for system in linux-amd64 linux-arm64; do
      file=$(archive "$name" "$version" "$system")
      sum=$(get "$name" "$version" "$file" | sha256sum) || fail "$file cannot be downloaded, for the reason above; nothing was written"
      found+=$'\n'"${sum%% *}  $file"
    done
    say "compare with https://github.com/pulumi/pulumi-$name/releases/download/v$version/pulumi-${name}_${version}_checksums.txt"
  done < <(pinned)
  printf '%s\n' "$found" >"$sums"
  exit
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
machine=$(uname -m | sed 's/^x86_64$/amd64/; s/^aarch64$/arm64/')
status=0
while read -r name version; do
  there=${PULUMI_HOME:-$HOME/.pulumi}/plugins/resource-$name-v$version
  if [ -e "$there" ] && [ ! -e "$there/refused" ]; then continue; fi
  rm -rf "$there"
  file=$(archive "$name" "$version" "$(uname -s | tr '[:upper:]' '[:lower:]')-$machine")
  sum=$(sed -n "s/^\([0-9a-f]\{64\}\)  $file\$/\1/p" "$sums")
  if [ -z "$sum" ]; then
    say "plugins.sh: $sums has no sum of $file, so the engine takes what nobody has compared; run pipeline/plugins.sh --record, compare and commit"
    continue
  fi
  if ! get "$name" "$version" "$file" >"$work/$file"; then
    why="$file cannot be downloaded, for the reason above"
  elif ! sha256sum --check --status <<<"$sum  $work/$file"; then
    why="$file is not what $sums says: its SHA-256 is $(sha256sum <"$work/$file" | cut -d ' ' -f 1); find out why before you record it"
  elif pulumi plugin install resource "$name" "v$version" --exact --file "$work/$file" >&2; then
    continue
  else
    why="$file cannot be installed, for the reason above"
  fi
  warn "$why"
  rm -rf "$there"
  mkdir -p "$there"
  touch "$there/refused"
  printf '#!/bin/sh\necho "plugins.sh: %s" >&2\nexit 1\n' "$why" >"$there/pulumi-resource-$name"
  chmod +x "$there/pulumi-resource-$name"
  status=1
done < <(pinned)
exit $status
