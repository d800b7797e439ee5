# shellcheck shell=bash
# Read by build.sh before a prepare.sh: Go modules, to copy from or to change in a copy.

module() { # module PATH: the folder of a module at the version that the go.mod here requires
  go mod download "$1" && go list -m -f '{{.Dir}}' "$1"
}

copy() { # copy PATH@VERSION SUM FOLDER: the module, checked against its sum in Go's checksum database, to be changed
  local answer
  answer=$(go mod download -json "$1")
  [ "$(jq -r .Sum <<<"$answer")" = "$2" ] || { echo "build.sh: $1 has the sum $(jq -r .Sum <<<"$answer"), not $2" >&2; return 1; }
  cp -r "$(jq -r .Dir <<<"$answer")" "$3"
  chmod -R u+w "$3"
}
