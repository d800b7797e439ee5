"""Once a minute, Envoy's counts as the CloudWatch metrics of an Application Load Balancer.

As the user guide has it (cloudwatch-metrics): namespace ``AWS/ApplicationELB``; a target group's metrics carry
{LoadBalancer, TargetGroup} and appear once more under {LoadBalancer} alone; errors of the load balancer itself carry
{LoadBalancer} only, so that requests which no target answered are in no group's errors; what is zero is not reported,
nothing is without traffic, and the host counts are reported only for groups that have targets.

They come late, each at its own moment and a count in two parts (``arrivals``): of AWS it is only documented that the
newest data may not be there yet (CloudWatch guide, metric math, ``FILL``), so alarms have to bear it.

Beside them goes ``DaysToExpiry`` of ``AWS/CertificateManager`` for each certificate, once a minute (AWS: twice a day).
"""

import json
import logging
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from zlib import crc32

from cryptography import x509
from moto.acm.models import acm_backends
from moto.cloudwatch.models import cloudwatch_backends

from sandbox import paths
from sandbox.aws.clock import MINUTE
from sandbox.aws.cloudwatch import CloudWatch
from sandbox.aws.envoy import Envoy, Host
from sandbox.aws.translate import LoadBalancer, cluster_name, suffix

_LOG = logging.getLogger(__name__)

NAMESPACE = "AWS/ApplicationELB"
CERTIFICATES = "AWS/CertificateManager"

_LINE = re.compile(r"^envoy_alb_requests\{(.*)\} (\d+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')

Requests = Counter[tuple[str, str, str, str]]
"""Counts by load balancer, cluster, status code and Envoy's response flags."""

Times = dict[str, Counter[float]]
"""For each cluster, how many answers took so many seconds."""

Datum = dict[str, Any]


def parse_requests(text: str) -> Requests:
    """Read the Prometheus form of the counters that ``translate`` makes Envoy keep."""
    counts: Requests = Counter()
    for labels, count in _LINE.findall(text):
        label = dict(_LABEL.findall(labels))
        counts[label["balancer"], label.get("group", ""), label["code"], label["flags"]] += int(count)
    return counts


def parse_times(text: str) -> Times:
    """Read Envoy's histograms ``cluster.<name>.upstream_rq_time``: milliseconds, answers of targets only."""
    times: Times = {}
    for stat in json.loads(text)["stats"]:
        for histogram in stat.get("histograms", {}).get("details", []):
            name = histogram["name"].removeprefix("cluster.").removesuffix(".upstream_rq_time")
            times[name] = Counter(
                {
                    (bucket["lower_bound"] + bucket["width"] / 2) / 1000: bucket["count"]
                    for bucket in histogram["totals"]
                }
            )
    return times


def since(now: Counter[Any], before: Counter[Any]) -> Counter[Any]:
    """Return what was added; after a restart of Envoy, whose counters then start again at zero, all of it."""
    if any(now[key] < count for key, count in before.items()):
        return now
    return now - before


def data(
    requests: Requests,
    times: Mapping[str, Counter[float]],
    hosts: Mapping[str, Mapping[tuple[str, int], Host]],
    owners: Mapping[str, LoadBalancer],
) -> list[Datum]:
    """Return the metric data of one minute, in the form of PutMetricData.

    Args:
        requests: counts of the minute.
        times: response times of the minute.
        hosts: each cluster's hosts now.
        owners: each target group in use, with its load balancer.

    """
    result: list[Datum] = []

    def add(name: str, unit: str, balancer: str, group: str | None = None, **values: object) -> None:
        dimensions = [{"Name": "LoadBalancer", "Value": balancer}]
        if group:
            dimensions.insert(0, {"Name": "TargetGroup", "Value": f"targetgroup/{group}"})
        result.append({"MetricName": name, "Dimensions": dimensions, "Unit": unit, **values})

    sums: defaultdict[tuple[str, str | None], Counter[str]] = defaultdict(Counter)
    for (balancer, group, code, flags), count in requests.items():
        for scope in (balancer, None), (balancer, group):
            sums[scope].update(dict.fromkeys(_names(code, flags, group, whole=scope[1] is None), count))
    for (balancer, scope_group), names in sums.items():
        for name, count in names.items():
            add(name, "Count", balancer, scope_group, Value=count)
    for arn, owner in owners.items():
        group, balancer = cluster_name(arn), suffix(owner.arn)
        states = [host.healthy for host in hosts.get(group, {}).values()]
        if states:
            add("HealthyHostCount", "Count", balancer, group, Value=sum(states))
            add("UnHealthyHostCount", "Count", balancer, group, Value=len(states) - sum(states))
        if spread := times.get(group):
            for scope_group in group, None:
                add(
                    "TargetResponseTime",
                    "Seconds",
                    balancer,
                    scope_group,
                    Values=list(spread),
                    Counts=list(spread.values()),
                )
    return result


def _names(code: str, flags: str, group: str, *, whole: bool) -> list[str]:
    """Return the metrics that a request counts in: for the load balancer as a whole, or for its target group."""
    own = [f"HTTPCode_ELB_{code[0]}XX_Count", *([f"HTTPCode_ELB_{code}_Count"] if code in _SINGLE else [])]
    if not group:
        kind = "HTTP_Redirect_Count" if code.startswith("3") else "HTTP_Fixed_Response_Count"
        # The guide counts what "originates from the load balancer", and exempts no answer that a rule gives.
        return [] if not whole else [kind, *(own if code[0] in "345" else [])]
    of_target = flags == "-"
    raised = set(flags.split(","))
    names = []
    # "Only incremented for requests where the load balancer node was able to choose a target" (user guide).
    if not raised & {"UH", "NC", "NR"}:
        names.append("RequestCount")
    if raised & {"UF", "URX"}:
        names.append("TargetConnectionErrorCount")
    if of_target:
        names.append(f"HTTPCode_Target_{code[0]}XX_Count")
    elif whole and code[0] in "45":
        names += own
    return names


_SINGLE = {"500", "502", "503", "504"}


def arrivals(minute: Iterable[Datum], at: float, lateness: float) -> Iterator[tuple[float, Datum]]:
    """Yield each part of a minute's data with the moment from which it is there, the same in each run.

    Args:
        minute: its data.
        at: when it began.
        lateness: seconds after its end by which all of it is there; the first parts come after half of them.

    """
    for datum in minute:
        parts = [datum]
        if "Value" in datum and not datum["MetricName"].endswith("HostCount"):
            half = datum["Value"] // 2
            parts = [{**datum, "Value": value} for value in (half, datum["Value"] - half) if value]
        for number, part in enumerate(parts):
            chance = crc32(json.dumps([datum["MetricName"], datum["Dimensions"], at, number]).encode()) / 2**32
            yield at + MINUTE + lateness * (1 + chance) / 2, part


def expiries(certificates: Iterable[tuple[str, bytes]], now: datetime) -> list[Datum]:
    """Return whole days that each certificate, by its ARN, is still valid."""
    return [
        {
            "MetricName": "DaysToExpiry",
            "Dimensions": [{"Name": "CertificateArn", "Value": arn}],
            "Unit": "Count",
            "Value": max(0, (x509.load_pem_x509_certificate(chain).not_valid_after_utc - now).days),
        }
        for arn, chain in certificates
    ]


def backend() -> CloudWatch:
    """Return the CloudWatch that gets the data."""
    result = cloudwatch_backends[paths.ACCOUNT][paths.REGION]
    assert isinstance(result, CloudWatch)
    return result


class Meter:
    """Puts what happened since the last time that it was asked to."""

    def __init__(self, envoy: Envoy, owners: Callable[[], Mapping[str, LoadBalancer]], lateness: float) -> None:
        self._envoy = envoy
        self._owners = owners
        self.lateness = lateness
        """Of the load balancer's data, as ``arrivals`` takes it; may be set at any time."""
        self._requests: Requests = Counter()
        self._times: Times = {}

    def put(self, at: float) -> None:
        """Put the metrics of the minute that began at ``at``, a moment of CloudWatch's clock."""
        try:
            requests = parse_requests(self._envoy.statistics("/prometheus?filter=^alb"))
            times = parse_times(
                self._envoy.statistics("?format=json&histogram_buckets=detailed&filter=upstream_rq_time$")
            )
        except OSError as error:
            _LOG.warning("Envoy does not tell its counts, so that the next minute has those of two: %s", error)
            return
        minute = data(
            since(requests, self._requests),
            {name: since(now, self._times.get(name, Counter())) for name, now in times.items()},
            self._envoy.health(),
            self._owners(),
        )
        for due, part in arrivals(minute, at, self.lateness):
            backend().record(NAMESPACE, [part], at, due)
        self._requests, self._times = requests, times
        certificates = acm_backends[paths.ACCOUNT][paths.REGION].list_certificates(["ISSUED"], {})
        backend().record(CERTIFICATES, expiries([(one.arn, one.cert) for one in certificates], datetime.now(UTC)), at)
