"""What things are called in Kubernetes and AWS, and the variables that the program gives to pods."""

from enum import StrEnum
from hashlib import sha256
from typing import Final

from components.model.color import Color

_HASH: Final = 6

UPTIME_REGION: Final = "us-east-1"
"""Where Route 53 puts the metrics of its health checks, whatever they ask (Route 53 guide, monitoring health checks).
The alarms on them must be there, and their topics too (CloudWatch PutMetricAlarm)."""


def fit_name(prefix: str, name: str, suffix: str, limit: int) -> str:
    """Return ``prefix + name + suffix`` in at most ``limit`` characters; a longer name is cut and ends in its hash.

    The same arguments always give the same name, and two names that are cut alike differ in the hash.
    Raises ``ValueError`` if prefix and suffix leave no room for one character and the hash.
    """
    room = limit - len(prefix) - len(suffix)
    if len(name) <= room:
        return prefix + name + suffix
    if room < _HASH + 2:
        raise ValueError(f"{prefix!r} and {suffix!r} leave {room} of {limit} characters for a name; {_HASH + 2} needed")
    kept = name[: room - _HASH - 1].rstrip("-")
    return f"{prefix}{kept}-{sha256(name.encode()).hexdigest()[:_HASH]}{suffix}"


def namespace(environment: str, service: str) -> str:
    """Return the Kubernetes namespace of a service."""
    return f"{environment}-{service}"


def secret_name(environment: str, service: str, entry: str) -> str:
    """Return the name of a service's entry in AWS Secrets Manager."""
    return f"{environment}/{service}/{entry}"


def alarm_name(environment: str, *parts: str) -> str:
    """Return the name of an alarm in CloudWatch; no settings reach its limit of 255 characters.

    ``alarm_name(environment, service, color, alert)`` of a color, without the color of a service; without the alert it
    is the color's composite alarm. Those of a load balancer are of the service ``edge``.
    """
    return "-".join((environment, *parts))


def color_alarms(environment: str, service: str, color: Color) -> tuple[str, str]:
    """Return the names of the alarms that judge a color: its composite, and canary-errors, which is no part of that."""
    return alarm_name(environment, service, color), alarm_name(environment, service, color, "canary-errors")


CANARY_HEADER: Final = "x-canary"
"""Sent with the value ``true`` by whoever wants the newer version. Anyone can send it: it must never grant a right."""

SHADOW_HEADER: Final = "x-shadow"
"""Has the value ``true`` on copies and on what `hueshift compare` asks: whoever sees it answers nobody who waits."""

MIRROR: Final = "mirror"
"""The tag beside ``color`` by which the target group of that color's mirror is told from that of its pods."""

METRICS: Final = "hueshift"
"""The namespace in CloudWatch of what a release itself tells."""

WEIGHT: Final = "Weight"
"""The metric there of a color's percent of the traffic, put whenever a release moves it."""


def weight_dimensions(environment: str, service: str, color: Color) -> dict[str, str]:
    """Return what the weights of a color are found by."""
    return {"Environment": environment, "Service": service, "Color": color.value}


def flags_application(environment: str) -> str:
    """Return the name of an environment's application in AWS AppConfig; in it each service has an environment."""
    return f"{environment}-flags"


def flags_place(environment: str, service: str) -> str:
    """Return where pods find the flags of their service: application, environment and profile of AppConfig."""
    return f"{flags_application(environment)}/{service}/{service}"


def flag_strategy(environment: str, kind: str) -> str:
    """Return the name of a deployment strategy: of kind ``step``, which alarms take back, or ``off``."""
    return f"{environment}-flag-{kind}"


def dashboard_name(environment: str) -> str:
    """Return the name of an environment's dashboard in CloudWatch."""
    return f"{environment}-hueshift"


def log_group(environment: str, service: str) -> str:
    """Return the name of a service's log group: its namespace says which, so that one rule of Fluent Bit finds all."""
    return f"/hueshift/{namespace(environment, service)}"


def color_host(color: Color, host: str) -> str:
    """Return the host by which the test listener reaches one color at any weights."""
    return f"{color}.{host}"


class Given(StrEnum):
    """The variables that pods and migrations are given by the program, and that no setting may give them too."""

    APP_ENV = "APP_ENV"
    PORT = "PORT"
    APP_VERSION = "APP_VERSION"
    APP_COLOR = "APP_COLOR"
    KEEP_ALIVE_SECONDS = "KEEP_ALIVE_SECONDS"
    SHUTDOWN_SECONDS = "SHUTDOWN_SECONDS"
    DECLARED_SCHEMAS = "DECLARED_SCHEMAS"
    RUNNING_SCHEMA_BLUE = "RUNNING_SCHEMA_BLUE"
    RUNNING_SCHEMA_GREEN = "RUNNING_SCHEMA_GREEN"
