"""What hypothesis draws settings from."""

import copy
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from components.model import ALARM_PERIOD, ALARM_PERIODS, SHUTDOWN_MARGIN, Color
from components.spec import Timing

colors = st.sampled_from(Color)
percents = st.integers(0, 100)
canaries = st.integers(0, 99)
labels = st.from_regex(r"[a-z]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)

_numbers = st.integers(0, 12).map(str)
_identifiers = st.one_of(_numbers, st.from_regex(r"[0-9]{0,2}[A-Za-z-][0-9A-Za-z-]{0,3}", fullmatch=True))


SURPRISES = [
    "yes",
    "12:30",
    "010",
    "0o10",
    "1_000",
    "1e3",
    "2026-1-2",
    "2026-01-02",
    "~",
    "null",
    "<<",
    "=",
    "true",
    "",
    " ",
    "a: b",
    "#",
    "a #b",
    "-",
    "!x",
    "&a",
    "*a",
    "%",
    "@",
    "`",
    "x" * 5000,
    "word " * 500,
    "two\nlines\n\n",
    "\ttab",
    "🙂",
    "é",
    "\u2028",
    "\x85",
    "\ufeff",
    "'",
    '"',
    "\\",
    "$(HOME)",
]
"""Texts that a reader or a writer of YAML may take for something else."""


@st.composite
def versions(draw: st.DrawFn) -> str:
    """Return semantic versions; from few numbers, so that equal and nearly equal ones come up."""
    core = ".".join(draw(st.tuples(_numbers, _numbers, _numbers)))
    pre = draw(st.lists(_identifiers, max_size=3))
    build = draw(st.lists(st.from_regex(r"[0-9A-Za-z-]{1,3}", fullmatch=True), max_size=2))
    return core + (f"-{'.'.join(pre)}" if pre else "") + (f"+{'.'.join(build)}" if build else "")


@st.composite
def timings(draw: st.DrawFn) -> Timing:
    """Return times whose chain holds, often only just."""
    slack = st.one_of(st.just(0), st.integers(0, 100))
    longest = draw(st.integers(1, 50))
    deregistration = longest + draw(slack)
    pre_stop = deregistration + 1 + draw(slack)
    timing = Timing(
        longest_request=longest,
        deregistration_delay=deregistration,
        pre_stop=pre_stop,
        grace_period=pre_stop + longest + SHUTDOWN_MARGIN + draw(slack),
        keep_alive=61 + draw(slack),
        stickiness=draw(st.one_of(st.just(0), st.integers(0, 604_800))),
        bake=ALARM_PERIOD * ALARM_PERIODS + draw(slack),
    )
    return replace(timing, keep_old=timing.overlap + draw(slack))


def stack() -> dict[str, Any]:
    """Return the smallest settings of a stack with every optional key in some place; a fresh copy for each call."""
    return {
        "network": {"vpcId": "vpc-0a1b2c3d", "subnetIds": ["subnet-0a1b2c3d", "subnet-0a1b2c3e"]},
        "loadBalancer": {"certificateArn": "arn:aws:acm:eu-west-1:111122223333:certificate/5d0c1f0e"},
        "alerts": {
            "topicArns": ["arn:aws:sns:eu-west-1:111122223333:on-call"],
            "onCall": "on-call@example.com",
            "owner": "team-shop",
        },
        "services": {
            "shop": {
                "host": "shop.example.com",
                "port": 8080,
                "colors": {
                    "blue": {**color("1.4.0"), "schema": "0001"},
                    "green": {**color("1.5.0"), "schema": "0002"},
                },
                "env": {"LOG_LEVEL": "INFO"},
                "secrets": {"app": {"keys": ["DATABASE_URL", "JWT_SECRET"]}},
            }
        },
    }


def color(version: str) -> dict[str, Any]:
    """Return the settings of one color, by digest, with a pinned secret."""
    return {
        "image": f"registry.example.com/shop@sha256:{'a' * 64}",
        "version": version,
        "secretVersions": {"app": "00000000-0000-4000-8000-000000000001"},
    }


def experiment(**cohort: object) -> dict[str, Any]:
    """Return the settings of an experiment of a week."""
    return {"name": "checkout", "since": "2027-03-01T09:00:00Z", "until": "2027-03-08T09:00:00Z", **cohort}


def whole() -> list[dict[str, Any]]:
    """Return valid stacks that together use every key; `test_settings.py` compares that with the model.

    Fresh copies for each call.
    """
    arn = "arn:aws:{}:eu-west-1:111122223333:{}".format
    first = stack()
    first |= {
        "environment": "qa",
        "production": False,
        "activeColor": "blue",
        "canaryWeight": 10,
        "dns": {"zone": "example.com"},
        "cluster": {
            "name": "qa",
            "identity": "irsa",
            "oidcProviderArn": "arn:aws:iam::111122223333:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/0A1B",
            "monitoringNamespace": "monitoring",
            "containerInsights": True,
        },
        "registry": {"repositories": ["shop"], "readerAccounts": ["444455556666"]},
        "kmsKeyArn": arn("kms", "key/0a1b"),
        "secretReaders": ["arn:aws:iam::111122223333:role/external-secrets"],
    }
    first["network"] |= {"scheme": "internal", "podCidrs": ["10.0.0.0/8"]}
    first["loadBalancer"] |= {
        "testListenerPort": 8443,
        "testListenerCidrs": ["10.1.0.0/16", "10.2.0.0/16"],
        "idleTimeout": 60,
        "deletionProtection": False,
        "accessLogs": True,
        "waf": True,
        "rateLimit": 2000,
        "clientCidrs": ["10.0.0.0/8", "192.168.7.0/24"],
        "headersFromServices": ["content-security-policy", "x-frame-options"],
        "contentSecurityPolicy": "default-src 'self'",
        "corsOrigin": "https://www.example.com:8443",
    }
    first["alerts"] |= {
        "subscriptions": [{"protocol": "email", "endpoint": "ops@example.com"}],
        "owner": "team-shop",
        "runbooks": "https://example.com/runbooks",
        "uptimeTopicArns": ["arn:aws:sns:us-east-1:111122223333:central"],
    }
    first["dashboards"] = {"cloudwatch": True, "grafana": True}
    first["logs"] = {"retentionDays": 30}
    first["tracing"] = {"endpoint": "http://otel-collector.monitoring:4318"}
    first["releases"] = {
        "prometheus": "http://prometheus.monitoring:9090",
        "zone": "Europe/Berlin",
        "freeze": [{"days": ["fri"], "from": "15:00"}, {"dates": ["2026-12-19", "2027-01-06"]}],
        "evidence": ["tests", "scan", "migration", "rollback"],
    }
    first["prometheus"] = {"enabled": True, "labels": {"release": "kube-prometheus-stack"}}
    first["services"]["shop"] |= {
        "priorityBand": 7,
        "protocol": "http1",
        "activeColor": "blue",
        "canaryWeight": 0,
        "routes": [
            {"hosts": ["www.example.com"], "paths": ["/shop/*"], "methods": ["GET"], "slot": 3},
            {"paths": ["/shop/*"], "headers": {"x-tenant": ["acme"]}, "slot": 4},
        ],
        "flags": {"checkout": {"description": "Short", "owner": "team-shop", "expires": "2099-01-01"}},
        "strategy": {
            "kind": "blueGreen",
            "maxSurge": 1,
            "maxUnavailable": 0,
            "allowDowntime": False,
            "steps": [10, {"weight": 50, "bake": "30m", "approval": True}],
            "smoke": [{"path": "/items", "status": 200, "within": "500ms", "contains": "items"}],
            "gates": [{"name": "orders", "query": "sum(orders)", "below": 0.2}, {"name": "x", "command": ["true"]}],
            "compare": {"limit": 0.5},
            "patience": "10m",
        },
        "replicas": {"min": 2, "max": 4, "cpuTarget": 70, "memoryTarget": 80, "requestsPerSecond": 50},
        "resources": {"cpu": "250m", "memory": "256Mi"},
        "env": {"LOG_LEVEL": "INFO", "MAX_TOKENS": "5"},
        "notSecrets": ["MAX_TOKENS", "SORT_KEY"],
        "podTemplate": {
            "metadata": {"labels": {"team": "shop"}, "annotations": {"example.com/scan": "true"}},
            "spec": {
                "nodeSelector": {"pool": "web"},
                "containers": [
                    {
                        "name": "app",
                        "args": ["--verbose"],
                        "env": [{"name": "SORT_KEY", "value": "id"}],
                        "readinessProbe": {"periodSeconds": 3},
                    }
                ],
            },
            "allow": ["spec.containers[app].readinessProbe"],
        },
        "egress": [{"cidr": "10.2.0.0/16", "ports": [5432, 443]}, {"cidr": "0.0.0.0/0", "ports": [443]}],
        "policyArns": ["arn:aws:iam::111122223333:policy/shop"],
        "priorityClass": "high",
        "expectsTraffic": True,
        "timing": {
            "longestRequest": 30,
            "deregistrationDelay": 30,
            "preStop": 35,
            "gracePeriod": 75,
            "keepAlive": 75,
            "awaitTimeout": 600,
            "stickiness": 0,
            "bake": 300,
            "keepOld": 86_400,
        },
        "health": {
            "path": "/health/ready",
            "livenessPath": "/health/live",
            "startupPath": "/health/startup",
            "interval": 10,
            "timeout": 5,
            "healthyThreshold": 2,
            "unhealthyThreshold": 2,
        },
        "uptime": {"enabled": False, "contains": "ready"},
        "migration": {
            "command": ["/migrate", "-to", "{schema}", "-to", "{schema}"],
            "image": f"registry.example.com/shop-schema@sha256:{'b' * 64}",
        },
        "metrics": {"enabled": True, "path": "/metrics"},
        "workloads": {
            "mailer": {
                "command": ["/shop", "mail", "mail"],
                "runs": "active",
                "replicas": 2,
                "resources": {"cpu": "50m", "memory": "64Mi"},
                "gracePeriod": 60,
            },
            "report": {"command": ["/shop", "report", "report"], "schedule": "15 3 * * *"},
        },
        "alerts": {
            "errorPercent": 10,
            "p95Milliseconds": 2000,
            "p99Milliseconds": 5000,
            "minutes": 5,
            "severities": {"latency-p99": "critical", "traffic": "warning"},
        },
    }
    shop = first["services"]["shop"]
    del shop["colors"]["green"]["image"]
    shop["colors"]["green"] |= {
        "build": {"context": "app", "dockerfile": "Dockerfile", "args": {"BASE": "alpine"}, "platform": "linux/arm64"},
        "parked": True,
        "minReplicas": 6,
    }
    shop["secrets"]["app"] |= {
        "rotation": {"lambdaArn": arn("lambda", "function:rotate"), "days": 30},
        "replicaRegions": ["eu-central-1"],
    }
    shop["secrets"]["bank"] = {"keys": ["BANK_TOKEN"], "source": {"store": "vault", "path": "kv/shop/bank"}}
    for each in shop["colors"].values():
        each["secretVersions"]["bank"] = "3"
    shop["colors"]["blue"] |= {
        "env": {"LOG_LEVEL": "DEBUG"},
        "podTemplate": {
            "metadata": {"annotations": {"example.com/scan": "false"}},
            "spec": {"terminationGracePeriodSeconds": 90},
            "allow": ["spec.terminationGracePeriodSeconds"],
        },
    }
    second = stack()
    second["network"] = {"lookup": {"vpcTags": {"Name": "main"}, "subnetTags": {"tier": "private"}}}
    third = stack()
    third["network"] = {"stackReference": "organization/network/production"}
    third["services"]["cart"] = stack()["services"]["shop"] | {"host": "cart.example.com"}
    second["services"]["shop"]["experiment"] = experiment(header={"name": "x-cohort", "values": ["beta", "staff-*"]})
    envoy = f"registry.example.com/envoy@sha256:{'0a1b' * 16}"
    second["services"]["shop"]["shadow"] = {"percent": 0, "writes": True, "image": envoy}
    third["services"]["shop"]["experiment"] = experiment(cookie={"name": "cohort", "value": "b"})
    third["services"]["cart"]["experiment"] = experiment(percent=50, metric="orders_total")
    return [first, second, third]


def places(values: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the path of every key and item."""
    children = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    for key, value in children:
        yield (*path, key)
        yield from places(value, (*path, key))


MARKER = "obviously-fake"
"""Part of every value that no message may repeat."""
PRIVATE = {"env", "secrets", "secretVersions", "args"}
_ANYWHERE = [
    f"postgresql://shop:{MARKER}@db/shop",
    f"see https://u:{MARKER}@example.com " + "x" * 200,
    f"{{shop: {{env: {{PASSWORD: {MARKER}}}}}}}",
    f'["{MARKER}", ]',
    f'{{"env": "{MARKER}", "env": "{MARKER}"}}',
]
"""By its form a secret, or a whole that a shell has mangled."""
_NUMBERS = st.one_of(
    st.integers(-2, 110), st.integers(), st.sampled_from([443, 3600, 65536, 2**31, 10**30]), st.floats(allow_nan=True)
)
_WORDS = st.one_of(
    st.sampled_from(
        [*SURPRISES, "kube-system", "0.0.0.0/0", "10.0.0.1/8", "1.4.0+a-", "1e", "\0", "a\nb", "\ud800", "٣"]
    ),
    st.builds(str.__mul__, st.sampled_from(["a", "a.", "-", "1", "eyJ-", "a://", "é", "["]), st.just(10_000)),
    st.text(max_size=20),
)
_NAMES = st.one_of(_WORDS, st.sampled_from(["env", "secrets", "keys", "image", f"PASSWORD={MARKER}", f"A {MARKER}"]))


def _junk(private: bool) -> st.SearchStrategy[Any]:
    words = st.one_of(_WORDS, st.sampled_from(_ANYWHERE))
    leaves = st.one_of(st.none(), st.booleans(), _NUMBERS, words, *([st.just(MARKER)] if private else []))
    held = st.dictionaries(
        st.sampled_from(["env", "secrets", "args"]), st.dictionaries(_NAMES, st.just(MARKER), max_size=2)
    )
    return st.one_of(leaves, st.lists(leaves, max_size=3), st.dictionaries(_WORDS, leaves, max_size=2), held)


@st.composite
def stack_files(draw: st.DrawFn) -> dict[str, Any]:
    """Return stacks of which some places hold what they should not: gone, doubled, renamed, or of any other kind."""
    values: dict[str, Any] = draw(st.sampled_from(whole()))
    for _ in range(draw(st.integers(0, 3))):
        parents: list[Any]
        last: Any
        *parents, last = draw(st.sampled_from(list(places(values)) or [("services",)]))
        private = not PRIVATE.isdisjoint([*parents, last])
        parent: Any = values
        for part in parents:
            parent = parent[part]
        change: str = draw(st.sampled_from(["other", "other", "other", "gone", "twice", "named", "text"]))
        if change == "gone":
            del parent[last]
        elif change == "twice" and isinstance(parent, list):
            parent.append(copy.deepcopy(parent[int(last)]))
        elif change == "named" and isinstance(parent, dict):
            below = not PRIVATE.isdisjoint(parents)
            parent[draw(_NAMES) if below else draw(_WORDS)] = parent.pop(last)
        elif change == "text":
            # As a shell leaves JSON: without its quotes.
            parent[last] = re.sub(r'["]', draw(st.sampled_from(["", '"'])), json.dumps(parent[last]))
        else:
            parent[last] = draw(_junk(private))
    return values
