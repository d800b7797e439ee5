#!/usr/bin/env bash
# smoke.sh STACK SERVICE
# Tries the color that is idle by the stack file and by the load balancer through its test URL, once it has all of its pods:
# live, ready, of the version in the stack file, and without an error in twenty requests.
#
# CURL_OPTIONS  further arguments of curl, such as --cacert FILE
set -euo pipefail
# shellcheck source=lib/steps.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/steps.sh"
takes 2 2 "$@"
requests=20 patience=180

service=$(served "$1" "$2")
live "$1" "$2"
color=$(other "$(of "$service" .active)")
url=$(of "$service" ".testUrls.$color")
namespace=$(of "$service" .namespace)
version=$(of "$service" ".versions.$color")
[ "$url" != null ] || fail "$2 has one color, and no idle one to try"

# The autoscaler brings the pods after the update; before that a flip is refused.
pods() { kubectl --namespace "$namespace" get "$1" "$2-$color" --output "jsonpath={$3}"; }
wanted=$(pods horizontalpodautoscaler "$2" .spec.minReplicas) ||
  fail "$color of $2 has no autoscaler: it is parked, or the cluster cannot be asked; give it an image: hueshift image set $2"
until [ "$(pods deployment "$2" .status.availableReplicas)" -ge "$wanted" ] 2>/dev/null; do
  [ "$SECONDS" -lt "$patience" ] ||
    fail "$color of $2 has fewer than $wanted pods after $patience s; look: kubectl --namespace $namespace get pods"
  sleep 1
done

try() { # PATH
  request "$url$1"
  [ "$status" = 200 ] || fail "$url$1 answers $status, and should 200"
}

try /health/live
try /health/ready
for ((number = 1; number <= requests; number++)); do
  request "$url/"
  [ "$status" -lt 500 ] || fail "request $number of $requests to $url/ is answered $status"
  [ "$(header x-version)" = "$version" ] ||
    fail "$url/ answers as version $(header x-version), and $(stack_file "$1") says $version; deploy it: pipeline/up.sh $1"
done
echo "$2 $version is live and ready as $color in $1: $url, $requests requests without an error"
