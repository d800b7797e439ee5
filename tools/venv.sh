#!/usr/bin/env bash
# venv.sh
# The Python environment of this checkout, made once for each set of pins and
# kept in the build cache; `.venv` points at it. Prints its directory.
#
# HUESHIFT_VENV  deploy: what the program needs and no more, each package by its
#                hash (deploy.txt), for jobs that change a stack; the same in a
#                copy without the local cloud and its tests
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${HUESHIFT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/hueshift}
python=${PYTHON:-python3}

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
  { echo "venv.sh: $("$python" --version) is too old; Python 3.11 or newer is needed, name it with PYTHON=" >&2; exit 1; }

if [ "${HUESHIFT_VENV:-}" = deploy ] || [ ! -f "$root/sandbox/requirements.txt" ] || [ ! -f "$root/app/requirements.txt" ]; then
  what=(--require-hashes -r "$root/deploy.txt") pins=("$root/deploy.txt")
else
  what=(-r "$root/requirements-dev.txt")
  pins=("$root"/constraints.txt "$root"/requirements*.txt "$root"/{app,sandbox}/requirements.txt)
fi
venv=$cache/venv-$(
  { "$python" -c 'import sys; print(sys.version, sys.base_prefix)'; cat "${pins[@]}"; } | sha256sum | cut -c1-12
)
mkdir -p "$cache"
if [ ! -f "$venv/complete" ]; then
  exec 9>"$cache/.venv.lock"
  flock 9
  if [ ! -f "$venv/complete" ]; then
    rm -rf "$venv"
    "$python" -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --only-binary :all: "${what[@]}" >&2
    touch "$venv/complete"
  fi
fi
cmp -s "$root/tools/hueshift.sh" "$venv/bin/hueshift" || install -m 755 "$root/tools/hueshift.sh" "$venv/bin/hueshift"
ln -sfn "$venv" "$root/.venv"
echo "$venv"
