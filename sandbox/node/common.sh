# shellcheck shell=bash disable=SC2034
# Read by the node's other scripts: strict mode, names, addresses and places.
# The addresses and ports are those of sandbox/paths.py.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

node=sandbox             # the node's name
host_if=sandbox0         # this machine's end of the cable to the node
host_ip=10.250.0.1
node_ip=10.250.0.2
zone=eu-west-1a          # what it is in the EC2 API, for the controllers: in the first subnet of sandbox/aws/server.py
instance=i-0b17e9c5a3d24f680
webhook_port=9443        # of host_ip, and all that the node may reach there but for the next
aws_port=4566            # of host_ip: the AWS APIs, for pods
registry_port=5000
postgres_port=5432
metrics_port=4443
pod_cidr=10.244.0.0/24
service_cidr=10.96.0.0/16
cgroup=hueshift          # above all cgroups of its pods and builds, in every hierarchy
pause_image=sandbox.local/pause:1

die() { echo "$*" >&2; exit 1; }

open_state() { # open_state STATE_DIR: the places of one node's life
  [ -n "${1:-}" ] || die "usage: $(basename "$0") STATE_DIR"
  state=$(realpath -m "$1")
  cluster=$state/cluster
  case $state/ in
    /run/* | /var/lib/* | /var/log/* | /dev/shm/*) die "$state: the node sees files of its own there; choose another directory" ;;
  esac
  # a socket's path holds 107 bytes; /containerd.sock.ttrpc is the longest
  ((${#cluster} <= 85)) || die "$state: too long a path for the sockets in it; choose a shorter one"
}

unpacked() { # unpacked PROGRAM...: the packages' program, which this machine may lack, with its libraries
  local root=$cluster/packages
  env PATH="$root/usr/bin:$root/bin:$PATH" LD_LIBRARY_PATH="$(libraries "$root")" "$@"
}

libraries() { printf '%s:' "$1"/{usr/,}lib/*-linux-gnu; } # libraries ROOT

node_pid() { # node_pid STATE_DIR: the parent of that node's process 1, even where the directory was deleted
  local file words
  while read -r file; do
    words=$(tr '\0' ' ' 2>/dev/null <"$file") || continue
    if [[ $words == "unshare "*"/node.sh $1 "* ]]; then
      echo "${file//[!0-9]/}"
      return 0 # said, for without it a trap would return what failed before
    fi
  done < <(grep -lsaF node.sh /proc/[0-9]*/cmdline)
  return 1
}

running() { node_pid "$state" >/dev/null; }

rival() { # the state directory of another living node of this machine
  local owner
  owner=$(cat "/sys/class/net/$host_if/ifalias" 2>/dev/null) &&
    [ -n "$owner" ] && [ "$owner" != "$state" ] && node_pid "$owner" >/dev/null && echo "$owner"
}

end_node() { # ends the node, if it lives, and clears what it or a killed run left
  local pid child group
  while pid=$(node_pid "$state"); do
    child=$(cat "/proc/$pid/task/$pid/children" 2>/dev/null || true)
    # shellcheck disable=SC2086 # none, or one number
    kill -KILL ${child:-$pid} 2>/dev/null || true # with process 1 of the node the kernel ends all the others
    sleep 0.05
  done
  if ! rival >/dev/null; then
    # the kernel removes it a moment after the last process, or is kept from it by one that entered
    [ -z "$(cat "/sys/class/net/$host_if/ifalias" 2>/dev/null)" ] || unpacked ip link delete "$host_if" 2>/dev/null || true
    for group in /sys/fs/cgroup/{,*/}"$cgroup"; do
      [ ! -d "$group" ] || find "$group" -depth -type d -exec rmdir {} +
    done
  fi
  rm -rf "$cluster"
}
