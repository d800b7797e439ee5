# shellcheck shell=bash
# What the steps of the pipeline share. Sourced: goes to the repository's root, where every step runs.

cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit
PATH=$PATH:$PWD/.venv/bin

say() { echo "$*" >&2; }

warn() { # TEXT: a refusal that ends nothing yet; GitHub shows it on the page of the run
  [ -z "${GITHUB_ACTIONS:-}" ] || say "::error title=${0##*/}::${*//$'\n'/%0A}"
  say "${0##*/}: $*"
}

fail() {
  warn "$@"
  exit 1
}

usage() { sed -n '2,/^[^#]/s/^# \{0,1\}//p' "pipeline/${0##*/}"; }

takes() { # LEAST MOST ARGUMENT…: explains the step if asked, or if it is given fewer or more arguments
  local least=$1 most=$2
  shift 2
  case ${1:-} in -h | --help) usage && exit 0 ;; esac
  [ $# -ge "$least" ] && [ $# -le "$most" ] || { usage >&2 && exit 2; }
}

whole() { # COMMAND…: runs it so that a signal which ends the job reaches it, and waits until it has ended by itself
  local status=0 pid
  # A runner signals the job's own process alone. In a group of its own the command has no signal ignored.
  set -m
  "$@" </dev/null &
  pid=$!
  set +m
  # Its whole group, as Ctrl-C on a terminal does.
  # shellcheck disable=SC2064 # this command's
  trap "kill -INT -- -$pid 2>/dev/null" INT TERM
  wait "$pid" || status=$?
  while kill -0 "$pid" 2>/dev/null; do wait "$pid" || status=$?; done
  trap - INT TERM
  return $status
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
  whole "$@" >&2 || status=$?
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

registry_login() { # IMAGE or REGISTRY: where it is ECR
  [[ ! $1 =~ \.dkr\.ecr\.([a-z0-9-]+)\. ]] || aws ecr get-login-password --region "${BASH_REMATCH[1]}" |
    docker login --username AWS --password-stdin "${1%%/*}" >&2
}

stack_file() { echo "Pulumi.${1##*/}.yaml"; }
