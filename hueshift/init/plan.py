"""What `hueshift init` makes of what it was told and what it found: choices, refusals, and the text of the file."""

import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from components.model import Color, color_host
from components.rules import version_problem, zone_problem
from components.spec import Logs
from hueshift.doctor.verdicts import Subnet, certificate
from hueshift.doctor.verdicts import subnets as judged
from hueshift.report import RefusedError
from hueshift.stack_yaml import write

SCHEMA: Final = "# yaml-language-server: $schema=docs/reference/stack.schema.json\n"
OF_THE_ENGINE: Final[Sequence[str]] = ("secretsprovider", "encryptedkey", "encryptionsalt")
"""Keys of a stack file beside ``config``: without them nobody decrypts the state any more."""


class Candidate(NamedTuple):
    """One of several that the environment may have."""

    value: str
    said: str = ""
    """By what a person tells it from the others."""

    def __str__(self) -> str:
        """Return how it is listed."""
        return f"{self.value} ({self.said})" if self.said else self.value


class Known(NamedTuple):
    """A value for the file, and where it came from."""

    value: Any
    source: str


class Network(NamedTuple):
    """One subnet of the VPC."""

    subnet: Subnet
    public: bool
    """Whether a route of it leads to an internet gateway."""
    role: str | None
    """The scheme of the load balancers that it is tagged for."""
    said: str


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What only a person knows."""

    stack: str
    service: str
    host: str
    image: str
    version: str
    port: int
    health_path: str | None
    """None for the program's own paths."""
    scheme: str
    production: bool
    stated: bool
    """Whether the file must say so, for the name of the stack does not."""
    owner: str | None
    on_call: str | None
    notify: str | None
    """The address of mails; these three in production alone."""
    testers: Sequence[str]
    """Networks that reach the test listener; empty for the program's own."""


@dataclass(frozen=True, kw_only=True)
class Finds:
    """What AWS and the cluster have; None or empty where nobody knows."""

    region: Known | None = None
    account: Known | None = None
    cluster: Known | None = None
    vpc: Known | None = None
    subnets: Known | None = None
    zone: Known | None = None
    certificate: Known | None = None
    """None where the program makes one, in the zone."""
    lacking: Sequence[str] = ()
    """Kinds of the Prometheus Operator that the cluster does not serve."""


Ask = Callable[[str, Sequence[Candidate]], str]
"""Lets a person pick one."""


def pick(
    what: str, option: str, candidates: Sequence[Candidate], *, given: str | None, ask: Ask | None
) -> Candidate | None:
    """Return the given candidate, the only one, or the one that a person picks; None if there is none.

    What is given counts as it is where nothing was found to compare it with.

    Raises ``RefusedError`` if it is none of them, or if there are several and nobody to ask.
    """
    listed = "\n".join(f"    {each}" for each in candidates)
    if given is not None:
        found = [each for each in candidates if each.value == given]
        if candidates and not found:
            raise RefusedError(f"{option} {given}: no {what} is called so; there are\n{listed}")
        return found[0] if found else Candidate(given)
    if len(candidates) > 1:
        if ask is None:
            raise RefusedError(f"{len(candidates)} candidates for the {what}: choose with {option}\n{listed}")
        chosen = ask(what, candidates)
        return next(each for each in candidates if each.value == chosen)
    return candidates[0] if candidates else None


def host_of(told: str) -> str:
    """Return a host as settings have it: DNS takes a dot at its end and capitals, a load balancer's rule does not."""
    return told.strip().removesuffix(".").lower()


def version_of(image: str) -> str | None:
    """Return the version that the tag of an image says, None if it says none."""
    name, _, tag = image.partition("@")[0].rpartition(":")
    tag = tag.removeprefix("v")
    return tag if name and version_problem(tag) is None else None


def zones_of(host: str, public: Iterable[str]) -> list[Candidate]:
    """Return the zones that can hold a host, the nearest first, without the dot that Route 53 has at their end."""
    names = {zone.removesuffix(".") for zone in public}
    found = [zone for zone in names if zone_problem(host, zone=zone) is None]
    return [Candidate(zone) for zone in sorted(found, key=len, reverse=True)]


def certificates_of(host: str, issued: Mapping[str, Sequence[str]]) -> list[Candidate]:
    """Return the certificates, names by ARN, that cover a host and the hosts of its colors."""
    hosts = [host, *(color_host(color, host) for color in Color)]
    return [
        Candidate(arn, ", ".join(names))
        for arn, names in issued.items()
        if certificate(arn, "ISSUED", names, hosts).remedy is None
    ]


def subnets_of(
    networks: Sequence[Network], *, vpc: str, scheme: str, given: Sequence[str], ask: Ask | None
) -> Sequence[Network]:
    """Return the load balancer's subnets, one in each zone: the given ones, or those of its scheme.

    Of several in a zone the ones come first that are tagged for load balancers.

    Raises ``RefusedError`` if the given ones do not do, there are too few, or several in a zone and nobody to ask.
    """
    if given:
        chosen = [each for each in networks if each.subnet.id in given]
        verdict = judged([each.subnet for each in chosen], vpc=vpc, ids=given)
        if networks and verdict.remedy:
            raise RefusedError(f"--subnet: {verdict.said}; name one of {vpc} for each zone\n{_listed(networks)}")
        return chosen
    kind = "public" if scheme == "internet-facing" else "private"
    usable = [each for each in networks if each.public == (kind == "public")]
    tagged = {each.subnet.zone for each in usable if each.role == scheme}
    by_zone: dict[str, list[Network]] = {}
    for each in sorted(usable, key=lambda each: each.subnet.zone):
        if each.role == scheme or each.subnet.zone not in tagged:
            by_zone.setdefault(each.subnet.zone, []).append(each)
    if len(by_zone) < 2:
        raise RefusedError(
            f"network.subnetIds: {len(by_zone)} zones of {vpc} have a {kind} subnet, and scheme {scheme} needs two; "
            f"name one for each zone with --subnet\n{_listed(networks)}"
        )
    several = [each for found in by_zone.values() if len(found) > 1 for each in found]
    if several and ask is None:
        raise RefusedError(
            f"several {kind} subnets in a zone: name one for each zone with --subnet\n"
            f"{_listed([each for found in by_zone.values() for each in found])}"
        )
    kept = []
    for zone, found in by_zone.items():
        listed = [Candidate(each.subnet.id, each.said) for each in found]
        chosen_here = pick(f"subnet in {zone}", "--subnet", listed, given=None, ask=ask)
        kept += [each for each in found if chosen_here and each.subnet.id == chosen_here.value]
    return kept


def _listed(networks: Sequence[Network]) -> str:
    return "\n".join(f"    {each.subnet.id} ({each.said})" for each in networks) or "    none was found"


def written(answers: Answers, finds: Finds, *, project: str, kept: Mapping[str, Any]) -> str:
    """Return the text of the stack file; what nobody knows is left out.

    ``project`` begins the keys, and ``kept`` is what the engine had in a file that is replaced.
    """
    head = (
        f"{SCHEMA}# {answers.stack}, as `hueshift init` wrote it: comments say where a found value came from. "
        "All keys: docs/reference/configuration.md.\nconfig:\n"
    )
    entries = "".join(_entry(f"{key}", value, comment) for key, value, comment in _config(answers, finds, project))
    return head + entries + (write(kept) if kept else "")


def _entry(key: str, value: object, comment: str | None) -> str:
    text = f"# {comment}\n" if comment else ""
    return textwrap.indent(text + write({key: value}), "  ")


def _config(answers: Answers, finds: Finds, project: str) -> Iterable[tuple[str, object, str | None]]:
    """Yield key, value and comment of each setting, in the order of the examples."""
    if finds.region:
        yield "aws:region", finds.region.value, finds.region.source
    if finds.account:
        said = f"{finds.account.source} With the credentials of another account nothing is done."
        yield "aws:allowedAccountIds", [finds.account.value], said
    if answers.stated:
        yield f"{project}:production", answers.production, None
    network: dict[str, object] = {}
    if finds.vpc:
        network["vpcId"] = finds.vpc.value
    if finds.subnets:
        network["subnetIds"] = list(finds.subnets.value)
    network["scheme"] = answers.scheme
    sources = [each.source for each in (finds.vpc, finds.subnets) if each]
    yield f"{project}:network", network, " ".join([*sources, "The VPC and scheme are for life."])
    if finds.zone:
        made = "" if finds.certificate else " The program makes the certificate and proves it there."
        yield f"{project}:dns", {"zone": finds.zone.value}, finds.zone.source + made
    balancer: dict[str, object] = {}
    if finds.certificate:
        balancer["certificateArn"] = finds.certificate.value
    if answers.testers:
        balancer["testListenerCidrs"] = list(answers.testers)
    if balancer:
        yield f"{project}:loadBalancer", balancer, finds.certificate.source if finds.certificate else None
    if finds.cluster:
        yield f"{project}:cluster", {"name": finds.cluster.value}, finds.cluster.source
    if finds.lacking:
        yield f"{project}:prometheus", {"enabled": False}, f"The cluster does not serve {', '.join(finds.lacking)}."
    if answers.production:
        alerts = {
            "subscriptions": [{"protocol": "email", "endpoint": answers.notify}] if answers.notify else None,
            "onCall": answers.on_call,
            "owner": answers.owner,
        }
        yield f"{project}:alerts", {key: value for key, value in alerts.items() if value}, None
        said = "What the pods write, as far as the cluster's Fluent Bit sends it: docs/components/log_groups.md."
        yield f"{project}:logs", {"retentionDays": Logs().retention_days}, said
    said = "Both colors begin with the same image."
    if answers.production:
        said += " Take expectsTraffic out once users have come: silence is an alarm then."
    yield f"{project}:services", {answers.service: _service(answers)}, said


def _service(answers: Answers) -> dict[str, object]:
    path = answers.health_path
    release = {"image": answers.image, "version": answers.version}
    return {
        "host": answers.host,
        "port": answers.port,
        "colors": {color.value: dict(release) for color in Color},
        **({"health": dict.fromkeys(("path", "livenessPath", "startupPath"), path)} if path else {}),
        **({"expectsTraffic": False} if answers.production else {}),
    }
