#!/usr/bin/env bash
# end-to-end.sh STACK SERVICE
# Tries the service as its users reach it: the version that the stack file gives the active color, the security headers,
# plain HTTP sent to HTTPS, and the header that leads to the version under test.
#
# CURL_OPTIONS  further arguments of curl, such as --cacert FILE
set -euo pipefail
# shellcheck source=lib/steps.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/steps.sh"
takes 2 2 "$@"
requests=20

service=$(served "$1" "$2")
url=$(of "$service" .url)
color=$(of "$service" .active)
version=$(of "$service" '.versions[.active]')
canary=$(of "$service" '.versions[.canaryHeader // .active]')
[ "$(of "$service" .canary)" = 0 ] ||
  fail "a canary of $2 runs in $1, and its users meet two versions; finish it, or set canaryWeight to 0"

for ((number = 1; number <= requests; number++)); do
  request "$url/"
  [ "$status" = 200 ] || fail "request $number of $requests to $url/ is answered $status, and should 200"
  [ "$(header x-version)" = "$version" ] ||
    fail "$url/ answers as version $(header x-version), and should as $version of $color"
done

for name in strict-transport-security content-security-policy; do
  [ -n "$(header $name)" ] || fail "$url/ answers without $name"
done
for pair in x-content-type-options=nosniff x-frame-options=DENY; do
  name=${pair%=*} wanted=${pair#*=}
  [ "$(header "$name")" = "$wanted" ] || fail "$url/ answers $name: '$(header "$name")', and should $wanted"
done

request "$url/" --header "x-canary: true"
[ "$status" = 200 ] || fail "$url/ with x-canary: true is answered $status, and should 200"
[ "$(header x-version)" = "$canary" ] ||
  fail "$url/ with x-canary: true answers as version $(header x-version), and should as $canary"

request "http://${url#https://}/"
[ "$status" = 301 ] || fail "http://${url#https://}/ is answered $status, and should 301"
[[ $(header location) == https://* ]] || fail "http://${url#https://}/ leads to $(header location), and not to HTTPS"
echo "$2 $version serves its users as $color in $1: $url"
