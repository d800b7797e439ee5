"""Carries what the ELBv2 API holds to Envoy, a settable while later, as a real load balancer does."""

import hashlib
import logging
import threading
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path

from moto.acm.exceptions import CertificateNotFound
from moto.acm.models import acm_backends
from moto.elbv2.models import FakeListener, FakeLoadBalancer, FakeTargetGroup, elbv2_backends

from sandbox import ca, paths
from sandbox.aws.envoy import Envoy
from sandbox.aws.gaps import Elbv2, Target
from sandbox.aws.translate import (
    Bind,
    HealthCheck,
    Listener,
    LoadBalancer,
    Rule,
    Snapshot,
    TargetGroup,
    owners,
    translate,
)

_LOG = logging.getLogger(__name__)

_RETRY = 5.0
"""Seconds between two tries to listen on a port that is taken."""


class LoadBalancing:
    """Takes a snapshot after every change and publishes it to Envoy when its delay is over, in order."""

    def __init__(self, envoy: Envoy, bind: Bind, authority: tuple[Path, Path], delay: float) -> None:
        self.delay = delay
        """Seconds from an API call to its effect on requests."""
        self.lock = threading.RLock()
        """Held by whoever changes or reads moto's load balancers; moto itself locks nothing."""
        self._unplayed: list[str] = []
        self._refused: list[str] = []
        self._envoy = envoy
        self._bind = bind
        self._authority = authority
        self._numbers: dict[str, int] = {}
        self._certificates: dict[tuple[str, ...], tuple[str, str]] = {}
        self._pending: deque[tuple[float, Snapshot]] = deque()
        self._wake = threading.Condition()
        self._last = self._published = Snapshot()

    @property
    def problems(self) -> list[str]:
        """In plain words, what requests do not get although the API holds it."""
        return [*self._unplayed, *self._refused]

    def changed(self) -> None:
        """Note that a call may have changed ELBv2 or its certificates."""
        with self.lock:
            snapshot = self.snapshot()
            if snapshot == self._last:
                return
            self._last = snapshot
            with self._wake:
                self._pending.append((time.monotonic() + self.delay, snapshot))
                self._wake.notify()

    def idle(self) -> bool:
        """Return whether Envoy has all that the API was told."""
        with self._wake:
            return self._published is self._last

    def run(self) -> None:
        """Publish for ever; the body of a daemon thread."""
        while True:
            due = self._next()
            known = self.problems
            try:
                if due is None:
                    self._refused = self._envoy.retry_listeners()
                else:
                    resources = translate(due, self._bind, self._envoy.source)
                    self._unplayed = resources.problems
                    self._refused = self._envoy.publish(resources)
            except Exception as error:
                _LOG.exception("the load balancer could not be changed")
                self._refused = [f"the load balancer could not be changed: {error}"]
            for problem in self.problems:
                if problem not in known:
                    _LOG.error(problem)
            if due is not None:
                self._published = due

    def _next(self) -> Snapshot | None:
        """Return the newest snapshot that is due, or None when it is time to try a taken port again."""
        with self._wake:
            while not self._pending:
                if not self._wake.wait(_RETRY if self._refused else None):
                    return None
        time.sleep(max(0.0, self._pending[0][0] - time.monotonic()))
        with self._wake:
            _, snapshot = self._pending.popleft()
            while self._pending and self._pending[0][0] <= time.monotonic():
                _, snapshot = self._pending.popleft()
        return snapshot

    def addresses(self) -> dict[str, str]:
        """Return each load balancer's name with the address that stands for its DNS name."""
        with self.lock:
            return {
                balancer.name: self._bind(self._number(balancer.arn), 80)[0]
                for balancer in self._backend().load_balancers.values()
            }

    def owners(self) -> dict[str, LoadBalancer]:
        """Return each target group that a rule names, with its load balancer, as the API has it now."""
        return owners(self._last)

    def snapshot(self) -> Snapshot:
        """Return what moto holds now."""
        backend = self._backend()
        for gone in self._numbers.keys() - backend.load_balancers.keys():
            del self._numbers[gone]
        return Snapshot(
            load_balancers=tuple(
                self._load_balancer(one) for one in backend.load_balancers.values() if one.type == "application"
            ),
            target_groups=tuple(_target_group(one, backend.receiving(one)) for one in backend.target_groups.values()),
        )

    def _backend(self) -> Elbv2:
        backend = elbv2_backends[paths.ACCOUNT][paths.REGION]
        assert isinstance(backend, Elbv2)
        return backend

    def _number(self, arn: str) -> int:
        if arn not in self._numbers:
            taken = set(self._numbers.values())
            self._numbers[arn] = next(number for number in range(1, 255) if number not in taken)
        return self._numbers[arn]

    def _load_balancer(self, one: FakeLoadBalancer) -> LoadBalancer:
        return LoadBalancer(
            number=self._number(one.arn),
            arn=one.arn,
            attributes={key: str(value) for key, value in one.attrs.items()},
            listeners=tuple(self._listener(listener) for listener in one.listeners.values()),
        )

    def _listener(self, one: FakeListener) -> Listener:
        return Listener(
            arn=one.arn,
            protocol=one.protocol,
            port=int(one.port),
            ssl_policy=one.ssl_policy,
            certificates=tuple(pair for arn in dict.fromkeys(one.certificates) if (pair := self._certificate(arn))),
            attributes={key: str(value) for key, value in one.attributes.items()},
            rules=tuple(
                Rule(
                    priority=None if rule.is_default else int(rule.priority),
                    conditions=rule.conditions,
                    actions=[action.data for action in rule.actions],
                )
                for rule in one.rules.values()
            ),
        )

    def _certificate(self, arn: str) -> tuple[str, str] | None:
        """Return a certificate of our own authority for the names of the one in ACM, so that clients trust one file.

        None when ACM has it no more: then Envoy refuses the listener, and that is told.
        """
        try:
            bundle = acm_backends[paths.ACCOUNT][paths.REGION].get_certificate(arn)
        except CertificateNotFound:
            return None
        names = tuple(dict.fromkeys([bundle.common_name, *bundle.sans]))
        if names not in self._certificates:
            chain, key = ca.issue(names, *self._authority)
            stem = self._envoy.directory / "certificates" / hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]
            files = stem.with_suffix(".crt"), stem.with_suffix(".key")
            files[0].write_bytes(chain)
            files[1].touch(0o600)
            files[1].write_bytes(key)
            self._certificates[names] = str(files[0]), str(files[1])
        return self._certificates[names]


def _matcher(told: Mapping[str, str]) -> str:
    return str(told.get("GrpcCode") or told.get("HttpCode") or "200")


def _target_group(one: FakeTargetGroup, targets: list[Target]) -> TargetGroup:
    return TargetGroup(
        arn=one.arn,
        protocol=str(one.protocol),
        protocol_version=str(one.protocol_version),
        target_type=one.target_type,
        health=HealthCheck(
            protocol=str(one.health_check_protocol),
            port=str(one.health_check_port),
            path=str(one.health_check_path or "/"),
            interval=int(one.health_check_interval_seconds),
            timeout=int(one.health_check_timeout_seconds),
            healthy=int(one.healthy_threshold_count),
            unhealthy=int(one.unhealthy_threshold_count),
            matcher=_matcher(getattr(one, "matcher", None) or {}),
        ),
        attributes={key: str(value) for key, value in one.attributes.items()},
        targets=tuple(targets),
    )
