"""`hueshift flip`, `smoke` and `verify`: what they ask first, what they refuse, and what they leave as it was."""

import json
from typing import Any

import pytest

from components.spec import Service
from hueshift.traffic import verify
from hueshift.traffic.answers import Answer
from tests.support import samples
from tests.support.balancers import World

pytestmark = pytest.mark.slow


def flipped(world: World, *words: str, **variables: str) -> tuple[int, str]:
    done = world.run("flip", *words, "--stack", "staging", **variables)
    return done.exit_code, done.output


def test_a_flip_gives_everything_to_the_other_color_of_all_that_follow_the_key(world: World) -> None:
    world.change(lambda config: config["hueshift:services"]["orders"].update(canaryWeight=5))
    assert flipped(world, "shop") == (0, "green gets all traffic of shop, orders in staging\n")
    assert world.config["hueshift:activeColor"] == "green"
    assert world.config["hueshift:services"]["orders"]["canaryWeight"] == 0
    assert world.config["hueshift:services"]["pricing"]["activeColor"] == "blue"
    assert world.called[-1].endswith("--stack staging --policy-pack policy")
    assert "--skip-preview" in world.called[-1]
    assert any(call.startswith("preview ") for call in world.called), "nothing but weights may change"


def test_a_service_with_a_key_of_its_own_flips_alone(world: World) -> None:
    assert flipped(world, "pricing", "green") == (0, "green gets all traffic of pricing in staging\n")
    assert world.config["hueshift:activeColor"] == "blue"
    assert world.config["hueshift:services"]["pricing"]["activeColor"] == "green"


@pytest.mark.parametrize("variables", [{"MORE": "1"}, {"LOCKED": "1"}], ids=["more would change", "the update fails"])
def test_a_flip_that_fails_leaves_the_stack_file_as_it_was(world: World, variables: dict[str, str]) -> None:
    before = world.file.read_text()
    status, said = flipped(world, "shop", **variables)
    assert status == 1
    assert "for the reason above" in said
    assert world.file.read_text() == before


@pytest.mark.parametrize("words", [("flip", "shop"), ("smoke", "shop"), ("compare", "shop", "/")])
def test_no_color_is_taken_for_idle_that_the_load_balancer_says_is_live(world: World, words: tuple[str, ...]) -> None:
    world.move(blue=0, green=100)
    before = world.file.read_text()
    done = world.run(*words, "--stack", "staging")
    assert done.exit_code == 1
    assert (
        "which color of shop is idle cannot be told: shop: the load balancer has blue 0 %, green 100 %" in done.stderr
    )
    assert world.called == []
    assert world.file.read_text() == before


def test_answers_of_grpc_are_not_compared(world: World) -> None:
    def called(config: dict[str, Any]) -> None:
        config["hueshift:services"]["shop"] |= {"protocol": "grpc", "metrics": {"enabled": False}}
        config["hueshift:services"]["shop"].pop("health", None)

    world.change(called)
    done = world.run("compare", "shop", "/", "--stack", "staging")
    assert (done.exit_code, "shop speaks gRPC, and answers are compared by GET alone" in done.stderr) == (1, True)


def test_a_color_that_is_named_is_flipped_to_without_a_guess(world: World) -> None:
    world.move(blue=50, green=50)
    assert flipped(world, "shop", "green")[0] == 0


def test_a_service_of_one_color_is_neither_flipped_nor_smoked(world: World) -> None:
    def alone(config: dict[str, dict[str, dict[str, object]]]) -> None:
        shop = config["hueshift:services"]["shop"]
        shop["strategy"] = {"kind": "rolling"}
        shop["colors"] = {"green": shop["colors"]["green"]}  # type: ignore[index]

    world.change(alone)
    assert "shop has one color, and no other to flip to" in flipped(world, "shop")[1]
    assert "shop has one color, and no idle one to try" in world.run("smoke", "shop", "--stack", "staging").stderr


def test_the_idle_color_is_tried_at_its_test_host(world: World) -> None:
    done = world.run("smoke", "shop", "--stack", "staging", CURL_OPTIONS="--cacert 'my ca.pem'")
    assert done.exit_code == 0, done.output
    url = "https://green.shop.example.com:8443"
    assert done.stdout == (f"shop 1.5.0 is live and ready as green in staging: {url}, 20 requests without an error\n")
    assert [call.split()[-1].removeprefix(url) for call in world.called] == ["/health/live", "/health/ready", *"/" * 20]
    assert all("--cacert my ca.pem" in call for call in world.called)


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"FAILS": "/health/ready"}, "/health/ready is answered 503, and should 200"),
        ({"FAILS": "8443/"}, "is answered 503"),
        ({"CANARY": "1.5.1"}, "answers as version 1.5.1, and should as 1.5.0; Pulumi.staging.yaml says so; deploy it"),
    ],
)
def test_an_idle_color_that_answers_wrongly_is_refused(world: World, variables: dict[str, str], said: str) -> None:
    done = world.run("smoke", "shop", "--stack", "staging", **variables)
    assert done.exit_code == 1
    assert said in done.stderr


def test_an_idle_color_is_waited_for_until_it_has_its_targets(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hueshift.traffic.smoke.WAIT", -1)
    world.empty("shop", "green")
    done = world.run("smoke", "shop", "--stack", "staging")
    assert "green of shop has 0 healthy targets after -1 s, and needs 2" in done.stderr
    world.change(lambda config: config["hueshift:services"]["shop"]["colors"]["green"].update(parked=True))
    assert "green of shop is parked; give it an image" in world.run("smoke", "shop", "--stack", "staging").stderr


def other_health(config: dict[str, dict[str, dict[str, object]]]) -> None:
    config["hueshift:services"]["shop"]["health"] = {"path": "/healthz", "livenessPath": "/up"}


def test_a_service_is_tried_where_it_says_that_it_is_well_and_need_not_say_its_version(world: World) -> None:
    world.change(other_health)
    done = world.run("smoke", "shop", "--stack", "staging", NAMELESS="1")
    assert done.exit_code == 0, done.output
    url = "https://green.shop.example.com:8443"
    assert [call.split()[-1].removeprefix(url) for call in world.called] == ["/up", "/healthz", *"/" * 20]
    assert done.stdout.endswith("its answers have no x-version: which version gave them was not seen\n")
    told = world.run("smoke", "shop", "--stack", "staging", "--json", NAMELESS="1").stdout
    assert json.loads(told)["version"] is None
    assert json.loads(world.run("smoke", "shop", "--stack", "staging", "--json").stdout)["version"] == "1.5.0"
    status, said = verified(world, NAMELESS="1")
    assert (status, "was not seen" in said) == (0, True)
    assert "/healthz" in world.called[-2]


def verified(world: World, **variables: str) -> tuple[int, str]:
    done = world.run("verify", "shop", "--stack", "staging", **variables)
    return done.exit_code, done.output


def test_a_service_is_tried_as_its_users_reach_it(world: World) -> None:
    assert verified(world) == (0, "shop 1.4.0 serves its users as blue in staging: https://shop.example.com\n")


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"VERSION": "1.3.0"}, "https://shop.example.com/health/ready answers as version 1.3.0, and should as 1.4.0"),
        ({"CANARY": "1.4.0"}, "x-canary: true answers as version 1.4.0, and should as 1.5.0"),
        ({"FAILS": "https://shop"}, "is answered 503, and should 200"),
        ({"FRAME": "ALLOW"}, "answers x-frame-options: 'ALLOW', and should DENY"),
        ({"TO": "http"}, "leads to 'http://shop/', and not to HTTPS"),
    ],
)
def test_what_users_should_not_meet_is_named(
    world: World, variables: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hueshift.traffic.verify.SETTLE", 0)
    status, text = verified(world, **variables)
    assert status == 1
    assert said in text


def test_a_header_that_the_services_send_may_say_what_they_like_but_must_be_there(world: World) -> None:
    world.change(lambda config: config["hueshift:loadBalancer"].update(headersFromServices=["x-frame-options"]))
    assert verified(world, FRAME="SAMEORIGIN")[0] == 0
    assert "answers x-frame-options: '', and should DENY" in verified(world, FRAME=" ")[1]


def test_users_may_meet_the_old_version_for_as_long_as_a_load_balancer_takes_to_learn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = [*["1.5.0"] * 3, "1.4.0", *["1.5.0"] * 20]
    asked: list[str] = []

    def checked(url: str, _: Service) -> Answer:
        asked.append(said[len(asked)])
        return Answer(url=url, status=200, headers={"x-version": asked[-1]})

    monkeypatch.setattr(verify, "checked", checked)
    monkeypatch.setattr("time.sleep", lambda _: None)
    verify._settled("https://shop.example.com", samples.SERVICE, "1.5.0", "")
    assert len(asked) == 24, "twenty right answers in a row"


@pytest.mark.parametrize(("active", "leads"), [("blue", "1.0.0-rc10"), ("green", "1.0.0-rc9")])
def test_of_versions_that_do_not_order_the_header_leads_to_the_idle_color(
    world: World, active: str, leads: str
) -> None:
    def change(config: dict[str, object]) -> None:
        config["hueshift:activeColor"] = active
        colors = config["hueshift:services"]["shop"]["colors"]  # type: ignore[index]
        colors["blue"]["version"], colors["green"]["version"] = "1.0.0-rc9", "1.0.0-rc10"

    world.change(change)
    serves = {"blue": "1.0.0-rc9", "green": "1.0.0-rc10"}[active]
    assert verified(world, VERSION=serves, CANARY=leads)[0] == 0
    assert "and should as" in verified(world, VERSION=serves, CANARY=serves)[1]


def test_while_a_canary_runs_users_meet_two_versions_and_nothing_is_tried(world: World) -> None:
    world.change(lambda config: config.update({"hueshift:canaryWeight": 10}))
    assert "a canary or an experiment of shop runs in staging" in verified(world)[1]
