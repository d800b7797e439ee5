"""Type tokens and logical names that the program writes and a command reads in an update's events or in the state."""

from typing import Final

SERVICE: Final = "hueshift:service:BlueGreenService"
TRAFFIC_SPLIT: Final = "hueshift:traffic_split:TrafficSplit"
SECRET_ENTRIES: Final = "hueshift:secret_entries:SecretEntries"
ENCRYPTION_KEY: Final = "hueshift:encryption_key:EncryptionKey"

TRAFFIC: Final = "-traffic"
"""Suffix of a service's traffic split."""
PRODUCTION: Final = "-production"
"""Suffix of the production rule in a traffic split."""
PRODUCTION_RULE: Final = f"{TRAFFIC}{PRODUCTION}"
"""Suffix of the production rule's logical name; the service's name is before it."""
ROUTE: Final = "-route-"
"""Before the slot of a route, in the name of its rule in a traffic split."""
ROUTE_RULE: Final = f"{TRAFFIC}{ROUTE}"
"""The same in the rule's logical name; the service's name is before it."""


def class_name(token: str) -> str:
    """Return the last part of a type token, by which ``pulumi up --target '**:TrafficSplit::*'`` finds it."""
    return token.rpartition(":")[2]
