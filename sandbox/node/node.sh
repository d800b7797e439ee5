#!/usr/bin/env bash
# node.sh STATE_DIR KUBENODE DNS PAUSE
# Process 1 of the node, started by up.sh in namespaces of its own, with the
# directories of three built tools. It gives the node private /run, /var/lib,
# /var/log and /dev/shm, writes the configuration files and keeps every process
# running. When it ends, the kernel ends all of them.
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"
open_state "$1"
cd "$cluster"

# Taken to /run first: the cache may lie below a directory that the node covers,
# and PostgreSQL's user may not be able to read where it lies. Until /run is the
# node's own, `-n` keeps mount from taking notes in the machine's.
mkdir -p run
mount -n -t tmpfs -o mode=755 run run
mkdir -p run/packages run/kubenode run/dns run/pause run/lock run/postgresql
mount -n --bind packages run/packages
mount -n --bind "$2" run/kubenode
mount -n --bind "$3" run/dns
mount -n --rbind run /run
install -m 755 "$4/pause" /run/pause/pause
mount --bind var/lib /var/lib
mount --bind var/log /var/log
mount -t tmpfs shm /dev/shm # PostgreSQL's segments would outlive it in the machine's

root=/run/packages
export PATH=/run/kubenode:/run/dns:$root/usr/sbin:$root/usr/bin:$root/bin:$PATH
LD_LIBRARY_PATH=$(libraries "$root")
export LD_LIBRARY_PATH

for setting in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops; do
  install -D "/proc/sys/$setting" "/run/sys/$setting" # the kubelet changes this copy,
  mount --bind "/run/sys/$setting" "/proc/sys/$setting" # not the machine's setting
done
echo 1 >/proc/sys/net/ipv4/ip_forward
echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables

if [ -f /sys/fs/cgroup/cgroup.controllers ]; then # version 2, else 1
  sed 's/[^ ]*/+&/g' /sys/fs/cgroup/cgroup.controllers >/sys/fs/cgroup/cgroup.subtree_control
  mkdir -p "/sys/fs/cgroup/$cgroup"
else
  for hierarchy in /sys/fs/cgroup/*/; do mkdir -p "$hierarchy$cgroup"; done
fi

# All that leaves by the cable: answers to this machine, and calls to the webhook and to the AWS APIs.
nft -f - <<NFT
table inet cable {
  chain outbound {
    ct state established,related accept
    ip daddr $host_ip tcp dport { $webhook_port, $aws_port } accept
    reject
  }
  chain node { type filter hook output priority filter; oifname "eth0" jump outbound; }
  chain pods { type filter hook forward priority filter; oifname "eth0" jump outbound; }
}
NFT
ip link set lo up
until ip link show eth0 >/dev/null 2>&1; do # up.sh plugs it in, unless it was killed
  ((SECONDS < 10))
  sleep 0.02
done
ip link set eth0 addrgenmode none
ip address add "$node_ip/30" dev eth0
ip link set eth0 up

mkdir -p etc/cni
cat >etc/cni/10-bridge.conflist <<JSON
{"cniVersion": "0.4.0", "name": "$node", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "ranges": [[{"subnet": "$pod_cidr"}]],
            "routes": [{"dst": "0.0.0.0/0"}]}}]}
JSON

cat >etc/containerd.toml <<TOML
version = 2
[grpc]
  address = "$cluster/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "/var/lib/containerd/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "$pause_image"
  restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "$root/usr/lib/cni"
  conf_dir = "$cluster/etc/cni"
TOML

cat >etc/docker.json <<JSON
{"hosts": ["unix://$cluster/docker.sock"], "containerd": "$cluster/containerd.sock",
 "storage-driver": "overlay2", "features": {"buildkit": true}, "cgroup-parent": "/$cgroup/docker",
 "bridge": "none", "iptables": false, "ip6tables": false, "ip-forward": false, "ip-masq": false,
 "deprecated-key-path": "/var/lib/docker/key.json"}
JSON

cat >etc/registry.yaml <<YAML
version: 0.1
log: {level: warn, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: /var/lib/registry}, delete: {enabled: true}}
http: {addr: ":$registry_port", secret: sandbox}
YAML

cat >etc/Corefile <<CONF
. {
  errors
  cache
  kubernetes cluster.local {
    kubeconfig $cluster/etc/dns.kubeconfig
  }
}
CONF

: >etc/resolv.conf # pods ask the node's own DNS and no other
cat >etc/kubelet.yaml <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
providerID: aws:///$zone/$instance
address: $node_ip
containerRuntimeEndpoint: unix://$cluster/containerd.sock
cgroupDriver: cgroupfs
cgroupRoot: /$cgroup
failSwapOn: false
failCgroupV1: false
oomScoreAdj: 0
volumePluginDir: /var/lib/kubelet/volume-plugins
clusterDomain: cluster.local
clusterDNS: [$node_ip]
resolvConf: $cluster/etc/resolv.conf
tlsCertFile: $cluster/pki/kubelet-server.crt
tlsPrivateKeyFile: $cluster/pki/kubelet-server.key
authentication: {anonymous: {enabled: false}, x509: {clientCAFile: $cluster/pki/ca.crt}}
serializeImagePulls: false
registryPullQPS: 0
eventRecordQPS: 0
imageGCHighThresholdPercent: 100 # the pause image cannot be pulled again
evictionHard: {memory.available: 50Mi, nodefs.available: 1%, imagefs.available: 1%}
YAML

# Where the API server finds metrics-server, which is no pod.
cat >etc/metrics.yaml <<YAML
apiVersion: v1
kind: Service
metadata: {name: metrics-server, namespace: kube-system}
spec: {ports: [{port: 443, targetPort: $metrics_port}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: metrics-server, namespace: kube-system, labels: {kubernetes.io/service-name: metrics-server}}
addressType: IPv4
ports: [{port: $metrics_port}]
endpoints: [{addresses: [$node_ip]}]
---
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1beta1.metrics.k8s.io}
spec:
  {group: metrics.k8s.io, version: v1beta1, groupPriorityMinimum: 100, versionPriority: 100, caBundle: $(base64 -w0 pki/ca.crt),
   service: {name: metrics-server, namespace: kube-system}}
YAML

keep() { # keep NAME COMMAND...: run it, with its own log, and again whenever it ends
  while :; do
    "${@:2}" || echo "$1 ended with $?"
    sleep 1
  done >>"log/$1.log" 2>&1
}
kube() { keep "$1" kubenode "$@"; }

postgres() { # with its data on first use; it refuses to run as root
  local bin=$root/usr/lib/postgresql/15/bin data=/var/lib/postgresql
  local as=(setpriv --reuid nobody --regid nogroup --clear-groups)
  if [ ! -d "$data" ]; then
    install -d -o nobody -g nogroup -m 700 "$data"
    (
      cd "$data"
      "${as[@]}" "$bin/initdb" --no-sync --pgdata "$data" --encoding UTF8 --locale C.UTF-8 \
        --username postgres --auth trust
      echo "host all all 0.0.0.0/0 scram-sha-256" >"$data/pg_hba.conf"
      "${as[@]}" "$bin/postgres" --single -D "$data" postgres <<SQL
ALTER ROLE postgres PASSWORD 'not-a-secret'
CREATE ROLE shop_migrate LOGIN PASSWORD 'not-a-secret'
CREATE ROLE shop LOGIN PASSWORD 'not-a-secret'
CREATE DATABASE shop OWNER shop_migrate
SQL
      # one role changes the schema, the other only uses what the first made
      "${as[@]}" "$bin/postgres" --single -D "$data" shop <<SQL
ALTER DEFAULT PRIVILEGES FOR ROLE shop_migrate GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO shop
ALTER DEFAULT PRIVILEGES FOR ROLE shop_migrate GRANT USAGE, SELECT ON SEQUENCES TO shop
SQL
    ) >>log/postgres.log 2>&1
  fi
  keep postgres env -C "$data" "${as[@]}" "$bin/postgres" -D "$data" -p "$postgres_port" \
    -c listen_addresses="$node_ip" -c unix_socket_directories= -c jit=off -c fsync=off -c shared_buffers=32MB
}

kube etcd --data-dir /var/lib/etcd --unsafe-no-fsync \
  --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
  --listen-peer-urls http://127.0.0.1:2380 &
kube kube-apiserver --etcd-servers http://127.0.0.1:2379 \
  --bind-address "$node_ip" --service-cluster-ip-range "$service_cidr" \
  --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction --client-ca-file pki/ca.crt \
  --tls-cert-file pki/apiserver.crt --tls-private-key-file pki/apiserver.key \
  --kubelet-preferred-address-types InternalIP --kubelet-certificate-authority pki/ca.crt \
  --kubelet-client-certificate pki/apiserver-kubelet.crt --kubelet-client-key pki/apiserver-kubelet.key \
  --requestheader-client-ca-file pki/front-proxy-ca.crt --requestheader-allowed-names front-proxy \
  --requestheader-username-headers X-Remote-User --requestheader-group-headers X-Remote-Group \
  --requestheader-extra-headers-prefix X-Remote-Extra- \
  --proxy-client-cert-file pki/front-proxy.crt --proxy-client-key-file pki/front-proxy.key --enable-aggregator-routing \
  --service-account-issuer https://kubernetes.default.svc \
  --service-account-signing-key-file pki/service-account.key --service-account-key-file pki/service-account.crt &
keep containerd containerd --config etc/containerd.toml &
keep registry docker-registry serve etc/registry.yaml &

"$here/image.sh" "$pause_image" /run/pause /run/pause.tar /pause
until ctr -a containerd.sock version >/dev/null 2>&1; do sleep 0.1; done
ctr -a containerd.sock --namespace k8s.io images import /run/pause.tar >>log/node.log

kube kubelet --config etc/kubelet.yaml --kubeconfig etc/kubelet.kubeconfig \
  --hostname-override "$node" --node-ip "$node_ip" \
  --node-labels "topology.kubernetes.io/region=${zone%?},topology.kubernetes.io/zone=$zone" &
# without a rival an election only delays a restart
kube kube-controller-manager --kubeconfig etc/kube-controller-manager.kubeconfig --leader-elect=false \
  --use-service-account-credentials --root-ca-file pki/ca.crt \
  --service-account-private-key-file pki/service-account.key \
  --cluster-signing-cert-file pki/ca.crt --cluster-signing-key-file pki/ca.key \
  --flex-volume-plugin-dir /var/lib/kubelet/volume-plugins \
  --horizontal-pod-autoscaler-sync-period 2s --kube-api-qps 100 --kube-api-burst 200 &
kube kube-scheduler --kubeconfig etc/kube-scheduler.kubeconfig --leader-elect=false &
kube network-policies --kubeconfig etc/network-policies.kubeconfig --resolver "$node_ip" &
kube metrics-server --kubeconfig etc/metrics-server.kubeconfig --bind-address "$node_ip" --secure-port "$metrics_port" \
  --tls-cert-file pki/metrics-serving.crt --tls-private-key-file pki/metrics-serving.key &
keep dns dns -conf etc/Corefile &
kube kube-proxy --kubeconfig etc/kube-proxy.kubeconfig --hostname-override "$node" \
  --proxy-mode nftables --cluster-cidr "$pod_cidr" --iptables-min-sync-period 100ms \
  --conntrack-max-per-core 0 --conntrack-tcp-timeout-established 0 --conntrack-tcp-timeout-close-wait 0 &
keep docker dockerd --config-file etc/docker.json &
postgres &
# registered before it answers, it would fail every discovery until the API server tries again
until (: <"/dev/tcp/$node_ip/$metrics_port") 2>/dev/null; do sleep 0.1; done
until kubenode kubectl --kubeconfig etc/admin.kubeconfig apply -f etc/metrics.yaml >>log/node.log 2>&1; do sleep 0.5; done
wait
