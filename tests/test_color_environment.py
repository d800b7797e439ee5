"""The objects of one color in the cluster."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from pulumi_kubernetes import core

from components.color_environment import ColorEnvironment
from components.model import Health, Replicas, Timing
from components.rules import RESERVED_VARIABLES
from tests import samples
from tests.engine import Engine, in_stack


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
    ColorEnvironment("shop-green", replace(samples.ENVIRONMENT, version="9.9.9"))
    match = {"app.kubernetes.io/name": "shop", "hueshift.dev/color": "green"}
    deployment = (await engine.inputs("shop-green-deployment"))["spec"]
    assert deployment["selector"] == {"matchLabels": match}
    assert (await engine.inputs("shop-green-service"))["spec"]["selector"] == match
    assert (await engine.inputs("shop-green-budget"))["spec"]["selector"] == {"matchLabels": match}
    assert match.items() <= deployment["template"]["metadata"]["labels"].items()


@in_stack
async def test_only_what_a_version_brings_is_labelled_with_it(engine: Engine) -> None:
    ColorEnvironment("shop-green", replace(samples.ENVIRONMENT, version="1.5.0+build.7"))
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
    ColorEnvironment("shop-green", replace(samples.ENVIRONMENT, migrations=[schema], routes=[route]))
    assert {
        "shop-green-service",
        "shop-green-binding",
        "shop-green-app",
        "shop-green-config",
        "shop-green-account",
        "shop-green-autoscaler",
        "schema",
        "route",
    } <= await waits(engine, "shop-green-deployment")
    assert {"route", "shop-green-service"} <= await waits(engine, "shop-green-binding")


@in_stack
async def test_the_binding_puts_pods_into_the_group_and_lets_the_load_balancer_in(engine: Engine) -> None:
    ColorEnvironment("shop-green", replace(samples.ENVIRONMENT, port=9000))
    binding = (await engine.inputs("shop-green-binding"))["spec"]
    assert binding["targetGroupARN"] == samples.ENVIRONMENT.target_group_arn
    assert binding["targetType"] == "ip"
    assert binding["serviceRef"] == {"name": "shop-green", "port": 9000}
    assert binding["networking"]["ingress"] == [
        {"from": [{"securityGroup": {"groupID": "sg-1"}}], "ports": [{"protocol": "TCP", "port": 9000}]}
    ]


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
    delivered = (await engine.inputs("shop-green-app"))["spec"]["target"]["name"]
    assert {"secretRef": {"name": delivered}} in (await container(engine))["envFrom"]
    template = (await engine.inputs("shop-green-deployment"))["spec"]["template"]
    assert template["metadata"]["annotations"]["hueshift.dev/secret-app"] == samples.VERSION_ID


@in_stack
async def test_the_pod_knows_who_it_is_and_what_times_it_has(engine: Engine) -> None:
    ColorEnvironment("shop-green", replace(samples.ENVIRONMENT, timing=Timing(keep_alive=90, longest_request=20)))
    env = {item["name"]: item["value"] for item in (await container(engine))["env"]}
    assert env == {
        "PORT": "8080",
        "APP_VERSION": "1.5.0",
        "APP_COLOR": "green",
        "KEEP_ALIVE_SECONDS": "90",
        "SHUTDOWN_SECONDS": "20",
    }
    assert env.keys() == RESERVED_VARIABLES


@in_stack
async def test_the_autoscaler_alone_says_how_many(engine: Engine) -> None:
    ColorEnvironment("shop-green", replace(samples.ENVIRONMENT, replicas=Replicas(min=3, max=9, cpu_target=55)))
    scaler = (await engine.inputs("shop-green-autoscaler"))["spec"]
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (3, 9)
    assert scaler["metrics"][0]["resource"]["target"] == {"type": "Utilization", "averageUtilization": 55}
    assert scaler["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop-green"}
    assert "replicas" not in (await engine.inputs("shop-green-deployment"))["spec"]


@in_stack
async def test_a_parked_color_has_no_pods_no_autoscaler_and_no_secrets(engine: Engine) -> None:
    ColorEnvironment("shop-green", replace(samples.ENVIRONMENT, parked=True))
    assert (await engine.inputs("shop-green-deployment"))["spec"]["replicas"] == 0
    kinds = {r.type.split(":")[-1] for r in engine.registrations.values()}
    assert not kinds & {"HorizontalPodAutoscaler", "ExternalSecret"}
    assert kinds >= {"Service", "TargetGroupBinding", "ConfigMap", "PodDisruptionBudget"}


@in_stack
async def test_drains_of_nodes_are_never_blocked(engine: Engine) -> None:
    ColorEnvironment("shop-green", samples.ENVIRONMENT)
    budget = (await engine.inputs("shop-green-budget"))["spec"]
    assert (budget["maxUnavailable"], budget["unhealthyPodEvictionPolicy"]) == (1, "AlwaysAllow")
    assert "minAvailable" not in budget


@in_stack
async def test_a_pod_that_leaves_serves_on_and_is_not_killed_early(engine: Engine) -> None:
    ColorEnvironment("shop-green", replace(samples.ENVIRONMENT, timing=Timing(pre_stop=41, grace_period=99)))
    assert (await container(engine))["lifecycle"]["preStop"] == {"sleep": {"seconds": 41}}
    assert (await pod(engine))["terminationGracePeriodSeconds"] == 99


@in_stack
async def test_each_probe_has_its_own_path_and_liveness_is_the_more_patient(engine: Engine) -> None:
    health = Health(path="/r", liveness_path="/l", startup_path="/s", interval=7, timeout=3, unhealthy_threshold=4)
    ColorEnvironment("shop-green", replace(samples.ENVIRONMENT, health=health))
    app = await container(engine)
    readiness, liveness, startup = app["readinessProbe"], app["livenessProbe"], app["startupProbe"]
    assert [probe["httpGet"]["path"] for probe in (readiness, liveness, startup)] == ["/r", "/l", "/s"]
    assert (readiness["periodSeconds"], readiness["timeoutSeconds"], readiness["failureThreshold"]) == (7, 3, 4)
    assert (
        liveness["periodSeconds"] * liveness["failureThreshold"]
        > readiness["periodSeconds"] * readiness["failureThreshold"]
    )


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
async def test_an_update_goes_pod_by_pod_and_leaves_versions_to_go_back_to(engine: Engine) -> None:
    ColorEnvironment("shop-green", samples.ENVIRONMENT)
    spec = (await engine.inputs("shop-green-deployment"))["spec"]
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    assert spec["revisionHistoryLimit"] == 5


@in_stack
async def test_the_cluster_gives_up_before_pulumi_does(engine: Engine) -> None:
    ColorEnvironment("shop-green", replace(samples.ENVIRONMENT, timing=Timing(await_timeout=300)))
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
async def test_pods_are_scraped(engine: Engine) -> None:
    ColorEnvironment("shop-green", replace(samples.ENVIRONMENT, port=9000))
    annotations = (await engine.inputs("shop-green-deployment"))["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/scrape"] == "true"
    assert annotations["prometheus.io/port"] == "9000"
    assert annotations["prometheus.io/path"] == "/metrics"


@in_stack
@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ("staging", "staging"),
        ("eu-staging", "staging"),
        ("production", "production"),
        ("prod-eu", "production"),
        ("sandbox", "development"),
    ],
)
async def test_the_service_is_told_one_of_three_environments(engine: Engine, environment: str, expected: str) -> None:
    ColorEnvironment("shop-green", replace(samples.ENVIRONMENT, environment=environment))
    assert (await engine.inputs("shop-green-config"))["data"]["APP_ENV"] == expected
