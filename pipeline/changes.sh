#!/usr/bin/env bash
# changes.sh BASE [COMMIT]
# Says what a change is made of from the commit BASE to COMMIT, or to the one that is checked out, as lines
# for the outputs of a job: hueshift changes --help
set -euo pipefail
# shellcheck source=lib/steps.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/steps.sh"
takes 1 2 "$@"

hueshift changes "$1" ${2:+--reviewed "$2"}
