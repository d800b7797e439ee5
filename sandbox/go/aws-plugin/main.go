// Command pulumi-resource-aws is the Terraform AWS provider through Pulumi's bridge, which is what the
// official plugin is, for the types that hueshift uses and no other: a new one is a line in a table here.
package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"os"
	"strings"

	"github.com/hashicorp/terraform-provider-aws/shim"
	pftfbridge "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/pf/tfbridge"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfgen"
	tfshim "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfshim"
	shimv2 "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfshim/sdk-v2"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/x/muxer"
	"github.com/pulumi/pulumi-terraform-bridge/v3/unstable/metadata"
	"github.com/pulumi/pulumi/sdk/v3/go/common/diag"
	"github.com/pulumi/pulumi/sdk/v3/go/common/diag/colors"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/contract"
)

// version is the SDK's, entered by the build.
var version string

// Both are made by `generate`, of this very program.

//go:embed schema.json
var schema []byte

//go:embed metadata.json
var bridgeMetadata []byte

// resources of the provider, each with its module and type in the SDK.
var resources = map[string]string{
	"aws_acm_certificate":                                "acm/Certificate",
	"aws_acm_certificate_validation":                     "acm/CertificateValidation",
	"aws_appconfig_application":                          "appconfig/Application",
	"aws_appconfig_configuration_profile":                "appconfig/ConfigurationProfile",
	"aws_appconfig_deployment_strategy":                  "appconfig/DeploymentStrategy",
	"aws_appconfig_environment":                          "appconfig/Environment",
	"aws_cloudwatch_composite_alarm":                     "cloudwatch/CompositeAlarm",
	"aws_cloudwatch_dashboard":                           "cloudwatch/Dashboard",
	"aws_cloudwatch_event_rule":                          "cloudwatch/EventRule",
	"aws_cloudwatch_event_target":                        "cloudwatch/EventTarget",
	"aws_cloudwatch_log_group":                           "cloudwatch/LogGroup",
	"aws_cloudwatch_log_metric_filter":                   "cloudwatch/LogMetricFilter",
	"aws_cloudwatch_metric_alarm":                        "cloudwatch/MetricAlarm",
	"aws_cloudwatch_query_definition":                    "cloudwatch/QueryDefinition",
	"aws_ecr_lifecycle_policy":                           "ecr/LifecyclePolicy",
	"aws_ecr_repository":                                 "ecr/Repository",
	"aws_ecr_repository_policy":                          "ecr/RepositoryPolicy",
	"aws_eks_pod_identity_association":                   "eks/PodIdentityAssociation",
	"aws_iam_role":                                       "iam/Role",
	"aws_iam_role_policy_attachment":                     "iam/RolePolicyAttachment",
	"aws_kms_alias":                                      "kms/Alias",
	"aws_kms_key":                                        "kms/Key",
	"aws_lb":                                             "lb/LoadBalancer",
	"aws_lb_listener":                                    "lb/Listener",
	"aws_lb_listener_certificate":                        "lb/ListenerCertificate",
	"aws_lb_listener_rule":                               "lb/ListenerRule",
	"aws_lb_target_group":                                "lb/TargetGroup",
	"aws_route53_health_check":                           "route53/HealthCheck",
	"aws_route53_record":                                 "route53/Record",
	"aws_s3_bucket":                                      "s3/Bucket",
	"aws_s3_bucket_lifecycle_configuration":              "s3/BucketLifecycleConfiguration",
	"aws_s3_bucket_ownership_controls":                   "s3/BucketOwnershipControls",
	"aws_s3_bucket_policy":                               "s3/BucketPolicy",
	"aws_s3_bucket_public_access_block":                  "s3/BucketPublicAccessBlock",
	"aws_s3_bucket_server_side_encryption_configuration": "s3/BucketServerSideEncryptionConfiguration",
	"aws_secretsmanager_secret":                          "secretsmanager/Secret",
	"aws_secretsmanager_secret_policy":                   "secretsmanager/SecretPolicy",
	"aws_secretsmanager_secret_rotation":                 "secretsmanager/SecretRotation",
	"aws_security_group":                                 "ec2/SecurityGroup",
	"aws_sfn_state_machine":                              "sfn/StateMachine",
	"aws_sns_topic":                                      "sns/Topic",
	"aws_sns_topic_policy":                               "sns/TopicPolicy",
	"aws_sns_topic_subscription":                         "sns/TopicSubscription",
	"aws_vpc_security_group_egress_rule":                 "vpc/SecurityGroupEgressRule",
	"aws_vpc_security_group_ingress_rule":                "vpc/SecurityGroupIngressRule",
	"aws_wafv2_web_acl":                                  "wafv2/WebAcl",
	"aws_wafv2_web_acl_association":                      "wafv2/WebAclAssociation",
}

var functions = map[string]string{
	"aws_caller_identity":         "index/getCallerIdentity",
	"aws_ecr_authorization_token": "ecr/getAuthorizationToken",
	"aws_lb":                      "lb/getLoadBalancer",
	"aws_lbs":                     "lb/getLbs",
	"aws_region":                  "index/getRegion",
	"aws_route53_zone":            "route53/getZone",
	"aws_subnet":                  "ec2/getSubnet",
	"aws_subnets":                 "ec2/getSubnets",
	"aws_vpc":                     "ec2/getVpc",
}

// autonamed resources get a random suffix where no name is given; the number is the longest name.
var autonamed = map[string]int{
	"aws_cloudwatch_metric_alarm": 255, "aws_ecr_repository": 256, "aws_iam_role": 64, "aws_kms_alias": 255, "aws_lb": 32,
	"aws_lb_target_group": 32, "aws_s3_bucket": 63, "aws_secretsmanager_secret": 255, "aws_security_group": 255, "aws_sns_topic": 256, "aws_wafv2_web_acl": 128,
}

// renamed arguments are those that the SDK spells otherwise than the bridge would.
var renamed = map[string]map[string]string{
	"aws_route53_record": {
		"alias": "aliases", "failover_routing_policy": "failoverRoutingPolicies", "geolocation_routing_policy": "geolocationRoutingPolicies",
		"latency_routing_policy": "latencyRoutingPolicies", "weighted_routing_policy": "weightedRoutingPolicies",
	},
	"aws_security_group":         {"ingress": "ingress", "egress": "egress"},
	"aws_sns_topic_subscription": {"topic_arn": "topic"},
}

// single is a block that the provider computes as a list of one, and the SDK has as the one.
var single = map[string]string{"aws_lb": "access_logs"}

// token returns the module of a place such as lb/Listener, as tokens spell it, and the name of the type.
func token(place string) (string, string) {
	module, name, _ := strings.Cut(place, "/")
	return "aws:" + module + "/" + strings.ToLower(name[:1]) + name[1:], name
}

func fields(name string, upstream tfshim.Resource) map[string]*tfbridge.SchemaInfo {
	all := map[string]*tfbridge.SchemaInfo{}
	for _, computed := range []string{"tags_all", "enable_prefix_for_ipv6_source_nat"} { // no inputs in the SDK
		if _, ok := upstream.Schema().GetOk(computed); ok {
			all[computed] = &tfbridge.SchemaInfo{MarkAsComputedOnly: tfbridge.True()}
		}
	}
	for argument, other := range renamed[name] {
		all[argument] = &tfbridge.SchemaInfo{Name: other}
		if name == "aws_route53_record" { // at most one of each, and a list all the same
			all[argument].MaxItemsOne = tfbridge.False()
		}
	}
	if size, ok := autonamed[name]; ok {
		argument, property := "name", "name"
		switch name {
		case "aws_cloudwatch_metric_alarm":
			argument = "alarm_name"
		case "aws_s3_bucket":
			argument, property = "bucket", "bucket"
		}
		all[argument] = tfbridge.AutoName(property, size, "-")
	}
	return all
}

func provider(ctx context.Context) tfbridge.ProviderInfo {
	sdk, framework, err := shim.New(ctx)
	contract.AssertNoErrorf(err, "provider")
	upstream := pftfbridge.MuxShimWithPF(ctx, shimv2.NewProvider(sdk), framework)
	info := tfbridge.ProviderInfo{
		P:              upstream,
		Name:           "aws",
		ResourcePrefix: "aws",
		Version:        version,
		GitHubOrg:      "hashicorp",
		MetadataInfo:   tfbridge.NewProviderMetadata(bridgeMetadata),
		Resources:      map[string]*tfbridge.ResourceInfo{},
		DataSources:    map[string]*tfbridge.DataSourceInfo{},
		Config: map[string]*tfbridge.SchemaInfo{
			"region":                      {Type: "string"},
			"skip_credentials_validation": {Default: &tfbridge.DefaultInfo{Value: false}},
			"skip_metadata_api_check":     {Type: "boolean", Default: &tfbridge.DefaultInfo{Value: true}},
		},
	}
	for name, place := range resources {
		module, kind := token(place)
		info.Resources[name] = &tfbridge.ResourceInfo{
			Tok: tokens.Type(module + ":" + kind), Fields: fields(name, upstream.ResourcesMap().Get(name)), Docs: &tfbridge.DocInfo{AllowMissing: true},
		}
	}
	for name, place := range functions {
		module, kind := token(place)
		one := map[string]*tfbridge.SchemaInfo{}
		if block, ok := single[name]; ok {
			one[block] = &tfbridge.SchemaInfo{MaxItemsOne: tfbridge.True()}
		}
		info.DataSources[name] = &tfbridge.DataSourceInfo{
			Tok: tokens.ModuleMember(module + ":" + kind), Fields: one, Docs: &tfbridge.DocInfo{AllowMissing: true},
		}
	}
	upstream.ResourcesMap().Range(func(name string, _ tfshim.Resource) bool {
		if _, ok := resources[name]; !ok {
			info.IgnoreMappings = append(info.IgnoreMappings, name)
		}
		return true
	})
	upstream.DataSourcesMap().Range(func(name string, _ tfshim.Resource) bool {
		if _, ok := functions[name]; !ok {
			info.IgnoreMappings = append(info.IgnoreMappings, name)
		}
		return true
	})
	return info
}

// generate writes what this program embeds.
func generate(info tfbridge.ProviderInfo) {
	dispatch, err := info.P.(interface {
		ResolveDispatch(*tfbridge.ProviderInfo) (muxer.DispatchTable, error)
	}).ResolveDispatch(&info)
	contract.AssertNoErrorf(err, "dispatch")
	contract.AssertNoErrorf(metadata.Set(info.GetMetadata(), "mux", dispatch), "mux")
	made, err := tfgen.GenerateSchemaWithOptions(tfgen.GenerateSchemaOptions{
		ProviderInfo:    info,
		DiagnosticsSink: diag.DefaultSink(os.Stderr, os.Stderr, diag.FormatOptions{Color: colors.Never}),
		XInMemoryDocs:   true,
	})
	contract.AssertNoErrorf(err, "schema")
	made.PackageSpec.Version = version
	text, err := json.Marshal(made.PackageSpec)
	contract.AssertNoErrorf(err, "JSON")
	contract.AssertNoErrorf(os.WriteFile("schema.json", text, 0o644), "schema.json")
	text = (*metadata.Data)(info.GetMetadata()).Marshal()
	contract.AssertNoErrorf(os.WriteFile("metadata.json", text, 0o644), "metadata.json")
}

func main() {
	ctx := context.Background()
	info := provider(ctx)
	if len(os.Args) > 1 && os.Args[1] == "generate" {
		generate(info)
		return
	}
	pftfbridge.MainWithMuxer(ctx, "aws", info, schema)
}
