"""What is asked about a new color: each question's words, and how long none of them is waited for."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Event, Thread
from typing import Any

import pytest

from components.rules.steps import Check, Gate
from hueshift.release.counts import SignalError
from hueshift.release.drive import Phase, Record, Verdict
from hueshift.release.signals import Question, Signals, alarms, alerts, answers, own, ran
from tests.hueshift.release.samples import NOW, baking

RECORD = baking(services=("shop",))


class Alarms:
    """CloudWatch with these states, by name; what is not named does not exist."""

    def __init__(self, **states: str) -> None:
        self.states = {f"production-shop-{name.replace('_', '-')}": state for name, state in states.items()}

    def describe_alarms(self, **given: Any) -> dict[str, Any]:  # noqa: ANN401
        return {
            "MetricAlarms": [
                {"AlarmName": name, "StateValue": self.states[name]}
                for name in given["AlarmNames"]
                if name in self.states
            ]
        }


WELL = {"blue": "OK", "blue_canary_errors": "OK", "green": "OK", "green_canary_errors": "OK"}


@pytest.mark.parametrize(
    ("changes", "state", "why"),
    [
        ({}, "good", "silent"),
        ({"green": "ALARM"}, "bad", "production-shop-green is on, and blue is better off"),
        ({"green_canary_errors": "ALARM"}, "bad", "production-shop-green-canary-errors is on, and blue is better off"),
        ({"green": "ALARM", "blue_canary_errors": "ALARM"}, "bad", "production-shop-green is on"),
        ({"green": "ALARM", "blue": "ALARM"}, "alike", "production-shop-green is on"),
        ({"green_canary_errors": "ALARM", "blue": "ALARM"}, "good", "silent"),
        ({"green": "INSUFFICIENT_DATA"}, "unknown", "production-shop-green is INSUFFICIENT_DATA"),
        ({"green_canary_errors": None}, "unknown", "production-shop-green-canary-errors does not exist"),
        ({"green": "INSUFFICIENT_DATA", "blue": "ALARM"}, "good", "silent"),
    ],
)
def test_a_color_in_more_trouble_than_the_old_is_bad(changes: dict[str, str | None], state: str, why: str) -> None:
    states = {name: value for name, value in {**WELL, **changes}.items() if value}
    (verdict,) = alarms(Alarms(**states), "production", "shop", "alarms").ask(RECORD, NOW)
    assert (verdict.gate, verdict.state) == ("alarms", state)
    assert verdict.why.startswith(why)


class Vector:
    """A Prometheus with one answer."""

    def __init__(self, *samples: tuple[dict[str, str], float]) -> None:
        self.samples, self.asked = list(samples), ""

    def vector(self, query: str) -> list[tuple[dict[str, str], float]]:
        self.asked = query
        return self.samples


def fires(*names: str) -> Any:  # noqa: ANN401
    firing = (name.split("-") for name in names)
    return Vector(*(({"alertname": alert, "color": color}, 1.0) for color, alert in firing))


def test_what_is_on_before_the_first_request_tells_of_another_image_and_is_waited_for() -> None:
    trying = replace(RECORD, phase=Phase.TRYING)
    asked = (
        alarms(Alarms(**{**WELL, "green": "ALARM"}), "production", "shop", "alarms"),
        alerts(fires("green-Errors"), "production", "shop", "alerts"),
    )
    for question in asked:
        assert [it.state for it in question.ask(RECORD, NOW)] == ["bad"]
        (verdict,) = question.ask(trying, NOW)
        assert (verdict.state, verdict.needs) == ("unknown", None)
        assert verdict.why.endswith("it has no traffic yet, so that is waited for")


@pytest.mark.parametrize(
    ("prometheus", "state"),
    [
        (fires(), "good"),
        (fires("green-Errors"), "bad"),
        (fires("green-Errors", "blue-Errors"), "alike"),
        (fires("green-Errors", "green-Memory", "blue-Errors"), "bad"),
        (fires("blue-Errors"), "good"),
    ],
)
def test_what_fires_for_the_new_color_alone_is_bad(prometheus: Any, state: str) -> None:  # noqa: ANN401
    (verdict,) = alerts(prometheus, "production", "shop", "alerts").ask(RECORD, NOW)
    assert verdict.state == state


@pytest.mark.parametrize(
    ("samples", "state", "why"),
    [
        ([({}, 0.1)], "good", "0.1, and should be below 0.2"),
        ([({}, 0.2)], "bad", "0.2, and should be below 0.2"),
        ([], "unknown", 'orders{color="green"} gives no sample'),
        ([({}, float("nan"))], "unknown", 'orders{color="green"} gives NaN'),
        ([({}, 0.1), ({}, 0.1)], "unknown", 'orders{color="green"} gives 2 samples; take sum() of them'),
    ],
)
def test_a_query_is_asked_of_the_new_color(samples: Any, state: str, why: str) -> None:  # noqa: ANN401
    prometheus: Any = Vector(*samples)
    gate = Gate(name="orders", query='orders{color="$color"}', below=0.2)
    question = own(gate, "shop", "", prometheus)
    (verdict,) = question.ask(RECORD, NOW)
    assert (verdict.state, verdict.why, prometheus.asked) == (state, why, 'orders{color="green"}')
    with pytest.raises(SignalError, match=r"releases\.prometheus is not set"):
        own(gate, "shop", "", None).ask(RECORD, NOW)


def test_a_gate_of_one_step_is_asked_at_that_step_alone() -> None:
    question = own(Gate(name="orders", command=("true",)), "shop", "", None, at=10)
    assert question.when(baking(1))
    assert not question.when(baking(2))
    assert not question.when(replace(baking(1), phase=Phase.MOVING))


@pytest.mark.parametrize(
    ("command", "state", "why"),
    [
        ("exit 0", "good", "sh ended with 0"),
        ("echo $COLOR >&2; exit 1", "bad", "sh ended with 1: green"),
        ("exit 2", "unknown", "sh ended with 2"),
        ("sleep 5", "unknown", "sh took longer than 1 s"),
    ],
)
def test_a_command_says_it_by_its_exit_status(
    command: str, state: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hueshift.release.signals.COMMAND", 1)
    verdict = ran("gate", ["sh", "-c", command], {"COLOR": "green"})
    assert (verdict.state, verdict.why) == (state, why)


class Pages(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        time.sleep(0.4 if self.path == "/slow" else 0)
        self.send_response(503 if self.path == "/down" else 200)
        self.send_header("X-Version", "1.4.0" if self.path == "/old" else "1.5.0")
        self.end_headers()
        self.wfile.write(b'{"items": [1]}\r\n\r\nthe end')

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Pages)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("check", "problem"),
    [
        (Check(path="/"), None),
        (Check(path="/down"), "/down is answered 503, and should be 200"),
        (Check(path="/down", status=503), None),
        (Check(path="/", contains='"items"'), None),
        (Check(path="/", contains="the end"), None),
        (Check(path="/", contains="X-Version"), "/ is answered without 'X-Version'"),
        (Check(path="/old"), "/old is answered by version 1.4.0, and should be by 1.5.0"),
        (Check(path="/slow"), None),
    ],
)
def test_an_answer_is_held_to_status_body_and_version(check: Check, problem: str | None, url: str) -> None:
    assert answers(check, url, version="1.5.0") == (problem and f"{url}{problem}")


def test_an_answer_that_is_late_or_does_not_come_is_a_problem(url: str) -> None:
    late = answers(Check(path="/slow", within=0.1), url, version="1.5.0")
    assert late is not None
    assert "s, and may take 0.1 s" in late
    none = answers(Check(path="/"), "http://127.0.0.1:9", version="1.5.0")
    assert none is not None
    assert none.startswith("http://127.0.0.1:9/ gave no answer: curl: (7)")


def test_a_wrong_option_of_ours_is_no_fault_of_the_color(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CURL_OPTIONS", "--cacert /nowhere")
    with pytest.raises(SignalError):
        answers(Check(path="/"), url.replace("http:", "https:"), version="1.5.0")


class Now:
    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at


def says(*verdicts: Verdict) -> Any:  # noqa: ANN401
    rest = list(verdicts)
    return lambda _record, _now: [rest.pop(0) if len(rest) > 1 else rest[0]]


GOOD = Verdict(gate="smoke", state="good", why="answers")
BAD = Verdict(gate="smoke", state="bad", why="refused")


def test_what_must_fail_twice_is_good_until_it_has() -> None:
    steady = Now()
    signals = Signals([Question(name="smoke", ask=says(GOOD, BAD, GOOD, BAD, BAD), times=2)], steady=steady)
    found = []
    for steady.at in range(0, 60, 10):
        found += [verdict.state for verdict in signals.verdicts(RECORD, NOW)]
    assert found == ["good", "good", "good", "good", "bad", "bad"]
    first = Signals([Question(name="smoke", ask=says(BAD, BAD), times=2)], steady=steady)
    assert [first.verdicts(RECORD, NOW)[0].state] == ["unknown"]


def test_a_question_that_hangs_holds_no_look_up_and_is_unknown_in_the_end() -> None:
    steady, free = Now(), Event()
    calls: list[float] = []

    def hangs(_: Record, now: float) -> Sequence[Verdict]:
        calls.append(now)
        if len(calls) > 1:
            free.wait(20)
        return [GOOD]

    signals = Signals([Question(name="smoke", ask=hangs)], steady=steady)
    assert signals.verdicts(RECORD, NOW)[0].state == "good"
    begun = time.monotonic()
    for steady.at, state in ((20.0, "good"), (59.0, "good"), (61.0, "unknown")):
        assert signals.verdicts(RECORD, NOW, patience=0.05)[0].state == state
    assert time.monotonic() - begun < 2
    free.set()
    assert len(calls) == 2, "it is not asked again while it hangs"


def test_what_was_said_at_another_step_counts_no_more() -> None:
    steady = Now()
    signals = Signals([Question(name="smoke", ask=says(GOOD, BAD))], steady=steady)
    assert signals.verdicts(RECORD, NOW)[0].state == "good"
    assert signals.verdicts(RECORD, NOW)[0].state == "good", "not asked again so soon"
    assert signals.verdicts(replace(RECORD, step=2), NOW)[0].state == "bad"


def test_what_cannot_be_asked_is_unknown_with_its_reason() -> None:
    def fails(_: Record, __: float) -> Sequence[Verdict]:
        raise SignalError("Prometheus gives no answer")

    (verdict,) = Signals([Question(name="orders", ask=fails)], steady=Now()).verdicts(RECORD, NOW)
    assert (verdict.gate, verdict.state, verdict.why) == ("orders", "unknown", "Prometheus gives no answer")
