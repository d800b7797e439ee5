"""Readiness rules as plain predicates with reasons, for the settings, the constructors, the gate and the policies.

A predicate about one value answers with the reason why it is refused, or ``None``; one about several answers with a
list of problems. A reason says what is wrong, the value, what is allowed, and what mends it.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from ipaddress import IPv4Network
from typing import Final, NamedTuple

from components.model import (
    ALARM_PERIOD,
    ALARM_PERIODS,
    CERTIFICATES,
    CERTIFIED_SERVICES,
    MAX_SERVICES,
    Color,
    RuleKind,
    Strategy,
    StrategyKind,
    Timing,
    alarm_name,
    color_host,
    precedence,
)


class Problem(NamedTuple):
    """A refused setting: its key, camelCase and relative to what was judged, and the reason."""

    key: str
    reason: str


def is_production(environment: str) -> bool:
    """Whether the strict rules hold: ``production``, ``prod-eu`` and ``eu-production``, but not ``pre-production``."""
    words = set(environment.split("-"))
    return not words.isdisjoint({"prod", "production"}) and words.isdisjoint({"non", "pre"})


# Names

_LABEL: Final = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
_HOST_LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_HOST_LIMIT: Final = 128 - max(len(color_host(color, "")) for color in Color)
"""An ALB's host condition has at most 128 characters, and the color's own host must fit as well."""


def label_problem(name: str, *, limit: int) -> str | None:
    """Kubernetes names that also name Services: DNS labels that begin with a letter (RFC 1035)."""
    if len(name) <= limit and _LABEL.fullmatch(name):
        return None
    return (
        f"{name!r} is no usable name; allowed are at most {limit} lowercase letters, digits and hyphens, "
        "a letter first and no hyphen last"
    )


_ENVIRONMENT_LIMIT: Final = 22
_SERVICE_LIMIT: Final = 40
"""Together the 63 characters of a namespace; and a service's name has room for a color and an ending."""


def environment_problem(environment: str) -> str | None:
    """The name of an environment; the stack's name, if the settings state none."""
    return label_problem(environment, limit=_ENVIRONMENT_LIMIT)


def service_problem(service: str) -> str | None:
    """The name of a service."""
    return label_problem(service, limit=_SERVICE_LIMIT)


def entry_problem(entry: str) -> str | None:
    """The name of an entry in Secrets Manager below its service."""
    return label_problem(entry, limit=16)


def namespace_problem(name: str) -> str | None:
    """The name of something that the cluster has already (RFC 1123)."""
    if len(name) <= 63 and re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", name):
        return None
    return f"{name!r} is no name in Kubernetes; allowed are at most 63 lowercase letters, digits and hyphens"


def host_problem(host: str) -> str | None:
    """An exact DNS name of two labels or more; no wildcard, since each color needs a host of its own below it."""
    if len(host) > _HOST_LIMIT:
        return f"a host of {len(host)} characters is too long; at most {_HOST_LIMIT}, so that green.<host> has 128"
    labels = host.split(".")
    if len(labels) < 2:
        return f"{host!r} has no dot; the load balancer matches only names such as shop.example.com"
    if not all(map(_HOST_LABEL.fullmatch, labels)):
        return f"{host!r} is no host name; allowed are lowercase letters, digits, hyphens and dots"
    return None


def zone_problem(host: str, *, zone: str) -> str | None:
    """A host whose records are made in a hosted zone must be in it."""
    if host == zone or host.endswith(f".{zone}"):
        return None
    return f"{host!r} is not in dns.zone ({zone}); name a host below {zone}, or remove dns and give a certificateArn"


RESERVED_VARIABLES: Final = {"PORT", "APP_VERSION", "APP_COLOR", "KEEP_ALIVE_SECONDS", "SHUTDOWN_SECONDS"}
"""What every pod is given by its color; the same name from elsewhere would have no effect."""


def env_name_problem(name: str) -> str | None:
    """What every shell and container runtime takes as the name of an environment variable, and is not taken."""
    if name in RESERVED_VARIABLES:
        return "set by port, version and timing already; remove it here"
    if re.fullmatch(r"[A-Z_][A-Z0-9_]*", name):
        return None
    return (
        "not the name of an environment variable; allowed are capital letters, digits and underscores, no digit first"
    )


def version_problem(version: str) -> str | None:
    """A semantic version."""
    try:
        precedence(version)
    except ValueError as error:
        return str(error)
    return None


def schema_problem(schema: str) -> str | None:
    """Four digits, so that the order of migrations is the order of their names."""
    return (
        None
        if re.fullmatch(r"[0-9]{4}", schema)
        else f'{schema!r} is no schema id; allowed are four digits, such as "0002"'
    )


# Images

_REFERENCE: Final = re.compile(
    r"(?P<repository>(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::[0-9]+)?/)?"
    r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*)*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?"
    r"(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
_GIT_SHA: Final = re.compile(r"[0-9a-f]{7,40}")


def image_problem(image: str, *, production: bool) -> str | None:
    """An image must be one build for ever: a digest, or outside production a tag that nobody moves."""
    reference = _REFERENCE.fullmatch(image)
    if reference is None:
        return f"{image!r} is no image reference; allowed is repository@sha256:<64 hex digits> or repository:tag"
    if reference["digest"]:
        return None
    tag = reference["tag"]
    if production:
        return (
            f"{image!r} can change its content; production takes only the digest that staging ran, "
            f"{reference['repository']}@sha256:<64 hex digits>"
        )
    if tag is None or tag == "latest":
        what = "has no tag, which means latest" if tag is None else "has the tag latest"
    elif _GIT_SHA.fullmatch(tag) or version_problem(tag.removeprefix("v")) is None:
        return None
    else:
        what = f"has the tag {tag}, neither a version nor a commit"
    return f"{image!r} {what}; use a digest (@sha256:…), a semantic version (:1.4.0) or a git SHA (:3f2c1ab)"


def build_problem(_build: object, *, production: bool) -> str | None:
    """Production runs what staging ran, which is never what is built there again."""
    if not production:
        return None
    return "is not for production, which takes only the digest that staging ran; set image in its place"


def untried_problem(image: str, *, service: str, ran: Collection[str]) -> str | None:
    """An image by digest must have run in staging, as the record says; one without is refused for that already."""
    digest = image.partition("@")[2]
    if not digest or digest in ran:
        return None
    return (
        f"{digest[:19]}… never ran in staging, as releases.json says; deploy it there, then record it with "
        f"`hueshift image record {service} --stack staging`"
    )


def folder_problem(path: str) -> str | None:
    """A path below the project, the same on every machine."""
    if re.fullmatch(r"[\w.][\w./-]*", path) and ".." not in path.split("/"):
        return None
    return f"{path!r} is no path below the project; allowed is one such as app or docker/Dockerfile"


# Sizes


def replica_problem(minimum: int, *, production: bool) -> str | None:
    """A single pod is an outage whenever its node is drained."""
    least = 2 if production else 1
    if minimum >= least:
        return None
    return f"{minimum} is too few; at least {least}" + (" in production, so that one pod can go" if production else "")


def maximum_problem(maximum: int, *, minimum: int) -> str | None:
    """A color must be allowed the pods that it must have."""
    return None if maximum >= minimum else f"{maximum} is less than min ({minimum}); raise max to {minimum} or more"


def cpu_problem(cpu: str) -> str | None:
    """A Kubernetes CPU quantity in cores or millicores."""
    if re.fullmatch(r"[1-9][0-9]*m?|0?\.[0-9]*[1-9][0-9]*|[1-9][0-9]*\.[0-9]+", cpu):
        return None
    return f"{cpu!r} is no amount of CPU; allowed are millicores such as 250m or cores such as 0.5 or 2"


def memory_problem(memory: str) -> str | None:
    """A Kubernetes memory quantity with its unit: a bare number means bytes, and ``m`` thousandths of one."""
    if re.fullmatch(r"[1-9][0-9]*(?:[MG]i?)", memory):
        return None
    return f"{memory!r} is no amount of memory; allowed are a number and Mi, Gi, M or G, such as 128Mi"


def cidr_problem(cidr: str) -> str | None:
    """An IPv4 network with its prefix length, without host bits; the load balancer has no IPv6 address."""
    try:
        IPv4Network(cidr)
    except ValueError:
        return (
            f"{cidr!r} is no IPv4 network; allowed is an address without host bits and a prefix length, such as "
            "10.0.0.0/16"
        )
    return None if "/" in cidr else f"{cidr!r} has no prefix length; for one address write {cidr}/32"


def test_port_problem(port: int) -> str | None:
    """A port of the load balancer that the production listeners leave free."""
    if 1 <= port <= 65535 and port not in (80, 443):
        return None
    return f"{port} is no port for the test listener; allowed are 1 to 65535 without 80 and 443"


def subnets_problem(subnets: Sequence[str]) -> str | None:
    """A load balancer stands in two availability zones or more (ELBv2 CreateLoadBalancer)."""
    if len(set(subnets)) >= 2:
        return None
    return f"{len(set(subnets))} is too few; at least 2 subnets, in different availability zones"


def private_cidr_problem(cidr: str) -> str | None:
    """A network of callers of the test listener, which must not be the whole internet."""
    if (reason := cidr_problem(cidr)) is not None:
        return reason
    return (
        f"{cidr!r} opens the test listener to the world; name the networks that test" if cidr.endswith("/0") else None
    )


PRIVATE: Final = tuple(map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))
"""Networks of no address that the internet knows (RFC 1918)."""
_NOT_PUBLIC: Final = (*PRIVATE, *map(IPv4Network, ("100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16")))
"""And those of carriers, of the own machine and of the link (RFC 6598, 1122, 3927)."""


def testers_problem(cidrs: Sequence[str], *, internet_facing: bool) -> str | None:
    """An internet-facing load balancer has public addresses, and its callers within the VPC come through NAT."""
    public = [
        cidr
        for cidr in cidrs
        if cidr_problem(cidr) or not any(IPv4Network(cidr).subnet_of(network) for network in _NOT_PUBLIC)
    ]
    if not internet_facing or not cidrs or public:
        return None
    return (
        f"{', '.join(cidrs)}: nobody reaches an internet-facing load balancer from a private address, runners "
        "of the VPC come with the public addresses of their NAT gateways; name those, such as 203.0.113.10/32"
    )


def services_problem(count: int, *, certificates_issued: bool) -> str | None:
    """One load balancer has room for so many services, by its quotas for rules and for certificates."""
    by_rules = f"{MAX_SERVICES}, as each takes {len(RuleKind)} of the 100 rules of the load balancer (quota L-7EED9B64)"
    by_certificates = (
        f"{CERTIFIED_SERVICES}, as each has a certificate on two listeners, of {CERTIFICATES} for the load balancer "
        "(quota L-9365A611): give one loadBalancer.certificateArn for all hosts, or"
    )
    most, why = (CERTIFIED_SERVICES, by_certificates) if certificates_issued else (MAX_SERVICES, f"{by_rules}:")
    if 1 <= count <= most:
        return None
    return f"{count} services; allowed are 1 to {why} move some to another stack"


def network_problems(
    *, vpc_id: str | None, subnet_ids: Sequence[str] | None, others: Mapping[str, object | None]
) -> list[Problem]:
    """A VPC and its subnets are named in exactly one way; ``others`` are the ways beside the two ids."""
    ways = [key for key, value in others.items() if value is not None]
    given = {"vpcId": vpc_id, "subnetIds": subnet_ids}
    ids = [key for key, value in given.items() if value is not None]
    if len(ways) + bool(ids) > 1:
        return [Problem("", f"{', '.join([*ids, *ways])} exclude each other; keep vpcId with subnetIds, or one other")]
    if ways:
        return []
    advice = "is required, or in place of both ids lookup (by tags) or stackReference"
    return [Problem(key, advice) for key, value in given.items() if value is None]


def header_problem(value: str) -> str | None:
    """What a load balancer takes as the value of a response header (ELBv2 ListenerAttribute)."""
    if 1 <= len(value) <= 1024 and value.isprintable() and value.isascii():
        return None
    return "is no header value; allowed are 1 to 1024 printable ASCII characters on one line"


def cors_problem(origin: str) -> str | None:
    """One origin that may read answers; ``*`` would be all the world."""
    if re.fullmatch(r"https://[a-z0-9.-]+(:[0-9]{1,5})?", origin):
        return None
    return f"{origin!r} is no single origin; allowed is one such as https://www.example.com, without a path"


# Traffic


def colors_problems(colors: Collection[Color], *, strategy: Strategy) -> list[Problem]:
    """Blue/green takes both colors, any other strategy one."""
    if strategy.kind is StrategyKind.BLUE_GREEN:
        reason = "is required, and may repeat the image of the other color with parked: true"
        return [Problem(color, reason) for color in Color if color not in colors]
    if len(colors) == 1:
        return []
    what = f"{len(colors)} colors, but {strategy.kind} works in place; keep one of blue and green"
    return [Problem("", f"{what}, or set strategy.kind to {StrategyKind.BLUE_GREEN}")]


def downtime_problem(strategy: Strategy, *, production: bool) -> str | None:
    """``recreate`` answers nobody while it runs."""
    if strategy.kind is not StrategyKind.RECREATE or not production or strategy.allow_downtime:
        return None
    return (
        "recreate stops all pods before the new ones start, and users get 503 meanwhile; use rolling or blueGreen, or "
        "accept it with strategy.allowDowntime: true"
    )


def surge_problem(strategy: Strategy) -> str | None:
    """A rolling update needs room above or below the wanted number (Kubernetes, RollingUpdateDeployment)."""
    if strategy.kind is not StrategyKind.ROLLING or strategy.max_surge or strategy.max_unavailable:
        return None
    return "0 with maxUnavailable 0 leaves no room to move; raise one of them, maxSurge unless capacity is short"


def parked_problem(color: Color, *, active: Color, canary_weight: int) -> str | None:
    """A parked color has no pods: traffic for it would be answered 503."""
    if color is active:
        return f"true, but activeColor is {color}; set parked to false, or the service's activeColor to {color.other}"
    if canary_weight > 0:
        return f"true, but canaryWeight is {canary_weight}; set parked to false, or the service's canaryWeight to 0"
    return None


# Secrets

_SECRET_NAME: Final = re.compile(
    r"(PASSWORD|PASSWD|PASSPHRASE|PWD|SECRET|TOKEN|CREDENTIAL|APIKEY|(?<!PUBLIC)_KEY|^KEY)S?[0-9]*$"
)
_SECRET_VALUES: Final = {
    "a URL with a password": re.compile(r"[a-z][a-z0-9+.-]*://[^/\s:@]*:[^/\s@]+@", re.IGNORECASE),
    "an AWS access key id": re.compile(r"\b(AKIA|ASIA)[A-Z0-9]{16}\b"),
    "a private key or certificate": re.compile(r"-----BEGIN [A-Z ]+-----"),
    "a signed token": re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]+"),
    "an access token": re.compile(r"\b(gh[opsru]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{20,}|xox[abprs]-[\w-]{10,})"),
}


def secret_kind(value: str) -> str | None:
    """What kind of secret a text looks like."""
    return next((kind for kind, pattern in _SECRET_VALUES.items() if pattern.search(value)), None)


def plaintext_secret_problem(name: str, value: str) -> str | None:
    """A secret in clear, told by the name of its variable or by its form; the reason never repeats the value."""
    if (kind := secret_kind(value)) is not None:
        found = f"the value looks like {kind}"
    elif _SECRET_NAME.search(name):
        found = "the name is that of a secret"
    else:
        return None
    return f"{found}, and everybody can read this file; put it into Secrets Manager and name {name} under secrets"


def secret_version_problem(version: str, *, external: bool = False) -> str | None:
    """The id of a version in Secrets Manager (32 to 64 characters, GetSecretValue API); never repeats the value.

    An ``external`` store has versions of its own, such as the numbers of Vault's KV engine.
    """
    if external:
        return (
            None
            if re.fullmatch(r"[\w./-]{1,64}", version)
            else "not a version; allowed is what the store calls it, such as 3"
        )
    if re.fullmatch(r"[A-Za-z0-9-]{32,64}", version):
        return None
    return "not a version id; allowed is what `aws secretsmanager list-secret-version-ids` prints, 32 to 64 characters"


# Time


def timing_problems(timing: Timing) -> list[Problem]:
    """The chain that keeps requests from being lost; each link with both numbers and the key to raise.

    Sources: preStop and deregistration, alphagov/govuk-helm-charts PR 4033 and aws-load-balancer-controller issue 1719;
    limits, ELBv2 API (deregistration_delay.timeout_seconds, TargetGroupStickinessConfig).
    """
    t = timing
    problems = [
        Problem(key, f"{value} s is out of range; allowed are {least} to {most} s")
        for key, value, least, most in (
            ("longestRequest", t.longest_request, 1, 3600),
            ("deregistrationDelay", t.deregistration_delay, 0, 3600),
            ("keepAlive", t.keep_alive, 1, 86_400),
            ("stickiness", t.stickiness, 0, 604_800),
        )
        if not least <= value <= most
    ]
    alarm = ALARM_PERIOD * ALARM_PERIODS
    for key, value, least, meaning, why in (
        (
            "deregistrationDelay",
            t.deregistration_delay,
            t.longest_request,
            f"at least longestRequest ({t.longest_request} s)",
            "the load balancer cuts off requests in flight",
        ),
        (
            "preStop",
            t.pre_stop,
            t.deregistration_delay + 1,
            f"more than deregistrationDelay ({t.deregistration_delay} s)",
            "a pod stops while the load balancer still sends to it",
        ),
        (
            "gracePeriod",
            t.grace_period,
            t.shutdown,
            f"at least preStop + longestRequest + margin ({t.shutdown} s)",
            "a pod is killed with requests in flight",
        ),
        (
            "bake",
            t.bake,
            alarm,
            f"at least alarm period by evaluation periods ({alarm} s)",
            "a step ends before an alarm can see it",
        ),
        (
            "keepOld",
            t.keep_old,
            t.overlap,
            f"at least deregistrationDelay + longestRequest + bake ({t.overlap} s)",
            "the old color is gone while it is still needed",
        ),
    ):
        if value < least:
            problems.append(Problem(key, f"{value} s is too short, or {why}; {meaning}: raise {key} to {least}"))
    return problems


def keep_alive_problem(keep_alive: int, *, idle_timeout: int) -> str | None:
    """The load balancer must be the first to close an idle connection, else its next request there is answered 502."""
    if keep_alive > idle_timeout:
        return None
    return (
        f"{keep_alive} s is too short, or the load balancer reuses connections that the service has closed; "
        f"more than loadBalancer.idleTimeout ({idle_timeout} s): raise keepAlive to {idle_timeout + 1}"
    )


def longest_request_problem(longest_request: int, *, idle_timeout: int) -> str | None:
    """While a service works on an answer its connection is idle to the load balancer, which then answers 504."""
    if longest_request < idle_timeout:
        return None
    return (
        f"{longest_request} s is too long, the load balancer gives up first; less than loadBalancer.idleTimeout "
        f"({idle_timeout} s): raise loadBalancer.idleTimeout to {longest_request + 1}"
    )


def interval_problem(interval: int, *, timeout: int) -> str | None:
    """A health check must have ended before the next begins."""
    if interval > timeout:
        return None
    return f"{interval} s is too short; more than health.timeout ({timeout} s): raise interval to {timeout + 1}"


def await_problem(await_timeout: int, *, interval: int, threshold: int) -> str | None:
    """An update must wait longer than a healthy target takes to be called healthy."""
    needed = interval * threshold
    if await_timeout > needed:
        return None
    return (
        f"{await_timeout} s is too short, or every update gives up on a healthy color; more than "
        f"health.interval by health.healthyThreshold ({needed} s): raise awaitTimeout to {needed + 1}"
    )


# Alarms


def alert_problems(on_call: str | None, *, listeners: int) -> list[Problem]:
    """In production an alarm must reach a person: ``listeners`` are topics and subscriptions."""
    problems = []
    if not on_call:
        problems.append(Problem("onCall", "is required in production: who is called and how, as every alarm says it"))
    if not listeners:
        problems.append(
            Problem("subscriptions", "is required in production, or topicArns: nobody would hear of an alarm")
        )
    return problems


# The gate before the production rule


class ColorAlarms(NamedTuple):
    """The states of a color's alarms in CloudWatch's words; None for an alarm that does not exist."""

    composite: str | None
    canary_errors: str | None

    @property
    def trouble(self) -> int:
        """How bad it is: 2 for what a person would be called for, 1 for what a canary is judged by."""
        return 2 if self.composite == "ALARM" else 1 if self.canary_errors == "ALARM" else 0

    @property
    def known(self) -> bool:
        """Whether both say something; the composite alone is OK already while its children know nothing yet."""
        return {self.composite, self.canary_errors} <= {"OK", "ALARM"}


def traffic_gate(
    *,
    service: str,
    namespace: str,
    old: Mapping[Color, int],
    new: Mapping[Color, int],
    live: Mapping[Color, int],
    healthy: Mapping[Color, int],
    minimum: int,
    environment: str,
    alarms: Mapping[Color, ColorAlarms],
    live_actions: str = "",
    old_actions: str = "",
) -> list[str]:
    """Why the weights of a service may not change from ``old`` (the state's) to ``new``; empty if they may.

    ``live`` are the weights that the load balancer holds now, ``healthy`` the healthy targets of each color, and
    ``minimum`` how many of them a color needs before it gets more traffic; one is enough where it takes the traffic of
    a color in trouble. If ``live`` is already what is wanted (an emergency rollback wrote it), nothing moves and
    nothing is refused. ``alarms`` are of both colors of a service that has two; where there is one, no traffic moves
    between colors and none are asked. ``live_actions`` and ``old_actions`` say what the rule does, live and by the
    state, besides sharing requests between the colors: a fixed response, for one.
    """
    if _shown(live) == _shown(new) and live_actions in ("", old_actions):
        return []
    refusals = []
    if (_shown(live), live_actions) != (_shown(old), old_actions):
        refusals.append(
            f"{service}: the load balancer has {_shown(live, live_actions)}, but the state says "
            f"{_shown(old, old_actions)}: somebody else moved the traffic; look at it with `pulumi refresh --diff`, "
            "then run `pulumi up` again"
        )
    gaining = {
        color: new.get(color.other, 0) < old.get(color.other, 0) for color in new if new[color] > old.get(color, 0)
    }
    for color, moves in gaining.items():
        needed = 1 if moves and alarms[color.other].trouble else minimum
        if healthy.get(color, 0) < needed:
            refusals.append(
                f"{service}: {color} would go from {old.get(color, 0)} to {new[color]} percent with "
                f"{healthy.get(color, 0)} healthy targets, and needs {needed}; a rollback is held to this too, but "
                "needs only one while an alarm of the color that it leaves is on; look with `kubectl get pods "
                f"--namespace {namespace} --selector app.kubernetes.io/name={service},hueshift.dev/color={color}`"
            )
    refusals.extend(
        refusal
        for color, moves in gaining.items()
        if moves and (refusal := alarm_refusal(color, alarms=alarms, service=service, environment=environment))
    )
    return refusals


def alarm_refusal(color: Color, *, alarms: Mapping[Color, ColorAlarms], service: str, environment: str) -> str | None:
    """Why the alarms of a service allow ``color`` no more traffic.

    A color may be in no more trouble than the one that loses the traffic, and of a color that nothing is known of the
    worst is assumed. So the way back from a color in trouble is never refused, whatever is known of the other; and what
    is not known of the color that is left is no reason to stay.
    """
    gains, loses = alarms[color], alarms[color.other]
    composite = alarm_name(environment, service, color)
    canary_errors = alarm_name(environment, service, color, "canary-errors")
    look = (
        "look with `aws cloudwatch describe-alarms --alarm-types CompositeAlarm MetricAlarm --alarm-name-prefix "
        f"{composite} --query '[CompositeAlarms, MetricAlarms][].[AlarmName, StateValue, StateReason]'`"
    )
    if gains.trouble > loses.trouble:
        name = composite if gains.composite == "ALARM" else canary_errors
        return (
            f"{service}: {color} would get more traffic while its alarm {name} is on and {color.other} is better off; "
            f"{look}"
        )
    if gains.known or loses.trouble:
        return None
    states = {composite: gains.composite, canary_errors: gains.canary_errors}
    unknown = ", ".join(
        f"{name} {'does not exist' if state is None else f'is {state}'}"
        for name, state in states.items()
        if state not in ("OK", "ALARM")
    )
    remedy = (
        "a new alarm knows its color after five minutes: wait, then run `pulumi up` again"
        if None not in states.values()
        else "bring the alarms up first, with the weights as they are, wait five minutes, then move the traffic"
    )
    return f"{service}: nothing is known of {color}, which would get more traffic: {unknown}; {remedy}; {look}"


def _shown(weights: Mapping[Color, int], actions: str = "") -> str:
    shares = ", ".join(f"{color} {weights.get(color, 0)}" for color in Color)
    return f"{shares} and {actions}" if actions else shares


# Certificates


def certificate_problem(host: str) -> str | None:
    """A host that a certificate is issued for (ACM RequestCertificate, DomainName: 64 characters, from RFC 5280)."""
    if len(host) <= 64:
        return None
    return (
        f"a host of {len(host)} characters is too long for a certificate of its own; shorten it to 64, or give a "
        "loadBalancer.certificateArn"
    )
