"""The chain of times that keeps requests from being lost."""

from typing import Final

from components.model import ALARM_PERIOD, ALARM_PERIODS, SHUTDOWN_MARGIN
from components.spec.service import Replicas
from components.spec.strategy import Strategy, StrategyKind
from components.spec.timing import Health, Timing


def timing_problem(
    timing: Timing, *, idle_timeout: int, needed_idle_timeout: int, alarm: int = ALARM_PERIOD * ALARM_PERIODS
) -> str | None:
    """Return every time that is too short to keep requests from being lost, with all new numbers.

    ``needed_idle_timeout`` is what the load balancer's ``idle_timeout`` must be for every service of the stack, and
    ``alarm`` for how long the alarms look.
    Sources: preStop and deregistration, alphagov/govuk-helm-charts PR 4033 and aws-load-balancer-controller issue 1719.
    """
    t = timing
    delay = max(t.deregistration_delay, t.longest_request)
    pre_stop = max(t.pre_stop, delay + 1)
    bake = max(t.bake, alarm)
    links = (
        (
            "deregistrationDelay",
            t.deregistration_delay,
            t.longest_request,
            "the load balancer cuts off requests in flight",
            "at least longestRequest",
        ),
        (
            "preStop",
            t.pre_stop,
            delay + 1,
            "a pod stops while the load balancer still sends to it",
            "more than deregistrationDelay",
        ),
        (
            "gracePeriod",
            t.grace_period,
            pre_stop + t.longest_request + SHUTDOWN_MARGIN,
            "a pod is killed with requests in flight",
            f"at least preStop + longestRequest + {SHUTDOWN_MARGIN}",
        ),
        (
            "loadBalancer.idleTimeout",
            idle_timeout,
            needed_idle_timeout,
            "the load balancer gives up before the service answers",
            "more than the longestRequest of every service",
        ),
        (
            "keepAlive",
            t.keep_alive,
            needed_idle_timeout + 1,
            "the load balancer reuses connections that the service has closed",
            "more than loadBalancer.idleTimeout",
        ),
        (
            "bake",
            t.bake,
            alarm,
            "a step ends before an alarm can see it",
            f"at least the {alarm} s that an alarm looks at",
        ),
        (
            "keepOld",
            t.keep_old,
            delay + t.longest_request + bake,
            "the old color is gone while it is still needed",
            "at least deregistrationDelay + longestRequest + bake",
        ),
    )
    short = [link for link in links if link[1] < link[2]]
    if not short:
        return None
    found = "; ".join(f"{key} {value} s must be {what}, or {why}" for key, value, _, why, what in short)
    return f"{found}: raise " + ", ".join(f"{key} to {least}" for key, _, least, _, _ in short)


def interval_problem(interval: int, *, timeout: int) -> str | None:
    """Return why a health check would not end before the next begins."""
    if interval > timeout:
        return None
    return f"{interval} s is too short; more than health.timeout ({timeout} s): raise interval to {timeout + 1}"


_GATES_ASKED: Final = 15
"""Seconds until the AWS Load Balancer Controller asks again whether a target is healthy, and so lets its pod be ready
(its option targetgroupbinding-requeue-duration)."""


def await_problem(
    await_timeout: int, *, health: Health, strategy: Strategy, replicas: Replicas, grace_period: int
) -> str | None:
    """Return why an update would stop waiting before the load balancer has called all new pods healthy.

    How long a pod takes to start is not known here, and comes on top.
    """
    each = health.interval * health.healthy_threshold + _GATES_ASKED
    rounds, before = 1, 0
    if strategy.kind is StrategyKind.ROLLING:
        rounds = -(-replicas.max // max(1, strategy.max_surge + strategy.max_unavailable))
    if strategy.kind is StrategyKind.RECREATE:
        before = grace_period
    needed = before + rounds * each
    if await_timeout > needed:
        return None
    chain = f"health.interval by health.healthyThreshold and {_GATES_ASKED} s for the controller"
    if rounds > 1:
        chain = f"{rounds} rounds of pods (replicas.max by strategy.maxSurge + maxUnavailable), each {chain}"
    if before:
        chain = f"timing.gracePeriod of the old pods, then {chain}"
    return (
        f"{await_timeout} s is too short, or every update gives up on a healthy color; more than {chain} ({needed} s): "
        f"raise awaitTimeout to {needed + 1}"
    )
