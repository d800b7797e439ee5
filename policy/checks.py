"""The production-readiness checklist: what each resource of a stack must be, with reason and remedy; pure.

The predicates are those of ``components.rules``. The components meet the checks already; the policy pack applies them
to every resource of a stack, also to those that somebody adds without the components.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from components import rules

Properties = Mapping[str, Any]


class NotKnownYetError(Exception):
    """A check read a property that is unknown during preview; the message is its name."""


_ADMINISTRATORS: Final = ("AdministratorAccess", "PowerUserAccess", "IAMFullAccess")


class Resource(NamedTuple):
    """A resource as the engine knows it. Inputs are in camelCase; reading one may raise ``NotKnownYetError``."""

    type: str
    name: str
    properties: Properties
    protected: bool = False


@dataclass(frozen=True, kw_only=True)
class Check:
    """One row of the checklist."""

    name: str
    reason: str
    remedy: str
    types: Sequence[str]
    """Type tokens of the resources that it reads."""
    problems: Callable[[Resource], Iterator[str]] | None = None
    """Yields the problems of one resource."""
    stack: Callable[[Sequence[Resource]], Iterator[tuple[Resource, str]]] | None = None
    """Yields resources with problems that only the whole stack shows."""
    blocks: bool = True
    """Whether production is refused. What becomes wrong as days pass must not be in the way of a rollback."""

    def concerns(self, resource: Resource) -> bool:
        """Return whether the check reads such a resource."""
        return resource.type in self.types


DEPLOYMENT: Final = "kubernetes:apps/v1:Deployment"
JOB: Final = "kubernetes:batch/v1:Job"
CRON_JOB: Final = "kubernetes:batch/v1:CronJob"
CONFIG_MAP: Final = "kubernetes:core/v1:ConfigMap"
NETWORK_POLICY: Final = "kubernetes:networking.k8s.io/v1:NetworkPolicy"
BUDGET: Final = "kubernetes:policy/v1:PodDisruptionBudget"
AUTOSCALER: Final = "kubernetes:autoscaling/v2:HorizontalPodAutoscaler"
LISTENER: Final = "aws:lb/listener:Listener"
BALANCER: Final = "aws:lb/loadBalancer:LoadBalancer"
LISTENER_RULE: Final = "aws:lb/listenerRule:ListenerRule"
GROUP: Final = "aws:lb/targetGroup:TargetGroup"
WEB_ACL: Final = "aws:wafv2/webAcl:WebAcl"
WEB_ACL_USE: Final = "aws:wafv2/webAclAssociation:WebAclAssociation"
SECRET: Final = "aws:secretsmanager/secret:Secret"
SECRET_VALUE: Final = "aws:secretsmanager/secretVersion:SecretVersion"
KEY: Final = "aws:kms/key:Key"
BUCKET: Final = "aws:s3/bucket:Bucket"
BUCKET_BLOCK: Final = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
REPOSITORY: Final = "aws:ecr/repository:Repository"
TOPIC: Final = "aws:sns/topic:Topic"
ALARM: Final = "aws:cloudwatch/metricAlarm:MetricAlarm"
COMPOSITE: Final = "aws:cloudwatch/compositeAlarm:CompositeAlarm"
LOG_GROUP: Final = "aws:cloudwatch/logGroup:LogGroup"
HEALTH_CHECK: Final = "aws:route53/healthCheck:HealthCheck"
FLAG_PROFILE: Final = "aws:appconfig/configurationProfile:ConfigurationProfile"
ATTACHMENT: Final = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
POLICIES: Final = ("aws:iam/policy:Policy", "aws:iam/rolePolicy:RolePolicy")


def _pod(resource: Resource) -> Properties:
    spec: Properties = resource.properties["spec"]
    if resource.type == CRON_JOB:
        spec = spec["jobTemplate"]["spec"]
    pod: Properties = spec["template"]["spec"]
    return pod


def _takes_requests(resource: Resource) -> bool:
    """Return whether the pods of a Deployment do: those of a workload do not."""
    template = resource.properties["spec"].get("template") or {}
    return rules.WORKLOAD not in ((template.get("metadata") or {}).get("labels") or {})


def _containers(resource: Resource) -> Sequence[Properties]:
    return [*_pod(resource).get("initContainers", []), *_pod(resource)["containers"]]


# Containers


def _images(resource: Resource) -> Iterator[str]:
    for container in _containers(resource):
        with suppress(NotKnownYetError):
            if (reason := rules.image_problem(container["image"], production=True)) is not None:
                yield f"container {container['name']}: {reason}"


def _limits(resource: Resource) -> Iterator[str]:
    for container in _containers(resource):
        resources = container.get("resources", {})
        missing = [f"requests.{what}" for what in ("cpu", "memory") if not resources.get("requests", {}).get(what)]
        missing += [] if resources.get("limits", {}).get("memory") else ["limits.memory"]
        if missing:
            yield f"container {container['name']}: {', '.join(missing)} not set"


def _probes(resource: Resource) -> Iterator[str]:
    if not _takes_requests(resource):
        return
    for container in _pod(resource)["containers"]:
        missing = [probe for probe in ("startupProbe", "readinessProbe", "livenessProbe") if not container.get(probe)]
        if missing:
            yield f"container {container['name']}: {', '.join(missing)} not set"


def _restricted(resource: Resource) -> Iterator[str]:
    whole = _pod(resource).get("securityContext", {})
    if not whole.get("runAsNonRoot"):
        yield "runAsNonRoot is not true"
    if whole.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"):
        yield "seccompProfile is neither RuntimeDefault nor Localhost"
    for container in _containers(resource):
        own = container.get("securityContext", {})
        if own.get("allowPrivilegeEscalation") is not False:
            yield f"container {container['name']}: allowPrivilegeEscalation is not false"
        if "ALL" not in own.get("capabilities", {}).get("drop", []):
            yield f"container {container['name']}: capabilities.drop has no ALL"
        if not own.get("readOnlyRootFilesystem"):
            yield f"container {container['name']}: readOnlyRootFilesystem is not true"


def _shutdown(resource: Resource) -> Iterator[str]:
    if not _takes_requests(resource):
        return
    grace = _pod(resource).get("terminationGracePeriodSeconds", 30)
    for container in _pod(resource)["containers"]:
        sleep = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        if not 0 < sleep < grace:
            yield f"container {container['name']}: preStop.sleep is {sleep} s, allowed: 1 s to below {grace} s"


def _spread(resource: Resource) -> Iterator[str]:
    if not _pod(resource).get("topologySpreadConstraints"):
        yield "topologySpreadConstraints is not set"


def _in_place(resource: Resource) -> Iterator[str]:
    if resource.properties["spec"].get("strategy", {}).get("type") == "Recreate":
        yield "strategy.type is Recreate: users get 503 between the old and the new pods"


def _replicas(resource: Resource) -> Iterator[str]:
    if not _takes_requests(resource):
        return
    spec = resource.properties["spec"]
    count = spec.get("minReplicas", 1) if resource.type == AUTOSCALER else spec.get("replicas")
    # Without a number the autoscaler decides; 0 means parked.
    if count and (reason := rules.replica_problem(int(count), production=True)) is not None:
        yield reason


def _clear(resource: Resource) -> Iterator[str]:
    known: Sequence[str] = ()
    with suppress(NotKnownYetError):
        known = (
            ((resource.properties.get("metadata") or {}).get("annotations") or {}).get(rules.NOT_SECRETS, "").split()
        )
    for name, holder, key in _variables(resource):
        with suppress(NotKnownYetError):
            value = holder.get(key)
            if value is None:
                continue
            if (reason := rules.plaintext_secret_problem(name, str(value), known=known)) is not None:
                yield f"{name}: {reason}"


def _variables(resource: Resource) -> Iterator[tuple[str, Properties, str]]:
    """Yield for each variable its name, the mapping that contains its value, and the key there."""
    if resource.type == CONFIG_MAP:
        data = resource.properties.get("data") or {}
        yield from ((name, data, name) for name in data)
        return
    for container in _containers(resource):
        yield from ((item["name"], item, "value") for item in container.get("env", []))


def _selected(selector: Properties, labels: Properties) -> bool:
    return all(labels.get(key) == value for key, value in (selector.get("matchLabels") or {}).items())


def _selecting(kind: str, field: str) -> Callable[[Sequence[Resource]], Iterator[tuple[Resource, str]]]:
    """Return a check that every Deployment is selected by an object of a kind in its namespace."""

    def problems(resources: Sequence[Resource]) -> Iterator[tuple[Resource, str]]:
        for deployment in (each for each in resources if each.type == DEPLOYMENT):
            namespace = deployment.properties["metadata"].get("namespace")
            labels = deployment.properties["spec"]["template"]["metadata"]["labels"]
            if not any(
                each.type == kind
                and each.properties["metadata"].get("namespace") == namespace
                and _selected(each.properties["spec"][field], labels)
                for each in resources
            ):
                yield deployment, f"no {kind.rpartition(':')[2]} in its namespace selects its pods"

    return problems


# The load balancer


def _tls(resource: Resource) -> Iterator[str]:
    listener = resource.properties
    if listener.get("protocol") == "HTTP":
        if [action["type"] for action in listener["defaultActions"]] != ["redirect"]:
            yield f"port {listener['port']} serves HTTP and does not redirect to HTTPS"
    elif not _TLS.search(str(listener.get("sslPolicy"))):
        yield f"sslPolicy is {listener.get('sslPolicy')}: it allows TLS below 1.2 or ciphers without forward secrecy"


_TLS: Final = re.compile(r"-TLS13-1-[23]-(?!Ext[12])")
"""TLS 1.2 or 1.3 at least; Ext1 and Ext2 add ciphers without forward secrecy (ELB guide, security policies)."""
_HEADERS: Final = {
    "strict-transport-security": "StrictTransportSecurity",
    "content-security-policy": "ContentSecurityPolicy",
    "x-content-type-options": "XContentTypeOptions",
    "x-frame-options": "XFrameOptions",
}
"""By what AWS calls each."""


def _headers(resource: Resource) -> Iterator[str]:
    listener = resource.properties
    if listener.get("protocol") != "HTTPS":
        return
    left = ((listener.get("tags") or {}).get(rules.FROM_SERVICES) or "").split()
    missing = [
        called
        for name, called in _HEADERS.items()
        if name not in left and not listener.get(f"routingHttpResponse{called}HeaderValue")
    ]
    if missing:
        yield f"response headers not set: {', '.join(missing)}"
    if listener.get("routingHttpResponseAccessControlAllowOriginHeaderValue") == "*":
        yield "Access-Control-Allow-Origin is *"


def _balancer(resource: Resource) -> Iterator[str]:
    balancer = resource.properties
    if not balancer.get("dropInvalidHeaderFields"):
        yield "dropInvalidHeaderFields is not true"
    if not balancer.get("enableDeletionProtection"):
        yield "enableDeletionProtection is not true"
    if not balancer.get("accessLogs", {}).get("enabled"):
        yield "accessLogs.enabled is not true"


def _rate_limited(resources: Sequence[Resource]) -> Iterator[tuple[Resource, str]]:
    limited = any(
        rule.get("statement", {}).get("rateBasedStatement")
        for each in resources
        if each.type == WEB_ACL
        for rule in each.properties.get("rules", [])
    )
    used = any(each.type == WEB_ACL_USE for each in resources)
    for balancer in (each for each in resources if each.type == BALANCER):
        if not balancer.properties.get("internal") and not (limited and used):
            yield balancer, "is internet-facing without a web ACL that has a rate limit"


def _weights(resource: Resource) -> Iterator[str]:
    for action in resource.properties["actions"]:
        forward = action.get("forward")
        if forward is None:
            continue
        weights = [group.get("weight") for group in forward["targetGroups"]]
        if None in weights or sum(weights) != 100:
            yield f"weights are {', '.join(map(str, weights))}; each must be set and their sum must be 100"
        if forward.get("stickiness") is None:
            yield "stickiness is not set"


def _experiments(resource: Resource) -> Iterator[str]:
    if "experiment" not in (resource.properties.get("tags") or {}):
        return
    for action in resource.properties["actions"]:
        forward = action.get("forward") or {}
        several = sum(bool(group.get("weight")) for group in forward.get("targetGroups") or ()) > 1
        if several and not (forward.get("stickiness") or {}).get("enabled"):
            yield "shares the requests of an experiment without stickiness: its users see both colors"


def _checked(resource: Resource) -> Iterator[str]:
    check = resource.properties.get("healthCheck", {})
    if not check.get("enabled", True) or check.get("path", "/") == "/":
        yield 'healthCheck.path is "/" or health checks are off'


# What is kept, and who may touch it


def _recoverable(resource: Resource) -> Iterator[str]:
    if resource.type == SECRET_VALUE:
        yield "its value is in the Pulumi state"
    elif resource.properties.get("recoveryWindowInDays", 30) < 7:
        yield f"recoveryWindowInDays is {resource.properties['recoveryWindowInDays']}"


def _rotating(resource: Resource) -> Iterator[str]:
    if not resource.properties.get("enableKeyRotation"):
        yield "enableKeyRotation is not true"


def _private(resources: Sequence[Resource]) -> Iterator[tuple[Resource, str]]:
    names = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
    blocks = [each for each in resources if each.type == BUCKET_BLOCK]
    for block in blocks:
        if missing := [name for name in names if not block.properties.get(name)]:
            yield block, f"{', '.join(missing)} is not true"
    kept = {block.properties["bucket"] for block in blocks}
    for bucket in [each for each in resources if each.type == BUCKET]:
        if bucket.properties["bucket"] not in kept:
            yield bucket, "no BucketPublicAccessBlock refers to it"


def _immutable(resource: Resource) -> Iterator[str]:
    if resource.properties.get("imageTagMutability") != "IMMUTABLE":
        yield "imageTagMutability is not IMMUTABLE"
    if not resource.properties.get("imageScanningConfiguration", {}).get("scanOnPush"):
        yield "imageScanningConfiguration.scanOnPush is not true"


def _least(resource: Resource) -> Iterator[str]:
    if resource.type == ATTACHMENT:
        name = str(resource.properties["policyArn"]).rpartition("/")[2]
        if name in _ADMINISTRATORS:
            yield f"{name} allows far more than a service needs"
        return
    for statement in json.loads(resource.properties["policy"]).get("Statement", []):
        what, where = (statement.get(key, []) for key in ("Action", "Resource"))
        if statement.get("Effect") == "Allow" and "*" in (what, *what) and "*" in (where, *where):
            yield "a statement allows every action on every resource"


def _protected(resource: Resource) -> Iterator[str]:
    if not resource.protected:
        yield "protect is not set: a destroy would delete its data"


# Alarms


def _explained(resource: Resource) -> Iterator[str]:
    text = resource.properties.get("alarmDescription") or ""
    calls = ["On call"] if len(resource.properties.get("alarmActions") or []) else []
    if missing := [what for what in ("Severity", "Runbook", "Owner", *calls) if f"{what}: " not in text]:
        yield f"alarmDescription lacks: {', '.join(missing)}"


def _heard(resource: Resource) -> Iterator[str]:
    if not len(resource.properties.get("alarmActions") or []):
        yield "no alarm action is set"


def _encrypted(resource: Resource) -> Iterator[str]:
    if not resource.properties.get("kmsMasterKeyId"):
        yield "kmsMasterKeyId is not set"


def _watched(resources: Sequence[Resource]) -> Iterator[tuple[Resource, str]]:
    def colors(kind: str) -> set[tuple[str, str]]:
        tags = [each.properties.get("tags", {}) for each in resources if each.type == kind]
        return {(tag.get("service", ""), tag.get("color", "")) for tag in tags}

    watched = colors(COMPOSITE)
    for group in (each for each in resources if each.type == GROUP):
        tags = group.properties.get("tags", {})
        if (tags.get("service", ""), tags.get("color", "")) not in watched:
            yield group, "no alarm has its service and color"


def _services(resources: Sequence[Resource], kind: str) -> Mapping[str, Resource]:
    """Return a resource of a kind for each service that has one, by its tag."""
    tagged = {each.properties.get("tags", {}).get("service"): each for each in reversed(resources) if each.type == kind}
    return {service: each for service, each in tagged.items() if service}


def _probed(resources: Sequence[Resource]) -> Iterator[tuple[Resource, str]]:
    if all(each.properties.get("internal") for each in resources if each.type == BALANCER):
        return
    probed = _services(resources, HEALTH_CHECK)
    for service, group in _services(resources, GROUP).items():
        # Route 53 asks by HTTP/1.1, which the load balancer does not pass to pods of another protocol.
        if service not in probed and group.properties.get("protocolVersion", "HTTP1") == "HTTP1":
            yield group, f"no health check of Route 53 has the service {service}"


def _kept_lines(resources: Sequence[Resource]) -> Iterator[tuple[Resource, str]]:
    kept = _services(resources, LOG_GROUP)
    for service, group in _services(resources, GROUP).items():
        if service not in kept:
            yield group, f"no log group has the service {service}"
        elif not kept[service].properties.get("retentionInDays"):
            yield kept[service], "retentionInDays is not set, and lines are kept for ever"


# Feature flags


def _flags(resource: Resource) -> Iterator[str]:
    if resource.properties.get("type") != "AWS.AppConfig.FeatureFlags":
        return
    tags = resource.properties.get("tags") or {}
    flags = {key.removeprefix(rules.FLAG_TAG): tags[key] for key in tags if key.startswith(rules.FLAG_TAG)}
    if not flags:
        yield f"no tag {rules.FLAG_TAG}<name> says when a flag expires and whose it is"
    today = datetime.now(UTC).date()
    yield from filter(None, (rules.flag_problem(name, str(value), today=today) for name, value in flags.items()))


CHECKS: Final = (
    Check(
        name="pinned-images",
        reason="Pods run an image by digest. A tag can move to an image that staging never ran.",
        remedy="colors.<color>.image: <repository>@sha256:<digest>",
        types=(DEPLOYMENT, JOB, CRON_JOB),
        problems=_images,
    ),
    Check(
        name="resource-limits",
        reason="Containers have resource requests and a memory limit, so that none starves the others.",
        remedy="services.<name>.resources, or resources of the container",
        types=(DEPLOYMENT, JOB, CRON_JOB),
        problems=_limits,
    ),
    Check(
        name="health-probes",
        reason="Containers that take requests have startup, readiness and liveness probes.",
        remedy="services.<name>.health, or the three probes of the container",
        types=(DEPLOYMENT,),
        problems=_probes,
    ),
    Check(
        name="restricted-pods",
        reason='Pods meet the "restricted" Pod Security Standard and have a read-only root file system.',
        remedy="securityContext as in components/service/workload.py",
        types=(DEPLOYMENT, JOB, CRON_JOB),
        problems=_restricted,
    ),
    Check(
        name="graceful-shutdown",
        reason="A terminating pod serves until the load balancer has deregistered it, then finishes its requests.",
        remedy="timing.preStop and timing.gracePeriod, or lifecycle.preStop.sleep below the grace period",
        types=(DEPLOYMENT,),
        problems=_shutdown,
    ),
    Check(
        name="spread-pods",
        reason="Pods are spread over nodes and zones, so that losing one is no outage.",
        remedy="topologySpreadConstraints of the pod",
        types=(DEPLOYMENT,),
        problems=_spread,
    ),
    Check(
        name="no-downtime",
        reason="New pods are ready before old ones stop.",
        remedy="strategy.kind: rolling or blueGreen",
        types=(DEPLOYMENT,),
        problems=_in_place,
    ),
    Check(
        name="more-than-one-pod",
        reason="With a single pod, every node drain is an outage.",
        remedy="replicas.min: 2 or more",
        types=(AUTOSCALER, DEPLOYMENT),
        problems=_replicas,
    ),
    Check(
        name="no-secrets-in-clear",
        reason="Configuration is visible to everyone who may see a preview. Secrets must not be in it.",
        remedy="put the value into Secrets Manager and name its variable under secrets, or under notSecrets if only "
        "its name looks like one",
        types=(CONFIG_MAP, DEPLOYMENT, JOB, CRON_JOB),
        problems=_clear,
    ),
    Check(
        name="network-policy",
        reason="Pods can only make and accept the connections they need.",
        remedy="egress, or a NetworkPolicy that selects the pods",
        types=(DEPLOYMENT,),
        stack=_selecting(NETWORK_POLICY, "podSelector"),
    ),
    Check(
        name="disruption-budget",
        reason="A node drain evicts one pod at a time.",
        remedy="a PodDisruptionBudget that selects the pods",
        types=(DEPLOYMENT,),
        stack=_selecting(BUDGET, "selector"),
    ),
    Check(
        name="tls",
        reason="Every listener requires TLS 1.2 or newer. HTTP redirects to it.",
        remedy="sslPolicy: ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09",
        types=(LISTENER,),
        problems=_tls,
    ),
    Check(
        name="security-headers",
        reason="Responses tell browsers what a page may do and which other origin may read it.",
        remedy="the routingHttpResponse…HeaderValue arguments of the listener, or loadBalancer.headersFromServices; "
        "loadBalancer.corsOrigin for one origin",
        types=(LISTENER,),
        problems=_headers,
    ),
    Check(
        name="careful-load-balancer",
        reason="The load balancer drops invalid headers, writes access logs and has deletion protection.",
        remedy="loadBalancer.accessLogs: true, loadBalancer.deletionProtection: true",
        types=(BALANCER,),
        problems=_balancer,
    ),
    Check(
        name="rate-limit",
        reason="An internet-facing load balancer limits the request rate of each client.",
        remedy="loadBalancer.waf: true",
        types=(BALANCER,),
        stack=_rate_limited,
    ),
    Check(
        name="explicit-weights",
        reason="A rule sets every weight and its stickiness. AWS fills in what is missing, and no preview shows it.",
        remedy="weight of each target group, together 100, and a stickiness block",
        types=(LISTENER_RULE,),
        problems=_weights,
    ),
    Check(
        name="sticky-experiments",
        reason="Whoever is in an experiment sees one color for all of it.",
        remedy="services.<service>.experiment, in place of canaryWeight",
        types=(LISTENER_RULE,),
        problems=_experiments,
    ),
    Check(
        name="health-checks",
        reason="The load balancer checks that a pod can serve before it sends requests.",
        remedy="health.path, such as /health/ready",
        types=(GROUP,),
        problems=_checked,
    ),
    Check(
        name="secret-containers",
        reason="Pulumi manages secrets without their values, and a deleted secret can be restored.",
        remedy="hueshift secrets put for values; recoveryWindowInDays: 7 or more",
        types=(SECRET, SECRET_VALUE),
        problems=_recoverable,
    ),
    Check(
        name="key-rotation",
        reason="AWS rotates the key material every year.",
        remedy="enableKeyRotation: true",
        types=(KEY,),
        problems=_rotating,
    ),
    Check(
        name="private-buckets",
        reason="No bucket can be made public, not even by mistake.",
        remedy="a BucketPublicAccessBlock with all four set to true",
        types=(BUCKET, BUCKET_BLOCK),
        stack=_private,
    ),
    Check(
        name="immutable-tags",
        reason="A tag never moves to another build, and pushed images are scanned for vulnerabilities.",
        remedy="imageTagMutability: IMMUTABLE, imageScanningConfiguration.scanOnPush: true",
        types=(REPOSITORY,),
        problems=_immutable,
    ),
    Check(
        name="least-privilege",
        reason="A role allows only what its pods need.",
        remedy="a policy that names actions and resources, in policyArns",
        types=(ATTACHMENT, *POLICIES),
        problems=_least,
    ),
    Check(
        name="protected",
        reason="Resources with data are protected from a destroy.",
        remedy="ResourceOptions(protect=True)",
        types=(SECRET, KEY, BUCKET),
        problems=_protected,
    ),
    Check(
        name="explained-alarms",
        reason="An alarm names its severity, owner and runbook, and one with actions also who is on call.",
        remedy="alerts.onCall and alerts.owner; alarmDescription as in components/observe/alert_rules.py",
        types=(ALARM, COMPOSITE),
        problems=_explained,
    ),
    Check(
        name="heard-alarms",
        reason="Every composite alarm notifies somebody.",
        remedy="alerts.topicArns or alerts.subscriptions",
        types=(COMPOSITE,),
        problems=_heard,
    ),
    Check(
        name="encrypted-topics",
        reason="Alarm notifications are encrypted at rest.",
        remedy="kmsMasterKeyId of the topic",
        types=(TOPIC,),
        problems=_encrypted,
    ),
    Check(
        name="watched-colors",
        reason="Every color has alarms, also the idle one: it is the rollback target.",
        remedy="an AlertRules component for the color",
        types=(GROUP, COMPOSITE),
        stack=_watched,
    ),
    Check(
        name="probed-hosts",
        reason="Every service that the internet reaches is probed from outside.",
        remedy="services.<name>.uptime.enabled: true",
        types=(BALANCER, GROUP, HEALTH_CHECK),
        stack=_probed,
    ),
    Check(
        name="kept-logs",
        reason="The lines that pods write are collected and kept for a known time.",
        remedy="logs.retentionDays, such as 90",
        types=(GROUP, LOG_GROUP),
        stack=_kept_lines,
    ),
    Check(
        name="current-flags",
        reason="A feature flag has an owner, and is gone from the code by the day on which it expires.",
        remedy="remove the flag from the code, then from services.<name>.flags; or flags.<name>.expires: a later day",
        types=(FLAG_PROFILE,),
        problems=_flags,
        blocks=False,
    ),
)
