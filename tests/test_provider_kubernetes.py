"""What the stand-in for the kubernetes provider decides without a cluster, and what it asks of one."""
# ruff: noqa: ANN401, ARG002, ARG001 - live objects are plain JSON, and the fake has the signatures of the real

from copy import deepcopy
from typing import Any, cast

import pytest

from sandbox.providers import kubernetes as k8s
from sandbox.providers.kubernetes_api import ApiError, Cluster, Kind, Unreachable
from sandbox.providers.kubernetes_await import Readiness, judge_of, wishes
from sandbox.providers.plugin import UNKNOWN, Cancelled, CheckFailure, PartialFailure, Properties

NAMED: Properties = {"metadata": {"name": "web", "namespace": "shop"}}


class FakeCluster:
    """Objects in memory, by path; what is asked is written down."""

    def __init__(self) -> None:
        self.objects: dict[str, Properties] = {}
        self.owned: dict[str, list[Properties]] = {}
        self.slices: list[Properties] = []
        self.log = ""
        self.calls: list[tuple[str, str, dict[str, str]]] = []
        self.refuse: Exception | None = None
        self.kinds = {"ConfigMap": "configmaps", "Deployment": "deployments", "Job": "jobs", "Service": "services"}

    def kind(self, api_version: str, kind: str) -> Kind | None:
        return Kind(api_version, kind, self.kinds[kind], namespaced=True) if kind in self.kinds else None

    def find(self, kind: Kind, namespace: str, name: str) -> Properties | None:
        return deepcopy(self.objects.get(kind.path(namespace, name)))

    def request(
        self, method: str, path: str, body: Properties | None = None, content_type: str = "", **query: str
    ) -> Properties:
        self.calls.append((method, path, query))
        if self.refuse is not None:
            raise self.refuse
        live = deepcopy(body or {})
        if method == "DELETE":
            return self.objects.pop(path)
        meta = {**live["metadata"], "uid": "u-1", "managedFields": [], "resourceVersion": "5"}
        live |= {"metadata": meta, "status": {}}
        if "dryRun" not in query:
            self.objects[path] = live
        return live

    def children(self, api_version: str, kind: str, owner: Properties) -> list[Properties]:
        return self.owned.get(kind, [])

    def endpoints(self, service: Properties) -> list[Properties]:
        return self.slices

    def logs(self, pod: Properties, container: str, lines: int, *, previous: bool = False) -> str:
        return self.log


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    fake = FakeCluster()
    monkeypatch.setattr(k8s, "_configuration", k8s._Configuration(cluster=cast("Cluster", fake)))
    monkeypatch.setattr(k8s, "POLL", 0.001)
    return fake


def handler(token: str) -> k8s.Object:
    found = k8s.factory(token)
    assert found is not None
    return found


DEPLOYMENT = "kubernetes:apps/v1:Deployment"
CONFIG_MAP = "kubernetes:core/v1:ConfigMap"
JOB = "kubernetes:batch/v1:Job"
SERVICE = "kubernetes:core/v1:Service"


# --- types -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("token", "api_version", "kind"),
    [
        (DEPLOYMENT, "apps/v1", "Deployment"),
        (SERVICE, "v1", "Service"),
        ("kubernetes:external-secrets.io/v1:ExternalSecret", "external-secrets.io/v1", "ExternalSecret"),
    ],
)
def test_a_type_token_names_an_api_version_and_a_kind(token: str, api_version: str, kind: str) -> None:
    checked = handler(token).check("web", None, {})
    assert (checked["apiVersion"], checked["kind"]) == (api_version, kind)


@pytest.mark.parametrize(
    "token",
    [
        "kubernetes:helm.sh/v3:Release",
        "kubernetes:helm.sh/v4:Chart",
        "kubernetes:yaml:ConfigFile",
        "kubernetes:yaml/v2:ConfigGroup",
        "kubernetes:kustomize/v2:Directory",
        "kubernetes:apps/v1:DeploymentPatch",
        "kubernetes:apps/v1:DeploymentList",
    ],
)
def test_what_is_no_single_object_is_not_supported(token: str) -> None:
    assert k8s.factory(token) is None


# --- names -----------------------------------------------------------------------------------------------------------


def test_an_unnamed_object_gets_a_name_with_eight_digits_and_says_so() -> None:
    meta = handler(CONFIG_MAP).check("settings", None, {"metadata": {"labels": {"a": "b"}}})["metadata"]
    assert meta["name"].startswith("settings-")
    assert len(meta["name"]) == len("settings-") + 8
    assert meta["annotations"] == {"pulumi.com/autonamed": "true"}
    assert meta["labels"] == {"a": "b"}


def test_a_generated_name_is_kept_and_a_chosen_one_is_not() -> None:
    first = handler(CONFIG_MAP).check("settings", None, {})
    assert handler(CONFIG_MAP).check("settings", first, {})["metadata"]["name"] == first["metadata"]["name"]
    assert handler(CONFIG_MAP).check("settings", NAMED, {})["metadata"]["name"].startswith("settings-")


def test_the_providers_namespace_is_filled_in(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(k8s._configuration, "namespace", "shop")
    assert handler(CONFIG_MAP).check("a", None, {"metadata": {"name": "a"}})["metadata"]["namespace"] == "shop"


def test_metadata_that_is_not_known_yet_is_left_alone() -> None:
    assert handler(CONFIG_MAP).check("a", None, {"metadata": UNKNOWN})["metadata"] is UNKNOWN


def test_a_generated_name_of_the_servers_kind_is_refused() -> None:
    with pytest.raises(CheckFailure, match=r"metadata\.generateName"):
        handler(JOB).check("a", None, {"metadata": {"generateName": "a-"}})


# --- replacement -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("token", "path"),
    [
        (DEPLOYMENT, "spec.selector"),
        ("kubernetes:apps/v1:StatefulSet", "spec.volumeClaimTemplates"),
        (JOB, "spec.template"),
        (JOB, "spec.parallelism"),
        (CONFIG_MAP, "data"),
        (CONFIG_MAP, "immutable"),
        ("kubernetes:core/v1:Secret", "stringData"),
        ("kubernetes:core/v1:Secret", "type"),
        (SERVICE, "spec.clusterIP"),
        ("kubernetes:core/v1:PersistentVolumeClaim", "spec.storageClassName"),
        ("kubernetes:rbac.authorization.k8s.io/v1:RoleBinding", "roleRef"),
        (DEPLOYMENT, "metadata.name"),
    ],
)
def test_fields_that_cannot_change_in_place_replace(token: str, path: str) -> None:
    assert path in handler(token).replaces(NAMED, NAMED)


def test_a_pod_template_changes_in_place() -> None:
    assert not any(path.startswith("spec.template") for path in handler(DEPLOYMENT).replaces(NAMED, NAMED))


def test_all_of_a_pod_but_its_tolerations_replaces() -> None:
    pod = {**NAMED, "spec": {"containers": [], "tolerations": []}}
    paths = handler("kubernetes:core/v1:Pod").replaces(pod, pod)
    assert "spec.containers" in paths
    assert "spec.tolerations" not in paths


def test_mutable_config_maps_change_in_place_unless_they_are_immutable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(k8s._configuration, "mutable", frozenset({"enableConfigMapMutable"}))
    assert "data" not in handler(CONFIG_MAP).replaces(NAMED, NAMED)
    assert "data" in handler(CONFIG_MAP).replaces({**NAMED, "immutable": True}, NAMED)
    assert "data" in handler("kubernetes:core/v1:Secret").replaces(NAMED, NAMED)


def test_no_namespace_and_the_default_one_are_the_same() -> None:
    bare, full = {"metadata": {"name": "a"}}, {"metadata": {"name": "a", "namespace": "default"}}
    assert "metadata.namespace" not in handler(SERVICE).replaces(bare, full)
    assert "metadata.namespace" in handler(SERVICE).replaces(bare, NAMED)


def test_another_version_of_the_same_group_is_the_same_object() -> None:
    budget = handler("kubernetes:policy/v1:PodDisruptionBudget")
    assert "apiVersion" not in budget.replaces({"apiVersion": "policy/v1beta1", **NAMED}, NAMED)
    assert "apiVersion" in budget.replaces({"apiVersion": "extensions/v1", **NAMED}, NAMED)


def test_only_the_same_explicit_name_in_the_same_namespace_is_deleted_first() -> None:
    assert handler(DEPLOYMENT).deletes_first(NAMED, NAMED)
    moved = {"metadata": {"name": "web", "namespace": "other"}}
    assert not handler(DEPLOYMENT).deletes_first(NAMED, moved)
    assert not handler(DEPLOYMENT).deletes_first(NAMED, {"metadata": {"name": "web-2", "namespace": "shop"}})
    generated = handler(DEPLOYMENT).check("web", None, {})
    assert not handler(DEPLOYMENT).deletes_first(generated, generated)


@pytest.mark.parametrize(
    ("done", "paths"), [("True", set()), ("False", {'metadata.annotations["pulumi.com/replaceUnready"]'})]
)
def test_an_unfinished_job_is_replaced_where_asked(cluster: FakeCluster, done: str, paths: set[str]) -> None:
    live = {**NAMED, "status": {"conditions": [{"type": "Complete", "status": done}]}}
    cluster.objects["/apis/batch/v1/namespaces/shop/jobs/web"] = live
    asked = {"metadata": {**NAMED["metadata"], "annotations": {"pulumi.com/replaceUnready": "true"}}}
    assert handler(JOB).replaces_unchanged("shop/web", asked) == paths
    assert handler(JOB).replaces_unchanged("shop/web", NAMED) == set()


# --- live and declared -----------------------------------------------------------------------------------------------


def test_a_refresh_gives_the_live_value_of_what_the_program_sets_and_nothing_else() -> None:
    declared = {"spec": {"replicas": 2, "ports": [{"port": 80}]}, "metadata": {"name": "a"}}
    live = {
        "spec": {"replicas": 5, "ports": [{"port": 80, "protocol": "TCP"}, {"port": 81}], "paused": False},
        "metadata": {"name": "a", "uid": "1"},
        "status": {},
    }
    assert k8s.prune(live, declared) == {
        "spec": {"replicas": 5, "ports": [{"port": 80}, {"port": 81}]},
        "metadata": {"name": "a"},
    }


def test_an_amount_that_the_server_writes_its_own_way_is_no_drift() -> None:
    def with_memory(text: str) -> Properties:
        return {"resources": {"requests": {"memory": text}}, "env": [{"value": text}]}

    assert k8s.prune(with_memory("1Gi"), with_memory("1024Mi"))["resources"]["requests"]["memory"] == "1024Mi"
    assert k8s.prune(with_memory("2Gi"), with_memory("1024Mi"))["resources"]["requests"]["memory"] == "2Gi"
    assert k8s.prune(with_memory("1Gi"), with_memory("1024Mi"))["env"] == [{"value": "1Gi"}]


def test_a_secrets_text_is_read_back_from_its_data() -> None:
    live = {"data": {"a": "eA==", "other": "eQ=="}, "metadata": {"name": "s"}}
    assert k8s.live_inputs(live, {"stringData": {"a": "old"}})["stringData"] == {"a": "x"}


def test_an_import_takes_what_was_applied_and_leaves_the_defaults() -> None:
    applied = {
        "manager": "kubectl",
        "operation": "Apply",
        "fieldsV1": {"f:metadata": {"f:labels": {"f:k": {}}}, "f:spec": {"f:ports": {'k:{"port":80}': {"f:port": {}}}}},
    }
    live = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "s", "namespace": "n", "uid": "1", "labels": {"k": "v"}, "managedFields": [applied]},
        "spec": {"ports": [{"port": 80, "protocol": "TCP"}], "sessionAffinity": "None"},
        "status": {},
    }
    assert k8s.imported_inputs(live) == {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "s", "namespace": "n", "labels": {"k": "v"}},
        "spec": {"ports": [{"port": 80}]},
    }


def test_an_import_of_what_nobody_applied_takes_all_but_the_servers_own() -> None:
    live = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "c", "namespace": "n", "uid": "1", "resourceVersion": "2", "generation": 1},
        "data": {"a": "b"},
        "status": {"x": 1},
    }
    assert k8s.imported_inputs(live) == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "c", "namespace": "n"},
        "data": {"a": "b"},
    }


@pytest.mark.parametrize(
    ("managers", "theirs"),
    [
        ([("kube-controller-manager", "Update")], True),
        ([("pulumi-kubernetes", "Apply")], False),
        ([("pulumi-kubernetes", "Apply"), ("kube-controller-manager", "Update")], False),
        ([], False),
    ],
)
def test_a_field_is_anothers_only_if_it_is_not_ours_as_well(managers: list[tuple[str, str]], theirs: bool) -> None:
    fields: Properties = {"f:spec": {"f:replicas": {}}}
    entries = [{"manager": name, "operation": operation, "fieldsV1": fields} for name, operation in managers]
    assert k8s.owned_by_another({"metadata": {"managedFields": entries}}, ["spec", "replicas"]) is theirs


# --- readiness -------------------------------------------------------------------------------------------------------


def look(cluster: FakeCluster, token: str, live: Properties) -> Readiness:
    owner = handler(token)
    judge = judge_of(owner.group, owner.kind, {})
    assert judge is not None
    return judge(cluster, live)


def deployment(
    *, progressing: str = "True", reason: str = "NewReplicaSetAvailable", available: str = "True", observed: int = 2
) -> Properties:
    return {
        "metadata": {
            "name": "web",
            "namespace": "shop",
            "generation": 2,
            "annotations": {"deployment.kubernetes.io/revision": "3"},
        },
        "spec": {"replicas": 2},
        "status": {
            "observedGeneration": observed,
            "conditions": [
                {"type": "Progressing", "status": progressing, "reason": reason, "message": "told so"},
                {"type": "Available", "status": available, "reason": "Minimum", "message": "few"},
            ],
        },
    }


def replica_set(revision: str, wanted: int, ready: int) -> Properties:
    notes = {"deployment.kubernetes.io/revision": revision}
    return {"metadata": {"annotations": notes}, "spec": {"replicas": wanted}, "status": {"readyReplicas": ready}}


def test_a_deployment_is_ready_with_its_newest_replica_set_and_not_with_an_older_one(cluster: FakeCluster) -> None:
    cluster.owned["ReplicaSet"] = [replica_set("2", 2, 2), replica_set("3", 2, 1)]
    assert not look(cluster, DEPLOYMENT, deployment()).ready
    cluster.owned["ReplicaSet"] = [replica_set("2", 2, 0), replica_set("3", 2, 2)]
    assert look(cluster, DEPLOYMENT, deployment()).ready


@pytest.mark.parametrize(
    "wrong", [{"observed": 1}, {"available": "False"}, {"reason": "ReplicaSetUpdated"}, {"progressing": "False"}]
)
def test_a_deployment_is_not_ready_before_its_controller_says_so(cluster: FakeCluster, wrong: Any) -> None:
    cluster.owned["ReplicaSet"] = [replica_set("3", 2, 2)]
    assert not look(cluster, DEPLOYMENT, deployment(**wrong)).ready


def test_a_parked_deployment_is_ready(cluster: FakeCluster) -> None:
    cluster.owned["ReplicaSet"] = [replica_set("3", 0, 0)]
    assert look(cluster, DEPLOYMENT, deployment()).ready


def pod(*, gate: bool = False, **state: Any) -> Properties:
    ready = {"type": "Ready", "status": "False", "reason": "ReadinessGatesNotReady", "message": "gate not True"}
    status = {"name": "app", "ready": gate, **state}
    return {
        "metadata": {"name": "web-1", "namespace": "shop"},
        "status": {"phase": "Running", "conditions": [ready], "containerStatuses": [status]},
    }


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (
            pod(state={"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}),
            "[ImagePullBackOff] no such image",
        ),
        (
            pod(
                state={"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}},
                lastState={"terminated": {"exitCode": 3, "reason": "Error"}},
            ),
            "ended with exit code 3 [Error]",
        ),
        (pod(state={"terminated": {"exitCode": 1, "reason": "Error"}}), "last lines of its log:\nboom"),
        (
            pod(state={"terminated": {"exitCode": 1, "reason": "Error", "message": "no table"}}),
            "code 1 [Error] no table",
        ),
        (pod(gate=True, state={"running": {}}), "pod web-1: [ReadinessGatesNotReady] gate not True"),
    ],
)
def test_a_stuck_rollout_fails_at_once_and_says_what_its_pods_suffer(
    cluster: FakeCluster, broken: Properties, told: str
) -> None:
    cluster.owned = {"ReplicaSet": [replica_set("3", 2, 0)], "Pod": [broken]}
    cluster.log = "boom"
    found = look(cluster, DEPLOYMENT, deployment(progressing="False", reason="ProgressDeadlineExceeded"))
    assert found.hopeless
    assert found.reasons[0] == "[ProgressDeadlineExceeded] told so"
    assert told in "\n".join(found.reasons)


def job(kind: str) -> Properties:
    failed = {"type": kind, "status": "True", "reason": "BackoffLimitExceeded", "message": "too often"}
    return {**NAMED, "status": {"conditions": [failed]}}


def test_a_failed_job_is_given_up_with_the_end_of_its_log(cluster: FakeCluster) -> None:
    cluster.owned["Pod"] = [pod(state={"terminated": {"exitCode": 3, "reason": "Error"}})]
    cluster.log = "relation users is missing"
    found = look(cluster, JOB, job("Failed"))
    assert found.hopeless
    assert found.reasons[0] == "[BackoffLimitExceeded] too often"
    assert "relation users is missing" in found.reasons[-1]
    ended = {"exitCode": 3, "reason": "Error", "message": "relation users is missing"}
    cluster.owned["Pod"] = [pod(state={"terminated": ended})]
    assert "\n".join(look(cluster, JOB, job("Failed")).reasons).count("relation users is missing") == 1
    assert look(cluster, JOB, job("Complete")).ready
    assert not look(cluster, JOB, {**NAMED, "status": {"active": 1}}).hopeless


def test_a_service_waits_while_an_endpoint_is_unready_and_then_settles(cluster: FakeCluster) -> None:
    service = {**NAMED, "spec": {"selector": {"a": "b"}}}
    cluster.slices = [{"addresses": ["10.0.0.1"], "conditions": {"ready": False}, "targetRef": {"name": "web-1"}}]
    assert "web-1" in look(cluster, SERVICE, service).reasons[0]
    cluster.slices[0]["conditions"] = {"ready": False, "terminating": True}
    settled = look(cluster, SERVICE, service)
    assert settled.ready
    assert settled.settle > 0
    assert look(cluster, SERVICE, {**NAMED, "spec": {"clusterIP": "None", "selector": {"a": "b"}}}).settle == 0


@pytest.mark.parametrize(
    ("wish", "holds"),
    [
        ("condition=Ready", True),
        ("condition=Ready=true", True),
        ("condition=Synced", False),
        ("condition=Synced=False", True),
        ("jsonpath=.status.phase", True),
        ("jsonpath={.status.phase}=Bound", True),
        ("jsonpath=$.status.phase=Lost", False),
        ("jsonpath=.status.count=3", True),
        ('jsonpath={.status.conditions[?(@.type=="Ready")].status}=True', True),
        ("jsonpath=.status.nothing", False),
        ('["condition=Ready", "jsonpath=.status.count=3"]', True),
        ('["condition=Ready", "condition=Synced"]', False),
    ],
)
def test_wait_for_takes_conditions_and_paths(cluster: FakeCluster, wish: str, holds: bool) -> None:
    conditions = [{"type": "Ready", "status": "True"}, {"type": "Synced", "status": "False"}]
    live = {"status": {"phase": "Bound", "count": 3, "conditions": conditions}}
    assert wishes(wish)(cluster, live).ready is holds


@pytest.mark.parametrize(
    "text", ["Ready", "condition", "until=Ready", "[]", '["condition=Ready", "x"]', "jsonpath={.a"]
)
def test_a_wish_that_cannot_be_read_is_refused_before_anything_is_done(text: str) -> None:
    with pytest.raises(CheckFailure, match="waitFor"):
        handler(CONFIG_MAP).check("a", None, {"metadata": {"annotations": {"pulumi.com/waitFor": text}}})


def test_skip_await_wins_over_wait_for_and_other_kinds_are_not_awaited() -> None:
    def judge(group: str, kind: str, **annotations: str) -> object:
        named = {f"pulumi.com/{key}": value for key, value in annotations.items()}
        return judge_of(group, kind, {"metadata": {"annotations": named}})

    assert judge("apps", "Deployment", skipAwait="true", waitFor="condition=Ready") is None
    assert judge("external-secrets.io", "ExternalSecret") is None
    assert judge("external-secrets.io", "ExternalSecret", waitFor="condition=Ready") is not None


# --- operations ------------------------------------------------------------------------------------------------------

DATA: Properties = {"apiVersion": "v1", "kind": "ConfigMap", **NAMED, "data": {"a": "b"}}
PATH = "/api/v1/namespaces/shop/configmaps/web"


def test_a_create_applies_as_our_manager_and_gives_id_and_live_object(cluster: FakeCluster) -> None:
    identity, outputs = handler(CONFIG_MAP).create(DATA, 0)
    assert identity == "shop/web"
    assert outputs["metadata"]["uid"] == "u-1"
    assert "managedFields" not in outputs["metadata"]
    [(method, path, query)] = cluster.calls
    assert (method, path) == ("PATCH", PATH)
    assert (query["fieldManager"], query["force"]) == ("pulumi-kubernetes", "false")


def test_a_create_of_what_exists_is_refused(cluster: FakeCluster) -> None:
    cluster.objects[PATH] = DATA
    with pytest.raises(ApiError, match='configmaps "web" already exists'):
        handler(CONFIG_MAP).create(DATA, 0)
    assert cluster.calls == []


def test_patch_force_takes_fields_over(cluster: FakeCluster) -> None:
    meta = {**NAMED["metadata"], "annotations": {"pulumi.com/patchForce": "true"}}
    handler(CONFIG_MAP).create({**DATA, "metadata": meta}, 0)
    assert cluster.calls[0][2]["force"] == "true"


def test_a_conflict_names_the_other_manager_and_the_way_out(cluster: FakeCluster) -> None:
    cluster.objects[PATH] = {**DATA, "metadata": {**DATA["metadata"], "uid": "u"}}
    cluster.refuse = ApiError(409, "Conflict", 'Apply failed with 1 conflict: conflict with "kubectl-edit": .data.a')
    with pytest.raises(ApiError, match=r"(?s)kubectl-edit.*pulumi.com/patchForce"):
        handler(CONFIG_MAP).update("shop/web", {}, DATA, DATA, 0)


def test_an_unready_object_is_kept_with_its_reasons(cluster: FakeCluster) -> None:
    inputs = {"apiVersion": "batch/v1", "kind": "Job", **NAMED, "spec": {}}
    with pytest.raises(PartialFailure) as caught:
        handler(JOB).create(inputs, 0.01)
    assert caught.value.id == "shop/web"
    assert caught.value.outputs["metadata"]["uid"] == "u-1"
    assert "not ready after 0.01 seconds" in caught.value.reasons[0]


def test_an_interrupted_wait_keeps_the_object(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: float) -> None:
        raise Cancelled("interrupted while waiting")

    monkeypatch.setattr(k8s, "pause", interrupted)
    with pytest.raises(PartialFailure, match="interrupted"):
        handler(JOB).create({"apiVersion": "batch/v1", "kind": "Job", **NAMED, "spec": {}}, 60)


def test_an_api_server_that_is_away_for_a_moment_does_not_end_the_wait(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    find, answers = cluster.find, iter([Unreachable("no answer"), None])

    def flaky(kind: Kind, namespace: str, name: str) -> Properties | None:
        live = find(kind, namespace, name)
        if live is None:
            return None
        if (error := next(answers, None)) is not None:
            raise error
        return {**live, "status": job("Complete")["status"]}

    monkeypatch.setattr(cluster, "find", flaky)
    assert handler(JOB).create({"apiVersion": "batch/v1", "kind": "Job", **NAMED, "spec": {}}, 5)[0] == "shop/web"


def test_a_refresh_of_an_unready_object_keeps_its_reasons_and_its_drift(cluster: FakeCluster) -> None:
    cluster.objects["/apis/batch/v1/namespaces/shop/jobs/web"] = {**job("Failed"), "spec": {"backoffLimit": 3}}
    with pytest.raises(PartialFailure) as caught:
        handler(JOB).read("shop/web", {**NAMED, "spec": {"backoffLimit": 1}})
    assert caught.value.inputs == {**NAMED, "spec": {"backoffLimit": 3}}
    assert caught.value.reasons == ["[BackoffLimitExceeded] too often"]


def test_what_is_gone_or_whose_definition_is_gone_reads_as_gone(cluster: FakeCluster) -> None:
    assert handler(CONFIG_MAP).read("shop/web", DATA) is None
    assert handler("kubernetes:prov.dev/v1:Widget").read("shop/web", DATA) is None


def test_deleting_what_is_gone_is_success(cluster: FakeCluster) -> None:
    cluster.refuse = ApiError(404, "NotFound", "not found")
    handler(CONFIG_MAP).delete("shop/web", DATA, 0)
    handler("kubernetes:prov.dev/v1:Widget").delete("shop/web", DATA, 0)


def test_a_delete_that_does_not_end_says_what_holds_it(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    meta = {**NAMED["metadata"], "uid": "u", "finalizers": ["prov.dev/keep"]}
    monkeypatch.setattr(cluster, "find", lambda *_: {**DATA, "metadata": meta})
    cluster.objects[PATH] = DATA
    with pytest.raises(ApiError, match=r"not gone after 0\.01 seconds, held by prov\.dev/keep"):
        handler(CONFIG_MAP).delete("shop/web", {"metadata": meta}, 0.01)


def test_a_replacement_under_the_same_name_does_not_hold_a_delete(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "find", lambda *_: {**DATA, "metadata": {**NAMED["metadata"], "uid": "newer"}})
    cluster.objects[PATH] = DATA
    handler(CONFIG_MAP).delete("shop/web", {"metadata": {**NAMED["metadata"], "uid": "older"}}, 1)


def test_a_preview_asks_the_server_and_changes_nothing(cluster: FakeCluster) -> None:
    shown = handler(CONFIG_MAP).preview(DATA, None)
    assert cluster.calls[0][2]["dryRun"] == "All"
    assert cluster.objects == {}
    assert shown["metadata"]["uid"] is UNKNOWN
    assert "status" not in shown


def test_a_preview_of_an_update_applies_dry_and_keeps_what_lives(cluster: FakeCluster) -> None:
    cluster.objects[PATH] = {**DATA, "metadata": {**NAMED["metadata"], "uid": "u-1"}}
    shown = handler(CONFIG_MAP).preview({**DATA, "data": {"a": "c"}}, DATA)
    assert [(method, query["dryRun"]) for method, _, query in cluster.calls] == [("PATCH", "All")]
    assert shown["metadata"]["uid"] == "u-1"
    assert cluster.objects[PATH]["data"] == {"a": "b"}


def test_an_ignored_field_that_another_manages_is_left_to_it(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = {"manager": "kube-controller-manager", "operation": "Update", "fieldsV1": {"f:data": {"f:a": {}}}}
    cluster.objects[PATH] = {**DATA, "metadata": {**NAMED["metadata"], "managedFields": [entry]}}
    monkeypatch.setattr(k8s, "ignored", lambda: ("data.a",))
    handler(CONFIG_MAP).update("shop/web", {}, DATA, {**DATA, "data": {"a": "b", "z": "1"}}, 0)
    assert cluster.objects[PATH]["data"] == {"z": "1"}


def test_a_preview_with_unknowns_or_without_the_kind_asks_nobody(cluster: FakeCluster) -> None:
    unknown = {**DATA, "data": {"a": UNKNOWN}}
    assert handler(CONFIG_MAP).preview(unknown, None) == unknown
    assert handler("kubernetes:prov.dev/v1:Widget").preview(DATA, None) == DATA
    assert cluster.calls == []


@pytest.mark.parametrize(
    "error",
    [
        ApiError(404, "NotFound", 'namespaces "shop" not found'),
        ApiError(409, "AlreadyExists", "already exists"),
        ApiError(403, "Forbidden", 'configmaps is forbidden: User "pr" cannot create resource'),
        Unreachable("no Kubernetes API server answers"),
    ],
)
def test_a_preview_that_cannot_be_asked_shows_what_the_program_says(cluster: FakeCluster, error: Exception) -> None:
    cluster.refuse = error
    assert handler(CONFIG_MAP).preview(DATA, None) == DATA


@pytest.mark.parametrize(
    "error",
    [
        ApiError(422, "Invalid", "spec.ports: Invalid value"),
        ApiError(403, "Forbidden", 'pods "web" is forbidden: violates PodSecurity "restricted:latest"'),
    ],
)
def test_what_the_server_would_refuse_fails_the_preview(cluster: FakeCluster, error: ApiError) -> None:
    cluster.refuse = error
    with pytest.raises(ApiError):
        handler(CONFIG_MAP).preview(DATA, None)


def test_a_client_side_apply_is_refused() -> None:
    with pytest.raises(CheckFailure, match="enableServerSideApply"):
        k8s.configure({"enableServerSideApply": False})


def test_no_server_says_so_and_where(tmp_path: Any) -> None:
    config = {
        "current-context": "a",
        "contexts": [{"name": "a", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:9"}}],
        "users": [{"name": "u", "user": {"token": "not-a-secret"}}],
    }
    with pytest.raises(Unreachable, match=r"no Kubernetes API server answers at http://127.0.0.1:9"):
        Cluster(config, None).kind("v1", "Pod")
