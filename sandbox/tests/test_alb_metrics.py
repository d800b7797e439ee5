import json
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from sandbox import ca
from sandbox.aws.envoy import Host
from sandbox.aws.metrics import Datum, Requests, arrivals, data, expiries, parse_requests, parse_times, since
from sandbox.aws.translate import LoadBalancer

ARN = "arn:aws:elasticloadbalancing:eu-west-1:123456789012"
BALANCER = LoadBalancer(number=1, arn=f"{ARN}:loadbalancer/app/shop/1", attributes={}, listeners=())
GROUP = f"{ARN}:targetgroup/blue/2"
OF_GROUP = [{"Name": "TargetGroup", "Value": "targetgroup/blue/2"}, {"Name": "LoadBalancer", "Value": "app/shop/1"}]
OF_BALANCER = OF_GROUP[1:]


def said(code: str, flags: str, group: str = "blue/2") -> dict[str, list[str]]:
    """Return the metrics that one request counts in, by scope."""
    result = data(Counter({("app/shop/1", group, code, flags): 1}), {}, {}, {})
    return {
        "group": sorted(one["MetricName"] for one in result if one["Dimensions"] == OF_GROUP),
        "balancer": sorted(one["MetricName"] for one in result if one["Dimensions"] == OF_BALANCER),
    }


@pytest.mark.parametrize("code", ["200", "302", "404", "503"])
def test_what_a_target_answers_counts_for_its_group_and_the_load_balancer(code: str) -> None:
    names = [f"HTTPCode_Target_{code[0]}XX_Count", "RequestCount"]
    assert said(code, "-") == {"group": names, "balancer": names}


def test_a_failed_connection_is_a_connection_error_of_the_group_and_a_5xx_of_the_load_balancer_only() -> None:
    assert said("502", "UF") == {
        "group": ["RequestCount", "TargetConnectionErrorCount"],
        "balancer": ["HTTPCode_ELB_502_Count", "HTTPCode_ELB_5XX_Count", "RequestCount", "TargetConnectionErrorCount"],
    }


def test_a_request_for_which_there_is_no_target_is_in_no_count_of_the_group() -> None:
    assert said("503", "UH") == {"group": [], "balancer": ["HTTPCode_ELB_503_Count", "HTTPCode_ELB_5XX_Count"]}


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("200", ["HTTP_Fixed_Response_Count"]),
        ("301", ["HTTPCode_ELB_3XX_Count", "HTTP_Redirect_Count"]),
        ("404", ["HTTPCode_ELB_4XX_Count", "HTTP_Fixed_Response_Count"]),
        ("503", ["HTTPCode_ELB_503_Count", "HTTPCode_ELB_5XX_Count", "HTTP_Fixed_Response_Count"]),
    ],
)
def test_answers_of_rules_are_the_load_balancers_own(code: str, names: list[str]) -> None:
    assert said(code, "-", group="") == {"group": [], "balancer": names}


def test_a_minute_without_traffic_reports_no_requests_and_no_zero() -> None:
    assert data(Counter(), {}, {}, {GROUP: BALANCER}) == []


def test_host_counts_are_reported_for_groups_that_have_targets() -> None:
    well, ill, new = Host(True, False, False), Host(False, False, False), Host(False, True, False)
    hosts = {"blue/2": {("10.0.0.1", 80): well, ("10.0.0.2", 80): ill, ("10.0.0.3", 80): new}}
    result: list[Datum] = data(Counter(), {}, hosts, {GROUP: BALANCER})
    assert {one["MetricName"]: one["Value"] for one in result} == {"HealthyHostCount": 1, "UnHealthyHostCount": 2}
    assert all(one["Dimensions"] == OF_GROUP for one in result)


def test_counters_are_read_by_their_labels() -> None:
    text = (
        "# TYPE envoy_alb_requests counter\n"
        'envoy_alb_requests{balancer="app/shop/1",group="blue/2",code="200",flags="-"} 12\n'
        'envoy_alb_requests{balancer="app/shop/1",group="",code="503",flags="-"} 3\n'
    )
    assert parse_requests(text) == {("app/shop/1", "blue/2", "200", "-"): 12, ("app/shop/1", "", "503", "-"): 3}


def test_response_times_are_seconds() -> None:
    bucket = {"lower_bound": 200.0, "width": 10.0, "count": 3}
    histogram = {"name": "cluster.blue/2.upstream_rq_time", "totals": [bucket]}
    text = json.dumps({"stats": [{"histograms": {"details": [histogram]}}]})
    assert parse_times(text) == {"blue/2": {0.205: 3}}


def test_what_was_counted_before_is_not_counted_again_and_a_restart_loses_nothing() -> None:
    before: Requests = Counter({("b", "g", "200", "-"): 10})
    assert since(Counter({("b", "g", "200", "-"): 15}), before) == {("b", "g", "200", "-"): 5}
    assert since(Counter({("b", "g", "200", "-"): 4}), before) == {("b", "g", "200", "-"): 4}


def test_every_response_time_is_kept_with_how_often_it_was_there() -> None:
    times = {"blue/2": Counter({0.205: 3, 1.5: 1})}
    spread = [one for one in data(Counter(), times, {}, {GROUP: BALANCER}) if one["MetricName"] == "TargetResponseTime"]
    assert [one["Dimensions"] for one in spread] == [OF_GROUP, OF_BALANCER]
    assert all((one["Values"], one["Counts"], one["Unit"]) == ([0.205, 1.5], [3, 1], "Seconds") for one in spread)


def test_a_minute_comes_late_each_metric_at_its_moment_and_a_count_in_two_parts() -> None:
    minute: list[Datum] = [
        {"MetricName": "RequestCount", "Dimensions": OF_GROUP, "Unit": "Count", "Value": 7},
        {"MetricName": "RequestCount", "Dimensions": OF_BALANCER, "Unit": "Count", "Value": 1},
        {"MetricName": "HealthyHostCount", "Dimensions": OF_GROUP, "Unit": "Count", "Value": 2},
        {"MetricName": "TargetResponseTime", "Dimensions": OF_GROUP, "Unit": "Seconds", "Values": [1.0], "Counts": [7]},
    ]
    late = list(arrivals(minute, 600, 120))
    assert [part.get("Value") for _, part in late] == [3, 4, 1, 2, None]
    assert [part["Dimensions"] for _, part in late] == [OF_GROUP, OF_GROUP, OF_BALANCER, OF_GROUP, OF_GROUP]
    moments = [due for due, _ in late]
    assert all(720 <= due <= 780 for due in moments)
    assert len(set(moments)) == 5
    assert list(arrivals(minute, 600, 120)) == late
    assert {due for due, _ in arrivals(minute, 600, 0)} == {660}


def test_a_certificate_tells_the_whole_days_that_it_is_still_valid(tmp_path: Path) -> None:
    chain, _ = ca.issue(("shop.localhost",), tmp_path / "ca.crt", tmp_path / "ca.key")
    ends = x509.load_pem_x509_certificate(chain).not_valid_after_utc
    seen = [
        expiries([("arn:cert", chain)], ends - timedelta(days=days, hours=1))[0]["Value"] for days in (30, 1, 0, -2)
    ]
    assert seen == [30, 1, 0, 0]
    assert expiries([("arn:cert", chain)], ends)[0]["Dimensions"] == [{"Name": "CertificateArn", "Value": "arn:cert"}]
