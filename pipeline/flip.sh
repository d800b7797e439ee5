#!/usr/bin/env bash
# flip.sh STACK SERVICE [COLOR]
# Gives all traffic to the other color, or to the one named, if nothing but that would change. The other one is not guessed
# where the load balancer has something else than the stack file. A service without an activeColor of its own flips together
# with all others that follow the stack's. If it fails, the stack file is as before.
set -euo pipefail
# shellcheck source=lib/steps.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/steps.sh"
takes 2 3 "$@"

service=$(served "$1" "$2")
[ -n "${3:-}" ] || live "$1" "$2"
color=${3:-$(other "$(of "$service" .active)")}

give_all "$1" "$2" "$color" "$service"
hueshift preview --stack "$1" --flip-only >&2 ||
  fail "nothing was changed, for the reason above; what is pending is applied first, alone: pipeline/up.sh $1"
checked_update "$1" --skip-preview
given
echo "$color gets all traffic of $2 in $1"
