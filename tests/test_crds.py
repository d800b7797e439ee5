"""The custom resources' schemas: what is written by hand against what it was written from, and the pinned module."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.controllers import cluster, install
from sandbox.controllers.cluster import Object

MONITORING = "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring@v0.86.0"
CRDS = {crd["spec"]["names"]["kind"]: crd for crd in install.own_crds()}


def schema(kind: str) -> Object:
    (version,) = CRDS[kind]["spec"]["versions"]
    found: Object = version["schema"]["openAPIV3Schema"]
    return found


def nodes(place: str, node: Object) -> Iterator[tuple[str, Object]]:
    yield place, node
    for name, inner in node.get("properties", {}).items():
        yield from nodes(f"{place}.{name}", inner)
    if "items" in node:
        yield from nodes(f"{place}[]", node["items"])


def properties(kind: str, *path: str) -> set[str]:
    node = schema(kind)
    for step in path:
        node = node["items"] if step == "[]" else node["properties"][step]
    return set(node["properties"])


def go_types() -> str:
    """Return the operator's Go types, fetched from the module proxy where Go's cache lacks them."""
    command = ["go", "mod", "download", "-json", MONITORING]
    module = json.loads(subprocess.run(command, capture_output=True, text=True, check=True, cwd="/").stdout)
    return "\n".join(file.read_text() for file in (Path(module["Dir"]) / "v1").glob("*.go"))


def tags(types: str, name: str) -> set[str]:
    body = re.search(rf"^type {name} struct {{\n(.*?)^}}", types, re.DOTALL | re.MULTILINE)
    assert body, f"no type {name}"
    return {tag for tag in re.findall(r'`json:"(\w+)', body.group(1)) if tag}


def test_every_kind_that_the_controllers_watch_is_defined_where_they_look_for_it() -> None:
    for kind in (cluster.TARGET_GROUP_BINDING, cluster.PROMETHEUS_RULE):
        spec = CRDS[kind.name]["spec"]
        (version,) = spec["versions"]
        assert f"{spec['group']}/{version['name']}" == kind.api_version
        assert spec["names"]["plural"] == kind.plural
        assert CRDS[kind.name]["metadata"]["name"] == f"{kind.plural}.{spec['group']}"
        assert (spec["scope"] == "Namespaced") == kind.namespaced


@pytest.mark.parametrize("kind", sorted(CRDS))
def test_no_field_is_without_a_type_and_none_lets_unknown_ones_through(kind: str) -> None:
    places = list(nodes(kind, schema(kind)))
    assert len(places) > 10
    for place, node in places:
        assert "type" in node or node.get("x-kubernetes-int-or-string"), place
        assert "x-kubernetes-preserve-unknown-fields" not in node, place
        free = node.get("type") == "object" and not ("properties" in node or "additionalProperties" in node)
        assert not free or place == f"{kind}.metadata", place


@pytest.mark.parametrize("field", ["targetGroupARN", "targetType", "ipAddressType", "vpcID"])
def test_what_identifies_a_target_group_can_never_change(field: str) -> None:
    rules = schema("TargetGroupBinding")["properties"]["spec"]["x-kubernetes-validations"]
    (rule,) = [r["rule"] for r in rules if r["message"] == f"spec.{field} is immutable"]
    assert f"self.{field} == oldSelf.{field}" in rule


def test_a_binding_has_the_documented_fields() -> None:
    assert properties("TargetGroupBinding", "spec") == {
        "assumeRoleExternalId",
        "iamRoleArnToAssume",
        "ipAddressType",
        "multiClusterTargetGroup",
        "networking",
        "nodeSelector",
        "serviceRef",
        "targetGroupARN",
        "targetGroupName",
        "targetGroupProtocol",
        "targetType",
        "vpcID",
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("PrometheusRuleSpec", ("spec",)),
        ("RuleGroup", ("spec", "groups", "[]")),
        ("Rule", ("spec", "groups", "[]", "rules", "[]")),
        ("WorkloadBinding", ("status", "bindings", "[]")),
    ],
)
def test_a_prometheus_rule_has_the_fields_of_the_operators_types(name: str, path: tuple[str, ...]) -> None:
    assert properties("PrometheusRule", *path) == tags(go_types(), name)


class Go:
    """A `go` on PATH that answers `mod download -json` with a given sum."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._program = folder / "go"
        monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    def answers(self, text: str, status: int = 0) -> None:
        self._program.write_text(f"#!/bin/sh\necho '{text}'\nexit {status}\n")
        self._program.chmod(0o755)


def test_a_module_with_another_sum_than_the_pinned_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = Go(tmp_path, monkeypatch)
    go.answers(f'{{"Dir": "/x", "Sum": "{install.EXTERNAL_SECRETS_SUM}"}}')
    assert install.external_secrets_module() == Path("/x")
    go.answers('{"Dir": "/x", "Sum": "h1:other"}')
    with pytest.raises(RuntimeError, match="has the sum h1:other"):
        install.external_secrets_module()


def test_a_module_that_cannot_be_fetched_is_told_with_gos_own_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = Go(tmp_path, monkeypatch)
    go.answers('{"Error": "no such host"}', status=1)
    with pytest.raises(RuntimeError, match="no such host"):
        install.external_secrets_module()


def test_without_go_the_message_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match="program go is missing"):
        install.external_secrets_module()


def test_a_crd_whose_conditions_are_null_at_first_is_waited_for() -> None:
    answers: list[Object] = [{}, {"status": {"conditions": None}}]
    answers.append({"status": {"conditions": [{"type": "Established", "status": "True"}]}})

    class Server(cluster.Cluster):
        def __init__(self) -> None:
            """Without a kubeconfig: it answers by itself."""

        def get(self, kind: cluster.Kind, key: cluster.Key) -> Object | None:  # noqa: ARG002
            return answers.pop(0)

    install._await_established(Server(), CRDS["PrometheusRule"])
    assert not answers
