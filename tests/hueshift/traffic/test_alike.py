"""How two answers to one request are compared."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from hueshift.report import RefusedError
from hueshift.traffic.alike import Given, differences, ignored


def given(body: Any = None, *, status: int = 200, seconds: float = 0.02, text: bytes | None = None) -> Given:  # noqa: ANN401 - what JSON holds
    return Given(status=status, body=json.dumps(body).encode() if text is None else text, seconds=seconds)


def differ(one: Given, other: Given, ignore: Sequence[str] = ()) -> list[str]:
    return differences(one, other, without=[ignored(path) for path in ignore], slower=0.1)


def test_equal_answers_do_not_differ_whatever_the_order_of_keys() -> None:
    assert differ(given(text=b'{"a": 1, "b": [2]}'), given(text=b'{"b":[2],"a":1.0}')) == []


@pytest.mark.parametrize(
    ("one", "other", "places"),
    [
        ({"a": {"b": 1}}, {"a": {"b": 2}}, ["body at $.a.b"]),
        ({"a": 1}, {"a": True}, ["body at $.a"]),
        ({"a": 1}, {}, ["body at $.a"]),
        ([{"a": 1}, {"a": 2}], [{"a": 1}, {"a": 3}, {}], ["body at $[1].a", "body at $[2]"]),
        ({"a": [1]}, {"a": {}}, ["body at $.a"]),
        (1, 2, ["body at $"]),
    ],
)
def test_a_difference_is_told_by_its_place_and_never_by_a_value(one: Any, other: Any, places: list[str]) -> None:  # noqa: ANN401 - what JSON holds
    assert differ(given(one), given(other)) == places


def test_of_many_places_some_are_told_and_the_rest_counted() -> None:
    told = differ(given(list(range(9))), given([each + 1 for each in range(9)]))
    assert told[:5] == [f"body at $[{place}]" for place in range(5)]
    assert told[5:] == ["and 4 places more"]


@pytest.mark.parametrize("path", ["$.items[*].at", "items[*].at", "$.items[*]", "items", "$.items[0].at"])
def test_what_is_ignored_may_differ_with_all_below_it(path: str) -> None:
    one, other = ({"items": [{"at": {"day": day}}], "n": 1} for day in (1, 2))
    assert differ(given(one), given(other)) == ["body at $.items[0].at.day"]
    assert differ(given(one), given(other), [path]) == []


@pytest.mark.parametrize("path", ["$.items[1].at", "$.item", "$.items[*].a", "$.n"])
def test_nothing_else_is_ignored(path: str) -> None:
    one, other = ({"items": [{"at": day}]} for day in (1, 2))
    assert differ(given(one), given(other), [path])


@pytest.mark.parametrize("path", ["", "$", "$..at", "a b", "items[x]", "a.", "$.*", "$[?(@.a)]"])
def test_a_path_that_means_nothing_here_is_refused(path: str) -> None:
    with pytest.raises(RefusedError, match="is no JSON path"):
        ignored(path)


def test_what_is_no_json_is_compared_by_its_bytes() -> None:
    assert differ(given(text=b"<p>1"), given(text=b"<p>1")) == []
    assert differ(given(text=b"<p>1"), given(text=b"<p>2")) == ["body"]


def test_another_status_is_told_without_the_body_that_comes_with_it() -> None:
    assert differ(given({"a": 1}), given({"error": 1}, status=500)) == ["status 200 → 500"]


@pytest.mark.parametrize(("seconds", "told"), [(0.119, []), (0.13, ["20 → 130 ms"]), (0.001, [])])
def test_only_a_later_answer_is_a_difference(seconds: float, told: list[str]) -> None:
    assert differ(given(1), given(1, seconds=seconds)) == told
