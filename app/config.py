"""The environment variables of the service, read and judged once, at start. `.env.example` lists them all."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from app.faults import DELAY_MAX, Faults

ENVIRONMENTS = ("development", "staging", "production")
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
JWT_SECRET_MIN = 32
"""Characters: an HMAC-SHA256 key shorter than its output weakens the signature (RFC 7518 §3.2)."""

T = TypeVar("T")


class ConfigError(Exception):
    """The environment is wrong; the message names every bad variable and no secret value."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """All that the environment decides."""

    environment: str
    port: int
    database_url: str = field(repr=False)
    jwt_secret: str = field(repr=False)
    color: str
    version: str
    log_level: str
    keep_alive: int
    """Seconds an idle connection is kept: longer than the load balancer does, else it sends into a closed one (502)."""
    shutdown: int
    """Seconds that requests may still run when the listener is closed; then they are cut off."""
    traces_endpoint: str | None = field(repr=False)
    flags: str | None
    """Where AppConfig has the feature flags: application/environment/profile."""
    faults: Faults

    @classmethod
    def read(cls, env: Mapping[str, str]) -> "Config":
        """Return the configuration that `env` describes.

        Raises:
            ConfigError: naming every variable that is missing or wrong, not only the first.

        """
        problems: list[str] = []

        def take(name: str, parse: Callable[[str], T], default: T | None = None) -> T:
            try:
                if value := env.get(name, "").strip():
                    return parse(value)
                if default is None:
                    raise ValueError("is not set")
            except ValueError as error:
                problems.append(f"{name} {error}")
            return default  # type: ignore[return-value]  # only missing when a problem is noted, which raises below

        config = cls(
            environment=take("APP_ENV", _one_of(ENVIRONMENTS)),
            port=take("PORT", _number(int, 1, 65535), 8080),
            database_url=take("DATABASE_URL", postgres_url),
            jwt_secret=take("JWT_SECRET", _jwt_secret),
            color=take("APP_COLOR", str, "none"),
            version=take("APP_VERSION", str, "0.0.0"),
            log_level=take("LOG_LEVEL", _one_of(LOG_LEVELS), "INFO"),
            keep_alive=take("KEEP_ALIVE_SECONDS", _number(int, 1, 86_400), 75),
            shutdown=take("SHUTDOWN_SECONDS", _number(int, 1, 3600), 30),
            traces_endpoint=take("OTEL_EXPORTER_OTLP_ENDPOINT", _http_url, "") or None,
            flags=take("FEATURE_FLAGS", _place, "") or None,
            faults=Faults(
                error_rate=take("FAULT_ERROR_RATE", _number(float, 0, 1), 0.0),
                delay_ms=take("FAULT_DELAY_MS", _number(int, 0, DELAY_MAX), 0),
                delay_rate=take("FAULT_DELAY_RATE", _number(float, 0, 1), 1.0),
            ),
        )
        if config.environment == "production":
            problems += [f"{name} is not allowed in production" for name in env if name.startswith("FAULT_")]
        if problems:
            raise ConfigError("; ".join(problems))
        return config

    def secrets(self) -> tuple[str, ...]:
        """Return the values that no log line may hold."""
        return (self.jwt_secret, *database_secrets(self.database_url))


def postgres_url(value: str) -> str:
    """Return `value` if it is a PostgreSQL URL with host and database; ValueError, which never quotes it, if not."""
    shape = "must be postgresql://user:password@host:port/database"
    try:
        url = urlsplit(value)
        named = url.scheme in ("postgres", "postgresql") and url.hostname and url.path.strip("/")
        if not named or not conninfo_to_dict(value) or url.port == 0:
            raise ValueError(shape)
    except (ValueError, ProgrammingError):
        raise ValueError(shape) from None
    return value


def database_secrets(url: str) -> tuple[str, ...]:
    """Return the URL and its password, as written and decoded."""
    password = urlsplit(url).password or ""
    return (url, password, unquote(password))


def _one_of(allowed: tuple[str, ...]) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}, not {value!r}")
        return value

    return parse


def _number(kind: type[int] | type[float], low: float, high: float) -> Callable[[str], Any]:
    article = "a whole" if kind is int else "a"

    def parse(value: str) -> float:
        try:
            if low <= (number := kind(value)) <= high:
                return number
        except ValueError:
            pass
        raise ValueError(f"must be {article} number from {low:g} to {high:g}, not {value!r}")

    return parse


def _jwt_secret(value: str) -> str:
    if len(value) < JWT_SECRET_MIN:
        raise ValueError(f"must have at least {JWT_SECRET_MIN} characters, has {len(value)}")
    return value


def _http_url(value: str) -> str:
    url = urlsplit(value)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ValueError("must be http://host:port or https://host:port")
    return value


def _place(value: str) -> str:
    if not re.fullmatch(r"[^/]+(/[^/]+){2}", value):
        raise ValueError(f"must be application/environment/profile of AppConfig, not {value!r}")
    return value
