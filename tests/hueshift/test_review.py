"""`hueshift review`: what a review takes over from staging, and what it does not."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from components.model import Color
from components.settings import StackSettings
from hueshift.cli import app
from hueshift.stack import load
from tests.support import program

IMAGE = f"111122223333.dkr.ecr.eu-west-1.amazonaws.com/shop@sha256:{'5' * 64}"
RUN = ("--service", "shop", "--image", IMAGE, "--version", "1.6.12", "--schema", "0003")


@dataclass
class Project:
    folder: Path

    def written(self, *words: str) -> StackSettings:
        done = CliRunner().invoke(app, ["review", "review-42", *words])
        assert done.exit_code == 0, done.output
        return load("review-42").settings

    def refused(self, name: str, *words: str) -> str:
        done = CliRunner().invoke(app, ["review", name, *words])
        assert (done.exit_code, done.stdout) == (1, ""), done.output
        assert not (self.folder / f"Pulumi.{name}.yaml").exists()
        return done.stderr

    def change(self, change: Callable[[dict[str, Any]], object]) -> None:
        file = self.folder / "Pulumi.staging.yaml"
        content = yaml.safe_load(file.read_text())
        change(content["config"])
        file.write_text(yaml.safe_dump(content))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    for name in ("Pulumi.yaml", "Pulumi.staging.yaml", "Pulumi.production.yaml"):
        shutil.copy(program.ROOT / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    return Project(tmp_path)


def test_a_review_serves_what_staging_serves_in_one_color_with_one_pod_under_names_of_its_own(project: Project) -> None:
    project.change(lambda config: config.update({"hueshift:activeColor": "green", "hueshift:canaryWeight": 10}))
    staging, review = load("staging").settings, project.written()
    assert review.environment == "review-42"
    assert not review.production
    for name, service in review.services.items():
        there = staging.services[name]
        assert service.host == f"{name}.review-42.staging.example.com"
        assert service.colors[Color.BLUE].image == there.colors[there.active_color].image
        assert (service.active_color, service.canary_weight) == ("blue", 0)
        assert {color: release.parked for color, release in service.colors.items()} == {"blue": False, "green": True}
        assert (service.replicas.min, service.replicas.max) == (1, 1)
        assert (service.env, service.egress, service.timing) == (there.env, there.egress, there.timing)


ODD = {
    "WORD": "yes",
    "TIME": "12:30",
    "OCTAL": '"010"',
    "OLD_OCTAL": '"0o10"',
    "GROUPED": '"1_000"',
    "POWER": '"1e3"',
    "DAY": "'2026-1-2'",
    "EMPTY": "''",
    "LONG": "word " * 200 + "end",
    "SMILE": "🙂 é",
    "LINES": '"two\\n  lines\\n"',
    "SPACES": '"  spaces  "',
    "COLON": '"a: b #c"',
}
"""Values as somebody writes them in a stack file."""


def test_a_review_has_no_part_in_stagings_experiment(project: Project) -> None:
    said = {"name": "checkout", "since": "2027-03-01T09:00:00Z", "until": "2027-03-08T09:00:00Z", "percent": 50}
    project.change(lambda config: config["hueshift:services"]["shop"].update(experiment=said))
    assert load("staging").settings.services["shop"].experiment is not None
    assert project.written().services["shop"].experiment is None


def test_a_review_copies_no_requests_and_has_one_pod_though_staging_releases(project: Project) -> None:
    envoy = f"registry.example.com/envoy@sha256:{'0a1b' * 16}"

    def change(config: dict[str, Any]) -> None:
        shop = config["hueshift:services"]["shop"]
        shop["shadow"] = {"percent": 20, "image": envoy}
        shop["colors"]["blue"]["minReplicas"] = 6

    project.change(change)
    shop = project.written().services["shop"]
    assert shop.shadow is None
    assert [release.min_replicas for release in shop.colors.values()] == [None, None]


def test_a_review_has_stagings_routes_on_its_own_hosts_and_takes_no_host_of_staging(project: Project) -> None:
    def change(config: dict[str, Any]) -> None:
        site = config["hueshift:services"]["shop"]
        site["priorityBand"] = 200
        site["routes"] = [{"hosts": ["www.staging.example.com"]}]
        api = config["hueshift:services"]["pricing"]
        api["priorityBand"] = 100
        api["routes"] = [
            {"hosts": ["shop.staging.example.com", "www.staging.example.com"], "paths": ["/api/*"]},
            {"paths": ["/prices/*"], "slot": 1},
        ]

    project.change(change)
    services = project.written().services
    assert services["shop"].routes == ()
    api, prices = services["pricing"].routes
    assert (list(api.hosts), list(api.paths)) == (["shop.review-42.staging.example.com"], ["/api/*"])
    assert (list(prices.hosts), list(prices.paths)) == ([], ["/prices/*"])
    assert (api.slot, prices.slot) == (1, 2)


def test_a_review_has_stagings_values_byte_for_byte(project: Project) -> None:
    file = project.folder / "Pulumi.staging.yaml"
    written = "".join(f"\n        {name}: {value}" for name, value in ODD.items())
    file.write_text(file.read_text().replace("\n        LOG_LEVEL: DEBUG", written))
    there, here = load("staging").settings, project.written()
    for name, service in here.services.items():
        assert service.env == there.services[name].env
    env = here.services["shop"].env
    assert {env[name] for name in ("WORD", "TIME", "OCTAL", "OLD_OCTAL", "GROUPED", "POWER", "DAY", "EMPTY")} == {
        "yes",
        "12:30",
        "010",
        "0o10",
        "1_000",
        "1e3",
        "2026-1-2",
        "",
    }
    assert (env["LINES"], env["SMILE"], env["LONG"]) == ("two\n  lines\n", "🙂 é", "word " * 200 + "end")


@pytest.mark.usefixtures("project")
def test_a_review_is_no_production_whatever_it_is_called() -> None:
    done = CliRunner().invoke(app, ["review", "review-live"])
    assert done.exit_code == 0, done.output
    assert not load("review-live").settings.production


def test_a_key_that_stands_twice_is_refused_by_its_name(project: Project) -> None:
    file = project.folder / "Pulumi.staging.yaml"
    file.write_text(file.read_text().replace("      port: 8080", "      port: 8080\n      port: 9090", 1))
    assert "the key 'port' stands twice" in project.refused("review-42")


def test_keys_without_the_projects_name_are_the_projects(project: Project) -> None:
    before = project.written()
    file = project.folder / "Pulumi.staging.yaml"
    file.write_text(file.read_text().replace("  hueshift:", "  "))
    assert project.written() == before


def test_a_review_calls_nobody_keeps_nothing_and_owns_no_image(project: Project) -> None:
    def noisy(config: dict[str, Any]) -> None:
        config["hueshift:loadBalancer"] |= {"deletionProtection": True, "accessLogs": True, "waf": True}
        config["hueshift:services"]["shop"]["expectsTraffic"] = True

    project.change(noisy)
    review = project.written()
    assert review.alerts.topic_arns == ()
    assert review.registry.repositories == ()
    front = review.load_balancer
    assert (front.deletion_protection, front.access_logs, front.waf) == (False, False, False)
    assert not review.services["shop"].expects_traffic


def test_a_review_reads_secrets_of_the_reviews_and_has_no_container_of_its_own(project: Project) -> None:
    shop = project.written().services["shop"]
    entry = shop.secrets["app"]
    assert entry.source
    assert (entry.source.store, entry.source.path) == ("aws-secrets-manager", "review/shop/app")
    assert entry.keys == load("staging").settings.services["shop"].secrets["app"].keys
    assert {release.secret_versions["app"] for release in shop.colors.values()} == {"AWSCURRENT"}


def test_settings_that_are_written_as_json_are_taken_over_too(project: Project) -> None:
    before = project.written()

    def as_text(config: dict[str, Any]) -> None:
        for key in ("services", "alerts", "loadBalancer"):
            config[f"hueshift:{key}"] = json.dumps(config[f"hueshift:{key}"])

    project.change(as_text)
    assert project.written() == before


def test_an_entry_of_another_store_stays_there(project: Project) -> None:
    source = {"store": "vault", "path": "kv/shop/bank"}

    def bank(config: dict[str, Any]) -> None:
        shop = config["hueshift:services"]["shop"]
        shop["secrets"]["bank"] = {"keys": ["BANK_TOKEN"], "source": source}
        for color in shop["colors"].values():
            color["secretVersions"]["bank"] = "7"

    project.change(bank)
    shop = project.written().services["shop"]
    assert shop.secrets["bank"].source
    assert shop.secrets["bank"].source.path == source["path"]
    assert shop.colors[Color.BLUE].secret_versions == {"app": "AWSCURRENT", "bank": "7"}


def test_the_pull_requests_own_image_takes_the_place_of_stagings(project: Project) -> None:
    review = project.written(*RUN)
    blue = review.services["shop"].colors[Color.BLUE]
    assert (blue.image, blue.version, blue.schema) == (IMAGE, "1.6.12", "0003")
    staging = load("staging").settings.services["pricing"]
    assert review.services["pricing"].colors[Color.BLUE].image == staging.colors[staging.active_color].image


def test_a_service_of_one_color_keeps_its_strategy(project: Project) -> None:
    def rolling(config: dict[str, Any]) -> None:
        pricing = config["hueshift:services"]["pricing"]
        pricing["strategy"] = {"kind": "rolling"}
        pricing["colors"].pop("green")

    project.change(rolling)
    pricing = project.written().services["pricing"]
    assert pricing.strategy.kind == "rolling"
    assert set(pricing.colors) == {"blue"}


def test_a_state_of_a_review_is_opened_with_stagings_key(project: Project) -> None:
    project.written()
    secrets = [
        yaml.safe_load(Path(f"Pulumi.{stack}.yaml").read_text())["encryptionsalt"] for stack in ("review-42", "staging")
    ]
    assert secrets[0] == secrets[1]


@pytest.mark.parametrize(
    ("name", "words", "said"),
    [
        ("staging-2", (), "review-42"),
        ("review-../staging", (), "review-42"),
        ("review-42", ("--from", "production"), "production"),
        ("review-42", ("--from", "nowhere"), "known here: production, staging"),
        ("review-42", RUN[:4], "must be given together"),
        ("review-42", RUN[4:], "must be given together"),
        ("review-42", ("--service", "shp", *RUN[2:]), "did you mean shop?"),
        ("review-42", (*RUN[:4], "--version", "new"), "version"),
        ("review-a-name-that-is-too-long", (), "22"),
    ],
)
def test_what_can_be_no_review_is_refused_and_no_file_is_left(
    project: Project, name: str, words: tuple[str, ...], said: str
) -> None:
    assert said in project.refused(name, *words)


def test_staging_without_a_zone_has_no_names_to_give(project: Project) -> None:
    def given(config: dict[str, Any]) -> None:
        del config["hueshift:dns"]
        arn = "arn:aws:acm:eu-west-1:111122223333:certificate/e2b94f60-13c7-4d8a-b5f1-7c6a0d9e8342"
        config["hueshift:loadBalancer"]["certificateArn"] = arn

    project.change(given)
    assert "pulumi config set --path hueshift:dns.zone" in project.refused("review-42")


def test_a_refused_change_leaves_the_review_that_was_there(project: Project) -> None:
    project.written(*RUN)
    before = Path("Pulumi.review-42.yaml").read_text()
    done = CliRunner().invoke(app, ["review", "review-42", *RUN[:4], "--version", "new"])
    assert done.exit_code == 1
    assert Path("Pulumi.review-42.yaml").read_text() == before
