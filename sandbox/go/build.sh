#!/usr/bin/env bash
# build.sh [--missing] NAME...
# Builds the named programs from the Go modules beside this file, once for each
# set of pins, and prints the directory that holds each one's files. A folder
# with a `prepare.sh` is copied first, for what must be added to it or changed
# in its modules; what that script leaves in `beside/` is kept with the program.
# A build that was interrupted goes on with what Go has compiled. With --missing it
# prints the names that are not in the cache, and builds nothing.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${HUESHIFT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/hueshift}

pinned() { sed -n "s/^$1==//p" "$here/../../requirements.txt"; } # pinned DISTRIBUTION: the SDK's version
kubernetes=k8s.io/component-base/version

package() { # what to build
  case $1 in
    pulumi) echo github.com/pulumi/pulumi/pkg/v3/cmd/pulumi ;;
    language-host) echo github.com/pulumi/pulumi/sdk/v3/python/cmd/pulumi-language-python ;;
    vegeta) echo github.com/tsenart/vegeta/v12 ;;
    act) echo github.com/nektos/act ;;
    actionlint) echo github.com/rhysd/actionlint/cmd/actionlint ;;
    prometheus-operator) echo github.com/prometheus-operator/prometheus-operator/cmd/operator ;;
    aws-plugin | kubernetes-plugin | load-balancer-controller | external-secrets | kubenode | dns | pause) echo . ;;
    *) echo "build.sh: no tool is named $1" >&2; return 1 ;;
  esac
}

program() { # the name that the result gets
  case $1 in
    pulumi | language-host | actionlint | act) basename "$(package "$1")" ;;
    *-plugin) echo "pulumi-resource-${1%-plugin}" ;;
    *) echo "$1" ;;
  esac
}

flags() { # what the program is told of itself
  case $1 in
    pulumi | language-host) echo "-X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v$(pinned pulumi)" ;;
    kubernetes-plugin) echo "-X github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/version.Version=$(pinned pulumi-kubernetes)" ;;
    load-balancer-controller) echo "-X sigs.k8s.io/aws-load-balancer-controller/pkg/version.GitVersion=v3.2.2" ;;
    aws-plugin) echo "-X main.version=$(pinned pulumi-aws)" ;;
    prometheus-operator) echo "-X github.com/prometheus/common/version.Version=0.85.0" ;;
    kubenode) echo "-X $kubernetes.gitVersion=v1.34.2 -X $kubernetes.gitMajor=1 -X $kubernetes.gitMinor=34" ;;
  esac
}

place() { # place NAME: the folder that holds, or will hold, what the pins make
  echo "$cache/tools/$1-$({ go version; flags "$1"; find "$here/$1" "$here/modules.sh" -type f | sort | xargs cat; } | sha256sum | cut -c1-12)"
}

build() {
  local name=$1 target out work from
  target=$(package "$name")
  out=$(place "$name")
  if [ ! -d "$out" ]; then
    mkdir -p "$cache/tools"
    exec 9>"$cache/tools/.$name.lock"
    flock 9
  fi
  if [ ! -d "$out" ]; then
    rm -rf "$cache/tools/.$name".?????? # of a killed run
    work=$(mktemp -d -p "$cache/tools" ".$name.XXXXXX")
    from=$here/$name
    if [ -e "$from/prepare.sh" ]; then
      from=$work/from
      cp -r "$here/$name" "$from"
      # shellcheck source=/dev/null
      (cd "$from" && . "$here/modules.sh" && . ./prepare.sh "$(flags "$name")") >&2
    fi
    mkdir "$work/out"
    CGO_ENABLED=0 go build -C "$from" -v -trimpath -tags grpcnotrace -ldflags "-s -w $(flags "$name")" -o "$work/out/$(program "$name")" "$target" >&2
    if [ "$name" = language-host ]; then # the script with which the host starts a program, of the SDK's own version
      cp "$(go mod download -json "github.com/pulumi/pulumi/sdk/v3@v$(pinned pulumi)" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')/python/cmd/pulumi-language-python-exec" "$work/out"
      chmod +x "$work/out/pulumi-language-python-exec"
    fi
    [ ! -d "$from/beside" ] || cp -r "$from/beside/." "$work/out"
    mv "$work/out" "$out"
    rm -rf "$work"
  fi
  echo "$out"
}

for program in go jq; do
  [ -n "$(type -P "$program")" ] || { echo "build.sh: the program $program is missing; install it, then run this again" >&2; exit 1; }
done
if [ "${1:-}" = --missing ]; then
  for name in "${@:2}"; do [ -d "$(place "$name")" ] || echo "$name"; done
  exit
fi
for name in "$@"; do build "$name"; done
