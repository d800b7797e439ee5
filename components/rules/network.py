"""Networks, listeners, certificates and headers."""

import re
from collections.abc import Mapping, Sequence
from ipaddress import AddressValueError, IPv4Network, NetmaskValueError, collapse_addresses
from typing import Final

from components.model import ALL_SERVICES_RULES, CERTIFICATES, CERTIFIED_SERVICES, MAX_SERVICES, SERVICE_RULES
from components.rules.names import HOST_LABEL
from components.rules.text import Problem


def cidr_problem(cidr: str) -> str | None:
    """Return why this is no IPv4 network with prefix length and without host bits; IPv6 is not supported."""
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
    """A port of the load balancer that the production listeners leave free: neither 80 nor 443."""
    if 1 <= port <= 65535 and port not in (80, 443):
        return None
    return f"{port} is no port for the test listener; allowed are 1 to 65535 without 80 and 443"


def subnets_problem(subnets: Sequence[str]) -> str | None:
    """Return why these subnets do not do: a load balancer needs two zones or more (ELBv2 CreateLoadBalancer)."""
    if len(set(subnets)) >= 2:
        return None
    return f"{len(set(subnets))} is too few; at least 2 subnets, in different availability zones"


_MOST_TESTERS: Final = 2**26
"""Addresses: four networks of /8. All private networks (RFC 1918, RFC 6598) and loopback together have fewer."""


def testers_problem(cidrs: Sequence[str]) -> str | None:
    """Return why the test listener's networks are too open: they must not be the internet or a large part of it."""
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


MOST_CLIENTS: Final = 20
"""Networks that may reach the services. Each takes two of the 60 inbound rules of a security group (VPC quotas); those
of the test listener take the rest."""


def clients_problem(cidrs: Sequence[str]) -> str | None:
    """Return why these cannot be all who reach the services: 1 to 20 networks, two of 60 rules each (VPC quotas)."""
    if 1 <= len(cidrs) <= MOST_CLIENTS:
        return None
    return f"{len(cidrs)} networks; allowed are 1 to {MOST_CLIENTS}: join some, or leave the key out for everybody"


def private_testers_problem(cidrs: Sequence[str], *, internet_facing: bool) -> str | None:
    """Return why private networks cannot reach an internet-facing load balancer: callers in the VPC use NAT."""
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


def services_problem(count: int, *, certificates_issued: bool, further: int = 0) -> str | None:
    """Return why one load balancer cannot serve so many services, by its quotas for rules and certificates.

    ``further`` are the hosts of routes that have certificates of their own.
    """
    by_rules = f"{MAX_SERVICES}, as each takes {SERVICE_RULES} of the 100 rules of the load balancer (quota L-7EED9B64)"
    taken = f", and {further} more for hosts of routes," if further else ""
    by_certificates = (
        f"{CERTIFIED_SERVICES - further}, as each has a certificate on two listeners{taken or ','} of {CERTIFICATES} "
        "for the load balancer (quota L-9365A611): give one loadBalancer.certificateArn for all hosts, or"
    )
    most, why = (
        (CERTIFIED_SERVICES - further, by_certificates) if certificates_issued else (MAX_SERVICES, f"{by_rules}:")
    )
    if 1 <= count <= most:
        return None
    return f"{count} services; allowed are 1 to {why} move some to another stack"


def room_problem(services: int, *, cohort_rules: int, route_rules: int = 0) -> str | None:
    """Return why one load balancer has no room for the rules of all experiments and routes."""
    room = max(ALL_SERVICES_RULES - SERVICE_RULES * services, 0)
    if cohort_rules + route_rules <= room:
        return None
    each = ["a header takes 1, a cookie 2, percent none"] if cohort_rules else []
    each += ["a route takes 1, its canary another, and a cohort as many as for the host"] if route_rules else []
    what = [f"the cohorts of all experiments take {cohort_rules}"] if cohort_rules else []
    what += [f"the routes of all services take {route_rules}"] if route_rules else []
    return (
        f"{' and '.join(what)} listener rules, and {services} services leave {room} of the load balancer's 100 "
        f"(quota L-7EED9B64): {'; '.join(each)}"
    )


def network_problems(
    *, vpc_id: str | None, subnet_ids: Sequence[str] | None, others: Mapping[str, object | None]
) -> list[Problem]:
    """Return why VPC and subnets are not named in exactly one way; ``others`` are the ways besides the two ids."""
    ways = [key for key, value in others.items() if value is not None]
    given = {"vpcId": vpc_id, "subnetIds": subnet_ids}
    ids = [key for key, value in given.items() if value is not None]
    if len(ways) + bool(ids) > 1:
        return [Problem("", f"{', '.join([*ids, *ways])} exclude each other; keep vpcId with subnetIds, or one other")]
    if ways:
        return []
    advice = "is required, or in place of both ids lookup (by tags) or stackReference"
    return [Problem(key, advice) for key, value in given.items() if value is None]


FROM_SERVICES: Final = "headers-from-services"
"""The tag of a listener with the security headers, space by space, that it leaves to the services: somebody has
reviewed that."""


def header_problem(value: str) -> str | None:
    """Return why a load balancer refuses the value of a response header (ELBv2 ListenerAttribute)."""
    if 1 <= len(value) <= 1024 and value.isprintable() and value.isascii():
        return None
    return "is no header value; allowed are 1 to 1024 printable ASCII characters on one line"


def cors_problem(origin: str) -> str | None:
    """Return why this is no single origin that may read responses; ``*`` would be every origin."""
    parts = re.fullmatch(r"https://([a-z0-9.-]{1,253})(?::([1-9][0-9]{0,4}))?", origin)
    if parts and all(map(HOST_LABEL.fullmatch, parts[1].split("."))) and int(parts[2] or 443) <= 65535:
        return None
    return f"{origin!r} is no single origin; allowed is one such as https://www.example.com, without a path"


def certificate_problem(host: str) -> str | None:
    """Return why ACM issues no certificate for a host (RequestCertificate, DomainName: 64 characters, RFC 5280)."""
    if len(host) <= 64:
        return None
    return (
        f"a host of {len(host)} characters is too long for a certificate of its own; shorten it to 64, or give a "
        "loadBalancer.certificateArn"
    )
