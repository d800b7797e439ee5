"""Who an Application Load Balancer can tell to be in a cohort, and for how long an experiment may last."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components import rules
from components.model import ALL_SERVICES_RULES, MAX_SERVICES, SERVICE_RULES
from components.spec import CookieCohort, Experiment, HeaderCohort

BEGAN = datetime(2027, 3, 1, 9, tzinfo=UTC)
_texts = st.text("abz0-_.", min_size=1, max_size=4)


def glob(pattern: str) -> str:
    """Return an ALB's wildcards as a regular expression."""
    return "".join({"*": ".*", "?": "."}.get(character, re.escape(character)) for character in pattern)


def matches(experiment: Experiment, header: str) -> bool:
    """Whether a rule of the cohort has a value that is the whole header, in any case."""
    return any(
        re.fullmatch(glob(value), header, re.IGNORECASE) for _, values in experiment.conditions for value in values
    )


def cookie(name: str, value: str) -> Experiment:
    return Experiment(name="x", since="", until="", cookie=CookieCohort(name=name, value=value))


@given(st.lists(st.tuples(_texts, _texts), min_size=1, max_size=4), _texts, _texts)
def test_a_cookie_is_told_by_its_whole_name_and_value_wherever_it_stands(
    sent: list[tuple[str, str]], name: str, value: str
) -> None:
    header = "; ".join(f"{key}={text}" for key, text in sent)
    assert matches(cookie(name, value), header) == ((name, value) in sent)
    assert matches(cookie(*sent[0]), header)
    assert matches(cookie(*sent[-1]), header)


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ("cohort=b", True),
        ("COHORT=B; a=1", True),
        ("a=1; cohort=b", True),
        ("a=1; cohort=b; z=2", True),
        ("cohort=b2", False),
        ("cohort=b2; a=1", False),
        ("a=1; cohort=b2", False),
        ("a=1; cohort=b2; z=2", False),
        ("mycohort=b", False),
        ("a=1; mycohort=b; z=2", False),
        ("cohort=a", False),
        ("", False),
    ],
)
def test_no_cookie_that_looks_like_it_is_taken_for_it(header: str, told: bool) -> None:
    assert matches(cookie("cohort", "b"), header) == told


@given(_texts, _texts)
def test_the_rules_of_a_cohort_keep_within_what_a_load_balancer_takes(name: str, value: str) -> None:
    for _, values in cookie(name, value).conditions:
        assert len(values) <= 3, "comparisons of one condition"
        assert "".join(values).count("*") <= 5, "wildcards of one rule"
        assert 1 + len(values) <= 5, "with the host, the values of one rule"
    longest = cookie("n" * 40, "v" * 64)
    assert all(len(text) <= 128 for _, values in longest.conditions for text in values)


def test_a_header_takes_one_rule_and_a_random_cohort_none() -> None:
    header = HeaderCohort(name="x-cohort", values=["beta"])
    assert Experiment(name="x", since="", until="", header=header).conditions == [("x-cohort", ["beta"])]
    assert Experiment(name="x", since="", until="", percent=50).conditions == []


@pytest.mark.parametrize("name", ["x-cohort", "X-Plan", "a" * 40])
def test_a_header_of_ones_own_tells_a_cohort(name: str) -> None:
    assert rules.cohort_header_problem(name) is None


@pytest.mark.parametrize(
    "name", ["Cookie", "host", "x-canary", "X-Forwarded-For", "x-amzn-trace-id", "x_cohort", "a" * 41, "", "x cohort"]
)
def test_a_header_that_means_something_else_or_is_dropped_on_the_way_tells_none(name: str) -> None:
    assert rules.cohort_header_problem(name)


@pytest.mark.parametrize("values", [["beta"], ["a", "b", "c"], ["a*b*c*", "d*", "e?"], ["two words"]])
def test_what_a_condition_compares_a_header_with_is_taken(values: list[str]) -> None:
    assert rules.cohort_values_problem(values) is None


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ([], "0 values"),
        (["a", "b", "c", "d"], "4 values"),
        (["a*b*c*", "d*", "e??"], "6 wildcards"),
        (["*"], "everybody"),
        (["a" * 129], "no usable value"),
        ([""], "no usable value"),
        ([" a"], "no usable value"),
        (["a\\b"], "no usable value"),
        (["é"], "no usable value"),
    ],
)
def test_what_a_condition_cannot_compare_is_refused(values: list[str], why: str) -> None:
    assert why in str(rules.cohort_values_problem(values))


@pytest.mark.parametrize("text", ["2027-03-01", "2027-03-01T09:00:00", "soon", "2027-03-01T25:00:00Z", ""])
def test_a_time_without_a_zone_is_none(text: str) -> None:
    assert rules.moment(text) is None
    assert "is no time" in str(rules.moment_problem(text))


def test_a_time_is_the_same_in_every_zone() -> None:
    assert rules.moment("2027-03-01T10:00:00+01:00") == rules.moment("2027-03-01T09:00:00Z") == BEGAN


@given(st.integers(-100, 100 * 24 * 3600), st.sampled_from(["header", "cookie", "percent"]))
def test_an_experiment_lasts_as_long_as_its_cohort_can_be_kept_and_what_it_counted_is(seconds: int, key: str) -> None:
    until = (BEGAN + timedelta(seconds=seconds)).isoformat()
    most = (7 if key == "percent" else 60) * 24 * 3600
    found = rules.experiment_problems([key], since=BEGAN.isoformat(), until=until)
    assert [problem.key for problem in found] == ([] if 0 < seconds <= most else ["until"])


@pytest.mark.parametrize("cohorts", [[], ["header", "percent"], ["header", "cookie", "percent"]])
def test_an_experiment_has_exactly_one_cohort(cohorts: list[str]) -> None:
    since, until = BEGAN.isoformat(), (BEGAN + timedelta(days=1)).isoformat()
    (problem,) = rules.experiment_problems(cohorts, since=since, until=until)
    assert "keep exactly one" in problem.reason


@given(st.integers(1, MAX_SERVICES), st.integers(0, 100))
def test_cohorts_fit_exactly_while_the_load_balancer_has_rules_left(services: int, cohorts: int) -> None:
    fits = SERVICE_RULES * services + cohorts <= ALL_SERVICES_RULES
    assert (rules.room_problem(services, cohort_rules=cohorts) is None) == fits


def test_an_experiment_is_over_at_its_end() -> None:
    experiment = Experiment(name="x", since=BEGAN.isoformat(), until="2027-03-08T09:00:00Z", percent=50)
    assert experiment.seconds == 7 * 24 * 3600
    assert not experiment.over(BEGAN + timedelta(days=7, seconds=-1))
    assert experiment.over(BEGAN + timedelta(days=7))
