# shellcheck shell=bash
# The two files that main.go embeds, made as the module's own generate.go makes them.
from=$(module github.com/pulumi/pulumi-kubernetes/provider/v4)/cmd/pulumi-resource-kubernetes
jq -c --arg version "${1##*=}" '.version = $version' "$from/schema.json" >schema.json
jq -c . "$from/terraform-mapping.json" >terraform-mapping.json
