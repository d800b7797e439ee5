#!/usr/bin/env bash
# verify.sh IMAGE
# Ends with 1 unless an image by digest is what the delivery has built, as far as this repository signs that.
#
# SIGNING_PROFILE  ARN of the profile with which ECR signs what is pushed; none if it does not
# ATTEST           yes, where a delivery on GitHub signs where an image comes from and what is in it
set -euo pipefail
# shellcheck source=lib/steps.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/steps.sh"
takes 1 1 "$@"

if [ -n "${SIGNING_PROFILE:-}" ]; then
  hueshift image signed "$1" --profile "$SIGNING_PROFILE" >&2
else
  say "ECR signs no images here (SIGNING_PROFILE is not set)"
fi
if [ "${ATTEST:-}" = yes ]; then
  registry_login "$1"
  for kind in https://slsa.dev/provenance/v1 https://spdx.dev/Document/v2.3; do
    gh attestation verify "oci://$1" --repo "$GITHUB_REPOSITORY" --predicate-type "$kind" \
      --signer-workflow "$GITHUB_REPOSITORY/.github/workflows/delivery.yml" >&2 || fail "$1 has no $kind of the delivery"
  done
else
  say "deliveries attest no images here (ATTEST is not yes)"
fi
