"""What is laid over the pods of a service: the merge, and what it may say."""

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.rules import merged, template_problems
from components.rules.pod_merge import MERGE_KEYS
from components.rules.pod_template import _NEVER, ALLOWABLE, _fields

OURS: dict[str, Any] = {
    "metadata": {"labels": {"app.kubernetes.io/name": "shop"}, "annotations": {"hueshift.dev/secret-app": "1"}},
    "spec": {
        "serviceAccountName": "shop-green",
        "terminationGracePeriodSeconds": 75,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "affinity": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [
                        {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a", "b"]}]},
                    ]
                }
            }
        },
        "topologySpreadConstraints": [{"topologyKey": "zone", "maxSkew": 1, "whenUnsatisfiable": "ScheduleAnyway"}],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
        "containers": [
            {
                "name": "app",
                "image": "shop@sha256:0",
                "ports": [{"name": "http", "containerPort": 8080}],
                "env": [{"name": "PORT", "value": "8080"}],
                "envFrom": [{"configMapRef": {"name": "shop-config"}}],
                "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
                "readinessProbe": {"httpGet": {"path": "/health/ready", "port": "http"}},
            }
        ],
    },
}
NAMES = {
    "mountPath": st.sampled_from(["/tmp", "/var/cache"]),
    "containerPort": st.sampled_from([8080, 9090]),
    "topologyKey": st.sampled_from(["zone", "host"]),
}


def values(type_: str, field: str = "", depth: int = 7) -> st.SearchStrategy[Any]:
    """Return values of a field of a pod, as its type says; names come from few, so that they meet those of OURS."""
    if type_.endswith("{}"):
        return st.dictionaries(st.sampled_from(["a", "b", "app.kubernetes.io/name"]), st.just("x"), max_size=2)
    if type_.endswith("[]"):
        key = MERGE_KEYS.get(field)
        items = st.lists(values(type_.removesuffix("[]"), field, depth - 1), max_size=2)
        return items.filter(lambda found: key is None or len({item[key] for item in found}) == len(found))
    if type_ not in _fields():
        return {"integer": st.integers(0, 3), "boolean": st.booleans()}.get(
            type_.split("|")[0], st.sampled_from(["app", "tmp", "PORT", "x"])
        )
    fields = _fields()[type_]
    must = {key: NAMES.get(key, values(fields[key])) for key in [MERGE_KEYS.get(field, "")] if key in fields}
    may = {} if depth <= 0 else {key: values(inner, key, depth - 1) for key, inner in fields.items() if key not in must}
    return st.fixed_dictionaries(must, optional=may)


templates = st.fixed_dictionaries(
    {},
    optional={
        "metadata": values("ObjectMeta"),
        "spec": st.fixed_dictionaries(
            {},
            optional={
                field: values(_fields()["PodSpec"][field], field, 5)
                for field in ("containers", "volumes", "affinity", "tolerations", "nodeSelector", "securityContext")
            },
        ),
    },
)


def leaves(value: object, path: tuple[object, ...] = ()) -> Iterator[tuple[tuple[object, ...], Any]]:
    """Yield every value, items of a list by what tells them apart."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    elif isinstance(value, list):
        key = MERGE_KEYS.get(str(path[-1]))
        for place, inner in enumerate(value):
            yield from leaves(inner, (*path, inner[key] if key else place))
    else:
        yield path, value


# The merge


@given(templates)
def test_what_is_laid_over_twice_is_as_if_it_was_once(theirs: dict[str, Any]) -> None:
    once = merged(OURS, theirs)
    assert merged(once, theirs) == once


@given(templates)
def test_nothing_over_something_is_that_and_something_over_nothing_is_itself(theirs: dict[str, Any]) -> None:
    assert merged(theirs, {}) == theirs
    assert merged(OURS, {}) == OURS
    assert merged({}, theirs) == theirs


@given(templates)
def test_what_they_do_not_name_is_as_it_was(theirs: dict[str, Any]) -> None:
    before = copy.deepcopy(OURS)
    after, said = dict(leaves(merged(OURS, theirs))), [path for path, _ in leaves(theirs)]
    # Of a volume, and of lists whose items nothing tells apart, theirs stands; what they leave empty says nothing.
    whole = {("spec", "volumes"), ("spec", "tolerations")}
    for path, value in leaves(OURS):
        touched = any(other[: len(path)] == path for other in said) or any(path[: len(each)] == each for each in whole)
        placed = "nodeSelectorTerms" in path or "envFrom" in path
        assert touched or placed or after[path] == value, path
    assert before == OURS


OUR_ZONE = {"key": "zone", "operator": "In", "values": ["a", "b"]}
OUR_CONFIG = {"configMapRef": {"name": "shop-config"}}
EXPRESSIONS = st.sampled_from([OUR_ZONE, {"key": "arch", "operator": "Exists"}, {"key": "pool", "operator": "Exists"}])
TERMS = st.lists(
    st.fixed_dictionaries({}, optional={"matchExpressions": st.lists(EXPRESSIONS, max_size=3, unique_by=str)}),
    min_size=1,
    max_size=3,
)
SOURCES = st.lists(st.sampled_from([OUR_CONFIG, {"secretRef": {"name": "legacy"}}]), max_size=2, unique_by=str)


@given(TERMS, SOURCES)
def test_every_pod_has_our_configuration_and_runs_in_our_zones(
    terms: list[dict[str, Any]], sources: list[dict[str, Any]]
) -> None:
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    theirs = {"spec": {"affinity": {"nodeAffinity": required}, "containers": [{"name": "app", "envFrom": sources}]}}
    once = merged(OURS, theirs)
    spec = once["spec"]
    assert spec["containers"][0]["envFrom"][0] == OUR_CONFIG
    assert [each for each in spec["containers"][0]["envFrom"] if each != OUR_CONFIG] == [
        each for each in sources if each != OUR_CONFIG
    ]
    (found,) = spec["affinity"]["nodeAffinity"].values()
    assert len(found["nodeSelectorTerms"]) == len(terms)
    for after, before in zip(found["nodeSelectorTerms"], terms, strict=True):
        assert OUR_ZONE in after["matchExpressions"]
        assert all(each in after["matchExpressions"] for each in before.get("matchExpressions", []))
    assert merged(once, theirs) == once


def test_a_container_of_theirs_begins_with_what_it_is_given_and_ours_does_not() -> None:
    theirs = {"spec": {"containers": [{"name": "proxy", "image": "p", "lifecycle": {"postStart": {"x": 1}}}]}}
    new = {"containers": {"lifecycle": {"preStop": {"sleep": {"seconds": 9}}}, "image": "none"}}
    ours, proxy = merged(OURS, theirs, new=new)["spec"]["containers"]
    assert ours == OURS["spec"]["containers"][0]
    assert proxy == {
        "name": "proxy",
        "image": "p",
        "lifecycle": {"preStop": {"sleep": {"seconds": 9}}, "postStart": {"x": 1}},
    }


def test_a_volume_of_another_kind_takes_the_place_of_ours() -> None:
    claim = {"name": "tmp", "persistentVolumeClaim": {"claimName": "scratch"}}
    assert merged(OURS, {"spec": {"volumes": [claim]}})["spec"]["volumes"] == [claim]


# What it may say


def app(**fields: object) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": "app", **fields}]}}


PROXY: dict[str, Any] = {
    "name": "proxy",
    "image": f"proxy@sha256:{'a' * 64}",
    "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "32Mi"}},
}


def beside(**fields: object) -> dict[str, Any]:
    return {"spec": {"containers": [{**PROXY, **fields}]}}


GOOD: list[dict[str, Any]] = [
    {},
    {"metadata": {"labels": {"team": "shop"}, "annotations": {"example.com/scan": "true"}}},
    app(command=["/server"], args=["--verbose", "two\nlines"], workingDir="/srv"),
    app(env=[{"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}]),
    app(envFrom=[{"secretRef": {"name": "legacy"}}]),
    app(ports=[{"name": "admin", "containerPort": 9090}], securityContext={"runAsUser": 101}),
    app(resources={"limits": {"nvidia.com/gpu": "1"}}),
    app(volumeMounts=[{"name": "cache", "mountPath": "/var/cache"}]) | {"metadata": {"annotations": {"x": "y"}}},
    {"spec": {"volumes": [{"name": "cache", "emptyDir": {"sizeLimit": "1Gi"}}]}},
    {"spec": {"nodeSelector": {"pool": "web"}, "tolerations": [{"key": "web", "operator": "Exists"}]}},
    {"spec": {"imagePullSecrets": [{"name": "registry"}], "securityContext": {"runAsUser": 101, "fsGroup": 101}}},
    {"spec": {"initContainers": [{**PROXY, "restartPolicy": "Always"}]}},
    beside(securityContext={"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}),
]


@pytest.mark.parametrize("template", GOOD, ids=range(len(GOOD)))
def test_pods_are_as_people_have_them(template: dict[str, Any]) -> None:
    assert list(template_problems(template, allow=[])) == []


BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"spec": {"contaners": []}}, "spec.contaners", "unknown key; did you mean containers?"),
    (app(imagePulPolicy="Always"), "spec.containers[0].imagePulPolicy", "unknown key; did you mean imagePullPolicy?"),
    ({"metadata": {"name": "x"}}, "metadata.name", "unknown key; known here: annotations, labels"),
    (app(env=[{"name": "A", "value": 1}]), "spec.containers[0].env[0].value", "must be text in quotes"),
    (app(stdin="yes"), "spec.containers[0].stdin", "must be true or false"),
    (app(args="x"), "spec.containers[0].args", "must be a list"),
    (app(env=None), "spec.containers[0].env", "is empty; give it a value, or remove it here"),
    ({"spec": {"containers": [{}]}}, "spec.containers[0].name", "is required"),
    ({"spec": {"containers": [PROXY, PROXY]}}, "spec.containers[1].name", "is that of an item before"),
    (app(args=["postgresql://u:obviously-fake@db/x"]), "spec.containers[app].args[0]", "looks like a URL with a pass"),
    ({"metadata": {"labels": {"hueshift.dev/color": "x"}}}, "metadata.labels.hueshift.dev/color", "is set already"),
    (
        {"metadata": {"labels": {"app.kubernetes.io/version": "1"}}},
        "metadata.labels.app.kubernetes.io/version",
        "is set already",
    ),
    (
        {"metadata": {"annotations": {"hueshift.dev/x": "1"}}},
        "metadata.annotations.hueshift.dev/x",
        "is set by the program alone",
    ),
    (app(image="x"), "spec.containers[app].image", "set colors.<color>.image"),
    (
        app(resources={"limits": {"memory": "1Gi"}}),
        "spec.containers[app].resources.limits.memory",
        "set resources of the service",
    ),
    (
        app(ports=[{"name": "http", "containerPort": 9000}]),
        "spec.containers[app].ports[9000].name",
        "http is the port of the service",
    ),
    (app(env=[{"name": "APP_COLOR", "value": "x"}]), "spec.containers[app].env[APP_COLOR]", "set by the program"),
    ({"spec": {"serviceAccountName": "x"}}, "spec.serviceAccountName", "set policyArns of the service"),
    ({"spec": {"hostNetwork": True}}, "spec.hostNetwork", "is refused by the namespace"),
    ({"spec": {"volumes": [{"name": "x", "hostPath": {"path": "/"}}]}}, "spec.volumes[x].hostPath", "is refused by"),
    ({"spec": {"volumes": [{"name": "x"}]}}, "spec.volumes[x]", "must be of one kind"),
    (beside(image=...), "spec.containers[proxy].image", "is required"),
    (beside(resources={}), "spec.containers[proxy].resources.requests.cpu", "is required: without it the autoscaler"),
    (
        {"spec": {"initContainers": [{**PROXY, "name": "app"}]}},
        "spec.initContainers[app].name",
        "app is the container of the service",
    ),
    (
        beside(securityContext={"privileged": True}),
        "spec.containers[proxy].securityContext.privileged",
        "allowed is false",
    ),
    (
        app(securityContext={"capabilities": {"drop": []}}),
        "spec.containers[app].securityContext.capabilities.drop",
        "a list with ALL",
    ),
    ({"spec": {"securityContext": {"runAsUser": 0}}}, "spec.securityContext.runAsUser", "a number above 0"),
    (
        beside(ports=[{"containerPort": 1, "hostPort": 1}]),
        "spec.containers[proxy].ports[1].hostPort",
        "allowed is none",
    ),
]


@pytest.mark.parametrize(("template", "path", "reason"), BAD, ids=[path for _, path, _ in BAD])
def test_what_breaks_a_promise_or_is_no_pod_is_refused_by_its_path(
    template: dict[str, Any], path: str, reason: str
) -> None:
    for container in template.get("spec", {}).get("containers", []):
        for key in [key for key, value in container.items() if value is ...]:
            del container[key]
    found = list(template_problems(template, allow=[]))
    assert any(problem.key == path and reason in problem.reason for problem in found), found
    assert not any("obviously-fake" in problem.reason for problem in found)


def at(path: str) -> dict[str, Any]:
    """Return the least template with a value of the right type at a path."""
    value: Any = {"terminationGracePeriodSeconds": 9, "preStop": {"sleep": {"seconds": 1}}}.get(path.split(".")[-1])
    if path.endswith("Probe"):
        value = {"periodSeconds": 3}
    if path.endswith("seccompProfile"):
        value = {"type": "Localhost"}
    if path.endswith("readOnlyRootFilesystem"):
        value = False
    for key in reversed(path.replace("containers[app]", "containers").split(".")):
        value = {key: [{"name": "app", **value}] if key == "containers" else True if value is None else value}
    return dict(value)


@pytest.mark.parametrize("path", [*ALLOWABLE, "spec.containers[app].securityContext.readOnlyRootFilesystem"])
def test_a_promise_is_given_up_only_by_its_own_name(path: str) -> None:
    (refused,) = template_problems(at(path), allow=[])
    assert refused.key.startswith(path)
    assert f"name {path} under allow" in refused.reason or "name this path under allow" in refused.reason
    assert list(template_problems(at(path), allow=[path])) == []
    (unused,) = template_problems({}, allow=[path])
    assert unused == ("allow[0]", "is not set in this template, or as it is anyway; remove it here")


def test_what_nobody_can_give_up_is_no_path_to_allow() -> None:
    (refused,) = template_problems({}, allow=["spec.containers[app].readinesProbe"])
    assert refused.key == "allow[0]"
    assert "did you mean spec.containers[app].readinessProbe?" in refused.reason
    for path in _NEVER:
        assert [problem.key for problem in template_problems({}, allow=[path])] == ["allow[0]"]


@given(templates)
def test_whatever_is_laid_over_ours_what_is_accepted_keeps_every_promise(theirs: dict[str, Any]) -> None:
    if list(template_problems(theirs, allow=[])):
        return
    spec = merged(OURS, theirs)["spec"]
    assert {key: spec[key] for key in ("serviceAccountName", "terminationGracePeriodSeconds")} == {
        "serviceAccountName": "shop-green",
        "terminationGracePeriodSeconds": 75,
    }
    assert spec["securityContext"]["runAsNonRoot"] is True
    ours = next(each for each in spec["containers"] if each["name"] == "app")
    assert (ours["image"], ours["readinessProbe"]) == (
        "shop@sha256:0",
        OURS["spec"]["containers"][0]["readinessProbe"],
    )
    assert ours["ports"][0]["name"] == "http"
