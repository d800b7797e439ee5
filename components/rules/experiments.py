"""A/B tests: who is in a cohort, as far as an Application Load Balancer can tell, and for how long."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from components.model import CANARY_HEADER
from components.rules.names import label_problem
from components.rules.text import Problem

_STICKY: Final = timedelta(days=7)
"""How long a target group's cookie lasts at most (ELBv2 TargetGroupStickinessConfig)."""
_LONGEST: Final = timedelta(days=60)
"""CloudWatch keeps what it has by five minutes for 63 days (CloudWatch guide, metrics retention)."""
_VALUES: Final = 3
"""Of one condition (ELB guide, condition types)."""
_WILDCARDS: Final = 5
"""Of one rule (ELB guide, condition types)."""
_TAKEN: Final = {"cookie", "host", CANARY_HEADER}
_TAKEN_PREFIXES: Final = ("x-amzn-", "x-forwarded-")


def experiment_name_problem(name: str) -> str | None:
    """Return why this is not at most 40 lowercase letters, digits and hyphens, a letter first."""
    return label_problem(name, limit=40)


def cohort_header_problem(name: str) -> str | None:
    """Return why a load balancer cannot tell a cohort by this header."""
    if not re.fullmatch(r"[A-Za-z0-9-]{1,40}", name):
        # dropInvalidHeaderFields takes others off the request.
        return f"{name!r} is no usable header; allowed are at most 40 letters, digits and hyphens"
    if name.lower() in _TAKEN or name.lower().startswith(_TAKEN_PREFIXES):
        return f"{name!r} means something else already; name a header of your own, or use cookie"
    return None


def cohort_values_problem(values: Sequence[str]) -> str | None:
    """Return why this is not what one condition of a listener rule compares a header with."""
    if not 1 <= len(values) <= _VALUES:
        return f"has {len(values)} values; a condition of the load balancer takes 1 to {_VALUES}"
    for value in values:
        if not re.fullmatch(r"[!-\[\]-~]([ -\[\]-~]{0,126}[!-\[\]-~])?", value):
            return f"{value!r} is no usable value; allowed are 1 to 128 characters of ASCII without a backslash"
        if not value.strip("*"):
            return f"{value!r} is everybody with the header; say which values"
    count = sum(value.count(wildcard) for value in values for wildcard in "*?")
    return f"have {count} wildcards; a rule of the load balancer takes {_WILDCARDS}" if count > _WILDCARDS else None


def moment(text: str) -> datetime | None:
    """Return the time that a text with its zone says; None if it says none."""
    try:
        found = datetime.fromisoformat(text)
        return found.astimezone(UTC) if found.tzinfo else None
    except (ValueError, OverflowError):
        return None


def moment_problem(text: str) -> str | None:
    """Return why this is no time with its zone, such as 2027-03-01T09:00:00Z."""
    if moment(text) is not None:
        return None
    return f'{text!r} is no time; allowed is a day, a time and a zone in quotes, such as "2027-03-01T09:00:00Z"'


def experiment_problems(cohorts: Sequence[str], *, since: str, until: str) -> list[Problem]:
    """Return why an experiment has no one cohort, or no length that it can have; ``cohorts`` are the keys given."""
    found = []
    if len(cohorts) != 1:
        what = " and ".join(cohorts) or "none"
        found.append(Problem("", f"{what} of header, cookie and percent is given; keep exactly one"))
    begin, end = moment(since), moment(until)
    if begin is None or end is None:
        return found
    longest = _STICKY if "percent" in cohorts else _LONGEST
    if not begin < end <= begin + longest:
        why = "a target group's cookie lasts" if "percent" in cohorts else "CloudWatch keeps what it counted"
        found.append(
            Problem("until", f"{until} must be after since ({since}), by {longest.days} days at most: {why} no longer")
        )
    return found


def experiment_canary_problem(name: str, weight: int) -> str | None:
    """Return why a canary may not run beside an experiment: requests of both would be counted as one variant."""
    if not weight:
        return None
    return f"{weight}, but the experiment {name} runs, and one of both can: set it to 0, or remove experiment"
