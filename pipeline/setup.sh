#!/usr/bin/env bash
# setup.sh [STACK]
# Makes a runner ready: the Python environment, on PATH where GitHub runs, and the kubeconfig of the cluster that the
# file of STACK names, for whoever the credentials of AWS are, as a file of this job alone, and the engine's plugins. A Debian
# without a program that is needed gets it.
#
# HUESHIFT_VENV  deploy: no more than the program needs, each package by its hash (tools/venv.sh)
# AWS_ID_TOKEN  what AWS_WEB_IDENTITY_TOKEN_FILE is to hold, where the forge gives the token as a variable
set -euo pipefail
# shellcheck source=lib/steps.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/steps.sh"
takes 0 1 "$@"

missing=()
for program in curl git jq make; do [ -n "$(type -P "$program")" ] || missing+=("$program"); done
python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
if [ ${#missing[@]} -gt 0 ]; then
  ((EUID == 0)) && [ -n "$(type -P apt-get)" ] || fail "${missing[*]}: missing; install that on the runner"
  apt-get update >&2
  apt-get install --yes --no-install-recommends "${missing[@]}" >&2
fi
make --silent venv
[ -z "${GITHUB_PATH:-}" ] || echo "$PWD/.venv/bin" >>"$GITHUB_PATH"
[ -z "${AWS_ID_TOKEN:-}" ] || (umask 077 && printf %s "$AWS_ID_TOKEN" >"$AWS_WEB_IDENTITY_TOKEN_FILE")
[ -n "${1:-}" ] || exit 0
pipeline/plugins.sh || say "what needs a plugin that was refused will fail; the traffic's way back needs none"
file=$(stack_file "$1")
[ -e "$file" ] || fail "there is no $file here"
# By the rules by which the engine reads it.
found=$(
  .venv/bin/python - "$file" <<'PYTHON'
import sys
from pathlib import Path

from components.model import decoded
from hueshift.report import RefusedError
from hueshift.stack_yaml import read, section

file = Path(sys.argv[1])
try:
    config = section(read(file), "config", file)
except RefusedError as error:
    sys.exit(str(error))
cluster = decoded(config.get("hueshift:cluster"))
print((cluster.get("name") if isinstance(cluster, dict) else None) or "-", config.get("aws:region", ""))
PYTHON
) || fail "$file cannot be read, for the reason above"
read -r cluster region <<<"$found"
if [ "$cluster" = - ]; then
  say "$file names no cluster: kubectl asks the one that this runner has"
else
  # Not that of the machine's user, whose current cluster another job may change.
  if [ -n "${GITHUB_ENV:-}" ]; then
    export KUBECONFIG=${RUNNER_TEMP:?is not set}/kubeconfig
    echo "KUBECONFIG=$KUBECONFIG" >>"$GITHUB_ENV"
  fi
  aws eks update-kubeconfig --name "$cluster" ${region:+--region "$region"} >&2
fi
