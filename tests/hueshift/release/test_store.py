"""The record in S3, against moto: one writer, one clock, take-over, history."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from hueshift.release import drive
from hueshift.release.drive import Asked, Phase, Record
from hueshift.release.store import KEPT, SILENCE, BusyError, LostError, Store, Stored, StoreError
from tests.hueshift.release.samples import NOW, RELEASE, baking
from tests.support.moto import mocked

BUCKET = "releases"
S3 = Any
"""botocore makes its clients' classes at run time."""


class Clock:
    """S3's clock, in the answers of moto's."""

    def __init__(self) -> None:
        self.now = NOW
        self.written: dict[str, int] = {}

    def answered(self, parsed: dict[str, Any], **_: object) -> None:
        """Date an answer."""
        at = datetime.fromtimestamp(self.now, UTC)
        parsed["ResponseMetadata"]["HTTPHeaders"]["date"] = format_datetime(at, usegmt=True)
        if "LastModified" in parsed:
            parsed["LastModified"] = datetime.fromtimestamp(self.written[parsed["ETag"]], UTC)
        elif "ETag" in parsed:
            self.written[parsed["ETag"]] = self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def client(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    with mocked(monkeypatch):
        made = boto3.client("s3", region_name="us-east-1")
        made.create_bucket(Bucket=BUCKET)
        made.meta.events.register("after-call.s3", clock.answered)
        yield made


@pytest.fixture
def store(client: S3) -> Store:
    return Store(client, BUCKET, steady=lambda: 0)


def closed(store: Store, phase: Phase = Phase.PROMOTED, **changes: object) -> Record:
    """Begin a release and end it."""
    begun = store.begin(replace(RELEASE, **changes))  # type: ignore[arg-type]
    return store.write(replace(begun.record, phase=phase, step=3), begun).record


def test_what_was_begun_is_read_back_and_its_time_is_s3s(store: Store, clock: Clock) -> None:
    assert store.read("shop") is None
    begun = store.begin(RELEASE)
    clock.now += 7
    found = store.read("shop")

    assert found
    assert found.record == replace(RELEASE, id=1)
    assert (found.etag, found.written) == (begun.etag, NOW)
    assert store.now() == NOW + 7


def test_the_clock_goes_on_while_s3_is_silent(client: S3) -> None:
    steady = iter([100.0, 112.9])
    store = Store(client, BUCKET, steady=lambda: next(steady))

    assert store.now() == NOW + 12


def test_of_two_writers_one_loses_and_reads_again(store: Store) -> None:
    begun = store.begin(RELEASE)
    store.write(replace(begun.record, asked=Asked.PAUSE), begun)

    with pytest.raises(LostError):
        store.write(replace(begun.record, owner="ben"), begun)
    found = store.read("shop")
    assert found
    assert (found.record.owner, found.record.asked) == ("anna", Asked.PAUSE)


def test_of_two_starts_one_loses(store: Store) -> None:
    store.write(RELEASE, None)
    with pytest.raises(LostError):
        store.write(RELEASE, None)


def test_a_record_that_is_gone_is_not_written_back(store: Store, client: S3) -> None:
    begun = store.begin(RELEASE)
    client.delete_object(Bucket=BUCKET, Key="shop.json")
    with pytest.raises(LostError):
        store.write(begun.record, begun)


def test_an_open_release_is_not_begun_over(store: Store) -> None:
    store.begin(RELEASE)
    with pytest.raises(BusyError, match="release 1 of shop is trying: `hueshift resume` or `hueshift abort`"):
        store.begin(RELEASE)


def test_who_drives_is_not_disturbed_until_they_are_silent_for_a_minute(store: Store, clock: Clock) -> None:
    begun = store.begin(RELEASE)
    clock.now += SILENCE - 1
    with pytest.raises(BusyError, match="release 1 of shop is driven by anna, which wrote 59 s ago"):
        store.take("shop", "ben")
    clock.now += 1
    taken = store.take("shop", "ben")

    assert taken
    assert taken.record.owner == "ben"
    assert taken.record.events[-1] == drive.Event(at=NOW + SILENCE, what="taken over", by="ben")
    with pytest.raises(LostError):
        store.write(begun.record, begun)


def test_a_release_is_taken_only_if_one_is_open_and_not_from_oneself(store: Store) -> None:
    assert store.take("shop", "ben") is None
    begun = store.begin(RELEASE)
    assert store.take("shop", "anna") == store.read("shop")
    store.write(replace(begun.record, phase=Phase.UNDONE), begun)
    assert store.take("shop", "ben") is None


def test_a_request_reaches_whoever_drives_though_they_write_at_the_same_time(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = store.begin(RELEASE)
    read, beaten = store.read, iter([True, False])

    def beaten_once(unit: str) -> Stored | None:
        found = read(unit)
        if found and next(beaten):
            store.write(baking(1, id=1), found)
        return found

    monkeypatch.setattr(store, "read", beaten_once)
    asked = store.ask("shop", Asked.PAUSE, by="ben").record

    assert (asked.asked, asked.phase) == (Asked.PAUSE, Phase.BAKING)
    assert asked.owner == begun.record.owner == "anna"


def test_nothing_is_asked_of_a_unit_that_was_never_released(store: Store) -> None:
    with pytest.raises(ValueError, match="there was never a release of shop: there is nothing to pause"):
        store.ask("shop", Asked.PAUSE, by="ben")


def test_the_history_has_the_newest_first_and_twenty_before_the_latest(store: Store) -> None:
    for _ in range(KEPT + 3):
        closed(store)
    store.begin(RELEASE)

    ids = [record.id for record in store.history("shop")]
    assert ids == list(range(KEPT + 4, 3, -1))


def test_a_start_that_died_between_the_history_and_the_record_costs_nothing(store: Store) -> None:
    closed(store)
    store._archive(replace(RELEASE, id=1))

    assert store.begin(RELEASE).record.id == 2
    assert [record.id for record in store.history("shop")] == [2, 1]


def test_units_do_not_share_a_history(store: Store) -> None:
    closed(store)
    closed(store, unit="shop-admin")
    store.begin(RELEASE)
    assert [(record.unit, record.id) for record in store.history("shop")] == [("shop", 2), ("shop", 1)]


def test_what_was_judged_bad_is_known_by_digest_until_it_is_promoted_after_all(store: Store) -> None:
    closed(store, Phase.UNDONE, rejected="failed: 13 of 1,500")
    closed(store, Phase.UNDONE, images={"shop": "registry/shop@sha256:" + "c" * 64})
    assert store.rejected("shop") == {
        "sha256:" + "a" * 64: "failed: 13 of 1,500",
        "sha256:" + "b" * 64: "failed: 13 of 1,500",
    }
    closed(store, images={"shop": "registry/shop@sha256:" + "a" * 64})
    assert store.rejected("shop") == {"sha256:" + "b" * 64: "failed: 13 of 1,500"}


@pytest.mark.parametrize(
    ("operation", "call", "said"),
    [
        ("GetObject", lambda store: store.read("shop"), "get_object of s3://releases/shop.json: {} s3:GetObject"),
        (
            "PutObject",
            lambda store: store.write(RELEASE, None),
            "put_object of s3://releases/shop.json: {} s3:PutObject",
        ),
        (
            "ListObjectsV2",
            lambda store: store._archived("shop"),
            "list_objects_v2 of s3://releases/history/shop/: {} s3:ListBucket",
        ),
    ],
)
def test_a_missing_permission_is_named_with_the_call(
    store: Store, client: S3, operation: str, call: Callable[[Store], object], said: str
) -> None:
    def denied(**_: object) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied"}, "ResponseMetadata": {}}, operation)  # type: ignore[typeddict-item]

    client.meta.events.register(f"before-call.s3.{operation}", denied)
    with pytest.raises(StoreError, match=said.format("AccessDenied; the role lacks")):
        call(store)


def test_an_s3_that_cannot_be_reached_is_told(store: Store, client: S3) -> None:
    def unreachable(**_: object) -> None:
        raise EndpointConnectionError(endpoint_url="https://s3")

    client.meta.events.register("before-call.s3", unreachable)
    with pytest.raises(StoreError, match=r"S3 could not be asked for get_object of s3://releases/shop\.json"):
        store.read("shop")


def test_a_bucket_that_is_not_there_is_told_with_what_makes_it(client: S3) -> None:
    with pytest.raises(StoreError, match="NoSuchBucket; `pulumi up` makes the bucket"):
        Store(client, "none").read("shop")


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("{", "s3://releases/shop.json is no JSON"),
        ("[]", "s3://releases/shop.json: a record of format None"),
        (json.dumps({"format": 2}), "s3://releases/shop.json: a record of format 2"),
    ],
)
def test_what_is_no_record_is_named_and_not_overwritten(store: Store, client: S3, body: str, why: str) -> None:
    client.put_object(Bucket=BUCKET, Key="shop.json", Body=body.encode())
    for call in (store.read, lambda _: store.begin(RELEASE)):
        with pytest.raises(ValueError, match=why):
            call("shop")
    assert client.get_object(Bucket=BUCKET, Key="shop.json")["Body"].read() == body.encode()
