"""What AppConfig holds of a service's flags, and what a change makes of it. Pure.

A profile's content says who sees a flag. The newest deployment that was not taken back decides which version of it is
given to the pods; the newest version may be one that an alarm has taken back.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

Content = Mapping[str, Any]
Deployment = Mapping[str, Any]
"""As AppConfig's API describes it."""

EMPTY: Final[Content] = {"version": "1", "flags": {}, "values": {}}

_GIVEN: Final = ("DEPLOYING", "BAKING", "COMPLETE")
_OPEN: Final = ("VALIDATING", "DEPLOYING", "BAKING", "ROLLING_BACK")
_BACK: Final = ("ROLLING_BACK", "ROLLED_BACK")
_ATTRIBUTES: Final = {
    "percent": {"constraints": {"type": "number", "minimum": 0, "maximum": 100, "required": True}},
    "internal": {"constraints": {"type": "boolean", "required": True}},
}


@dataclass(frozen=True, kw_only=True)
class Shown:
    """Who sees a flag."""

    enabled: bool = False
    percent: float = 0
    """Of the users, while it is enabled; what it was before, while it is not."""
    internal: bool = True
    """Whether internal users see it whatever the percent, while it is enabled."""

    def __str__(self) -> str:
        if not self.enabled:
            return "off"
        return f"on for {self.percent:g} % of the users{' and internal users' if self.internal else ''}"


def shown(content: Content, flag: str) -> Shown:
    """Return who sees a flag; of one that the content does not have, nobody."""
    value = content.get("values", {}).get(flag, {})
    return Shown(
        enabled=value.get("enabled", False), percent=value.get("percent", 0), internal=value.get("internal", True)
    )


def changed(content: Content, flag: str, to: Shown) -> Content:
    """Return the content with another value of one flag, and all others as they are."""
    return {
        **content,
        "flags": {**content["flags"], flag: {"name": flag, "attributes": _ATTRIBUTES}},
        "values": {
            **content.get("values", {}),
            flag: {"enabled": to.enabled, "percent": to.percent, "internal": to.internal},
        },
    }


def only(content: Content, flags: Collection[str]) -> Content:
    """Return the content without what the stack file no longer has."""
    return {
        **content,
        **{
            part: {flag: value for flag, value in content.get(part, {}).items() if flag in flags}
            for part in ("flags", "values")
        },
    }


def live(deployments: Sequence[Deployment], profile: str) -> Deployment | None:
    """Return the deployment whose version the pods are given, of those of an environment, the newest first."""
    of = (each for each in deployments if each["ConfigurationProfileId"] == profile)
    return next((each for each in of if each["State"] in _GIVEN), None)


def under_way(deployments: Sequence[Deployment]) -> Deployment | None:
    """Return the deployment that lets no other begin."""
    return next((each for each in deployments if each["State"] in _OPEN), None)


def taken_back(deployments: Sequence[Deployment]) -> Deployment | None:
    """Return the newest deployment if it was taken back."""
    return deployments[0] if deployments and deployments[0]["State"] in _BACK else None


def watched_until(deployment: Deployment) -> datetime:
    """Return until when an alarm takes a deployment back."""
    began: datetime = deployment["StartedAt"]
    minutes = deployment["DeploymentDurationInMinutes"] + deployment["FinalBakeTimeInMinutes"]
    return began + timedelta(minutes=minutes)
