#!/usr/bin/env bash
# up.sh STACK
# Brings a stack to what its file says: a preview that the policy pack judges, then the update.
#
# HUESHIFT_POLICY_PACK  where the pack is, if not in policy/
set -euo pipefail
# shellcheck source=lib/steps.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/steps.sh"
takes 1 1 "$@"

checked_update "$1"
