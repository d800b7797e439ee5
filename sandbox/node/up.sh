#!/usr/bin/env bash
# up.sh STATE_DIR | --check
# Brings up a single-node Kubernetes with real pods, a Docker daemon, an image
# registry and PostgreSQL, from the Go module proxy and Debian packages alone,
# and waits until all of them answer. The node lives in namespaces of its own:
# it listens on nothing of this machine, reaches of it one port, and ends with
# one process. Run again at will: a living node is left as it is, a dead one is
# cleared away and a fresh one started. Needs root.
# --check says in one line, with exit code 1, why this machine cannot run a node.
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"

unfit() { # unfit REASON
  die "this machine cannot run the local Kubernetes node: $1. Give any cluster's kubeconfig instead, kind's for example: HUESHIFT_KUBECONFIG=FILE"
}

check() {
  local controller
  [ "$(uname -s)" = Linux ] || unfit "it is not Linux"
  ((EUID == 0)) || unfit "root is needed"
  grep -qs '^VERSION_CODENAME=bookworm' /etc/os-release || unfit "its packages are not those of Debian 12"
  for program in apt-get dpkg flock go mount nsenter setpriv setsid unshare; do
    [ -n "$(type -P "$program")" ] || unfit "the program $program is missing"
  done
  modprobe -qa br_netfilter overlay veth 2>/dev/null || true # where they are modules
  grep -qw overlay /proc/filesystems || unfit "its kernel has no overlayfs"
  [ -e /proc/sys/net/bridge ] || unfit "its kernel has no br_netfilter"
  if [ -f /sys/fs/cgroup/cgroup.controllers ]; then # version 2, else 1
    [ -w /sys/fs/cgroup/cgroup.subtree_control ] || unfit "its cgroups cannot be written"
  else
    for controller in cpu cpuset devices memory pids; do
      [ -w "/sys/fs/cgroup/$controller" ] || unfit "no cgroup for $controller can be written"
    done
  fi
  unshare --net --mount --pid --ipc --uts --fork --mount-proc true 2>/dev/null ||
    unfit "it may not create namespaces"
}

if [ "${1:-}" = --check ]; then
  check
  exit
fi
open_state "${1:-}"
began=$EPOCHREALTIME
say() { # say WHAT: one step done, and when
  local now=${EPOCHREALTIME/./}
  printf '%6.1f s  %s\n' "$(((now - ${began/./}) / 100000))e-1" "$1"
}

certificate() { # certificate NAME SUBJECT [OPENSSL FLAG...]: a key and its certificate
  unpacked openssl req -x509 -nodes -days 365 -config <(printf '[req]\ndistinguished_name=dn\n[dn]\n') \
    -newkey ec -pkeyopt ec_paramgen_curve:P-256 \
    -keyout "pki/$1.key" -out "pki/$1.crt" -subj "$2" "${@:3}" 2>>log/openssl.log
}

authority() { certificate "$1" "/CN=sandbox-$1" -addext basicConstraints=critical,CA:TRUE -addext keyUsage=keyCertSign; }

issue() { # issue NAME SUBJECT [OPENSSL FLAG...]: the same, signed by the cluster's CA or that of AUTHORITY
  local ca=${AUTHORITY:-ca}
  certificate "$@" -CA "pki/$ca.crt" -CAkey "pki/$ca.key" -addext basicConstraints=critical,CA:FALSE
}

kubeconfig() { # kubeconfig NAME SUBJECT: the credentials of one client
  issue "$1" "$2" -addext extendedKeyUsage=clientAuth
  cat >"etc/$1.kubeconfig" <<YAML
apiVersion: v1
kind: Config
current-context: $node
contexts: [{name: $node, context: {cluster: $node, user: $1}}]
clusters:
- name: $node
  cluster:
    server: https://$node_ip:6443
    certificate-authority-data: $(base64 -w0 pki/ca.crt)
users:
- name: $1
  user:
    client-certificate-data: $(base64 -w0 "pki/$1.crt")
    client-key-data: $(base64 -w0 "pki/$1.key")
YAML
}

credentials() {
  umask 077
  authority ca
  authority front-proxy-ca
  certificate service-account /CN=service-accounts
  issue apiserver /CN=kube-apiserver -addext extendedKeyUsage=serverAuth \
    -addext "subjectAltName=DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,IP:$node_ip,IP:${service_cidr%.*}.1"
  issue kubelet-server "/CN=$node" -addext extendedKeyUsage=serverAuth -addext "subjectAltName=DNS:$node,IP:$node_ip"
  issue apiserver-kubelet /O=system:masters/CN=kube-apiserver-kubelet -addext extendedKeyUsage=clientAuth
  AUTHORITY=front-proxy-ca issue front-proxy /CN=front-proxy -addext extendedKeyUsage=clientAuth
  issue metrics-serving /CN=metrics-server -addext extendedKeyUsage=serverAuth \
    -addext subjectAltName=DNS:metrics-server.kube-system.svc
  kubeconfig admin /O=system:masters/CN=admin
  kubeconfig dns /O=system:masters/CN=dns
  kubeconfig kube-controller-manager /CN=system:kube-controller-manager
  kubeconfig kube-proxy /CN=system:kube-proxy
  kubeconfig kube-scheduler /CN=system:kube-scheduler
  kubeconfig metrics-server /O=system:masters/CN=metrics-server
  kubeconfig network-policies /O=system:masters/CN=network-policies
  kubeconfig kubelet "/O=system:nodes/CN=system:node:$node"
  umask 022
}

program() { # program NAME TEXT: a script in the directory that people put on their PATH
  mkdir -p "$state/../bin"
  printf '#!/bin/sh\n%s\n' "$2" >"$state/../bin/.$1"
  chmod +x "$state/../bin/.$1"
  mv "$state/../bin/.$1" "$state/../bin/$1"
}

start() {
  local pid child network
  [ ! -d "$cluster" ] || say "clearing what an ended node left; its objects and images are gone"
  end_node
  for _ in {1..40}; do # the kernel takes a moment to remove a dead node's
    [ -e "/sys/class/net/$host_if" ] || break
    sleep 0.05
  done
  [ ! -e "/sys/class/net/$host_if" ] || die "a network interface $host_if is there that is none of ours"

  mkdir -p "$cluster"/{etc,log,pki,var/lib,var/log}
  cd "$cluster"
  ln -s "$root" packages
  credentials
  say "certificates made"

  setsid unshare --net --mount --pid --ipc --uts --fork --kill-child --mount-proc \
    env -i PATH="$PATH" HOME=/run "$here/node.sh" "$state" "$kubenode" "$dns" "$pause" </dev/null >>log/node.log 2>&1 9>&- &
  pid=$!
  trap end_node EXIT # a node without its cable is of no use
  echo "$pid" >node.pid
  until child=$(cat "/proc/$pid/task/$pid/children") && [ -n "$child" ]; do sleep 0.02; done
  unpacked ip link add "$host_if" type veth peer name eth0 netns "${child% }"
  unpacked ip link set "$host_if" alias "$state" addrgenmode none
  unpacked ip address add "$host_ip/30" dev "$host_if"
  unpacked ip link set "$host_if" up
  for network in "$pod_cidr" "$service_cidr"; do
    unpacked ip route add "$network" via "$node_ip" 2>/dev/null || die "this machine already has a route to $network, which the node needs"
  done
  touch plugged
  trap - EXIT
  say "node started"
}

kubectl() { "$state/../bin/kubectl" --kubeconfig "$cluster/etc/admin.kubeconfig" --request-timeout 2s "$@"; }
api() { kubectl get --raw /readyz; }
ready() {
  [ "$(kubectl get node "$node" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}')" = True ] &&
    kubectl get serviceaccount default
}
metrics() { kubectl get --raw /apis/metrics.k8s.io/v1beta1; }
answers() { (: <"/dev/tcp/$node_ip/$1"); }
docker() { "$cluster/packages/usr/bin/docker" -H "unix://$cluster/docker.sock" version; }

await() { # await WHAT COMMAND...
  until "${@:2}" >/dev/null 2>&1; do
    running || [ -n "${kubenode:-}" ] || exec "$0" "$state" # found dying: this one was not started here
    running || die "the node ended; see $cluster/log"
    ((SECONDS < limit)) || die "$1: not so after three minutes; see $cluster/log"
    sleep 0.1
  done
  say "$1"
}

! owner=$(rival) ||
  die "a node of $owner runs on this machine, which has room for one: end it with $here/down.sh $owner"
mkdir -p "$state"
exec 9<"$state" # one at a time
flock 9
if ! running || [ ! -e "$cluster/plugged" ]; then
  check
  root=$("$here/packages.sh" node)
  say "Debian packages unpacked"
  kubenode=$("$here/../go/build.sh" kubenode)
  dns=$("$here/../go/build.sh" dns)
  pause=$("$here/../go/build.sh" pause)
  say "Kubernetes built"
  # neither writes to the home directory, and no proxy stands between
  program kubectl "export KUBECACHEDIR=$cluster/kubectl NO_PROXY=\$NO_PROXY,$node_ip
exec $kubenode/kubenode kubectl \"\$@\""
  program docker "export DOCKER_CONFIG=$cluster/docker
exec $root/usr/bin/docker \"\$@\""
  start
fi
limit=$((SECONDS + 180)) # from here: what was built before may have taken longer
await "API server answers" api
await "node ready" ready
await "cluster DNS answers" answers 53
await "registry answers" answers "$registry_port"
await "Docker daemon answers" docker
await "PostgreSQL answers" answers "$postgres_port"
await "resource metrics served" metrics
echo "ready: export KUBECONFIG=$cluster/etc/admin.kubeconfig"
