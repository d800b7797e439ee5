#!/usr/bin/env bash
# rollback.sh STACK SERVICE [VERSION]
# Gives all traffic back to the color that served before, or to the one that runs VERSION, and writes that into the stack
# file, for keep.sh: hueshift rollback --help
set -euo pipefail
# shellcheck source=lib/steps.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/steps.sh"
takes 2 3 "$@"

whole hueshift rollback --stack "$1" --service "$2" ${3:+--to "$3"}
