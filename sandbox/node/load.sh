#!/usr/bin/env bash
# load.sh STATE_DIR <IMAGE.tar
# Gives the node an image without the registry, from an archive as image.sh or
# `docker save` makes it. Pods use it by its name, with any imagePullPolicy but Always.
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"
open_state "${1:-}"
running || die "no node runs for $state: run up.sh"
exec "$cluster/packages/usr/bin/ctr" --address "$cluster/containerd.sock" --namespace k8s.io images import -
