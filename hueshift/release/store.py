"""The records of a stack's releases in S3: one writer at a time by compare and set, and one clock for all drivers.

``<unit>.json`` is the unit's latest release, ``history/<unit>/<id>.json`` those before it. Times are S3's own, from its
answers: no machine's clock is believed, so two of them agree on how long a step was watched.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from hueshift.release import drive
from hueshift.release.drive import Asked, Phase, Record

SILENCE: Final = 60
"""Seconds without a write after which another may go on with a release."""
KEPT: Final = 20
"""Releases in a unit's history."""


class StoreError(Exception):
    """S3 did not answer as it should; the text names the call, the object and what is missing."""


class LostError(Exception):
    """Somebody else wrote the record since it was read: read it again."""


class BusyError(Exception):
    """A release is open, and somebody drives it; the text says who."""


@dataclass(frozen=True, kw_only=True)
class Stored:
    """A record as it was read or written."""

    record: Record
    etag: str
    """What a later write is compared with."""
    written: float
    """When, by S3's clock."""


class Store:
    """The records in one bucket; ``client`` is botocore's for S3."""

    def __init__(  # botocore makes its clients' classes at run time
        self,
        client: Any,  # noqa: ANN401
        bucket: str,
        *,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client, self._bucket, self._steady = client, bucket, steady
        self._date: tuple[float, float] | None = None

    def now(self) -> float:
        """Return seconds since 1970, whole ones, as S3 last said and what has passed since; asks it the first time."""
        if self._date is None:
            self._ask("list_objects_v2", "", MaxKeys=1)
        if self._date is None:
            raise StoreError(f"s3://{self._bucket}: S3 answers without a Date, and there is no other clock")
        date, at = self._date
        return date + int(self._steady() - at)

    def read(self, unit: str) -> Stored | None:
        """Return a unit's latest release; None if there was never one.

        Raises ``StoreError``, and ``ValueError`` for what is no record.
        """
        return self._read(f"{unit}.json")

    def write(self, record: Record, after: Stored | None) -> Stored:
        """Put a record in the place of one that was read or written before, None for where there was nothing.

        Raises ``LostError`` if another came first, ``StoreError`` if it could not be put: whether it was is then
        unknown, and the next read tells.
        """
        return self._write(f"{record.unit}.json", record, {"IfMatch": after.etag} if after else {"IfNoneMatch": "*"})

    def begin(self, record: Record) -> Stored:
        """Put a new release, which gets the next id, and the closed one before it into the history.

        Raises ``BusyError`` if one is open, ``LostError`` and ``StoreError`` as ``write``.
        """
        before = self.read(record.unit)
        if before is None:
            return self.write(replace(record, id=1), None)
        if not before.record.phase.closed:
            raise BusyError(f"{_named(before.record)} is {before.record.phase}: `hueshift resume` or `hueshift abort`")
        self._archive(before.record)
        return self.write(replace(record, id=before.record.id + 1), before)

    def take(self, unit: str, me: str) -> Stored | None:
        """Take over the open release of a unit; None if none is open.

        Raises ``BusyError`` while another drives it, ``LostError`` and ``StoreError`` as ``write``.
        """
        found = self.read(unit)
        if found is None or found.record.phase.closed or found.record.owner == me:
            return found if found and not found.record.phase.closed else None
        silent = self.now() - found.written
        if silent < SILENCE:
            raise BusyError(
                f"{_named(found.record)} is driven by {found.record.owner}, which wrote {silent:.0f} s ago; who else "
                f"wants to go on with it waits for {SILENCE} s of silence"
            )
        taken = drive.noted(replace(found.record, owner=me), by=me, now=self.now(), what="taken over")
        return self.write(taken, found)

    def ask(self, unit: str, what: Asked, *, by: str) -> Stored:
        """Put a person's request into the open release of a unit, for whoever drives it.

        Raises ``ValueError`` if there is nothing to ask of, and ``StoreError``.
        """
        while True:
            found = self.read(unit)
            if found is None:
                raise ValueError(f"there was never a release of {unit}: there is nothing to {what}")
            try:
                return self.write(drive.asking(found.record, what, by=by, now=self.now()), found)
            except LostError:
                continue

    def history(self, unit: str) -> Iterator[Record]:
        """Yield a unit's releases, the newest first, at most ``KEPT`` and the latest.

        Raises ``StoreError``, and ``ValueError`` for what is no record.
        """
        if latest := self.read(unit):
            yield latest.record
        for key in sorted(self._archived(unit), key=_number, reverse=True):
            found = self._read(key)
            if found and not (latest and found.record.id == latest.record.id):
                yield found.record

    def rejected(self, unit: str) -> Mapping[str, str]:
        """Return why what a unit tried was judged bad, by digest; what was promoted since is not in it."""
        found: dict[str, str] = {}
        for record in reversed([*self.history(unit)]):
            for image in record.images.values():
                digest = image.rpartition("@")[2]
                if record.rejected:
                    found[digest] = record.rejected
                elif record.phase is Phase.PROMOTED:
                    found.pop(digest, None)
        return found

    def _archive(self, record: Record) -> None:
        """Put a closed record into the history, once, and take the oldest away."""
        with suppress(LostError):  # somebody did, and died before the start
            self._write(f"history/{record.unit}/{record.id}.json", record, {"IfNoneMatch": "*"})
        for key in sorted(self._archived(record.unit), key=_number)[:-KEPT]:
            self._ask("delete_object", key)

    def _archived(self, unit: str) -> list[str]:
        prefix = f"history/{unit}/"
        found = self._ask("list_objects_v2", prefix, Prefix=prefix)  # of a thousand there are never more than 21
        return [item["Key"] for item in found.get("Contents", [])]

    def _read(self, key: str) -> Stored | None:
        try:
            found = self._ask("get_object", key)
            data = json.loads(found["Body"].read())
        except _MissingError:
            return None
        except json.JSONDecodeError as error:
            raise ValueError(f"s3://{self._bucket}/{key} is no JSON: {error}") from None
        except (BotoCoreError, OSError) as error:
            raise StoreError(f"s3://{self._bucket}/{key} broke off: {error}") from error
        try:
            record = drive.from_data(data)
        except ValueError as error:
            raise ValueError(f"s3://{self._bucket}/{key}: {error}") from None
        return Stored(record=record, etag=found["ETag"], written=found["LastModified"].timestamp())

    def _write(self, key: str, record: Record, condition: Mapping[str, str]) -> Stored:
        body = json.dumps(drive.to_data(record), indent=1).encode()
        try:
            put = self._ask("put_object", key, Body=body, ContentType="application/json", **condition)
        except _MissingError:
            raise LostError(f"s3://{self._bucket}/{key} is gone") from None
        return Stored(record=record, etag=put["ETag"], written=self.now())

    def _ask(self, operation: str, key: str, **arguments: object) -> dict[str, Any]:
        """Call S3 and note its time."""
        where = f"s3://{self._bucket}/{key}"
        if operation != "list_objects_v2":
            arguments["Key"] = key
        try:
            answer: dict[str, Any] = getattr(self._client, operation)(Bucket=self._bucket, **arguments)
        except ClientError as error:
            self._note(error.response)
            code = error.response["Error"].get("Code", "")
            if code in ("PreconditionFailed", "ConditionalRequestConflict"):
                raise LostError(f"{where} was written by another") from None
            if code == "NoSuchKey":
                raise _MissingError from None
            raise StoreError(f"S3 refused {operation} of {where}: {code}{_remedy(code, operation)}") from error
        except BotoCoreError as error:
            raise StoreError(f"S3 could not be asked for {operation} of {where}: {error}") from error
        self._note(answer)
        return answer

    def _note(self, answer: Mapping[str, Any]) -> None:
        date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
        if date:
            self._date = parsedate_to_datetime(date).timestamp(), self._steady()


class _MissingError(Exception):
    """There is no such object."""


_PERMISSIONS: Final = {
    "get_object": "s3:GetObject, or s3:ListBucket, without which S3 does not say that there is none",
    "put_object": "s3:PutObject",
    "delete_object": "s3:DeleteObject",
    "list_objects_v2": "s3:ListBucket",
}


def _remedy(code: str, operation: str) -> str:
    if code in ("AccessDenied", "403"):
        return f"; the role lacks {_PERMISSIONS[operation]}"
    if code == "NoSuchBucket":
        return "; `pulumi up` makes the bucket"
    return ""


def _number(key: str) -> int:
    return int(key.rpartition("/")[2].removesuffix(".json"))


def _named(record: Record) -> str:
    return f"release {record.id} of {record.unit}"
