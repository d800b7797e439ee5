"""Feature flags by OpenFeature, read from AWS AppConfig; without a place of them nothing of it is imported.

A flag that is unknown, or of which nothing could be read yet, is off: the service neither waits for AppConfig nor fails
with it, and goes on with what it read last.
"""

import asyncio
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from app import logs
from app.config import Config
from app.tokens import claims

_log = logs.get("app.flags")

INTERVAL = 15
"""Seconds between two questions, the shortest that AppConfig takes: how long an "off" needs to be everywhere."""
_TIMEOUT = 5
"""Seconds for an answer of AppConfig."""


def part(flag: str, user: str) -> float:
    """Return the user's place in 0 to 100, the same each time and in each pod, and another one for each flag.

    Whoever is below 5 is below 25, too: who sees a flag keeps it when its percent grows.
    """
    return int.from_bytes(hashlib.sha256(f"{flag}:{user}".encode()).digest()[:8]) / 2**64 * 100


def is_on(value: Mapping[str, Any], flag: str, user: str | None, *, internal: bool) -> bool:
    """Return whether a user sees a flag of this value; a caller without a name only if everybody does."""
    if not value.get("enabled"):
        return False
    if internal and value.get("internal"):
        return True
    percent = float(value.get("percent", 0))
    return percent >= 100 if user is None else part(flag, user) < percent


class Flags:
    """What AppConfig says, asked for as long as the service runs."""

    def __init__(self, place: str) -> None:
        from openfeature import api
        from openfeature.client import OpenFeatureClient

        from app.flags_provider import AppConfigProvider

        self._place = dict(
            zip(
                ("ApplicationIdentifier", "EnvironmentIdentifier", "ConfigurationProfileIdentifier"),
                place.split("/"),
                strict=True,
            )
        )
        self._api: Any = None
        self._provider = AppConfigProvider()
        api.set_provider(self._provider, place)
        self._client: OpenFeatureClient = api.get_client(place)

    def of(self, user: str | None, *, internal: bool) -> dict[str, bool]:
        """Return each flag, and whether this user sees it."""
        from openfeature.evaluation_context import EvaluationContext

        context = EvaluationContext(user, {"internal": internal})
        return {flag: self._client.get_boolean_value(flag, False, context) for flag in self._provider.values}

    async def follow(self) -> None:
        """Ask again and again. What fails is logged once, and asked anew."""
        token = said = ""
        while True:
            try:
                token = await asyncio.to_thread(self._ask, token)
                said = ""
            except Exception as error:
                token = ""
                if type(error).__name__ == "ResourceNotFoundException":  # nothing is deployed, or no longer
                    self._provider.values = {}
                if str(error) != said:
                    said = str(error)
                    _log.warning("flags could not be read", extra={"fields": {"error": said[:300]}})
            await asyncio.sleep(INTERVAL)

    def _ask(self, token: str) -> str:
        """Take what is new; return the token of the next question."""
        if self._api is None:
            import boto3
            from botocore.config import Config as Settings

            settings = Settings(connect_timeout=_TIMEOUT, read_timeout=_TIMEOUT, retries={"total_max_attempts": 1})
            self._api = boto3.client("appconfigdata", config=settings)
        if not token:
            token = self._api.start_configuration_session(**self._place, RequiredMinimumPollIntervalInSeconds=INTERVAL)[
                "InitialConfigurationToken"
            ]
        answer = self._api.get_latest_configuration(ConfigurationToken=token)
        if content := answer["Configuration"].read():
            self._provider.values = json.loads(content)
            _log.info("flags read", extra={"fields": {"flags": self._provider.values}})
        return str(answer["NextPollConfigurationToken"])


def routes(config: Config, flags: Flags | None) -> list[Route]:
    """Return `/flags`: those that exist, and whether the caller sees them. Callers are known by their token."""

    async def mine(request: Request) -> JSONResponse:
        who = claims(request, config.jwt_secret) if "authorization" in request.headers else {}
        seen = flags.of(who.get("sub"), internal=who.get("internal") is True) if flags else {}
        return JSONResponse({"flags": seen})

    return [Route("/flags", config.faults.around(mine))]
