"""Feature flags: switches in a service's code, moved without a new version."""

from dataclasses import dataclass
from typing import Annotated

from components import rules
from components.spec.marks import Example, Like, Rule


@dataclass(frozen=True, kw_only=True)
class Flag:
    """A flag that exists. Who sees it is no key: it is off until somebody turns it on, and no update changes that."""

    description: Annotated[
        str,
        Like(r"[^\x00-\x1f]*\S[^\x00-\x1f]*", "one line of at most 200 characters", limit=200),
        Example("Short checkout"),
    ]
    """The meaning of the flag, for whoever is to turn it off at night."""
    owner: Annotated[
        str, Like(r"[\w.:/=+@-]+", "letters, digits and . : / = + @ - _", limit=100), Example("team-checkout")
    ]
    """The team that removes the flag from the code."""
    expires: Annotated[str, Rule(rules.day_problem), Example("2027-06-01")]
    """The day, in quotes, from which the policy pack tells that the flag should be gone."""
