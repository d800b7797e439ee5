"""What the page on costs counts is what the program registers."""

from pathlib import Path

from tests.support.engine import Registration
from tests.support.program import Config, run

PAGE = Path(__file__).resolve().parents[2] / "docs" / "what-it-costs.md"


def alone(config: Config) -> None:
    """Leave one service."""
    config["hueshift:services"].pop("pricing")


def metrics(alarm: Registration) -> int:
    """Return how many metrics an alarm reads, each of which AWS counts."""
    return sum("metric" in query for query in alarm.inputs.get("metricQueries") or []) or 1


def test_the_counts_are_those_of_the_example_of_production_with_one_service() -> None:
    found = list(run("production", alone).registrations.values())

    def all_of(kind: str) -> list[Registration]:
        return [each for each in found if each.type.startswith("aws:") and each.type.endswith(f":{kind}")]

    (acl,) = all_of("WebAcl")
    counted = {
        "metric alarms": sum(map(metrics, all_of("MetricAlarm"))),
        "composite alarms": len(all_of("CompositeAlarm")),
        "KMS keys": len(all_of("Key")),
        "secrets": len(all_of("Secret")),
        "health checks": len(all_of("HealthCheck")),
        "dashboard": len(all_of("Dashboard")),
        "load balancer": len(all_of("LoadBalancer")),
        "its rules": len(acl.inputs["rules"]),
    }
    text = PAGE.read_text()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| ")]
    said = {name: int(row[1]) for name in counted for row in rows if row[0].startswith(name) and row[1].isdigit()}
    assert said == counted
    assert f"metric alarms: {len(all_of('MetricAlarm'))}," in text


def test_the_sum_is_that_of_its_rows() -> None:
    rows = PAGE.read_text().partition("## What comes with requests")[0]
    cells = [[cell.strip() for cell in line.split("|")] for line in rows.splitlines() if line.startswith("| ")]
    prices = [float(row[5]) for row in cells if len(row) > 5 and row[5].replace(".", "").isdigit()]
    assert f"**{sum(prices):.2f}**" in rows
