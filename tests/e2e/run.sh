#!/usr/bin/env bash
# The tests on the local cloud: brings it up, runs them, and takes it down again unless it was up before.
# A machine that cannot run a node is told what did not run; with CI=true that is a failure.
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

status=0
part() { # NAME ARGUMENT…
  local name=$1
  shift
  .venv/bin/pytest -v -m e2e --durations=0 --durations-min=20 --junitxml=".pytest_cache/e2e-$name.xml" "$@" || status=1
}
part first -p no:xdist tests/e2e/test_traffic.py tests/e2e/test_image.py # the load wants both processors
part both -n 2 --dist loadgroup --no-loadscope-reorder tests/e2e \
  --ignore=tests/e2e/test_traffic.py --ignore=tests/e2e/test_image.py --ignore=tests/e2e/test_world.py
part last -p no:xdist tests/e2e/test_world.py # it takes the local cloud down
.venv/bin/python -m tests.e2e.times .pytest_cache/e2e-{first,both,last}.xml
exit $status
