#!/usr/bin/env bash
# The tests on the local cloud: brings it up, runs them, and takes it down again unless it was up before.
# A machine that cannot run a node is told what did not run; with CI=true that is a failure.
# shellcheck disable=SC2046 # names of files have no blanks
set -euo pipefail
cd "$(dirname "$0")/../.."

if [ -z "${HUESHIFT_KUBECONFIG:-}" ] && ! reason=$(sandbox/node/up.sh --check 2>&1); then
  echo "$reason"
  echo "not run: tests/e2e, for the local cloud cannot run here"
  [ "${CI:-}" != true ] || exit 1
  exit 0
fi

if [ -e .sandbox ]; then trap 'make -s sandbox' EXIT; else trap 'make -s sandbox-down' EXIT; fi
make -s sandbox

# What has stacks of its own runs beside the rest, which changes the sandbox's own stack or looks at all of it, one file
# after the other. test_gate and test_release want CloudWatch's minutes as they are: the one goes first, and the other
# last, when the rest has ended.
alone=(traffic rollback image shadow node world)
apart=(policy plugins review state operations)

files() { printf 'tests/e2e/test_%s.py\n' "$@"; }

part() { # NAME FILE…: each line of what it prints bears its name
  local name=$1
  shift
  .venv/bin/pytest -v -m "e2e and not by_hand" -p no:xdist --durations=0 --durations-min=20 --junitxml=".pytest_cache/e2e-$name.xml" "$@" 2>&1 |
    sed --unbuffered "s/^/$name: /"
}

status=0
mapfile -t own < <(comm -23 <(ls tests/e2e/test_*.py) <(files gate release "${alone[@]}" "${apart[@]}" | sort))
part first $(files traffic rollback image shadow) || status=1 # the load and what is timed want both processors
part own $(files gate) "${own[@]}" $(files release) &
part apart $(files "${apart[@]}") tests/e2e/pipeline || status=1
wait $! || status=1
part last $(files node world) || status=1 # one kills the API server, the other takes the local cloud down
.venv/bin/python -m tests.e2e.times .pytest_cache/e2e-{first,own,apart,last}.xml
exit $status
