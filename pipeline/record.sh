#!/usr/bin/env bash
# record.sh STACK SERVICE SCHEMA
# Records what a stack runs of a service, and that it has passed scan, tests and migration, which this run shows.
set -euo pipefail
# shellcheck source=lib/steps.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/steps.sh"
takes 3 3 "$@"

run=${CI_PIPELINE_URL:-${GITHUB_SERVER_URL:?}/${GITHUB_REPOSITORY:?}/actions/runs/${GITHUB_RUN_ID:?}}
hueshift image record "$2" --stack "$1" --evidence "scan=$run" --evidence "tests=$run" ${3:+--evidence "migration=$run"}
