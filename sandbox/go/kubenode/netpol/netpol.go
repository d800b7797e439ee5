// Package netpol enforces NetworkPolicy on a cluster of one node, with nftables:
// a stand-in for the enforcer of a cloud's CNI. sandbox/node/README.md says why.
package netpol

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
)

const (
	gather = 50 * time.Millisecond // changes that come together are made together
	again  = time.Second
)

// NewCommand returns the process that keeps the rules of its network namespace
// as policies, pods and namespaces ask for. The rules stay when it ends.
func NewCommand() *cobra.Command {
	var kubeconfig, resolver string
	command := &cobra.Command{
		Use:          "network-policies",
		SilenceUsage: true,
		RunE: func(command *cobra.Command, _ []string) error {
			return enforce(command.Context(), kubeconfig, resolver)
		},
	}
	command.Flags().StringVar(&kubeconfig, "kubeconfig", "", "for the API server")
	command.Flags().StringVar(&resolver, "resolver", "", "address of the cluster's DNS, where that is no pod")
	return command
}

func enforce(context context.Context, kubeconfig, resolver string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	config.ContentType = "application/vnd.kubernetes.protobuf"
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	pods, namespaces := factory.Core().V1().Pods(), factory.Core().V1().Namespaces()
	policies := factory.Networking().V1().NetworkPolicies()
	changed := make(chan struct{}, 1)
	change := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	for _, informer := range []cache.SharedIndexInformer{pods.Informer(), namespaces.Informer(), policies.Informer()} {
		if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    func(any) { change() },
			UpdateFunc: func(any, any) { change() },
			DeleteFunc: func(any) { change() },
		}); err != nil {
			return err
		}
	}
	factory.Start(context.Done())
	factory.WaitForCacheSync(context.Done())
	change()

	applied := ""
	for {
		select {
		case <-context.Done():
			return nil
		case <-changed:
		}
		time.Sleep(gather)
		world := World{Namespaces: map[string]labels.Set{}, Resolver: resolver}
		for _, namespace := range all(namespaces.Lister().List) {
			world.Namespaces[namespace.Name] = namespace.Labels
		}
		world.Pods, world.Policies = all(pods.Lister().List), all(policies.Lister().List)
		rules := Rules(world)
		if rules == applied {
			continue
		}
		if err := replace(context, rules); err != nil {
			klog.ErrorS(err, "The rules stay as they were")
			applied = ""
			time.AfterFunc(again, change)
			continue
		}
		applied = rules
	}
}

func all[T any](list func(labels.Selector) ([]T, error)) []T {
	found, _ := list(labels.Everything()) // a cache has no errors
	return found
}

func replace(context context.Context, rules string) error {
	command := exec.CommandContext(context, "nft", "-f", "-")
	command.Stdin = strings.NewReader(rules)
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("nft: %w: %s\n%s", err, output, rules)
	}
	return nil
}
