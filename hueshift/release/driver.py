"""Drives a release: reads its record, looks, does the one thing that ``decide`` says, and looks again.

Nothing is remembered that matters: who is killed is followed by the next who reads the record. The way back never waits
for the record, its store, the engine or a signal.
"""

import getpass
import math
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol
from uuid import uuid4

from botocore.exceptions import BotoCoreError, ClientError

from components.model import METRICS, WEIGHT, Color, alarm_name, split, weight_dimensions
from components.rules.steps import Freezes
from hueshift.release import guard
from hueshift.release.drive import (
    LANDED,
    SEND,
    Action,
    Asked,
    Back,
    Done,
    Event,
    Forward,
    Phase,
    Prepare,
    Record,
    Seen,
    Settle,
    Verdict,
    Wait,
    Write,
    decide,
    room,
    stamp,
    undoing,
)
from hueshift.release.signals import LOOK, Signals, described
from hueshift.release.store import LostError, Store, Stored, StoreError
from hueshift.release.unit import Unit
from hueshift.report import RefusedError, explained
from hueshift.stack import place
from hueshift.traffic.balancer import Balancer, Rule, transient
from hueshift.traffic.rollback import settings_of

EVERY: Final = 5
"""Seconds between two looks."""
FRESH: Final = 20
"""Seconds after which the record is written again, so that nobody takes a living driver for a dead one."""
FIRST: Final = 15.0
"""Seconds that the first look waits for all signals; what nobody has asked yet is not unknown."""
OUTPUTS: Final = 60
"""Seconds for which what the stack says of itself is believed."""
COMMIT: Final = 20
"""Seconds after the look in which the stack file is written and committed, or given up (``drive.LANDED``)."""
ONCE: Final = 3
"""Looks in a row without anything to do, after which `resume --once` ends: what must be bad twice has been seen."""
GUARDED: Final = 86_400
"""Seconds after a release's planned end until which the guard heeds its alarms."""


class Engine(Protocol):
    """The engine, as far as a release needs it."""

    def up(self) -> None:
        """Bring the stack to what its file says. Raises ``RefusedError``."""

    def images(self) -> Mapping[str, Mapping[str, str]]:
        """Return what each color of each service runs, by the last update. Raises ``RefusedError``."""

    def learn(self, services: Sequence[str]) -> None:
        """Let the state learn the weights. Raises ``RefusedError``."""


@dataclass(frozen=True, kw_only=True)
class Clients:
    """What AWS is asked with; made by botocore at run time."""

    s3: Any
    states: Any
    cloudwatch: Any
    sns: Any


@dataclass(frozen=True, kw_only=True)
class Turn:
    """What a driver saw and did, for whoever shows it."""

    record: Record
    seen: Seen
    action: Action


@dataclass(kw_only=True)
class Driver:
    """One process that drives one release."""

    unit: Unit
    store: Store
    forward: Balancer
    """Whose calls are sent once."""
    back: Balancer
    """Whose calls are sent again for a while."""
    clients: Clients
    engine: Engine
    bucket: str
    machine: str | None
    """The guard's, None where there is none."""
    signals: Callable[[Record, Mapping[str, Rule]], Signals]
    freezes: Freezes
    me: str
    commit: bool = False
    prepare: Callable[[Record], None] = lambda _: None
    """Writes what is to run into the stack file."""
    told: Callable[[Event], None] = lambda _: None
    """Hears of each event of the record, once."""
    shown: Callable[[Turn], None] = lambda _: None
    """Sees each look."""
    steady: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def __post_init__(self) -> None:
        self._stored: Stored | None = None
        self._rules: Mapping[str, Rule] = {}
        self._asked: Signals | None = None
        self._heard: Event | None = None
        self._short: dict[str, int] = {}
        """By service: looks in a row in which the new color had too few pods."""
        self._prepared = False
        self._settled: Color | None = None
        self._images: Mapping[str, Mapping[str, str]] = {}
        self._images_asked = -math.inf
        self._said = ""

    def run(self, *, once: bool = False) -> Record:
        """Drive until the release is closed, is another's, or, with ``once``, nothing is left to do for now.

        Returns the record as it was last read. Raises ``RefusedError`` for what a person must mend first.
        """
        idle = 0
        try:
            while True:
                try:
                    action = self.turn()
                    if isinstance(action, Done):
                        break
                    if not isinstance(action, Wait):
                        idle = 0
                        continue
                    self._keep_fresh()
                    left = action.until - self.store.now() if action.until else EVERY
                    idle += 1
                    if once and idle >= ONCE and self._rests(left):
                        break
                    self.sleep(max(0.5, min(EVERY, left)))
                except KeyboardInterrupt:
                    if once or (self._stored and self._stored.record.asked is Asked.ABORT):
                        raise
                    self._say("Ctrl-C: the release is undone; once more leaves it as it is, for `hueshift resume`")
                    self._abort()
        finally:
            if self._asked:
                self._asked.close()
        assert self._stored is not None
        return self._stored.record

    def _rests(self, left: float) -> bool:
        """Whether nothing is under way that would be over soon."""
        return self._stored is not None and self._stored.record.phase is Phase.BAKING and not EVERY < left < LANDED

    def turn(self) -> Action:
        """Look once, and do what follows from it."""
        began = self.steady()
        blind = None
        try:
            self._stored = self.store.read(self.unit.name) or self._stored
        except StoreError as error:
            blind = str(error)
        if self._stored is None:
            raise RefusedError(blind or f"there is no release of {self.unit.name}")
        record = self._stored.record
        if gone := sorted(set(record.services) - self.unit.services.keys()):
            raise RefusedError(
                f"release {record.id} of {record.unit} is of {', '.join(gone)}, which {self.unit.place.file.name} does "
                "not release with it any more; put it back as it was, then `hueshift abort`"
            )
        now = self.store.now()
        self._tell(record)
        if record.phase.closed or record.owner != self.me:
            return decide(record, Seen(me=self.me, now=now, live=None, healthy={}))
        seen = self._look(record, now)
        action = decide(record, seen)
        self.shown(Turn(record=record, seen=seen, action=action))
        if blind is not None:
            return self._blindly(record, action, blind)
        match action:
            case Write(record=after, calls=calls):
                if after.phase is Phase.UNDOING:
                    self._send_back(after)
                if self._put(after) and calls:
                    self._call(after)
            case Forward(record=after, weights=weights):
                # An intent without its call would be taken for a lost one, and undone.
                if self.steady() < began + SEND / 2 and self._put(after) and self.steady() < began + SEND:
                    self._send(weights, began)
            case Back():
                self._send_back(record)
            case Prepare():
                self._make_ready(record)
            case Settle(record=after, color=color):
                if after == record or self._put(after):
                    self._settle(after, color, began)
        return action

    # What is seen

    def _look(self, record: Record, now: float) -> Seen:
        live, healthy = self._traffic(record)
        seen = Seen(
            me=self.me,
            now=now,
            live=live,
            healthy=healthy,
            prepared=self._ready(record),
            settled=self._settled,
            frozen_until=self.freezes.until(now),
        )
        if not seen.prepared or record.phase is Phase.UNDOING or not self._rules:
            return seen
        if record.phase is Phase.TRYING and any(
            healthy.get(service, {}).get(record.new, 0) < room(record, seen, service, record.steps[0].weight)
            for service in record.services
        ):
            return seen  # its pods are not there yet, and what it answers says nothing
        patience = {} if self._asked else {"patience": FIRST}
        self._asked = self._asked or self.signals(record, self._rules)
        return replace(seen, verdicts=[*self._health(record, seen), *self._asked.verdicts(record, now, **patience)])

    def _traffic(
        self, record: Record
    ) -> tuple[Mapping[str, Mapping[Color, int]] | None, Mapping[str, Mapping[Color, int]]]:
        """Return weights, None if one cannot be told, and healthy targets, as far as they are known."""
        live: dict[str, Mapping[Color, int]] | None = {}
        healthy: dict[str, Mapping[Color, int]] = {}
        try:
            if self._rules.keys() != set(record.services):
                self._rules = self.forward.rules([self.unit.services[it] for it in record.services], record.rules)
            else:
                self._rules = {name: self.forward.read(rule) for name, rule in self._rules.items()}
            # A service's rules count one by one: what has arrived at some of them is sent again, or goes back.
            live = {
                name if not place else f"{name} route {place}": shared
                for name, rule in self._rules.items()
                for place, shared in enumerate(rule.shared)
            }
        except (RefusedError, BotoCoreError, ClientError) as error:
            live = None
            self._say(explained(error))
        for name, rule in self._rules.items():
            with suppress(BotoCoreError, ClientError):
                healthy[name] = self.forward.healthy(rule)
        return live, healthy

    def _ready(self, record: Record) -> bool:
        if record.phase is Phase.TRYING:
            return self._prepared
        if self.steady() > self._images_asked + (EVERY if record.phase is Phase.SETTLING else OUTPUTS):
            self._images_asked = self.steady()
            asking = threading.Thread(target=self._ask_images, daemon=True)
            asking.start()
            asking.join(LOOK)  # a look waits for no engine
        runs = self._images
        return all(
            runs[service].get(record.new) == image
            for service, image in record.images.items()
            if image and service in runs
        )

    def _ask_images(self) -> None:
        """Find out what each color runs; as long as that is not known, what was known counts."""
        with suppress(RefusedError, ValueError):
            self._images = self.engine.images()

    def _health(self, record: Record, seen: Seen) -> Iterator[Verdict]:
        weight = record.before if record.phase is Phase.MOVING else record.weight
        for service in record.services if weight else ():
            # What the old color has now counts for the next step alone: that it grows is no fault of the new one.
            needed = room(record, replace(seen, healthy={}), service, weight)
            has = seen.healthy.get(service, {}).get(record.new)
            if has is None:
                yield Verdict(gate="health", state="unknown", why=f"{service}: the targets could not be read")
                continue
            self._short[service] = self._short.get(service, 0) + 1 if has < needed else 0
            if self._short[service] > 1:
                why = f"{service}: {record.new} has {has} healthy targets, and needs {needed} for {weight} %"
                yield Verdict(gate="health", state="bad", why=why)

    # What is done

    def _put(self, record: Record) -> bool:
        try:
            self._stored = self.store.write(record, self._stored)
        except LostError:
            return False
        except StoreError as error:
            self._say(str(error))
            self.sleep(1)
            return False
        self._tell(record)
        return True

    def _blindly(self, record: Record, action: Action, blind: str) -> Action:
        """Without the record nothing goes forward; back it does if the new color is bad, or was going back already.

        Not for weights that are not those of a record that may be old: another driver may have gone on.
        """
        self._say(blind)
        bad = isinstance(action, Write) and action.record.phase is Phase.UNDOING and action.record.rejected
        if isinstance(action, Back) or bad:
            self._send_back(record)
        return Wait(why=blind)

    def _send(self, weights: Mapping[str, Mapping[Color, int]], began: float) -> None:
        """Send weights forward: each call once, all services at the same time, and the rules of one in a row.

        No call begins that could land too late.
        """

        def one(service: str) -> None:
            try:
                for rule in self._rules[service].each:
                    if self.steady() >= began + SEND:
                        raise RefusedError(
                            "the call of another rule took so long that the rest is sent with the next look"
                        )
                    moved: Any = rule.moved(weights[service])
                    self.forward.elb.modify_rule(RuleArn=rule.arn, Actions=moved)
            except (RefusedError, BotoCoreError, ClientError) as error:
                self._say(f"{service}: {explained(error)}")

        with ThreadPoolExecutor(len(weights)) as pool:
            list(pool.map(one, weights))
        self._mark(weights)

    def _send_back(self, record: Record) -> None:
        """Give the old color all traffic; what does not arrive is sent again with the next look."""
        wanted = split(record.old, 0)

        def one(rule: Rule) -> str | None:
            try:
                if any(dict(shared) != wanted for shared in rule.shared) or rule.sticky or rule.copied:
                    self.back.move(rule, wanted)
            except (RefusedError, BotoCoreError, ClientError) as error:
                return f"{rule.service}: {explained(error)}"
            return None

        with ThreadPoolExecutor(8) as pool:
            problems = [problem for problem in pool.map(one, self._rules.values()) if problem]
        for problem in problems:
            self._say(problem)
        if problems:
            self.sleep(1)
        self._mark(dict.fromkeys(record.services, wanted))

    def _make_ready(self, record: Record) -> None:
        """Let the new color run what the record names, and arm the guard."""
        try:
            with self._kept_fresh():
                self.prepare(record)
                self.engine.up()
            self._images, self._images_asked = self.engine.images(), self.steady()
        except RefusedError as error:
            self._give_up(str(error))
            return
        for service, image in record.images.items():
            runs = self._images.get(service, {}).get(record.new)
            if image and runs != image:
                self._give_up(f"{service}: the update gave {record.new} {runs}, and the release is of {image}")
                return
        now = self.store.now()
        until = now + sum(step.bake + record.patience for step in record.steps) + GUARDED
        try:
            rules = self.back.rules([self.unit.services[service] for service in record.services])
            moves = [guard.move(each, record.old) for rule in rules.values() for each in rule.each]
            guard.arm(self.clients.s3, self.bucket, self._alarms(record), guard.order(moves, since=now, until=until))
        except (RefusedError, BotoCoreError, ClientError) as error:
            self._give_up(f"the guard could not be armed: {explained(error)}")
            return
        self._prepared = True

    def _give_up(self, why: str) -> None:
        """Undo a release of which nothing has moved yet."""
        with suppress(StoreError, LostError):
            self._stored = self.store.read(self.unit.name) or self._stored
            if self._stored and self._stored.record.owner == self.me:
                self._put(undoing(self._stored.record, by=self.me, now=self.store.now(), why=why))

    def _alarms(self, record: Record) -> list[str]:
        return guard.alarms(self.unit.place.environment, record.services, record.new)

    def _settle(self, record: Record, color: Color, began: float) -> None:
        """Disarm the guard, and let the stack file trust a color, unless that takes too long after the look."""
        try:
            guard.disarm(self.clients.s3, self.bucket, self._alarms(record))
            busy = self.machine is not None and guard.busy(self.clients.states, self.machine)
        except (BotoCoreError, ClientError) as error:
            if not transient(error):
                raise
            self._say(explained(error))
            busy = True
        if busy:
            self.sleep(1)
            return
        there = place(self.unit.place.name)
        if wanted := settings_of(there, dict.fromkeys(record.services, color)):
            there.write(wanted)
        if self.commit and (wanted or record.phase is Phase.SETTLING):
            left = COMMIT - (self.steady() - began)
            what = f"{', '.join(record.services)} to {self._version(record, color)} ({color})"
            verb = "Release" if color is record.new else "Go back with"
            there.commit(f"{verb} {what} in {there.name}", seconds=max(1, left))
        self._settled = color

    def _version(self, record: Record, color: Color) -> str:
        return ", ".join(sorted({pair[color is record.new] for pair in record.versions.values()}))

    def _abort(self) -> None:
        while True:
            try:
                self.store.ask(self.unit.name, Asked.ABORT, by=self.me)
            except ValueError:
                return  # it is over, or goes back already
            except StoreError as error:
                self._say(str(error))
                self.sleep(1)
            else:
                return

    # Who is told

    def _tell(self, record: Record) -> None:
        for event in _after(record.events, self._heard):
            self.told(event)
        self.hear(record)

    def hear(self, record: Record) -> None:
        """Take what a record tells for told."""
        self._heard = record.events[-1] if record.events else self._heard

    def _say(self, what: str) -> None:
        """Tell what is in no record; the same again and again only once."""
        if what != self._said:
            self._said = what
            with suppress(StoreError):
                self.told(Event(at=self.store.now(), what=what, by=self.me))

    def _call(self, record: Record) -> None:
        """Tell the people who hear of the service's alarms; that they cannot be told stops nothing."""
        what = record.events[-1].what.partition(":")[0]
        # At most 100 characters of ASCII (SNS API, Publish).
        subject = f"{self.unit.place.environment}/{record.unit}: release {record.id} {what}"[:100]
        text = "\n".join(f"{stamp(event.at)} {event.what} ({event.by})" for event in record.events[-20:])
        try:
            for topic in self._topics(record):
                self.clients.sns(topic.split(":")[3]).publish(TopicArn=topic, Subject=subject, Message=text)
        except (BotoCoreError, ClientError) as error:
            self._say(f"nobody was told: {explained(error)}")

    def _topics(self, record: Record) -> list[str]:
        """Return the topics that the alarms of the services tell."""
        names = [
            alarm_name(self.unit.place.environment, service, color) for service in record.services for color in Color
        ]
        alarms = described(self.clients.cloudwatch, names)
        return sorted({topic for alarm in alarms for topic in alarm.get("AlarmActions", [])})

    def _mark(self, weights: Mapping[str, Mapping[Color, int]]) -> None:
        """Put the weights beside the metrics of the service; that they cannot be put stops nothing."""
        data = [
            {
                "MetricName": WEIGHT,
                "Dimensions": [
                    {"Name": name, "Value": value}
                    for name, value in weight_dimensions(self.unit.place.environment, service, color).items()
                ],
                "Value": weight,
                "Unit": "Percent",
            }
            for service, share in weights.items()
            for color, weight in share.items()
        ]
        with suppress(BotoCoreError, ClientError):
            self.clients.cloudwatch.put_metric_data(Namespace=METRICS, MetricData=data)

    # The record kept fresh

    def _keep_fresh(self) -> None:
        if self._stored and self.store.now() - self._stored.written >= FRESH:
            self._put(self._stored.record)

    @contextmanager
    def _kept_fresh(self) -> Iterator[None]:
        """Write the record again and again while something takes long, as long as it is ours."""
        over = threading.Event()

        def write() -> None:
            while not over.wait(FRESH):
                with suppress(StoreError, LostError, ValueError):
                    found = self.store.read(self.unit.name)
                    if found and found.record.owner == self.me and not found.record.phase.closed:
                        self.store.write(found.record, found)

        thread = threading.Thread(target=write, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def _after(events: Sequence[Event], last: Event | None) -> Sequence[Event]:
    """Return the events after the last that was heard; all of them if it is not among them."""
    heard = [place for place, event in enumerate(events) if event == last]
    return events[heard[-1] + 1 :] if heard else events


def name_of_me() -> str:
    """Return who drives, unlike any other process: person, machine, process."""
    try:
        person = getpass.getuser()
    except (KeyError, OSError):
        person = "somebody"
    return f"{person}@{socket.gethostname()}:{os.getpid()}#{uuid4().hex[:4]}"
