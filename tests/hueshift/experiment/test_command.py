"""`hueshift experiment status` and what else knows of an experiment, on stack files; the metric systems are played."""

import json
from collections.abc import Mapping
from contextlib import chdir
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from components.model import Color
from hueshift import stack
from hueshift.cli import app
from hueshift.experiment import command
from hueshift.experiment.difference import difference
from hueshift.release.counts import Tick
from hueshift.release.judge import Scrape
from hueshift.release.unit import unit_of
from hueshift.report import RefusedError
from hueshift.traffic.live import disagreement
from hueshift.traffic.way_back import back
from tests.support import strategies as some
from tests.support.program import ROOT

BLUE, GREEN = Color.BLUE, Color.GREEN
NOW = datetime.now(UTC)
BEGAN = datetime(2027, 3, 1, 9, tzinfo=UTC).timestamp()


@dataclass
class Counts:
    """Who counts 100 ticks, in each of which blue has 1,000 requests."""

    green: float = 1000
    failed: Mapping[Color, float] | None = None
    orders: Mapping[Color, float] | None = None

    def ticks(self, service: str, *, since: float, now: float, slow: float | None) -> list[Tick]:
        assert (service, now >= since) == ("shop", True)
        late = {BLUE: 50.0, GREEN: 50.0} if slow else {}
        requests = {BLUE: 1000, GREEN: self.green}
        return [Tick(since + place, requests, self.failed or {}, late) for place in range(100)]

    def events(self, _: str, metric: str, *, since: float, now: float) -> Mapping[float, Mapping[Color, float]]:
        assert metric in ("orders_total", "Shop/Orders")
        assert now >= since
        return {since + place: self.orders or {} for place in range(100)}

    def bound(self, _: str, color: Color, at: float) -> float | None:
        assert color is BLUE
        assert at <= NOW.timestamp(), "as it was when the experiment began"
        return 0.25

    def seconds(self, *_: object, **__: object) -> Mapping[Color, float]:
        return {BLUE: 0.041, GREEN: 0.044}


class CloudWatchCounts(Counts):
    """The same without slow answers, and with half of the requests of green."""

    def ticks(self, *names: str, **times: Any) -> list[Tick]:  # noqa: ANN401
        self.green = 500
        return super().ticks(*names, **times)

    def bound(self, *_: object) -> None:
        return None


@dataclass
class Project:
    """A stack file whose shop has an experiment of two days that began yesterday."""

    folder: Path
    counts: Counts
    asked: list[str]

    def experiment(self, hours: float = 24, prometheus: str | None = "http://prometheus:9090", **said: object) -> None:
        since, until = (NOW - timedelta(days=1), NOW + timedelta(hours=hours))
        values: dict[str, Any] = some.stack()
        values["services"]["shop"]["experiment"] = {
            "name": "checkout",
            "since": since.isoformat(),
            "until": until.isoformat(),
            **said,
        }
        values["releases"] = {"prometheus": prometheus} if prometheus else {}
        self.write(values)

    def write(self, values: Mapping[str, Any]) -> None:
        content = {"config": {f"hueshift:{key}": value for key, value in values.items()}}
        (self.folder / "Pulumi.staging.yaml").write_text(yaml.safe_dump(content))

    def run(self, *words: str) -> Result:
        with chdir(self.folder):
            return CliRunner().invoke(app, [*words, "--stack", "staging"])

    @property
    def place(self) -> stack.Place:
        with chdir(self.folder):
            return stack.place("staging")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    (tmp_path / "Pulumi.yaml").write_text((ROOT / "Pulumi.yaml").read_text())
    project = Project(tmp_path, Counts(), [])

    def prometheus(url: str, environment: str) -> Counts:
        project.asked.append(f"{url} {environment}")
        return project.counts

    def cloudwatch(*_: object) -> Counts:
        project.asked.append("CloudWatch")
        return CloudWatchCounts(**vars(project.counts))

    class Balancer:
        cloudwatch = None

        def __init__(self, *_: object, **__: object) -> None:
            pass

        def rules(self, _: object) -> None:
            pass

    monkeypatch.setattr(command, "Prometheus", prometheus)
    monkeypatch.setattr(command, "CloudWatchCounts", cloudwatch)
    monkeypatch.setattr(command, "Balancer", Balancer)
    return project


def status(project: Project, *words: str) -> Result:
    return project.run("experiment", "status", *words)


def test_each_variant_is_shown_with_the_interval_of_what_differs(project: Project) -> None:
    project.experiment(percent=50, metric="orders_total")
    project.counts = Counts(failed={BLUE: 5, GREEN: 5}, orders={BLUE: 50, GREEN: 80})
    found = status(project)
    assert found.exit_code == 0, found.output
    first, times, _, errors, slow, orders, mean, rule = found.stdout.splitlines()
    assert first == (
        "staging/shop  checkout: green 1.5.0 is the variant, blue 1.4.0 the control, for 50 % of the clients"
    )
    assert times.endswith("counted by Prometheus")
    assert "runs, " in times
    assert errors.split("  ")[1] == "errors"
    assert "no difference shown" in errors
    assert "slower than 250 ms" in slow
    assert "5,000 of 100,000" in orders
    assert "8,000 of 100,000" in orders
    assert "+3.000" in orders
    assert orders.endswith("  more")
    assert mean.split()[2:] == ["41", "ms", "44", "ms"]
    assert "always valid: look whenever you like" in rule
    assert project.asked == ["http://prometheus:9090 staging"]


def test_a_machine_gets_the_same(project: Project) -> None:
    project.experiment(percent=50, metric="orders_total")
    project.counts = Counts(orders={BLUE: 50, GREEN: 40})
    found = status(project, "--json")
    shop = json.loads(found.stdout)["experiments"]["shop"]
    assert (shop["control"], shop["variant"], shop["over"], shop["random"]) == ("blue", "green", False, True)
    assert shop["interval"] == {"kind": "always valid", "sure": 0.95, "readable": True}
    orders = shop["measures"]["orders_total"]
    assert orders["events"] == {"blue": 5000, "green": 4000}
    assert orders["difference"] == pytest.approx(-0.01)
    assert orders["low"] < -0.01 < orders["high"] < 0
    assert orders["shown"] is True


def test_what_is_too_early_to_be_read_is_not_read(project: Project) -> None:
    project.experiment(percent=50, metric="orders_total")
    project.counts = Counts(failed={BLUE: 5, GREEN: 5}, orders={BLUE: 1, GREEN: 0.5})
    found = status(project)
    assert found.exit_code == 4, "errors alone are not what it is for"
    assert "too few: 150 of 200" in found.stdout
    assert "not to be read yet" in found.stdout


def test_what_is_over_says_so_and_counts_no_further(project: Project) -> None:
    project.experiment(hours=-1, percent=50)
    project.counts = Counts(failed={BLUE: 5, GREEN: 5})
    found = status(project)
    assert found.exit_code == 3
    assert "is over: remove services.shop.experiment" in found.stdout


def test_a_cohort_of_its_own_choice_is_said_to_be_no_random_one(project: Project) -> None:
    project.experiment(cookie={"name": "cohort", "value": "b"})
    found = status(project)
    assert "for who has the cookie cohort: b" in found.stdout
    assert "not random: who is in the cohort may differ" in found.stdout


def test_a_metric_of_cloudwatch_is_counted_there_with_the_requests_there(project: Project) -> None:
    project.experiment(percent=50, metric="Shop/Orders")
    project.counts = Counts(orders={BLUE: 50, GREEN: 80})
    found = status(project)
    assert found.exit_code == 0
    assert "8,000 of 50,000" in found.stdout
    assert project.asked == ["http://prometheus:9090 staging", "CloudWatch"]


def test_without_prometheus_cloudwatch_counts_and_a_counter_of_prometheus_is_refused(project: Project) -> None:
    project.experiment(prometheus=None, percent=50)
    project.counts = Counts(failed={BLUE: 5, GREEN: 5})
    found = status(project)
    assert (found.exit_code, project.asked) == (0, ["CloudWatch"])
    assert "slower" not in found.stdout
    project.experiment(prometheus=None, percent=50, metric="orders_total")
    refused = status(project)
    assert refused.exit_code == 1
    assert "hueshift:releases.prometheus must name" in refused.stderr


def test_without_an_experiment_there_is_nothing_to_show(project: Project) -> None:
    project.write(some.stack())
    assert "no service of staging has an experiment" in status(project).stderr
    named = status(project, "--service", "shop")
    assert (named.exit_code, named.stdout) == (1, "")
    assert "shop has no experiment" in named.stderr


def test_the_page_shows_what_is_printed(project: Project) -> None:
    """Three days and twenty hours, in ticks of a thousandth of that."""
    project.experiment(percent=50, metric="orders_total")
    found = command.Found(
        wished=project.place.services["shop"],
        said={
            "name": "short-checkout",
            "since": "2027-03-01T09:00:00Z",
            "until": "2027-03-08T09:00:00Z",
            "percent": 50,
        },
        now=BEGAN + 92 * 3600,
        since=BEGAN,
        until=BEGAN + 7 * 24 * 3600,
        source="Prometheus",
        measures={
            name: difference([Scrape(1204.117, control / 1000, 1203.87, variant / 1000)] * 1000)
            for name, control, variant in (
                ("errors", 1210, 1293),
                ("slower than 250 ms", 48_211, 48_090),
                ("orders_total", 24_082, 26_485),
            )
        },
        seconds={BLUE: 0.041, GREEN: 0.044},
    )
    page = (ROOT / "docs/ab-tests.md").read_text()
    assert page.partition("$ hueshift experiment status\n")[2].partition("\n```")[0].splitlines() == [
        *found.lines("production")
    ]


# What else knows of it


def test_while_an_experiment_runs_nothing_is_flipped_parked_or_given_another_image(project: Project) -> None:
    project.experiment(percent=50)
    why = "shop: the experiment checkout needs both colors as they are; end it by a reviewed change"
    assert unit_of(project.place, "shop").held[0].startswith(why)
    image = f"registry.example.com/shop@sha256:{'c' * 64}"
    for words in (["flip", "shop"], ["park"], ["image", "set", "shop", image, "--version", "1.6.0"]):
        refused = project.run(*words)
        assert refused.exit_code == 1, words
        assert why in refused.stderr, words


def test_the_file_wishes_what_a_random_experiment_shares_out(project: Project) -> None:
    project.experiment(percent=30)
    wished = project.place.services["shop"]
    assert (wished.weights, wished.canary) == ({BLUE: 70, GREEN: 30}, 0)
    assert disagreement(project.place, "shop", {BLUE: 70, GREEN: 30}) is None
    disturbed = str(disagreement(project.place, "shop", {BLUE: 100, GREEN: 0}))
    assert "its experiment is disturbed: end it, pulumi config rm --path services.shop.experiment" in disturbed
    project.experiment(cookie={"name": "cohort", "value": "b"})
    assert project.place.services["shop"].weights == {BLUE: 100, GREEN: 0}


def test_the_way_back_out_of_an_experiment_is_the_control(project: Project) -> None:
    project.experiment(cookie={"name": "cohort", "value": "b"})
    wished = project.place.services["shop"]
    live = {BLUE: 100, GREEN: 0}
    assert back(wished, live, to=None, served=lambda _: None, force=False) is BLUE
    with pytest.raises(RefusedError):
        back(stack.Wished(**{**vars(wished), "experiment": None}), live, to=None, served=lambda _: None, force=False)
