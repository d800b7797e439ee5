"""Who sees a flag, and what the service does when nobody can say."""

import asyncio
import time
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from app import flags, service
from tests.support.app_service import SECRET, config

PLACE = "dev-flags/shop/shop"
users = st.text(min_size=1, max_size=40)


def value(percent: float = 5, *, enabled: bool = True, internal: bool = False) -> dict[str, Any]:
    return {"enabled": enabled, "percent": percent, "internal": internal}


def bearer(**claims: object) -> dict[str, str]:
    return {"authorization": f"Bearer {jwt.encode({'exp': time.time() + 60, **claims}, SECRET, 'HS256')}"}


@given(users, st.floats(0, 100), st.floats(0, 100))
def test_who_sees_a_flag_keeps_it_when_its_percent_grows(user: str, one: float, other: float) -> None:
    less, more = sorted((one, other))
    seen = [flags.is_on(value(percent), "checkout", user, internal=False) for percent in (less, more)]
    assert seen[0] <= seen[1]


@given(users)
def test_nobody_sees_what_is_at_0_everybody_what_is_at_100_and_nobody_what_is_off(user: str) -> None:
    shown = [
        flags.is_on(each, "checkout", user, internal=False)
        for each in (value(0), value(100), value(100, enabled=False))
    ]
    assert shown == [False, True, False]


@pytest.mark.parametrize("percent", [5, 25, 50])
def test_a_percent_is_that_share_of_the_users(percent: int) -> None:
    seen = sum(flags.is_on(value(percent), "checkout", f"user-{number}", internal=False) for number in range(20_000))
    assert seen / 200 == pytest.approx(percent, abs=1.1)  # 3 standard deviations of the widest


def test_two_flags_at_half_are_not_seen_by_the_same_half() -> None:
    both = sum(
        all(flags.is_on(value(50), flag, f"user-{number}", internal=False) for flag in ("checkout", "search"))
        for number in range(20_000)
    )
    assert both / 200 == pytest.approx(25, abs=1)


def test_internal_users_see_a_flag_that_is_for_them_whatever_its_percent() -> None:
    shown = [
        flags.is_on(each, "checkout", "user-1", internal=True)
        for each in (value(0, internal=True), value(0), value(0, internal=True, enabled=False))
    ]
    assert shown == [True, False, False]


def test_a_caller_without_a_name_sees_only_what_everybody_sees() -> None:
    assert [flags.is_on(value(percent), "checkout", None, internal=False) for percent in (99.9, 100)] == [False, True]


def test_callers_are_told_their_flags_by_the_name_in_their_token() -> None:
    app = service.build(config(FEATURE_FLAGS=PLACE))
    known = {"checkout": value(50, internal=True), "search": value(100)}
    client = TestClient(app)
    follows = [route.endpoint for route in app._app.routes if route.path == "/flags"]  # type: ignore[attr-defined]
    assert len(follows) == 1
    from openfeature import api

    provider = api.get_client(PLACE).provider
    provider.values = known  # type: ignore[attr-defined]

    def told(**headers: str) -> dict[str, bool]:
        found: dict[str, bool] = client.get("/flags", headers=headers).json()["flags"]
        return found

    assert told() == {"checkout": False, "search": True}
    for number in range(20):
        user = f"user-{number}"
        assert told(**bearer(sub=user)) == {"checkout": flags.part("checkout", user) < 50, "search": True}
        assert told(**bearer(sub=user, internal=True))["checkout"]
    assert client.get("/flags", headers={"authorization": "Bearer forged"}).status_code == 401


def test_a_service_without_flags_has_none() -> None:
    assert TestClient(service.build(config())).get("/flags").json() == {"flags": {}}


def test_a_flag_of_another_kind_and_one_that_is_unknown_are_off() -> None:
    read = flags.Flags(PLACE)
    assert read._client.get_boolean_value("nothing", False) is False
    assert read._client.get_string_value("nothing", "plain") == "plain"


@pytest.mark.asyncio
async def test_what_cannot_be_read_is_asked_again_told_once_and_leaves_the_flags_as_they_were(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(flags, "INTERVAL", 0)
    read, answers = flags.Flags(PLACE), iter(["read", "lost", "lost", "gone"])
    ended = asyncio.Event()

    def ask(token: str) -> str:
        answer = next(answers, None)
        if answer == "read":
            read._provider.values = {"search": value(100)}
            return "next"
        if answer == "lost":
            assert read.of("user-1", internal=False) == {"search": True}
            raise ConnectionError("no way there")
        if answer == "gone":
            raise type("ResourceNotFoundException", (Exception,), {})("nothing is deployed")
        ended.set()
        return token

    monkeypatch.setattr(read, "_ask", ask)
    following = asyncio.create_task(read.follow())
    await asyncio.wait_for(ended.wait(), 5)
    following.cancel()
    assert [record.fields["error"] for record in caplog.records] == ["no way there", "nothing is deployed"]  # type: ignore[attr-defined]
    assert read.of("user-1", internal=False) == {}
