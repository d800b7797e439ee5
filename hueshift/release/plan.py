"""What a release would do, said before anything moves, and why it may not begin; pure."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from components.model import Color, precedence, split
from components.rules.steps import Freezes, Step, Strategy
from hueshift.release.judge import CLUMPING, FLOOR, enough


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A service of the unit as it is now."""

    service: str
    host: str
    """Where the new color is tried: its test host."""
    strategy: Strategy
    versions: tuple[str, str]
    """Of the old color and of the new."""
    live: Mapping[Color, int]
    """Percent that each color has now."""
    healthy: Mapping[Color, int]
    """Healthy targets."""
    rate: float | None
    """Requests per second; None if nobody counts them."""
    failing: float = FLOOR
    """The old color's rate of bad requests lately, 0 to 1."""
    clumps: float = CLUMPING


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The steps of a release, what each can prove, and what forbids to begin."""

    unit: str
    environment: str
    old: Color
    new: Color
    candidates: Sequence[Candidate]
    steps: Sequence[Step]
    proofs: Sequence[Sequence[str]]
    """By step: what it can prove, in words."""
    refusals: Sequence[str]
    """Why it may not begin, each with what mends it; empty if it may."""
    frozen: str | None
    """What a freeze does to it, in words."""
    keep_old: int
    """Seconds that the old color stays at full size afterwards."""

    @property
    def seconds(self) -> int:
        """How long it takes if nothing waits."""
        return sum(step.bake for step in self.steps)

    def lines(self) -> Iterator[str]:
        """Yield the plan as `hueshift plan` prints it."""
        for it in self.candidates:
            pods = it.healthy.get(self.old, 0)
            yield (
                f"{self.environment}/{it.service}: {it.versions[0]} → {it.versions[1]}, {self.old} → {self.new}; "
                f"way back: {self.old}, one call, {pods} pods kept"
            )
            checks = ", ".join(check.path or " ".join(check.command) for check in it.strategy.smoke)
            yield f"  try     {it.host}  {checks or 'its version'}"
        for step, proofs in zip(self.steps, self.proofs, strict=True):
            approval = ", then `hueshift promote`" if step.approval else ""
            yield f"  {step.weight:3} %   {spoken(step.bake)}{approval}   {'; '.join(proofs)}"
        kept = f"{self.old} stays {spoken(self.keep_old)}, then `hueshift park`"
        yield f"  then    activeColor: {self.new} is written; {kept}"
        yield f"{spoken(self.seconds)} if nothing waits.{f' {self.frozen}' if self.frozen else ''}"
        for refusal in self.refusals:
            yield f"refused: {refusal}"


def plan(
    unit: str,
    candidates: Sequence[Candidate],
    *,
    environment: str,
    old: Color,
    freezes: Freezes | None = None,
    now: float,
    keep_old: int,
) -> Plan:
    """Return what a release of the unit would do, from ``old`` to the other color; ``now`` is in seconds since 1970."""
    steps = candidates[0].strategy.steps
    refusals = [refusal for it in candidates for refusal in _refusals(it, old)]
    refusals += [
        f"{it.service} and {candidates[0].service} share an activeColor but not their steps: make strategy.steps "
        f"alike, or give {it.service} an activeColor of its own"
        for it in candidates[1:]
        if it.strategy.steps != steps
    ]
    proofs = []
    for step in steps:
        said = []
        for it in candidates:
            proof, refusal = _proof(step, it)
            said.append(proof if len(candidates) == 1 else f"{it.service}: {proof}")
            refusals.extend([refusal] if refusal else [])
        proofs.append(said)
    return Plan(
        unit=unit,
        environment=environment,
        old=old,
        new=old.other,
        candidates=candidates,
        steps=steps,
        proofs=proofs,
        refusals=refusals,
        frozen=_frozen(freezes, now, now + sum(step.bake for step in steps)) if freezes else None,
        keep_old=keep_old,
    )


_LONGEST_BAKE: Final = 48 * 3600
"""Seconds; who needs longer has too little traffic to learn from."""


def spoken(seconds: float) -> str:
    """Return a duration as people say it."""
    minutes = round(seconds / 60)
    if seconds < 60:
        return f"{seconds:.0f} s"
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def _refusals(it: Candidate, old: Color) -> Iterator[str]:
    """Yield why a release cannot begin with a service as it is."""
    if dict(it.live) != split(old, 0):
        shares = ", ".join(f"{color} {share}" for color, share in it.live.items())
        yield (
            f"{it.service} has {shares}, and a release begins with {old} 100: `hueshift rollback --service "
            f"{it.service}` takes the traffic back"
        )
    if not it.healthy.get(old, 0):
        yield f"{it.service}: {old} has no healthy target, and there would be no way back; mend {old} first"
    before, after = it.versions
    if precedence(after) < precedence(before):
        yield (
            f"{it.service}: {old.other} runs {after}, older than {before}: set its image, or go back with `hueshift "
            f"rollback --to {after}`"
        )


def _proof(step: Step, it: Candidate) -> tuple[str, str | None]:
    """Return what a step can prove of a service, and why it must not be taken if that is too little."""
    limit = it.strategy.limit
    if step.weight == 100:
        return "nothing left to compare with: health and alarms judge", None
    if limit is None:
        return "not compared: health and alarms judge", None
    key, off = f"services.{it.service}.strategy", "compare: false leaves it to health and alarms"
    if it.rate is None:
        why = (
            f"{it.service}: nobody counts its requests, so {step.weight} % proves nothing: set releases.prometheus, or"
        )
        return "nothing", f"{why} {key}.{off}"
    rate, allowed = it.rate * step.weight / 100, step.bake + it.strategy.patience

    def needs(weight: int, percent: float) -> float:
        return enough(share=weight / 100, limit=percent / 100, failing=it.failing, clumps=it.clumps)

    needed = needs(step.weight, limit)
    said = (
        f"{rate:,.3g} of {it.rate:,.3g} req/s: to see {limit:g} % errors takes {needed:,.0f} requests, brings "
        f"{rate * step.bake:,.0f}"
    )
    if it.failing > limit / 100:
        said += f"; the old color fails {it.failing:.2%}, and the new one is judged alone"
    if needed <= rate * allowed:
        return said, None
    takes = needed / rate if rate else math.inf
    mends = []
    if takes <= _LONGEST_BAKE:
        mends.append(f"bake: {math.ceil(takes / 60)}m in the step")
    seen = next((p for p in (2, 3, 5, 10, 20) if p > limit and needs(step.weight, p) <= rate * allowed), None)
    if seen:
        mends.append(f"compare.limit: {seen}")
    heavier = range(step.weight + 5, 100, 5)
    if begin := next((w for w in heavier if needs(w, limit) <= it.rate * w / 100 * allowed), None):
        mends.append(f"begin at {begin}")
    if math.isinf(needed):
        why = f"beside {it.failing:.2%} errors of the old color {limit:g} % is not seen"
    else:
        time = "proves nothing" if math.isinf(takes) else f"needs {spoken(takes)}"
        why = f"{it.rate:.3g} req/s: the {step.weight} % step {time} to see {limit:g} % errors"
    return said, f"{it.service}: {why}; under {key} set {', '.join([*mends, ''])}or {off}"


def _frozen(freezes: Freezes, now: float, end: float) -> str | None:
    if (until := freezes.until(now)) is not None:
        return f"Frozen until {freezes.local(until):%a %d %b %H:%M} ({freezes.zone}): nothing goes forward before that."
    if (begins := freezes.next(now, end)) is not None:
        over = freezes.until(begins)
        return f"A freeze begins in {spoken(begins - now)} and holds what is left" + (
            f" until {freezes.local(over):%a %d %b %H:%M} ({freezes.zone})." if over else "."
        )
    return None
