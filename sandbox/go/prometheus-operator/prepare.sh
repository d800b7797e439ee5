# shellcheck shell=bash
# The Prometheus that this operator runs by default, and promtool: built from the same modules, with no discovery but
# that of Kubernetes, for the clients of twenty clouds would take longer than all the rest, and for the operator's client-go.
copy github.com/prometheus/prometheus@v0.305.0 h1:UO/LsM32/E9yBDtvQj8tN+WwhbyWKR10lO35vmFLx0U= module
printf 'package plugins\n\nimport _ "github.com/prometheus/prometheus/discovery/kubernetes"\n' >module/plugins/plugins.go
sed -i 's/DefaultWatchErrorHandler(r,/DefaultWatchErrorHandler(context.Background(), r,/' module/discovery/kubernetes/kubernetes.go
mkdir -p beside/crds
CGO_ENABLED=0 go build -v -trimpath -tags grpcnotrace -ldflags "-s -w -X github.com/prometheus/common/version.Version=$(cat module/VERSION)" \
  -o beside/ github.com/prometheus/prometheus/cmd/{prometheus,promtool}
# The kinds without which the operator's controller for Prometheus does not start.
from=$(module github.com/prometheus-operator/prometheus-operator)/example/prometheus-operator-crd
cp "$from"/*_{podmonitors,probes,prometheuses,prometheusrules,servicemonitors}.yaml beside/crds
