# shellcheck shell=bash
# What the steps of the pipeline share. Sourced: goes to the repository's root, where every step runs.

cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit
PATH=$PATH:$PWD/.venv/bin
read -ra curl_options <<<"${CURL_OPTIONS:-}"

say() { echo "$*" >&2; }

fail() {
  echo "${0##*/}: $*" >&2
  exit 1
}

usage() { sed -n '2,/^[^#]/s/^# \{0,1\}//p' "pipeline/${0##*/}"; }

takes() { # LEAST MOST ARGUMENT…: explains the step if asked, or if it is given fewer or more arguments
  local least=$1 most=$2
  shift 2
  case ${1:-} in -h | --help) usage && exit 0 ;; esac
  [ $# -ge "$least" ] && [ $# -le "$most" ] || { usage >&2 && exit 2; }
}

folded() { # TITLE COMMAND…: runs the command in a part of the log that folds
  local title=$1 status=0 id=step_$RANDOM
  shift
  if [ -n "${GITHUB_ACTIONS:-}" ]; then
    say "::group::$title"
  elif [ -n "${GITLAB_CI:-}" ]; then
    printf '\e[0Ksection_start:%(%s)T:%s\r\e[0K%s\n' -1 "$id" "$title" >&2
  else
    say "$title"
  fi
  "$@" >&2 || status=$?
  if [ -n "${GITHUB_ACTIONS:-}" ]; then
    say "::endgroup::"
  elif [ -n "${GITLAB_CI:-}" ]; then
    printf '\e[0Ksection_end:%(%s)T:%s\r\e[0K\n' -1 "$id" >&2
  fi
  return $status
}

update() { # STACK ARGUMENT…: pulumi up
  local stack=$1
  shift
  folded "pulumi up --stack $stack" pulumi up --yes --non-interactive --color never --stack "$stack" "$@"
}

checked_update() { # STACK ARGUMENT…: pulumi up, judged by the policy pack
  update "$@" --policy-pack "${HUESHIFT_POLICY_PACK:-policy}"
}

served() { # STACK SERVICE: where the last update has put the service and what the stack file says of it, as JSON
  local services
  services=$(pulumi stack output services --json --stack "$1") || fail "$1 serves nothing yet; deploy it: pipeline/up.sh $1"
  jq --exit-status --arg service "$2" 'has($service)' <<<"$services" >/dev/null ||
    fail "no service of $1 is called $2; known: $(jq --raw-output 'keys | join(", ")' <<<"$services")"
  pulumi config --json --stack "$1" | jq --compact-output --arg service "$2" --argjson services "$services" '
    . as $stack | .["hueshift:services"] | (.objectValue // (.value | fromjson))[$service] as $own
    | $services[$service] | {url, testUrls, namespace, canaryHeader} + {
        own: $own | with_entries(select(.key == "activeColor" or .key == "canaryWeight")),
        active: ($own.activeColor // ($own.colors | select(length == 1) | keys[0]) // $stack["hueshift:activeColor"].value // "blue"),
        canary: ($own.canaryWeight // ($own.colors | select(length == 1) | 0) // $stack["hueshift:canaryWeight"].value // 0) | tonumber,
        versions: $own.colors | map_values(.version)}'
}

live() { # STACK SERVICE: whether the load balancer has what the stack file says, so that its idle color is idle
  hueshift live "$2" --stack "$1" >&2 || fail "which color of $2 is idle in $1 cannot be told, for the reason above"
}

of() { jq --raw-output "$2" <<<"$1"; } # JSON FILTER

other() { # BLUE|GREEN
  case $1 in blue) echo green ;; green) echo blue ;; *) fail "no color is called $1; there are blue and green" ;; esac
}

stack_file() { echo "Pulumi.${1##*/}.yaml"; }

give_all() { # STACK SERVICE COLOR JSON: writes into the stack file, until the step fails, that the color gets all requests
  local path=""
  stack_file_before=$(mktemp)
  cp "$(stack_file "$1")" "$stack_file_before"
  # shellcheck disable=SC2064 # of now
  trap "cp '$stack_file_before' '$(stack_file "$1")'; rm '$stack_file_before'" EXIT
  if [ "$(of "$4" '.own.activeColor')" != null ]; then
    path=services.$2. # it follows its own keys alone
  elif [ "$(of "$4" '.own.canaryWeight')" != null ]; then
    pulumi config set --path "services.$2.canaryWeight" 0 --stack "$1"
  fi
  pulumi config set --path "${path}canaryWeight" 0 --stack "$1"
  pulumi config set --path "${path}activeColor" "$3" --stack "$1"
}

given() { # what give_all wrote stays
  trap - EXIT
  rm "$stack_file_before"
}

request() { # URL ARGUMENT…: sets status and headers, one a line
  if ! headers=$(curl --silent --show-error --max-time 30 --suppress-connect-headers --dump-header - --output /dev/null \
    "${curl_options[@]}" "$@" | tr -d '\r'); then
    fail "$1 gave no answer"
  fi
  status=$(awk '/^HTTP\// {code = $2} END {print code}' <<<"$headers")
}

header() { sed -n "s/^$1: *//Ip" <<<"$headers" | tail -1; }
