#!/usr/bin/env bash
# down.sh STATE_DIR
# Ends the node and removes all it held; keeps the cache of built and unpacked
# programs, so that the next up.sh takes seconds. Run again at will.
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"
open_state "${1:-}"
[ -d "$state" ] || running || exit 0
mkdir -p "$state"
exec 9<"$state"
flock 9
end_node
rm -f "$(dirname "$state")/bin/"{kubectl,docker}
rmdir --ignore-fail-on-non-empty "$(dirname "$state")/bin" 2>/dev/null || true
rm -rf "$state"
