"""How many pods, and how large; how many policies."""

import re
from collections.abc import Sequence
from typing import Final


def policies_problem(arns: Sequence[str]) -> str | None:
    """Return why a role cannot have these policies, at most 20 (IAM quotas, managed policies per role, if raised)."""
    return None if len(arns) <= 20 else f"{len(arns)} policies; allowed are 20 for a role: put some into one"


MOST_REPLICAS: Final = 1000
"""Targets that a load balancer has (ELB quotas, targets per Application Load Balancer)."""


def replica_problem(minimum: int, *, production: bool) -> str | None:
    """Return why this is not 1 (in production 2) to 1000: a single pod is an outage when its node is drained."""
    least = 2 if production else 1
    if minimum > MOST_REPLICAS:
        return f"{minimum} is too many; at most {MOST_REPLICAS}, the targets of a load balancer"
    if minimum >= least:
        return None
    return f"{minimum} is too few; at least {least}" + (" in production, so that one pod can go" if production else "")


def maximum_problem(maximum: int, *, minimum: int) -> str | None:
    """Return why minimum and maximum of a color's pods contradict each other."""
    return None if maximum >= minimum else f"{maximum} is less than min ({minimum}); raise max to {minimum} or more"


_MOST_CPU: Final = 1000
"""Cores, and..."""
_MOST_MEMORY: Final = 32 * 1024**4
"""...bytes, more than any instance of EC2 has: a pod cannot be larger than its node."""
MEMORY_UNITS: Final = {"M": 10**6, "Mi": 1024**2, "G": 10**9, "Gi": 1024**3}


def cpu_problem(cpu: str) -> str | None:
    """Return why this is no CPU quantity in cores or whole millicores, or more than a node has."""
    amount = re.fullmatch(r"([1-9][0-9]{0,8})m|([0-9]{0,6}(?:\.[0-9]{1,3})?|[0-9]{1,6})", cpu)
    if amount and cpu:
        millicores = int(amount[1]) if amount[1] else round(float(amount[2]) * 1000)
        if 1 <= millicores <= _MOST_CPU * 1000:
            return None
    return (
        f"{cpu!r} is no amount of CPU; allowed are millicores such as 250m or cores such as 0.5 or 2, "
        f"at most {_MOST_CPU} cores"
    )


def memory_problem(memory: str) -> str | None:
    """Return why this is no memory quantity with a unit: a bare number means bytes, ``m`` thousandths of one."""
    amount = re.fullmatch(r"([1-9][0-9]{0,11})([MG]i?)", memory)
    if amount and int(amount[1]) * MEMORY_UNITS[amount[2]] <= _MOST_MEMORY:
        return None
    return (
        f"{memory!r} is no amount of memory; allowed are a number and Mi, Gi, M or G, such as 128Mi, "
        f"at most {_MOST_MEMORY // 1024**3}Gi"
    )
