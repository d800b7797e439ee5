"""The times of a service and the checks of its pods."""

from dataclasses import dataclass
from typing import Annotated, Final

from components.model import SHUTDOWN_MARGIN
from components.spec.marks import Between, Like

_CHAIN: Final = "one of the chain of times, which is judged as a whole"
_THRESHOLD: Final = Between(2, 10, "what a target group takes (ELBv2 CreateTargetGroup)")
Path = Annotated[str, Like(r"/[\w./~-]*", "an absolute path such as /health/ready", limit=1024)]
"""Of a request."""


@dataclass(frozen=True, kw_only=True)
class Timing:
    """The times of a service, in seconds; only together do they keep requests from being lost."""

    longest_request: Annotated[int, Between(1, 3600, _CHAIN)] = 30
    """The longest time that the service takes to answer; the pods get it as SHUTDOWN_SECONDS."""
    deregistration_delay: Annotated[int, Between(0, 3600, "what a target group takes (ELBv2)")] = 30
    """The time that the load balancer gives requests to a leaving pod to finish."""
    pre_stop: Annotated[int, Between(1, 7200, _CHAIN)] = 35
    """The time that a leaving pod serves on before it is told to stop; it must also cover the load balancer's lag."""
    grace_period: Annotated[int, Between(1, 14_400, _CHAIN)] = 75
    """The time after which a leaving pod is killed; the preStop sleep counts."""
    keep_alive: Annotated[int, Between(1, 86_400, _CHAIN)] = 75
    """The time that the service keeps an idle connection open; the pods get it as KEEP_ALIVE_SECONDS."""
    await_timeout: Annotated[int, Between(1, 86_400, "longer than the checks of all new pods take")] = 600
    """The time that an update waits for a color to become ready."""
    stickiness: Annotated[int, Between(0, 604_800, "what a listener rule takes (ELBv2)")] = 0
    """The time that a client stays with its color while both have traffic; 0 for not at all."""
    bake: Annotated[int, Between(1, 604_800, "at least what an alarm looks at")] = 300
    """The time that a step of a release is watched before the next."""
    keep_old: Annotated[int, Between(1, 2_592_000, _CHAIN)] = 86_400
    """The time that the color that lost its traffic stays at full size, ready for a rollback."""

    @property
    def shutdown(self) -> int:
        """The least grace period in which a pod can finish what it was sent at the last moment."""
        return self.pre_stop + self.longest_request + SHUTDOWN_MARGIN

    @property
    def overlap(self) -> int:
        """How long after a flip the old color may still be asked, or be wanted back."""
        return self.deregistration_delay + self.longest_request + self.bake


@dataclass(frozen=True, kw_only=True)
class Health:
    """Checks whether a pod has started, lives and can serve; the load balancer asks the same ``path``."""

    path: Path = "/health/ready"
    """The path that answers 200 while a pod can serve."""
    liveness_path: Path = "/health/live"
    """The path that answers 200 while a pod need not be restarted."""
    startup_path: Path = "/health/startup"
    """The path that answers 200 once a pod has started."""
    interval: Annotated[int, Between(5, 300, "what a target group takes (ELBv2 CreateTargetGroup)")] = 10
    """Seconds between two checks."""
    timeout: Annotated[int, Between(2, 120, "what a target group takes (ELBv2 CreateTargetGroup)")] = 5
    """Seconds; less than ``interval``."""
    healthy_threshold: Annotated[int, _THRESHOLD] = 2
    """Passed checks in a row after which an unhealthy target counts as healthy."""
    unhealthy_threshold: Annotated[int, _THRESHOLD] = 2
    """Failed checks in a row after which a pod gets no requests."""
