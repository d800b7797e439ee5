package netpol

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

const dnsPort = 53

// World is all that decides which packets pass.
type World struct {
	Pods       []*core.Pod
	Namespaces map[string]labels.Set
	Policies   []*networking.NetworkPolicy
	// Resolver is the address of the cluster's DNS, which is no pod here. Rules
	// treat its port 53 as that of the pod with which clusters commonly run one.
	Resolver string
}

var resolverLabels = labels.Set{"k8s-app": "kube-dns"}

// Rules returns the input of nft that replaces the table: the same world gives
// the same text.
//
// A chain of its own says for each pod that a policy selects what it may call
// or who may call it. It returns for what is allowed, so that a packet between
// two pods is asked of both, and drops the rest. What the node itself sends
// (the kubelet's probes) passes neither hook.
func Rules(world World) string {
	var callers, called, chains []string
	pods := slices.DeleteFunc(slices.Clone(world.Pods), func(pod *core.Pod) bool { return !networked(pod) })
	slices.SortFunc(pods, func(a, b *core.Pod) int { return strings.Compare(a.Status.PodIP, b.Status.PodIP) })
	policies := slices.Clone(world.Policies)
	slices.SortFunc(policies, func(a, b *networking.NetworkPolicy) int {
		return strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name)
	})
	world.Pods = pods
	for _, pod := range pods {
		var in, out []string
		closedIn, closedOut := false, false
		for _, policy := range policies {
			if policy.Namespace != pod.Namespace || !matches(&policy.Spec.PodSelector, pod.Labels) {
				continue
			}
			if slices.Contains(policy.Spec.PolicyTypes, networking.PolicyTypeIngress) {
				closedIn = true
				for _, rule := range policy.Spec.Ingress {
					in = append(in, world.allowed("saddr", policy.Namespace, rule.From, rule.Ports, pod)...)
				}
			}
			if slices.Contains(policy.Spec.PolicyTypes, networking.PolicyTypeEgress) {
				closedOut = true
				for _, rule := range policy.Spec.Egress {
					out = append(out, world.allowed("daddr", policy.Namespace, rule.To, rule.Ports, nil)...)
				}
			}
		}
		ip := pod.Status.PodIP
		if closedIn {
			called = append(called, fmt.Sprintf("%s : jump to-%s", ip, ip))
			chains = append(chains, chain("to-"+ip, "ip saddr "+ip+" return", in))
		}
		if closedOut {
			callers = append(callers, fmt.Sprintf("%s : jump from-%s", ip, ip))
			chains = append(chains, chain("from-"+ip, "ip daddr "+ip+" return", out))
		}
	}

	text := "table inet policies\ndelete table inet policies\ntable inet policies {\n" + strings.Join(chains, "")
	text += "  chain pods {\n    ct state established,related return\n"
	if len(callers) > 0 {
		text += "    ip saddr vmap { " + strings.Join(callers, ", ") + " }\n"
	}
	if len(called) > 0 {
		text += "    ip daddr vmap { " + strings.Join(called, ", ") + " }\n"
	}
	text += "  }\n"
	for _, hook := range []string{"forward", "input"} { // past the node, and to the node's own addresses
		text += fmt.Sprintf("  chain %s { type filter hook %s priority filter + 10; jump pods; }\n", hook, hook)
	}
	return text + "}\n"
}

func chain(name, self string, rules []string) string {
	slices.Sort(rules)                                        // several policies may open the same
	lines := append([]string{self}, slices.Compact(rules)...) // a pod always reaches itself
	return fmt.Sprintf("  chain %s {\n    %s\n    counter drop\n  }\n", name, strings.Join(lines, "\n    "))
}

// networked tells whether the pod has an address of its own that is in use.
func networked(pod *core.Pod) bool {
	ended := pod.Status.Phase == core.PodSucceeded || pod.Status.Phase == core.PodFailed
	address, err := netip.ParseAddr(pod.Status.PodIP)
	return err == nil && address.Is4() && !pod.Spec.HostNetwork && !ended
}

func matches(selector *meta.LabelSelector, set labels.Set) bool {
	compiled, err := meta.LabelSelectorAsSelector(selector) // nothing at all for nil
	return err == nil && compiled.Matches(set)
}

// allowed returns the lines for one rule: each peer with each port. For ingress
// `target` is the pod that is called; for egress it is nil, each peer is one.
func (world World) allowed(
	side, namespace string, peers []networking.NetworkPolicyPeer, ports []networking.NetworkPolicyPort, target *core.Pod,
) []string {
	if len(peers) == 0 {
		return lines("", ports, target)
	}
	var found []string
	for _, peer := range peers {
		if peer.IPBlock != nil {
			if prefix, err := netip.ParsePrefix(peer.IPBlock.CIDR); err != nil || !prefix.Addr().Is4() {
				continue
			}
			block := fmt.Sprintf("ip %s %s ", side, peer.IPBlock.CIDR)
			for _, except := range peer.IPBlock.Except {
				block += fmt.Sprintf("ip %s != %s ", side, except)
			}
			found = append(found, lines(block, ports, target)...)
			continue
		}
		for _, pod := range world.Pods {
			if world.selects(peer, namespace, pod.Namespace, pod.Labels) {
				called := target
				if called == nil {
					called = pod
				}
				found = append(found, lines(fmt.Sprintf("ip %s %s ", side, pod.Status.PodIP), ports, called)...)
			}
		}
		if target == nil && world.Resolver != "" && world.selects(peer, namespace, meta.NamespaceSystem, resolverLabels) {
			for _, protocol := range []core.Protocol{core.ProtocolUDP, core.ProtocolTCP} {
				if opens(ports, protocol, dnsPort) {
					found = append(found, fmt.Sprintf("ip daddr %s %s dport %d return",
						world.Resolver, strings.ToLower(string(protocol)), dnsPort))
				}
			}
		}
	}
	return found
}

func (world World) selects(peer networking.NetworkPolicyPeer, own, namespace string, pod labels.Set) bool {
	if peer.NamespaceSelector == nil {
		return namespace == own && matches(peer.PodSelector, pod)
	}
	set, exists := world.Namespaces[namespace]
	return exists && matches(peer.NamespaceSelector, set) && (peer.PodSelector == nil || matches(peer.PodSelector, pod))
}

// lines returns one line for each port that the rule opens, or one for all.
func lines(peer string, ports []networking.NetworkPolicyPort, target *core.Pod) []string {
	if len(ports) == 0 {
		return []string{peer + "return"}
	}
	var found []string
	for _, port := range ports {
		protocol := strings.ToLower(string(of(port)))
		switch {
		case port.Port == nil:
			found = append(found, fmt.Sprintf("%smeta l4proto %s return", peer, protocol))
		case port.Port.Type == intstr.String:
			for _, number := range named(target, port) {
				found = append(found, fmt.Sprintf("%s%s dport %d return", peer, protocol, number))
			}
		case port.EndPort != nil:
			found = append(found, fmt.Sprintf("%s%s dport %d-%d return", peer, protocol, port.Port.IntVal, *port.EndPort))
		default:
			found = append(found, fmt.Sprintf("%s%s dport %d return", peer, protocol, port.Port.IntVal))
		}
	}
	return found
}

func of(port networking.NetworkPolicyPort) core.Protocol {
	if port.Protocol == nil {
		return core.ProtocolTCP
	}
	return *port.Protocol
}

// named returns the numbers of the pod's ports with the name that the rule gives.
func named(pod *core.Pod, wanted networking.NetworkPolicyPort) []int32 {
	var numbers []int32
	if pod == nil {
		return nil
	}
	for _, container := range slices.Concat(pod.Spec.Containers, pod.Spec.InitContainers) {
		for _, port := range container.Ports {
			if port.Name == wanted.Port.StrVal && port.Protocol == of(wanted) {
				numbers = append(numbers, port.ContainerPort)
			}
		}
	}
	return numbers
}

func opens(ports []networking.NetworkPolicyPort, protocol core.Protocol, number int32) bool {
	return len(ports) == 0 || slices.ContainsFunc(ports, func(port networking.NetworkPolicyPort) bool {
		if of(port) != protocol {
			return false
		}
		if port.Port == nil {
			return true
		}
		last := port.Port.IntVal
		if port.EndPort != nil {
			last = *port.EndPort
		}
		return port.Port.Type == intstr.Int && port.Port.IntVal <= number && number <= last
	})
}
