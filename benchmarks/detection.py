"""What users get of a bad release, and how soon it is taken back.

Needs the local cloud: `eval "$(make -s sandbox-env)"; .venv/bin/python -m benchmarks.detection [ROUNDS] [CASE…]`. Each
round releases green over blue at 10, 50 and 100 percent under 380 requests a second, with one fault in green. Prints
medians: bad answers (no 200, or later than half a second), seconds from the first of them to the last, and seconds from
the first step live until blue has everything again. `… -m benchmarks.detection same RELEASES` releases one image over
itself, and prints how many of the live steps were condemned.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from threading import Event, Thread

from tests.e2e import cloud, releasing

LATE = 0.5
"""Seconds."""
LEAD = 75
"""Seconds of load before a release: two readings of the pods, by which a new cloud knows that it has users."""


@dataclass(frozen=True)
class Round:
    """What became of one release."""

    code: int
    why: str
    bad: int
    lasted: float
    back: float | None
    """Seconds from the first step live until the way back; None if no step was live."""


@contextmanager
def faults(**given: float) -> Iterator[None]:
    """Let green's pods fail."""
    releasing.fail(**given)
    try:
        yield
    finally:
        releasing.fail()


@contextmanager
def old_dead() -> Iterator[None]:
    """Let every request of blue fail as soon as green has some."""
    over = Event()

    def kill() -> None:
        while not over.wait(0.5):
            if releasing.green():
                releasing.fail("blue", error_rate=1)
                return

    killer = Thread(target=kill)
    killer.start()
    try:
        yield
    finally:
        over.set()
        killer.join()
        releasing.fail("blue")


@contextmanager
def configured(path: str, value: object) -> Iterator[None]:
    """Give the stack file another value."""
    with cloud.stack_file():
        cloud.configure(path, value)
        yield


CASES: Mapping[str, Callable[[], AbstractContextManager[None]]] = {
    "every request fails": lambda: faults(error_rate=1),
    "5 % fail": lambda: faults(error_rate=0.05),
    "20 % fail, under much load only": lambda: faults(error_rate=0.2, error_above=45),
    "slow: 40 % take 0.7 s longer": lambda: faults(delay_ms=700, delay_rate=0.4),
    "crash loop: a pod ends after 200 requests": lambda: faults(crash_after=200),
    "leak: 256 kB a request": lambda: faults(leak_kb=256),
    "smoke check fails": lambda: configured("services.shop.strategy.smoke[0].path", "/no-such-page"),
    "migration fails": lambda: configured("services.shop.colors.green.schema", "0999"),
    "the old color fails, all of it": old_dead,  # last: its failures are the usual ones for half an hour
}


def played(case: str) -> Round:
    """Release once."""
    before = releasing.record()
    with releasing.by_steps(), releasing.load() as answers:  # each anew: an alarm of the one before would be waited for
        time.sleep(LEAD)
        with CASES[case]():
            code, output = releasing.ended(releasing.released())
    bad = [answer.at for answer in answers if answer.code != 200 or answer.seconds > LATE]
    after = releasing.record()
    events = after["events"] if after != before else []  # one that is refused leaves no record
    live = next((_seconds(event["at"]) for event in events if event["what"].endswith("% live")), None)
    back = next((_seconds(event["at"]) for event in events if event["what"].startswith("going back")), None)
    why = next((event["what"] for event in events if event["what"].startswith("going back")), output.splitlines()[-1])
    return Round(
        code=code,
        why=why,
        bad=len(bad),
        lasted=bad[-1] - bad[0] if bad else 0.0,
        back=back - live if back and live else None,
    )


def _seconds(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp()


def same(releases: int) -> None:
    """Release one image over itself by twenty steps, and print how many of the live ones were condemned."""
    steps = undone = 0
    with releasing.by_steps(), releasing.load(7200):
        cloud.configure("services.shop.strategy.compare.limit", 5)
        for place, weight in enumerate(range(24, 101, 4)):
            cloud.configure(f"services.shop.strategy.steps[{place}].weight", weight)
            cloud.configure(f"services.shop.strategy.steps[{place}].bake", 5)
        time.sleep(LEAD)
        for _ in range(releases):
            code, output = releasing.ended(releasing.released(), 4000)
            said = releasing.said()
            steps += sum(what.endswith("% live") for what in said)
            undone += code != 0
            print(code, output.splitlines()[-1], file=sys.stderr)  # noqa: T201
    print(f"{steps} live steps of one image in both colors, {undone} condemned")  # noqa: T201


def main() -> None:
    """Run them."""
    if sys.argv[1:2] == ["same"]:
        same(int(sys.argv[2]))
        return
    rounds, cases = int([*sys.argv, "5"][1]), sys.argv[2:] or list(CASES)
    print("| fault | outcome | bad answers | first to last | first step live to the way back |")  # noqa: T201
    print("| --- | --- | ---: | ---: | ---: |")  # noqa: T201
    for case in cases:
        seen = [played(case) for _ in range(rounds)]
        print(json.dumps([vars(one) for one in seen]), file=sys.stderr)  # noqa: T201
        backs = [one.back for one in seen if one.back is not None]
        print(  # noqa: T201
            f"| {case} | {', '.join(sorted({str(one.code) for one in seen}))}: {seen[0].why} "
            f"| {median(one.bad for one in seen):.0f} | {median(one.lasted for one in seen):.1f} s "
            f"| {f'{median(backs):.0f} s' if backs else 'no step was live'} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
