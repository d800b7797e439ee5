package netpol

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"
)

func pod(namespace, name, ip string) *core.Pod {
	return &core.Pod{
		ObjectMeta: meta.ObjectMeta{Namespace: namespace, Name: name, Labels: labels.Set{"name": name}},
		Spec: core.PodSpec{Containers: []core.Container{{
			Ports: []core.ContainerPort{{Name: "http", Protocol: core.ProtocolTCP, ContainerPort: 8080}},
		}}},
		Status: core.PodStatus{PodIP: ip, Phase: core.PodRunning},
	}
}

// world returns three pods in two namespaces and one policy of the namespace
// `shop`, given as the text of its specification.
func world(t *testing.T, spec string) World {
	t.Helper()
	policy := &networking.NetworkPolicy{ObjectMeta: meta.ObjectMeta{Namespace: "shop", Name: "policy"}}
	if err := yaml.UnmarshalStrict([]byte(spec), &policy.Spec); err != nil {
		t.Fatal(err)
	}
	return World{
		Pods: []*core.Pod{pod("shop", "web", "10.0.0.1"), pod("shop", "worker", "10.0.0.2"), pod("other", "web", "10.0.0.3")},
		Namespaces: map[string]labels.Set{
			"shop": {"team": "shop"}, "other": {"team": "other"}, "kube-system": {"team": "platform"},
		},
		Policies: []*networking.NetworkPolicy{policy},
		Resolver: "10.9.9.9",
	}
}

// rules returns what the chain lets pass, without what each one has; `absent`
// where there is no such chain.
func rules(text, chain string) string {
	_, rest, found := strings.Cut(text, "chain "+chain+" {\n")
	if !found {
		return "absent"
	}
	var kept []string
	body, _, _ := strings.Cut(rest, "  }\n")
	for line := range strings.Lines(body) {
		line = strings.TrimSpace(line)
		if itself := strings.HasSuffix(line, strings.SplitN(chain, "-", 2)[1]+" return"); itself || line == "counter drop" {
			continue
		}
		kept = append(kept, strings.TrimSuffix(line, " return"))
	}
	return strings.Join(kept, "; ")
}

func TestAPolicyOpensWhatItNamesAndNothingElse(t *testing.T) {
	const web = "podSelector: {matchLabels: {name: web}}\n"
	for claim, example := range map[string]struct{ spec, chain, passes string }{
		"a pod that no policy selects is open":           {web + "policyTypes: [Ingress]", "to-10.0.0.2", "absent"},
		"a policy ends at its namespace":                 {web + "policyTypes: [Ingress]", "to-10.0.0.3", "absent"},
		"a policy without rules closes":                  {web + "policyTypes: [Ingress]", "to-10.0.0.1", ""},
		"what a policy has no type for stays open":       {web + "policyTypes: [Ingress]", "from-10.0.0.1", "absent"},
		"an empty selector is each pod of the namespace": {"podSelector: {}\npolicyTypes: [Egress]", "from-10.0.0.2", ""},
		"a rule without peers opens its ports to all": {
			web + "policyTypes: [Ingress]\ningress: [{ports: [{port: 80}]}]", "to-10.0.0.1", "tcp dport 80",
		},
		"a rule without ports opens all of them": {
			web + "policyTypes: [Ingress]\ningress: [{from: [{ipBlock: {cidr: 10.8.0.0/16}}]}]", "to-10.0.0.1", "ip saddr 10.8.0.0/16",
		},
		"an exception is taken from its block": {
			web + "policyTypes: [Egress]\negress: [{to: [{ipBlock: {cidr: 10.8.0.0/16, except: [10.8.1.0/24, 10.8.2.0/24]}}], ports: [{port: 1, endPort: 9}]}]",
			"from-10.0.0.1", "ip daddr 10.8.0.0/16 ip daddr != 10.8.1.0/24 ip daddr != 10.8.2.0/24 tcp dport 1-9",
		},
		"each peer may use each port": {
			web + "policyTypes: [Ingress]\ningress: [{from: [{ipBlock: {cidr: 10.8.0.0/16}}, {ipBlock: {cidr: 10.9.0.0/16}}], ports: [{port: 80}, {protocol: UDP}]}]",
			"to-10.0.0.1",
			"ip saddr 10.8.0.0/16 meta l4proto udp; ip saddr 10.8.0.0/16 tcp dport 80; ip saddr 10.9.0.0/16 meta l4proto udp; ip saddr 10.9.0.0/16 tcp dport 80",
		},
		"a pod selector alone means the policy's namespace": {
			"podSelector: {matchLabels: {name: worker}}\npolicyTypes: [Ingress]\ningress: [{from: [{podSelector: {matchLabels: {name: web}}}]}]",
			"to-10.0.0.2", "ip saddr 10.0.0.1",
		},
		"a namespace selector alone means all its pods": {
			web + "policyTypes: [Ingress]\ningress: [{from: [{namespaceSelector: {matchLabels: {team: other}}}]}]", "to-10.0.0.1", "ip saddr 10.0.0.3",
		},
		"both selectors of a peer must match": {
			web + "policyTypes: [Ingress]\ningress: [{from: [{namespaceSelector: {matchLabels: {team: other}}, podSelector: {matchLabels: {name: worker}}}]}]",
			"to-10.0.0.1", "",
		},
		"a named port is the called pod's": {
			web + "policyTypes: [Ingress]\ningress: [{ports: [{port: http}]}]", "to-10.0.0.1", "tcp dport 8080",
		},
		"a named port is asked of each pod that may be called": {
			"podSelector: {matchLabels: {name: worker}}\npolicyTypes: [Egress]\negress: [{to: [{podSelector: {matchLabels: {name: web}}}], ports: [{port: http}, {port: grpc}]}]",
			"from-10.0.0.2", "ip daddr 10.0.0.1 tcp dport 8080",
		},
		"the resolver is the pod that clusters run for it": {
			web + "policyTypes: [Egress]\negress: [{to: [{namespaceSelector: {matchLabels: {team: platform}}, podSelector: {matchLabels: {k8s-app: kube-dns}}}], ports: [{protocol: UDP, port: 53}]}]",
			"from-10.0.0.1", "ip daddr 10.9.9.9 udp dport 53",
		},
		"the resolver is open at its port alone": {
			web + "policyTypes: [Egress]\negress: [{to: [{namespaceSelector: {matchLabels: {team: platform}}}]}]",
			"from-10.0.0.1", "ip daddr 10.9.9.9 tcp dport 53; ip daddr 10.9.9.9 udp dport 53",
		},
	} {
		if passes := rules(Rules(world(t, example.spec)), example.chain); passes != example.passes {
			t.Errorf("%s: %q passes, not %q", claim, passes, example.passes)
		}
	}
}

func TestAPodWithoutAnAddressOfItsOwnIsLeftOut(t *testing.T) {
	for name, change := range map[string]func(*core.Pod){
		"no address yet":    func(pod *core.Pod) { pod.Status.PodIP = "" },
		"the node's":        func(pod *core.Pod) { pod.Spec.HostNetwork = true },
		"given up":          func(pod *core.Pod) { pod.Status.Phase = core.PodSucceeded },
		"given up, failing": func(pod *core.Pod) { pod.Status.Phase = core.PodFailed },
	} {
		world := world(t, "podSelector: {}\npolicyTypes: [Ingress, Egress]\ningress: [{from: [{podSelector: {}}]}]")
		change(world.Pods[0])
		if text := Rules(world); strings.Contains(text, "10.0.0.1") {
			t.Errorf("%s: %s", name, text)
		}
	}
}

func TestTheOrderOfObjectsDoesNotMatter(t *testing.T) {
	first, second := world(t, "podSelector: {}\npolicyTypes: [Ingress]"), world(t, "podSelector: {}\npolicyTypes: [Ingress]")
	second.Pods[0], second.Pods[2] = second.Pods[2], second.Pods[0]
	if Rules(first) != Rules(second) {
		t.Error(Rules(second))
	}
}

// The grammar of nft itself, where that is there.
func TestNftAcceptsTheRules(t *testing.T) {
	spec := `{podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{ports: [{port: http}, {protocol: SCTP, port: 7}]}],
		egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.8.0.0/16]}}], ports: [{protocol: UDP}, {port: 1, endPort: 9}]}, {}]}`
	text := Rules(world(t, spec))
	command := exec.Command("unshare", "--net", "nft", "--check", "--file", "-")
	command.Stdin = strings.NewReader(text)
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("no nft")
	}
	if output, err := command.CombinedOutput(); err != nil {
		t.Error(fmt.Sprintln(err, string(output), text))
	}
}
