#!/usr/bin/env bash
# changes.sh BASE
# Says what a change is made of since the commit BASE, as lines for the outputs of a job: hueshift changes --help
set -euo pipefail
# shellcheck source=lib/steps.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/steps.sh"
takes 1 1 "$@"

hueshift changes "$1"
