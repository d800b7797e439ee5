"""Who hears of an alarm, and how long lines are kept."""

import re
from typing import Final

from components.rules.text import Problem

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
    """Return why a subscription's endpoint does not fit its protocol."""
    pattern, example = _ENDPOINTS[protocol.removesuffix("-json")]
    if len(endpoint) <= 2048 and re.fullmatch(pattern, endpoint, re.IGNORECASE if "email" in protocol else 0):
        return None
    return f"is no endpoint of {protocol}; allowed is {example}"


def topics_problems(topics: int, key: str = "topicArns") -> list[Problem]:
    """Return why there are too many topics: each alarm sends to all and takes five (CloudWatch PutMetricAlarm)."""
    return [Problem(key, f"{topics} topics with the stack's own; allowed are 5")] if topics > 5 else []


def alert_problems(on_call: str | None, owner: str | None, *, listeners: int) -> list[Problem]:
    """Return why no alarm would reach a person in production; ``listeners`` are topics and subscriptions."""
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


_RETENTIONS: Final = frozenset(
    {1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653}
)


def retention_problem(days: int) -> str | None:
    """Return why this is no retention: CloudWatch Logs takes certain numbers of days only (PutRetentionPolicy)."""
    allowed = ", ".join(map(str, sorted(_RETENTIONS)))
    return None if days in _RETENTIONS else f"{days} is no retention; allowed are {allowed} days"


def uptime_problems(*, enabled: bool, internal: bool, production: bool, listeners: int) -> list[Problem]:
    """Return why a service cannot be asked from outside, or why in production nobody would hear that it is down."""
    if enabled and internal:
        return [Problem("uptime.enabled", "is for what is internet-facing; nobody outside reaches this load balancer")]
    if enabled and production and not listeners:
        said = "would tell nobody: set alerts.uptimeTopicArns (topics in us-east-1) or alerts.subscriptions, or false"
        return [Problem("uptime.enabled", said)]
    return []
