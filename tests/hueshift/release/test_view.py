"""What people read of a release, word for word."""

from dataclasses import replace

from components.model import Color, split
from hueshift.release.drive import Event, Phase, Verdict, Wait
from hueshift.release.driver import Turn
from hueshift.release.view import as_json, line, listed, page, summary
from tests.hueshift.release.samples import NOW, RELEASE, baking, seen

EVENTS = (
    Event(at=NOW - 40, what="begins: shop 1.4.0 → 1.5.0", by="anna"),
    Event(at=NOW - 2, what="to 10 %", by="anna"),
    Event(at=NOW, what="10 % live", by="anna"),
    Event(at=NOW + 301, what="50 % live", by="anna"),
)
RECORD = baking(2, services=("shop",), since=NOW + 301, events=EVENTS)


def test_the_live_view() -> None:
    look = seen(
        RECORD,
        after=493,
        live={"shop": split(Color.BLUE, 50)},
        verdicts=[
            Verdict(gate="alarms", state="good", why="silent"),
            Verdict(gate="failed", state="unknown", why="6,000 requests, and 7,450 are needed to see 1.0%"),
        ],
    )
    turn = Turn(record=RECORD, seen=look, action=Wait(why="50 % bakes", until=NOW + 901))
    assert "\n".join(page("production", turn)) == (
        "production/shop 17   1.4.0 → 1.5.0   baking, step 2 of 3   bake 3:12 of 10:00\n"
        "  shop           blue   50 %  █████       1.4.0        12 healthy\n"
        "  shop           green  50 %  █████       1.5.0        12 healthy\n"
        "  + alarms: silent\n"
        "  ? failed: 6,000 requests, and 7,450 are needed to see 1.0%\n"
        "  2027-01-15T07:59:20Z  begins: shop 1.4.0 → 1.5.0\n"
        "  2027-01-15T07:59:58Z  to 10 %\n"
        "  2027-01-15T08:00:00Z  10 % live\n"
        "  2027-01-15T08:05:01Z  50 % live\n"
        "  now: 50 % bakes, until 2027-01-15T08:15:01Z\n"
        "  back: Ctrl-C, or hueshift abort"
    )
    blind = Turn(record=RECORD, seen=replace(look, live=None, healthy={}, verdicts=()), action=Wait(why="looks"))
    assert "  shop           blue    ? %              1.4.0        ? healthy" in list(page("production", blind))


def test_an_event_is_one_line_for_people_and_one_for_machines() -> None:
    assert line(EVENTS[2]) == "2027-01-15T08:00:00Z  10 % live"
    assert as_json("shop", EVENTS[2]) == (
        '{"unit": "shop", "at": "2027-01-15T08:00:00Z", "what": "10 % live", "by": "anna"}'
    )


def test_the_summary_of_a_release_that_was_undone() -> None:
    why = "failed: 13 of 250 requests, of the old color 2 of 2,250: 1,204.0 to 1 that it is worse"
    record = replace(
        RECORD,
        phase=Phase.UNDONE,
        since=NOW + 700,
        rejected=why,
        forced="a fix",
        events=(
            *EVENTS,
            Event(at=NOW + 330, what=f"going back: {why}", by="anna"),
            Event(at=NOW + 362, what="undone", by="a|b"),
        ),
    )
    assert summary("production", record) == (
        "## Release 17 of production/shop\n"
        "\n"
        "Undone after 12 min: blue has all traffic, as before.\n"
        "\n"
        f"Rejected: {why}\n"
        "\n"
        "Forced: a fix\n"
        "\n"
        "| service | from | to | image |\n"
        "| --- | --- | --- | --- |\n"
        f"| shop | 1.4.0 (blue) | 1.5.0 (green) | `registry/shop@sha256:{'a' * 64}` |\n"
        "\n"
        "```mermaid\n"
        "xychart-beta\n"
        '  title "green, percent of the traffic"\n'
        '  x-axis ["08:00:00", "08:05:01", "08:06:02"]\n'
        '  y-axis "percent" 0 --> 100\n'
        "  line [10, 50, 0]\n"
        "```\n"
        "\n"
        "| at | what | by |\n"
        "| --- | --- | --- |\n"
        "| 2027-01-15T07:59:20Z | begins: shop 1.4.0 → 1.5.0 | anna |\n"
        "| 2027-01-15T07:59:58Z | to 10 % | anna |\n"
        "| 2027-01-15T08:00:00Z | 10 % live | anna |\n"
        "| 2027-01-15T08:05:01Z | 50 % live | anna |\n"
        f"| 2027-01-15T08:05:30Z | going back: {why} | anna |\n"
        "| 2027-01-15T08:06:02Z | undone | a\\|b |\n"
    )


def test_a_summary_has_sixty_lines_at_most_however_long_the_release_was() -> None:
    many = tuple(Event(at=NOW + at, what="10 % live", by="anna") for at in range(200))
    record = replace(RELEASE, phase=Phase.PROMOTED, step=3, events=many)
    assert len(summary("production", record).splitlines()) <= 60


def test_the_list_of_releases() -> None:
    records = [replace(RECORD, phase=Phase.UNDONE, rejected="slow"), replace(RECORD, id=3)]
    assert list(listed("production", records)) == [
        "production/shop   17  2027-01-15T08:05:01Z  undone    shop 1.4.0 → 1.5.0, pricing 1.4.0 → 1.5.0: slow",
        "production/shop    3  2027-01-15T08:05:01Z  baking    shop 1.4.0 → 1.5.0, pricing 1.4.0 → 1.5.0",
    ]
