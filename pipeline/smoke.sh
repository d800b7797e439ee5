#!/usr/bin/env bash
# smoke.sh STACK SERVICE
# Tries the idle color of a service through its test URL: hueshift smoke --help
set -euo pipefail
# shellcheck source=lib/steps.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/steps.sh"
takes 2 2 "$@"

hueshift smoke "$2" --stack "$1"
