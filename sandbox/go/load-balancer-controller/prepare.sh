# shellcheck shell=bash
# Its own module; only its webhook's address can be chosen, for this machine serves it to the node alone.
copy sigs.k8s.io/aws-load-balancer-controller@v0.0.0-20260423195125-93ff3b5fdaad h1:um5R2nbXcfFJoHX8WZJZU+1uwuofXwR0V9FCF4sdK7g= module
mv module/* .
sed -i 's/Port: *rtCfg.WebhookBindPort,/Host: os.Getenv("WEBHOOK_BIND_HOST"), &/' pkg/config/runtime_config.go
grep -q WEBHOOK_BIND_HOST pkg/config/runtime_config.go
mkdir beside
cp -r config/crd/bases beside/crds
cp config/webhook/manifests.yaml beside/webhooks.yaml
