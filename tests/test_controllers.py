"""The controllers' decisions, each on plain objects, and the machinery that carries them out."""

import base64
import json
import logging
import ssl
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import pytest
import yaml
from moto import mock_aws

from sandbox import ca, paths, prometheus
from sandbox.controllers import admission, external_secrets, rules, target_groups
from sandbox.controllers.admission import RefusedError
from sandbox.controllers.cluster import (
    CLUSTER_SECRET_STORE,
    EXTERNAL_SECRET,
    POD,
    SECRET,
    SERVICE,
    TARGET_GROUP_BINDING,
    Cluster,
    Key,
    Kind,
    Object,
    Worker,
    backoff,
    set_condition,
)
from sandbox.controllers.external_secrets import ExternalSecrets, Ref, SyncError
from sandbox.controllers.target_groups import REGISTERING, Health, Target

pytestmark = pytest.mark.slow  # a whole AWS in memory

GATE = "target-health.elbv2.k8s.aws/blue"
ARN = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/blue/0"
VERSION = "11111111-2222-4333-8444-555555555555"
VALUE = "not-a-secret-but-treated-as-one"


def binding(**spec: object) -> Object:
    return {
        "metadata": {"namespace": "shop", "name": "blue", "uid": "b", "generation": 1},
        "spec": {"targetGroupARN": ARN, "targetType": "ip", "serviceRef": {"name": "blue", "port": 80}, **spec},
    }


def service(**port: object) -> Object:
    ports = [{"name": "http", "port": 80, **port}, {"name": "admin", "port": 81}]
    return {"metadata": {"namespace": "shop", "name": "blue"}, "spec": {"selector": {"app": "blue"}, "ports": ports}}


def pod(name: str = "p", *, gate: bool = True, containers_ready: str = "True", **metadata: object) -> Object:
    return {
        "metadata": {"namespace": "shop", "name": name, "uid": name, "labels": {"app": "blue"}, **metadata},
        "spec": {"readinessGates": [{"conditionType": GATE}] if gate else []},
        "status": {"conditions": [{"type": "ContainersReady", "status": containers_ready}]},
    }


def piece(*endpoints: tuple[str, str, dict[str, bool]], port: str = "http") -> Object:
    return {
        "ports": [{"name": port, "port": 8080 if port == "http" else 8081}],
        "endpoints": [
            {"addresses": [ip], "targetRef": {"kind": "Pod", "name": name}, "conditions": conditions}
            for name, ip, conditions in endpoints
        ],
    }


def resolve(slices: list[Object], *pods: Object, of: Object | None = None) -> dict[Target, Object] | None:
    return target_groups.endpoints(
        of or binding(), service(), slices, {("shop", p["metadata"]["name"]): p for p in pods}
    )


# --- which pods are targets ---


def test_a_ready_endpoint_is_a_target_on_the_port_of_the_pod_not_of_the_service() -> None:
    assert resolve([piece(("p", "10.0.0.1", {"ready": True}))], pod()) == {Target("10.0.0.1", 8080): pod()}


def test_a_pod_that_only_waits_for_its_gate_is_a_target_since_the_gate_needs_one() -> None:
    assert resolve([piece(("p", "10.0.0.1", {"ready": False}))], pod())


def test_a_pod_whose_containers_are_not_ready_is_no_target() -> None:
    assert resolve([piece(("p", "10.0.0.1", {"ready": False}))], pod(containers_ready="False")) == {}


@pytest.mark.parametrize(
    ("conditions", "metadata"),
    [
        ({"ready": False, "serving": True, "terminating": True}, {}),
        ({"ready": True}, {"deletionTimestamp": "2026-11-21T10:00:00Z"}),
    ],
    ids=["the slice says so", "the pod says so before the slice does"],
)
def test_a_pod_that_is_ending_is_no_target_however_well_it_still_serves(
    conditions: dict[str, bool], metadata: Object
) -> None:
    assert resolve([piece(("p", "10.0.0.1", conditions))], pod(**metadata)) == {}


def test_an_endpoint_whose_pod_is_not_known_yet_waits_for_the_pods_event() -> None:
    assert resolve([piece(("p", "10.0.0.1", {"ready": True}))]) == {}


def test_only_the_port_that_the_binding_names_is_registered_whether_by_name_or_by_number() -> None:
    slices = [piece(("p", "10.0.0.1", {"ready": True})), piece(("p", "10.0.0.1", {"ready": True}), port="admin")]
    for port in (80, "http"):
        found = resolve(slices, pod(), of=binding(serviceRef={"name": "blue", "port": port}))
        assert found is not None
        assert list(found) == [Target("10.0.0.1", 8080)]


def test_a_missing_service_or_port_is_not_the_same_as_no_endpoints() -> None:
    assert target_groups.endpoints(binding(), None, [], {}) is None
    assert resolve([], of=binding(serviceRef={"name": "blue", "port": 82})) is None
    assert resolve([]) == {}


# --- registering, deregistering, gates ---


def test_new_targets_are_registered_and_vanished_ones_deregistered() -> None:
    new, kept, gone = Target("10.0.0.1", 8080), Target("10.0.0.2", 8080), Target("10.0.0.3", 8080)
    plan = target_groups.plan(
        {new: pod("a", gate=False), kept: pod("b", gate=False)},
        {kept: Health("healthy"), gone: Health("healthy")},
        GATE,
    )
    assert (plan.register, plan.deregister, plan.conditions, plan.pending) == ([new], [gone], [], False)


def test_a_draining_target_is_not_deregistered_again_and_its_address_can_come_back() -> None:
    target = Target("10.0.0.1", 8080)
    assert target_groups.plan({}, {target: Health("draining")}, GATE).deregister == []
    assert target_groups.plan({target: pod()}, {target: Health("draining")}, GATE).register == [target]


@pytest.mark.parametrize("state", ["initial", "unhealthy", "unused", "draining", "unavailable"])
def test_a_gate_is_true_for_no_state_but_healthy(state: str) -> None:
    target = Target("10.0.0.1", 8080)
    plan = target_groups.plan({target: pod()}, {target: Health(state, "Some.Reason", "why")}, GATE)
    ((_, condition),) = plan.conditions
    assert condition["status"] == "False"
    assert plan.pending


def test_a_healthy_target_opens_the_gate_and_ends_the_polling() -> None:
    target = Target("10.0.0.1", 8080)
    plan = target_groups.plan({target: pod()}, {target: Health("healthy")}, GATE)
    ((_, condition),) = plan.conditions
    assert (condition["type"], condition["status"], plan.pending) == (GATE, "True", False)


def test_a_target_that_is_being_registered_says_so_in_the_gate() -> None:
    plan = target_groups.plan({Target("10.0.0.1", 8080): pod()}, {}, GATE)
    ((_, condition),) = plan.conditions
    assert (condition["reason"], condition["message"]) == (REGISTERING.reason, REGISTERING.description)


def test_a_condition_that_is_right_is_not_written_again_and_keeps_its_time_until_the_status_moves() -> None:
    waiting = pod()
    first = target_groups.condition(waiting, GATE, Health("initial", "Elb.InitialHealthChecking"))
    assert first
    waiting["status"]["conditions"].append({**first, "lastTransitionTime": "2026-01-01T00:00:00Z"})
    assert target_groups.condition(waiting, GATE, Health("initial", "Elb.InitialHealthChecking")) is None
    again = target_groups.condition(waiting, GATE, Health("unhealthy", "Target.Timeout"))
    opened = target_groups.condition(waiting, GATE, Health("healthy"))
    assert again
    assert opened
    assert again["lastTransitionTime"] == "2026-01-01T00:00:00Z" != opened["lastTransitionTime"]


# --- admission ---


def test_a_pod_gets_one_gate_for_each_binding_whose_service_selects_it_and_keeps_its_own() -> None:
    created = pod(gate=False)
    created["spec"]["readinessGates"] = [{"conditionType": "example.com/warm"}]
    other = binding(serviceRef={"name": "green", "port": 80})
    other["metadata"]["name"] = "green"
    services = {"blue": service(), "green": {"spec": {"selector": {"app": "green"}}}}
    (change,) = admission.inject(created, [binding(), other], services)
    assert change["value"] == [{"conditionType": "example.com/warm"}, {"conditionType": GATE}]


@pytest.mark.parametrize(
    ("bindings", "services"),
    [
        ([], {"blue": service()}),
        ([binding()], {}),
        ([binding()], {"blue": {"spec": {}}}),
        ([binding(targetType="instance")], {"blue": service()}),
    ],
    ids=["no binding", "no service", "a service without a selector", "target type instance"],
)
def test_a_pod_gets_no_gate_that_could_never_open(bindings: list[Object], services: dict[str, Object]) -> None:
    assert admission.inject(pod(gate=False), bindings, services) == []


def test_a_pod_that_has_the_gate_already_is_left_alone() -> None:
    assert admission.inject(pod(), [binding()], {"blue": service()}) == []


GROUP = {"TargetGroupArn": ARN, "TargetType": "ip", "VpcId": "vpc-0"}


def test_a_new_binding_is_given_what_its_target_group_says() -> None:
    created = binding()
    del created["spec"]["targetType"]
    changes = {change["path"]: change["value"] for change in admission.complete(created, GROUP, [])}
    assert changes == {"/spec/targetType": "ip", "/spec/ipAddressType": "ipv4", "/spec/vpcID": "vpc-0"}


@pytest.mark.parametrize(
    ("created", "group", "message"),
    [
        (binding(), None, "is not found"),
        (binding(targetType="instance"), GROUP, "spec.targetType is 'instance', the target group's is 'ip'"),
        (binding(vpcID="vpc-1"), GROUP, "spec.vpcID"),
        (binding(targetType="instance"), {**GROUP, "TargetType": "instance"}, "only 'ip' is"),
        (binding(multiClusterTargetGroup=True), GROUP, "spec.multiClusterTargetGroup is not supported"),
        (binding(nodeSelector={"matchLabels": {"a": "b"}}), GROUP, "spec.nodeSelector"),
    ],
)
def test_a_binding_that_cannot_work_is_refused_by_its_field(
    created: Object, group: Object | None, message: str
) -> None:
    with pytest.raises(RefusedError, match=message):
        admission.complete(created, group, [])


def test_a_target_group_is_bound_once() -> None:
    other = binding()
    other["metadata"]["name"] = "other"
    with pytest.raises(RefusedError, match="already bound to TargetGroupBinding shop/other"):
        admission.complete(binding(), GROUP, [other])


def test_pods_of_namespaces_that_do_not_ask_for_gates_never_depend_on_the_webhook() -> None:
    pods, bindings = admission.configuration(b"ca")["webhooks"]
    assert pods["failurePolicy"] == bindings["failurePolicy"] == "Fail"
    assert pods["namespaceSelector"] == {"matchLabels": {"elbv2.k8s.aws/pod-readiness-gate-inject": "enabled"}}
    assert [rule["resources"] for rule in bindings["rules"]] == [["targetgroupbindings"]]


class FakeCluster(Cluster):
    """Objects in memory in place of an API server; conditions and data as they were last written."""

    def __init__(self, *objects: tuple[Kind, Object]) -> None:
        self.objects = {(kind, *key): item for kind, item in objects for key in [_key(item)]}
        self.events: list[str] = []

    def get(self, kind: Kind, key: Key) -> Object | None:
        return self.objects.get((kind, *key))

    def items(self, kind: Kind, namespace: str = "") -> list[Object]:
        return [o for (k, n, _), o in self.objects.items() if k == kind and namespace in ("", n)]

    def patch(self, kind: Kind, key: Key, body: Object, *, status: bool = False, how: str = "") -> Object:  # noqa: ARG002
        item = self.objects[(kind, *key)]
        item.setdefault("status", {}).update(body["status"])
        return item

    def apply(self, kind: Kind, item: Object, manager: str) -> Object:  # noqa: ARG002
        self.objects[(kind, *_key(item))] = written = {**item, "metadata": {**item["metadata"], "resourceVersion": "2"}}
        return written

    def delete(self, kind: Kind, key: Key) -> None:
        self.objects.pop((kind, *key), None)

    def event(self, kind: Kind, item: Object, reason: str, message: str, *, warning: bool = False) -> None:  # noqa: ARG002
        self.events.append(f"{reason}: {message}")


def _key(item: Object) -> Key:
    return item["metadata"].get("namespace", ""), item["metadata"]["name"]


def test_the_webhook_answers_over_tls_that_the_authority_signed(tmp_path: Path) -> None:
    certificate, key = tmp_path / "ca.crt", tmp_path / "ca.key"
    cluster = FakeCluster((TARGET_GROUP_BINDING, binding()), (SERVICE, service()))
    elbv2 = boto3.client("elbv2", region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="x")
    webhooks = admission.Webhooks(cluster, elbv2, ("127.0.0.1", 0), ca.issue(["127.0.0.1"], certificate, key))
    webhooks.start()
    body = {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {"uid": "7", "namespace": "shop", "object": pod(gate=False), "resource": {"resource": "pods"}},
    }
    while (port := webhooks.port) is None:
        time.sleep(0.01)
    url = f"https://127.0.0.1:{port}/pods?timeout=5s"
    trusted = ssl.create_default_context(cafile=certificate)
    request = urllib.request.Request(url, json.dumps(body).encode())
    with urllib.request.urlopen(request, context=trusted, timeout=5) as answer:
        response = json.load(answer)["response"]
    assert (response["uid"], response["allowed"], response["patchType"]) == ("7", True, "JSONPatch")
    assert json.loads(base64.b64decode(response["patch"]))[0]["value"] == [{"conditionType": GATE}]


# --- secrets ---


def external(**spec: object) -> Object:
    return {
        "metadata": {"namespace": "shop", "name": "app", "uid": "u", "generation": 1},
        "spec": {
            "secretStoreRef": {"kind": "ClusterSecretStore", "name": "aws"},
            "refreshInterval": "1h",
            "target": {"creationPolicy": "Owner", "deletionPolicy": "Retain"},
            "data": [
                {"secretKey": "JWT", "remoteRef": {"key": "shop/app", "property": "JWT", "version": f"uuid/{VERSION}"}}
            ],
            **spec,
        },
    }


def store(**aws: object) -> Object:
    provider = {"aws": {"service": "SecretsManager", "region": "eu-west-1", **aws}}
    return {"metadata": {"name": "aws", "uid": "s", "generation": 1}, "spec": {"provider": provider}}


class World:
    """The ExternalSecret controller between a cluster in memory and moto."""

    def __init__(self, item: Object, secret: Object | None = None) -> None:
        kinds = [(EXTERNAL_SECRET, item)] + ([(SECRET, secret)] if secret else [])
        self.cluster = FakeCluster(*kinds)
        self.aws = boto3.client(
            "secretsmanager", region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="x"
        )
        self.controller = ExternalSecrets(self.cluster, lambda _: self.aws)
        known = self.controller.externals._objects
        known[_key(item)] = item
        self.controller.stores["ClusterSecretStore"]._objects["", "aws"] = store()
        self.item = item

    def put(self, version: str, value: object) -> None:
        text = json.dumps(value)
        try:
            self.aws.create_secret(Name="shop/app", SecretString=text, ClientRequestToken=version)
        except self.aws.exceptions.ResourceExistsException:
            self.aws.put_secret_value(SecretId="shop/app", SecretString=text, ClientRequestToken=version)

    def reconcile(self) -> float | None:
        return self.controller.reconcile(("shop", "app"))

    @property
    def ready(self) -> tuple[str, str, str]:
        (condition,) = self.item["status"]["conditions"]
        return condition["status"], condition["reason"], condition["message"]

    def secret(self, name: str = "app") -> dict[str, str]:
        data = self.cluster.objects[SECRET, "shop", name]["data"]
        return {key: base64.b64decode(value).decode() for key, value in data.items()}


@pytest.fixture
def world() -> Iterator[type["World"]]:
    with mock_aws():
        yield World


def test_a_pinned_version_is_delivered_whatever_has_become_current(world: Callable[..., World]) -> None:
    there = world(external())
    there.put(VERSION, {"JWT": VALUE})
    there.put("99999999-2222-4333-8444-555555555555", {"JWT": "newer"})
    assert there.reconcile() == pytest.approx(3600, abs=2)
    assert there.secret() == {"JWT": VALUE}
    assert there.ready == ("True", "SecretSynced", "secret synced")
    assert there.item["status"]["binding"] == {"name": "app"}
    assert there.item["status"]["syncedResourceVersion"].startswith("1-")


def test_without_a_version_the_current_one_is_delivered(world: Callable[..., World]) -> None:
    there = world(external(data=[{"secretKey": "JWT", "remoteRef": {"key": "shop/app", "property": "JWT"}}]))
    there.put(VERSION, {"JWT": VALUE})
    there.put("99999999-2222-4333-8444-555555555555", {"JWT": "newer"})
    there.reconcile()
    assert there.secret() == {"JWT": "newer"}


def test_all_keys_of_an_entry_are_extracted(world: Callable[..., World]) -> None:
    there = world(external(data=[], dataFrom=[{"extract": {"key": "shop/app"}}]))
    there.put(VERSION, {"JWT": VALUE, "retries": 3, "flags": {"on": True}})
    there.reconcile()
    assert there.secret() == {"JWT": VALUE, "retries": "3", "flags": '{"on":true}'}


def test_a_missing_version_is_named_and_no_secret_is_made(world: Callable[..., World]) -> None:
    there = world(external())
    there.put("99999999-2222-4333-8444-555555555555", {"JWT": VALUE})
    with pytest.raises(SyncError):
        there.reconcile()
    status, reason, message = there.ready
    assert (status, reason) == ("False", "SecretSyncedError")
    assert "'shop/app'" in message
    assert f"uuid/{VERSION}" in message
    assert there.cluster.get(SECRET, ("shop", "app")) is None


@pytest.mark.parametrize(
    ("value", "item"),
    [
        ({"OTHER": VALUE}, external()),
        (VALUE, external()),
        ({VALUE: 1, "a b": VALUE}, external(data=[], dataFrom=[{"extract": {"key": "shop/app"}}])),
        ({"JWT": VALUE}, external(data=[], dataFrom=[{"extract": {"key": "shop/app", "property": "JWT"}}])),
        ({"JWT": VALUE}, external()),
    ],
    ids=["property missing", "not an object", "bad key", "nothing to extract", "delivered"],
)
def test_a_value_is_in_no_log_line_no_message_and_no_event(
    world: Callable[..., World], caplog: pytest.LogCaptureFixture, value: object, item: Object
) -> None:
    caplog.set_level(logging.DEBUG, logger="external-secrets")
    there = world(json.loads(json.dumps(item)))
    there.put(VERSION, value)
    there.controller.worker.add(("shop", "app"))
    there.controller.worker.step()
    assert there.item["status"]["conditions"]
    assert VALUE not in caplog.text + json.dumps(there.item["status"]) + "".join(there.cluster.events)


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"target": {"creationPolicy": "Merge"}}, "spec.target.creationPolicy"),
        ({"target": {"template": {"data": {"a": "b"}}}}, "spec.target.template.data.a"),
        (
            {"target": {"template": {"metadata": {"labels": {"a": "{{ .b }}"}}}}},
            "spec.target.template.metadata.labels.a",
        ),
        ({"dataFrom": [{"find": {"path": "/"}}]}, "spec.dataFrom[0].find.path"),
        (
            {"data": [{"secretKey": "a", "remoteRef": {"key": "b", "decodingStrategy": "Base64"}}]},
            "spec.data[0].remoteRef.decodingStrategy",
        ),
    ],
)
def test_an_unsupported_field_makes_the_object_not_ready_and_is_named(
    world: Callable[..., World], spec: Object, field: str
) -> None:
    there = world(external(**spec))
    with pytest.raises(SyncError):
        there.reconcile()
    assert there.ready == ("False", "SecretSyncedError", f"{field} is not supported by the local cloud")


def test_defaults_that_the_schema_fills_in_are_supported() -> None:
    remote = {"key": "k", "conversionStrategy": "Default", "decodingStrategy": "None", "metadataPolicy": "None"}
    template = {"engineVersion": "v2", "mergePolicy": "Replace", "type": "Opaque", "metadata": {"labels": {"a/b": "c"}}}
    item = external(data=[{"secretKey": "a", "remoteRef": remote}], target={"template": template, "immutable": True})
    assert external_secrets.unsupported(item, external_secrets._SUPPORTED, external_secrets._DEFAULTS) is None


def test_a_store_that_is_missing_or_of_another_provider_is_named(world: Callable[..., World]) -> None:
    there = world(external(secretStoreRef={"kind": "SecretStore", "name": "gone"}))
    with pytest.raises(SyncError, match="SecretStore 'gone' is not found"):
        there.reconcile()
    assert external_secrets.store_problem(store()) is None
    assert "spec.provider.vault" in str(external_secrets.store_problem({"spec": {"provider": {"vault": {}}}}))
    assert "spec.provider.aws.role" in str(external_secrets.store_problem(store(role="arn:aws:iam::1:role/x")))


def from_fake(version: str | None) -> Object:
    pin = {"version": version} if version else {}
    remote = {"key": "kv/shop/app", "property": "JWT", **pin}
    return external(
        secretStoreRef={"kind": "ClusterSecretStore", "name": "vault"}, data=[{"secretKey": "JWT", "remoteRef": remote}]
    )


def fake_store(*values: tuple[str | None, object]) -> Object:
    data = [
        {"key": "kv/shop/app", "value": json.dumps(value), **({"version": version} if version else {})}
        for version, value in values
    ]
    return {"metadata": {"name": "vault", "uid": "v", "generation": 1}, "spec": {"provider": {"fake": {"data": data}}}}


@pytest.mark.parametrize(("version", "value"), [("3", VALUE), ("4", "newer"), (None, "unnumbered")])
def test_a_second_store_delivers_the_pinned_version_too(
    world: Callable[..., World], version: str | None, value: str
) -> None:
    there = world(from_fake(version))
    store = fake_store(("3", {"JWT": VALUE}), ("4", {"JWT": "newer"}), (None, {"JWT": "unnumbered"}))
    there.controller.stores["ClusterSecretStore"]._objects["", "vault"] = store
    there.reconcile()
    assert there.secret() == {"JWT": value}


def test_a_version_that_the_second_store_lacks_is_named(world: Callable[..., World]) -> None:
    there = world(from_fake("5"))
    there.controller.stores["ClusterSecretStore"]._objects["", "vault"] = fake_store(("3", {"JWT": VALUE}))
    with pytest.raises(SyncError, match="secret 'kv/shop/app', version '5': does not exist"):
        there.reconcile()
    assert there.cluster.get(SECRET, ("shop", "app")) is None


def test_an_immutable_target_keeps_the_data_that_it_has(world: Callable[..., World]) -> None:
    there = world(external(target={"immutable": True}))
    there.put(VERSION, {"JWT": VALUE})
    there.reconcile()
    there.put(VERSION.replace("1", "9"), {"JWT": "newer"})
    there.item["spec"]["data"][0]["remoteRef"]["version"] = "uuid/" + VERSION.replace("1", "9")
    there.item["metadata"]["generation"] = 2
    there.reconcile()
    assert there.secret() == {"JWT": VALUE}
    assert there.ready[0] == "True"


def test_a_secret_that_another_object_controls_is_not_taken(world: Callable[..., World]) -> None:
    owner = {"kind": "ExternalSecret", "name": "first", "uid": "other", "controller": True}
    taken = {"metadata": {"namespace": "shop", "name": "app", "ownerReferences": [owner]}, "data": {}}
    there = world(external(), taken)
    there.put(VERSION, {"JWT": VALUE})
    with pytest.raises(SyncError, match="owned by another object: ExternalSecret first"):
        there.reconcile()


@pytest.mark.parametrize(
    ("policy", "outcome"),
    [("Retain", None), ("Delete", ("True", "SecretDeleted")), ("Merge", ("True", "SecretSynced"))],
)
def test_deletion_policy_decides_what_a_vanished_entry_means(
    world: Callable[..., World], policy: str, outcome: tuple[str, str] | None
) -> None:
    there = world(external(target={"deletionPolicy": policy}))
    if outcome is None:
        with pytest.raises(SyncError):
            there.reconcile()
    else:
        there.reconcile()
        assert there.ready[:2] == outcome


def test_a_secret_that_was_changed_by_hand_is_not_intact() -> None:
    secret = external_secrets.secret_for(external(), {"JWT": VALUE})
    assert external_secrets.intact(secret)
    assert not external_secrets.intact({**secret, "data": {"JWT": "b3RoZXI="}})
    assert not external_secrets.intact(None)


def test_a_binary_value_arrives_byte_for_byte() -> None:
    raw = bytes(range(256))
    secret = external_secrets.secret_for(external(), {"key": raw.decode(errors="surrogateescape")})
    assert base64.b64decode(secret["data"]["key"]) == raw


REF = Ref("spec.data[0]", "k", "", "AWSCURRENT")


@pytest.mark.parametrize(
    ("inner", "value"), [("", '{"a.b": 1, "a": {"c": "x"}, "n": null}'), ("a.b", "1"), ("a.c", "x"), ("n", "")]
)
def test_a_property_is_found_as_it_stands_or_as_a_path(inner: str, value: str) -> None:
    payload = '{"a.b": 1, "a": {"c": "x"}, "n": null}'
    assert external_secrets.parse_property(payload, Ref("w", "k", inner, "v")) == value


@pytest.mark.parametrize(
    ("text", "expected"), [("1h30m", 5400), ("10s", 10), ("0", 0), ("0s", 0), ("1.5m", 90), ("250ms", 0.25)]
)
def test_durations_are_read_as_go_reads_them(text: str, expected: float) -> None:
    assert external_secrets.seconds(text) == expected


@pytest.mark.parametrize("text", ["", "1d", "soon", "10"])
def test_what_is_no_duration_is_refused_by_its_field(text: str) -> None:
    with pytest.raises(SyncError, match=r"spec\.refreshInterval"):
        external_secrets.seconds(text)


def _synced(ago: float, **spec: object) -> tuple[Object, datetime]:
    moment = datetime(2026, 11, 21, 12, tzinfo=UTC)
    item = external(**spec)
    refreshed = (moment - timedelta(seconds=ago)).strftime("%Y-%m-%dT%H:%M:%SZ")
    item["status"] = {"refreshTime": refreshed, "syncedResourceVersion": external_secrets.revision(item)}
    return item, moment


@pytest.mark.parametrize(
    ("ago", "spec", "wait"),
    [
        (10, {"refreshInterval": "1m"}, 50.0),
        (61, {"refreshInterval": "1m"}, 0.0),
        (10, {"refreshInterval": "0"}, None),
        (10**6, {"refreshPolicy": "CreatedOnce"}, None),
        (10**6, {"refreshPolicy": "OnChange"}, None),
    ],
)
def test_values_are_read_again_as_the_refresh_policy_says(ago: float, spec: Object, wait: float | None) -> None:
    assert external_secrets.due(*_synced(ago, **spec)) == wait


def test_a_changed_external_secret_is_read_at_once_unless_it_is_created_once() -> None:
    for spec, wait in (({}, 0.0), ({"refreshPolicy": "OnChange"}, 0.0), ({"refreshPolicy": "CreatedOnce"}, None)):
        item, moment = _synced(10, **spec)
        item["metadata"]["generation"] = 2
        assert external_secrets.due(item, moment) == wait


# --- rules and scrape targets ---


def prometheus_rule(name: str = "shop", expr: str = "up == 0") -> Object:
    groups = [
        {"name": "g", "partial_response_strategy": "warn", "rules": [{"alert": "Down", "expr": expr, "for": "1m"}]}
    ]
    return {"metadata": {"namespace": "shop", "name": name, "uid": f"uid-{name}"}, "spec": {"groups": groups}}


def test_rule_files_follow_their_rules() -> None:
    kept, changed, new = prometheus_rule("kept"), prometheus_rule("changed"), prometheus_rule("new")
    present = {rules.file_name(kept): rules.rule_file(kept), rules.file_name(changed): "old", "gone.yml": "old"}
    write, remove = rules.changes([kept, changed, new], present)
    assert set(write) == {rules.file_name(changed), rules.file_name(new)}
    assert remove == {"gone.yml"}


def test_a_rule_file_holds_nothing_that_prometheus_does_not_know() -> None:
    (group,) = yaml.safe_load(rules.rule_file(prometheus_rule()))["groups"]
    assert group == {"name": "g", "rules": [{"alert": "Down", "expr": "up == 0", "for": "1m"}]}


def scraped(annotations: Object | None = None, **status: object) -> Object:
    asked = {"prometheus.io/scrape": "true", "prometheus.io/port": "9000", "prometheus.io/path": "/m"}
    labels = {
        "app.kubernetes.io/name": "shop",
        "hueshift.dev/color": "blue",
        "hueshift.dev/environment": "sandbox",
    }
    return {
        "metadata": {
            "namespace": "n",
            "name": "p",
            "annotations": asked | (annotations or {}),
            "labels": labels,
        },
        "status": {"phase": "Running", "podIP": "10.0.0.1", **status},
    }


def test_an_annotated_pod_is_scraped_with_the_labels_that_the_alerts_group_by() -> None:
    assert prometheus.pod_targets([scraped()]) == [
        {
            "targets": ["10.0.0.1:9000"],
            "labels": {
                "service": "shop",
                "color": "blue",
                "environment": "sandbox",
                "namespace": "n",
                "pod": "p",
                "__metrics_path__": "/m",
            },
        }
    ]


@pytest.mark.parametrize(
    "changes",
    [{"annotations": {"prometheus.io/scrape": "false"}}, {"phase": "Pending"}, {"phase": "Succeeded"}, {"podIP": None}],
)
def test_a_pod_that_does_not_ask_or_does_not_run_is_not_scraped(changes: Object) -> None:
    assert prometheus.pod_targets([scraped(**changes)]) == []


def test_container_figures_are_asked_for_through_the_api_server_whose_certificate_is_known() -> None:
    (target,) = prometheus.node_targets([{"metadata": {"name": "n1"}}], "https://10.0.0.1:6443")
    assert target["targets"] == ["10.0.0.1:6443"]
    assert target["labels"]["__metrics_path__"] == "/api/v1/nodes/n1/proxy/metrics/resource"


def promtool() -> str:
    try:
        return str(prometheus.program("promtool"))
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"promtool is neither on PATH nor among the unpacked Debian packages: {error}")


def test_promtool_takes_the_configuration_and_the_rule_files(tmp_path: Path) -> None:
    tls = {}
    for name in ("ca_file", "cert_file", "key_file"):
        (tmp_path / name).touch()
        tls[name] = str(tmp_path / name)
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(prometheus.configuration(tls)))
    (tmp_path / "rule.yml").write_text(rules.rule_file(prometheus_rule()))
    for check, file in (("config", "prometheus.yml"), ("rules", "rule.yml")):
        done = subprocess.run(
            [promtool(), "check", check, tmp_path / file], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_kubeconfigs_certificates_are_written_for_prometheus_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "PROMETHEUS", tmp_path)
    kubeconfig = tmp_path / "kubeconfig"

    def write(**user: str) -> None:
        cluster = {"server": "https://10.0.0.1:6443", "certificate-authority-data": base64.b64encode(b"ca").decode()}
        kubeconfig.write_text(
            yaml.safe_dump(
                {
                    "current-context": "x",
                    "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
                    "clusters": [{"name": "c", "cluster": cluster}],
                    "users": [{"name": "u", "user": user}],
                }
            )
        )

    write(**{"client-certificate": "/pki/x.crt", "client-key-data": base64.b64encode(b"key").decode()})
    tls = prometheus._credentials(kubeconfig)
    assert tls["cert_file"] == "/pki/x.crt"
    assert Path(tls["key_file"]).read_bytes() == b"key"
    assert Path(tls["key_file"]).stat().st_mode & 0o077 == 0
    write(token="t")
    with pytest.raises(ValueError, match="needs a client certificate"):
        prometheus._credentials(kubeconfig)


# --- the machinery ---


def test_a_failing_key_is_tried_again_and_does_not_hold_up_the_others() -> None:
    seen: list[str] = []

    def reconcile(key: Key) -> float | None:
        seen.append(key[1])
        if key[1] == "bad" and seen.count("bad") < 3:
            raise OSError("not yet")
        return None

    worker = Worker("test", reconcile)
    worker.add(("", "bad"))
    worker.add(("", "good"), after=0.05)
    for _ in range(4):
        worker.step()
    assert seen.count("bad") == 3
    assert seen.index("good") < 3


def test_a_key_that_is_added_often_runs_once_and_again_when_it_changed_meanwhile() -> None:
    runs: list[int] = []

    def reconcile(key: Key) -> float | None:
        runs.append(1)
        if len(runs) == 1:
            worker.add(key)
        return None

    worker = Worker("test", reconcile)
    for _ in range(5):
        worker.add(("", "a"))
    worker.step()
    worker.step()
    assert len(runs) == 2
    assert not worker._due


def test_one_key_is_never_worked_on_twice_at_the_same_time() -> None:
    inside, most = [0], [0]
    finished = threading.Semaphore(0)

    def reconcile(key: Key) -> float | None:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        worker.add(key, after=0.001)
        threading.Event().wait(0.005)
        inside[0] -= 1
        finished.release()
        return None

    worker = Worker("test", reconcile, threads=3)
    worker.add(("", "a"))
    worker.start()
    for _ in range(5):
        assert finished.acquire(timeout=5)
    assert most == [1]


def test_backoff_grows_to_a_bound_that_a_person_can_wait_for() -> None:
    waits = [backoff(failures) for failures in range(1, 100)]
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (0.2, 15.0)


def test_a_conditions_time_moves_only_with_its_status() -> None:
    first = set_condition([], "False", "a", "b")
    first[0]["lastTransitionTime"] = "2026-01-01T00:00:00Z"
    (same,) = set_condition(first, "False", "c", "d")
    (other,) = set_condition(first, "True", "c", "d")
    assert (same["lastTransitionTime"], same["reason"]) == ("2026-01-01T00:00:00Z", "c")
    assert other["lastTransitionTime"] != "2026-01-01T00:00:00Z"


def test_paths_are_those_of_the_api() -> None:
    assert POD.path("n", "p") == "/api/v1/namespaces/n/pods/p"
    assert TARGET_GROUP_BINDING.path() == "/apis/elbv2.k8s.aws/v1beta1/targetgroupbindings"
    assert CLUSTER_SECRET_STORE.path("", "s") == "/apis/external-secrets.io/v1/clustersecretstores/s"
