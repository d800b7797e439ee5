#!/usr/bin/env bash
# flip.sh STACK SERVICE [COLOR]
# Gives all traffic of a service to its other color, or to the one named: hueshift flip --help
set -euo pipefail
# shellcheck source=lib/steps.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/steps.sh"
takes 2 3 "$@"

hueshift flip "$2" ${3:+"$3"} --stack "$1"
