"""Who hears of an alarm."""

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


def topics_problems(topics: int) -> list[Problem]:
    """Return why there are too many topics: each alarm sends to all and takes five (CloudWatch PutMetricAlarm)."""
    return [Problem("topicArns", f"{topics} topics with the stack's own; allowed are 5")] if topics > 5 else []


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
