"""The objects of one color in the cluster."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from pulumi_kubernetes import core, networking

from components.model import Color, Given
from components.rules import NOT_SECRETS
from components.service.color_environment import ColorEnvironment
from components.service.identity import WorkloadIdentity
from components.service.workload import network_policy
from components.spec import (
    Egress,
    Flag,
    Health,
    PodTemplate,
    Protocol,
    Replicas,
    Strategy,
    StrategyKind,
    Timing,
    Tracing,
)
from tests.support import samples
from tests.support.app_service import config
from tests.support.engine import UNKNOWN, Engine, in_stack


async def pod(engine: Engine) -> Mapping[str, Any]:
    spec: Mapping[str, Any] = (await engine.inputs("shop-green-deployment"))["spec"]["template"]["spec"]
    return spec


async def container(engine: Engine) -> Mapping[str, Any]:
    (only,) = (await pod(engine))["containers"]
    found: Mapping[str, Any] = only
    return found


async def waits(engine: Engine, name: str) -> set[str]:
    return {urn.split("::")[-1] for urn in engine.ancestry((await engine.resource(name)).urn)}


@in_stack
async def test_the_selector_never_changes_with_a_version(engine: Engine) -> None:
    ColorEnvironment("shop-green", samples.change(samples.ENVIRONMENT, version="9.9.9"))
    match = {"app.kubernetes.io/name": "shop", "hueshift.dev/color": "green"}
    deployment = (await engine.inputs("shop-green-deployment"))["spec"]
    assert deployment["selector"] == {"matchLabels": match}
    assert (await engine.inputs("shop-green-service"))["spec"]["selector"] == match
    assert (await engine.inputs("shop-green-budget"))["spec"]["selector"] == {"matchLabels": match}
    assert match.items() <= deployment["template"]["metadata"]["labels"].items()


@in_stack
async def test_only_what_a_version_brings_is_labelled_with_it(engine: Engine) -> None:
    ColorEnvironment("shop-green", samples.change(samples.ENVIRONMENT, version="1.5.0+build.7"))
    await engine.settle()
    versions = {
        r.name: label
        for r in engine.registrations.values()
        if r.custom and (label := r.inputs["metadata"]["labels"].get("app.kubernetes.io/version"))
    }
    assert versions == {"shop-green-deployment": "1.5.0_build.7"}
    pods = (await engine.inputs("shop-green-deployment"))["spec"]["template"]["metadata"]["labels"]
    assert pods["app.kubernetes.io/version"] == "1.5.0_build.7"


@in_stack
async def test_pods_come_after_all_that_gives_them_gate_secrets_and_schema(engine: Engine) -> None:
    schema, route = core.v1.ConfigMap("schema"), core.v1.ConfigMap("route")
    entrance = replace(samples.ENVIRONMENT.entrance, routes=[route])
    ColorEnvironment("shop-green", samples.change(samples.ENVIRONMENT, migrations=[schema], entrance=entrance))
    assert {
        "shop-green-service",
        "shop-green-binding",
        *[external.name for external in await engine.of_type("ExternalSecret")],
        "shop-green-config",
        "shop-green-account",
        "shop-green-autoscaler",
        "shop-green-network",
        "schema",
        "route",
    } <= await waits(engine, "shop-green-deployment")
    assert {"route", "shop-green-service"} <= await waits(engine, "shop-green-binding")


@in_stack
async def test_the_binding_puts_pods_into_the_group_and_lets_the_load_balancer_in(engine: Engine) -> None:
    ColorEnvironment("shop-green", samples.ENVIRONMENT)
    binding = (await engine.inputs("shop-green-binding"))["spec"]
    assert binding["targetGroupARN"] == samples.ENVIRONMENT.entrance.target_group_arn
    assert binding["targetType"] == "ip"
    (port,) = (await engine.inputs("shop-green-service"))["spec"]["ports"]
    assert binding["serviceRef"] == {"name": "shop-green", "port": port["name"]}
    assert binding["networking"]["ingress"] == [
        {"from": [{"securityGroup": {"groupID": "sg-1"}}], "ports": [{"protocol": "TCP"}]}
    ]


@in_stack
async def test_old_and_new_pods_are_found_where_each_listens(engine: Engine) -> None:
    ColorEnvironment("shop-green", samples.change(samples.ENVIRONMENT, port=9000))
    (listens,) = (await container(engine))["ports"]
    assert listens == {"name": "http", "containerPort": 9000, "protocol": "TCP"}
    (served,) = (await engine.inputs("shop-green-service"))["spec"]["ports"]
    assert served == {"name": "http", "port": 9000, "targetPort": "http", "protocol": "TCP"}


@in_stack
async def test_pods_run_where_the_load_balancer_is_and_nowhere_else(engine: Engine) -> None:
    ColorEnvironment("shop-green", samples.change(samples.ENVIRONMENT, zones=["eu-west-1b", "eu-west-1c"]))
    spec = (await engine.inputs("shop-green-deployment"))["spec"]["template"]["spec"]
    required = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    (term,) = required["nodeSelectorTerms"]
    assert term == {
        "matchExpressions": [
            {"key": "topology.kubernetes.io/zone", "operator": "In", "values": ["eu-west-1b", "eu-west-1c"]}
        ]
    }


@in_stack
async def test_a_binding_to_another_group_is_another_binding(engine: Engine) -> None:
    ColorEnvironment("shop-green", samples.ENVIRONMENT)
    request = (await engine.resource("shop-green-binding")).request
    assert "spec.targetGroupARN" in request.replaceOnChanges
    assert request.deleteBeforeReplace, "its name is fixed and can be taken only once"


@in_stack
async def test_a_service_is_not_waited_for(engine: Engine) -> None:
    ColorEnvironment("shop-green", samples.ENVIRONMENT)
    service = await engine.inputs("shop-green-service")
    assert service["metadata"]["annotations"] == {"pulumi.com/skipAwait": "true"}
    assert service["spec"]["type"] == "ClusterIP"


@in_stack
async def test_the_pods_are_told_where_traces_go_unless_the_service_says_otherwise(engine: Engine) -> None:
    collector, other = "http://otel-collector.monitoring:4318", "http://other:4318"
    args = samples.change(samples.ENVIRONMENT, tracing=Tracing(endpoint=collector))
    ColorEnvironment("shop-green", args)
    ColorEnvironment("web-green", samples.change(args, env={"OTEL_EXPORTER_OTLP_ENDPOINT": other}))
    told = [(await engine.inputs(f"{name}-config"))["data"] for name in ("shop-green", "web-green")]
    assert [data["OTEL_EXPORTER_OTLP_ENDPOINT"] for data in told] == [collector, other]
    read = config(OTEL_EXPORTER_OTLP_ENDPOINT=told[0]["OTEL_EXPORTER_OTLP_ENDPOINT"])
    assert read.traces_endpoint == collector


@in_stack
async def test_pods_are_told_where_their_flags_are_if_there_are_any(engine: Engine) -> None:
    flag = Flag(description="Short checkout", owner="team-checkout", expires="2027-06-01")
    ColorEnvironment("shop-green", samples.change(samples.ENVIRONMENT, flags={"checkout": flag}))
    ColorEnvironment("web-green", samples.ENVIRONMENT)
    with_flags, without = [(await engine.inputs(f"{name}-config"))["data"] for name in ("shop-green", "web-green")]
    assert config(FEATURE_FLAGS=with_flags["FEATURE_FLAGS"]).flags == "staging-flags/shop/shop"
    assert "FEATURE_FLAGS" not in without


@in_stack
async def test_configuration_is_immutable_and_named_by_pulumi_so_that_pods_roll(engine: Engine) -> None:
    ColorEnvironment("shop-green", samples.ENVIRONMENT)
    config = await engine.inputs("shop-green-config")
    assert config["immutable"] is True
    assert "name" not in config["metadata"]
    assert config["data"] == {"APP_ENV": "staging", "LOG_LEVEL": "INFO"}
    sources = (await container(engine))["envFrom"]
    assert {"configMapRef": {"name": "shop-green-config-x7k2"}} in sources


@in_stack
async def test_secrets_reach_the_pods_by_reference_and_their_version_is_told(engine: Engine) -> None:
    ColorEnvironment("shop-green", samples.ENVIRONMENT)
    (external,) = await engine.of_type("ExternalSecret")
    delivered = external.inputs["spec"]["target"]["name"]
    assert {"secretRef": {"name": delivered}} in (await container(engine))["envFrom"]
    template = (await engine.inputs("shop-green-deployment"))["spec"]["template"]
    assert template["metadata"]["annotations"]["hueshift.dev/secret-app"] == samples.VERSION_ID


@in_stack
async def test_the_pod_knows_who_it_is_and_what_times_it_has(engine: Engine) -> None:
    ColorEnvironment(
        "shop-green", samples.change(samples.ENVIRONMENT, timing=Timing(keep_alive=90, longest_request=20))
    )
    env = {item["name"]: item["value"] for item in (await container(engine))["env"]}
    assert env == {
        "PORT": "8080",
        "APP_VERSION": "1.5.0",
        "APP_COLOR": "green",
        "KEEP_ALIVE_SECONDS": "90",
        "SHUTDOWN_SECONDS": "20",
    }
    assert env.keys() <= set(Given)


@in_stack
async def test_what_only_looks_like_a_secret_is_said_where_it_is(engine: Engine) -> None:
    args = samples.change(
        samples.ENVIRONMENT, env={"MAX_TOKENS": "5", "SORT_KEY": "id"}, not_secrets=["MAX_TOKENS", "SORT_KEY"]
    )
    ColorEnvironment("shop-green", args)
    ColorEnvironment("web-green", samples.ENVIRONMENT)
    said = (await engine.inputs("shop-green-config"))["metadata"]["annotations"]
    assert said == {NOT_SECRETS: "MAX_TOKENS SORT_KEY"}
    assert "annotations" not in (await engine.inputs("web-green-config"))["metadata"]


@in_stack
@pytest.mark.parametrize(("floor", "bounds"), [(2, (3, 9)), (6, (6, 9)), (12, (12, 12))])
async def test_a_color_never_has_fewer_pods_than_a_release_asks_for(
    engine: Engine, floor: int, bounds: tuple[int, int]
) -> None:
    replicas = Replicas(min=3, max=9)
    ColorEnvironment("shop-green", samples.change(samples.ENVIRONMENT, replicas=replicas, min_replicas=floor))
    scaler = (await engine.inputs("shop-green-autoscaler"))["spec"]
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == bounds


@in_stack
async def test_the_autoscaler_alone_says_how_many(engine: Engine) -> None:
    ColorEnvironment("shop-green", samples.change(samples.ENVIRONMENT, replicas=Replicas(min=3, max=9, cpu_target=55)))
    scaler = (await engine.inputs("shop-green-autoscaler"))["spec"]
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (3, 9)
    assert scaler["metrics"][0]["resource"]["target"] == {"type": "Utilization", "averageUtilization": 55}
    assert scaler["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop-green"}
    assert "replicas" not in (await engine.inputs("shop-green-deployment"))["spec"]


@in_stack
async def test_more_pods_come_for_cpu_alone_unless_memory_and_requests_are_stated(engine: Engine) -> None:
    ColorEnvironment("shop-green", samples.ENVIRONMENT)
    asked = Replicas(memory_target=80, requests_per_second=50)
    ColorEnvironment("shop-blue", samples.change(samples.ENVIRONMENT, color=Color.BLUE, replicas=asked))
    (cpu,) = (await engine.inputs("shop-green-autoscaler"))["spec"]["metrics"]
    assert cpu["resource"]["name"] == "cpu"
    metrics = (await engine.inputs("shop-blue-autoscaler"))["spec"]["metrics"]
    assert metrics == [
        cpu,
        {
            "type": "Resource",
            "resource": {"name": "memory", "target": {"type": "Utilization", "averageUtilization": 80}},
        },
        {
            "type": "Pods",
            "pods": {
                "metric": {"name": "http_requests_per_second"},
                "target": {"type": "AverageValue", "averageValue": "50"},
            },
        },
    ]


@in_stack
@pytest.mark.parametrize(
    ("timing", "window"),
    [
        (Timing(bake=900), 960),
        (Timing(bake=60), 300),
        (Timing(bake=86_400), 3600),
    ],
)
async def test_a_color_that_loses_its_load_keeps_its_pods_while_it_may_be_wanted_back(
    engine: Engine, timing: Timing, window: int
) -> None:
    ColorEnvironment("shop-green", samples.change(samples.ENVIRONMENT, timing=timing))
    behavior = (await engine.inputs("shop-green-autoscaler"))["spec"]["behavior"]
    assert behavior == {"scaleDown": {"stabilizationWindowSeconds": window}}


@in_stack
async def test_a_parked_color_takes_its_number_of_pods_from_the_autoscaler_and_a_running_one_leaves_it_alone(
    engine: Engine,
) -> None:
    ColorEnvironment("shop-green", samples.change(samples.ENVIRONMENT, parked=True))
    ColorEnvironment("shop-blue", samples.change(samples.ENVIRONMENT, color=Color.BLUE))
    parked = (await engine.inputs("shop-green-deployment"))["metadata"]
    running = (await engine.inputs("shop-blue-deployment"))["metadata"]
    assert parked["annotations"] == {"pulumi.com/patchForce": "true"}
    assert "annotations" not in running


@in_stack
async def test_a_parked_color_has_no_pods_no_autoscaler_and_no_secrets(engine: Engine) -> None:
    ColorEnvironment("shop-green", samples.change(samples.ENVIRONMENT, parked=True))
    assert (await engine.inputs("shop-green-deployment"))["spec"]["replicas"] == 0
    kinds = {r.type.split(":")[-1] for r in engine.registrations.values()}
    assert not kinds & {"HorizontalPodAutoscaler", "ExternalSecret"}
    assert kinds >= {"Service", "TargetGroupBinding", "ConfigMap", "PodDisruptionBudget", "NetworkPolicy"}


@in_stack
async def test_drains_of_nodes_are_never_blocked(engine: Engine) -> None:
    ColorEnvironment("shop-green", samples.ENVIRONMENT)
    budget = (await engine.inputs("shop-green-budget"))["spec"]
    assert (budget["maxUnavailable"], budget["unhealthyPodEvictionPolicy"]) == (1, "AlwaysAllow")
    assert "minAvailable" not in budget


@in_stack
async def test_a_pod_that_leaves_serves_on_and_is_not_killed_early(engine: Engine) -> None:
    ColorEnvironment("shop-green", samples.change(samples.ENVIRONMENT, timing=Timing(pre_stop=41, grace_period=99)))
    assert (await container(engine))["lifecycle"]["preStop"] == {"sleep": {"seconds": 41}}
    assert (await pod(engine))["terminationGracePeriodSeconds"] == 99


@in_stack
async def test_each_probe_has_its_own_path_and_liveness_is_the_more_patient(engine: Engine) -> None:
    health = Health(path="/r", liveness_path="/l", startup_path="/s", interval=7, timeout=3, unhealthy_threshold=4)
    ColorEnvironment("shop-green", samples.change(samples.ENVIRONMENT, health=health))
    app = await container(engine)
    readiness, liveness, startup = app["readinessProbe"], app["livenessProbe"], app["startupProbe"]
    assert [probe["httpGet"]["path"] for probe in (readiness, liveness, startup)] == ["/r", "/l", "/s"]
    assert (readiness["periodSeconds"], readiness["timeoutSeconds"], readiness["failureThreshold"]) == (7, 3, 4)
    assert (
        liveness["periodSeconds"] * liveness["failureThreshold"]
        > readiness["periodSeconds"] * readiness["failureThreshold"]
    )


@in_stack
async def test_pods_that_speak_grpc_are_asked_by_its_health_service_and_not_restarted_by_it(engine: Engine) -> None:
    ColorEnvironment("shop-green", samples.change(samples.ENVIRONMENT, protocol=Protocol.GRPC, port=9000))
    app = await container(engine)
    for probe in ("readinessProbe", "startupProbe"):
        assert app[probe]["grpc"] == {"port": 9000, "service": ""}
        assert "httpGet" not in app[probe]
    assert app["livenessProbe"]["tcpSocket"] == {"port": "http"}


@in_stack
async def test_pods_meet_the_restricted_standard(engine: Engine) -> None:
    ColorEnvironment("shop-green", samples.ENVIRONMENT)
    spec, app = await pod(engine), await container(engine)
    assert spec["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert app["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    assert spec["volumes"] == [{"name": "tmp", "emptyDir": {}}]
    assert app["volumeMounts"] == [{"name": "tmp", "mountPath": "/tmp"}]
    assert spec["automountServiceAccountToken"] is False
    assert (await engine.inputs("shop-green-account"))["automountServiceAccountToken"] is False


@in_stack
async def test_memory_is_limited_to_what_is_requested_and_cpu_is_not_limited(engine: Engine) -> None:
    ColorEnvironment("shop-green", samples.ENVIRONMENT)
    assert (await container(engine))["resources"] == {
        "requests": {"cpu": "100m", "memory": "128Mi"},
        "limits": {"memory": "128Mi"},
    }


@in_stack
async def test_a_color_of_two_starts_all_new_pods_before_it_ends_any_and_leaves_versions_to_go_back_to(
    engine: Engine,
) -> None:
    loose = Strategy(max_surge=3, max_unavailable=2)
    ColorEnvironment("shop-green", samples.change(samples.ENVIRONMENT, strategy=loose))
    spec = (await engine.inputs("shop-green-deployment"))["spec"]
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "100%", "maxUnavailable": 0}}
    assert spec["revisionHistoryLimit"] == 5


@in_stack
async def test_a_rolling_service_has_the_surge_and_the_gap_it_states(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    rolling = Strategy(kind=StrategyKind.ROLLING, max_surge=2, max_unavailable=1)
    ColorEnvironment("shop-green", samples.change(samples.ENVIRONMENT, strategy=rolling))
    spec = (await engine.inputs("shop-green-deployment"))["spec"]
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 2, "maxUnavailable": 1}}
    assert not caplog.messages


RECREATE = samples.change(samples.ENVIRONMENT, strategy=Strategy(kind=StrategyKind.RECREATE))


@in_stack
async def test_recreate_stops_all_pods_first_and_says_what_that_costs(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    ColorEnvironment("shop-green", samples.change(RECREATE, timing=Timing(pre_stop=41, grace_period=99)))
    assert (await engine.inputs("shop-green-deployment"))["spec"]["strategy"] == {"type": "Recreate"}
    (warning,) = caplog.messages
    for part in ("every update of shop stops all its pods", "503", "41 to 99 s", "Set strategy.kind to blueGreen"):
        assert part in warning


@in_stack
async def test_a_preview_says_the_downtime_too(preview: Engine, caplog: pytest.LogCaptureFixture) -> None:
    ColorEnvironment("shop-green", RECREATE)
    await preview.settle()
    (warning,) = caplog.messages
    assert "Users get 503" in warning


@in_stack
async def test_a_parked_color_has_no_downtime_to_tell_of(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    ColorEnvironment("shop-green", samples.change(RECREATE, parked=True))
    await engine.settle()
    assert not caplog.messages


DNS = {
    "to": [
        {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
            "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
        },
        {"ipBlock": {"cidr": "169.254.20.10/32"}},
    ],
    "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}],
}


@in_stack
async def test_only_the_load_balancer_and_the_monitoring_reach_a_pod_and_only_on_its_port(engine: Engine) -> None:
    subnets = ["10.2.0.0/24", "10.2.1.0/24"]
    args = samples.change(samples.ENVIRONMENT, subnet_cidrs=subnets, monitoring_namespace="observability")
    ColorEnvironment("shop-green", args)
    policy = (await engine.inputs("shop-green-network"))["spec"]
    assert policy["podSelector"] == {
        "matchLabels": {"app.kubernetes.io/name": "shop", "hueshift.dev/color": "green"},
    }
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert policy["ingress"] == [
        {
            "from": [
                {"ipBlock": {"cidr": "10.2.0.0/24"}},
                {"ipBlock": {"cidr": "10.2.1.0/24"}},
                {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "observability"}}},
            ],
            "ports": [{"protocol": "TCP", "port": "http"}],
        }
    ]


@in_stack
async def test_a_pod_calls_dns_and_what_is_listed_and_nothing_else(engine: Engine) -> None:
    ColorEnvironment("shop-green", samples.change(samples.ENVIRONMENT, egress=[]))
    listed = [Egress(cidr="10.3.0.0/16", ports=[5432, 6379])]
    ColorEnvironment("shop-blue", samples.change(samples.ENVIRONMENT, color=Color.BLUE, egress=listed))
    assert (await engine.inputs("shop-green-network"))["spec"]["egress"] == [DNS]
    assert (await engine.inputs("shop-blue-network"))["spec"]["egress"] == [
        DNS,
        {
            "to": [{"ipBlock": {"cidr": "10.3.0.0/16"}}],
            "ports": [{"protocol": "TCP", "port": 5432}, {"protocol": "TCP", "port": 6379}],
        },
    ]


@in_stack
async def test_pods_that_nobody_may_call_are_closed_and_not_open_to_all(engine: Engine) -> None:
    networking.v1.NetworkPolicy("other", spec=network_policy({}, egress=[]))
    networking.v1.NetworkPolicy("unheard", spec=network_policy({}, egress=[], port="http"))
    for name in ("other", "unheard"):
        spec = (await engine.inputs(name))["spec"]
        assert spec == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "egress": [DNS]}


@in_stack
async def test_pods_wait_for_their_identity_and_reach_its_agent(engine: Engine) -> None:
    identity = WorkloadIdentity("shop-identity", samples.POD_IDENTITY)
    ColorEnvironment("shop-green", samples.change(samples.ENVIRONMENT, identity=identity))
    assert "shop-identity-green" in await waits(engine, "shop-green-deployment")
    agent = {"to": [{"ipBlock": {"cidr": "169.254.170.23/32"}}], "ports": [{"protocol": "TCP", "port": 80}]}
    assert agent in (await engine.inputs("shop-green-network"))["spec"]["egress"]
    assert "annotations" not in (await engine.inputs("shop-green-account"))["metadata"]


@in_stack
async def test_pods_are_made_anew_when_they_get_or_lose_an_identity_or_another_kind_of_it(engine: Engine) -> None:
    templates = []
    for name, args in (("a", None), ("b", samples.POD_IDENTITY), ("c", samples.IRSA)):
        identity = WorkloadIdentity(f"{name}-identity", args) if args else None
        ColorEnvironment(f"{name}-green", samples.change(samples.ENVIRONMENT, identity=identity))
        template = (await engine.inputs(f"{name}-green-deployment"))["spec"]["template"]["metadata"]
        templates.append(template["annotations"].get("hueshift.dev/identity"))
    assert templates == [None, "pod-identity", "irsa"]


@in_stack
async def test_with_irsa_the_account_names_the_role_and_no_agent_is_called(engine: Engine) -> None:
    identity = WorkloadIdentity("shop-identity", samples.IRSA)
    ColorEnvironment("shop-green", samples.change(samples.ENVIRONMENT, identity=identity))
    annotations = (await engine.inputs("shop-green-account"))["metadata"]["annotations"]
    assert annotations == {"eks.amazonaws.com/role-arn": (await engine.resource("shop-identity-role")).computed["arn"]}
    assert "shop-identity-orders-cb4d5b" in await waits(engine, "shop-green-deployment")
    assert (await engine.inputs("shop-green-network"))["spec"]["egress"] == [DNS]


@in_stack
async def test_a_priority_class_is_named_only_if_stated(engine: Engine) -> None:
    ColorEnvironment("shop-green", samples.change(samples.ENVIRONMENT, priority_class="serving"))
    ColorEnvironment("shop-blue", samples.change(samples.ENVIRONMENT, color=Color.BLUE))
    assert (await pod(engine))["priorityClassName"] == "serving"
    blue = (await engine.inputs("shop-blue-deployment"))["spec"]["template"]["spec"]
    assert "priorityClassName" not in blue


@in_stack
async def test_a_preview_shows_everything_but_what_only_an_update_can_know(preview: Engine) -> None:
    identity = WorkloadIdentity("shop-identity", samples.IRSA)
    ColorEnvironment("shop-green", samples.change(samples.ENVIRONMENT, identity=identity, subnet_cidrs=["10.2.0.0/24"]))
    await preview.settle()
    unknown = {r.name for r in preview.registrations.values() if UNKNOWN in str(r.inputs)}
    assert unknown == {"shop-green-account"}, "the ARN of a role that is yet to be made"


@in_stack
async def test_the_cluster_gives_up_before_pulumi_does(engine: Engine) -> None:
    ColorEnvironment("shop-green", samples.change(samples.ENVIRONMENT, timing=Timing(await_timeout=300)))
    deployment = await engine.resource("shop-green-deployment")
    assert deployment.inputs["spec"]["progressDeadlineSeconds"] < 300
    assert deployment.request.customTimeouts.create == deployment.request.customTimeouts.update == "300s"


@in_stack
async def test_pods_of_one_version_spread_over_zones_and_nodes(engine: Engine) -> None:
    ColorEnvironment("shop-green", samples.ENVIRONMENT)
    constraints = (await pod(engine))["topologySpreadConstraints"]
    assert {item["topologyKey"] for item in constraints} == {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}
    assert all(item["matchLabelKeys"] == ["pod-template-hash"] for item in constraints)


@in_stack
async def test_pods_without_secrets_have_no_annotations_since_a_refresh_would_report_none(engine: Engine) -> None:
    ColorEnvironment("shop-green", samples.change(samples.ENVIRONMENT, secrets=[]))
    assert "annotations" not in (await engine.inputs("shop-green-deployment"))["spec"]["template"]["metadata"]


@in_stack
@pytest.mark.parametrize(
    ("environment", "production", "expected"),
    [
        ("staging", False, "staging"),
        ("eu-staging", False, "staging"),
        ("production", True, "production"),
        ("live", True, "production"),
        ("sandbox", False, "development"),
    ],
)
async def test_the_service_is_told_one_of_three_environments(
    engine: Engine, environment: str, production: bool, expected: str
) -> None:
    args = samples.change(samples.ENVIRONMENT, environment=environment, production=production)
    ColorEnvironment("shop-green", args)
    assert (await engine.inputs("shop-green-config"))["data"]["APP_ENV"] == expected


CACHE = {
    "volumes": [{"name": "cache", "emptyDir": {}}],
    "containers": [{"name": "app", "volumeMounts": [{"name": "cache", "mountPath": "/var/cache"}]}],
}
PROXY = {"name": "proxy", "image": "registry.example.com/proxy:1.0.0"}


@in_stack
async def test_what_a_service_says_is_laid_over_its_pods_and_what_a_color_says_over_both(engine: Engine) -> None:
    spec = samples.SERVICE
    green = replace(
        spec.colors[Color.GREEN],
        env={"LOG_LEVEL": "DEBUG"},
        pod_template=PodTemplate(
            metadata={"annotations": {"example.com/scan": "deep"}}, spec={"nodeSelector": {"pool": "new"}}
        ),
    )
    spec = replace(
        spec,
        colors={**spec.colors, Color.GREEN: green},
        pod_template=PodTemplate(
            metadata={"annotations": {"example.com/scan": "true"}, "labels": {"team": "shop"}},
            spec={"nodeSelector": {"pool": "web", "arch": "arm64"}, **CACHE},
        ),
    )
    ColorEnvironment("shop-green", replace(samples.ENVIRONMENT, spec=spec))
    template = (await engine.inputs("shop-green-deployment"))["spec"]["template"]
    assert template["metadata"]["annotations"]["example.com/scan"] == "deep"
    assert template["metadata"]["annotations"]["hueshift.dev/secret-app"] == samples.VERSION_ID
    assert template["metadata"]["labels"].items() >= {"team": "shop", "hueshift.dev/color": "green"}.items()
    assert template["spec"]["nodeSelector"] == {"pool": "new", "arch": "arm64"}
    assert [volume["name"] for volume in template["spec"]["volumes"]] == ["tmp", "cache"]
    assert [mount["mountPath"] for mount in (await container(engine))["volumeMounts"]] == ["/tmp", "/var/cache"]
    assert (await engine.inputs("shop-green-config"))["data"]["LOG_LEVEL"] == "DEBUG"


@in_stack
async def test_a_sidecar_is_as_restricted_as_the_service_and_serves_on_as_long(engine: Engine) -> None:
    beside = PodTemplate(spec={"containers": [PROXY], "initContainers": [{**PROXY, "name": "agent"}]})
    ColorEnvironment("shop-green", samples.change(samples.ENVIRONMENT, pod_template=beside))
    spec = await pod(engine)
    ours, proxy = spec["containers"]
    (agent,) = spec["initContainers"]
    assert proxy == {**PROXY, "securityContext": ours["securityContext"], "lifecycle": ours["lifecycle"]}
    assert agent == {**PROXY, "name": "agent", "securityContext": ours["securityContext"]}


@in_stack
async def test_a_variable_of_a_template_that_only_looks_like_a_secret_is_said_on_the_deployment(engine: Engine) -> None:
    sidecar = PodTemplate(spec={"containers": [{**PROXY, "env": [{"name": "SORT_KEY", "value": "id"}]}]})
    args = samples.change(samples.ENVIRONMENT, pod_template=sidecar, not_secrets=["MAX_TOKENS", "SORT_KEY"])
    ColorEnvironment("shop-green", args)
    assert (await engine.inputs("shop-green-deployment"))["metadata"]["annotations"] == {NOT_SECRETS: "SORT_KEY"}
