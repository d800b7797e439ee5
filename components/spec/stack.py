"""The keys of a stack, and of what its services share."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from components import rules
from components.model import Color
from components.rules import Problem
from components.rules.steps import StrategyError, freezes
from components.spec.marks import Between, Example, Here, Like, Rule, Unset, arn
from components.spec.service import Cidr, Service

_ACCOUNT: Final = "111122223333"
CONTENT_SECURITY_POLICY: Final = "default-src 'self'; base-uri 'self'; frame-ancestors 'none'; object-src 'none'"
"""Only what comes from the service itself; a page that needs more states its own policy in the settings."""


@dataclass(frozen=True, kw_only=True)
class Lookup:
    """The network by the tags of its parts."""

    vpc_tags: Annotated[Mapping[str, str], Rule(rules.filter_problem), Example({"Name": "main"})]
    """Tags that one VPC alone has."""
    subnet_tags: Annotated[Mapping[str, str], Rule(rules.filter_problem), Example({"tier": "private"})]
    """Tags of the load balancer's subnets in that VPC."""


@dataclass(frozen=True, kw_only=True)
class NetworkSpec:
    """The networks of the load balancer and of what it reaches; VPC and subnets are given in one of three ways."""

    vpc_id: Annotated[
        str | None, Like(r"vpc-[0-9a-f]{8,17}", "an id such as vpc-0a1b2c3d"), Example("vpc-0a1b2c3d")
    ] = None
    """The VPC of the cluster."""
    subnet_ids: Annotated[
        Sequence[Annotated[str, Like(r"subnet-[0-9a-f]{8,17}", "an id such as subnet-0a1b2c3d")]] | None,
        Rule(rules.subnets_problem),
        Example(["subnet-0a1b2c3d", "subnet-0a1b2c3e"]),
    ] = None
    """Subnets for the load balancer, in two availability zones or more."""
    lookup: Lookup | None = None
    """VPC and subnets by their tags, in the place of ids."""
    stack_reference: Annotated[
        str | None,
        Like(r"[\w.-]+/[\w.-]+/[\w.-]+", "<organization>/<project>/<stack>"),
        Example("organization/network/production"),
    ] = None
    """A stack with the outputs vpcId and subnetIds, in the place of ids."""
    scheme: Literal["internal", "internet-facing"] = "internal"
    """Whether the internet reaches the load balancer; it cannot be changed later."""
    pod_cidrs: Annotated[Sequence[Cidr] | None, Rule(rules.empty_problem), Example(["10.0.0.0/16"])] = None
    """The networks that the load balancer may send to; unset, the VPC's own."""

    @property
    def internal(self) -> bool:
        """Whether only private networks reach the load balancer."""
        return self.scheme == "internal"

    def problems(self) -> Sequence[Problem]:
        """Return what is wrong between the keys."""
        return rules.network_problems(
            vpc_id=self.vpc_id,
            subnet_ids=self.subnet_ids,
            others={"lookup": self.lookup, "stackReference": self.stack_reference},
        )


@dataclass(frozen=True, kw_only=True)
class Dns:
    """The zone in which the services' names are made, and proven for certificates."""

    zone: Annotated[str, Rule(rules.host_problem), Example("example.com")]
    """The public hosted zone in Route 53 that holds every host."""


SecurityHeader = Literal[
    "strict-transport-security", "content-security-policy", "x-content-type-options", "x-frame-options"
]
"""A header that every answer has to have."""


@dataclass(frozen=True, kw_only=True)
class LoadBalancerSpec:
    """The load balancer that all services of the stack share."""

    certificate_arn: Annotated[
        str | None,
        arn("acm", r"certificate/[\w-]+"),
        Here(),
        Example(f"arn:aws:acm:eu-west-1:{_ACCOUNT}:certificate/5d0c1f0e"),
    ] = None
    """The certificate in ACM for every host and for <color>.<host>; issued here if dns.zone is set."""
    test_listener_port: Annotated[int, Rule(rules.test_port_problem)] = 8443
    """The port of the test listener."""
    test_listener_cidrs: Annotated[Sequence[Cidr], Rule(rules.testers_problem)] = ("10.0.0.0/8",)
    """The networks that may call the test listener, which reaches either color whatever the weights."""
    idle_timeout: Annotated[int, Between(1, 4000, "what a load balancer takes (ELBv2)")] = 60
    """Seconds after which a connection without requests is closed."""
    deletion_protection: bool = True
    """Whether AWS refuses to delete it; a destroy needs one update without it first."""
    access_logs: Annotated[bool, Unset("true in production")] = False
    """Whether requests and connections are logged to a bucket."""
    waf: Annotated[bool, Unset("true if it is internet-facing")] = False
    """Whether a web ACL protects it."""
    rate_limit: Annotated[int, Between(10, 2_000_000_000, "what a rate rule takes (WAF)")] = 2000
    """Requests in five minutes after which the web ACL refuses a client address; raise it where many share one."""
    client_cidrs: Annotated[
        Sequence[Cidr] | None, Rule(rules.clients_problem), Example(["203.0.113.0/24", "198.51.100.7/32"])
    ] = None
    """The networks that reach the services; unset, all, or all private ones if it is internal."""
    headers_from_services: Annotated[Sequence[SecurityHeader], Example(["content-security-policy"])] = ()
    """Security headers that the load balancer leaves to the services, all of which must then send them: a listener,
    which all share, either writes a header or leaves it alone."""
    content_security_policy: Annotated[str, Rule(rules.header_problem)] = CONTENT_SECURITY_POLICY
    """The header of every answer, whatever the service says, unless headersFromServices names it."""
    cors_origin: Annotated[str | None, Rule(rules.cors_problem), Example("https://www.example.com")] = None
    """The one other origin whose scripts may read answers; unset, none."""


class IdentityKind(StrEnum):
    """The way in which the pods of a cluster get an IAM role."""

    POD_IDENTITY = "pod-identity"
    """By the EKS Pod Identity agent of the node."""
    IRSA = "irsa"
    """By the OpenID Connect provider of the cluster."""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """The Kubernetes cluster, which the program does not make."""

    name: Annotated[
        str | None, Like(r"[0-9A-Za-z][\w-]{0,99}", "the name of an EKS cluster"), Example("production")
    ] = None
    """Its name in EKS; a kubeconfig that leads to another is refused. Pod Identity and Container Insights need it."""
    identity: IdentityKind = IdentityKind.POD_IDENTITY
    """The way in which pods get a role."""
    oidc_provider_arn: Annotated[
        str | None,
        arn("iam", r"oidc-provider/[\w./-]+", region=""),
        Example(f"arn:aws:iam::{_ACCOUNT}:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/0A1B"),
    ] = None
    """The cluster's OpenID Connect provider, for irsa."""
    monitoring_namespace: Annotated[str, Rule(rules.namespace_problem)] = "monitoring"
    """The namespace whose pods may scrape a service's."""
    container_insights: bool = False
    """Whether CloudWatch has the pods' CPU and memory, and can watch them."""

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong between the keys."""
        if self.container_insights and self.name is None:
            yield Problem("name", "is required with containerInsights: its metrics are found by the cluster's name")


@dataclass(frozen=True, kw_only=True)
class Registry:
    """The image repositories that belong to this stack; one stack has them for all environments."""

    repositories: Annotated[Sequence[str], Example(["shop"])] = ()
    """Services whose repository is made here."""
    reader_accounts: Annotated[
        Sequence[Annotated[str, Like(r"[0-9]{12}", "an account id of twelve digits, in quotes")]],
        Example(["444455556666"]),
    ] = ()
    """Other accounts that pull from them."""


@dataclass(frozen=True, kw_only=True)
class Prometheus:
    """The objects for the Prometheus Operator of the cluster."""

    enabled: bool = True
    """Whether PodMonitors and PrometheusRules are made; false where there is no Operator."""
    labels: Annotated[
        Mapping[Annotated[str, Rule(rules.label_key_problem)], Annotated[str, Rule(rules.label_value_problem)]],
        Example({"release": "kube-prometheus-stack"}),
    ] = field(default_factory=dict)
    """Labels of both kinds, by which the Operator selects them."""

    @property
    def selected_by(self) -> Mapping[str, str] | None:
        """The labels; None where there is no Operator."""
        return self.labels if self.enabled else None


@dataclass(frozen=True, kw_only=True)
class Subscription:
    """One who hears of every alarm."""

    protocol: Annotated[Literal["email", "email-json", "https", "lambda", "sms", "sqs"], Example("email")]
    """The protocol of SNS."""
    endpoint: Annotated[str, Example("ops@example.com")]
    """An address, a URL or an ARN, as the protocol needs."""

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong between the keys."""
        if (reason := rules.endpoint_problem(self.protocol, self.endpoint)) is not None:
            yield Problem("endpoint", reason)


@dataclass(frozen=True, kw_only=True)
class Alerts:
    """The topics and people that are notified of an alarm."""

    topic_arns: Annotated[
        Sequence[
            Annotated[
                str,
                Like(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[\w-]+", "arn:aws:sns:<region>:<account>:<topic>"),
                Here(),
            ]
        ],
        Example([f"arn:aws:sns:eu-west-1:{_ACCOUNT}:on-call"]),
    ] = ()
    """SNS topics that exist already."""
    subscriptions: Sequence[Subscription] = ()
    """Subscriptions of the stack's own topic, which exists if there are any."""
    uptime_topic_arns: Annotated[
        Sequence[
            Annotated[
                str,
                Like(r"arn:aws:sns:us-east-1:[0-9]{12}:[\w-]+", "arn:aws:sns:us-east-1:<account>:<topic>"),
            ]
        ],
        Example([f"arn:aws:sns:us-east-1:{_ACCOUNT}:on-call"]),
    ] = ()
    """SNS topics in us-east-1 for the alarms of uptime, which exist there alone; the subscriptions hear of them too."""
    on_call: Annotated[str | None, Rule(rules.phrase_problem), Example("on-call@example.com")] = None
    """The person or rota on call, as every alarm names it; required in production."""
    owner: Annotated[str | None, Rule(rules.tag_value_problem), Example("team-shop")] = None
    """The team that answers for the services and what they share; unset (not in production), each service's name."""
    runbooks: Annotated[
        str | None,
        Like(r"https://[\w.~/:@-]{0,71}[\w.~-]", "an https URL of at most 80 characters, without a slash at its end"),
        Example("https://example.com/runbooks"),
    ] = None
    """The URL of the folder docs/alerts, for links in messages; unset, they name its pages without a link."""

    def owner_of(self, service: str) -> str:
        """Return the team that answers for a service: that of its own name unless one answers for all."""
        return self.owner or service


@dataclass(frozen=True, kw_only=True)
class Dashboards:
    """Dashboards of all services of the environment."""

    cloudwatch: bool = True
    """Whether CloudWatch has a dashboard, which `hueshift status` links."""
    grafana: bool = False
    """Whether a ConfigMap in cluster.monitoringNamespace has one for the sidecar of Grafana."""


@dataclass(frozen=True, kw_only=True)
class Logs:
    """A log group for each service, to which the cluster's Fluent Bit sends what the pods write."""

    retention_days: Annotated[int, Rule(rules.retention_problem)] = 30
    """Days for which lines are kept."""


@dataclass(frozen=True, kw_only=True)
class Tracing:
    """The place that the pods send their traces to."""

    endpoint: Annotated[
        str,
        Like(r"https?://[\w.:\[\]-]+(/[\w./~-]*)?", "a URL such as http://otel-collector.monitoring:4318"),
        Example("http://otel-collector.monitoring:4318"),
    ]
    """The OTLP endpoint over HTTP, as OTEL_EXPORTER_OTLP_ENDPOINT; the egress of a service must allow it."""


Evidence = Literal["tests", "scan", "migration", "rollback"]
"""Of an image in staging: its tests passed, its scan did, its schema was reached, a rollback from it was rehearsed."""


@dataclass(frozen=True, kw_only=True)
class Releases:
    """Rules for the releases of all services; see docs/release.md."""

    prometheus: Annotated[
        str | None,
        Like(r"https?://[\w.:\[\]-]+(/[\w./~-]*)?", "a URL such as http://prometheus.monitoring:9090"),
        Example("http://prometheus.monitoring:9090"),
    ] = None
    """The URL at which `hueshift release` reaches the Prometheus that reads the pods; unset, CloudWatch counts
    requests."""
    zone: str = "UTC"
    """The time zone of the freezes."""
    freeze: Annotated[Sequence[Mapping[str, Any]], Example([{"days": ["fri"], "from": "15:00"}])] = ()
    """Times in which nothing goes forward: days, dates, from, to. A way back is never held."""
    evidence: Annotated[Sequence[Evidence], Example(["tests", "scan"])] = ()
    """Proofs that releases.json must have of an image before production takes it; migration, if it has a schema."""

    def problems(self) -> Sequence[Problem]:
        """Return what is wrong with the freezes."""
        try:
            freezes(self.freeze, zone=self.zone)
        except StrategyError as error:
            return error.problems
        return []


@dataclass(frozen=True, kw_only=True)
class Stack:
    """One environment."""

    environment: Annotated[str, Rule(rules.environment_problem), Unset("the name of the stack"), Example("staging")]
    """The name of the environment."""
    production: Annotated[bool, Unset("true if a word of the name is production or prod"), Example(True)]
    """Whether the strict rules hold: images by digest, two pods or more, policies that block."""
    active_color: Color = Color.BLUE
    """The color that gets the traffic; changing it is the flip. A service may override it."""
    canary_weight: Annotated[int, Rule(rules.canary_problem)] = 0
    """Percent of the requests that go to the other color. A service may override it."""
    network: NetworkSpec
    """The networks of the load balancer: vpcId and subnetIds, lookup, or stackReference."""
    dns: Dns | None = None
    """The zone of the hosts' records; unset, you make them."""
    load_balancer: LoadBalancerSpec = LoadBalancerSpec()
    """The load balancer that all services of the stack share."""
    cluster: Cluster = Cluster()
    """The Kubernetes cluster."""
    registry: Registry = Registry()
    """The image repositories that belong to this stack."""
    kms_key_arn: Annotated[
        str | None, arn("kms", r"key/[\w-]+"), Here(), Example(f"arn:aws:kms:eu-west-1:{_ACCOUNT}:key/0a1b")
    ] = None
    """The KMS key for secrets and alarms; unset, the stack makes one."""
    secret_readers: Annotated[
        Sequence[Annotated[str, arn("iam", r"(role|user)/[\w+=,.@/-]+", region="")]],
        Example([f"arn:aws:iam::{_ACCOUNT}:role/external-secrets"]),
    ] = ()
    """The only roles that may read the secrets' values, such as that of the External Secrets operator; unset, IAM
    alone decides."""
    prometheus: Prometheus = Prometheus()
    """The cluster's Prometheus Operator."""
    alerts: Alerts = Alerts()
    """The topics and people that are notified of an alarm."""
    dashboards: Dashboards = Dashboards()
    """Dashboards of all services."""
    logs: Logs | None = None
    """The services' log groups; unset, none."""
    tracing: Tracing | None = None
    """The place that the pods send their traces to; unset, none."""
    releases: Releases = Releases()
    """Rules for the releases of all services."""
    services: Mapping[Annotated[str, Rule(rules.service_problem)], Service]
    """The services by name."""
