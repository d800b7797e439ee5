"""Readiness rules as plain predicates with reasons, for the settings, the constructors, the gate and the policies.

A predicate about one value answers with the reason why it is refused, or ``None``; one about several answers with a
list of problems. A reason says what is wrong, the value, what is allowed, and what mends it.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from ipaddress import AddressValueError, IPv4Network, NetmaskValueError, collapse_addresses
from typing import Final, NamedTuple

from components.model import (
    ALARM_PERIOD,
    ALARM_PERIODS,
    CERTIFICATES,
    CERTIFIED_SERVICES,
    MAX_SERVICES,
    SHUTDOWN_MARGIN,
    Color,
    Given,
    Health,
    Replicas,
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


def is_production(environment: str, stated: bool | None = None) -> bool:
    """Whether the strict rules hold: as ``stated`` by the key production, else as the name says.

    By name ``production``, ``prod-eu`` and ``eu-production`` are, ``pre-production`` is not.
    """
    if stated is not None:
        return stated
    words = set(environment.split("-"))
    return not words.isdisjoint({"prod", "production"}) and words.isdisjoint({"non", "pre"})


_LIKE_PRODUCTION: Final = re.compile(r"[a-z0-9]*(prod|prd|production)[0-9]*|(pre|non)?live[0-9]*")


def production_problem(environment: str) -> str | None:
    """A name that may mean production or not, such as ``prd``, ``live`` or ``preprod``: nobody should guess."""
    words = environment.split("-")
    if is_production(environment) or not {"non", "pre"}.isdisjoint(words):
        return None
    if not any(map(_LIKE_PRODUCTION.fullmatch, words)):
        return None
    return (
        f"is required for an environment named {environment}: true for the strict rules (images by digest, two pods or "
        "more, policies that block), false for none of them"
    )


# Text

_GO_TIME: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)? [+-][0-9]{4} (UTC|[+-][0-9]{4})"
)
"""How the engine hands over a date that YAML read as one (Go, time.Time.String)."""
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_CONTROLS_BUT_LINES: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters, and halves of a character, which are no text in UTF-8."""


def text_problem(text: str, *, lines: bool = False) -> str | None:
    """Text that was written as it is here, and that AWS, Kubernetes and a process can take; never repeats it.

    ``lines`` allows the end of a line and a tab.
    """
    if _GO_TIME.fullmatch(text):
        return "was a date without quotes, which YAML has changed; it must be text in quotes"
    found = (_CONTROLS_BUT_LINES if lines else _CONTROLS).search(text)
    return f"has the character U+{ord(found[0]):04X}, which no text here may have; remove it" if found else None


def phrase_problem(text: str) -> str | None:
    """A line for people, which also becomes a part of an alarm's description (1,024 characters in CloudWatch)."""
    return None if 1 <= len(text) <= 256 else f"has {len(text)} characters; allowed are 1 to 256"


_TAG: Final = re.compile(r"[\w .:/=+@-]*")
"""What every service of AWS takes in a tag, letters of any script among them (Tagging AWS Resources)."""


def tag_value_problem(value: str) -> str | None:
    """The value of a tag."""
    if 1 <= len(value) <= 256 and _TAG.fullmatch(value):
        return None
    return "is no value of a tag; allowed are 1 to 256 letters, digits, spaces and . : / = + - @ _"


def filter_problem(tags: Mapping[str, str]) -> str | None:
    """Tags by which something is looked up; of a wildcard more than the one that was meant may be found.

    EC2 allows any character in a tag of its own, and what CloudFormation made has keys that begin with ``aws:``.
    """
    if not tags:
        return "is empty, which finds anything; name one tag or more"
    for key, value in tags.items():
        if not 1 <= len(key) <= 128 or len(value) > 256:
            return "has a tag that AWS cannot have; allowed are 1 to 128 characters for its key, 256 for its value"
        if not {"*", "?", "\\"}.isdisjoint(key + value):
            return "has a wildcard (* ? \\), which may find another one; write the tag as it is"
    return None


def repeated_problem(items: Sequence[object]) -> str | None:
    """A list names each thing once: AWS refuses most of what comes twice, and it is a slip of the hand in the rest."""
    seen: dict[object, int] = {}
    for place, item in enumerate(items):
        if (first := seen.setdefault(item, place)) != place:
            return f"items {first} and {place} are the same; name each once"
    return None


def empty_problem(items: Collection[object]) -> str | None:
    """A list that means nothing, or all, when it is empty."""
    return None if items else "is empty; name one or more"


# Names

_LABEL: Final = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
_HOST_LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_LAST_LABEL: Final = re.compile(r"[a-z]{1,63}")
"""Of a host (ELBv2 HostHeaderConditionConfig: "only alphabetical characters after the final dot")."""
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
    """The name of an environment; the stack's name, if the settings state none.

    It begins every namespace, and those that begin with ``kube-`` belong to Kubernetes.
    """
    if environment.split("-")[0] == "kube":
        return f"{environment!r} is no usable name: namespaces that begin with kube- belong to Kubernetes"
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


_LABEL_NAME: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?", re.ASCII)
_SUBDOMAIN: Final = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
RESERVED_LABELS: Final = {f"app.kubernetes.io/{name}" for name in ("name", "part-of", "managed-by")}
"""What all that belongs to a service has, with those under ``hueshift.dev/``."""


def label_key_problem(key: str) -> str | None:
    """The name of a label in Kubernetes, and none that is set already (Kubernetes, labels and selectors)."""
    if key in RESERVED_LABELS or key.startswith("hueshift.dev/"):
        return f"{key!r} is set already, by the program; remove it here"
    prefix, slash, name = key.rpartition("/")
    if _LABEL_NAME.fullmatch(name) and (not slash or (len(prefix) <= 253 and _SUBDOMAIN.fullmatch(prefix))):
        return None
    return (
        f"{key!r} is no name of a label; allowed are at most 63 letters, digits, dots, hyphens and underscores, a "
        "letter or digit first and last, after a DNS name and a slash if need be, such as example.com/release"
    )


def label_value_problem(value: str) -> str | None:
    """The value of a label in Kubernetes, which may be empty."""
    if not value or _LABEL_NAME.fullmatch(value):
        return None
    return (
        f"{value!r} is no value of a label; allowed are at most 63 letters, digits, dots, hyphens and underscores, a "
        "letter or digit first and last"
    )


def host_problem(host: str) -> str | None:
    """An exact DNS name of two labels or more; no wildcard, since each color needs a host of its own below it."""
    if len(host) > _HOST_LIMIT:
        return f"a host of {len(host)} characters is too long; at most {_HOST_LIMIT}, so that green.<host> has 128"
    labels = host.split(".")
    if len(labels) < 2:
        return f"{host!r} has no dot; the load balancer matches only names such as shop.example.com"
    if not all(map(_HOST_LABEL.fullmatch, labels)):
        return f"{host!r} is no host name; allowed are lowercase letters, digits, hyphens and dots"
    if not _LAST_LABEL.fullmatch(labels[-1]):
        return f"{host!r} ends in {labels[-1]}; the load balancer takes only letters after the last dot"
    return None


def zone_problem(host: str, *, zone: str) -> str | None:
    """A host whose records are made in a hosted zone must be in it."""
    if host == zone or host.endswith(f".{zone}"):
        return None
    return f"{host!r} is not in dns.zone ({zone}); name a host below {zone}, or remove dns and give a certificateArn"


def env_name_problem(name: str) -> str | None:
    """What every shell and container runtime takes as the name of an environment variable, and is not taken."""
    if name in set(Given):
        return "set by the program already; remove it here"
    if len(name) <= 253 and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        return None
    return "not the name of an environment variable; allowed are letters, digits and underscores, no digit first"


_VARIABLE_LIMIT: Final = 128 * 1024 - 1
"""Bytes of ``NAME=value`` with its end, of which Linux takes 32 pages (execve(2), MAX_ARG_STRLEN)."""
_VARIABLES_LIMIT: Final = 1024 * 1024
"""Bytes of a ConfigMap, in which they reach the pods (Kubernetes, MaxSecretSize)."""


def variables_problem(values: Mapping[str, str]) -> str | None:
    """Whether a process can be started with all of these."""
    sizes = {name: len(value.encode(errors="replace")) for name, value in values.items()}
    if sum(sizes.values()) > _VARIABLES_LIMIT:
        return f"has {sum(sizes.values())} bytes; allowed are {_VARIABLES_LIMIT}: give the service a file or a store"
    for name, size in sizes.items():
        if len(name) + 1 + size > _VARIABLE_LIMIT:
            return f"has a value of {size} bytes; allowed are {_VARIABLE_LIMIT} with its name: give the service a file"
    return None


_LABEL_VALUE: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")


def version_problem(version: str) -> str | None:
    """A semantic version that can be the value of a label in Kubernetes, where ``_`` stands for ``+``."""
    if len(version) > 63:
        return f"a version of {len(version)} characters is too long for a label in Kubernetes; at most 63"
    try:
        precedence(version)
    except ValueError as error:
        return str(error)
    if not _LABEL_VALUE.fullmatch(version.replace("+", "_")):
        return f"{version!r} ends in a hyphen, which no label in Kubernetes may; end it in a letter or a digit"
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
_IMAGE_LIMIT: Final = 512
"""Characters: a registry's name, 255 of a repository, a tag and a digest."""
_GIT_SHA: Final = re.compile(r"[0-9a-f]{7,40}")


def image_problem(image: str, *, production: bool) -> str | None:
    """An image must be one build for ever: a digest, or outside production a tag that nobody moves."""
    reference = _REFERENCE.fullmatch(image) if len(image) <= _IMAGE_LIMIT else None
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


def build_arg_problem(name: str) -> str | None:
    """The name of an argument of a Dockerfile."""
    if name == "VERSION":
        return "set by version already; remove it here"
    return None if len(name) <= 253 and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) else "not the name of an argument"


def policies_problem(arns: Sequence[str]) -> str | None:
    """What a role can have (IAM quotas: managed policies attached to a role, 20 where the account was raised)."""
    return None if len(arns) <= 20 else f"{len(arns)} policies; allowed are 20 for a role: put some into one"


def folder_problem(path: str) -> str | None:
    """A path below the project, the same on every machine."""
    if re.fullmatch(r"[\w.][\w./-]{0,254}", path, re.ASCII) and ".." not in path.split("/"):
        return None
    return f"{path!r} is no path below the project; allowed is one such as app or docker/Dockerfile"


# Sizes


MOST_REPLICAS: Final = 1000
"""Targets that a load balancer has (ELB quotas, targets per Application Load Balancer)."""


def replica_problem(minimum: int, *, production: bool) -> str | None:
    """A single pod is an outage whenever its node is drained."""
    least = 2 if production else 1
    if minimum > MOST_REPLICAS:
        return f"{minimum} is too many; at most {MOST_REPLICAS}, the targets of a load balancer"
    if minimum >= least:
        return None
    return f"{minimum} is too few; at least {least}" + (" in production, so that one pod can go" if production else "")


def maximum_problem(maximum: int, *, minimum: int) -> str | None:
    """A color must be allowed the pods that it must have."""
    return None if maximum >= minimum else f"{maximum} is less than min ({minimum}); raise max to {minimum} or more"


_MOST_CPU: Final = 1000
"""Cores, and..."""
_MOST_MEMORY: Final = 32 * 1024**4
"""...bytes, more than any instance of EC2 has: a pod cannot be larger than its node."""
_MEMORY_UNITS: Final = {"M": 10**6, "Mi": 1024**2, "G": 10**9, "Gi": 1024**3}


def cpu_problem(cpu: str) -> str | None:
    """A Kubernetes CPU quantity in cores or millicores, of which none has parts; and no more than a node has."""
    amount = re.fullmatch(r"([1-9][0-9]{0,8})m|([0-9]{0,6}(?:\.[0-9]{1,3})?|[0-9]{1,6})", cpu)
    if amount and cpu:
        millicores = int(amount[1]) if amount[1] else round(float(amount[2]) * 1000)
        if 1 <= millicores <= _MOST_CPU * 1000:
            return None
    return (
        f"{cpu!r} is no amount of CPU; allowed are millicores such as 250m or cores such as 0.5 or 2, "
        f"at most {_MOST_CPU} cores"
    )


def memory_problem(memory: str) -> str | None:
    """A Kubernetes memory quantity with its unit: a bare number means bytes, and ``m`` thousandths of one."""
    amount = re.fullmatch(r"([1-9][0-9]{0,11})([MG]i?)", memory)
    if amount and int(amount[1]) * _MEMORY_UNITS[amount[2]] <= _MOST_MEMORY:
        return None
    return (
        f"{memory!r} is no amount of memory; allowed are a number and Mi, Gi, M or G, such as 128Mi, "
        f"at most {_MOST_MEMORY // 1024**3}Gi"
    )


def cidr_problem(cidr: str) -> str | None:
    """An IPv4 network with its prefix length, without host bits; the load balancer has no IPv6 address."""
    try:
        network = IPv4Network(cidr)
    except (AddressValueError, NetmaskValueError, ValueError):
        network = None
    if network is not None and "/" not in cidr:
        return f"{cidr!r} has no prefix length; for one address write {cidr}/32"
    if network is None or cidr != str(network):
        # Python also takes a netmask (/255.0.0.0) and a length with zeros before it (/08), AWS and Kubernetes do not.
        return (
            f"{cidr!r} is no IPv4 network; allowed is an address without host bits and a prefix length, such as "
            "10.0.0.0/16"
        )
    return None


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


_MOST_TESTERS: Final = 2**26
"""Addresses: four networks of /8. All private networks (RFC 1918, RFC 6598) and loopback together have fewer."""


def testers_problem(cidrs: Sequence[str]) -> str | None:
    """Networks of callers of the test listener, which together must not be the internet or a large part of it."""
    networks = [IPv4Network(cidr) for cidr in cidrs if cidr_problem(cidr) is None]
    count = sum(network.num_addresses for network in collapse_addresses(networks))
    if count <= _MOST_TESTERS:
        return None
    what = f"opens the test listener to the world ({count} addresses, at most {_MOST_TESTERS})"
    return f"{what}; name the networks that test"


PRIVATE: Final = tuple(map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))
"""Networks of no address that the internet knows (RFC 1918)."""
_NOT_PUBLIC: Final = (*PRIVATE, *map(IPv4Network, ("100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16")))
"""And those of carriers, of the own machine and of the link (RFC 6598, 1122, 3927)."""


def private_testers_problem(cidrs: Sequence[str], *, internet_facing: bool) -> str | None:
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
    parts = re.fullmatch(r"https://([a-z0-9.-]{1,253})(?::([1-9][0-9]{0,4}))?", origin)
    if parts and all(map(_HOST_LABEL.fullmatch, parts[1].split("."))) and int(parts[2] or 443) <= 65535:
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


def canary_problem(weight: int) -> str | None:
    """A part of the requests; all of them is a flip, and the key for that is another."""
    if 0 <= weight < 100:
        return None
    remedy = ": all of the traffic is a flip, set activeColor to the other color and canaryWeight to 0"
    return f"{weight} is out of range; allowed are 0 to 99{remedy if weight == 100 else ''}"


# Secrets

_SECRET_NAME: Final = re.compile(
    r"(PASSWORD|PASSWD|PASSPHRASE|PWD|SECRET|TOKEN|CREDENTIAL|APIKEY|(?<!PUBLIC)_KEY|^KEY)S?[0-9]*$", re.IGNORECASE
)
# Each takes time in proportion to the text: nothing here begins to match at every place and reads on to the end.
_SECRET_VALUES: Final = {
    "a URL with a password": re.compile(r"[a-z0-9+.-]://[^/\s:@]*:[^/\s@]+@", re.IGNORECASE),
    "an AWS access key id": re.compile(r"\b(AKIA|ASIA)[A-Z0-9]{16}\b"),
    "a private key or certificate": re.compile(r"-----BEGIN [A-Z ]+-----"),
    "a signed token": re.compile(r"(?<![\w-])eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]+"),
    "an access token": re.compile(r"\b(gh[opsru]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{20,}|xox[abprs]-[\w-]{10,})"),
}


def secret_kind(value: str) -> str | None:
    """What kind of secret a text looks like."""
    return next((kind for kind, pattern in _SECRET_VALUES.items() if pattern.search(value)), None)


NOT_SECRETS: Final = "hueshift.dev/not-secrets"
"""The annotation with the variables, space by space, that only look like secrets: somebody has reviewed that."""


def plaintext_secret_problem(name: str, value: str, *, known: Collection[str] = ()) -> str | None:
    """A secret in clear, told by the name of its variable or by its form; the reason never repeats the value.

    ``known`` are the names that the settings state to be no secret's.
    """
    remedy = f"and everybody can read this file; put it into Secrets Manager and name {name} under secrets"
    if (kind := secret_kind(value)) is not None:
        return f"the value looks like {kind}, {remedy}"
    if name not in known and _SECRET_NAME.search(name):
        return f"the name is that of a secret, {remedy}; if its value is none, name it under notSecrets"
    return None


def not_secrets_problems(names: Sequence[str], *, env: Collection[str]) -> Iterator[Problem]:
    """Names that the settings state to be no secret's must be in use and look like one, or the list says nothing."""
    for place, name in enumerate(names):
        if name not in env:
            yield Problem(f"notSecrets[{place}]", "is no name in env; remove it here")
        elif not _SECRET_NAME.search(name):
            yield Problem(f"notSecrets[{place}]", "does not look like the name of a secret; remove it here")


def secret_version_problem(version: str, *, external: bool = False) -> str | None:
    """The id of a version in Secrets Manager (32 to 64 characters, GetSecretValue API); never repeats the value.

    An ``external`` store has versions of its own, such as the numbers of Vault's KV engine.
    """
    if external:
        return (
            None
            if re.fullmatch(r"[\w./-]{1,64}", version, re.ASCII)
            else "not a version; allowed is what the store calls it, such as 3"
        )
    if re.fullmatch(r"[A-Za-z0-9-]{32,64}", version):
        return None
    return "not a version id; allowed is what `aws secretsmanager list-secret-version-ids` prints, 32 to 64 characters"


# Time


def timing_problem(timing: Timing, *, idle_timeout: int, needed_idle_timeout: int) -> str | None:
    """The chain that keeps requests from being lost, told whole: every link that is too short, and all new numbers.

    ``needed_idle_timeout`` is what the load balancer's ``idle_timeout`` must be for every service of the stack.
    Sources: preStop and deregistration, alphagov/govuk-helm-charts PR 4033 and aws-load-balancer-controller issue 1719.
    """
    t, alarm = timing, ALARM_PERIOD * ALARM_PERIODS
    delay = max(t.deregistration_delay, t.longest_request)
    pre_stop = max(t.pre_stop, delay + 1)
    bake = max(t.bake, alarm)
    links = (
        (
            "deregistrationDelay",
            t.deregistration_delay,
            t.longest_request,
            "the load balancer cuts off requests in flight",
            "at least longestRequest",
        ),
        (
            "preStop",
            t.pre_stop,
            delay + 1,
            "a pod stops while the load balancer still sends to it",
            "more than deregistrationDelay",
        ),
        (
            "gracePeriod",
            t.grace_period,
            pre_stop + t.longest_request + SHUTDOWN_MARGIN,
            "a pod is killed with requests in flight",
            f"at least preStop + longestRequest + {SHUTDOWN_MARGIN}",
        ),
        (
            "loadBalancer.idleTimeout",
            idle_timeout,
            needed_idle_timeout,
            "the load balancer gives up before the service answers",
            "more than the longestRequest of every service",
        ),
        (
            "keepAlive",
            t.keep_alive,
            needed_idle_timeout + 1,
            "the load balancer reuses connections that the service has closed",
            "more than loadBalancer.idleTimeout",
        ),
        (
            "bake",
            t.bake,
            alarm,
            "a step ends before an alarm can see it",
            f"at least the {alarm} s that an alarm looks at",
        ),
        (
            "keepOld",
            t.keep_old,
            delay + t.longest_request + bake,
            "the old color is gone while it is still needed",
            "at least deregistrationDelay + longestRequest + bake",
        ),
    )
    short = [link for link in links if link[1] < link[2]]
    if not short:
        return None
    found = "; ".join(f"{key} {value} s must be {what}, or {why}" for key, value, _, why, what in short)
    return f"{found}: raise " + ", ".join(f"{key} to {least}" for key, _, least, _, _ in short)


def interval_problem(interval: int, *, timeout: int) -> str | None:
    """A health check must have ended before the next begins."""
    if interval > timeout:
        return None
    return f"{interval} s is too short; more than health.timeout ({timeout} s): raise interval to {timeout + 1}"


_GATES_ASKED: Final = 15
"""Seconds until the AWS Load Balancer Controller asks again whether a target is healthy, and so lets its pod be ready
(its option targetgroupbinding-requeue-duration)."""


def await_problem(
    await_timeout: int, *, health: Health, strategy: Strategy, replicas: Replicas, grace_period: int
) -> str | None:
    """An update must wait longer than the load balancer takes to call all new pods healthy, some at a time.

    How long a pod takes to start is not known here, and comes on top.
    """
    each = health.interval * health.healthy_threshold + _GATES_ASKED
    rounds, before = 1, 0
    if strategy.kind is StrategyKind.ROLLING:
        rounds = -(-replicas.max // max(1, strategy.max_surge + strategy.max_unavailable))
    if strategy.kind is StrategyKind.RECREATE:
        before = grace_period
    needed = before + rounds * each
    if await_timeout > needed:
        return None
    chain = f"health.interval by health.healthyThreshold and {_GATES_ASKED} s for the controller"
    if rounds > 1:
        chain = f"{rounds} rounds of pods (replicas.max by strategy.maxSurge + maxUnavailable), each {chain}"
    if before:
        chain = f"timing.gracePeriod of the old pods, then {chain}"
    return (
        f"{await_timeout} s is too short, or every update gives up on a healthy color; more than {chain} ({needed} s): "
        f"raise awaitTimeout to {needed + 1}"
    )


# Alarms


_ARN: Final = r"arn:aws[a-z-]*:{}:[a-z0-9-]+:[0-9]{{12}}:{}[A-Za-z0-9_-]{{1,80}}"
_ENDPOINTS: Final = {
    "email": (r"[A-Za-z0-9._%+'-]{1,64}@([a-z0-9-]{1,63}\.){1,8}[a-z]{2,63}", "an address such as ops@example.com"),
    "https": (r"https://[a-z0-9.-]{1,253}(:[0-9]{1,5})?(/[!-~]*)?", "a URL such as https://alerts.example.com/sns"),
    "lambda": (_ARN.format("lambda", "function:"), "arn:aws:lambda:<region>:<account>:function:<name>"),
    "sms": (r"\+[1-9][0-9]{6,14}", "a number such as +442079460000"),
    "sqs": (_ARN.format("sqs", ""), "arn:aws:sqs:<region>:<account>:<queue>"),
}
"""What SNS takes as the endpoint of each protocol (Subscribe API)."""


def endpoint_problem(protocol: str, endpoint: str) -> str | None:
    """Where a subscription sends to must be of its protocol."""
    pattern, example = _ENDPOINTS[protocol.removesuffix("-json")]
    if len(endpoint) <= 2048 and re.fullmatch(pattern, endpoint, re.IGNORECASE if "email" in protocol else 0):
        return None
    return f"is no endpoint of {protocol}; allowed is {example}"


def hearers_problems(topics: int) -> list[Problem]:
    """Each alarm sends to all topics, the stack's own among them, and takes five (CloudWatch PutMetricAlarm)."""
    return [Problem("topicArns", f"{topics} topics with the stack's own; allowed are 5")] if topics > 5 else []


def alert_problems(on_call: str | None, owner: str | None, *, listeners: int) -> list[Problem]:
    """In production an alarm must reach a person: ``listeners`` are topics and subscriptions."""
    problems = []
    if not on_call:
        problems.append(Problem("onCall", "is required in production: who is called and how, as every alarm says it"))
    if not owner:
        problems.append(Problem("owner", "is required in production: the load balancer's alarms say no other"))
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
        "look with `aws cloudwatch describe-alarms --alarm-types CompositeAlarm MetricAlarm --alarm-names "
        f"{composite} {canary_errors} --query '[CompositeAlarms, MetricAlarms][].[AlarmName, StateValue, StateReason]'`"
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
