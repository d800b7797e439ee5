"""A release in one process, on moto behind HTTP, with a clock that jumps and a load that is computed.

The engine, curl and the push are played.
"""
# ruff: noqa: ANN401 - botocore makes its clients' classes at run time

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import chdir
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError
from typer.testing import CliRunner, Result

from components.model import Color
from hueshift.cli import app
from hueshift.release import commands
from hueshift.release import home as homes
from hueshift.release.counts import Counts, Tick
from hueshift.release.drive import Phase, Record
from hueshift.release.driver import Clients, Driver
from hueshift.release.home import Home
from hueshift.release.store import Store
from hueshift.report import RefusedError
from hueshift.stack import Place, place
from tests.hueshift.release.samples import NOW
from tests.support.balancers import World

BUCKET = "releases"
STEPS: Any = [{"weight": 10, "bake": 20}, {"weight": 50, "bake": 20}, {"weight": 100, "bake": 20}]
PULUMI = """#!/bin/sh
echo "$*" >>"$CALLED"
case "$*" in
*"config set"*) exec "$PYTHON" "$SET" "$@" ;;
*"config rm"*) exec "$PYTHON" remove.py "$@" ;;
*"stack export"*) cat "$STATE" ;;
*"stack output"*) cat outputs.json ;;
"up "*) [ ! -e up-fails ] || { rm up-fails; exit 255; } ;;
*) echo "error: unexpected $*" >&2; exit 1 ;;
esac
"""
CURL = """#!/bin/sh
[ ! -e smoke-fails ] || { printf '\\ncurl: (7) refused\\n000 0.0' >&2; exit 7; }
printf 'HTTP/1.1 200 OK\\r\\nx-version: 1.5.0\\r\\n\\r\\n{"items": []}'
printf '\\n200 0.012' >&2
"""


REMOVE = '''"""What `pulumi config rm --path` does to a stack file."""
import sys, yaml
stack, key = sys.argv[sys.argv.index("--stack") + 1], sys.argv[-1]
content = yaml.safe_load(open(f"Pulumi.{stack}.yaml"))
name, *path, last = key.split(":", 1)[1].split(".")
place = content["config"][f"hueshift:{name}"]
for part in path:
    place = place[part]
del place[last]
open(f"Pulumi.{stack}.yaml", "w").write(yaml.safe_dump(content, sort_keys=False))
'''


class KilledError(BaseException):
    """As `kill -9` ends a process: nothing catches it."""


@dataclass
class Clock:
    """The time of S3 and of every driver; it moves when somebody sleeps."""

    now: float = NOW
    heard: list[Callable[[], object]] = field(default_factory=list)
    """Who is told at every second step of time."""
    at: dict[float, Callable[[], object]] = field(default_factory=dict)
    """What happens when, once."""
    written: dict[str, float] = field(default_factory=dict)

    def steady(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            self.now = min(end, self.now + 5)
            for hear in self.heard:
                hear()
            for due in sorted(due for due in self.at if due <= self.now):
                self.at.pop(due)()

    def answered(self, parsed: dict[str, Any], **_: object) -> None:
        """Date an answer of S3."""
        date = format_datetime(datetime.fromtimestamp(self.now, UTC), usegmt=True)
        parsed["ResponseMetadata"]["HTTPHeaders"]["date"] = date
        if "LastModified" in parsed:
            parsed["LastModified"] = datetime.fromtimestamp(self.written.get(parsed["ETag"], self.now), UTC)
        elif "ETag" in parsed:
            self.written[parsed["ETag"]] = self.now


@dataclass
class Load:
    """Requests at a constant rate, shared as the weights say; what a color does with its own is the test's to say."""

    world: World
    clock: Clock
    rate: float = 4000
    bad: Callable[[str, float], tuple[float, float]] = lambda _color, _share: (0.001, 0.05)
    """Of a color with a share of 0 to 1: which parts of its requests fail and are slow."""
    ticks_: list[Tick] = field(default_factory=list)
    silent: bool = False
    service: str = "pricing"

    def tick(self) -> None:
        since = self.ticks_[-1].at if self.ticks_ else self.clock.now - 5
        requests, failed, slow = {}, {}, {}
        for color, weight in self.world.live(self.service).items():
            count = self.rate * (self.clock.now - since) * weight / 100
            fails, late = self.bad(color, weight / 100)
            key = Color(color)
            requests[key], failed[key], slow[key] = count, count * fails, count * late
        if self.clock.now > since:
            self.ticks_.append(Tick(self.clock.now, requests, failed, slow))

    def ticks(self, service: str, *, since: float, now: float, slow: float | None) -> Sequence[Tick]:
        del service, slow
        return [] if self.silent else [it for it in self.ticks_ if since < it.at <= now]

    def bound(self, service: str, color: Color) -> float | None:
        del service, color
        return 0.25


@dataclass
class Engine:
    """The engine: after an update each color runs what the file says."""

    place: Place
    effect: Callable[[str], None]
    fails: str | None = None
    ran: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    ups: int = 0
    learned: list[str] = field(default_factory=list)

    def up(self) -> None:
        self.effect("up begins")
        self.ups += 1
        if self.fails:
            raise RefusedError(self.fails)
        self.ran = self.images()
        self.effect("up ends")

    def images(self) -> Mapping[str, Mapping[str, str]]:
        with chdir(self.place.folder):
            services = place(self.place.name).services
        return self.ran or {
            name: {color.value: str(said["image"]) for color, said in wished.colors.items()}
            for name, wished in services.items()
        }

    def learn(self, services: Sequence[str]) -> None:
        self.learned += services


class Hooked:
    """A client of whose calls some are effects: a process may die before and after each."""

    def __init__(self, client: Any, names: Sequence[str], effect: Callable[[str], None]) -> None:
        self._client, self._names, self._effect = client, names, effect

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._client, name)
        if name not in self._names:
            return call

        def hooked(*words: object, **given: object) -> Any:
            self._effect(f"{name} begins")
            answer = call(*words, **given)
            self._effect(f"{name} ends")
            return answer

        return hooked


@dataclass
class Loop:
    """The project of `World`, whose service pricing is released from blue to green."""

    world: World
    clock: Clock
    load: Load
    clients: Clients
    engine: Engine
    drivers: list[Driver] = field(default_factory=list)
    effects: list[str] = field(default_factory=list)
    dies: int | None = None
    """At which effect the process ends."""
    gone: bool = False
    """Whether S3 cannot be reached."""

    def effect(self, name: str) -> None:
        self.effects.append(name)
        if self.dies is not None and len(self.effects) > self.dies:
            self.dies = None
            raise KilledError(name)

    @property
    def store(self) -> Store:
        return Store(self.clients.s3, BUCKET, steady=self.clock.steady)

    @property
    def record(self) -> Record:
        found = self.store.read(self.unit)
        assert found is not None
        return found.record

    @property
    def unit(self) -> str:
        return self.load.service if self.load.service == "pricing" else "staging"

    @property
    def said(self) -> list[str]:
        """What the record tells."""
        return [event.what for event in self.record.events]

    def strategy(self, *services: str, **data: object) -> None:
        """Give pricing, or others, a strategy in the stack file."""
        for service in services or ("pricing",):
            said = {"strategy": {"steps": STEPS, "patience": 120, **data}}
            self.world.change(lambda config: config["hueshift:services"][service].update(said))  # noqa: B023

    def run(self, *words: str) -> Result:
        """Run the command."""
        named = () if "--all" in words else ("--service", self.load.service)
        return self.bare(*words, *named, "--stack", "staging")

    def bare(self, *words: str) -> Result:
        """Run another command."""
        with chdir(self.world.folder):
            return CliRunner().invoke(app, list(words), catch_exceptions=False)

    def alarm(self, name: str, state: str) -> None:
        """Let an alarm of pricing have a state."""
        self.clients.cloudwatch.set_alarm_state(
            AlarmName=f"staging-pricing-{name}", StateValue=state, StateReason="test"
        )

    @property
    def messages(self) -> list[str]:
        """The subjects of what people were told."""
        sqs = boto3.client("sqs", region_name="eu-west-1")
        url = sqs.get_queue_url(QueueName="people")["QueueUrl"]
        found = []
        while answer := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for message in answer:
                found.append(json.loads(message["Body"])["Subject"])
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return found


def begun(world: World, monkeypatch: pytest.MonkeyPatch) -> Loop:
    """Return a world in which blue of pricing serves 4,000 requests a second, and green runs 1.5.0."""
    for name, value in world.environment.items():
        monkeypatch.setenv(name, value)
    folder = world.folder
    (folder / "bin/pulumi").write_text(PULUMI)
    (folder / "bin/curl").write_text(CURL)
    (folder / "outputs.json").write_text(json.dumps({"releases": BUCKET, "guard": None}))
    (folder / "remove.py").write_text(REMOVE)
    (folder / "set.py").write_text((folder / "set.py").read_text().replace("int(text)", "yaml.safe_load(text)"))
    clock = Clock()
    clients = Clients(s3=_bucket(clock), states=None, cloudwatch=_alarms(), sns=_sns)
    load = Load(world, clock)
    clock.heard.append(load.tick)
    with chdir(folder):
        there = place("staging")
    engine = Engine(there, lambda _: None)
    loop = Loop(world, clock, load, clients, engine)
    engine.effect = loop.effect

    def reached(**_: object) -> None:
        if loop.gone:
            raise EndpointConnectionError(endpoint_url="https://s3")

    clients.s3.meta.events.register("before-call.s3", reached)
    loop.strategy()
    for _ in range(4):
        clock.sleep(5)

    class Here(Home):
        """The home of the stack, whose drivers live by this clock."""

        @property
        def store(self) -> Store:
            s3 = Hooked(loop.clients.s3, ("put_object", "delete_object"), loop.effect)
            return Store(s3, BUCKET, steady=clock.steady)

        def counts(self, unit: Any, rules: Any) -> Counts:
            del unit, rules
            return load

        def driver(self, unit: Any, **given: Any) -> Driver:
            given |= {"engine": engine, "steady": clock.steady, "sleep": clock.sleep}
            given |= {"store": self.store, "me": f"driver{len(loop.drivers)}"}
            made = super().driver(unit, **given)
            made.forward.elb = Hooked(made.forward.elb, ("modify_rule",), loop.effect)  # type: ignore[assignment]
            made.back.elb = Hooked(made.back.elb, ("modify_rule",), loop.effect)  # type: ignore[assignment]
            loop.drivers.append(made)
            return made

    def here(where: Place) -> Home:
        s3 = Hooked(loop.clients.s3, ("put_object", "delete_object"), loop.effect)
        return Here(
            place=where,
            bucket=BUCKET,
            machine=None,
            clients=Clients(s3=s3, states=None, cloudwatch=clients.cloudwatch, sns=_sns),
        )

    write = Place.write

    def written(self: Place, wanted: Mapping[str, str | int]) -> None:
        loop.effect("file begins")
        write(self, wanted)
        loop.effect("file ends")

    monkeypatch.setattr(Place, "write", written)
    for module in (commands, homes):
        monkeypatch.setattr(module, "home", here)
    return loop


def _bucket(clock: Clock) -> Any:
    client = boto3.client("s3", region_name="us-east-1")
    client.create_bucket(Bucket=BUCKET)
    for item in client.list_objects_v2(Bucket=BUCKET).get("Contents", []):
        client.delete_object(Bucket=BUCKET, Key=item["Key"])
    client.meta.events.register("after-call.s3", clock.answered)
    return client


def _sns(region: str) -> Any:
    return boto3.client("sns", region_name=region)


def _alarms() -> Any:
    topic = _sns("eu-west-1").create_topic(Name="people")["TopicArn"]
    sqs = boto3.client("sqs", region_name="eu-west-1")
    for left in sqs.list_queues(QueueNamePrefix="people").get("QueueUrls", []):
        sqs.delete_queue(QueueUrl=left)
    url = sqs.create_queue(QueueName="people")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    _sns("eu-west-1").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    client: Any = boto3.client("cloudwatch", region_name="eu-west-1")
    for service in ("shop", "orders", "pricing"):
        for color in Color:
            name = f"staging-{service}-{color}"
            # moto makes no composite alarms; a metric alarm of that name is asked in the same way.
            for each, topics in ((name, [topic]), (f"{name}-canary-errors", [])):
                client.put_metric_alarm(
                    AlarmName=each, MetricName="m", Namespace="n", Statistic="Sum", Period=60, EvaluationPeriods=1,
                    Threshold=1, ComparisonOperator="GreaterThanThreshold", AlarmActions=topics,
                )  # fmt: skip
                client.set_alarm_state(AlarmName=each, StateValue="OK", StateReason="test")
    return client


BLUE, GREEN = {"blue": 100, "green": 0}, {"blue": 0, "green": 100}


def undone(loop: Loop, why: str) -> None:
    """Assert that a release was undone for a reason, and that file and way back are as before."""
    assert loop.record.phase is Phase.UNDONE, loop.said
    assert any(why in said for said in loop.said if said.startswith("going back")), loop.said
    assert loop.world.live("pricing") == BLUE
    assert loop.world.config["hueshift:services"]["pricing"]["activeColor"] == "blue"
    assert armed(loop) == []


def armed(loop: Loop) -> list[str]:
    found = loop.clients.s3.list_objects_v2(Bucket=BUCKET, Prefix="guard/").get("Contents", [])
    return [item["Key"] for item in found]
