"""`hueshift rollback` and `hueshift status` against a load balancer on loopback; pulumi and git push are played."""

import json
from collections.abc import Iterator
from contextlib import chdir
from fnmatch import fnmatch
from typing import Any

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from hueshift.stack import place
from hueshift.traffic.rollback import keep
from tests.support.balancers import World
from tests.support.program import ROOT

pytestmark = pytest.mark.slow


def promoted(world: World, *services: str) -> None:
    """Let green serve by the load balancer and by the file, as two commits of it have told."""
    world.commit()
    world.change(lambda config: config.update({"hueshift:activeColor": "green"}))
    world.commit()
    for service in services:
        world.move(service, blue=0, green=100)


def test_out_of_a_release_the_live_rule_goes_back_and_the_file_has_nothing_to_say(world: World) -> None:
    world.move(blue=50, green=50, sticky=True)
    before = world.file.read_text()
    done = world.run("rollback", "--stack", "staging")
    assert done.exit_code == 0, done.stderr
    assert world.live() == {"blue": 100, "green": 0}
    assert world.actions()[0]["ForwardConfig"]["TargetGroupStickinessConfig"]["Enabled"] is False
    lines = done.stderr.splitlines()
    assert lines[0].startswith("blue has all traffic of shop in staging, and users get 1.4.0: ")
    assert lines[1:] == ["Pulumi.staging.yaml: as it was: it says so already", "state: knows the weights"]
    assert world.file.read_text() == before
    assert world.live("orders") == world.live("pricing") == {"blue": 100, "green": 0}
    assert world.called[-1].endswith("--stack staging --refresh --target=urn::shop-traffic-production")


def test_the_rules_of_routes_go_back_with_the_production_rule(world: World) -> None:
    promoted(world, "shop", "orders")
    with world.route(blue=0, green=100) as live:
        done = world.run("rollback", "--stack", "staging", "--service", "shop")
        assert done.exit_code == 0, done.stderr
        assert world.live() == live() == {"blue": 100, "green": 0}


@pytest.mark.parametrize("left", ["the production rule", "a route"])
def test_rules_that_disagree_are_named_and_not_taken_for_done(world: World, left: str) -> None:
    back = {"blue": 100, "green": 0}
    if left == "the production rule":
        world.move(blue=0, green=100)
    with world.route(**(back if left == "the production rule" else {"blue": 0, "green": 100})) as live:
        seen = world.run("status", "--stack", "staging", "--service", "shop")
        assert seen.exit_code == 1
        assert "shop: its rules disagree: " in seen.stderr
        assert "has blue 0 %, green 100 %" in seen.stderr
        done = world.run("rollback", "--stack", "staging", "--service", "shop")
        assert done.exit_code == 0, done.stderr
        assert "already" not in done.stderr.splitlines()[0]
        assert world.live() == live() == back
        assert world.run("status", "--stack", "staging", "--service", "shop").exit_code == 0


def test_after_a_flip_all_services_that_follow_the_key_go_back_and_the_key_with_a_commit(world: World) -> None:
    promoted(world, "shop", "orders")
    done = world.run("rollback", "--stack", "staging", "--commit", "--json")
    assert done.exit_code == 0, done.stderr
    assert world.live() == world.live("orders") == {"blue": 100, "green": 0}
    assert world.config["hueshift:activeColor"] == "blue"
    assert "activeColor" not in world.config["hueshift:services"]["shop"]
    said = json.loads(done.stdout)
    assert [(move["service"], move["color"], move["version"]) for move in said["moved"]] == [
        ("shop", "blue", "1.4.0"),
        ("orders", "blue", "1.4.0"),
    ]
    assert [item["what"] for item in said["kept"]] == ["Pulumi.staging.yaml", "commit", "state"]
    assert "kept: Roll back shop to 1.4.0 (blue), orders to 1.4.0 (blue) in staging Pulumi.staging.yaml" in done.stderr


def test_one_service_alone_goes_back_though_others_share_its_key(world: World) -> None:
    promoted(world, "shop", "orders")
    done = world.run("rollback", "--stack", "staging", "--service", "orders")
    assert done.exit_code == 0, done.stderr
    assert (world.live("orders"), world.live()) == ({"blue": 100, "green": 0}, {"blue": 0, "green": 100})
    assert world.config["hueshift:activeColor"] == "green"
    assert world.config["hueshift:services"]["orders"]["activeColor"] == "blue"
    assert "pulumi config rm --path services.orders.activeColor" in done.stderr


def test_a_way_back_ends_the_copies_live_and_in_the_file(world: World) -> None:
    vpc = world.elb.describe_target_groups(TargetGroupArns=[world.groups["shop", "blue"]])["TargetGroups"][0]["VpcId"]
    tags = {"service": "shop", "color": "green", "mirror": "true"}
    mirror = world.elb.create_target_group(
        Name="shop-green-mirror", Protocol="HTTP", Port=80, VpcId=vpc, TargetType="ip",
        Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
    )["TargetGroups"][0]["TargetGroupArn"]  # fmt: skip
    promoted(world, "shop")
    world.change(lambda config: config["hueshift:services"]["shop"].update(shadow={"percent": 20, "image": "x"}))
    world.commit()
    weights = {world.groups["shop", "blue"]: 0, world.groups["shop", "green"]: 80, mirror: 20}
    groups: Any = [{"TargetGroupArn": arn, "Weight": weight} for arn, weight in weights.items()]
    world.act("shop", {"Type": "forward", "ForwardConfig": {"TargetGroups": groups}})
    seen = json.loads(world.run("status", "--stack", "staging", "--service", "shop", "--json").stdout)
    assert seen["services"]["shop"]["live"] == {"blue": 0, "green": 100}
    assert seen["services"]["shop"]["copied"] == 20
    refused = world.run("park", "--stack", "staging")
    assert refused.exit_code == 1
    assert "shop: 20 % of its requests are copied to blue" in refused.stderr

    done = world.run("rollback", "--stack", "staging", "--service", "shop")
    assert done.exit_code == 0, done.stderr
    (after,) = world.actions()
    live = {each["TargetGroupArn"]: each["Weight"] for each in after["ForwardConfig"]["TargetGroups"]}
    assert live == {world.groups["shop", "blue"]: 100, world.groups["shop", "green"]: 0, mirror: 0}
    assert world.config["hueshift:services"]["shop"]["shadow"]["percent"] == 0


def test_a_second_press_moves_nothing(world: World) -> None:
    promoted(world, "shop", "orders")
    assert world.run("rollback", "--stack", "staging").exit_code == 0
    again = world.run("rollback", "--stack", "staging")
    assert again.exit_code == 1
    assert "so it is no way back" in again.stderr
    assert world.live() == {"blue": 100, "green": 0}
    named = world.run("rollback", "--stack", "staging", "--service", "shop", "--to", "1.4.0")
    assert named.exit_code == 0
    assert "blue has all traffic of shop in staging already, and users get 1.4.0" in named.stderr


def test_a_color_that_no_commit_trusted_is_refused_unless_forced(world: World) -> None:
    world.change(lambda config: config.update({"hueshift:activeColor": "green"}))
    world.commit()
    world.move("shop", blue=0, green=100)
    words = ("rollback", "--stack", "staging", "--service", "shop")
    refused = world.run(*words)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "no commit of the stack file gave it the traffic" in refused.stderr
    assert world.live() == {"blue": 0, "green": 100}
    assert world.run(*words, "--force").exit_code == 0
    assert world.live() == {"blue": 100, "green": 0}


def test_a_color_without_a_healthy_target_is_refused_unless_forced(world: World) -> None:
    promoted(world, "shop")
    world.empty("shop", "blue")
    words = ("rollback", "--stack", "staging", "--service", "shop")
    refused = world.run(*words)
    assert refused.exit_code == 1
    assert "blue has no healthy target, and its users would get 503, so blue 0 %, green 100 % stays" in refused.stderr
    assert world.live() == {"blue": 0, "green": 100}
    assert world.run(*words, "--force").exit_code == 0
    assert world.live() == {"blue": 100, "green": 0}


def test_with_the_state_locked_the_traffic_moves_and_only_the_state_waits(world: World) -> None:
    promoted(world, "shop", "orders")
    done = world.run("rollback", "--stack", "staging", LOCKED="1")
    assert done.exit_code == 0, "what only the state lacks the next update finds done"
    assert world.live() == {"blue": 100, "green": 0}
    assert "state: not written: pulumi up --stack staging failed" in done.stderr


def test_a_state_that_has_no_rule_is_not_updated(world: World) -> None:
    world.move(blue=50, green=50)
    (world.folder / "state.json").write_text('{"deployment": {}}')
    done = world.run("rollback", "--stack", "staging")
    assert done.exit_code == 0
    assert "state: not written: the state names no production rule" in done.stderr
    assert not [call for call in world.called if call.startswith("up ")]


def test_without_a_backend_the_traffic_moves_and_what_is_not_written_is_said_with_its_commands(world: World) -> None:
    promoted(world, "shop", "orders")
    before = world.file.read_text()
    done = world.run("rollback", "--stack", "staging", "--commit", NO_BACKEND="1")
    assert done.exit_code == 4
    assert world.live() == {"blue": 100, "green": 0}
    assert "write it by hand: pulumi config set --path activeColor blue --stack staging" in done.stderr
    assert "kept:" not in done.stderr
    assert world.file.read_text() == before


def test_a_commit_that_the_branch_does_not_take_is_told_by_the_exit_status(world: World) -> None:
    promoted(world, "shop", "orders")
    done = world.run("rollback", "--stack", "staging", "--commit", NO_PUSH="1")
    assert done.exit_code == 4
    assert world.live() == {"blue": 100, "green": 0}
    assert "commit: not written" in done.stderr


def test_of_what_aws_refuses_its_code_is_said_and_nothing_of_what_it_repeats(world: World) -> None:
    def refused(_: object) -> str:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "hunter2"}}, "PutObject")

    with chdir(world.folder):
        item = next(keep(place("staging"), [], commit=False, record=refused))
    assert (item.done, item.said) == (
        False,
        "not written: AWS refused PutObject: AccessDenied; see its CloudTrail event",
    )


def test_a_third_of_the_calls_throttled_holds_up_nothing_but_time(world: World) -> None:
    promoted(world, "shop", "orders")
    world.server.behave(share=0.3)
    done = world.run("rollback", "--stack", "staging")
    world.server.behave()
    assert done.exit_code == 0, done.stderr
    assert world.live() == world.live("orders") == {"blue": 100, "green": 0}


def test_what_aws_refuses_for_good_is_named_with_the_call_and_not_sent_again(world: World) -> None:
    world.move(blue=50, green=50)
    world.server.behave(refused=("ModifyRule", "AccessDenied"))
    done = world.run("rollback", "--stack", "staging")
    assert done.exit_code == 1
    assert "shop had blue 50 %, green 50 %: AWS refused ModifyRule: AccessDenied" in done.stderr
    assert world.server.actions.count("ModifyRule") == 1
    assert world.called == []


def test_a_rule_that_aws_refuses_keeps_no_other_and_what_has_moved_is_said(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    promoted(world, "shop", "orders")
    call = BaseClient._make_api_call  # type: ignore[attr-defined]

    def refusing(self: BaseClient, operation: str, given: dict[str, Any]) -> Any:  # noqa: ANN401
        if operation == "ModifyRule" and given["RuleArn"] == world.rules["shop"]:
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "x"}}, operation)
        return call(self, operation, given)

    monkeypatch.setattr(BaseClient, "_make_api_call", refusing)
    with world.route(blue=0, green=100) as live:
        done = world.run("rollback", "--stack", "staging", "--service", "shop")
        assert live() == {"blue": 100, "green": 0}
    assert world.live() == {"blue": 0, "green": 100}
    assert (done.exit_code, "shop had blue 0 %, green 100 %, and now" in done.stderr) == (4, True)
    assert "has blue 100 %, green 0 %: AWS refused ModifyRule: AccessDenied" in done.stderr


def test_a_maintenance_page_is_not_taken_for_weights(world: World) -> None:
    world.act("shop", {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "503"}})
    done = world.run("rollback", "--stack", "staging", "--service", "shop")
    assert done.exit_code == 1
    assert "answers requests by itself (fixed-response)" in done.stderr


def test_a_mistake_elsewhere_in_the_file_does_not_stop_it(world: World) -> None:
    world.move(blue=50, green=50)
    world.change(lambda config: config.update({"hueshift:loadBalancer": ["wrong"], "hueshift:unknown": 1}))
    assert world.run("rollback", "--stack", "staging").exit_code == 0
    assert world.live() == {"blue": 100, "green": 0}


def test_a_name_that_is_none_and_a_host_without_a_rule_are_refused(world: World) -> None:
    assert "did you mean shop?" in world.run("rollback", "--stack", "staging", "--service", "shpo").stderr
    world.change(lambda config: config["hueshift:services"]["shop"].update(host="elsewhere.example.com"))
    done = world.run("rollback", "--stack", "staging", "--service", "shop")
    assert "shop: eu-west-1 has no production rule for elsewhere.example.com" in done.stderr


def test_all_that_it_asks_of_the_load_balancer_the_role_of_the_rollback_allows(world: World) -> None:
    promoted(world, "shop", "orders")
    world.server.behave()
    assert world.run("rollback", "--stack", "staging").exit_code == 0
    asked = {f"elasticloadbalancing:{action}" for action in world.server.actions}
    assert "elasticloadbalancing:ModifyRule" in asked
    allowed = [
        action
        for name in ("read", "rollback")
        for statement in json.loads((ROOT / f"docs/roles/{name}.json").read_text())["Statement"]
        for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
    ]
    assert {action for action in asked if not any(fnmatch(action, pattern) for pattern in allowed)} == set()


def test_a_group_that_is_of_no_color_gets_nothing_any_more(world: World) -> None:
    stranger = world.groups["pricing", "green"]
    groups: Any = [
        {"TargetGroupArn": arn, "Weight": weight}
        for arn, weight in (
            (world.groups["shop", "blue"], 0),
            (world.groups["shop", "green"], 50),
            (stranger, 50),
        )
    ]
    world.act("shop", {"Type": "forward", "ForwardConfig": {"TargetGroups": groups}})
    done = world.run("rollback", "--stack", "staging", "--service", "shop")
    assert done.exit_code == 0, done.output
    (forward,) = world.actions()
    given = {each["TargetGroupArn"]: each["Weight"] for each in forward["ForwardConfig"]["TargetGroups"]}
    assert given == {world.groups["shop", "blue"]: 100, world.groups["shop", "green"]: 0, stranger: 0}


def test_a_rule_that_names_one_color_alone_is_refused_before_anything_moves(world: World) -> None:
    world.move(green=1)
    done = world.run("rollback", "--stack", "staging", "--service", "shop", "--force")
    assert done.exit_code == 1
    assert "the production rule names no target group of blue" in done.stderr


def test_the_status_is_what_is_live_beside_the_file_with_the_way_back(world: World) -> None:
    done = world.run("status", "--stack", "staging")
    assert (done.exit_code, done.stderr) == (0, "")
    assert "staging/shop  https://shop.example.com\n  blue  100 %  ██████████  1.4.0       2 healthy\n" in done.stdout
    promoted(world, "shop", "orders")
    world.empty("shop", "blue")
    done = world.run("status", "--stack", "staging", "--json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["services"]["shop"] == {
        "host": "shop.example.com",
        "live": {"blue": 0, "green": 100},
        "file": {"blue": 0, "green": 100},
        "active": "green",
        "canary": 0,
        "idle": "blue",
        "together": ["shop", "orders"],
        "versions": {"blue": "1.4.0", "green": "1.5.0"},
        "copied": 0,
        "healthy": {"blue": 0, "green": 2},
        "alarms": [],
        "wayBack": "blue",
        "experiment": None,
        "release": None,
        "problem": None,
    }
    assert "way back: blue 1.4.0: hueshift rollback\n" in world.run("status", "--stack", "staging").stdout


def test_the_status_of_weights_that_the_file_does_not_have_is_3_with_what_mends_it(world: World) -> None:
    world.move(blue=10, green=90)
    done = world.run("status", "--stack", "staging", "--service", "shop")
    assert done.exit_code == 3
    assert done.stderr == (
        "error: shop: the load balancer has blue 10 %, green 90 %, and Pulumi.staging.yaml says blue 100 %, green 0 %; "
        "to keep what is live, write it into the file: pulumi config set --path activeColor green --stack staging && "
        "pulumi config set --path canaryWeight 10 --stack staging; "
        "to move the traffic to what the file says: pulumi up --refresh --stack staging\n"
    )
    world.change(lambda config: config["hueshift:services"]["pricing"].update(activeColor="green"))
    assert "--path services.pricing.activeColor blue" in world.run("status", "--stack", "staging").stderr


def test_the_status_of_a_service_that_cannot_be_asked_is_1_and_the_others_are_shown(world: World) -> None:
    world.change(lambda config: config["hueshift:services"]["shop"].update(host="elsewhere.example.com"))
    done = world.run("status", "--stack", "staging")
    assert done.exit_code == 1
    assert "blue    ? %" in done.stdout
    assert "staging/orders  https://orders.example.com\n  blue  100 %" in done.stdout
    assert "shop: eu-west-1 has no production rule for elsewhere.example.com" in done.stderr


def test_the_status_of_a_file_without_a_service_is_refused_with_what_says_why(world: World) -> None:
    world.change(lambda config: config.update({"hueshift:servces": config.pop("hueshift:services")}))
    done = world.run("status", "--stack", "staging")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "Pulumi.staging.yaml has no service with colors" in done.stderr
    assert "hueshift doctor --stack staging" in done.stderr


def test_a_service_that_the_file_gives_no_colors_is_named_and_hides_no_other(world: World) -> None:
    world.change(lambda config: config["hueshift:services"]["orders"].update(colors=[]))
    for words in (("status",), ("rollback",)):
        done = world.run(*words, "--stack", "staging")
        assert "left out: orders, which Pulumi.staging.yaml gives no colors" in done.stderr, words
        assert "shop" in done.stdout + done.stderr


def test_the_status_links_the_dashboard_unless_the_file_says_there_is_none(world: World) -> None:
    link = "https://eu-west-1.console.aws.amazon.com/cloudwatch/home?region=eu-west-1#dashboards/dashboard/staging-hueshift"
    assert world.run("status", "--stack", "staging").stdout.endswith(f"dashboard: {link}\n")
    assert json.loads(world.run("status", "--stack", "staging", "--json").stdout)["dashboard"] == link
    world.change(lambda config: config.update({"hueshift:dashboards": {"cloudwatch": False}}))
    assert "dashboard" not in world.run("status", "--stack", "staging").stdout
    assert json.loads(world.run("status", "--stack", "staging", "--json").stdout)["dashboard"] is None


def test_alarms_that_are_on_stand_at_their_service_alone(world: World) -> None:
    for name in ("staging-shop-green-errors", "staging-shop-moving", "production-shop-green"):
        world.alarm(name)
    done = json.loads(world.run("status", "--stack", "staging", "--json").stdout)["services"]
    assert done["shop"]["alarms"] == ["staging-shop-green-errors"]
    assert done["orders"]["alarms"] == []


# Experiments


def with_experiment(world: World, **cohort: Any) -> None:  # noqa: ANN401 - of its keys
    said = {"name": "checkout", "since": "2027-03-01T09:00:00Z", "until": "2027-03-08T09:00:00Z", **cohort}
    world.change(lambda config: config["hueshift:services"]["pricing"].update(experiment=said))


@pytest.fixture
def cohort(world: World) -> Iterator[str]:
    """Let a rule send a cohort of pricing to green."""
    with_experiment(world, header={"name": "x-cohort", "values": ["beta"]})
    conditions: Any = [
        {"Field": "host-header", "HostHeaderConfig": {"Values": ["pricing.example.com"]}},
        {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "x-cohort", "Values": ["beta"]}},
    ]
    listener = world.rules["pricing"].replace(":listener-rule/", ":listener/").rpartition("/")[0]
    (rule,) = world.elb.create_rule(
        ListenerArn=listener,
        Priority=5,
        Conditions=conditions,
        Actions=[{"Type": "forward", "TargetGroupArn": world.groups["pricing", "green"]}],
    )["Rules"]
    yield rule["RuleArn"]
    world.elb.delete_rule(RuleArn=rule["RuleArn"])


def test_the_way_back_out_of_an_experiment_takes_its_cohort_back_and_the_block_off_the_file(
    world: World, cohort: str
) -> None:
    done = world.run("rollback", "--stack", "staging", "--service", "pricing")
    assert done.exit_code == 0, done.stderr
    (action,) = world.elb.describe_rules(RuleArns=[cohort])["Rules"][0]["Actions"]
    assert action["TargetGroupArn"] == world.groups["pricing", "blue"]
    assert world.live("pricing") == {"blue": 100, "green": 0}
    assert "experiment" not in world.config["hueshift:services"]["pricing"]
    assert world.config["hueshift:services"]["pricing"]["activeColor"] == "blue"
    assert "Pulumi.staging.yaml: no services.pricing.experiment" in done.stderr


def test_the_way_back_out_of_a_random_experiment_gives_all_clients_to_the_control(world: World) -> None:
    with_experiment(world, percent=50)
    world.move("pricing", blue=50, green=50, sticky=True)
    done = world.run("rollback", "--stack", "staging", "--service", "pricing")
    assert done.exit_code == 0, done.stderr
    assert world.live("pricing") == {"blue": 100, "green": 0}
    assert world.actions("pricing")[0]["ForwardConfig"]["TargetGroupStickinessConfig"]["Enabled"] is False
    assert "experiment" not in world.config["hueshift:services"]["pricing"]


def test_status_says_who_is_the_variant_and_when_that_is_over(world: World) -> None:
    with_experiment(world, percent=50)
    world.move("pricing", blue=50, green=50, sticky=True)
    done = world.run("status", "--stack", "staging", "--service", "pricing")
    assert done.exit_code == 0, done.stderr
    assert "experiment checkout: green is the variant until 2027-03-08T09:00:00Z: hueshift experiment status" in (
        done.stdout
    )
    with_experiment(world, percent=50, until="2026-03-08T09:00:00Z")
    over = world.run("status", "--stack", "staging", "--service", "pricing").stdout
    assert "experiment checkout: over since 2026-03-08T09:00:00Z; remove services.pricing.experiment" in over
