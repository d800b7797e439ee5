package main

import (
	"errors"
	"time"

	"github.com/spf13/cobra"
	core "k8s.io/api/core/v1"
	"k8s.io/apiserver/pkg/endpoints/openapi"
	apiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/options"
	"k8s.io/apiserver/pkg/util/compatibility"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/metrics-server/pkg/api"
	generated "sigs.k8s.io/metrics-server/pkg/api/generated/openapi"
	"sigs.k8s.io/metrics-server/pkg/scraper/client"
	"sigs.k8s.io/metrics-server/pkg/server"
)

const (
	resolution  = 10 * time.Second // the shortest that metrics-server takes
	kubeletPort = 10250
)

// metricsServer is metrics-server over the libraries that the other components
// share; its own command needs the apiserver library of an earlier Kubernetes.
func metricsServer() *cobra.Command {
	var kubeconfig string
	serving := options.NewSecureServingOptions().WithLoopback()
	command := &cobra.Command{
		Use:          "metrics-server",
		SilenceUsage: true,
		RunE: func(command *cobra.Command, _ []string) error {
			if err := errors.Join(serving.Validate()...); err != nil {
				return err
			}
			config, err := metricsConfig(serving, kubeconfig)
			if err != nil {
				return err
			}
			complete, err := config.Complete()
			if err != nil {
				return err
			}
			return complete.RunUntil(command.Context().Done())
		},
	}
	command.Flags().StringVar(&kubeconfig, "kubeconfig", "", "for the API server, and with the same credentials for the kubelet")
	serving.AddFlags(command.Flags())
	return command
}

func metricsConfig(serving *options.SecureServingOptionsWithLoopback, kubeconfig string) (*server.Config, error) {
	credentials, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	credentials.ContentType = "application/vnd.kubernetes.protobuf"

	generic := apiserver.NewConfig(api.Codecs)
	generic.EffectiveVersion = compatibility.DefaultBuildEffectiveVersion()
	names := openapi.NewDefinitionNamer(api.Scheme)
	generic.OpenAPIConfig = apiserver.DefaultOpenAPIConfig(generated.GetOpenAPIDefinitions, names)
	generic.OpenAPIV3Config = apiserver.DefaultOpenAPIV3Config(generated.GetOpenAPIDefinitions, names)
	if err := serving.ApplyTo(&generic.SecureServing, &generic.LoopbackClientConfig); err != nil {
		return nil, err
	}
	authentication, authorization := options.NewDelegatingAuthenticationOptions(), options.NewDelegatingAuthorizationOptions()
	authentication.RemoteKubeConfigFile, authorization.RemoteKubeConfigFile = kubeconfig, kubeconfig
	if err := authentication.ApplyTo(&generic.Authentication, generic.SecureServing, nil); err != nil {
		return nil, err
	}
	if err := authorization.ApplyTo(&generic.Authorization); err != nil {
		return nil, err
	}
	return &server.Config{
		Apiserver: generic,
		Rest:      credentials,
		Kubelet: &client.KubeletClientConfig{
			Scheme:              "https",
			DefaultPort:         kubeletPort,
			AddressTypePriority: []core.NodeAddressType{core.NodeInternalIP}, // no DNS knows its name
			Client:              *rest.CopyConfig(credentials),
		},
		MetricResolution: resolution,
		ScrapeTimeout:    resolution * 8 / 10,
	}, nil
}
