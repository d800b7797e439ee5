#!/usr/bin/env bash
# end-to-end.sh STACK SERVICE
# Tries a service as its users reach it: hueshift verify --help
set -euo pipefail
# shellcheck source=lib/steps.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/steps.sh"
takes 2 2 "$@"

hueshift verify "$2" --stack "$1"
