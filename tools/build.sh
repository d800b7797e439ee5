#!/usr/bin/env bash
# build.sh NAME...
# Builds the named tools from the Go modules beside this file, once for each
# set of pins, and prints the directory that holds each one's programs.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${HUESHIFT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/hueshift}

pulumi_version=v$(sed -n "s/^pulumi==//p" "$here/../requirements.txt")
kubernetes=k8s.io/component-base/version

package() { # what to build, and how, for each tool
  case $1 in
    pulumi) echo github.com/pulumi/pulumi/pkg/v3/cmd/pulumi ;;
    language-host) echo github.com/pulumi/pulumi/sdk/v3/python/cmd/pulumi-language-python ;;
    vegeta) echo github.com/tsenart/vegeta/v12 ;;
    actionlint) echo github.com/rhysd/actionlint/cmd/actionlint ;;
    kubenode | dns | pause) echo . ;;
    *) echo "build.sh: no tool is named $1" >&2; return 1 ;;
  esac
}

flags() {
  case $1 in
    pulumi | language-host) echo "-X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=$pulumi_version" ;;
    kubenode) echo "-X $kubernetes.gitVersion=v1.34.2 -X $kubernetes.gitMajor=1 -X $kubernetes.gitMinor=34" ;;
  esac
}

build() {
  local name=$1 target out program work
  target=$(package "$name")
  out=$cache/tools/$name-$(
    { go version; flags "$name"; find "$here/$name" -type f | sort | xargs cat; } | sha256sum | cut -c1-12
  )
  if [ ! -d "$out" ]; then
    mkdir -p "$cache/tools"
    exec 9>"$cache/tools/.$name.lock"
    flock 9
  fi
  if [ ! -d "$out" ]; then
    work=$(mktemp -d -p "$cache/tools" ".$name.XXXXXX")
    program=$(basename "$target")
    [ "$target" != . ] || program=$name
    [ "$name" != vegeta ] || program=vegeta
    CGO_ENABLED=0 go build -C "$here/$name" -trimpath -tags grpcnotrace -ldflags "-s -w $(flags "$name")" -o "$work/$program" "$target" >&2
    if [ "$name" = language-host ]; then # the script with which the host starts a program, of the SDK's own version
      cp "$(go mod download -json "github.com/pulumi/pulumi/sdk/v3@$pulumi_version" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')/python/cmd/pulumi-language-python-exec" "$work"
      chmod +x "$work/pulumi-language-python-exec"
    fi
    mv "$work" "$out"
  fi
  echo "$out"
}

for name in "$@"; do build "$name"; done
