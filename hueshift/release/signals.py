"""What is asked about the new color: each question gives verdicts, and none is waited for longer than a look may take.

A question runs beside the looks. What it said last counts until it has said something else; of one that answers no more
nothing is known.
"""

import math
import os
import shlex
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from components.model import Color, color_alarms
from components.rules.steps import Check, Gate
from components.traffic.decision import ColorAlarms
from hueshift.release import guard
from hueshift.release.counts import USUAL, Counts, Prometheus, SignalError, lately, scrapes
from hueshift.release.drive import MOST_EVENTS, Phase, Record, Verdict, stamp
from hueshift.release.judge import clumping, compare
from hueshift.report import explained

EVERY: Final = 10
"""Seconds between two askings of a question."""
TWICE: Final = 2
"""Times in a row that a check must fail: one lost packet is no reason to go back."""
LOOK: Final = 1.0
"""Seconds that a look waits for answers."""
STALE: Final = 60
"""Seconds after which an answer is none any more."""
COMMAND: Final = 30
"""Seconds that a command may take."""
ANSWER: Final = 10
"""Seconds that a check's answer may take where it has no bound of its own."""

Ask = Callable[[Record, float], Sequence[Verdict]]


@dataclass(kw_only=True)
class Question:
    """One thing that is asked again and again."""

    name: str
    ask: Ask
    """Raises what ``counts`` raise."""
    when: Callable[[Record], bool] = lambda _: True
    times: int = 1
    """How often in a row it must be bad."""
    running: "tuple[tuple[Phase, int], float, Future[Sequence[Verdict]]] | None" = None
    said: "tuple[tuple[Phase, int], float, Sequence[Verdict]] | None" = None
    """At which step, when by the steady clock, and what."""
    bad: dict[str, int] = field(default_factory=dict)
    """By gate: how often in a row."""


class Signals:
    """All questions about a release."""

    def __init__(self, questions: Sequence[Question], *, steady: Callable[[], float]) -> None:
        self._questions, self._steady = questions, steady
        self._pool = ThreadPoolExecutor(16, thread_name_prefix="signal")

    def verdicts(self, record: Record, now: float, *, patience: float = LOOK) -> list[Verdict]:
        """Return what is known now of all that is asked at this step."""
        tag = record.phase, record.step
        asked = [question for question in self._questions if question.when(record)]
        for it in asked:
            fresh = it.said and it.said[0] == tag and self._steady() < it.said[1] + EVERY
            if it.running is None and not fresh:
                it.running = tag, self._steady(), self._pool.submit(it.ask, record, now)
        wait([it.running[2] for it in asked if it.running], timeout=patience)
        return [verdict for it in asked for verdict in self._heard(it, tag)]

    def _heard(self, it: Question, tag: tuple[Phase, int]) -> Sequence[Verdict]:
        if it.running and it.running[2].done():
            at_tag, at, future = it.running
            it.running = None
            it.said = at_tag, at, self._confirmed(it, _answered(it.name, future))
        if it.said and it.said[0] == tag and self._steady() < it.said[1] + STALE:
            return it.said[2]
        return [Verdict(gate=it.name, state="unknown", why="no answer yet")]

    def _confirmed(self, it: Question, verdicts: Sequence[Verdict]) -> Sequence[Verdict]:
        """Return the verdicts; one that is bad for the first time is not heard yet."""
        found = []
        for verdict in verdicts:
            it.bad[verdict.gate] = it.bad.get(verdict.gate, 0) + 1 if verdict.state == "bad" else 0
            if 0 < it.bad[verdict.gate] < it.times:
                last = [said for said in (it.said[2] if it.said else ()) if said.gate == verdict.gate]
                found.append(last[0] if last else replace(verdict, state="unknown", why=f"{verdict.why}; asked again"))
            else:
                found.append(verdict)
        return found

    def close(self) -> None:
        """Ask nothing any more."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _answered(name: str, future: "Future[Sequence[Verdict]]") -> Sequence[Verdict]:
    try:
        return future.result()
    except (SignalError, BotoCoreError, ClientError) as error:
        why = explained(error)
    except OSError as error:
        why = f"cannot be asked: {error}"
    return [Verdict(gate=name, state="unknown", why=why)]


def moving(record: Record) -> bool:
    """Whether the new color has traffic, as far as the record knows."""
    return record.phase in (Phase.MOVING, Phase.BAKING, Phase.SETTLING)


def baking(record: Record) -> bool:
    """Whether a step is watched."""
    return record.phase is Phase.BAKING


# Alarms


def alarms(cloudwatch: Any, environment: str, service: str, gate: str) -> Question:  # noqa: ANN401
    """Return the question for a service's alarms: whether the new color is in more trouble than the old."""

    def ask(record: Record, _: float) -> Sequence[Verdict]:
        names = {color: color_alarms(environment, service, color) for color in Color}
        found = described(cloudwatch, [name for pair in names.values() for name in pair])
        states = {alarm["AlarmName"]: alarm["StateValue"] for alarm in found}
        new, old = (ColorAlarms(*(states.get(name) for name in names[color])) for color in (record.new, record.old))
        on = [name for name in names[record.new] if states.get(name) == "ALARM"]
        if new.trouble > old.trouble:
            return [_worse(record, gate, f"{', '.join(on)} is on, and {record.old} is better off")]
        if new.trouble and new.trouble == old.trouble:
            return [Verdict(gate=gate, state="alike", why=f"{', '.join(on)} is on")]
        if not new.known and not old.trouble:
            silent = [
                f"{name} {'does not exist' if name not in states else f'is {states[name]}'}"
                for name in names[record.new]
                if states.get(name) not in ("OK", "ALARM")
            ]
            return [Verdict(gate=gate, state="unknown", why=", ".join(silent))]
        return [Verdict(gate=gate, state="good", why="silent")]

    return Question(name=gate, ask=ask)


def _worse(record: Record, gate: str, why: str) -> Verdict:
    """Return the verdict on a color whose alarms are on; before its first request they tell of what it ran before."""
    if moving(record):
        return Verdict(gate=gate, state="bad", why=why)
    return Verdict(gate=gate, state="unknown", why=f"{why}; it has no traffic yet, so that is waited for")


def described(cloudwatch: Any, names: Sequence[str]) -> list[Mapping[str, Any]]:  # noqa: ANN401
    """Return the alarms of these names, as far as there are any, of either kind."""
    answer = cloudwatch.describe_alarms(AlarmNames=names, AlarmTypes=["CompositeAlarm", "MetricAlarm"])
    return [*answer.get("CompositeAlarms", []), *answer.get("MetricAlarms", [])]


def alerts(prometheus: Prometheus, environment: str, service: str, gate: str) -> Question:
    """Return the question for what fires in Prometheus, which hears of it before CloudWatch does."""

    def ask(record: Record, _: float) -> Sequence[Verdict]:
        query = f'ALERTS{{alertstate="firing",service="{service}",environment="{environment}",color!=""}}'
        firing: dict[str, set[str]] = {}
        for labels, _value in prometheus.vector(query):
            firing.setdefault(labels.get("color", ""), set()).add(labels.get("alertname", "?"))
        new, old = firing.get(record.new, set()), firing.get(record.old, set())
        if more := sorted(new - old):
            return [_worse(record, gate, f"{', '.join(more)} fires for {record.new} alone")]
        if new:
            return [Verdict(gate=gate, state="alike", why=f"{', '.join(sorted(new))} fires for both colors")]
        return [Verdict(gate=gate, state="good", why="silent")]

    return Question(name=gate, ask=ask)


# The comparison


def first_weight(record: Record) -> float:
    """Return when the new color got its first request at the earliest."""
    forward = [event.at for event in record.events if event.what.startswith("to ")]
    if len(record.events) >= MOST_EVENTS or not forward:  # the first may not be there any more
        return min([record.since, *(event.at for event in record.events)])
    return forward[0]


def comparison(counts: Counts, service: str, prefix: str) -> Question:
    """Return the question whether the new color's requests fail, or are slow, more often than the old one's."""

    def ask(record: Record, now: float) -> Sequence[Verdict]:
        begun = first_weight(record)
        ticks = counts.ticks(service, since=begun - USUAL, now=now, slow=record.slow.get(service))
        before, since = [it for it in ticks if it.at <= begun], [it for it in ticks if it.at > begun]
        here = sum(it.at > record.since for it in since)
        limit = record.strategies[service].limit
        asked = limit if baking(record) and record.weight < 100 else None
        found: list[Verdict] = []
        if ticks:
            found.append(Verdict(gate=f"{prefix}traffic", state="good", why=lately(ticks, record.slow.get(service))))
        for slow in (False, True) if service in record.slow else (False,):
            usually = [(it.old_requests, it.old_bad) for it in scrapes(before, record.old, slow=slow)]
            found.append(
                compare(
                    f"{prefix}{'slow' if slow else 'failed'}",
                    scrapes(since, record.old, slow=slow),
                    since_step=here,
                    limit=asked / 100 if asked is not None and not slow else None,
                    clumps=clumping(usually),
                )
            )
        return found

    return Question(name=f"{prefix}compare", ask=ask, when=moving)


# Checks at the test host


def smoke(check: Check, service: str, url: str, gate: str) -> Question:
    """Return the question whether the new color answers at its test host, at ``url``, as it should."""

    def ask(record: Record, _: float) -> Sequence[Verdict]:
        if check.command:
            return [ran(gate, check.command, {"URL": url, "COLOR": record.new.value, "SERVICE": service})]
        problem = answers(check, url, version=record.versions[service][1])
        return [Verdict(gate=gate, state="bad" if problem else "good", why=problem or "answers as it should")]

    return Question(name=gate, ask=ask, times=TWICE)


def answers(check: Check, url: str, *, version: str) -> str | None:
    """Return what is wrong with one answer, None if nothing is; ``CURL_OPTIONS`` has further arguments of curl.

    Raises ``SignalError`` if curl cannot be asked.
    """
    allowed = check.within or ANSWER
    command = [
        *("curl", "--silent", "--show-error", "--include", "--suppress-connect-headers"),
        *("--max-time", f"{allowed + 1:g}", "--write-out", "%{stderr}\n%{http_code} %{time_total}"),
        *(*shlex.split(os.environ.get("CURL_OPTIONS", "")), f"{url}{check.path}"),
    ]
    done = subprocess.run(command, capture_output=True, check=False)
    *said, last = done.stderr.decode(errors="replace").splitlines() or [""]
    if done.returncode in _OURS:
        raise SignalError(f"curl: {' '.join(said).strip()}")
    if done.returncode:
        return f"{url}{check.path} gave no answer: {' '.join(said).strip()}"
    status, took = last.split()
    head, _, body = done.stdout.decode(errors="replace").partition("\r\n\r\n")
    if status != str(check.status):
        return f"{url}{check.path} is answered {status}, and should be {check.status}"
    if check.within is not None and float(took) > check.within:
        return f"{url}{check.path} took {float(took):.2f} s, and may take {check.within:g} s"
    if check.contains is not None and check.contains not in body:
        return f"{url}{check.path} is answered without {check.contains!r}"
    for line in head.splitlines():
        if line.lower().startswith("x-version:") and (told := line.partition(":")[2].strip()) != version:
            return f"{url}{check.path} is answered by version {told}, and should be by {version}"
    return None


_OURS: Final = (1, 2, 3, 4, 77)
"""Exit statuses of curl (its manual) that say nothing of who is asked: a wrong option or URL, no authorities."""


def ran(gate: str, command: Sequence[str], variables: Mapping[str, str]) -> Verdict:
    """Return what a command's exit status says."""
    try:
        done = subprocess.run(
            command, env={**os.environ, **variables}, capture_output=True, text=True, timeout=COMMAND, check=False
        )
    except subprocess.TimeoutExpired:
        return Verdict(gate=gate, state="unknown", why=f"{command[0]} took longer than {COMMAND} s")
    said = (done.stderr.strip() or done.stdout.strip()).splitlines()
    why = f"{command[0]} ended with {done.returncode}{f': {said[-1][:200]}' if said else ''}"
    states: Mapping[int, Any] = {0: "good", 1: "bad"}
    return Verdict(gate=gate, state=states.get(done.returncode, "unknown"), why=why)


# The user's own questions


def own(gate: Gate, service: str, prefix: str, prometheus: Prometheus | None, *, at: int | None = None) -> Question:
    """Return the question of a gate of the user's; ``at`` is the weight of the step that it is of, None for all."""
    name = f"{prefix}{gate.name}"

    def ask(record: Record, _: float) -> Sequence[Verdict]:
        if gate.command:
            return [ran(name, gate.command, {"COLOR": record.new.value, "SERVICE": service})]
        if prometheus is None:
            raise SignalError("releases.prometheus is not set, and nobody else can be asked a query")
        query = (gate.query or "").replace("$color", record.new)
        found = prometheus.vector(query)
        if len(found) != 1 or math.isnan(found[0][1]):
            said = "NaN" if len(found) == 1 else f"{len(found)} samples; take sum() of them" if found else "no sample"
            return [Verdict(gate=name, state="unknown", why=f"{query} gives {said}")]
        value = found[0][1]
        good = (gate.below is None or value < gate.below) and (gate.above is None or value > gate.above)
        bounds = [
            f"{word} {bound:g}" for word, bound in (("below", gate.below), ("above", gate.above)) if bound is not None
        ]
        why = f"{value:g}, and should be {' and '.join(bounds)}"
        return [Verdict(gate=name, state="good" if good else "bad", why=why)]

    return Question(name=name, ask=ask, when=lambda record: baking(record) and at in (None, record.weight))


def fired(s3: Any, bucket: str, environment: str) -> Question:  # noqa: ANN401 - botocore's
    """Return the question whether the guard in AWS has sent the traffic back."""

    def ask(record: Record, _: float) -> Sequence[Verdict]:
        names = guard.alarms(environment, record.services, record.new)
        for it in guard.fired(s3, bucket, names, since=first_weight(record)):
            return [
                Verdict(
                    gate="guard", state="bad", why=f"sent the traffic back at {stamp(it.at)}, for {it.alarm} was on"
                )
            ]
        return [Verdict(gate="guard", state="good", why="has done nothing")]

    return Question(name="guard", ask=ask, when=moving)


def questions(
    record: Record,
    *,
    environment: str,
    urls: Mapping[str, str],
    cloudwatch: Any,  # noqa: ANN401
    s3: Any,  # noqa: ANN401
    bucket: str,
    counts: Counts,
    prometheus: Prometheus | None,
) -> Iterator[Question]:
    """Yield all that is asked about a release; ``urls`` are the new color's test hosts."""
    yield fired(s3, bucket, environment)
    for service in record.services:
        prefix = f"{service}: " if len(record.services) > 1 else ""
        strategy = record.strategies[service]
        yield alarms(cloudwatch, environment, service, f"{prefix}alarms")
        if prometheus is not None:
            yield alerts(prometheus, environment, service, f"{prefix}alerts")
        if strategy.limit is not None:
            yield comparison(counts, service, prefix)
        for check in strategy.smoke:
            yield smoke(check, service, urls[service], f"{prefix}smoke {check.path or check.command[0]}")
        for gate in strategy.gates:
            yield own(gate, service, prefix, prometheus)
        for step in strategy.steps:
            for gate in step.gates:
                yield own(gate, service, prefix, prometheus, at=step.weight)
