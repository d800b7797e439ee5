"""A strategy read from plain data, and the hours in which none goes forward."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.rules.steps import Check, Gate, Step, Strategy, StrategyError, freezes, seconds, strategy

BERLIN = ZoneInfo("Europe/Berlin")
SECRET = "postgresql://shop:hunter2@db/shop"


def read(staging: object = False, **data: object) -> Strategy:
    return strategy(data, bake=300, least_bake=300, production=not staging, health_path="/health/ready")


def problems(**data: object) -> list[str]:
    with pytest.raises(StrategyError) as refused:
        read(**data)
    return [f"{key}: {reason}" for key, reason in refused.value.problems]


def test_without_configuration_production_takes_three_steps_and_all_else_one() -> None:
    assert [(step.weight, step.bake) for step in read().steps] == [(10, 300), (50, 300), (100, 300)]
    assert [(step.weight, step.bake) for step in read(staging=True).steps] == [(100, 300)]
    assert read().smoke == (Check(path="/health/ready"),)
    assert (read().limit, read().patience) == (1.0, 600)
    assert not [step for step in read().steps if step.approval]


def test_blue_green_is_no_steps_and_the_last_step_need_not_be_written() -> None:
    assert read(steps=[]).steps == (Step(weight=100, bake=300),)
    assert [step.weight for step in read(steps=[5]).steps] == [5, 100]
    assert read(steps=[100]).steps == (Step(weight=100, bake=300),)


def test_a_step_has_a_bake_an_approval_and_gates() -> None:
    orders = {"name": "orders", "query": "sum(orders)", "below": 0.2}
    found = read(steps=[1, {"weight": 25, "bake": "24h", "approval": True, "gates": [orders]}], gates=[orders])

    gate = Gate(name="orders", query="sum(orders)", below=0.2)
    assert found.steps[1] == Step(weight=25, bake=86_400, approval=True, gates=(gate,))
    assert found.gates == (gate,)


def test_what_is_asked_of_the_new_color() -> None:
    found = read(
        smoke=[
            {"path": "/items", "status": 201, "within": "500ms", "contains": "items"},
            {"command": ["tools/try.sh", "x"]},
        ]
    )
    assert found.smoke == (
        Check(path="/items", status=201, within=0.5, contains="items"),
        Check(command=("tools/try.sh", "x")),
    )


def test_the_comparison_can_be_sharpened_and_left_out() -> None:
    assert read(compare={"limit": 0.5}).limit == 0.5
    assert read(compare=False).limit is None


@pytest.mark.parametrize(
    ("value", "meant"),
    [(90, 90), ("90s", 90), ("30m", 1800), ("24h", 86_400), ("500ms", 0.5), (0, 0)],
)
def test_a_time_is_written_in_seconds_or_with_a_unit(value: object, meant: float) -> None:
    assert seconds(value) == meant


@pytest.mark.parametrize("value", ["", "5", "5 m", "1d", "-5s", -1, True, None, [], "5m30s", float("nan"), "٣s"])
def test_what_is_no_time_is_none(value: object) -> None:
    assert seconds(value) is None


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({"steps": [50, 10]}, "steps: weights must rise; got 50, 10, 100"),
        ({"steps": [10, 10]}, "steps: weights must rise; got 10, 10, 100"),
        ({"steps": [0]}, "steps[0].weight: must be a whole percentage from 1 to 100; got 0"),
        ({"steps": [True]}, "steps[0]: must be a mapping; got true"),
        ({"steps": list(range(1, 30))}, "steps: 30 steps; allowed are 20"),
        ({"steps": 10}, "steps: must be a list; got 10"),
        ({"steps": [{"weight": 5, "bake": "10s"}]}, "steps[0].bake: 10s is too short; raise it to 300s"),
        ({"steps": [{"weight": 5, "bake": "a day"}]}, "steps[0].bake: must be seconds, or such as 90s, 30m or 24h"),
        ({"steps": [{"weight": 5, "aproval": True}]}, "steps[0].aproval: unknown key; did you mean approval?"),
        ({"steps": [{"weight": 5, "approval": "yes"}]}, 'steps[0].approval: must be true or false; got "yes"'),
        ({"steps": [{"shadow": 20}]}, "steps[0].shadow: is no step of a release; set shadow.percent"),
        ({"canary": 1}, "canary: unknown key; known here: steps, smoke, gates, compare, patience"),
        ({"compare": True}, "compare: must be false or a mapping with limit; got true"),
        ({"compare": {"limit": 0}}, "compare.limit: must be a number from 0.1 to 100; got 0"),
        ({"patience": "5s"}, "patience: 5s is too short; raise it to 60s"),
        ({"gates": [{"name": "x", "query": "y"}]}, "gates[0]: must have a query with below or above, or a command"),
        ({"gates": [{"name": "x"}]}, "gates[0]: must have a query with below or above, or a command"),
        ({"gates": [{"command": ["x"]}]}, "gates[0].name: is required"),
        ({"gates": [{"name": "x", "command": [1]}]}, "gates[0].command: must be a list of texts"),
        ({"smoke": [{}]}, "smoke[0]: must have a path, which begins with /, or a command alone"),
        ({"smoke": [{"path": "items"}]}, "smoke[0]: must have a path, which begins with /"),
        ({"smoke": [{"command": ["x"], "status": 200}]}, "smoke[0]: must have a path"),
        ({"smoke": [{"path": "/", "status": 99}]}, "smoke[0].status: must be a number from 100 to 599; got 99"),
    ],
)
def test_what_is_wrong_is_refused_by_its_key(data: dict[str, object], problem: str) -> None:
    assert any(found.startswith(problem) for found in problems(**data)), problems(**data)


def test_all_problems_are_told_at_once() -> None:
    assert len(problems(steps=[0, "x"], compare=3, smoke=3)) == 5


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 200) | st.floats(allow_nan=True) | st.sampled_from(["5m", "", "x"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["weight", "bake", "path", "name", "query", "limit", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(["steps", "smoke", "gates", "compare", "patience"]), plain))
def test_whatever_is_written_gives_a_strategy_whose_weights_rise_to_all_or_is_refused(data: dict[str, object]) -> None:
    try:
        found = read(**data)
    except StrategyError:
        return
    weights = [step.weight for step in found.steps]
    assert weights == sorted(set(weights))
    assert weights[-1] == 100
    assert all(step.bake >= 300 for step in found.steps)


# Freezes


def at(text: str, fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN, fold=fold).timestamp()


WEEKEND = [{"days": ["fri"], "from": "15:00"}, {"days": ["sat", "sun"]}]


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2026-12-04T14:59:59", None),  # a Friday
        ("2026-12-04T15:00:00", "2026-12-07T00:00"),
        ("2026-12-06T23:59:59", "2026-12-07T00:00"),
        ("2026-12-07T00:00:00", None),
    ],
)
def test_windows_that_touch_are_one_freeze(now: str, until: str | None) -> None:
    assert freezes(WEEKEND, zone="Europe/Berlin").until(at(now)) == (at(until) if until else None)


def test_peak_hours_of_every_day_and_a_night_that_ends_on_the_next() -> None:
    peak = freezes(
        [{"from": "09:00", "to": "11:00"}, {"days": ["mon"], "from": "22:00", "to": "06:00"}], zone="Europe/Berlin"
    )
    assert peak.until(at("2026-12-01T08:59:59")) is None
    assert peak.until(at("2026-12-01T10:00")) == at("2026-12-01T11:00")
    assert peak.until(at("2026-12-01T05:00")) == at("2026-12-01T06:00")  # Tuesday, of Monday's night
    assert peak.until(at("2026-12-02T05:00")) is None


def test_dates_are_both_included_written_as_yaml_or_text() -> None:
    for dates in ([date(2026, 12, 19), date(2027, 1, 6)], ["2026-12-19", "2027-01-06"]):
        found = freezes([{"dates": dates}], zone="Europe/Berlin")
        assert found.until(at("2026-12-18T23:59:59")) is None
        assert found.until(at("2026-12-19T00:00")) == found.until(at("2027-01-06T23:59")) == at("2027-01-07T00:00")


def test_the_next_freeze_is_told_if_it_begins_before_the_end() -> None:
    found = freezes(WEEKEND, zone="Europe/Berlin")
    now = at("2026-12-04T12:00")
    assert found.next(now, at("2026-12-04T16:00")) == at("2026-12-04T15:00")
    assert found.next(now, at("2026-12-04T14:00")) is None


def test_a_freeze_keeps_the_hours_of_its_place_when_clocks_change() -> None:
    found = freezes([{"days": ["sun"], "from": "01:00", "to": "04:00"}], zone="Europe/Berlin")
    summer, winter = "2026-03-29", "2026-10-25"  # 02:00 becomes 03:00, and 03:00 becomes 02:00
    for day, hours in ((summer, 2), (winter, 4), ("2026-11-01", 3)):
        begins, ends = at(f"{day}T01:00"), at(f"{day}T04:00")
        assert ends - begins == hours * 3600
        assert found.until(begins - 1) is None
        assert found.until(begins) == found.until(ends - 1) == ends
        assert found.until(ends) is None


def test_an_hour_that_a_clock_change_repeats_is_frozen_both_times_and_one_that_it_skips_is_no_hole() -> None:
    twice = freezes([{"from": "02:15", "to": "02:45"}], zone="Europe/Berlin")
    first, second = at("2026-10-25T02:30"), at("2026-10-25T02:30", fold=1)
    assert second - first == 3600
    assert twice.until(first) == twice.until(second) == at("2026-10-25T02:45", fold=1)

    skipped = freezes([{"from": "00:00", "to": "02:30"}], zone="Europe/Berlin")
    assert skipped.until(at("2026-03-29T01:59:59")) == at("2026-03-29T03:30")


@pytest.mark.parametrize(
    ("item", "problem"),
    [
        ({}, "freeze[0]: must have days, dates, from or to"),
        ({"days": ["freitag"]}, 'freeze[0].days: "freitag": no day; allowed are mon, tue, wed, thu, fri, sat, sun'),
        ({"from": 900}, 'freeze[0].from: must be an hour in quotes, such as "15:00"; got 900'),
        ({"from": "15:00", "to": "25:00"}, "freeze[0].to: must be an hour in quotes"),
        ({"dates": ["2027-01-06", "2026-12-19"]}, "freeze[0].dates: must be the first and the last day"),
        ({"dates": ["2027-01-06"]}, "freeze[0].dates: must be the first and the last day"),
        ({"hours": 3}, "freeze[0].hours: unknown key"),
        ({"days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]}, "freeze: never ends: no release could be made"),
        ("fri", 'freeze[0]: must be a mapping; got "fri"'),
    ],
)
def test_a_freeze_that_is_none_is_refused(item: object, problem: str) -> None:
    with pytest.raises(StrategyError, match="freeze") as refused:
        freezes([item])
    assert any(f"{key}: {reason}".startswith(problem) for key, reason in refused.value.problems), str(refused.value)


def test_a_place_without_a_clock_is_refused() -> None:
    with pytest.raises(
        StrategyError, match='zone: "Europe/Atlantis" is no time zone; allowed is such as Europe/Berlin'
    ):
        freezes([], zone="Europe/Atlantis")


@given(st.integers(1_700_000_000, 1_900_000_000))
def test_when_a_freeze_ends_none_holds(now: int) -> None:
    found = freezes([*WEEKEND, {"from": "22:00", "to": "03:00"}], zone="America/New_York")
    until = found.until(now)
    if until is not None:
        assert until > now
        assert found.until(until) is None
        assert found.until(until - 1) == until


@pytest.mark.parametrize(
    "data",
    [
        {"steps": SECRET},
        {"steps": [{"weight": SECRET, "bake": SECRET, "approval": SECRET}]},
        {"smoke": [{"path": "/items", "status": SECRET, "within": SECRET, "contains": [SECRET]}]},
        {"gates": [{"name": [SECRET], "query": "up", "above": SECRET}], "compare": SECRET, "patience": SECRET},
        {"smoke": [{"command": {"password": SECRET}}], "compare": {"limit": SECRET}},
    ],
)
def test_no_refusal_repeats_what_may_be_a_secret(data: dict[str, object]) -> None:
    with pytest.raises(StrategyError) as refused:
        strategy(data, bake=300, least_bake=60, production=True, health_path="/health/ready")
    assert "hunter2" not in str(refused.value)


def test_no_refusal_of_a_freeze_repeats_what_may_be_a_secret() -> None:
    with pytest.raises(StrategyError) as refused:
        freezes([{"days": [SECRET], "from": SECRET, "to": [SECRET]}, SECRET], zone=SECRET)
    assert "hunter2" not in str(refused.value)


def test_what_is_not_asked_by_get_has_no_check_unless_one_is_given() -> None:
    def smoke(data: dict[str, object]) -> int:
        return len(strategy(data, bake=300, least_bake=300, production=True, health_path=None).smoke)

    assert smoke({}) == 0
    assert smoke({"smoke": [{"command": ["true"]}]}) == 1
