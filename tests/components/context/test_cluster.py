"""A stack goes to its own cluster, and to no other."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from components.context.cluster import ClusterError, confirm

ARN = "arn:aws:eks:eu-west-1:123456789012:cluster/main"


def kubeconfig(*clusters: str, current: str | None = "0") -> str:
    """Return a kubeconfig whose contexts are called 0, 1 and so on."""
    contexts = [{"name": str(n), "context": {"cluster": name, "user": name}} for n, name in enumerate(clusters)]
    return yaml.safe_dump(
        {"contexts": contexts, "users": [{"name": "u", "user": {"token": "hush"}}]}
        | ({"current-context": current} if current else {})
    )


def check(files: str | None, name: str | None = "main", **provider: str) -> None:
    given: Mapping[str, str] = provider
    confirm(name, account="123456789012", region="eu-west-1", provider=given.get, files=files)


@pytest.mark.parametrize("cluster", [ARN, "main", "main.eu-west-1.eksctl.io"])
def test_the_clusters_own_name_is_accepted_in_each_of_its_forms(cluster: str) -> None:
    check(None, kubeconfig=kubeconfig(cluster))


@pytest.mark.parametrize(
    "cluster",
    [
        "sandbox",
        "kind-main",
        "main2",
        ARN.replace("123456789012", "999999999999"),
        ARN.replace("eu-west-1", "us-east-1"),
        ARN.replace("main", "other"),
        "main.us-east-1.eksctl.io",
    ],
)
def test_any_other_is_refused_with_the_command_that_leads_to_the_right_one(cluster: str) -> None:
    with pytest.raises(ClusterError, match="update-kubeconfig --name main --region eu-west-1") as refused:
        check(None, kubeconfig=kubeconfig(cluster))
    assert f"leads to {cluster};" in str(refused.value)
    assert "hush" not in str(refused.value)


def test_the_context_that_the_provider_would_use_is_judged() -> None:
    config = kubeconfig("sandbox", ARN)
    with pytest.raises(ClusterError, match="leads to sandbox"):
        check(None, kubeconfig=config)
    check(None, kubeconfig=config, context="1")
    check(None, kubeconfig=config, cluster=ARN)
    with pytest.raises(ClusterError, match="leads to none"):
        check(None, kubeconfig=config, context="2")


def test_of_several_files_the_first_that_says_so_counts(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text(kubeconfig("sandbox", current=None))
    second.write_text(kubeconfig("sandbox", ARN, current="1"))
    check(f"{tmp_path}/missing:{first}:{second}")
    first.write_text(kubeconfig("sandbox"))
    with pytest.raises(ClusterError, match="leads to sandbox"):
        check(f"{first}:{second}")


def test_no_kubeconfig_is_refused_and_one_that_is_no_yaml_is_not_shown(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="leads to none"):
        check(str(tmp_path / "missing"))
    (tmp_path / "broken").write_text("token: [hush")
    with pytest.raises(ClusterError, match="the kubeconfig cannot be read") as refused:
        check(str(tmp_path / "broken"))
    assert "hush" not in str(refused.value)


def test_a_stack_without_a_clusters_name_has_nothing_to_compare() -> None:
    check("nowhere", name=None)


@pytest.mark.parametrize(
    "contexts", ["", "none", "[1, null]", "[{name: '0'}]", "[{name: '0', context: x}]", "[{name: '0', context: {}}]"]
)
def test_a_kubeconfig_that_lacks_what_it_should_hold_leads_nowhere(contexts: str) -> None:
    with pytest.raises(ClusterError, match="leads to none"):
        check(None, kubeconfig=f"{{current-context: '0', contexts: {contexts or 'null'}}}")
