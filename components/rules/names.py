"""Names of environments, services, hosts, labels, variables and versions."""

import re
from collections.abc import Mapping
from typing import Final

from components.model import Color, Given, color_host, precedence


def is_production(environment: str, stated: bool | None = None) -> bool:
    """Return whether the strict rules apply: as ``stated`` by the key production, else by the name.

    By name ``production``, ``prod-eu`` and ``eu-production`` are, ``pre-production`` is not.
    """
    if stated is not None:
        return stated
    words = set(environment.split("-"))
    return not words.isdisjoint({"prod", "production"}) and words.isdisjoint({"non", "pre"})


_LIKE_PRODUCTION: Final = re.compile(r"[a-z0-9]*(prod|prd|production)[0-9]*|(pre|non)?live[0-9]*")


def production_problem(environment: str) -> str | None:
    """Return why a name such as ``prd``, ``live`` or ``preprod`` is unclear: it may mean production or not."""
    words = environment.split("-")
    if is_production(environment) or not {"non", "pre"}.isdisjoint(words):
        return None
    if not any(map(_LIKE_PRODUCTION.fullmatch, words)):
        return None
    return (
        f"is required for an environment named {environment}: true for the strict rules (images by digest, two pods or "
        "more, policies that block), false for none of them"
    )


_LABEL: Final = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
HOST_LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_LAST_LABEL: Final = re.compile(r"[a-z]{1,63}")
"""Of a host (ELBv2 HostHeaderConditionConfig: "only alphabetical characters after the final dot")."""
_HOST_LIMIT: Final = 128 - max(len(color_host(color, "")) for color in Color)
"""An ALB's host condition has at most 128 characters, and the color's own host must fit as well."""


def label_problem(name: str, *, limit: int) -> str | None:
    """Return why this is no DNS label that begins with a letter (RFC 1035), as names of Services must."""
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
    """Return why this is not at most 22 lowercase letters, digits and hyphens, a letter first: it begins namespaces.

    Those that begin with ``kube-`` belong to Kubernetes.
    """
    if environment.split("-")[0] == "kube":
        return f"{environment!r} is no usable name: namespaces that begin with kube- belong to Kubernetes"
    return label_problem(environment, limit=_ENVIRONMENT_LIMIT)


def service_problem(service: str) -> str | None:
    """Return why this is not at most 40 lowercase letters, digits and hyphens, a letter first: part of a namespace."""
    return label_problem(service, limit=_SERVICE_LIMIT)


def entry_problem(entry: str) -> str | None:
    """Return why this is not at most 16 lowercase letters, digits and hyphens, a letter first."""
    return label_problem(entry, limit=16)


def namespace_problem(name: str) -> str | None:
    """Return why this is no name of an object in the cluster: 63 lowercase letters, digits and hyphens (RFC 1123)."""
    if len(name) <= 63 and re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", name):
        return None
    return f"{name!r} is no name in Kubernetes; allowed are at most 63 lowercase letters, digits and hyphens"


_LABEL_NAME: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?", re.ASCII)
_SUBDOMAIN: Final = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
RESERVED_LABELS: Final = {f"app.kubernetes.io/{name}" for name in ("name", "part-of", "managed-by")}
"""What all that belongs to a service has, with those under ``hueshift.dev/``."""


def label_key_problem(key: str) -> str | None:
    """Return why this is no label's name, or one that the program sets (Kubernetes, labels and selectors)."""
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
    """Return why this is no value of a label in Kubernetes; it may be empty."""
    if not value or _LABEL_NAME.fullmatch(value):
        return None
    return (
        f"{value!r} is no value of a label; allowed are at most 63 letters, digits, dots, hyphens and underscores, a "
        "letter or digit first and last"
    )


def host_problem(host: str) -> str | None:
    """Return why this is no exact DNS name of two labels or more. Colors have hosts below it, so it is no wildcard."""
    if len(host) > _HOST_LIMIT:
        return f"a host of {len(host)} characters is too long; at most {_HOST_LIMIT}, so that green.<host> has 128"
    labels = host.split(".")
    if len(labels) < 2:
        return f"{host!r} has no dot; the load balancer matches only names such as shop.example.com"
    if not all(map(HOST_LABEL.fullmatch, labels)):
        return f"{host!r} is no host name; allowed are lowercase letters, digits, hyphens and dots"
    if not _LAST_LABEL.fullmatch(labels[-1]):
        return f"{host!r} ends in {labels[-1]}; the load balancer takes only letters after the last dot"
    return None


def zone_problem(host: str, *, zone: str) -> str | None:
    """Return why a host's records cannot be created: it must be in the hosted zone."""
    if host == zone or host.endswith(f".{zone}"):
        return None
    return f"{host!r} is not in dns.zone ({zone}); name a host below {zone}, or remove dns and give a certificateArn"


def method_problem(path: str) -> str | None:
    """Return why this is no method of gRPC."""
    if re.fullmatch(r"/\w+(\.\w+)+/\w+", path):
        return None
    return f"{path!r} is no method of gRPC; allowed is /package.Service/Method, or nothing for the usual health check"


def env_name_problem(name: str) -> str | None:
    """Return why this is no portable name of an environment variable, or one that the program sets."""
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
    """Return why a process cannot be started with all of these variables."""
    sizes = {name: len(value.encode(errors="replace")) for name, value in values.items()}
    if sum(sizes.values()) > _VARIABLES_LIMIT:
        return f"has {sum(sizes.values())} bytes; allowed are {_VARIABLES_LIMIT}: give the service a file or a store"
    for name, size in sizes.items():
        if len(name) + 1 + size > _VARIABLE_LIMIT:
            return f"has a value of {size} bytes; allowed are {_VARIABLE_LIMIT} with its name: give the service a file"
    return None


_LABEL_VALUE: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")


def version_problem(version: str) -> str | None:
    """Return why this is no semantic version that fits a label in Kubernetes, where ``_`` stands for ``+``."""
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
    """Return why this is no schema of four digits, whose order is the order of migrations."""
    return (
        None
        if re.fullmatch(r"[0-9]{4}", schema)
        else f'{schema!r} is no schema id; allowed are four digits, such as "0002"'
    )
